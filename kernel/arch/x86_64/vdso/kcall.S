/*
 * kernel/arch/x86_64/vdso/kcall.S - functions of the vDSO that need the kernel: what stands in the place of `syscall`.
 *
 * Theory:    The registers are made what `syscall` would leave, then kcall_entry is jumped to: no trap. Interrupts go off
 *            here, in code of the application. If the kernel took them off, an interrupt before that instruction would find the
 *            application at an address of the kernel, and its signal handler could not return to it. Nothing can fault
 *            between cli and the kernel: the jump stands in the same 64 bytes.
 *            `syscall` stays behind the jump. A handler that has to be restarted goes on two bytes before the return address, as
 *            after any system call, and there it finds the instruction that does the same.
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
	mov __ehdr_start - PAGE_BYTES(%rip), %r10       /* the entry: vdso/data.h */
	lea 1f(%rip), %rcx
	pushfq
	.cfi_adjust_cfa_offset 8
	pop %r11
	.cfi_adjust_cfa_offset -8
	cli
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
