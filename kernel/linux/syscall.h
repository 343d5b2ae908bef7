/*
 * kernel/linux/syscall.h - the system-call table and its handlers.
 *
 * Every call is described once, in linux/syscalls.def:
 *
 *   SYSCALL(number, name, STATUS, "what is missing or why", nargs, T1, n1, F1, T2, n2, F2, ...)
 *
 * STATUS is FULL, PARTIAL or ABSENT (answers ENOSYS by decision). T is the C type of the handler's
 * parameter, n its name, F how the tracer prints it (INT, HEX, FD, PTR, STR, BUF, SIZE, FLAGS ...). The
 * list makes the prototypes below, the dispatch table, the tracer and docs/abi.md (tools: `make abi`).
 *
 * A handler is `long sys_NAME(T1 n1, ...)`: it answers the result or -errno, runs in thread context with
 * interrupts on, may sleep, and reaches application memory only by core/uaccess.h. A call that was
 * interrupted by a signal before it did anything answers -ERESTARTSYS (restarted if SA_RESTART),
 * -ERESTARTNOHAND (only if no handler ran) or -EINTR, as Linux does for that call. Application registers,
 * for the few that need them, are at current->regs.
 */
#ifndef IBRIK_LINUX_SYSCALL_H
#define IBRIK_LINUX_SYSCALL_H

#include "lib/types.h"

#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

#define SYS_P0(...) void
#define SYS_P1(t, n, f) t n
#define SYS_P2(t, n, f, ...) t n, SYS_P1(__VA_ARGS__)
#define SYS_P3(t, n, f, ...) t n, SYS_P2(__VA_ARGS__)
#define SYS_P4(t, n, f, ...) t n, SYS_P3(__VA_ARGS__)
#define SYS_P5(t, n, f, ...) t n, SYS_P4(__VA_ARGS__)
#define SYS_P6(t, n, f, ...) t n, SYS_P5(__VA_ARGS__)
#define SYS_PARAMS(count, ...) SYS_P##count(__VA_ARGS__)

#define SYSCALL_FULL(nr, name, note, nargs, ...) long sys_##name(SYS_PARAMS(nargs, ##__VA_ARGS__));
#define SYSCALL_PARTIAL(nr, name, note, nargs, ...) long sys_##name(SYS_PARAMS(nargs, ##__VA_ARGS__));
#define SYSCALL_ABSENT(nr, name, note, nargs, ...)
#define SYSCALL(nr, name, status, note, nargs, ...) \
	SYSCALL_##status(nr, name, note, nargs, ##__VA_ARGS__)
#include "linux/syscalls.def"
#undef SYSCALL

#endif
