/*
 * kernel/net/stats.c - lwIP's counters, which have 32 bits, with 64.
 *
 * Theory:    a counter that is lower than at the last look has begun anew. All words of lwip_stats are looked at alike; of what is no counter (memory that is
 *            in use, pointers) the result means nothing and is not asked for. net_lock() looks so often that none could have passed
 *            its last value unseen.
 * Interface: stats.h.
 * Locking:   the core lock.
 */
#include "net/stats.h"
#include "lib/string.h"

static uint32_t seen[NET_STATS_WORDS], wraps[NET_STATS_WORDS];

void net_stats_look(void)
{
	const uint32_t *now = (const uint32_t *)&lwip_stats;

	for (unsigned i = 0; i < NET_STATS_WORDS; i++) {
		wraps[i] += now[i] < seen[i];
		seen[i] = now[i];
	}
}

void net_stats_copy(struct net_stats *out)
{
	net_stats_look();
	out->low = lwip_stats;
	memcpy(out->wraps, wraps, sizeof(wraps));
}
