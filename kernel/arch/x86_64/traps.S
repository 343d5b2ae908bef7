/*
 * kernel/arch/x86_64/traps.S - the ways into the kernel and back.
 *
 * Interrupts and exceptions arrive on an interrupt stack (IST) with interrupts off, whoever was
 * running, because nothing may be pushed below the application's stack pointer (its red zone). The
 * frame is moved at once:
 *   - RSP of the interrupted code lies in the current thread's kernel stack: the kernel was
 *     interrupted, the frame goes below it;
 *   - anywhere else: the application was, the frame goes to the top of the thread's kernel stack,
 *     which is empty then.
 * After that the interrupt stack is free again, so that the handler may fault, sleep and be preempted.
 * Between entry and that point nothing can fault: per-CPU block, thread and stacks are always mapped.
 * If too little is left of the kernel stack, we stay where we are and panic.
 *
 * `int n` in the application reaches exception vectors without the error code that the CPU would have
 * pushed: the stack is then misaligned by eight, which gives it away.
 */
#include "cpu.h"

	.text
	.macro STUB vec
	.balign 16
stub_\vec:
	.if \vec == 8 || (\vec >= 10 && \vec <= 14) || \vec == 17 || \vec == 21 || \vec == 29 || \vec == 30
	test $8, %spl
	jnz 1f
	pushq $\vec
	jmp trap_common
1:	pushq $0
	pushq $\vec + VEC_SOFTWARE
	jmp trap_common
	.else
	pushq $0
	pushq $\vec
	jmp trap_common
	.endif
	.endm

	.altmacro
	.set i, 0
	.rept 256
	STUB %i
	.set i, i + 1
	.endr

	.macro STUB_ADDR vec
	.quad stub_\vec
	.endm
	.section .rodata
	.balign 8
	.globl trap_stubs
trap_stubs:
	.set i, 0
	.rept 256
	STUB_ADDR %i
	.set i, i + 1
	.endr

	/* Fills struct regs at rcx from the interrupt stack as trap_common left it; rax is lost. */
	.macro MOVE_FRAME
	mov %r15, 0(%rcx)
	mov %r14, 8(%rcx)
	mov %r13, 16(%rcx)
	mov %r12, 24(%rcx)
	mov %rbp, 32(%rcx)
	mov %rbx, 40(%rcx)
	mov %r11, 48(%rcx)
	mov %r10, 56(%rcx)
	mov %r9, 64(%rcx)
	mov %r8, 72(%rcx)
	mov %rsi, 104(%rcx)
	mov %rdi, 112(%rcx)
	movq $-1, 120(%rcx)             /* orig_rax: no system call */
	mov 16(%rsp), %rax
	mov %rax, 80(%rcx)
	mov 8(%rsp), %rax
	mov %rax, 88(%rcx)
	mov 0(%rsp), %rax
	mov %rax, 96(%rcx)
	mov 24(%rsp), %rax
	mov %rax, REGS_VECTOR(%rcx)
	mov 32(%rsp), %rax
	mov %rax, REGS_VECTOR + 8(%rcx)
	mov 40(%rsp), %rax
	mov %rax, 128(%rcx)             /* rip */
	mov 48(%rsp), %rax
	mov %rax, 136(%rcx)
	mov 56(%rsp), %rax
	mov %rax, 144(%rcx)
	mov 64(%rsp), %rax
	mov %rax, 152(%rcx)
	mov 72(%rsp), %rax
	mov %rax, 160(%rcx)
	.endm

	.text
	.balign 64
	/* On the interrupt stack: vector, error, rip, cs, rflags, rsp, ss. */
trap_common:
	cld
	push %rax
	push %rcx
	push %rdx
	mov %gs:CPU_CURRENT, %rax
	mov 64(%rsp), %rcx              /* interrupted RSP */
	mov %rcx, %rdx
	sub THREAD_KSTACK_BASE(%rax), %rdx
	jb 2f
	cmp $16384, %rdx
	ja 2f
	/* The kernel was interrupted. */
	cmp $REGS_BYTES + KSTACK_MARGIN, %rdx
	jb kernel_stack_overflow
	and $~15, %rcx
	sub $REGS_BYTES, %rcx
	jmp 3f
2:	/* Elsewhere among the kernel stacks: a push went down into the guard page. */
	movabs $VMAP_BASE, %rdx
	neg %rdx
	add %rcx, %rdx
	shr $VMAP_SHIFT, %rdx
	jz kernel_stack_overflow
	mov THREAD_KSTACK_TOP(%rax), %rcx
	sub $REGS_BYTES, %rcx
3:	MOVE_FRAME
	mov %rcx, %rsp
	mov %rsp, %rdi
	mov %rsp, %rbp
	call trap_handler
	/* Interrupts are off again. */
	.globl trap_return
trap_return:
	mov 0(%rsp), %r15
	mov 8(%rsp), %r14
	mov 16(%rsp), %r13
	mov 24(%rsp), %r12
	mov 32(%rsp), %rbp
	mov 40(%rsp), %rbx
	mov 48(%rsp), %r11
	mov 56(%rsp), %r10
	mov 64(%rsp), %r9
	mov 72(%rsp), %r8
	mov 80(%rsp), %rax
	mov 88(%rsp), %rcx
	mov 96(%rsp), %rdx
	mov 104(%rsp), %rsi
	mov 112(%rsp), %rdi
	add $REGS_RIP, %rsp
	iretq

kernel_stack_overflow:
	lea -REGS_BYTES(%rsp), %rcx     /* stays on the interrupt stack */
	and $~15, %rcx
	MOVE_FRAME
	mov %rcx, %rsp
	mov %rsp, %rdi
	call trap_stack_overflow
	ud2

	/* A system call whose frame is whole: from gate.S. */
	.globl syscall_framed
	.cfi_sections .debug_frame
	.type syscall_framed, @function
