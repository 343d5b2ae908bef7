/*
 * kernel/linux/stat.c - what a file is: stat, statx, statfs.
 *
 * Interface: sys_*() of syscalls.def.
 * Errors:    as Linux.
 */
#include "fs/inode.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/syscall.h"
#include <asm/stat.h>
#include <asm/statfs.h>

/* The inode a path or a descriptor names. *d or *f holds it. */
struct target {
	struct dentry *dentry;
	struct file *file;
	struct inode *inode;
};

static void target_put(struct target *t)
{
	dentry_put(t->dentry);
	if (t->file)
		file_put(t->file);
}

static int target_fd(int fd, struct target *t)
{
	memset(t, 0, sizeof(*t));
	t->file = fd_get(fd);
	if (!t->file)
		return -EBADF;
	t->inode = t->file->inode;
	return 0;
}

static int target_at(int dirfd, uaddr_t addr, int flags, struct target *t)
{
	unsigned lookup = (flags & AT_SYMLINK_NOFOLLOW) ? 0 : LOOKUP_FOLLOW;
	struct path_arg path;
	struct dentry *base = NULL;
	int r;

	memset(t, 0, sizeof(*t));
	if ((flags & AT_EMPTY_PATH) && !addr && dirfd != AT_FDCWD)
		return target_fd(dirfd, t);
	r = path_arg_get(&path, addr);
	if (r)
		return r;
	if (!*path.name && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD) {
		path_arg_put(&path);
		return target_fd(dirfd, t);
	}
	if (flags & AT_EMPTY_PATH)
		lookup |= LOOKUP_EMPTY;
	r = path_base(dirfd, path.name, &base);
	if (!r) {
		t->dentry = path_lookup(base, path.name, lookup);
		if (IS_ERR(t->dentry))
			r = PTR_ERR(t->dentry);
		else
			t->inode = dentry_inode(t->dentry);
		dentry_put(base);
	}
	path_arg_put(&path);
	return r;
}

static long stat_put(const struct kstat *st, uaddr_t to)
{
	struct stat out = {
		.st_dev = st->dev, .st_ino = st->ino, .st_nlink = st->nlink, .st_mode = st->mode,
		.st_uid = st->uid, .st_gid = st->gid, .st_rdev = st->rdev, .st_size = st->size,
		.st_blksize = st->blksize, .st_blocks = st->blocks,
	};
	uint32_t nsec;

	out.st_atime = (unsigned long)file_time_split(st->atime_ns, &nsec); /* the field is unsigned, what is read from it is not */
	out.st_atime_nsec = nsec;
	out.st_mtime = (unsigned long)file_time_split(st->mtime_ns, &nsec);
	out.st_mtime_nsec = nsec;
	out.st_ctime = (unsigned long)file_time_split(st->ctime_ns, &nsec);
	out.st_ctime_nsec = nsec;
	return copy_to_user(to, &out, sizeof(out));
}

long sys_newfstatat(int dir, uaddr_t path, uaddr_t to, int flags)
{
	struct target t;
	struct kstat st;
	long r;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return -EINVAL;
	r = target_at(dir, path, flags, &t);
	if (r)
		return r;
	inode_stat(t.inode, &st);
	target_put(&t);
	return stat_put(&st, to);
}

long sys_stat(uaddr_t path, uaddr_t to) { return sys_newfstatat(AT_FDCWD, path, to, 0); }

long sys_lstat(uaddr_t path, uaddr_t to)
{
	return sys_newfstatat(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW);
}

long sys_fstat(int fd, uaddr_t to)
{
	struct target t;
	struct kstat st;
	long r = target_fd(fd, &t);

	if (r)
		return r;
	inode_stat(t.inode, &st);
	target_put(&t);
	return stat_put(&st, to);
}

static struct statx_timestamp statx_time(int64_t ns)
{
	struct statx_timestamp t = { 0 };

	t.tv_sec = file_time_split(ns, &t.tv_nsec);
	return t;
}

long sys_statx(int dir, uaddr_t path, int flags, unsigned mask, uaddr_t to)
{
	struct target t;
	struct kstat st;
	struct statx out;
	long r;

	if ((mask & STATX__RESERVED) ||
	    (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	r = target_at(dir, path, flags, &t);
	if (r)
		return r;
	inode_stat(t.inode, &st);
	memset(&out, 0, sizeof(out));
	if (t.dentry ? t.dentry->parent == t.dentry : false) {
		out.stx_attributes |= STATX_ATTR_MOUNT_ROOT;
	}
	out.stx_attributes_mask |= STATX_ATTR_MOUNT_ROOT;
	target_put(&t);
	out.stx_mask = STATX_BASIC_STATS | STATX_BTIME;
	out.stx_blksize = st.blksize;
	out.stx_nlink = st.nlink;
	out.stx_uid = st.uid;
	out.stx_gid = st.gid;
	out.stx_mode = st.mode;
	out.stx_ino = st.ino;
	out.stx_size = st.size;
	out.stx_blocks = st.blocks;
	out.stx_atime = statx_time(st.atime_ns);
	out.stx_btime = statx_time(st.btime_ns);
	out.stx_ctime = statx_time(st.ctime_ns);
	out.stx_mtime = statx_time(st.mtime_ns);
	out.stx_rdev_major = st.rdev >> 8 & 0xfff;
	out.stx_rdev_minor = (st.rdev & 0xff) | (st.rdev >> 12 & 0xfff00);
	out.stx_dev_minor = st.dev;
	return copy_to_user(to, &out, sizeof(out));
}

/* --- statfs ------------------------------------------------------------------------------------------ */

static long statfs_put(struct superblock *sb, uaddr_t to)
{
	struct kstatfs k = { .bsize = PAGE_SIZE };
	struct statfs out = { 0 };

	if (sb->statfs)
		sb->statfs(sb, &k);
	out.f_type = sb->magic;
	out.f_bsize = out.f_frsize = k.bsize;
	out.f_blocks = k.blocks;
	out.f_bfree = out.f_bavail = k.bfree;
	out.f_files = k.files;
	out.f_ffree = k.ffree;
	out.f_fsid.val[0] = sb->dev;
	out.f_namelen = NAME_MAX;
	out.f_flags = 0x20 | ((sb->flags & SB_RDONLY) ? 1 : 0); /* ST_VALID, ST_RDONLY */
	return copy_to_user(to, &out, sizeof(out));
}

long sys_statfs(uaddr_t path, uaddr_t buf)
{
	struct target t;
	long r = target_at(AT_FDCWD, path, 0, &t);

	if (r)
		return r;
	r = statfs_put(t.inode->sb, buf);
	target_put(&t);
	return r;
}

long sys_fstatfs(int fd, uaddr_t buf)
{
	struct target t;
	long r = target_fd(fd, &t);

	if (r)
		return r;
	r = statfs_put(t.inode->sb, buf);
	target_put(&t);
	return r;
}
