/*
 * mm/table.c - the page tables of a range: unmapping, changing rights, reverse mapping.
 *
 * Theory: pages are freed only after every CPU has dropped its translations. A walk therefore collects what it
 * unmaps, shoots down the range once, and frees then. Anonymous pages are chained through their own
 * list field, so that unmapping needs no memory; file pages, which sit on the reclaim list with that field, go into a
 * small array that is flushed when full.
 *   A table of which only a part is unmapped stays when it is empty, as long as an area lies in its 2 MiB: what is mapped and touched
 * and unmapped over and over beside something that stays would pay for a new, zeroed table and for an interrupt of every CPU each
 * time. Whoever unmaps the last area there, or all 2 MiB at once, frees it, and so does a fault that wants a 2 MiB page there.
 *
 * Locking: the leaf mutex of each 2 MiB region, one at a time. Callers hold areas_lock (changes of areas) or
 * cache->lock (reverse mapping).
 * Errors: only splitting a 2 MiB page allocates; callers do that first.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "pagetable.h"
#include <linux/mman.h>

struct mutex leaf_locks[LEAF_LOCKS] = { [0 ... LEAF_LOCKS - 1] = MUTEX_INIT("page table") };

#define BATCH_FILES 64
struct zap_batch {
	struct mm *mm;
	uaddr_t lo, hi;
	struct list anon, tables;
	unsigned nfiles;
	struct page *files[BATCH_FILES];
	int64_t anon_pages, touched_pages, huge_pages, file_pages;
	uint64_t unmapped_pages; /* over all flushes */
};

unsigned prot_to_access(int prot)
{
	unsigned acc = 0;

	if (prot & (PROT_READ | PROT_WRITE | PROT_EXEC))
		acc = PTE_ACC_READ;
	if (prot & PROT_WRITE)
		acc |= PTE_ACC_WRITE;
	if (prot & PROT_EXEC)
		acc |= PTE_ACC_EXEC;
	return acc;
}

void mm_rss_add(struct mm *mm, int64_t pages, bool file)
{
	uint64_t now = atomic_fetch_add_explicit(&mm->rss_pages, (uint64_t)pages, memory_order_relaxed) +
		       (uint64_t)pages;

	if (file)
		atomic_fetch_add_explicit(&mm->rss_file_pages, (uint64_t)pages, memory_order_relaxed);
	/* A lost race makes the peak a page or two too low. */
	if (pages > 0 && now > mm->peak_rss_pages)
		mm->peak_rss_pages = now;
}

static void batch_init(struct zap_batch *b, struct mm *mm)
{
	memset(b, 0, offsetof(struct zap_batch, files));
	b->mm = mm;
	b->lo = UADDR_END;
	list_init(&b->anon);
	list_init(&b->tables);
	b->anon_pages = b->touched_pages = b->huge_pages = b->file_pages = 0;
	b->unmapped_pages = 0;
}

static void batch_flush(struct zap_batch *b)
{
	struct page *p, *next;

	if (!list_empty(&b->tables))
		tlb_shootdown_tables(b->lo, b->hi);
	else if (b->lo < b->hi)
		tlb_shootdown(b->lo, b->hi);
	list_for_each_safe(p, next, &b->anon, link) {
		list_del(&p->link);
		page_put(p);
	}
	list_for_each_safe(p, next, &b->tables, link) {
		list_del(&p->link);
		pt_table_free(p);
	}
	for (unsigned i = 0; i < b->nfiles; i++)
		page_put(b->files[i]);
	if (b->anon_pages) {
		stat_add(STAT_ANON, -b->anon_pages);
		if (b->touched_pages)
			stat_add(STAT_ANON_TOUCHED, -b->touched_pages);
		mm_rss_add(b->mm, -b->anon_pages, false);
	}
	if (b->huge_pages)
		stat_add(STAT_ANON_HUGE, -b->huge_pages);
	if (b->file_pages) {
		stat_add(STAT_FILE_MAPPED, -b->file_pages);
		mm_rss_add(b->mm, -b->file_pages, true);
	}
	b->anon_pages = b->touched_pages = b->huge_pages = b->file_pages = 0;
	b->nfiles = 0;
	b->lo = UADDR_END;
	b->hi = 0;
}

