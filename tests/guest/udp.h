/*
 * tests/guest/udp.h - datagrams: what the topics of UDP share.
 *
 * Interface:
 *   udp(), sharing(), free_port()      sockets without a name, with one that others may have too, and a port that nobody has
 *   send_to(), expect()                texts
 *   receive(), find(), number()        control messages, in the room of a `union control`
 */
#ifndef TESTS_GUEST_UDP_H
#define TESTS_GUEST_UDP_H

#include "net.h"

static inline int udp(int family) { return CHECK_OK(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

/* Bound, with SO_REUSEADDR or SO_REUSEPORT. */
static inline int sharing(int family, const char *ip, int port, int option)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, ip, port);
	int fd = udp(family);

	set_option(fd, SOL_SOCKET, option, 1);
	CHECK_OK(bind(fd, (struct sockaddr *)&a, n));
	return fd;
}

/* A port that nobody has, at least a moment ago. */
static inline int free_port(int family)
{
	int fd = bound(family, SOCK_DGRAM), port = port_of(fd);

	close(fd);
	return port;
}

static inline int send_to(int fd, int family, const char *ip, int port, const char *text)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, ip, port);

	return sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, n);
}

/* The next datagram is this one. */
static inline void expect(int fd, const char *text)
{
	char buf[64];
	ssize_t n;

	CHECK(events_of(fd, POLLIN, 5000) & POLLIN);
	n = CHECK_OK(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	CHECK_EQ(n, strlen(text));
	CHECK(!memcmp(buf, text, n));
}

union control {
	struct cmsghdr align;
	char bytes[256];
};

static inline ssize_t receive(int fd, union control *c, size_t room, struct msghdr *h, char *buf, size_t len)
{
	static __thread struct iovec iov;

	iov = (struct iovec){ buf, len };
	memset(h, 0, sizeof(*h));
	h->msg_iov = &iov;
	h->msg_iovlen = 1;
	h->msg_control = c->bytes;
	h->msg_controllen = room;
	return recvmsg(fd, h, MSG_DONTWAIT);
}

static inline struct cmsghdr *find(struct msghdr *h, int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return c;
	FAIL("no control message %d of level %d", type, level);
}

static inline int number(struct msghdr *h, int level, int type)
{
	struct cmsghdr *c = find(h, level, type);
	int n;

	CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(n)));
	memcpy(&n, CMSG_DATA(c), sizeof(n));
	return n;
}

#endif
