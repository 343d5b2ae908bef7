/*
 * kernel/fs/squashfs_data.c - squashfs: data blocks and fragments.
 *
 * Theory:    A file is a row of blocks of block_size bytes, packed one behind the other, each stored,
 *            compressed or sparse; its tail may lie in a fragment, a block shared by several files. A
 *            stored piece is read from just where it is. A compressed block is inflated straight into the
 *            pages that ask; a compressed fragment into a small cache, because neighbours follow.
 * Interface: squashfs.h.
 * Locking:   frag_lock guards the cache of fragments, and is held while one is inflated.
 * Errors:    see squashfs.h.
 */
#include "fs/squashfs.h"
#include "fs/squashfs_format.h"
#include "lib/inflate.h"
#include "lib/string.h"
#include "mm/mm.h"

#define INPUT_BYTES 65536u
#define STORED_BIT (1ull << 63)

struct sqfs_frag_block {
	struct sqfs_frag_block *next;
	uint32_t index, len;
	unsigned npages;
	void *pages[];
};

/* --- inflating ------------------------------------------------------------------------------------ */

struct block_io {
	struct inflate_io io;
	struct sqfs *fs;
	void *input;
	size_t input_bytes;
	uint64_t pos;        /* of the next compressed byte */
	uint32_t left;       /* compressed bytes behind it */
	void *const *bufs;   /* where the result goes */
	uint32_t skip;       /* bytes of the result that nobody wants, first */
	uint32_t want;       /* bytes wanted behind them */
	uint32_t at;         /* bytes of the result handed out so far */
	void *scratch;
};

static int block_more(struct inflate_io *io, const void **buf, size_t *len)
{
	struct block_io *b = container_of(io, struct block_io, io);
	size_t n = MIN((size_t)b->left, b->input_bytes);
	int r = n ? b->fs->source->read(b->fs->source, b->pos, b->input, n) : 0;

	b->pos += n;
	b->left -= n;
	*buf = b->input;
	*len = n;
	return r;
}

static void block_room(struct inflate_io *io, void **buf, size_t *len)
{
	struct block_io *b = container_of(io, struct block_io, io);
	uint32_t at = b->at;

	if (at < b->skip) {
		*len = MIN(b->skip - at, 4096u);
		*buf = b->scratch;
	} else {
		at -= b->skip;
		*len = at < b->want ? MIN(b->want - at, 4096u) : 0;
		*buf = *len ? b->bufs[at / 4096] : NULL;
	}
	b->at += *len;
}

/* Inflates the block of csize bytes at `start`; `want` bytes behind the first `skip` (a multiple of 4096)
 * go into bufs. *produced counts what came out behind skip. */
int sqfs_inflate_block(struct sqfs *fs, uint64_t start, uint32_t csize, void *const *bufs,
		       uint32_t skip, uint32_t want, uint32_t *produced)
{
	struct block_io b = {
		.io = { block_more, block_room }, .fs = fs, .pos = start, .left = csize, .bufs = bufs,
		.skip = skip, .want = want,
	};
	ssize_t r;

	b.input_bytes = MIN(csize, INPUT_BYTES);
	b.input = kmalloc(b.input_bytes);
	if (!b.input) {
		b.input_bytes = MIN(csize, 4096u);
		b.input = kmalloc(b.input_bytes);
	}
	b.scratch = skip ? kmalloc(4096) : NULL;
	r = b.input && (b.scratch || !skip) ? inflate_stream(&b.io) : -ENOMEM;
	kfree(b.input);
	kfree(b.scratch);
	if (r == -EIO)
		return sqfs_bad(fs, "compressed block", start);
	if (r < 0)
		return r;
	*produced = r > (ssize_t)skip ? r - skip : 0;
	return 0;
}

struct memory_io {
	struct inflate_io io;
	const void *from;
	void *to;
	uint32_t csize, size;
};

static int memory_more(struct inflate_io *io, const void **buf, size_t *len)
{
	struct memory_io *m = container_of(io, struct memory_io, io);

	*buf = m->from;
	*len = m->csize;
	m->csize = 0;
	return 0;
}

static void memory_room(struct inflate_io *io, void **buf, size_t *len)
{
	struct memory_io *m = container_of(io, struct memory_io, io);

	*buf = m->to;
	*len = m->size;
	m->size = 0;
}

