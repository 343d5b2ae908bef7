/*
 * kernel/linux/sendfile.c - sendfile(2) and copy_file_range(2).
 *
 * Theory:    The source is a file with a page cache. A TCP socket copies from there itself. Other targets have write operations that
 *            take application addresses, so the bytes go through pages that are mapped into the
 *            application for the time of the call: anonymous ones of the caller's address space.
 * Interface: sys_sendfile(), sys_copy_file_range(), sys_splice().
 * Errors:    as Linux; splice answers EINVAL, so that callers copy by themselves.
 */
#include "fs/inode.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/plain.h"
#include "linux/process.h"
#include "linux/syscall.h"
#include "mm/mm.h"
#include "mm/pagecache.h"
#include "net/socket.h"
#include <linux/inotify.h>
#include <linux/mman.h>

#define CHUNK_BYTES 65536ul

/* Where bytes wait between the two files: memory of the application, unmapped afterwards. */
static long staging_get(void)
{
	return mm_mmap(current_process()->mm, 0, CHUNK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0);
}

static void staging_put(uaddr_t addr)
{
	mm_munmap(current_process()->mm, addr, CHUNK_BYTES);
}

/* Moves up to len bytes; *in_pos and *out_pos advance. Bytes, or -errno if there were none. */
static ssize_t copy_loop(struct file *in, uint64_t *in_pos, struct file *out, uint64_t *out_pos, size_t len)
{
	long staging = staging_get();
	ssize_t total = 0, r = 0;

	if (staging < 0)
		return staging;
	len = MIN(len, RW_MAX);
	while ((size_t)total < len) {
		size_t want = MIN(len - total, CHUNK_BYTES);
		ssize_t got = in->ops->read(in, staging, want, *in_pos), done = 0;

		if (got <= 0) {
			r = got;
			break;
		}
		while (done < got) {
			r = out->ops->write(out, staging + done, got - done, *out_pos);
			if (r <= 0)
				break;
			done += r;
			*out_pos += r;
		}
		*in_pos += done;
		total += done;
		if (done < got)
			break;
	}
	staging_put(staging);
	if (total && in->dentry)
		notify_change(in->dentry, IN_ACCESS);
	if (total && out->dentry)
		notify_change(out->dentry, IN_MODIFY);
	return total ? total : r;
}

/* The socket that a file's bytes can go to from where they lie, or NULL. */
static struct socket *direct_target(struct file *in, struct file *out)
{
	struct socket *s = socket_of_file(out);

	return s && s->ops->sends_files && S_ISREG(inode_type(in->inode)) ? s : NULL;
}

/* The same as copy_loop() for such a socket. */
static ssize_t send_loop(struct file *in, uint64_t *in_pos, struct file *out, struct socket *s, size_t len)
{
	struct pagecache *cache = in->ops->map(in);
	ssize_t r;

	if (IS_ERR(cache))
		return PTR_ERR(cache);
	/* A file that becomes shorter meanwhile is looked at once more. */
	do {
		uint64_t size = atomic_load_explicit(&cache->size_bytes, memory_order_acquire), left = *in_pos < size ? size - *in_pos : 0;
		struct socket_msg m = { .file = cache, .file_pos = *in_pos, .len = MIN(MIN(left, (uint64_t)len), (uint64_t)RW_MAX) };

		r = m.len ? socket_send(out, s, &m, 0) : 0;
	} while (r == -ENODATA);
	if (r > 0) {
		*in_pos += r;
		if (in->dentry)
			notify_change(in->dentry, IN_ACCESS);
	}
	return r;
}

static int files_get(int in, int out, struct file **fi, struct file **fo)
{
	*fo = NULL;
	*fi = fd_get(in);
	if (*fi)
		*fo = fd_get(out);
	if (*fo && !((*fi)->flags & O_PATH) && !((*fo)->flags & O_PATH) && file_readable(*fi) &&
	    file_writable(*fo))
		return 0;
	if (*fi)
		file_put(*fi);
	if (*fo)
		file_put(*fo);
	return -EBADF;
}

