/*
 * kernel/net/netlink.c - AF_NETLINK sockets, as far as programs ask about the network with them (NETLINK_ROUTE).
 *
 * Theory:    a message that is sent is answered before the call returns: the whole answer to a dump is made at once, from a snapshot, cut into
 *            datagrams that fit into a page, and queued at the socket. While datagrams of a dump wait, another dump is -EBUSY, as on Linux.
 *            Nothing but answers is received: joining a group is recorded and no news come by it.
 * Interface: netlink_family, which inet_init() registers.
 * Locking:   sock->lock guards the queue; port_lock the table of port numbers. Requests are answered without a lock. User copies happen
 *            under sock->lock: the fault path does not take it.
 * Errors:    Linux's. An answer for which SO_RCVBUF has no room is dropped, and the next read says -ENOBUFS.
 * Sources:   netlink(7), rtnetlink(7); include/uapi/linux/netlink.h of the distribution.
 */
#include "net/netlink.h"
#include "net/netlink_private.h"
#include "net/socket.h"
#include "core/log.h"
#include "core/random.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "linux/process.h"
#include "mm/mm.h"
#include <linux/eventpoll.h>

#define SOL_NETLINK 270
#define EVENTS_IN (EPOLLIN | EPOLLRDNORM)
#define EVENTS_OUT (EPOLLOUT | EPOLLWRNORM)
#define PACKET_COST 512      /* what a datagram counts besides its bytes */
#define REQUEST_COST 32      /* of what SO_SNDBUF allows */
#define GROUPS 64            /* RTNLGRP_* that may be joined */

struct netlink_sock {
	struct socket base;
	struct mutex lock;
	struct waitq readers;
	struct list queue;        /* struct netlink_packet */
	size_t queued;            /* bytes, with PACKET_COST for each */
	unsigned dump_packets;    /* of them, at the front: the rest of a dump */
	struct list port_link;    /* in the table, once it has a number; port_lock */
	uint32_t portid, peer, groups_sent_to;
	uint64_t groups;
	unsigned options;         /* bit per NETLINK_* option that is only recorded */
};

static struct mutex port_lock = MUTEX_INIT("netlink ports");
static struct list ports = LIST_INIT(ports);

static const struct socket_ops netlink_ops;

static inline struct netlink_sock *netlink_of(struct socket *s) { return container_of(s, struct netlink_sock, base); }

static struct socket *netlink_create(int type, int protocol)
{
	struct netlink_sock *n;

	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return ERR_PTR(-ESOCKTNOSUPPORT);
	if (protocol != NETLINK_ROUTE)
		return ERR_PTR(-EPROTONOSUPPORT);
	n = kzalloc(sizeof(*n));
	if (!n)
		return ERR_PTR(-ENOMEM);
	socket_init(&n->base, &netlink_ops, AF_NETLINK, type, protocol);
	mutex_init(&n->lock, "netlink socket");
	waitq_init(&n->readers);
	list_init(&n->queue);
	list_init(&n->port_link);
	return &n->base;
}

static void packets_free(struct list *packets)
{
	while (!list_empty(packets)) {
		struct netlink_packet *p = list_first(packets, struct netlink_packet, link);

		list_del(&p->link);
		kfree(p);
	}
}

