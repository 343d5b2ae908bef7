/*
 * kernel/net/tcp_syn.c - segments that belong to no connection yet.
 *
 * Theory:    a SYN makes a control block, until its peer answers or 20 s have passed: each listener may have half_open_max() of these. While it has
 *            as many, a SYN is answered by a cookie (tcp_cookie.h) and forgotten. The acknowledgement that comes back with a right cookie is
 *            all there is of that connection: its block is made then, as lwIP would have made it at the SYN, and lwIP
 *            is given the segment. Such a connection has no window scaling, no timestamps and no selective acknowledgements. Acknowledgements are taken
 *            for cookies only for two periods after one has been sent.
 *            Of several listeners on one port the one with the most exact address gets the segment. Those with the same are
 *            SO_REUSEPORT's; a keyed hash of the peer chooses.
 * Locking:   core lock.
 * Errors:    what cannot be answered is dropped; its sender tries again.
 */
#include "net/tcp_syn.h"
#include "net/memory.h"
#include "net/tcp_conn.h"
#include "net/tcp_cookie.h"
#include "net/tcp_private.h"
#include "core/clock.h"
#include "core/random.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "lwip/inet_chksum.h"
#include "lwip/prot/tcp.h"

#define HALF_OPEN_LEAST 16
#define HALF_OPEN_MOST 200   /* lwIP counts to 255 */
#define MSS_DEFAULT 536      /* RFC 9293, section 3.7.1 */
#define PERIOD_NS (TCP_COOKIE_PERIOD_S * NSEC_PER_SEC)

static uint64_t cookie_key[2], spread_key[2];
static uint64_t cookie_sent_ns;
static bool cookie_sent;

void tcp_syn_init(void)
{
	random_bytes(cookie_key, sizeof(cookie_key));
	random_bytes(spread_key, sizeof(spread_key));
}

bool tcp_syn_intact(struct pbuf *p, struct netif *inp)
{
	const struct tcp_hdr *h = p->payload;
	unsigned len = TCPH_HDRLEN_BYTES(h);

	if (len < TCP_HLEN || len > p->tot_len || ip_addr_ismulticast(ip_current_dest_addr()) ||
	    ip_addr_isbroadcast(ip_current_dest_addr(), ip_current_netif()))
		return false;
	IF__NETIF_CHECKSUM_ENABLED(inp, NETIF_CHECKSUM_CHECK_TCP) {
		return ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, ip_current_src_addr(), ip_current_dest_addr()) == 0;
	}
	return true;
}

static void ends_get(struct tcp_cookie_ends *e, const struct tcp_hdr *h)
{
	size_t len = ip_current_is_v6() ? 16 : 4;

	memset(e, 0, sizeof(*e));
	memcpy(e->local, ip_current_dest_addr(), len);
	memcpy(e->remote, ip_current_src_addr(), len);
	e->local_port = lwip_ntohs(h->dest);
	e->remote_port = lwip_ntohs(h->src);
}

/* --- listeners ------------------------------------------------------------------------------------------------- */

/* How exactly the listener's address is meant: 0, not at all. */
static unsigned match(const struct tcp_pcb_listen *l, uint16_t port)
{
	const ip_addr_t *to = ip_current_dest_addr();

	if (l->local_port != port)
		return 0;
	if (IP_IS_ANY_TYPE_VAL(l->local_ip))
		return 1;
	if (!IP_ADDR_PCB_VERSION_MATCH_EXACT(l, to))
		return 0;
	return ip_addr_eq(&l->local_ip, to) ? 3 : ip_addr_isany(&l->local_ip) ? 2 : 0;
}

struct tcp_pcb_listen *tcp_syn_listener(const struct tcp_hdr *h)
{
	uint16_t port = lwip_ntohs(h->dest);
	unsigned best = 0, n = 0, chosen;
	struct tcp_pcb_listen *l, *found = NULL;
	struct tcp_cookie_ends e;
	uint64_t words[3];

