/*
 * mm/area.c - the tree of areas.
 *
 * Theory: an AVL tree that faults search under RCU alone: an address finds what it had before an edit or what it has after it, never
 * a hole between the two. In general an edit copies the paths to what it changes and stores the new root: it splits the tree at
 * the two ends of the range, drops the middle and joins the rest with the new areas between (Blelloch, Ferizovic,
 * Sun, "Just Join for Parallel Ordered Sets", SPAA 2016): O(log n) copies whatever the range holds.
 *   Most edits are smaller: an area becomes two or three, or these become one again; neighbours move the border between them; one comes
 * or goes. They are a few stores in place, in the manner of Clements, Kaashoek, Zeldovich, "Scalable Address Spaces Using RCU Balanced
 * Trees" (ASPLOS 2012). Of neighbours in order one is always above the others: it is the middle of the edit, and the others
 * (each with a child at most, since nothing lies between) are at the inner ends of its two sides. If a side would become too high, nodes are
 * turned before the edit, which changes nothing that the tree says; if that does not do, the edit takes the general way.
 *
 * Why a search meets no hole. The stores of an edit in place come in two groups. First what adds: a node's area is replaced by one
 * that includes it, and new leaves are linked. Then `moves` is counted up. Then what takes away: a node's area is replaced by one that
 * lies within it, and nodes are unlinked. Take an address that is covered before and after the edit.
 *   - The same node covers it before and after: it does at any time between, and it is on the way from the root in all states, because
 *     the ranges of the nodes above it only change on the far side of the address or within what they held.
 *   - A node above is the one that loses it (a split, or the border moves away): a search that still sees it there has found it. One that
 *     does not has seen a store of the second group, so it sees those of the first: the way down leads to the node that has it now.
 *   - A node above is the one that gets it (areas melt, or the border moves): a search that begins after `moves` was counted finds it
 *     there. One that passed the upper node before may come to the lower too late and find nothing: it sees that `moves` has changed,
 *     and begins again. It does not wait: it goes on when another edit has got on.
 *   - A node with two children whose area goes gets the area of a neighbour, whose node goes: the same.
 * Copies and turns: a node that has been copied or taken out keeps its area and its children, and is never stored to again. A store in place
 * puts behind a pointer at least what was there, except for a node whose area goes for good, or is found above it (the second group). Where the
 * general way replaces an area, all nodes above that are copied, so the old way to it stays as it is. So a search that stands in an old
 * node finds what was there when it came, or misses and sees that `moves` has changed. What is found was in the tree at some time since the search
 * began; it may be dead already, which is what the flag in it is for (internal.h).
 *   Rights: a search may find the old area until the edit has ended, and the caller's call has not returned then.
 *
 * Every node knows the bounds and the largest gap of its subtree, so that finding a free address is O(log n) too. Only writers look
 * at these, and at heights.
 *
 * One tree holds the areas of all mms, because they share the address space: a placement then avoids all.
 *
 * While an edit runs, nodes it made are linked by rcu.next in `fresh`, nodes of the old tree it replaces in `retired`;
 * the field is idle otherwise. A fresh node that the edit itself replaced has area == NULL.
 *
 * Interface: internal.h. Locking: areas_lock for edits, RCU or areas_lock for reading.
 * Errors: prepare answers -ENOMEM and leaves the published tree as it was.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "fs/vfs.h"
#include "lib/string.h"

struct area_node {
	struct area *_Atomic area;
	struct area_node *_Atomic left, *_Atomic right;
	/* Start of the first area of the subtree; in the bits below a page, the height, and whether the node is fresh. */
	uint64_t min_word;
	uint64_t max_end;        /* end of the last area of the subtree */
	uint64_t max_gap;        /* largest hole between two areas of the subtree */
	struct rcu_head rcu;
};

struct mutex areas_lock = MUTEX_INIT("areas");
struct list areas_in_order = LIST_INIT(areas_in_order);
struct area_node *_Atomic area_root;

/* --- nodes ------------------------------------------------------------------------------------------------ */
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

