/*
 * kernel/arch/x86_64/rate.h - how fast a counter runs beside a clock.
 *
 * The host may take the CPU away between any two instructions, so a reading of the counter counts only together with the times before and after
 * it. Of several readings the narrowest is taken; how long the CPU is away between two measurements does not matter.
 */
#ifndef IBRIK_ARCH_RATE_H
#define IBRIK_ARCH_RATE_H

#include "lib/types.h"

typedef uint64_t rate_clock_fn(void);   /* cheap to read, in any unit; never goes back */
typedef uint32_t rate_counter_fn(void); /* may take long to read */

struct rate_sample {
	uint64_t at;    /* when, by the clock */
	uint32_t count;
};

/* What the counter shows, and when it did. */
struct rate_sample rate_sample(rate_clock_fn *clock, rate_counter_fn *counter);
/* Two samples, at least `apart` of the clock's units from each other. Waits for that without sleeping. */
void rate_measure(rate_clock_fn *clock, rate_counter_fn *counter, uint64_t apart, struct rate_sample *begin, struct rate_sample *end);

#endif