/* Notes a page that a 4 KiB or 2 MiB entry at addr no longer maps. */
static void batch_add(struct zap_batch *b, uaddr_t addr, uint64_t value)
{
	struct page *p = pfn_to_page(pte_phys(value) >> PAGE_SHIFT);
	uint32_t flags = atomic_load_explicit(&p->flags, memory_order_relaxed);
	bool huge = value & PTE_LARGE;

	b->lo = MIN(b->lo, addr);
	b->hi = MAX(b->hi, addr + (huge ? HUGE_SIZE : PAGE_SIZE));
	b->unmapped_pages += huge ? PT_ENTRIES : 1;
	if (flags & PAGE_ANON) {
		list_push_back(&b->anon, &p->link);
		b->anon_pages += huge ? PT_ENTRIES : 1;
		b->huge_pages += huge ? PT_ENTRIES : 0;
		if (flags & PAGE_TOUCHED)
			b->touched_pages += huge ? PT_ENTRIES : 1;
		return;
	}
	atomic_fetch_sub_explicit(&p->mapcount, 1, memory_order_relaxed);
	b->files[b->nfiles++] = p;
	b->file_pages++;
	if (b->nfiles == BATCH_FILES)
		batch_flush(b);
}

/* The next entry that is not empty, or `stop`. The stack of a thread that ends is nearly all empty: four at a time. */
static pte_t *used_entry(pte_t *e, pte_t *stop)
{
	while (stop - e >= 4 && !(pte_load(e) | pte_load(e + 1) | pte_load(e + 2) | pte_load(e + 3)))
		e += 4;
	while (e < stop && !pte_load(e))
		e++;
	return e;
}

/* Asked under the leaf mutex: whoever takes the last area away publishes that first, and comes for the mutex then. */
static bool region_has_area(uaddr_t addr)
{
	uaddr_t region = ALIGN_DOWN(addr, HUGE_SIZE);
	struct area *a;
	bool has;

	rcu_read_lock();
	a = area_search(region);
	has = a && a->d.start < region + HUGE_SIZE;
	rcu_read_unlock();
	return has;
}

bool region_is_empty(const pte_t *pmd)
{
	pte_t *table = pt_table(pmd);

	return table ? !pt_table_page(table)->mapcount : !pte_load(pmd);
}

void region_drop_table(pte_t *pmd, uaddr_t region)
{
	struct page *table;

	if (!pte_load(pmd))
		return;
	table = pt_table_take(pmd);
	tlb_shootdown_tables(region, region + HUGE_SIZE);
	pt_table_free(table);
}

static void zap_region(struct zap_batch *b, uaddr_t start, uaddr_t end)
{
	pte_t *pmd = pt_pmd_find(start), *table;
	struct page *table_page;
	uint64_t v;

	if (!pmd)
		return;
	v = pte_load(pmd);
	if (pte_is_huge(v)) {
		assert(end - start == HUGE_SIZE);
		batch_add(b, start, pte_swap(pmd, 0));
		return;
	}
	table = pt_table(pmd);
	if (!table)
		return;
	table_page = pt_table_page(table);
	pte_t *first = &table[pt_index(start, 1)], *stop = first + (end - start) / PAGE_SIZE;
	for (pte_t *e = first; table_page->mapcount && (e = used_entry(e, stop)) < stop; e++) {
		v = pte_swap(e, 0);
		table_page->mapcount--;
		batch_add(b, start + (uaddr_t)(e - first) * PAGE_SIZE, v);
	}
	if (!table_page->mapcount && (end - start == HUGE_SIZE || !region_has_area(start))) {
		/* The hardware may have cached the way to this table. */
		b->lo = MIN(b->lo, start);
		b->hi = MAX(b->hi, end);
		list_push_back(&b->tables, &pt_table_take(pmd)->link);
	}
}

uint64_t range_zap(struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct zap_batch b;

	batch_init(&b, mm);
	for (uaddr_t a = start; (a = MAX(pt_region_next(a, end), a)) < end;) {
		uaddr_t region_end = MIN(ALIGN_DOWN(a, HUGE_SIZE) + HUGE_SIZE, end);
		struct mutex *leaf = leaf_lock(a);

		mutex_lock(leaf);
		zap_region(&b, a, region_end);
		mutex_unlock(leaf);
		a = region_end;
	}
	batch_flush(&b);
	return b.unmapped_pages;
}

