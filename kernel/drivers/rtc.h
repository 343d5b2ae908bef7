/*
 * kernel/drivers/rtc.h - the battery-backed clock of a PC.
 */
#ifndef IBRIK_DRIVERS_RTC_H
#define IBRIK_DRIVERS_RTC_H

#include "lib/types.h"

/*
 * Seconds since 1970 (the clock is taken to run in UTC), or 0 if there is none or its answer makes
 * no sense. Early boot, one CPU; needs neither memory nor interrupts.
 */
uint64_t rtc_read_seconds(void);

#endif
