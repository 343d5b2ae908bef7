/*
 * tests/guest/clocks.c - clocks, sleeping, timerfd, POSIX timers, time calls of the vDSO.
 */
#include "harness.h"
#include "waits.h"
#include <dlfcn.h>
#include <poll.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

static int64_t ns_of(struct timespec ts)
{
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	CHECK_OK(clock_gettime(clock, &ts));
	CHECK(ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
	return ns_of(ts);
}

TEST(every_clock_can_be_read_and_has_a_resolution)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
					    CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
					    CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME };
	struct timespec ts;

	for (unsigned i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		CHECK_OK(clock_gettime(clocks[i], &ts));
		CHECK_EQ(sys(SYS_clock_gettime, clocks[i], &ts), 0);
		CHECK_OK(clock_getres(clocks[i], &ts));
		CHECK(ts.tv_sec == 0 && ts.tv_nsec >= 1 && ts.tv_nsec <= 10000000);
	}
	CHECK_OK(clock_getres(CLOCK_MONOTONIC, NULL));
	CHECK_ERR(clock_gettime(99, &ts), EINVAL);
	CHECK_ERR(clock_getres(99, &ts), EINVAL);
	CHECK_EQ(sys(SYS_clock_gettime, CLOCK_MONOTONIC, BAD_PTR), -EFAULT);
}

TEST(the_monotonic_clock_never_goes_back)
{
	int64_t last = clock_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < 200000; i++) {
		int64_t t = now_ns();

		CHECK_MSG(t >= last, "back by %ld ns", (long)(last - t));
		last = t;
	}
}

static _Atomic int64_t latest;
static _Atomic bool time_stop;
static _Atomic long backwards;

/* The same clock by the C library (the vDSO, where there is one) and by the system call, in turns. */
static void *watch_time(void *arg)
{
	for (unsigned round = 0; !time_stop; round++) {
		int64_t seen = latest, t;
		struct timespec ts;

		if (round & 1)
			t = now_ns();
		else if (sys(SYS_clock_gettime, CLOCK_MONOTONIC, &ts) == 0)
			t = ns_of(ts);
		else
			t = 0;
		if (t < seen)
			backwards++;
		while (seen < t && !atomic_compare_exchange_weak(&latest, &seen, t))
			;
	}
	return arg;
}

TEST_SLOW(the_monotonic_clock_never_goes_back_between_cpus, 40)
{
	pthread_t threads[4];

	latest = 0;
	backwards = 0;
	time_stop = false;
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(watch_time, NULL);
	sleep_ms(1500);
	time_stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(backwards, 0);
}

static void *hop(void *arg)
{
	cpu_set_t all, one;
	int64_t last = 0;

	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	for (int round = 0; round < 200; round++)
		for (int cpu = 0; cpu < 64; cpu++) {
			int64_t t;

			if (!CPU_ISSET(cpu, &all))
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
			t = now_ns();
			CHECK_MSG(t >= last, "back by %ld ns on CPU %d", (long)(last - t), cpu);
			last = t;
		}
	return arg;
}

TEST_SLOW(a_thread_that_hops_over_the_cpus_sees_time_go_forward, 40)
{
	pthread_join(thread_start(hop, NULL), NULL);
}

TEST(monotonic_and_realtime_run_at_the_same_speed)
{
	int64_t apart = INT64_MAX;

	/* Whoever loses the CPU between two looks sees them apart, but not each time. */
	for (int tries = 0; tries < 10 && apart >= 20000000; tries++) {
		int64_t m = clock_ns(CLOCK_MONOTONIC), r = clock_ns(CLOCK_REALTIME), b = clock_ns(CLOCK_BOOTTIME), dm, dr, db;

		sleep_ms(300);
		dm = clock_ns(CLOCK_MONOTONIC) - m;
		dr = clock_ns(CLOCK_REALTIME) - r;
		db = clock_ns(CLOCK_BOOTTIME) - b;
		apart = llabs(dm - dr) > llabs(dm - db) ? llabs(dm - dr) : llabs(dm - db);
	}
	CHECK_MSG(apart < 20000000, "apart by %ld us in 300 ms", (long)(apart / 1000));
}

