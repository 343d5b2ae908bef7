/*
 * tests/unit/net_frame_test.c - frames whose sum is left to a device: what is prepared, completed as a device does, is right; and rows of
 * segments that leave as one large frame: what a device cuts out of it is what was joined.
 */
// sources: kernel/net/frame.c
#include "expect.h"
#include "net/frame.h"

/* The sum of RFC 1071 over n bytes. */
static unsigned sum16(const uint8_t *p, size_t n, unsigned sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static size_t frame_v4(uint8_t *f, unsigned options, unsigned payload)
{
	unsigned ip = 20 + options, total = ip + 20 + payload;

	memset(f, 0, 14 + total);
	f[12] = 8;
	f[14] = (uint8_t)(0x40 | ip / 4);
	f[16] = (uint8_t)(total >> 8);
	f[17] = (uint8_t)total;
	f[23] = 6;
	for (unsigned i = 0; i < 8; i++)
		f[26 + i] = (uint8_t)(i * 37 + 11);
	for (unsigned i = 0; i < 20 + payload; i++)
		f[14 + ip + i] = (uint8_t)(i * 29 + 3);
	f[14 + ip + 16] = f[14 + ip + 17] = 0;
	return 14 + total;
}

static size_t frame_v6(uint8_t *f, unsigned payload)
{
	unsigned segment = 20 + payload;

	memset(f, 0, 54 + segment);
	f[12] = 0x86;
	f[13] = 0xdd;
	f[14] = 0x60;
	f[18] = (uint8_t)(segment >> 8);
	f[19] = (uint8_t)segment;
	f[20] = 6;
	for (unsigned i = 0; i < 32; i++)
		f[22 + i] = (uint8_t)(i * 91 + 7);
	for (unsigned i = 0; i < segment; i++)
		f[54 + i] = (uint8_t)(i * 29 + 3);
	f[54 + 16] = f[54 + 17] = 0;
	return 54 + segment;
}

/* Does as a device: sums from `start` to the end of the segment, and stores the complement. Then a receiver's sum must be all ones. */
static void completed(uint8_t *f, const uint8_t *addresses, unsigned naddresses, unsigned at, unsigned segment)
{
	uint8_t pseudo[4] = { 0, 6, (uint8_t)(segment >> 8), (uint8_t)segment };
	struct frame_sum s;
	unsigned sum;

	EXPECT(frame_sum_prepare(f, at + segment, &s));
	EXPECT(s.start == at);
	EXPECT(s.offset == 16);
	sum = ~sum16(f + at, segment, 0) & 0xffff;
	f[at + 16] = (uint8_t)(sum >> 8);
	f[at + 17] = (uint8_t)sum;
	sum = sum16(addresses, naddresses, 0);
	sum = sum16(pseudo, 4, sum);
	EXPECT(sum16(f + at, segment, sum) == 0xffff);
}

static uint8_t frame[4096];

static void sums_of_ipv4(void)
{
	for (unsigned options = 0; options <= 40; options += 4)
		for (unsigned payload = 0; payload < 1460; payload += 97) {
			size_t n = frame_v4(frame, options, payload);

			EXPECT(n == 14 + 20 + options + 20 + payload);
			completed(frame, frame + 26, 8, 34 + options, 20 + payload);
		}
}

static void sums_of_ipv6(void)
{
	for (unsigned payload = 0; payload < 1440; payload += 97) {
		frame_v6(frame, payload);
		completed(frame, frame + 22, 32, 54, 20 + payload);
	}
}

/* Nothing of such a frame changes. */
static void refused(size_t len)
{
	static uint8_t before[sizeof(frame)];
	struct frame_sum s;

	memcpy(before, frame, sizeof(frame));
	EXPECT(!frame_sum_prepare(frame, len, &s));
	EXPECT(!memcmp(before, frame, sizeof(frame)));
}

static void frames_that_are_something_else(void)
{
	size_t n = frame_v4(frame, 0, 100);

	frame[23] = 17;
	refused(n);
	n = frame_v4(frame, 0, 100);
	frame[20] = 0x20; /* more fragments */
	refused(n);
	n = frame_v4(frame, 0, 100);
	frame[21] = 5; /* a later fragment */
	refused(n);
	n = frame_v4(frame, 0, 100);
	frame[14] = 0x43;
	refused(n);
	n = frame_v4(frame, 0, 100);
	frame[13] = 6; /* ARP */
	refused(n);
	n = frame_v6(frame, 10);
	frame[20] = 44;
	refused(n);
}

static void frames_that_are_cut_short(void)
{
	size_t n = frame_v4(frame, 8, 30);

	for (size_t len = 0; len < n; len++)
		refused(len);
	n = frame_v6(frame, 30);
	for (size_t len = 0; len < n; len++)
		refused(len);
	/* A length that says less than the header of a segment. */
	n = frame_v4(frame, 0, 30);
	frame[17] = 39;
	refused(n);
}

/* --- runs ------------------------------------------------------------------------------------------------------ */

#define SIZE 1448
#define OPTIONS 12
#define HEADERS_MAX (14 + 60 + 60)

static uint8_t second[4096];

/* Segment i of a connection, as lwIP makes it. */
static size_t segment(uint8_t *f, bool ipv6, unsigned i, unsigned bytes, uint8_t flags)
{
	size_t n = ipv6 ? frame_v6(f, OPTIONS + bytes) : frame_v4(f, 0, OPTIONS + bytes);
	unsigned tcp = ipv6 ? 54 : 34, seq = 0xffffff00u + i * SIZE;

	for (unsigned b = 0; b < 4; b++)
		f[tcp + 4 + b] = (uint8_t)(seq >> (24 - 8 * b));
	for (unsigned b = 0; b < 20 + OPTIONS; b++)
		if (b / 4 != 1 && b / 2 != 8) /* neither the sequence number nor the sum */
			f[tcp + b] = (uint8_t)(b * 7 + 1);
	f[tcp + 12] = (20 + OPTIONS) / 4 << 4;
	f[tcp + 13] = flags;
	for (unsigned b = 0; b < bytes; b++)
		f[tcp + 20 + OPTIONS + b] = (uint8_t)(i * 13 + b);
	if (!ipv6) {
		unsigned id = 0xfffe + i, sum;

		f[18] = (uint8_t)(id >> 8);
		f[19] = (uint8_t)id;
		f[22] = 64;
		sum = ~sum16(f + 14, 20, 0) & 0xffff;
		f[24] = (uint8_t)(sum >> 8);
		f[25] = (uint8_t)sum;
	}
	return n;
}

static unsigned value16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

/* Joins `count` segments, of which the last has `bytes`, and cuts as a device does. */
static void joined_and_cut(bool ipv6, unsigned count, unsigned bytes)
{
	static uint8_t first[HEADERS_MAX], large[65536 + HEADERS_MAX];
	unsigned tcp = ipv6 ? 54 : 34, headers = tcp + 20 + OPTIONS, pseudo;
	struct frame_run run;
	struct frame_sum sum;
	size_t n = segment(frame, ipv6, 0, SIZE, 0x10), total;

	EXPECT(frame_run_begin(&run, frame, headers, n));
	memcpy(large, frame, n);
	memcpy(first, frame, headers);
	total = n;
	for (unsigned i = 1; i < count; i++) {
		bool last = i + 1 == count;

		n = segment(frame, ipv6, i, last ? bytes : SIZE, last ? 0x18 : 0x10);
		EXPECT(frame_run_takes(&run, first, frame, headers, n) == headers);
		frame_run_add(&run, frame, n);
		memcpy(large + total, frame + headers, n - headers);
		total += n - headers;
	}
	EXPECT(run.count == count && run.size == SIZE && run.ipv6 == ipv6 && run.data == headers);
	EXPECT(run.open == (bytes == SIZE));
	frame_run_end(&run, first, &sum);
	memcpy(large, first, headers);
	EXPECT(sum.start == tcp && sum.offset == 16);
	if (ipv6) {
		EXPECT(value16(large + 18) == total - 54);
	} else {
		EXPECT(value16(large + 16) == total - 14);
		EXPECT(sum16(large + 14, 20, 0) == 0xffff);
	}
	/* The sum of the pseudo header, with the length of all. */
	pseudo = sum16(large + (ipv6 ? 22 : 26), ipv6 ? 32 : 8, 0) + 6 + (unsigned)(total - tcp);
	EXPECT(value16(large + tcp + 16) == sum16(NULL, 0, pseudo));
	for (unsigned i = 0; i < count; i++) {
		bool last = i + 1 == count;
		unsigned seq = 0;

		n = segment(frame, ipv6, i, last ? bytes : SIZE, last ? 0x18 : 0x10);
		memcpy(second, first, headers);
		memcpy(second + headers, large + headers + i * SIZE, n - headers);
		for (unsigned b = 0; b < 4; b++)
			seq = seq << 8 | first[tcp + 4 + b];
		seq += i * SIZE;
		for (unsigned b = 0; b < 4; b++)
			second[tcp + 4 + b] = (uint8_t)(seq >> (24 - 8 * b));
		if (!last)
			second[tcp + 13] &= (uint8_t)~0x08;
		memcpy(second + (ipv6 ? 18 : 16), frame + (ipv6 ? 18 : 16), 2);
		if (!ipv6) {
			unsigned id = value16(first + 18) + i;

			second[18] = (uint8_t)(id >> 8);
			second[19] = (uint8_t)id;
			memcpy(second + 24, frame + 24, 2);
		}
		memcpy(second + tcp + 16, frame + tcp + 16, 2);
		EXPECT(!memcmp(second, frame, n));
	}
}

static void runs_are_cut_into_what_was_joined(void)
{
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++)
		for (unsigned count = 2; count <= 45; count++) {
			joined_and_cut(ipv6, count, SIZE);
			joined_and_cut(ipv6, count, 1);
			joined_and_cut(ipv6, count, SIZE - 1);
		}
}

