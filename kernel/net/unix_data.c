/*
 * kernel/net/unix_data.c - what AF_UNIX sockets send and receive. Theory and locking: unix.c.
 */
#include "net/unix_private.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/socket.h>

/* --- sending ---------------------------------------------------------------------------------------- */

/* Takes the files of the message over. NULL if there are none; an encoded error. */
static struct unix_files *files_take(struct socket_msg *m)
{
	struct unix_files *f;

	if (!m->nfiles)
		return NULL;
	f = kmalloc(sizeof(*f) + m->nfiles * sizeof(f->files[0]));
	if (!f)
		return ERR_PTR(-ENOMEM);
	f->n = m->nfiles;
	memcpy(f->files, m->files, m->nfiles * sizeof(f->files[0]));
	list_init(&f->link);
	m->nfiles = 0;
	return f;
}

/* Moves what fits from the message into the ring. Bytes, or -errno if none. */
static ssize_t ring_fill(struct bytering *ring, struct socket_msg *m)
{
	size_t done = 0, len;
	uaddr_t base;

	while (bytering_space(ring) && socket_msg_piece(m, &base, &len)) {
		ssize_t n = bytering_put(ring, base, len);

		if (n < 0)
			return done ? (ssize_t)done : n;
		socket_msg_advance(m, n);
		done += n;
	}
	return done;
}

static ssize_t unix_send_stream(struct unix_sock *u, struct socket_msg *m, int flags)
{
	uint64_t deadline = socket_deadline(u->base.send_timeout_ns, flags);
	struct unix_sock *peer = unix_peer(u);
	struct unix_files *files;
	ssize_t done = 0, r = 0;

	if (m->addr && m->addr->len)
		return peer ? -EISCONN : -EOPNOTSUPP;
	if (!peer)
		return -ENOTCONN;
	if (m->len == 0)
		return 0;
	files = files_take(m);
	if (IS_ERR(files))
		return PTR_ERR(files);
	mutex_lock(&peer->lock);
	for (;;) {
		if (peer->rx_closed) {
			r = -EPIPE;
			break;
		}
		if (stream_has_room(peer, 1)) {
			uint64_t start = peer->ring.head;

			r = ring_fill(&peer->ring, m);
			if (r < 0)
				break;
			if (files) {
				files->start = start;
				files->end = start + r;
				list_push_back(&peer->marks, &files->link);
				peer->nmarks++;
				files = NULL;
			}
			done += r;
			waitq_wake(&peer->readers, 1, EVENTS_IN);
			if ((size_t)done == m->len)
				break;
			continue;
		}
		if (deadline == 0) {
			r = -EAGAIN;
			break;
		}
		r = waitq_wait(&peer->room, &peer->lock, deadline, true);
		if (r && !peer->rx_closed && !stream_has_room(peer, 1)) {
			r = socket_interrupted(r, deadline);
			break;
		}
	}
	if (stream_has_room(peer, UNIX_ROOM))
		waitq_wake(&peer->room, 1, 0);
	mutex_unlock(&peer->lock);
	unix_files_free(files);
	return done ? done : r;
}

/* Notes the sender's name, if it has one. 0 or -ENOBUFS. */
static int message_from(struct unix_sock *u, struct unix_msg *msg)
{
	if (!u->addr.len)
		return 0;
	msg->from = kmalloc(sizeof(*msg->from));
	if (!msg->from)
		return -ENOBUFS;
	mutex_lock(&u->lock); /* a bind may be writing it */
	*msg->from = u->addr;
	mutex_unlock(&u->lock);
	return 0;
}

/* A record with the message's bytes, or an encoded error. */
static struct unix_msg *message_new(struct unix_sock *u, struct socket_msg *m)
{
	struct unix_msg *msg;
	int r;

