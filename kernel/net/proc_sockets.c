/*
 * kernel/net/proc_sockets.c - /proc/net: tcp, tcp6, udp, udp6, unix, sockstat, sockstat6.
 *
 * Theory:    lines of tables are made of snapshots (socket_list.h), in Linux's columns. The column of kernel addresses is 0.
 * Locking:   none.
 * Errors:    -ENOMEM.
 */
#include "net/proc.h"
#include "net/memory.h"
#include "net/socket_list.h"
#include "lib/string.h"
#include "mm/mm.h"

#define JIFFY_MS 10 /* USER_HZ */
#define THRESHOLD_MAX 0x7fffu /* above it slow start has no end yet, and Linux says -1 */

static void end_print(char *b, size_t size, size_t *n, const struct socket_end *e, bool ipv6)
{
	uint32_t words[4];

	memcpy(words, e->ip, sizeof(words));
	for (unsigned i = 0; i < (ipv6 ? 4u : 1u); i++)
		sappendf(b, size, n, "%08X", words[i]);
	sappendf(b, size, n, ":%04X ", e->port);
}

/* The columns that TCP and UDP have in common. */
static size_t row_print(char *b, size_t size, const struct socket_row *r)
{
	size_t n = 0;

	sappendf(b, size, &n, ": ");
	end_print(b, size, &n, &r->local, r->ipv6);
	end_print(b, size, &n, &r->remote, r->ipv6);
	sappendf(b, size, &n, "%02X %08X:%08X %02X:%08X %08X %5u %8u %lu", r->state, r->tx_bytes, r->rx_bytes, r->timer, r->timer_ms / JIFFY_MS,
		 r->retransmits, 0, 0, r->ino);
	return n;
}

/* What one protocol's table looks like; [0] is IPv4's, [1] IPv6's. */
struct table {
	struct socket_row *(*rows)(unsigned *n);
	const char *head[2];
	int width;        /* of IPv4's lines, which are filled up with blanks */
	int number_width;
	/* The columns behind those that both protocols have. */
	void (*rest)(char *b, size_t size, size_t *n, const struct socket_row *r);
};

static int table_print(struct text *t, const struct table *table, bool ipv6)
{
	unsigned n, number = 0;
	struct socket_row *rows = table->rows(&n);
	int width = ipv6 ? 0 : table->width;

	if (!rows)
		return -ENOMEM;
	text_printf(t, "%-*s\n", width, table->head[ipv6]);
	for (unsigned i = 0; i < n; i++) {
		char line[256];
		size_t len;

		if (rows[i].ipv6 != ipv6)
			continue;
		len = row_print(line, sizeof(line), &rows[i]);
		table->rest(line, sizeof(line), &len, &rows[i]);
		text_printf(t, "%*u%-*s\n", table->number_width, number++, MAX(width - table->number_width, 0), line);
	}
	kfree(rows);
	return 0;
}

static void tcp_rest(char *b, size_t size, size_t *n, const struct socket_row *r)
{
	bool has_threshold = r->threshold && r->threshold <= THRESHOLD_MAX;

	sappendf(b, size, n, " 1 0000000000000000");
	if (r->state != SOCKET_TIME_WAIT && r->state != SOCKET_SYN_RECEIVED)
		sappendf(b, size, n, " 100 0 0 %u %d", r->window_sent, has_threshold ? (int)r->threshold : r->state == SOCKET_LISTENING ? 0 : -1);
}

static const struct table tcp_table = {
	.rows = socket_rows_tcp,
	.head = { "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		  "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when"
		  " retrnsmt   uid  timeout inode" },
	.width = 149,
	.number_width = 4,
	.rest = tcp_rest,
};

int proc_net_tcp_show(struct text *t, const struct gen_ref *ref) { return table_print(t, &tcp_table, false); }
int proc_net_tcp6_show(struct text *t, const struct gen_ref *ref) { return table_print(t, &tcp_table, true); }

static void udp_rest(char *b, size_t size, size_t *n, const struct socket_row *r)
{
	sappendf(b, size, n, " 2 0000000000000000 %lu", r->dropped);
}

static const struct table udp_table = {
	.rows = socket_rows_udp,
	.head = { "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops",
		  "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when"
		  " retrnsmt   uid  timeout inode ref pointer drops" },
	.width = 127,
	.number_width = 5,
	.rest = udp_rest,
};

int proc_net_udp_show(struct text *t, const struct gen_ref *ref) { return table_print(t, &udp_table, false); }
int proc_net_udp6_show(struct text *t, const struct gen_ref *ref) { return table_print(t, &udp_table, true); }

int proc_net_unix_show(struct text *t, const struct gen_ref *ref)
{
	unsigned n;
	struct unix_row *rows = unix_rows(&n);

	if (!rows)
		return -ENOMEM;
	text_printf(t, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	for (unsigned i = 0; i < n; i++) {
		const struct unix_row *r = &rows[i];

		text_printf(t, "%016x: %08X %08X %08X %04X %02X %5lu", 0, r->refs, 0, r->listening ? 0x10000 : 0, r->type, r->state, r->ino);
		if (r->name_len) {
			text_add(t, " ", 1);
			text_add(t, r->name, r->name_len);
		}
		text_add(t, "\n", 1);
	}
	kfree(rows);
	return 0;
}

/* --- sums ----------------------------------------------------------------------------------------------------------- */

struct sums {
	unsigned tcp, tcp6, orphans, time_waits, allocated, udp, udp6;
	uint64_t udp_bytes;
};

static int sums_get(struct sums *s)
{
	unsigned ntcp, nudp;
	struct socket_row *tcp = socket_rows_tcp(&ntcp), *udp = socket_rows_udp(&nudp);

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; tcp && i < ntcp; i++) {
		const struct socket_row *r = &tcp[i];

		if (r->state == SOCKET_TIME_WAIT) {
			s->time_waits++;
			continue;
		}
		s->tcp += !r->ipv6;
		s->tcp6 += r->ipv6;
		s->allocated++;
		s->orphans += !r->ino && (r->state == SOCKET_FIN_WAIT_1 || r->state == SOCKET_FIN_WAIT_2 || r->state == SOCKET_LAST_ACK ||
					  r->state == SOCKET_CLOSING);
	}
	for (unsigned i = 0; udp && i < nudp; i++) {
		s->udp += !udp[i].ipv6;
		s->udp6 += udp[i].ipv6;
		s->udp_bytes += udp[i].rx_bytes;
	}
	kfree(tcp);
	kfree(udp);
	return tcp && udp ? 0 : -ENOMEM;
}

int proc_net_sockstat_show(struct text *t, const struct gen_ref *ref)
{
	struct sums s;
	int r = sums_get(&s);
	uint64_t held = net_memory_kept() / PAGE_SIZE, datagrams = s.udp_bytes / PAGE_SIZE;

	if (r)
		return r;
	text_printf(t, "sockets: used %u\nTCP: inuse %u orphan %u tw %u alloc %u mem %lu\nUDP: inuse %u mem %lu\n"
		       "UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
		    atomic_load(&sockets_open), s.tcp, s.orphans, s.time_waits, s.allocated, held - MIN(held, datagrams), s.udp, datagrams);
	return 0;
}

int proc_net_sockstat6_show(struct text *t, const struct gen_ref *ref)
{
	struct sums s;
	int r = sums_get(&s);

	if (r)
		return r;
	text_printf(t, "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n", s.tcp6, s.udp6);
	return 0;
}
