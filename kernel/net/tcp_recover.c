/*
 * kernel/net/tcp_recover.c - loss recovery.
 *
 * Theory:    lwIP has two lists of segments, `unacked` and `unsent`, both in order. A segment is sent again by moving it over, as
 *            tcp_rexmit() does; tcp_output(), at the end of lwIP's input, then sends it and puts it back. It sends what begins less than `cwnd` bytes
 *            after the last acknowledged one. While a connection recovers, `cwnd` is set before each acknowledgement, so that this allows exactly what
 *            may be sent: what lies in between (snd_nxt - lastack) and as much as ssthresh is larger than what is under way ("pipe" in RFC 6675). lwIP's
 *            own additions, one segment for each duplicate, are prevented by forgetting that there were duplicates.
 *
 *            A recovery begins when lwIP's does, after three duplicates, or when the scoreboard shows the first segment as lost (a peer whose window
 *            moves meanwhile makes no duplicates that lwIP counts). It ends when all is acknowledged that had been sent when it began, or by a time-out. lwIP
 *            takes its own for ended at the first acknowledgement of anything (TF_INFR); the flag is taken away before such a one and put back after.
 *
 *            Small windows have no three segments behind the lost one. So the first two that arrive out of order let two new ones go (RFC 3042), and where
 *            there is nothing new to send, one is lost when all others have arrived (RFC 5827). A segment that was sent again is lost once more when
 *            what was sent after it has arrived: then the search for lost ones begins anew.
 *
 *            After a time-out lwIP sends everything again: it puts `unacked` before `unsent`, which is put in order here, since of what was under way some lay in
 *            either. What the peer is known to have is moved to `unacked` without being sent; if that
 *            does not help (a second time-out), what the scoreboard says is no longer believed (RFC 2018, section 8).
 *
 *            What is lost at the very end, or lost again when it is sent again, has nothing behind it that could show it, and lwIP's timer takes 0.3 s at least and the window
 *            with it. So a connection that has lost something before is watched: when nothing has been heard for two round trips, the last segment that the peer does not have
 *            goes again (a tail loss probe). When that arrives, all that lies before it and has not arrived is lost, whatever was sent when (the rule of RFC 8985, with the
 *            probe's time as the only one that is kept). One probe is out at a time, and lwIP's timer begins anew with it. If it was what had been lost, nothing else would tell of
 *            congestion: the window is halved when the peer acknowledges more without saying that the probe came twice (section 7.4).
 *            Round trips are timed here, since lwIP does so in ticks of its timer: one at a time, of the last segment of those that were sent together.
 *
 * Costs:     a segment without blocks, of a connection that has lost nothing: a look at its length. While a connection recovers, an acknowledgement
 *            walks its segments. One that has lost something before and waits for an answer is looked at each 10 ms.
 * Interface: net/tcp_recover.h. Locking: core lock.
 * Errors:    without memory for a record there is no recovery but lwIP's.
 */
#include "net/tcp_recover.h"
#include "net/memory.h"
#include "net/tcp_sack.h"
#include "net/tcp_syn.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/tcp.h"
#include "lwip/snmp.h"

#define FEW_SEGMENTS 3   /* with which three cannot arrive behind a lost one */
#define EXTRA_SEGMENTS 2
#define PROBE_SLACK_NS 10000000 /* beyond two round trips */
#define PROBE_ALONE_NS 50000000 /* for one segment, whose answer the peer may delay */
#define TICK_NS (TCP_SLOW_INTERVAL * 1000000ull)

struct tcp_recovery {
	struct sack_board board;
	bool active;
	uint32_t until;  /* what had been sent when it began */
	uint32_t resent; /* what was lost before this has been sent again */
	uint32_t next;   /* what had been sent when the last of it was */
	unsigned extra;  /* segments by which cwnd is larger, since blocks came (RFC 3042) */
	bool timed_out;
	uint32_t timed_out_at; /* what was acknowledged then */
	uint64_t moved_ns;     /* when something new was sent, or anything heard, last */
	uint32_t sent;         /* snd_nxt then */
	uint32_t timed;        /* the end of the segment whose round trip is being timed */
	uint64_t timed_ns;     /* when it was sent; 0: none is */
	uint64_t srtt_ns;      /* smoothed; 0: not known */
	bool probed;           /* a probe is out: */
	uint32_t probe, probe_end;
	uint32_t lost_below;   /* what lies before it and has not arrived is lost; not before what is acknowledged */
};

