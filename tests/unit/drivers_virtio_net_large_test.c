/*
 * tests/unit/drivers_virtio_net_large_test.c - the virtio-net driver with a device that cuts and joins large frames, and with one that has several pairs
 * of queues; both also as liars.
 */
// sources: kernel/drivers/virtq.c kernel/drivers/virtio.c kernel/net/frame.c build/third_party/lwip/src/core/pbuf.c build/third_party/lwip/src/core/mem.c build/third_party/lwip/src/core/memp.c build/third_party/lwip/src/core/stats.c build/third_party/lwip/src/core/def.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all
#include "net_card_drive.h"

/* --- large frames out ------------------------------------------------------------------------------------------- */

#define HEADERS 54  /* Ethernet, IPv4, TCP */
#define SEGMENT 1000

/* The bytes of a connection, counted from its first. */
static uint8_t byte_at(unsigned n) { return (uint8_t)(n * 2654435761u >> 21); }

/* Sends bytes of connection `flow` that begin at `from`, as lwIP does: the headers in one piece, the bytes in two more. */
static int send_segment(unsigned flow, bool ipv6, unsigned from, unsigned bytes, uint8_t flags)
{
	unsigned tcp = ipv6 ? 54 : 34, headers = tcp + 20, half = bytes / 2;
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)headers, PBUF_RAM);
	uint8_t *f = p->payload;
	int r;

	memset(f, 0, headers);
	memcpy(f + 12, ipv6 ? "\x86\xdd\x60" : "\x08\x00\x45", 3);
	if (ipv6) {
		f[18] = (uint8_t)((20 + bytes) >> 8);
		f[19] = (uint8_t)(20 + bytes);
		f[20] = 6;
	} else {
		f[16] = (uint8_t)((40 + bytes) >> 8);
		f[17] = (uint8_t)(40 + bytes);
		f[18] = (uint8_t)(from / SEGMENT >> 8);
		f[19] = (uint8_t)(from / SEGMENT);
		f[23] = 6;
	}
	f[tcp + 1] = (uint8_t)flow;
	for (unsigned i = 0; i < 4; i++)
		f[tcp + 4 + i] = (uint8_t)(from >> (24 - 8 * i));
	f[tcp + 12] = 0x50;
	f[tcp + 13] = flags;
	for (unsigned part = 0; part < 2; part++) {
		unsigned n = part ? bytes - half : half;
		struct pbuf *q = pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM);

		for (unsigned i = 0; i < n; i++)
			((uint8_t *)q->payload)[i] = byte_at(from + (part ? half : 0) + i);
		pbuf_cat(p, q);
	}
	r = card_net->transmit(card_net, p);
	pbuf_free(p);
	return r;
}

/* The next frame that was offered, in one piece behind its header. Bytes of the frame. */
static struct { struct net_header h; uint8_t frame[70000]; } sent;
static unsigned take_sent(void)
{
	uint16_t head;
	struct virtq_desc *d = card_take(2 * pair + 1, &head);
	unsigned n = 0;

	for (;; d = &card_queue(2 * pair + 1)->desc[d->next]) {
		memcpy((uint8_t *)&sent.h + n, (void *)d->addr, d->len);
		n += d->len;
		EXPECT(!(d->flags & 2));
		if (!(d->flags & 1))
			break;
	}
	card_give(2 * pair + 1, head, 0);
	return n - sizeof(sent.h);
}

static bool sent_bytes(unsigned headers, unsigned from, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		if (sent.frame[headers + i] != byte_at(from + i))
			return false;
	return true;
}

static void segments_leave_as_one(bool ipv6, unsigned count)
{
	unsigned headers = ipv6 ? 74 : HEADERS, bytes = count * SEGMENT + 77;

	for (unsigned i = 0; i < count; i++)
		EXPECT(send_segment(1, ipv6, i * SEGMENT, SEGMENT, 0x10) == 0);
	EXPECT(card_offered(1) == 0);
	EXPECT(send_segment(1, ipv6, count * SEGMENT, 77, 0x18) == 0);
	card_net->flush(card_net);
	EXPECT(card_offered(1) == 1);
	EXPECT(take_sent() == headers + bytes);
	EXPECT(sent.h.flags == HDR_NEEDS_CSUM && sent.h.csum_start == headers - 20 && sent.h.csum_offset == 16);
	EXPECT(sent.h.gso_type == (ipv6 ? GSO_TCPV6 : GSO_TCPV4) && sent.h.gso_size == SEGMENT && sent.h.hdr_len == headers);
	EXPECT(sent.h.num_buffers == 0);
	EXPECT(sent.frame[headers - 20 + 13] == 0x18);
	EXPECT(sent_bytes(headers, 0, bytes));
}

