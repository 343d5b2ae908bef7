/*
 * kernel/arch/x86_64/fpu.c - saving and loading vector and floating-point state; see fpu.h.
 *
 * When. A thread's registers are saved whenever it is switched out, so that its area is current while it does not run
 * and it may continue on any CPU. They are loaded when it comes back, unless this CPU's registers are still its own. A
 * system call does not make them dead.
 *
 * Why not lazily, by CR0.TS and the exception at the first use. A thread's slice without a vector instruction is rare:
 * glibc copies, compares and clears with them, and so does what gcc makes of any initialisation of a struct; HotSpot's code holds
 * doubles and spilled words there. On hardware XSAVEOPT leaves out what is in its initial state or unchanged since the last XRSTOR,
 * and the pair costs some 100 to 150 cycles, about what a write of CR0 (which serialises) costs by itself; a wrong guess
 * adds an exception of a thousand. That a speculative read may see the registers of the thread before (CVE-2018-3665) would be
 * no objection: all threads belong to one application in one ring. Under QEMU's translator (7.2) lazy state would even be wrong: its
 * XSAVE, XRSTOR and EMMS do not raise the exception while TS is set, so a thread would store and load another's registers (glibc's
 * lazy binding executes XSAVE); and TS is part of what a translation is found by, so code is translated twice.
 * XGETBV(1) answers there that everything is in use.
 *
 * How. By XSAVEOPT, XSAVE or FXSAVE, what the CPU has. A translator makes of them a loop over helper functions with a lookup of
 * the address for each word: in QEMU 7.2 the pair takes more time than all the rest of a switch. Plain moves are
 * translated in place and take a fraction of that. So under that emulator, which has x87, SSE and AVX and no more, the vector registers
 * are moved one by one into struct moved, behind the XSAVE area. The x87 unit is saved, by XSAVE, only when its environment is not
 * the initial one: an empty stack under default control has no contents (the values behind MMX registers after EMMS are
 * nobody's).
 *
 * Locking: a thread's area is touched by the thread itself or by the scheduler with interrupts off.
 */
#include "fpu.h"
#include "cpu.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "mm/mm.h"

/* x87, SSE, AVX, AVX-512 (opmask, ZMM_Hi256, Hi16_ZMM). AMX stays off. */
#define XCR0_WANTED (0x7ull | 0xe0ull)
#define XCR0_MOVABLE 0x7ull

#define MXCSR_INITIAL 0x1f80
#define FCW_INITIAL 0x37f

/* State saved by moves; the XSAVE area before it then holds the x87 unit alone, if that is live. */
struct moved {
	uint8_t ymm[16][32];
	uint32_t mxcsr;
	bool upper_live, x87_live;
} __attribute__((aligned(64)));

/* True if moves are cheaper than XSAVE here. Set once, before any thread has an area. */
static bool by_moves;

static struct moved *moved_of(const struct thread *t)
{
	return (struct moved *)((uint8_t *)t->fpu + ALIGN_UP(cpu_features.xsave_bytes, 64));
}

static uint32_t area_bytes(void)
{
	return ALIGN_UP(cpu_features.xsave_bytes, 64) + (by_moves ? sizeof(struct moved) : 0);
}

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

#define FIRST_FOUR(f) f(0) f(1) f(2) f(3)
#define OTHERS(f) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define STORE_YMM(i) "vmovups %%ymm" #i ", 32 * " #i "(%0)\n"
#define STORE_XMM(i) "vmovups %%xmm" #i ", 32 * " #i "(%0)\n"
#define LOAD_YMM(i) "vmovups 32 * " #i "(%0), %%ymm" #i "\n"
#define LOAD_HALVES(i) "movlps 32 * " #i "(%0), %%xmm" #i "; movhps 32 * " #i " + 8(%0), %%xmm" #i "\n"
#define OR_YMM(to, from) "vorps %%ymm" #from ", %%ymm" #to ", %%ymm" #to "\n"

/* FNSTENV masks the exceptions of the unit, which matters only if they were not: then XSAVE and the reload follow. */
static inline bool x87_is_live(void)
{
	struct {
		uint32_t control, status, tags, ip, ip_selector, dp, dp_selector;
	} env;

	__asm__ volatile("fnstenv %0" : "=m"(env));
	if ((env.control & 0xffff) == FCW_INITIAL && (env.status & 0xffff) == 0 && (env.tags & 0xffff) == 0xffff)
		return false;
	__asm__ volatile("fldenv %0" : : "m"(env));
	return true;
}

/*
 * The upper halves are zero at nearly every switch, since compilers end code that used them by VZEROUPPER. To see that, all are ORed
 * together, in four chains because one would wait for itself. The first four registers are lost by that.
 */
static inline void move_out(struct moved *m)
{
	uint64_t low, high;

	__asm__ volatile(FIRST_FOUR(STORE_YMM) OTHERS(STORE_XMM) : : "r"(m->ymm) : "memory");
	__asm__ volatile(OR_YMM(0, 4) OR_YMM(1, 5) OR_YMM(2, 6) OR_YMM(3, 7)
			 OR_YMM(0, 8) OR_YMM(1, 9) OR_YMM(2, 10) OR_YMM(3, 11)
			 OR_YMM(0, 12) OR_YMM(1, 13) OR_YMM(2, 14) OR_YMM(3, 15)
			 OR_YMM(0, 1) OR_YMM(2, 3) OR_YMM(0, 2)
			 "vextractf128 $1, %%ymm0, %%xmm0; vmovq %%xmm0, %0; vpextrq $1, %%xmm0, %1" : "=r"(low), "=r"(high));
	m->upper_live = low | high;
	if (m->upper_live)
		__asm__ volatile(OTHERS(STORE_YMM) : : "r"(m->ymm) : "memory");
	__asm__ volatile("stmxcsr %0" : "=m"(m->mxcsr));
}

