/*
 * kernel/fs/fdtable.c - descriptor tables.
 *
 * Theory:    A table points to an array of file pointers that readers look at under RCU: fd_get() loads
 *            the slot, takes a reference unless the count is zero already, and then looks at the slot again. fd_peek()
 *            takes none, for calls that only look at the struct file. Bitmaps too are read without the lock.
 *            Growing makes a bigger array and frees the old one after a grace period. One bit for each
 *            descriptor says "in use", one "close on exec"; a hint keeps the search for the lowest
 *            free one short. A descriptor that is in use without a file has been reserved by a call that
 *            must not begin what it could not hand out (fd_reserve()).
 * Interface: fd_*() in vfs.h.
 * Locking:   table->lock for every change.
 * Errors:    -EMFILE (RLIMIT_NOFILE), -EBADF, -EBUSY (dup2() to a reserved one), -ENOMEM.
 */
#include "fs/fdtable.h"
#include "fs/inode.h"
#include "core/log.h"
#include "lib/string.h"
#include "linux/process.h"

#define FD_FIRST_SIZE 64u
#define FD_MAX (1u << 20)

static struct fd_array *array_new(unsigned size)
{
	struct fd_array *a = kzalloc(sizeof(*a) + size * sizeof(struct file *) + 2 * (size / 8));

	if (!a)
		return NULL;
	a->size = size;
	a->used = (uint64_t *)&a->slots[size];
	a->cloexec = a->used + size / 64;
	return a;
}

static void array_free_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct fd_array, rcu));
}

static struct fd_array *table_array(struct fd_table *t)
{
	return rcu_dereference(t->array);
}

static bool bit_test(const uint64_t *map, unsigned i) { return *(const volatile uint64_t *)&map[i / 64] >> (i % 64) & 1; }
static void bit_set(uint64_t *map, unsigned i) { map[i / 64] |= 1ull << (i % 64); }
static void bit_clear(uint64_t *map, unsigned i) { map[i / 64] &= ~(1ull << (i % 64)); }

struct fd_table *fd_table_new(void)
{
	struct fd_table *t = kzalloc(sizeof(*t));
	struct fd_array *a = array_new(FD_FIRST_SIZE);

	if (!t || !a) {
		kfree(t);
		kfree(a);
		return NULL;
	}
	atomic_init(&t->refs, 1);
	mutex_init(&t->lock, "descriptors");
	atomic_init(&t->array, a);
	return t;
}

void fd_table_get(struct fd_table *t) { atomic_fetch_add(&t->refs, 1); }

/* What close(2) does beside dropping the reference. */
static int file_close(struct file *f)
{
	struct process *p = current_process();
	int r = 0;

	if (!(f->flags & O_PATH)) {
		if (f->ops->flush)
			r = f->ops->flush(f);
		if (p)
			locks_release_posix(f, p->pid);
	}
	file_put(f);
	return r;
}

void fd_table_put(struct fd_table *t)
{
	struct fd_array *a;

	if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	a = table_array(t);
	for (unsigned i = 0; i < a->size; i++)
		if (a->slots[i])
			file_close(a->slots[i]);
	rcu_call(&a->rcu, array_free_rcu); /* a late fd_get() of /proc may still look */
	kfree(t);
}

static inline struct file *table_get(struct fd_table *t, int fd)
{
	struct file *f;

	rcu_read_lock();
	do
		f = fd_table_peek(t, fd);
	while (f && !file_try_get(f)); /* closed just now: the slot has changed */
	rcu_read_unlock();
	return f;
}

struct file *fd_peek(int fd)
{
	struct process *p = current_process();

	return likely(p) ? fd_table_peek(p->fds, fd) : NULL;
}

struct file *fd_get(int fd)
{
	struct process *p = current_process();

	return likely(p) ? table_get(p->fds, fd) : NULL;
}

/* Not by fd_get(): this is as short a way as that one. */
struct file *fd_get_io(int fd)
{
	struct process *p = current_process();
	struct file *f = likely(p) ? table_get(p->fds, fd) : NULL;

	if (unlikely(f && (f->flags & O_PATH))) {
		file_put(f);
		return NULL;
	}
	return f;
}

struct file *fd_table_file(struct fd_table *t, int fd) { return table_get(t, fd); }

