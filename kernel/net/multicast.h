/*
 * kernel/net/multicast.h - groups that sockets have joined, and from which sources they want to hear. Core lock held for all.
 */
#ifndef IBRIK_NET_MULTICAST_H
#define IBRIK_NET_MULTICAST_H

#include "net/inet_private.h"

/* IP_ADD_MEMBERSHIP ... MCAST_LEAVE_SOURCE_GROUP, of both levels. -ENOPROTOOPT: it is no such option. */
int multicast_setopt(struct inet_sock *i, int level, int name, const void *value, unsigned len);
/* Does the socket want what `source` sends to the group through that interface? */
bool multicast_wanted(const struct inet_sock *i, const ip_addr_t *group, const ip_addr_t *source, unsigned ifindex);
/* Has anybody here joined the group on the interface? */
bool multicast_joined(const ip_addr_t *group, struct netif *n);
/* The socket goes. */
void multicast_leave_all(struct inet_sock *i);

#endif
