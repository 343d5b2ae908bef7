/*
 * tests/guest/udp.c - UDP beyond single datagrams: control messages, errors, many messages at once, groups, who gets what on a shared port.
 */
#include "harness.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static socklen_t name_of(struct sockaddr_storage *a, int family, const char *ip, int port)
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

static const char *here(int family) { return family == AF_INET ? "127.0.0.1" : "::1"; }

static int port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	CHECK_OK(getsockname(fd, (struct sockaddr *)&a, &n));
	return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port : ((struct sockaddr_in6 *)&a)->sin6_port);
}

static int udp(int family) { return CHECK_OK(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

static int bound_to(int family, const char *ip, int port)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, ip, port);
	int fd = udp(family);

	CHECK_OK(bind(fd, (struct sockaddr *)&a, n));
	return fd;
}

static int bound(int family) { return bound_to(family, here(family), 0); }

static void set(int fd, int level, int name, int value)
{
	CHECK_OK(setsockopt(fd, level, name, &value, sizeof(value)));
}

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);

	CHECK_OK(getsockopt(fd, level, name, &value, &n));
	CHECK_EQ(n, sizeof(value));
	return value;
}

static int send_to(int fd, int family, const char *ip, int port, const char *text)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, ip, port);

	return sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, n);
}

static void connect_to(int fd, int family, const char *ip, int port)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, ip, port);

	CHECK_OK(connect(fd, (struct sockaddr *)&a, n));
}

static int events_of(int fd, int want, int timeout)
{
	struct pollfd p = { .fd = fd, .events = want };

	CHECK_OK(poll(&p, 1, timeout));
	return p.revents;
}

