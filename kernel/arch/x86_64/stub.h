/*
 * kernel/arch/x86_64/stub.h - the machine code that takes the place of a `syscall` instruction; docs/syscalls.md has what it does.
 *
 * Interface: below. Pure: bytes are made, nothing is written anywhere else.
 */
#ifndef IBRIK_ARCH_STUB_H
#define IBRIK_ARCH_STUB_H

#include "lib/types.h"
#include "site.h"

#define STUB_BYTES 64u
#define JMP_LONG 0xe9

struct code {
	uint8_t bytes[STUB_BYTES];
	unsigned n; /* used */
	uaddr_t at; /* where bytes[0] will stand */
};

/* Appends a 5-byte jump to target, which is within 2 GiB. */
void code_jump(struct code *c, uaddr_t target);
/*
 * Appends the stub of the site at addr. `site`: its bytes, with SITE_JUMP_BYTES before and `ahead` behind the instruction that are mapped;
 * number: of the call that was made there. True: a leaf, which makes the call itself and does not enter the kernel.
 */
bool code_stub(struct code *c, const struct site_plan *plan, uaddr_t addr, const uint8_t *site, unsigned ahead, uint64_t number);

#endif
