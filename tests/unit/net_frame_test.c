/*
 * tests/unit/net_frame_test.c - frames whose sum is left to a device: what is prepared, completed as a device does, is right.
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

int main(void)
{
	RUN(sums_of_ipv4);
	RUN(sums_of_ipv6);
	RUN(frames_that_are_something_else);
	RUN(frames_that_are_cut_short);
	return failed;
}
