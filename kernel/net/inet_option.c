/*
 * kernel/net/inet_option.c - socket options of IP.
 *
 * Theory:    what both kinds of sockets have of IPPROTO_IP and IPPROTO_IPV6 is here, groups are in multicast.c, the options of TCP with
 *            TCP. What belongs to every socket is in linux/socket_option.c, which is asked when the functions here answer -ENOPROTOOPT.
 * Interface: inet_setopt(), inet_getopt(), inet_private.h.
 * Locking:   core lock.
 * Errors:    Linux's, also for values and lengths that are wrong.
 */
#include "net/inet_private.h"
#include "net/path_mtu.h"
#include "net/device.h"
#include "net/ifreq.h"
#include "net/multicast.h"
#include "lib/string.h"
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include "lwip/tcp.h"

#define ECN_MASK 3 /* TCP's own bits of the field */
#define HOPS_DEFAULT 64

/* Options that say which control messages are wanted. */
static const struct {
	int level, name;
	unsigned want;
} wants[] = {
	{ IPPROTO_IP, IP_PKTINFO, WANT_PKTINFO },
	{ IPPROTO_IP, IP_RECVTTL, WANT_TTL },
	{ IPPROTO_IP, IP_RECVTOS, WANT_TOS },
	{ IPPROTO_IP, IP_RECVERR, WANT_ERRORS },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, WANT_PKTINFO6 },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, WANT_HOPS },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, WANT_TCLASS },
	{ IPPROTO_IPV6, IPV6_RECVERR, WANT_ERRORS6 },
};

static unsigned want_of(int level, int name)
{
	for (unsigned k = 0; k < ARRAY_SIZE(wants); k++)
		if (wants[k].level == level && wants[k].name == name)
			return wants[k].want;
	return 0;
}

static int want_set(struct inet_sock *i, unsigned want, bool on)
{
	if (on)
		atomic_fetch_or_explicit(&i->wants, want, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&i->wants, ~want, memory_order_relaxed);
	return 0;
}

/* --- IPv4 ------------------------------------------------------------------------------------------------------- */

/* struct ip_mreqn, struct ip_mreq or an address: the interface by its index, or by its address. */
static int set_multicast_if_v4(struct inet_sock *i, const void *value, unsigned len)
{
	const struct ip_mreqn *mr = value;
	uint32_t addr = len >= sizeof(struct ip_mreq) ? mr->imr_address.s_addr : *(const uint32_t *)value;
	struct netif *n = NULL, *by_addr;

	if (len >= sizeof(*mr) && mr->imr_ifindex) {
		n = mr->imr_ifindex > 0 ? inet_interface((unsigned)mr->imr_ifindex) : NULL;
	} else if (!addr) {
		i->v4.multicast_if = 0;
		i->multicast_addr = 0;
		return 0;
	} else {
		NETIF_FOREACH(by_addr)
			if (netif_ip4_addr(by_addr)->addr == addr)
				n = by_addr;
	}
	if (!n)
		return -EADDRNOTAVAIL;
	if (i->device && i->device != net_interface_index(n->num))
		return -EINVAL;
	i->v4.multicast_if = (uint8_t)net_interface_index(n->num);
	i->multicast_addr = addr;
	return 0;
}

static int set_ip(struct inet_sock *i, int name, const void *value, unsigned len)
{
	unsigned want = want_of(IPPROTO_IP, name);
	bool tcp = inet_is_tcp(i);
	int v = len >= sizeof(int) ? *(const int *)value : len ? *(const uint8_t *)value : 0;

	if (want)
		return want_set(i, want, v);
	switch (name) {
	case IP_TOS: i->v4.tos = (uint8_t)(tcp ? (v & ~ECN_MASK) | (i->v4.tos & ECN_MASK) : v); break;
	case IP_TTL:
		if (!len || (v != -1 && (v < 1 || v > 255)))
			return -EINVAL;
		i->v4.ttl = (int16_t)v;
		break;
	case IP_MTU_DISCOVER:
		if (v < IP_PMTUDISC_DONT || v > IP_PMTUDISC_OMIT)
			return -EINVAL;
		i->v4.mtu_discover = (uint8_t)v;
		break;
	case IP_FREEBIND:
		if (!len)
			return -EINVAL;
		i->v4.freebind = i->v6.freebind = v;
		break;
	case IP_MULTICAST_TTL:
		if (tcp || !len || v < -1 || v > 255)
			return -EINVAL;
		i->v4.multicast_ttl = v < 0 ? 1 : (uint8_t)v;
		break;
	case IP_MULTICAST_LOOP:
		if (!len)
			return -EINVAL;
		i->v4.multicast_loop = v;
		break;
	case IP_MULTICAST_ALL:
		if (!len || (v != 0 && v != 1))
			return -EINVAL;
		i->v4.multicast_all = v;
		break;
	case IP_MULTICAST_IF: return tcp || len < sizeof(struct in_addr) ? -EINVAL : set_multicast_if_v4(i, value, len);
	default: return multicast_setopt(i, IPPROTO_IP, name, value, len);
	}
	return 0;
}

