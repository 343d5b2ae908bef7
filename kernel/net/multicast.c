/*
 * kernel/net/multicast.c - groups that sockets have joined.
 *
 * Theory:    A socket has its own list of memberships, each with a filter of sources as RFC 3376 (section 3.1) has it: only these, or all
 *            but these. The machine as a whole joins a group on an interface with the first socket and leaves it with the last. lwIP speaks
 *            IGMPv2 and MLDv1, which do not name sources: they are filtered here. lwIP's loopback knows no groups, and needs none: what is sent there goes to
 *            the sockets without lwIP.
 * Interface: multicast.h
 * Locking:   core lock.
 * Errors:    Linux's.
 */
#include "net/multicast.h"
#include "net/device.h"
#include "net/timer.h"
#include "core/clock.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/in.h>
#include <linux/in6.h>
#include "lwip/igmp.h"
#include "lwip/mld6.h"

/* net.ipv4.igmp_max_memberships, igmp_max_msf, net.ipv6.mld_max_msf */
#define MEMBERSHIPS_MAX 20
#define SOURCES_MAX_V4 10
#define SOURCES_MAX_V6 64

struct membership {
	struct list link;       /* of the socket */
	ip_addr_t group;
	uint8_t ifindex;
	bool include;           /* only the sources below; else all but them */
	unsigned nsources;
	ip_addr_t *sources;     /* room for SOURCES_MAX; NULL until there is one */
};

/* A group that somebody has joined on an interface. */
struct group {
	struct list link;
	ip_addr_t ip;
	uint8_t ifindex;
	unsigned users;
};

static struct list groups = LIST_INIT(groups);

/* Zones tell interfaces apart; these are compared beside the address. */
static bool same(const ip_addr_t *a, const ip_addr_t *b)
{
	if (IP_IS_V6(a) != IP_IS_V6(b))
		return false;
	return IP_IS_V6(a) ? ip6_addr_zoneless_eq(ip_2_ip6(a), ip_2_ip6(b)) : ip4_addr_eq(ip_2_ip4(a), ip_2_ip4(b));
}

static unsigned sources_max(const ip_addr_t *group) { return IP_IS_V6(group) ? SOURCES_MAX_V6 : SOURCES_MAX_V4; }

/* --- the machine's memberships ----------------------------------------------------------------------------- */

static struct group *group_find(const ip_addr_t *ip, unsigned ifindex)
{
	struct group *g;

	list_for_each(g, &groups, link)
		if (g->ifindex == ifindex && same(&g->ip, ip))
			return g;
	return NULL;
}

static bool is_loopback(const struct netif *n) { return !net_device_of(n); }

static int group_join(const ip_addr_t *ip, struct netif *n)
{
	unsigned ifindex = net_interface_index(n->num);
	struct group *g = group_find(ip, ifindex);
	err_t e = ERR_OK;

	if (g) {
		g->users++;
		return 0;
	}
	g = kmalloc_flags(sizeof(*g), ALLOC_NORECLAIM);
	if (!g)
		return -ENOBUFS;
	*g = (struct group){ .ip = *ip, .ifindex = (uint8_t)ifindex, .users = 1 };
	/* Everybody is a member of 224.0.0.1, without saying so. */
	if (!is_loopback(n) && !(IP_IS_V4(ip) && ip_2_ip4(ip)->addr == PP_HTONL(0xe0000001))) {
		e = IP_IS_V4(ip) ? igmp_joingroup_netif(n, ip_2_ip4(ip)) : mld6_joingroup_netif(n, ip_2_ip6(ip));
		/* lwIP says it twice. The second report is its timer's, and the only one if there was no memory for the first, so that no frame has left. */
		net_timers_look(clock_monotonic_ns());
	}
	if (e != ERR_OK) {
		kfree(g);
		return inet_error(e);
	}
	list_push_back(&groups, &g->link);
	return 0;
}

static void group_leave(const ip_addr_t *ip, unsigned ifindex)
{
	struct group *g = group_find(ip, ifindex);
	struct netif *n = inet_interface(ifindex);

	if (!g || --g->users)
		return;
	if (n && !is_loopback(n)) {
		if (IP_IS_V4(ip))
			igmp_leavegroup_netif(n, ip_2_ip4(ip));
		else
			mld6_leavegroup_netif(n, ip_2_ip6(ip));
	}
	list_del(&g->link);
	kfree(g);
}

