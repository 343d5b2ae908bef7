/*
 * kernel/core/log.h - the kernel log and the end of the machine.
 *
 * Interface: log_*() from any context, also with interrupts off. Lines up to 240 bytes are
 * kept in a ring (the panic report prints the last ones) and written to the log consoles when
 * the level is at or below `log_level`. The form of a line stands in images/format.h.
 * panic() prints registers, backtrace, thread and the last lines, and ends the machine with
 * IBRIK_EXIT_PANIC; it never returns and needs no other CPU's progress. boot_fail() ends it in the same way
 * with only one line, for what is no fault of the kernel, before machine_fail() can be used.
 */
#ifndef IBRIK_CORE_LOG_H
#define IBRIK_CORE_LOG_H

#include <stdarg.h>
#include "lib/types.h"

enum log_level { LOG_EMERG = 0, LOG_ERR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

extern int log_level;

void log_print(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_err(...) log_print(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_print(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)

/*
 * A sink for complete log lines. write() may be called in any context, on any CPU, also
 * inside a panic: it must not sleep, allocate or wait for another CPU.
 */
struct log_sink {
	void (*write)(const char *text, size_t len);
	struct log_sink *next;
};
void log_sink_add(struct log_sink *sink);

/* Calls emit for each of the last `max` lines of the ring, oldest first. */
void log_replay(unsigned max, void (*emit)(const char *line));

struct regs;
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic_regs(const struct regs *regs, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

_Noreturn void boot_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define assert(cond)                                                              \
	do {                                                                      \
		if (unlikely(!(cond)))                                            \
			panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond); \
	} while (0)

#endif