static struct area_node *node_new(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct area_node *n = e->failed ? NULL : kmalloc(sizeof(*n));

	if (!n) {
		e->failed = true;
		return NULL;
	}
	atomic_init(&n->area, a);
	atomic_init(&n->left, l);
	atomic_init(&n->right, r);
	node_sum(n);
	n->min_word |= FRESH;
	n->rcu.next = (struct rcu_head *)e->fresh;
	e->fresh = n;
	return n;
}

/* The new tree no longer uses n. Its fields stay readable until the edit ends. */
static void node_retire(struct area_edit *e, struct area_node *n)
{
	if (node_fresh(n)) {
		atomic_store_explicit(&n->area, NULL, memory_order_relaxed);
		return;
	}
	n->rcu.next = (struct rcu_head *)e->retired;
	e->retired = n;
}

struct parts {
	struct area_node *l;
	struct area *a;
	struct area_node *r;
};

static struct parts expose(struct area_edit *e, struct area_node *n)
{
	struct parts p = { node_left(n), node_area(n), node_right(n) };

	node_retire(e, n);
	return p;
}

static struct area_node *rotate_left(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct parts p = expose(e, r);

	return node_new(e, node_new(e, l, a, p.l), p.a, p.r);
}

static struct area_node *rotate_right(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct parts p = expose(e, l);

	return node_new(e, p.l, p.a, node_new(e, p.r, a, r));
}

/* Joins l < a < r where l is higher by more than one. */
static struct area_node *join_right(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct parts p = expose(e, l);
	struct area_node *t;

	if (height(p.r) <= height(r) + 1) {
		t = node_new(e, p.r, a, r);
		if (e->failed)
			return NULL;
		if (height(t) <= height(p.l) + 1)
			return node_new(e, p.l, p.a, t);
		/* t is high on the left: turn it first, then the whole. */
		{
			struct parts q = expose(e, t);

			t = q.l ? rotate_right(e, q.l, q.a, q.r) : node_new(e, q.l, q.a, q.r);
		}
		if (e->failed)
			return NULL;
		return rotate_left(e, p.l, p.a, t);
	}
	t = join_right(e, p.r, a, r);
	if (e->failed)
		return NULL;
	if (height(t) <= height(p.l) + 1)
		return node_new(e, p.l, p.a, t);
	return rotate_left(e, p.l, p.a, t);
}

static struct area_node *join_left(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct parts p = expose(e, r);
	struct area_node *t;

	if (height(p.l) <= height(l) + 1) {
		t = node_new(e, l, a, p.l);
		if (e->failed)
			return NULL;
		if (height(t) <= height(p.r) + 1)
			return node_new(e, t, p.a, p.r);
		{
			struct parts q = expose(e, t);

			t = q.r ? rotate_left(e, q.l, q.a, q.r) : node_new(e, q.l, q.a, q.r);
		}
		if (e->failed)
			return NULL;
		return rotate_right(e, t, p.a, p.r);
	}
	t = join_left(e, l, a, p.l);
	if (e->failed)
		return NULL;
	if (height(t) <= height(p.r) + 1)
		return node_new(e, t, p.a, p.r);
	return rotate_right(e, t, p.a, p.r);
}

static struct area_node *join(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	if (e->failed)
		return NULL;
	if (height(l) > height(r) + 1)
		return join_right(e, l, a, r);
	if (height(r) > height(l) + 1)
		return join_left(e, l, a, r);
	return node_new(e, l, a, r);
}

/* Takes the last area out of n. */
static struct area_node *split_last(struct area_edit *e, struct area_node *n, struct area **last)
{
	struct parts p = expose(e, n);

	if (!p.r) {
		*last = p.a;
		return p.l;
	}
	return join(e, p.l, p.a, split_last(e, p.r, last));
}

static struct area_node *join2(struct area_edit *e, struct area_node *l, struct area_node *r)
{
	struct area *last;

	if (!l)
		return r;
	l = split_last(e, l, &last);
	return join(e, l, last, r);
}

/* Areas that start before addr go to *l, the others to *r. */
static void split(struct area_edit *e, struct area_node *n, uaddr_t addr, struct area_node **l,
		  struct area_node **r)
{
	struct area_node *mid;
	struct parts p;

