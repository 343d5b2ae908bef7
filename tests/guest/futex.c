/*
 * tests/guest/futex.c - the futex system call, and locks that are built on it.
 */
#include "harness.h"
#include "waits.h"
#include <linux/futex.h>

static _Atomic uint32_t word;
static _Atomic int woken, started, results[64];
static _Atomic pid_t tids[64];

static long futex(_Atomic uint32_t *addr, int op, uint32_t val, const void *timeout, void *addr2,
		  uint32_t val3)
{
	return sys(SYS_futex, addr, op, val, timeout, addr2, val3);
}

/* By the waiter of that number, before its call. */
static void waits_soon(void *arg)
{
	tids[(long)arg] = gettid();
	started++;
}

static void *wait_once(void *arg)
{
	waits_soon(arg);
	results[(long)arg] = (int)futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	woken++;
	return NULL;
}

static void waiters_start(pthread_t *threads, int n, void *(*run)(void *))
{
	woken = started = 0;
	word = 0;
	for (long i = 0; i < n; i++) {
		results[i] = 77;
		threads[i] = thread_start(run, (void *)i);
	}
	CHECK(EVENTUALLY(started == n));
	for (int i = 0; i < n; i++)
		wait_asleep(tids[i]);
}

static void waiters_end(pthread_t *threads, int n)
{
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

TEST(wait_answers_eagain_when_the_value_differs)
{
	word = 5;
	CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0), -EAGAIN);
	CHECK_EQ(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), -EAGAIN);
}

TEST(wake_without_waiters_answers_zero)
{
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 0);
}

TEST(wake_one_wakes_exactly_one)
{
	pthread_t threads[4];

	waiters_start(threads, 4, wait_once);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	CHECK(EVENTUALLY(woken == 1));
	sleep_ms(50);
	CHECK_EQ(woken, 1);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
	CHECK(EVENTUALLY(woken == 3));
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0), 1);
	waiters_end(threads, 4);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(results[i], 0);
}

TEST(wake_all_answers_the_number_woken)
{
	pthread_t threads[16];

	waiters_start(threads, 16, wait_once);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 16);
	waiters_end(threads, 16);
	CHECK_EQ(woken, 16);
}

TEST(relative_timeout_ends_the_wait)
{
	struct timespec ts = { 0, 30000000 };
	int64_t start = now_ns();

	word = 0;
	CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0), -ETIMEDOUT);
	CHECK(now_ns() - start >= 30000000);
	ts = (struct timespec){ 0, 0 };
	CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0), -ETIMEDOUT);
}

static void absolute(clockid_t clock, int flags, long ms)
{
	struct timespec ts, end;

	clock_gettime(clock, &ts);
	ts.tv_nsec += ms * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	word = 0;
	CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | flags, 0, &ts, NULL,
		       FUTEX_BITSET_MATCH_ANY), -ETIMEDOUT);
	clock_gettime(clock, &end);
	CHECK(end.tv_sec > ts.tv_sec || (end.tv_sec == ts.tv_sec && end.tv_nsec >= ts.tv_nsec));
}

TEST(absolute_timeout_on_the_monotonic_clock)
{
	absolute(CLOCK_MONOTONIC, 0, 40);
}

TEST(absolute_timeout_on_the_realtime_clock)
{
	absolute(CLOCK_REALTIME, FUTEX_CLOCK_REALTIME, 40);
}

TEST(absolute_timeout_in_the_past_ends_at_once)
{
	struct timespec ts = { 1, 0 };
	int64_t start = now_ns();

	word = 0;
	CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL, ~0u), -ETIMEDOUT);
	CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, ~0u),
		 -ETIMEDOUT);
	CHECK(now_ns() - start < 2000000000ll);
}

TEST(a_malformed_timeout_is_einval)
{
	struct timespec ts = { 0, 1000000000 };

	word = 0;
	CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0), -EINVAL);
	ts = (struct timespec){ -1, 0 };
	CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0), -EINVAL);
	ts = (struct timespec){ 0, -1 };
	CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL, ~0u), -EINVAL);
}

