/*
 * kernel/net/neighbour.h - between lwIP's tables of neighbours and those who would fill them or lie to them. Core lock held.
 */
#ifndef IBRIK_NET_NEIGHBOUR_H
#define IBRIK_NET_NEIGHBOUR_H

#include "lwip/netif.h"

struct pbuf;

/* A received frame with an ARP packet. False: lwIP shall not see it. p stays the caller's. */
bool neighbour_hears(struct netif *netif, const struct pbuf *p);
/* Likewise a frame with an IPv6 packet. */
bool neighbour_hears6(struct netif *netif, const struct pbuf *p);
/* As etharp_output() and ethip6_output(), for the interface. A packet that would ask for one neighbour too many is dropped. */
err_t neighbour_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to);
err_t neighbour_output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to);

struct neighbour_counters {
	uint64_t malformed;  /* ARP packets that say nothing */
	uint64_t unasked;    /* answers that nobody asked for, from neighbours nobody knows */
	uint64_t claims;     /* others said that they have a known neighbour's address, or ours */
	uint64_t moves;      /* of these, those that were believed */
	uint64_t refused;    /* packets for neighbours that were not asked for, for too many are */
};
extern struct neighbour_counters neighbour_counters;

#endif
