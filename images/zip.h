/*
 * images/zip.h - reads single entries of a zip file.
 */
#ifndef IBRIK_IMAGES_ZIP_H
#define IBRIK_IMAGES_ZIP_H

#include <stddef.h>
#include <stdint.h>

struct zip {
	int fd;
	uint64_t bytes;             /* of the file */
	unsigned char *directory;   /* the central directory */
	uint64_t directory_bytes;
	uint64_t entries;
	int64_t shift;              /* bytes before the archive (a launcher script in front) */
};

/* 0, -errno when the file cannot be read, -EINVAL when it is no zip file or a damaged one. */
int zip_open(struct zip *zip, const char *path);
void zip_close(struct zip *zip);
/* Reads the entry with that name into fresh memory with a NUL after it: 0, -ENOENT, -EINVAL
 * (damaged), -ENOTSUP (encrypted or an unknown method), -EFBIG (above `most`), -ENOMEM. */
int zip_read(struct zip *zip, const char *name, uint64_t most, unsigned char **data, size_t *bytes);

#endif
