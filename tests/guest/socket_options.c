/*
 * tests/guest/socket_options.c - what sockets tell of themselves, options and values that are wrong, addresses of both families.
 */
#include "net.h"
#include <netinet/tcp.h>
#include <sys/eventfd.h>

/* --- who it is, and what it is ------------------------------------------------------------------------------------------ */

TEST(sizes_and_options_pass_from_the_listener)
{
	int l = bound(AF_INET, SOCK_STREAM), on = 1, n, s, c;
	struct linger linger = { 1, 7 };
	struct timeval t = { 3, 0 };
	socklen_t len = sizeof(linger);

	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
	CHECK_OK(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	CHECK_OK(listen(l, 8));
	c = connected(AF_INET, port_of(l));
	s = CHECK_OK(accept(l, NULL, NULL));
	len = sizeof(n);
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &n, &len));
	CHECK_EQ(n, 1);
	CHECK_OK(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &n, &len));
	CHECK_EQ(n, 1);
	len = sizeof(linger);
	linger = (struct linger){ 0, 0 };
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_LINGER, &linger, &len));
	CHECK_EQ(linger.l_onoff, 1);
	CHECK_EQ(linger.l_linger, 7);
	len = sizeof(t);
	t.tv_sec = 0;
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, &len));
	CHECK_EQ(t.tv_sec, 3);
	linger.l_onoff = 0;
	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	close(s);
	close(c);
	close(l);
}

TEST(sockets_tell_what_they_are)
{
	static const int kinds[][3] = { { AF_INET, SOCK_STREAM, IPPROTO_TCP }, { AF_INET6, SOCK_DGRAM, IPPROTO_UDP }, { AF_UNIX, SOCK_SEQPACKET, 0 } };

	for (int i = 0; i < 3; i++) {
		int fd = CHECK_OK(socket(kinds[i][0], kinds[i][1], 0)), v;
		socklen_t n = sizeof(v);

		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &n));
		CHECK_EQ(v, kinds[i][0]);
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &n));
		CHECK_EQ(v, kinds[i][1]);
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &n));
		CHECK_EQ(v, kinds[i][2]);
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &n));
		CHECK_EQ(v, 0);
		close(fd);
	}
}

TEST(the_peer_of_a_pair_is_this_process)
{
	struct ucred u;
	socklen_t n = sizeof(u);
	int fd[2], tcp[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	CHECK_OK(getsockopt(fd[0], SOL_SOCKET, SO_PEERCRED, &u, &n));
	CHECK_EQ(n, sizeof(u));
	CHECK_EQ(u.pid, getpid());
	CHECK_EQ(u.uid, getuid());
	CHECK_EQ(u.gid, getgid());
	/* Of a connection of IP nobody knows. */
	pair(AF_INET, tcp);
	n = sizeof(u);
	CHECK_OK(getsockopt(tcp[0], SOL_SOCKET, SO_PEERCRED, &u, &n));
	CHECK_EQ(u.pid, 0);
	CHECK(u.uid == (uid_t)-1 && u.gid == (gid_t)-1);
	close(fd[0]);
	close(fd[1]);
	close(tcp[0]);
	close(tcp[1]);
}

TEST(buffer_sizes_are_doubled_and_bounded)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), v = 5000, got;
	socklen_t n = sizeof(got);

	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &n));
	CHECK_EQ(got, 10000);
	v = 1;
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &n));
	CHECK_EQ(got, 2304);
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &n));
	CHECK_EQ(got, 4608);
	close(fd);
}

#define ANY 0x7fff0000 /* a value that is not looked at */

