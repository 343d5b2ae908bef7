/*
 * kernel/linux/poll.c - poll, ppoll, select, pselect6.
 *
 * A waiting call registers one entry with every queue of every file, once; a wake sets a flag and
 * wakes the thread, which asks all files again. The files are looked up once and held for the whole
 * call, so a later round costs no table lookup and a file closed meanwhile cannot go away under it;
 * only poll() that a signal ends looks them up again.
 * select is translated into poll entries: the sets of a program that select()s are small.
 *
 * Interface: the four system calls.
 * Locking:   an entry is queued and removed under the mutex of the watched object. The callback only
 *            stores the flag and wakes; sleep_prepare() before the flag is read makes that race-free.
 * Errors:    as Linux: -EINVAL (too many), -EFAULT, -ENOMEM, -EBADF (select only). A signal before any
 *            event: -ERESTARTNOHAND, which becomes EINTR if a handler ran.
 */
#include "linux/syscall.h"
#include "linux/process.h"
#include "linux/signal_private.h"
#include "linux/timespec.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/eventpoll.h>
#include <asm/poll.h>
#include <linux/resource.h>

/* What a file without a poll operation answers: regular files are always ready. */
#define POLL_ALWAYS (EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM)

#define POLL_INLINE 8        /* watched files and entries that need no allocation */
#define POLL_BLOCK 40        /* entries of an allocated block */

struct poll_entry {
	struct waitq_entry wait;
	struct mutex *lock;      /* guards the queue it is on */
	struct poll_waiter *waiter;
};

struct poll_block {
	struct poll_block *next;
	unsigned used;
	struct poll_entry entries[POLL_BLOCK];
};

struct poll_waiter {
	struct poll_table table;
	struct thread *thread;
	_Atomic bool triggered;
	int error;               /* -ENOMEM when an entry could not be made */
	unsigned used;           /* of first[] */
	struct poll_entry first[POLL_INLINE];
	struct poll_block *blocks;
};

struct poll_item {
	struct file *file;       /* NULL: not watched, or a bad descriptor */
	unsigned mask;           /* events of interest */
	unsigned ready;
};

static void poll_triggered(struct waitq_entry *wait, unsigned events)
{
	struct poll_entry *e = container_of(wait, struct poll_entry, wait);

	if (!events)
		return; /* meant for sleeping threads only */
	atomic_store_explicit(&e->waiter->triggered, true, memory_order_release);
	thread_wake(e->waiter->thread);
}

static struct poll_entry *poll_entry_new(struct poll_waiter *w)
{
	struct poll_block *b = w->blocks;

	if (w->used < POLL_INLINE)
		return &w->first[w->used++];
	if (!b || b->used == POLL_BLOCK) {
		b = kmalloc(sizeof(*b));
		if (!b)
			return NULL;
		b->used = 0;
		b->next = w->blocks;
		w->blocks = b;
	}
	return &b->entries[b->used++];
}

static void poll_waiter_attach(struct poll_table *pt, struct waitq *q, struct mutex *lock)
{
	struct poll_waiter *w = container_of(pt, struct poll_waiter, table);
	struct poll_entry *e = poll_entry_new(w);

	if (!e) {
		w->error = -ENOMEM;
		return;
	}
	e->wait.thread = w->thread;
	e->wait.callback = poll_triggered;
	e->lock = lock;
	e->waiter = w;
	waitq_add(q, &e->wait);
}

static void poll_waiter_init(struct poll_waiter *w)
{
	w->table.attach = poll_waiter_attach;
	w->thread = current;
	atomic_store_explicit(&w->triggered, false, memory_order_relaxed);
	w->error = 0;
	w->used = 0;
	w->blocks = NULL;
}

static void poll_entry_remove(struct poll_entry *e)
{
	mutex_lock(e->lock);
	waitq_remove(&e->wait);
	mutex_unlock(e->lock);
}

static void poll_waiter_done(struct poll_waiter *w)
{
	for (unsigned i = 0; i < w->used; i++)
		poll_entry_remove(&w->first[i]);
	while (w->blocks) {
		struct poll_block *b = w->blocks;

		for (unsigned i = 0; i < b->used; i++)
			poll_entry_remove(&b->entries[i]);
		w->blocks = b->next;
		kfree(b);
	}
}

