/*
 * kernel/drivers/device.h - how drivers register, and the devices others use.
 *
 * A driver puts itself into a linker section with one of the macros below; nothing calls it by name.
 * drivers_find(), before the other CPUs are started, scans PCI and enables what has a driver (pci.h says
 * why then). drivers_init() calls probe() of the platform drivers and of every PCI driver that matches.
 * Both run in thread context with interrupts on. What probe() finds it registers here: block
 * devices, console ports, entropy. Registration is for ever (no hot-unplug).
 */
#ifndef IBRIK_DRIVERS_DEVICE_H
#define IBRIK_DRIVERS_DEVICE_H

#include "lib/types.h"
#include "lib/list.h"

void drivers_find(void);
void drivers_init(void);

/* --- block devices: read-only use ---------------------------------------------------------- */
struct block_segment {
	void *buf;     /* kernel memory in the direct map, physically contiguous */
	uint32_t len;  /* multiple of 512 */
};
struct block_device {
	char name[16];            /* vda, hda ... */
	uint64_t capacity_bytes;
	uint32_t max_segments;    /* per request, at least 1 */
	uint32_t max_bytes;       /* per request */
	/* Reads at a byte offset (multiple of 512) into the segments. Sleeps (uninterruptible) until
	 * done; several threads may call at once. 0, -EIO, or -EINVAL beyond the end. */
	int (*read)(struct block_device *dev, uint64_t offset, const struct block_segment *segs,
		    unsigned nsegs);
	void *driver_data;
	struct list link;
	uint64_t reads, bytes_read, errors;
};
void block_register(struct block_device *dev);
extern struct list block_devices; /* complete after drivers_init() */

/* --- console ports (images/format.h names them) ---------------------------------------------- */
struct console_port {
	const char *name;
	/* Writes all of it; sleeps until the device took it. Returns len or -errno. */
	ssize_t (*write)(struct console_port *p, const void *buf, size_t len);
	/* Waits until at least one byte is there and reads at most len; 0 at end of file.
	 * -EINTR when interruptible by a signal. */
	ssize_t (*read)(struct console_port *p, void *buf, size_t len);
	/* Is a read possible without waiting (data or end of file)? */
	bool (*readable)(struct console_port *p);
	/* Called from thread context whenever readable() may have become true. One listener. */
	void (*notify)(struct console_port *p, void *arg);
	void *notify_arg;
	/* Waits until everything written has left the machine, at most timeout_ns. */
	void (*flush)(struct console_port *p, uint64_t timeout_ns);
	void *driver_data;
	struct list link;
};
void console_register(struct console_port *p);
/* The port with this name, or NULL. */
struct console_port *console_find(const char *name);
/* COM1 and VGA text when no virtio console exists: always there after drivers_init(). */
struct console_port *console_default(void);

/* --- power ------------------------------------------------------------------------------------ */
/* ACPI S5, or keyboard-controller reset, or halt. Never returns. Any context. */
_Noreturn void machine_power_off(void);
/* Called (thread context) when the power button is pressed; set by linux/. */
extern void (*power_button_handler)(void);

/* --- drivers ------------------------------------------------------------------------------------ */
struct pci_device;
struct pci_driver {
	const char *name;
	/* Whether this is a device of the driver's kind, by its numbers alone. */
	bool (*matches)(const struct pci_device *dev);
	/* Takes the device, which is enabled already. */
	void (*probe)(struct pci_device *dev);
};
#define PCI_DRIVER(drv) \
	static const struct pci_driver *const drv##_entry \
	__attribute__((used, section(".drivers.pci"))) = &(drv)

struct platform_driver { /* things found without a bus: serial, IDE ports, virtio-mmio */
	const char *name;
	void (*probe)(void);
};
#define PLATFORM_DRIVER(drv) \
	static const struct platform_driver *const drv##_entry \
	__attribute__((used, section(".drivers.platform"))) = &(drv)

#endif