TEST(bad_addresses_and_alignment_are_refused)
{
	struct timespec ts = { 0, 1000000 };
	char *none = map_anon(1, PROT_NONE);

	CHECK_EQ(sys(SYS_futex, BAD_PTR, FUTEX_WAIT_PRIVATE, 0, &ts), -EFAULT);
	CHECK_EQ(sys(SYS_futex, none, FUTEX_WAIT_PRIVATE, 0, &ts), -EFAULT);
	CHECK_EQ(sys(SYS_futex, HIGH_PTR, FUTEX_WAIT_PRIVATE, 0, &ts), -EFAULT);
	CHECK_EQ(sys(SYS_futex, (char *)&word + 1, FUTEX_WAIT_PRIVATE, 0, &ts), -EINVAL);
	CHECK_EQ(sys(SYS_futex, (char *)&word + 2, FUTEX_WAKE_PRIVATE, 1, 0), -EINVAL);
	CHECK_EQ(sys(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_futex, HIGH_PTR, FUTEX_WAKE_PRIVATE, 1, 0), -EFAULT);
}

TEST(unknown_operations_are_enosys)
{
	CHECK_EQ(futex(&word, 99, 0, NULL, NULL, 0), -ENOSYS);
	CHECK_EQ(futex(&word, 2 /* FUTEX_FD, gone */, 0, NULL, NULL, 0), -ENOSYS);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), -ENOSYS);
	CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE | FUTEX_CLOCK_REALTIME, word + 1, NULL, NULL, 0), -ENOSYS);
}

TEST(a_zero_bitset_is_einval)
{
	CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, word, NULL, NULL, 0), -EINVAL);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0), -EINVAL);
}

static void *wait_bitset(void *arg)
{
	waits_soon(arg);
	results[(long)arg] = (int)futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL,
					1u << (long)arg);
	woken++;
	return NULL;
}

TEST(wake_bitset_wakes_matching_waiters_only)
{
	pthread_t threads[4];

	waiters_start(threads, 4, wait_bitset);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 99, NULL, NULL, 1u << 2), 1);
	CHECK(EVENTUALLY(woken == 1));
	CHECK_EQ(results[2], 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 99, NULL, NULL, 1u << 9), 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 99, NULL, NULL, 3), 2);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0), 1);
	waiters_end(threads, 4);
}

static _Atomic uint32_t word2;

TEST(requeue_moves_waiters_to_the_second_word)
{
	pthread_t threads[6];

	waiters_start(threads, 6, wait_once);
	word2 = 0;
	CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)99, &word2, 1), -EAGAIN);
	CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)3, &word2, 0), 4);
	CHECK(EVENTUALLY(woken == 1));
	CHECK_EQ(futex(&word2, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0), 3);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0), 2);
	waiters_end(threads, 6);
}

TEST(plain_requeue_does_not_compare)
{
	pthread_t threads[3];

	waiters_start(threads, 3, wait_once);
	CHECK_EQ(futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)99, &word2, 0), 3);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&word2, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0), 3);
	waiters_end(threads, 3);
}

static void *wait_timed(void *arg)
{
	struct timespec ts = { 1, 0 };

	waits_soon(arg);
	results[(long)arg] = (int)futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);
	woken++;
	return NULL;
}

TEST(a_requeued_waiter_still_times_out)
{
	pthread_t threads[2];

	waiters_start(threads, 2, wait_timed);
	CHECK_EQ(futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)99, &word2, 0), 2);
	waiters_end(threads, 2);
	CHECK_EQ(results[0], -ETIMEDOUT);
	CHECK_EQ(results[1], -ETIMEDOUT);
	CHECK_EQ(futex(&word2, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0), 0);
}

TEST(wake_op_changes_the_second_word_and_compares)
{
	pthread_t threads[2];

	waiters_start(threads, 2, wait_once);
	word2 = 10;
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2,
		       FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 11)), 1);
	CHECK_EQ(word2, 15);
	CHECK_EQ(futex(&word2, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word,
		       FUTEX_OP(FUTEX_OP_SET, 3, FUTEX_OP_CMP_EQ, 0)), 1);
	CHECK_EQ(word, 3);
	waiters_end(threads, 2);
}

