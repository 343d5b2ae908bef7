/*
 * kernel/drivers/acpi.c - finds the firmware's tables and keeps the few facts we take from them.
 *
 * Order: the RSDP that the boot protocol named, else one found by scanning the EBDA and the BIOS area;
 * from it the XSDT or RSDT, and from that MADT, FADT (with the DSDT), MCFG and HPET. A machine without
 * ACPI may have a MultiProcessor table instead. What is missing or broken leaves the defaults of a PC
 * with one processor.
 *
 * Interface: acpi_init() once, early; afterwards `acpi` and `acpi_private` are read-only.
 * Locking:   none; one CPU.
 * Errors:    one log line each, never fatal.
 */
#include "cpu.h"
#include "core/boot.h"
#include "core/log.h"
#include "drivers/acpi_private.h"
#include "lib/string.h"
#include "mm/mm.h"

struct acpi_info acpi;
struct acpi_private acpi_private;

/*
 * The last uncached window: tables lie next to each other, so that one mapping serves them all. Windows
 * are never unmapped: pointers into an older one stay good.
 */
#define WINDOW_BYTES KIB(64)
static paddr_t window_start, window_end;
static const uint8_t *window;

const uint8_t *firmware_map(paddr_t addr, size_t len)
{
	paddr_t start = ALIGN_DOWN(addr, PAGE_SIZE), end;

	if (len == 0 || addr + len < addr || addr >> 52)
		return NULL;
	for (unsigned i = 0; i < boot_info.nranges; i++) {
		const struct boot_range *r = &boot_info.ranges[i];

		if ((r->type == 1 || r->type == 3 || r->type == 4) && addr >= r->start &&
		    addr + len <= r->end)
			return phys_to_virt(addr);
	}
	if (!window || addr < window_start || addr + len > window_end) {
		end = MAX(start + WINDOW_BYTES, ALIGN_UP(addr + len, PAGE_SIZE));
		window = ioremap(start, end - start);
		if (!window)
			return NULL;
		window_start = start;
		window_end = end;
	}
	return window + (addr - window_start);
}

/* A whole table with a good checksum and this signature (NULL: any), or NULL. */
static const uint8_t *table_map(paddr_t addr, const char *signature, uint32_t *len)
{
	const uint8_t *p = addr ? firmware_map(addr, ACPI_HEADER_BYTES) : NULL;
	char any[4];

	if (!p)
		return NULL;
	memcpy(any, p, 4);
	if (signature && memcmp(any, signature, 4) != 0)
		return NULL;
	*len = acpi_table_length(p);
	if (*len == 0 || !(p = firmware_map(addr, *len)) || acpi_check_table(p, *len, any) != 0) {
		log_warn("acpi: table %.4s at 0x%llx is broken, ignored", any, (unsigned long long)addr);
		return NULL;
	}
	return p;
}

static bool rsdp_at(paddr_t addr, paddr_t *root, bool *is_xsdt)
{
	const uint8_t *p = firmware_map(addr, ACPI_RSDP_BYTES);

	return p && acpi_parse_rsdp(p, ACPI_RSDP_BYTES, root, is_xsdt) == 0;
}

/* Calls `found` for each 16-byte paragraph of [start, end) that starts with the signature. */
static bool scan(paddr_t start, paddr_t end, const char *signature, size_t sig_len,
		 bool (*found)(paddr_t addr, void *arg), void *arg)
{
	const uint8_t *p = firmware_map(start, end - start);

	for (size_t i = 0; p && i + 16 <= end - start; i += 16)
		if (memcmp(p + i, signature, sig_len) == 0 && found(start + i, arg))
			return true;
	return false;
}

/* The first KiB of the extended BIOS data area, whose segment the BIOS leaves at 0x40e. */
static paddr_t ebda_address(void)
{
	const uint8_t *p = firmware_map(0x40e, 2);
	paddr_t ebda = p ? (paddr_t)(p[0] | p[1] << 8) << 4 : 0;

	return ebda >= 0x80000 && ebda < 0xa0000 ? ebda : 0;
}

static bool scan_firmware(const char *signature, size_t sig_len,
			  bool (*found)(paddr_t addr, void *arg), void *arg)
{
	paddr_t ebda = ebda_address();

	if (ebda && scan(ebda, ebda + 1024, signature, sig_len, found, arg))
		return true;
	/* The last KiB of base memory: MP tables of machines without a BIOS data area. */
	if (scan(0x9fc00, 0xa0000, signature, sig_len, found, arg))
		return true;
	return scan(0xe0000, 0x100000, signature, sig_len, found, arg);
}

struct root { paddr_t addr; bool is_xsdt; };

static bool found_rsdp(paddr_t addr, void *arg)
{
	struct root *root = arg;

	return rsdp_at(addr, &root->addr, &root->is_xsdt);
}

