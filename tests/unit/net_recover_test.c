/*
 * tests/unit/net_recover_test.c - which segments a TCP connection sends again, and how much it sends besides, when some are lost.
 *
 * lwIP's control block is real, and so is tcp_rexmit_fast(); what lwIP does with an acknowledgement, and tcp_output(), are played here.
 */
// sources: kernel/net/tcp_sack.c kernel/net/tcp_recover.c build/third_party/lwip/src/core/tcp_out.c build/third_party/lwip/src/core/stats.c build/third_party/lwip/src/core/def.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy -Wl,--wrap=tcp_output
#include "net/tcp_recover.h"
#include "mm/mm.h"
#include "net/memory.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/tcp.h"


int printf(const char *fmt, ...);
void *malloc(size_t size);
void free(void *p);

#define SEGMENTS 40
#define MSS 1000
#define START 0xffffe000u /* so that numbers wrap */

static const char *wrong;
static int failed;
#define EXPECT(cond) (wrong = wrong || (cond) ? wrong : #cond)

static struct tcp_pcb pcb;
static struct tcp_seg segs[SEGMENTS];
static struct pbuf bufs[SEGMENTS];
static struct tcp_hdr headers[SEGMENTS];
static unsigned sent[SEGMENTS]; /* how often */
static unsigned fresh;          /* segments that have never been sent before this one */
static struct tcp_recovery *record;
static bool no_memory, damaged;
static uint64_t now_ns = 1000000000;
_Atomic int64_t net_held;

void *kmalloc_flags(size_t size, unsigned flags) { return no_memory ? NULL : malloc(size); }
void kfree(void *p) { free(p); }
bool tcp_syn_intact(struct pbuf *p, struct netif *inp) { return !damaged; }

static uint32_t number(const struct tcp_seg *s) { return (lwip_ntohl(s->tcphdr->seqno) - START) / MSS; }

/* As lwIP's, without frames. */
err_t __wrap_tcp_output(struct tcp_pcb *p)
{
	uint32_t wnd = MIN(p->cwnd, p->snd_wnd);

	while (p->unsent && lwip_ntohl(p->unsent->tcphdr->seqno) - p->lastack + p->unsent->len <= wnd) {
		struct tcp_seg *s = p->unsent, **to = &p->unacked;

		p->unsent = s->next;
		while (*to && number(*to) < number(s))
			to = &(*to)->next;
		s->next = *to;
		*to = s;
		sent[number(s)]++;
		p->snd_nxt = MAX(p->snd_nxt - START, (number(s) + 1) * MSS) + START;
		fresh = MAX(fresh, number(s) + 1);
	}
	return ERR_OK;
}

static void start(unsigned flight, uint16_t flags)
{
	memset(&pcb, 0, sizeof(pcb));
	memset(sent, 0, sizeof(sent));
	fresh = 0;
	tcp_recover_free(record);
	record = NULL;
	no_memory = damaged = false;
	for (unsigned i = SEGMENTS; i-- > 0;) {
		headers[i] = (struct tcp_hdr){ .seqno = lwip_htonl(START + i * MSS) };
		bufs[i] = (struct pbuf){ .ref = 1 };
		segs[i] = (struct tcp_seg){ .next = i + 1 < SEGMENTS ? &segs[i + 1] : NULL, .p = &bufs[i], .len = MSS, .tcphdr = &headers[i] };
	}
	pcb.state = ESTABLISHED;
	pcb.flags = flags;
	pcb.mss = MSS;
	pcb.lastack = pcb.snd_nxt = START;
	pcb.snd_wnd = SEGMENTS * MSS;
	pcb.ssthresh = SEGMENTS * MSS;
	pcb.cwnd = flight * MSS;
	pcb.unsent = &segs[0];
	tcp_output(&pcb);
}

static void drop_acked(struct tcp_seg **list, uint32_t ack)
{
	while (*list && (int32_t)(lwip_ntohl((*list)->tcphdr->seqno) + (*list)->len - ack) <= 0)
		*list = (*list)->next;
}

