/*
 * mm/buddy.c - physical pages: the buddy allocator and its per-CPU caches.
 *
 * Theory: free memory is kept in blocks of 2^order pages, one list an order, up to 1 GiB. A freed block
 * merges with its buddy (Knuth, vol. 1, 2.5). In front stands a stack of single pages for each CPU, touched
 * only with preemption disabled, so that most allocations and frees take no lock.
 *
 * A free must work where sleeping is forbidden. It therefore only tries the mutex; if another thread
 * holds it the page goes to a lock-free stack that the next holder empties. The stack is only pushed to and
 * taken whole, so it has no ABA problem.
 *
 * Interface: mm.h (page_alloc, page_get, page_put ...), internal.h.
 * Locking: `lock` guards the lists; page->order and PAGE_FREE of a free block belong to it.
 * Errors: NULL when memory is short. An order above 0 may fail although pages are free.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"

#define CPU_CACHE_MAX 62
#define CPU_CACHE_BATCH 16

struct mem_range mem_ranges[64];
unsigned mem_range_count;
struct page *page_array = (struct page *)VMEMMAP_BASE;
uint64_t mem_total_pages, mem_reserve_pages, mem_low_pages, mem_high_pages;
unsigned mm_fail_every;

static struct mutex lock = MUTEX_INIT("buddy");
static struct list free_blocks[MAX_ORDER + 1];
static _Atomic uint64_t free_count;          /* pages in the lists */
static struct page *_Atomic deferred;        /* freed while the lock was busy; by link.next */
static _Atomic uint64_t deferred_count;
static unsigned cpu_cache_high = CPU_CACHE_MAX;

static struct cpu_cache {
	uint64_t n; /* a whole word: figures read it */
	struct page *pages[CPU_CACHE_MAX];
} __attribute__((aligned(64))) cpu_caches[MAX_CPUS];

bool pfn_managed(uint64_t pfn)
{
	for (unsigned i = 0; i < mem_range_count; i++)
		if (pfn < mem_ranges[i].end)
			return pfn >= mem_ranges[i].first;
	return false;
}

paddr_t page_to_phys(const struct page *p)
{
	return page_to_pfn(p) << PAGE_SHIFT;
}

struct page *phys_to_page(paddr_t phys)
{
	uint64_t pfn = phys >> PAGE_SHIFT;

	return pfn_managed(pfn) ? pfn_to_page(pfn) : NULL;
}

void page_clear(void *virt, size_t bytes)
{
	/* Plain stores: `rep stosb` is several times slower under emulation. */
	volatile uint64_t *p = virt, *end = p + bytes / 8;

	for (; p != end; p += 16) {
		p[0] = 0; p[1] = 0; p[2] = 0; p[3] = 0;
		p[4] = 0; p[5] = 0; p[6] = 0; p[7] = 0;
		p[8] = 0; p[9] = 0; p[10] = 0; p[11] = 0;
		p[12] = 0; p[13] = 0; p[14] = 0; p[15] = 0;
	}
}

void page_copy(void *dst, const void *src)
{
	volatile uint64_t *d = dst;
	const uint64_t *s = src, *end = s + PAGE_SIZE / 8;

	for (; s != end; s += 8, d += 8) {
		uint64_t a = s[0], b = s[1], c = s[2], e = s[3];
		d[0] = a; d[1] = b; d[2] = c; d[3] = e;
		a = s[4], b = s[5], c = s[6], e = s[7];
		d[4] = a; d[5] = b; d[6] = c; d[7] = e;
	}
}

bool alloc_should_fail(void)
{
	static _Atomic unsigned count;

	return unlikely(mm_fail_every) && (atomic_fetch_add(&count, 1) + 1) % mm_fail_every == 0;
}

/* --- the lists; `lock` held -------------------------------------------------------------------------- */
static void block_insert(struct page *p, unsigned order)
{
	p->order = order;
	atomic_store_explicit(&p->flags, PAGE_FREE, memory_order_relaxed);
	list_push_front(&free_blocks[order], &p->link);
}

static void block_remove(struct page *p)
{
	list_del(&p->link);
	atomic_store_explicit(&p->flags, 0, memory_order_relaxed);
}

static void block_free(struct page *p, unsigned order)
{
	uint64_t pfn = page_to_pfn(p);

	atomic_fetch_add_explicit(&free_count, 1ull << order, memory_order_relaxed);
	while (order < MAX_ORDER) {
		uint64_t buddy_pfn = pfn ^ (1ull << order);
		struct page *buddy = pfn_to_page(buddy_pfn);

		if (!pfn_managed(buddy_pfn) ||
		    !(atomic_load_explicit(&buddy->flags, memory_order_relaxed) & PAGE_FREE) ||
		    buddy->order != order)
			break;
		block_remove(buddy);
		pfn &= ~(1ull << order);
		order++;
	}
	block_insert(pfn_to_page(pfn), order);
}

