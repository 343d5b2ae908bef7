#!/bin/bash
# One image on every kind of machine, firmware, bus and disk that docs/drivers.md names, each started by QEMU
# directly: the program reads its own file, writes to the serial port, and the machine turns itself off.
. "$(dirname "$0")/../cli/fake/lib.sh"
cat > "$T/probe.c" <<'END'
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Reads all of this program, a few hundred KiB of disk, and says how much. */
int main(int argc, char **argv)
{
	FILE *self = fopen("/proc/self/exe", "r");
	unsigned long sum = 0;
	int c;

	if (!self)
		return 1;
	while ((c = getc(self)) != EOF)
		sum = sum * 31 + (unsigned char)c;
	printf("sum %lx\n", sum);
	return ferror(self) ? 1 : 0;
}
END
gcc -O1 -static -o "$T/probe" "$T/probe.c" || exit 1
"$IBRIK" build --exec "$T/probe" -o "$T/a.img" || { not_ok build; finish; }
want=$("$T/probe")

# Prints the writes to configuration space that change the address map (base registers, windows, the three enabling
# bits of the command register) after the kernel has started the first other CPU, whose page is 8: see pci_scan().
late_map_changes() {
	awk '/^apic_mem_writel 0x300 = 0x00004608/ { late = 1 }
	/^pci_cfg_write/ {
		at = $(NF - 2); to = substr($NF, length($NF)); key = $(NF - 3)
		if (at == "@0x4") {
			if (late && enabled[key] != to)
				print
			enabled[key] = to
		} else if (late && at ~ /^@0x([123].)$/ && at != "@0x3c")
			print
	}' "$1"
}

# boots NAME QEMU-ARGUMENT...: a plain machine; it must print the sum and end by itself.
boots() {
	local name=$1 late
	shift
	timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 256 -nodefaults -display none -no-reboot -serial stdio \
		-trace pci_cfg_write -trace apic_mem_writel -D "$T/trace" "$@" < /dev/null > "$T/out" 2>&1
	status=$?
	late=$(late_map_changes "$T/trace" | head -n 1)
	if [ -n "$late" ]; then
		not_ok "$name" "changes the address map beside other CPUs: $late"
	elif [ $status = 0 ] && grep -aqF "$want" "$T/out"; then
		ok "$name"
	else
		not_ok "$name" "status $status: $(tr -d '\0\r' < "$T/out" | tail -n 3 | tr '\n' '|')"
	fi
}
drive() { echo -blockdev "driver=raw,node-name=$1,read-only=on,file.driver=file,file.filename=$T/a.img"; }
writable() { echo -drive "if=none,id=$1,file=$T/a.img,format=raw,snapshot=on"; }
kernel=(-kernel build/ibrik.elf -append log=4)
qboot=("${kernel[@]}" -bios qboot.rom)

# By itself under BIOS.
boots bios-pc-ide -M pc -smp 2 $(writable d) -device ide-hd,drive=d
boots bios-q35-ahci -M q35 -smp 2 $(writable d) -device ide-hd,drive=d
boots bios-q35-virtio -M q35 $(drive d) -device virtio-blk-pci,drive=d
boots bios-pc-virtio-legacy -M pc $(drive d) -device virtio-blk-pci,drive=d,disable-modern=on

# Handed the kernel, with the disk on each bus.
boots q35-qboot "${qboot[@]}" -M q35 -smp 4 $(drive d) -device virtio-blk-pci,drive=d -device virtio-rng-pci
boots q35-qboot-ahci "${qboot[@]}" -M q35 $(writable d) -device ide-hd,drive=d,bus=ide.0 -device ide-cd,bus=ide.1
boots q35-qboot-root-port "${qboot[@]}" -M q35 $(drive d) -device pcie-root-port,id=p,slot=1 -device virtio-blk-pci,drive=d,bus=p
boots pc-qboot "${qboot[@]}" -M pc -smp 2 $(drive d) -device virtio-blk-pci,drive=d
boots pc-qboot-ide "${qboot[@]}" -M pc $(writable d) -device ide-hd,drive=d
boots pc-qboot-bridges "${qboot[@]}" -M pc $(drive d) -device pci-bridge,id=a,chassis_nr=1 \
	-device pci-bridge,id=b,bus=a,chassis_nr=2,addr=1 -device virtio-blk-pci,drive=d,bus=b,addr=4
boots q35-line-interrupt "${kernel[@]}" -M q35 -smp 2 $(drive d) -device virtio-blk-pci,drive=d,vectors=0
boots pc-legacy-line-interrupt "${kernel[@]}" -M pc $(drive d) -device virtio-blk-pci,drive=d,vectors=0,disable-modern=on
boots q35-one-vector "${kernel[@]}" -M q35 $(drive d) -device virtio-blk-pci,drive=d,vectors=1
boots microvm "${kernel[@]}" -M microvm -smp 2 $(drive d) -device virtio-blk-device,drive=d
boots microvm-modern "${kernel[@]}" -M microvm -global virtio-mmio.force-legacy=false -smp 2 $(drive d) \
	-device virtio-blk-device,drive=d -device virtio-rng-device
boots microvm-without-acpi "${kernel[@]}" -M microvm,acpi=off -smp 2 $(drive d) -device virtio-blk-device,drive=d
boots microvm-without-pit "${kernel[@]}" -M microvm,pit=off $(drive d) -device virtio-blk-device,drive=d
boots q35-without-pit "${kernel[@]}" -M q35,pit=off $(drive d) -device virtio-blk-pci,drive=d
check no-pit-is-no-reason-to-guess [ "$(grep -ac 'taking 1 GHz' "$T/out")" = 0 ]

# A disk that fails: one clear line, no hang.
timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 256 -nodefaults -display none -no-reboot -serial stdio "${kernel[@]}" -M q35 \
	-blockdev "driver=raw,node-name=d,read-only=on,file.driver=blkdebug,file.image.driver=file,file.image.filename=$T/a.img,file.inject-error.0.event=read_aio,file.inject-error.0.errno=5" \
	-device virtio-blk-pci,drive=d < /dev/null > "$T/out" 2>&1
status=$?
check disk-errors-end-the-machine [ $status = 0 ]
check disk-errors-are-reported grep -aq 'vda: read error' "$T/out"

# No disk at all.
timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 256 -nodefaults -display none -no-reboot -serial stdio "${kernel[@]}" -M q35 \
	< /dev/null > "$T/out" 2>&1
check no-disk-ends-the-machine [ $? = 0 ]
finish
