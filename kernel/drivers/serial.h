/*
 * kernel/drivers/serial.h - the first serial port as the earliest log console.
 */
#ifndef IBRIK_DRIVERS_SERIAL_H
#define IBRIK_DRIVERS_SERIAL_H

#include "lib/types.h"

/*
 * COM1 as a log sink. Needs no memory, interrupts or threads: called first thing at boot, so that
 * the earliest log line and a panic are seen.
 */
void serial_early_init(void);
/* Polls the transmitter, bounded; any context. */
void serial_write(const char *text, size_t len);

#endif