/* The next datagram is this one. */
static void expect(int fd, const char *text)
{
	char buf[64];
	ssize_t n;

	CHECK(events_of(fd, POLLIN, 5000) & POLLIN);
	n = CHECK_OK(recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	CHECK_EQ(n, strlen(text));
	CHECK(!memcmp(buf, text, n));
}

static void expect_nothing(int fd)
{
	char buf[64];

	CHECK_ERR(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

/* A port that nobody has, at least a moment ago. */
static int free_port(int family)
{
	int fd = bound(family), port = port_of(fd);

	close(fd);
	return port;
}

/* --- control messages ---------------------------------------------------------------------------------------- */

union control {
	struct cmsghdr align;
	char bytes[256];
};

static ssize_t receive(int fd, union control *c, size_t room, struct msghdr *h, char *buf, size_t len)
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

static struct cmsghdr *find(struct msghdr *h, int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return c;
	FAIL("no control message %d of level %d", type, level);
}

static int number(struct msghdr *h, int level, int type)
{
	struct cmsghdr *c = find(h, level, type);
	int n;

	CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(n)));
	memcpy(&n, CMSG_DATA(c), sizeof(n));
	return n;
}

TEST(a_datagram_tells_where_it_went)
{
	int s = bound_to(AF_INET, "0.0.0.0", 0), c = bound(AF_INET);
	union control ctl;
	struct msghdr h;
	struct in_pktinfo info;
	struct cmsghdr *m;
	char buf[8];

	CHECK_EQ(get(s, IPPROTO_IP, IP_PKTINFO), 0);
	set(s, IPPROTO_IP, IP_PKTINFO, 1);
	CHECK_EQ(get(s, IPPROTO_IP, IP_PKTINFO), 1);
	set(s, IPPROTO_IP, IP_RECVTTL, 1);
	set(s, IPPROTO_IP, IP_RECVTOS, 1);
	set(c, IPPROTO_IP, IP_TTL, 33);
	set(c, IPPROTO_IP, IP_TOS, 0x10);
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
	int s = bound_to(AF_INET6, "::", 0), c = bound(AF_INET6), d = bound(AF_INET);
	union control ctl;
	struct msghdr h;
	struct in6_pktinfo info;
	char buf[8];

	set(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44);
	set(c, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
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
	int s = bound(AF_INET), c = bound_to(AF_INET, "0.0.0.0", 0), n;
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage to, from;
	struct iovec iov = { "abc", 3 };
	struct msghdr h = { .msg_name = &to, .msg_namelen = name_of(&to, AF_INET, "127.0.0.1", port_of(s)), .msg_iov = &iov, .msg_iovlen = 1 };
	union control ctl;
	struct msghdr in;
	char buf[8];

	set(s, IPPROTO_IP, IP_RECVTTL, 1);
	set(s, IPPROTO_IP, IP_RECVTOS, 1);
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
	int s = bound(AF_INET6), c = bound_to(AF_INET6, "::", 0), n = 9;
	struct in6_pktinfo info = { .ipi6_addr = in6addr_loopback, .ipi6_ifindex = 1 };
	struct sockaddr_storage to;
	struct iovec iov = { "abc", 3 };
	struct msghdr h = { .msg_name = &to, .msg_namelen = name_of(&to, AF_INET6, "::1", port_of(s)), .msg_iov = &iov, .msg_iovlen = 1 }, in;
	union control ctl;
	char buf[8];

	set(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
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
	int s = bound(AF_INET), c = bound(AF_INET);
	union control ctl;
	struct msghdr h;
	char buf[8];

	set(s, IPPROTO_IP, IP_PKTINFO, 1);
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
	int s = bound(AF_INET), c = bound(AF_INET);
	struct timespec before, after, t;
	struct timeval tv;
	union control ctl;
	struct msghdr h;
	char buf[8];

	set(s, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	CHECK_EQ(get(s, SOL_SOCKET, SO_TIMESTAMPNS), 1);
	clock_gettime(CLOCK_REALTIME, &before);
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "abc"));
	clock_gettime(CLOCK_REALTIME, &after);
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 3);
	memcpy(&t, CMSG_DATA(find(&h, SOL_SOCKET, SCM_TIMESTAMPNS)), sizeof(t));
	/* A clock may be set meanwhile, but not by more than this. */
	CHECK(t.tv_sec >= before.tv_sec - 1 && t.tv_sec <= after.tv_sec + 1);
	set(s, SOL_SOCKET, SO_TIMESTAMP, 1);
	CHECK_EQ(get(s, SOL_SOCKET, SO_TIMESTAMPNS), 0);
	CHECK_EQ(get(s, SOL_SOCKET, SO_TIMESTAMP), 1);
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(s), "abc"));
	CHECK_EQ(CHECK_OK(receive(s, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 3);
	memcpy(&tv, CMSG_DATA(find(&h, SOL_SOCKET, SCM_TIMESTAMP)), sizeof(tv));
	CHECK(tv.tv_sec >= before.tv_sec - 1 && tv.tv_sec <= after.tv_sec + 2 && tv.tv_usec < 1000000);
	close(s);
	close(c);
}

/* --- many messages at once ------------------------------------------------------------------------------------- */

TEST(many_messages_in_one_call)
{
	int s = bound(AF_INET), c = bound(AF_INET);
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
	int s = bound(AF_INET), c = bound(AF_INET);
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

/* --- errors --------------------------------------------------------------------------------------------------------- */

static void refused(int family)
{
	int c = bound(family), port = free_port(family), e;
	socklen_t n = sizeof(e);
	char buf[8];

	/* Who is not connected does not learn of it. */
	CHECK_EQ(CHECK_OK(send_to(c, family, here(family), port, "abc")), 3);
	usleep(20000);
	CHECK_EQ(events_of(c, POLLIN | POLLOUT, 0), POLLOUT);
	expect_nothing(c);
	connect_to(c, family, here(family), port);
	CHECK_EQ(CHECK_OK(send(c, "abc", 3, 0)), 3);
	CHECK(events_of(c, POLLIN, 5000) & POLLERR);
	CHECK_ERR(recv(c, buf, sizeof(buf), 0), ECONNREFUSED);
	expect_nothing(c);
	CHECK_EQ(events_of(c, POLLIN | POLLOUT, 0), POLLOUT);
	CHECK_EQ(CHECK_OK(send(c, "abc", 3, 0)), 3);
	CHECK(events_of(c, POLLIN, 5000) & POLLERR);
	CHECK_ERR(send(c, "abc", 3, 0), ECONNREFUSED);
	CHECK_EQ(CHECK_OK(send(c, "abc", 3, 0)), 3);
	CHECK(events_of(c, POLLIN, 5000) & POLLERR);
	CHECK_OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &n));
	CHECK_EQ(e, ECONNREFUSED);
	CHECK_OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &n));
	CHECK_EQ(e, 0);
	close(c);
}

