/*
 * tests/unit/drivers_pci_test.c - where configuration space is mapped in memory when its first bus is not bus 0, and which functions may use
 * their interrupt line.
 */
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include <stdint.h>
#include <stdio.h>
#include "check.h"

/* In place of the machine's: no ports, and memory that keeps what is written. */
#define TESTS_UNIT_SHIM_IO_H
static void outb(uint16_t port, uint8_t v) {}
static void outw(uint16_t port, uint16_t v) {}
static void outl(uint16_t port, uint32_t v) {}
static uint8_t inb(uint16_t port) { return 0xff; }
static uint16_t inw(uint16_t port) { return 0xffff; }
static uint32_t inl(uint16_t port) { return 0xffffffff; }
static uint8_t mmio_read8(const volatile void *p) { return *(const volatile uint8_t *)p; }
static uint16_t mmio_read16(const volatile void *p) { return *(const volatile uint16_t *)p; }
static uint32_t mmio_read32(const volatile void *p) { return *(const volatile uint32_t *)p; }
static void mmio_write8(volatile void *p, uint8_t v) { *(volatile uint8_t *)p = v; }
static void mmio_write16(volatile void *p, uint16_t v) { *(volatile uint16_t *)p = v; }
static void mmio_write32(volatile void *p, uint32_t v) { *(volatile uint32_t *)p = v; }

#include "drivers/pci.c"
#include "drivers/pci_assign.c"

struct acpi_info acpi;
struct boot_info boot_info;
static bool is_known(const struct pci_device *d) { return d->vendor == 0x1af4; }
static const struct pci_driver driver = { .name = "test", .matches = is_known };
extern const struct pci_driver *const __drivers_pci_start[];
const struct pci_driver *const __drivers_pci_start[1] = { &driver };
__asm__(".globl __drivers_pci_end\n.set __drivers_pci_end, __drivers_pci_start + 8");

static _Alignas(4096) uint8_t space[1 << 20];
static paddr_t mapped;

void *ioremap(paddr_t addr, size_t len)
{
	mapped = mapped ? mapped : addr;
	return space;
}

void *kzalloc(size_t size)
{
	static struct pci_device devices[4];
	static unsigned n;

	return &devices[n++];
}

/* A function as firmware leaves it, without base registers and capabilities. */
static uint8_t *function_at(unsigned slot, uint16_t vendor, uint8_t header_type, uint16_t command)
{
	uint8_t *f = space + (slot << 15);

	__builtin_memset(f, 0, 256);
	__builtin_memcpy(f, &vendor, 2);
	__builtin_memcpy(f + 4, &command, 2);
	f[0x0b] = 0x0c;
	f[0x0e] = header_type;
	return f;
}

static unsigned command(const uint8_t *f) { return f[4] | f[5] << 8; }

void log_print(int level, const char *fmt, ...) {}

int main(void)
{
	static const struct { uint8_t start, end; paddr_t base, map, block; } cases[] = {
		{ 0x00, 0xff, 0xb0000000, 0xb0000000, 0xc0000000 },
		{ 0x00, 0xff, 0xc0000000, 0xc0000000, 0xd0000000 },
		{ 0x80, 0xff, 0xb8000000, 0xc0000000, 0xc8000000 },
		{ 0x80, 0x8f, 0xc0000000, 0xc8000000, 0xc0000000 },
		{ 0xff, 0xff, 0xb0100000, 0xc0000000, 0xc0100000 },
	};

	for (unsigned i = 0; i < sizeof(space); i++)
		space[i] = 0xff;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char name[64];

		acpi.mcfg_base = cases[i].base;
		acpi.mcfg_bus_start = cases[i].start;
		acpi.mcfg_bus_end = cases[i].end;
		mapped = 0;
		__builtin_memset(ecam_bus, 0, sizeof(ecam_bus));
		pci_scan();
		snprintf(name, sizeof(name), "buses_%02x_to_%02x_at_%lx", cases[i].start, cases[i].end, (unsigned long)cases[i].base);
		check(name, mapped == cases[i].map && memory_take(1 << 20) == cases[i].block, "another address");
	}
	uint8_t *driven = function_at(1, 0x1af4, 0, 0x400), *other = function_at(2, 0x8086, 0, 7), *bridge = function_at(3, 0x8086, 2, 7);

	pci_scan();
	check("a_function_with_a_driver_may_interrupt", command(driven) == 7, "another command");
	check("one_without_may_not", command(other) == 0x407, "another command");
	check("bridges_are_left_alone", command(bridge) == 7, "another command");
	return failed;
}