struct tcp_recover_counters tcp_recover_counters;

static uint32_t start_of(const struct tcp_seg *seg) { return lwip_ntohl(seg->tcphdr->seqno); }
static uint32_t end_of(const struct tcp_seg *seg) { return start_of(seg) + TCP_TCPLEN(seg); }

/* A driver or a queue may still hold it. */
static bool is_busy(const struct tcp_seg *seg) { return seg->p->ref != 1; }

static bool is_lost(const struct tcp_recovery *r, const struct tcp_pcb *pcb, uint32_t end)
{
	return !sack_before(r->lost_below, end) || sack_lost(&r->board, end, pcb->mss);
}

static unsigned blocks_of(const struct tcp_pcb *pcb, const struct pbuf *p, struct sack_range block[SACK_BLOCKS])
{
	/* No operation, no operation, time stamps: what most segments have. */
	static const uint8_t stamps[] = { 1, 1, 8, 10 };
	const struct tcp_hdr *h = p->payload;
	const uint8_t *options = (const uint8_t *)(h + 1);
	unsigned len = TCPH_HDRLEN_BYTES(h);

	if (!(pcb->flags & TF_SACK) || len <= TCP_HLEN || len > p->len || (len == TCP_HLEN + 12 && !memcmp(options, stamps, sizeof(stamps))))
		return 0;
	return sack_parse(options, len - TCP_HLEN, block);
}

void tcp_recover_move(struct tcp_seg **from, struct tcp_seg **to)
{
	struct tcp_seg *seg = *from;

	*from = seg->next;
	while (*to && sack_before(start_of(*to), start_of(seg)))
		to = &(*to)->next;
	seg->next = *to;
	*to = seg;
}

/* Nobody can tell which of the two an acknowledgement is for, so that it times nothing. */
static void send_again(struct tcp_recovery *r, struct tcp_pcb *pcb, struct tcp_seg **from)
{
	struct tcp_seg *seg = *from;

	if (sack_before(start_of(seg), r->timed) && !sack_before(end_of(seg), r->timed))
		r->timed_ns = 0;
	tcp_recover_move(from, &pcb->unsent);
	if (!seg->next)
		pcb->unsent_oversize = 0;
	pcb->rttest = 0;
	MIB2_STATS_INC(mib2.tcpretranssegs);
}

static void resend(struct tcp_recovery *r, struct tcp_pcb *pcb, struct tcp_seg **from)
{
	struct tcp_seg *seg = *from;

	r->resent = end_of(seg);
	r->next = pcb->snd_nxt;
	send_again(r, pcb, from);
	tcp_recover_counters.resent++;
}

/* lwIP has sent the first segment again, or is about to. */
static void begin(struct tcp_recovery *r, const struct tcp_pcb *pcb)
{
	r->active = true;
	r->until = pcb->snd_nxt;
	r->resent = pcb->lastack + 1;
	r->next = pcb->snd_nxt;
	r->extra = 0;
	if (!sack_before(pcb->lastack + pcb->mss, r->timed))
		r->timed_ns = 0;
	tcp_recover_counters.recoveries++;
}

/* What is under way, by RFC 6675's SetPipe(): bytes that are neither received nor lost, and those that were sent again. */
static uint32_t under_way(const struct tcp_recovery *r, const struct tcp_pcb *pcb, uint32_t first)
{
	uint32_t bytes = 0;

	for (const struct tcp_seg *seg = pcb->unacked; seg; seg = seg->next) {
		uint32_t start = start_of(seg), end = end_of(seg);

		if (!sack_before(first, end) || sack_has(&r->board, start, end))
			continue;
		if (!is_lost(r, pcb, end))
			bytes += end - start;
		if (sack_before(start, r->resent))
			bytes += end - start;
	}
	for (const struct tcp_seg *seg = pcb->unsent; seg && sack_before(start_of(seg), pcb->snd_nxt); seg = seg->next)
		bytes += TCP_TCPLEN(seg);
	return bytes;
}

