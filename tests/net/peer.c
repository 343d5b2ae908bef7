/*
 * tests/net/peer.c - both ends of the transfers by which links are tried: the same program on the host and in the guest.
 *
 * serve                        answers at port 7000 (TCP) and 7001 (UDP: echo), IPv4 and IPv6, until it is told to quit; then status 0
 * put|get ADDR BYTES SEED      moves bytes to or from it; prints "same SECONDS" when the SHA-256 of what arrived is that of what was sent
 * echo ADDR BYTES              a datagram there and back, asked again when nothing comes; prints "same TRIES"
 * alive ADDR COUNT             short exchanges on a connection each; prints "COUNT MILLISECONDS" of those that succeeded and of the slowest
 * memory ADDR                  prints how many KiB of memory are available there
 * share ADDR MILLISECONDS      prints how many per cent of the memory that the network may keep it keeps there, at most in that time
 * quit ADDR
 *
 * Protocol: a request is a line of REQUEST_BYTES: verb, number of bytes, seed. put: the bytes and their digest follow, "y" or "n" comes back.
 * get: they come back. memory, share: a number comes back.
 * Errors: one line, and status 1. Nothing waits longer than IDLE_SECONDS for the other side.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"

#define PORT_TCP "7000"
#define PORT_UDP "7001"
#define REQUEST_BYTES 24
#define REQUEST_FORMAT "%c %012llu %08x\n"
#define IDLE_SECONDS 30
#define ALIVE_SECONDS 4

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- moving bytes ------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const void *data, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t w = send(fd, (const char *)data + done, n - done, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		done += (size_t)w;
	}
	return true;
}

static bool read_all(int fd, void *data, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = recv(fd, (char *)data + done, n - done, 0);

		if (r == 0)
			errno = ECONNRESET;
		if (r <= 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

/* The bytes of a seed, and their digest. */
static bool bytes_send(int fd, uint64_t n, uint32_t seed)
{
	uint64_t *block = malloc(BLOCK), state = seed + 1ull;
	uint8_t digest[DIGEST_BYTES];
	struct sha sha;
	bool ok = block != NULL;

	sha_start(&sha);
	while (ok && n) {
		size_t step = n < BLOCK ? (size_t)n : BLOCK;

		block_fill(&state, block);
		sha_add(&sha, (uint8_t *)block, step);
		ok = write_all(fd, block, step);
		n -= step;
	}
	sha_end(&sha, digest);
	free(block);
	return ok && write_all(fd, digest, sizeof(digest));
}

static bool bytes_receive(int fd, uint64_t n, bool *same)
{
	uint8_t digest[DIGEST_BYTES], wanted[DIGEST_BYTES], *block = malloc(BLOCK);
	struct sha sha;
	bool ok = block != NULL;

	sha_start(&sha);
	while (ok && n) {
		ssize_t r = recv(fd, block, n < BLOCK ? (size_t)n : BLOCK, 0);

		if (r == 0)
			errno = ECONNRESET;
		ok = r > 0;
		if (!ok)
			break;
		sha_add(&sha, block, (size_t)r);
		n -= (uint64_t)r;
	}
	sha_end(&sha, digest);
	free(block);
	ok = ok && read_all(fd, wanted, sizeof(wanted));
	*same = ok && !memcmp(digest, wanted, sizeof(digest));
	return ok;
}

static unsigned idle_seconds = IDLE_SECONDS;

static void timeouts_set(int fd)
{
	struct timeval tv = { .tv_sec = idle_seconds };
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* --- the side that serves -------------------------------------------------------------------------------------------- */

/* The numbers of the line of that form; false: there is none. */
static bool line_find(const char *file, const char *form, long *a, long *b)
{
	FILE *f = fopen(file, "r");
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, form, a, b) > 0;
	if (f)
		fclose(f);
	return found;
}

static long memory_available(void)
{
	long kb, none;

	return line_find("/proc/meminfo", "MemAvailable: %ld", &kb, &none) ? kb : -1;
}

static long network_share(double seconds)
{
	double until = now() + seconds;
	long limit, kept, most = -1;

	do {
		if (line_find("/proc/ibrik/net", "memory limit=%ld kept=%ld", &limit, &kept) && kept * 100 / limit > most)
			most = kept * 100 / limit;
		usleep(20000);
	} while (now() < until);
	return most;
}

static void *conversation(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char text[REQUEST_BYTES + 1] = "", verb;
	unsigned long long n;
	unsigned seed;
	bool same;

	if (read_all(fd, text, REQUEST_BYTES) && sscanf(text, "%c %llu %x", &verb, &n, &seed) == 3) {
		long number = verb == 'm' ? memory_available() : verb == 's' ? network_share((double)n / 1000) : 0;

		if (verb == 'p' && bytes_receive(fd, n, &same))
			write_all(fd, same ? "y" : "n", 1);
		else if (verb == 'g')
			bytes_send(fd, n, seed);
		else if (verb == 'm' || verb == 's')
			write_all(fd, text, (size_t)snprintf(text, sizeof(text), "%ld\n", number));
		else if (verb == 'q')
			exit(0);
	}
	close(fd);
	return NULL;
}

static void *echo(void *arg)
{
	static char data[65536];
	int fd = (int)(intptr_t)arg;

	for (;;) {
		struct sockaddr_in6 from;
		socklen_t n = sizeof(from);
		ssize_t got = recvfrom(fd, data, sizeof(data), 0, (void *)&from, &n);

		if (got >= 0)
			sendto(fd, data, (size_t)got, 0, (void *)&from, n);
	}
	return NULL;
}