/* An acknowledgement of all before segment `upto`, with blocks [from, to) of segments; a pair of zeros ends them. */
static void acks(unsigned upto, const unsigned (*block)[2])
{
	struct {
		struct tcp_hdr h;
		uint8_t options[40];
	} __attribute__((packed)) segment = { .h = { .ackno = lwip_htonl(START + upto * MSS) } };
	uint32_t ack = START + upto * MSS;
	unsigned n = 0;

	for (; block && block[n][1]; n++) {
		uint32_t ends[2] = { lwip_htonl(START + block[n][0] * MSS), lwip_htonl(START + block[n][1] * MSS) };

		memcpy(segment.options + 4 + 8 * n, ends, 8);
	}
	segment.options[0] = segment.options[1] = 1;
	segment.options[2] = 5;
	segment.options[3] = (uint8_t)(2 + 8 * n);
	TCPH_HDRLEN_FLAGS_SET(&segment.h, 5 + (n ? 1 + 2 * n : 0), TCP_ACK);
	struct pbuf p = { .payload = &segment, .len = TCPH_HDRLEN_BYTES(&segment.h), .tot_len = TCPH_HDRLEN_BYTES(&segment.h) };

	tcp_recover_before(&record, &pcb, &p, NULL, now_ns);
	/* What lwIP does. */
	if (ack == pcb.lastack) {
		pcb.dupacks++;
		if (pcb.dupacks > 3)
			pcb.cwnd += MSS;
		if (pcb.dupacks >= 3)
			tcp_rexmit_fast(&pcb);
	} else {
		if (pcb.flags & TF_INFR) {
			pcb.flags &= (tcpflags_t)~TF_INFR;
			pcb.cwnd = pcb.ssthresh;
		}
		pcb.nrtx = 0;
		pcb.dupacks = 0;
		pcb.lastack = ack;
		drop_acked(&pcb.unacked, ack);
		drop_acked(&pcb.unsent, ack);
	}
	tcp_output(&pcb);
	if (record) {
		tcp_recover_after(record, &pcb);
		tcp_recover_sent(record, &pcb, now_ns);
	}
}
#define ACKS(upto, ...) acks(upto, (const unsigned[][2]){ __VA_ARGS__ __VA_OPT__(,) { 0, 0 } })

/* All that is between two lists is there once. */
static bool whole(unsigned from)
{
	const struct tcp_seg *a = pcb.unacked, *b = pcb.unsent;

	for (; a || b; from++) {
		if (a && number(a) == from)
			a = a->next;
		else if (b && number(b) == from)
			b = b->next;
		else
			return false;
	}
	return from == SEGMENTS;
}

static void each_lost_segment_goes_again_once(void)
{
	start(20, TF_SACK);
	/* 0, 3 and 7 are lost. */
	ACKS(0, { 1, 2 });
	ACKS(0, { 1, 3 });
	EXPECT(sent[0] == 1);
	ACKS(0, { 4, 5 }, { 1, 3 });
	EXPECT(sent[0] == 2 && sent[3] == 1);
	ACKS(0, { 4, 6 }, { 1, 3 });
	ACKS(0, { 4, 7 }, { 1, 3 });
	for (unsigned to = 9; to <= 20; to++)
		ACKS(0, { 8, to }, { 4, 7 }, { 1, 3 });
	EXPECT(sent[0] == 2 && sent[3] == 2 && sent[7] == 2);
	ACKS(3, { 8, 20 }, { 4, 7 });
	/* lwIP has not taken it for the end, with a window of half: what was sent beyond is still within it. */
	EXPECT(pcb.cwnd >= pcb.snd_nxt - pcb.lastack);
	ACKS(7, { 8, 20 });
	EXPECT(pcb.flags & TF_INFR);
	/* Two more went before it began. */
	ACKS(20);
	EXPECT(pcb.flags & TF_INFR);
	ACKS(22);
	EXPECT(!(pcb.flags & TF_INFR));
	for (unsigned i = 0; i < 20; i++)
		EXPECT(sent[i] == (i == 0 || i == 3 || i == 7 ? 2u : 1u));
	EXPECT(whole(22));
}

