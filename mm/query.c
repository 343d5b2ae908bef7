/*
 * mm/query.c - what is mapped: /proc/PID/maps, mincore(), msync().
 *
 * Interface: mm.h. Locking: areas under RCU with a reference; a listing is not one moment's picture, but each area in
 * it was there. Errors: Linux's.
 */
#include "mm/internal.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "pagetable.h"
#include <linux/mman.h>

/* The first area of mm that ends behind addr, referenced. */
static struct area *area_next(struct mm *mm, uaddr_t addr)
{
	for (;;) {
		rcu_read_lock();
		struct area *a = area_search(addr);
		bool ours = a && a->mm == mm;
		uaddr_t end = a ? a->d.end : 0;
		bool got = ours && area_try_get(a);
		rcu_read_unlock();
		if (!a)
			return NULL;
		if (got)
			return a;
		if (!ours)
			addr = end;
	}
}

/* Is the page of addr mapped? *huge tells of a 2 MiB page. */
static bool page_mapped(uaddr_t addr, bool *huge)
{
	bool there = false;

	rcu_read_lock();
	pte_t *pmd = pt_pmd_find(addr);
	*huge = pmd && pte_is_huge(pte_load(pmd));
	if (*huge) {
		there = true;
	} else if (pmd) {
		pte_t *table = pt_table(pmd);
		there = table && pte_used(pte_load(&table[pt_index(addr, 1)]));
	}
	rcu_read_unlock();
	return there;
}

/* What is mapped of [start, end), which lies in one 2 MiB region. RCU held. */
static uint64_t region_pages(uaddr_t start, uaddr_t end, uint64_t *huge_pages)
{
	pte_t *pmd = pt_pmd_find(start), *table = pmd ? pt_table(pmd) : NULL;
	uint64_t n = 0;

	if (pmd && pte_is_huge(pte_load(pmd))) {
		++*huge_pages;
		return PT_ENTRIES;
	}
	if (!table)
		return 0;
	/* A table knows how many entries it has. It may go at this moment, and its page be something else then. */
	if (end - start == HUGE_SIZE)
		return (uint64_t)MIN(MAX(pt_table_page(table)->mapcount, 0), PT_ENTRIES);
	for (uaddr_t at = start; at < end; at += PAGE_SIZE)
		n += pte_used(pte_load(&table[pt_index(at, 1)]));
	return n;
}

static void count_pages(const struct area *a, struct area_info *info)
{
	for (uaddr_t at = a->d.start; (at = MAX(pt_region_next(at, a->d.end), at)) < a->d.end;) {
		uaddr_t end = MIN(ALIGN_DOWN(at, HUGE_SIZE) + HUGE_SIZE, a->d.end);

		rcu_read_lock();
		info->rss_pages += region_pages(at, end, &info->huge_pages);
		rcu_read_unlock();
		at = end;
	}
}

static void describe(struct mm *mm, struct area *a, bool count, struct area_info *info)
{
	struct kstat st;

	memset(info, 0, sizeof(*info));
	info->start = a->d.start;
	info->end = a->d.end;
	info->prot = a->d.prot;
	info->flags = (int)a->d.flags;
	if (count)
		count_pages(a, info);
	if (mm->vdso && a->d.file && a->d.start == mm->vdso) {
		strlcpy(info->path, "[vdso]", sizeof(info->path));
	} else if (mm->vdso && a->d.file && a->d.end == mm->vdso) {
		strlcpy(info->path, "[vvar]", sizeof(info->path));
	} else if (a->d.file) {
		info->offset = a->d.pgoff << PAGE_SHIFT;
		if (file_stat(a->d.file, &st) == 0) {
			info->inode = st.ino;
			info->dev = (unsigned)st.dev;
		}
		ssize_t n = file_path(a->d.file, info->path, sizeof(info->path));
		if (n < 0)
			info->path[0] = 0;
	} else if (a->d.kind & AREA_HEAP) {
		strlcpy(info->path, "[heap]", sizeof(info->path));
	} else if (a->d.start < mm->stack_top && a->d.end >= mm->stack_top) {
		strlcpy(info->path, "[stack]", sizeof(info->path));
	}
}

int mm_areas_each(struct mm *mm, bool count, int (*emit)(const struct area_info *a, void *arg), void *arg)
{
	struct area_info *info = kmalloc(sizeof(*info));
	struct area *a;
	int r = 0;

	if (!info)
		return -ENOMEM;
	for (uaddr_t at = 0; r == 0 && (a = area_next(mm, at)); at = info->end) {
		describe(mm, a, count, info);
		area_put(a);
		r = emit(info, arg);
	}
	kfree(info);
	return r;
}

long mm_mincore(struct mm *mm, uaddr_t addr, uint64_t len, uaddr_t vec)
{
	uint8_t part[256];
	uaddr_t end;

	if (addr & (PAGE_SIZE - 1))
		return -EINVAL;
	if (!uaddr_ok(addr, len))
		return -ENOMEM;
	end = addr + ALIGN_UP(len, PAGE_SIZE);
	while (addr < end) {
		unsigned n = 0;
		for (; n < sizeof(part) && addr < end; n++, addr += PAGE_SIZE) {
			struct area *a = area_next(mm, addr);
			bool huge;

			if (!a || a->d.start > addr) {
				if (a)
					area_put(a);
				return -ENOMEM;
			}
			part[n] = page_mapped(addr, &huge);
			if (!part[n] && a->d.cache) {
				struct page *p = pagecache_peek(a->d.cache, area_page_index(a, addr));
				part[n] = p != NULL;
				if (p)
					page_put(p);
			}
			area_put(a);
		}
		if (copy_to_user(vec, part, n))
			return -EFAULT;
		vec += n;
	}
	return 0;
}

/* Shared files live in memory, so there is nothing to write back; the arguments are checked as on Linux. */
long mm_msync(struct mm *mm, uaddr_t addr, uint64_t len, int flags)
{
	long r = 0;

	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || (addr & (PAGE_SIZE - 1)) ||
	    ((flags & MS_ASYNC) && (flags & MS_SYNC)))
		return -EINVAL;
	len = ALIGN_UP(len, PAGE_SIZE);
	if (addr + len < addr)
		return -ENOMEM;
	for (uaddr_t at = addr, end = addr + len; at < end;) {
		struct area *a = area_next(mm, at);
		if (!a)
			return -ENOMEM;
		if (a->d.start > at)
			r = -ENOMEM;
		at = a->d.end;
		area_put(a);
	}
	return r;
}
