/*
 * tests/guest/timers.c - interval timers and POSIX timers: their signals, overruns, and what they cost while nobody takes the signals.
 */
#include "harness.h"
#include "waits.h"
#include <sched.h>
#include <sys/time.h>

static _Atomic int ticks, tick_code, tick_id, tick_overrun, tick_value;

static void on_tick(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	tick_code = info->si_code;
	tick_id = info->si_timerid;
	tick_overrun = info->si_overrun;
	tick_value = info->si_value.sival_int;
	ticks++;
}

static int64_t ns_of(struct timespec ts) { return ts.tv_sec * 1000000000ll + ts.tv_nsec; }

static struct timespec ts_of(int64_t ns) { return (struct timespec){ ns / 1000000000, ns % 1000000000 }; }

static void mask_change(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	CHECK_EQ(pthread_sigmask(how, &set, NULL), 0);
}

/* To this thread: others in the harness do not block it. */
static timer_t timer_here(int sig)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig, .sigev_value.sival_int = 4711 };
	timer_t timer;

	event._sigev_un._tid = gettid();
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	return timer;
}

static void timer_set(timer_t timer, int64_t value_ns, int64_t interval_ns)
{
	struct itimerspec it = { ts_of(interval_ns), ts_of(value_ns) };

	CHECK_OK(timer_settime(timer, 0, &it, NULL));
}

static bool is_pending(int sig)
{
	sigset_t now;

	CHECK_OK(sigpending(&now));
	return sigismember(&now, sig);
}

/* Off; what waits goes, or the default that the harness sets would end the program. */
static void itimer_end(void)
{
	struct itimerval off = { 0 };

	CHECK_OK(setitimer(ITIMER_REAL, &off, NULL));
	signal(SIGALRM, SIG_IGN);
}

static void timer_end(timer_t timer)
{
	signal(SIGUSR1, SIG_IGN);
	CHECK_OK(timer_delete(timer));
}

static int64_t thread_cpu_ns(void)
{
	struct timespec ts;

	CHECK_OK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts));
	return ns_of(ts);
}

/* SIGALRM goes to the process. */
static void everybody_blocks_alarms(void)
{
	main_thread_blocks(SIGALRM, 0);
	mask_change(SIG_BLOCK, SIGALRM);
}

static void itimer_set(long value_us, long interval_us)
{
	struct itimerval it = { { interval_us / 1000000, interval_us % 1000000 }, { value_us / 1000000, value_us % 1000000 } };

	CHECK_OK(setitimer(ITIMER_REAL, &it, NULL));
}

#define SLICE_NS 20000000
#define PAIRS_LEAST 10
#define PAIRS_MOST 300

/* What a busy thread gets of its CPU in a slice of time. */
static int64_t burn(void)
{
	int64_t wall = now_ns(), cpu = thread_cpu_ns();

	while (now_ns() - wall < SLICE_NS)
		;
	return thread_cpu_ns() - cpu;
}

/*
 * Beside a timer that is set, and without it, in turns, so that what else the machine does takes from both. A timer that ran all the time would take as
 * much of the CPU as the thread gets. It is off in the end.
 */
static void costs_nothing(void (*set)(bool on))
{
	int64_t with = 0, without = 0;

	for (int pair = 0; pair < PAIRS_MOST && (pair < PAIRS_LEAST || with * 100 <= without * 85); pair++) {
		set(true);
		with += burn();
		set(false);
		without += burn();
	}
	CHECK_MSG(with * 100 > without * 85, "a busy thread got %ld ms of its CPU, without the timer %ld", (long)(with / 1000000), (long)(without / 1000000));
}

static void itimer_switch(bool on) { itimer_set(on, on); }

static timer_t switched;

static void timer_switch(bool on) { timer_set(switched, on, on); }

TEST_SLOW(an_interval_timer_whose_signal_waits_costs_nothing, 60)
{
	everybody_blocks_alarms();
	itimer_set(1, 1);
	CHECK(EVENTUALLY(is_pending(SIGALRM)));
	costs_nothing(itimer_switch);
	itimer_end();
}

