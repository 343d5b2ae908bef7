/*
 * tests/net/talk.c - TCP conversations of the bad neighbour with the service: it plays hosts .100 to .163 of the guest's network.
 *
 *   silent        a SYN, and nothing more
 *   resets        a reset in every state that the guest's side goes through, with right and wrong numbers
 *   zero windows  a request for much, with no room for the answer; sometimes a little
 *   segments      bytes for the service in pieces from one byte on, out of order, overlapping, repeated: it must find their digest right
 *   small mss     a request for much, and then that no segment be longer than a hundred bytes; or eight, from the beginning
 *   beyond        for a service that does not read: a segment that begins within the window and ends behind it, then all that lies before
 *   holes         single bytes of which none has its neighbours, in a window of 64 KiB
 */
#include "hostile_private.h"

#include <string.h>

#include "bytes.h"

#define TALKS 64
#define HOST_FIRST 100
#define REQUEST_BYTES 24
#define DATA_BYTES 3000
#define STREAM_BYTES (REQUEST_BYTES + DATA_BYTES + DIGEST_BYTES)
#define AHEAD 2000
#define MSS_BYTES 4
#define STAMP_BYTES 12
#define WINDOW 65535     /* of who was told nothing of window scaling */
#define BEYOND_AT (WINDOW - 535)
#define BURST 12
#define HOLES_AT_ONCE 16

struct talk {
	enum { FREE, SYN_SENT, OPEN, ENDED } state;
	uint16_t port;
	uint32_t start;  /* sequence number of the first byte */
	uint32_t acked;  /* bytes of ours that the guest has */
	uint32_t theirs; /* next number that we expect */
	uint32_t filled; /* how many of the bytes before the one beyond have been said */
	unsigned plan, steps;
};

static enum talk_kind kind;
static struct talk talks[TALKS];
static uint8_t stream[STREAM_BYTES];
static unsigned next_talk;
static uint8_t frame[2048];

/* `options` bytes of what is said are the header's. */
static void say_options(struct talk *t, uint32_t at, unsigned flags, unsigned window, unsigned options, const uint8_t *data, size_t bytes)
{
	struct tcp_fields f = { t->port, SERVICE_PORT, t->start + at, flags & FLAG_ACK ? t->theirs : 0, (uint8_t)flags, (uint16_t)window, options };
	uint8_t from[4], *p = frame + ETHERNET_BYTES + IP4_BYTES;

	memcpy(from, world.guest_ip, 3);
	from[3] = (uint8_t)(HOST_FIRST + (t - talks));
	frame_tcp(p, &f);
	if (bytes)
		memcpy(p + TCP_BYTES, data, bytes);
	hostile_send_ip4(frame, from, PROTO_TCP, 0, 0, TCP_BYTES + bytes);
}

static void say(struct talk *t, uint32_t at, unsigned flags, unsigned window, const uint8_t *data, size_t bytes)
{
	say_options(t, at, flags, window, 0, data, bytes);
}

static void stream_make(void)
{
	static uint64_t block[BLOCK / 8];
	uint64_t state = 7;
	struct sha sha;

	sha_setup();
	memcpy(stream, "p 000000003000 00000006\n", REQUEST_BYTES);
	block_fill(&state, block);
	memcpy(stream + REQUEST_BYTES, block, DATA_BYTES);
	sha_start(&sha);
	sha_add(&sha, (uint8_t *)block, DATA_BYTES);
	sha_end(&sha, stream + REQUEST_BYTES + DATA_BYTES);
}

void talk_begin(enum talk_kind k)
{
	if (k == TALK_SEGMENTS)
		stream_make();
	memset(talks, 0, sizeof(talks));
	kind = k;
}

void talk_end(void)
{
	/* Those who kept the service waiting go in the end, so that it is seen what it had kept for them. */
	for (struct talk *t = talks; t < talks + TALKS && (kind == TALK_ZERO_WINDOW || kind == TALK_HOLES || kind == TALK_BEYOND || kind == TALK_SMALL_MSS); t++)
		if (t->state == OPEN)
			say(t, t->acked, FLAG_RST, 0, NULL, 0);
	kind = 0;
}

static void begin(struct talk *t)
{
	*t = (struct talk){ .state = SYN_SENT, .port = (uint16_t)(1024 + hostile_below(60000)), .start = (uint32_t)relay_random() };
	t->plan = hostile_below(10);
	if (kind == TALK_SMALL_MSS && hostile_below(2)) {
		say_options(t, (uint32_t)-1, FLAG_SYN, 8192, MSS_BYTES + STAMP_BYTES, (const uint8_t *)"\2\4\0\10\1\1\10\12\0\0\0\1\0\0\0\0", MSS_BYTES + STAMP_BYTES);
		return;
	}
	/* Who begins without a window opens it a little when there are segments already. */
	say(t, (uint32_t)-1, FLAG_SYN, kind == TALK_ZERO_WINDOW && hostile_below(2) ? hostile_below(2) * 50 : 8192, NULL, 0);
}

static void end(struct talk *t)
{
	world.talks_ended++;
	t->state = ENDED;
}

