/*
 * tests/unit/fs_host.c - what the file systems need below them, for tests on the host: a simple page cache,
 * one process, application memory that is the program's own.
 *
 * The address BAD_ADDRESS and everything below it faults.
 */
#include "fs_host.h"
#include "core/clock.h"
#include "core/random.h"
#include "core/rcu.h"
#include "core/boot.h"
#include "core/uaccess.h"
#include "fs/inode.h"
#include "fs/readahead.h"
#include "lib/string.h"
#include "linux/process.h"
#include "mm/pagecache.h"
#include "net/socket.h"
#include "shim.h"

/* --- pages ---------------------------------------------------------------------------------------- */

struct host_page {
	struct page page;
	char data[4096];
};

paddr_t page_to_phys(const struct page *p)
{
	return (uintptr_t)((struct host_page *)p)->data - DIRECT_BASE;
}

void page_put(struct page *p)
{
	if (atomic_fetch_sub(&p->refs, 1) == 1)
		free(p);
}

static struct page *page_new(uint64_t index)
{
	struct host_page *p = calloc(1, sizeof(*p));

	atomic_init(&p->page.refs, 1);
	p->page.index = index;
	return &p->page;
}

struct pages { /* cache->root: a sorted array would do; tests have few pages */
	size_t n;
	struct page *at[];
};

void pagecache_init(struct pagecache *c, const struct pagecache_ops *ops, void *owner)
{
	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->owner = owner;
	list_init(&c->mappings);
}

static struct page **slot(struct pagecache *c, uint64_t index)
{
	struct pages *p = c->root;

	if (!p || index >= p->n) {
		size_t n = index + 16;

		p = realloc(p, sizeof(*p) + n * sizeof(struct page *));
		for (size_t i = c->root ? p->n : 0; i < n; i++)
			p->at[i] = NULL;
		p->n = n;
		c->root = p;
	}
	return &p->at[index];
}

static void page_drop(struct pagecache *c, uint64_t index)
{
	struct page **p = slot(c, index);

	if (!*p)
		return;
	page_put(*p);
	*p = NULL;
	atomic_fetch_sub(&c->npages, 1);
	if (c->ops->charge)
		c->ops->charge(c, -1);
}

void pagecache_destroy(struct pagecache *c)
{
	struct pages *p = c->root;

	for (size_t i = 0; p && i < p->n; i++)
		page_drop(c, i);
	free(c->root);
	c->root = NULL;
}

struct page *pagecache_get(struct pagecache *c, uint64_t index, unsigned flags)
{
	struct page **p = slot(c, index), *page;
	int r;

	if (*p)
		goto found;
	if (c->ops->fill) {
		uint64_t first;
		unsigned n = c->ops->cluster(c, index, &first);
		struct page *batch[256];

		CHECK(first <= index && index < first + n && n <= 256);
		for (unsigned i = 0; i < n; i++)
			batch[i] = page_new(first + i);
		r = c->ops->fill(c, batch, n);
		for (unsigned i = 0; i < n; i++) {
			if (r || *slot(c, first + i)) {
				page_put(batch[i]);
				continue;
			}
			*slot(c, first + i) = batch[i];
			atomic_fetch_add(&c->npages, 1);
		}
		if (r)
			return ERR_PTR(r);
		p = slot(c, index);
		goto found;
	}
	if (!(flags & PAGECACHE_CREATE))
		return ERR_PTR(-ENODATA);
	r = c->ops->charge ? c->ops->charge(c, 1) : 0;
	if (r)
		return ERR_PTR(r);
	*p = page_new(index);
	atomic_fetch_add(&c->npages, 1);
found:
	page = *p;
	atomic_fetch_add(&page->refs, 1);
	return page;
}

uint64_t pagecache_seek(struct pagecache *c, uint64_t index, uint64_t end, bool hole)
{
	while (index < end && !!*slot(c, index) == hole)
		index++;
	return index;
}

int pagecache_truncate(struct pagecache *c, uint64_t size)
{
	struct pages *p = c->root;

	for (size_t i = (size + 4095) / 4096; p && i < p->n; i++)
		page_drop(c, i);
	if (size % 4096 && size < c->size_bytes && *slot(c, size / 4096))
		memset((char *)page_to_virt(*slot(c, size / 4096)) + size % 4096, 0, 4096 - size % 4096);
	c->size_bytes = size;
	return 0;
}

uint64_t pagecache_count(struct pagecache *c, uint64_t first, uint64_t end)
{
	struct pages *p = c->root;
	uint64_t n = 0;

	for (uint64_t i = first; p && i < MIN(end, p->n); i++)
		n += p->at[i] != NULL;
	return n;
}

