/*
 * bench/micro/micro.c - what single operations of the kernel cost, as a Linux program: the
 * same static binary runs in both guests.
 *
 * Interface: micro syscall|switch|memory
 *	prints a line `NAME NANOSECONDS` for each operation, the best of ROUNDS rounds: on a
 *	shared machine the least disturbed round is the one to compare; then `done`.
 * The number of repetitions is found by doubling until a round takes ROUND_NS.
 * Errors: an operation that fails prints `NAME failed ERRNO` and the rest goes on; wrong
 * use is status 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define ROUND_NS 40000000ull
#define MIB (1ul << 20)

struct operation {
	const char *suite, *name;
	long (*run)(unsigned long count); /* 0, or a negative errno */
	unsigned divisor;                 /* operations in one count */
};

static volatile unsigned long sink;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static long run_getppid(unsigned long count)
{
	while (count--)
		sink += (unsigned long)getppid();
	return 0;
}

static long run_gettid(unsigned long count)
{
	while (count--)
		sink += (unsigned long)syscall(SYS_gettid);
	return 0;
}

static long run_clock(unsigned long count)
{
	struct timespec now;

	while (count--)
		if (clock_gettime(CLOCK_MONOTONIC, &now))
			return -errno;
	return 0;
}

static long run_clock_trap(unsigned long count)
{
	struct timespec now;

	while (count--)
		if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now))
			return -errno;
	return 0;
}

static long run_read_byte(unsigned long count)
{
	static int fd = -1;
	char byte;

	if (fd < 0) {
		fd = open("/tmp/byte", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, "x", 1) != 1)
			return -errno;
	}
	while (count--)
		if (pread(fd, &byte, 1, 0) != 1)
			return -errno;
	return 0;
}

static long run_read_zero(unsigned long count)
{
	static int fd = -1;
	char byte;

	if (fd < 0)
		fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	while (count--)
		if (read(fd, &byte, 1) != 1)
			return -errno;
	return 0;
}

struct pipes {
	int there[2], back[2];
	unsigned long count;
};

static void *pipe_echo(void *arg)
{
	struct pipes *p = arg;
	unsigned long i;
	char byte;

	for (i = 0; i < p->count; i++)
		if (read(p->there[0], &byte, 1) != 1 || write(p->back[1], &byte, 1) != 1)
			break;
	return NULL;
}

static long run_pipe(unsigned long count)
{
	struct pipes p = { .count = count };
	pthread_t echo;
	char byte = 1;
	long ret = 0;

	if (pipe2(p.there, O_CLOEXEC) || pipe2(p.back, O_CLOEXEC))
		return -errno;
	if (pthread_create(&echo, NULL, pipe_echo, &p))
		return -EAGAIN;
	while (count--)
		if (write(p.there[1], &byte, 1) != 1 || read(p.back[0], &byte, 1) != 1) {
			ret = -errno;
			break;
		}
	close(p.there[1]);
	pthread_join(echo, NULL);
	close(p.there[0]);
	close(p.back[0]);
	close(p.back[1]);
	return ret;
}

static atomic_int turn;

