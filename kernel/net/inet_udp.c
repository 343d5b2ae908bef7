/*
 * kernel/net/inet_udp.c - UDP sockets.
 *
 * Theory:    a datagram that came in waits at its socket as lwIP's pbufs, with its sender; a read copies from them and frees them. One
 *            that goes out is copied from the application into a pbuf of ours, with room for all headers in front, before the core lock is taken.
 *            The control block exists as long as the socket: who sends without a name gets one at that moment.
 * Locking:   inet_private.h. pbufs are freed under the core lock, so what has been read gathers in `read` until the next
 *            call takes it (READ_MAX of them at most).
 * Errors:    Linux's. A datagram for which there is no room is dropped and counted.
 */
#include "net/inet_private.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/sockios.h>
#include "lwip/igmp.h"
#include "lwip/mld6.h"
#include "lwip/udp.h"
#include "net/device.h"

#define DATAGRAM_MAX 65507
#define HEADROOM 128 /* link, IPv6 and UDP headers, and what devices want */
#define READ_MAX 4
#define RESERVE 2048 /* what a datagram counts besides its bytes: Linux's truesize, roughly */

struct datagram {
	struct list link;
	struct pbuf *p;
	struct inet_end from;
	ip_addr_t to;
	unsigned ifindex;
};

struct membership {
	struct list link;
	ip_addr_t group;
	struct netif *netif;
};

struct udp_sock {
	struct inet_sock inet;
	/* core lock */
	struct udp_pcb *pcb;
	struct list groups;
	bool multicast_loop;
	uint8_t multicast_ttl;
	/* inet.lock */
	struct list queue;   /* struct datagram */
	size_t queued;       /* their bytes, as counted against SO_RCVBUF */
	struct list read;    /* to be freed under the core lock */
	unsigned nread;
	uint64_t dropped;
	bool pktinfo;
};

static const struct socket_ops udp_ops;

static inline struct udp_sock *udp_of(struct inet_sock *i) { return container_of(i, struct udp_sock, inet); }
static inline struct udp_sock *udp_sock(struct socket *s) { return udp_of(inet_of(s)); }

/* --- receiving ------------------------------------------------------------------------------------------------ */

static void datagram_free(struct datagram *d)
{
	pbuf_free(d->p);
	kfree(d);
}

/* Core lock held. */
static void free_read(struct udp_sock *u)
{
	struct list read;

	list_init(&read);
	mutex_lock(&u->inet.lock);
	list_splice_back(&read, &u->read);
	u->nread = 0;
	mutex_unlock(&u->inet.lock);
	while (!list_empty(&read)) {
		struct datagram *d = list_first(&read, struct datagram, link);

		list_del(&d->link);
		datagram_free(d);
	}
}

static void datagram_came(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port)
{
	struct udp_sock *u = arg;
	struct datagram *d = net_memory_short() ? NULL : kmalloc_flags(sizeof(*d), ALLOC_NOWAIT);
	bool taken = false;

	if (d) {
		*d = (struct datagram){ .p = p, .from = { *from, port }, .to = *ip_current_dest_addr(),
					.ifindex = net_interface_index(ip_current_input_netif()->num) };
		mutex_lock(&u->inet.lock);
		if (!u->inet.rx_shut && (list_empty(&u->queue) || u->queued + p->tot_len + RESERVE <= (size_t)u->inet.base.rcvbuf)) {
			list_push_back(&u->queue, &d->link);
			u->queued += p->tot_len + RESERVE;
			waitq_wake(&u->inet.readers, 1, EVENTS_IN);
			taken = true;
		} else {
			u->dropped++;
		}
		mutex_unlock(&u->inet.lock);
	}
	if (!taken) {
		kfree(d);
		pbuf_free(p);
	}
}