/* --- segments ------------------------------------------------------------------------------------------------------------ */

static void piece(struct talk *t)
{
	static const uint16_t lengths[] = { 1, 1, 2, 3, 7, 100, 536, 1400 };
	uint32_t back = hostile_below(60), from = hostile_below(4) ? t->acked + hostile_below(AHEAD) : t->acked, n = lengths[hostile_below(8)];

	from = from > back ? from - back : 0;
	if (from >= STREAM_BYTES)
		from = STREAM_BYTES - 1;
	if (n > STREAM_BYTES - from)
		n = STREAM_BYTES - from;
	say(t, from, FLAG_ACK | (hostile_below(2) ? FLAG_PSH : 0), 8192, stream + from, n);
}

/* --- resets ---------------------------------------------------------------------------------------------------------------- */

/* What comes after the handshake, a step a call. */
static void reset_step(struct talk *t)
{
	static const uint8_t request[] = "g 000000020000 00000001\n";

	switch (t->plan) {
	case 0: /* half open, on the guest's side */
		say(t, 0, FLAG_RST, 0, NULL, 0);
		break;
	case 1:
		say(t, 0, FLAG_ACK, 8192, NULL, 0);
		say(t, 0, FLAG_RST | FLAG_ACK, 0, NULL, 0);
		break;
	case 2: /* the service reads */
		say(t, 0, FLAG_ACK, 8192, request, 10);
		say(t, 10, FLAG_RST, 0, NULL, 0);
		break;
	case 3: /* it writes */
		say(t, 0, FLAG_ACK, 8192, request, REQUEST_BYTES);
		if (t->steps++ < 2)
			return;
		say(t, REQUEST_BYTES, FLAG_RST, 0, NULL, 0);
		break;
	case 4: /* we have said all: close wait */
		say(t, 0, FLAG_ACK | FLAG_FIN, 8192, request, REQUEST_BYTES);
		if (t->steps++ < 2)
			return;
		say(t, REQUEST_BYTES + 1, FLAG_RST | FLAG_ACK, 0, NULL, 0);
		break;
	case 5: /* numbers of somebody who guesses */
		say(t, 0, FLAG_ACK, 8192, NULL, 0);
		for (unsigned i = 0; i < 4; i++)
			say(t, hostile_below(2) ? hostile_below(60000) : (uint32_t)relay_random(), FLAG_RST, 0, NULL, 0);
		say(t, 0, FLAG_RST, 0, NULL, 0);
		break;
	case 6: /* a SYN in the middle */
		say(t, 0, FLAG_ACK, 8192, request, 5);
		say(t, hostile_below(100), FLAG_SYN, 8192, NULL, 0);
		say(t, 5, FLAG_RST, 0, NULL, 0);
		break;
	case 7: /* a FIN for what was never sent, then one that is right, then a reset of what is left */
		say(t, 500, FLAG_ACK | FLAG_FIN, 8192, NULL, 0);
		say(t, 0, FLAG_ACK | FLAG_FIN, 8192, NULL, 0);
		if (t->steps++ < 3)
			return;
		say(t, 1, FLAG_RST, 0, NULL, 0);
		break;
	case 8: /* acknowledges what was never sent */
		t->theirs += 1 + hostile_below(100000);
		say(t, 0, FLAG_ACK, 8192, request, REQUEST_BYTES);
		say(t, 0, FLAG_RST, 0, NULL, 0);
		break;
	default: /* urgent data, and both flags that do not go together */
		say(t, 0, FLAG_ACK | 32, 8192, request, 12);
		say(t, 12, FLAG_SYN | FLAG_FIN | FLAG_RST, 8192, NULL, 0);
		break;
	}
	end(t);
}

static void zero_window_step(struct talk *t)
{
	static const uint8_t request[] = "g 000000300000 00000001\n";

	if (t->acked < REQUEST_BYTES)
		say(t, 0, FLAG_ACK, 0, request, REQUEST_BYTES);
	else
		say(t, REQUEST_BYTES, FLAG_ACK, hostile_below(6) ? 0 : 1 + hostile_below(100), NULL, 0);
	if (t->steps++ < 40)
		return;
	if (hostile_below(2))
		say(t, REQUEST_BYTES, FLAG_RST, 0, NULL, 0);
	end(t);
}

static void holes_step(struct talk *t)
{
	for (unsigned i = 0; i < HOLES_AT_ONCE; i++)
		say(t, 1 + 2 * (t->steps++ % (WINDOW / 2)), FLAG_ACK, 8192, (const uint8_t *)"x", 1);
}

static void small_mss_step(struct talk *t)
{
	static const uint8_t request[] = "g 000000300000 00000001\n", hundred[MSS_BYTES] = { 2, 4, 0, 100 };

	if (t->acked < REQUEST_BYTES)
		say(t, 0, FLAG_ACK, 8192, request, REQUEST_BYTES);
	else
		say_options(t, REQUEST_BYTES, FLAG_ACK, 8192, MSS_BYTES, hundred, MSS_BYTES);
	if (t->steps++ < 40)
		return;
	say(t, REQUEST_BYTES, FLAG_RST, 0, NULL, 0);
	end(t);
}

