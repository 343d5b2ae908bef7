/*
 * kernel/fs/squashfs.c - squashfs 4.0: superblock, inodes, directories.
 *
 * Theory:    Inodes and directory listings are streams of metadata blocks of at most 8 KiB, each with a
 *            16-bit header. A small cache holds the blocks used last. Nothing in the image is trusted:
 *            every position and length is checked against the image before it is used, and every loop is
 *            bounded by a checked size.
 * Interface: squashfs.h; data blocks are read by squashfs_data.c.
 * Locking:   meta_lock guards the metadata cache and is held while a block is read.
 * Errors:    see squashfs.h.
 */
#include "fs/squashfs.h"
#include "fs/squashfs_format.h"
#include "core/log.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/stat.h>

struct sqfs_meta_block {
	uint64_t start, next; /* in the image: header of this block, of the following one */
	uint64_t used;        /* tick of the last use */
	unsigned len;
	unsigned char *data;  /* SQFS_META_BYTES, apart so that both fit their allocations */
};

int sqfs_bad(struct sqfs *fs, const char *what, uint64_t where)
{
	log_err("%s: squashfs image is damaged: %s at byte %lu", fs->source->name, what,
		(unsigned long)where);
	return -EIO;
}

/* --- metadata ------------------------------------------------------------------------------------ */

/*
 * `len` bytes at `start`, from a window: neighbouring metadata blocks are wanted soon, and a request to
 * the disk costs more than its bytes. *len may come back shorter only at the end of the image.
 */
static int window_get(struct sqfs *fs, uint64_t start, size_t *len, const unsigned char **data)
{
	struct sqfs_window *w = &fs->windows[start >= fs->directory_table];
	size_t want = MIN(*len, fs->bytes_used - start);
	int r;

	if (!w->data) {
		w->data = kmalloc(SQFS_WINDOW_BYTES);
		if (!w->data)
			return -ENOMEM;
		w->len = 0;
	}
	if (start < w->start || start + want > w->start + w->len) {
		w->len = 0;
		w->start = start;
		r = fs->source->read(fs->source, start, w->data,
				     MIN((uint64_t)SQFS_WINDOW_BYTES, fs->bytes_used - start));
		if (r)
			return r;
		w->len = MIN((uint64_t)SQFS_WINDOW_BYTES, fs->bytes_used - start);
	}
	*data = w->data + (start - w->start);
	*len = want;
	return 0;
}

static int meta_load(struct sqfs *fs, uint64_t start, struct sqfs_meta_block *m)
{
	const unsigned char *raw;
	size_t have = SQFS_META_BYTES + 2;
	uint16_t head;
	uint32_t len;
	int r;

	if (start < sizeof(struct sqfs_super) || start > fs->bytes_used - 2)
		return sqfs_bad(fs, "metadata position", start);
	r = window_get(fs, start, &have, &raw);
	if (r)
		return r;
	memcpy(&head, raw, 2);
	len = head & ~SQFS_META_STORED;
	if (!len || len > SQFS_META_BYTES || len > have - 2)
		return sqfs_bad(fs, "metadata length", start);
	if (head & SQFS_META_STORED) {
		memcpy(m->data, raw + 2, len);
		m->len = len;
	} else {
		r = sqfs_inflate_memory(fs, start, raw + 2, len, m->data, SQFS_META_BYTES, &m->len);
	}
	m->start = start;
	m->next = start + 2 + len;
	return r;
}

/* The cached block at start; meta_lock held. */
static struct sqfs_meta_block *meta_get(struct sqfs *fs, uint64_t start)
{
	struct sqfs_meta_block *m;
	unsigned slot = 0;
	int r;

