/*
 * mm/pagecache.c - file pages: finding, filling, writing, truncating; see pagecache.h.
 *
 * Theory: a lookup is a radix walk under RCU and a reference; a small read does without (copy_small()). A missing page of a file with a backing store is entered
 * as PAGE_BUSY together with missing neighbours of its cluster, filled without a lock, and then marked; whoever
 * finds it busy sleeps on cache->busy. The cache holds one reference of each page, each page-table entry one more.
 *
 * Locking: cache->lock for changes of the index, the size and page flags; RCU for lookups. See internal.h for the order.
 * Errors: pagecache.h.
 */
#include "mm/internal.h"
#include "mm/peek.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "mm/radix.h"

#define CLUSTER_MAX 256
/* Beyond it a reference of the page costs less than a second copy. */
#define SMALL_COPY 256

void pagecache_init(struct pagecache *c, const struct pagecache_ops *ops, void *owner)
{
	memset(c, 0, sizeof(*c));
	mutex_init(&c->lock, "page cache");
	c->ops = ops;
	c->owner = owner;
	waitq_init(&c->busy);
	list_init(&c->mappings);
}

static bool backed(const struct pagecache *c) { return c->ops && c->ops->fill; }

static int charge(struct pagecache *c, int64_t npages)
{
	return c->ops && c->ops->charge ? c->ops->charge(c, npages) : 0;
}

/* Enters a page that nobody else knows; the cache takes over the caller's reference. Lock held. */
static int page_enter(struct pagecache *c, uint64_t index, struct page *p, uint32_t flags)
{
	p->cache = c;
	p->index = index;
	atomic_store_explicit(&p->flags, PAGE_CACHE | flags, memory_order_release);
	list_init(&p->link);
	int r = radix_insert(&c->root, index, p);
	if (r) {
		p->cache = NULL;
		return r;
	}
	atomic_fetch_add_explicit(&c->npages, 1, memory_order_relaxed);
	stat_add(backed(c) ? STAT_FILE : STAT_SHMEM, 1);
	return 0;
}

/* Takes a page out of the index; the cache's reference is the caller's now. Lock held. */
static void page_leave(struct pagecache *c, struct page *p)
{
	radix_remove(&c->root, p->index);
	/* Before anybody can make something else of the page: see copy_small(). */
	atomic_fetch_add(&c->removals, 1);
	*(struct pagecache *volatile *)&p->cache = NULL;
	atomic_fetch_sub_explicit(&c->npages, 1, memory_order_relaxed);
	stat_add(backed(c) ? STAT_FILE : STAT_SHMEM, -1);
}

/* A reference if the page is (still) the file's page, whatever its state. */
static struct page *find_any(struct pagecache *c, uint64_t index)
{
	struct page *p;

	rcu_read_lock();
	p = radix_find(&c->root, index);
	if (p && !page_try_get(p))
		p = NULL;
	rcu_read_unlock();
	if (p && (*(struct pagecache *volatile *)&p->cache != c || p->index != index)) {
		page_put(p);
		p = NULL;
	}
	return p;
}

struct page *pagecache_peek(struct pagecache *c, uint64_t index)
{
	struct page *p = find_any(c, index);

	if (p && !(atomic_load_explicit(&p->flags, memory_order_acquire) & PAGE_UPTODATE)) {
		page_put(p);
		return NULL;
	}
	return p;
}

/* A new zero page of tmpfs. */
static struct page *create(struct pagecache *c, uint64_t index, unsigned flags)
{
	int r = (flags & PAGECACHE_IF_FITS) && !mm_pages_fit(1) ? -ENOSPC : charge(c, 1);
	struct page *p, *there;

