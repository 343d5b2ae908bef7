/*
 * kernel/net/tcp_syn.h - segments that belong to no connection yet: which listener they are for, and what happens when too many begin.
 *
 * From tcp_conn.c, with the core lock held, for the segment that IP has just received.
 */
#ifndef IBRIK_NET_TCP_SYN_H
#define IBRIK_NET_TCP_SYN_H

#include "lib/types.h"

struct netif;
struct pbuf;
struct tcp_hdr;
struct tcp_pcb;
struct tcp_pcb_listen;

enum tcp_syn_verdict {
	TCP_SYN_PASS, /* lwIP shall do what it does */
	TCP_SYN_DROP, /* it has been dealt with; nothing more */
	TCP_SYN_MADE, /* it is the last step of a handshake by cookie: *made is its connection, which lwIP shall find */
};

void tcp_syn_init(void);
/* Are header and sum of the segment right? */
bool tcp_syn_intact(struct pbuf *p, struct netif *inp);
/* The listener for the segment, or NULL. Of several with SO_REUSEPORT, always the same for the same peer. */
struct tcp_pcb_listen *tcp_syn_listener(const struct tcp_hdr *h);
enum tcp_syn_verdict tcp_syn_check(struct tcp_pcb_listen *l, struct pbuf *p, struct netif *inp, struct tcp_pcb **made);

#endif
