/* Netlink as programs ask it about the network: getifaddrs, if_nameindex, getaddrinfo, and the messages themselves. */
#include "net.h"
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netdb.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>

#define SEQ 4711

static int open_netlink(void) { return (int)CHECK_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)); }

static uint32_t own_pid(int fd)
{
	struct sockaddr_nl nl = { 0 };
	socklen_t len = sizeof(nl);

	CHECK_OK(getsockname(fd, (void *)&nl, &len));
	CHECK_EQ(len, sizeof(nl));
	CHECK_EQ(nl.nl_family, AF_NETLINK);
	return nl.nl_pid;
}

struct request {
	struct nlmsghdr h;
	union {
		struct rtgenmsg any;
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
	};
	char attributes[64];
};

static ssize_t ask(int fd, struct request *r)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(fd, r, r->h.nlmsg_len, 0, (void *)&kernel, sizeof(kernel));
}

static void ask_dump(int fd, int type, int family)
{
	struct request r = { .h = { NLMSG_LENGTH(sizeof(struct rtgenmsg)), (uint16_t)type, NLM_F_REQUEST | NLM_F_DUMP, SEQ, 0 },
			     .any.rtgen_family = (uint8_t)family };

	CHECK_EQ(ask(fd, &r), r.h.nlmsg_len);
}

/* Reads the parts of a dump, calls `each` for each message of that type, and answers how many there were. */
static int dump(int fd, int type, void (*each)(struct nlmsghdr *h, void *arg), void *arg)
{
	static _Thread_local char data[32768] __attribute__((aligned(8)));
	uint32_t pid = own_pid(fd);
	int n = 0;

	for (;;) {
		struct sockaddr_nl from;
		socklen_t flen = sizeof(from);
		ssize_t len = CHECK_OK(recvfrom(fd, data, sizeof(data), 0, (void *)&from, &flen));
		struct nlmsghdr *h = (void *)data;

		CHECK_EQ(flen, sizeof(from));
		CHECK_EQ(from.nl_pid, 0);
		for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			CHECK_EQ(h->nlmsg_seq, SEQ);
			CHECK_EQ(h->nlmsg_pid, pid);
			CHECK(h->nlmsg_flags & NLM_F_MULTI);
			if (h->nlmsg_type == NLMSG_DONE) {
				CHECK(h->nlmsg_len >= NLMSG_LENGTH(sizeof(int)));
				CHECK_EQ(*(int *)NLMSG_DATA(h), 0);
				return n;
			}
			CHECK_EQ(h->nlmsg_type, type);
			n++;
			if (each)
				each(h, arg);
		}
		CHECK_EQ(len, 0);
	}
}

/* The error of the message that is next, which must be an answer to seq; 0 is an acknowledgement. */
static int answered_error(int fd, uint32_t seq)
{
	char data[8192] __attribute__((aligned(8)));
	ssize_t len = CHECK_OK(recv(fd, data, sizeof(data), MSG_DONTWAIT));
	struct nlmsghdr *h = (void *)data;

	CHECK(NLMSG_OK(h, len));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	CHECK_EQ(h->nlmsg_seq, seq);
	CHECK_EQ(h->nlmsg_pid, own_pid(fd));
	return -((struct nlmsgerr *)NLMSG_DATA(h))->error;
}

/* --- what libraries make of it ------------------------------------------------------------------------ */

TEST(getifaddrs_knows_loopback)
{
	struct ifaddrs *all, *i;
	bool v4 = false, link = false;

	CHECK_OK(getifaddrs(&all));
	for (i = all; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo") || !i->ifa_addr)
			continue;
		CHECK(i->ifa_flags & IFF_LOOPBACK);
		CHECK(i->ifa_flags & IFF_UP);
		if (i->ifa_addr->sa_family == AF_INET) {
			struct sockaddr_in *addr = (void *)i->ifa_addr, *mask = (void *)i->ifa_netmask;

			if (addr->sin_addr.s_addr != htonl(INADDR_LOOPBACK))
				continue;
			v4 = true;
			CHECK_EQ(ntohl(mask->sin_addr.s_addr), 0xff000000);
		} else if (i->ifa_addr->sa_family == AF_PACKET) {
			struct sockaddr_ll *ll = (void *)i->ifa_addr;

			link = true;
			CHECK_EQ(ll->sll_ifindex, if_nametoindex("lo"));
			CHECK_EQ(ll->sll_hatype, ARPHRD_LOOPBACK);
			CHECK_EQ(ll->sll_halen, 6);
			CHECK(i->ifa_data);
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			CHECK(IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr));
		}
	}
	freeifaddrs(all);
	CHECK(v4 && link);
}

