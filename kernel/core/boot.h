/*
 * kernel/core/boot.h - what the boot protocol told us (PVH, Linux 64-bit, our boot sector).
 *
 * arch fills it before kernel_main(); it stays valid for ever. Memory ranges are sorted, do not
 * overlap, and do not include the kernel image or anything of the boot loader that must survive.
 */
#ifndef IBRIK_CORE_BOOT_H
#define IBRIK_CORE_BOOT_H

#include "lib/types.h"

#define BOOT_MAX_RANGES 64

struct boot_range {
	paddr_t start, end;
	uint32_t type; /* E820: 1 usable, 2 reserved, 3 ACPI data, 4 ACPI NVS */
};

struct boot_info {
	char cmdline[4096];
	struct boot_range ranges[BOOT_MAX_RANGES];
	unsigned nranges;
	paddr_t rsdp;         /* 0 if the boot protocol does not say */
	paddr_t kernel_start, kernel_end; /* the image in memory, with bss */
	uint64_t entry_tsc;   /* TSC at kernel entry */
};
extern struct boot_info boot_info;

/*
 * Kernel options. option_get() answers the value of the last `name=value` (copied to buf, truncated
 * to size), or "" for a bare `name`; returns false if the option was not given. Later sources
 * (settings of the image first, then the command line) win.
 */
bool option_get(const char *name, char *buf, size_t size);
bool option_flag(const char *name);                       /* name, name=1, name=yes */
uint64_t option_u64(const char *name, uint64_t fallback);
/* Calls emit for every value of a repeatable option. */
void option_each(const char *name, void (*emit)(const char *value, void *arg), void *arg);
/* Adds options from the image's settings, below those of the command line. */
void option_add_image(const char *text);
/* The image has been read: warns of options that nothing knows, or that came too late. */
void options_complete(void);

/*
 * boot.trace: notes a point of the time line. Cheap; any context after the clock runs. Until options_complete()
 * `what` must stay valid, because the image may ask for the time line later.
 */
void boot_mark(const char *what);

/* The commit that the kernel was built from, "-dirty" behind it where its sources had been changed; "unknown" outside a repository. */
extern const char ibrik_version[];

#endif
