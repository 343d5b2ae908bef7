/*
 * kernel/linux/path.c - system calls on paths: opening, directories, links, attributes.
 *
 * Theory:    Each call copies its paths, finds the base of a relative one, and leaves the work to
 *            fs/namei.c. The only user is root: permission bits count as they do for it.
 * Interface: sys_*() of syscalls.def; path_arg_get() and path_arg_put() of inode.h.
 * Errors:    as Linux.
 */
#include "fs/inode.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/syscall.h"
#include <linux/fs.h>
#include <linux/inotify.h>
#include <linux/openat2.h>
#include <linux/time_types.h>

#define UTIME_NOW 0x3fffffffl
#define UTIME_OMIT 0x3ffffffel
#define OPEN_FLAGS                                                                              \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC | \
	 FASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC |  \
	 __O_SYNC | O_PATH | __O_TMPFILE)

int path_arg_get(struct path_arg *p, uaddr_t addr)
{
	ssize_t n = strncpy_from_user(p->buf, addr, sizeof(p->buf));

	p->allocated = NULL;
	p->name = p->buf;
	if (n != -ENAMETOOLONG)
		return n < 0 ? n : 0;
	p->allocated = kmalloc(PATH_MAX);
	if (!p->allocated)
		return -ENOMEM;
	n = strncpy_from_user(p->allocated, addr, PATH_MAX);
	if (n < 0) {
		kfree(p->allocated);
		p->allocated = NULL;
		return n;
	}
	p->name = p->allocated;
	return 0;
}

void path_arg_put(struct path_arg *p)
{
	kfree(p->allocated);
	p->allocated = NULL;
}

/* A path and what it is relative to. */
struct at {
	struct path_arg path;
	struct dentry *base;
};

static int at_get(struct at *a, int dirfd, uaddr_t path)
{
	int r = path_arg_get(&a->path, path);

	a->base = NULL;
	if (r)
		return r;
	r = path_base(dirfd, a->path.name, &a->base);
	if (r)
		path_arg_put(&a->path);
	return r;
}

static void at_put(struct at *a)
{
	dentry_put(a->base);
	path_arg_put(&a->path);
}

static struct dentry *at_lookup(struct at *a, unsigned flags)
{
	return path_lookup(a->base, a->path.name, flags);
}

static unsigned umask_apply(unsigned mode)
{
	return mode & 07777 & ~atomic_load(&current_process()->fs->umask);
}

/* --- open ------------------------------------------------------------------------------------------- */

/* The file at the path, seen from dirfd, or an encoded error. */
static struct file *open_path(int dirfd, const char *path, int flags, unsigned mode)
{
	struct dentry *base;
	struct file *f;
	int r = path_base(dirfd, path, &base);

	if (r)
		return ERR_PTR(r);
	f = path_open(base, path, flags, mode);
	dentry_put(base);
	return f;
}

static long open_at(int dirfd, uaddr_t addr, int flags, unsigned mode)
{
	struct path_arg path;
	struct file *f;
	int fd, r;

	if ((flags & __O_TMPFILE) && !(flags & O_PATH))
		return (flags & O_TMPFILE) == O_TMPFILE ? -EOPNOTSUPP : -EINVAL;
	if ((flags & O_CREAT) && (flags & O_DIRECTORY) && !(flags & O_PATH))
		return -EINVAL;
	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	else
		flags |= O_LARGEFILE;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		flags |= O_NOFOLLOW;
	r = path_arg_get(&path, addr);
	if (r)
		return r;
	/* The descriptor first: without one, nothing may be made or truncated. */
	fd = *path.name ? fd_reserve(flags & O_CLOEXEC) : -ENOENT;
	if (fd >= 0) {
		f = open_path(dirfd, path.name, flags, umask_apply(mode));
		if (IS_ERR(f)) {
			fd_unreserve(fd);
			fd = (int)PTR_ERR(f);
		} else {
			fd_fill(fd, f);
		}
	}
	path_arg_put(&path);
	return fd;
}

long sys_openat(int dir, uaddr_t path, int flags, unsigned mode)
{
	return open_at(dir, path, flags & OPEN_FLAGS, mode); /* unknown bits are ignored, as on Linux */
}

long sys_open(uaddr_t path, int flags, unsigned mode)
{
	return sys_openat(AT_FDCWD, path, flags, mode);
}

