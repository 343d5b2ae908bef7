/*
 * kernel/net/frame.c - see frame.h. Sources: RFC 791, 8200, 9293 (section 3.1), 1071.
 */
#include "net/frame.h"

#define ETHERNET_BYTES 14
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define IPV6_BYTES 40
#define PROTOCOL_TCP 6
#define TCP_BYTES 20
#define TCP_SUM_OFFSET 16

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

static uint32_t sum_bytes(const uint8_t *p, unsigned len, uint32_t sum)
{
	for (unsigned i = 0; i < len; i += 2)
		sum += be16(p + i);
	return sum;
}

bool frame_sum_prepare(uint8_t *frame, size_t len, struct frame_sum *sum)
{
	const uint8_t *ip = frame + ETHERNET_BYTES;
	unsigned ip_bytes, segment;
	uint32_t s;

	if (len < ETHERNET_BYTES + 20)
		return false;
	if (be16(frame + 12) == ETHERTYPE_IPV4) {
		ip_bytes = (ip[0] & 15u) * 4;
		/* A fragment has no header of its own, or lacks the rest. */
		if (ip_bytes < 20 || ip[9] != PROTOCOL_TCP || be16(ip + 6) & 0x3fff || be16(ip + 2) < ip_bytes + TCP_BYTES)
			return false;
		segment = be16(ip + 2) - ip_bytes;
		s = sum_bytes(ip + 12, 8, 0);
	} else if (be16(frame + 12) == ETHERTYPE_IPV6 && len >= ETHERNET_BYTES + IPV6_BYTES && ip[6] == PROTOCOL_TCP) {
		ip_bytes = IPV6_BYTES;
		segment = be16(ip + 4);
		s = sum_bytes(ip + 8, 32, 0);
	} else {
		return false;
	}
	if (segment < TCP_BYTES || len < ETHERNET_BYTES + ip_bytes + segment)
		return false;
	s += PROTOCOL_TCP + segment;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	sum->start = (uint16_t)(ETHERNET_BYTES + ip_bytes);
	sum->offset = TCP_SUM_OFFSET;
	frame[sum->start + TCP_SUM_OFFSET] = (uint8_t)(s >> 8);
	frame[sum->start + TCP_SUM_OFFSET + 1] = (uint8_t)s;
	return true;
}
