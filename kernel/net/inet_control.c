/*
 * kernel/net/inet_control.c - control messages of IP.
 *
 * Interface: inet_control.h
 * Locking:   the core lock is taken for a look at the interfaces' addresses.
 * Errors:    Linux's; a message for which there is no room is announced by MSG_CTRUNC.
 */
#include "net/inet_control.h"
#include "net/device.h"
#include "lib/string.h"
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/time_types.h>

/* struct in6_pktinfo, which the kernel headers leave to the C library's. */
struct pktinfo6 {
	struct in6_addr addr;
	int ifindex;
};

#define OFFENDER_MAX (sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))

/* --- received ------------------------------------------------------------------------------------------------ */

static void put_times(const struct inet_sock *i, const struct inet_arrival *a, struct socket_msg *m)
{
	if (!a->time_ns)
		return;
	if (socket_option_on(&i->base, SO_TIMESTAMPNS_OLD)) {
		struct __kernel_old_timespec t = { (long)(a->time_ns / 1000000000), (long)(a->time_ns % 1000000000) };

		socket_control_put(m, SOL_SOCKET, SO_TIMESTAMPNS_OLD, &t, sizeof(t));
	} else if (socket_option_on(&i->base, SO_TIMESTAMP_OLD)) {
		struct __kernel_old_timeval t = { (long)(a->time_ns / 1000000000), (long)(a->time_ns % 1000000000 / 1000) };

		socket_control_put(m, SOL_SOCKET, SO_TIMESTAMP_OLD, &t, sizeof(t));
	}
}

static void address6(struct in6_addr *to, const ip_addr_t *ip)
{
	memset(to, 0, sizeof(*to));
	if (IP_IS_V6(ip)) {
		memcpy(to, ip_2_ip6(ip)->addr, sizeof(*to));
		return;
	}
	to->s6_addr[10] = to->s6_addr[11] = 0xff;
	memcpy(&to->s6_addr[12], &ip_2_ip4(ip)->addr, 4);
}

/* The interface's own address for a datagram that went to many. */
static uint32_t own_address(const struct inet_arrival *a)
{
	struct netif *n;

	if (!ip_addr_ismulticast(a->to) && ip_2_ip4(a->to)->addr != IPADDR_BROADCAST)
		return ip_2_ip4(a->to)->addr;
	n = inet_interface(a->ifindex);
	return n ? netif_ip4_addr(n)->addr : 0;
}

