/*
 * kernel/arch/x86_64/insn.h - how long an instruction is.
 */
#ifndef IBRIK_ARCH_INSN_H
#define IBRIK_ARCH_INSN_H

#include "lib/types.h"

/* Length in bytes of the 64-bit mode instruction at code[0..n), or 0 if it is invalid or incomplete. */
unsigned insn_length(const uint8_t *code, unsigned n);
/*
 * Does the one-byte instruction at code[at] begin an instruction, rather than being the tail of another one, and does
 * the instruction before it fall through to it (it is no call, jump, return or trap)?
 * Decodes from many earlier starting points; x86 code falls into step within a few instructions, so they
 * agree. One that is doubtful is answered with false. Only data between the instructions, or an instruction that the decoder does not
 * know, right before `at` could make a tail look like a beginning. Fewer than INSN_WINDOW bytes up to and with `at`: false.
 */
#define INSN_WINDOW 48
bool insn_falls_through_likely(const uint8_t *code, unsigned at);
/* The first half of that question: does an instruction, of whatever length, begin at code[at]? */
bool insn_begins_likely(const uint8_t *code, unsigned at);
/* Length of the instruction at code[0..n) if it does nothing (nop, long nop), else 0. */
unsigned insn_nop_length(const uint8_t *code, unsigned n);
/* Is it a return or an unconditional jump, after which the next instruction is only reached by a jump? */
bool insn_ends_flow(const uint8_t *code, unsigned n);
/*
 * Is there a direct jump or call to `target` in code[0..n), which lies at address `at`? Every byte is taken for the beginning
 * of an instruction, so none is missed, and data may be taken for one. Jumps that are cut off at the end are not seen.
 */
bool insn_jump_to(const uint8_t *code, unsigned n, uint64_t at, uint64_t target);
#define INSN_JUMP_MAX 6 /* bytes of the longest of them */

#endif
