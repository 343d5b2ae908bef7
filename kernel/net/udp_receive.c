/*
 * kernel/net/udp_receive.c - UDP: which socket a datagram is for, and reading from it.
 *
 * Theory:    A table by local port. Of the sockets that match a datagram the one that asks for most of its addresses gets it, and among
 *            equals the one that came last, or, if they share the port by SO_REUSEPORT, one that a hash of the addresses picks. A datagram to a
 *            group or to all goes to every socket that matches, by reference.
 *            What cards receive comes through a raw control block of lwIP, whole: fragments have been put together. What no socket wants
 *            is left to lwIP, by which the DHCP client (net/dhcp.c) has it; else lwIP answers with "port unreachable", not too often (icmp_rate.c).
 * Interface: udp_private.h, udp_unreachable() of inet_private.h.
 * Locking:   inet_private.h. pbufs from cards are freed under the core lock, so what has been read gathers in `read` until the next
 *            call takes it (READ_MAX of them at most). What was sent here is freed by the reader.
 * Errors:    Linux's. A datagram for which there is no room is dropped and counted.
 */
#include "net/udp_private.h"
#include "net/device.h"
#include "net/multicast.h"
#include "net/path_mtu.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/random.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/socket.h>
#include <linux/in.h>
#include "lwip/inet_chksum.h"
#include "lwip/raw.h"
#include "lwip/stats.h"
#include "lwip/prot/iana.h"
#include "lwip/prot/udp.h"

#define BUCKETS 256
#define READ_MAX 4
#define RESERVE_HERE 512 /* what a datagram counts besides its bytes: Linux's truesize, roughly */
#define RESERVE_CARD 2048
#define ERRORS_MAX 32    /* that wait for a reader of MSG_ERRQUEUE */

static struct list table[BUCKETS];
static uint64_t hash_key;

/* --- which sockets ------------------------------------------------------------------------------------------ */

static struct list *bucket(uint16_t port) { return &table[port % BUCKETS]; }

void udp_table_add(struct udp_sock *u)
{
	list_push_front(bucket(u->inet.local.port), &u->hash_link);
}

void udp_table_remove(struct udp_sock *u) { list_del(&u->hash_link); }

static bool local_matches(const struct inet_sock *i, const ip_addr_t *to)
{
	if (IP_IS_V6(to) && i->base.domain == AF_INET)
		return false;
	if (!ip_addr_isany(&i->local.ip))
		return ip_addr_eq(&i->local.ip, to);
	/* The unspecified IPv6 address takes both kinds, unless the socket does not want to; the IPv4 one, in either form, only its own. */
	return IP_IS_V6(to) ? IP_IS_V6_VAL(i->local.ip) : IP_IS_V4_VAL(i->local.ip) || !i->v6only;
}

/* How much of the datagram's addresses the socket asks for; 0: it is not for that socket. */
static unsigned score(const struct udp_sock *u, const struct datagram *d)
{
	const struct inet_sock *i = &u->inet;
	unsigned s = 1;

	if (i->local.port != d->to.port || !local_matches(i, &d->to.ip))
		return 0;
	if (i->device && d->ifindex && i->device != d->ifindex)
		return 0;
	if (i->remote.port) {
		if (i->remote.port != d->from.port || !ip_addr_eq(&i->remote.ip, &d->from.ip))
			return 0;
		s += 4;
	}
	if (i->device)
		s += 4;
	if (i->base.domain == AF_INET)
		s++;
	return s + (ip_addr_isany(&i->local.ip) ? 0 : 16);
}

/* Of n sockets, for datagrams between these two ends. */
static unsigned pick(const struct datagram *d, unsigned n)
{
	uint64_t h = hash_key ^ ((uint64_t)d->from.port << 16 | d->to.port);
	const ip_addr_t *ips[2] = { &d->from.ip, &d->to.ip };

	for (unsigned k = 0; k < 2; k++) {
		unsigned words = IP_IS_V6(ips[k]) ? 4 : 1;

		for (unsigned w = 0; w < words; w++) {
			h ^= IP_IS_V6(ips[k]) ? ip_2_ip6(ips[k])->addr[w] : ip_2_ip4(ips[k])->addr;
			h *= 0x9e3779b97f4a7c15ull;
			h ^= h >> 29;
		}
	}
	return (unsigned)((h >> 32) % n);
}

static bool shares_load(const struct udp_sock *u)
{
	return !u->inet.remote.port && socket_option_on(&u->inet.base, SO_REUSEPORT);
}