	if (r)
		return ERR_PTR(r);
	p = page_alloc(0, ALLOC_ZERO);
	if (!p) {
		charge(c, -1);
		return ERR_PTR(-ENOMEM);
	}
	page_get(p); /* the caller's */
	mutex_lock(&c->lock);
	there = radix_find(&c->root, index);
	if (there) {
		page_get(there);
		r = 0;
	} else {
		r = page_enter(c, index, p, PAGE_UPTODATE | PAGE_DIRTY);
	}
	mutex_unlock(&c->lock);
	if (!there && r == 0)
		return p;
	charge(c, -1);
	page_put(p);
	page_put(p);
	return there ? there : ERR_PTR(r);
}

/* Enters busy pages around `index` that are missing; answers their number and the first index. Lock held. */
static int enter_cluster(struct pagecache *c, uint64_t index, struct page **pages, uint64_t *first)
{
	uint64_t lo = index, n = 1, file_pages;
	unsigned count;

	file_pages = ALIGN_UP(atomic_load(&c->size_bytes), PAGE_SIZE) >> PAGE_SHIFT;
	if (c->ops->cluster) {
		n = c->ops->cluster(c, index, &lo);
		if (n == 0 || n > CLUSTER_MAX || lo > index || index - lo >= n) {
			lo = index;
			n = 1;
		}
	}
	uint64_t hi = MIN(lo + n, MAX(file_pages, index + 1));
	/* The run of missing pages that holds `index`. */
	uint64_t from = index, to = index + 1;
	while (from > lo && !radix_find(&c->root, from - 1))
		from--;
	while (to < hi && !radix_find(&c->root, to))
		to++;
	/* The page that is wanted comes first, the others are a bonus that memory may refuse. */
	count = (unsigned)(to - from);
	pages[index - from] = page_alloc(0, ALLOC_FAULT);
	if (!pages[index - from])
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		if (from + i == index)
			continue;
		pages[i] = page_alloc(0, ALLOC_NOWAIT);
		if (!pages[i]) {
			/* Only the wanted one, then. */
			struct page *wanted = pages[index - from];
			for (unsigned k = 0; k < i; k++)
				if (pages[k] != wanted)
					page_put(pages[k]);
			pages[0] = wanted;
			from = index;
			count = 1;
			break;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		if (page_enter(c, from + i, pages[i], PAGE_BUSY) == 0)
			continue;
		for (unsigned k = 0; k < i; k++) {
			page_leave(c, pages[k]);
			page_put(pages[k]);
		}
		for (unsigned k = i; k < count; k++)
			page_put(pages[k]);
		return -ENOMEM;
	}
	*first = from;
	return (int)count;
}

/* Fills what enter_cluster() entered. */
static int fill(struct pagecache *c, struct page **pages, unsigned n)
{
	int r = c->ops->fill(c, pages, n);

	mutex_lock(&c->lock);
	for (unsigned i = 0; i < n; i++) {
		struct page *p = pages[i];
		if (r) {
			page_leave(c, p);
			atomic_fetch_or(&p->flags, PAGE_ERROR);
		} else {
			atomic_fetch_or_explicit(&p->flags, PAGE_UPTODATE, memory_order_release);
		}
		atomic_fetch_and(&p->flags, ~(uint32_t)PAGE_BUSY);
		if (r)
			page_put(p);
		else
			lru_add(p); /* before anyone can take the page out again */
	}
	waitq_wake_all(&c->busy, 0);
	mutex_unlock(&c->lock);
	return r;
}

static struct page *get_backed(struct pagecache *c, uint64_t index)
{
	struct page **pages = NULL, *p;
	uint64_t first;
	int n;