/* The first datagram, waiting for it. lock held. */
static struct datagram *datagram_wait(struct udp_sock *u, uint64_t deadline)
{
	while (list_empty(&u->queue)) {
		int r = socket_take_error(&u->inet.base);

		if (r)
			return ERR_PTR(r);
		if (u->inet.rx_shut)
			return NULL;
		if (deadline == 0)
			return ERR_PTR(-EAGAIN);
		r = waitq_wait(&u->inet.readers, &u->inet.lock, deadline, true);
		if (r && list_empty(&u->queue))
			return ERR_PTR(socket_interrupted(r, deadline));
	}
	return list_first(&u->queue, struct datagram, link);
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

static ssize_t udp_recvmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct udp_sock *u = udp_sock(s);
	uint64_t deadline = socket_deadline(s->recv_timeout_ns, flags);
	struct datagram *d;
	bool settle = false;
	size_t n, len;
	int r;

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
	if (!(flags & MSG_PEEK)) {
		list_del(&d->link);
		u->queued -= len + RESERVE;
		list_push_back(&u->read, &d->link);
		settle = ++u->nread >= READ_MAX;
	}
	if (!list_empty(&u->queue))
		waitq_wake(&u->inet.readers, 1, 0);
	mutex_unlock(&u->inet.lock);
	if (settle) {
		net_lock();
		free_read(u);
		net_unlock();
	}
	return r ? r : (ssize_t)(flags & MSG_TRUNC ? len : n);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

struct out {
	struct pbuf_custom pbuf; /* first: the pbuf is the whole */
	uint8_t bytes[];
};

static void out_free(struct pbuf *p)
{
	kfree(p);
}

/* A pbuf with the message's bytes, or an encoded error. */
static struct pbuf *out_new(struct socket_msg *m)
{
	struct out *o = kmalloc(sizeof(*o) + HEADROOM + m->len);
	int r;

	if (!o)
		return ERR_PTR(-ENOBUFS);
	o->pbuf.custom_free_function = out_free;
	/* PBUF_RAM: lwIP puts headers in front of the payload, down to the end of the structure. */
	pbuf_alloced_custom(PBUF_RAW, (u16_t)m->len, PBUF_RAM, &o->pbuf, o->bytes + HEADROOM, (u16_t)m->len);
	r = socket_msg_get(m, o->bytes + HEADROOM, m->len);
	if (r) {
		kfree(o);
		return ERR_PTR(r);
	}
	return &o->pbuf.pbuf;
}

/* Gives the socket a local port. Core lock held. */
static int udp_bind_to(struct udp_sock *u, struct inet_end end)
{
	ip_addr_t ip = end.ip;
	int r;

	if (!inet_is_local(&ip) && !ip_addr_ismulticast(&ip) && !(IP_IS_V4_VAL(ip) && ip4_addr_get_u32(ip_2_ip4(&ip)) == IPADDR_BROADCAST))
		return -EADDRNOTAVAIL;
	r = inet_port_take(&u->inet, &ip, &end.port);
	if (r)
		return r;
	ip = inet_bind_ip(&u->inet, &ip);
	r = inet_error(udp_bind(u->pcb, &ip, end.port));
	if (r) {
		inet_port_release(&u->inet);
		return r;
	}
	mutex_lock(&u->inet.lock);
	u->inet.local = end;
	mutex_unlock(&u->inet.lock);
	return 0;
}

static int udp_autobind(struct udp_sock *u)
{
	return u->inet.local.port ? 0 : udp_bind_to(u, inet_unspecified(&u->inet));
}

static bool is_broadcast(const ip_addr_t *ip)
{
	struct netif *n;

	if (!IP_IS_V4(ip))
		return false;
	NETIF_FOREACH(n)
		if (ip4_addr_isbroadcast(ip_2_ip4(ip), n))
			return true;
	return false;
}

static int send_locked(struct udp_sock *u, struct pbuf *p, struct inet_end to)
{
	int r = udp_autobind(u);

	if (r)
		return r;
	inet_to_here(&to.ip);
	if (is_broadcast(&to.ip) && !socket_option_on(&u->inet.base, SO_BROADCAST))
		return -EACCES;
	if (socket_option_on(&u->inet.base, SO_BROADCAST))
		ip_set_option(u->pcb, SOF_BROADCAST);
	return inet_error(udp_sendto(u->pcb, p, &to.ip, to.port));
}

static ssize_t udp_sendmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct udp_sock *u = udp_sock(s);
	struct inet_end to;
	size_t len = m->len;
	struct pbuf *p;
	int r;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	r = socket_take_error(s);
	if (r)
		return r;
	if (len > DATAGRAM_MAX)
		return -EMSGSIZE;
	if (m->addr && m->addr->len) {
		r = inet_end_parse(&u->inet, m->addr, &to);
		if (r)
			return r;
		if (!to.port)
			return -EINVAL;
	} else {
		mutex_lock(&u->inet.lock);
		to = u->inet.remote;
		mutex_unlock(&u->inet.lock);
		if (!to.port)
			return -EDESTADDRREQ;
	}
	if (u->inet.tx_shut)
		return -EPIPE;
	p = out_new(m);
	if (IS_ERR(p))
		return PTR_ERR(p);
	net_lock();
	free_read(u);
	r = send_locked(u, p, to);
	pbuf_free(p);
	net_unlock();
	return r ? r : (ssize_t)len;
}

