/*
 * mm/reclaim.c - gives back file pages when memory is short.
 *
 * Theory: clean file pages sit on one list, oldest first (second chance: a page that was read or accessed through a
 * mapping since it was last looked at goes to the back once). A page is taken out of the page tables that map it,
 * then out of its cache if nobody else holds it; the translations of a whole batch are shot down together, and
 * only then the pages are freed. A thread does this ahead of need, from the low to the high mark; an allocation that
 * finds nothing does it itself.
 *
 * Locking: lru_lock guards the list. Reclaim runs inside allocations, below any lock of the room: it only tries
 * cache and leaf locks, and skips what is taken.
 */
#include "mm/internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"

#define BATCH 32

static struct mutex lru_lock = MUTEX_INIT("lru");
static struct list lru = LIST_INIT(lru);
static _Atomic uint64_t lru_pages;
static struct thread *_Atomic reclaimer;

void lru_add(struct page *p)
{
	mutex_lock(&lru_lock);
	/* Truncated or reclaimed meanwhile: it has no cache any more. */
	if (p->cache && list_empty(&p->link)) {
		list_push_back(&lru, &p->link);
		atomic_fetch_add_explicit(&lru_pages, 1, memory_order_relaxed);
	}
	mutex_unlock(&lru_lock);
}

void lru_remove(struct page *p)
{
	mutex_lock(&lru_lock);
	if (!list_empty(&p->link)) {
		list_del(&p->link);
		atomic_fetch_sub_explicit(&lru_pages, 1, memory_order_relaxed);
	}
	mutex_unlock(&lru_lock);
}

struct batch {
	struct page *free[BATCH], *kept[BATCH];
	int kept_refs[BATCH];
	unsigned nfree, nkept;
	uaddr_t lo, hi;
};

/* Looks at one page; lru_lock held. True if it left the list for good. */
static void look_at(struct page *p, struct batch *b)
{
	struct pagecache *c = p->cache;

	list_del(&p->link);
	list_push_back(&lru, &p->link);
	if (atomic_fetch_and(&p->flags, ~(uint32_t)PAGE_REFERENCED) & PAGE_REFERENCED)
		return;
	if (!mutex_trylock(&c->lock))
		return;
	if (atomic_load(&p->mapcount) == 0 || !page_test_accessed(p, c)) {
		int mapped = page_unmap_all(p, c, true, &b->lo, &b->hi);
		if (atomic_load(&p->mapcount) == 0 && pagecache_detach(p, mapped)) {
			list_del(&p->link);
			atomic_fetch_sub_explicit(&lru_pages, 1, memory_order_relaxed);
			b->free[b->nfree++] = p;
		} else if (mapped) {
			b->kept_refs[b->nkept] = mapped;
			b->kept[b->nkept++] = p;
		}
	}
	mutex_unlock(&c->lock);
}

uint64_t pagecache_reclaim(uint64_t npages)
{
	uint64_t freed = 0, budget;

	/* Whoever holds lru_lock only tries the locks that our caller may hold, so waiting for it is safe. */
	if (mutex_held(&lru_lock))
		return 0;
	mutex_lock(&lru_lock);
	budget = atomic_load(&lru_pages) * 2;
	while (freed < npages && budget && !list_empty(&lru)) {
		struct batch b = { .lo = UADDR_END };

		while (b.nfree < BATCH && b.nkept < BATCH && budget && !list_empty(&lru)) {
			budget--;
			look_at(list_first(&lru, struct page, link), &b);
		}
		if (b.lo < b.hi)
			tlb_shootdown(b.lo, b.hi);
		for (unsigned i = 0; i < b.nkept; i++)
			while (b.kept_refs[i]-- > 0)
				page_put(b.kept[i]);
		for (unsigned i = 0; i < b.nfree; i++) {
			atomic_store(&b.free[i]->refs, 1);
			page_put(b.free[i]);
		}
		freed += b.nfree;
		stat_add(STAT_RECLAIMED, b.nfree);
	}
	mutex_unlock(&lru_lock);
	return freed;
}

static void reclaim_main(void *arg)
{
	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (buddy_free_pages() >= mem_low_pages) {
			sleep_until(DEADLINE_NEVER);
			continue;
		}
		sleep_cancel();
		while (buddy_free_pages() < mem_high_pages) {
			if (pagecache_reclaim(64) == 0) {
				sleep_ns(20000000); /* everything is in use: look again a little later */
				break;
			}
		}
	}
}

void reclaim_wake(void)
{
	struct thread *t = atomic_load(&reclaimer);

	if (t)
		thread_wake(t);
}

void reclaim_start_thread(void)
{
	struct thread *t = thread_create_kernel("reclaim", reclaim_main, NULL);

	if (IS_ERR(t))
		panic("no memory for the first threads");
	atomic_store(&reclaimer, t);
}
