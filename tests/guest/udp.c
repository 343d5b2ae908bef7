/*
 * tests/guest/udp.c - UDP beyond single datagrams: many messages at once, names, who gets what on a shared port.
 */
#include "udp.h"
#include <net/if.h>

/* --- many messages at once ------------------------------------------------------------------------------------- */

TEST(many_messages_in_one_call)
{
	int s = bound(AF_INET, SOCK_DGRAM), c = bound(AF_INET, SOCK_DGRAM);
	struct sockaddr_storage to, from[4];
	struct iovec out[3] = { { "one", 3 }, { "two2", 4 }, { "three", 5 } }, in[4];
	struct mmsghdr send[3], recv[4];
	char buf[4][8];
	socklen_t n = name_of(&to, AF_INET, "127.0.0.1", port_of(s));

	memset(send, 0, sizeof(send));
	memset(recv, 0, sizeof(recv));
	for (int i = 0; i < 3; i++)
		send[i].msg_hdr = (struct msghdr){ .msg_name = &to, .msg_namelen = n, .msg_iov = &out[i], .msg_iovlen = 1 };
	for (int i = 0; i < 4; i++) {
		in[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
		recv[i].msg_hdr = (struct msghdr){ .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &in[i], .msg_iovlen = 1 };
	}
	CHECK_EQ(CHECK_OK(sendmmsg(c, send, 3, 0)), 3);
	CHECK_EQ(send[0].msg_len, 3);
	CHECK_EQ(send[2].msg_len, 5);
	CHECK_EQ(CHECK_OK(recvmmsg(s, recv, 4, MSG_WAITFORONE, NULL)), 3);
	CHECK_EQ(recv[1].msg_len, 4);
	CHECK(!memcmp(buf[1], "two2", 4));
	CHECK_EQ(recv[2].msg_hdr.msg_namelen, sizeof(struct sockaddr_in));
	CHECK_ERR(recvmmsg(s, recv, 4, MSG_DONTWAIT, NULL), EAGAIN);
	/* What fails behind the first is not an error of the call. */
	send[1].msg_hdr.msg_iov = BAD_PTR;
	CHECK_EQ(CHECK_OK(sendmmsg(c, send, 3, 0)), 1);
	CHECK_ERR(sendmmsg(c, send + 1, 2, 0), EFAULT);
	expect(s, "one");
	CHECK_EQ(CHECK_OK(sendmmsg(c, send, 0, 0)), 0);
	CHECK_EQ(CHECK_OK(recvmmsg(s, recv, 0, 0, NULL)), 0);
	CHECK_ERR(sendmmsg(-1, send, 1, 0), EBADF);
	CHECK_ERR(recvmmsg(s, BAD_PTR, 1, MSG_DONTWAIT, NULL), EFAULT);
	close(s);
	close(c);
}

TEST(a_timeout_of_recvmmsg_is_looked_at_behind_each_message)
{
	int s = bound(AF_INET, SOCK_DGRAM), c = bound(AF_INET, SOCK_DGRAM);
	struct timespec t = { 0, 0 };
	struct mmsghdr recv[3];
	struct iovec in[3];
	char buf[3][8];

	memset(recv, 0, sizeof(recv));
	for (int i = 0; i < 3; i++) {
		in[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
		recv[i].msg_hdr = (struct msghdr){ .msg_iov = &in[i], .msg_iovlen = 1 };
		CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "abc"));
	}
	/* Long over, but the first one comes. */
	CHECK_EQ(CHECK_OK(recvmmsg(s, recv, 3, 0, &t)), 1);
	CHECK_EQ(t.tv_sec, 0);
	CHECK_EQ(t.tv_nsec, 0);
	t = (struct timespec){ 100, 0 };
	CHECK_EQ(CHECK_OK(recvmmsg(s, recv, 2, 0, &t)), 2);
	CHECK(t.tv_sec >= 90 && t.tv_sec <= 100);
	t = (struct timespec){ 0, 1000000000 };
	CHECK_ERR(recvmmsg(s, recv, 1, 0, &t), EINVAL);
	t = (struct timespec){ -1, 0 };
	CHECK_ERR(recvmmsg(s, recv, 1, 0, &t), EINVAL);
	CHECK_ERR(recvmmsg(s, recv, 1, 0, BAD_PTR), EFAULT);
	close(s);
	close(c);
}