long sys_sendfile(int out, int in, uaddr_t offset, size_t count)
{
	struct file *fi, *fo;
	uint64_t in_pos, out_pos;
	int64_t given = 0;
	struct socket *s;
	ssize_t r = files_get(in, out, &fi, &fo);

	if (r)
		return r;
	r = -EFAULT;
	if (offset && get_user(given, offset))
		goto out;
	r = -ESPIPE;
	if (offset && !fi->ops->lseek)
		goto out;
	r = -EINVAL;
	if (given < 0 || !fi->ops->map || !fi->ops->read || !fo->ops->write || (fo->flags & O_APPEND))
		goto out;
	in_pos = offset ? (uint64_t)given : fi->pos;
	out_pos = fo->pos;
	s = direct_target(fi, fo);
	if (!count)
		r = 0;
	else if (s)
		r = send_loop(fi, &in_pos, fo, s, count);
	else
		r = copy_loop(fi, &in_pos, fo, &out_pos, count);
	if (r > 0) {
		if (fo->ops->lseek)
			fo->pos = out_pos;
		if (!offset)
			fi->pos = in_pos;
		else if (put_user(offset, in_pos))
			r = -EFAULT;
	}
	r = r == -EINTR ? -ERESTARTSYS : r;
out:
	file_put(fi);
	file_put(fo);
	return r;
}

long sys_copy_file_range(int in, uaddr_t off_in, int out, uaddr_t off_out, size_t len, unsigned flags)
{
	struct file *fi, *fo;
	int64_t given_in = 0, given_out = 0;
	uint64_t in_pos, out_pos;
	struct kstat st;
	ssize_t r;

	if (flags)
		return -EINVAL;
	r = files_get(in, out, &fi, &fo);
	if (r)
		return r;
	r = -EFAULT;
	if ((off_in && get_user(given_in, off_in)) || (off_out && get_user(given_out, off_out)))
		goto out;
	r = -EBADF;
	if (fo->flags & O_APPEND)
		goto out;
	r = inode_is_dir(fi->inode) || inode_is_dir(fo->inode) ? -EISDIR : -EINVAL;
	if (!S_ISREG(inode_type(fi->inode)) || !S_ISREG(inode_type(fo->inode)) || !fi->ops->read ||
	    !fo->ops->write)
		goto out;
	/* What makes its content when it is read has no size; the caller has to read it, as Linux makes it do. */
	r = -EXDEV;
	if (!fi->ops->map)
		goto out;
	in_pos = off_in ? (uint64_t)given_in : fi->pos;
	out_pos = off_out ? (uint64_t)given_out : fo->pos;
	r = -EOVERFLOW;
	if (in_pos + len < in_pos || out_pos + len < out_pos)
		goto out;
	r = -EINVAL;
	if (given_in < 0 || given_out < 0)
		goto out;
	/* What lies behind the end of the source is not copied, so it overlaps nothing. */
	inode_stat(fi->inode, &st);
	len = in_pos < st.size ? MIN(len, st.size - in_pos) : 0;
	if (fi->inode == fo->inode && in_pos < out_pos + len && out_pos < in_pos + len)
		goto out;
	r = len ? copy_loop(fi, &in_pos, fo, &out_pos, len) : 0;
	if (r > 0) {
		if (!off_in)
			fi->pos = in_pos;
		else if (put_user(off_in, in_pos))
			r = -EFAULT;
		if (!off_out)
			fo->pos = out_pos;
		else if (put_user(off_out, out_pos))
			r = -EFAULT;
	}
out:
	file_put(fi);
	file_put(fo);
	return r;
}

long sys_splice(int in, uaddr_t off_in, int out, uaddr_t off_out, size_t len, unsigned flags)
{
	return -EINVAL;
}
