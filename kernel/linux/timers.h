/*
 * kernel/linux/timers.h - timers of a process, as the process and signal rooms see them.
 */
#ifndef IBRIK_LINUX_TIMERS_H
#define IBRIK_LINUX_TIMERS_H

#include "lib/types.h"
#include <asm/siginfo.h>

struct process;

/* Stops and frees every timer of the process: at its end and in execve. Holds nothing. */
void timers_free(struct process *p);
/* A signal that a timer sent (si_code SI_TIMER) was taken from the queue: fills in the overrun count. May
 * be called under the lock of the process's signals. */
void timer_signal_taken(struct process *p, siginfo_t *info);

/* Clocks that timers can run on (the CPU-time clocks cannot). */
bool timer_clock_known(int clock);
/* The monotonic deadline of a time of that clock, absolute or from now. */
uint64_t timer_deadline(int clock, bool absolute, uint64_t ns);

#endif
