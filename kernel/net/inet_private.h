/*
 * kernel/net/inet_private.h - sockets on IP, shared by inet*.c, multicast.c, unreach.c and the files of TCP and UDP.
 *
 * Locks: the core lock (net.h) guards lwIP's control blocks and the table of ports, the socket's own `lock` what the application
 * sees of the socket: its state, its names, what has been received, and the wait queues. Core lock first.
 */
#ifndef IBRIK_NET_INET_PRIVATE_H
#define IBRIK_NET_INET_PRIVATE_H

#include "net/inet.h"
#include "net/memory.h"
#include "net/net.h"
#include "net/socket.h"
#include "lib/list.h"
#include <linux/eventpoll.h>
#include "lwip/ip.h"
#include "lwip/ip_addr.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"

#define EVENTS_IN (EPOLLIN | EPOLLRDNORM)
#define EVENTS_OUT (EPOLLOUT | EPOLLWRNORM)

/* lwIP's address and a port in host order: one end of a connection. */
struct inet_end {
	ip_addr_t ip;
	uint16_t port;
};

/* What a socket wants to be told by control messages (inet_control.c), and whether errors are kept for it (MSG_ERRQUEUE). */
enum {
	WANT_PKTINFO = 1, WANT_TTL = 2, WANT_TOS = 4, WANT_ERRORS = 8,
	WANT_PKTINFO6 = 0x10, WANT_HOPS = 0x20, WANT_TCLASS = 0x40, WANT_ERRORS6 = 0x80,
};

/* What one kind of addresses knows of options. Written under the core lock. */
struct inet_ip_options {
	int16_t ttl;             /* -1: the default */
	uint8_t tos;
	uint8_t mtu_discover;    /* IP_PMTUDISC_* */
	uint8_t multicast_ttl;
	uint8_t multicast_if;    /* interface's index, 0: by the route */
	bool multicast_loop;
	bool multicast_all;      /* datagrams to groups that others have joined, too */
	bool freebind;
};

struct inet_sock {
	struct socket base;
	struct mutex lock;
	_Atomic unsigned refs;
	struct waitq readers;    /* and all who poll */
	struct waitq writers;
	struct inet_end local, remote; /* port 0: not bound, not connected */
	bool v6only;
	bool rx_shut, tx_shut;   /* by shutdown() */
	_Atomic unsigned wants;  /* WANT_* */
	/* core lock */
	struct list port_link;   /* in the table of ports, if it has one */
	bool port_drawn;         /* nobody asked for that port */
	struct inet_ip_options v4, v6; /* an AF_INET6 socket has both */
	uint32_t multicast_addr; /* source of IPv4 datagrams to groups, as IP_MULTICAST_IF gave it */
	uint8_t device;          /* SO_BINDTODEVICE: the interface's index, 0: any */
	struct list memberships; /* multicast.h */
};

static inline struct inet_sock *inet_of(struct socket *s) { return container_of(s, struct inet_sock, base); }
static inline bool inet_is_tcp(const struct inet_sock *i) { return i->base.type == SOCK_STREAM; }

/* --- inet.c ---------------------------------------------------------------------------------------------- */
void inet_sock_init(struct inet_sock *i, const struct socket_ops *ops, int domain, int type, int protocol);
static inline void inet_get(struct inet_sock *i) { atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed); }
/* True if that was the last reference: the caller frees. */
static inline bool inet_put(struct inet_sock *i) { return atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) == 1; }

