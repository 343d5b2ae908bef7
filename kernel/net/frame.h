/*
 * kernel/net/frame.h - Ethernet frames as bytes: what a device wants to know to make a sum, or to cut a large frame. Tested on the host.
 *
 * A run is a row of TCP segments of ours that follow each other and differ in nothing but what a device can make up: it leaves as one large frame
 * with the headers of the first, which the device cuts into what lwIP sent (its numbers of packets, too; PSH goes to the last).
 * frame_run_begin() for the first; for each that comes then frame_run_takes(), and if it does, frame_run_add(); frame_run_end() once.
 */
#ifndef IBRIK_NET_FRAME_H
#define IBRIK_NET_FRAME_H

#include "lib/types.h"

struct frame_sum {
	uint16_t start;  /* of what is to be summed, from the beginning of the frame */
	uint16_t offset; /* of the sum, from there */
};

struct frame_run {
	uint16_t tcp, data; /* where the TCP header and the bytes of the first begin */
	uint16_t size;      /* bytes of the first; all have as many but the last, which has no more */
	uint16_t count;
	uint32_t bytes;     /* of all */
	bool ipv6, pushed;
	bool open;          /* another may follow */
};

/*
 * For a TCP segment of ours whose sum is left to the device: enters the sum of the pseudo header, as virtio (1.2, 5.1.6.2) wants it, and says
 * where the rest is. False, with nothing changed, for any other frame.
 */
bool frame_sum_prepare(uint8_t *frame, size_t len, struct frame_sum *sum);

/* A number that is the same for all frames of a TCP connection or of a pair of UDP ports, and mostly another for others. */
uint32_t frame_flow(const uint8_t *frame, size_t here);

/* Can others be added to this frame of len bytes, of which `here` are at `frame`? */
bool frame_run_begin(struct frame_run *run, const uint8_t *frame, size_t here, size_t len);
/* Where the bytes of this frame begin, if it may be added to the run whose first one's headers are at `first`; else 0. */
unsigned frame_run_takes(const struct frame_run *run, const uint8_t *first, const uint8_t *frame, size_t here, size_t len);
void frame_run_add(struct frame_run *run, const uint8_t *frame, size_t len);
/* Makes the first one's headers those of all, with the sum of the pseudo header. */
void frame_run_end(const struct frame_run *run, uint8_t *first, struct frame_sum *sum);

#endif
