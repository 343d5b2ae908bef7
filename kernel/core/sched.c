/*
 * kernel/core/sched.c - run queues, sleeping, waking, timers of sleepers. Making and freeing threads is thread.c.
 *
 * Theory. Every runnable thread belongs to one CPU, its home, and only that CPU touches its own run
 * queue and timer heap, with interrupts off. Whoever wants something from another CPU (a wake-up, a thread
 * handed over) pushes the thread on that CPU's inbox, a lock-free stack, and sends an IPI if the CPU
 * might not look soon. So there is no lock around a run queue and nobody ever waits for another CPU.
 *
 * Waking. A sleeper announces itself (state = SLEEP_*), checks its condition and calls schedule. A waker
 * moves the state from SLEEP_* to RUNNABLE with one compare-and-swap; the winner queues the thread if this is its
 * home, else posts it to its home's inbox. The home CPU, draining the inbox, queues the thread unless it is still the one running
 * (it noticed the new state before it had switched away).
 * One that the application wakes may be held back for a moment first (hold()): it is runnable then and in no queue.
 *   `inbox_queued` keeps a thread from being linked twice: posting exchanges it to 1 and links only if it was
 * 0; draining stores 0 before it looks at the state, so a wake that found 1 is never lost. Each link holds a
 * reference. A drained thread whose home has changed meanwhile is posted on. So a post asks the home to look at a thread, whatever has become of
 * it: sched_set_affinity() posts one that must leave its CPU, which may be running, waiting, asleep or new.
 *
 * Fairness. The thread with the smallest virtual run time runs; a slice ends after SLICE_NS if another
 * waits. A sleeper returns with at least min_vruntime - SLICE_NS, so that it runs soon but cannot hoard; a thread that wakes others
 * and goes on working is left alone for the first RUN_AT_LEAST_NS of its slice.
 * Shares of different CPUs are evened out by balance.c.
 * Sharing. A CPU with a waiting thread pushes it to an idle CPU when it queues it; a CPU that becomes idle
 * asks the busiest one (pull_request), which answers by pushing (idle.c). The two can miss each other, and the busiest may have nothing
 * that others may run, so a CPU with waiting threads looks for idle ones again whenever it compares shares.
 *
 * The hardware timer is armed for the earlier of the first sleeper's deadline and, if somebody waits, the
 * end of the slice: there is no tick. CPUs that run the application are interrupted at least once in
 * KEEPALIVE_NS, so that an application that stops its CPU (hlt) is noticed.
 */
#include "core/runq.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/rcu.h"
#include "core/smp.h"
#include "fpu.h"
#include "linux/task.h"
#include "vdso/data.h"

/* So often in a row a thread sleeps after a wake-up until it counts as one that waits for answers, and for so many wake-ups then. */
#define AWAITS_ANSWERS 3
#define UNASKED_WAKES 64
/* So many brief runs in a row tell what the next will be. */
#define BRIEF_RUNS 3
/* So many waiting threads that no idle CPU may run are passed over in search of one that can go. */
#define SHARE_TRIES 4

unsigned online_cpus = 1;

void preempt_unbalanced(void) { panic("preemption is enabled once more than it was disabled by %s", current->name); }

void preempt_attend(void)
{
	struct cpu *c;

	if (!irqs_enabled())
		return;
	irq_disable();
	c = this_cpu();
	if (c->rcu_report)
		rcu_quiescent(c);
	if (c->need_resched)
		sched_preempt();
	irq_enable();
}

void attend_before_return(void)
{
	irq_disable();
	rcu_quiescent(this_cpu());
	if (resched_wanted(this_cpu()))
		sched_preempt();
	irq_enable();
}

void sched_kick(struct cpu *c)
{
	/* One IPI at a time is enough: the handler looks at everything. */
	if (!atomic_exchange(&c->ipi_sent, true))
		apic_send_ipi(c->apic_id, VEC_IPI);
}

static bool activate(struct cpu *c, struct thread *t);

