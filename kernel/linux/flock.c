/*
 * kernel/linux/flock.c - locks on files: flock(2), POSIX record locks, open-file-description locks.
 *
 * Theory:    Every lock is a range with an owner, in a list at its inode: POSIX locks belong to a process,
 *            OFD and flock locks to an open file. flock and the two record kinds do not see each other, as
 *            on Linux. A waiter sleeps on one queue for all locks: locks are rare and held long. Before a
 *            process sleeps for a POSIX lock, the graph of who waits for whom is walked to find a deadlock.
 * Interface: sys_flock(), flock_fcntl(), locks_release_file(), locks_release_posix().
 * Locking:   locks_mutex guards all lists and the queue.
 * Errors:    -EAGAIN, -EDEADLK, -EINTR, -EINVAL, -EBADF, -EOVERFLOW, -ENOLCK (no memory).
 */
#include "linux/flock.h"
#include "fs/inode.h"
#include "core/log.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/syscall.h"
#include <linux/fs.h>

#define RANGE_END INT64_MAX

enum lock_kind { LOCK_FLOCK, LOCK_POSIX, LOCK_OFD };

struct file_lock {
	struct list link;
	enum lock_kind kind;
	int type;              /* F_RDLCK or F_WRLCK */
	int64_t start, end;    /* inclusive */
	uintptr_t owner;       /* pid, or the file */
	int pid;               /* for F_GETLK */
	struct file *file;
};

static struct mutex locks_mutex = MUTEX_INIT("file locks");
static struct waitq waiters = { LIST_INIT(waiters.entries) };
static _Atomic unsigned nlocks; /* nobody has locks: closing is cheap */

struct lock_wait { /* a process that sleeps for a POSIX lock */
	struct list link;
	uintptr_t owner, holder;
};
static struct list waits = LIST_INIT(waits);

static bool same_family(enum lock_kind a, enum lock_kind b)
{
	return (a == LOCK_FLOCK) == (b == LOCK_FLOCK);
}

static bool same_owner(const struct file_lock *a, const struct file_lock *b)
{
	return a->kind == b->kind && a->owner == b->owner;
}

static struct file_lock *conflict_find(struct inode *inode, const struct file_lock *want)
{
	struct file_lock *l;

	list_for_each(l, &inode->locks, link) {
		if (!same_family(l->kind, want->kind) || same_owner(l, want))
			continue;
		if (l->end < want->start || l->start > want->end)
			continue;
		if (l->type == F_WRLCK || want->type == F_WRLCK)
			return l;
	}
	return NULL;
}

static void lock_free(struct file_lock *l)
{
	list_del(&l->link);
	atomic_fetch_sub(&nlocks, 1);
	kfree(l);
}

static void lock_insert(struct inode *inode, struct file_lock *l)
{
	list_push_back(&inode->locks, &l->link);
	atomic_fetch_add(&nlocks, 1);
}

/*
 * Replaces what the owner has in [want->start, want->end] by want (F_UNLCK: by nothing). `spare` and
 * `spare2` are records that may be used; those that are not stay with the caller.
 */
static void range_apply(struct inode *inode, const struct file_lock *want, struct file_lock **spare,
			struct file_lock **spare2)
{
	struct file_lock *l, *tmp;

	list_for_each_safe(l, tmp, &inode->locks, link) {
		if (!same_owner(l, want) || l->end < want->start || l->start > want->end)
			continue;
		if (l->start < want->start && l->end > want->end) { /* cut in two */
			struct file_lock *tail = *spare2;

			*spare2 = NULL;
			*tail = *l;
			tail->start = want->end + 1;
			lock_insert(inode, tail);
			l->end = want->start - 1;
		} else if (l->start < want->start) {
			l->end = want->start - 1;
		} else if (l->end > want->end) {
			l->start = want->end + 1;
		} else {
			lock_free(l);
		}
	}
	if (want->type != F_UNLCK) {
		struct file_lock *new = *spare;

		*spare = NULL;
		*new = *want;
		/* Neighbours of the same kind become one. */
		list_for_each_safe(l, tmp, &inode->locks, link) {
			if (!same_owner(l, new) || l->type != new->type)
				continue;
			if (l->end != RANGE_END && l->end + 1 == new->start)
				new->start = l->start;
			else if (new->end != RANGE_END && new->end + 1 == l->start)
				new->end = l->end;
			else
				continue;
			lock_free(l);
		}
		lock_insert(inode, new);
	}
}

