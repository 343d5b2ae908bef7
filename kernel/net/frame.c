/*
 * kernel/net/frame.c - see frame.h. Sources: RFC 791, 8200, 9293 (section 3.1), 1071.
 */
#include "net/frame.h"
#include "lib/string.h"

#define ETHERNET_BYTES 14
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define IPV6_BYTES 40
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define TCP_BYTES 20
#define TCP_SUM_OFFSET 16
#define FLAG_PSH 0x08
#define FLAG_ACK 0x10

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t sum_bytes(const uint8_t *p, unsigned len, uint32_t sum)
{
	for (unsigned i = 0; i < len; i += 2)
		sum += be16(p + i);
	return sum;
}

static uint32_t sum_fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

/* --- sums ---------------------------------------------------------------------------------------------------- */

/* Where TCP's header begins in a frame of len bytes, of which `here` are there, and how many bytes belong to TCP. 0: it is no whole segment. */
static unsigned tcp_find(const uint8_t *frame, size_t here, size_t len, unsigned *segment)
{
	const uint8_t *ip = frame + ETHERNET_BYTES;
	unsigned ip_bytes;

	if (here < ETHERNET_BYTES + 20)
		return 0;
	if (be16(frame + 12) == ETHERTYPE_IPV4) {
		ip_bytes = (ip[0] & 15u) * 4;
		/* A fragment has no header of its own, or lacks the rest. */
		if (ip_bytes < 20 || ip[9] != PROTOCOL_TCP || be16(ip + 6) & 0x3fff || be16(ip + 2) < ip_bytes + TCP_BYTES)
			return 0;
		*segment = be16(ip + 2) - ip_bytes;
	} else if (be16(frame + 12) == ETHERTYPE_IPV6 && here >= ETHERNET_BYTES + IPV6_BYTES && ip[6] == PROTOCOL_TCP) {
		ip_bytes = IPV6_BYTES;
		*segment = be16(ip + 4);
	} else {
		return 0;
	}
	if (*segment < TCP_BYTES || len < ETHERNET_BYTES + ip_bytes + *segment || here < ETHERNET_BYTES + ip_bytes + TCP_BYTES)
		return 0;
	return ETHERNET_BYTES + ip_bytes;
}

static void pseudo_sum(uint8_t *frame, unsigned tcp, unsigned segment, struct frame_sum *sum)
{
	const uint8_t *ip = frame + ETHERNET_BYTES;
	uint32_t s = be16(frame + 12) == ETHERTYPE_IPV4 ? sum_bytes(ip + 12, 8, 0) : sum_bytes(ip + 8, 32, 0);

	put16(frame + tcp + TCP_SUM_OFFSET, sum_fold(s + PROTOCOL_TCP + segment));
	sum->start = (uint16_t)tcp;
	sum->offset = TCP_SUM_OFFSET;
}

bool frame_sum_prepare(uint8_t *frame, size_t len, struct frame_sum *sum)
{
	unsigned segment, tcp = tcp_find(frame, len, len, &segment);

	if (tcp)
		pseudo_sum(frame, tcp, segment, sum);
	return tcp;
}

/* --- flows --------------------------------------------------------------------------------------------------- */

uint32_t frame_flow(const uint8_t *frame, size_t here)
{
	const uint8_t *ip = frame + ETHERNET_BYTES;
	unsigned at, end, protocol, ports;
	uint32_t flow = 0;

	if (here >= ETHERNET_BYTES + 20 && be16(frame + 12) == ETHERTYPE_IPV4) {
		at = 12;
		end = 20;
		ports = (ip[0] & 15u) * 4;
		/* Only the first fragment has ports: all go where the addresses alone lead. */
		protocol = be16(ip + 6) & 0x3fff ? 0 : ip[9];
	} else if (here >= ETHERNET_BYTES + IPV6_BYTES && be16(frame + 12) == ETHERTYPE_IPV6) {
		at = 8;
		end = ports = IPV6_BYTES;
		protocol = ip[6];
	} else {
		return 0;
	}
	for (; at < end; at += 4)
		flow = (flow ^ be32(ip + at)) * 0x9e3779b1u;
	if ((protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) && here >= ETHERNET_BYTES + ports + 4)
		flow = (flow ^ be32(ip + ports)) * 0x9e3779b1u;
	return flow >> 16;
}

