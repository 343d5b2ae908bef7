/*
 * images/xxh64.c - XXH64 as its specification describes it (xxHash, "XXH64 algorithm").
 *
 * Four lanes eat 32 bytes a step; what is left is mixed in by 8, 4 and 1 bytes;
 * a final avalanche spreads every bit. Little-endian machines only, as the format is.
 *
 * Interface: xxh64(data, bytes, seed)
 * Locking:   none, no state
 */
#include "xxh64.h"

#define PRIME1 0x9E3779B185EBCA87ull
#define PRIME2 0xC2B2AE3D27D4EB4Full
#define PRIME3 0x165667B19E3779F9ull
#define PRIME4 0x85EBCA77C2B2AE63ull
#define PRIME5 0x27D4EB2F165667C5ull

static uint64_t rotate(uint64_t value, int bits)
{
	return (value << bits) | (value >> (64 - bits));
}

static uint64_t read64(const unsigned char *at)
{
	uint64_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t read32(const unsigned char *at)
{
	uint32_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t lane_round(uint64_t lane, uint64_t input)
{
	return rotate(lane + input * PRIME2, 31) * PRIME1;
}

static uint64_t lane_merge(uint64_t hash, uint64_t lane)
{
	return (hash ^ lane_round(0, lane)) * PRIME1 + PRIME4;
}

uint64_t xxh64(const void *data, size_t bytes, uint64_t seed)
{
	const unsigned char *at = data;
	const unsigned char *end = at + bytes;
	uint64_t hash;

	if (bytes >= 32) {
		uint64_t a = seed + PRIME1 + PRIME2, b = seed + PRIME2, c = seed, d = seed - PRIME1;

		for (; end - at >= 32; at += 32) {
			a = lane_round(a, read64(at));
			b = lane_round(b, read64(at + 8));
			c = lane_round(c, read64(at + 16));
			d = lane_round(d, read64(at + 24));
		}
		hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
		hash = lane_merge(hash, a);
		hash = lane_merge(hash, b);
		hash = lane_merge(hash, c);
		hash = lane_merge(hash, d);
	} else {
		hash = seed + PRIME5;
	}
	hash += bytes;

	for (; end - at >= 8; at += 8)
		hash = rotate(hash ^ lane_round(0, read64(at)), 27) * PRIME1 + PRIME4;
	if (end - at >= 4) {
		hash = rotate(hash ^ (read32(at) * PRIME1), 23) * PRIME2 + PRIME3;
		at += 4;
	}
	for (; at < end; at++)
		hash = rotate(hash ^ (*at * PRIME5), 11) * PRIME1;

	hash = (hash ^ (hash >> 33)) * PRIME2;
	hash = (hash ^ (hash >> 29)) * PRIME3;
	return hash ^ (hash >> 32);
}
