/*
 * mm/area.c - the tree of areas.
 *
 * Theory: an AVL tree that faults search under RCU alone: an address finds what it had before an edit or what it has after it, never
 * a hole between the two. In general an edit copies the paths to what it changes and stores the new root: it splits the tree at
 * the two ends of the range, drops the middle and joins the rest with the new areas between (Blelloch, Ferizovic,
 * Sun, "Just Join for Parallel Ordered Sets", SPAA 2016): O(log n) copies whatever the range holds.
 *   Most edits are smaller, and are a few stores in place: area_small.c, which also says why a search meets no hole.
 *   Rights: a search may find the old area until the edit has ended, and the caller's call has not returned then.
 *
 * Every node knows the bounds and the largest gap of its subtree, so that finding a free address is O(log n) too. Only writers look
 * at these, and at heights.
 *
 * One tree holds the areas of all mms, because they share the address space: a placement then avoids all.
 *
 * Interface: internal.h. Locking: areas_lock for edits, RCU or areas_lock for reading.
 * Errors: prepare answers -ENOMEM and leaves what the published tree holds as it was.
 */
#include "mm/area_node.h"
#include "core/log.h"
#include "fs/vfs.h"
#include "lib/string.h"

struct mutex areas_lock = MUTEX_INIT("areas");
struct list areas_in_order = LIST_INIT(areas_in_order);
struct area_node *_Atomic area_root;

/* --- nodes ------------------------------------------------------------------------------------------------ */
struct area_node *area_node_new(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct area_node *n = e->failed ? NULL : area_alloc(sizeof(*n), e->alloc_flags);

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

void area_node_free_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct area_node, rcu));
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

	return area_node_new(e, area_node_new(e, l, a, p.l), p.a, p.r);
}

static struct area_node *rotate_right(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct parts p = expose(e, l);

	return area_node_new(e, p.l, p.a, area_node_new(e, p.r, a, r));
}

/* Joins l < a < r where l is higher by more than one. */
static struct area_node *join_right(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct parts p = expose(e, l);
	struct area_node *t;

	if (height(p.r) <= height(r) + 1) {
		t = area_node_new(e, p.r, a, r);
		if (e->failed)
			return NULL;
		if (height(t) <= height(p.l) + 1)
			return area_node_new(e, p.l, p.a, t);
		/* t is high on the left: turn it first, then the whole. */
		{
			struct parts q = expose(e, t);

			t = q.l ? rotate_right(e, q.l, q.a, q.r) : area_node_new(e, q.l, q.a, q.r);
		}
		if (e->failed)
			return NULL;
		return rotate_left(e, p.l, p.a, t);
	}
	t = join_right(e, p.r, a, r);
	if (e->failed)
		return NULL;
	if (height(t) <= height(p.l) + 1)
		return area_node_new(e, p.l, p.a, t);
	return rotate_left(e, p.l, p.a, t);
}

static struct area_node *join_left(struct area_edit *e, struct area_node *l, struct area *a, struct area_node *r)
{
	struct parts p = expose(e, r);
	struct area_node *t;

	if (height(p.l) <= height(l) + 1) {
		t = area_node_new(e, l, a, p.l);
		if (e->failed)
			return NULL;
		if (height(t) <= height(p.r) + 1)
			return area_node_new(e, t, p.a, p.r);
		{
			struct parts q = expose(e, t);

			t = q.r ? rotate_left(e, q.l, q.a, q.r) : area_node_new(e, q.l, q.a, q.r);
		}
		if (e->failed)
			return NULL;
		return rotate_right(e, t, p.a, p.r);
	}
	t = join_left(e, l, a, p.l);
	if (e->failed)
		return NULL;
	if (height(t) <= height(p.r) + 1)
		return area_node_new(e, t, p.a, p.r);
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
	return area_node_new(e, l, a, r);
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

/* --- edits --------------------------------------------------------------------------------------------------- */
int area_edit_prepare(struct area_edit *e, uaddr_t lo, uaddr_t hi, struct area *old, struct area *fresh, unsigned alloc_flags)
{
	struct area_node *l, *mid, *r;

	e->alloc_flags = alloc_flags;
	e->how = AREA_EDIT_TREE;
	e->root = e->fresh = e->retired = NULL;
	e->failed = false;
	if (area_small_prepare(e, old, fresh))
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
		area_small_publish(e);
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
		rcu_call(&n->rcu, area_node_free_rcu);
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
		uint64_t before = atomic_load_explicit(&area_moves, memory_order_acquire);
		struct area *a = area_at_or_after(rcu_dereference(area_root), addr);

		if (a && a->d.start <= addr)
			return a;
		/* A miss may be an area that has moved to a node that this search had passed already. */
		if (atomic_load_explicit(&area_moves, memory_order_relaxed) == before)
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
struct area *area_new(struct mm *mm, const struct area_desc *d, unsigned alloc_flags)
{
	struct area *a = area_alloc(sizeof(*a), alloc_flags);

	if (!a)
		return NULL;
	a->d = *d;
	a->mm = mm;
	a->next = NULL;
	atomic_init(&a->refs, 1);
	atomic_init(&a->dead, false);
	atomic_init(&a->unsettled, false);
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
