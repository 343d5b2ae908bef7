// sources: mm/init.c
// flags: -ffreestanding -Ikernel/arch/x86_64
/*
 * tests/unit/mm_init_test.c - where the page array comes from: machines of many sizes, holes at awkward places. Every entry that is needed lies
 * in memory of its own, and what is not taken is given to the allocator, once.
 */
#include "core/boot.h"
#include "core/log.h"
#include "mm/internal.h"
#include "pagetable.h"

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void exit(int status);
void *mmap(void *addr, size_t len, int prot, int flags, int fd, long offset);
int munmap(void *addr, size_t len);

/* __data_start is one of the C library. */
char __text_start[1], __text_end[1], __rodata_start[1], __rodata_end[1], __kernel_end[1];

/* --- what lies around ----------------------------------------------------------------------------------------- */
#define ARRAY_BYTES GIB(8) /* enough for 600 GiB of memory */
#define PIECES 64

struct mem_range mem_ranges[BOOT_MAX_RANGES];
unsigned mem_range_count;
struct page *page_array;
uint64_t mem_total_pages;
unsigned mm_fail_every;
int log_level;

static struct mem_range given[PIECES]; /* to the allocator */
static unsigned ngiven;
static uint8_t mapped[ARRAY_BYTES / PAGE_SIZE]; /* pages of the array */
static struct mem_range taken[PIECES * 64];
static unsigned ntaken;
static paddr_t (*early_page)(void);
static bool switched;

