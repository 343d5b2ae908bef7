/*
 * mm/mmap.c - address spaces: making them, placing, mapping, unmapping, the break.
 *
 * Placement: an exact hint is honoured when its range is free. Otherwise the highest gap below the mm's random
 * base is taken; the low 36 GiB are left for hints (HotSpot puts its heap there, so that pointers compress),
 * and used only when nothing else is free.
 *
 * Interface: mm.h. Locking: areas_lock for everything that changes areas.
 * Errors: Linux's.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "core/random.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "pagetable.h"
#include <linux/mman.h>

#define HINT_LIMIT GIB(36)
#define LOW_LIMIT GIB(2) /* MAP_32BIT */
#define BASE_GAP MIB(256)
#define BASE_RANDOM_PAGES (1ull << 28)
#define HUGE_ALIGN_MIN MIB(4)
/* The flags that make areas different from each other. */
#define KEPT_FLAGS (MAP_SHARED | MAP_PRIVATE | MAP_NORESERVE | MAP_STACK | MAP_GROWSDOWN)
#define DESTROY_PAUSE_NS 10000000ull

static unsigned mm_count; /* under areas_lock */

struct mm *mm_create(void)
{
	struct mm *mm = kzalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	mutex_init(&mm->lock, "mm");
	mm->mmap_base = UADDR_END - BASE_GAP - random_u64() % BASE_RANDOM_PAGES * PAGE_SIZE;
	mm->limit_pages = UINT64_MAX;
	mm->mmap_base = ALIGN_DOWN(mm->mmap_base, PAGE_SIZE);
	mutex_lock(&areas_lock);
	mm_count++;
	mutex_unlock(&areas_lock);
	return mm;
}

static struct area *first_of(struct mm *mm, uaddr_t addr)
{
	struct area_node *root = atomic_load_explicit(&area_root, memory_order_relaxed);
	struct area *a = area_at_or_after(root, addr);

	while (a && a->mm != mm)
		a = area_at_or_after(root, a->d.end);
	return a;
}

int range_unmap(struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct area_change c;
	int r = change_begin(&c, mm, start, end);

	if (!r)
		r = range_split_huge(mm, start, end);
	if (r) {
		change_cancel(&c);
		return r;
	}
	/* A C library that cannot unmap a stack ends the program; here what is to give memory back comes first. */
	c.alloc_flags = ALLOC_RESERVE;
	r = change_publish(&c);
	if (r)
		return r;
	range_zap(mm, start, end);
	change_finish(&c);
	return 0;
}

void mm_destroy(struct mm *mm)
{
	struct area *a;

	mutex_lock(&areas_lock);
	while ((a = first_of(mm, 0))) {
		struct area_node *root = atomic_load_explicit(&area_root, memory_order_relaxed);
		struct area *next;
		uaddr_t start = a->d.start, end = a->d.end;

		/* As far as no other mm has an area between. */
		while ((next = area_at_or_after(root, end)) && next->mm == mm)
			end = next->d.end;
		if (range_unmap(mm, start, end)) {
			/* A few nodes of the tree are all it needs; what goes on must free some. */
			mutex_unlock(&areas_lock);
			pagecache_reclaim(64);
			sleep_ns(DESTROY_PAUSE_NS);
			mutex_lock(&areas_lock);
		}
	}
	/* An mm that comes later needs the lock before it has anything that could fault. */
	if (--mm_count == 0)
		pt_prune();
	mutex_unlock(&areas_lock);
	if (mm->exe_file)
		file_put(mm->exe_file);
	kfree(mm->exe_path);
	kfree(mm);
}

uaddr_t mm_gap_near(struct mm *mm, uaddr_t addr, uint64_t len, uint64_t reach)
{
	uaddr_t at = ALIGN_DOWN(addr, PAGE_SIZE), lo = at > reach + UADDR_MIN ? at - reach : UADDR_MIN, hi = MIN(at + reach, mm->mmap_base);

	mutex_lock(&areas_lock);
	struct area_node *root = atomic_load_explicit(&area_root, memory_order_relaxed);
	uaddr_t gap = area_gap_find(root, lo, at, len, PAGE_SIZE);
	if (!gap && hi > at)
		gap = area_gap_find(root, at, hi, len, PAGE_SIZE);
	mutex_unlock(&areas_lock);
	return gap;
}

static bool range_free(uaddr_t start, uint64_t len)
{
	struct area *a = area_at_or_after(atomic_load_explicit(&area_root, memory_order_relaxed), start);

	return !a || a->d.start >= start + len;
}

