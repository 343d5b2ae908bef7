/*
 * tests/net/bytes.h - the bytes of a seed, and their SHA-256 (FIPS 180-4): what is moved over the links that are tried.
 */
#ifndef TESTS_NET_BYTES_H
#define TESTS_NET_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* --- SHA-256 (FIPS 180-4) -------------------------------------------------------------------------------------- */

#define DIGEST_BYTES 32

struct sha {
	uint32_t h[8];
	uint64_t bytes;
	uint8_t block[64];
};

/* The first 32 bits of the fractions of cube roots of the first primes, and of square roots; made once, in integers. */
static uint32_t round_constants[64], initial[8];

static inline uint32_t root_fraction(unsigned prime, bool cube)
{
	unsigned __int128 low = 0, high = (unsigned __int128)1 << 40;

	/* The greatest x / 2^32 whose square or cube is not above the prime. */
	while (high - low > 1) {
		unsigned __int128 x = (low + high) / 2;
		bool above;

		if (cube) {
			/* x^3 > prime * 2^96, without the bits that would not fit. */
			unsigned __int128 square = x * x;

			above = (square >> 32) * x + ((square & 0xffffffff) * x >> 32) > (unsigned __int128)prime << 64;
		} else {
			above = x * x > (unsigned __int128)prime << 64;
		}
		if (above)
			high = x;
		else
			low = x;
	}
	return (uint32_t)low;
}

/* Once, before anything else. */
static inline void sha_setup(void)
{
	for (unsigned n = 0, prime = 2; n < 64; prime++) {
		bool is_prime = true;

		for (unsigned d = 2; d * d <= prime; d++)
			is_prime &= prime % d != 0;
		if (!is_prime)
			continue;
		if (n < 8)
			initial[n] = root_fraction(prime, false);
		round_constants[n++] = root_fraction(prime, true);
	}
}

static inline void sha_start(struct sha *s)
{
	memcpy(s->h, initial, sizeof(initial));
	s->bytes = 0;
}

static inline uint32_t rotr(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static inline void sha_block(struct sha *s, const uint8_t *p)
{
	uint32_t w[64], v[8];

	for (unsigned i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (unsigned i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] + (rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, s->h, sizeof(v));
	for (unsigned i = 0; i < 64; i++) {
		uint32_t t1 = v[7] + (rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constants[i] + w[i];
		uint32_t t2 = (rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof(*v));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (unsigned i = 0; i < 8; i++)
		s->h[i] += v[i];
}

static inline void sha_add(struct sha *s, const uint8_t *p, size_t n)
{
	while (n) {
		size_t have = s->bytes % 64, step = 64 - have < n ? 64 - have : n;

		s->bytes += step;
		if (step == 64) {
			sha_block(s, p);
		} else {
			memcpy(s->block + have, p, step);
			if (have + step == 64)
				sha_block(s, s->block);
		}
		p += step;
		n -= step;
	}
}

static inline void sha_end(struct sha *s, uint8_t digest[DIGEST_BYTES])
{
	static const uint8_t padding[64] = { 0x80 };
	uint64_t bits = s->bytes * 8;
	uint8_t length[8];

	for (unsigned i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha_add(s, padding, 1 + (119 - s->bytes % 64) % 64);
	sha_add(s, length, 8);
	for (unsigned i = 0; i < DIGEST_BYTES; i++)
		digest[i] = (uint8_t)(s->h[i / 4] >> (24 - i % 4 * 8));
}

/* --- the bytes ------------------------------------------------------------------------------------------------------ */

#define BLOCK 65536

/* The state begins as seed + 1. */
static inline void block_fill(uint64_t *state, uint64_t *block)
{
	uint64_t x = *state;

	for (unsigned i = 0; i < BLOCK / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		block[i] = x;
	}
	*state = x;
}

#endif
