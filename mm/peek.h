/*
 * mm/peek.h - a small piece of a page cache without a reference, and without a call.
 *
 * Theory:    What is read counts if no page has left the index meanwhile, for only then can the page have become something else.
 *            A page that has not been seen before is for the long way, which makes it count as used.
 * Interface: pagecache_piece(), pagecache_piece_valid().
 * Locking:   an RCU section of the caller, around both and the copy.
 */
#ifndef IBRIK_MM_PEEK_H
#define IBRIK_MM_PEEK_H

#include "mm/internal.h"
#include "mm/radix.h"

/* Where the byte at pos lies, or NULL: not this way. *mark is for pagecache_piece_valid(). The page goes on to its end. */
static inline __attribute__((always_inline)) const char *pagecache_piece(struct pagecache *c, uint64_t pos, uint64_t *mark)
{
	const uint32_t seen = PAGE_UPTODATE | PAGE_REFERENCED;
	struct page *p;

	*mark = atomic_load_explicit(&c->removals, memory_order_acquire);
	p = radix_peek(&c->root, pos >> PAGE_SHIFT);
	if (!p || (atomic_load_explicit(&p->flags, memory_order_acquire) & seen) != seen)
		return NULL;
	return (const char *)page_virt(p) + (pos & (PAGE_SIZE - 1));
}

/* After the copy: was it of this file? */
static inline __attribute__((always_inline)) bool pagecache_piece_valid(struct pagecache *c, uint64_t mark)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&c->removals, memory_order_relaxed) == mark;
}

#endif
