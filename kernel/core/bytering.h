/*
 * kernel/core/bytering.h - a ring of bytes over pages: the content of a pipe or a stream socket.
 *
 * Pages are allocated when the writer reaches them and given back when the reader leaves them; one
 * drained page is kept, so that a ping-pong of small messages allocates nothing and stays on one page.
 * head and tail count bytes; the page of position x is pages[(x / PAGE_SIZE) % npages]. They are
 * rewound when the ring is empty.
 *
 * Locking: the owner's mutex. It is held across the copy from or to the application, so it must be one that
 * the fault path never takes.
 */
#ifndef IBRIK_CORE_BYTERING_H
#define IBRIK_CORE_BYTERING_H

#include "lib/types.h"
#include "mm/mm.h"

struct bytering {
	uint64_t head, tail;  /* bytes put in, bytes taken out */
	struct page **pages;  /* npages slots, a power of two; NULL where nothing is stored */
	unsigned npages;
	struct page *spare;
};

/* An empty ring of npages (a power of two). 0 or -ENOMEM. */
int bytering_init(struct bytering *r, unsigned npages);
void bytering_free(struct bytering *r);
void bytering_clear(struct bytering *r); /* throws the content away */

static inline size_t bytering_used(const struct bytering *r) { return r->head - r->tail; }
static inline size_t bytering_space(const struct bytering *r)
{
	return r->npages * PAGE_SIZE - bytering_used(r);
}

/* Copies at most len bytes in, as many as there is space for; the number, or -ENOMEM or -EFAULT if none. */
ssize_t bytering_put(struct bytering *r, uaddr_t from, size_t len);
/* Copies at most len bytes out, as many as there are; the number, or -EFAULT if none. */
ssize_t bytering_get(struct bytering *r, uaddr_t to, size_t len);
/* The same, from `skip` bytes behind the tail, and leaves them there. */
ssize_t bytering_peek(const struct bytering *r, size_t skip, uaddr_t to, size_t len);
/* Another number of pages, the content stays. -EBUSY if it does not fit, -ENOMEM. */
int bytering_resize(struct bytering *r, unsigned npages);

#endif
