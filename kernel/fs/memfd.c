/*
 * kernel/fs/memfd.c - files without a name: memfd_create(2) and seals.
 *
 * Theory:    A memfd is an inode with a page cache and the operations of regular files. With
 *            MFD_HUGETLB, or when it is large, its pages are huge where they can be.
 * Interface: memfd_new() of vfs.h, sys_memfd_create(), memfd_seals().
 * Locking:   write_lock of the inode orders sealing and writing; the lock of all areas, taken inside it, orders sealing and mapping.
 * Errors:    -EINVAL, -EPERM (sealed), -EBUSY (mapped), -EMFILE, -ENOMEM.
 */
#include "fs/inode.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/flock.h"
#include "linux/syscall.h"
#include <linux/memfd.h>

#define MEMFD_NAME_MAX 249
#define MFD_HUGE_BITS (0x3fu << MFD_HUGE_SHIFT)
#define SEALS_KNOWN (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct memfd {
	struct inode inode;
	struct pagecache cache;
	struct rcu_head rcu;
	char name[];
};

static struct memfd *memfd_of(struct inode *inode)
{
	return container_of(inode, struct memfd, inode);
}

static struct pagecache *memfd_cache(struct inode *inode)
{
	return &memfd_of(inode)->cache;
}

static void memfd_getattr(struct inode *inode, struct kstat *st)
{
	struct pagecache *c = memfd_cache(inode);

	st->size = atomic_load(&c->size_bytes);
	st->blocks = atomic_load(&c->npages) * (PAGE_SIZE / 512);
	st->nlink = 0;
}

static int memfd_truncate(struct inode *inode, uint64_t size)
{
	struct pagecache *c = memfd_cache(inode);
	uint32_t seals = atomic_load(&inode->seals);
	uint64_t old = atomic_load(&c->size_bytes);
	int r;

	if (((seals & F_SEAL_SHRINK) && size < old) || ((seals & F_SEAL_GROW) && size > old))
		return -EPERM;
	r = pagecache_truncate(c, size);
	if (!r)
		inode_touch(inode, true);
	return r;
}

static int memfd_setattr(struct inode *inode, const struct inode_attr *attr)
{
	if (attr->valid & ATTR_MODE)
		atomic_store(&inode->mode, S_IFREG | (attr->mode & 07777));
	if (attr->valid & ATTR_UID)
		inode->uid = attr->uid;
	if (attr->valid & ATTR_GID)
		inode->gid = attr->gid;
	if (attr->valid & ATTR_ATIME)
		atomic_store(&inode->atime_ns, attr->atime_ns);
	if (attr->valid & ATTR_MTIME)
		atomic_store(&inode->mtime_ns, attr->mtime_ns);
	inode_touch(inode, false);
	return 0;
}

static ssize_t memfd_name(struct inode *inode, char *buf, size_t size)
{
	int n = snprintf(buf, size, "/memfd:%s (deleted)", memfd_of(inode)->name);

	return MIN((size_t)n, size);
}

static int memfd_open(struct inode *inode, struct file *f) { return 0; }

static void memfd_free_rcu(struct rcu_head *head) { kfree(container_of(head, struct memfd, rcu)); }

static void memfd_evict(struct inode *inode)
{
	struct memfd *m = memfd_of(inode);

	pagecache_destroy(&m->cache);
	rcu_call(&m->rcu, memfd_free_rcu); /* a short call may be looking at the inode */
}

static const struct inode_ops memfd_ops = {
	.cache = memfd_cache,
	.getattr = memfd_getattr,
	.truncate = memfd_truncate,
	.setattr = memfd_setattr,
	.readlink = memfd_name,
	.open = memfd_open,
	.evict = memfd_evict,
};

struct file *memfd_new(const char *name, unsigned flags)
{
	struct memfd *m = kzalloc(sizeof(*m) + strlen(name) + 1);
	struct file *f;

	if (!m)
		return ERR_PTR(-ENOMEM);
	anon_inode_setup(&m->inode, &memfd_ops, &regular_file_ops, S_IFREG | 0777);
	strlcpy(m->name, name, strlen(name) + 1);
	pagecache_init(&m->cache, &memfd_pages, &m->inode);
	m->cache.huge = true;
	if (!(flags & MFD_ALLOW_SEALING))
		atomic_store(&m->inode.seals, F_SEAL_SEAL);
	f = file_new(&regular_file_ops, &m->inode, O_RDWR | O_LARGEFILE, NULL);
	inode_put(&m->inode);
	return f ? f : ERR_PTR(-ENOMEM);
}

long sys_memfd_create(uaddr_t name, unsigned flags)
{
	char text[MEMFD_NAME_MAX + 1];
	struct file *f;
	ssize_t n;
	int fd;

	if ((flags & MFD_HUGETLB) ? flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_BITS)
				  : flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING))
		return -EINVAL;
	n = strncpy_from_user(text, name, sizeof(text));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	f = memfd_new(text, flags);
	if (IS_ERR(f))
		return PTR_ERR(f);
	fd = fd_install(f, 0, flags & MFD_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

long memfd_seals(struct file *f, int cmd, unsigned long arg)
{
	struct inode *inode = f->inode;
	uint32_t seals;
	long r = 0;

	if (inode->ops != &memfd_ops)
		return -EINVAL;
	if (cmd == F_GET_SEALS)
		return atomic_load(&inode->seals);
	if (arg & ~(unsigned long)SEALS_KNOWN)
		return -EINVAL;
	if (!file_writable(f))
		return -EPERM;
	mutex_lock(&inode->write_lock);
	seals = atomic_load(&inode->seals);
	if (seals & F_SEAL_SEAL) {
		r = -EPERM;
	} else if ((arg & F_SEAL_WRITE) && !(seals & F_SEAL_WRITE)) {
		r = pagecache_seal(memfd_cache(inode));
	}
	if (!r)
		atomic_store(&inode->seals, seals | arg);
	mutex_unlock(&inode->write_lock);
	return r;
}