	if (m->len > UNIX_MESSAGE_MAX - 32)
		return ERR_PTR(-EMSGSIZE);
	msg = kmalloc(sizeof(*msg) + m->len);
	if (!msg)
		return ERR_PTR(-ENOBUFS);
	list_init(&msg->link);
	msg->len = m->len;
	msg->cred = unix_cred();
	msg->files = NULL;
	msg->from = NULL;
	r = socket_msg_get(m, msg->data, m->len);
	if (!r)
		r = message_from(u, msg);
	if (!r) {
		msg->files = files_take(m);
		if (IS_ERR(msg->files)) {
			r = PTR_ERR(msg->files);
			msg->files = NULL;
		}
	}
	if (r) {
		unix_msg_free(msg);
		return ERR_PTR(r);
	}
	return msg;
}

/* Taken before its files are. */
static size_t message_cost(const struct unix_msg *msg)
{
	return msg->len + UNIX_RESERVE + (msg->files ? msg->files->n * sizeof(msg->files->files[0]) : 0);
}

/* What keeps u from sending to `to` for good: 0 or -errno. to->lock held. */
static int message_refused(struct unix_sock *u, struct unix_sock *to)
{
	struct unix_sock *other = unix_peer(to);

	if (unix_is_dgram(u) && to->closed)
		return -ECONNREFUSED;
	if (to->rx_closed)
		return -EPIPE;
	if (unix_is_dgram(u) && other && other != u)
		return -EPERM;
	return 0;
}

static ssize_t message_deliver(struct unix_sock *u, struct unix_sock *to, struct socket_msg *m, int flags)
{
	uint64_t deadline = socket_deadline(u->base.send_timeout_ns, flags);
	struct unix_msg *msg = message_new(u, m);
	size_t len = m->len;
	int r;

	if (IS_ERR(msg))
		return PTR_ERR(msg);
	mutex_lock(&to->lock);
	for (;;) {
		r = message_refused(u, to);
		if (r)
			break;
		if (!messages_full(to)) {
			list_push_back(&to->messages, &msg->link);
			to->queued += message_cost(msg);
			msg = NULL;
			waitq_wake(&to->readers, 1, EVENTS_IN);
			break;
		}
		r = -EAGAIN;
		if (deadline == 0)
			break;
		r = waitq_wait(&to->room, &to->lock, deadline, true);
		if (r && !message_refused(u, to) && messages_full(to)) {
			r = socket_interrupted(r, deadline);
			break;
		}
	}
	mutex_unlock(&to->lock);
	if (msg)
		unix_msg_free(msg);
	return r ? r : (ssize_t)len;
}

/* The receiver of a datagram, referenced, or an encoded error. */
static struct unix_sock *dgram_receiver(struct unix_sock *u, struct socket_msg *m)
{
	struct unix_sock *to;
	bool tx_closed;

	if (m->addr && m->addr->len)
		to = unix_name_find(m->addr, SOCK_DGRAM);
	else
		to = NULL;
	if (IS_ERR(to))
		return to;
	mutex_lock(&u->lock);
	tx_closed = u->tx_closed;
	if (!to) {
		to = unix_peer(u);
		if (to)
			unix_get(to);
	}
	mutex_unlock(&u->lock);
	if (!to)
		return ERR_PTR(-ENOTCONN);
	if (tx_closed) {
		unix_put(to);
		return ERR_PTR(-EPIPE);
	}
	return to;
}

ssize_t unix_sendmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct unix_sock *u = unix_of(s), *to;
	ssize_t r;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (unix_is_stream(u))
		return unix_send_stream(u, m, flags);
	r = socket_take_error(s);
	if (r)
		return r;
	if (!unix_is_dgram(u)) {
		to = unix_peer(u);
		return to ? message_deliver(u, to, m, flags) : -ENOTCONN;
	}
	to = dgram_receiver(u, m);
	if (IS_ERR(to))
		return PTR_ERR(to);
	r = message_deliver(u, to, m, flags);
	if (r == -ECONNREFUSED)
		unix_dgram_forget(u, to);
	unix_put(to);
	return r;
}

