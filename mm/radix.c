/*
 * mm/radix.c - see radix.h.
 */
#include "mm/radix.h"
#include "core/rcu.h"

#define BITS RADIX_BITS
#define DEPTH_MAX 11

struct page *radix_find(void *_Atomic *root, uint64_t index) { return radix_peek(root, index); }

static struct radix_node *node_new(unsigned shift)
{
	struct radix_node *n = kzalloc(sizeof(*n));

	if (n)
		n->shift = shift;
	return n;
}

static void node_free(struct rcu_head *head) { kfree(container_of(head, struct radix_node, rcu)); }

/* Takes nodes without content off the way to `index`. */
static void prune(void *_Atomic *root, uint64_t index)
{
	struct radix_node *path[DEPTH_MAX], *n = atomic_load_explicit(root, memory_order_relaxed);
	unsigned depth = 0;

	while (n) {
		path[depth++] = n;
		n = n->shift ? radix_slot_load(n, radix_slot_of(n, index)) : NULL;
	}
	while (depth-- > 0 && path[depth]->count == 0) {
		if (depth == 0) {
			atomic_store_explicit(root, NULL, memory_order_release);
		} else {
			n = path[depth - 1];
			atomic_store_explicit(&n->slots[radix_slot_of(n, index)], NULL, memory_order_release);
			n->count--;
		}
		rcu_call(&path[depth]->rcu, node_free);
	}
}

int radix_insert(void *_Atomic *root, uint64_t index, struct page *page)
{
	struct radix_node *n = atomic_load_explicit(root, memory_order_relaxed);

	if (!n) {
		unsigned shift = 0;
		while (shift + BITS < 64 && index >> (shift + BITS))
			shift += BITS;
		n = node_new(shift);
		if (!n)
			return -ENOMEM;
		atomic_store_explicit(root, n, memory_order_release);
	}
	while (!radix_covers(n, index)) {
		struct radix_node *up = node_new(n->shift + BITS);
		if (!up)
			return -ENOMEM;
		up->slots[0] = n;
		up->count = 1;
		atomic_store_explicit(root, up, memory_order_release);
		n = up;
	}
	while (n->shift) {
		unsigned i = radix_slot_of(n, index);
		struct radix_node *next = radix_slot_load(n, i);
		if (!next) {
			next = node_new(n->shift - BITS);
			if (!next) {
				prune(root, index);
				return -ENOMEM;
			}
			atomic_store_explicit(&n->slots[i], next, memory_order_release);
			n->count++;
		}
		n = next;
	}
	unsigned i = radix_slot_of(n, index);
	if (radix_slot_load(n, i))
		return -EEXIST;
	atomic_store_explicit(&n->slots[i], page, memory_order_release);
	n->count++;
	return 0;
}

struct page *radix_remove(void *_Atomic *root, uint64_t index)
{
	struct radix_node *n = atomic_load_explicit(root, memory_order_relaxed);
	struct page *page;

	if (!n || !radix_covers(n, index))
		return NULL;
	while (n && n->shift)
		n = radix_slot_load(n, radix_slot_of(n, index));
	page = n ? radix_slot_load(n, radix_slot_of(n, index)) : NULL;
	if (!page)
		return NULL;
	atomic_store_explicit(&n->slots[radix_slot_of(n, index)], NULL, memory_order_release);
	if (--n->count == 0)
		prune(root, index);
	return page;
}

struct page *radix_next(void *_Atomic *root, uint64_t *index)
{
	uint64_t at = *index;

	for (;;) {
		struct radix_node *n = atomic_load_explicit(root, memory_order_relaxed);
		if (!n || !radix_covers(n, at))
			return NULL;
		/* Down to the slot of `at`; where a subtree is missing, on to the next slot of that node. */
		for (;;) {
			unsigned i = radix_slot_of(n, at);
			void *next = radix_slot_load(n, i);
			if (next && n->shift == 0) {
				*index = at;
				return next;
			}
			if (next) {
				n = next;
				continue;
			}
			uint64_t step = 1ull << n->shift;
			uint64_t after = (at & ~(step - 1)) + step;
			if (after == 0)
				return NULL;
			at = after;
			if (radix_slot_of(n, at) == 0)
				break; /* past this node: from the root again */
		}
	}
}
