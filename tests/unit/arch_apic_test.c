/*
 * tests/unit/arch_apic_test.c - interrupt lines whose requests nobody takes back, and those that only look so for a while.
 */
// flags: -w -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/check.h"

/* In place of the machine's: an I/O APIC, and a local one that hears of the ends of interrupts. */
#define IBRIK_ARCH_IO_H
static volatile uint8_t local[1024], window[32];
static uint32_t ioapic_regs[64], selected;
static unsigned ends;

static void mmio_write32(volatile void *p, uint32_t v)
{
	if (p == window)
		selected = v;
	else if (p == window + 0x10)
		ioapic_regs[selected] = v;
	else
		ends++;
}
static uint32_t mmio_read32(const volatile void *p) { return 0; }
static void outb(uint16_t port, uint8_t v) {}

#include "arch/x86_64/apic.c"

void *kzalloc(size_t size) { return calloc(1, size); }
static unsigned complaints;
void log_print(int level, const char *fmt, ...) { complaints++; }

static bool answer, other;
static bool device(void *arg) { return *(bool *)arg; }

#define GSI 19
#define VECTOR 0x40
#define MESSAGE 0x41

static bool masked(void) { return ioapic_regs[0x10 + 2 * (GSI - 16)] & LVT_MASKED; }

/* So many rounds in which one of `every` interrupts is a device's; 0: none is. */
static void storm(unsigned vector, unsigned rounds, unsigned every)
{
	for (unsigned i = 0; i < rounds * LINE_ROUND; i++) {
		other = every && i % every == 0;
		irq_dispatch(vector);
	}
}

int main(void)
{
	lapic = local;
	ioapics[0].base = window;
	ioapics[0].gsi_base = 16;
	ioapics[0].lines = 8;
	nioapics = 1;
	gsi_vectors[GSI] = VECTOR;
	add_handler(VECTOR, device, &answer);
	add_handler(VECTOR, device, &other);
	add_handler(MESSAGE, device, &answer);

	storm(VECTOR, 3, 1);
	storm(VECTOR, 3, 2);
	storm(VECTOR, 3, 1000);
	check("a_line_that_is_used_stays_open", !masked() && !complaints, "it is masked");
	storm(MESSAGE, 2, 0);
	check("a_message_has_no_line", !masked() && !complaints, "a line is masked");
	ioapic_busy = true;
	storm(VECTOR, 1, 0);
	check("the_io_apic_is_left_to_who_is_there", !masked() && selected == 0 && !complaints, "it is written");
	ioapic_busy = false;
	storm(VECTOR, 1, 5000);
	check("a_line_that_is_nearly_nobodys_is_masked", masked() && complaints == 1, "it is not");
	check("others_are_not", ioapic_regs[0x10] == 0 && ioapic_regs[0x12] == 0 && ioapic_regs[0x14] == 0 && ioapic_regs[0x18] == 0, "they are");
	check("every_interrupt_has_its_end", ends == 13 * LINE_ROUND, "not so many");
	return failed;
}
