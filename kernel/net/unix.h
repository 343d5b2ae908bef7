/*
 * kernel/net/unix.h - AF_UNIX sockets.
 */
#ifndef IBRIK_NET_UNIX_H
#define IBRIK_NET_UNIX_H

#include "net/socket.h"

extern const struct socket_family unix_family;

#endif
