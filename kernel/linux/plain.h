/*
 * kernel/linux/plain.h - the plain case of calls on a file, for the handlers (file.c) and for the short calls (short.c).
 *
 * Theory:    What looks at nothing but the struct file takes no lock and no reference, so it can be inline in both.
 * Locking:   an RCU section of the caller.
 * Errors:    left to the handlers: what is not plain is refused here.
 */
#ifndef IBRIK_LINUX_PLAIN_H
#define IBRIK_LINUX_PLAIN_H

#include "core/uaccess.h"
#include "fs/inode.h"
#include <linux/fs.h>

/* The most that one call moves. */
#define RW_MAX 0x7ffff000ul

#define PLAIN static inline __attribute__((always_inline))

PLAIN bool plain_allowed(const struct file *f, bool write)
{
	uint32_t flags = atomic_load_explicit(&f->flags, memory_order_relaxed);

	return !(flags & O_PATH) && (access_of_flags(flags) & (write ? 2 : 1));
}

/* Somebody wants to hear of every access: notify_change(). */
PLAIN bool plain_watched(void) { return atomic_load_explicit(&notify_watches, memory_order_relaxed); }

/* SEEK_SET and SEEK_CUR where they only set the position. -ENOSYS: not this way. */
PLAIN long plain_seek(struct file *f, long offset, int whence)
{
	if (offset < 0 || !f->ops->plain_position || (atomic_load_explicit(&f->flags, memory_order_relaxed) & O_PATH))
		return -ENOSYS;
	if (whence == SEEK_SET) {
		atomic_store_explicit(&f->pos, (uint64_t)offset, memory_order_relaxed);
		return offset;
	}
	return whence == SEEK_CUR && !offset ? (long)atomic_load_explicit(&f->pos, memory_order_relaxed) : -ENOSYS;
}

/* A write to what swallows everything. -ENOSYS: not this way. */
PLAIN long plain_swallow(const struct file *f, uaddr_t buf, size_t count)
{
	if (!f->ops->swallows || !plain_allowed(f, true) || plain_watched() || !uaddr_ok(buf, count))
		return -ENOSYS;
	return (long)MIN(count, RW_MAX);
}

#endif
