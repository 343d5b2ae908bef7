/*
 * kernel/linux/eventfd.c - eventfd: a 64-bit counter that is read and written like a file.
 *
 * Interface: sys_eventfd, sys_eventfd2.
 * Locking:   eventfd->lock guards the counter and both queues.
 * Errors:    -EINVAL (fewer than 8 bytes, or the value 2^64-1), -EAGAIN, -ERESTARTSYS, -EFAULT.
 */
#include "linux/syscall.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

/* The flags of eventfd2; no kernel header exports them to programs of this release. */
#define EFD_SEMAPHORE 1
#define EFD_CLOEXEC O_CLOEXEC
#define EFD_NONBLOCK O_NONBLOCK

#define EVENTFD_LIMIT (UINT64_MAX - 1) /* the largest value the counter can hold */

struct eventfd {
	struct mutex lock;
	struct waitq readers, writers;
	uint64_t count;
	bool semaphore; /* a read takes one instead of everything */
};

static ssize_t eventfd_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct eventfd *e = f->priv;
	uint64_t value;
	int r;

	if (len < sizeof(value))
		return -EINVAL;
	mutex_lock(&e->lock);
	while (e->count == 0) {
		if (f->flags & O_NONBLOCK) {
			mutex_unlock(&e->lock);
			return -EAGAIN;
		}
		r = waitq_wait(&e->readers, &e->lock, DEADLINE_NEVER, true);
		if (r && e->count == 0) {
			mutex_unlock(&e->lock);
			return -ERESTARTSYS;
		}
	}
	value = e->semaphore ? 1 : e->count;
	e->count -= value;
	waitq_wake_all(&e->writers, EPOLLOUT | EPOLLWRNORM);
	mutex_unlock(&e->lock);
	r = put_user(buf, value);
	return r ? r : (ssize_t)sizeof(value);
}

static ssize_t eventfd_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct eventfd *e = f->priv;
	uint64_t value;
	int r;

	if (len < sizeof(value))
		return -EINVAL;
	r = get_user(value, buf);
	if (r)
		return r;
	if (value == UINT64_MAX)
		return -EINVAL;
	mutex_lock(&e->lock);
	while (EVENTFD_LIMIT - e->count < value) {
		if (f->flags & O_NONBLOCK) {
			mutex_unlock(&e->lock);
			return -EAGAIN;
		}
		r = waitq_wait(&e->writers, &e->lock, DEADLINE_NEVER, true);
		if (r && EVENTFD_LIMIT - e->count < value) {
			mutex_unlock(&e->lock);
			return -ERESTARTSYS;
		}
	}
	e->count += value;
	/* A write of 0 makes nothing readable, but Linux reports it to epoll all the same. */
	waitq_wake(&e->readers, e->semaphore ? MIN(value, (uint64_t)UINT32_MAX) : 1,
		   EPOLLIN | EPOLLRDNORM);
	mutex_unlock(&e->lock);
	return sizeof(value);
}

static unsigned eventfd_poll(struct file *f, struct poll_table *pt)
{
	struct eventfd *e = f->priv;
	unsigned events = 0;

	mutex_lock(&e->lock);
	poll_attach(pt, &e->readers, &e->lock);
	poll_attach(pt, &e->writers, &e->lock);
	if (e->count > 0)
		events |= EPOLLIN;
	if (e->count < EVENTFD_LIMIT)
		events |= EPOLLOUT;
	mutex_unlock(&e->lock);
	return events;
}

static int eventfd_show(struct file *f, char *buf, size_t size)
{
	struct eventfd *e = f->priv;
	uint64_t count;

	mutex_lock(&e->lock);
	count = e->count;
	mutex_unlock(&e->lock);
	return snprintf(buf, size, "eventfd-count: %16llx\neventfd-semaphore: %d\n",
			(unsigned long long)count, e->semaphore);
}

static void eventfd_release(struct file *f) { kfree(f->priv); }

static const struct file_ops eventfd_ops = {
	.read = eventfd_read,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.release = eventfd_release,
	.show_fdinfo = eventfd_show,
};

long sys_eventfd2(unsigned count, int flags)
{
	struct eventfd *e;
	struct file *f;
	int fd;

	if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
		return -EINVAL;
	e = kzalloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	mutex_init(&e->lock, "eventfd");
	waitq_init(&e->readers);
	waitq_init(&e->writers);
	e->count = count;
	e->semaphore = flags & EFD_SEMAPHORE;
	f = file_new_anon("anon_inode:[eventfd]", 0600, &eventfd_ops,
			  O_RDWR | (flags & EFD_NONBLOCK), e);
	if (IS_ERR(f)) {
		kfree(e);
		return PTR_ERR(f);
	}
	fd = fd_install(f, 0, flags & EFD_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

long sys_eventfd(unsigned count) { return sys_eventfd2(count, 0); }
