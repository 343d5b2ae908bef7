/*
 * tests/unit/fs_host.h - see fs_host.c.
 */
#ifndef TESTS_UNIT_FS_HOST_H
#define TESTS_UNIT_FS_HOST_H

#include "lib/types.h"

struct superblock;

#define BAD_ADDRESS 4096ul

extern const char *host_tmp_max; /* option tmp.max, for tmpfs_set_max() */
extern uint64_t host_free_pages;  /* for mm_pages_fit() */
void host_init(struct superblock *root); /* mounts it and makes the process */
void host_exit(void);

#endif
