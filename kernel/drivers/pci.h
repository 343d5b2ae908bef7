/*
 * kernel/drivers/pci.h - PCI functions, as drivers see them.
 *
 * pci_scan() finds every function behind every host bridge of segment 0, gives addresses to base
 * registers that the firmware left empty, and enables the functions that have a driver (PCI_DRIVER in
 * device.h), while the others may not use their interrupt line; pci_probe() offers them to it. All of this runs on one thread, of drivers_find() and
 * drivers_init(); configuration space is not touched by anybody else.
 *
 * Whatever changes the machine's address map (base registers, bridge windows, the bits of the command
 * register that turn decoding and bus mastering on) is done by pci_scan(), while the boot CPU is
 * alone: see there.
 *
 * Errors: functions answer negative errno; a mapping answers NULL.
 */
#ifndef IBRIK_DRIVERS_PCI_H
#define IBRIK_DRIVERS_PCI_H

#include "core/irq.h"
#include "lib/list.h"
#include "lib/types.h"

struct pci_bar {
	uint64_t addr; /* 0 = not assigned */
	uint64_t size; /* 0 = not there */
	bool is_io, is_64;
};

struct pci_device {
	uint8_t bus, slot, function;
	uint8_t header_type;
	uint16_t vendor, device, subsystem;
	uint32_t class_code;   /* class << 16 | subclass << 8 | interface */
	uint8_t irq_line;
	struct pci_bar bars[6];
	uint8_t msix_cap;      /* offset in configuration space, 0 = none */
	uint16_t msix_vectors;
	volatile uint8_t *msix_table;
	struct list link;
};

void pci_scan(void);
void pci_probe(void);

uint8_t pci_read8(const struct pci_device *d, unsigned offset);
uint16_t pci_read16(const struct pci_device *d, unsigned offset);
uint32_t pci_read32(const struct pci_device *d, unsigned offset);
void pci_write8(const struct pci_device *d, unsigned offset, uint8_t value);
void pci_write16(const struct pci_device *d, unsigned offset, uint16_t value);
void pci_write32(const struct pci_device *d, unsigned offset, uint32_t value);

/* The next capability with this id behind `from` (0 = the first), or 0. */
unsigned pci_capability(const struct pci_device *d, uint8_t id, unsigned from);
/* Maps [offset, offset + len) of a memory base register. */
volatile uint8_t *pci_bar_map(const struct pci_device *d, unsigned bar, uint64_t offset, uint64_t len);
/* The port of an I/O base register of at least len bytes, or 0. */
uint16_t pci_bar_port(const struct pci_device *d, unsigned bar, unsigned len);

/*
 * MSI-X: pci_msix_enable() maps the table and answers the number of vectors;
 * pci_msix_set() connects one. -ENODEV when the function has no MSI-X.
 */
int pci_msix_enable(struct pci_device *d);
int pci_msix_set(struct pci_device *d, unsigned index, irq_handler_fn *handler, void *arg,
		 unsigned cpu);
void pci_msix_disable(struct pci_device *d);
/* MSI with its one vector. -ENODEV when the function has no MSI. */
int pci_msi_enable(struct pci_device *d, irq_handler_fn *handler, void *arg, unsigned cpu);
/* The interrupt line that the firmware routed. */
int pci_intx_request(const struct pci_device *d, irq_handler_fn *handler, void *arg);

#endif