	for (l = tcp_listen_pcbs.listen_pcbs; l; l = l->next) {
		unsigned m = match(l, port);

		if (m > best) {
			best = m;
			found = l;
			n = 0;
		}
		n += m && m == best;
	}
	if (n < 2)
		return found;
	ends_get(&e, h);
	words[0] = e.remote[0];
	words[1] = e.remote[1];
	words[2] = (uint64_t)e.remote_port << 16 | e.local_port;
	chosen = (unsigned)((siphash(spread_key, words, 3) & UINT32_MAX) * n >> 32);
	for (l = tcp_listen_pcbs.listen_pcbs; l; l = l->next)
		if (match(l, port) == best && chosen-- == 0)
			return l;
	return found;
}

static unsigned half_open_max(const struct tcp_sock *t)
{
	return MIN(MAX(t->backlog, (unsigned)HALF_OPEN_LEAST), (unsigned)HALF_OPEN_MOST);
}

/* --- cookies ----------------------------------------------------------------------------------------------------- */

/* What the peer says that it takes. Options behind the first buffer are not looked at. */
static unsigned mss_option(const struct pbuf *p)
{
	const uint8_t *o = (const uint8_t *)p->payload + TCP_HLEN;
	unsigned left = MIN((unsigned)TCPH_HDRLEN_BYTES((const struct tcp_hdr *)p->payload), (unsigned)p->len) - TCP_HLEN;

	while (left >= 2 && *o != LWIP_TCP_OPT_EOL) {
		unsigned len = *o == LWIP_TCP_OPT_NOP ? 1 : o[1];

		if (len == 0 || len > left)
			break;
		if (*o == LWIP_TCP_OPT_MSS && len == LWIP_TCP_OPT_LEN_MSS)
			return (unsigned)o[2] << 8 | o[3];
		o += len;
		left -= len;
	}
	return MSS_DEFAULT;
}

/* Answers the SYN without remembering it. */
static void cookie_answer(const struct tcp_sock *t, struct pbuf *syn)
{
	const struct tcp_hdr *in = syn->payload;
	const ip_addr_t *local = ip_current_dest_addr(), *remote = ip_current_src_addr();
	uint64_t now = clock_monotonic_ns();
	struct tcp_cookie_ends e;
	struct netif *out = ip_route(local, remote);
	struct pbuf *p = out ? pbuf_alloc(PBUF_IP, TCP_HLEN + LWIP_TCP_OPT_LEN_MSS, PBUF_RAM) : NULL;
	struct tcp_hdr *h;
	uint32_t isn;
	u16_t mss;

	if (!p)
		return;
	mss = tcp_eff_send_mss_netif(TCP_MSS, out, remote);
	if (t->user_mss)
		mss = (u16_t)MIN((unsigned)mss, t->user_mss);
	ends_get(&e, in);
	isn = tcp_cookie_make(cookie_key, &e, lwip_ntohl(in->seqno), mss_option(syn), (uint32_t)(now / PERIOD_NS));
	h = p->payload;
	h->src = in->dest;
	h->dest = in->src;
	h->seqno = lwip_htonl(isn);
	h->ackno = lwip_htonl(lwip_ntohl(in->seqno) + 1);
	TCPH_HDRLEN_FLAGS_SET(h, (TCP_HLEN + LWIP_TCP_OPT_LEN_MSS) / 4, TCP_SYN | TCP_ACK);
	h->wnd = lwip_htons((uint16_t)MIN(tcp_window_limit(t), (unsigned)UINT16_MAX));
	h->urgp = 0;
	*(u32_t *)(h + 1) = TCP_BUILD_MSS_OPTION(mss);
	h->chksum = 0;
	IF__NETIF_CHECKSUM_ENABLED(out, NETIF_CHECKSUM_GEN_TCP) {
		h->chksum = ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, local, remote);
	}
	ip_output_if(p, local, remote, TCP_TTL, (IP_IS_V6(local) ? t->inet.v6.tos : t->inet.v4.tos), IP_PROTO_TCP, out);
	pbuf_free(p);
	cookie_sent_ns = now;
	cookie_sent = true;
	tcp_conn_counters.cookies_sent++;
}

