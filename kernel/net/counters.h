/*
 * kernel/net/counters.h - what the network has counted: /proc/ibrik/net, and the kernel option trace=net.
 */
#ifndef IBRIK_NET_COUNTERS_H
#define IBRIK_NET_COUNTERS_H

#include "lib/types.h"

/* Of the core lock, counted by net/core.c under it. */
struct net_lock_counters {
	uint64_t taken, contended;
	uint64_t waited_ns;
};
extern struct net_lock_counters net_lock_counters;

/* trace=net: from then on figures are printed every ten seconds and by net_trace_end(), events by net_trace(). Once, at boot, in a thread. */
void net_trace_start(void);
/* Prints the figures once more, before the machine ends. Thread context, core lock not held. Nothing without trace=net. */
void net_trace_end(void);
/* One line about something that happened; nothing without trace=net. Any context. */
void net_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
