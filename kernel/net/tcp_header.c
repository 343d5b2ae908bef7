/*
 * kernel/net/tcp_header.c - headers of received segments, mended before lwIP reads them.
 *
 * Interface: tcp_header.h
 * Errors:    see there; options that are no options are lwIP's to judge, which stops at the first.
 */
#include "net/tcp_header.h"
#include "lib/string.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/tcp.h"

/* Changes a byte of the header and its sum with it (RFC 1624, equation 3). */
static void patch(struct tcp_hdr *h, uint8_t *at, uint8_t byte)
{
	unsigned shift = (at - (uint8_t *)h) % 2 ? 0 : 8;
	uint32_t sum = ~lwip_ntohs(h->chksum) & 0xffffu;

	sum += 0xffffu - ((uint32_t)*at << shift) + ((uint32_t)byte << shift);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	h->chksum = lwip_htons((uint16_t)~sum);
	*at = byte;
}

static void mend(struct tcp_hdr *h, uint8_t *option, bool counts)
{
	if (!counts) {
		for (unsigned i = 0; i < LWIP_TCP_OPT_LEN_MSS; i++)
			patch(h, option + i, LWIP_TCP_OPT_NOP);
	} else if (((unsigned)option[2] << 8 | option[3]) < TCP_MSS_LEAST) {
		patch(h, option + 2, 0);
		patch(h, option + 3, TCP_MSS_LEAST);
	}
}

bool tcp_header_mend(struct pbuf *p, bool counts)
{
	/* No operation, no operation, time stamps: what most segments have. */
	static const uint8_t stamps[] = { 1, 1, 8, 10 };
	struct tcp_hdr *h = p->payload;
	uint8_t *option = (uint8_t *)(h + 1);
	unsigned len = TCPH_HDRLEN_BYTES(h), left;

	if (len <= TCP_HLEN || len > p->tot_len)
		return true;
	if (len > p->len)
		return false;
	if (len == TCP_HLEN + 12 && !memcmp(option, stamps, sizeof(stamps)))
		return true;
	for (left = len - TCP_HLEN; left && *option != LWIP_TCP_OPT_EOL;) {
		unsigned n = *option == LWIP_TCP_OPT_NOP ? 1 : left < 2 ? 0 : option[1];

		if (n == 0 || n > left || (n == 1 && *option != LWIP_TCP_OPT_NOP))
			break;
		if (*option == LWIP_TCP_OPT_MSS && n == LWIP_TCP_OPT_LEN_MSS)
			mend(h, option, counts);
		option += n;
		left -= n;
	}
	return true;
}
