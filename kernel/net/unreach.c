/*
 * kernel/net/unreach.c - errors on the way: ICMP messages, and neighbours that do not answer.
 *
 * Theory:    lwIP drops what routers and hosts say about our packets, and what waits for a neighbour's address in vain. So a raw control block
 *            sees every ICMP message before lwIP does; the headers that it quotes tell the socket. And a packet that waits for
 *            ARP or neighbour discovery leaves a copy of its headers here: when there is no answer after NEIGHBOUR_MS, as on Linux, its socket
 *            is told that the host is unreachable, as if a router had said so.
 * Interface: unreach.h; the sockets are told by tcp_unreachable() and udp_unreachable().
 * Locking:   core lock.
 * Errors:    for want of memory nothing is noted: the sender finds out by its own time-out. What is quoted comes from a stranger: lengths are
 *            checked, and TCP believes it only inside its window.
 */
#include "net/unreach.h"
#include "net/neighbour.h"
#include "net/inet_control.h"
#include "net/path_mtu.h"
#include "net/timer.h"
#include "core/clock.h"
#include "core/log.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/in.h>
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip4.h"
#include "lwip/ip6.h"
#include "lwip/raw.h"
#include "lwip/sys.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/prot/tcp.h"
#include "lwip/prot/udp.h"

#define ICMP_HEAD 8
#define QUOTE_MAX 576       /* bytes of a message that are looked at */
#define NEIGHBOUR_MS 3000   /* three questions, a second apart */
#define WAITING_MAX 64      /* packets noted at once */
#define HEAD_MAX 128        /* of each: the headers, and some of a datagram */
#define CODE_ADDRESS_V6 3   /* ICMPv6 "address unreachable" (RFC 4443, section 3.1) */
#define CODE_HOST_V4 1

/* --- what a message means ------------------------------------------------------------------------------------- */

struct meaning {
	int error;
	bool hard;
};

/* Destination unreachable, by code (RFC 792, RFC 1122 section 3.2.2.1). */
static const struct meaning unreachable_v4[] = {
	{ ENETUNREACH, false }, { EHOSTUNREACH, false }, { ENOPROTOOPT, true }, { ECONNREFUSED, true }, { EMSGSIZE, false },
	{ EOPNOTSUPP, false }, { ENETUNREACH, true }, { EHOSTDOWN, true }, { ENONET, true }, { ENETUNREACH, true }, { EHOSTUNREACH, true },
	{ ENETUNREACH, false }, { EHOSTUNREACH, false }, { EHOSTUNREACH, true }, { EHOSTUNREACH, true }, { EHOSTUNREACH, true },
};

/* RFC 4443, section 3.1. */
static const struct meaning unreachable_v6[] = {
	{ ENETUNREACH, false }, { EACCES, true }, { EHOSTUNREACH, false }, { EHOSTUNREACH, false }, { ECONNREFUSED, true }, { EACCES, true },
	{ EACCES, true },
};

static bool meaning_v4(uint8_t type, uint8_t code, struct meaning *m)
{
	*m = (struct meaning){ EHOSTUNREACH, false };
	switch (type) {
	case ICMP_DUR:
		if (code < ARRAY_SIZE(unreachable_v4))
			*m = unreachable_v4[code];
		return true;
	case ICMP_TE: return true;
	case ICMP_PP: *m = (struct meaning){ EPROTO, true }; return true;
	}
	return false;
}

static bool meaning_v6(uint8_t type, uint8_t code, struct meaning *m)
{
	*m = (struct meaning){ EHOSTUNREACH, false };
	switch (type) {
	case ICMP6_TYPE_DUR:
		if (code < ARRAY_SIZE(unreachable_v6))
			*m = unreachable_v6[code];
		return true;
	case ICMP6_TYPE_PTB: *m = (struct meaning){ EMSGSIZE, false }; return true;
	case ICMP6_TYPE_TE: return true;
	case ICMP6_TYPE_PP: *m = (struct meaning){ EPROTO, true }; return true;
	}
	return false;
}

/* --- whom it concerns -------------------------------------------------------------------------------------------- */

