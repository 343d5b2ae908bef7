/*
 * tests/net/frames.c - see frames.h.
 */
#include "frames.h"

#include <string.h>

size_t frame_ethernet(uint8_t *p, const uint8_t to[6], const uint8_t from[6], unsigned type)
{
	memcpy(p, to, 6);
	memcpy(p + 6, from, 6);
	put16(p + 12, type);
	return ETHERNET_BYTES;
}

size_t frame_arp(uint8_t *p, unsigned operation, const uint8_t from_mac[6], const uint8_t from[4], const uint8_t to_mac[6], const uint8_t to[4])
{
	put16(p, 1);
	put16(p + 2, TYPE_IP4);
	p[4] = 6;
	p[5] = 4;
	put16(p + 6, operation);
	memcpy(p + 8, from_mac, 6);
	memcpy(p + 14, from, 4);
	memcpy(p + 18, to_mac, 6);
	memcpy(p + 24, to, 4);
	return 28;
}

/* RFC 1071: the sum of 16-bit words, not yet complemented. */
static uint32_t add_up(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++) {
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

uint16_t frame_sum16(const uint8_t *p, size_t n, uint32_t sum)
{
	sum = add_up(p, n, sum);
	return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

/* Where the sum stands, and whether the pseudo header is part of it. */
static int sum_place(unsigned protocol)
{
	return protocol == PROTO_TCP ? 16 : protocol == PROTO_UDP ? 6 : protocol == PROTO_ICMP || protocol == PROTO_ICMP6 ? 2 : -1;
}

static void sum_set(uint8_t *data, size_t bytes, unsigned protocol, uint32_t pseudo)
{
	int at = sum_place(protocol);
	uint16_t sum;

	if (at < 0 || bytes < (size_t)at + 2)
		return;
	put16(data + at, 0);
	sum = frame_sum16(data, bytes, pseudo);
	put16(data + at, sum || protocol != PROTO_UDP ? sum : 0xffff);
}

size_t frame_ip4(uint8_t *p, const uint8_t from[4], const uint8_t to[4], unsigned protocol, unsigned fragment, unsigned id, size_t bytes)
{
	uint32_t pseudo;

	memset(p, 0, IP4_BYTES);
	p[0] = 0x45;
	put16(p + 2, (unsigned)(IP4_BYTES + bytes));
	put16(p + 4, id);
	put16(p + 6, fragment);
	p[8] = 64;
	p[9] = (uint8_t)protocol;
	memcpy(p + 12, from, 4);
	memcpy(p + 16, to, 4);
	put16(p + 10, frame_sum16(p, IP4_BYTES, 0));
	if (!(fragment & 0x3fff)) {
		pseudo = protocol == PROTO_ICMP ? 0 : add_up(p + 12, 8, protocol + (uint32_t)bytes);
		sum_set(p + IP4_BYTES, bytes, protocol, pseudo);
	}
	return IP4_BYTES;
}

size_t frame_ip6(uint8_t *p, const uint8_t from[16], const uint8_t to[16], unsigned next, unsigned last, size_t skip, size_t bytes)
{
	memset(p, 0, IP6_BYTES);
	p[0] = 0x60;
	put16(p + 4, (unsigned)bytes);
	p[6] = (uint8_t)next;
	p[7] = 255;
	memcpy(p + 8, from, 16);
	memcpy(p + 24, to, 16);
	if (skip <= bytes)
		sum_set(p + IP6_BYTES + skip, bytes - skip, last, add_up(p + 8, 32, last + (uint32_t)(bytes - skip)));
	return IP6_BYTES;
}

size_t frame_tcp(uint8_t *p, const struct tcp_fields *f)
{
	put16(p, f->source);
	put16(p + 2, f->target);
	put32(p + 4, f->seq);
	put32(p + 8, f->ack);
	p[12] = (uint8_t)((TCP_BYTES + f->option_bytes) / 4 << 4);
	p[13] = f->flags;
	put16(p + 14, f->window);
	put16(p + 16, 0);
	put16(p + 18, 0);
	return TCP_BYTES + f->option_bytes;
}

size_t frame_udp(uint8_t *p, unsigned source, unsigned target, size_t bytes)
{
	put16(p, source);
	put16(p + 2, target);
	put16(p + 4, (unsigned)(UDP_BYTES + bytes));
	put16(p + 6, 0);
	return UDP_BYTES;
}
