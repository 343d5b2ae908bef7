/*
 * kernel/linux/machine.h - the control channel to `ibrik run`, and the ways the machine ends.
 */
#ifndef IBRIK_LINUX_MACHINE_H
#define IBRIK_LINUX_MACHINE_H

#include "lib/types.h"

struct process;

/* Opens the control channel (if the machine has one) and listens to the power button. */
void machine_control_start(void);
/* Sends one line (without the newline) to the host; nothing if there is no channel. */
void machine_control_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The process that gets signals from outside. */
void machine_set_application(struct process *p);
/* Rows and columns if the host's streams are a terminal; false otherwise. */
bool machine_terminal_size(unsigned *rows, unsigned *columns);

#endif
