/*
 * kernel/linux/signalfd.c - pending signals that are read like a file.
 *
 * A read takes signals of the mask that are pending for the reading thread or its process; the
 * application blocks them, so that they are not delivered instead.
 *
 * Interface: sys_signalfd, sys_signalfd4.
 * Locking:   the queues of signals and their wait queue have the process's signal_lock(). The mask is one
 *            atomic word.
 * Errors:    -EINVAL, -EAGAIN, -ERESTARTSYS, -EFAULT, -ENOMEM.
 */
#include "linux/process.h"
#include "linux/signal.h"
#include "linux/syscall.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/signalfd.h>

struct signalfd {
	_Atomic uint64_t mask;
};

static uint64_t signalfd_mask(struct file *f)
{
	struct signalfd *s = f->priv;

	return atomic_load_explicit(&s->mask, memory_order_relaxed);
}

static void signalfd_fill(struct signalfd_siginfo *out, const siginfo_t *info)
{
	memset(out, 0, sizeof(*out));
	out->ssi_signo = info->si_signo;
	out->ssi_errno = info->si_errno;
	out->ssi_code = info->si_code;
	/* Which fields mean something is a matter of the code and, for what only the kernel sends, of the signal. */
	if (info->si_code == SI_TIMER) {
		out->ssi_tid = info->si_tid;
		out->ssi_overrun = info->si_overrun;
		out->ssi_ptr = (uintptr_t)info->si_ptr;
		out->ssi_int = info->si_int;
	} else if (info->si_code < 0 && info->si_code != SI_SIGIO) {
		out->ssi_pid = info->si_pid;
		out->ssi_uid = info->si_uid;
		out->ssi_ptr = (uintptr_t)info->si_ptr;
		out->ssi_int = info->si_int;
	} else if (info->si_code == SI_USER || info->si_code >= SI_KERNEL) {
		out->ssi_pid = info->si_pid;
		out->ssi_uid = info->si_uid;
	} else if (info->si_signo == SIGCHLD) {
		out->ssi_pid = info->si_pid;
		out->ssi_uid = info->si_uid;
		out->ssi_status = info->si_status;
		out->ssi_utime = info->si_utime;
		out->ssi_stime = info->si_stime;
	} else if (SIGSET_BIT(info->si_signo) & (SIGSET_BIT(SIGSEGV) | SIGSET_BIT(SIGBUS) |
						 SIGSET_BIT(SIGILL) | SIGSET_BIT(SIGFPE) |
						 SIGSET_BIT(SIGTRAP))) {
		out->ssi_addr = (uintptr_t)info->si_addr;
	} else {
		out->ssi_band = info->si_band;
		out->ssi_fd = info->si_fd;
	}
}

/* Sleeps until a signal of the mask is pending, which may change meanwhile. 0 or -ERESTARTSYS. */
static int signalfd_wait(struct file *f)
{
	struct process *p = current_process();
	struct mutex *lock = signal_lock(p);
	int r = 0;

	mutex_lock(lock);
	while (!r && !signal_pending_set(signalfd_mask(f)))
		r = waitq_wait(signal_waitq(p), lock, DEADLINE_NEVER, true);
	if (r && signal_pending_set(signalfd_mask(f)))
		r = 0;
	mutex_unlock(lock);
	return r ? -ERESTARTSYS : 0;
}

static ssize_t signalfd_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	size_t room = len / sizeof(struct signalfd_siginfo), n = 0;

	if (room == 0)
		return -EINVAL;
	while (n < room) {
		struct signalfd_siginfo out;
		siginfo_t info;
		int r;

		if (signal_dequeue(signalfd_mask(f), &info)) {
			signalfd_fill(&out, &info);
			r = copy_to_user(buf + n * sizeof(out), &out, sizeof(out));
			if (r)
				return n ? (ssize_t)(n * sizeof(out)) : r;
			n++;
			continue;
		}
		if (n)
			break;
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		r = signalfd_wait(f);
		if (r)
			return r;
	}
	return n * sizeof(struct signalfd_siginfo);
}

static unsigned signalfd_poll(struct file *f, struct poll_table *pt)
{
	struct process *p = current_process();
	unsigned events;

	mutex_lock(signal_lock(p));
	poll_attach(pt, signal_waitq(p), signal_lock(p));
	events = signal_pending_set(signalfd_mask(f)) ? EPOLLIN : 0;
	mutex_unlock(signal_lock(p));
	return events;
}

static int signalfd_show(struct file *f, char *buf, size_t size)
{
	return snprintf(buf, size, "sigmask:\t%016llx\n", (unsigned long long)signalfd_mask(f));
}

static void signalfd_release(struct file *f) { kfree(f->priv); }

static const struct file_ops signalfd_ops = {
	.read = signalfd_read,
	.poll = signalfd_poll,
	.release = signalfd_release,
	.show_fdinfo = signalfd_show,
};

static long signalfd_new(uint64_t mask, int flags)
{
	struct signalfd *s = kzalloc(sizeof(*s));
	struct file *f;
	int fd;

	if (!s)
		return -ENOMEM;
	atomic_store_explicit(&s->mask, mask, memory_order_relaxed);
	f = file_new_anon("anon_inode:[signalfd]", 0600, &signalfd_ops,
			  O_RDWR | (flags & SFD_NONBLOCK), s);
	if (IS_ERR(f)) {
		kfree(s);
		return PTR_ERR(f);
	}
	fd = fd_install(f, 0, flags & SFD_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

/* Another mask for an existing one. Those that wait with the old mask look again. */
static long signalfd_change(int fd, uint64_t mask)
{
	struct process *p = current_process();
	struct file *f = fd_get_io(fd);
	struct signalfd *s;

	if (!f)
		return -EBADF;
	if (f->ops != &signalfd_ops) {
		file_put(f);
		return -EINVAL;
	}
	s = f->priv;
	mutex_lock(signal_lock(p));
	atomic_store_explicit(&s->mask, mask, memory_order_relaxed);
	waitq_wake_all(signal_waitq(p), EPOLLIN);
	mutex_unlock(signal_lock(p));
	file_put(f);
	return fd;
}

long sys_signalfd4(int fd, uaddr_t mask, size_t setsize, int flags)
{
	uint64_t set;
	int r;

	if (setsize != sizeof(set))
		return -EINVAL;
	r = get_user(set, mask);
	if (r)
		return r;
	if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK))
		return -EINVAL;
	set &= ~SIGSET_UNMASKABLE;
	return fd == -1 ? signalfd_new(set, flags) : signalfd_change(fd, set);
}

long sys_signalfd(int fd, uaddr_t mask, size_t setsize) { return sys_signalfd4(fd, mask, setsize, 0); }
