/*
 * tests/unit/net_tcp_header_test.c - which options of received segments lwIP gets to see, and that sums stay what they were.
 */
// sources: kernel/net/tcp_header.c build/third_party/lwip/src/core/def.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null
#include "net/tcp_header.h"
#include "lwip/pbuf.h"
#include "lwip/prot/tcp.h"
#include "check.h"

static uint8_t bytes[60];
static struct pbuf p;

static uint16_t sum_of(unsigned len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* A header with these options, whose sum is right or wrong by `off`. False: it was refused. */
static bool mended(const uint8_t *options, unsigned n, bool counts, uint16_t off, unsigned first)
{
	struct tcp_hdr *h = (struct tcp_hdr *)bytes;

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, "\x12\x34\x1b\x58\xde\xad\xbe\xef\x01\x02\x03\x04\x00\x10\x20\x00", 16);
	TCPH_HDRLEN_FLAGS_SET(h, 5 + n / 4, TCP_ACK);
	memcpy(bytes + TCP_HLEN, options, n);
	h->chksum = lwip_htons((uint16_t)(~sum_of(TCP_HLEN + n) + off));
	p = (struct pbuf){ .payload = bytes, .len = (u16_t)(first ? first : TCP_HLEN + n), .tot_len = (u16_t)(TCP_HLEN + n) };
	return tcp_header_mend(&p, counts);
}

static bool is(const uint8_t *want, unsigned n) { return !memcmp(bytes + TCP_HLEN, want, n); }
static bool sum_is_right(unsigned n) { return sum_of(TCP_HLEN + n) == 0xffff; }

#define OPTIONS(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })
#define STAMPS 8, 10, 0, 0, 0, 1, 0, 0, 0, 2

int main(void)
{
	check("a_segment_of_a_connection_says_no_mss", mended(OPTIONS(2, 4, 0, 100), false, 0, 0) && is(OPTIONS(1, 1, 1, 1)) && sum_is_right(4), "it does");
	check("at_an_odd_place_neither", mended(OPTIONS(1, 2, 4, 0, 100, 1, 1, 1), false, 0, 0) && is(OPTIONS(1, 1, 1, 1, 1, 1, 1, 1)) && sum_is_right(8), "it does");
	check("nor_twice", mended(OPTIONS(2, 4, 5, 180, STAMPS, 1, 2, 4, 0, 1, 0), false, 0, 0) &&
	      is(OPTIONS(1, 1, 1, 1, STAMPS, 1, 1, 1, 1, 1, 0)) && sum_is_right(20), "it does");
	check("where_it_counts_it_stays", mended(OPTIONS(2, 4, 5, 180), true, 0, 0) && is(OPTIONS(2, 4, 5, 180)) && sum_is_right(4), "it does not");
	check("but_not_below_the_least", mended(OPTIONS(1, 1, 2, 4, 0, 8, 1, 1), true, 0, 0) && is(OPTIONS(1, 1, 2, 4, 0, TCP_MSS_LEAST, 1, 1)) && sum_is_right(8), "it does");
	check("nor_nought", mended(OPTIONS(2, 4, 0, 0), true, 0, 0) && is(OPTIONS(2, 4, 0, TCP_MSS_LEAST)) && sum_is_right(4), "it does");
	check("the_least_stays", mended(OPTIONS(2, 4, 0, TCP_MSS_LEAST), true, 0, 0) && is(OPTIONS(2, 4, 0, TCP_MSS_LEAST)) && sum_is_right(4), "it does not");
	check("a_wrong_sum_stays_wrong", mended(OPTIONS(2, 4, 0, 100), false, 7, 0) && is(OPTIONS(1, 1, 1, 1)) && !sum_is_right(4), "it does not");
	check("stamps_alone_are_left_alone", mended(OPTIONS(1, 1, STAMPS), false, 0, 0) && is(OPTIONS(1, 1, STAMPS)) && sum_is_right(12), "they are not");
	check("behind_the_end_nothing_counts", mended(OPTIONS(0, 2, 4, 0, 100, 0, 0, 0), false, 0, 0) && is(OPTIONS(0, 2, 4, 0, 100, 0, 0, 0)), "it does");
	check("odd_lengths_end_the_search", mended(OPTIONS(3, 0, 2, 4, 0, 100, 0, 0), false, 0, 0) && mended(OPTIONS(3, 1, 2, 4), false, 0, 0) &&
	      mended(OPTIONS(1, 1, 1, 2), false, 0, 0) && mended(OPTIONS(3, 200, 2, 4), false, 0, 0) && mended(OPTIONS(2, 3, 9, 1), false, 0, 0) && is(OPTIONS(2, 3, 9, 1)),
	      "they do not");
	check("options_in_two_buffers_are_refused", !mended(OPTIONS(2, 4, 0, 100), false, 0, TCP_HLEN), "they are not");
	check("without_options_there_is_nothing_to_do", mended(OPTIONS(), false, 0, 0), "there is");
	/* More header than segment: lwIP refuses it itself. */
	mended(OPTIONS(2, 4, 0, 100), false, 0, 0);
	TCPH_HDRLEN_FLAGS_SET((struct tcp_hdr *)bytes, 15, TCP_ACK);
	check("a_header_that_is_cut_short_is_let_alone", tcp_header_mend(&p, false), "it is not");
	return failed;
}
