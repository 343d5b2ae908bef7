/*
 * mm/internal.h - what the files of the memory room share. Nobody else includes it.
 *
 * Lock order (outer first): areas_lock, cache->lock, lru_lock, leaf mutex, slab class, buddy. Reclaim runs
 * inside an allocation, below any of these: it takes cache->lock and leaf mutexes only by trylock.
 */
#ifndef IBRIK_MM_INTERNAL_H
#define IBRIK_MM_INTERNAL_H

#include "lib/figures.h"
#include "mm/mm.h"
#include "mm/pagecache.h"

/* --- the page array --------------------------------------------------------------------------------- */
#define VMEMMAP_BASE 0xffffea0000000000ull
#define MAX_ORDER 18 /* 1 GiB */

/* Managed memory in page frame numbers, sorted. The page array has gaps outside these. */
struct mem_range {
	uint64_t first, end;
};
extern struct mem_range mem_ranges[];
extern unsigned mem_range_count;
extern struct page *page_array; /* indexed by page frame number */

static inline uint64_t page_to_pfn(const struct page *p) { return (uint64_t)(p - page_array); }
static inline struct page *pfn_to_page(uint64_t pfn) { return page_array + pfn; }
/* Between a page and its place in the direct map. */
static inline struct page *virt_to_page(const void *v) { return pfn_to_page(((uintptr_t)v - DIRECT_BASE) >> PAGE_SHIFT); }
static inline void *page_virt(const struct page *p) { return phys_to_virt(page_to_pfn(p) << PAGE_SHIFT); }
bool pfn_managed(uint64_t pfn);

/* --- buddy.c ------------------------------------------------------------------------------------------ */
/* Internal to the room: never made to fail by mm.fail (an application fault cannot answer an error). */
#define ALLOC_FAULT (1u << 8)

void buddy_init(void);
void buddy_add_range(uint64_t first_pfn, uint64_t end_pfn); /* boot: gives these pages to the allocator */
uint64_t buddy_free_pages(void);
void buddy_free_figure(struct figure_table *t, unsigned id); /* adds the words of the same number */
/* Turns an allocated block into independent pages with one reference each. */
void page_split(struct page *head, unsigned order);
/* Pages below which reclaim starts, and the part only ALLOC_RESERVE may use. */
extern uint64_t mem_total_pages, mem_reserve_pages, mem_low_pages, mem_high_pages;
/* True while memory is plentiful enough to be generous (2 MiB pages, read-ahead). */
bool mem_is_comfortable(void);
bool alloc_should_fail(void);
void page_clear(void *virt, size_t bytes);
void page_copy(void *dst, const void *src);
/* A reference if the page still has one. */
bool page_try_get(struct page *p);

/* --- account.c ---------------------------------------------------------------------------------------- */
enum mem_stat { /* in pages or events; sums of per-CPU counters */
	STAT_ANON, STAT_ANON_HUGE, STAT_ANON_TOUCHED, STAT_FILE, STAT_SHMEM, STAT_FILE_MAPPED, STAT_SLAB,
	STAT_PAGE_TABLES, STAT_KSTACKS, STAT_FAULT_MINOR, STAT_FAULT_MAJOR, STAT_FAULT_HUGE, STAT_RECLAIMED,
	STAT_ALLOC_FAIL, STAT_COUNT,
};
void stat_add(enum mem_stat which, int64_t n);
uint64_t stat_sum(enum mem_stat which);
/* Would a charge succeed now? If not, it is noted as refused. areas_lock held. */
bool commit_fits(uint64_t npages, uint64_t touched);
/* 0 or -ENOMEM; areas_lock held. `touched` of the pages count already, as touched ones of an area that was not charged. */
int commit_charge(struct mm *mm, uint64_t npages, uint64_t touched);
void commit_uncharge(struct mm *mm, uint64_t npages);

/* --- slab.c, vmap.c, reclaim.c -------------------------------------------------------------------------- */
void slab_init(void);
void reclaim_wake(void);
void reclaim_start_thread(void);
void lru_add(struct page *p);
void lru_remove(struct page *p);

