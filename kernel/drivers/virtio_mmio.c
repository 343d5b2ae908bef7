/*
 * kernel/drivers/virtio_mmio.c - virtio devices in plain memory: microvm and Firecracker.
 *
 * Theory:  nothing can be probed here. Devices are named on the kernel's command line
 *          (virtio_mmio.device=512@0xfeb00e00:12, written by QEMU's microvm without ACPI and by
 *          Firecracker) or in the DSDT (microvm with ACPI). An empty place has device number 0. Version 2
 *          is the interface of today, version 1 the legacy one.
 * Locking: setup on one thread. notify() may be called from any thread.
 * Source:  Virtual I/O Device Version 1.2, 4.2.
 */
#include "core/boot.h"
#include "core/irq.h"
#include "core/clock.h"
#include "core/log.h"
#include "drivers/acpi_private.h"
#include "drivers/device.h"
#include "drivers/virtio.h"
#include "io.h"
#include "lib/string.h"
#include "mm/mm.h"

enum {
	M_MAGIC = 0x000, M_VERSION = 0x004, M_DEVICE = 0x008, M_DEVICE_FEATURES = 0x010,
	M_DEVICE_FEATURES_SELECT = 0x014, M_DRIVER_FEATURES = 0x020, M_DRIVER_FEATURES_SELECT = 0x024,
	M_GUEST_PAGE_SIZE = 0x028, M_QUEUE_SELECT = 0x030, M_QUEUE_MAX = 0x034, M_QUEUE_SIZE = 0x038,
	M_QUEUE_ALIGN = 0x03c, M_QUEUE_PFN = 0x040, M_QUEUE_READY = 0x044, M_NOTIFY = 0x050,
	M_INTERRUPT_STATUS = 0x060, M_INTERRUPT_ACK = 0x064, M_STATUS = 0x070, M_QUEUE_DESC = 0x080,
	M_QUEUE_DRIVER = 0x090, M_QUEUE_DEVICE = 0x0a0, M_GENERATION = 0x0fc, M_CONFIG = 0x100,
};
#define MAGIC 0x74726976 /* "virt" */
#define INTERRUPT_QUEUE 1u
#define INTERRUPT_CONFIG 2u
#define MAX_DEVICES 64

static paddr_t seen[MAX_DEVICES];
static unsigned nseen;

static uint32_t reg(struct virtio_device *dev, unsigned at) { return mmio_read32(dev->common + at); }
static void set(struct virtio_device *dev, unsigned at, uint32_t v) { mmio_write32(dev->common + at, v); }

static uint8_t get_status(struct virtio_device *dev) { return (uint8_t)reg(dev, M_STATUS); }

static void set_status(struct virtio_device *dev, uint8_t status)
{
	set(dev, M_STATUS, status);
	for (unsigned i = 0; status == 0 && i < 10000 && reg(dev, M_STATUS); i++)
		delay_us(10);
}

static uint64_t get_features(struct virtio_device *dev)
{
	uint64_t low, high = 0;

	set(dev, M_DEVICE_FEATURES_SELECT, 0);
	low = reg(dev, M_DEVICE_FEATURES);
	if (!dev->legacy) {
		set(dev, M_DEVICE_FEATURES_SELECT, 1);
		high = reg(dev, M_DEVICE_FEATURES);
	}
	return high << 32 | low;
}

static void set_features(struct virtio_device *dev, uint64_t features)
{
	set(dev, M_DRIVER_FEATURES_SELECT, 0);
	set(dev, M_DRIVER_FEATURES, (uint32_t)features);
	if (dev->legacy) {
		set(dev, M_GUEST_PAGE_SIZE, 4096);
		return;
	}
	set(dev, M_DRIVER_FEATURES_SELECT, 1);
	set(dev, M_DRIVER_FEATURES, (uint32_t)(features >> 32));
}

static void read_config(struct virtio_device *dev, unsigned offset, void *buf, unsigned len)
{
	uint8_t *out = buf;

	if (!dev->legacy) {
		virtio_field_read(dev->common + M_CONFIG, dev->config_bytes - M_CONFIG, offset, buf, len);
		return;
	}
	/* The interface before version 1 knows no fields. */
	memset(out, 0, len);
	for (unsigned i = 0; i < len && M_CONFIG + offset + i < dev->config_bytes; i++)
		out[i] = mmio_read8(dev->common + M_CONFIG + offset + i);
}

static uint32_t generation(struct virtio_device *dev)
{
	return dev->legacy ? 0 : reg(dev, M_GENERATION);
}

static unsigned queue_size(struct virtio_device *dev, unsigned index)
{
	unsigned size;

	set(dev, M_QUEUE_SELECT, index);
	size = reg(dev, M_QUEUE_MAX);
	/* Unlike on PCI, a legacy device can be told a smaller size here. */
	return dev->legacy ? MIN(size, 128u) : size;
}

static void set64(struct virtio_device *dev, unsigned at, uint64_t v)
{
	set(dev, at, (uint32_t)v);
	set(dev, at + 4, (uint32_t)(v >> 32));
}

