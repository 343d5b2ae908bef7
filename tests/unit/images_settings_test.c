// sources: images/settings.c
/* The settings writer and reader: records, limits, and sections no writer would make. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/settings.h"

static int failed;

static void check(const char *name, int good)
{
	printf(good ? "ok %s\n" : "not ok %s\n", name);
	failed |= !good;
}

static unsigned count(const struct settings *settings)
{
	const char *value;
	size_t at = 0, key_bytes;
	unsigned records = 0;

	while (settings_next(settings, &at, &value, &key_bytes))
		records++;
	return records;
}

int main(void)
{
	struct settings settings = { 0 };
	char *large = malloc(SETTINGS_MAX + 1);

	check("empty", count(&settings) == 0 && !settings_get(&settings, "arg"));
	check("add", settings_add(&settings, "arg", "one") == 0 && settings_add(&settings, "env", "A=b=c") == 0 &&
	             settings_add(&settings, "arg", "two\nlines") == 0 && settings_add(&settings, "arg", "") == 0);
	check("layout", settings.bytes == 8 + 10 + 14 + 5 && memcmp(settings.records, "arg=one\0env=A=b=c\0arg=two\nlines\0arg=", 37) == 0);
	check("count", count(&settings) == 4);
	check("last-wins", strcmp(settings_get(&settings, "arg"), "") == 0);
	check("equals-in-value", strcmp(settings_get(&settings, "env"), "A=b=c") == 0);
	check("prefix-is-no-key", !settings_get(&settings, "ar") && !settings_get(&settings, "args"));
	settings_remove(&settings, "arg");
	check("remove", count(&settings) == 1 && settings.bytes == 10 && strcmp(settings_get(&settings, "env"), "A=b=c") == 0);
	check("bad-key", settings_add(&settings, "", "x") == -EINVAL && settings_add(&settings, "a=b", "x") == -EINVAL);

	memset(large, 'x', SETTINGS_MAX);
	large[SETTINGS_MAX] = 0;
	check("too-large", settings_add(&settings, "arg", large) == -E2BIG && settings.bytes == 10);
	large[SETTINGS_MAX - 10 - 5] = 0;
	check("just-fits", settings_add(&settings, "arg", large) == 0 && settings.bytes == SETTINGS_MAX);
	check("full", settings_add(&settings, "a", "") == -E2BIG);
	free(settings.records);
	free(large);

	/* Copies on the heap, so that a read beyond them is seen. */
	struct settings broken = { .records = malloc(7), .bytes = 7 };
	memcpy(broken.records, "a=1\0b=2", 7);
	check("last-without-end", count(&broken) == 1);
	memcpy(broken.records, "junk\0=\0", 7);
	check("no-equals", count(&broken) == 1);
	memcpy(broken.records, "\0\0\0\0\0\0\0", 7);
	check("only-ends", count(&broken) == 0);
	free(broken.records);
	return failed;
}
