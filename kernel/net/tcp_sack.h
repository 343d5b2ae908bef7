/*
 * kernel/net/tcp_sack.h - what the peer of a TCP connection has received beyond what it acknowledges (RFC 2018).
 *
 *   struct sack_range block[SACK_BLOCKS];
 *   unsigned n = sack_parse(options, bytes, block);
 *   while (n--)
 *           sack_add(&board, unacknowledged, next, &block[n]);
 *   if (sack_lost(&board, seg_end, mss)) ...
 *
 * Sequence numbers in host order; a range is [start, end). Nothing here allocates, sleeps or takes locks; a board belongs to its caller.
 */
#ifndef IBRIK_NET_TCP_SACK_H
#define IBRIK_NET_TCP_SACK_H

#include "lib/types.h"

#define SACK_BLOCKS 4  /* that the options of a segment have room for */
#define SACK_RANGES 32 /* that a board keeps; more are not remembered, so that their bytes may be sent again in vain */

struct sack_range {
	uint32_t start, end;
};

struct sack_board {
	unsigned n;
	struct sack_range range[SACK_RANGES]; /* in order, with gaps between */
};

static inline bool sack_before(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }

/* Reads the blocks of a segment's options, untrusted bytes. How many; 0 where there are none, or the options are not well formed. */
unsigned sack_parse(const uint8_t *options, size_t bytes, struct sack_range block[SACK_BLOCKS]);
/* Adds a block, if it lies in [first, last]: what is sent and not acknowledged. True: it told something new. */
bool sack_add(struct sack_board *b, uint32_t first, uint32_t last, const struct sack_range *block);
/* All before `first` has been acknowledged. */
void sack_forget(struct sack_board *b, uint32_t first);
/* Has the peer all of [start, end)? */
bool sack_has(const struct sack_board *b, uint32_t start, uint32_t end);
/* Has so much behind `end` been received that what lies before it, and has not been, is lost? RFC 6675, section 4: three ranges, or the bytes of more than
 * two segments. */
bool sack_lost(const struct sack_board *b, uint32_t end, unsigned mss);

#endif
