/*
 * kernel/linux/dispatch.h - from the entry stub to a handler.
 */
#ifndef IBRIK_LINUX_DISPATCH_H
#define IBRIK_LINUX_DISPATCH_H

#include "lib/types.h"

#define SYSCALL_LIMIT 512

struct regs;
/* Every handler takes at most six words and answers one; see linux/syscall.h. */
typedef long syscall_fn(long, long, long, long, long, long);
extern syscall_fn *const syscall_table[SYSCALL_LIMIT];

/* Called by the `syscall` entry with the application's frame; sets regs->rax. */
void syscall_dispatch(struct regs *regs);
/* Called before every return to the application with work pending; interrupts on. May switch: look for work again. */
void exit_work(struct regs *regs, bool from_syscall);

#endif
