/*
 * kernel/net/tcp_data.c - bytes through TCP connections.
 *
 * Theory:    Receiving. lwIP hands over pbufs that point into the driver's buffers; they are queued at the socket as they are. A read
 *            copies from them to the application, once, with the socket's lock only. What has been read is freed, and the window opened,
 *            by whoever holds the core lock next for this socket: the next send, or the read itself when it has gathered
 *            enough (RX_READ_MAX buffers, or a part of the window). So a request and its answer take the core lock once.
 *            Sending. The bytes are copied into a chunk without any lock. Small chunks are copied once more into lwIP's
 *            segments, which fill up; segments of large ones point into the chunk, which is freed when the peer has
 *            acknowledged its last byte.
 *            Memory. While the network holds too much (net_memory_short()) windows are not opened; lwIP's poll callback looks
 *            again, so that no connection stands still for ever.
 * Locking:   inet_private.h. Copies from and to the application happen under the socket's lock at most.
 * Errors:    Linux's.
 */
#include "net/tcp_conn.h"
#include "net/tcp_private.h"
#include "core/clock.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/socket.h>

#define CHUNK_MAX 32704        /* lwIP takes less than 64 KiB; with the header, 32 KiB */
#define TCP_OPTION_BYTES_MAX 40
#define CHUNK_COPIED 1024      /* up to here lwIP copies */
#define RX_READ_MAX 8
#define WRITABLE_PART 3        /* of the send buffer: room from which on poll() calls it writable */
#define WINDOW_STEP 16384      /* bytes that have been read: the window is opened by them */
#define WINDOW_FIRST 65535     /* of a connection */
#define SEND_START 98304       /* bytes that a new connection may have under way */
#define NAGLE_SEGMENTS 4       /* under way, from which on a small one waits for others */
#define SHORT_LIMIT 16384      /* bytes that a socket may have under way while the network's memory is short */
#define SHORT_WINDOW (2 * TCP_MSS) /* the window of one that has been read, then */

/* --- the window ---------------------------------------------------------------------------------------------- */

/* Half of what is recorded is for what surrounds the bytes, as on Linux. A peer without window scaling can be told of 64 KiB. */
unsigned tcp_window_limit(const struct tcp_sock *t)
{
	unsigned most = t->pcb && t->pcb->state != LISTEN ? TCP_WND_MAX(t->pcb) : TCP_WND;

	return t->rcvbuf_set ? MIN(t->inet.base.rcvbuf / 2u, most) : most;
}

/* The window in which what SO_RCVLOWAT waits for is half. */
static unsigned window_of_least(const struct tcp_sock *t)
{
	return (unsigned)MIN(2 * (uint64_t)t->inet.base.rcvlowat, (uint64_t)tcp_window_limit(t));
}

/* A connection that nobody reads shall not hold much. */
static unsigned window_first(const struct tcp_sock *t)
{
	return t->rcvbuf_set ? tcp_window_limit(t) : MIN(tcp_window_limit(t), MAX((unsigned)WINDOW_FIRST, window_of_least(t)));
}

/* Whoever reads a window gets one that is twice as large. Bytes by which it has grown. inet.lock held. */
static size_t window_grow(struct tcp_sock *t, size_t read)
{
	unsigned more = MIN(t->wnd_limit, tcp_window_limit(t) - MIN(t->wnd_limit, tcp_window_limit(t)));

	t->wnd_read += read;
	if (t->rcvbuf_set || !more || t->wnd_read < t->wnd_limit)
		return 0;
	t->wnd_read = 0;
	t->wnd_limit += more;
	return more;
}

void tcp_window_start(struct tcp_sock *t, struct tcp_pcb *pcb)
{
	t->wnd_limit = window_first(t);
	pcb->rcv_wnd = MIN(pcb->rcv_wnd, (tcpwnd_size_t)t->wnd_limit);
	pcb->rcv_ann_wnd = MIN(pcb->rcv_ann_wnd, pcb->rcv_wnd);
}

static void window_set(struct tcp_sock *t, unsigned limit)
{
	mutex_lock(&t->inet.lock);
	if (limit > t->wnd_limit) {
		size_t more = limit - t->wnd_limit, held = MIN(more, t->wnd_held);

		t->wnd_held -= held;
		t->wnd_debt += more - held;
	} else {
		t->wnd_held += t->wnd_limit - limit;
	}
	t->wnd_limit = limit;
	mutex_unlock(&t->inet.lock);
	tcp_data_settle(t);
}