/* Sends again what is lost, and lets lwIP send what there is room for. At least one lost segment goes for each acknowledgement of something new. */
static void recover_by_blocks(struct tcp_recovery *r, struct tcp_pcb *pcb, uint32_t first)
{
	bool all_sent = !pcb->unsent;
	int64_t room;

	if (sack_lost(&r->board, r->next, pcb->mss))
		r->resent = first;
	room = (int64_t)pcb->ssthresh - under_way(r, pcb, first);
	if (first != pcb->lastack && room < pcb->mss)
		room = pcb->mss;
	for (struct tcp_seg **from = &pcb->unacked; *from && room > 0;) {
		struct tcp_seg *seg = *from;
		uint32_t start = start_of(seg), end = end_of(seg);

		if (!sack_before(first, end) || sack_before(start, r->resent) || sack_has(&r->board, start, end) || is_busy(seg)) {
			from = &seg->next;
			continue;
		}
		/* Where there is nothing new to send, what others have overtaken goes before its loss is certain (RFC 6675, NextSeg(), rule 3). */
		if (!is_lost(r, pcb, end) && !(all_sent && sack_lost(&r->board, end, 0)))
			break;
		resend(r, pcb, from);
		room -= end - start;
	}
	pcb->cwnd = pcb->snd_nxt - first + (uint32_t)MAX(room, 0);
	pcb->dupacks = 0;
}

/* Without a scoreboard: a partial acknowledgement says that the segment behind it is lost, too (RFC 6582, section 3.2). */
static void recover_by_partial(struct tcp_recovery *r, struct tcp_pcb *pcb, uint32_t first)
{
	uint32_t acked = first - pcb->lastack;
	struct tcp_seg **from = &pcb->unacked;

	if (!acked)
		return;
	while (*from && !sack_before(first, end_of(*from)))
		from = &(*from)->next;
	if (*from && !sack_before(start_of(*from), r->resent) && !is_busy(*from))
		resend(r, pcb, from);
	pcb->cwnd = MAX(pcb->cwnd - MIN(acked, pcb->cwnd), pcb->mss) + pcb->mss;
}

/* Is the first segment that is not acknowledged lost? */
static bool first_is_lost(const struct tcp_recovery *r, const struct tcp_pcb *pcb)
{
	const struct tcp_seg *seg = pcb->unacked;
	unsigned n = 0;

	if (!seg)
		return false;
	if (is_lost(r, pcb, end_of(seg)))
		return true;
	if (pcb->unsent)
		return false;
	for (seg = seg->next; seg; seg = seg->next, n++)
		if (n == FEW_SEGMENTS || !sack_has(&r->board, start_of(seg), end_of(seg)))
			return false;
	return n > 0;
}

/* Takes back what cwnd was made larger by. */
static void take_back_extra(struct tcp_recovery *r, struct tcp_pcb *pcb)
{
	uint32_t extra = r->extra * pcb->mss;

	r->extra = 0;
	if (pcb->cwnd > extra + pcb->mss)
		pcb->cwnd -= extra;
}

static bool in_order(const struct tcp_seg *seg)
{
	for (; seg && seg->next; seg = seg->next)
		if (sack_before(start_of(seg->next), start_of(seg)))
			return false;
	return true;
}

/* After a time-out: everything that was under way goes again, the first first. True: it was not in that order. */
static bool sort(struct tcp_pcb *pcb)
{
	struct tcp_seg *rest = pcb->unsent;

	if (in_order(rest))
		return false;
	pcb->unsent = NULL;
	while (rest)
		tcp_recover_move(&rest, &pcb->unsent);
	pcb->rto_end = pcb->snd_nxt;
	pcb->unsent_oversize = 0;
	return true;
}

/* After a time-out: what the peer has is not sent again. */
static void spare(struct tcp_recovery *r, struct tcp_pcb *pcb)
{
	/* lwIP probes a window only while nothing is under way. */
	if (pcb->persist_backoff)
		return;
	for (struct tcp_seg **from = &pcb->unsent; *from && sack_before(start_of(*from), pcb->rto_end);) {
		if (!sack_has(&r->board, start_of(*from), end_of(*from))) {
			from = &(*from)->next;
			continue;
		}
		tcp_recover_move(from, &pcb->unacked);
		tcp_recover_counters.spared++;
	}
	if (!pcb->unsent)
		pcb->unsent_oversize = 0;
}