/* --- mmap.c: where a new mapping of len bytes goes, 0 if nowhere; areas_lock held */
uaddr_t mm_place(struct mm *mm, uint64_t len);
/* Unmaps [start, end), whose areas are all of this mm: 0, or -errno before anything has changed. areas_lock held. */
int range_unmap(struct mm *mm, uaddr_t start, uaddr_t end);

/* --- area.c ------------------------------------------------------------------------------------------- */
/* What an area is; the parts that must agree for two neighbours to be one. */
struct area_desc {
	uaddr_t start, end;
	uint16_t prot;          /* PROT_* */
	uint16_t kind;          /* enum area_kind */
	uint32_t flags;         /* MAP_* as given */
	uint64_t pgoff;         /* file page of `start` */
	struct file *file;      /* NULL: anonymous */
	struct pagecache *cache;
};

enum area_kind {
	AREA_SHARED = 1,
	AREA_CHARGED = 2,     /* its pages are charged as a whole */
	AREA_HUGE_ASKED = 4,  /* MADV_HUGEPAGE */
	AREA_HUGE_NEVER = 8,  /* MADV_NOHUGEPAGE */
	AREA_HUGETLB = 16,
	AREA_HEAP = 32,       /* brk */
};

/*
 * An area never changes once it is in the tree: a change publishes new areas and marks the old
 * ones dead. Whoever changes page tables on behalf of an area checks `dead` under the leaf mutex.
 */
struct area {
	struct area_desc d;
	_Atomic uint32_t refs;  /* the tree has one, a running fault has one */
	_Atomic bool dead;
	_Atomic bool unsettled; /* a part of it still has the pages of what was there before: area_unsettled() */
	struct mm *mm;
	struct list cache_link; /* cache->mappings, under cache->lock */
	struct area *next;      /* list of a change in progress */
	struct list order;      /* all areas by address, under areas_lock */
	struct rcu_head rcu;
};

extern struct mutex areas_lock; /* writers of the tree */
extern struct list areas_in_order;
/* The neighbours of an area, of any mm, or NULL; areas_lock held. */
static inline struct area *area_behind(const struct area *a)
{
	return a->order.next != &areas_in_order ? list_entry(a->order.next, struct area, order) : NULL;
}
static inline struct area *area_ahead(const struct area *a)
{
	return a->order.prev != &areas_in_order ? list_entry(a->order.prev, struct area, order) : NULL;
}

struct area_node;
extern struct area_node *_Atomic area_root;

/* The first area that ends behind addr, of any mm. Readers under RCU ask area_search(), holders of areas_lock may ask either. */
struct area *area_search(uaddr_t addr);
struct area *area_at_or_after(struct area_node *root, uaddr_t addr);
/* The highest gap of `len` bytes within [lo, hi), aligned; 0 if there is none. */
uaddr_t area_gap_find(struct area_node *root, uaddr_t lo, uaddr_t hi, uint64_t len, uint64_t align);

/* An edit of the tree: prepare may fail and changes nothing, publish cannot fail. */
#define AREA_PATH_MAX 48 /* an AVL tree of 2^32 areas is lower */
struct area_edit {
	enum { AREA_EDIT_TREE, AREA_EDIT_REPLACE, AREA_EDIT_INSERT, AREA_EDIT_BETWEEN, AREA_EDIT_REMOVE } how;
	bool failed;
	unsigned alloc_flags;      /* for all that the edit allocates */
	struct area_node *root;    /* the new tree, or what takes the place of a node that goes */
	struct area_node *fresh;   /* nodes made by this edit */
	struct area_node *retired; /* nodes of the old tree that the new one does not use */
	/* In place: an area that comes, and the way down to the node that gets it. */
	struct area *area;
	bool grow;                 /* it holds all that the node has held which stays */
	unsigned depth;
	uint64_t goes_right;       /* a bit for each node of the path */
	struct area_node *path[AREA_PATH_MAX];
	/* What becomes of the node before that one, and of the one behind it. */
	struct area_side {
		enum { SIDE_KEEP, SIDE_REPLACE, SIDE_INSERT, SIDE_REMOVE } how;
		unsigned n;
		struct area *area;                     /* that comes */
		struct area_node *leaf;                /* its node, if it gets a new one */
		struct area_node *node[AREA_PATH_MAX]; /* the way down to the neighbour */
	} side[2];
	/* Where a plan in place would make the tree lopsided: the pointer to the node, and its heavier side. */
	struct area_node *_Atomic *heavy;
	bool heavy_right;
};
/* Takes out every area that starts in [lo, hi), which are those of the list `old`, and puts in the list `fresh` (both by ->next,
 * ascending). alloc_flags: ALLOC_RESERVE for who gives memory back. */
