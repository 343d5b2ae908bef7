/*
 * mm/change.c - a range of one mm is given other areas, all or nothing.
 *
 * Theory: every call that changes areas (mmap, munmap, mprotect, brk, madvise, mremap) describes what
 * shall stand in a range. begin adds what remains of an area that sticks out on the left, publish what remains
 * on the right; neighbours that agree melt into one area, so that a heap that grows by one mprotect() after the
 * other stays one area. Everything that can fail (charge, areas, tree nodes) is done before the one
 * store that publishes; then the old areas are dead and the caller brings the page tables into line.
 *
 * Where new areas replace others (MAP_FIXED) the old pages go after the new areas have come. A fault that met them between the two would take
 * an old page for its own and store into another file, or lose what it stores in a page that goes. So these areas are born unsettled, and
 * faults in the range wait for the end of the change.
 *
 * Locking: areas_lock is held from begin to finish or cancel. cache->lock is taken to (un)link areas.
 * Errors: -ENOMEM, also where the address space would become larger than its limit; from begin only -EEXIST, when another mm owns part of the range.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "lib/string.h"

static struct area_node *root(void)
{
	return atomic_load_explicit(&area_root, memory_order_relaxed);
}

/*
 * The range that the last change replaced, for who finds an area unsettled. Written under areas_lock, before the area is published; `start`
 * first, which is read first. Where one of the two is of a later change, the earlier has ended, and any answer will do: who waits
 * in vain starts over, and who does not wait finds the pages settled, or the area dead.
 */
static _Atomic uaddr_t replaced_start, replaced_end;

bool change_unsettles(uaddr_t addr)
{
	return addr >= atomic_load_explicit(&replaced_start, memory_order_acquire) &&
	       addr < atomic_load_explicit(&replaced_end, memory_order_acquire);
}

/* The part [start, end) of d. */
static void desc_cut(struct area_desc *part, const struct area_desc *d, uaddr_t start, uaddr_t end)
{
	*part = *d;
	part->pgoff += (start - d->start) >> PAGE_SHIFT;
	part->start = start;
	part->end = end;
}

static __attribute__((noinline)) bool change_grow(struct area_change *c)
{
	struct area_desc *more = area_alloc(2 * c->cap * sizeof(*more), c->alloc_flags);

	if (!more)
		return false;
	memcpy(more, c->desc, c->ndesc * sizeof(*more));
	if (c->desc != c->inline_desc)
		kfree(c->desc);
	c->desc = more;
	c->cap *= 2;
	return true;
}

inline struct area_desc *change_next(struct area_change *c)
{
	if (unlikely(c->ndesc == c->cap) && !change_grow(c))
		return NULL;
	return &c->desc[c->ndesc];
}

inline void change_add_next(struct area_change *c)
{
	struct area_desc *d = &c->desc[c->ndesc];

	if (d->start == d->end)
		return;
	if (c->ndesc && area_desc_mergeable(d - 1, d))
		d[-1].end = d->end;
	else
		c->ndesc++;
}

int change_add(struct area_change *c, const struct area_desc *d)
{
	struct area_desc *next = change_next(c);

	if (!next)
		return -ENOMEM;
	*next = *d;
	change_add_next(c);
	return 0;
}

int change_begin(struct area_change *c, struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct area_desc *d;
	struct area *a;

	assert(mutex_held(&areas_lock));
	c->mm = mm;
	c->start = c->lo = start;
	c->end = c->hi = end;
	c->desc = c->inline_desc;
	c->ndesc = 0;
	c->cap = CHANGE_INLINE;
	c->old = c->fresh = NULL;
	c->charge = 0;
	c->leaves = 0;
	c->alloc_flags = 0;
	c->touched = 0;
	c->overlaps = c->replaces = false;
	a = area_at_or_after(root(), start);
	if (a && a->d.start < start) {
		c->left = a;
		c->first = area_behind(a);
	} else {
		c->left = a ? area_ahead(a) : list_empty(&areas_in_order) ? NULL : list_entry(areas_in_order.prev, struct area, order);
		c->first = a;
	}
	for (; a && a->d.start < end; a = area_behind(a)) {
		if (a->mm != mm)
			return -EEXIST;
		c->overlaps = true;
		if (a->d.end > end)
			break;
	}
	c->right = a;
	a = c->left;
	if (a && a->d.end >= start && a->mm == mm) {
		/* It sticks out, or it may melt with what comes. */
		c->lo = a->d.start;
		d = change_next(c); /* the first: there is room */
		desc_cut(d, &a->d, a->d.start, start);
		change_add_next(c);
	}
	return 0;
}

void change_cancel(struct area_change *c)
{
	if (c->desc != c->inline_desc)
		kfree(c->desc);
	c->desc = c->inline_desc;
}

static void area_link(struct area *a)
{
	struct pagecache *cache = a->d.cache;

	if (!cache)
		return;
	mutex_lock(&cache->lock);
	list_push_back(&cache->mappings, &a->cache_link);
	mutex_unlock(&cache->lock);
}

static void area_unlink(struct area *a)
{
	struct pagecache *cache = a->d.cache;

	if (!cache)
		return;
	mutex_lock(&cache->lock);
	list_del(&a->cache_link);
	mutex_unlock(&cache->lock);
}

