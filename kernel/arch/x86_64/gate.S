/*
 * kernel/arch/x86_64/gate.S - the way from a stub (gate.c), or from a `syscall`, to a handler and back: a function call on another stack.
 *
 * Two doors, one way. Stubs come to gate_entry, the `syscall` instruction to syscall_entry, with the same in the same registers:
 * rax = number, rcx = the address behind the instruction, arguments as for `syscall`. IA32_FMASK is zero, so the instruction leaves
 * interrupts on, too, and they stay on. Callee-saved registers are the handler's business, as in any C function, so the frame at the top of the kernel stack gets the others only; gate_slow completes it when
 * somebody wants to see it whole. What is not a plain call (clone, odd flags, tracing) goes by gate_full and syscall_dispatch().
 *
 * Interrupts may come between any two instructions. What makes that right:
 *   - until the exchange of stacks, RSP is the application's: it counts as interrupted, and shows its canonical RIP (gate_canonical());
 *   - RSP goes from the application's stack to below the frame in one instruction, so that the frame of an interrupt never
 *     lies where ours will be;
 *   - between gate_leave and gate_left the kernel has decided that nothing is to be done before the return: an interrupt
 *     there makes it decide again (gate_interrupted());
 *   - at gate_left, short_left and behind NAME_done RSP is the application's again, and rax the result.
 * A single step (TF) that arrives in here is put off until the call is over (gate_single_step()).
 *
 * The directives for unwinders say where the caller's RIP and RSP are, so that a debugger's backtrace leads from a handler
 * through the frame into the application.
 */
#include <asm/unistd.h>
#include "cpu.h"

#define WORK_SIGNAL 1
#define ERESTART_LAST 516 /* ERESTART_RESTARTBLOCK */
#define ERESTART_SPAN 4   /* from ERESTARTSYS */
#define FLAGS_ODD (RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC)

	.cfi_sections .debug_frame
	.section .text.gate, "ax", @progbits

	.macro STORE_ARGUMENTS
	mov %rdi, REGS_RDI(%rsp)
	mov %rsi, REGS_RSI(%rsp)
	mov %rdx, REGS_RDX(%rsp)
	mov %r10, REGS_R10(%rsp)
	mov %r8, REGS_R8(%rsp)
	mov %r9, REGS_R9(%rsp)
	.endm

	/* From the application's stack to the kernel's, with the part of the frame that a call may change; r11 is lost. */
	.macro ENTER behind=
	.cfi_signal_frame               /* its caller is on another stack */
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	mov %gs:CPU_KSTACK_TOP, %r11    /* the thread's: the same on every CPU */
	lea -REGS_BYTES(%r11), %r11
	xchg %rsp, %r11
\behind
	.cfi_def_cfa r11, 0
	mov %r11, REGS_RSP(%rsp)
	mov %rcx, REGS_RIP(%rsp)
	.cfi_def_cfa rsp, REGS_BYTES
	.cfi_offset rip, REGS_RIP - REGS_BYTES
	.cfi_offset rsp, REGS_RSP - REGS_BYTES
	mov %rax, REGS_ORIG_RAX(%rsp)
	STORE_ARGUMENTS
	.endm

	/* Calls the handler of call rax; its result goes into the frame; rcx = thread. Without a handler for the gate: to `full`. */
	.macro CALL_HANDLER counts, full
	mov %eax, %eax
	cmp $GATE_LIMIT, %rax
	jae \full
	mov gate_table(, %rax, 8), %r11
	test %r11, %r11
	jz \full
	incq %gs:\counts(, %rax, 8)
	mov %gs:CPU_CURRENT, %rcx
	mov %eax, THREAD_SYSCALL_NR(%rcx)
	mov %r10, %rcx
	call *%r11
	mov %rax, REGS_RAX(%rsp)
	mov %gs:CPU_CURRENT, %rcx
	movl $-1, THREAD_SYSCALL_NR(%rcx)
	/* A handler that was interrupted needs exit_work() even if somebody else took the signal. */
	add $ERESTART_LAST, %rax
	cmp $ERESTART_SPAN, %rax
	jbe gate_restart
	.endm

	.balign 64
	.globl gate_text, gate_any, gate_entry, gate_leave, gate_left, gate_end
	.type gate_any, @function
