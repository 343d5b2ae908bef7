#!/bin/bash
# `ibrik run --debug`: the command it prints attaches gdb, with symbols of the kernel and of the application.
. "$(dirname "$0")/../cli/fake/lib.sh"
command -v gdb > /dev/null || { echo "skip debug gdb is not installed"; exit 0; }
cat > "$T/loop.c" <<'END'
#include <unistd.h>
static void spin_here(void) { for (;;) usleep(1000); }
int main(void) { spin_here(); }
END
gcc -g -O0 -o "$T/loop" "$T/loop.c" || exit 1
timeout 150 "$IBRIK" run --accel tcg -m 128M --debug --stop-timeout 0 --exec "$T/loop" > "$T/out" 2> "$T/err" < /dev/null &
pid=$!
for _ in $(seq 1000); do grep -q '^ibrik: in gdb' "$T/err" && break; sleep 0.1; done
attach=$(grep '^gdb ' "$T/err")
check prints-the-command [ -n "$attach" ]
eval "timeout 120 $attach -batch -ex 'hbreak launcher_run' -ex continue -ex backtrace -ex 'delete' -ex 'tbreak sys_clock_nanosleep' \
	-ex continue -ex ibrik-symbols -ex 'info line spin_here' -ex kill" > "$T/gdb" 2>&1
check symbols-of-the-kernel grep -q 'launcher_run () at jvm/launcher.c' "$T/gdb"
check symbols-of-the-application grep -q 'Line 2 of "'"$T"'/loop.c"' "$T/gdb"
check symbols-of-its-libraries grep -q '^ibrik: /usr/lib/x86_64-linux-gnu/libc.so.6 at 0x' "$T/gdb"
kill $pid 2> /dev/null
wait $pid
finish