int pagecache_punch(struct pagecache *c, uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end;) {
		uint64_t n = MIN(end - at, 4096 - at % 4096);

		if (n == 4096)
			page_drop(c, at / 4096);
		else if (*slot(c, at / 4096))
			memset((char *)page_to_virt(*slot(c, at / 4096)) + at % 4096, 0, n);
		at += n;
	}
	return 0;
}

static ssize_t cache_copy(struct pagecache *c, uint64_t pos, char *buf, size_t len, bool write)
{
	size_t done = 0;

	if (!write)
		len = pos < c->size_bytes ? MIN(len, c->size_bytes - pos) : 0;
	while (done < len) {
		size_t in = (pos + done) % 4096, n = MIN(len - done, 4096 - in);
		struct page *p = pagecache_get(c, (pos + done) / 4096, write ? PAGECACHE_CREATE : 0);

		if (IS_ERR(p) && PTR_ERR(p) == -ENODATA) {
			memset(buf + done, 0, n);
		} else if (IS_ERR(p)) {
			return done ? (ssize_t)done : PTR_ERR(p);
		} else {
			if (write)
				memcpy((char *)page_to_virt(p) + in, buf + done, n);
			else
				memcpy(buf + done, (char *)page_to_virt(p) + in, n);
			page_put(p);
		}
		done += n;
		if (write && pos + done > c->size_bytes)
			c->size_bytes = pos + done;
	}
	return done;
}

ssize_t pagecache_read(struct pagecache *c, uint64_t pos, uaddr_t dst, size_t len)
{
	return dst <= BAD_ADDRESS && len ? -EFAULT : cache_copy(c, pos, (char *)dst, len, false);
}

ssize_t pagecache_read_kernel(struct pagecache *c, uint64_t pos, void *dst, size_t len)
{
	return cache_copy(c, pos, dst, len, false);
}

ssize_t pagecache_write(struct pagecache *c, uint64_t pos, uaddr_t src, size_t len)
{
	return src <= BAD_ADDRESS && len ? -EFAULT : cache_copy(c, pos, (char *)src, len, true);
}

ssize_t pagecache_write_kernel(struct pagecache *c, uint64_t pos, const void *src, size_t len)
{
	return cache_copy(c, pos, (char *)src, len, true);
}

/* --- the rest of the kernel -------------------------------------------------------------------------- */

static struct process process;
static struct thread thread = { .process = &process };

struct thread *thread_current(void) { return &thread; }
void preempt_disable(void) {}
void preempt_enable(void) {}
void rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *head)) { fn(head); }
unsigned online_cpus = 1;

static uint64_t now = 1000000000ull * 1000000000ull;
uint64_t clock_realtime_ns(void) { return now += 1000; }
uint64_t clock_monotonic_ns(void) { return now += 1000; }

int copy_from_user(void *dst, uaddr_t src, size_t len)
{
	if (src <= BAD_ADDRESS && len)
		return -EFAULT;
	memcpy(dst, (void *)src, len);
	return 0;
}

int copy_to_user(uaddr_t dst, const void *src, size_t len)
{
	if (dst <= BAD_ADDRESS && len)
		return -EFAULT;
	memcpy((void *)dst, src, len);
	return 0;
}

ssize_t strncpy_from_user(char *dst, uaddr_t src, size_t size)
{
	size_t n;

	if (src <= BAD_ADDRESS)
		return -EFAULT;
	n = strnlen((char *)src, size);
	if (n == size)
		return -ENAMETOOLONG;
	memcpy(dst, (char *)src, n + 1);
	return n;
}

int waitq_wait(struct waitq *q, struct mutex *m, uint64_t deadline_ns, bool interruptible) { return -EINTR; }
void waitq_wake_entries(struct waitq *q, unsigned n, unsigned events) {}
void epoll_file_release(struct file *f) {}
struct socket *socket_of_file(struct file *f) { return NULL; }
void readahead_miss(struct inode *inode, struct pagecache *cache, struct readahead *ra, uint64_t first, unsigned n) {}
int chrdev_open(struct inode *inode, struct file *f) { return -ENXIO; }
uint64_t host_free_pages = UINT64_MAX;
bool mm_pages_fit(uint64_t npages) { return npages <= host_free_pages; }

const char *host_tmp_max;

bool option_get(const char *name, char *buf, size_t size)
{
	if (strcmp(name, "tmp.max") || !host_tmp_max)
		return false;
	strlcpy(buf, host_tmp_max, size);
	return true;
}

void mem_stats_get(struct mem_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->total = MIB(512);
}

void host_init(struct superblock *root)
{
	CHECK_EQ(mount_at(root, "/"), 0);
	process.pid = 1;
	process.nthreads = 1;
	process.rlimits[RLIMIT_NOFILE].cur = 256;
	process.fds = fd_table_new();
	process.fs = fs_context_new();
	tmpfs_set_max();
}

void host_exit(void)
{
	fd_table_put(process.fds);
	fs_context_put(process.fs);
}