/* The same from memory to memory; `where` is for the log. */
int sqfs_inflate_memory(struct sqfs *fs, uint64_t where, const void *from, uint32_t csize, void *to,
			uint32_t size, uint32_t *produced)
{
	struct memory_io m = { .io = { memory_more, memory_room }, .from = from, .to = to, .csize = csize,
			       .size = size };
	ssize_t r = inflate_stream(&m.io);

	if (r == -EIO)
		return sqfs_bad(fs, "compressed metadata", where);
	*produced = r > 0 ? r : 0;
	return r < 0 ? r : 0;
}

/* --- fragments ------------------------------------------------------------------------------------ */

static int frag_entry(struct sqfs *fs, uint32_t index, struct sqfs_fragment *out)
{
	uint32_t offset = index % 512 * sizeof(*out), size;
	uint64_t block;
	int r;

	if (index >= fs->nfragments)
		return sqfs_bad(fs, "fragment number", index);
	block = fs->fragment_blocks[index / 512];
	r = sqfs_meta_read(fs, &block, &offset, out, sizeof(*out));
	if (r)
		return r;
	size = out->size & ~SQFS_DATA_STORED;
	if (!size || size > fs->block_size || out->start > fs->bytes_used ||
	    size > fs->bytes_used - out->start)
		return sqfs_bad(fs, "fragment", out->start);
	return 0;
}

static void frag_free(struct sqfs_frag_block *f)
{
	for (unsigned i = 0; i < f->npages; i++)
		kfree(f->pages[i]);
	kfree(f);
}

void sqfs_frags_free(struct sqfs *fs)
{
	while (fs->frags) {
		struct sqfs_frag_block *f = fs->frags;

		fs->frags = f->next;
		frag_free(f);
	}
	fs->nfrags = 0;
}

/* A compressed fragment in the cache, most recent first; frag_lock held. Encoded error. */
static struct sqfs_frag_block *frag_get(struct sqfs *fs, uint32_t index, const struct sqfs_fragment *d)
{
	struct sqfs_frag_block *f, **p;
	unsigned npages = fs->block_size / 4096;
	int r;

	for (p = &fs->frags; (f = *p); p = &f->next) {
		if (f->index == index) {
			*p = f->next;
			goto insert;
		}
		if (!f->next && fs->nfrags >= fs->max_frags) { /* the oldest makes room */
			*p = NULL;
			fs->nfrags--;
			frag_free(f);
			break;
		}
	}
	f = kzalloc(sizeof(*f) + npages * sizeof(void *));
	if (!f)
		return ERR_PTR(-ENOMEM);
	f->index = index;
	for (; f->npages < npages; f->npages++) {
		f->pages[f->npages] = kmalloc(4096);
		if (!f->pages[f->npages]) {
			frag_free(f);
			return ERR_PTR(-ENOMEM);
		}
	}
	r = sqfs_inflate_block(fs, d->start, d->size, f->pages, 0, fs->block_size, &f->len);
	if (r) {
		frag_free(f);
		return ERR_PTR(r);
	}
	fs->nfrags++;
insert:
	f->next = fs->frags;
	fs->frags = f;
	return f;
}

/* Bytes that are stored as they are. */
static int stored_read(struct sqfs *fs, uint64_t start, void *const *bufs, uint32_t len)
{
	struct sqfs_source *s = fs->source;
	int r = 0;

	if (s->read_pages)
		return s->read_pages(s, start, bufs, len);
	for (uint32_t done = 0; done < len && !r; done += 4096)
		r = s->read(s, start + done, bufs[done / 4096], MIN(len - done, 4096u));
	return r;
}

/* Copies len bytes at `offset` of a fragment to the buffers. */
static int frag_read(struct sqfs *fs, uint32_t index, uint32_t offset, void *const *bufs, uint32_t len)
{
	struct sqfs_fragment d;
	uint32_t at = 0;
	struct sqfs_frag_block *f;
	int r = frag_entry(fs, index, &d);

	if (r)
		return r;
	if (d.size & SQFS_DATA_STORED) {
		uint32_t size = d.size & ~SQFS_DATA_STORED;

		if (offset > size || len > size - offset)
			return sqfs_bad(fs, "tail of a file", d.start);
		return stored_read(fs, d.start + offset, bufs, len);
	}
	mutex_lock(&fs->frag_lock);
	f = frag_get(fs, index, &d);
	if (IS_ERR(f))
		r = PTR_ERR(f);
	else if (offset > f->len || len > f->len - offset)
		r = sqfs_bad(fs, "tail of a file", d.start);
	while (len && !r) {
		uint32_t n = MIN(len, MIN(4096 - at % 4096, 4096 - offset % 4096));

		memcpy((char *)bufs[at / 4096] + at % 4096, (char *)f->pages[offset / 4096] + offset % 4096,
		       n);
		offset += n;
		at += n;
		len -= n;
	}
	mutex_unlock(&fs->frag_lock);
	return r;
}

