/*
 * kernel/net/tcp_recover.h - how a TCP connection gets over segments that were lost on the way to its peer.
 *
 * lwIP sends one segment again for three duplicate acknowledgements and waits for its timer for the next. With what is here each segment that the
 * peer's selective acknowledgements show as lost is sent again once, while as much new data goes out as leaves the network (RFC 6675); for a
 * peer without them, one segment for each partial acknowledgement (RFC 6582). Where nothing comes back at all, a probe goes long before lwIP's timer
 * runs out (RFC 8985, section 7).
 *
 * Everything is called with the core lock held. Nothing sleeps, but for a moment while another thread allocates.
 */
#ifndef IBRIK_NET_TCP_RECOVER_H
#define IBRIK_NET_TCP_RECOVER_H

#include "lib/types.h"

struct netif;
struct pbuf;
struct tcp_pcb;
struct tcp_recovery;
struct tcp_seg;

#define TCP_PROBE_LOOK_NS 10000000 /* how long after its bytes have gone a connection is looked at, again and again */

/* Before lwIP sees that segment of the connection, whose TCP header is the first byte of p. *r is the connection's record, NULL before anything was
 * lost; without memory for one lwIP does it alone. now_ns: the time at which it came. */
void tcp_recover_before(struct tcp_recovery **r, struct tcp_pcb *pcb, struct pbuf *p, struct netif *inp, uint64_t now_ns);
/* After lwIP has seen it, and if the connection is still there. */
void tcp_recover_after(struct tcp_recovery *r, struct tcp_pcb *pcb);
/* lwIP's retransmission timer has run out, and all is to be sent again. */
void tcp_recover_timeout(struct tcp_recovery *r, struct tcp_pcb *pcb);
void tcp_recover_free(struct tcp_recovery *r);

/* The connection may have sent something at now_ns. True: it waits for an answer, and tcp_recover_probe() is to be called TCP_PROBE_LOOK_NS later. */
bool tcp_recover_sent(struct tcp_recovery *r, const struct tcp_pcb *pcb, uint64_t now_ns);
/* Sends a probe, if nothing has been heard for too long. */
void tcp_recover_probe(struct tcp_recovery *r, struct tcp_pcb *pcb, uint64_t now_ns);

/* Moves a segment from the list of a control block where *from points to it to its place in another, by sequence numbers: from `unacked` to `unsent` to send it
 * again. */
void tcp_recover_move(struct tcp_seg **from, struct tcp_seg **to);

struct tcp_recover_counters {
	uint64_t recoveries; /* begun */
	uint64_t resent;     /* segments that were sent again in them, besides the first of each */
	uint64_t timeouts;
	uint64_t spared;     /* segments that a time-out did not send again, since the peer has them */
	uint64_t probes;
	uint64_t probes_needless; /* the peer says that it had what they carried */
};
extern struct tcp_recover_counters tcp_recover_counters;

#endif
