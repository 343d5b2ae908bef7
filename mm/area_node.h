/*
 * mm/area_node.h - the nodes of the tree of areas, for the files that change it: area.c and area_small.c.
 *
 * A node is read under RCU; height, bounds and gap are the writer's. While an edit runs, nodes it made are linked by rcu.next in `fresh`,
 * nodes of the old tree it replaces in `retired`; the field is idle otherwise. A fresh node that the edit itself replaced has area == NULL.
 *
 * Interface: nobody else includes it. Locking: areas_lock for changes, RCU or areas_lock for reading.
 * Errors: no memory for a node sets edit->failed, and everything after it does nothing.
 */
#ifndef IBRIK_MM_AREA_NODE_H
#define IBRIK_MM_AREA_NODE_H

#include "mm/internal.h"

struct area_node {
	struct area *_Atomic area;
	struct area_node *_Atomic left, *_Atomic right;
	/* Start of the first area of the subtree; in the bits below a page, the height, and whether the node is fresh. */
	uint64_t min_word;
	uint64_t max_end;        /* end of the last area of the subtree */
	uint64_t max_gap;        /* largest hole between two areas of the subtree */
	struct rcu_head rcu;
};

#define HEIGHT_MASK 0xffull
#define FRESH 0x100ull

static inline unsigned node_height(const struct area_node *n) { return n->min_word & HEIGHT_MASK; }
static inline unsigned height(const struct area_node *n) { return n ? node_height(n) : 0; }
static inline uint64_t node_min(const struct area_node *n) { return n->min_word & ~(PAGE_SIZE - 1ull); }
static inline bool node_fresh(const struct area_node *n) { return n->min_word & FRESH; }
static inline void node_settle(struct area_node *n) { n->min_word &= ~FRESH; }

static inline struct area *node_area(const struct area_node *n)
{
	return atomic_load_explicit(&n->area, memory_order_acquire);
}
static inline struct area_node *node_left(const struct area_node *n)
{
	return atomic_load_explicit(&n->left, memory_order_acquire);
}
static inline struct area_node *node_right(const struct area_node *n)
{
	return atomic_load_explicit(&n->right, memory_order_acquire);
}

/* What a node knows of its subtree, from its area and its children. False: it knew that, and so do the nodes above it. */
static inline bool node_sum(struct area_node *n)
{
	const struct area_node *l = node_left(n), *r = node_right(n);
	const struct area *a = node_area(n);
	uint64_t start = a->d.start, end = a->d.end, min = start, max = end, gap = 0, h = 0, changed;

	if (l) {
		min = node_min(l);
		gap = MAX(l->max_gap, start - l->max_end);
		h = node_height(l);
	}
	if (r) {
		max = r->max_end;
		gap = MAX(gap, MAX(r->max_gap, node_min(r) - end));
		h = MAX(h, node_height(r));
	}
	min |= h + 1;
	changed = (n->min_word ^ min) | (n->max_end ^ max) | (n->max_gap ^ gap);
	n->min_word = min;
	n->max_end = max;
	n->max_gap = gap;
	return changed;
}

/* A node of this edit, or NULL. */
struct area_node *area_node_new(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r);
void area_node_free_rcu(struct rcu_head *head);

/* Edits in place that may have moved what a search under way has not reached; area_search() looks at it. */
extern _Atomic uint64_t area_moves;

/* Prepares an edit as stores in place. False: it cannot be, or (edit->failed) there is no memory. What the tree holds is as before. */
bool area_small_prepare(struct area_edit *e, struct area *old_list, struct area *fresh_list);
void area_small_publish(struct area_edit *e);

#endif