/* A burst: every other segment is lost; as many go out as come in. */
static void no_more_goes_out_than_leaves_the_network(void)
{
	unsigned all = 20, before;

	start(20, TF_SACK);
	for (unsigned to = 1; to < 20; to += 2) {
		before = all;
		if (to < 7)
			ACKS(0, { to, to + 1 });
		else
			ACKS(0, { to, to + 1 }, { to - 2, to - 1 }, { to - 4, to - 3 }, { to - 6, to - 5 });
		all = 0;
		for (unsigned i = 0; i < SEGMENTS; i++)
			all += sent[i];
		/* The first of the recovery goes at once. */
		EXPECT(all <= before + 2);
	}
	EXPECT(pcb.ssthresh == 10 * MSS);
	for (unsigned i = 0; i < 20; i += 2)
		if (sent[i] == 1)
			EXPECT(i >= 12);
	EXPECT(whole(0));
}

static void new_data_goes_out_when_there_is_room(void)
{
	start(10, TF_SACK);
	for (unsigned to = 2; to <= 10; to++)
		ACKS(0, { 1, to });
	/* 5 may be under way: the first, and 4 that are new. */
	EXPECT(sent[0] == 2);
	EXPECT(fresh == 14);
	ACKS(12);
	EXPECT(pcb.cwnd == 5 * MSS);
	EXPECT(!(pcb.flags & TF_INFR));
}

static void without_blocks_a_partial_acknowledgement_sends_the_next(void)
{
	start(10, 0);
	for (unsigned i = 0; i < 5; i++)
		ACKS(0);
	EXPECT(sent[0] == 2 && sent[4] == 1);
	ACKS(4);
	EXPECT(sent[4] == 2 && sent[5] == 1);
	EXPECT(pcb.flags & TF_INFR);
	ACKS(4);
	EXPECT(sent[4] == 2);
	ACKS(8);
	EXPECT(sent[8] == 2);
	unsigned all = fresh;
	ACKS(all);
	EXPECT(!(pcb.flags & TF_INFR));
	EXPECT(whole(all));
}

static void a_segment_that_is_lost_twice_goes_a_third_time(void)
{
	start(20, TF_SACK);
	for (unsigned to = 2; to <= 20; to++)
		ACKS(0, { 1, to });
	EXPECT(sent[0] == 2 && fresh > 26);
	/* What was sent after it arrives: two had gone before. */
	for (unsigned to = 21; to <= 24; to++)
		ACKS(0, { 1, to });
	EXPECT(sent[0] == 2);
	ACKS(0, { 1, 25 });
	EXPECT(sent[0] == 3);
	ACKS(0, { 1, 26 });
	EXPECT(sent[0] == 3);
	ACKS(26);
	EXPECT(whole(26));
}

/* Leaves the first n segments, which are under way, as all that there are to send. */
static void nothing_more(unsigned n)
{
	segs[n - 1].next = NULL;
	pcb.unsent = NULL;
}

static void the_last_segments_are_recovered_without_three_behind_them(void)
{
	start(3, TF_SACK);
	nothing_more(3);
	ACKS(0, { 1, 2 });
	EXPECT(sent[0] == 1);
	ACKS(0, { 1, 3 });
	EXPECT(sent[0] == 2 && sent[1] == 1 && sent[2] == 1);
	/* A second one is lost near the end. */
	start(8, TF_SACK);
	nothing_more(8);
	for (unsigned to = 2; to <= 6; to++)
		ACKS(0, { 1, to });
	ACKS(0, { 7, 8 }, { 1, 6 });
	ACKS(6, { 7, 8 });
	EXPECT(sent[0] == 2 && sent[6] == 2 && sent[7] == 1);
	/* One alone tells nothing. */
	start(1, TF_SACK);
	nothing_more(1);
	ACKS(0);
	EXPECT(sent[0] == 1);
}

