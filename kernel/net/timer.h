/*
 * kernel/net/timer.h - lwIP's timers but TCP's. Core lock held.
 *
 * lwIP's sys_timeout() and sys_untimeout() (lwip/timeouts.h) are there for this kernel's own use, too.
 */
#ifndef IBRIK_NET_TIMER_H
#define IBRIK_NET_TIMER_H

#include "lib/types.h"

/* A frame came or went, or ought to have gone: something may wait for a timer now. */
void net_timers_look(uint64_t now_ns);
/* Runs what is due. From the network thread. */
void net_timers_run(uint64_t now_ns);
/* When net_timers_run() has something to do next; DEADLINE_NEVER. */
uint64_t net_timers_due_ns(void);

#endif
