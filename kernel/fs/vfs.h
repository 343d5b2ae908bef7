/*
 * kernel/fs/vfs.h - files, inodes and paths: the door of the file systems.
 *
 * A file system gives inodes with operations; a struct file is an open one. Paths are resolved by
 * vfs.c from the process's root and working directory through a dentry cache. The root is an overlay:
 * writable tmpfs above the merged squashfs layers of the image.
 *
 * Locking: one mutex for each superblock guards directory content and attributes (fs/inode.h). Data goes
 * through the page cache, which has its own lock. No user copy happens under either.
 * Functions that return pointers answer encoded errors (IS_ERR).
 */
#ifndef IBRIK_FS_VFS_H
#define IBRIK_FS_VFS_H

#include "lib/types.h"
#include "core/mutex.h"
#include "core/waitq.h"
#include "core/rcu.h"
#include "mm/pagecache.h"
#include <linux/fcntl.h>

struct inode;
struct dentry;
struct file;
struct superblock;
struct poll_table;
struct iovec;

/* Kernel form of struct stat/statx. Times in ns since 1970, negative before. */
struct kstat {
	uint64_t dev, ino, nlink, rdev, size, blocks, blksize;
	uint32_t mode, uid, gid;
	int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};

/* The whole seconds that a time of a file can have: from 1677 to 2262. */
#define FILE_TIME_MAX (INT64_MAX / 1000000000)
#define FILE_TIME_MIN (-FILE_TIME_MAX)

/* 0 <= nsec < 1000000000. What lies outside becomes the first or the last second, as on Linux's file systems that have such limits. */
static inline int64_t file_time_make(int64_t sec, uint32_t nsec)
{
	if (sec <= FILE_TIME_MIN || sec >= FILE_TIME_MAX)
		return (sec < 0 ? FILE_TIME_MIN : FILE_TIME_MAX) * 1000000000;
	return sec * 1000000000 + nsec;
}

/* Nanoseconds count forwards from the second, also before 1970. */
static inline int64_t file_time_split(int64_t ns, uint32_t *nsec)
{
	int64_t sec = ns / 1000000000, rest = ns - sec * 1000000000;

	*nsec = (uint32_t)(rest < 0 ? rest + 1000000000 : rest);
	return sec - (rest < 0);
}

/* Calls emit for entries from *pos on; emit answers false when the buffer is full. `cookie` is the
 * position to resume behind the entry. */
typedef bool dir_emit_fn(void *arg, const char *name, size_t len, uint64_t ino, unsigned type,
			 uint64_t cookie);

struct file_ops {
	/* Positional: pos is the offset; stream files ignore it. Bytes, 0 at the end, or -errno. They may
	 * sleep interruptibly (-EINTR) and honour O_NONBLOCK in file->flags (-EAGAIN). */
	ssize_t (*read)(struct file *f, uaddr_t buf, size_t len, uint64_t pos);
	ssize_t (*write)(struct file *f, uaddr_t buf, size_t len, uint64_t pos);
	/* Optional, streams only: readv and writev in one go, where borders matter (sockets, pipes). The
	 * vector is checked; total is the sum of its lengths. */
	ssize_t (*vector)(struct file *f, bool write, const struct iovec *iov, unsigned n, size_t total);
	int64_t (*lseek)(struct file *f, int64_t off, int whence); /* NULL: -ESPIPE */
	/* SEEK_SET and SEEK_CUR to anywhere from 0 on only set the position: lseek is not asked for them. */
	bool plain_position;
	/* There is a position, and it is always 0. */
	bool no_position;
	/* write does nothing but answer how much it was given. */
	bool swallows;
	/* Ready events now (EPOLLIN ...); if e is not NULL also queues it (waitq.h) until poll_remove. A
	 * file may have several queues: it must call poll_attach for each. */
	unsigned (*poll)(struct file *f, struct poll_table *pt);
	long (*ioctl)(struct file *f, unsigned cmd, uaddr_t arg);
	int (*readdir)(struct file *f, dir_emit_fn *emit, void *arg);
	/* The page cache a mapping shares, or an encoded error (-ENOMEM, -EIO). May sleep. NULL: cannot be mapped (-ENODEV). */
	struct pagecache *(*map)(struct file *f);
	int (*fsync)(struct file *f);
	int (*allocate)(struct file *f, int mode, uint64_t off, uint64_t len);
	int (*flush)(struct file *f); /* each close(2) */
	void (*release)(struct file *f); /* last reference */
	int (*show_fdinfo)(struct file *f, char *buf, size_t size);
	/* Optional, files with a position only: writev and pwritev as one write, beside which no other comes. The vector is checked; what was
	 * written before a piece that failed counts. */
	ssize_t (*write_vector)(struct file *f, const struct iovec *iov, unsigned n, uint64_t pos);
};

