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
/* The signal of a POSIX timer was taken from its queue: fills in the overrun count and sets the timer again. signal_lock() held. */
struct posix_timer;
void timer_signal_taken(struct posix_timer *pt, siginfo_t *info);
/* A SIGALRM to the process was taken: sets its interval timer again if that has expired. signal_lock() held. */
void itimer_signal_taken(struct process *p);
/* sig is no longer ignored: POSIX timers that have expired meanwhile send it. signal_lock() held. */
void timers_wanted(struct process *p, int sig);

/* Clocks that timers can run on (the CPU-time clocks cannot). */
bool timer_clock_known(int clock);
/* The monotonic deadline of a time of that clock, absolute or from now. */
uint64_t timer_deadline(int clock, bool absolute, uint64_t ns);

#endif
