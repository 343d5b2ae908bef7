/*
 * kernel/drivers/virtq.h - one split virtqueue, as memory that is shared with a device.
 *
 * Theory: the driver puts chains of descriptors into the available ring; the device answers with
 * their heads in the used ring, in any order. Nothing the device writes is trusted: free lists, chain
 * lengths and the owner of each head live in the driver's own memory, a head that is out of range
 * or not in flight, a length that is too large or an index that jumps marks the queue broken for ever. Only legacy devices
 * may say any length: many do, of what they have read for example. There a length is no more than a bound.
 *
 * The code touches memory only (no registers, no allocation), so that a fuzzer can play the device.
 *
 * Locking: virtq_add, virtq_free, virtq_kick_needed belong to the submitting side: one mutex of the
 *   owner. virtq_take and virtq_irq_* belong to the completing side: one interrupt handler, or one
 *   mutex. The two sides may run at the same time.
 * Errors: -ENOSPC (not enough descriptors now), -EIO (broken).
 * Source: Virtual I/O Device Version 1.2, section 2.7; 2.7.8.1 (lengths of legacy devices).
 */
#ifndef IBRIK_DRIVERS_VIRTQ_H
#define IBRIK_DRIVERS_VIRTQ_H

#include "lib/types.h"

#define VIRTQ_MAX_SIZE 1024

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags; /* 1 = next is valid, 2 = the device writes */
	uint16_t next;
};
struct virtq_avail {
	uint16_t flags; /* 1 = no interrupt, please */
	_Atomic uint16_t idx;
	uint16_t ring[]; /* then: uint16_t used_event */
};
struct virtq_used_elem {
	uint32_t id, len;
};
struct virtq_used {
	uint16_t flags; /* 1 = no notification needed */
	_Atomic uint16_t idx;
	struct virtq_used_elem ring[]; /* then: uint16_t avail_event */
};

struct virtq_segment {
	uint64_t addr; /* physical */
	uint32_t len;
};

/* What the driver remembers of a descriptor; the device cannot reach it. */
struct virtq_slot {
	void *_Atomic token;  /* heads in flight: the owner's; else NULL */
	uint32_t writable;    /* heads: bytes the device may write */
	uint16_t next;        /* chain in use, or free list */
	uint16_t count;       /* heads: descriptors of the chain */
};

struct virtq {
	/* shared with the device */
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	/* constant */
	uint16_t size;     /* a power of two */
	bool event_idx;
	bool legacy;       /* lengths that are too large are cut to what the device could write; false at first, the owner sets it */
	/* submitting side */
	struct virtq_slot *slots;
	uint16_t free_head;
	uint16_t nfree;
	uint16_t avail_next; /* what avail->idx is */
	uint16_t kicked;     /* avail_next when the device was last told */
	/* completing side */
	uint16_t used_seen;
	_Atomic bool broken;
};

struct virtq_done {
	void *token;
	uint32_t len;   /* bytes the device wrote; at most what it was allowed to */
	uint16_t head;  /* for virtq_free() */
};

/* Bytes of ring memory, and where its parts lie. used_align is 4096 for legacy devices, else 4. */
size_t virtq_ring_bytes(unsigned size, size_t used_align, size_t *avail_offset, size_t *used_offset);
/* Memory is zeroed by the caller; slots has `size` entries. */
void virtq_init(struct virtq *q, unsigned size, void *ring, size_t used_align,
		struct virtq_slot *slots, bool event_idx);
/*
 * Offers a chain to the device: nout segments it reads, then nin segments it writes; token is not
 * NULL. Answers the head, -ENOSPC, or -EIO.
 */
int virtq_add(struct virtq *q, const struct virtq_segment *segs, unsigned nout, unsigned nin,
	      void *token);
/* Must the device be told about what was added since the last call? */
bool virtq_kick_needed(struct virtq *q);
/* Gives the descriptors of a taken chain back. */
void virtq_free(struct virtq *q, uint16_t head);
/* 1 and *done, 0 when nothing is there, -EIO when the device broke the rules. */
int virtq_take(struct virtq *q, struct virtq_done *done);
/* Is there something to take (or is the queue broken)? */
bool virtq_pending(const struct virtq *q);
/* Asks for an interrupt at the next completion; true if one is already there to be taken. */
bool virtq_irq_enable(struct virtq *q);
void virtq_irq_disable(struct virtq *q);
static inline bool virtq_broken(const struct virtq *q)
{
	return atomic_load_explicit(&q->broken, memory_order_acquire);
}

#endif
