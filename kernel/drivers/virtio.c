/*
 * kernel/drivers/virtio.c - what all virtio devices share; see virtio.h.
 *
 * Source: Virtual I/O Device Version 1.2, 3.1 (initialisation), 2.5.3 (legacy configuration space).
 */
#include "core/log.h"
#include "drivers/virtio.h"
#include "io.h"
#include "lib/string.h"
#include "mm/mm.h"

extern const struct virtio_driver *const __drivers_virtio_start[], *const __drivers_virtio_end[];

static struct virtio_device *devices; /* written by the thread of drivers_init() only */

void virtio_config_read(struct virtio_device *dev, unsigned offset, void *buf, unsigned len)
{
	uint32_t before, after;
	unsigned tries = 0;

	/* A field wider than the bus may change between two reads: then the generation does too. */
	do {
		before = dev->transport->config_generation(dev);
		dev->transport->read_config(dev, offset, buf, len);
		after = dev->transport->config_generation(dev);
	} while (before != after && ++tries < 16);
}

void virtio_field_read(const volatile uint8_t *space, uint32_t bytes, unsigned offset, void *buf, unsigned len)
{
	const volatile uint8_t *at = space + offset;
	unsigned width = len == 8 ? 4 : len;
	uint8_t *out = buf;

	memset(out, 0, len);
	if ((width != 2 && width != 4) || (uintptr_t)at % width || offset > bytes || len > bytes - offset)
		width = 1;
	for (unsigned i = 0; i < len && offset + i < bytes; i += width) {
		uint32_t v = width == 4 ? mmio_read32(at + i) : width == 2 ? mmio_read16(at + i) : mmio_read8(at + i);

		memcpy(out + i, &v, width);
	}
}

static unsigned ring_order(size_t bytes)
{
	unsigned order = 0;

	while (PAGE_SIZE << order < bytes)
		order++;
	return order;
}

static int queue_setup(struct virtio_device *dev, struct virtio_queue *q,
		       const struct virtio_queue_spec *spec)
{
	unsigned size = dev->transport->queue_size(dev, spec->index);
	size_t avail, used, bytes, align = dev->legacy ? 4096 : 4;
	struct virtq_slot *slots;

	q->dev = dev;
	q->index = spec->index;
	q->handler = spec->handler;
	q->arg = spec->arg;
	if (size == 0 || (dev->legacy && (size > VIRTQ_MAX_SIZE || (size & (size - 1)))))
		return -ENODEV;
	if (!dev->legacy) {
		size = MIN(size, spec->max_size);
		while (size & (size - 1))
			size &= size - 1;
	}
	bytes = virtq_ring_bytes(size, align, &avail, &used);
	slots = kzalloc(size * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	if (dev->legacy || bytes > PAGE_SIZE / 2) {
		struct page *page = page_alloc(ring_order(bytes), ALLOC_ZERO);

		q->ring = page ? page_to_virt(page) : NULL;
	} else {
		q->ring = kzalloc(bytes);
	}
	if (!q->ring) {
		kfree(slots);
		return -ENOMEM;
	}
	virtq_init(&q->vq, size, q->ring, align, slots, virtio_has(dev, VIRTIO_F_EVENT_IDX));
	q->vq.legacy = dev->legacy;
	return 0;
}

int virtio_queues_setup(struct virtio_device *dev, unsigned n, const struct virtio_queue_spec *specs)
{
	int r;

	dev->queues = kzalloc(n * sizeof(*dev->queues));
	if (!dev->queues)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		r = queue_setup(dev, &dev->queues[i], &specs[i]);
		if (r < 0)
			return r;
	}
	dev->nqueues = n;
	r = dev->transport->irq_setup(dev);
	for (unsigned i = 0; r >= 0 && i < n; i++)
		r = dev->transport->queue_activate(dev, &dev->queues[i]);
	return r < 0 ? r : 0;
}