TEST(a_connected_socket_learns_that_nobody_is_there) { refused(AF_INET); }
TEST(a_connected_socket_learns_that_nobody_is_there_on_ipv6) { refused(AF_INET6); }

static void *sends_later(void *arg)
{
	usleep(50000);
	CHECK_EQ(CHECK_OK(send(*(int *)arg, "abc", 3, 0)), 3);
	return NULL;
}

TEST(a_waiting_reader_learns_that_nobody_is_there)
{
	int c = bound(AF_INET);
	pthread_t t;
	char buf[8];

	connect_to(c, AF_INET, "127.0.0.1", free_port(AF_INET));
	CHECK_EQ(pthread_create(&t, NULL, sends_later, &c), 0);
	CHECK_ERR(recv(c, buf, sizeof(buf), 0), ECONNREFUSED);
	pthread_join(t, NULL);
	close(c);
}

TEST(an_error_comes_before_datagrams)
{
	int c = bound(AF_INET), p = bound(AF_INET), port = port_of(p);
	char buf[8];

	connect_to(c, AF_INET, "127.0.0.1", port);
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
	int c = bound(family), port = free_port(family);
	bool v4 = family == AF_INET;
	struct sock_extended_err ee;
	struct sockaddr_storage from;
	struct cmsghdr *m;
	union control ctl;
	struct msghdr h = { 0 };
	char buf[16];
	struct iovec iov = { buf, sizeof(buf) };

	set(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, 1);
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
	expect_nothing(c);
	close(c);
}

TEST(errors_wait_in_a_queue) { error_queue(AF_INET); }
TEST(errors_wait_in_a_queue_on_ipv6) { error_queue(AF_INET6); }

TEST(sending_to_all_wants_permission)
{
	int c = bound_to(AF_INET, "0.0.0.0", 0);

	CHECK_ERR(send_to(c, AF_INET, "255.255.255.255", 9, "x"), EACCES);
	CHECK_EQ(get(c, SOL_SOCKET, SO_BROADCAST), 0);
	set(c, SOL_SOCKET, SO_BROADCAST, 1);
	CHECK_EQ(get(c, SOL_SOCKET, SO_BROADCAST), 1);
	close(c);
}

/* --- names ------------------------------------------------------------------------------------------------------------ */

