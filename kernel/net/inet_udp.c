/*
 * kernel/net/inet_udp.c - UDP sockets: names and life. Datagrams are in udp_send.c and udp_receive.c.
 *
 * Interface: udp_create(), and the operations of the socket.
 * Locking:   inet_private.h. A socket that gets a port, or loses it, enters or leaves the table of udp_receive.c at that moment.
 * Errors:    Linux's.
 */
#include "net/udp_private.h"
#include "net/device.h"
#include "net/multicast.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/in.h>
#include <linux/sockios.h>

static const struct socket_ops udp_ops;

/* --- names ------------------------------------------------------------------------------------------------------------ */

int udp_end_parse(const struct udp_sock *u, const struct socket_addr *a, struct inet_end *end)
{
	bool v6 = u->inet.base.domain == AF_INET6;

	if (a->len < sizeof(struct sockaddr_in) || a->family != (v6 ? AF_INET : AF_UNSPEC))
		return inet_end_parse(&u->inet, a, end);
	if (v6 && u->inet.v6only)
		return -ENETUNREACH;
	inet_end_v4(a, end);
	return 0;
}

/* Gives the socket a local port. Core lock held. */
static int bind_to(struct udp_sock *u, struct inet_end end)
{
	ip_addr_t ip = end.ip;
	const struct inet_ip_options *o = IP_IS_V6_VAL(ip) ? &u->inet.v6 : &u->inet.v4;
	int r;

	if (!inet_is_local(&ip) && !ip_addr_ismulticast(&ip) && !inet_is_broadcast(&ip) && !o->freebind)
		return -EADDRNOTAVAIL;
	r = inet_port_take(&u->inet, &ip, &end.port);
	if (r)
		return r;
	mutex_lock(&u->inet.lock);
	u->inet.local = end;
	mutex_unlock(&u->inet.lock);
	udp_table_add(u);
	return 0;
}

int udp_autobind(struct udp_sock *u)
{
	return u->inet.local.port ? 0 : bind_to(u, inet_unspecified(&u->inet));
}

static int udp_sock_bind(struct socket *s, const struct socket_addr *addr)
{
	struct udp_sock *u = udp_sock(s);
	struct inet_end end;
	int r = inet_bind_parse(&u->inet, addr, &end);

	if (r)
		return r;
	net_lock();
	r = u->inet.local.port ? -EINVAL : bind_to(u, end);
	if (!r) {
		u->bound_ip = !ip_addr_isany(&end.ip);
		u->bound_port = end.port;
	}
	net_unlock();
	return r;
}

/* Nobody's any more. An address that connect() chose goes; a port stays, unless it was drawn. */
static int disconnect(struct udp_sock *u)
{
	net_lock();
	mutex_lock(&u->inet.lock);
	u->inet.remote = inet_unspecified(&u->inet);
	if (!u->bound_ip)
		ip_addr_set_any(u->inet.base.domain == AF_INET6, &u->inet.local.ip);
	mutex_unlock(&u->inet.lock);
	if (!u->bound_port && u->inet.local.port) {
		udp_table_remove(u);
		inet_port_release(&u->inet);
		mutex_lock(&u->inet.lock);
		u->inet.local.port = 0;
		mutex_unlock(&u->inet.lock);
	}
	net_unlock();
	return 0;
}

static int connect_to(struct udp_sock *u, struct inet_end to)
{
	const ip_addr_t *from;
	ip_addr_t own = u->inet.local.ip;

	inet_to_here(&to.ip);
	if (inet_is_broadcast(&to.ip) && !socket_option_on(&u->inet.base, SO_BROADCAST))
		return -EACCES;
	if (!u->bound_ip)
		ip_addr_set_any(IP_IS_V6_VAL(to.ip), &own);
	else if (IP_IS_V6_VAL(own) != IP_IS_V6_VAL(to.ip))
		return -ENETUNREACH;
	from = inet_source(&own, &to.ip);
	if (!from)
		return -ENETUNREACH;
	own = *from;
	mutex_lock(&u->inet.lock);
	u->inet.remote = to;
	u->inet.local.ip = own;
	mutex_unlock(&u->inet.lock);
	return 0;
}