static struct udp_sock *find(const struct datagram *d)
{
	struct list *b = bucket(d->to.port);
	struct udp_sock *u, *best = NULL;
	unsigned highest = 0, n = 0;

	list_for_each(u, b, hash_link) {
		unsigned s = score(u, d);

		if (s > highest) {
			highest = s;
			best = u;
			n = 0;
		}
		if (s && s == highest && shares_load(u))
			n++;
	}
	if (n < 2 || !shares_load(best))
		return best;
	n = pick(d, n);
	list_for_each(u, b, hash_link)
		if (score(u, d) == highest && shares_load(u) && n-- == 0)
			return u;
	return best;
}

/* --- into the sockets ----------------------------------------------------------------------------------------- */

static void datagram_free(struct datagram *d)
{
	struct pbuf *p = d->p;

	if (!d->inside)
		kfree(d);
	pbuf_free(p);
}

/* Queues it, or answers false. */
static bool enqueue(struct udp_sock *u, struct datagram *d)
{
	bool taken = false;

	d->cost = d->p->tot_len + (d->inside ? RESERVE_HERE : RESERVE_CARD);
	if (socket_option_on(&u->inet.base, SO_TIMESTAMP_OLD) || socket_option_on(&u->inet.base, SO_TIMESTAMPNS_OLD))
		d->time_ns = clock_realtime_ns();
	mutex_lock(&u->inet.lock);
	if (!u->inet.rx_shut && (list_empty(&u->queue) || u->queued + d->cost <= (size_t)u->inet.base.rcvbuf) && !net_memory_short()) {
		list_push_back(&u->queue, &d->link);
		u->queued += d->cost;
		waitq_wake(&u->inet.readers, 1, EVENTS_IN);
		taken = true;
		MIB2_STATS_INC(mib2.udpindatagrams);
	} else {
		u->dropped++;
		UDP_STATS_INC(udp.drop);
	}
	mutex_unlock(&u->inet.lock);
	return taken;
}

/* The socket takes a reference of the bytes. */
static void deliver_copy(struct udp_sock *u, const struct datagram *d)
{
	struct datagram *own = kmalloc_flags(sizeof(*own), ALLOC_NORECLAIM);

	if (!own) {
		UDP_STATS_INC(udp.memerr);
		return;
	}
	*own = *d;
	own->inside = false;
	pbuf_ref(own->p);
	if (!enqueue(u, own))
		datagram_free(own);
}

unsigned udp_deliver(struct datagram *d, bool many)
{
	struct udp_sock *u;
	unsigned n = 0;

	if (many) {
		list_for_each(u, bucket(d->to.port), hash_link) {
			/* To all, it is for those who are bound to no address or to that one; to a group, for its members besides. */
			if (!score(u, d) || (ip_addr_ismulticast(&d->to.ip) && !multicast_wanted(&u->inet, &d->to.ip, &d->from.ip, d->ifindex)))
				continue;
			deliver_copy(u, d);
			n++;
		}
		return n;
	}
	u = find(d);
	if (!u)
		return 0;
	if (!d->inside)
		deliver_copy(u, d);
	else if (!enqueue(u, d))
		datagram_free(d);
	return 1;
}

/* Is the sum right, or need nobody look? payload is at the UDP header. */
static bool sum_right(struct pbuf *p, struct netif *inp, const struct udp_hdr *h)
{
	if (!(inp->chksum_flags & NETIF_CHECKSUM_CHECK_UDP) || (!h->chksum && !ip_current_is_v6()))
		return true;
	return ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, ip_current_src_addr(), ip_current_dest_addr()) == 0;
}

