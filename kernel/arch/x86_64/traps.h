/*
 * kernel/arch/x86_64/traps.h - between traps.S, the interrupt dispatcher and the panic path.
 */
#ifndef IBRIK_ARCH_TRAPS_H
#define IBRIK_ARCH_TRAPS_H

#include "lib/types.h"

struct regs;

void trap_handler(struct regs *r);
_Noreturn void trap_stack_overflow(struct regs *r);
void irq_dispatch(unsigned vector);
/* Stops this CPU if another one panics. */
void panic_nmi(struct regs *r);

#endif
