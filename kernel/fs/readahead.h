/*
 * kernel/fs/readahead.h - see readahead.c.
 */
#ifndef IBRIK_FS_READAHEAD_H
#define IBRIK_FS_READAHEAD_H

#include "lib/types.h"

struct inode;
struct pagecache;

struct readahead { /* of a file; zero at first */
	uint64_t next;    /* page behind what was read last, ahead included */
	unsigned window;  /* pages */
};

void readahead_start(void);
/* The pages first .. first + n - 1 are about to be filled because somebody needs one of them. */
void readahead_miss(struct inode *inode, struct pagecache *cache, struct readahead *ra, uint64_t first,
		    unsigned n);

#endif
