/*
 * kernel/drivers/acpi_tables.h - reading ACPI and MP tables as plain bytes.
 *
 * Everything here is a pure function of (bytes, length): no hardware, no allocation, no state. acpi.c
 * brings the bytes; tests/fuzz/acpi_fuzz.c brings wrong ones. A table is believed only as far as its
 * length and its checksum allow. Results are 0 or -EINVAL unless a line says otherwise.
 */
#ifndef IBRIK_DRIVERS_ACPI_TABLES_H
#define IBRIK_DRIVERS_ACPI_TABLES_H

#include "drivers/acpi.h"

#define ACPI_HEADER_BYTES 36
#define ACPI_RSDP_BYTES 36
#define ACPI_MAX_TABLE_BYTES (1u << 20)

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_PORT = 1 };

struct acpi_register { /* generic address structure; addr 0 = none */
	uint8_t space;
	uint8_t bits;
	uint64_t addr;
};

struct acpi_fadt {
	bool hardware_reduced;
	bool reset_supported;
	uint16_t sci_irq;
	uint16_t smi_command;
	uint8_t enable_value;      /* written to smi_command to switch ACPI mode on */
	uint8_t pm1_event_bytes;
	struct acpi_register pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm_timer;
	bool pm_timer_32bit;
	bool power_button_fixed;   /* the button is a bit of the PM1 event block */
	bool has_8042, has_vga;
	struct acpi_register reset;
	uint8_t reset_value;
	struct acpi_register sleep_control, sleep_status;
	paddr_t dsdt;
};

struct acpi_s5 {
	bool found;
	uint8_t type_a, type_b;
};

/* True if the bytes add up to zero. */
bool acpi_checksum_ok(const uint8_t *p, size_t len);
/* The root table of an RSDP; *is_xsdt says how wide its entries are. */
int acpi_parse_rsdp(const uint8_t *p, size_t len, paddr_t *root, bool *is_xsdt);
/* Length field of a table header (at least ACPI_HEADER_BYTES are readable); 0 if it is not plausible. */
uint32_t acpi_table_length(const uint8_t *header);
/* Signature, length and checksum of a whole table. */
int acpi_check_table(const uint8_t *p, size_t len, const char *signature);
unsigned acpi_root_count(const uint8_t *p, size_t len, bool is_xsdt);
paddr_t acpi_root_entry(const uint8_t *p, bool is_xsdt, unsigned index);

/* These expect a table that acpi_check_table() accepted. */
int acpi_parse_madt(const uint8_t *p, size_t len, struct acpi_info *info);
int acpi_parse_fadt(const uint8_t *p, size_t len, struct acpi_fadt *fadt);
int acpi_parse_mcfg(const uint8_t *p, size_t len, struct acpi_info *info);
int acpi_parse_hpet(const uint8_t *p, size_t len, struct acpi_info *info);

/* Searches AML for the package Name(_S5, ...). */
void acpi_find_s5(const uint8_t *p, size_t len, struct acpi_s5 *s5);
/* Searches AML for virtio-mmio devices (_HID LNRO0005) and their resources. */
void acpi_find_virtio_mmio(const uint8_t *p, size_t len,
			   void (*emit)(paddr_t addr, uint32_t bytes, unsigned gsi, bool level,
					bool active_low, void *arg),
			   void *arg);

/*
 * MultiProcessor Specification 1.4, for machines without ACPI (Firecracker, microvm,acpi=off).
 * mp_parse_pointer answers the address of the configuration table from the 16 bytes of an "_MP_"
 * structure; mp_table_length and mp_parse_table work like their ACPI counterparts.
 */
int mp_parse_pointer(const uint8_t *p, size_t len, paddr_t *table);
uint32_t mp_table_length(const uint8_t *header);
int mp_parse_table(const uint8_t *p, size_t len, struct acpi_info *info);

#endif
