/*
 * tests/unit/shim/shim.c - see shim.h.
 */
#include "shim.h"
#include "core/log.h"
#include "core/mutex.h"
#include "lib/string.h"
#include "mm/mm.h"

_Noreturn void abort(void);

long shim_fail_after = -1;
char shim_last_log[256];
unsigned shim_log_lines;
int shim_quiet;
int log_level = 7;

void *kmalloc(size_t size)
{
	if (shim_fail_after >= 0 && shim_fail_after-- == 0)
		return NULL;
	return malloc(size ? size : 1);
}

void *kzalloc(size_t size)
{
	void *p = kmalloc(size);

	if (p)
		memset(p, 0, size);
	return p;
}

void *krealloc(void *p, size_t old_size, size_t new_size)
{
	return realloc(p, new_size);
}

void kfree(void *p) { free(p); }

char *kstrdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = kmalloc(n);

	return copy ? memcpy(copy, s, n) : NULL;
}

void mutex_init(struct mutex *m, const char *name) { m->name = name; }
void mutex_lock(struct mutex *m) {}
void mutex_unlock(struct mutex *m) {}

void log_print(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(shim_last_log, sizeof(shim_last_log), fmt, ap);
	va_end(ap);
	shim_log_lines++;
	if (!shim_quiet)
		fprintf(stderr, "log %d: %s\n", level, shim_last_log);
}

_Noreturn void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	abort();
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
	size_t n = strlen(src);

	if (size) {
		size_t copy = n < size ? n : size - 1;

		memcpy(dst, src, copy);
		dst[copy] = 0;
	}
	return n;
}

bool str_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

void sappendf(char *buf, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf + *len, size - *len, fmt, ap);
	va_end(ap);
	*len = (size_t)n < size - *len ? *len + n : size - 1;
}

int parse_u64(const char *s, const char **end, uint64_t *value)
{
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	*end = s;
	*value = v;
	return 0;
}
