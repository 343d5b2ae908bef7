/*
 * kernel/net/counters.c - what the network has counted: /proc/ibrik/net, and the kernel option trace=net.
 *
 * Theory:    a line a subject: its name, then NAME=VALUE words.
 *
 *              lock         the core lock: how often it was taken, was held by another, and how long was waited for it
 *              memory       bytes that lwIP and that sockets and drivers keep, the limit, allocations of lwIP's that failed
 *              device ...   frames and bytes each way, those that were dropped, and what waits at the device
 *              large ...    the same device's large frames each way, and how many frames that lwIP sent lie joined in such
 *              address ...  the IPv4 address, its lease, and what else the network has said: host name, domains, name and time servers
 *              link, arp, ip, icmp, igmp, udp, tcp, ip6, icmp6, nd6, mld6, frag, frag6   lwIP's layers
 *              pool ...     lwIP's kinds of objects: how many there are, were at most, were not to be had
 *              neighbours   the guard of their tables (neighbour.c): what was not believed, and who was not asked for
 *              connections  TCP's table (tcp_conn.h): SYN cookies, TIME_WAIT, what was refused for want of memory
 *              recovery     lost segments: what went again, and why (tcp_recover.h)
 *              paths        messages about packets that are too long for a path (path_mtu.h), connections that keep to it, messages that were not believed
 *              errors       ICMP errors that were not sent, for they would have been too many (icmp_rate.h)
 *              sockets      how many are open, and TCP's by state
 *
 *            trace=net prints the same lines, behind "net: ", every ten seconds if there was anything to tell and at the end of the machine; layers
 *            and pools in which nothing has been counted are left out.
 * Interface: counters.h, proc.h.
 * Locking:   the core lock while lwIP's counters are copied.
 * Errors:    -ENOMEM.
 */
#include "net/counters.h"
#include "net/config.h"
#include "net/icmp_rate.h"
#include "net/interface.h"
#include "net/memory.h"
#include "net/net.h"
#include "net/proc.h"
#include "net/socket_list.h"
#include "net/stats.h"
#include "net/tcp_conn.h"
#include "net/tcp_recover.h"
#include "net/neighbour.h"
#include "net/path_mtu.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "lwip/memp.h"

#define PRINT_NS (10 * NSEC_PER_SEC)

struct net_lock_counters net_lock_counters;
static bool tracing;

/* The names of lwIP's pools, from its own list. */
static const char *const pools[] = {
#define LWIP_MEMPOOL(name, num, size, desc) #name,
#include "lwip/priv/memp_std.h"
};

struct copy {
	struct net_stats lwip;
	struct stats_mem pools[MEMP_MAX];
	struct net_lock_counters lock;
	struct tcp_conn_counters connections;
	struct tcp_recover_counters recovery;
	struct neighbour_counters neighbours;
	struct path_mtu_counters paths;
	struct icmp_rate_counters errors;
};

static struct copy *copy_make(void)
{
	struct copy *c = kmalloc(sizeof(*c));

	if (!c)
		return NULL;
	net_lock();
	net_stats_copy(&c->lwip);
	for (unsigned i = 0; i < MEMP_MAX; i++)
		c->pools[i] = *lwip_stats.memp[i];
	c->lock = net_lock_counters;
	c->connections = tcp_conn_counters;
	c->recovery = tcp_recover_counters;
	c->neighbours = neighbour_counters;
	c->paths = path_mtu_counters;
	c->errors = icmp_rate_counters;
	net_unlock();
	return c;
}

/* Whether anything of a layer has been counted. */
static bool is_counted(const struct net_stats *s, const void *layer, size_t size)
{
	for (const uint32_t *w = layer; w < (const uint32_t *)((const char *)layer + size); w++)
		if (net_stat(s, w))
			return true;
	return false;
}

static void proto_line(struct text *t, const char *name, const struct net_stats *s, const struct stats_proto *p, bool all)
{
	if (all || is_counted(s, p, sizeof(*p)))
		text_printf(t, "%s sent=%lu received=%lu dropped=%lu bad_sum=%lu bad_length=%lu no_memory=%lu no_route=%lu bad_protocol=%lu bad_option=%lu errors=%lu\n",
			    name, net_stat(s, &p->xmit), net_stat(s, &p->recv), net_stat(s, &p->drop), net_stat(s, &p->chkerr), net_stat(s, &p->lenerr),
			    net_stat(s, &p->memerr), net_stat(s, &p->rterr), net_stat(s, &p->proterr), net_stat(s, &p->opterr), net_stat(s, &p->err));
}

