/*
 * kernel/net/socket_list.h - snapshots of all sockets, for /proc/net and the counters.
 *
 * States, timers and types are numbers as they stand in /proc/net/tcp and /proc/net/unix.
 */
#ifndef IBRIK_NET_SOCKET_LIST_H
#define IBRIK_NET_SOCKET_LIST_H

#include "lib/types.h"

enum { /* TCP_ESTABLISHED ... of Linux */
	SOCKET_ESTABLISHED = 1, SOCKET_SYN_SENT, SOCKET_SYN_RECEIVED, SOCKET_FIN_WAIT_1, SOCKET_FIN_WAIT_2, SOCKET_TIME_WAIT, SOCKET_CLOSED,
	SOCKET_CLOSE_WAIT, SOCKET_LAST_ACK, SOCKET_LISTENING, SOCKET_CLOSING, SOCKET_STATES,
};
enum { SOCKET_TIMER_NONE, SOCKET_TIMER_RETRANSMIT, SOCKET_TIMER_KEEPALIVE, SOCKET_TIMER_TIME_WAIT, SOCKET_TIMER_PROBE };

struct socket_end {
	uint8_t ip[16]; /* network order, as the socket's family has it: an IPv4 address of an IPv6 socket is mapped */
	uint16_t port;  /* host order; 0: none */
};

struct socket_row {
	bool ipv6;
	uint8_t state, timer;
	unsigned timer_ms;          /* until it is due */
	unsigned retransmits;
	struct socket_end local, remote;
	uint32_t tx_bytes, rx_bytes; /* not acknowledged; not read. A listener: rx_bytes are connections to accept */
	unsigned window_sent, threshold; /* TCP: segments of the congestion window; slow start's threshold or -1 */
	uint64_t ino;               /* 0: no file holds it */
	uint64_t dropped;           /* UDP: datagrams for which there was no room */
};

/* Allocated: the caller frees. *n is set. NULL: no memory. May sleep; takes the core lock. */
struct socket_row *socket_rows_tcp(unsigned *n);
struct socket_row *socket_rows_udp(unsigned *n);

struct unix_row {
	unsigned refs, type, state; /* SOCK_*; SS_UNCONNECTED (1) ... */
	bool listening;
	uint64_t ino;
	unsigned name_len;
	char name[108];             /* one without a file begins with '@' */
};

struct unix_row *unix_rows(unsigned *n);

/* Open sockets of all families. */
extern _Atomic unsigned sockets_open;

#endif