TEST(connections_of_datagram_sockets_are_made_and_undone)
{
	struct sockaddr_storage a;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t n = sizeof(a);
	int c = udp(AF_INET), s = bound(AF_INET);

	CHECK_ERR(getpeername(c, (struct sockaddr *)&a, &n), ENOTCONN);
	connect_to(c, AF_INET, "127.0.0.1", port_of(s));
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
	connect_to(c, AF_INET, "127.0.0.1", port_of(s));
	connect_to(c, AF_INET, "127.0.0.1", 9);
	n = sizeof(a);
	CHECK_OK(getpeername(c, (struct sockaddr *)&a, &n));
	CHECK_EQ(ntohs(((struct sockaddr_in *)&a)->sin_port), 9);
	close(c);
	/* What bind() gave stays. */
	c = bound(AF_INET);
	int port = port_of(c);

	connect_to(c, AF_INET, "127.0.0.1", port_of(s));
	CHECK_OK(connect(c, &none, sizeof(none)));
	n = sizeof(a);
	CHECK_OK(getsockname(c, (struct sockaddr *)&a, &n));
	CHECK_EQ(((struct sockaddr_in *)&a)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(port_of(c), port == 0 ? 1 : port_of(c));
	close(c);
	close(s);
}

TEST(a_dual_stack_socket_speaks_with_both)
{
	int s = bound_to(AF_INET6, "::", 0), four = bound(AF_INET), six = bound(AF_INET6), c = udp(AF_INET6);
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
	set(c, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_ERR(send_to(c, AF_INET6, "::ffff:127.0.0.1", port_of(four), "x"), ENETUNREACH);
	CHECK_ERR(send_to(four, AF_INET6, "::1", port_of(six), "x"), EAFNOSUPPORT);
	close(c);
	close(s);
	close(four);
	close(six);
}

TEST(destinations_that_are_none)
{
	int c = bound(AF_INET);
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

/* --- who gets it ---------------------------------------------------------------------------------------------------------- */

static int sharing(int family, const char *ip, int port, int option)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, ip, port);
	int fd = udp(family);

	set(fd, SOL_SOCKET, option, 1);
	CHECK_OK(bind(fd, (struct sockaddr *)&a, n));
	return fd;
}

TEST(the_socket_that_asks_for_most_gets_it)
{
	int any = sharing(AF_INET, "0.0.0.0", 0, SO_REUSEADDR), port = port_of(any);
	int addr = sharing(AF_INET, "127.0.0.1", port, SO_REUSEADDR), peer = sharing(AF_INET, "127.0.0.1", port, SO_REUSEADDR);
	int c = bound(AF_INET), d = bound(AF_INET);

	connect_to(peer, AF_INET, "127.0.0.1", port_of(c));
	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port, "peer"));
	CHECK_OK(send_to(d, AF_INET, "127.0.0.1", port, "addr"));
	expect(peer, "peer");
	expect(addr, "addr");
	expect_nothing(any);
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
	int a = sharing(AF_INET, "127.0.0.1", 0, SO_REUSEADDR), b = sharing(AF_INET, "127.0.0.1", port_of(a), SO_REUSEADDR), c = bound(AF_INET);

	CHECK_OK(send_to(c, AF_INET, "127.0.0.1", port_of(a), "x"));
	expect(b, "x");
	expect_nothing(a);
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
		int c = bound(AF_INET), hits = 0;

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
	int one = bound(AF_INET), two = udp(AF_INET), on = 1;

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
	set(two, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_OK(bind(two, (struct sockaddr *)&a, n));
	close(one);
	close(two);
}

