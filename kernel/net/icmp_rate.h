/*
 * kernel/net/icmp_rate.h - how many ICMP and ICMPv6 errors leave the machine. Core lock held.
 */
#ifndef IBRIK_NET_ICMP_RATE_H
#define IBRIK_NET_ICMP_RATE_H

#include "lib/types.h"

struct icmp_rate_counters {
	uint64_t withheld, withheld6; /* errors that would have been too many, of ICMP and of ICMPv6 */
};
extern struct icmp_rate_counters icmp_rate_counters;

#endif