static bool is_connected(const struct tcp_sock *t) { return t->pcb && t->state == TCP_CONNECTED; }

void tcp_window_change(struct tcp_sock *t)
{
	if (is_connected(t))
		window_set(t, tcp_window_limit(t));
}

void tcp_lowat_set(struct tcp_sock *t, int value)
{
	int most = (int)(tcp_window_limit(t) / 2);

	t->inet.base.rcvlowat = value < 0 ? most : MIN(MAX(value, 1), most);
	if (!is_connected(t))
		return;
	if (window_of_least(t) > t->wnd_limit)
		window_set(t, window_of_least(t));
	mutex_lock(&t->inet.lock);
	waitq_wake_all(&t->inet.readers, tcp_readable(t) ? EVENTS_IN : 0);
	mutex_unlock(&t->inet.lock);
}

/* lwIP announces a window when it has grown by a segment. One that is not much larger than a segment would stay shut. */
static void window_announce(const struct tcp_sock *t)
{
	struct tcp_pcb *pcb = t->pcb;

	if (t->wnd_limit >= 4 * WINDOW_STEP ||
	    pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge < MIN(t->wnd_limit / 2, (unsigned)pcb->mss))
		return;
	pcb->rcv_ann_wnd = pcb->rcv_wnd;
	tcp_ack_now(pcb);
	tcp_output(pcb);
}

/* --- room to send ------------------------------------------------------------------------------------------- */

/*
 * As long as nobody sets a size, it grows with what the peer has shown to take, as on Linux: else some dozens of peers with closed windows would
 * hold all the memory that the network may have. Core lock held.
 */
static size_t send_limit(const struct tcp_sock *t)
{
	size_t shown = MAX((size_t)t->pcb->cwnd * 4, (size_t)SEND_START);

	return MIN(t->sndbuf_set ? (size_t)t->inet.base.sndbuf : shown, (size_t)TCP_SND_BUF);
}

void tcp_room_update(struct tcp_sock *t)
{
	size_t used = TCP_SND_BUF - t->pcb->snd_buf, limit = send_limit(t);

	/* Enough that it goes on. What is sent then is acknowledged, and the question comes again; the poll asks for a peer whose window is shut. */
	if (used > SHORT_LIMIT && net_memory_short()) {
		limit = MIN(limit, (size_t)SHORT_LIMIT);
		t->poll_wanted = true;
	}
	t->send_limit = limit;
	t->room = used < limit && tcp_sndqueuelen(t->pcb) < TCP_SND_QUEUELEN / 2 ? limit - used : 0;
	if (t->notsent_lowat && t->pcb->snd_lbb - t->pcb->snd_nxt >= t->notsent_lowat)
		t->room = 0;
}

bool tcp_writable(const struct tcp_sock *t) { return t->room >= t->send_limit / WRITABLE_PART; }

/* Wakes those who wait for room, if there is some now. Both locks held. */
static void room_changed(struct tcp_sock *t)
{
	tcp_room_update(t);
	if (tcp_writable(t)) {
		waitq_wake_all(&t->inet.writers, 0);
		waitq_wake(&t->inet.readers, 0, EVENTS_OUT);
	}
}

void tcp_room_change(struct tcp_sock *t)
{
	if (!is_connected(t))
		return;
	mutex_lock(&t->inet.lock);
	room_changed(t);
	mutex_unlock(&t->inet.lock);
}

/* --- receiving: from lwIP ---------------------------------------------------------------------------------- */

/* Also where less is there than is waited for, and no more can come: lwIP announces a window in steps of a segment, and a peer fills no smaller one. */
bool tcp_readable(const struct tcp_sock *t)
{
	if (!t->rx_bytes || t->rx_bytes >= (size_t)t->inet.base.rcvlowat)
		return t->rx_bytes;
	return t->rx_bytes + t->wnd_debt + 2 * TCP_MSS >= t->wnd_limit || net_memory_short();
}