/* An address of the application as lwIP's; an IPv4 address in IPv6 form becomes IPv4. 0, -EINVAL, -EAFNOSUPPORT. */
int inet_end_parse(const struct inet_sock *i, const struct socket_addr *a, struct inet_end *end);
/* The same for bind(), where an IPv4 name of any address may lack its family. */
int inet_bind_parse(const struct inet_sock *i, const struct socket_addr *a, struct inet_end *end);
/* What a struct sockaddr_in says, whatever its family; it is whole. */
void inet_end_v4(const struct socket_addr *a, struct inet_end *end);
/* And back, in the socket's family. */
void inet_end_format(const struct inet_sock *i, const struct inet_end *end, struct socket_addr *a);
/* The type of lwIP's control block for a socket that may meet both kinds of addresses. */
uint8_t inet_ip_type(const struct inet_sock *i);
/* Is the address one of this machine's, or unspecified? Core lock held. */
bool inet_is_local(const ip_addr_t *ip);
/* Is it an IPv4 address of all on one of this machine's networks? Core lock held. */
bool inet_is_broadcast(const ip_addr_t *ip);
/* The address from which a packet to that address would come, or NULL: there is no way. Core lock held. */
const ip_addr_t *inet_source(const ip_addr_t *bound_to, const ip_addr_t *to);
/* Is there a router for it, if it is not next to this machine? Core lock held. */
bool inet_has_way(const ip_addr_t *from, const ip_addr_t *to);
/* The unspecified address and port, in the socket's family. */
struct inet_end inet_unspecified(const struct inet_sock *i);
/* As on Linux, a packet to the unspecified address is for this machine. */
void inet_to_here(ip_addr_t *ip);
/* A local address as lwIP's bind wants it: the unspecified IPv6 address takes both kinds, unless the socket does not want to. */
ip_addr_t inet_bind_ip(const struct inet_sock *i, const ip_addr_t *ip);
/* Reserves the port, or a free one if it is 0, for local address ip. 0, -EADDRINUSE. Core lock held. */
int inet_port_take(struct inet_sock *i, const ip_addr_t *ip, uint16_t *port);
/* The port that it has was nobody's wish: who looks for such a port may have it when it is free again. Core lock held. */
void inet_port_drawn(struct inet_sock *i);
/* May the socket, which has its port, listen? Core lock held. */
bool inet_port_free_to_listen(const struct inet_sock *i);
void inet_port_release(struct inet_sock *i); /* core lock held; nothing if it has none */
/* Puts a connection that came in beside its listener. Core lock held. */
void inet_port_share(struct inet_sock *i, uint16_t port);
/* Calls visit for every socket of TCP or UDP that has a port. Core lock held. */
void inet_port_each(bool tcp, void (*visit)(struct inet_sock *i, void *arg), void *arg);
int inet_getname(struct socket *s, struct socket_addr *addr, enum socket_whose whose);
/* lwIP's error as -errno. */
int inet_error(err_t e);

/* The interface with that index (if_nametoindex), or NULL. Core lock held. */
static inline struct netif *inet_interface(unsigned ifindex)
{
	return ifindex && ifindex <= UINT8_MAX ? netif_get_by_index((u8_t)ifindex) : NULL;
}
static inline bool inet_wants(const struct inet_sock *i, unsigned what)
{
	return atomic_load_explicit(&i->wants, memory_order_relaxed) & what;
}

/* --- inet_option.c ------------------------------------------------------------------------------------------ */
int inet_setopt(struct socket *s, int level, int name, const void *value, unsigned len);
int inet_getopt(struct socket *s, int level, int name, void *value, unsigned *len);

/* --- inet_tcp.c, tcp_option.c, inet_udp.c --------------------------------------------------------------------------------- */
struct socket *tcp_create(int domain, int protocol);
struct socket *udp_create(int domain, int protocol);
/* TCP's own options; core lock held, len is at least 4. -ENOPROTOOPT. */
int tcp_setopt(struct inet_sock *i, int level, int name, int value);
int tcp_getopt(struct inet_sock *i, int level, int name, void *value, unsigned *len);
/* Bytes that wait in a UDP socket, and the datagrams for which it had no room. Takes its lock. */
void udp_sock_figures(struct inet_sock *i, size_t *waiting, uint64_t *dropped);
/* Does the connection stand? lock held. */
bool tcp_has_peer(const struct inet_sock *i);
/* Applies what the options of IP say to the control block; core lock held. */
void tcp_ip_options(struct inet_sock *i);

/* --- what went wrong on the way: unreach.c tells, inet_tcp.c and udp_receive.c look for the socket ------------- */
struct inet_unreach {
	struct inet_end from, to;   /* of the packet that did not arrive; from is ours */
	ip_addr_t offender;         /* who says so */
	uint32_t seq;               /* TCP */
	int error;                  /* positive errno */
	bool hard;                  /* trying again is of no use */
	uint8_t origin, type, code; /* SO_EE_ORIGIN_*, and as in the ICMP message */
	uint32_t info;              /* MTU, pointer */
	unsigned size;              /* of the packet, as it says itself */
	const uint8_t *data;        /* what of the datagram behind the UDP header was sent back */
	unsigned len;
};
/* Core lock held. */
void tcp_unreachable(const struct inet_unreach *u);
void udp_unreachable(const struct inet_unreach *u);

#endif
