/*
 * bench/net/first.c - waits for a server's first answer.
 *
 * Interface: first ADDRESS PORT START_NS SECONDS     asks for /hello until `HTTP/1.1 200` comes; prints the milliseconds since START_NS (of
 *                                                    CLOCK_REALTIME, as `date +%s%N` says)
 * An attempt that has no answer is given up soon, since what is sent to a guest that does not listen yet is lost.
 * Errors: status 1 and a line if none comes within SECONDS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_MS 20
#define ANSWER_MS 5000
#define PAUSE_NS 20000000 /* more questions would keep a guest of one CPU from starting */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int ready(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) == 1;
}

static int asked_well(const struct sockaddr_in *to)
{
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n", wanted[] = "HTTP/1.1 200";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0, good = 0;
	socklen_t len = sizeof(error);
	char answer[64];
	size_t n = 0;

	if (fd < 0)
		return 0;
	if ((!connect(fd, (const struct sockaddr *)to, sizeof(*to)) || errno == EINPROGRESS) && ready(fd, POLLOUT, CONNECT_MS) &&
	    !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) && !error && send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0) {
		while (n < sizeof(wanted) - 1 && ready(fd, POLLIN, ANSWER_MS)) {
			ssize_t got = recv(fd, answer + n, sizeof(answer) - n, 0);

			if (got <= 0)
				break;
			n += (size_t)got;
		}
		good = n >= sizeof(wanted) - 1 && !memcmp(answer, wanted, sizeof(wanted) - 1);
	}
	close(fd);
	return good;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const struct timespec pause = { 0, PAUSE_NS };
	uint64_t start, seconds;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: first ADDRESS PORT START_NS SECONDS\n");
		return 1;
	}
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	start = strtoull(argv[3], NULL, 10);
	seconds = strtoull(argv[4], NULL, 10);
	while (!asked_well(&to)) {
		if (now_ns() - start > seconds * 1000000000u) {
			fprintf(stderr, "first: no answer within %s s\n", argv[4]);
			return 1;
		}
		nanosleep(&pause, NULL);
	}
	printf("%.1f\n", (double)(now_ns() - start) / 1e6);
	return 0;
}