/* Would it be a circle if `owner` waited for `holder`? */
static bool deadlock(uintptr_t owner, uintptr_t holder)
{
	for (unsigned steps = 0; steps < 64; steps++) {
		struct lock_wait *w, *found = NULL;

		if (holder == owner)
			return true;
		list_for_each(w, &waits, link)
			if (w->owner == holder)
				found = w;
		if (!found)
			return false;
		holder = found->holder;
	}
	return false;
}

/* The other kind of flock() is not exchanged for this one but given up before: it is gone though this one may not come. locks_mutex held. */
static void flock_give_up(struct inode *inode, const struct file_lock *want)
{
	struct file_lock *l, *tmp;

	list_for_each_safe(l, tmp, &inode->locks, link) {
		if (same_owner(l, want) && l->type != want->type) {
			lock_free(l);
			waitq_wake_all(&waiters, 0);
		}
	}
}

/* Takes, changes or drops a lock; sleeps if `wait`. */
static int lock_set(struct file *f, const struct file_lock *want, bool wait)
{
	struct inode *inode = f->inode;
	struct file_lock *spare = kmalloc(sizeof(*spare)), *spare2 = kmalloc(sizeof(*spare2)), *other;
	int r = 0;

	if (!spare || !spare2) {
		kfree(spare);
		kfree(spare2);
		return -ENOLCK;
	}
	mutex_lock(&locks_mutex);
	while (want->type != F_UNLCK) {
		struct lock_wait w = { .owner = want->owner };
		bool posix;

		if (want->kind == LOCK_FLOCK)
			flock_give_up(inode, want);
		other = conflict_find(inode, want);
		if (!other)
			break;
		w.holder = other->owner;
		posix = want->kind == LOCK_POSIX && other->kind == LOCK_POSIX;
		r = -EAGAIN;
		if (!wait)
			break;
		r = -EDEADLK;
		if (posix && deadlock(want->owner, other->owner))
			break;
		if (posix)
			list_push_back(&waits, &w.link);
		r = waitq_wait(&waiters, &locks_mutex, DEADLINE_NEVER, true);
		if (posix)
			list_del(&w.link);
		if (r)
			break;
	}
	if (!r) {
		range_apply(inode, want, &spare, &spare2);
		waitq_wake_all(&waiters, 0);
	}
	mutex_unlock(&locks_mutex);
	kfree(spare);
	kfree(spare2);
	return r;
}

long sys_flock(int fd, int op)
{
	struct file *f = fd_get(fd);
	struct file_lock want = { .kind = LOCK_FLOCK, .end = RANGE_END };
	int r;

	if (!f)
		return -EBADF;
	switch (op & ~4) { /* LOCK_NB */
	case 1:
		want.type = F_RDLCK;
		break;
	case 2:
		want.type = F_WRLCK;
		break;
	case 8:
		want.type = F_UNLCK;
		break;
	default:
		file_put(f);
		return -EINVAL;
	}
	if (f->flags & O_PATH) {
		file_put(f);
		return -EBADF;
	}
	want.owner = (uintptr_t)f;
	want.file = f;
	want.pid = current_process()->pid;
	r = lock_set(f, &want, !(op & 4));
	file_put(f);
	return r == -EINTR ? -ERESTARTSYS : r;
}

