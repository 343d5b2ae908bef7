/*
 * kernel/fs/fdtable.h - the inside of a descriptor table, for those who look up a descriptor without a call.
 *
 * Interface: fd_table_peek(); all others use fd_*() of vfs.h.
 * Locking:   table->lock for every change; readers are under RCU, or are short calls (linux/short.c).
 */
#ifndef IBRIK_FS_FDTABLE_H
#define IBRIK_FS_FDTABLE_H

#include "core/mutex.h"
#include "core/rcu.h"
#include "fs/vfs.h"

struct fd_array {
	struct rcu_head rcu;
	unsigned size;            /* multiple of 64 */
	uint64_t *used, *cloexec; /* bitmaps behind the slots */
	struct file *_Atomic slots[];
};

struct fd_table {
	_Atomic uint32_t refs;
	struct mutex lock;
	struct fd_array *_Atomic array;
	unsigned hint; /* no free descriptor below it */
};

/* RCU held. A negative descriptor is beyond every table's end. */
static inline __attribute__((always_inline)) struct file *fd_table_peek(const struct fd_table *t, int fd)
{
	struct fd_array *a = rcu_dereference(t->array);

	return likely((unsigned)fd < a->size) ? rcu_dereference(a->slots[(unsigned)fd]) : NULL;
}

#endif
