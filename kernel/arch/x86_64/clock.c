/*
 * kernel/arch/x86_64/clock.c - the time, from the TSC.
 *
 * Theory. ns = base_ns + (tsc - base_tsc) * mult >> 32. The three numbers live in a latch of two copies
 * (vdso/data.h): a writer changes the copy that readers do not use, then turns the sequence number. Kernel and
 * vDSO read the same copy with the same function: clock_share() moves it to the page that programs see, before
 * another CPU or a writer exists. The rate comes from CPUID where the hypervisor or CPU
 * tells it, else from the PIT, measured over a few milliseconds at boot, where a second measurement one second
 * later refines it; where there is no PIT, from ACPI's PM timer. The refinement changes only the slope from that moment on, so time never steps.
 *
 * The TSC is used even where it is not promised to be invariant: under an emulator it is derived from the
 * host's clock.
 * Sources: Intel 8254 data sheet; ACPI Specification 6.5, 4.8.2.1 (PM timer); Intel SDM volume 3, 18.17 (TSC).
 */
#include "core/clock.h"
#include "core/boot.h"
#include "core/log.h"
#include "core/thread.h"
#include "cpu.h"
#include "drivers/acpi.h"
#include "drivers/rtc.h"
#include "io.h"
#include "rate.h"
#include "vdso/data.h"

#define PIT_HZ 1193182ull
#define PIT_READS 2000000
#define PIT_READS_STILL 1000        /* each takes a microsecond at least: a counter that has not moved by then is none */
#define PM_TIMER_HZ 3579545ull
#define PM_TIMER_CYCLES 10000000ull /* 2 ms and more */

static struct vdso_data at_boot = { .rates = { { 0, 0, 1ull << 31 }, { 0, 0, 1ull << 31 } } };
struct vdso_data *clock_data = &at_boot; /* what readers and writers use */
static bool pit_runs;
static struct rate_sample pit_begin;
static uint64_t tsc_hz;

/* a * b / c with a 128-bit product; the quotient must fit 64 bits. */
static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t low, high, quotient, rest;

	__asm__("mulq %3" : "=a"(low), "=d"(high) : "0"(a), "r"(b) : "cc");
	assert(high < c);
	__asm__("divq %4" : "=a"(quotient), "=d"(rest) : "0"(low), "1"(high), "r"(c) : "cc");
	return quotient;
}

uint64_t clock_monotonic_ns(void) { return vdso_monotonic_ns(clock_data); }

void clock_share(struct vdso_data *page)
{
	*page = at_boot;
	page->getcpu = cpu_features.rdpid ? VDSO_GETCPU_RDPID : cpu_features.rdtscp ? VDSO_GETCPU_RDTSCP : VDSO_GETCPU_SYSCALL;
	/* An interrupt of this CPU may read the time now: the page is whole before it is used. */
	atomic_signal_fence(memory_order_release);
	clock_data = page;
}

uint64_t clock_ns_to_tsc(uint64_t ns)
{
	const struct vdso_rate *r = &clock_data->rates[atomic_load_explicit(&clock_data->turn, memory_order_acquire) & 1];
	uint64_t tsc;

	if (ns <= r->base_ns)
		return r->base_tsc;
	/* A sleeper's deadline may be the end of time. */
	if ((ns - r->base_ns) >> 32 >= r->mult || __builtin_add_overflow(r->base_tsc, mul_div(ns - r->base_ns, 1ull << 32, r->mult), &tsc))
		return UINT64_MAX;
	return tsc;
}

int64_t clock_realtime_offset_ns(void) { return atomic_load_explicit(&clock_data->realtime_offset, memory_order_relaxed); }
uint64_t clock_realtime_ns(void) { return clock_monotonic_ns() + (uint64_t)clock_realtime_offset_ns(); }

void clock_set_realtime(uint64_t ns_since_1970)
{
	atomic_store(&clock_data->realtime_offset, (int64_t)(ns_since_1970 - clock_monotonic_ns()));
}

/*
 * From now on at another rate. Who reads between the counter that the new copy begins with and the store that makes it valid extends
 * the old slope; if the new one is flatter, the time would go back by the difference. So that while is kept short: nobody interrupts it, and when the host
 * took the CPU away it is tried again; what may be left is made up for by beginning a little later.
 */
static void set_hz(uint64_t hz)
{
	uint64_t irq = irq_save(), now, limit = hz / 50000, margin = hz / 1000; /* 20 us, 1 ms */
	unsigned i = atomic_load(&clock_data->turn);
	const struct vdso_rate *old = &clock_data->rates[i & 1];
	struct vdso_rate *next = &clock_data->rates[(i + 1) & 1];

	next->mult = (NSEC_PER_SEC << 32) / hz;
	if (next->mult >= old->mult)
		margin = 0;
	for (unsigned try = 0; try < 100; try++) {
		now = rdtsc();
		next->base_tsc = now;
		next->base_ns = vdso_rate_ns(old, now) + (margin * (old->mult - next->mult) >> 32);
		if (rdtsc() - now < limit)
			break;
	}
	tsc_hz = hz;
	atomic_store_explicit(&clock_data->turn, i + 1, memory_order_release);
	irq_restore(irq);
}

uint64_t clock_tsc_hz(void) { return tsc_hz; }

/* Channel 2 counts down from 65535, again and again; its speaker output stays off. */
static void pit_start(void)
{
	outb(0x61, (inb(0x61) & ~2) | 1);
	outb(0x43, 0xb4); /* channel 2, both bytes, mode 2 */
	outb(0x42, 0xff);
	outb(0x42, 0xff);
}