	for (unsigned i = 0; i < SQFS_META_SLOTS; i++) {
		m = fs->meta[i];
		if (m && m->start == start) {
			m->used = ++fs->meta_tick;
			return m;
		}
		if (!m || (fs->meta[slot] && m->used < fs->meta[slot]->used))
			slot = i;
	}
	m = fs->meta[slot];
	if (!m) {
		m = kmalloc(sizeof(*m));
		if (!m)
			return ERR_PTR(-ENOMEM);
		m->data = kmalloc(SQFS_META_BYTES);
		if (!m->data) {
			kfree(m);
			return ERR_PTR(-ENOMEM);
		}
		fs->meta[slot] = m;
	}
	m->start = 0; /* not valid while it is loaded, or if that fails */
	r = meta_load(fs, start, m);
	if (r) {
		m->start = 0;
		m->used = 0;
		return ERR_PTR(r);
	}
	m->used = ++fs->meta_tick;
	return m;
}

/* Copies len bytes of a metadata stream and moves the position behind them. */
int sqfs_meta_read(struct sqfs *fs, uint64_t *block, uint32_t *offset, void *buf, size_t len)
{
	unsigned char *dst = buf;
	int r = 0;

	mutex_lock(&fs->meta_lock);
	while (len) {
		struct sqfs_meta_block *m = meta_get(fs, *block);
		size_t n;

		if (IS_ERR(m)) {
			r = PTR_ERR(m);
			break;
		}
		if (*offset >= m->len) {
			if (*offset > m->len || m->len != SQFS_META_BYTES) {
				r = sqfs_bad(fs, "metadata offset", *block);
				break;
			}
			*block = m->next;
			*offset = 0;
			continue;
		}
		n = MIN(len, (size_t)(m->len - *offset));
		if (dst) {
			memcpy(dst, m->data + *offset, n);
			dst += n;
		}
		*offset += n;
		len -= n;
	}
	mutex_unlock(&fs->meta_lock);
	return r;
}

/* --- tables -------------------------------------------------------------------------------------------- */

static int id_get(struct sqfs *fs, uint16_t index, uint32_t *id)
{
	if (index >= fs->nids)
		return sqfs_bad(fs, "user number", index);
	*id = fs->ids[index];
	return 0;
}

/* A table of `count` entries of `size` bytes, kept in metadata blocks: the positions of these blocks stand
 * at `where`. Encoded error. */
static uint64_t *table_positions(struct sqfs *fs, uint64_t where, uint64_t count, size_t size)
{
	uint64_t n = (count * size + SQFS_META_BYTES - 1) / SQFS_META_BYTES, *table;
	int r;

	if (where < sizeof(struct sqfs_super) || where > fs->bytes_used || n * 8 > fs->bytes_used - where)
		return ERR_PTR(sqfs_bad(fs, "table position", where));
	table = kmalloc(n * 8);
	if (!table)
		return ERR_PTR(-ENOMEM);
	r = fs->source->read(fs->source, where, table, n * 8);
	if (r) {
		kfree(table);
		return ERR_PTR(r);
	}
	return table;
}

static int ids_load(struct sqfs *fs, uint64_t where)
{
	uint64_t *blocks = table_positions(fs, where, fs->nids, 4);
	int r = 0;

	if (IS_ERR(blocks))
		return PTR_ERR(blocks);
	fs->ids = kmalloc(fs->nids * 4);
	if (!fs->ids)
		r = -ENOMEM;
	for (uint32_t i = 0; i < fs->nids && !r; i += 2048) {
		uint32_t offset = 0;

		r = sqfs_meta_read(fs, &blocks[i / 2048], &offset, fs->ids + i, MIN(fs->nids - i, 2048u) * 4);
	}
	kfree(blocks);
	return r;
}

/* --- superblock ------------------------------------------------------------------------------------ */