TEST(realtime_is_of_this_century_and_agrees_with_time_and_gettimeofday)
{
	struct timeval tv;
	time_t t;
	int64_t r = clock_ns(CLOCK_REALTIME);

	CHECK(r / 1000000000 > 1700000000);
	CHECK_OK(gettimeofday(&tv, NULL));
	t = time(NULL);
	CHECK(llabs(tv.tv_sec - r / 1000000000) <= 2);
	CHECK(llabs(t - r / 1000000000) <= 2);
	CHECK(llabs(sys(SYS_time, NULL) - t) <= 2);
	CHECK_EQ(sys(SYS_gettimeofday, BAD_PTR, NULL), -EFAULT);
}

TEST(coarse_clocks_follow_the_fine_ones)
{
	for (int i = 0; i < 50; i++) {
		int64_t coarse = clock_ns(CLOCK_MONOTONIC_COARSE), fine = clock_ns(CLOCK_MONOTONIC);

		CHECK(coarse <= fine);
		CHECK_MSG(fine - coarse < 1000000000, "behind by %ld ms", (long)((fine - coarse) / 1000000));
		sleep_ms(1);
	}
}

TEST(clock_gettime_of_the_vdso_answers_as_the_system_call)
{
	unsigned long base = getauxval(AT_SYSINFO_EHDR);
	struct timespec a, b, c;

	if (!base)
		SKIP("no vDSO: the C library makes the system call");
	CHECK(!memcmp((void *)base, "\177ELF", 4));
	for (int i = 0; i < 1000; i++) {
		CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &a));
		CHECK_EQ(sys(SYS_clock_gettime, CLOCK_MONOTONIC, &b), 0);
		CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &c));
		CHECK(ns_of(a) <= ns_of(b) && ns_of(b) <= ns_of(c));
	}
}

TEST(the_vdso_knows_the_cpu_as_the_system_call_does)
{
	cpu_set_t all, one;

	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		unsigned by_call = ~0u;

		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
		CHECK_EQ(sys(SYS_getcpu, &by_call, NULL, NULL), 0);
		CHECK_EQ(by_call, (unsigned)cpu);
		CHECK_EQ(sched_getcpu(), cpu);
	}
	CHECK_OK(sched_setaffinity(0, sizeof(all), &all));
}

TEST(nanosleep_sleeps_at_least_as_long_as_asked)
{
	static const long us[] = { 1, 50, 100, 500, 1000, 2000, 5000, 10000, 50000, 100000 };

	for (unsigned i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
		struct timespec ts = { 0, us[i] * 1000 };
		int64_t start = now_ns(), took;

		CHECK_OK(nanosleep(&ts, NULL));
		took = now_ns() - start;
		CHECK_MSG(took >= us[i] * 1000, "%ld us took %ld ns", us[i], (long)took);
		CHECK_MSG(took < us[i] * 1000 + 500000000, "%ld us took %ld us", us[i], (long)took / 1000);
	}
}

TEST(a_millisecond_sleep_is_not_rounded_to_a_slow_tick)
{
	struct timespec ts = { 0, 1000000 };
	int64_t best = INT64_MAX;

	for (int i = 0; i < 50; i++) {
		int64_t start = now_ns();

		CHECK_OK(nanosleep(&ts, NULL));
		if (now_ns() - start < best)
			best = now_ns() - start;
	}
	CHECK_MSG(best < 3000000, "the best of 50 took %ld us", (long)best / 1000);
}