/* The packet that failed begins at q. Tells its socket; `why` has everything but the ends. */
static void tell(struct inet_unreach *why, const uint8_t *q, size_t len, bool v6, const struct netif *n)
{
	const struct ip_hdr *h4 = (const struct ip_hdr *)q;
	const struct ip6_hdr *h6 = (const struct ip6_hdr *)q;
	size_t head = v6 ? IP6_HLEN : IP_HLEN;
	uint8_t protocol;

	if (len < head)
		return;
	if (v6) {
		protocol = IP6H_NEXTH(h6);
		why->size = IP6H_PLEN(h6) + IP6_HLEN;
		ip_addr_copy_from_ip6_packed(why->from.ip, h6->src);
		ip_addr_copy_from_ip6_packed(why->to.ip, h6->dest);
		if (ip6_addr_lacks_zone(ip_2_ip6(&why->from.ip), IP6_UNKNOWN))
			ip6_addr_assign_zone(ip_2_ip6(&why->from.ip), IP6_UNKNOWN, n);
		if (ip6_addr_lacks_zone(ip_2_ip6(&why->to.ip), IP6_UNKNOWN))
			ip6_addr_assign_zone(ip_2_ip6(&why->to.ip), IP6_UNKNOWN, n);
	} else {
		head = IPH_HL_BYTES(h4);
		if (head < IP_HLEN || IPH_OFFSET(h4) & PP_HTONS(IP_OFFMASK))
			return;
		protocol = IPH_PROTO(h4);
		why->size = lwip_ntohs(IPH_LEN(h4));
		ip_addr_copy_from_ip4(why->from.ip, h4->src);
		ip_addr_copy_from_ip4(why->to.ip, h4->dest);
	}
	if (len < head + UDP_HLEN)
		return;
	q += head;
	why->from.port = (uint16_t)(q[0] << 8 | q[1]);
	why->to.port = (uint16_t)(q[2] << 8 | q[3]);
	if (protocol == IP_PROTO_UDP) {
		why->data = q + UDP_HLEN;
		why->len = (unsigned)(len - head - UDP_HLEN);
		udp_unreachable(why);
	} else if (protocol == IP_PROTO_TCP) {
		why->seq = (uint32_t)q[4] << 24 | (uint32_t)q[5] << 16 | (uint32_t)q[6] << 8 | q[7];
		tcp_unreachable(why);
	}
}

/* From lwIP, with the payload at the IP header. The message stays lwIP's, unless it is one about a packet that is too long: 1. */
static u8_t message_came(void *arg, struct raw_pcb *pcb, struct pbuf *p, const ip_addr_t *from)
{
	bool v6 = ip_current_is_v6();
	struct netif *inp = ip_current_input_netif();
	u16_t head = ip_current_header_tot_len(), len;
	uint8_t quote[QUOTE_MAX], type;
	struct inet_unreach why;
	struct meaning meaning;

	if (p->tot_len < head + ICMP_HEAD)
		return 0;
	type = pbuf_get_at(p, head);
	if (!(v6 ? meaning_v6 : meaning_v4)(type, pbuf_get_at(p, (u16_t)(head + 1)), &meaning))
		return 0;
	len = pbuf_copy_partial(p, quote, sizeof(quote), head);
	/* Of ICMPv6 lwIP looks at the sum itself, but afterwards; the device looks at neither. */
	if (inp->chksum_flags & (v6 ? NETIF_CHECKSUM_CHECK_ICMP6 : NETIF_CHECKSUM_CHECK_ICMP)) {
		uint16_t sum;

		if (pbuf_remove_header(p, head))
			return 0;
		sum = v6 ? ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, ip6_current_src_addr(), ip6_current_dest_addr()) : inet_chksum_pbuf(p);
		pbuf_add_header_force(p, head);
		if (sum)
			return 0;
	}
	why = (struct inet_unreach){
		.offender = *from, .error = meaning.error, .hard = meaning.hard, .origin = v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP,
		.type = type, .code = quote[1],
		.info = (uint32_t)quote[4] << 24 | (uint32_t)quote[5] << 16 | (uint32_t)quote[6] << 8 | quote[7],
	};
	/* Of IPv4, only the size that would have fitted is a number for applications. */
	if (!v6)
		why.info = type == ICMP_DUR && why.code == ICMP_DUR_FRAG ? why.info & 0xffff : 0;
	tell(&why, quote + ICMP_HEAD, len - ICMP_HEAD, v6, inp);
	if (!v6 || type != ICMP6_TYPE_PTB)
		return 0;
	/* lwIP would believe it without asking anybody (path_mtu.c). */
	path_mtu_counters.told++;
	ICMP6_STATS_INC(icmp6.recv);
	pbuf_free(p);
	return 1;
}

void unreach_init(void)
{
	struct raw_pcb *v4 = raw_new_ip_type(IPADDR_TYPE_V4, IP_PROTO_ICMP), *v6 = raw_new_ip_type(IPADDR_TYPE_V6, IP6_NEXTH_ICMP6);

	if (!v4 || !v6)
		panic("no memory for ICMP");
	raw_recv(v4, message_came, NULL);
	raw_recv(v6, message_came, NULL);
}

/* --- neighbours that do not answer -------------------------------------------------------------------------------- */

struct waiting {
	struct list link;
	struct netif *netif;
	ip_addr_t neighbour;
	uint32_t since_ms;
	uint8_t len;
	uint8_t head[HEAD_MAX];
};

static struct list waiting = LIST_INIT(waiting);
static unsigned nwaiting;

static const struct nd6_neighbor_cache_entry *neighbour_v6(const struct netif *n, const ip6_addr_t *ip)
{
	for (unsigned k = 0; k < LWIP_ND6_NUM_NEIGHBORS; k++)
		if (neighbor_cache[k].state != ND6_NO_ENTRY && neighbor_cache[k].netif == n && ip6_addr_eq(&neighbor_cache[k].next_hop_address, ip))
			return &neighbor_cache[k];
	return NULL;
}

