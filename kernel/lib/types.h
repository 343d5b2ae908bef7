/*
 * kernel/lib/types.h - the words every file of the kernel uses.
 *
 * Fixed-width integers come from the compiler's <stdint.h>. Constants and structures of
 * the Linux ABI come from the distribution's kernel headers (<linux/...>, <asm/...>),
 * which depend on no C library.
 */
#ifndef IBRIK_LIB_TYPES_H
#define IBRIK_LIB_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <asm/errno.h>

typedef long ssize_t;
/* An address of the application. It is never dereferenced: see core/uaccess.h. */
typedef uint64_t uaddr_t;
typedef uint64_t paddr_t;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a < _b ? _a : _b; })
#define MAX(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a > _b ? _a : _b; })
#define ALIGN_UP(x, a) (((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

/*
 * Pointers that may carry an error: the top 4095 addresses stand for -errno. A function
 * that returns one says so in its header.
 */
#define ERR_PTR(err) ((void *)(long)(err))
#define PTR_ERR(ptr) ((long)(ptr))
#define IS_ERR(ptr) ((unsigned long)(ptr) >= (unsigned long)-4095L)

#endif
