/*
 * kernel/fs/readahead.c - reads ahead where a file of a layer is read in order.
 *
 * Theory:    A miss that follows the piece filled last (or the window that was read ahead last) is
 *            sequential: then a kernel thread fills the next pieces while the reader works on this one. The
 *            window doubles with each such miss, up to WINDOW_MAX pages, so a whole file costs few waits
 *            and a random reader nothing. Little free memory stops it: then the cache has better uses.
 * Interface: readahead_start() at boot; readahead_miss() from the fill of a file's pages.
 * Locking:   one mutex guards the ring of requests; a request holds its inode.
 * Errors:    none: a read that fails is done again by who needs it, and reported there.
 */
#include "fs/readahead.h"
#include "core/log.h"
#include "core/thread.h"
#include "fs/inode.h"

#define RING 16u
#define WINDOW_MAX 256u          /* pages: 1 MiB */
#define FREE_MIN MIB(24)

struct request {
	struct inode *inode;
	struct pagecache *cache;
	uint64_t first, end;
};

static struct mutex lock = MUTEX_INIT("read-ahead");
static struct waitq wake = { LIST_INIT(wake.entries) };
static struct request ring[RING];
static unsigned head, count;
static struct thread *worker;

static void request_run(const struct request *r)
{
	for (uint64_t at = r->first; at < r->end;) {
		struct page *p = pagecache_get(r->cache, at, 0);
		uint64_t first = at;
		unsigned n;

		if (IS_ERR(p))
			return;
		page_put(p);
		n = r->cache->ops->cluster(r->cache, at, &first);
		at = first + n;
	}
}

static void readahead_thread(void *arg)
{
	for (;;) {
		struct request r;

		mutex_lock(&lock);
		while (!count)
			waitq_wait(&wake, &lock, DEADLINE_NEVER, false);
		r = ring[head];
		head = (head + 1) % RING;
		count--;
		mutex_unlock(&lock);
		request_run(&r);
		inode_put(r.inode);
	}
}

void readahead_start(void)
{
	struct thread *t = thread_create_kernel("readahead", readahead_thread, NULL);

	if (!IS_ERR(t))
		worker = t; /* without it everything works, slower */
}

void readahead_miss(struct inode *inode, struct pagecache *cache, struct readahead *ra, uint64_t first,
		    unsigned n)
{
	uint64_t npages = (atomic_load(&cache->size_bytes) + PAGE_SIZE - 1) / PAGE_SIZE;
	struct request r = { .inode = inode, .cache = cache };
	struct mem_stats mem;
	bool sequential;

	if (!worker || current == worker)
		return;
	mutex_lock(&lock);
	sequential = first == ra->next;
	ra->next = first + n;
	ra->window = sequential ? MIN(MAX(ra->window * 2, 2 * n), WINDOW_MAX) : 0;
	if (sequential && first && ra->next < npages && count < RING) {
		mem_stats_get(&mem);
		if (mem.free >= FREE_MIN) {
			r.first = ra->next;
			r.end = MIN(npages, ra->next + ra->window);
			ra->next = r.end;
			inode_get(inode);
			ring[(head + count) % RING] = r;
			count++;
			waitq_wake(&wake, 1, 0);
		}
	}
	mutex_unlock(&lock);
}
