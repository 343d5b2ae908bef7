/*
 * kernel/linux/dispatch.c - from the entry stub to a handler, and back to the application.
 */
#include "linux/dispatch.h"
#include "core/sched.h"
#include "cpu.h"
#include "gate.h"
#include "linux/signal.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include "linux/trace.h"

void syscall_dispatch(struct regs *r)
{
	struct thread *t = current;
	uint64_t nr = (uint32_t)r->orig_rax;
	long result = -ENOSYS;

	if (unlikely(!(r->r11 & RFLAGS_IF))) {
		signal_interrupts_off(r);
		r->vector = 0;
		return;
	}
	t->syscall_nr = (int)nr;
	if (likely(nr < SYSCALL_LIMIT && syscall_table[nr])) {
		if (unlikely(trace_syscalls))
			result = trace_call(r, syscall_table[nr]);
		else
			result = syscall_table[nr]((long)r->rdi, (long)r->rsi, (long)r->rdx, (long)r->r10, (long)r->r8,
						   (long)r->r9);
	} else {
		trace_unknown(nr);
	}
	r->rax = (uint64_t)result;
	t->syscall_nr = -1;
	/* A handler that was interrupted needs exit_work() even if somebody else took the signal. */
	if (unlikely((unsigned long)-result - ERESTARTSYS <= ERESTART_RESTARTBLOCK - ERESTARTSYS))
		atomic_fetch_or(&t->work, WORK_SIGNAL);
	/* Not for calls that went elsewhere: their frame says so. */
	else if (r->vector == VEC_SYSCALL)
		gate_trapped(r);
	if (unlikely(resched_wanted(this_cpu())))
		attend_before_return();
}

void exit_work(struct regs *r, bool from_syscall)
{
	uint32_t work = atomic_load(&current->work);

	if (work & WORK_EXIT)
		thread_exit_app(0);
	if (work & WORK_STEP) {
		atomic_fetch_and(&current->work, ~(uint32_t)WORK_STEP);
		gate_resume_step(r);
	}
	if (work & (WORK_SIGNAL | WORK_RESTORE_MASK))
		signal_deliver(r, from_syscall);
	if (work & WORK_RSEQ)
		rseq_resume(r);
	/* Behind a system call nobody else looks whether one of these has woken a thread that should run; trap_handler() does. */
	if (from_syscall && unlikely(resched_wanted(this_cpu())))
		attend_before_return();
}
