/*
 * kernel/linux/flock.h - file locks and seals, for fcntl.c.
 */
#ifndef IBRIK_LINUX_FLOCK_H
#define IBRIK_LINUX_FLOCK_H

#include "lib/types.h"

struct file;

/* F_GETLK, F_SETLK, F_SETLKW and their F_OFD_ forms. f is the caller's reference to what fd was; -EBADF if it is closed when a lock has come. */
long flock_fcntl(int fd, struct file *f, int cmd, unsigned long arg);
/* F_ADD_SEALS, F_GET_SEALS (memfd.c). */
long memfd_seals(struct file *f, int cmd, unsigned long arg);

#endif
