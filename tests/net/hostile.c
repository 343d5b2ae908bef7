/*
 * tests/net/hostile.c - see hostile.h: attacks of which each frame stands alone. Conversations are in talk.c, DHCP in dhcp.c.
 */
#include "hostile_private.h"

#include <string.h>

struct hostile_world world;

static const struct attack *now_active;
static unsigned long sent;

/* --- what all of them use ---------------------------------------------------------------------------------------------- */

unsigned hostile_below(unsigned n) { return (unsigned)(relay_random() % n); }

void hostile_noise(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)relay_random();
}

void hostile_send(uint8_t *frame, size_t bytes)
{
	sent++;
	hostile_to_guest(frame, bytes < 60 ? 60 : bytes);
}

void hostile_send_ip4(uint8_t *frame, const uint8_t from[4], unsigned protocol, unsigned fragment, unsigned id, size_t bytes)
{
	frame_ip4(frame + ETHERNET_BYTES, from, world.guest_ip, protocol, fragment, id, bytes);
	frame_ethernet(frame, world.guest_mac, world.own_mac, TYPE_IP4);
	hostile_send(frame, ETHERNET_BYTES + IP4_BYTES + bytes);
}

static void send_ip6(uint8_t *frame, const uint8_t from[16], unsigned next, unsigned last, size_t skip, size_t bytes)
{
	static const uint8_t all[16] = { 0xff, 2, [15] = 1 };
	bool to_all = hostile_below(4) == 0;

	frame_ip6(frame + ETHERNET_BYTES, from, to_all ? all : world.guest_ip6, next, last, skip, bytes);
	frame_ethernet(frame, to_all ? (const uint8_t *)"\x33\x33\0\0\0\1" : world.guest_mac, world.own_mac, TYPE_IP6);
	hostile_send(frame, ETHERNET_BYTES + IP6_BYTES + bytes);
}

/* Somebody of the guest's network, or of anywhere. */
static void someone(uint8_t ip[4])
{
	hostile_noise(ip, 4);
	if (hostile_below(2))
		memcpy(ip, world.guest_ip, 3);
	else
		ip[0] = (uint8_t)(1 + ip[0] % 223);
}

static void someone6(uint8_t ip[16])
{
	hostile_noise(ip, 16);
	memcpy(ip, hostile_below(2) ? "\xfe\x80\0\0\0\0\0" : "\x20\x01\x0d\xb8\0\0\0", 8);
}

static uint8_t frame[FRAME_MAX + 100];
static uint8_t *const packet = frame + ETHERNET_BYTES, *const ip4_data = frame + ETHERNET_BYTES + IP4_BYTES,
	       *const ip6_data = frame + ETHERNET_BYTES + IP6_BYTES;

/* --- TCP ------------------------------------------------------------------------------------------------------------------- */

/* Options in every shape; right ones half of the time. A multiple of 4 bytes. */
static unsigned options(uint8_t *p)
{
	unsigned n = 4 * hostile_below(11);

	hostile_noise(p, n);
	for (unsigned i = 0; i + 4 <= n && hostile_below(4); i += 4) {
		p[i] = (uint8_t)hostile_below(10);
		p[i + 1] = (uint8_t)(hostile_below(3) ? 4 : hostile_below(12));
	}
	if (n >= 4 && hostile_below(2))
		memcpy(p, "\2\4\5\xb4", 4);
	return n;
}

static void send_tcp(const uint8_t from[4], struct tcp_fields f, size_t bytes)
{
	frame_tcp(ip4_data, &f);
	hostile_send_ip4(frame, from, PROTO_TCP, 0, hostile_below(65536), TCP_BYTES + f.option_bytes + bytes);
}

static void syn_flood(void)
{
	struct tcp_fields f = { (uint16_t)relay_random(), SERVICE_PORT, (uint32_t)relay_random(), 0, FLAG_SYN, 64240, 0 };
	uint8_t from[4];

	someone(from);
	memcpy(ip4_data + TCP_BYTES, "\2\4\5\xb4\4\2\x08\x0a\0\0\0\1\0\0\0\0\1\3\3\7", 20);
	f.option_bytes = 20;
	send_tcp(from, f, 0);
}

