/*
 * bench/micro/memory.c - faults, mappings and their changes, by one thread and by two on two CPUs.
 */
#define _GNU_SOURCE
#include "micro.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE (2 * MIB)

static char *map(size_t bytes) { return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

/* A second thread on CPU 1 does the same on memory of its own. */
#define BY_TWO(name) \
	static long name##_two(unsigned long count) { return pair_run(name, name, count, 1); }

/* Faults of small pages: the area asks for no huge ones. A count is a MiB. */
static long run_fault(unsigned long count)
{
	char *p = map(MIB);
	long ret = 0;

	if (p == MAP_FAILED)
		return -errno;
	if (madvise(p, MIB, MADV_NOHUGEPAGE))
		ret = -errno;
	while (!ret && count--) {
		for (size_t at = 0; at < MIB; at += 4096)
			p[at] = 1;
		if (madvise(p, MIB, MADV_DONTNEED))
			ret = -errno;
	}
	munmap(p, MIB);
	return ret;
}
BY_TWO(run_fault)

/* Faults of huge pages; a count is 8 of them. */
static long run_fault_huge(unsigned long count)
{
	char *whole = map(9 * HUGE), *p = (char *)(((uintptr_t)whole + HUGE - 1) & ~(HUGE - 1));
	long ret = 0;

	if (whole == MAP_FAILED)
		return -errno;
	if (madvise(p, 8 * HUGE, MADV_HUGEPAGE))
		ret = -errno;
	while (!ret && count--) {
		for (size_t at = 0; at < 8 * HUGE; at += HUGE)
			p[at] = 1;
		if (madvise(p, 8 * HUGE, MADV_DONTNEED))
			ret = -errno;
	}
	munmap(whole, 9 * HUGE);
	return ret;
}
BY_TWO(run_fault_huge)

static long run_mmap(unsigned long count)
{
	while (count--) {
		char *p = map(65536);

		if (p == MAP_FAILED || munmap(p, 65536))
			return -errno;
	}
	return 0;
}

static long run_mmap_touched(unsigned long count)
{
	while (count--) {
		char *p = map(65536);

		if (p == MAP_FAILED)
			return -errno;
		p[4096] = 1;
		if (munmap(p, 65536))
			return -errno;
	}
	return 0;
}
BY_TWO(run_mmap_touched)

static long run_mprotect(unsigned long count)
{
	char *p = map(65536);
	long ret = 0;

	if (p == MAP_FAILED)
		return -errno;
	memset(p, 1, 65536);
	while (!ret && count--)
		if (mprotect(p + 16384, 4096, PROT_READ) || mprotect(p + 16384, 4096, PROT_READ | PROT_WRITE))
			ret = -errno;
	munmap(p, 65536);
	return ret;
}
BY_TWO(run_mprotect)

/* What a collector does to memory that it gives back: 64 KiB, populated at one stroke. */
static long run_populate(unsigned long count)
{
	char *p = map(65536);
	long ret = 0;

	if (p == MAP_FAILED)
		return -errno;
	while (!ret && count--)
		if (madvise(p, 65536, MADV_POPULATE_WRITE) || madvise(p, 65536, MADV_DONTNEED))
			ret = -errno;
	munmap(p, 65536);
	return ret;
}

/* A commit as HotSpot makes it: a fixed mapping inside a reservation, touched, and given back. */
static long run_commit(unsigned long count)
{
	char *p = mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	long ret = 0;

	if (p == MAP_FAILED)
		return -errno;
	while (!ret && count--) {
		if (mmap(p + MIB, 65536, PROT_READ | PROT_WRITE, fixed, -1, 0) == MAP_FAILED)
			ret = -errno;
		p[MIB] = 1;
		if (mmap(p + MIB, 65536, PROT_NONE, fixed | MAP_NORESERVE, -1, 0) == MAP_FAILED)
			ret = -errno;
	}
	munmap(p, 64 * MIB);
	return ret;
}

static long run_mremap(unsigned long count)
{
	char *p = map(65536);

	if (p == MAP_FAILED)
		return -errno;
	memset(p, 1, 65536);
	while (count--)
		if ((p = mremap(p, 65536, 131072, MREMAP_MAYMOVE)) == MAP_FAILED || (p = mremap(p, 131072, 65536, MREMAP_MAYMOVE)) == MAP_FAILED)
			return -errno;
	munmap(p, 65536);
	return 0;
}

static long touch(size_t bytes, int small_pages)
{
	char *p = map(bytes);

	if (p == MAP_FAILED || (small_pages && madvise(p, bytes, MADV_NOHUGEPAGE)))
		return -errno;
	for (size_t at = 0; at < bytes; at += 4096)
		p[at] = 1;
	munmap(p, bytes);
	return 0;
}

static long run_touch(unsigned long count)
{
	long ret = 0;

	while (!ret && count--)
		ret = touch(1024 * MIB, 0);
	return ret;
}

static long run_touch_small(unsigned long count)
{
	long ret = 0;

	while (!ret && count--)
		ret = touch(1024 * MIB, 1);
	return ret;
}

static long run_touch_half(unsigned long count)
{
	long ret = 0;

	while (!ret && count--)
		ret = touch(512 * MIB, 0);
	return ret;
}
BY_TWO(run_touch_half)

#define OP(name, run, divisor, cpus) { "memory", name, run, divisor, cpus }

const struct operation memory_operations[] = {
	OP("fault-4K", run_fault, 256, 1),
	OP("fault-4K-two-threads", run_fault_two, 512, 2),
	OP("fault-2M", run_fault_huge, 8, 1),
	OP("fault-2M-two-threads", run_fault_huge_two, 16, 2),
	OP("mmap-munmap-64K", run_mmap, 1, 1),
	OP("mmap-touch-munmap-64K", run_mmap_touched, 1, 1),
	OP("mmap-touch-munmap-64K-two-threads", run_mmap_touched_two, 2, 2),
	OP("mprotect-page", run_mprotect, 2, 1),
	OP("mprotect-page-two-threads", run_mprotect_two, 4, 2),
	OP("populate-dontneed-64K", run_populate, 1, 1),
	OP("commit-uncommit-64K", run_commit, 1, 1),
	OP("mremap-grow-shrink", run_mremap, 2, 1),
	OP("touch-1G", run_touch, 1, 1),
	OP("touch-1G-small-pages", run_touch_small, 1, 1),
	OP("touch-1G-two-threads", run_touch_half_two, 1, 2),
	{ 0 },
};