gate_text:
	/* From stubs that do not know the number: is there a short way for it? */
gate_any:
	cmp $GATE_LIMIT, %rax
	jae gate_entry
	mov short_entry(, %rax, 8), %r11
	test %r11, %r11
	jz gate_entry
	jmp *%r11
	.size gate_any, . - gate_any

	.balign 16
	.type gate_entry, @function
gate_entry:
	.cfi_startproc simple
	ENTER gate_entered:
	pushfq
	.cfi_adjust_cfa_offset 8
	pop %rcx
	.cfi_adjust_cfa_offset -8
	mov %rcx, REGS_RFLAGS(%rsp)
	and $FLAGS_ODD, %ecx
	cmp $RFLAGS_IF, %ecx
	jne gate_full
	CALL_HANDLER CPU_GATE_CALLS, gate_full
2:	cmpl $0, %gs:CPU_ATTENTION
	jne gate_attend
gate_leave:
	mov %gs:CPU_CURRENT, %rcx
	cmpl $0, THREAD_WORK(%rcx)
	jne gate_slow
	mov REGS_RAX(%rsp), %rax
	mov REGS_RDI(%rsp), %rdi
	mov REGS_RSI(%rsp), %rsi
	mov REGS_RDX(%rsp), %rdx
	mov REGS_R10(%rsp), %r10
	mov REGS_R8(%rsp), %r8
	mov REGS_R9(%rsp), %r9
	mov REGS_RIP(%rsp), %rcx
	mov REGS_RFLAGS(%rsp), %r11
	.cfi_remember_state
	mov REGS_RSP(%rsp), %rsp
gate_left:
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	.cfi_same_value rsp
	jmp *%rcx
	.cfi_restore_state

gate_restart:
	lock orl $WORK_SIGNAL, THREAD_WORK(%rcx)
	jmp 2b

gate_attend:
	call attend_before_return
	jmp gate_leave

	/* The instruction of this site was executed once more. */
gate_count:
	mov %rsp, %rdi
	call gate_trapped
	jmp 2b

	/* The rest of the frame. The callee-saved registers hold the application's values. */
	.macro COMPLETE_FRAME
	mov %r15, REGS_R15(%rsp)
	mov %r14, REGS_R14(%rsp)
	mov %r13, REGS_R13(%rsp)
	mov %r12, REGS_R12(%rsp)
	mov %rbp, REGS_RBP(%rsp)
	mov %rbx, REGS_RBX(%rsp)
	mov REGS_RFLAGS(%rsp), %rcx
	mov %rcx, REGS_R11(%rsp)
	mov REGS_RIP(%rsp), %rcx
	mov %rcx, REGS_RCX(%rsp)
	movq $SEL_CODE, REGS_CS(%rsp)
	movq $SEL_DATA, REGS_SS(%rsp)
	movq $VEC_SYSCALL, REGS_VECTOR(%rsp)
	movq $0, REGS_VECTOR + 8(%rsp)
	.endm

	/* Something is to be done before the return: as for a system call that came by the instruction. */
gate_slow:
	COMPLETE_FRAME
	jmp syscall_exit

	/* A call that wants a full frame (clone), an unknown number, or flags that no function call is made with. */
	.macro COUNT_FULL counts
	mov %eax, %ecx
	cmp $GATE_LIMIT, %ecx
	jae 1f
	incq %gs:\counts(, %rcx, 8)
1:
	.endm
trap_full:
	COUNT_FULL CPU_TRAP_CALLS
	jmp 3f
gate_full:
	COUNT_FULL CPU_GATE_CALLS
3:
	mov %rax, REGS_RAX(%rsp)
	/* What IA32_FMASK clears for the instruction: C code expects DF clear, and iretq faults when NT is set. */
	pushq $RFLAGS_FIXED
	.cfi_adjust_cfa_offset 8
	popfq
	.cfi_adjust_cfa_offset -8
	COMPLETE_FRAME
	jmp syscall_framed
	.cfi_endproc
	.size gate_entry, . - gate_entry

	.balign 64
	.globl syscall_entry
	.type syscall_entry, @function