static bool found_mp(paddr_t addr, void *arg)
{
	const uint8_t *p = firmware_map(addr, 16);
	paddr_t table;
	uint32_t len;

	if (!p || mp_parse_pointer(p, 16, &table) != 0 || !(p = firmware_map(table, 44)))
		return false;
	len = mp_table_length(p);
	if (!len || !(p = firmware_map(table, len)))
		return false;
	return mp_parse_table(p, len, arg) == 0;
}

static void set_defaults(struct acpi_info *info)
{
	uint32_t a, b, c, d;

	memset(info, 0, sizeof(*info));
	cpuid(1, 0, &a, &b, &c, &d);
	info->ncpus = 1;
	info->apic_ids[0] = b >> 24;
	info->lapic_addr = 0xfee00000;
	info->nioapics = 1;
	info->ioapics[0].addr = 0xfec00000;
	info->has_8042 = true;
}

static void take_fadt(const uint8_t *p, uint32_t len)
{
	struct acpi_private *priv = &acpi_private;
	struct acpi_fadt *f = &priv->fadt;

	if (priv->have_fadt || acpi_parse_fadt(p, len, f) != 0)
		return;
	priv->have_fadt = true;
	acpi.has_8042 = f->has_8042;
	if (f->pm_timer.space == ACPI_SPACE_PORT) {
		acpi.pm_timer_port = (uint32_t)f->pm_timer.addr;
		acpi.pm_timer_32bit = f->pm_timer_32bit;
	}
	priv->dsdt = table_map(f->dsdt, "DSDT", &priv->dsdt_bytes);
	if (priv->dsdt)
		acpi_find_s5(priv->dsdt, priv->dsdt_bytes, &priv->s5);
}

static bool take_tables(const struct root *root)
{
	struct acpi_info found = acpi;
	bool have_madt = false;
	uint32_t len, table_len;
	const uint8_t *p = table_map(root->addr, root->is_xsdt ? "XSDT" : "RSDT", &len);
	unsigned n;

	if (!p)
		return false;
	n = acpi_root_count(p, len, root->is_xsdt);
	for (unsigned i = 0; i < n; i++) {
		paddr_t addr = acpi_root_entry(p, root->is_xsdt, i);
		const uint8_t *t = addr ? firmware_map(addr, ACPI_HEADER_BYTES) : NULL;

		if (!t)
			continue;
		if (memcmp(t, "APIC", 4) == 0 && !have_madt && (t = table_map(addr, "APIC", &table_len)))
			have_madt = acpi_parse_madt(t, table_len, &found) == 0;
		else if (memcmp(t, "FACP", 4) == 0 && (t = table_map(addr, "FACP", &table_len)))
			take_fadt(t, table_len);
		else if (memcmp(t, "MCFG", 4) == 0 && (t = table_map(addr, "MCFG", &table_len)))
			acpi_parse_mcfg(t, table_len, &acpi);
		else if (memcmp(t, "HPET", 4) == 0 && (t = table_map(addr, "HPET", &table_len)))
			acpi_parse_hpet(t, table_len, &acpi);
	}
	if (have_madt) {
		acpi.ncpus = found.ncpus;
		memcpy(acpi.apic_ids, found.apic_ids, sizeof(acpi.apic_ids));
		acpi.lapic_addr = found.lapic_addr;
		acpi.noverrides = found.noverrides;
		memcpy(acpi.overrides, found.overrides, sizeof(acpi.overrides));
		acpi.nioapics = found.nioapics;
		memcpy(acpi.ioapics, found.ioapics, sizeof(acpi.ioapics));
	}
	return have_madt;
}

void acpi_init(void)
{
	struct root root = { 0 };
	struct acpi_info mp;

	set_defaults(&acpi);
	if (boot_info.rsdp && !rsdp_at(boot_info.rsdp, &root.addr, &root.is_xsdt))
		log_warn("acpi: no RSDP at 0x%llx, where the boot protocol says",
			 (unsigned long long)boot_info.rsdp);
	if (!root.addr)
		scan_firmware("RSD PTR ", 8, found_rsdp, &root);
	if (!root.addr || !take_tables(&root)) {
		mp = acpi;
		if (scan_firmware("_MP_", 4, found_mp, &mp))
			acpi = mp;
		else
			log_warn("acpi: no usable tables, assuming one processor");
	}
	power_init();
	log_info("acpi: %u cpu(s), %u ioapic(s), %u override(s)%s%s%s", acpi.ncpus, acpi.nioapics,
		 acpi.noverrides, acpi.mcfg_base ? ", mcfg" : "", acpi.hpet_base ? ", hpet" : "",
		 acpi_private.s5.found ? ", s5" : "");
}
