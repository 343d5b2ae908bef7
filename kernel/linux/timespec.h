/*
 * kernel/linux/timespec.h - times of the ABI to nanoseconds and back.
 *
 * Durations are unsigned nanoseconds that saturate; a deadline is clock_monotonic_ns() time and
 * DEADLINE_NEVER when it lies beyond the representable.
 */
#ifndef IBRIK_LINUX_TIMESPEC_H
#define IBRIK_LINUX_TIMESPEC_H

#include "core/clock.h"
#include "core/thread.h"
#include "core/uaccess.h"
#include <linux/time_types.h>

/* -EINVAL if negative or if the nanoseconds are not normal; *ns saturates. */
static inline int timespec_to_ns(const struct __kernel_timespec *ts, uint64_t *ns)
{
	if (ts->tv_sec < 0 || (uint64_t)ts->tv_nsec >= NSEC_PER_SEC)
		return -EINVAL;
	*ns = (uint64_t)ts->tv_sec >= INT64_MAX / NSEC_PER_SEC ?
		      INT64_MAX : (uint64_t)ts->tv_sec * NSEC_PER_SEC + (uint64_t)ts->tv_nsec;
	return 0;
}

static inline struct __kernel_timespec ns_to_timespec(uint64_t ns)
{
	return (struct __kernel_timespec){ .tv_sec = (long long)(ns / NSEC_PER_SEC),
					   .tv_nsec = (long long)(ns % NSEC_PER_SEC) };
}

/* Reads a struct timespec of the application. */
static inline int timespec_get_user(uaddr_t addr, uint64_t *ns)
{
	struct __kernel_timespec ts;
	int r = get_user(ts, addr);

	return r ? r : timespec_to_ns(&ts, ns);
}

/* The deadline `ns` from now. */
static inline uint64_t deadline_after(uint64_t ns)
{
	uint64_t now = clock_monotonic_ns();

	return ns >= (uint64_t)INT64_MAX - now ? DEADLINE_NEVER : now + ns;
}

/* What is left until the deadline, 0 if it passed. */
static inline uint64_t deadline_left(uint64_t deadline)
{
	uint64_t now = clock_monotonic_ns();

	return deadline > now ? deadline - now : 0;
}

#endif
