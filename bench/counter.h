/*
 * bench/counter.h - the file that the QEMU plugin (icount.c) writes and the harness
 * (guest.c) reads while the guest runs: both map it shared.
 *
 * Locking: none. Each field has one writer, the thread of the only virtual CPU; a
 * reader sees a value at most a few microseconds old.
 */
#ifndef IBRIK_BENCH_COUNTER_H
#define IBRIK_BENCH_COUNTER_H

#include <stdint.h>

struct counter {
	uint64_t kernel_insns; /* executed at addresses of the high half */
	uint64_t app_insns;    /* executed in the low half, after the kernel's entry */
	uint64_t entry_ns;     /* CLOCK_MONOTONIC when the kernel's entry was first reached */
};

#endif