/* Asks every file once; registers with those it passes until the first ready one, if pt is given. */
static unsigned poll_round(struct poll_item *items, unsigned n, struct poll_table *pt)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		struct poll_item *it = &items[i];
		unsigned events;

		if (it->file) {
			events = it->file->ops->poll ? it->file->ops->poll(it->file, pt) : POLL_ALWAYS;
			it->ready = events & it->mask;
		}
		if (it->ready) {
			count++;
			pt = NULL;
		}
	}
	return count;
}

/*
 * Waits until an item is ready or the deadline (0: do not wait) has passed. Bad descriptors carry
 * their answer in `ready` already. The number of ready items, -ERESTARTNOHAND or -ENOMEM.
 */
static int poll_wait(struct poll_item *items, unsigned n, uint64_t deadline)
{
	struct poll_waiter w;
	int r;

	if (deadline == 0) {
		r = poll_round(items, n, NULL);
		/* One that the temporary mask lets through. */
		return r == 0 && signal_pending() ? -ERESTARTNOHAND : r;
	}
	poll_waiter_init(&w);
	r = poll_round(items, n, &w.table);
	while (r == 0) {
		int slept = 0;

		if (w.error) {
			r = w.error;
			break;
		}
		sleep_prepare(SLEEP_INTERRUPTIBLE);
		if (atomic_load_explicit(&w.triggered, memory_order_acquire)) {
			sleep_cancel();
		} else if (signal_pending()) {
			sleep_cancel();
			r = -ERESTARTNOHAND;
			break;
		} else {
			slept = sleep_until(deadline);
		}
		/* Cleared before the files are asked: what comes later sets it again. */
		atomic_exchange_explicit(&w.triggered, false, memory_order_acq_rel);
		r = poll_round(items, n, NULL);
		if (r == 0 && slept == -ETIMEDOUT)
			break;
	}
	poll_waiter_done(&w);
	return r;
}

static void poll_items_put(struct poll_item *items, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (items[i].file)
			file_put(items[i].file);
}

/* --- poll, ppoll ------------------------------------------------------------------------------- */

struct poll_fd { /* struct pollfd */
	int fd;
	int16_t events, revents;
};

/* Looks the descriptors up again: another thread may have put other files there and sent the signal that ended the wait, as the JDK
 * closes a file that is waited for. Is one of these ready? */
static int poll_fds_again(const struct poll_fd *fds, struct poll_item *items, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (fds[i].fd < 0)
			continue;
		if (items[i].file)
			file_put(items[i].file);
		items[i].file = fd_get_io(fds[i].fd);
		items[i].ready = items[i].file ? 0 : POLLNVAL;
	}
	return (int)poll_round(items, n, NULL);
}

static int poll_fds_with(uaddr_t ufds, struct poll_fd *fds, struct poll_item *items, unsigned n,
			   uint64_t deadline)
{
	int r, err;

	err = n == 1 ? get_user(fds[0], ufds) : copy_from_user(fds, ufds, n * sizeof(*fds));
	if (err)
		return err;
	for (unsigned i = 0; i < n; i++) {
		items[i].file = fds[i].fd < 0 ? NULL : fd_get_io(fds[i].fd);
		items[i].mask = (uint16_t)fds[i].events | EPOLLERR | EPOLLHUP;
		items[i].ready = fds[i].fd >= 0 && !items[i].file ? POLLNVAL : 0;
	}
	r = poll_wait(items, n, deadline);
	if (r == -ERESTARTNOHAND) {
		int again = poll_fds_again(fds, items, n);

		r = again ? again : r;
	}
	for (unsigned i = 0; i < n; i++)
		fds[i].revents = items[i].ready;
	poll_items_put(items, n);
	if (r < 0)
		return r;
	/* Only the answers are written: another thread may be changing the rest. */
	for (unsigned i = 0; i < n; i++) {
		err = put_user(ufds + i * sizeof(*fds) + offsetof(struct poll_fd, revents),
			       fds[i].revents);
		if (err)
			return err;
	}
	return r;
}

