/*
 * kernel/linux/pipe.c - pipes.
 *
 * A pipe is a ring of bytes (bytering.h) behind an inode. pipe2() opens that twice; open() of such a descriptor's link in
 * /proc/self/fd is a further end, for reading, for writing or for both.
 *
 * Interface: sys_pipe, sys_pipe2; pipe.h.
 * Locking:   pipe->lock guards everything; it is held across the copy from or to the application,
 *            which is allowed because the fault path never takes it. The pipe goes with its inode, which every end holds.
 * Waking:    one thread per transfer. A reader that leaves bytes behind wakes the next reader and a
 *            writer that leaves room wakes the next writer, so no wake is lost when a woken thread takes
 *            less than was offered. A wake with events 0 is for sleeping threads only, poll ignores it.
 * Errors:    -EAGAIN (O_NONBLOCK), -ERESTARTSYS (signal before the first byte), -EPIPE and SIGPIPE,
 *            -EFAULT, -ENOMEM, -EINVAL (an end that is for neither).
 */
#include "linux/pipe.h"
#include "core/bytering.h"
#include "linux/syscall.h"
#include "linux/signal.h"
#include "linux/process.h"
#include "core/uaccess.h"
#include "fs/inode.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/stat.h>
#include <linux/uio.h>

#define PIPE_ATOMIC 4096u          /* PIPE_BUF: writes up to it are never interleaved */
#define PIPE_DEFAULT_PAGES 16
#define PIPE_MAX_BYTES MIB(1)      /* pipe-max-size */

struct pipe {
	struct inode inode;
	struct mutex lock;
	struct waitq readers, writers; /* those that wait for bytes, for room */
	struct bytering ring;
	unsigned nreaders, nwriters;   /* open files that may read, that may write */
};

static bool pipe_writable(const struct pipe *p) { return bytering_space(&p->ring) >= PIPE_ATOMIC; }

/* A place in a vector of buffers. */
struct pieces {
	const struct iovec *iov;
	unsigned n;
	size_t skip; /* bytes of *iov that are done */
};

static bool pieces_next(struct pieces *p, uaddr_t *base, size_t *len)
{
	while (p->n && p->skip == p->iov->iov_len) {
		p->iov++;
		p->n--;
		p->skip = 0;
	}
	if (!p->n)
		return false;
	*base = (uaddr_t)p->iov->iov_base + p->skip;
	*len = p->iov->iov_len - p->skip;
	return true;
}

/* Moves what can be moved between the ring and the buffers. Bytes, or -errno if none. */
static ssize_t pipe_move(struct pipe *p, struct pieces *v, bool in)
{
	size_t done = 0, len;
	uaddr_t base;

	while (pieces_next(v, &base, &len)) {
		ssize_t n = in ? bytering_put(&p->ring, base, len) : bytering_get(&p->ring, base, len);

		if (n <= 0)
			return done ? (ssize_t)done : n;
		v->skip += n;
		done += n;
	}
	return done;
}

static ssize_t pipe_read_vector(struct file *f, struct pieces v, size_t len)
{
	struct pipe *p = f->priv;
	bool was_writable;
	ssize_t n;

	if (len == 0)
		return 0;
	mutex_lock(&p->lock);
	while (bytering_used(&p->ring) == 0) {
		int r;

		n = 0;
		if (p->nwriters == 0)
			goto out;
		n = -EAGAIN;
		if (f->flags & O_NONBLOCK)
			goto out;
		r = waitq_wait(&p->readers, &p->lock, DEADLINE_NEVER, true);
		n = -ERESTARTSYS;
		if (r && bytering_used(&p->ring) == 0)
			goto out;
	}
	was_writable = pipe_writable(p);
	n = pipe_move(p, &v, false);
	if (bytering_used(&p->ring))
		waitq_wake(&p->readers, 1, 0);
	if (pipe_writable(p))
		waitq_wake(&p->writers, 1, was_writable ? 0 : EPOLLOUT | EPOLLWRNORM);
out:
	mutex_unlock(&p->lock);
	return n;
}