unsigned fd_table_size(struct fd_table *t)
{
	unsigned size;

	rcu_read_lock();
	size = table_array(t)->size;
	rcu_read_unlock();
	return size;
}

static uint64_t fd_limit(void)
{
	struct process *p = current_process();
	uint64_t limit = p ? p->rlimits[RLIMIT_NOFILE].cur : 1024;

	return MIN(limit, (uint64_t)FD_MAX);
}

/* Makes room for descriptor `fd`; lock held. */
static int table_grow(struct fd_table *t, unsigned fd)
{
	struct fd_array *old = table_array(t), *a;
	unsigned size = old->size;

	if (fd < size)
		return 0;
	while (size <= fd)
		size *= 2;
	a = array_new(size);
	if (!a)
		return -ENOMEM;
	for (unsigned i = 0; i < old->size; i++)
		a->slots[i] = old->slots[i];
	memcpy(a->used, old->used, old->size / 8);
	memcpy(a->cloexec, old->cloexec, old->size / 8);
	rcu_assign(t->array, a);
	rcu_call(&old->rcu, array_free_rcu);
	return 0;
}

static unsigned lowest_free(const struct fd_array *a, unsigned min)
{
	for (unsigned w = min / 64; w < a->size / 64; w++) {
		uint64_t free = ~a->used[w];

		if (w == min / 64)
			free &= ~0ull << (min % 64);
		if (free)
			return w * 64 + __builtin_ctzll(free);
	}
	return MAX(a->size, min);
}

/* The lowest free descriptor from min on, with that file, or reserved if it is NULL. */
static int slot_take(struct fd_table *t, struct file *f, int min, bool cloexec)
{
	uint64_t limit = fd_limit();
	struct fd_array *a;
	unsigned fd;
	int r;

	mutex_lock(&t->lock);
	fd = lowest_free(table_array(t), MAX((unsigned)min, t->hint));
	r = fd >= limit ? -EMFILE : table_grow(t, fd);
	if (!r) {
		a = table_array(t);
		bit_set(a->used, fd);
		if (cloexec)
			bit_set(a->cloexec, fd);
		else
			bit_clear(a->cloexec, fd);
		rcu_assign(a->slots[fd], f);
		if ((unsigned)min <= t->hint)
			t->hint = fd + 1;
		r = fd;
	}
	mutex_unlock(&t->lock);
	return r;
}

int fd_table_install(struct fd_table *t, struct file *f, int min, bool cloexec) { return slot_take(t, f, min, cloexec); }

int fd_install(struct file *f, int min, bool cloexec)
{
	return fd_table_install(current_process()->fds, f, min, cloexec);
}

int fd_reserve(bool cloexec) { return slot_take(current_process()->fds, NULL, 0, cloexec); }

void fd_fill(int fd, struct file *f)
{
	struct fd_table *t = current_process()->fds;
	struct fd_array *a;

	mutex_lock(&t->lock);
	a = table_array(t);
	assert(bit_test(a->used, (unsigned)fd) && !a->slots[fd]);
	rcu_assign(a->slots[fd], f);
	mutex_unlock(&t->lock);
}

/* Nobody's any more; lock held. */
static void slot_free(struct fd_table *t, struct fd_array *a, unsigned fd)
{
	bit_clear(a->used, fd);
	bit_clear(a->cloexec, fd);
	t->hint = MIN(t->hint, fd);
}

void fd_unreserve(int fd)
{
	struct fd_table *t = current_process()->fds;

	mutex_lock(&t->lock);
	slot_free(t, table_array(t), (unsigned)fd);
	mutex_unlock(&t->lock);
}

/* Empties a slot; lock held. */
static struct file *slot_clear(struct fd_table *t, unsigned fd)
{
	struct fd_array *a = table_array(t);
	struct file *f;

	if (fd >= a->size)
		return NULL;
	f = a->slots[fd];
	if (!f)
		return NULL;
	rcu_assign(a->slots[fd], NULL);
	slot_free(t, a, fd);
	return f;
}

int fd_close(int fd)
{
	struct fd_table *t = current_process()->fds;
	struct file *f;

	if (fd < 0)
		return -EBADF;
	mutex_lock(&t->lock);
	f = slot_clear(t, fd);
	mutex_unlock(&t->lock);
	return f ? file_close(f) : -EBADF;
}

