#!/bin/bash
# The fences between a virtqueue and its device are fences in what QEMU's translator makes of them, also where there is one CPU, or one thread for all:
# there it leaves out what orders CPUs among each other, but devices work in threads of their own (device_fence() in kernel/arch/x86_64/io.h).
. "$(dirname "$0")/../cli/fake/lib.sh"
printf '#include <stdio.h>\nint main(void) { return puts("here") < 0; }\n' > "$T/a.c"
gcc -O1 -static -o "$T/a" "$T/a.c" && "$IBRIK" build --exec "$T/a" -o "$T/a.img" || { not_ok build; finish; }

range() { nm -S build/ibrik.debug.elf | awk -v name="$1" '$4 == name { print "0x" $1 "+0x" $2 }'; }
places=$(range virtq_kick_needed),$(range virtq_irq_enable)

# Of each piece of translated code that holds a fence of the kernel's: whether an operation of the translator's is one. A barrier is (mb), with all its bits, a call of
# a function that exchanges atomically, and one that takes a lock by doing so (rdtsc).
fences() {
	awk 'function piece() { if (wanted) { if (is) good++; else bad++ } wanted = is = 0 }
		/^IN:/ { piece() }
		/^0x.*(mfence|lock )/ { wanted = 1 }
		/^ mb \$0x3f|^ call (rdtsc|atomic_)/ { is = 1 }
		END { piece(); print good + 0, bad + 0 }' "$1"
}

fenced() { # NAME QEMU-ARGUMENT...
	local name=$1 good bad
	shift
	timeout 60 qemu-system-x86_64 -cpu max -m 256 -nodefaults -display none -no-reboot -serial stdio -machine q35 -bios qboot.rom "$@" \
		-kernel build/ibrik.elf -drive "if=none,id=d,readonly=on,format=raw,file=$T/a.img" -device virtio-blk-pci,drive=d \
		-d in_asm,op -dfilter "$places" -D "$T/trace" < /dev/null > "$T/out" 2>&1
	grep -aq '^here' "$T/out" || { not_ok "$name" "$(tail -n 1 "$T/out")"; return; }
	read -r good bad < <(fences "$T/trace")
	# Both functions, at least once each.
	if [ "$bad" = 0 ] && [ "$good" -ge 2 ]; then ok "$name"; else not_ok "$name" "$good fences, $bad that are none"; fi
}
fenced one-cpu -accel tcg,thread=multi -smp 1
fenced two-cpus -accel tcg,thread=multi -smp 2
fenced two-cpus-in-one-thread -accel tcg,thread=single -smp 2
finish