void sched_post(struct thread *t)
{
	if (atomic_exchange(&t->inbox_queued, 1))
		return;
	thread_get(t);
	uint64_t f = irq_save();
	struct cpu *c = cpus[atomic_load(&t->cpu)];
	struct thread *head = atomic_load_explicit(&c->inbox, memory_order_relaxed);
	do {
		atomic_store_explicit(&t->inbox_next, head, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak(&c->inbox, &head, t));
	int state = atomic_load(&c->idle_state);
	if (c == this_cpu())
		c->need_resched = true;
	else if (!(state & CPU_WATCHING) && (!head || state != CPU_BUSY))
		sched_kick(c);
	irq_restore(f);
}

/* Has it shown that it sleeps after its wake-ups? Counts one of those for which that is taken for granted. */
static inline bool awaits_answer(struct thread *t)
{
	if (t->answers_awaited >= 0)
		return false;
	if (++t->answers_awaited == 0)
		t->answers_awaited = AWAITS_ANSWERS - 1; /* the next time tells */
	return true;
}

/*
 * The running thread has woken one that should run. Who hands out work in small pieces would be interrupted for each of them by the thread that does it,
 * which finds one piece and sleeps again: so the waker lingers until it has had RUN_AT_LEAST_NS of its slice. Who only waits for the answer would
 * need a second call to wait and the other a second one to wake it; it is found out by its sleeping, some times in a row, while it lingers, and does
 * not linger for a while.
 */
static inline void resched_in_time(struct cpu *c)
{
	struct thread *t = c->running;
	uint64_t earliest = c->slice_begin_ns + RUN_AT_LEAST_NS;

	if (awaits_answer(t)) {
		c->resched_soon = true;
	} else if (clock_monotonic_ns() >= earliest) {
		c->resched_soon = true;
	} else {
		t->lingers = true;
		c->slice_end_ns = MIN(c->slice_end_ns, earliest);
	}
}

static inline void linger_over(struct thread *t, bool sleeps)
{
	t->lingers = false;
	if (!sleeps)
		t->answers_awaited = 0;
	else if (++t->answers_awaited == AWAITS_ANSWERS)
		t->answers_awaited = -UNASKED_WAKES;
}

static void held_post(struct cpu *c)
{
	struct thread *t = c->held;

	c->held = NULL;
	sched_post(t);
	thread_put(t);
}

/*
 * The running thread has woken one whose CPU is busy, and which has slept again after a moment some times in a row. Typically more threads than there are CPUs
 * want a lock: whoever has it is overtaken by the one it wakes and sleeps in its turn, and the CPUs do little but switch. So one such wake-up is told in each
 * RUN_AT_LEAST_NS; the next is held until then, or until this CPU does something else, even if the other has become idle meanwhile. Not if the waker is known to wait for answers. True if
 * it is held.
 */
static bool hold(struct cpu *c, struct thread *t)
{
	const struct cpu *home = cpus[atomic_load_explicit(&t->cpu, memory_order_relaxed)];
	uint64_t now;

	if (c->held || atomic_load_explicit(&home->idle_state, memory_order_relaxed) != CPU_BUSY || atomic_load_explicit(&home->running, memory_order_relaxed) == t ||
	    awaits_answer(c->running))
		return false;
	now = clock_monotonic_ns();
	if (now - c->held_last_ns >= RUN_AT_LEAST_NS) {
		c->held_last_ns = now;
		return false;
	}
	thread_get(t);
	c->held = t;
	c->held_until_ns = c->held_last_ns + RUN_AT_LEAST_NS;
	c->running->lingers = true;
	sched_program_timer(c);
	return true;
}

/*
 * A thread has become runnable: its home CPU must hear of it. We are the home as often as not, and may queue it
 * ourselves: only the home changes t->cpu, and interrupts are off. If it should run at once, it does so when the waker is
 * through with its call (resched_soon): it holds a lock, as likely as not, and the other would come back to wait for it. From an
 * interrupt, and for the running thread itself, all is left to the next switch.
 */
SWITCHING static void runnable_post(struct thread *t, bool hurried)
{
	uint64_t f = irq_save();
	struct cpu *c = this_cpu();

	if (atomic_load_explicit(&t->cpu, memory_order_relaxed) == c->id && !c->in_irq && t != c->running) {
		/* Another waker's post may have been faster, and the thread asleep again. */
		if (!t->on_runq && atomic_load_explicit(&t->state, memory_order_relaxed) == THREAD_RUNNABLE) {
			if (activate(c, t)) {
				if (c->running == c->idle)
					c->need_resched = true;
				else
					resched_in_time(c);
			}
			/* Somebody may wait now: the slice must end. */
			if (!c->need_resched)
				sched_program_timer(c);
		}
	} else if (hurried || t->brief_runs < BRIEF_RUNS || c->in_irq || c->running == c->idle || !hold(c, t)) {
		sched_post(t);
	}
	irq_restore(f);
}

static inline bool wake_from(struct thread *t, int from, bool hurried)
{
	int expect = from;

	if (!atomic_compare_exchange_strong(&t->state, &expect, THREAD_RUNNABLE))
		return false;
	runnable_post(t, hurried);
	return true;
}

SWITCHING bool thread_wake(struct thread *t)
{
	return wake_from(t, SLEEP_INTERRUPTIBLE, true) || wake_from(t, SLEEP_UNINTERRUPTIBLE, true);
}

bool thread_wake_interruptible(struct thread *t) { return wake_from(t, SLEEP_INTERRUPTIBLE, true); }
SWITCHING bool thread_wake_unhurried(struct thread *t) { return wake_from(t, SLEEP_INTERRUPTIBLE, false); }

void thread_kick(struct thread *t)
{
	preempt_disable();
	struct cpu *c = cpus[atomic_load(&t->cpu)];
	if (c != this_cpu() && atomic_load(&c->running) == t)
		sched_kick(c);
	preempt_enable();
}

/* --- the rest runs on the CPU that owns the queue, interrupts off --------------------------- */

static inline bool may_run_on(const struct thread *t, const struct cpu *c) { return atomic_load(&t->affinity) & 1ull << c->id; }

static struct cpu *idle_cpu_for(const struct thread *t, const struct cpu *not)
{
	uint64_t affinity = atomic_load_explicit(&t->affinity, memory_order_relaxed);

	if (!(affinity & ~(1ull << not->id)))
		return NULL;
	for (unsigned i = 0; i < online_cpus; i++) {
		struct cpu *c = cpus[i];
		if (c != not && c->online && (affinity & 1ull << i) && atomic_load(&c->idle_state) != CPU_BUSY &&
		    atomic_load(&c->nr_running) == 0)
			return c;
	}
	return NULL;
}

static void hand_over(struct thread *t, struct cpu *to)
{
	struct cpu *c = this_cpu();
	/* Virtual run times of different CPUs are not comparable: carry the distance. */
	int64_t lag = (int64_t)(t->vruntime_ns - c->min_vruntime_ns);

	t->vruntime_ns = to->min_vruntime_ns + (lag > 0 ? (uint64_t)lag : 0);
	runq_set_home(t, to);
	sched_post(t);
}

/* One that wakes runs soon, but has saved up no more than that. Who catches up runs below min_vruntime: nobody waits for it. */
static void place_woken(struct cpu *c, struct thread *t)
{
	uint64_t least = c->min_vruntime_ns;

	if (c->running != c->idle)
		least = MIN(least, c->running->vruntime_ns);
	t->vruntime_ns = MAX(t->vruntime_ns, least > SLICE_NS ? least - SLICE_NS : 0);
	t->woken = true;
}

static inline void runq_insert(struct cpu *c, struct thread *t)
{
	t->on_runq = true;
	t->run_node.key = t->vruntime_ns;
	heap_insert(&c->runq, &t->run_node);
}

static inline struct thread *runq_pop(struct cpu *c)
{
	struct heap_node *n = heap_pop(&c->runq);

	if (!n)
		return NULL;
	struct thread *t = container_of(n, struct thread, run_node);
	t->on_runq = false;
	return t;
}

/* A thread has become runnable on this CPU: queue it here or give it to an idle CPU. True if it should run now. */
SWITCHING static bool activate(struct cpu *c, struct thread *t)
{
	if (t->timer_armed) {
		t->timer_armed = false;
		heap_remove(&c->timers, &t->timer_node);
	}
	if (t->balanced)
		runq_place_balanced(c, t);
	else
		place_woken(c, t);
	bool allowed = may_run_on(t, c);
	if (!allowed || c->running != c->idle || atomic_load(&c->nr_running) > 0) {
		struct cpu *to = online_cpus > 1 ? idle_cpu_for(t, c) : NULL;
		if (!to && !allowed) {
			uint64_t mask = atomic_load(&t->affinity);
			for (unsigned i = 0; i < online_cpus && !to; i++)
				if (mask & 1ull << i)
					to = cpus[i];
		}
		if (to) {
			hand_over(t, to);
			return false;
		}
	}
	if (online_cpus > 1 && c->running == c->idle && !heap_first(&c->runq))
		runq_clock_rejoin(c);
	runq_insert(c, t);
	nr_running_add(c, 1);
	return c->running == c->idle || t->vruntime_ns + SLICE_NS / 4 < c->running->vruntime_ns;
}

/* Takes a waiting thread off a queue where it must not be any more. False: it may. */
static bool runq_evict(struct cpu *c, struct thread *t)
{
	if (may_run_on(t, c))
		return false;
	heap_remove(&c->runq, &t->run_node);
	t->on_runq = false;
	nr_running_add(c, -1);
	return true;
}

void sched_drain_inbox(void)
{
	struct cpu *c = this_cpu();
	struct thread *list = atomic_exchange(&c->inbox, NULL);
	struct thread *ordered = NULL;

	while (list) { /* oldest first */
		struct thread *next = atomic_load_explicit(&list->inbox_next, memory_order_relaxed);
		atomic_store_explicit(&list->inbox_next, ordered, memory_order_relaxed);
		ordered = list;
		list = next;
	}
	while (ordered) {
		struct thread *t = ordered;
		ordered = atomic_load_explicit(&t->inbox_next, memory_order_relaxed);
		atomic_store(&t->inbox_queued, 0);
		if (atomic_load(&t->cpu) != c->id) {
			sched_post(t);
		} else if (t == c->running) {
			if (!may_run_on(t, c))
				c->need_resched = true;
		} else if (atomic_load(&t->state) == THREAD_RUNNABLE && (!t->on_runq || runq_evict(c, t)) && activate(c, t)) {
			c->need_resched = true;
		}
		thread_put(t);
	}
}

static void expire_timers(struct cpu *c, uint64_t now)
{
	struct heap_node *n;

	while ((n = heap_first(&c->timers)) && n->key <= now) {
		struct thread *t = container_of(n, struct thread, timer_node);
		heap_pop(&c->timers);
		t->timer_armed = false;
		int expect = SLEEP_UNINTERRUPTIBLE;
		bool won = atomic_compare_exchange_strong(&t->state, &expect, THREAD_RUNNABLE);
		if (!won) {
			expect = SLEEP_INTERRUPTIBLE;
			won = atomic_compare_exchange_strong(&t->state, &expect, THREAD_RUNNABLE);
		}
		if (won) {
			t->timed_out = true;
			if (t != c->running && !t->on_runq && activate(c, t))
				c->need_resched = true;
		}
	}
}

/* Charges the current thread for the time it ran. */
static inline void account(struct cpu *c, uint64_t now)
{
	struct thread *t = c->running;
	uint64_t ran = now > t->exec_start_ns ? now - t->exec_start_ns : 0;

	t->exec_start_ns = now;
	if (t == c->idle) {
		c->idle_ns += ran;
		return;
	}
	atomic_store_explicit(&t->run_ns, atomic_load_explicit(&t->run_ns, memory_order_relaxed) + ran,
			      memory_order_relaxed);
	t->vruntime_ns += ran;
	struct heap_node *n = heap_first(&c->runq);
	uint64_t least = n ? MIN(n->key, t->vruntime_ns) : t->vruntime_ns;
	c->min_vruntime_ns = MAX(c->min_vruntime_ns, least);
	runq_clock_publish(c, now);
}

/* Who runs next on this CPU: the idle thread if nobody waits. `stays`: the current thread is runnable, and waits too unless it is that one. */
static inline struct thread *pick_next(struct cpu *c, struct thread *prev, bool stays)
{
	struct heap_node *first = heap_first(&c->runq);
	struct thread *next;

	if (!stays) {
		if (prev != c->idle)
			nr_running_add(c, -1);
		next = runq_pop(c);
		return next ? next : c->idle;
	}
	prev->woken = false;
	if (unlikely(prev->timer_armed)) { /* woken before it was switched out */
		prev->timer_armed = false;
		heap_remove(&c->timers, &prev->timer_node);
	}
	if (unlikely(!(atomic_load_explicit(&prev->affinity, memory_order_relaxed) & 1ull << c->id))) {
		/* Put on its queue by the CPU that gets it, after the switch: see schedule_tail. */
		nr_running_add(c, -1);
		prev->evicted = true;
		next = runq_pop(c);
		return next ? next : c->idle;
	}
	if (!first || prev->vruntime_ns < first->key)
		return prev;
	next = runq_pop(c);
	runq_insert(c, prev);
	/* It may have come beside a thread that was alone, and not yet charged for a long time. */
	if ((int64_t)(prev->vruntime_ns - next->vruntime_ns) > 2 * LAG_CARRIED_NS)
		next->vruntime_ns = prev->vruntime_ns - (uint64_t)(2 * LAG_CARRIED_NS);
	return next;
}

/* Interrupts off, the current thread charged up to `now`. Its state says whether it stays runnable. */
static inline __attribute__((always_inline)) void switch_to_next(struct cpu *c, uint64_t now, bool voluntary)
{
	struct thread *prev = c->running, *next;

	if (unlikely(c->rcu_report))
		rcu_quiescent(c);
	if (unlikely(c->held))
		held_post(c);
	if (atomic_load_explicit(&c->inbox, memory_order_relaxed))
		sched_drain_inbox();
	bool stays = prev != c->idle && atomic_load(&prev->state) == THREAD_RUNNABLE;
	if (online_cpus > 1 && now >= c->balance_ns)
		runq_balance(c, atomic_load_explicit(&c->nr_running, memory_order_relaxed) - (prev != c->idle && !stays), now);
	if (unlikely(prev->lingers))
		linger_over(prev, !stays);
	if (!stays)
		prev->brief_runs = now - c->slice_begin_ns < BRIEF_NS ? MIN(prev->brief_runs + 1, BRIEF_RUNS) : 0;
	next = pick_next(c, prev, stays);
	c->need_resched = c->resched_soon = false;
	c->slice_begin_ns = now;
	c->slice_end_ns = now + SLICE_NS;
	next->exec_start_ns = now;
	if (next == prev) {
		sched_program_timer(c);
		return;
	}
	c->switches++;
	if (voluntary)
		prev->switches_voluntary++;
	else
		prev->switches_forced++;
	if (prev->fpu && cpu_features.fsgsbase)
		__asm__ volatile("rdfsbase %0" : "=r"(prev->fs_base));
	c->running = next;
	c->kstack_top = next->kstack_top;
	sched_program_timer(c);
	if (next->fpu) {
		if (cpu_features.fsgsbase)
			__asm__ volatile("wrfsbase %0" : : "r"(next->fs_base));
		else
			wrmsr(MSR_FS_BASE, next->fs_base);
	}
	fpu_switch(c, prev, next);
	__asm__ volatile("" ::: "memory");
	/* Another CPU may run us when this returns: nothing from before is valid but our own locals. */
	prev = switch_stacks(prev, next);
	if (unlikely(atomic_load_explicit(&prev->state, memory_order_relaxed) == THREAD_DEAD || prev->evicted))
		schedule_tail(prev);
}

SWITCHING void schedule(bool voluntary)
{
	struct cpu *c = this_cpu();
	uint64_t now = vdso_monotonic_ns(clock_data);

	account(c, now);
	switch_to_next(c, now, voluntary);
}

void schedule_tail(struct thread *prev)
{
	struct cpu *c = this_cpu();

	if (atomic_load(&prev->state) == THREAD_DEAD && prev != c->idle) {
		thread_bury(prev);
	} else if (prev->evicted) {
		prev->evicted = false;
		if (activate(c, prev)) /* the mask may allow this CPU again by now */
			c->need_resched = true;
	}
}

void sched_preempt(void)
{
	if (atomic_load(&current->state) == THREAD_RUNNABLE || current->is_idle) {
		schedule(false);
	} else {
		/* Between sleep_prepare() and sleep_until(): it must look at its condition first, so it becomes runnable as by a spurious
		 * wake-up. If it goes on to sleep_until(), that returns 0, and its caller begins anew. */
		struct thread *t = current;
		int was = atomic_load(&t->state);
		if (was == THREAD_DEAD || !atomic_compare_exchange_strong(&t->state, &was, THREAD_RUNNABLE)) {
			if (was != THREAD_DEAD)
				schedule(false);
			return;
		}
		schedule(false);
	}
}

/* The idle CPUs to which nobody has given a thread yet. */
static uint64_t unclaimed_cpus(void)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < online_cpus; i++) {
		struct cpu *c = cpus[i];
		if (c->online && atomic_load(&c->idle_state) != CPU_BUSY && atomic_load(&c->nr_running) == 0 && !atomic_load(&c->inbox))
			mask |= 1ull << i;
	}
	return mask;
}

