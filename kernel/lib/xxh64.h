/*
 * kernel/lib/xxh64.h - the 64-bit xxHash of a buffer.
 */
#ifndef IBRIK_LIB_XXH64_H
#define IBRIK_LIB_XXH64_H

#include "lib/types.h"

struct xxh64 {
	uint64_t lane[4];
	uint64_t total;
	uint64_t seed;
	unsigned char tail[32];
	unsigned tail_len;
};

uint64_t xxh64(const void *data, size_t len, uint64_t seed);
/* The same in pieces. */
void xxh64_begin(struct xxh64 *s, uint64_t seed);
void xxh64_add(struct xxh64 *s, const void *data, size_t len);
uint64_t xxh64_end(const struct xxh64 *s);

#endif
