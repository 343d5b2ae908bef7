/*
 * kernel/lib/string.h - memory and string functions, with their C meanings.
 *
 * memcpy, memmove, memset and memcmp are what the compiler calls by itself. strlcpy
 * returns the length of the source, always terminates, and truncates when that length
 * is not smaller than `size`.
 */
#ifndef IBRIK_LIB_STRING_H
#define IBRIK_LIB_STRING_H

#include "lib/types.h"
#include <stdarg.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *haystack, const char *needle);
size_t strlcpy(char *dst, const char *src, size_t size);
bool str_starts(const char *s, const char *prefix);
/* How many of n bytes of text go into a line of max bytes: up to a blank, or as many as fit if no word ends before that. Not 0, unless n is. */
size_t text_part(const char *s, size_t n, size_t max);

/*
 * Formatted text: d i u x X o c s p %, flags - 0 + space #, width and precision (also *), and
 * the lengths hh h l ll z t j. Returns the length the full text would have.
 */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Appends to a text of *len bytes in buf[size]; *len never passes size - 1. */
void sappendf(char *buf, size_t size, size_t *len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Reads an unsigned number (base 10, or 16 after "0x") from s; *end is set behind it.
 * Answers -EINVAL without a digit, -ERANGE on overflow; *value is then unchanged.
 */
int parse_u64(const char *s, const char **end, uint64_t *value);

#endif
