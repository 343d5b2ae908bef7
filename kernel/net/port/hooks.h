/*
 * kernel/net/port/hooks.h - functions of this kernel that lwIP calls. Core lock held. Implemented in net/core.c, net/device.c and net/config.c.
 */
#ifndef IBRIK_NET_PORT_HOOKS_H
#define IBRIK_NET_PORT_HOOKS_H

#include "lwip/ip_addr.h"

struct netif;
struct pbuf;
struct tcp_hdr;
struct tcp_pcb;

/* RFC 6528, section 3: a clock plus a keyed hash of the connection. */
u32_t net_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port);

/* The options of a segment that opens a connection, which end there: TCP_MAXSEG of its socket makes the size that is announced smaller (net/tcp_option.c). */
u32_t *net_tcp_syn_options(struct tcp_hdr *h, const struct tcp_pcb *pcb, u32_t *end);
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS(p, hdr, pcb, end) (TCPH_FLAGS(hdr) & TCP_SYN ? net_tcp_syn_options(hdr, pcb, end) : (end))

/* Takes what it knows to be for TCP out of what came through loopback: 1; else 0. */
int net_ip4_input(struct pbuf *p, struct netif *inp);
#define LWIP_HOOK_IP4_INPUT(p, inp) net_ip4_input(p, inp)

/* The same of segments from ::1 to another address of this machine, which lwIP takes for a mistake. */
int net_ip6_here(struct pbuf *p, struct netif *inp);
/* Looks at a packet before lwIP does, which it leaves alone: net/config.c. */
void net_ip6_look(struct pbuf *p, struct netif *inp);
#define LWIP_HOOK_IP6_INPUT(p, inp) (net_ip6_look(p, inp), net_ip6_here(p, inp))

#endif