TEST(names_and_numbers_of_interfaces_agree)
{
	struct if_nameindex *all = if_nameindex(), *i;
	char name[IF_NAMESIZE];
	bool lo = false;

	CHECK(all);
	for (i = all; i->if_index; i++) {
		CHECK_EQ(if_nametoindex(i->if_name), i->if_index);
		CHECK_STR(if_indextoname(i->if_index, name), i->if_name);
		lo |= !strcmp(name, "lo");
	}
	CHECK(lo);
	if_freenameindex(all);
	CHECK_EQ(if_nametoindex("no-such-one"), 0);
	CHECK_EQ(errno, ENODEV);
	CHECK(!if_indextoname(30000, name));
	CHECK_EQ(errno, ENXIO);
}

TEST(getaddrinfo_asks_which_kinds_of_addresses_there_are)
{
	struct addrinfo hints = { .ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM }, *found;
	char text[64];

	CHECK_EQ(getaddrinfo("127.0.0.1", "80", &hints, &found), 0);
	CHECK_EQ(found->ai_family, AF_INET);
	freeaddrinfo(found);
	CHECK_EQ(getaddrinfo("localhost", "80", &hints, &found), 0);
	CHECK_EQ(getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST), 0);
	CHECK_MSG(!strcmp(text, "127.0.0.1") || !strcmp(text, "::1"), "localhost is %s", text);
	freeaddrinfo(found);
}

/* --- dumps ---------------------------------------------------------------------------------------------- */

static void *attribute(struct nlmsghdr *h, size_t body, int type, size_t want)
{
	struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(body));
	int len = (int)(h->nlmsg_len - NLMSG_SPACE(body));

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type != type)
			continue;
		CHECK_EQ(RTA_PAYLOAD(a), want);
		return RTA_DATA(a);
	}
	return NULL;
}

static void look_at_link(struct nlmsghdr *h, void *arg)
{
	struct ifinfomsg *m = NLMSG_DATA(h);

	CHECK(m->ifi_index > 0);
	CHECK(attribute(h, sizeof(*m), IFLA_MTU, 4));
	CHECK(attribute(h, sizeof(*m), IFLA_OPERSTATE, 1));
	if (m->ifi_type != ARPHRD_LOOPBACK)
		return;
	CHECK_STR((char *)attribute(h, sizeof(*m), IFLA_IFNAME, 3), "lo");
	CHECK(m->ifi_flags & IFF_LOOPBACK);
	CHECK_EQ(*(uint32_t *)attribute(h, sizeof(*m), IFLA_MTU, 4), 65536);
	CHECK(attribute(h, sizeof(*m), IFLA_ADDRESS, 6));
	(*(int *)arg)++;
}

TEST(a_dump_of_links)
{
	int fd = open_netlink(), loopbacks = 0;

	ask_dump(fd, RTM_GETLINK, AF_UNSPEC);
	CHECK(dump(fd, RTM_NEWLINK, look_at_link, &loopbacks) >= 1);
	CHECK_EQ(loopbacks, 1);
	nothing_comes(fd);
	close(fd);
}

struct seen {
	int families[AF_MAX];
	bool loopback;
};

static void look_at_address(struct nlmsghdr *h, void *arg)
{
	struct ifaddrmsg *m = NLMSG_DATA(h);
	struct seen *s = arg;

	CHECK(m->ifa_family == AF_INET || m->ifa_family == AF_INET6);
	s->families[m->ifa_family]++;
	CHECK(m->ifa_index > 0);
	CHECK(attribute(h, sizeof(*m), IFA_FLAGS, 4));
	CHECK(attribute(h, sizeof(*m), IFA_CACHEINFO, sizeof(struct ifa_cacheinfo)));
	if (m->ifa_family == AF_INET6) {
		CHECK(attribute(h, sizeof(*m), IFA_ADDRESS, 16));
		return;
	}
	CHECK(attribute(h, sizeof(*m), IFA_ADDRESS, 4));
	if (*(uint32_t *)attribute(h, sizeof(*m), IFA_LOCAL, 4) != htonl(INADDR_LOOPBACK))
		return;
	s->loopback = true;
	CHECK_EQ(m->ifa_prefixlen, 8);
	CHECK_EQ(m->ifa_scope, RT_SCOPE_HOST);
	CHECK(m->ifa_flags & IFA_F_PERMANENT);
	CHECK(!attribute(h, sizeof(*m), IFA_BROADCAST, 4));
	CHECK_STR((char *)attribute(h, sizeof(*m), IFA_LABEL, 3), "lo");
}

