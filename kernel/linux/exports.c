/*
 * kernel/linux/exports.c - the kernel's side of the functions that an application may call directly.
 *
 * Theory:    The functions are code of the vDSO (kernel/vdso/exports.c). Those that only read need to know where the kernel counts:
 *            each room describes its own words here, at boot. The others enter at gate_entry (arch/x86_64/gate.S) and are
 *            handlers of the one table (syscalls.def).
 * Interface: exports.h. The contract with applications is vdso/exports.h.
 * Locking:   none; the table is complete before programs run.
 */
#include "linux/exports.h"
#include "core/log.h"
#include "core/thread.h"
#include "cpu.h"
#include "gate.h"
#include "lib/figures.h"
#include "mm/mm.h"
#include "vdso/data.h"
#include "vdso/exports.h"

_Static_assert(IBRIK_FIGURE_COUNT <= FIGURES_MAX, "the table has room for the list");

/* A counter of struct cpu, over all CPUs. Those that do not run yet have no pointer yet, and CPUs are numbered without gaps. */
static void cpu_counter(struct figure_table *t, unsigned id, size_t offset)
{
	const struct figure_term term = {
		.at = cpus, .stride = sizeof(cpus[0]), .count = MAX_CPUS, .offset = (uint16_t)offset, .kind = FIGURE_POINTERS,
	};

	figure_begin(t, id, 0);
	assert(figure_add(t, id, &term));
}

void exports_fill(struct vdso_page *page)
{
	struct figure_table *t = &page->figures;

	t->each = (const void *const *)cpus;
	mem_figures(t);
	cpu_counter(t, IBRIK_COUNTER_SWITCHES, offsetof(struct cpu, switches));
	cpu_counter(t, IBRIK_COUNTER_INTERRUPTS, offsetof(struct cpu, interrupts));
	cpu_counter(t, IBRIK_COUNTER_IPIS, offsetof(struct cpu, ipis));
	cpu_counter(t, IBRIK_COUNTER_IDLE_NS, offsetof(struct cpu, idle_ns));
	for (unsigned id = 0; id < IBRIK_FIGURE_COUNT; id++)
		assert(t->figures[id].nterms);
	page->entry = gate_entry;
}
