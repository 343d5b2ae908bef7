/*
 * kernel/drivers/virtio_rng.c - entropy from the host.
 *
 * Theory:  the first request goes out during the probe and is mixed in whenever the answer comes; the
 *          boot never waits for it. Afterwards it is repeated every few minutes.
 * Locking: after the probe everything runs on the drivers' thread.
 * Errors:  a device that breaks the protocol is stopped.
 * Source:  Virtual I/O Device Version 1.2, 5.4.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/random.h"
#include "drivers/virtio.h"
#include "lib/string.h"
#include "mm/mm.h"

#define REQUEST_BYTES 64
#define REPEAT_NS (300 * NSEC_PER_SEC)

struct rng {
	struct work work;
	struct virtio_queue *queue;
	uint8_t *buf; /* in the direct map */
	bool asked;
};

static void rng_ask(struct rng *rng)
{
	struct virtq_segment seg = { .addr = virt_to_phys(rng->buf), .len = REQUEST_BYTES };

	if (virtq_add(&rng->queue->vq, &seg, 0, 1, rng) < 0)
		return;
	rng->asked = true;
	virtq_irq_enable(&rng->queue->vq);
	virtio_kick(rng->queue);
}

static void rng_work(struct work *w)
{
	struct rng *rng = container_of(w, struct rng, work);
	struct virtq_done done;
	int r = virtq_take(&rng->queue->vq, &done);

	if (r > 0) {
		random_mix(rng->buf, done.len, done.len * 8);
		memset(rng->buf, 0, REQUEST_BYTES);
		virtq_free(&rng->queue->vq, done.head);
		rng->asked = false;
		work_repeat(w, REPEAT_NS);
	} else if (r < 0) {
		if (rng->asked)
			virtio_stop(rng->queue->dev, "the device breaks the protocol");
		rng->asked = false;
	} else if (!rng->asked) {
		rng_ask(rng);
	}
}

static void rng_done(struct virtio_queue *q)
{
	work_post(&((struct rng *)q->arg)->work);
}

static int rng_probe(struct virtio_device *dev)
{
	struct rng *rng = kzalloc(sizeof(*rng));
	struct virtio_queue_spec spec = { .index = 0, .max_size = 2, .handler = rng_done, .arg = rng };
	int r;

	if (!rng)
		return -ENOMEM;
	rng->work.fn = rng_work;
	rng->buf = kzalloc(REQUEST_BYTES);
	if (!rng->buf) {
		kfree(rng);
		return -ENOMEM;
	}
	r = virtio_queues_setup(dev, 1, &spec);
	if (r < 0)
		return r;
	rng->queue = &dev->queues[0];
	virtio_ready(dev);
	work_post(&rng->work);
	return 0;
}

static const struct virtio_driver virtio_rng = {
	.name = "virtio-rng",
	.id = VIRTIO_ID_RNG,
	.probe = rng_probe,
};
VIRTIO_DRIVER(virtio_rng);
