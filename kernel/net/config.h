/*
 * kernel/net/config.h - addresses, and what /etc says about the network.
 */
#ifndef IBRIK_NET_CONFIG_H
#define IBRIK_NET_CONFIG_H

#include "lib/types.h"

/* Starts DHCP, or takes the addresses of the option net.ip. Thread context. */
void net_config_start(void);
/* Is the IPv4 address that of net.ip? Core lock held. */
bool net_config_by_hand(void);
/* For how many seconds more the IPv4 address is to be used and is valid; UINT32_MAX: for ever. Core lock held. */
void net_config_lifetime(uint32_t *preferred_s, uint32_t *valid_s);
/* From the network thread, core lock held: has a lease come or changed? */
void net_config_work(void);
/* Writes /etc/resolv.conf, once file systems are there; waits a moment for the first lease. Before the first program. */
void net_config_wait(void);

#endif
