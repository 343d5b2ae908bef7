/*
 * kernel/linux/socket_private.h - what the files of the socket calls share.
 */
#ifndef IBRIK_LINUX_SOCKET_PRIVATE_H
#define IBRIK_LINUX_SOCKET_PRIVATE_H

#include "net/socket.h"

/* The socket of a descriptor; *f is referenced. Or an encoded error. */
struct socket *socket_get(int fd, struct file **f);
ssize_t socket_receive(struct file *f, struct socket *s, struct socket_msg *m, int flags);
/* -EINVAL if it is too long, -EFAULT. */
int socket_addr_get_user(struct socket_addr *a, uaddr_t user, unsigned len);
/* Writes as much as there is room for, and the real length: value-result as in accept(2). */
int socket_addr_put_user(const struct socket_addr *a, uaddr_t user, uaddr_t user_len);

#endif