TEST(a_dump_of_addresses)
{
	struct seen all = { 0 }, four = { 0 }, six = { 0 };
	int fd = open_netlink();

	ask_dump(fd, RTM_GETADDR, AF_UNSPEC);
	dump(fd, RTM_NEWADDR, look_at_address, &all);
	CHECK(all.loopback);
	ask_dump(fd, RTM_GETADDR, AF_INET);
	dump(fd, RTM_NEWADDR, look_at_address, &four);
	CHECK(four.loopback);
	CHECK_EQ(four.families[AF_INET6], 0);
	ask_dump(fd, RTM_GETADDR, AF_INET6);
	dump(fd, RTM_NEWADDR, look_at_address, &six);
	CHECK_EQ(six.families[AF_INET], 0);
	CHECK_EQ(all.families[AF_INET], four.families[AF_INET]);
	CHECK_EQ(all.families[AF_INET6], six.families[AF_INET6]);
	close(fd);
}

static void look_at_route(struct nlmsghdr *h, void *arg)
{
	struct rtmsg *m = NLMSG_DATA(h);
	uint32_t *to;

	CHECK_EQ(*(uint32_t *)attribute(h, sizeof(*m), RTA_TABLE, 4), m->rtm_table);
	if (m->rtm_family != AF_INET || m->rtm_type != RTN_LOCAL || m->rtm_dst_len != 8)
		return;
	CHECK_EQ(m->rtm_table, RT_TABLE_LOCAL);
	CHECK_EQ(m->rtm_scope, RT_SCOPE_HOST);
	to = attribute(h, sizeof(*m), RTA_DST, 4);
	CHECK_EQ(ntohl(*to), 0x7f000000);
	CHECK_EQ(*(int *)attribute(h, sizeof(*m), RTA_OIF, 4), if_nametoindex("lo"));
	(*(int *)arg)++;
}

TEST(a_dump_of_routes)
{
	int fd = open_netlink(), found = 0;

	ask_dump(fd, RTM_GETROUTE, AF_INET);
	CHECK(dump(fd, RTM_NEWROUTE, look_at_route, &found) >= 2);
	CHECK_EQ(found, 1);
	ask_dump(fd, RTM_GETROUTE, AF_UNSPEC);
	dump(fd, RTM_NEWROUTE, look_at_route, &found);
	CHECK_EQ(found, 2);
	close(fd);
}

/* --- single requests ------------------------------------------------------------------------------------- */

static int one_link(int fd, int index, const char *name, struct nlmsghdr *answer, size_t room)
{
	struct request r = { .h = { NLMSG_LENGTH(sizeof(struct ifinfomsg)), RTM_GETLINK, NLM_F_REQUEST, SEQ, 0 }, .link.ifi_index = index };

	if (name) {
		struct rtattr *a = (void *)((char *)&r + NLMSG_SPACE(sizeof(struct ifinfomsg)));

		a->rta_type = IFLA_IFNAME;
		a->rta_len = RTA_LENGTH(strlen(name) + 1);
		strcpy(RTA_DATA(a), name);
		r.h.nlmsg_len = NLMSG_SPACE(sizeof(struct ifinfomsg)) + a->rta_len;
	}
	CHECK_EQ(ask(fd, &r), r.h.nlmsg_len);
	CHECK_OK(recv(fd, answer, room, 0));
	CHECK_EQ(answer->nlmsg_seq, SEQ);
	return answer->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(answer))->error : 0;
}

