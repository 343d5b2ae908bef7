/*
 * kernel/drivers/virtio_pci.c - virtio over PCI: the interface of version 1, and the legacy one.
 *
 * Theory:  a modern device describes its registers by vendor capabilities that point into base registers;
 *          every one is checked against the size of its base register before it is used. A device
 *          without them, or one that has only port addresses, is driven through the legacy interface in
 *          base register 0. Interrupts: MSI-X with one vector for configuration and one for each queue if
 *          the table is large enough, one shared by all queues otherwise; the interrupt line if there
 *          is no MSI-X.
 * Locking: setup on one thread. notify() may be called from any thread.
 * Source:  Virtual I/O Device Version 1.2, 4.1.
 */
#include "core/clock.h"
#include "core/log.h"
#include "drivers/device.h"
#include "drivers/pci.h"
#include "drivers/virtio.h"
#include "io.h"
#include "lib/string.h"
#include "mm/mm.h"

#define VENDOR 0x1af4
#define NO_VECTOR 0xffff
#define ISR_QUEUE 1
#define ISR_CONFIG 2

/* Capability types, and the common configuration structure. */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };
enum {
	C_DEVICE_FEATURE_SELECT = 0x00, C_DEVICE_FEATURE = 0x04, C_DRIVER_FEATURE_SELECT = 0x08,
	C_DRIVER_FEATURE = 0x0c, C_CONFIG_VECTOR = 0x10, C_STATUS = 0x14, C_GENERATION = 0x15,
	C_QUEUE_SELECT = 0x16, C_QUEUE_SIZE = 0x18, C_QUEUE_VECTOR = 0x1a, C_QUEUE_ENABLE = 0x1c,
	C_QUEUE_NOTIFY_OFF = 0x1e, C_QUEUE_DESC = 0x20, C_QUEUE_DRIVER = 0x28, C_QUEUE_DEVICE = 0x30,
	C_BYTES = 0x38,
};
/* Legacy registers; the last two exist only while MSI-X is on. */
enum {
	L_DEVICE_FEATURES = 0, L_DRIVER_FEATURES = 4, L_QUEUE_PFN = 8, L_QUEUE_SIZE = 12,
	L_QUEUE_SELECT = 14, L_NOTIFY = 16, L_STATUS = 18, L_ISR = 19, L_CONFIG_VECTOR = 20,
	L_QUEUE_VECTOR = 22,
};

/* --- version 1 ----------------------------------------------------------------------------------- */

static uint8_t modern_get_status(struct virtio_device *dev)
{
	return mmio_read8(dev->common + C_STATUS);
}

static void modern_set_status(struct virtio_device *dev, uint8_t status)
{
	mmio_write8(dev->common + C_STATUS, status);
	/* A reset is complete when the device says 0; emulated ones say so at once. */
	for (unsigned i = 0; status == 0 && i < 10000 && mmio_read8(dev->common + C_STATUS); i++)
		delay_us(10);
}

static uint64_t modern_get_features(struct virtio_device *dev)
{
	uint64_t low;

	mmio_write32(dev->common + C_DEVICE_FEATURE_SELECT, 0);
	low = mmio_read32(dev->common + C_DEVICE_FEATURE);
	mmio_write32(dev->common + C_DEVICE_FEATURE_SELECT, 1);
	return (uint64_t)mmio_read32(dev->common + C_DEVICE_FEATURE) << 32 | low;
}

static void modern_set_features(struct virtio_device *dev, uint64_t features)
{
	mmio_write32(dev->common + C_DRIVER_FEATURE_SELECT, 0);
	mmio_write32(dev->common + C_DRIVER_FEATURE, (uint32_t)features);
	mmio_write32(dev->common + C_DRIVER_FEATURE_SELECT, 1);
	mmio_write32(dev->common + C_DRIVER_FEATURE, (uint32_t)(features >> 32));
}

static void modern_read_config(struct virtio_device *dev, unsigned offset, void *buf, unsigned len)
{
	virtio_field_read(dev->config, dev->config_bytes, offset, buf, len);
}

static uint32_t modern_generation(struct virtio_device *dev)
{
	return mmio_read8(dev->common + C_GENERATION);
}

static unsigned modern_queue_size(struct virtio_device *dev, unsigned index)
{
	mmio_write16(dev->common + C_QUEUE_SELECT, (uint16_t)index);
	return mmio_read16(dev->common + C_QUEUE_SIZE);
}

static void modern_write64(struct virtio_device *dev, unsigned at, uint64_t value)
{
	mmio_write32(dev->common + at, (uint32_t)value);
	mmio_write32(dev->common + at + 4, (uint32_t)(value >> 32));
}

/* The vector of a queue: see irq_setup(). */
static uint16_t queue_vector(struct virtio_device *dev, struct virtio_queue *q)
{
	switch (dev->nvectors) {
	case 0: return NO_VECTOR;
	case 1: return 0;
	case 2: return 1;
	default: return (uint16_t)(1 + (q - dev->queues));
	}
}

