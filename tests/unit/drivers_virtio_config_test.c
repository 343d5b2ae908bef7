/*
 * tests/unit/drivers_virtio_config_test.c - by which accesses fields of a configuration space are read: a device in hardware may know no others.
 */
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include <stdint.h>
#include "check.h"

/* In place of the machine's: each access is written down. */
#define TESTS_UNIT_SHIM_IO_H
static _Alignas(8) uint8_t space[32];
static char accesses[200];

static uint32_t access(const volatile void *p, unsigned width)
{
	uint32_t v = 0;
	unsigned used = __builtin_strlen(accesses);

	snprintf(accesses + used, sizeof(accesses) - used, " %u@%u", width, (unsigned)((const volatile uint8_t *)p - space));
	__builtin_memcpy(&v, (const void *)p, width);
	return v;
}
static uint8_t mmio_read8(const volatile void *p) { return access(p, 1); }
static uint16_t mmio_read16(const volatile void *p) { return access(p, 2); }
static uint32_t mmio_read32(const volatile void *p) { return access(p, 4); }

#include "drivers/virtio.c"

/* Reads a field; its bytes must be there as far as the space goes, and 0 behind it. */
static void field(const char *name, unsigned offset, unsigned len, unsigned bytes, const char *want)
{
	uint8_t out[16];
	int good = 1;

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = 0xee;
	accesses[0] = 0;
	virtio_field_read(space, bytes, offset, out, len);
	for (unsigned i = 0; i < sizeof(out); i++)
		good &= out[i] == (i >= len ? 0xee : offset + i < bytes ? space[offset + i] : 0);
	check(name, good && __builtin_strcmp(accesses, want) == 0, accesses);
}

int main(void)
{
	for (unsigned i = 0; i < sizeof(space); i++)
		space[i] = (uint8_t)(0x11 + 7 * i);
	field("capacity_of_64_bits", 0, 8, 32, " 4@0 4@4");
	field("64_bits_aligned_to_32", 4, 8, 32, " 4@4 4@8");
	field("32_bits", 12, 4, 32, " 4@12");
	field("16_bits", 6, 2, 32, " 2@6");
	field("a_byte", 5, 1, 32, " 1@5");
	field("an_address_is_bytes", 0, 6, 32, " 1@0 1@1 1@2 1@3 1@4 1@5");
	field("not_aligned", 1, 2, 32, " 1@1 1@2");
	field("the_last_field", 28, 4, 32, " 4@28");
	field("the_space_ends_within", 8, 4, 10, " 1@8 1@9");
	field("the_space_ends_before", 8, 4, 8, "");
	field("far_behind_the_space", 24, 8, 8, "");
	return failed;
}
