/*
 * mm/vmap.c - kernel addresses that are not in the direct map: stacks with guard pages, device memory.
 *
 *   VMAP_BASE               one slot of 32 KiB for each kernel stack: the lower half is never mapped, so that an
 *                           overflow faults, the upper half is the stack
 *   VMAP_BASE + 64 GiB      device memory, uncached, never given back
 *
 * Some free stacks stay mapped for the next thread; taking one is a list operation, while unmapping
 * costs a shootdown.
 *
 * Interface: mm.h. Locking: vmap_lock guards all of it. Errors: 0 or NULL when memory or addresses are short.
 */
#include "mm/internal.h"
#include "core/log.h"
#include "core/thread.h"
#include "pagetable.h"

#define SLOT_BYTES (2 * KSTACK_BYTES)
#define SLOT_COUNT 65536u
#define STACK_PAGES (KSTACK_BYTES / PAGE_SIZE)
#define STACK_CACHE 32
#define IOREMAP_BASE (VMAP_BASE + GIB(64))
#define IOREMAP_END (VMAP_BASE + GIB(512))

_Static_assert(SLOT_COUNT * (uint64_t)SLOT_BYTES <= GIB(64), "stacks lie below device memory");

static struct mutex vmap_lock = MUTEX_INIT("vmap");
static uint64_t slot_used[SLOT_COUNT / 64];
static unsigned slot_hint;      /* index of a word of slot_used */
static uintptr_t cache[STACK_CACHE];
static unsigned cached;
static uintptr_t ioremap_next = IOREMAP_BASE;

static uintptr_t slot_stack(unsigned slot)
{
	return VMAP_BASE + (uint64_t)slot * SLOT_BYTES + (SLOT_BYTES - KSTACK_BYTES);
}

static int slot_take(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(slot_used); i++) {
		unsigned w = (slot_hint + i) % ARRAY_SIZE(slot_used);

		if (slot_used[w] != UINT64_MAX) {
			unsigned bit = (unsigned)__builtin_ctzll(~slot_used[w]);

			slot_used[w] |= 1ull << bit;
			slot_hint = w;
			return (int)(w * 64 + bit);
		}
	}
	return -1;
}

static void slot_release(unsigned slot)
{
	slot_used[slot / 64] &= ~(1ull << (slot % 64));
	slot_hint = slot / 64;
}

uintptr_t kstack_alloc(void)
{
	struct page *pages[STACK_PAGES];
	unsigned n = 0, mapped = 0;
	uintptr_t base;
	int slot;

	mutex_lock(&vmap_lock);
	if (cached) {
		base = cache[--cached];
		mutex_unlock(&vmap_lock);
		return base;
	}
	slot = slot_take();
	mutex_unlock(&vmap_lock);
	if (slot < 0)
		return 0;
	base = slot_stack((unsigned)slot);
	for (; n < STACK_PAGES; n++) {
		pages[n] = page_alloc(0, 0);
		if (!pages[n])
			goto failed;
	}
	mutex_lock(&vmap_lock);
	for (; mapped < STACK_PAGES; mapped++)
		if (kmap_range(base + mapped * PAGE_SIZE, page_to_phys(pages[mapped]), PAGE_SIZE, KMAP_WRITE)) {
			mutex_unlock(&vmap_lock);
			goto failed;
		}
	mutex_unlock(&vmap_lock);
	stat_add(STAT_KSTACKS, STACK_PAGES);
	return base;
failed:
	/* Nobody has used the address: no other CPU can hold a translation. */
	while (mapped-- > 0) {
		kunmap_page(base + mapped * PAGE_SIZE);
		pt_flush_local(base + mapped * PAGE_SIZE);
	}
	while (n-- > 0)
		page_put(pages[n]);
	mutex_lock(&vmap_lock);
	slot_release((unsigned)slot);
	mutex_unlock(&vmap_lock);
	return 0;
}

void kstack_free(uintptr_t base)
{
	paddr_t phys[STACK_PAGES];

	mutex_lock(&vmap_lock);
	if (cached < STACK_CACHE) {
		cache[cached++] = base;
		mutex_unlock(&vmap_lock);
		return;
	}
	for (unsigned i = 0; i < STACK_PAGES; i++)
		phys[i] = kunmap_page(base + i * PAGE_SIZE);
	mutex_unlock(&vmap_lock);
	tlb_shootdown(base, base + KSTACK_BYTES);
	for (unsigned i = 0; i < STACK_PAGES; i++)
		page_put(phys_to_page(phys[i]));
	stat_add(STAT_KSTACKS, -(int64_t)STACK_PAGES);
	mutex_lock(&vmap_lock);
	slot_release((unsigned)((base - VMAP_BASE) / SLOT_BYTES));
	mutex_unlock(&vmap_lock);
}

void *ioremap(paddr_t phys, size_t len)
{
	uint64_t offset = phys & (PAGE_SIZE - 1), bytes = ALIGN_UP(len + offset, PAGE_SIZE);
	uintptr_t v;
	int r;

	if (!len || bytes < len || phys + bytes < phys)
		return NULL;
	mutex_lock(&vmap_lock);
	v = ioremap_next;
	if (bytes > IOREMAP_END - v) {
		mutex_unlock(&vmap_lock);
		return NULL;
	}
	r = kmap_range(v, phys - offset, bytes, KMAP_WRITE | KMAP_UNCACHED);
	/* An unmapped page between two windows catches an overrun. */
	ioremap_next = v + bytes + PAGE_SIZE;
	mutex_unlock(&vmap_lock);
	return r ? NULL : (void *)(v + offset);
}

const char *kernel_address_describe(uintptr_t a)
{
	if (a >= VMAP_BASE && a < VMAP_BASE + (uint64_t)SLOT_COUNT * SLOT_BYTES)
		return (a - VMAP_BASE) % SLOT_BYTES < SLOT_BYTES - KSTACK_BYTES ?
			"guard page of a kernel stack: the stack overflowed" : "kernel stack";
	if (a >= IOREMAP_BASE && a < IOREMAP_END)
		return "device memory";
	if (a >= KERNEL_BASE)
		return "kernel image";
	if (a >= VMEMMAP_BASE && a < VMEMMAP_BASE + GIB(512) * 16)
		return "page array";
	if (a >= DIRECT_BASE && a < VMAP_BASE)
		return "direct map of physical memory";
	return NULL;
}
