/*
 * images/settings.h - the settings section: "key=value" records ended by NUL bytes.
 */
#ifndef IBRIK_IMAGES_SETTINGS_H
#define IBRIK_IMAGES_SETTINGS_H

#include <stddef.h>

#define SETTINGS_MAX (1u << 20)

struct settings {
	char *records;
	size_t bytes;
};

/* Appends a record: 0, -EINVAL for a bad key, -E2BIG beyond SETTINGS_MAX, -ENOMEM. */
int settings_add(struct settings *settings, const char *key, const char *value);
/* Removes every record of that key. */
void settings_remove(struct settings *settings, const char *key);
/* Steps through the records: *at starts at 0; NULL after the last. *value points behind the "=".
 * A record without "=" or without its NUL is skipped. */
const char *settings_next(const struct settings *settings, size_t *at, const char **value, size_t *key_bytes);
/* The value of the last record of that key, or NULL. */
const char *settings_get(const struct settings *settings, const char *key);

#endif
