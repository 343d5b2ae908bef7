/*
 * kernel/core/ktimer.h - functions that run at a given time, for timers of the application.
 *
 * One kernel thread sleeps until the earliest deadline and calls the function of each timer that is due,
 * in thread context and without a lock: it may take mutexes and should not sleep for long, since all
 * timers share the thread. A timer is armed once; a periodic one arms itself again in its function.
 *
 * A sleeping thread needs none of this: sleep_until() has a deadline of its own.
 *
 *   ktimer_start()             makes the thread on the first call; before the first ktimer_arm()
 *   ktimer_arm(), _disarm()    any time, also from the function, also under a mutex that it takes; they do
 *                              not wait, so a function that is running looks at its object's state
 *   ktimer_cancel()            the timer is not armed and its function does not run afterwards, even if
 *                              it arms itself. The caller holds nothing that the function takes, and
 *                              keeps others from arming. From the function itself it is ktimer_disarm().
 */
#ifndef IBRIK_CORE_KTIMER_H
#define IBRIK_CORE_KTIMER_H

#include "lib/types.h"
#include "lib/heap.h"

struct ktimer {
	struct heap_node node; /* key: deadline */
	bool armed;
	bool cancelling; /* somebody waits in ktimer_cancel(): arming does nothing */
	void (*fn)(struct ktimer *t);
};

/* 0 or -ENOMEM. Repeated calls do nothing. */
int ktimer_start(void);
void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t));
/* Sets the deadline (monotonic ns), whether or not the timer was armed. */
void ktimer_arm(struct ktimer *t, uint64_t deadline_ns);
/* True if it was armed. */
bool ktimer_disarm(struct ktimer *t);
bool ktimer_cancel(struct ktimer *t);

#endif