unsigned runq_share(struct cpu *c, unsigned mine)
{
	uint64_t idle = mine > 1 && heap_first(&c->runq) ? unclaimed_cpus() & ~(1ull << c->id) : 0;
	struct thread *stay[SHARE_TRIES], *t;
	unsigned n = 0, given = 0;

	while (idle && given + 1 < mine && n < SHARE_TRIES && (t = runq_pop(c))) {
		uint64_t may = idle & atomic_load_explicit(&t->affinity, memory_order_relaxed);

		if (!may) {
			stay[n++] = t;
			continue;
		}
		struct cpu *to = cpus[__builtin_ctzll(may)];
		idle &= ~(1ull << to->id);
		given++;
		nr_running_add(c, -1);
		hand_over(t, to);
	}
	while (n)
		runq_insert(c, stay[--n]);
	return given;
}

void sched_timer_tick(void)
{
	struct cpu *c = this_cpu();
	uint64_t now = clock_monotonic_ns();

	c->timer_programmed_ns = UINT64_MAX;
	if (c->resched_soon) /* soon was long ago */
		c->need_resched = true;
	account(c, now); /* who comes is placed by it */
	expire_timers(c, now);
	if (c->held && now >= c->held_until_ns) {
		c->held_last_ns = now;
		linger_over(c->running, false);
		held_post(c);
	}
	if (c->running != c->idle) {
		if (now >= c->slice_end_ns) {
			if (heap_first(&c->runq)) {
				c->need_resched = true;
			} else {
				c->slice_begin_ns = now;
				c->slice_end_ns = now + SLICE_NS;
			}
		}
	}
	if (!c->need_resched)
		sched_program_timer(c);
}

