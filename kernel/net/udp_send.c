/*
 * kernel/net/udp_send.c - UDP: sending.
 *
 * Theory:    The bytes are copied into a pbuf of ours, with room for all headers in front, before the core lock is taken. What goes to an
 *            address of this machine is handed to the receiver's socket as it is: one copy in, one out. If nobody is there, the sender is
 *            told what an ICMP message would tell. What goes out gets its UDP header here and the rest from lwIP's IP.
 *            What goes to a group, or to all, is delivered here besides, as a copy, since lwIP writes into what it sends.
 *            What lwIP keeps, until a neighbour has answered or a card has room, counts against SO_SNDBUF. What a card has taken does not.
 * Interface: udp_private.h
 * Locking:   inet_private.h.
 * Errors:    Linux's.
 */
#include "net/udp_private.h"
#include "net/device.h"
#include "net/multicast.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/socket.h>
#include <linux/in.h>
#include "lwip/inet_chksum.h"
#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/ip4.h"
#include "lwip/ip6.h"
#include "lwip/stats.h"
#include "lwip/prot/udp.h"

#define DATAGRAM_MAX 65507
#define DATAGRAM_MAX_V6 (65535 - IP6_HLEN - UDP_HLEN) /* Linux's is larger by the IPv6 header; lwIP counts in 16 bits */
#define HEADROOM 128 /* link, IPv6 and UDP headers, and what devices want */
#define HOPS_DEFAULT 64
#define QUOTED_MAX 512 /* bytes of a datagram that are kept with the error it met */

/* --- the bytes ------------------------------------------------------------------------------------------------- */

/* Counts it against the sender no more, who may send again when half of what it may have is free. Core lock held. */
static void out_discharge(struct udp_out *o)
{
	struct udp_sock *u = o->sender;

	atomic_fetch_sub_explicit(&u->unsent, o->size, memory_order_relaxed);
	if (udp_writable(u)) {
		mutex_lock(&u->inet.lock);
		waitq_wake_all(&u->inet.writers, 0);
		waitq_wake(&u->inet.readers, 0, EVENTS_OUT);
		mutex_unlock(&u->inet.lock);
	}
	udp_put(u);
}

static void out_free(struct pbuf *p)
{
	struct udp_out *o = container_of((struct pbuf_custom *)p, struct udp_out, pbuf);

	if (o->sender)
		out_discharge(o);
	net_held_sub(o->size);
	kfree(o);
}

static struct udp_out *out_alloc(size_t len, unsigned flags)
{
	size_t size = sizeof(struct udp_out) + HEADROOM + len;
	struct udp_out *o = kmalloc_flags(size, flags);

	if (!o)
		return NULL;
	o->size = (uint32_t)size;
	o->sender = NULL;
	net_held_add(size);
	o->pbuf.custom_free_function = out_free;
	/* PBUF_RAM: lwIP puts headers in front of the payload, down to the end of the structure. */
	pbuf_alloced_custom(PBUF_RAW, (u16_t)len, PBUF_RAM, &o->pbuf, o->bytes + HEADROOM, (u16_t)len);
	return o;
}

/* With the message's bytes, or an encoded error. */
static struct udp_out *out_new(struct socket_msg *m)
{
	struct udp_out *o = out_alloc(m->len, 0);
	int r;

	if (!o)
		return ERR_PTR(-ENOBUFS);
	r = socket_msg_get(m, o->bytes + HEADROOM, m->len);
	if (r) {
		pbuf_free(&o->pbuf.pbuf);
		return ERR_PTR(r);
	}
	return o;
}

/* --- where it goes ------------------------------------------------------------------------------------------------ */

/* One datagram under way: its ends, its interface, and what its header will say. */
struct route {
	struct inet_end from, to;
	struct netif *netif;
	uint8_t ttl, tos;
};

static void header_values(const struct udp_sock *u, const struct inet_send *how, bool group, struct route *r)
{
	const struct inet_ip_options *o = IP_IS_V6_VAL(r->to.ip) ? &u->inet.v6 : &u->inet.v4;
	int ttl = how->ttl >= 0 ? how->ttl : group ? o->multicast_ttl : o->ttl;

	r->ttl = ttl >= 0 ? (uint8_t)ttl : HOPS_DEFAULT;
	r->tos = how->tos >= 0 ? (uint8_t)how->tos : o->tos;
}

