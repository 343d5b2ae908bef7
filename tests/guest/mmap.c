/*
 * tests/guest/mmap.c - mapping and unmapping: mmap, munmap, msync, files behind memory, many areas and large
 * reservations. What is done to memory that is mapped already is in mapped.c, several threads in mmap_threads.c.
 */
#include "harness.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
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

static void *add_one(void *arg)
{
	++*(_Atomic int *)arg;
	return NULL;
}

/* And it is a file without a name: what is dropped of it comes again. */
TEST(shared_anonymous_memory_is_seen_by_all_threads)
{
	_Atomic int *p = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_EQ(*p, 0);
	*p = 3;
	thread_join(thread_start(add_one, (void *)p), NULL);
	CHECK_EQ(*p, 4);
	CHECK_OK(madvise((void *)p, PAGE, MADV_DONTNEED));
	CHECK_EQ(*p, 4);
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

TEST(a_mapping_ends_before_the_largest_offset)
{
	int fd = scratch_file("end", "abc", 3);
	char *p, *q;

	for (int kind = MAP_SHARED; kind <= MAP_PRIVATE; kind++) {
		CHECK_EQ(sys(SYS_mmap, 0, PAGE, PROT_READ, kind, fd, 0xffffffffffffe000), -EOVERFLOW);
		CHECK_EQ(sys(SYS_mmap, 0, PAGE, PROT_READ, kind, fd, 0x8000000000000000), -EOVERFLOW);
		CHECK_EQ(sys(SYS_mmap, 0, PAGE, PROT_READ, kind, fd, 0x7ffffffffffff000), -EOVERFLOW);
		CHECK_EQ(sys(SYS_mmap, 0, 2 * PAGE, PROT_READ, kind, fd, 0x7fffffffffffe000), -EOVERFLOW);
		p = mmap(NULL, PAGE, PROT_READ, kind, fd, 0x7fffffffffffe000);
		CHECK(p != MAP_FAILED);
		q = mremap(p, PAGE, 4 * PAGE, MREMAP_MAYMOVE);
		CHECK(q != MAP_FAILED);
		for (int i = 0; i < 4; i++)
			CHECK_FAULT(fault_read, q + i * PAGE, SIGBUS, BUS_ADRERR);
		CHECK_OK(munmap(q, 4 * PAGE));
	}
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

/* many areas, large reservations, access by the kernel */

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

/* The shortest of three times that it takes to punch `len` bytes, which nothing maps, out of a file. */
static int64_t punch_ns(int fd, off_t at, off_t len)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 3; i++) {
		int64_t start;

		CHECK_OK(fallocate(fd, 0, at, len));
		start = now_ns();
		CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len));
		if (now_ns() - start < best)
			best = now_ns() - start;
	}
	return best;
}

TEST_SLOW(a_hole_that_nothing_maps_is_not_dearer_beside_many_mappings, 60)
{
	enum { MAPPINGS = 16000 };
	const off_t half = 2 * MAPPINGS * (off_t)PAGE;
	int fd = (int)sys(SYS_memfd_create, "holes", 0);
	char **p = malloc(MAPPINGS * sizeof(*p));
	int64_t alone, beside;

	CHECK(fd >= 0 && p);
	CHECK_OK(ftruncate(fd, 2 * half));
	alone = punch_ns(fd, half, half / 2);
	for (int i = 0; i < MAPPINGS; i++) {
		p[i] = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 2 * i * (off_t)PAGE);
		CHECK(p[i] != MAP_FAILED);
	}
	beside = punch_ns(fd, half, half / 2);
	for (int i = 0; i < MAPPINGS; i++)
		CHECK_OK(munmap(p[i], PAGE));
	CHECK_MSG(beside < 10 * alone + 20000000, "%ld us beside %d mappings, %ld us without", (long)(beside / 1000), MAPPINGS,
		  (long)(alone / 1000));
	free(p);
	close(fd);
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
