/*
 * mm/fault.c - what happens when an address has no page behind it.
 *
 * Theory: the area is looked up without a lock. An anonymous page is usually made on a fast path that never
 * sleeps: one tree walk, one page of this CPU's cache, a trylock, one store, all with preemption disabled, so
 * that it needs no reference of the area. Everything else takes a reference, leaves the RCU section, gets
 * its page (which may sleep: reclaim, file read) and then, under the leaf mutex, checks that the area is still
 * the valid one and the page still the file's before it stores the entry. If not, the fault starts over.
 *
 * Private file pages are mapped read-only from the cache and copied at the first write. Shared pages are mapped as they
 * are; as on Linux's tmpfs a store that makes such an entry changes the times of the file, and later ones through it do
 * not. Read faults on files also map the cached neighbours (fault-around).
 *
 * Where a new area takes the place of others, a fault waits until the pages of these are gone: see change.c.
 *
 * A private anonymous area gets a 2 MiB page where a whole aligned region lies in it and memory is plentiful.
 *
 * Interface: mm_fault() from the trap path; range_populate().
 * Locking: RCU or a reference for the area; leaf mutex for the entry. No other lock is held. areas_lock is waited for, not held.
 * Errors: enum fault_result.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "pagetable.h"
#include <linux/mman.h>

#define FAULT_RETRY ((enum fault_result)100) /* the area or the page changed meanwhile */
#define AROUND_PAGES 16u
/* Areas below this size never get a 2 MiB page unasked. */
#define HUGE_AREA_MIN MIB(4)
#define OOM_TRIES 50
#define CODE_PAGE_TRIES 10 /* a page that was made and taken away again */
#define OOM_PAUSE_NS (20 * 1000000ull)

static bool area_allows(const struct area *a, enum fault_access access)
{
	int prot = a->d.prot;

	switch (access) {
	case FAULT_WRITE:
		return prot & PROT_WRITE;
	case FAULT_EXEC:
		return prot & PROT_EXEC;
	default:
		return prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
	}
}

static unsigned access_bits(enum fault_access access)
{
	return access == FAULT_WRITE ? PTE_ACC_WRITE : access == FAULT_EXEC ? PTE_ACC_EXEC : PTE_ACC_READ;
}

static void count_minor(void)
{
	stat_add(STAT_FAULT_MINOR, 1);
	current->minor_faults++;
}

bool area_wants_huge(const struct area *a, uaddr_t addr)
{
	uaddr_t region = ALIGN_DOWN(addr, HUGE_SIZE);

	if (a->d.cache || (a->d.kind & AREA_HUGE_NEVER) || region < a->d.start || region + HUGE_SIZE > a->d.end)
		return false;
	if (a->d.kind & (AREA_HUGE_ASKED | AREA_HUGETLB))
		return true;
	return (a->d.prot & PROT_WRITE) && !(a->d.flags & (MAP_STACK | MAP_GROWSDOWN)) &&
	       a->d.end - a->d.start >= HUGE_AREA_MIN && mem_is_comfortable();
}

/* --- storing entries; leaf mutex held -------------------------------------------------------------------------- */
static void entry_set_anon(struct area *a, uaddr_t addr, pte_t *e, struct page *p, uint64_t npages)
{
	uint32_t flags = PAGE_ANON | (npages > 1 ? PAGE_HUGE : 0);

	if (!(a->d.kind & AREA_CHARGED)) {
		flags |= PAGE_TOUCHED;
		stat_add(STAT_ANON_TOUCHED, (int64_t)npages);
	}
	p->index = addr;
	atomic_store_explicit(&p->flags, flags, memory_order_relaxed);
	stat_add(STAT_ANON, (int64_t)npages);
	mm_rss_add(a->mm, (int64_t)npages, false);
	if (npages > 1)
		pte_store(e, pte_make_huge(page_to_phys(p), prot_to_access(a->d.prot)));
	else
		pte_store(e, pte_make(page_to_phys(p), prot_to_access(a->d.prot)));
}

/* Takes over the caller's reference of p. A neighbour that was not asked for starts as not accessed, so that reclaim
 * need not give it a second chance that it did not earn. */