long sys_creat(uaddr_t path, unsigned mode)
{
	return sys_openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

long sys_openat2(int dir, uaddr_t path, uaddr_t how_addr, size_t size)
{
	struct open_how how;

	if (size < sizeof(how))
		return -EINVAL;
	if (size > sizeof(how))
		return -E2BIG;
	if (copy_from_user(&how, how_addr, sizeof(how)))
		return -EFAULT;
	if (how.resolve || (how.flags & ~(uint64_t)OPEN_FLAGS) || (how.mode & ~07777ull) ||
	    (how.mode && !(how.flags & (O_CREAT | __O_TMPFILE))))
		return -EINVAL;
	return open_at(dir, path, how.flags, how.mode);
}

/* --- making, removing, renaming ------------------------------------------------------------------------ */

static long create_at(int dirfd, uaddr_t path, uint32_t mode, uint64_t rdev, const char *target)
{
	struct at a;
	long r = at_get(&a, dirfd, path);

	if (r)
		return r;
	r = path_create(a.base, a.path.name, mode, rdev, target);
	at_put(&a);
	return r;
}

long sys_mkdirat(int dir, uaddr_t path, unsigned mode)
{
	return create_at(dir, path, S_IFDIR | (umask_apply(mode) & 01777), 0, NULL);
}

long sys_mkdir(uaddr_t path, unsigned mode) { return sys_mkdirat(AT_FDCWD, path, mode); }

long sys_mknodat(int dir, uaddr_t path, unsigned mode, unsigned dev)
{
	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
		return create_at(dir, path, S_IFREG | umask_apply(mode), 0, NULL);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return -EPERM;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

long sys_mknod(uaddr_t path, unsigned mode, unsigned dev) { return sys_mknodat(AT_FDCWD, path, mode, dev); }

long sys_symlinkat(uaddr_t target, int dir, uaddr_t path)
{
	struct path_arg to;
	long r = path_arg_get(&to, target);

	if (r)
		return r;
	r = *to.name ? create_at(dir, path, S_IFLNK | 0777, 0, to.name) : -ENOENT;
	path_arg_put(&to);
	return r;
}

long sys_symlink(uaddr_t target, uaddr_t path) { return sys_symlinkat(target, AT_FDCWD, path); }

long sys_linkat(int fdir, uaddr_t from, int tdir, uaddr_t to, int flags)
{
	struct at a, b;
	struct dentry *d;
	long r;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = at_get(&a, fdir, from);
	if (r)
		return r;
	r = at_get(&b, tdir, to);
	if (!r) {
		d = at_lookup(&a, ((flags & AT_SYMLINK_FOLLOW) ? LOOKUP_FOLLOW : 0) |
					  ((flags & AT_EMPTY_PATH) ? LOOKUP_EMPTY : 0));
		r = IS_ERR(d) ? PTR_ERR(d) : path_link(d, b.base, b.path.name);
		if (!IS_ERR(d))
			dentry_put(d);
		at_put(&b);
	}
	at_put(&a);
	return r;
}

long sys_link(uaddr_t from, uaddr_t to) { return sys_linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

long sys_unlinkat(int dir, uaddr_t path, int flags)
{
	struct at a;
	long r;

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = at_get(&a, dir, path);
	if (r)
		return r;
	r = path_remove(a.base, a.path.name, flags & AT_REMOVEDIR);
	at_put(&a);
	return r;
}

long sys_unlink(uaddr_t path) { return sys_unlinkat(AT_FDCWD, path, 0); }
long sys_rmdir(uaddr_t path) { return sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

long sys_renameat2(int fdir, uaddr_t from, int tdir, uaddr_t to, unsigned flags)
{
	struct at a, b;
	long r;

	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	r = at_get(&a, fdir, from);
	if (r)
		return r;
	r = at_get(&b, tdir, to);
	if (!r) {
		r = path_rename(a.base, a.path.name, b.base, b.path.name, flags);
		at_put(&b);
	}
	at_put(&a);
	return r;
}

long sys_renameat(int fdir, uaddr_t from, int tdir, uaddr_t to)
{
	return sys_renameat2(fdir, from, tdir, to, 0);
}

long sys_rename(uaddr_t from, uaddr_t to) { return sys_renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

/* --- reading links, working directory ------------------------------------------------------------------ */

long sys_readlinkat(int dir, uaddr_t path, uaddr_t buf, int size)
{
	struct at a;
	struct dentry *d;
	struct inode *inode;
	char *text;
	ssize_t n;
	long r;

	if (size <= 0)
		return -EINVAL;
	r = at_get(&a, dir, path);
	if (r)
		return r;
	d = at_lookup(&a, LOOKUP_EMPTY);
	n = *a.path.name ? -EINVAL : -ENOENT;
	at_put(&a);
	if (IS_ERR(d))
		return PTR_ERR(d);
	inode = dentry_inode(d);
	if (S_ISLNK(inode_type(inode)) && inode->ops->readlink) {
		text = kmalloc(PATH_MAX);
		n = text ? inode->ops->readlink(inode, text, PATH_MAX) : -ENOMEM;
		n = MIN(n, (ssize_t)size);
		if (n > 0 && copy_to_user(buf, text, n))
			n = -EFAULT;
		kfree(text);
	}
	dentry_put(d);
	return n;
}

long sys_readlink(uaddr_t path, uaddr_t buf, int size) { return sys_readlinkat(AT_FDCWD, path, buf, size); }

long sys_getcwd(uaddr_t buf, size_t size)
{
	struct dentry *d = cwd_get();
	char *text = kmalloc(PATH_MAX);
	ssize_t n = text ? dentry_path(d, text, PATH_MAX) : -ENOMEM;

	if (n >= 0 && d->deleted)
		n = -ENOENT;
	if (n >= 0 && (size_t)n + 1 > size)
		n = -ERANGE;
	if (n >= 0)
		n = copy_to_user(buf, text, n + 1) ? -EFAULT : n + 1;
	kfree(text);
	dentry_put(d);
	return n;
}

long sys_chdir(uaddr_t path)
{
	struct at a;
	struct dentry *d;
	long r = at_get(&a, AT_FDCWD, path);

	if (r)
		return r;
	d = at_lookup(&a, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
	at_put(&a);
	if (IS_ERR(d))
		return PTR_ERR(d);
	cwd_set(d);
	dentry_put(d);
	return 0;
}

long sys_fchdir(int fd)
{
	struct file *f = fd_get(fd);
	long r = -ENOTDIR;

	if (!f)
		return -EBADF;
	if (f->dentry && inode_is_dir(f->inode)) {
		cwd_set(f->dentry);
		r = 0;
	}
	file_put(f);
	return r;
}

long sys_umask(unsigned mask)
{
	return atomic_exchange(&current_process()->fs->umask, mask & 0777);
}

/* --- attributes -------------------------------------------------------------------------------------------- */

static long attr_set(struct dentry *d, struct inode *inode, const struct inode_attr *attr)
{
	long r = inode_setattr(inode, attr);

	if (!r && d)
		notify_change(d, IN_ATTRIB);
	return r;
}

static long attr_at(int dirfd, uaddr_t path, unsigned lookup, const struct inode_attr *attr)
{
	struct at a;
	struct dentry *d;
	long r = at_get(&a, dirfd, path);

	if (r)
		return r;
	d = at_lookup(&a, lookup);
	at_put(&a);
	if (IS_ERR(d))
		return PTR_ERR(d);
	if ((attr->valid & ATTR_MODE) && S_ISLNK(inode_type(dentry_inode(d))))
		r = -EOPNOTSUPP;
	else
		r = attr_set(d, dentry_inode(d), attr);
	dentry_put(d);
	return r;
}

static long attr_fd(int fd, const struct inode_attr *attr)
{
	struct file *f = fd_get(fd);
	long r;

	if (!f)
		return -EBADF;
	r = (f->flags & O_PATH) ? -EBADF : attr_set(f->dentry, f->inode, attr);
	file_put(f);
	return r;
}

long sys_fchmodat(int dir, uaddr_t path, unsigned mode)
{
	struct inode_attr attr = { .valid = ATTR_MODE, .mode = mode };

	return attr_at(dir, path, LOOKUP_FOLLOW, &attr);
}

long sys_chmod(uaddr_t path, unsigned mode) { return sys_fchmodat(AT_FDCWD, path, mode); }

long sys_fchmod(int fd, unsigned mode)
{
	struct inode_attr attr = { .valid = ATTR_MODE, .mode = mode };

	return attr_fd(fd, &attr);
}

static struct inode_attr owner_attr(int uid, int gid)
{
	return (struct inode_attr){
		.valid = ATTR_OWNER | (uid != -1 ? ATTR_UID : 0) | (gid != -1 ? ATTR_GID : 0), .uid = uid, .gid = gid,
	};
}

long sys_fchownat(int dir, uaddr_t path, int uid, int gid, int flags)
{
	struct inode_attr attr = owner_attr(uid, gid);

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return attr_at(dir, path, ((flags & AT_SYMLINK_NOFOLLOW) ? 0 : LOOKUP_FOLLOW) |
				  ((flags & AT_EMPTY_PATH) ? LOOKUP_EMPTY : 0), &attr);
}

long sys_chown(uaddr_t path, int uid, int gid) { return sys_fchownat(AT_FDCWD, path, uid, gid, 0); }

long sys_lchown(uaddr_t path, int uid, int gid)
{
	return sys_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long sys_fchown(int fd, int uid, int gid)
{
	struct inode_attr attr = owner_attr(uid, gid);

	return attr_fd(fd, &attr);
}

/* Access and modification time from two timespecs. */
static int time_attr(struct inode_attr *attr, const struct __kernel_timespec ts[2])
{
	int64_t now = (int64_t)clock_realtime_ns();

	attr->valid = 0;
	for (int i = 0; i < 2; i++) {
		int64_t ns = now;

		if (ts[i].tv_nsec == UTIME_OMIT)
			continue;
		if (ts[i].tv_nsec != UTIME_NOW) {
			if (ts[i].tv_nsec < 0 || ts[i].tv_nsec > 999999999)
				return -EINVAL;
			ns = file_time_make(ts[i].tv_sec, ts[i].tv_nsec);
		}
		attr->valid |= i ? ATTR_MTIME : ATTR_ATIME;
		if (i)
			attr->mtime_ns = ns;
		else
			attr->atime_ns = ns;
	}
	return 0;
}

static long times_set(int dir, uaddr_t path, const struct __kernel_timespec ts[2], int flags)
{
	struct inode_attr attr;
	int r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	r = time_attr(&attr, ts);
	if (r)
		return r;
	if (!attr.valid)
		return 0;
	if (!path && dir != AT_FDCWD) {
		if (flags)
			return -EINVAL;
		return attr_fd(dir, &attr);
	}
	return attr_at(dir, path, ((flags & AT_SYMLINK_NOFOLLOW) ? 0 : LOOKUP_FOLLOW) |
				  ((flags & AT_EMPTY_PATH) ? LOOKUP_EMPTY : 0), &attr);
}

static const struct __kernel_timespec times_now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };

long sys_utimensat(int dir, uaddr_t path, uaddr_t times, int flags)
{
	struct __kernel_timespec ts[2];

	if (times && copy_from_user(ts, times, sizeof(ts)))
		return -EFAULT;
	return times_set(dir, path, times ? ts : times_now, flags);
}

long sys_futimesat(int dir, uaddr_t path, uaddr_t times)
{
	struct { int64_t sec, usec; } tv[2];
	struct __kernel_timespec ts[2];

	if (!times)
		return times_set(dir, path, times_now, 0);
	if (copy_from_user(tv, times, sizeof(tv)))
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (tv[i].usec < 0 || tv[i].usec > 999999)
			return -EINVAL;
		ts[i].tv_sec = tv[i].sec;
		ts[i].tv_nsec = tv[i].usec * 1000;
	}
	return times_set(dir, path, ts, 0);
}

long sys_utimes(uaddr_t path, uaddr_t times) { return sys_futimesat(AT_FDCWD, path, times); }

long sys_utime(uaddr_t path, uaddr_t times)
{
	int64_t t[2];
	struct __kernel_timespec ts[2] = { { 0 } };

	if (!times)
		return times_set(AT_FDCWD, path, times_now, 0);
	if (copy_from_user(t, times, sizeof(t)))
		return -EFAULT;
	ts[0].tv_sec = t[0];
	ts[1].tv_sec = t[1];
	return times_set(AT_FDCWD, path, ts, 0);
}

long sys_truncate(uaddr_t path, long len)
{
	struct at a;
	struct dentry *d;
	struct inode *inode;
	long r;

	if (len < 0)
		return -EINVAL;
	r = at_get(&a, AT_FDCWD, path);
	if (r)
		return r;
	d = at_lookup(&a, LOOKUP_FOLLOW);
	at_put(&a);
	if (IS_ERR(d))
		return PTR_ERR(d);
	inode = dentry_inode(d);
	if (inode_is_dir(inode))
		r = -EISDIR;
	else if (!S_ISREG(inode_type(inode)))
		r = -EINVAL;
	else if (inode->sb->flags & SB_RDONLY)
		r = -EROFS;
	else
		r = inode_truncate(inode, (uint64_t)len);
	if (!r)
		notify_change(d, IN_MODIFY);
	dentry_put(d);
	return r;
}

/* --- access ------------------------------------------------------------------------------------------------ */

long sys_faccessat2(int dir, uaddr_t path, int mode, int flags)
{
	struct at a;
	struct dentry *d;
	struct inode *inode;
	long r;

	if ((mode & ~7) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	r = at_get(&a, dir, path);
	if (r)
		return r;
	d = at_lookup(&a, ((flags & AT_SYMLINK_NOFOLLOW) ? 0 : LOOKUP_FOLLOW) |
			  ((flags & AT_EMPTY_PATH) ? LOOKUP_EMPTY : 0));
	at_put(&a);
	if (IS_ERR(d))
		return PTR_ERR(d);
	inode = dentry_inode(d);
	if ((mode & 1) && S_ISREG(inode_type(inode)) && !(inode->mode & 0111))
		r = -EACCES; /* root may execute what somebody may */
	else if ((mode & 2) && (inode->sb->flags & SB_RDONLY) &&
		 (S_ISREG(inode_type(inode)) || inode_is_dir(inode)))
		r = -EROFS;
	dentry_put(d);
	return r;
}

long sys_faccessat(int dir, uaddr_t path, int mode) { return sys_faccessat2(dir, path, mode, 0); }
long sys_access(uaddr_t path, int mode) { return sys_faccessat2(AT_FDCWD, path, mode, 0); }
