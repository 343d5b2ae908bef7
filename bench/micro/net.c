/*
 * bench/micro/net.c - the operations of the suite net: round trips and bulk, over loopback and over the network card, whose other
 * end is ../net/peer.c on the machine.
 *
 * Round trips are of one byte, with TCP_NODELAY. Of bulk an operation is a MiB, written or read 64 KiB at a time; it has arrived
 * when the other side says so. Over loopback the other side is a second thread, on the same CPU or another.
 */
#define _GNU_SOURCE
#include "micro.h"
#include "../net/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static int ours = -1, theirs = -1; /* ends of the pair that is measured */
static char *chunk;                /* PEER_CHUNK bytes */

static long nodelay(int fd)
{
	int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ? -errno : 0;
}

static long close_with(int fd, long error)
{
	close(fd);
	return error;
}

static struct sockaddr_in address(const char *text, int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, text, &at.sin_addr);
	return at;
}

/* A descriptor, or a negative errno. */
static long connected(int type, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		return close_with(fd, -errno);
	if (type == SOCK_STREAM && nodelay(fd))
		return close_with(fd, -errno);
	return fd;
}

static void pair_close(void)
{
	if (ours >= 0)
		close(ours);
	if (theirs >= 0)
		close(theirs);
	ours = theirs = -1;
}

/* Listens at a port of the kernel's choice, whose address is written to *at. */
static long listening(int type, struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	*at = address("127.0.0.1", 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)at, sizeof(*at)) || getsockname(fd, (struct sockaddr *)at, &len) ||
	    (type == SOCK_STREAM && listen(fd, 16)))
		return close_with(fd, -errno);
	return fd;
}

static long tcp_pair(void)
{
	struct sockaddr_in at;
	long listener = listening(SOCK_STREAM, &at), fd;

	if (listener < 0)
		return listener;
	fd = connected(SOCK_STREAM, &at);
	if (fd < 0)
		return close_with((int)listener, fd);
	ours = (int)fd;
	theirs = accept4((int)listener, NULL, NULL, SOCK_CLOEXEC);
	if (theirs < 0 || nodelay(theirs))
		return close_with((int)listener, -errno);
	return close_with((int)listener, 0);
}

static long udp_pair(void)
{
	struct sockaddr_in at, from;
	socklen_t len = sizeof(from);
	long fd = listening(SOCK_DGRAM, &at);

	if (fd < 0)
		return fd;
	theirs = (int)fd;
	fd = connected(SOCK_DGRAM, &at);
	if (fd < 0)
		return fd;
	ours = (int)fd;
	if (getsockname(ours, (struct sockaddr *)&from, &len) || connect(theirs, (struct sockaddr *)&from, len))
		return -errno;
	return 0;
}

static long ping(unsigned long count)
{
	char byte = 1;

	while (count--)
		if (send(ours, &byte, 1, 0) != 1 || recv(ours, &byte, 1, 0) != 1)
			return -EIO;
	return 0;
}

static long pong(unsigned long count)
{
	char byte;

	while (count--)
		if (recv(theirs, &byte, 1, 0) != 1 || send(theirs, &byte, 1, 0) != 1)
			return -EIO;
	return 0;
}

/* The descriptors of a failed attempt are closed, too. */
static long loopback(long (*make)(void), long (*us)(unsigned long), long (*them)(unsigned long), unsigned long count, int cpu)
{
	long error = make();

	if (!error)
		error = pair_run(us, them, count, cpu);
	pair_close();
	return error;
}

static long tcp_same(unsigned long count) { return loopback(tcp_pair, ping, pong, count, 0); }
static long tcp_two(unsigned long count) { return loopback(tcp_pair, ping, pong, count, 1); }
static long udp_same(unsigned long count) { return loopback(udp_pair, ping, pong, count, 0); }
static long udp_two(unsigned long count) { return loopback(udp_pair, ping, pong, count, 1); }

static long chunk_make(void)
{
	static char bytes[PEER_CHUNK] = { 1 };

	chunk = bytes;
	return 0;
}

static long mibs_out(int fd, unsigned long mibs)
{
	for (unsigned long left = mibs * MIB; left;) {
		ssize_t n = send(fd, chunk, left < PEER_CHUNK ? left : PEER_CHUNK, 0);

		if (n <= 0)
			return n ? -errno : -EIO;
		left -= (unsigned long)n;
	}
	return 0;
}

