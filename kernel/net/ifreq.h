/*
 * kernel/net/ifreq.h - what SIOCGIF* passes: struct ifreq and struct ifconf of the Linux ABI, whose header wants a C library.
 */
#ifndef IBRIK_NET_IFREQ_H
#define IBRIK_NET_IFREQ_H

#include "lib/types.h"

#define IFNAMSIZ 16

enum { IFF_UP = 1, IFF_BROADCAST = 2, IFF_LOOPBACK = 8, IFF_RUNNING = 0x40, IFF_MULTICAST = 0x1000, IFF_LOWER_UP = 0x10000 };
enum { ARPHRD_ETHER = 1, ARPHRD_LOOPBACK = 772 };

struct ifreq_addr { /* struct sockaddr */
	uint16_t family;
	char data[14];
};

struct ifreq {
	char ifr_name[IFNAMSIZ];
	union {
		struct ifreq_addr ifr_addr, ifr_hwaddr;
		short ifr_flags;
		int ifr_ifindex, ifr_mtu;
		char space[24];
	};
};
_Static_assert(sizeof(struct ifreq) == 40, "Linux ABI");

struct ifconf {
	int ifc_len;
	uaddr_t ifc_buf;
};

#endif
