/*
 * mm/protect.c - mprotect(): new rights for a range.
 *
 * The new areas are published first, then the page tables follow. In between a fault sees the new rights and may
 * store an entry of its own; the walk then finds it in order. An entry that is there already only gets rights by a fault, never
 * loses any: taking away and telling the other CPUs are one thing, and the walk's. Rights that only grow need no shootdown: a CPU
 * that still holds the old translation faults once and finds the entry.
 *
 * Interface: mm.h, and pagecache_seal(), which takes the right to write from whatever maps a file, for ever.
 * Locking:   areas_lock; the page cache's lock inside it.
 * Errors:    Linux's. What lies before a hole, or before an area that may not have the rights, has them then.
 */
#include "mm/internal.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include <linux/mman.h>

#define SMALL_PAGES (MIB(1) / PAGE_SIZE)

/*
 * MAP_NORESERVE memory is charged when it is touched. A C library grows the arenas of malloc by making such memory
 * writable: a large piece that cannot fit any more is refused here, where the application can tell, and not at the touch.
 */
static bool overcommits(const struct area *a, const struct area_desc *d)
{
	uint64_t npages = (d->end - d->start) >> PAGE_SHIFT;

	return (d->prot & PROT_WRITE) && !(a->d.prot & PROT_WRITE) && !d->cache && (d->flags & MAP_NORESERVE) &&
	       npages >= SMALL_PAGES && !mm_pages_fit(npages) && !commit_fits(npages, range_touched(d->start, d->end));
}

bool area_may_write(const struct area *a) { return file_writable(a->d.file) && !a->d.cache->sealed; }

int pagecache_seal(struct pagecache *c)
{
	struct area *a;
	int r = 0;

	mutex_lock(&areas_lock);
	mutex_lock(&c->lock);
	list_for_each(a, &c->mappings, cache_link)
		if ((a->d.kind & AREA_SHARED) && area_may_write(a))
			r = -EBUSY;
	mutex_unlock(&c->lock);
	if (!r)
		c->sealed = true;
	mutex_unlock(&areas_lock);
	return r;
}

static struct area *first_area(const struct area_change *c)
{
	return c->left && c->left->d.end > c->start ? c->left : c->first;
}

/* Is the area not charged, and would be with these rights? */
static bool becomes_charged(const struct area *a, int prot)
{
	struct area_desc d = a->d;

	d.prot = (uint16_t)prot;
	return !(d.kind & AREA_CHARGED) && desc_is_charged(&d);
}

/* Adds the areas of [c->start, c->end) with new rights to the change. On an error they could be had before *reach. */
static int add_areas(struct area_change *c, int prot, bool *same, uint64_t *recharged, uaddr_t *reach)
{
	uaddr_t at = c->start;
	struct area *a = first_area(c);

	*same = true;
	*recharged = 0;
	for (; at < c->end; a = area_behind(a)) {
		struct area_desc *d;

		*reach = at;
		if (!a || a->d.start > at)
			return -ENOMEM;
		if ((prot & PROT_WRITE) && (a->d.kind & AREA_SHARED) && a->d.file && !area_may_write(a))
			return -EACCES;
		d = change_next(c);
		if (!d)
			return -ENOMEM;
		*d = a->d;
		d->pgoff += (at - d->start) >> PAGE_SHIFT;
		d->start = at;
		at = d->end = MIN(d->end, c->end);
		if (d->prot != prot)
			*same = false;
		d->prot = (uint16_t)prot;
		if (desc_is_absurd(d) || overcommits(a, d))
			return -ENOMEM;
		if (desc_is_charged(d) && !(d->kind & AREA_CHARGED)) {
			d->kind |= AREA_CHARGED;
			*recharged += (d->end - d->start) >> PAGE_SHIFT;
		}
		change_add_next(c);
	}
	return 0;
}