/* An address for len bytes, or 0. */
static uaddr_t place(struct mm *mm, uaddr_t hint, uint64_t len, uint64_t align, int flags)
{
	struct area_node *root = atomic_load_explicit(&area_root, memory_order_relaxed);
	uaddr_t a;

	if (flags & MAP_32BIT)
		return area_gap_find(root, UADDR_MIN, LOW_LIMIT, len, align);
	if (hint && hint >= UADDR_MIN && hint % align == 0 && uaddr_ok(hint, len) && range_free(hint, len))
		return hint;
	a = area_gap_find(root, HINT_LIMIT, mm->mmap_base, len, align);
	if (!a)
		a = area_gap_find(root, mm->mmap_base, UADDR_END, len, align);
	if (!a)
		a = area_gap_find(root, UADDR_MIN, HINT_LIMIT, len, align);
	return a;
}

uaddr_t mm_place(struct mm *mm, uint64_t len) { return place(mm, 0, len, PAGE_SIZE, 0); }

/* Is the area charged as a whole when it is made? See account.c. */
bool desc_is_charged(const struct area_desc *d)
{
	if (d->kind & AREA_HUGETLB)
		return true;
	return !d->cache && (d->prot & PROT_WRITE) && !(d->flags & (MAP_NORESERVE | MAP_STACK));
}

bool desc_is_absurd(const struct area_desc *d)
{
	return !d->cache && (d->prot & PROT_WRITE) && (d->flags & MAP_STACK) && !(d->flags & MAP_NORESERVE) &&
	       (d->end - d->start) >> PAGE_SHIFT > mem_total_pages;
}

/* Checks the file's part of the arguments and notes it in d. */
static int desc_set_file(struct area_desc *d, int prot, int flags, struct file *file, uint64_t offset, uint64_t len)
{
	if (offset & (PAGE_SIZE - 1))
		return -EINVAL;
	/* As on Linux; and so no page number of a mapping, however it grows, wraps when it is made a position. */
	if (offset > INT64_MAX - len)
		return -EOVERFLOW;
	if (!file_readable(file))
		return -EACCES;
	if ((d->kind & AREA_SHARED) && (prot & PROT_WRITE) && !file_writable(file))
		return -EACCES;
	if (!file->ops->map)
		return -ENODEV;
	d->cache = file->ops->map(file);
	if (IS_ERR(d->cache))
		return (int)PTR_ERR(d->cache);
	d->file = file;
	d->pgoff = offset >> PAGE_SHIFT;
	return 0;
}

/* The file behind a shared anonymous area. */
static struct file *shared_file_new(uint64_t len)
{
	struct file *f = memfd_new("dev/zero", 0);
	int r;

	if (IS_ERR(f))
		return f;
	r = pagecache_truncate(f->ops->map(f), len);
	if (r) {
		file_put(f);
		return ERR_PTR(r);
	}
	return f;
}

