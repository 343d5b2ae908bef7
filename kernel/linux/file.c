/*
 * kernel/linux/file.c - system calls on descriptors: reading, writing, positions, duplicates.
 *
 * Theory:    A file with an lseek operation has a position, guarded by pos_lock; others are streams, which
 *            are read and written without a lock, since they may block for long. lseek() itself takes no lock where the
 *            position is plain; that a transfer and an lseek() in its midst then count as one after the other is
 *            file_pos_move()'s doing. Calls that neither sleep nor look beyond the struct file peek at it (fd_peek()). File operations answer
 *            -EINTR; here that becomes -ERESTARTSYS, so that SA_RESTART works.
 * Interface: sys_*() of syscalls.def.
 * Errors:    as Linux.
 */
#include "fs/inode.h"
#include "core/log.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/plain.h"
#include "linux/process.h"
#include "linux/syscall.h"
#include "net/socket.h"
#include <asm/ioctls.h>
#include <linux/close_range.h>
#include <linux/eventpoll.h>
#include <linux/fs.h>
#include <linux/inotify.h>
#include <linux/uio.h>

#define IOV_MAX 1024ul

#define inline_always inline __attribute__((always_inline))

/* An open file that allows the access, referenced; or an encoded error. */
static inline_always struct file *rw_file(int fd, bool write)
{
	struct file *f = fd_get(fd);

	if (unlikely(!f))
		return ERR_PTR(-EBADF);
	if (unlikely(!plain_allowed(f, write))) {
		file_put(f);
		return ERR_PTR(-EBADF);
	}
	return f;
}

/* What is rarely so at the end of a transfer. */
static __attribute__((noinline)) ssize_t io_done(struct file *f, bool write, ssize_t r)
{
	if (r > 0 && f->dentry)
		notify_change(f->dentry, write ? IN_MODIFY : IN_ACCESS);
	/* A socket with a timeout is never restarted; it says itself what it means. */
	return r == -EINTR && !socket_of_file(f) ? -ERESTARTSYS : r;
}

/* Do len bytes at pos end where a position can be? */
static inline_always bool position_ok(uint64_t pos, size_t len) { return (int64_t)(pos + len) >= 0; }

static inline_always ssize_t file_io(struct file *f, bool write, uaddr_t buf, size_t len, uint64_t pos)
{
	ssize_t (*io)(struct file *, uaddr_t, size_t, uint64_t) = write ? f->ops->write : f->ops->read;
	ssize_t r;

	if (unlikely(!io))
		return inode_is_dir(f->inode) ? -EISDIR : -EINVAL;
	/* All of it, though less is moved. */
	if (unlikely(!uaddr_ok(buf, len)))
		return -EFAULT;
	if (unlikely(!position_ok(pos, len)))
		return -EINVAL;
	len = MIN(len, RW_MAX);
	r = io(f, buf, len, pos);
	if (unlikely(r == -EINTR || plain_watched()))
		return io_done(f, write, r);
	return r;
}

/* Does the file have a position that a transfer moves, and that transfers by position can replace? */
static inline_always bool has_position(const struct file *f) { return f->ops->lseek && !f->ops->no_position; }

/*
 * Moves the position after n bytes were read or written at pos. False: a short read that takes no lock (short.c) came in between, and this
 * read must be made again from where that one ended.
 */
static inline_always bool position_move(struct file *f, bool write, uint64_t pos, ssize_t n)
{
	uint64_t to = pos + (uint64_t)n;

	if (write && (f->flags & O_APPEND)) {
		struct kstat st;

		inode_stat(f->inode, &st);
		to = st.size;
	}
	return file_pos_move(f, pos, to) || !file_reads_short(f);
}

static inline_always long rw_current(int fd, bool write, uaddr_t buf, size_t len)
{
	struct file *f = rw_file(fd, write);
	uint64_t pos;
	ssize_t r;

	if (IS_ERR(f))
		return PTR_ERR(f);
	if (has_position(f)) {
		mutex_lock(&f->pos_lock);
		do {
			pos = atomic_load_explicit(&f->pos, memory_order_relaxed);
			r = file_io(f, write, buf, len, pos);
		} while (r > 0 && !position_move(f, write, pos, r));
		mutex_unlock(&f->pos_lock);
	} else {
		r = file_io(f, write, buf, len, 0);
	}
	file_put(f);
	return r;
}

