/*
 * kernel/fs/overlay.c - tmpfs and the merged root: nodes, pinning, attributes, mounting.
 *
 * Theory and locking: overlay.h.
 * Interface: overlay_new(), overlay_add_layer(), overlay_finish() of inode.h.
 * Errors:    -ENOMEM, -ENOSPC (cap of tmpfs), -EIO from a layer.
 */
#include "fs/overlay.h"
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "fs/squashfs_format.h"
#include "lib/string.h"
#include <linux/magic.h>

static const struct inode_ops *ops_for(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return &overlay_dir_ops;
	case S_IFREG:
		return &overlay_file_ops;
	case S_IFLNK:
		return &overlay_link_ops;
	default:
		return &overlay_dev_ops;
	}
}

static int dev_open(struct inode *inode, struct file *f)
{
	return S_ISCHR(inode_type(inode)) ? chrdev_open(inode, f) : -ENXIO;
}

static const struct file_ops no_file_ops; /* symbolic links (O_PATH), devices before their open */

static const struct file_ops *file_ops_for(uint32_t mode)
{
	return S_ISDIR(mode) ? &overlay_dir_file_ops : S_ISREG(mode) ? &regular_file_ops : &no_file_ops;
}

struct node *node_new(struct superblock *sb, uint32_t mode)
{
	struct node *n = kzalloc(sizeof(*n));

	if (!n)
		return NULL;
	inode_setup(&n->inode, sb, ops_for(mode), file_ops_for(mode), mode);
	/* Numbers of layers have bits 32 and up; both are stable while the node lives. */
	n->inode.ino = atomic_fetch_add(&sb->next_ino, 1);
	return n;
}

struct node *node_from_lower(struct superblock *sb, struct node *parent, const char *name, size_t len,
			     const struct lower *lowers, unsigned count)
{
	const struct sqfs_inode *info = &lowers[0].info;
	struct node *n = node_new(sb, info->mode);
	int64_t time = file_time_make(info->mtime, 0);

	if (!n)
		return NULL;
	n->lowers = kmalloc(count * sizeof(*lowers));
	n->name = kmalloc(len + 1);
	if (!n->lowers || !n->name) {
		kfree(n->lowers);
		kfree(n->name);
		kfree(n);
		return NULL;
	}
	memcpy(n->lowers, lowers, count * sizeof(*lowers));
	n->nlowers = count;
	memcpy(n->name, name, len);
	n->name[len] = 0;
	n->parent = parent;
	if (parent)
		inode_get(&parent->inode);
	n->inode.uid = info->uid;
	n->inode.gid = info->gid;
	n->inode.nlink = info->nlink;
	n->inode.rdev = info->rdev;
	n->inode.ino = (uint64_t)(lowers[0].layer + 1) << 32 | info->number;
	n->inode.btime_ns = time;
	atomic_store(&n->inode.atime_ns, time);
	atomic_store(&n->inode.mtime_ns, time);
	atomic_store(&n->inode.ctime_ns, time);
	return n;
}

void overlay_evict(struct inode *inode)
{
	struct node *n = node_of(inode);

	while (n) { /* a node that was never pinned holds its parent */
		struct node *parent = n->pinned ? NULL : n->parent;

		notify_inode_gone(&n->inode);
		table_free(n);
		kfree(n->lowers);
		kfree(n->name);
		if (n->target)
			tmpfs_charge(NULL, -target_pages(n->target));
		kfree(n->target);
		tmpfs_charge_inode(-(int64_t)n->charged);
		node_free(n);
		if (!parent || atomic_fetch_sub_explicit(&parent->inode.refs, 1,
							 memory_order_acq_rel) != 1)
			break;
		n = parent;
	}
}

/* Enters the node, and before it its directories, into the tables. sb->lock held. */
int node_pin(struct node *n)
{
	while (!n->pinned) {
		struct node *top = n, *parent;
		struct entry *e;

		while (!top->parent->pinned) /* the root is pinned from the beginning */
			top = top->parent;
		parent = top->parent;
		e = table_add(parent, top->name, strlen(top->name), top);
		if (!e)
			return -ENOMEM;
		e->hides_lower = e->from_lower = true;
		kfree(top->name);
		top->name = NULL;
		top->parent = NULL;
		top->pinned = true;
		inode_put(&parent->inode); /* not the last: the parent's own entry holds it */
	}
	return 0;
}

