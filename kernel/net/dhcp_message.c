/*
 * kernel/net/dhcp_message.c - DHCP messages as bytes.
 *
 * Theory:    a message has up to three areas with options: its end, and, if option 52 says so, the fields of the boot file and of the server's name.
 *            Each must be a sequence of complete options; what of an option stands in several places is joined (RFC 3396). A value that
 *            cannot be true makes the whole message none if the lease depends on it (address, mask, time), else it is left out.
 * Interface: dhcp_message.h
 * Errors:    reasons as text, for a line in the log.
 * Sources:   RFC 2131, 2132, 3396, 3397; RFC 1035, 4.1.4 for names.
 */
#include "net/dhcp_message.h"
#include "lib/string.h"

enum { AT_OP = 0, AT_HTYPE = 1, AT_HLEN = 2, AT_XID = 4, AT_SECS = 8, AT_CIADDR = 12, AT_YIADDR = 16, AT_CHADDR = 28, AT_SNAME = 44, AT_FILE = 108,
       AT_COOKIE = 236, AT_OPTIONS = 240 };
enum { SNAME_BYTES = 64, FILE_BYTES = 128, MESSAGE_MIN = 300 };
enum { OP_REQUEST = 1, OP_REPLY = 2, HTYPE_ETHERNET = 1 };
enum { PAD = 0, MASK = 1, ROUTER = 3, DNS = 6, HOST = 12, DOMAIN = 15, MTU = 26, NTP = 42, WANTED = 50, LEASE = 51, OVERLOAD = 52, TYPE = 53, SERVER = 54,
       PARAMETERS = 55, MAX_SIZE = 57, RENEW = 58, REBIND = 59, SEARCH = 119, END = 255 };
enum { OVERLOAD_FILE = 1, OVERLOAD_SNAME = 2 };

#define MTU_MIN 576       /* what every host must be able to take */
#define OPTION_BYTES 512  /* of an option that is joined */
#define SEARCH_NAMES 6    /* what glibc took for long */

static const uint8_t cookie[4] = { 99, 130, 83, 99 };

static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static uint32_t raw32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* --- options ---------------------------------------------------------------------------------------------------- */

struct area {
	const uint8_t *p;
	size_t len;
};

struct options {
	struct area areas[3];
	unsigned n;
};

/* Is it a sequence of complete options with an end? */
static bool area_ok(const struct area *a)
{
	size_t at = 0;

	while (at < a->len && a->p[at] != END) {
		if (a->p[at] == PAD) {
			at++;
			continue;
		}
		if (a->len - at < 2 || a->len - at - 2 < a->p[at + 1])
			return false;
		at += 2u + a->p[at + 1];
	}
	return at < a->len;
}

/* Joins what there is of an option; answers its length, at most size. 0: it is not there, or is empty. */
static size_t option_read(const struct options *o, uint8_t code, uint8_t *out, size_t size)
{
	size_t n = 0;

	for (unsigned i = 0; i < o->n; i++) {
		const struct area *a = &o->areas[i];

		for (size_t at = 0; a->p[at] != END;) {
			size_t len;

			if (a->p[at] == PAD) {
				at++;
				continue;
			}
			len = a->p[at + 1];
			if (a->p[at] == code) {
				size_t part = MIN(len, size - n);

				memcpy(out + n, a->p + at + 2, part);
				n += part;
			}
			at += 2 + len;
		}
	}
	return n;
}

/* A number of exactly that many bytes. */
static bool option_number(const struct options *o, uint8_t code, size_t bytes, uint32_t *out)
{
	uint8_t p[5];

	if (option_read(o, code, p, bytes + 1) != bytes)
		return false;
	*out = 0;
	for (size_t i = 0; i < bytes; i++)
		*out = *out << 8 | p[i];
	return true;
}