static void netlink_release(struct socket *s)
{
	struct netlink_sock *n = netlink_of(s);

	mutex_lock(&port_lock);
	list_del(&n->port_link);
	mutex_unlock(&port_lock);
	packets_free(&n->queue);
	kfree(n);
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

static bool port_used(uint32_t id)
{
	struct netlink_sock *n;

	list_for_each(n, &ports, port_link)
		if (n->portid == id)
			return true;
	return false;
}

/* Gives the socket that number; 0: the process's, or any other that is free. 0, -EEXIST (it has one already), -EADDRINUSE. */
static int port_take(struct netlink_sock *n, uint32_t id)
{
	int r = 0;

	mutex_lock(&port_lock);
	if (n->portid) {
		r = -EEXIST;
	} else {
		bool any = !id;

		if (any)
			id = (uint32_t)current_process()->pid;
		/* Numbers of no process, which look negative. */
		while (any && port_used(id))
			id = 0x80000000u | (uint32_t)random_u64();
		if (port_used(id)) {
			r = -EADDRINUSE;
		} else {
			n->portid = id;
			list_push_back(&ports, &n->port_link);
		}
	}
	mutex_unlock(&port_lock);
	return r;
}

static int address_check(const struct socket_addr *addr, struct sockaddr_nl *out)
{
	if (addr->len < sizeof(*out) || addr->family != AF_NETLINK)
		return -EINVAL;
	memcpy(out, addr->bytes, sizeof(*out));
	return 0;
}

static int netlink_bind(struct socket *s, const struct socket_addr *addr)
{
	struct netlink_sock *n = netlink_of(s);
	struct sockaddr_nl nl;
	int r = address_check(addr, &nl);

	if (!r)
		r = port_take(n, nl.nl_pid);
	/* Another bind() may change the groups only. */
	if (r == -EEXIST)
		r = nl.nl_pid == n->portid ? 0 : -EINVAL;
	if (r)
		return r;
	mutex_lock(&n->lock);
	n->groups = (n->groups & ~(uint64_t)UINT32_MAX) | nl.nl_groups;
	mutex_unlock(&n->lock);
	return 0;
}

static int netlink_connect(struct socket *s, const struct socket_addr *addr, int flags)
{
	struct netlink_sock *n = netlink_of(s);
	struct sockaddr_nl nl = { 0 };
	int r = 0;

	if (addr->len < sizeof(addr->family))
		return -EINVAL;
	if (addr->family != AF_UNSPEC) {
		r = address_check(addr, &nl);
		if (!r)
			r = port_take(n, 0);
	}
	if (r && r != -EEXIST)
		return r;
	mutex_lock(&n->lock);
	n->peer = nl.nl_pid;
	n->groups_sent_to = nl.nl_groups;
	mutex_unlock(&n->lock);
	return 0;
}

static int netlink_getname(struct socket *s, struct socket_addr *addr, enum socket_whose whose)
{
	struct netlink_sock *n = netlink_of(s);
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };

	mutex_lock(&n->lock);
	nl.nl_pid = whose != SOCKET_OWN ? n->peer : n->portid;
	nl.nl_groups = whose != SOCKET_OWN ? n->groups_sent_to : (uint32_t)n->groups;
	mutex_unlock(&n->lock);
	memcpy(addr->bytes, &nl, sizeof(nl));
	addr->len = sizeof(nl);
	return 0;
}

/* --- answers ----------------------------------------------------------------------------------------------------------- */

static void packet_close(struct netlink_answer *a)
{
	if (!a->open)
		return;
	list_push_back(&a->packets, &a->open->link);
	a->bytes += a->open->len + PACKET_COST;
	a->open = NULL;
}

/* Room for len bytes more behind those of the open datagram; messages do not reach over two of them. */
static char *packet_room(struct netlink_answer *a, size_t len)
{
	if (a->open && a->open->len + len > NETLINK_PACKET_BYTES)
		packet_close(a);
	if (!a->open) {
		a->open = kmalloc(sizeof(*a->open) + MAX(len, (size_t)NETLINK_PACKET_BYTES));
		if (!a->open)
			return NULL;
		a->open->len = 0;
		list_init(&a->open->link);
	}
	return a->open->data + a->open->len;
}

void *netlink_message(struct netlink_answer *a, uint16_t type, size_t body)
{
	if (a->failed)
		return NULL;
	/* Filled in a place of its own, since its length is not known yet. */
	if (!a->head)
		a->head = kmalloc(NETLINK_PACKET_BYTES);
	if (!a->head) {
		a->failed = true;
		return NULL;
	}
	memset(a->head, 0, NLMSG_SPACE(body));
	*a->head = (struct nlmsghdr){ .nlmsg_len = NLMSG_LENGTH(body), .nlmsg_type = type, .nlmsg_flags = a->flags, .nlmsg_seq = a->seq,
				      .nlmsg_pid = a->portid };
	return NLMSG_DATA(a->head);
}

