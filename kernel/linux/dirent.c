/*
 * kernel/linux/dirent.c - reading directories.
 *
 * Theory:    The file system lists into a kernel buffer under its lock; the buffer is copied out after
 *            the lock is gone.
 * Interface: sys_getdents(), sys_getdents64().
 * Errors:    -EINVAL when not even one entry fits, as Linux.
 */
#include "fs/inode.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/syscall.h"

#define DIRENT_BUFFER 32768u

struct dirent64 {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
} __attribute__((packed));

struct dirent_old { /* the type stands in the last byte of the record */
	uint64_t ino, off;
	uint16_t reclen;
	char name[];
} __attribute__((packed));

struct dirent_state {
	char *buf;
	size_t size, used;
	bool old, too_small;
};

static bool dirent_emit(void *arg, const char *name, size_t len, uint64_t ino, unsigned type,
			uint64_t cookie)
{
	struct dirent_state *s = arg;
	size_t head = s->old ? sizeof(struct dirent_old) : sizeof(struct dirent64);
	size_t reclen = ALIGN_UP(head + len + (s->old ? 2 : 1), 8ul);
	char *p = s->buf + s->used, *text;

	if (reclen > s->size - s->used) {
		s->too_small = !s->used;
		return false;
	}
	memset(p, 0, reclen);
	if (s->old) {
		struct dirent_old *d = (struct dirent_old *)p;

		d->ino = ino;
		d->off = cookie;
		d->reclen = reclen;
		text = d->name;
		p[reclen - 1] = type;
	} else {
		struct dirent64 *d = (struct dirent64 *)p;

		d->ino = ino;
		d->off = cookie;
		d->reclen = reclen;
		d->type = type;
		text = d->name;
	}
	memcpy(text, name, len);
	s->used += reclen;
	return true;
}

static long getdents(int fd, uaddr_t to, unsigned count, bool old)
{
	struct dirent_state s = { .size = MIN(count, DIRENT_BUFFER), .old = old };
	struct file *f = fd_get(fd);
	uint64_t before;
	long r;

	if (!f)
		return -EBADF;
	r = (f->flags & O_PATH) ? -EBADF : !f->ops->readdir ? -ENOTDIR : 0;
	if (r)
		goto out;
	if (!uaddr_ok(to, count)) {
		r = -EFAULT;
		goto out;
	}
	r = -ENOENT;
	if (f->dentry && f->dentry->deleted)
		goto out;
	r = -ENOMEM;
	s.buf = kmalloc(MAX(s.size, (size_t)1));
	if (!s.buf)
		goto out;
	mutex_lock(&f->pos_lock);
	before = f->pos;
	r = f->ops->readdir(f, dirent_emit, &s);
	if (r < 0 && s.used)
		r = 0; /* what came before the failure is handed out; the next call begins at the failure */
	if (!r && s.used && copy_to_user(to, s.buf, s.used)) {
		f->pos = before;
		r = -EFAULT;
	} else if (!r) {
		r = s.too_small ? -EINVAL : (long)s.used;
	}
	mutex_unlock(&f->pos_lock);
	kfree(s.buf);
out:
	file_put(f);
	return r;
}

long sys_getdents64(int fd, uaddr_t buf, unsigned count) { return getdents(fd, buf, count, false); }
long sys_getdents(int fd, uaddr_t buf, unsigned count) { return getdents(fd, buf, count, true); }