/* --- runs ---------------------------------------------------------------------------------------------------- */

/* As tcp_find(), but only for one that carries bytes, says nothing but ACK and PSH, and has its headers here and nothing behind it. */
static unsigned bytes_find(const uint8_t *frame, size_t here, size_t len, unsigned *data)
{
	unsigned segment, tcp = tcp_find(frame, here, len, &segment);

	if (!tcp || tcp + segment != len || (frame[tcp + 13] & ~FLAG_PSH) != FLAG_ACK)
		return 0;
	*data = tcp + (frame[tcp + 12] >> 4) * 4u;
	return *data >= tcp + TCP_BYTES && *data <= here && *data < len ? tcp : 0;
}

bool frame_run_begin(struct frame_run *run, const uint8_t *frame, size_t here, size_t len)
{
	unsigned data = 0, tcp = bytes_find(frame, here, len, &data);

	if (!tcp)
		return false;
	*run = (struct frame_run){ .tcp = (uint16_t)tcp, .data = (uint16_t)data, .size = (uint16_t)(len - data), .count = 1,
				   .bytes = (uint32_t)(len - data), .ipv6 = be16(frame + 12) == ETHERTYPE_IPV6,
				   .pushed = frame[tcp + 13] & FLAG_PSH, .open = true };
	return true;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Bytes from..to - 1 of both. For some dozen bytes of every segment that is sent, so by words. */
static bool same(const uint8_t *a, const uint8_t *b, unsigned from, unsigned to)
{
	uint64_t differ = 0;

	for (; from + 8 <= to; from += 8)
		differ |= load64(a + from) ^ load64(b + from);
	for (; from < to; from++)
		differ |= a[from] ^ b[from];
	return !differ;
}

unsigned frame_run_takes(const struct frame_run *run, const uint8_t *first, const uint8_t *frame, size_t here, size_t len)
{
	unsigned data = 0, tcp = bytes_find(frame, here, len, &data);
	const unsigned ip = ETHERNET_BYTES;

	if (!tcp || !run->open || tcp != run->tcp || data != run->data || len - data > run->size)
		return 0;
	/* The length of the whole, as IP counts it. */
	if (data - (run->ipv6 ? tcp : ip) + run->bytes + (len - data) > UINT16_MAX)
		return 0;
	/* Ethernet, and of IP all but its length and, in version 4, its number and sum; TCP's ports. */
	if (run->ipv6 ? !same(first, frame, 0, ip + 4) || !same(first, frame, ip + 6, tcp + 4)
		      : !same(first, frame, 0, ip + 2) || !same(first, frame, ip + 6, ip + 10) || !same(first, frame, ip + 12, tcp + 4) ||
				be16(frame + ip + 4) != ((be16(first + ip + 4) + run->count) & 0xffff))
		return 0;
	/* The acknowledgement and the header's length (what flags there may be has been looked at), the window, the urgent pointer and options. The sum
	 * is the device's. */
	if (be32(frame + tcp + 4) != be32(first + tcp + 4) + run->bytes || !same(first, frame, tcp + 8, tcp + 13) ||
	    !same(first, frame, tcp + 14, tcp + 16) || !same(first, frame, tcp + 18, data))
		return 0;
	return data;
}

void frame_run_add(struct frame_run *run, const uint8_t *frame, size_t len)
{
	run->count++;
	run->bytes += (uint32_t)(len - run->data);
	run->pushed |= frame[run->tcp + 13] & FLAG_PSH;
	run->open = len - run->data == run->size;
}

void frame_run_end(const struct frame_run *run, uint8_t *first, struct frame_sum *sum)
{
	uint8_t *ip = first + ETHERNET_BYTES;
	unsigned segment = run->data - run->tcp + run->bytes;

	if (run->count == 1) {
		/* As it is. */
	} else if (run->ipv6) {
		put16(ip + 4, segment);
	} else {
		put16(ip + 2, run->tcp - ETHERNET_BYTES + segment);
		put16(ip + 10, 0);
		put16(ip + 10, ~sum_fold(sum_bytes(ip, run->tcp - ETHERNET_BYTES, 0)));
	}
	if (run->pushed)
		first[run->tcp + 13] |= FLAG_PSH;
	pseudo_sum(first, run->tcp, segment, sum);
}
