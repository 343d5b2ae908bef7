/*
 * kernel/linux/version.h - which Linux we say we are (uname, /proc/version).
 */
#ifndef IBRIK_LINUX_VERSION_H
#define IBRIK_LINUX_VERSION_H

#define LINUX_RELEASE "6.1.0-ibrik"
#define LINUX_VERSION "#1 SMP ibrik"

#endif