static void entry_set_file(struct area *a, pte_t *e, struct page *p, bool asked)
{
	unsigned access = prot_to_access(a->d.prot);

	if (!(a->d.kind & AREA_SHARED))
		access &= ~(unsigned)PTE_ACC_WRITE;
	atomic_fetch_add_explicit(&p->mapcount, 1, memory_order_relaxed);
	stat_add(STAT_FILE_MAPPED, 1);
	mm_rss_add(a->mm, 1, true);
	pte_store(e, asked ? pte_make(page_to_phys(p), access) : pte_make(page_to_phys(p), access) & ~PTE_ACCESSED);
}

/* The entry of addr, with its table made. NULL: no memory, or a 2 MiB page is there. */
static pte_t *entry_get(uaddr_t addr, struct page **table_page)
{
	pte_t *pmd = pt_pmd_get(addr), *table;

	if (!pmd)
		return NULL;
	if (!pte_load(pmd)) {
		struct page *fresh = pt_table_alloc(ALLOC_FAULT);

		if (!fresh)
			return NULL;
		pt_table_set(pmd, fresh);
	}
	table = pt_table(pmd);
	if (!table)
		return NULL;
	*table_page = pt_table_page(table);
	return &table[pt_index(addr, 1)];
}

/*
 * Is the area still the valid one? Leaf mutex held, and the region's pmd no longer empty: then either this sees `dead`, or
 * the walk of the change that killed the area sees the pmd and waits for the mutex.
 */
static bool area_lives(const struct area *a)
{
	atomic_thread_fence(memory_order_seq_cst);
	return !atomic_load_explicit(&a->dead, memory_order_acquire);
}

static bool huge_mapped(uaddr_t addr)
{
	pte_t *pmd = pt_pmd_find(addr);

	return pmd && pte_is_huge(pte_load(pmd));
}

/*
 * The page is there already: another thread was faster, or the entry is older than the area's rights, or
 * this CPU holds a stale translation. A private page of the cache that is written to is not our case.
 */
static bool entry_refresh(struct area *a, uaddr_t addr, pte_t *e, enum fault_access access)
{
	uint64_t v = pte_load(e);
	unsigned rights = prot_to_access(a->d.prot);
	struct page *p = pfn_to_page(pte_phys(v) >> PAGE_SHIFT);

	if (!(a->d.kind & AREA_SHARED) && !(atomic_load_explicit(&p->flags, memory_order_relaxed) & PAGE_ANON)) {
		if (access == FAULT_WRITE)
			return false;
		rights &= ~(unsigned)PTE_ACC_WRITE;
	}
	if (!pte_allows(v, access_bits(access))) {
		/*
		 * Rights that the entry has beyond the area's are those of the area before a change whose walk has not been here
		 * yet. They stay: other CPUs may hold a translation with them, and the walk tells these CPUs only of what it takes away
		 * itself. The change has not returned then, so the old rights may still be used.
		 */
		rights |= pte_access(v);
		pte_store(e, v & PTE_LARGE ? pte_make_huge(pte_phys(v), rights) : pte_make(pte_phys(v), rights));
	}
	pt_flush_local(addr);
	return true;
}

/* --- anonymous pages ------------------------------------------------------------------------------------------------ */
/* RCU held. FAULT_OK, or FAULT_RETRY when the slow path must do it; *page may then hold a zeroed page. */
static enum fault_result anon_fast(struct area *a, uaddr_t addr, struct page **page)
{
	struct mutex *leaf = leaf_lock(addr);
	pte_t *pmd = pt_pmd_find(addr), *table, *e;
	enum fault_result r = FAULT_RETRY;

	table = pmd ? pt_table(pmd) : NULL;
	if (!table)
		return FAULT_RETRY;
	/* An emptied table may make room for a 2 MiB page. */
	if (unlikely(!pt_table_page(table)->mapcount) && !*page && area_wants_huge(a, addr))
		return FAULT_RETRY;
	/* A fault that starts over still has its page. */
	if (!*page)
		*page = page_alloc(0, ALLOC_ZERO | ALLOC_NOWAIT | ALLOC_FAULT);
	if (!*page || !mutex_trylock(leaf))
		return FAULT_RETRY;
	table = pt_table(pmd);
	if (table && !atomic_load_explicit(&a->dead, memory_order_acquire)) {
		e = &table[pt_index(addr, 1)];
		if (!pte_load(e)) {
			entry_set_anon(a, addr, e, *page, 1);
			pt_table_page(table)->mapcount++;
			*page = NULL;
			r = FAULT_OK;
		}
	}
	mutex_unlock(leaf);
	return r;
}