	if (!n || e->failed) {
		*l = *r = NULL;
		return;
	}
	p = expose(e, n);
	if (p.a->d.start < addr) {
		split(e, p.r, addr, &mid, r);
		*l = join(e, p.l, p.a, mid);
	} else {
		split(e, p.l, addr, l, &mid);
		*r = join(e, mid, p.a, p.r);
	}
}

static void retire_all(struct area_edit *e, struct area_node *n)
{
	if (!n)
		return;
	retire_all(e, node_left(n));
	retire_all(e, node_right(n));
	node_retire(e, n);
}

/* --- small edits, in place ------------------------------------------------------------------------------------- */
#define SMALL_MAX 3 /* areas that a small edit takes out or puts in, at most */
#define TURNS_MAX 3 /* tries to make room for one; then the general way is not dearer */

static _Atomic uint64_t moves; /* edits in place that may have moved what a search under way has not reached */

static void node_free_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct area_node, rcu));
}

static inline struct area_node *_Atomic *link_of(struct area_node *n, bool right)
{
	return right ? &n->right : &n->left;
}
static inline struct area_node *child_of(const struct area_node *n, bool right)
{
	return right ? node_right(n) : node_left(n);
}

#ifdef UNIT_TEST
void area_step(void); /* looks at the tree between the stores of an edit */
#else
static inline void area_step(void) {}
#endif

static inline void link_set(struct area_node *_Atomic *link, struct area_node *n)
{
	atomic_store_explicit(link, n, memory_order_release);
	area_step();
}
static inline void area_set(struct area_node *n, struct area *a)
{
	atomic_store_explicit(&n->area, a, memory_order_release);
	area_step();
}

/* The pointer to the node at that place of the path; the place behind the last node is where one could be added. */
static struct area_node *_Atomic *link_to(struct area_edit *e, unsigned at)
{
	return at ? link_of(e->path[at - 1], e->goes_right >> (at - 1) & 1) : &area_root;
}

/* The same for the way to a neighbour of the path's last node. */
static struct area_node *_Atomic *side_link(struct area_edit *e, bool right, unsigned at)
{
	return at ? link_of(e->side[right].node[at - 1], !right) : link_of(e->path[e->depth], right);
}

/* The way down to the topmost node whose area starts in [first, last], or to where it would be. */
static bool path_find(struct area_edit *e, uaddr_t first, uaddr_t last)
{
	struct area_node *n = atomic_load_explicit(&area_root, memory_order_relaxed);

	e->depth = 0;
	e->goes_right = 0;
	for (; n; e->depth++) {
		uaddr_t start = node_area(n)->d.start;
		bool right = start < first;

		if (e->depth == AREA_PATH_MAX)
			return false;
		e->path[e->depth] = n;
		if (!right && start <= last)
			break;
		e->goes_right |= (uint64_t)right << e->depth;
		n = child_of(n, right);
	}
	return true;
}

/* Notes that the node to which that link points would be too heavy on one side. */
static bool lopsided(struct area_edit *e, struct area_node *_Atomic *link, bool right)
{
	e->heavy = link;
	e->heavy_right = right;
	return false;
}

/* Does the tree stay balanced if what hangs at the path's place `at` gets that height? */
static bool path_balanced(struct area_edit *e, unsigned at, unsigned h)
{
	while (at-- > 0) {
		const struct area_node *n = e->path[at];
		bool right = e->goes_right >> at & 1;
		unsigned other = height(child_of(n, !right));

		if (h > other + 1)
			return lopsided(e, link_to(e, at), right);
		if (other > h + 1)
			return lopsided(e, link_to(e, at), !right);
		h = 1 + MAX(h, other);
		if (h == node_height(n))
			break;
	}
	return true;
}

/* The same for the way to a neighbour, where a node is added or goes; *h is then the height of that side. */
static bool side_balanced(struct area_edit *e, bool right, unsigned *h)
{
	const struct area_side *s = &e->side[right];
	unsigned at = s->n;

	*h = 1;
	if (s->how == SIDE_REMOVE)
		*h = height(child_of(s->node[--at], right));
	while (at-- > 0) {
		unsigned other = height(child_of(s->node[at], right));

		if (*h > other + 1)
			return lopsided(e, side_link(e, right, at), !right);
		if (other > *h + 1)
			return lopsided(e, side_link(e, right, at), right);
		*h = 1 + MAX(*h, other);
		if (*h == node_height(s->node[at])) {
			*h = height(child_of(e->path[e->depth], right));
			break;
		}
	}
	return true;
}