int sqfs_open(struct sqfs *fs, struct sqfs_source *source)
{
	struct sqfs_super sb;
	int r;

	memset(fs, 0, sizeof(*fs));
	fs->source = source;
	mutex_init(&fs->meta_lock, "squashfs metadata");
	mutex_init(&fs->frag_lock, "squashfs fragments");
	if (source->length < sizeof(sb))
		return sqfs_bad(fs, "length", source->length);
	r = source->read(source, 0, &sb, sizeof(sb));
	if (r)
		return r;
	if (sb.magic != SQFS_MAGIC)
		return sqfs_bad(fs, "no superblock", 0);
	if (sb.major != 4 || sb.minor != 0) {
		log_err("%s: squashfs version %u.%u is not supported (4.0 is)", source->name, sb.major,
			sb.minor);
		return -EINVAL;
	}
	if (sb.block_log < 12 || sb.block_log > 20 || sb.block_size != 1u << sb.block_log)
		return sqfs_bad(fs, "block size", 12);
	if (sb.bytes_used > source->length || sb.bytes_used < sizeof(sb))
		return sqfs_bad(fs, "image size", 40);
	if (sb.compression != SQFS_COMPRESS_GZIP) {
		log_err("%s: squashfs compression %u is not supported: use gzip, or none", source->name,
			sb.compression);
		return -EINVAL;
	}
	if (sb.inode_table < sizeof(sb) || sb.inode_table >= sb.directory_table ||
	    sb.directory_table >= sb.bytes_used || sb.id_table >= sb.bytes_used || !sb.ids)
		return sqfs_bad(fs, "table positions", 48);
	if (sb.fragments > sb.bytes_used)
		return sqfs_bad(fs, "number of fragments", 16);
	fs->block_size = sb.block_size;
	fs->block_log = sb.block_log;
	fs->compression = sb.compression;
	fs->nfragments = sb.fragments;
	fs->nids = sb.ids;
	fs->ninodes = sb.inodes;
	fs->root_ref = sb.root_inode;
	fs->bytes_used = sb.bytes_used;
	fs->inode_table = sb.inode_table;
	fs->directory_table = sb.directory_table;
	fs->max_frags = MAX(1u, (512u << 10) >> fs->block_log);
	fs->max_frags = MIN(fs->max_frags, 4u);
	r = ids_load(fs, sb.id_table);
	if (!r && fs->nfragments) {
		fs->fragment_blocks = table_positions(fs, sb.fragment_table, fs->nfragments, 16);
		if (IS_ERR(fs->fragment_blocks)) {
			r = PTR_ERR(fs->fragment_blocks);
			fs->fragment_blocks = NULL;
		}
	}
	if (r)
		sqfs_close(fs);
	return r;
}

void sqfs_close(struct sqfs *fs)
{
	for (unsigned i = 0; i < SQFS_META_SLOTS; i++) {
		if (fs->meta[i])
			kfree(fs->meta[i]->data);
		kfree(fs->meta[i]);
		fs->meta[i] = NULL;
	}
	for (unsigned i = 0; i < 2; i++) {
		kfree(fs->windows[i].data);
		fs->windows[i].data = NULL;
	}
	kfree(fs->ids);
	kfree(fs->fragment_blocks);
	fs->ids = NULL;
	fs->fragment_blocks = NULL;
	sqfs_frags_free(fs);
}

/* --- inodes ---------------------------------------------------------------------------------------- */

static const uint32_t type_modes[] = {
	[SQFS_DIR] = S_IFDIR, [SQFS_REG] = S_IFREG, [SQFS_SYMLINK] = S_IFLNK,
	[SQFS_BLKDEV] = S_IFBLK, [SQFS_CHRDEV] = S_IFCHR, [SQFS_FIFO] = S_IFIFO,
	[SQFS_SOCKET] = S_IFSOCK, [SQFS_LDIR] = S_IFDIR, [SQFS_LREG] = S_IFREG,
	[SQFS_LSYMLINK] = S_IFLNK, [SQFS_LBLKDEV] = S_IFBLK, [SQFS_LCHRDEV] = S_IFCHR,
	[SQFS_LFIFO] = S_IFIFO, [SQFS_LSOCKET] = S_IFSOCK,
};