static int queue_activate(struct virtio_device *dev, struct virtio_queue *q)
{
	struct virtq *vq = &q->vq;

	set(dev, M_QUEUE_SELECT, q->index);
	set(dev, M_QUEUE_SIZE, vq->size);
	if (dev->legacy) {
		paddr_t ring = virt_to_phys(q->ring);

		if (ring >> 12 > UINT32_MAX)
			return -ENOMEM;
		set(dev, M_QUEUE_ALIGN, 4096);
		set(dev, M_QUEUE_PFN, (uint32_t)(ring >> 12));
		return 0;
	}
	set64(dev, M_QUEUE_DESC, virt_to_phys(vq->desc));
	set64(dev, M_QUEUE_DRIVER, virt_to_phys(vq->avail));
	set64(dev, M_QUEUE_DEVICE, virt_to_phys(vq->used));
	set(dev, M_QUEUE_READY, 1);
	return 0;
}

static void notify(struct virtio_queue *q)
{
	set(q->dev, M_NOTIFY, q->index);
}

static bool handler(void *arg)
{
	struct virtio_device *dev = arg;
	uint32_t status = reg(dev, M_INTERRUPT_STATUS);

	if (!status)
		return false;
	set(dev, M_INTERRUPT_ACK, status);
	if (status & INTERRUPT_QUEUE)
		virtio_irq_queues(dev);
	if (status & INTERRUPT_CONFIG)
		virtio_irq_config(dev);
	return true;
}

static int irq_setup(struct virtio_device *dev)
{
	/* Below 16 the line may have an override; the level of the DSDT would say the same. */
	if (dev->gsi < 16)
		return irq_request_isa(dev->gsi, handler, dev);
	return irq_request_gsi(dev->gsi, dev->gsi_level, dev->gsi_low, handler, dev);
}

static const struct virtio_transport mmio = {
	.name = "MMIO",
	.get_status = get_status,
	.set_status = set_status,
	.get_features = get_features,
	.set_features = set_features,
	.read_config = read_config,
	.config_generation = generation,
	.queue_size = queue_size,
	.queue_activate = queue_activate,
	.notify = notify,
	.irq_setup = irq_setup,
};

static void device_at(paddr_t addr, uint32_t bytes, unsigned gsi, bool level, bool low, void *arg)
{
	struct virtio_device *dev;
	volatile uint8_t *regs;
	uint32_t version;

	for (unsigned i = 0; i < nseen; i++)
		if (seen[i] == addr)
			return;
	if (nseen >= MAX_DEVICES || addr == 0 || (addr & 3) || bytes < M_CONFIG || bytes > MIB(1)) {
		log_warn("virtio-mmio: no device can be at 0x%llx, ignored", (unsigned long long)addr);
		return;
	}
	seen[nseen++] = addr;
	regs = ioremap(addr, bytes);
	if (!regs || mmio_read32(regs + M_MAGIC) != MAGIC || mmio_read32(regs + M_DEVICE) == 0)
		return;
	version = mmio_read32(regs + M_VERSION);
	if (version != 1 && version != 2) {
		log_err("virtio-mmio 0x%llx: version %u is not known", (unsigned long long)addr, version);
		return;
	}
	dev = kzalloc(sizeof(*dev));
	if (!dev)
		return;
	dev->transport = &mmio;
	dev->id = mmio_read32(regs + M_DEVICE);
	dev->legacy = version == 1;
	dev->common = regs;
	dev->config_bytes = bytes;
	dev->gsi = gsi;
	dev->gsi_level = level;
	dev->gsi_low = low;
	snprintf(dev->where, sizeof(dev->where), "%llx", (unsigned long long)addr);
	if (virtio_device_add(dev) == -ENODEV && !dev->queues)
		kfree(dev);
}

/* SIZE@ADDRESS:INTERRUPT[:ID], the size perhaps with K or M behind it. */
static void device_named(const char *value, void *arg)
{
	uint64_t bytes, addr, gsi;
	const char *s = value;

	if (parse_u64(s, &s, &bytes) != 0)
		goto bad;
	if (*s == 'K' || *s == 'k' || *s == 'M' || *s == 'm')
		bytes <<= (*s++ | 0x20) == 'k' ? 10 : 20;
	if (*s++ != '@' || parse_u64(s, &s, &addr) != 0 || *s++ != ':' || parse_u64(s, &s, &gsi) != 0)
		goto bad;
	if ((*s != 0 && *s != ':') || bytes > MIB(1) || gsi > 255)
		goto bad;
	/* Above the ISA interrupts the line is level: it stays up until we acknowledge. */
	device_at(addr, (uint32_t)bytes, (unsigned)gsi, true, false, NULL);
	return;
bad:
	log_warn("virtio_mmio.device=%s is not SIZE@ADDRESS:INTERRUPT, ignored", value);
}

static void virtio_mmio_probe(void)
{
	option_each("virtio_mmio.device", device_named, NULL);
	if (acpi_private.dsdt)
		acpi_find_virtio_mmio(acpi_private.dsdt, acpi_private.dsdt_bytes, device_at, NULL);
}

static const struct platform_driver virtio_mmio = { .name = "virtio-mmio", .probe = virtio_mmio_probe };
PLATFORM_DRIVER(virtio_mmio);