err_t tcp_data_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct tcp_sock *t = arg;

	mutex_lock(&t->inet.lock);
	if (!p) {
		t->rx_end_seen = true;
		waitq_wake_all(&t->inet.readers, EVENTS_IN | EPOLLRDHUP | (t->inet.tx_shut ? EPOLLHUP : 0));
	} else {
		*t->rx_end = p;
		t->rx_bytes += p->tot_len;
		t->bytes_received += p->tot_len;
		t->rx_late = false;
		while (*t->rx_end)
			t->rx_end = &(*t->rx_end)->next;
		/* Who only looks must not have the one wake-up. */
		waitq_wake(&t->inet.readers, t->rx_peeks ? ~0u : 1, tcp_readable(t) ? EVENTS_IN : 0);
	}
	mutex_unlock(&t->inet.lock);
	if (t->deferred_by)
		tcp_deferral_end(t);
	if (p) {
		/* By then it has been read, and nobody may have freed it. */
		t->poll_wanted = true;
		/* More than one segment at once, which a device has put together, counts as more (RFC 5681, section 4.2). */
		if (t->ack_at_once || p->tot_len > pcb->mss)
			tcp_ack_now(pcb);
	}
	return ERR_OK;
}

/* --- receiving: to the application --------------------------------------------------------------------------- */

void tcp_pbufs_free(struct pbuf *p)
{
	while (p) {
		struct pbuf *next = p->next;

		p->next = NULL;
		p->tot_len = p->len;
		pbuf_free(p);
		p = next;
	}
}

void tcp_data_settle(struct tcp_sock *t)
{
	struct pbuf *read;
	size_t debt = 0, held;

	mutex_lock(&t->inet.lock);
	read = t->rx_read;
	t->rx_read = NULL;
	t->rx_nread = 0;
	held = MIN(t->wnd_debt, t->wnd_held);
	t->wnd_debt -= held;
	t->wnd_held -= held;
	if (t->pcb && t->wnd_debt && net_memory_short()) {
		/* Who has read everything gets enough to go on: what holds the memory may be what this window keeps from being sent, at the other end of loopback. */
		if (!t->rx_bytes && t->pcb->rcv_wnd < SHORT_WINDOW)
			debt = MIN(t->wnd_debt, (size_t)(SHORT_WINDOW - t->pcb->rcv_wnd));
		t->wnd_debt -= debt;
		t->poll_wanted = true;
		tcp_conn_counters.memory_stalls++;
	} else if (t->pcb) {
		debt = t->wnd_debt + window_grow(t, t->wnd_debt);
		t->wnd_debt = 0;
	}
	mutex_unlock(&t->inet.lock);
	/* The poll may have been asked for, or lwIP is called. */
	if (t->pcb && (debt || t->poll_wanted))
		tcp_conn_enter(t->pcb);
	tcp_pbufs_free(read);
	if (!debt)
		return;
	for (; debt; debt -= MIN(debt, (size_t)UINT16_MAX))
		tcp_recved(t->pcb, (u16_t)MIN(debt, (size_t)UINT16_MAX));
	window_announce(t);
}

err_t tcp_data_poll(void *arg, struct tcp_pcb *pcb)
{
	struct tcp_sock *t = arg;

	t->poll_wanted = false;
	if (t->deferred_by && clock_monotonic_ns() < t->defer_until_ns)
		t->poll_wanted = true;
	else
		tcp_deferral_end(t);
	tcp_data_settle(t);
	mutex_lock(&t->inet.lock);
	t->rx_late = true;
	/*
	 * There was no memory, and maybe nothing is under way whose acknowledgement would tell. A writer that was refused while there was
	 * room goes on with less than room_changed() waits for: a peer whose window is shut makes no more of it.
	 */
	if (t->state == TCP_CONNECTED && !t->room) {
		room_changed(t);
		if (t->room)
			waitq_wake_all(&t->inet.writers, 0);
	}
	/* Less may be enough now than was waited for. */
	if (t->inet.base.rcvlowat > 1 && tcp_readable(t))
		waitq_wake(&t->inet.readers, 0, EVENTS_IN);
	mutex_unlock(&t->inet.lock);
	return ERR_OK;
}

/* Is it time to take the core lock for what has been read? lock held. */
static bool settle_wanted(const struct tcp_sock *t)
{
	return t->rx_nread >= RX_READ_MAX || t->wnd_debt >= MIN((unsigned)WINDOW_STEP, t->wnd_limit / 4) || (t->rx_late && t->rx_nread);
}

