/*
 * kernel/linux/pipe.h - pipes, as fcntl and other rooms see them.
 */
#ifndef IBRIK_LINUX_PIPE_H
#define IBRIK_LINUX_PIPE_H

#include "lib/types.h"

struct file;

/* The two ends of a new pipe, each with one reference; flags may hold O_NONBLOCK. 0 or -errno. */
int pipe_new(unsigned flags, struct file **read_end, struct file **write_end);
/* F_GETPIPE_SZ and F_SETPIPE_SZ; -EBADF if the file is no pipe. */
long pipe_get_size(struct file *f);
long pipe_set_size(struct file *f, unsigned long bytes);

#endif
