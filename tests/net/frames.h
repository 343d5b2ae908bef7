/*
 * tests/net/frames.h - Ethernet frames put together by hand: what the relay and its bad neighbour send.
 *
 * Interface: frame_ethernet() and so on write headers at the front of what they are given and answer how many bytes they wrote;
 *            frame_ip4() and frame_ip6() come last but one, since they make the sums of what lies behind them. Numbers are in host order,
 *            addresses in the order of the wire.
 */
#ifndef TESTS_NET_FRAMES_H
#define TESTS_NET_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX 65600
#define ETHERNET_BYTES 14
#define IP4_BYTES 20
#define IP6_BYTES 40
#define TCP_BYTES 20
#define UDP_BYTES 8

enum { TYPE_IP4 = 0x0800, TYPE_ARP = 0x0806, TYPE_IP6 = 0x86dd };
enum { PROTO_HOP = 0, PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ROUTING = 43, PROTO_FRAGMENT = 44, PROTO_ICMP6 = 58, PROTO_NONE = 59,
       PROTO_DESTINATION = 60 };
enum { FLAG_FIN = 1, FLAG_SYN = 2, FLAG_RST = 4, FLAG_PSH = 8, FLAG_ACK = 16 };

struct tcp_fields {
	uint16_t source, target;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	unsigned option_bytes; /* behind the header already; a multiple of 4 */
};

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }
static inline uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

size_t frame_ethernet(uint8_t *p, const uint8_t to[6], const uint8_t from[6], unsigned type);
/* The whole of an ARP packet; operation 1 asks, 2 answers. */
size_t frame_arp(uint8_t *p, unsigned operation, const uint8_t from_mac[6], const uint8_t from[4], const uint8_t to_mac[6], const uint8_t to[4]);
/* The header for `bytes` behind it, whose sum it makes if they are TCP, UDP or ICMP and no fragment. fragment: as on the wire. */
size_t frame_ip4(uint8_t *p, const uint8_t from[4], const uint8_t to[4], unsigned protocol, unsigned fragment, unsigned id, size_t bytes);
/* Likewise; the sum is that of `last`, at `skip` bytes behind the header. */
size_t frame_ip6(uint8_t *p, const uint8_t from[16], const uint8_t to[16], unsigned next, unsigned last, size_t skip, size_t bytes);
size_t frame_tcp(uint8_t *p, const struct tcp_fields *f);
size_t frame_udp(uint8_t *p, unsigned source, unsigned target, size_t bytes);
uint16_t frame_sum16(const uint8_t *p, size_t n, uint32_t sum);

#endif
