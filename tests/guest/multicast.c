/*
 * tests/guest/multicast.c - groups: who gets a copy, every call that joins one, sources, options.
 */
#include "udp.h"
#include <net/if.h>
#include <sys/ioctl.h>

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
	int fd = bound_to(family, SOCK_DGRAM, family == AF_INET ? "0.0.0.0" : "::", 0);

	if (family == AF_INET) {
		struct ip_mreqn m = { .imr_ifindex = 1, .imr_address.s_addr = htonl(INADDR_LOOPBACK) };

		CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m)));
	} else {
		set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, card());
	}
	return fd;
}

TEST(every_member_of_a_group_gets_a_copy)
{
	int a = sharing(AF_INET, "0.0.0.0", 0, SO_REUSEADDR), port = port_of(a), b = sharing(AF_INET, "0.0.0.0", port, SO_REUSEADDR);
	int other = sharing(AF_INET, "0.0.0.0", port, SO_REUSEADDR), s = speaker(AF_INET);

	join4(a, IP_ADD_MEMBERSHIP, GROUP);
	join4(b, IP_ADD_MEMBERSHIP, GROUP);
	set_option(other, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	join4(other, IP_ADD_MEMBERSHIP, GROUP_OTHER);
	CHECK_EQ(CHECK_OK(send_to(s, AF_INET, GROUP, port, "both")), 4);
	expect(a, "both");
	expect(b, "both");
	nothing_comes(other);
	join4(b, IP_DROP_MEMBERSHIP, GROUP);
	set_option(b, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "one"));
	expect(a, "one");
	nothing_comes(b);
	/* Who has joined nothing hears what others have joined, unless it does not want to. */
	set_option(b, IPPROTO_IP, IP_MULTICAST_ALL, 1);
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
	set_option(b, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
	CHECK_OK(send_to(s, AF_INET6, GROUP6, port, "one"));
	expect(a, "one");
	nothing_comes(b);
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
	int a = bound_to(AF_INET, SOCK_DGRAM, "0.0.0.0", 0), six = bound_to(AF_INET6, SOCK_DGRAM, "::", 0), s = speaker(AF_INET), tcp;

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
	int a = bound_to(AF_INET, SOCK_DGRAM, "0.0.0.0", 0), s = speaker(AF_INET), port = port_of(a);

	/* Only these ... */
	CHECK_OK(source_option(a, IP_ADD_SOURCE_MEMBERSHIP, "192.0.2.9"));
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "no"));
	nothing_comes(a);
	CHECK_OK(source_option(a, IP_ADD_SOURCE_MEMBERSHIP, "127.0.0.1"));
	CHECK_ERR(source_option(a, IP_ADD_SOURCE_MEMBERSHIP, "127.0.0.1"), EADDRNOTAVAIL);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "yes"));
	expect(a, "yes");
	CHECK_ERR(source_option(a, IP_BLOCK_SOURCE, "127.0.0.1"), EINVAL);
	CHECK_OK(source_option(a, IP_DROP_SOURCE_MEMBERSHIP, "127.0.0.1"));
	CHECK_ERR(source_option(a, IP_DROP_SOURCE_MEMBERSHIP, "127.0.0.1"), EADDRNOTAVAIL);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "no"));
	nothing_comes(a);
	CHECK_OK(source_option(a, IP_DROP_SOURCE_MEMBERSHIP, "192.0.2.9"));
	CHECK_ERR(source_option(a, IP_DROP_SOURCE_MEMBERSHIP, "192.0.2.9"), EINVAL);
	/* ... or all but these. */
	join4(a, IP_ADD_MEMBERSHIP, GROUP);
	CHECK_OK(source_option(a, IP_BLOCK_SOURCE, "127.0.0.1"));
	CHECK_ERR(source_option(a, IP_ADD_SOURCE_MEMBERSHIP, "127.0.0.1"), EINVAL);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "no"));
	nothing_comes(a);
	CHECK_OK(source_option(a, IP_UNBLOCK_SOURCE, "127.0.0.1"));
	CHECK_ERR(source_option(a, IP_UNBLOCK_SOURCE, "127.0.0.1"), EADDRNOTAVAIL);
	CHECK_OK(send_to(s, AF_INET, GROUP, port, "yes"));
	expect(a, "yes");
	close(a);
	close(s);
}

TEST(sources_are_chosen_on_ipv6)
{
	int a = bound_to(AF_INET6, SOCK_DGRAM, "::", 0), s = speaker(AF_INET6), port = port_of(a);
	struct group_source_req g = { .gsr_interface = (uint32_t)card() };
	struct sockaddr_in6 *group = (struct sockaddr_in6 *)&g.gsr_group, *source = (struct sockaddr_in6 *)&g.gsr_source, own;
	socklen_t n = sizeof(own);

	group->sin6_family = source->sin6_family = AF_INET6;
	CHECK_EQ(inet_pton(AF_INET6, GROUP6, &group->sin6_addr), 1);
	CHECK_EQ(inet_pton(AF_INET6, "fd00::9", &source->sin6_addr), 1);
	CHECK_OK(setsockopt(a, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, &g, sizeof(g)));
	CHECK_OK(send_to(s, AF_INET6, GROUP6, port, "no"));
	nothing_comes(a);
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
	int a = bound_to(AF_INET, SOCK_DGRAM, "0.0.0.0", 0), s = speaker(AF_INET);
	struct in_pktinfo info;
	union control ctl;
	struct msghdr h;
	char buf[8];

	set_option(a, IPPROTO_IP, IP_PKTINFO, 1);
	set_option(a, IPPROTO_IP, IP_RECVTTL, 1);
	join4(a, IP_ADD_MEMBERSHIP, GROUP);
	set_option(s, IPPROTO_IP, IP_MULTICAST_TTL, 5);
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
	nothing_comes(b);
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

	CHECK_EQ(get_option(a, IPPROTO_IP, IP_MULTICAST_TTL), 1);
	CHECK_EQ(get_option(a, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
	CHECK_EQ(get_option(a, IPPROTO_IP, IP_MULTICAST_ALL), 1);
	CHECK_EQ(get_option(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 1);
	CHECK_EQ(get_option(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 1);
	CHECK_EQ(get_option(six, IPPROTO_IPV6, IPV6_MULTICAST_IF), 0);
	CHECK_EQ(get_option(six, IPPROTO_IPV6, IPV6_MULTICAST_ALL), 1);
	CHECK_OK(setsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &byte, 1));
	CHECK_EQ(get_option(a, IPPROTO_IP, IP_MULTICAST_TTL), 7);
	set_option(a, IPPROTO_IP, IP_MULTICAST_TTL, -1);
	CHECK_EQ(get_option(a, IPPROTO_IP, IP_MULTICAST_TTL), 1);
	v = 256;
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &v, sizeof(v)), EINVAL);
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &v, sizeof(v)), EINVAL);
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, sizeof(v)), ENODEV);
	v = 2;
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &v, sizeof(v)), EINVAL);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_MULTICAST_ALL, &v, sizeof(v)), EINVAL);
	CHECK_ERR(setsockopt(tcp, IPPROTO_IP, IP_MULTICAST_TTL, &v, sizeof(v)), EINVAL);
	set_option(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9);
	CHECK_EQ(get_option(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 9);
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
	set_option(six, IPPROTO_IP, IP_TTL, 11);
	set_option(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 12);
	CHECK_EQ(get_option(six, IPPROTO_IP, IP_TTL), 11);
	CHECK_EQ(get_option(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 12);
	close(a);
	close(six);
	close(tcp);
}

TEST_MAIN("multicast")
