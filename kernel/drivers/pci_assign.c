/*
 * kernel/drivers/pci_assign.c - bus numbers, bridge windows and base registers that no firmware set.
 *
 * Theory:  memory is taken upward from 3 GiB (or from the end of RAM below 4 GiB, if that is higher), below
 *          the I/O APIC and around the memory-mapped configuration space; ports upward from 0xc000, where
 *          PC firmware puts them too. What firmware did assign stays, and the allocation starts behind
 *          it. A function gets naturally aligned blocks, the largest first; a bridge opens one window
 *          over everything behind it.
 * Locking: one thread, during drivers_find().
 * Source:  PCI Local Bus Specification 3.0, 6.2.5; PCI-to-PCI Bridge Architecture 1.2, chapter 3.
 */
#include "core/boot.h"
#include "core/log.h"
#include "drivers/acpi.h"
#include "drivers/pci_private.h"
#include "mm/mm.h"

#define MEMORY_FLOOR 0xc0000000ull
#define MEMORY_LIMIT 0xfe000000ull
#define PORT_FLOOR 0xc000u
#define PORT_LIMIT 0x10000u
#define BRIDGE_MEMORY_ALIGN MIB(1)
#define BRIDGE_PORT_ALIGN 0x1000u

static unsigned bus_highest;
static bool bridge_is_ours[256]; /* by secondary bus number: we numbered it */
static uint64_t memory_next, port_next;

void pci_bus_seen(uint8_t bus)
{
	bus_highest = MAX(bus_highest, (unsigned)bus);
}

void pci_bridge_number(struct pci_device *bridge)
{
	if (bus_highest >= 255)
		return;
	bus_highest++;
	bridge_is_ours[bus_highest] = true;
	pci_write8(bridge, 0x18, bridge->bus);
	pci_write8(bridge, 0x19, (uint8_t)bus_highest);
	pci_write8(bridge, 0x1a, 0xff);
}

void pci_bridge_numbered(struct pci_device *bridge)
{
	if (bridge_is_ours[pci_read8(bridge, 0x19)])
		pci_write8(bridge, 0x1a, (uint8_t)bus_highest);
}

void pci_bars_read(struct pci_device *d)
{
	uint16_t command = pci_read16(d, 0x04);

	/* A register that is being sized answers at a wrong address: decoding is off meanwhile. */
	pci_write16(d, 0x04, command & (uint16_t)~3u);
	for (unsigned i = 0; i < 6; i++) {
		unsigned at = 0x10 + 4 * i;
		struct pci_bar *b = &d->bars[i];
		uint32_t low = pci_read32(d, at), high = 0;
		uint64_t mask;

		pci_write32(d, at, 0xffffffff);
		mask = pci_read32(d, at);
		pci_write32(d, at, low);
		if (mask == 0 || mask == 0xffffffff)
			continue;
		if (mask & 1) {
			b->is_io = true;
			b->addr = low & 0xfffc;
			mask = (mask & ~3ull) | 0xffffffffffff0000ull;
		} else {
			b->is_64 = (mask & 6) == 4 && i < 5;
			mask &= ~0xfull;
			if (b->is_64) {
				high = pci_read32(d, at + 4);
				pci_write32(d, at + 4, 0xffffffff);
				mask |= (uint64_t)pci_read32(d, at + 4) << 32;
				pci_write32(d, at + 4, high);
			} else {
				mask |= 0xffffffffull << 32;
			}
			b->addr = (uint64_t)high << 32 | (low & ~0xfu);
		}
		b->size = ~mask + 1;
		/* A size is a power of two; anything else is not a base register. */
		if (b->size & (b->size - 1))
			b->size = 0;
		if (b->is_64)
			i++;
	}
	pci_write16(d, 0x04, command);
}

static uint64_t memory_take(uint64_t size)
{
	uint64_t ecam = acpi.mcfg_base + ((uint64_t)acpi.mcfg_bus_start << 20);
	uint64_t ecam_end = acpi.mcfg_base + ((uint64_t)(acpi.mcfg_bus_end + 1) << 20);
	uint64_t at = ALIGN_UP(memory_next, size);

	if (acpi.mcfg_base && at < ecam_end && at + size > ecam)
		at = ALIGN_UP(ecam_end, size);
	if (at + size > MEMORY_LIMIT || at + size < at)
		return 0;
	memory_next = at + size;
	return at;
}

static uint64_t port_take(uint64_t size)
{
	uint64_t at = ALIGN_UP(port_next, size);

	if (size > 256 || at + size > PORT_LIMIT)
		return 0;
	port_next = at + size;
	return at;
}

