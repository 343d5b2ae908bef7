#!/bin/bash
# The boot sector and the second stage, with a kernel of a few lines that looks at what it was given:
# every kind of disk the BIOS reads, little and much memory, damaged images.
. "$(dirname "$0")/fake/lib.sh"
cat > "$T/probe.S" <<'END'
/* Ends QEMU with 2n+1: n = 1 all is well, 2 start info, 3 memory map, 4 .bss, 5 processor state, 6 data. */
	.code32
	.globl _start
_start:
	mov $5, %esi
	pushf
	mov %cr0, %ecx
	test $0x80000000, %ecx
	jnz end
	test $1, %ecx
	jz end
	mov $2, %esi
	cmpl $0x336ec578, (%ebx)
	jne end
	cmpl $1, 4(%ebx)
	jne end
	mov 24(%ebx), %ecx
	cmpb $0, (%ecx)
	jne end
	mov 32(%ebx), %ecx
	cmpl $0x20445352, (%ecx)
	jne end
	mov $3, %esi
	mov 40(%ebx), %edx
	mov 48(%ebx), %ecx
1:	test %ecx, %ecx
	jz end
	cmpl $0x100000, (%edx)
	je 2f
	add $24, %edx
	dec %ecx
	jmp 1b
2:	cmpl $1, 16(%edx)
	jne end
	mov $4, %esi
	mov $zeros, %edi
	mov $0x40000, %ecx
	xor %eax, %eax
	repe scasl
	jne end
	mov $6, %esi
	cmpl $0x12345678, marker
	jne end
	mov $1, %esi
end:	mov %esi, %eax
	mov $0xf4, %dx
	out %eax, %dx
	hlt
	jmp end
	.section .note.pvh, "a", @note
	.long 4, 4, 18
	.asciz "Xen"
	.long _start
	.data
	.balign 4096
	.fill 300000, 1, 0x5a
	.balign 4
marker:	.long 0x12345678
	.bss
	.balign 4096
zeros:	.fill 0x100000, 1, 0
END
gcc -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-Ttext=0x200000 -Wl,-Tdata=0x800000 -o "$T/kernel" "$T/probe.S" || exit 1
run_ibrik build --kernel "$T/kernel" --exec /bin/true -o "$T/a.img"
check build [ $status = 0 ]

boot() { # QEMU options; $status, $out
	timeout 30 qemu-system-x86_64 -accel tcg -display none -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4 "$@" \
		> "$T/out" 2> /dev/null < /dev/null
	status=$? out=$(tr -d '\r' < "$T/out")
}
disk=file=$T/a.img,format=raw,snapshot=on
try() { local name=$1; shift; boot "$@"; check "$name" [ $status = 3 ]; }
try ide -m 512 -drive "$disk"
try ahci -M q35 -m 512 -drive "$disk"
try virtio -m 512 -drive "$disk,if=virtio"
try nvme -m 512 -drive "$disk,if=none,id=d" -device nvme,drive=d,serial=1
try scsi -m 512 -drive "$disk,if=none,id=d" -device virtio-scsi-pci -device scsi-hd,drive=d
try memory-16-MB -m 16 -drive "$disk"
try memory-5-GB -m 5G -drive "$disk"
timeout 30 qemu-system-x86_64 -accel tcg -M microvm -display none -device isa-debug-exit,iobase=0xf4,iosize=4 -m 512 -kernel "$T/kernel" > /dev/null 2>&1
check same-as-through-pvh [ $? = 3 ]

refuse() { # NAME TEXT QEMU-OPTION...: the line appears and the machine stays
	local name=$1 text=$2
	shift 2
	timeout 3 qemu-system-x86_64 -accel tcg -display none -serial stdio "$@" > "$T/out" 2> /dev/null < /dev/null
	check "$name" grep -q "^ibrik: cannot boot: $text" "$T/out"
}
flip() {
	cp "$T/a.img" "$T/flip.img"
	printf '\377' | dd of="$T/flip.img" bs=1 seek="$1" conv=notrunc status=none
}
refuse too-little-memory "too little memory" -m 3 -drive "$disk"
refuse no-64-bit-mode "this CPU has no 64-bit mode" -cpu qemu32 -drive "$disk"
flip 200000
refuse kernel-flipped "the kernel in the image is damaged" -drive file="$T/flip.img",format=raw
flip 4200
refuse header-flipped "the image's header is damaged" -drive file="$T/flip.img",format=raw
flip 4096
refuse no-image "the disk holds no ibrik image" -drive file="$T/flip.img",format=raw
head -c 100000 "$T/a.img" > "$T/flip.img"
refuse image-cut-short "the " -drive file="$T/flip.img",format=raw
finish
