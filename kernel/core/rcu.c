/*
 * kernel/core/rcu.c - grace periods; see rcu.h.
 *
 * A grace period asks every other CPU by IPI. The handler sees the interrupted thread's preemption count:
 * zero (or the idle thread) means no reader section is open there, now; otherwise the CPU reports at the
 * next outermost preempt_enable() or switch. So a CPU-bound Java thread, which never enters the kernel by
 * itself, does not hold up anybody.
 */
#include "core/rcu.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/smp.h"
#include "cpu.h"

static struct mutex gp_lock = MUTEX_INIT("rcu grace period");
#define COUNTING (1u << 20)
static _Atomic unsigned pending_cpus;
static struct thread *_Atomic gp_waiter;

/*
 * Callbacks wait for company: switching to their thread and back costs more than most of them do. The thread is woken by the
 * first, sleeps for GATHER_NS, and goes on earlier when GATHER_MAX have come.
 */
#define GATHER_NS 4000000ull
#define GATHER_MAX 64u

static struct rcu_head *_Atomic callbacks;
static _Atomic unsigned callback_count;
static struct thread *_Atomic callback_thread;

static void report(void)
{
	struct thread *w = atomic_load(&gp_waiter);
	if (atomic_fetch_sub(&pending_cpus, 1) == 1)
		thread_wake(w);
}

void rcu_quiescent(struct cpu *c)
{
	if (unlikely(c->rcu_report)) {
		c->rcu_report = false;
		report();
	}
}

static void check_cpu(void *arg)
{
	struct cpu *c = this_cpu();

	if (current->preempt_count == 0 || current->is_idle)
		report();
	else
		c->rcu_report = true;
}

void rcu_synchronize(void)
{
	assert(current->preempt_count == 0);
	if (cpu_count() == 1)
		return; /* we run, so no section is open on the only CPU */
	mutex_lock(&gp_lock);
	atomic_store(&gp_waiter, current);
	/* How many CPUs are asked is known afterwards only (one may come on line meanwhile; it has no section open
	 * that began before). Until then the count is far from zero. Our own CPU is quiescent: we run here. */
	atomic_store(&pending_cpus, COUNTING);
	unsigned asked = smp_call_others(check_cpu, NULL, false);
	atomic_fetch_sub(&pending_cpus, COUNTING - asked);
	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load(&pending_cpus) == 0)
			break;
		sleep_until(DEADLINE_NEVER);
	}
	sleep_cancel();
	mutex_unlock(&gp_lock);
}

void rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *head))
{
	struct rcu_head *first = atomic_load_explicit(&callbacks, memory_order_relaxed);
	unsigned before = atomic_fetch_add_explicit(&callback_count, 1, memory_order_relaxed);
	struct thread *t = atomic_load_explicit(&callback_thread, memory_order_acquire);

	head->fn = fn;
	do
		head->next = first;
	while (!atomic_compare_exchange_weak(&callbacks, &first, head));
	/* From here on the head may be gone. */
	if (unlikely((!first || before + 1 == GATHER_MAX) && t))
		thread_wake(t);
}

/* Sleeps until callbacks have come, and have had time to gather. */
static struct rcu_head *callbacks_take(void)
{
	uint64_t until;

	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load(&callbacks))
			break;
		sleep_until(DEADLINE_NEVER);
	}
	sleep_cancel();
	until = clock_monotonic_ns() + GATHER_NS;
	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load(&callback_count) >= GATHER_MAX || sleep_until(until) == -ETIMEDOUT)
			break;
	}
	sleep_cancel();
	/* One that comes in between belongs to the one batch and is counted with the other: time makes up for it. */
	atomic_store(&callback_count, 0);
	return atomic_exchange(&callbacks, NULL);
}

static void callback_main(void *arg)
{
	for (;;) {
		struct rcu_head *list = callbacks_take();

		rcu_synchronize();
		while (list) {
			struct rcu_head *next = list->next;
			list->fn(list);
			list = next;
		}
	}
}

void rcu_start_thread(void)
{
	struct thread *t = thread_create_kernel("rcu", callback_main, NULL);
	if (IS_ERR(t))
		panic("no memory for the first threads");
	atomic_store(&callback_thread, t);
}
