/*
 * tests/fuzz/acpi_fuzz.c - wrong ACPI and MP tables. The first byte chooses the reader, the rest is the
 * table, in a block of exactly its size.
 */
// sources: kernel/drivers/acpi_tables.c
#include <stdlib.h>
#include "drivers/acpi_tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void emit(paddr_t addr, uint32_t bytes, unsigned gsi, bool level, bool active_low, void *arg)
{
	sink += addr + bytes + gsi + level + active_low;
	++*(unsigned *)arg;
}

static void check_info(const struct acpi_info *info)
{
	if (info->ncpus > MAX_CPUS || info->nioapics > 8 || info->noverrides > 16)
		abort();
	for (unsigned i = 0; i < info->noverrides; i++)
		if (info->overrides[i].isa_irq > 15)
			abort();
	if (info->mcfg_base && info->mcfg_bus_end < info->mcfg_bus_start)
		abort();
}

/* Makes the bytes add up, so that what lies behind the checksum is reached. */
static void fix_checksum(uint8_t *p, size_t len, size_t at)
{
	uint8_t sum = 0;

	if (at >= len)
		return;
	p[at] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	p[at] = (uint8_t)-sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct acpi_info info = { 0 };
	struct acpi_fadt fadt;
	struct acpi_s5 s5;
	paddr_t root;
	bool is_xsdt;
	unsigned found = 0;
	size_t len;
	uint8_t *p;

	if (size < 1)
		return 0;
	len = size - 1;
	p = malloc(len ? len : 1);
	if (!p)
		return 0;
	__builtin_memcpy(p, data + 1, len);
	switch (data[0] % 9) {
	case 0:
		fix_checksum(p, len < 20 ? len : 20, 8);
		if (acpi_parse_rsdp(p, len, &root, &is_xsdt) == 0 && root == 0)
			abort();
		break;
	case 1:
		acpi_parse_madt(p, len, &info);
		break;
	case 2:
		acpi_parse_fadt(p, len, &fadt);
		if (len >= 116 && fadt.reset.space > ACPI_SPACE_PORT)
			abort();
		break;
	case 3:
		acpi_parse_mcfg(p, len, &info);
		break;
	case 4:
		acpi_parse_hpet(p, len, &info);
		break;
	case 5:
		acpi_find_s5(p, len, &s5);
		if (s5.found && (s5.type_a > 7 || s5.type_b > 7))
			abort();
		break;
	case 6:
		acpi_find_virtio_mmio(p, len, emit, &found);
		break;
	case 7:
		fix_checksum(p, len, 7);
		mp_parse_table(p, len, &info);
		break;
	case 8:
		fix_checksum(p, len, 9);
		if (acpi_check_table(p, len, "XSDT") == 0)
			for (unsigned i = 0; i < acpi_root_count(p, len, true); i++)
				sink += acpi_root_entry(p, true, i);
		if (len >= 44)
			sink += mp_table_length(p) + acpi_table_length(p);
		if (mp_parse_pointer(p, len, &root) == 0 && root == 0)
			abort();
		break;
	}
	check_info(&info);
	free(p);
	return 0;
}
