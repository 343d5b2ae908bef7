/*
 * kernel/net/socket_list.c - snapshots of the sockets on IP.
 *
 * Theory:    TCP's rows come from lwIP's control blocks, since connections have them that no file holds any more, or holds not yet;
 *            UDP's from the table of ports. Rows are counted first and filled afterwards, so that memory is
 *            allocated without the core lock; if there are more by then, it is done again. Connections are taken some hundred in a hold of the
 *            lock (tcp_conn_each()), so that thousands of them do not keep the network from its work.
 * Interface: socket_list.h; unix.c has the sockets of AF_UNIX.
 * Locking:   core lock, and each socket's while its figures are copied.
 */
#include "net/socket_list.h"
#include "net/tcp_conn.h"
#include "net/tcp_private.h"
#include "lib/string.h"
#include "mm/mm.h"

#define SLACK 64     /* rows that may come meanwhile, and */
#define SLACK_PART 8 /* this part of them */

struct rows {
	struct socket_row *rows;
	unsigned n, max; /* n counts on behind max */
};

static struct socket_row *row_next(struct rows *l)
{
	struct socket_row *r = l->n < l->max ? &l->rows[l->n] : NULL;

	l->n++;
	if (r)
		memset(r, 0, sizeof(*r));
	return r;
}

static void end_set(struct socket_end *end, bool ipv6, const ip_addr_t *ip, uint16_t port)
{
	end->port = port;
	if (IP_IS_V6(ip)) {
		memcpy(end->ip, ip_2_ip6(ip)->addr, 16);
	} else if (!ipv6) {
		memcpy(end->ip, &ip_2_ip4(ip)->addr, 4);
	} else if (!ip_addr_isany(ip)) {
		memset(end->ip + 10, 0xff, 2);
		memcpy(end->ip + 12, &ip_2_ip4(ip)->addr, 4);
	}
}

/* visit() adds rows from a place on, and answers the next one, 0: there are no more. */
static struct socket_row *collect(unsigned (*visit)(struct rows *l, unsigned from), unsigned *n)
{
	struct rows l = { NULL, 0, 0 };
	unsigned at = 0;

	for (;;) {
		l.n = 0;
		do {
			net_lock();
			at = visit(&l, at);
			net_unlock();
		} while (at);
		if (l.rows && l.n <= l.max)
			break;
		kfree(l.rows);
		l.max = l.n + SLACK + l.n / SLACK_PART;
		l.rows = kmalloc(l.max * sizeof(*l.rows));
		if (!l.rows) {
			*n = 0;
			return NULL;
		}
	}
	*n = l.n;
	return l.rows;
}

/* --- TCP ----------------------------------------------------------------------------------------------------- */

static const uint8_t states[] = {
	[CLOSED] = SOCKET_CLOSED, [LISTEN] = SOCKET_LISTENING, [SYN_SENT] = SOCKET_SYN_SENT, [SYN_RCVD] = SOCKET_SYN_RECEIVED,
	[ESTABLISHED] = SOCKET_ESTABLISHED, [FIN_WAIT_1] = SOCKET_FIN_WAIT_1, [FIN_WAIT_2] = SOCKET_FIN_WAIT_2,
	[CLOSE_WAIT] = SOCKET_CLOSE_WAIT, [CLOSING] = SOCKET_CLOSING, [LAST_ACK] = SOCKET_LAST_ACK, [TIME_WAIT] = SOCKET_TIME_WAIT,
};

static void timer_set(struct socket_row *r, const struct tcp_pcb *pcb)
{
	unsigned ticks = 0;

	if (pcb->state == TIME_WAIT) {
		r->timer = SOCKET_TIMER_TIME_WAIT;
		ticks = 2 * TCP_MSL / TCP_SLOW_INTERVAL - MIN(tcp_ticks - pcb->tmr, 2 * TCP_MSL / TCP_SLOW_INTERVAL);
	} else if (pcb->persist_backoff) {
		r->timer = SOCKET_TIMER_PROBE;
	} else if (pcb->rtime >= 0) {
		r->timer = SOCKET_TIMER_RETRANSMIT;
		ticks = (unsigned)MAX(pcb->rto - pcb->rtime, 0);
	} else if (ip_get_option(pcb, SOF_KEEPALIVE)) {
		r->timer = SOCKET_TIMER_KEEPALIVE;
		ticks = pcb->keep_idle / TCP_SLOW_INTERVAL - MIN(tcp_ticks - pcb->tmr, pcb->keep_idle / TCP_SLOW_INTERVAL);
	}
	r->timer_ms = ticks * TCP_SLOW_INTERVAL;
}

