/*
 * mm/area.c - the tree of areas.
 *
 * Theory: an AVL tree that every edit changes by one store, so that faults search it under RCU alone and see it before or
 * after, never between. In general the edit copies the paths to what it changes and stores the new root: it splits the tree at
 * the two ends of the range, drops the middle and joins the rest with the new areas between (Blelloch, Ferizovic,
 * Sun, "Just Join for Parallel Ordered Sets", SPAA 2016): O(log n) copies whatever the range holds.
 *   Most edits are smaller: an area is replaced by a longer or shorter one, or appears in a gap, or goes. These are one store in
 * place (a node's area, or the pointer to a node) if the tree stays balanced and the node has a child to spare, as in Clements,
 * Kaashoek, Zeldovich, "Scalable Address Spaces Using RCU Balanced Trees" (ASPLOS 2012). A reader that stands in a node which
 * has been taken out, or has been copied, still finds its way down to what was there when it came.
 *   Every node knows the bounds and the largest gap of its subtree, so that finding a free address is O(log n) too. Only writers look
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
	uint64_t min_page : 40;  /* start of the first area of the subtree */
	uint64_t height : 8;
	uint64_t fresh : 1;
	uint64_t max_end;        /* end of the last area of the subtree */
	uint64_t max_gap;        /* largest hole between two areas of the subtree */
	struct rcu_head rcu;
};

struct mutex areas_lock = MUTEX_INIT("areas");
struct list areas_in_order = LIST_INIT(areas_in_order);
struct area_node *_Atomic area_root;

/* --- nodes ------------------------------------------------------------------------------------------------ */
static inline unsigned height(const struct area_node *n) { return n ? (unsigned)n->height : 0; }
static inline uint64_t node_min(const struct area_node *n) { return (uint64_t)n->min_page << PAGE_SHIFT; }

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

/* What a node knows of its subtree, from its area and its children. */
static inline void node_sum(struct area_node *n)
{
	const struct area_node *l = node_left(n), *r = node_right(n);
	const struct area *a = node_area(n);
	uint64_t gap = 0;

	n->height = 1 + MAX(height(l), height(r));
	n->min_page = (l ? node_min(l) : a->d.start) >> PAGE_SHIFT;
	n->max_end = r ? r->max_end : a->d.end;
	if (l)
		gap = MAX(l->max_gap, a->d.start - l->max_end);
	if (r)
		gap = MAX(gap, MAX(r->max_gap, node_min(r) - a->d.end));
	n->max_gap = gap;
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
	n->fresh = 1;
	n->rcu.next = (struct rcu_head *)e->fresh;
	e->fresh = n;
	return n;
}

/* The new tree no longer uses n. Its fields stay readable until the edit ends. */
static void node_retire(struct area_edit *e, struct area_node *n)
{
	if (n->fresh) {
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
/* The pointer to the node at that place of the path. */
static struct area_node *_Atomic *link_to(struct area_edit *e, unsigned at)
{
	struct area_node *up = at ? e->path[at - 1] : NULL;

	if (!up)
		return &area_root;
	return e->goes_right >> (at - 1) & 1 ? &up->right : &up->left;
}

/* The way down to where an area that starts at `start` is, or would be. */
static void path_find(struct area_edit *e, uaddr_t start)
{
	struct area_node *n = atomic_load_explicit(&area_root, memory_order_relaxed);

	e->depth = 0;
	e->goes_right = 0;
	while (n && e->depth < AREA_PATH_MAX) {
		const struct area *a = node_area(n);

		e->path[e->depth] = n;
		if (a->d.start == start)
			return;
		if (a->d.start < start)
			e->goes_right |= 1ull << e->depth;
		e->depth++;
		n = a->d.start < start ? node_right(n) : node_left(n);
	}
}

/* Does the tree stay balanced if what hangs at the path's place `at` gets that height? */
static bool path_balanced(const struct area_edit *e, unsigned at, unsigned h)
{
	while (at-- > 0) {
		const struct area_node *n = e->path[at];
		unsigned other = height(e->goes_right >> at & 1 ? node_left(n) : node_right(n));

		if (h > other + 1 || other > h + 1)
			return false;
		h = 1 + MAX(h, other);
		if (h == n->height)
			break;
	}
	return true;
}

/* Plans the edit as one store in place, if it can be. */
static bool plan_in_place(struct area_edit *e, const struct area *old, struct area *fresh)
{
	struct area_node *n;

	if ((old && old->next) || (fresh && fresh->next) || (!old && !fresh))
		return false;
	path_find(e, old ? old->d.start : fresh->d.start);
	if (e->depth >= AREA_PATH_MAX)
		return false;
	if (!old) {
		if (!path_balanced(e, e->depth, 1))
			return false;
		e->how = AREA_EDIT_INSERT;
		return node_new(e, NULL, fresh, NULL);
	}
	n = e->path[e->depth];
	if (fresh) {
		e->how = AREA_EDIT_REPLACE;
		e->area = fresh;
		return true;
	}
	if (node_left(n) && node_right(n))
		return false;
	e->how = AREA_EDIT_REMOVE;
	e->root = node_left(n) ? node_left(n) : node_right(n);
	return path_balanced(e, e->depth, height(e->root));
}

static void node_free_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct area_node, rcu));
}

