/*
 * tests/guest/tcp.h - connections over loopback: what the topics of TCP share.
 *
 * Interface: stream() makes a socket, close_reset() ends a connection without a trace, drain() reads that many bytes.
 */
#ifndef TESTS_GUEST_TCP_H
#define TESTS_GUEST_TCP_H

#include "net.h"
#include <linux/tcp.h>

#define MS 1000000ll

static inline int stream(void) { return CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

/* Resets instead of TIME_WAIT, which would keep the port for a minute. */
static inline void close_reset(int fd)
{
	struct linger l = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

static inline size_t drain(int fd, size_t want)
{
	char buf[8192];
	size_t sum = 0;

	while (sum < want) {
		ssize_t n = read(fd, buf, want - sum < sizeof(buf) ? want - sum : sizeof(buf));

		CHECK_MSG(n > 0, "read %zd after %zu of %zu", n, sum, want);
		sum += n;
	}
	return sum;
}

#endif