static void segments_that_follow_leave_as_one_large_frame(void)
{
	EXPECT(card_start(LARGE));
	for (unsigned count = 1; count < 64; count += 3) {
		segments_leave_as_one(false, count);
		segments_leave_as_one(true, count);
	}
	EXPECT(card_net->tx_large == 42);
}

static void only_what_the_device_cuts_is_large(void)
{
	static const uint64_t missing[] = { F_HOST_TSO4 | F_HOST_TSO6, F_HOST_TSO4, F_HOST_TSO6, F_CSUM };

	for (unsigned i = 0; i < ARRAY_SIZE(missing); i++) {
		if (i)
			card_end();
		EXPECT(card_start(LARGE & ~missing[i]));
		for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
			bool cuts = !(missing[i] & (F_CSUM | (ipv6 ? F_HOST_TSO6 : F_HOST_TSO4)));

			EXPECT(send_segment(1, ipv6, 0, SEGMENT, 0x10) == 0);
			EXPECT(send_segment(1, ipv6, SEGMENT, SEGMENT, 0x10) == 0);
			card_net->flush(card_net);
			EXPECT(card_offered(1) == (cuts ? 1 : 2));
			while (card_offered(1)) {
				take_sent();
				EXPECT(sent.h.gso_type == (cuts ? ipv6 ? GSO_TCPV6 : GSO_TCPV4 : GSO_NONE));
				EXPECT(sent.h.flags == (missing[i] & F_CSUM ? 0 : HDR_NEEDS_CSUM));
			}
		}
	}
}

static void frames_keep_their_order(void)
{
	EXPECT(card_start(LARGE));
	EXPECT(send_segment(1, false, 0, SEGMENT, 0x10) == 0);
	EXPECT(send_segment(1, false, SEGMENT, SEGMENT, 0x10) == 0);
	EXPECT(send_segment(2, false, 0, SEGMENT, 0x10) == 0);
	EXPECT(send(100) == 0);
	EXPECT(send_segment(1, false, 2 * SEGMENT, SEGMENT, 0x10) == 0);
	card_net->flush(card_net);
	EXPECT(card_offered(1) == 4);
	EXPECT(take_sent() == HEADERS + 2 * SEGMENT && sent.h.gso_type == GSO_TCPV4 && sent.frame[35] == 1);
	EXPECT(take_sent() == HEADERS + SEGMENT && sent.h.gso_type == GSO_NONE && sent.h.gso_size == 0 && sent.frame[35] == 2);
	EXPECT(take_sent() == 100 && sent.h.flags == 0 && sent.frame[99] == 'y');
	EXPECT(take_sent() == HEADERS + SEGMENT && sent.h.gso_type == GSO_NONE && sent_bytes(HEADERS, 2 * SEGMENT, SEGMENT));
}

#define SEGMENT_ALLOCATIONS 3 /* of send_segment() itself; then come the driver's */

/* What was taken is sent, whole and in order, whatever had no room or no memory; what was not can be sent again. */
static void sent_in_the_end(unsigned failures, unsigned others)
{
	unsigned at = 0, seen = 0, want = 100 * SEGMENT;

	for (unsigned i = 0; i < others; i++)
		EXPECT(send(100) == 0);
	while (seen < want && !wrong) {
		bool some = true;

		for (unsigned i = 0; some && at < want; i++) {
			heap_fail_in = failures && i ? SEGMENT_ALLOCATIONS + 1 : 0;
			heap_fail_more = failures && i ? failures - 1 : 0;
			some = send_segment(1, false, at, SEGMENT, 0x10) == 0;
			at += some ? SEGMENT : 0;
		}
		heap_fail_in = heap_fail_more = 0;
		card_net->flush(card_net);
		EXPECT(card_offered(1) > 0);
		while (card_offered(1)) {
			unsigned n = take_sent();

			if (sent.frame[0] == 'y')
				continue;
			EXPECT((n - HEADERS) % SEGMENT == 0);
			EXPECT(sent_bytes(HEADERS, seen, n - HEADERS));
			seen += n - HEADERS;
		}
	}
	poll_once();
	EXPECT(card_queue(1)->nfree == 16);
}

