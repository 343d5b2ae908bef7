/*
 * tests/fuzz/images_zip_fuzz.c - damaged zip files: the reader may refuse them, and must not do anything else.
 */
// sources: images/zip.c
// flags: -lz
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "META-INF/MANIFEST.MF", "A.class", "a" };
	int fd = memfd_create("zip", 0);
	unsigned char *entry;
	struct zip zip;
	size_t bytes;
	char path[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (zip_open(&zip, path) == 0) {
		for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (zip_read(&zip, names[i], 1 << 20, &entry, &bytes) == 0)
				free(entry);
		zip_close(&zip);
	}
	close(fd);
	return 0;
}