TEST(many_messages_through_a_stream)
{
	int fd[2];
	struct iovec out[2] = { { "ab", 2 }, { "cde", 3 } }, in = { 0 };
	struct mmsghdr send[2] = { { .msg_hdr = { .msg_iov = &out[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &out[1], .msg_iovlen = 1 } } };
	struct mmsghdr recv[1] = { { .msg_hdr = { .msg_iov = &in, .msg_iovlen = 1 } } };
	char buf[16];

	in = (struct iovec){ buf, sizeof(buf) };
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	CHECK_EQ(CHECK_OK(sendmmsg(fd[0], send, 2, 0)), 2);
	CHECK_EQ(CHECK_OK(recvmmsg(fd[1], recv, 1, 0, NULL)), 1);
	CHECK_EQ(recv[0].msg_len, 5);
	close(fd[0]);
	close(fd[1]);
}

/* --- names ------------------------------------------------------------------------------------------------------------ */

TEST(connections_of_datagram_sockets_are_made_and_undone)
{
	struct sockaddr_storage a;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t n = sizeof(a);
	int c = udp(AF_INET), s = bound(AF_INET, SOCK_DGRAM);

	CHECK_ERR(getpeername(c, (struct sockaddr *)&a, &n), ENOTCONN);
	CHECK_OK(connect_here(c, port_of(s)));
	n = sizeof(a);
	CHECK_OK(getsockname(c, (struct sockaddr *)&a, &n));
	CHECK_EQ(((struct sockaddr_in *)&a)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK(port_of(c) != 0);
	CHECK_OK(connect(c, &none, sizeof(none)));
	n = sizeof(a);
	CHECK_ERR(getpeername(c, (struct sockaddr *)&a, &n), ENOTCONN);
	CHECK_OK(getsockname(c, (struct sockaddr *)&a, &n));
	CHECK_EQ(((struct sockaddr_in *)&a)->sin_addr.s_addr, 0);
	CHECK_EQ(port_of(c), 0);
	CHECK_ERR(send(c, "x", 1, 0), EDESTADDRREQ);
	/* To a second peer, without undoing. */
	CHECK_OK(connect_here(c, port_of(s)));
	CHECK_OK(connect_here(c, 9));
	n = sizeof(a);
	CHECK_OK(getpeername(c, (struct sockaddr *)&a, &n));
	CHECK_EQ(ntohs(((struct sockaddr_in *)&a)->sin_port), 9);
	close(c);
	/* What bind() gave stays; a port that it drew goes. */
	for (int given = 0; given < 2; given++) {
		int port = given ? free_port(AF_INET) : 0;

		c = bound_to(AF_INET, SOCK_DGRAM, "127.0.0.1", port);
		CHECK_OK(connect_here(c, port_of(s)));
		CHECK_OK(connect(c, &none, sizeof(none)));
		n = sizeof(a);
		CHECK_OK(getsockname(c, (struct sockaddr *)&a, &n));
		CHECK_EQ(((struct sockaddr_in *)&a)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
		CHECK_EQ(port_of(c), port);
		close(c);
	}
	close(s);
}

TEST(a_dual_stack_socket_speaks_with_both)
{
	int s = bound_to(AF_INET6, SOCK_DGRAM, "::", 0), four = bound(AF_INET, SOCK_DGRAM), six = bound(AF_INET6, SOCK_DGRAM), c = udp(AF_INET6);
	struct sockaddr_storage from;
	socklen_t n = sizeof(from);
	char buf[8];

	CHECK_OK(send_to(four, AF_INET, "127.0.0.1", port_of(s), "abc"));
	CHECK_EQ(CHECK_OK(recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &n)), 3);
	CHECK(IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&from)->sin6_addr));
	CHECK_EQ(CHECK_OK(sendto(s, "back", 4, 0, (struct sockaddr *)&from, n)), 4);
	expect(four, "back");
	CHECK_OK(send_to(six, AF_INET6, "::1", port_of(s), "six"));
	expect(s, "six");
	/* By the other family's name, too. */
	CHECK_EQ(CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(four), "named")), 5);
	expect(four, "named");
	close(c);
	c = udp(AF_INET6);
	set_option(c, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_ERR(send_to(c, AF_INET6, "::ffff:127.0.0.1", port_of(four), "x"), ENETUNREACH);
	CHECK_ERR(send_to(four, AF_INET6, "::1", port_of(six), "x"), EAFNOSUPPORT);
	close(c);
	close(s);
	close(four);
	close(six);
}

