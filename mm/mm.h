/*
 * mm/mm.h - the door of the memory room.
 *
 * Layout of the one set of page tables:
 *   UADDR_MIN .. UADDR_END            the application (core/uaccess.h)
 *   DIRECT_BASE                       all physical memory, 2 MiB/1 GiB pages, no execute;
 *                                     the kernel's text is read-only here too
 *   VMAP_BASE                         kernel stacks (guard page below each), device memory
 *   KERNEL_BASE                       the kernel image, text read-only
 *
 * Physical pages: page_alloc() gives 2^order pages from the buddy allocator through per-CPU caches.
 * Small objects: kmalloc(). Both answer NULL when memory is short; ALLOC_RESERVE may dip into the
 * kernel's reserve (only paths that free memory or must not fail). Without flags an allocation may sleep and reclaim page
 * cache. ALLOC_NORECLAIM waits for others that allocate, a moment, and for nothing else: for who has no time, or holds what reclaim
 * could want. ALLOC_NOWAIT never sleeps, and also fails while another thread has the allocator, with memory in plenty.
 *
 * Address spaces: see the second half. Locking: stated at each file of the room; callers of this
 * header hold nothing that the fault path takes.
 */
#ifndef IBRIK_MM_MM_H
#define IBRIK_MM_MM_H

#include "lib/types.h"
#include "lib/list.h"
#include "core/rcu.h"
#include "core/mutex.h"
#include "core/uaccess.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ull
#define HUGE_SHIFT 21
#define HUGE_SIZE MIB(2)
#define HUGE_ORDER 9

#ifndef DIRECT_BASE /* a test on the host puts it elsewhere */
#define DIRECT_BASE 0xffff888000000000ull
#endif
#define VMAP_BASE 0xffffc90000000000ull
#define VMAP_END 0xffffe90000000000ull
#define KERNEL_BASE 0xffffffff80000000ull

static inline void *phys_to_virt(paddr_t p) { return (void *)(p + DIRECT_BASE); }
paddr_t virt_to_phys(const void *v); /* direct map or kernel image */

/* --- physical pages -------------------------------------------------------------------------- */
struct pagecache;

struct page {
	_Atomic uint32_t refs;      /* 0 = free */
	_Atomic uint32_t flags;     /* enum page_flags */
	_Atomic int32_t mapcount;   /* page-table entries that map it */
	uint32_t order;             /* of the allocation (first page), or of the free block */
	struct list link;           /* free list or LRU list */
	struct pagecache *cache;    /* page-cache pages: their file ... */
	uint64_t index;             /* ... and page number in it; anonymous: the address */
};

enum page_flags {
	PAGE_FREE = 1u << 0,
	PAGE_RESERVED = 1u << 1,   /* firmware, kernel image: never freed */
	PAGE_CACHE = 1u << 2,
	PAGE_UPTODATE = 1u << 3,   /* content has been read (page cache) */
	PAGE_ERROR = 1u << 4,      /* reading failed */
	PAGE_DIRTY = 1u << 5,
	PAGE_REFERENCED = 1u << 6,
	PAGE_ANON = 1u << 7,
	PAGE_SLAB = 1u << 8,
	PAGE_HUGE = 1u << 9,       /* head of a 2 MiB anonymous or tmpfs page */
	PAGE_TAIL = 1u << 10,
	PAGE_BUSY = 1u << 11,      /* being read; waiters sleep */
	PAGE_TOUCHED = 1u << 13,   /* anonymous, charged when it was touched, not with its area */
};

enum alloc_flags {
	ALLOC_ZERO = 1u << 0,
	ALLOC_NOWAIT = 1u << 1,
	ALLOC_RESERVE = 1u << 2,
	ALLOC_NORECLAIM = 1u << 3,
};

struct page *page_alloc(unsigned order, unsigned flags);
/* Drops a reference; the last one frees the whole block. */
void page_get(struct page *p);
void page_put(struct page *p);
paddr_t page_to_phys(const struct page *p);
struct page *phys_to_page(paddr_t phys); /* NULL outside managed memory */
static inline void *page_to_virt(const struct page *p) { return phys_to_virt(page_to_phys(p)); }