int area_edit_prepare(struct area_edit *e, uaddr_t lo, uaddr_t hi, struct area *old, struct area *fresh, unsigned alloc_flags);
void area_edit_publish(struct area_edit *e);
void area_edit_abort(struct area_edit *e);
bool area_tree_sound(void); /* unit tests: are order, balance and sums right? */

/* What changes of areas are made of. The kernel's reserve is for what can be had in no other way. */
static inline void *area_alloc(size_t size, unsigned alloc_flags)
{
	void *p = kmalloc(size);

	return likely(p) || !alloc_flags ? p : kmalloc_flags(size, alloc_flags);
}
struct area *area_new(struct mm *mm, const struct area_desc *d, unsigned alloc_flags); /* takes a reference of the file */
bool area_try_get(struct area *a);
void area_put(struct area *a);
static inline bool area_desc_mergeable(const struct area_desc *a, const struct area_desc *b)
{
	return a->end == b->start && a->prot == b->prot && a->kind == b->kind && a->flags == b->flags &&
	       a->file == b->file &&
	       (!a->cache || a->pgoff + ((a->end - a->start) >> PAGE_SHIFT) == b->pgoff) &&
	       !(a->kind & AREA_HUGETLB);
}
static inline uint64_t area_page_index(const struct area *a, uaddr_t addr)
{
	return a->d.pgoff + ((addr - a->d.start) >> PAGE_SHIFT);
}

/* Could a shared area of a file write to it, if need be after an mprotect()? areas_lock held. */
bool area_may_write(const struct area *a);

/* --- change.c: a range of one mm is given other areas ------------------------------------------------------ */
#define CHANGE_INLINE 6
struct area_change {
	struct mm *mm;
	uaddr_t start, end;       /* the range the caller changes */
	struct area_desc *desc;   /* what shall be there, ascending, merged */
	unsigned ndesc, cap;
	struct area_desc inline_desc[CHANGE_INLINE];
	uaddr_t lo, hi;           /* the range whose areas are replaced: whole areas */
	struct area *left;        /* the last area that starts before `start` ... */
	struct area *first;       /* ... the first that does not ... */
	struct area *right;       /* ... and the first that ends behind `end`; NULL: none */
	struct area *old;         /* after publish: the areas taken out, by ->next ... */
	struct area *fresh;       /* ... and the new ones */
	int64_t charge;           /* pages to charge (or give back, negative) */
	uint64_t touched;         /* the caller's: pages among them that count already, because they were charged when they were touched */
	unsigned alloc_flags;     /* the caller's, 0 at first: ALLOC_RESERVE if the change gives memory back and must not fail for want of some */
	uint64_t leaves;          /* the caller's: pages that it unmaps elsewhere afterwards, which do not count against the limit of the mm */
	bool overlaps;            /* the range was not empty */
	bool replaces;            /* the caller's: none of the pages of the range may be seen in its new areas */
};
bool desc_is_charged(const struct area_desc *d);
/* A writable stack larger than the machine: refused at once, although stacks are charged page by page. */
bool desc_is_absurd(const struct area_desc *d);
/* All of these with areas_lock held. begin answers 0, or -EEXIST if another mm owns part. */
int change_begin(struct area_change *c, struct mm *mm, uaddr_t start, uaddr_t end);
int change_add(struct area_change *c, const struct area_desc *d);
/* The same in two steps: a place to write the description to (NULL: no memory), and then it is added. */
struct area_desc *change_next(struct area_change *c);
void change_add_next(struct area_change *c);
/* Charges, makes the areas and the tree, publishes. On error nothing has changed. */
int change_publish(struct area_change *c);
/* After the page tables agree with the new areas: lets the old ones go, and the faults in the new ones, if it replaces. */
void change_finish(struct area_change *c);
/*
 * Does addr lie in a range whose old pages are still going? RCU held, or a reference of the area. A fault there has to wait, which is
 * to lock and unlock areas_lock, and to start over: an entry that it found would be one of the old area, one that it made would go, too.
 */