/* Any flags, any port, as a peer of nobody or (now and then) as the peer that the guest talks to. */
static void headers(void)
{
	struct tcp_fields f = { (uint16_t)relay_random(), hostile_below(4) ? SERVICE_PORT : (uint16_t)relay_random(), (uint32_t)relay_random(),
				(uint32_t)relay_random(), (uint8_t)relay_random(), (uint16_t)relay_random(), 0 };
	unsigned data = hostile_below(3) ? hostile_below(64) : hostile_below(1400);
	uint8_t from[4];

	someone(from);
	if (hostile_below(4) == 0 && world.peer_seen)
		memcpy(from, world.peer_ip, 4);
	f.option_bytes = options(ip4_data + TCP_BYTES);
	frame_tcp(ip4_data, &f);
	if (hostile_below(3) == 0)
		ip4_data[12] = (uint8_t)relay_random();
	frame_ip4(packet, from, world.guest_ip, hostile_below(4) ? PROTO_TCP : hostile_below(256), 0, 0, TCP_BYTES + f.option_bytes + data);
	if (hostile_below(2)) {
		/* One field of the IP header that lies, with a sum that does not. */
		packet[hostile_below(12)] = (uint8_t)relay_random();
		put16(packet + 10, 0);
		put16(packet + 10, frame_sum16(packet, IP4_BYTES, 0));
	}
	frame_ethernet(frame, world.guest_mac, world.own_mac, TYPE_IP4);
	hostile_send(frame, hostile_below(4) ? ETHERNET_BYTES + IP4_BYTES + TCP_BYTES + f.option_bytes + data : ETHERNET_BYTES + hostile_below(80));
}

/* What the peer said last, with a few bytes changed; mostly with right sums, since else nobody looks further. */
static void mutations(void)
{
	size_t n = world.last_bytes;
	uint8_t *p = frame;

	if (n < ETHERNET_BYTES + 8) {
		headers();
		return;
	}
	memcpy(frame, world.last, n);
	for (unsigned i = 1 + hostile_below(3); i; i--)
		p[ETHERNET_BYTES + hostile_below((unsigned)(n - ETHERNET_BYTES < 70 ? n - ETHERNET_BYTES : 70))] ^= (uint8_t)(1 << hostile_below(8));
	if (hostile_below(4) && get16(frame + 12) == TYPE_IP4 && n >= ETHERNET_BYTES + IP4_BYTES + TCP_BYTES) {
		uint8_t from[4], to[4];

		memcpy(from, packet + 12, 4);
		memcpy(to, packet + 16, 4);
		frame_ip4(packet, from, to, packet[9], 0, 0, n - ETHERNET_BYTES - IP4_BYTES);
	}
	hostile_send(frame, hostile_below(8) ? n : ETHERNET_BYTES + hostile_below((unsigned)(n - ETHERNET_BYTES)));
}

/* --- fragments --------------------------------------------------------------------------------------------------------------- */

/* Pieces of a datagram or segment in any order, with gaps and overlaps, sometimes beyond the longest packet. */
static void fragments(void)
{
	unsigned id = hostile_below(65536), protocol = hostile_below(3) ? PROTO_UDP : hostile_below(2) ? PROTO_ICMP : PROTO_TCP;
	uint8_t from[4];

	someone(from);
	for (unsigned pieces = 1 + hostile_below(6); pieces; pieces--) {
		unsigned at = hostile_below(4) ? hostile_below(40) : hostile_below(8192), n = hostile_below(3) ? 8 * (1 + hostile_below(6)) : 1 + hostile_below(1400);

		hostile_noise(ip4_data, n);
		if (at == 0)
			frame_udp(ip4_data, 4000, ECHO_PORT, n);
		hostile_send_ip4(frame, from, protocol, at | (hostile_below(3) ? 0x2000 : 0), id, n);
	}
}

