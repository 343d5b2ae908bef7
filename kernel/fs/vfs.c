/*
 * kernel/fs/vfs.c - inodes, mounts, working directories, and the kernel's own view of files.
 *
 * Interface: inode_*(), superblock_*(), mount_at(), fs_context_*() of inode.h; vfs_open(),
 *            file_read_kernel(), file_path(), file_stat() of vfs.h.
 * Locking:   the list of superblocks only grows, during boot. fs_context has a mutex of its own.
 * Errors:    -errno.
 */
#include "fs/inode.h"
#include "core/clock.h"
#include "core/log.h"
#include "lib/string.h"
#include "linux/process.h"

struct list superblocks = LIST_INIT(superblocks);
struct dentry *root_dentry;

/* --- inodes ------------------------------------------------------------------------------------ */

void inode_setup(struct inode *inode, struct superblock *sb, const struct inode_ops *ops,
		 const struct file_ops *fops, uint32_t mode)
{
	int64_t now = (int64_t)clock_realtime_ns();

	atomic_init(&inode->refs, 1);
	atomic_init(&inode->mode, mode);
	inode->nlink = S_ISDIR(mode) ? 2 : 1;
	inode->sb = sb;
	inode->ops = ops;
	inode->fops = fops;
	inode->btime_ns = now;
	atomic_init(&inode->atime_ns, now);
	atomic_init(&inode->mtime_ns, now);
	atomic_init(&inode->ctime_ns, now);
	atomic_init(&inode->seals, 0);
	mutex_init(&inode->write_lock, "inode data");
	list_init(&inode->watches);
	list_init(&inode->locks);
}

void inode_put(struct inode *inode)
{
	if (atomic_fetch_sub_explicit(&inode->refs, 1, memory_order_acq_rel) == 1)
		inode->ops->evict(inode);
}

void inode_stat(struct inode *inode, struct kstat *st)
{
	memset(st, 0, sizeof(*st));
	st->dev = inode->sb->dev;
	st->ino = inode->ino;
	st->nlink = inode->nlink;
	st->rdev = inode->rdev;
	st->mode = atomic_load_explicit(&inode->mode, memory_order_relaxed);
	st->uid = inode->uid;
	st->gid = inode->gid;
	st->blksize = PAGE_SIZE;
	st->atime_ns = atomic_load_explicit(&inode->atime_ns, memory_order_relaxed);
	st->mtime_ns = atomic_load_explicit(&inode->mtime_ns, memory_order_relaxed);
	st->ctime_ns = atomic_load_explicit(&inode->ctime_ns, memory_order_relaxed);
	st->btime_ns = inode->btime_ns;
	if (inode->ops->getattr)
		inode->ops->getattr(inode, st);
}

void inode_touch(struct inode *inode, bool data)
{
	int64_t now = (int64_t)clock_realtime_ns();

	atomic_store_explicit(&inode->ctime_ns, now, memory_order_relaxed);
	if (data)
		atomic_store_explicit(&inode->mtime_ns, now, memory_order_relaxed);
}

/* The mode that a new owner leaves: whom a program acts for is for its owner to say. S_ISGID without S_IXGRP means something else. */
static uint32_t mode_of_new_owner(uint32_t mode)
{
	if (S_ISDIR(mode))
		return mode;
	return mode & ~(S_ISUID | ((mode & S_IXGRP) ? S_ISGID : 0u));
}

int inode_setattr(struct inode *inode, const struct inode_attr *attr)
{
	struct inode_attr set = *attr;
	int r;

	if (inode->sb->flags & SB_RDONLY)
		return -EROFS;
	if (!inode->ops->setattr)
		return -EPERM;
	mutex_lock(&inode->sb->lock);
	if (attr->valid & ATTR_OWNER) {
		uint32_t old = atomic_load(&inode->mode);

		set.mode = mode_of_new_owner(old);
		set.valid = (attr->valid & ~(unsigned)ATTR_OWNER) | (set.mode != old ? ATTR_MODE : 0);
	}
	r = inode->ops->setattr(inode, &set);
	mutex_unlock(&inode->sb->lock);
	return r;
}

int inode_prepare_write(struct inode *inode, uint64_t keep)
{
	int r = 0;

	if (inode->ops->prepare_write) {
		mutex_lock(&inode->sb->lock);
		r = inode->ops->prepare_write(inode, keep);
		mutex_unlock(&inode->sb->lock);
	}
	return r;
}

int inode_truncate(struct inode *inode, uint64_t size)
{
	int r;

	if (!inode->ops->truncate)
		return -EINVAL;
	mutex_lock(&inode->write_lock);
	r = inode->ops->truncate(inode, size);
	mutex_unlock(&inode->write_lock);
	return r;
}

/* --- superblocks and mounts ----------------------------------------------------------------------- */

struct superblock *superblock_new(const char *type, const char *source, uint64_t magic, unsigned flags)
{
	static unsigned last_dev;
	struct superblock *sb = kzalloc(sizeof(*sb));

	if (!sb)
		return NULL;
	sb->type = type;
	sb->source = source;
	sb->options = "";
	sb->magic = magic;
	sb->flags = flags;
	sb->dev = ++last_dev;
	atomic_init(&sb->next_ino, 1);
	mutex_init(&sb->lock, type);
	list_init(&sb->link);
	return sb;
}

struct superblock *superblock_by_dev(unsigned dev)
{
	struct superblock *sb;

	list_for_each(sb, &superblocks, link)
		if (sb->dev == dev)
			return sb;
	return NULL;
}

