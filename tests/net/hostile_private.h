/*
 * tests/net/hostile_private.h - what the files of the bad neighbour share.
 */
#ifndef TESTS_NET_HOSTILE_PRIVATE_H
#define TESTS_NET_HOSTILE_PRIVATE_H

#include "frames.h"
#include "hostile.h"

#define SERVICE_PORT 7000 /* tests/net/peer.c */
#define ECHO_PORT 7001

enum talk_kind { TALK_SILENT = 1, TALK_RESETS, TALK_ZERO_WINDOW, TALK_SEGMENTS, TALK_HOLES, TALK_SMALL_MSS, TALK_BEYOND };

struct attack {
	const char *name;
	void (*step)(void);
	enum talk_kind kind; /* of conversations; else 0 */
};

struct hostile_world {
	bool guest_seen, peer_seen;
	uint8_t guest_mac[6], guest_ip[4], guest_ip6[16], peer_ip[4], own_mac[6];
	uint8_t last[2048]; /* frame of the peer's */
	size_t last_bytes;
	unsigned long talks_ended, talks_wrong, refusals;
};
extern struct hostile_world world;

unsigned hostile_below(unsigned n);
void hostile_noise(uint8_t *p, size_t n);
void hostile_send(uint8_t *frame, size_t bytes);
/* What lies behind the IP header is in the frame already. */
void hostile_send_ip4(uint8_t *frame, const uint8_t from[4], unsigned protocol, unsigned fragment, unsigned id, size_t bytes);

/* --- talk.c ------------------------------------------------------------------------------------------------------------ */
void talk_begin(enum talk_kind kind);
void talk_end(void);
/* Begins a conversation, or says something in one. */
void talk_step(void);
/* True: the frame was for one of the hosts that the bad neighbour plays. */
bool talk_hears(const uint8_t *frame, size_t bytes);

#endif
