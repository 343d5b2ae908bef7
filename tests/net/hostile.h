/*
 * tests/net/hostile.h - the bad neighbour on a relay's link: floods, lies, and conversations that go wrong, all from a seed.
 *
 * Interface: the relay tells what passes (hostile_sees_peer(), hostile_hears()), so that addresses need not be configured, and calls
 *            hostile_step() at the rate that it wants; each call sends a frame or a few to the guest. One attack at a time.
 */
#ifndef TESTS_NET_HOSTILE_H
#define TESTS_NET_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The relay's: hands a frame to the guest, without impairment. */
void hostile_to_guest(const uint8_t *frame, size_t bytes);
/* The relay's: the next number of the seed. */
uint64_t relay_random(void);

/* False: no such attack. NULL ends the present one. */
bool hostile_start(const char *name);
void hostile_names(FILE *to);
bool hostile_active(void);
void hostile_step(void);
/* A frame of the guest. True: it was for the bad neighbour, and nobody else shall have it. */
bool hostile_hears(const uint8_t *frame, size_t bytes);
/* A frame of the peer's, for the guest. */
void hostile_sees_peer(const uint8_t *frame, size_t bytes);
/* Requests for a lease that were refused, frames sent, conversations that reached their end, and those that were answered wrongly. */
void hostile_report(FILE *to);

/* --- dhcp.c ---------------------------------------------------------------------------------------------------------- */
/* How the relay answers DHCP: off (the peer shall), good, lies (lies before each true answer), nak (refuses every request). address: the last
 * byte of what it gives; lease: seconds. False: no such way. */
bool dhcp_answers(const char *how, unsigned address, unsigned lease);
/* A frame of the guest. True: it was a request that has been dealt with. */
bool dhcp_hears(const uint8_t *frame, size_t bytes);

#endif