static int modern_queue_activate(struct virtio_device *dev, struct virtio_queue *q)
{
	struct virtq *vq = &q->vq;
	uint16_t vector = queue_vector(dev, q);
	uint64_t offset;

	mmio_write16(dev->common + C_QUEUE_SELECT, (uint16_t)q->index);
	mmio_write16(dev->common + C_QUEUE_SIZE, vq->size);
	mmio_write16(dev->common + C_QUEUE_VECTOR, vector);
	if (mmio_read16(dev->common + C_QUEUE_VECTOR) != vector)
		return -ENOSPC;
	offset = (uint64_t)mmio_read16(dev->common + C_QUEUE_NOTIFY_OFF) * dev->notify_multiplier;
	if (offset + 2 > dev->notify_bytes)
		return -EINVAL;
	q->notify_addr = dev->notify_base + offset;
	modern_write64(dev, C_QUEUE_DESC, virt_to_phys(vq->desc));
	modern_write64(dev, C_QUEUE_DRIVER, virt_to_phys(vq->avail));
	modern_write64(dev, C_QUEUE_DEVICE, virt_to_phys(vq->used));
	mmio_write16(dev->common + C_QUEUE_ENABLE, 1);
	return 0;
}

static void modern_notify(struct virtio_queue *q)
{
	mmio_write16(q->notify_addr, (uint16_t)q->index);
}

/* --- legacy --------------------------------------------------------------------------------------- */

static uint8_t legacy_get_status(struct virtio_device *dev)
{
	return inb(dev->port + L_STATUS);
}

static void legacy_set_status(struct virtio_device *dev, uint8_t status)
{
	outb(dev->port + L_STATUS, status);
	if (status == 0)
		inb(dev->port + L_STATUS); /* a read makes sure that the reset has arrived */
}

static uint64_t legacy_get_features(struct virtio_device *dev)
{
	return inl(dev->port + L_DEVICE_FEATURES);
}

static void legacy_set_features(struct virtio_device *dev, uint64_t features)
{
	outl(dev->port + L_DRIVER_FEATURES, (uint32_t)features);
}

static void legacy_read_config(struct virtio_device *dev, unsigned offset, void *buf, unsigned len)
{
	unsigned base = dev->pci->msix_cap && dev->nvectors ? 24 : 20;
	uint8_t *out = buf;

	memset(out, 0, len);
	for (unsigned i = 0; i < len && base + offset + i < dev->config_bytes; i++)
		out[i] = inb((uint16_t)(dev->port + base + offset + i));
}

static uint32_t legacy_generation(struct virtio_device *dev) { return 0; }

static unsigned legacy_queue_size(struct virtio_device *dev, unsigned index)
{
	outw(dev->port + L_QUEUE_SELECT, (uint16_t)index);
	return inw(dev->port + L_QUEUE_SIZE);
}

static int legacy_queue_activate(struct virtio_device *dev, struct virtio_queue *q)
{
	paddr_t ring = virt_to_phys(q->ring);

	if (ring >> 12 > UINT32_MAX)
		return -ENOMEM;
	outw(dev->port + L_QUEUE_SELECT, (uint16_t)q->index);
	if (dev->nvectors) {
		uint16_t vector = queue_vector(dev, q);

		outw(dev->port + L_QUEUE_VECTOR, vector);
		if (inw(dev->port + L_QUEUE_VECTOR) != vector)
			return -ENOSPC;
	}
	outl(dev->port + L_QUEUE_PFN, (uint32_t)(ring >> 12));
	return 0;
}

static void legacy_notify(struct virtio_queue *q)
{
	outw(q->dev->port + L_NOTIFY, (uint16_t)q->index);
}

/* --- interrupts ------------------------------------------------------------------------------------- */

static bool line_handler(void *arg)
{
	struct virtio_device *dev = arg;
	/* Reading acknowledges: the line falls. */
	uint8_t isr = dev->legacy ? inb(dev->port + L_ISR) : mmio_read8(dev->isr);

	if (isr & ISR_QUEUE)
		virtio_irq_queues(dev);
	if (isr & ISR_CONFIG)
		virtio_irq_config(dev);
	return isr != 0;
}

static int set_config_vector(struct virtio_device *dev)
{
	uint16_t got;

	if (dev->legacy) {
		outw(dev->port + L_CONFIG_VECTOR, 0);
		got = inw(dev->port + L_CONFIG_VECTOR);
	} else {
		mmio_write16(dev->common + C_CONFIG_VECTOR, 0);
		got = mmio_read16(dev->common + C_CONFIG_VECTOR);
	}
	return got == 0 ? 0 : -ENOSPC;
}

static bool one_vector(void *arg)
{
	virtio_irq_queues(arg);
	virtio_irq_config(arg);
	return true;
}