	for (;;) {
		mutex_lock(&c->lock);
		p = radix_find(&c->root, index);
		if (p && (atomic_load(&p->flags) & PAGE_UPTODATE)) {
			page_get(p);
			mutex_unlock(&c->lock);
			break;
		}
		if (p) {
			waitq_wait(&c->busy, &c->lock, DEADLINE_NEVER, false);
			mutex_unlock(&c->lock);
			continue;
		}
		if (!pages) {
			mutex_unlock(&c->lock);
			pages = kmalloc_flags(CLUSTER_MAX * sizeof(*pages), ALLOC_FAULT);
			if (!pages)
				return ERR_PTR(-ENOMEM);
			continue;
		}
		n = enter_cluster(c, index, pages, &first);
		if (n > 0)
			page_get(pages[index - first]);
		mutex_unlock(&c->lock);
		if (n < 0) {
			p = ERR_PTR(n);
			break;
		}
		p = pages[index - first];
		n = fill(c, pages, (unsigned)n);
		if (n) {
			page_put(p);
			p = ERR_PTR(n);
		}
		break;
	}
	kfree(pages);
	return p;
}

struct page *pagecache_get(struct pagecache *c, uint64_t index, unsigned flags)
{
	struct page *p = pagecache_peek(c, index);

	if (p) {
		if (!(atomic_load_explicit(&p->flags, memory_order_relaxed) & PAGE_REFERENCED))
			atomic_fetch_or_explicit(&p->flags, PAGE_REFERENCED, memory_order_relaxed);
		return p;
	}
	if (flags & PAGECACHE_FIND)
		return ERR_PTR(-ENODATA);
	if (backed(c))
		return get_backed(c, index);
	return flags & PAGECACHE_CREATE ? create(c, index, flags) : ERR_PTR(-ENODATA);
}

uint64_t pagecache_seek(struct pagecache *c, uint64_t index, uint64_t end, bool hole)
{
	bool there;

	if (!hole) {
		mutex_lock(&c->lock);
		there = radix_next(&c->root, &index);
		mutex_unlock(&c->lock);
		return there ? MIN(index, end) : end;
	}
	for (; index < end; index++) {
		rcu_read_lock();
		there = radix_find(&c->root, index);
		rcu_read_unlock();
		if (!there)
			break;
	}
	return index;
}

/*
 * May an entry map the page, which has left the index, or a fault that is under way enter one? Lock held, the cache's reference is the only one
 * that the caller has. Each entry holds a reference, and so does each fault until it has made its entry of it. A fault takes the reference, by
 * a locked instruction, before it looks whether the page is still the cache's (find_any(), page_current()); here the page leaves before
 * its references are looked at. So either the reference is seen here, or the fault finds that the page has left.
 *   That spares the walk over all mappings of the file for a page that has been unmapped, as ZGC does before it punches a hole.
 */
static bool may_be_mapped(const struct pagecache *c, const struct page *p)
{
	if (list_empty(&c->mappings))
		return false;
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&p->refs, memory_order_acquire) > 1;
}

/* Takes the pages of [first, end) out of cache and page tables and frees them. Lock held. */
static void remove_pages(struct pagecache *c, uint64_t first, uint64_t end)
{
	struct list gone = LIST_INIT(gone);
	uaddr_t lo = UADDR_END, hi = 0;
	uint64_t index = first;
	int64_t removed = 0;
	struct page *p, *next;

	while ((p = radix_next(&c->root, &index)) && index < end) {
		if (backed(c))
			lru_remove(p);
		page_leave(c, p);
		int mapped = may_be_mapped(c, p) ? page_unmap_all(p, c, false, &lo, &hi) : 0;
		/* One reference of each entry and the cache's own are ours: all but one go at once. */
		while (mapped-- > 0)
			page_put(p);
		list_push_back(&gone, &p->link);
		removed++;
		if (++index == 0)
			break;
	}
	if (lo < hi)
		tlb_shootdown(lo, hi);
	list_for_each_safe(p, next, &gone, link) {
		list_del(&p->link);
		page_put(p);
	}
	if (removed && !backed(c))
		charge(c, -removed);
}

void pagecache_destroy(struct pagecache *c)
{
	mutex_lock(&c->lock);
	remove_pages(c, 0, UINT64_MAX);
	mutex_unlock(&c->lock);
}