static bool known(struct netif *n, const ip_addr_t *ip)
{
	const struct nd6_neighbor_cache_entry *e;
	/* Most packets go where the last one went: lwIP's table need not be searched. */
	static ssize_t last = -1;
	struct eth_addr *eth;
	struct netif *itf;
	ip4_addr_t *at;
	const ip4_addr_t *found;

	if (IP_IS_V4(ip)) {
		if (last >= 0 && etharp_get_entry((size_t)last, &at, &itf, &eth) && itf == n && ip4_addr_eq(at, ip_2_ip4(ip)))
			return true;
		last = etharp_find_addr(n, ip_2_ip4(ip), &eth, &found);
		return last >= 0;
	}
	e = neighbour_v6(n, ip_2_ip6(ip));
	return e && e->state != ND6_INCOMPLETE;
}

static void give_up(const struct waiting *w)
{
	bool v6 = IP_IS_V6_VAL(w->neighbour);
	struct inet_unreach why = { .error = EHOSTUNREACH, .origin = v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP,
				    .type = v6 ? ICMP6_TYPE_DUR : ICMP_DUR, .code = v6 ? CODE_ADDRESS_V6 : CODE_HOST_V4 };

	/* It is this machine that says so. */
	why.offender = v6 ? *netif_ip_addr6(w->netif, 0) : *netif_ip_addr4(w->netif);
	tell(&why, w->head, w->len, v6, w->netif);
}

bool unreach_waiting(void) { return nwaiting; }

void unreach_check(void)
{
	struct waiting *w, *next;

	for (w = list_first(&waiting, struct waiting, link); &w->link != &waiting; w = next) {
		bool found = known(w->netif, &w->neighbour);

		next = list_first(&w->link, struct waiting, link);
		if (!found && sys_now() - w->since_ms < NEIGHBOUR_MS)
			continue;
		list_del(&w->link);
		nwaiting--;
		if (!found)
			give_up(w);
		kfree(w);
	}
}

/* p begins with its IP header. A packet for the same neighbour has been waiting since it was asked for. */
static void note(struct netif *n, const struct pbuf *p, const ip_addr_t *neighbour)
{
	struct waiting *w, *old;

	/* The question for the neighbour may have found no memory, or no room in the device. Then no frame has left, later packets only wait behind this
	 * one, and nobody but lwIP's timer asks again. */
	net_timers_look(clock_monotonic_ns());
	if (nwaiting >= WAITING_MAX)
		return;
	w = kmalloc_flags(sizeof(*w), ALLOC_NORECLAIM);
	if (!w)
		return;
	w->netif = n;
	w->neighbour = *neighbour;
	w->since_ms = sys_now();
	w->len = (uint8_t)pbuf_copy_partial(p, w->head, HEAD_MAX, 0);
	list_for_each(old, &waiting, link) {
		if (old->netif == n && ip_addr_eq(&old->neighbour, neighbour)) {
			w->since_ms = old->since_ms;
			break;
		}
	}
	list_push_back(&waiting, &w->link);
	nwaiting++;
}

err_t unreach_output_v4(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
	/* lwIP puts the Ethernet header in front, or keeps the packet; this sees it as it was. */
	struct pbuf head = *p;
	err_t e = neighbour_output(n, p, to);
	ip_addr_t hop;

	if (e != ERR_OK || ip4_addr_ismulticast(to) || ip4_addr_isbroadcast(to, n))
		return e;
	ip_addr_copy_from_ip4(hop, *to);
	if (!ip4_addr_net_eq(to, netif_ip4_addr(n), netif_ip4_netmask(n)) && !ip4_addr_islinklocal(to))
		ip_addr_copy_from_ip4(hop, *netif_ip4_gw(n));
	if (!known(n, &hop))
		note(n, &head, &hop);
	return e;
}

/* Which neighbour a packet to that address goes through is what discovery itself found when it was asked just now. */
static const struct nd6_destination_cache_entry *destination_v6(const ip6_addr_t *to)
{
	static unsigned last;

	if (ip6_addr_eq(&destination_cache[last].destination_addr, to))
		return &destination_cache[last];
	for (unsigned k = 0; k < LWIP_ND6_NUM_DESTINATIONS; k++) {
		if (ip6_addr_eq(&destination_cache[k].destination_addr, to)) {
			last = k;
			return &destination_cache[k];
		}
	}
	return NULL;
}

err_t unreach_output_v6(struct netif *n, struct pbuf *p, const ip6_addr_t *to)
{
	const struct nd6_destination_cache_entry *d;
	struct pbuf head = *p;
	err_t e = neighbour_output6(n, p, to);
	ip_addr_t hop;

	if (e != ERR_OK || ip6_addr_ismulticast(to))
		return e;
	d = destination_v6(to);
	if (!d || neighbor_cache[d->cached_neighbor_idx].state >= ND6_REACHABLE)
		return e;
	ip_addr_copy_from_ip6(hop, d->next_hop_addr);
	if (!known(n, &hop))
		note(n, &head, &hop);
	return e;
}