static void group_line(struct text *t, const char *name, const struct net_stats *s, const struct stats_igmp *p, bool all)
{
	if (all || is_counted(s, p, sizeof(*p)))
		text_printf(t, "%s sent=%lu received=%lu dropped=%lu bad_sum=%lu bad_length=%lu no_memory=%lu queries=%lu group_queries=%lu reports=%lu joins=%lu leaves=%lu\n",
			    name, net_stat(s, &p->xmit), net_stat(s, &p->recv), net_stat(s, &p->drop), net_stat(s, &p->chkerr), net_stat(s, &p->lenerr),
			    net_stat(s, &p->memerr), net_stat(s, &p->rx_general), net_stat(s, &p->rx_group), net_stat(s, &p->rx_report),
			    net_stat(s, &p->tx_join), net_stat(s, &p->tx_leave));
}

static void layers(struct text *t, const struct net_stats *s, bool all)
{
	const struct stats_ *l = &s->low;

	proto_line(t, "link", s, &l->link, all);
	proto_line(t, "arp", s, &l->etharp, all);
	proto_line(t, "ip", s, &l->ip, all);
	proto_line(t, "frag", s, &l->ip_frag, all);
	proto_line(t, "icmp", s, &l->icmp, all);
	group_line(t, "igmp", s, &l->igmp, all);
	proto_line(t, "udp", s, &l->udp, all);
	proto_line(t, "tcp", s, &l->tcp, all);
	proto_line(t, "ip6", s, &l->ip6, all);
	proto_line(t, "frag6", s, &l->ip6_frag, all);
	proto_line(t, "icmp6", s, &l->icmp6, all);
	proto_line(t, "nd6", s, &l->nd6, all);
	group_line(t, "mld6", s, &l->mld6, all);
}

static void devices(struct text *t)
{
	unsigned n;
	struct net_interface *list = net_interfaces(&n);

	for (unsigned i = 0; list && i < n; i++) {
		const struct net_traffic *f = &list[i].traffic;

		text_printf(t, "device %s link=%s mtu=%u received=%lu received_bytes=%lu received_dropped=%lu sent=%lu sent_bytes=%lu sent_dropped=%lu",
			    list[i].name, list[i].carrier ? "up" : "down", list[i].mtu, f->rx_frames, f->rx_bytes, f->rx_dropped, f->tx_frames,
			    f->tx_bytes, f->tx_dropped);
		if (*list[i].device)
			text_printf(t, " buffers_waiting=%u frames_waiting=%u driver=%s", f->rx_queue, f->tx_queue, list[i].device);
		text_add(t, "\n", 1);
		if (*list[i].device)
			text_printf(t, "large %s received=%lu sent=%lu joined=%lu\n", list[i].name, f->rx_large, f->tx_large, f->tx_joined);
	}
	kfree(list);
}

static void connections(struct text *t, const struct tcp_conn_counters *c)
{
	text_printf(t, "connections open=%lu time_waits=%lu time_waits_cut=%lu timer_runs=%lu half_open_overflows=%lu cookies_sent=%lu cookies_taken=%lu"
		       " cookies_refused=%lu unacceptable=%lu no_memory=%lu memory_stalls=%lu memory_drops=%lu\n",
		    c->connections, c->time_waits, c->time_waits_cut, c->timer_runs, c->syn_overflows, c->cookies_sent, c->cookies_taken,
		    c->cookies_refused, c->unacceptable, c->memory_refusals, c->memory_stalls, c->memory_drops);
}

static void recovery(struct text *t, const struct tcp_recover_counters *c)
{
	text_printf(t, "recovery begun=%lu resent=%lu timeouts=%lu spared=%lu probes=%lu probes_needless=%lu\n", c->recoveries, c->resent, c->timeouts,
		    c->spared, c->probes, c->probes_needless);
}

static void neighbours(struct text *t, const struct neighbour_counters *c)
{
	text_printf(t, "neighbours malformed=%lu unasked=%lu claims=%lu moves=%lu refused=%lu\n", c->malformed, c->unasked, c->claims, c->moves, c->refused);
}

static void paths(struct text *t, const struct path_mtu_counters *c)
{
	text_printf(t, "paths too_big=%lu lowered=%lu refused=%lu\n", c->told, c->lowered, c->refused);
}