/* The first buffer has been read. lock held. */
static void rx_shift(struct tcp_sock *t)
{
	struct pbuf *p = t->rx;

	t->rx = p->next;
	if (!t->rx)
		t->rx_end = &t->rx;
	t->rx_skip = 0;
	p->next = t->rx_read;
	t->rx_read = p;
	t->rx_nread++;
}

/* Copies what is there, at most `limit` bytes. With peek it stays. Bytes, or -EFAULT if none: a buffer of lwIP's is read whole or stays. lock held. */
static ssize_t rx_copy(struct tcp_sock *t, struct socket_msg *m, size_t limit, bool peek, bool discard)
{
	struct pbuf *p = t->rx;
	unsigned skip = t->rx_skip;
	size_t done = 0;
	bool fault = false;

	while (p && done < limit) {
		size_t n = MIN((size_t)(p->len - skip), limit - done);

		fault = n && !discard && socket_msg_put(m, (uint8_t *)p->payload + skip, n);
		if (fault)
			break;
		done += n;
		skip += n;
		if (skip < p->len)
			break;
		skip = 0;
		p = p->next;
		if (!peek)
			rx_shift(t);
	}
	if (!peek) {
		t->rx_skip = skip;
		t->rx_bytes -= done;
		t->wnd_debt += done;
	}
	return fault && !done ? -EFAULT : (ssize_t)done;
}

/* Less than `want` bytes are there: waits. 0 to look again, 1 at the end, or -errno. lock held. */
static int rx_wait(struct tcp_sock *t, size_t want, uint64_t deadline)
{
	int r = socket_take_error(&t->inet.base);

	if (r)
		return r;
	if (t->rx_end_seen || t->inet.rx_shut || t->state == TCP_OVER)
		return 1;
	if (t->state != TCP_CONNECTED && t->state != TCP_CONNECTING)
		return -ENOTCONN;
	if (deadline == 0)
		return -EAGAIN;
	t->rx_peeks += want > 1;
	r = waitq_wait(&t->inet.readers, &t->inet.lock, deadline, true);
	t->rx_peeks -= want > 1;
	return r && t->rx_bytes < want ? socket_interrupted(r, deadline) : 0;
}

/* Frees what has been read and opens the window by it. lock held, and released meanwhile. */
static void rx_settle(struct tcp_sock *t)
{
	mutex_unlock(&t->inet.lock);
	net_lock();
	tcp_data_settle(t);
	net_unlock();
	mutex_lock(&t->inet.lock);
}

/*
 * Waits for `len` bytes, or as many as the window holds, of which none will be taken. 0: there are some, if not all, when no more may be waited for;
 * else as rx_wait(). lock held.
 */
static int peek_wait(struct tcp_sock *t, size_t len, uint64_t deadline)
{
	size_t want;
	int r = 0;

	if (t->wnd_debt)
		rx_settle(t);
	while (!r && t->rx_bytes < (want = MIN(len, (size_t)t->wnd_limit))) {
		/* An error is for the call that finds nothing else. */
		if (t->rx_bytes && atomic_load_explicit(&t->inet.base.error, memory_order_relaxed))
			break;
		r = rx_wait(t, want, deadline);
	}
	return t->rx_bytes ? 0 : r;
}

ssize_t tcp_recvmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct tcp_sock *t = tcp_sock(s);
	uint64_t deadline = socket_deadline(s->recv_timeout_ns, flags);
	bool peek = flags & MSG_PEEK, discard = flags & MSG_TRUNC, settle;
	size_t least = socket_least(s, m->len, flags), want = peek ? MIN(m->len, (size_t)1) : least, done = 0;
	ssize_t r = 0;

	if (flags & MSG_OOB)
		return -EINVAL;
	/* Nothing is ever put there. */
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	mutex_lock(&t->inet.lock);
	/* An attempt that was shut down has left its error. */
	if (t->state == TCP_NEW)
		r = socket_take_error(s);
	if (!r && (t->state == TCP_NEW || t->state == TCP_LISTENING))
		r = t->inet.rx_shut ? 1 : -ENOTCONN;
	if (!r && peek && least > 1)
		r = peek_wait(t, least, deadline);
	while (!r && done < want) {
		if (!t->rx_bytes) {
			/* An error is for the next call if this one has something to say. */
			r = done && atomic_load_explicit(&s->error, memory_order_relaxed) ? 1 : rx_wait(t, 1, deadline);
			if (r && done)
				break;
			continue;
		}
		r = rx_copy(t, m, m->len - done, peek, discard);
		/* More than one reader may wait, and each wake-up is for one: also for one that has no place for the bytes. */
		if (t->rx_bytes)
			waitq_wake(&t->inet.readers, 1, 0);
		if (r < 0)
			break;
		done += r;
		r = 0;
		if (settle_wanted(t))
			rx_settle(t);
	}
	settle = settle_wanted(t);
	mutex_unlock(&t->inet.lock);
	if (settle) {
		net_lock();
		tcp_data_settle(t);
		net_unlock();
	}
	return done || r == 1 ? (ssize_t)done : r;
}

