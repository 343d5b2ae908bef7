/*
 * tests/unit/fs_memory.h - a squashfs image in memory, for the tests and the fuzzer of its reader.
 */
#ifndef TESTS_UNIT_FS_MEMORY_H
#define TESTS_UNIT_FS_MEMORY_H

#include "fs/squashfs.h"

struct memory {
	struct sqfs_source source;
	char *data;
};

static int memory_read(struct sqfs_source *s, uint64_t offset, void *buf, size_t len)
{
	struct memory *m = (struct memory *)s;

	if (offset > s->length || len > s->length - offset)
		return -EIO;
	memcpy(buf, m->data + offset, len);
	return 0;
}

#endif
