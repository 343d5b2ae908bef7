/*
 * tests/unit/net_config_test.c - what configures the network, as bytes and texts: DHCP messages, router advertisements, net.ip, the table of hosts.
 */
// sources: kernel/net/dhcp_message.c kernel/net/ra_message.c kernel/net/config_text.c kernel/lib/string.c kernel/lib/printf.c
// flags: -ffreestanding
#include "expect.h"
#include "net/config_text.h"
#include "net/dhcp_message.h"
#include "net/ra_message.h"

#define XID 0x12345678u
static const uint8_t mac[6] = { 2, 1, 2, 3, 4, 5 };
static uint8_t m[600];
static size_t len;
static struct dhcp_lease l;

static uint32_t ip(unsigned a, unsigned b, unsigned c, unsigned d) { return a | b << 8 | c << 16 | d << 24; }

/* A message of that type for 10.0.2.15 without options but the first two; `add` goes on, `end` ends it. */
static void begin(uint8_t type)
{
	static const uint8_t server[] = { 54, 4, 10, 0, 2, 2 };

	memset(m, 0, sizeof(m));
	m[0] = 2;
	m[1] = 1;
	m[2] = 6;
	memcpy(m + 4, "\x12\x34\x56\x78", 4);
	memcpy(m + 16, "\x0a\0\2\x0f", 4);
	memcpy(m + 28, mac, 6);
	memcpy(m + 236, "\x63\x82\x53\x63", 4);
	m[240] = 53;
	m[241] = 1;
	m[242] = type;
	memcpy(m + 243, server, sizeof(server));
	len = 243 + sizeof(server);
}

static void add(uint8_t code, const void *data, size_t n)
{
	m[len] = code;
	m[len + 1] = (uint8_t)n;
	memcpy(m + len + 2, data, n);
	len += 2 + n;
}

static const char *end(void)
{
	m[len++] = 255;
	return dhcp_parse(m, len, XID, mac, &l);
}

static void add_usual(void)
{
	add(1, "\xff\xff\xff\0", 4);
	add(3, "\x0a\0\2\2", 4);
	add(51, "\0\0\x0e\x10", 4);
}

static void a_lease_is_read(void)
{
	begin(DHCP_ACK);
	add_usual();
	add(6, "\x0a\0\2\3\x0a\0\2\4\x0a\0\2\3", 12);
	add(42, "\x0a\0\2\7", 4);
	add(12, "box", 3);
	add(15, "example.org\0", 12);
	add(26, "\x05\x14", 2);
	EXPECT(!end());
	EXPECT(l.type == DHCP_ACK && l.server == ip(10, 0, 2, 2) && l.address == ip(10, 0, 2, 15) && l.router == ip(10, 0, 2, 2) && l.prefix == 24);
	EXPECT(l.lease_s == 3600 && l.renew_s == 1800 && l.rebind_s == 3150);
	EXPECT(l.ndns == 2 && l.dns[1] == ip(10, 0, 2, 4) && l.nntp == 1 && l.ntp[0] == ip(10, 0, 2, 7));
	EXPECT(!strcmp(l.host, "box") && !strcmp(l.search, "example.org") && l.mtu == 1300 && !l.odd);
}

static void a_message_for_somebody_else_is_none(void)
{
	begin(DHCP_ACK);
	add_usual();
	m[4] ^= 1;
	EXPECT(end());
	begin(DHCP_ACK);
	add_usual();
	m[30] ^= 1;
	EXPECT(end());
	begin(DHCP_ACK);
	add_usual();
	m[0] = 1;
	EXPECT(end());
	begin(DHCP_ACK);
	add_usual();
	m[239] ^= 1;
	EXPECT(end());
	begin(9);
	add_usual();
	EXPECT(end());
}

static void every_cut_is_refused(void)
{
	begin(DHCP_ACK);
	add_usual();
	add(15, "example.org", 11);
	end();
	for (size_t cut = 0; cut < len; cut++)
		EXPECT(dhcp_parse(m, cut, XID, mac, &l));
	EXPECT(!dhcp_parse(m, len, XID, mac, &l));
	/* The end of the message is the end of its last option. */
	EXPECT(dhcp_parse(m, len - 1, XID, mac, &l));
}

