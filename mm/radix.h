/*
 * mm/radix.h - the index of a page cache: page number to page, read without a lock.
 *
 * A tree of nodes with 64 slots; the root covers what its `shift` says and grows with the largest index. Writers hold
 * the cache's lock. Readers are under RCU and take a page's reference with page_try_get(), then check that the page is
 * still the one they looked for: nodes are freed by RCU, pages are not freed but may be used for something else.
 */
#ifndef IBRIK_MM_RADIX_H
#define IBRIK_MM_RADIX_H

#include "mm/mm.h"

/* Under RCU or the lock. NULL: nothing there. */
struct page *radix_find(void *_Atomic *root, uint64_t index);
/* Lock held. 0, -ENOMEM, or -EEXIST. */
int radix_insert(void *_Atomic *root, uint64_t index, struct page *page);
/* Lock held. The page that was there, or NULL. Cannot fail. */
struct page *radix_remove(void *_Atomic *root, uint64_t index);
/* Lock held. The first page at or behind *index, whose number is stored there; NULL: none. */
struct page *radix_next(void *_Atomic *root, uint64_t *index);

#endif