TEST(an_interval_timer_goes_on_when_its_signal_was_taken)
{
	sigset_t set;
	siginfo_t info;
	struct timespec ts = { 2, 0 };

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	everybody_blocks_alarms();
	itimer_set(2000, 2000);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(CHECK_OK(sigtimedwait(&set, &info, &ts)), SIGALRM);
		CHECK_EQ(info.si_code, SI_KERNEL);
		if (i == 5)
			sleep_ms(20);
	}
	itimer_end();
}

TEST(an_interval_timer_ticks_on_time)
{
	int64_t start = now_ns();

	ticks = 0;
	handle(SIGALRM, on_tick, SA_RESTART);
	itimer_set(10000, 10000);
	CHECK(EVENTUALLY(ticks >= 10));
	CHECK(now_ns() - start >= 100000000);
	itimer_set(0, 0);
	sleep_ms(20);
	ticks = 0;
	sleep_ms(30);
	CHECK_EQ(ticks, 0);
}

/* As the timer's own signal does: whose it is cannot be told. */
TEST(any_alarm_that_is_taken_sets_the_interval_timer_again)
{
	ticks = 0;
	signal(SIGALRM, SIG_IGN);
	itimer_set(1000, 1000);
	sleep_ms(20);
	handle(SIGALRM, on_tick, SA_RESTART);
	sleep_ms(20);
	CHECK_EQ(ticks, 0); /* ignored: it was not set again */
	CHECK_OK(kill(getpid(), SIGALRM));
	CHECK(EVENTUALLY(ticks >= 5));
	itimer_end();
}

TEST(setitimer_answers_what_was_set_before)
{
	struct itimerval it = { { 3, 0 }, { 100, 0 } }, old;

	CHECK_OK(setitimer(ITIMER_REAL, &it, NULL));
	CHECK_OK(getitimer(ITIMER_REAL, &old));
	CHECK(old.it_interval.tv_sec == 3 && old.it_interval.tv_usec == 0);
	CHECK(old.it_value.tv_sec >= 90 && old.it_value.tv_sec <= 100);
	it.it_value.tv_sec = 0; /* off, and then the interval means nothing */
	CHECK_OK(setitimer(ITIMER_REAL, &it, &old));
	CHECK_EQ(old.it_interval.tv_sec, 3);
	CHECK_OK(getitimer(ITIMER_REAL, &old));
	CHECK_EQ(old.it_interval.tv_sec, 0);
	CHECK_EQ(old.it_value.tv_sec, 0);
	CHECK_EQ(old.it_value.tv_usec, 0);
}

TEST(an_interval_timer_that_stands_still_reads_zero)
{
	struct itimerval now;

	everybody_blocks_alarms();
	itimer_set(1000, 50000);
	CHECK(EVENTUALLY(is_pending(SIGALRM)));
	CHECK_OK(getitimer(ITIMER_REAL, &now));
	CHECK_EQ(now.it_value.tv_sec, 0);
	CHECK_EQ(now.it_value.tv_usec, 0);
	CHECK_EQ(now.it_interval.tv_usec, 50000);
	itimer_end();
}

TEST_SLOW(a_posix_timer_whose_signal_waits_costs_nothing, 60)
{
	mask_change(SIG_BLOCK, SIGUSR1);
	switched = timer_here(SIGUSR1);
	timer_set(switched, 1, 1);
	CHECK(EVENTUALLY(is_pending(SIGUSR1)));
	costs_nothing(timer_switch);
	timer_end(switched);
}

TEST_SLOW(a_posix_timer_whose_signal_is_ignored_costs_nothing, 60)
{
	signal(SIGUSR1, SIG_IGN);
	switched = timer_here(SIGUSR1);
	costs_nothing(timer_switch);
	timer_end(switched);
}

TEST_SLOW(a_posix_timer_without_notification_costs_nothing_and_is_seen_to_run, 60)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct itimerspec now;
	timer_t timer;

	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	switched = timer;
	costs_nothing(timer_switch);
	timer_set(timer, 500000000, 10000000000);
	CHECK_OK(timer_gettime(timer, &now));
	CHECK(ns_of(now.it_value) > 0 && ns_of(now.it_value) <= 500000000);
	sleep_ms(510);
	CHECK_OK(timer_gettime(timer, &now));
	CHECK(ns_of(now.it_value) > 5000000000 && ns_of(now.it_value) <= 10000000000);
	CHECK_EQ(ns_of(now.it_interval), 10000000000);
	timer_set(timer, 5000000, 0);
	sleep_ms(10);
	CHECK_OK(timer_gettime(timer, &now));
	CHECK_EQ(ns_of(now.it_value), 0);
	timer_end(timer);
}

