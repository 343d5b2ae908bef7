/*
 * kernel/arch/x86_64/panic.c - the last words of the machine.
 *
 * The report goes through the log's sinks with level 0. Other CPUs are stopped by NMI first; nothing waits
 * for them. One that panics meanwhile halts without a word, since to leave would end the machine in the middle of the report.
 * A panic inside a panic leaves at once.
 */
#include <stdarg.h>
#include "core/log.h"
#include "core/boot.h"
#include "core/thread.h"
#include "cpu.h"
#include "drivers/device.h"
#include "images/format.h"
#include "io.h"
#include "lib/string.h"
#include "linux/trace.h"
#include "mm/mm.h"
#include "traps.h"

static struct cpu *_Atomic panicking; /* whose report it is */

extern const uint32_t symbol_count __attribute__((weak)), symbol_offsets[] __attribute__((weak));
extern const char symbol_names[] __attribute__((weak));
extern char __text_start[], __text_end[];

const char *symbol_lookup(uintptr_t addr, uintptr_t *offset)
{
	if (addr < (uintptr_t)__text_start || addr >= (uintptr_t)__text_end || !&symbol_count)
		return NULL;
	uint32_t want = (uint32_t)(addr - KERNEL_BASE);
	const char *name = symbol_names, *found = NULL;
	for (uint32_t i = 0; i < symbol_count && symbol_offsets[i] <= want; i++) {
		found = name;
		*offset = want - symbol_offsets[i];
		name += strlen(name) + 1;
	}
	return found;
}

static bool on_kernel_stack(uintptr_t a)
{
	const struct thread *t = current;
	return a >= t->kstack_base && a + 16 <= t->kstack_top && (a & 7) == 0;
}

void backtrace_print(uintptr_t rip, uintptr_t rbp, int level)
{
	for (int depth = 0; depth < 24; depth++) {
		uintptr_t off = 0;
		const char *name = symbol_lookup(rip, &off);
		log_print(level, "  %#018lx %s+%#lx", rip, name ? name : "?", off);
		if (!on_kernel_stack(rbp))
			break;
		rip = ((uintptr_t *)rbp)[1];
		uintptr_t next = ((uintptr_t *)rbp)[0];
		if (next <= rbp || !rip)
			break;
		rbp = next;
	}
}

static void print_regs(const struct regs *r)
{
	log_print(0, "rip %016lx rsp %016lx rflags %08lx cr2 %016lx", r->rip, r->rsp, r->rflags, read_cr2());
	log_print(0, "rax %016lx rbx %016lx rcx %016lx rdx %016lx", r->rax, r->rbx, r->rcx, r->rdx);
	log_print(0, "rsi %016lx rdi %016lx rbp %016lx r8  %016lx", r->rsi, r->rdi, r->rbp, r->r8);
	log_print(0, "r9  %016lx r10 %016lx r11 %016lx r12 %016lx", r->r9, r->r10, r->r11, r->r12);
	log_print(0, "r13 %016lx r14 %016lx r15 %016lx", r->r13, r->r14, r->r15);
}

static void replay_line(const char *line)
{
	char text[256];
	strlcpy(text, line, sizeof(text));
	char *nl = strchr(text, '\n');
	if (nl)
		*nl = 0;
	/* Lines that were printed already, the report itself included, are not interesting twice. */
	if (text[0] - '0' > log_level)
		log_print(0, "| %s", text);
}

_Noreturn static void leave(void)
{
	outb(IBRIK_EXIT_PORT, IBRIK_EXIT_PANIC);
	if (option_flag("panic.halt"))
		cpu_halt_forever();
	machine_power_off();
}

/* The backtrace begins at the interrupted code if there is any, else at (rip, rbp). */
_Noreturn static void report(const struct regs *r, uintptr_t rip, uintptr_t rbp, const char *fmt, va_list ap)
{
	char text[200];
	struct cpu *first = NULL;

	irq_disable();
	if (!atomic_compare_exchange_strong(&panicking, &first, this_cpu())) {
		if (first == this_cpu())
			outb(IBRIK_EXIT_PORT, IBRIK_EXIT_PANIC);
		cpu_halt_forever();
	}
	apic_send_nmi_others();
	vsnprintf(text, sizeof(text), fmt, ap);
	log_print(0, "panic: %s", text);
	const struct thread *t = current;
	log_print(0, "cpu %u, thread %d \"%s\", ibrik %s", this_cpu()->id, t->tid, t->name, ibrik_version);
	if (t->syscall_nr >= 0) {
		const char *name = syscall_name((unsigned)t->syscall_nr);
		log_print(0, "in system call %d (%s)", t->syscall_nr, name ? name : "unlisted");
	}
	if (r) {
		print_regs(r);
		backtrace_print(r->rip, r->rbp, 0);
	} else {
		backtrace_print(rip, rbp, 0);
	}
	log_print(0, "last lines of the log:");
	log_replay(48, replay_line); /* this report among them */
	leave();
}

_Noreturn void panic(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	uintptr_t *frame = __builtin_frame_address(0); /* the caller's rbp, then where it called us */
	report(NULL, frame[1], frame[0], fmt, ap);
}

_Noreturn void panic_regs(const struct regs *regs, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	report(regs, 0, 0, fmt, ap);
}

_Noreturn void boot_fail(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_print(LOG_EMERG, "%s", text);
	leave();
}

void panic_nmi(struct regs *r)
{
	if (atomic_load(&panicking))
		cpu_halt_forever();
	panic_regs(r, "non-maskable interrupt");
}
