/*
 * kernel/core/waitq.c - see waitq.h.
 */
#include "core/waitq.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/thread.h"

int waitq_wait(struct waitq *q, struct mutex *m, uint64_t deadline_ns, bool interruptible)
{
	struct waitq_entry e = { .thread = current };
	int r = 0;

	assert(mutex_held(m));
	/* The state is announced before the signal check, so that a signal in between ends the sleep. */
	list_push_back(&q->entries, &e.link);
	sleep_prepare(interruptible ? SLEEP_INTERRUPTIBLE : SLEEP_UNINTERRUPTIBLE);
	mutex_unlock(m);
	if (interruptible && signal_pending())
		r = -EINTR;
	else
		r = sleep_until(deadline_ns);
	sleep_cancel();
	mutex_lock(m);
	if (list_empty(&e.link)) {
		r = 0; /* a waker chose us: the wake must not get lost */
	} else {
		list_del(&e.link);
		if (r == 0 && interruptible && signal_pending())
			r = -EINTR;
	}
	return r;
}

void waitq_wake_entries(struct waitq *q, unsigned n, unsigned events)
{
	struct waitq_entry *e, *tmp;

	list_for_each_safe(e, tmp, &q->entries, link) {
		if (e->callback) {
			e->callback(e, events);
		} else if (n > 0) {
			n--;
			list_del(&e->link);
			thread_wake(e->thread);
		}
	}
}
