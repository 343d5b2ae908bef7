/*
 * kernel/fs/container.h - the containers of the image on the machine's disks (see images/format.h).
 *
 * Interface: containers_find() once at boot; then sections by sections_each(). A section's `source` reads
 *            bytes that were checked against the section's hashes.
 * Locking:   the list is complete after boot. Reads may run in parallel.
 * Errors:    a container that is damaged ends the machine with one line (machine_fail). A block that
 *            does not have its hash, or a disk that does not answer, is -EIO and one line of the log.
 */
#ifndef IBRIK_FS_CONTAINER_H
#define IBRIK_FS_CONTAINER_H

#include "fs/squashfs.h"
#include "images/format.h"

struct block_device;

/* What is wrong with a header page read from a disk of that size: a text, or NULL if it is good. */
const char *container_header_check(const struct ibrik_header *h, uint64_t disk_bytes);
static inline bool container_has_magic(const struct ibrik_header *h)
{
	return !__builtin_memcmp(h->magic, IBRIK_MAGIC, 8);
}

struct section {
	struct sqfs_source source;   /* verified reads */
	struct ibrik_section info;
	unsigned priority;
	struct block_device *dev;
	struct hash_table *hashes;
	bool disk_error;             /* a read of the disk has failed */
	bool mounted;                /* until then errors end the machine, and section_fail() is the one line about them */
	char label[64];              /* "vda, section jdk-17": for log lines */
	struct section *next;        /* in order of priority, lowest first */
};

void containers_find(void);
struct section *sections_first(void);
/* Reads and checks the blocks of a part; -EIO if one is damaged or cannot be read. */
int section_verify(struct section *s, uint64_t offset, uint64_t len);
/* Ends the machine: a section that is needed to come up answered `error`. */
_Noreturn void section_fail(struct section *s, int error);

#endif
