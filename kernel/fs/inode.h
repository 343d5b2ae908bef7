/*
 * kernel/fs/inode.h - superblocks, inodes, dentries and path lookup: the inside of the file systems.
 *
 * Theory:    A superblock is one mounted file system; there is one mount for each (no binds), so a
 *            dentry alone names a place in the tree. The dentry cache holds names that were looked up,
 *            also those that do not exist; unused entries stay on a bounded LRU list. An inode lives as
 *            long as somebody refers to it: dentries, open files, directory tables.
 * Locking:   sb->lock is held for every inode operation that reads or changes a directory or an
 *            attribute (stated below). dcache_lock (dentry.c) guards names, parents and the hash; it is
 *            taken inside sb->lock and nothing is taken inside it. So is inotify's. inode->write_lock serialises writers
 *            of one file's data; user copies happen under it, so the fault path never takes it.
 *            Two superblocks are never locked at once.
 * Errors:    -errno; pointers are encoded errors.
 */
#ifndef IBRIK_FS_INODE_H
#define IBRIK_FS_INODE_H

#include "fs/vfs.h"
#include <linux/stat.h>
#include <linux/fcntl.h>

#define NAME_MAX 255
#define PATH_MAX 4096
#define SYMLINKS_MAX 40

enum superblock_flags {
	SB_RDONLY = 1,   /* every change answers -EROFS */
	SB_NOCACHE = 2,  /* names are looked up every time (procfs) */
};

struct kstatfs {
	uint64_t type, bsize, blocks, bfree, files, ffree, namelen, flags;
};

struct superblock {
	const char *type;    /* as in /proc/filesystems */
	const char *source;  /* as in /proc/mounts */
	const char *options; /* behind "rw" or "ro" in /proc/mounts, e.g. ",lowerdir=..." or "" */
	uint64_t magic;
	unsigned dev;        /* minor number of st_dev; the major is 0 */
	unsigned flags;
	struct mutex lock;
	struct dentry *root;
	_Atomic uint64_t next_ino;
	void (*statfs)(struct superblock *sb, struct kstatfs *out); /* counts only; NULL: zeros */
	void *priv;
	struct list link;    /* superblocks, in order of mounting */
};

struct inode {
	_Atomic uint32_t refs;
	_Atomic uint32_t mode;
	uint32_t uid, gid, nlink;
	_Atomic uint32_t opens;       /* files that were opened by a name of it */
	uint64_t ino, rdev;
	_Atomic int64_t atime_ns, mtime_ns, ctime_ns; /* since 1970, negative before: file_time_make() */
	int64_t btime_ns;
	struct superblock *sb;        /* NULL never */
	const struct inode_ops *ops;
	const struct file_ops *fops;  /* of files opened on it */
	struct mutex write_lock;
	struct list watches;          /* inotify.c */
	struct list locks;            /* linux/flock.c */
	_Atomic uint32_t seals;       /* F_SEAL_*, memfd only */
	/* Regular files: what is read and mapped, if that is known. Inodes of files
	 * with a plain position (vfs.h) are freed by RCU, and so is the cache. */
	struct pagecache *_Atomic data;
	void *priv;
};

/* ATTR_OWNER: the owner is set, if only to what it is; inode_setattr() makes ATTR_MODE of that where a program loses the right to act for another. */
enum attr_valid { ATTR_MODE = 1, ATTR_UID = 2, ATTR_GID = 4, ATTR_ATIME = 8, ATTR_MTIME = 16, ATTR_OWNER = 32 };
struct inode_attr {
	unsigned valid;
	uint32_t mode, uid, gid;
	int64_t atime_ns, mtime_ns;
};

/* NULL where it makes no sense for the kind of inode: -EPERM or what Linux answers. */
struct inode_ops {
	/* Directories, with sb->lock held. `name` is not terminated where a length is given. */
	struct inode *(*lookup)(struct inode *dir, const char *name, size_t len); /* referenced */
	/* A new file, directory, device or symbolic link (target not NULL) with that name; referenced. */
	struct inode *(*create)(struct inode *dir, const char *name, size_t len, uint32_t mode,
				uint64_t rdev, const char *target);
	int (*link)(struct inode *dir, const char *name, size_t len, struct inode *inode);
	int (*unlink)(struct inode *dir, const char *name, size_t len, struct inode *inode);
	int (*rmdir)(struct inode *dir, const char *name, size_t len, struct inode *inode);
	/* `to` is what the new name is now or NULL; it is replaced, or exchanged. */
	int (*rename)(struct inode *from_dir, const char *from, size_t from_len, struct inode *inode,
		      struct inode *to_dir, const char *name, size_t len, struct inode *to,
		      bool exchange);
	/* Any inode, sb->lock held. */
	int (*setattr)(struct inode *inode, const struct inode_attr *attr);
	/* Before the first change of the data (copy-up), of which only the first `keep` bytes are wanted. sb->lock held. */
	int (*prepare_write)(struct inode *inode, uint64_t keep);
	/* Without locks. */
	void (*getattr)(struct inode *inode, struct kstat *st);  /* size, blocks; the rest is filled */
	int (*truncate)(struct inode *inode, uint64_t size);     /* write_lock held */
	struct pagecache *(*cache)(struct inode *inode);         /* regular files; encoded error */
	ssize_t (*readlink)(struct inode *inode, char *buf, size_t size); /* unterminated; length */
	/* Magic links of /proc: where the link leads, referenced, without its text. NULL elsewhere. */
	struct dentry *(*follow)(struct inode *inode);
	int (*open)(struct inode *inode, struct file *f);        /* f->ops may be changed */
	void (*evict)(struct inode *inode);                      /* last reference: frees it */
};

