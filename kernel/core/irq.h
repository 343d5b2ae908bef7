/*
 * kernel/core/irq.h - interrupts, as drivers see them (implemented in arch).
 *
 * A handler runs with interrupts off on one CPU: it must not sleep or allocate; it looks at its device
 * and calls thread_wake(). Several handlers may share a line; each answers whether it was its device.
 */
#ifndef IBRIK_CORE_IRQ_H
#define IBRIK_CORE_IRQ_H

#include "lib/types.h"

typedef bool irq_handler_fn(void *arg);

/* A vector for message-signalled interrupts, delivered to `cpu`. Returns the vector or -ENOSPC; the
 * device is programmed with *msi_addr and *msi_data. */
int irq_alloc_msi(irq_handler_fn *handler, void *arg, unsigned cpu, uint64_t *msi_addr,
		  uint32_t *msi_data);
/* A line of the I/O APIC (global system interrupt). level/low as the source says. */
int irq_request_gsi(unsigned gsi, bool level, bool active_low, irq_handler_fn *handler, void *arg);
/* A legacy ISA interrupt (0-15), through the MADT's overrides. */
int irq_request_isa(unsigned isa_irq, irq_handler_fn *handler, void *arg);

#endif
