/*
 * kernel/drivers/virtio_blk.c - disks of the hypervisor, for reading.
 *
 * Theory:  each request is a slot of a small pool, which holds what the device must reach (header and
 *          status byte; a thread's stack is not in the direct map). The caller queues its chain under the
 *          mutex, sleeps, and is woken by the interrupt handler, which only stores a result and wakes.
 *          Descriptors go back to the queue under the mutex by the caller itself, so that the handler
 *          shares nothing with the submitting side.
 * Locking: `lock` guards pool and submitting side of the queue. The handler is the completing side.
 * Errors:  -EIO with a log line when the device reports one, breaks the protocol, or does not answer for
 *          REQUEST_TIMEOUT_S. In the last two cases the device is reset first, so that it cannot write to
 *          memory that has been given away, and every later request fails at once.
 * Source:  Virtual I/O Device Version 1.2, 5.2.
 */
#include "core/log.h"
#include "core/mutex.h"
#include "core/thread.h"
#include "core/waitq.h"
#include "drivers/block.h"
#include "drivers/virtio.h"
#include "lib/string.h"
#include "mm/mm.h"

#define F_SIZE_MAX (1ull << 1)
#define F_SEG_MAX (1ull << 2)

#define T_IN 0
#define STATUS_OK 0

#define QUEUE_ENTRIES 128
#define NSLOTS 32
#define MAX_SEGMENTS 126
#define MAX_BYTES MIB(1)
#define REQUEST_TIMEOUT_S 60

enum { C_CAPACITY = 0, C_SIZE_MAX = 8, C_SEG_MAX = 12 };

struct blk_wire { /* what the device reads, and the byte it writes */
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t status;
	uint8_t pad[15];
};

struct blk_slot {
	struct blk_wire *wire;
	struct thread *waiter;
	uint16_t head;
	_Atomic bool done;
	struct blk_slot *next_free;
};

struct blk {
	struct block_device block;
	struct virtio_device *dev;
	struct virtio_queue *queue;
	uint32_t size_max; /* bytes of one segment, 0 = no limit */
	struct mutex lock;
	struct waitq room;   /* threads that wait for a slot or descriptors */
	struct blk_slot *free;
	bool stopped;
	struct blk_slot slots[NSLOTS];
};

/* The device is gone: everybody looks for himself. Any context. */
static void blk_wake_all(struct blk *blk)
{
	for (unsigned i = 0; i < NSLOTS; i++) {
		struct thread *t = __atomic_load_n(&blk->slots[i].waiter, __ATOMIC_ACQUIRE);

		if (t)
			thread_wake(t);
	}
}

/* Interrupt context. */
static void blk_done(struct virtio_queue *q)
{
	struct blk *blk = q->arg;
	struct virtq_done done;
	int r;

	do {
		while ((r = virtq_take(&q->vq, &done)) > 0) {
			struct blk_slot *slot = done.token;
			/* NULL: it has just given up, and stops the device. */
			struct thread *t = __atomic_load_n(&slot->waiter, __ATOMIC_ACQUIRE);

			/* After `done` the slot is its owner's again. */
			atomic_store_explicit(&slot->done, true, memory_order_release);
			if (t)
				thread_wake(t);
		}
	} while (r == 0 && virtq_irq_enable(&q->vq));
	if (r < 0)
		blk_wake_all(blk);
}

/* Device segments of one request, without header and status; 0 if they are too many. */
static unsigned split(const struct blk *blk, const struct block_segment *segs, unsigned nsegs,
		      struct virtq_segment *out, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nsegs; i++) {
		paddr_t addr = virt_to_phys(segs[i].buf);
		uint32_t left = segs[i].len;

		while (left) {
			uint32_t part = blk->size_max ? MIN(left, blk->size_max) : left;

			if (n >= max)
				return 0;
			out[n++] = (struct virtq_segment){ .addr = addr, .len = part };
			addr += part;
			left -= part;
		}
	}
	return n;
}

/* Queues the request: ndata segments in chain[1 ...]. NULL if the device is gone. */
static struct blk_slot *blk_submit(struct blk *blk, uint64_t offset, struct virtq_segment *chain,
				   unsigned ndata)
{
	struct blk_slot *slot;
	paddr_t wire;
	bool kick = false;
	int head;

	mutex_lock(&blk->lock);
	while (!blk->stopped && (!blk->free || blk->queue->vq.nfree < ndata + 2))
		waitq_wait(&blk->room, &blk->lock, DEADLINE_NEVER, false);
	if (blk->stopped) {
		mutex_unlock(&blk->lock);
		return NULL;
	}
	slot = blk->free;
	slot->wire->type = T_IN;
	slot->wire->reserved = 0;
	slot->wire->sector = offset / 512;
	slot->wire->status = 0xff;
	__atomic_store_n(&slot->waiter, current, __ATOMIC_RELEASE);
	atomic_store_explicit(&slot->done, false, memory_order_relaxed);
	wire = virt_to_phys(slot->wire);
	chain[0] = (struct virtq_segment){ .addr = wire, .len = 16 };
	chain[ndata + 1] = (struct virtq_segment){ .addr = wire + offsetof(struct blk_wire, status),
						   .len = 1 };
	head = virtq_add(&blk->queue->vq, chain, 1, ndata + 1, slot);
	if (head >= 0) {
		blk->free = slot->next_free;
		slot->head = (uint16_t)head;
		kick = virtio_kick_needed(blk->queue);
	} else {
		slot = NULL;
	}
	mutex_unlock(&blk->lock);
	if (kick)
		virtio_notify(blk->queue);
	return slot;
}

