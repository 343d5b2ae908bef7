/*
 * kernel/net/frame.h - Ethernet frames as bytes: what a device wants to know to make a sum. Tested on the host.
 */
#ifndef IBRIK_NET_FRAME_H
#define IBRIK_NET_FRAME_H

#include "lib/types.h"

struct frame_sum {
	uint16_t start;  /* of what is to be summed, from the beginning of the frame */
	uint16_t offset; /* of the sum, from there */
};

/*
 * For a TCP segment of ours whose sum is left to the device: enters the sum of the pseudo header, as virtio (1.2, 5.1.6.2) wants it, and says
 * where the rest is. False, with nothing changed, for any other frame.
 */
bool frame_sum_prepare(uint8_t *frame, size_t len, struct frame_sum *sum);

#endif