TEST(a_socket_of_a_device_hears_that_device)
{
	int s = bound_to(AF_INET, "0.0.0.0", 0), c = bound(AF_INET);
	char name[IFNAMSIZ];
	socklen_t n = sizeof(name);

	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
	CHECK_EQ(n, 0);
	CHECK_ERR(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nothere0", 9), ENODEV);
	if (setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0) {
		CHECK_EQ(errno, EPERM);
		SKIP("not allowed here");
	}
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
	int s = bound(AF_INET), c = bound(AF_INET), got = 0, size = 4096, sent = 500;
	char buf[256] = { 0 };
	struct sockaddr_storage to;
	socklen_t n = name_of(&to, AF_INET, "127.0.0.1", port_of(s));

	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	CHECK_EQ(get(s, SOL_SOCKET, SO_RCVBUF), 8192);
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
	int c = bound(AF_INET), s = bound(AF_INET);
	char buf[8];

	CHECK_ERR(shutdown(c, SHUT_WR), ENOTCONN);
	connect_to(c, AF_INET, "127.0.0.1", port_of(s));
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

/* --- groups ------------------------------------------------------------------------------------------------------------------ */

#define GROUP "239.7.7.7"
#define GROUP_OTHER "239.7.7.8"
#define GROUP6 "ff02::7777"

static void join4(int fd, int option, const char *group)
{
	struct ip_mreqn m = { .imr_ifindex = 1 };

	CHECK_EQ(inet_pton(AF_INET, group, &m.imr_multiaddr), 1);
	CHECK_OK(setsockopt(fd, IPPROTO_IP, option, &m, sizeof(m)));
}

/* An interface with IPv6 besides loopback, through which Linux does not send to IPv6 groups. */
static int card(void)
{
	int fd = udp(AF_INET6), index = 0;

	/* A machine that has just started looks first whether somebody else has its address. */
	for (int k = 0; k < 16 * 40 && !index; k++) {
		int i = k % 16;
		struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_scope_id = i, .sin6_port = htons(9) };
		struct ifreq r = { .ifr_ifindex = i };

		if (!i)
			usleep(100000);
		if (ioctl(fd, SIOCGIFNAME, &r) < 0)
			continue;
		CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &r));
		CHECK_EQ(inet_pton(AF_INET6, GROUP6, &a.sin6_addr), 1);
		if (r.ifr_flags & IFF_UP && !(r.ifr_flags & IFF_LOOPBACK) && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			index = i;
	}
	close(fd);
	if (!index)
		SKIP("no interface with IPv6");
	return index;
}

/* A socket that sends to groups: through loopback, or with IPv6 through a card. */
static int speaker(int family)
{
	int fd = bound_to(family, family == AF_INET ? "0.0.0.0" : "::", 0);

	if (family == AF_INET) {
		struct ip_mreqn m = { .imr_ifindex = 1, .imr_address.s_addr = htonl(INADDR_LOOPBACK) };

		CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)));
	} else {
		set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, card());
	}
	return fd;
}

TEST(every_member_of_a_group_gets_a_copy)
{
	int a = sharing(AF_INET, "0.0.0.0", 0, SO_REUSEADDR), port = port_of(a), b = sharing(AF_INET, "0.0.0.0", port, SO_REUSEADDR);
	int other = sharing(AF_INET, "0.0.0.0", port, SO_REUSEADDR), s = speaker(AF_INET);

	join4(a, IP_ADD_MEMBERSHIP, GROUP);
	join4(b, IP_ADD_MEMBERSHIP, GROUP);
	set(other, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	join4(other, IP_ADD_MEMBERSHIP, GROUP_OTHER);
	CHECK_EQ(CHECK_OK(send_to(s, AF_INET, GROUP, port, "both")), 4);
	expect(a, "both");
	expect(b, "both");
	expect_nothing(other);
	join4(b, IP_DROP_MEMBERSHIP, GROUP);
	set(b, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "one"));
	expect(a, "one");
	expect_nothing(b);
	/* Who has joined nothing hears what others have joined, unless it does not want to. */
	set(b, IPPROTO_IP, IP_MULTICAST_ALL, 1);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "all"));
	expect(a, "all");
	expect(b, "all");
	close(a);
	close(b);
	close(other);
	close(s);
}

TEST(every_member_of_a_group_gets_a_copy_on_ipv6)
{
	int a = sharing(AF_INET6, "::", 0, SO_REUSEADDR), port = port_of(a), b = sharing(AF_INET6, "::", port, SO_REUSEADDR);
	struct ipv6_mreq m = { .ipv6mr_interface = (unsigned)card() };
	int s = speaker(AF_INET6);

	CHECK_EQ(inet_pton(AF_INET6, GROUP6, &m.ipv6mr_multiaddr), 1);
	CHECK_OK(setsockopt(a, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)));
	CHECK_ERR(setsockopt(a, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)), EADDRINUSE);
	CHECK_OK(setsockopt(b, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)));
	CHECK_OK(send_to(s, AF_INET6, GROUP6, port, "both"));
	expect(a, "both");
	expect(b, "both");
	CHECK_OK(setsockopt(b, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m, sizeof(m)));
	CHECK_ERR(setsockopt(b, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m, sizeof(m)), EADDRNOTAVAIL);
	set(b, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
	CHECK_OK(send_to(s, AF_INET6, GROUP6, port, "one"));
	expect(a, "one");
	expect_nothing(b);
	m.ipv6mr_multiaddr = in6addr_loopback;
	CHECK_ERR(setsockopt(b, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)), EINVAL);
	close(a);
	close(b);
	close(s);
}

