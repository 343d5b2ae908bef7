/*
 * kernel/drivers/virtq.c - split virtqueues; see virtq.h.
 *
 * Barriers: (1) the descriptors and the ring entry are written before avail->idx (release). (2)
 * avail->idx is written before the device's wish for notifications is read, else both sides could
 * miss each other (device_fence()). (3) used->idx is read before the used entries (acquire). (4) the wish
 * for interrupts is written before used->idx is looked at again (device_fence()).
 */
#include "drivers/virtq.h"
#include "io.h"

#define DESC_NEXT 1
#define DESC_WRITE 2
#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY 1

static uint16_t load16(const uint16_t *p) { return *(const volatile uint16_t *)p; }
static uint32_t load32(const uint32_t *p) { return *(const volatile uint32_t *)p; }
static void store16(uint16_t *p, uint16_t v) { *(volatile uint16_t *)p = v; }

static uint16_t *used_event(struct virtq *q) { return &q->avail->ring[q->size]; }
static const uint16_t *avail_event(const struct virtq *q)
{
	return (const uint16_t *)&q->used->ring[q->size];
}

size_t virtq_ring_bytes(unsigned size, size_t used_align, size_t *avail_offset, size_t *used_offset)
{
	*avail_offset = (size_t)size * sizeof(struct virtq_desc);
	*used_offset = ALIGN_UP(*avail_offset + sizeof(struct virtq_avail) + (size_t)size * 2 + 2,
				used_align);
	return *used_offset + sizeof(struct virtq_used) + (size_t)size * sizeof(struct virtq_used_elem) +
	       2;
}

void virtq_init(struct virtq *q, unsigned size, void *ring, size_t used_align,
		struct virtq_slot *slots, bool event_idx)
{
	size_t avail, used;

	virtq_ring_bytes(size, used_align, &avail, &used);
	q->desc = ring;
	q->avail = (struct virtq_avail *)((char *)ring + avail);
	q->used = (struct virtq_used *)((char *)ring + used);
	q->size = (uint16_t)size;
	q->event_idx = event_idx;
	q->legacy = false;
	q->slots = slots;
	q->free_head = 0;
	q->nfree = (uint16_t)size;
	q->avail_next = q->kicked = q->used_seen = 0;
	atomic_store_explicit(&q->broken, false, memory_order_relaxed);
	for (unsigned i = 0; i < size; i++) {
		atomic_store_explicit(&slots[i].token, NULL, memory_order_relaxed);
		slots[i].next = (uint16_t)(i + 1 < size ? i + 1 : 0);
	}
}

int virtq_add(struct virtq *q, const struct virtq_segment *segs, unsigned nout, unsigned nin,
	      void *token)
{
	unsigned n = nout + nin;
	uint16_t head = q->free_head, at = head;
	uint32_t writable = 0;

	if (virtq_broken(q))
		return -EIO;
	if (n == 0 || n > q->nfree)
		return -ENOSPC;
	for (unsigned i = 0; i < n; i++) {
		struct virtq_desc *d = &q->desc[at];
		bool last = i + 1 == n;

		d->addr = segs[i].addr;
		d->len = segs[i].len;
		d->flags = (uint16_t)((i >= nout ? DESC_WRITE : 0) | (last ? 0 : DESC_NEXT));
		d->next = last ? 0 : q->slots[at].next;
		if (i >= nout)
			writable += segs[i].len;
		at = q->slots[at].next;
	}
	q->free_head = at;
	q->nfree = (uint16_t)(q->nfree - n);
	q->slots[head].writable = writable;
	q->slots[head].count = (uint16_t)n;
	atomic_store_explicit(&q->slots[head].token, token, memory_order_release);
	store16(&q->avail->ring[q->avail_next & (q->size - 1)], head);
	q->avail_next++;
	atomic_store_explicit(&q->avail->idx, q->avail_next, memory_order_release);
	return head;
}

bool virtq_kick_needed(struct virtq *q)
{
	uint16_t old = q->kicked, new = q->avail_next;

	if (old == new)
		return false;
	q->kicked = new;
	device_fence();
	if (q->event_idx)
		return (uint16_t)(new - load16(avail_event(q)) - 1) < (uint16_t)(new - old);
	return !(load16(&q->used->flags) & USED_NO_NOTIFY);
}

void virtq_free(struct virtq *q, uint16_t head)
{
	unsigned n = q->slots[head].count;
	uint16_t last = head;

	for (unsigned i = 1; i < n; i++)
		last = q->slots[last].next;
	q->slots[last].next = q->free_head;
	q->free_head = head;
	q->nfree = (uint16_t)(q->nfree + n);
}

bool virtq_pending(const struct virtq *q)
{
	return atomic_load_explicit(&q->used->idx, memory_order_acquire) != q->used_seen ||
	       virtq_broken(q);
}

static int broken(struct virtq *q)
{
	atomic_store_explicit(&q->broken, true, memory_order_release);
	return -EIO;
}

int virtq_take(struct virtq *q, struct virtq_done *done)
{
	uint16_t ready = (uint16_t)(atomic_load_explicit(&q->used->idx, memory_order_acquire) -
				    q->used_seen);
	const struct virtq_used_elem *e = &q->used->ring[q->used_seen & (q->size - 1)];
	uint32_t id, len;

	if (virtq_broken(q))
		return -EIO;
	if (ready == 0)
		return 0;
	if (ready > q->size)
		return broken(q);
	/* Read once: the device could change the entry between a check and a use. */
	id = load32(&e->id);
	len = load32(&e->len);
	if (id >= q->size)
		return broken(q);
	done->token = atomic_exchange_explicit(&q->slots[id].token, NULL, memory_order_acq_rel);
	if (!done->token)
		return broken(q);
	if (len > q->slots[id].writable && !q->legacy) {
		/* Still in flight as far as the owner is concerned. */
		atomic_store_explicit(&q->slots[id].token, done->token, memory_order_release);
		return broken(q);
	}
	done->head = (uint16_t)id;
	done->len = MIN(len, q->slots[id].writable);
	q->used_seen++;
	return 1;
}

bool virtq_irq_enable(struct virtq *q)
{
	if (q->event_idx)
		store16(used_event(q), q->used_seen);
	else
		store16(&q->avail->flags, 0);
	device_fence();
	return virtq_pending(q);
}

void virtq_irq_disable(struct virtq *q)
{
	/* With event indexes there is no "off": an index just passed comes round after 65535 more. */
	if (q->event_idx)
		store16(used_event(q), (uint16_t)(q->used_seen - 1));
	else
		store16(&q->avail->flags, AVAIL_NO_INTERRUPT);
}
