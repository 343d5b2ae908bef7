/*
 * kernel/net/tcp_private.h - the TCP socket, shared by inet_tcp.c (connections), tcp_close.c (their ends), tcp_option.c, tcp_data.c (what flows
 * through them), tcp_conn.c (their table) and tcp_syn.c.
 */
#ifndef IBRIK_NET_TCP_PRIVATE_H
#define IBRIK_NET_TCP_PRIVATE_H

#include "net/inet_private.h"
#include "lwip/tcp.h"
#include "lwip/priv/tcp_priv.h"

enum tcp_sock_state { TCP_NEW, TCP_CONNECTING, TCP_CONNECTED, TCP_LISTENING, TCP_OVER };

/* Bytes that wait for the peer's acknowledgement; lwIP's segments point into them. */
struct tcp_chunk {
	struct tcp_chunk *next;
	uint32_t end; /* sequence number behind the last byte */
	uint32_t len;
	uint8_t data[];
};

struct tcp_sock {
	struct inet_sock inet;
	/* core lock */
	struct tcp_pcb *pcb;           /* NULL: none yet, or gone. It holds a reference of the socket. */
	struct tcp_chunk *chunks, **chunks_end;
	bool orphan;                   /* its file is gone */
	bool cork;
	bool linger_waits;             /* close() waits until all has been acknowledged; cleared under both locks */
	bool success_told;             /* to a connect() */
	bool attempt;                  /* connect() has begun something that was never a connection; under both locks */
	struct inet_end bound;         /* what bind() was asked for; port 0: any */
	bool poll_wanted;              /* lwIP shall call tcp_data_poll() in a moment */
	bool ack_at_once;              /* TCP_QUICKACK was asked for */
	unsigned keep_idle, keep_interval, keep_count; /* seconds, 0: the default */
	unsigned user_timeout_ms;
	unsigned user_mss;             /* TCP_MAXSEG, 0: what the way allows */
	unsigned notsent_lowat;        /* TCP_NOTSENT_LOWAT, 0: no bound */
	unsigned defer_accept_s;       /* TCP_DEFER_ACCEPT: how long a connection of this listener may say nothing; 0: it is accepted at once */
	struct tcp_sock *deferred_by;  /* the listener that does not give it to accept() yet, or NULL */
	uint64_t defer_until_ns;
	int soft_error;                /* what ICMP said of the peer: the reason, if the connection times out */
	uint64_t bytes_received, bytes_acked;
	struct list half_open;         /* listener: connections whose handshake is not over */
	/* inet.lock */
	enum tcp_sock_state state;
	struct pbuf *rx;               /* received and not read; chains of lwIP, linked by `next` */
	struct pbuf **rx_end;
	size_t rx_bytes;
	unsigned rx_skip;              /* bytes of the first that have been read */
	struct pbuf *rx_read;          /* read, to be freed under the core lock */
	unsigned rx_nread;
	size_t wnd_debt;               /* bytes read, by which the window has not been opened yet */
	size_t wnd_held;               /* bytes by which it is too large since SO_RCVBUF was made smaller */
	unsigned wnd_limit;            /* what is received and not read, at most; grows while it is read, unless SO_RCVBUF says how much */
	size_t wnd_read;               /* bytes read since it has grown */
	bool rx_late;                  /* lwIP's poll has been: what is read now is freed at once */
	bool rx_end_seen;              /* FIN came in */
	unsigned rx_peeks;             /* readers who wait for more than there is, and will leave it there */
	size_t room;                   /* bytes that a send would take; what lwIP said last */
	size_t send_limit;             /* how many may be under way */
	struct list pending;           /* listener: connections to accept */
	struct list deferred;          /* listener: those that have said nothing */
	struct list pending_link;      /* on one of these two */
	unsigned npending, ndeferred, backlog;
	bool nodelay, quickack;
	bool sndbuf_set, rcvbuf_set;   /* by the application; else the size is ours */
};

/* The numbers of the arguments by which a control block knows its socket and its record. */
enum { TCP_EXT_SOCKET, TCP_EXT_CONN };

/* NULL: the block has none yet. */
static inline struct tcp_sock *tcp_sock_of(const struct tcp_pcb *pcb) { return pcb->ext_args[TCP_EXT_SOCKET].data; }