TEST(groups_are_joined_by_any_of_the_calls)
{
	struct ip_mreq mr = { .imr_interface.s_addr = htonl(INADDR_LOOPBACK) };
	struct group_req g = { .gr_interface = 1 };
	struct sockaddr_in *in = (struct sockaddr_in *)&g.gr_group;
	int a = bound_to(AF_INET, "0.0.0.0", 0), six = bound_to(AF_INET6, "::", 0), s = speaker(AF_INET), tcp;

	CHECK_EQ(inet_pton(AF_INET, GROUP, &mr.imr_multiaddr), 1);
	CHECK_OK(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)));
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)), EADDRINUSE);
	in->sin_family = AF_INET;
	in->sin_addr = mr.imr_multiaddr;
	CHECK_ERR(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)), EADDRINUSE);
	CHECK_OK(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof(g)));
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &mr, sizeof(mr)), EADDRNOTAVAIL);
	CHECK_OK(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)));
	CHECK_OK(send_to(s, AF_INET, GROUP, port_of(a), "hear"));
	expect(a, "hear");
	/* IPv4 groups of an AF_INET6 socket, as the JDK joins them. */
	CHECK_OK(setsockopt(six, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)));
	CHECK_OK(send_to(s, AF_INET, GROUP, port_of(six), "six"));
	expect(six, "six");
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr) - 1), EINVAL);
	mr.imr_multiaddr.s_addr = htonl(0x0a000001);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)), EINVAL);
	CHECK_EQ(inet_pton(AF_INET, GROUP, &mr.imr_multiaddr), 1);
	mr.imr_interface.s_addr = htonl(0xc0000207);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)), ENODEV);
	g.gr_interface = 200;
	CHECK_ERR(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)), ENODEV);
	g.gr_interface = 1;
	g.gr_group.ss_family = AF_INET6;
	CHECK_ERR(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof(g)), EINVAL);
	tcp = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	mr.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_ERR(setsockopt(tcp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr, sizeof(mr)), EPROTO);
	close(tcp);
	close(a);
	close(six);
	close(s);
}

static int source_option(int fd, int option, const char *source)
{
	struct ip_mreq_source m = { .imr_interface.s_addr = htonl(INADDR_LOOPBACK) };

	CHECK_EQ(inet_pton(AF_INET, GROUP, &m.imr_multiaddr), 1);
	CHECK_EQ(inet_pton(AF_INET, source, &m.imr_sourceaddr), 1);
	return setsockopt(fd, IPPROTO_IP, option, &m, sizeof(m));
}

