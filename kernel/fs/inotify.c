/*
 * kernel/fs/inotify.c - inotify: watching files and directories for changes.
 *
 * Theory:    A watch ties an inode to an inotify file; the inode's list and the instance's list both hold
 *            it. Changes call notify_*(): first the watches of the directory hear of it, with the name, then
 *            those of the inode itself. Events are queued in order; one that equals the last is dropped,
 *            as on Linux. Beyond QUEUE_MAX, and where an event finds no memory, the instance's overflow event
 *            is queued, which is there from the start: who waits for a change hears that it has to look.
 *            A watch holds the dentry it was
 *            made from, so that an inode of a layer stays the same while it is watched. It ends when the file
 *            has neither a name nor anybody who has it open.
 * Interface: sys_inotify_*(), notify_*() of inode.h.
 * Locking:   one mutex for all watches and queues, which a change of a directory takes inside sb->lock. Nothing is taken inside it but what
 *            waking needs.
 *            notify_watches lets changes pass without the mutex while nobody watches.
 * Errors:    as Linux.
 */
#include "fs/inode.h"
#include "core/log.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/syscall.h"
#include <asm/ioctls.h>
#include <linux/eventpoll.h>
#include <linux/inotify.h>

#define QUEUE_MAX 16384u
#define WATCHES_MAX 65536u
#define INSTANCES_MAX 1024u

struct watch {
	struct list of_inode, of_instance;
	struct inotify *instance;
	struct inode *inode;
	struct dentry *dentry; /* keeps the inode in the cache */
	uint32_t mask;
	int wd;
};

struct event {
	struct list link;
	struct inotify_event head;
	char name[];
};

struct inotify {
	struct list watches, events;
	struct event *overflow; /* on `events`, or on no list */
	struct waitq readers;
	unsigned nevents, nwatches;
	int next_wd;
	size_t bytes; /* of all events, as read() gives them */
};

static struct mutex inotify_lock = MUTEX_INIT("inotify");
static unsigned instances;
_Atomic uint32_t notify_watches;

/* --- events --------------------------------------------------------------------------------------- */

static void event_queue(struct inotify *in, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
	size_t len = name ? strlen(name) : 0, padded = len ? ALIGN_UP(len + 1, 16ul) : 0;
	struct event *e = NULL, *last;

	if (in->nevents < QUEUE_MAX) {
		last = list_empty(&in->events) ? NULL : list_entry(in->events.prev, struct event, link);
		if (last && last->head.wd == wd && last->head.mask == mask && last->head.cookie == cookie &&
		    last->head.len == padded && (!len || !strcmp(last->name, name)))
			return;
		e = kzalloc(sizeof(*e) + padded);
	}
	if (e) {
		e->head.wd = wd;
		e->head.mask = mask;
		e->head.cookie = cookie;
		e->head.len = padded;
		memcpy(e->name, name, len);
	} else {
		e = in->overflow;
		if (!list_empty(&e->link))
			return;
	}
	list_push_back(&in->events, &e->link);
	in->nevents++;
	in->bytes += sizeof(e->head) + e->head.len;
	waitq_wake_all(&in->readers, EPOLLIN | EPOLLRDNORM);
}

/* Takes the event off the queue; event_free() follows, which needs no lock. */
static void event_drop(struct inotify *in, struct event *e)
{
	list_del(&e->link);
	in->nevents--;
	in->bytes -= sizeof(e->head) + e->head.len;
}

static void event_free(struct inotify *in, struct event *e)
{
	if (e != in->overflow)
		kfree(e);
}

/* Takes the watch off its lists; the caller drops what it held, outside the lock. */
static void watch_unlink(struct watch *w)
{
	list_del(&w->of_inode);
	list_del(&w->of_instance);
	w->instance->nwatches--;
	atomic_fetch_sub(&notify_watches, 1);
}

