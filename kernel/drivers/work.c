/*
 * kernel/drivers/work.c - thread context for interrupt handlers; see work.h.
 *
 * Theory:  posted works form a lock-free stack with many producers; the thread takes the whole stack at
 *          once and reverses it, so that works run in the order of their posts. `queued` is cleared
 *          before the function runs: a post during the run queues it again, and none is lost.
 * Locking: none. due_ns and delayed_next belong to the thread.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "drivers/work.h"

static struct work *_Atomic posted;
static struct thread *_Atomic worker;
static struct work *delayed;

void work_post(struct work *w)
{
	struct work *head;
	struct thread *t;

	if (atomic_exchange_explicit(&w->queued, true, memory_order_acq_rel))
		return;
	head = atomic_load_explicit(&posted, memory_order_relaxed);
	do
		atomic_store_explicit(&w->next, head, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&posted, &head, w, memory_order_release,
						      memory_order_relaxed));
	t = atomic_load_explicit(&worker, memory_order_acquire);
	if (t)
		thread_wake(t);
}

void work_repeat(struct work *w, uint64_t after_ns)
{
	if (!w->due_ns) {
		w->delayed_next = delayed;
		delayed = w;
	}
	w->due_ns = clock_monotonic_ns() + after_ns;
}

static uint64_t run_delayed(void)
{
	uint64_t now = clock_monotonic_ns(), next = DEADLINE_NEVER;
	struct work **link = &delayed;

	while (*link) {
		struct work *w = *link;

		if (w->due_ns > now) {
			next = MIN(next, w->due_ns);
			link = &w->delayed_next;
			continue;
		}
		*link = w->delayed_next;
		w->due_ns = 0;
		work_post(w);
	}
	return next;
}

static void run_posted(void)
{
	struct work *w = atomic_exchange_explicit(&posted, NULL, memory_order_acquire), *fifo = NULL;

	while (w) {
		struct work *next = atomic_load_explicit(&w->next, memory_order_relaxed);

		atomic_store_explicit(&w->next, fifo, memory_order_relaxed);
		fifo = w;
		w = next;
	}
	while ((w = fifo)) {
		fifo = atomic_load_explicit(&w->next, memory_order_relaxed);
		atomic_store_explicit(&w->queued, false, memory_order_release);
		w->fn(w);
	}
}

static void work_thread(void *arg)
{
	atomic_store_explicit(&worker, current, memory_order_release);
	for (;;) {
		uint64_t next = run_delayed();

		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load_explicit(&posted, memory_order_acquire))
			sleep_cancel();
		else
			sleep_until(next);
		run_posted();
	}
}

void work_start(void)
{
	struct thread *t = thread_create_kernel("drivers", work_thread, NULL);

	if (IS_ERR(t))
		panic("no memory for the drivers' thread");
}
