/*
 * bench/micro/main.c - what single operations of the kernel cost, as a Linux program: the same binary runs in
 * both guests.
 *
 * Interface: micro SUITE           a line `NAME NANOSECONDS` for each operation, the best of ROUNDS rounds: on a
 *                                  shared machine the least disturbed round is the one to compare
 *            micro SUITE count     a line `NAME counted OPERATIONS`, and two marks around them for the plugin of
 *                                  ../icount.c, which counts the instructions between
 *	SUITE is syscall, switch, memory, file or net; then `done`. Figures of another kind are lines NAME=VALUE.
 * The number of repetitions is found by doubling until a round takes ROUND_NS.
 * Errors: an operation that fails prints `NAME failed ERRNO` and the rest goes on; wrong use is status 1.
 */
#define _GNU_SOURCE
#include "micro.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define ROUND_NS 40000000ull
#define COUNT_NS 10000000ull
#define COUNT_LEAST 64 /* a stolen moment of the host must not end the search at a count of 1 */

static const struct operation *const suites[] = { syscall_operations, switch_operations, memory_operations, file_operations, net_operations };

volatile unsigned long sink;

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void figure(const char *name, double value)
{
	printf("%s=%.3f\n", name, value);
	fflush(stdout);
}

long run_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

struct partner {
	long (*run)(unsigned long count);
	unsigned long count;
	int cpu;
	long result;
};

static void *partner_main(void *arg)
{
	struct partner *p = arg;

	run_on_cpu(p->cpu);
	p->result = p->run(p->count);
	return NULL;
}

long pair_run(long (*ours)(unsigned long), long (*theirs)(unsigned long), unsigned long count, int cpu)
{
	struct partner partner = { theirs, count, cpu, 0 };
	pthread_t thread;
	long error = run_on_cpu(0);

	if (error)
		return error;
	if (pthread_create(&thread, NULL, partner_main, &partner))
		return -EAGAIN;
	error = ours(count);
	pthread_join(thread, NULL);
	return error ? error : partner.result;
}

int packed_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(PACKED_FILE, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The plugin knows this no-operation by its bytes; elsewhere it is one. */
static __attribute__((noinline)) void mark(void) { __asm__ volatile(".byte 0x0f, 0x1f, 0x80, 0x49, 0x42, 0x52, 0x4b" : : : "memory"); }

/* Repeats until a round takes that long. A negative errno, or 0 with the repetitions and the time of the last round. */
static long calibrate(const struct operation *o, uint64_t round_ns, unsigned long least, unsigned long *count, uint64_t *took)
{
	for (*count = least;; *count *= *took < round_ns / 8 ? 8 : 2) {
		uint64_t before = now_ns();
		long error = o->run(*count);

		*took = now_ns() - before;
		if (error || *took >= round_ns)
			return error;
	}
}

static void operation_measure(const struct operation *o)
{
	unsigned long count;
	uint64_t took, best = UINT64_MAX;
	/* The first time translates the code, and may take a round by itself. */
	long error = o->run(1) ?: calibrate(o, ROUND_NS, 1, &count, &took);

	for (int round = 0; !error && round < ROUNDS; round++) {
		uint64_t before = now_ns();

		error = o->run(count);
		took = now_ns() - before;
		if (took < best)
			best = took;
	}
	if (error)
		printf("%s failed %ld\n", o->name, -error);
	else
		printf("%s %.1f\n", o->name, (double)best / (double)count / o->divisor);
	fflush(stdout);
}

static void operation_count(const struct operation *o)
{
	unsigned long count;
	uint64_t took;
	long error = calibrate(o, COUNT_NS, COUNT_LEAST, &count, &took);

	if (!error) {
		mark();
		error = o->run(count);
		mark();
	}
	if (error)
		printf("%s failed %ld\n", o->name, -error);
	else
		printf("%s counted %lu\n", o->name, count * o->divisor);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int counts = argc == 3 && !strcmp(argv[2], "count"), found = 0;
	cpu_set_t all;
	long cpus;

	if (sched_getaffinity(0, sizeof(all), &all)) {
		perror("micro: sched_getaffinity");
		return 1;
	}
	cpus = CPU_COUNT(&all);
	for (size_t i = 0; (argc == 2 || counts) && i < ARRAY_SIZE(suites); i++) {
		for (const struct operation *o = suites[i]; o->name; o++) {
			if (strcmp(o->suite, argv[1]))
				continue;
			found = 1;
			if (o->min_cpus > cpus)
				continue;
			if (!o->divisor) {
				long error = counts ? 0 : o->run(1);

				if (error)
					printf("%s failed %ld\n", o->name, -error);
			} else if (counts)
				operation_count(o);
			else
				operation_measure(o);
			sched_setaffinity(0, sizeof(all), &all);
		}
	}
	if (!found) {
		fprintf(stderr, "usage: micro syscall|switch|memory|file|net [count]\n");
		return 1;
	}
	puts("done");
	return 0;
}
