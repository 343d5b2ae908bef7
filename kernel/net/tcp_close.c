/*
 * kernel/net/tcp_close.c - TCP sockets: shutdown(), connect() to AF_UNSPEC and close().
 *
 * Theory:    shutdown() ends an attempt to connect, takes a listener back to a socket that may listen again, and closes halves of a connection. After
 *            close() the connection goes on for what it still has to send, as an `orphan`; with SO_LINGER the call waits for that, or
 *            resets. Connections that nobody has accepted go with their listener, by a reset.
 * Interface: tcp_private.h
 * Locking:   inet_private.h
 * Errors:    Linux's.
 */
#include "net/tcp_conn.h"
#include "net/tcp_private.h"
#include "core/clock.h"
#include "lib/string.h"
#include "mm/mm.h"

/* --- shutdown() ---------------------------------------------------------------------------------------------------------- */

/* The connections that waited for an accept(), which are the caller's to drop. Core lock and lock held. */
static void pending_take(struct tcp_sock *t, struct list *pending)
{
	struct tcp_sock *child;

	list_for_each(child, &t->deferred, pending_link)
		child->deferred_by = NULL;
	list_splice_back(pending, &t->pending);
	list_splice_back(pending, &t->deferred);
	t->npending = t->ndeferred = 0;
}

/* Resets them. No lock held. */
static void pending_drop(struct list *pending)
{
	while (!list_empty(pending)) {
		struct tcp_sock *child = list_first(pending, struct tcp_sock, pending_link);

		list_del(&child->pending_link);
		atomic_store_explicit(&child->inet.base.linger_seconds, 0, memory_order_relaxed);
		tcp_sock_release(&child->inet.base);
	}
}

/* A listener that is shut down may listen again. Core lock held. */
static void shut_listener(struct tcp_sock *t, struct list *pending)
{
	mutex_lock(&t->inet.lock);
	t->state = TCP_NEW;
	t->inet.base.listening = false;
	pending_take(t, pending);
	waitq_wake_all(&t->inet.readers, EVENTS_IN | EPOLLHUP | EPOLLRDHUP);
	mutex_unlock(&t->inet.lock);
	tcp_conn_drop_half_open(&t->half_open);
	tcp_close(t->pcb);
}

/* As on Linux, an attempt to connect ends, whichever direction was meant, and the socket may try again. Core lock held. */
static void shut_attempt(struct tcp_sock *t)
{
	mutex_lock(&t->inet.lock);
	t->state = TCP_OVER;
	tcp_start_over(t);
	atomic_store_explicit(&t->inet.base.error, ECONNRESET, memory_order_release);
	waitq_wake_all(&t->inet.readers, EVENTS_OUT | EPOLLERR | EPOLLHUP);
	waitq_wake_all(&t->inet.writers, 0);
	mutex_unlock(&t->inet.lock);
	tcp_conn_enter(t->pcb);
	tcp_err(t->pcb, NULL);
	tcp_abandon(t->pcb, t->pcb->state != SYN_SENT);
}

/* Core lock held. */
static void shut_connection(struct tcp_sock *t, bool rx, bool tx)
{
	mutex_lock(&t->inet.lock);
	t->inet.rx_shut |= rx;
	t->inet.tx_shut |= tx;
	waitq_wake_all(&t->inet.readers, (rx ? EVENTS_IN | EPOLLRDHUP : 0) | EVENTS_OUT |
			(t->inet.tx_shut && (t->inet.rx_shut || t->rx_end_seen) ? EPOLLHUP : 0));
	waitq_wake_all(&t->inet.writers, 0);
	mutex_unlock(&t->inet.lock);
	if (tx && t->pcb) {
		tcp_conn_enter(t->pcb);
		tcp_shutdown(t->pcb, 0, 1);
	}
}

int tcp_sock_shutdown(struct socket *s, int how)
{
	struct tcp_sock *t = tcp_sock(s);
	bool rx = how != SHUT_WR, tx = how != SHUT_RD;
	struct list pending;
	int r = 0;

	list_init(&pending);
	net_lock();
	switch (t->state) {
	case TCP_LISTENING:
		/* It sends nothing anyway. */
		if (rx)
			shut_listener(t, &pending);
		break;
	case TCP_CONNECTING: shut_attempt(t); break;
	case TCP_CONNECTED: shut_connection(t, rx, tx); break;
	default:
		/* Linux remembers it all the same. */
		mutex_lock(&t->inet.lock);
		t->inet.rx_shut |= rx && t->state == TCP_NEW;
		mutex_unlock(&t->inet.lock);
		r = -ENOTCONN;
	}
	net_unlock();
	pending_drop(&pending);
	return r;
}

/* --- connect() to AF_UNSPEC ---------------------------------------------------------------------------------------------- */

