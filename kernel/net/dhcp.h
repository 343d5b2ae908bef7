/*
 * kernel/net/dhcp.h - the DHCP client of the first device.
 *
 * It keeps the interface's IPv4 address: sets it with a lease, takes it away when the lease ends or its server refuses it. What a lease says beside is told to
 * net_config_lease() (config.h). Core lock held for everything here.
 */
#ifndef IBRIK_NET_DHCP_H
#define IBRIK_NET_DHCP_H

#include "net/dhcp_message.h"

struct netif;

/* Begins to ask, once; host is the name to tell the server, or NULL. False: no memory. */
bool dhcp_client_start(struct netif *n, const char *host);
/* The link has come back: is the address still ours? */
void dhcp_client_link_up(void);
/* The lease that holds and how many seconds it has left (DHCP_FOR_EVER); NULL: none. */
const struct dhcp_lease *dhcp_client_lease(uint32_t *left_s);

#endif
