/*
 * bench/net/peer.h - what the guest's program (../micro/net.c) and the machine's (peer.c) say to each other over a network card.
 *
 * A TCP connection to PEER_PORT begins with a byte, which says what is asked for:
 *	PEER_ECHO       every byte comes back
 *	PEER_DISCARD    everything is read; when the guest has shut down its side, a byte says that all has arrived
 *	PEER_GENERATE   8 more bytes are a number in the machine's order: so many bytes come, then the end
 * A datagram to PEER_PORT comes back.
 */
#ifndef IBRIK_BENCH_PEER_H
#define IBRIK_BENCH_PEER_H

#define PEER_ADDRESS "10.77.0.1"
#define PEER_PORT 7700
#define PEER_CHUNK 65536

#define PEER_ECHO 'e'
#define PEER_DISCARD 'd'
#define PEER_GENERATE 'g'

#endif