void netlink_attribute(struct netlink_answer *a, uint16_t type, const void *data, size_t len)
{
	struct nlattr *attr;

	if (a->failed)
		return;
	assert(NLMSG_ALIGN(a->head->nlmsg_len) + NLA_HDRLEN + NLA_ALIGN(len) <= NETLINK_PACKET_BYTES);
	attr = (struct nlattr *)((char *)a->head + NLMSG_ALIGN(a->head->nlmsg_len));
	memset(attr, 0, NLA_HDRLEN + NLA_ALIGN(len));
	*attr = (struct nlattr){ .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type };
	memcpy((char *)attr + NLA_HDRLEN, data, len);
	a->head->nlmsg_len = (uint32_t)(NLMSG_ALIGN(a->head->nlmsg_len) + NLA_HDRLEN + NLA_ALIGN(len));
}

void netlink_attribute_u32(struct netlink_answer *a, uint16_t type, uint32_t v) { netlink_attribute(a, type, &v, sizeof(v)); }
void netlink_attribute_u8(struct netlink_answer *a, uint16_t type, uint8_t v) { netlink_attribute(a, type, &v, sizeof(v)); }
void netlink_attribute_string(struct netlink_answer *a, uint16_t type, const char *s) { netlink_attribute(a, type, s, strlen(s) + 1); }

/* Adds a complete message. */
static void message_add(struct netlink_answer *a, const void *message, size_t len)
{
	char *to = packet_room(a, NLMSG_ALIGN(len));

	if (!to) {
		a->failed = true;
		return;
	}
	memcpy(to, message, len);
	memset(to + len, 0, NLMSG_ALIGN(len) - len);
	a->open->len += NLMSG_ALIGN(len);
}

void netlink_message_end(struct netlink_answer *a)
{
	if (!a->failed)
		message_add(a, a->head, a->head->nlmsg_len);
}

static void answer_init(struct netlink_answer *a, const struct netlink_sock *n, const struct nlmsghdr *request)
{
	*a = (struct netlink_answer){ .portid = n->portid, .seq = request->nlmsg_seq };
	list_init(&a->packets);
}

static void answer_free(struct netlink_answer *a)
{
	packets_free(&a->packets);
	kfree(a->open);
	kfree(a->head);
}

/* Queues what has been made, or drops it if there is no room: true if it was queued. */
static bool answer_queue(struct netlink_sock *n, struct netlink_answer *a, bool dump)
{
	bool room;

	packet_close(a);
	mutex_lock(&n->lock);
	room = !a->failed && (list_empty(&n->queue) || n->queued + a->bytes <= (size_t)n->base.rcvbuf);
	if (room) {
		struct netlink_packet *p;

		if (dump)
			list_for_each(p, &a->packets, link)
				n->dump_packets++;
		list_splice_back(&n->queue, &a->packets);
		n->queued += a->bytes;
		waitq_wake(&n->readers, 1, EVENTS_IN);
	} else if (!(n->options & 1u << NETLINK_NO_ENOBUFS)) {
		atomic_store_explicit(&n->base.error, ENOBUFS, memory_order_release);
		waitq_wake(&n->readers, 1, EPOLLERR);
	}
	mutex_unlock(&n->lock);
	return room;
}

/* The answer that says how it went: error is 0 or -errno. */
static void acknowledge(struct netlink_sock *n, const struct nlmsghdr *request, int error)
{
	bool whole = error && !(n->options & 1u << NETLINK_CAP_ACK);
	size_t quoted = whole ? request->nlmsg_len : sizeof(*request);
	struct netlink_answer a;
	struct nlmsghdr *h;
	char *to;

	answer_init(&a, n, request);
	to = packet_room(&a, NLMSG_HDRLEN + sizeof(int) + NLMSG_ALIGN(quoted));
	if (!to) {
		a.failed = true;
	} else {
		h = (struct nlmsghdr *)to;
		*h = (struct nlmsghdr){ .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + sizeof(int) + quoted), .nlmsg_type = NLMSG_ERROR,
					.nlmsg_flags = whole ? 0 : NLM_F_CAPPED, .nlmsg_seq = a.seq, .nlmsg_pid = a.portid };
		memcpy(NLMSG_DATA(h), &error, sizeof(error));
		memcpy((char *)NLMSG_DATA(h) + sizeof(error), request, quoted);
		a.open->len = NLMSG_ALIGN(h->nlmsg_len);
		memset(to + h->nlmsg_len, 0, a.open->len - h->nlmsg_len);
	}
	answer_queue(n, &a, false);
	answer_free(&a);
}