/* Puts back what move_out() destroyed: for a thread whose registers stay where they are. */
static inline void move_back(const struct moved *m) { __asm__ volatile(FIRST_FOUR(LOAD_YMM) : : "r"(m->ymm) : "memory"); }

/*
 * A load of sixteen bytes is translated to two of eight into a temporary place and one from there, for which the host's CPU waits. So
 * the halves are loaded by themselves where the rest is zero.
 */
static inline void move_in(const struct moved *m)
{
	if (m->upper_live)
		__asm__ volatile(FIRST_FOUR(LOAD_YMM) OTHERS(LOAD_YMM) : : "r"(m->ymm) : "memory");
	else
		__asm__ volatile("vzeroupper\n" FIRST_FOUR(LOAD_HALVES) OTHERS(LOAD_HALVES) : : "r"(m->ymm) : "memory");
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
	by_moves = xcr0 == XCR0_MOVABLE && strcmp(cpu_features.hypervisor_name, "TCGTCGTCGTCG") == 0;
}

uint32_t fpu_area_bytes(void) { return cpu_features.xsave_bytes; }

static void area_init(struct thread *t)
{
	uint8_t *area = t->fpu;
	uint16_t fcw = FCW_INITIAL;
	uint32_t mxcsr = MXCSR_INITIAL;

	memset(area, 0, area_bytes());
	memcpy(area, &fcw, 2);
	memcpy(area + 24, &mxcsr, 4);
	/* XSTATE_BV of zero means: every component in its initial state. */
	if (by_moves)
		moved_of(t)->mxcsr = mxcsr;
}

static inline bool is_in_registers(const struct cpu *c, const struct thread *t)
{
	return c->fpu_owner == t && t->fpu_cpu == (int)c->id;
}

/* The current thread's registers go to its area. By moves, the caller must move_back() unless another's come next. */
static inline __attribute__((always_inline)) void save(struct thread *t)
{
	if (by_moves) {
		struct moved *m = moved_of(t);

		move_out(m);
		m->x87_live = x87_is_live();
		if (m->x87_live)
			__asm__ volatile("xsave64 (%0)" : : "r"(t->fpu), "a"(1), "d"(0) : "memory");
	} else {
		xsave(t->fpu);
	}
}

/* If `saved` is given, its registers were saved just now: what is the same in both need not be loaded. */
static inline __attribute__((always_inline)) void load(struct cpu *c, struct thread *t, const struct thread *saved)
{
	if (by_moves) {
		const struct moved *m = moved_of(t), *before = saved ? moved_of(saved) : NULL;

		move_in(m);
		if (!before || m->mxcsr != before->mxcsr)
			__asm__ volatile("ldmxcsr %0" : : "m"(m->mxcsr));
		if (m->x87_live)
			__asm__ volatile("xrstor64 (%0)" : : "r"(t->fpu), "a"(1), "d"(0) : "memory");
		else if (!before || before->x87_live)
			__asm__ volatile("fninit");
	} else {
		xrstor(t->fpu);
	}
	c->fpu_owner = t;
	t->fpu_cpu = (int)c->id;
}

SWITCHING void fpu_switch(struct cpu *c, struct thread *prev, struct thread *next)
{
	bool saves = prev->fpu && is_in_registers(c, prev);

	if (saves)
		save(prev);
	if (next->fpu && next->fpu_cpu != FPU_HELD && !is_in_registers(c, next))
		load(c, next, saves ? prev : NULL);
	else if (saves && by_moves)
		move_back(moved_of(prev));
}

int fpu_alloc(struct thread *t, struct thread *from)
{
	t->fpu = kmalloc(area_bytes());
	if (!t->fpu)
		return -ENOMEM;
	assert(((uintptr_t)t->fpu & 63) == 0);
	t->fpu_cpu = -1;
	if (from) {
		uint64_t f = irq_save();
		save(from);
		if (by_moves)
			move_back(moved_of(from));
		memcpy(t->fpu, from->fpu, area_bytes());
		irq_restore(f);
	} else {
		area_init(t);
	}
	return 0;
}

void fpu_free(struct thread *t)
{
	kfree(t->fpu);
	t->fpu = NULL;
}

/* What FXRSTOR makes the initial state of; and XRSTOR, since XSTATE_BV is zero, which means: every component in its initial state. */
static const struct {
	uint16_t fcw;
	uint8_t between[22];
	uint32_t mxcsr;
	uint8_t rest[548]; /* to the end of XSAVE's header */
} initial __attribute__((aligned(64))) = { .fcw = FCW_INITIAL, .mxcsr = MXCSR_INITIAL };

/* The registers alone: the thread's area is written when they are saved. */
void fpu_reset(void)
{
	uint64_t f = irq_save();
	struct cpu *c = this_cpu();

	if (by_moves)
		__asm__ volatile("vzeroall; fninit; ldmxcsr %0" : : "m"(initial.mxcsr));
	else
		xrstor(&initial);
	c->fpu_owner = current;
	current->fpu_cpu = (int)c->id;
	irq_restore(f);
}