static ssize_t pipe_write_vector(struct file *f, struct pieces v, size_t len)
{
	struct pipe *p = f->priv;
	size_t need = len <= PIPE_ATOMIC ? len : 1;
	ssize_t done = 0, n;

	if (len == 0)
		return 0;
	mutex_lock(&p->lock);
	for (;;) {
		if (p->nreaders == 0) {
			n = -EPIPE;
			break;
		}
		if (bytering_space(&p->ring) >= need) {
			n = pipe_move(p, &v, true);
			if (n < 0)
				break;
			done += n;
			waitq_wake(&p->readers, 1, EPOLLIN | EPOLLRDNORM);
			if ((size_t)done == len)
				break;
			need = 1; /* a fault or a full ring shows in the next round */
			continue;
		}
		n = -EAGAIN;
		if (f->flags & O_NONBLOCK)
			break;
		n = waitq_wait(&p->writers, &p->lock, DEADLINE_NEVER, true);
		if (n && p->nreaders && bytering_space(&p->ring) < need) {
			n = -ERESTARTSYS;
			break;
		}
	}
	if (pipe_writable(p))
		waitq_wake(&p->writers, 1, 0);
	mutex_unlock(&p->lock);
	if (n == -EPIPE)
		signal_raise_current(SIGPIPE);
	return done ? done : n;
}

static ssize_t pipe_vector(struct file *f, bool write, const struct iovec *iov, unsigned n, size_t total)
{
	struct pieces v = { iov, n, 0 };

	return write ? pipe_write_vector(f, v, total) : pipe_read_vector(f, v, total);
}

static ssize_t pipe_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct iovec one = { (void *)buf, len };

	return pipe_read_vector(f, (struct pieces){ &one, 1, 0 }, len);
}

static ssize_t pipe_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct iovec one = { (void *)buf, len };

	return pipe_write_vector(f, (struct pieces){ &one, 1, 0 }, len);
}

static unsigned pipe_poll(struct file *f, struct poll_table *pt)
{
	struct pipe *p = f->priv;
	unsigned events = 0;

	mutex_lock(&p->lock);
	if (file_readable(f)) {
		poll_attach(pt, &p->readers, &p->lock);
		if (bytering_used(&p->ring))
			events |= EPOLLIN | EPOLLRDNORM;
		if (p->nwriters == 0)
			events |= EPOLLHUP;
	}
	if (file_writable(f)) {
		poll_attach(pt, &p->writers, &p->lock);
		if (pipe_writable(p))
			events |= EPOLLOUT | EPOLLWRNORM;
		if (p->nreaders == 0)
			events |= EPOLLERR;
	}
	mutex_unlock(&p->lock);
	return events;
}

static long pipe_ioctl(struct file *f, unsigned cmd, uaddr_t arg)
{
	struct pipe *p = f->priv;
	int used;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&p->lock);
	used = bytering_used(&p->ring);
	mutex_unlock(&p->lock);
	return put_user(arg, used);
}

static void pipe_release(struct file *f)
{
	struct pipe *p = f->priv;

	mutex_lock(&p->lock);
	if (file_readable(f) && --p->nreaders == 0)
		waitq_wake_all(&p->writers, EPOLLERR | EPOLLOUT | EPOLLWRNORM);
	if (file_writable(f) && --p->nwriters == 0)
		waitq_wake_all(&p->readers, EPOLLHUP | EPOLLIN | EPOLLRDNORM);
	if (!p->nreaders && !p->nwriters)
		bytering_clear(&p->ring); /* a descriptor of the path only may open the pipe again: it is empty then */
	mutex_unlock(&p->lock);
}

static const struct file_ops pipe_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.vector = pipe_vector,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.release = pipe_release,
};

static struct pipe *pipe_of_inode(struct inode *inode) { return container_of(inode, struct pipe, inode); }