TEST(ipv4_names_may_lack_a_family)
{
	int s = bound(AF_INET, SOCK_DGRAM), c = udp(AF_INET);
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, AF_INET, "127.0.0.1", port_of(s));

	a.ss_family = AF_UNSPEC;
	CHECK_EQ(CHECK_OK(sendto(c, "lacks", 5, 0, (struct sockaddr *)&a, n)), 5);
	expect(s, "lacks");
	CHECK_ERR(sendto(c, "x", 1, 0, (struct sockaddr *)&a, n - 1), EINVAL);
	/* It is a name all the same: not the one that connect() gave. */
	CHECK_OK(connect_here(c, port_of(s)));
	name_of(&a, AF_INET, "0.0.0.0", 0);
	a.ss_family = AF_UNSPEC;
	CHECK_ERR(sendto(c, "x", 1, 0, (struct sockaddr *)&a, n), EINVAL);
	a.ss_family = AF_UNIX;
	CHECK_ERR(sendto(c, "x", 1, 0, (struct sockaddr *)&a, n), EAFNOSUPPORT);
	close(c);
	/* To an AF_INET6 socket it is none. */
	c = udp(AF_INET6);
	n = name_of(&a, AF_INET, "127.0.0.1", port_of(s));
	a.ss_family = AF_UNSPEC;
	CHECK_ERR(sendto(c, "x", 1, 0, (struct sockaddr *)&a, n), EDESTADDRREQ);
	a.ss_family = AF_UNIX;
	CHECK_ERR(sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof(struct sockaddr_in6)), EINVAL);
	close(c);
	close(s);
}

TEST(destinations_that_are_none)
{
	int c = bound(AF_INET, SOCK_DGRAM);
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, AF_INET, "127.0.0.1", 0);

	CHECK_ERR(sendto(c, "x", 1, 0, (struct sockaddr *)&a, n), EINVAL);
	n = name_of(&a, AF_INET, "127.0.0.1", 9);
	CHECK_ERR(sendto(c, "x", 1, 0, (struct sockaddr *)&a, n - 1), EINVAL);
	CHECK_ERR(sendto(c, "x", 1, 0, (struct sockaddr *)&a, 200), EINVAL);
	CHECK_ERR(sendto(c, "x", 1, 0, BAD_PTR, n), EFAULT);
	CHECK_ERR(sendto(c, BAD_PTR, 1, 0, (struct sockaddr *)&a, n), EFAULT);
	CHECK_ERR(sendto(c, "x", 1, MSG_OOB, (struct sockaddr *)&a, n), EOPNOTSUPP);
	CHECK_ERR(listen(c, 1), EOPNOTSUPP);
	CHECK_ERR(accept(c, NULL, NULL), EOPNOTSUPP);
	close(c);
}

/* --- who gets it ----------------------------------------------------------------------------------------------------- */

TEST(the_socket_that_asks_for_most_gets_it)
{
	int any = sharing(AF_INET, "0.0.0.0", 0, SO_REUSEADDR), port = port_of(any);
	int addr = sharing(AF_INET, "127.0.0.1", port, SO_REUSEADDR), peer = sharing(AF_INET, "127.0.0.1", port, SO_REUSEADDR);
	int c = bound(AF_INET, SOCK_DGRAM), d = bound(AF_INET, SOCK_DGRAM);

	CHECK_OK(connect_here(peer, port_of(c)));
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port, "peer"));
	CHECK_OK(send_to(d, AF_INET, "127.0.0.1", port, "addr"));
	expect(peer, "peer");
	expect(addr, "addr");
	nothing_comes(any);
	close(addr);
	CHECK_OK(send_to(d, AF_INET, "127.0.0.1", port, "any"));
	expect(any, "any");
	close(any);
	close(peer);
	close(c);
	close(d);
}

TEST(the_last_of_equals_gets_it)
{
	int a = sharing(AF_INET, "127.0.0.1", 0, SO_REUSEADDR), b = sharing(AF_INET, "127.0.0.1", port_of(a), SO_REUSEADDR), c = bound(AF_INET, SOCK_DGRAM);

	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(a), "x"));
	expect(b, "x");
	nothing_comes(a);
	close(a);
	close(b);
	close(c);
}

TEST(sockets_that_share_a_port_share_its_load)
{
	int fd[4], got[4] = { 0 }, port;
	char buf[8];

	fd[0] = sharing(AF_INET, "127.0.0.1", 0, SO_REUSEPORT);
	port = port_of(fd[0]);
	for (int i = 1; i < 4; i++)
		fd[i] = sharing(AF_INET, "127.0.0.1", port, SO_REUSEPORT);
	for (int i = 0; i < 200; i++) {
		int c = bound(AF_INET, SOCK_DGRAM), hits = 0;

		/* One peer speaks with one of them. */
		CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port, "x"));
		CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port, "x"));
		for (int k = 0; k < 4; k++) {
			int n = 0;

			while (recv(fd[k], buf, sizeof(buf), MSG_DONTWAIT) == 1)
				n++;
			got[k] += n;
			hits += n == 2;
			CHECK(n == 0 || n == 2);
		}
		CHECK_EQ(hits, 1);
		close(c);
	}
	for (int k = 0; k < 4; k++) {
		CHECK(got[k] >= 20);
		close(fd[k]);
	}
}