/* Does the peer still count on the connection? */
static bool is_open(const struct tcp_pcb *pcb)
{
	return pcb && (pcb->state == SYN_SENT || pcb->state == SYN_RCVD || pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT ||
		       pcb->state == FIN_WAIT_1 || pcb->state == FIN_WAIT_2);
}

/* The socket is as new, without what was received, which is the caller's to free. Core lock and lock held. */
static struct pbuf *renew(struct tcp_sock *t)
{
	struct pbuf *unread = t->rx;

	t->state = TCP_NEW;
	t->attempt = t->success_told = t->linger_waits = t->poll_wanted = false;
	t->soft_error = 0;
	t->bytes_received = t->bytes_acked = 0;
	t->inet.remote = inet_unspecified(&t->inet);
	t->inet.rx_shut = t->inet.tx_shut = false;
	t->rx = NULL;
	t->rx_end = &t->rx;
	t->rx_bytes = t->rx_skip = 0;
	t->rx_end_seen = t->rx_late = false;
	t->room = 0;
	t->wnd_debt = t->wnd_held = t->wnd_read = 0;
	return unread;
}

int tcp_disconnect(struct tcp_sock *t)
{
	struct pbuf *unread;
	struct list pending;
	bool open;

	list_init(&pending);
	net_lock();
	if (t->state == TCP_LISTENING)
		shut_listener(t, &pending);
	open = is_open(t->pcb);
	mutex_lock(&t->inet.lock);
	unread = renew(t);
	if (open)
		atomic_store_explicit(&t->inet.base.error, ECONNRESET, memory_order_release);
	waitq_wake_all(&t->inet.readers, EVENTS_OUT | EPOLLHUP | (open ? EPOLLERR : 0));
	waitq_wake_all(&t->inet.writers, 0);
	mutex_unlock(&t->inet.lock);
	if (t->pcb && t->pcb->state != CLOSED) {
		tcp_conn_enter(t->pcb);
		tcp_err(t->pcb, NULL);
		tcp_abandon(t->pcb, open && t->pcb->state != SYN_SENT);
	}
	tcp_data_settle(t);
	tcp_pbufs_free(unread);
	if (!t->pcb)
		tcp_name_reset(t);
	net_unlock();
	pending_drop(&pending);
	return 0;
}

/* --- close() ------------------------------------------------------------------------------------------------------------- */

/* Lets go of the connection; lwIP brings it to its end. Core lock held. */
static void pcb_close(struct tcp_sock *t, bool reset)
{
	struct tcp_pcb *pcb = t->pcb;

	if (pcb->state == LISTEN)
		tcp_conn_drop_half_open(&t->half_open);
	else
		tcp_conn_enter(pcb);
	if (reset && pcb->state != LISTEN) {
		tcp_abort(pcb);
		return;
	}
	if (pcb->state != LISTEN) {
		/* lwIP takes a window that is not open for unread data; there is none. */
		pcb->rcv_wnd = TCP_WND_MAX(pcb);
		tcp_recv(pcb, NULL);
		tcp_err(pcb, NULL);
	}
	/* An error would mean no memory for the FIN, and lwIP tries that again by itself. */
	tcp_close(pcb);
}

void tcp_linger_end(struct tcp_sock *t)
{
	mutex_lock(&t->inet.lock);
	t->linger_waits = false;
	waitq_wake_all(&t->inet.writers, 0);
	mutex_unlock(&t->inet.lock);
}

static void linger(struct tcp_sock *t, int seconds)
{
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)seconds * NSEC_PER_SEC;

	mutex_lock(&t->inet.lock);
	while (t->linger_waits && waitq_wait(&t->inet.writers, &t->inet.lock, deadline, true) == 0)
		;
	mutex_unlock(&t->inet.lock);
}

void tcp_sock_release(struct socket *s)
{
	struct tcp_sock *t = tcp_sock(s);
	int seconds = atomic_load_explicit(&s->linger_seconds, memory_order_relaxed);
	struct pbuf *unread;
	struct list pending;
	bool reset;

	list_init(&pending);
	net_lock();
	t->orphan = true;
	mutex_lock(&t->inet.lock);
	t->linger_waits = seconds > 0 && t->pcb && t->state != TCP_LISTENING;
	t->state = TCP_OVER;
	pending_take(t, &pending);
	/* A connection that is dropped with bytes unread is reset, so that the peer learns of it (RFC 2525, section 2.17). */
	reset = t->rx_bytes || seconds == 0;
	unread = t->rx;
	t->rx = NULL;
	t->rx_end = &t->rx;
	t->rx_bytes = 0;
	mutex_unlock(&t->inet.lock);
	tcp_data_settle(t);
	if (t->pcb)
		pcb_close(t, reset);
	else if (t->bound.port)
		inet_port_release(&t->inet);
	tcp_pbufs_free(unread);
	net_unlock();
	if (seconds > 0)
		linger(t, seconds);
	pending_drop(&pending);
	tcp_sock_put(t);
}