/* Adds what lies behind the range, and drops whole neighbours that did not melt. */
static int add_right_side(struct area_change *c)
{
	struct area *left = c->left, *right = c->right;
	struct area_desc *d;

	if (right && right->mm == c->mm && right->d.start <= c->end) {
		d = change_next(c);
		if (!d)
			return -ENOMEM;
		desc_cut(d, &right->d, c->end, right->d.end);
		change_add_next(c);
		if (right->d.start == c->end) {
			c->hi = c->end + PAGE_SIZE;
			if (c->desc[c->ndesc - 1].start == c->end) {
				c->ndesc--;
				c->hi = c->end;
			}
		}
	}
	if (left && c->ndesc && c->lo < c->start && left->d.end == c->start && c->desc[0].end == c->start) {
		c->ndesc--;
		memmove(&c->desc[0], &c->desc[1], c->ndesc * sizeof(c->desc[0]));
		c->lo = c->start;
	}
	return 0;
}

static uint64_t desc_pages(const struct area_desc *d)
{
	return (d->end - d->start) >> PAGE_SHIFT;
}

/* What is replaced counts no more: an application that commits parts of what it has reserved does not grow. */
static inline bool over_limit(const struct area_change *c, int64_t growth)
{
	return growth > 0 && (uint64_t)growth > c->leaves &&
	       c->mm->total_pages + (uint64_t)growth - c->leaves > atomic_load_explicit(&c->mm->limit_pages, memory_order_relaxed);
}

static void unsettle(const struct area_change *c, struct area *fresh)
{
	atomic_store_explicit(&replaced_start, c->start, memory_order_release);
	atomic_store_explicit(&replaced_end, c->end, memory_order_release);
	for (struct area *a = fresh; a; a = a->next)
		if (a->d.start < c->end && a->d.end > c->start)
			atomic_store_explicit(&a->unsettled, true, memory_order_relaxed);
}

int change_publish(struct area_change *c)
{
	struct area *fresh = NULL, *old = NULL, **tail = &old, *begin, *a;
	struct list *after;
	struct area_edit edit;
	int64_t total = 0, maps = 0;
	int r = add_right_side(c);

	if (r)
		goto out_cancel;
	begin = c->lo < c->start ? c->left : c->first;
	for (a = begin; a && a->d.start < c->hi; a = area_behind(a)) {
		*tail = a;
		tail = &a->next;
		a->next = NULL;
		total -= (int64_t)desc_pages(&a->d);
		maps--;
		if (a->d.kind & AREA_CHARGED)
			c->charge -= (int64_t)desc_pages(&a->d);
	}
	for (unsigned i = 0; i < c->ndesc; i++) {
		total += (int64_t)desc_pages(&c->desc[i]);
		maps++;
		if (c->desc[i].kind & AREA_CHARGED)
			c->charge += (int64_t)desc_pages(&c->desc[i]);
	}
	if (over_limit(c, total) || (c->charge > 0 && commit_charge(c->mm, (uint64_t)c->charge, c->touched))) {
		r = -ENOMEM;
		goto out_cancel;
	}
	tail = &fresh;
	for (unsigned i = 0; i < c->ndesc; i++) {
		a = area_new(c->mm, &c->desc[i], c->alloc_flags);
		if (!a) {
			r = -ENOMEM;
			goto out_areas;
		}
		*tail = a;
		tail = &a->next;
	}
	r = area_edit_prepare(&edit, c->lo, c->hi, old, fresh, c->alloc_flags);
	if (r)
		goto out_areas;
	if (c->replaces)
		unsettle(c, fresh);

	/* From here on nothing fails. Reverse mapping must know the areas before faults do. */
	for (a = fresh; a; a = a->next)
		area_link(a);
	area_edit_publish(&edit);
	after = begin ? begin->order.prev : areas_in_order.prev;
	for (a = old; a; a = a->next) {
		atomic_store_explicit(&a->dead, true, memory_order_release);
		list_del(&a->order);
	}
	for (a = fresh; a; a = a->next) {
		list_insert_between(&a->order, after, after->next);
		after = &a->order;
	}
	c->old = old;
	c->fresh = fresh;
	/* The walk that follows skips regions that look empty without their mutex: it must not look before the areas are
	 * seen dead. The other half of the pair is area_lives() in fault.c. */
	atomic_thread_fence(memory_order_seq_cst);
	if (c->charge < 0)
		commit_uncharge(c->mm, (uint64_t)-c->charge);
	c->mm->total_pages += (uint64_t)total;
	c->mm->map_count += (uint64_t)maps;
	change_cancel(c);
	return 0;

out_areas:
	while (fresh) {
		a = fresh;
		fresh = a->next;
		area_put(a);
	}
	if (c->charge > 0)
		commit_uncharge(c->mm, (uint64_t)c->charge);
out_cancel:
	change_cancel(c);
	return r;
}

void change_finish(struct area_change *c)
{
	struct area *a, *next;

	for (a = c->fresh; c->replaces && a; a = a->next)
		atomic_store_explicit(&a->unsettled, false, memory_order_release);
	for (a = c->old; a; a = next) {
		next = a->next;
		area_unlink(a);
		area_put(a);
	}
	c->old = NULL;
}