TEST(one_link_by_number_or_name)
{
	char data[8192] __attribute__((aligned(8)));
	struct nlmsghdr *h = (void *)data;
	int fd = open_netlink(), lo = (int)if_nametoindex("lo");

	CHECK_EQ(one_link(fd, lo, NULL, h, sizeof(data)), 0);
	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	CHECK(!(h->nlmsg_flags & NLM_F_MULTI));
	CHECK_STR((char *)attribute(h, sizeof(struct ifinfomsg), IFLA_IFNAME, 3), "lo");
	CHECK_EQ(one_link(fd, 0, "lo", h, sizeof(data)), 0);
	CHECK_EQ(((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index, lo);
	nothing_comes(fd);
	CHECK_EQ(one_link(fd, 30000, NULL, h, sizeof(data)), ENODEV);
	CHECK_EQ(one_link(fd, 0, "none-such", h, sizeof(data)), ENODEV);
	CHECK_EQ(one_link(fd, 0, NULL, h, sizeof(data)), EINVAL);
	close(fd);
}

TEST(a_request_that_nobody_knows_is_an_error_with_the_request_in_it)
{
	struct request r = { .h = { NLMSG_LENGTH(sizeof(struct rtgenmsg)), RTM_MAX + 1, NLM_F_REQUEST, SEQ, 0 } };
	char data[8192] __attribute__((aligned(8)));
	struct nlmsghdr *h = (void *)data;
	struct nlmsgerr *e = NLMSG_DATA(h);
	int fd = open_netlink(), on = 1;

	CHECK_EQ(ask(fd, &r), r.h.nlmsg_len);
	CHECK_EQ(recv(fd, data, sizeof(data), 0), NLMSG_SPACE(sizeof(int) + NLMSG_LENGTH(sizeof(struct rtgenmsg))));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	CHECK_EQ(h->nlmsg_flags, 0);
	CHECK_EQ(e->error, -EOPNOTSUPP);
	CHECK(!memcmp(&e->msg, &r.h, sizeof(r.h)));
	/* With this option only its header is. */
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)));
	CHECK_EQ(ask(fd, &r), r.h.nlmsg_len);
	CHECK_EQ(recv(fd, data, sizeof(data), 0), NLMSG_LENGTH(sizeof(*e)));
	CHECK_EQ(h->nlmsg_flags, NLM_F_CAPPED);
	close(fd);
}

TEST(acknowledgements_come_when_asked_for)
{
	struct request r = { .h = { NLMSG_HDRLEN, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 7, 0 } };
	int fd = open_netlink();

	CHECK_EQ(ask(fd, &r), NLMSG_HDRLEN);
	CHECK_EQ(answered_error(fd, 7), 0);
	r.h.nlmsg_flags = NLM_F_REQUEST;
	CHECK_EQ(ask(fd, &r), NLMSG_HDRLEN);
	nothing_comes(fd);
	/* What is no request is not looked at. */
	r.h.nlmsg_type = RTM_MAX + 1;
	r.h.nlmsg_flags = 0;
	CHECK_EQ(ask(fd, &r), NLMSG_HDRLEN);
	nothing_comes(fd);
	close(fd);
}

TEST(malformed_messages_are_passed_over)
{
	char bytes[64] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *h = (void *)bytes;
	int fd = open_netlink();

	CHECK_EQ(send(fd, bytes, 3, 0), 3);
	nothing_comes(fd);
	*h = (struct nlmsghdr){ 8, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, SEQ, 0 };
	CHECK_EQ(send(fd, bytes, 32, 0), 32);
	nothing_comes(fd);
	h->nlmsg_len = 4000;
	CHECK_EQ(send(fd, bytes, 32, 0), 32);
	nothing_comes(fd);
	h->nlmsg_len = UINT32_MAX;
	CHECK_EQ(send(fd, bytes, 32, 0), 32);
	nothing_comes(fd);
	/* Too short for the body that all requests begin with. */
	h->nlmsg_len = NLMSG_HDRLEN;
	CHECK_EQ(send(fd, bytes, NLMSG_HDRLEN, 0), NLMSG_HDRLEN);
	nothing_comes(fd);
	/* An attribute that is longer than its message is not there. */
	*h = (struct nlmsghdr){ NLMSG_LENGTH(sizeof(struct ifinfomsg)) + 4, RTM_GETLINK, NLM_F_REQUEST, 9, 0 };
	memset(bytes + NLMSG_LENGTH(sizeof(struct ifinfomsg)), 0xff, 4);
	CHECK_EQ(send(fd, bytes, h->nlmsg_len, 0), h->nlmsg_len);
	CHECK_EQ(answered_error(fd, 9), EINVAL);
	CHECK_ERR(send(fd, "", 0, 0), ENODATA);
	CHECK_ERR(send(fd, BAD_PTR, 32, 0), EFAULT);
	close(fd);
}