static void two_out_of_order_let_two_new_ones_go(void)
{
	start(4, TF_SACK);
	ACKS(0, { 1, 2 });
	EXPECT(fresh == 5);
	ACKS(0, { 1, 3 });
	EXPECT(fresh == 6 && sent[0] == 1);
	/* They were only late. */
	ACKS(4);
	EXPECT(pcb.cwnd == 4 * MSS);
}

static void time_out(void)
{
	EXPECT(tcp_rexmit_rto_prepare(&pcb) == ERR_OK);
	pcb.cwnd = MSS;
	pcb.nrtx++;
	tcp_output(&pcb);
	tcp_recover_timeout(record, &pcb);
}

/* The peer had 4 and 5, and has dropped them again. */
static void after_a_second_time_out_segments_go_in_order(void)
{
	start(10, TF_SACK);
	ACKS(0, { 4, 6 });
	time_out();
	time_out();
	EXPECT(sent[0] == 3 && sent[1] == 1);
	pcb.cwnd = 2 * MSS;
	ACKS(1);
	EXPECT(sent[1] == 2 && sent[4] == 1);
	EXPECT(whole(1));
}

/* What was spared has been acknowledged up to itself: nothing is left that lwIP would send by its own order. */
static void a_time_out_sends_the_first_one_that_is_missing(void)
{
	start(10, TF_SACK);
	ACKS(0, { 4, 6 });
	time_out();
	ACKS(1, { 4, 6 });
	EXPECT(sent[1] == 2);
	pcb.unacked = NULL;
	pcb.unsent = &segs[4];
	segs[4].next = &segs[5];
	segs[5].next = &segs[1];
	segs[1].next = &segs[2];
	segs[2].next = &segs[3];
	segs[3].next = &segs[6];
	pcb.cwnd = MSS;
	tcp_output(&pcb);
	EXPECT(sent[1] == 2);
	tcp_recover_timeout(record, &pcb);
	EXPECT(sent[1] == 3);
	EXPECT(whole(1));
}

static void a_time_out_spares_what_the_peer_has(void)
{
	start(10, TF_SACK);
	ACKS(0, { 1, 2 }, { 4, 5 });
	time_out();
	EXPECT(sent[0] == 2);
	ACKS(2, { 4, 5 });
	pcb.cwnd = SEGMENTS * MSS;
	ACKS(3, { 4, 5 });
	EXPECT(sent[1] == 1 && sent[2] == 2 && sent[3] == 2 && sent[4] == 1 && sent[9] == 2);
	EXPECT(whole(3));
}

/* lwIP takes it for impossible that something is under way while it probes a window. */
static void while_a_window_is_probed_nothing_is_taken_for_sent(void)
{
	start(10, TF_SACK);
	ACKS(0, { 1, 2 });
	tcp_rexmit_rto_prepare(&pcb);
	pcb.snd_wnd = 0;
	pcb.persist_backoff = 1;
	tcp_recover_timeout(record, &pcb);
	ACKS(0, { 1, 3 });
	EXPECT(!pcb.unacked);
	EXPECT(whole(0));
}

static void after_a_second_time_out_the_peer_is_not_believed(void)
{
	start(10, TF_SACK);
	ACKS(0, { 1, 2 });
	time_out();
	time_out();
	pcb.cwnd = SEGMENTS * MSS;
	tcp_output(&pcb);
	EXPECT(sent[0] == 3 && sent[1] == 2);
	EXPECT(whole(0));
}

static void a_time_out_ends_a_recovery(void)
{
	start(10, TF_SACK);
	for (unsigned to = 2; to <= 6; to++)
		ACKS(0, { 1, to });
	EXPECT(pcb.flags & TF_INFR);
	time_out();
	EXPECT(!(pcb.flags & TF_INFR));
	ACKS(6);
	EXPECT(pcb.cwnd == MSS);
}

static void without_memory_lwip_does_it_alone(void)
{
	start(10, TF_SACK);
	no_memory = true;
	for (unsigned to = 2; to <= 6; to++)
		ACKS(0, { 1, to });
	EXPECT(!record);
	EXPECT(sent[0] == 2);
	ACKS(3);
	EXPECT(!(pcb.flags & TF_INFR));
	EXPECT(whole(3));
}

