/*
 * kernel/net/tcp_option.c - options of TCP sockets, and TCP_INFO.
 *
 * Options of IP are in inet_option.c; what belongs to every socket is in linux/socket_option.c, which is asked when the functions here
 * answer -ENOPROTOOPT.
 *
 * Locking: core lock.
 * Errors:  Linux's.
 */
#include "net/tcp_conn.h"
#include "net/tcp_private.h"
#include "lib/string.h"
#include "net/port/hooks.h"
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"

#define MSS_ASKED_MIN 88 /* Linux's bounds of TCP_MAXSEG */
#define MSS_ASKED_MAX 32767
#define MSS_UNKNOWN 536  /* what is told before there is a connection */
#define TIME_OUTS_MAX 255
#define TIME_OUT_MAX_S 120

void tcp_ip_options(struct inet_sock *i)
{
	const struct inet_ip_options *o;
	struct tcp_sock *t = tcp_of(i);

	if (!t->pcb)
		return;
	o = IP_IS_V6_VAL(i->remote.ip) && !ip_addr_isany(&i->remote.ip) ? &i->v6 : &i->v4;
	t->pcb->ttl = o->ttl >= 0 ? (u8_t)o->ttl : TCP_TTL;
	t->pcb->tos = o->tos;
	t->pcb->netif_idx = i->device;
}

/* Options that were set before there was a control block. Core lock held. */
void tcp_options_apply(struct tcp_sock *t)
{
	struct tcp_pcb *pcb = t->pcb;

	/* Who may share a port has been decided (inet.c). */
	ip_set_option(pcb, SOF_REUSEADDR);
	if (socket_option_on(&t->inet.base, SO_KEEPALIVE))
		ip_set_option(pcb, SOF_KEEPALIVE);
	if (t->keep_idle)
		pcb->keep_idle = t->keep_idle * 1000;
	if (t->keep_interval)
		pcb->keep_intvl = t->keep_interval * 1000;
	if (t->keep_count)
		pcb->keep_cnt = t->keep_count;
	tcp_ip_options(&t->inet);
}

/* Linux counts in time-outs of a SYN, which double. Seconds until the first that is not before so many. */
static unsigned time_outs(int seconds)
{
	unsigned sum = 0;

	for (unsigned n = 0, step = 1; n < TIME_OUTS_MAX && (int)sum < seconds; n++) {
		sum += step;
		step = MIN(2 * step, (unsigned)TIME_OUT_MAX_S);
	}
	return sum;
}

u32_t *net_tcp_syn_options(struct tcp_hdr *h, const struct tcp_pcb *pcb, u32_t *end)
{
	const struct tcp_sock *t = pcb->state == SYN_RCVD && pcb->listener ? pcb->listener->callback_arg : tcp_sock_of(pcb);
	uint8_t *o = (uint8_t *)(h + 1);
	unsigned mss = (unsigned)o[2] << 8 | o[3];

	/* It comes first. */
	if (t && t->user_mss && (uint8_t *)end >= o + LWIP_TCP_OPT_LEN_MSS && o[0] == LWIP_TCP_OPT_MSS && t->user_mss < mss) {
		o[2] = (uint8_t)(t->user_mss >> 8);
		o[3] = (uint8_t)t->user_mss;
	}
	return end;
}

int tcp_setopt(struct inet_sock *i, int level, int name, int value)
{
	struct tcp_sock *t = tcp_of(i);
	struct tcp_pcb *pcb = t->pcb && t->state != TCP_LISTENING ? t->pcb : NULL;

	/* What is due next may change. */
	if (pcb)
		tcp_conn_enter(pcb);
	if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_RCVBUFFORCE)) {
		t->rcvbuf_set = true;
		t->inet.base.rcvbuf = socket_buffer_size(value, SOCKET_RCVBUF_MIN);
		tcp_window_change(t);
		return 0;
	}
	if (level == SOL_SOCKET && name == SO_RCVLOWAT) {
		tcp_lowat_set(t, value);
		return 0;
	}
	/* Recorded by linux/socket_option.c, which is asked next. */
	if (level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_SNDBUFFORCE))
		t->sndbuf_set = true;
	if (level == SOL_SOCKET && name == SO_KEEPALIVE && pcb) {
		if (value)
			ip_set_option(pcb, SOF_KEEPALIVE);
		else
			ip_reset_option(pcb, SOF_KEEPALIVE);
	}
	if (level != IPPROTO_TCP)
		return -ENOPROTOOPT;
	switch (name) {
	case TCP_NODELAY:
		t->nodelay = value;
		if (pcb && value)
			tcp_nagle_disable(pcb);
		else if (pcb)
			tcp_nagle_enable(pcb);
		if (pcb && value && t->state == TCP_CONNECTED)
			tcp_output(pcb);
		return 0;
	case TCP_CORK:
		t->cork = value;
		if (pcb && !value && t->state == TCP_CONNECTED)
			tcp_data_output(t);
		return 0;
	case TCP_KEEPIDLE:
		if (value < 1 || value > 32767)
			return -EINVAL;
		t->keep_idle = (unsigned)value;
		break;
	case TCP_KEEPINTVL:
		if (value < 1 || value > 32767)
			return -EINVAL;
		t->keep_interval = (unsigned)value;
		break;
	case TCP_KEEPCNT:
		if (value < 1 || value > 127)
			return -EINVAL;
		t->keep_count = (unsigned)value;
		break;
	case TCP_MAXSEG:
		if (value && (value < MSS_ASKED_MIN || value > MSS_ASKED_MAX))
			return -EINVAL;
		t->user_mss = (unsigned)value;
		return 0;
	case TCP_NOTSENT_LOWAT:
		t->notsent_lowat = (unsigned)value;
		tcp_room_change(t);
		return 0;
	case TCP_DEFER_ACCEPT: t->defer_accept_s = time_outs(value); return 0;
	case TCP_USER_TIMEOUT:
		if (value < 0)
			return -EINVAL;
		t->user_timeout_ms = (unsigned)value;
		return 0;
	case TCP_QUICKACK:
		t->quickack = value;
		t->ack_at_once = value;
		if (pcb && value && pcb->flags & TF_ACK_DELAY) {
			tcp_ack_now(pcb);
			tcp_output(pcb);
		}
		return 0;
	default: return -ENOPROTOOPT;
	}
	if (pcb)
		tcp_options_apply(t);
	return 0;
}

