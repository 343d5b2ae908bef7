/*
 * kernel/net/netlink_route.c - NETLINK_ROUTE: interfaces, addresses and routes as messages.
 *
 *   RTM_GETLINK    a dump, or one interface by number or name
 *   RTM_GETADDR    a dump of one family or of all
 *   RTM_GETROUTE   a dump of one family or of all
 *
 * All else, and everything that would change something, is -EOPNOTSUPP: addresses come from DHCP or net.ip.
 *
 * Interface: netlink_route_request() (netlink_private.h).
 * Locking:   none: interface.h makes snapshots.
 */
#include "net/netlink_private.h"
#include "net/ifreq.h"
#include "net/interface.h"
#include "net/socket.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/rtnetlink.h>

enum { OPERSTATE_UNKNOWN = 0, OPERSTATE_DOWN = 2, OPERSTATE_UP = 6 }; /* RFC 2863; IF_OPER_* of <linux/if.h>, which wants a C library */
enum { QUEUE_LENGTH = 1000, MTU_MIN = 68, MTU_MAX = 65535 };

static void link_message(struct netlink_answer *a, const struct net_interface *i)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, none[6];
	const struct net_traffic *t = &i->traffic;
	bool lo = i->type == ARPHRD_LOOPBACK;
	struct rtnl_link_stats64 wide = { .rx_packets = t->rx_frames, .tx_packets = t->tx_frames, .rx_bytes = t->rx_bytes, .tx_bytes = t->tx_bytes,
					  .rx_dropped = t->rx_dropped, .tx_dropped = t->tx_dropped };
	struct rtnl_link_stats narrow = { .rx_packets = (uint32_t)t->rx_frames, .tx_packets = (uint32_t)t->tx_frames,
					  .rx_bytes = (uint32_t)t->rx_bytes, .tx_bytes = (uint32_t)t->tx_bytes,
					  .rx_dropped = (uint32_t)t->rx_dropped, .tx_dropped = (uint32_t)t->tx_dropped };
	struct rtnl_link_ifmap map = { 0 };
	struct ifinfomsg *m = netlink_message(a, RTM_NEWLINK, sizeof(*m));

	if (!m)
		return;
	m->ifi_type = i->type;
	m->ifi_index = (int)i->index;
	m->ifi_flags = i->flags;
	netlink_attribute_string(a, IFLA_IFNAME, i->name);
	netlink_attribute_u32(a, IFLA_TXQLEN, QUEUE_LENGTH);
	netlink_attribute_u8(a, IFLA_OPERSTATE, lo ? OPERSTATE_UNKNOWN : i->carrier ? OPERSTATE_UP : OPERSTATE_DOWN);
	netlink_attribute_u8(a, IFLA_LINKMODE, 0);
	netlink_attribute_u32(a, IFLA_MTU, i->mtu);
	netlink_attribute_u32(a, IFLA_MIN_MTU, lo ? 0 : MTU_MIN);
	netlink_attribute_u32(a, IFLA_MAX_MTU, lo ? 0 : MTU_MAX);
	netlink_attribute_u32(a, IFLA_GROUP, 0);
	netlink_attribute_u32(a, IFLA_PROMISCUITY, 0);
	netlink_attribute_u32(a, IFLA_NUM_TX_QUEUES, 1);
	netlink_attribute_u32(a, IFLA_NUM_RX_QUEUES, 1);
	netlink_attribute_u8(a, IFLA_CARRIER, i->carrier);
	netlink_attribute_string(a, IFLA_QDISC, "noqueue");
	netlink_attribute(a, IFLA_MAP, &map, sizeof(map));
	netlink_attribute(a, IFLA_ADDRESS, i->mac, sizeof(i->mac));
	netlink_attribute(a, IFLA_BROADCAST, lo ? none : broadcast, sizeof(broadcast));
	netlink_attribute(a, IFLA_STATS64, &wide, sizeof(wide));
	netlink_attribute(a, IFLA_STATS, &narrow, sizeof(narrow));
	netlink_message_end(a);
}

static void address_message(struct netlink_answer *a, const struct net_interface *i, const struct net_address *addr)
{
	struct ifa_cacheinfo cache = { .ifa_prefered = addr->preferred_s, .ifa_valid = addr->valid_s };
	struct ifaddrmsg *m = netlink_message(a, RTM_NEWADDR, sizeof(*m));
	bool v4 = addr->family == AF_INET;

	if (!m)
		return;
	m->ifa_family = (uint8_t)addr->family;
	m->ifa_prefixlen = addr->prefix;
	m->ifa_flags = addr->flags;
	m->ifa_scope = addr->scope;
	m->ifa_index = i->index;
	netlink_attribute(a, IFA_ADDRESS, addr->ip, v4 ? 4 : 16);
	if (v4) {
		netlink_attribute(a, IFA_LOCAL, addr->ip, 4);
		if (addr->has_broadcast)
			netlink_attribute(a, IFA_BROADCAST, addr->broadcast, 4);
		netlink_attribute_string(a, IFA_LABEL, i->name);
	}
	netlink_attribute_u32(a, IFA_FLAGS, addr->flags);
	netlink_attribute(a, IFA_CACHEINFO, &cache, sizeof(cache));
	netlink_message_end(a);
}

