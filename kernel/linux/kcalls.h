/*
 * kernel/linux/kcalls.h - numbers of handlers that Linux does not have, for assembly and C.
 *
 * They stand in the one table (syscalls.def) from 400 on: Linux has said that it will never use 387 to 423 on x86-64.
 */
#ifndef IBRIK_LINUX_KCALLS_H
#define IBRIK_LINUX_KCALLS_H

#define KCALL_RELEASE 400

#endif
