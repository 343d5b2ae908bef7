/*
 * kernel/net/inet.h - AF_INET and AF_INET6 sockets.
 */
#ifndef IBRIK_NET_INET_H
#define IBRIK_NET_INET_H

/* Registers both families. Once, at boot, after lwip_init(). */
void inet_init(void);

#endif
