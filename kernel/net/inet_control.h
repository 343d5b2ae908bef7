/*
 * kernel/net/inet_control.h - control messages of IP: what a datagram's header said, and how one is to be sent.
 */
#ifndef IBRIK_NET_INET_CONTROL_H
#define IBRIK_NET_INET_CONTROL_H

#include "net/inet_private.h"

/* What MSG_ERRQUEUE tells of an error, of the Linux ABI; its header wants a C library. */
enum { SO_EE_ORIGIN_LOCAL = 1, SO_EE_ORIGIN_ICMP = 2, SO_EE_ORIGIN_ICMP6 = 3 };
struct sock_extended_err {
	uint32_t ee_errno;
	uint8_t ee_origin, ee_type, ee_code, ee_pad;
	uint32_t ee_info, ee_data;
};
_Static_assert(sizeof(struct sock_extended_err) == 16, "Linux ABI");

/* What a datagram that came tells besides its bytes. */
struct inet_arrival {
	const ip_addr_t *from, *to;
	unsigned ifindex;
	uint8_t ttl, tos;
	uint64_t time_ns;  /* since 1970, 0: unknown */
	uint32_t dropped;  /* datagrams for which there was no room */
};

/* Adds what the socket wants to know. The socket's lock held. */
void inet_control_received(const struct inet_sock *i, const struct inet_arrival *a, struct socket_msg *m);
/* Adds what an error of the queue is (MSG_ERRQUEUE). No lock. */
void inet_control_error(const struct inet_sock *i, const struct sock_extended_err *ee, const ip_addr_t *offender, struct socket_msg *m);

/* How a datagram is to be sent, where the socket's options do not say. */
struct inet_send {
	ip_addr_t source;   /* unspecified: as ever */
	unsigned ifindex;   /* 0: any */
	int ttl, tos;       /* -1: the socket's */
};

/* Reads the control messages of a message to be sent to an address of that kind. 0, -EINVAL. No lock. */
int inet_control_parse(const struct inet_sock *i, const struct socket_msg *m, bool v6, struct inet_send *how);

#endif
