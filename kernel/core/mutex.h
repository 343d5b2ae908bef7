/*
 * kernel/core/mutex.h - sleeping mutex with direct hand-off, and a reader-writer lock.
 *
 * The fast paths are one compare-and-swap. A contended lock sleeps; unlock hands the mutex to the
 * longest waiter. Not recursive. Thread context only. Every mutex has a name that a panic can print.
 * Sleeping in it is uninterruptible, so hold mutexes for bounded work, and never across a wait for
 * the application's own action. Page faults on application memory are allowed under a mutex only
 * if the fault path (mm, page cache, file systems) never takes it.
 */
#ifndef IBRIK_CORE_MUTEX_H
#define IBRIK_CORE_MUTEX_H

#include "lib/types.h"

struct thread;
struct mutex_waiter;

struct mutex {
	_Atomic uintptr_t state;       /* 0 free, 1 held, else a stack of waiters | 1 */
	struct mutex_waiter *fifo;     /* holder only: waiters in order of arrival */
	struct thread *_Atomic owner;  /* for assertions and panics */
	const char *name;
};

#define MUTEX_INIT(text) { .name = text }
void mutex_init(struct mutex *m, const char *name);
void mutex_lock(struct mutex *m);
bool mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);
/* The same for one that many threads want for short work: whoever runs may take it before the one who has waited longest finds a CPU (four times, then it is
 * handed over). *woken belongs to the mutex, false at first. Where this is used, mutex_unlock() may be, too. */
void mutex_unlock_open(struct mutex *m, _Atomic bool *woken);
bool mutex_held(const struct mutex *m); /* by the current thread */

/*
 * Reader-writer lock, fair between the two kinds: readers that arrive behind a waiting writer wait.
 * Not recursive on either side.
 */
struct rwlock {
	struct mutex gate;      /* orders writers and the first blocked readers */
	_Atomic int64_t readers;
	struct thread *_Atomic writer_waiting;
};
void rwlock_init(struct rwlock *l, const char *name);
void read_lock(struct rwlock *l);
void read_unlock(struct rwlock *l);
void write_lock(struct rwlock *l);
void write_unlock(struct rwlock *l);

#endif
