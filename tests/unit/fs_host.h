/*
 * tests/unit/fs_host.h - see fs_host.c.
 */
#ifndef TESTS_UNIT_FS_HOST_H
#define TESTS_UNIT_FS_HOST_H

struct superblock;

#define BAD_ADDRESS 4096ul

extern const char *host_tmp_max; /* option tmp.max, for tmpfs_set_max() */
void host_init(struct superblock *root); /* mounts it and makes the process */
void host_exit(void);

#endif
