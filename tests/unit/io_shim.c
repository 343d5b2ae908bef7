/*
 * tests/unit/io_shim.c - files, descriptors, process and signals for the tests of the stream objects. See
 * io_shim.h; it uses no header of the C library.
 */
#include "io_shim.h"
#include "core/log.h"
#include "fs/inode.h"
#include "linux/process.h"
#include "linux/signal.h"
#include "net/interface.h"
#include "mm/mm.h"

#define MAX_FDS 1024

_Atomic int io_sigpipes;
struct mutex process_list_lock = MUTEX_INIT("process list");
static struct process process = {
	.pid = 42,
	.lock = MUTEX_INIT("process"),
	.threads = LIST_INIT(process.threads),
	.rlimits[RLIMIT_NOFILE].cur = MAX_FDS,
};
static struct mutex fds_lock = MUTEX_INIT("descriptors");
static struct file *fds[MAX_FDS];
static bool fds_reserved[MAX_FDS];
static struct inode the_inode = { .ino = 7, .refs = 1 };

struct process *io_process(void) { return &process; }
struct thread *thread_find(int tid) { return NULL; }

/* --- files --------------------------------------------------------------------------------------- */

struct file *file_new(const struct file_ops *ops, struct inode *inode, unsigned flags, void *priv)
{
	struct file *f = kzalloc(sizeof(*f));

	if (!f)
		return NULL;
	f->refs = 1;
	f->flags = flags;
	f->ops = ops;
	f->inode = inode;
	inode_get(inode);
	f->priv = priv;
	list_init(&f->epolls);
	return f;
}

struct file *file_new_anon(const char *name, uint32_t mode, const struct file_ops *ops, unsigned flags,
			   void *priv)
{
	struct file *f = file_new(ops, &the_inode, flags, priv);

	return f ? f : ERR_PTR(-ENFILE);
}

void anon_inode_setup(struct inode *inode, const struct inode_ops *ops, const struct file_ops *fops, uint32_t mode)
{
	atomic_init(&inode->refs, 1);
	inode->ops = ops;
	inode->fops = fops;
}

int anon_setattr(struct inode *inode, const struct inode_attr *attr) { return 0; }

void inode_put(struct inode *inode)
{
	if (atomic_fetch_sub(&inode->refs, 1) == 1)
		inode->ops->evict(inode);
}

void file_get(struct file *f) { atomic_fetch_add(&f->refs, 1); }

void file_put(struct file *f)
{
	if (atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	if (!list_empty(&f->epolls))
		epoll_file_release(f);
	if (f->ops->release)
		f->ops->release(f);
	inode_put(f->inode);
	kfree(f);
}

struct file *fd_get(int fd)
{
	struct file *f = NULL;

	mutex_lock(&fds_lock);
	if (fd >= 0 && fd < MAX_FDS && fds[fd]) {
		f = fds[fd];
		file_get(f);
	}
	mutex_unlock(&fds_lock);
	return f;
}

struct file *fd_get_io(int fd) { return fd_get(fd); } /* nothing here is opened with O_PATH */
unsigned fd_table_size(struct fd_table *t) { return MAX_FDS; }

/* The lowest that is free, with that file, or reserved. */
static int fd_take(struct file *f, int min)
{
	int fd;

	mutex_lock(&fds_lock);
	for (fd = min; fd < MAX_FDS && (fds[fd] || fds_reserved[fd]); fd++)
		;
	if (fd < MAX_FDS) {
		fds[fd] = f;
		fds_reserved[fd] = !f;
	}
	mutex_unlock(&fds_lock);
	return fd < MAX_FDS ? fd : -EMFILE;
}

int fd_install(struct file *f, int min, bool cloexec) { return fd_take(f, min); }
int fd_reserve(bool cloexec) { return fd_take(NULL, 0); }

void fd_fill(int fd, struct file *f)
{
	mutex_lock(&fds_lock);
	fds[fd] = f;
	fds_reserved[fd] = false;
	mutex_unlock(&fds_lock);
}

void fd_unreserve(int fd) { fd_fill(fd, NULL); }

int fd_close(int fd)
{
	struct file *f = NULL;

	mutex_lock(&fds_lock);
	if (fd >= 0 && fd < MAX_FDS) {
		f = fds[fd];
		fds[fd] = NULL;
	}
	mutex_unlock(&fds_lock);
	if (!f)
		return -EBADF;
	file_put(f);
	return 0;
}

int io_close(int fd) { return fd_close(fd); }

void io_flags(int fd, unsigned flags)
{
	struct file *f = fd_get(fd);

	f->flags = (f->flags & O_ACCMODE) | flags;
	file_put(f);
}

ssize_t io_read(int fd, void *buf, size_t len)
{
	struct file *f = fd_get(fd);
	ssize_t n = f && file_readable(f) && f->ops->read ? f->ops->read(f, U(buf), len, 0) : -EBADF;

	if (f)
		file_put(f);
	return n;
}

ssize_t io_write(int fd, const void *buf, size_t len)
{
	struct file *f = fd_get(fd);
	ssize_t n = f && file_writable(f) && f->ops->write ? f->ops->write(f, U(buf), len, 0) : -EBADF;

	if (f)
		file_put(f);
	return n;
}

/* --- the rest ------------------------------------------------------------------------------------ */

int sigmask_swap_user(uaddr_t set, size_t setsize) { return 0; }
void sigmask_restore(void) {}
void signal_raise_current(int sig) { atomic_fetch_add(&io_sigpipes, sig == SIGPIPE); }

long net_interface_ioctl(unsigned cmd, uaddr_t arg) { return -ENOTTY; }

void log_print(int level, const char *fmt, ...) {}
