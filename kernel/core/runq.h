/*
 * kernel/core/runq.h - what sched.c shares with idle.c and balance.c: one CPU's run queue and clock.
 *
 * Interface: nobody else includes it. Locking: the CPU that owns the queue, interrupts off, unless it is said otherwise. Errors: none.
 */
#ifndef IBRIK_CORE_RUNQ_H
#define IBRIK_CORE_RUNQ_H

#include "core/clock.h"
#include "core/sched.h"
#include "cpu.h"

#define SLICE_NS 3000000ull
#define RUN_AT_LEAST_NS 100000ull /* of a slice, before a wake-up by the thread itself ends it */
#define BRIEF_NS 20000ull         /* such a run is hardly worth a switch of another CPU */
#define KEEPALIVE_NS 1000000000ull
/* What a thread is behind or ahead of the others' clocks; bounds stand in balance.c. */
#define LAG_NS ((int64_t)(2 * SLICE_NS))
#define LAG_CARRIED_NS (4 * LAG_NS)

/* sched.c. The IPI and the post are for any CPU to do; schedule() gives the CPU to whoever is next. */
void sched_kick(struct cpu *c);
void sched_post(struct thread *t);
void schedule(bool voluntary);
/* Gives waiting threads to idle CPUs, one to each, and keeps at least one of its `mine` runnable threads. How many are gone. The current one is not in the queue. */
unsigned runq_share(struct cpu *c, unsigned mine);

/* balance.c. */
void runq_clock_rejoin(struct cpu *c);
void runq_place_balanced(struct cpu *c, struct thread *t);
void runq_set_home(struct thread *t, const struct cpu *to);
/* `mine` of this CPU's threads are runnable; the current one is not in the queue. */
void runq_balance(struct cpu *c, unsigned mine, uint64_t now);

static inline void sched_program_timer(struct cpu *c)
{
	uint64_t deadline = UINT64_MAX;
	struct heap_node *n = heap_first(&c->timers);

	if (n)
		deadline = n->key;
	if (c->running != c->idle) {
		if (heap_first(&c->runq))
			deadline = MIN(deadline, c->slice_end_ns);
		else
			deadline = MIN(deadline, c->slice_begin_ns + KEEPALIVE_NS);
		if (unlikely(c->held))
			deadline = MIN(deadline, c->held_until_ns);
	}
	/* A timer that fires early is cheaper than programming it at every switch. */
	if (unlikely(deadline < c->timer_programmed_ns)) {
		c->timer_programmed_ns = deadline;
		apic_timer_set(deadline);
	}
}

/* Only its own CPU changes that number. */
static inline void nr_running_add(struct cpu *c, int n)
{
	unsigned before = atomic_load_explicit(&c->nr_running, memory_order_relaxed);

	atomic_store_explicit(&c->nr_running, before + (unsigned)n, memory_order_relaxed);
}

static inline void runq_clock_publish(struct cpu *c, uint64_t now)
{
	atomic_store_explicit(&c->clock_ns, (int64_t)(c->min_vruntime_ns - now) + c->clock_shift_ns, memory_order_relaxed);
}

#endif