void sched_ipi(void)
{
	struct cpu *c = this_cpu();

	atomic_store(&c->ipi_sent, false);
	c->ipis++;
	smp_run_calls(c);
	if (atomic_load(&c->inbox)) {
		account(c, clock_monotonic_ns());
		sched_drain_inbox();
	}
	if (atomic_exchange(&c->pull_request, false))
		runq_share(c, atomic_load_explicit(&c->nr_running, memory_order_relaxed));
	if (!c->need_resched)
		sched_program_timer(c);
}

/* --- sleeping --------------------------------------------------------------------------------- */

void sleep_prepare(enum thread_state how) { atomic_store(&current->state, how); }
void sleep_cancel(void) { atomic_store(&current->state, THREAD_RUNNABLE); }

SWITCHING int sleep_until(uint64_t deadline_ns)
{
	struct thread *t = current;

	assert(t->preempt_count == 0 && !t->is_idle);
	uint64_t f = irq_save();
	struct cpu *c = this_cpu();
	t->timed_out = false;
	if (deadline_ns != DEADLINE_NEVER) {
		if (deadline_ns <= clock_monotonic_ns()) {
			int was = atomic_exchange(&t->state, THREAD_RUNNABLE);
			irq_restore(f);
			return was == THREAD_RUNNABLE ? 0 : -ETIMEDOUT;
		}
		t->timer_node.key = deadline_ns;
		t->timer_armed = true;
		heap_insert(&c->timers, &t->timer_node);
	}
	schedule(true);
	bool timed_out = t->timed_out;
	irq_restore(f);
	return timed_out ? -ETIMEDOUT : 0;
}