/* An acknowledgement of all before `first` has come, and the board says what else is there. */
static void heard(struct tcp_recovery *r, uint32_t first, uint64_t now_ns)
{
	uint64_t took = now_ns - r->timed_ns;

	r->moved_ns = now_ns;
	if (sack_before(r->lost_below, first))
		r->lost_below = first;
	if (!r->timed_ns || (sack_before(first, r->timed) && !sack_has(&r->board, r->timed - 1, r->timed)))
		return;
	r->srtt_ns = r->srtt_ns ? r->srtt_ns - r->srtt_ns / 8 + took / 8 : MAX(took, 1ull);
	r->timed_ns = 0;
}

/* What became of the probe that is out. `twice`: the peer says that it has got something again. */
static void probe_heard(struct tcp_recovery *r, struct tcp_pcb *pcb, uint32_t first, bool twice)
{
	if (twice) {
		tcp_recover_counters.probes_needless++;
		r->probed = false;
	} else if (sack_before(r->probe_end, first)) {
		r->probed = false;
		if (r->active)
			return;
		pcb->ssthresh = (tcpwnd_size_t)MAX(MIN(pcb->cwnd, pcb->snd_wnd) / 2, 2u * pcb->mss);
		pcb->cwnd = MIN(pcb->cwnd, pcb->ssthresh);
	} else if (sack_has(&r->board, sack_before(r->probe, first) ? first : r->probe, r->probe_end)) {
		r->lost_below = r->probe;
		r->resent = first;
		r->probed = false;
	}
}

void tcp_recover_before(struct tcp_recovery **record, struct tcp_pcb *pcb, struct pbuf *p, struct netif *inp, uint64_t now_ns)
{
	const struct tcp_hdr *h = p->payload;
	uint32_t ack = lwip_ntohl(h->ackno), first = pcb->lastack;
	struct tcp_recovery *r = *record;
	struct sack_range block[SACK_BLOCKS];
	bool news = false, twice = false;
	unsigned n;

	if ((TCPH_FLAGS(h) & (TCP_ACK | TCP_SYN | TCP_RST)) != TCP_ACK || pcb->state < ESTABLISHED || (!pcb->unacked && !pcb->unsent))
		return;
	n = blocks_of(pcb, p, block);
	if (!n && !(pcb->flags & TF_INFR) && !r)
		return;
	if (!tcp_syn_intact(p, inp))
		return;
	if (!r) {
		r = kmalloc_flags(sizeof(*r), ALLOC_NORECLAIM);
		if (!r)
			return;
		memset(r, 0, sizeof(*r));
		r->sent = pcb->snd_nxt;
		r->timed = r->lost_below = pcb->lastack;
		net_held_add(sizeof(*r));
		*record = r;
	}
	if (sack_before(first, ack) && !sack_before(pcb->snd_nxt, ack))
		first = ack;
	sack_forget(&r->board, first);
	while (n-- > 0) {
		news |= sack_add(&r->board, first, pcb->snd_nxt, &block[n]);
		/* RFC 2883. */
		twice |= !sack_before(first, block[n].end) && !sack_before(block[n].end, r->probe_end) && !sack_before(r->probe, block[n].start);
	}
	heard(r, first, now_ns);
	if (r->probed)
		probe_heard(r, pcb, first, twice);
	if (first != pcb->lastack && r->extra)
		take_back_extra(r, pcb);
	if (pcb->flags & TF_RTO) {
		spare(r, pcb);
		return;
	}
	if (r->active && !sack_before(first, r->until)) {
		r->active = false;
		return;
	}
	if (!r->active) {
		if (!(pcb->flags & TF_INFR) && first == pcb->lastack && first_is_lost(r, pcb)) {
			take_back_extra(r, pcb);
			tcp_rexmit_fast(pcb);
		}
		if (!(pcb->flags & TF_INFR)) {
			if (news && first == pcb->lastack && r->extra < EXTRA_SEGMENTS) {
				r->extra++;
				pcb->cwnd += pcb->mss;
			}
			return;
		}
		begin(r, pcb);
	}
	if (r->board.n || pcb->flags & TF_SACK)
		recover_by_blocks(r, pcb, first);
	else
		recover_by_partial(r, pcb, first);
	/* Else lwIP would take it for the end. */
	if (first != pcb->lastack)
		tcp_clear_flags(pcb, TF_INFR);
}

