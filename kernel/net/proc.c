/*
 * kernel/net/proc.c - /proc/net: interfaces, routes, neighbours, groups; and the table of its files.
 *
 * The formats are Linux's, byte by byte where programs read columns: proc(5), and the files of a Linux machine.
 *
 * Interface: proc_net_files (proc.h).
 * Locking:   snapshots (interface.h); the core lock while lwIP's tables of neighbours and groups are copied, never while text is made.
 * Errors:    -ENOMEM.
 */
#include "net/proc.h"
#include "net/device.h"
#include "net/interface.h"
#include "net/ifreq.h"
#include "net/socket.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/rtnetlink.h>
#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"

/* Flags of /proc/net/route and ipv6_route: RTF_* of <linux/route.h> and <linux/ipv6_route.h>, which want a C library. */
enum { ROUTE_UP = 1, ROUTE_GATEWAY = 2, ROUTE_HOST = 4 };
#define ROUTE6_DEFAULT 0x00010000u
#define ROUTE6_ADVERTISED 0x00040000u
#define ROUTE6_EXPIRES 0x00400000u
#define ROUTE6_LOCAL 0x80200000u /* and it has no next hop */

static void hex16(struct text *t, const uint8_t ip[16])
{
	for (unsigned i = 0; i < 16; i++)
		text_printf(t, "%02x", ip[i]);
}

/* --- interfaces --------------------------------------------------------------------------------------------------- */

static int dev_show(struct text *t, const struct gen_ref *ref)
{
	unsigned n;
	struct net_interface *list = net_interfaces(&n);

	if (!list)
		return -ENOMEM;
	text_printf(t, "Inter-|   Receive                                                |  Transmit\n"
		       " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n");
	for (unsigned i = 0; i < n; i++) {
		const struct net_traffic *f = &list[i].traffic;

		text_printf(t, "%6s: %7lu %7lu %4u %4lu %4u %5u %10u %9u %8lu %7lu %4u %4lu %4u %5u %7u %10u\n", list[i].name, f->rx_bytes,
			    f->rx_frames, 0, f->rx_dropped, 0, 0, 0, 0, f->tx_bytes, f->tx_frames, 0, f->tx_dropped, 0, 0, 0, 0);
	}
	kfree(list);
	return 0;
}

static int if_inet6_show(struct text *t, const struct gen_ref *ref)
{
	unsigned n;
	struct net_interface *list = net_interfaces(&n);

	if (!list)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < list[i].naddresses; k++) {
			const struct net_address *a = &list[i].addresses[k];

			if (a->family != AF_INET6)
				continue;
			hex16(t, a->ip);
			/* Its scopes are bits of their own. */
			text_printf(t, " %02x %02x %02x %02x %8s\n", list[i].index, a->prefix,
				    a->scope == RT_SCOPE_HOST ? 0x10 : a->scope == RT_SCOPE_LINK ? 0x20 : a->scope == RT_SCOPE_SITE ? 0x40 : 0, a->flags, list[i].name);
		}
	}
	kfree(list);
	return 0;
}

/* --- routes -------------------------------------------------------------------------------------------------------- */

static void route_line(struct text *t, const struct net_route *r)
{
	uint32_t mask = r->prefix ? __builtin_bswap32(~0u << (32 - r->prefix)) : 0, to, gw = 0;
	unsigned flags = ROUTE_UP | (r->has_gateway ? ROUTE_GATEWAY : 0) | (r->prefix == 32 ? ROUTE_HOST : 0);
	char line[128];

	memcpy(&to, r->destination, 4);
	if (r->has_gateway)
		memcpy(&gw, r->gateway, 4);
	snprintf(line, sizeof(line), "%s\t%08X\t%08X\t%04X\t0\t0\t%u\t%08X\t0\t0\t0", r->ifname, to, gw, flags, r->metric, mask);
	text_printf(t, "%-127s\n", line);
}

static int route_show(struct text *t, const struct gen_ref *ref)
{
	unsigned n;
	struct net_route *list = net_routes(&n);

	if (!list)
		return -ENOMEM;
	text_printf(t, "%-127s\n", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
	for (unsigned i = 0; i < n; i++)
		if (list[i].family == AF_INET && list[i].table == RT_TABLE_MAIN)
			route_line(t, &list[i]);
	kfree(list);
	return 0;
}

static int ipv6_route_show(struct text *t, const struct gen_ref *ref)
{
	static const uint8_t none[16];
	unsigned n;
	struct net_route *list = net_routes(&n);

	if (!list)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		const struct net_route *r = &list[i];
		unsigned flags = ROUTE_UP;

		if (r->family != AF_INET6)
			continue;
		if (r->has_gateway)
			flags |= ROUTE_GATEWAY | ROUTE6_DEFAULT | ROUTE6_ADVERTISED;
		if (r->expires_s != UINT32_MAX)
			flags |= ROUTE6_EXPIRES;
		if (r->type == RTN_LOCAL)
			flags |= ROUTE6_LOCAL;
		hex16(t, r->destination);
		text_printf(t, " %02x ", r->prefix);
		hex16(t, none);
		text_printf(t, " 00 ");
		hex16(t, r->has_gateway ? r->gateway : none);
		text_printf(t, " %08x %08x %08x %08x %8s\n", r->metric, 1, 0, flags, r->ifname);
	}
	kfree(list);
	return 0;
}

/* --- neighbours ------------------------------------------------------------------------------------------------------ */

struct neighbour {
	uint8_t ip[4], mac[6];
	char interface[16];
};

