/*
 * kernel/lib/heap.h - pairing heap, intrusive: smallest key first.
 *
 * insert and first are O(1), pop and remove O(log n) amortised, without allocation or recursion. Equal
 * keys come out in no particular order. No locking: the owner's. What a switch of threads does is inline.
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

static inline struct heap_node *heap_first(struct heap *h) { return h->root; }

/* Of two heaps, each without siblings, one. Either may be empty. */
static inline struct heap_node *heap_meld(struct heap_node *a, struct heap_node *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->key < a->key) {
		struct heap_node *t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	return a;
}

static inline void heap_insert(struct heap *h, struct heap_node *n)
{
	n->child = n->next = n->prev = NULL;
	h->root = heap_meld(h->root, n);
}

/* One heap of a list of siblings. */
struct heap_node *heap_merge_list(struct heap_node *first);

static inline struct heap_node *heap_pop(struct heap *h)
{
	struct heap_node *n = h->root, *root;

	if (!n)
		return NULL;
	root = n->child;
	if (root) {
		if (root->next)
			root = heap_merge_list(root);
		root->prev = root->next = NULL;
	}
	h->root = root;
	n->child = NULL;
	return n;
}

void heap_remove(struct heap *h, struct heap_node *n);

#endif
