/*
 * tests/net/leases.c - the other end of a guest's link: a DHCP server and a router that change their minds, on QEMU's stream netdev.
 *
 *     leases PATH          listens at PATH, serves one guest until it hangs up, and prints a line for each thing that it does
 *     leases PATH fickle   the first lease is for ever, and when there is one the router names another server each FICKLE_MS for FICKLE_S seconds
 *
 * The story, with leases of LEASE_S seconds:
 *
 *     discover   lies first (see lies()), then an offer of 10.9.0.10 with everything beside it
 *     renew      granted, with another name server
 *     renew, rebind   no answer, until the lease is over
 *     discover   10.9.0.20
 *     renew      refused
 *     discover   10.9.0.30, for ever
 *
 * A router solicitation is answered by an advertisement of 2001:db8::/64 with a name server and a domain.
 *
 * Errors: a line on standard error and status 1.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LEASE_S 6
#define FICKLE_MS 3
#define FICKLE_S 6
#define FRAME_MAX 2000

enum { ETH = 14, IP4 = 20, UDP = 8, IP6 = 40, OPTIONS = 240 };
enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK };

static const uint8_t server_mac[6] = { 2, 0x64, 0, 0, 0, 1 };
static const uint8_t server_ip[4] = { 10, 9, 0, 1 };
static int peer;
static bool fickle;
static bool leased; /* an address */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned sum(const uint8_t *p, size_t n, unsigned start)
{
	uint64_t s = start;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += get16(p + i);
	if (n % 2)
		s += (unsigned)p[n - 1] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (unsigned)s;
}

/* A frame behind its length, as the netdev has it. */
static void send_frame(const uint8_t *f, size_t n)
{
	uint8_t head[4];

	put32(head, (uint32_t)n);
	if (write(peer, head, 4) != 4 || write(peer, f, n) != (ssize_t)n)
		die("write");
}