static int serve(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT, .sin6_port = htons(atoi(PORT_TCP)) };
	int l = socket(AF_INET6, SOCK_STREAM, 0), d = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;
	pthread_attr_t detached;
	pthread_t t;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(l, (void *)&any, sizeof(any)) || listen(l, 128)) {
		perror("serve");
		return 1;
	}
	any.sin6_port = htons(atoi(PORT_UDP));
	if (bind(d, (void *)&any, sizeof(any))) {
		perror("serve");
		return 1;
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&detached, 65536);
	pthread_create(&t, &detached, echo, (void *)(intptr_t)d);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int fd = accept(l, NULL, NULL);

		if (fd < 0) {
			usleep(10000);
			continue;
		}
		timeouts_set(fd);
		if (pthread_create(&t, &detached, conversation, (void *)(intptr_t)fd))
			close(fd);
	}
}

/* --- the side that asks ------------------------------------------------------------------------------------------------- */

static int reach(const char *host, const char *port, int type)
{
	struct addrinfo hints = { .ai_socktype = type, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *a;
	int fd;

	if (getaddrinfo(host, port, &hints, &a)) {
		errno = EINVAL;
		return -1;
	}
	fd = socket(a->ai_family, type | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		timeouts_set(fd);
		if (connect(fd, a->ai_addr, a->ai_addrlen)) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(a);
	return fd;
}

static int asked(const char *host, char verb, unsigned long long n, unsigned seed)
{
	char text[REQUEST_BYTES + 1];
	int fd = reach(host, PORT_TCP, SOCK_STREAM);

	snprintf(text, sizeof(text), REQUEST_FORMAT, verb, n, seed);
	if (fd >= 0 && !write_all(fd, text, REQUEST_BYTES)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int failed(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static int transfer(const char *host, bool put, uint64_t n, uint32_t seed)
{
	double start = now();
	int fd = asked(host, put ? 'p' : 'g', n, seed);
	bool ok, same = false;
	char answer;

	if (fd < 0)
		return failed("connect");
	if (put) {
		ok = bytes_send(fd, n, seed) && read_all(fd, &answer, 1);
		same = ok && answer == 'y';
	} else {
		ok = bytes_receive(fd, n, &same);
	}
	if (!ok)
		return failed("transfer");
	printf("%s %.2f\n", same ? "same" : "different", now() - start);
	close(fd);
	return !same;
}

static int echoed(const char *host, size_t n)
{
	static char out[65536], in[65536];
	int fd = reach(host, PORT_UDP, SOCK_DGRAM);

	if (fd < 0 || n > sizeof(out))
		return failed("connect");
	for (unsigned tries = 1; tries <= 100; tries++) {
		struct pollfd p = { fd, POLLIN, 0 };

		for (size_t i = 0; i < n; i++)
			out[i] = (char)(i * 2654435761u >> 11 ^ tries);
		if (send(fd, out, n, 0) < 0 && errno != ECONNREFUSED)
			return failed("send");
		while (poll(&p, 1, 1000) == 1) {
			ssize_t got = recv(fd, in, sizeof(in), 0);

			if (got == (ssize_t)n && !memcmp(in, out, n)) {
				printf("same %u\n", tries);
				return 0;
			}
		}
	}
	puts("nothing came back");
	return 1;
}

static int alive(const char *host, unsigned count)
{
	double slowest = 0;
	unsigned good = 0;

	idle_seconds = ALIVE_SECONDS;
	/* Who does not answer three times is not asked for ever. */
	for (unsigned i = 0; i < count && i < good + 3; i++) {
		double start = now();
		int fd = asked(host, 'g', 100, i);
		bool same = false;

		good += fd >= 0 && bytes_receive(fd, 100, &same) && same;
		if (fd >= 0)
			close(fd);
		slowest = now() - start > slowest ? now() - start : slowest;
		usleep(20000);
	}
	printf("%u %.0f\n", good, slowest * 1000);
	return good != count;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *host = argc > 2 ? argv[2] : "";
	char text[32] = "";
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sha_setup();
	if (!strcmp(what, "serve"))
		return serve();
	if (argc == 5 && (!strcmp(what, "put") || !strcmp(what, "get")))
		return transfer(host, *what == 'p', strtoull(argv[3], NULL, 10), (uint32_t)strtoul(argv[4], NULL, 10));
	if (argc == 4 && !strcmp(what, "echo"))
		return echoed(host, strtoul(argv[3], NULL, 10));
	if (argc == 4 && !strcmp(what, "alive"))
		return alive(host, (unsigned)strtoul(argv[3], NULL, 10));
	if ((argc == 3 && (!strcmp(what, "memory") || !strcmp(what, "quit"))) || (argc == 4 && !strcmp(what, "share"))) {
		fd = asked(host, *what, argc > 3 ? strtoull(argv[3], NULL, 10) : 0, 0);
		if (fd < 0)
			return failed("connect");
		if (*what != 'q' && recv(fd, text, sizeof(text) - 1, MSG_WAITALL) > 0)
			fputs(text, stdout);
		return 0;
	}
	fprintf(stderr, "usage: peer serve | put|get ADDR BYTES SEED | echo ADDR BYTES | alive ADDR COUNT | memory|quit ADDR | share ADDR MILLISECONDS\n");
	return 2;
}
