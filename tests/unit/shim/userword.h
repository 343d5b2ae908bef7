/*
 * tests/unit/shim/userword.h - words of the application's memory in host programs that are made of kernel files: each has
 * copies of its own.
 */
#ifndef TESTS_UNIT_SHIM_USERWORD_H
#define TESTS_UNIT_SHIM_USERWORD_H

static inline int user_put(uaddr_t dst, const void *value, size_t size) { return copy_to_user(dst, value, size); }
static inline int user_get(void *value, uaddr_t src, size_t size) { return copy_from_user(value, src, size); }

#endif
