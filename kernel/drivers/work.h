/*
 * kernel/drivers/work.h - thread context for interrupt handlers.
 *
 * work_post() may be called from any context; the function then runs on the room's one kernel
 * thread, soon and at least once after the last post. Works are objects that live for ever.
 * A work may sleep for short times, but everything else of this room waits behind it.
 */
#ifndef IBRIK_DRIVERS_WORK_H
#define IBRIK_DRIVERS_WORK_H

#include "lib/types.h"

struct work {
	void (*fn)(struct work *w);
	_Atomic bool queued;
	struct work *_Atomic next;
	uint64_t due_ns; /* the thread's own: time of a delayed run, 0 = none */
	struct work *delayed_next;
};

void work_start(void); /* part of drivers_init() */
void work_post(struct work *w);
/* From a work's own function: run it again after that time. */
void work_repeat(struct work *w, uint64_t after_ns);

#endif