static void watch_free(struct watch *w)
{
	dentry_put(w->dentry);
	kfree(w);
}

/* Watches that ended while the lock was held. */
static void watches_free(struct list *gone)
{
	while (!list_empty(gone)) {
		struct watch *w = list_first(gone, struct watch, of_instance);

		list_del(&w->of_instance);
		watch_free(w);
	}
}

/* `unlinked`: by a name that is gone, which not everybody wants to hear of. */
static void inode_event(struct inode *inode, uint32_t mask, uint32_t cookie, const char *name, bool unlinked, struct list *gone)
{
	struct watch *w, *tmp;

	list_for_each_safe(w, tmp, &inode->watches, of_inode) {
		bool wanted = (w->mask & mask & IN_ALL_EVENTS) && !(unlinked && (w->mask & IN_EXCL_UNLINK));

		if (wanted)
			event_queue(w->instance, w->wd, mask & (IN_ALL_EVENTS | IN_ISDIR), cookie, name);
		if ((mask & IN_DELETE_SELF) || (wanted && (w->mask & IN_ONESHOT))) {
			event_queue(w->instance, w->wd, IN_IGNORED, 0, NULL);
			watch_unlink(w);
			list_push_back(gone, &w->of_instance);
		}
	}
}

/* Does anybody care? Both lists are read without the lock: a watch that is being added may miss it. */
static bool nobody(void)
{
	return !atomic_load_explicit(&notify_watches, memory_order_relaxed);
}

static void inode_tell(struct inode *inode, const char *name, uint32_t mask, uint32_t cookie, bool unlinked)
{
	struct list gone;

	list_init(&gone);
	mutex_lock(&inotify_lock);
	inode_event(inode, mask, cookie, name, unlinked, &gone);
	mutex_unlock(&inotify_lock);
	watches_free(&gone);
}

void notify_inode(struct inode *inode, uint32_t mask)
{
	if (!nobody())
		inode_tell(inode, NULL, mask, 0, false);
}

void notify_child(struct inode *dir, const char *name, uint32_t mask, uint32_t cookie)
{
	if (!nobody())
		inode_tell(dir, name, mask, cookie, false);
}

/* Of those who take the last name and the last open file at the same time, one at least sees that both are gone. */
void notify_end(struct inode *inode)
{
	if (nobody())
		return;
	atomic_thread_fence(memory_order_seq_cst);
	if (!inode->nlink && !atomic_load_explicit(&inode->opens, memory_order_relaxed))
		inode_tell(inode, NULL, IN_DELETE_SELF, 0, false);
}

/* A change of the file at d: told to the watches of its directory and to its own. */
void notify_change(struct dentry *d, uint32_t mask)
{
	struct inode *inode, *dir;
	struct dentry *parent;
	bool unlinked;
	char name[NAME_MAX + 1];

	if (nobody())
		return;
	inode = dentry_inode(d);
	if (inode && inode_is_dir(inode))
		mask |= IN_ISDIR;
	unlinked = d->deleted && !(mask & IN_ATTRIB);
	if (d->parent != d) {
		parent = dentry_parent_get(d);
		dir = dentry_inode(parent);
		if (dir) {
			dentry_name(d, name); /* a rename meanwhile tells its own story */
			inode_tell(dir, name, mask, 0, unlinked);
		}
		dentry_put(parent);
	}
	if (inode && !(mask & IN_CREATE))
		inode_tell(inode, NULL, mask, 0, unlinked);
}

void notify_inode_gone(struct inode *inode)
{
	/* A watch holds its dentry and so the inode: none can be left. */
	assert(list_empty(&inode->watches));
}

/* --- files ------------------------------------------------------------------------------------------- */

