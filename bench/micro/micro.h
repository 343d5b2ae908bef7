/*
 * bench/micro/micro.h - what the files of the micro suites share.
 *
 * An operation is a function that does something `count` times and answers 0 or a negative errno; what it needs
 * besides (a file, a second thread) it makes itself, outside the loop where the loop must not contain it.
 */
#ifndef IBRIK_BENCH_MICRO_H
#define IBRIK_BENCH_MICRO_H

#include <stddef.h>
#include <stdint.h>

#define MIB (1ul << 20)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A file of PACKED_BYTES in the image's own layer, cached after the first read. */
#define PACKED_FILE "/bench/packed"
#define PACKED_BYTES (4 * MIB)

struct operation {
	const char *suite, *name;
	long (*run)(unsigned long count); /* 0, or a negative errno */
	unsigned divisor;                 /* operations in one count; 0: it runs once and calls figure() itself */
	unsigned min_cpus;                /* fewer: the operation is left out */
};

/* Each file's operations; a name of NULL ends the table. */
extern const struct operation syscall_operations[], switch_operations[], memory_operations[], file_operations[], net_operations[];

/* Results that a compiler must not leave out go here. */
extern volatile unsigned long sink;

uint64_t now_ns(void);
/* Prints a figure that is no time of an operation: NAME=VALUE. */
void figure(const char *name, double value);
/* The calling thread runs on this CPU alone from now on. 0 or a negative errno. */
long run_on_cpu(int cpu);
/* Runs ours(count) on CPU 0 and theirs(count) in a second thread on `cpu` at the same time. 0, the error of one of
 * them, or a negative errno. */
long pair_run(long (*ours)(unsigned long), long (*theirs)(unsigned long), unsigned long count, int cpu);
/* A descriptor of PACKED_FILE, opened once; or a negative errno. */
int packed_file(void);

#endif
