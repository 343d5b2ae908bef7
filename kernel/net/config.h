/*
 * kernel/net/config.h - addresses, and what is known about the network beside them.
 */
#ifndef IBRIK_NET_CONFIG_H
#define IBRIK_NET_CONFIG_H

#include "lib/types.h"

struct dhcp_lease;
struct text;

enum { NET_SERVERS_MAX = 3, NET_SERVER_BYTES = 64, NET_SEARCH_BYTES = 520 };

/* What programs are told, from all sources: net.ip, else the lease; and router advertisements. */
struct net_names {
	char address[16];                                /* IPv4, as text; empty: none */
	char host[65];                                   /* empty: nobody says one */
	char search[NET_SEARCH_BYTES];                   /* domains, blanks between them */
	unsigned ndns, nntp;
	char dns[NET_SERVERS_MAX][NET_SERVER_BYTES];     /* addresses as text; IPv6 of the link with %interface */
	char ntp[NET_SERVERS_MAX][NET_SERVER_BYTES];
};

/* Starts DHCP, or takes the addresses of the option net.ip. Thread context. */
void net_config_start(void);
/* Waits a moment for the first address, and writes what /etc says about the network. Before the first program, once file systems are there. */
void net_config_wait(void);
/* From the DHCP client: what holds now; NULL: nothing. Core lock held. */
void net_config_lease(const struct dhcp_lease *l);
/* Is the IPv4 address that of net.ip? Core lock held. */
bool net_config_by_hand(void);
/* For how many seconds more the IPv4 address is to be used and is valid; UINT32_MAX: for ever. Core lock held. */
void net_config_lifetime(uint32_t *preferred_s, uint32_t *valid_s);
/* A copy. Takes the core lock. */
void net_names_get(struct net_names *out);
/* Lines for /proc/ibrik/net. Takes the core lock. */
void net_config_print(struct text *t);

/* etc_files.c: makes /etc/resolv.conf, /etc/hosts, /etc/hostname and the host name what net_names_get() says. May sleep; no lock held. */
void etc_files_write(void);
/* Reads what etc_files_write() will read, so that it takes less time then. */
void etc_files_look(void);

#endif
