/*
 * jvm/launcher.h - from the image's settings to running programs, and to the end of the machine.
 */
#ifndef IBRIK_JVM_LAUNCHER_H
#define IBRIK_JVM_LAUNCHER_H

/* Runs what the settings say, reports the status and ends the machine. Never returns. */
_Noreturn void launcher_run(void);

#endif