static bool options_find(const uint8_t *m, size_t len, struct options *o)
{
	uint32_t overload = 0;

	o->areas[0] = (struct area){ m + AT_OPTIONS, len - AT_OPTIONS };
	o->n = 1;
	if (!area_ok(&o->areas[0]))
		return false;
	option_number(o, OVERLOAD, 1, &overload);
	if (overload & OVERLOAD_FILE)
		o->areas[o->n++] = (struct area){ m + AT_FILE, FILE_BYTES };
	if (overload & OVERLOAD_SNAME)
		o->areas[o->n++] = (struct area){ m + AT_SNAME, SNAME_BYTES };
	for (unsigned i = 1; i < o->n; i++)
		if (!area_ok(&o->areas[i]))
			return false;
	return true;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* Could a host have it? In network order. */
static bool address_ok(uint32_t ip)
{
	uint8_t first = ((const uint8_t *)&ip)[0];

	return first != 0 && first != 127 && first < 224;
}

static unsigned addresses(const struct options *o, uint8_t code, uint32_t out[DHCP_SERVERS_MAX], const char **odd)
{
	uint8_t p[OPTION_BYTES];
	size_t len = option_read(o, code, p, sizeof(p));
	unsigned n = 0;

	if (len % 4)
		*odd = "a list of addresses has a wrong length";
	for (size_t at = 0; at + 4 <= len; at += 4) {
		bool again = false;

		for (unsigned i = 0; i < n; i++)
			again |= out[i] == raw32(p + at);
		if (!address_ok(raw32(p + at)))
			*odd = "a server's address is none";
		else if (n < DHCP_SERVERS_MAX && !again)
			out[n++] = raw32(p + at);
	}
	return n;
}

static const char *network_read(const struct options *o, struct dhcp_lease *l)
{
	uint32_t mask, bits, host;
	uint8_t p[OPTION_BYTES], first = ((const uint8_t *)&l->address)[0];
	size_t len = option_read(o, MASK, p, sizeof(p));

	if (!len) { /* as the classes of addresses have it */
		l->prefix = first < 128 ? 8 : first < 192 ? 16 : 24;
	} else {
		if (len != 4)
			return "its mask has a wrong length";
		mask = ~be32(p);
		if (mask == UINT32_MAX || (mask & (mask + 1)))
			return "its mask is none";
		l->prefix = mask ? (uint8_t)__builtin_clz(mask) : 32;
	}
	bits = l->prefix == 32 ? 0 : UINT32_MAX >> l->prefix;
	host = be32((const uint8_t *)&l->address) & bits;
	if (l->prefix < 31 && (host == 0 || host == bits))
		return "its address is that of the whole network";
	len = option_read(o, ROUTER, p, sizeof(p));
	if (len && (len % 4 || !address_ok(raw32(p)) || raw32(p) == l->address))
		l->odd = "its router is none";
	else if (len)
		l->router = raw32(p);
	return NULL;
}

static const char *times_read(const struct options *o, struct dhcp_lease *l)
{
	uint32_t t;

	if (!option_number(o, LEASE, 4, &l->lease_s)) {
		if (l->type == DHCP_ACK)
			return "it has no time";
		l->lease_s = DHCP_FOR_EVER;
	}
	if (!l->lease_s)
		return "its time is over at once";
	l->rebind_s = l->lease_s == DHCP_FOR_EVER ? DHCP_FOR_EVER : (uint32_t)((uint64_t)l->lease_s * 7 / 8);
	if (option_number(o, REBIND, 4, &t) && t && t <= l->lease_s)
		l->rebind_s = t;
	l->renew_s = l->lease_s == DHCP_FOR_EVER ? DHCP_FOR_EVER : l->lease_s / 2;
	if (option_number(o, RENEW, 4, &t) && t)
		l->renew_s = t;
	l->rebind_s = MAX(l->rebind_s, 1u);
	l->renew_s = MAX(MIN(l->renew_s, l->rebind_s), 1u);
	return NULL;
}

/* Takes a text out of an option; true if it is a name. */
static bool name_read(const struct options *o, uint8_t code, char *out, size_t size)
{
	uint8_t p[OPTION_BYTES];
	size_t len = option_read(o, code, p, sizeof(p));

	while (len && (!p[len - 1] || p[len - 1] == '.'))
		len--;
	*out = 0;
	if (!len)
		return true;
	if (len >= size || memchr(p, 0, len))
		return false;
	memcpy(out, p, len);
	out[len] = 0;
	if (domain_ok(out))
		return true;
	*out = 0;
	return false;
}

/* Is it one of the words of a list? */
static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; at && *at; at = strchr(at, ' ')) {
		at += *at == ' ';
		if (!strncmp(at, name, len) && (!at[len] || at[len] == ' '))
			return true;
	}
	return false;
}