static void zero_part(struct pagecache *c, uint64_t index, unsigned from, unsigned to)
{
	struct page *p = find_any(c, index);

	if (!p)
		return;
	memset((char *)page_virt(p) + from, 0, to - from);
	page_put(p);
}

int pagecache_truncate(struct pagecache *c, uint64_t size_bytes)
{
	mutex_lock(&c->lock);
	uint64_t old = atomic_load(&c->size_bytes);
	atomic_store_explicit(&c->size_bytes, size_bytes, memory_order_release);
	if (size_bytes < old) {
		remove_pages(c, ALIGN_UP(size_bytes, PAGE_SIZE) >> PAGE_SHIFT, UINT64_MAX);
		if (size_bytes & (PAGE_SIZE - 1))
			zero_part(c, size_bytes >> PAGE_SHIFT, size_bytes & (PAGE_SIZE - 1), PAGE_SIZE);
	}
	mutex_unlock(&c->lock);
	return 0;
}

int pagecache_punch(struct pagecache *c, uint64_t start, uint64_t end)
{
	if (start >= end)
		return 0;
	uint64_t first = ALIGN_UP(start, PAGE_SIZE), last = ALIGN_DOWN(end, PAGE_SIZE);
	mutex_lock(&c->lock);
	if (first > last) {
		zero_part(c, start >> PAGE_SHIFT, start & (PAGE_SIZE - 1), end & (PAGE_SIZE - 1));
	} else {
		if (first > start)
			zero_part(c, start >> PAGE_SHIFT, start & (PAGE_SIZE - 1), PAGE_SIZE);
		if (end > last)
			zero_part(c, end >> PAGE_SHIFT, 0, end & (PAGE_SIZE - 1));
		remove_pages(c, first >> PAGE_SHIFT, last >> PAGE_SHIFT);
	}
	mutex_unlock(&c->lock);
	return 0;
}

uint64_t pagecache_count(struct pagecache *c, uint64_t first, uint64_t end)
{
	uint64_t n = 0;

	mutex_lock(&c->lock);
	for (uint64_t index = first; radix_next(&c->root, &index) && index < end; index++)
		n++;
	mutex_unlock(&c->lock);
	return n;
}

/*
 * A small piece of one page, without a reference (peek.h). By way of the stack: what turns out not to be the file's, or not any more, must not have
 * reached the application, for the long way may read less.
 */
static bool copy_small(struct pagecache *c, uint64_t pos, uaddr_t user, size_t n)
{
	char piece[SMALL_COPY];
	const char *from;
	uint64_t mark;
	bool valid;

	rcu_read_lock();
	from = pagecache_piece(c, pos, n, &mark);
	if (from)
		memcpy(piece, from, n);
	valid = from && pagecache_piece_valid(c, pos + n, mark);
	rcu_read_unlock();
	return valid && !copy_to_user_partial(user, piece, n);
}

/* How many of n bytes at pos the file has. */
static size_t within(struct pagecache *c, uint64_t pos, size_t n)
{
	uint64_t size = atomic_load_explicit(&c->size_bytes, memory_order_acquire);

	return pos < size ? MIN(n, size - pos) : 0;
}

/* The page that holds pos, NULL for a hole, or an error; and then in *n how many of the *n bytes there the file has. */
static struct page *read_page(struct pagecache *c, uint64_t pos, size_t *n)
{
	for (;;) {
		struct page *p = pagecache_get(c, pos >> PAGE_SHIFT, 0);
		bool hole;

		if (!IS_ERR(p))
			*n = within(c, pos, *n); /* after the page: peek.h tells why */
		if (!IS_ERR(p) || PTR_ERR(p) != -ENODATA)
			return p;
		/* No page and a size that reaches so far are a hole only if they are so at the same time. */
		mutex_lock(&c->lock);
		hole = !radix_find(&c->root, pos >> PAGE_SHIFT);
		if (hole)
			*n = within(c, pos, *n);
		mutex_unlock(&c->lock);
		if (hole)
			return NULL;
	}
}

