/*
 * kernel/net/tcp_cookie.h - SYN cookies (RFC 4987, section 3.6): what a listener has to remember of a connection that begins, in the sequence
 * number of its answer. Pure functions, tested on the host.
 *
 * A cookie has the period of its time (5 bits), the number of a segment size (3 bits), and 24 bits of a keyed hash over these, both ends, and the
 * peer's sequence number. Who cannot see the answer has to try some millions of numbers, within two periods, while
 * cookies are used at all.
 */
#ifndef IBRIK_NET_TCP_COOKIE_H
#define IBRIK_NET_TCP_COOKIE_H

#include "lib/types.h"

#define TCP_COOKIE_PERIOD_S 64

/* Both ends: addresses in words (IPv4: the rest 0) and ports. */
struct tcp_cookie_ends {
	uint64_t local[2], remote[2];
	uint16_t local_port, remote_port;
};

/* period: the time in units of TCP_COOKIE_PERIOD_S. peer_isn: the sequence number of the SYN. mss: what the peer takes; it is rounded down. */
uint32_t tcp_cookie_make(const uint64_t key[2], const struct tcp_cookie_ends *ends, uint32_t peer_isn, unsigned mss, uint32_t period);
/* The segment size of a cookie that was made for these in this period or the one before; 0: it was not. */
unsigned tcp_cookie_check(const uint64_t key[2], const struct tcp_cookie_ends *ends, uint32_t peer_isn, uint32_t cookie, uint32_t period);

#endif
