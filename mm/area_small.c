/*
 * mm/area_small.c - small changes of the tree of areas, by stores in place.
 *
 * Theory: an area becomes two or three, or these become one again; neighbours move the border between them; one comes
 * or goes. They are a few stores in place, in the manner of Clements, Kaashoek, Zeldovich, "Scalable Address Spaces Using RCU Balanced
 * Trees" (ASPLOS 2012). Of neighbours in order one is always above the others: it is the middle of the edit, and the others
 * (each with a child at most, since nothing lies between) are at the inner ends of its two sides. If a side would become too high, nodes are
 * turned before the edit, which changes nothing that the tree says; if that does not do, the edit takes the general way.
 *
 * Why a search meets no hole. The stores of an edit in place come in two groups. First what adds: a node's area is replaced by one
 * that includes it, and new leaves are linked. Then `area_moves` is counted up. Then what takes away: a node's area is replaced by one that
 * lies within it, and nodes are unlinked. Take an address that is covered before and after the edit.
 *   - The same node covers it before and after: it does at any time between, and it is on the way from the root in all states, because
 *     the ranges of the nodes above it only change on the far side of the address or within what they held.
 *   - A node above is the one that loses it (a split, or the border moves away): a search that still sees it there has found it. One that
 *     does not has seen a store of the second group, so it sees those of the first: the way down leads to the node that has it now.
 *   - A node above is the one that gets it (areas melt, or the border moves): a search that begins after `area_moves` was counted finds it
 *     there. One that passed the upper node before may come to the lower too late and find nothing: it sees that `area_moves` has changed,
 *     and begins again. It does not wait: it goes on when another edit has got on.
 *   - A node with two children whose area goes gets the area of a neighbour, whose node goes: the same.
 * Copies and turns: a node that has been copied or taken out keeps its area and its children, and is never stored to again. A store in place
 * puts behind a pointer at least what was there, except for a node whose area goes for good, or is found above it (the second group). Where the
 * general way replaces an area, all nodes above that are copied, so the old way to it stays as it is. So a search that stands in an old
 * node finds what was there when it came, or misses and sees that `area_moves` has changed. What is found was in the tree at some time since the search
 * began; it may be dead already, which is what the flag in it is for (internal.h).
 *
 * Interface: area_node.h; area.c tries this way first. Locking: areas_lock.
 * Errors: a plan that cannot be leaves the edit to the general way; no memory sets edit->failed.
 */
#include "mm/area_node.h"

#define SMALL_MAX 3 /* areas that a small edit takes out or puts in, at most */
#define TURNS_MAX 3 /* tries to make room for one; then the general way is not dearer */

_Atomic uint64_t area_moves;

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
static struct area_node *node_copy(const struct area_node *n, bool heavy, struct area_node *inner, struct area_node *outer, unsigned alloc_flags)
{
	struct area_node *c = area_alloc(sizeof(*c), alloc_flags);

	if (!c)
		return NULL;
	atomic_init(&c->area, node_area(n));
	atomic_init(link_of(c, heavy), inner);
	atomic_init(link_of(c, !heavy), outer);
	node_sum(c);
	return c;
}

/* The child of n on the heavy side takes the place of n, a copy of n becomes its child. */
static bool turn_once(struct area_node *_Atomic *link, struct area_node *n, bool heavy, unsigned alloc_flags)
{
	struct area_node *up = child_of(n, heavy), *copy, *light = child_of(n, !heavy), *inner = child_of(up, !heavy);
	unsigned below = 1 + MAX(height(light), height(inner)), outer = height(child_of(up, heavy));

	if (!even(height(light), height(inner)) || !even(below, outer) || 1 + MAX(below, outer) != node_height(n))
		return false;
	copy = node_copy(n, heavy, inner, light, alloc_flags);
	if (!copy)
		return false;
	link_set(link_of(up, !heavy), copy);
	node_sum(up);
	link_set(link, up);
	rcu_call(&n->rcu, area_node_free_rcu);
	return true;
}

/* The inner grandchild of n on the heavy side takes its place, with copies of n and of the child on its two sides. */
static bool turn_twice(struct area_node *_Atomic *link, struct area_node *n, bool heavy, unsigned alloc_flags)
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
	copy = node_copy(n, heavy, near, light, alloc_flags);
	copy_up = node_copy(up, !heavy, far, outer, alloc_flags);
	if (!copy || !copy_up) {
		kfree(copy);
		kfree(copy_up);
		return false;
	}
	link_set(link_of(mid, !heavy), copy);
	link_set(link_of(mid, heavy), copy_up);
	node_sum(mid);
	link_set(link, mid);
	rcu_call(&n->rcu, area_node_free_rcu);
	rcu_call(&up->rcu, area_node_free_rcu);
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
	unsigned flags = e->alloc_flags;
	uaddr_t start = node_area(n)->d.start, up_start = node_area(child_of(n, heavy))->d.start;

	if (key == start)
		inner = e->side[heavy].how == SIDE_INSERT;
	else
		inner = (key > start) == heavy && key != up_start && (key < up_start) == heavy;
	if (inner)
		return turn_twice(link, n, heavy, flags) || turn_once(link, n, heavy, flags);
	return turn_once(link, n, heavy, flags) || turn_twice(link, n, heavy, flags);
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
	struct area_node *n = area_node_new(e, NULL, up, NULL), *m = area_node_new(e, NULL, below, NULL);

	e->how = AREA_EDIT_BETWEEN;
	e->root = up->d.start < below->d.start ? area_node_new(e, n, e->area, m) : area_node_new(e, m, e->area, n);
	return e->root;
}

bool area_small_prepare(struct area_edit *e, struct area *old_list, struct area *fresh_list)
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
		return area_node_new(e, NULL, e->area, NULL);
	for (unsigned i = 0; i < 2; i++)
		if (e->side[i].how == SIDE_INSERT)
			e->side[i].leaf = area_node_new(e, NULL, e->side[i].area, NULL);
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
		rcu_call(&s->node[at]->rcu, area_node_free_rcu);
	}
	while (at-- > 0 && node_sum(s->node[at]))
		;
}

void area_small_publish(struct area_edit *e)
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
		atomic_store_explicit(&area_moves, atomic_load_explicit(&area_moves, memory_order_relaxed) + 1, memory_order_release);
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
		rcu_call(&e->path[at]->rcu, area_node_free_rcu);
		rcu_call(&e->path[at + 1]->rcu, area_node_free_rcu);
		break;
	default:
		n = e->path[at];
		link_set(link_to(e, at), e->root);
		rcu_call(&n->rcu, area_node_free_rcu);
	}
	while (at-- > 0 && node_sum(e->path[at]))
		;
}
