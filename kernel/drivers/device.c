/*
 * kernel/drivers/device.c - the order in which devices are found, and the list of block devices.
 *
 * Interface: drivers_init(), block_register(), block_devices (device.h); block_name(), block_sleep() and their like (block.h)
 * Locking:   registration happens on the one thread of drivers_init(); afterwards the list is read-only.
 */
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "drivers/acpi.h"
#include "drivers/block.h"
#include "drivers/console.h"
#include "drivers/pci.h"
#include "drivers/virtio.h"
#include "drivers/work.h"
#include "lib/string.h"

struct list block_devices = LIST_INIT(block_devices);

extern const struct platform_driver *const __drivers_platform_start[],
	*const __drivers_platform_end[];

void block_name(char name[16], const char *prefix)
{
	struct block_device *b;
	unsigned n = 0;

	list_for_each(b, &block_devices, link)
		if (str_starts(b->name, prefix))
			n++;
	/* vda ... vdz, then vdaa ... as on Linux. */
	if (n < 26)
		snprintf(name, 16, "%s%c", prefix, 'a' + n);
	else
		snprintf(name, 16, "%s%c%c", prefix, 'a' + (n / 26 - 1) % 26, 'a' + n % 26);
}

int block_check(const struct block_device *dev, uint64_t offset, const struct block_segment *segs,
		unsigned nsegs, uint32_t *bytes)
{
	uint64_t total = 0;

	if (nsegs == 0 || nsegs > dev->max_segments || offset % 512)
		return -EINVAL;
	for (unsigned i = 0; i < nsegs; i++) {
		if (segs[i].len == 0 || segs[i].len % 512)
			return -EINVAL;
		total += segs[i].len;
	}
	if (total > dev->max_bytes || offset > dev->capacity_bytes || total > dev->capacity_bytes - offset)
		return -EINVAL;
	*bytes = (uint32_t)total;
	return 0;
}

struct block_patience block_patience(unsigned seconds)
{
	return (struct block_patience){ seconds, clock_monotonic_ns() + NSEC_PER_SEC };
}

int block_sleep(struct block_patience *p)
{
	if (sleep_until(p->second_ends) != -ETIMEDOUT)
		return 0;
	p->second_ends = clock_monotonic_ns() + NSEC_PER_SEC;
	return p->seconds <= 1 ? -ETIMEDOUT : (p->seconds--, 0);
}

void block_register(struct block_device *dev)
{
	list_push_back(&block_devices, &dev->link);
	log_info("%s: %llu KiB, %u segments, %u KiB per request", dev->name,
		 (unsigned long long)(dev->capacity_bytes >> 10), dev->max_segments, dev->max_bytes >> 10);
}

void drivers_find(void)
{
	pci_scan();
	boot_mark("drivers: scan");
}

void drivers_init(void)
{
	work_start();
	for (const struct platform_driver *const *d = __drivers_platform_start;
	     d < __drivers_platform_end; d++)
		(*d)->probe();
	pci_probe();
	acpi_enable_events();
	virtio_settle();
	console_ready();
	boot_mark("drivers: ready");
}
