/*
 * kernel/net/path_mtu.c - how large the packets of a path may be, as routers tell (RFC 8201, RFC 1191).
 *
 * Theory:    lwIP would enter any number that anybody sends into its cache of IPv6 destinations, and send TCP segments that are too long as fragments. So such messages
 *            end in net/unreach.c, which finds the socket: a connection believes what quotes a sequence number that is under way (RFC 5927, section 4.1), a
 *            datagram's port must be open. A length below what every path must pass (1280, RFC 8200; IPv4: as Linux) or not below that of the packet that
 *            is quoted is not believed. What is believed goes into lwIP's cache, which new connections and fragments go by, and out of it after LASTS_MS.
 *            Of IPv4 nothing is remembered: DF is never set, so routers cut, and only odd ones tell.
 *
 *            lwIP's segments have the length that they were made with. Those that are too long now are cut in place with lwIP's own means, which cut the first
 *            of the list `unsent`: each is that for a moment. A segment that a device still holds is copied first. What was under way goes again at
 *            once; nothing is said about congestion (RFC 8201, section 5.4), so the window stays.
 * Interface: path_mtu.h.
 * Locking:   core lock.
 * Errors:    without memory segments stay too long, and the connection's own limit stays as it is, since lwIP takes for granted that none is longer. They
 *            are cut when the router answers again.
 */
#include "net/path_mtu.h"
#include "net/inet_private.h"
#include "net/tcp_recover.h"
#include "lib/string.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/snmp.h"
#include "lwip/sys.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/tcp.h"

#define LASTS_MS (10 * 60 * 1000) /* RFC 8201, section 4: not earlier than after five minutes is more tried again */
#define LEAST_V6 1280
#define LEAST_V4 552              /* Linux's: smaller ones are taken for this */

struct path_mtu_counters path_mtu_counters;

/* Beside lwIP's cache: which of its entries are lower than the interface, and since when. */
static struct {
	bool is;
	ip6_addr_t to;
	uint32_t since_ms;
} lowered[LWIP_ND6_NUM_DESTINATIONS];
static unsigned nlowered;

static unsigned headers(const ip_addr_t *to) { return (IP_IS_V6(to) ? IP6_HLEN : IP_HLEN) + TCP_HLEN; }

/* What the message says the path can pass; 0: it is not believed. */
static unsigned told(const struct inet_unreach *why)
{
	bool v6 = IP_IS_V6(&why->to.ip);
	uint32_t mtu = why->info;

	if (!v6 && mtu && mtu < LEAST_V4)
		mtu = LEAST_V4;
	return mtu >= (v6 ? LEAST_V6 : LEAST_V4) && mtu < why->size ? mtu : 0;
}

/* --- what is known of destinations ---------------------------------------------------------------------------------- */

static struct nd6_destination_cache_entry *destination(const ip6_addr_t *to)
{
	for (unsigned k = 0; k < LWIP_ND6_NUM_DESTINATIONS; k++)
		if (ip6_addr_eq(&destination_cache[k].destination_addr, to))
			return &destination_cache[k];
	return NULL;
}

bool path_mtu_note(const struct inet_unreach *why)
{
	unsigned mtu = told(why), k;
	struct nd6_destination_cache_entry *d;

	if (!mtu)
		path_mtu_counters.refused++;
	if (!mtu || !IP_IS_V6(&why->to.ip))
		return mtu;
	d = destination(ip_2_ip6(&why->to.ip));
	if (!d || (d->pmtu && mtu >= d->pmtu))
		return true;
	d->pmtu = (u16_t)mtu;
	k = (unsigned)(d - destination_cache);
	nlowered += !lowered[k].is;
	lowered[k].is = true;
	lowered[k].to = d->destination_addr;
	lowered[k].since_ms = sys_now();
	return true;
}

unsigned path_mtu_to(const ip_addr_t *to)
{
	struct netif *n = ip_route(IP_IS_V6(to) ? IP6_ADDR_ANY : IP4_ADDR_ANY, to);
	const struct nd6_destination_cache_entry *d = n && IP_IS_V6(to) ? destination(ip_2_ip6(to)) : NULL;

	if (!n || !IP_IS_V6(to))
		return n ? n->mtu : 0;
	return d && d->pmtu ? MIN(d->pmtu, netif_mtu6(n)) : netif_mtu6(n);
}

bool path_mtu_known(void) { return nlowered; }

void path_mtu_check(void)
{
	for (unsigned k = 0; k < LWIP_ND6_NUM_DESTINATIONS; k++) {
		bool same = ip6_addr_eq(&destination_cache[k].destination_addr, &lowered[k].to);

		if (!lowered[k].is || (same && sys_now() - lowered[k].since_ms < LASTS_MS))
			continue;
		/* 0 is the interface's. One that is somebody else's meanwhile began anew. */
		if (same)
			destination_cache[k].pmtu = 0;
		lowered[k].is = false;
		nlowered--;
	}
}

