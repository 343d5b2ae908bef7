/*
 * kernel/vdso/exports.c - the functions of exports.h that only read.
 *
 * Theory:    Code of the application that reads the kernel's own words: the time from the page before it, figures where the
 *            kernel counts them (lib/figures.h), in the kernel's half of the address space. It never runs code of the kernel: a
 *            signal may arrive between any two instructions, and its frame must name a place that the handler can return to.
 * Interface: exports.h; arch/x86_64/vdso/kcall.S has the functions that need the kernel.
 */
#include "vdso/exports.h"
#include "lib/figures.h"
#include "vdso/self.h"
#include <asm/errno.h>
#include <asm/unistd.h>

/* A table of arrays, since a table of pointers would have to be relocated. */
#define FIGURE_NAME(number, name, what) name,
static const char figure_names[][IBRIK_FIGURE_NAME_MAX + 1] = { IBRIK_FIGURES(FIGURE_NAME) };
#undef FIGURE_NAME

#define FIGURE_NAME(number, name, what) \
	_Static_assert(sizeof(name) <= IBRIK_FIGURE_NAME_MAX + 1, "a name of at most IBRIK_FIGURE_NAME_MAX bytes");
IBRIK_FIGURES(FIGURE_NAME)
#undef FIGURE_NAME

int64_t ibrik_nano_time(void)
{
	return (int64_t)vdso_monotonic_ns(&vdso_page()->clock);
}

int32_t ibrik_cpu(void)
{
	int id = vdso_cpu();

	if (id < 0) {
		unsigned cpu = 0;
		long r;

		__asm__ volatile("syscall"
				 : "=a"(r)
				 : "0"(__NR_getcpu), "D"(&cpu), "S"(0), "d"(0)
				 : "rcx", "r11", "memory");
		id = (int)cpu;
	}
	return id;
}

int64_t ibrik_figure(int32_t which)
{
	if ((uint32_t)which >= IBRIK_FIGURE_COUNT)
		return -EINVAL;
	return figure_value(&vdso_page()->figures, (uint32_t)which);
}

const char *ibrik_figure_name(int32_t which)
{
	return (uint32_t)which < IBRIK_FIGURE_COUNT ? figure_names[which] : (const char *)0;
}