/* The address by which others may know the sender. To a group through loopback it is a card's, as on Linux, if there is one. */
static const ip_addr_t *source_v4(struct netif *out, bool group)
{
	struct netif *n;

	if (group && !net_device_of(out))
		NETIF_FOREACH(n)
			if (net_device_of(n) && netif_is_up(n) && !ip4_addr_isany(netif_ip4_addr(n)))
				return netif_ip_addr4(n);
	return netif_ip_addr4(out);
}

/* The interface, and the address it comes from. 0, -ENETUNREACH. */
static int route_find(struct udp_sock *u, const struct inet_send *how, bool group, struct route *r)
{
	const struct inet_ip_options *o = IP_IS_V6_VAL(r->to.ip) ? &u->inet.v6 : &u->inet.v4;
	unsigned ifindex = how->ifindex ? how->ifindex : u->inet.device ? u->inet.device : group ? o->multicast_if : 0;
	bool v6 = IP_IS_V6_VAL(r->to.ip);

	r->from = (struct inet_end){ how->source, u->inet.local.port };
	/* What is bound to a group receives from it; it cannot be a source. */
	if (ip_addr_isany(&r->from.ip) && !ip_addr_ismulticast(&u->inet.local.ip) && !inet_is_broadcast(&u->inet.local.ip))
		r->from.ip = u->inet.local.ip;
	if (!ip_addr_isany(&r->from.ip) && IP_IS_V6_VAL(r->from.ip) != v6)
		return -ENETUNREACH;
	if (group && !v6 && ip_addr_isany(&r->from.ip) && u->inet.multicast_addr)
		ip_addr_set_ip4_u32(&r->from.ip, u->inet.multicast_addr);
	if (v6 && !ifindex && ip6_addr_has_zone(ip_2_ip6(&r->to.ip)))
		ifindex = ip6_addr_zone(ip_2_ip6(&r->to.ip));
	if (ifindex)
		r->netif = inet_interface(ifindex);
	else
		r->netif = v6 ? ip6_route(ip_addr_isany(&r->from.ip) ? IP6_ADDR_ANY6 : ip_2_ip6(&r->from.ip), ip_2_ip6(&r->to.ip)) :
				ip4_route(ip_2_ip4(&r->to.ip));
	if (!r->netif && v6 && group)
		r->netif = netif_default;
	if (!r->netif)
		return -ENETUNREACH;
	if (v6 && ip6_addr_lacks_zone(ip_2_ip6(&r->to.ip), IP6_UNKNOWN))
		ip6_addr_assign_zone(ip_2_ip6(&r->to.ip), IP6_UNKNOWN, r->netif);
	if (ip_addr_isany(&r->from.ip)) {
		const ip_addr_t *own = v6 ? ip6_select_source_address(r->netif, ip_2_ip6(&r->to.ip)) : source_v4(r->netif, group);

		if (!own || ip_addr_isany(own))
			return -ENETUNREACH;
		r->from.ip = *own;
	}
	return 0;
}

static void datagram_fill(struct udp_out *o, const struct route *r, unsigned ifindex, bool inside)
{
	o->datagram = (struct datagram){ .p = &o->pbuf.pbuf, .from = r->from, .to = r->to, .ifindex = (uint8_t)ifindex, .ttl = r->ttl,
					 .tos = r->tos, .inside = inside };
}

/* --- here ------------------------------------------------------------------------------------------------------------ */

static const ip_addr_t *source_here(const ip_addr_t *to)
{
	static const ip_addr_t loopback = IPADDR4_INIT(PP_HTONL(INADDR_LOOPBACK));

	return IP_IS_V4(to) && ip_addr_isloopback(to) ? &loopback : to;
}

/* Nobody has the port: as if the answer had come by ICMP. */
static void refused(const struct udp_out *o, const struct route *r)
{
	bool v6 = IP_IS_V6_VAL(r->to.ip);
	struct inet_unreach why = { .from = r->from, .to = r->to, .offender = r->to.ip, .error = ECONNREFUSED, .hard = true,
				    .origin = v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP, .type = v6 ? ICMP6_TYPE_DUR : ICMP_DUR,
				    .code = v6 ? ICMP6_DUR_PORT : ICMP_DUR_PORT, .data = o->pbuf.pbuf.payload,
				    .len = MIN(o->pbuf.pbuf.len, (u16_t)QUOTED_MAX) };

	MIB2_STATS_INC(mib2.udpnoports);
	udp_unreachable(&why);
}

