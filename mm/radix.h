/*
 * mm/radix.h - the index of a page cache: page number to page, read without a lock.
 *
 * A tree of nodes with 64 slots; the root covers what its `shift` says and grows with the largest index. Writers hold
 * the cache's lock. Readers are under RCU and take a page's reference with page_try_get(), then check that the page is
 * still the one they looked for: nodes are freed by RCU, pages are not freed but may be used for something else.
 */
#ifndef IBRIK_MM_RADIX_H
#define IBRIK_MM_RADIX_H

#include "core/rcu.h"
#include "mm/mm.h"

#define RADIX_BITS 6
#define RADIX_SLOTS (1u << RADIX_BITS)

struct radix_node {
	struct rcu_head rcu;
	unsigned shift; /* of the index bits that choose a slot here */
	unsigned count; /* slots in use */
	void *_Atomic slots[RADIX_SLOTS];
};

#define RADIX_INLINE static inline __attribute__((always_inline))

RADIX_INLINE bool radix_covers(const struct radix_node *n, uint64_t index)
{
	return n->shift + RADIX_BITS >= 64 || index >> (n->shift + RADIX_BITS) == 0;
}

RADIX_INLINE unsigned radix_slot_of(const struct radix_node *n, uint64_t index)
{
	return (index >> n->shift) & (RADIX_SLOTS - 1);
}

RADIX_INLINE void *radix_slot_load(const struct radix_node *n, unsigned i)
{
	return atomic_load_explicit(&n->slots[i], memory_order_acquire);
}

/* radix_find() for those who may not call. */
RADIX_INLINE struct page *radix_peek(void *_Atomic *root, uint64_t index)
{
	const struct radix_node *n = atomic_load_explicit(root, memory_order_acquire);

	if (!n || !radix_covers(n, index))
		return NULL;
	while (n) {
		void *next = radix_slot_load(n, radix_slot_of(n, index));
		if (n->shift == 0)
			return next;
		n = next;
	}
	return NULL;
}

/* Under RCU or the lock. NULL: nothing there. */
struct page *radix_find(void *_Atomic *root, uint64_t index);
/* Lock held. 0, -ENOMEM, or -EEXIST. */
int radix_insert(void *_Atomic *root, uint64_t index, struct page *page);
/* Lock held. The page that was there, or NULL. Cannot fail. */
struct page *radix_remove(void *_Atomic *root, uint64_t index);
/* Lock held. The first page at or behind *index, whose number is stored there; NULL: none. */
struct page *radix_next(void *_Atomic *root, uint64_t *index);

#endif
