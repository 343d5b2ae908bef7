// sources: mm/slab.c mm/buddy.c kernel/lib/figures.c
// flags: -ffreestanding -DDIRECT_BASE=0x500000000000ull
/*
 * tests/unit/mm_slab_test.c - kmalloc on top of the real page allocator, with memory at a fixed address of the host: sizes and
 * alignment, no object handed out twice, contents kept, frees on another CPU and while mutexes are taken, failures
 * on purpose, and slabs that go back.
 */
#include "mm/internal.h"

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int rand(void);
_Noreturn void abort(void);
void *memset(void *p, int c, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
void *mmap(void *addr, size_t len, int prot, int flags, int fd, long offset);

#define PFNS 8192u
#define FIRST 64u
#define HELD 3000u

/* --- what lies around ----------------------------------------------------------------------------------------- */
static bool lock_taken;
static unsigned cpu, reclaims;
static int64_t stats[STAT_COUNT];

void mutex_init(struct mutex *m, const char *name) { m->name = name; }
void mutex_lock(struct mutex *m) { (void)m; }
void mutex_unlock(struct mutex *m) { (void)m; }
bool mutex_trylock(struct mutex *m) { (void)m; return !lock_taken; }
void preempt_disable(void) {}
void preempt_enable(void) {}
unsigned cpu_id(void) { return cpu; }
unsigned online_cpus = 2;
void stat_add(enum mem_stat which, int64_t n) { stats[which] += n; }
void reclaim_wake(void) {}
uint64_t pagecache_reclaim(uint64_t n) { (void)n; reclaims++; return 0; }
paddr_t virt_to_phys(const void *v) { return (uintptr_t)v - DIRECT_BASE; }

_Noreturn void panic(const char *format, ...)
{
	printf("not ok panic %s\n", format);
	abort();
}

/* --- the test ---------------------------------------------------------------------------------------------------- */
static struct page array[PFNS];
static struct held {
	unsigned char *p;
	size_t size;
	unsigned char pattern;
} held[HELD];
static unsigned nheld;
static int failures;

static void check(bool ok, const char *what)
{
	if (!ok && failures++ == 0)
		printf("# %s\n", what);
}

static size_t random_size(void)
{
	switch (rand() % 8) {
	case 0:
		return (size_t)(rand() % 40000);
	case 1:
		return (size_t)(rand() % 8200);
	default:
		return (size_t)(rand() % 700);
	}
}

static bool take(size_t size, unsigned flags)
{
	unsigned char *p = kmalloc_flags(size, flags);
	bool zero = true;

	if (!p)
		return false;
	check(!((uintptr_t)p & 15), "not aligned to 16 bytes");
	check(size < 64 || !((uintptr_t)p & 63), "not aligned to 64 bytes");
	if (flags & ALLOC_ZERO)
		for (size_t i = 0; i < size; i++)
			zero &= p[i] == 0;
	check(zero, "not zeroed");
	held[nheld] = (struct held){ p, size, (unsigned char)(1 + rand() % 255) };
	/* Overlapping objects would spoil each other's pattern. */
	memset(p, held[nheld].pattern, size);
	nheld++;
	return true;
}

static void give(unsigned i)
{
	struct held h = held[i];
	bool same = true;

	for (size_t n = 0; n < h.size; n++)
		same &= h.p[n] == h.pattern;
	check(same, "contents were overwritten");
	held[i] = held[--nheld];
	kfree(h.p);
}

static void give_all(void)
{
	while (nheld)
		give((unsigned)rand() % nheld);
}

static int report(const char *name)
{
	int failed = failures != 0;

	printf(failed ? "not ok %s\n" : "ok %s\n", name);
	failures = 0;
	return failed;
}

static int random_mix(void)
{
	for (unsigned n = 0; n < 300000; n++) {
		cpu = (unsigned)rand() % 2;
		lock_taken = rand() % 6 == 0;
		if (nheld < HELD && (nheld == 0 || rand() % 2))
			take(random_size(), (rand() % 3 ? 0 : ALLOC_ZERO) | (rand() % 4 ? 0 : rand() % 2 ? ALLOC_NOWAIT : ALLOC_NORECLAIM));
		else
			give((unsigned)rand() % nheld);
	}
	lock_taken = false;
	give_all();
	return report("slab.random sizes on two processors, mutexes taken now and then");
}

static int goes_back(void)
{
	uint64_t before = buddy_free_pages();

	for (unsigned n = 0; n < 2000; n++)
		check(take(500, 0), "no memory");
	check(buddy_free_pages() + 200 < before, "2000 objects take no memory");
	give_all();
	check(buddy_free_pages() + 32 >= before, "free slabs are kept");
	check(stats[STAT_SLAB] >= 0 && stats[STAT_SLAB] + (int64_t)buddy_free_pages() == (int64_t)mem_total_pages,
	      "the counter of slabs is wrong");
	return report("slab.free slabs go back to the page allocator");
}

static int no_memory(void)
{
	struct page *last = NULL, *p;

	while ((p = page_alloc(0, 0))) {
		p->index = (uintptr_t)last;
		last = p;
	}
	while (nheld < HELD && take(600, 0))
		;
	check(nheld < HELD, "memory has no end");
	check(!kmalloc(100000), "a large object without memory");
	check(kmalloc(1ull << 40) == NULL, "an absurd size");
	while (last) {
		p = (struct page *)last->index;
		page_put(last);
		last = p;
	}
	give_all();
	return report("slab.memory ends and comes back");
}

/* The network allocates so: what it cannot have is a frame lost, and its sender waits for a time-out. */
static int without_reclaim(void)
{
	unsigned refused = 0;

	reclaims = 0;
	lock_taken = true;
	for (unsigned n = 0; n < 1000; n++)
		if (!take(500 + n, ALLOC_NORECLAIM))
			refused++;
	check(!refused, "an allocation fails because another thread allocates");
	lock_taken = false;
	while (nheld < HELD && take(40000, ALLOC_NORECLAIM))
		;
	check(nheld < HELD, "memory has no end");
	check(!reclaims, "an allocation reclaims that must not");
	give_all();
	return report("slab.an allocation that must not reclaim waits for others and for nothing else");
}

static int on_purpose(void)
{
	unsigned failed = 0;

	mm_fail_every = 5;
	for (unsigned n = 0; n < 1000; n++)
		if (!take(100, 0))
			failed++;
	check(failed == 200, "every fifth allocation fails");
	failed = 0;
	for (unsigned n = 0; n < 100; n++)
		if (!take(100, ALLOC_RESERVE))
			failed++;
	check(!failed, "an allocation from the reserve fails on purpose");
	mm_fail_every = 0;
	give_all();
	return report("slab.every Nth allocation fails");
}

static int resizing(void)
{
	char *p = kmalloc(10), *copy = kstrdup("a text");
	bool same = true;

	memset(p, 'x', 10);
	for (size_t size = 10; size < 60000; size = size * 3 / 2) {
		p = krealloc(p, size, size * 3 / 2);
		check(p != NULL, "no memory");
		for (size_t i = 0; p && i < 10; i++)
			same &= p[i] == 'x';
	}
	check(same, "krealloc loses contents");
	check(copy && !strcmp(copy, "a text"), "kstrdup");
	kfree(p);
	kfree(copy);
	kfree(NULL);
	return report("slab.krealloc and kstrdup");
}

int main(void)
{
	int failed = 0;

	/* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE */
	if (mmap((void *)DIRECT_BASE, PFNS * PAGE_SIZE, 3, 0x100022, -1, 0) != (void *)DIRECT_BASE) {
		printf("not ok no memory at the address of the test\n");
		return 1;
	}
	page_array = array;
	mem_ranges[0] = (struct mem_range){ FIRST, PFNS };
	mem_range_count = 1;
	buddy_init();
	slab_init();
	buddy_add_range(FIRST, PFNS);
	failed |= random_mix();
	failed |= goes_back();
	failed |= no_memory();
	failed |= without_reclaim();
	failed |= on_purpose();
	failed |= resizing();
	return failed;
}
