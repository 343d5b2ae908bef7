/*
 * kernel/vdso/vdso.c - the vDSO: time and the number of the CPU without a system call.
 *
 * Theory:    An ELF shared object that is not part of the kernel: position-independent code of the application,
 *            mapped into every program by kernel/linux/vdso.c, found through AT_SYSINFO_EHDR and
 *            looked up by the C library under version LINUX_2.6. It has no data of its own and needs no
 *            relocation; what it reads lies one page before its ELF header (data.h).
 * Interface: the five functions of vdso(7); exports.c has those that are ours. What they do not know (clocks of CPU time, numbers that are no clock) they
 *            hand to the system call, whose answer they return: 0 or a negative errno.
 * Errors:    a wrong pointer is a fault of the application, as on Linux.
 */
#include "vdso/self.h"
#include <asm/unistd.h>
#include <linux/time.h>
#include <linux/time_types.h>

#define NSEC_PER_SEC 1000000000ull
#define COARSE_NS 4000000 /* what the system call answers */

#define REALTIME_CLOCKS (1u << CLOCK_REALTIME | 1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_TAI)
#define MONOTONIC_CLOCKS (1u << CLOCK_MONOTONIC | 1u << CLOCK_MONOTONIC_RAW | 1u << CLOCK_MONOTONIC_COARSE | \
			  1u << CLOCK_BOOTTIME)
#define COARSE_CLOCKS (1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_MONOTONIC_COARSE)

struct timeval_time {
	int64_t sec, usec;
};
struct timezone_none {
	int minuteswest, dsttime;
};

int __vdso_clock_gettime(int clock, struct __kernel_timespec *ts);
int __vdso_clock_getres(int clock, struct __kernel_timespec *ts);
int __vdso_gettimeofday(struct timeval_time *tv, struct timezone_none *tz);
int64_t __vdso_time(int64_t *t);
long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

static inline const struct vdso_data *vdso_data(void) { return &vdso_page()->clock; }

static long syscall3(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

/* The bit of a clock, 0 for numbers that have none. */
static inline unsigned clock_bit(int clock)
{
	return (unsigned)clock < 32 ? 1u << clock : 0;
}

static inline uint64_t realtime_ns(const struct vdso_data *data)
{
	return vdso_monotonic_ns(data) + (uint64_t)atomic_load_explicit(&data->realtime_offset, memory_order_relaxed);
}

int __vdso_clock_gettime(int clock, struct __kernel_timespec *ts)
{
	const struct vdso_data *data = vdso_data();
	unsigned bit = clock_bit(clock);
	uint64_t ns;

	if (bit & MONOTONIC_CLOCKS)
		ns = vdso_monotonic_ns(data);
	else if (bit & REALTIME_CLOCKS)
		ns = realtime_ns(data);
	else
		return (int)syscall3(__NR_clock_gettime, clock, (long)ts, 0);
	ts->tv_sec = (int64_t)(ns / NSEC_PER_SEC);
	ts->tv_nsec = (int64_t)(ns % NSEC_PER_SEC);
	return 0;
}

int __vdso_clock_getres(int clock, struct __kernel_timespec *ts)
{
	unsigned bit = clock_bit(clock);

	if (!(bit & (MONOTONIC_CLOCKS | REALTIME_CLOCKS)))
		return (int)syscall3(__NR_clock_getres, clock, (long)ts, 0);
	if (ts) {
		ts->tv_sec = 0;
		ts->tv_nsec = bit & COARSE_CLOCKS ? COARSE_NS : 1;
	}
	return 0;
}

int __vdso_gettimeofday(struct timeval_time *tv, struct timezone_none *tz)
{
	if (tv) {
		uint64_t ns = realtime_ns(vdso_data());

		tv->sec = (int64_t)(ns / NSEC_PER_SEC);
		tv->usec = (int64_t)(ns % NSEC_PER_SEC / 1000);
	}
	if (tz) {
		tz->minuteswest = 0;
		tz->dsttime = 0;
	}
	return 0;
}

int64_t __vdso_time(int64_t *t)
{
	int64_t s = (int64_t)(realtime_ns(vdso_data()) / NSEC_PER_SEC);

	if (t)
		*t = s;
	return s;
}

long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
	int id = vdso_cpu();

	if (id < 0)
		return syscall3(__NR_getcpu, (long)cpu, (long)node, (long)unused);
	if (cpu)
		*cpu = (unsigned)id;
	if (node)
		*node = 0;
	return 0;
}
