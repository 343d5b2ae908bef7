/*
 * tests/guest/memory.c - memory accounting: what is used is counted, what is given back is free again.
 */
#include "harness.h"
#include <dirent.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)
#define MIB (1l << 20)

static long available(void)
{
	return field("/proc/meminfo", "MemAvailable");
}

static long rss(void)
{
	long pages[2] = { 0 };
	char text[200];

	if (read_file("/proc/self/statm", text, sizeof(text)) < 0 ||
	    sscanf(text, "%ld %ld", &pages[0], &pages[1]) != 2)
		FAIL("/proc/self/statm cannot be read");
	return pages[1] * 4;
}

TEST(meminfo_has_the_fields_java_and_tools_read)
{
	static const char *const names[] = { "MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached",
					     "SwapTotal", "SwapFree", "Hugepagesize", "HugePages_Total" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK_MSG(field("/proc/meminfo", names[i]) >= 0, "no %s", names[i]);
	CHECK(field("/proc/meminfo", "MemFree") <= field("/proc/meminfo", "MemTotal"));
	CHECK(available() <= field("/proc/meminfo", "MemTotal"));
	CHECK_EQ(field("/proc/meminfo", "Hugepagesize"), 2048);
}

TEST(sysconf_and_sysinfo_agree_with_meminfo)
{
	struct sysinfo si;

	CHECK_OK(sysinfo(&si));
	CHECK_EQ(si.totalram * si.mem_unit / 1024, field("/proc/meminfo", "MemTotal"));
	CHECK_EQ(sysconf(_SC_PHYS_PAGES) * 4, field("/proc/meminfo", "MemTotal"));
	CHECK(sysconf(_SC_AVPHYS_PAGES) > 0);
	CHECK_EQ(sysconf(_SC_PAGESIZE), 4096);
}

TEST(rss_follows_touch_and_release)
{
	long before = rss();
	char *p = mmap(NULL, 32 * MIB, RW, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_OK(madvise(p, 32 * MIB, MADV_NOHUGEPAGE));
	CHECK_MSG(rss() - before < 4096, "RSS grew by %ld KiB before any touch", rss() - before);
	memset(p, 1, 32 * MIB);
	CHECK_MSG(labs(rss() - before - 32768) < 2048, "RSS grew by %ld KiB", rss() - before);
	CHECK_OK(madvise(p, 16 * MIB, MADV_DONTNEED));
	CHECK_MSG(labs(rss() - before - 16384) < 2048, "RSS is %ld KiB above", rss() - before);
	CHECK_OK(munmap(p, 32 * MIB));
	CHECK_MSG(rss() - before < 2048, "RSS stays %ld KiB above", rss() - before);
	CHECK(field("/proc/self/status", "VmRSS") > 0);
	CHECK(field("/proc/self/status", "VmHWM") >= 32768);
}

TEST(vmsize_follows_mappings)
{
	long before = field("/proc/self/status", "VmSize");
	char *p = mmap(NULL, 64 * MIB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	CHECK(before > 0);
	CHECK_EQ(field("/proc/self/status", "VmSize") - before, 65536);
	CHECK_OK(munmap(p, 64 * MIB));
	CHECK_EQ(field("/proc/self/status", "VmSize"), before);
}

static bool on_ibrik(void)
{
	struct utsname name;

	return uname(&name) == 0 && strstr(name.release, "ibrik");
}

/*
 * Repeats a piece of work and checks that available memory does not shrink from one round to the next. Other programs
 * may take memory meanwhile (on the host): only a loss in each of three attempts is one.
 */
static void no_leak(void (*work)(void), int rounds)
{
	/* Other programs run on the host at the same time: that is far above noise. In a guest nobody does, and the records of the kernel are small. */
	const long tolerance_kib = on_ibrik() ? 4 * 1024 : 48 * 1024;
	long before, after = 0;

	for (int i = 0; i < 3; i++)
		work(); /* caches and pools fill */
	for (int attempt = 0; attempt < 3; attempt++) {
		before = available();
		for (int i = 0; i < rounds; i++)
			work();
		/* Pages may come back with a delay (RCU, other CPUs). */
		for (int i = 0; i < 20; i++) {
			after = available();
			if (before - after <= tolerance_kib)
				return;
			sleep_ms(50);
		}
	}
	FAIL("%ld KiB are gone after %d rounds", before - after, rounds);
}

static void map_and_unmap(void)
{
	char *p = map_anon(4096, RW);

	memset(p, 1, 4096 * PAGE);
	CHECK_OK(munmap(p, 4096 * PAGE));
}

TEST_SLOW(mapping_and_unmapping_leaks_nothing, 60)
{
	no_leak(map_and_unmap, 30);
}

static void *nothing(void *arg)
{
	char frame[10000];

	memset(frame, 1, sizeof(frame));
	return frame[5] ? arg : NULL;
}

static void threads_come_and_go(void)
{
	pthread_t threads[20];

	for (int i = 0; i < 20; i++)
		threads[i] = thread_start(nothing, NULL);
	for (int i = 0; i < 20; i++)
		pthread_join(threads[i], NULL);
}

TEST_SLOW(threads_that_end_leak_nothing, 60)
{
	no_leak(threads_come_and_go, 100);
}

static void files_come_and_go(void)
{
	static char data[1 << 20];
	int fd = open(scratch("leak"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(write(fd, data, sizeof(data)), (long)sizeof(data));
	close(fd);
	CHECK_OK(unlink(scratch("leak")));
}

TEST_SLOW(files_in_tmp_that_are_removed_leak_nothing, 60)
{
	no_leak(files_come_and_go, 30);
}

static void protect_pieces(void)
{
	char *p = map_anon(2048, RW);

	for (int i = 0; i < 2048; i += 2) {
		p[i * PAGE] = 1;
		CHECK_OK(mprotect(p + i * PAGE, PAGE, PROT_READ));
	}
	CHECK_OK(munmap(p, 2048 * PAGE));
}

TEST_SLOW(splitting_areas_leaks_nothing, 60)
{
	no_leak(protect_pieces, 60);
}

static void sparse_touch(void)
{
	/* One page in each gigabyte: page tables dominate, and have to be given back. */
	size_t size = 1ul << 40;
	char *p = mmap(NULL, size, RW, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_OK(madvise(p, size, MADV_NOHUGEPAGE));
	for (size_t at = 0; at < size; at += 1ul << 30)
		p[at] = 1;
	CHECK_OK(munmap(p, size));
}

TEST_SLOW(page_tables_are_given_back, 60)
{
	no_leak(sparse_touch, 20);
}

static void unmap_in_two_steps(void)
{
	/* The table of each 2 MiB is empty after the first step, but an area that was never touched is still there. */
	size_t step = 2 * MIB, size = 512 * step;
	char *p = mmap(NULL, size, RW, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_OK(madvise(p, size, MADV_NOHUGEPAGE));
	for (size_t at = 0; at < size; at += step) {
		p[at + PAGE] = 1;
		CHECK_OK(munmap(p + at + PAGE, step - PAGE));
	}
	for (size_t at = 0; at < size; at += step)
		CHECK_OK(munmap(p + at, PAGE));
}

TEST_SLOW(page_tables_are_given_back_after_the_last_area, 60)
{
	no_leak(unmap_in_two_steps, 20);
}

TEST(a_huge_page_comes_where_small_ones_were_given_back)
{
	char *area = mmap(NULL, 6 * MIB, RW, ANON, -1, 0), *p, *other = map_anon(1, RW);
	long before;

	CHECK(area != MAP_FAILED);
	p = (char *)(((unsigned long)area + 2 * MIB - 1) & ~(2 * MIB - 1));
	CHECK_OK(madvise(area, 6 * MIB, MADV_NOHUGEPAGE));
	for (long at = 0; at < 2 * MIB; at += MIB) {
		p[at] = 1;
		CHECK_OK(madvise(p + at, PAGE, MADV_DONTNEED));
	}
	CHECK_OK(madvise(area, 6 * MIB, MADV_HUGEPAGE));
	CHECK_OK(munmap(other, PAGE));
	before = field("/proc/meminfo", "AnonHugePages");
	CHECK_EQ(p[MIB], 0);
	p[0] = 1;
	CHECK_EQ(p[MIB], 0);
	/* Linux leaves the table, and gives small pages. */
	if (on_ibrik())
		CHECK_EQ(field("/proc/meminfo", "AnonHugePages") - before, 2048);
	CHECK_OK(munmap(area, 6 * MIB));
}

/* Linux since 6.7 keeps freed pages in lists of each CPU that may hold gigabytes and do not count as free: on such a host
 * only the anonymous pages tell. */
static bool counts_free_pages_at_once(void)
{
	return on_ibrik();
}

TEST(free_memory_shrinks_by_what_is_touched)
{
	long used = 0, anon = 0;

	/* Others may give memory back meanwhile (on the host): one of a few attempts must show it. */
	for (int attempt = 0; attempt < 8 && (used <= 64 * 1024 || anon <= 64 * 1024); attempt++) {
		long before = available(), anon_before = field("/proc/meminfo", "AnonPages");
		char *p = mmap(NULL, 128 * MIB, RW, ANON, -1, 0);

		CHECK(p != MAP_FAILED);
		memset(p, 1, 128 * MIB);
		used = before - available();
		anon = field("/proc/meminfo", "AnonPages") - anon_before;
		CHECK_OK(munmap(p, 128 * MIB));
	}
	CHECK_MSG(anon > 64 * 1024, "128 MiB are %ld KiB of anonymous pages", anon);
	if (counts_free_pages_at_once())
		CHECK_MSG(used > 64 * 1024, "128 MiB cost %ld KiB", used);
}

TEST(stacks_cost_what_is_touched)
{
	enum { N = 64 };
	long before, used;
	char *stacks[N];

	before = available();
	for (int i = 0; i < N; i++) {
		stacks[i] = mmap(NULL, 8 * MIB, RW, ANON | MAP_STACK | MAP_NORESERVE, -1, 0);
		CHECK(stacks[i] != MAP_FAILED);
		stacks[i][8 * MIB - 1] = 1;
	}
	used = before - available();
	CHECK_MSG(used < 192 * 1024, "%d idle stacks of 8 MiB cost %ld KiB", N, used);
	for (int i = 0; i < N; i++)
		CHECK_OK(munmap(stacks[i], 8 * MIB));
}

TEST(the_address_space_limit_is_enomem)
{
	struct rlimit old, low;
	void *p;
	int err;

	CHECK_OK(getrlimit(RLIMIT_AS, &old));
	low = (struct rlimit){ (rlim_t)(field("/proc/self/status", "VmSize") + 65536) * 1024, old.rlim_max };
	CHECK_OK(setrlimit(RLIMIT_AS, &low));
	p = mmap(NULL, 256 * MIB, RW, ANON, -1, 0);
	err = errno;
	CHECK_OK(setrlimit(RLIMIT_AS, &old));
	CHECK(p == MAP_FAILED);
	CHECK_EQ(err, ENOMEM);
}

/* Rss of the area of smaps that begins at p, in KiB. */
static long smaps_rss(const char *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end, wanted = (unsigned long)p;
	bool here = false;
	char line[512];
	long kib = -1;

	while (f && kib < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start == wanted;
		else if (here)
			sscanf(line, "Rss: %ld", &kib);
	}
	if (f)
		fclose(f);
	return kib;
}

TEST(smaps_counts_the_pages_of_each_area)
{
	size_t len = 7 * MIB;
	char *p = mmap(NULL, len + 2 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	/* An area of its own, with whole page tables and parts of some. */
	p += PAGE;
	CHECK_OK(mprotect(p, len, RW));
	CHECK_OK(madvise(p, len, MADV_NOHUGEPAGE));
	CHECK_EQ(smaps_rss(p), 0);
	for (size_t at = 0; at < len; at += 3 * PAGE)
		p[at] = 1;
	CHECK_EQ(smaps_rss(p), (long)((len / PAGE + 2) / 3) * 4);
	memset(p, 1, len);
	CHECK_EQ(smaps_rss(p), (long)(len / 1024));
	CHECK_OK(madvise(p + len / 2, PAGE, MADV_DONTNEED));
	CHECK_EQ(smaps_rss(p), (long)(len / 1024) - 4);
	CHECK_OK(munmap(p - PAGE, len + 2 * PAGE));
}

/* The shortest of some times that it takes to read /proc/self/maps. */
static int64_t maps_ns(void)
{
	static char text[256 * 1024];
	int64_t best = INT64_MAX;

	for (int i = 0; i < 7; i++) {
		int64_t start = now_ns();

		CHECK(read_file("/proc/self/maps", text, sizeof(text)) > 0);
		if (now_ns() - start < best)
			best = now_ns() - start;
	}
	return best;
}

TEST(maps_do_not_take_longer_for_memory_that_was_touched)
{
	char *p = mmap(NULL, 384 * MIB, RW, ANON, -1, 0);
	int64_t before, after;

	CHECK(p != MAP_FAILED);
	CHECK_OK(madvise(p, 384 * MIB, MADV_NOHUGEPAGE));
	before = maps_ns();
	for (long at = 0; at < 384 * MIB; at += PAGE)
		p[at] = 1;
	after = maps_ns();
	CHECK_OK(munmap(p, 384 * MIB));
	CHECK_MSG(after < 3 * before + 2000000, "%ld us, and %ld us before", (long)(after / 1000), (long)(before / 1000));
}

/* More than half of what there is, at most 1 GiB. */
static size_t more_than_half(void)
{
	long part = available() / 10 * 6;

	return (size_t)(part < 1024 * 1024 ? part : 1024 * 1024) * 1024 & ~(PAGE - 1);
}

TEST_SLOW(memory_that_was_read_before_it_can_be_written_counts_once, 60)
{
	size_t len = more_than_half();
	char *p = mmap(NULL, len, PROT_READ, ANON, -1, 0);
	char sum = 0;

	CHECK(p != MAP_FAILED);
	for (size_t at = 0; at < len; at += PAGE)
		sum |= *(volatile char *)(p + at);
	CHECK_EQ(sum, 0);
	CHECK_OK(mprotect(p, len, RW));
	p[len - 1] = 1;
	CHECK_OK(munmap(p, len));
	/* All of it is there again. */
	p = mmap(NULL, len, RW, ANON, -1, 0);
	CHECK(p != MAP_FAILED);
	CHECK_OK(munmap(p, len));
}

TEST_SLOW(memory_without_a_promise_is_closed_and_opened_again, 60)
{
	size_t len = more_than_half();
	char *p = mmap(NULL, len, RW, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	for (size_t at = 0; at < len; at += PAGE)
		p[at] = 1;
	for (int i = 0; i < 3; i++) {
		CHECK_OK(mprotect(p, len, PROT_READ));
		CHECK_OK(mprotect(p, len, RW));
	}
	p[len - 1] = 1;
	CHECK_OK(munmap(p, len));
}

/* As a JVM does it that has reserved its heap. */
TEST(a_commit_inside_a_reservation_is_not_more_address_space)
{
	char *p = mmap(NULL, 512 * MIB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), *q, *r;
	struct rlimit old, low;
	int err;

	CHECK(p != MAP_FAILED);
	CHECK_OK(getrlimit(RLIMIT_AS, &old));
	low = (struct rlimit){ (rlim_t)(field("/proc/self/status", "VmSize") + 32768) * 1024, old.rlim_max };
	CHECK_OK(setrlimit(RLIMIT_AS, &low));
	q = mmap(p, 128 * MIB, RW, ANON | MAP_FIXED, -1, 0);
	/* Half inside: the other half is growth. */
	r = mmap(p + 384 * MIB, 256 * MIB, RW, ANON | MAP_FIXED, -1, 0);
	err = errno;
	CHECK_OK(setrlimit(RLIMIT_AS, &old));
	CHECK(q == p);
	CHECK(r == MAP_FAILED);
	CHECK_EQ(err, ENOMEM);
	CHECK_OK(munmap(p, 512 * MIB));
}

TEST(the_address_space_limit_holds_for_the_break_and_for_mremap)
{
	char *p = mmap(NULL, 64 * MIB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), *q, *moved, *at;
	char *start = (char *)sys(SYS_brk, 0), *end;
	struct rlimit old, low;

	CHECK(p != MAP_FAILED);
	at = mmap(NULL, 64 * MIB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	CHECK(at != MAP_FAILED);
	CHECK_OK(munmap(at, 64 * MIB));
	CHECK_OK(getrlimit(RLIMIT_AS, &old));
	low = (struct rlimit){ (rlim_t)(field("/proc/self/status", "VmSize") + 8192) * 1024, old.rlim_max };
	CHECK_OK(setrlimit(RLIMIT_AS, &low));
	end = (char *)sys(SYS_brk, start + 16 * MIB);
	q = mremap(p, 64 * MIB, 80 * MIB, MREMAP_MAYMOVE);
	/* A move needs no room for both. */
	moved = mremap(p, 64 * MIB, 64 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	CHECK_OK(setrlimit(RLIMIT_AS, &old));
	CHECK(end == start);
	CHECK(q == MAP_FAILED);
	CHECK(moved == at);
	CHECK((char *)sys(SYS_brk, start + MIB) == start + MIB);
	CHECK((char *)sys(SYS_brk, start) == start);
	CHECK_OK(munmap(moved, 64 * MIB));
}

TEST_MAIN("memory")