/* Any attributes and lengths behind any question; only questions, since this runs on Linux, too. */
TEST(questions_of_any_bytes_do_no_harm)
{
	static const uint16_t types[] = { RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE, RTM_GETQDISC };
	static char answer[65536], bytes[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = (void *)bytes;
	int fd = open_netlink(), loopbacks = 0;
	unsigned seed = 1;

	for (int round = 0; round < 3000; round++) {
		size_t len = NLMSG_HDRLEN + (size_t)rand_r(&seed) % (sizeof(bytes) - NLMSG_HDRLEN);

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)(rand_r(&seed) % 8 ? rand_r(&seed) % 40 : rand_r(&seed));
		h->nlmsg_len = rand_r(&seed) % 8 ? (uint32_t)len : (uint32_t)rand_r(&seed) % 300;
		h->nlmsg_type = types[(size_t)rand_r(&seed) % (sizeof(types) / sizeof(*types))];
		h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (rand_r(&seed) % 2 ? NLM_F_DUMP : 0) | (rand_r(&seed) % 4 ? 0 : NLM_F_ACK));
		CHECK_EQ(send(fd, bytes, len, 0), len);
		while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			;
		CHECK(errno == EAGAIN || errno == ENOBUFS);
	}
	close(fd);
	fd = open_netlink();
	ask_dump(fd, RTM_GETLINK, AF_UNSPEC);
	dump(fd, RTM_NEWLINK, look_at_link, &loopbacks);
	CHECK_EQ(loopbacks, 1);
	close(fd);
}

static void *dump_again_and_again(void *arg)
{
	for (int i = 0; i < 200; i++) {
		int fd = open_netlink();

		ask_dump(fd, i % 2 ? RTM_GETADDR : RTM_GETROUTE, AF_UNSPEC);
		CHECK(dump(fd, i % 2 ? RTM_NEWADDR : RTM_NEWROUTE, NULL, NULL) >= 1);
		close(fd);
	}
	return arg;
}

TEST(many_ask_at_once)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(dump_again_and_again, NULL);
	for (int i = 0; i < 4; i++)
		thread_join(threads[i], NULL);
}

TEST(two_requests_in_one_datagram)
{
	struct nlmsghdr two[2] = { { NLMSG_HDRLEN, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
				   { NLMSG_HDRLEN, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 2, 0 } };
	int fd = open_netlink();

	CHECK_EQ(send(fd, two, sizeof(two), 0), sizeof(two));
	CHECK_EQ(answered_error(fd, 1), 0);
	CHECK_EQ(answered_error(fd, 2), 0);
	close(fd);
}

/* --- sockets ----------------------------------------------------------------------------------------------- */

TEST(numbers_of_sockets)
{
	int a = open_netlink(), b = open_netlink(), c = open_netlink();
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
	uint32_t mine = 0x40000000u + (uint32_t)getpid();

	CHECK_EQ(own_pid(a), 0);
	CHECK_OK(bind(a, (void *)&nl, sizeof(nl)));
	CHECK_OK(bind(b, (void *)&nl, sizeof(nl)));
	CHECK(own_pid(a) != 0);
	CHECK(own_pid(b) != 0);
	CHECK(own_pid(a) != own_pid(b));
	CHECK_ERR(bind(a, (void *)&nl, sizeof(nl)), EINVAL);
	nl.nl_pid = own_pid(a);
	CHECK_OK(bind(a, (void *)&nl, sizeof(nl)));
	nl.nl_pid = mine;
	CHECK_ERR(bind(a, (void *)&nl, sizeof(nl)), EINVAL);
	CHECK_OK(bind(c, (void *)&nl, sizeof(nl)));
	CHECK_EQ(own_pid(c), mine);
	close(a);
	a = open_netlink();
	CHECK_ERR(bind(a, (void *)&nl, sizeof(nl)), EADDRINUSE);
	close(c);
	CHECK_OK(bind(a, (void *)&nl, sizeof(nl)));
	CHECK_ERR(bind(b, (void *)&nl, sizeof(nl) - 1), EINVAL);
	nl.nl_family = AF_INET;
	CHECK_ERR(bind(b, (void *)&nl, sizeof(nl)), EINVAL);
	close(a);
	close(b);
}

TEST(the_peer_is_the_kernel)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(nl);
	int fd = open_netlink();

	CHECK_OK(connect(fd, (void *)&nl, sizeof(nl)));
	CHECK(own_pid(fd) != 0);
	nl.nl_pid = 1;
	CHECK_OK(getpeername(fd, (void *)&nl, &len));
	CHECK_EQ(len, sizeof(nl));
	CHECK_EQ(nl.nl_pid, 0);
	nl = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = 0x7ffffff0 };
	CHECK_ERR(sendto(fd, "0123456789abcdef", 16, 0, (void *)&nl, sizeof(nl)), ECONNREFUSED);
	CHECK_ERR(sendto(fd, "0123456789abcdef", 16, 0, (void *)&nl, 4), EINVAL);
	CHECK_ERR(listen(fd, 1), EOPNOTSUPP);
	CHECK_ERR(accept(fd, NULL, NULL), EOPNOTSUPP);
	CHECK_ERR(shutdown(fd, SHUT_RD), EOPNOTSUPP);
	close(fd);
}

