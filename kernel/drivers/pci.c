/*
 * kernel/drivers/pci.c - configuration space, the scan, base registers, MSI-X.
 *
 * Theory:  configuration mechanism 1 (ports 0xcf8/0xcfc) exists on every PC and reaches the 256 bytes we
 *          need; a machine without it (microvm,pcie=on) has the memory-mapped one of MCFG. Bus numbers,
 *          bridge windows and base registers are the firmware's work; minimal firmware (qboot) leaves
 *          them empty, and pci_assign.c then fills them in.
 * Locking: one thread, during drivers_find() and drivers_init().
 * Source:  PCI Local Bus Specification 3.0, chapter 6; PCI Firmware Specification 3.3 (ECAM).
 */
#include "core/log.h"
#include "drivers/acpi.h"
#include "drivers/device.h"
#include "drivers/pci.h"
#include "drivers/pci_private.h"
#include "io.h"
#include "mm/mm.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define COMMAND 0x04
#define COMMAND_IO 1u
#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define COMMAND_NO_INTX (1u << 10)
#define STATUS_CAPABILITIES (1u << 4)
#define MSIX_ENABLE (1u << 15)
#define MSIX_MASK_ALL (1u << 14)
#define MSI_ENABLE 1u
#define MSI_COUNT (7u << 4)
#define MSI_64BIT (1u << 7)
#define CLASS_BRIDGE 0x06 /* host bridges and the like: nothing there for a driver */
#define MAX_DEVICES 256

struct list pci_devices = LIST_INIT(pci_devices);

extern const struct pci_driver *const __drivers_pci_start[], *const __drivers_pci_end[];

static bool use_ecam;
static volatile uint8_t *ecam_bus[256]; /* mapped when first used */
static unsigned ndevices;

static volatile uint8_t *ecam(const struct pci_device *d, unsigned offset)
{
	volatile uint8_t **map = &ecam_bus[d->bus];

	if (!*map)
		*map = ioremap(acpi.mcfg_base + ((paddr_t)d->bus << 20), MIB(1));
	return *map ? *map + (d->slot << 15 | d->function << 12 | offset) : NULL;
}

static uint16_t select(const struct pci_device *d, unsigned offset)
{
	outl(CONFIG_ADDRESS, 1u << 31 | (uint32_t)d->bus << 16 | (uint32_t)d->slot << 11 |
				     (uint32_t)d->function << 8 | (offset & 0xfc));
	return (uint16_t)(CONFIG_DATA + (offset & 3));
}

uint8_t pci_read8(const struct pci_device *d, unsigned offset)
{
	volatile uint8_t *p;

	if (!use_ecam)
		return inb(select(d, offset));
	p = ecam(d, offset);
	return p ? mmio_read8(p) : 0xff;
}

uint16_t pci_read16(const struct pci_device *d, unsigned offset)
{
	volatile uint8_t *p;

	if (!use_ecam)
		return inw(select(d, offset));
	p = ecam(d, offset);
	return p ? mmio_read16(p) : 0xffff;
}

uint32_t pci_read32(const struct pci_device *d, unsigned offset)
{
	volatile uint8_t *p;

	if (!use_ecam)
		return inl(select(d, offset));
	p = ecam(d, offset);
	return p ? mmio_read32(p) : 0xffffffff;
}

void pci_write8(const struct pci_device *d, unsigned offset, uint8_t value)
{
	volatile uint8_t *p;

	if (!use_ecam)
		outb(select(d, offset), value);
	else if ((p = ecam(d, offset)))
		mmio_write8(p, value);
}

void pci_write16(const struct pci_device *d, unsigned offset, uint16_t value)
{
	volatile uint8_t *p;

	if (!use_ecam)
		outw(select(d, offset), value);
	else if ((p = ecam(d, offset)))
		mmio_write16(p, value);
}

void pci_write32(const struct pci_device *d, unsigned offset, uint32_t value)
{
	volatile uint8_t *p;

	if (!use_ecam)
		outl(select(d, offset), value);
	else if ((p = ecam(d, offset)))
		mmio_write32(p, value);
}

unsigned pci_capability(const struct pci_device *d, uint8_t id, unsigned from)
{
	unsigned at;

	if (!(pci_read16(d, 0x06) & STATUS_CAPABILITIES))
		return 0;
	at = pci_read8(d, from ? from + 1 : 0x34) & 0xfc;
	/* At most 48 capabilities fit: a longer chain is a loop. */
	for (unsigned i = 0; at >= 0x40 && i < 48; i++) {
		if (pci_read8(d, at) == id)
			return at;
		at = pci_read8(d, at + 1) & 0xfc;
	}
	return 0;
}

