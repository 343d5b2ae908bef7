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
 * Memory that was not writable and becomes it is charged as a whole then, and what has been touched of it not for itself any more.
 *
 * The right side is all memory but what the kernel, its tables and tmpfs hold; file pages count because
 * reclaim can have them. Threads, fallocate() and writes to files in memory are not charged, but they are refused where the
 * rest would break a promise: fallocate() is how ZGC commits its heap.
 *
 * Interface: internal.h; mem_stats_get(), mem_figures(), mm_thread_fits() and mm_pages_fit() in mm.h.
 * Locking: counters are per CPU, added to with preemption disabled and summed without; a sum is exact only at rest.
 * The charge is guarded by areas_lock.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "vdso/exports.h"

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

bool commit_fits(uint64_t npages, uint64_t touched)
{
	if (mm_pages_fit(npages - MIN(touched, npages)))
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

int commit_charge(struct mm *mm, uint64_t npages, uint64_t touched)
{
	if (!commit_fits(npages, touched))
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

void mem_stats_few(struct mem_stats *s)
{
	s->total = mem_total_pages * PAGE_SIZE;
	s->free = buddy_free_pages() * PAGE_SIZE;
	s->shmem = stat_sum(STAT_SHMEM) * PAGE_SIZE;
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

static void add_stat(struct figure_table *t, unsigned id, enum mem_stat which)
{
	const struct figure_term term = {
		.at = &cpu_stats[0].v[which], .stride = sizeof(cpu_stats[0]), .count = MAX_CPUS, .kind = FIGURE_EACH,
	};

	assert(figure_add(t, id, &term));
}

static void add_word(struct figure_table *t, unsigned id, const void *word, enum figure_term_kind kind)
{
	const struct figure_term term = { .at = word, .count = 1, .kind = kind };

	assert(figure_add(t, id, &term));
}

void mem_figures(struct figure_table *t)
{
	/* What one counter says. */
	static const struct {
		uint8_t id, stat, shift;
	} stats[] = {
		{ IBRIK_MEMORY_FILES, STAT_FILE, PAGE_SHIFT },
		{ IBRIK_MEMORY_FILES_MAPPED, STAT_FILE_MAPPED, PAGE_SHIFT },
		{ IBRIK_MEMORY_TMPFS, STAT_SHMEM, PAGE_SHIFT },
		{ IBRIK_MEMORY_ANONYMOUS, STAT_ANON, PAGE_SHIFT },
		{ IBRIK_MEMORY_ANONYMOUS_HUGE, STAT_ANON_HUGE, PAGE_SHIFT },
		{ IBRIK_MEMORY_SLAB, STAT_SLAB, PAGE_SHIFT },
		{ IBRIK_MEMORY_PAGE_TABLES, STAT_PAGE_TABLES, PAGE_SHIFT },
		{ IBRIK_MEMORY_KERNEL_STACKS, STAT_KSTACKS, PAGE_SHIFT },
		{ IBRIK_PRESSURE_RECLAIMED, STAT_RECLAIMED, PAGE_SHIFT },
		{ IBRIK_PRESSURE_FAILURES, STAT_ALLOC_FAIL, 0 },
		{ IBRIK_COUNTER_FAULTS, STAT_FAULT_MINOR, 0 },
		{ IBRIK_COUNTER_FAULTS_DISK, STAT_FAULT_MAJOR, 0 },
		{ IBRIK_COUNTER_FAULTS_HUGE, STAT_FAULT_HUGE, 0 },
	};
	const struct {
		unsigned id;
		const void *word;
	} words[] = {
		{ IBRIK_MEMORY_TOTAL, &mem_total_pages },	{ IBRIK_MEMORY_RESERVE, &mem_reserve_pages },
		{ IBRIK_PRESSURE_LOW, &mem_low_pages },		{ IBRIK_PRESSURE_HIGH, &mem_high_pages },
		{ IBRIK_PRESSURE_REFUSED, &refused_most_pages },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(stats); i++) {
		figure_begin(t, stats[i].id, stats[i].shift);
		add_stat(t, stats[i].id, stats[i].stat);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		figure_begin(t, words[i].id, PAGE_SHIFT);
		add_word(t, words[i].id, words[i].word, FIGURE_PLUS);
	}
	/* The same sums as in mem_stats_get(). */
	figure_begin(t, IBRIK_MEMORY_FREE, PAGE_SHIFT);
	buddy_free_figure(t, IBRIK_MEMORY_FREE);
	figure_begin(t, IBRIK_MEMORY_AVAILABLE, PAGE_SHIFT);
	buddy_free_figure(t, IBRIK_MEMORY_AVAILABLE);
	add_stat(t, IBRIK_MEMORY_AVAILABLE, STAT_FILE);
	add_word(t, IBRIK_MEMORY_AVAILABLE, &mem_reserve_pages, FIGURE_MINUS);
	figure_begin(t, IBRIK_MEMORY_COMMITTED, PAGE_SHIFT);
	add_word(t, IBRIK_MEMORY_COMMITTED, &committed_pages, FIGURE_PLUS);
	add_stat(t, IBRIK_MEMORY_COMMITTED, STAT_ANON_TOUCHED);
	figure_begin(t, IBRIK_MEMORY_COMMIT_LIMIT, PAGE_SHIFT);
	buddy_free_figure(t, IBRIK_MEMORY_COMMIT_LIMIT);
	add_stat(t, IBRIK_MEMORY_COMMIT_LIMIT, STAT_FILE);
	add_stat(t, IBRIK_MEMORY_COMMIT_LIMIT, STAT_ANON);
	add_word(t, IBRIK_MEMORY_COMMIT_LIMIT, &mem_reserve_pages, FIGURE_MINUS);
}
