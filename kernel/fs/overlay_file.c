/*
 * kernel/fs/overlay_file.c - data of the overlay's files: from a layer, or in memory.
 *
 * Theory:    Pages of a layer's file are filled from squashfs, a whole block at a time when it is
 *            compressed (inflating half of it costs the same), else a window. Copy-up makes a second page
 *            cache in memory and switches to it; who has the old one mapped keeps seeing it.
 * Interface: overlay_prepare_write(), overlay_truncate(); overlay_file_cache() through inode_ops.
 * Locking:   caches are made under sb->lock by prepare_write, or by compare-and-swap.
 * Errors:    -ENOMEM, -ENOSPC, -EIO.
 */
#include "fs/overlay.h"
#include "core/log.h"
#include "core/rcu.h"
#include "lib/string.h"

#define WINDOW_PAGES 32u /* of stored data: 128 KiB */
#define FILL_PAGES_MAX 256u

/* --- pages of a layer -------------------------------------------------------------------------------- */

static int lower_fill(struct pagecache *cache, struct page **pages, unsigned n)
{
	struct lower_cache *c = container_of(cache, struct lower_cache, cache);
	void **bufs;
	int r;

	bufs = kmalloc(n * sizeof(*bufs));
	if (!bufs)
		return -ENOMEM;
	readahead_miss(cache->owner, cache, &c->readahead, pages[0]->index, n);
	for (unsigned i = 0; i < n; i++)
		bufs[i] = page_to_virt(pages[i]);
	r = sqfs_read(c->lower->fs, &c->lower->info, c->blocks, pages[0]->index * PAGE_SIZE, bufs, n);
	kfree(bufs);
	return r;
}

/* The page cache asks with its lock held, so nothing here may sleep for long: the list of blocks is there. */
static unsigned lower_cluster(struct pagecache *cache, uint64_t index, uint64_t *first)
{
	struct lower_cache *c = container_of(cache, struct lower_cache, cache);
	uint64_t npages = (c->lower->info.size + PAGE_SIZE - 1) / PAGE_SIZE;
	unsigned window = WINDOW_PAGES;

	if (!sqfs_is_stored(c->lower->fs, c->blocks, index * PAGE_SIZE))
		window = c->lower->fs->block_size / PAGE_SIZE;
	window = MIN(window, FILL_PAGES_MAX);
	*first = index - index % window;
	return MIN((uint64_t)window, npages > *first ? npages - *first : 1);
}

static const struct pagecache_ops lower_pages = { .fill = lower_fill, .cluster = lower_cluster };

/* The cache of the layer's data; made at its first use. */
static struct pagecache *lower_cache_get(struct node *n)
{
	struct lower_cache *c = n->lower_data;

	if (c)
		return &c->cache;
	c = kzalloc(sizeof(*c));
	if (!c)
		return ERR_PTR(-ENOMEM);
	c->lower = &n->lowers[0];
	c->blocks = sqfs_blocks_load(c->lower->fs, &c->lower->info);
	if (IS_ERR(c->blocks)) {
		long r = PTR_ERR(c->blocks);

		kfree(c);
		return ERR_PTR(r);
	}
	pagecache_init(&c->cache, &lower_pages, &n->inode);
	atomic_store(&c->cache.size_bytes, c->lower->info.size);
	n->lower_data = c;
	return &c->cache;
}

static struct pagecache *overlay_cache(struct inode *inode)
{
	struct node *n = node_of(inode);
	struct pagecache *c = atomic_load_explicit(&n->inode.data, memory_order_acquire);

	if (c)
		return c;
	mutex_lock(&inode->sb->lock);
	c = atomic_load(&n->inode.data);
	if (!c) {
		c = lower_cache_get(n);
		if (!IS_ERR(c))
			atomic_store_explicit(&n->inode.data, c, memory_order_release);
	}
	mutex_unlock(&inode->sb->lock);
	return c;
}

/* --- copy-up ------------------------------------------------------------------------------------------ */

static int data_copy(struct pagecache *from, struct pagecache *to, uint64_t size)
{
	for (uint64_t pos = 0; pos < size; pos += PAGE_SIZE) {
		struct page *p = pagecache_get(from, pos / PAGE_SIZE, 0);
		ssize_t n;

		if (IS_ERR(p))
			return PTR_ERR(p);
		n = pagecache_write_kernel(to, pos, page_to_virt(p), MIN(size - pos, PAGE_SIZE));
		page_put(p);
		if (n < 0)
			return n;
	}
	return 0;
}

int overlay_prepare_write(struct inode *inode, uint64_t keep)
{
	struct node *n = node_of(inode);
	struct pagecache *upper, *lower;
	int r = node_pin(n);

	if (r || n->upper_data)
		return r;
	lower = lower_cache_get(n);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	upper = kzalloc(sizeof(*upper));
	if (!upper)
		return -ENOMEM;
	pagecache_init(upper, &tmpfs_pages, inode);
	r = data_copy(lower, upper, MIN(keep, n->lowers[0].info.size));
	if (r) {
		pagecache_destroy(upper);
		kfree(upper);
		return r;
	}
	n->upper_data = upper;
	atomic_store_explicit(&n->inode.data, upper, memory_order_release);
	return 0;
}

int overlay_truncate(struct inode *inode, uint64_t size)
{
	struct node *n = node_of(inode);
	int r;

	if (inode->sb->flags & SB_RDONLY)
		return -EROFS;
	r = inode_prepare_write(inode, size);
	if (!r)
		r = pagecache_truncate(n->upper_data, size);
	if (!r)
		inode_touch(inode, true);
	return r;
}

static void node_free_rcu(struct rcu_head *head)
{
	struct node *n = container_of(head, struct node, rcu);

	kfree(n->upper_data);
	kfree(n->lower_data);
	kfree(n);
}

/* The pages go at once, what leads to them after a grace period: a short call may be looking (linux/short.c). */
void node_free(struct node *n)
{
	if (n->upper_data)
		pagecache_destroy(n->upper_data);
	if (n->lower_data) {
		pagecache_destroy(&n->lower_data->cache);
		kfree(n->lower_data->blocks);
	}
	rcu_call(&n->rcu, node_free_rcu);
}

const struct inode_ops overlay_file_ops = {
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.prepare_write = overlay_prepare_write,
	.truncate = overlay_truncate,
	.cache = overlay_cache,
	.evict = overlay_evict,
};