static void tcp_info_fill(const struct tcp_sock *t, struct tcp_info *info)
{
	/* Linux's numbers of the states, in the order of lwIP's. */
	static const uint8_t states[] = { 7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6 };
	const struct tcp_pcb *pcb = t->pcb;
	uint32_t mss, quiet_ms;

	memset(info, 0, sizeof(*info));
	info->tcpi_state = pcb && pcb->state < ARRAY_SIZE(states) ? states[pcb->state] : 7;
	if (!pcb || t->state == TCP_LISTENING) {
		info->tcpi_unacked = t->npending;
		info->tcpi_sacked = t->backlog;
		return;
	}
	mss = MAX(pcb->mss, (u16_t)1);
	quiet_ms = (tcp_ticks - pcb->tmr) * TCP_SLOW_INTERVAL;
	info->tcpi_retransmits = pcb->nrtx;
	info->tcpi_probes = pcb->keep_cnt_sent;
	info->tcpi_backoff = pcb->persist_backoff;
	info->tcpi_options = (pcb->flags & TF_TIMESTAMP ? TCPI_OPT_TIMESTAMPS : 0) | (pcb->flags & TF_SACK ? TCPI_OPT_SACK : 0) |
			     (pcb->flags & TF_WND_SCALE ? TCPI_OPT_WSCALE : 0);
	info->tcpi_snd_wscale = pcb->snd_scale;
	info->tcpi_rcv_wscale = pcb->rcv_scale;
	info->tcpi_rto = (uint32_t)pcb->rto * TCP_SLOW_INTERVAL * 1000;
	info->tcpi_ato = 40000;
	info->tcpi_snd_mss = mss;
	info->tcpi_rcv_mss = mss;
	info->tcpi_advmss = mss;
	info->tcpi_pmtu = mss + TCP_HLEN + (IP_IS_V6_VAL(pcb->remote_ip) ? IP6_HLEN : IP_HLEN);
	info->tcpi_unacked = (pcb->snd_nxt - pcb->lastack + mss - 1) / mss;
	info->tcpi_last_data_recv = quiet_ms;
	info->tcpi_last_ack_recv = quiet_ms;
	info->tcpi_rtt = (uint32_t)(pcb->sa >> 3) * TCP_SLOW_INTERVAL * 1000;
	info->tcpi_rttvar = (uint32_t)(pcb->sv >> 2) * TCP_SLOW_INTERVAL * 1000;
	info->tcpi_snd_ssthresh = pcb->ssthresh / mss;
	info->tcpi_snd_cwnd = MAX(pcb->cwnd / mss, (tcpwnd_size_t)1);
	info->tcpi_rcv_ssthresh = pcb->rcv_ann_wnd;
	info->tcpi_rcv_space = pcb->rcv_wnd;
	info->tcpi_bytes_acked = t->bytes_acked;
	info->tcpi_bytes_received = t->bytes_received;
	info->tcpi_notsent_bytes = pcb->snd_lbb - pcb->snd_nxt;
	info->tcpi_snd_wnd = pcb->snd_wnd;
}

int tcp_getopt(struct inet_sock *i, int level, int name, void *value, unsigned *len)
{
	struct tcp_sock *t = tcp_of(i);
	int *n = value;

	if (level != IPPROTO_TCP)
		return -ENOPROTOOPT;
	*len = sizeof(*n);
	switch (name) {
	case TCP_NODELAY: *n = t->nodelay; return 0;
	case TCP_CORK: *n = t->cork; return 0;
	case TCP_KEEPIDLE: *n = t->keep_idle ? (int)t->keep_idle : 7200; return 0;
	case TCP_KEEPINTVL: *n = t->keep_interval ? (int)t->keep_interval : 75; return 0;
	case TCP_KEEPCNT: *n = t->keep_count ? (int)t->keep_count : 9; return 0;
	case TCP_USER_TIMEOUT: *n = (int)t->user_timeout_ms; return 0;
	case TCP_QUICKACK: *n = t->quickack; return 0;
	case TCP_MAXSEG: *n = t->pcb && t->state == TCP_CONNECTED ? tcp_mss(t->pcb) : t->user_mss ? (int)t->user_mss : MSS_UNKNOWN; return 0;
	case TCP_NOTSENT_LOWAT: *n = (int)t->notsent_lowat; return 0;
	case TCP_DEFER_ACCEPT: *n = (int)t->defer_accept_s; return 0;
	case TCP_INFO:
		tcp_info_fill(t, value);
		*len = sizeof(struct tcp_info);
		return 0;
	}
	return -ENOPROTOOPT;
}
