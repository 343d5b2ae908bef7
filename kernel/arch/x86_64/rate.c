/*
 * kernel/arch/x86_64/rate.c - see rate.h.
 */
#include "rate.h"
#include "cpu.h"

#define READINGS 5

struct rate_sample rate_sample(rate_clock_fn *clock, rate_counter_fn *counter)
{
	struct rate_sample best = { 0 };
	uint64_t narrowest = UINT64_MAX;

	for (unsigned i = 0; i < READINGS; i++) {
		uint64_t before = clock();
		uint32_t count = counter();
		uint64_t width = clock() - before;

		if (width < narrowest) {
			narrowest = width;
			best = (struct rate_sample){ before + width / 2, count };
		}
	}
	return best;
}

void rate_measure(rate_clock_fn *clock, rate_counter_fn *counter, uint64_t apart, struct rate_sample *begin, struct rate_sample *end)
{
	*begin = rate_sample(clock, counter);
	while (clock() - begin->at < apart)
		cpu_relax();
	*end = rate_sample(clock, counter);
}