static bool refused_with(uint8_t code, const void *data, size_t n)
{
	begin(DHCP_ACK);
	if (code != 1)
		add(1, "\xff\xff\xff\0", 4);
	if (code != 51)
		add(51, "\0\0\x0e\x10", 4);
	add(code, data, n);
	return end() != NULL;
}

static bool refused_for(unsigned a, unsigned b, unsigned c, unsigned d)
{
	uint32_t address = ip(a, b, c, d);

	begin(DHCP_ACK);
	add_usual();
	memcpy(m + 16, &address, 4);
	return end() != NULL;
}

static void absurd_values_make_no_lease(void)
{
	EXPECT(refused_for(0, 0, 0, 0) && refused_for(127, 0, 0, 1) && refused_for(224, 0, 0, 1) && refused_for(255, 255, 255, 255));
	EXPECT(refused_for(10, 0, 2, 0) && refused_for(10, 0, 2, 255) && !refused_for(10, 0, 2, 1));
	EXPECT(refused_with(1, "\xff\0\xff\0", 4) && refused_with(1, "\0\0\0\0", 4) && refused_with(1, "\xff\xff\xff", 3));
	EXPECT(!refused_with(1, "\xff\xff\xff\xff", 4) && l.prefix == 32);
	EXPECT(refused_with(51, "\0\0\0\0", 4) && refused_with(51, "\0\0\1", 3) && !refused_with(51, "\xff\xff\xff\xff", 4));
	EXPECT(l.lease_s == DHCP_FOR_EVER && l.renew_s == DHCP_FOR_EVER && l.rebind_s == DHCP_FOR_EVER);
	begin(DHCP_ACK);
	add(1, "\xff\xff\xff\0", 4);
	EXPECT(end()); /* without a time */
	begin(DHCP_ACK);
	add_usual();
	memset(m + 243, 0, 6); /* without a server */
	EXPECT(end());
}

static void odd_values_are_left_out(void)
{
	EXPECT(!refused_with(3, "\0\0\0\0", 4) && !l.router && l.odd);
	EXPECT(!refused_with(3, "\x0a\0\2\x0f", 4) && !l.router && l.odd);
	EXPECT(!refused_with(6, "\xff\xff\xff\xff\x0a\0\2\3", 8) && l.ndns == 1 && l.dns[0] == ip(10, 0, 2, 3) && l.odd);
	EXPECT(!refused_with(6, "\x0a\0\2\3\x0a", 5) && l.ndns == 1 && l.odd);
	EXPECT(!refused_with(26, "\0\x44", 2) && !l.mtu && l.odd);
	EXPECT(!refused_with(15, "a b", 3) && !l.search[0] && l.odd);
	EXPECT(!refused_with(15, "a\nnameserver 1.2.3.4", 20) && !l.search[0] && l.odd);
	EXPECT(!refused_with(12, "-x", 2) && !l.host[0] && l.odd);
	EXPECT(!refused_with(12, "\0", 1) && !l.host[0] && !l.odd);
	/* Times that cannot be are replaced. */
	EXPECT(!refused_with(58, "\xff\xff\xff\xff", 4) && l.renew_s <= l.rebind_s && l.rebind_s <= l.lease_s);
	EXPECT(!refused_with(59, "\0\0\0\0", 4) && l.rebind_s == 3150);
}

static void a_name_with_its_domain_is_both(void)
{
	EXPECT(!refused_with(12, "box.example.org", 15) && !strcmp(l.host, "box") && !strcmp(l.search, "example.org"));
}

