/*
 * kernel/drivers/acpi_tables.c - ACPI and MP tables as plain bytes; see acpi_tables.h.
 *
 * Sources: ACPI Specification 6.5, sections 5.2.5 to 5.2.12 (tables), 20.2 (AML encoding);
 * PCI Firmware Specification 3.3 (MCFG); IA-PC HPET Specification 1.0a, 3.2.4; MultiProcessor
 * Specification 1.4, chapter 4.
 */
#include "drivers/acpi_tables.h"
#include "lib/string.h"

static uint16_t read16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t read32(const uint8_t *p) { return read16(p) | (uint32_t)read16(p + 2) << 16; }
static uint64_t read64(const uint8_t *p) { return read32(p) | (uint64_t)read32(p + 4) << 32; }

bool acpi_checksum_ok(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum == 0;
}

int acpi_parse_rsdp(const uint8_t *p, size_t len, paddr_t *root, bool *is_xsdt)
{
	if (len < 20 || memcmp(p, "RSD PTR ", 8) != 0 || !acpi_checksum_ok(p, 20))
		return -EINVAL;
	if (p[15] >= 2 && len >= ACPI_RSDP_BYTES && acpi_checksum_ok(p, ACPI_RSDP_BYTES) &&
	    read64(p + 24) != 0) {
		*root = read64(p + 24);
		*is_xsdt = true;
		return 0;
	}
	if (read32(p + 16) == 0)
		return -EINVAL;
	*root = read32(p + 16);
	*is_xsdt = false;
	return 0;
}

uint32_t acpi_table_length(const uint8_t *header)
{
	uint32_t len = read32(header + 4);

	return len < ACPI_HEADER_BYTES || len > ACPI_MAX_TABLE_BYTES ? 0 : len;
}

int acpi_check_table(const uint8_t *p, size_t len, const char *signature)
{
	if (len < ACPI_HEADER_BYTES || memcmp(p, signature, 4) != 0 || read32(p + 4) != len)
		return -EINVAL;
	return acpi_checksum_ok(p, len) ? 0 : -EINVAL;
}

unsigned acpi_root_count(const uint8_t *p, size_t len, bool is_xsdt)
{
	if (len < ACPI_HEADER_BYTES)
		return 0;
	return (unsigned)((len - ACPI_HEADER_BYTES) / (is_xsdt ? 8 : 4));
}

paddr_t acpi_root_entry(const uint8_t *p, bool is_xsdt, unsigned index)
{
	p += ACPI_HEADER_BYTES;
	return is_xsdt ? read64(p + (size_t)index * 8) : read32(p + (size_t)index * 4);
}

static void add_cpu(struct acpi_info *info, uint32_t apic_id)
{
	for (unsigned i = 0; i < info->ncpus; i++)
		if (info->apic_ids[i] == apic_id)
			return;
	if (info->ncpus < MAX_CPUS)
		info->apic_ids[info->ncpus++] = apic_id;
}

static void add_ioapic(struct acpi_info *info, uint32_t id, uint32_t gsi_base, paddr_t addr)
{
	if (addr && info->nioapics < ARRAY_SIZE(info->ioapics))
		info->ioapics[info->nioapics++] =
			(struct acpi_ioapic){ .id = id, .gsi_base = gsi_base, .addr = addr };
}

/* MPS INTI flags: polarity in bits 0-1, trigger in bits 2-3; 0 means "as the bus": ISA is high, edge. */
static void add_override(struct acpi_info *info, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	if (irq < 16 && info->noverrides < ARRAY_SIZE(info->overrides))
		info->overrides[info->noverrides++] = (struct acpi_override){
			.isa_irq = irq,
			.gsi = gsi,
			.active_low = (flags & 3) == 3,
			.level = (flags >> 2 & 3) == 3,
		};
}

int acpi_parse_madt(const uint8_t *p, size_t len, struct acpi_info *info)
{
	size_t at = 44;

	if (len < 44)
		return -EINVAL;
	info->ncpus = 0;
	info->nioapics = 0;
	info->noverrides = 0;
	info->lapic_addr = read32(p + 36);
	while (len - at >= 2) {
		const uint8_t *e = p + at;
		uint8_t bytes = e[1];

		if (bytes < 2 || bytes > len - at)
			break;
		switch (e[0]) {
		case 0: /* local APIC */
			if (bytes >= 8 && (read32(e + 4) & 1))
				add_cpu(info, e[3]);
			break;
		case 1:
			if (bytes >= 12)
				add_ioapic(info, e[2], read32(e + 8), read32(e + 4));
			break;
		case 2:
			if (bytes >= 10)
				add_override(info, e[3], read32(e + 4), read16(e + 8));
			break;
		case 5: /* 64-bit address of the local APICs */
			if (bytes >= 12)
				info->lapic_addr = read64(e + 4);
			break;
		case 9: /* local x2APIC */
			if (bytes >= 16 && (read32(e + 8) & 1))
				add_cpu(info, read32(e + 4));
			break;
		default:
			break;
		}
		at += bytes;
	}
	return info->ncpus && info->lapic_addr ? 0 : -EINVAL;
}