/* --- names ------------------------------------------------------------------------------------------------------------ */

static int udp_sock_bind(struct socket *s, const struct socket_addr *addr)
{
	struct udp_sock *u = udp_sock(s);
	struct inet_end end;
	int r = inet_end_parse(&u->inet, addr, &end);

	if (r)
		return r;
	net_lock();
	r = u->inet.local.port ? -EINVAL : udp_bind_to(u, end);
	net_unlock();
	return r;
}

static int disconnect(struct udp_sock *u)
{
	net_lock();
	udp_disconnect(u->pcb);
	mutex_lock(&u->inet.lock);
	u->inet.remote.port = 0;
	mutex_unlock(&u->inet.lock);
	net_unlock();
	return 0;
}

static int udp_sock_connect(struct socket *s, const struct socket_addr *addr, int flags)
{
	struct udp_sock *u = udp_sock(s);
	const ip_addr_t *from;
	struct inet_end to;
	int r;

	if (addr->len >= sizeof(addr->family) && addr->family == AF_UNSPEC)
		return disconnect(u);
	r = inet_end_parse(&u->inet, addr, &to);
	if (r)
		return r;
	net_lock();
	inet_to_here(&to.ip);
	from = inet_source(&u->pcb->local_ip, &to.ip);
	r = from ? udp_autobind(u) : -ENETUNREACH;
	if (!r)
		r = inet_error(udp_connect(u->pcb, &to.ip, to.port));
	if (!r) {
		mutex_lock(&u->inet.lock);
		u->inet.remote = to;
		if (ip_addr_isany(&u->inet.local.ip))
			u->inet.local.ip = *from;
		mutex_unlock(&u->inet.lock);
	}
	net_unlock();
	return r;
}

static int udp_sock_shutdown(struct socket *s, int how)
{
	struct udp_sock *u = udp_sock(s);
	int r = 0;

	mutex_lock(&u->inet.lock);
	if (!u->inet.remote.port)
		r = -ENOTCONN;
	u->inet.rx_shut |= how != SHUT_WR;
	u->inet.tx_shut |= how != SHUT_RD;
	waitq_wake_all(&u->inet.readers, EVENTS_IN | EPOLLRDHUP);
	mutex_unlock(&u->inet.lock);
	return r;
}

/* --- options ------------------------------------------------------------------------------------------------------------- */

void udp_ip_options(struct inet_sock *i)
{
	struct udp_sock *u = udp_of(i);

	u->pcb->ttl = i->ttl ? i->ttl : UDP_TTL;
	u->pcb->tos = i->tos;
	udp_set_multicast_ttl(u->pcb, u->multicast_ttl);
	if (u->multicast_loop)
		udp_set_flags(u->pcb, UDP_FLAGS_MULTICAST_LOOP);
	else
		udp_clear_flags(u->pcb, UDP_FLAGS_MULTICAST_LOOP);
}

static struct netif *interface_by_index(unsigned index)
{
	return index ? netif_get_by_index((u8_t)index) : NULL;
}

static struct membership *membership_find(struct udp_sock *u, const ip_addr_t *group, const struct netif *n)
{
	struct membership *m;

	list_for_each(m, &u->groups, link)
		if (ip_addr_eq(&m->group, group) && (!n || m->netif == n))
			return m;
	return NULL;
}

static void group_leave(struct membership *m)
{
	if (IP_IS_V4_VAL(m->group))
		igmp_leavegroup_netif(m->netif, ip_2_ip4(&m->group));
	else
		mld6_leavegroup_netif(m->netif, ip_2_ip6(&m->group));
	list_del(&m->link);
	kfree(m);
}