TEST(overruns_are_the_periods_that_passed_while_the_signal_waited)
{
	enum { PERIOD = 1000000 };
	int64_t set = 0, before = 0, after = 0;
	timer_t timer;

	handle(SIGUSR1, on_tick, 0);
	mask_change(SIG_BLOCK, SIGUSR1);
	timer = timer_here(SIGUSR1);
	/* The handler may run once more while the signal is let through, with the few that have passed since: then it says nothing. */
	ticks = 0;
	for (int tries = 0; tries < 50 && ticks != 1; tries++) {
		struct timespec none = { 0, 0 };
		sigset_t mask;

		sigemptyset(&mask);
		sigaddset(&mask, SIGUSR1);
		timer_set(timer, 0, 0);
		while (sigtimedwait(&mask, NULL, &none) == SIGUSR1)
			;
		ticks = 0;
		set = now_ns();
		timer_set(timer, PERIOD, PERIOD);
		before = now_ns();
		sleep_ms(50);
		CHECK_EQ(timer_getoverrun(timer), 0); /* of the signal that was taken last: none */
		after = now_ns();
		mask_change(SIG_UNBLOCK, SIGUSR1);
		mask_change(SIG_BLOCK, SIGUSR1);
		CHECK(ticks >= 1);
	}
	CHECK_EQ(ticks, 1);
	CHECK_EQ(tick_code, SI_TIMER);
	CHECK_EQ(tick_value, 4711);
	CHECK_EQ(tick_overrun, timer_getoverrun(timer));
	CHECK_MSG(tick_overrun >= (after - before) / PERIOD - 1 && tick_overrun < (now_ns() - set) / PERIOD, "%d overruns in %ld us", tick_overrun,
		  (long)(after - before) / 1000);
	/* Set anew, it forgets. */
	timer_set(timer, 1000000000, 0);
	CHECK_EQ(timer_getoverrun(timer), 0);
	timer_end(timer);
}

TEST(overruns_beyond_an_int_are_int_max)
{
	timer_t timer;

	ticks = 0;
	handle(SIGUSR1, on_tick, 0);
	mask_change(SIG_BLOCK, SIGUSR1);
	timer = timer_here(SIGUSR1);
	timer_set(timer, 1, 1);
	sleep_ms(2300);
	CHECK(is_pending(SIGUSR1));
	{
		sigset_t set;
		siginfo_t info;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		CHECK_EQ(CHECK_OK(sigwaitinfo(&set, &info)), SIGUSR1);
		CHECK_EQ(info.si_overrun, INT_MAX);
		CHECK_EQ(info.si_code, SI_TIMER);
	}
	timer_end(timer);
}

TEST(overruns_add_up_to_all_periods)
{
	enum { PERIOD = 2000000 };
	int64_t set, over, before, expirations = 0;
	siginfo_t info;
	sigset_t mask;
	timer_t timer;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	mask_change(SIG_BLOCK, SIGUSR1);
	timer = timer_here(SIGUSR1);
	set = now_ns();
	timer_set(timer, PERIOD, PERIOD);
	over = now_ns();
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(CHECK_OK(sigwaitinfo(&mask, &info)), SIGUSR1);
		expirations += 1 + info.si_overrun;
		if (i % 4 == 3)
			sleep_ms(7);
	}
	CHECK_MSG(expirations <= (now_ns() - set) / PERIOD, "%ld expirations", (long)expirations);
	sleep_ms(50);
	before = now_ns();
	CHECK_EQ(CHECK_OK(sigwaitinfo(&mask, &info)), SIGUSR1);
	expirations += 1 + info.si_overrun;
	CHECK_MSG(expirations >= (before - over) / PERIOD && expirations <= (now_ns() - set) / PERIOD, "%ld expirations",
		  (long)expirations);
	timer_end(timer);
}