TEST(sources_are_chosen_and_refused)
{
	int a = bound_to(AF_INET, "0.0.0.0", 0), s = speaker(AF_INET), port = port_of(a);

	/* Only these ... */
	CHECK_OK(source_option(a, IP_ADD_SOURCE_MEMBERSHIP, "192.0.2.9"));
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "no"));
	expect_nothing(a);
	CHECK_OK(source_option(a, IP_ADD_SOURCE_MEMBERSHIP, "127.0.0.1"));
	CHECK_ERR(source_option(a, IP_ADD_SOURCE_MEMBERSHIP, "127.0.0.1"), EADDRNOTAVAIL);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "yes"));
	expect(a, "yes");
	CHECK_ERR(source_option(a, IP_BLOCK_SOURCE, "127.0.0.1"), EINVAL);
	CHECK_OK(source_option(a, IP_DROP_SOURCE_MEMBERSHIP, "127.0.0.1"));
	CHECK_ERR(source_option(a, IP_DROP_SOURCE_MEMBERSHIP, "127.0.0.1"), EADDRNOTAVAIL);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "no"));
	expect_nothing(a);
	CHECK_OK(source_option(a, IP_DROP_SOURCE_MEMBERSHIP, "192.0.2.9"));
	CHECK_ERR(source_option(a, IP_DROP_SOURCE_MEMBERSHIP, "192.0.2.9"), EINVAL);
	/* ... or all but these. */
	join4(a, IP_ADD_MEMBERSHIP, GROUP);
	CHECK_OK(source_option(a, IP_BLOCK_SOURCE, "127.0.0.1"));
	CHECK_ERR(source_option(a, IP_ADD_SOURCE_MEMBERSHIP, "127.0.0.1"), EINVAL);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "no"));
	expect_nothing(a);
	CHECK_OK(source_option(a, IP_UNBLOCK_SOURCE, "127.0.0.1"));
	CHECK_ERR(source_option(a, IP_UNBLOCK_SOURCE, "127.0.0.1"), EADDRNOTAVAIL);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "yes"));
	expect(a, "yes");
	close(a);
	close(s);
}

TEST(sources_are_chosen_on_ipv6)
{
	int a = bound_to(AF_INET6, "::", 0), s = speaker(AF_INET6), port = port_of(a);
	struct group_source_req g = { .gsr_interface = (uint32_t)card() };
	struct sockaddr_in6 *group = (struct sockaddr_in6 *)&g.gsr_group, *source = (struct sockaddr_in6 *)&g.gsr_source, own;
	socklen_t n = sizeof(own);

	group->sin6_family = source->sin6_family = AF_INET6;
	CHECK_EQ(inet_pton(AF_INET6, GROUP6, &group->sin6_addr), 1);
	CHECK_EQ(inet_pton(AF_INET6, "fd00::9", &source->sin6_addr), 1);
	CHECK_OK(setsockopt(a, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, &g, sizeof(g)));
	CHECK_OK(send_to(s, AF_INET6, GROUP6, port, "no"));
	expect_nothing(a);
	/* Where the speaker's datagrams come from. */
	int c = udp(AF_INET6);
	struct sockaddr_in6 to = *group;

	to.sin6_scope_id = g.gsr_interface;
	to.sin6_port = htons(9);
	CHECK_OK(connect(c, (struct sockaddr *)&to, sizeof(to)));
	CHECK_OK(getsockname(c, (struct sockaddr *)&own, &n));
	close(c);
	source->sin6_addr = own.sin6_addr;
	CHECK_OK(setsockopt(a, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, &g, sizeof(g)));
	CHECK_OK(send_to(s, AF_INET6, GROUP6, port, "yes"));
	expect(a, "yes");
	CHECK_OK(setsockopt(a, IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP, &g, sizeof(g)));
	g.gsr_source.ss_family = AF_INET;
	CHECK_ERR(setsockopt(a, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, &g, sizeof(g)), EADDRNOTAVAIL);
	close(a);
	close(s);
}

