/*
 * kernel/net/inet_option.c - socket options of IP, and the questions about interfaces (SIOCGIF*).
 *
 * Options of TCP and UDP are with them; what belongs to every socket is in linux/socket_option.c, which is asked when the
 * functions here answer -ENOPROTOOPT.
 *
 * Locking: core lock.
 * Errors:  Linux's.
 */
#include "net/inet_private.h"
#include "net/device.h"
#include "net/ifreq.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/sockios.h>
#include "lwip/tcp.h"

#define IF_MAX 32

static int byte_option(const void *value, unsigned len)
{
	return len >= sizeof(int) ? *(const int *)value : *(const uint8_t *)value;
}

static void ip_options(struct inet_sock *i)
{
	if (inet_is_tcp(i))
		tcp_ip_options(i);
	else
		udp_ip_options(i);
}

static int set_ip(struct inet_sock *i, int name, int v)
{
	switch (name) {
	case IP_TOS: i->tos = (uint8_t)v; break;
	case IP_TTL:
		if (v != -1 && (v < 1 || v > 255))
			return -EINVAL;
		i->ttl = v < 0 ? 0 : (uint8_t)v;
		break;
	case IP_MTU_DISCOVER:
	case IP_RECVERR:
	case IP_FREEBIND: return 0;
	default: return -ENOPROTOOPT;
	}
	ip_options(i);
	return 0;
}

static int set_ipv6(struct inet_sock *i, int name, int v)
{
	if (i->base.domain != AF_INET6)
		return -ENOPROTOOPT;
	switch (name) {
	case IPV6_V6ONLY:
		if (i->local.port)
			return -EINVAL;
		i->v6only = v;
		return 0;
	case IPV6_UNICAST_HOPS:
		if (v < -1 || v > 255)
			return -EINVAL;
		i->ttl = v < 0 ? 0 : (uint8_t)v;
		break;
	case IPV6_TCLASS:
		if (v < -1 || v > 255)
			return -EINVAL;
		i->tos = v < 0 ? 0 : (uint8_t)v;
		break;
	case IPV6_MTU_DISCOVER:
	case IPV6_RECVERR: return 0;
	default: return -ENOPROTOOPT;
	}
	ip_options(i);
	return 0;
}

int inet_setopt(struct socket *s, int level, int name, const void *value, unsigned len)
{
	struct inet_sock *i = inet_of(s);
	int r = -ENOPROTOOPT;

	if (!len)
		return level == SOL_SOCKET ? -ENOPROTOOPT : -EINVAL;
	net_lock();
	if (inet_is_tcp(i)) {
		if (level == IPPROTO_TCP && len < sizeof(int))
			r = -EINVAL;
		else if (len >= sizeof(int))
			r = tcp_setopt(i, level, name, *(const int *)value);
	} else if (level != SOL_SOCKET) {
		r = udp_setopt(i, level, name, value, len);
	}
	if (r == -ENOPROTOOPT && level == IPPROTO_IP)
		r = set_ip(i, name, byte_option(value, len));
	else if (r == -ENOPROTOOPT && level == IPPROTO_IPV6)
		r = len < sizeof(int) ? -EINVAL : set_ipv6(i, name, *(const int *)value);
	net_unlock();
	return r;
}

static int get_ip(const struct inet_sock *i, int name, int *v)
{
	switch (name) {
	case IP_TOS: *v = i->tos; return 0;
	case IP_TTL: *v = i->ttl ? i->ttl : TCP_TTL; return 0;
	case IP_MTU_DISCOVER: *v = IP_PMTUDISC_WANT; return 0;
	case IP_RECVERR:
	case IP_FREEBIND: *v = 0; return 0;
	}
	return -ENOPROTOOPT;
}

static int get_ipv6(const struct inet_sock *i, int name, int *v)
{
	if (i->base.domain != AF_INET6)
		return -ENOPROTOOPT;
	switch (name) {
	case IPV6_V6ONLY: *v = i->v6only; return 0;
	case IPV6_UNICAST_HOPS: *v = i->ttl ? i->ttl : TCP_TTL; return 0;
	case IPV6_TCLASS: *v = i->tos; return 0;
	}
	return -ENOPROTOOPT;
}