/* To an address of this machine. Takes over the bytes. */
static int send_here(struct udp_sock *u, struct udp_out *o, const struct inet_send *how, struct route *r)
{
	const ip_addr_t *own = &u->inet.local.ip;

	r->from = (struct inet_end){ how->source, u->inet.local.port };
	if (ip_addr_isany(&r->from.ip))
		r->from.ip = ip_addr_isany(own) || ip_addr_ismulticast(own) ? *source_here(&r->to.ip) : *own;
	header_values(u, how, false, r);
	datagram_fill(o, r, net_interface_index(0), true);
	MIB2_STATS_INC(mib2.udpoutdatagrams);
	net_loopback_count((IP_IS_V4(&r->to.ip) ? IP_HLEN : IP6_HLEN) + UDP_HLEN + o->pbuf.pbuf.len);
	if (udp_deliver(&o->datagram, false))
		return 0;
	refused(o, r);
	pbuf_free(&o->pbuf.pbuf);
	return 0;
}

/* --- out -------------------------------------------------------------------------------------------------------------- */

/* To those here who listen to the group, or to all. */
static void send_copies(const struct udp_out *o, const struct route *r)
{
	struct udp_out *copy = out_alloc(o->pbuf.pbuf.len, ALLOC_NORECLAIM);

	if (!copy)
		return;
	memcpy(copy->pbuf.pbuf.payload, o->pbuf.pbuf.payload, o->pbuf.pbuf.len);
	datagram_fill(copy, r, net_interface_index(r->netif->num), false);
	udp_deliver(&copy->datagram, true);
	pbuf_free(&copy->pbuf.pbuf);
}

static int send_out(struct udp_sock *u, struct pbuf *p, const struct route *r)
{
	bool v6 = IP_IS_V6_VAL(r->to.ip);
	struct udp_hdr *h;
	err_t e;

	if (pbuf_add_header(p, UDP_HLEN))
		return -ENOBUFS;
	h = p->payload;
	h->src = lwip_htons(r->from.port);
	h->dest = lwip_htons(r->to.port);
	h->len = lwip_htons(p->tot_len);
	h->chksum = 0;
	IF__NETIF_CHECKSUM_ENABLED(r->netif, NETIF_CHECKSUM_GEN_UDP)
	{
		h->chksum = ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, &r->from.ip, &r->to.ip);
		if (!h->chksum)
			h->chksum = 0xffff;
	}
	if (v6)
		e = ip6_output_if_src(p, ip_2_ip6(&r->from.ip), ip_2_ip6(&r->to.ip), r->ttl, r->tos, IP_PROTO_UDP, r->netif);
	else
		e = ip4_output_if_src(p, ip_2_ip4(&r->from.ip), ip_2_ip4(&r->to.ip), r->ttl, r->tos, IP_PROTO_UDP, r->netif);
	if (e == ERR_OK) {
		UDP_STATS_INC(udp.xmit);
		MIB2_STATS_INC(mib2.udpoutdatagrams);
	}
	/* As on Linux, a full queue is a loss like any other, unless errors are asked for. */
	if ((e == ERR_MEM || e == ERR_BUF) && !inet_wants(&u->inet, v6 ? WANT_ERRORS6 : WANT_ERRORS))
		return 0;
	return inet_error(e);
}

static bool too_long(const struct udp_sock *u, const struct route *r, size_t len)
{
	bool v6 = IP_IS_V6_VAL(r->to.ip);
	uint8_t discover = v6 ? u->inet.v6.mtu_discover : u->inet.v4.mtu_discover;

	return (discover == IP_PMTUDISC_DO || discover == IP_PMTUDISC_PROBE) && r->netif->mtu &&
	       len + UDP_HLEN + (v6 ? IP6_HLEN : IP_HLEN) > r->netif->mtu;
}

