/*
 * kernel/core/ktimer.c - functions that run at a given time.
 *
 * Theory:    a heap of deadlines and one thread. The thread sleeps until the first deadline; arming an
 *            earlier one wakes it. While a function runs `running` names its timer, and cancel waits until
 *            it is something else.
 * Locking:   timers_lock, a leaf: nothing else is taken under it.
 * Errors:    only ktimer_start() can fail.
 */
#include "core/ktimer.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "core/thread.h"
#include "core/waitq.h"

static struct mutex timers_lock = MUTEX_INIT("ktimer");
static struct heap timers;
static struct waitq timers_changed = { LIST_INIT(timers_changed.entries) };
static struct waitq function_ended = { LIST_INIT(function_ended.entries) };
static struct ktimer *running;
static struct thread *timers_thread;

static void ktimer_loop(void *arg)
{
	mutex_lock(&timers_lock);
	for (;;) {
		struct heap_node *first = heap_first(&timers);
		struct ktimer *t;

		if (!first || first->key > clock_monotonic_ns()) {
			waitq_wait(&timers_changed, &timers_lock, first ? first->key : DEADLINE_NEVER,
				   false);
			continue;
		}
		t = container_of(heap_pop(&timers), struct ktimer, node);
		t->armed = false;
		running = t;
		mutex_unlock(&timers_lock);
		t->fn(t);
		mutex_lock(&timers_lock);
		running = NULL;
		waitq_wake_all(&function_ended, 0);
	}
}

int ktimer_start(void)
{
	struct thread *t;

	mutex_lock(&timers_lock);
	if (!timers_thread) {
		t = thread_create_kernel("ktimer", ktimer_loop, NULL);
		if (!IS_ERR(t))
			timers_thread = t;
	}
	t = timers_thread;
	mutex_unlock(&timers_lock);
	return t ? 0 : -ENOMEM;
}

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t))
{
	t->armed = false;
	t->cancelling = false;
	t->fn = fn;
}

static bool disarm_locked(struct ktimer *t)
{
	bool was = t->armed;

	if (was)
		heap_remove(&timers, &t->node);
	t->armed = false;
	return was;
}

void ktimer_arm(struct ktimer *t, uint64_t deadline_ns)
{
	mutex_lock(&timers_lock);
	disarm_locked(t);
	if (!t->cancelling) {
		t->node.key = deadline_ns;
		t->armed = true;
		heap_insert(&timers, &t->node);
		if (heap_first(&timers) == &t->node)
			waitq_wake(&timers_changed, 1, 0);
	}
	mutex_unlock(&timers_lock);
}

bool ktimer_disarm(struct ktimer *t)
{
	bool was;

	mutex_lock(&timers_lock);
	was = disarm_locked(t);
	mutex_unlock(&timers_lock);
	return was;
}

bool ktimer_cancel(struct ktimer *t)
{
	bool was;

	mutex_lock(&timers_lock);
	was = disarm_locked(t);
	while (running == t && current != timers_thread) {
		t->cancelling = true; /* or the function could arm it again and again */
		waitq_wait(&function_ended, &timers_lock, DEADLINE_NEVER, false);
	}
	t->cancelling = false;
	mutex_unlock(&timers_lock);
	return was;
}