static void bar_assign(struct pci_device *d, unsigned i)
{
	struct pci_bar *b = &d->bars[i];
	uint64_t addr = b->is_io ? port_take(b->size) : memory_take(MAX(b->size, PAGE_SIZE));

	if (!addr) {
		log_warn("pci: no room for base register %u of %02x:%02x.%x", i, d->bus, d->slot,
			 d->function);
		return;
	}
	b->addr = addr;
	pci_write32(d, 0x10 + 4 * i, (uint32_t)addr);
	if (b->is_64)
		pci_write32(d, 0x14 + 4 * i, (uint32_t)(addr >> 32));
}

/* The largest first, so that alignment wastes little. */
static void function_assign(struct pci_device *d)
{
	for (;;) {
		int best = -1;

		for (int i = 0; i < 6; i++)
			if (d->bars[i].size && !d->bars[i].addr &&
			    (best < 0 || d->bars[i].size > d->bars[best].size))
				best = i;
		if (best < 0)
			return;
		bar_assign(d, (unsigned)best);
		if (!d->bars[best].addr)
			d->bars[best].size = 0; /* no room: as if it did not exist */
	}
}

static void bus_assign(uint8_t bus, unsigned depth);

/* A window is closed when its base lies above its limit; one that starts at 0 was never set. */
static bool window_closed(uint32_t base, uint32_t limit)
{
	return base > limit || base == 0;
}

/* Has nobody opened a window of this bridge? */
static bool bridge_closed(const struct pci_device *bridge)
{
	uint32_t memory = pci_read32(bridge, 0x20), prefetch = pci_read32(bridge, 0x24);
	uint16_t port = pci_read16(bridge, 0x1c);

	return window_closed(memory & 0xfff0, memory >> 16 & 0xfff0) &&
	       window_closed(prefetch & 0xfff0, prefetch >> 16 & 0xfff0) &&
	       window_closed(port & 0xf0, port >> 8 & 0xf0);
}

static void bridge_assign(struct pci_device *bridge, unsigned depth)
{
	uint8_t secondary = pci_read8(bridge, 0x19);
	uint64_t memory_start, port_start, memory_end, port_end;

	if (!bridge_is_ours[secondary] && !bridge_closed(bridge))
		return;
	memory_start = memory_next = ALIGN_UP(memory_next, BRIDGE_MEMORY_ALIGN);
	port_start = port_next = ALIGN_UP(port_next, BRIDGE_PORT_ALIGN);
	bus_assign(secondary, depth + 1);
	memory_end = memory_next = ALIGN_UP(memory_next, BRIDGE_MEMORY_ALIGN);
	port_end = port_next = ALIGN_UP(port_next, BRIDGE_PORT_ALIGN);
	/* An empty window is one whose base lies above its limit; so is the prefetchable one. */
	pci_write16(bridge, 0x20, memory_end > memory_start ? (uint16_t)(memory_start >> 16) : 0xfff0);
	pci_write16(bridge, 0x22, memory_end > memory_start ? (uint16_t)((memory_end - 1) >> 16) : 0);
	pci_write16(bridge, 0x24, 0xfff0);
	pci_write16(bridge, 0x26, 0);
	pci_write8(bridge, 0x1c, port_end > port_start ? (uint8_t)(port_start >> 8) : 0xf0);
	pci_write8(bridge, 0x1d, port_end > port_start ? (uint8_t)((port_end - 1) >> 8) : 0);
	pci_write16(bridge, 0x04, pci_read16(bridge, 0x04) | 7);
}

static void bus_assign(uint8_t bus, unsigned depth)
{
	struct pci_device *d;

	list_for_each(d, &pci_devices, link) {
		if (d->bus != bus)
			continue;
		if (d->header_type == 1 && depth < 8)
			bridge_assign(d, depth);
		else if (d->header_type == 0)
			function_assign(d);
	}
}

void pci_assign(void)
{
	struct pci_device *d;

	memory_next = MEMORY_FLOOR;
	port_next = PORT_FLOOR;
	for (unsigned i = 0; i < boot_info.nranges; i++)
		if (boot_info.ranges[i].type == 1 && boot_info.ranges[i].start < GIB(4))
			memory_next = MAX(memory_next, MIN(boot_info.ranges[i].end, GIB(4)));
	list_for_each(d, &pci_devices, link) {
		for (unsigned i = 0; i < 6; i++) {
			const struct pci_bar *b = &d->bars[i];
			uint64_t end = b->addr + b->size;

			if (!b->addr || !b->size)
				continue;
			if (b->is_io && end > port_next && end <= PORT_LIMIT)
				port_next = end;
			else if (!b->is_io && end > memory_next && end <= MEMORY_LIMIT)
				memory_next = end;
		}
	}
	/* Bus 0 and bridges that are still closed: where the firmware opened windows they rule. */
	bus_assign(0, 0);
}