TEST(two_timers_with_one_signal_send_it_twice)
{
	timer_t a, b;

	ticks = 0;
	handle(SIGUSR1, on_tick, 0);
	mask_change(SIG_BLOCK, SIGUSR1);
	CHECK_EQ(raise(SIGUSR1), 0);
	a = timer_here(SIGUSR1);
	b = timer_here(SIGUSR1);
	timer_set(a, 1000000, 0);
	timer_set(b, 1000000, 0);
	sleep_ms(30);
	mask_change(SIG_UNBLOCK, SIGUSR1);
	CHECK_EQ(ticks, 3);
	CHECK_OK(timer_delete(a));
	CHECK_OK(timer_delete(b));
}

TEST(a_posix_timer_that_was_ignored_ticks_when_its_signal_is_wanted_again)
{
	timer_t timer;

	ticks = 0;
	signal(SIGUSR1, SIG_IGN);
	timer = timer_here(SIGUSR1);
	timer_set(timer, 1000000, 1000000);
	sleep_ms(20);
	handle(SIGUSR1, on_tick, 0);
	CHECK(EVENTUALLY(ticks >= 3));
	/* The same when it waited as its signal became ignored. */
	mask_change(SIG_BLOCK, SIGUSR1);
	CHECK(EVENTUALLY(is_pending(SIGUSR1)));
	signal(SIGUSR1, SIG_IGN);
	mask_change(SIG_UNBLOCK, SIGUSR1);
	sleep_ms(5);
	ticks = 0;
	handle(SIGUSR1, on_tick, 0);
	CHECK(EVENTUALLY(ticks >= 3));
	timer_end(timer);
}

TEST(timer_gettime_tells_the_next_period_while_the_signal_waits)
{
	struct itimerspec now;
	timer_t timer;

	mask_change(SIG_BLOCK, SIGUSR1);
	timer = timer_here(SIGUSR1);
	timer_set(timer, 1000000, 3000000000);
	CHECK(EVENTUALLY(is_pending(SIGUSR1)));
	sleep_ms(3);
	CHECK_OK(timer_gettime(timer, &now));
	CHECK(ns_of(now.it_value) > 0 && ns_of(now.it_value) <= 3000000000);
	CHECK_EQ(ns_of(now.it_interval), 3000000000);
	timer_end(timer);
}

TEST(timer_settime_answers_what_was_set_before)
{
	struct itimerspec it = { ts_of(5000000000), ts_of(100000000000) }, old;
	timer_t timer = timer_here(SIGUSR1);

	CHECK_OK(timer_settime(timer, 0, &it, &old));
	CHECK_EQ(ns_of(old.it_value), 0);
	CHECK_EQ(ns_of(old.it_interval), 0);
	CHECK_OK(timer_settime(timer, 0, &it, &old));
	CHECK(ns_of(old.it_value) > 90000000000 && ns_of(old.it_value) <= 100000000000);
	CHECK_EQ(ns_of(old.it_interval), 5000000000);
	it.it_value = ts_of(0); /* off, and then the interval means nothing */
	CHECK_OK(timer_settime(timer, 0, &it, &old));
	CHECK_EQ(ns_of(old.it_interval), 5000000000);
	CHECK_OK(timer_gettime(timer, &old));
	CHECK_EQ(ns_of(old.it_value), 0);
	CHECK_EQ(ns_of(old.it_interval), 0);
	/* A time that has passed expires at once. */
	ticks = 0;
	handle(SIGUSR1, on_tick, 0);
	it.it_value = ts_of(1);
	it.it_interval = ts_of(0);
	CHECK_OK(timer_settime(timer, TIMER_ABSTIME, &it, NULL));
	CHECK(EVENTUALLY(ticks == 1));
	CHECK_EQ(tick_overrun, 0);
	CHECK_OK(timer_gettime(timer, &old));
	CHECK_EQ(ns_of(old.it_value), 0);
	CHECK_EQ(sys(SYS_timer_settime, (long)tick_id, 0, BAD_PTR, NULL), -EFAULT);
	CHECK_EQ(sys(SYS_timer_settime, (long)tick_id, 0, NULL, NULL), -EINVAL);
	it.it_value.tv_nsec = 1000000000;
	CHECK_ERR(timer_settime(timer, 0, &it, NULL), EINVAL);
	timer_end(timer);
}

