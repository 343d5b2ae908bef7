/*
 * bench/icount.c - a QEMU plugin: when the kernel was entered, and how many guest
 * instructions the kernel and the application have executed since.
 *
 * Wall time under TCG is noisy and depends on what QEMU happens to emulate well. The
 * number of guest instructions is neither, so it is reported beside the times. Code of
 * the high half counts as the kernel's, code of the low half as the application's;
 * both guests are laid out that way. Before the first high address the kernel still
 * runs in the low half. Firmware is not counted. An iteration of a `rep` string
 * instruction counts as an instruction: compare with the same CPU flags only.
 *
 * Counting adds to every block of translated code, so times and counts are taken in
 * different runs. With count=off only the entry is noted, by translation, which costs
 * nothing measurable afterwards.
 *
 * Interface: -plugin icount.so,counter=FILE,entry=ADDRESS,count=on|off
 *	FILE is struct counter of counter.h, made by the harness; ADDRESS is the PVH
 *	entry of the kernel
 * Locking: counts are exact with one virtual CPU; with more, additions may be lost.
 * Errors: qemu_plugin_install answers -1 after one line, which ends QEMU.
 *
 * Debian ships no header for plugins. What is declared here is version 1 of the
 * interface, which QEMU checks by qemu_plugin_version.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "counter.h"

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
enum { INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*callback)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *ptr, uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

EXPORT int qemu_plugin_version = 1;

static struct counter *counter;
static uint64_t entry;
static bool count, in_high_half;

static void block_translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	bool high = address >> 63;

	(void)id;
	if (!counter->entry_ns) {
		struct timespec now;

		if (address != entry)
			return;
		clock_gettime(CLOCK_MONOTONIC, &now);
		counter->entry_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	}
	if (!count)
		return;
	in_high_half |= high;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64,
						 high || !in_high_half ? &counter->kernel_insns : &counter->app_insns,
						 qemu_plugin_tb_n_insns(tb));
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	const char *path = NULL;
	int i, fd;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "counter=", 8))
			path = argv[i] + 8;
		else if (!strncmp(argv[i], "entry=", 6))
			entry = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "count=", 6))
			count = !strcmp(argv[i] + 6, "on");
	}
	if (!path || !entry) {
		fprintf(stderr, "icount: counter= and entry= are needed\n");
		return -1;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || counter == MAP_FAILED) {
		fprintf(stderr, "icount: cannot map %s\n", path);
		return -1;
	}
	close(fd);
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
	return 0;
}
