/*
 * kernel/net/interface.c - snapshots of lwIP's interfaces, addresses and routes in Linux's terms.
 *
 * Theory:    lwIP has no table of routes: IPv4 goes by the interface whose network matches, else by the default interface's router;
 *            IPv6 by the prefixes and routers of advertisements. The routes shown here are those which
 *            lead to the same decisions, with the tables and scopes that Linux gives to them.
 * Interface: interface.h.
 * Locking:   the core lock while a snapshot is filled; its memory is allocated before.
 * Errors:    interface.h.
 */
#include "net/interface.h"
#include "net/config.h"
#include "net/device.h"
#include "net/ifreq.h"
#include "net/socket.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include "lwip/ip6_addr.h"
#include "lwip/netif.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/stats.h"

#define METRIC_IPV6 256
#define METRIC_ADVERTISED 1024
#define LOOPBACK_MTU 65536 /* what Linux says; a packet of lwIP has a byte less */

static unsigned flags_of(const struct netif *n)
{
	bool lo = !net_device_of(n);
	unsigned f = netif_is_up(n) ? IFF_UP : 0;

	if (netif_is_up(n) && netif_is_link_up(n))
		f |= IFF_RUNNING | IFF_LOWER_UP;
	return f | (lo ? IFF_LOOPBACK : IFF_BROADCAST | IFF_MULTICAST);
}

/* --- addresses --------------------------------------------------------------------------------------------------- */

static unsigned prefix_of(const ip4_addr_t *mask)
{
	uint32_t m = ~lwip_ntohl(mask->addr);

	return m ? (unsigned)__builtin_clz(m) : 32;
}

static void address_v4(const struct netif *n, struct net_address *a)
{
	uint32_t broadcast = netif_ip4_addr(n)->addr | ~netif_ip4_netmask(n)->addr;

	*a = (struct net_address){ .family = AF_INET, .prefix = (uint8_t)prefix_of(netif_ip4_netmask(n)), .flags = IFA_F_PERMANENT,
				   .scope = net_device_of(n) ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST, .preferred_s = UINT32_MAX, .valid_s = UINT32_MAX };
	memcpy(a->ip, &netif_ip4_addr(n)->addr, 4);
	/* Networks of one or two addresses have none (RFC 3021). */
	a->has_broadcast = net_device_of(n) && a->prefix < 31;
	memcpy(a->broadcast, &broadcast, 4);
	if (net_device_of(n))
		net_config_lifetime(&a->preferred_s, &a->valid_s);
	if (a->valid_s != UINT32_MAX)
		a->flags = 0;
}

static uint32_t lifetime(uint32_t s) { return s == IP6_ADDR_LIFE_STATIC ? UINT32_MAX : s; }

static void address_v6(const struct netif *n, unsigned i, struct net_address *a)
{
	uint8_t state = netif_ip6_addr_state(n, i);
	bool lo = !net_device_of(n), local = ip6_addr_islinklocal(netif_ip6_addr(n, i)), site = ip6_addr_issitelocal(netif_ip6_addr(n, i));

	*a = (struct net_address){ .family = AF_INET6, .prefix = lo ? 128 : 64,
				   .scope = lo ? RT_SCOPE_HOST : local ? RT_SCOPE_LINK : site ? RT_SCOPE_SITE : RT_SCOPE_UNIVERSE,
				   .preferred_s = lifetime(netif_ip6_addr_pref_life(n, i)), .valid_s = lifetime(netif_ip6_addr_valid_life(n, i)) };
	memcpy(a->ip, netif_ip6_addr(n, i)->addr, 16);
	if (a->valid_s == UINT32_MAX)
		a->flags |= IFA_F_PERMANENT;
	if (ip6_addr_isduplicated(state))
		a->flags |= IFA_F_DADFAILED | IFA_F_TENTATIVE;
	else if (!ip6_addr_isvalid(state))
		a->flags |= IFA_F_TENTATIVE;
	else if (ip6_addr_isdeprecated(state) && !(a->flags & IFA_F_PERMANENT)) /* lwIP's state for ::1 is this one, too */
		a->flags |= IFA_F_DEPRECATED;
}