int inet_getopt(struct socket *s, int level, int name, void *value, unsigned *len)
{
	struct inet_sock *i = inet_of(s);
	int r;

	net_lock();
	r = inet_is_tcp(i) ? tcp_getopt(i, level, name, value, len) : udp_getopt(i, level, name, value, len);
	if (r == -ENOPROTOOPT && (level == IPPROTO_IP || level == IPPROTO_IPV6)) {
		*len = sizeof(int);
		r = level == IPPROTO_IP ? get_ip(i, name, value) : get_ipv6(i, name, value);
	}
	net_unlock();
	return r;
}

/* --- interfaces --------------------------------------------------------------------------------------------------- */

static void address(struct ifreq_addr *to, uint32_t addr)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = addr;
}

static short flags_of(const struct netif *n)
{
	bool lo = !net_device_of(n);
	short f = (short)(netif_is_up(n) ? IFF_UP : 0);

	if (netif_is_up(n) && netif_is_link_up(n))
		f |= IFF_RUNNING;
	return (short)(f | (lo ? IFF_LOOPBACK : IFF_BROADCAST | IFF_MULTICAST));
}

static int interface_get(struct netif *n, unsigned cmd, struct ifreq *req)
{
	switch (cmd) {
	case SIOCGIFINDEX: req->ifr_ifindex = (int)net_interface_index(n->num); return 0;
	case SIOCGIFFLAGS: req->ifr_flags = flags_of(n); return 0;
	case SIOCGIFMTU: req->ifr_mtu = net_device_of(n) ? n->mtu : 65536; return 0;
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
		if (ip4_addr_isany(netif_ip4_addr(n)))
			return -EADDRNOTAVAIL;
		address(&req->ifr_addr, cmd == SIOCGIFADDR ? netif_ip4_addr(n)->addr : cmd == SIOCGIFNETMASK ? netif_ip4_netmask(n)->addr :
				net_device_of(n) ? netif_ip4_addr(n)->addr | ~netif_ip4_netmask(n)->addr : 0);
		return 0;
	case SIOCGIFHWADDR:
		memset(&req->ifr_hwaddr, 0, sizeof(req->ifr_hwaddr));
		req->ifr_hwaddr.family = net_device_of(n) ? ARPHRD_ETHER : ARPHRD_LOOPBACK;
		memcpy(req->ifr_hwaddr.data, n->hwaddr, n->hwaddr_len);
		return 0;
	}
	return -ENOTTY;
}

/* Those with an IPv4 address, as Linux lists them. */
static long interface_list(uaddr_t arg)
{
	struct ifconf conf;
	struct ifreq reqs[IF_MAX];
	struct netif *n;
	unsigned count = 0;
	long r = copy_from_user(&conf, arg, sizeof(conf));

	if (r)
		return r;
	net_lock();
	NETIF_FOREACH(n) {
		if (count == IF_MAX || ip4_addr_isany(netif_ip4_addr(n)))
			continue;
		memset(&reqs[count], 0, sizeof(reqs[count]));
		net_interface_name(n, reqs[count].ifr_name);
		address(&reqs[count].ifr_addr, netif_ip4_addr(n)->addr);
		count++;
	}
	net_unlock();
	if (conf.ifc_buf) {
		count = MIN(count, (unsigned)MAX(conf.ifc_len, 0) / (unsigned)sizeof(*reqs));
		r = copy_to_user(conf.ifc_buf, reqs, count * sizeof(*reqs));
	}
	conf.ifc_len = (int)(count * sizeof(*reqs));
	return r ? r : copy_to_user(arg, &conf, sizeof(conf));
}

long inet_ioctl(struct socket *s, unsigned cmd, uaddr_t arg)
{
	struct ifreq req;
	struct netif *n;
	long r;

	if (cmd == SIOCGIFCONF)
		return interface_list(arg);
	if ((cmd & 0xff00) != 0x8900)
		return -ENOTTY;
	r = copy_from_user(&req, arg, sizeof(req));
	if (r)
		return r;
	net_lock();
	if (cmd == SIOCGIFNAME) {
		n = netif_get_by_index((u8_t)req.ifr_ifindex);
		if (n)
			net_interface_name(n, req.ifr_name);
		r = n ? 0 : -ENODEV;
	} else {
		req.ifr_name[IFNAMSIZ - 1] = 0;
		n = net_interface_find(req.ifr_name);
		r = n ? interface_get(n, cmd, &req) : -ENODEV;
	}
	net_unlock();
	return r ? r : copy_to_user(arg, &req, sizeof(req));
}