TEST(wake_op_knows_every_operation)
{
	static const struct {
		int op;
		uint32_t arg, before, after;
	} table[] = {
		{ FUTEX_OP_SET, 7, 1, 7 },
		{ FUTEX_OP_ADD, 7, 1, 8 },
		{ FUTEX_OP_OR, 6, 1, 7 },
		{ FUTEX_OP_ANDN, 6, 7, 1 },
		{ FUTEX_OP_XOR, 5, 6, 3 },
		{ FUTEX_OP_OR | 8 /* argument is a shift */, 4, 1, 17 },
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		word2 = table[i].before;
		CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2,
			       FUTEX_OP(table[i].op, table[i].arg, FUTEX_OP_CMP_EQ, 0)), 0);
		CHECK_EQ(word2, table[i].after);
	}
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, FUTEX_OP(7, 1, 0, 0)),
		 -ENOSYS);
	CHECK_EQ(sys(SYS_futex, &word, FUTEX_WAKE_OP_PRIVATE, 1, 1, BAD_PTR, FUTEX_OP(0, 1, 0, 0)),
		 -EFAULT);
}

static void nothing(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
}

static _Atomic pid_t waiter_tid;

static void *wait_with_tid(void *arg)
{
	waiter_tid = gettid();
	return wait_once(arg);
}

TEST(a_signal_interrupts_the_wait_without_restart)
{
	pthread_t threads[1];

	handle(SIGUSR1, nothing, 0);
	waiters_start(threads, 1, wait_with_tid);
	CHECK_OK(tgkill(getpid(), waiter_tid, SIGUSR1));
	waiters_end(threads, 1);
	CHECK_EQ(results[0], -EINTR);
}

