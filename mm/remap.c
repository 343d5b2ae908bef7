/*
 * mm/remap.c - mremap(): shrinking, growing in place, moving.
 *
 * A move publishes the new area first, moves the page-table entries region by region, shoots the old range down,
 * and then lets the old area go. Entries keep their pages, so nothing is copied; 2 MiB pages are split before, since the
 * new place need not be aligned. All tables of the new range are made before anything moves.
 *
 * Interface: mm.h. Locking: areas_lock. Errors: Linux's.
 */
#include "mm/internal.h"
#include "core/thread.h"
#include <linux/mman.h>

#define DONTUNMAP 4 /* MREMAP_DONTUNMAP */
#define PAUSE_NS 10000000ull

static struct area *area_holding(struct mm *mm, uaddr_t addr)
{
	struct area *a = area_at_or_after(atomic_load_explicit(&area_root, memory_order_relaxed), addr);

	return a && a->d.start <= addr && a->mm == mm ? a : NULL;
}

static bool is_free(uaddr_t start, uaddr_t end)
{
	struct area *a = area_at_or_after(atomic_load_explicit(&area_root, memory_order_relaxed), start);

	return !a || a->d.start >= end;
}

static struct area_desc cut(const struct area *a, uaddr_t start, uaddr_t end)
{
	struct area_desc d = a->d;

	d.pgoff += (start - d.start) >> PAGE_SHIFT;
	d.start = start;
	d.end = end;
	return d;
}

/* Puts one area into a range that is free, or whose areas go; `leaves` pages of others go afterwards. areas_lock held. */
static int place_area(struct mm *mm, const struct area_desc *d, uint64_t leaves)
{
	struct area_change c;
	int r = change_begin(&c, mm, d->start, d->end);

	if (!r && c.overlaps)
		r = range_split_huge(mm, d->start, d->end);
	if (!r)
		r = change_add(&c, d);
	if (r) {
		change_cancel(&c);
		return r;
	}
	c.replaces = c.overlaps;
	c.leaves = leaves;
	r = change_publish(&c);
	if (r)
		return r;
	if (c.overlaps)
		range_zap(mm, d->start, d->end);
	change_finish(&c);
	return 0;
}

static long move(struct mm *mm, uaddr_t old, uint64_t old_len, uint64_t new_len, uaddr_t to, bool keep_old)
{
	uint64_t moved = MIN(old_len, new_len);
	struct area_desc d;
	int r = 0;

	/* What is at the new place goes first, as on Linux: unmapping it later would take the new tables with it. */
	if (!is_free(to, to + new_len))
		r = range_unmap(mm, to, to + new_len);
	if (r)
		return r == -EEXIST ? -ENOMEM : r;
	/* The old area stays until its entries have moved, and keeps the file. */
	d = cut(area_holding(mm, old), old, old + old_len);
	d.start = to;
	d.end = to + new_len;
	r = range_split_all(old, old + moved);
	if (!r)
		r = range_tables_make(to, to + moved);
	if (!r)
		r = place_area(mm, &d, keep_old ? 0 : old_len >> PAGE_SHIFT);
	if (r) {
		range_zap(mm, to, to + moved); /* the tables */
		return r == -EEXIST ? -ENOMEM : r;
	}
	if (d.cache)
		mutex_lock(&d.cache->lock);
	range_move(mm, old, to, moved);
	if (d.cache)
		mutex_unlock(&d.cache->lock);
	/* There is no way back from here; a few nodes of the tree are all that can be missing, when not even the reserve has any. */
	while (!keep_old && range_unmap(mm, old, old + old_len)) {
		pagecache_reclaim(64);
		sleep_ns(PAUSE_NS);
	}
	return (long)to;
}

long mm_mremap(struct mm *mm, uaddr_t old, uint64_t old_len, uint64_t new_len, int flags, uaddr_t new_addr)
{
	struct area *a;
	long r;

	if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP)) || (old & (PAGE_SIZE - 1)))
		return -EINVAL;
	if ((flags & (MREMAP_FIXED | DONTUNMAP)) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	old_len = ALIGN_UP(old_len, PAGE_SIZE);
	new_len = ALIGN_UP(new_len, PAGE_SIZE);
	if (!new_len || new_len > UADDR_END || ((flags & DONTUNMAP) && old_len != new_len))
		return -EINVAL;
	if (!uaddr_ok(old, old_len))
		return -EFAULT;
	if (flags & MREMAP_FIXED) {
		if ((new_addr & (PAGE_SIZE - 1)) || !uaddr_ok(new_addr, new_len) || new_addr < UADDR_MIN)
			return -EINVAL;
		if (new_addr < old + old_len && old < new_addr + new_len)
			return -EINVAL;
	}

	mutex_lock(&areas_lock);
	a = area_holding(mm, old);
	r = -EFAULT;
	if (!a || (old_len && a->d.end < old + old_len))
		goto out;
	r = -EINVAL;
	if (a->d.kind & AREA_HUGETLB)
		goto out;
	if (!old_len) {
		/* A second mapping of the same shared memory. */
		if (!(a->d.kind & AREA_SHARED) || !(flags & MREMAP_MAYMOVE))
			goto out;
		struct area_desc d = cut(a, old, old);
		uaddr_t at = flags & MREMAP_FIXED ? new_addr : mm_place(mm, new_len);
		r = -ENOMEM;
		if (!at)
			goto out;
		d.start = at;
		d.end = at + new_len;
		r = place_area(mm, &d, 0);
		r = r ? r : (long)at;
		goto out;
	}
	if (!(flags & (MREMAP_FIXED | DONTUNMAP))) {
		if (new_len <= old_len) {
			r = new_len < old_len ? range_unmap(mm, old + new_len, old + old_len) : 0;
			r = r ? r : (long)old;
			goto out;
		}
		if (a->d.end == old + old_len && uaddr_ok(old, new_len) && is_free(old + old_len, old + new_len)) {
			struct area_desc d = cut(a, old + old_len, old + old_len);
			d.end = old + new_len;
			r = place_area(mm, &d, 0);
			if (!r || r != -EEXIST) {
				r = r ? r : (long)old;
				goto out;
			}
		}
		r = -ENOMEM;
		if (!(flags & MREMAP_MAYMOVE))
			goto out;
	}
	uaddr_t to = flags & MREMAP_FIXED ? new_addr : mm_place(mm, new_len);
	r = to ? move(mm, old, old_len, new_len, to, flags & DONTUNMAP) : -ENOMEM;
out:
	mutex_unlock(&areas_lock);
	return r;
}