/* Teardrop: the second piece lies inside the first. Bonk: it begins behind its end. The longest: it ends behind 65535. */
static void teardrops(void)
{
	static const struct { unsigned at, bytes, more; } shapes[][3] = {
		{ { 0, 36, 1 }, { 3, 4, 0 } },
		{ { 0, 28, 1 }, { 4, 28, 0 } },
		{ { 0, 1400, 1 }, { 8189, 1400, 0 } },
		{ { 0, 8, 1 }, { 0, 1400, 0 }, { 1, 8, 1 } },
		{ { 1, 8, 0 }, { 0, 8, 1 }, { 0, 16, 1 } },
		{ { 0, 0, 1 }, { 0, 0, 0 } },
	};
	unsigned s = hostile_below(sizeof(shapes) / sizeof(shapes[0])), id = hostile_below(65536);
	uint8_t from[4];

	someone(from);
	for (unsigned i = 0; i < 3; i++) {
		hostile_noise(ip4_data, shapes[s][i].bytes);
		hostile_send_ip4(frame, from, PROTO_UDP, shapes[s][i].at | (shapes[s][i].more ? 0x2000 : 0), id, shapes[s][i].bytes);
	}
}

static void fragments6(void)
{
	uint32_t id = (uint32_t)relay_random();
	uint8_t from[16];

	someone6(from);
	for (unsigned pieces = 1 + hostile_below(5); pieces; pieces--) {
		unsigned at = hostile_below(4) ? hostile_below(40) : hostile_below(8192), n = hostile_below(3) ? 8 * (1 + hostile_below(6)) : 1 + hostile_below(1200);

		hostile_noise(ip6_data, 8 + n);
		ip6_data[0] = (uint8_t)(hostile_below(4) ? PROTO_UDP : hostile_below(2) ? PROTO_FRAGMENT : relay_random());
		ip6_data[1] = 0;
		put16(ip6_data + 2, at << 3 | hostile_below(2));
		put32(ip6_data + 4, id);
		send_ip6(frame, from, PROTO_FRAGMENT, PROTO_NONE, 0, 8 + n);
	}
}

/* --- IPv6 ---------------------------------------------------------------------------------------------------------------------- */

/* Extension headers one behind the other, some longer than the packet, some that come where they may not. */
static void chains6(void)
{
	static const uint8_t kinds[] = { PROTO_HOP, PROTO_DESTINATION, PROTO_ROUTING, PROTO_FRAGMENT, 51, 135, 255 };
	static const uint8_t ends[] = { PROTO_NONE, PROTO_UDP, PROTO_TCP, PROTO_ICMP6, 200 };
	unsigned first = kinds[hostile_below(sizeof(kinds))], next = first, last;
	uint8_t from[16], *p = ip6_data;

	someone6(from);
	for (unsigned n = 1 + hostile_below(hostile_below(8) ? 6 : 120); n; n--) {
		unsigned bytes = next == PROTO_FRAGMENT ? 8 : 8 * (1 + hostile_below(3));

		next = n == 1 ? ends[hostile_below(sizeof(ends))] : kinds[hostile_below(hostile_below(4) ? 3 : sizeof(kinds))];
		hostile_noise(p, bytes);
		if (hostile_below(2))
			memset(p + 2, 0, bytes - 2);
		p[0] = (uint8_t)next;
		p[1] = (uint8_t)(hostile_below(12) ? bytes / 8 - 1 : relay_random());
		p += bytes;
	}
	last = next;
	hostile_noise(p, 40);
	send_ip6(frame, from, first, last, (size_t)(p - ip6_data), (size_t)(p - ip6_data) + hostile_below(41));
}

static void neighbours6(void)
{
	static const uint8_t types[] = { 133, 134, 135, 136, 137, 130, 131, 132 };
	unsigned n = 8 + 8 * hostile_below(12);
	uint8_t from[16];

	someone6(from);
	hostile_noise(ip6_data, n + 24);
	ip6_data[0] = types[hostile_below(sizeof(types))];
	ip6_data[1] = 0;
	if (hostile_below(3))
		memcpy(ip6_data + 8, hostile_below(2) ? world.guest_ip6 : from, 16);
	/* Options: link addresses, prefixes, redirected headers, MTU, route information; lengths that fit, mostly. */
	for (unsigned at = ip6_data[0] == 134 ? 16 : 24; at + 8 <= n;) {
		ip6_data[at] = (uint8_t)(1 + hostile_below(hostile_below(4) ? 5 : 30));
		ip6_data[at + 1] = (uint8_t)(ip6_data[at] == 3 ? 4 : hostile_below(10) ? 1 : relay_random());
		at += 8 * (ip6_data[at + 1] ? ip6_data[at + 1] : 1);
	}
	send_ip6(frame, from, PROTO_ICMP6, PROTO_ICMP6, 0, n);
}

