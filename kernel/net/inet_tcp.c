/*
 * kernel/net/inet_tcp.c - TCP sockets: connections that are made. How they end is in tcp_close.c.
 *
 * Theory:    a socket has at most one control block of lwIP. The block holds a reference of the socket, which goes when lwIP frees the block
 *            (pcb_gone(), called through its extension argument): so lwIP's callbacks always find their socket, and
 *            a connection that is still sending when its file is closed (`orphan`) keeps what it sends.
 *            A listening socket makes a socket for each connection when the handshake is over, and keeps it until accept().
 *            When that queue is full, or memory is short, a SYN is not answered: its sender tries again.
 * Locking:   inet_private.h. lwIP's callbacks run under the core lock and take the socket's lock for the wakes.
 * Errors:    Linux's.
 */
#include "net/tcp_conn.h"
#include "net/path_mtu.h"
#include "net/tcp_private.h"
#include "core/clock.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/sockios.h>

#define RCVBUF_DEFAULT 131072 /* what Linux answers for a new socket */
#define SNDBUF_DEFAULT 16384
#define SYN_LOST_RTO_MS 3000
#define HALF_OPEN_MAX 255     /* lwIP's own limit of a listener */

static const struct socket_ops tcp_ops;
static struct tcp_sock *next_child; /* memory for the next connection that comes, or NULL. Core lock. */

/* --- life ------------------------------------------------------------------------------------------------------ */

void tcp_sock_put(struct tcp_sock *t)
{
	if (!inet_put(&t->inet))
		return;
	net_held_sub(sizeof(*t));
	kfree(t);
}

static void tcp_sock_init(struct tcp_sock *t, int domain, int protocol)
{
	memset(t, 0, sizeof(*t));
	inet_sock_init(&t->inet, &tcp_ops, domain, SOCK_STREAM, protocol);
	t->inet.base.rcvbuf = RCVBUF_DEFAULT;
	t->inet.base.sndbuf = SNDBUF_DEFAULT;
	t->bound = inet_unspecified(&t->inet);
	t->rx_end = &t->rx;
	t->chunks_end = &t->chunks;
	t->quickack = true;
	list_init(&t->pending);
	list_init(&t->deferred);
	list_init(&t->pending_link);
	list_init(&t->half_open);
	t->wnd_limit = TCP_WND;
	net_held_add(sizeof(*t));
}

struct socket *tcp_create(int domain, int protocol)
{
	struct tcp_sock *t = kmalloc(sizeof(*t));

	if (!t)
		return ERR_PTR(-ENOBUFS);
	tcp_sock_init(t, domain, protocol);
	return &t->inet.base;
}

/* The connection is over: e is what a read or write shall say once, 0 if nothing. inet.lock held. */
static void over(struct tcp_sock *t, int e)
{
	t->state = TCP_OVER;
	t->room = 0;
	if (e)
		atomic_store_explicit(&t->inet.base.error, e, memory_order_release);
	waitq_wake_all(&t->inet.readers, EVENTS_IN | EVENTS_OUT | EPOLLRDHUP | EPOLLHUP | (e ? EPOLLERR : 0));
	waitq_wake_all(&t->inet.writers, 0);
}

/* It is deferred no longer. The listener, which it was deferred by, is locked then. */
static struct tcp_sock *deferral_take(struct tcp_sock *child)
{
	struct tcp_sock *t = child->deferred_by;

	child->deferred_by = NULL;
	mutex_lock(&t->inet.lock);
	list_del(&child->pending_link);
	t->ndeferred--;
	return t;
}

/* lwIP has freed the control block. */
static void pcb_gone(u8_t id, void *data)
{
	struct tcp_sock *t = data;

	/* A connection that was never anybody's. */
	if (t->deferred_by) {
		mutex_unlock(&deferral_take(t)->inet.lock);
		tcp_sock_put(t);
	}
	t->pcb = NULL;
	tcp_data_drop(t);
	/* The port that bind() was asked for stays until the socket is closed. */
	if (t->orphan || !t->bound.port)
		inet_port_release(&t->inet);
	mutex_lock(&t->inet.lock);
	/* Both directions have ended in order; an error is told by connection_lost(). */
	if (t->state == TCP_CONNECTED && t->rx_end_seen && t->inet.tx_shut)
		over(t, 0);
	t->linger_waits = false;
	waitq_wake_all(&t->inet.writers, 0);
	mutex_unlock(&t->inet.lock);
	tcp_sock_put(t);
}