static void request_answer(struct netlink_sock *n, const struct nlmsghdr *request)
{
	struct netlink_answer a;
	bool dump = false, busy;
	int r = 0;

	answer_init(&a, n, request);
	if ((request->nlmsg_flags & NLM_F_REQUEST) && request->nlmsg_type >= NLMSG_MIN_TYPE) {
		r = netlink_route_request(request, &a, &dump);
		if (!r && dump) {
			mutex_lock(&n->lock);
			busy = n->dump_packets;
			mutex_unlock(&n->lock);
			r = busy ? -EBUSY : 0;
		}
		if (!r && dump) {
			int *error = netlink_message(&a, NLMSG_DONE, sizeof(int));

			if (error)
				netlink_message_end(&a);
		}
		if (!r && a.failed)
			r = -ENOBUFS;
		if (!r)
			answer_queue(n, &a, dump);
	}
	answer_free(&a);
	/* The end of a dump is its NLMSG_DONE. */
	if (r || (!dump && (request->nlmsg_flags & NLM_F_ACK)))
		acknowledge(n, request, r);
}

static ssize_t netlink_sendmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct netlink_sock *n = netlink_of(s);
	uint32_t to = n->peer, groups = n->groups_sent_to;
	size_t len = m->len, at = 0;
	struct sockaddr_nl nl;
	char *data;
	int r = 0;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (!len)
		return -ENODATA;
	if (m->addr && m->addr->len) {
		r = address_check(m->addr, &nl);
		if (r)
			return r;
		to = nl.nl_pid;
		groups = nl.nl_groups;
	}
	r = port_take(n, 0);
	if (r && r != -EEXIST)
		return r;
	if (len > (size_t)n->base.sndbuf - REQUEST_COST)
		return -EMSGSIZE;
	data = kmalloc(len);
	if (!data)
		return -ENOBUFS;
	r = socket_msg_get(m, data, len);
	/* The kernel is 0; programs do not talk to each other here, and nobody hears groups. */
	if (!r && to && !groups)
		r = -ECONNREFUSED;
	while (!r && !to && len - at >= NLMSG_HDRLEN) {
		struct nlmsghdr *request = (struct nlmsghdr *)(data + at);

		if (request->nlmsg_len < NLMSG_HDRLEN || request->nlmsg_len > len - at)
			break;
		request_answer(n, request);
		at += MIN((size_t)NLMSG_ALIGN(request->nlmsg_len), len - at);
	}
	kfree(data);
	return r ? r : (ssize_t)len;
}

/* --- receiving ------------------------------------------------------------------------------------------------------------- */

/* Waits until there is a datagram. lock held. */
static int packet_wait(struct netlink_sock *n, int flags)
{
	uint64_t deadline = socket_deadline(n->base.recv_timeout_ns, flags);
	int r;

	for (;;) {
		r = socket_take_error(&n->base);
		if (r || !list_empty(&n->queue))
			return r;
		if (deadline == 0)
			return -EAGAIN;
		r = waitq_wait(&n->readers, &n->lock, deadline, true);
		if (r && list_empty(&n->queue))
			return socket_interrupted(r, deadline);
	}
}

