/*
 * kernel/core/mutex.c - sleeping locks without a lock inside; see mutex.h.
 *
 * State of a mutex: 0 free; 1 held; a pointer to a waiter, with bit 0 set: held, and that waiter heads a
 * stack of threads that arrived since the holder last looked. Arrivals push themselves with
 * compare-and-swap. Only the holder takes waiters off: it exchanges the whole stack for 1, turns it over
 * and appends it to `fifo`, which belongs to the holder. Unlocking with waiters hands the mutex to the
 * first of `fifo` without ever setting the state to 0, so nobody overtakes, and the new holder owns
 * `fifo`. Nothing here waits for another CPU: every loop is a compare-and-swap retry.
 *
 * Hand-off has a price where many threads want one mutex for short work: it is nobody's while the next one finds a CPU, behind whatever runs there, and
 * all who come meanwhile queue up, too. mutex_unlock_open() sets the state to 0 although there are waiters, and wakes the first to try again;
 * who runs may overtake it. So `fifo` may be there while the mutex is free: it belongs to whoever takes it next. *woken says that one who was woken
 * has not looked at the state yet, so that no other need be: it is cleared before that look, and looked at before the state is set to 0; a waiter
 * that finds the mutex held after clearing it is on the stack before that, which makes the unlocking compare-and-swap fail and look again. A
 * waiter that was overtaken LOST_MAX times is handed the mutex when it comes first again.
 */
#include "core/mutex.h"
#include "core/log.h"
#include "core/thread.h"
#include "core/rcu.h"

enum grant { NOT_YET, GRANTED, TRY_AGAIN };

struct mutex_waiter {
	struct mutex_waiter *next;
	struct thread *thread;
	_Atomic int grant;
	unsigned lost;       /* how often it was overtaken */
	_Atomic bool *woken; /* with TRY_AGAIN */
};

#define HELD 1ul
#define LOST_MAX 4

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
			if (atomic_compare_exchange_weak(&m->state, &state, HELD))
				return;
			continue;
		}
		w.next = (struct mutex_waiter *)(state & ~HELD);
		if (!atomic_compare_exchange_weak(&m->state, &state, (uintptr_t)&w | HELD))
			continue;
		for (;;) {
			sleep_prepare(SLEEP_UNINTERRUPTIBLE);
			if (atomic_load_explicit(&w.grant, memory_order_acquire))
				break;
			sleep_until(DEADLINE_NEVER);
		}
		sleep_cancel();
		if (atomic_load_explicit(&w.grant, memory_order_relaxed) == GRANTED)
			return;
		atomic_store_explicit(&w.grant, NOT_YET, memory_order_relaxed);
		w.lost++;
		atomic_store(w.woken, false);
		state = atomic_load(&m->state);
	}
}

void mutex_lock(struct mutex *m)
{
	if (!mutex_trylock(m)) {
		lock_slow(m);
		atomic_store_explicit(&m->owner, current, memory_order_relaxed);
	}
}

/* Takes those who have arrived to the end of `fifo`. Held. */
static void arrivals_take(struct mutex *m)
{
	struct mutex_waiter *w = (struct mutex_waiter *)(atomic_exchange_explicit(&m->state, HELD, memory_order_acquire) & ~HELD), *in_order = NULL;
	struct mutex_waiter **end = &m->fifo;

	while (w) {
		struct mutex_waiter *next = w->next;

		w->next = in_order;
		in_order = w;
		w = next;
	}
	while (*end)
		end = &(*end)->next;
	*end = in_order;
}

/* After the grant the waiter's record may be gone; the thread stays valid while RCU protects it. */
static void waiter_wake(struct mutex_waiter *w, enum grant grant)
{
	struct thread *t = w->thread;

	rcu_read_lock();
	atomic_store_explicit(&w->grant, grant, memory_order_release);
	thread_wake(t);
	rcu_read_unlock();
}

/* Hands the mutex to the first of `fifo`. */
static void hand_over(struct mutex *m)
{
	struct mutex_waiter *first = m->fifo;

	m->fifo = first->next;
	waiter_wake(first, GRANTED);
}

void mutex_unlock(struct mutex *m)
{
	uintptr_t expect = HELD;

	assert(atomic_load_explicit(&m->owner, memory_order_relaxed) == current);
	atomic_store_explicit(&m->owner, NULL, memory_order_relaxed);
	if (!m->fifo && atomic_compare_exchange_strong_explicit(&m->state, &expect, 0, memory_order_release,
								memory_order_relaxed))
		return;
	if (!m->fifo)
		arrivals_take(m);
	hand_over(m);
}

void mutex_unlock_open(struct mutex *m, _Atomic bool *woken)
{
	assert(atomic_load_explicit(&m->owner, memory_order_relaxed) == current);
	atomic_store_explicit(&m->owner, NULL, memory_order_relaxed);
	for (;;) {
		struct mutex_waiter *first = m->fifo, *wake = NULL;
		uintptr_t expect = HELD;

		if (first && first->lost >= LOST_MAX) {
			hand_over(m);
			return;
		}
		if (first && !atomic_load(woken)) {
			wake = first;
			wake->woken = woken;
			m->fifo = wake->next;
			atomic_store(woken, true);
		}
		if (atomic_compare_exchange_strong(&m->state, &expect, 0)) {
			if (wake)
				waiter_wake(wake, TRY_AGAIN);
			return;
		}
		/* Some have arrived: as it was, and again with them. */
		if (wake) {
			m->fifo = wake;
			atomic_store(woken, false);
		}
		arrivals_take(m);
	}
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