static void without_room_or_memory_nothing_that_was_taken_is_lost(void)
{
	EXPECT(card_start(LARGE));
	for (unsigned failures = 0; failures < 6; failures++)
		for (unsigned others = 0; others < 16; others++)
			sent_in_the_end(failures, others);
}

static void large_frames_of_an_old_device(void)
{
	card_queue_entries = 64;
	EXPECT(card_start((LARGE & ~VIRTIO_F_VERSION_1) | VIRTIO_F_ANY_LAYOUT));
	segments_leave_as_one(false, 63);
	card_end();
	EXPECT(card_start(LARGE & ~VIRTIO_F_VERSION_1));
	for (unsigned count = 1; count < 64; count += 3)
		segments_leave_as_one(count & 1, count);
	/* With as little room as a frame may leave, nothing is lost. */
	card_end();
	card_queue_entries = 16;
	EXPECT(card_start(LARGE & ~VIRTIO_F_VERSION_1));
	for (unsigned others = 0; others < 8; others++)
		sent_in_the_end(0, others);
}

static void without_memory_frames_are_smaller(void)
{
	static const struct { unsigned failures; int answer; unsigned frames; } cases[] = {
		{ 0, 0, 1 }, { 1, 0, 1 }, /* a buffer for this segment alone */
		{ 2, 0, 2 }, { 3, 0, 2 }, { 4, -ENOBUFS, 1 },
	};

	EXPECT(card_start(LARGE));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned n = 0; n < 8; n++)
			EXPECT(send_segment(1, false, n * SEGMENT, SEGMENT, 0x10) == 0);
		heap_fail_in = cases[i].failures ? SEGMENT_ALLOCATIONS + 1 : 0;
		heap_fail_more = cases[i].failures ? cases[i].failures - 1 : 0;
		EXPECT(send_segment(1, false, 8 * SEGMENT, SEGMENT, 0x10) == cases[i].answer);
		EXPECT(heap_fail_in == 0);
		card_net->flush(card_net);
		EXPECT(card_offered(1) == cases[i].frames);
		EXPECT(take_sent() == HEADERS + (cases[i].frames == 1 && !cases[i].answer ? 9 : 8) * SEGMENT && sent.h.gso_type == GSO_TCPV4);
		if (cases[i].frames == 2)
			EXPECT(take_sent() == HEADERS + SEGMENT && sent_bytes(HEADERS, 8 * SEGMENT, SEGMENT));
	}
}

static void a_device_that_broke_gets_no_more(void)
{
	EXPECT(card_start(LARGE));
	EXPECT(send_segment(1, false, 0, SEGMENT, 0x10) == 0);
	card_give(1, 7, 0);
	poll_once();
	EXPECT(card->stopped);
	send_segment(1, false, SEGMENT, SEGMENT, 0x10);
	card_net->flush(card_net);
	EXPECT(send_segment(1, false, 2 * SEGMENT, SEGMENT, 0x10) == -ENOBUFS);
	EXPECT(card_offered(1) == 0);
}

/* --- large frames in ---------------------------------------------------------------------------------------------- */

static void deliver_large(unsigned bytes, uint8_t type, uint16_t size)
{
	struct virtq *q = card_queue(0);
	unsigned room = q->desc[q->avail->ring[card_seen[0] & (q->size - 1)]].len, buffers = (12 + bytes + room - 1) / room;
	struct net_header *h = (struct net_header *)q->desc[q->avail->ring[card_seen[0] & (q->size - 1)]].addr;

	deliver(12 + bytes, buffers, buffers, HDR_NEEDS_CSUM);
	h->gso_type = type;
	h->gso_size = size;
}

static void large_frames_come_up(void)
{
	for (card_queue_entries = 1; card_queue_entries <= 256; card_queue_entries *= 2) {
		unsigned offered;

		if (card_queue_entries > 1)
			card_end();
		EXPECT(card_start(LARGE));
		offered = card_offered(0);
		for (unsigned i = 0; i < 40; i++) {
			unsigned bytes = 14 + UINT16_MAX - i * 1600;

			deliver_large(bytes, i & 1 ? GSO_TCPV6 : GSO_TCPV4, 1448);
			poll_once();
			EXPECT(card_received == i + 1 && card_large == i + 1);
			EXPECT(card_last_bytes == bytes - 14);
			EXPECT(card_last_checked);
			EXPECT(card_offered(0) == offered);
		}
		EXPECT(atomic_load(&net_held) == 0);
	}
}

