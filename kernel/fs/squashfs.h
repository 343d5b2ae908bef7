/*
 * kernel/fs/squashfs.h - reading a squashfs image: the door of squashfs.c and squashfs_data.c.
 *
 * The reader knows nothing of inodes and dentries of the kernel: overlay.c shows its files to the
 * world. It is built for the host too, where it is fuzzed.
 *
 * Locking: every function may be called by several threads at once; none is called with a lock that the
 * reading of a block device could need.
 * Errors: -EIO with one log line for an image that contradicts itself, what source->read answers,
 * -ENOENT, -ENOMEM.
 */
#ifndef IBRIK_FS_SQUASHFS_H
#define IBRIK_FS_SQUASHFS_H

#include "lib/types.h"
#include "core/mutex.h"

/* Where the bytes come from: a section of a container, verified. */
struct sqfs_source {
	int (*read)(struct sqfs_source *s, uint64_t offset, void *buf, size_t len);
	/* The same into buffers of 4096 bytes; the first may start at `skip`. NULL: read() is used. */
	int (*read_pages)(struct sqfs_source *s, uint64_t offset, void *const *bufs, size_t len);
	uint64_t length;
	const char *name; /* for log lines */
};

struct sqfs_meta_block;
struct sqfs_frag_block;

#define SQFS_META_SLOTS 16
#define SQFS_WINDOW_BYTES 16384u

struct sqfs_window { /* bytes of the image that were read ahead */
	uint64_t start;
	uint32_t len;
	unsigned char *data;
};

struct sqfs {
	struct sqfs_source *source;
	uint32_t block_size, nfragments, nids, ninodes;
	uint16_t block_log, compression;
	uint64_t root_ref, bytes_used;
	uint64_t inode_table, directory_table;
	uint32_t *ids;                /* nids */
	uint64_t *fragment_blocks;    /* metadata blocks of the fragment table, 512 entries each */
	struct mutex meta_lock;
	struct sqfs_meta_block *meta[SQFS_META_SLOTS];
	uint64_t meta_tick;
	struct sqfs_window windows[2]; /* of the inode table, of what follows it; under meta_lock */
	struct mutex frag_lock;
	struct sqfs_frag_block *frags; /* most recent first */
	unsigned nfrags, max_frags;
};

/* An inode, decoded. Small: it is kept for every file in use. */
struct sqfs_inode {
	uint64_t ref;            /* where it is */
	uint64_t size;           /* of a file, a listing or a link's target */
	uint64_t start;          /* file: first data block; directory: metadata block of the listing */
	uint32_t number, nlink, uid, gid, mtime, rdev;
	uint32_t fragment, offset; /* file: tail in a fragment; directory: offset in the block */
	uint32_t mode;           /* S_IF* and permissions */
	uint32_t meta_offset;    /* of what follows the inode: block sizes, target, index */
	uint64_t meta_block;
	uint16_t nindex;
};

/* The blocks of a regular file, made at its first read. */
struct sqfs_blocks {
	unsigned count;
	uint64_t start[]; /* count + 1 positions; bit 63: stored */
};

int sqfs_open(struct sqfs *fs, struct sqfs_source *source);
void sqfs_close(struct sqfs *fs);
int sqfs_inode_read(struct sqfs *fs, uint64_t ref, struct sqfs_inode *out);
/* The inode reference of a name, or -ENOENT. */
int sqfs_lookup(struct sqfs *fs, const struct sqfs_inode *dir, const char *name, size_t len,
		uint64_t *ref);
/* Entries from number *pos on; emit answers false to stop before that entry. *pos is the next. */
int sqfs_readdir(struct sqfs *fs, const struct sqfs_inode *dir, uint64_t *pos,
		 bool (*emit)(void *arg, const char *name, size_t len, uint64_t ref, uint32_t number,
			      unsigned type, uint64_t next),
		 void *arg);
ssize_t sqfs_readlink(struct sqfs *fs, const struct sqfs_inode *link, char *buf, size_t size);
struct sqfs_blocks *sqfs_blocks_load(struct sqfs *fs, const struct sqfs_inode *file); /* encoded error */
/* Reads nbufs pages of 4096 bytes from `pos` (a multiple of 4096); zeros behind the end. */
int sqfs_read(struct sqfs *fs, const struct sqfs_inode *file, const struct sqfs_blocks *blocks,
	      uint64_t pos, void *const *bufs, unsigned nbufs);
/* Is the data at pos stored as it is, so that any part of it can be read cheaply? */
bool sqfs_is_stored(const struct sqfs *fs, const struct sqfs_blocks *blocks, uint64_t pos);

/* Between the two files. */
int sqfs_bad(struct sqfs *fs, const char *what, uint64_t where); /* logs, answers -EIO */
int sqfs_meta_read(struct sqfs *fs, uint64_t *block, uint32_t *offset, void *buf, size_t len);
int sqfs_inflate_block(struct sqfs *fs, uint64_t start, uint32_t csize, void *const *bufs,
		       uint32_t skip, uint32_t want, uint32_t *produced);
int sqfs_inflate_memory(struct sqfs *fs, uint64_t where, const void *from, uint32_t csize, void *to,
			uint32_t size, uint32_t *produced);
void sqfs_frags_free(struct sqfs *fs);

#endif