bool multicast_joined(const ip_addr_t *group, struct netif *n)
{
	if (IP_IS_V4(group) ? ip_2_ip4(group)->addr == PP_HTONL(0xe0000001) : ip6_addr_isallnodes_linklocal(ip_2_ip6(group)))
		return true;
	return group_find(group, net_interface_index(n->num));
}

/* --- a socket's -------------------------------------------------------------------------------------------- */

static struct membership *membership_find(const struct inet_sock *i, const ip_addr_t *group, unsigned ifindex)
{
	struct membership *m;

	list_for_each(m, &i->memberships, link)
		if ((!ifindex || m->ifindex == ifindex) && same(&m->group, group))
			return m;
	return NULL;
}

static bool source_find(const struct membership *m, const ip_addr_t *source, unsigned *at)
{
	for (*at = 0; *at < m->nsources; (*at)++)
		if (same(&m->sources[*at], source))
			return true;
	return false;
}

bool multicast_wanted(const struct inet_sock *i, const ip_addr_t *group, const ip_addr_t *source, unsigned ifindex)
{
	/* Linux looks at the interface for IPv4 only. */
	struct membership *m = membership_find(i, group, IP_IS_V4(group) ? ifindex : 0);
	unsigned at;

	if (!m)
		return IP_IS_V4(group) ? i->v4.multicast_all : i->v6.multicast_all;
	return source_find(m, source, &at) == m->include;
}

static int join(struct inet_sock *i, const ip_addr_t *group, struct netif *n, bool include)
{
	struct membership *m;
	unsigned count = 0;
	int r;

	if (membership_find(i, group, net_interface_index(n->num)))
		return -EADDRINUSE;
	list_for_each(m, &i->memberships, link)
		count += IP_IS_V4_VAL(m->group);
	if (IP_IS_V4(group) && count >= MEMBERSHIPS_MAX)
		return -ENOBUFS;
	m = kmalloc_flags(sizeof(*m), ALLOC_NORECLAIM);
	if (!m)
		return -ENOBUFS;
	r = group_join(group, n);
	if (r) {
		kfree(m);
		return r;
	}
	*m = (struct membership){ .group = *group, .ifindex = (uint8_t)net_interface_index(n->num), .include = include };
	list_push_back(&i->memberships, &m->link);
	return 0;
}

static void leave(struct membership *m)
{
	group_leave(&m->group, m->ifindex);
	list_del(&m->link);
	kfree(m->sources);
	kfree(m);
}

void multicast_leave_all(struct inet_sock *i)
{
	while (!list_empty(&i->memberships))
		leave(list_first(&i->memberships, struct membership, link));
}

static int source_add(struct membership *m, const ip_addr_t *source)
{
	unsigned at;

	if (!m->sources)
		m->sources = kmalloc_flags(sources_max(&m->group) * sizeof(*m->sources), ALLOC_NORECLAIM);
	if (!m->sources || m->nsources >= sources_max(&m->group))
		return -ENOBUFS;
	if (source_find(m, source, &at))
		return -EADDRNOTAVAIL;
	m->sources[m->nsources++] = *source;
	return 0;
}

static int source_remove(struct membership *m, const ip_addr_t *source)
{
	unsigned at;

	if (!source_find(m, source, &at))
		return -EADDRNOTAVAIL;
	/* To listen to nobody is to leave. */
	if (m->include && m->nsources == 1) {
		leave(m);
		return 0;
	}
	m->sources[at] = m->sources[--m->nsources];
	return 0;
}

enum source_change { SOURCE_JOIN, SOURCE_LEAVE, SOURCE_BLOCK, SOURCE_UNBLOCK };

