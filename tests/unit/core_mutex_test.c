/*
 * tests/unit/core_mutex_test.c - the mutex with threads: one at a time, whichever way it is unlocked; nobody sleeps for ever, and nobody is overtaken
 * for ever.
 */
// sources: tests/unit/io_shim.c tests/unit/io_host.c kernel/core/mutex.c
// flags: -Itests/unit -pthread -ffreestanding -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include "io_shim.h"
#include "core/mutex.h"
#include <stdio.h>
#include <unistd.h>
#include "check.h"

#define THREADS 8
#define ROUNDS 20000

static const char *wrong;
#define EXPECT(cond) (wrong = wrong || (cond) ? wrong : #cond)
#undef RUN
#define RUN(test) (wrong = NULL, test(), check(#test, !wrong, wrong))

static struct mutex lock = MUTEX_INIT("test");
static _Atomic bool woken;
static unsigned count;
static _Atomic unsigned inside;
static unsigned open_of; /* of so many unlocks, one is not open; 0: none is, 1: all are */

static void unlock(unsigned round)
{
	if (open_of == 1 || (open_of && round % open_of))
		mutex_unlock_open(&lock, &woken);
	else
		mutex_unlock(&lock);
}

static void worker(void *arg)
{
	bool *alone = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		mutex_lock(&lock);
		*alone &= atomic_fetch_add(&inside, 1) == 0;
		/* Not atomic, on purpose. */
		count = *(volatile unsigned *)&count + 1;
		atomic_fetch_sub(&inside, 1);
		unlock(i);
		if (i % 64 == 0)
			usleep(1);
	}
}

static void one_at_a_time(void)
{
	struct io_thread *threads[THREADS];
	bool alone[THREADS];

	count = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		alone[i] = true;
		threads[i] = io_thread(worker, &alone[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		io_join(threads[i]);
		EXPECT(alone[i]);
	}
	EXPECT(count == THREADS * ROUNDS);
	EXPECT(mutex_trylock(&lock) && !lock.fifo);
	mutex_unlock(&lock);
}

static void one_at_a_time_handed_over(void) { open_of = 0; one_at_a_time(); }
static void one_at_a_time_open(void) { open_of = 1; one_at_a_time(); }
static void one_at_a_time_both(void) { open_of = 3; one_at_a_time(); }

static void waiter(void *arg)
{
	mutex_lock(&lock);
	atomic_store((_Atomic bool *)arg, true);
	mutex_unlock_open(&lock, &woken);
}

static void wait_for_arrival(void)
{
	for (unsigned i = 0; i < 1000 && atomic_load(&lock.state) == 1; i++)
		usleep(1000);
}

/* Takes the mutex again and again, before the one who waits can. How often that went well. */
static unsigned overtaken(void (*release)(void))
{
	_Atomic bool had = false;
	struct io_thread *t;
	unsigned n = 0;

	mutex_lock(&lock);
	t = io_thread(waiter, (void *)&had);
	for (; n < 100; n++) {
		wait_for_arrival();
		release();
		if (!mutex_trylock(&lock))
			break;
		if (atomic_load(&had)) {
			mutex_unlock(&lock);
			break;
		}
	}
	if (n == 100)
		mutex_unlock(&lock);
	io_join(t);
	EXPECT(atomic_load(&had));
	return n;
}

static void release_open(void) { mutex_unlock_open(&lock, &woken); }
static void release_over(void) { mutex_unlock(&lock); }

static void who_runs_may_overtake_but_not_for_ever(void)
{
	unsigned most = 0;

	/* Mostly the host lets the one who was woken run at once. */
	for (unsigned i = 0; i < 200 && !wrong; i++) {
		unsigned n = overtaken(release_open);

		/* Four times; with one that wait_for_arrival() gave up on. */
		EXPECT(n <= 5);
		most = n > most ? n : most;
	}
	EXPECT(most > 0);
}

static void what_is_handed_over_nobody_takes(void)
{
	for (unsigned i = 0; i < 20; i++)
		EXPECT(overtaken(release_over) == 0);
}

int main(void)
{
	io_init();
	RUN(one_at_a_time_handed_over);
	RUN(one_at_a_time_open);
	RUN(one_at_a_time_both);
	RUN(who_runs_may_overtake_but_not_for_ever);
	RUN(what_is_handed_over_nobody_takes);
	return failed;
}