/* Sleeps until the device has answered or cannot answer any more. */
static bool blk_wait(struct blk *blk, struct blk_slot *slot)
{
	struct block_patience patience = block_patience(REQUEST_TIMEOUT_S);

	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load_explicit(&slot->done, memory_order_acquire)) {
			sleep_cancel();
			return true;
		}
		if (virtq_broken(&blk->queue->vq)) {
			sleep_cancel();
			return false;
		}
		if (block_sleep(&patience) == -ETIMEDOUT &&
		    !atomic_load_explicit(&slot->done, memory_order_acquire))
			return false;
	}
}

static int blk_finish(struct blk *blk, struct blk_slot *slot, bool answered)
{
	uint8_t status;

	mutex_lock(&blk->lock);
	if (!answered && !blk->stopped) {
		blk->stopped = true;
		virtio_stop(blk->dev, virtq_broken(&blk->queue->vq) ? "the device breaks the protocol"
								     : "the disk does not answer");
		blk_wake_all(blk);
		waitq_wake_all(&blk->room, 0);
	}
	status = answered ? slot->wire->status : 0xff;
	if (!blk->stopped) {
		virtq_free(&blk->queue->vq, slot->head);
		__atomic_store_n(&slot->waiter, NULL, __ATOMIC_RELEASE);
		slot->next_free = blk->free;
		blk->free = slot;
		waitq_wake_all(&blk->room, 0); /* one that needs less may go first */
	} else {
		__atomic_store_n(&slot->waiter, NULL, __ATOMIC_RELEASE);
	}
	mutex_unlock(&blk->lock);
	return status == STATUS_OK ? 0 : -EIO;
}

static int blk_read(struct block_device *block, uint64_t offset, const struct block_segment *segs,
		    unsigned nsegs)
{
	struct blk *blk = block->driver_data;
	struct virtq_segment chain[MAX_SEGMENTS + 2];
	struct blk_slot *slot;
	uint32_t bytes;
	unsigned ndata;
	int r = block_check(block, offset, segs, nsegs, &bytes);

	if (r < 0)
		return r;
	ndata = split(blk, segs, nsegs, &chain[1], MAX_SEGMENTS);
	if (ndata == 0)
		return -EINVAL;
	slot = blk_submit(blk, offset, chain, ndata);
	r = slot ? blk_finish(blk, slot, blk_wait(blk, slot)) : -EIO;
	if (r < 0)
		log_err("%s: read error at byte %llu, %u bytes", block->name, (unsigned long long)offset,
			bytes);
	block_count(block, bytes, r);
	return r;
}

static void read_limits(struct blk *blk, unsigned queue_entries)
{
	struct virtio_device *dev = blk->dev;
	uint64_t sectors = 0;
	uint32_t seg_max = 1;

	virtio_config_read(dev, C_CAPACITY, &sectors, sizeof(sectors));
	blk->block.capacity_bytes = sectors > UINT64_MAX / 512 ? 0 : sectors * 512;
	if (virtio_has(dev, F_SEG_MAX))
		virtio_config_read(dev, C_SEG_MAX, &seg_max, sizeof(seg_max));
	seg_max = MIN(MAX(seg_max, 1u), MIN((uint32_t)MAX_SEGMENTS, queue_entries - 2));
	blk->block.max_segments = seg_max;
	blk->block.max_bytes = MAX_BYTES;
	if (virtio_has(dev, F_SIZE_MAX)) {
		uint32_t max = 0;

		virtio_config_read(dev, C_SIZE_MAX, &max, sizeof(max));
		blk->size_max = max >= 512 ? ALIGN_DOWN(max, 512) : 0;
		/* A segment that is split costs several: one segment of any size must always fit. */
		if (blk->size_max && blk->size_max < MAX_BYTES) {
			blk->block.max_segments = MAX(seg_max / 2, 1u);
			blk->block.max_bytes = (uint32_t)MIN(MAX_BYTES,
							     (uint64_t)blk->size_max * MAX(seg_max / 2, 1u));
		}
	}
}

static int blk_probe(struct virtio_device *dev)
{
	struct blk *blk = kzalloc(sizeof(*blk));
	struct blk_wire *wires = kzalloc(NSLOTS * sizeof(*wires));
	struct virtio_queue_spec spec = { .index = 0, .max_size = QUEUE_ENTRIES, .handler = blk_done,
					  .arg = blk };
	int r = -ENOMEM;

	if (!blk || !wires)
		goto fail;
	blk->dev = dev;
	mutex_init(&blk->lock, "virtio-blk");
	waitq_init(&blk->room);
	for (unsigned i = 0; i < NSLOTS; i++) {
		blk->slots[i].wire = &wires[i];
		blk->slots[i].next_free = blk->free;
		blk->free = &blk->slots[i];
	}
	r = virtio_queues_setup(dev, 1, &spec);
	if (r < 0)
		return r; /* an interrupt may already know the memory */
	blk->queue = &dev->queues[0];
	if (blk->queue->vq.size < 4)
		return -EINVAL;
	read_limits(blk, blk->queue->vq.size);
	if (!blk->block.capacity_bytes)
		log_warn("%s: the disk is empty", dev->name);
	block_name(blk->block.name, "vd");
	blk->block.read = blk_read;
	blk->block.driver_data = blk;
	dev->driver_data = blk;
	virtio_ready(dev);
	block_register(&blk->block);
	return 0;
fail:
	kfree(blk);
	kfree(wires);
	return r;
}

static const struct virtio_driver virtio_blk = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.features = F_SIZE_MAX | F_SEG_MAX,
	.probe = blk_probe,
};
VIRTIO_DRIVER(virtio_blk);