/* --- ARP, ICMP, UDP, IGMP ---------------------------------------------------------------------------------------------------- */

static void arp_flood(void)
{
	uint8_t mac[6], ip[4], to[4];

	someone(ip);
	hostile_noise(mac, 6);
	if (hostile_below(4))
		mac[0] = 2;
	memcpy(to, world.guest_ip, 4);
	if (hostile_below(4) == 0)
		someone(to);
	frame_arp(packet, hostile_below(8) ? 1 + hostile_below(2) : hostile_below(65536), mac, ip, hostile_below(2) ? world.guest_mac : mac, to);
	if (hostile_below(8) == 0)
		packet[hostile_below(8)] = (uint8_t)relay_random();
	frame_ethernet(frame, hostile_below(2) ? world.guest_mac : (const uint8_t *)"\xff\xff\xff\xff\xff\xff", mac, TYPE_ARP);
	hostile_send(frame, ETHERNET_BYTES + (hostile_below(8) ? 28 : hostile_below(28)));
}

/* Somebody says that he is the guest, or that the peer is somewhere else. */
static void arp_spoof(void)
{
	static const uint8_t elsewhere[6] = { 2, 0x66, 6, 6, 6, 6 };
	const uint8_t *claimed = world.peer_seen && hostile_below(2) ? world.peer_ip : world.guest_ip;

	frame_arp(packet, 1 + hostile_below(2), elsewhere, claimed, world.guest_mac, world.guest_ip);
	frame_ethernet(frame, world.guest_mac, elsewhere, TYPE_ARP);
	hostile_send(frame, ETHERNET_BYTES + 28);
}

/* Pings of all sizes, redirects, and errors about connections that the guest may have. */
static void icmp_flood(void)
{
	static const uint8_t types[] = { 8, 8, 8, 3, 3, 4, 5, 11, 12, 13, 17, 0, 200 };
	unsigned n = hostile_below(2) ? 8 + hostile_below(56) : 8 + hostile_below(1400);
	uint8_t from[4];

	someone(from);
	hostile_noise(ip4_data, n);
	ip4_data[0] = types[hostile_below(sizeof(types))];
	ip4_data[1] = (uint8_t)hostile_below(16);
	if (n > 60 && world.last_bytes > ETHERNET_BYTES + 28 && get16(world.last + 12) == TYPE_IP4) {
		uint8_t *quoted = ip4_data + 8;

		/* As the guest would have sent it. */
		memcpy(quoted, world.last + ETHERNET_BYTES, 28);
		memcpy(quoted + 12, world.guest_ip, 4);
		memcpy(quoted + 16, world.peer_ip, 4);
		memcpy(quoted + 20, world.last + ETHERNET_BYTES + 22, 2);
		memcpy(quoted + 22, world.last + ETHERNET_BYTES + 20, 2);
	}
	hostile_send_ip4(frame, from, PROTO_ICMP, 0, hostile_below(65536), n);
}

static void icmp6_flood(void)
{
	static const uint8_t types[] = { 128, 128, 1, 2, 3, 4, 129, 200 };
	unsigned n = 8 + hostile_below(hostile_below(2) ? 56 : 1200);
	uint8_t from[16];

	someone6(from);
	hostile_noise(ip6_data, n);
	ip6_data[0] = types[hostile_below(sizeof(types))];
	ip6_data[1] = (uint8_t)hostile_below(8);
	if (ip6_data[0] == 2)
		put32(ip6_data + 4, hostile_below(4) ? hostile_below(1500) : 0);
	if (n > 8 + IP6_BYTES + TCP_BYTES && world.last_bytes >= ETHERNET_BYTES + IP6_BYTES + TCP_BYTES && get16(world.last + 12) == TYPE_IP6) {
		const uint8_t *came = world.last + ETHERNET_BYTES;
		uint8_t *quoted = ip6_data + 8;

		/* As the guest would have answered it, but for the number, which a stranger cannot know. */
		memcpy(quoted, came, 8);
		put16(quoted + 4, 1460);
		memcpy(quoted + 8, came + 24, 16);
		memcpy(quoted + 24, came + 8, 16);
		memcpy(quoted + 40, came + 42, 2);
		memcpy(quoted + 42, came + 40, 2);
	}
	send_ip6(frame, from, PROTO_ICMP6, PROTO_ICMP6, 0, n);
}

