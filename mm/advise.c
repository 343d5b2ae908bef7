/*
 * mm/advise.c - madvise(), and giving memory back by ibrik_release().
 *
 * DONTNEED and FREE unmap at once (HotSpot relies on reading zeroes after DONTNEED); HUGEPAGE and NOHUGEPAGE are kept
 * with the area; POPULATE_* fault in; advice about read patterns is accepted and not needed.
 *
 * Interface: mm.h. Locking: areas_lock for what changes areas or page tables, none for populating.
 * Errors: Linux's: -EINVAL, -ENOMEM for a range with holes (after doing what could be done), -EACCES, -EFAULT. mm_release() changes
 * nothing when it answers an error.
 */
#include "mm/internal.h"
#include "fs/vfs.h"
#include <linux/mman.h>

#define MADV_POPULATE_READ_ 22
#define MADV_POPULATE_WRITE_ 23

static struct area *area_next(uaddr_t addr)
{
	return area_at_or_after(atomic_load_explicit(&area_root, memory_order_relaxed), addr);
}

static int drop(struct mm *mm, const struct area *a, uaddr_t s, uaddr_t e, int advice)
{
	int r;

	if (a->d.kind & AREA_HUGETLB)
		return -EINVAL;
	if (advice == MADV_FREE && a->d.cache)
		return -EINVAL;
	r = range_split_huge(mm, s, e);
	if (r)
		return r;
	range_zap(mm, s, e);
	return 0;
}

static int punch(const struct area *a, uaddr_t s, uaddr_t e)
{
	uint64_t from = area_page_index(a, s) << PAGE_SHIFT;

	if (!(a->d.kind & AREA_SHARED) || !a->d.cache)
		return -EINVAL;
	if (!area_may_write(a))
		return -EACCES;
	return pagecache_punch(a->d.cache, from, from + (e - s));
}

/* Gives [start, end) the kind bits `set` instead of `clear`. */
static int set_kind(struct mm *mm, uaddr_t start, uaddr_t end, unsigned set, unsigned clear)
{
	struct area_change c;
	int r = change_begin(&c, mm, start, end);

	for (uaddr_t at = start; !r && at < end;) {
		struct area *a = area_next(at);
		struct area_desc d;

		if (!a || a->d.start >= end)
			break;
		d = a->d;
		if (at > d.start) {
			d.pgoff += (at - d.start) >> PAGE_SHIFT;
			d.start = at;
		}
		d.end = MIN(d.end, end);
		if (!(d.kind & AREA_HUGETLB))
			d.kind = (uint16_t)((d.kind & ~clear) | set);
		r = change_add(&c, &d);
		at = d.end;
	}
	if (!r)
		r = range_split_huge(mm, start, end);
	if (r) {
		change_cancel(&c);
		return r == -EEXIST ? -ENOMEM : r;
	}
	r = change_publish(&c);
	if (!r)
		change_finish(&c);
	return r;
}

static bool known(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ_:
	case MADV_POPULATE_WRITE_:
		return true;
	}
	return false;
}

static long populate(struct mm *mm, uaddr_t start, uaddr_t end, bool write)
{
	/* A hole or missing rights are found by the faults themselves. */
	for (uaddr_t at = start; at < end;) {
		rcu_read_lock();
		struct area *a = area_search(at);
		bool ok = a && a->d.start <= at && a->mm == mm;
		bool allowed = ok && (a->d.prot & (write ? PROT_WRITE : PROT_READ));
		uaddr_t stop = ok ? MIN(a->d.end, end) : 0;
		rcu_read_unlock();
		if (!ok)
			return -ENOMEM;
		if (!allowed)
			return -EINVAL;
		int r = range_populate(mm, at, stop, write);
		if (r)
			return r;
		at = stop;
	}
	return 0;
}

long mm_madvise(struct mm *mm, uaddr_t addr, uint64_t len, int advice)
{
	uint64_t asked = len;
	uaddr_t end, at;
	long r = 0, hole = 0;

	if (!known(advice) || (addr & (PAGE_SIZE - 1)))
		return -EINVAL;
	len = ALIGN_UP(len, PAGE_SIZE);
	if (addr + len < addr || (!len && asked))
		return -EINVAL;
	if (!len)
		return 0;
	if (!uaddr_ok(addr, len))
		return -ENOMEM;
	end = addr + len;
	if (advice == MADV_POPULATE_READ_ || advice == MADV_POPULATE_WRITE_)
		return populate(mm, addr, end, advice == MADV_POPULATE_WRITE_);

	mutex_lock(&areas_lock);
	for (at = addr; at < end && !r;) {
		struct area *a = area_next(at);
		uaddr_t s, e;

		if (!a || a->d.start >= end) {
			hole = -ENOMEM;
			break;
		}
		if (a->d.start > at || a->mm != mm)
			hole = -ENOMEM;
		s = MAX(a->d.start, at);
		e = MIN(a->d.end, end);
		at = e;
		if (a->mm != mm)
			continue;
		switch (advice) {
		case MADV_DONTNEED:
		case MADV_FREE:
			r = drop(mm, a, s, e, advice);
			break;
		case MADV_REMOVE:
			r = punch(a, s, e);
			break;
		case MADV_HUGEPAGE:
			r = set_kind(mm, s, e, AREA_HUGE_ASKED, AREA_HUGE_NEVER);
			break;
		case MADV_NOHUGEPAGE:
			r = set_kind(mm, s, e, AREA_HUGE_NEVER, AREA_HUGE_ASKED);
			break;
		case MADV_WIPEONFORK:
			if (a->d.cache)
				r = -EINVAL;
			break;
		default:
			break; /* accepted */
		}
	}
	mutex_unlock(&areas_lock);
	return r ? r : hole;
}

/* May all of [start, end) be dropped so that it reads as zero, and does that lose nothing but what is there? */
static int releasable(const struct mm *mm, uaddr_t start, uaddr_t end)
{
	for (uaddr_t at = start; at < end;) {
		const struct area *a = area_next(at);

		if (!a || a->d.start > at || a->mm != mm)
			return -ENOMEM;
		if (a->d.cache || (a->d.kind & (AREA_SHARED | AREA_HUGETLB)))
			return -EINVAL;
		if (!(a->d.prot & PROT_WRITE))
			return -EACCES;
		at = a->d.end;
	}
	return 0;
}

long mm_release(struct mm *mm, uaddr_t addr, uint64_t len)
{
	uaddr_t start = ALIGN_UP(addr, PAGE_SIZE), end = ALIGN_DOWN(addr + len, PAGE_SIZE);
	uint64_t npages = 0;
	int r;

	if (addr + len < addr)
		return -EINVAL;
	if (start < addr || start >= end)
		return 0;
	if (!uaddr_ok(start, end - start))
		return -ENOMEM;
	mutex_lock(&areas_lock);
	r = releasable(mm, start, end);
	if (!r)
		r = range_split_huge(mm, start, end);
	if (!r)
		npages = range_zap(mm, start, end);
	mutex_unlock(&areas_lock);
	return r ? r : (long)(npages * PAGE_SIZE);
}
