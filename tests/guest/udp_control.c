/*
 * tests/guest/udp_control.c - what comes beside datagrams and goes with them: control messages, errors and their queue.
 */
#include "udp.h"
#include "waits.h"
#include <linux/errqueue.h>

/* --- control messages ------------------------------------------------------------------------------------------------ */

TEST(a_datagram_tells_where_it_went)
{
	int s = bound_to(AF_INET, SOCK_DGRAM, "0.0.0.0", 0), c = bound(AF_INET, SOCK_DGRAM);
	union control ctl;
	struct msghdr h;
	struct in_pktinfo info;
	struct cmsghdr *m;
	char buf[8];

	CHECK_EQ(get_option(s, IPPROTO_IP, IP_PKTINFO), 0);
	set_option(s, IPPROTO_IP, IP_PKTINFO, 1);
	CHECK_EQ(get_option(s, IPPROTO_IP, IP_PKTINFO), 1);
	set_option(s, IPPROTO_IP, IP_RECVTTL, 1);
	set_option(s, IPPROTO_IP, IP_RECVTOS, 1);
	set_option(c, IPPROTO_IP, IP_TTL, 33);
	set_option(c, IPPROTO_IP, IP_TOS, 0x10);
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "abc"));
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 3);
	CHECK_EQ(h.msg_flags, 0);
	m = find(&h, IPPROTO_IP, IP_PKTINFO);
	CHECK_EQ(m->cmsg_len, CMSG_LEN(sizeof(info)));
	memcpy(&info, CMSG_DATA(m), sizeof(info));
	CHECK_EQ(info.ipi_ifindex, 1);
	CHECK_EQ(info.ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(info.ipi_spec_dst.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(number(&h, IPPROTO_IP, IP_TTL), 33);
	m = find(&h, IPPROTO_IP, IP_TOS);
	CHECK_EQ(m->cmsg_len, CMSG_LEN(1));
	CHECK_EQ(*CMSG_DATA(m), 0x10);
	CHECK_EQ(h.msg_controllen, CMSG_SPACE(sizeof(info)) + CMSG_SPACE(4) + CMSG_SPACE(1));
	close(s);
	close(c);
}

TEST(a_datagram_tells_where_it_went_on_ipv6)
{
	int s = bound_to(AF_INET6, SOCK_DGRAM, "::", 0), c = bound(AF_INET6, SOCK_DGRAM), d = bound(AF_INET, SOCK_DGRAM);
	union control ctl;
	struct msghdr h;
	struct in6_pktinfo info;
	char buf[8];

	set_option(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set_option(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set_option(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set_option(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44);
	set_option(c, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
	CHECK_OK(send_to(c, AF_INET6, "::1", port_of(s), "abcd"));
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 4);
	memcpy(&info, CMSG_DATA(find(&h, IPPROTO_IPV6, IPV6_PKTINFO)), sizeof(info));
	CHECK_EQ(info.ipi6_ifindex, 1);
	CHECK(IN6_IS_ADDR_LOOPBACK(&info.ipi6_addr));
	CHECK_EQ(number(&h, IPPROTO_IPV6, IPV6_HOPLIMIT), 44);
	CHECK_EQ(number(&h, IPPROTO_IPV6, IPV6_TCLASS), 0x20);
	/* What came by IPv4 has its address in the other form, and none of the rest. */
	CHECK_OK(send_to(d, AF_INET, "127.0.0.1", port_of(s), "xy"));
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 2);
	memcpy(&info, CMSG_DATA(find(&h, IPPROTO_IPV6, IPV6_PKTINFO)), sizeof(info));
	CHECK(IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr));
	CHECK_EQ(h.msg_controllen, CMSG_SPACE(sizeof(info)));
	close(s);
	close(c);
	close(d);
}

static struct cmsghdr *control_add(struct msghdr *h, union control *c, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *m;

	if (!h->msg_control) {
		memset(c, 0, sizeof(*c));
		h->msg_control = c->bytes;
	}
	m = (struct cmsghdr *)(c->bytes + h->msg_controllen);
	m->cmsg_level = level;
	m->cmsg_type = type;
	m->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(m), data, n);
	h->msg_controllen += CMSG_SPACE(n);
	return m;
}

TEST(control_messages_say_how_to_send)
{
	int s = bound(AF_INET, SOCK_DGRAM), c = bound_to(AF_INET, SOCK_DGRAM, "0.0.0.0", 0), n;
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage to, from;
	struct iovec iov = { "abc", 3 };
	struct msghdr h = { .msg_name = &to, .msg_namelen = name_of(&to, AF_INET, "127.0.0.1", port_of(s)), .msg_iov = &iov, .msg_iovlen = 1 };
	union control ctl;
	struct msghdr in;
	char buf[8];

	set_option(s, IPPROTO_IP, IP_RECVTTL, 1);
	set_option(s, IPPROTO_IP, IP_RECVTOS, 1);
	n = 7;
	control_add(&h, &ctl, IPPROTO_IP, IP_TTL, &n, sizeof(n));
	n = 8;
	control_add(&h, &ctl, IPPROTO_IP, IP_TOS, &n, sizeof(n));
	control_add(&h, &ctl, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	CHECK_EQ(CHECK_OK(sendmsg(c, &h, 0)), 3);
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &in, buf, sizeof(buf))), 3);
	CHECK_EQ(number(&in, IPPROTO_IP, IP_TTL), 7);
	CHECK_EQ(*CMSG_DATA(find(&in, IPPROTO_IP, IP_TOS)), 8);
	/* Those that make no sense. */
	h.msg_control = NULL;
	h.msg_controllen = 0;
	n = 256;
	control_add(&h, &ctl, IPPROTO_IP, IP_TTL, &n, sizeof(n));
	CHECK_ERR(sendmsg(c, &h, 0), EINVAL);
	n = 0;
	h.msg_controllen = 0;
	control_add(&h, &ctl, IPPROTO_IP, IP_TTL, &n, sizeof(n));
	CHECK_ERR(sendmsg(c, &h, 0), EINVAL);
	h.msg_controllen = 0;
	control_add(&h, &ctl, IPPROTO_IP, IP_PKTINFO, &info, 4);
	CHECK_ERR(sendmsg(c, &h, 0), EINVAL);
	h.msg_controllen = 0;
	info.ipi_spec_dst.s_addr = htonl(0xc6336407);
	control_add(&h, &ctl, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	/* EINVAL before Linux 6.18 */
	CHECK_ERR(sendmsg(c, &h, 0), ENETUNREACH);
	h.msg_controllen = 0;
	control_add(&h, &ctl, IPPROTO_IP, 123, &n, sizeof(n));
	CHECK_ERR(sendmsg(c, &h, 0), EINVAL);
	h.msg_controllen = 0;
	control_add(&h, &ctl, SOL_SOCKET, 123, &n, sizeof(n));
	CHECK_ERR(sendmsg(c, &h, 0), EINVAL);
	h.msg_controllen = 0;
	control_add(&h, &ctl, IPPROTO_IP, IP_TTL, &n, sizeof(n))->cmsg_len = 3;
	CHECK_ERR(sendmsg(c, &h, 0), EINVAL);
	/* Of a level that is not IP's: nobody minds. */
	h.msg_controllen = 0;
	control_add(&h, &ctl, IPPROTO_TCP, 1, &n, sizeof(n));
	CHECK_EQ(CHECK_OK(sendmsg(c, &h, 0)), 3);
	socklen_t fromlen = sizeof(from);

	CHECK_EQ(CHECK_OK(recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &fromlen)), 3);
	CHECK_EQ(ntohs(((struct sockaddr_in *)&from)->sin_port), port_of(c));
	close(s);
	close(c);
}

