#!/bin/bash
# What helps to find a fault: panic reports, kernel options of an image, the tracer, and `ibrik run --debug`, whose command
# attaches gdb with symbols of the kernel and of the application.
. "$(dirname "$0")/../cli/fake/lib.sh"

cat > "$T/calls.c" <<'END'
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
	struct stat st;

	kill(getpid(), SIGURG);
	fcntl(0, F_GETFL);
	madvise((void *)-4096l, 4096, MADV_DONTNEED);
	access("/a/path/that/is/longer/than/thirty-two/characters", R_OK | W_OK);
	return fstatat(AT_FDCWD, "/tmp", &st, AT_SYMLINK_NOFOLLOW);
}
END
gcc -o "$T/calls" "$T/calls.c" || exit 1
guest() { run_ibrik run --accel tcg -m 128M "$@"; }
# The last run wrote a line to standard error: said CASE PATTERN
said() { check "$1" grep -qE -- "$2" "$T/err"; }

for kind in write text stack assert; do
	guest --kernel-opts panic.test=$kind --exec "$T/calls"
	check "panic-$kind-is-125" [ "$status" = 125 ]
	check "panic-$kind-is-reported-once" [ "$(grep -c '^ibrik: panic:' "$T/err")" = 1 ]
	said "panic-$kind-names-the-thread" 'cpu [0-9]+, thread 0 "init", ibrik'
	said "panic-$kind-has-a-backtrace" '  0xffffffff8[0-9a-f]+ kernel_init_thread\+'
	check "panic-$kind-is-not-in-its-own-backtrace" [ "$(grep -cE '0x[0-9a-f]+ (panic|report)' "$T/err")" = 0 ]
	said "panic-$kind-ends-with-the-log" '\| 6\[.*command line: .*panic.test='
done
guest --kernel-opts "panic.test=stack" --exec "$T/calls"
said a-stack-overflow-shows-all-registers 'r9  [0-9a-f]{16} r10 [0-9a-f]{16} r11 [0-9a-f]{16} r12 '

"$IBRIK" build --kernel-opts "boot.trace trace=syscalls" --exec "$T/calls" -o "$T/calls.img" || not_ok build
guest "$T/calls.img"
check traced-program-ends-as-ever [ "$status" = 0 ]
said the-time-line-of-an-image-begins-with-memory '^ibrik: boot: +[0-9]+ us \(\+[0-9]+\) memory, tables, clock'
said the-time-line-ends-with-exec '^ibrik: boot: .*/calls$'
said trace-signals '\] kill\(1, SIGURG\) = 0 <'
said trace-commands '\] fcntl\(0, F_GETFL, '
said trace-advice-and-errors 'MADV_DONTNEED\) = -1 (ENOMEM|EINVAL) <'
said trace-paths-and-modes 'access\("/a/path/that/is/longer/than/thirty-two/characters", R_OK\|W_OK\) = -1 ENOENT <'
said trace-flags 'newfstatat\(AT_FDCWD, "/tmp", 0x[0-9a-f]+, AT_SYMLINK_NOFOLLOW\) = 0 <'
"$IBRIK" build --kernel-opts "cpus=1" --exec "$T/calls" -o "$T/late.img" || not_ok build
guest "$T/late.img"
says an-option-that-comes-too-late 0 "kernel option cpus=1 comes too late in an image"
guest --kernel-opts "log.level=3" --exec "$T/calls"
says an-unknown-option 0 "unknown kernel option log.level=3"
guest --kernel-opts "trace=nonsense" --exec "$T/calls"
says an-unknown-trace 0 "option trace=nonsense: syscalls[:PID] and net are known"
run_ibrik run --accel tcg -m 8M --exec "$T/calls"
says eight-megabytes-are-too-little 125 "too little memory"
guest -w /nowhere --exec "$T/calls"
says a-missing-working-directory 125 "the working directory /nowhere is not in the image"

command -v gdb > /dev/null || { echo "skip debug gdb is not installed"; finish; }
cat > "$T/loop.c" <<'END'
#include <unistd.h>
static long spin_here(void) { for (long n = 0;; n += lseek(99, 0, SEEK_CUR)) usleep(1000); }
int main(void) { return (int)spin_here(); }
END
gcc -g -O0 -o "$T/loop" "$T/loop.c" || exit 1
timeout 150 "$IBRIK" run --accel tcg -m 128M --debug --stop-timeout 0 --exec "$T/loop" > "$T/out" 2> "$T/err" < /dev/null &
pid=$!
for _ in $(seq 1000); do grep -q '^ibrik: in gdb' "$T/err" && break; sleep 0.1; done
attach=$(grep '^gdb ' "$T/err")
check prints-the-command [ -n "$attach" ]
eval "timeout 120 $attach -batch -ex 'hbreak launcher_run' -ex continue -ex backtrace -ex 'delete' -ex 'tbreak sys_clock_nanosleep' \
	-ex continue -ex ibrik-symbols -ex 'info line spin_here' \
	-ex 'break sys_lseek' -ex 'ignore 3 20' -ex continue -ex 'echo in the handler\n' -ex bt \
	-ex delete -ex 'tbreak lseek' -ex continue -ex 'stepi 3' -ex 'echo in the stub\n' -ex 'x/i \$rip' -ex bt -ex kill" > "$T/gdb" 2>&1
check symbols-of-the-kernel grep -q 'launcher_run () at jvm/launcher.c' "$T/gdb"
check symbols-of-the-application grep -q 'Line 2 of "'"$T"'/loop.c"' "$T/gdb"
check symbols-of-its-libraries grep -q '^ibrik: /usr/lib/x86_64-linux-gnu/libc.so.6 at 0x' "$T/gdb"
# The call has been replaced by a jump by then: docs/syscalls.md.
check backtrace-from-a-handler-into-the-application grep -q '^#[0-9].* in main ()' <(sed -n '/^in the handler/,/^in the stub/p' "$T/gdb")
check the-stub-is-reached grep -Eq 'jmp +\*' <(sed -n '/^in the stub/,$p' "$T/gdb")
check backtrace-through-a-stub grep -q '^#[0-9].* in main ()' <(sed -n '/^in the stub/,$p' "$T/gdb")
kill $pid 2> /dev/null
wait $pid
finish
