/*
 * kernel/arch/x86_64/apic.c - local APIC, its timer, the I/O APIC, and the table of interrupt vectors.
 *
 * Handlers are entered into the table once and never removed. The local APIC is reached through its MSRs
 * (x2APIC) where the CPU has them, else through its uncached page.
 *
 * A level line whose request nobody takes back interrupts again before the next instruction, and the boot CPU, which takes all lines, would do
 * nothing else for ever. So handlers answer whether it was their device, and a line that is nearly always nobody's is masked, with a line in the log.
 * Sources: Intel SDM volume 3, chapter 11 (APIC); 82093AA I/O APIC data sheet.
 */
#include "cpu.h"
#include "core/clock.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/sched.h"
#include "drivers/acpi.h"
#include "io.h"
#include "mm/mm.h"
#include "rate.h"
#include "traps.h"

#define LAPIC_ID 0x20
#define LAPIC_TPR 0x80
#define LAPIC_EOI 0xb0
#define LAPIC_SVR 0xf0
#define LAPIC_ISR 0x100
#define LAPIC_ICR 0x300
#define LAPIC_ICR_HIGH 0x310
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_LVT_ERROR 0x370
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0
#define LVT_MASKED 0x10000
#define LVT_TSC_DEADLINE 0x40000
#define CALIBRATION_NS 500000

static bool x2apic;
static volatile uint8_t *lapic;
/* Timer ticks per ns as a 32.32 fixed-point number; 0 when the TSC deadline is used. */
static uint64_t timer_mult;

struct handler {
	irq_handler_fn *fn;
	void *arg;
	struct handler *_Atomic next;
};
static struct handler *_Atomic handlers[256];
static struct mutex vector_lock = MUTEX_INIT("interrupt vectors");
static unsigned next_vector = VEC_FIRST_DEVICE;

static uint32_t lapic_read(unsigned reg)
{
	return x2apic ? (uint32_t)rdmsr(0x800 + reg / 16) : mmio_read32(lapic + reg);
}

static void lapic_write(unsigned reg, uint32_t v)
{
	if (x2apic)
		wrmsr(0x800 + reg / 16, v);
	else
		mmio_write32(lapic + reg, v);
}

void apic_eoi(void) { lapic_write(LAPIC_EOI, 0); }

bool apic_in_service(unsigned vector)
{
	return lapic_read(LAPIC_ISR + vector / 32 * 16) & 1u << vector % 32;
}

static void send_icr(uint32_t apic_id, uint32_t low)
{
	if (x2apic) {
		wrmsr(0x830, (uint64_t)apic_id << 32 | low);
		return;
	}
	uint64_t f = irq_save();
	mmio_write32(lapic + LAPIC_ICR_HIGH, apic_id << 24);
	mmio_write32(lapic + LAPIC_ICR, low);
	irq_restore(f);
}

void apic_send_ipi(uint32_t apic_id, unsigned vector) { send_icr(apic_id, vector | 0x4000); }

void apic_send_init(uint32_t apic_id) { send_icr(apic_id, 0x4500); }
void apic_send_startup(uint32_t apic_id, unsigned page) { send_icr(apic_id, 0x4600 | page); }

void apic_send_nmi_others(void)
{
	if (lapic || x2apic)
		send_icr(0xff, 0xc4400); /* all but self, NMI */
}

static void ioapic_write(volatile uint8_t *base, unsigned reg, uint32_t v)
{
	mmio_write32(base, reg);
	mmio_write32(base + 0x10, v);
}

static uint32_t ioapic_read(volatile uint8_t *base, unsigned reg)
{
	mmio_write32(base, reg);
	return mmio_read32(base + 0x10);
}

static struct {
	volatile uint8_t *base;
	unsigned gsi_base, lines;
} ioapics[8];
static unsigned nioapics;
static uint8_t gsi_vectors[256];
/* Somebody is between the two accesses of ioapic_write(). Taken with interrupts off, so that no handler finds its own CPU there. */
static _Atomic bool ioapic_busy;

/* Of the interrupts of a line, counted by the CPU that takes them. */
static struct line_count {
	unsigned all, nobodys;
} line_counts[256]; /* by vector */
#define LINE_ROUND 100000
#define LINE_CLAIMED_LEAST 100

