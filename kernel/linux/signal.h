/*
 * kernel/linux/signal.h - signals.
 *
 * Theory: a signal is sent to a thread or to a process; it waits in a queue (one record for each
 * standard signal, as many as allowed for real-time ones) until the target thread, on its way back to the
 * application, delivers it: a frame on its stack and the handler's address, or the default action.
 * Synchronous faults are forced on the current thread.
 *
 * Locking: actions->lock (a mutex) guards handlers, masks of other threads' interest, all queues of
 * the process, and its timers. Senders to the process take process_list_lock before it, and never sleep in anything else.
 * Interrupt handlers do not send signals.
 */
#ifndef IBRIK_LINUX_SIGNAL_H
#define IBRIK_LINUX_SIGNAL_H

#include "lib/types.h"
#include "core/thread.h"
#include <asm/signal.h>
#include <asm/siginfo.h>

struct process;
struct regs;

#define SIGSET_BIT(sig) (1ull << ((sig)-1))
#define SIGSET_UNMASKABLE (SIGSET_BIT(SIGKILL) | SIGSET_BIT(SIGSTOP))

/* Allocation with the process and the thread. NULL / -ENOMEM. */
struct signal_actions *signal_actions_new(void);
void signal_actions_free(struct signal_actions *a);
int signal_thread_init(struct thread *t, const struct thread *parent);
void signal_thread_free(struct thread *t);
/* t has left its process's list: others take what it was to take, and its own signals go. process_list_lock held. */
void signal_thread_leaves(struct thread *t);
/* execve: handlers back to the default, ignored ones stay. */
void signal_exec(struct process *p);

/* Sends; sig 0 only checks. 0, -EINVAL, -EAGAIN (queue full, real-time). info NULL: SI_USER from us. */
int signal_send_thread(struct thread *t, int sig, const siginfo_t *info);
int signal_send_process(struct process *p, int sig, const siginfo_t *info);
/* To the current thread, e.g. SIGPIPE. */
void signal_raise_current(int sig);
/* A fault of the application at frame r: forced. trapno and error go to the ucontext. */
void signal_fault(struct regs *r, int sig, int code, uaddr_t addr, unsigned trapno, uint64_t error);
/*
 * The application executed cli. On Linux that instruction faults; here it is noticed at the next entry, with RIP somewhere
 * behind it. Linux reports address 0, but then HotSpot would take a RIP in compiled code for an implicit null check and
 * throw an exception there, so RIP is the address.
 */
void signal_interrupts_off(struct regs *r);
int signal_fpe_code(unsigned vector);
/* Fills info for a kernel-made signal. */
void signal_info(siginfo_t *info, int sig, int code);

/* Delivers what is pending; part of exit_work(). Interrupts on. */
void signal_deliver(struct regs *r, bool from_syscall);
bool signal_deliverable(struct thread *t);

/*
 * Temporary mask of ppoll, pselect6, epoll_pwait, sigsuspend: installs the set at uaddr `set` (NULL: does
 * nothing) and remembers the old one, which returns after a handler ran, or by sigmask_restore().
 * 0, -EINVAL (setsize), -EFAULT.
 */
int sigmask_swap_user(uaddr_t set, size_t setsize);
void sigmask_restore(void);
uint64_t sigmask_get(const struct thread *t);
/* For /proc: pending, shared pending, blocked, ignored, caught. */
void signal_sets(struct thread *t, uint64_t out[5]);

/* Takes one pending signal of `set` for the current thread (signalfd, sigtimedwait). True if found. */
bool signal_dequeue(uint64_t set, siginfo_t *info);
/* Waiters for signals of signalfd: callback list, see waitq.h; guarded by signal_lock(). */
struct waitq *signal_waitq(struct process *p);
struct mutex *signal_lock(struct process *p);
/* Which of `set` are pending for the current thread (signal_lock held). */
uint64_t signal_pending_set(uint64_t set);

#endif
