/*
 * tests/guest/mmap.c - mmap, munmap, mprotect, madvise, mremap, brk, mincore, msync, mlock.
 */
#include "harness.h"
#include <sys/uio.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

TEST(anonymous_memory_is_zero_and_page_aligned)
{
	char *p = map_anon(8, RW);

	CHECK_EQ((uintptr_t)p % PAGE, 0);
	for (unsigned i = 0; i < 8 * PAGE; i++)
		CHECK(p[i] == 0);
	CHECK_OK(munmap(p, 8 * PAGE));
}

TEST(mmap_checks_its_arguments)
{
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY);

	CHECK_ERR(mmap(NULL, 0, RW, ANON, -1, 0), EINVAL);
	CHECK_ERR(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
	CHECK_ERR(mmap(NULL, PAGE, RW, MAP_PRIVATE, 999, 0), EBADF);
	CHECK_ERR(mmap((void *)1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
	CHECK_EQ(sys(SYS_mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, dir, 0), -ENODEV);
	CHECK_EQ(sys(SYS_mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, dir, 7), -EINVAL);
	CHECK_ERR(mmap(NULL, 1ul << 47, RW, ANON, -1, 0), ENOMEM);
	CHECK_ERR(mmap(NULL, -PAGE, RW, ANON, -1, 0), ENOMEM);
	CHECK_ERR(mmap(HIGH_PTR, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	CHECK_ERR(mmap((void *)0x7ffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	close(dir);
}

TEST(a_file_opened_for_writing_only_cannot_be_mapped)
{
	int fd = open(scratch("wo"), O_WRONLY | O_CREAT, 0600);

	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), EACCES);
	CHECK_ERR(mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, fd, 0), EACCES);
	close(fd);
}

TEST(a_file_opened_for_reading_maps_shared_for_reading_only)
{
	int fd = scratch_file("ro", "hello", 5);
	char *p;

	close(fd);
	fd = open(scratch("ro"), O_RDONLY);
	CHECK_ERR(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EACCES);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK_ERR(mprotect(p, PAGE, RW), EACCES);
	CHECK(!memcmp(p, "hello\0\0", 7));
	p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	p[0] = 'J';
	close(fd);
}

TEST(a_free_hint_is_honoured)
{
	char *p = map_anon(64, PROT_NONE), *q;

	CHECK_OK(munmap(p, 64 * PAGE));
	q = mmap(p + 8 * PAGE, PAGE, RW, ANON, -1, 0);
	CHECK(q == p + 8 * PAGE);
	/* A taken hint gives another place; an unaligned one is rounded down. */
	CHECK(mmap(q, PAGE, RW, ANON, -1, 0) != q);
	CHECK(mmap(p + 16 * PAGE + 123, PAGE, RW, ANON, -1, 0) == p + 16 * PAGE);
}

TEST(a_low_hint_is_honoured_for_compressed_pointers)
{
	void *hint = (void *)0x700000000ul, *p;

	p = mmap(hint, 64ul << 20, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	CHECK(p == hint);
	CHECK_OK(munmap(p, 64ul << 20));
}

TEST(fixed_replaces_what_was_there)
{
	char *p = map_anon(3, RW);

	memset(p, 7, 3 * PAGE);
	CHECK(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + PAGE);
	CHECK_EQ(p[PAGE - 1], 7);
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(p[2 * PAGE - 1], 0);
	CHECK_EQ(p[2 * PAGE], 7);
}

TEST(fixed_noreplace_refuses_a_taken_range)
{
	char *p = map_anon(4, PROT_NONE);

	CHECK_ERR(mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_ERR(mmap(p - PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_OK(munmap(p + PAGE, 2 * PAGE));
	CHECK(mmap(p + PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
}

TEST(map_32bit_stays_below_two_gigabytes)
{
	char *p = mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK((uintptr_t)p < 0x80000000ul);
}

TEST(populate_makes_pages_resident)
{
	unsigned char vec[16];
	char *p = mmap(NULL, 16 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_OK(mincore(p, 16 * PAGE, vec));
	for (int i = 0; i < 16; i++)
		CHECK(vec[i] & 1);
}

TEST(unmapped_memory_faults_with_maperr)
{
	char *p = map_anon(2, RW);
	struct fault f;

	p[0] = 1;
	CHECK_OK(munmap(p, 2 * PAGE));
	f = CHECK_FAULT(fault_read, p + 5, SIGSEGV, SEGV_MAPERR);
	CHECK_EQ(f.addr, (uintptr_t)p + 5);
	CHECK_FAULT(fault_write, p + PAGE, SIGSEGV, SEGV_MAPERR);
}

TEST(munmap_checks_its_arguments)
{
	char *p = map_anon(1, RW);

	CHECK_ERR(munmap(p + 1, PAGE), EINVAL);
	CHECK_ERR(munmap(p, 0), EINVAL);
	CHECK_ERR(munmap(HIGH_PTR, PAGE), EINVAL);
	CHECK_OK(munmap(p, 1)); /* rounded up */
	CHECK(!readable(p));
	CHECK_OK(munmap(p, PAGE)); /* nothing there is no error */
}

TEST(munmap_in_the_middle_leaves_both_ends)
{
	char *p = map_anon(9, RW);

	memset(p, 5, 9 * PAGE);
	CHECK_OK(munmap(p + 3 * PAGE, 3 * PAGE));
	CHECK_EQ(p[3 * PAGE - 1], 5);
	CHECK(!readable(p + 3 * PAGE));
	CHECK(!readable(p + 6 * PAGE - 1));
	CHECK_EQ(p[6 * PAGE], 5);
}

TEST(munmap_across_several_mappings_and_holes)
{
	char *p = map_anon(12, RW);

	CHECK_OK(munmap(p + 2 * PAGE, PAGE));
	CHECK(mmap(p + 5 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0) == p + 5 * PAGE);
	CHECK_OK(munmap(p + PAGE, 10 * PAGE));
	CHECK(readable(p));
	for (int i = 1; i < 11; i++)
		CHECK(!readable(p + i * PAGE));
	CHECK(readable(p + 11 * PAGE));
}

TEST(shared_anonymous_memory_is_seen_by_all_threads)
{
	_Atomic int *p = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	*p = 3;
	CHECK_EQ(*p, 3);
}

TEST(two_shared_mappings_of_a_file_see_each_other_and_the_file)
{
	int fd = scratch_file("shared", "", 0);
	char *a, *b, c = 0;

	CHECK_OK(ftruncate(fd, 3 * PAGE));
	a = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
	b = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 2 * PAGE);
	CHECK(a != MAP_FAILED && b != MAP_FAILED);
	a[2 * PAGE + 9] = 'x';
	CHECK_EQ(b[9], 'x');
	CHECK_EQ(CHECK_OK(pread(fd, &c, 1, 2 * PAGE + 9)), 1);
	CHECK_EQ(c, 'x');
	CHECK_EQ(CHECK_OK(pwrite(fd, "y", 1, 2 * PAGE + 10)), 1);
	CHECK_EQ(a[2 * PAGE + 10], 'y');
	close(fd);
	b[0] = 'z'; /* a mapping outlives its descriptor */
	CHECK_EQ(a[2 * PAGE], 'z');
}

TEST(a_private_mapping_does_not_change_the_file)
{
	int fd = scratch_file("private", "abcdef", 6);
	char *a = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0), c;

	CHECK(a != MAP_FAILED);
	a[0] = 'X';
	CHECK_EQ(CHECK_OK(pread(fd, &c, 1, 0)), 1);
	CHECK_EQ(c, 'a');
	CHECK_EQ(a[5], 'f');
	CHECK_EQ(a[6], 0); /* the rest of the last page is zero */
	CHECK_OK(madvise(a, PAGE, MADV_DONTNEED));
	CHECK_EQ(a[0], 'a'); /* the private copy is gone */
	close(fd);
}

TEST(an_access_beyond_the_end_of_the_file_is_sigbus)
{
	int fd = scratch_file("short", "abc", 3);
	char *a = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
	struct fault f;

	CHECK(a != MAP_FAILED);
	CHECK_EQ(a[PAGE - 1], 0);
	f = CHECK_FAULT(fault_read, a + PAGE + 17, SIGBUS, BUS_ADRERR);
	CHECK_EQ(f.addr, (uintptr_t)a + PAGE + 17);
	CHECK_OK(ftruncate(fd, 2 * PAGE));
	CHECK_EQ(a[PAGE + 17], 0);
	CHECK_OK(ftruncate(fd, 1));
	CHECK_FAULT(fault_read, a + PAGE + 17, SIGBUS, BUS_ADRERR);
	CHECK_EQ(a[0], 'a');
	CHECK_EQ(a[1], 0); /* cut bytes read as zero */
	close(fd);
}

TEST(a_file_offset_maps_the_right_page)
{
	int fd = scratch_file("offset", "", 0);
	char page[PAGE], *a;

	for (int i = 0; i < 5; i++) {
		memset(page, 'a' + i, PAGE);
		CHECK_EQ(CHECK_OK(write(fd, page, PAGE)), PAGE);
	}
	a = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 3 * PAGE);
	CHECK(a != MAP_FAILED);
	CHECK_EQ(a[0], 'd');
	CHECK_EQ(a[2 * PAGE - 1], 'e');
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100), EINVAL);
	close(fd);
}

TEST(msync_checks_its_arguments)
{
	int fd = scratch_file("sync", "abc", 3);
	char *a = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);

	CHECK_OK(msync(a, PAGE, MS_SYNC));
	CHECK_OK(msync(a, PAGE, MS_ASYNC));
	CHECK_ERR(msync(a, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	CHECK_ERR(msync(a, PAGE, 64), EINVAL);
	CHECK_ERR(msync(a + 1, PAGE, MS_SYNC), EINVAL);
	CHECK_OK(munmap(a, PAGE));
	CHECK_ERR(msync(a, PAGE, MS_SYNC), ENOMEM);
	close(fd);
}

/* mprotect */

TEST(mprotect_changes_what_is_allowed)
{
	char *p = map_anon(3, RW);
	struct fault f;

	memset(p, 1, 3 * PAGE);
	CHECK_OK(mprotect(p + PAGE, PAGE, PROT_READ));
	CHECK_EQ(p[PAGE], 1);
	f = CHECK_FAULT(fault_write, p + PAGE + 3, SIGSEGV, SEGV_ACCERR);
	CHECK_EQ(f.addr, (uintptr_t)p + PAGE + 3);
	CHECK_OK(mprotect(p + PAGE, PAGE, PROT_NONE));
	CHECK_FAULT(fault_read, p + PAGE, SIGSEGV, SEGV_ACCERR);
	p[0] = p[2 * PAGE] = 2;
	CHECK_OK(mprotect(p, 3 * PAGE, RW));
	CHECK_EQ(p[PAGE], 1); /* the contents survived */
	p[PAGE] = 3;
}

TEST(mprotect_checks_its_arguments)
{
	char *p = map_anon(3, RW);

	CHECK_ERR(mprotect(p + 1, PAGE, RW), EINVAL);
	CHECK_OK(mprotect(p, 0, PROT_NONE));
	p[0] = 1;
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(mprotect(p, 3 * PAGE, PROT_READ), ENOMEM);
	CHECK_ERR(mprotect(HIGH_PTR, PAGE, PROT_READ), ENOMEM);
	CHECK_ERR(mprotect(p, PAGE, 0x1000), EINVAL);
}

TEST(memory_without_exec_does_not_run)
{
	unsigned char *p = (void *)map_anon(1, RW);
	struct fault f;

	p[0] = 0xc3; /* ret */
	f = CHECK_FAULT(fault_call, p, SIGSEGV, SEGV_ACCERR);
	CHECK_EQ(f.addr, (uintptr_t)p);
	CHECK_EQ(f.rip, (uintptr_t)p);
	CHECK(f.error & 16); /* an instruction fetch */
	CHECK_OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	CHECK_EQ(fault_catch(fault_call, p).sig, 0);
	CHECK_FAULT(fault_write, p, SIGSEGV, SEGV_ACCERR);
	CHECK_OK(mprotect(p, PAGE, PROT_READ));
	CHECK_FAULT(fault_call, p, SIGSEGV, SEGV_ACCERR);
}

TEST(code_that_is_written_can_run_at_once)
{
	unsigned char *p = mmap(NULL, PAGE, RW | PROT_EXEC, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	for (int i = 0; i < 100; i++) {
		/* mov $i,%eax; ret */
		memcpy(p, "\xb8\0\0\0\0\xc3", 6);
		p[1] = i;
		CHECK_EQ(((int (*)(void))p)(), i);
	}
}

TEST(many_alternating_protections_hold_page_by_page)
{
	enum { N = 200 };
	char *p = map_anon(N, RW);

	memset(p, 9, N * PAGE);
	for (int i = 0; i < N; i += 2)
		CHECK_OK(mprotect(p + i * PAGE, PAGE, PROT_READ));
	for (int i = 0; i < N; i++) {
		CHECK_EQ(writable(p + i * PAGE), i & 1);
		CHECK_EQ(p[i * PAGE + 1], 9);
	}
	CHECK_OK(mprotect(p, N * PAGE, RW));
	for (int i = 0; i < N; i++)
		CHECK(writable(p + i * PAGE));
}

static _Atomic bool protect_stop;
static _Atomic long protect_faults;
static char *protect_page;

static void *write_until_stopped(void *arg)
{
	(void)arg;
	while (!protect_stop)
		if (fault_catch(fault_write, protect_page).sig)
			protect_faults++;
	return NULL;
}

TEST_SLOW(after_mprotect_returns_no_cpu_can_write_any_more, 40)
{
	pthread_t threads[3];

	protect_page = map_anon(1, RW);
	protect_stop = false;
	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(write_until_stopped, NULL);
	for (int i = 0; i < 200; i++) {
		CHECK_OK(mprotect(protect_page, PAGE, PROT_READ));
		char seen = *(volatile char *)protect_page;
		/* Nobody can write now: clear through another protection change and look again. */
		for (int j = 0; j < 200; j++)
			CHECK_EQ(*(volatile char *)protect_page, seen);
		CHECK_OK(mprotect(protect_page, PAGE, RW));
		protect_page[0] = 0;
		sched_yield();
	}
	protect_stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* madvise */

TEST(dontneed_gives_zero_pages_again)
{
	char *p = map_anon(4, RW);

	memset(p, 1, 4 * PAGE);
	CHECK_OK(madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED));
	CHECK_EQ(p[PAGE - 1], 1);
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(p[3 * PAGE - 1], 0);
	CHECK_EQ(p[3 * PAGE], 1);
}

TEST(free_keeps_or_zeroes_but_never_mixes)
{
	char *p = map_anon(4, RW);

	memset(p, 1, 4 * PAGE);
	CHECK_OK(madvise(p, 4 * PAGE, MADV_FREE));
	for (int i = 0; i < 4; i++)
		CHECK(p[i * PAGE] == p[i * PAGE + PAGE - 1] && (p[i * PAGE] == 0 || p[i * PAGE] == 1));
	p[0] = 2;
	CHECK_EQ(p[0], 2);
}

TEST(madvise_checks_its_arguments)
{
	char *p = map_anon(3, RW);

	CHECK_ERR(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_ERR(madvise(p, PAGE, 9999), EINVAL);
	CHECK_OK(madvise(p, 0, MADV_DONTNEED));
	CHECK_OK(madvise(p, 3 * PAGE, MADV_NORMAL));
	CHECK_OK(madvise(p, 3 * PAGE, MADV_RANDOM));
	CHECK_OK(madvise(p, 3 * PAGE, MADV_SEQUENTIAL));
	CHECK_OK(madvise(p, 3 * PAGE, MADV_WILLNEED));
	CHECK_OK(madvise(p, 3 * PAGE, MADV_DONTDUMP));
	CHECK_OK(munmap(p + PAGE, PAGE));
	memset(p, 1, PAGE);
	CHECK_ERR(madvise(p, 3 * PAGE, MADV_DONTNEED), ENOMEM);
	CHECK_EQ(p[0], 0); /* what was there has been treated all the same */
}

TEST(populate_write_faults_pages_in)
{
	unsigned char vec[8];
	char *p = map_anon(8, RW);

	CHECK_OK(madvise(p, 8 * PAGE, MADV_POPULATE_WRITE));
	CHECK_OK(mincore(p, 8 * PAGE, vec));
	for (int i = 0; i < 8; i++)
		CHECK(vec[i] & 1);
	CHECK_OK(mprotect(p, PAGE, PROT_READ));
	CHECK_ERR(madvise(p, PAGE, MADV_POPULATE_WRITE), EINVAL);
	CHECK_OK(madvise(p, PAGE, MADV_POPULATE_READ));
}

TEST(huge_page_advice_is_taken_and_memory_stays_right)
{
	size_t size = 8ul << 20;
	char *p = mmap(NULL, size, RW, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_OK(madvise(p, size, MADV_HUGEPAGE));
	for (size_t i = 0; i < size; i += PAGE)
		p[i] = (char)(i >> 12);
	/* Punch a hole in the middle of what may be a huge page, protect another part. */
	CHECK_OK(madvise(p + (3ul << 20), PAGE, MADV_DONTNEED));
	CHECK_OK(mprotect(p + (5ul << 20), PAGE, PROT_READ));
	CHECK_OK(munmap(p + (7ul << 20), PAGE));
	for (size_t i = 0; i < size; i += PAGE) {
		if (i == 3ul << 20)
			CHECK_EQ(p[i], 0);
		else if (i != 7ul << 20)
			CHECK_EQ(p[i], (char)(i >> 12));
	}
	CHECK(!writable(p + (5ul << 20)));
	CHECK(writable(p + (5ul << 20) + PAGE));
	CHECK(!readable(p + (7ul << 20)));
	CHECK_OK(madvise(p, 7ul << 20, MADV_NOHUGEPAGE));
}

TEST(remove_punches_a_hole_in_a_shared_file)
{
	int fd = memfd_create("hole", 0);
	char *p, c = 1;

	CHECK_OK(ftruncate(fd, 4 * PAGE));
	p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	memset(p, 1, 4 * PAGE);
	CHECK_OK(madvise(p + PAGE, PAGE, MADV_REMOVE));
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(p[2 * PAGE], 1);
	CHECK_OK(pread(fd, &c, 1, PAGE));
	CHECK_EQ(c, 0);
	close(fd);
}

/* mremap */

TEST(mremap_shrinks_in_place)
{
	char *p = map_anon(4, RW);

	memset(p, 3, 4 * PAGE);
	CHECK(mremap(p, 4 * PAGE, 2 * PAGE, 0) == p);
	CHECK_EQ(p[2 * PAGE - 1], 3);
	CHECK(!readable(p + 2 * PAGE));
}

TEST(mremap_grows_in_place_or_moves)
{
	char *p = map_anon(8, RW), *q;

	CHECK_OK(munmap(p + 4 * PAGE, 4 * PAGE));
	memset(p, 3, 4 * PAGE);
	CHECK(mremap(p, 4 * PAGE, 6 * PAGE, 0) == p);
	CHECK_EQ(p[4 * PAGE - 1], 3);
	CHECK_EQ(p[5 * PAGE], 0);
	CHECK(mmap(p + 6 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0) == p + 6 * PAGE);
	CHECK_ERR(mremap(p, 6 * PAGE, 64 * PAGE, 0), ENOMEM);
	q = mremap(p, 6 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q != p);
	CHECK_EQ(q[0], 3);
	CHECK_EQ(q[4 * PAGE - 1], 3);
	CHECK_EQ(q[63 * PAGE], 0);
	CHECK(!readable(p));
}

TEST(mremap_fixed_moves_to_the_given_place)
{
	char *p = map_anon(2, RW), *to = map_anon(4, RW);

	memset(p, 3, 2 * PAGE);
	memset(to, 4, 4 * PAGE);
	CHECK(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) == to + PAGE);
	CHECK_EQ(to[0], 4);
	CHECK_EQ(to[PAGE], 3);
	CHECK_EQ(to[3 * PAGE], 4);
	CHECK(!readable(p));
}

TEST(mremap_replaces_a_mapping_that_fills_its_page_table)
{
	const size_t huge = 2ul << 20;
	char *p = map_anon(3, RW), *area = mmap(NULL, 3 * huge, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *to;

	CHECK(area != MAP_FAILED);
	to = (char *)(((unsigned long)area + huge - 1) & ~(huge - 1));
	CHECK_OK(madvise(area, 3 * huge, MADV_NOHUGEPAGE));
	memset(to, 4, huge);
	for (int i = 0; i < 3; i++)
		memset(p + i * PAGE, 5 + i, PAGE);
	CHECK(mremap(p, 3 * PAGE, huge, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(to[i * PAGE + 9], 5 + i);
	CHECK_EQ(to[3 * PAGE], 0);
	CHECK_EQ(to[huge - 1], 0);
	CHECK(!readable(p));
	CHECK_OK(munmap(area, 3 * huge));
}

/* A part of a 2 MiB region is given back while another thread touches the rest of it for the first time. */
struct touch {
	char *at;
	_Atomic int round, done;
};

static void *toucher(void *arg)
{
	struct touch *t = arg;

	for (int seen = 0; seen < 300;) {
		int now = t->round;

		if (now == seen)
			continue;
		seen = now;
		t->at[0] = 1;
		t->done = seen;
	}
	return NULL;
}

TEST(part_of_a_large_page_goes_while_the_rest_is_touched)
{
	const size_t huge = 2ul << 20;
	struct touch t = { 0 };
	char *area = mmap(NULL, 8 * huge, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;
	char *region;

	CHECK(area != MAP_FAILED);
	region = (char *)(((unsigned long)area + 2 * huge - 1) & ~(huge - 1));
	CHECK_OK(madvise(area, 8 * huge, MADV_HUGEPAGE));
	t.at = region;
	CHECK_EQ(pthread_create(&thread, NULL, toucher, &t), 0);
	for (int i = 1; i <= 300; i++) {
		CHECK_OK(madvise(region, huge, MADV_DONTNEED));
		t.round = i;
		for (int k = 0; t.done != i; k++) {
			CHECK_OK(madvise(region + huge / 2, huge / 2, MADV_DONTNEED));
			CHECK_OK(mprotect(region + huge / 4, PAGE, k % 2 ? RW : PROT_READ));
		}
		CHECK_EQ(region[0], 1);
		CHECK_EQ(region[huge - 1], 0);
		CHECK_OK(mprotect(region, huge, RW));
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_OK(munmap(area, 8 * huge));
}

/* Another thread's access may be half way through its fault while the memory goes: nothing of it may stay behind. */
struct target {
	char *at;
	int zeros;
	_Atomic bool stop;
};

static void *fill_again_and_again(void *arg)
{
	struct target *t = arg;

	while (!t->stop)
		if (read(t->zeros, t->at, 1) != 1 && errno != EFAULT)
			return "read";
	return NULL;
}

TEST(memory_touched_while_it_is_unmapped_is_gone)
{
	const size_t huge = 2ul << 20;
	char *area = mmap(NULL, 2 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct target t = { .zeros = open("/dev/zero", O_RDONLY) };
	pthread_t thread;
	void *failed;

	CHECK(area != MAP_FAILED);
	CHECK(t.zeros >= 0);
	/* Alone in its page table, which goes with it each time. */
	t.at = (char *)(((unsigned long)area + huge - 1) & ~(huge - 1));
	thread = thread_start(fill_again_and_again, &t);
	for (int i = 0; i < 3000; i++) {
		CHECK(mmap(t.at, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == t.at);
		for (int k = i % 50; k > 0; k--)
			__asm__ volatile("pause");
		CHECK(mmap(t.at, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == t.at);
		CHECK_MSG(!readable(t.at), "round %d", i);
	}
	t.stop = true;
	CHECK_EQ(pthread_join(thread, &failed), 0);
	CHECK(!failed);
	CHECK_OK(close(t.zeros));
	CHECK_OK(munmap(area, 2 * huge));
}

TEST(mremap_checks_its_arguments)
{
	char *p = map_anon(2, RW), *q = map_anon(2, RW);

	CHECK_ERR(mremap(p + 1, PAGE, PAGE, 0), EINVAL);
	CHECK_ERR(mremap(p, PAGE, 0, 0), EINVAL);
	CHECK_ERR(mremap(p, PAGE, PAGE, 64), EINVAL);
	CHECK_ERR(mremap(p, PAGE, PAGE, MREMAP_FIXED, q), EINVAL);
	CHECK_ERR(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE), EINVAL);
	CHECK_ERR(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 1), EINVAL);
	CHECK_OK(munmap(p, 2 * PAGE));
	CHECK_ERR(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
}

TEST(mremap_of_a_shared_file_keeps_the_offset)
{
	int fd = memfd_create("remap", 0);
	char *p, *q;

	CHECK_OK(ftruncate(fd, 8 * PAGE));
	for (int i = 0; i < 8; i++)
		CHECK_OK(pwrite(fd, &(char){ 'a' + i }, 1, i * PAGE));
	p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 3 * PAGE);
	q = mremap(p, 2 * PAGE, 5 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(q[i * PAGE], 'd' + i);
	close(fd);
}

/* brk, mincore, mlock */

TEST(brk_grows_shrinks_and_answers_the_old_break_on_failure)
{
	char *start = (char *)sys(SYS_brk, 0), *grown;

	grown = (char *)sys(SYS_brk, start + 5 * PAGE);
	CHECK(grown == start + 5 * PAGE);
	for (size_t i = 0; i < 5 * PAGE; i += 64)
		CHECK_EQ(start[i], 0);
	memset(start, 1, 5 * PAGE);
	CHECK((char *)sys(SYS_brk, start) == start);
	CHECK((char *)sys(SYS_brk, 8) == start);
	CHECK((char *)sys(SYS_brk, HIGH_PTR) == start);
	CHECK((char *)sys(SYS_brk, start + 2 * PAGE) == start + 2 * PAGE);
	CHECK_EQ(start[PAGE + 5], 0); /* pages given back come as zero again */
	CHECK((char *)sys(SYS_brk, start) == start);
}

TEST(mincore_tells_which_pages_are_there)
{
	unsigned char vec[8] = { 0 };
	char *p = map_anon(8, RW);

	CHECK_OK(madvise(p, 8 * PAGE, MADV_NOHUGEPAGE));
	p[2 * PAGE] = 1;
	CHECK_OK(mincore(p, 8 * PAGE, vec));
	CHECK_EQ(vec[2] & 1, 1);
	CHECK_EQ(vec[5] & 1, 0);
	CHECK_ERR(mincore(p + 1, PAGE, vec), EINVAL);
	CHECK_OK(munmap(p, 8 * PAGE));
	CHECK_ERR(mincore(p, PAGE, vec), ENOMEM);
	CHECK_EQ(sys(SYS_mincore, map_anon(1, RW), PAGE, BAD_PTR), -EFAULT);
}

TEST(mlock_makes_pages_resident)
{
	unsigned char vec[4];
	char *p = map_anon(4, RW);

	CHECK_OK(mlock(p, 4 * PAGE));
	CHECK_OK(mincore(p, 4 * PAGE, vec));
	CHECK(vec[0] & vec[1] & vec[2] & vec[3] & 1);
	CHECK_OK(munlock(p, 4 * PAGE));
	CHECK_OK(munmap(p, 4 * PAGE));
	CHECK_ERR(mlock(p, PAGE), ENOMEM);
}

/* many areas, large reservations, concurrency */

TEST(a_reservation_may_be_far_larger_than_memory)
{
	size_t size = 1ul << 42;
	char *p = mmap(NULL, size, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK(mmap(p + (1ul << 41), 16 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + (1ul << 41));
	memset(p + (1ul << 41), 1, 16 * PAGE);
	CHECK_FAULT(fault_read, p + (1ul << 40), SIGSEGV, SEGV_ACCERR);
	CHECK_OK(munmap(p, size));
}

TEST(commit_and_uncommit_inside_a_reservation)
{
	char *p = mmap(NULL, 1ul << 30, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	for (int i = 0; i < 64; i++) {
		char *part = p + ((size_t)i * 7919 % 256 << 20);

		CHECK(mmap(part, 1 << 20, RW, ANON | MAP_FIXED, -1, 0) == part);
		part[i * 64] = 1;
		CHECK(mmap(part, 1 << 20, PROT_NONE, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0) == part);
		CHECK(!readable(part + i * 64));
	}
	CHECK_OK(munmap(p, 1ul << 30));
}

TEST(five_thousand_separate_mappings)
{
	enum { N = 5000 };
	char *p = mmap(NULL, 2ul * N * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	for (size_t i = 0; i < N; i++) {
		CHECK_OK(mprotect(p + 2 * i * PAGE, PAGE, RW));
		p[2 * i * PAGE] = (char)i;
	}
	for (size_t i = 0; i < N; i++)
		CHECK_EQ(p[2 * i * PAGE], (char)i);
	CHECK_OK(munmap(p, 2ul * N * PAGE));
}

static _Atomic size_t touch_next;
static char *touch_base;
#define TOUCH_PAGES 4096

static void *touch_pages(void *arg)
{
	size_t i;

	(void)arg;
	/* Every page is touched by all threads at nearly the same moment. */
	while ((i = touch_next++) < 4 * TOUCH_PAGES)
		atomic_fetch_add((_Atomic int *)(touch_base + (i / 4) * PAGE), 1);
	return NULL;
}

TEST_SLOW(threads_that_fault_on_the_same_pages_lose_no_write, 40)
{
	pthread_t threads[4];

	touch_base = map_anon(TOUCH_PAGES, RW);
	touch_next = 0;
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(touch_pages, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < TOUCH_PAGES; i++)
		CHECK_EQ(*(int *)(touch_base + i * PAGE), 4);
}

static void *map_touch_unmap(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	for (int i = 0; i < 400; i++) {
		size_t n = 1 + rand_r(&seed) % 40;
		char *p = map_anon(n, RW);

		for (size_t j = 0; j < n; j++) {
			CHECK(p[j * PAGE] == 0);
			p[j * PAGE] = 1;
		}
		CHECK_OK(munmap(p, n * PAGE));
	}
	return NULL;
}

TEST_SLOW(threads_map_touch_and_unmap_at_the_same_time, 60)
{
	pthread_t threads[4];

	for (long i = 0; i < 4; i++)
		threads[i] = thread_start(map_touch_unmap, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

TEST(copies_into_the_kernel_fault_pages_in)
{
	int fds[2];
	char *p = map_anon(2, RW), *none = map_anon(2, RW);
	char got[10] = "";

	CHECK_OK(pipe(fds));
	CHECK_EQ(CHECK_OK(write(fds[1], p, 10)), 10); /* never touched: zeroes */
	CHECK_EQ(CHECK_OK(read(fds[0], got, 10)), 10);
	CHECK_EQ(got[9], 0);
	CHECK_EQ(CHECK_OK(write(fds[1], "hello", 5)), 5);
	CHECK_EQ(CHECK_OK(read(fds[0], p + PAGE - 2, 5)), 5); /* across two fresh pages */
	CHECK(!memcmp(p + PAGE - 2, "hello", 5));
	CHECK_OK(mprotect(none + PAGE, PAGE, PROT_NONE));
	CHECK_OK(write(fds[1], "hello", 5));
	CHECK_EQ(sys(SYS_read, fds[0], none + PAGE, 5), -EFAULT);
	close(fds[0]);
	close(fds[1]);
}

TEST_MAIN("mmap")
