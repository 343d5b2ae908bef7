/*
 * kernel/core/uaccess.h - reading and writing the application's memory.
 *
 * Every pointer that comes from the application is a uaddr_t and is reached only through these
 * functions. They check that the range lies in the application's half and survive a fault that
 * cannot be resolved: the answer is then -EFAULT (part of the destination may have been written).
 * They may sleep (the fault may read a file), so the caller holds no lock that the fault path
 * takes: none of mm's, the page cache's, or a file system's.
 */
#ifndef IBRIK_CORE_UACCESS_H
#define IBRIK_CORE_UACCESS_H

#include "lib/types.h"

#define UADDR_MIN 0x10000ull
#define UADDR_END 0x00007ffffffff000ull /* first address behind the application's half */

static inline bool uaddr_ok(uaddr_t addr, uint64_t len)
{
	return addr <= UADDR_END && len <= UADDR_END - addr;
}

int copy_from_user(void *dst, uaddr_t src, size_t len);
int copy_to_user(uaddr_t dst, const void *src, size_t len);
int clear_user(uaddr_t dst, size_t len);
/* Copies what can be copied and returns the number of bytes that could NOT be. */
size_t copy_from_user_partial(void *dst, uaddr_t src, size_t len);
size_t copy_to_user_partial(uaddr_t dst, const void *src, size_t len);
/*
 * Copies a string of at most size - 1 bytes. Returns its length, -EFAULT, or -ENAMETOOLONG when no
 * NUL was found in the first `size` bytes.
 */
ssize_t strncpy_from_user(char *dst, uaddr_t src, size_t size);

/* One object, in as few instructions as its size allows: the architecture's. */
#include "userword.h"
#define get_user(value, src) user_get(&(value), (src), sizeof(value))
#define put_user(dst, value)                                     \
	({ __typeof__(value) _v = (value); user_put((dst), &_v, sizeof(_v)); })

/* Atomic 32-bit operations on application memory for futexes. 0 or -EFAULT. */
int user_load32(uint32_t *value, uaddr_t addr);
/* *found receives the old value; it was replaced only if it equalled `expect`. */
int user_cmpxchg32(uaddr_t addr, uint32_t expect, uint32_t desired, uint32_t *found);

#endif