static void damaged_segments_and_lies_tell_nothing(void)
{
	start(10, TF_SACK);
	damaged = true;
	for (unsigned i = 0; i < 2; i++)
		ACKS(0, { 1, 6 });
	EXPECT(sent[0] == 1);
	damaged = false;
	pcb.dupacks = 0;
	ACKS(0, { 1, 11 });
	ACKS(0, { 12, 39 });
	EXPECT(sent[0] == 1);
	/* A peer that has not offered them. */
	start(10, 0);
	ACKS(0, { 1, 6 });
	ACKS(0, { 1, 6 });
	EXPECT(sent[0] == 1);
}

static void a_segment_that_a_driver_holds_waits(void)
{
	start(20, TF_SACK);
	bufs[3].ref = 2;
	for (unsigned to = 5; to <= 20; to++)
		ACKS(0, { 4, to }, { 1, 3 });
	EXPECT(sent[0] == 2 && sent[3] == 1);
	bufs[3].ref = 1;
	ACKS(3, { 4, 20 });
	EXPECT(sent[3] == 2);
}

/* `ms` pass, in which the connection is looked at as often as it asks for. How many segments went meanwhile. */
static unsigned wait(unsigned ms)
{
	unsigned before = 0, after = 0;

	for (unsigned i = 0; i < SEGMENTS; i++)
		before += sent[i];
	for (; ms > 0; ms -= 10) {
		now_ns += TCP_PROBE_LOOK_NS;
		if (tcp_recover_sent(record, &pcb, now_ns))
			tcp_recover_probe(record, &pcb, now_ns);
	}
	for (unsigned i = 0; i < SEGMENTS; i++)
		after += sent[i];
	return after - before;
}

/* The first 14 of 20 have been acknowledged, with round trips of 20 ms, after disorder at the beginning; nothing is left but those that are under way. */
static void start_at_the_end(void)
{
	start(10, TF_SACK);
	segs[19].next = NULL;
	ACKS(0, { 1, 2 });
	now_ns += 20000000;
	ACKS(11);
	EXPECT(fresh == 20 && !pcb.unsent);
	now_ns += 20000000;
	ACKS(14);
	pcb.cwnd = 8 * MSS;
}

static void a_lost_tail_is_probed_and_then_recovered(void)
{
	start_at_the_end();
	ACKS(15);
	EXPECT(wait(30) == 0);
	EXPECT(wait(60) == 1 && sent[19] == 2);
	/* One is out at a time. */
	EXPECT(wait(1000) == 0);
	EXPECT(pcb.cwnd == 8 * MSS);
	ACKS(15, { 19, 20 });
	EXPECT(sent[15] == 2 && pcb.flags & TF_INFR && pcb.cwnd < 8 * MSS);
	ACKS(16, { 19, 20 });
	ACKS(17, { 19, 20 });
	ACKS(18, { 19, 20 });
	EXPECT(sent[16] == 2 && sent[17] == 2 && sent[18] == 2 && sent[19] == 2);
	ACKS(20);
	EXPECT(!(pcb.flags & TF_INFR) && !pcb.unacked && !pcb.unsent);
}

/* The acknowledgement of one that was only late comes together with that of the probe. */
static void a_probe_tells_also_where_the_first_is_acknowledged_with_it(void)
{
	start_at_the_end();
	ACKS(15);
	EXPECT(wait(90) == 1);
	ACKS(16, { 19, 20 });
	EXPECT(sent[16] == 2);
	ACKS(17, { 19, 20 });
	ACKS(18, { 19, 20 });
	EXPECT(sent[17] == 2 && sent[18] == 2);
}

static void what_was_lost_again_is_probed(void)
{
	start_at_the_end();
	ACKS(15, { 16, 19 });
	EXPECT(sent[15] == 2);
	ACKS(15, { 16, 20 });
	EXPECT(sent[15] == 2);
	EXPECT(wait(200) == 1 && sent[15] == 3);
	ACKS(20);
	EXPECT(!pcb.unacked && !pcb.unsent);
}

