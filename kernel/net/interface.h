/*
 * kernel/net/interface.h - interfaces, addresses and routes as Linux describes them: what netlink, /proc/net, /sys and SIOCGIF* show.
 *
 * The functions make snapshots; they take the core lock themselves and hold it only while they copy.
 */
#ifndef IBRIK_NET_INTERFACE_H
#define IBRIK_NET_INTERFACE_H

#include "lib/types.h"

struct netif;

enum { NET_ADDRESSES_MAX = 6 };

struct net_address {
	uint16_t family;     /* AF_INET, AF_INET6 */
	uint8_t prefix;      /* length in bits */
	uint8_t scope;       /* RT_SCOPE_* of <linux/rtnetlink.h> */
	uint8_t flags;       /* IFA_F_* of <linux/if_addr.h> */
	uint8_t ip[16];      /* network order; IPv4: the first four bytes */
	bool has_broadcast;
	uint8_t broadcast[4];
	uint32_t preferred_s, valid_s; /* UINT32_MAX: for ever */
};

struct net_traffic {
	uint64_t rx_frames, rx_bytes, rx_dropped, tx_frames, tx_bytes, tx_dropped;
	uint64_t rx_large, tx_large, tx_joined; /* net.h */
	unsigned rx_queue, tx_queue; /* buffers that wait for frames, frames that wait to be sent, at the device */
};

struct net_interface {
	char name[16];
	unsigned index;      /* from 1 */
	unsigned flags;      /* IFF_* as in ifi_flags */
	unsigned mtu;
	uint16_t type;       /* ARPHRD_* */
	bool carrier;
	uint8_t mac[6];
	const char *device;  /* the driver's name and place; "" for loopback */
	unsigned naddresses;
	struct net_address addresses[NET_ADDRESSES_MAX]; /* IPv4 first */
	struct net_traffic traffic;
};

/* All interfaces by number, allocated: the caller frees. *n is set. NULL: no memory. May sleep. */
struct net_interface *net_interfaces(unsigned *n);
/* The one with that number or, if index is 0, with that name. 0, -ENODEV. May sleep. */
int net_interface_get(unsigned index, const char *name, struct net_interface *out);

struct net_route {
	uint16_t family;
	uint8_t prefix, type, table, protocol, scope; /* RTN_*, RT_TABLE_*, RTPROT_*, RT_SCOPE_* */
	uint8_t destination[16], gateway[16], source[16];
	bool has_gateway, has_source;
	unsigned ifindex, metric, mtu;
	char ifname[16];
	uint32_t expires_s;  /* UINT32_MAX: never */
};

/* What there is to go by, the default routes first; as net_interfaces(). */
struct net_route *net_routes(unsigned *n);

/* SIOCGIF* on a socket of any family. 0, -ENOTTY for what is no question about interfaces, -ENODEV, -EADDRNOTAVAIL, -EOPNOTSUPP, -EFAULT. */
long net_interface_ioctl(unsigned cmd, uaddr_t arg);

#endif
