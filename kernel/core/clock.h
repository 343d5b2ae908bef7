/*
 * kernel/core/clock.h - time.
 *
 * clock_monotonic_ns() counts from kernel entry, never goes back on any CPU, and may be called in
 * every context. clock_realtime_ns() is the time since 1970 (RTC or pvclock at boot, plus what
 * clock_settime says). Deadlines in the kernel are always monotonic nanoseconds.
 */
#ifndef IBRIK_CORE_CLOCK_H
#define IBRIK_CORE_CLOCK_H

#include "lib/types.h"

#define NSEC_PER_SEC 1000000000ull

uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_ns(void);
/* realtime = monotonic + offset */
int64_t clock_realtime_offset_ns(void);
void clock_set_realtime(uint64_t ns_since_1970);
/* TSC value at a monotonic time (timer hardware), UINT64_MAX if it has no such value; and the TSC's rate. */
uint64_t clock_ns_to_tsc(uint64_t ns);
uint64_t clock_tsc_hz(void);
struct vdso_data;
/* For vdso_monotonic_ns() (vdso/data.h), where a call counts. */
extern struct vdso_data *clock_data;
/* Moves the numbers behind the time to a zeroed page that programs can read (vdso/data.h) and keeps them there. Once, while
 * one CPU runs and before clock_init_late(). */
void clock_share(struct vdso_data *page);
/* Busy delay for hardware bring-up; at most a few hundred microseconds. */
void delay_us(unsigned us);

#endif
