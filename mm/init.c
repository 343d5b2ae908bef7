/*
 * mm/init.c - from the boot loader's memory map to a running allocator.
 *
 * The boot tables map the first 4 GiB at DIRECT_BASE, writable and executable. mm_init() takes pages from the
 * top of the largest range below 4 GiB, builds the final tables with them and switches to these. Then all memory can be reached, and
 * the page array, an 85th of it, is taken from the top of the largest range there is. The rest goes to the buddy allocator.
 *
 *   direct map   usable memory, ACPI tables, the first MiB, and small reserved ranges that lie against
 *                usable memory (firmware keeps its tables there). Device memory is not in it.
 *   page array   VMEMMAP_BASE, one struct page for each page of usable memory, with holes where there is none.
 *   kernel       text read-only and executable, constants read-only, data not executable.
 *
 * Interface: mm_init(), mm_start_threads(), mm_fail_start(), virt_to_phys(). Errors: too little memory ends the machine with one line.
 */
#include "mm/internal.h"
#include "core/boot.h"
#include "core/log.h"
#include "lib/string.h"
#include "pagetable.h"

extern char __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[], __kernel_end[];

#define FIRMWARE_TABLES_MAX MIB(16)
#define LOW_BYTES MIB(1)

static struct segment {
	paddr_t start, end;
	bool read_only;
} segments[BOOT_MAX_RANGES + 4];
static unsigned segment_count;

/* Where pages are taken before the allocator has any: first below 4 GiB, then anywhere. [next, end) is used. */
static struct early {
	paddr_t start, next, end;
} early_places[2];
static struct early *early;

paddr_t virt_to_phys(const void *v)
{
	uintptr_t a = (uintptr_t)v;

	if (a >= KERNEL_BASE)
		return a - KERNEL_BASE;
	assert(a >= DIRECT_BASE && a < VMAP_BASE);
	return a - DIRECT_BASE;
}

static paddr_t early_alloc(uint64_t size)
{
	paddr_t p = ALIGN_DOWN(early->next - size, size);

	if (p < early->start || p > early->next)
		boot_fail("too little memory: no room for the page tables, give the machine more (-m)");
	/* What alignment skipped stays unused; it is at most one large page. */
	early->next = p;
	page_clear(phys_to_virt(p), size);
	return p;
}

static paddr_t early_page(void)
{
	return early_alloc(PAGE_SIZE);
}

/* The largest piece of memory within [lo, hi). */
static struct early early_find(paddr_t lo, paddr_t hi)
{
	struct early e = { 0 };

	for (unsigned i = 0; i < mem_range_count; i++) {
		paddr_t start = MAX(mem_ranges[i].first << PAGE_SHIFT, lo);
		paddr_t end = MIN(mem_ranges[i].end << PAGE_SHIFT, hi);

		if (end > start && end - start > e.end - e.start)
			e = (struct early){ start, end, end };
	}
	return e;
}

static void early_init(void)
{
	early = &early_places[0];
	*early = early_find(0, GIB(4));
	if (early->end - early->start < MIB(8))
		boot_fail("too little memory: the machine has %llu KiB in one piece, give it more (-m)",
			  (unsigned long long)(early->end - early->start) >> 10);
}

/* All memory is mapped: is there a larger piece? */
static void early_move(void)
{
	struct early high = early_find(GIB(4), UINT64_MAX);

	if (high.end - high.start > early->next - early->start)
		*++early = high;
}

/* Gives a range to the allocator, without what has been taken from it. */
static void range_add(uint64_t first, uint64_t end)
{
	for (const struct early *e = early_places; e <= early; e++) {
		if (e->next >> PAGE_SHIFT < first || e->next >> PAGE_SHIFT >= end)
			continue;
		buddy_add_range(first, e->next >> PAGE_SHIFT);
		first = e->end >> PAGE_SHIFT;
	}
	buddy_add_range(first, end);
}

static void segment_add(paddr_t start, paddr_t end, bool read_only)
{
	unsigned i = segment_count++;

	for (; i > 0 && segments[i - 1].start > start; i--)
		segments[i] = segments[i - 1];
	segments[i] = (struct segment){ start, end, read_only };
}