TEST(control_messages_say_how_to_send_on_ipv6)
{
	int s = bound(AF_INET6, SOCK_DGRAM), c = bound_to(AF_INET6, SOCK_DGRAM, "::", 0), n = 9;
	struct in6_pktinfo info = { .ipi6_addr = in6addr_loopback, .ipi6_ifindex = 1 };
	struct sockaddr_storage to;
	struct iovec iov = { "abc", 3 };
	struct msghdr h = { .msg_name = &to, .msg_namelen = name_of(&to, AF_INET6, "::1", port_of(s)), .msg_iov = &iov, .msg_iovlen = 1 }, in;
	union control ctl;
	char buf[8];

	set_option(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set_option(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	control_add(&h, &ctl, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	control_add(&h, &ctl, IPPROTO_IPV6, IPV6_HOPLIMIT, &n, sizeof(n));
	control_add(&h, &ctl, IPPROTO_IPV6, IPV6_TCLASS, &n, sizeof(n));
	CHECK_EQ(CHECK_OK(sendmsg(c, &h, 0)), 3);
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &in, buf, sizeof(buf))), 3);
	CHECK_EQ(number(&in, IPPROTO_IPV6, IPV6_HOPLIMIT), 9);
	CHECK_EQ(number(&in, IPPROTO_IPV6, IPV6_TCLASS), 9);
	h.msg_controllen = 0;
	info.ipi6_ifindex = 200;
	control_add(&h, &ctl, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	CHECK_ERR(sendmsg(c, &h, 0), ENODEV);
	h.msg_controllen = 0;
	n = 256;
	control_add(&h, &ctl, IPPROTO_IPV6, IPV6_HOPLIMIT, &n, sizeof(n));
	CHECK_ERR(sendmsg(c, &h, 0), EINVAL);
	close(s);
	close(c);
}

TEST(a_small_control_buffer_is_filled_and_said_to_be)
{
	int s = bound(AF_INET, SOCK_DGRAM), c = bound(AF_INET, SOCK_DGRAM);
	union control ctl;
	struct msghdr h;
	char buf[8];

	set_option(s, IPPROTO_IP, IP_PKTINFO, 1);
	for (int i = 0; i < 4; i++)
		CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "abcdefghijkl"));
	/* No room for a header. */
	CHECK_EQ(CHECK_OK(receive(s, &ctl, 8, &h, buf, sizeof(buf))), 8);
	CHECK_EQ(h.msg_flags, MSG_TRUNC | MSG_CTRUNC);
	CHECK_EQ(h.msg_controllen, 0);
	/* A part of the data. */
	CHECK_EQ(CHECK_OK(receive(s, &ctl, CMSG_LEN(6), &h, buf, sizeof(buf))), 8);
	CHECK_EQ(h.msg_flags, MSG_TRUNC | MSG_CTRUNC);
	CHECK_EQ(h.msg_controllen, CMSG_LEN(6));
	CHECK_EQ(ctl.align.cmsg_len, CMSG_LEN(6));
	/* None at all. */
	CHECK_EQ(CHECK_OK(receive(s, &ctl, 0, &h, buf, sizeof(buf))), 8);
	CHECK_EQ(h.msg_flags, MSG_TRUNC | MSG_CTRUNC);
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 8);
	CHECK_EQ(h.msg_flags, MSG_TRUNC);
	close(s);
	close(c);
}