struct file {
	_Atomic uint32_t refs;
	_Atomic uint32_t flags;    /* O_* status and access flags */
	const struct file_ops *ops;
	struct inode *inode;       /* NULL never: anonymous files have an anonymous inode */
	struct dentry *dentry;     /* NULL for anonymous files */
	struct mutex pos_lock;
	_Atomic uint64_t pos;      /* file_pos_move() */
	void *priv;                /* of the file's kind */
	struct list epolls;        /* epoll items that watch this file (linux/epoll.c) */
	void *locks;               /* flock/fcntl state (linux/flock.c) */
	int owner_pid, owner_sig;
	union {
		struct rcu_head rcu;       /* fd_get() reads tables without a lock */
		struct file *release_next; /* before that: waits for its release, see file_put() */
	};
};

/*
 * Moves the position to where a transfer that began at `from` ended; pos_lock is held. lseek() does not wait for that lock where the
 * position is plain: if it has set another one meanwhile, the transfer counts as the earlier of the two, and the answer is false.
 */
static inline bool file_pos_move(struct file *f, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(&f->pos, &from, to, memory_order_relaxed, memory_order_relaxed);
}

/* May linux/short.c read it, which takes no lock? Only where nobody writes through the same position. */
static inline __attribute__((always_inline)) bool file_reads_short(const struct file *f)
{
	return f->ops->plain_position && (atomic_load_explicit(&f->flags, memory_order_relaxed) & (O_ACCMODE | O_PATH)) == O_RDONLY;
}

/* Bit 0: reads, bit 1: writes. A file that was opened with both bits of O_ACCMODE does neither: it is for ioctl(), fstat() and the like. */
static inline unsigned access_of_flags(uint32_t flags) { return (flags + 1) & 3; }
static inline bool file_readable(const struct file *f) { return access_of_flags(f->flags) & 1; }
static inline bool file_writable(const struct file *f) { return access_of_flags(f->flags) & 2; }

/* A new file with one reference. priv is the caller's; release() frees it. */
struct file *file_new(const struct file_ops *ops, struct inode *inode, unsigned flags, void *priv);
/* A file on a fresh anonymous inode whose /proc/self/fd link reads `name`, e.g. "anon_inode:[eventfd]",
 * with S_IF* and permission bits as `mode`. Or an encoded error. */
struct file *file_new_anon(const char *name, uint32_t mode, const struct file_ops *ops, unsigned flags,
			   void *priv);
void file_get(struct file *f);
void file_put(struct file *f);
/* linux/epoll.c: takes the file out of every epoll set. Called before release() if epolls is not empty. */
void epoll_file_release(struct file *f);
/* A new file on standard input, output or error (0, 1, 2) of the machine, or an encoded error. */
struct file *console_file(int which);
/* Called once, when standard input is first asked for; may sleep. Set before the first program runs. */
extern void (*console_input_wanted)(void);

/* Poll registration. pt may be NULL (only the answer is wanted). poll_attach is called with the
 * mutex that guards q held. */
struct poll_table {
	void (*attach)(struct poll_table *pt, struct waitq *q, struct mutex *lock);
};
static inline void poll_attach(struct poll_table *pt, struct waitq *q, struct mutex *lock)
{
	if (pt)
		pt->attach(pt, q, lock);
}

