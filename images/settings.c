/*
 * images/settings.c - writes and reads the records of a settings section.
 *
 * Interface: settings_add(), settings_remove(), settings_next(), settings_get(); a zeroed
 *            struct settings is empty, its memory is one block from malloc
 * Errors:    negative errno from settings_add(), which changes nothing when it fails
 */
#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int settings_add(struct settings *settings, const char *key, const char *value)
{
	size_t key_bytes = strlen(key), value_bytes = strlen(value);
	char *records, *at;

	if (!key_bytes || strchr(key, '='))
		return -EINVAL;
	if (key_bytes + value_bytes + 2 > SETTINGS_MAX - settings->bytes)
		return -E2BIG;
	records = realloc(settings->records, settings->bytes + key_bytes + value_bytes + 2);
	if (!records)
		return -ENOMEM;
	at = records + settings->bytes;
	memcpy(at, key, key_bytes);
	at[key_bytes] = '=';
	memcpy(at + key_bytes + 1, value, value_bytes + 1);
	settings->records = records;
	settings->bytes += key_bytes + value_bytes + 2;
	return 0;
}

const char *settings_next(const struct settings *settings, size_t *at, const char **value, size_t *key_bytes)
{
	while (*at < settings->bytes) {
		const char *record = settings->records + *at;
		const char *end = memchr(record, 0, settings->bytes - *at);
		const char *equals;

		if (!end)
			return NULL;
		*at += (size_t)(end - record) + 1;
		equals = strchr(record, '=');
		if (!equals)
			continue;
		*value = equals + 1;
		*key_bytes = (size_t)(equals - record);
		return record;
	}
	return NULL;
}

static int key_is(const char *record, size_t key_bytes, const char *key)
{
	return strlen(key) == key_bytes && memcmp(record, key, key_bytes) == 0;
}

const char *settings_get(const struct settings *settings, const char *key)
{
	const char *record, *value, *found = NULL;
	size_t at = 0, key_bytes;

	while ((record = settings_next(settings, &at, &value, &key_bytes)))
		if (key_is(record, key_bytes, key))
			found = value;
	return found;
}

void settings_remove(struct settings *settings, const char *key)
{
	const char *record, *value;
	size_t at = 0, kept = 0, key_bytes;

	while ((record = settings_next(settings, &at, &value, &key_bytes))) {
		size_t bytes = key_bytes + 1 + strlen(value) + 1;

		if (key_is(record, key_bytes, key))
			continue;
		memmove(settings->records + kept, record, bytes);
		kept += bytes;
	}
	settings->bytes = kept;
}
