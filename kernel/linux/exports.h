/*
 * kernel/linux/exports.h - what the vDSO needs of the kernel for the functions of vdso/exports.h.
 */
#ifndef IBRIK_LINUX_EXPORTS_H
#define IBRIK_LINUX_EXPORTS_H

struct vdso_page;

/* Once, at boot: the way into the kernel and where every figure is counted. */
void exports_fill(struct vdso_page *page);

#endif
