/*
 * tests/guest/gate_code.c - system calls in code whose pages are mapped anew, dropped and read again, or written by the program. On
 * ibrik their instructions are replaced while the program runs (docs/syscalls.md), in memory that may go.
 */
#include "harness.h"

#define WARM 100 /* calls after which a site has been replaced, if it can be */

/* A page of code from a file: one site of that number at its beginning. */
static long (*code_page(const char *name, unsigned number, void *at))(long, long)
{
	uint8_t code[PAGE] = { 0x90 };

	memset(code, 0xcc, sizeof(code));
	memset(code, 0x90, 64); /* the site is judged by what stands before it */
	code[64] = 0xb8;
	memcpy(code + 65, &number, 4);
	memcpy(code + 69, "\x0f\x05\xc3", 3);
	int fd = scratch_file(name, code, sizeof(code));
	char *p = mmap(at, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | (at ? MAP_FIXED : 0), fd, 0);
	CHECK(p != MAP_FAILED);
	close(fd);
	return (long (*)(long, long))(uintptr_t)(p + 64);
}

TEST(other_code_at_the_same_address_is_what_runs)
{
	long (*call)(long, long) = code_page("pid", SYS_getpid, NULL);
	void *at = (void *)(uintptr_t)((char *)(uintptr_t)call - 64);

	for (int round = 0; round < 4; round++) {
		long want = round % 2 ? -EBADF : getpid();

		for (int i = 0; i < 4 * WARM; i++)
			CHECK_EQ(call(-1, 0), want);
		call = code_page(round % 2 ? "pid" : "close", round % 2 ? SYS_getpid : SYS_close, at);
	}
	munmap(at, PAGE);
}

TEST(a_page_of_code_may_be_dropped_and_read_again)
{
	long (*call)(long, long) = code_page("drop", SYS_close, NULL);
	void *at = (void *)(uintptr_t)((char *)(uintptr_t)call - 64);

	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 3 * WARM; i++)
			CHECK_EQ(call(-1, 0), -EBADF);
		CHECK_OK(madvise(at, PAGE, MADV_DONTNEED));
	}
	munmap(at, PAGE);
}

/* Two pages of code from a file, whose call lies across their border; behind it padding, and a function that answers 0. */
static long (*code_across(const char *name, unsigned before, const char *bytes, size_t n))(long, long)
{
	uint8_t code[2 * PAGE];

	memset(code, 0x90, PAGE + 16);
	memset(code + PAGE + 16, 0xcc, PAGE - 16);
	memcpy(code + PAGE - before, bytes, n);
	memcpy(code + PAGE + 16, "\x31\xc0\xc3", 3);
	int fd = scratch_file(name, code, sizeof(code));
	char *p = mmap(NULL, sizeof(code), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	close(fd);
	return (long (*)(long, long))(uintptr_t)(p + PAGE - before);
}

TEST(one_of_two_pages_that_hold_a_call_may_be_dropped)
{
	static const struct {
		const char *name, *bytes;
		unsigned before, n;
	} cases[] = {
		{ "the instruction before it is across", "\xb8\x03\x00\x00\x00\x0f\x05\xc3", 3, 8 },
		{ "it is across", "\xb8\x03\x00\x00\x00\x0f\x05\xc3", 6, 8 },
		{ "the padding is in the other page", "\x48\x89\xf0\x0f\x05\xc3", 6, 6 },
		{ "the padding is across", "\x48\x89\xf0\x0f\x05\xc3", 9, 6 },
	};

	for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		long (*call)(long, long) = code_across("across", cases[c].before, cases[c].bytes, cases[c].n);
		char *at = (char *)((uintptr_t)call & ~(PAGE - 1));

		for (int round = 0; round < 4; round++) {
			for (int i = 0; i < 3 * WARM; i++) {
				long r = call(-1, SYS_close);

				CHECK_MSG(r == -EBADF, "%s: answers %ld in round %d", cases[c].name, r, round);
			}
			CHECK_OK(madvise(at + (round % 2 ? 0 : PAGE), PAGE, MADV_DONTNEED));
		}
		munmap(at, 2 * PAGE);
	}
}

TEST(code_that_is_written_by_its_program_works)
{
	uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long (*call)(long) = (long (*)(long))(uintptr_t)(p + 64);

	CHECK(p != MAP_FAILED);
	memset(p, 0x90, PAGE);
	memcpy(p + 64, "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 8);
	for (int i = 0; i < WARM; i++)
		CHECK_EQ(call(-1), getpid());
	p[65] = SYS_close;
	for (int i = 0; i < WARM; i++)
		CHECK_EQ(call(-1), -EBADF);
	munmap(p, PAGE);
}

TEST_MAIN("gate_code")
