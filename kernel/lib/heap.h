/*
 * kernel/lib/heap.h - pairing heap, intrusive: smallest key first.
 *
 * insert and first are O(1), pop and remove O(log n) amortised, without allocation or recursion. Equal
 * keys come out in no particular order. No locking: the owner's.
 */
#ifndef IBRIK_LIB_HEAP_H
#define IBRIK_LIB_HEAP_H

#include "lib/types.h"

struct heap_node {
	uint64_t key;
	struct heap_node *child; /* first child */
	struct heap_node *next;  /* next sibling */
	struct heap_node *prev;  /* previous sibling, or the parent of a first child */
};

struct heap {
	struct heap_node *root;
};

void heap_insert(struct heap *h, struct heap_node *n);
static inline struct heap_node *heap_first(struct heap *h) { return h->root; }
struct heap_node *heap_pop(struct heap *h);
void heap_remove(struct heap *h, struct heap_node *n);

#endif
