/*
 * kernel/linux/signal_private.h - shared by signal.c, sigcalls.c, timers.c and the frame code of arch.
 */
#ifndef IBRIK_LINUX_SIGNAL_PRIVATE_H
#define IBRIK_LINUX_SIGNAL_PRIVATE_H

#include "core/mutex.h"
#include "core/waitq.h"
#include "linux/signal.h"
#include "linux/syscall.h"

/* sigaltstack(2) */
#define SS_ONSTACK 1
#define SS_DISABLE 2
#define SS_AUTODISARM (1u << 31)

struct kernel_sigaction { /* as rt_sigaction(2) has it on x86-64 */
	uaddr_t handler;
	uint64_t flags;
	uaddr_t restorer;
	uint64_t mask;
};

struct queued_signal {
	struct list link;
	siginfo_t info;
	/* A POSIX timer's only record; NULL: allocated for this signal. With a timer, `queue` says where it waits. */
	struct posix_timer *timer;
	struct signal_queue *queue;
};

struct signal_queue {
	uint64_t pending;       /* bit for each signal that waits */
	struct list records;    /* in order of arrival; a standard signal may have none (no memory) */
	unsigned count;
};

struct signal_actions {
	struct mutex lock;
	struct kernel_sigaction act[64];
	struct signal_queue shared;
	struct waitq waiters;   /* signalfd and sigtimedwait */
};

/*
 * How a call goes on that a signal interrupted and no handler ended: as restart_syscall, with the deadline it had. Which is for calls
 * whose timeout is relative, and would begin anew if the call were made again.
 */
struct restart {
	long (*fn)(const struct restart *r); /* answers as a system call; NULL: there is nothing to go on with */
	uint64_t deadline_ns;
	uaddr_t addr;
	uint32_t value;
	bool shared;
};

/* Of a thread. `blocked` is written by the thread itself only. */
struct signal_state {
	_Atomic uint64_t blocked;
	uint64_t saved_mask;    /* valid with WORK_RESTORE_MASK */
	struct signal_queue queue;
	uaddr_t alt_base;
	uint64_t alt_size;
	uint32_t alt_flags;     /* as sigaltstack() was given them */
	struct restart restart;
	/* of the last fault, for the next frame */
	uint64_t fault_trapno, fault_error, fault_address;
};

/* The answer of a call that was interrupted and goes on as r says, unless a handler runs. */
static inline long restart_with(struct restart r)
{
	current->signals->restart = r;
	return -ERESTART_RESTARTBLOCK;
}

/* arch: puts a frame on the application's stack and makes r enter the handler. 0 or -EFAULT. */
int sigframe_push(struct regs *r, int sig, const struct kernel_sigaction *act, const siginfo_t *info, uint64_t mask);
/* arch: undoes it. 0 or -EFAULT (the caller raises SIGSEGV). */
int sigframe_pop(struct regs *r);
/* Is the application's stack pointer on the alternate stack? */
bool sigstack_active(const struct signal_state *s, uaddr_t sp);
/* Sets the current thread's alternate stack, for code whose stack pointer is sp. -EPERM: it runs there; -EINVAL, -ENOMEM: as sigaltstack(2). */
int sigstack_set(struct signal_state *s, const stack_t *new, uaddr_t sp);
void signal_set_blocked(uint64_t mask);
/* rt_sigaction: replaces the action; signals that wait go if it ignores them. Holds nothing. */
void signal_set_action(int sig, const struct kernel_sigaction *act, struct kernel_sigaction *old);
/* signal_send_process() with process_list_lock and signal_lock() held. sig: 1 to 64, not SIGKILL. */
int signal_send_process_locked(struct process *p, int sig, const siginfo_t *info);
/*
 * Enters a timer's record into the queue of the thread `tid` (0: of the process), whether or not the same signal waits there. Not
 * if the signal is ignored or there is no such thread: its link is empty then. Same locks.
 */
void signal_send_record(struct process *p, int tid, struct queued_signal *s);
/* Takes it out again, if it is in a queue. signal_lock() held. */
void signal_unqueue_record(struct queued_signal *s);

#endif
