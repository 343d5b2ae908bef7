/*
 * kernel/core/idle.c - what a CPU does that has nothing to do: asks the busiest for a thread, watches its inbox, halts.
 *
 * Theory: while a CPU watches it needs no IPI. It stores that state with sequential consistency before it looks at the inbox,
 * and a poster looks at the state after it has posted: one of the two sees the other. The last look before it halts is taken
 * with interrupts off, since an interrupt may queue a thread as well.
 *
 * Interface: sched_idle_loop(); sched_init_options(). Locking: the CPU's own queue, with interrupts off except while it watches. Errors: none.
 */
#include "core/boot.h"
#include "core/rcu.h"
#include "core/runq.h"
#include "core/smp.h"

#define WATCH_MIN_NS 25000ull      /* how long the first time */
#define WATCH_GAP_NS 300000ull     /* longer than any interrupt: the host has taken the CPU away */
#define WATCH_PAUSE_NS 50000000ull /* no watching for so long then */

static uint64_t watch_max_ns = 100000; /* option idle.watch, in microseconds; 0: idle CPUs halt at once */

static void ask_for_work(struct cpu *c)
{
	struct cpu *busiest = NULL;
	unsigned most = 1;

	for (unsigned i = 0; i < online_cpus; i++) {
		unsigned n = atomic_load_explicit(&cpus[i]->nr_running, memory_order_relaxed);
		if (cpus[i] != c && n > most) {
			most = n;
			busiest = cpus[i];
		}
	}
	if (busiest && !atomic_exchange(&busiest->pull_request, true))
		sched_kick(busiest);
}

/*
 * Looks for work for a while before the CPU halts, if that has paid lately: to end a halt takes an interrupt, two
 * exits to the hypervisor and its scheduler, much more than what two threads on two CPUs say to each other. How long: it
 * grows while halts turn out to have been short, and vanishes when they are long. A host that takes the CPU away meanwhile
 * has others to run, perhaps the CPU we wait for: then there is no watching for a while. idle.watch=MICROSECONDS says how long at
 * most. True if there is work.
 * *Measured*, two vCPUs on two cores under TCG, without and with it: a futex hand-off between CPUs 29 and 1.3 us, condition variable 33 and 2, pipe 32 and 2.
 */
static bool idle_watch(struct cpu *c, uint64_t start)
{
	uint64_t now = start, before;

	smp_set_idle_state(c, CPU_WATCHING);
	ask_for_work(c);
	sched_program_timer(c);
	irq_enable();
	do {
		cpu_relax();
		if (atomic_load_explicit(&c->inbox, memory_order_relaxed) || heap_first(&c->runq)) {
			irq_disable();
			return true;
		}
		before = now;
		now = clock_monotonic_ns();
		if (now - before > WATCH_GAP_NS) {
			c->watch_ns = 0;
			c->watch_from_ns = now + WATCH_PAUSE_NS;
		}
	} while (now - start < c->watch_ns);
	irq_disable();
	/* An interrupt behind the last look may have queued a thread. */
	return atomic_load(&c->inbox) || heap_first(&c->runq);
}

static void idle_watch_adapt(struct cpu *c, uint64_t now, uint64_t idle_ns)
{
	if (idle_ns > watch_max_ns)
		c->watch_ns = c->watch_ns > WATCH_MIN_NS ? c->watch_ns / 2 : 0;
	else if (now > c->watch_from_ns)
		c->watch_ns = MIN(MAX(c->watch_ns * 2, WATCH_MIN_NS), watch_max_ns);
}

_Noreturn void sched_idle_loop(void)
{
	struct cpu *c = this_cpu();

	for (;;) {
		irq_disable();
		rcu_quiescent(c);
		if (atomic_load(&c->inbox))
			sched_drain_inbox();
		if (heap_first(&c->runq)) {
			schedule(true);
			irq_enable();
			continue;
		}
		uint64_t start = watch_max_ns ? clock_monotonic_ns() : 0;
		if (online_cpus > 1 && c->watch_ns && idle_watch(c, start)) {
			smp_set_idle_state(c, CPU_BUSY);
			continue;
		}
		smp_set_idle_state(c, CPU_IDLE);
		if (online_cpus > 1)
			ask_for_work(c);
		/* A post between the check above and here sends an IPI, which ends the hlt. */
		if (atomic_load(&c->inbox)) {
			smp_set_idle_state(c, CPU_BUSY);
			continue;
		}
		sched_program_timer(c);
		__asm__ volatile("sti; hlt" ::: "memory");
		irq_disable();
		smp_set_idle_state(c, CPU_BUSY);
		if (watch_max_ns) {
			uint64_t now = clock_monotonic_ns();
			idle_watch_adapt(c, now, now - start);
		}
	}
}

void sched_init_options(void) { watch_max_ns = option_u64("idle.watch", watch_max_ns / 1000) * 1000; }