static void a_probe_in_vain_changes_no_window(void)
{
	uint64_t before = tcp_recover_counters.probes_needless;

	start_at_the_end();
	ACKS(15);
	EXPECT(wait(90) == 1);
	ACKS(20);
	EXPECT(pcb.cwnd == 8 * MSS);
	ACKS(20, { 19, 20 });
	pcb.unsent = &segs[20];
	tcp_output(&pcb);
	ACKS(20, { 19, 20 });
	EXPECT(tcp_recover_counters.probes_needless == before + 1);
	ACKS(22);
	EXPECT(pcb.cwnd == 8 * MSS);
	EXPECT(!(pcb.flags & TF_INFR));
}

static void a_probe_that_was_needed_halves_the_window(void)
{
	start_at_the_end();
	ACKS(19);
	/* The answer to one may be delayed. */
	EXPECT(wait(90) == 0);
	EXPECT(wait(60) == 1 && sent[19] == 2);
	ACKS(20);
	EXPECT(pcb.cwnd == 8 * MSS);
	pcb.unsent = &segs[20];
	tcp_output(&pcb);
	ACKS(22);
	EXPECT(pcb.cwnd == 4 * MSS && pcb.ssthresh == 4 * MSS);
}

static void a_probe_that_is_lost_leaves_it_to_the_timer(void)
{
	start_at_the_end();
	ACKS(15);
	pcb.rtime = 2;
	EXPECT(wait(90) == 1);
	EXPECT(pcb.rtime == 0);
	time_out();
	EXPECT(sent[15] == 2);
	EXPECT(wait(1000) == 0);
	pcb.flags &= (tcpflags_t)~TF_RTO;
	ACKS(16);
	EXPECT(wait(200) == 1);
}

static void peers_without_blocks_are_not_probed(void)
{
	start(10, 0);
	for (unsigned i = 0; i < 4; i++)
		ACKS(0);
	EXPECT(record && wait(1000) == 0);
}

static void records_are_given_back(void)
{
	start(10, TF_SACK);
	ACKS(0, { 1, 2 });
	EXPECT(record && net_held > 0);
	tcp_recover_free(record);
	record = NULL;
	EXPECT(net_held == 0);
}

static void run(const char *name, void (*test)(void))
{
	wrong = NULL;
	test();
	if (wrong)
		printf("not ok %s %s\n", name, wrong);
	else
		printf("ok %s\n", name);
	failed |= wrong != NULL;
}
#define RUN(test) run(#test, test)

int main(void)
{
	RUN(each_lost_segment_goes_again_once);
	RUN(no_more_goes_out_than_leaves_the_network);
	RUN(new_data_goes_out_when_there_is_room);
	RUN(without_blocks_a_partial_acknowledgement_sends_the_next);
	RUN(a_segment_that_is_lost_twice_goes_a_third_time);
	RUN(the_last_segments_are_recovered_without_three_behind_them);
	RUN(two_out_of_order_let_two_new_ones_go);
	RUN(a_time_out_spares_what_the_peer_has);
	RUN(while_a_window_is_probed_nothing_is_taken_for_sent);
	RUN(after_a_second_time_out_the_peer_is_not_believed);
	RUN(after_a_second_time_out_segments_go_in_order);
	RUN(a_time_out_sends_the_first_one_that_is_missing);
	RUN(a_time_out_ends_a_recovery);
	RUN(without_memory_lwip_does_it_alone);
	RUN(damaged_segments_and_lies_tell_nothing);
	RUN(a_segment_that_a_driver_holds_waits);
	RUN(a_lost_tail_is_probed_and_then_recovered);
	RUN(a_probe_tells_also_where_the_first_is_acknowledged_with_it);
	RUN(what_was_lost_again_is_probed);
	RUN(a_probe_in_vain_changes_no_window);
	RUN(a_probe_that_was_needed_halves_the_window);
	RUN(a_probe_that_is_lost_leaves_it_to_the_timer);
	RUN(peers_without_blocks_are_not_probed);
	RUN(records_are_given_back);
	return failed;
}