/* Copies to the application or, with kernel set, to memory of the kernel. */
static ssize_t copy_out(struct pagecache *c, uint64_t pos, uaddr_t user, char *kernel, size_t len)
{
	size_t done = 0;

	len = within(c, pos, len);
	if (len && len <= SMALL_COPY && !kernel && copy_small(c, pos, user, len))
		return (ssize_t)len;
	while (done < len) {
		size_t off = (pos + done) & (PAGE_SIZE - 1), piece = MIN(len - done, PAGE_SIZE - off), n = piece, left = 0;
		struct page *p = read_page(c, pos + done, &n);

		if (IS_ERR(p))
			return done ? (ssize_t)done : PTR_ERR(p);
		if (kernel && p)
			memcpy(kernel + done, (char *)page_virt(p) + off, n);
		else if (kernel)
			memset(kernel + done, 0, n);
		else if (p)
			left = copy_to_user_partial(user + done, (char *)page_virt(p) + off, n);
		else if (clear_user(user + done, n))
			left = n;
		if (p)
			page_put(p);
		done += n - left;
		if (left)
			return done ? (ssize_t)done : -EFAULT;
		if (n < piece)
			break; /* it ends there */
	}
	return (ssize_t)done;
}

ssize_t pagecache_read(struct pagecache *c, uint64_t pos, uaddr_t dst, size_t len)
{
	return copy_out(c, pos, dst, NULL, len);
}

ssize_t pagecache_read_kernel(struct pagecache *c, uint64_t pos, void *dst, size_t len)
{
	return copy_out(c, pos, 0, dst, len);
}

static void grow_to(struct pagecache *c, uint64_t size)
{
	if (size <= atomic_load(&c->size_bytes))
		return;
	mutex_lock(&c->lock);
	if (size > atomic_load(&c->size_bytes))
		atomic_store_explicit(&c->size_bytes, size, memory_order_release);
	mutex_unlock(&c->lock);
}

static ssize_t copy_in(struct pagecache *c, uint64_t pos, uaddr_t user, const char *kernel, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t off = (pos + done) & (PAGE_SIZE - 1), n = MIN(len - done, PAGE_SIZE - off), left = 0;
		struct page *p = pagecache_get(c, (pos + done) >> PAGE_SHIFT, PAGECACHE_CREATE | PAGECACHE_IF_FITS);

		if (IS_ERR(p))
			return done ? (ssize_t)done : PTR_ERR(p);
		if (kernel)
			memcpy((char *)page_virt(p) + off, kernel + done, n);
		else
			left = copy_from_user_partial((char *)page_virt(p) + off, user + done, n);
		page_put(p);
		done += n - left;
		if (n > left)
			grow_to(c, pos + done);
		if (left)
			return done ? (ssize_t)done : -EFAULT;
	}
	return (ssize_t)done;
}

ssize_t pagecache_write(struct pagecache *c, uint64_t pos, uaddr_t src, size_t len)
{
	return copy_in(c, pos, src, NULL, len);
}

ssize_t pagecache_write_kernel(struct pagecache *c, uint64_t pos, const void *src, size_t len)
{
	return copy_in(c, pos, 0, src, len);
}

/* For reclaim, cache->lock held: takes the page if nobody but the cache and `mapped` former entries holds it. It is
 * then out of the index and frozen with no references. */
bool pagecache_detach(struct page *p, int mapped)
{
	struct pagecache *c = p->cache;
	uint32_t expect = 1 + (uint32_t)mapped;

	if (atomic_load(&p->flags) & PAGE_BUSY)
		return false;
	if (!atomic_compare_exchange_strong(&p->refs, &expect, 0))
		return false;
	page_leave(c, p);
	return true;
}