static inline bool grows(const struct area *from, const struct area *to)
{
	return to->d.start <= from->d.start && from->d.end <= to->d.end;
}
/* One store in a node can only make its range longer, or only shorter. */
static inline bool replaceable(const struct area *from, const struct area *to)
{
	return grows(from, to) || grows(to, from);
}

/* What happens to the neighbour on one side of the path's last node: `old` goes (or NULL), `fresh` comes (or NULL, but not both).
 * *h becomes the height of that side. */
static bool plan_side(struct area_edit *e, bool right, const struct area *old, struct area *fresh, unsigned *h)
{
	struct area_side *s = &e->side[right];
	struct area_node *n = child_of(e->path[e->depth], right);

	s->area = fresh;
	s->how = old ? fresh ? SIDE_REPLACE : SIDE_REMOVE : SIDE_INSERT;
	if (s->how == SIDE_REPLACE && !replaceable(old, fresh))
		return false;
	s->n = 0;
	for (struct area_node *next = n; next; next = child_of(next, !right)) {
		if (s->n == AREA_PATH_MAX)
			return false;
		s->node[s->n++] = next;
	}
	*h = height(n);
	return s->how == SIDE_REPLACE || side_balanced(e, right, h);
}

struct few_areas {
	struct area *a[SMALL_MAX];
	unsigned n;
};

/* False: the list has more. */
static bool few_areas_take(struct few_areas *few, struct area *list)
{
	for (few->n = 0; list; list = list->next) {
		if (few->n == SMALL_MAX)
			return false;
		few->a[few->n++] = list;
	}
	return true;
}

/* Plans the edit with fresh area number `to` in the path's last node, which has old area number `from`. */
static bool plan_around(struct area_edit *e, const struct few_areas *old, unsigned from, const struct few_areas *fresh, unsigned to)
{
	unsigned old_behind = old->n - from - 1, fresh_behind = fresh->n - to - 1, left, right;
	struct area_node *n = e->path[e->depth];

	if (to > 1 || fresh_behind > 1 || !replaceable(old->a[from], fresh->a[to]))
		return false;
	e->side[0].how = e->side[1].how = SIDE_KEEP;
	left = height(node_left(n));
	right = height(node_right(n));
	if ((from | to) && !plan_side(e, false, from ? old->a[0] : NULL, to ? fresh->a[0] : NULL, &left))
		return false;
	if ((old_behind | fresh_behind) &&
	    !plan_side(e, true, old_behind ? old->a[from + 1] : NULL, fresh_behind ? fresh->a[to + 1] : NULL, &right))
		return false;
	e->how = AREA_EDIT_REPLACE;
	e->area = fresh->a[to];
	e->grow = grows(old->a[from], e->area);
	if (left > right + 1 || right > left + 1)
		return lopsided(e, link_to(e, e->depth), right > left);
	if (1 + MAX(left, right) == node_height(n))
		return true;
	return path_balanced(e, e->depth, 1 + MAX(left, right));
}

/* Plans the removal of the path's last node, which has two children: it gets the area of a neighbour, whose node goes. */
static bool plan_removal(struct area_edit *e, const struct area *old, bool right)
{
	struct area_side *s = &e->side[right];
	unsigned h, other = height(child_of(e->path[e->depth], !right));

	e->side[!right].how = SIDE_KEEP;
	if (!plan_side(e, right, old, NULL, &h))
		return false;
	e->how = AREA_EDIT_REPLACE;
	e->area = node_area(s->node[s->n - 1]);
	e->grow = true;
	if (other > h + 1)
		return lopsided(e, link_to(e, e->depth), !right);
	return path_balanced(e, e->depth, 1 + MAX(h, other));
}

