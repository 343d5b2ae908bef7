/*
 * tests/guest/sched.c - how much of the CPUs threads get, and when: shares, yielding, wake-ups, CPU clocks, policies. Which CPUs: affinity.c.
 */
#include "harness.h"
#include <linux/futex.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

static _Atomic bool spin_stop;
static _Atomic long spin_count[16];

static void *spin(void *arg)
{
	_Atomic long *count = arg;

	while (!spin_stop)
		(*count)++;
	return NULL;
}

TEST_SLOW(more_busy_threads_than_cpus_all_make_progress, 40)
{
	int n = get_nprocs() * 2 + 1;
	pthread_t threads[16];

	if (n > 16)
		n = 16;
	spin_stop = false;
	for (int i = 0; i < n; i++) {
		spin_count[i] = 0;
		threads[i] = thread_start(spin, &spin_count[i]);
	}
	for (int i = 0; i < n; i++)
		CHECK_MSG(EVENTUALLY(spin_count[i] > 1000), "thread %d of %d starved", i, n);
	spin_stop = true;
	for (int i = 0; i < n; i++)
		thread_join(threads[i], NULL);
}

static int64_t spin_used[16];

static void *spin_and_tell(void *arg)
{
	struct timespec ts;

	spin(arg);
	CHECK_OK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts));
	spin_used[(_Atomic long *)arg - spin_count] = ts.tv_sec * 1000000000ll + ts.tv_nsec;
	return NULL;
}

/* By how many percent the CPU time of one of n threads differs most from the mean, in a second. */
static int spin_unevenly(int n)
{
	pthread_t threads[16];
	int64_t sum = 0, worst = 0;

	spin_stop = false;
	for (int i = 0; i < n; i++)
		threads[i] = thread_start(spin_and_tell, &spin_count[i]);
	sleep_ms(1000);
	spin_stop = true;
	for (int i = 0; i < n; i++) {
		thread_join(threads[i], NULL);
		sum += spin_used[i];
	}
	for (int i = 0; i < n; i++) {
		int64_t off = spin_used[i] - sum / n;

		off = off < 0 ? -off : off;
		worst = off > worst ? off : worst;
	}
	return (int)(worst * 100 * n / sum);
}

/* Other work of a host disturbs, so one even second in ten will do; a scheduler that does not balance has none. */
static void check_evenness(int n)
{
	int worst = 100;

	for (int i = 0; i < 10 && worst > 15; i++)
		worst = spin_unevenly(n > 16 ? 16 : n);
	CHECK_MSG(worst <= 15, "a share is off by %d %%", worst);
}

TEST_SLOW(two_busy_threads_a_cpu_get_even_shares, 40)
{
	check_evenness(2 * get_nprocs());
}

TEST_SLOW(one_busy_thread_more_than_cpus_gets_an_even_share, 40)
{
	check_evenness(get_nprocs() + 1);
}

TEST(a_sleeper_wakes_while_every_cpu_is_busy)
{
	int n = get_nprocs() * 2;
	pthread_t threads[16];
	int64_t start;

	if (n > 16)
		n = 16;
	spin_stop = false;
	for (int i = 0; i < n; i++)
		threads[i] = thread_start(spin, &spin_count[i]);
	start = now_ns();
	for (int i = 0; i < 20; i++)
		sleep_ms(1);
	start = now_ns() - start;
	spin_stop = true;
	for (int i = 0; i < n; i++)
		thread_join(threads[i], NULL);
	CHECK_MSG(start < 4000000000ll, "20 sleeps of 1 ms took %ld ms", (long)(start / 1000000));
}

/* A CPU with nothing else to do: what is due just when it decides to halt must not wait for the next interrupt, which never comes. */
static void *nap_often(void *arg)
{
	int64_t worst = 0, late, before;
	unsigned seed = 1;
	cpu_set_t last;

	(void)arg;
	CPU_ZERO(&last);
	CPU_SET(get_nprocs() - 1, &last);
	CHECK_OK(sched_setaffinity(0, sizeof(last), &last));
	for (int64_t end = now_ns() + 3000000000ll; now_ns() < end;) {
		struct timespec nap = { 0, 20000 + rand_r(&seed) % 180000 };

		before = now_ns();
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
		late = now_ns() - before - nap.tv_nsec;
		worst = late > worst ? late : worst;
	}
	CHECK_MSG(worst < 2000000000ll, "a sleep of less than 1 ms took %ld ms more", (long)(worst / 1000000));
	return NULL;
}

TEST(short_sleeps_end_on_a_cpu_that_is_idle_otherwise) { thread_join(thread_start(nap_often, NULL), NULL); }

/* On a CPU with nothing else to do: its timer must bear a time that no clock reaches. */
static _Atomic int forever_word;