static ssize_t netlink_recvmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct netlink_sock *n = netlink_of(s);
	struct netlink_packet *p = NULL;
	size_t want = m->len;
	ssize_t r;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	mutex_lock(&n->lock);
	r = packet_wait(n, flags);
	if (!r) {
		p = list_first(&n->queue, struct netlink_packet, link);
		r = socket_msg_put(m, p->data, MIN(want, p->len));
	}
	if (!r) {
		if (want < p->len)
			m->flags |= MSG_TRUNC;
		r = (ssize_t)((flags & MSG_TRUNC) ? p->len : MIN(want, p->len));
		if (m->addr) {
			struct sockaddr_nl nl = { .nl_family = AF_NETLINK };

			memcpy(m->addr->bytes, &nl, sizeof(nl));
			m->addr->len = sizeof(nl);
		}
		if (!(flags & MSG_PEEK)) {
			list_del(&p->link);
			n->queued -= p->len + PACKET_COST;
			if (n->dump_packets)
				n->dump_packets--;
		} else {
			p = NULL;
		}
	} else {
		p = NULL;
	}
	mutex_unlock(&n->lock);
	kfree(p);
	return r;
}

static unsigned netlink_poll(struct socket *s, struct poll_table *pt)
{
	struct netlink_sock *n = netlink_of(s);
	unsigned events = EVENTS_OUT;

	mutex_lock(&n->lock);
	poll_attach(pt, &n->readers, &n->lock);
	if (!list_empty(&n->queue))
		events |= EVENTS_IN;
	if (atomic_load_explicit(&s->error, memory_order_relaxed))
		events |= EPOLLERR;
	mutex_unlock(&n->lock);
	return events;
}

/* --- options ----------------------------------------------------------------------------------------------------------------- */

#define OPTIONS_RECORDED                                                                                                       \
	(1u << NETLINK_PKTINFO | 1u << NETLINK_BROADCAST_ERROR | 1u << NETLINK_NO_ENOBUFS | 1u << NETLINK_LISTEN_ALL_NSID |    \
	 1u << NETLINK_CAP_ACK | 1u << NETLINK_EXT_ACK | 1u << NETLINK_GET_STRICT_CHK)

static int netlink_setopt(struct socket *s, int level, int name, const void *value, unsigned len)
{
	struct netlink_sock *n = netlink_of(s);
	unsigned v;
	int r = 0;

	if (level != SOL_NETLINK || name < 0 || name >= 32)
		return -ENOPROTOOPT;
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	mutex_lock(&n->lock);
	if (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP) {
		if (!v || v > GROUPS)
			r = -EINVAL;
		else if (name == NETLINK_ADD_MEMBERSHIP)
			n->groups |= 1ull << (v - 1);
		else
			n->groups &= ~(1ull << (v - 1));
	} else if (!(OPTIONS_RECORDED & 1u << name)) {
		r = -ENOPROTOOPT;
	} else if (v) {
		n->options |= 1u << name;
	} else {
		n->options &= ~(1u << name);
	}
	mutex_unlock(&n->lock);
	return r;
}

static int netlink_getopt(struct socket *s, int level, int name, void *value, unsigned *len)
{
	struct netlink_sock *n = netlink_of(s);

	if (level != SOL_NETLINK || name < 0 || name >= 32)
		return -ENOPROTOOPT;
	if (name == NETLINK_LIST_MEMBERSHIPS) {
		mutex_lock(&n->lock);
		memcpy(value, &n->groups, sizeof(n->groups));
		mutex_unlock(&n->lock);
		*len = sizeof(n->groups);
		return 0;
	}
	if (!(OPTIONS_RECORDED & 1u << name))
		return -ENOPROTOOPT;
	*(int *)value = !!(n->options & 1u << name);
	*len = sizeof(int);
	return 0;
}

static const struct socket_ops netlink_ops = {
	.bind = netlink_bind,
	.connect = netlink_connect,
	.sendmsg = netlink_sendmsg,
	.recvmsg = netlink_recvmsg,
	.getname = netlink_getname,
	.setopt = netlink_setopt,
	.getopt = netlink_getopt,
	.poll = netlink_poll,
	.release = netlink_release,
};

const struct socket_family netlink_family = { AF_NETLINK, netlink_create };
