/*
 * bench/net/peer.c - the other end of the network card: peer.h says what it does for the guest.
 *
 * Interface: peer [-t SECONDS]     serves PEER_PORT of PEER_ADDRESS, TCP and UDP, for that time (3600) at most; prints `ready`
 * Errors: one line and status 1 if the port cannot be had. A connection that breaks the protocol is closed.
 */
#define _GNU_SOURCE
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void echo(int fd)
{
	char bytes[2048];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			return;
}

static void discard(int fd)
{
	char *bytes = malloc(PEER_CHUNK), done = 1;
	ssize_t n;

	while (bytes && (n = read(fd, bytes, PEER_CHUNK)) > 0)
		;
	if (bytes && n == 0 && write(fd, &done, 1) != 1)
		perror("peer: write");
	free(bytes);
}

static void generate(int fd)
{
	char *bytes = calloc(1, PEER_CHUNK);
	uint64_t left;

	if (bytes && recv(fd, &left, sizeof(left), MSG_WAITALL) == sizeof(left)) {
		while (left) {
			ssize_t n = write(fd, bytes, left < PEER_CHUNK ? left : PEER_CHUNK);

			if (n <= 0)
				break;
			left -= (uint64_t)n;
		}
	}
	free(bytes);
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg, on = 1;
	char what;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (read(fd, &what, 1) == 1) {
		if (what == PEER_ECHO)
			echo(fd);
		else if (what == PEER_DISCARD)
			discard(fd);
		else if (what == PEER_GENERATE)
			generate(fd);
	}
	close(fd);
	return NULL;
}

static void *datagrams(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct sockaddr_in from;
	char bytes[2048];

	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len);

		if (n >= 0)
			sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
	return NULL;
}

static int open_port(int type)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PEER_PORT) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	inet_pton(AF_INET, PEER_ADDRESS, &at.sin_addr);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    (type == SOCK_STREAM && listen(fd, 128))) {
		fprintf(stderr, "peer: cannot serve %s:%d: %s\n", PEER_ADDRESS, PEER_PORT, strerror(errno));
		exit(1);
	}
	return fd;
}

static void thread_start(void *(*run)(void *), int fd)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, (void *)(intptr_t)fd)) {
		fprintf(stderr, "peer: no thread for a connection\n");
		close(fd);
		return;
	}
	pthread_detach(thread);
}

int main(int argc, char **argv)
{
	unsigned seconds = 3600;
	int tcp;

	if (argc == 3 && !strcmp(argv[1], "-t")) {
		seconds = (unsigned)atoi(argv[2]);
	} else if (argc != 1) {
		fprintf(stderr, "usage: peer [-t SECONDS]\n");
		return 1;
	}
	alarm(seconds);
	tcp = open_port(SOCK_STREAM);
	thread_start(datagrams, open_port(SOCK_DGRAM));
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd = accept4(tcp, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			thread_start(serve, fd);
	}
}