static void connection_row(const struct tcp_pcb *pcb, void *list)
{
	/* Until the handshake is over, the socket is the listener. */
	struct tcp_sock *t = tcp_sock_of(pcb), *of = t ? t : pcb->listener ? tcp_sock_of((const struct tcp_pcb *)pcb->listener) : NULL;
	struct socket_row *r = row_next(list);

	if (!r)
		return;
	r->ipv6 = of ? of->inet.base.domain == AF_INET6 : IP_IS_V6_VAL(pcb->local_ip);
	r->state = states[pcb->state];
	end_set(&r->local, r->ipv6, &pcb->local_ip, pcb->local_port);
	end_set(&r->remote, r->ipv6, &pcb->remote_ip, pcb->remote_port);
	timer_set(r, pcb);
	r->retransmits = pcb->nrtx;
	if (pcb->state != TIME_WAIT) {
		r->tx_bytes = pcb->snd_lbb - pcb->lastack;
		r->window_sent = pcb->mss ? pcb->cwnd / pcb->mss : 0;
		r->threshold = pcb->mss ? pcb->ssthresh / pcb->mss : 0;
	}
	if (t && t->pcb == pcb) {
		mutex_lock(&t->inet.lock);
		r->rx_bytes = (uint32_t)t->rx_bytes;
		r->ino = t->orphan ? 0 : t->inet.base.ino;
		mutex_unlock(&t->inet.lock);
	}
}

static void listener_row(struct rows *l, const struct tcp_pcb_listen *pcb)
{
	struct tcp_sock *t = tcp_sock_of((const struct tcp_pcb *)pcb);
	struct socket_row *r = t ? row_next(l) : NULL;

	if (!r)
		return;
	r->ipv6 = t->inet.base.domain == AF_INET6;
	r->state = SOCKET_LISTENING;
	mutex_lock(&t->inet.lock);
	end_set(&r->local, r->ipv6, &t->inet.local.ip, pcb->local_port);
	r->rx_bytes = t->npending;
	r->ino = t->inet.base.ino;
	mutex_unlock(&t->inet.lock);
}

static unsigned visit_tcp(struct rows *l, unsigned from)
{
	if (!from)
		for (const struct tcp_pcb_listen *pcb = tcp_listen_pcbs.listen_pcbs; pcb; pcb = pcb->next)
			listener_row(l, pcb);
	return tcp_conn_each(from, connection_row, l);
}

struct socket_row *socket_rows_tcp(unsigned *n) { return collect(visit_tcp, n); }

/* --- UDP ----------------------------------------------------------------------------------------------------- */

static void datagram_row(struct inet_sock *i, void *arg)
{
	struct socket_row *r = row_next(arg);
	size_t waiting;

	if (!r)
		return;
	r->ipv6 = i->base.domain == AF_INET6;
	udp_sock_figures(i, &waiting, &r->dropped);
	mutex_lock(&i->lock);
	r->state = i->remote.port ? SOCKET_ESTABLISHED : SOCKET_CLOSED;
	end_set(&r->local, r->ipv6, &i->local.ip, i->local.port);
	end_set(&r->remote, r->ipv6, &i->remote.ip, i->remote.port);
	r->rx_bytes = (uint32_t)waiting;
	r->ino = i->base.ino;
	mutex_unlock(&i->lock);
}

static unsigned visit_udp(struct rows *l, unsigned from)
{
	inet_port_each(false, datagram_row, l);
	return 0;
}

struct socket_row *socket_rows_udp(unsigned *n) { return collect(visit_udp, n); }