static bool read_all(void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = read(peer, (uint8_t *)p + done, n - done);

		if (r <= 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

static void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

/* --- DHCP ------------------------------------------------------------------------------------------------------------ */

static void send_udp(const uint8_t *message, size_t n)
{
	uint8_t f[FRAME_MAX] = { 0 }, *ip = f + ETH, *udp = ip + IP4;

	memset(f, 0xff, 6);
	memcpy(f + 6, server_mac, 6);
	put16(f + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(IP4 + UDP + n));
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, server_ip, 4);
	memset(ip + 16, 0xff, 4);
	put16(ip + 10, ~sum(ip, IP4, 0) & 0xffff);
	put16(udp, 67);
	put16(udp + 2, 68);
	put16(udp + 4, (unsigned)(UDP + n));
	memcpy(udp + UDP, message, n);
	send_frame(f, ETH + IP4 + UDP + n);
}

static uint8_t *option(uint8_t *p, uint8_t code, const void *data, size_t n)
{
	p[0] = code;
	p[1] = (uint8_t)n;
	memcpy(p + 2, data, n);
	return p + 2 + n;
}

/* Makes an answer to the message; its length. */
static size_t answer(uint8_t m[600], const uint8_t *asked, uint8_t type, uint8_t last, uint8_t dns, uint32_t lease)
{
	uint8_t *o = m + OPTIONS, servers[8] = { 10, 9, 0, dns, 10, 9, 0, 54 }, time[4], mtu[2];

	memset(m, 0, 600);
	m[0] = 2;
	m[1] = 1;
	m[2] = 6;
	memcpy(m + 4, asked + 4, 4);
	memcpy(m + 28, asked + 28, 16);
	memcpy(m + 236, "\x63\x82\x53\x63", 4);
	o = option(o, 53, &type, 1);
	o = option(o, 54, server_ip, 4);
	if (type != NAK) {
		memcpy(m + 16, server_ip, 3);
		m[19] = last;
		put32(time, lease);
		put16(mtu, 1400);
		o = option(o, 51, time, 4);
		o = option(o, 1, "\xff\xff\xff\0", 4);
		o = option(o, 3, server_ip, 4);
		o = option(o, 6, servers, 8);
		o = option(o, 12, last == 20 ? "second" : "first", last == 20 ? 6 : 5);
		o = option(o, 15, "example.org", 11);
		o = option(o, 26, mtu, 2);
		o = option(o, 42, "\x0a\x09\0\x7b", 4);
		o = option(o, 119, "\7example\3org\0\3lab\xc0\0", 19);
	}
	*o++ = 255;
	return (size_t)(o - m) < 300 ? 300 : (size_t)(o - m);
}

/* Offers and acknowledgements that nobody should take. */
static void lies(const uint8_t *asked, uint8_t type)
{
	uint8_t m[600];
	size_t n;

	for (unsigned lie = 0; lie < 8; lie++) {
		n = answer(m, asked, type, 99, 99, 3600);
		switch (lie) {
		case 0: m[7] ^= 1; break;                       /* of another exchange */
		case 1: m[33] ^= 1; break;                      /* for another card */
		case 2: memset(m + 16, 0xff, 4); break;         /* for everybody */
		case 3: m[16] = 127; break;
		case 4: memcpy(m + OPTIONS + 17, "\xff\0\xff\0", 4); break; /* a mask with a hole */
		case 5: memset(m + OPTIONS + 11, 0, 4); break;  /* no time at all */
		case 6: n = OPTIONS + 30; break;                /* cut off */
		case 7: m[OPTIONS + 22] = 250; break;           /* an option longer than the message */
		}
		send_udp(m, n);
	}
}

static void dhcp_hear(const uint8_t *m, size_t n, bool to_all)
{
	static const uint8_t addresses[] = { 10, 20, 30 };
	static unsigned round;         /* which of them */
	static bool given, granted;    /* it has been given; its lease has been renewed */
	uint32_t lease;
	uint8_t answered[600], type = 0;
	bool has_own = m[12];

	for (size_t at = OPTIONS; at + 2 < n && m[at] != 255; at += m[at] ? 2u + m[at + 1] : 1)
		if (m[at] == 53)
			type = m[at + 2];
	if (type == DISCOVER && given && round < 2) {
		round++;
		given = false;
	}
	lease = round == 2 || fickle ? UINT32_MAX : LEASE_S;
	if (type == DISCOVER || (type == REQUEST && !has_own)) {
		say(type == DISCOVER ? "discover" : "request");
		lies(m, type == DISCOVER ? OFFER : ACK);
		send_udp(answered, answer(answered, m, type == DISCOVER ? OFFER : ACK, addresses[round], 53, lease));
		given |= type == REQUEST;
		leased |= given;
	} else if (type == REQUEST && round == 0 && !granted) {
		say(to_all ? "rebind" : "renew");
		send_udp(answered, answer(answered, m, ACK, 10, 77, LEASE_S));
		granted = true;
	} else if (type == REQUEST && round == 1) {
		say(to_all ? "rebind, refused" : "renew, refused");
		send_udp(answered, answer(answered, m, NAK, 0, 0, 0));
	} else if (type == REQUEST) {
		say(to_all ? "rebind, no answer" : "renew, no answer");
	}
}

/* --- the rest of the link -------------------------------------------------------------------------------------------- */

static void arp_hear(const uint8_t *f)
{
	const uint8_t *a = f + ETH;
	uint8_t r[42] = { 0 };

	if (get16(a + 6) != 1 || memcmp(a + 24, server_ip, 4))
		return;
	memcpy(r, f + 6, 6);
	memcpy(r + 6, server_mac, 6);
	memcpy(r + 12, "\x08\x06\0\1\x08\0\6\4\0\2", 10);
	memcpy(r + 22, server_mac, 6);
	memcpy(r + 28, server_ip, 4);
	memcpy(r + 32, a + 8, 10);
	send_frame(r, sizeof(r));
}

/* Names the name server whose address ends so. */
static void advertise(unsigned server)
{
	static const uint8_t advertisement[] = {
		134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0,
		/* the prefix 2001:db8::/64 */
		3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		/* the name server 2001:db8::53 */
		25, 3, 0, 0, 0, 0, 0x0e, 0x10, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53,
		/* the domain six.example */
		31, 3, 0, 0, 0, 0, 0x0e, 0x10, 3, 's', 'i', 'x', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 0, 0,
	};
	uint8_t f[ETH + IP6 + sizeof(advertisement)] = { 0 }, *ip = f + ETH, *icmp = ip + IP6, pseudo[40] = { 0 };

	memcpy(f, "\x33\x33\0\0\0\1", 6);
	memcpy(f + 6, server_mac, 6);
	put16(f + 12, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, sizeof(advertisement));
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	memcpy(ip + 24, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	memcpy(icmp, advertisement, sizeof(advertisement));
	memcpy(pseudo, ip + 8, 32);
	put32(pseudo + 32, sizeof(advertisement));
	pseudo[39] = 58;
	/* One with a wrong sum, for another server, goes first. */
	icmp[16 + 32 + 23] = 0x99;
	send_frame(f, sizeof(f));
	put16(icmp + 16 + 32 + 22, server);
	put16(icmp + 2, ~sum(icmp, sizeof(advertisement), sum(pseudo, sizeof(pseudo), 0)) & 0xffff);
	send_frame(f, sizeof(f));
}

static void hear(const uint8_t *f, size_t n)
{
	const uint8_t *ip = f + ETH, *udp = ip + IP4;

	if (n >= ETH + 28 && get16(f + 12) == 0x0806)
		arp_hear(f);
	else if (n >= ETH + IP6 + 8 && get16(f + 12) == 0x86dd && ip[6] == 58 && ip[IP6] == 133)
		advertise(0x53);
	else if (n >= ETH + IP4 + UDP + OPTIONS && get16(f + 12) == 0x0800 && ip[9] == 17 && get16(udp + 2) == 67)
		dhcp_hear(udp + UDP, n - ETH - IP4 - UDP, ip[16] == 255);
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint8_t head[4], f[FRAME_MAX];

	unsigned said = 0;

	fickle = argc == 3 && !strcmp(argv[2], "fickle");
	if (argc != 2 + fickle || strlen(argv[1]) >= sizeof(a.sun_path))
		return 1;
	strcpy(a.sun_path, argv[1]);
	if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 1))
		die(argv[1]);
	alarm(120);
	peer = accept(l, NULL, NULL);
	if (peer < 0)
		die("accept");
	for (;;) {
		struct pollfd p = { .fd = peer, .events = POLLIN };
		size_t n;

		if (fickle && leased && said < FICKLE_S * 1000 / FICKLE_MS && !poll(&p, 1, FICKLE_MS)) {
			advertise(1 + said++);
			continue;
		}
		if (!read_all(head, 4))
			break;
		n = (size_t)get16(head) << 16 | get16(head + 2);
		if (n > sizeof(f) || !read_all(f, n))
			break;
		hear(f, n);
	}
	return 0;
}