TEST(a_datagram_to_a_group_tells_so)
{
	int a = bound_to(AF_INET, "0.0.0.0", 0), s = speaker(AF_INET);
	struct in_pktinfo info;
	union control ctl;
	struct msghdr h;
	char buf[8];

	set(a, IPPROTO_IP, IP_PKTINFO, 1);
	set(a, IPPROTO_IP, IP_RECVTTL, 1);
	join4(a, IP_ADD_MEMBERSHIP, GROUP);
	set(s, IPPROTO_IP, IP_MULTICAST_TTL, 5);
	CHECK_OK(send_to(s, AF_INET, GROUP, port_of(a), "abc"));
	CHECK(events_of(a, POLLIN, 5000) & POLLIN);
	CHECK_EQ(CHECK_OK(receive(a, &ctl, sizeof(ctl), &h, buf, sizeof(buf))), 3);
	memcpy(&info, CMSG_DATA(find(&h, IPPROTO_IP, IP_PKTINFO)), sizeof(info));
	CHECK_EQ(info.ipi_ifindex, 1);
	CHECK_EQ(ntohl(info.ipi_addr.s_addr), 0xef070707);
	/* An address of this machine. */
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr = info.ipi_spec_dst };
	int b = udp(AF_INET);

	CHECK(own.sin_addr.s_addr != 0);
	CHECK_OK(bind(b, (struct sockaddr *)&own, sizeof(own)));
	close(b);
	CHECK_EQ(number(&h, IPPROTO_IP, IP_TTL), 5);
	close(a);
	close(s);
}

TEST(a_socket_bound_to_a_group_hears_that_group)
{
	int port = free_port(AF_INET), a = sharing(AF_INET, GROUP, port, SO_REUSEADDR), b = sharing(AF_INET, GROUP_OTHER, port, SO_REUSEADDR);
	int s = speaker(AF_INET);

	join4(a, IP_ADD_MEMBERSHIP, GROUP);
	join4(b, IP_ADD_MEMBERSHIP, GROUP_OTHER);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "one"));
	expect(a, "one");
	expect_nothing(b);
	close(a);
	close(b);
	close(s);
}

TEST(options_of_groups_read_back)
{
	struct ip_mreqn m = { .imr_ifindex = 200 };
	struct in_addr addr = { htonl(INADDR_LOOPBACK) }, got = { 1 };
	socklen_t n = sizeof(got);
	int a = udp(AF_INET), six = udp(AF_INET6), tcp = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), v;
	unsigned char byte = 7;

	CHECK_EQ(get(a, IPPROTO_IP, IP_MULTICAST_TTL), 1);
	CHECK_EQ(get(a, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
	CHECK_EQ(get(a, IPPROTO_IP, IP_MULTICAST_ALL), 1);
	CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 1);
	CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 1);
	CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_MULTICAST_IF), 0);
	CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_MULTICAST_ALL), 1);
	CHECK_OK(setsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &byte, 1));
	CHECK_EQ(get(a, IPPROTO_IP, IP_MULTICAST_TTL), 7);
	set(a, IPPROTO_IP, IP_MULTICAST_TTL, -1);
	CHECK_EQ(get(a, IPPROTO_IP, IP_MULTICAST_TTL), 1);
	v = 256;
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &v, sizeof(v)), EINVAL);
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &v, sizeof(v)), EINVAL);
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, sizeof(v)), ENODEV);
	v = 2;
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &v, sizeof(v)), EINVAL);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_MULTICAST_ALL, &v, sizeof(v)), EINVAL);
	CHECK_ERR(setsockopt(tcp, IPPROTO_IP, IP_MULTICAST_TTL, &v, sizeof(v)), EINVAL);
	set(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9);
	CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 9);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)), EADDRNOTAVAIL);
	CHECK_OK(setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &addr, sizeof(addr)));
	CHECK_OK(getsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &got, &n));
	CHECK_EQ(got.s_addr, addr.s_addr);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &addr, 3), EINVAL);
	/* A byte for who has room for one only. */
	n = 1;
	byte = 99;
	CHECK_OK(getsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &byte, &n));
	CHECK_EQ(n, 1);
	CHECK_EQ(byte, 1);
	/* Both families' options of one socket. */
	set(six, IPPROTO_IP, IP_TTL, 11);
	set(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 12);
	CHECK_EQ(get(six, IPPROTO_IP, IP_TTL), 11);
	CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 12);
	close(a);
	close(six);
	close(tcp);
}

TEST_MAIN("udp")