/* Every bit of the second one's headers that a device does not make up must be as in the first. */
static void what_differs_does_not_follow(void)
{
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		unsigned tcp = ipv6 ? 54 : 34, headers = tcp + 20 + OPTIONS;
		struct frame_run run;
		size_t n = segment(frame, ipv6, 0, SIZE, 0x10);

		EXPECT(frame_run_begin(&run, frame, n, n));
		segment(second, ipv6, 1, SIZE, 0x10);
		EXPECT(frame_run_takes(&run, frame, second, n, n) == headers);
		for (unsigned bit = 0; bit < headers * 8; bit++) {
			unsigned at = bit / 8;
			bool made_up = (!ipv6 && (at == 24 || at == 25)) || at == tcp + 16 || at == tcp + 17 || (at == tcp + 13 && bit % 8 == 3);

			second[at] ^= (uint8_t)(1 << bit % 8);
			EXPECT((frame_run_takes(&run, frame, second, n, n) != 0) == made_up);
			second[at] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void runs_end(void)
{
	struct frame_run run;
	size_t n = segment(frame, false, 0, SIZE, 0x10), m;
	unsigned taken = 1;

	/* Behind a shorter one nothing comes. */
	EXPECT(frame_run_begin(&run, frame, n, n));
	m = segment(second, false, 1, 100, 0x10);
	EXPECT(frame_run_takes(&run, frame, second, m, m));
	frame_run_add(&run, second, m);
	m = segment(second, false, 1, SIZE, 0x10);
	EXPECT(!frame_run_takes(&run, frame, second, m, m));
	/* Nor one that is longer than the first. */
	n = segment(frame, false, 0, SIZE - 1, 0x10);
	EXPECT(frame_run_begin(&run, frame, n, n));
	m = segment(second, false, 1, SIZE, 0x10);
	second[37 + 4]--;
	EXPECT(!frame_run_takes(&run, frame, second, m, m));
	/* 64 KiB in all. */
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		n = segment(frame, ipv6, 0, SIZE, 0x10);
		EXPECT(frame_run_begin(&run, frame, n, n));
		for (taken = 1;; taken++) {
			m = segment(second, ipv6, taken, SIZE, 0x18);
			if (!frame_run_takes(&run, frame, second, m, m))
				break;
			frame_run_add(&run, second, m);
		}
		EXPECT(taken == 45);
	}
}

static void what_cannot_be_cut_begins_none(void)
{
	struct frame_run run;
	size_t n;

	for (unsigned flags = 0; flags < 256; flags++) {
		n = segment(frame, false, 0, SIZE, (uint8_t)flags);
		EXPECT(frame_run_begin(&run, frame, n, n) == (flags == 0x10 || flags == 0x18));
	}
	/* Nothing in it, something behind it, headers that are elsewhere or too short. */
	n = segment(frame, false, 0, 0, 0x10);
	EXPECT(!frame_run_begin(&run, frame, n, n));
	n = segment(frame, false, 0, SIZE, 0x10);
	EXPECT(!frame_run_begin(&run, frame, n, n + 1));
	for (unsigned here = 0; here < 66; here++)
		EXPECT(!frame_run_begin(&run, frame, here, n));
	EXPECT(frame_run_begin(&run, frame, 66, n));
	frame[34 + 12] = 0x40;
	EXPECT(!frame_run_begin(&run, frame, n, n));
}

int main(void)
{
	RUN(sums_of_ipv4);
	RUN(sums_of_ipv6);
	RUN(frames_that_are_something_else);
	RUN(frames_that_are_cut_short);
	RUN(runs_are_cut_into_what_was_joined);
	RUN(what_differs_does_not_follow);
	RUN(runs_end);
	RUN(what_cannot_be_cut_begins_none);
	return failed;
}