static void turn_give(int to)
{
	atomic_store(&turn, to);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void turn_await(int mine)
{
	int seen;

	while ((seen = atomic_load(&turn)) != mine)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void *futex_echo(void *arg)
{
	unsigned long count = *(unsigned long *)arg;

	while (count--) {
		turn_await(1);
		turn_give(0);
	}
	return NULL;
}

static long run_futex(unsigned long count)
{
	unsigned long left = count;
	pthread_t echo;

	atomic_store(&turn, 0);
	if (pthread_create(&echo, NULL, futex_echo, &count))
		return -EAGAIN;
	while (left--) {
		turn_give(1);
		turn_await(0);
	}
	pthread_join(echo, NULL);
	return 0;
}

static void *yield_loop(void *arg)
{
	unsigned long count = *(unsigned long *)arg;

	while (count--)
		sched_yield();
	return NULL;
}

static long run_yield(unsigned long count)
{
	pthread_t other;

	if (pthread_create(&other, NULL, yield_loop, &count))
		return -EAGAIN;
	yield_loop(&count);
	pthread_join(other, NULL);
	return 0;
}

static void *thread_nothing(void *arg) { return arg; }

static long run_thread(unsigned long count)
{
	pthread_t thread;

	while (count--)
		if (pthread_create(&thread, NULL, thread_nothing, NULL) || pthread_join(thread, NULL))
			return -EAGAIN;
	return 0;
}

static long run_mmap(unsigned long count)
{
	while (count--) {
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || munmap(p, 65536))
			return -errno;
	}
	return 0;
}

static long run_mprotect(unsigned long count)
{
	static char *p;

	if (!p) {
		p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return -errno;
		memset(p, 1, 65536);
	}
	while (count--)
		if (mprotect(p + 16384, 4096, PROT_READ) || mprotect(p + 16384, 4096, PROT_READ | PROT_WRITE))
			return -errno;
	return 0;
}

/* Faults of small pages: the area asks for no huge ones. */
static long run_fault(unsigned long count)
{
	char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at;

	if (p == MAP_FAILED)
		return -errno;
	madvise(p, MIB, MADV_NOHUGEPAGE);
	while (count--) {
		for (at = 0; at < MIB; at += 4096)
			p[at] = 1;
		if (madvise(p, MIB, MADV_DONTNEED))
			return -errno;
	}
	munmap(p, MIB);
	return 0;
}

static long run_touch(unsigned long count)
{
	const size_t size = 256 * MIB;
	size_t at;

	while (count--) {
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -errno;
		for (at = 0; at < size; at += 4096)
			p[at] = 1;
		munmap(p, size);
	}
	return 0;
}

static const struct operation operations[] = {
	{ "syscall", "getppid", run_getppid, 1 },
	{ "syscall", "gettid", run_gettid, 1 },
	{ "syscall", "clock_gettime", run_clock, 1 },
	{ "syscall", "clock_gettime-syscall", run_clock_trap, 1 },
	{ "syscall", "pread-1-byte-tmpfs", run_read_byte, 1 },
	{ "syscall", "read-1-byte-dev-zero", run_read_zero, 1 },
	{ "switch", "pipe-round-trip", run_pipe, 1 },
	{ "switch", "futex-switch", run_futex, 2 },
	{ "switch", "sched_yield", run_yield, 2 },
	{ "switch", "pthread-create-join", run_thread, 1 },
	{ "memory", "mmap-munmap-64K", run_mmap, 1 },
	{ "memory", "mprotect-page", run_mprotect, 2 },
	{ "memory", "fault-4K", run_fault, 256 },
	{ "memory", "touch-256M", run_touch, 1 },
};

static void operation_measure(const struct operation *o)
{
	unsigned long count = 1;
	uint64_t best = 0;
	int round = 0;

	while (round < ROUNDS) {
		uint64_t before = now_ns(), took;
		long error = o->run(count);

		took = now_ns() - before;
		if (error) {
			printf("%s failed %ld\n", o->name, -error);
			return;
		}
		if (round == 0 && took < ROUND_NS) {
			count *= took < ROUND_NS / 8 ? 8 : 2;
			continue;
		}
		took = took * 10 / count / o->divisor; /* tenths of nanoseconds */
		if (!best || took < best)
			best = took;
		round++;
	}
	printf("%s %llu.%llu\n", o->name, (unsigned long long)best / 10, (unsigned long long)best % 10);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	size_t i;
	int found = 0;

	for (i = 0; argc == 2 && i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strcmp(operations[i].suite, argv[1]))
			continue;
		operation_measure(&operations[i]);
		found = 1;
	}
	if (!found) {
		fprintf(stderr, "usage: micro syscall|switch|memory\n");
		return 1;
	}
	puts("done");
	return 0;
}