syscall_framed:
	.cfi_startproc simple
	.cfi_signal_frame               /* its caller is on another stack */
	.cfi_def_cfa rsp, REGS_BYTES
	.cfi_offset rip, REGS_RIP - REGS_BYTES
	.cfi_offset rsp, REGS_RSP - REGS_BYTES
	.cfi_offset rbp, REGS_RBP - REGS_BYTES
	sti
	mov %rsp, %rdi
	xor %ebp, %ebp
	call syscall_dispatch
	.cfi_endproc
	.size syscall_framed, . - syscall_framed
	.globl syscall_exit
syscall_exit:
	cli
	mov %gs:CPU_CURRENT, %rax
	cmpl $0, THREAD_WORK(%rax)
	jne syscall_slow
syscall_fast:
	/* Anything that must restore all registers or odd flags has changed the vector or the flags. */
	cmpq $VEC_SYSCALL, REGS_VECTOR(%rsp)
	jne trap_return
	mov 144(%rsp), %r11
	test $~0xad7, %r11d             /* more than arithmetic flags, IF and the fixed bit: restore by iret */
	jnz trap_return
	mov 32(%rsp), %rbp
	mov 56(%rsp), %r10
	mov 64(%rsp), %r9
	mov 72(%rsp), %r8
	mov 80(%rsp), %rax
	mov 96(%rsp), %rdx
	mov 104(%rsp), %rsi
	mov 112(%rsp), %rdi
	mov 128(%rsp), %rcx
	mov 152(%rsp), %rsp
	sti                             /* takes effect after the jump */
	jmp *%rcx
syscall_slow:
	sti
	mov %rsp, %rdi
	mov $1, %esi
	call exit_work
	cli
	mov %gs:CPU_CURRENT, %rax
	cmpl $0, THREAD_WORK(%rax)
	jne syscall_slow
	jmp syscall_fast

	/*
	 * switch_stacks(prev, next): saves the callee-saved registers on prev's kernel stack and goes on
	 * where next left off.
	 */
	.pushsection .text.switch, "ax", @progbits
	.balign 16
	.globl switch_stacks
switch_stacks:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, THREAD_KSP(%rdi)
	mov THREAD_KSP(%rsi), %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	mov %rdi, %rax
	ret
	.popsection

	/* First instructions of a kernel thread: rbx = function, r12 = argument. */
	.globl thread_entry_kernel
thread_entry_kernel:
	mov %rax, %rdi
	call schedule_tail
	sti
	mov %r12, %rdi
	xor %ebp, %ebp
	call *%rbx
	call thread_exit_kernel
	ud2

	/* First instructions of an application thread: its frame lies at the top of the kernel stack. */
	.globl thread_entry_app
thread_entry_app:
	mov %rax, %rdi
	call schedule_tail
	sti
	mov %rsp, %rdi
	xor %ebp, %ebp
	call thread_start_app
	cli
	jmp trap_return

	/*
	 * Copies that survive a fault. copy_words(dst, src, len): returns the bytes NOT copied. A fault in
	 * either string instruction continues at the fixup with rcx telling what is left.
	 */
	.balign 16
	.globl user_copy
user_copy:
	mov %rdx, %rcx
	mov %edx, %eax
	shr $3, %rcx
	and $7, %eax
1:	rep movsq
	mov %eax, %ecx
2:	rep movsb
	xor %eax, %eax
	ret
	/* A word that straddles the end of what is mapped: its first bytes are copied one by one. */
3:	lea (%rax, %rcx, 8), %rcx
	jmp 2b
4:	mov %rcx, %rax
	ret
	.section .ex_table, "a"
	.quad 1b, 3b
	.quad 2b, 4b
	.text

	.balign 16
	.globl user_clear               /* (dst, len): bytes NOT cleared */
user_clear:
	mov %rsi, %rcx
	mov %esi, %edx
	shr $3, %rcx
	and $7, %edx
	xor %eax, %eax
1:	rep stosq
	mov %edx, %ecx
2:	rep stosb
	xor %eax, %eax
	ret
3:	lea (%rdx, %rcx, 8), %rcx
	jmp 2b
4:	mov %rcx, %rax
	ret
	.section .ex_table, "a"
	.quad 1b, 3b
	.quad 2b, 4b
	.text

	.globl user_load32_asm          /* (value *, addr): 0 or -EFAULT */
user_load32_asm:
1:	mov (%rsi), %eax
	mov %eax, (%rdi)
	xor %eax, %eax
	ret
2:	mov $-14, %eax
	ret
	.section .ex_table, "a"
	.quad 1b, 2b
	.text

	.globl user_cmpxchg32_asm       /* (addr, expect, desired, found *) */
user_cmpxchg32_asm:
	mov %rcx, %r8
	mov %esi, %eax
1:	lock cmpxchg %edx, (%rdi)
	mov %eax, (%r8)
	xor %eax, %eax
	ret
2:	mov $-14, %eax
	ret
	.section .ex_table, "a"
	.quad 1b, 2b
	.text

	/* xrstor of an area in a signal frame, which may be garbage: 0 or -EFAULT. (area) */
	.globl fpu_try_xrstor
fpu_try_xrstor:
	mov $-1, %eax
	mov $-1, %edx
1:	xrstor64 (%rdi)
	xor %eax, %eax
	ret
2:	mov $-14, %eax
	ret
	.section .ex_table, "a"
	.quad 1b, 2b
	.text
	.section .note.GNU-stack, "", @progbits
