/*
 * kernel/vdso/self.h - what code of the vDSO knows of its place, and what its files share.
 *
 * Interface: vdso_page() is the page before the ELF header (data.h), vdso_cpu() the number of the CPU.
 */
#ifndef IBRIK_VDSO_SELF_H
#define IBRIK_VDSO_SELF_H

#include "vdso/data.h"

#define PAGE_BYTES 4096

/* In assembly, since C has no address before the start of an object. */
static inline const struct vdso_page *vdso_page(void)
{
	const struct vdso_page *page;

	__asm__(".hidden __ehdr_start; lea __ehdr_start - %c1(%%rip), %0" : "=r"(page) : "i"(PAGE_BYTES));
	return page;
}

/* -1: only the kernel knows. */
static inline int vdso_cpu(void)
{
	uint32_t how = vdso_page()->clock.getcpu;

	if (how == VDSO_GETCPU_RDPID) {
		uint64_t id;

		__asm__ volatile("rdpid %0" : "=r"(id));
		return (int)id;
	}
	if (how == VDSO_GETCPU_RDTSCP) {
		uint32_t lo, hi, aux;

		__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
		return (int)aux;
	}
	return -1;
}

#endif