/* Plans the edit as stores in place, if it can be. Nothing has been allocated yet. */
static bool plan_small(struct area_edit *e, const struct few_areas *old, const struct few_areas *fresh)
{
	const struct few_areas *some = old->n ? old : fresh;
	struct area_node *n;
	unsigned from = 0;

	e->heavy = NULL;
	e->side[0].how = e->side[1].how = SIDE_KEEP;
	if (!some->n || !path_find(e, some->a[0]->d.start, some->a[some->n - 1]->d.start))
		return false;
	if (!old->n) {
		e->how = AREA_EDIT_INSERT;
		e->area = fresh->a[0];
		return fresh->n == 1 && path_balanced(e, e->depth, 1);
	}
	n = e->path[e->depth];
	if (!fresh->n) {
		bool right = height(node_right(n)) > height(node_left(n));

		if (old->n > 1)
			return false;
		if (node_left(n) && node_right(n))
			return plan_removal(e, old->a[0], right) || plan_removal(e, old->a[0], !right);
		e->how = AREA_EDIT_REMOVE;
		e->root = node_left(n) ? node_left(n) : node_right(n);
		return path_balanced(e, e->depth, height(e->root));
	}
	while (old->a[from] != node_area(n))
		from++;
	/* Only the neighbours next to the node are within reach. */
	if (from > 1 || old->n - from > 2)
		return false;
	if (fresh->n == SMALL_MAX)
		return plan_around(e, old, from, fresh, 1);
	if (plan_around(e, old, from, fresh, MIN(from, fresh->n - 1)))
		return true;
	return fresh->n == 2 && plan_around(e, old, from, fresh, !from);
}

static bool even(unsigned a, unsigned b)
{
	return a <= b + 1 && b <= a + 1;
}

/* A copy of n with other children. */
static struct area_node *node_copy(const struct area_node *n, bool heavy, struct area_node *inner, struct area_node *outer)
{
	struct area_node *c = kmalloc(sizeof(*c));

	if (!c)
		return NULL;
	atomic_init(&c->area, node_area(n));
	atomic_init(link_of(c, heavy), inner);
	atomic_init(link_of(c, !heavy), outer);
	node_sum(c);
	return c;
}

/* The child of n on the heavy side takes the place of n, a copy of n becomes its child. */
static bool turn_once(struct area_node *_Atomic *link, struct area_node *n, bool heavy)
{
	struct area_node *up = child_of(n, heavy), *copy, *light = child_of(n, !heavy), *inner = child_of(up, !heavy);
	unsigned below = 1 + MAX(height(light), height(inner)), outer = height(child_of(up, heavy));

	if (!even(height(light), height(inner)) || !even(below, outer) || 1 + MAX(below, outer) != node_height(n))
		return false;
	copy = node_copy(n, heavy, inner, light);
	if (!copy)
		return false;
	link_set(link_of(up, !heavy), copy);
	node_sum(up);
	link_set(link, up);
	rcu_call(&n->rcu, node_free_rcu);
	return true;
}

/* The inner grandchild of n on the heavy side takes its place, with copies of n and of the child on its two sides. */
static bool turn_twice(struct area_node *_Atomic *link, struct area_node *n, bool heavy)
{
	struct area_node *up = child_of(n, heavy), *mid = child_of(up, !heavy), *light = child_of(n, !heavy), *outer = child_of(up, heavy);
	struct area_node *near, *far, *copy, *copy_up;
	unsigned h, h_up;

	if (!mid)
		return false;
	near = child_of(mid, !heavy);
	far = child_of(mid, heavy);
	h = 1 + MAX(height(light), height(near));
	h_up = 1 + MAX(height(far), height(outer));
	if (!even(height(light), height(near)) || !even(height(far), height(outer)) || !even(h, h_up) || 1 + MAX(h, h_up) != node_height(n))
		return false;
	copy = node_copy(n, heavy, near, light);
	copy_up = node_copy(up, !heavy, far, outer);
	if (!copy || !copy_up) {
		kfree(copy);
		kfree(copy_up);
		return false;
	}
	link_set(link_of(mid, !heavy), copy);
	link_set(link_of(mid, heavy), copy_up);
	node_sum(mid);
	link_set(link, mid);
	rcu_call(&n->rcu, node_free_rcu);
	rcu_call(&up->rcu, node_free_rcu);
	return true;
}