void sleep_ns(uint64_t ns)
{
	uint64_t deadline = clock_monotonic_ns() + ns;

	do {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
	} while (sleep_until(deadline) == 0);
}

SWITCHING long thread_yield(void)
{
	irq_disable();
	struct cpu *c = this_cpu();
	struct heap_node *n;

	if (unlikely(c->held))
		held_post(c);
	if (atomic_load_explicit(&c->inbox, memory_order_relaxed))
		sched_drain_inbox();
	n = heap_first(&c->runq);
	if (n) {
		uint64_t now = vdso_monotonic_ns(clock_data);
		account(c, now);
		/* Behind the one who has waited longest, by the smallest step. */
		c->running->vruntime_ns = MAX(c->running->vruntime_ns, n->key + 1);
		switch_to_next(c, now, true);
	}
	irq_enable();
	return 0;
}

/* --- threads that begin and end ----------------------------------------------------------------- */

void sched_init_cpu(unsigned id)
{
	if (id >= online_cpus)
		online_cpus = id + 1;
}

void thread_start(struct thread *t)
{
	mutex_lock(&thread_list_lock);
	list_push_back(&all_threads, &t->all_link);
	mutex_unlock(&thread_list_lock);

	thread_get(t); /* it may be found in an inbox and run to its end as soon as it is runnable */
	uint64_t f = irq_save();
	struct cpu *c = this_cpu();
	struct cpu *to = online_cpus > 1 && c->running != c->idle ? idle_cpu_for(t, c) : NULL;
	t->vruntime_ns = (to ? to : c)->min_vruntime_ns;
	atomic_store(&t->cpu, (to ? to : c)->id);
	atomic_store(&t->state, THREAD_RUNNABLE);
	runnable_post(t, true);
	irq_restore(f);
	thread_put(t);
}

