/*
 * tests/unit/arch_clock_rate_test.c - the TSC's frequency from the PIT and from the PM timer, and how soon it shows that there is none.
 */
// sources: kernel/arch/x86_64/rate.c
// flags: -w -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/check.h"

/* In place of the machine's: counters that run beside the TSC as if it had `hz`. */
#define IBRIK_ARCH_IO_H
static uint64_t hz, pm_bits;
static unsigned ports; /* accesses of the device that is asked */
static int pit_there, pm_there, high_byte;
static uint64_t counted(uint64_t rate);
static void outb(uint16_t port, uint8_t v);
static uint8_t inb(uint16_t port);
static uint32_t inl(uint16_t port);

#include "arch/x86_64/clock.c"

static uint16_t latched;

static uint64_t counted(uint64_t rate) { return (uint64_t)((unsigned __int128)rdtsc() * rate / hz); }

static void outb(uint16_t port, uint8_t v)
{
	ports++;
	if (port == 0x43 && v == 0x80) {
		latched = (uint16_t)(65535 - counted(PIT_HZ) % 65535);
		high_byte = 0;
	}
}

static uint8_t inb(uint16_t port)
{
	ports++;
	if (port != 0x42 || !pit_there)
		return 0xff;
	high_byte = !high_byte;
	return (uint8_t)(high_byte ? latched : latched >> 8);
}

static uint32_t inl(uint16_t port)
{
	ports++;
	return port == 0x608 && pm_there ? (uint32_t)(counted(PM_TIMER_HZ) & ((1ull << pm_bits) - 1)) : 0xffffffff;
}

struct acpi_info acpi;
void log_print(int level, const char *fmt, ...) {}

void panic(const char *fmt, ...)
{
	printf("not ok panic %s\n", fmt);
	exit(1);
}

static int about(uint64_t got) { return got > hz / 100 * 99 && got < hz / 100 * 101; }

int main(void)
{
	static const uint64_t rates[] = { 1000000000, 2100000000, 5000000000 };
	int pit = 1, pm = 1;

	for (unsigned i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		hz = rates[i];
		pit_there = 1;
		pit &= about(hz_from_pit());
		acpi.pm_timer_port = 0x608;
		pm_there = 1;
		for (pm_bits = 24; pm_bits <= 32; pm_bits += 8)
			pm &= about(hz_from_pm_timer());
	}
	check("the_pit_tells_the_rate", pit, "more than a hundredth beside");
	check("the_pm_timer_tells_the_rate", pm, "more than a hundredth beside");
	pit_there = pm_there = 0;
	ports = 0;
	check("no_pit_is_no_rate", hz_from_pit() == 0, "a rate");
	check("no_pit_is_noticed_soon", ports < 5000, "many thousand accesses");
	check("a_pm_timer_that_stands_still_is_no_rate", hz_from_pm_timer() == 0, "a rate");
	acpi.pm_timer_port = ports = 0;
	check("no_pm_timer_is_not_asked", hz_from_pm_timer() == 0 && ports == 0, "it is");
	return failed;
}
