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

# A blocking sender whose peer does not read: it has room, and no memory for a moment. Nothing that the peer sends will wake it.
cat > "$T/send.c" <<'END_C'
#include "shift.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>

static char bytes[65536];
static _Atomic int sender_ended;

static int pair(int fd[2], int room)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = 20 }, soon = { .tv_sec = 2 };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), r;

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	fd[1] = -1;
	r = listener < 0 || fd[0] < 0 || bind(listener, (struct sockaddr *)&a, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&a, &len) || setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) ||
	    setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) ||
	    setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) || connect(fd[0], (struct sockaddr *)&a, len) ||
	    (fd[1] = accept(listener, NULL, NULL)) < 0;
	close(listener);
	if (r) {
		close(fd[0]);
		close(fd[1]);
	}
	return r;
}

/* All of it, with or without waiting: -1 after 20 seconds. */
static int send_all(int fd, size_t len, int flags)
{
	for (int tries = 0; len;) {
		ssize_t n = send(fd, bytes, len < 8192 ? len : 8192, flags);

		if (n > 0)
			len -= (size_t)n;
		else if (errno != ENOBUFS && errno != ENOMEM && !(flags && errno == EAGAIN && tries++ < 1000))
			return -1;
		else if (flags)
			usleep(20000);
	}
	return 0;
}

/* More than two thirds of the room are taken when a segment finds no memory. */
static int refused(void)
{
	int fd[2], n;

	for (n = 0; n < 100 && pair(fd, 100000); n++)
		;
	if (n == 100 || send_all(fd[0], 230000, MSG_DONTWAIT))
		return 2;
	for (n = 14; n < 19; n++) {
		shift_to(n);
		if (send_all(fd[0], 500, 0))
			return puts("stands still"), 1;
	}
	return puts("goes on"), 0;
}

/* Does the network keep more than it may? */
static int is_short(void)
{
	unsigned long limit, kept;
	char line[1000];
	FILE *f = fopen("/proc/ibrik/net", "r");
	int yes = !f;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memory limit=%lu kept=%lu", &limit, &kept) == 2)
			yes = kept > limit;
	if (f)
		fclose(f);
	return yes;
}

/* Still when all that is under way has been acknowledged, and is kept once and not twice? */
static int stays_short(void)
{
	return is_short() && !usleep(300000) && is_short();
}

static void *sender(void *arg)
{
	long r = send_all(*(int *)arg, 165535, 0);

	sender_ended = 1;
	return (void *)r;
}

/* Others hold what the network may keep, and then give it back. */
static int is_short_for_a_while(void)
{
	int fd[2], others[400][2], n = 0;
	pthread_t t;
	void *r;

	if (pair(fd, 200000))
		return 2;
	/* While it is short for a moment, one may be refused. */
	for (int tries = 0; n < 400 && tries < 400 && !stays_short(); tries++, n++) {
		while (tries < 400 && pair(others[n], 100000))
			tries++;
		for (int i = 0; i < 8 && send(others[n][0], bytes, 8192, MSG_DONTWAIT) > 0; i++)
			;
	}
	if (pthread_create(&t, NULL, sender, fd))
		return 4;
	sleep(2);
	printf("%s, ", sender_ended ? "at once" : "waits");
	for (int i = 0; i < n; i++) {
		close(others[i][1]);
		close(others[i][0]);
	}
	pthread_join(t, &r);
	return puts(r ? "stands still" : "goes on"), 0;
}

int main(int argc, char **argv) { return argc > 1 ? is_short_for_a_while() : refused(); }
END_C
gcc -D_GNU_SOURCE -O1 -static -pthread -o "$T/send" "$T/send.c" || exit 1
check sender-on-linux [ "$("$T/send" | cat)" = "goes on" ]
check sender-with-memory-on-linux [ "$("$T/send" short)" = "at once, goes on" ]
guest --kernel-opts mm.fail=19 --exec "$T/send"
check a-sender-that-was-refused-memory-goes-on [ "$status,$out" = "0,goes on" ]
guest --exec "$T/send" -- short
check a-sender-goes-on-when-others-give-memory-back [ "$status,$out" = "0,waits, goes on" ]
finish