void inet_control_received(const struct inet_sock *i, const struct inet_arrival *a, struct socket_msg *m)
{
	int n;

	put_times(i, a, m);
	if (socket_option_on(&i->base, SO_RXQ_OVFL) && a->dropped)
		socket_control_put(m, SOL_SOCKET, SO_RXQ_OVFL, &a->dropped, sizeof(a->dropped));
	if (inet_wants(i, WANT_PKTINFO6)) {
		struct pktinfo6 info = { .ifindex = (int)a->ifindex };

		address6(&info.addr, a->to);
		socket_control_put(m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (IP_IS_V6(a->to)) {
		n = a->ttl;
		if (inet_wants(i, WANT_HOPS))
			socket_control_put(m, IPPROTO_IPV6, IPV6_HOPLIMIT, &n, sizeof(n));
		n = a->tos;
		if (inet_wants(i, WANT_TCLASS))
			socket_control_put(m, IPPROTO_IPV6, IPV6_TCLASS, &n, sizeof(n));
		return;
	}
	if (inet_wants(i, WANT_PKTINFO)) {
		struct in_pktinfo info = { .ipi_ifindex = (int)a->ifindex, .ipi_spec_dst.s_addr = own_address(a),
					   .ipi_addr.s_addr = ip_2_ip4(a->to)->addr };

		socket_control_put(m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	n = a->ttl;
	if (inet_wants(i, WANT_TTL))
		socket_control_put(m, IPPROTO_IP, IP_TTL, &n, sizeof(n));
	if (inet_wants(i, WANT_TOS))
		socket_control_put(m, IPPROTO_IP, IP_TOS, &a->tos, sizeof(a->tos));
}

void inet_control_error(const struct inet_sock *i, const struct sock_extended_err *ee, const ip_addr_t *offender, struct socket_msg *m)
{
	uint8_t data[OFFENDER_MAX] = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)(data + sizeof(*ee));
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(data + sizeof(*ee));

	memcpy(data, ee, sizeof(*ee));
	if (i->base.domain == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_addr.s_addr = ip_2_ip4(offender)->addr;
		socket_control_put(m, IPPROTO_IP, IP_RECVERR, data, sizeof(*ee) + sizeof(*v4));
	} else {
		v6->sin6_family = AF_INET6;
		address6(&v6->sin6_addr, offender);
		socket_control_put(m, IPPROTO_IPV6, IPV6_RECVERR, data, sizeof(*ee) + sizeof(*v6));
	}
}

/* --- to be sent ------------------------------------------------------------------------------------------------ */

/* Is there an interface with that index, and is the address ours? */
static int source_check(const struct inet_sock *i, const struct inet_send *how)
{
	int r = 0;

	net_lock();
	if (how->ifindex && !inet_interface(how->ifindex))
		r = -ENODEV;
	else if (!ip_addr_isany(&how->source) && !inet_is_local(&how->source) && !(IP_IS_V6_VAL(how->source) ? &i->v6 : &i->v4)->freebind)
		r = IP_IS_V6_VAL(how->source) ? -EINVAL : -ENETUNREACH;
	net_unlock();
	return r;
}

static int number(const struct socket_cmsg *c, int low, int high, int *value)
{
	int n;

	if (socket_cmsg_len(c) != sizeof(n))
		return -EINVAL;
	memcpy(&n, c->data, sizeof(n));
	if (n < low || n > high)
		return -EINVAL;
	*value = n;
	return 0;
}

static int parse_v4(const struct socket_cmsg *c, struct inet_send *how)
{
	struct in_pktinfo info;

	switch (c->type) {
	case IP_PKTINFO:
		if (socket_cmsg_len(c) != sizeof(info))
			return -EINVAL;
		memcpy(&info, c->data, sizeof(info));
		how->ifindex = (unsigned)info.ipi_ifindex;
		ip_addr_set_ip4_u32(&how->source, info.ipi_spec_dst.s_addr);
		return 0;
	case IP_TTL: return number(c, 1, 255, &how->ttl);
	case IP_TOS:
		if (socket_cmsg_len(c) == 1) {
			how->tos = c->data[0];
			return 0;
		}
		return number(c, 0, 255, &how->tos);
	}
	return -EINVAL;
}

static int pktinfo_v6(const struct socket_cmsg *c, bool v6, struct inet_send *how)
{
	struct pktinfo6 info;

	if (socket_cmsg_len(c) < sizeof(info))
		return -EINVAL;
	memcpy(&info, c->data, sizeof(info));
	how->ifindex = (unsigned)info.ifindex;
	memcpy(ip_2_ip6(&how->source)->addr, &info.addr, sizeof(info.addr));
	IP_SET_TYPE_VAL(how->source, IPADDR_TYPE_V6);
	ip6_addr_clear_zone(ip_2_ip6(&how->source));
	if (v6)
		return 0;
	if (!ip6_addr_isipv4mappedipv6(ip_2_ip6(&how->source)))
		return -EINVAL;
	unmap_ipv4_mapped_ipv6(ip_2_ip4(&how->source), ip_2_ip6(&how->source));
	IP_SET_TYPE_VAL(how->source, IPADDR_TYPE_V4);
	return 0;
}

static int parse_v6(const struct socket_cmsg *c, struct inet_send *how)
{
	switch (c->type) {
	case IPV6_PKTINFO: return pktinfo_v6(c, true, how);
	case IPV6_HOPLIMIT: return number(c, -1, 255, &how->ttl);
	case IPV6_TCLASS: return number(c, -1, 255, &how->tos);
	case IPV6_DONTFRAG: return 0;
	}
	return -EINVAL;
}

int inet_control_parse(const struct inet_sock *i, const struct socket_msg *m, bool v6, struct inet_send *how)
{
	for (const struct socket_cmsg *c = NULL; (c = socket_cmsg_next(m, c));) {
		int r = 0;

		if (v6 && c->level == IPPROTO_IPV6)
			r = parse_v6(c, how);
		else if (!v6 && c->level == IPPROTO_IP)
			r = parse_v4(c, how);
		else if (!v6 && c->level == IPPROTO_IPV6 && i->base.domain == AF_INET6 && c->type == IPV6_PKTINFO)
			r = pktinfo_v6(c, false, how);
		if (r)
			return r;
	}
	return how->ifindex || !ip_addr_isany(&how->source) ? source_check(i, how) : 0;
}