void virtio_ready(struct virtio_device *dev)
{
	dev->transport->set_status(dev, dev->transport->get_status(dev) | VIRTIO_DRIVER_OK);
}

void virtio_kick(struct virtio_queue *q)
{
	if (virtq_kick_needed(&q->vq))
		q->dev->transport->notify(q);
}

void virtio_stop(struct virtio_device *dev, const char *why)
{
	if (!dev->stopped)
		log_err("%s: %s, stopped", dev->name, why);
	dev->stopped = true;
	for (unsigned i = 0; i < dev->nqueues; i++)
		atomic_store_explicit(&dev->queues[i].vq.broken, true, memory_order_release);
	dev->transport->set_status(dev, 0);
}

void virtio_irq_queues(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->nqueues; i++)
		if (dev->queues[i].handler)
			dev->queues[i].handler(&dev->queues[i]);
}

void virtio_irq_config(struct virtio_device *dev)
{
	if (dev->driver && dev->driver->config_changed)
		work_post(&dev->config_work);
}

bool virtio_irq_one_queue(void *arg)
{
	struct virtio_queue *q = arg;

	if (q->handler)
		q->handler(q);
	return true;
}

bool virtio_irq_all_queues(void *arg)
{
	virtio_irq_queues(arg);
	return true;
}

bool virtio_irq_config_vector(void *arg)
{
	virtio_irq_config(arg);
	return true;
}

void virtio_settle(void)
{
	for (struct virtio_device *dev = devices; dev; dev = dev->next)
		if (dev->driver->settle)
			dev->driver->settle(dev);
}

static void config_work(struct work *w)
{
	struct virtio_device *dev = container_of(w, struct virtio_device, config_work);

	dev->driver->config_changed(dev);
}

static const struct virtio_driver *driver_find(uint32_t id)
{
	for (const struct virtio_driver *const *d = __drivers_virtio_start; d < __drivers_virtio_end; d++)
		if ((*d)->id == id)
			return *d;
	return NULL;
}

static int negotiate(struct virtio_device *dev)
{
	const struct virtio_transport *t = dev->transport;
	uint64_t offered = t->get_features(dev);
	uint64_t general = VIRTIO_F_EVENT_IDX;

	if (dev->legacy) {
		general |= VIRTIO_F_ANY_LAYOUT;
	} else {
		if (!(offered & VIRTIO_F_VERSION_1))
			return -EINVAL;
		/* Addresses are physical here; behind an IOMMU that translates nothing that is right. */
		general |= VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM;
	}
	if (dev->driver->choose)
		offered = dev->driver->choose(offered);
	dev->features = offered & (dev->driver->features | general);
	t->set_features(dev, dev->features);
	if (dev->legacy)
		return 0;
	t->set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER_FOUND | VIRTIO_FEATURES_OK);
	return t->get_status(dev) & VIRTIO_FEATURES_OK ? 0 : -EINVAL;
}

int virtio_device_add(struct virtio_device *dev)
{
	const struct virtio_transport *t = dev->transport;
	int r;

	dev->driver = driver_find(dev->id);
	if (!dev->driver)
		return -ENODEV;
	snprintf(dev->name, sizeof(dev->name), "%s %s", dev->driver->name, dev->where);
	dev->config_work.fn = config_work;
	t->set_status(dev, 0);
	t->set_status(dev, VIRTIO_ACKNOWLEDGE);
	t->set_status(dev, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER_FOUND);
	r = negotiate(dev);
	if (r == 0)
		r = dev->driver->probe(dev);
	if (r < 0) {
		log_err("%s: cannot be used (error %d)", dev->name, -r);
		t->set_status(dev, 0);
		/* Interrupts may be connected: the device and its queues stay where they are. */
		return r;
	}
	dev->next = devices;
	devices = dev;
	log_info("%s: %s%s, features 0x%llx", dev->name, t->name,
		 dev->nvectors ? " with MSI-X" : "", (unsigned long long)dev->features);
	return 0;
}