static void route_message(struct netlink_answer *a, const struct net_route *r)
{
	struct rta_cacheinfo cache = { .rta_expires = r->expires_s == UINT32_MAX ? 0 : (int)MIN(r->expires_s, (uint32_t)INT32_MAX / 100) * 100 };
	size_t len = r->family == AF_INET ? 4 : 16;
	struct rtmsg *m = netlink_message(a, RTM_NEWROUTE, sizeof(*m));

	if (!m)
		return;
	m->rtm_family = (uint8_t)r->family;
	m->rtm_dst_len = r->prefix;
	m->rtm_table = r->table;
	m->rtm_protocol = r->protocol;
	m->rtm_scope = r->scope;
	m->rtm_type = r->type;
	netlink_attribute_u32(a, RTA_TABLE, r->table);
	if (r->prefix)
		netlink_attribute(a, RTA_DST, r->destination, len);
	if (r->has_gateway)
		netlink_attribute(a, RTA_GATEWAY, r->gateway, len);
	if (r->has_source)
		netlink_attribute(a, RTA_PREFSRC, r->source, len);
	if (r->metric || r->family == AF_INET6)
		netlink_attribute_u32(a, RTA_PRIORITY, r->metric);
	netlink_attribute_u32(a, RTA_OIF, r->ifindex);
	if (r->family == AF_INET6)
		netlink_attribute(a, RTA_CACHEINFO, &cache, sizeof(cache));
	netlink_message_end(a);
}

/* --- requests ---------------------------------------------------------------------------------------------------------- */

/* The attribute of that type behind a body of that size, or NULL; *len is the length of its data. */
static const void *attribute_find(const struct nlmsghdr *request, size_t body, uint16_t type, size_t *len)
{
	size_t at = NLMSG_SPACE(body);

	while (request->nlmsg_len >= at + NLA_HDRLEN) {
		const struct nlattr *attr = (const struct nlattr *)((const char *)request + at);

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > request->nlmsg_len - at)
			break;
		if ((attr->nla_type & NLA_TYPE_MASK) == type) {
			*len = attr->nla_len - NLA_HDRLEN;
			return (const char *)attr + NLA_HDRLEN;
		}
		at += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

static int link_get(const struct nlmsghdr *request, struct netlink_answer *a)
{
	const struct ifinfomsg *m = NLMSG_DATA(request);
	struct net_interface i;
	char text[IFNAMSIZ] = "";
	const char *name;
	size_t len;
	int r;

	if (request->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EINVAL;
	name = attribute_find(request, sizeof(*m), IFLA_IFNAME, &len);
	if (name) {
		len = strnlen(name, len);
		if (len >= sizeof(text))
			return -ERANGE;
		memcpy(text, name, len);
	}
	if (m->ifi_index <= 0 && !text[0])
		return -EINVAL;
	r = net_interface_get((unsigned)MAX(m->ifi_index, 0), text, &i);
	if (!r)
		link_message(a, &i);
	return r;
}

static int interfaces_dump(struct netlink_answer *a, bool links, int family)
{
	unsigned n;
	struct net_interface *list = net_interfaces(&n);

	if (!list)
		return -ENOBUFS;
	for (unsigned i = 0; i < n; i++) {
		if (links) {
			link_message(a, &list[i]);
			continue;
		}
		for (unsigned k = 0; k < list[i].naddresses; k++)
			if (family == AF_UNSPEC || list[i].addresses[k].family == family)
				address_message(a, &list[i], &list[i].addresses[k]);
	}
	kfree(list);
	return 0;
}

static int routes_dump(struct netlink_answer *a, int family)
{
	unsigned n;
	struct net_route *list = net_routes(&n);

	if (!list)
		return -ENOBUFS;
	for (unsigned i = 0; i < n; i++)
		if (family == AF_UNSPEC || list[i].family == family)
			route_message(a, &list[i]);
	kfree(list);
	return 0;
}

int netlink_route_request(const struct nlmsghdr *request, struct netlink_answer *a, bool *dump)
{
	const struct rtgenmsg *g = NLMSG_DATA(request);
	/* Both of its flags mean the same to Linux, too. */
	bool all = request->nlmsg_flags & NLM_F_DUMP;
	int type = request->nlmsg_type, r;

	if (type > RTM_MAX)
		return -EOPNOTSUPP;
	if (request->nlmsg_len < NLMSG_LENGTH(sizeof(*g)))
		return 0;
	if (type == RTM_GETLINK && !all)
		return link_get(request, a);
	if (!all || (type != RTM_GETLINK && type != RTM_GETADDR && type != RTM_GETROUTE))
		return -EOPNOTSUPP;
	a->flags = NLM_F_MULTI;
	r = type == RTM_GETROUTE ? routes_dump(a, g->rtgen_family) : interfaces_dump(a, type == RTM_GETLINK, g->rtgen_family);
	*dump = !r;
	return r;
}
