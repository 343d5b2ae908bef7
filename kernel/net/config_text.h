/*
 * kernel/net/config_text.h - the option net.ip, and the table of hosts: texts, read and made. Pure functions, tested on the host.
 */
#ifndef IBRIK_NET_CONFIG_TEXT_H
#define IBRIK_NET_CONFIG_TEXT_H

#include "lib/types.h"

enum { HAND_SERVERS_MAX = 3, HAND_SERVER_BYTES = 46 };

/* net.ip=ADDR/LEN[,gw=ADDR][,dns=ADDR]...[,domain=NAME]...[,hostname=NAME][,mtu=BYTES][,ntp=ADDR]... */
struct net_by_hand {
	uint32_t address, router;       /* network order; router 0: none */
	uint8_t prefix;
	unsigned mtu;                   /* 0: the device's */
	unsigned ndns, nntp;
	char dns[HAND_SERVERS_MAX][HAND_SERVER_BYTES]; /* IPv4 or IPv6, as text */
	char ntp[HAND_SERVERS_MAX][HAND_SERVER_BYTES];
	char search[257], host[65];
};

/*
 * Reads the value of the option. wrong() is called for each word that cannot be taken, with the reason; the word is then left out. False: there is no address.
 */
bool net_by_hand_read(const char *text, struct net_by_hand *out, void (*wrong)(const char *word, const char *why));

/* "a.b.c.d" with four numbers of 0 to 255, up to the end of the text, as an address in network order. */
bool ipv4_read(const char *text, uint32_t *out);
/* Is it an IPv6 address, without a zone? */
bool ipv6_ok(const char *text);

/*
 * The table of hosts with this machine's line in it: `line` takes the place of the line `before` (what was made by this function the last time, or ""), or of one that has
 * its name by 127.0.1.1, or goes behind the end. If another line knows one of the names of `line`, the table keeps all but `before`. Answers the length, which may be larger than size:
 * then out is not complete.
 */
size_t hosts_edit(const char *table, const char *before, const char *line, char *out, size_t size);

#endif
