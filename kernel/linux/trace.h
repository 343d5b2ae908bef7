/*
 * kernel/linux/trace.h - the system-call tracer (kernel option trace=syscalls[:PID]).
 */
#ifndef IBRIK_LINUX_TRACE_H
#define IBRIK_LINUX_TRACE_H

#include "lib/types.h"
#include "linux/dispatch.h"

struct regs;
extern bool trace_syscalls;

void trace_init(void);
/* Calls fn with the call's arguments and logs a line with arguments, result and thread. */
long trace_call(struct regs *r, syscall_fn *fn);
/* A number without a handler: one log line for each number, the first time. */
void trace_unknown(uint64_t nr);
/* Name of a call, or NULL. */
const char *syscall_name(unsigned nr);

#endif
