/*
 * kernel/fs/container.c - finds the image's containers on the disks and reads them verified.
 *
 * Theory:    A section has one hash for each 4096-byte block. The table of hashes is read and checked
 *            against its root hash when the section is found; its pages lie in a page cache, so memory
 *            pressure can take them, and a page that is read again is checked against the hash it had at
 *            first. A block is checked when it is first read; a bitmap remembers that. Reads cover whole
 *            blocks, go to a bounce buffer of up to 128 KiB, and are copied from there.
 * Interface: container.h.
 * Locking:   bits of the bitmap are set atomically; there is nothing else to guard. Reading sleeps.
 * Errors:    see container.h.
 */
#include "fs/container.h"
#include "core/boot.h"
#include "core/log.h"
#include "drivers/device.h"
#include "fs/settings.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "lib/xxh64.h"
#include "linux/process.h"
#include "mm/pagecache.h"

#define BOUNCE_ORDER 5u
#define BOUNCE_BLOCKS (1u << BOUNCE_ORDER)
#define HASHES_PER_PAGE (PAGE_SIZE / 8)

struct hash_table {
	struct pagecache cache;
	struct section *section;
	uint64_t nblocks, npages;
	bool checked;                  /* page_hash is filled and right */
	uint64_t *page_hash;           /* hash of each page of the table */
	_Atomic uint64_t last_bad;     /* number of the damaged block that was reported last, plus one */
	_Atomic uint64_t verified[];   /* bit for each block of the section */
};

static struct section *sections;

/* --- the disk ------------------------------------------------------------------------------------- */

/* Reads len bytes (multiple of 512, physically contiguous buffer) at `offset` of the disk. */
static int disk_read(struct block_device *dev, uint64_t offset, void *buf, size_t len)
{
	while (len) {
		size_t n = MIN(len, (size_t)dev->max_bytes);
		struct block_segment seg = { .buf = buf, .len = n };
		int r = dev->read(dev, offset, &seg, 1);

		if (r)
			return r;
		buf = (char *)buf + n;
		offset += n;
		len -= n;
	}
	return 0;
}

/* --- hash tables ------------------------------------------------------------------------------------ */

/* Reads `len` bytes of the disk into pages, as few requests as the device allows. */
static int disk_read_pages(struct block_device *dev, uint64_t offset, struct page **pages, size_t len)
{
	struct block_segment segs[64];
	unsigned max = MIN(dev->max_segments, MIN(dev->max_bytes / (unsigned)PAGE_SIZE, ARRAY_SIZE(segs)));
	unsigned i = 0;

	while (len) {
		unsigned n = 0;
		uint64_t bytes = 0;
		int r;

		while (n < MAX(max, 1u) && len) {
			size_t take = MIN(len, PAGE_SIZE);

			segs[n].buf = page_to_virt(pages[i++]);
			segs[n++].len = ALIGN_UP(take, 512ul);
			bytes += ALIGN_UP(take, 512ul);
			len -= take;
		}
		r = dev->read(dev, offset, segs, n);
		if (r)
			return r;
		offset += bytes;
	}
	return 0;
}

static int hashes_fill(struct pagecache *cache, struct page **pages, unsigned n)
{
	struct hash_table *t = container_of(cache, struct hash_table, cache);
	struct section *s = t->section;
	uint64_t bytes = t->nblocks * 8, at = pages[0]->index * PAGE_SIZE;
	size_t len = at < bytes ? MIN(bytes - at, n * PAGE_SIZE) : 0;
	int r = disk_read_pages(s->dev, s->info.hash_offset + at, pages, len);

	if (r) {
		if (s->mounted)
			log_err("%s: the disk answers an error (%d) for the hashes", s->label, r);
		s->disk_error = true;
		return -EIO;
	}
	for (unsigned i = 0; i < n; i++) {
		uint64_t index = pages[i]->index, hash;
		size_t have = len > i * PAGE_SIZE ? MIN(len - i * PAGE_SIZE, PAGE_SIZE) : 0;
		char *to = page_to_virt(pages[i]);

		memset(to + have, 0, PAGE_SIZE - have);
		hash = xxh64(to, PAGE_SIZE, 0);
		if (!t->checked) {
			t->page_hash[index] = hash;
		} else if (t->page_hash[index] != hash) {
			log_err("%s: the table of hashes has changed on the disk", s->label);
			return -EIO;
		}
	}
	return 0;
}