void apic_init_this(void)
{
	struct cpu *c = this_cpu();

	if (x2apic)
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0xc00);
	c->apic_id = x2apic ? (uint32_t)rdmsr(0x802) : lapic_read(LAPIC_ID) >> 24;
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LVT_MASKED);
	lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
	lapic_write(LAPIC_SVR, 0x100 | VEC_SPURIOUS);
	lapic_write(LAPIC_TIMER_DIVIDE, 0xb); /* by 1 */
	lapic_write(LAPIC_LVT_TIMER, VEC_TIMER | (timer_mult ? 0 : LVT_TSC_DEADLINE));
	lapic_write(LAPIC_EOI, 0);
}

static uint32_t timer_count(void) { return lapic_read(LAPIC_TIMER_CURRENT); }

/* Against the clock, which is calibrated already. Nothing mends this later. */
static void timer_calibrate(void)
{
	struct rate_sample begin, end;

	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	lapic_write(LAPIC_TIMER_INITIAL, 0xffffffff);
	rate_measure(clock_monotonic_ns, timer_count, CALIBRATION_NS, &begin, &end);
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	timer_mult = ((uint64_t)(begin.count - end.count) << 32) / (end.at - begin.at);
	if (!timer_mult)
		panic("the local APIC timer does not run");
	log_debug("apic: timer at %lu kHz", timer_mult * 1000000 >> 32);
}

void apic_init(void)
{
	/* The legacy controllers stay masked; they are remapped first, since a spurious interrupt 7 would look
	 * like an exception. */
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);

	x2apic = cpu_features.x2apic;
	if (!x2apic) {
		lapic = ioremap(acpi.lapic_addr ? acpi.lapic_addr : 0xfee00000, PAGE_SIZE);
		if (!lapic)
			panic("no memory for the local APIC");
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0x800);
	}
	for (unsigned i = 0; i < acpi.nioapics && i < ARRAY_SIZE(ioapics); i++) {
		volatile uint8_t *base = ioremap(acpi.ioapics[i].addr, PAGE_SIZE);
		if (!base)
			panic("no memory for an I/O APIC");
		ioapics[nioapics].base = base;
		ioapics[nioapics].gsi_base = acpi.ioapics[i].gsi_base;
		ioapics[nioapics].lines = (ioapic_read(base, 1) >> 16 & 0xff) + 1;
		for (unsigned l = 0; l < ioapics[nioapics].lines; l++)
			ioapic_write(base, 0x10 + l * 2, LVT_MASKED);
		nioapics++;
	}
	timer_mult = 1; /* until calibrated: no TSC deadline */
	apic_init_this();
	if (cpu_features.tsc_deadline) {
		timer_mult = 0;
	} else {
		timer_calibrate();
	}
	apic_init_this();
}

void apic_timer_set(uint64_t deadline_ns)
{
	if (deadline_ns == UINT64_MAX) {
		if (timer_mult == 0)
			wrmsr(MSR_TSC_DEADLINE, 0);
		else
			lapic_write(LAPIC_TIMER_INITIAL, 0);
		return;
	}
	/* Not too far away: the counter has 32 bits, and hypervisors reckon with the other's in units that overflow. sched_timer_tick() sets the rest. */
	uint64_t now = clock_monotonic_ns();
	deadline_ns = MIN(deadline_ns, now + NSEC_PER_SEC);
	if (timer_mult == 0) {
		wrmsr(MSR_TSC_DEADLINE, clock_ns_to_tsc(deadline_ns));
		return;
	}
	uint64_t delta = deadline_ns > now ? deadline_ns - now : 0;
	uint64_t ticks = ((unsigned __int128)delta * timer_mult) >> 32;
	lapic_write(LAPIC_TIMER_INITIAL, (uint32_t)MIN(MAX(ticks, 1ull), 0xffffffffull));
}

/* One more interrupt of a line. Should it be masked? */
static bool line_is_stuck(struct line_count *n, bool claimed)
{
	n->nobodys += !claimed;
	if (++n->all < LINE_ROUND)
		return false;
	bool stuck = n->nobodys > LINE_ROUND - LINE_CLAIMED_LEAST;
	*n = (struct line_count){ 0 };
	return stuck;
}

