/*
 * kernel/lib/heap.c - pairing heap; see heap.h.
 *
 * A node's children form a list; its `prev` is the elder sibling, or the parent for the first child.
 * Removing the root merges its children in two passes (pairs from the left, then all from the right),
 * which gives the amortised logarithm; done by loops, since a list of children can be long.
 */
#include "lib/heap.h"

static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
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

static struct heap_node *merge_list(struct heap_node *first)
{
	struct heap_node *pairs = NULL; /* finished pairs, linked by next, last one first */

	while (first) {
		struct heap_node *a = first;
		struct heap_node *b = a->next;
		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		struct heap_node *m = meld(a, b);
		m->next = pairs;
		pairs = m;
	}
	struct heap_node *root = NULL;
	while (pairs) {
		struct heap_node *next = pairs->next;
		pairs->next = NULL;
		root = meld(root, pairs);
		pairs = next;
	}
	return root;
}

void heap_insert(struct heap *h, struct heap_node *n)
{
	n->child = n->next = n->prev = NULL;
	h->root = meld(h->root, n);
}

struct heap_node *heap_pop(struct heap *h)
{
	struct heap_node *n = h->root;
	if (n)
		h->root = merge_list(n->child);
	if (h->root)
		h->root->prev = h->root->next = NULL;
	if (n)
		n->child = NULL;
	return n;
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
	struct heap_node *sub = merge_list(n->child);
	n->child = n->next = n->prev = NULL;
	if (sub) {
		sub->prev = sub->next = NULL;
		h->root = meld(h->root, sub);
	}
}