/* The regions that the change under way cuts; 0: none. Written under areas_lock. */
static _Atomic uaddr_t edges[2];

bool region_is_edge(uaddr_t region)
{
	return region && (region == atomic_load(&edges[0]) || region == atomic_load(&edges[1]));
}

/* Makes the 2 MiB page around addr 512 small ones, if there is one. */
static int split_huge_at(uaddr_t addr)
{
	uaddr_t region = ALIGN_DOWN(addr, HUGE_SIZE);
	struct mutex *leaf = leaf_lock(addr);
	struct page *table, *head;
	pte_t *pmd;
	bool huge;
	uint64_t v;

	/* With the mutex: a fault that did not see the edge yet has then stored its page. */
	mutex_lock(leaf);
	pmd = pt_pmd_find(addr);
	huge = pmd && pte_is_huge(pte_load(pmd));
	mutex_unlock(leaf);
	if (!huge)
		return 0;
	table = pt_table_alloc(ALLOC_RESERVE);
	if (!table)
		return -ENOMEM;
	mutex_lock(leaf);
	v = pte_load(pmd);
	if (!pte_is_huge(v)) {
		mutex_unlock(leaf);
		pt_table_free(table);
		return 0;
	}
	head = phys_to_page(pte_phys(v));
	pt_table_from_huge(table, v);
	pte_store(pmd, 0);
	tlb_shootdown(region, region + HUGE_SIZE);
	page_split(head, HUGE_ORDER);
	pt_table_set(pmd, table);
	mutex_unlock(leaf);
	stat_add(STAT_ANON_HUGE, -(int64_t)PT_ENTRIES);
	return 0;
}

int range_split_huge(struct mm *mm, uaddr_t start, uaddr_t end)
{
	int r = 0;

	assert(mutex_held(&areas_lock));
	atomic_store(&edges[0], start & (HUGE_SIZE - 1) ? ALIGN_DOWN(start, HUGE_SIZE) : 0);
	atomic_store(&edges[1], end & (HUGE_SIZE - 1) ? ALIGN_DOWN(end, HUGE_SIZE) : 0);
	if (start & (HUGE_SIZE - 1))
		r = split_huge_at(start);
	/* Both ends in one region: it has been split. */
	if (!r && (end & (HUGE_SIZE - 1)) && (!(start & (HUGE_SIZE - 1)) || start >> HUGE_SHIFT != end >> HUGE_SHIFT))
		r = split_huge_at(end);
	return r;
}

int range_split_all(uaddr_t start, uaddr_t end)
{
	int r = 0;

	for (uaddr_t a = start; !r && (a = MAX(pt_region_next(a, end), a)) < end; a = ALIGN_DOWN(a, HUGE_SIZE) + HUGE_SIZE)
		r = split_huge_at(a);
	return r;
}

int range_tables_make(uaddr_t start, uaddr_t end)
{
	for (uaddr_t a = start; a < end; a = ALIGN_DOWN(a, HUGE_SIZE) + HUGE_SIZE) {
		struct mutex *leaf = leaf_lock(a);
		pte_t *pmd = pt_pmd_get(a);
		struct page *table;

		if (!pmd)
			return -ENOMEM;
		table = pt_table_alloc(0);
		if (!table)
			return -ENOMEM;
		mutex_lock(leaf);
		if (!pte_load(pmd)) {
			pt_table_set(pmd, table);
			table = NULL;
		}
		mutex_unlock(leaf);
		if (table)
			pt_table_free(table);
	}
	return 0;
}

/*
 * One entry at a time, under one leaf mutex after the other: between the two the page is mapped nowhere, and a fault at
 * the old address finds an empty entry of an area that is about to go, at the new one an empty entry that it may fill
 * itself: then that page wins and ours is dropped, as if the access had come after an unmap.
 */