/* Takes the extended register at `ext` if the table has it and it is set, else the old port. */
static struct acpi_register fadt_register(const uint8_t *p, size_t len, size_t ext, size_t port)
{
	struct acpi_register r = { 0 };

	if (ext + 12 <= len && read64(p + ext + 4) != 0 && p[ext] <= ACPI_SPACE_PORT) {
		r.space = p[ext];
		r.bits = p[ext + 1];
		r.addr = read64(p + ext + 4);
	} else if (port && port + 4 <= len && read32(p + port) != 0) {
		r.space = ACPI_SPACE_PORT;
		r.addr = read32(p + port);
	}
	if (r.space == ACPI_SPACE_PORT && r.addr > 0xffff)
		r.addr = 0;
	return r;
}

int acpi_parse_fadt(const uint8_t *p, size_t len, struct acpi_fadt *f)
{
	uint32_t flags;

	memset(f, 0, sizeof(*f));
	if (len < 116)
		return -EINVAL;
	flags = read32(p + 112);
	f->dsdt = len >= 148 && read64(p + 140) ? read64(p + 140) : read32(p + 40);
	f->sci_irq = read16(p + 46);
	f->smi_command = read32(p + 48) <= 0xffff ? read16(p + 48) : 0;
	f->enable_value = p[52];
	f->pm1_event_bytes = p[88];
	f->pm1a_event = fadt_register(p, len, 148, 56);
	f->pm1b_event = fadt_register(p, len, 160, 60);
	f->pm1a_control = fadt_register(p, len, 172, 64);
	f->pm1b_control = fadt_register(p, len, 184, 68);
	f->pm_timer = fadt_register(p, len, 208, 76);
	f->pm_timer_32bit = flags & 1u << 8;
	f->power_button_fixed = !(flags & 1u << 4);
	f->reset_supported = flags & 1u << 10;
	f->hardware_reduced = flags & 1u << 20;
	/* Boot flags exist from revision 2 on; before, a PC has a keyboard controller and VGA. */
	f->has_8042 = p[8] < 2 || (read16(p + 109) & 1u << 1);
	f->has_vga = p[8] < 2 || !(read16(p + 109) & 1u << 2);
	if (f->reset_supported && len >= 129) {
		f->reset = fadt_register(p, len, 116, 0);
		f->reset_value = p[128];
	}
	if (len >= 268) {
		f->sleep_control = fadt_register(p, len, 244, 0);
		f->sleep_status = fadt_register(p, len, 256, 0);
	}
	return 0;
}

int acpi_parse_mcfg(const uint8_t *p, size_t len, struct acpi_info *info)
{
	/* Segment 0 is the only one that a machine without AML can number. */
	for (size_t at = 44; at + 16 <= len; at += 16) {
		uint64_t base = read64(p + at);

		if (read16(p + at + 8) != 0 || base == 0 || (base & (MIB(1) - 1)) || p[at + 11] < p[at + 10])
			continue;
		info->mcfg_base = base;
		info->mcfg_segment = 0;
		info->mcfg_bus_start = p[at + 10];
		info->mcfg_bus_end = p[at + 11];
		return 0;
	}
	return -EINVAL;
}

int acpi_parse_hpet(const uint8_t *p, size_t len, struct acpi_info *info)
{
	if (len < 56 || p[40] != ACPI_SPACE_MEMORY || read64(p + 44) == 0)
		return -EINVAL;
	info->hpet_base = read64(p + 44);
	return 0;
}

/* One small integer constant of AML at p[*at]; false if something else stands there. */
static bool aml_small_integer(const uint8_t *p, size_t len, size_t *at, uint8_t *value)
{
	if (*at >= len)
		return false;
	switch (p[*at]) {
	case 0x00: /* ZeroOp */
	case 0x01: /* OneOp */
		*value = p[*at];
		*at += 1;
		return true;
	case 0x0a: /* BytePrefix */
		if (len - *at < 2)
			return false;
		*value = p[*at + 1];
		*at += 2;
		return true;
	default:
		return false;
	}
}

