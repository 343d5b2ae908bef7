/*
 * kernel/drivers/power.c - the end of the machine, and its power button.
 *
 * Theory:    machine_power_off() tries what the firmware's tables offer, from the cleanest to the
 *            crudest: S5 through the PM1 control blocks, S5 through the sleep control register of a
 *            hardware-reduced machine, the keyboard controller's reset line, the FADT's reset register,
 *            a triple fault. Everything it touches was mapped by power_init(), so that it works in
 *            any context, also inside a panic. Before power_init() it halts.
 * Interface: machine_power_off(), power_button_handler (device.h); acpi_enable_events() (acpi.h)
 * Locking:   none; the button's handler only posts a work.
 * Source:    ACPI Specification 6.5, sections 4.8.3 (fixed registers), 16.1.6 (S5), 4.8.3.7 (sleep
 *            control), 4.8.3.6 (reset register).
 */
#include "cpu.h"
#include "io.h"
#include "core/clock.h"
#include "core/irq.h"
#include "core/log.h"
#include "drivers/acpi_private.h"
#include "drivers/device.h"
#include "drivers/work.h"
#include "mm/mm.h"

#define PM1_POWER_BUTTON (1u << 8)
#define PM1_SCI_ENABLED 1u
#define PM1_SLEEP_TYPE(t) ((unsigned)(t) << 10)
#define PM1_SLEEP_MASK (7u << 10 | 1u << 13)
#define PM1_SLEEP_NOW (1u << 13)
#define SLEEP_CONTROL_S5(t) ((uint8_t)((t) << 2 | 1u << 5))

void (*power_button_handler)(void);

static void *sleep_control_map, *sleep_status_map, *reset_map;
static bool ready;

static void *register_map(const struct acpi_register *r)
{
	return r->addr && r->space == ACPI_SPACE_MEMORY ? ioremap(r->addr, 1) : NULL;
}

static void register_write8(const struct acpi_register *r, void *map, uint8_t value)
{
	if (map)
		mmio_write8(map, value);
	else if (r->addr && r->space == ACPI_SPACE_PORT)
		outb((uint16_t)r->addr, value);
}

void power_init(void)
{
	const struct acpi_fadt *f = &acpi_private.fadt;

	sleep_control_map = register_map(&f->sleep_control);
	sleep_status_map = register_map(&f->sleep_status);
	reset_map = register_map(&f->reset);
	ready = true;
}

static bool is_port(const struct acpi_register *r)
{
	return r->addr && r->space == ACPI_SPACE_PORT;
}

static void pm1_sleep(const struct acpi_register *control, uint8_t type)
{
	uint16_t v;

	if (!is_port(control))
		return;
	v = inw((uint16_t)control->addr);
	v = (uint16_t)((v & ~PM1_SLEEP_MASK) | PM1_SLEEP_TYPE(type));
	outw((uint16_t)control->addr, v);
	outw((uint16_t)control->addr, (uint16_t)(v | PM1_SLEEP_NOW));
}

/* Waits a little for the machine to be gone, without a clock: port 0x80 takes about a microsecond. */
static void settle(void)
{
	for (unsigned i = 0; i < 50000; i++)
		outb(0x80, 0);
}

void machine_power_off(void)
{
	const struct acpi_private *p = &acpi_private;

	irq_disable();
	/* Before the tables have been read we cannot switch off, and a reset would boot into the same end for ever. */
	if (!ready)
		cpu_halt_forever();
	if (p->have_fadt && p->s5.found) {
		if (p->fadt.hardware_reduced || !is_port(&p->fadt.pm1a_control)) {
			register_write8(&p->fadt.sleep_status, sleep_status_map, 1u << 7);
			register_write8(&p->fadt.sleep_control, sleep_control_map,
					SLEEP_CONTROL_S5(p->s5.type_a));
		} else {
			pm1_sleep(&p->fadt.pm1a_control, p->s5.type_a);
			pm1_sleep(&p->fadt.pm1b_control, p->s5.type_b);
		}
		settle();
	}
	/* The keyboard controller: wait, bounded, until it takes a command; 0xfe pulses the reset line. */
	for (unsigned i = 0; i < 1000 && (inb(0x64) & 2); i++)
		outb(0x80, 0);
	outb(0x64, 0xfe);
	settle();
	register_write8(&p->fadt.reset, reset_map, p->fadt.reset_value);
	settle();
	/* A breakpoint without an interrupt table is a triple fault, which resets the CPU. */
	struct __attribute__((packed)) { uint16_t limit; uint64_t base; } no_idt = { 0, 0 };
	__asm__ volatile("lidt %0; int3" : : "m"(no_idt));
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void button_pressed(struct work *w)
{
	void (*handler)(void) = power_button_handler;

	log_info("power button pressed");
	if (handler)
		handler();
}

static struct work button_work = { .fn = button_pressed };

static bool pm1_take_button(const struct acpi_register *event)
{
	if (!is_port(event) || !(inw((uint16_t)event->addr) & PM1_POWER_BUTTON))
		return false;
	outw((uint16_t)event->addr, PM1_POWER_BUTTON);
	return true;
}

static bool sci_handler(void *arg)
{
	bool pressed = pm1_take_button(&acpi_private.fadt.pm1a_event);

	pressed |= pm1_take_button(&acpi_private.fadt.pm1b_event);
	if (pressed)
		work_post(&button_work);
	return pressed;
}

static void pm1_enable_button(const struct acpi_register *event, uint8_t bytes)
{
	if (!is_port(event))
		return;
	/* Neither is a press from before the boot for us, nor what else firmware has enabled: nobody would take its request back. */
	outw((uint16_t)event->addr, PM1_POWER_BUTTON);
	outw((uint16_t)(event->addr + bytes / 2), PM1_POWER_BUTTON);
}

static int sci_request(unsigned irq)
{
	for (unsigned i = 0; i < acpi.noverrides; i++)
		if (acpi.overrides[i].isa_irq == irq)
			return irq_request_isa(irq, sci_handler, NULL);
	/* Without an override the SCI is level, active low (ACPI 5.2.9). */
	return irq_request_gsi(irq, true, true, sci_handler, NULL);
}

void acpi_enable_events(void)
{
	const struct acpi_fadt *f = &acpi_private.fadt;
	uint16_t control = (uint16_t)f->pm1a_control.addr;
	int r;

	if (!acpi_private.have_fadt || f->hardware_reduced || !f->power_button_fixed ||
	    !is_port(&f->pm1a_event) || !is_port(&f->pm1a_control) || f->pm1_event_bytes < 4)
		return;
	if (!(inw(control) & PM1_SCI_ENABLED)) {
		if (!f->smi_command || !f->enable_value)
			return;
		outb(f->smi_command, f->enable_value);
		for (unsigned i = 0; i < 300 && !(inw(control) & PM1_SCI_ENABLED); i++)
			delay_us(10);
		if (!(inw(control) & PM1_SCI_ENABLED)) {
			log_warn("acpi: the firmware does not hand over, no power button");
			return;
		}
	}
	/* The interrupt last: its line is level. */
	pm1_enable_button(&f->pm1a_event, f->pm1_event_bytes);
	pm1_enable_button(&f->pm1b_event, f->pm1_event_bytes);
	r = sci_request(f->sci_irq);
	if (r < 0)
		log_warn("acpi: no interrupt for the power button (error %d)", -r);
}
