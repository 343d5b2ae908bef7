/*
 * kernel/core/main.h - the order in which the machine comes up.
 */
#ifndef IBRIK_CORE_MAIN_H
#define IBRIK_CORE_MAIN_H

_Noreturn void kernel_main(void);
/* The boot CPU's first thread: drivers, file systems, the application. */
void kernel_init_thread(void *arg);

#endif
