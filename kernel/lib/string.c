/*
 * kernel/lib/string.c - memory and string functions; see string.h.
 *
 * The string instructions move eight bytes a step where that is possible: they need no vector
 * registers, are fast on hardware, and under an emulator cost one step a word instead of one a byte.
 */
#include "lib/string.h"

static inline void copy_words_up(void *dst, const void *src, size_t words)
{
	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(words) : : "memory");
}

static inline uint64_t load64(const void *p)
{
	uint64_t v;
	__builtin_memcpy(&v, p, 8);
	return v;
}

static inline void store64(void *p, uint64_t v) { __builtin_memcpy(p, &v, 8); }

static inline void copy_small(char *d, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		d[i] = s[i];
		__asm__ volatile("" ::: "memory"); /* keeps the loop from becoming a call of itself */
	}
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (n < 8) {
		copy_small(d, s, n);
		return dst;
	}
	uint64_t last = load64(s + n - 8);
	if (n <= 64) {
		for (size_t i = 0; i + 8 < n; i += 8)
			store64(d + i, load64(s + i));
	} else {
		copy_words_up(d, s, n / 8);
	}
	store64(d + n - 8, last);
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (d == s || n == 0)
		return dst;
	if (d < s || d >= s + n) {
		if (d + n <= s || d >= s + n)
			return memcpy(dst, src, n);
		/* Overlap, moving down: word by word from the front is safe when d lies 8 or more below. */
		size_t i = 0;
		if (s - d >= 8)
			for (; i + 8 <= n; i += 8)
				store64(d + i, load64(s + i));
		copy_small(d + i, s + i, n - i);
		return dst;
	}
	size_t i = n;
	if (d - s >= 8)
		for (; i >= 8; i -= 8)
			store64(d + i - 8, load64(s + i - 8));
	while (i > 0) {
		i--;
		d[i] = s[i];
		__asm__ volatile("" ::: "memory");
	}
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	char *d = dst;
	uint64_t pattern = 0x0101010101010101ull * (uint8_t)c;

	if (n < 8) {
		for (size_t i = 0; i < n; i++) {
			d[i] = (char)c;
			__asm__ volatile("" ::: "memory");
		}
		return dst;
	}
	store64(d + n - 8, pattern);
	size_t words = n / 8;
	void *p = d;
	__asm__ volatile("rep stosq" : "+D"(p), "+c"(words) : "a"(pattern) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;
	size_t i = 0;

	while (i + 8 <= n && load64(x + i) == load64(y + i))
		i += 8;
	for (; i < n; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	const unsigned char *p = s;
	for (size_t i = 0; i < n; i++)
		if (p[i] == (unsigned char)c)
			return (void *)(p + i);
	return NULL;
}

size_t strlen(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;
	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;
	for (;; s++) {
		if (*s == (char)c)
			last = s;
		if (!*s)
			return (char *)last;
	}
}

char *strstr(const char *haystack, const char *needle)
{
	size_t n = strlen(needle);
	for (; *haystack || n == 0; haystack++) {
		if (strncmp(haystack, needle, n) == 0)
			return (char *)haystack;
	}
	return NULL;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
	size_t n = strlen(src);
	if (size > 0) {
		size_t m = MIN(n, size - 1);
		memcpy(dst, src, m);
		dst[m] = 0;
	}
	return n;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

size_t text_part(const char *s, size_t n, size_t max)
{
	size_t part = max;

	if (n <= max)
		return n;
	while (part && s[part] != ' ')
		part--;
	return part ? part : max;
}

int parse_u64(const char *s, const char **end, uint64_t *value)
{
	unsigned base = 10;
	uint64_t v = 0;
	const char *p = s;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		base = 16;
		p += 2;
	}
	const char *digits = p;
	for (;; p++) {
		unsigned d;
		if (*p >= '0' && *p <= '9')
			d = *p - '0';
		else if (base == 16 && (*p | 32) >= 'a' && (*p | 32) <= 'f')
			d = (*p | 32) - 'a' + 10;
		else
			break;
		if (v > (UINT64_MAX - d) / base)
			return -ERANGE;
		v = v * base + d;
	}
	if (p == digits)
		return -EINVAL;
	if (end)
		*end = p;
	*value = v;
	return 0;
}
