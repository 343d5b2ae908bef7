/*
 * tests/fuzz/net_config_fuzz.c - DHCP messages, router advertisements and net.ip of any bytes. The first byte chooses; what is taken holds what the
 * headers promise.
 */
// sources: kernel/net/dhcp_message.c kernel/net/ra_message.c kernel/net/config_text.c kernel/lib/string.c kernel/lib/printf.c
// flags: -ffreestanding
#include <stdlib.h>
#include <string.h>
#include "net/config_text.h"
#include "net/dhcp_message.h"
#include "net/ra_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool cond)
{
	if (!cond)
		abort();
}

/* Names with single blanks between them. */
static void names_ok(const char *list)
{
	char name[300];

	while (*list) {
		size_t n = 0;

		while (list[n] && list[n] != ' ')
			n++;
		must(n < sizeof(name));
		memcpy(name, list, n);
		name[n] = 0;
		must(domain_ok(name));
		list += n;
		if (*list)
			must(*++list != 0);
	}
}

static void lease(const uint8_t *data, size_t size)
{
	uint8_t mac[6] = { 0 }, m[1024];
	struct dhcp_lease l;

	/* As it is; and with all that must be right for anything else to be looked at. */
	dhcp_parse(data, size, 0, mac, &l);
	if (size > sizeof(m) - 243)
		return;
	memset(m, 0, 243);
	memcpy(m + 16, "\x0a\0\2\x0f", 4);
	if (size > 192)
		memcpy(m + 44, data, 192);
	memcpy(m + 240, data, size);
	m[0] = 2;
	m[1] = 1;
	m[2] = 6;
	memcpy(m + 236, "\x63\x82\x53\x63", 4);
	if (dhcp_parse(m, 240 + size, 0, mac, &l) || l.type == DHCP_NAK)
		return;
	must(l.type == DHCP_OFFER || l.type == DHCP_ACK);
	must(l.prefix >= 1 && l.prefix <= 32 && l.ndns <= DHCP_SERVERS_MAX && l.nntp <= DHCP_SERVERS_MAX);
	must(l.renew_s && l.renew_s <= l.rebind_s && l.rebind_s <= l.lease_s);
	must(!l.mtu || (l.mtu >= 576 && l.mtu < 65536));
	must(memchr(l.host, 0, sizeof(l.host)) && memchr(l.search, 0, sizeof(l.search)) && !strchr(l.host, '.') && !strchr(l.host, ' '));
	names_ok(l.host);
	names_ok(l.search);
}

static void nothing(const char *word, const char *why) { must(word && *why); }

static void by_hand(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *out = malloc(size + 80);
	struct net_by_hand h;
	size_t n;

	memcpy(text, data, size);
	text[size] = 0;
	if (net_by_hand_read(text, &h, nothing)) {
		must(h.prefix >= 1 && h.prefix <= 32 && h.ndns <= HAND_SERVERS_MAX && h.nntp <= HAND_SERVERS_MAX);
		must(!h.mtu || (h.mtu >= 576 && h.mtu < 65536));
		names_ok(h.search);
		names_ok(h.host);
	}
	n = hosts_edit(text, "10.0.0.1 a", "10.0.0.2 b c", out, size + 80);
	must(n < size + 80 && strlen(out) == n);
	free(text);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ra_dns d;
	char out[300];

	if (!size)
		return 0;
	switch (data[0] % 4) {
	case 0: lease(data + 1, size - 1); break;
	case 1:
		if (ra_parse(data + 1, size - 1, &d)) {
			must(d.n <= RA_SERVERS_MAX);
			names_ok(d.search);
		}
		break;
	case 2: by_hand(data + 1, size - 1); break;
	case 3:
		domains_read(data + 1, size - 1, true, out, sizeof(out));
		names_ok(out);
		break;
	}
	return 0;
}
