/*
 * kernel/drivers/virtio.h - virtio devices: what their drivers use, and what a transport provides.
 *
 * A transport (virtio_pci.c, virtio_pci_legacy.c, virtio_mmio.c) finds a device and calls
 * virtio_device_add(), which negotiates features and calls probe() of the driver with that device
 * number. probe() sets its queues up, calls virtio_ready(), and may use them from then on:
 *
 *     static const struct virtio_driver driver = { .name = "rng", .id = 4, .probe = probe };
 *     VIRTIO_DRIVER(driver);
 *
 * Queue handlers run in interrupt context, never two at a time for one queue; they may be called without
 * a cause. config_changed() runs in thread context.
 *
 * Locking: each queue's submitting side is guarded by the driver's own mutex (virtq.h).
 * Errors:  negative errno; a probe that fails leaves the device reset.
 */
#ifndef IBRIK_DRIVERS_VIRTIO_H
#define IBRIK_DRIVERS_VIRTIO_H

#include "drivers/virtq.h"
#include "drivers/work.h"

enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
};

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER_FOUND = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

#define VIRTIO_F_ANY_LAYOUT (1ull << 27) /* legacy devices: a request may be cut into descriptors anywhere, as always with version 1 */
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)

struct virtio_device;
struct virtio_queue;
struct pci_device;

typedef void virtio_queue_fn(struct virtio_queue *q);

struct virtio_queue {
	struct virtq vq;
	struct virtio_device *dev;
	unsigned index;
	virtio_queue_fn *handler;
	void *arg;
	/* the transport's */
	volatile void *notify_addr;
	void *ring;
	unsigned ring_order;
};

struct virtio_transport {
	const char *name;
	uint8_t (*get_status)(struct virtio_device *dev);
	void (*set_status)(struct virtio_device *dev, uint8_t status); /* 0 resets, and waits for it */
	uint64_t (*get_features)(struct virtio_device *dev);
	void (*set_features)(struct virtio_device *dev, uint64_t features);
	void (*read_config)(struct virtio_device *dev, unsigned offset, void *buf, unsigned len);
	uint32_t (*config_generation)(struct virtio_device *dev);
	/* Largest size of the queue, 0 if it does not exist. Legacy devices take no other size. */
	unsigned (*queue_size)(struct virtio_device *dev, unsigned index);
	/* Makes q->vq known to the device; sets notify_addr. */
	int (*queue_activate)(struct virtio_device *dev, struct virtio_queue *q);
	void (*notify)(struct virtio_queue *q);
	/* Connects interrupts for dev->queues, before they are activated. */
	int (*irq_setup)(struct virtio_device *dev);
};

struct virtio_driver {
	const char *name;
	uint32_t id;
	uint64_t features; /* what the driver can use beside the general ones */
	/* Optional: of what is offered, that without which lacks something it needs. */
	uint64_t (*choose)(uint64_t offered);
	/* 0 if the driver took the device. */
	int (*probe)(struct virtio_device *dev);
	void (*config_changed)(struct virtio_device *dev);
	/* Optional: waits for what the probe began, when all devices have been probed. */
	void (*settle)(struct virtio_device *dev);
};
#define VIRTIO_DRIVER(drv) \
	static const struct virtio_driver *const drv##_entry \
	__attribute__((used, section(".drivers.virtio"))) = &(drv)

struct virtio_device {
	const struct virtio_transport *transport;
	const struct virtio_driver *driver;
	char name[24];          /* for log lines: "virtio-blk 00:03.0" */
	char where[16];         /* "00:03.0" or "mmio feb00e00" */
	uint32_t id;
	bool legacy;            /* the interface before version 1 */
	uint64_t features;      /* negotiated */
	struct virtio_queue *queues;
	unsigned nqueues;
	void *driver_data;
	bool stopped;
	struct work config_work;
	struct virtio_device *next; /* all devices in use */
	/* the transport's */
	struct pci_device *pci;
	uint16_t port;          /* legacy PCI: I/O base */
	volatile uint8_t *common, *isr, *config, *notify_base;
	uint32_t config_bytes, notify_bytes, notify_multiplier;
	unsigned nvectors;      /* MSI-X vectors in use, 0 = interrupt line */
	unsigned gsi;
	bool gsi_level, gsi_low;
};

struct virtio_queue_spec {
	unsigned index;      /* number at the device */
	unsigned max_size;   /* entries wanted at most, a power of two */
	virtio_queue_fn *handler;
	void *arg;
};

/* --- for drivers ------------------------------------------------------------------------------ */
static inline bool virtio_has(const struct virtio_device *dev, uint64_t feature)
{
	return dev->features & feature;
}
/* Makes dev->queues[0 .. n-1] from the specs. Once per device. */
int virtio_queues_setup(struct virtio_device *dev, unsigned n, const struct virtio_queue_spec *specs);
/* The device may work from now on. */
void virtio_ready(struct virtio_device *dev);
/* Tells the device about new buffers, if it wants to know. Submitting side's mutex held. */
void virtio_kick(struct virtio_queue *q);
/* The same in two halves, to keep the (slow) notification out of the mutex. */
static inline bool virtio_kick_needed(struct virtio_queue *q) { return virtq_kick_needed(&q->vq); }
static inline void virtio_notify(struct virtio_queue *q) { q->dev->transport->notify(q); }
/* Configuration space, read consistently. */
void virtio_config_read(struct virtio_device *dev, unsigned offset, void *buf, unsigned len);
/* Stops the device for ever: after it returns the device touches no memory. Thread context. */
void virtio_stop(struct virtio_device *dev, const char *why);

/* Part of drivers_init(), after the scan. */
void virtio_settle(void);

/* --- for transports ----------------------------------------------------------------------------- */
/* Takes the device over; it lives for ever if the answer is 0. -ENODEV: no driver wants it. */
int virtio_device_add(struct virtio_device *dev);
/* Interrupt: every queue has to look, and, if the device said so, configuration changed. */
void virtio_irq_queues(struct virtio_device *dev);
void virtio_irq_config(struct virtio_device *dev);
/*
 * Reads a field of a mapped configuration space as version 1 demands it: 2 and 4 bytes in one access, 8 in two of 4, whose consistency is the
 * generation's affair; everything else, arrays of bytes that is, byte by byte. What lies behind `bytes`, the size of the space, reads 0.
 */
void virtio_field_read(const volatile uint8_t *space, uint32_t bytes, unsigned offset, void *buf, unsigned len);
/* Handler for a vector or line of one queue. */
bool virtio_irq_one_queue(void *queue);
bool virtio_irq_all_queues(void *dev);
bool virtio_irq_config_vector(void *dev);

#endif
