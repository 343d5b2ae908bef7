// sources: kernel/arch/x86_64/rate.c
/*
 * tests/unit/arch_rate_test.c - the rate of a counter, measured while the host takes the CPU away at any moment.
 */
#include "arch/x86_64/rate.h"
#include "tests/unit/check.h"

#define APART 500000u
#define AWAY 5000000u /* ten times as long as the whole measurement */

static uint64_t now;      /* ns; the counter loses one in each of `slowness` */
static unsigned accesses; /* of clock and counter */
static unsigned away_at;  /* the CPU is taken away before this access, and in it */
static unsigned slowness;

static void pass(unsigned ns)
{
	now += ns;
	if (++accesses == away_at)
		now += AWAY;
}

static uint64_t clock(void)
{
	pass(250);
	return now;
}

/* The device looks at its own time only when the access has reached it, which costs more than to read the clock. */
static uint32_t counter(void)
{
	pass(700);
	uint32_t count = (uint32_t)(0xffffffff - now / slowness);
	pass(700);
	return count;
}

static bool right(void)
{
	struct rate_sample begin, end;
	uint64_t counted;

	rate_measure(clock, counter, APART, &begin, &end);
	counted = (uint64_t)(begin.count - end.count) * slowness;
	/* Half a reading at each end. */
	return end.at - begin.at >= APART && counted + 2000 > end.at - begin.at && counted < end.at - begin.at + 2000;
}

int main(void)
{
	bool all = true;
	unsigned total;

	slowness = 1;
	check("undisturbed", right(), "more than a reading beside");
	total = accesses;
	for (slowness = 1; slowness <= 64; slowness *= 8)
		for (away_at = 1; away_at <= total; away_at++) {
			accesses = 0;
			all &= right();
		}
	check("the_cpu_is_away_at_any_access", all, "the pause counts as ticks or as time");
	away_at = accesses = 0;
	now = 0xffffff00;
	check("the_counter_goes_round", right(), "more than a reading beside");
	return failed;
}