static int msix_setup(struct virtio_device *dev)
{
	int have = pci_msix_enable(dev->pci), r;

	if (have < 0)
		return have;
	/* Many queues (the console has ten) share one vector; few get one each. */
	dev->nvectors = have < 2 ? 1 : dev->nqueues > 4 || have < (int)dev->nqueues + 1 ? 2 : dev->nqueues + 1;
	if (dev->nvectors == 1) {
		r = pci_msix_set(dev->pci, 0, one_vector, dev, 0);
	} else {
		r = pci_msix_set(dev->pci, 0, virtio_irq_config_vector, dev, 0);
		if (r == 0 && dev->nvectors == 2)
			r = pci_msix_set(dev->pci, 1, virtio_irq_all_queues, dev, 0);
		for (unsigned i = 0; r == 0 && dev->nvectors > 2 && i < dev->nqueues; i++)
			r = pci_msix_set(dev->pci, i + 1, virtio_irq_one_queue, &dev->queues[i], 0);
	}
	if (r == 0)
		r = set_config_vector(dev);
	if (r < 0) {
		pci_msix_disable(dev->pci);
		dev->nvectors = 0;
	}
	return r;
}

static int irq_setup(struct virtio_device *dev)
{
	if (msix_setup(dev) == 0)
		return 0;
	return pci_intx_request(dev->pci, line_handler, dev);
}

static const struct virtio_transport modern = {
	.name = "PCI",
	.get_status = modern_get_status,
	.set_status = modern_set_status,
	.get_features = modern_get_features,
	.set_features = modern_set_features,
	.read_config = modern_read_config,
	.config_generation = modern_generation,
	.queue_size = modern_queue_size,
	.queue_activate = modern_queue_activate,
	.notify = modern_notify,
	.irq_setup = irq_setup,
};

static const struct virtio_transport legacy = {
	.name = "legacy PCI",
	.get_status = legacy_get_status,
	.set_status = legacy_set_status,
	.get_features = legacy_get_features,
	.set_features = legacy_set_features,
	.read_config = legacy_read_config,
	.config_generation = legacy_generation,
	.queue_size = legacy_queue_size,
	.queue_activate = legacy_queue_activate,
	.notify = legacy_notify,
	.irq_setup = irq_setup,
};

/* --- the probe ---------------------------------------------------------------------------------------- */

/* Maps the structure that a capability names, if it has at least min_bytes. */
static volatile uint8_t *cap_map(struct virtio_device *dev, unsigned cap, uint32_t min_bytes,
				 uint32_t *bytes)
{
	uint8_t bar = pci_read8(dev->pci, cap + 4);
	uint32_t offset = pci_read32(dev->pci, cap + 8);
	uint32_t len = pci_read32(dev->pci, cap + 12);

	if (bar > 5 || len < min_bytes)
		return NULL;
	*bytes = len;
	return pci_bar_map(dev->pci, bar, offset, len);
}

static bool modern_find(struct virtio_device *dev)
{
	struct pci_device *pci = dev->pci;
	uint32_t bytes;

	for (unsigned cap = 0; (cap = pci_capability(pci, 0x09, cap));) {
		switch (pci_read8(pci, cap + 3)) {
		case CAP_COMMON:
			if (!dev->common)
				dev->common = cap_map(dev, cap, C_BYTES, &bytes);
			break;
		case CAP_NOTIFY:
			if (!dev->notify_base) {
				dev->notify_base = cap_map(dev, cap, 2, &dev->notify_bytes);
				dev->notify_multiplier = pci_read32(pci, cap + 16);
			}
			break;
		case CAP_ISR:
			if (!dev->isr)
				dev->isr = cap_map(dev, cap, 1, &bytes);
			break;
		case CAP_DEVICE:
			if (!dev->config)
				dev->config = cap_map(dev, cap, 1, &dev->config_bytes);
			break;
		default:
			break;
		}
	}
	return dev->common && dev->notify_base && dev->isr;
}

static bool virtio_pci_matches(const struct pci_device *pci)
{
	return pci->vendor == VENDOR && pci->device >= 0x1000 && pci->device <= 0x107f;
}

static void virtio_pci_probe(struct pci_device *pci)
{
	struct virtio_device *dev;
	bool transitional = pci->device < 0x1040;

	dev = kzalloc(sizeof(*dev));
	if (!dev)
		return;
	dev->pci = pci;
	snprintf(dev->where, sizeof(dev->where), "%02x:%02x.%x", pci->bus, pci->slot, pci->function);
	dev->id = transitional ? pci->subsystem : pci->device - 0x1040u;
	if (modern_find(dev)) {
		dev->transport = &modern;
	} else {
		dev->port = transitional ? pci_bar_port(pci, 0, 24) : 0;
		if (!dev->port) {
			log_err("virtio %s: no registers that can be used", dev->where);
			kfree(dev);
			return;
		}
		dev->config_bytes = (uint32_t)pci->bars[0].size;
		dev->legacy = true;
		dev->transport = &legacy;
	}
	if (virtio_device_add(dev) == -ENODEV && !dev->queues)
		kfree(dev);
}

static const struct pci_driver virtio_pci = { .name = "virtio", .matches = virtio_pci_matches,
					      .probe = virtio_pci_probe };
PCI_DRIVER(virtio_pci);