static void options_in_other_fields_are_read(void)
{
	begin(DHCP_ACK);
	add(51, "\0\0\x0e\x10", 4);
	add(52, "\3", 1);
	memcpy(m + 108, "\1\4\xff\xff\0\0\xff", 7);
	memcpy(m + 44, "\x0f\3org\xff", 6);
	EXPECT(!end() && l.prefix == 16 && !strcmp(l.search, "org"));
	m[44 + 1] = 63; /* and must end there */
	EXPECT(dhcp_parse(m, len, XID, mac, &l));
	m[44 + 1] = 3;
	m[108 + 6] = 0;
	memset(m + 108 + 6, 0, 122);
	EXPECT(dhcp_parse(m, len, XID, mac, &l));
}

static void a_long_option_is_joined(void)
{
	begin(DHCP_ACK);
	add_usual();
	add(119, "\3eng\x07" "exam", 9);
	add(6, "\x0a\0\2\3", 4);
	add(119, "ple\3org\0\4mark\xc0\4", 15);
	EXPECT(!end() && !strcmp(l.search, "eng.example.org mark.example.org") && l.ndns == 1);
}

static void names_that_lead_astray(void)
{
	char out[100];

	EXPECT(domains_read((const uint8_t *)"\1a\0\1b\xc0\0", 7, true, out, sizeof(out)) && !strcmp(out, "a b.a"));
	EXPECT(!domains_read((const uint8_t *)"\xc0\0", 2, true, out, sizeof(out)) && !out[0]);
	EXPECT(!domains_read((const uint8_t *)"\1a\xc0\0", 4, true, out, sizeof(out)) && !out[0]); /* runs into itself */
	EXPECT(!domains_read((const uint8_t *)"\1a\xc0\5", 4, true, out, sizeof(out)) && !out[0]);
	EXPECT(!domains_read((const uint8_t *)"\x05" "ab", 3, true, out, sizeof(out)) && !out[0]);
	EXPECT(!domains_read((const uint8_t *)"\1a", 2, true, out, sizeof(out)) && !out[0]);
	EXPECT(!domains_read((const uint8_t *)"\1a\xc0", 3, true, out, sizeof(out)) && !out[0]);
	EXPECT(!domains_read((const uint8_t *)"\1a\0\1b\xc0\0\0", 8, false, out, sizeof(out)) && !out[0]); /* no pointers there */
	EXPECT(domains_read((const uint8_t *)"\1a\0\3a b\0\1c\0", 11, true, out, sizeof(out)) && !strcmp(out, "a c"));
	EXPECT(domains_read((const uint8_t *)"\1a\0\1b\0", 6, true, out, 3) && !strcmp(out, "a"));
}

static void a_request_has_what_it_should(void)
{
	uint8_t b[DHCP_MESSAGE_BYTES];
	struct dhcp_request r = { DHCP_REQUEST, XID, 3, { 2, 1, 2, 3, 4, 5 }, 0, ip(10, 0, 2, 15), ip(10, 0, 2, 2), 1500, "box" };
	size_t n = dhcp_build(b, &r);

	EXPECT(n == 300 && b[0] == 1 && !memcmp(b + 4, "\x12\x34\x56\x78\0\3", 6) && !memcmp(b + 28, mac, 6));
	EXPECT(!memcmp(b + 240, "\x35\1\3\x32\4\x0a\0\2\x0f\x36\4\x0a\0\2\2\x39\2\x05\xdc\x0c\3box", 24));
}

static uint8_t ra[200];

static size_t advertise(const void *options, size_t n)
{
	memset(ra, 0, sizeof(ra));
	ra[0] = 134;
	memcpy(ra + 16, options, n);
	return 16 + n;
}