static void *sleep_for_ever(void *arg)
{
	CHECK_EQ(sys(SYS_sched_setaffinity, 0, sizeof(long), &(unsigned long){ 1ul << (get_nprocs() - 1) }), 0);
	*(_Atomic pid_t *)arg = gettid();
	return (void *)sys(SYS_futex, &forever_word, FUTEX_WAIT_BITSET_PRIVATE, 0, &(struct timespec){ INT64_MAX, 0 }, NULL, FUTEX_BITSET_MATCH_ANY);
}

TEST(a_sleep_until_the_end_of_time_ends_when_it_is_woken)
{
	_Atomic pid_t tid = 0;
	pthread_t thread;

	forever_word = 0;
	thread = thread_start(sleep_for_ever, (void *)&tid);
	CHECK(EVENTUALLY(tid));
	sleep_ms(50);
	CHECK(EVENTUALLY(sys(SYS_futex, &forever_word, FUTEX_WAKE_PRIVATE, 1) == 1));
	thread_join(thread, NULL);
}

TEST(sched_yield_lets_another_thread_of_the_cpu_run)
{
	pthread_t thread;
	cpu_set_t all, one;

	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
	spin_stop = false;
	spin_count[0] = 0;
	thread = thread_start(spin, &spin_count[0]); /* inherits the mask */
	for (int64_t end = now_ns() + 3000000000ll; !spin_count[0] && now_ns() < end;)
		CHECK_EQ(sched_yield(), 0);
	spin_stop = true;
	thread_join(thread, NULL);
	CHECK(spin_count[0] > 0);
}

static int woken_pipe[2];
static _Atomic int woken_times;

static void *count_wakeups(void *arg)
{
	char byte;

	(void)arg;
	while (read(woken_pipe[0], &byte, 1) == 1)
		woken_times++;
	return NULL;
}

/* The waker goes on, early in its slice and without another call: whom it has woken gets the CPU all the same. */
static void *wake_and_spin(void *arg)
{
	pthread_t thread;
	int64_t before;
	cpu_set_t one;

	(void)arg;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
	CHECK_OK(pipe2(woken_pipe, O_CLOEXEC));
	woken_times = 0;
	thread = thread_start(count_wakeups, NULL); /* inherits the mask */
	for (int i = 0; i < 200; i++) {
		sched_yield();
		before = now_ns();
		CHECK_EQ(write(woken_pipe[1], "x", 1), 1);
		while (woken_times <= i && now_ns() - before < 5000000000ll)
			;
		CHECK_MSG(woken_times == i + 1, "woken %d times after %d writes", woken_times, i + 1);
	}
	close(woken_pipe[1]);
	thread_join(thread, NULL);
	close(woken_pipe[0]);
	return NULL;
}

TEST(a_woken_thread_runs_while_its_waker_goes_on) { thread_join(thread_start(wake_and_spin, NULL), NULL); }

/*
 * One that does next to nothing each time it is woken, on a CPU that another keeps busy: the kernel may let such wake-ups wait for each other, but not for
 * anything that the waker need not do.
 */
static _Atomic int brief_word, brief_seen;

static void *run_briefly(void *arg)
{
	int word;

	(void)arg;
	while ((word = brief_word) >= 0) {
		if (word == brief_seen)
			sys(SYS_futex, &brief_word, FUTEX_WAIT_PRIVATE, word, NULL);
		brief_seen = word;
	}
	return NULL;
}

static void brief_wake(void)
{
	brief_word++;
	sys(SYS_futex, &brief_word, FUTEX_WAKE_PRIVATE, 1);
}

static void *wake_and_end(void *arg)
{
	for (long i = 0; i < (long)arg; i++)
		brief_wake();
	return NULL;
}

static void wait_for_brief(void (*meanwhile)(void))
{
	int64_t end = now_ns() + 5000000000ll;

	while (brief_seen != brief_word && now_ns() < end)
		meanwhile();
	CHECK_MSG(brief_seen == brief_word, "the woken thread saw %d wake-ups of %d", brief_seen, brief_word);
}

static void do_nothing(void) {}
static void yield(void) { sched_yield(); }
static void take_a_nap(void) { nanosleep(&(struct timespec){ 0, 1000 }, NULL); }