static bool gsi_find(unsigned gsi, unsigned *ioapic, unsigned *line)
{
	for (unsigned i = 0; i < nioapics; i++)
		if (gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].lines) {
			*ioapic = i;
			*line = gsi - ioapics[i].gsi_base;
			return true;
		}
	return false;
}

/* Masks the line of a vector; one of a message has none. Interrupt context: if another CPU is at the I/O APIC, the next round tries again. */
static void line_mask(unsigned vector)
{
	unsigned i, line;

	for (unsigned gsi = 0; gsi < ARRAY_SIZE(gsi_vectors); gsi++) {
		if (gsi_vectors[gsi] != vector || !gsi_find(gsi, &i, &line) || atomic_exchange(&ioapic_busy, true))
			continue;
		ioapic_write(ioapics[i].base, 0x10 + line * 2, LVT_MASKED);
		atomic_store(&ioapic_busy, false);
		log_err("interrupt line %u: nobody takes its requests back, masked", gsi);
	}
}

void irq_dispatch(unsigned vector)
{
	switch (vector) {
	case VEC_TIMER:
		apic_eoi();
		sched_timer_tick();
		return;
	case VEC_IPI:
		apic_eoi();
		sched_ipi();
		return;
	case VEC_SPURIOUS:
		return;
	}
	bool claimed = false;
	for (struct handler *h = atomic_load(&handlers[vector]); h; h = atomic_load(&h->next))
		claimed |= h->fn(h->arg);
	if (line_is_stuck(&line_counts[vector], claimed))
		line_mask(vector);
	apic_eoi();
}

static int add_handler(unsigned vector, irq_handler_fn *fn, void *arg)
{
	struct handler *h = kzalloc(sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->fn = fn;
	h->arg = arg;
	h->next = atomic_load(&handlers[vector]);
	atomic_store(&handlers[vector], h);
	return 0;
}

/* Vector_lock held. A vector of its own, or -ENOSPC. */
static int new_vector(void)
{
	return next_vector <= VEC_LAST_DEVICE ? (int)next_vector++ : -ENOSPC;
}

int irq_alloc_msi(irq_handler_fn *handler, void *arg, unsigned cpu, uint64_t *msi_addr, uint32_t *msi_data)
{
	mutex_lock(&vector_lock);
	int v = new_vector();
	if (v > 0) {
		int r = add_handler(v, handler, arg);
		if (r)
			v = r;
	}
	mutex_unlock(&vector_lock);
	if (v > 0) {
		*msi_addr = 0xfee00000ull | (uint64_t)(cpus[cpu]->apic_id & 0xff) << 12;
		*msi_data = (uint32_t)v;
	}
	return v;
}

int irq_request_gsi(unsigned gsi, bool level, bool active_low, irq_handler_fn *handler, void *arg)
{
	unsigned i, line;
	int r = -EINVAL;

	mutex_lock(&vector_lock);
	if (gsi >= ARRAY_SIZE(gsi_vectors) || !gsi_find(gsi, &i, &line))
		goto out;
	bool fresh = gsi_vectors[gsi] == 0;
	r = fresh ? new_vector() : gsi_vectors[gsi];
	if (r < 0)
		goto out;
	unsigned v = r;
	r = add_handler(v, handler, arg);
	if (r || !fresh)
		goto out;
	gsi_vectors[gsi] = v;
	uint64_t f = irq_save();
	while (atomic_exchange(&ioapic_busy, true)) { /* a line is just being masked */
		irq_restore(f);
		sleep_ns(1000);
		f = irq_save();
	}
	ioapic_write(ioapics[i].base, 0x11 + line * 2, cpus[0]->apic_id << 24);
	ioapic_write(ioapics[i].base, 0x10 + line * 2, v | (level ? 0x8000 : 0) | (active_low ? 0x2000 : 0));
	atomic_store(&ioapic_busy, false);
	irq_restore(f);
out:
	mutex_unlock(&vector_lock);
	return r;
}

int irq_request_isa(unsigned isa_irq, irq_handler_fn *handler, void *arg)
{
	for (unsigned i = 0; i < acpi.noverrides; i++) {
		const struct acpi_override *o = &acpi.overrides[i];
		if (o->isa_irq == isa_irq)
			return irq_request_gsi(o->gsi, o->level, o->active_low, handler, arg);
	}
	return irq_request_gsi(isa_irq, false, false, handler, arg);
}
