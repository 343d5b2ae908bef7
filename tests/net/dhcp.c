/*
 * tests/net/dhcp.c - a DHCP server on the relay, which tells lies first if it is asked to (RFC 2131, 2132).
 */
#include "hostile_private.h"

#include <string.h>

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK };
#define MESSAGE_BYTES 300
#define OPTIONS 240
#define LIES 12
#define LIED_ADDRESS 99 /* who believes a lie has this one, and is not found at the other */

static enum { OFF, GOOD, LYING, REFUSING } way;
static unsigned given, lease_seconds;
static const uint8_t server_mac[6] = { 2, 0x67, 0, 0, 0, 1 };
static const uint8_t network[3] = { 10, 9, 0 };

bool dhcp_answers(const char *how, unsigned address, unsigned lease)
{
	static const char *const ways[] = { "off", "good", "lies", "nak" };

	for (unsigned i = 0; i < 4; i++) {
		if (!strcmp(how, ways[i])) {
			way = i;
			given = address;
			lease_seconds = lease;
			return true;
		}
	}
	return false;
}

/* A message in answer to that of the guest; lie 0 is the truth. */
static void answer(const uint8_t *asked, unsigned type, unsigned lie)
{
	uint8_t frame[ETHERNET_BYTES + IP4_BYTES + UDP_BYTES + MESSAGE_BYTES] = { 0 };
	uint8_t *m = frame + ETHERNET_BYTES + IP4_BYTES + UDP_BYTES, *o = m + OPTIONS;
	uint8_t server[4] = { 10, 9, 0, 1 }, everyone[4] = { 255, 255, 255, 255 };
	size_t bytes = MESSAGE_BYTES;

	m[0] = 2;
	m[1] = 1;
	m[2] = 6;
	memcpy(m + 4, asked + 4, 4);
	memcpy(m + 28, asked + 28, 16);
	memcpy(m + 16, network, 3);
	m[19] = lie ? LIED_ADDRESS : (uint8_t)given;
	memcpy(m + 236, "\x63\x82\x53\x63", 4);
	o[0] = 53;
	o[1] = 1;
	o[2] = (uint8_t)type;
	memcpy(o + 3, "\x36\4\x0a\x09\0\1\1\4\xff\xff\xff\0\3\4\x0a\x09\0\1\x06\4\x0a\x09\0\1\x33\4", 26);
	put32(o + 29, lease_seconds);
	o[33] = 255;
	switch (lie) {
	case 1: /* of another exchange */
		m[4] ^= 0x55;
		break;
	case 2: /* for somebody else */
		m[28 + 5] ^= 1;
		break;
	case 3: /* ends in the middle of an option */
		bytes = OPTIONS + 1 + hostile_below(30);
		break;
	case 4: /* an option that is longer than the message */
		o[10] = 255;
		break;
	case 5: /* too short to be one */
		bytes = hostile_below(OPTIONS);
		break;
	case 6: /* another cookie */
		m[236] ^= 1;
		break;
	case 7: /* no type */
		memset(o, 0, 3);
		break;
	case 8: /* a request */
		m[0] = 1;
		break;
	case 9: /* options of length 0 */
		o[4] = o[10] = o[16] = o[28] = 0;
		break;
	case 10: /* nothing but noise behind the type */
		hostile_noise(o + 3, MESSAGE_BYTES - OPTIONS - 3);
		/* But not such noise as would be a lease. */
		memcpy(o + 3, "\x33\x03", 2);
		break;
	case 11: /* file and server name are said to hold options, which go on without an end */
		memcpy(o + 33, "\x34\1\3\xff", 4);
		memset(m + 44, 0x0c, 192);
		break;
	case 12:
		o[2] = 0;
		break;
	}
	frame_udp(frame + ETHERNET_BYTES + IP4_BYTES, 67, 68, bytes);
	frame_ip4(frame + ETHERNET_BYTES, server, everyone, PROTO_UDP, 0, 0, UDP_BYTES + bytes);
	frame_ethernet(frame, (const uint8_t *)"\xff\xff\xff\xff\xff\xff", server_mac, TYPE_IP4);
	hostile_to_guest(frame, ETHERNET_BYTES + IP4_BYTES + UDP_BYTES + bytes);
}

bool dhcp_hears(const uint8_t *f, size_t bytes)
{
	const uint8_t *m = f + ETHERNET_BYTES + IP4_BYTES + UDP_BYTES;
	unsigned type = 0;

	if (way == OFF || bytes < ETHERNET_BYTES + IP4_BYTES + UDP_BYTES + OPTIONS || get16(f + 12) != TYPE_IP4 ||
	    f[ETHERNET_BYTES + 9] != PROTO_UDP || get16(m - UDP_BYTES + 2) != 67)
		return false;
	for (size_t i = OPTIONS; m + i + 2 < f + bytes && m[i] != 255; i += 2u + m[i + 1])
		if (m[i] == 53)
			type = m[i + 2];
	if (type != DISCOVER && type != REQUEST)
		return true;
	if (way == REFUSING && type == REQUEST) {
		answer(m, NAK, 0);
		world.refusals++;
		return true;
	}
	for (unsigned lie = 1; way == LYING && lie <= LIES; lie++)
		answer(m, type == DISCOVER ? OFFER : ACK, lie);
	answer(m, type == DISCOVER ? OFFER : ACK, 0);
	return true;
}
