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
#include <sys/inotify.h>
#include <sys/stat.h>
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

# Each change of a watched directory is told: by its own event, or by the one that says that some were lost.
cat > "$T/watch.c" <<'END_C'
#include "shift.h"

int main(void)
{
	static char buf[8192] __attribute__((aligned(8)));
	char dir[] = "/tmp/watch-XXXXXX", name[64];
	int in = -1, wd = -1, lost = 0, overflows = 0;

	while (!mkdtemp(dir))
		if (errno != ENOMEM)
			return 2;
	while (in < 0)
		if ((in = inotify_init1(IN_NONBLOCK)) < 0 && errno != ENOMEM)
			return 2;
	while (wd < 0)
		if ((wd = inotify_add_watch(in, dir, IN_CREATE)) < 0 && errno != ENOMEM)
			return 2;
	for (int i = 0; i < 38; i++) {
		ssize_t n;

		snprintf(name, sizeof(name), "%s/%d", dir, i);
		shift_to(i % 19);
		while (mkdir(name, 0755))
			if (errno != ENOMEM)
				return perror("mkdir"), 2;
		n = read(in, buf, sizeof(buf));
		if (n < (ssize_t)sizeof(struct inotify_event))
			lost++;
		for (char *at = buf; at < buf + n;) {
			struct inotify_event *e = (void *)at;

			if (e->mask & IN_Q_OVERFLOW)
				overflows += e->wd == -1;
			at += sizeof(*e) + e->len;
		}
	}
	for (int i = 0; i < 38; i++) {
		snprintf(name, sizeof(name), "%s/%d", dir, i);
		rmdir(name);
	}
	rmdir(dir);
	printf("%s %s\n", lost ? "lost" : "told", overflows ? "overflow" : "all");
	return 0;
}
END_C
gcc -D_GNU_SOURCE -O1 -static -o "$T/watch" "$T/watch.c" || exit 1
check changes-on-linux [ "$("$T/watch" | cat)" = "told all" ]
guest --exec "$T/watch"
check changes-with-memory [ "$status,$out" = "0,told all" ]
guest --kernel-opts mm.fail=19 --exec "$T/watch"
check changes-are-told-though-allocations-fail [ "$status,$out" = "0,told overflow" ]
finish
