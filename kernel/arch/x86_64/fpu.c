/*
 * kernel/arch/x86_64/fpu.c - see fpu.h.
 *
 * Locking: a thread's area is touched by the thread itself or by the scheduler with interrupts off.
 */
#include "fpu.h"
#include "cpu.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "mm/mm.h"

/* x87, SSE, AVX, AVX-512 (opmask, ZMM_Hi256, Hi16_ZMM), PKRU. AMX stays off. */
#define XCR0_WANTED (0x7ull | 0xe0ull)

static void xsave(void *area)
{
	if (!cpu_features.xsave)
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
	else if (cpu_features.xsaveopt)
		__asm__ volatile("xsaveopt64 (%0)" : : "r"(area), "a"(0xffffffff), "d"(0xffffffff) : "memory");
	else
		__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(0xffffffff), "d"(0xffffffff) : "memory");
}

static void xrstor(const void *area)
{
	if (!cpu_features.xsave)
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
	else
		__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(0xffffffff), "d"(0xffffffff) : "memory");
}

void fpu_init_this(void)
{
	uint32_t a, b, c, d;

	__asm__ volatile("fninit");
	if (!cpu_features.xsave) {
		cpu_features.xsave_bytes = 512;
		return;
	}
	cpuid(0xd, 0, &a, &b, &c, &d);
	uint64_t xcr0 = (a | (uint64_t)d << 32) & XCR0_WANTED;
	if ((xcr0 & 0xe0) != 0xe0)
		xcr0 &= ~0xe0ull;
	__asm__ volatile("xsetbv" : : "a"((uint32_t)xcr0), "d"((uint32_t)(xcr0 >> 32)), "c"(0));
	cpu_features.xcr0 = xcr0;
	cpuid(0xd, 0, &a, &b, &c, &d);
	cpu_features.xsave_bytes = b;
}

uint32_t fpu_area_bytes(void) { return cpu_features.xsave_bytes; }

static void area_init(uint8_t *area)
{
	uint16_t fcw = 0x37f;
	uint32_t mxcsr = 0x1f80;

	memset(area, 0, cpu_features.xsave_bytes);
	memcpy(area, &fcw, 2);
	memcpy(area + 24, &mxcsr, 4);
	/* XSTATE_BV of zero means: every component in its initial state. */
}

int fpu_alloc(struct thread *t, struct thread *from)
{
	void *area = kmalloc(ALIGN_UP(cpu_features.xsave_bytes, 64));

	if (!area)
		return -ENOMEM;
	assert(((uintptr_t)area & 63) == 0);
	if (from) {
		uint64_t f = irq_save();
		fpu_save(from);
		memcpy(area, from->fpu, cpu_features.xsave_bytes);
		irq_restore(f);
	} else {
		area_init(area);
	}
	t->fpu = area;
	t->fpu_cpu = -1;
	return 0;
}

void fpu_free(struct thread *t)
{
	kfree(t->fpu);
	t->fpu = NULL;
}

void fpu_save(struct thread *t)
{
	struct cpu *c = this_cpu();

	if (t->fpu && c->fpu_owner == t && t->fpu_cpu == (int)c->id)
		xsave(t->fpu);
}

void fpu_restore(struct thread *t)
{
	struct cpu *c = this_cpu();

	if (!t->fpu || t->fpu_cpu == FPU_HELD || (c->fpu_owner == t && t->fpu_cpu == (int)c->id))
		return;
	xrstor(t->fpu);
	c->fpu_owner = t;
	t->fpu_cpu = (int)c->id;
}

void fpu_sync(void)
{
	uint64_t f = irq_save();
	fpu_save(current);
	irq_restore(f);
}

void fpu_reload(void)
{
	uint64_t f = irq_save();
	current->fpu_cpu = -1;
	fpu_restore(current);
	irq_restore(f);
}

void fpu_reset(void)
{
	uint64_t f = irq_save();
	area_init(current->fpu);
	current->fpu_cpu = -1;
	fpu_restore(current);
	irq_restore(f);
}
