/*
 * kernel/arch/x86_64/site.h - how a `syscall` instruction could be replaced by a jump.
 *
 * Pure functions over bytes, so that they are tested on the host (tests/unit/arch_site_test.c). The argument why each shape is
 * safe stands in docs/syscalls.md.
 */
#ifndef IBRIK_ARCH_SITE_H
#define IBRIK_ARCH_SITE_H

#include "lib/types.h"

#define SITE_SYSCALL_BYTES 2
#define SITE_JUMP_BYTES 5   /* e9 rel32 */
/* Bytes before and behind the `syscall` that are looked at. */
#define SITE_WINDOW 192u

enum site_shape {
	SITE_NONE = 0,
	/* A 5-byte instruction that can be moved stands directly before: a jump takes its place, `syscall` stays. */
	SITE_BEFORE = 1,
	/* Padding within reach of a short jump: `syscall` becomes the short jump, the padding the long one. */
	SITE_NEAR = 2,
};

struct site_plan {
	enum site_shape shape;
	unsigned hole, hole_end; /* SITE_NEAR: indices of the padding in the window */
	bool loads_number;      /* SITE_BEFORE: the instruction is `mov $number,%eax` */
	const char *why;        /* SITE_NONE: what stands against it */
};

/*
 * Judges the `syscall` at code[at] of a window code[0..n) that lies at address `base`. That an instruction begins at code[at] and one
 * at code[at + 2] is proven: it has been executed, with `number` in RAX.
 */
struct site_plan site_judge(const uint8_t *code, unsigned n, unsigned at, uint64_t base, uint64_t number);

#endif
