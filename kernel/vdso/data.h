/*
 * kernel/vdso/data.h - the page before the vDSO: what the vDSO knows of the kernel.
 *
 * Theory:    One copy of the numbers for both sides, in a page that the kernel writes through the direct map
 *            and the application sees read-only, one page before the vDSO. Kernel and vDSO read it with the
 *            same function, so that a reading of one is never behind an earlier reading of the other.
 *            ns = base_ns + ((tsc - base_tsc) * mult >> 32), from the copy that `turn` names.
 *            Behind the time stand the way into the kernel and the table of figures (exports.h): addresses in the kernel's half, which
 *            code of the application can read and jump to, since it runs in the same ring.
 * Interface: vdso_monotonic_ns(). Only kernel/arch/x86_64/clock.c writes the time; kernel/linux/vdso.c the rest, once.
 * Locking:   none: a latch of two copies. The writer fills the copy that nobody reads, then adds one to
 *            `turn`; a reader reads again if it turned meanwhile, and never waits.
 */
#ifndef IBRIK_VDSO_DATA_H
#define IBRIK_VDSO_DATA_H

#include "lib/figures.h"
#include <stdatomic.h>
#include <stdint.h>

struct vdso_rate {
	uint64_t base_tsc, base_ns, mult; /* mult: ns per tick, 32.32 */
};

/* How the number of the CPU is had without a system call. */
enum vdso_getcpu { VDSO_GETCPU_SYSCALL = 0, VDSO_GETCPU_RDTSCP = 1, VDSO_GETCPU_RDPID = 2 };

struct vdso_data {
	struct vdso_rate rates[2];
	_Atomic unsigned turn;
	uint32_t getcpu;                 /* enum vdso_getcpu; constant once programs run */
	_Atomic int64_t realtime_offset; /* realtime = monotonic + offset */
};

struct vdso_page {
	void (*entry)(void); /* gate_entry; first, because assembly reads it */
	struct vdso_data clock;
	struct figure_table figures;
};

static inline uint64_t vdso_rate_ns(const struct vdso_rate *r, uint64_t tsc)
{
	int64_t d = (int64_t)(tsc - r->base_tsc);

	if (d < 0)
		return r->base_ns;
	return r->base_ns + (uint64_t)(((unsigned __int128)(uint64_t)d * r->mult) >> 32);
}

static inline uint64_t vdso_monotonic_ns(const struct vdso_data *data)
{
	uint32_t lo, hi;
	unsigned i;
	uint64_t ns;

	do {
		i = atomic_load_explicit(&data->turn, memory_order_acquire);
		/* The counter is not read before what the program did earlier, such as seeing another CPU's time. */
		__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
		ns = vdso_rate_ns(&data->rates[i & 1], (uint64_t)hi << 32 | lo);
		/*
		 * Whoever was held up between the copy and the counter would extend the old slope beyond its end.
		 * The fence keeps the compiler from moving the reads of the copy behind the check.
		 */
		atomic_thread_fence(memory_order_acquire);
	} while (__builtin_expect(atomic_load_explicit(&data->turn, memory_order_relaxed) != i, 0));
	return ns;
}

#endif
