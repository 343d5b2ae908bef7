/*
 * images/tcg/reread.c - a QEMU plugin: an instruction that changed while it was translated is translated again.
 *
 * Theory:    QEMU 7.2 reads the bytes of a block of code one after the other, and begins to watch their page for stores
 *            when the translation is finished. A store of another virtual CPU in between gives a mixture of an old and
 *            a new instruction, which no real CPU executes, or a translation of the old one that is never given up.
 *            HotSpot changes the first instruction of a compiled method, by a store that every real CPU takes whole, into
 *            a jump when the method is not to be entered any more. So a JVM on several virtual CPUs died of this once
 *            in a few dozen runs (docs/caveats.md).
 *            A plugin is called when a block has been read and before it can run. It compares what was read with
 *            what the memory holds. Where they differ the block must not run, and all translations are dropped at a
 *            point where every virtual CPU stands. Of this the plugin interface has the second only, as a reset of the plugin, and not even that while
 *            the request of another virtual CPU waits; until that point any of them may find the block and run it. So a call of
 *            refuse() is put at the start of such a block, which leaves QEMU's loop of execution with the guest's registers as they were, and
 *            asks for tb_flush(), in the name of the virtual CPU that has come there: it looks for such requests before it comes again. These functions are no
 *            part of the interface. A QEMU that does not export them is asked for a reset.
 *            Then QEMU makes code of the block, and only then watches the page. A store of this time leaves a translation
 *            of the old instruction, whole, as a real CPU may execute it for a while, but not for good. So the
 *            first instruction of a block is compared once more when the same virtual CPU translates the next one; that
 *            it was made a jump is taken for such a store. Other changes are not: HotSpot patches calls that
 *            have just been made for the first time, and a call that still goes to the old target is patched again.
 * Interface: -plugin tcg-reread.so; `ibrik run` gives it to a QEMU that takes it (images/qemu.c)
 * Locking:   none of its own: QEMU calls it from every virtual CPU's thread.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#include "plugin.h"

#define PAGE 4096u
#define JMP_REL32 0xe9
#define JMP_REL8 0xeb

EXPORT int qemu_plugin_version = 1;

/* The first instruction of the block that this virtual CPU translated last: where it lies, and what was read. */
static __thread struct {
	const volatile uint8_t *now;
	uint8_t opcode;
} last;

/* The bytes up to the end of a page, where what QEMU says of the memory behind an instruction ends, too. */
static bool changed(const struct qemu_plugin_insn *insn)
{
	const void *now = qemu_plugin_insn_haddr(insn);
	size_t bytes = qemu_plugin_insn_size(insn), room = PAGE - qemu_plugin_insn_vaddr(insn) % PAGE;

	return now && memcmp(now, qemu_plugin_insn_data(insn), bytes < room ? bytes : room) != 0;
}

static bool became_jump(void)
{
	uint8_t opcode = last.now ? *last.now : 0;

	return opcode != last.opcode && (opcode == JMP_REL32 || opcode == JMP_REL8);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb);

static void reset(uint64_t id)
{
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
}

/*
 * QEMU's own. The first has all translations dropped before that virtual CPU, which must be the calling thread's, runs another block; the second
 * ends the execution of a block at the instruction to which that address in its code belongs. The number is QEMU's: a return address lies behind the call.
 */
static void (*flush)(void *cpu);
static void (*leave_block)(void *cpu, uintptr_t code);
#define RETURN_TO_CALL 2

static void *this_cpu(void)
{
	void **cpu = dlsym(RTLD_DEFAULT, "current_cpu"); /* this thread's */

	return cpu ? *cpu : NULL;
}

static void refuse(unsigned number, void *data)
{
	void *cpu = this_cpu();

	(void)number;
	(void)data;
	flush(cpu);
	leave_block(cpu, (uintptr_t)__builtin_return_address(0) - RETURN_TO_CALL);
}

static void drop(uint64_t id, struct qemu_plugin_tb *tb)
{
	if (flush && leave_block && this_cpu())
		qemu_plugin_register_vcpu_tb_exec_cb(tb, refuse, CB_NO_REGS, NULL);
	else
		qemu_plugin_reset(id, reset);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);
	struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(tb, 0);
	bool again = became_jump();

	for (size_t i = 0; i < count && !again; i++)
		again = changed(qemu_plugin_tb_get_insn(tb, i));
	if (again)
		drop(id, tb);
	last.now = again ? NULL : qemu_plugin_insn_haddr(first);
	last.opcode = *(const uint8_t *)qemu_plugin_insn_data(first);
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	(void)argc;
	(void)argv;
	*(void **)&flush = dlsym(RTLD_DEFAULT, "tb_flush");
	*(void **)&leave_block = dlsym(RTLD_DEFAULT, "cpu_loop_exit_restore");
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