static struct page *block_take(unsigned order)
{
	for (unsigned o = order; o <= MAX_ORDER; o++) {
		struct page *p;

		if (list_empty(&free_blocks[o]))
			continue;
		p = list_first(&free_blocks[o], struct page, link);
		block_remove(p);
		while (o > order) {
			o--;
			block_insert(p + (1ull << o), o);
		}
		atomic_fetch_sub_explicit(&free_count, 1ull << order, memory_order_relaxed);
		return p;
	}
	return NULL;
}

static void deferred_drain(void)
{
	struct page *p;

	if (likely(!atomic_load_explicit(&deferred, memory_order_relaxed)))
		return;
	p = atomic_exchange_explicit(&deferred, NULL, memory_order_acquire);
	while (p) {
		struct page *next = (struct page *)p->link.next;

		atomic_fetch_sub_explicit(&deferred_count, 1ull << p->order, memory_order_relaxed);
		block_free(p, p->order);
		p = next;
	}
}

static void deferred_push(struct page *p)
{
	struct page *head = atomic_load_explicit(&deferred, memory_order_relaxed);

	atomic_fetch_add_explicit(&deferred_count, 1ull << p->order, memory_order_relaxed);
	do
		p->link.next = (struct list *)head;
	while (!atomic_compare_exchange_weak_explicit(&deferred, &head, p, memory_order_release,
						      memory_order_relaxed));
}

/* --- freeing ----------------------------------------------------------------------------------------- */
static void pages_release(struct page **pages, unsigned n)
{
	if (mutex_trylock(&lock)) {
		deferred_drain();
		for (unsigned i = 0; i < n; i++)
			block_free(pages[i], pages[i]->order);
		mutex_unlock(&lock);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		deferred_push(pages[i]);
}

static void page_free(struct page *p)
{
	struct cpu_cache *cc;
	struct page *out[CPU_CACHE_BATCH];
	unsigned n = 0;

	atomic_store_explicit(&p->flags, 0, memory_order_relaxed);
	p->cache = NULL;
	if (p->order) {
		pages_release(&p, 1);
		return;
	}
	preempt_disable();
	cc = &cpu_caches[cpu_id()];
	if (cc->n >= cpu_cache_high)
		while (n < CPU_CACHE_BATCH && cc->n)
			out[n++] = cc->pages[--cc->n];
	cc->pages[cc->n++] = p;
	preempt_enable();
	if (n)
		pages_release(out, n);
}

void page_get(struct page *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

bool page_try_get(struct page *p)
{
	uint32_t refs = atomic_load_explicit(&p->refs, memory_order_relaxed);

	do {
		if (!refs)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&p->refs, &refs, refs + 1, memory_order_acquire,
							memory_order_relaxed));
	return true;
}

void page_put(struct page *p)
{
	uint32_t old = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);

	assert(old != 0);
	if (old == 1)
		page_free(p);
}

void page_split(struct page *head, unsigned order)
{
	head->order = 0;
	atomic_fetch_and_explicit(&head->flags, ~(uint32_t)PAGE_HUGE, memory_order_relaxed);
	for (uint64_t i = 1; i < 1ull << order; i++) {
		struct page *p = head + i;

		p->order = 0;
		p->cache = head->cache;
		p->index = head->index + i;
		atomic_store_explicit(&p->mapcount, 0, memory_order_relaxed);
		atomic_store_explicit(&p->flags, head->flags, memory_order_relaxed);
		atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
	}
}

/* --- allocating ---------------------------------------------------------------------------------------- */
uint64_t buddy_free_pages(void)
{
	uint64_t n = atomic_load_explicit(&free_count, memory_order_relaxed) +
		     atomic_load_explicit(&deferred_count, memory_order_relaxed);

	for (unsigned i = 0; i < cpu_count(); i++)
		n += cpu_caches[i].n;
	return n;
}

void buddy_free_figure(struct figure_table *t, unsigned id)
{
	const struct figure_term terms[] = {
		{ .at = &free_count, .count = 1 },
		{ .at = &deferred_count, .count = 1 },
		{ .at = &cpu_caches[0].n, .stride = sizeof(cpu_caches[0]), .count = MAX_CPUS, .kind = FIGURE_EACH },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(terms); i++)
		assert(figure_add(t, id, &terms[i]));
}

bool mem_is_comfortable(void)
{
	return mem_total_pages > MIB(256) / PAGE_SIZE &&
	       atomic_load_explicit(&free_count, memory_order_relaxed) > mem_total_pages / 4;
}

static void cpu_cache_flush(void)
{
	struct page *out[CPU_CACHE_MAX];
	struct cpu_cache *cc;
	unsigned n = 0;

	preempt_disable();
	cc = &cpu_caches[cpu_id()];
	while (cc->n)
		out[n++] = cc->pages[--cc->n];
	preempt_enable();
	if (n)
		pages_release(out, n);
}