/* --- files ------------------------------------------------------------------------------------------ */

struct sqfs_blocks *sqfs_blocks_load(struct sqfs *fs, const struct sqfs_inode *file)
{
	uint64_t count = file->size >> fs->block_log, block = file->meta_block, pos = file->start;
	uint32_t offset = file->meta_offset, sizes[64];
	struct sqfs_blocks *b;
	int r = 0;

	if (file->fragment == SQFS_NO_FRAGMENT && (file->size & (fs->block_size - 1)))
		count++;
	/* Each block has 4 bytes in the inode table, so a table cannot hold more than this. Metadata
	 * compresses at most about 1:1000. */
	if (count > (fs->directory_table - fs->inode_table) * 256 || count > (1u << 27))
		return ERR_PTR(sqfs_bad(fs, "file size", file->meta_block));
	b = kmalloc(sizeof(*b) + (count + 1) * 8);
	if (!b)
		return ERR_PTR(-ENOMEM);
	b->count = count;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t size;

		if (i % 64 == 0) {
			r = sqfs_meta_read(fs, &block, &offset, sizes, MIN(count - i, 64ul) * 4);
			if (r)
				break;
		}
		size = sizes[i % 64] & ~SQFS_DATA_STORED;
		if (size > fs->block_size || pos > fs->bytes_used || size > fs->bytes_used - pos) {
			r = sqfs_bad(fs, "size of a data block", pos);
			break;
		}
		b->start[i] = pos | ((sizes[i % 64] & SQFS_DATA_STORED) ? STORED_BIT : 0);
		pos += size;
	}
	if (r) {
		kfree(b);
		return ERR_PTR(r);
	}
	b->start[count] = pos;
	return b;
}

bool sqfs_is_stored(const struct sqfs *fs, const struct sqfs_blocks *blocks, uint64_t pos)
{
	uint64_t i = pos >> fs->block_log;

	return i < blocks->count && (blocks->start[i] & STORED_BIT);
}

/* One data block: `len` bytes from `skip` (a multiple of 4096) of block i. */
static int block_read(struct sqfs *fs, const struct sqfs_blocks *blocks, uint64_t i, uint32_t skip,
		      uint32_t len, void *const *bufs)
{
	uint64_t start = blocks->start[i] & ~STORED_BIT;
	uint32_t csize = (blocks->start[i + 1] & ~STORED_BIT) - start, produced = 0;
	int r;

	if (!csize) {
		for (uint32_t done = 0; done < len; done += 4096)
			memset(bufs[done / 4096], 0, MIN(len - done, 4096u));
		return 0;
	}
	if (blocks->start[i] & STORED_BIT) {
		if (skip > csize || len > csize - skip)
			return sqfs_bad(fs, "length of a stored block", start);
		return stored_read(fs, start + skip, bufs, len);
	}
	r = sqfs_inflate_block(fs, start, csize, bufs, skip, len, &produced);
	if (!r && produced < len)
		r = sqfs_bad(fs, "length of a compressed block", start);
	return r;
}

int sqfs_read(struct sqfs *fs, const struct sqfs_inode *file, const struct sqfs_blocks *blocks,
	      uint64_t pos, void *const *bufs, unsigned nbufs)
{
	uint64_t end = pos + (uint64_t)nbufs * 4096, at = pos;
	uint64_t stop = MIN(end, file->size);
	int r = 0;

	while (at < stop && !r) {
		uint64_t i = at >> fs->block_log;
		uint32_t skip = at & (fs->block_size - 1);
		uint32_t len = MIN(stop - at, (uint64_t)(fs->block_size - skip));
		void *const *to = bufs + (at - pos) / 4096;

		if (i < blocks->count)
			r = block_read(fs, blocks, i, skip, len, to);
		else if (file->fragment != SQFS_NO_FRAGMENT)
			r = frag_read(fs, file->fragment, file->offset + skip, to, len);
		else
			r = sqfs_bad(fs, "file without data", at);
		at += len;
	}
	if (!r && stop < end) { /* zeros behind the end of the file */
		uint64_t zero = MAX(stop, pos);

		while (zero < end) {
			uint32_t in = (zero - pos) % 4096;

			memset((char *)bufs[(zero - pos) / 4096] + in, 0, 4096 - in);
			zero += 4096 - in;
		}
	}
	return r;
}
