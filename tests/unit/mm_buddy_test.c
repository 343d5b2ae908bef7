// sources: mm/buddy.c kernel/lib/figures.c
// flags: -ffreestanding
/*
 * tests/unit/mm_buddy_test.c - the page allocator on two ranges with a hole: no page twice, every page back, merging, the
 * reserve, and pages that are freed while the lock is taken.
 */
#include "mm/internal.h"

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int rand(void);
_Noreturn void abort(void);

#define PFNS 9000u
#define FIRST_END 3001u
#define SECOND 4097u

/* --- what lies around ----------------------------------------------------------------------------------------- */
static bool lock_taken;
static unsigned reclaims, cpu;

void mutex_lock(struct mutex *m) { (void)m; }
void mutex_unlock(struct mutex *m) { (void)m; }
bool mutex_trylock(struct mutex *m) { (void)m; return !lock_taken; }
void preempt_disable(void) {}
void preempt_enable(void) {}
unsigned cpu_id(void) { return cpu; }
unsigned online_cpus = 2;
static int64_t alloc_failures;
void stat_add(enum mem_stat which, int64_t n) { alloc_failures += which == STAT_ALLOC_FAIL ? n : 0; }
void reclaim_wake(void) {}
uint64_t pagecache_reclaim(uint64_t n) { (void)n; reclaims++; return 0; }
paddr_t virt_to_phys(const void *v) { (void)v; abort(); }

_Noreturn void panic(const char *format, ...)
{
	printf("not ok panic %s\n", format);
	abort();
}

/* --- the test ---------------------------------------------------------------------------------------------------- */
static struct page array[PFNS];
static bool taken[PFNS];
static struct held {
	struct page *p;
	unsigned order;
} held[PFNS];
static unsigned nheld;
static int failures;

static void check(bool ok, const char *what)
{
	if (!ok && failures++ == 0)
		printf("# %s\n", what);
}

static void mark(struct page *p, unsigned order, bool now)
{
	uint64_t first = page_to_pfn(p);

	check(!(first & ((1ull << order) - 1)), "a block is not aligned");
	for (uint64_t i = first; i < first + (1ull << order); i++) {
		check(pfn_managed(i), "a page outside memory");
		check(taken[i] != now, "a page is handed out twice");
		taken[i] = now;
	}
}

static bool take(unsigned order, unsigned flags)
{
	struct page *p = page_alloc(order, flags);

	if (!p)
		return false;
	check(atomic_load(&p->refs) == 1 && p->order == order, "a page with a wrong state");
	mark(p, order, true);
	held[nheld++] = (struct held){ p, order };
	return true;
}

static void give(unsigned i)
{
	struct held h = held[i];

	held[i] = held[--nheld];
	mark(h.p, h.order, false);
	page_put(h.p);
}

static void give_all(void)
{
	while (nheld)
		give(nheld - 1);
	check(buddy_free_pages() == mem_total_pages, "pages are lost");
}

static int report(const char *name)
{
	int failed = failures != 0;

	printf(failed ? "not ok %s\n" : "ok %s\n", name);
	failures = 0;
	return failed;
}

static int random_orders(void)
{
	for (unsigned n = 0; n < 200000; n++) {
		cpu = (unsigned)rand() % 2;
		lock_taken = rand() % 8 == 0;
		if (rand() % 2 && nheld < 2000)
			take(rand() % 4 ? 0 : (unsigned)rand() % 7, rand() % 4 ? 0 : ALLOC_NOWAIT);
		else if (nheld)
			give((unsigned)rand() % nheld);
	}
	lock_taken = false;
	give_all();
	return report("random_orders_hand_out_no_page_twice");
}

static int reserve(void)
{
	while (take(0, 0))
		;
	/* Each CPU's cache may hold pages that the other cannot have. */
	check(buddy_free_pages() >= mem_reserve_pages && buddy_free_pages() <= mem_reserve_pages + 128,
	      "the reserve is not what is left");
	check(reclaims > 0, "nothing was reclaimed before the allocation failed");
	check(!take(0, ALLOC_NOWAIT), "an ordinary allocation has part of the reserve");
	check(take(0, ALLOC_RESERVE), "the reserve cannot be had");
	give_all();
	return report("the_reserve_is_kept");
}

/* Another has the lists: nobody knows whether there is memory, and it is no failure. */
static int busy_lists(void)
{
	cpu = 1;
	while (take(0, 0))
		; /* this CPU's cache is empty */
	give_all();
	while (nheld < 2000 && take(0, 0))
		;
	lock_taken = true;
	while (take(0, ALLOC_NOWAIT))
		; /* what the cache still has */
	int64_t before = alloc_failures;

	check(!take(0, ALLOC_NOWAIT) && !take(3, ALLOC_NOWAIT), "pages from lists that another has");
	check(alloc_failures == before, "a list that is busy counts as a failure");
	lock_taken = false;
	while (take(0, 0))
		;
	before = alloc_failures;
	check(!take(0, ALLOC_NOWAIT), "there are pages left");
	check(alloc_failures == before + 1, "a failure is not counted");
	give_all();
	return report("only_want_of_memory_is_a_failure");
}

static int merging(void)
{
	unsigned largest = 0;

	cpu = 0;
	take(0, 0); /* empties the lock-free stack, if there is one */
	give_all();
	for (unsigned order = 0; order <= 12; order++)
		if (take(order, 0))
			largest = order;
	/* [4097, 9000) holds the aligned block of 2^11 pages at 6144; single pages in the caches may break others. */
	check(largest >= 9, "freed pages do not merge");
	give_all();
	return report("freed_pages_merge");
}

static int splitting(void)
{
	check(take(9, 0), "no block of 2 MiB");
	struct page *p = held[--nheld].p;
	page_split(p, 9);
	for (unsigned i = 0; i < 512; i++) {
		check(atomic_load(&p[i].refs) == 1 && p[i].order == 0, "a part with a wrong state");
		held[nheld++] = (struct held){ p + i, 0 };
	}
	give_all();
	return report("a_split_block_is_given_back_page_by_page");
}

int main(void)
{
	int failed = 0;

	page_array = array;
	mem_ranges[0] = (struct mem_range){ 1, FIRST_END };
	mem_ranges[1] = (struct mem_range){ SECOND, PFNS };
	mem_range_count = 2;
	buddy_init();
	buddy_add_range(1, FIRST_END);
	buddy_add_range(SECOND, PFNS);
	check(mem_total_pages == FIRST_END - 1 + PFNS - SECOND, "wrong total");
	failed += random_orders();
	failed += reserve();
	failed += busy_lists();
	failed += merging();
	failed += splitting();
	return failed != 0;
}
