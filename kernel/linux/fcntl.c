/*
 * kernel/linux/fcntl.c - fcntl(2).
 *
 * Interface: sys_fcntl(). Locks are in flock.c, seals in memfd.c.
 * Errors:    as Linux; -EINVAL for what is not supported (leases, F_NOTIFY).
 */
#include "fs/inode.h"
#include "core/uaccess.h"
#include "linux/flock.h"
#include "linux/pipe.h"
#include "linux/process.h"
#include "linux/syscall.h"
#include <linux/fs.h>

#define SETFL_MASK (O_APPEND | O_NONBLOCK | FASYNC | O_DIRECT | O_NOATIME)

static long set_flags(struct file *f, unsigned flags)
{
	uint32_t old = atomic_load(&f->flags), new;

	do {
		new = (old & ~SETFL_MASK) | (flags & SETFL_MASK);
	} while (!atomic_compare_exchange_weak(&f->flags, &old, new));
	return 0;
}

static long owner_ex(struct file *f, int cmd, uaddr_t arg)
{
	struct f_owner_ex owner;

	if (cmd == F_GETOWN_EX) {
		owner.type = f->owner_pid < 0 ? F_OWNER_PGRP : F_OWNER_PID;
		owner.pid = f->owner_pid < 0 ? -f->owner_pid : f->owner_pid;
		return copy_to_user(arg, &owner, sizeof(owner));
	}
	if (copy_from_user(&owner, arg, sizeof(owner)))
		return -EFAULT;
	if (owner.type < F_OWNER_TID || owner.type > F_OWNER_PGRP)
		return -EINVAL;
	f->owner_pid = owner.type == F_OWNER_PGRP ? -owner.pid : owner.pid;
	return 0;
}

/* The commands that an O_PATH descriptor knows, too. */
static long fcntl_fd(int fd, struct file *f, int cmd, unsigned long arg)
{
	int r;

	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if (arg >= current_process()->rlimits[RLIMIT_NOFILE].cur)
			return -EINVAL;
		file_get(f);
		r = fd_install(f, arg, cmd == F_DUPFD_CLOEXEC);
		if (r < 0)
			file_put(f);
		return r;
	case F_SETFD:
		r = fd_cloexec(fd, (arg & FD_CLOEXEC) ? 1 : 0);
		return r < 0 ? r : 0;
	default:
		return -ENOSYS;
	}
}

static long fcntl_file(int fd, struct file *f, int cmd, unsigned long arg)
{
	switch (cmd) {
	case F_SETFL:
		return set_flags(f, arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return flock_fcntl(fd, f, cmd, arg);
	case F_SETOWN:
		f->owner_pid = (int)arg;
		return 0;
	case F_GETOWN:
		return f->owner_pid;
	case F_SETSIG:
		if (arg > 64)
			return -EINVAL;
		f->owner_sig = arg;
		return 0;
	case F_GETSIG:
		return f->owner_sig;
	case F_SETOWN_EX:
	case F_GETOWN_EX:
		return owner_ex(f, cmd, arg);
	case F_GETPIPE_SZ:
		return pipe_get_size(f);
	case F_SETPIPE_SZ:
		return pipe_set_size(f, arg);
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return memfd_seals(f, cmd, arg);
	case F_GETLEASE:
		return F_UNLCK;
	default:
		return -EINVAL;
	}
}

/* What a look at the struct file answers. */
static long flags_get(int fd)
{
	struct file *f;
	long r = -EBADF;

	rcu_read_lock();
	f = fd_peek(fd);
	if (f)
		r = atomic_load_explicit(&f->flags, memory_order_relaxed);
	rcu_read_unlock();
	return r;
}

long sys_fcntl(int fd, int cmd, unsigned long arg)
{
	struct file *f;
	long r;

	if (cmd == F_GETFL)
		return flags_get(fd);
	if (cmd == F_GETFD) {
		r = fd_cloexec(fd, -1);
		return r > 0 ? FD_CLOEXEC : r;
	}
	f = fd_get(fd);
	if (!f)
		return -EBADF;
	r = fcntl_fd(fd, f, cmd, arg);
	if (r == -ENOSYS)
		r = (f->flags & O_PATH) ? -EBADF : fcntl_file(fd, f, cmd, arg);
	file_put(f);
	return r;
}
