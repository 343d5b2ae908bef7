/*
 * kernel/arch/x86_64/userword.h - single words of the application's memory, without a call.
 *
 * Theory:    Most calls answer or ask for a number of 4 or 8 bytes. The string instructions of user_copy() take
 *            longer to begin than such a copy takes, so these are single moves, each with an entry in the fixup table.
 * Interface: user_get() and user_put() of a size known to the compiler; core/uaccess.h makes get_user() and put_user() of them.
 *            Programs of the host that are made of kernel files have a userword.h of their own (tests/unit/shim).
 * Errors:    -EFAULT outside the application's half or where nothing is mapped.
 */
#ifndef IBRIK_ARCH_USERWORD_H
#define IBRIK_ARCH_USERWORD_H

#define USER_FIXUP(at, to) ".pushsection .ex_table, \"a\"; .quad " at ", " to "; .popsection\n\t"

/* A move that goes on at `fault` if it faults. */
#define USER_STORE(suffix, constraint, at, value)                                                             \
	__asm__ goto("1: mov" suffix " %1, %0\n\t" USER_FIXUP("1b", "%l[fault]")                              \
		     : : "m"(*(at)), constraint(value) : "memory" : fault)
#define USER_LOAD(suffix, constraint, value, at)                                                              \
	__asm__ goto("1: mov" suffix " %1, %0\n\t" USER_FIXUP("1b", "%l[fault]")                              \
		     : constraint(value) : "m"(*(at)) : : fault)

/* Sizes that are one move, or two. */
static inline bool user_word_size(size_t size) { return size == 2 || size == 4 || size == 8 || size == 12 || size == 16; }

static inline __attribute__((always_inline)) int user_put(uaddr_t dst, const void *value, size_t size)
{
	const char *from = value;

	if (!user_word_size(size))
		return copy_to_user(dst, value, size);
	if (unlikely(!uaddr_ok(dst, size)))
		return -EFAULT;
	if (size == 2)
		USER_STORE("w", "r", (uint16_t *)dst, *(const uint16_t *)from);
	if (size >= 8)
		USER_STORE("q", "r", (uint64_t *)dst, *(const uint64_t *)from);
	if (size == 4 || size == 12)
		USER_STORE("l", "r", (uint32_t *)(dst + size - 4), *(const uint32_t *)(from + size - 4));
	if (size == 16)
		USER_STORE("q", "r", (uint64_t *)(dst + 8), *(const uint64_t *)(from + 8));
	return 0;
fault:
	return -EFAULT;
}

static inline __attribute__((always_inline)) int user_get(void *value, uaddr_t src, size_t size)
{
	char *to = value;
	uint64_t first, second;
	uint32_t half;
	uint16_t quarter;

	if (!user_word_size(size))
		return copy_from_user(value, src, size);
	if (unlikely(!uaddr_ok(src, size)))
		return -EFAULT;
	if (size == 2) {
		USER_LOAD("w", "=r", quarter, (const uint16_t *)src);
		*(uint16_t *)to = quarter;
	}
	if (size >= 8) {
		USER_LOAD("q", "=r", first, (const uint64_t *)src);
		*(uint64_t *)to = first;
	}
	if (size == 4 || size == 12) {
		USER_LOAD("l", "=r", half, (const uint32_t *)(src + size - 4));
		*(uint32_t *)(to + size - 4) = half;
	}
	if (size == 16) {
		USER_LOAD("q", "=r", second, (const uint64_t *)(src + 8));
		*(uint64_t *)(to + 8) = second;
	}
	return 0;
fault:
	return -EFAULT;
}

#endif
