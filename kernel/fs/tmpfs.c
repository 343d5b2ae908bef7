/*
 * kernel/fs/tmpfs.c - pages in memory: their cap, and the operations of regular files.
 *
 * Theory:    Every file that lives in memory, on whichever mount, shares one cap (option tmp.max; see default_max()). memfds
 *            are the application's own memory and stand outside it, as on Linux. Files, directories, links and names that
 *            are made take memory of the kernel's: there may be as many as pages (INODES_MIN at least, as the machine makes some itself).
 *            Reading and writing is the same for all regular files: it goes through the page cache of the inode.
 * Interface: regular_file_ops, tmpfs_pages, memfd_pages, tmpfs_charge(), tmpfs_charge_inode(), tmpfs_usage() in inode.h.
 * Locking:   the count is atomic; write_lock of the inode serialises writers, each with all that its call writes.
 * Errors:    -ENOSPC at the cap, -EFBIG, -EPERM (sealed).
 */
#include "fs/inode.h"
#include "core/boot.h"
#include "core/log.h"
#include "lib/string.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/uio.h>

#define JVM_BYTES MIB(64ul)
#define INODES_MIN 1024

static _Atomic int64_t used_pages;
static _Atomic int64_t used_inodes;
static int64_t max_pages = INT64_MAX;

static int64_t max_inodes(void) { return MAX(max_pages, (int64_t)INODES_MIN); }

/* Counts n more, or less. -ENOSPC if that were more than max. */
static int charge(_Atomic int64_t *used, int64_t n, int64_t max)
{
	int64_t sum = atomic_fetch_add(used, n) + n;

	if (n > 0 && sum > max) {
		atomic_fetch_sub(used, n);
		return -ENOSPC;
	}
	return 0;
}

int tmpfs_charge(struct pagecache *cache, int64_t npages) { return charge(&used_pages, npages, max_pages); }
int tmpfs_charge_inode(int64_t n) { return charge(&used_inodes, n, max_inodes()); }

static void pages_stored(struct pagecache *cache) { inode_touch(cache->owner, true); }

const struct pagecache_ops tmpfs_pages = { .charge = tmpfs_charge, .stored = pages_stored };
const struct pagecache_ops memfd_pages = { .stored = pages_stored };

void tmpfs_usage(struct tmpfs_usage *out)
{
	*out = (struct tmpfs_usage){
		.max_pages = (uint64_t)max_pages, .used_pages = (uint64_t)atomic_load(&used_pages),
		.max_inodes = (uint64_t)max_inodes(), .used_inodes = (uint64_t)atomic_load(&used_inodes),
	};
}

/*
 * Half of memory, but what a small JVM needs stays out of reach: an application that fills /tmp shall be told so and live on.
 */
static uint64_t default_max(uint64_t total)
{
	return MIN(total / 2, MAX(total / 8, total > JVM_BYTES ? total - JVM_BYTES : 0));
}

/* tmp.max=BYTES[K|M|G] or N%. */
void tmpfs_set_max(void)
{
	struct mem_stats mem;
	char text[32];
	const char *end;
	uint64_t n;

	mem_stats_get(&mem);
	max_pages = default_max(mem.total) / PAGE_SIZE;
	if (!option_get("tmp.max", text, sizeof(text)))
		return;
	if (parse_u64(text, &end, &n)) {
		log_warn("option tmp.max=%s is not a size: ignored", text);
		return;
	}
	switch (*end) {
	case '%':
		max_pages = mem.total / PAGE_SIZE * MIN(n, 100ul) / 100;
		return;
	case 'G': case 'g':
		n <<= 10;
		/* fallthrough */
	case 'M': case 'm':
		n <<= 10;
		/* fallthrough */
	case 'K': case 'k':
		n <<= 10;
	}
	max_pages = n / PAGE_SIZE;
}

/* --- regular files -------------------------------------------------------------------------------------- */

static struct pagecache *regular_map(struct file *f) { return f->inode->ops->cache(f->inode); }

static ssize_t regular_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct pagecache *c = f->inode->ops->cache(f->inode);

	if (IS_ERR(c))
		return PTR_ERR(c);
	return pagecache_read(c, pos, buf, len);
}

/* One piece of a write. write_lock held. */
static ssize_t piece_write(struct inode *inode, struct pagecache *c, uaddr_t buf, size_t len, uint64_t pos)
{
	uint64_t size = atomic_load(&c->size_bytes);

	if (pos > INT64_MAX - len)
		return -EFBIG;
	if ((atomic_load(&inode->seals) & F_SEAL_GROW) && pos + len > size) {
		/* As on Linux, which writes page by page: what lies before the page that would have to grow. */
		uint64_t whole = ALIGN_DOWN(size, PAGE_SIZE);

		if (pos >= whole)
			return -EPERM;
		len = whole - pos;
	}
	return pagecache_write(c, pos, buf, len);
}

