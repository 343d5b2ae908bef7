/*
 * kernel/linux/epoll.c - epoll: sets of files of which only the ready ones are looked at.
 *
 * An item (file, descriptor) hangs a callback into every queue of its file once, when it is added. A wake
 * puts the item on the set's ready list and wakes one waiter; epoll_wait takes items from that list
 * and asks each file for its state, so its cost is that of the ready ones. A level-triggered item
 * that was reported goes back to the end of the list and falls out when it is found not ready.
 *
 * An item is taken off the list before its file is asked. Whatever happens to the file after that puts
 * it on the list again; whatever happened before is in the answer. So no event is lost, and an
 * edge may be reported twice but never missed.
 *
 * Interface: epoll_create, epoll_create1, epoll_ctl, epoll_wait, epoll_pwait, epoll_pwait2;
 *            epoll_file_release() from the last file_put().
 * Locking:   ep->members    (outer) guards the table of items, their attachment and data. Held while
 *                           files are asked and events are copied out; an outer set's before an inner's.
 *            ep->lock       (inner) guards the ready list and the queue of waiters; taken by callbacks,
 *                           below the lock of the watched object; an inner set's before an outer's.
 *            links_lock     guards every file->epolls list.
 *            nest_lock      orders all calls that put one epoll file into another, or any file into a nested one, so
 *                           that the checks for loops and for too many ways see a graph that does not grow.
 *   Order: nest_lock, members, the object's mutex, lock; links_lock is a leaf below members.
 * Lifetime:  an item holds no reference to its file. The file's last file_put() comes here before
 *            the file's release() and waits for members, so an item's file is always usable
 *            under members. refs of the set: its file, and releases of files that are under way.
 * Errors:    Linux's: -EBADF -EEXIST -ENOENT -EPERM -EINVAL -ELOOP -ENOMEM -EFAULT; waiting -EINTR.
 */
#include "linux/syscall.h"
#include "linux/signal.h"
#include "linux/timespec.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/eventpoll.h>

/* Bits of epoll_event.events that are no events. They stay set in a disabled one-shot item. */
#define EPOLL_MODE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define EPOLL_EXCLUSIVE_OK \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)
#define EPOLL_MAX_DEPTH 5  /* sets on a path through nested sets */
#define EPOLL_MAX_EVENTS (INT32_MAX / (int)sizeof(struct epoll_event))
#define EPOLL_FIRST_BUCKETS 8

/* A place in one queue of the watched file. */
struct epoll_entry {
	struct waitq_entry wait;
	struct mutex *lock; /* guards that queue */
	struct epoll_item *item;
	struct epoll_entry *next; /* of the same item, beyond the two inside it */
};

struct epoll_item {
	struct list ready;               /* on ep->ready or a scan's batch; ep->lock */
	struct epoll_item *next;         /* in its bucket */
	struct list file_link;           /* file->epolls; links_lock */
	struct epoll *ep;
	struct file *file;
	int fd;
	_Atomic uint32_t events;         /* changed under both locks, read by callbacks under none */
	uint64_t data;
	unsigned nentries;
	int error;                       /* -ENOMEM when an entry could not be made */
	struct epoll_entry entries[2];
	struct epoll_entry *more;
	struct poll_table table;         /* used while it is attached */
};

struct epoll {
	struct mutex members;
	struct mutex lock;
	struct list ready;
	struct waitq wait;
	_Atomic unsigned refs;
	struct file *file;
	unsigned nitems, nbuckets;       /* nbuckets is a power of two */
	struct epoll_item **buckets;
	struct epoll_item *first_buckets[EPOLL_FIRST_BUCKETS];
	/* What the last walk through the net of sets found here: sets on the longest way down and up. */
	unsigned below, above;
	uint64_t below_generation;       /* of that walk; changed under nest_lock and members */
	uint64_t above_generation;       /* nest_lock */
};

static struct mutex links_lock = MUTEX_INIT("epoll links");
static struct mutex nest_lock = MUTEX_INIT("epoll nesting");
static _Atomic uint64_t nest_generation = 1; /* of the walk that is under way, or comes next; nest_lock */

