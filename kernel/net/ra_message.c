/*
 * kernel/net/ra_message.c - name servers and domains of router advertisements.
 *
 * Theory:    all options must be complete, else nothing of the message is taken. Of several lists the servers are joined; a list whose time is 0 takes its
 *            servers back, which here are all: there is one router that tells.
 * Interface: ra_message.h
 * Sources:   RFC 4861, 4.2 and 4.6; RFC 8106, section 5.
 */
#include "net/ra_message.h"
#include "net/dhcp_message.h"
#include "lib/string.h"

enum { HEADER_BYTES = 16, OPTION_UNIT = 8 };
enum { OPTION_SERVERS = 25, OPTION_DOMAINS = 31 };

static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

/* Could a server have it? Not ::, not ::1, no group. */
static bool address_ok(const uint8_t ip[16])
{
	static const uint8_t none[15];

	return ip[0] != 0xff && !(!memcmp(ip, none, 15) && ip[15] < 2);
}

static bool servers_read(const uint8_t *o, size_t len, struct ra_dns *out)
{
	if (len < 24 || (len - 8) % 16)
		return false;
	out->has_servers = true;
	out->servers_s = be32(o + 4);
	for (size_t at = 8; out->servers_s && at < len && out->n < RA_SERVERS_MAX; at += 16)
		if (address_ok(o + at))
			memcpy(out->servers[out->n++], o + at, 16);
	return true;
}

static bool domains_option(const uint8_t *o, size_t len, struct ra_dns *out)
{
	if (len < 16)
		return false;
	out->has_search = true;
	out->search_s = be32(o + 4);
	return domains_read(o + 8, len - 8, false, out->search, sizeof(out->search));
}

bool ra_parse(const uint8_t *icmp, size_t len, struct ra_dns *out)
{
	memset(out, 0, sizeof(*out));
	if (len < HEADER_BYTES || icmp[0] != RA_TYPE || icmp[1] != 0)
		return false;
	for (size_t at = HEADER_BYTES; at < len;) {
		size_t size;

		if (len - at < OPTION_UNIT || !icmp[at + 1])
			return false;
		size = (size_t)icmp[at + 1] * OPTION_UNIT;
		if (size > len - at)
			return false;
		if (icmp[at] == OPTION_SERVERS && !servers_read(icmp + at, size, out))
			return false;
		if (icmp[at] == OPTION_DOMAINS && !domains_option(icmp + at, size, out))
			return false;
		at += size;
	}
	return true;
}
