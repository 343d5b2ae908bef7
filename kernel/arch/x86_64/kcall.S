/*
 * kernel/arch/x86_64/kcall.S - the way into the kernel of a function that is called, not trapped to.
 *
 * Theory:    A function of the vDSO that needs the kernel (vdso/kcall.S) jumps here with everything as the instruction
 *            `syscall` leaves it: rax = number of the handler, rcx = where to go on, r11 = flags, interrupts off, on the
 *            application's stack.
 *            From syscall_entry on both ways are one: the same frame, the same table of handlers, the same way back with
 *            signals and preemption. What is left to do is what `syscall` does by IA32_FMASK: C code of the kernel
 *            expects DF clear, and iretq faults when NT is set.
 * Interface: kcall_entry, whose address stands in the page before the vDSO (vdso/data.h).
 * Errors:    none of its own; syscall_dispatch() looks at the numbers, and at r11 for a caller that had interrupts off.
 */
#include "cpu.h"

	.text
	.balign 64
	.globl kcall_entry
kcall_entry:
	cld
	test $(RFLAGS_TF | RFLAGS_NT | RFLAGS_AC), %r11d
	jnz 1f
	jmp syscall_entry
	/* On the kernel's stack, since the application's may have no room. */
1:	mov %rsp, %gs:CPU_SCRATCH
	mov %gs:CPU_KSTACK_TOP, %rsp
	pushq $2                        /* every flag clear */
	popfq
	mov %gs:CPU_SCRATCH, %rsp
	jmp syscall_entry
	.section .note.GNU-stack, "", @progbits
