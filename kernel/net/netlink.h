/*
 * kernel/net/netlink.h - AF_NETLINK sockets.
 */
#ifndef IBRIK_NET_NETLINK_H
#define IBRIK_NET_NETLINK_H

extern const struct socket_family netlink_family;

#endif