bool tcp_has_peer(const struct inet_sock *i) { return container_of(i, struct tcp_sock, inet)->state == TCP_CONNECTED; }

bool tcp_accept_full(struct tcp_sock *t)
{
	bool full;

	mutex_lock(&t->inet.lock);
	full = t->npending + t->ndeferred > t->backlog;
	mutex_unlock(&t->inet.lock);
	return full;
}

err_t tcp_syn_admit(struct tcp_sock *listener, struct tcp_pcb *fresh)
{
	if (tcp_accept_full(listener))
		return ERR_MEM;
	if (net_memory_short() || !tcp_conn_attach(fresh)) {
		tcp_conn_counters.memory_refusals++;
		return ERR_MEM;
	}
	tcp_conn_add(fresh);
	tcp_conn_half_open(fresh, &listener->half_open);
	tcp_window_start(listener, fresh);
	return ERR_OK;
}

/* A SYN for a listening socket. */
static err_t syn_received(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *fresh)
{
	return tcp_syn_admit(tcp_ext_arg_get((struct tcp_pcb *)listener, id), fresh);
}

static const struct tcp_ext_arg_callbacks pcb_callbacks = { .destroy = pcb_gone, .passive_open = syn_received };

/* TCP_MAXSEG is for both directions. */
static void mss_limit(const struct tcp_sock *t, struct tcp_pcb *pcb)
{
	if (t->user_mss)
		pcb->mss = (u16_t)MIN((unsigned)pcb->mss, t->user_mss);
}

static err_t connection_made(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct tcp_sock *t = arg;

	tcp_window_start(t, pcb);
	mss_limit(t, pcb);
	/* If the SYN had to be sent again, its time-out has grown (RFC 6298, section 5.7). */
	if (pcb->nrtx) {
		pcb->nrtx = 0;
		pcb->rto = SYN_LOST_RTO_MS / TCP_SLOW_INTERVAL;
	}
	mutex_lock(&t->inet.lock);
	t->inet.local.ip = pcb->local_ip;
	t->state = TCP_CONNECTED;
	t->attempt = false;
	tcp_room_update(t);
	waitq_wake_all(&t->inet.writers, 0);
	waitq_wake(&t->inet.readers, 0, EVENTS_OUT);
	mutex_unlock(&t->inet.lock);
	return ERR_OK;
}

static void connection_lost(void *arg, err_t err)
{
	struct tcp_sock *t = arg;
	int e = err == ERR_CLSD ? 0 : err == ERR_RST ? ECONNRESET : ETIMEDOUT;

	if (t->orphan)
		return;
	mutex_lock(&t->inet.lock);
	if (t->state == TCP_CONNECTING && e == ECONNRESET)
		e = ECONNREFUSED;
	/* Nobody answered, and somebody had said why. */
	if (e == ETIMEDOUT && t->soft_error)
		e = t->soft_error;
	/* A reset behind the peer's FIN is the answer to bytes that it will not read. */
	if (e == ECONNRESET && t->rx_end_seen)
		e = EPIPE;
	over(t, e);
	mutex_unlock(&t->inet.lock);
}

void tcp_unreachable(const struct inet_unreach *why)
{
	struct tcp_pcb *pcb;
	struct tcp_sock *t;

	pcb = tcp_conn_find(&why->from.ip, why->from.port, &why->to.ip, why->to.port);
	/* A stranger does not know which bytes are under way (RFC 5927, section 4.1). */
	if (!pcb || !TCP_SEQ_BETWEEN(why->seq, pcb->lastack, pcb->snd_nxt)) {
		path_mtu_counters.refused += why->error == EMSGSIZE;
		return;
	}
	t = tcp_sock_of(pcb);
	tcp_conn_enter(pcb);
	if (why->error == EMSGSIZE)
		path_mtu_tcp(pcb, why);
	if (!t || t->orphan || why->error == EMSGSIZE)
		return;
	t->soft_error = why->error;
	/* It ends a connection that is being made; one that stands has other ways to go (RFC 1122, section 4.2.3.9). */
	if (pcb->state == SYN_SENT)
		tcp_abandon(pcb, 0);
}

