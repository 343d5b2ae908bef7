/*
 * kernel/lib/xxh64.c - XXH64, written from its specification.
 *
 * Source: "xxHash fast digest algorithm", doc/xxhash_spec.md of the xxHash project, version 0.2: four
 * lanes of 8 bytes take stripes of 32, then they are merged, the rest of at most 31 bytes is added, and
 * the result is mixed. Words are little-endian.
 */
#include "lib/xxh64.h"
#include "lib/string.h"

#define PRIME1 0x9E3779B185EBCA87ull
#define PRIME2 0xC2B2AE3D27D4EB4Full
#define PRIME3 0x165667B19E3779F9ull
#define PRIME4 0x85EBCA77C2B2AE63ull
#define PRIME5 0x27D4EB2F165667C5ull

static inline uint64_t rotate(uint64_t x, unsigned n) { return x << n | x >> (64 - n); }

static inline uint64_t load64(const unsigned char *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, 8);
	return v;
}

static inline uint32_t load32(const unsigned char *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return v;
}

static inline uint64_t lane_round(uint64_t lane, uint64_t word)
{
	return rotate(lane + word * PRIME2, 31) * PRIME1;
}

static inline uint64_t lane_merge(uint64_t h, uint64_t lane)
{
	return (h ^ lane_round(0, lane)) * PRIME1 + PRIME4;
}

/* Takes len bytes, a multiple of 32, into the lanes. */
static void stripes(uint64_t lane[4], const unsigned char *p, size_t len)
{
	uint64_t a = lane[0], b = lane[1], c = lane[2], d = lane[3];

	for (const unsigned char *end = p + len; p != end; p += 32) {
		a = lane_round(a, load64(p));
		b = lane_round(b, load64(p + 8));
		c = lane_round(c, load64(p + 16));
		d = lane_round(d, load64(p + 24));
	}
	lane[0] = a;
	lane[1] = b;
	lane[2] = c;
	lane[3] = d;
}

static uint64_t finish(const uint64_t lane[4], uint64_t seed, uint64_t total, const unsigned char *p,
		       size_t rest)
{
	uint64_t h;

	if (total >= 32) {
		h = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
		for (unsigned i = 0; i < 4; i++)
			h = lane_merge(h, lane[i]);
	} else {
		h = seed + PRIME5;
	}
	h += total;
	for (; rest >= 8; rest -= 8, p += 8)
		h = rotate(h ^ lane_round(0, load64(p)), 27) * PRIME1 + PRIME4;
	if (rest >= 4) {
		h = rotate(h ^ load32(p) * PRIME1, 23) * PRIME2 + PRIME3;
		rest -= 4;
		p += 4;
	}
	for (; rest; rest--, p++)
		h = rotate(h ^ *p * PRIME5, 11) * PRIME1;
	h = (h ^ h >> 33) * PRIME2;
	h = (h ^ h >> 29) * PRIME3;
	return h ^ h >> 32;
}

void xxh64_begin(struct xxh64 *s, uint64_t seed)
{
	s->lane[0] = seed + PRIME1 + PRIME2;
	s->lane[1] = seed + PRIME2;
	s->lane[2] = seed;
	s->lane[3] = seed - PRIME1;
	s->seed = seed;
	s->total = 0;
	s->tail_len = 0;
}

void xxh64_add(struct xxh64 *s, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t n;

	s->total += len;
	if (s->tail_len) {
		n = MIN(len, (size_t)(32 - s->tail_len));
		memcpy(s->tail + s->tail_len, p, n);
		s->tail_len += n;
		p += n;
		len -= n;
		if (s->tail_len < 32)
			return;
		stripes(s->lane, s->tail, 32);
		s->tail_len = 0;
	}
	n = ALIGN_DOWN(len, 32);
	stripes(s->lane, p, n);
	memcpy(s->tail, p + n, len - n);
	s->tail_len = len - n;
}

uint64_t xxh64_end(const struct xxh64 *s)
{
	return finish(s->lane, s->seed, s->total, s->tail, s->tail_len);
}

uint64_t xxh64(const void *data, size_t len, uint64_t seed)
{
	struct xxh64 s;
	size_t n = ALIGN_DOWN(len, 32);

	xxh64_begin(&s, seed);
	stripes(s.lane, data, n);
	return finish(s.lane, seed, len, (const unsigned char *)data + n, len - n);
}
