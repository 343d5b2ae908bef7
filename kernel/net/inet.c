/*
 * kernel/net/inet.c - what TCP and UDP sockets have in common: life, names, ports.
 *
 * Theory:    a port belongs to sockets, not to lwIP's control blocks: which of them may share one is decided here as Linux does it, and
 *            lwIP is told that all may. Two sockets of a protocol on one port, with addresses that overlap, need SO_REUSEPORT of both,
 *            or SO_REUSEADDR of both while neither listens; for UDP SO_REUSEADDR of both is enough. Ports that nobody asked for
 *            are drawn at random (RFC 6056, section 3.3.1).
 * Interface: inet_init(), and inet_private.h.
 * Locking:   inet_private.h. The table of ports is guarded by the core lock.
 * Errors:    Linux's.
 */
#include "net/inet_private.h"
#include "net/netlink.h"
#include "net/device.h"
#include "net/udp_private.h"
#include "net/unreach.h"
#include "core/random.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>
#include "lwip/ip6_addr.h"

#define PORT_BUCKETS 2048
/* net.ipv4.ip_local_port_range */
#define PORT_FIRST 32768
#define PORT_LAST 60999
#define PORT_DRAWS 64

static struct list ports[2][PORT_BUCKETS]; /* by protocol: TCP, UDP */
static unsigned ports_drawn[2];            /* how many sockets have a port that nobody asked for */

void inet_sock_init(struct inet_sock *i, const struct socket_ops *ops, int domain, int type, int protocol)
{
	socket_init(&i->base, ops, domain, type, protocol);
	mutex_init(&i->lock, "inet socket");
	atomic_store_explicit(&i->refs, 1, memory_order_relaxed);
	waitq_init(&i->readers);
	waitq_init(&i->writers);
	list_init(&i->port_link);
	ip_addr_set_any(domain == AF_INET6, &i->local.ip);
	ip_addr_set_any(domain == AF_INET6, &i->remote.ip);
	list_init(&i->memberships);
	i->v4 = (struct inet_ip_options){ .ttl = -1, .mtu_discover = IP_PMTUDISC_WANT, .multicast_ttl = 1, .multicast_loop = true,
					  .multicast_all = true };
	i->v6 = i->v4;
	i->v4.multicast_all = domain == AF_INET; /* Linux forgets it for the other kind */
}

int inet_error(err_t e)
{
	switch (e) {
	case ERR_OK: return 0;
	case ERR_MEM:
	case ERR_BUF: return -ENOBUFS;
	case ERR_TIMEOUT: return -ETIMEDOUT;
	case ERR_RTE: return -ENETUNREACH;
	case ERR_INPROGRESS: return -EINPROGRESS;
	case ERR_VAL:
	case ERR_ARG: return -EINVAL;
	case ERR_WOULDBLOCK: return -EAGAIN;
	case ERR_USE: return -EADDRINUSE;
	case ERR_ALREADY: return -EALREADY;
	case ERR_ISCONN: return -EISCONN;
	case ERR_CONN: return -ENOTCONN;
	case ERR_ABRT: return -ECONNABORTED;
	case ERR_RST: return -ECONNRESET;
	case ERR_CLSD: return -EPIPE;
	}
	return -EIO;
}

/* --- names ------------------------------------------------------------------------------------------------- */

uint8_t inet_ip_type(const struct inet_sock *i)
{
	if (i->base.domain == AF_INET)
		return IPADDR_TYPE_V4;
	return i->v6only ? IPADDR_TYPE_V6 : IPADDR_TYPE_ANY;
}

void inet_end_v4(const struct socket_addr *a, struct inet_end *end)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a->bytes;

	end->port = lwip_ntohs(v4->sin_port);
	ip_addr_set_ip4_u32(&end->ip, v4->sin_addr.s_addr);
}

int inet_end_parse(const struct inet_sock *i, const struct socket_addr *a, struct inet_end *end)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a->bytes;

	if (i->base.domain == AF_INET) {
		if (a->len < sizeof(struct sockaddr_in))
			return -EINVAL;
		if (a->family != AF_INET)
			return -EAFNOSUPPORT;
		inet_end_v4(a, end);
		return 0;
	}
	if (a->len < offsetof(struct sockaddr_in6, sin6_scope_id))
		return -EINVAL;
	if (a->family != AF_INET6)
		return -EAFNOSUPPORT;
	end->port = lwip_ntohs(v6->sin6_port);
	memcpy(ip_2_ip6(&end->ip)->addr, &v6->sin6_addr, sizeof(v6->sin6_addr));
	IP_SET_TYPE_VAL(end->ip, IPADDR_TYPE_V6);
	ip6_addr_clear_zone(ip_2_ip6(&end->ip));
	if (ip6_addr_isipv4mappedipv6(ip_2_ip6(&end->ip))) {
		if (i->v6only)
			return -ENETUNREACH;
		unmap_ipv4_mapped_ipv6(ip_2_ip4(&end->ip), ip_2_ip6(&end->ip));
		IP_SET_TYPE_VAL(end->ip, IPADDR_TYPE_V4);
	} else if (a->len >= sizeof(*v6) && v6->sin6_scope_id && ip6_addr_has_scope(ip_2_ip6(&end->ip), IP6_UNKNOWN)) {
		ip6_addr_set_zone(ip_2_ip6(&end->ip), (uint8_t)v6->sin6_scope_id);
	}
	return 0;
}

