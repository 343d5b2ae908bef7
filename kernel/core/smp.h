/*
 * kernel/core/smp.h - calls to other CPUs.
 *
 * smp_call_others() posts one record for each target on that CPU's lock-free stack, sends an IPI and
 * sleeps until every target has run it. Records live on the caller's stack. The called function runs with
 * interrupts off and must not sleep.
 */
#ifndef IBRIK_CORE_SMP_H
#define IBRIK_CORE_SMP_H

#include "lib/types.h"

struct cpu;
struct thread;

struct ipi_wait {
	_Atomic unsigned pending;
	struct thread *thread;
};

struct ipi_call {
	struct ipi_call *next;
	void (*fn)(void *arg);
	void *arg;
	struct ipi_wait *wait;
};

void smp_run_calls(struct cpu *c);
/* From one of enum cpu_idle_state to another; drops translations that changed meanwhile. Interrupts off. */
void smp_set_idle_state(struct cpu *c, int state);
void rcu_quiescent(struct cpu *c);
void rcu_start_thread(void);

#endif