/* mkdir -p for mount points, where the tree below can be written. */
static void make_directories(const char *path)
{
	char *copy = kstrdup(path);

	if (!copy)
		return;
	for (char *p = copy + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		path_create(root_dentry, copy, S_IFDIR | 0755, 0, NULL); /* mostly -EEXIST */
		*p = c;
		if (!c)
			break;
	}
	kfree(copy);
}

int mount_at(struct superblock *sb, const char *path)
{
	struct dentry *d;

	if (!root_dentry) {
		root_dentry = sb->root;
		list_push_back(&superblocks, &sb->link);
		return 0;
	}
	d = path_lookup(root_dentry, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
	if (IS_ERR(d) && PTR_ERR(d) == -ENOENT) {
		make_directories(path);
		d = path_lookup(root_dentry, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
	}
	if (IS_ERR(d))
		return PTR_ERR(d);
	sb->root->covers = d; /* the reference stays: mounts are for ever */
	d->mounted = sb->root;
	list_push_back(&superblocks, &sb->link);
	return 0;
}

/* --- working directories ---------------------------------------------------------------------------- */

struct fs_context *fs_context_new(void)
{
	struct fs_context *c = kzalloc(sizeof(*c));

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	mutex_init(&c->lock, "working directory");
	atomic_init(&c->umask, 022);
	c->cwd = root_dentry;
	dentry_get(root_dentry);
	return c;
}

struct fs_context *fs_context_copy(struct fs_context *from)
{
	struct fs_context *c = fs_context_new();

	if (!c)
		return NULL;
	mutex_lock(&from->lock);
	dentry_put(c->cwd);
	c->cwd = from->cwd;
	dentry_get(c->cwd);
	mutex_unlock(&from->lock);
	atomic_store(&c->umask, atomic_load(&from->umask));
	return c;
}

void fs_context_put(struct fs_context *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	dentry_put(c->cwd);
	kfree(c);
}

struct dentry *cwd_get(void)
{
	struct process *p = current_process();
	struct dentry *d = root_dentry;

	if (p && p->fs) {
		mutex_lock(&p->fs->lock);
		d = p->fs->cwd;
		dentry_get(d);
		mutex_unlock(&p->fs->lock);
	} else {
		dentry_get(d);
	}
	return d;
}

void cwd_set(struct dentry *d)
{
	struct fs_context *c = current_process()->fs;
	struct dentry *old;

	dentry_get(d);
	mutex_lock(&c->lock);
	old = c->cwd;
	c->cwd = d;
	mutex_unlock(&c->lock);
	dentry_put(old);
}

int fs_context_chdir(struct fs_context *c, const char *path)
{
	struct dentry *d = path_lookup(root_dentry, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
	struct dentry *old;

	if (IS_ERR(d))
		return PTR_ERR(d);
	mutex_lock(&c->lock);
	old = c->cwd;
	c->cwd = d;
	mutex_unlock(&c->lock);
	dentry_put(old);
	return 0;
}

/* --- the kernel's view ---------------------------------------------------------------------------- */

struct file *vfs_open(const char *path, int flags, unsigned mode)
{
	return path_open(root_dentry, path, flags, mode);
}

ssize_t file_read_kernel(struct file *f, void *buf, size_t len, uint64_t pos)
{
	struct pagecache *cache = f->ops->map ? f->ops->map(f) : ERR_PTR(inode_is_dir(f->inode) ? -EISDIR : -EINVAL);

	if (IS_ERR(cache))
		return PTR_ERR(cache);
	return pagecache_read_kernel(cache, pos, buf, len);
}

/* Makes a file with that content. */
static int make_file(const char *path, unsigned mode, const void *data, size_t len)
{
	struct file *f = vfs_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
	struct pagecache *cache;
	ssize_t r;

	if (IS_ERR(f))
		return (int)PTR_ERR(f);
	cache = f->ops->map ? f->ops->map(f) : ERR_PTR(-EINVAL);
	r = IS_ERR(cache) ? PTR_ERR(cache) : pagecache_write_kernel(cache, 0, data, len);
	file_put(f);
	return r < 0 ? (int)r : (size_t)r < len ? -ENOSPC : 0;
}

int vfs_replace_file(const char *path, const void *data, size_t len)
{
	char *names = kmalloc(2 * PATH_MAX), *to = names, *beside = names + PATH_MAX, *last;
	struct file *old = vfs_open(path, O_RDONLY, 0);
	struct kstat st = { .mode = 0644 };
	ssize_t n = 0;
	int r = -ENOMEM;

	if (!names)
		goto out;
	strlcpy(to, path, PATH_MAX);
	if (!IS_ERR(old)) {
		n = file_path(old, to, PATH_MAX); /* behind symbolic links */
		file_stat(old, &st);
	}
	last = strrchr(to, '/') + 1;
	r = n < 0 ? (int)n : strlen(to) + sizeof("..new") > PATH_MAX ? -ENAMETOOLONG : 0;
	if (r)
		goto out;
	snprintf(beside, PATH_MAX, "%.*s.%s.new", (int)(last - to), to, last);
	r = make_file(beside, st.mode & 07777, data, len);
	if (!r)
		r = path_rename(root_dentry, beside, root_dentry, to, 0);
	if (r)
		path_remove(root_dentry, beside, false);
out:
	if (!IS_ERR(old))
		file_put(old);
	kfree(names);
	return r;
}

int file_stat(struct file *f, struct kstat *st)
{
	inode_stat(f->inode, st);
	return 0;
}