static int source_change(struct inet_sock *i, const ip_addr_t *group, struct netif *n, const ip_addr_t *source, enum source_change what)
{
	bool include = what == SOURCE_JOIN || what == SOURCE_LEAVE;
	struct membership *m;

	if (what == SOURCE_JOIN) {
		int r = join(i, group, n, true);

		if (r && r != -EADDRINUSE)
			return r;
	}
	m = membership_find(i, group, net_interface_index(n->num));
	if (!m)
		return -EINVAL;
	/* Another kind of filter would have to be emptied first. */
	if (m->include != include) {
		if (m->nsources)
			return -EINVAL;
		m->include = include;
	}
	return what == SOURCE_JOIN || what == SOURCE_BLOCK ? source_add(m, source) : source_remove(m, source);
}

/* --- the options ------------------------------------------------------------------------------------------------ */

static struct netif *interface_by_address(uint32_t addr)
{
	struct netif *n;

	NETIF_FOREACH(n)
		if (netif_ip4_addr(n)->addr == addr)
			return n;
	return NULL;
}

/* Named by its index, or by its address, or the one through which the group would be reached. */
static struct netif *interface_v4(const ip_addr_t *group, int ifindex, uint32_t addr)
{
	if (ifindex)
		return ifindex > 0 ? inet_interface((unsigned)ifindex) : NULL;
	return addr ? interface_by_address(addr) : ip4_route(ip_2_ip4(group));
}

static struct netif *interface_v6(const ip_addr_t *group, unsigned ifindex)
{
	struct netif *n;

	if (ifindex)
		return inet_interface(ifindex);
	n = ip6_route(IP6_ADDR_ANY6, ip_2_ip6(group));
	return n ? n : netif_default;
}

/* Joins or leaves as a whole. */
static int change(struct inet_sock *i, const ip_addr_t *group, struct netif *n, bool in)
{
	struct membership *m;

	if (!ip_addr_ismulticast(group))
		return -EINVAL;
	if (inet_is_tcp(i))
		return -EPROTO;
	if (!n)
		return -ENODEV;
	if (in)
		return join(i, group, n, false);
	m = membership_find(i, group, net_interface_index(n->num));
	if (!m)
		return -EADDRNOTAVAIL;
	leave(m);
	return 0;
}

static int sources(struct inet_sock *i, const ip_addr_t *group, struct netif *n, const ip_addr_t *source, enum source_change what)
{
	if (!ip_addr_ismulticast(group))
		return -EINVAL;
	if (inet_is_tcp(i))
		return -EPROTO;
	return n ? source_change(i, group, n, source, what) : -ENODEV;
}

static void address_v4(ip_addr_t *ip, uint32_t addr)
{
	ip_addr_set_ip4_u32(ip, addr);
}

static void address_v6(ip_addr_t *ip, const struct in6_addr *addr)
{
	memset(ip, 0, sizeof(*ip));
	memcpy(ip_2_ip6(ip)->addr, addr, sizeof(*addr));
	IP_SET_TYPE(ip, IPADDR_TYPE_V6);
}

/* Options of IPv4 alone. */
static int setopt_v4(struct inet_sock *i, int name, const void *value, unsigned len)
{
	static const uint8_t what[] = { [IP_ADD_SOURCE_MEMBERSHIP - IP_UNBLOCK_SOURCE] = SOURCE_JOIN,
					[IP_DROP_SOURCE_MEMBERSHIP - IP_UNBLOCK_SOURCE] = SOURCE_LEAVE,
					[IP_BLOCK_SOURCE - IP_UNBLOCK_SOURCE] = SOURCE_BLOCK,
					[IP_UNBLOCK_SOURCE - IP_UNBLOCK_SOURCE] = SOURCE_UNBLOCK };
	const struct ip_mreq_source *ms = value;
	const struct ip_mreqn *mr = value;
	ip_addr_t group, source;

	switch (name) {
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		if (len < sizeof(struct ip_mreq))
			return -EINVAL;
		address_v4(&group, mr->imr_multiaddr.s_addr);
		return change(i, &group, interface_v4(&group, len >= sizeof(*mr) ? mr->imr_ifindex : 0, mr->imr_address.s_addr),
			      name == IP_ADD_MEMBERSHIP);
	case IP_UNBLOCK_SOURCE:
	case IP_BLOCK_SOURCE:
	case IP_ADD_SOURCE_MEMBERSHIP:
	case IP_DROP_SOURCE_MEMBERSHIP:
		if (len != sizeof(*ms))
			return -EINVAL;
		address_v4(&group, ms->imr_multiaddr);
		address_v4(&source, ms->imr_sourceaddr);
		return sources(i, &group, interface_v4(&group, 0, ms->imr_interface), &source, what[name - IP_UNBLOCK_SOURCE]);
	}
	return -ENOPROTOOPT;
}

