/*
 * kernel/linux/vdso.h - the vDSO in every program.
 */
#ifndef IBRIK_LINUX_VDSO_H
#define IBRIK_LINUX_VDSO_H

struct mm;

/* Makes the pages. Once, while one CPU runs, before programs and before clock_init_late(). */
void vdso_init(void);
/* Maps data and code at a free address and sets mm->vdso, which stays 0 if there was no memory for vdso_init().
 * 0 or -errno. */
int vdso_map(struct mm *mm);

#endif
