/*
 * tests/unit/shim/shim.h - what kernel files need around them when they are built for the host.
 *
 * Interface: link shim.c. kmalloc() is malloc() and fails on purpose while shim_fail_after counts down to
 * zero; mutexes do nothing; log lines are kept in shim_last_log; panic() aborts.
 */
#ifndef TESTS_UNIT_SHIM_H
#define TESTS_UNIT_SHIM_H

#include <stddef.h>
#include <stdio.h>

/* Of <stdlib.h>, which does not go together with the kernel's <linux/time.h>. */
_Noreturn void exit(int status);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);
void free(void *p);
int rand(void);
void srand(unsigned seed);
int system(const char *command);
char *getenv(const char *name);
char *mkdtemp(char *template);
void qsort(void *base, size_t n, size_t size, int (*order)(const void *, const void *));

extern long shim_fail_after; /* < 0: never */
extern char shim_last_log[256];
extern unsigned shim_log_lines;
extern int shim_quiet;       /* log lines are not printed */

#define CHECK(cond)                                                                             \
	do {                                                                                    \
		if (!(cond)) {                                                                  \
			printf("not ok %s:%d: %s\n", __FILE__, __LINE__, #cond);                \
			exit(1);                                                                \
		}                                                                               \
	} while (0)
#define CHECK_EQ(a, b)                                                                          \
	do {                                                                                    \
		long long _a = (long long)(a), _b = (long long)(b);                             \
		if (_a != _b) {                                                                 \
			printf("not ok %s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, \
			       #a, _a, _b);                                                     \
			exit(1);                                                                \
		}                                                                               \
	} while (0)
#define TEST(fn)                          \
	do {                              \
		fn();                     \
		printf("ok %s\n", #fn);   \
	} while (0)

#endif