/*
 * Makes room where a plan was lopsided, if the tree stays balanced and as high. What the tree holds does not change. In which of the
 * two ways depends on whether it is the inner grandchild that would grow; `key` is where the plan adds nodes.
 */
static bool turn(struct area_edit *e, uaddr_t key)
{
	struct area_node *_Atomic *link = e->heavy;
	struct area_node *n = atomic_load_explicit(link, memory_order_relaxed);
	bool heavy = e->heavy_right, inner;
	uaddr_t start = node_area(n)->d.start, up_start = node_area(child_of(n, heavy))->d.start;

	if (key == start)
		inner = e->side[heavy].how == SIDE_INSERT;
	else
		inner = (key > start) == heavy && key != up_start && (key < up_start) == heavy;
	if (inner)
		return turn_twice(link, n, heavy) || turn_once(link, n, heavy);
	return turn_once(link, n, heavy) || turn_twice(link, n, heavy);
}

/* Is the new node's place between a node and its only descendant? Then no turn makes room. */
static bool between_two(const struct area_edit *e)
{
	unsigned up = e->depth - 2;

	return e->how == AREA_EDIT_INSERT && e->depth >= 2 && node_height(e->path[up]) == 2 && node_height(e->path[up + 1]) == 1 &&
	       (e->goes_right >> up & 1) != (e->goes_right >> (up + 1) & 1) && e->path[up] == atomic_load_explicit(e->heavy, memory_order_relaxed);
}

/* The new node goes on top of copies of the two. */
static bool prepare_between_two(struct area_edit *e)
{
	struct area *up = node_area(e->path[e->depth - 2]), *below = node_area(e->path[e->depth - 1]);
	struct area_node *n = node_new(e, NULL, up, NULL), *m = node_new(e, NULL, below, NULL);

	e->how = AREA_EDIT_BETWEEN;
	e->root = up->d.start < below->d.start ? node_new(e, n, e->area, m) : node_new(e, m, e->area, n);
	return e->root;
}

/* Prepares the edit as stores in place. False: it cannot be, or (e->failed) there is no memory. */
static bool prepare_in_place(struct area_edit *e, struct area *old_list, struct area *fresh_list)
{
	struct few_areas old, fresh;

	if (!few_areas_take(&old, old_list) || !few_areas_take(&fresh, fresh_list))
		return false;
	for (unsigned turns = 0; !plan_small(e, &old, &fresh); turns++) {
		uaddr_t key;

		if (!e->heavy || turns == TURNS_MAX)
			return false;
		if (between_two(e))
			return prepare_between_two(e);
		key = old.n ? node_area(e->path[e->depth])->d.start : fresh.a[0]->d.start;
		if (!turn(e, key))
			return false;
	}
	if (e->how == AREA_EDIT_INSERT)
		return node_new(e, NULL, e->area, NULL);
	for (unsigned i = 0; i < 2; i++)
		if (e->side[i].how == SIDE_INSERT)
			e->side[i].leaf = node_new(e, NULL, e->side[i].area, NULL);
	return !e->failed;
}

/* What comes: each store adds to what a search finds. */
static void side_grow(struct area_edit *e, bool right)
{
	struct area_side *s = &e->side[right];

	if (s->how == SIDE_INSERT) {
		node_settle(s->leaf);
		link_set(side_link(e, right, s->n), s->leaf);
	} else if (s->how == SIDE_REPLACE && grows(node_area(s->node[s->n - 1]), s->area)) {
		area_set(s->node[s->n - 1], s->area);
	}
}

/* What goes. */
static void side_shrink(struct area_edit *e, bool right)
{
	struct area_side *s = &e->side[right];
	unsigned at = s->n;

	if (s->how == SIDE_REPLACE && node_area(s->node[at - 1]) != s->area)
		area_set(s->node[at - 1], s->area);
	if (s->how == SIDE_REMOVE) {
		at--;
		link_set(side_link(e, right, at), child_of(s->node[at], right));
		rcu_call(&s->node[at]->rcu, node_free_rcu);
	}
	while (at-- > 0 && node_sum(s->node[at]))
		;
}