/* What stands behind the common head, by type. FIFOs and sockets have the number of links alone. */
union body_disk {
	struct sqfs_dir_disk dir;
	struct sqfs_ldir_disk ldir;
	struct sqfs_reg_disk reg;
	struct sqfs_lreg_disk lreg;
	struct sqfs_symlink_disk symlink;
	struct sqfs_dev_disk dev;
	uint32_t nlink;
};

static const uint8_t body_sizes[] = {
	[SQFS_DIR] = sizeof(struct sqfs_dir_disk), [SQFS_REG] = sizeof(struct sqfs_reg_disk), [SQFS_SYMLINK] = sizeof(struct sqfs_symlink_disk),
	[SQFS_BLKDEV] = sizeof(struct sqfs_dev_disk), [SQFS_CHRDEV] = sizeof(struct sqfs_dev_disk), [SQFS_FIFO] = sizeof(uint32_t),
	[SQFS_SOCKET] = sizeof(uint32_t), [SQFS_LDIR] = sizeof(struct sqfs_ldir_disk), [SQFS_LREG] = sizeof(struct sqfs_lreg_disk),
	[SQFS_LSYMLINK] = sizeof(struct sqfs_symlink_disk), [SQFS_LBLKDEV] = sizeof(struct sqfs_dev_disk),
	[SQFS_LCHRDEV] = sizeof(struct sqfs_dev_disk), [SQFS_LFIFO] = sizeof(uint32_t), [SQFS_LSOCKET] = sizeof(uint32_t),
};

/* The part behind the common head. *block and *offset stand there. */
static int inode_read_body(struct sqfs *fs, unsigned type, uint64_t *block, uint32_t *offset,
			   struct sqfs_inode *out)
{
	union body_disk d;
	int r = sqfs_meta_read(fs, block, offset, &d, body_sizes[type]);

	if (r)
		return r;
	switch (type) {
	case SQFS_DIR:
		out->start = d.dir.start;
		out->nlink = d.dir.nlink;
		out->size = d.dir.size;
		out->offset = d.dir.offset;
		break;
	case SQFS_LDIR:
		out->start = d.ldir.start;
		out->nlink = d.ldir.nlink;
		out->size = d.ldir.size;
		out->offset = d.ldir.offset;
		out->nindex = d.ldir.nindex;
		break;
	case SQFS_REG:
		out->start = d.reg.start;
		out->size = d.reg.size;
		out->fragment = d.reg.fragment;
		out->offset = d.reg.offset;
		break;
	case SQFS_LREG:
		out->start = d.lreg.start;
		out->size = d.lreg.size;
		out->nlink = d.lreg.nlink;
		out->fragment = d.lreg.fragment;
		out->offset = d.lreg.offset;
		break;
	case SQFS_SYMLINK:
	case SQFS_LSYMLINK:
		out->nlink = d.symlink.nlink;
		out->size = d.symlink.size;
		break;
	case SQFS_BLKDEV:
	case SQFS_CHRDEV:
	case SQFS_LBLKDEV:
	case SQFS_LCHRDEV:
		out->nlink = d.dev.nlink;
		out->rdev = d.dev.rdev;
		break;
	default: out->nlink = d.nlink; /* FIFO, socket */
	}
	return 0;
}

