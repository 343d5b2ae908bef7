/*
 * tests/guest/mapped.c - what is done to memory that is mapped already: mprotect, madvise, mremap, brk, mincore,
 * mlock.
 */
#include "harness.h"
#include <sys/auxv.h>

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

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

TEST(mprotect_changes_what_lies_before_a_hole)
{
	char *p = map_anon(4, RW);

	CHECK_OK(munmap(p + 2 * PAGE, PAGE));
	CHECK_OK(mprotect(p, PAGE, PROT_NONE)); /* two areas before the hole */
	CHECK_ERR(mprotect(p, 4 * PAGE, PROT_READ), ENOMEM);
	for (int i = 0; i < 2; i++) {
		CHECK(readable(p + i * PAGE));
		CHECK_FAULT(fault_write, p + i * PAGE, SIGSEGV, SEGV_ACCERR);
	}
	p[3 * PAGE] = 1;
	/* A hole at the beginning: nothing. */
	CHECK_ERR(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ), ENOMEM);
	p[3 * PAGE] = 1;
}

TEST(mprotect_changes_what_lies_before_a_file_that_may_not_be_written)
{
	char *p = map_anon(3, PROT_READ);
	int fd = scratch_file("before", "abc", 3);

	close(fd);
	fd = open(scratch("before"), O_RDONLY);
	CHECK(fd >= 0);
	CHECK(mmap(p + PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == p + PAGE);
	CHECK_ERR(mprotect(p, 3 * PAGE, RW), EACCES);
	p[0] = 1;
	CHECK_FAULT(fault_write, p + PAGE, SIGSEGV, SEGV_ACCERR);
	CHECK_FAULT(fault_write, p + 2 * PAGE, SIGSEGV, SEGV_ACCERR);
	close(fd);
}

/* The rights of the area of /proc/self/maps that holds the address, and where it begins. */
static bool area_of(uintptr_t address, uintptr_t *start, char rights[8])
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t end = 0;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s", start, &end, rights) == 3 && *start <= address && address < end)
			break;
	if (maps)
		fclose(maps);
	return maps && *start <= address && address < end;
}

TEST(mprotect_growsdown_is_for_the_whole_stack_below)
{
	char *p = map_anon(3, RW), before[8], after[8];
	uintptr_t start, after_start, page;

	/* The kernel puts these bytes on the stack of the main thread. */
	page = getauxval(AT_RANDOM) & ~(PAGE - 1);
	CHECK(area_of(page, &start, before));
	CHECK_STR(before, "rw-p");
	CHECK(start < page);
	CHECK_OK(mprotect((void *)page, PAGE, RW | PROT_EXEC | PROT_GROWSDOWN));
	CHECK(area_of(page, &after_start, after));
	CHECK_STR(after, "rwxp");
	CHECK_MSG(after_start <= start, "the area begins at %lx, not at %lx", after_start, start);
	CHECK_OK(mprotect((void *)page, PAGE, RW | PROT_GROWSDOWN));
	CHECK(area_of(page, &after_start, after));
	CHECK_STR(after, "rw-p");

	CHECK_ERR(mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN), EINVAL);
	CHECK_ERR(mprotect(p, PAGE, PROT_READ | PROT_GROWSUP), EINVAL);
	CHECK_ERR(mprotect((void *)page, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP), EINVAL);
	CHECK_ERR(mprotect((void *)page, 0, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP), EINVAL);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(mprotect(p + PAGE, PAGE, PROT_READ | PROT_GROWSDOWN), ENOMEM);
	CHECK_ERR(mprotect(p + PAGE, PAGE, PROT_READ | PROT_GROWSUP), ENOMEM);
	p[0] = 1;
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

TEST_MAIN("mapped")