TEST(options_that_are_wrong)
{
	static const struct {
		int domain, type, level, name;
		socklen_t len;
		int value, set, get; /* errno of both, 0: they work, -1: not tried */
	} wrong[] = {
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, 999, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, 999, 3, 1, EINVAL, ENOPROTOOPT },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, 3, 1, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, 8, 1, 0, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_ERROR, 4, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_TYPE, 4, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_ACCEPTCONN, 4, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_LINGER, 4, 1, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_RCVTIMEO, 8, 1, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_PRIORITY, 4, 3, 0, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_PASSCRED, 4, 1, EOPNOTSUPP, EOPNOTSUPP },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_COOKIE, 4, 1, ENOPROTOOPT, EINVAL },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_COOKIE, 8, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, 12345, 1, 4, 1, ENOPROTOOPT, EOPNOTSUPP },
		{ AF_INET, SOCK_DGRAM, 12345, 1, 4, 1, ENOPROTOOPT, EOPNOTSUPP },
		{ AF_INET6, SOCK_DGRAM, 12345, 1, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_INET, SOCK_DGRAM, IPPROTO_TCP, TCP_NODELAY, 4, 1, ENOPROTOOPT, EOPNOTSUPP },
		{ AF_INET, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, 4, 1, ENOPROTOOPT, EOPNOTSUPP },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY, 1, 1, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, 9999, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPIDLE, 4, 40000, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPCNT, 4, 128, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_INFO, 4, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, 999, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 4, 0, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 4, 256, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 1, 5, 0, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 0, 5, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_MTU_DISCOVER, 4, 9, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_MTU, 4, ANY, ENOPROTOOPT, ENOTCONN },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, 1, 1, EINVAL, 0 },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 4, 256, EINVAL, 0 },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_TCLASS, 4, 256, EINVAL, 0 },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_TCLASS, 4, -2, EINVAL, 0 },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, 999, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_UNIX, SOCK_STREAM, IPPROTO_IP, 1, 4, 1, EOPNOTSUPP, EOPNOTSUPP },
	};
	char buf[64];

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		int fd = CHECK_OK(socket(wrong[i].domain, wrong[i].type, 0)), e;
		socklen_t n = wrong[i].len;

		memset(buf, 0, sizeof(buf));
		memcpy(buf, &wrong[i].value, sizeof(int));
		e = setsockopt(fd, wrong[i].level, wrong[i].name, buf, n) < 0 ? errno : 0;
		if (e != wrong[i].set)
			FAIL("option %d of level %d with %d bytes: %s when set", wrong[i].name, wrong[i].level, wrong[i].len, strerrorname_np(e));
		e = getsockopt(fd, wrong[i].level, wrong[i].name, buf, &n) < 0 ? errno : 0;
		if (e != wrong[i].get)
			FAIL("option %d of level %d with %d bytes: %s when read", wrong[i].name, wrong[i].level, wrong[i].len, strerrorname_np(e));
		close(fd);
	}
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), v = 1;
	socklen_t n = -1;

	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &n), EINVAL);
	n = 4;
	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, BAD_PTR, &n), EFAULT);
	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, BAD_PTR), EFAULT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, BAD_PTR, 4), EFAULT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, -1), EINVAL);
	CHECK_ERR(setsockopt(0x7fffff, SOL_SOCKET, SO_REUSEADDR, &v, 4), EBADF);
	close(fd);
	fd = CHECK_OK(eventfd(0, 0));
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 4), ENOTSOCK);
	close(fd);
}

TEST(dual_stack_options_and_binds)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, mapped = { .sin6_family = AF_INET6 };
	int a = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0)), b = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), v = 1, got;
	struct sockaddr_in four;
	socklen_t n = sizeof(got);

	CHECK_OK(getsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &got, &n));
	CHECK_EQ(got, 0);
	CHECK_OK(bind(a, (struct sockaddr *)&any, sizeof(any)));
	CHECK_ERR(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)), EINVAL);
	CHECK_OK(listen(a, 4));
	four = at(port_of(a));
	CHECK_ERR(bind(b, (struct sockaddr *)&four, sizeof(four)), EADDRINUSE);
	close(a);
	a = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_OK(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
	any.sin6_port = four.sin_port;
	CHECK_OK(bind(a, (struct sockaddr *)&any, sizeof(any)));
	CHECK_OK(bind(b, (struct sockaddr *)&four, sizeof(four)));
	close(a);
	close(b);
	a = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_EQ(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr), 1);
	CHECK_OK(bind(a, (struct sockaddr *)&mapped, sizeof(mapped)));
	n = sizeof(mapped);
	CHECK_OK(getsockname(a, (struct sockaddr *)&mapped, &n));
	CHECK(IN6_IS_ADDR_V4MAPPED(&mapped.sin6_addr));
	CHECK_ERR(bind(a, (struct sockaddr *)&any, 20), EINVAL);
	close(a);
}

