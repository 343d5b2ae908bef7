/*
 * kernel/net/port/hooks.h - functions of this kernel that lwIP calls. Core lock held. Implemented in net/core.c, net/device.c and net/config.c.
 */
#ifndef IBRIK_NET_PORT_HOOKS_H
#define IBRIK_NET_PORT_HOOKS_H

#include "lwip/ip_addr.h"

struct netif;
struct dhcp;
struct dhcp_msg;
struct pbuf;

/* RFC 6528, section 3: a clock plus a keyed hash of the connection. */
u32_t net_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);

/* Takes what it knows to be for TCP out of what came through loopback: 1; else 0. */
int net_ip4_input(struct pbuf *p, struct netif *inp);
#define LWIP_HOOK_IP4_INPUT(p, inp) net_ip4_input(p, inp)

/* Takes the options of a lease that lwIP does not know: net/config.c. */
void net_dhcp_parse(struct netif *netif, struct dhcp *dhcp, u8_t state, struct dhcp_msg *msg, u8_t type, u8_t option, u8_t len,
		    struct pbuf *p, u16_t offset);
#define LWIP_HOOK_DHCP_PARSE_OPTION(netif, dhcp, state, msg, msg_type, option, len, pbuf, offset) \
	net_dhcp_parse(netif, dhcp, state, msg, msg_type, option, len, pbuf, offset)

#endif
