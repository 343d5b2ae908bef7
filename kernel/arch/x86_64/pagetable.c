/*
 * kernel/arch/x86_64/pagetable.c - walking and making page tables; the kernel's own mappings.
 *
 * Interface: pagetable.h. Tables are reached through the direct map. While booting, pages come from a
 * callback, because the allocator does not exist yet.
 *
 * Locking: pagetable.h; kernel mappings are made at boot or under mm/vmap.c's mutex.
 */
#include "pagetable.h"
#include "cpu.h"
#include "core/log.h"
#include "lib/string.h"
#include "mm/internal.h"

uint64_t kernel_cr3, trampoline_cr3;

static pte_t *pml4;
static paddr_t (*early_page)(void);
static bool have_1gib_pages;

/* The physical page of a table above the leaf, or 0. */
static paddr_t table_page_new(void)
{
	struct page *p;

	if (early_page)
		return early_page();
	p = pt_table_alloc(ALLOC_FAULT);
	return p ? page_to_phys(p) : 0;
}

/* The table behind an entry of an upper level, made if there is none. */
static __attribute__((noinline)) pte_t *table_make(pte_t *entry)
{
	uint64_t v = 0;
	paddr_t fresh = table_page_new();

	if (!fresh)
		return NULL;
	if (!atomic_compare_exchange_strong_explicit(entry, &v, fresh | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED,
						     memory_order_acq_rel, memory_order_acquire)) {
		/* Another CPU was faster; its table serves. */
		pt_table_free(phys_to_page(fresh));
		return pte_table_virt(v);
	}
	return phys_to_virt(fresh);
}

/* Follows an entry of an upper level, making the table behind it if `make`. */
static inline pte_t *descend(pte_t *entry, bool make)
{
	uint64_t v = atomic_load_explicit(entry, memory_order_acquire);

	if (likely(v & PTE_PRESENT))
		return pte_table_virt(v);
	return make ? table_make(entry) : NULL;
}

pte_t *pt_pmd_find(uaddr_t addr)
{
	pte_t *pdpt = descend(&pml4[pt_index(addr, 4)], false), *pd;

	if (!pdpt)
		return NULL;
	pd = descend(&pdpt[pt_index(addr, 3)], false);
	return pd ? &pd[pt_index(addr, 2)] : NULL;
}

pte_t *pt_pmd_get(uaddr_t addr)
{
	pte_t *pdpt = descend(&pml4[pt_index(addr, 4)], true), *pd;

	if (!pdpt)
		return NULL;
	pd = descend(&pdpt[pt_index(addr, 3)], true);
	return pd ? &pd[pt_index(addr, 2)] : NULL;
}

uaddr_t pt_region_next(uaddr_t addr, uaddr_t end)
{
	addr = ALIGN_DOWN(addr, HUGE_SIZE);
	while (addr < end) {
		pte_t *pdpt = descend(&pml4[pt_index(addr, 4)], false), *pd;

		if (!pdpt) {
			addr = ALIGN_DOWN(addr, GIB(512)) + GIB(512);
			continue;
		}
		pd = descend(&pdpt[pt_index(addr, 3)], false);
		if (!pd) {
			addr = ALIGN_DOWN(addr, GIB(1)) + GIB(1);
			continue;
		}
		do {
			if (pte_load(&pd[pt_index(addr, 2)]))
				return addr;
			addr += HUGE_SIZE;
		} while (addr < end && pt_index(addr, 2));
	}
	return end;
}

struct page *pt_table_alloc(unsigned alloc_flags)
{
	struct page *p = page_alloc(0, alloc_flags | ALLOC_ZERO);

	if (p)
		stat_add(STAT_PAGE_TABLES, 1);
	return p;
}

void pt_table_free(struct page *table)
{
	stat_add(STAT_PAGE_TABLES, -1);
	table->mapcount = 0;
	page_put(table);
}

void pt_table_set(pte_t *pmd, struct page *table)
{
	pte_store(pmd, page_to_phys(table) | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED);
}

struct page *pt_table_take(pte_t *pmd)
{
	return phys_to_page(pte_phys(pte_swap(pmd, 0)));
}

void pt_table_from_huge(struct page *table, uint64_t huge_value)
{
	pte_t *t = page_to_virt(table);
	uint64_t v = huge_value & ~PTE_LARGE;

	for (unsigned i = 0; i < PT_ENTRIES; i++)
		pte_store(&t[i], v + i * PAGE_SIZE);
	table->mapcount = PT_ENTRIES;
}

static bool table_empty(const pte_t *t)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		if (pte_load(&t[i]))
			return false;
	return true;
}

/* Moves the tables below `upper` that hold nothing to the list. */
static void prune_below(pte_t *upper, struct list *gone)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		if (pte_load(&upper[i]) && table_empty(pte_table_virt(pte_load(&upper[i]))))
			list_push_back(gone, &pt_table_take(&upper[i])->link);
}