/* 16-byte aligned (64 from 64 bytes up); contents undefined for kmalloc, zero for kzalloc. */
void *kmalloc(size_t size);
void *kzalloc(size_t size);
void *kmalloc_flags(size_t size, unsigned alloc_flags);
void *krealloc(void *p, size_t old_size, size_t new_size);
void kfree(void *p); /* NULL allowed; any context in which preemption may be disabled */
char *kstrdup(const char *s);

/* Device memory, uncached, outside the direct map. NULL on failure. */
void *ioremap(paddr_t phys, size_t len);
/* A kernel stack of KSTACK_BYTES with a guard page below; returns its lowest address or 0. */
uintptr_t kstack_alloc(void);
void kstack_free(uintptr_t base);
/* Name of the kernel address for a fault report ("guard page of a kernel stack" ...) or NULL. */
const char *kernel_address_describe(uintptr_t addr);

struct boot_info;
/* Called once on the boot CPU, on the boot page tables, before any allocation. */
void mm_init(const struct boot_info *boot);
/* Second part, when threads run: background zeroing and reclaim threads. */
void mm_start_threads(void);

/* Is there room for one more thread beside `threads` others, which may all wake up and use more of their stacks? Stacks are charged
 * when they are touched, and neither a JVM nor this kernel can take no for an answer there: the call that makes the thread must
 * fail in time. replaces: there were more threads once, for which there was room; only what the new one takes at first must be there. */
bool mm_thread_fits(unsigned threads, bool replaces);
/* Could so many pages be promised now? Asked before pages that belong to no charged area are made on demand. */
bool mm_pages_fit(uint64_t npages);

struct mem_stats { /* bytes */
	uint64_t total, free, available, cached, mapped, anon, anon_huge, shmem, slab, page_tables,
		kernel_stacks, committed, commit_limit, reserved_kernel,
		refused_most; /* the largest commit that was refused, 0 if none was */
	uint64_t faults_minor, faults_major, faults_huge, reclaimed_pages, alloc_failures;
};
void mem_stats_get(struct mem_stats *out);
void mem_stats_few(struct mem_stats *out); /* total, free and shmem alone */
/* Describes where memory is counted, for readers that do not call: memory.*, pressure.* and page faults of vdso/exports.h. */
struct figure_table;
void mem_figures(struct figure_table *t);

/* Test knob (kernel option mm.fail=N): every Nth allocation that may fail does. 0 = off. It counts from mm_fail_start()
 * on, when the first program has been loaded: a machine that does not come up tests nothing. */
extern unsigned mm_fail_every;
void mm_fail_start(void);

/* --- address spaces -------------------------------------------------------------------------- */
struct file;
struct area;

/* Of one process. All mms share the page tables; no call touches an area of another mm. */
struct mm {
	struct mutex lock;              /* of the fields below that name no other lock */
	uaddr_t mmap_base;              /* addresses are handed out downwards from here; constant */
	_Atomic uint64_t rss_pages;
	_Atomic uint64_t rss_file_pages;
	uint64_t peak_rss_pages;
	uint64_t charged_pages;         /* these three: under the lock of the areas */
	uint64_t total_pages;           /* virtual size */
	_Atomic uint64_t limit_pages;   /* which it may not grow beyond (RLIMIT_AS); written at any time */
	uaddr_t brk_start, brk_end;
	uaddr_t stack_top;
	uaddr_t vdso;                   /* start of its code, 0 if none */
	uaddr_t arg_start, arg_end, env_start, env_end;
	uint64_t auxv[48];              /* /proc/self/auxv */
	unsigned auxv_words;
	char *exe_path;                 /* canonical path of the executable, owned */
	struct file *exe_file;
	uint64_t map_count;             /* areas */
	struct gate *_Atomic gate;      /* arch: rewritten system-call sites, NULL before the first */
};

struct mm *mm_create(void);       /* or NULL */
void mm_destroy(struct mm *mm);   /* unmaps everything; no thread runs in it any more */

