/*
 * kernel/net/wheel.c - see wheel.h.
 */
#include "net/wheel.h"

#define S WHEEL_SLOTS

void wheel_init(struct wheel *w)
{
	*w = (struct wheel){ .next = WHEEL_NEVER };
	for (unsigned i = 0; i < 2 * S; i++)
		list_init(&w->slots[i]);
}

static void mark(struct wheel *w, unsigned slot, bool used)
{
	uint64_t bit = 1ull << slot % 64;

	if (used)
		w->used[slot / S][slot % S / 64] |= bit;
	else
		w->used[slot / S][slot % S / 64] &= ~bit;
}

void wheel_remove(struct wheel *w, struct wheel_entry *e)
{
	unsigned slot = e->slot;

	list_del(&e->link);
	e->slot = WHEEL_NO_SLOT;
	if (slot != WHEEL_NO_SLOT && list_empty(&w->slots[slot]))
		mark(w, slot, false);
}

/* due is later than w->now. */
static void place(struct wheel *w, struct wheel_entry *e, uint32_t due)
{
	uint32_t at = due;

	e->due = due;
	e->slot = due % S;
	if (due - w->now >= S) {
		uint32_t far = MIN(due / S, w->now / S + S - 1);

		e->slot = (uint16_t)(S + far % S);
		at = far * S;
	}
	list_push_back(&w->slots[e->slot], &e->link);
	mark(w, e->slot, true);
	w->next = MIN(w->next, at);
}

void wheel_put(struct wheel *w, struct wheel_entry *e, uint32_t now, uint32_t due)
{
	wheel_remove(w, e);
	/* While nothing was due, nobody turned it. */
	if (w->next > now)
		w->now = now;
	place(w, e, due);
}

/* How many slots behind `from` the first is that is used; S: none is. */
static unsigned slot_next(const uint64_t *used, unsigned from)
{
	for (unsigned i = 1; i < S;) {
		unsigned slot = (from + i) % S;
		uint64_t bits = used[slot / 64] >> slot % 64;

		if (bits) {
			i += (unsigned)__builtin_ctzll(bits);
			return MIN(i, (unsigned)S);
		}
		i += 64 - slot % 64;
	}
	return S;
}

static void find_next(struct wheel *w)
{
	unsigned n = slot_next(w->used[0], w->now % S);

	w->next = n < S ? w->now + n : WHEEL_NEVER;
	n = slot_next(w->used[1], w->now / S % S);
	if (n < S)
		w->next = MIN(w->next, (w->now / S + n) * S);
}

/* Empties a slot: what is due goes to the list, what is not to its place. */
static void empty(struct wheel *w, unsigned slot, struct list *due)
{
	struct list all;

	list_init(&all);
	list_splice_back(&all, &w->slots[slot]);
	mark(w, slot, false);
	while (!list_empty(&all)) {
		struct wheel_entry *e = list_first(&all, struct wheel_entry, link);

		list_del(&e->link);
		e->slot = WHEEL_NO_SLOT;
		if (e->due <= w->now)
			list_push_back(due, &e->link);
		else
			place(w, e, e->due);
	}
}

void wheel_advance(struct wheel *w, uint32_t now, struct list *due)
{
	while (w->next <= now) {
		/* Nothing stands in the slots between. */
		w->now = MAX(w->now, w->next);
		if (w->now % S == 0)
			empty(w, S + w->now / S % S, due);
		empty(w, w->now % S, due);
		find_next(w);
	}
	w->now = MAX(w->now, now);
}