/* Pages of areas that become charged which are charged already, because they have been touched. */
static uint64_t touched_pages(const struct area_change *c, int prot)
{
	uint64_t n = 0;

	for (struct area *a = first_area(c); a && a->d.start < c->end; a = area_behind(a))
		if (becomes_charged(a, prot))
			n += range_touched(MAX(a->d.start, c->start), MIN(a->d.end, c->end));
	return n;
}

/* Where the first area of another mm begins in [start, end), which has one. */
static uaddr_t own_end(const struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct area *a = area_search(start);

	while (a->mm == mm)
		a = area_behind(a);
	return MIN(MAX(a->d.start, start), end);
}

/* Gives all of [addr, end) the rights, or nothing: then it could have been done before *reach. areas_lock held. */
static inline __attribute__((always_inline)) int protect(struct mm *mm, uaddr_t addr, uaddr_t end, int prot, uaddr_t *reach)
{
	struct area_change c;
	uint64_t recharged = 0;
	bool same = false;
	int r;

	*reach = addr;
	r = change_begin(&c, mm, addr, end);
	if (r == -EEXIST) {
		*reach = own_end(mm, addr, end);
		r = -ENOMEM;
	}
	if (!r)
		r = add_areas(&c, prot, &same, &recharged, reach);
	if (r || same)
		goto out_cancel;
	r = range_split_huge(mm, addr, end);
	if (r)
		goto out_cancel;
	/* What has been touched of areas that are charged as a whole now would be charged twice. Only where that is too much is it counted. */
	if (recharged && !mm_pages_fit(recharged))
		c.touched = touched_pages(&c, prot);
	r = change_publish(&c);
	if (r)
		return r;
	for (struct area *a = c.old; a; a = a->next) {
		uaddr_t s = MAX(a->d.start, addr), e = MIN(a->d.end, end);

		if (s < e && a->d.prot != prot)
			range_protect(s, e, prot, a->d.kind & AREA_SHARED);
		if (s < e && recharged && becomes_charged(a, prot))
			range_untouch(s, e);
	}
	change_finish(&c);
	return 0;

out_cancel:
	change_cancel(&c);
	return r;
}

/* As on Linux, who does not look at the error has at least what could be done. Each turn reaches less far. */
static __attribute__((noinline)) void protect_before(struct mm *mm, uaddr_t addr, uaddr_t end, int prot, uaddr_t reach)
{
	int again = -ENOMEM;

	while (again && reach > addr && reach < end) {
		end = reach;
		again = protect(mm, addr, end, prot, &reach);
	}
}

/* PROT_GROWSDOWN: the range begins where the stack does that it lies in. No memory grows upwards here. */
static int range_grow(const struct mm *mm, uaddr_t *start, uaddr_t end, int grows)
{
	const struct area *a = area_search(*start);

	if (!a || a->mm != mm || a->d.start >= end || ((grows & PROT_GROWSUP) && a->d.start > *start))
		return -ENOMEM;
	if ((grows & PROT_GROWSUP) || !(a->d.flags & MAP_GROWSDOWN))
		return -EINVAL;
	*start = a->d.start;
	return 0;
}

long mm_mprotect(struct mm *mm, uaddr_t addr, uint64_t len, int prot)
{
	int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP), r = 0;
	uaddr_t end, reach;

	if ((addr & (PAGE_SIZE - 1)) || grows == (PROT_GROWSDOWN | PROT_GROWSUP))
		return -EINVAL;
	if (!len)
		return 0;
	if (!uaddr_ok(addr, len))
		return -ENOMEM;
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP))
		return -EINVAL;
	prot &= PROT_READ | PROT_WRITE | PROT_EXEC;
	end = ALIGN_UP(addr + len, PAGE_SIZE);

	mutex_lock(&areas_lock);
	if (unlikely(grows))
		r = range_grow(mm, &addr, end, grows);
	if (r)
		goto out;
	r = protect(mm, addr, end, prot, &reach);
	if (unlikely(r))
		protect_before(mm, addr, end, prot, reach);
out:
	mutex_unlock(&areas_lock);
	return r;
}
