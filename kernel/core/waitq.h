/*
 * kernel/core/waitq.h - queues of threads (and of poll callbacks) that wait for an object.
 *
 * The queue has no lock of its own: it is guarded by the mutex of the object it belongs to, which
 * must be held for every call here. waitq_wait() is a condition variable's wait: it queues the
 * thread, releases the mutex, sleeps, and takes the mutex again; the caller re-checks its condition
 * in a loop. Thread context only (interrupt handlers wake a kernel thread, see thread.h).
 *
 *   mutex_lock(&p->lock);
 *   while (p->used == 0) {
 *           r = waitq_wait(&p->readers, &p->lock, DEADLINE_NEVER, true);
 *           if (r) break;                       // -EINTR, -ETIMEDOUT
 *   }
 *
 * Poll: an entry with a callback stays queued until it is removed; each wake calls it under the
 * object's mutex, with the events (EPOLLIN ...) that became true. Lock order: object before the
 * callback's own lock; a callback must not call back into the object.
 */
#ifndef IBRIK_CORE_WAITQ_H
#define IBRIK_CORE_WAITQ_H

#include "lib/types.h"
#include "lib/list.h"

struct mutex;
struct thread;

struct waitq {
	struct list entries;
};

struct waitq_entry {
	struct list link;
	struct thread *thread; /* woken if callback is NULL */
	void (*callback)(struct waitq_entry *e, unsigned events);
};

static inline void waitq_init(struct waitq *q) { list_init(&q->entries); }

/* Waits once. 0 after a wake, -EINTR (interruptible only), -ETIMEDOUT. The mutex is held on return. */
int waitq_wait(struct waitq *q, struct mutex *m, uint64_t deadline_ns, bool interruptible);
/* Wakes at most n sleeping threads (all callbacks run in any case); events for the callbacks. */
void waitq_wake_entries(struct waitq *q, unsigned n, unsigned events);
static inline void waitq_wake(struct waitq *q, unsigned n, unsigned events)
{
	if (!list_empty(&q->entries)) /* mostly nobody waits */
		waitq_wake_entries(q, n, events);
}
static inline void waitq_wake_all(struct waitq *q, unsigned events)
{
	waitq_wake(q, ~0u, events);
}
static inline void waitq_add(struct waitq *q, struct waitq_entry *e)
{
	list_push_back(&q->entries, &e->link);
}
static inline void waitq_remove(struct waitq_entry *e) { list_del(&e->link); }

#endif
