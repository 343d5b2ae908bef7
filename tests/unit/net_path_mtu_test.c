/*
 * tests/unit/net_path_mtu_test.c - what is believed of paths, and how a connection's segments are cut.
 *
 * lwIP's control block, segments and buffers are real; tcp_output() is played here, and so is the cache of destinations.
 */
// sources: kernel/net/path_mtu.c kernel/net/tcp_recover.c kernel/net/tcp_sack.c build/third_party/lwip/src/core/tcp_out.c build/third_party/lwip/src/core/tcp.c build/third_party/lwip/src/core/pbuf.c build/third_party/lwip/src/core/memp.c build/third_party/lwip/src/core/mem.c build/third_party/lwip/src/core/stats.c build/third_party/lwip/src/core/def.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy -Wl,--wrap=tcp_output -Wl,--wrap=tcp_split_unsent_seg
#include "net/path_mtu.h"
#include "net/inet_private.h"
#include "mm/mm.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/tcp.h"
#include "lwip/sys.h"
#include "check.h"

void *malloc(size_t size);
void free(void *p);

#define START 0xfffff000u /* so that numbers wrap */
#define OLD_MSS 1440
#define NEW_MSS 1220
#define SEGMENTS 6

struct nd6_destination_cache_entry destination_cache[LWIP_ND6_NUM_DESTINATIONS];
_Atomic int64_t net_held;
static struct tcp_pcb pcb;
static struct inet_unreach why;
static uint32_t now_ms = 1000;
static int fail_in;    /* the allocation that fails, counted from 1 */
static long blocks;    /* that are allocated */
static unsigned outputs;

u32_t sys_now(void) { return now_ms; }
void *net_heap_alloc(size_t size)
{
	if (fail_in && --fail_in == 0)
		return NULL;
	blocks++;
	return malloc(size);
}
void *net_heap_zalloc(size_t n, size_t size)
{
	void *p = net_heap_alloc(n * size);

	if (p)
		memset(p, 0, n * size);
	return p;
}
void net_heap_free(void *p)
{
	blocks -= !!p;
	free(p);
}
err_t __wrap_tcp_output(struct tcp_pcb *p)
{
	outputs++;
	return ERR_OK;
}

static char byte_at(uint32_t offset) { return (char)(offset * 31 + offset / 251); }

static struct tcp_seg *segment(uint32_t offset, unsigned len, uint8_t flags)
{
	struct tcp_seg *seg = memp_malloc(MEMP_TCP_SEG);
	unsigned options = LWIP_TCP_OPT_LENGTH(TF_SEG_OPTS_TS);
	char *data;

	memset(seg, 0, sizeof(*seg));
	seg->p = pbuf_alloc(PBUF_IP, (u16_t)(TCP_HLEN + options + len), PBUF_RAM);
	seg->tcphdr = seg->p->payload;
	memset(seg->tcphdr, 0, TCP_HLEN + options);
	seg->tcphdr->seqno = lwip_htonl(START + offset);
	TCPH_HDRLEN_FLAGS_SET(seg->tcphdr, (TCP_HLEN + options) / 4, flags);
	seg->len = (u16_t)len;
	seg->flags = TF_SEG_OPTS_TS;
	data = (char *)seg->p->payload + TCP_HLEN + options;
	for (unsigned i = 0; i < len; i++)
		data[i] = byte_at(offset + i);
	pcb.snd_queuelen += pbuf_clen(seg->p);
	return seg;
}

/* Six segments: four that are under way, two that are not; the last with PSH and FIN. Each but the second as long as may be. */
static void start(void)
{
	struct tcp_seg **to = &pcb.unacked;
	uint32_t offset = 0;

	memset(&pcb, 0, sizeof(pcb));
	memset(destination_cache, 0, sizeof(destination_cache));
	memset(&why, 0, sizeof(why));
	pcb.state = ESTABLISHED;
	pcb.mss = OLD_MSS;
	pcb.cwnd = pcb.snd_wnd = 100000;
	pcb.ssthresh = 50000;
	pcb.flags = TF_TIMESTAMP;
	pcb.lastack = START;
	pcb.nrtx = 3;
	pcb.sa = 8;
	pcb.sv = 2;
	pcb.rto = 48;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		unsigned len = i == 1 ? 100 : OLD_MSS - 12;

		if (i == 4) {
			pcb.snd_nxt = START + offset;
			to = &pcb.unsent;
		}
		*to = segment(offset, len, i == SEGMENTS - 1 ? TCP_ACK | TCP_PSH | TCP_FIN : TCP_ACK);
		to = &(*to)->next;
		offset += len;
	}
	pcb.snd_lbb = START + offset;
	IP_ADDR6(&why.to.ip, PP_HTONL(0x20010db8), 0, 0, PP_HTONL(1));
	destination_cache[3].destination_addr = *ip_2_ip6(&why.to.ip);
	destination_cache[3].pmtu = 1500;
	why.info = 1280;
	why.size = 1500;
	outputs = 0;
	path_mtu_counters = (struct path_mtu_counters){ 0 };
}

static void end(void)
{
	tcp_segs_free(pcb.unacked);
	tcp_segs_free(pcb.unsent);
}

static bool in_order(const struct tcp_seg *seg)
{
	for (; seg && seg->next; seg = seg->next)
		if (!TCP_SEQ_LT(lwip_ntohl(seg->tcphdr->seqno), lwip_ntohl(seg->next->tcphdr->seqno)))
			return false;
	return true;
}