void tcp_recover_after(struct tcp_recovery *r, struct tcp_pcb *pcb)
{
	/* The first one that is missing has become the first of all, and nothing else may come that would show it again. */
	if (!r->active && r->board.n && !(pcb->flags & (TF_INFR | TF_RTO)) && pcb->state >= ESTABLISHED && first_is_lost(r, pcb)) {
		take_back_extra(r, pcb);
		tcp_rexmit_fast(pcb);
		if (!(pcb->flags & TF_INFR))
			return;
		begin(r, pcb);
		recover_by_blocks(r, pcb, pcb->lastack);
		tcp_output(pcb);
		return;
	}
	if (!r->active || pcb->flags & TF_INFR)
		return;
	tcp_set_flags(pcb, TF_INFR);
	/* Nagle's algorithm may have held back a short segment that was lost. */
	if (pcb->unsent)
		tcp_output(pcb);
}

void tcp_recover_timeout(struct tcp_recovery *r, struct tcp_pcb *pcb)
{
	bool sorted;

	tcp_recover_counters.timeouts++;
	/* Else the next acknowledgement would end a recovery, with the window of one. */
	tcp_clear_flags(pcb, TF_INFR);
	if (!r)
		return;
	r->active = r->probed = false;
	r->lost_below = pcb->lastack;
	r->timed_ns = 0;
	r->extra = 0;
	if (r->timed_out && r->timed_out_at == pcb->lastack)
		r->board.n = 0;
	r->timed_out = true;
	r->timed_out_at = pcb->lastack;
	sorted = sort(pcb);
	spare(r, pcb);
	/* lwIP may have found none that it could send at the head. */
	if (sorted)
		tcp_output(pcb);
}

bool tcp_recover_sent(struct tcp_recovery *r, const struct tcp_pcb *pcb, uint64_t now_ns)
{
	if (r->sent != pcb->snd_nxt) {
		r->sent = pcb->snd_nxt;
		r->moved_ns = now_ns;
		if (!r->timed_ns) {
			r->timed_ns = now_ns;
			r->timed = pcb->snd_nxt;
		}
	}
	return pcb->unacked && !r->probed && (pcb->flags & (TF_SACK | TF_RTO)) == TF_SACK && pcb->state >= ESTABLISHED && pcb->state != TIME_WAIT;
}

void tcp_recover_probe(struct tcp_recovery *r, struct tcp_pcb *pcb, uint64_t now_ns)
{
	/* What lwIP knows, where no round trip has been timed. */
	uint64_t round_ns = r->srtt_ns ? r->srtt_ns : (uint64_t)((pcb->sa >> 3) + 1) * TICK_NS;
	uint64_t due_ns = r->moved_ns + 2 * round_ns + PROBE_SLACK_NS;
	struct tcp_seg **last = NULL;
	tcpwnd_size_t cwnd = pcb->cwnd;
	bool recovers = pcb->flags & TF_INFR;
	unsigned n = 0;

	if (!tcp_recover_sent(r, pcb, now_ns) || now_ns < due_ns)
		return;
	for (struct tcp_seg **s = &pcb->unacked; *s; s = &(*s)->next) {
		if (sack_has(&r->board, start_of(*s), end_of(*s)))
			continue;
		last = s;
		n++;
	}
	if (!last || is_busy(*last) || (n == 1 && now_ns < due_ns + PROBE_ALONE_NS))
		return;
	r->probed = true;
	r->probe = start_of(*last);
	r->probe_end = end_of(*last);
	send_again(r, pcb, last);
	tcp_recover_counters.probes++;
	/* The window has had room for it before; and Nagle's algorithm shall not hold it back. */
	pcb->cwnd = MAX(cwnd, r->probe_end - pcb->lastack);
	tcp_set_flags(pcb, TF_INFR);
	tcp_output(pcb);
	pcb->cwnd = cwnd;
	if (!recovers)
		tcp_clear_flags(pcb, TF_INFR);
	if (pcb->rtime > 0)
		pcb->rtime = 0;
}

void tcp_recover_free(struct tcp_recovery *r)
{
	if (!r)
		return;
	net_held_sub(sizeof(*r));
	kfree(r);
}