bool change_unsettles(uaddr_t addr);
static inline bool area_unsettled(const struct area *a, uaddr_t addr)
{
	return unlikely(atomic_load_explicit(&a->unsettled, memory_order_acquire)) && change_unsettles(addr);
}
void change_cancel(struct area_change *c);

/* --- table.c: page tables of a range ------------------------------------------------------------------------- */
#define LEAF_LOCKS 256
extern struct mutex leaf_locks[LEAF_LOCKS];
static inline struct mutex *leaf_lock(uaddr_t addr)
{
	uint64_t region = addr >> HUGE_SHIFT;
	return &leaf_locks[(region ^ region >> 8) % LEAF_LOCKS];
}
unsigned prot_to_access(int prot); /* enum pte_access */

/* Unmaps [start, end), shoots down, frees. 2 MiB pages that stick out must have been split. The number of pages that were there. */
uint64_t range_zap(struct mm *mm, uaddr_t start, uaddr_t end);
/* Gives mapped pages of [start, end) the rights of prot. -ENOMEM before anything has changed. */
int range_split_huge(struct mm *mm, uaddr_t start, uaddr_t end);
/* Does the change under way (or the last one) begin or end inside this 2 MiB region? Then no 2 MiB page may be stored
 * there, or the walk that follows would meet one that sticks out. To be asked under the leaf mutex. */
bool region_is_edge(uaddr_t region);
/* Is nothing mapped in the region of that pmd (a hint without the leaf mutex)? Then drop frees its table; leaf mutex held, sleeps. */
bool region_is_empty(const _Atomic uint64_t *pmd);
void region_drop_table(_Atomic uint64_t *pmd, uaddr_t region);
/* For mremap: every 2 MiB page of the range split; every table of the range made (both -ENOMEM before anything else
 * has changed); then entries moved from `from` to `to`, which is unmapped, and the old range shot down. For a file the
 * caller holds cache->lock, so that truncation and reclaim find each page at one of the two places. */
int range_split_all(uaddr_t start, uaddr_t end);
int range_tables_make(uaddr_t start, uaddr_t end);
void range_move(struct mm *mm, uaddr_t from, uaddr_t to, uint64_t len);
void range_protect(uaddr_t start, uaddr_t end, int prot, bool shared);
/* Pages of private memory in the range that were charged when they were touched; and that they are no more, because their area is. */
uint64_t range_touched(uaddr_t start, uaddr_t end);
void range_untouch(uaddr_t start, uaddr_t end);
/* Takes page out of the page tables that map it and answers how many did; widens *lo..*hi by their addresses.
 * The caller shoots that range down and then drops one reference each. With try, tables whose mutex is taken stay. */
int page_unmap_all(struct page *page, struct pagecache *cache, bool try, uaddr_t *lo, uaddr_t *hi);
/* Tests and clears the accessed bits of a mapped file page. */
bool page_test_accessed(struct page *page, struct pagecache *cache);
void mm_rss_add(struct mm *mm, int64_t pages, bool file);

/* --- fault.c ----------------------------------------------------------------------------------------------- */
/* Faults in [start, end) as far as possible. 0 or -errno of madvise. */
int range_populate(struct mm *mm, uaddr_t start, uaddr_t end, bool write);
/* Every 2 MiB of the range gets a 2 MiB page; -ENOMEM if one cannot be had. */
int range_populate_huge(struct mm *mm, uaddr_t start, uaddr_t end);
bool area_wants_huge(const struct area *a, uaddr_t addr);

/* --- pagecache.c --------------------------------------------------------------------------------------------- */
/* The page if it is cached and up to date, with a reference; never sleeps. */
struct page *pagecache_peek(struct pagecache *c, uint64_t index);
/* For reclaim, with cache->lock: see there. */
bool pagecache_detach(struct page *p, int mapped);

#endif
