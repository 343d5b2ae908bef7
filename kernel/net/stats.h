/*
 * kernel/net/stats.h - lwIP's counters, which have 32 bits, with 64.
 */
#ifndef IBRIK_NET_STATS_H
#define IBRIK_NET_STATS_H

#include "lib/types.h"
#include "lwip/stats.h"

#define NET_STATS_WORDS (sizeof(struct stats_) / sizeof(uint32_t))

struct net_stats {
	struct stats_ low;               /* as lwIP counts */
	uint32_t wraps[NET_STATS_WORDS]; /* how often each word of it has begun anew */
};

/* Looks which counters have begun anew; to be called before one could do so twice. Core lock held. */
void net_stats_look(void);
/* A copy of all of them. Core lock held. */
void net_stats_copy(struct net_stats *out);
/* The value of a counter of s->low that only rises. Any context. */
static inline uint64_t net_stat(const struct net_stats *s, const uint32_t *counter)
{
	return (uint64_t)s->wraps[counter - (const uint32_t *)&s->low] << 32 | *counter;
}

#endif