/* From struct flock to an absolute range. */
static int range_get(struct file *f, const struct flock *fl, struct file_lock *out)
{
	int64_t base;

	switch (fl->l_whence) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END: {
		struct kstat st;

		inode_stat(f->inode, &st);
		base = st.size;
		break;
	}
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, (int64_t)fl->l_start, &base))
		return -EOVERFLOW;
	if (base < 0)
		return -EINVAL;
	out->start = base;
	out->end = RANGE_END;
	if (fl->l_len > 0) {
		if (__builtin_add_overflow(base, (int64_t)fl->l_len - 1, &out->end))
			return -EOVERFLOW;
	} else if (fl->l_len < 0) {
		if (base + fl->l_len < 0)
			return -EINVAL;
		out->start = base + fl->l_len;
		out->end = base - 1;
	}
	return 0;
}

static long lock_query(struct file *f, const struct file_lock *want, struct flock *fl, uaddr_t arg)
{
	struct file_lock *other;

	mutex_lock(&locks_mutex);
	other = conflict_find(f->inode, want);
	if (other) {
		fl->l_type = other->type;
		fl->l_whence = SEEK_SET;
		fl->l_start = other->start;
		fl->l_len = other->end == RANGE_END ? 0 : other->end - other->start + 1;
		fl->l_pid = other->kind == LOCK_OFD ? -1 : other->pid;
	} else {
		fl->l_type = F_UNLCK;
	}
	mutex_unlock(&locks_mutex);
	return copy_to_user(arg, fl, sizeof(*fl));
}

/*
 * A close() of the descriptor while the lock was waited for has found no lock to release, and there may be no other close() to come. So
 * it is made up for, and the caller is told that the descriptor is no longer there.
 */
static int closed_meanwhile(int fd, struct file *f)
{
	bool gone;

	rcu_read_lock();
	gone = fd_peek(fd) != f;
	rcu_read_unlock();
	if (!gone)
		return 0;
	locks_release_posix(f, current_process()->pid);
	return -EBADF;
}

long flock_fcntl(int fd, struct file *f, int cmd, unsigned long arg)
{
	bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
	struct file_lock want = { .kind = ofd ? LOCK_OFD : LOCK_POSIX, .file = f };
	struct flock fl;
	int r;

	if (copy_from_user(&fl, arg, sizeof(fl)))
		return -EFAULT;
	if (ofd && fl.l_pid)
		return -EINVAL;
	if (fl.l_type != F_RDLCK && fl.l_type != F_WRLCK && fl.l_type != F_UNLCK)
		return -EINVAL;
	r = range_get(f, &fl, &want);
	if (r)
		return r;
	want.type = fl.l_type;
	want.pid = current_process()->pid;
	want.owner = ofd ? (uintptr_t)f : (uintptr_t)want.pid;
	if (cmd == F_GETLK || cmd == F_OFD_GETLK)
		return fl.l_type == F_UNLCK ? -EINVAL : lock_query(f, &want, &fl, arg);
	if ((fl.l_type == F_RDLCK && !file_readable(f)) || (fl.l_type == F_WRLCK && !file_writable(f)))
		return -EBADF;
	r = lock_set(f, &want, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
	if (!r && !ofd && want.type != F_UNLCK)
		r = closed_meanwhile(fd, f);
	return r == -EINTR ? -ERESTARTSYS : r;
}

static void locks_release(struct inode *inode, bool (*match)(const struct file_lock *l, uintptr_t who),
			  uintptr_t who)
{
	struct file_lock *l, *tmp;
	bool any = false;

	if (!atomic_load_explicit(&nlocks, memory_order_acquire))
		return;
	mutex_lock(&locks_mutex);
	list_for_each_safe(l, tmp, &inode->locks, link) {
		if (match(l, who)) {
			lock_free(l);
			any = true;
		}
	}
	if (any)
		waitq_wake_all(&waiters, 0);
	mutex_unlock(&locks_mutex);
}

static bool of_file(const struct file_lock *l, uintptr_t who)
{
	return l->kind != LOCK_POSIX && l->owner == who;
}

static bool of_process(const struct file_lock *l, uintptr_t who)
{
	return l->kind == LOCK_POSIX && l->owner == who;
}

void locks_release_file(struct file *f)
{
	locks_release(f->inode, of_file, (uintptr_t)f);
}

void locks_release_posix(struct file *f, int pid)
{
	locks_release(f->inode, of_process, pid);
}