static int hugetlb_check(int flags, struct file *file, uint64_t *len, uint64_t *align)
{
	unsigned shift = ((unsigned)flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;

	if (file || (flags & MAP_SHARED))
		return -EINVAL;
	if (shift == 30)
		return -ENOMEM;
	if (shift && shift != HUGE_SHIFT)
		return -EINVAL;
	*len = ALIGN_UP(*len, HUGE_SIZE);
	*align = HUGE_SIZE;
	return 0;
}

long mm_mmap(struct mm *mm, uaddr_t addr, uint64_t len, int prot, int flags, struct file *file, uint64_t offset)
{
	struct area_desc d = { .prot = (uint16_t)(prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) };
	bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	struct file *own_file = NULL;
	uint64_t align = PAGE_SIZE;
	struct area_change c;
	long r;

	if (!len)
		return -EINVAL;
	if (len > UADDR_END)
		return -ENOMEM;
	len = ALIGN_UP(len, PAGE_SIZE);
	switch (flags & MAP_TYPE) {
	case MAP_SHARED_VALIDATE:
	case MAP_SHARED:
		d.kind = AREA_SHARED;
		break;
	case MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (flags & MAP_ANONYMOUS)
		file = NULL;
	else if (!file)
		return -EBADF;
	if (flags & MAP_HUGETLB) {
		r = hugetlb_check(flags, file, &len, &align);
		if (r)
			return r;
		d.kind |= AREA_HUGETLB;
	} else if (!file && !(flags & (MAP_STACK | MAP_GROWSDOWN)) && len >= HUGE_ALIGN_MIN &&
		   !(len & (HUGE_SIZE - 1))) {
		align = HUGE_SIZE;
	}
	if (fixed) {
		if (addr & (MAX(align, PAGE_SIZE) - 1) && ((addr & (PAGE_SIZE - 1)) || (d.kind & AREA_HUGETLB)))
			return -EINVAL;
		if (!uaddr_ok(addr, len))
			return -ENOMEM;
		if (addr < UADDR_MIN)
			return -EPERM;
	} else {
		addr = ALIGN_DOWN(addr, PAGE_SIZE);
		/* An exact hint counts more than our wish for alignment. */
		if (addr && !(d.kind & AREA_HUGETLB) && (addr & (align - 1)))
			align = PAGE_SIZE;
	}
	d.flags = (uint32_t)(flags & KEPT_FLAGS);
	if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE)
		d.flags = (d.flags & ~(uint32_t)MAP_TYPE) | MAP_SHARED;
	if (!file && (d.kind & AREA_SHARED)) {
		own_file = file = shared_file_new(len);
		if (IS_ERR(file))
			return PTR_ERR(file);
		/* The file is ours alone and open for everything. */
		offset = 0;
	}
	if (file) {
		r = desc_set_file(&d, prot, flags, file, offset, len);
		if (r)
			goto out_file;
	}
	if (desc_is_charged(&d))
		d.kind |= AREA_CHARGED;

	mutex_lock(&areas_lock);
	if ((d.kind & AREA_SHARED) && (prot & PROT_WRITE) && d.cache && d.cache->sealed) {
		r = -EPERM;
		goto out_unlock;
	}
	if (!fixed) {
		addr = place(mm, addr, len, align, flags);
		if (!addr) {
			r = -ENOMEM;
			goto out_unlock;
		}
	} else if ((flags & MAP_FIXED_NOREPLACE) && !range_free(addr, len)) {
		r = -EEXIST;
		goto out_unlock;
	}
	d.start = addr;
	d.end = addr + len;
	if (desc_is_absurd(&d)) {
		r = -ENOMEM;
		goto out_unlock;
	}
	r = change_begin(&c, mm, addr, addr + len);
	if (!r && (c.overlaps || (d.kind & AREA_HUGETLB)))
		r = range_split_huge(mm, addr, addr + len);
	if (!r)
		r = change_add(&c, &d);
	if (r) {
		change_cancel(&c);
		goto out_unlock;
	}
	c.replaces = c.overlaps;
	r = change_publish(&c);
	if (r)
		goto out_unlock;
	if (c.overlaps)
		range_zap(mm, addr, addr + len);
	change_finish(&c);
	mutex_unlock(&areas_lock);
	if (own_file)
		file_put(own_file);
	if (d.kind & AREA_HUGETLB) {
		r = range_populate_huge(mm, addr, addr + len);
		if (r) {
			mm_munmap(mm, addr, len);
			return r;
		}
	} else if ((flags & (MAP_POPULATE | MAP_LOCKED)) && !(flags & MAP_NONBLOCK) && prot) {
		/* As on Linux, what cannot be populated is left to the faults. */
		range_populate(mm, addr, addr + len, (prot & PROT_WRITE) && !(d.kind & AREA_SHARED));
	}
	return (long)addr;

out_unlock:
	mutex_unlock(&areas_lock);
	if (r == -EEXIST && !(flags & MAP_FIXED_NOREPLACE))
		r = -ENOMEM; /* another program's range */
out_file:
	if (own_file)
		file_put(own_file);
	return r;
}

long mm_munmap(struct mm *mm, uaddr_t addr, uint64_t len)
{
	long r = 0;

	if ((addr & (PAGE_SIZE - 1)) || !len || !uaddr_ok(addr, len))
		return -EINVAL;
	len = ALIGN_UP(len, PAGE_SIZE);
	mutex_lock(&areas_lock);
	if (!range_free(addr, len))
		r = range_unmap(mm, addr, addr + len);
	mutex_unlock(&areas_lock);
	return r == -EEXIST ? -EINVAL : r;
}

long mm_brk(struct mm *mm, uaddr_t brk)
{
	uaddr_t old_end, new_end;
	struct area_change c;
	struct area_desc d;
	int r;

	mutex_lock(&areas_lock);
	if (brk < mm->brk_start || !uaddr_ok(brk, PAGE_SIZE))
		goto out;
	old_end = ALIGN_UP(mm->brk_end, PAGE_SIZE);
	new_end = ALIGN_UP(brk, PAGE_SIZE);
	if (new_end < old_end) {
		if (range_unmap(mm, new_end, old_end))
			goto out;
	} else if (new_end > old_end) {
		if (!range_free(old_end, new_end - old_end))
			goto out;
		d = (struct area_desc){ .start = old_end, .end = new_end, .prot = PROT_READ | PROT_WRITE,
					.kind = AREA_HEAP | AREA_CHARGED, .flags = MAP_PRIVATE };
		r = change_begin(&c, mm, old_end, new_end);
		if (!r)
			r = change_add(&c, &d);
		if (r) {
			change_cancel(&c);
			goto out;
		}
		if (change_publish(&c))
			goto out;
		change_finish(&c);
	}
	mm->brk_end = brk;
out:
	brk = mm->brk_end;
	mutex_unlock(&areas_lock);
	return (long)brk;
}
