/*
 * kernel/core/log.c - the kernel log; see log.h.
 *
 * The ring holds fixed-size lines. A writer takes a line number with one atomic add and fills that
 * slot; nobody waits for anybody. A reader (panic) may see a line half written by another CPU, which
 * a log can afford. Lines reach the sinks in the order in which writers get there.
 */
#include "core/log.h"
#include "core/clock.h"
#include "lib/string.h"

#define LINE_BYTES 256
#define LINES 128

int log_level = LOG_WARN;

static char ring[LINES][LINE_BYTES];
static _Atomic unsigned next_line;
static struct log_sink *_Atomic sinks;

void log_sink_add(struct log_sink *sink)
{
	sink->next = atomic_load(&sinks);
	while (!atomic_compare_exchange_weak(&sinks, &sink->next, sink))
		;
}

void log_print(int level, const char *fmt, ...)
{
	va_list ap;
	unsigned n = atomic_fetch_add_explicit(&next_line, 1, memory_order_relaxed);
	char *line = ring[n % LINES];
	size_t len = 0;
	uint64_t us = clock_monotonic_ns() / 1000;

	sappendf(line, LINE_BYTES, &len, "%d[%lu.%06lu] ", level, us / 1000000, us % 1000000);
	va_start(ap, fmt);
	int text = vsnprintf(line + len, LINE_BYTES - 1 - len, fmt, ap);
	va_end(ap);
	len = MIN(len + (size_t)text, (size_t)LINE_BYTES - 2);
	line[len++] = '\n';
	line[len] = 0;
	if (level > log_level)
		return;
	for (struct log_sink *s = atomic_load(&sinks); s; s = s->next)
		s->write(line, len);
}

void log_replay(unsigned max, void (*emit)(const char *line))
{
	unsigned end = atomic_load(&next_line);
	unsigned n = MIN(MIN(end, max), (unsigned)LINES);

	for (unsigned i = end - n; i != end; i++)
		emit(ring[i % LINES]);
}