/* --- receiving --------------------------------------------------------------------------------------- */

/* Hands files to the receiver; with peek they stay as well. */
static void files_give(struct unix_files *f, struct socket_msg *m, bool peek)
{
	if (!m->files) {
		m->flags |= MSG_CTRUNC;
	} else {
		memcpy(m->files, f->files, f->n * sizeof(f->files[0]));
		m->nfiles = f->n;
		if (peek)
			for (unsigned i = 0; i < f->n; i++)
				file_get(f->files[i]);
		else
			f->n = 0;
	}
}

static void cred_give(struct unix_sock *u, struct socket_msg *m, struct socket_ucred cred)
{
	if (socket_option_on(&u->base, SO_PASSCRED)) {
		m->cred = cred;
		m->has_cred = true;
	}
}

/* Copies at most `limit` bytes out; with peek they stay. Bytes or -EFAULT. */
static ssize_t ring_drain(struct bytering *ring, struct socket_msg *m, size_t limit, bool peek)
{
	size_t done = 0, len;
	uaddr_t base;

	while (done < limit && socket_msg_piece(m, &base, &len)) {
		ssize_t n;

		len = MIN(len, limit - done);
		n = peek ? bytering_peek(ring, done, base, len) : bytering_get(ring, base, len);
		if (n < 0)
			return done ? (ssize_t)done : n;
		socket_msg_advance(m, n);
		done += n;
		if ((size_t)n < len)
			break;
	}
	return done;
}

/*
 * Nothing to read: waits until there may be. A sender that polls is told of the room made so far first, since what is awaited may be its.
 * 0 to look again, 1 at the end, or -errno. lock held, and released in between.
 */
static int stream_wait(struct unix_sock *u, uint64_t deadline, bool *made_room)
{
	int r = socket_take_error(&u->base);

	if (r)
		return r;
	if (u->rx_closed)
		return 1;
	if (deadline == 0)
		return -EAGAIN;
	if (*made_room) {
		mutex_unlock(&u->lock);
		unix_tell_senders(u, EVENTS_OUT);
		mutex_lock(&u->lock);
		*made_room = false;
		return 0;
	}
	r = waitq_wait(&u->readers, &u->lock, deadline, true);
	if (r && !bytering_used(&u->ring))
		return socket_interrupted(r, deadline);
	return 0;
}

/*
 * Takes what is there. When that begins the bytes that came with descriptors, these are handed over and
 * *files receives what then has to be freed; the read ends there. Bytes or -EFAULT.
 */
static ssize_t stream_take(struct unix_sock *u, struct socket_msg *m, bool peek, struct unix_files **files)
{
	struct unix_files *f = list_empty(&u->marks) ? NULL :
						       list_first(&u->marks, struct unix_files, link);
	uint64_t tail = u->ring.tail;
	ssize_t n;

	n = ring_drain(&u->ring, m, f ? f->end - tail : bytering_used(&u->ring), peek);
	if (n > 0 && f && tail + n > f->start) {
		files_give(f, m, peek);
		if (!peek) {
			list_del(&f->link);
			u->nmarks--;
			*files = f;
		}
	}
	return n;
}

