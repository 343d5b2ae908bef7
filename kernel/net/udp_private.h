/*
 * kernel/net/udp_private.h - the UDP socket, shared by inet_udp.c (life and names), udp_send.c and udp_receive.c.
 *
 * Theory:    lwIP does IP below it; which socket a datagram is for is decided here, by Linux's rules, not by lwIP's control blocks: every
 *            datagram that lwIP takes from a card comes through a raw control block (udp_receive.c), and what is sent to an address of
 *            this machine goes to its socket directly, without IP.
 *            A datagram waits at its socket as lwIP's pbufs. One that was sent here lies in one piece of memory with its pbuf, which
 *            needs no core lock to be freed.
 */
#ifndef IBRIK_NET_UDP_PRIVATE_H
#define IBRIK_NET_UDP_PRIVATE_H

#include "net/inet_private.h"
#include "net/inet_control.h"

struct datagram {
	struct list link;
	struct pbuf *p;          /* the bytes; a reference */
	struct inet_end from, to;
	uint64_t time_ns;        /* since 1970; 0: not asked for */
	uint32_t cost;           /* against SO_RCVBUF */
	uint8_t ifindex, ttl, tos;
	bool inside;             /* it lies in the memory of its pbuf, which nobody shares: freed without the core lock */
};

/* A datagram that somebody here sends: with its bytes, and room in front of them for the headers. */
struct udp_out {
	struct pbuf_custom pbuf; /* first: the pbuf is the whole */
	struct datagram datagram;
	struct udp_sock *sender; /* whose SO_SNDBUF it counts against: it waits for a neighbour's address, or for room in a card. A reference, or NULL. */
	uint32_t size;
	uint8_t bytes[];
};

struct udp_error {
	struct list link;
	struct sock_extended_err ee;
	ip_addr_t offender;
	struct inet_end to;      /* of the datagram that failed */
	unsigned len;            /* of what is left of it */
	uint8_t bytes[];
};

struct udp_sock {
	struct inet_sock inet;
	/* core lock */
	struct list hash_link;   /* in the table by ports, if it has one */
	bool bound_ip, bound_port; /* by bind(): connect() did not choose them */
	_Atomic size_t unsent;   /* bytes of its datagrams that wait to be sent; changed under the core lock */
	/* inet.lock */
	struct list queue;       /* struct datagram */
	size_t queued;           /* what they cost */
	struct list read;        /* to be freed under the core lock */
	unsigned nread;
	struct list errors;      /* struct udp_error, if they are wanted */
	unsigned nerrors;
	uint32_t dropped;
};

static inline struct udp_sock *udp_of(struct inet_sock *i) { return container_of(i, struct udp_sock, inet); }
static inline struct udp_sock *udp_sock(struct socket *s) { return udp_of(inet_of(s)); }

/* --- inet_udp.c -------------------------------------------------------------------------------------------- */
/* Gives the socket a local port if it has none. Core lock held. */
int udp_autobind(struct udp_sock *u);
/* inet_end_parse() for a peer, and what UDP takes besides: an AF_INET name for an AF_INET6 socket, and for an AF_INET one a name without a family. */
int udp_end_parse(const struct udp_sock *u, const struct socket_addr *a, struct inet_end *end);

/* --- udp_send.c -------------------------------------------------------------------------------------------- */
ssize_t udp_sendmsg(struct socket *s, struct socket_msg *m, int flags);
/* Does poll() call it writable? */
bool udp_writable(const struct udp_sock *u);
/* Drops a reference. */
void udp_put(struct udp_sock *u);

/* --- udp_receive.c ----------------------------------------------------------------------------------------- */
/* Once, at boot, core lock held. */
void udp_receive_init(void);
ssize_t udp_recvmsg(struct socket *s, struct socket_msg *m, int flags);
/* The table of sockets by port. Core lock held. */
void udp_table_add(struct udp_sock *u);
void udp_table_remove(struct udp_sock *u);
/*
 * Hands a datagram to the sockets that it is for; all that a struct datagram says of it is in `d`. With inside = true it is the datagram that
 * lies in its pbuf, and the socket takes it over; else sockets take references of the pbuf. many: to a group or to all. How many
 * sockets were meant, room or not. Core lock held.
 */
unsigned udp_deliver(struct datagram *d, bool many);
/* Frees what has been read, under the core lock, or everything. */
void udp_free_read(struct udp_sock *u);
void udp_free_all(struct udp_sock *u);

#endif
