/*
 * kernel/net/tcp_cookie.c - see tcp_cookie.h.
 */
#include "net/tcp_cookie.h"
#include "lib/siphash.h"

#define PERIOD_BITS 5
#define HASH_BITS 24

/* Common sizes: the least that all take, tunnels, IPv6 and IPv4 over Ethernet, jumbo frames. */
static const uint16_t sizes[8] = { 536, 1220, 1360, 1440, 1460, 4312, 8940, 8960 };

static uint32_t cookie(const uint64_t key[2], const struct tcp_cookie_ends *e, uint32_t peer_isn, unsigned size, uint32_t period)
{
	uint64_t words[] = { e->local[0], e->local[1], e->remote[0], e->remote[1], (uint64_t)e->local_port << 16 | e->remote_port,
			     (uint64_t)peer_isn << 32 | period, size };
	uint32_t hash = (uint32_t)siphash(key, words, sizeof(words) / sizeof(*words)) & ((1u << HASH_BITS) - 1);

	return period << (32 - PERIOD_BITS) | size << HASH_BITS | hash;
}

uint32_t tcp_cookie_make(const uint64_t key[2], const struct tcp_cookie_ends *ends, uint32_t peer_isn, unsigned mss, uint32_t period)
{
	unsigned size = sizeof(sizes) / sizeof(*sizes) - 1;

	while (size && sizes[size] > mss)
		size--;
	return cookie(key, ends, peer_isn, size, period);
}

unsigned tcp_cookie_check(const uint64_t key[2], const struct tcp_cookie_ends *ends, uint32_t peer_isn, uint32_t value, uint32_t period)
{
	unsigned size = value >> HASH_BITS & 7;

	for (unsigned age = 0; age < 2; age++)
		if (value == cookie(key, ends, peer_isn, size, period - age))
			return sizes[size];
	return 0;
}