static const struct file_ops epoll_ops;

static bool file_is_epoll(const struct file *f) { return f->ops == &epoll_ops; }

static void epoll_put(struct epoll *ep)
{
	if (atomic_fetch_sub_explicit(&ep->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (ep->buckets != ep->first_buckets)
		kfree(ep->buckets);
	kfree(ep);
}

/* --- the table of items (members held) -------------------------------------------------------- */

static struct epoll_item **bucket_of(struct epoll *ep, const struct file *f, int fd)
{
	uint64_t h = ((uintptr_t)f >> 6) * 0x9e3779b97f4a7c15ull + (unsigned)fd;

	return &ep->buckets[(h ^ h >> 32) & (ep->nbuckets - 1)];
}

static struct epoll_item *item_find(struct epoll *ep, const struct file *f, int fd)
{
	struct epoll_item *it = *bucket_of(ep, f, fd);

	while (it && (it->file != f || it->fd != fd))
		it = it->next;
	return it;
}

/* Doubles the table when it is full. Without memory the chains just grow longer. */
static void items_grow(struct epoll *ep)
{
	struct epoll_item **old = ep->buckets, **fresh;
	unsigned nold = ep->nbuckets;

	if (ep->nitems < nold)
		return;
	fresh = kzalloc(2ull * nold * sizeof(*fresh));
	if (!fresh)
		return;
	ep->buckets = fresh;
	ep->nbuckets = 2 * nold;
	for (unsigned i = 0; i < nold; i++) {
		while (old[i]) {
			struct epoll_item *it = old[i];
			struct epoll_item **b = bucket_of(ep, it->file, it->fd);

			old[i] = it->next;
			it->next = *b;
			*b = it;
		}
	}
	if (old != ep->first_buckets)
		kfree(old);
}

static void item_insert(struct epoll *ep, struct epoll_item *it)
{
	struct epoll_item **b;

	items_grow(ep);
	b = bucket_of(ep, it->file, it->fd);
	it->next = *b;
	*b = it;
	ep->nitems++;
}

/* --- attachment --------------------------------------------------------------------------------- */

/* A watched file has news. Its mutex is held. */
static void epoll_triggered(struct waitq_entry *wait, unsigned events)
{
	struct epoll_item *it = container_of(wait, struct epoll_entry, wait)->item;
	struct epoll *ep = it->ep;
	unsigned wake = 0;

	/* A change of the mask asks the file afterwards, so an old value read here loses nothing. */
	if (!(atomic_load_explicit(&it->events, memory_order_relaxed) & ~EPOLL_MODE_BITS & events))
		return;
	mutex_lock(&ep->lock);
	if (list_empty(&it->ready)) {
		list_push_back(&ep->ready, &it->ready);
		wake = 1;
	}
	waitq_wake(&ep->wait, wake, EPOLLIN | EPOLLRDNORM);
	mutex_unlock(&ep->lock);
}

static void item_attach(struct poll_table *pt, struct waitq *q, struct mutex *lock)
{
	struct epoll_item *it = container_of(pt, struct epoll_item, table);
	struct epoll_entry *e;

	if (it->nentries < ARRAY_SIZE(it->entries)) {
		e = &it->entries[it->nentries++];
	} else {
		e = kmalloc(sizeof(*e));
		if (!e) {
			it->error = -ENOMEM;
			return;
		}
		e->next = it->more;
		it->more = e;
	}
	e->wait.thread = NULL;
	e->wait.callback = epoll_triggered;
	e->lock = lock;
	e->item = it;
	waitq_add(q, &e->wait);
}

static void entry_detach(struct epoll_entry *e)
{
	mutex_lock(e->lock);
	waitq_remove(&e->wait);
	mutex_unlock(e->lock);
}

/* Takes the item out of everything and frees it. members held. */
static void item_remove(struct epoll *ep, struct epoll_item *it)
{
	struct epoll_item **p = bucket_of(ep, it->file, it->fd);

	/* First: once it is off file->epolls, the file may be freed at any moment. */
	for (unsigned i = 0; i < it->nentries; i++)
		entry_detach(&it->entries[i]);
	while (it->more) {
		struct epoll_entry *e = it->more;

		entry_detach(e);
		it->more = e->next;
		kfree(e);
	}
	mutex_lock(&ep->lock);
	list_del(&it->ready);
	mutex_unlock(&ep->lock);
	while (*p != it)
		p = &(*p)->next;
	*p = it->next;
	ep->nitems--;
	mutex_lock(&links_lock);
	list_del(&it->file_link);
	mutex_unlock(&links_lock);
	kfree(it);
}

/* What the item's file offers of what it asks for. members held. */
static unsigned item_poll(struct epoll_item *it, struct poll_table *pt)
{
	return it->file->ops->poll(it->file, pt) &
	       atomic_load_explicit(&it->events, memory_order_relaxed) & ~EPOLL_MODE_BITS;
}

/* Puts the item on the ready list for what is true already. */
static void item_mark_ready(struct epoll *ep, struct epoll_item *it)
{
	mutex_lock(&ep->lock);
	if (list_empty(&it->ready)) {
		list_push_back(&ep->ready, &it->ready);
		waitq_wake(&ep->wait, 1, EPOLLIN | EPOLLRDNORM);
	}
	mutex_unlock(&ep->lock);
}

void epoll_file_release(struct file *f)
{
	for (;;) {
		struct epoll_item *it;
		struct epoll *ep;

		mutex_lock(&links_lock);
		if (list_empty(&f->epolls)) {
			mutex_unlock(&links_lock);
			return;
		}
		ep = list_first(&f->epolls, struct epoll_item, file_link)->ep;
		/* The set's own release removes its items before it drops its reference. */
		atomic_fetch_add_explicit(&ep->refs, 1, memory_order_relaxed);
		mutex_unlock(&links_lock);

		mutex_lock(&ep->members);
		mutex_lock(&links_lock);
		it = list_empty(&f->epolls) ? NULL :
					      list_first(&f->epolls, struct epoll_item, file_link);
		mutex_unlock(&links_lock);
		/* Nobody adds to a file without references: if it is of this set, it stays until we go. */
		if (it && it->ep == ep)
			item_remove(ep, it);
		mutex_unlock(&ep->members);
		epoll_put(ep);
	}
}

/* --- nesting (nest_lock held) ------------------------------------------------------------------- */

/*
 * News of a file go up through every set that holds it, by each way there is, so the ways are limited as on Linux: how many end in a set
 * that is 2, 3, 4 or 5 sets above the file. Sets that hold the file and are in no other set are not counted.
 */
static const unsigned short most_ways[EPOLL_MAX_DEPTH] = { 0, 500, 100, 50, 10 };

/* A link that is to be made: `outer` will hold `inner`, which is a set or any other file. */
struct link_check {
	struct epoll *outer;
	struct file *inner;
	bool crowded; /* a file would have too many ways up */
};

/* The ways up from a file, the new link included; level: sets already passed. links_lock held. */
static bool ways_fit(const struct link_check *c, const struct file *f, unsigned level, unsigned *ways);

static bool ways_through_fit(const struct link_check *c, const struct epoll *ep, unsigned level, unsigned *ways)
{
	if (list_empty(&ep->file->epolls) && ep->file != c->inner)
		return level == 0 || ++ways[level] <= most_ways[level];
	return level + 1 < EPOLL_MAX_DEPTH && ways_fit(c, ep->file, level + 1, ways);
}

static bool ways_fit(const struct link_check *c, const struct file *f, unsigned level, unsigned *ways)
{
	struct epoll_item *it;

	if (f == c->inner && !ways_through_fit(c, c->outer, level, ways))
		return false;
	list_for_each(it, &f->epolls, file_link)
		if (!ways_through_fit(c, it->ep, level, ways))
			return false;
	return true;
}

/* Every set that is passed leads to a way that is counted, so this ends soon even in a dense net. */
static void ways_check(struct link_check *c, const struct file *f)
{
	unsigned ways[EPOLL_MAX_DEPTH] = { 0 };

	mutex_lock(&links_lock);
	c->crowded = c->crowded || !ways_fit(c, f, 0, ways);
	mutex_unlock(&links_lock);
}

/*
 * Sets on the longest way down from ep, itself included; on the way checks all files for too many ways up. Each set is walked once in a
 * generation. The sets nest as deep as EPOLL_MAX_DEPTH at most, since each link was checked, and so does the recursion.
 */
static unsigned depth_below(struct link_check *c, struct epoll *ep, uint64_t generation)
{
	unsigned deepest = 0;

	mutex_lock(&ep->members);
	if (ep->below_generation != generation) {
		ep->below_generation = generation;
		for (unsigned i = 0; i < ep->nbuckets; i++) {
			for (struct epoll_item *it = ep->buckets[i]; it; it = it->next) {
				if (file_is_epoll(it->file))
					deepest = MAX(deepest, depth_below(c, it->file->priv, generation));
				else
					ways_check(c, it->file);
			}
		}
		ep->below = deepest + 1;
	}
	deepest = ep->below;
	mutex_unlock(&ep->members);
	return deepest;
}

/* Sets on the longest way up from ep, itself included; more than EPOLL_MAX_DEPTH if `inner` is met. links_lock held. */
static unsigned depth_above(struct epoll *ep, const struct epoll *inner, uint64_t generation)
{
	struct epoll_item *it;
	unsigned highest = 0;

	if (ep == inner)
		return EPOLL_MAX_DEPTH + 1;
	if (ep->above_generation != generation) {
		ep->above_generation = generation;
		list_for_each(it, &ep->file->epolls, file_link)
			highest = MAX(highest, depth_above(it->ep, inner, generation));
		ep->above = highest + 1;
	}
	return ep->above;
}

/* May one set hold another? 0, -ELOOP or -EINVAL. */
static int nesting_check(struct epoll *outer, struct epoll *inner)
{
	uint64_t generation = atomic_load_explicit(&nest_generation, memory_order_relaxed);
	struct link_check c = { outer, inner->file, false };
	unsigned depth;

	mutex_lock(&links_lock);
	depth = depth_above(outer, inner, generation);
	mutex_unlock(&links_lock);
	/* Without a loop no set below is one above, so the way down locks no members twice. */
	if (depth > EPOLL_MAX_DEPTH || depth + depth_below(&c, inner, generation) > EPOLL_MAX_DEPTH)
		return -ELOOP;
	return c.crowded ? -EINVAL : 0;
}

/*
 * Is the set in another one, or about to be? Files that come into such a set are checked, too. members held: a file that came into the set
 * before a walk locked it is seen by the walk, and one that comes later sees the mark of the walk or the link that it was made for.
 */
static bool epoll_nested(struct epoll *ep)
{
	return ep->below_generation == atomic_load_explicit(&nest_generation, memory_order_acquire) ||
	       !list_empty(&ep->file->epolls);
}

static int link_check(struct epoll *outer, struct file *inner)
{
	struct link_check c = { outer, inner, false };

	if (file_is_epoll(inner))
		return nesting_check(outer, inner->priv);
	ways_check(&c, inner);
	return c.crowded ? -EINVAL : 0;
}

/* --- epoll_ctl (members held) ------------------------------------------------------------------- */

static int item_add(struct epoll *ep, struct file *f, int fd, const struct epoll_event *ev)
{
	struct epoll_item *it = kzalloc(sizeof(*it));

	if (!it)
		return -ENOMEM;
	list_init(&it->ready);
	list_init(&it->file_link);
	it->ep = ep;
	it->file = f;
	it->fd = fd;
	atomic_store_explicit(&it->events, ev->events | EPOLLERR | EPOLLHUP, memory_order_relaxed);
	it->data = ev->data;
	it->table.attach = item_attach;
	item_insert(ep, it);
	mutex_lock(&links_lock);
	list_push_back(&f->epolls, &it->file_link);
	mutex_unlock(&links_lock);
	if (item_poll(it, &it->table))
		item_mark_ready(ep, it);
	if (it->error) {
		item_remove(ep, it);
		return -ENOMEM;
	}
	return 0;
}

static int item_modify(struct epoll *ep, struct epoll_item *it, const struct epoll_event *ev)
{
	if (atomic_load_explicit(&it->events, memory_order_relaxed) & EPOLLEXCLUSIVE)
		return -EINVAL;
	mutex_lock(&ep->lock);
	atomic_store_explicit(&it->events, ev->events | EPOLLERR | EPOLLHUP, memory_order_relaxed);
	it->data = ev->data;
	mutex_unlock(&ep->lock);
	if (item_poll(it, NULL))
		item_mark_ready(ep, it);
	return 0;
}

/* Adds a file where that makes sets nest, or adds to a nested one. */
static int item_add_nested(struct epoll *ep, struct file *f, int fd, const struct epoll_event *ev)
{
	int r;

	mutex_lock(&nest_lock);
	r = link_check(ep, f);
	mutex_lock(&ep->members);
	if (item_find(ep, f, fd))
		r = -EEXIST;
	if (!r)
		r = item_add(ep, f, fd, ev);
	mutex_unlock(&ep->members);
	/* The marks of the walk mean nothing from here on. */
	atomic_fetch_add_explicit(&nest_generation, 1, memory_order_release);
	mutex_unlock(&nest_lock);
	return r;
}

static int epoll_control(struct epoll *ep, int op, struct file *f, int fd, const struct epoll_event *ev)
{
	struct epoll_item *it;
	int r = 0;

	mutex_lock(&ep->members);
	if (op == EPOLL_CTL_ADD && (file_is_epoll(f) || epoll_nested(ep))) {
		mutex_unlock(&ep->members);
		return item_add_nested(ep, f, fd, ev);
	}
	it = item_find(ep, f, fd);
	if (op == EPOLL_CTL_ADD)
		r = it ? -EEXIST : item_add(ep, f, fd, ev);
	else if (!it)
		r = -ENOENT;
	else if (op == EPOLL_CTL_DEL)
		item_remove(ep, it);
	else
		r = item_modify(ep, it, ev);
	mutex_unlock(&ep->members);
	return r;
}

static int epoll_control_check(struct file *epf, int op, struct file *f, const struct epoll_event *ev)
{
	if (!f->ops->poll)
		return -EPERM;
	if (epf == f || !file_is_epoll(epf))
		return -EINVAL;
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_DEL && op != EPOLL_CTL_MOD)
		return -EINVAL;
	if (op == EPOLL_CTL_MOD && (ev->events & EPOLLEXCLUSIVE))
		return -EINVAL;
	if (op == EPOLL_CTL_ADD && (ev->events & EPOLLEXCLUSIVE) &&
	    (file_is_epoll(f) || (ev->events & ~EPOLL_EXCLUSIVE_OK)))
		return -EINVAL;
	return 0;
}

long sys_epoll_ctl(int epfd, int op, int fd, uaddr_t event)
{
	struct epoll_event ev = { 0 };
	struct file *epf, *f;
	long r;

	if (op != EPOLL_CTL_DEL) {
		r = get_user(ev, event);
		if (r)
			return r;
	}
	epf = fd_get_io(epfd);
	if (!epf)
		return -EBADF;
	r = -EBADF;
	f = fd_get_io(fd);
	if (f) {
		r = epoll_control_check(epf, op, f, &ev);
		if (!r)
			r = epoll_control(epf->priv, op, f, fd, &ev);
		file_put(f);
	}
	file_put(epf);
	return r;
}

/* --- waiting ------------------------------------------------------------------------------------- */

/* Puts what a scan did not reach back to the front of the ready list. ep->lock held. */
static void batch_return(struct epoll *ep, struct list *batch)
{
	list_splice_back(batch, &ep->ready);
	list_splice_back(&ep->ready, batch);
}

/* Hands out at most max events. Their number, or -EFAULT. */
static int epoll_collect(struct epoll *ep, uaddr_t out, int max)
{
	struct list batch;
	int n = 0, r = 0;

	list_init(&batch);
	mutex_lock(&ep->members);
	mutex_lock(&ep->lock);
	list_splice_back(&batch, &ep->ready);
	while (n < max && !list_empty(&batch)) {
		struct epoll_item *it = list_first(&batch, struct epoll_item, ready);
		struct epoll_event ev;
		uint32_t mode;

		list_del(&it->ready);
		mutex_unlock(&ep->lock);
		ev.events = item_poll(it, NULL);
		ev.data = it->data;
		if (ev.events)
			r = put_user(out + n * sizeof(ev), ev);
		mutex_lock(&ep->lock);
		if (r) {
			if (list_empty(&it->ready))
				list_push_front(&batch, &it->ready);
			break;
		}
		if (!ev.events)
			continue;
		n++;
		mode = atomic_load_explicit(&it->events, memory_order_relaxed);
		if (mode & EPOLLONESHOT)
			atomic_store_explicit(&it->events, mode & EPOLL_MODE_BITS,
					      memory_order_relaxed);
		else if (!(mode & EPOLLET) && list_empty(&it->ready))
			list_push_back(&ep->ready, &it->ready);
	}
	batch_return(ep, &batch);
	if (!list_empty(&ep->ready))
		waitq_wake(&ep->wait, 1, 0);
	mutex_unlock(&ep->lock);
	mutex_unlock(&ep->members);
	return n ? n : r;
}

/* Is any item really ready? Those found not to be leave the list. members held. */
static bool epoll_any_ready(struct epoll *ep)
{
	struct list batch;
	bool found = false;

	list_init(&batch);
	mutex_lock(&ep->lock);
	list_splice_back(&batch, &ep->ready);
	while (!found && !list_empty(&batch)) {
		struct epoll_item *it = list_first(&batch, struct epoll_item, ready);

		list_del(&it->ready);
		mutex_unlock(&ep->lock);
		found = item_poll(it, NULL) != 0;
		mutex_lock(&ep->lock);
		if (found && list_empty(&it->ready))
			list_push_front(&batch, &it->ready);
	}
	batch_return(ep, &batch);
	if (!list_empty(&ep->ready))
		waitq_wake(&ep->wait, 1, 0);
	mutex_unlock(&ep->lock);
	return found;
}

static unsigned epoll_poll(struct file *f, struct poll_table *pt)
{
	struct epoll *ep = f->priv;
	bool ready;

	/* Waits for a scan that is under way: its batch is on no list that could be looked at. */
	mutex_lock(&ep->members);
	mutex_lock(&ep->lock);
	poll_attach(pt, &ep->wait, &ep->lock);
	mutex_unlock(&ep->lock);
	ready = epoll_any_ready(ep);
	mutex_unlock(&ep->members);
	return ready ? EPOLLIN | EPOLLRDNORM : 0;
}

static int epoll_wait_events(struct epoll *ep, uaddr_t out, int max, uint64_t deadline)
{
	int slept = 0;

	if (deadline == 0)
		return epoll_collect(ep, out, max);
	for (;;) {
		bool ready;

		mutex_lock(&ep->lock);
		while (list_empty(&ep->ready) && !slept)
			slept = waitq_wait(&ep->wait, &ep->lock, deadline, true);
		ready = !list_empty(&ep->ready);
		mutex_unlock(&ep->lock);
		/* Also after a signal or the time: we may have been the one chosen for an event. */
		if (ready || slept == -ETIMEDOUT) {
			int n = epoll_collect(ep, out, max);

			if (n)
				return n;
		}
		if (slept)
			return slept == -ETIMEDOUT ? 0 : slept;
	}
}

static long epoll_wait_fd(int epfd, uaddr_t events, int max, uint64_t deadline)
{
	struct file *f;
	long r;

	if (max <= 0 || max > EPOLL_MAX_EVENTS)
		return -EINVAL;
	if (!uaddr_ok(events, max * sizeof(struct epoll_event)))
		return -EFAULT;
	f = fd_get_io(epfd);
	if (!f)
		return -EBADF;
	r = file_is_epoll(f) ? epoll_wait_events(f->priv, events, max, deadline) : -EINVAL;
	file_put(f);
	return r;
}

static uint64_t deadline_of_ms(int timeout_ms)
{
	if (timeout_ms < 0)
		return DEADLINE_NEVER;
	return timeout_ms ? deadline_after(timeout_ms * 1000000ull) : 0;
}

long sys_epoll_wait(int ep, uaddr_t events, int max, int timeout_ms)
{
	return epoll_wait_fd(ep, events, max, deadline_of_ms(timeout_ms));
}

static long epoll_wait_masked(int ep, uaddr_t events, int max, uint64_t deadline, uaddr_t sigmask,
			      size_t setsize)
{
	long r = sigmask_swap_user(sigmask, setsize);

	if (r)
		return r;
	r = epoll_wait_fd(ep, events, max, deadline);
	if (sigmask && r != -EINTR) /* the pending signal's delivery restores it otherwise */
		sigmask_restore();
	return r;
}

long sys_epoll_pwait(int ep, uaddr_t events, int max, int timeout_ms, uaddr_t sigmask, size_t setsize)
{
	return epoll_wait_masked(ep, events, max, deadline_of_ms(timeout_ms), sigmask, setsize);
}

long sys_epoll_pwait2(int ep, uaddr_t events, int max, uaddr_t timeout, uaddr_t sigmask, size_t setsize)
{
	uint64_t deadline = DEADLINE_NEVER, ns = 0;

	if (timeout) {
		long r = timespec_get_user(timeout, &ns);

		if (r)
			return r;
		deadline = ns ? deadline_after(ns) : 0;
	}
	return epoll_wait_masked(ep, events, max, deadline, sigmask, setsize);
}

/* --- the set itself ------------------------------------------------------------------------------ */

static void epoll_release(struct file *f)
{
	struct epoll *ep = f->priv;

	mutex_lock(&ep->members);
	for (unsigned i = 0; i < ep->nbuckets; i++)
		while (ep->buckets[i])
			item_remove(ep, ep->buckets[i]);
	mutex_unlock(&ep->members);
	epoll_put(ep);
}

static int epoll_show(struct file *f, char *buf, size_t size)
{
	struct epoll *ep = f->priv;
	size_t len = 0;

	if (size)
		buf[0] = '\0';
	mutex_lock(&ep->members);
	for (unsigned i = 0; i < ep->nbuckets; i++)
		for (struct epoll_item *it = ep->buckets[i]; it; it = it->next)
			sappendf(buf, size, &len, "tfd: %8d events: %8x data: %16llx\n", it->fd,
				 atomic_load_explicit(&it->events, memory_order_relaxed),
				 (unsigned long long)it->data);
	mutex_unlock(&ep->members);
	return len;
}

static const struct file_ops epoll_ops = {
	.poll = epoll_poll,
	.release = epoll_release,
	.show_fdinfo = epoll_show,
};

long sys_epoll_create1(int flags)
{
	struct epoll *ep;
	struct file *f;
	int fd;

	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	ep = kzalloc(sizeof(*ep));
	if (!ep)
		return -ENOMEM;
	mutex_init(&ep->members, "epoll members");
	mutex_init(&ep->lock, "epoll ready list");
	list_init(&ep->ready);
	waitq_init(&ep->wait);
	atomic_store_explicit(&ep->refs, 1, memory_order_relaxed);
	ep->nbuckets = EPOLL_FIRST_BUCKETS;
	ep->buckets = ep->first_buckets;
	f = file_new_anon("anon_inode:[eventpoll]", 0600, &epoll_ops, O_RDWR, ep);
	if (IS_ERR(f)) {
		kfree(ep);
		return PTR_ERR(f);
	}
	ep->file = f;
	fd = fd_install(f, 0, flags & EPOLL_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

long sys_epoll_create(int size) { return size <= 0 ? -EINVAL : sys_epoll_create1(0); }
