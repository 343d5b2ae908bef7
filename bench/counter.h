/*
 * bench/counter.h - the file that the QEMU plugin (icount.c) writes and the harness
 * (guest.c) reads while the guest runs: both map it shared.
 *
 * Locking: none. Each slot of `cpu` has one writer, the thread of that virtual CPU; a
 * reader sees a value at most a few microseconds old. Marks are written by whichever
 * CPU comes to one; the programs that set marks do so from one thread.
 */
#ifndef IBRIK_BENCH_COUNTER_H
#define IBRIK_BENCH_COUNTER_H

#include <stdint.h>

#define COUNTER_CPUS 16
#define COUNTER_MARKS 256

struct instructions {
	uint64_t kernel; /* executed at addresses of the high half */
	uint64_t app;    /* executed in the low half, after the kernel's entry */
};

struct counter {
	uint64_t entry_ns; /* CLOCK_MONOTONIC when the kernel's entry was first reached */
	uint64_t marks;    /* how many the guest has set; those beyond COUNTER_MARKS are lost */
	struct {
		struct instructions insns;
		uint64_t fill[6]; /* a cache line of its own */
	} cpu[COUNTER_CPUS];
	struct instructions mark[COUNTER_MARKS]; /* of all CPUs until then */
};

/* The sum over all CPUs. */
static inline struct instructions counter_sum(const volatile struct counter *c)
{
	struct instructions sum = { 0, 0 };

	for (int i = 0; i < COUNTER_CPUS; i++) {
		sum.kernel += c->cpu[i].insns.kernel;
		sum.app += c->cpu[i].insns.app;
	}
	return sum;
}

#endif
