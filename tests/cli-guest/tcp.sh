#!/bin/bash
# TCP in a machine: it sleeps while its connections are idle, more bytes than its memory takes come in the end, and what cannot be reached.
. "$(dirname "$0")/../cli/fake/lib.sh"
cat > "$T/probe.c" <<'END'
/*
 * idle N: makes N connections over loopback with keep-alive, rests, and prints how often threads were switched in five seconds after that.
 * reach ADDRESS: the error of connect() to port 9 there.
 * stream FILE: writes the number of a port into FILE, and sends 2 MiB to who connects to it.
 * handshakes N: makes N connections over loopback, one after the other, each of which must come; calls that memory refuses are made again.
 * shrink PORT: reads 1 MiB from that of the host, then with a small receive buffer another, and prints how much came.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1l << 20)
#define TRIES 100 /* of a call that memory may refuse */
#define PATIENCE_MS 30000

static long switches(void)
{
	FILE *f = fopen("/proc/stat", "r");
	char line[256];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "ctxt %ld", &n);
	if (f)
		fclose(f);
	return n;
}

static int idle(int n)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	long before;

	if (bind(l, (void *)&a, len) || listen(l, 5) || getsockname(l, (void *)&a, &len))
		return 3;
	for (int i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), s;
		char c = 'x';

		if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) || connect(fd, (void *)&a, sizeof(a)))
			return 4;
		s = accept(l, NULL, NULL);
		if (s < 0 || write(fd, &c, 1) != 1 || read(s, &c, 1) != 1)
			return 5;
	}
	/* Addresses are looked for and announced at first. */
	sleep(8);
	before = switches();
	sleep(5);
	printf("%ld\n", switches() - before);
	return 0;
}

static int stream(const char *file)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), fd;
	static char bytes[2 * MIB];
	FILE *f = fopen(file, "w");

	if (!f || bind(l, (void *)&a, len) || listen(l, 5) || getsockname(l, (void *)&a, &len))
		return 3;
	fprintf(f, "%d\n", ntohs(a.sin_port));
	fclose(f);
	fd = accept(l, NULL, NULL);
	return send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) != sizeof(bytes);
}

static long take(int fd, long want)
{
	char bytes[8192];
	long sum = 0;

	while (sum < want) {
		ssize_t n = recv(fd, bytes, want - sum < (long)sizeof(bytes) ? (size_t)(want - sum) : sizeof(bytes), 0);

		if (n <= 0)
			break;
		sum += n;
	}
	return sum;
}

static int shrink(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x0a000202) };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), size = 16384;
	long sum;

	if (connect(fd, (void *)&a, sizeof(a)) || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return 4;
	sum = take(fd, MIB);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)))
		return 5;
	printf("%ld\n", sum + take(fd, MIB));
	return 0;
}

/* A socket that listens at a port of its own, or -1. */
static int listener(struct sockaddr_in *a)
{
	for (int i = 0; i < TRIES; i++) {
		socklen_t len = sizeof(*a);
		int l = socket(AF_INET, SOCK_STREAM, 0);

		*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		if (l >= 0 && !bind(l, (void *)a, len) && !listen(l, 5) && !getsockname(l, (void *)a, &len))
			return l;
		close(l);
	}
	return -1;
}

static int connection(const struct sockaddr_in *to)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd >= 0 && !connect(fd, (const void *)to, sizeof(*to)))
			return fd;
		close(fd);
	}
	return -1;
}

/* The other end of the connection whose own port is `port`, or -1 if it does not come. */
static int accepted(int l, in_port_t port)
{
	for (int i = 0; i < TRIES; i++) {
		struct pollfd p = { .fd = l, .events = POLLIN };
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		int fd;

		if (poll(&p, 1, PATIENCE_MS) == 0)
			return -1;
		fd = p.revents ? accept(l, (void *)&peer, &len) : -1;
		if (fd >= 0 && peer.sin_port == port)
			return fd;
		close(fd);
	}
	return -1;
}

static int handshakes(int n)
{
	struct sockaddr_in a, own;
	int l = listener(&a);

	if (l < 0)
		return 3;
	for (int i = 0; i < n; i++) {
		socklen_t len = sizeof(own);
		int fd = connection(&a), s;

		if (fd < 0 || getsockname(fd, (void *)&own, &len))
			return 4;
		s = accepted(l, own.sin_port);
		if (s < 0) {
			printf("%d did not come\n", i);
			return 5;
		}
		close(s);
		close(fd);
	}
	puts("all");
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9) };

	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "idle"))
		return idle(atoi(argv[2]));
	if (!strcmp(argv[1], "stream"))
		return stream(argv[2]);
	if (!strcmp(argv[1], "handshakes"))
		return handshakes(atoi(argv[2]));
	if (!strcmp(argv[1], "shrink"))
		return shrink(atoi(argv[2]));
	inet_aton(argv[2], &a.sin_addr);
	printf("%s\n", connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, sizeof(a)) ? strerrorname_np(errno) : "connected");
	return 0;
}
END
gcc -D_GNU_SOURCE -O1 -Wall -Wextra -static -o "$T/probe" "$T/probe.c" || exit 1
gcc -std=gnu11 -O2 -pthread -o "$T/tcp_many" tests/guest/tcp_many.c || exit 1

run_ibrik run --accel tcg --cpus 1 -m 128M --exec "$T/probe" idle 20
check idle-connections-do-not-wake-the-machine [ "${out:-1000}" -lt 40 ]
[ "${out:-1000}" -lt 40 ] || echo "$out switches of threads in 5 s"
run_ibrik run --accel tcg -m 64M --exec "$T/tcp_many" 'more_than_fits*' 'memory_comes_back*'
check more-than-the-memory-takes grep -q '^ok tcp_many.more_than_fits_waits_and_comes' "$T/out"
check more-than-the-memory-takes-without-delay grep -q '^ok tcp_many.more_than_fits_without_delay_waits_and_comes' "$T/out"
check memory-of-a-small-machine-comes-back grep -q '^ok tcp_many.memory_comes_back_after_many_connections' "$T/out"
run_ibrik run --accel tcg -m 128M --network none --run "$T/probe reach 10.1.1.1" --run "$T/probe reach 127.0.0.1"
check no-card-no-way [ "$out" = "ENETUNREACH
ECONNREFUSED" ]
run_ibrik run --accel tcg -m 128M --ip 10.0.2.77/24 --exec "$T/probe" reach 192.0.2.1
check no-router-no-way [ "$out" = "ENETUNREACH" ]
# A connection that stands for its peer is never given up for want of a moment's memory. (With 17 and 19 the C library does not get to main.)
check handshakes-on-linux [ "$("$T/probe" handshakes 20)" = all ]
for n in 11 13 23; do
	run_ibrik run --accel tcg -m 128M --network none --kernel-opts mm.fail=$n --exec "$T/probe" handshakes 20
	check "each-handshake-comes-when-every-${n}th-allocation-fails" [ "$status,$out" = 0,all ]
done
# User-mode networking knows no window scaling.
timeout 100 "$T/probe" stream "$T/port" &
until [ -s "$T/port" ]; do sleep 0.1; done
run_ibrik run --accel tcg -m 128M --exec "$T/probe" shrink "$(cat "$T/port")"
check a-small-window-of-an-unscaled-connection-opens-again [ "$out" = 2097152 ]
[ "$out" = 2097152 ] || echo "$out bytes came"
finish