void acpi_find_s5(const uint8_t *p, size_t len, struct acpi_s5 *s5)
{
	s5->found = false;
	for (size_t i = 1; len >= 8 && i < len - 7; i++) {
		size_t at = i + 4;
		uint8_t a, b;

		if (memcmp(p + i, "_S5_", 4) != 0)
			continue;
		/* NameOp, perhaps with the root character, before it; a package behind it. */
		if (p[i - 1] != 0x08 && !(i >= 2 && p[i - 1] == '\\' && p[i - 2] == 0x08))
			continue;
		if (p[at] != 0x12)
			continue;
		at++;
		at += 1 + (p[at] >> 6); /* PkgLength: the top bits count the bytes that follow */
		if (at >= len || p[at] < 1)
			continue;
		at++; /* NumElements */
		if (!aml_small_integer(p, len, &at, &a))
			continue;
		if (!aml_small_integer(p, len, &at, &b))
			b = a;
		if (a > 7 || b > 7)
			continue;
		s5->found = true;
		s5->type_a = a;
		s5->type_b = b;
		return;
	}
}

void acpi_find_virtio_mmio(const uint8_t *p, size_t len,
			   void (*emit)(paddr_t addr, uint32_t bytes, unsigned gsi, bool level,
					bool active_low, void *arg),
			   void *arg)
{
	const size_t reach = 96; /* a device's body is about 60 bytes; the next one starts behind it */

	for (size_t i = 0; len >= 8 && i <= len - 8; i++) {
		size_t end = MIN(len, i + 8 + reach);
		const uint8_t *memory = NULL, *interrupt = NULL;

		if (memcmp(p + i, "LNRO0005", 8) != 0)
			continue;
		for (size_t at = i + 8; at < end && !(memory && interrupt); at++) {
			if (end - at >= 8 && memcmp(p + at, "LNRO0005", 8) == 0)
				break;
			/* Memory32Fixed: 0x86, length 9, read-write, base, bytes. */
			if (!memory && end - at >= 12 && p[at] == 0x86 && read16(p + at + 1) == 9)
				memory = p + at;
			/* Extended Interrupt: 0x89, length, flags, count 1, number. */
			else if (memory && !interrupt && end - at >= 9 && p[at] == 0x89 &&
				 read16(p + at + 1) >= 6 && p[at + 4] == 1)
				interrupt = p + at;
		}
		if (memory && interrupt)
			emit(read32(memory + 4), read32(memory + 8), read32(interrupt + 5),
			     !(interrupt[3] & 2), interrupt[3] & 4, arg);
	}
}

int mp_parse_pointer(const uint8_t *p, size_t len, paddr_t *table)
{
	if (len < 16 || memcmp(p, "_MP_", 4) != 0 || p[8] != 1 || !acpi_checksum_ok(p, 16))
		return -EINVAL;
	*table = read32(p + 4);
	return *table ? 0 : -EINVAL;
}

uint32_t mp_table_length(const uint8_t *header)
{
	uint32_t len = read16(header + 4);

	return len < 44 || memcmp(header, "PCMP", 4) != 0 ? 0 : len;
}

int mp_parse_table(const uint8_t *p, size_t len, struct acpi_info *info)
{
	uint8_t isa_bus = 0xff;
	size_t at = 44;

	if (len < 44 || memcmp(p, "PCMP", 4) != 0 || read16(p + 4) != len || !acpi_checksum_ok(p, len))
		return -EINVAL;
	info->ncpus = 0;
	info->nioapics = 0;
	info->noverrides = 0;
	info->lapic_addr = read32(p + 36);
	/* The length rules: qboot leaves the count of entries at 0. */
	while (at < len) {
		const uint8_t *e = p + at;
		size_t bytes = e[0] == 0 ? 20 : 8;

		if (e[0] > 4 || bytes > len - at)
			break;
		switch (e[0]) {
		case 0: /* processor: enabled? */
			if (e[3] & 1)
				add_cpu(info, e[1]);
			break;
		case 1:
			if (memcmp(e + 2, "ISA   ", 6) == 0)
				isa_bus = e[1];
			break;
		case 2: /* I/O APIC: usable? The table has no GSI bases; only the first starts at 0. */
			if ((e[3] & 1) && info->nioapics == 0)
				add_ioapic(info, e[1], 0, read32(e + 4));
			break;
		case 3: /* vectored interrupt from the ISA bus */
			if (e[1] == 0 && e[4] == isa_bus &&
			    (e[5] != e[7] || (read16(e + 2) & 0xf) != 0))
				add_override(info, e[5], e[7], read16(e + 2));
			break;
		default:
			break;
		}
		at += bytes;
	}
	return info->ncpus && info->lapic_addr ? 0 : -EINVAL;
}