/* All of it at first; later, what was given back, page by page. */
static unsigned hashes_cluster(struct pagecache *cache, uint64_t index, uint64_t *first)
{
	struct hash_table *t = container_of(cache, struct hash_table, cache);

	*first = index;
	return t->checked ? 1 : MIN(t->npages - index, 64ul);
}

static const struct pagecache_ops hashes_ops = { .fill = hashes_fill, .cluster = hashes_cluster };

/* Reads the whole table and compares it with the root hash. */
static int hashes_open(struct section *s)
{
	uint64_t nblocks = (s->info.length + IBRIK_BLOCK - 1) / IBRIK_BLOCK;
	size_t words = (nblocks + 63) / 64;
	struct hash_table *t = kzalloc(sizeof(*t) + words * 8);
	struct xxh64 root;
	uint64_t left = nblocks * 8;

	if (!t)
		return -ENOMEM;
	t->section = s;
	t->nblocks = nblocks;
	t->npages = (nblocks + HASHES_PER_PAGE - 1) / HASHES_PER_PAGE;
	t->page_hash = kzalloc(t->npages * 8);
	if (!t->page_hash) {
		kfree(t);
		return -ENOMEM;
	}
	pagecache_init(&t->cache, &hashes_ops, t);
	atomic_store(&t->cache.size_bytes, nblocks * 8);
	xxh64_begin(&root, 0);
	for (uint64_t i = 0; i < t->npages; i++) {
		struct page *p = pagecache_get(&t->cache, i, 0);

		if (IS_ERR(p))
			return PTR_ERR(p);
		xxh64_add(&root, page_to_virt(p), MIN(left, PAGE_SIZE));
		left -= MIN(left, PAGE_SIZE);
		page_put(p);
	}
	if (xxh64_end(&root) != s->info.root_hash)
		return -EBADMSG;
	t->checked = true;
	s->hashes = t;
	return 0;
}

static bool block_verified(struct hash_table *t, uint64_t block)
{
	return atomic_load_explicit(&t->verified[block / 64], memory_order_acquire) >> (block % 64) & 1;
}

/* Checks n blocks that were read into buf; their hashes come from the table. */
static int blocks_verify(struct section *s, uint64_t block, const char *buf, unsigned n)
{
	struct hash_table *t = s->hashes;
	uint64_t want[BOUNCE_BLOCKS];
	bool loaded = false;

	for (unsigned i = 0; i < n; i++) {
		ssize_t r;

		if (block_verified(t, block + i))
			continue;
		if (!loaded) {
			r = pagecache_read_kernel(&t->cache, block * 8, want, n * 8);
			if (r != (ssize_t)(n * 8))
				return r < 0 ? r : -EIO;
			loaded = true;
		}
		if (xxh64(buf + (size_t)i * IBRIK_BLOCK, IBRIK_BLOCK, 0) != want[i]) {
			/* Programs try again; one line is enough. */
			if (atomic_exchange(&t->last_bad, block + i + 1) != block + i + 1 && s->mounted)
				log_err("%s: block %lu of the image is damaged (hash)", s->label,
					(unsigned long)(block + i));
			return -EIO;
		}
		atomic_fetch_or_explicit(&t->verified[(block + i) / 64], 1ull << ((block + i) % 64),
					 memory_order_release);
	}
	return 0;
}

/* --- verified reads --------------------------------------------------------------------------------- */

struct copy_out { /* where bytes go: one buffer, or buffers of 4096 */
	char *flat;
	void *const *pages;
	size_t at;
};

static void copy_piece(struct copy_out *to, const char *src, size_t len)
{
	if (to->flat) {
		memcpy(to->flat + to->at, src, len);
		to->at += len;
		return;
	}
	while (len) {
		size_t in = to->at % PAGE_SIZE, n = MIN(len, PAGE_SIZE - in);

		memcpy((char *)to->pages[to->at / PAGE_SIZE] + in, src, n);
		src += n;
		to->at += n;
		len -= n;
	}
}

/* Memory for up to 33 blocks: 128 KiB that begin in the middle of a block touch so many. */
struct bounce {
	struct page *body, *tail;  /* 2^order blocks, and one more if tail is there */
	unsigned order, blocks;
};

