/*
 * kernel/net/wheel.h - what is due at which tick: a timer wheel of two levels, for many entries that are moved often and are due seldom.
 *
 * The first level has a slot for each of the next WHEEL_SLOTS ticks, the second one for each WHEEL_SLOTS ticks after that. What is due later
 * still stands in the last slot and is moved on when that comes. Putting in and taking out cost the same whatever there is.
 * Tested on the host.
 *
 * Locking: the caller's. Ticks must not wrap.
 */
#ifndef IBRIK_NET_WHEEL_H
#define IBRIK_NET_WHEEL_H

#include "lib/types.h"
#include "lib/list.h"

#define WHEEL_SLOTS 256
#define WHEEL_NEVER UINT32_MAX
#define WHEEL_NO_SLOT UINT16_MAX

struct wheel_entry {
	struct list link;
	uint32_t due;
	uint16_t slot;   /* WHEEL_NO_SLOT: it is in none */
};

struct wheel {
	struct list slots[2 * WHEEL_SLOTS]; /* the first level, the second */
	uint64_t used[2][WHEEL_SLOTS / 64]; /* a bit for each slot that is not empty */
	uint32_t now;                       /* all slots up to this tick have been emptied */
	uint32_t next;                      /* nothing is to be done before; may be too early */
};

void wheel_init(struct wheel *w);
static inline void wheel_entry_init(struct wheel_entry *e)
{
	list_init(&e->link);
	e->slot = WHEEL_NO_SLOT;
}
static inline bool wheel_has(const struct wheel_entry *e) { return e->slot != WHEEL_NO_SLOT; }
/* now: the present tick, not before that of the last call; due: later than now. Takes it from where it is. */
void wheel_put(struct wheel *w, struct wheel_entry *e, uint32_t now, uint32_t due);
/* Nothing if it is in no slot; also takes it from the list of wheel_advance(). */
void wheel_remove(struct wheel *w, struct wheel_entry *e);
/* Takes out what is due up to `now`, to the end of a list, in which the entries are linked by `link` and are in no slot any more. */
void wheel_advance(struct wheel *w, uint32_t now, struct list *due);

#endif