/* The block of a connection whose SYN has been forgotten, as lwIP has it after the SYN of this peer and its own. NULL: no memory. */
static struct tcp_pcb *cookie_pcb(struct tcp_pcb_listen *l, const struct tcp_hdr *h, unsigned mss)
{
	struct tcp_pcb *pcb = tcp_alloc(l->prio);
	uint32_t iss = lwip_ntohl(h->ackno) - 1, seq = lwip_ntohl(h->seqno);

	if (!pcb)
		return NULL;
	ip_addr_copy(pcb->local_ip, *ip_current_dest_addr());
	ip_addr_copy(pcb->remote_ip, *ip_current_src_addr());
	pcb->local_port = l->local_port;
	pcb->remote_port = lwip_ntohs(h->src);
	pcb->state = SYN_RCVD;
	pcb->rcv_nxt = seq;
	pcb->rcv_ann_right_edge = seq + pcb->rcv_ann_wnd;
	pcb->snd_wl1 = seq - 1;
	pcb->snd_wl2 = iss;
	pcb->lastack = iss;
	pcb->snd_nxt = iss + 1;
	pcb->snd_lbb = iss + 1;
	pcb->snd_wnd = lwip_ntohs(h->wnd);
	pcb->snd_wnd_max = pcb->snd_wnd;
	pcb->callback_arg = l->callback_arg;
	pcb->listener = l;
	pcb->so_options = l->so_options & SOF_INHERITED;
	pcb->netif_idx = l->netif_idx;
	pcb->mss = tcp_eff_send_mss((u16_t)mss, &pcb->local_ip, &pcb->remote_ip);
	MIB2_STATS_INC(mib2.tcppassiveopens);
	if (tcp_syn_admit(l->callback_arg, pcb) != ERR_OK) {
		tcp_abandon(pcb, 0);
		return NULL;
	}
	return pcb;
}

static enum tcp_syn_verdict cookie_return(struct tcp_pcb_listen *l, struct pbuf *p, struct netif *inp, struct tcp_pcb **made)
{
	const struct tcp_hdr *h = p->payload;
	struct tcp_cookie_ends e;
	uint64_t now = clock_monotonic_ns();
	unsigned mss;

	if (!cookie_sent || now - cookie_sent_ns > 2 * PERIOD_NS || !tcp_syn_intact(p, inp))
		return TCP_SYN_PASS;
	ends_get(&e, h);
	mss = tcp_cookie_check(cookie_key, &e, lwip_ntohl(h->seqno) - 1, lwip_ntohl(h->ackno) - 1, (uint32_t)(now / PERIOD_NS));
	if (!mss) {
		tcp_conn_counters.cookies_refused++;
		return TCP_SYN_PASS;
	}
	/* Of our SYN nothing is left that could be sent again: the peer speaks, or gives up. */
	*made = tcp_child_ready() ? cookie_pcb(l, h, mss) : NULL;
	if (!*made)
		return TCP_SYN_DROP;
	tcp_conn_counters.cookies_taken++;
	return TCP_SYN_MADE;
}

enum tcp_syn_verdict tcp_syn_check(struct tcp_pcb_listen *l, struct pbuf *p, struct netif *inp, struct tcp_pcb **made)
{
	const struct tcp_hdr *h = p->payload;
	struct tcp_sock *t = l->callback_arg;

	switch (TCPH_FLAGS(h) & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) {
	case TCP_SYN:
		if (l->accepts_pending < half_open_max(t) || !tcp_syn_intact(p, inp))
			return TCP_SYN_PASS;
		tcp_conn_counters.syn_overflows++;
		/* Who comes back with a cookie must find room. */
		if (!tcp_accept_full(t))
			cookie_answer(t, p);
		return TCP_SYN_DROP;
	case TCP_ACK:
	case TCP_ACK | TCP_FIN: return cookie_return(l, p, inp, made);
	}
	return TCP_SYN_PASS;
}