TEST(a_signal_with_restart_continues_an_untimed_wait)
{
	pthread_t threads[1];

	handle(SIGUSR1, on_wake, SA_RESTART);
	wakes = 0;
	waiters_start(threads, 1, wait_with_tid);
	CHECK_OK(tgkill(getpid(), waiter_tid, SIGUSR1));
	CHECK(EVENTUALLY(wakes == 1));
	wait_asleep(waiter_tid);
	CHECK_EQ(woken, 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	waiters_end(threads, 1);
	CHECK_EQ(results[0], 0);
}

/* Of a wait with an end in `timed_ms`: what its clock says then. */
static _Atomic int timed_ms, timed_flags;
static _Atomic int64_t wait_took;

static void *wait_until(void *arg)
{
	struct timespec ts;
	int64_t start = now_ns();

	waiter_tid = gettid();
	clock_gettime(timed_flags & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += timed_ms % 1000 * 1000000;
	ts.tv_sec += timed_ms / 1000 + ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	waits_soon(arg);
	results[(long)arg] = (int)futex(&word, FUTEX_WAIT_BITSET_PRIVATE | timed_flags, 0, &ts, NULL, ~0u);
	wait_took = now_ns() - start;
	woken++;
	return NULL;
}

static void *wait_for(void *arg)
{
	struct timespec ts = { timed_ms / 1000, timed_ms % 1000 * 1000000 };
	int64_t start = now_ns();

	waiter_tid = gettid();
	waits_soon(arg);
	results[(long)arg] = (int)futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);
	wait_took = now_ns() - start;
	woken++;
	return NULL;
}

/* A handler ends every wait that has an end, whatever its flags say. */
static void handler_ends(void *(*run)(void *), int flags)
{
	pthread_t threads[1];

	timed_ms = 20000;
	timed_flags = flags;
	handle(SIGUSR1, nothing, SA_RESTART);
	waiters_start(threads, 1, run);
	wait_asleep(waiter_tid);
	CHECK_OK(tgkill(getpid(), waiter_tid, SIGUSR1));
	waiters_end(threads, 1);
	CHECK_EQ(results[0], -EINTR);
}

TEST(a_signal_ends_an_absolute_wait_even_with_restart) { handler_ends(wait_until, 0); }
TEST(a_signal_ends_a_realtime_wait_even_with_restart) { handler_ends(wait_until, FUTEX_CLOCK_REALTIME); }
TEST(a_signal_ends_a_relative_wait_even_with_restart) { handler_ends(wait_for, 0); }

static _Atomic int handled;

static void count(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	handled++;
}

static void *wait_often(void *arg)
{
	void *(*run)(void *) = arg;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	while (word != UINT32_MAX)
		run((void *)0);
	return NULL;
}

/*
 * The waiter is the only one that lets the signal through, so it is woken for it; but this thread takes it, before or while the
 * waiter looks. Then no handler runs, and the wait must go on.
 */
static void goes_on(void *(*run)(void *))
{
	enum { ROUNDS = 1500 };
	struct timespec none = { 0, 0 };
	sigset_t set;
	pthread_t thread;
	int mine = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	main_thread_blocks(SIGUSR1, 0);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	handle(SIGUSR1, count, SA_RESTART);
	timed_ms = 20000;
	timed_flags = 0;
	word = 0;
	started = woken = handled = 0;
	thread = thread_start(wait_often, run);
	for (int round = 0; round < ROUNDS; round++) {
		int before = handled;

		while (started != round + 1)
			sched_yield();
		results[0] = 77;
		while (!asleep(waiter_tid))
			sched_yield();
		CHECK_OK(kill(getpid(), SIGUSR1));
		for (volatile int i = 0; i < round * 17 % 5000; i++)
			;
		if (sigtimedwait(&set, NULL, &none) == SIGUSR1) {
			mine++;
			while (futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0 && woken == round)
				sched_yield();
		}
		while (woken != round + 1)
			sched_yield();
		if (handled == before)
			CHECK_MSG(results[0] == 0, "round %d: no handler ran, and the wait answers %d", round, results[0]);
		else
			CHECK_MSG(results[0] == -EINTR, "round %d: a handler ran, and the wait answers %d", round, results[0]);
	}
	word = UINT32_MAX;
	while (pthread_tryjoin_np(thread, NULL) == EBUSY)
		futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	CHECK(mine > 0);
}

TEST_SLOW(an_absolute_wait_goes_on_when_another_thread_took_the_signal, 60) { goes_on(wait_until); }
TEST_SLOW(a_relative_wait_goes_on_when_another_thread_took_the_signal, 60) { goes_on(wait_for); }

TEST(there_is_nothing_to_restart_without_an_interrupted_call)
{
	CHECK_EQ(sys(SYS_restart_syscall), -EINTR);
}

static _Atomic uint32_t *shared_word;

static void *wait_shared(void *arg)
{
	waits_soon(arg);
	results[(long)arg] = (int)futex(shared_word, FUTEX_WAIT, 0, NULL, NULL, 0);
	return NULL;
}

TEST(two_mappings_of_a_file_are_one_shared_futex)
{
	pthread_t threads[1];
	int fd = memfd_create("futex", 0);
	_Atomic uint32_t *a, *b;

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, PAGE));
	a = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(a != MAP_FAILED && b != MAP_FAILED && a != b);
	*a = 1;
	CHECK_EQ(*b, 1);
	CHECK_EQ(futex(b, FUTEX_WAIT, 0, NULL, NULL, 0), -EAGAIN);
	*b = 0;
	shared_word = a;
	waiters_start(threads, 1, wait_shared);
	/* Requeue between the two names of one word is the same as no move at all. */
	CHECK_EQ(futex(b, FUTEX_REQUEUE, 0, (void *)99, a, 0), 1);
	CHECK_EQ(futex(a, FUTEX_REQUEUE, 0, (void *)99, b, 0), 1);
	CHECK_EQ(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	waiters_end(threads, 1);
	CHECK_EQ(results[0], 0);
}