static int arp_show(struct text *t, const struct gen_ref *ref)
{
	struct neighbour *list = kmalloc(ARP_TABLE_SIZE * sizeof(*list));
	unsigned n = 0;

	if (!list)
		return -ENOMEM;
	net_lock();
	for (unsigned i = 0; i < ARP_TABLE_SIZE; i++) {
		struct eth_addr *mac;
		struct netif *netif;
		ip4_addr_t *ip;

		if (!etharp_get_entry(i, &ip, &netif, &mac))
			continue;
		memcpy(list[n].ip, &ip->addr, 4);
		memcpy(list[n].mac, mac->addr, 6);
		net_interface_name(netif, list[n].interface);
		n++;
	}
	net_unlock();
	text_printf(t, "IP address       HW type     Flags       HW address            Mask     Device\n");
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *a = list[i].ip, *m = list[i].mac;
		char ip[16];

		snprintf(ip, sizeof(ip), "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
		text_printf(t, "%-16s 0x1         0x2         %02x:%02x:%02x:%02x:%02x:%02x     *        %s\n", ip, m[0], m[1], m[2], m[3], m[4], m[5],
			    list[i].interface);
	}
	kfree(list);
	return 0;
}

/* --- groups ---------------------------------------------------------------------------------------------------------- */

struct group {
	uint8_t ip[16];
	unsigned users, timer; /* timer: ticks of 100 ms, 0: none */
	bool reporter;
	unsigned ifindex;
	char interface[16];
};

struct group_list {
	struct group *groups;
	unsigned n, max;
};

static void group_add(struct group_list *l, const struct netif *n, const void *ip, size_t len, unsigned users, unsigned timer, bool reporter)
{
	struct group *g = l->n < l->max ? &l->groups[l->n] : NULL;

	l->n++;
	if (!g)
		return;
	*g = (struct group){ .users = users, .timer = timer, .reporter = reporter, .ifindex = net_interface_index(n->num) };
	memcpy(g->ip, ip, len);
	net_interface_name(n, g->interface);
}

static void groups_collect(struct group_list *l, bool ipv6)
{
	struct netif *n;

	NETIF_FOREACH(n) {
		if (ipv6) {
			for (const struct mld_group *m = netif_mld6_data(n); m; m = m->next)
				group_add(l, n, m->group_address.addr, 16, m->use, m->timer, m->last_reporter_flag);
		} else {
			for (const struct igmp_group *m = netif_igmp_data(n); m; m = m->next)
				group_add(l, n, &m->group_address.addr, 4, m->use, m->timer, m->last_reporter_flag);
		}
	}
}

/* All groups, counted first as in socket_list.c; NULL: no memory. */
static struct group *groups(bool ipv6, unsigned *n)
{
	struct group_list l = { NULL, 0, 0 };

	do {
		kfree(l.groups);
		l.max = l.n + 16;
		l.groups = kmalloc(l.max * sizeof(*l.groups));
		if (!l.groups)
			return NULL;
		l.n = 0;
		net_lock();
		groups_collect(&l, ipv6);
		net_unlock();
	} while (l.n > l.max);
	*n = l.n;
	return l.groups;
}

static int igmp_show(struct text *t, const struct gen_ref *ref)
{
	unsigned n;
	struct group *list = groups(false, &n);

	if (!list)
		return -ENOMEM;
	text_printf(t, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
	for (unsigned i = 0; i < n; i++) {
		uint32_t ip;

		if (i == 0 || list[i].ifindex != list[i - 1].ifindex) {
			unsigned count = 0;

			for (unsigned k = i; k < n; k++)
				count += list[k].ifindex == list[i].ifindex;
			text_printf(t, "%u\t%-10s: %5u %7s\n", list[i].ifindex, list[i].interface, count, "V2");
		}
		memcpy(&ip, list[i].ip, 4);
		text_printf(t, "\t\t\t\t%08X %5u %d:%08X\t\t%d\n", ip, list[i].users, list[i].timer != 0, list[i].timer * 10, list[i].reporter);
	}
	kfree(list);
	return 0;
}

static int igmp6_show(struct text *t, const struct gen_ref *ref)
{
	unsigned n;
	struct group *list = groups(true, &n);

	if (!list)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		text_printf(t, "%-4u %-15s ", list[i].ifindex, list[i].interface);
		hex16(t, list[i].ip);
		text_printf(t, " %5u %08X %u\n", list[i].users, list[i].reporter ? 4 : 0, list[i].timer * 10);
	}
	kfree(list);
	return 0;
}

const struct gen_entry proc_net_files[] = {
	GEN_FILE("dev", dev_show), GEN_FILE("if_inet6", if_inet6_show), GEN_FILE("route", route_show), GEN_FILE("ipv6_route", ipv6_route_show),
	GEN_FILE("arp", arp_show), GEN_FILE("igmp", igmp_show), GEN_FILE("igmp6", igmp6_show),
	GEN_FILE("tcp", proc_net_tcp_show), GEN_FILE("tcp6", proc_net_tcp6_show), GEN_FILE("udp", proc_net_udp_show),
	GEN_FILE("udp6", proc_net_udp6_show), GEN_FILE("unix", proc_net_unix_show), GEN_FILE("sockstat", proc_net_sockstat_show),
	GEN_FILE("sockstat6", proc_net_sockstat6_show), GEN_FILE("snmp", proc_net_snmp_show), GEN_FILE("snmp6", proc_net_snmp6_show),
	GEN_FILE("netstat", proc_net_netstat_show), GEN_END,
};