void range_move(struct mm *mm, uaddr_t from, uaddr_t to, uint64_t len)
{
	struct zap_batch b;

	batch_init(&b, mm);
	for (uint64_t off = 0; off < len; off += PAGE_SIZE) {
		uaddr_t a = from + off, at = to + off;
		pte_t *pmd = pt_pmd_find(a), *table;
		struct mutex *leaf = leaf_lock(a);
		uint64_t v = 0;

		if (!pmd)
			continue;
		mutex_lock(leaf);
		table = pt_table(pmd);
		if (table && pte_used(pte_load(&table[pt_index(a, 1)]))) {
			v = pte_swap(&table[pt_index(a, 1)], 0);
			pt_table_page(table)->mapcount--;
		}
		mutex_unlock(leaf);
		if (!v)
			continue;
		struct page *p = pfn_to_page(pte_phys(v) >> PAGE_SHIFT);
		leaf = leaf_lock(at);
		mutex_lock(leaf);
		pmd = pt_pmd_find(at);
		table = pmd ? pt_table(pmd) : NULL;
		if (table && !pte_load(&table[pt_index(at, 1)])) {
			if (atomic_load(&p->flags) & PAGE_ANON)
				p->index = at;
			pte_store(&table[pt_index(at, 1)], v);
			pt_table_page(table)->mapcount++;
			p = NULL;
		}
		mutex_unlock(leaf);
		if (p)
			batch_add(&b, a, v);
	}
	tlb_shootdown(from, from + len);
	batch_flush(&b);
}

/* The value that maps the same page with other rights. */
static uint64_t value_with_access(uint64_t v, unsigned access, bool shared)
{
	struct page *p = pfn_to_page(pte_phys(v) >> PAGE_SHIFT);

	/* A page of the cache in a private area stays read-only: the next write copies it. */
	if (!shared && !(atomic_load_explicit(&p->flags, memory_order_relaxed) & PAGE_ANON))
		access &= ~(unsigned)PTE_ACC_WRITE;
	return v & PTE_LARGE ? pte_make_huge(pte_phys(v), access) : pte_make(pte_phys(v), access);
}

static bool value_reduced(uint64_t old, uint64_t now)
{
	if (!pte_present(old))
		return false;
	return !pte_present(now) || (pte_writable(old) && !pte_writable(now)) || (!(old & PTE_NX) && (now & PTE_NX));
}

void range_protect(uaddr_t start, uaddr_t end, int prot, bool shared)
{
	unsigned access = prot_to_access(prot);
	uaddr_t lo = UADDR_END, hi = 0;

	for (uaddr_t a = start; (a = MAX(pt_region_next(a, end), a)) < end;) {
		uaddr_t region_end = MIN(ALIGN_DOWN(a, HUGE_SIZE) + HUGE_SIZE, end);
		struct mutex *leaf = leaf_lock(a);
		pte_t *pmd, *table;

		mutex_lock(leaf);
		pmd = pt_pmd_find(a);
		table = pmd ? pt_table(pmd) : NULL;
		if (pmd && pte_is_huge(pte_load(pmd))) {
			uint64_t v = pte_load(pmd), now = value_with_access(v, access, shared);

			/*
			 * The walk goes old area by old area. Where several have become one a fault may have stored
			 * a 2 MiB page across their border since: it has the new rights already.
			 */
			if (region_end - a != HUGE_SIZE)
				now = v;
			pte_store(pmd, now);
			if (value_reduced(v, now)) {
				lo = MIN(lo, a);
				hi = MAX(hi, region_end);
			}
		}
		for (uaddr_t p = a; table && p < region_end; p += PAGE_SIZE) {
			pte_t *e = &table[pt_index(p, 1)];
			uint64_t v = pte_load(e), now;

			if (!pte_used(v))
				continue;
			now = value_with_access(v, access, shared);
			pte_store(e, now);
			if (value_reduced(v, now)) {
				lo = MIN(lo, p);
				hi = MAX(hi, p + PAGE_SIZE);
			}
		}
		mutex_unlock(leaf);
		a = region_end;
	}
	if (lo < hi)
		tlb_shootdown(lo, hi);
}