static enum fault_result anon_huge(struct area *a, uaddr_t addr)
{
	uaddr_t region = ALIGN_DOWN(addr, HUGE_SIZE);
	struct mutex *leaf = leaf_lock(addr);
	enum fault_result r = FAULT_RETRY;
	struct page *p;
	pte_t *pmd = pt_pmd_get(addr);

	if (!pmd || !region_is_empty(pmd) || region_is_edge(region))
		return FAULT_RETRY;
	/* Advice is no reason to empty the page cache: small pages do as well. */
	if (!(a->d.kind & AREA_HUGETLB) && buddy_free_pages() < mem_high_pages + 2 * PT_ENTRIES)
		return FAULT_RETRY;
	p = page_alloc(HUGE_ORDER, ALLOC_ZERO | ALLOC_FAULT);
	if (!p)
		return FAULT_RETRY;
	mutex_lock(leaf);
	pmd = pt_pmd_get(addr);
	if (pmd && region_is_empty(pmd) && !region_is_edge(region)) {
		region_drop_table(pmd, region);
		/* Not present, but not empty either: a walk that comes now waits for the mutex. */
		pte_store(pmd, PTE_NONE);
		if (area_lives(a)) {
			entry_set_anon(a, region, pmd, p, PT_ENTRIES);
			stat_add(STAT_ANON_HUGE, PT_ENTRIES);
			p = NULL;
			r = FAULT_OK;
		} else {
			pte_store(pmd, 0);
		}
	}
	mutex_unlock(leaf);
	if (p)
		page_put(p);
	else
		stat_add(STAT_FAULT_HUGE, 1);
	return r;
}

/* May use *page (zeroed). */
static enum fault_result anon_slow(struct area *a, uaddr_t addr, enum fault_access access, struct page **page)
{
	struct mutex *leaf = leaf_lock(addr);
	struct page *table_page;
	enum fault_result r = FAULT_OK;
	pte_t *e;

	if (!*page && area_wants_huge(a, addr) && anon_huge(a, addr) == FAULT_OK)
		return FAULT_OK;
	if (!*page)
		*page = page_alloc(0, ALLOC_ZERO | ALLOC_FAULT);
	if (!*page)
		return FAULT_OOM;
	mutex_lock(leaf);
	e = area_lives(a) ? entry_get(addr, &table_page) : NULL;
	if (!area_lives(a)) {
		r = FAULT_RETRY;
		goto out;
	}
	if (!e && huge_mapped(addr)) {
		entry_refresh(a, addr, pt_pmd_find(addr), access);
	} else if (!e) {
		r = FAULT_OOM;
	} else if (pte_load(e)) {
		entry_refresh(a, addr, e, access);
	} else {
		entry_set_anon(a, addr, e, *page, 1);
		table_page->mapcount++;
		*page = NULL;
	}
out:
	mutex_unlock(leaf);
	return r;
}

/* --- file pages ------------------------------------------------------------------------------------------------------ */
/* Maps cached neighbours of addr that are not mapped yet; leaf mutex held. */
static void file_around(struct area *a, uaddr_t addr, struct page *table_page)
{
	uaddr_t start = MAX(ALIGN_DOWN(addr, AROUND_PAGES * PAGE_SIZE), a->d.start);
	uaddr_t end = MIN(ALIGN_DOWN(addr, AROUND_PAGES * PAGE_SIZE) + AROUND_PAGES * PAGE_SIZE, a->d.end);
	pte_t *table = page_virt(table_page);
	uint64_t size = atomic_load_explicit(&a->d.cache->size_bytes, memory_order_acquire);

	for (uaddr_t n = start; n < end; n += PAGE_SIZE) {
		pte_t *e = &table[pt_index(n, 1)];
		uint64_t index = area_page_index(a, n);
		struct page *p;

		if (pte_load(e) || index << PAGE_SHIFT >= size)
			continue;
		p = pagecache_peek(a->d.cache, index);
		if (!p)
			continue;
		entry_set_file(a, e, p, false);
		table_page->mapcount++;
	}
}

/*
 * Is the page still the file's page for addr? Truncation sets the size, takes the page out and then unmaps it, so what
 * passes here is either seen by it or was there before. The size counts too: a page made behind the end by a fault
 * that began before the truncation must not be mapped.
 */