int fd_dup2(int old, int new, bool cloexec)
{
	struct fd_table *t = current_process()->fds;
	struct file *f, *replaced;
	struct fd_array *a;
	int r;

	if (new < 0 || (uint64_t)new >= fd_limit())
		return -EBADF;
	f = fd_get(old);
	if (!f)
		return -EBADF;
	mutex_lock(&t->lock);
	r = table_grow(t, new);
	a = table_array(t);
	if (!r && bit_test(a->used, new) && !a->slots[new])
		r = -EBUSY;
	if (r) {
		mutex_unlock(&t->lock);
		file_put(f);
		return r;
	}
	replaced = slot_clear(t, new);
	bit_set(a->used, new);
	if (cloexec)
		bit_set(a->cloexec, new);
	rcu_assign(a->slots[new], f);
	mutex_unlock(&t->lock);
	if (replaced)
		file_close(replaced);
	return new;
}

int fd_cloexec(int fd, int set)
{
	struct fd_table *t = current_process()->fds;
	struct fd_array *a;
	int r = -EBADF;

	if (set < 0) {
		rcu_read_lock();
		a = table_array(t);
		if ((unsigned)fd < a->size && rcu_dereference(a->slots[fd]))
			r = bit_test(a->cloexec, fd);
		rcu_read_unlock();
		return r;
	}
	mutex_lock(&t->lock);
	a = table_array(t);
	if (fd >= 0 && (unsigned)fd < a->size && a->slots[fd]) {
		r = bit_test(a->cloexec, fd);
		if (set > 0)
			bit_set(a->cloexec, fd);
		else if (set == 0)
			bit_clear(a->cloexec, fd);
	}
	mutex_unlock(&t->lock);
	return r;
}

void fd_table_close_range(struct fd_table *t, unsigned first, unsigned last, bool only_mark)
{
	struct file *f;

	for (unsigned fd = first;; fd++) {
		struct fd_array *a;
		bool end;

		f = NULL;
		mutex_lock(&t->lock);
		a = table_array(t);
		end = fd >= a->size || fd > last;
		if (!end && only_mark && a->slots[fd])
			bit_set(a->cloexec, fd);
		else if (!end && !only_mark)
			f = slot_clear(t, fd);
		mutex_unlock(&t->lock);
		if (end)
			break;
		if (f)
			file_close(f);
	}
}

void fd_close_on_exec(struct fd_table *t)
{
	for (unsigned fd = 0;; fd++) {
		struct file *f = NULL;
		struct fd_array *a;
		bool end;

		mutex_lock(&t->lock);
		a = table_array(t);
		end = fd >= a->size;
		if (!end && bit_test(a->cloexec, fd))
			f = slot_clear(t, fd);
		mutex_unlock(&t->lock);
		if (end)
			break;
		if (f)
			file_close(f);
	}
}

int fd_table_next(struct fd_table *t, int from)
{
	unsigned fd = (unsigned)from;
	int found = -1;
	struct fd_array *a;

	rcu_read_lock();
	a = table_array(t);
	while (found < 0 && fd < a->size) {
		uint64_t used = *(const volatile uint64_t *)&a->used[fd / 64] >> (fd % 64);

		if (!used) {
			fd = (fd / 64 + 1) * 64;
			continue;
		}
		fd += (unsigned)__builtin_ctzll(used);
		if (rcu_dereference(a->slots[fd]))
			found = (int)fd;
		fd++;
	}
	rcu_read_unlock();
	return found;
}

struct fd_table *fd_table_copy(struct fd_table *from)
{
	struct fd_table *t = fd_table_new();
	struct fd_array *a, *b;

	if (!t)
		return NULL;
	mutex_lock(&from->lock);
	a = table_array(from);
	if (table_grow(t, a->size - 1)) {
		mutex_unlock(&from->lock);
		fd_table_put(t);
		return NULL;
	}
	b = table_array(t);
	for (unsigned i = 0; i < a->size; i++) {
		if (!a->slots[i])
			continue;
		file_get(a->slots[i]);
		b->slots[i] = a->slots[i];
		bit_set(b->used, i);
		if (bit_test(a->cloexec, i))
			bit_set(b->cloexec, i);
	}
	mutex_unlock(&from->lock);
	return t;
}