static void names_read(const struct options *o, struct dhcp_lease *l)
{
	char name[256], domain[256], search[DHCP_SEARCH_BYTES], *dot, *word, *next;
	uint8_t p[OPTION_BYTES];
	size_t len;

	if (!name_read(o, DOMAIN, domain, sizeof(domain)))
		l->odd = "its domain is not a name";
	if (!name_read(o, HOST, name, sizeof(name)))
		l->odd = "its host name is not a name";
	/* A name with its domain says the domain, too. */
	dot = strchr(name, '.');
	if (dot) {
		*dot = 0;
		if (!domain[0])
			strlcpy(domain, dot + 1, sizeof(domain));
	}
	strlcpy(l->host, name, sizeof(l->host));
	strlcpy(l->search, domain, sizeof(l->search));
	len = option_read(o, SEARCH, p, sizeof(p));
	if (!len)
		return;
	if (!domains_read(p, len, true, search, sizeof(search))) {
		l->odd = "its list of domains is malformed";
		return;
	}
	for (word = search; *word; word = next) {
		size_t have = strlen(l->search);

		next = strchr(word, ' ');
		if (next)
			*next++ = 0;
		else
			next = word + strlen(word);
		if (!listed(l->search, word) && have + strlen(word) + 2 <= sizeof(l->search))
			snprintf(l->search + have, sizeof(l->search) - have, have ? " %s" : "%s", word);
	}
}

