/*
 * kernel/fs/overlay.h - the inside of overlay.c, overlay_dir.c and overlay_file.c.
 *
 * Theory:    One kind of file system serves as tmpfs, as the root (layers of squashfs below a writable
 *            top) and as a read-only volume. A node is an inode of it. A directory has a table of what is
 *            new or changed in it, and the directories of the layers below, top first. A node that is
 *            only what a layer says lives while a dentry uses it; the first change pins it: it enters the
 *            table of its directory, which is pinned before. A name that a layer has but that was removed
 *            stands in the table as a whiteout (no node). A file's data come from its layer until the
 *            first open for writing, or truncation, copies what stays of them up into pages of memory.
 * Locking:   sb->lock guards tables, pinning and attributes. The page cache pointer of a file changes
 *            once, in prepare_write under sb->lock; readers load it atomically, and the old cache lives as
 *            long as the node.
 */
#ifndef IBRIK_FS_OVERLAY_H
#define IBRIK_FS_OVERLAY_H

#include "core/rcu.h"
#include "fs/inode.h"
#include "fs/readahead.h"
#include "fs/squashfs.h"
#include "lib/string.h"

#define LAYERS_MAX 15

struct lower { /* a place in a layer */
	struct sqfs *fs;
	unsigned layer;
	struct sqfs_inode info;
};

struct entry { /* of a directory's table */
	struct entry *hash_next;
	struct list link;     /* in order of cookie */
	struct node *node;    /* referenced; NULL: whiteout */
	uint64_t cookie;
	bool hides_lower;     /* a layer below has the name too */
	bool from_lower;      /* the layer's own file, pinned: listed at the layer's place */
	uint8_t len;
	char name[];
};

struct table {
	struct entry **buckets;
	unsigned nbuckets, count;
	uint64_t next_cookie;
	struct list entries;
};

struct lower_cache { /* data of a layer's file */
	struct pagecache cache;
	struct lower *lower;
	struct sqfs_blocks *blocks;
	struct readahead readahead;
};

struct node {
	struct inode inode;
	struct node *parent;    /* referenced while the node is not pinned */
	char *name;             /* in parent, while the node is not pinned */
	bool pinned;
	unsigned nlowers;
	struct lower *lowers;   /* [0] is the top one */
	struct table *table;    /* directories, made at the first change */
	char *target;           /* symbolic links that are not from a layer */
	unsigned charged;       /* tmpfs_charge_inode(): the node itself if it is not from a layer, and further names */
	struct lower_cache *lower_data;
	struct pagecache *upper_data;
	struct rcu_head rcu;
};

struct overlay { /* sb->priv */
	struct sqfs *layers[LAYERS_MAX]; /* top first */
	unsigned nlayers;
};

static inline struct node *node_of(struct inode *inode)
{
	return container_of(inode, struct node, inode);
}

/* overlay.c */
extern const struct inode_ops overlay_dir_ops, overlay_file_ops, overlay_link_ops, overlay_dev_ops;
struct node *node_new(struct superblock *sb, uint32_t mode); /* or NULL */
struct node *node_from_lower(struct superblock *sb, struct node *parent, const char *name, size_t len,
			     const struct lower *lowers, unsigned n);
int node_pin(struct node *n);
void overlay_getattr(struct inode *inode, struct kstat *st);
int overlay_setattr(struct inode *inode, const struct inode_attr *attr);
void overlay_evict(struct inode *inode);
ssize_t overlay_readlink(struct inode *inode, char *buf, size_t size);

/* overlay_dir.c */
struct entry *table_find(struct node *dir, const char *name, size_t len);
struct entry *table_add(struct node *dir, const char *name, size_t len, struct node *node);
void table_free(struct node *dir);
extern const struct file_ops overlay_dir_file_ops;

/* overlay_file.c */
int overlay_prepare_write(struct inode *inode, uint64_t keep);
int overlay_truncate(struct inode *inode, uint64_t size);
void node_free(struct node *n);

/* Pages that the target of a symbolic link counts as; a short one is part of its node. */
static inline int64_t target_pages(const char *target) { return strlen(target) > 128; }

#endif