int sqfs_inode_read(struct sqfs *fs, uint64_t ref, struct sqfs_inode *out)
{
	struct sqfs_inode_head head;
	uint64_t block = fs->inode_table + (ref >> 16);
	uint32_t offset = ref & 0xffff;
	uint32_t type;
	int r;

	memset(out, 0, sizeof(*out));
	if (ref >> 48 || block >= fs->directory_table || offset >= SQFS_META_BYTES)
		return sqfs_bad(fs, "inode reference", ref);
	r = sqfs_meta_read(fs, &block, &offset, &head, sizeof(head));
	if (r)
		return r;
	type = head.type;
	if (type < SQFS_DIR || type > SQFS_LSOCKET)
		return sqfs_bad(fs, "inode type", block);
	out->ref = ref;
	out->mode = type_modes[type] | (head.mode & 07777);
	out->mtime = head.mtime;
	out->number = head.number;
	out->nlink = 1;
	out->fragment = SQFS_NO_FRAGMENT;
	r = id_get(fs, head.uid, &out->uid);
	if (!r)
		r = id_get(fs, head.gid, &out->gid);
	if (!r)
		r = inode_read_body(fs, type, &block, &offset, out);
	if (r)
		return r;
	out->meta_block = block;
	out->meta_offset = offset;
	if (S_ISREG(out->mode)) {
		if (out->start > fs->bytes_used || out->size > (uint64_t)INT64_MAX ||
		    (out->fragment != SQFS_NO_FRAGMENT &&
		     (out->fragment >= fs->nfragments || out->offset >= fs->block_size)))
			return sqfs_bad(fs, "file inode", block);
	} else if (S_ISLNK(out->mode)) {
		if (!out->size || out->size >= 65536)
			return sqfs_bad(fs, "length of a symbolic link", block);
	} else if (S_ISDIR(out->mode)) {
		/* The size on disk counts three bytes for "." and ".." that are not there. */
		out->size = out->size > 3 ? out->size - 3 : 0;
		if (out->offset >= SQFS_META_BYTES)
			return sqfs_bad(fs, "directory inode", block);
	}
	return 0;
}

ssize_t sqfs_readlink(struct sqfs *fs, const struct sqfs_inode *link, char *buf, size_t size)
{
	uint64_t block = link->meta_block;
	uint32_t offset = link->meta_offset;
	size_t len = MIN((uint64_t)size, link->size);
	int r = sqfs_meta_read(fs, &block, &offset, buf, len);

	if (r)
		return r;
	if (memchr(buf, 0, len))
		return sqfs_bad(fs, "symbolic link", block);
	return len;
}

/* --- directories ------------------------------------------------------------------------------------ */

struct dir_cursor {
	struct sqfs *fs;
	uint64_t block;
	uint32_t offset;
	uint64_t left;    /* bytes of the listing behind the cursor */
	uint32_t entries; /* of the current header, behind the cursor */
	struct sqfs_dir_head head;
	char name[257];
};

static int cursor_read(struct dir_cursor *c, void *buf, size_t len)
{
	if (len > c->left)
		return sqfs_bad(c->fs, "directory length", c->block);
	c->left -= len;
	return sqfs_meta_read(c->fs, &c->block, &c->offset, buf, len);
}

static int cursor_start(struct dir_cursor *c, struct sqfs *fs, const struct sqfs_inode *dir)
{
	c->fs = fs;
	c->block = fs->directory_table + dir->start;
	c->offset = dir->offset;
	c->left = dir->size;
	c->entries = 0;
	if (dir->size && c->block >= fs->bytes_used)
		return sqfs_bad(fs, "directory position", c->block);
	return 0;
}

/* The next entry: its name is in c->name. 1, 0 at the end, or -errno. */
static int cursor_next(struct dir_cursor *c, struct sqfs_dir_entry *e)
{
	int r;

	if (!c->entries) {
		if (!c->left)
			return 0;
		r = cursor_read(c, &c->head, sizeof(c->head));
		if (r)
			return r;
		if (c->head.count >= 256)
			return sqfs_bad(c->fs, "directory header", c->block);
		c->entries = c->head.count + 1;
	}
	r = cursor_read(c, e, sizeof(*e));
	if (r)
		return r;
	if (e->name_size >= 255)
		return sqfs_bad(c->fs, "name length", c->block);
	r = cursor_read(c, c->name, e->name_size + 1u);
	if (r)
		return r;
	c->name[e->name_size + 1] = 0;
	if (memchr(c->name, 0, e->name_size + 1u) || memchr(c->name, '/', e->name_size + 1u))
		return sqfs_bad(c->fs, "name", c->block);
	c->entries--;
	return 1;
}