static void traffic_of(const struct netif *n, struct net_traffic *t)
{
	struct net_device *dev = net_device_of(n);

	if (dev)
		*t = (struct net_traffic){ dev->rx_frames, dev->rx_bytes, dev->rx_dropped, dev->tx_frames, dev->tx_bytes, dev->tx_dropped,
						     dev->rx_large, dev->tx_large, dev->tx_joined, 0, 0 };
	if (dev && dev->queues)
		dev->queues(dev, &t->rx_queue, &t->tx_queue);
	if (!dev)
		*t = (struct net_traffic){ n->mib2_counters.ifinucastpkts + n->mib2_counters.ifinnucastpkts, n->mib2_counters.ifinoctets,
					   n->mib2_counters.ifindiscards, n->mib2_counters.ifoutucastpkts + n->mib2_counters.ifoutnucastpkts,
					   n->mib2_counters.ifoutoctets, n->mib2_counters.ifoutdiscards, 0, 0, 0, 0, 0 };
}

/* Core lock held. */
static void interface_fill(const struct netif *n, struct net_interface *out)
{
	struct net_device *dev = net_device_of(n);

	memset(out, 0, sizeof(*out));
	net_interface_name(n, out->name);
	out->index = net_interface_index(n->num);
	out->flags = flags_of(n);
	out->mtu = dev ? n->mtu : LOOPBACK_MTU;
	out->type = dev ? ARPHRD_ETHER : ARPHRD_LOOPBACK;
	out->carrier = netif_is_link_up(n);
	memcpy(out->mac, n->hwaddr, MIN((size_t)n->hwaddr_len, sizeof(out->mac)));
	out->device = dev ? dev->name : "";
	if (!ip4_addr_isany(netif_ip4_addr(n)))
		address_v4(n, &out->addresses[out->naddresses++]);
	for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES && out->naddresses < NET_ADDRESSES_MAX; i++)
		if (!ip6_addr_isinvalid(netif_ip6_addr_state(n, i)))
			address_v6(n, i, &out->addresses[out->naddresses++]);
	traffic_of(n, &out->traffic);
}

/* The number behind the last interface's. Interfaces come at boot only, so it does not change while programs run. */
static unsigned index_end(void)
{
	const struct netif *n;
	unsigned end = 1;

	net_lock();
	NETIF_FOREACH(n)
		end = MAX(end, net_interface_index(n->num) + 1);
	net_unlock();
	return end;
}

struct net_interface *net_interfaces(unsigned *count)
{
	unsigned end = index_end();
	struct net_interface *list = kmalloc(end * sizeof(*list));

	*count = 0;
	if (!list)
		return NULL;
	net_lock();
	for (unsigned i = 1; i < end; i++) {
		struct netif *n = netif_get_by_index((u8_t)i);

		if (n)
			interface_fill(n, &list[(*count)++]);
	}
	net_unlock();
	return list;
}

int net_interface_get(unsigned index, const char *name, struct net_interface *out)
{
	struct netif *n = NULL;

	net_lock();
	if (!index)
		n = net_interface_find(name);
	else if (index <= UINT8_MAX)
		n = netif_get_by_index((u8_t)index);
	if (n)
		interface_fill(n, out);
	net_unlock();
	return n ? 0 : -ENODEV;
}

/* --- routes -------------------------------------------------------------------------------------------------------- */

struct route_list {
	struct net_route *routes;
	unsigned n, max;
};

/* One more route by that interface; NULL when the list is full, which its size excludes. */
static struct net_route *route_add(struct route_list *l, const struct netif *n, uint16_t family, const void *destination, unsigned prefix)
{
	struct net_route *r;

	if (l->n == l->max)
		return NULL;
	r = &l->routes[l->n++];
	*r = (struct net_route){ .family = family, .prefix = (uint8_t)prefix, .type = RTN_UNICAST, .table = RT_TABLE_MAIN, .protocol = RTPROT_KERNEL,
				 .ifindex = net_interface_index(n->num), .mtu = net_device_of(n) ? n->mtu : LOOPBACK_MTU, .expires_s = UINT32_MAX };
	if (destination)
		memcpy(r->destination, destination, family == AF_INET ? 4 : 16);
	if (family == AF_INET6)
		r->metric = METRIC_IPV6;
	net_interface_name(n, r->ifname);
	return r;
}

static void source_set(struct net_route *r, const void *ip, size_t len)
{
	r->has_source = true;
	memcpy(r->source, ip, len);
}

