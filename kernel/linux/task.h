/*
 * kernel/linux/task.h - the life of application threads, inside linux/.
 */
#ifndef IBRIK_LINUX_TASK_H
#define IBRIK_LINUX_TASK_H

#include "lib/types.h"
#include "core/thread.h"

struct process;

/* The current thread leaves its process (robust list, clear_child_tid, last one ends the process). */
_Noreturn void thread_exit_app(int status);
/* Every thread of p shall end; status is that of the process (wait(2) form). Any thread may call. */
void process_kill(struct process *p, int status);
/* The last thread of p has left: files, mm, timers go; waiters are told. */
void process_finish(struct process *p, int status);
/* Interrupts t if it runs on another CPU, so that it looks at its work flags. */
void thread_kick(struct thread *t);
void futex_init(void);
/* Futex room: what a dying thread owes to others. */
void futex_thread_exit(struct thread *t);
/* Wakes one waiter of a private or shared futex at addr (clear_child_tid). */
void futex_wake_addr(uaddr_t addr, int n);
/* The ELF loader: replaces the (empty) image of the current process. Fills regs. 0 or -errno. */
int exec_load(const char *path, char *const argv[], char *const envp[], struct regs *r);
uint64_t sigframe_min_stack(void);
/* rseq.c. What WORK_RSEQ asks for, before the application goes on at frame r. */
void rseq_resume(struct regs *r);
/* Before a frame is made for the handler of sig: r leaves the section it may be in. */
void rseq_signal(struct regs *r, int sig);
/* Sections that run on other CPUs begin anew. Sleeps. */
void rseq_restart_others(void);
/* True in a thread that has to leave because its process ends. */
static inline bool thread_must_exit(void) { return atomic_load(&current->work) & WORK_EXIT; }

#endif