const char *dhcp_parse(const uint8_t *m, size_t len, uint32_t xid, const uint8_t mac[6], struct dhcp_lease *out)
{
	struct options o;
	struct dhcp_lease l = { 0 };
	const char *why;
	uint32_t n;

	if (len <= AT_OPTIONS || m[AT_OP] != OP_REPLY || m[AT_HTYPE] != HTYPE_ETHERNET || m[AT_HLEN] != 6 || memcmp(m + AT_COOKIE, cookie, sizeof(cookie)))
		return "it is no answer";
	if (be32(m + AT_XID) != xid || memcmp(m + AT_CHADDR, mac, 6))
		return "it is for somebody else";
	if (!options_find(m, len, &o))
		return "its options are malformed";
	if (!option_number(&o, TYPE, 1, &n) || (n != DHCP_OFFER && n != DHCP_ACK && n != DHCP_NAK))
		return "it has no type";
	l.type = (uint8_t)n;
	if (!option_number(&o, SERVER, 4, &n))
		return "its server has no address";
	l.server = __builtin_bswap32(n);
	if (!address_ok(l.server))
		return "its server has no address";
	if (l.type != DHCP_NAK) {
		l.address = raw32(m + AT_YIADDR);
		if (!address_ok(l.address))
			return "its address is none";
		why = network_read(&o, &l);
		if (!why)
			why = times_read(&o, &l);
		if (why)
			return why;
		l.ndns = addresses(&o, DNS, l.dns, &l.odd);
		l.nntp = addresses(&o, NTP, l.ntp, &l.odd);
		if (option_number(&o, MTU, 2, &n)) {
			if (n >= MTU_MIN)
				l.mtu = n;
			else
				l.odd = "its MTU is too small";
		}
		names_read(&o, &l);
	}
	*out = l;
	return NULL;
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

bool domain_ok(const char *name)
{
	size_t label = 0;

	for (const char *c = name;; c++) {
		if (!*c || *c == '.') {
			if (!label || label > 63 || c[-1] == '-')
				return false;
			if (!*c)
				return true;
			label = 0;
			continue;
		}
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') && *c != '_' && (*c != '-' || !label))
			return false;
		label++;
	}
}

/*
 * Reads the name at *at into out, which has 256 bytes, and moves on behind it. A pointer leads to an earlier place only, so that following them ends. False:
 * malformed. A name that is too long or has bytes that no name has is empty.
 */
static bool domain_read(const uint8_t *p, size_t len, bool pointers, size_t *at, char *out)
{
	size_t here = *at, limit = len, n = 0;
	bool jumped = false, wrong = false;

	for (;;) {
		unsigned label;

		if (here >= limit)
			return false;
		label = p[here];
		if (label >= 0xc0 && pointers) {
			size_t to;

			if (limit - here < 2)
				return false;
			to = (label & 0x3fu) << 8 | p[here + 1];
			if (!jumped)
				*at = here + 2;
			if (to >= here)
				return false;
			jumped = true;
			limit = here; /* what it leads to lies before it */
			here = to;
			continue;
		}
		if (label > 63 || limit - here - 1 < label)
			return false;
		if (!label)
			break;
		wrong |= memchr(p + here + 1, 0, label) || memchr(p + here + 1, '.', label) || n + label + 1 > 254;
		if (!wrong) {
			if (n)
				out[n++] = '.';
			memcpy(out + n, p + here + 1, label);
			n += label;
		}
		here += 1 + label;
	}
	if (!jumped)
		*at = here + 1;
	out[wrong ? 0 : n] = 0;
	return true;
}

bool domains_read(const uint8_t *p, size_t len, bool pointers, char *out, size_t size)
{
	size_t at = 0, n = 0;
	unsigned count = 0;
	char name[256];

	*out = 0;
	while (at < len) {
		/* Zeros fill up an option of IPv6. */
		if (!p[at] && !pointers) {
			at++;
			continue;
		}
		if (!domain_read(p, len, pointers, &at, name)) {
			*out = 0;
			return false;
		}
		if (!name[0] || !domain_ok(name) || count == SEARCH_NAMES || n + strlen(name) + 2 > size)
			continue;
		n += (size_t)snprintf(out + n, size - n, n ? " %s" : "%s", name);
		count++;
	}
	return true;
}

/* --- ours ------------------------------------------------------------------------------------------------------------ */

static uint8_t *option(uint8_t *p, uint8_t code, const void *data, size_t len)
{
	p[0] = code;
	p[1] = (uint8_t)len;
	memcpy(p + 2, data, len);
	return p + 2 + len;
}

size_t dhcp_build(uint8_t *m, const struct dhcp_request *r)
{
	static const uint8_t parameters[] = { MASK, ROUTER, DNS, HOST, DOMAIN, MTU, NTP, LEASE, SERVER, RENEW, REBIND, SEARCH };
	const uint8_t size[2] = { (uint8_t)(r->mtu >> 8), (uint8_t)r->mtu };
	uint8_t *p = m + AT_OPTIONS;

	memset(m, 0, DHCP_MESSAGE_BYTES);
	m[AT_OP] = OP_REQUEST;
	m[AT_HTYPE] = HTYPE_ETHERNET;
	m[AT_HLEN] = 6;
	for (unsigned i = 0; i < 4; i++)
		m[AT_XID + i] = (uint8_t)(r->xid >> (24 - 8 * i));
	m[AT_SECS] = (uint8_t)(r->elapsed_s >> 8);
	m[AT_SECS + 1] = (uint8_t)r->elapsed_s;
	memcpy(m + AT_CIADDR, &r->own, 4);
	memcpy(m + AT_CHADDR, r->mac, 6);
	memcpy(m + AT_COOKIE, cookie, sizeof(cookie));
	p = option(p, TYPE, &r->type, 1);
	if (r->wanted)
		p = option(p, WANTED, &r->wanted, 4);
	if (r->server)
		p = option(p, SERVER, &r->server, 4);
	p = option(p, MAX_SIZE, size, 2);
	if (r->host && *r->host && strlen(r->host) < DHCP_NAME_BYTES)
		p = option(p, HOST, r->host, strlen(r->host));
	p = option(p, PARAMETERS, parameters, sizeof(parameters));
	*p++ = END;
	return MAX((size_t)(p - m), (size_t)MESSAGE_MIN);
}
