/*
 * tests/unit/net_cookie_test.c - SYN cookies, and the hash they are made with.
 */
// sources: kernel/net/tcp_cookie.c kernel/lib/siphash.c
#include "expect.h"
#include "lib/siphash.h"
#include "net/tcp_cookie.h"

static const uint64_t key[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };
static const struct tcp_cookie_ends ends = { .local = { 1 }, .remote = { 2 }, .local_port = 80, .remote_port = 40000 };

/* The test vectors of the paper's reference: key 00 01 ... 0f, message 00 01 ... of 0 and 8 bytes. */
static void siphash_is_that_of_the_paper(void)
{
	const uint64_t words[] = { 0x0706050403020100ull };

	EXPECT(siphash(key, NULL, 0) == 0x726fdb47dd0e0e31ull);
	EXPECT(siphash(key, words, 1) == 0x93f5f5799a932462ull);
}

static void a_cookie_is_known_again(void)
{
	for (unsigned mss = 1; mss < 20000; mss += 7) {
		uint32_t c = tcp_cookie_make(key, &ends, 12345, mss, 77);
		unsigned got = tcp_cookie_check(key, &ends, 12345, c, 77);

		EXPECT(got && (got <= mss || got == 536));
		EXPECT(got == tcp_cookie_check(key, &ends, 12345, c, 78));
	}
}

static void an_old_cookie_is_not(void)
{
	uint32_t c = tcp_cookie_make(key, &ends, 1, 1460, 77);

	for (uint32_t age = 2; age < 200; age++)
		EXPECT(!tcp_cookie_check(key, &ends, 1, c, 77 + age));
}

static void a_cookie_is_for_one_connection(void)
{
	uint32_t c = tcp_cookie_make(key, &ends, 1, 1460, 77);
	const uint64_t other_key[2] = { key[0], key[1] + 1 };
	struct tcp_cookie_ends e;

	EXPECT(tcp_cookie_check(key, &ends, 1, c, 77) == 1460);
	EXPECT(!tcp_cookie_check(other_key, &ends, 1, c, 77));
	EXPECT(!tcp_cookie_check(key, &ends, 2, c, 77));
	e = ends;
	e.remote_port++;
	EXPECT(!tcp_cookie_check(key, &e, 1, c, 77));
	e = ends;
	e.remote[1] = 1;
	EXPECT(!tcp_cookie_check(key, &e, 1, c, 77));
	e = ends;
	e.local[0]++;
	EXPECT(!tcp_cookie_check(key, &e, 1, c, 77));
}

/* Whoever guesses finds about one in 2^24. */
static void few_numbers_are_cookies(void)
{
	unsigned found = 0;

	for (uint32_t i = 0; i < 2000000; i++)
		found += tcp_cookie_check(key, &ends, 1, i * 2654435761u, 77) != 0;
	EXPECT(found < 8);
}

int main(void)
{
	RUN(siphash_is_that_of_the_paper);
	RUN(a_cookie_is_known_again);
	RUN(an_old_cookie_is_not);
	RUN(a_cookie_is_for_one_connection);
	RUN(few_numbers_are_cookies);
	return failed;
}
