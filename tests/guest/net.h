/*
 * tests/guest/net.h - addresses, sockets and their options: what the topics of the network share.
 *
 * Interface:
 *   name_of(), loopback(), at(), port_of()      addresses; `here` is loopback of a family
 *   bound_to(), bound(), listener(), connected() sockets that have a name, and close on exec
 *   bind_here(), connect_here()                 a socket of either family and a port of loopback
 *   pair_at(), pair()                           both ends of a connection: the one that connected, the one that was accepted
 *   set_option(), get_option(), error_of()      options that are numbers
 *   events_of(), nothing_comes()                what there is to be read
 *   stream_byte()                               what long streams are made of
 * Errors: what cannot fail ends the case (CHECK_OK); connect_here() answers what connect() does.
 *
 * struct tcp_info comes in an old form and in a new one, so <netinet/tcp.h> or <linux/tcp.h> is included by who needs it.
 */
#ifndef TESTS_GUEST_NET_H
#define TESTS_GUEST_NET_H

#include "harness.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static inline void set_option(int fd, int level, int name, int value) { CHECK_OK(setsockopt(fd, level, name, &value, sizeof(value))); }

static inline int get_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);

	CHECK_OK(getsockopt(fd, level, name, &value, &n));
	CHECK_EQ(n, sizeof(value));
	return value;
}

/* Takes it, too. */
static inline int error_of(int fd) { return get_option(fd, SOL_SOCKET, SO_ERROR); }

static inline socklen_t name_of(struct sockaddr_storage *a, int family, const char *ip, int port)
{
	memset(a, 0, sizeof(*a));
	a->ss_family = family;
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)a;

		in->sin_port = htons(port);
		CHECK_EQ(inet_pton(AF_INET, ip, &in->sin_addr), 1);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)a;

	in->sin6_port = htons(port);
	CHECK_EQ(inet_pton(AF_INET6, ip, &in->sin6_addr), 1);
	return sizeof(*in);
}

static inline const char *here(int family) { return family == AF_INET ? "127.0.0.1" : "::1"; }

static inline socklen_t loopback(struct sockaddr_storage *a, int family, int port) { return name_of(a, family, here(family), port); }

/* Loopback of IPv4. */
static inline struct sockaddr_in at(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static inline int port_of(int fd)
{
	struct sockaddr_in6 a; /* its port is where IPv4's is */
	socklen_t n = sizeof(a);

	CHECK_OK(getsockname(fd, (struct sockaddr *)&a, &n));
	return ntohs(a.sin6_port);
}

static inline void bind_here(int fd, int port)
{
	struct sockaddr_storage a;
	socklen_t n = loopback(&a, get_option(fd, SOL_SOCKET, SO_DOMAIN), port);

	CHECK_OK(bind(fd, (struct sockaddr *)&a, n));
}

static inline int connect_here(int fd, int port)
{
	struct sockaddr_storage a;
	socklen_t n = loopback(&a, get_option(fd, SOL_SOCKET, SO_DOMAIN), port);

	return connect(fd, (struct sockaddr *)&a, n);
}

static inline int bound_to(int family, int type, const char *ip, int port)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, ip, port);
	int fd = CHECK_OK(socket(family, type | SOCK_CLOEXEC, 0));

	CHECK_OK(bind(fd, (struct sockaddr *)&a, n));
	return fd;
}

static inline int bound(int family, int type) { return bound_to(family, type, here(family), 0); }

static inline int listener(int family, int backlog)
{
	int fd = bound(family, SOCK_STREAM);

	CHECK_OK(listen(fd, backlog));
	return fd;
}

static inline int connected(int family, int port)
{
	int fd = CHECK_OK(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));

	CHECK_OK(connect_here(fd, port));
	return fd;
}

static inline void pair_at(int l, int fd[2])
{
	fd[0] = connected(get_option(l, SOL_SOCKET, SO_DOMAIN), port_of(l));
	fd[1] = CHECK_OK(accept4(l, NULL, NULL, SOCK_CLOEXEC));
}

static inline void pair(int family, int fd[2])
{
	int l = listener(family, 8);

	pair_at(l, fd);
	close(l);
}

/* Which of the events there are, at the latest after that many milliseconds. */
static inline int events_of(int fd, int want, int timeout)
{
	struct pollfd p = { .fd = fd, .events = want };

	CHECK_OK(poll(&p, 1, timeout));
	return p.revents;
}

/* What stands at a place of a long stream, so that a byte out of place shows. */
static inline unsigned char stream_byte(size_t at) { return (unsigned char)(at * 2654435761u >> 13); }

static inline void nothing_comes(int fd)
{
	char byte;

	CHECK_ERR(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

#endif