static uint64_t touched_in(uaddr_t start, uaddr_t end, bool clear)
{
	uint64_t n = 0;

	for (uaddr_t a = start; (a = MAX(pt_region_next(a, end), a)) < end;) {
		uaddr_t region_end = MIN(ALIGN_DOWN(a, HUGE_SIZE) + HUGE_SIZE, end);
		struct mutex *leaf = leaf_lock(a);
		pte_t *pmd, *table, *e, *stop;

		mutex_lock(leaf);
		pmd = pt_pmd_find(a);
		table = pmd ? pt_table(pmd) : NULL;
		e = table ? &table[pt_index(a, 1)] : pmd;
		stop = table ? e + (region_end - a) / PAGE_SIZE : e ? e + 1 : e;
		for (; e < stop; e++) {
			uint64_t v = pte_load(e);
			struct page *p = pfn_to_page(pte_phys(v) >> PAGE_SHIFT);

			if (!pte_used(v) || !(atomic_load_explicit(&p->flags, memory_order_relaxed) & PAGE_TOUCHED))
				continue;
			n += v & PTE_LARGE ? (region_end - a) / PAGE_SIZE : 1;
			if (clear)
				atomic_fetch_and_explicit(&p->flags, ~(uint32_t)PAGE_TOUCHED, memory_order_relaxed);
		}
		mutex_unlock(leaf);
		a = region_end;
	}
	return n;
}

uint64_t range_touched(uaddr_t start, uaddr_t end) { return touched_in(start, end, false); }

/* Faults that began before the areas were charged have made their entries when the walk comes, or find their area dead; later ones do not
 * charge. */
void range_untouch(uaddr_t start, uaddr_t end)
{
	stat_add(STAT_ANON_TOUCHED, -(int64_t)touched_in(start, end, true));
}

/* --- reverse mapping; cache->lock held ---------------------------------------------------------------------- */
/* The address at which the area maps the page, or 0. */
static uaddr_t area_page_addr(const struct area *a, uint64_t index)
{
	if (index < a->d.pgoff || index - a->d.pgoff >= (a->d.end - a->d.start) >> PAGE_SHIFT)
		return 0;
	return a->d.start + ((index - a->d.pgoff) << PAGE_SHIFT);
}

static pte_t *entry_of_page(uaddr_t addr, const struct page *page, struct page **table_page)
{
	pte_t *pmd = pt_pmd_find(addr), *table = pmd ? pt_table(pmd) : NULL, *e;
	uint64_t v;

	if (!table)
		return NULL;
	e = &table[pt_index(addr, 1)];
	v = pte_load(e);
	if (!pte_used(v) || pte_phys(v) != page_to_phys(page))
		return NULL;
	*table_page = pt_table_page(table);
	return e;
}

int page_unmap_all(struct page *page, struct pagecache *cache, bool try, uaddr_t *lo, uaddr_t *hi)
{
	struct area *a;
	int unmapped = 0;

	list_for_each(a, &cache->mappings, cache_link) {
		uaddr_t addr = area_page_addr(a, page->index);
		struct page *table_page;
		struct mutex *leaf;
		pte_t *e;

		if (!addr)
			continue;
		leaf = leaf_lock(addr);
		if (try) {
			if (!mutex_trylock(leaf))
				continue;
		} else {
			mutex_lock(leaf);
		}
		e = entry_of_page(addr, page, &table_page);
		if (e) {
			/* An emptied table stays: the area's end frees it. */
			pte_store(e, 0);
			table_page->mapcount--;
			atomic_fetch_sub_explicit(&page->mapcount, 1, memory_order_relaxed);
			mm_rss_add(a->mm, -1, true);
			*lo = MIN(*lo, addr);
			*hi = MAX(*hi, addr + PAGE_SIZE);
			unmapped++;
		}
		mutex_unlock(leaf);
	}
	if (unmapped)
		stat_add(STAT_FILE_MAPPED, -unmapped);
	return unmapped;
}

bool page_test_accessed(struct page *page, struct pagecache *cache)
{
	struct area *a;
	bool accessed = false;

	list_for_each(a, &cache->mappings, cache_link) {
		uaddr_t addr = area_page_addr(a, page->index);
		struct page *table_page;
		struct mutex *leaf;
		pte_t *e;

		if (!addr)
			continue;
		leaf = leaf_lock(addr);
		if (!mutex_trylock(leaf))
			return true;
		e = entry_of_page(addr, page, &table_page);
		/* No shootdown: a translation that stays in a TLB only makes the page look older. */
		if (e && (atomic_fetch_and_explicit(e, ~PTE_ACCESSED, memory_order_relaxed) & PTE_ACCESSED))
			accessed = true;
		mutex_unlock(leaf);
	}
	return accessed;
}
