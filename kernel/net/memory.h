/*
 * kernel/net/memory.h - what the network keeps, counted.
 *
 * lwIP's own allocations are in its statistics; what drivers and sockets hold besides (frames that have been received and not read, data that
 * waits to be sent) is added up here. Any context, no lock.
 */
#ifndef IBRIK_NET_MEMORY_H
#define IBRIK_NET_MEMORY_H

#include "lib/types.h"

extern _Atomic int64_t net_held;

static inline void net_held_add(size_t bytes) { atomic_fetch_add_explicit(&net_held, (int64_t)bytes, memory_order_relaxed); }
static inline void net_held_sub(size_t bytes) { atomic_fetch_sub_explicit(&net_held, (int64_t)bytes, memory_order_relaxed); }

/* Bytes of both kinds, and how many the network may keep, of the machine's memory. */
uint64_t net_memory_kept(void);
uint64_t net_memory_limit(void);
/* May more be kept? Above the limit (a part of the machine's memory) windows do not open and connections are not taken. */
bool net_memory_short(void);
/* Half as much again: bytes are dropped for connections that have others to read first, or that miss some before them. */
bool net_memory_tight(void);
/* Twice as much: frames are dropped. */
bool net_memory_exhausted(void);

#endif