static void name_servers_of_a_router(void)
{
	struct ra_dns d;
	size_t n = advertise("\x19\5\0\0\0\0\0\x1e\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
			     "\x1f\3\0\0\0\0\0\x3c\7example\3org\0\0\0\0", 64);

	EXPECT(ra_parse(ra, n, &d) && d.has_servers && d.n == 1 && d.servers[0][0] == 0xfe && d.servers_s == 30);
	EXPECT(d.has_search && d.search_s == 60 && !strcmp(d.search, "example.org"));
	for (size_t cut = 0; cut < n; cut++)
		if (cut != 16 && cut != 56)
			EXPECT(!ra_parse(ra, cut, &d));
	n = advertise("\x19\0\0\0\0\0\0\0", 8);
	EXPECT(!ra_parse(ra, n, &d));
	n = advertise("\x19\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	EXPECT(!ra_parse(ra, n, &d));
	n = advertise("\x19\3\0\0\0\0\0\0\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 24);
	EXPECT(ra_parse(ra, n, &d) && d.has_servers && d.n == 0 && d.servers_s == 0);
}

static unsigned nwrong;
static char last_wrong[64];

static void count_wrong(const char *word, const char *why)
{
	nwrong++;
	snprintf(last_wrong, sizeof(last_wrong), "%s", word);
	EXPECT(*why);
}

static bool by_hand(const char *text, struct net_by_hand *h)
{
	nwrong = 0;
	return net_by_hand_read(text, h, count_wrong);
}

static void addresses_by_hand(void)
{
	struct net_by_hand h;

	EXPECT(by_hand("10.0.0.2/24,gw=10.0.0.1,dns=10.0.0.3,dns=fe80::1,domain=a.b,domain=c,hostname=box,mtu=1400,ntp=1.2.3.4", &h) && !nwrong);
	EXPECT(h.address == ip(10, 0, 0, 2) && h.prefix == 24 && h.router == ip(10, 0, 0, 1) && h.ndns == 2 && !strcmp(h.dns[1], "fe80::1"));
	EXPECT(!strcmp(h.search, "a.b c") && !strcmp(h.host, "box") && h.mtu == 1400 && h.nntp == 1);
	EXPECT(by_hand("10.0.0.2/31", &h) && by_hand("10.0.0.0/31", &h) && by_hand("10.0.0.255/32", &h));
	static const char *const none[] = { "", "10.0.0.2", "10.0.0/24", "10.0.0.2/0", "10.0.0.2/33", "10.0.0.2/", "10.0.0.0/24", "10.0.0.255/24", "0.0.0.1/8",
		"127.0.0.2/8", "224.0.0.1/4", "10.0.0.256/24", "10.0.0.2.3/24", "010.0.0.0002/24", " 10.0.0.2/24", "10.0.0.2/2a", "gw=10.0.0.1" };
	for (unsigned i = 0; i < sizeof(none) / sizeof(*none); i++)
		EXPECT(!by_hand(none[i], &h) && nwrong == 1);
	static const char *const part[] = { "gw=10.0.0", "gw=10.0.0.2", "gw=0.0.0.0", "gw=", "dns=x", "dns=::1::", "domain=a b", "domain=", "hostname=-a", "mtu=500",
		"mtu=65536", "mtu=1e3", "router=1.2.3.4", "", "10.0.0.1", "ntp=1", "gw=10.0.0.255", "gw=10.0.0.0", "gw=192.168.7.1", "dns=0.0.0.0", "ntp=224.0.0.1",
		"dns=::" };
	for (unsigned i = 0; i < sizeof(part) / sizeof(*part); i++) {
		char text[80];

		snprintf(text, sizeof(text), "10.0.0.2/24,%s,dns=1.2.3.4", part[i]);
		EXPECT(by_hand(text, &h) && nwrong == 1 && !strcmp(last_wrong, part[i]) && h.ndns == 1 && !h.router && !h.mtu);
	}
	EXPECT(by_hand("10.0.0.2/24,gw=10.0.0.1,gw=10.0.0.3,mtu=1400,mtu=1300,hostname=a,hostname=b", &h) && nwrong == 3);
	EXPECT(h.router == ip(10, 0, 0, 1) && h.mtu == 1400 && !strcmp(h.host, "a"));
	EXPECT(by_hand("10.0.0.2/0000024,gw=10.0.0.1,mtu=0001400,dns=127.0.0.1", &h) && !nwrong && h.prefix == 24 && h.mtu == 1400);
	EXPECT(by_hand("10.0.0.2/32,gw=192.168.7.1", &h) && !nwrong && by_hand("10.0.0.2/31,gw=10.0.0.3", &h) && !nwrong);
	EXPECT(by_hand("10.0.0.2/24,dns=1.1.1.1,dns=1.1.1.2,dns=1.1.1.3,dns=1.1.1.4", &h) && nwrong == 1 && h.ndns == 3);
}

static void addresses_of_ipv6(void)
{
	static const char *const good[] = { "::", "::1", "1::", "fe80::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::ffff:1.2.3.4",
		"1:2:3:4:5:6:1.2.3.4", "2001:DB8::a" };
	static const char *const bad[] = { "", ":", ":::", "1", "1:2", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "::g", "1:2:3:4:5:6:7:", ":1::", "::1.2.3",
		"1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6:7:8::", "1.2.3.4", "::1%lo", "1::2:" };

	for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++)
		wrong = ipv6_ok(good[i]) ? wrong : good[i];
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		wrong = !ipv6_ok(bad[i]) ? wrong : *bad[i] ? bad[i] : "empty";
}

static bool edited(const char *table, const char *before, const char *line, const char *want)
{
	char out[200];
	size_t n = hosts_edit(table, before, line, out, sizeof(out));

	return n == strlen(want) && !strcmp(out, want);
}

static void the_table_of_hosts(void)
{
	EXPECT(edited("127.0.0.1 localhost\n127.0.1.1 box\n::1 localhost\n", "", "10.0.0.2 box", "127.0.0.1 localhost\n10.0.0.2 box\n::1 localhost\n"));
	EXPECT(edited("10.0.0.2 box\n", "10.0.0.2 box", "10.0.0.3 box.a box", "10.0.0.3 box.a box\n"));
	EXPECT(edited("127.0.0.1 localhost", "", "10.0.0.3 box", "127.0.0.1 localhost\n10.0.0.3 box\n"));
	EXPECT(edited("10.9.9.9 other box\n", "", "10.0.0.3 box", "10.9.9.9 other box\n"));
	EXPECT(edited("10.9.9.9 other # box\n", "", "10.0.0.3 box", "10.9.9.9 other # box\n10.0.0.3 box\n"));
	EXPECT(edited("127.0.1.10 x\n", "", "10.0.0.3 box", "127.0.1.10 x\n10.0.0.3 box\n"));
	EXPECT(edited("", "", "10.0.0.3 box", "10.0.0.3 box\n"));
	EXPECT(edited("127.0.1.1\tbox\n127.0.1.1 box\n", "", "10.0.0.3 box", "10.0.0.3 box\n"));
	/* Lines that are somebody else's stay: 127.0.1.1 of another name, and of this one where the table knows it elsewhere. */
	EXPECT(edited("127.0.0.1 localhost\n127.0.1.1 mine.example mine\n", "", "10.0.0.3 box",
		      "127.0.0.1 localhost\n127.0.1.1 mine.example mine\n10.0.0.3 box\n"));
	EXPECT(edited("10.9.9.9 box other\n127.0.1.1 mine\n", "", "10.0.0.3 box", "10.9.9.9 box other\n127.0.1.1 mine\n"));
	EXPECT(edited("10.9.9.9 box\n127.0.1.1 box\n", "", "10.0.0.3 box", "10.9.9.9 box\n127.0.1.1 box\n"));
	char small[10];
	EXPECT(hosts_edit("127.0.0.1 localhost\n", "", "10.0.0.3 box", small, sizeof(small)) == 33 && !small[9]);
}

int main(void)
{
	RUN(a_lease_is_read);
	RUN(a_message_for_somebody_else_is_none);
	RUN(every_cut_is_refused);
	RUN(absurd_values_make_no_lease);
	RUN(odd_values_are_left_out);
	RUN(a_name_with_its_domain_is_both);
	RUN(options_in_other_fields_are_read);
	RUN(a_long_option_is_joined);
	RUN(names_that_lead_astray);
	RUN(a_request_has_what_it_should);
	RUN(name_servers_of_a_router);
	RUN(addresses_by_hand);
	RUN(addresses_of_ipv6);
	RUN(the_table_of_hosts);
	return failed;
}
