/*
 * kernel/net/unix_private.h - the AF_UNIX socket, shared by unix.c, unix_data.c and unix_name.c.
 */
#ifndef IBRIK_NET_UNIX_PRIVATE_H
#define IBRIK_NET_UNIX_PRIVATE_H

#include "net/unix.h"
#include "core/bytering.h"
#include "lib/list.h"
#include <linux/eventpoll.h>

#define UNIX_PATH_OFFSET 2      /* of sun_path in struct sockaddr_un */
#define UNIX_RING_PAGES 64
#define UNIX_ROOM 4096u         /* space from which on a stream counts as writable */
#define UNIX_MESSAGE_MAX 212992 /* bytes of one datagram; no more come to a receiver with that many */
#define UNIX_RESERVE 768        /* what a message counts besides its bytes: Linux's truesize of an empty one */
#define UNIX_MARKS_MAX 278      /* a stream takes no more with so many: Linux's default, too */

#define EVENTS_IN (EPOLLIN | EPOLLRDNORM | EPOLLRDBAND)
#define EVENTS_OUT (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)

struct dentry;

enum unix_state { UNIX_NEW, UNIX_CONNECTING, UNIX_CONNECTED, UNIX_LISTENING };

struct unix_sock {
	struct socket base;
	struct mutex lock;
	_Atomic unsigned refs;
	enum unix_state state;
	bool closed;             /* its file is gone */
	bool rx_closed;          /* nothing more comes in */
	bool tx_closed;          /* datagram: shut down for sending */
	bool embryo;             /* connected, not accepted yet */
	struct waitq readers;    /* wait for content, or for connections; all pollers, whatever for */
	struct waitq room;       /* threads that wait for space to send to this socket, or connect to a listener */
	struct bytering ring;    /* stream: what was sent to us */
	struct list marks;       /* stream: descriptors in it, struct unix_files */
	unsigned nmarks;
	struct list messages;    /* others: struct unix_msg */
	size_t queued;           /* what they cost, message_cost() */
	struct unix_sock *_Atomic peer; /* referenced; fixed once connected, except for datagrams */
	struct list senders;     /* datagram: the sockets whose peer this is; senders_lock */
	struct list sender_link; /* datagram: in the peer's list; senders_lock */
	struct socket_ucred peer_cred;
	struct list pending;     /* listener: connected children, each with its first reference */
	struct list pending_link;
	unsigned npending, backlog;
	struct socket_addr addr; /* own name, len 0 if none; set once */
	struct list all_link;    /* in the list of all, under its lock */
	struct list name_link;   /* in the table of names, under its lock */
	struct dentry *dentry;   /* name in the file system, referenced */
};

/* A datagram or seqpacket record. The sender's address, the bytes and the files follow each other. */
struct unix_msg {
	struct list link;
	size_t len;
	struct socket_ucred cred;
	struct unix_files *files;
	struct socket_addr *from; /* NULL: the sender has no name */
	char data[];
};

/* Descriptors under way. */
struct unix_files {
	struct list link;   /* stream: sock->marks */
	uint64_t start, end; /* stream: positions in the ring of the bytes sent with them */
	unsigned n;
	struct file *files[];
};

static inline struct unix_sock *unix_of(struct socket *s) { return container_of(s, struct unix_sock, base); }

static inline bool unix_is_stream(const struct unix_sock *u) { return u->base.type == SOCK_STREAM; }
static inline bool unix_is_dgram(const struct unix_sock *u) { return u->base.type == SOCK_DGRAM; }

static inline struct unix_sock *unix_peer(struct unix_sock *u)
{
	return atomic_load_explicit(&u->peer, memory_order_acquire);
}

/* Does u take no message, whatever its length? One rule for send and poll. lock held. */
static inline bool messages_full(const struct unix_sock *u) { return u->queued >= UNIX_MESSAGE_MAX; }

/* Does a stream take that many bytes more? lock held. */
static inline bool stream_has_room(const struct unix_sock *u, size_t bytes)
{
	return bytering_space(&u->ring) >= bytes && u->nmarks < UNIX_MARKS_MAX;
}

struct socket_ucred unix_cred(void);
/* Tells those who poll to send to u: at the other end of the connection, or at any datagram socket that is connected to u. No lock held. */
void unix_tell_senders(struct unix_sock *u, unsigned events);

/* A datagram socket whose peer is `gone` has none any more, and nothing from it to read. No lock held. */
void unix_dgram_forget(struct unix_sock *u, struct unix_sock *gone);

void unix_get(struct unix_sock *u);
void unix_put(struct unix_sock *u);

/* unix_data.c */
ssize_t unix_sendmsg(struct socket *s, struct socket_msg *m, int flags);
ssize_t unix_recvmsg(struct socket *s, struct socket_msg *m, int flags);
void unix_files_free(struct unix_files *f); /* NULL allowed */
void unix_msg_free(struct unix_msg *m);

/* unix_name.c */
int unix_bind(struct socket *s, const struct socket_addr *addr);
/* The socket of that type with that name, referenced, or an encoded error. */
struct unix_sock *unix_name_find(const struct socket_addr *addr, int type);
void unix_name_remove(struct unix_sock *u);

#endif