TEST(clock_nanosleep_takes_absolute_times)
{
	struct timespec ts;
	int64_t target = clock_ns(CLOCK_MONOTONIC) + 40000000;

	ts = (struct timespec){ target / 1000000000, target % 1000000000 };
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK(clock_ns(CLOCK_MONOTONIC) >= target);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0); /* past: at once */
	target = clock_ns(CLOCK_REALTIME) + 40000000;
	ts = (struct timespec){ target / 1000000000, target % 1000000000 };
	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK(clock_ns(CLOCK_REALTIME) >= target);
}

TEST(sleeping_checks_its_arguments)
{
	static const struct {
		struct timespec ts;
	} bad[] = { { { 0, -1 } }, { { 0, 1000000000 } }, { { -1, 0 } } };

	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(sys(SYS_nanosleep, &bad[i].ts, NULL), -EINVAL);
		CHECK_EQ(sys(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &bad[i].ts, NULL), -EINVAL);
	}
	CHECK_EQ(sys(SYS_nanosleep, BAD_PTR, NULL), -EFAULT);
	CHECK_EQ(sys(SYS_clock_nanosleep, 99, 0, &(struct timespec){ 0, 1 }, NULL), -EINVAL);
	CHECK_EQ(sys(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD_PTR, NULL), -EFAULT);
	CHECK_EQ(sys(SYS_clock_nanosleep, -1, 0, &(struct timespec){ 0, 1 }, NULL), -EINVAL);
	CHECK_EQ(sys(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &(struct timespec){ 0, 1 }, NULL), -EOPNOTSUPP);
	CHECK_EQ(sys(SYS_clock_nanosleep, CLOCK_MONOTONIC_COARSE, 0, &(struct timespec){ 0, 1 }, NULL), -EOPNOTSUPP);
	CHECK_EQ(sys(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &(struct timespec){ 0, 1 }, NULL), -EOPNOTSUPP);
	CHECK_EQ(sys(SYS_clock_nanosleep, CLOCK_TAI, 0, &(struct timespec){ 0, 1 }, NULL), 0);
}

TEST(timerfd_fires_once_and_counts_intervals)
{
	struct itimerspec it = { .it_value = { 100, 0 } }, got;
	uint64_t n = 0;
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));

	CHECK_ERR(read(fd, &n, 8), EAGAIN);
	CHECK_OK(timerfd_settime(fd, 0, &it, NULL));
	CHECK_OK(timerfd_gettime(fd, &got));
	CHECK(ns_of(got.it_value) > 0 && ns_of(got.it_value) <= 100000000000ll);
	it.it_value = (struct timespec){ 0, 20000000 };
	CHECK_OK(timerfd_settime(fd, 0, &it, NULL));
	CHECK(EVENTUALLY(read(fd, &n, 8) == 8));
	CHECK_EQ(n, 1);
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
	it.it_interval = (struct timespec){ 0, 10000000 };
	CHECK_OK(timerfd_settime(fd, 0, &it, &got));
	CHECK_EQ(ns_of(got.it_value), 0); /* it was not armed any more */
	sleep_ms(120);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_MSG(n >= 8, "%ld expirations in 120 ms", (long)n);
	it = (struct itimerspec){ 0 };
	CHECK_OK(timerfd_settime(fd, 0, &it, NULL));
	sleep_ms(30);
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
	CHECK_ERR(read(fd, &n, 4), EINVAL);
}

TEST(timerfd_takes_absolute_times)
{
	struct itimerspec it = { { 0, 0 }, { 0, 0 } };
	uint64_t n;
	int64_t target = clock_ns(CLOCK_REALTIME) + 30000000;
	int fd = CHECK_OK(timerfd_create(CLOCK_REALTIME, 0));

	it.it_value = (struct timespec){ target / 1000000000, target % 1000000000 };
	CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK(clock_ns(CLOCK_REALTIME) >= target);
	it.it_value = (struct timespec){ 1, 0 };
	CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
	CHECK_EQ(read(fd, &n, 8), 8);
}

