/*
 * kernel/arch/x86_64/boot.S - from the boot loader to kernel_main().
 *
 * Entries:
 *   boot_pvh     32-bit protected mode, paging off, ebx = physical address of hvm_start_info
 *                (x86/HVM direct boot ABI; found through the ELF note XEN_ELFNOTE_PHYS32_ENTRY)
 *   boot_linux64 long mode, rsi = physical address of boot_params (Linux boot protocol, 64-bit)
 *
 * Both map physical 0-4 GiB three times with 2 MiB pages (identity, DIRECT_BASE, and its first GiB at
 * KERNEL_BASE) and jump to high addresses. mm_init() replaces these tables.
 */
#include "cpu.h"

#define KERNEL_BASE 0xffffffff80000000
#define PHYS(x) ((x) - KERNEL_BASE)

	.section .note.pvh, "a", @note
	.long 4, 4, 18
	.asciz "Xen"
	.long boot_pvh

	.section .boot.text, "ax"
	.code32
	.globl boot_pvh
boot_pvh:
	cli
	cld
	rdtsc
	mov %eax, %esi
	mov %edx, %edi
	mov $PHYS(boot_stack_top), %esp
	call build_tables
	mov %cr4, %eax
	or $0xa0, %eax                  /* PAE, PGE */
	mov %eax, %cr4
	mov $PHYS(boot_pml4), %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $0x901, %eax                 /* SCE, LME, NXE */
	wrmsr
	mov %cr0, %eax
	and $~0x6000000c, %eax          /* caches on, no FPU emulation, TS clear */
	or $0x80010023, %eax            /* PG, WP, NE, MP, PE */
	mov %eax, %cr0
	lgdt PHYS(boot_gdt_ptr)
	ljmp $SEL_CODE, $1f

	/* Fills PML4, PDPTs and four page directories. Clobbers eax, ecx, edx, ebp. */
build_tables:
	mov $PHYS(boot_pd), %ecx
	mov $0x83, %eax                 /* present, writable, 2 MiB */
	xor %edx, %edx
2:	mov %eax, (%ecx)
	movl $0, 4(%ecx)
	add $8, %ecx
	add $0x200000, %eax
	inc %edx
	cmp $2048, %edx
	jne 2b
	mov $PHYS(boot_pd) + 3, %eax
	mov $PHYS(boot_pdpt_low), %ecx
	mov $4, %edx
3:	mov %eax, (%ecx)
	add $8, %ecx
	add $4096, %eax
	dec %edx
	jnz 3b
	movl $PHYS(boot_pd) + 3, PHYS(boot_pdpt_high) + 510 * 8
	movl $PHYS(boot_pdpt_low) + 3, PHYS(boot_pml4)
	movl $PHYS(boot_pdpt_low) + 3, PHYS(boot_pml4) + 273 * 8
	movl $PHYS(boot_pdpt_high) + 3, PHYS(boot_pml4) + 511 * 8
	ret

	.code64
1:	mov $SEL_DATA, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	shl $32, %rdi
	or %rsi, %rdi                   /* TSC at entry */
	mov %ebx, %esi                  /* start info */
	mov $0, %edx                    /* protocol: PVH */
	movabs $boot_high, %rax
	jmp *%rax

	.globl boot_linux64
boot_linux64:
	cli
	cld
	mov %rsi, %rbx
	rdtsc
	shl $32, %rdx
	or %rax, %rdx
	mov %rdx, %r12
	/* The same tables, written with 64-bit code. */
	mov $PHYS(boot_pd), %rcx
	mov $0x83, %eax
	mov $2048, %edx
4:	mov %rax, (%rcx)
	add $8, %rcx
	add $0x200000, %rax
	dec %edx
	jnz 4b
	mov $PHYS(boot_pd) + 3, %eax
	mov $PHYS(boot_pdpt_low), %rcx
	mov $4, %edx
5:	mov %rax, (%rcx)
	add $8, %rcx
	add $4096, %rax
	dec %edx
	jnz 5b
	movq $PHYS(boot_pd) + 3, PHYS(boot_pdpt_high) + 510 * 8
	movq $PHYS(boot_pdpt_low) + 3, PHYS(boot_pml4)
	movq $PHYS(boot_pdpt_low) + 3, PHYS(boot_pml4) + 273 * 8
	movq $PHYS(boot_pdpt_high) + 3, PHYS(boot_pml4) + 511 * 8
	mov $MSR_EFER, %ecx
	rdmsr
	or $0x801, %eax
	wrmsr
	mov $PHYS(boot_pml4), %eax
	mov %rax, %cr3
	mov %cr0, %rax
	and $~0xc, %rax
	or $0x10022, %rax
	mov %rax, %cr0
	lgdt PHYS(boot_gdt_ptr)
	mov $PHYS(boot_stack_top), %rsp
	push $SEL_CODE
	lea 6f(%rip), %rax
	push %rax
	lretq
6:	mov $SEL_DATA, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	mov %r12, %rdi
	mov %rbx, %rsi
	mov $1, %edx
	movabs $boot_high, %rax
	jmp *%rax

	.section .boot.data, "aw"
	.balign 8
boot_gdt:
	.quad 0, 0
	.quad 0x00af9b000000ffff        /* SEL_CODE */
	.quad 0x00cf93000000ffff        /* SEL_DATA */
boot_gdt_ptr_low:
	.word 31
	.quad boot_gdt

	.text
	.code64
boot_high:
	movabs $boot_stack_top, %rsp
	xor %ebp, %ebp
	/* rdi = TSC, rsi = info (physical), edx = protocol */
	call kernel_boot
	ud2

	/*
	 * Application processors: copied to physical 0x8000, entered in real mode by the start-up IPI with
	 * CS = 0x800. The words at the end are filled by smp.c.
	 */
	.section .rodata
	.balign 16
	.globl trampoline_start, trampoline_end, trampoline_cr3_word, trampoline_stack_word, trampoline_cpu_word
	.globl trampoline_cr4_word
	.code16
trampoline_start:
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	lgdtl (tramp_gdt_ptr - trampoline_start)
	mov (trampoline_cr4_word - trampoline_start), %eax
	mov %eax, %cr4
	mov (trampoline_cr3_word - trampoline_start), %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $0x901, %eax
	wrmsr
	mov $0x80010023, %eax
	mov %eax, %cr0
	ljmpl $SEL_CODE, $(0x8000 + tramp64 - trampoline_start)
	.code64
tramp64:
	mov $SEL_DATA, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov 0x8000 + trampoline_stack_word - trampoline_start, %rsp
	mov 0x8000 + trampoline_cpu_word - trampoline_start, %rdi
	xor %ebp, %ebp
	movabs $smp_ap_entry, %rax
	call *%rax
	ud2
	.balign 8
tramp_gdt:
	.quad 0, 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
tramp_gdt_ptr:
	.word 31
	.long 0x8000 + tramp_gdt - trampoline_start
	.balign 8
trampoline_cr3_word: .quad 0
trampoline_cr4_word: .quad 0
trampoline_stack_word: .quad 0
trampoline_cpu_word: .quad 0
trampoline_end:

	.data
	.balign 8
	.globl boot_gdt_ptr
	.set boot_gdt_ptr, boot_gdt_ptr_low + KERNEL_BASE

	.section .bss.page_aligned, "aw", @nobits
	.balign 4096
boot_pml4: .skip 4096
boot_pdpt_low: .skip 4096
boot_pdpt_high: .skip 4096
boot_pd: .skip 4 * 4096
	.globl boot_stack, boot_stack_top
boot_stack: .skip 16384
boot_stack_top:
