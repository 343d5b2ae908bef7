/*
 * kernel/arch/x86_64/pagetable.h - everything that names a bit of a page-table entry.
 *
 * One tree of four levels serves the kernel and every program. All entries are supervisor entries;
 * kernel mappings are global, those of the application are not.
 *
 *   level 4  PML4, 512 GiB an entry    never freed; the upper half is filled at boot
 *   level 3  PDPT, 1 GiB an entry      freed when the last program below it is gone
 *   level 2  PD, 2 MiB an entry        "pmd": points to a table, or maps a 2 MiB page
 *   level 1  PT, 4 KiB an entry        "table"
 *
 * Interface: pt_pmd_find()/pt_pmd_get() walk to the pmd of an address; pt_table() goes one level further.
 * pte_*() make and read values.
 *
 * Locking: a pmd of the application and the table behind it change only under the leaf mutex of that
 * 2 MiB region (mm/internal.h). Upper levels are added by compare-and-swap without a lock. A table counts its
 * entries in use in page->mapcount, so that an empty one is recognised without a scan.
 * Errors: pointers are NULL when memory is short.
 */
#ifndef IBRIK_ARCH_PAGETABLE_H
#define IBRIK_ARCH_PAGETABLE_H

#include "mm/internal.h"

typedef _Atomic uint64_t pte_t;

#define PTE_PRESENT (1ull << 0)
#define PTE_WRITE (1ull << 1)
#define PTE_PWT (1ull << 3)
#define PTE_PCD (1ull << 4)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY (1ull << 6)
#define PTE_LARGE (1ull << 7)
#define PTE_GLOBAL (1ull << 8)
#define PTE_NONE (1ull << 9) /* ours: the page is there, access is not (PROT_NONE) */
#define PTE_NX (1ull << 63)
#define PTE_PHYS 0x000ffffffffff000ull

#define PT_ENTRIES 512

/* Physical addresses of the tables every CPU runs on, and of those the AP trampoline starts with. */
extern uint64_t kernel_cr3, trampoline_cr3;

enum pte_access { PTE_ACC_READ = 1, PTE_ACC_WRITE = 2, PTE_ACC_EXEC = 4 };

/* A value that maps phys for the application with the given rights; none of them: no access. */
static inline uint64_t pte_make(paddr_t phys, unsigned access)
{
	uint64_t v = phys | PTE_ACCESSED;

	if (!access)
		return v | PTE_NONE | PTE_NX;
	v |= PTE_PRESENT;
	if (access & PTE_ACC_WRITE)
		v |= PTE_WRITE | PTE_DIRTY;
	if (!(access & PTE_ACC_EXEC))
		v |= PTE_NX;
	return v;
}

static inline uint64_t pte_make_huge(paddr_t phys, unsigned access)
{
	return pte_make(phys, access) | PTE_LARGE;
}

static inline bool pte_present(uint64_t v) { return v & PTE_PRESENT; }
/* Something is mapped, be it accessible or not. */
static inline bool pte_used(uint64_t v) { return v & (PTE_PRESENT | PTE_NONE); }
static inline bool pte_is_huge(uint64_t v) { return pte_used(v) && (v & PTE_LARGE); }
static inline bool pte_is_table(uint64_t v) { return (v & PTE_PRESENT) && !(v & PTE_LARGE); }
static inline bool pte_writable(uint64_t v) { return v & PTE_WRITE; }
static inline bool pte_accessed(uint64_t v) { return v & PTE_ACCESSED; }
static inline paddr_t pte_phys(uint64_t v) { return v & PTE_PHYS; }
/* The rights in it, enum pte_access. */
static inline unsigned pte_access(uint64_t v)
{
	if (!(v & PTE_PRESENT))
		return 0;
	return PTE_ACC_READ | (v & PTE_WRITE ? PTE_ACC_WRITE : 0u) | (v & PTE_NX ? 0u : PTE_ACC_EXEC);
}
/* Does the value allow that access? */
static inline bool pte_allows(uint64_t v, unsigned access)
{
	if (!(v & PTE_PRESENT))
		return false;
	if ((access & PTE_ACC_WRITE) && !(v & PTE_WRITE))
		return false;
	return !((access & PTE_ACC_EXEC) && (v & PTE_NX));
}

