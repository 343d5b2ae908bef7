/*
 * kernel/drivers/console.h - what the console drivers share (the door for others is device.h).
 */
#ifndef IBRIK_DRIVERS_CONSOLE_H
#define IBRIK_DRIVERS_CONSOLE_H

#include "drivers/device.h"
#include "drivers/serial.h"

/* From now on the screen gets what the port gets. */
void serial_use_vga(void);

/* The VGA text screen: true if there is one. vga_write may be called in any context after it. */
bool vga_init(void);
void vga_write(const char *text, size_t len);

/* After the scan: without a virtio console the screen shows log and output. */
void console_ready(void);

#endif
