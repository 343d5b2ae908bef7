/*
 * mm/account.c - who uses how much: counters, and the promise behind a commit.
 *
 * Theory: HotSpot asks for memory at mmap() time and handles ENOMEM there, but dies when a page it was
 * promised is missing at the touch. A private writable area is therefore charged as a whole when it
 * is made. MAP_NORESERVE, MAP_STACK and private file areas are charged page by page as they are touched:
 * thousands of idle stacks would otherwise use up what nobody touches. A charge succeeds while
 *
 *     charged areas + touched pages of uncharged areas <= free + reclaimable file pages + anonymous pages
 *                                                        - the kernel's reserve
 *
 * The right side is all memory but what the kernel, its tables and tmpfs hold; file pages count because
 * reclaim can have them. Threads, fallocate() and writes to files in memory are not charged, but they are refused where the
 * rest would break a promise: fallocate() is how ZGC commits its heap.
 *
 * Interface: internal.h; mem_stats_get(), mm_thread_fits() and mm_pages_fit() in mm.h.
 * Locking: counters are per CPU, added to with preemption disabled and summed without; a sum is exact only at rest.
 * The charge is guarded by areas_lock.
 */
#include "mm/internal.h"
#include "core/thread.h"
#include "lib/string.h"

/* A large charge leaves a part of memory to small ones: an application that copes with the refusal needs some itself. */
#define LARGE_PAGES (MIB(1) / PAGE_SIZE)
/* What an idle Java thread has not touched yet of its stack, and touches when it runs and ends: measured, generously. */
#define STACK_TO_COME_PAGES (KIB(72) / PAGE_SIZE)
/* What a new one touches before it waits for something. */
#define FIRST_STEPS_PAGES (KIB(256) / PAGE_SIZE)

static struct cpu_stats {
	_Atomic int64_t v[STAT_COUNT];
} __attribute__((aligned(64))) cpu_stats[MAX_CPUS];

static _Atomic uint64_t committed_pages; /* of charged areas */
static uint64_t refused_most_pages;      /* largest charge that was refused; under areas_lock */

void stat_add(enum mem_stat which, int64_t n)
{
	_Atomic int64_t *v;

	preempt_disable();
	v = &cpu_stats[cpu_id()].v[which];
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
	preempt_enable();
}

uint64_t stat_sum(enum mem_stat which)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < cpu_count(); i++)
		sum += atomic_load_explicit(&cpu_stats[i].v[which], memory_order_relaxed);
	return sum > 0 ? (uint64_t)sum : 0;
}

static uint64_t commit_limit_pages(void)
{
	uint64_t usable = buddy_free_pages() + stat_sum(STAT_FILE) + stat_sum(STAT_ANON);

	return usable > mem_reserve_pages ? usable - mem_reserve_pages : 0;
}

bool mm_pages_fit(uint64_t npages)
{
	uint64_t now = atomic_load_explicit(&committed_pages, memory_order_relaxed);
	uint64_t margin = npages >= LARGE_PAGES ? mem_total_pages / 64 : 0;

	return npages <= mem_total_pages && now + npages + stat_sum(STAT_ANON_TOUCHED) + margin <= commit_limit_pages();
}

bool commit_fits(uint64_t npages)
{
	if (mm_pages_fit(npages))
		return true;
	refused_most_pages = MAX(refused_most_pages, npages);
	return false;
}

bool mm_thread_fits(unsigned threads, bool replaces)
{
	uint64_t there = buddy_free_pages() + stat_sum(STAT_FILE);

	/* The threads that have woken up to end have taken what they were left with, and cannot end before this call returns if the
	 * caller holds a lock of theirs, as HotSpot does. */
	if (replaces)
		return mm_pages_fit(FIRST_STEPS_PAGES) && there >= mem_reserve_pages + FIRST_STEPS_PAGES;

	/* Promises leave room for its first steps. What the stacks may still grow by is compared with what is there: a heap that
	 * has been committed and not used yet must not stand against a thousand idle threads. */
	return mm_pages_fit(LARGE_PAGES) && there >= mem_reserve_pages + (uint64_t)threads * STACK_TO_COME_PAGES;
}

int commit_charge(struct mm *mm, uint64_t npages)
{
	if (!commit_fits(npages))
		return -ENOMEM;
	atomic_fetch_add_explicit(&committed_pages, npages, memory_order_relaxed);
	mm->charged_pages += npages;
	return 0;
}

void commit_uncharge(struct mm *mm, uint64_t npages)
{
	atomic_fetch_sub_explicit(&committed_pages, npages, memory_order_relaxed);
	mm->charged_pages -= npages;
}

void mem_stats_get(struct mem_stats *s)
{
	uint64_t free = buddy_free_pages(), file = stat_sum(STAT_FILE), shmem = stat_sum(STAT_SHMEM);
	uint64_t usable;

	memset(s, 0, sizeof(*s));
	s->total = mem_total_pages * PAGE_SIZE;
	s->free = free * PAGE_SIZE;
	usable = free + file;
	s->available = usable > mem_reserve_pages ? (usable - mem_reserve_pages) * PAGE_SIZE : 0;
	s->cached = (file + shmem) * PAGE_SIZE;
	s->mapped = stat_sum(STAT_FILE_MAPPED) * PAGE_SIZE;
	s->anon = stat_sum(STAT_ANON) * PAGE_SIZE;
	s->anon_huge = stat_sum(STAT_ANON_HUGE) * PAGE_SIZE;
	s->shmem = shmem * PAGE_SIZE;
	s->slab = stat_sum(STAT_SLAB) * PAGE_SIZE;
	s->page_tables = stat_sum(STAT_PAGE_TABLES) * PAGE_SIZE;
	s->kernel_stacks = stat_sum(STAT_KSTACKS) * PAGE_SIZE;
	s->committed = (atomic_load_explicit(&committed_pages, memory_order_relaxed) +
			stat_sum(STAT_ANON_TOUCHED)) * PAGE_SIZE;
	s->commit_limit = commit_limit_pages() * PAGE_SIZE;
	s->refused_most = refused_most_pages * PAGE_SIZE;
	s->reserved_kernel = mem_reserve_pages * PAGE_SIZE;
	s->faults_minor = stat_sum(STAT_FAULT_MINOR);
	s->faults_major = stat_sum(STAT_FAULT_MAJOR);
	s->faults_huge = stat_sum(STAT_FAULT_HUGE);
	s->reclaimed_pages = stat_sum(STAT_RECLAIMED);
	s->alloc_failures = stat_sum(STAT_ALLOC_FAIL);
}