TEST(who_may_share_a_port)
{
	struct sockaddr_storage a;
	socklen_t n;
	int one = bound(AF_INET, SOCK_DGRAM), two = udp(AF_INET), on = 1;

	n = name_of(&a, AF_INET, "127.0.0.1", port_of(one));
	CHECK_ERR(bind(two, (struct sockaddr *)&a, n), EADDRINUSE);
	CHECK_OK(setsockopt(two, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	CHECK_ERR(bind(two, (struct sockaddr *)&a, n), EADDRINUSE);
	CHECK_OK(setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	CHECK_OK(bind(two, (struct sockaddr *)&a, n));
	CHECK_ERR(bind(two, (struct sockaddr *)&a, n), EINVAL);
	close(two);
	two = udp(AF_INET6);
	n = name_of(&a, AF_INET6, "::", port_of(one));
	CHECK_ERR(bind(two, (struct sockaddr *)&a, n), EADDRINUSE);
	set_option(two, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_OK(bind(two, (struct sockaddr *)&a, n));
	close(one);
	close(two);
}

TEST(a_socket_of_a_device_hears_that_device)
{
	int s = bound_to(AF_INET, SOCK_DGRAM, "0.0.0.0", 0), c = bound(AF_INET, SOCK_DGRAM);
	char name[IFNAMSIZ];
	socklen_t n = sizeof(name);

	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
	CHECK_EQ(n, 0);
	CHECK_ERR(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nothere0", 9), ENODEV);
	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	n = sizeof(name);
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
	CHECK_EQ(n, 3);
	CHECK(!strcmp(name, "lo"));
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "x"));
	expect(s, "x");
	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	close(s);
	close(c);
}

TEST(a_full_socket_drops_what_comes)
{
	int s = bound(AF_INET, SOCK_DGRAM), c = bound(AF_INET, SOCK_DGRAM), got = 0, size = 4096, sent = 500;
	char buf[256] = { 0 };
	struct sockaddr_storage to;
	socklen_t n = name_of(&to, AF_INET, "127.0.0.1", port_of(s));

	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_RCVBUF), 8192);
	for (int i = 0; i < sent; i++)
		CHECK_EQ(CHECK_OK(sendto(c, buf, sizeof(buf), 0, (struct sockaddr *)&to, n)), sizeof(buf));
	while (recv(s, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		got++;
	CHECK(got > 2 && got < 100);
	/* And there is room again. */
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "x"));
	expect(s, "x");
	close(s);
	close(c);
}

TEST(shut_down_for_one_direction)
{
	int c = bound(AF_INET, SOCK_DGRAM), s = bound(AF_INET, SOCK_DGRAM);
	char buf[8];

	CHECK_ERR(shutdown(c, SHUT_WR), ENOTCONN);
	CHECK_OK(connect_here(c, port_of(s)));
	CHECK_OK(shutdown(c, SHUT_WR));
	CHECK_ERR(send(c, "x", 1, 0), EPIPE);
	CHECK_OK(send_to(s, AF_INET, "127.0.0.1", port_of(c), "in"));
	expect(c, "in");
	CHECK_OK(shutdown(c, SHUT_RD));
	CHECK_EQ(CHECK_OK(recv(c, buf, sizeof(buf), 0)), 0);
	CHECK_EQ(events_of(c, POLLIN | POLLRDHUP, 0), POLLIN | POLLRDHUP | POLLHUP);
	close(c);
	close(s);
}

TEST(who_fails_to_connect_has_a_port)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, AF_INET, "255.255.255.255", 9);
	int fd = udp(AF_INET), other = udp(AF_INET), six = udp(AF_INET6);

	CHECK_ERR(connect(fd, (struct sockaddr *)&a, 1), EINVAL);
	CHECK_EQ(port_of(fd), 0);
	CHECK_ERR(connect(fd, (struct sockaddr *)&a, n), EACCES);
	CHECK(port_of(fd));
	CHECK_ERR(connect(other, (struct sockaddr *)&a, n - 1), EINVAL);
	CHECK(port_of(other));
	CHECK_ERR(connect(six, (struct sockaddr *)&a, n), EACCES);
	CHECK(port_of(six));
	close(fd);
	close(other);
	close(six);
}

TEST(a_name_without_a_byte_is_wrong)
{
	int fd = udp(AF_INET), tcp[2];
	struct sockaddr_in to;

	to = at(9);
	CHECK_ERR(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, 0), EINVAL);
	CHECK_OK(connect(fd, (struct sockaddr *)&to, sizeof(to)));
	CHECK_ERR(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, 0), EINVAL);
	CHECK_EQ(sendto(fd, "x", 1, 0, NULL, 0), 1);
	pair(AF_INET, tcp);
	CHECK_EQ(sendto(tcp[0], "x", 1, 0, (struct sockaddr *)&to, 0), 1);
	close(fd);
	close(tcp[0]);
	close(tcp[1]);
}

TEST_MAIN("udp")