static int group_change(struct udp_sock *u, const ip_addr_t *group, struct netif *n, bool join)
{
	struct membership *m;
	err_t e;

	if (!ip_addr_ismulticast(group))
		return -EINVAL;
	if (!n)
		n = netif_default;
	if (!n)
		return -ENODEV;
	m = membership_find(u, group, n);
	if (!join) {
		if (!m)
			return -EADDRNOTAVAIL;
		group_leave(m);
		return 0;
	}
	if (m)
		return -EADDRINUSE;
	m = kmalloc_flags(sizeof(*m), ALLOC_NOWAIT);
	if (!m)
		return -ENOBUFS;
	/* Loopback has no memberships in lwIP: what is sent to a group there is delivered to everyone. */
	if (n->name[0] == 'l')
		e = ERR_OK;
	else
		e = IP_IS_V4_VAL(*group) ? igmp_joingroup_netif(n, ip_2_ip4(group)) : mld6_joingroup_netif(n, ip_2_ip6(group));
	if (e != ERR_OK) {
		kfree(m);
		return inet_error(e);
	}
	m->group = *group;
	m->netif = n;
	list_push_back(&u->groups, &m->link);
	return 0;
}

static struct netif *interface_by_address(uint32_t addr)
{
	struct netif *n;

	NETIF_FOREACH(n)
		if (netif_ip4_addr(n)->addr == addr)
			return n;
	return NULL;
}

static int udp_setopt_ip(struct udp_sock *u, int name, const void *value, unsigned len)
{
	const struct ip_mreqn *mr = value;
	ip_addr_t group;

	switch (name) {
	case IP_MULTICAST_TTL:
		u->multicast_ttl = len >= 4 ? (uint8_t)*(const int *)value : *(const uint8_t *)value;
		udp_ip_options(&u->inet);
		return 0;
	case IP_MULTICAST_LOOP:
		u->multicast_loop = *(const uint8_t *)value;
		udp_ip_options(&u->inet);
		return 0;
	case IP_MULTICAST_IF:
		if (len >= sizeof(*mr) && mr->imr_ifindex)
			udp_set_multicast_netif_index(u->pcb, (u8_t)mr->imr_ifindex);
		else if (len >= sizeof(struct in_addr))
			udp_set_multicast_netif_addr(u->pcb, (const ip4_addr_t *)(len >= sizeof(struct ip_mreq) ? (const char *)value + 4 : value));
		else
			return -EINVAL;
		return 0;
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		if (len < sizeof(struct ip_mreq))
			return -EINVAL;
		group = (ip_addr_t)IPADDR4_INIT(mr->imr_multiaddr.s_addr);
		return group_change(u, &group, len >= sizeof(*mr) && mr->imr_ifindex ? interface_by_index((unsigned)mr->imr_ifindex) :
				    interface_by_address(mr->imr_address.s_addr), name == IP_ADD_MEMBERSHIP);
	case IP_PKTINFO: u->pktinfo = *(const int *)value; return 0;
	}
	return -ENOPROTOOPT;
}

static int udp_setopt_ipv6(struct udp_sock *u, int name, const void *value, unsigned len)
{
	const struct ipv6_mreq *mr = value;
	ip_addr_t group;

	switch (name) {
	case IPV6_MULTICAST_HOPS:
		u->multicast_ttl = *(const int *)value < 0 ? 1 : (uint8_t)*(const int *)value;
		udp_ip_options(&u->inet);
		return 0;
	case IPV6_MULTICAST_LOOP:
		u->multicast_loop = *(const int *)value;
		udp_ip_options(&u->inet);
		return 0;
	case IPV6_MULTICAST_IF:
		udp_set_multicast_netif_index(u->pcb, (u8_t)*(const int *)value);
		return 0;
	case IPV6_ADD_MEMBERSHIP:
	case IPV6_DROP_MEMBERSHIP:
		if (len < sizeof(*mr))
			return -EINVAL;
		memcpy(ip_2_ip6(&group)->addr, &mr->ipv6mr_multiaddr, 16);
		IP_SET_TYPE_VAL(group, IPADDR_TYPE_V6);
		ip6_addr_clear_zone(ip_2_ip6(&group));
		return group_change(u, &group, interface_by_index((unsigned)mr->ipv6mr_ifindex), name == IPV6_ADD_MEMBERSHIP);
	}
	return -ENOPROTOOPT;
}

int udp_setopt(struct inet_sock *i, int level, int name, const void *value, unsigned len)
{
	struct udp_sock *u = udp_of(i);

	if (level == IPPROTO_IP)
		return udp_setopt_ip(u, name, value, len);
	if (level == IPPROTO_IPV6)
		return udp_setopt_ipv6(u, name, value, len);
	return -ENOPROTOOPT;
}

