/*
 * kernel/fs/settings.h - the settings of the image: parsing and merging (see images/format.h).
 *
 * Interface: settings_add() for each section, lower priorities first; setting_get() and setting_each()
 *            of vfs.h afterwards.
 * Locking:   none: boot fills them, later they are only read.
 * Errors:    -EINVAL with *where set to the byte that is wrong, -ENOMEM. A section that is refused
 *            changes nothing.
 */
#ifndef IBRIK_FS_SETTINGS_H
#define IBRIK_FS_SETTINGS_H

#include "lib/types.h"

#define SETTINGS_MAX_BYTES (1u << 20)

int settings_add(const char *data, size_t len, size_t *where);
/* Calls emit for every record in order. */
void settings_each(void (*emit)(const char *key, const char *value, void *arg), void *arg);
void settings_clear(void);

#endif