/* --- descriptor tables (one per process, may be shared) -------------------------------------- */
struct fd_table;
struct fd_table *fd_table_new(void);
void fd_table_get(struct fd_table *t);
void fd_table_put(struct fd_table *t); /* the last put closes everything */
struct file *fd_get(int fd);           /* of the current process; referenced, or NULL (EBADF) */
struct file *fd_get_io(int fd);        /* the same, and NULL for one opened with O_PATH, too: for what uses more than its name */
/*
 * The same without a reference, inside an RCU section of the caller: the struct file stays until the section ends. What it
 * points to (inode, dentry, priv) may go when another thread closes it. file_try_get() makes a reference of it.
 */
struct file *fd_peek(int fd);
static inline bool file_try_get(struct file *f)
{
	uint32_t refs = atomic_load_explicit(&f->refs, memory_order_relaxed);

	do {
		if (unlikely(!refs))
			return false;
	} while (unlikely(!atomic_compare_exchange_weak_explicit(&f->refs, &refs, refs + 1, memory_order_acquire,
								 memory_order_relaxed)));
	return true;
}
/* Lowest free descriptor >= min, or -EMFILE. Takes over the caller's reference of f on success. */
int fd_install(struct file *f, int min, bool cloexec);
/* A descriptor for a file that there is not yet, for calls that must not begin what they could not hand out. */
int fd_reserve(bool cloexec);
void fd_fill(int fd, struct file *f); /* takes over the reference */
void fd_unreserve(int fd);
int fd_close(int fd);
int fd_dup2(int old, int new, bool cloexec); /* new == old is the caller's case */
int fd_cloexec(int fd, int set);       /* set < 0 asks; 0/1 sets */
void fd_close_on_exec(struct fd_table *t);
/* The same for a table that is not the current process's: process_spawn, /proc, posix_spawn. */
struct file *fd_table_file(struct fd_table *t, int fd);
int fd_table_install(struct fd_table *t, struct file *f, int min, bool cloexec);
struct fd_table *fd_table_copy(struct fd_table *t); /* or NULL */
/* All open descriptors are below it; a multiple of 64, never 0. It grows when another thread opens more. */
unsigned fd_table_size(struct fd_table *t);
/* Closes first..last, or only marks them close-on-exec. */
void fd_table_close_range(struct fd_table *t, unsigned first, unsigned last, bool only_mark);
/* The lowest open descriptor of t from `from` on, or -1. Those that are opened or closed meanwhile are found or not. */
int fd_table_next(struct fd_table *t, int from);

/* --- file systems ------------------------------------------------------------------------------ */
struct fs_context; /* working directory, root, umask: of a process */
struct fs_context *fs_context_new(void);  /* at the root */
void fs_context_put(struct fs_context *c);
int fs_context_chdir(struct fs_context *c, const char *path); /* absolute path */

/* Boot: mounts the image's layers, tmpfs, /proc, /sys, /dev; makes /tmp, /dev/shm ... Panics or fails
 * the machine with one clear line (machine_fail) if the image cannot be used. */
void fs_init(void);
/* Settings of all containers, merged: see images/format.h. Valid after fs_init(). `get` answers NULL
 * when unset; `each` in order. */
const char *setting_get(const char *key);
void setting_each(const char *key, void (*emit)(const char *value, void *arg), void *arg);

/* Kernel-side convenience, paths are absolute. Encoded errors. */
struct file *vfs_open(const char *path, int flags, unsigned mode);
ssize_t file_read_kernel(struct file *f, void *buf, size_t len, uint64_t pos);
/* Makes the file, mode 0644, or another one in place of what was there, with the same mode. Who reads finds the old content or the new one, whole. It is
 * written beside, as ".NAME.new", and renamed. May sleep. 0 or -errno; then what was there is as it was. */
int vfs_replace_file(const char *path, const void *data, size_t len);
/* Absolute path of an open file as the process sees it ("/a/b (deleted)" as Linux). Length or -errno. */
ssize_t file_path(struct file *f, char *buf, size_t size);
int file_stat(struct file *f, struct kstat *st);

/* memfd_create's file. */
struct file *memfd_new(const char *name, unsigned flags);

/* Called by procfs for /proc/self etc.; implemented in linux/proc_info.c by the lead's room:
 * see linux/process.h. */

#endif