static struct sockaddr_in at_loopback(unsigned last, int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000000 + last) };
}

TEST(all_of_127_is_this_machine)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

	for (int i = 0; i < 2; i++) {
		/* As /etc/hosts of Debian has it for the machine's own name. */
		struct sockaddr_in own = at_loopback(0x101, 0), a, none = at_loopback(0x777, 0);
		socklen_t n = sizeof(a);
		int l = CHECK_OK(socket(AF_INET, types[i], 0)), c = CHECK_OK(socket(AF_INET, types[i], 0)), s = l;
		char b[8];

		CHECK_OK(bind(l, (struct sockaddr *)&own, sizeof(own)));
		if (types[i] == SOCK_STREAM)
			CHECK_OK(listen(l, 4));
		own = at_loopback(0x101, port_of(l));
		CHECK_OK(connect(c, (struct sockaddr *)&own, sizeof(own)));
		CHECK_OK(getpeername(c, (struct sockaddr *)&a, &n));
		CHECK_EQ(a.sin_addr.s_addr, own.sin_addr.s_addr);
		CHECK_OK(getsockname(c, (struct sockaddr *)&a, &n));
		CHECK_EQ(ntohl(a.sin_addr.s_addr), 0x7f000001);
		if (types[i] == SOCK_STREAM)
			s = CHECK_OK(accept(l, NULL, NULL));
		CHECK_EQ(CHECK_OK(send(c, "abc", 3, 0)), 3);
		CHECK_EQ(CHECK_OK(recvfrom(s, b, sizeof(b), 0, (struct sockaddr *)&a, &n)), 3);
		if (types[i] == SOCK_DGRAM) {
			CHECK_EQ(CHECK_OK(sendto(s, "back", 4, 0, (struct sockaddr *)&a, n)), 4);
		} else {
			CHECK_EQ(CHECK_OK(send(s, "back", 4, 0)), 4);
			close(s);
		}
		CHECK_EQ(CHECK_OK(recv(c, b, sizeof(b), 0)), 4);
		close(c);
		/* The port is only that address's. */
		c = CHECK_OK(socket(AF_INET, types[i], 0));
		none.sin_port = own.sin_port;
		if (types[i] == SOCK_STREAM) {
			CHECK_ERR(connect(c, (struct sockaddr *)&none, sizeof(none)), ECONNREFUSED);
		} else {
			CHECK_OK(connect(c, (struct sockaddr *)&none, sizeof(none)));
			CHECK_EQ(CHECK_OK(send(c, "x", 1, 0)), 1);
			CHECK_ERR(recv(c, b, 1, 0), ECONNREFUSED);
		}
		close(c);
		close(l);
	}
	/* Who listens at any address hears them all. */
	int l = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in any = { .sin_family = AF_INET }, a;
	socklen_t n = sizeof(a);

	CHECK_OK(bind(l, (struct sockaddr *)&any, sizeof(any)));
	CHECK_OK(listen(l, 4));
	a = at_loopback(0xfffffe, port_of(l));
	CHECK_OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	int s = CHECK_OK(accept(l, NULL, NULL));

	CHECK_OK(getsockname(s, (struct sockaddr *)&a, &n));
	CHECK_EQ(ntohl(a.sin_addr.s_addr), 0x7ffffffe);
	close(s);
	close(c);
	close(l);
}

TEST_MAIN("socket_options")