static void publish_in_place(struct area_edit *e)
{
	unsigned at = e->depth;
	struct area_node *n;

	switch (e->how) {
	case AREA_EDIT_REPLACE:
		n = e->path[at++];
		for (unsigned i = 0; i < 2; i++)
			if (e->side[i].how != SIDE_KEEP)
				side_grow(e, i);
		if (e->grow)
			area_set(n, e->area);
		atomic_store_explicit(&moves, atomic_load_explicit(&moves, memory_order_relaxed) + 1, memory_order_release);
		if (!e->grow)
			area_set(n, e->area);
		for (unsigned i = 0; i < 2; i++)
			if (e->side[i].how != SIDE_KEEP)
				side_shrink(e, i);
		break;
	case AREA_EDIT_INSERT:
		n = e->fresh;
		node_settle(n);
		link_set(link_to(e, at), n);
		break;
	case AREA_EDIT_BETWEEN:
		for (n = e->fresh; n; n = (struct area_node *)n->rcu.next)
			node_settle(n);
		at -= 2;
		link_set(link_to(e, at), e->root);
		rcu_call(&e->path[at]->rcu, node_free_rcu);
		rcu_call(&e->path[at + 1]->rcu, node_free_rcu);
		break;
	default:
		n = e->path[at];
		link_set(link_to(e, at), e->root);
		rcu_call(&n->rcu, node_free_rcu);
	}
	while (at-- > 0 && node_sum(e->path[at]))
		;
}

/* --- edits --------------------------------------------------------------------------------------------------- */
int area_edit_prepare(struct area_edit *e, uaddr_t lo, uaddr_t hi, struct area *old, struct area *fresh)
{
	struct area_node *l, *mid, *r;

	e->how = AREA_EDIT_TREE;
	e->root = e->fresh = e->retired = NULL;
	e->failed = false;
	if (prepare_in_place(e, old, fresh))
		return 0;
	if (e->failed) {
		area_edit_abort(e);
		return -ENOMEM;
	}
	e->how = AREA_EDIT_TREE;
	split(e, atomic_load_explicit(&area_root, memory_order_relaxed), lo, &l, &mid);
	split(e, mid, hi, &mid, &r);
	if (!e->failed)
		retire_all(e, mid);
	for (; fresh && !e->failed; fresh = fresh->next) {
		if (!fresh->next) {
			e->root = join(e, l, fresh, r);
			break;
		}
		l = join(e, l, fresh, NULL);
	}
	if (!fresh && !e->failed)
		e->root = join2(e, l, r);
	if (e->failed) {
		area_edit_abort(e);
		return -ENOMEM;
	}
	return 0;
}

void area_edit_publish(struct area_edit *e)
{
	struct area_node *n, *next;

	if (e->how != AREA_EDIT_TREE) {
		publish_in_place(e);
		return;
	}
	for (n = e->fresh; n; n = next) {
		next = (struct area_node *)n->rcu.next;
		node_settle(n);
		if (!node_area(n))
			kfree(n);
	}
	atomic_store_explicit(&area_root, e->root, memory_order_release);
	for (n = e->retired; n; n = next) {
		next = (struct area_node *)n->rcu.next;
		rcu_call(&n->rcu, node_free_rcu);
	}
}

void area_edit_abort(struct area_edit *e)
{
	struct area_node *n, *next;

	for (n = e->fresh; n; n = next) {
		next = (struct area_node *)n->rcu.next;
		kfree(n);
	}
	e->fresh = e->retired = NULL;
}

/* --- searching ------------------------------------------------------------------------------------------------- */
struct area *area_at_or_after(struct area_node *n, uaddr_t addr)
{
	struct area *best = NULL;

	while (n) {
		struct area *a = node_area(n);

		if (addr < a->d.end) {
			best = a;
			if (addr >= a->d.start)
				return a;
			n = node_left(n);
		} else {
			n = node_right(n);
		}
	}
	return best;
}

struct area *area_search(uaddr_t addr)
{
	for (;;) {
		uint64_t before = atomic_load_explicit(&moves, memory_order_acquire);
		struct area *a = area_at_or_after(rcu_dereference(area_root), addr);

		if (a && a->d.start <= addr)
			return a;
		/* A miss may be an area that has moved to a node that this search had passed already. */
		if (atomic_load_explicit(&moves, memory_order_relaxed) == before)
			return a;
	}
}