/* Lets the function decode its base registers and master the bus. */
static void enable(const struct pci_device *d)
{
	uint16_t command = pci_read16(d, COMMAND);

	pci_write16(d, COMMAND,
		    (uint16_t)((command | COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER) &
			       ~COMMAND_NO_INTX));
}

/* Nobody will take back what it requests on its line, which another function may share. */
static void silence(const struct pci_device *d)
{
	pci_write16(d, COMMAND, pci_read16(d, COMMAND) | COMMAND_NO_INTX);
}

volatile uint8_t *pci_bar_map(const struct pci_device *d, unsigned bar, uint64_t offset, uint64_t len)
{
	const struct pci_bar *b = &d->bars[bar];

	if (bar >= ARRAY_SIZE(d->bars) || b->is_io || !b->addr || len == 0 || offset > b->size ||
	    len > b->size - offset)
		return NULL;
	return ioremap(b->addr + offset, len);
}

uint16_t pci_bar_port(const struct pci_device *d, unsigned bar, unsigned len)
{
	const struct pci_bar *b = &d->bars[bar];

	if (bar >= ARRAY_SIZE(d->bars) || !b->is_io || !b->addr || b->size < len || b->addr > 0xffff)
		return 0;
	return (uint16_t)b->addr;
}

int pci_msix_enable(struct pci_device *d)
{
	uint32_t table;
	uint16_t control;

	if (!d->msix_cap)
		return -ENODEV;
	if (!d->msix_table) {
		table = pci_read32(d, d->msix_cap + 4u);
		d->msix_table = pci_bar_map(d, table & 7, table & ~7u, 16ull * d->msix_vectors);
		if (!d->msix_table)
			return -ENODEV;
	}
	/* Every vector is masked after a reset, and firmware has no use for them. */
	control = pci_read16(d, d->msix_cap + 2u);
	pci_write16(d, d->msix_cap + 2u, (uint16_t)((control | MSIX_ENABLE) & ~MSIX_MASK_ALL));
	pci_write16(d, COMMAND, pci_read16(d, COMMAND) | COMMAND_NO_INTX);
	return d->msix_vectors;
}

int pci_msix_set(struct pci_device *d, unsigned index, irq_handler_fn *handler, void *arg,
		 unsigned cpu)
{
	volatile uint8_t *entry = d->msix_table + 16 * index;
	uint64_t addr;
	uint32_t data;
	int vector;

	if (index >= d->msix_vectors)
		return -EINVAL;
	vector = irq_alloc_msi(handler, arg, cpu, &addr, &data);
	if (vector < 0)
		return vector;
	mmio_write32(entry, (uint32_t)addr);
	mmio_write32(entry + 4, (uint32_t)(addr >> 32));
	mmio_write32(entry + 8, data);
	mmio_write32(entry + 12, 0);
	return 0;
}

void pci_msix_disable(struct pci_device *d)
{
	if (!d->msix_cap)
		return;
	pci_write16(d, d->msix_cap + 2u, pci_read16(d, d->msix_cap + 2u) & (uint16_t)~MSIX_ENABLE);
	pci_write16(d, COMMAND, pci_read16(d, COMMAND) & (uint16_t)~COMMAND_NO_INTX);
}

int pci_msi_enable(struct pci_device *d, irq_handler_fn *handler, void *arg, unsigned cpu)
{
	unsigned cap = pci_capability(d, 0x05, 0);
	uint16_t control;
	uint64_t addr;
	uint32_t data;
	int vector;

	if (!cap)
		return -ENODEV;
	vector = irq_alloc_msi(handler, arg, cpu, &addr, &data);
	if (vector < 0)
		return vector;
	control = pci_read16(d, cap + 2);
	if (!(control & MSI_64BIT) && addr >> 32)
		return -ENOSPC;
	pci_write32(d, cap + 4, (uint32_t)addr);
	if (control & MSI_64BIT)
		pci_write32(d, cap + 8, (uint32_t)(addr >> 32));
	pci_write16(d, cap + (control & MSI_64BIT ? 12 : 8), (uint16_t)data);
	pci_write16(d, cap + 2, (uint16_t)((control & ~MSI_COUNT) | MSI_ENABLE));
	pci_write16(d, COMMAND, pci_read16(d, COMMAND) | COMMAND_NO_INTX);
	return 0;
}