static int udp_sock_connect(struct socket *s, const struct socket_addr *addr, int flags)
{
	struct udp_sock *u = udp_sock(s);
	struct inet_end to;
	int r, name;

	if (addr->len < sizeof(addr->family))
		return -EINVAL;
	if (addr->family == AF_UNSPEC)
		return disconnect(u);
	name = udp_end_parse(u, addr, &to);
	net_lock();
	/* A socket that fails to connect has a port all the same. */
	r = udp_autobind(u) ? -EAGAIN : name ? name : connect_to(u, to);
	net_unlock();
	return r;
}

static int udp_sock_shutdown(struct socket *s, int how)
{
	struct udp_sock *u = udp_sock(s);
	int r = 0;

	mutex_lock(&u->inet.lock);
	if (!u->inet.remote.port)
		r = -ENOTCONN;
	u->inet.rx_shut |= how != SHUT_WR;
	u->inet.tx_shut |= how != SHUT_RD;
	/* Linux wakes whoever waits, whatever for. */
	waitq_wake_all(&u->inet.readers, EVENTS_IN | EVENTS_OUT | EPOLLRDHUP | EPOLLHUP);
	waitq_wake_all(&u->inet.writers, 0);
	mutex_unlock(&u->inet.lock);
	return r;
}

/* --- life ------------------------------------------------------------------------------------------------------------------ */

static unsigned udp_sock_poll(struct socket *s, struct poll_table *pt)
{
	struct udp_sock *u = udp_sock(s);
	unsigned events;

	mutex_lock(&u->inet.lock);
	poll_attach(pt, &u->inet.readers, &u->inet.lock);
	events = udp_writable(u) ? EVENTS_OUT : 0;
	if (!list_empty(&u->queue) || u->inet.rx_shut)
		events |= EVENTS_IN;
	if (u->inet.rx_shut)
		events |= EPOLLRDHUP | (u->inet.tx_shut ? EPOLLHUP : 0);
	if (atomic_load_explicit(&s->error, memory_order_relaxed) || !list_empty(&u->errors))
		events |= EPOLLERR;
	mutex_unlock(&u->inet.lock);
	return events;
}

void udp_sock_figures(struct inet_sock *i, size_t *waiting, uint64_t *dropped)
{
	struct udp_sock *u = udp_of(i);

	mutex_lock(&i->lock);
	*waiting = u->queued;
	*dropped = u->dropped;
	mutex_unlock(&i->lock);
}

static long udp_sock_ioctl(struct socket *s, unsigned cmd, uaddr_t arg)
{
	struct udp_sock *u = udp_sock(s);
	int n = 0;

	if (cmd == FIONREAD) {
		mutex_lock(&u->inet.lock);
		if (!list_empty(&u->queue))
			n = list_first(&u->queue, struct datagram, link)->p->tot_len;
		mutex_unlock(&u->inet.lock);
		return put_user(arg, n);
	}
	if (cmd == TIOCOUTQ)
		return put_user(arg, (int)atomic_load_explicit(&u->unsent, memory_order_relaxed));
	return -ENOTTY;
}

void udp_put(struct udp_sock *u)
{
	if (inet_put(&u->inet))
		kfree(u);
}

static void udp_release(struct socket *s)
{
	struct udp_sock *u = udp_sock(s);

	net_lock();
	multicast_leave_all(&u->inet);
	if (u->inet.local.port) {
		udp_table_remove(u);
		inet_port_release(&u->inet);
	}
	udp_free_all(u);
	net_unlock();
	/* What it has sent goes all the same. */
	udp_put(u);
}

struct socket *udp_create(int domain, int protocol)
{
	struct udp_sock *u = kzalloc(sizeof(*u));

	if (!u)
		return ERR_PTR(-ENOBUFS);
	inet_sock_init(&u->inet, &udp_ops, domain, SOCK_DGRAM, protocol);
	list_init(&u->hash_link);
	list_init(&u->queue);
	list_init(&u->read);
	list_init(&u->errors);
	return &u->inet.base;
}

static const struct socket_ops udp_ops = {
	.bind = udp_sock_bind,
	.connect = udp_sock_connect,
	.sendmsg = udp_sendmsg,
	.recvmsg = udp_recvmsg,
	.shutdown = udp_sock_shutdown,
	.getname = inet_getname,
	.setopt = inet_setopt,
	.getopt = inet_getopt,
	.poll = udp_sock_poll,
	.ioctl = udp_sock_ioctl,
	.release = udp_release,
};
