/*
 * kernel/net/inet_option.c - socket options of IP.
 *
 * Options of TCP and UDP are with them; what belongs to every socket is in linux/socket_option.c, which is asked when the
 * functions here answer -ENOPROTOOPT.
 *
 * Locking: core lock.
 * Errors:  Linux's.
 */
#include "net/inet_private.h"
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include "lwip/tcp.h"

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