static void attach(struct tcp_sock *t, struct tcp_pcb *pcb)
{
	inet_get(&t->inet);
	t->pcb = pcb;
	tcp_arg(pcb, t);
	tcp_recv(pcb, tcp_data_received);
	tcp_sent(pcb, tcp_data_acked);
	tcp_err(pcb, connection_lost);
	/* With each call of lwIP's timer function; net/tcp_conn.c makes these by `poll_wanted`. */
	tcp_poll(pcb, tcp_data_poll, 1);
	tcp_ext_arg_set(pcb, TCP_EXT_SOCKET, t);
	tcp_ext_arg_set_callbacks(pcb, TCP_EXT_SOCKET, &pcb_callbacks);
	if (t->nodelay)
		tcp_nagle_disable(pcb);
}

/* A control block for the socket, if it has none. 0 or -errno. Core lock held. */
static int pcb_make(struct tcp_sock *t)
{
	struct tcp_pcb *pcb;

	if (t->pcb)
		return 0;
	while (!(pcb = tcp_new_ip_type(inet_ip_type(&t->inet))))
		if (!tcp_conn_cut_time_wait())
			return -ENOBUFS;
	attach(t, pcb);
	tcp_options_apply(t);
	return 0;
}

/* --- names ------------------------------------------------------------------------------------------------------- */

/* Tells lwIP the socket's address, which it has the port of. 0 or -errno. Core lock held. */
static int pcb_bind(struct tcp_sock *t, const struct inet_end *end)
{
	ip_addr_t ip = inet_bind_ip(&t->inet, &end->ip);

	return inet_error(tcp_bind(t->pcb, &ip, end->port));
}

static void local_set(struct tcp_sock *t, struct inet_end end)
{
	mutex_lock(&t->inet.lock);
	t->inet.local = end;
	mutex_unlock(&t->inet.lock);
}

/* Gives the socket a local address. Core lock held; the state has been checked. */
static int bind_to(struct tcp_sock *t, struct inet_end end)
{
	ip_addr_t ip = end.ip;
	bool asked = end.port;
	int r;

	if (!inet_is_local(&ip))
		return -EADDRNOTAVAIL;
	/* A port that was drawn may be told still, though it is the socket's no more. */
	if (!list_empty(&t->inet.port_link))
		return -EINVAL;
	r = pcb_make(t);
	if (r)
		return r;
	r = inet_port_take(&t->inet, &ip, &end.port);
	/* All are taken: some by connections that only wait for stragglers. */
	if (r && !asked) {
		while (r && (end.port = tcp_conn_cut_for_port()))
			r = inet_port_take(&t->inet, &ip, &end.port);
		if (!r)
			inet_port_drawn(&t->inet);
	}
	if (r)
		return r;
	r = pcb_bind(t, &end);
	if (r)
		inet_port_release(&t->inet);
	else
		local_set(t, end);
	return r;
}

void tcp_name_reset(struct tcp_sock *t) { local_set(t, t->bound); }

/* Before it listens or connects, maybe not for the first time: a control block, and a local address. Core lock held. */
static int name_make(struct tcp_sock *t)
{
	int r;

	if (t->pcb && t->pcb->local_port)
		return 0;
	tcp_name_reset(t);
	if (!t->bound.port)
		return bind_to(t, t->inet.local);
	if (!inet_is_local(&t->bound.ip))
		return -EADDRNOTAVAIL;
	r = pcb_make(t);
	return r ? r : pcb_bind(t, &t->bound);
}

static int tcp_sock_bind(struct socket *s, const struct socket_addr *addr)
{
	struct tcp_sock *t = tcp_sock(s);
	struct inet_end end;
	int r = inet_bind_parse(&t->inet, addr, &end);

	if (r)
		return r;
	net_lock();
	r = t->state == TCP_NEW ? bind_to(t, end) : -EINVAL;
	if (!r) {
		t->bound = t->inet.local;
		if (t->inet.port_drawn)
			t->bound.port = 0;
	}
	net_unlock();
	return r;
}

/* --- listening ------------------------------------------------------------------------------------------------------ */

/* The connection is for accept() now. The listener's lock held. */
static void accept_offer(struct tcp_sock *t, struct tcp_sock *child)
{
	list_push_back(&t->pending, &child->pending_link);
	t->npending++;
	waitq_wake(&t->inet.readers, 1, EVENTS_IN);
}

/* It is when it says something, or after a while; tcp_data_poll() looks. The listener's lock held. */
static void accept_defer(struct tcp_sock *t, struct tcp_sock *child)
{
	list_push_back(&t->deferred, &child->pending_link);
	t->ndeferred++;
	child->deferred_by = t;
	child->defer_until_ns = clock_monotonic_ns() + t->defer_accept_s * NSEC_PER_SEC;
	child->poll_wanted = true;
}