int inet_bind_parse(const struct inet_sock *i, const struct socket_addr *a, struct inet_end *end)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a->bytes;

	/* Programs that clear a name and leave it so mean any address. */
	if (i->base.domain == AF_INET && a->len >= sizeof(*v4) && a->family == AF_UNSPEC && !v4->sin_addr.s_addr) {
		inet_end_v4(a, end);
		return 0;
	}
	return inet_end_parse(i, a, end);
}

void inet_end_format(const struct inet_sock *i, const struct inet_end *end, struct socket_addr *a)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a->bytes;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a->bytes;

	memset(a->bytes, 0, sizeof(*v6));
	if (i->base.domain == AF_INET) {
		a->len = sizeof(*v4);
		v4->sin_family = AF_INET;
		v4->sin_port = lwip_htons(end->port);
		if (IP_IS_V4(&end->ip))
			v4->sin_addr.s_addr = ip_2_ip4(&end->ip)->addr;
		return;
	}
	a->len = sizeof(*v6);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = lwip_htons(end->port);
	if (IP_IS_V6_VAL(end->ip)) {
		memcpy(&v6->sin6_addr, ip_2_ip6(&end->ip)->addr, sizeof(v6->sin6_addr));
		if (ip6_addr_has_zone(ip_2_ip6(&end->ip)))
			v6->sin6_scope_id = ip6_addr_zone(ip_2_ip6(&end->ip));
	} else if (IP_IS_V4_VAL(end->ip)) {
		v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
		memcpy(&v6->sin6_addr.s6_addr[12], &ip_2_ip4(&end->ip)->addr, 4);
	}
}

int inet_getname(struct socket *s, struct socket_addr *addr, enum socket_whose whose)
{
	struct inet_sock *i = inet_of(s);
	int r = 0;

	mutex_lock(&i->lock);
	if (whose != SOCKET_OWN && (!i->remote.port || (whose == SOCKET_PEER && inet_is_tcp(i) && !tcp_has_peer(i))))
		r = -ENOTCONN;
	else
		inet_end_format(i, whose == SOCKET_OWN ? &i->local : &i->remote, addr);
	mutex_unlock(&i->lock);
	return r;
}

bool inet_is_local(const ip_addr_t *ip)
{
	struct netif *n;

	if (ip_addr_isany(ip) || ip_addr_isloopback(ip))
		return true;
	NETIF_FOREACH(n) {
		if (IP_IS_V4(ip) ? ip4_addr_eq(netif_ip4_addr(n), ip_2_ip4(ip)) : net_has_ip6(n, ip_2_ip6(ip)))
			return true;
	}
	return false;
}

bool inet_is_broadcast(const ip_addr_t *ip)
{
	struct netif *n;

	if (!IP_IS_V4(ip))
		return false;
	NETIF_FOREACH(n)
		if (net_device_of(n) && ip4_addr_isbroadcast(ip_2_ip4(ip), n))
			return true;
	return ip_2_ip4(ip)->addr == IPADDR_BROADCAST;
}

struct inet_end inet_unspecified(const struct inet_sock *i)
{
	struct inet_end end = { .port = 0 };

	ip_addr_set_any(i->base.domain == AF_INET6, &end.ip);
	return end;
}

void inet_to_here(ip_addr_t *ip)
{
	if (ip_addr_isany(ip))
		ip_addr_set_loopback(IP_IS_V6_VAL(*ip), ip);
}

ip_addr_t inet_bind_ip(const struct inet_sock *i, const ip_addr_t *ip)
{
	return inet_ip_type(i) == IPADDR_TYPE_ANY && IP_IS_V6_VAL(*ip) && ip_addr_isany(ip) ? *IP_ANY_TYPE : *ip;
}

const ip_addr_t *inet_source(const ip_addr_t *bound_to, const ip_addr_t *to)
{
	const ip_addr_t *from;
	struct netif *n;

	if (!ip_addr_isany(bound_to))
		return bound_to;
	ip_route_get_local_ip(bound_to, to, n, from);
	return n ? from : NULL;
}

bool inet_has_way(const ip_addr_t *from, const ip_addr_t *to)
{
	struct netif *n = ip_route(from, to);

	if (!n || IP_IS_V6(to))
		return n;
	return inet_is_local(to) || ip4_addr_net_eq(ip_2_ip4(to), netif_ip4_addr(n), netif_ip4_netmask(n)) ||
	       !ip4_addr_isany(netif_ip4_gw(n));
}

/* --- ports --------------------------------------------------------------------------------------------------- */

static struct list *bucket(const struct inet_sock *i, uint16_t port)
{
	return &ports[!inet_is_tcp(i)][port % PORT_BUCKETS];
}