static void *wake_for_a_moment(void *arg)
{
	static void (*const meanwhile[])(void) = { do_nothing, yield, take_a_nap };
	pthread_t busy, brief;
	cpu_set_t mine, others;

	(void)arg;
	CPU_ZERO(&others);
	CPU_SET(get_nprocs() - 1, &others);
	CHECK_OK(sched_setaffinity(0, sizeof(others), &others));
	brief_word = brief_seen = 0;
	spin_stop = false;
	busy = thread_start(spin, &spin_count[0]); /* inherit the mask */
	brief = thread_start(run_briefly, NULL);
	CPU_ZERO(&mine);
	CPU_SET(0, &mine);
	CHECK_OK(sched_setaffinity(0, sizeof(mine), &mine));
	for (unsigned way = 0; way < 3; way++)
		for (int i = 0; i < 300; i++) {
			brief_wake();
			wait_for_brief(meanwhile[way]);
		}
	for (int i = 0; i < 50; i++) {
		thread_join(thread_start(wake_and_end, (void *)10l), NULL);
		wait_for_brief(do_nothing);
	}
	spin_stop = true;
	brief_word = -1;
	sys(SYS_futex, &brief_word, FUTEX_WAKE_PRIVATE, 1);
	thread_join(brief, NULL);
	thread_join(busy, NULL);
	return NULL;
}

TEST_SLOW(a_thread_that_is_woken_for_a_moment_again_and_again_runs_each_time, 40) { thread_join(thread_start(wake_for_a_moment, NULL), NULL); }

TEST(a_cpu_clock_of_a_thread_counts_its_work_only)
{
	struct timespec before, after;
	int64_t used, end;
	pthread_t thread;

	spin_stop = false;
	thread = thread_start(spin, &spin_count[0]);
	CHECK_OK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before));
	sleep_ms(200);
	CHECK_OK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after));
	used = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec;
	CHECK_MSG(used >= 0 && used < 100000000, "a sleeper used %ld ns", (long)used);
	end = now_ns() + 100000000;
	while (now_ns() < end)
		;
	CHECK_OK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before));
	spin_stop = true;
	thread_join(thread, NULL);
	used = (before.tv_sec - after.tv_sec) * 1000000000ll + before.tv_nsec - after.tv_nsec;
	CHECK_MSG(used > 1000000, "a busy thread used %ld ns of 100 ms", (long)used);
}

TEST(the_cpu_clock_of_another_thread_is_readable)
{
	struct timespec ts;
	clockid_t clock;
	pthread_t thread;

	spin_stop = false;
	thread = thread_start(spin, &spin_count[0]);
	CHECK_EQ(pthread_getcpuclockid(thread, &clock), 0);
	CHECK(EVENTUALLY(clock_gettime(clock, &ts) == 0 && (ts.tv_sec || ts.tv_nsec > 20000000)));
	spin_stop = true;
	thread_join(thread, NULL);
}

TEST(getrusage_counts_process_and_thread)
{
	struct rusage self, thread;
	int64_t end = now_ns() + 50000000;

	while (now_ns() < end)
		;
	CHECK_OK(getrusage(RUSAGE_SELF, &self));
	CHECK_OK(getrusage(RUSAGE_THREAD, &thread));
	CHECK(self.ru_utime.tv_sec * 1000000 + self.ru_utime.tv_usec + self.ru_stime.tv_sec * 1000000 +
		      self.ru_stime.tv_usec >= thread.ru_utime.tv_usec + thread.ru_stime.tv_usec);
	CHECK(thread.ru_utime.tv_usec + thread.ru_stime.tv_usec > 0);
	CHECK(self.ru_maxrss > 0);
	CHECK_ERR(getrusage(77, &self), EINVAL);
	CHECK_EQ(sys(SYS_getrusage, RUSAGE_SELF, BAD_PTR), -EFAULT);
}

TEST(scheduling_policy_is_other)
{
	struct sched_param param = { .sched_priority = 5 };

	CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
	CHECK_OK(sched_getparam(0, &param));
	CHECK_EQ(param.sched_priority, 0);
	CHECK_EQ(sched_get_priority_max(SCHED_OTHER), 0);
	CHECK_EQ(sched_get_priority_min(SCHED_OTHER), 0);
	CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
	CHECK_EQ(sched_get_priority_min(SCHED_FIFO), 1);
	CHECK_ERR(sched_get_priority_max(99), EINVAL);
}

TEST(nice_is_kept_per_thread)
{
	long tid = syscall(SYS_gettid);

	errno = 0;
	CHECK_EQ(getpriority(PRIO_PROCESS, tid), 0);
	CHECK_OK(setpriority(PRIO_PROCESS, tid, 5));
	CHECK_EQ(getpriority(PRIO_PROCESS, tid), 5);
	CHECK_EQ(sys(SYS_getpriority, PRIO_PROCESS, tid), 15); /* the raw call answers 20 - nice */
	CHECK_OK(setpriority(PRIO_PROCESS, tid, 100));
	CHECK_EQ(getpriority(PRIO_PROCESS, tid), 19);
	CHECK_ERR(setpriority(PRIO_PROCESS, 4000000, 1), ESRCH);
	CHECK_ERR(getpriority(99, 0), EINVAL);
}

TEST_MAIN("sched")