long sys_read(int fd, uaddr_t buf, size_t count) { return rw_current(fd, false, buf, count); }

long sys_write(int fd, uaddr_t buf, size_t count)
{
	struct file *f;
	long r;

	rcu_read_lock();
	f = fd_peek(fd);
	r = f ? plain_swallow(f, buf, count) : -EBADF;
	rcu_read_unlock();
	return r != -ENOSYS ? r : rw_current(fd, true, buf, count);
}

static long rw_at(int fd, bool write, uaddr_t buf, size_t len, long pos)
{
	struct file *f;
	ssize_t r;

	if (pos < 0)
		return -EINVAL;
	f = rw_file(fd, write);
	if (IS_ERR(f))
		return PTR_ERR(f);
	r = !f->ops->lseek && !inode_is_dir(f->inode) ? -ESPIPE : file_io(f, write, buf, len, pos);
	file_put(f);
	return r;
}

long sys_pread64(int fd, uaddr_t buf, size_t count, long offset)
{
	return rw_at(fd, false, buf, count, offset);
}

long sys_pwrite64(int fd, uaddr_t buf, size_t count, long offset)
{
	return rw_at(fd, true, buf, count, offset);
}

/* --- vectors ------------------------------------------------------------------------------------- */

/* Copies and checks a vector. *out is `small` or allocated. Bytes in all, or -errno. */
static ssize_t iovec_get(uaddr_t addr, unsigned long n, struct iovec *small, unsigned nsmall,
			 struct iovec **out)
{
	struct iovec *iov = small;
	size_t total = 0;

	*out = NULL;
	if (n > IOV_MAX)
		return -EINVAL;
	if (n > nsmall) {
		iov = kmalloc(n * sizeof(*iov));
		if (!iov)
			return -ENOMEM;
	}
	if (copy_from_user(iov, addr, n * sizeof(*iov))) {
		if (iov != small)
			kfree(iov);
		return -EFAULT;
	}
	for (unsigned long i = 0; i < n; i++) {
		ssize_t bad = 0;

		if ((ssize_t)iov[i].iov_len < 0)
			bad = -EINVAL;
		else if (!uaddr_ok((uaddr_t)iov[i].iov_base, iov[i].iov_len))
			bad = -EFAULT;
		if (bad) {
			if (iov != small)
				kfree(iov);
			return bad;
		}
		iov[i].iov_len = MIN(iov[i].iov_len, RW_MAX - total);
		total += iov[i].iov_len;
	}
	*out = iov;
	return total;
}

/* A stream must not block for more once something was moved. */
static bool stream_ready(struct file *f, bool write)
{
	return !f->ops->poll || (f->ops->poll(f, NULL) & (write ? EPOLLOUT : EPOLLIN));
}

static ssize_t iovec_io(struct file *f, bool write, const struct iovec *iov, unsigned long n, uint64_t pos)
{
	ssize_t total = 0;
	bool first = true;

	for (unsigned long i = 0; i < n; i++) {
		ssize_t r;

		if (!iov[i].iov_len)
			continue;
		if (total && !f->ops->lseek && !write && !stream_ready(f, write))
			break;
		first = false;
		r = file_io(f, write, (uaddr_t)iov[i].iov_base, iov[i].iov_len, pos + total);
		if (r < 0)
			return total ? total : r;
		total += r;
		if ((size_t)r < iov[i].iov_len)
			break;
	}
	if (first) /* nothing but empty pieces: the checks of the file still count */
		return file_io(f, write, UADDR_MIN, 0, pos);
	return total;
}

/* A vector of `total` bytes at pos of a file that has a position. */
static ssize_t vector_at(struct file *f, bool write, const struct iovec *iov, unsigned long n, size_t total, uint64_t pos)
{
	if (!position_ok(pos, total))
		return -EINVAL;
	if (!write || !f->ops->write_vector)
		return iovec_io(f, write, iov, n, pos);
	return io_done(f, true, f->ops->write_vector(f, iov, (unsigned)n, pos));
}