void tcp_deferral_end(struct tcp_sock *child)
{
	struct tcp_sock *t;

	if (!child->deferred_by)
		return;
	t = deferral_take(child);
	accept_offer(t, child);
	mutex_unlock(&t->inet.lock);
}

bool tcp_child_ready(void)
{
	if (!next_child)
		next_child = kmalloc_flags(sizeof(*next_child), ALLOC_NORECLAIM);
	return next_child;
}

static err_t connection_came(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct tcp_sock *t = arg, *child;

	if (!pcb || err != ERR_OK)
		return ERR_VAL;
	if (!tcp_child_ready())
		return ERR_MEM;
	child = next_child;
	next_child = NULL;
	tcp_sock_init(child, t->inet.base.domain, t->inet.base.protocol);
	tcp_conn_full_open(pcb);
	/* The listener may go before it does. */
	pcb->listener = NULL;
	child->inet.v6only = t->inet.v6only;
	child->inet.local = (struct inet_end){ pcb->local_ip, pcb->local_port };
	child->inet.remote = (struct inet_end){ pcb->remote_ip, pcb->remote_port };
	child->state = TCP_CONNECTED;
	child->success_told = true;
	child->nodelay = t->nodelay;
	child->inet.v4 = t->inet.v4;
	child->inet.v6 = t->inet.v6;
	child->inet.device = t->inet.device;
	child->keep_idle = t->keep_idle;
	child->keep_interval = t->keep_interval;
	child->keep_count = t->keep_count;
	child->user_timeout_ms = t->user_timeout_ms;
	child->user_mss = t->user_mss;
	child->notsent_lowat = t->notsent_lowat;
	child->ack_at_once = t->ack_at_once;
	child->sndbuf_set = t->sndbuf_set;
	child->rcvbuf_set = t->rcvbuf_set;
	child->inet.base.rcvbuf = t->inet.base.rcvbuf;
	child->inet.base.sndbuf = t->inet.base.sndbuf;
	child->inet.base.rcvlowat = t->inet.base.rcvlowat;
	child->inet.base.linger_seconds = t->inet.base.linger_seconds;
	child->inet.base.recv_timeout_ns = t->inet.base.recv_timeout_ns;
	child->inet.base.send_timeout_ns = t->inet.base.send_timeout_ns;
	atomic_store_explicit(&child->inet.base.options, atomic_load_explicit(&t->inet.base.options, memory_order_relaxed), memory_order_relaxed);
	attach(child, pcb);
	mss_limit(child, pcb);
	child->wnd_limit = MIN(t->wnd_limit, tcp_window_limit(child));
	tcp_options_apply(child);
	inet_port_share(&child->inet, pcb->local_port);
	mutex_lock(&child->inet.lock);
	tcp_room_update(child);
	mutex_unlock(&child->inet.lock);
	mutex_lock(&t->inet.lock);
	if (t->defer_accept_s)
		accept_defer(t, child);
	else
		accept_offer(t, child);
	mutex_unlock(&t->inet.lock);
	return ERR_OK;
}

static int listen_start(struct tcp_sock *t, unsigned backlog)
{
	struct tcp_pcb *pcb;
	err_t e;
	int r;

	r = name_make(t);
	if (r)
		return r;
	if (!inet_port_free_to_listen(&t->inet))
		return -EADDRINUSE;
	/* Of an attempt to connect. */
	tcp_conn_detach(t->pcb);
	/* lwIP would not let several listen; who may has been decided. */
	ip_reset_option(t->pcb, SOF_REUSEADDR);
	/* lwIP replaces the control block by a smaller one. */
	t->pcb->ext_args[TCP_EXT_SOCKET].callbacks = NULL;
	pcb = tcp_listen_with_backlog_and_err(t->pcb, HALF_OPEN_MAX, &e);
	if (pcb) {
		t->pcb = pcb;
		tcp_arg(pcb, t);
		tcp_accept(pcb, connection_came);
	}
	ip_set_option(t->pcb, SOF_REUSEADDR);
	tcp_ext_arg_set_callbacks(t->pcb, TCP_EXT_SOCKET, &pcb_callbacks);
	return pcb ? 0 : inet_error(e);
}