/* A further end. It does not wait for the other side, as that of a FIFO with a name would. */
static int pipe_open(struct inode *inode, struct file *f)
{
	struct pipe *p = pipe_of_inode(inode);

	if (!file_readable(f) && !file_writable(f))
		return -EINVAL;
	mutex_lock(&p->lock);
	p->nreaders += file_readable(f);
	p->nwriters += file_writable(f);
	mutex_unlock(&p->lock);
	f->priv = p;
	return 0;
}

static ssize_t pipe_name(struct inode *inode, char *buf, size_t size)
{
	char text[32];
	size_t n = MIN((size_t)snprintf(text, sizeof(text), "pipe:[%lu]", (unsigned long)inode->ino), size);

	memcpy(buf, text, n);
	return (ssize_t)n;
}

static void pipe_evict(struct inode *inode)
{
	struct pipe *p = pipe_of_inode(inode);

	bytering_free(&p->ring);
	kfree(p);
}

static const struct inode_ops pipe_inode_ops = {
	.open = pipe_open,
	.readlink = pipe_name,
	.setattr = anon_setattr,
	.evict = pipe_evict,
};

static struct pipe *pipe_of(struct file *f) { return f->ops == &pipe_ops ? f->priv : NULL; }

long pipe_get_size(struct file *f)
{
	struct pipe *p = pipe_of(f);
	long bytes;

	if (!p)
		return -EBADF;
	mutex_lock(&p->lock);
	bytes = p->ring.npages * PAGE_SIZE;
	mutex_unlock(&p->lock);
	return bytes;
}

long pipe_set_size(struct file *f, unsigned long bytes)
{
	struct pipe *p = pipe_of(f);
	unsigned npages = 1;
	long r;

	if (!p)
		return -EBADF;
	if (bytes > INT32_MAX)
		return -EINVAL;
	if (bytes > PIPE_MAX_BYTES)
		return -EPERM;
	while (npages * PAGE_SIZE < bytes)
		npages *= 2;
	mutex_lock(&p->lock);
	r = bytering_resize(&p->ring, npages);
	if (!r) {
		r = npages * PAGE_SIZE;
		if (pipe_writable(p))
			waitq_wake_all(&p->writers, EPOLLOUT | EPOLLWRNORM);
	}
	mutex_unlock(&p->lock);
	return r;
}

int pipe_new(unsigned flags, struct file **read_end, struct file **write_end)
{
	struct pipe *p = kzalloc(sizeof(*p));
	struct file *r, *w;

	if (!p)
		return -ENOMEM;
	if (bytering_init(&p->ring, PIPE_DEFAULT_PAGES)) {
		kfree(p);
		return -ENOMEM;
	}
	mutex_init(&p->lock, "pipe");
	waitq_init(&p->readers);
	waitq_init(&p->writers);
	p->nreaders = p->nwriters = 1;
	anon_inode_setup(&p->inode, &pipe_inode_ops, &pipe_ops, S_IFIFO | 0600);
	r = file_new(&pipe_ops, &p->inode, O_RDONLY | (flags & O_NONBLOCK), p);
	w = r ? file_new(&pipe_ops, &p->inode, O_WRONLY | (flags & O_NONBLOCK), p) : NULL;
	inode_put(&p->inode); /* the ends hold it */
	if (!w) {
		if (r)
			file_put(r);
		return -ENOMEM;
	}
	*read_end = r;
	*write_end = w;
	return 0;
}

long sys_pipe2(uaddr_t fds, int flags)
{
	struct file *r, *w;
	int fd[2], err;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	err = pipe_new(flags, &r, &w);
	if (err)
		return err;
	fd[0] = fd_install(r, 0, flags & O_CLOEXEC);
	if (fd[0] < 0) {
		file_put(r);
		file_put(w);
		return fd[0];
	}
	fd[1] = fd_install(w, 0, flags & O_CLOEXEC);
	if (fd[1] < 0) {
		fd_close(fd[0]);
		file_put(w);
		return fd[1];
	}
	err = copy_to_user(fds, fd, sizeof(fd));
	if (err) {
		fd_close(fd[0]);
		fd_close(fd[1]);
	}
	return err;
}

long sys_pipe(uaddr_t fds) { return sys_pipe2(fds, 0); }
