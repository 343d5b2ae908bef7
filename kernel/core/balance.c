/*
 * kernel/core/balance.c - even shares between busy CPUs.
 *
 * Theory: the virtual time of a CPU (its min_vruntime) runs the slower the more threads share it, so shares are even
 * when the times of all busy CPUs advance alike. Each publishes its own as a hint, in a common clock (runq_clock_publish()). A CPU with waiting
 * threads looks at the others once in BALANCE_NS, and when it has fallen behind one of them by LAG_NS, it
 * hands that one its waiting thread that is furthest behind, with its lag: there the thread runs first until it has caught up. So
 * three threads on two CPUs take turns at being alone, and no share is off by more than LAG_NS for long. A CPU alone with one
 * thread has no tick and needs none: those who are behind push. Who wakes up on an idle CPU starts its clock at the others'; clocks
 * that have grown far apart, because threads are pinned, are set equal and the past is forgotten.
 *
 * Interface: runq.h. Locking: the CPU whose queue it is, interrupts off; of others only hints are read. Errors: none.
 */
#include "core/runq.h"

/* What is behind by LAG_NS moves to a CPU that is less busy, by 4 LAG_NS also to an equally busy one. */
#define BALANCE_NS SLICE_NS
#define LAG_LOST_NS (100 * LAG_NS)
#define BALANCE_TRIES 4

static int64_t clock_of(const struct cpu *c, uint64_t now)
{
	return atomic_load_explicit(&c->clock_ns, memory_order_relaxed) + (int64_t)now;
}

/* This CPU was idle: its virtual time stood still, and goes on from where the others are. */
void runq_clock_rejoin(struct cpu *c)
{
	uint64_t now = clock_monotonic_ns();
	int64_t latest = INT64_MIN;

	for (unsigned i = 0; i < online_cpus; i++)
		if (cpus[i] != c && atomic_load_explicit(&cpus[i]->nr_running, memory_order_relaxed))
			latest = MAX(latest, clock_of(cpus[i], now));
	if (latest != INT64_MIN)
		c->clock_shift_ns = latest - (int64_t)c->min_vruntime_ns;
	runq_clock_publish(c, now);
}

/* A thread that another CPU gave us to even out shares keeps its lag, within bounds. */
void runq_place_balanced(struct cpu *c, struct thread *t)
{
	int64_t lag = (int64_t)c->min_vruntime_ns + c->clock_shift_ns - (int64_t)t->vruntime_ns;

	lag = MIN(MAX(lag, -LAG_CARRIED_NS), MIN(LAG_CARRIED_NS, (int64_t)c->min_vruntime_ns));
	t->vruntime_ns = c->min_vruntime_ns - (uint64_t)lag;
	t->balanced = t->woken = false;
}

/* t, which does not run and is on no queue, gets another home; the application may have been told the old one. */
void runq_set_home(struct thread *t, const struct cpu *to)
{
	atomic_store(&t->cpu, to->id);
	if (t->rseq)
		atomic_fetch_or(&t->work, WORK_RSEQ);
}

/* The CPU to which one of our `mine` runnable threads should go, or NULL. Idle ones have had theirs (runq_share()). */
static struct cpu *balance_target(struct cpu *c, unsigned mine, uint64_t now)
{
	int64_t our = (int64_t)c->min_vruntime_ns + c->clock_shift_ns, most = INT64_MIN;
	struct cpu *to = NULL;

	for (unsigned i = 0; i < online_cpus; i++) {
		struct cpu *o = cpus[i];
		unsigned n = atomic_load_explicit(&o->nr_running, memory_order_relaxed);
		int64_t ahead = clock_of(o, now) - our;

		if (o == c || !n || n > mine)
			continue;
		if (ahead > LAG_LOST_NS) { /* what could not move in that time is pinned */
			c->clock_shift_ns += ahead;
			our += ahead;
			ahead = 0;
		}
		/* By count alone, by lag to one that has fewer, and by much lag to one that has as many: there the thread catches up
		 * while its new neighbours wait, and one of them comes back when we have fewer. */
		if ((n + 2 <= mine || (n < mine && ahead > LAG_NS) || ahead > 4 * LAG_NS) && ahead > most) {
			most = ahead;
			to = o;
		}
	}
	return to;
}

/*
 * Gives waiting threads to idle CPUs, and another one to a CPU where time advances faster. The current one is not in the queue. To such a CPU one that has just
 * woken up does not go: it would wait there again, perhaps behind one that catches up, and its share is not what is off.
 */
void runq_balance(struct cpu *c, unsigned mine, uint64_t now)
{
	struct heap_node *tried[BALANCE_TRIES];
	unsigned n = 0;

	c->balance_ns = now + BALANCE_NS;
	mine -= runq_share(c, mine);
	struct cpu *to = heap_first(&c->runq) ? balance_target(c, mine, now) : NULL;
	if (!to)
		return;
	while (n < BALANCE_TRIES && heap_first(&c->runq)) {
		struct thread *t = container_of(heap_pop(&c->runq), struct thread, run_node);

		if (!t->woken && (atomic_load_explicit(&t->affinity, memory_order_relaxed) & 1ull << to->id)) {
			t->on_runq = false;
			nr_running_add(c, -1);
			t->vruntime_ns += (uint64_t)c->clock_shift_ns;
			t->balanced = true;
			runq_set_home(t, to);
			sched_post(t);
			break;
		}
		tried[n++] = &t->run_node;
	}
	while (n)
		heap_insert(&c->runq, tried[--n]);
}
