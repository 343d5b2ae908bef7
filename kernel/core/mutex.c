/*
 * kernel/core/mutex.c - sleeping locks without a lock inside; see mutex.h.
 *
 * State of a mutex: 0 free; 1 held; a pointer to a waiter, with bit 0 set: held, and that waiter heads a
 * stack of threads that arrived since the holder last looked. Arrivals push themselves with
 * compare-and-swap. Only the holder takes waiters off: it exchanges the whole stack for 1, turns it over
 * and appends it to `fifo`, which belongs to the holder. Unlocking with waiters hands the mutex to the
 * first of `fifo` without ever setting the state to 0, so nobody overtakes, and the new holder owns
 * `fifo`. Nothing here waits for another CPU: every loop is a compare-and-swap retry.
 */
#include "core/mutex.h"
#include "core/log.h"
#include "core/thread.h"
#include "core/rcu.h"

struct mutex_waiter {
	struct mutex_waiter *next;
	struct thread *thread;
	_Atomic bool granted;
};

#define HELD 1ul

void mutex_init(struct mutex *m, const char *name)
{
	*m = (struct mutex){ .name = name };
}

bool mutex_trylock(struct mutex *m)
{
	uintptr_t expect = 0;

	if (!atomic_compare_exchange_strong_explicit(&m->state, &expect, HELD, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	atomic_store_explicit(&m->owner, current, memory_order_relaxed);
	return true;
}

static void lock_slow(struct mutex *m)
{
	struct mutex_waiter w = { .thread = current };
	uintptr_t state = atomic_load_explicit(&m->state, memory_order_relaxed);

	if (atomic_load_explicit(&m->owner, memory_order_relaxed) == current)
		panic("mutex %s is taken twice by %s", m->name, current->name);
	for (;;) {
		if (state == 0) {
			if (atomic_compare_exchange_weak_explicit(&m->state, &state, HELD, memory_order_acquire,
								  memory_order_relaxed))
				return;
			continue;
		}
		w.next = (struct mutex_waiter *)(state & ~HELD);
		if (atomic_compare_exchange_weak_explicit(&m->state, &state, (uintptr_t)&w | HELD,
							  memory_order_release, memory_order_relaxed))
			break;
	}
	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load_explicit(&w.granted, memory_order_acquire))
			break;
		sleep_until(DEADLINE_NEVER);
	}
	sleep_cancel();
}

void mutex_lock(struct mutex *m)
{
	if (!mutex_trylock(m)) {
		lock_slow(m);
		atomic_store_explicit(&m->owner, current, memory_order_relaxed);
	}
}

static void unlock_slow(struct mutex *m)
{
	if (!m->fifo) {
		uintptr_t stack = atomic_exchange_explicit(&m->state, HELD, memory_order_acquire) & ~HELD;
		struct mutex_waiter *w = (struct mutex_waiter *)stack;
		while (w) {
			struct mutex_waiter *next = w->next;
			w->next = m->fifo;
			m->fifo = w;
			w = next;
		}
	}
	struct mutex_waiter *first = m->fifo;
	struct thread *t = first->thread;
	m->fifo = first->next;
	/* After `granted` the waiter's record is gone; the thread stays valid while RCU protects it. */
	rcu_read_lock();
	atomic_store_explicit(&first->granted, true, memory_order_release);
	thread_wake(t);
	rcu_read_unlock();
}

void mutex_unlock(struct mutex *m)
{
	uintptr_t expect = HELD;

	assert(atomic_load_explicit(&m->owner, memory_order_relaxed) == current);
	atomic_store_explicit(&m->owner, NULL, memory_order_relaxed);
	if (!m->fifo && atomic_compare_exchange_strong_explicit(&m->state, &expect, 0, memory_order_release,
								memory_order_relaxed))
		return;
	unlock_slow(m);
}

bool mutex_held(const struct mutex *m)
{
	return atomic_load_explicit(&m->owner, memory_order_relaxed) == current;
}

/*
 * Reader-writer lock: `readers` counts readers inside; a writer holds the gate, adds WRITER to the count
 * so that newcomers go to the gate, and sleeps until the readers that were inside have left. The last one
 * wakes it.
 */
#define WRITER (1ll << 40)

void rwlock_init(struct rwlock *l, const char *name)
{
	mutex_init(&l->gate, name);
	l->readers = 0;
	l->writer_waiting = NULL;
}

void read_lock(struct rwlock *l)
{
	if (likely(atomic_fetch_add_explicit(&l->readers, 1, memory_order_acquire) < WRITER))
		return;
	read_unlock(l);
	mutex_lock(&l->gate); /* behind the writer */
	atomic_fetch_add_explicit(&l->readers, 1, memory_order_acquire);
	mutex_unlock(&l->gate);
}

void read_unlock(struct rwlock *l)
{
	rcu_read_lock();
	if (atomic_fetch_sub_explicit(&l->readers, 1, memory_order_acq_rel) == WRITER + 1) {
		struct thread *w = atomic_load(&l->writer_waiting);
		if (w)
			thread_wake(w);
	}
	rcu_read_unlock();
}

void write_lock(struct rwlock *l)
{
	mutex_lock(&l->gate);
	atomic_store(&l->writer_waiting, current);
	atomic_fetch_add(&l->readers, WRITER);
	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load(&l->readers) == WRITER)
			break;
		sleep_until(DEADLINE_NEVER);
	}
	sleep_cancel();
}

void write_unlock(struct rwlock *l)
{
	atomic_store(&l->writer_waiting, NULL);
	atomic_fetch_sub_explicit(&l->readers, WRITER, memory_order_release);
	mutex_unlock(&l->gate);
}
