/*
 * kernel/arch/x86_64/start.c - reads what the boot protocol left in memory, then calls kernel_main().
 *
 * Everything is copied out before mm_init() may reuse the memory. Sources: x86/HVM direct boot ABI
 * (hvm_start_info, versions 0 and 1); Linux Documentation/arch/x86/boot.rst, zero page (boot_params).
 * Errors: no memory map at all is fatal.
 */
#include "core/boot.h"
#include "core/log.h"
#include "core/main.h"
#include "cpu.h"
#include "drivers/serial.h"
#include "lib/string.h"
#include "mm/mm.h"

struct boot_info boot_info;

struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries, reserved;
};
#define HVM_MAGIC 0x336ec578

struct hvm_memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

struct __attribute__((packed)) e820_entry {
	uint64_t addr, size;
	uint32_t type;
};

extern char __kernel_end[];

static void add_range(uint64_t start, uint64_t end, uint32_t type)
{
	if (end <= start || boot_info.nranges == BOOT_MAX_RANGES)
		return;
	unsigned i = boot_info.nranges++;
	for (; i > 0 && boot_info.ranges[i - 1].start > start; i--)
		boot_info.ranges[i] = boot_info.ranges[i - 1];
	boot_info.ranges[i] = (struct boot_range){ start, end, type };
}

/* Cuts [start, end) out of the usable ranges: the kernel image and the pages we need low. */
static void cut_range(uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < boot_info.nranges; i++) {
		struct boot_range *r = &boot_info.ranges[i];
		if (r->type != 1 || r->end <= start || r->start >= end)
			continue;
		uint64_t tail = r->end;
		if (r->start < start) {
			r->end = start;
			if (tail > end)
				add_range(end, tail, 1);
		} else if (tail > end) {
			r->start = end;
		} else {
			r->type = 2;
		}
	}
}

/* Firmware maps may overlap; what anything else claims is not usable. */
static void remove_overlaps(void)
{
	for (unsigned i = 0; i < boot_info.nranges; i++) {
		struct boot_range r = boot_info.ranges[i];
		if (r.type != 1)
			cut_range(r.start, r.end);
	}
}

static void read_pvh(paddr_t info)
{
	const struct hvm_start_info *si = phys_to_virt(info);

	if (si->magic != HVM_MAGIC)
		panic("PVH entry without start info");
	if (si->cmdline_paddr && si->cmdline_paddr < GIB(4))
		strlcpy(boot_info.cmdline, phys_to_virt(si->cmdline_paddr), sizeof(boot_info.cmdline));
	boot_info.rsdp = si->rsdp_paddr;
	if (si->version >= 1 && si->memmap_paddr && si->memmap_paddr < GIB(4)) {
		const struct hvm_memmap_entry *e = phys_to_virt(si->memmap_paddr);
		for (unsigned i = 0; i < si->memmap_entries; i++)
			add_range(e[i].addr, e[i].addr + e[i].size, e[i].type);
	}
}

static void read_linux(paddr_t params)
{
	const uint8_t *zero_page = phys_to_virt(params);
	uint32_t cmdline;
	uint64_t rsdp;

	memcpy(&cmdline, zero_page + 0x228, 4);
	memcpy(&rsdp, zero_page + 0x070, 8);
	if (cmdline)
		strlcpy(boot_info.cmdline, phys_to_virt(cmdline), sizeof(boot_info.cmdline));
	boot_info.rsdp = rsdp;
	const struct e820_entry *e = (const void *)(zero_page + 0x2d0);
	for (unsigned i = 0; i < zero_page[0x1e8] && i < 128; i++)
		add_range(e[i].addr, e[i].addr + e[i].size, e[i].type);
}

_Noreturn void kernel_boot(uint64_t tsc, paddr_t info, unsigned protocol);
_Noreturn void kernel_boot(uint64_t tsc, paddr_t info, unsigned protocol)
{
	cpu_init_boot();
	serial_early_init(); /* what is wrong with the loader's data is said there */
	boot_info.entry_tsc = tsc;
	if (protocol == 0)
		read_pvh(info);
	else
		read_linux(info);
	if (boot_info.nranges == 0)
		panic("the boot loader gave no memory map");
	boot_info.kernel_start = 0x200000;
	boot_info.kernel_end = (uintptr_t)__kernel_end - KERNEL_BASE;
	remove_overlaps();
	cut_range(0, 0x10000); /* real-mode vectors; the AP trampoline at 0x8000 */
	cut_range(0x9f000, 0x100000);
	cut_range(boot_info.kernel_start, boot_info.kernel_end);
	kernel_main();
}