static ssize_t inotify_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct inotify *in = f->priv;
	size_t done = 0;
	int r = 0;

	mutex_lock(&inotify_lock);
	while (list_empty(&in->events) && !r)
		r = (f->flags & O_NONBLOCK) ? -EAGAIN
					    : waitq_wait(&in->readers, &inotify_lock, DEADLINE_NEVER, true);
	while (!r && !list_empty(&in->events)) {
		struct event *e = list_first(&in->events, struct event, link);
		size_t n = sizeof(e->head) + e->head.len;

		if (n > len - done) {
			r = done ? 0 : -EINVAL;
			break;
		}
		/* Off the queue first: user memory is not touched under the lock. */
		event_drop(in, e);
		mutex_unlock(&inotify_lock);
		if (copy_to_user(buf + done, &e->head, n))
			r = -EFAULT;
		else
			done += n;
		event_free(in, e);
		mutex_lock(&inotify_lock);
	}
	mutex_unlock(&inotify_lock);
	return done ? (ssize_t)done : r;
}

static unsigned inotify_poll(struct file *f, struct poll_table *pt)
{
	struct inotify *in = f->priv;
	unsigned events;

	mutex_lock(&inotify_lock);
	poll_attach(pt, &in->readers, &inotify_lock);
	events = list_empty(&in->events) ? 0 : EPOLLIN | EPOLLRDNORM;
	mutex_unlock(&inotify_lock);
	return events;
}

static long inotify_ioctl(struct file *f, unsigned cmd, uaddr_t arg)
{
	struct inotify *in = f->priv;

	return cmd == FIONREAD ? put_user(arg, (int)in->bytes) : -ENOTTY;
}

static void inotify_free(struct inotify *in)
{
	kfree(in->overflow);
	kfree(in);
}

static void inotify_release(struct file *f)
{
	struct inotify *in = f->priv;
	struct list gone;

	list_init(&gone);
	mutex_lock(&inotify_lock);
	while (!list_empty(&in->watches)) {
		struct watch *w = list_first(&in->watches, struct watch, of_instance);

		watch_unlink(w);
		list_push_back(&gone, &w->of_instance);
	}
	while (!list_empty(&in->events)) {
		struct event *e = list_first(&in->events, struct event, link);

		event_drop(in, e);
		event_free(in, e);
	}
	instances--;
	mutex_unlock(&inotify_lock);
	watches_free(&gone);
	inotify_free(in);
}

static int inotify_fdinfo(struct file *f, char *buf, size_t size)
{
	struct inotify *in = f->priv;
	struct watch *w;
	size_t len = 0;

	mutex_lock(&inotify_lock);
	list_for_each(w, &in->watches, of_instance)
		sappendf(buf, size, &len, "inotify wd:%x ino:%lx sdev:%x mask:%x ignored_mask:0\n", w->wd,
			 (unsigned long)w->inode->ino, w->inode->sb->dev, w->mask);
	mutex_unlock(&inotify_lock);
	return len;
}

static const struct file_ops inotify_ops = {
	.read = inotify_read,
	.poll = inotify_poll,
	.ioctl = inotify_ioctl,
	.release = inotify_release,
	.show_fdinfo = inotify_fdinfo,
};

long sys_inotify_init1(int flags)
{
	struct inotify *in;
	struct file *f;
	int r = 0;

	if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	in = kzalloc(sizeof(*in));
	if (!in)
		return -ENOMEM;
	in->overflow = kzalloc(sizeof(*in->overflow));
	if (!in->overflow) {
		kfree(in);
		return -ENOMEM;
	}
	list_init(&in->overflow->link);
	in->overflow->head.wd = -1;
	in->overflow->head.mask = IN_Q_OVERFLOW;
	list_init(&in->watches);
	list_init(&in->events);
	waitq_init(&in->readers);
	in->next_wd = 1;
	mutex_lock(&inotify_lock);
	if (instances >= INSTANCES_MAX)
		r = -EMFILE;
	else
		instances++;
	mutex_unlock(&inotify_lock);
	if (r) {
		inotify_free(in);
		return r;
	}
	f = file_new_anon("anon_inode:inotify", S_IRUSR | S_IWUSR, &inotify_ops,
			  O_RDONLY | (flags & IN_NONBLOCK), in);
	if (IS_ERR(f)) {
		mutex_lock(&inotify_lock);
		instances--;
		mutex_unlock(&inotify_lock);
		inotify_free(in);
		return -ENOMEM;
	}
	r = fd_install(f, 0, flags & IN_CLOEXEC);
	if (r < 0)
		file_put(f);
	return r;
}

