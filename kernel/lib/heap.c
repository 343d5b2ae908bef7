/*
 * kernel/lib/heap.c - pairing heap; see heap.h.
 *
 * A node's children form a list; its `prev` is the elder sibling, or the parent for the first child.
 * Removing the root merges its children in two passes (pairs from the left, then all from the right),
 * which gives the amortised logarithm; done by loops, since a list of children can be long.
 */
#include "lib/heap.h"

struct heap_node *heap_merge_list(struct heap_node *first)
{
	struct heap_node *pairs = NULL; /* finished pairs, linked by next, last one first */

	while (first) {
		struct heap_node *a = first;
		struct heap_node *b = a->next;
		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		struct heap_node *m = heap_meld(a, b);
		m->next = pairs;
		pairs = m;
	}
	struct heap_node *root = NULL;
	while (pairs) {
		struct heap_node *next = pairs->next;
		pairs->next = NULL;
		root = heap_meld(root, pairs);
		pairs = next;
	}
	return root;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	if (n == h->root) {
		heap_pop(h);
		return;
	}
	if (n->prev->child == n)
		n->prev->child = n->next;
	else
		n->prev->next = n->next;
	if (n->next)
		n->next->prev = n->prev;
	struct heap_node *sub = heap_merge_list(n->child);
	n->child = n->next = n->prev = NULL;
	if (sub) {
		sub->prev = sub->next = NULL;
		h->root = heap_meld(h->root, sub);
	}
}
