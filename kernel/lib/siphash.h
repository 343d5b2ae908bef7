/*
 * kernel/lib/siphash.h - SipHash-2-4: a keyed hash that nobody without the key can predict or make collide.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012.
 */
#ifndef IBRIK_LIB_SIPHASH_H
#define IBRIK_LIB_SIPHASH_H

#include "lib/types.h"

/* The hash of n words, as the paper has it for the 8 n bytes of their little-endian form. Any context. */
uint64_t siphash(const uint64_t key[2], const uint64_t *words, unsigned n);

#endif
