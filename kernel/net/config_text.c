/*
 * kernel/net/config_text.c - the option net.ip, and the table of hosts.
 *
 * Interface: config_text.h
 * Errors:    reasons as text, for a line in the log each.
 */
#include "net/config_text.h"
#include "net/dhcp_message.h"
#include "lib/string.h"

#define WORD_BYTES 300
#define MTU_MIN 576
#define MTU_MAX 65535

/* Reads a decimal number up to its end; false: it is none, or larger than max. */
static bool number_read(const char *text, unsigned max, unsigned *out)
{
	unsigned n = 0;

	if (!*text)
		return false;
	while (text[0] == '0' && text[1])
		text++;
	if (strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
	}
	*out = n;
	return n <= max;
}

bool ipv4_read(const char *text, uint32_t *out)
{
	uint8_t bytes[4];

	for (unsigned i = 0; i < 4; i++) {
		unsigned n = 0, digits = 0;

		for (; *text >= '0' && *text <= '9' && digits < 4; text++, digits++)
			n = n * 10 + (unsigned)(*text - '0');
		if (!digits || digits > 3 || n > 255 || *text != (i < 3 ? '.' : 0))
			return false;
		text += i < 3;
		bytes[i] = (uint8_t)n;
	}
	memcpy(out, bytes, 4);
	return true;
}

bool ipv6_ok(const char *text)
{
	unsigned groups = 0, digits = 0;
	bool gap = false;
	uint32_t v4;

	if (!*text || (text[0] == ':' && text[1] != ':'))
		return false;
	for (;; text++) {
		char c = *text;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
			if (++digits > 4)
				return false;
			continue;
		}
		if (c == '.') { /* the last four bytes may be written as IPv4 */
			groups += 2;
			return ipv4_read(text - digits, &v4) && (gap ? groups < 8 : groups == 8);
		}
		if (digits)
			groups++;
		digits = 0;
		if (!c)
			return text[-1] != ':' && (gap ? groups < 8 : groups == 8);
		if (c != ':')
			return false;
		if (text[1] == ':') {
			if (gap)
				return false;
			gap = true;
			text++;
			if (!text[1])
				return groups < 8;
		}
	}
}

static bool unicast(uint32_t ip)
{
	uint8_t first = ((const uint8_t *)&ip)[0];

	return first != 0 && first < 224;
}

/* Could a host have the address, with a network of that length? */
static bool host_ok(uint32_t ip, unsigned len)
{
	uint32_t bits = len == 32 ? 0 : UINT32_MAX >> len, host = __builtin_bswap32(ip) & bits;

	return unicast(ip) && ((const uint8_t *)&ip)[0] != 127 && (len >= 31 || (host != 0 && host != bits));
}

static const char *address_take(char *word, struct net_by_hand *h)
{
	char *slash = strchr(word, '/');
	unsigned len;

	if (!slash)
		return "ADDR/LEN is wanted";
	*slash = 0;
	if (!ipv4_read(word, &h->address))
		return "it is no IPv4 address";
	if (!number_read(slash + 1, 32, &len) || !len)
		return "the length of a network is a number from 1 to 32";
	h->prefix = (uint8_t)len;
	if (!host_ok(h->address, len))
		return "no host can have this address";
	return NULL;
}

static const char *server_take(const char *value, char list[][HAND_SERVER_BYTES], unsigned *n)
{
	uint32_t v4;

	if (ipv4_read(value, &v4) ? !unicast(v4) : strlen(value) >= HAND_SERVER_BYTES || !ipv6_ok(value) || !strcmp(value, "::"))
		return "it is no address of a server";
	if (*n == HAND_SERVERS_MAX)
		return "there are three already";
	strlcpy(list[(*n)++], value, HAND_SERVER_BYTES);
	return NULL;
}

static const char *domain_take(const char *value, struct net_by_hand *h)
{
	size_t have = strlen(h->search);

	if (!domain_ok(value))
		return "it is no name";
	if (have + strlen(value) + 2 > sizeof(h->search))
		return "there is no room for it";
	snprintf(h->search + have, sizeof(h->search) - have, have ? " %s" : "%s", value);
	return NULL;
}

static const char *router_take(const char *value, struct net_by_hand *h)
{
	uint32_t ip;

	if (!ipv4_read(value, &ip) || !host_ok(ip, 32))
		return "it is no IPv4 address";
	if (ip == h->address)
		return "it is the machine's own address";
	/* A network of one or two addresses has its router elsewhere, on the same wire. */
	if (h->prefix < 31 && (__builtin_bswap32(ip ^ h->address) >> (32 - h->prefix) || !host_ok(ip, h->prefix)))
		return "it is no host of the machine's network";
	if (h->router)
		return "there is one already";
	h->router = ip;
	return NULL;
}