TEST(peeking_tells_the_length)
{
	char small[20], data[32768];
	struct iovec v = { small, sizeof(small) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int fd = open_netlink();
	ssize_t whole;

	ask_dump(fd, RTM_GETLINK, AF_UNSPEC);
	whole = CHECK_OK(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC));
	CHECK(whole > (ssize_t)sizeof(small));
	CHECK_EQ(recvmsg(fd, &m, MSG_PEEK), sizeof(small));
	CHECK_EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
	CHECK_EQ(recvmsg(fd, &m, MSG_PEEK | MSG_TRUNC), whole);
	CHECK_EQ(recv(fd, data, sizeof(data), 0), whole);
	CHECK(!memcmp(data, small, sizeof(small)));
	close(fd);
}

TEST(poll_tells_of_answers)
{
	int fd = open_netlink();
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	ask_dump(fd, RTM_GETADDR, AF_UNSPEC);
	CHECK_EQ(poll(&p, 1, 1000), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT);
	dump(fd, RTM_NEWADDR, NULL, NULL);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	close(fd);
}

TEST(a_wait_for_an_answer_ends_in_time)
{
	struct timeval t = { 0, 100000 };
	int fd = open_netlink();
	int64_t start = now_ns();
	char byte;

	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	CHECK_ERR(recv(fd, &byte, 1, 0), EAGAIN);
	CHECK(now_ns() - start >= 100000000);
	close(fd);
}

TEST(answers_that_nobody_reads_are_lost_and_it_is_said)
{
	struct request r = { .h = { NLMSG_HDRLEN, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 7, 0 } };
	int fd = open_netlink(), size = 4096, got = 0;
	char data[200];
	bool lost = false;
	ssize_t n;

	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	for (int i = 0; i < 200; i++)
		CHECK_EQ(ask(fd, &r), NLMSG_HDRLEN);
	while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0 || errno == ENOBUFS) {
		lost |= n < 0;
		got += n > 0;
		CHECK(got < 200);
	}
	CHECK_EQ(errno, EAGAIN);
	CHECK(lost && got > 1);
	CHECK_EQ(ask(fd, &r), NLMSG_HDRLEN);
	CHECK_EQ(answered_error(fd, 7), 0);
	close(fd);
}

TEST(options_and_groups)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = open_netlink(), group = RTNLGRP_IPV4_IFADDR, v = 0;
	socklen_t len = sizeof(v);

	CHECK_OK(bind(fd, (void *)&nl, sizeof(nl)));
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	len = sizeof(nl);
	CHECK_OK(getsockname(fd, (void *)&nl, &len));
	CHECK_EQ(nl.nl_groups, RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group)));
	CHECK_OK(getsockname(fd, (void *)&nl, &len));
	CHECK_EQ(nl.nl_groups, RTMGRP_LINK);
	group = 0;
	CHECK_ERR(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)), EINVAL);
	group = 5000;
	CHECK_ERR(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)), EINVAL);
	CHECK_ERR(setsockopt(fd, SOL_NETLINK, 29, &group, sizeof(group)), ENOPROTOOPT);
	len = sizeof(v);
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &len));
	CHECK_EQ(v, AF_NETLINK);
	CHECK_OK(getsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &v, &len));
	CHECK_EQ(v, 0);
	v = 1;
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &v, sizeof(v)));
	v = 0;
	CHECK_OK(getsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &v, &len));
	CHECK_EQ(v, 1);
	close(fd);
}