/* --- sending -------------------------------------------------------------------------------------------------- */

static void chunk_free(struct tcp_chunk *c)
{
	net_held_sub(c->len);
	kfree(c);
}

/* Up to where no segment is sent again. One of which only a part has been acknowledged goes again as a whole. */
static uint32_t over_up_to(const struct tcp_pcb *pcb)
{
	const struct tcp_seg *first[] = { pcb->unacked, pcb->unsent };
	uint32_t end = pcb->lastack;

	for (unsigned i = 0; i < ARRAY_SIZE(first); i++)
		if (first[i] && TCP_SEQ_LT(lwip_ntohl(first[i]->tcphdr->seqno), end))
			end = lwip_ntohl(first[i]->tcphdr->seqno);
	return end;
}

err_t tcp_data_acked(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct tcp_sock *t = arg;
	uint32_t over = over_up_to(pcb);

	t->bytes_acked += len;
	t->soft_error = 0;
	while (t->chunks && TCP_SEQ_LEQ(t->chunks->end, over)) {
		struct tcp_chunk *c = t->chunks;

		t->chunks = c->next;
		if (!t->chunks)
			t->chunks_end = &t->chunks;
		chunk_free(c);
	}
	if (t->orphan)
		return ERR_OK;
	mutex_lock(&t->inet.lock);
	room_changed(t);
	mutex_unlock(&t->inet.lock);
	return ERR_OK;
}

/* Waits until something can be sent. Bytes, or -errno. An error of the connection is taken only if nothing has been sent yet: else it is
 * for the next call. */
static ssize_t room_wait(struct tcp_sock *t, uint64_t deadline, bool started)
{
	ssize_t r;

	mutex_lock(&t->inet.lock);
	for (;;) {
		r = started ? -atomic_load_explicit(&t->inet.base.error, memory_order_relaxed) : socket_take_error(&t->inet.base);
		if (r)
			break;
		if (t->inet.tx_shut || t->state == TCP_OVER || t->state == TCP_NEW || t->state == TCP_LISTENING) {
			r = -EPIPE;
			break;
		}
		if (t->state == TCP_CONNECTED && t->room) {
			r = (ssize_t)t->room;
			break;
		}
		if (deadline == 0) {
			r = -EAGAIN;
			break;
		}
		r = waitq_wait(&t->inet.writers, &t->inet.lock, deadline, true);
		if (r && !(t->state == TCP_CONNECTED && t->room)) {
			r = socket_interrupted((int)r, deadline);
			break;
		}
	}
	mutex_unlock(&t->inet.lock);
	return r;
}

/*
 * lwIP makes no segment longer than half of the largest window that it has seen, and its assertions want that of the last one that waits, too. A
 * peer that begins without a window (which counts as none seen) and then opens a small one would make it too long. What has been allocated behind that
 * segment's bytes counts, too.
 */
static void window_floor(struct tcp_pcb *pcb)
{
	const struct tcp_seg *last = pcb->unsent;
	tcpwnd_size_t floor;

	if (!last || pcb->snd_wnd_max / 2 >= pcb->mss)
		return;
	while (last->next)
		last = last->next;
	floor = 2 * (last->len + pcb->unsent_oversize + TCP_OPTION_BYTES_MAX);
	pcb->snd_wnd_max = MAX(pcb->snd_wnd_max, floor);
}

