/*
 * mm/peek.h - a small piece of a page cache without a reference, and without a call.
 *
 * Theory:    What is read counts if no page has left the index meanwhile, for only then can the page have become something else. The size is
 *            looked at twice. A write grows the file behind the data it copies: only a page that lies within the size after it was found has
 *            them. A truncation shrinks the file before it clears the rest of the last page: what lies within the size after the copy is whole.
 *            A page that has not been seen before is for the long way, which makes it count as used.
 * Interface: pagecache_piece(), pagecache_piece_valid().
 * Locking:   an RCU section of the caller, around both and the copy.
 */
#ifndef IBRIK_MM_PEEK_H
#define IBRIK_MM_PEEK_H

#include "mm/internal.h"
#include "mm/radix.h"

/* Where the n bytes at pos lie, which one page and the file have, or NULL: not this way. *mark is for pagecache_piece_valid(). */
static inline __attribute__((always_inline)) const char *pagecache_piece(struct pagecache *c, uint64_t pos, size_t n, uint64_t *mark)
{
	const uint32_t seen = PAGE_UPTODATE | PAGE_REFERENCED;
	struct page *p;
	uint64_t size;

	*mark = atomic_load_explicit(&c->removals, memory_order_acquire);
	p = radix_peek(&c->root, pos >> PAGE_SHIFT);
	if (!p || (atomic_load_explicit(&p->flags, memory_order_acquire) & seen) != seen)
		return NULL;
	size = atomic_load_explicit(&c->size_bytes, memory_order_acquire);
	if (pos >= size || n > size - pos || (pos & (PAGE_SIZE - 1)) + n > PAGE_SIZE)
		return NULL;
	return (const char *)page_virt(p) + (pos & (PAGE_SIZE - 1));
}

/* After the copy of what ends at `end`: was it of this file? */
static inline __attribute__((always_inline)) bool pagecache_piece_valid(struct pagecache *c, uint64_t end, uint64_t mark)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&c->removals, memory_order_relaxed) == mark &&
	       atomic_load_explicit(&c->size_bytes, memory_order_relaxed) >= end;
}

#endif