/* Two of the largest wait at the device, so that it can always go on. */
static void there_is_room_for_the_largest(void)
{
	card_queue_entries = 256;
	EXPECT(card_start(LARGE));
	EXPECT(card_offered(0) * card_queue(0)->desc[0].len >= 2 * (12 + 14 + UINT16_MAX));
}

static void lies_about_large_frames_are_dropped(void)
{
	static const struct { unsigned bytes; uint8_t type; uint16_t size; uint64_t features; } cases[] = {
		{ 9000, 2, 1448, LARGE }, { 9000, 3, 1448, LARGE }, { 9000, 5, 1448, LARGE }, { 9000, 0x81, 1448, LARGE }, { 9000, GSO_TCPV4, 0, LARGE },
		{ 9000, 0x80, 1448, LARGE }, { 13, GSO_TCPV4, 1448, LARGE }, { 0, GSO_TCPV6, 1448, LARGE }, { 15 + UINT16_MAX, GSO_TCPV4, 1448, LARGE },
		{ 9000, GSO_TCPV4, 1448, MODERN }, { 9000, GSO_TCPV4, 1448, LARGE & ~F_GUEST_TSO4 }, { 9000, GSO_TCPV6, 1448, LARGE & ~F_GUEST_TSO6 },
		{ 9000, GSO_TCPV4, 1448, LARGE & ~F_GUEST_CSUM },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned offered;

		if (i)
			card_end();
		card_queue_entries = 64;
		EXPECT(card_start(cases[i].features));
		offered = card_offered(0);
		deliver_large(cases[i].bytes, cases[i].type, cases[i].size);
		poll_once();
		EXPECT(card_received == 0 && card_net->rx_dropped == 1);
		EXPECT(!card->stopped && card_offered(0) == offered);
		/* The next one is none. */
		deliver(12 + 100, 1, 1, 0);
		poll_once();
		EXPECT(card_received == 1 && card_large == 0);
	}
}

static void what_needs_something_else_is_not_asked_for(void)
{
	EXPECT(card_start(LARGE & ~F_CSUM));
	EXPECT(!virtio_has(card, F_HOST_TSO4 | F_HOST_TSO6) && virtio_has(card, F_GUEST_TSO4));
	card_end();
	EXPECT(card_start(LARGE & ~F_GUEST_CSUM));
	EXPECT(!virtio_has(card, F_GUEST_TSO4 | F_GUEST_TSO6) && virtio_has(card, F_HOST_TSO4));
	card_end();
	EXPECT(card_start(LARGE & ~F_MRG_RXBUF));
	EXPECT(!virtio_has(card, F_GUEST_TSO4 | F_GUEST_TSO6) && virtio_has(card, F_HOST_TSO4));
}

/* --- several pairs of queues ---------------------------------------------------------------------------------------- */

static bool card_start_pairs(unsigned pairs)
{
	card_config[C_MAX_PAIRS] = (uint8_t)pairs;
	card_config[C_MAX_PAIRS + 1] = (uint8_t)(pairs >> 8);
	return card_start(MANY);
}

/* The device's answer to the command, which is looked at: `written` bytes of it are. */
static void answer_pairs(unsigned wanted, uint8_t answer, uint32_t written)
{
	unsigned control = card->nqueues - 1;
	struct virtq *q = card_queue(control);
	struct virtq_desc *class, *pairs, *status;
	uint16_t head;

	EXPECT(card_offered(control) == 1);
	class = card_take(control, &head);
	pairs = &q->desc[class->next];
	status = &q->desc[pairs->next];
	EXPECT(class->len == 2 && ((uint8_t *)class->addr)[0] == 4 && ((uint8_t *)class->addr)[1] == 0 && !(class->flags & 2));
	EXPECT(pairs->len == 2 && *(uint16_t *)pairs->addr == wanted && !(pairs->flags & 2));
	EXPECT(status->len == 1 && status->flags == 2);
	*(uint8_t *)status->addr = answer;
	card_give(control, head, written);
	card->queues[control].handler(&card->queues[control]);
	EXPECT(card_wakes > 0);
	poll_once();
}