/* Results of mm_fault() beside 0. The trap path turns them into signals. */
enum fault_result {
	FAULT_OK = 0,
	FAULT_MAPERR = 1, /* SIGSEGV SEGV_MAPERR */
	FAULT_ACCERR = 2, /* SIGSEGV SEGV_ACCERR */
	FAULT_BUS = 3,    /* SIGBUS BUS_ADRERR: behind the end of the file, or a read error */
	FAULT_OOM = 4,    /* nothing could be reclaimed; the caller ends the machine with a line */
};
enum fault_access { FAULT_READ = 0, FAULT_WRITE = 1, FAULT_EXEC = 2 };

/* Resolves a fault at addr (below UADDR_END) of the current process. May sleep. */
enum fault_result mm_fault(struct mm *mm, uaddr_t addr, enum fault_access access);

/* The Linux calls, with Linux's arguments and results; prot/flags are PROT_* and MAP_* bits. The
 * file is referenced by the area as long as it lives. Addresses are -errno on failure. */
long mm_mmap(struct mm *mm, uaddr_t addr, uint64_t len, int prot, int flags, struct file *file,
	     uint64_t offset);
long mm_munmap(struct mm *mm, uaddr_t addr, uint64_t len);
long mm_mprotect(struct mm *mm, uaddr_t addr, uint64_t len, int prot);
long mm_mremap(struct mm *mm, uaddr_t old, uint64_t old_len, uint64_t new_len, int flags,
	       uaddr_t new_addr);
long mm_madvise(struct mm *mm, uaddr_t addr, uint64_t len, int advice);
/* ibrik_release() of vdso/exports.h: the bytes given back, or -errno before anything has changed. */
long mm_release(struct mm *mm, uaddr_t addr, uint64_t len);
long mm_brk(struct mm *mm, uaddr_t brk);
long mm_msync(struct mm *mm, uaddr_t addr, uint64_t len, int flags);
long mm_mincore(struct mm *mm, uaddr_t addr, uint64_t len, uaddr_t vec);

/* The page of a private, executable, unwritable file mapping, made this mm's own copy if it is not yet, with a reference: code that
 * the kernel may change through the direct map. -EACCES: addr is not such code; -EFAULT: its file ends before; -ENOMEM. May sleep. */
struct page *mm_code_page(struct mm *mm, uaddr_t addr);
/* A free range of len bytes (pages) all of which lies within `reach` of addr, below it if possible; 0 if there is none. A hint: others may
 * take it before the caller does. */
uaddr_t mm_gap_near(struct mm *mm, uaddr_t addr, uint64_t len, uint64_t reach);

/* If addr lies in a shared file mapping: what names its byte whatever the mapping (page cache, offset), and true. */
bool mm_shared_key(uaddr_t addr, uint64_t *object, uint64_t *offset);

/* Does addr lie in a private mapping of a file (a program or library, no code made at run time)? Any context. */
bool mm_is_program_text(uaddr_t addr);

/* For /proc/PID/maps and smaps: calls emit for each area in order until it answers non-zero. The
 * area is described by value; path is "" for anonymous ones or "[heap]", "[stack]", "[vdso]". rss_pages and huge_pages
 * are counted, by a walk over the page tables, if `count`, else 0. */
struct area_info {
	uaddr_t start, end;
	int prot, flags;
	uint64_t offset, inode, rss_pages, huge_pages;
	unsigned dev;
	char path[256];
};
int mm_areas_each(struct mm *mm, bool count, int (*emit)(const struct area_info *a, void *arg), void *arg);

/* Room of arch, used by mm: drops translations of [start, end) on every CPU that could hold them and
 * returns when all have acknowledged; sleeps. */
void tlb_shootdown(uintptr_t start, uintptr_t end);
/* The same before page tables of the range are freed: idle CPUs too. A CPU that is about to drop everything when it leaves idle
 * may still walk a cached table ahead of time and set an accessed bit there (Intel SDM vol. 3, 4.10.2.3 and 4.10.3.2). */
void tlb_shootdown_tables(uintptr_t start, uintptr_t end);

#endif