/* Packets that say they come from the guest itself, for a service that would answer them: a datagram of the echo to the echo, which would go round for ever, and a SYN. */
static void martians(void)
{
	uint8_t from[4] = { 127, 0, 0, 1 }, *p = frame + ETHERNET_BYTES + IP4_BYTES;
	struct tcp_fields f = { (uint16_t)(1024 + hostile_below(60000)), SERVICE_PORT, (uint32_t)relay_random(), 0, FLAG_SYN, 8192, 0 };

	if (hostile_below(2))
		memcpy(from, world.guest_ip, 4);
	if (hostile_below(2)) {
		frame_udp(p, ECHO_PORT, ECHO_PORT, 8);
		hostile_send_ip4(frame, from, PROTO_UDP, 0, 0, UDP_BYTES + 8);
	} else {
		frame_tcp(p, &f);
		hostile_send_ip4(frame, from, PROTO_TCP, 0, 0, TCP_BYTES);
	}
}

static void udp_flood(void)
{
	unsigned n = hostile_below(2) ? hostile_below(64) : hostile_below(1400);
	uint8_t from[4];

	someone(from);
	hostile_noise(ip4_data + UDP_BYTES, n);
	frame_udp(ip4_data, hostile_below(65536), hostile_below(2) ? ECHO_PORT : hostile_below(65536), hostile_below(8) ? n : hostile_below(65536));
	hostile_send_ip4(frame, from, PROTO_UDP, 0, 0, UDP_BYTES + n);
}

static void groups(void)
{
	unsigned n = 8 + 4 * hostile_below(8);
	uint8_t from[4];

	someone(from);
	hostile_noise(ip4_data, n);
	ip4_data[0] = (uint8_t)(hostile_below(4) ? 0x11 : 0x10 + hostile_below(16));
	ip4_data[1] = (uint8_t)(hostile_below(2) ? 1 : relay_random());
	put16(ip4_data + 2, 0);
	put16(ip4_data + 2, frame_sum16(ip4_data, n, 0));
	hostile_send_ip4(frame, from, 2, 0, 0, n);
}

/* Frames of all lengths, of kinds that nobody knows, longer than the guest's link takes. */
static void oversized(void)
{
	unsigned n = hostile_below(4) ? 1400 + hostile_below(9000) : hostile_below(2) ? hostile_below(60) : hostile_below(65000);
	uint8_t from[4];

	someone(from);
	hostile_noise(ip4_data, n < 200 ? n : 200);
	if (hostile_below(2)) {
		frame_udp(ip4_data, 5000, ECHO_PORT, n);
		hostile_send_ip4(frame, from, PROTO_UDP, 0, 0, UDP_BYTES + n);
	} else {
		frame_ethernet(frame, world.guest_mac, world.own_mac, hostile_below(2) ? hostile_below(65536) : 0x8100);
		sent++;
		hostile_to_guest(frame, ETHERNET_BYTES + n);
	}
}

/* Offers and refusals of a DHCP server that nobody asked. */
static void dhcp_unasked(void)
{
	size_t n = 240 + hostile_below(320);
	uint8_t *m = ip4_data + UDP_BYTES;

	hostile_noise(m, n);
	m[0] = 2;
	m[1] = 1;
	m[2] = 6;
	memcpy(m + 28, world.guest_mac, 6);
	memcpy(m + 236, "\x63\x82\x53\x63\x35\x01", 6);
	m[242] = (uint8_t)(hostile_below(2) ? 6 : hostile_below(10));
	frame_udp(ip4_data, 67, 68, n);
	hostile_send_ip4(frame, world.peer_ip, PROTO_UDP, 0, 0, UDP_BYTES + n);
}