static int bounce_get(struct bounce *b, unsigned want)
{
	b->tail = NULL;
	b->order = BOUNCE_ORDER;
	while (b->order && 1u << (b->order - 1) >= want)
		b->order--;
	if (b->order && want > 1 && 1u << (b->order - 1) == want - 1)
		b->order--; /* one block more than a power of two: body and tail */
	while (!(b->body = page_alloc(b->order, b->order ? ALLOC_NOWAIT : ALLOC_RESERVE)))
		if (!b->order--)
			return -ENOMEM;
	b->blocks = 1u << b->order;
	if (want > b->blocks) {
		b->tail = page_alloc(0, ALLOC_NOWAIT);
		b->blocks += b->tail != NULL;
	}
	return 0;
}

static void bounce_put(struct bounce *b)
{
	page_put(b->body);
	if (b->tail)
		page_put(b->tail);
}

/* Reads `blocks` blocks of the section into the bounce memory and checks them. */
static int bounce_fill(struct section *s, struct bounce *b, uint64_t block, unsigned blocks)
{
	unsigned body = MIN(blocks, 1u << b->order);
	struct block_segment segs[2] = {
		{ page_to_virt(b->body), body * IBRIK_BLOCK },
		{ b->tail ? page_to_virt(b->tail) : NULL, IBRIK_BLOCK },
	};
	uint64_t offset = s->info.offset + block * IBRIK_BLOCK;
	int r;

	if (s->dev->max_segments >= 2 && s->dev->max_bytes >= blocks * IBRIK_BLOCK) {
		r = s->dev->read(s->dev, offset, segs, blocks > body ? 2 : 1);
	} else {
		r = disk_read(s->dev, offset, segs[0].buf, segs[0].len);
		if (!r && blocks > body)
			r = disk_read(s->dev, offset + segs[0].len, segs[1].buf, IBRIK_BLOCK);
	}
	if (r) {
		s->disk_error = true;
		if (s->mounted)
			log_err("%s: the disk answers an error (%d) at block %lu", s->label, r,
				(unsigned long)block);
		return -EIO;
	}
	r = blocks_verify(s, block, segs[0].buf, body);
	if (!r && blocks > body)
		r = blocks_verify(s, block + body, segs[1].buf, 1);
	return r;
}

static int section_copy(struct section *s, uint64_t offset, size_t len, struct copy_out *to)
{
	struct bounce b;
	int r;

	if (offset > s->info.length || len > s->info.length - offset)
		return -EIO;
	r = bounce_get(&b, MIN((offset % IBRIK_BLOCK + len + IBRIK_BLOCK - 1) / IBRIK_BLOCK,
			       (uint64_t)BOUNCE_BLOCKS + 1));
	if (r)
		return r;
	while (len && !r) {
		size_t skip = offset % IBRIK_BLOCK, n, first;
		unsigned blocks = MIN((skip + len + IBRIK_BLOCK - 1) / IBRIK_BLOCK, (uint64_t)b.blocks);

		n = MIN(len, (size_t)blocks * IBRIK_BLOCK - skip);
		r = bounce_fill(s, &b, offset / IBRIK_BLOCK, blocks);
		if (r)
			break;
		first = MIN(n, ((size_t)IBRIK_BLOCK << b.order) - skip);
		copy_piece(to, (char *)page_to_virt(b.body) + skip, first);
		if (n > first)
			copy_piece(to, page_to_virt(b.tail), n - first);
		offset += n;
		len -= n;
	}
	bounce_put(&b);
	return r;
}

static int section_read(struct sqfs_source *source, uint64_t offset, void *buf, size_t len)
{
	struct copy_out to = { .flat = buf };

	return section_copy(container_of(source, struct section, source), offset, len, &to);
}

static int section_read_pages(struct sqfs_source *source, uint64_t offset, void *const *bufs, size_t len)
{
	struct copy_out to = { .pages = bufs };

	return section_copy(container_of(source, struct section, source), offset, len, &to);
}

/* --- boot ------------------------------------------------------------------------------------------- */

int section_verify(struct section *s, uint64_t offset, uint64_t len)
{
	uint64_t block = offset / IBRIK_BLOCK, end = (offset + len + IBRIK_BLOCK - 1) / IBRIK_BLOCK;
	struct bounce b;
	int r = bounce_get(&b, MIN(end - block, (uint64_t)BOUNCE_BLOCKS));

	if (r)
		return r;
	while (block < end && !r) {
		unsigned n = MIN(end - block, (uint64_t)b.blocks);

		r = bounce_fill(s, &b, block, n);
		block += n;
	}
	bounce_put(&b);
	return r;
}

