/*
 * kernel/net/tcp_header.h - headers of received segments, mended before lwIP reads them. Pure functions, tested on the host.
 */
#ifndef IBRIK_NET_TCP_HEADER_H
#define IBRIK_NET_TCP_HEADER_H

#include "lib/types.h"

struct pbuf;

#define TCP_MSS_LEAST 48 /* what a peer may ask for at least, as on Linux (TCP_MIN_SND_MSS) */

/*
 * The option that says the peer's largest segment (RFC 9293, section 3.7.1) counts in the segments that open a connection; lwIP believes it in any, down to one byte, and insists
 * later that what waits to be sent is no longer. Where it counts, a value below TCP_MSS_LEAST becomes that; elsewhere the option becomes no-operations. The sum
 * is kept as right or wrong as it was. The payload of `p` begins with the header, of TCP_HLEN bytes at least in the first buffer; the bytes belong to the caller.
 * False: options do not lie in the first buffer, which no peer does but one that means harm.
 */
bool tcp_header_mend(struct pbuf *p, bool counts);

#endif