struct dentry {
	_Atomic uint32_t refs;
	uint32_t hash;
	struct inode *_Atomic inode;  /* NULL: the name does not exist */
	struct dentry *parent;        /* referenced; a root is its own parent */
	struct superblock *sb;
	struct dentry *mounted;       /* root of what is mounted here */
	struct dentry *covers;        /* of a mounted root: the directory below it */
	struct dentry *hash_next;
	struct list lru;
	char *name;                   /* inline_name or allocated */
	uint32_t name_len;
	bool hashed, deleted;
	char inline_name[28];
};

/* --- inodes (vfs.c) ---------------------------------------------------------------------------- */
void inode_setup(struct inode *inode, struct superblock *sb, const struct inode_ops *ops,
		 const struct file_ops *fops, uint32_t mode); /* one reference, times now */
static inline void inode_get(struct inode *inode)
{
	atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed);
}
void inode_put(struct inode *inode);
static inline uint32_t inode_type(const struct inode *inode)
{
	return atomic_load_explicit(&inode->mode, memory_order_relaxed) & S_IFMT;
}
static inline bool inode_is_dir(const struct inode *inode) { return S_ISDIR(inode_type(inode)); }
void inode_stat(struct inode *inode, struct kstat *st);
void inode_touch(struct inode *inode, bool data); /* ctime, and mtime if data */
int inode_setattr(struct inode *inode, const struct inode_attr *attr); /* takes sb->lock */
int inode_prepare_write(struct inode *inode, uint64_t keep);          /* takes sb->lock */
int inode_truncate(struct inode *inode, uint64_t size);               /* prepares, too */

/* A named-nowhere inode (file.c); its readlink gives the text of /proc/self/fd links. */
void anon_inode_setup(struct inode *inode, const struct inode_ops *ops, const struct file_ops *fops,
		      uint32_t mode);
int anon_setattr(struct inode *inode, const struct inode_attr *attr); /* keeps what it is told */

/* --- dentries (dentry.c) ------------------------------------------------------------------------ */
static inline void dentry_get(struct dentry *d)
{
	atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
}
void dentry_put(struct dentry *d); /* NULL allowed */
static inline struct inode *dentry_inode(struct dentry *d)
{
	return atomic_load_explicit(&d->inode, memory_order_acquire);
}
struct dentry *dentry_new_root(struct superblock *sb, struct inode *root); /* takes the inode's reference */
/* The child with that name, positive or negative, referenced. Looks it up if it is not cached; the
 * second form is for callers that hold sb->lock. Mounts are not crossed. */
struct dentry *dentry_lookup(struct dentry *dir, const char *name, size_t len);
struct dentry *dentry_lookup_locked(struct dentry *dir, const char *name, size_t len);
/* With sb->lock held: what follows a change of the directory. */
void dentry_instantiate(struct dentry *d, struct inode *inode); /* takes the reference */
void dentry_unhash(struct dentry *d);                           /* the name is gone */
/* A copy of a name for the next two, which take it over and cannot fail; NULL: no memory. kfree() one that is not needed. */
char *dentry_name_copy(const char *name);
void dentry_move(struct dentry *d, struct dentry *parent, char *name);
void dentry_exchange(struct dentry *a, struct dentry *b, char *name_a, char *name_b); /* a is called name_a then, b name_b */
struct dentry *dentry_parent_get(struct dentry *d);             /* across mounts, referenced */
bool dentry_is_below(struct dentry *d, struct dentry *ancestor);
void dentry_name(struct dentry *d, char name[NAME_MAX + 1]); /* the last component */
/* Absolute path; " (deleted)" is appended when it is. Length or -ENAMETOOLONG. */
ssize_t dentry_path(struct dentry *d, char *buf, size_t size);
void dentry_shrink(unsigned keep);