static long rw_vector(int fd, bool write, uaddr_t vec, unsigned long n, bool positional, long pos)
{
	struct iovec small[8], *iov;
	struct file *f;
	size_t total;
	ssize_t r;

	if (positional && pos < 0)
		return -EINVAL;
	f = rw_file(fd, write);
	if (IS_ERR(f))
		return PTR_ERR(f);
	if (positional && !f->ops->lseek) {
		file_put(f);
		return -ESPIPE;
	}
	r = iovec_get(vec, n, small, ARRAY_SIZE(small), &iov);
	if (r >= 0) {
		total = (size_t)r;
		if (positional) {
			r = vector_at(f, write, iov, n, total, (uint64_t)pos);
		} else if (has_position(f)) {
			mutex_lock(&f->pos_lock);
			do {
				pos = (long)atomic_load_explicit(&f->pos, memory_order_relaxed);
				r = vector_at(f, write, iov, n, total, (uint64_t)pos);
			} while (r > 0 && !position_move(f, write, (uint64_t)pos, r));
			mutex_unlock(&f->pos_lock);
		} else if (f->ops->vector) {
			r = f->ops->vector(f, write, iov, n, total);
		} else {
			r = iovec_io(f, write, iov, n, 0);
		}
		if (iov != small)
			kfree(iov);
	}
	file_put(f);
	return r;
}

long sys_readv(int fd, uaddr_t iov, unsigned long n) { return rw_vector(fd, false, iov, n, false, 0); }
long sys_writev(int fd, uaddr_t iov, unsigned long n) { return rw_vector(fd, true, iov, n, false, 0); }

long sys_preadv(int fd, uaddr_t iov, unsigned long n, unsigned long pos_low, unsigned long pos_high)
{
	return rw_vector(fd, false, iov, n, true, pos_low);
}

long sys_pwritev(int fd, uaddr_t iov, unsigned long n, unsigned long pos_low, unsigned long pos_high)
{
	return rw_vector(fd, true, iov, n, true, pos_low);
}

/* --- positions and attributes of descriptors ------------------------------------------------------- */

long sys_lseek(int fd, long offset, int whence)
{
	struct file *f;
	long r;

	rcu_read_lock();
	f = fd_peek(fd);
	r = f ? plain_seek(f, offset, whence) : -EBADF;
	rcu_read_unlock();
	if (likely(r != -ENOSYS))
		return r;
	f = fd_get(fd);
	if (!f)
		return -EBADF;
	if (f->flags & O_PATH) {
		r = -EBADF;
	} else if (!f->ops->lseek) {
		r = -ESPIPE;
	} else {
		mutex_lock(&f->pos_lock);
		r = f->ops->lseek(f, offset, whence);
		mutex_unlock(&f->pos_lock);
	}
	file_put(f);
	return r;
}

long sys_close(int fd)
{
	long r = fd_close(fd);

	return r == -ERESTARTSYS ? -EINTR : r;
}

long sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		struct process *p = current_process();

		if (p->nthreads > 1)
			return -EINVAL; /* threads of a process always share their table here */
	}
	fd_table_close_range(current_process()->fds, first, last, flags & CLOSE_RANGE_CLOEXEC);
	return 0;
}

long sys_dup(int fd)
{
	struct file *f = fd_get(fd);
	int r;

	if (!f)
		return -EBADF;
	r = fd_install(f, 0, false);
	if (r < 0)
		file_put(f);
	return r;
}

long sys_dup2(int old, int new)
{
	struct file *f;

	if (old != new)
		return fd_dup2(old, new, false);
	f = fd_get(old);
	if (!f)
		return -EBADF;
	file_put(f);
	return new;
}

long sys_dup3(int old, int new, int flags)
{
	if ((flags & ~O_CLOEXEC) || old == new)
		return -EINVAL;
	return fd_dup2(old, new, flags & O_CLOEXEC);
}

