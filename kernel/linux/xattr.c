/*
 * kernel/linux/xattr.c - extended attributes: no file system here has any.
 *
 * Theory:    The calls check what Linux checks first, then say that there is nothing: tmpfs answers so
 *            for user attributes (-EOPNOTSUPP) and for the other name spaces (-ENODATA).
 * Interface: sys_*() of syscalls.def.
 */
#include "fs/inode.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/syscall.h"
#include <linux/xattr.h>

static long path_check(uaddr_t addr, unsigned lookup)
{
	struct path_arg path;
	struct dentry *d;
	long r = path_arg_get(&path, addr);

	if (r)
		return r;
	d = path_lookup(NULL, path.name, lookup);
	path_arg_put(&path);
	if (IS_ERR(d))
		return PTR_ERR(d);
	dentry_put(d);
	return 0;
}

static long fd_check(int fd)
{
	struct file *f = fd_get(fd);
	long r = f ? (f->flags & O_PATH) ? -EBADF : 0 : -EBADF;

	if (f)
		file_put(f);
	return r;
}

static long name_answer(uaddr_t name)
{
	char text[256]; /* XATTR_NAME_MAX and its NUL */
	ssize_t n = strncpy_from_user(text, name, sizeof(text));

	if (n < 0)
		return n == -ENAMETOOLONG ? -ERANGE : n;
	if (!n)
		return -ERANGE;
	return str_starts(text, XATTR_SECURITY_PREFIX) || str_starts(text, XATTR_TRUSTED_PREFIX)
		       ? -ENODATA : -EOPNOTSUPP;
}

long sys_getxattr(uaddr_t path, uaddr_t name, uaddr_t value, size_t size)
{
	long r = path_check(path, LOOKUP_FOLLOW);

	return r ? r : name_answer(name);
}

long sys_lgetxattr(uaddr_t path, uaddr_t name, uaddr_t value, size_t size)
{
	long r = path_check(path, 0);

	return r ? r : name_answer(name);
}

long sys_fgetxattr(int fd, uaddr_t name, uaddr_t value, size_t size)
{
	long r = fd_check(fd);

	return r ? r : name_answer(name);
}

long sys_listxattr(uaddr_t path, uaddr_t list, size_t size) { return path_check(path, LOOKUP_FOLLOW); }
long sys_llistxattr(uaddr_t path, uaddr_t list, size_t size) { return path_check(path, 0); }
long sys_flistxattr(int fd, uaddr_t list, size_t size) { return fd_check(fd); }
