// sources: kernel/arch/x86_64/clock.c
// flags: -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
/*
 * tests/unit/arch_clock_test.c - counters of times: right near the present, and none beyond what 64 bits hold.
 */
#include "core/clock.h"
#include "tests/unit/check.h"
#include "vdso/data.h"
#include <stdlib.h>

#define BASE_TSC 123456789012345ull
#define BASE_NS 5000000000ull

void panic(const char *fmt, ...);
void panic(const char *fmt, ...)
{
	printf("not ok panic %s\n", fmt);
	exit(1);
}

static struct vdso_data data;

static void rate(uint64_t hz)
{
	data.rates[0] = (struct vdso_rate){ BASE_TSC, BASE_NS, (NSEC_PER_SEC << 32) / hz };
	clock_data = &data;
}

/* Within a millionth of what it should be. */
static int about(uint64_t tsc, uint64_t ticks) { return tsc >= BASE_TSC + ticks && tsc - BASE_TSC - ticks <= ticks / 1000000 + 1; }

int main(void)
{
	static const uint64_t rates[] = { 500000000, 1000000000, 2100000000, 3000000000, 5800000000 };

	for (unsigned i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		uint64_t hz = rates[i], before = 0, tsc;
		int grows = 1;

		rate(hz);
		check("times_before_the_base_are_the_base", clock_ns_to_tsc(0) == BASE_TSC && clock_ns_to_tsc(BASE_NS) == BASE_TSC, "another counter");
		check("a_second", about(clock_ns_to_tsc(BASE_NS + NSEC_PER_SEC), hz), "not what the clock has counted in a second");
		check("a_year", about(clock_ns_to_tsc(BASE_NS + 31536000 * NSEC_PER_SEC), 31536000 * hz), "not what the clock has counted in a year");
		for (unsigned bit = 30; bit < 64; bit++, before = tsc) {
			tsc = clock_ns_to_tsc((1ull << bit) - 1);
			grows &= tsc >= before;
		}
		check("later_is_more", grows && clock_ns_to_tsc(UINT64_MAX) >= before, "it went round");
		check("the_end_of_time", hz < 2100000000 || clock_ns_to_tsc(INT64_MAX) == UINT64_MAX, "2^63 ns have a counter");
	}
	return failed;
}