static void routes_v4_main(struct route_list *l)
{
	const struct netif *n = netif_default;
	struct net_route *r;

	if (n && net_device_of(n) && !ip4_addr_isany(netif_ip4_gw(n)) && !ip4_addr_isany(netif_ip4_addr(n))) {
		r = route_add(l, n, AF_INET, NULL, 0);
		if (r) {
			r->has_gateway = true;
			memcpy(r->gateway, &netif_ip4_gw(n)->addr, 4);
			r->protocol = net_config_by_hand() ? RTPROT_BOOT : RTPROT_DHCP;
		}
	}
	NETIF_FOREACH(n) {
		uint32_t net = netif_ip4_addr(n)->addr & netif_ip4_netmask(n)->addr;

		if (!net_device_of(n) || ip4_addr_isany(netif_ip4_addr(n)))
			continue;
		r = route_add(l, n, AF_INET, &net, prefix_of(netif_ip4_netmask(n)));
		if (r) {
			r->scope = RT_SCOPE_LINK;
			source_set(r, &netif_ip4_addr(n)->addr, 4);
		}
	}
}

/* The routes to this machine itself. */
static void routes_v4_local(struct route_list *l)
{
	const struct netif *n;

	NETIF_FOREACH(n) {
		uint32_t ip = netif_ip4_addr(n)->addr, mask = netif_ip4_netmask(n)->addr;
		bool lo = !net_device_of(n);
		uint32_t net = ip & mask, broadcast = ip | ~mask;
		struct net_route *r[3] = { NULL };

		if (!ip)
			continue;
		if (lo)
			r[0] = route_add(l, n, AF_INET, &net, prefix_of(netif_ip4_netmask(n)));
		r[1] = route_add(l, n, AF_INET, &ip, 32);
		if (prefix_of(netif_ip4_netmask(n)) < 31)
			r[2] = route_add(l, n, AF_INET, &broadcast, 32);
		for (unsigned i = 0; i < 3; i++) {
			if (!r[i])
				continue;
			r[i]->table = RT_TABLE_LOCAL;
			r[i]->type = i < 2 ? RTN_LOCAL : RTN_BROADCAST;
			r[i]->scope = i < 2 ? RT_SCOPE_HOST : RT_SCOPE_LINK;
			source_set(r[i], &ip, 4);
		}
	}
}

static void routes_v6(struct route_list *l)
{
	static const uint8_t link_local[16] = { 0xfe, 0x80 }, multicast[16] = { 0xff };
	const struct netif *n;
	struct net_route *r;

	for (unsigned i = 0; i < LWIP_ND6_NUM_ROUTERS; i++) {
		const struct nd6_neighbor_cache_entry *e = default_router_list[i].neighbor_entry;

		if (!e || !e->netif)
			continue;
		r = route_add(l, e->netif, AF_INET6, NULL, 0);
		if (!r)
			continue;
		r->has_gateway = true;
		memcpy(r->gateway, e->next_hop_address.addr, 16);
		r->protocol = RTPROT_RA;
		r->metric = METRIC_ADVERTISED;
		r->expires_s = default_router_list[i].invalidation_timer;
	}
	for (unsigned i = 0; i < LWIP_ND6_NUM_PREFIXES; i++) {
		if (!prefix_list[i].netif || !prefix_list[i].invalidation_timer)
			continue;
		r = route_add(l, prefix_list[i].netif, AF_INET6, prefix_list[i].prefix.addr, 64);
		if (r)
			r->expires_s = prefix_list[i].invalidation_timer;
	}
	NETIF_FOREACH(n) {
		for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
			if (!ip6_addr_isvalid(netif_ip6_addr_state(n, i)))
				continue;
			r = route_add(l, n, AF_INET6, netif_ip6_addr(n, i)->addr, 128);
			if (!r)
				continue;
			r->table = RT_TABLE_LOCAL;
			r->type = RTN_LOCAL;
			r->metric = 0;
		}
		if (!net_device_of(n))
			continue;
		route_add(l, n, AF_INET6, link_local, 64);
		r = route_add(l, n, AF_INET6, multicast, 8);
		if (r) {
			r->table = RT_TABLE_LOCAL;
			r->type = RTN_MULTICAST;
		}
	}
}

struct net_route *net_routes(unsigned *count)
{
	unsigned end = index_end();
	/* The default route; of each interface at most four IPv4 routes, an IPv6 route an address, two more. */
	unsigned max = 1 + end * (6 + LWIP_IPV6_NUM_ADDRESSES) + LWIP_ND6_NUM_ROUTERS + LWIP_ND6_NUM_PREFIXES;
	struct route_list l = { kmalloc(max * sizeof(*l.routes)), 0, max };

	*count = 0;
	if (!l.routes)
		return NULL;
	net_lock();
	routes_v4_main(&l);
	routes_v4_local(&l);
	routes_v6(&l);
	net_unlock();
	*count = l.n;
	return l.routes;
}
