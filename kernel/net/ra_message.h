/*
 * kernel/net/ra_message.h - what a router advertisement says about name servers (RFC 8106), which lwIP leaves out.
 *
 * A pure function, tested and fuzzed on the host.
 */
#ifndef IBRIK_NET_RA_MESSAGE_H
#define IBRIK_NET_RA_MESSAGE_H

#include "lib/types.h"

enum { RA_SERVERS_MAX = 3, RA_SEARCH_BYTES = 257, RA_TYPE = 134 };

struct ra_dns {
	unsigned n;
	uint8_t servers[RA_SERVERS_MAX][16];
	uint32_t servers_s;           /* how long they are good; 0: not any more. UINT32_MAX: for ever */
	char search[RA_SEARCH_BYTES]; /* domains, blanks between them */
	uint32_t search_s;
	bool has_servers, has_search;
};

/*
 * Reads an ICMPv6 message whose sum has been found right. False: it is no router advertisement, or malformed; *out is then not to be used.
 */
bool ra_parse(const uint8_t *icmp, size_t len, struct ra_dns *out);

#endif
