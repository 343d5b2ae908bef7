/*
 * tests/unit/shim/current.h - the CPU of host programs that are made of kernel files: each defines what it needs of these.
 */
#ifndef TESTS_UNIT_SHIM_CURRENT_H
#define TESTS_UNIT_SHIM_CURRENT_H

struct thread *thread_current(void);
void preempt_disable(void);
void preempt_enable(void);
unsigned cpu_id(void);

#endif
