/*
 * kernel/net/dhcp_message.h - DHCP messages as bytes: what a server's says, after everything in it has been checked; and ours.
 *
 * Pure functions, tested and fuzzed on the host. Addresses are in network order, as they stand in a message.
 */
#ifndef IBRIK_NET_DHCP_MESSAGE_H
#define IBRIK_NET_DHCP_MESSAGE_H

#include "lib/types.h"

enum { DHCP_DISCOVER = 1, DHCP_OFFER, DHCP_REQUEST, DHCP_DECLINE, DHCP_ACK, DHCP_NAK, DHCP_RELEASE };
enum { DHCP_SERVERS_MAX = 3, DHCP_NAME_BYTES = 65, DHCP_SEARCH_BYTES = 257, DHCP_MESSAGE_BYTES = 576 };
#define DHCP_FOR_EVER UINT32_MAX

/* What an offer or an acknowledgement says. What it does not say is 0 or empty. */
struct dhcp_lease {
	uint8_t type;                   /* DHCP_OFFER, DHCP_ACK; of a DHCP_NAK only `server` counts */
	uint32_t server, address, router;
	uint8_t prefix;                 /* length of the network's, 1 to 32 */
	uint32_t lease_s, renew_s, rebind_s; /* renew <= rebind <= lease; 1 at least, DHCP_FOR_EVER */
	unsigned ndns, nntp, mtu;       /* mtu: 576 at least */
	uint32_t dns[DHCP_SERVERS_MAX], ntp[DHCP_SERVERS_MAX];
	char host[DHCP_NAME_BYTES];     /* one label */
	char search[DHCP_SEARCH_BYTES]; /* domains, blanks between them; the first is the own */
	const char *odd;                /* something was left out of it; NULL: nothing */
};

/*
 * Reads an answer to the exchange xid of the card with that address. NULL, and *out is filled: every value in it may be used. Otherwise the reason
 * why the message is not one, as text.
 */
const char *dhcp_parse(const uint8_t *m, size_t len, uint32_t xid, const uint8_t mac[6], struct dhcp_lease *out);

struct dhcp_request {
	uint8_t type;
	uint32_t xid;
	uint16_t elapsed_s;
	uint8_t mac[6];
	uint32_t own;       /* the address that we have and ask to keep; 0: none */
	uint32_t wanted;    /* option 50; 0: none */
	uint32_t server;    /* option 54; 0: none */
	unsigned mtu;       /* what an answer may be long */
	const char *host;   /* option 12; NULL: none */
};

/* Writes it to m[DHCP_MESSAGE_BYTES]; answers its length. */
size_t dhcp_build(uint8_t *m, const struct dhcp_request *r);

/*
 * Domain names as RFC 1035 writes them (labels with lengths, pointers back if `pointers`), one behind the other, as text with blanks between them. What does
 * not fit into size is left out, and so are names that are not names. False: the bytes are malformed; out is then empty.
 */
bool domains_read(const uint8_t *p, size_t len, bool pointers, char *out, size_t size);
/* Letters, digits, hyphens and dots, none at the ends, labels of 1 to 63: what may stand in a file that programs read word by word. */
bool domain_ok(const char *name);

#endif