TEST(kinds_of_sockets_that_there_are_not)
{
	CHECK_ERR(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
	CHECK_ERR(socketpair(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, (int[2]){ 0 }), EOPNOTSUPP);
}

/* --- the older way, on a socket of any family ------------------------------------------------------------------ */

static void questions(int fd)
{
	struct ifreq list[32], r = { .ifr_name = "lo" };
	struct ifconf conf = { .ifc_len = 0, .ifc_buf = NULL };
	bool found = false;

	CHECK_OK(ioctl(fd, SIOCGIFINDEX, &r));
	CHECK_EQ(r.ifr_ifindex, if_nametoindex("lo"));
	memset(r.ifr_name, 0, sizeof(r.ifr_name));
	CHECK_OK(ioctl(fd, SIOCGIFNAME, &r));
	CHECK_STR(r.ifr_name, "lo");
	CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &r));
	CHECK_EQ(r.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING), IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	CHECK_OK(ioctl(fd, SIOCGIFMTU, &r));
	CHECK_EQ(r.ifr_mtu, 65536);
	CHECK_OK(ioctl(fd, SIOCGIFTXQLEN, &r));
	CHECK_OK(ioctl(fd, SIOCGIFMETRIC, &r));
	CHECK_EQ(r.ifr_metric, 0);
	CHECK_OK(ioctl(fd, SIOCGIFHWADDR, &r));
	CHECK_EQ(r.ifr_hwaddr.sa_family, ARPHRD_LOOPBACK);
	strcpy(r.ifr_name, "none-such");
	CHECK_ERR(ioctl(fd, SIOCGIFFLAGS, &r), ENODEV);
	CHECK_ERR(ioctl(fd, SIOCGIFFLAGS, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(fd, SIOCGIFCONF, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(fd, 0x12345678, &r), ENOTTY);
	r.ifr_ifindex = 257;
	CHECK_ERR(ioctl(fd, SIOCGIFNAME, &r), ENODEV);
	CHECK_OK(ioctl(fd, SIOCGIFCONF, &conf));
	CHECK(conf.ifc_len >= (int)sizeof(struct ifreq));
	conf = (struct ifconf){ .ifc_len = sizeof(list), .ifc_req = list };
	CHECK_OK(ioctl(fd, SIOCGIFCONF, &conf));
	for (int i = 0; i < conf.ifc_len / (int)sizeof(*list); i++)
		found |= !strcmp(list[i].ifr_name, "lo");
	CHECK(found);
	conf = (struct ifconf){ .ifc_len = sizeof(*list) - 1, .ifc_req = list };
	CHECK_OK(ioctl(fd, SIOCGIFCONF, &conf));
	CHECK_EQ(conf.ifc_len, 0);
	close(fd);
}

static void addresses(int fd)
{
	struct ifreq r = { .ifr_name = "lo" };
	struct sockaddr_in *in = (void *)&r.ifr_addr;

	CHECK_OK(ioctl(fd, SIOCGIFADDR, &r));
	CHECK_EQ(ntohl(in->sin_addr.s_addr), INADDR_LOOPBACK);
	CHECK_EQ(in->sin_family, AF_INET);
	CHECK_OK(ioctl(fd, SIOCGIFNETMASK, &r));
	CHECK_EQ(ntohl(in->sin_addr.s_addr), 0xff000000);
	CHECK_OK(ioctl(fd, SIOCGIFBRDADDR, &r));
	CHECK_EQ(in->sin_addr.s_addr, 0);
}

TEST(sockets_of_every_family_answer_questions_about_interfaces)
{
	int fd = (int)CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));

	addresses(fd);
	questions(fd);
	questions((int)CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)));
	questions((int)CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0)));
	questions((int)CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)));
	questions(open_netlink());
}

TEST_MAIN("netlink")