TEST(a_wake_through_another_mapping_reaches_the_waiter)
{
	pthread_t threads[1];
	int fd = memfd_create("futex", 0);
	_Atomic uint32_t *b;

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, 2 * PAGE));
	shared_word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	b = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(shared_word != MAP_FAILED && b != MAP_FAILED);
	waiters_start(threads, 1, wait_shared);
	CHECK_EQ(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	CHECK_EQ(futex(b + PAGE / 4, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	CHECK_EQ(futex(b + PAGE / 4, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	waiters_end(threads, 1);
	CHECK_EQ(results[0], 0);
}

TEST(wait_sees_a_page_that_was_never_touched_as_zero)
{
	struct timespec ts = { 0, 1000000 };
	char *p = map_anon(1, PROT_READ | PROT_WRITE);

	CHECK_EQ(sys(SYS_futex, p + 64, FUTEX_WAIT_PRIVATE, 1, &ts), -EAGAIN);
	CHECK_EQ(sys(SYS_futex, p + 128, FUTEX_WAIT_PRIVATE, 0, &ts), -ETIMEDOUT);
}

/* A three-state lock straight on futexes: 0 free, 1 held, 2 held with waiters. */
static void lock(_Atomic uint32_t *l)
{
	uint32_t c = 0;

	if (atomic_compare_exchange_strong(l, &c, 1))
		return;
	if (c != 2)
		c = atomic_exchange(l, 2);
	while (c) {
		syscall(SYS_futex, l, FUTEX_WAIT_PRIVATE, 2, NULL);
		c = atomic_exchange(l, 2);
	}
}

static void unlock(_Atomic uint32_t *l)
{
	if (atomic_exchange(l, 0) == 2)
		syscall(SYS_futex, l, FUTEX_WAKE_PRIVATE, 1);
}

static _Atomic uint32_t lock_word;
static long locked_count;

static void *lock_loop(void *arg)
{
	for (long i = 0; i < (long)arg; i++) {
		lock(&lock_word);
		locked_count++;
		unlock(&lock_word);
	}
	return NULL;
}

TEST_SLOW(a_lock_built_on_futexes_excludes_and_never_hangs, 60)
{
	pthread_t threads[8];

	lock_word = 0;
	locked_count = 0;
	for (int i = 0; i < 8; i++)
		threads[i] = thread_start(lock_loop, (void *)15000);
	waiters_end(threads, 8);
	CHECK_EQ(locked_count, 8 * 15000);
}

static _Atomic uint32_t ping;

static void *pong(void *arg)
{
	for (uint32_t i = 0; i < (uint32_t)(long)arg; i++) {
		while (ping != 2 * i + 1)
			syscall(SYS_futex, &ping, FUTEX_WAIT_PRIVATE, 2 * i, NULL);
		ping = 2 * i + 2;
		syscall(SYS_futex, &ping, FUTEX_WAKE_PRIVATE, 1);
	}
	return NULL;
}

TEST_SLOW(ping_pong_loses_no_wake, 60)
{
	enum { ROUNDS = 5000 };
	pthread_t thread;

	ping = 0;
	thread = thread_start(pong, (void *)ROUNDS);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		ping = 2 * i + 1;
		syscall(SYS_futex, &ping, FUTEX_WAKE_PRIVATE, 1);
		while (ping != 2 * i + 2)
			syscall(SYS_futex, &ping, FUTEX_WAIT_PRIVATE, 2 * i + 1, NULL);
	}
	pthread_join(thread, NULL);
}

static void *timed_waits(void *arg)
{
	for (int i = 0; i < 300; i++) {
		struct timespec ts = { 0, 1 + (i * 7919 + (long)arg * 104729) % 2000000 };
		long r = futex(&word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);

		if (r != -ETIMEDOUT && r != 0)
			FAIL("wait answered %ld", r);
	}
	started--;
	return NULL;
}

TEST_SLOW(wakes_that_race_with_timeouts_lose_nobody, 60)
{
	pthread_t threads[6];

	word = 0;
	started = 6;
	for (long i = 0; i < 6; i++)
		threads[i] = thread_start(timed_waits, (void *)i);
	while (started > 0) {
		futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		usleep(200);
	}
	waiters_end(threads, 6);
}

TEST(priority_inheritance_mutexes_lock_and_unlock)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t mutex;
	int err;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	err = pthread_mutex_init(&mutex, &attr);
	if (err)
		SKIP("no priority inheritance, see docs/abi.md");
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}

TEST_MAIN("futex")