long sys_inotify_init(void) { return sys_inotify_init1(0); }

static struct file *inotify_file(int fd)
{
	struct file *f = fd_get_io(fd);

	if (!f)
		return ERR_PTR(-EBADF);
	if (f->ops != &inotify_ops) {
		file_put(f);
		return ERR_PTR(-EINVAL);
	}
	return f;
}

/* Adds or changes the watch of an inode; takes the reference of d if it made a new one (*used). */
static int watch_set(struct inotify *in, struct dentry *d, uint32_t mask, bool *used)
{
	struct inode *inode = dentry_inode(d);
	struct watch *w, *spare = kzalloc(sizeof(*spare));
	uint32_t bits = mask & (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK);
	int r = -ENOSPC;

	*used = false;
	if (!spare)
		return -ENOMEM;
	mutex_lock(&inotify_lock);
	list_for_each(w, &inode->watches, of_inode) {
		if (w->instance != in)
			continue;
		r = w->wd;
		if (mask & IN_MASK_CREATE)
			r = -EEXIST;
		else if (mask & IN_MASK_ADD)
			w->mask |= bits;
		else
			w->mask = bits;
		goto out;
	}
	if (in->nwatches < WATCHES_MAX) {
		w = spare;
		spare = NULL;
		w->instance = in;
		w->inode = inode;
		w->dentry = d;
		w->mask = bits;
		r = w->wd = in->next_wd++;
		list_push_back(&inode->watches, &w->of_inode);
		list_push_back(&in->watches, &w->of_instance);
		in->nwatches++;
		atomic_fetch_add(&notify_watches, 1);
		*used = true;
	}
out:
	mutex_unlock(&inotify_lock);
	kfree(spare);
	return r;
}

long sys_inotify_add_watch(int fd, uaddr_t addr, unsigned mask)
{
	struct path_arg path;
	struct dentry *d;
	struct file *f;
	bool used;
	long r;

	if (!(mask & IN_ALL_EVENTS) || ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE)))
		return -EINVAL;
	f = inotify_file(fd);
	if (IS_ERR(f))
		return PTR_ERR(f);
	r = path_arg_get(&path, addr);
	if (r)
		goto out;
	d = path_lookup(NULL, path.name, ((mask & IN_DONT_FOLLOW) ? 0 : LOOKUP_FOLLOW) |
					 ((mask & IN_ONLYDIR) ? LOOKUP_DIRECTORY : 0));
	path_arg_put(&path);
	if (IS_ERR(d)) {
		r = PTR_ERR(d);
		goto out;
	}
	r = watch_set(f->priv, d, mask, &used);
	if (!used)
		dentry_put(d);
out:
	file_put(f);
	return r;
}

long sys_inotify_rm_watch(int fd, int wd)
{
	struct file *f = inotify_file(fd);
	struct watch *w, *found = NULL;
	struct inotify *in;

	if (IS_ERR(f))
		return PTR_ERR(f);
	in = f->priv;
	mutex_lock(&inotify_lock);
	list_for_each(w, &in->watches, of_instance) {
		if (w->wd == wd) {
			found = w;
			break;
		}
	}
	if (found) {
		event_queue(in, wd, IN_IGNORED, 0, NULL);
		watch_unlink(found);
	}
	mutex_unlock(&inotify_lock);
	if (found)
		watch_free(found);
	file_put(f);
	return found ? 0 : -EINVAL;
}
