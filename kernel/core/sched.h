/*
 * kernel/core/sched.h - the scheduler, as the rest of core/ and arch/ sees it; thread.h is for others.
 */
#ifndef IBRIK_CORE_SCHED_H
#define IBRIK_CORE_SCHED_H

#include "core/thread.h"

void sched_init_cpu(unsigned id);
/* Interrupts off: switches to another thread if one should run. */
void sched_preempt(void);
/* Interrupts on, at the end of a call from the application: does what struct cpu says is to be done. */
void attend_before_return(void);
/* From the timer interrupt and the IPI handler, interrupts off. */
void sched_timer_tick(void);
void sched_drain_inbox(void);
void sched_ipi(void);
/* Called by a new thread's first instructions with the thread that ran before. */
void schedule_tail(struct thread *prev);
_Noreturn void thread_exit_kernel(void);
/* The current application thread ends: never returns. */
_Noreturn void thread_exit_final(void);
/* First words of an application thread in C, interrupts on. */
void thread_start_app(struct regs *r);
/* A thread without a process yet, stopped; ready is made by thread_start(). NULL: no memory. */
struct thread *thread_alloc(const char *name);
void thread_start(struct thread *t);
/* Sets up t->regs and the kernel stack so that the thread begins in the application. */
void thread_prepare_app(struct thread *t);
/* Frees a thread that was never started. */
void thread_discard(struct thread *t);
_Noreturn void sched_idle_loop(void);
/*
 * The thread, referenced by the caller, may run on the CPUs of the mask (a bit each) only. If it is on another one it leaves it: the current thread before this
 * returns, others as soon as their CPU has taken an interrupt. 0 or -EINVAL (no online CPU in the mask). May switch.
 */
int sched_set_affinity(struct thread *t, uint64_t mask);
void sched_init_options(void);
/* The current thread gives the CPU away for good; schedule_tail() buries it. */
_Noreturn void sched_leave(void);
/* thread.c: the reaper, before the first thread ends; and a thread that no CPU runs any more for it. */
void thread_start_reaper(void);
void thread_bury(struct thread *t);
uint64_t thread_cpu_ns(struct thread *t);
extern struct list all_threads;      /* RCU readers; writers hold thread_list_lock */
extern struct mutex thread_list_lock;
int tid_alloc(void);

#endif