syscall_entry:
	.cfi_startproc simple
	/* The instruction left the flags in r11. QEMU (7.2) then loses DF and the arithmetic flags when IA32_FMASK spares them. */
	xor $RFLAGS_IF, %r11d
	test $FLAGS_ODD, %r11d
	jnz syscall_odd
	ENTER
	.cfi_remember_state
	movq $RFLAGS_IF | RFLAGS_FIXED, REGS_RFLAGS(%rsp)
	CALL_HANDLER CPU_TRAP_CALLS, trap_full
	mov REGS_RIP(%rsp), %rcx
	mov %ecx, %eax
	and $GATE_QUIET_MASK, %eax
	cmp %rcx, gate_quiet(, %rax, 8)
	je 2b
	jmp gate_count

	/* r11 must be kept, and there is no other register: so interrupts are off for once, in which time the CPU's block can hold it. */
syscall_odd:
	.cfi_restore_state
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	.cfi_same_value rsp
	cli
	xor $RFLAGS_IF, %r11d
	mov %r11, %gs:CPU_ODD_FLAGS
	ENTER
	mov %gs:CPU_ODD_FLAGS, %rcx
	mov %rcx, REGS_RFLAGS(%rsp)
	jmp trap_full
	.cfi_endproc
	.size syscall_entry, . - syscall_entry

	/*
	 * Short calls (linux/short.c): a C function that preserves all registers and that no switch interrupts. The kernel stack holds two words,
	 * the application's RIP and RSP; a frame is made only when there is something to do before the return, or when the function
	 * answers SHORT_NO: then the call begins as any other.
	 */
	.macro SHORT name number entry
	.balign 16
	.globl \entry
	.type \entry, @function
\entry:
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	mov %gs:CPU_KSTACK_TOP, %r11
	lea -16(%r11), %r11
	xchg %rsp, %r11
	.cfi_def_cfa r11, 0
	mov %r11, 8(%rsp)
	mov %rcx, (%rsp)
	.cfi_def_cfa rsp, 16
	.cfi_offset rip, -16
	.cfi_offset rsp, -8
	.if \number == __NR_pread64
	mov %r10, %rcx                  /* the fourth argument */
	.endif
	call short_\name
	cmp $SHORT_NO, %rax
	je 1f
	incq %gs:CPU_GATE_CALLS + 8 * \number
	jmp short_return
1:	mov $\number, %eax
	jmp short_refused
	.cfi_endproc
	.size \entry, . - \entry
	.endm

	.balign 16
	.globl short_leave, short_left
	.type short_return, @function
short_return:
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_def_cfa rsp, 16
	.cfi_offset rip, -16
	.cfi_offset rsp, -8
	cmpw $0, %gs:CPU_ATTENTION
	jne short_attend
short_leave:
	mov %gs:CPU_CURRENT, %rcx
	cmpl $0, THREAD_WORK(%rcx)
	jne short_slow
	mov (%rsp), %rcx
	.cfi_remember_state
	mov 8(%rsp), %rsp
short_left:
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	.cfi_same_value rsp
	jmp *%rcx
	.cfi_restore_state

short_refused:
	mov (%rsp), %rcx
	mov 8(%rsp), %r11
	lea -(REGS_BYTES - 16)(%rsp), %rsp
	jmp gate_entered

	/*
	 * The frame that a call by gate_entry would have by now, and the flags that C code expects. A short call runs under the application's own
	 * flags, since nothing in it minds: the CPU clears NT for whoever interrupts it, DF and AC mean nothing to its instructions, and TF
	 * is put off. So the usual way out pays nothing for them. They matter where a call leaves that way, which is here: the iretq of
	 * syscall_exit faults when NT is set, as does that of a thread which is switched to, and string instructions go by DF.
	 */
	.macro SHORT_FRAME
	mov (%rsp), %rcx
	mov 8(%rsp), %r11
	lea -(REGS_BYTES - 16)(%rsp), %rsp
	mov %r11, REGS_RSP(%rsp)
	mov %rcx, REGS_RIP(%rsp)
	.cfi_def_cfa rsp, REGS_BYTES
	.cfi_offset rip, REGS_RIP - REGS_BYTES
	.cfi_offset rsp, REGS_RSP - REGS_BYTES
	pushfq
	.cfi_adjust_cfa_offset 8
	pop %rcx
	.cfi_adjust_cfa_offset -8
	mov %rcx, REGS_RFLAGS(%rsp)
	pushq $RFLAGS_FIXED | RFLAGS_IF
	.cfi_adjust_cfa_offset 8
	popfq
	.cfi_adjust_cfa_offset -8
	mov %rax, REGS_RAX(%rsp)
	movq $-1, REGS_ORIG_RAX(%rsp)
	STORE_ARGUMENTS
	.endm