void overlay_getattr(struct inode *inode, struct kstat *st)
{
	struct node *n = node_of(inode);
	struct pagecache *upper = n->upper_data;

	switch (inode_type(inode)) {
	case S_IFREG:
		if (upper && atomic_load(&n->inode.data) == upper) {
			st->size = atomic_load(&upper->size_bytes);
			st->blocks = atomic_load(&upper->npages) * (PAGE_SIZE / 512);
		} else if (n->nlowers) {
			st->size = n->lowers[0].info.size;
			st->blocks = (st->size + 511) / 512;
		}
		break;
	case S_IFLNK:
		st->size = n->target ? strlen(n->target) : n->lowers[0].info.size;
		break;
	case S_IFDIR:
		st->size = PAGE_SIZE;
		break;
	}
}

int overlay_setattr(struct inode *inode, const struct inode_attr *attr)
{
	struct node *n = node_of(inode);
	int r = node_pin(n);

	if (r)
		return r;
	if (attr->valid & ATTR_MODE)
		atomic_store(&inode->mode, inode_type(inode) | (attr->mode & 07777));
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

ssize_t overlay_readlink(struct inode *inode, char *buf, size_t size)
{
	struct node *n = node_of(inode);
	size_t len;

	if (!n->target)
		return sqfs_readlink(n->lowers[0].fs, &n->lowers[0].info, buf, size);
	len = MIN(strlen(n->target), size);
	memcpy(buf, n->target, len);
	return len;
}

const struct inode_ops overlay_link_ops = {
	.readlink = overlay_readlink,
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.evict = overlay_evict,
};

const struct inode_ops overlay_dev_ops = {
	.open = dev_open,
	.setattr = overlay_setattr,
	.evict = overlay_evict,
};

/* --- mounting --------------------------------------------------------------------------------------- */

static void overlay_statfs(struct superblock *sb, struct kstatfs *out)
{
	struct overlay *o = sb->priv;
	struct tmpfs_usage u;

	out->bsize = PAGE_SIZE;
	if (sb->flags & SB_RDONLY) {
		out->blocks = o->nlayers ? (o->layers[0]->bytes_used + PAGE_SIZE - 1) / PAGE_SIZE : 0;
		out->files = o->nlayers ? o->layers[0]->ninodes : 0;
		return;
	}
	tmpfs_usage(&u);
	out->blocks = u.max_pages;
	out->bfree = u.max_pages - MIN(u.max_pages, u.used_pages);
	out->files = u.max_inodes;
	out->ffree = u.max_inodes - MIN(u.max_inodes, u.used_inodes);
}

struct superblock *overlay_new(const char *type, const char *source, unsigned flags)
{
	struct superblock *sb;
	struct overlay *o = kzalloc(sizeof(*o));
	uint64_t magic = !strcmp(type, "overlay")    ? OVERLAYFS_SUPER_MAGIC
			 : !strcmp(type, "squashfs") ? SQUASHFS_MAGIC
						     : TMPFS_MAGIC;

	if (!o)
		return NULL;
	sb = superblock_new(type, source, magic, flags);
	if (!sb) {
		kfree(o);
		return NULL;
	}
	sb->priv = o;
	sb->statfs = overlay_statfs;
	return sb;
}

int overlay_add_layer(struct superblock *sb, struct sqfs *fs)
{
	struct overlay *o = sb->priv;

	if (o->nlayers == LAYERS_MAX)
		return -E2BIG;
	o->layers[o->nlayers++] = fs;
	return 0;
}

int overlay_finish(struct superblock *sb)
{
	struct overlay *o = sb->priv;
	struct lower *lowers = kzalloc(LAYERS_MAX * sizeof(*lowers));
	struct node *root;
	int r = 0;

	if (!lowers)
		return -ENOMEM;
	for (unsigned i = 0; i < o->nlayers && !r; i++) {
		lowers[i].fs = o->layers[i];
		lowers[i].layer = i;
		r = sqfs_inode_read(o->layers[i], o->layers[i]->root_ref, &lowers[i].info);
		if (!r && !S_ISDIR(lowers[i].info.mode))
			r = sqfs_bad(o->layers[i], "root inode", o->layers[i]->root_ref);
	}
	if (!r) {
		if (o->nlayers)
			root = node_from_lower(sb, NULL, "", 0, lowers, o->nlayers);
		else
			root = node_new(sb, S_IFDIR | (strcmp(sb->type, "tmpfs") ? 0755 : 01777));
		if (root) {
			root->pinned = true;
			sb->root = dentry_new_root(sb, &root->inode);
			r = IS_ERR(sb->root) ? PTR_ERR(sb->root) : 0;
		} else {
			r = -ENOMEM;
		}
	}
	kfree(lowers);
	return r;
}
