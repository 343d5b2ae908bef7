/*
 * mm/pagecache.h - the one cache of file pages.
 *
 * Every regular file (squashfs, tmpfs, memfd) has a struct pagecache; reads, writes and mappings all
 * go through its pages, so that a file page exists once in memory. Pages of a cache with a backing
 * store (ops->fill) are clean and can be reclaimed at any time while only the cache holds them;
 * tmpfs pages (no fill) live until truncated.
 *
 * Locking: cache->lock guards the index (radix tree) and the size; it is a mutex that the fault path
 * takes, so no user copy happens under it. A page returned by pagecache_get() carries a reference.
 * A page being filled is PAGE_BUSY; others sleep until it is up to date or in error.
 * Errors: -EIO (device or checksum), -ENOMEM, -ENOSPC (tmpfs cap), -ENODATA (no page there and
 * PAGECACHE_FIND).
 */
#ifndef IBRIK_MM_PAGECACHE_H
#define IBRIK_MM_PAGECACHE_H

#include "mm/mm.h"
#include "core/waitq.h"

struct pagecache;

struct pagecache_ops {
	/*
	 * Fills n pages with consecutive indices starting at pages[0]->index (bytes behind the end of
	 * file are zeroed). May sleep; holds no lock of the cache. Must set nothing on the pages: the
	 * cache marks them by the result. 0 or -errno for all of them.
	 */
	int (*fill)(struct pagecache *cache, struct page **pages, unsigned n);
	/* How many pages around `index` are best filled together; *first receives the start. */
	unsigned (*cluster)(struct pagecache *cache, uint64_t index, uint64_t *first);
	/* tmpfs: account n more (or fewer) pages; -ENOSPC when the cap is reached. May be NULL. */
	int (*charge)(struct pagecache *cache, int64_t npages);
	/* A shared mapping got a page by a store: the file has changed. No lock is held, must not sleep. May be NULL. */
	void (*stored)(struct pagecache *cache);
};

struct pagecache {
	struct mutex lock;
	void *_Atomic root;          /* radix tree of struct page: radix.h */
	_Atomic uint64_t size_bytes; /* file size: pages behind it are SIGBUS */
	_Atomic uint64_t npages;
	_Atomic uint64_t removals;   /* pages that left the index, for readers without a reference */
	const struct pagecache_ops *ops;
	void *owner;                 /* the inode */
	struct waitq busy;           /* waiters for PAGE_BUSY pages */
	struct list mappings;        /* areas that map it, for truncate */
	bool sealed;                 /* no shared mapping writes: pagecache_seal(); under the lock of all areas */
	bool huge;                   /* tmpfs/memfd: 2 MiB pages are welcome (a wish: small ones are given) */
};

enum pagecache_flags {
	PAGECACHE_FIND = 1,   /* only what is there */
	PAGECACHE_CREATE = 2, /* tmpfs: a missing page is a new zero page */
	PAGECACHE_IF_FITS = 4, /* ... but -ENOSPC if it would take what is promised to others */
};

void pagecache_init(struct pagecache *c, const struct pagecache_ops *ops, void *owner);
/* Frees every page; nothing maps the file any more. */
void pagecache_destroy(struct pagecache *c);
/* The page at index, up to date, with a reference, or an encoded error. A hole of a tmpfs file
 * without PAGECACHE_CREATE is -ENODATA. */
struct page *pagecache_get(struct pagecache *c, uint64_t index, unsigned flags);
/*
 * The number of the first page in [index, end) that is there or, for a hole, that is not; `end`: there is none. Of a file without a backing store, whose
 * pages are its data. The search for data goes over holes of any size at once; that for a hole takes as long as there are pages in memory before it.
 */
uint64_t pagecache_seek(struct pagecache *c, uint64_t index, uint64_t end, bool hole);
/* Sets the size; drops pages (and their mappings) behind it, zeroes the tail of the last page. */
int pagecache_truncate(struct pagecache *c, uint64_t size_bytes);
/* Drops the pages of [start, end) bytes (punch hole); partial pages are zeroed. */
int pagecache_punch(struct pagecache *c, uint64_t start, uint64_t end);
/* How many of the pages with indices [first, end) are there. */
uint64_t pagecache_count(struct pagecache *c, uint64_t first, uint64_t end);
/* Copies between the file and a kernel or user buffer, through the cache. Bytes done or -errno. */
ssize_t pagecache_read(struct pagecache *c, uint64_t pos, uaddr_t dst, size_t len);
ssize_t pagecache_read_kernel(struct pagecache *c, uint64_t pos, void *dst, size_t len);
ssize_t pagecache_write(struct pagecache *c, uint64_t pos, uaddr_t src, size_t len); /* extends */
ssize_t pagecache_write_kernel(struct pagecache *c, uint64_t pos, const void *src, size_t len);
/* From then on nobody can map the file shared and for writing, nor make a shared mapping of it writable. -EBUSY: there is one that could be.
 * Takes the lock of all areas. */
int pagecache_seal(struct pagecache *c);
/* Asks for up to npages reclaimable pages to be freed; returns how many were. */
uint64_t pagecache_reclaim(uint64_t npages);

#endif
