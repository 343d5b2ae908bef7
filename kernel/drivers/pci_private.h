/*
 * kernel/drivers/pci_private.h - between pci.c (the scan) and pci_assign.c (addresses).
 */
#ifndef IBRIK_DRIVERS_PCI_PRIVATE_H
#define IBRIK_DRIVERS_PCI_PRIVATE_H

#include "drivers/pci.h"

extern struct list pci_devices; /* in the order of the scan: a bridge before what is behind it */

/* Notes a bus number that is in use. */
void pci_bus_seen(uint8_t bus);
/* Gives a bridge without a secondary bus the next free number, open downward. */
void pci_bridge_number(struct pci_device *bridge);
/* Closes the range of bus numbers of such a bridge when everything behind it has been scanned. */
void pci_bridge_numbered(struct pci_device *bridge);
/* Reads and sizes the base registers of a function. */
void pci_bars_read(struct pci_device *d);
/* Assigns what the firmware left unassigned. */
void pci_assign(void);

#endif