static int get_ip(const struct inet_sock *i, int name, int *v)
{
	unsigned want = want_of(IPPROTO_IP, name);

	if (want) {
		*v = inet_wants(i, want);
		*v = *v != 0;
		return 0;
	}
	switch (name) {
	case IP_TOS: *v = i->v4.tos; return 0;
	case IP_TTL: *v = i->v4.ttl >= 0 ? i->v4.ttl : HOPS_DEFAULT; return 0;
	case IP_MTU_DISCOVER: *v = i->v4.mtu_discover; return 0;
	case IP_FREEBIND: *v = i->v4.freebind; return 0;
	case IP_MULTICAST_TTL: *v = i->v4.multicast_ttl; return 0;
	case IP_MULTICAST_LOOP: *v = i->v4.multicast_loop; return 0;
	case IP_MULTICAST_ALL: *v = i->v4.multicast_all; return 0;
	case IP_MULTICAST_IF: *v = (int)i->multicast_addr; return 0;
	case IP_MTU:
		if (!i->remote.port)
			return -ENOTCONN;
		*v = (int)path_mtu_to(&i->remote.ip);
		return 0;
	}
	return -ENOPROTOOPT;
}

/* --- IPv6 ------------------------------------------------------------------------------------------------------- */

static int set_ipv6(struct inet_sock *i, int name, const void *value, unsigned len)
{
	unsigned want = want_of(IPPROTO_IPV6, name);
	bool tcp = inet_is_tcp(i);
	int v = len >= sizeof(int) ? *(const int *)value : 0;
	int r = multicast_setopt(i, IPPROTO_IPV6, name, value, len);

	if (r != -ENOPROTOOPT)
		return r;
	if (want)
		return len < sizeof(int) ? -EINVAL : want_set(i, want, v);
	switch (name) {
	case IPV6_V6ONLY:
		if (len < sizeof(int) || i->local.port)
			return -EINVAL;
		i->v6only = v;
		return 0;
	case IPV6_UNICAST_HOPS:
		if (len < sizeof(int) || v < -1 || v > 255)
			return -EINVAL;
		i->v6.ttl = (int16_t)v;
		return 0;
	case IPV6_TCLASS:
		if (len < sizeof(int) || v < -1 || v > 255)
			return -EINVAL;
		v = v < 0 ? 0 : v;
		i->v6.tos = (uint8_t)(tcp ? (v & ~ECN_MASK) | (i->v6.tos & ECN_MASK) : v);
		return 0;
	case IPV6_MTU_DISCOVER:
		if (len < sizeof(int) || v < IPV6_PMTUDISC_DONT || v > IPV6_PMTUDISC_OMIT)
			return -EINVAL;
		i->v6.mtu_discover = (uint8_t)v;
		return 0;
	case IPV6_MULTICAST_HOPS:
		if (tcp)
			return -ENOPROTOOPT;
		if (len < sizeof(int) || v < -1 || v > 255)
			return -EINVAL;
		i->v6.multicast_ttl = v < 0 ? 1 : (uint8_t)v;
		return 0;
	case IPV6_MULTICAST_LOOP:
		if (len < sizeof(int) || (v != 0 && v != 1))
			return -EINVAL;
		i->v6.multicast_loop = v;
		return 0;
	case IPV6_MULTICAST_ALL:
		if (len < sizeof(int))
			return -EINVAL;
		i->v6.multicast_all = v;
		return 0;
	case IPV6_MULTICAST_IF:
		if (tcp)
			return -ENOPROTOOPT;
		if (len < sizeof(int))
			return -EINVAL;
		if (v && !(v > 0 && inet_interface((unsigned)v)))
			return -ENODEV;
		if (v && i->device && i->device != v)
			return -EINVAL;
		i->v6.multicast_if = (uint8_t)v;
		return 0;
	}
	return -ENOPROTOOPT;
}