/* Sets the timer to go off at once and stays awake until that was 100 µs ago. */
static void timerfd_pass(int fd, int64_t interval_ns)
{
	int64_t target = clock_ns(CLOCK_MONOTONIC) + 100000;
	struct itimerspec it = { .it_interval.tv_nsec = interval_ns };

	it.it_value = (struct timespec){ target / 1000000000, target % 1000000000 };
	CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
	while (clock_ns(CLOCK_MONOTONIC) < target + 100000)
		;
}

/* However busy the processor is: what looks at a timer whose time is over sees it expired. */
TEST(timerfd_is_readable_once_its_time_is_over)
{
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct pollfd p = { fd, POLLIN, 0 };
	struct itimerspec got;
	uint64_t n;

	for (int i = 0; i < 300; i++) {
		timerfd_pass(fd, 0);
		if (i % 3 == 0)
			CHECK_EQ(poll(&p, 1, 0), 1);
		if (i % 3 == 1) {
			CHECK_OK(timerfd_gettime(fd, &got));
			CHECK_EQ(ns_of(got.it_value), 0);
		}
		CHECK_EQ(read(fd, &n, 8), 8);
		CHECK_EQ(n, 1);
		CHECK_EQ(poll(&p, 1, 0), 0);
		CHECK_ERR(read(fd, &n, 8), EAGAIN);
	}
	for (int i = 0; i < 300; i++) {
		timerfd_pass(fd, 500000000);
		CHECK_OK(timerfd_gettime(fd, &got));
		CHECK(ns_of(got.it_value) > 0 && ns_of(got.it_value) < 500000000);
		CHECK_EQ(read(fd, &n, 8), 8);
		CHECK_EQ(n, 1);
		CHECK_EQ(poll(&p, 1, 0), 0);
	}
	close(fd);
}

static long call_read_timer(int fd)
{
	uint64_t n;

	return read(fd, &n, 8) == 8 ? (long)n : -1;
}

/* Somebody who asks for the time left counts the expiry; those who wait for it hear of it all the same. */
TEST(timerfd_wakes_its_reader_whoever_counted)
{
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	struct itimerspec got;

	for (int i = 0; i < 100; i++) {
		struct blocked reader = { .call = call_read_timer, .fd = fd };

		CHECK_OK(timerfd_settime(fd, 0, &(struct itimerspec){ .it_value = { 100, 0 } }, NULL));
		blocked_start(&reader);
		timerfd_pass(fd, i % 2 ? 500000000 : 0);
		CHECK_OK(timerfd_gettime(fd, &got));
		blocked_end(&reader, 1, 0);
	}
	close(fd);
}

/* A period counts once, whoever comes first when it is over. */
TEST(timerfd_counts_each_period_once)
{
	enum { PERIOD_NS = 1000000, ROUNDS = 400 };
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec it = { .it_interval.tv_nsec = PERIOD_NS };
	int64_t start = clock_ns(CLOCK_MONOTONIC) + PERIOD_NS, before, after;
	uint64_t n, sum = 0;

	it.it_value = (struct timespec){ start / 1000000000, start % 1000000000 };
	CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 2)
			CHECK_EQ(poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 1000), 1);
		while (read(fd, &n, 8) != 8)
			;
		sum += n;
	}
	before = clock_ns(CLOCK_MONOTONIC);
	sum += read(fd, &n, 8) == 8 ? n : 0;
	after = clock_ns(CLOCK_MONOTONIC);
	CHECK(sum >= (uint64_t)(before - start - 100000) / PERIOD_NS + 1);
	CHECK(sum <= (uint64_t)(after - start) / PERIOD_NS + 1);
	close(fd);
}