static inline uint64_t pte_load(const pte_t *e)
{
	return atomic_load_explicit((pte_t *)e, memory_order_relaxed);
}
static inline void pte_store(pte_t *e, uint64_t v)
{
	atomic_store_explicit(e, v, memory_order_release);
}
static inline uint64_t pte_swap(pte_t *e, uint64_t v)
{
	return atomic_exchange_explicit(e, v, memory_order_acq_rel);
}

static inline unsigned pt_index(uint64_t addr, unsigned level)
{
	return (addr >> (PAGE_SHIFT + 9 * (level - 1))) & (PT_ENTRIES - 1);
}
static inline pte_t *pte_table_virt(uint64_t v) { return phys_to_virt(v & PTE_PHYS); }

/* The pmd of an address of the application; find: NULL if the levels above are missing. */
pte_t *pt_pmd_find(uaddr_t addr);
pte_t *pt_pmd_get(uaddr_t addr);
/* The first 2 MiB region at or behind addr that may have something mapped, or `end`. */
uaddr_t pt_region_next(uaddr_t addr, uaddr_t end);
/* The table behind a pmd, or NULL if there is none (empty or a 2 MiB page). */
static inline pte_t *pt_table(const pte_t *pmd)
{
	uint64_t v = pte_load(pmd);
	return pte_is_table(v) ? pte_table_virt(v) : NULL;
}
/* An empty table that belongs to nobody yet. alloc_flags as for page_alloc. */
struct page *pt_table_alloc(unsigned alloc_flags);
void pt_table_free(struct page *table);
void pt_table_set(pte_t *pmd, struct page *table);
/* Takes the table away from the pmd; it may be freed after tlb_shootdown_tables(). */
struct page *pt_table_take(pte_t *pmd);
static inline struct page *pt_table_page(const pte_t *table) { return virt_to_page((void *)table); }
/* Frees the empty upper levels of the application's half. Only while nothing can fault there. */
void pt_prune(void);
/* Fills `table` (empty) with 4 KiB entries that mean the same as the 2 MiB value. */
void pt_table_from_huge(struct page *table, uint64_t huge_value);

/* Forgets this CPU's translation of one page. */
static inline void pt_flush_local(uaddr_t addr)
{
	__asm__ volatile("invlpg (%0)" ::"r"(addr) : "memory");
}

/* --- kernel mappings ----------------------------------------------------------------------------- */
enum kmap_flags { KMAP_WRITE = 1, KMAP_EXEC = 2, KMAP_UNCACHED = 4 };

/* Maps pages at a kernel address; tables are allocated. 0 or -ENOMEM (what was mapped stays). */
int kmap_range(uintptr_t virt, paddr_t phys, uint64_t len, unsigned flags);
/* Clears one 4 KiB kernel mapping and answers what it mapped; the caller shoots down. */
paddr_t kunmap_page(uintptr_t virt);

/* Boot only: `early` gives zeroed, physically addressed pages, below 4 GiB until the switch. */
void pt_boot_begin(paddr_t (*early)(void));
void pt_boot_map(uintptr_t virt, paddr_t phys, uint64_t len, unsigned flags);
bool pt_boot_mapped(uintptr_t virt);
/* Turns on NX, WP and global pages, makes the trampoline's tables and loads CR3: what has been mapped can be used, and more be mapped. */
void pt_boot_switch(void);
/* Later tables come from the page allocator. */
void pt_boot_finish(void);
/* What every other CPU does before it loads kernel_cr3: NX, WP and global pages. */
void pt_cpu_init(void);

#endif