int pci_intx_request(const struct pci_device *d, irq_handler_fn *handler, void *arg)
{
	/*
	 * Which I/O APIC pin an INTx line reaches stands in AML, which we do not read. The firmware also
	 * routed it to one of the old interrupts, and chipsets keep that route alive.
	 */
	if (d->irq_line == 0 || d->irq_line > 15)
		return -ENODEV;
	for (unsigned i = 0; i < acpi.noverrides; i++)
		if (acpi.overrides[i].isa_irq == d->irq_line)
			return irq_request_isa(d->irq_line, handler, arg);
	return irq_request_gsi(d->irq_line, true, true, handler, arg);
}

static void scan_bus(uint8_t bus, unsigned depth);

static void add_function(uint8_t bus, uint8_t slot, uint8_t function, uint8_t header, unsigned depth)
{
	struct pci_device *d;

	if (ndevices >= MAX_DEVICES || !(d = kzalloc(sizeof(*d)))) {
		log_warn("pci: too many functions, %02x:%02x.%x ignored", bus, slot, function);
		return;
	}
	ndevices++;
	d->bus = bus;
	d->slot = slot;
	d->function = function;
	d->header_type = header & 0x7f;
	d->vendor = pci_read16(d, 0x00);
	d->device = pci_read16(d, 0x02);
	d->class_code = pci_read32(d, 0x08) >> 8;
	d->irq_line = pci_read8(d, 0x3c);
	list_push_back(&pci_devices, &d->link);
	if (d->header_type == 1) {
		uint8_t secondary = pci_read8(d, 0x19);

		if (!secondary)
			pci_bridge_number(d);
		secondary = pci_read8(d, 0x19);
		if (secondary > bus && depth < 8)
			scan_bus(secondary, depth + 1);
		pci_bridge_numbered(d);
		return;
	}
	if (d->header_type != 0)
		return;
	d->subsystem = pci_read16(d, 0x2e);
	if (d->class_code >> 16 != CLASS_BRIDGE)
		pci_bars_read(d);
	d->msix_cap = (uint8_t)pci_capability(d, 0x11, 0);
	if (d->msix_cap)
		d->msix_vectors = (uint16_t)((pci_read16(d, d->msix_cap + 2u) & 0x7ff) + 1);
}

static void scan_bus(uint8_t bus, unsigned depth)
{
	if (use_ecam && (bus < acpi.mcfg_bus_start || bus > acpi.mcfg_bus_end))
		return;
	pci_bus_seen(bus);
	for (unsigned slot = 0; slot < 32; slot++) {
		unsigned nfunctions = 1;

		for (unsigned function = 0; function < nfunctions; function++) {
			struct pci_device at = { .bus = bus, .slot = (uint8_t)slot,
						 .function = (uint8_t)function };
			uint16_t vendor = pci_read16(&at, 0x00);
			uint8_t header;

			if (vendor == 0xffff || vendor == 0)
				continue;
			header = pci_read8(&at, 0x0e);
			if (function == 0 && (header & 0x80))
				nfunctions = 8;
			add_function(bus, (uint8_t)slot, (uint8_t)function, header, depth);
		}
	}
}

static const struct pci_driver *driver_of(const struct pci_device *d)
{
	for (const struct pci_driver *const *drv = __drivers_pci_start; drv < __drivers_pci_end; drv++)
		if (d->header_type == 0 && (*drv)->matches(d))
			return *drv;
	return NULL;
}

/*
 * With the boot CPU alone, because emulators change their address map under the feet of the other CPUs: QEMU's
 * tcg_commit() (seen in 7.2) replaces the table of memory regions at once, but a CPU that runs translated code
 * drops its cached indices into the old one later, and a store to a device in between reaches another device. An
 * interrupt that one CPU sent to the next went to the HPET that way. Real machines do not mind the order.
 */
void pci_scan(void)
{
	struct pci_device *d;

	outl(CONFIG_ADDRESS, 1u << 31);
	if (inl(CONFIG_ADDRESS) != 1u << 31) {
		if (!acpi.mcfg_base)
			return;
		use_ecam = true;
	}
	scan_bus(use_ecam ? acpi.mcfg_bus_start : 0, 0);
	pci_assign();
	list_for_each(d, &pci_devices, link) {
		log_debug("pci: %02x:%02x.%x %04x:%04x class %06x", d->bus, d->slot, d->function, d->vendor,
			  d->device, d->class_code);
		if (driver_of(d))
			enable(d);
		else if (d->header_type == 0)
			silence(d);
	}
}

void pci_probe(void)
{
	struct pci_device *d;

	list_for_each(d, &pci_devices, link) {
		const struct pci_driver *drv = driver_of(d);
		if (drv)
			drv->probe(d);
	}
}