/* --- mounts (vfs.c) ------------------------------------------------------------------------------ */
extern struct list superblocks;
struct superblock *superblock_new(const char *type, const char *source, uint64_t magic, unsigned flags);
extern struct dentry *root_dentry;
/* Mounts sb (whose root is set) over the directory `path`, which is made if the tree is writable. */
int mount_at(struct superblock *sb, const char *path);
struct superblock *superblock_by_dev(unsigned dev);

/* --- paths (namei.c) ------------------------------------------------------------------------------ */
enum lookup_flags {
	LOOKUP_FOLLOW = 1,    /* a symbolic link at the end is followed */
	LOOKUP_DIRECTORY = 2, /* must be a directory */
	LOOKUP_EMPTY = 4,     /* "" names the base itself */
};
/* The existing dentry at `path`, seen from base (NULL: working directory). Referenced. */
struct dentry *path_lookup(struct dentry *base, const char *path, unsigned flags);
/* The directory that holds the last component, and that component (copied into `last`, at most
 * NAME_MAX bytes and NUL). *trailing: slashes followed. "." and ".." answer -EEXIST, "/" too. */
struct dentry *path_parent(struct dentry *base, const char *path, char *last, bool *trailing);
/* Base for the *at() calls. NULL in *out for AT_FDCWD. *out is referenced. */
int path_base(int dirfd, const char *path, struct dentry **out);
/* open(2) without the descriptor. */
struct file *path_open(struct dentry *base, const char *path, int flags, unsigned mode);
struct file *dentry_open(struct dentry *d, int flags);
int path_create(struct dentry *base, const char *path, uint32_t mode, uint64_t rdev, const char *target);
int path_link(struct dentry *from, struct dentry *base, const char *path);
int path_remove(struct dentry *base, const char *path, bool dir);
int path_rename(struct dentry *from_base, const char *from, struct dentry *to_base, const char *to,
		unsigned flags);

/* linux/path.c */
struct path_arg { /* a path copied from the application */
	const char *name;
	char *allocated;
	char buf[232];
};
/* 0, -EFAULT, -ENAMETOOLONG or -ENOMEM; path_arg_put() follows when it was 0. */
int path_arg_get(struct path_arg *p, uaddr_t addr);
void path_arg_put(struct path_arg *p);

/* --- working directory and umask (vfs.c) ----------------------------------------------------------- */
struct fs_context {
	_Atomic uint32_t refs;
	struct mutex lock;
	struct dentry *cwd;
	_Atomic uint32_t umask;
};
struct dentry *cwd_get(void); /* of the current process, referenced; the root for kernel threads */
void cwd_set(struct dentry *d);
struct fs_context *fs_context_copy(struct fs_context *c); /* or NULL; the lead's clone uses it */

/* --- the kinds ------------------------------------------------------------------------------------- */
struct section;
struct pagecache_ops;
/* overlay.c: tmpfs, or the merged layers below a writable or read-only top. */
struct overlay_layer;
struct superblock *overlay_new(const char *type, const char *source, unsigned flags);
struct sqfs;
int overlay_add_layer(struct superblock *sb, struct sqfs *fs); /* lowest last */
int overlay_finish(struct superblock *sb);                      /* makes the root */
/* Counts what lies in memory: pages of files, and files and further names. Negative: gives it back. 0 or -ENOSPC. */
int tmpfs_charge(struct pagecache *cache, int64_t npages);
int tmpfs_charge_inode(int64_t n);
struct tmpfs_usage { /* of all file systems in memory together; a cap may have been lowered below what is used */
	uint64_t max_pages, used_pages, max_inodes, used_inodes;
};
void tmpfs_usage(struct tmpfs_usage *out);
void tmpfs_set_max(void);
/* memfd.c shares the file operations of tmpfs. */
extern const struct file_ops regular_file_ops;
/* tmpfs.c: pages without a backing store, with and without the cap of tmpfs. */
extern const struct pagecache_ops tmpfs_pages, memfd_pages;

struct superblock *procfs_new(void);
struct superblock *sysfs_new(void);
int devfs_populate(void);
struct inode *console_inode(int which); /* console.c; referenced, encoded error */
bool console_is_tty(void);
/* devfs.c: opens a character device. */
int chrdev_open(struct inode *inode, struct file *f);

/* inotify.c: cheap when nobody watches. dir may be NULL (derived from the dentry). */
void notify_change(struct dentry *d, uint32_t mask);
void notify_child(struct inode *dir, const char *name, uint32_t mask, uint32_t cookie);
void notify_inode(struct inode *inode, uint32_t mask);
void notify_end(struct inode *inode); /* after a name or an open file went: was it the last thing that keeps the file? */
void notify_inode_gone(struct inode *inode);
extern _Atomic uint32_t notify_watches;

/* linux/flock.c */
void locks_release_file(struct file *f);            /* last reference: flock and OFD locks */
void locks_release_posix(struct file *f, int pid);  /* any close: POSIX locks of the process */

#endif