static const char *word_take(const char *word, struct net_by_hand *h)
{
	if (str_starts(word, "gw="))
		return router_take(word + 3, h);
	if (str_starts(word, "dns="))
		return server_take(word + 4, h->dns, &h->ndns);
	if (str_starts(word, "ntp="))
		return server_take(word + 4, h->ntp, &h->nntp);
	if (str_starts(word, "domain="))
		return domain_take(word + 7, h);
	if (str_starts(word, "hostname=")) {
		if (strlen(word + 9) >= sizeof(h->host) || !domain_ok(word + 9))
			return "it is no name";
		if (*h->host)
			return "there is one already";
		strlcpy(h->host, word + 9, sizeof(h->host));
		return NULL;
	}
	if (str_starts(word, "mtu=")) {
		unsigned mtu;

		if (!number_read(word + 4, MTU_MAX, &mtu) || mtu < MTU_MIN)
			return "it is a number from 576 to 65535";
		if (h->mtu)
			return "there is one already";
		h->mtu = mtu;
		return NULL;
	}
	return "gw=, dns=, domain=, hostname=, mtu= and ntp= are known";
}

bool net_by_hand_read(const char *text, struct net_by_hand *out, void (*wrong)(const char *word, const char *why))
{
	char word[WORD_BYTES], copy[WORD_BYTES];
	const char *why;

	memset(out, 0, sizeof(*out));
	for (bool first = true;; first = false) {
		const char *end = strchr(text, ',');
		size_t n = end ? (size_t)(end - text) : strlen(text);

		if (n >= sizeof(word)) {
			strlcpy(word, text, 40);
			why = "it is too long";
		} else {
			memcpy(word, text, n);
			word[n] = 0;
			strlcpy(copy, word, sizeof(copy));
			why = first ? address_take(copy, out) : word_take(word, out);
		}
		if (why) {
			wrong(word, why);
			if (first)
				return false;
		}
		if (!end)
			return true;
		text = end + 1;
	}
}

/* --- the table of hosts ------------------------------------------------------------------------------------------------ */

/* The next word of a line, which ends at `end` or at a comment; NULL: none. *n is its length. */
static const char *word_next(const char *at, const char *end, size_t *n)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	*n = 0;
	while (at + *n < end && at[*n] != ' ' && at[*n] != '\t' && at[*n] != '#')
		++*n;
	return *n ? at : NULL;
}

/* Does a line of the table have one of the names in `line`? Both begin with an address. */
static bool line_knows(const char *at, const char *end, const char *line)
{
	const char *word, *name;
	size_t n, len;

	word = word_next(at, end, &n);
	while (word && (word = word_next(word + n, end, &n))) {
		name = word_next(line, line + strlen(line), &len);
		while (name && (name = word_next(name + len, line + strlen(line), &len)))
			if (len == n && !strncmp(name, word, n))
				return true;
	}
	return false;
}

static void put(char *out, size_t size, size_t *n, const char *text, size_t len)
{
	if (*n + len < size)
		memcpy(out + *n, text, len);
	*n += len;
}

size_t hosts_edit(const char *table, const char *before, const char *line, char *out, size_t size)
{
	bool known = false, placed = false;
	size_t n = 0;

	for (unsigned pass = 0; pass < 2; pass++) { /* the first looks whether the names are known */
		const char *next;

		for (const char *at = table; *at; at = next) {
			const char *end = strchr(at, '\n');
			bool was, knows, stands_in;

			if (!end)
				end = at + strlen(at);
			next = *end ? end + 1 : end;
			was = *before && (size_t)(end - at) == strlen(before) && !strncmp(at, before, strlen(before));
			knows = !was && line_knows(at, end, line);
			stands_in = knows && str_starts(at, "127.0.1.1") && (at[9] == ' ' || at[9] == '\t');
			if (pass == 0) {
				known |= knows && !stands_in;
				continue;
			}
			/* A table that knows the name elsewhere keeps all that it had. */
			if (!was && (known || !stands_in)) {
				put(out, size, &n, at, (size_t)(end - at));
				put(out, size, &n, "\n", 1);
			} else if (!known && !placed) {
				put(out, size, &n, line, strlen(line));
				put(out, size, &n, "\n", 1);
				placed = true;
			}
		}
	}
	if (!known && !placed) {
		put(out, size, &n, line, strlen(line));
		put(out, size, &n, "\n", 1);
	}
	if (n < size)
		out[n] = 0;
	else if (size)
		out[size - 1] = 0;
	return n;
}