TEST(timer_create_checks_its_arguments)
{
	struct sigevent event = { .sigev_notify = 99, .sigev_signo = SIGUSR1 };
	struct itimerspec it = { 0 };
	struct timespec now;
	int id;

	CHECK_EQ(sys(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), -EINVAL);
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = 0;
	CHECK_EQ(sys(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), -EINVAL);
	event.sigev_signo = 65;
	CHECK_EQ(sys(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), -EINVAL);
	CHECK_EQ(sys(SYS_timer_create, CLOCK_MONOTONIC, BAD_PTR, &id), -EFAULT);
	CHECK_EQ(sys(SYS_timer_create, CLOCK_MONOTONIC, NULL, BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_timer_create, 99, NULL, &id), -EINVAL);
	CHECK_EQ(sys(SYS_timer_create, CLOCK_MONOTONIC_RAW, NULL, &id), -EOPNOTSUPP);
	CHECK_EQ(sys(SYS_timer_create, CLOCK_REALTIME_COARSE, NULL, &id), -EOPNOTSUPP);
	CHECK_EQ(sys(SYS_timer_create, CLOCK_MONOTONIC_COARSE, NULL, &id), -EOPNOTSUPP);
	event.sigev_signo = SIGUSR1;
	ticks = 0;
	handle(SIGUSR1, on_tick, 0);
	CHECK_EQ(sys(SYS_timer_create, CLOCK_TAI, &event, &id), 0);
	CHECK_OK(clock_gettime(CLOCK_TAI, &now));
	it.it_value = ts_of(ns_of(now) + 30000000);
	CHECK_EQ(sys(SYS_timer_settime, id, TIMER_ABSTIME, &it, NULL), 0);
	CHECK(EVENTUALLY(ticks == 1));
	CHECK_OK(clock_gettime(CLOCK_TAI, &now));
	CHECK(ns_of(now) >= ns_of(it.it_value));
	CHECK_EQ(sys(SYS_timer_delete, id), 0);
	CHECK_EQ(sys(SYS_timer_delete, id), -EINVAL);
	CHECK_EQ(sys(SYS_timer_getoverrun, id), -EINVAL);
	CHECK_EQ(sys(SYS_timer_gettime, id, &it), -EINVAL);
	CHECK_EQ(sys(SYS_timer_settime, id, 0, &it, NULL), -EINVAL);
}

static void *end_at_once(void *arg)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };

	event._sigev_un._tid = gettid();
	mask_change(SIG_BLOCK, SIGUSR1);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, arg));
	timer_set(*(timer_t *)arg, 1000, 1000);
	CHECK(EVENTUALLY(is_pending(SIGUSR1)));
	return NULL;
}

TEST(a_timer_outlives_the_thread_it_signals)
{
	struct itimerspec now;
	timer_t timers[20];

	for (int i = 0; i < 20; i++)
		thread_join(thread_start(end_at_once, &timers[i]), NULL);
	sleep_ms(10);
	for (int i = 0; i < 20; i++) {
		CHECK_OK(timer_gettime(timers[i], &now));
		CHECK_EQ(ns_of(now.it_interval), 1000);
		timer_set(timers[i], 1000, 1000);
	}
	sleep_ms(10);
	signal(SIGUSR1, SIG_IGN);
	for (int i = 0; i < 20; i++)
		CHECK_OK(timer_delete(timers[i]));
}

static _Atomic bool stop;

static void *set_all_the_time(void *arg)
{
	timer_t timer = arg;

	for (unsigned i = 0; !stop; i++)
		timer_set(timer, i % 7 ? 1000 + i % 50000 : 0, i % 3 ? 5000 : 0);
	return NULL;
}

TEST_SLOW(timers_are_set_deleted_and_taken_at_the_same_time, 60)
{
	int64_t end = now_ns() + 1500000000;
	siginfo_t info;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	mask_change(SIG_BLOCK, SIGUSR1);
	ticks = 0;
	while (now_ns() < end) {
		timer_t timer = timer_here(SIGUSR1);
		pthread_t thread;

		stop = false;
		thread = thread_start(set_all_the_time, timer);
		for (int i = 0; i < 100; i++) {
			struct timespec ts = { 0, 200000 };

			if (sigtimedwait(&mask, &info, &ts) == SIGUSR1)
				ticks++;
		}
		stop = true;
		pthread_join(thread, NULL);
		CHECK_OK(timer_delete(timer));
	}
	signal(SIGUSR1, SIG_IGN);
	CHECK(ticks > 10);
}

TEST_MAIN("timers")
