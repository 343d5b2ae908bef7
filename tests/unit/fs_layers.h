/*
 * tests/unit/fs_layers.h - squashfs layers that a shell command makes, below an overlay.
 *
 * Interface: top_make() makes a scratch folder, `top`; shell() of shell.h runs a command; layer_load() opens an image in it.
 */
#ifndef TESTS_UNIT_FS_LAYERS_H
#define TESTS_UNIT_FS_LAYERS_H

#include "fs_host.h"
#include "fs_memory.h"
#include "lib/string.h"
#include "shim.h"
#include "shell.h"

static char top[64];
static struct memory layers[2];

static void top_make(const char *name)
{
	snprintf(top, sizeof(top), "%s/%s_XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", name);
	CHECK(mkdtemp(top));
}

static struct sqfs *layer_load(const char *name, int i)
{
	struct sqfs *fs = malloc(sizeof(*fs));
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "r");
	CHECK(f);
	fseek(f, 0, SEEK_END);
	layers[i].source.length = ftell(f);
	layers[i].source.read = memory_read;
	layers[i].source.name = name;
	layers[i].data = malloc(layers[i].source.length);
	rewind(f);
	CHECK(fread(layers[i].data, 1, layers[i].source.length, f) == layers[i].source.length);
	fclose(f);
	CHECK_EQ(sqfs_open(fs, &layers[i].source), 0);
	return fs;
}

#endif
