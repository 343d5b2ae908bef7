/*
 * kernel/net/tcp_sack.c - the scoreboard of selective acknowledgements.
 *
 * Theory:    few ranges, in order: they are searched and moved as an array.
 * Interface: net/tcp_sack.h. Locking: the caller's. Errors: none; what cannot be true is not taken.
 */
#include "net/tcp_sack.h"
#include "lib/string.h"

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_SACK 5
#define DUP_THRESHOLD 3

static uint32_t get32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

unsigned sack_parse(const uint8_t *options, size_t bytes, struct sack_range block[SACK_BLOCKS])
{
	for (size_t at = 0; at < bytes && options[at] != OPTION_END;) {
		size_t len;
		unsigned n;

		if (options[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 1 == bytes)
			return 0;
		len = options[at + 1];
		if (len < 2 || len > bytes - at)
			return 0;
		if (options[at] != OPTION_SACK) {
			at += len;
			continue;
		}
		n = (unsigned)(len - 2) / 8;
		if ((len - 2) % 8 || n > SACK_BLOCKS)
			return 0;
		for (unsigned i = 0; i < n; i++) {
			block[i].start = get32(options + at + 2 + 8 * i);
			block[i].end = get32(options + at + 6 + 8 * i);
		}
		return n;
	}
	return 0;
}

bool sack_add(struct sack_board *b, uint32_t first, uint32_t last, const struct sack_range *block)
{
	struct sack_range r = *block;
	unsigned from, to;

	/* What lies before is a duplicate that the peer reports (RFC 2883), what lies behind a lie. */
	if (sack_before(r.start, first) || !sack_before(r.start, r.end) || sack_before(last, r.end))
		return false;
	for (from = 0; from < b->n && sack_before(b->range[from].end, r.start); from++)
		;
	/* [from, to) are those that it touches. */
	for (to = from; to < b->n && !sack_before(r.end, b->range[to].start); to++)
		;
	if (to == from) {
		if (b->n == SACK_RANGES)
			return false;
		memmove(&b->range[from + 1], &b->range[from], (b->n - from) * sizeof(r));
		b->range[from] = r;
		b->n++;
		return true;
	}
	if (to == from + 1 && !sack_before(r.start, b->range[from].start) && !sack_before(b->range[from].end, r.end))
		return false;
	if (sack_before(b->range[from].start, r.start))
		r.start = b->range[from].start;
	if (sack_before(r.end, b->range[to - 1].end))
		r.end = b->range[to - 1].end;
	b->range[from] = r;
	memmove(&b->range[from + 1], &b->range[to], (b->n - to) * sizeof(r));
	b->n -= to - from - 1;
	return true;
}

void sack_forget(struct sack_board *b, uint32_t first)
{
	unsigned gone = 0;

	while (gone < b->n && !sack_before(first, b->range[gone].end))
		gone++;
	if (gone) {
		b->n -= gone;
		memmove(&b->range[0], &b->range[gone], b->n * sizeof(b->range[0]));
	}
	if (b->n && sack_before(b->range[0].start, first))
		b->range[0].start = first;
}

bool sack_has(const struct sack_board *b, uint32_t start, uint32_t end)
{
	for (unsigned i = 0; i < b->n && !sack_before(start, b->range[i].start); i++)
		if (!sack_before(b->range[i].end, end))
			return true;
	return false;
}

bool sack_lost(const struct sack_board *b, uint32_t end, unsigned mss)
{
	uint64_t bytes = 0;
	unsigned ranges = 0;

	for (unsigned i = b->n; i-- > 0 && sack_before(end, b->range[i].end); ranges++) {
		const struct sack_range *r = &b->range[i];

		bytes += r->end - (sack_before(r->start, end) ? end : r->start);
	}
	return ranges >= DUP_THRESHOLD || bytes > (DUP_THRESHOLD - 1) * (uint64_t)mss;
}