/* Reads into memory of its own: both threads of a pair run at once. */
static long mibs_in(int fd, unsigned long mibs)
{
	static char bytes[PEER_CHUNK];

	for (unsigned long left = mibs * MIB; left;) {
		ssize_t n = recv(fd, bytes, left < PEER_CHUNK ? left : PEER_CHUNK, 0);

		if (n <= 0)
			return n ? -errno : -EIO;
		left -= (unsigned long)n;
	}
	return 0;
}

static long bulk_us(unsigned long count) { return mibs_out(ours, count); }
static long bulk_them(unsigned long count) { return mibs_in(theirs, count); }
static long bulk_same(unsigned long count) { return chunk_make() ?: loopback(tcp_pair, bulk_us, bulk_them, count, 0); }
static long bulk_two(unsigned long count) { return chunk_make() ?: loopback(tcp_pair, bulk_us, bulk_them, count, 1); }

static long tcp_connect_close(unsigned long count)
{
	struct sockaddr_in at;
	long listener = listening(SOCK_STREAM, &at), error = 0;

	if (listener < 0)
		return listener;
	while (count-- && !error) {
		long fd = connected(SOCK_STREAM, &at);
		int peer = fd < 0 ? -1 : accept4((int)listener, NULL, NULL, SOCK_CLOEXEC);
		struct linger reset = { 1, 0 };

		error = fd < 0 ? fd : peer < 0 ? -errno : 0;
		if (!error)
			setsockopt((int)fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* no port waits */
		if (fd >= 0)
			close((int)fd);
		if (peer >= 0)
			close(peer);
	}
	return close_with((int)listener, error);
}

static long nic_connect(int type, char what)
{
	struct sockaddr_in at = address(PEER_ADDRESS, PEER_PORT);
	long fd = connected(type, &at);

	if (fd < 0)
		return fd;
	ours = (int)fd;
	if (type == SOCK_STREAM && send(ours, &what, 1, 0) != 1)
		return -errno;
	return 0;
}

static long nic_tcp(unsigned long count)
{
	long error = nic_connect(SOCK_STREAM, PEER_ECHO);

	if (!error)
		error = ping(count);
	pair_close();
	return error;
}

static long nic_udp(unsigned long count)
{
	struct timeval patience = { 2, 0 }; /* a datagram may be lost */
	long error = nic_connect(SOCK_DGRAM, 0);

	if (!error)
		error = setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ? -errno : ping(count);
	pair_close();
	return error;
}

static long nic_out(unsigned long count)
{
	long error = chunk_make() ?: nic_connect(SOCK_STREAM, PEER_DISCARD);
	char done;

	if (!error)
		error = mibs_out(ours, count);
	if (!error && (shutdown(ours, SHUT_WR) || recv(ours, &done, 1, 0) != 1))
		error = -EIO;
	pair_close();
	return error;
}

static long nic_in(unsigned long count)
{
	uint64_t bytes = count * MIB;
	long error = nic_connect(SOCK_STREAM, PEER_GENERATE);

	if (!error && send(ours, &bytes, sizeof(bytes), 0) != sizeof(bytes))
		error = -errno;
	if (!error)
		error = mibs_in(ours, count);
	pair_close();
	return error;
}

#define OP(name, run, cpus) { "net", name, run, 1, cpus }

const struct operation net_operations[] = {
	OP("tcp-round-trip-same-cpu", tcp_same, 1),
	OP("tcp-round-trip-two-cpus", tcp_two, 2),
	OP("udp-round-trip-same-cpu", udp_same, 1),
	OP("udp-round-trip-two-cpus", udp_two, 2),
	OP("tcp-connect-accept-close", tcp_connect_close, 1),
	OP("tcp-MiB-same-cpu", bulk_same, 1),
	OP("tcp-MiB-two-cpus", bulk_two, 2),
	OP("card-tcp-round-trip", nic_tcp, 1),
	OP("card-udp-round-trip", nic_udp, 1),
	OP("card-tcp-MiB-out", nic_out, 1),
	OP("card-tcp-MiB-in", nic_in, 1),
	{ 0 },
};
