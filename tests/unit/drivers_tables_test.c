/*
 * tests/unit/drivers_tables_test.c - ACPI, MP and IDENTIFY tables as real firmware and disks write them, and
 * the ways in which they are cut short.
 */
// sources: kernel/drivers/acpi_tables.c
#include <stdio.h>
#include "drivers/acpi_tables.h"
#include "drivers/ata.h"

static int failed;

static void check(const char *name, bool ok)
{
	printf(ok ? "ok %s\n" : "not ok %s\n", name);
	failed |= !ok;
}

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void seal(uint8_t *p, size_t len, size_t at)
{
	uint8_t sum = 0;

	p[at] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	p[at] = (uint8_t)-sum;
}

static void header(uint8_t *p, const char *signature, size_t len)
{
	__builtin_memcpy(p, signature, 4);
	put(p + 4, len, 4);
	p[8] = 6;
}

static void test_rsdp(void)
{
	uint8_t p[36] = "RSD PTR ";
	paddr_t root;
	bool xsdt;

	put(p + 16, 0x7fe1234, 4);
	seal(p, 20, 8);
	check("rsdp revision 0 gives the RSDT",
	      acpi_parse_rsdp(p, 36, &root, &xsdt) == 0 && root == 0x7fe1234 && !xsdt);
	p[15] = 2;
	put(p + 24, 0x1122334455, 8);
	seal(p, 20, 8);
	seal(p, 36, 32);
	check("rsdp revision 2 gives the XSDT",
	      acpi_parse_rsdp(p, 36, &root, &xsdt) == 0 && root == 0x1122334455 && xsdt);
	p[33] ^= 1;
	check("rsdp with a bad second checksum falls back to the RSDT",
	      acpi_parse_rsdp(p, 36, &root, &xsdt) == 0 && !xsdt);
	p[3] ^= 1;
	check("rsdp with a bad signature is refused", acpi_parse_rsdp(p, 36, &root, &xsdt) == -EINVAL);
	check("rsdp cut short is refused", acpi_parse_rsdp(p, 19, &root, &xsdt) == -EINVAL);
}

static void test_madt(void)
{
	static const uint8_t entries[] = {
		0, 8, 0, 0, 1, 0, 0, 0,                         /* CPU, APIC id 0 */
		0, 8, 1, 5, 1, 0, 0, 0,                         /* CPU, APIC id 5 */
		0, 8, 2, 6, 0, 0, 0, 0,                         /* not enabled */
		1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,      /* I/O APIC */
		2, 10, 0, 0, 2, 0, 0, 0, 0, 0,                  /* IRQ 0 -> GSI 2, as the bus */
		2, 10, 0, 9, 9, 0, 0, 0, 0xd, 0,                /* level, active high */
		2, 10, 0, 11, 11, 0, 0, 0, 0xf, 0,              /* level, active low */
		9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, /* x2APIC id 256 */
		5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0,      /* APICs at 0x1fee00000 */
	};
	uint8_t p[44 + sizeof(entries)] = { 0 };
	struct acpi_info info = { 0 };

	header(p, "APIC", sizeof(p));
	put(p + 36, 0xfee00000, 4);
	__builtin_memcpy(p + 44, entries, sizeof(entries));
	seal(p, sizeof(p), 9);
	check("madt passes its check", acpi_check_table(p, sizeof(p), "APIC") == 0);
	check("madt is read", acpi_parse_madt(p, sizeof(p), &info) == 0);
	check("madt counts enabled processors", info.ncpus == 3 && info.apic_ids[1] == 5 && info.apic_ids[2] == 256);
	check("madt gives the I/O APIC", info.nioapics == 1 && info.ioapics[0].addr == 0xfec00000);
	check("madt gives overrides", info.noverrides == 3 && info.overrides[0].gsi == 2 &&
	      !info.overrides[0].level && info.overrides[1].level && !info.overrides[1].active_low &&
	      info.overrides[2].active_low);
	check("madt moves the local APICs", info.lapic_addr == 0x1fee00000);
	p[50] ^= 1;
	check("madt with a flipped bit is refused", acpi_check_table(p, sizeof(p), "APIC") == -EINVAL);
	p[45] = 0;
	check("madt with an entry of no length ends there", acpi_parse_madt(p, sizeof(p), &info) == -EINVAL);
}