static bool page_current(const struct area *a, uaddr_t addr, const struct page *p)
{
	uint64_t index = area_page_index(a, addr);

	return *(struct pagecache *volatile *)&p->cache == a->d.cache && p->index == index &&
	       index << PAGE_SHIFT < atomic_load_explicit(&a->d.cache->size_bytes, memory_order_acquire);
}

static enum fault_result file_fault(struct area *a, uaddr_t addr, enum fault_access access)
{
	struct pagecache *cache = a->d.cache;
	uint64_t index = area_page_index(a, addr);
	bool copy = access == FAULT_WRITE && !(a->d.kind & AREA_SHARED);
	struct mutex *leaf = leaf_lock(addr);
	struct page *p, *fresh = NULL, *old = NULL, *table_page;
	enum fault_result r = FAULT_OK;
	uint64_t v;
	pte_t *e;

	if (index << PAGE_SHIFT >= atomic_load_explicit(&cache->size_bytes, memory_order_acquire))
		return FAULT_BUS;
	p = pagecache_peek(cache, index);
	if (!p) {
		p = pagecache_get(cache, index, PAGECACHE_CREATE);
		if (IS_ERR(p))
			return PTR_ERR(p) == -ENOMEM ? FAULT_OOM : FAULT_BUS;
		if (cache->ops->fill) {
			stat_add(STAT_FAULT_MAJOR, 1);
			current->major_faults++;
		}
	}
	if (copy) {
		fresh = page_alloc(0, ALLOC_FAULT);
		if (!fresh) {
			page_put(p);
			return FAULT_OOM;
		}
		page_copy(page_virt(fresh), page_virt(p));
	}

	mutex_lock(leaf);
	e = area_lives(a) ? entry_get(addr, &table_page) : NULL;
	if (!area_lives(a) || !page_current(a, addr, p)) {
		r = FAULT_RETRY;
		goto out;
	}
	if (!e) {
		r = FAULT_OOM;
		goto out;
	}
	v = pte_load(e);
	if (v && entry_refresh(a, addr, e, access))
		goto out;
	if (!copy) {
		entry_set_file(a, e, p, true);
		table_page->mapcount++;
		p = NULL;
		if (access != FAULT_WRITE)
			file_around(a, addr, table_page);
		goto out;
	}
	if (v) {
		old = pfn_to_page(pte_phys(v) >> PAGE_SHIFT);
		if (old != p) {
			/* A page that truncation is about to unmap. */
			old = NULL;
			r = FAULT_RETRY;
			goto out;
		}
		/* Other CPUs may read the old page through translations of their own: not beyond this. */
		pte_store(e, 0);
		tlb_shootdown(addr, addr + PAGE_SIZE);
		atomic_fetch_sub_explicit(&old->mapcount, 1, memory_order_relaxed);
		stat_add(STAT_FILE_MAPPED, -1);
		mm_rss_add(a->mm, -1, true);
		table_page->mapcount--;
	}
	entry_set_anon(a, addr, e, fresh, 1);
	table_page->mapcount++;
	fresh = NULL;
out:
	mutex_unlock(leaf);
	if (r == FAULT_OK && access == FAULT_WRITE && !copy && cache->ops->stored)
		cache->ops->stored(cache);
	if (p)
		page_put(p);
	if (fresh)
		page_put(fresh);
	if (old)
		page_put(old);
	return r;
}

/* --- the way in --------------------------------------------------------------------------------------------------------- */
/* No copy from or to the application happens under areas_lock, and whoever holds it waits for nobody who copies. */
static void wait_for_change(void)
{
	mutex_lock(&areas_lock);
	mutex_unlock(&areas_lock);
}

static enum fault_result fault_once(struct mm *mm, uaddr_t addr, enum fault_access access, struct page **page)
{
	enum fault_result r = FAULT_RETRY;
	struct area *a;

	rcu_read_lock();
	a = area_search(addr);
	if (!a || addr < a->d.start || a->mm != mm) {
		rcu_read_unlock();
		return FAULT_MAPERR;
	}
	if (!area_allows(a, access)) {
		rcu_read_unlock();
		return FAULT_ACCERR;
	}
	if (area_unsettled(a, addr)) {
		rcu_read_unlock();
		wait_for_change();
		return FAULT_RETRY;
	}
	if (!a->d.cache) {
		r = anon_fast(a, addr, page);
		if (likely(r == FAULT_OK)) {
			rcu_read_unlock();
			return FAULT_OK;
		}
	}
	if (!area_try_get(a)) {
		rcu_read_unlock();
		return FAULT_RETRY;
	}
	rcu_read_unlock();
	r = a->d.cache ? file_fault(a, addr, access) : anon_slow(a, addr, access, page);
	area_put(a);
	return r;
}