/* From lwIP, with the payload at the IP header. 1: taken over. 0: untouched, and lwIP goes on. */
static u8_t datagram_came(void *arg, struct raw_pcb *pcb, struct pbuf *p, const ip_addr_t *from)
{
	struct netif *inp = ip_current_input_netif();
	u16_t head = ip_current_header_tot_len(), len;
	const ip_addr_t *to = ip_current_dest_addr();
	const struct udp_hdr *h;
	struct datagram d;
	bool many;

	if (p->len < head + UDP_HLEN)
		return 0;
	h = (const struct udp_hdr *)((const uint8_t *)p->payload + head);
	len = lwip_ntohs(h->len);
	/* The DHCP client is a control block of lwIP's. */
	if (len < UDP_HLEN || len > p->tot_len - head || lwip_ntohs(h->dest) == LWIP_IANA_PORT_DHCP_CLIENT)
		return 0;
	d = (struct datagram){ .p = p, .from = { *from, lwip_ntohs(h->src) }, .to = { *to, lwip_ntohs(h->dest) },
			       .ifindex = (uint8_t)net_interface_index(inp->num) };
	if (list_empty(bucket(d.to.port)))
		return 0;
	if (ip_current_is_v6()) {
		d.ttl = IP6H_HOPLIM(ip6_current_header());
		d.tos = (uint8_t)IP6H_TC(ip6_current_header());
	} else {
		d.ttl = IPH_TTL(ip4_current_header());
		d.tos = IPH_TOS(ip4_current_header());
	}
	many = ip_addr_ismulticast(to) || ip_addr_isbroadcast(to, ip_current_netif());
	pbuf_remove_header(p, head);
	if (!sum_right(p, inp, h)) {
		UDP_STATS_INC(udp.chkerr);
		UDP_STATS_INC(udp.drop);
		MIB2_STATS_INC(mib2.udpinerrors);
		pbuf_free(p);
		return 1;
	}
	pbuf_remove_header(p, UDP_HLEN);
	if (p->tot_len > len - UDP_HLEN)
		pbuf_realloc(p, (u16_t)(len - UDP_HLEN));
	if (!udp_deliver(&d, many)) {
		pbuf_add_header_force(p, (size_t)(head + UDP_HLEN));
		return 0;
	}
	UDP_STATS_INC(udp.recv);
	pbuf_free(p);
	return 1;
}

/* --- errors ------------------------------------------------------------------------------------------------------ */

/* Keeps it for a reader of MSG_ERRQUEUE. lock held. */
static void error_keep(struct udp_sock *u, const struct inet_unreach *why)
{
	struct udp_error *e = u->nerrors < ERRORS_MAX ? kmalloc_flags(sizeof(*e) + why->len, ALLOC_NORECLAIM) : NULL;

	if (!e)
		return;
	*e = (struct udp_error){
		.ee = { .ee_errno = (uint32_t)why->error, .ee_origin = why->origin, .ee_type = why->type, .ee_code = why->code, .ee_info = why->info },
		.offender = why->offender, .to = why->to, .len = why->len,
	};
	memcpy(e->bytes, why->data, why->len);
	list_push_back(&u->errors, &e->link);
	u->nerrors++;
}

void udp_unreachable(const struct inet_unreach *why)
{
	/* What the peer would have answered, had it been able to. */
	struct datagram answer = { .from = why->to, .to = why->from };
	struct udp_sock *u;
	bool kept;

	/* Through which device it would have come nobody knows: ifindex is 0. */
	u = find(&answer);
	if (!u)
		return;
	if (why->error == EMSGSIZE)
		path_mtu_note(why);
	kept = inet_wants(&u->inet, IP_IS_V6(&why->to.ip) ? WANT_ERRORS6 : WANT_ERRORS);
	if (!kept && (!why->hard || !u->inet.remote.port))
		return;
	mutex_lock(&u->inet.lock);
	if (kept)
		error_keep(u, why);
	atomic_store_explicit(&u->inet.base.error, why->error, memory_order_release);
	waitq_wake_all(&u->inet.readers, EPOLLERR);
	waitq_wake_all(&u->inet.writers, 0);
	mutex_unlock(&u->inet.lock);
}

