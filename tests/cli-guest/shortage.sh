#!/bin/bash
# Who waits when an allocation fails (kernel option mm.fail) gets what it waits for, or an error: nobody waits for ever.
. "$(dirname "$0")/../cli/fake/lib.sh"
guest() { run_ibrik run --accel tcg -m 128M "$@"; }

# shift_to(n): of a round, which ends with the allocation that fails, n are used up. A write of more than 256 bytes from a wrong
# address to standard output is one of them: EFAULT, or ENOMEM if it was the last.
cat > "$T/shift.h" <<'END_C'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile wrong = (void *)8;

static int one_allocation(void)
{
	return write(1, wrong, 300) < 0 && errno == ENOMEM;
}

static void shift_to(int n)
{
	for (int i = 0; i < 100 && !one_allocation(); i++)
		;
	while (n-- > 0)
		one_allocation();
}
END_C

# The first look at standard input takes memory for what the host sends.
cat > "$T/input.c" <<'END_C'
#include "shift.h"

int main(int argc, char **argv)
{
	char buf[64];
	ssize_t n;

	if (argc != 2 || read(0, buf, 0))
		return 2;
	shift_to(atoi(argv[1]));
	while ((n = read(0, buf, sizeof(buf))) < 0 && errno == ENOMEM)
		;
	return n > 0 && write(1, buf, (size_t)n) == n ? 0 : 1;
}
END_C
gcc -D_GNU_SOURCE -O1 -static -o "$T/input" "$T/input.c" || exit 1
echo hello > "$T/hello"
check input-on-linux [ "$("$T/input" 17 < "$T/hello")" = hello ]
for n in 16 17 18; do
	INPUT=$T/hello guest --kernel-opts mm.fail=19 --exec "$T/input" -- $n
	check "input-is-read-though-allocation-$((19 - n))-of-the-read-failed" [ "$status,$out" = 0,hello ]
done
finish