/* All bytes are there once, in segments of at most `most`, those of both lists in order. */
static bool is_whole(unsigned most)
{
	const struct tcp_seg *a = pcb.unacked, *b = pcb.unsent;
	uint32_t at = START;
	unsigned clen = 0;

	if (!in_order(a) || !in_order(b))
		return false;
	while (a || b) {
		const struct tcp_seg **from = a && lwip_ntohl(a->tcphdr->seqno) == at ? &a : &b, *seg = *from;
		unsigned head;
		bool last;

		if (!seg || lwip_ntohl(seg->tcphdr->seqno) != at || seg->len > most)
			return false;
		head = (unsigned)((char *)seg->tcphdr - (char *)seg->p->payload) + TCPH_HDRLEN_BYTES(seg->tcphdr);
		if (TCPH_HDRLEN_BYTES(seg->tcphdr) != TCP_HLEN + 12 || seg->p->tot_len != head + seg->len)
			return false;
		for (unsigned i = 0; i < seg->len; i++)
			if ((char)pbuf_get_at(seg->p, (u16_t)(head + i)) != byte_at(at - START + i))
				return false;
		at += seg->len;
		last = at == pcb.snd_lbb;
		if (!!(TCPH_FLAGS(seg->tcphdr) & TCP_FIN) != last || !!(TCPH_FLAGS(seg->tcphdr) & TCP_PSH) != last)
			return false;
		clen += pbuf_clen(seg->p);
		*from = seg->next;
	}
	return at == pcb.snd_lbb && clen == pcb.snd_queuelen;
}

static bool is_refused(unsigned info, unsigned size)
{
	bool r;

	start();
	why.info = info;
	why.size = size;
	path_mtu_tcp(&pcb, &why);
	r = is_whole(OLD_MSS - 12) && pcb.mss == OLD_MSS && !outputs && destination_cache[3].pmtu == 1500 && path_mtu_counters.refused == 1;
	end();
	return r;
}

/* Nothing that has been sent goes again in the length that was too much. */
static bool goes_short(void)
{
	for (const struct tcp_seg *seg = pcb.unsent; seg; seg = seg->next)
		if (TCP_SEQ_LT(lwip_ntohl(seg->tcphdr->seqno), pcb.snd_nxt) && seg->len > NEW_MSS - 12)
			return false;
	return true;
}

int main(void)
{
	ip_addr_t to;
	struct pbuf *held;
	bool right = true;
	unsigned n;

	lwip_stats.memp[0] = NULL;
	memp_init();

	start();
	path_mtu_tcp(&pcb, &why);
	check("segments_are_cut_and_go_again", is_whole(NEW_MSS - 12) && pcb.mss == NEW_MSS && outputs == 1, "");
	check("short_ones_that_are_under_way_stay", pcb.unacked && !pcb.unacked->next && pcb.unacked->len == 100, "");
	check("it_is_no_congestion", pcb.cwnd == 100000 && pcb.ssthresh == 50000 && !pcb.nrtx && pcb.rto == 3, "");
	check("the_destination_is_noted", destination_cache[3].pmtu == 1280 && path_mtu_known(), "");
	/* Again, in vain: nothing is too long any more. */
	path_mtu_tcp(&pcb, &why);
	check("once_is_enough", outputs == 1 && path_mtu_counters.lowered == 1, "");
	now_ms += 9 * 60 * 1000;
	path_mtu_check();
	right = destination_cache[3].pmtu == 1280;
	now_ms += 60 * 1000;
	path_mtu_check();
	check("it_is_forgotten_after_ten_minutes", right && !destination_cache[3].pmtu && !path_mtu_known(), "");
	end();

	/* A driver holds two of them. */
	start();
	held = pcb.unacked->p;
	pbuf_ref(held);
	n = held->tot_len;
	path_mtu_tcp(&pcb, &why);
	check("what_a_device_holds_stays_whole", is_whole(NEW_MSS - 12) && held->ref == 1 && held->tot_len == n, "");
	pbuf_free(held);
	end();

	check("less_than_every_path_passes_is_not_believed", is_refused(1279, 1500), "");
	check("nothing_is_not_believed", is_refused(0, 1500), "");
	check("a_packet_that_was_not_too_long_is_not_believed", is_refused(1280, 1280), "");
	check("more_is_not_believed", is_refused(9000, 1500), "");

	/* IPv4: Linux's least, and nothing is remembered. */
	start();
	IP_ADDR4(&why.to.ip, 192, 0, 2, 1);
	why.info = 296;
	path_mtu_tcp(&pcb, &why);
	check("ipv4_has_a_least_length", is_whole(512 - 12) && pcb.mss == 512 && destination_cache[3].pmtu == 1500, "");
	end();

	/* A destination that was thrown out of the cache, with another in its place. */
	start();
	path_mtu_note(&why);
	destination_cache[3].destination_addr.addr[3] = PP_HTONL(2);
	destination_cache[3].pmtu = 1500;
	path_mtu_check();
	check("another_destination_in_the_same_place_is_let_alone", destination_cache[3].pmtu == 1500 && !path_mtu_known(), "");
	end();

	/* Each allocation may fail. */
	right = true;
	for (n = 1; right && n < 100; n++) {
		start();
		pbuf_ref(held = pcb.unacked->next->next->p);
		fail_in = (int)n;
		path_mtu_tcp(&pcb, &why);
		right = is_whole(OLD_MSS - 12) && goes_short() && (pcb.mss == OLD_MSS || is_whole(NEW_MSS - 12));
		if (fail_in) {
			fail_in = 0;
			pbuf_free(held);
			end();
			break;
		}
		right = right && pcb.mss == OLD_MSS;
		/* The router answers again. */
		path_mtu_tcp(&pcb, &why);
		right = right && is_whole(NEW_MSS - 12) && pcb.mss == NEW_MSS;
		pbuf_free(held);
		end();
	}
	check("without_memory_all_is_there_and_the_next_message_does_it", right && n > 5, "");
	check("nothing_is_left", blocks == 0, "");
	return failed;
}
