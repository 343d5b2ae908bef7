/*
 * kernel/linux/time.c - clocks and sleeping.
 *
 * CLOCK_MONOTONIC, _RAW, _COARSE and BOOTTIME are one clock (a guest does not suspend); CPU-time clocks read
 * the scheduler's accounts. A sleep interrupted by a signal reports what is left, or is restarted with its
 * original deadline if no handler ran.
 */
#include "core/clock.h"
#include "core/sched.h"
#include "core/uaccess.h"
#include "linux/process.h"
#include "linux/signal_private.h"
#include "linux/syscall.h"
#include "linux/timespec.h"
#include <linux/time.h>

/* CPU-time clocks of other processes and threads: the negative numbers of clock_getcpuclockid(3). */
static int cpu_clock_ns(int clock, uint64_t *ns)
{
	int id = ~(clock >> 3);
	uint64_t user, sys;

	if ((clock & 3) == 3)
		return -EINVAL;
	if (clock & 4) {
		struct thread *t = id ? thread_find(id) : current;
		if (!t)
			return -EINVAL;
		bool ours = t->process == current->process;
		if (ours)
			*ns = thread_cpu_ns(t);
		if (id)
			thread_put(t);
		return ours ? 0 : -EINVAL;
	}
	struct process *p = id ? process_find(id) : current->process;
	if (!p)
		return -EINVAL;
	process_times(p, &user, &sys);
	*ns = user + sys;
	if (id)
		process_put(p);
	return 0;
}

static int clock_read(int clock, uint64_t *ns)
{
	uint64_t user, sys;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI:
		*ns = clock_realtime_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		*ns = clock_monotonic_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		process_times(current->process, &user, &sys);
		*ns = user + sys;
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = thread_cpu_ns(current);
		return 0;
	}
	return clock < 0 ? cpu_clock_ns(clock, ns) : -EINVAL;
}

long sys_clock_gettime(int clock, uaddr_t ts)
{
	uint64_t ns;
	int r = clock_read(clock, &ns);

	if (r)
		return r;
	struct __kernel_timespec t = ns_to_timespec(ns);
	return put_user(ts, t);
}

long sys_clock_getres(int clock, uaddr_t ts)
{
	uint64_t ns;
	int r = clock_read(clock, &ns);

	if (r || !ts)
		return r;
	struct __kernel_timespec t = { 0, 1 };
	if (clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE)
		t.tv_nsec = 4000000; /* what Linux at 250 Hz answers */
	return put_user(ts, t);
}

long sys_clock_settime(int clock, uaddr_t ts)
{
	uint64_t ns;
	int r;

	if (clock != CLOCK_REALTIME)
		return -EINVAL;
	r = timespec_get_user(ts, &ns);
	if (r)
		return r;
	clock_set_realtime(ns);
	return 0;
}

long sys_gettimeofday(uaddr_t tv, uaddr_t tz)
{
	uint64_t ns = clock_realtime_ns();
	int64_t v[2] = { (int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / 1000) };
	int zone[2] = { 0, 0 };

	if (tv && put_user(tv, v[0]))
		return -EFAULT;
	if (tv && put_user(tv + 8, v[1]))
		return -EFAULT;
	return tz && copy_to_user(tz, zone, sizeof(zone)) ? -EFAULT : 0;
}

long sys_time(uaddr_t t)
{
	int64_t s = (int64_t)(clock_realtime_ns() / NSEC_PER_SEC);

	return t && put_user(t, s) ? -EFAULT : s;
}

/* 0, or -EINTR. */
static int sleep_interruptibly(uint64_t deadline)
{
	for (;;) {
		sleep_prepare(SLEEP_INTERRUPTIBLE);
		if (signal_pending())
			break;
		if (sleep_until(deadline) == -ETIMEDOUT)
			return 0;
	}
	sleep_cancel();
	return -EINTR;
}

static long sleep_absolute(uint64_t deadline) { return sleep_interruptibly(deadline) ? -ERESTARTNOHAND : 0; }

/* addr: where what is left goes, or 0. */
static long sleep_relative(const struct restart *r)
{
	if (!sleep_interruptibly(r->deadline_ns))
		return 0;
	if (r->addr) {
		struct __kernel_timespec left = ns_to_timespec(deadline_left(r->deadline_ns));
		if (put_user(r->addr, left))
			return -EFAULT;
	}
	return restart_with(*r);
}

static long sleep_for(uint64_t ns, uaddr_t rem)
{
	struct restart r = { .fn = sleep_relative, .deadline_ns = deadline_after(ns), .addr = rem };

	return sleep_relative(&r);
}

long sys_nanosleep(uaddr_t req, uaddr_t rem)
{
	uint64_t ns;
	int r = timespec_get_user(req, &ns);

	return r ? r : sleep_for(ns, rem);
}

long sys_clock_nanosleep(int clock, int flags, uaddr_t req, uaddr_t rem)
{
	uint64_t ns;
	int r;

	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME && clock != CLOCK_TAI) {
		r = clock_read(clock, &ns);
		return r ? r : -EOPNOTSUPP; /* clocks that can only be read */
	}
	r = timespec_get_user(req, &ns);
	if (r)
		return r;
	if (!(flags & TIMER_ABSTIME))
		return sleep_for(ns, rem);
	if (clock == CLOCK_REALTIME || clock == CLOCK_TAI) {
		int64_t d = (int64_t)ns - clock_realtime_offset_ns();
		ns = d > 0 ? (uint64_t)d : 0;
	}
	return sleep_absolute(ns);
}
