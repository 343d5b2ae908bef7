/*
 * kernel/arch/x86_64/fpu.h - vector and floating-point state.
 *
 * The kernel itself uses general registers only, so the state in the registers stays that of the
 * application thread that ran last on this CPU (cpu->fpu_owner). It is saved when an application thread
 * is switched out, and loaded again only if something else was loaded in between or the thread moved.
 *
 * An area begins with room for the standard (non-compacted) XSAVE format, so that the registers can be saved there and copied
 * into a signal frame as they are. While its thread is switched out only fpu.c knows where in the area its state is.
 * Source: Intel SDM volume 1, chapter 13.
 */
#ifndef IBRIK_ARCH_FPU_H
#define IBRIK_ARCH_FPU_H

#include "lib/types.h"

struct thread;

/* thread->fpu_cpu while the thread fills its area by itself: neither saved over nor loaded by a switch. */
#define FPU_HELD (-2)

/* Allocates the area of a new application thread, in the initial state or as a copy of `from`'s (which
 * must be the current thread). 0 or -ENOMEM. */
int fpu_alloc(struct thread *t, struct thread *from);
void fpu_free(struct thread *t);
/* The current thread's state becomes the initial one (execve, handlers of signals). */
void fpu_reset(void);

#endif
