/*
 * kernel/linux/syscall_table.c - the dispatch table, made from linux/syscalls.def.
 *
 * Interface: syscall_table[nr], NULL where a number is absent.
 */
#include "linux/syscall.h"
#include "linux/dispatch.h"

#define ENTRY_FULL(nr, name) [nr] = (syscall_fn *)(void *)sys_##name,
#define ENTRY_PARTIAL(nr, name) ENTRY_FULL(nr, name)
#define ENTRY_ABSENT(nr, name)

#define SYSCALL(nr, name, status, note, nargs, ...) ENTRY_##status(nr, name)
syscall_fn *const syscall_table[SYSCALL_LIMIT] = {
#include "linux/syscalls.def"
};
#undef SYSCALL