/* More is asked for than the service can get rid of, so that it reads nothing more. */
static void beyond_step(struct talk *t)
{
	static const uint8_t request[] = "g 000090000000 00000001\n";
	static uint8_t bytes[1400];

	if (t->acked < REQUEST_BYTES) {
		say(t, 0, FLAG_ACK, 0, request, REQUEST_BYTES);
		return;
	}
	if (t->steps++ == 0)
		say(t, REQUEST_BYTES + BEYOND_AT, FLAG_ACK, 0, bytes, sizeof(bytes));
	for (unsigned i = 0; i < BURST && t->filled < BEYOND_AT; i++) {
		uint32_t n = BEYOND_AT - t->filled < sizeof(bytes) ? BEYOND_AT - t->filled : sizeof(bytes);

		say(t, REQUEST_BYTES + t->filled, FLAG_ACK, 0, bytes, n);
		t->filled += n;
	}
	/* When all that has been said is acknowledged, since a reset counts at the right number only. */
	if (t->steps < 14)
		return;
	say(t, t->acked, FLAG_RST, 0, NULL, 0);
	end(t);
}

/* --- steps ------------------------------------------------------------------------------------------------------------------- */

void talk_step(void)
{
	/* The more at once, the less is said in each of them. */
	struct talk *t = &talks[next_talk++ % (kind == TALK_SEGMENTS || kind == TALK_BEYOND ? TALKS / 8 : TALKS)];

	if (t->state == FREE || t->state == ENDED || kind == TALK_SILENT || (t->state == SYN_SENT && t->steps++ > 20)) {
		begin(t);
		return;
	}
	if (t->state != OPEN)
		return;
	if (kind == TALK_SEGMENTS)
		piece(t);
	else if (kind == TALK_RESETS)
		reset_step(t);
	else if (kind == TALK_ZERO_WINDOW)
		zero_window_step(t);
	else if (kind == TALK_SMALL_MSS)
		small_mss_step(t);
	else if (kind == TALK_BEYOND)
		beyond_step(t);
	else if (kind == TALK_HOLES)
		holes_step(t);
}

static void segment_came(struct talk *t, const uint8_t *p, size_t bytes)
{
	unsigned header = p[12] >> 4 << 2, flags = p[13];
	uint32_t seq = get32(p + 4);

	if (header < TCP_BYTES || header > bytes || get16(p + 2) != t->port)
		return;
	if (t->state == SYN_SENT) {
		if ((flags & (FLAG_SYN | FLAG_ACK)) == (FLAG_SYN | FLAG_ACK) && kind != TALK_SILENT) {
			t->theirs = seq + 1;
			t->state = OPEN;
			t->steps = 0;
			if (kind == TALK_SEGMENTS || kind == TALK_HOLES)
				say(t, 0, FLAG_ACK, 8192, NULL, 0);
		}
		return;
	}
	if (t->state != OPEN)
		return;
	if (flags & FLAG_ACK && get32(p + 8) - t->start <= (kind == TALK_BEYOND ? 2 * WINDOW : STREAM_BYTES) && get32(p + 8) - t->start > t->acked)
		t->acked = get32(p + 8) - t->start;
	if (seq == t->theirs && bytes > header) {
		if (kind == TALK_SEGMENTS) {
			world.talks_wrong += p[header] != 'y';
			say(t, STREAM_BYTES, FLAG_RST | FLAG_ACK, 0, NULL, 0);
			end(t);
			return;
		}
		t->theirs += (uint32_t)(bytes - header);
	} else if (flags & FLAG_RST && kind == TALK_SEGMENTS) {
		/* It gave up, or never had a thread for us. */
		world.talks_wrong++;
		end(t);
	}
}

bool talk_hears(const uint8_t *f, size_t bytes)
{
	const uint8_t *p = f + ETHERNET_BYTES;
	unsigned host;

	if (!world.guest_seen)
		return false;
	if (get16(f + 12) == TYPE_ARP) {
		uint8_t answer[ETHERNET_BYTES + 28];

		host = p[27] - HOST_FIRST;
		if (get16(p + 6) != 1 || memcmp(p + 24, world.guest_ip, 3) || host >= TALKS)
			return false;
		frame_arp(answer + ETHERNET_BYTES, 2, world.own_mac, p + 24, world.guest_mac, world.guest_ip);
		frame_ethernet(answer, world.guest_mac, world.own_mac, TYPE_ARP);
		hostile_to_guest(answer, sizeof(answer));
		return true;
	}
	if (get16(f + 12) != TYPE_IP4 || bytes < ETHERNET_BYTES + IP4_BYTES + TCP_BYTES || memcmp(p + 16, world.guest_ip, 3))
		return false;
	host = p[19] - HOST_FIRST;
	if (host >= TALKS)
		return false;
	if (p[9] == PROTO_TCP && get16(p + 2) >= IP4_BYTES + TCP_BYTES && get16(p + 2) <= bytes - ETHERNET_BYTES)
		segment_came(&talks[host], p + IP4_BYTES, get16(p + 2) - IP4_BYTES);
	return true;
}