static void test_s5(void)
{
	static const uint8_t q35[] = { 0x10, 0x11, 0x22, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0 };
	static const uint8_t bochs[] = { 0x08, '\\', '_', 'S', '5', '_', 0x12, 8, 4, 0x0a, 5, 0x0a, 6, 0, 0 };
	static const uint8_t call[] = { 0x70, '_', 'S', '5', '_', 0x60, 0x12, 6, 4, 1, 1, 0, 0, 0, 0 };
	struct acpi_s5 s5;

	acpi_find_s5(q35, sizeof(q35), &s5);
	check("s5 of q35 is type 0", s5.found && s5.type_a == 0 && s5.type_b == 0);
	acpi_find_s5(bochs, sizeof(bochs), &s5);
	check("s5 with a root prefix and byte constants", s5.found && s5.type_a == 5 && s5.type_b == 6);
	acpi_find_s5(call, sizeof(call), &s5);
	check("s5 that is only used is not taken", !s5.found);
	for (size_t cut = 0; cut < 11; cut++) {
		acpi_find_s5(bochs, cut, &s5);
		if (s5.found)
			break;
	}
	check("s5 cut short is not taken", !s5.found);
}

struct found { paddr_t addr; unsigned gsi, n; bool level; };

static void note(paddr_t addr, uint32_t bytes, unsigned gsi, bool level, bool low, void *arg)
{
	struct found *f = arg;

	f->addr = addr;
	f->gsi = gsi;
	f->level = level && !low && bytes == 512;
	f->n++;
}

static void test_virtio_mmio(void)
{
	static const uint8_t aml[] = {
		0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0, 0x08, '_', 'C', 'R', 'S',
		0x11, 0x1a, 0x0a, 0x17, 0x86, 0x09, 0x00, 0x01, 0x00, 0x2e, 0xb0, 0xfe, 0x00, 0x02, 0x00, 0x00,
		0x89, 0x06, 0x00, 0x01, 0x01, 0x2f, 0x00, 0x00, 0x00, 0x79, 0x00,
	};
	struct found f = { 0 };

	acpi_find_virtio_mmio(aml, sizeof(aml), note, &f);
	check("virtio-mmio device of the DSDT", f.n == 1 && f.addr == 0xfeb02e00 && f.gsi == 47 && f.level);
	f.n = 0;
	acpi_find_virtio_mmio(aml, sizeof(aml) - 8, note, &f);
	check("virtio-mmio device cut short is not taken", f.n == 0);
}

static void test_mp(void)
{
	uint8_t p[44 + 20 + 20 + 8 + 8 + 8] = "PCMP";
	struct acpi_info info = { 0 };

	put(p + 4, sizeof(p), 2);
	put(p + 36, 0xfee00000, 4);
	p[44 + 3] = 3;
	p[64 + 1] = 1;
	p[64 + 3] = 1;
	p[84] = 1;
	__builtin_memcpy(p + 86, "ISA   ", 6);
	p[92] = 2;
	p[92 + 3] = 1;
	put(p + 96, 0xfec00000, 4);
	p[100] = 3;
	p[100 + 7] = 2;
	seal(p, sizeof(p), 7);
	check("mp table", mp_parse_table(p, sizeof(p), &info) == 0 && info.ncpus == 2 && info.nioapics == 1 &&
	      info.noverrides == 1 && info.overrides[0].gsi == 2);
}

static void test_identify(void)
{
	uint16_t w[256] = { 0 };
	struct ata_identity id;

	w[49] = 0x300;
	w[60] = 0x1000;
	check("identify with 28-bit addresses", ata_identify_parse(w, &id) == 0 && !id.lba48 && id.dma && id.sectors == 0x1000);
	w[83] = 0x4400;
	w[102] = 1;
	check("identify with 48-bit addresses", ata_identify_parse(w, &id) == 0 && id.lba48 && id.sectors == 1ull << 32);
	w[106] = 0x5000;
	check("identify with large sectors is refused", ata_identify_parse(w, &id) == -EINVAL);
	w[106] = 0;
	w[0] = 0x8580;
	check("identify of a CD-ROM drive is refused", ata_identify_parse(w, &id) == -EINVAL);
}

int main(void)
{
	test_rsdp();
	test_madt();
	test_s5();
	test_virtio_mmio();
	test_mp();
	test_identify();
	return failed;
}
