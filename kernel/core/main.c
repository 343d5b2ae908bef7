/*
 * kernel/core/main.c - the order in which the machine comes up.
 *
 * kernel_main() runs on the boot stack with interrupts off: memory, tables, clock, interrupt
 * controller. It then becomes the boot CPU's idle thread; everything that may sleep happens in the first
 * thread, kernel_init_thread(): other CPUs, drivers, file systems, the application.
 */
#include "core/main.h"
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/random.h"
#include "core/sched.h"
#include "core/smp.h"
#include "cpu.h"
#include "drivers/acpi.h"
#include "drivers/device.h"
#include "fs/vfs.h"
#include "gate.h"
#include "jvm/launcher.h"
#include "lib/string.h"
#include "linux/machine.h"
#include "linux/task.h"
#include "linux/trace.h"
#include "linux/vdso.h"
#include "mm/mm.h"
#include "net/config.h"
#include "net/net.h"

static int parse_level(const char *v)
{
	static const struct {
		const char *name;
		int level;
	} names[] = { { "emerg", LOG_EMERG }, { "err", LOG_ERR }, { "warn", LOG_WARN }, { "info", LOG_INFO }, { "debug", LOG_DEBUG } };

	if (v[0] >= '0' && v[0] <= '7' && !v[1])
		return v[0] - '0';
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(v, names[i].name))
			return names[i].level;
	return -1;
}

/* Once for the command line, as early as possible, and once more when the image's options are known. */
static void read_log_level(bool complete)
{
	char v[16];
	int level;

	if (!option_get("log", v, sizeof(v)))
		return;
	level = parse_level(v);
	if (level >= 0)
		log_level = level;
	else if (complete)
		log_warn("option log=%s: not a level (emerg, err, warn, info, debug, or 0-7)", v);
}

_Noreturn void kernel_main(void)
{
	read_log_level(false);
	log_info("ibrik %s, command line: %s", ibrik_version, boot_info.cmdline);
	mm_init(&boot_info);
	acpi_init();
	clock_init();
	boot_mark("memory, tables, clock");
	apic_init();
	random_init();
	sched_init_options();
	thread_start_reaper();
	struct thread *t = thread_create_kernel("init", kernel_init_thread, NULL);
	if (IS_ERR(t))
		panic("no memory for the first thread");
	sched_idle_loop();
}

static int overflow_stack(volatile int depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	return depth > 1000000 ? 0 : overflow_stack(depth + 1) + frame[0];
}

/* Nobody panics before all are here, or have had the time. */
static void panic_together(void *arg)
{
	static _Atomic unsigned here;

	atomic_fetch_add(&here, 1);
	for (unsigned i = 0; i < 100000000 && atomic_load(&here) < cpu_count() - 1; i++)
		cpu_relax();
	panic("CPUs that panic together");
}

/* Kernel option panic.test=KIND: the panic report itself can be tested, on any machine. */
static void panic_test(void)
{
	char kind[16];

	if (!option_get("panic.test", kind, sizeof(kind)))
		return;
	if (!strcmp(kind, "write"))
		*(volatile int *)0xffffa00000001000ull = 1;
	else if (!strcmp(kind, "text"))
		*(volatile char *)(uintptr_t)kernel_main = 1;
	else if (!strcmp(kind, "stack"))
		overflow_stack(1);
	else if (!strcmp(kind, "assert"))
		assert(kind[0] == 0);
	else if (!strcmp(kind, "others"))
		smp_call_others(panic_together, NULL, false);
	else
		log_warn("option panic.test=%s: write, text, stack, assert or others", kind);
}

void kernel_init_thread(void *arg)
{
	rcu_start_thread();
	mm_start_threads();
	vdso_init();
	clock_init_late();
	boot_mark("threads");
	drivers_find();
	smp_start();
	net_init();
	drivers_init();
	boot_mark("drivers");
	futex_init();
	machine_control_start();
	fs_init();
	options_complete();
	read_log_level(true);
	trace_init();
	gate_init();
	boot_mark("options");
	net_start();
	smp_wait();
	boot_mark("CPUs");
	panic_test();
	net_config_wait();
	boot_mark("network");
	launcher_run();
}
