/*
 * tests/fuzz/input.h - an input that is a program: its bytes one after the other, and zeroes behind them.
 */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include "lib/types.h"

static const uint8_t *input;
static size_t left;

static uint8_t next(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static inline unsigned next16(void)
{
	unsigned high = next();

	return high << 8 | next();
}

#endif