/* What is looked for: an aligned hole of len bytes within [lo, hi). */
struct gap_wish {
	uaddr_t lo, hi;
	uint64_t len, align;
};

/* The highest aligned start in the hole [from, to), or 0. */
static uaddr_t hole_fit(uaddr_t from, uaddr_t to, const struct gap_wish *w)
{
	uaddr_t a;

	from = MAX(from, w->lo);
	to = MIN(to, w->hi);
	if (to < from || to - from < w->len)
		return 0;
	a = ALIGN_DOWN(to - w->len, w->align);
	return a >= from ? a : 0;
}

/* Can it be in the subtree, whose neighbours outside end at `before` and start at `after`? */
static inline bool gap_possible(const struct area_node *n, uaddr_t before, uaddr_t after, const struct gap_wish *w)
{
	if (after - before < w->len || before >= w->hi || after <= w->lo)
		return false;
	return !n || n->max_gap >= w->len || node_min(n) - before >= w->len || after - n->max_end >= w->len;
}

static uaddr_t gap_search(const struct area_node *n, uaddr_t before, uaddr_t after, const struct gap_wish *w)
{
	for (; n; n = node_left(n)) {
		const struct area *a = node_area(n);
		const struct area_node *right = node_right(n);
		uaddr_t at = 0;

		if (gap_possible(right, a->d.end, after, w))
			at = right ? gap_search(right, a->d.end, after, w) : hole_fit(a->d.end, after, w);
		if (at)
			return at;
		after = a->d.start;
		if (!gap_possible(node_left(n), before, after, w))
			return 0;
	}
	return hole_fit(before, after, w);
}

uaddr_t area_gap_find(struct area_node *root, uaddr_t lo, uaddr_t hi, uint64_t len, uint64_t align)
{
	const struct gap_wish w = { lo, hi, len, align };

	return gap_search(root, 0, UADDR_END, &w);
}

/* --- areas -------------------------------------------------------------------------------------------------------- */
struct area *area_new(struct mm *mm, const struct area_desc *d)
{
	struct area *a = kmalloc(sizeof(*a));

	if (!a)
		return NULL;
	a->d = *d;
	a->mm = mm;
	a->next = NULL;
	atomic_init(&a->refs, 1);
	atomic_init(&a->dead, false);
	list_init(&a->cache_link);
	list_init(&a->order);
	if (d->file)
		file_get(d->file);
	return a;
}

bool area_try_get(struct area *a)
{
	uint32_t refs = atomic_load_explicit(&a->refs, memory_order_relaxed);

	do {
		if (!refs)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&a->refs, &refs, refs + 1, memory_order_acquire,
							memory_order_relaxed));
	return true;
}

static void area_free_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct area, rcu));
}

void area_put(struct area *a)
{
	if (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (a->d.file)
		file_put(a->d.file);
	rcu_call(&a->rcu, area_free_rcu);
}

#ifdef UNIT_TEST
/* Height of the subtree, of which everything that its nodes claim is true, or -1. */
static int sound(const struct area_node *n, uaddr_t *at)
{
	const struct area_node *l, *r;
	struct area_node sum;
	int hl, hr;

	if (!n)
		return 0;
	l = node_left(n);
	r = node_right(n);
	hl = sound(l, at);
	if (node_area(n)->d.start < *at)
		return -1;
	*at = node_area(n)->d.end;
	hr = sound(r, at);
	sum = (struct area_node){ .area = node_area(n), .left = node_left(n), .right = node_right(n) };
	node_sum(&sum);
	if (hl < 0 || hr < 0 || hl > hr + 1 || hr > hl + 1 || node_height(n) != 1u + (unsigned)MAX(hl, hr) || n->min_word != sum.min_word || n->max_end != sum.max_end || n->max_gap != sum.max_gap)
		return -1;
	return (int)node_height(n);
}

bool area_tree_sound(void)
{
	uaddr_t at = 0;

	return sound(atomic_load(&area_root), &at) >= 0;
}
#endif