/* One attempt at the lists. For a single page also refills this CPU's cache. *busy: another has them, and nobody knows what there is. */
static struct page *alloc_from_lists(unsigned order, unsigned flags, bool *busy)
{
	uint64_t keep = flags & ALLOC_RESERVE ? 0 : mem_reserve_pages;
	struct page *p = NULL, *more[CPU_CACHE_BATCH];
	unsigned n = 0;

	if (flags & ALLOC_NOWAIT) {
		if (!mutex_trylock(&lock)) {
			*busy = true;
			return NULL;
		}
	} else {
		mutex_lock(&lock);
	}
	deferred_drain();
	if (atomic_load_explicit(&free_count, memory_order_relaxed) >= keep + (1ull << order))
		p = block_take(order);
	if (p && order == 0)
		while (n < CPU_CACHE_BATCH &&
		       atomic_load_explicit(&free_count, memory_order_relaxed) > mem_low_pages) {
			more[n] = block_take(0);
			if (!more[n])
				break;
			more[n++]->order = 0;
		}
	mutex_unlock(&lock);

	if (n) {
		struct cpu_cache *cc;

		preempt_disable();
		cc = &cpu_caches[cpu_id()];
		while (n && cc->n < CPU_CACHE_MAX) {
			cc->pages[cc->n++] = more[--n];
		}
		preempt_enable();
		if (n)
			pages_release(more, n);
	}
	return p;
}

static struct page *alloc_slow(unsigned order, unsigned flags, bool *busy)
{
	for (unsigned attempt = 0;; attempt++) {
		struct page *p = alloc_from_lists(order, flags, busy);
		uint64_t free = atomic_load_explicit(&free_count, memory_order_relaxed);

		if (free < mem_low_pages)
			reclaim_wake();
		if (p || (flags & (ALLOC_NOWAIT | ALLOC_NORECLAIM)))
			return p;
		cpu_cache_flush();
		/* Fragmentation of large blocks is not worth emptying the cache for. */
		if (order > 3 && free > mem_high_pages + (1ull << order))
			return NULL;
		if (attempt >= 8 || !pagecache_reclaim(MAX(64ull, 1ull << order))) {
			if (attempt >= 1)
				return NULL;
		}
	}
}

struct page *page_alloc(unsigned order, unsigned flags)
{
	struct page *p = NULL;
	bool busy = false;

	if (unlikely(mm_fail_every) && !(flags & (ALLOC_RESERVE | ALLOC_FAULT)) && alloc_should_fail())
		goto failed;
	if (order == 0) {
		struct cpu_cache *cc;

		preempt_disable();
		cc = &cpu_caches[cpu_id()];
		if (likely(cc->n))
			p = cc->pages[--cc->n];
		preempt_enable();
	}
	if (unlikely(!p)) {
		if (order > MAX_ORDER)
			goto failed;
		p = alloc_slow(order, flags, &busy);
		if (!p)
			goto failed;
	}
	p->order = order;
	p->cache = NULL;
	p->index = 0;
	list_init(&p->link);
	atomic_store_explicit(&p->flags, 0, memory_order_relaxed);
	atomic_store_explicit(&p->mapcount, 0, memory_order_relaxed);
	atomic_store_explicit(&p->refs, 1, memory_order_release);
	if (flags & ALLOC_ZERO)
		page_clear(page_virt(p), PAGE_SIZE << order);
	return p;
failed:
	/* Who does not wait tries again in another way: that is no want of memory. */
	if (!busy)
		stat_add(STAT_ALLOC_FAIL, 1);
	return NULL;
}

/* --- boot ------------------------------------------------------------------------------------------------ */
void buddy_init(void)
{
	for (unsigned i = 0; i <= MAX_ORDER; i++)
		list_init(&free_blocks[i]);
}

void buddy_add_range(uint64_t pfn, uint64_t end)
{
	mutex_lock(&lock);
	while (pfn < end) {
		unsigned order = pfn ? MIN((unsigned)__builtin_ctzll(pfn), (unsigned)MAX_ORDER) : MAX_ORDER;

		while (pfn + (1ull << order) > end)
			order--;
		block_free(pfn_to_page(pfn), order);
		pfn += 1ull << order;
		mem_total_pages += 1ull << order;
	}
	mutex_unlock(&lock);

	/* 1/64 of memory for the kernel alone, between 512 KiB and 16 MiB. */
	mem_reserve_pages = MIN(MAX(mem_total_pages / 64, KIB(512) / PAGE_SIZE), MIB(16) / PAGE_SIZE);
	mem_low_pages = mem_reserve_pages * 2;
	mem_high_pages = mem_reserve_pages * 3;
	cpu_cache_high = MIN(MAX(mem_total_pages / 1024, 8ull), (uint64_t)CPU_CACHE_MAX);
}