static inline struct tcp_sock *tcp_of(struct inet_sock *i) { return container_of(i, struct tcp_sock, inet); }
static inline struct tcp_sock *tcp_sock(struct socket *s) { return tcp_of(inet_of(s)); }

/* Drops a reference. */
void tcp_sock_put(struct tcp_sock *t);
/* Has the listener as many connections to accept as it may? Core lock held. */
bool tcp_accept_full(struct tcp_sock *t);
/* A new control block of a connection that begins at the listener; ERR_MEM: there is no room for it. Core lock held. */
err_t tcp_syn_admit(struct tcp_sock *listener, struct tcp_pcb *fresh);
/* Is there memory for the socket of one more connection? Asked before lwIP is given what ends a handshake: when it has been told, an error can only
 * reset the connection. Core lock held. */
bool tcp_child_ready(void);
/* What a connection that was not given to accept() yet waited for is here, or its time is over: it is. Nothing if it waits for nothing. Core lock held. */
void tcp_deferral_end(struct tcp_sock *child);
/* Does poll() call it readable for its bytes? inet.lock held. */
bool tcp_readable(const struct tcp_sock *t);
/* Does poll() call it writable? inet.lock held. */
bool tcp_writable(const struct tcp_sock *t);
/* What a connected socket could send now goes to `room`. Both locks held. */
void tcp_room_update(struct tcp_sock *t);

/* An attempt to connect failed, and the caller has been told: it may try again. inet.lock held. */
void tcp_start_over(struct tcp_sock *t);
/* Its local address is what bind() was asked for, or none, now that it has no control block. Core lock held. */
void tcp_name_reset(struct tcp_sock *t);

/* --- tcp_close.c -------------------------------------------------------------------------------------------- */
int tcp_sock_shutdown(struct socket *s, int how);
/* connect() to AF_UNSPEC: resets what there is. The socket may connect or listen afterwards. 0. */
int tcp_disconnect(struct tcp_sock *t);
void tcp_sock_release(struct socket *s);
/* All that was sent has been acknowledged. Core lock held. */
void tcp_linger_end(struct tcp_sock *t);

/* --- tcp_option.c ------------------------------------------------------------------------------------------- */
/* Applies what was set before there was a control block. Core lock held. */
void tcp_options_apply(struct tcp_sock *t);

/* --- tcp_data.c --------------------------------------------------------------------------------------------- */
ssize_t tcp_sendmsg(struct socket *s, struct socket_msg *m, int flags);
ssize_t tcp_recvmsg(struct socket *s, struct socket_msg *m, int flags);
/* lwIP's callbacks; core lock held. */
err_t tcp_data_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err);
err_t tcp_data_acked(void *arg, struct tcp_pcb *pcb, u16_t len);
err_t tcp_data_poll(void *arg, struct tcp_pcb *pcb);
/* The window that a connection may have, by its socket's SO_RCVBUF and by its peer. Core lock held. */
unsigned tcp_window_limit(const struct tcp_sock *t);
/* Makes the window of a new control block as large as that, at most. Core lock held. */
void tcp_window_start(struct tcp_sock *t, struct tcp_pcb *pcb);
/* SO_RCVBUF has changed. Core lock held. */
void tcp_window_change(struct tcp_sock *t);
/* SO_RCVLOWAT; the window grows so that so much can come in, and no more is waited for than can. Core lock held. */
void tcp_lowat_set(struct tcp_sock *t, int value);
/* TCP_NOTSENT_LOWAT has changed. Core lock held. */
void tcp_room_change(struct tcp_sock *t);
/* Frees a socket's buffers, whose lengths are no longer those of chains. Core lock held. */
void tcp_pbufs_free(struct pbuf *p);
/* Sends what there is, by Nagle's algorithm. The socket has a connection. Core lock held. */
void tcp_data_output(struct tcp_sock *t);
/* Frees what has been read and opens the window. Core lock held. */
void tcp_data_settle(struct tcp_sock *t);
/* Frees everything; the control block is gone or about to go. Core lock held. */
void tcp_data_drop(struct tcp_sock *t);

#endif
