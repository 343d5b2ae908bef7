/*
 * kernel/drivers/acpi.h - the few facts we take from ACPI tables (no AML interpreter).
 *
 * acpi_init() runs early on the boot CPU (after mm_init, no threads yet): it finds the RSDP (given by
 * the boot protocol, else scanned for), checks checksums and lengths, and reads MADT, FADT, MCFG and
 * HPET. Missing or broken tables leave the defaults, with one log line.
 * Source: ACPI Specification 6.5, sections 5.2.5 to 5.2.12.
 */
#ifndef IBRIK_DRIVERS_ACPI_H
#define IBRIK_DRIVERS_ACPI_H

#include "lib/types.h"
#include "core/thread.h"

struct acpi_ioapic { uint32_t id, gsi_base; paddr_t addr; };
struct acpi_override { uint8_t isa_irq; uint32_t gsi; bool level, active_low; };

struct acpi_info {
	unsigned ncpus;                  /* enabled processors, at least 1 */
	uint32_t apic_ids[MAX_CPUS];     /* [0] is not necessarily the boot CPU */
	paddr_t lapic_addr;
	unsigned nioapics;
	struct acpi_ioapic ioapics[8];
	unsigned noverrides;
	struct acpi_override overrides[16];
	paddr_t mcfg_base; uint16_t mcfg_segment; uint8_t mcfg_bus_start, mcfg_bus_end; /* base 0 = none; it is bus 0's, whichever bus is the first */
	paddr_t hpet_base;
	uint32_t pm_timer_port;          /* 0 = none */
	bool pm_timer_32bit;
	bool has_8042;
	/* the rest (PM1 blocks, SLP_TYP of _S5, reset register, sleep registers) stays private */
};
extern struct acpi_info acpi;

void acpi_init(void);
/* Requests the SCI and enables the power button. Part of drivers_init(). */
void acpi_enable_events(void);

#endif