static void publish_in_place(struct area_edit *e)
{
	struct area_node *n = e->how == AREA_EDIT_INSERT ? e->fresh : e->path[e->depth];
	unsigned at = e->depth;

	switch (e->how) {
	case AREA_EDIT_REPLACE:
		atomic_store_explicit(&n->area, e->area, memory_order_release);
		node_sum(n);
		break;
	case AREA_EDIT_INSERT:
		n->fresh = 0;
		atomic_store_explicit(link_to(e, at), n, memory_order_release);
		break;
	default:
		atomic_store_explicit(link_to(e, at), e->root, memory_order_release);
		rcu_call(&n->rcu, node_free_rcu);
	}
	while (at-- > 0)
		node_sum(e->path[at]);
}

/* --- edits --------------------------------------------------------------------------------------------------- */
int area_edit_prepare(struct area_edit *e, uaddr_t lo, uaddr_t hi, const struct area *old, struct area *fresh)
{
	struct area_node *l, *mid, *r, *root = atomic_load_explicit(&area_root, memory_order_relaxed);

	e->how = AREA_EDIT_TREE;
	e->root = e->fresh = e->retired = NULL;
	e->failed = false;
	if (plan_in_place(e, old, fresh))
		return 0;
	if (e->failed)
		return -ENOMEM;
	e->how = AREA_EDIT_TREE;
	split(e, root, lo, &l, &mid);
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
		n->fresh = 0;
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

/* The highest aligned start in the hole [from, to) cut to [lo, hi), or 0. */
static uaddr_t hole_fit(uaddr_t from, uaddr_t to, uaddr_t lo, uaddr_t hi, uint64_t len, uint64_t align)
{
	uaddr_t a;

	from = MAX(from, lo);
	to = MIN(to, hi);
	if (to < from || to - from < len)
		return 0;
	a = ALIGN_DOWN(to - len, align);
	return a >= from ? a : 0;
}

/* Searches the subtree, whose neighbours outside end at `before` and start at `after`. */
static uaddr_t gap_search(struct area_node *n, uaddr_t before, uaddr_t after, uaddr_t lo, uaddr_t hi, uint64_t len,
			  uint64_t align)
{
	uaddr_t a;

	if (!n)
		return hole_fit(before, after, lo, hi, len, align);
	if (before >= hi || after <= lo)
		return 0;
	if (n->max_gap < len && node_min(n) - before < len && after - n->max_end < len)
		return 0;
	a = gap_search(node_right(n), node_area(n)->d.end, after, lo, hi, len, align);
	if (a)
		return a;
	return gap_search(node_left(n), before, node_area(n)->d.start, lo, hi, len, align);
}

uaddr_t area_gap_find(struct area_node *root, uaddr_t lo, uaddr_t hi, uint64_t len, uint64_t align)
{
	return gap_search(root, 0, UADDR_END, lo, hi, len, align);
}

/* --- areas -------------------------------------------------------------------------------------------------------- */
struct area *area_new(struct mm *mm, const struct area_desc *d)
{
	struct area *a = kzalloc(sizeof(*a));

	if (!a)
		return NULL;
	a->d = *d;
	a->mm = mm;
	atomic_store_explicit(&a->refs, 1, memory_order_relaxed);
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