long sys_ioctl(int fd, unsigned cmd, uaddr_t arg)
{
	struct file *f = fd_get(fd);
	long r = -ENOTTY;
	int on;

	if (!f)
		return -EBADF;
	if (f->flags & O_PATH) {
		file_put(f);
		return -EBADF;
	}
	switch (cmd) {
	case FIOCLEX:
	case FIONCLEX:
		r = fd_cloexec(fd, cmd == FIOCLEX);
		r = r < 0 ? r : 0;
		break;
	case FIONBIO:
		r = get_user(on, arg);
		if (!r && on)
			atomic_fetch_or(&f->flags, O_NONBLOCK);
		else if (!r)
			atomic_fetch_and(&f->flags, ~(uint32_t)O_NONBLOCK);
		break;
	case FIOQSIZE:
	case FIONREAD:
		if (S_ISREG(inode_type(f->inode))) {
			struct kstat st;
			int64_t left;

			inode_stat(f->inode, &st);
			left = (int64_t)st.size - (int64_t)f->pos;
			r = cmd == FIONREAD ? put_user(arg, (int)left) : put_user(arg, st.size);
			break;
		}
		/* fallthrough */
	default:
		if (f->ops->ioctl)
			r = f->ops->ioctl(f, cmd, arg);
	}
	file_put(f);
	return r;
}

/* --- storage ------------------------------------------------------------------------------------------ */

long sys_fsync(int fd)
{
	struct file *f = fd_get(fd);
	long r;

	if (!f)
		return -EBADF;
	r = (f->flags & O_PATH) ? -EBADF : f->ops->fsync ? f->ops->fsync(f) : -EINVAL;
	file_put(f);
	return r;
}

long sys_fdatasync(int fd) { return sys_fsync(fd); }
long sys_sync(void) { return 0; }

long sys_ftruncate(int fd, long len)
{
	struct file *f;
	long r;

	if (len < 0)
		return -EINVAL;
	f = fd_get(fd);
	if (!f)
		return -EBADF;
	if (f->flags & O_PATH)
		r = -EBADF;
	else if (!S_ISREG(inode_type(f->inode)) || !file_writable(f))
		r = -EINVAL;
	else
		r = inode_truncate(f->inode, len);
	if (!r && f->dentry)
		notify_change(f->dentry, IN_MODIFY);
	file_put(f);
	return r;
}

long sys_fallocate(int fd, int mode, long offset, long len)
{
	struct file *f;
	long r;

	if (offset < 0 || len <= 0)
		return -EINVAL;
	f = rw_file(fd, true);
	if (IS_ERR(f))
		return PTR_ERR(f);
	if (!f->ops->lseek && !inode_is_dir(f->inode))
		r = -ESPIPE;
	else if (inode_is_dir(f->inode))
		r = -EISDIR;
	else if (!f->ops->allocate)
		r = -ENODEV;
	else if (offset > INT64_MAX - len)
		r = -EFBIG;
	else
		r = f->ops->allocate(f, mode, offset, len);
	if (!r && f->dentry)
		notify_change(f->dentry, IN_MODIFY);
	file_put(f);
	return r;
}

/* Brings pages of a file into memory; the rest of the advice needs nothing. */
static void pages_prefetch(struct file *f, uint64_t offset, uint64_t len)
{
	struct pagecache *c = f->ops->map ? f->ops->map(f) : NULL;
	uint64_t end, size;

	if (!c || IS_ERR(c) || !c->ops->fill)
		return;
	size = atomic_load(&c->size_bytes);
	end = !len || len > size ? size : MIN(size, offset + len);
	end = MIN(end, offset + MIB(2)); /* Linux reads a bounded piece, too */
	for (uint64_t at = ALIGN_DOWN(offset, PAGE_SIZE); at < end; at += PAGE_SIZE) {
		struct page *p = pagecache_get(c, at / PAGE_SIZE, 0);

		if (IS_ERR(p))
			return;
		page_put(p);
	}
}

long sys_readahead(int fd, long offset, size_t count)
{
	struct file *f = rw_file(fd, false);
	long r = 0;

	if (IS_ERR(f))
		return PTR_ERR(f);
	if (!S_ISREG(inode_type(f->inode)) || !f->ops->map)
		r = -EINVAL;
	else if (offset >= 0)
		pages_prefetch(f, offset, count);
	file_put(f);
	return r;
}

long sys_fadvise64(int fd, long offset, size_t len, int advice)
{
	struct file *f = fd_get_io(fd);
	long r = 0;

	if (!f)
		return -EBADF;
	if (S_ISFIFO(inode_type(f->inode)))
		r = -ESPIPE;
	else if ((long)len < 0 || offset < 0 || advice < 0 || advice > 5)
		r = -EINVAL;
	else if (advice == 3) /* POSIX_FADV_WILLNEED */
		pages_prefetch(f, offset, len);
	file_put(f);
	return r;
}