void pt_prune(void)
{
	struct list gone = LIST_INIT(gone);
	struct page *p, *next;

	for (unsigned i = 0; i < PT_ENTRIES / 2; i++)
		if (pte_load(&pml4[i]))
			prune_below(pte_table_virt(pte_load(&pml4[i])), &gone);
	for (unsigned i = 0; i < PT_ENTRIES / 2; i++)
		if (pte_load(&pml4[i]) && table_empty(pte_table_virt(pte_load(&pml4[i]))))
			list_push_back(&gone, &pt_table_take(&pml4[i])->link);
	if (list_empty(&gone))
		return;
	/* Processors cache the way through the upper levels too. */
	tlb_shootdown_tables(UADDR_MIN, UADDR_END);
	list_for_each_safe(p, next, &gone, link) {
		list_del(&p->link);
		pt_table_free(p);
	}
}

/* --- kernel mappings ----------------------------------------------------------------------------- */
static uint64_t kernel_bits(unsigned flags)
{
	uint64_t v = PTE_PRESENT | PTE_GLOBAL | PTE_ACCESSED;

	if (flags & KMAP_WRITE)
		v |= PTE_WRITE | PTE_DIRTY;
	if (!(flags & KMAP_EXEC))
		v |= PTE_NX;
	if (flags & KMAP_UNCACHED)
		v |= PTE_PCD | PTE_PWT;
	return v;
}

int kmap_range(uintptr_t virt, paddr_t phys, uint64_t len, unsigned flags)
{
	uint64_t bits = kernel_bits(flags);

	for (uint64_t off = 0; off < len;) {
		uintptr_t v = virt + off;
		paddr_t p = phys + off;
		pte_t *pdpt = descend(&pml4[pt_index(v, 4)], true), *pd, *pt;

		if (!pdpt)
			return -ENOMEM;
		/* Large pages only at boot: later mappings are taken apart page by page. */
		if (early_page && have_1gib_pages && !((v | p) & (GIB(1) - 1)) && len - off >= GIB(1)) {
			pte_store(&pdpt[pt_index(v, 3)], p | bits | PTE_LARGE);
			off += GIB(1);
			continue;
		}
		pd = descend(&pdpt[pt_index(v, 3)], true);
		if (!pd)
			return -ENOMEM;
		if (early_page && !((v | p) & (HUGE_SIZE - 1)) && len - off >= HUGE_SIZE) {
			pte_store(&pd[pt_index(v, 2)], p | bits | PTE_LARGE);
			off += HUGE_SIZE;
			continue;
		}
		pt = descend(&pd[pt_index(v, 2)], true);
		if (!pt)
			return -ENOMEM;
		pte_store(&pt[pt_index(v, 1)], p | bits);
		off += PAGE_SIZE;
	}
	return 0;
}

paddr_t kunmap_page(uintptr_t virt)
{
	pte_t *pmd = pt_pmd_find(virt), *pt = pmd ? pt_table(pmd) : NULL;

	assert(pt);
	return pte_phys(pte_swap(&pt[pt_index(virt, 1)], 0));
}

/* --- boot ------------------------------------------------------------------------------------------ */
void pt_boot_begin(paddr_t (*early)(void))
{
	uint32_t a, b, c, d;

	early_page = early;
	cpuid(0x80000000, 0, &a, &b, &c, &d);
	if (a >= 0x80000001) {
		cpuid(0x80000001, 0, &a, &b, &c, &d);
		have_1gib_pages = d & (1u << 26);
		if (!(d & (1u << 20)))
			panic("the processor has no NX bit");
	}
	kernel_cr3 = early();
	pml4 = phys_to_virt(kernel_cr3);
}

void pt_boot_map(uintptr_t virt, paddr_t phys, uint64_t len, unsigned flags)
{
	if (kmap_range(virt, phys, len, flags))
		panic("no memory for the kernel's page tables");
}

bool pt_boot_mapped(uintptr_t virt)
{
	pte_t *pmd = pt_pmd_find(virt), *pt;

	if (!pmd || !pte_load(pmd))
		return false;
	pt = pt_table(pmd);
	return !pt || pte_load(&pt[pt_index(virt, 1)]);
}

void pt_cpu_init(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1u << 11); /* NXE */
	write_cr0(read_cr0() | 1u << 16);            /* WP: read-only binds ring 0 too */
	write_cr4(read_cr4() | 1u << 7);             /* PGE */
}

void pt_boot_switch(void)
{
	pte_t *tramp, *pdpt, *pd;
	paddr_t p3, p2;

	/*
	 * The trampoline runs at its physical address and jumps into the kernel: its tables map the
	 * first 2 MiB at identity and share the kernel's half.
	 */
	trampoline_cr3 = early_page();
	p3 = early_page();
	p2 = early_page();
	tramp = phys_to_virt(trampoline_cr3);
	pdpt = phys_to_virt(p3);
	pd = phys_to_virt(p2);
	for (unsigned i = PT_ENTRIES / 2; i < PT_ENTRIES; i++) {
		/* Every kernel PDPT exists from now on, so that the two trees never differ. */
		if (i == pt_index(VMAP_BASE, 4) || i == pt_index(VMEMMAP_BASE, 4))
			descend(&pml4[i], true);
		pte_store(&tramp[i], pte_load(&pml4[i]));
	}
	pte_store(&tramp[0], p3 | PTE_PRESENT | PTE_WRITE);
	pte_store(&pdpt[0], p2 | PTE_PRESENT | PTE_WRITE);
	pte_store(&pd[0], 0 | PTE_PRESENT | PTE_WRITE | PTE_LARGE);

	pt_cpu_init();
	write_cr3(kernel_cr3);
}

void pt_boot_finish(void) { early_page = NULL; }
