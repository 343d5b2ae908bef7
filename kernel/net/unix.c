/*
 * kernel/net/unix.c - AF_UNIX sockets: stream, datagram, seqpacket.
 *
 * Theory:    what is sent lies with its receiver: a ring of bytes for a stream, a list of messages for the
 *            other two. A sender locks only the receiver and waits on the receiver's `room`; the receiver
 *            locks only itself. `rx_closed` says that nothing more will come in: the receiver then
 *            reads the rest and the end of file, the sender gets EPIPE. Closing and both kinds of
 *            shutdown are expressed by it, on one socket or on both.
 *            Descriptors sent along a stream are a mark over the bytes they were sent with. A read that
 *            takes the first of these bytes takes the descriptors, and ends with the last of them.
 *            Whoever polls a socket for sending hangs in the socket's own `readers` queue, since its peer may
 *            not exist yet, or be another one later; the receiver that makes room tells it (unix_tell_senders). For that
 *            a receiver of datagrams lists the sockets that are connected to it.
 * Interface: unix_family, for linux/socket.c. Sending and receiving: unix_data.c; names: unix_name.c.
 * Locking:   sock->lock guards the socket's state, content and queues; two are never held at
 *            once. Both wait queues are the socket's own. User copies happen under it: the fault path
 *            does not take it.
 *            senders_lock is held when a datagram socket gets or loses its peer, and while a receiver's list is
 *            walked. Lock order: this one, then a socket's.
 * Lifetime:  refs: the file (or, before accept, the listener's list), sockets whose peer it is, lookups. The peer of a
 *            datagram socket may change: who has no reference takes one (unix_peer_get).
 * Errors:    Linux's.
 */
#include "net/unix_private.h"
#include "net/socket_list.h"
#include "linux/process.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/eventpoll.h>

static const struct socket_ops unix_ops;
/* All sockets, for unix_rows(). Lock order: this one, then a socket's. */
static struct mutex all_lock = MUTEX_INIT("unix sockets");
static struct list all = LIST_INIT(all);
static struct mutex senders_lock = MUTEX_INIT("unix senders");

struct socket_ucred unix_cred(void)
{
	return (struct socket_ucred){ .pid = current_process()->pid, .uid = 0, .gid = 0 };
}

/* --- life ---------------------------------------------------------------------------------------- */

void unix_get(struct unix_sock *u) { atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed); }

void unix_put(struct unix_sock *u)
{
	if (atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) != 1)
		return;
	mutex_lock(&all_lock);
	list_del(&u->all_link);
	mutex_unlock(&all_lock);
	bytering_free(&u->ring);
	kfree(u);
}

static struct socket *unix_create(int type, int protocol)
{
	struct unix_sock *u;

	if (protocol && protocol != AF_UNIX)
		return ERR_PTR(-EPROTONOSUPPORT);
	if (type == SOCK_RAW)
		type = SOCK_DGRAM;
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return ERR_PTR(-ESOCKTNOSUPPORT);
	u = kzalloc(sizeof(*u));
	if (!u)
		return ERR_PTR(-ENOMEM);
	socket_init(&u->base, &unix_ops, AF_UNIX, type, 0);
	mutex_init(&u->lock, "unix socket");
	waitq_init(&u->readers);
	waitq_init(&u->room);
	list_init(&u->marks);
	list_init(&u->messages);
	list_init(&u->senders);
	list_init(&u->sender_link);
	list_init(&u->pending);
	list_init(&u->pending_link);
	list_init(&u->name_link);
	atomic_store_explicit(&u->refs, 1, memory_order_relaxed);
	mutex_lock(&all_lock);
	list_push_back(&all, &u->all_link);
	mutex_unlock(&all_lock);
	return &u->base;
}