static int tcp_sock_listen(struct socket *s, int backlog)
{
	struct tcp_sock *t = tcp_sock(s);
	int r = 0;

	net_lock();
	if (t->state != TCP_NEW && t->state != TCP_LISTENING)
		r = -EINVAL;
	else if (t->state == TCP_NEW)
		r = listen_start(t, (unsigned)backlog);
	if (!r) {
		mutex_lock(&t->inet.lock);
		t->state = TCP_LISTENING;
		t->backlog = (unsigned)backlog;
		s->listening = true;
		mutex_unlock(&t->inet.lock);
	}
	net_unlock();
	return r;
}

static struct socket *tcp_sock_accept(struct socket *s, int flags)
{
	struct tcp_sock *t = tcp_sock(s), *child = NULL;
	uint64_t deadline = socket_deadline(s->recv_timeout_ns, flags);
	int r = 0;

	mutex_lock(&t->inet.lock);
	for (;;) {
		if (t->state != TCP_LISTENING) {
			r = -EINVAL;
			break;
		}
		if (!list_empty(&t->pending)) {
			child = list_first(&t->pending, struct tcp_sock, pending_link);
			list_del(&child->pending_link);
			t->npending--;
			if (!list_empty(&t->pending))
				waitq_wake(&t->inet.readers, 1, 0);
			break;
		}
		if (deadline == 0) {
			r = -EAGAIN;
			break;
		}
		r = waitq_wait(&t->inet.readers, &t->inet.lock, deadline, true);
		if (r && list_empty(&t->pending)) {
			r = socket_interrupted(r, deadline);
			break;
		}
	}
	mutex_unlock(&t->inet.lock);
	return child ? &child->inet.base : ERR_PTR(r);
}

/* --- connecting -------------------------------------------------------------------------------------------------------- */

static int connect_start(struct tcp_sock *t, struct inet_end to)
{
	const ip_addr_t *from;
	int r;

	r = name_make(t);
	if (r)
		return r;
	inet_to_here(&to.ip);
	from = inet_source(&t->pcb->local_ip, &to.ip);
	if (!from || !inet_has_way(from, &to.ip))
		return -ENETUNREACH;
	if (tcp_conn_find(from, t->inet.local.port, &to.ip, to.port))
		return -EADDRNOTAVAIL;
	if (!tcp_conn_attach(t->pcb))
		return -ENOBUFS;
	mutex_lock(&t->inet.lock);
	t->state = TCP_CONNECTING;
	t->attempt = true;
	t->inet.remote = to;
	t->inet.local.ip = *from;
	/* What an attempt before this one met is over, too. */
	atomic_store_explicit(&t->inet.base.error, 0, memory_order_relaxed);
	mutex_unlock(&t->inet.lock);
	tcp_ip_options(&t->inet);
	r = inet_error(tcp_connect(t->pcb, &to.ip, to.port, connection_made));
	if (!r) {
		tcp_conn_unlist();
		tcp_conn_add(t->pcb);
		return 0;
	}
	mutex_lock(&t->inet.lock);
	t->state = TCP_NEW;
	t->inet.remote.port = 0;
	mutex_unlock(&t->inet.lock);
	return r == -EADDRINUSE ? -EADDRNOTAVAIL : r;
}

void tcp_start_over(struct tcp_sock *t)
{
	if (t->state != TCP_OVER || !t->attempt)
		return;
	t->attempt = false;
	t->state = TCP_NEW;
	t->inet.remote = inet_unspecified(&t->inet);
	t->inet.rx_shut = t->inet.tx_shut = false;
	t->soft_error = 0;
}

/* Waits for the answer. 0 or -errno. */
static int connect_wait(struct tcp_sock *t, uint64_t deadline)
{
	int r = 0;

	mutex_lock(&t->inet.lock);
	while (t->state == TCP_CONNECTING && !r) {
		r = waitq_wait(&t->inet.writers, &t->inet.lock, deadline, true);
		if (r == -ETIMEDOUT)
			r = -EINPROGRESS;
		else if (r)
			r = socket_interrupted(r, deadline);
	}
	if (t->state != TCP_CONNECTING) {
		r = socket_take_error(&t->inet.base);
		if (!r && t->state != TCP_CONNECTED)
			r = -ECONNABORTED;
		tcp_start_over(t);
	}
	mutex_unlock(&t->inet.lock);
	return r;
}