/* --- the table ------------------------------------------------------------------------------------------------------------------ */

static const struct attack attacks[] = {
	{ "syn-flood", syn_flood, 0 },
	{ "half-open", talk_step, TALK_SILENT },
	{ "resets", talk_step, TALK_RESETS },
	{ "zero-windows", talk_step, TALK_ZERO_WINDOW },
	{ "segments", talk_step, TALK_SEGMENTS },
	{ "small-mss", talk_step, TALK_SMALL_MSS },
	{ "beyond-the-window", talk_step, TALK_BEYOND },
	{ "martians", martians, 0 },
	{ "holes", talk_step, TALK_HOLES },
	{ "headers", headers, 0 },
	{ "mutations", mutations, 0 },
	{ "fragments", fragments, 0 },
	{ "teardrops", teardrops, 0 },
	{ "fragments6", fragments6, 0 },
	{ "chains6", chains6, 0 },
	{ "neighbours6", neighbours6, 0 },
	{ "arp-flood", arp_flood, 0 },
	{ "arp-spoof", arp_spoof, 0 },
	{ "icmp-flood", icmp_flood, 0 },
	{ "icmp6-flood", icmp6_flood, 0 },
	{ "udp-flood", udp_flood, 0 },
	{ "groups", groups, 0 },
	{ "oversized", oversized, 0 },
	{ "dhcp-unasked", dhcp_unasked, 0 },
};

void hostile_names(FILE *to)
{
	for (size_t i = 0; i < sizeof(attacks) / sizeof(*attacks); i++)
		fprintf(to, "%s\n", attacks[i].name);
}

bool hostile_start(const char *name)
{
	now_active = NULL;
	talk_end();
	if (!name)
		return true;
	for (size_t i = 0; i < sizeof(attacks) / sizeof(*attacks); i++)
		if (!strcmp(attacks[i].name, name))
			now_active = &attacks[i];
	if (now_active && now_active->kind)
		talk_begin(now_active->kind);
	return now_active;
}

bool hostile_active(void) { return now_active && world.guest_seen; }

void hostile_step(void) { now_active->step(); }

void hostile_report(FILE *to)
{
	fprintf(to, "refused %lu sent %lu talks %lu wrong %lu\n", world.refusals, sent, world.talks_ended, world.talks_wrong);
}

/* --- what passes ---------------------------------------------------------------------------------------------------------------- */

bool hostile_hears(const uint8_t *f, size_t bytes)
{
	static const uint8_t zero[4];

	if (bytes < ETHERNET_BYTES + 28)
		return false;
	if (!world.guest_seen && get16(f + 12) == TYPE_ARP && memcmp(f + ETHERNET_BYTES + 14, zero, 4)) {
		memcpy(world.guest_mac, f + 6, 6);
		memcpy(world.guest_ip, f + ETHERNET_BYTES + 14, 4);
		/* Its link-local address is made of the other. */
		memcpy(world.guest_ip6, "\xfe\x80\0\0\0\0\0\0", 8);
		memcpy(world.guest_ip6 + 8, f + 6, 3);
		world.guest_ip6[8] ^= 2;
		world.guest_ip6[11] = 0xff;
		world.guest_ip6[12] = 0xfe;
		memcpy(world.guest_ip6 + 13, f + 9, 3);
		memcpy(world.own_mac, "\2\x66\0\0\0\1", 6);
		world.guest_seen = true;
	}
	return talk_hears(f, bytes);
}

void hostile_sees_peer(const uint8_t *f, size_t bytes)
{
	if (bytes >= ETHERNET_BYTES + 28 && get16(f + 12) == TYPE_ARP) {
		memcpy(world.peer_ip, f + ETHERNET_BYTES + 14, 4);
		world.peer_seen = true;
	}
	if (bytes <= sizeof(world.last)) {
		memcpy(world.last, f, bytes);
		world.last_bytes = bytes;
	}
}