/* Hands the chunk to lwIP, which takes it over unless it copies. 0, or -errno with the chunk untouched. Core lock held. */
static int chunk_queue(struct tcp_sock *t, struct tcp_chunk *c, bool copy, bool more)
{
	err_t e;

	/* While the bytes were copied, the socket may have become one that listens, or tries to connect once more. */
	if (!t->pcb || t->state != TCP_CONNECTED)
		return -EPIPE;
	tcp_conn_enter(t->pcb);
	window_floor(t->pcb);
	e = tcp_write(t->pcb, c->data, c->len, (copy ? TCP_WRITE_FLAG_COPY : 0) | (more ? TCP_WRITE_FLAG_MORE : 0));
	if (e == ERR_OK && !copy) {
		c->end = t->pcb->snd_lbb;
		c->next = NULL;
		*t->chunks_end = c;
		t->chunks_end = &c->next;
	}
	mutex_lock(&t->inet.lock);
	/* Without memory for segments, the socket is full until something is acknowledged, or the next poll. */
	if (e == ERR_MEM) {
		t->room = 0;
		t->poll_wanted = true;
	} else if (e == ERR_OK) {
		tcp_room_update(t);
	}
	mutex_unlock(&t->inet.lock);
	return e == ERR_OK ? 0 : e == ERR_MEM ? -EAGAIN : e == ERR_CONN ? -EPIPE : inet_error(e);
}

/*
 * Nagle's algorithm, bounded. A server that writes the head of its answer and then the body would wait for its client's delayed acknowledgement
 * in between, 40 ms each time. What the algorithm is for, that a network is not filled with small segments, needs less: it begins
 * when NAGLE_SEGMENTS are under way. Core lock held.
 */
void tcp_data_output(struct tcp_sock *t)
{
	const struct tcp_seg *seg = t->nodelay ? NULL : t->pcb->unacked;

	for (unsigned n = 1; seg && n < NAGLE_SEGMENTS; n++)
		seg = seg->next;
	if (seg)
		tcp_nagle_enable(t->pcb);
	else
		tcp_nagle_disable(t->pcb);
	tcp_output(t->pcb);
}

/*
 * The same while more is to come (TCP_CORK, MSG_MORE): full segments go, and everything if the sender has to wait for room. lwIP's form of Nagle's
 * algorithm keeps the last one, until all others are acknowledged. Core lock held.
 */
static void held_output(struct tcp_sock *t)
{
	if (!tcp_writable(t)) {
		tcp_data_output(t);
	} else if (t->pcb->unsent && t->pcb->unsent->next) {
		tcp_nagle_enable(t->pcb);
		tcp_output(t->pcb);
	}
}

ssize_t tcp_sendmsg(struct socket *s, struct socket_msg *m, int flags)
{
	struct tcp_sock *t = tcp_sock(s);
	uint64_t deadline = socket_deadline(s->send_timeout_ns, flags);
	size_t done = 0;
	ssize_t r = 0;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	while (done < m->len) {
		struct socket_msg before;
		struct tcp_chunk *c;
		bool copy, more;
		size_t n;

		r = room_wait(t, deadline, done > 0);
		if (r < 0)
			break;
		n = MIN(MIN((size_t)r, m->len - done), (size_t)CHUNK_MAX);
		c = kmalloc(sizeof(*c) + n);
		if (!c && n > CHUNK_COPIED) {
			n = CHUNK_COPIED;
			c = kmalloc(sizeof(*c) + n);
		}
		if (!c) {
			r = -ENOBUFS;
			break;
		}
		c->len = (uint32_t)n;
		before = *m;
		r = socket_msg_get(m, c->data, n);
		if (r) {
			kfree(c);
			break;
		}
		copy = n <= CHUNK_COPIED;
		more = done + n < m->len || flags & MSG_MORE;
		if (!copy)
			net_held_add(n);
		net_lock();
		tcp_data_settle(t);
		r = chunk_queue(t, c, copy, more);
		if (!r && (flags & MSG_MORE || t->cork))
			held_output(t);
		else if (!r)
			tcp_data_output(t);
		net_unlock();
		if (copy)
			kfree(c);
		else if (r)
			chunk_free(c);
		if (r == -EAGAIN) {
			/* lwIP had no memory: the bytes are still the application's. */
			*m = before;
			if (deadline == 0)
				break;
			continue;
		}
		if (r)
			break;
		done += n;
	}
	return done ? (ssize_t)done : r;
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

void tcp_data_drop(struct tcp_sock *t)
{
	struct tcp_chunk *c = t->chunks;

	t->chunks = NULL;
	t->chunks_end = &t->chunks;
	while (c) {
		struct tcp_chunk *next = c->next;

		chunk_free(c);
		c = next;
	}
}
