/*
 * kernel/fs/file.c - open files and anonymous inodes.
 *
 * Interface: file_new(), file_new_anon(), file_get(), file_put(), file_path() of vfs.h.
 * Locking:   reference counts are atomic. The memory of a file goes by RCU, because fd_get() looks at it
 *            without a lock.
 * Errors:    NULL or -ENOMEM when memory is short.
 */
#include "fs/inode.h"
#include "lib/string.h"
#include <linux/inotify.h>

/* The superblock of inodes that have no name anywhere: pipes, event files, consoles, memfds. */
static struct superblock anon_sb = {
	.type = "anon_inodefs", .source = "none", .options = "", .magic = 0x09041934, .dev = 0xfe,
	.lock = MUTEX_INIT("anon inodes"),
};

struct anon_inode {
	struct inode inode;
	char name[48];
};

static void anon_evict(struct inode *inode)
{
	kfree(container_of(inode, struct anon_inode, inode));
}

static int anon_open(struct inode *inode, struct file *f)
{
	return -ENXIO;
}

int anon_setattr(struct inode *inode, const struct inode_attr *attr)
{
	if (attr->valid & ATTR_MODE)
		atomic_store(&inode->mode, inode_type(inode) | (attr->mode & 07777));
	if (attr->valid & ATTR_UID)
		inode->uid = attr->uid;
	if (attr->valid & ATTR_GID)
		inode->gid = attr->gid;
	if (attr->valid & ATTR_ATIME)
		inode->atime_ns = attr->atime_ns;
	if (attr->valid & ATTR_MTIME)
		inode->mtime_ns = attr->mtime_ns;
	inode_touch(inode, false);
	return 0;
}

static const struct inode_ops anon_ops = {
	.open = anon_open,
	.setattr = anon_setattr,
	.evict = anon_evict,
};

void anon_inode_setup(struct inode *inode, const struct inode_ops *ops, const struct file_ops *fops,
		      uint32_t mode)
{
	inode_setup(inode, &anon_sb, ops, fops, mode);
	inode->ino = atomic_fetch_add(&anon_sb.next_ino, 1) + 1024;
}

struct file *file_new(const struct file_ops *ops, struct inode *inode, unsigned flags, void *priv)
{
	struct file *f = kzalloc(sizeof(*f));

	if (!f)
		return NULL;
	atomic_init(&f->refs, 1);
	atomic_init(&f->flags, flags);
	f->ops = ops;
	f->inode = inode;
	inode_get(inode);
	mutex_init(&f->pos_lock, "file position");
	f->priv = priv;
	list_init(&f->epolls);
	return f;
}

struct file *file_new_anon(const char *name, uint32_t mode, const struct file_ops *ops, unsigned flags,
			   void *priv)
{
	struct anon_inode *a = kzalloc(sizeof(*a));
	struct file *f;

	if (!a)
		return ERR_PTR(-ENOMEM);
	anon_inode_setup(&a->inode, &anon_ops, ops, mode);
	strlcpy(a->name, name, sizeof(a->name));
	f = file_new(ops, &a->inode, flags, priv);
	inode_put(&a->inode);
	return f ? f : ERR_PTR(-ENOMEM);
}

void file_get(struct file *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}

static void file_free_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct file, rcu));
}

static void file_release(struct file *f)
{
	if (!list_empty(&f->epolls))
		epoll_file_release(f);
	if (!(f->flags & O_PATH)) {
		locks_release_file(f);
		if (f->dentry)
			notify_change(f->dentry, file_writable(f) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
		if (f->ops->release)
			f->ops->release(f);
	}
	if (f->dentry) {
		struct inode *named = dentry_inode(f->dentry); /* a console's file has another one */

		atomic_fetch_sub(&named->opens, 1);
		notify_end(named);
		dentry_put(f->dentry);
	}
	inode_put(f->inode);
	rcu_call(&f->rcu, file_free_rcu);
}

/*
 * A socket holds the descriptors that wait in it, which may be sockets that hold others, as deep as the application likes. So the release
 * of a file does not release further ones: they gather in a list, which the outermost file_put() of the thread empties.
 */
void file_put(struct file *f)
{
	struct thread *t = current;
	struct file *more = NULL;

	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (t->releases) {
		f->release_next = *t->releases;
		*t->releases = f;
		return;
	}
	t->releases = &more;
	file_release(f);
	while (more) {
		f = more;
		more = f->release_next;
		file_release(f);
	}
	t->releases = NULL;
}

ssize_t file_path(struct file *f, char *buf, size_t size)
{
	size_t n;

	/* Opened by a link in /proc, what has no name has a place of its own in the tree (fd_follow()), but still no name. */
	if (f->dentry && f->dentry->sb != &anon_sb)
		return dentry_path(f->dentry, buf, size);
	if (f->inode->ops == &anon_ops) {
		struct anon_inode *a = container_of(f->inode, struct anon_inode, inode);

		if (str_starts(a->name, "anon_inode:") || strchr(a->name, '['))
			n = strlcpy(buf, a->name, size);
		else
			n = snprintf(buf, size, "%s:[%lu]", a->name, (unsigned long)f->inode->ino);
	} else if (f->inode->ops->readlink) {
		ssize_t r = f->inode->ops->readlink(f->inode, buf, size - 1);

		if (r < 0)
			return r;
		n = r;
		buf[n] = 0;
	} else {
		n = snprintf(buf, size, "anon_inode:[%lu]", (unsigned long)f->inode->ino);
	}
	return n < size ? (ssize_t)n : -ENAMETOOLONG;
}
