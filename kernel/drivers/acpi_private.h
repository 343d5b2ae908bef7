/*
 * kernel/drivers/acpi_private.h - what acpi.c found, for the other files of this room.
 */
#ifndef IBRIK_DRIVERS_ACPI_PRIVATE_H
#define IBRIK_DRIVERS_ACPI_PRIVATE_H

#include "drivers/acpi_tables.h"

struct acpi_private {
	bool have_fadt;
	struct acpi_fadt fadt;
	struct acpi_s5 s5;
	const uint8_t *dsdt;  /* checked and mapped, or NULL */
	uint32_t dsdt_bytes;
};
extern struct acpi_private acpi_private;

/*
 * Bytes of firmware memory, for ever mapped: the direct map where mm covers the range, else an
 * uncached mapping. NULL on failure.
 */
const uint8_t *firmware_map(paddr_t addr, size_t len);

/* Maps the registers that machine_power_off() writes. Called once by acpi_init(). */
void power_init(void);

#endif