/* Sends two segments of each of 64 connections. Bit i: pair i has sent; every connection is at one pair, in order. */
static unsigned pairs_that_send(void)
{
	unsigned used = 0;

	for (unsigned flow = 0; flow < 64; flow++) {
		unsigned at = 0, by = 0;

		for (unsigned i = 0; i < 2; i++) {
			EXPECT(send_segment(flow, flow & 1, i * SEGMENT, SEGMENT, 0x10) == 0);
			card_net->flush(card_net);
		}
		for (unsigned i = 0; 2 * i + 1 < card->nqueues; i++) {
			pair = i;
			while (card_offered(2 * i + 1)) {
				EXPECT(take_sent() == (flow & 1 ? 74 : HEADERS) + SEGMENT && sent_bytes(flow & 1 ? 74 : HEADERS, at, SEGMENT));
				at += SEGMENT;
				by |= 1u << i;
			}
		}
		EXPECT(at == 2 * SEGMENT && !(by & (by - 1)));
		used |= by;
	}
	pair = 0;
	return used;
}

static void several_pairs_are_used_when_the_device_agrees(void)
{
	EXPECT(card_start_pairs(6));
	EXPECT(card->nqueues == 9 && card->queues[7].index == 7 && card->queues[8].index == 12);
	EXPECT(pairs_that_send() == 1);
	answer_pairs(4, 0, 1);
	EXPECT(pairs_that_send() == 15);
	for (pair = 0; pair < 4; pair++) {
		unsigned offered = card_offered(2 * pair);

		EXPECT(offered > 0);
		deliver(12 + 100 + pair, 1, 1, 0);
		EXPECT(card_net->idle(card_net));
		poll_once();
		EXPECT(card_received == pair + 1 && card_last_bytes == 100 + pair);
		EXPECT(card_offered(2 * pair) == offered);
		EXPECT(!card_net->idle(card_net));
	}
	pair = 0;
	EXPECT(!card->stopped);
}

static void one_pair_is_used_when_it_does_not(void)
{
	static const struct { uint8_t answer; unsigned written; } cases[] = { { 1, 1 }, { 255, 1 }, { 0, 0 } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		if (i)
			card_end();
		EXPECT(card_start_pairs(2));
		answer_pairs(2, cases[i].answer, cases[i].written);
		EXPECT(pairs_that_send() == 1);
		EXPECT(!card->stopped);
	}
}

static void lies_about_pairs_leave_one(void)
{
	static const struct { unsigned said, queues, cpus; } cases[] = {
		{ 0, 64, 4 }, { 0x8000, 64, 4 }, { 65535, 64, 4 }, { 1, 64, 4 }, { 4, 2, 4 }, { 4, 3, 4 }, { 4, 8, 4 }, { 4, 64, 1 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		if (i)
			card_end();
		card_queues = cases[i].queues;
		acpi.ncpus = cases[i].cpus;
		EXPECT(card_start_pairs(cases[i].said));
		EXPECT(card->nqueues == 2);
		EXPECT(!virtio_has(card, F_MQ) == (cases[i].cpus == 1));
		EXPECT(pairs_that_send() == 1);
	}
}

static void lie_an_answer_to_nothing(void)
{
	EXPECT(card_start_pairs(4));
	answer_pairs(4, 0, 1);
	card_give(8, 0, 1);
	stopped();
}

static void lie_an_answer_that_is_too_long(void)
{
	uint16_t head;

	EXPECT(card_start_pairs(4));
	card_take(8, &head);
	card_give(8, head, 2);
	stopped();
}

static void pairs_share_memory(void)
{
	card_queue_entries = 256;
	EXPECT(card_start_pairs(8));
	acpi.ncpus = 4;
	EXPECT(card->nqueues == 9);
	/* A 512th of 64 MiB, or what two large frames take. */
	for (pair = 0; pair < 4; pair++)
		EXPECT(card_offered(2 * pair) >= 64 && card_offered(2 * pair) < 80);
	pair = 0;
}

int main(void)
{
	RUN(large_frames_of_an_old_device);
	RUN(segments_that_follow_leave_as_one_large_frame);
	RUN(only_what_the_device_cuts_is_large);
	RUN(frames_keep_their_order);
	RUN(without_room_or_memory_nothing_that_was_taken_is_lost);
	RUN(without_memory_frames_are_smaller);
	RUN(a_device_that_broke_gets_no_more);
	RUN(large_frames_come_up);
	RUN(there_is_room_for_the_largest);
	RUN(lies_about_large_frames_are_dropped);
	RUN(what_needs_something_else_is_not_asked_for);
	RUN(several_pairs_are_used_when_the_device_agrees);
	RUN(one_pair_is_used_when_it_does_not);
	RUN(lies_about_pairs_leave_one);
	RUN(lie_an_answer_to_nothing);
	RUN(lie_an_answer_that_is_too_long);
	RUN(pairs_share_memory);
	return failed;
}