static uint32_t pit_read(void)
{
	outb(0x43, 0x80); /* latch channel 2 */
	uint8_t lo = inb(0x42);
	return (uint16_t)(lo | inb(0x42) << 8);
}

static uint64_t hz_from_cpuid(void)
{
	uint32_t max, a, b, c, d;

	if (cpu_features.hypervisor) {
		cpuid(0x40000000, 0, &max, &b, &c, &d);
		if (max >= 0x40000010 && max < 0x40010000) {
			cpuid(0x40000010, 0, &a, &b, &c, &d);
			if (a)
				return (uint64_t)a * 1000;
		}
	}
	cpuid(0, 0, &max, &b, &c, &d);
	if (max >= 0x15) {
		cpuid(0x15, 0, &a, &b, &c, &d);
		if (a && b && c)
			return (uint64_t)c * b / a;
	}
	return 0;
}

/* Measured over 2 ms; 0 if there is no PIT. */
static uint64_t hz_from_pit(void)
{
	struct rate_sample begin, end;
	uint16_t ticks = 0;

	pit_start();
	/* The host may take the CPU away for so long that the counter goes round (55 ms), and the rate would
	 * be many times too high: a measurement with a wide gap is made again. */
	for (unsigned try = 0; try < 20; try++) {
		uint64_t last, widest = 0;

		begin = rate_sample(rdtsc, pit_read);
		last = begin.at;
		for (unsigned i = 0; i < PIT_READS; i++) {
			uint16_t gone = (uint16_t)(begin.count - pit_read());
			uint64_t now = rdtsc();

			widest = MAX(widest, now - last);
			last = now;
			if (gone >= PIT_HZ / 500 || (gone == 0 && i >= PIT_READS_STILL))
				break;
		}
		end = rate_sample(rdtsc, pit_read);
		ticks = (uint16_t)(begin.count - end.count);
		widest = MAX(widest, end.at - last);
		if (widest < (end.at - begin.at) / 8 || ticks < PIT_HZ / 1000)
			break;
	}
	if (ticks < PIT_HZ / 1000)
		return 0;
	pit_runs = true;
	pit_begin = begin;
	return (end.at - begin.at) * PIT_HZ / ticks;
}

/* Some count 24 bits, some 32: the lower ones do in both, moved to where their differences go round by themselves. */
static uint32_t pm_timer_read(void) { return inl((uint16_t)acpi.pm_timer_port) << 8; }

/* Over some milliseconds; 0 if there is none. It goes round in 4.7 s: a measurement that took much longer than it should is made again. */
static uint64_t hz_from_pm_timer(void)
{
	struct rate_sample begin, end;
	uint32_t ticks;

	if (!acpi.pm_timer_port)
		return 0;
	for (unsigned try = 0; try < 20; try++) {
		rate_measure(rdtsc, pm_timer_read, PM_TIMER_CYCLES, &begin, &end);
		if (end.at - begin.at < 64 * PM_TIMER_CYCLES)
			break;
	}
	ticks = (end.count - begin.count) >> 8;
	if (ticks < PM_TIMER_HZ / 10000)
		return 0;
	uint64_t hz = (end.at - begin.at) * PM_TIMER_HZ / ticks;
	log_info("clock: TSC at %lu Hz by the PM timer", hz);
	return hz;
}

void clock_init(void)
{
	uint64_t hz = hz_from_cpuid();

	clock_data->rates[0].base_tsc = clock_data->rates[1].base_tsc = boot_info.entry_tsc;
	if (!hz)
		hz = hz_from_pit();
	if (!hz)
		hz = hz_from_pm_timer();
	if (!hz) {
		hz = 1000000000ull;
		log_warn("no PIT, no PM timer and no TSC frequency from the CPU: taking 1 GHz, times will be wrong");
	}
	/* From entry on, at this rate. */
	clock_data->rates[0].mult = clock_data->rates[1].mult = (NSEC_PER_SEC << 32) / hz;
	tsc_hz = hz;
	clock_set_realtime(rtc_read_seconds() * NSEC_PER_SEC);
}

static void refine(void *arg)
{
	uint64_t hz = tsc_hz;

	sleep_ns(NSEC_PER_SEC);
	struct rate_sample now = rate_sample(rdtsc, pit_read);
	/* The counter went round an unknown number of times; the first rate is good enough to tell how many. */
	uint64_t about = mul_div(now.at - pit_begin.at, PIT_HZ, hz);
	uint16_t low = (uint16_t)(pit_begin.count - now.count);
	/* Mode 2 reloads 65535: the period is 65535 counts. */
	uint64_t rounds = about / 65535;
	uint64_t best = 0, best_error = UINT64_MAX;
	for (int64_t k = -1; k <= 1; k++) {
		uint64_t ticks = (rounds + (uint64_t)k) * 65535 + low - (pit_begin.count < now.count ? 1 : 0);
		uint64_t error = ticks > about ? ticks - about : about - ticks;
		if (error < best_error) {
			best_error = error;
			best = ticks;
		}
	}
	if (best == 0 || best_error > 5000) {
		log_info("clock: second measurement does not fit the first, keeping %lu Hz", hz);
		return;
	}
	uint64_t refined = mul_div(now.at - pit_begin.at, PIT_HZ, best);
	set_hz(refined);
	log_info("clock: TSC at %lu Hz (%lu at boot)", refined, hz);
}

void clock_init_late(void)
{
	if (!pit_runs)
		return;
	struct thread *t = thread_create_kernel("clock", refine, NULL);
	if (IS_ERR(t))
		log_warn("no memory for the clock's second measurement");
}

void delay_us(unsigned us)
{
	uint64_t end = clock_monotonic_ns() + us * 1000ull;
	while (clock_monotonic_ns() < end)
		cpu_relax();
}