static ssize_t unix_receive_stream(struct unix_sock *u, struct socket_msg *m, int flags)
{
	uint64_t deadline = socket_deadline(u->base.recv_timeout_ns, flags);
	bool peek = flags & MSG_PEEK, made_room = false;
	size_t want = peek ? MIN(m->len, (size_t)1) : socket_least(&u->base, m->len, flags), done = 0;
	struct unix_files *files = NULL;
	ssize_t r = 0;

	mutex_lock(&u->lock);
	if (u->state != UNIX_CONNECTED) {
		mutex_unlock(&u->lock);
		return -EINVAL;
	}
	while (done < want && !files) {
		bool had_room = stream_has_room(u, UNIX_ROOM);

		if (!bytering_used(&u->ring)) {
			r = done && atomic_load_explicit(&u->base.error, memory_order_relaxed) ?
				    1 : stream_wait(u, deadline, &made_room);
			if (r)
				break;
			continue;
		}
		r = stream_take(u, m, peek, &files);
		if (r < 0)
			break;
		done += r;
		if (peek)
			break;
		if (stream_has_room(u, UNIX_ROOM)) {
			waitq_wake(&u->room, 1, 0);
			made_room |= !had_room;
		}
	}
	if (bytering_used(&u->ring))
		waitq_wake(&u->readers, 1, 0);
	cred_give(u, m, u->peer_cred);
	mutex_unlock(&u->lock);
	unix_files_free(files); /* those that were not wanted */
	if (made_room)
		unix_tell_senders(u, EVENTS_OUT);
	if (done || r == 1)
		return done;
	return r;
}

/* The first record, waiting for it. NULL: the end of the connection. lock held. */
static struct unix_msg *message_wait(struct unix_sock *u, uint64_t deadline)
{
	int r;

	while (list_empty(&u->messages)) {
		r = socket_take_error(&u->base);
		if (r)
			return ERR_PTR(r);
		if (u->rx_closed)
			return NULL;
		if (deadline == 0)
			return ERR_PTR(-EAGAIN);
		r = waitq_wait(&u->readers, &u->lock, deadline, true);
		if (r && list_empty(&u->messages))
			return ERR_PTR(socket_interrupted(r, deadline));
	}
	return list_first(&u->messages, struct unix_msg, link);
}

static ssize_t unix_receive_message(struct unix_sock *u, struct socket_msg *m, int flags)
{
	uint64_t deadline = socket_deadline(u->base.recv_timeout_ns, flags);
	bool peek = flags & MSG_PEEK, made_room = false;
	struct unix_msg *msg;
	size_t n, cost;
	int r;

	mutex_lock(&u->lock);
	if (!unix_is_dgram(u) && u->state != UNIX_CONNECTED) {
		mutex_unlock(&u->lock);
		return -ENOTCONN;
	}
	msg = message_wait(u, deadline);
	if (IS_ERR(msg) || !msg) {
		mutex_unlock(&u->lock);
		return msg ? PTR_ERR(msg) : 0;
	}
	cost = message_cost(msg);
	n = MIN(msg->len, m->len);
	r = socket_msg_put(m, msg->data, n);
	if (n < msg->len)
		m->flags |= MSG_TRUNC;
	if (msg->from && m->addr)
		*m->addr = *msg->from;
	if (!r && msg->files)
		files_give(msg->files, m, peek);
	cred_give(u, m, msg->cred);
	if (flags & MSG_TRUNC)
		n = msg->len;
	if (peek) {
		msg = NULL;
	} else {
		made_room = messages_full(u);
		list_del(&msg->link);
		u->queued -= cost;
		made_room &= !messages_full(u);
		if (made_room)
			waitq_wake_all(&u->room, 0);
		if (!list_empty(&u->messages))
			waitq_wake(&u->readers, 1, 0);
	}
	mutex_unlock(&u->lock);
	if (msg)
		unix_msg_free(msg);
	if (made_room)
		unix_tell_senders(u, EVENTS_OUT);
	return r ? r : (ssize_t)n;
}

ssize_t unix_recvmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct unix_sock *u = unix_of(s);

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	return unix_is_stream(u) ? unix_receive_stream(u, m, flags) : unix_receive_message(u, m, flags);
}

/* --- freeing ------------------------------------------------------------------------------------------ */

void unix_files_free(struct unix_files *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < f->n; i++)
		file_put(f->files[i]);
	kfree(f);
}

void unix_msg_free(struct unix_msg *m)
{
	unix_files_free(m->files);
	kfree(m->from);
	kfree(m);
}