#define CHECK(cond)                                                             \
	do {                                                                    \
		if (!(cond)) {                                                  \
			printf("not ok mm_init line %d: %s\n", __LINE__, #cond); \
			exit(1);                                                \
		}                                                               \
	} while (0)

static void take(paddr_t phys, uint64_t len)
{
	uint64_t first = phys >> PAGE_SHIFT, end = first + (len >> PAGE_SHIFT);

	/* Pieces that touch are one: the array grows downwards. */
	if (ntaken && taken[ntaken - 1].first == end)
		taken[ntaken - 1].first = first;
	else
		taken[ntaken++] = (struct mem_range){ first, end };
	CHECK(ntaken < ARRAY_SIZE(taken));
}

static uint64_t array_page(uintptr_t virt) { return (virt - (uintptr_t)page_array) / PAGE_SIZE; }

static bool in_array(uintptr_t virt)
{
	return virt >= (uintptr_t)page_array && array_page(virt) < ARRAY_SIZE(mapped);
}

void pt_boot_map(uintptr_t virt, paddr_t phys, uint64_t len, unsigned flags)
{
	(void)flags;
	if (!in_array(virt))
		return;
	CHECK(!((virt | phys) & (PAGE_SIZE - 1)) && (len < HUGE_SIZE || !((virt | phys) & (HUGE_SIZE - 1))));
	CHECK(phys + len <= GIB(4) || switched);
	take(phys, len);
	for (uint64_t i = 0; i < len / PAGE_SIZE; i++) {
		CHECK(!mapped[array_page(virt) + i]);
		mapped[array_page(virt) + i] = 1;
	}
}

bool pt_boot_mapped(uintptr_t virt) { return mapped[array_page(virt)]; }
void pt_boot_begin(paddr_t (*early)(void)) { early_page = early; }
void pt_boot_switch(void) { CHECK(early_page() < GIB(4)); switched = true; }
void pt_boot_finish(void) {}
void page_clear(void *virt, size_t bytes) { (void)virt; (void)bytes; }
void buddy_init(void) {}
void slab_init(void) {}
void reclaim_start_thread(void) {}
uint64_t option_u64(const char *name, uint64_t fallback) { (void)name; return fallback; }
void log_print(int level, const char *fmt, ...) { (void)level; (void)fmt; }

void buddy_add_range(uint64_t first, uint64_t end)
{
	CHECK(first <= end && ngiven < PIECES);
	if (first < end)
		given[ngiven++] = (struct mem_range){ first, end };
}

_Noreturn void panic(const char *format, ...)
{
	printf("not ok mm_init panic %s\n", format);
	exit(1);
}

_Noreturn void boot_fail(const char *format, ...)
{
	printf("not ok mm_init boot fails: %s\n", format);
	exit(1);
}

/* --- the test ---------------------------------------------------------------------------------------------------- */
static bool overlaps(const struct mem_range *a, const struct mem_range *b)
{
	return a->first < b->end && b->first < a->end;
}

static void machine(const char *name, const struct boot_range *ranges, unsigned n)
{
	static struct boot_info boot;
	void *reserved = mmap(NULL, ARRAY_BYTES + HUGE_SIZE, 3, 0x4022 /* private, anonymous, no reserve */, -1, 0);
	uint64_t total = 0, total_given = 0, total_taken = 0;

	CHECK(reserved != (void *)-1);
	page_array = (struct page *)ALIGN_UP((uintptr_t)reserved, HUGE_SIZE);
	boot.nranges = n;
	for (unsigned i = 0; i < n; i++)
		boot.ranges[i] = ranges[i];
	mem_range_count = ngiven = ntaken = 0;
	__builtin_memset(mapped, 0, sizeof(mapped));
	switched = false;
	mm_init(&boot);

	CHECK(mem_range_count == n);
	for (unsigned i = 0; i < n; i++) {
		const struct mem_range *r = &mem_ranges[i];

		total += r->end - r->first;
		for (uintptr_t v = ALIGN_DOWN((uintptr_t)pfn_to_page(r->first), PAGE_SIZE); v < (uintptr_t)pfn_to_page(r->end); v += PAGE_SIZE)
			CHECK(pt_boot_mapped(v));
	}
	for (unsigned i = 0; i < ngiven; i++) {
		total_given += given[i].end - given[i].first;
		for (unsigned k = 0; k < i; k++)
			CHECK(!overlaps(&given[i], &given[k]));
		for (unsigned k = 0; k < ntaken; k++)
			CHECK(!overlaps(&given[i], &taken[k]));
		CHECK(pfn_managed(given[i].first) && pfn_managed(given[i].end - 1));
	}
	for (unsigned i = 0; i < ntaken; i++) {
		total_taken += taken[i].end - taken[i].first;
		CHECK(pfn_managed(taken[i].first) && pfn_managed(taken[i].end - 1));
		CHECK(pfn_to_page(taken[i].first)->flags == PAGE_RESERVED);
	}
	/* Beside the array some tables, and what alignment skips. */
	CHECK(total_given + total_taken <= total && total - total_given - total_taken < 2048);
	munmap(reserved, ARRAY_BYTES + HUGE_SIZE);
	printf("ok %s\n", name);
}

bool pfn_managed(uint64_t pfn)
{
	for (unsigned i = 0; i < mem_range_count; i++)
		if (pfn >= mem_ranges[i].first && pfn < mem_ranges[i].end)
			return true;
	return false;
}

#define MACHINE(NAME, ...)                                                                     \
	do {                                                                                   \
		static const struct boot_range ranges[] = { __VA_ARGS__ };                     \
		machine(NAME, ranges, ARRAY_SIZE(ranges));                                     \
	} while (0)
#define LOW_MEMORY { 0x1000, 0x9f000, 1 }

int main(void)
{
	MACHINE("a_small_machine", LOW_MEMORY, { MIB(1), MIB(64), 1 });
	MACHINE("a_little_memory_above_four_gigabytes", LOW_MEMORY, { MIB(1), GIB(3), 1 }, { GIB(4), GIB(4) + MIB(100), 1 });
	MACHINE("most_memory_above_four_gigabytes", LOW_MEMORY, { MIB(1), GIB(2), 1 }, { GIB(4), GIB(6), 1 });
	MACHINE("three_hundred_gigabytes", LOW_MEMORY, { MIB(1), GIB(2), 1 }, { GIB(4), GIB(302), 1 });
	MACHINE("a_range_across_four_gigabytes", LOW_MEMORY, { MIB(1), GIB(12), 1 });
	/* Entry 131072 is the first of a 2 MiB page of the array. */
	MACHINE("a_hole_where_a_large_page_of_the_array_begins", LOW_MEMORY, { MIB(1), (131072 + 20) * PAGE_SIZE, 1 },
		{ (131072 + 60) * PAGE_SIZE, GIB(2), 1 });
	return 0;
}