static int tcp_sock_connect(struct socket *s, const struct socket_addr *addr, int flags)
{
	struct tcp_sock *t = tcp_sock(s);
	struct inet_end to;
	int r;

	if (addr->len < sizeof(addr->family))
		return -EINVAL;
	if (addr->family == AF_UNSPEC)
		return tcp_disconnect(t);
	net_lock();
	switch (t->state) {
	case TCP_NEW:
		r = inet_end_parse(&t->inet, addr, &to);
		if (!r)
			r = to.port ? connect_start(t, to) : -ECONNREFUSED;
		break;
	case TCP_CONNECTING: r = flags & MSG_DONTWAIT ? -EALREADY : 0; break;
	case TCP_CONNECTED:
		/* Who did not wait is told once. */
		r = t->success_told ? -EISCONN : 0;
		t->success_told = true;
		net_unlock();
		return r;
	case TCP_LISTENING: r = -EISCONN; break;
	default:
		r = socket_take_error(s);
		r = r ? r : t->attempt ? -ECONNABORTED : -EISCONN;
		mutex_lock(&t->inet.lock);
		tcp_start_over(t);
		mutex_unlock(&t->inet.lock);
	}
	net_unlock();
	if (r)
		return r;
	/* Over loopback it is done already; Linux does not say so either. */
	if (flags & MSG_DONTWAIT)
		return -EINPROGRESS;
	r = connect_wait(t, socket_deadline(s->send_timeout_ns, 0));
	if (!r) {
		net_lock();
		t->success_told = true;
		net_unlock();
	}
	return r;
}

/* --- polling, options ------------------------------------------------------------------------------------------------------- */

static unsigned tcp_sock_poll(struct socket *s, struct poll_table *pt)
{
	struct tcp_sock *t = tcp_sock(s);
	struct inet_sock *i = &t->inet;
	unsigned events = 0;
	bool rx_over, tx_over;

	mutex_lock(&i->lock);
	poll_attach(pt, &i->readers, &i->lock);
	rx_over = t->rx_end_seen || i->rx_shut || t->state == TCP_OVER;
	tx_over = i->tx_shut || t->state == TCP_OVER;
	if (atomic_load_explicit(&s->error, memory_order_relaxed))
		events |= EPOLLERR;
	if (t->state == TCP_LISTENING) {
		events |= list_empty(&t->pending) ? 0 : EVENTS_IN;
	} else if (t->state == TCP_NEW) {
		events |= EVENTS_OUT | EPOLLHUP;
	} else {
		if (rx_over && tx_over)
			events |= EPOLLHUP;
		if (rx_over)
			events |= EVENTS_IN | EPOLLRDHUP;
		if (t->state != TCP_CONNECTING) {
			if (tcp_readable(t))
				events |= EVENTS_IN;
			if (tx_over || tcp_writable(t))
				events |= EVENTS_OUT;
		}
	}
	mutex_unlock(&i->lock);
	return events;
}

static long tcp_sock_ioctl(struct socket *s, unsigned cmd, uaddr_t arg)
{
	struct tcp_sock *t = tcp_sock(s);
	int n;

	switch (cmd) {
	case FIONREAD:
		mutex_lock(&t->inet.lock);
		n = t->state == TCP_LISTENING ? -EINVAL : (int)t->rx_bytes;
		mutex_unlock(&t->inet.lock);
		return n < 0 ? n : put_user(arg, n);
	case SIOCOUTQNSD:
		net_lock();
		n = t->state == TCP_LISTENING ? -EINVAL : t->pcb && t->state == TCP_CONNECTED ? (int)(t->pcb->snd_lbb - t->pcb->snd_nxt) : 0;
		net_unlock();
		return n < 0 ? n : put_user(arg, n);
	case TIOCOUTQ:
		net_lock();
		n = t->state == TCP_LISTENING ? -EINVAL : t->pcb && t->state == TCP_CONNECTED ? (int)(TCP_SND_BUF - t->pcb->snd_buf) : 0;
		net_unlock();
		return n < 0 ? n : put_user(arg, n);
	}
	return -ENOTTY;
}

static const struct socket_ops tcp_ops = {
	.bind = tcp_sock_bind,
	.listen = tcp_sock_listen,
	.connect = tcp_sock_connect,
	.accept = tcp_sock_accept,
	.sendmsg = tcp_sendmsg,
	.recvmsg = tcp_recvmsg,
	.sends_files = true,
	.shutdown = tcp_sock_shutdown,
	.getname = inet_getname,
	.setopt = inet_setopt,
	.getopt = inet_getopt,
	.poll = tcp_sock_poll,
	.ioctl = tcp_sock_ioctl,
	.release = tcp_sock_release,
};
