/*
 * tests/unit/net_sack_test.c - selective acknowledgements: reading the option, and the scoreboard against a map of bytes.
 */
// sources: kernel/net/tcp_sack.c
#include "expect.h"
#include "net/tcp_sack.h"

static uint64_t state = 1;

static uint32_t chance(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % below;
}

static void blocks_are_read_among_other_options(void)
{
	static const uint8_t options[] = { 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 5, 18, 0, 0, 1, 0, 0, 0, 2, 0, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0x10 };
	struct sack_range block[SACK_BLOCKS];

	EXPECT(sack_parse(options, sizeof(options), block) == 2);
	EXPECT(block[0].start == 0x100 && block[0].end == 0x200);
	EXPECT(block[1].start == 0xfffffff0 && block[1].end == 0x10);
	/* All that a segment has room for. */
	uint8_t four[34] = { 5, 34 };
	EXPECT(sack_parse(four, sizeof(four), block) == 4);
}

static void what_is_not_well_formed_has_no_blocks(void)
{
	static const uint8_t ends[] = { 0, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, cut[] = { 5, 10, 0, 0, 0, 1, 0, 0, 0 }, odd[] = { 5, 9, 0, 0, 0, 1, 0, 0, 0 };
	static const uint8_t no_length[] = { 1, 5 }, none[] = { 8, 0, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, empty[] = { 5, 2 };
	struct sack_range block[SACK_BLOCKS];
	uint8_t many[42] = { 5, 42 };

	EXPECT(sack_parse(ends, sizeof(ends), block) == 0);
	EXPECT(sack_parse(cut, sizeof(cut), block) == 0);
	EXPECT(sack_parse(odd, sizeof(odd), block) == 0);
	EXPECT(sack_parse(no_length, sizeof(no_length), block) == 0);
	EXPECT(sack_parse(none, sizeof(none), block) == 0);
	EXPECT(sack_parse(empty, sizeof(empty), block) == 0);
	EXPECT(sack_parse(many, sizeof(many), block) == 0);
	EXPECT(sack_parse(NULL, 0, block) == 0);
}

static bool add(struct sack_board *b, uint32_t start, uint32_t end)
{
	return sack_add(b, 1000, 2000, &(struct sack_range){ start, end });
}

static void what_cannot_be_is_not_taken(void)
{
	struct sack_board b = { 0 };

	EXPECT(!add(&b, 900, 1100));
	EXPECT(!add(&b, 1900, 2001));
	EXPECT(!add(&b, 1500, 1500));
	EXPECT(!add(&b, 1600, 1500));
	EXPECT(!add(&b, 1500, 0x80000600));
	EXPECT(b.n == 0);
	EXPECT(add(&b, 1100, 2000));
	EXPECT(!add(&b, 1100, 2000));
	EXPECT(!add(&b, 1200, 1300));
	EXPECT(b.n == 1);
}

static void a_full_board_keeps_what_it_has(void)
{
	struct sack_board b = { 0 };

	for (unsigned i = 0; i < SACK_RANGES; i++)
		EXPECT(add(&b, 1000 + 20 * i + 10, 1000 + 20 * i + 20));
	EXPECT(!add(&b, 1900, 1910));
	EXPECT(!sack_has(&b, 1900, 1910));
	EXPECT(sack_has(&b, 1010, 1020) && sack_has(&b, 1630, 1640));
	/* One that joins two makes room. */
	EXPECT(add(&b, 1020, 1030));
	EXPECT(b.n == SACK_RANGES - 1);
	EXPECT(add(&b, 1900, 1910));
}

static void lost_is_what_enough_lies_behind(void)
{
	struct sack_board b = { 0 };

	add(&b, 1100, 1200);
	EXPECT(!sack_lost(&b, 1100, 100));
	add(&b, 1100, 1300);
	EXPECT(!sack_lost(&b, 1100, 100));
	add(&b, 1300, 1301);
	EXPECT(sack_lost(&b, 1100, 100));
	EXPECT(!sack_lost(&b, 1301, 100));
	/* A place inside a range. */
	add(&b, 1301, 1402);
	EXPECT(sack_lost(&b, 1201, 100));
	EXPECT(!sack_lost(&b, 1202, 100));
	/* Three ranges, however small. */
	b.n = 0;
	add(&b, 1100, 1101);
	add(&b, 1200, 1201);
	EXPECT(!sack_lost(&b, 1050, 100));
	add(&b, 1300, 1301);
	EXPECT(sack_lost(&b, 1050, 100));
	EXPECT(!sack_lost(&b, 1150, 100));
}

/* Random blocks and acknowledgements around the wrap of sequence numbers. */
static void it_agrees_with_a_map_of_bytes(void)
{
	static uint8_t map[400];
	const uint32_t base = 0xffffff40;

	for (unsigned round = 0; round < 2000; round++) {
		struct sack_board b = { 0 };
		uint32_t first = 0;

		memset(map, 0, sizeof(map));
		for (unsigned step = 0; step < 60; step++) {
			if (chance(8) == 0) {
				first += chance(20);
				sack_forget(&b, base + first);
				memset(map, 0, first);
			} else {
				uint32_t s = chance(sizeof(map)), e = s + 1 + chance(30);
				bool may = s >= first && e <= sizeof(map), fresh = may && memchr(map + s, 0, e - s);
				struct sack_range r = { base + s, base + e };
				unsigned n = b.n;

				if (sack_add(&b, base + first, base + sizeof(map), &r)) {
					EXPECT(fresh);
					memset(map + s, 1, e - s);
				} else {
					EXPECT(!fresh || n == SACK_RANGES);
				}
			}
			EXPECT(b.n <= SACK_RANGES);
			for (unsigned i = 0; i < b.n; i++) {
				EXPECT(sack_before(b.range[i].start, b.range[i].end));
				EXPECT(i == 0 || sack_before(b.range[i - 1].end, b.range[i].start));
			}
			uint32_t s = chance(sizeof(map) - 1), e = s + 1 + chance((uint32_t)sizeof(map) - s);
			EXPECT(sack_has(&b, base + s, base + e) == !memchr(map + s, 0, e - s));
		}
	}
}

int main(void)
{
	RUN(blocks_are_read_among_other_options);
	RUN(what_is_not_well_formed_has_no_blocks);
	RUN(what_cannot_be_is_not_taken);
	RUN(a_full_board_keeps_what_it_has);
	RUN(lost_is_what_enough_lies_behind);
	RUN(it_agrees_with_a_map_of_bytes);
	return failed;
}