short_slow:
	.cfi_remember_state
	SHORT_FRAME
	jmp gate_slow
	.cfi_restore_state
short_attend:
	SHORT_FRAME
	call preempt_attend
	jmp gate_slow
	.cfi_endproc
	.size short_return, . - short_return

	SHORT read __NR_read short_read_entry
	SHORT pread64 __NR_pread64 short_pread64_entry
	SHORT write __NR_write short_write_entry
	SHORT sched_getaffinity __NR_sched_getaffinity short_sched_getaffinity_entry
	SHORT lseek __NR_lseek stacked_lseek
	SHORT fcntl __NR_fcntl stacked_fcntl

	/*
	 * Calls without a stack. RSP stays the application's, so an interrupt finds the application there, and may give the CPU away: it sends RIP back to the
	 * beginning (gate_rewind()), so that nothing is looked at that was found before it. That keeps RCU's promise, and makes the call
	 * begin and end between two interrupts. rax and r11 are free; what changes anything is the last instruction before NAME_done. There is no look
	 * at what is to be done before the return: that comes by an interrupt, which does it. A single step goes the way of what is refused.
	 */
	.macro STACKLESS name number other
	.globl \name\()_refused, short_\name\()_entry, \name\()_done, \name\()_end
	.type short_\name\()_entry, @function
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
\name\()_refused:
9:	mov $\number, %eax
	jmp \other
	.balign 16
short_\name\()_entry:
	.endm

	.macro STACKLESS_DONE name number
\name\()_done:
	incq %gs:CPU_GATE_CALLS + 8 * \number
	jmp *%rcx
\name\()_end:
	.cfi_endproc
	.size short_\name\()_entry, . - short_\name\()_entry
	.endm

	/* r11 = the open file of descriptor edi. */
	.macro PEEK_FILE
	mov %gs:CPU_CURRENT, %r11
	mov THREAD_PROCESS(%r11), %r11
	mov PROCESS_FDS(%r11), %r11
	mov FD_TABLE_ARRAY(%r11), %r11
	mov %edi, %eax
	cmp FD_ARRAY_SIZE(%r11), %eax
	jae 9b
	mov FD_ARRAY_SLOTS(%r11, %rax, 8), %r11
	test %r11, %r11
	jz 9b
	.endm

	/* To a position from the start, where that only sets it: plain_seek(). */
	STACKLESS lseek __NR_lseek stacked_lseek
	test %edx, %edx
	jnz 9b
	PEEK_FILE
	testl $FILE_IS_PATH, FILE_FLAGS(%r11)
	jnz 9b
	mov FILE_OPS(%r11), %rax
	cmpb $0, FILE_OPS_PLAIN_POSITION(%rax)
	je 9b
	mov %rsi, %rax
	test %rax, %rax
	js 9b
	mov %rax, FILE_POS(%r11)
	STACKLESS_DONE lseek __NR_lseek

	STACKLESS fcntl __NR_fcntl stacked_fcntl
	cmp $FCNTL_GETFL, %esi
	jne 9b
	PEEK_FILE
	mov FILE_FLAGS(%r11), %eax
	STACKLESS_DONE fcntl __NR_fcntl

	/* Nobody waits for this CPU. */
	STACKLESS sched_yield __NR_sched_yield gate_entry
	mov %gs:CPU_RUNQ, %rax
	or %gs:CPU_INBOX, %rax
	or %gs:CPU_HELD, %rax
	jnz 9b
	STACKLESS_DONE sched_yield __NR_sched_yield
gate_end:
	.section .note.GNU-stack, "", @progbits