static int poll_fds(uaddr_t ufds, unsigned n, uint64_t deadline)
{
	struct {
		struct poll_fd fds[POLL_INLINE];
		struct poll_item items[POLL_INLINE];
	} small;
	struct poll_fd *fds;
	struct poll_item *items;
	int r;

	if (n > current_process()->rlimits[RLIMIT_NOFILE].cur)
		return -EINVAL;
	if (n <= POLL_INLINE)
		return poll_fds_with(ufds, small.fds, small.items, n, deadline);
	items = kmalloc((size_t)n * (sizeof(*items) + sizeof(*fds)));
	if (!items)
		return -ENOMEM;
	fds = (struct poll_fd *)(items + n);
	r = poll_fds_with(ufds, fds, items, n, deadline);
	kfree(items);
	return r;
}

static long poll_for(const struct restart *r)
{
	int result = poll_fds(r->addr, r->value, r->deadline_ns);

	return result == -ERESTARTNOHAND ? restart_with(*r) : result;
}

long sys_poll(uaddr_t fds, unsigned nfds, int timeout_ms)
{
	uint64_t deadline = DEADLINE_NEVER;
	int r;

	if (timeout_ms >= 0)
		deadline = timeout_ms ? deadline_after(timeout_ms * 1000000ull) : 0;
	r = poll_fds(fds, nfds, deadline);
	return r == -ERESTARTNOHAND ? restart_with((struct restart){ .fn = poll_for, .deadline_ns = deadline, .addr = fds, .value = nfds }) : r;
}

/*
 * The end of the calls with a timeout that is an in-out argument and with a temporary mask: gives the
 * time left back to the application and the mask back to the thread. The mask stays for a pending
 * signal, whose delivery restores it.
 */
static long poll_finish(long r, uint64_t deadline, uaddr_t timeout, bool timeval, bool masked)
{
	if (masked && r != -ERESTARTNOHAND)
		sigmask_restore();
	if (timeout && deadline) {
		struct __kernel_timespec left = ns_to_timespec(deadline_left(deadline));

		if (timeval)
			left.tv_nsec /= 1000;
		/* A timeout in read-only memory cannot be continued, so the call is not restarted. */
		if (put_user(timeout, left) && r == -ERESTARTNOHAND)
			r = -EINTR;
	}
	return r;
}

/* The deadline a user timeout means; 0 for "do not wait". */
static int poll_deadline(uaddr_t timeout, uint64_t *deadline)
{
	uint64_t ns;
	int r;

	*deadline = DEADLINE_NEVER;
	if (!timeout)
		return 0;
	r = timespec_get_user(timeout, &ns);
	if (!r)
		*deadline = ns ? deadline_after(ns) : 0;
	return r;
}

long sys_ppoll(uaddr_t fds, unsigned nfds, uaddr_t ts, uaddr_t sigmask, size_t setsize)
{
	uint64_t deadline;
	long r;

	r = poll_deadline(ts, &deadline);
	if (r)
		return r;
	r = sigmask_swap_user(sigmask, setsize);
	if (r)
		return r;
	r = poll_fds(fds, nfds, deadline);
	return poll_finish(r, deadline, ts, false, sigmask != 0);
}

/* --- select, pselect6 -------------------------------------------------------------------------- */

#define SELECT_IN (EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLNVAL)
#define SELECT_OUT (EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR | EPOLLNVAL)
#define SELECT_EX (EPOLLPRI | EPOLLNVAL)

static const unsigned select_masks[3] = { SELECT_IN, SELECT_OUT, SELECT_EX };

static bool bit_get(const uint8_t *set, unsigned i) { return set[i / 8] >> (i % 8) & 1; }