enum fault_result mm_fault(struct mm *mm, uaddr_t addr, enum fault_access access)
{
	struct page *page = NULL;
	enum fault_result r;
	unsigned tries = 0;

	addr = ALIGN_DOWN(addr, PAGE_SIZE);
	if (!mm || addr >= UADDR_END)
		return FAULT_MAPERR;
	for (;;) {
		r = fault_once(mm, addr, access, &page);
		if (r == FAULT_OOM && tries++ < OOM_TRIES) {
			/* Other threads may be about to free memory. */
			reclaim_wake();
			sleep_ns(OOM_PAUSE_NS);
			continue;
		}
		if (r != FAULT_RETRY)
			break;
	}
	if (page)
		page_put(page);
	if (r == FAULT_OK)
		count_minor();
	return r;
}

/* The anonymous page that is mapped at addr, referenced, or NULL. */
static struct page *anon_page_get(const struct area *a, uaddr_t addr)
{
	struct mutex *leaf = leaf_lock(addr);
	struct page *p = NULL;
	pte_t *pmd, *table;

	mutex_lock(leaf);
	pmd = pt_pmd_find(addr);
	table = area_lives(a) && pmd ? pt_table(pmd) : NULL;
	if (table && pte_used(pte_load(&table[pt_index(addr, 1)]))) {
		p = pfn_to_page(pte_phys(pte_load(&table[pt_index(addr, 1)])) >> PAGE_SHIFT);
		if (atomic_load_explicit(&p->flags, memory_order_relaxed) & PAGE_ANON)
			page_get(p);
		else
			p = NULL;
	}
	mutex_unlock(leaf);
	return p;
}

struct page *mm_code_page(struct mm *mm, uaddr_t addr)
{
	enum fault_result r = FAULT_RETRY;

	addr = ALIGN_DOWN(addr, PAGE_SIZE);
	for (unsigned tries = 0; r == FAULT_RETRY || (r == FAULT_OK && tries < CODE_PAGE_TRIES); tries++) {
		struct page *p = NULL;
		struct area *a;

		rcu_read_lock();
		a = area_search(addr);
		if (!a || addr < a->d.start || a->mm != mm || !a->d.cache || (a->d.kind & AREA_SHARED) || !(a->d.prot & PROT_EXEC) ||
		    (a->d.prot & PROT_WRITE)) {
			rcu_read_unlock();
			return ERR_PTR(-EACCES);
		}
		if (!area_try_get(a)) {
			rcu_read_unlock();
			continue;
		}
		rcu_read_unlock();
		if (area_unsettled(a, addr)) {
			area_put(a);
			wait_for_change();
			continue;
		}
		/* As at the first write to the page, except that the area's rights, which the entry gets, forbid writing. */
		r = file_fault(a, addr, FAULT_WRITE);
		if (r == FAULT_OK)
			p = anon_page_get(a, addr);
		area_put(a);
		if (p)
			return p;
	}
	return ERR_PTR(r == FAULT_OOM ? -ENOMEM : -EFAULT);
}

int range_populate(struct mm *mm, uaddr_t start, uaddr_t end, bool write)
{
	for (uaddr_t a = start; a < end;) {
		if (huge_mapped(a)) {
			a = ALIGN_DOWN(a, HUGE_SIZE) + HUGE_SIZE;
			continue;
		}
		switch (mm_fault(mm, a, write ? FAULT_WRITE : FAULT_READ)) {
		case FAULT_OK:
			break;
		case FAULT_OOM:
		case FAULT_MAPERR:
			return -ENOMEM;
		default:
			return -EFAULT;
		}
		a += PAGE_SIZE;
	}
	return 0;
}

int range_populate_huge(struct mm *mm, uaddr_t start, uaddr_t end)
{
	for (uaddr_t a = start; a < end; a += HUGE_SIZE) {
		if (mm_fault(mm, a, FAULT_READ) != FAULT_OK && mm_fault(mm, a, FAULT_WRITE) != FAULT_OK)
			return -ENOMEM;
		if (!huge_mapped(a))
			return -ENOMEM;
	}
	return 0;
}