int udp_getopt(struct inet_sock *i, int level, int name, void *value, unsigned *len)
{
	struct udp_sock *u = udp_of(i);
	int *n = value;

	*len = sizeof(*n);
	if (level == IPPROTO_IP) {
		switch (name) {
		case IP_MULTICAST_TTL: *n = u->multicast_ttl; return 0;
		case IP_MULTICAST_LOOP: *n = u->multicast_loop; return 0;
		case IP_MULTICAST_IF: *n = (int)udp_get_multicast_netif_addr(u->pcb)->addr; return 0;
		case IP_PKTINFO: *n = u->pktinfo; return 0;
		}
	} else if (level == IPPROTO_IPV6) {
		switch (name) {
		case IPV6_MULTICAST_HOPS: *n = u->multicast_ttl; return 0;
		case IPV6_MULTICAST_LOOP: *n = u->multicast_loop; return 0;
		case IPV6_MULTICAST_IF: *n = udp_get_multicast_netif_index(u->pcb); return 0;
		}
	}
	return -ENOPROTOOPT;
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

static unsigned udp_sock_poll(struct socket *s, struct poll_table *pt)
{
	struct udp_sock *u = udp_sock(s);
	unsigned events = EVENTS_OUT;

	mutex_lock(&u->inet.lock);
	poll_attach(pt, &u->inet.readers, &u->inet.lock);
	if (!list_empty(&u->queue) || u->inet.rx_shut)
		events |= EVENTS_IN;
	if (u->inet.rx_shut)
		events |= EPOLLRDHUP | (u->inet.tx_shut ? EPOLLHUP : 0);
	if (atomic_load_explicit(&s->error, memory_order_relaxed))
		events |= EPOLLERR;
	mutex_unlock(&u->inet.lock);
	return events;
}

void udp_sock_figures(struct inet_sock *i, size_t *waiting, uint64_t *dropped)
{
	struct udp_sock *u = udp_of(i);

	mutex_lock(&i->lock);
	*waiting = u->queued;
	*dropped = u->dropped;
	mutex_unlock(&i->lock);
}

static long udp_sock_ioctl(struct socket *s, unsigned cmd, uaddr_t arg)
{
	struct udp_sock *u = udp_sock(s);
	int n = 0;

	if (cmd == FIONREAD) {
		mutex_lock(&u->inet.lock);
		if (!list_empty(&u->queue))
			n = list_first(&u->queue, struct datagram, link)->p->tot_len;
		mutex_unlock(&u->inet.lock);
		return put_user(arg, n);
	}
	if (cmd == TIOCOUTQ)
		return put_user(arg, n);
	return -ENOTTY;
}

static void udp_release(struct socket *s)
{
	struct udp_sock *u = udp_sock(s);

	net_lock();
	while (!list_empty(&u->groups))
		group_leave(list_first(&u->groups, struct membership, link));
	udp_remove(u->pcb);
	inet_port_release(&u->inet);
	mutex_lock(&u->inet.lock);
	list_splice_back(&u->read, &u->queue);
	mutex_unlock(&u->inet.lock);
	free_read(u);
	net_unlock();
	kfree(u);
}

struct socket *udp_create(int domain, int protocol)
{
	struct udp_sock *u = kzalloc(sizeof(*u));

	if (!u)
		return ERR_PTR(-ENOBUFS);
	inet_sock_init(&u->inet, &udp_ops, domain, SOCK_DGRAM, protocol);
	list_init(&u->queue);
	list_init(&u->read);
	list_init(&u->groups);
	u->multicast_loop = true;
	u->multicast_ttl = 1;
	net_lock();
	u->pcb = udp_new_ip_type(inet_ip_type(&u->inet));
	if (u->pcb) {
		/* Who may share a port has been decided (inet.c). */
		ip_set_option(u->pcb, SOF_REUSEADDR);
		udp_recv(u->pcb, datagram_came, u);
		udp_ip_options(&u->inet);
	}
	net_unlock();
	if (!u->pcb) {
		kfree(u);
		return ERR_PTR(-ENOBUFS);
	}
	return &u->inet.base;
}

static const struct socket_ops udp_ops = {
	.bind = udp_sock_bind,
	.connect = udp_sock_connect,
	.sendmsg = udp_sendmsg,
	.recvmsg = udp_recvmsg,
	.shutdown = udp_sock_shutdown,
	.getname = inet_getname,
	.setopt = inet_setopt,
	.getopt = inet_getopt,
	.poll = udp_sock_poll,
	.ioctl = udp_sock_ioctl,
	.release = udp_release,
};
