/*
 * kernel/arch/x86_64/vdso/kcall.S - functions of the vDSO that need the kernel: what stands in the place of `syscall`.
 *
 * Theory:    As a stub of the call gate does (gate.c), a function loads the number of its handler and the address to go on at, and
 *            jumps to gate_entry: no trap, and interrupts stay on.
 *            `syscall` stays behind the jump. A handler that has to be restarted goes on two bytes before the return address, as
 *            after any system call, and there it finds the instruction that does the same; a signal that arrives on the way in
 *            shows that address, too (gate_canonical()).
 *            All registers but rax, rcx, r10 and r11 survive, which is less than a C function has to keep.
 * Interface: the functions of vdso/exports.h that say that they may sleep, of at most three arguments.
 */
#include "linux/kcalls.h"

#define PAGE_BYTES 4096

	.macro KCALL name, number
	.balign 64
	.globl \name
	.type \name, @function
\name:
	.cfi_startproc
	mov $\number, %eax
	mov __ehdr_start - PAGE_BYTES(%rip), %r10       /* gate_entry: vdso/data.h */
	lea 1f(%rip), %rcx
	jmp *%r10
	syscall
1:	ret
	.cfi_endproc
	.size \name, . - \name
	.endm

	.text
	.hidden __ehdr_start
	KCALL ibrik_release, KCALL_RELEASE
	.section .note.GNU-stack, "", @progbits