/* Nothing more comes in: readers see the end, writers EPIPE. lock held. */
static void unix_close_rx(struct unix_sock *u)
{
	u->rx_closed = true;
	waitq_wake_all(&u->readers, EVENTS_IN | EVENTS_OUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	waitq_wake_all(&u->room, 0);
}

static void tell(struct unix_sock *u, unsigned events)
{
	mutex_lock(&u->lock);
	waitq_wake(&u->readers, 0, events);
	mutex_unlock(&u->lock);
}

void unix_tell_senders(struct unix_sock *u, unsigned events)
{
	struct unix_sock *sender;

	if (!unix_is_dgram(u)) {
		sender = unix_peer(u);
		if (sender)
			tell(sender, events);
		return;
	}
	mutex_lock(&senders_lock);
	list_for_each(sender, &u->senders, sender_link)
		tell(sender, events);
	mutex_unlock(&senders_lock);
}

static struct unix_sock *unix_peer_get(struct unix_sock *u)
{
	struct unix_sock *peer;

	mutex_lock(&u->lock);
	peer = unix_peer(u);
	if (peer)
		unix_get(peer);
	mutex_unlock(&u->lock);
	return peer;
}

static void messages_free(struct list *messages)
{
	while (!list_empty(messages)) {
		struct unix_msg *m = list_first(messages, struct unix_msg, link);

		list_del(&m->link);
		unix_msg_free(m);
	}
}

/* What u had not read of `old`, with which it is not connected any more, is gone: who waited for room has it, and `old` is told. No lock held. */
static void dgram_unread(struct unix_sock *u, struct unix_sock *old, struct list *unread)
{
	messages_free(unread);
	unix_tell_senders(u, EVENTS_OUT);
	mutex_lock(&old->lock);
	if (!old->closed && unix_peer(old) == u) {
		atomic_store_explicit(&old->base.error, ECONNRESET, memory_order_release);
		waitq_wake_all(&old->readers, EVENTS_IN | EPOLLERR);
	}
	mutex_unlock(&old->lock);
}

/*
 * Makes `to` the socket that a datagram socket sends to; NULL: nobody. It is in the list before a poll can see it: who finds
 * it full is told when it is not any more. With `from`, only if that is whom u sends to so far.
 */
static void dgram_change_peer(struct unix_sock *u, struct unix_sock *from, struct unix_sock *to)
{
	struct unix_sock *old;
	struct list unread;

	list_init(&unread);
	mutex_lock(&senders_lock);
	old = unix_peer(u);
	if (from && old != from) {
		mutex_unlock(&senders_lock);
		return;
	}
	if (to)
		unix_get(to);
	list_del(&u->sender_link);
	if (to)
		list_push_back(&to->senders, &u->sender_link);
	mutex_lock(&u->lock);
	if (to)
		u->peer_cred = unix_cred();
	atomic_store_explicit(&u->peer, to, memory_order_release);
	if (old && old != to) {
		list_splice_back(&unread, &u->messages);
		u->queued = 0;
		waitq_wake_all(&u->room, 0);
	}
	waitq_wake(&u->readers, 0, EVENTS_OUT); /* what the old one had no room for, this one may have */
	mutex_unlock(&u->lock);
	mutex_unlock(&senders_lock);
	if (!list_empty(&unread))
		dgram_unread(u, old, &unread);
	if (old)
		unix_put(old);
}

void unix_dgram_forget(struct unix_sock *u, struct unix_sock *gone) { dgram_change_peer(u, gone, NULL); }

static void unix_release(struct socket *s)
{
	struct unix_sock *u = unix_of(s), *peer;
	struct list messages, marks, pending;
	bool unread;

	list_init(&messages);
	list_init(&marks);
	list_init(&pending);
	unix_name_remove(u);
	mutex_lock(&u->lock);
	u->closed = true;
	unread = bytering_used(&u->ring) || !list_empty(&u->messages);
	unix_close_rx(u);
	list_splice_back(&messages, &u->messages);
	list_splice_back(&marks, &u->marks);
	list_splice_back(&pending, &u->pending);
	bytering_free(&u->ring);
	peer = unix_peer(u);
	mutex_unlock(&u->lock);

	if (unix_is_dgram(u)) {
		unix_tell_senders(u, EVENTS_OUT);
		dgram_change_peer(u, NULL, NULL);
		peer = NULL;
	} else if (peer) {
		mutex_lock(&peer->lock);
		/* It sent what we never read, or was never accepted. */
		if ((unread || u->embryo) && !peer->closed)
			atomic_store_explicit(&peer->base.error, ECONNRESET, memory_order_release);
		unix_close_rx(peer);
		mutex_unlock(&peer->lock);
	}
	while (!list_empty(&pending)) {
		struct unix_sock *child = list_first(&pending, struct unix_sock, pending_link);

		list_del(&child->pending_link);
		unix_release(&child->base);
	}
	messages_free(&messages);
	while (!list_empty(&marks)) {
		struct unix_files *f = list_first(&marks, struct unix_files, link);

		list_del(&f->link);
		unix_files_free(f);
	}
	if (peer)
		unix_put(peer);
	unix_put(u);
}

static void row_fill(struct unix_row *r, struct unix_sock *u)
{
	static const unsigned states[] = { [UNIX_NEW] = 1, [UNIX_CONNECTING] = 2, [UNIX_CONNECTED] = 3, [UNIX_LISTENING] = 1 };

	memset(r, 0, sizeof(*r));
	mutex_lock(&u->lock);
	r->refs = atomic_load_explicit(&u->refs, memory_order_relaxed) + 1; /* on Linux its file holds two */
	r->type = (unsigned)u->base.type;
	r->state = unix_is_dgram(u) && unix_peer(u) ? 3 : states[u->state];
	r->listening = u->state == UNIX_LISTENING;
	r->ino = u->closed ? 0 : u->base.ino;
	if (u->addr.len > UNIX_PATH_OFFSET) {
		r->name_len = MIN(u->addr.len - UNIX_PATH_OFFSET, (unsigned)sizeof(r->name));
		memcpy(r->name, u->addr.bytes + UNIX_PATH_OFFSET, r->name_len);
		if (r->name[0])
			r->name_len = (unsigned)strnlen(r->name, r->name_len);
		for (unsigned i = 0; i < r->name_len; i++)
			if (!r->name[i])
				r->name[i] = '@';
	}
	mutex_unlock(&u->lock);
}

struct unix_row *unix_rows(unsigned *n)
{
	struct unix_row *rows = NULL;
	struct unix_sock *u;
	unsigned count = 0, max = 0;

	*n = 0;
	do { /* counted first; filled in the next round, unless there are more by then */
		kfree(rows);
		max = count + 16;
		rows = kmalloc(max * sizeof(*rows));
		if (!rows)
			return NULL;
		count = 0;
		mutex_lock(&all_lock);
		list_for_each(u, &all, all_link) {
			if (count < max)
				row_fill(&rows[count], u);
			count++;
		}
		mutex_unlock(&all_lock);
	} while (count > max);
	*n = count;
	return rows;
}

/* --- connections ------------------------------------------------------------------------------------ */

/* Makes a's rx side ready to receive from `peer` and holds the peer; not for datagrams. lock of a held or a still private. */
static void unix_link(struct unix_sock *a, struct unix_sock *peer, struct socket_ucred cred)
{
	unix_get(peer);
	a->peer_cred = cred;
	a->state = UNIX_CONNECTED;
	atomic_store_explicit(&a->peer, peer, memory_order_release);
}

static int unix_ring(struct unix_sock *u)
{
	return unix_is_stream(u) ? bytering_init(&u->ring, UNIX_RING_PAGES) : 0;
}

static int unix_pair(struct socket *sa, struct socket *sb)
{
	struct unix_sock *a = unix_of(sa), *b = unix_of(sb);

	if (unix_is_dgram(a)) {
		dgram_change_peer(a, NULL, b);
		dgram_change_peer(b, NULL, a);
		return 0;
	}
	if (unix_ring(a) || unix_ring(b))
		return -ENOMEM;
	unix_link(a, b, unix_cred());
	unix_link(b, a, unix_cred());
	return 0;
}

static int unix_listen(struct socket *s, int backlog)
{
	struct unix_sock *u = unix_of(s);
	int r = 0;

	if (unix_is_dgram(u))
		return -EOPNOTSUPP;
	mutex_lock(&u->lock);
	if (!u->addr.len || (u->state != UNIX_NEW && u->state != UNIX_LISTENING)) {
		r = -EINVAL;
	} else {
		u->state = UNIX_LISTENING;
		u->backlog = backlog;
		u->peer_cred = unix_cred();
		s->listening = true;
		waitq_wake_all(&u->room, 0); /* connects that waited for a longer list */
	}
	mutex_unlock(&u->lock);
	return r;
}

/*
 * Puts the child on the list of a listener, waiting while that is full. 0 or -errno; *cred and child->addr
 * are then the listener's.
 */
static int listener_enqueue(struct unix_sock *l, struct unix_sock *child, uint64_t deadline,
			    struct socket_ucred *cred)
{
	int r = 0;

	mutex_lock(&l->lock);
	for (;;) {
		if (l->closed || l->state != UNIX_LISTENING || l->rx_closed) {
			r = -ECONNREFUSED;
			break;
		}
		if (l->npending <= l->backlog) {
			child->addr = l->addr;
			*cred = l->peer_cred;
			list_push_back(&l->pending, &child->pending_link);
			l->npending++;
			waitq_wake(&l->readers, 1, EVENTS_IN);
			break;
		}
		if (deadline == 0) {
			r = -EAGAIN;
			break;
		}
		r = waitq_wait(&l->room, &l->lock, deadline, true);
		if (r && l->npending > l->backlog) {
			r = socket_interrupted(r, deadline);
			break;
		}
	}
	mutex_unlock(&l->lock);
	return r;
}

static int unix_connect_stream(struct unix_sock *u, const struct socket_addr *addr, int flags)
{
	uint64_t deadline = socket_deadline(u->base.send_timeout_ns, flags);
	struct unix_sock *l, *child;
	struct socket_ucred cred = { 0 };
	struct socket *fresh;
	int r;

	l = unix_name_find(addr, u->base.type);
	if (IS_ERR(l))
		return PTR_ERR(l);
	fresh = unix_create(u->base.type, 0);
	if (IS_ERR(fresh)) {
		unix_put(l);
		return PTR_ERR(fresh);
	}
	child = unix_of(fresh);
	child->embryo = true;
	mutex_lock(&u->lock);
	if (u->state == UNIX_CONNECTED)
		r = -EISCONN;
	else if (u->state == UNIX_CONNECTING)
		r = -EALREADY;
	else if (u->state != UNIX_NEW)
		r = -EINVAL;
	else
		r = unix_ring(child) || (!u->ring.pages && unix_ring(u)) ? -ENOMEM : 0;
	if (!r)
		u->state = UNIX_CONNECTING;
	mutex_unlock(&u->lock);
	if (r)
		goto out;

	/* The child's half is complete before an accept can see it. */
	unix_link(child, u, unix_cred());
	unix_get(child);
	r = listener_enqueue(l, child, deadline, &cred);
	mutex_lock(&u->lock);
	if (r) {
		u->state = UNIX_NEW;
	} else {
		unix_link(u, child, cred);
		waitq_wake_all(&u->readers, EVENTS_OUT); /* its poll entries hang there */
	}
	mutex_unlock(&u->lock);
	unix_put(child);
	if (!r) {
		unix_put(l);
		return 0;
	}
	/* Nobody saw the child: undo without telling u, which is still unconnected. */
	atomic_store_explicit(&child->peer, NULL, memory_order_relaxed);
	unix_put(u);
out:
	unix_release(fresh);
	unix_put(l);
	return r;
}

static int unix_connect_dgram(struct unix_sock *u, const struct socket_addr *addr)
{
	struct unix_sock *peer = NULL, *other;

	if (addr->family != AF_UNSPEC) {
		peer = unix_name_find(addr, u->base.type);
		if (IS_ERR(peer))
			return PTR_ERR(peer);
		other = unix_peer(peer);
		if (other && other != u) { /* it talks to somebody else only */
			unix_put(peer);
			return -EPERM;
		}
	}
	dgram_change_peer(u, NULL, peer);
	if (peer)
		unix_put(peer);
	return 0;
}

static int unix_connect(struct socket *s, const struct socket_addr *addr, int flags)
{
	struct unix_sock *u = unix_of(s);

	if (addr->len < sizeof(addr->family))
		return -EINVAL;
	if (unix_is_dgram(u))
		return unix_connect_dgram(u, addr);
	return unix_connect_stream(u, addr, flags);
}

static struct socket *unix_accept(struct socket *s, int flags)
{
	struct unix_sock *u = unix_of(s), *child = NULL;
	uint64_t deadline = socket_deadline(s->recv_timeout_ns, flags);
	int r = 0;

	if (unix_is_dgram(u))
		return ERR_PTR(-EOPNOTSUPP);
	mutex_lock(&u->lock);
	for (;;) {
		if (u->state != UNIX_LISTENING) {
			r = -EINVAL;
			break;
		}
		if (!list_empty(&u->pending)) {
			child = list_first(&u->pending, struct unix_sock, pending_link);
			list_del(&child->pending_link);
			u->npending--;
			waitq_wake(&u->room, 1, EVENTS_OUT);
			break;
		}
		if (u->rx_closed) {
			r = -EINVAL;
			break;
		}
		if (deadline == 0) {
			r = -EAGAIN;
			break;
		}
		r = waitq_wait(&u->readers, &u->lock, deadline, true);
		if (r && list_empty(&u->pending)) {
			r = socket_interrupted(r, deadline);
			break;
		}
	}
	mutex_unlock(&u->lock);
	if (!child)
		return ERR_PTR(r);
	child->embryo = false;
	return &child->base;
}

static int unix_shutdown(struct socket *s, int how)
{
	struct unix_sock *u = unix_of(s), *peer;
	bool read = how == SHUT_RD || how == SHUT_RDWR;
	bool write = how == SHUT_WR || how == SHUT_RDWR;

	mutex_lock(&u->lock);
	peer = unix_peer(u);
	if (unix_is_dgram(u)) {
		u->tx_closed |= write;
		if (read)
			unix_close_rx(u);
		peer = NULL; /* it may hear from others */
	} else if (read) {
		unix_close_rx(u);
	}
	mutex_unlock(&u->lock);
	if (peer && write) {
		mutex_lock(&peer->lock);
		unix_close_rx(peer);
		mutex_unlock(&peer->lock);
		/* Both directions may be closed now, which is news for our own pollers too. */
		mutex_lock(&u->lock);
		waitq_wake(&u->readers, 0, EVENTS_OUT | EPOLLHUP);
		mutex_unlock(&u->lock);
	}
	if (read)
		unix_tell_senders(u, EVENTS_OUT | EPOLLHUP);
	return 0;
}

static int unix_getname(struct socket *s, struct socket_addr *addr, enum socket_whose whose)
{
	struct unix_sock *u = unix_of(s), *peer = NULL;

	if (whose != SOCKET_OWN) {
		u = peer = unix_peer_get(u);
		if (!peer)
			return -ENOTCONN;
	}
	mutex_lock(&u->lock);
	*addr = u->addr;
	mutex_unlock(&u->lock);
	if (peer)
		unix_put(peer);
	if (!addr->len) {
		addr->family = AF_UNIX;
		addr->len = sizeof(addr->family);
	}
	return 0;
}

/* --- readiness, options -------------------------------------------------------------------------------- */

static bool unix_has_room(const struct unix_sock *to)
{
	return to->rx_closed || (unix_is_stream(to) ? stream_has_room(to, UNIX_ROOM) : !messages_full(to));
}

static unsigned unix_poll(struct socket *s, struct poll_table *pt)
{
	struct unix_sock *u = unix_of(s), *peer;
	bool connected, listening, rx_closed, tx_closed, room = true;
	unsigned events = 0;

	mutex_lock(&u->lock);
	poll_attach(pt, &u->readers, &u->lock);
	peer = unix_peer(u);
	listening = u->state == UNIX_LISTENING;
	connected = u->state == UNIX_CONNECTED;
	rx_closed = u->rx_closed;
	tx_closed = u->tx_closed;
	if (bytering_used(&u->ring) || !list_empty(&u->messages) || !list_empty(&u->pending))
		events |= EPOLLIN | EPOLLRDNORM;
	/* peer->lock is not taken inside ours; the reference keeps it meanwhile. */
	if (peer)
		unix_get(peer);
	mutex_unlock(&u->lock);
	if (peer) {
		mutex_lock(&peer->lock);
		room = unix_has_room(peer);
		if (!unix_is_dgram(u))
			tx_closed = peer->rx_closed;
		mutex_unlock(&peer->lock);
		unix_put(peer);
	}
	if (atomic_load_explicit(&s->error, memory_order_relaxed))
		events |= EPOLLERR;
	if (rx_closed)
		events |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
	if ((rx_closed && tx_closed) || (!unix_is_dgram(u) && !connected && !listening))
		events |= EPOLLHUP;
	if (room && !listening)
		events |= EVENTS_OUT;
	return events;
}

static int unix_getopt(struct socket *s, int level, int name, void *value, unsigned *len)
{
	struct unix_sock *u = unix_of(s);
	struct socket_ucred cred;

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (name != SO_PEERCRED)
		return -ENOPROTOOPT;
	mutex_lock(&u->lock);
	cred = u->peer_cred;
	if (!cred.pid) { /* never connected */
		cred.uid = ~0u;
		cred.gid = ~0u;
	}
	mutex_unlock(&u->lock);
	memcpy(value, &cred, sizeof(cred));
	*len = sizeof(cred);
	return 0;
}

static int unix_setopt(struct socket *s, int level, int name, const void *value, unsigned len)
{
	return level == SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
}

static long unix_ioctl(struct socket *s, unsigned cmd, uaddr_t arg)
{
	struct unix_sock *u = unix_of(s), *peer = NULL;
	struct unix_msg *msg;
	int n = 0;

	if (cmd != FIONREAD && cmd != TIOCOUTQ)
		return -ENOTTY;
	if (u->state == UNIX_LISTENING)
		return -EINVAL;
	if (cmd == TIOCOUTQ) {
		u = peer = unix_peer_get(u);
		if (!peer)
			return put_user(arg, n);
	}
	mutex_lock(&u->lock);
	n = bytering_used(&u->ring);
	list_for_each(msg, &u->messages, link) {
		n += msg->len;
		if (unix_is_dgram(u))
			break;
	}
	mutex_unlock(&u->lock);
	if (peer)
		unix_put(peer);
	return put_user(arg, n);
}

static const struct socket_ops unix_ops = {
	.bind = unix_bind,
	.listen = unix_listen,
	.connect = unix_connect,
	.accept = unix_accept,
	.pair = unix_pair,
	.sendmsg = unix_sendmsg,
	.recvmsg = unix_recvmsg,
	.shutdown = unix_shutdown,
	.getname = unix_getname,
	.setopt = unix_setopt,
	.getopt = unix_getopt,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
	.release = unix_release,
};

const struct socket_family unix_family = {
	.domain = AF_UNIX,
	.create = unix_create,
};