static void ranges_collect(const struct boot_info *boot)
{
	for (unsigned i = 0; i < boot->nranges; i++) {
		const struct boot_range *r = &boot->ranges[i];
		uint64_t first = MAX((r->start + PAGE_SIZE - 1) >> PAGE_SHIFT, 1ull), end = r->end >> PAGE_SHIFT;

		if (r->type == 1 && first < end) {
			mem_ranges[mem_range_count++] = (struct mem_range){ first, end };
			segment_add(first << PAGE_SHIFT, end << PAGE_SHIFT, false);
		} else if (r->type == 3 || r->type == 4 ||
			   (r->type == 2 && r->end - r->start <= FIRMWARE_TABLES_MAX && i > 0 &&
			    boot->ranges[i - 1].end == r->start)) {
			segment_add(ALIGN_DOWN(r->start, PAGE_SIZE), ALIGN_UP(r->end, PAGE_SIZE), false);
		}
	}
	segment_add(0, LOW_BYTES, false);
	segment_add(boot->kernel_start, (uintptr_t)__data_start - KERNEL_BASE, true);
	segment_add((uintptr_t)__data_start - KERNEL_BASE, (uintptr_t)__kernel_end - KERNEL_BASE, false);
}

static void direct_map(void)
{
	paddr_t done = 0;

	for (unsigned i = 0; i < segment_count; i++) {
		paddr_t start = MAX(segments[i].start, done), end = segments[i].end;

		if (start >= end)
			continue;
		pt_boot_map(DIRECT_BASE + start, start, end - start, segments[i].read_only ? 0 : KMAP_WRITE);
		done = end;
	}
}

static void kernel_map(char *start, char *end, unsigned flags)
{
	pt_boot_map((uintptr_t)start, (uintptr_t)start - KERNEL_BASE, (uint64_t)(end - start), flags);
}

static void page_array_map(void)
{
	for (unsigned i = 0; i < mem_range_count; i++) {
		uintptr_t start = ALIGN_DOWN((uintptr_t)pfn_to_page(mem_ranges[i].first), PAGE_SIZE);
		uintptr_t end = ALIGN_UP((uintptr_t)pfn_to_page(mem_ranges[i].end), PAGE_SIZE);

		for (uintptr_t v = start; v < end;) {
			uint64_t step = !(v & (HUGE_SIZE - 1)) && end - v >= HUGE_SIZE ? HUGE_SIZE : PAGE_SIZE;

			/* The first page may be shared with the range before: that one, and no more, whatever its address. */
			if (pt_boot_mapped(v))
				step = PAGE_SIZE;
			else
				pt_boot_map(v, early_alloc(step), step, KMAP_WRITE);
			v += step;
		}
	}
}

void mm_init(const struct boot_info *boot)
{
	uint64_t taken = 0;

	ranges_collect(boot);
	early_init();
	pt_boot_begin(early_page);
	kernel_map(__text_start, __text_end, KMAP_EXEC);
	kernel_map(__rodata_start, __rodata_end, 0);
	kernel_map(__data_start, __kernel_end, KMAP_WRITE);
	direct_map();
	pt_boot_switch();
	early_move();
	page_array_map();
	pt_boot_finish();

	buddy_init();
	slab_init();
	for (const struct early *e = early_places; e <= early; e++) {
		for (uint64_t pfn = e->next >> PAGE_SHIFT; pfn < e->end >> PAGE_SHIFT; pfn++) {
			pfn_to_page(pfn)->refs = 1;
			pfn_to_page(pfn)->flags = PAGE_RESERVED;
		}
		taken += e->end - e->next;
	}
	for (unsigned i = 0; i < mem_range_count; i++)
		range_add(mem_ranges[i].first, mem_ranges[i].end);
	log_info("memory: %llu MiB usable, %llu KiB for its administration",
		 (unsigned long long)(mem_total_pages >> 8),
		 (unsigned long long)(taken >> 10));
}

void mm_fail_start(void)
{
	mm_fail_every = (unsigned)option_u64("mm.fail", 0);
}

void mm_start_threads(void)
{
	reclaim_start_thread();
}