void section_fail(struct section *s, int error)
{
	uint64_t bad = s->hashes ? s->hashes->last_bad : 0;

	if (error == -ENOMEM)
		machine_fail(125, "too little memory for the image");
	if (error == -EIO && bad)
		machine_fail(125, "the image on %s is damaged: block %lu of section %s", s->dev->name, bad - 1, s->info.name);
	if (s->disk_error)
		machine_fail(125, "the disk %s answers errors for section %s of the image", s->dev->name, s->info.name);
	machine_fail(125, "section %s of the image on %s cannot be used (error %d)", s->info.name, s->dev->name, -error);
}

static void section_insert(struct section *s)
{
	struct section **p = &sections;

	while (*p && (*p)->priority <= s->priority)
		p = &(*p)->next;
	s->next = *p;
	*p = s;
}

static void section_take(struct block_device *dev, const struct ibrik_header *h, unsigned i)
{
	const struct ibrik_section *info = &h->sections[i];
	struct section *s;
	int r;

	if (info->type == IBRIK_KERNEL)
		return; /* the boot loader has used it */
	s = kzalloc(sizeof(*s));
	if (!s)
		machine_fail(125, "too little memory for the image");
	s->info = *info;
	s->dev = dev;
	s->priority = h->priority;
	snprintf(s->label, sizeof(s->label), "%s, section %s", dev->name, info->name);
	s->source.read = section_read;
	s->source.read_pages = section_read_pages;
	s->source.length = info->length;
	s->source.name = s->label;
	if (ALIGN_UP(info->offset + info->length, IBRIK_BLOCK) > dev->capacity_bytes)
		machine_fail(125, "the image on %s is cut short", dev->name);
	r = hashes_open(s);
	if (r == -EBADMSG)
		machine_fail(125, "the image on %s is damaged: the hashes of section %s are wrong",
			     dev->name, info->name);
	if (r)
		section_fail(s, r);
	section_insert(s);
}

static void settings_take(struct section *s)
{
	char *buf = kmalloc(s->info.length);
	size_t where = 0;
	int r = buf ? section_read(&s->source, 0, buf, s->info.length) : -ENOMEM;

	if (!r)
		r = settings_add(buf, s->info.length, &where);
	if (r == -EINVAL)
		machine_fail(125, "the settings on %s are wrong at byte %lu", s->dev->name,
			     (unsigned long)where);
	if (r)
		section_fail(s, r);
	s->mounted = true;
	kfree(buf);
}

static void option_take(const char *value, void *arg)
{
	option_add_image(value);
}

void containers_find(void)
{
	struct block_device *dev, *broken = NULL;
	struct page *page = page_alloc(0, 0);
	struct ibrik_header *h;
	unsigned disks = 0;

	if (!page)
		machine_fail(125, "too little memory for the image");
	h = page_to_virt(page);
	list_for_each(dev, &block_devices, link) {
		const char *bad;
		int r;

		disks++;
		if (dev->capacity_bytes < IBRIK_DATA_OFFSET)
			continue;
		r = disk_read(dev, IBRIK_HEADER_OFFSET, h, IBRIK_BLOCK);
		if (r) {
			log_info("%s: the disk answers an error (%d) for its first blocks", dev->name, r);
			broken = dev;
			continue;
		}
		if (!container_has_magic(h)) {
			log_info("%s: no image on it", dev->name);
			continue;
		}
		bad = container_header_check(h, dev->capacity_bytes);
		if (bad)
			machine_fail(125, "the image on %s cannot be used: %s", dev->name, bad);
		for (unsigned i = 0; i < h->nsections; i++)
			section_take(dev, h, i);
	}
	page_put(page);
	if (!sections && broken)
		machine_fail(125, "no image found: the disk %s answers errors", broken->name);
	if (broken)
		log_warn("the disk %s answers errors: is an image on it?", broken->name);
	if (!sections)
		machine_fail(125, "no image found on %u disk%s", disks, disks == 1 ? "" : "s");
	for (struct section *s = sections; s; s = s->next)
		if (s->info.type == IBRIK_SETTINGS)
			settings_take(s);
	setting_each("kernel.opts", option_take, NULL);
}

struct section *sections_first(void)
{
	return sections;
}
