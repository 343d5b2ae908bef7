/*
 * kernel/net/device.h - devices and interfaces, for net/core.c, net/config.c and the sockets. Core lock held for all but the last.
 */
#ifndef IBRIK_NET_DEVICE_H
#define IBRIK_NET_DEVICE_H

#include "net/net.h"

struct ip6_addr;

void net_loopback_init(void);
/* A packet of that many bytes went from here to here without lwIP's interface: it is counted there. Core lock held. */
void net_loopback_count(unsigned bytes);
/* Tells the devices that have frames which they do not know of. True: there were some. */
bool net_devices_flush(void);
/* The device has been polled: what it had no room for may be sent now. */
void net_transmit_retry(struct net_device *dev);
/* Makes an interface of every device; once, before the network thread runs. Takes the core lock itself. */
void net_devices_start(void);
/* The device of an interface, NULL for loopback. */
struct net_device *net_device_of(const struct netif *netif);
/* Name as Linux gives it: lo, eth0 ... */
void net_interface_name(const struct netif *netif, char name[16]);
/* The interface with that name, or NULL. */
struct netif *net_interface_find(const char *name);
/* Is that IPv6 address the interface's, and known to be nobody else's? */
bool net_has_ip6(struct netif *netif, const struct ip6_addr *ip);
/* Number as in if_nametoindex(): lo is 1. */
static inline unsigned net_interface_index(unsigned netif_num) { return netif_num + 1; }

#endif
