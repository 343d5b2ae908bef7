/*
 * tests/fuzz/settings_fuzz.c - the settings parser on any bytes, in up to three sections.
 */
// sources: tests/unit/shim/shim.c kernel/fs/settings.c
// flags: -Itests/unit/shim -ffreestanding
#include "shim.h"
#include "fs/settings.h"
#include "fs/vfs.h"
#include "lib/string.h"

static size_t total;

static void add(const char *value, void *arg) { total += strlen(value); }
static void add2(const char *key, const char *value, void *arg) { total += strlen(key) + strlen(value); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t where, third = size / 3;

	shim_quiet = 1;
	settings_add((const char *)data, third, &where);
	settings_add((const char *)data + third, third, &where);
	settings_add((const char *)data, size, &where);
	setting_each("env", add, NULL);
	setting_each("arg", add, NULL);
	settings_each(add2, NULL);
	if (setting_get("exec"))
		total++;
	settings_clear();
	return 0;
}
