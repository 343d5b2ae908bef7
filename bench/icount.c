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
 * nothing measurable afterwards. count=on adds by generated code, which is right with one
 * virtual CPU; count=smp calls a function for each block, slower, and right with several.
 *
 * The guest sets a mark by executing the no-operation of MARK: the counts of that moment are
 * kept, so that the instructions between two marks are known to a few dozen.
 *
 * Interface: -plugin icount.so,counter=FILE,entry=ADDRESS,count=on|smp|off
 *	FILE is struct counter of counter.h, made by the harness; ADDRESS is the PVH
 *	entry of the kernel
 * Locking: see counter.h.
 * Errors: qemu_plugin_install answers -1 after one line, which ends QEMU.
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
#include "images/tcg/plugin.h"

EXPORT int qemu_plugin_version = 1;

/* nopl with a displacement that says IBRK, as bench/micro/main.c has it. */
static const uint8_t MARK[] = { 0x0f, 0x1f, 0x80, 0x49, 0x42, 0x52, 0x4b };

static struct counter *counter;
static uint64_t entry;
static bool count, smp, in_high_half;

/* The number of instructions and the half travel in the pointer. */
static void block_executed(unsigned cpu, void *data)
{
	uintptr_t packed = (uintptr_t)data;
	struct instructions *insns = &counter->cpu[cpu % COUNTER_CPUS].insns;

	*(packed & 1 ? &insns->kernel : &insns->app) += packed >> 1;
}

static void mark_executed(unsigned cpu, void *data)
{
	(void)cpu;
	(void)data;
	if (counter->marks < COUNTER_MARKS)
		counter->mark[counter->marks] = counter_sum(counter);
	counter->marks++;
}

static void block_translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	size_t n = qemu_plugin_tb_n_insns(tb);
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
	high |= !in_high_half;
	if (smp)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, block_executed, CB_NO_REGS, (void *)(n << 1 | high));
	else
		qemu_plugin_register_vcpu_tb_exec_inline(
			tb, INLINE_ADD_U64, high ? &counter->cpu[0].insns.kernel : &counter->cpu[0].insns.app, n);
	for (size_t i = 0; !high && i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (qemu_plugin_insn_size(insn) == sizeof(MARK) && !memcmp(qemu_plugin_insn_data(insn), MARK, sizeof(MARK)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark_executed, CB_NO_REGS, NULL);
	}
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
			smp = !strcmp(argv[i] + 6, "smp"), count = smp || !strcmp(argv[i] + 6, "on");
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