/* --- connections ---------------------------------------------------------------------------------------------------- */

static uint32_t start_of(const struct tcp_seg *seg) { return lwip_ntohl(seg->tcphdr->seqno); }

/* Gives a segment that somebody else holds, too, bytes of its own. False: no memory. */
static bool own(struct tcp_pcb *pcb, struct tcp_seg *seg)
{
	u16_t len = (u16_t)(TCPH_HDRLEN_BYTES(seg->tcphdr) + seg->len);
	u16_t before = (u16_t)((uint8_t *)seg->tcphdr - (uint8_t *)seg->p->payload);
	struct pbuf *p;

	if (seg->p->ref == 1)
		return true;
	p = pbuf_alloc(PBUF_IP, len, PBUF_RAM);
	if (!p)
		return false;
	pbuf_copy_partial(seg->p, p->payload, len, before);
	pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen + pbuf_clen(p) - pbuf_clen(seg->p));
	pbuf_free(seg->p);
	seg->p = p;
	seg->tcphdr = p->payload;
	return true;
}

err_t __real_tcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split);
err_t __wrap_tcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split);

/* lwIP, which also cuts what a small window has no room for, leaves FIN and PSH in the first part: the peer would take it for the end. */
err_t __wrap_tcp_split_unsent_seg(struct tcp_pcb *pcb, u16_t split)
{
	struct tcp_seg *first = pcb->unsent;
	u16_t len = first ? first->len : 0;
	err_t e = __real_tcp_split_unsent_seg(pcb, split);

	if (first && first->len < len)
		TCPH_UNSET_FLAG(first->tcphdr, TCPH_FLAGS(first->next->tcphdr) & (TCP_FIN | TCP_PSH));
	return e;
}

/* Cuts a segment into such of `most` bytes, which follow it in its list. False: no memory, and the last of them is too long. */
static bool cut(struct tcp_pcb *pcb, struct tcp_seg *seg, u16_t most)
{
	struct tcp_seg *unsent = pcb->unsent;
	err_t e = ERR_OK;

	if (!own(pcb, seg))
		return false;
	while (seg->len > most && e == ERR_OK) {
		struct tcp_seg *rest = seg->next;

		seg->next = NULL;
		pcb->unsent = seg;
		e = tcp_split_unsent_seg(pcb, most);
		pcb->unsent = unsent;
		if (e == ERR_OK)
			seg = seg->next;
		seg->next = rest;
	}
	/* The room behind the last segment, which may be another one now. */
	pcb->unsent_oversize = 0;
	return e == ERR_OK;
}

static u16_t most_of(const struct tcp_seg *seg, u16_t mss)
{
	u16_t options = LWIP_TCP_OPT_LENGTH(seg->flags); /* a sum without parentheses */

	return (u16_t)(mss - options);
}

void path_mtu_tcp(struct tcp_pcb *pcb, const struct inet_unreach *why)
{
	unsigned mtu = path_mtu_note(why) ? told(why) : 0, again = 0;
	bool fit = true;
	u16_t mss;

	if (!mtu || pcb->state < ESTABLISHED)
		return;
	mss = (u16_t)MIN(mtu - headers(&why->to.ip), pcb->mss);
	for (struct tcp_seg *seg = pcb->unsent; seg && fit; seg = seg->next)
		fit = seg->len <= most_of(seg, mss) || cut(pcb, seg, most_of(seg, mss));
	for (struct tcp_seg **from = &pcb->unacked; *from && fit;) {
		struct tcp_seg *seg = *from;
		uint32_t end = start_of(seg) + seg->len;
		u16_t most = most_of(seg, mss);

		if (seg->len <= most) {
			from = &seg->next;
			continue;
		}
		fit = cut(pcb, seg, most);
		/* What could not be cut would come back at once; it waits for lwIP's timer. */
		for (; *from && TCP_SEQ_LT(start_of(*from), end) && (*from)->len <= most; again++)
			tcp_recover_move(from, &pcb->unsent);
	}
	if (fit && mss < pcb->mss) {
		pcb->mss = mss;
		pcb->unsent_oversize = 0;
		path_mtu_counters.lowered++;
	}
	if (!again)
		return;
	for (; again; again--)
		MIB2_STATS_INC(mib2.tcpretranssegs);
	/* They do not tell how long the way is; and nobody has failed to answer. */
	pcb->rttest = 0;
	if (pcb->nrtx) {
		pcb->nrtx = 0;
		pcb->rto = (s16_t)((pcb->sa >> 3) + pcb->sv);
	}
	pcb->rtime = 0;
	tcp_output(pcb);
}
