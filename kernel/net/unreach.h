/*
 * kernel/net/unreach.h - what could not be delivered, and how its sender learns of it. Core lock held for all.
 */
#ifndef IBRIK_NET_UNREACH_H
#define IBRIK_NET_UNREACH_H

#include "lwip/ip_addr.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"

/* Once, at boot: listens to ICMP and ICMPv6. */
void unreach_init(void);
/* What an Ethernet interface sends IP packets with: etharp_output() and ethip6_output(), and a note of those that wait for a neighbour. */
err_t unreach_output_v4(struct netif *n, struct pbuf *p, const ip4_addr_t *to);
err_t unreach_output_v6(struct netif *n, struct pbuf *p, const ip6_addr_t *to);

/* Does a packet wait for a neighbour? Then this is called every UNREACH_CHECK_MS (net/timer.h). */
#define UNREACH_CHECK_MS 500
bool unreach_waiting(void);
void unreach_check(void);

#endif