/* sets: three in, three out, `bytes` each. The number of bits set in the answers, or -errno. */
static int select_run(unsigned n, uint8_t *sets, size_t bytes, uint64_t deadline)
{
	struct poll_item *items;
	unsigned *fds, count = 0, used = 0;
	int r = 0, bits = 0;

	for (unsigned fd = 0; fd < n; fd++)
		if (bit_get(sets, fd) || bit_get(sets + bytes, fd) || bit_get(sets + 2 * bytes, fd))
			count++;
	items = kmalloc(MAX(count, 1u) * (sizeof(*items) + sizeof(*fds)));
	if (!items)
		return -ENOMEM;
	fds = (unsigned *)(items + count);
	for (unsigned fd = 0; fd < n && used < count; fd++) {
		unsigned mask = 0;

		for (unsigned k = 0; k < 3; k++)
			if (bit_get(sets + k * bytes, fd))
				mask |= select_masks[k];
		if (!mask)
			continue;
		items[used].file = fd_get(fd);
		if (!items[used].file) {
			r = -EBADF;
			goto out;
		}
		items[used].mask = mask;
		items[used].ready = 0;
		if (items[used].file->flags & O_PATH) { /* it is open, so no error; nothing would wait for it either */
			file_put(items[used].file);
			items[used].file = NULL;
			items[used].ready = POLLNVAL;
		}
		fds[used++] = fd;
	}
	r = poll_wait(items, used, deadline);
	for (unsigned i = 0; r > 0 && i < used; i++) {
		for (unsigned k = 0; k < 3; k++) {
			if ((items[i].ready & select_masks[k]) && bit_get(sets + k * bytes, fds[i])) {
				sets[(3 + k) * bytes + fds[i] / 8] |= 1u << (fds[i] % 8);
				bits++;
			}
		}
	}
	if (r > 0)
		r = bits;
out:
	poll_items_put(items, used);
	kfree(items);
	return r;
}

static long select_sets(int n, uaddr_t r, uaddr_t w, uaddr_t e, uint64_t deadline)
{
	const uaddr_t user[3] = { r, w, e };
	uint8_t small[6 * 32], *sets = small;
	size_t bytes;
	long result = 0;

	if (n < 0)
		return -EINVAL;
	/* The application's sets need not reach further than there can be descriptors. */
	n = MIN((unsigned)n, fd_table_size(current_process()->fds));
	bytes = ALIGN_UP((size_t)n, 64) / 8; /* the sets are arrays of longs */
	if (6 * bytes > sizeof(small)) {
		sets = kmalloc(6 * bytes);
		if (!sets)
			return -ENOMEM;
	}
	memset(sets, 0, 6 * bytes);
	for (unsigned k = 0; k < 3 && !result; k++)
		if (user[k])
			result = copy_from_user(sets + k * bytes, user[k], bytes);
	if (!result)
		result = select_run(n, sets, bytes, deadline);
	for (unsigned k = 0; k < 3 && result >= 0; k++)
		if (user[k] && copy_to_user(user[k], sets + (3 + k) * bytes, bytes))
			result = -EFAULT;
	if (sets != small)
		kfree(sets);
	return result;
}

long sys_select(int n, uaddr_t r, uaddr_t w, uaddr_t e, uaddr_t tv)
{
	uint64_t deadline = DEADLINE_NEVER;
	long result;

	if (tv) {
		struct __kernel_old_timeval t;
		struct __kernel_timespec ts;
		uint64_t ns;

		result = get_user(t, tv);
		if (result)
			return result;
		/* Linux lets the microseconds carry over into seconds. */
		if (t.tv_sec < 0 || t.tv_usec < 0)
			return -EINVAL;
		ts.tv_sec = t.tv_sec + t.tv_usec / 1000000;
		ts.tv_nsec = t.tv_usec % 1000000 * 1000;
		result = timespec_to_ns(&ts, &ns);
		if (result)
			return result;
		deadline = ns ? deadline_after(ns) : 0;
	}
	result = select_sets(n, r, w, e, deadline);
	return poll_finish(result, deadline, tv, true, false);
}

long sys_pselect6(int n, uaddr_t r, uaddr_t w, uaddr_t e, uaddr_t ts, uaddr_t sig)
{
	struct {
		uaddr_t set;
		uint64_t size;
	} arg = { 0, 0 };
	uint64_t deadline;
	long result;

	if (sig) {
		result = get_user(arg, sig);
		if (result)
			return result;
	}
	result = poll_deadline(ts, &deadline);
	if (result)
		return result;
	result = sigmask_swap_user(arg.set, arg.size);
	if (result)
		return result;
	result = select_sets(n, r, w, e, deadline);
	return poll_finish(result, deadline, ts, false, arg.set != 0);
}