static ssize_t regular_write_vector(struct file *f, const struct iovec *iov, unsigned n, uint64_t pos)
{
	struct inode *inode = f->inode;
	ssize_t total = 0, r = 0;
	struct pagecache *c;

	mutex_lock(&inode->write_lock);
	c = inode->ops->cache(inode);
	if (IS_ERR(c)) {
		r = PTR_ERR(c);
		goto out;
	}
	if (f->flags & O_APPEND)
		pos = atomic_load(&c->size_bytes);
	for (unsigned i = 0; i < n; i++) {
		size_t len = iov[i].iov_len;

		if (!len)
			continue; /* to a sealed file, too */
		if (atomic_load(&inode->seals) & F_SEAL_WRITE)
			r = -EPERM;
		else
			r = piece_write(inode, c, (uaddr_t)iov[i].iov_base, len, pos);
		if (r < 0)
			break;
		total += r;
		pos += (uint64_t)r;
		if ((size_t)r < len)
			break;
	}
	if (total > 0)
		inode_touch(inode, true);
out:
	mutex_unlock(&inode->write_lock);
	return total ? total : r;
}

static ssize_t regular_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct iovec one = { (void *)buf, len };

	return regular_write_vector(f, &one, 1, pos);
}

/* First byte at or behind off that is data (or a hole), or -ENXIO behind the end. */
static int64_t seek_data(struct pagecache *c, uint64_t off, bool hole)
{
	uint64_t size = atomic_load(&c->size_bytes), first;

	if (off >= size)
		return -ENXIO;
	if (c->ops->fill)
		return hole ? size : off;
	first = pagecache_seek(c, off / PAGE_SIZE, (size - 1) / PAGE_SIZE + 1, hole) * PAGE_SIZE;
	if (first >= size)
		return hole ? (int64_t)size : -ENXIO;
	return MAX(off, first);
}

static int64_t regular_lseek(struct file *f, int64_t off, int whence)
{
	struct pagecache *c = f->inode->ops->cache(f->inode);
	int64_t size;

	if (IS_ERR(c))
		return PTR_ERR(c);
	size = atomic_load(&c->size_bytes);
	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		if (__builtin_add_overflow(off, (int64_t)f->pos, &off))
			return -EOVERFLOW;
		break;
	case SEEK_END:
		if (__builtin_add_overflow(off, size, &off))
			return -EOVERFLOW;
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		if (off < 0)
			return -ENXIO;
		off = seek_data(c, off, whence == SEEK_HOLE);
		if (off < 0)
			return off;
		break;
	default:
		return -EINVAL;
	}
	if (off < 0)
		return -EINVAL;
	f->pos = off;
	return off;
}

static int regular_fsync(struct file *f) { return 0; } /* memory: nothing is further away */

/* Is there memory for the pages of [off, end) bytes that are missing? */
static bool range_fits(struct pagecache *c, uint64_t off, uint64_t end)
{
	uint64_t first = off / PAGE_SIZE, last = end / PAGE_SIZE + (end % PAGE_SIZE != 0);

	return mm_pages_fit(last - first) || mm_pages_fit(last - first - pagecache_count(c, first, last));
}

static int regular_allocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
	struct inode *inode = f->inode;
	struct pagecache *c;
	uint64_t size, end = off + len;
	uint32_t seals;
	int r = 0;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_PUNCH_HOLE) && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	mutex_lock(&inode->write_lock);
	c = inode->ops->cache(inode);
	if (IS_ERR(c)) {
		r = PTR_ERR(c);
		goto out;
	}
	seals = atomic_load(&inode->seals);
	size = atomic_load(&c->size_bytes);
	if (((seals & F_SEAL_WRITE) && (mode & ~FALLOC_FL_KEEP_SIZE)) ||
	    ((seals & F_SEAL_GROW) && !(mode & FALLOC_FL_KEEP_SIZE) && end > size)) {
		r = -EPERM;
		goto out;
	}
	if (!(mode & FALLOC_FL_PUNCH_HOLE) && !range_fits(c, off, end)) {
		r = -ENOSPC;
		goto out;
	}
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		r = pagecache_punch(c, off, MIN(end, ALIGN_UP(size, PAGE_SIZE)));
	if (!r && !(mode & FALLOC_FL_KEEP_SIZE) && end > size)
		r = pagecache_truncate(c, end);
	if (!r && !(mode & FALLOC_FL_PUNCH_HOLE)) {
		uint64_t last = MIN(end, ALIGN_UP(atomic_load(&c->size_bytes), PAGE_SIZE));

		for (uint64_t at = ALIGN_DOWN(off, PAGE_SIZE); at < last; at += PAGE_SIZE) {
			struct page *p = pagecache_get(c, at / PAGE_SIZE, PAGECACHE_CREATE | PAGECACHE_IF_FITS);

			if (IS_ERR(p)) {
				r = PTR_ERR(p);
				if (end > size && !(mode & FALLOC_FL_KEEP_SIZE))
					pagecache_truncate(c, size);
				break;
			}
			page_put(p);
		}
	}
	if (!r)
		inode_touch(inode, true);
out:
	mutex_unlock(&inode->write_lock);
	return r;
}

const struct file_ops regular_file_ops = {
	.read = regular_read,
	.write = regular_write,
	.write_vector = regular_write_vector,
	.lseek = regular_lseek,
	.plain_position = true,
	.map = regular_map,
	.fsync = regular_fsync,
	.allocate = regular_allocate,
};