static int setopt_v6(struct inet_sock *i, int name, const void *value, unsigned len)
{
	const struct ipv6_mreq *mr = value;
	ip_addr_t group;

	if (name != IPV6_ADD_MEMBERSHIP && name != IPV6_DROP_MEMBERSHIP)
		return -ENOPROTOOPT;
	if (len < sizeof(*mr))
		return -EINVAL;
	address_v6(&group, &mr->ipv6mr_multiaddr);
	return change(i, &group, interface_v6(&group, (unsigned)mr->ipv6mr_ifindex), name == IPV6_ADD_MEMBERSHIP);
}

/* struct sockaddr_storage as an address of that level. */
static bool address_any(ip_addr_t *ip, int level, const struct __kernel_sockaddr_storage *a)
{
	if (level == IPPROTO_IP && a->ss_family == AF_INET)
		address_v4(ip, ((const struct sockaddr_in *)a)->sin_addr.s_addr);
	else if (level == IPPROTO_IPV6 && a->ss_family == AF_INET6)
		address_v6(ip, &((const struct sockaddr_in6 *)a)->sin6_addr);
	else
		return false;
	return true;
}

/* Options that both levels have (RFC 3678, section 5). */
static int setopt_both(struct inet_sock *i, int level, int name, const void *value, unsigned len)
{
	static const uint8_t what[] = { [MCAST_JOIN_SOURCE_GROUP - MCAST_BLOCK_SOURCE] = SOURCE_JOIN,
					[MCAST_LEAVE_SOURCE_GROUP - MCAST_BLOCK_SOURCE] = SOURCE_LEAVE,
					[MCAST_BLOCK_SOURCE - MCAST_BLOCK_SOURCE] = SOURCE_BLOCK,
					[MCAST_UNBLOCK_SOURCE - MCAST_BLOCK_SOURCE] = SOURCE_UNBLOCK };
	const struct group_source_req *gs = value;
	const struct group_req *g = value;
	int wrong = level == IPPROTO_IP ? -EINVAL : -EADDRNOTAVAIL;
	ip_addr_t group, source;
	struct netif *n;

	switch (name) {
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		if (len < sizeof(*g))
			return -EINVAL;
		if (!address_any(&group, level, &g->gr_group))
			return wrong;
		n = level == IPPROTO_IP ? interface_v4(&group, (int)g->gr_interface, 0) : interface_v6(&group, g->gr_interface);
		return change(i, &group, n, name == MCAST_JOIN_GROUP);
	case MCAST_BLOCK_SOURCE:
	case MCAST_UNBLOCK_SOURCE:
	case MCAST_JOIN_SOURCE_GROUP:
	case MCAST_LEAVE_SOURCE_GROUP:
		if (len < sizeof(*gs))
			return -EINVAL;
		if (!address_any(&group, level, &gs->gsr_group) || !address_any(&source, level, &gs->gsr_source))
			return -EADDRNOTAVAIL;
		n = level == IPPROTO_IP ? interface_v4(&group, (int)gs->gsr_interface, 0) : interface_v6(&group, gs->gsr_interface);
		return sources(i, &group, n, &source, what[name - MCAST_BLOCK_SOURCE]);
	}
	return -ENOPROTOOPT;
}

int multicast_setopt(struct inet_sock *i, int level, int name, const void *value, unsigned len)
{
	int r;

	if (level == IPPROTO_IPV6 && i->base.domain != AF_INET6)
		return -ENOPROTOOPT;
	r = level == IPPROTO_IP ? setopt_v4(i, name, value, len) : setopt_v6(i, name, value, len);
	return r == -ENOPROTOOPT ? setopt_both(i, level, name, value, len) : r;
}
