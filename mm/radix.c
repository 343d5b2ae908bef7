/*
 * mm/radix.c - see radix.h.
 */
#include "mm/radix.h"
#include "core/rcu.h"

#define BITS 6
#define SLOTS (1u << BITS)
#define DEPTH_MAX 11

struct node {
	struct rcu_head rcu;
	unsigned shift; /* of the index bits that choose a slot here */
	unsigned count; /* slots in use */
	void *_Atomic slots[SLOTS];
};

static bool covers(const struct node *n, uint64_t index)
{
	return n->shift + BITS >= 64 || index >> (n->shift + BITS) == 0;
}

static unsigned slot_of(const struct node *n, uint64_t index)
{
	return (index >> n->shift) & (SLOTS - 1);
}

static void *slot_load(struct node *n, unsigned i)
{
	return atomic_load_explicit(&n->slots[i], memory_order_acquire);
}

struct page *radix_find(void *_Atomic *root, uint64_t index)
{
	struct node *n = atomic_load_explicit(root, memory_order_acquire);

	if (!n || !covers(n, index))
		return NULL;
	while (n) {
		void *next = slot_load(n, slot_of(n, index));
		if (n->shift == 0)
			return next;
		n = next;
	}
	return NULL;
}

static struct node *node_new(unsigned shift)
{
	struct node *n = kzalloc(sizeof(*n));

	if (n)
		n->shift = shift;
	return n;
}

static void node_free(struct rcu_head *head) { kfree(container_of(head, struct node, rcu)); }

/* Takes nodes without content off the way to `index`. */
static void prune(void *_Atomic *root, uint64_t index)
{
	struct node *path[DEPTH_MAX], *n = atomic_load_explicit(root, memory_order_relaxed);
	unsigned depth = 0;

	while (n) {
		path[depth++] = n;
		n = n->shift ? slot_load(n, slot_of(n, index)) : NULL;
	}
	while (depth-- > 0 && path[depth]->count == 0) {
		if (depth == 0) {
			atomic_store_explicit(root, NULL, memory_order_release);
		} else {
			n = path[depth - 1];
			atomic_store_explicit(&n->slots[slot_of(n, index)], NULL, memory_order_release);
			n->count--;
		}
		rcu_call(&path[depth]->rcu, node_free);
	}
}

int radix_insert(void *_Atomic *root, uint64_t index, struct page *page)
{
	struct node *n = atomic_load_explicit(root, memory_order_relaxed);

	if (!n) {
		unsigned shift = 0;
		while (shift + BITS < 64 && index >> (shift + BITS))
			shift += BITS;
		n = node_new(shift);
		if (!n)
			return -ENOMEM;
		atomic_store_explicit(root, n, memory_order_release);
	}
	while (!covers(n, index)) {
		struct node *up = node_new(n->shift + BITS);
		if (!up)
			return -ENOMEM;
		up->slots[0] = n;
		up->count = 1;
		atomic_store_explicit(root, up, memory_order_release);
		n = up;
	}
	while (n->shift) {
		unsigned i = slot_of(n, index);
		struct node *next = slot_load(n, i);
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
	unsigned i = slot_of(n, index);
	if (slot_load(n, i))
		return -EEXIST;
	atomic_store_explicit(&n->slots[i], page, memory_order_release);
	n->count++;
	return 0;
}

struct page *radix_remove(void *_Atomic *root, uint64_t index)
{
	struct node *n = atomic_load_explicit(root, memory_order_relaxed);
	struct page *page;

	if (!n || !covers(n, index))
		return NULL;
	while (n && n->shift)
		n = slot_load(n, slot_of(n, index));
	page = n ? slot_load(n, slot_of(n, index)) : NULL;
	if (!page)
		return NULL;
	atomic_store_explicit(&n->slots[slot_of(n, index)], NULL, memory_order_release);
	if (--n->count == 0)
		prune(root, index);
	return page;
}

struct page *radix_next(void *_Atomic *root, uint64_t *index)
{
	uint64_t at = *index;

	for (;;) {
		struct node *n = atomic_load_explicit(root, memory_order_relaxed);
		if (!n || !covers(n, at))
			return NULL;
		/* Down to the slot of `at`; where a subtree is missing, on to the next slot of that node. */
		for (;;) {
			unsigned i = slot_of(n, at);
			void *next = slot_load(n, i);
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
			if (slot_of(n, at) == 0)
				break; /* past this node: from the root again */
		}
	}
}