/* Could one packet be meant for both? */
static bool overlap(const struct inet_sock *a, const ip_addr_t *ip, const struct inet_sock *b)
{
	bool any_a = ip_addr_isany(ip), any_b = ip_addr_isany(&b->local.ip);
	bool six_a = IP_IS_V6_VAL(*ip), six_b = IP_IS_V6_VAL(b->local.ip);

	if (six_a == six_b)
		return any_a || any_b || ip_addr_eq(ip, &b->local.ip);
	/* Only the unspecified IPv6 address of a socket that takes both kinds reaches over. */
	return six_a ? any_a && !a->v6only : any_b && !b->v6only;
}

static bool conflict(const struct inet_sock *a, const ip_addr_t *ip, const struct inet_sock *b)
{
	bool reuse;

	if (!overlap(a, ip, b))
		return false;
	if (socket_option_on(&a->base, SO_REUSEPORT) && socket_option_on(&b->base, SO_REUSEPORT))
		return false;
	reuse = socket_option_on(&a->base, SO_REUSEADDR) && socket_option_on(&b->base, SO_REUSEADDR);
	return !reuse || (inet_is_tcp(a) && b->base.listening);
}

static bool port_free(const struct inet_sock *i, const ip_addr_t *ip, uint16_t port)
{
	struct inet_sock *other;

	list_for_each(other, bucket(i, port), port_link)
		if (other->local.port == port && other != i && conflict(i, ip, other))
			return false;
	return true;
}

/* A port that no socket has. 0: all are taken. */
static uint16_t port_draw(const struct inet_sock *i)
{
	const unsigned n = PORT_LAST - PORT_FIRST + 1;
	uint16_t first = 0;

	if (ports_drawn[!inet_is_tcp(i)] >= n)
		return 0;
	for (unsigned draw = 0; draw < PORT_DRAWS + n; draw++) {
		uint16_t port = draw < PORT_DRAWS ? (uint16_t)(PORT_FIRST + random_u64() % n) :
						    (uint16_t)(PORT_FIRST + (first - PORT_FIRST + draw) % n);
		struct inet_sock *other;
		bool taken = false;

		if (draw == 0)
			first = port;
		list_for_each(other, bucket(i, port), port_link)
			taken |= other->local.port == port;
		if (!taken)
			return port;
	}
	return 0;
}

int inet_port_take(struct inet_sock *i, const ip_addr_t *ip, uint16_t *port)
{
	bool draw = !*port;

	if (draw)
		*port = port_draw(i);
	if (!*port || !port_free(i, ip, *port))
		return -EADDRINUSE;
	list_push_back(bucket(i, *port), &i->port_link);
	if (draw)
		inet_port_drawn(i);
	return 0;
}

void inet_port_drawn(struct inet_sock *i)
{
	i->port_drawn = true;
	ports_drawn[!inet_is_tcp(i)]++;
}

bool inet_port_free_to_listen(const struct inet_sock *i) { return port_free(i, &i->local.ip, i->local.port); }

void inet_port_release(struct inet_sock *i)
{
	list_del(&i->port_link);
	ports_drawn[!inet_is_tcp(i)] -= i->port_drawn;
	i->port_drawn = false;
}

void inet_port_share(struct inet_sock *i, uint16_t port)
{
	list_push_back(bucket(i, port), &i->port_link);
}

void inet_port_each(bool tcp, void (*visit)(struct inet_sock *i, void *arg), void *arg)
{
	struct inet_sock *i;

	for (unsigned b = 0; b < PORT_BUCKETS; b++)
		list_for_each(i, &ports[!tcp][b], port_link)
			visit(i, arg);
}

/* --- families --------------------------------------------------------------------------------------------------- */

static struct socket *create(int domain, int type, int protocol)
{
	if (type == SOCK_STREAM)
		return protocol && protocol != IPPROTO_TCP ? ERR_PTR(-EPROTONOSUPPORT) : tcp_create(domain, IPPROTO_TCP);
	if (type == SOCK_DGRAM)
		return protocol && protocol != IPPROTO_UDP ? ERR_PTR(-EPROTONOSUPPORT) : udp_create(domain, IPPROTO_UDP);
	return ERR_PTR(type == SOCK_RAW ? -EPROTONOSUPPORT : -ESOCKTNOSUPPORT);
}

static struct socket *create_v4(int type, int protocol) { return create(AF_INET, type, protocol); }
static struct socket *create_v6(int type, int protocol) { return create(AF_INET6, type, protocol); }

static const struct socket_family family_v4 = { AF_INET, create_v4 };
static const struct socket_family family_v6 = { AF_INET6, create_v6 };

void inet_init(void)
{
	for (unsigned p = 0; p < 2; p++)
		for (unsigned b = 0; b < PORT_BUCKETS; b++)
			list_init(&ports[p][b]);
	net_lock();
	udp_receive_init();
	unreach_init();
	net_unlock();
	socket_family_register(&family_v4);
	socket_family_register(&family_v6);
	socket_family_register(&netlink_family);
}