/* Takes over the bytes. Core lock held. */
static int send_locked(struct udp_sock *u, struct udp_out *o, const struct inet_send *how, struct route *r)
{
	struct pbuf *p = &o->pbuf.pbuf;
	bool group = ip_addr_ismulticast(&r->to.ip), all, lo;
	int e = udp_autobind(u);

	if (e)
		goto out;
	inet_to_here(&r->to.ip);
	if (!group && inet_is_local(&r->to.ip))
		return send_here(u, o, how, r);
	all = !group && inet_is_broadcast(&r->to.ip);
	e = -EACCES;
	if (all && !socket_option_on(&u->inet.base, SO_BROADCAST))
		goto out;
	e = route_find(u, how, group, r);
	if (e)
		goto out;
	header_values(u, how, group, r);
	e = -EMSGSIZE;
	if (too_long(u, r, p->tot_len))
		goto out;
	lo = !net_device_of(r->netif);
	if (lo || all || (group && (IP_IS_V6_VAL(r->to.ip) ? &u->inet.v6 : &u->inet.v4)->multicast_loop && multicast_joined(&r->to.ip, r->netif)))
		send_copies(o, r);
	e = lo || (group && !r->ttl) ? 0 : send_out(u, p, r);
	if (p->ref > 1) {
		inet_get(&u->inet);
		o->sender = u;
		atomic_fetch_add_explicit(&u->unsent, o->size, memory_order_relaxed);
	}
out:
	pbuf_free(p);
	return e;
}

/* --- room ------------------------------------------------------------------------------------------------------------ */

static size_t send_limit(const struct udp_sock *u) { return (size_t)atomic_load_explicit(&u->inet.base.sndbuf, memory_order_relaxed); }

static bool has_room(const struct udp_sock *u) { return atomic_load_explicit(&u->unsent, memory_order_relaxed) < send_limit(u); }

bool udp_writable(const struct udp_sock *u) { return atomic_load_explicit(&u->unsent, memory_order_relaxed) < send_limit(u) / 2; }

/* Waits until less than SO_SNDBUF waits to be sent. 0 or -errno. */
static int room_wait(struct udp_sock *u, int flags)
{
	uint64_t deadline = socket_deadline(u->inet.base.send_timeout_ns, flags);
	int r = 0;

	mutex_lock(&u->inet.lock);
	while (!has_room(u)) {
		r = deadline ? waitq_wait(&u->inet.writers, &u->inet.lock, deadline, true) : -EAGAIN;
		if (r && !has_room(u)) {
			r = deadline ? socket_interrupted(r, deadline) : r;
			break;
		}
		r = socket_take_error(&u->inet.base);
		if (!r && u->inet.tx_shut)
			r = -EPIPE;
		if (r)
			break;
	}
	mutex_unlock(&u->inet.lock);
	return r;
}

/* The destination, from the message or from connect(). */
static int destination(struct udp_sock *u, const struct socket_msg *m, struct inet_end *to)
{
	int r;

	if (m->addr && m->addr->len && !(u->inet.base.domain == AF_INET6 && m->addr->len >= sizeof(m->addr->family) && m->addr->family == AF_UNSPEC)) {
		r = udp_end_parse(u, m->addr, to);
		if (!r && to->port)
			return 0;
		/* Of an AF_INET6 socket, Linux says no more than this of any wrong name. */
		return r && !(r == -EAFNOSUPPORT && u->inet.base.domain == AF_INET6) ? r : -EINVAL;
	}
	mutex_lock(&u->inet.lock);
	*to = u->inet.remote;
	mutex_unlock(&u->inet.lock);
	return to->port ? 0 : -EDESTADDRREQ;
}

ssize_t udp_sendmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct udp_sock *u = udp_sock(s);
	struct inet_send how = { .ttl = -1, .tos = -1 };
	size_t len = m->len;
	struct udp_out *o;
	struct route route;
	int r;

	if (len > 0xffff)
		return -EMSGSIZE;
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	r = destination(u, m, &route.to);
	if (r)
		return r;
	if (len > (IP_IS_V6_VAL(route.to.ip) ? DATAGRAM_MAX_V6 : DATAGRAM_MAX))
		return -EMSGSIZE;
	if (m->control_len) {
		r = inet_control_parse(&u->inet, m, IP_IS_V6_VAL(route.to.ip), &how);
		if (r)
			return r;
	}
	r = socket_take_error(s);
	if (r)
		return r;
	if (u->inet.tx_shut)
		return -EPIPE;
	if (!has_room(u)) {
		r = room_wait(u, flags);
		if (r)
			return r;
	}
	o = out_new(m);
	if (IS_ERR(o))
		return PTR_ERR(o);
	net_lock();
	udp_free_read(u);
	r = send_locked(u, o, &how, &route);
	net_unlock();
	return r ? r : (ssize_t)len;
}
