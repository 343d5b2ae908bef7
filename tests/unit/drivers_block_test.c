// sources: kernel/drivers/device.c
// flags: -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
/*
 * tests/unit/drivers_block_test.c - how long a disk may take, on a machine whose host stops it now and then.
 */
#include <errno.h>
#include "core/clock.h"
#include "core/thread.h"
#include "drivers/block.h"
#include "tests/unit/check.h"

static uint64_t now = 1000 * NSEC_PER_SEC, stop_ns; /* stop_ns: how long the machine is stopped in the next sleep */
static unsigned wakes;                              /* sleeps that end early */

uint64_t clock_monotonic_ns(void) { return now; }

int sleep_until(uint64_t deadline)
{
	now += stop_ns;
	stop_ns = 0;
	if (wakes && now < deadline) {
		wakes--;
		now = MIN(now + NSEC_PER_SEC / 10, deadline);
		return 0;
	}
	now = MAX(now, deadline);
	return -ETIMEDOUT;
}

/* Sleeps until patience is at its end; ns by the clock. */
static uint64_t all_of(struct block_patience p)
{
	uint64_t begin = now;

	while (block_sleep(&p) == 0)
		;
	return now - begin;
}

int main(void)
{
	struct block_patience p;

	check("a_disk_that_is_silent", all_of(block_patience(60)) == 60 * NSEC_PER_SEC, "not 60 s");
	check("one_second", all_of(block_patience(1)) == NSEC_PER_SEC, "not 1 s");
	wakes = 1000;
	check("wakes_take_no_time_away_and_give_none", all_of(block_patience(60)) == 60 * NSEC_PER_SEC, "not 60 s");
	wakes = 0;
	p = block_patience(60);
	stop_ns = 3600 * NSEC_PER_SEC;
	check("a_stopped_machine_is_one_sleep", block_sleep(&p) == 0, "a time-out");
	check("and_the_rest_is_there", all_of(p) == 59 * NSEC_PER_SEC, "not 59 s");
	return failed;
}