TEST(datagrams_are_stamped)
{
	int s = bound(AF_INET, SOCK_DGRAM), c = bound(AF_INET, SOCK_DGRAM);
	struct timespec before, after, t;
	struct timeval tv;
	union control ctl;
	struct msghdr h;
	char buf[8];

	set_option(s, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_TIMESTAMPNS), 1);
	clock_gettime(CLOCK_REALTIME, &before);
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "abc"));
	clock_gettime(CLOCK_REALTIME, &after);
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 3);
	memcpy(&t, CMSG_DATA(find(&h, SOL_SOCKET, SCM_TIMESTAMPNS)), sizeof(t));
	/* A clock may be set meanwhile, but not by more than this. */
	CHECK(t.tv_sec >= before.tv_sec - 1 && t.tv_sec <= after.tv_sec + 1);
	set_option(s, SOL_SOCKET, SO_TIMESTAMP, 1);
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_TIMESTAMPNS), 0);
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_TIMESTAMP), 1);
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "abc"));
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 3);
	memcpy(&tv, CMSG_DATA(find(&h, SOL_SOCKET, SCM_TIMESTAMP)), sizeof(tv));
	CHECK(tv.tv_sec >= before.tv_sec - 1 && tv.tv_sec <= after.tv_sec + 2 && tv.tv_usec < 1000000);
	close(s);
	close(c);
}

/* --- errors --------------------------------------------------------------------------------------------------------- */

static void refused(int family)
{
	int c = bound(family, SOCK_DGRAM), witness = bound(family, SOCK_DGRAM), port = free_port(family);
	char buf[8];

	/* Who is not connected does not learn of it. */
	CHECK_OK(connect_here(witness, port));
	CHECK_EQ(CHECK_OK(send_to(c, family, here(family), port, "abc")), 3);
	/* It has been answered when what was sent behind it has been. */
	CHECK_EQ(CHECK_OK(send(witness, "abc", 3, 0)), 3);
	CHECK(events_of(witness, POLLIN, 5000) & POLLERR);
	close(witness);
	CHECK_EQ(events_of(c, POLLIN | POLLOUT, 0), POLLOUT);
	nothing_comes(c);
	CHECK_OK(connect_here(c, port));
	CHECK_EQ(CHECK_OK(send(c, "abc", 3, 0)), 3);
	CHECK(events_of(c, POLLIN, 5000) & POLLERR);
	CHECK_ERR(recv(c, buf, sizeof(buf), 0), ECONNREFUSED);
	nothing_comes(c);
	CHECK_EQ(events_of(c, POLLIN | POLLOUT, 0), POLLOUT);
	CHECK_EQ(CHECK_OK(send(c, "abc", 3, 0)), 3);
	CHECK(events_of(c, POLLIN, 5000) & POLLERR);
	CHECK_ERR(send(c, "abc", 3, 0), ECONNREFUSED);
	CHECK_EQ(CHECK_OK(send(c, "abc", 3, 0)), 3);
	CHECK(events_of(c, POLLIN, 5000) & POLLERR);
	CHECK_EQ(error_of(c), ECONNREFUSED);
	CHECK_EQ(error_of(c), 0);
	close(c);
}