TEST(timerfd_checks_its_arguments)
{
	struct itimerspec it = { .it_value = { 0, 1000000000 } };
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));

	CHECK_ERR(timerfd_create(99, 0), EINVAL);
	CHECK_ERR(timerfd_create(CLOCK_MONOTONIC, 99), EINVAL);
	CHECK_ERR(timerfd_settime(fd, 0, &it, NULL), EINVAL);
	CHECK_EQ(sys(SYS_timerfd_settime, fd, 0, BAD_PTR, NULL), -EFAULT);
	it.it_value.tv_nsec = 0;
	CHECK_ERR(timerfd_settime(999, 0, &it, NULL), EBADF);
	CHECK_ERR(timerfd_settime(CHECK_OK(open("/dev/null", O_RDONLY)), 0, &it, NULL), EINVAL);
}

static _Atomic int ticks, tick_value;

static void tick(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	ticks++;
	tick_value = info->si_value.sival_int;
}

TEST(a_posix_timer_signals_periodically)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3,
				  .sigev_value.sival_int = 42 };
	struct itimerspec it = { { 0, 10000000 }, { 0, 10000000 } }, got;
	timer_t timer;

	ticks = 0;
	handle(SIGRTMIN + 3, tick, SA_RESTART);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_OK(timer_settime(timer, 0, &it, NULL));
	CHECK(EVENTUALLY(ticks >= 5));
	CHECK_EQ(tick_value, 42);
	CHECK_OK(timer_gettime(timer, &got));
	CHECK_EQ(ns_of(got.it_interval), 10000000);
	CHECK(timer_getoverrun(timer) >= 0);
	CHECK_OK(timer_delete(timer));
	ticks = 0;
	sleep_ms(40);
	CHECK(ticks <= 1);
}

TEST(process_cpu_time_grows_with_work)
{
	int64_t before = clock_ns(CLOCK_PROCESS_CPUTIME_ID), end = now_ns() + 50000000, ticks;
	struct tms tms;

	while (now_ns() < end)
		;
	CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before > 1000000);
	CHECK_EQ(sysconf(_SC_CLK_TCK), 100);
	/* A few ticks of work, however long it takes to get them. */
	while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 50000000 && now_ns() < end + 5000000000ll)
		;
	CHECK(times(&tms) != (clock_t)-1);
	ticks = tms.tms_utime + tms.tms_stime;
	CHECK_MSG(ticks >= 2 && ticks <= clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 10000000 + 1, "%ld ticks", (long)ticks);
}

TEST(sysinfo_tells_uptime_and_memory)
{
	struct sysinfo si;

	CHECK_OK(sysinfo(&si));
	CHECK(si.totalram > 0 && si.freeram > 0 && si.freeram <= si.totalram);
	CHECK(si.mem_unit >= 1);
	CHECK(si.procs >= 1);
	CHECK(llabs(si.uptime - clock_ns(CLOCK_BOOTTIME) / 1000000000) <= 3);
	CHECK_EQ(sys(SYS_sysinfo, BAD_PTR), -EFAULT);
}

static void *sleep_for_some_ms(void *arg)
{
	for (int i = 0; i < 5; i++) {
		struct timespec ts = { 0, ((long)arg * 37 % 20 + 1 + i) * 1000000 };
		int64_t before = now_ns(), took;

		CHECK_OK(nanosleep(&ts, NULL));
		took = now_ns() - before;
		CHECK_MSG(took >= ts.tv_nsec && took < ts.tv_nsec + 5000000000ll, "%ld us took %ld us", ts.tv_nsec / 1000, (long)took / 1000);
	}
	return NULL;
}

/* A timer wheel that loses or delays entries shows up as one late sleep of many. */
TEST_SLOW(fifty_sleepers_wake_in_the_right_order_of_magnitude, 40)
{
	pthread_t threads[50];

	for (long i = 0; i < 50; i++)
		threads[i] = thread_start(sleep_for_some_ms, (void *)i);
	for (int i = 0; i < 50; i++)
		thread_join(threads[i], NULL);
}

TEST_MAIN("clocks")