static ssize_t read_error(struct udp_sock *u, struct socket_msg *m)
{
	struct udp_error *e;
	size_t n;
	int r;

	mutex_lock(&u->inet.lock);
	if (list_empty(&u->errors)) {
		mutex_unlock(&u->inet.lock);
		return -EAGAIN;
	}
	e = list_first(&u->errors, struct udp_error, link);
	list_del(&e->link);
	u->nerrors--;
	/* The next one that waits is the socket's error now. */
	atomic_store_explicit(&u->inet.base.error, list_empty(&u->errors) ? 0 : (int)list_first(&u->errors, struct udp_error, link)->ee.ee_errno,
			      memory_order_release);
	mutex_unlock(&u->inet.lock);
	n = MIN((size_t)e->len, m->len);
	r = socket_msg_put(m, e->bytes, n);
	m->flags |= MSG_ERRQUEUE | (n < e->len ? MSG_TRUNC : 0);
	if (m->addr)
		inet_end_format(&u->inet, &e->to, m->addr);
	inet_control_error(&u->inet, &e->ee, &e->offender, m);
	kfree(e);
	return r ? r : (ssize_t)n;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static void free_list(struct list *l)
{
	while (!list_empty(l)) {
		struct datagram *d = list_first(l, struct datagram, link);

		list_del(&d->link);
		datagram_free(d);
	}
}

void udp_free_read(struct udp_sock *u)
{
	struct list read;

	/* Looked at without the lock: what is missed is freed by the next one. */
	if (list_empty(&u->read))
		return;
	list_init(&read);
	mutex_lock(&u->inet.lock);
	list_splice_back(&read, &u->read);
	u->nread = 0;
	mutex_unlock(&u->inet.lock);
	free_list(&read);
}

void udp_free_all(struct udp_sock *u)
{
	free_list(&u->read);
	free_list(&u->queue);
	while (!list_empty(&u->errors)) {
		struct udp_error *e = list_first(&u->errors, struct udp_error, link);

		list_del(&e->link);
		kfree(e);
	}
}

/* The first datagram, waiting for it. NULL: there will be none. lock held. */
static struct datagram *datagram_wait(struct udp_sock *u, uint64_t deadline)
{
	for (;;) {
		int r = socket_take_error(&u->inet.base);

		if (r)
			return ERR_PTR(r);
		if (!list_empty(&u->queue))
			return list_first(&u->queue, struct datagram, link);
		if (u->inet.rx_shut)
			return NULL;
		if (deadline == 0)
			return ERR_PTR(-EAGAIN);
		r = waitq_wait(&u->inet.readers, &u->inet.lock, deadline, true);
		if (r && list_empty(&u->queue) && !atomic_load_explicit(&u->inet.base.error, memory_order_relaxed))
			return ERR_PTR(socket_interrupted(r, deadline));
	}
}

static int datagram_copy(const struct datagram *d, struct socket_msg *m, size_t limit)
{
	for (struct pbuf *p = d->p; p && limit; p = p->next) {
		size_t n = MIN((size_t)p->len, limit);
		int r = socket_msg_put(m, p->payload, n);

		if (r)
			return r;
		limit -= n;
	}
	return 0;
}

static bool controls_wanted(const struct udp_sock *u)
{
	return atomic_load_explicit(&u->inet.wants, memory_order_relaxed) || socket_option_on(&u->inet.base, SO_TIMESTAMP_OLD) ||
	       socket_option_on(&u->inet.base, SO_TIMESTAMPNS_OLD) || socket_option_on(&u->inet.base, SO_RXQ_OVFL);
}

static void controls(const struct udp_sock *u, const struct datagram *d, struct socket_msg *m)
{
	const struct inet_arrival a = { .from = &d->from.ip, .to = &d->to.ip, .ifindex = d->ifindex, .ttl = d->ttl, .tos = d->tos,
					.time_ns = d->time_ns, .dropped = u->dropped };

	inet_control_received(&u->inet, &a, m);
}

ssize_t udp_recvmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct udp_sock *u = udp_sock(s);
	uint64_t deadline = socket_deadline(s->recv_timeout_ns, flags);
	struct datagram *d, *done = NULL;
	bool settle = false;
	size_t n, len;
	int r;

	if (flags & MSG_ERRQUEUE)
		return read_error(u, m);
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	mutex_lock(&u->inet.lock);
	d = datagram_wait(u, deadline);
	if (IS_ERR(d) || !d) {
		mutex_unlock(&u->inet.lock);
		return d ? PTR_ERR(d) : 0;
	}
	len = d->p->tot_len;
	n = MIN(len, m->len);
	r = datagram_copy(d, m, n);
	if (n < len)
		m->flags |= MSG_TRUNC;
	if (m->addr)
		inet_end_format(&u->inet, &d->from, m->addr);
	if (controls_wanted(u))
		controls(u, d, m);
	if (!(flags & MSG_PEEK)) {
		list_del(&d->link);
		u->queued -= d->cost;
		if (d->inside) {
			done = d;
		} else {
			list_push_back(&u->read, &d->link);
			settle = ++u->nread >= READ_MAX;
		}
	}
	if (!list_empty(&u->queue))
		waitq_wake(&u->inet.readers, 1, 0);
	mutex_unlock(&u->inet.lock);
	if (done)
		datagram_free(done);
	if (settle) {
		net_lock();
		udp_free_read(u);
		net_unlock();
	}
	return r ? r : (ssize_t)(flags & MSG_TRUNC ? len : n);
}

void udp_receive_init(void)
{
	struct raw_pcb *pcb = raw_new_ip_type(IPADDR_TYPE_ANY, IP_PROTO_UDP);

	for (unsigned b = 0; b < BUCKETS; b++)
		list_init(&table[b]);
	hash_key = random_u64();
	if (!pcb)
		panic("no memory for UDP");
	raw_recv(pcb, datagram_came, NULL);
}