static uint64_t entry_ref(const struct dir_cursor *c, const struct sqfs_dir_entry *e)
{
	return (uint64_t)c->head.start << 16 | e->offset;
}

/* Listings are sorted by bytes. Negative, 0 or positive as strcmp. */
static int name_compare(const char *a, size_t alen, const char *b, size_t blen)
{
	int r = memcmp(a, b, MIN(alen, blen));

	return r ? r : alen < blen ? -1 : alen > blen;
}

/* Large directories have an index: the first name of some headers. Moves the cursor to the last one
 * that is not behind `name`. */
static int cursor_index(struct dir_cursor *c, const struct sqfs_inode *dir, const char *name, size_t len)
{
	uint64_t block = dir->meta_block;
	uint32_t offset = dir->meta_offset;
	struct sqfs_dir_index index, best;
	char *first = c->name;
	bool found = false;

	for (unsigned i = 0; i < dir->nindex; i++) {
		int r = sqfs_meta_read(c->fs, &block, &offset, &index, sizeof(index));

		if (r)
			return r;
		if (index.name_size >= 255)
			return sqfs_bad(c->fs, "directory index", block);
		r = sqfs_meta_read(c->fs, &block, &offset, first, index.name_size + 1u);
		if (r)
			return r;
		if (name_compare(first, index.name_size + 1u, name, len) > 0)
			break;
		best = index;
		found = true;
	}
	if (!found)
		return 0;
	if (best.index >= dir->size || c->fs->directory_table + best.start >= c->fs->bytes_used)
		return sqfs_bad(c->fs, "directory index", block);
	/* `index` counts bytes of the listing; the offset in the block follows from it. */
	c->offset = (dir->offset + best.index) % SQFS_META_BYTES;
	c->block = c->fs->directory_table + best.start;
	c->left = dir->size - best.index;
	return 0;
}

int sqfs_lookup(struct sqfs *fs, const struct sqfs_inode *dir, const char *name, size_t len,
		uint64_t *ref)
{
	struct dir_cursor *c;
	struct sqfs_dir_entry e;
	int r;

	if (!dir->size)
		return -ENOENT;
	c = kmalloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	r = cursor_start(c, fs, dir);
	if (!r && dir->nindex)
		r = cursor_index(c, dir, name, len);
	while (!r) {
		int cmp;

		r = cursor_next(c, &e);
		if (r <= 0) {
			r = r ? r : -ENOENT;
			break;
		}
		cmp = name_compare(c->name, e.name_size + 1u, name, len);
		r = 0;
		if (cmp == 0) {
			*ref = entry_ref(c, &e);
			break;
		}
		if (cmp > 0)
			r = -ENOENT;
	}
	kfree(c);
	return r;
}

int sqfs_readdir(struct sqfs *fs, const struct sqfs_inode *dir, uint64_t *pos,
		 bool (*emit)(void *arg, const char *name, size_t len, uint64_t ref, uint32_t number,
			      unsigned type, uint64_t next),
		 void *arg)
{
	struct dir_cursor *c;
	struct sqfs_dir_entry e;
	int r;

	if (!dir->size)
		return 0;
	c = kmalloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	r = cursor_start(c, fs, dir);
	for (uint64_t n = 0; !r; n++) {
		r = cursor_next(c, &e);
		if (r <= 0)
			break;
		r = 0;
		if (n < *pos)
			continue;
		if (e.type < SQFS_DIR || e.type > SQFS_SOCKET) {
			r = sqfs_bad(fs, "entry type", c->block);
			break;
		}
		if (!emit(arg, c->name, e.name_size + 1u, entry_ref(c, &e),
			  c->head.inode + e.inode, type_modes[e.type] >> 12, n + 1))
			break;
		*pos = n + 1;
	}
	kfree(c);
	return r;
}