_Noreturn void sched_leave(void)
{
	irq_disable();
	struct cpu *c = this_cpu();
	if (c->fpu_owner == current)
		c->fpu_owner = NULL;
	atomic_store(&current->state, THREAD_DEAD);
	schedule(true);
	panic("a dead thread runs");
}

int sched_set_affinity(struct thread *t, uint64_t mask)
{
	uint64_t online = online_cpus >= 64 ? ~0ull : (1ull << online_cpus) - 1;

	if (!(mask & online))
		return -EINVAL;
	atomic_store(&t->affinity, mask);
	if (t != current) {
		/* Whoever gives it a home after this look sees the mask when it queues the thread there. */
		if (!(mask & 1ull << atomic_load(&t->cpu)))
			sched_post(t);
	} else if (!(mask & 1ull << cpu_id())) {
		uint64_t f = irq_save();
		schedule(true);
		irq_restore(f);
	}
	return 0;
}

uint64_t thread_cpu_ns(struct thread *t)
{
	uint64_t ns = atomic_load_explicit(&t->run_ns, memory_order_relaxed);

	if (t == current) {
		uint64_t f = irq_save();
		account(this_cpu(), clock_monotonic_ns());
		ns = atomic_load_explicit(&t->run_ns, memory_order_relaxed);
		irq_restore(f);
	}
	return ns;
}
