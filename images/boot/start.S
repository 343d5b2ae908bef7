/*
 * images/boot/start.S - the boot sector, the way into protected mode, and the calls
 * back into the BIOS.
 *
 * Theory:    sector 0 is loaded to 0x7c00 by the BIOS; it reads the second stage (disk byte 8192)
 *            to 0x8000 with one INT 13h extended read. The second stage asks for the memory map,
 *            enters 32-bit protected mode with flat segments and calls load_main() in load.c, which
 *            comes back here for every disk read: the processor returns to real mode, the
 *            BIOS reads into the bounce buffer at 0x20000, and protected mode goes on.
 *            At the end enter_kernel() jumps as PVH asks: paging off, ebx = start info.
 * Memory:    0x5000 memory map, 0x6000 start info, up to 0x7c00 real-mode stack, 0x8000 second
 *            stage, up to 0x1f000 protected-mode stack, 0x20000 bounce buffer of 64 KiB
 * Errors:    a line on the screen, then the processor halts
 */
#define MAP 0x5000
#define MAP_MOST 100
#define REAL_STACK 0x7c00
#define STACK 0x1f000
#define BOUNCE_SEGMENT 0x2000
#define COM1 0x3f8

	.section .stage1, "ax"
	.code16
	.globl stage1
stage1:
	ljmp $0, $1f
1:	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $REAL_STACK, %sp
	sti
	cld
	movb %dl, drive
	movb $0x41, %ah                 /* are the extensions there? */
	movw $0x55aa, %bx
	int $0x13
	movw $no_extensions, %si
	jc stage1_fail
	cmpw $0xaa55, %bx
	jne stage1_fail
	movb $0x42, %ah
	movb drive, %dl
	movw $packet1, %si
	int $0x13
	movw $no_read, %si
	jc stage1_fail
	ljmp $0, $stage2

stage1_fail:
	lodsb
	testb %al, %al
	jz 2f
	movb $0x0e, %ah
	movw $7, %bx
	pushw %ax
	int $0x10
	popw %ax
	movw $COM1, %dx
	outb %al, %dx
	jmp stage1_fail
2:	hlt
	jmp 2b

	.globl drive
drive:	.byte 0x80
	.balign 4
packet1:
	.byte 16, 0
	.word __stage2_sectors
	.word 0x8000, 0
	.quad 16
no_extensions:
	.asciz "ibrik: this BIOS cannot read large disks (INT 13h extensions)\r\n"
no_read:
	.asciz "ibrik: the boot disk cannot be read\r\n"
	.org 510
	.word 0xaa55

	.section .stage2, "ax"
	.code16
stage2:
	/* The fast A20 gate; the BIOS call first, since not every board has port 0x92. */
	movw $0x2401, %ax
	int $0x15
	inb $0x92, %al
	orb $2, %al
	andb $0xfe, %al
	outb %al, $0x92

	/* The memory map: 24-byte entries at MAP. */
	xorl %ebx, %ebx
	movw $MAP, %di
	movl $0, map_entries
1:	movl $0xe820, %eax
	movl $0x534d4150, %edx
	movl $24, %ecx
	movl $1, 20(%di)
	int $0x15
	jc 2f
	cmpl $0x534d4150, %eax
	jne 2f
	addw $24, %di
	incl map_entries
	cmpl $MAP_MOST, map_entries
	jae 2f
	testl %ebx, %ebx
	jnz 1b
2:	cli
	lgdt gdt_pointer
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $protected

	.code32
protected:
	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw %ax, %fs
	movw %ax, %gs
	movl $STACK, %esp
	cld
	movl $__bss_start, %edi
	movl $__bss_end, %ecx
	subl %edi, %ecx
	xorl %eax, %eax
	rep stosb
	call load_main
3:	hlt
	jmp 3b

/*
 * unsigned bios_read(uint64_t sector, unsigned count): into the bounce buffer; the answer is
 * 0 or the BIOS's status.
 */
	.globl bios_read
bios_read:
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl 20(%esp), %eax
	movl %eax, packet_sector
	movl 24(%esp), %eax
	movl %eax, packet_sector + 4
	movw 28(%esp), %ax
	movw %ax, packet_count
	movw $0, packet_offset          /* the BIOS may have changed it */
	movw $BOUNCE_SEGMENT, packet_segment
	movl %esp, saved_stack
	ljmp $24, $1f
	.code16
1:	movw $32, %ax                   /* 16-bit segments before the switch */
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmp $0, $2f
2:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $REAL_STACK, %sp
	sti
	movb $0x42, %ah
	movb drive, %dl
	movw $packet, %si
	int $0x13
	cli
	movl $0, bios_status
	jnc 3f
	movb %ah, bios_status
	orb $1, bios_status + 1         /* not 0, whatever the status says */
3:	xorw %ax, %ax
	movw %ax, %ds
	lgdt gdt_pointer
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $4f
	.code32
4:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl saved_stack, %esp
	cld
	movl bios_status, %eax
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret

/* void enter_kernel(uint32_t entry, uint32_t start_info): does not return. */
	.globl enter_kernel
enter_kernel:
	movl 4(%esp), %eax
	movl 8(%esp), %ebx
	xorl %ebp, %ebp
	jmp *%eax

	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff        /* 8: code, 32 bits */
	.quad 0x00cf93000000ffff        /* 16: data */
	.quad 0x00009b000000ffff        /* 24: code, 16 bits, on the way to real mode */
	.quad 0x000093000000ffff        /* 32: data, 16 bits */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt

	.balign 4
packet:
	.byte 16, 0
packet_count:
	.word 0
packet_offset:
	.word 0
packet_segment:
	.word 0
packet_sector:
	.quad 0
saved_stack:
	.long 0
bios_status:
	.long 0
	.globl map_entries
map_entries:
	.long 0
	.section .note.GNU-stack, "", @progbits
