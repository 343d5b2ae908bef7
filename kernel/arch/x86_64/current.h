/*
 * kernel/arch/x86_64/current.h - what every part of the kernel asks of the CPU it runs on, in a few instructions.
 *
 * Theory:    GS base is always the kernel's per-CPU block (cpu.h), so the running thread and the CPU's number are one load
 *            each. That of the thread stays right whenever it is made: a thread that moves takes itself along.
 *            What preempt_enable() must notice lies side by side in the block, so that it asks once.
 * Interface: core/thread.h includes it, behind struct thread; nobody else does. Programs of the host that are made of kernel
 *            files have a current.h of their own (tests/unit/shim).
 */
#ifndef IBRIK_ARCH_CURRENT_H
#define IBRIK_ARCH_CURRENT_H

/* Offsets in struct cpu, checked in cpu.c. */
#define CPU_CURRENT 8
#define CPU_ID 24
#define CPU_ATTENTION 32

#ifndef __ASSEMBLER__
static inline struct thread *thread_current(void)
{
	struct thread *t;

	__asm__ volatile("mov %%gs:%c1, %0" : "=r"(t) : "i"(CPU_CURRENT));
	return t;
}

/* Stable only with preemption disabled. */
static inline unsigned cpu_id(void)
{
	unsigned id;

	__asm__ volatile("mov %%gs:%c1, %0" : "=r"(id) : "i"(CPU_ID));
	return id;
}

/* No switch in between; nests; also an RCU reader section. */
static inline void preempt_disable(void)
{
	thread_current()->preempt_count++;
	atomic_signal_fence(memory_order_seq_cst);
}

/* core/sched.c: what a preempt_enable() found to do, and what it cannot have found. */
void preempt_attend(void);
_Noreturn void preempt_unbalanced(void);

/* May switch. */
static inline void preempt_enable(void)
{
	uint32_t left;
	bool wanted;

	atomic_signal_fence(memory_order_seq_cst);
	left = --thread_current()->preempt_count;
	if (unlikely(left)) {
		if ((int32_t)left < 0)
			preempt_unbalanced();
		return;
	}
	/* need_resched and rcu_report of struct cpu. */
	__asm__ volatile("cmpw $0, %%gs:%c1" : "=@ccnz"(wanted) : "i"(CPU_ATTENTION) : "memory");
	if (unlikely(wanted))
		preempt_attend();
}
#endif
#endif