TEST(a_connected_socket_learns_that_nobody_is_there) { refused(AF_INET); }
TEST(a_connected_socket_learns_that_nobody_is_there_on_ipv6) { refused(AF_INET6); }

TEST(a_waiting_reader_learns_that_nobody_is_there)
{
	struct blocked b = { .call = call_read, .fd = bound(AF_INET, SOCK_DGRAM) };

	CHECK_OK(connect_here(b.fd, free_port(AF_INET)));
	blocked_start(&b);
	CHECK_EQ(CHECK_OK(send(b.fd, "abc", 3, 0)), 3);
	blocked_end(&b, -1, ECONNREFUSED);
	close(b.fd);
}

TEST(an_error_comes_before_datagrams)
{
	int c = bound(AF_INET, SOCK_DGRAM), p = bound(AF_INET, SOCK_DGRAM), port = port_of(p);
	char buf[8];

	CHECK_OK(connect_here(c, port));
	CHECK_OK(send_to(p, AF_INET, "127.0.0.1", port_of(c), "abc"));
	close(p);
	CHECK_OK(send(c, "x", 1, 0));
	CHECK_EQ(events_of(c, POLLIN, 5000) & POLLIN, POLLIN);
	CHECK_ERR(recv(c, buf, sizeof(buf), MSG_DONTWAIT), ECONNREFUSED);
	expect(c, "abc");
	close(c);
}

static void error_queue(int family)
{
	int c = bound(family, SOCK_DGRAM), port = free_port(family);
	bool v4 = family == AF_INET;
	struct sock_extended_err ee;
	struct sockaddr_storage from;
	struct cmsghdr *m;
	union control ctl;
	struct msghdr h = { 0 };
	char buf[16];
	struct iovec iov = { buf, sizeof(buf) };

	set_option(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, 1);
	CHECK_ERR(recv(c, buf, sizeof(buf), MSG_ERRQUEUE), EAGAIN);
	/* Now it learns of it without a connection, too. */
	CHECK_EQ(CHECK_OK(send_to(c, family, here(family), port, "abcd")), 4);
	CHECK(events_of(c, POLLIN, 5000) & POLLERR);
	h = (struct msghdr){ .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl,
			     .msg_controllen = sizeof(ctl) };
	CHECK_EQ(CHECK_OK(recvmsg(c, &h, MSG_ERRQUEUE)), 4);
	CHECK(!memcmp(buf, "abcd", 4));
	CHECK_EQ(h.msg_flags, MSG_ERRQUEUE);
	CHECK_EQ(ntohs(v4 ? ((struct sockaddr_in *)&from)->sin_port : ((struct sockaddr_in6 *)&from)->sin6_port), port);
	m = find(&h, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR);
	CHECK_EQ(m->cmsg_len, CMSG_LEN(sizeof(ee) + (v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6))));
	memcpy(&ee, CMSG_DATA(m), sizeof(ee));
	CHECK_EQ(ee.ee_errno, ECONNREFUSED);
	CHECK_EQ(ee.ee_origin, v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6);
	CHECK_EQ(ee.ee_type, v4 ? 3 : 1);
	CHECK_EQ(ee.ee_code, v4 ? 3 : 4);
	CHECK_EQ(((struct sockaddr *)(CMSG_DATA(m) + sizeof(ee)))->sa_family, family);
	/* With the last of the queue the error is gone. */
	CHECK_EQ(events_of(c, POLLIN, 0), 0);
	CHECK_ERR(recv(c, buf, sizeof(buf), MSG_ERRQUEUE), EAGAIN);
	nothing_comes(c);
	close(c);
}

TEST(errors_wait_in_a_queue) { error_queue(AF_INET); }
TEST(errors_wait_in_a_queue_on_ipv6) { error_queue(AF_INET6); }

TEST(sending_to_all_wants_permission)
{
	int c = bound_to(AF_INET, SOCK_DGRAM, "0.0.0.0", 0);

	CHECK_ERR(send_to(c, AF_INET, "255.255.255.255", 9, "x"), EACCES);
	CHECK_EQ(get_option(c, SOL_SOCKET, SO_BROADCAST), 0);
	set_option(c, SOL_SOCKET, SO_BROADCAST, 1);
	CHECK_EQ(get_option(c, SOL_SOCKET, SO_BROADCAST), 1);
	close(c);
}

TEST_MAIN("udp_control")