static int get_ipv6(const struct inet_sock *i, int name, int *v)
{
	unsigned want = want_of(IPPROTO_IPV6, name);

	if (want) {
		*v = inet_wants(i, want) != 0;
		return 0;
	}
	switch (name) {
	case IPV6_V6ONLY: *v = i->v6only; return 0;
	case IPV6_UNICAST_HOPS: *v = i->v6.ttl >= 0 ? i->v6.ttl : HOPS_DEFAULT; return 0;
	case IPV6_TCLASS: *v = i->v6.tos; return 0;
	case IPV6_MTU_DISCOVER: *v = i->v6.mtu_discover; return 0;
	case IPV6_MULTICAST_HOPS: *v = i->v6.multicast_ttl; return 0;
	case IPV6_MULTICAST_LOOP: *v = i->v6.multicast_loop; return 0;
	case IPV6_MULTICAST_ALL: *v = i->v6.multicast_all; return 0;
	case IPV6_MULTICAST_IF: *v = i->v6.multicast_if; return 0;
	case IPV6_MTU:
		if (!i->remote.port)
			return -ENOTCONN;
		*v = (int)path_mtu_to(&i->remote.ip);
		return 0;
	}
	return -ENOPROTOOPT;
}

/* --- the device ------------------------------------------------------------------------------------------------- */

static int device_set(struct inet_sock *i, unsigned ifindex)
{
	i->device = (uint8_t)ifindex;
	if (inet_is_tcp(i))
		tcp_ip_options(i);
	return 0;
}

static int set_device(struct inet_sock *i, int name, const void *value, unsigned len)
{
	char device[IFNAMSIZ] = { 0 };
	struct netif *n;
	int index;

	if (name == SO_BINDTOIFINDEX) {
		if (len < sizeof(int))
			return -EINVAL;
		index = *(const int *)value;
		if (index < 0)
			return -EINVAL;
		return index && !inet_interface((unsigned)index) ? -ENODEV : device_set(i, (unsigned)index);
	}
	memcpy(device, value, MIN(len, (unsigned)IFNAMSIZ - 1));
	if (!device[0])
		return device_set(i, 0);
	n = net_interface_find(device);
	return n ? device_set(i, net_interface_index(n->num)) : -ENODEV;
}

static int get_device(const struct inet_sock *i, int name, void *value, unsigned *len)
{
	struct netif *n = inet_interface(i->device);
	char device[16];

	if (name == SO_BINDTOIFINDEX) {
		*(int *)value = i->device;
		*len = sizeof(int);
		return 0;
	}
	if (!n) {
		*len = 0;
		return 0;
	}
	if (*len < IFNAMSIZ)
		return -EINVAL;
	net_interface_name(n, device);
	*len = (unsigned)strlen(device) + 1;
	memcpy(value, device, *len);
	return 0;
}

/* --- the two functions ---------------------------------------------------------------------------------------------- */

int inet_setopt(struct socket *s, int level, int name, const void *value, unsigned len)
{
	struct inet_sock *i = inet_of(s);
	int r = -ENOPROTOOPT;

	net_lock();
	if (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX))
		r = set_device(i, name, value, len);
	else if (inet_is_tcp(i) && (level == SOL_SOCKET || level == IPPROTO_TCP))
		r = len >= sizeof(int) ? tcp_setopt(i, level, name, *(const int *)value) : level == IPPROTO_TCP ? -EINVAL : -ENOPROTOOPT;
	else if (level == IPPROTO_IP)
		r = set_ip(i, name, value, len);
	else if (level == IPPROTO_IPV6 && s->domain == AF_INET6)
		r = set_ipv6(i, name, value, len);
	if (!r && inet_is_tcp(i) && (level == IPPROTO_IP || level == IPPROTO_IPV6))
		tcp_ip_options(i);
	net_unlock();
	return r;
}

int inet_getopt(struct socket *s, int level, int name, void *value, unsigned *len)
{
	struct inet_sock *i = inet_of(s);
	unsigned room = *len;
	int r = -ENOPROTOOPT, *v = value;

	net_lock();
	if (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX)) {
		r = get_device(i, name, value, len);
	} else if (level == IPPROTO_IP) {
		*len = sizeof(int);
		r = get_ip(i, name, value);
		/* Linux answers with a byte who has room for one only. */
		if (!r && room && room < sizeof(int) && *v >= 0 && *v <= 255 && name != IP_MULTICAST_IF)
			*len = 1;
	} else if (level == IPPROTO_IPV6 && s->domain == AF_INET6) {
		*len = sizeof(int);
		r = get_ipv6(i, name, value);
	} else if (inet_is_tcp(i)) {
		r = tcp_getopt(i, level, name, value, len);
	}
	net_unlock();
	return r;
}
