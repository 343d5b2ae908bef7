#!/bin/bash
# Machines that are broken, or that the host stops at a bad moment: a machine check, several CPUs that panic, a loader without a memory map,
# a CPU that comes too late, and a host that stops everything for a minute while a disk is read.
. "$(dirname "$0")/../cli/fake/lib.sh"
cat > "$T/probe.c" <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Says "ready"; then waits for ever, or for a second, or reads a file that nobody has read yet. */
int main(int argc, char **argv)
{
	static unsigned char data[65536];
	unsigned long sum = 0;
	ssize_t n;
	int fd;

	write(1, "ready\n", 6);
	if (!strcmp(argv[1], "wait"))
		pause();
	sleep(1);
	if (!strcmp(argv[1], "read")) {
		fd = open("/big", O_RDONLY);
		while ((n = read(fd, data, sizeof(data))) > 0)
			for (ssize_t i = 0; i < n; i++)
				sum = sum * 31 + data[i];
		if (fd < 0 || n < 0)
			return 1;
	}
	printf("end %lx\n", sum);
	return 0;
}
END
head -c 2000000 /dev/urandom > "$T/big"
gcc -O1 -static -o "$T/probe" "$T/probe.c" || exit 1
for way in wait end read; do
	"$IBRIK" build --exec "$T/probe" --file "$T/big:/big" -o "$T/$way.img" -- $way || { not_ok build; finish; }
done
mkfifo "$T/monitor"
exec 3<> "$T/monitor" # QEMU's monitor reads what is written there

# start IMAGE QEMU-ARGUMENT...: a machine in the background with its monitor; the serial port goes to $T/out.
start() {
	local image=$1
	shift
	: > "$T/out"
	qemu-system-x86_64 -accel tcg -cpu max -M q35 -m 256 -nodefaults -display none -no-reboot -kernel build/ibrik.elf -append log=6 \
		-serial "file:$T/out" -monitor stdio -device isa-debug-exit,iobase=0xf4,iosize=4 \
		-drive "if=none,id=d,file=$T/$image.img,format=raw,snapshot=on" -device virtio-blk-pci,drive=d "$@" < "$T/monitor" > "$T/log" 2>&1 &
	pid=$!
}
# The serial port has said so, within so many seconds: said SECONDS TEXT
said() {
	for ((i = 0; i < $1 * 10; i++)); do
		grep -aqF "$2" "$T/out" && return
		sleep 0.1
	done
	return 1
}
# The machine has ended by itself, within so many seconds; $status is QEMU's: 0 of a clean end, 35 of a panic.
ended() {
	for ((i = 0; i < $1 * 10; i++)); do
		kill -0 $pid 2> /dev/null || break
		sleep 0.1
	done
	kill -9 $pid 2> /dev/null
	wait $pid
	status=$?
}
show() { tr -d '\0\r' < "$T/out" | tail -n 15 | sed 's/^/| /'; }

# With several CPUs any of them may be the one that reports; in those that only hear of it, the bank has no address.
for cpus in 1 2; do
	start wait -smp $cpus
	said 60 ready
	echo "mce -b 0 1 0xbe00000000000000 0x5 0x12345000 0x8c" >&3
	ended 20
	check "a-machine-check-is-a-panic-on-$cpus" [ "$status" = 35 ]
	check "it-says-what-the-bank-says-on-$cpus" \
		grep -aqE 'panic: machine check, bank 1: status 0x[0-9a-f]+, address (0x12345000|0), MCG status 0x[0-9a-f]+' "$T/out"
	check "it-is-reported-to-its-end-on-$cpus" grep -aq 'last lines of the log:' "$T/out"
	[ $failed = 0 ] || show
done

whole=0
for ((round = 0; round < 10; round++)); do
	timeout 60 "$IBRIK" run --accel tcg -m 128M --cpus 4 --kernel-opts panic.test=others --exec "$T/probe" end > "$T/out" 2> "$T/err" < /dev/null
	[ $? = 125 ] && [ "$(grep -ac '^ibrik: panic: CPUs that panic together' "$T/err")" = 1 ] && grep -aq '^ibrik: last lines of the log:' "$T/err" &&
		grep -aq '| 6\[.*command line: ' "$T/err" && whole=$((whole + 1))
done
check cpus-that-panic-together-give-one-whole-report [ $whole = 10 ]

# The host stops the machine for longer than a disk may take, with a read under way.
start read
said 60 ready
echo "block_set_io_throttle d 0 0 0 0 2 0" >&3
sleep 4
kill -STOP $pid
sleep 63
kill -CONT $pid
sleep 1
echo "block_set_io_throttle d 0 0 0 0 0 0" >&3
ended 60
check a-read-outlives-a-stop-of-the-machine [ "$status" = 0 ]
check it-has-read-what-is-there grep -aqF "end " "$T/out"
check no-request-has-timed-out [ "$(grep -ac 'does not answer\|read error' "$T/out")" = 0 ]
[ $failed = 0 ] || show

command -v gdb > /dev/null || { echo "skip broken gdb is not installed"; finish; }
debug() { timeout 100 gdb -batch -nx build/ibrik.debug.elf -ex "set pagination off" -ex "target remote $T/gdb" "$@" > "$T/gdb.out" 2>&1; }

start end -S -gdb "unix:$T/gdb,server=on,wait=off"
debug -ex 'hbreak *(long)&boot_pvh' -ex continue -ex 'set {int}($rbx + 4) = 0' -ex delete -ex continue
ended 10
check without-a-memory-map-the-kernel-says-so grep -aqF 'panic: the boot loader gave no memory map' "$T/out"
check and-leaves-as-a-panic-does [ "$status" = 35 ]
[ $failed = 0 ] || { show; tail -n 20 "$T/gdb.out"; }

# The second CPU has its start-up IPI, and then no time until the first has given it up. When it gets some, the program still runs.
start end -smp 3 -S -gdb "unix:$T/gdb,server=on,wait=off"
debug -ex 'hbreak *0x8000' -ex continue -ex 'info threads' -ex delete -ex 'set scheduler-locking on' -ex 'thread 1' -ex 'hbreak launcher_run' -ex continue \
	-ex delete -ex 'set scheduler-locking off' -ex continue
ended 20
check the-late-cpu-is-given-up grep -aqF 'CPU 1 (APIC 1) does not start' "$T/out"
check nobody-is-started-behind-it grep -aqE '\] 1 CPUs' "$T/out"
check it-disturbs-nobody-when-it-comes [ "$status,$(grep -ac '^end 0' "$T/out")" = 0,1 ]
[ $failed = 0 ] || { show; tail -n 20 "$T/gdb.out"; }
finish
