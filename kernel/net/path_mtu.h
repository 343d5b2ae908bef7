/*
 * kernel/net/path_mtu.h - how large the packets of a path may be, as routers tell (RFC 8201, RFC 1191).
 *
 * Everything is called with the core lock held. Nothing sleeps, but for a moment while another thread allocates.
 */
#ifndef IBRIK_NET_PATH_MTU_H
#define IBRIK_NET_PATH_MTU_H

#include "lib/types.h"
#include "lwip/ip_addr.h"

struct inet_unreach;
struct tcp_pcb;

/* A router had no way for a packet of that length. False if it is not believed. Else connections that are made and datagrams that are sent to that address keep
 * to it for ten minutes (IPv6 alone: IPv4's routers cut packets). */
bool path_mtu_note(const struct inet_unreach *why);
/* The same for a connection, whose segment under way it was: what is too long is cut, and sent again. */
void path_mtu_tcp(struct tcp_pcb *pcb, const struct inet_unreach *why);
/* Bytes that a packet to that address may have; 0: there is no way. */
unsigned path_mtu_to(const ip_addr_t *to);

/* Is something known that ends some time? Then path_mtu_check() is called every PATH_MTU_CHECK_MS (net/timer.c). */
#define PATH_MTU_CHECK_MS 60000
bool path_mtu_known(void);
void path_mtu_check(void);

struct path_mtu_counters {
	uint64_t told;    /* messages of ICMPv6 */
	uint64_t lowered; /* connections that were told to keep to less */
	uint64_t refused; /* messages that were not believed */
};
extern struct path_mtu_counters path_mtu_counters;

#endif