static void sockets(struct text *t)
{
	static const char *const names[SOCKET_STATES] = {
		[SOCKET_ESTABLISHED] = "established", [SOCKET_SYN_SENT] = "syn_sent", [SOCKET_SYN_RECEIVED] = "syn_received",
		[SOCKET_FIN_WAIT_1] = "fin_wait_1", [SOCKET_FIN_WAIT_2] = "fin_wait_2", [SOCKET_TIME_WAIT] = "time_wait", [SOCKET_CLOSED] = "closed",
		[SOCKET_CLOSE_WAIT] = "close_wait", [SOCKET_LAST_ACK] = "last_ack", [SOCKET_LISTENING] = "listening", [SOCKET_CLOSING] = "closing",
	};
	unsigned ntcp, nudp, nunix, by_state[SOCKET_STATES] = { 0 };
	struct socket_row *tcp = socket_rows_tcp(&ntcp), *udp = socket_rows_udp(&nudp);
	struct unix_row *local = unix_rows(&nunix);
	uint64_t to_send = 0, to_read = 0, dropped = 0;

	for (unsigned i = 0; tcp && i < ntcp; i++) {
		by_state[tcp[i].state]++;
		to_send += tcp[i].tx_bytes;
		if (tcp[i].state != SOCKET_LISTENING)
			to_read += tcp[i].rx_bytes;
	}
	for (unsigned i = 0; udp && i < nudp; i++)
		dropped += udp[i].dropped;
	text_printf(t, "sockets open=%u unix=%u udp=%u udp_dropped=%lu tcp=%u tcp_to_send=%lu tcp_to_read=%lu", atomic_load(&sockets_open), nunix, nudp,
		    dropped, ntcp, to_send, to_read);
	for (unsigned i = 1; i < SOCKET_STATES; i++)
		text_printf(t, " %s=%u", names[i], by_state[i]);
	text_add(t, "\n", 1);
	kfree(tcp);
	kfree(udp);
	kfree(local);
}

static int counters_print(struct text *t, bool all)
{
	static const struct stats_mem none;
	struct copy *c = copy_make();

	if (!c)
		return -ENOMEM;
	text_printf(t, "lock taken=%lu contended=%lu waited_us=%lu\n", c->lock.taken, c->lock.contended, c->lock.waited_ns / 1000);
	text_printf(t, "memory limit=%lu kept=%lu stack=%lu stack_max=%lu stack_failed=%u\n", net_memory_limit(), net_memory_kept(),
		    (unsigned long)c->lwip.low.mem.used, (unsigned long)c->lwip.low.mem.max, c->lwip.low.mem.err);
	devices(t);
	net_config_print(t);
	layers(t, &c->lwip, all);
	for (unsigned i = 0; i < MEMP_MAX; i++)
		if (all || memcmp(&c->pools[i], &none, sizeof(none)))
			text_printf(t, "pool %s used=%lu max=%lu failed=%u\n", pools[i], (unsigned long)c->pools[i].used, (unsigned long)c->pools[i].max,
				    c->pools[i].err);
	neighbours(t, &c->neighbours);
	connections(t, &c->connections);
	recovery(t, &c->recovery);
	paths(t, &c->paths);
	text_printf(t, "errors withheld=%lu withheld6=%lu\n", c->errors.withheld, c->errors.withheld6);
	sockets(t);
	kfree(c);
	return 0;
}

int proc_net_counters_show(struct text *t, const struct gen_ref *ref) { return counters_print(t, true); }

/* --- trace=net ------------------------------------------------------------------------------------------------------- */

void net_trace(const char *fmt, ...)
{
	char line[220];
	va_list ap;

	if (!tracing)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_warn("net: %s", line);
}

static void print_all(void)
{
	struct text t = { 0 };
	size_t at = 0;

	if (counters_print(&t, false) || t.failed)
		log_warn("net: no memory to print the counters");
	while (at < t.len) {
		size_t n = 0;

		while (t.buf[at + n] != '\n')
			n++;
		/* A line of the log has room for 240 bytes. */
		for (size_t done = 0, part; done < n; done += part + (t.buf[at + done + part] == ' ')) {
			part = text_part(t.buf + at + done, n - done, 200);
			log_warn("net: %.*s", (int)part, t.buf + at + done);
		}
		at += n + 1;
	}
	text_free(&t);
}

static uint64_t traffic_seen(void)
{
	unsigned n;
	struct net_interface *list = net_interfaces(&n);
	uint64_t sum = 0;

	for (unsigned i = 0; list && i < n; i++)
		sum += list[i].traffic.rx_frames + list[i].traffic.tx_frames;
	kfree(list);
	return sum;
}

static void trace_main(void *arg)
{
	uint64_t last = 0;

	for (;;) {
		uint64_t now;

		sleep_ns(PRINT_NS);
		now = traffic_seen();
		if (now != last)
			print_all();
		last = now;
	}
}

void net_trace_start(void)
{
	tracing = true;
	if (IS_ERR(thread_create_kernel("network trace", trace_main, NULL)))
		log_warn("net: no memory for the thread that prints the counters");
}

void net_trace_end(void)
{
	if (tracing)
		print_all();
}
