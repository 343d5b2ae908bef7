/*
 * kernel/linux/socket.c - the system calls of sockets, and sockets as files.
 *
 * What is common to the protocol families lies here and in socket_msg.c (messages) and socket_option.c;
 * what a family does is behind struct socket_ops (net/socket.h).
 *
 * Interface: the system calls; socket_family_register() and the helpers of net/socket.h.
 * Locking:   none of its own. The table of families is written at boot only.
 * Errors:    Linux's; -EAFNOSUPPORT for a family that nobody registered, -ENOTSOCK, -EBADF, -EFAULT.
 */
#include "linux/socket_private.h"
#include "net/interface.h"
#include "net/socket_list.h"
#include "net/unix.h"
#include "linux/process.h"
#include "linux/signal.h"
#include "linux/syscall.h"
#include "linux/timespec.h"
#include "core/uaccess.h"
#include "fs/inode.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/socket.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <linux/uio.h>

#define SOCK_TYPE_MASK 0xf
#define SOCK_TYPE_LIMIT 11
#define SOCK_NONBLOCK O_NONBLOCK
#define SOCK_CLOEXEC O_CLOEXEC
#define BACKLOG_MAX 4096         /* somaxconn */
#define BUFFER_DEFAULT 212992

static const struct socket_family *families[AF_MAX] = {
	[AF_UNIX] = &unix_family,
};

void socket_family_register(const struct socket_family *f) { families[f->domain] = f; }

void socket_init(struct socket *s, const struct socket_ops *ops, int domain, int type, int protocol)
{
	s->ops = ops;
	s->domain = domain;
	s->type = type;
	s->protocol = protocol;
	s->linger_seconds = -1;
	atomic_store_explicit(&s->sndbuf, BUFFER_DEFAULT, memory_order_relaxed);
	atomic_store_explicit(&s->rcvbuf, BUFFER_DEFAULT, memory_order_relaxed);
	atomic_store_explicit(&s->rcvlowat, 1, memory_order_relaxed);
}

uint64_t socket_deadline(uint64_t timeout_ns, int flags)
{
	if (flags & MSG_DONTWAIT)
		return 0;
	return timeout_ns ? deadline_after(timeout_ns) : DEADLINE_NEVER;
}

int socket_interrupted(int r, uint64_t deadline)
{
	if (r == -ETIMEDOUT)
		return -EAGAIN;
	return deadline == DEADLINE_NEVER ? -ERESTARTSYS : -EINTR;
}

int socket_take_error(struct socket *s)
{
	if (!atomic_load_explicit(&s->error, memory_order_relaxed))
		return 0;
	return -atomic_exchange_explicit(&s->error, 0, memory_order_acq_rel);
}

/* --- sockets as files ---------------------------------------------------------------------------- */

ssize_t socket_send(struct file *f, struct socket *s, struct socket_msg *m, int flags)
{
	ssize_t r;

	if (f->flags & O_NONBLOCK)
		flags |= MSG_DONTWAIT;
	r = s->ops->sendmsg ? s->ops->sendmsg(s, m, flags) : -EOPNOTSUPP;
	if (r == -EPIPE && s->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL))
		signal_raise_current(SIGPIPE);
	return r;
}

ssize_t socket_receive(struct file *f, struct socket *s, struct socket_msg *m, int flags)
{
	if (f->flags & O_NONBLOCK)
		flags |= MSG_DONTWAIT;
	return s->ops->recvmsg ? s->ops->recvmsg(s, m, flags) : -EOPNOTSUPP;
}

static ssize_t socket_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct socket_iov iov = { buf, len };
	struct socket_msg m = { .iov = &iov, .niov = 1, .len = len };

	return socket_receive(f, f->priv, &m, 0);
}

static ssize_t socket_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct socket_iov iov = { buf, len };
	struct socket_msg m = { .iov = &iov, .niov = 1, .len = len };

	return socket_send(f, f->priv, &m, 0);
}

static ssize_t socket_vector(struct file *f, bool write, const struct iovec *iov, unsigned n, size_t total)
{
	_Static_assert(sizeof(struct socket_iov) == sizeof(*iov), "one layout");
	struct socket_msg m = { .iov = (struct socket_iov *)iov, .niov = n, .len = total };

	return write ? socket_send(f, f->priv, &m, 0) : socket_receive(f, f->priv, &m, 0);
}

static unsigned socket_poll(struct file *f, struct poll_table *pt)
{
	struct socket *s = f->priv;

	return s->ops->poll(s, pt);
}

static long socket_ioctl(struct file *f, unsigned cmd, uaddr_t arg)
{
	struct socket *s = f->priv;

	long r = s->ops->ioctl ? s->ops->ioctl(s, cmd, arg) : -ENOTTY;

	/* Any socket answers questions about interfaces; glibc asks one of AF_UNIX. */
	return r == -ENOTTY ? net_interface_ioctl(cmd, arg) : r;
}

_Atomic unsigned sockets_open;

static void socket_file_release(struct file *f)
{
	struct socket *s = f->priv;

	if (!s) /* none was there to accept */
		return;
	atomic_fetch_sub_explicit(&sockets_open, 1, memory_order_relaxed);
	s->ops->release(s);
}

static const struct file_ops socket_file_ops = {
	.read = socket_read,
	.write = socket_write,
	.vector = socket_vector,
	.poll = socket_poll,
	.ioctl = socket_ioctl,
	.release = socket_file_release,
};

/* One that has no socket yet, and gets it by file_give(). */
static struct file *file_without_socket(unsigned flags)
{
	return file_new_anon("socket", S_IFSOCK | 0777, &socket_file_ops, O_RDWR | (flags & O_NONBLOCK), NULL);
}

static void file_give(struct file *f, struct socket *s)
{
	f->priv = s;
	s->ino = f->inode->ino;
	atomic_fetch_add_explicit(&sockets_open, 1, memory_order_relaxed);
}

struct file *socket_file_new(struct socket *s, unsigned flags)
{
	struct file *f = file_without_socket(flags);

	if (IS_ERR(f))
		s->ops->release(s);
	else
		file_give(f, s);
	return f;
}

struct socket *socket_of_file(struct file *f) { return f->ops == &socket_file_ops ? f->priv : NULL; }

struct socket *socket_get(int fd, struct file **f)
{
	struct socket *s;

	*f = fd_get_io(fd);
	if (!*f)
		return ERR_PTR(-EBADF);
	s = socket_of_file(*f);
	if (!s) {
		file_put(*f);
		return ERR_PTR(-ENOTSOCK);
	}
	return s;
}

static struct socket *socket_create(int domain, int type, int protocol)
{
	if (domain < 0 || domain >= AF_MAX)
		return ERR_PTR(-EAFNOSUPPORT);
	if (type >= SOCK_TYPE_LIMIT)
		return ERR_PTR(-EINVAL);
	if (!families[domain])
		return ERR_PTR(-EAFNOSUPPORT);
	return families[domain]->create(type, protocol);
}

static int type_check(int type)
{
	return type & ~(SOCK_TYPE_MASK | SOCK_NONBLOCK | SOCK_CLOEXEC) ? -EINVAL : 0;
}

long sys_socket(int domain, int type, int protocol)
{
	struct socket *s;
	struct file *f;
	int fd;

	if (type_check(type))
		return -EINVAL;
	s = socket_create(domain, type & SOCK_TYPE_MASK, protocol);
	if (IS_ERR(s))
		return PTR_ERR(s);
	f = socket_file_new(s, type);
	if (IS_ERR(f))
		return PTR_ERR(f);
	fd = fd_install(f, 0, type & SOCK_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

/* Two files that are connected. 0 or -errno with nothing left behind. */
static int socket_pair_files(int domain, int type, int protocol, struct file *f[2])
{
	struct socket *a, *b;
	int r;

	a = socket_create(domain, type & SOCK_TYPE_MASK, protocol);
	if (IS_ERR(a))
		return PTR_ERR(a);
	b = socket_create(domain, type & SOCK_TYPE_MASK, protocol);
	if (IS_ERR(b)) {
		a->ops->release(a);
		return PTR_ERR(b);
	}
	r = a->ops->pair ? a->ops->pair(a, b) : -EOPNOTSUPP;
	if (r) {
		a->ops->release(a);
		b->ops->release(b);
		return r;
	}
	f[0] = socket_file_new(a, type);
	if (IS_ERR(f[0])) {
		b->ops->release(b);
		return PTR_ERR(f[0]);
	}
	f[1] = socket_file_new(b, type);
	if (IS_ERR(f[1])) {
		file_put(f[0]);
		return PTR_ERR(f[1]);
	}
	return 0;
}

long sys_socketpair(int domain, int type, int protocol, uaddr_t fds)
{
	struct file *f[2] = { NULL, NULL };
	int fd[2], r;

	if (type_check(type))
		return -EINVAL;
	r = socket_pair_files(domain, type, protocol, f);
	if (r)
		return r;
	fd[0] = fd_install(f[0], 0, type & SOCK_CLOEXEC);
	if (fd[0] < 0) {
		file_put(f[0]);
		file_put(f[1]);
		return fd[0];
	}
	fd[1] = fd_install(f[1], 0, type & SOCK_CLOEXEC);
	if (fd[1] < 0) {
		fd_close(fd[0]);
		file_put(f[1]);
		return fd[1];
	}
	r = copy_to_user(fds, fd, sizeof(fd));
	if (r) {
		fd_close(fd[0]);
		fd_close(fd[1]);
	}
	return r;
}

/* --- addresses ------------------------------------------------------------------------------------ */

int socket_addr_get_user(struct socket_addr *a, uaddr_t user, unsigned len)
{
	memset(a, 0, sizeof(*a));
	if (len > SOCKET_ADDR_MAX)
		return -EINVAL;
	a->len = len;
	return len ? copy_from_user(a->bytes, user, len) : 0;
}

int socket_addr_put_user(const struct socket_addr *a, uaddr_t user, uaddr_t user_len)
{
	int room, r;

	r = get_user(room, user_len);
	if (r)
		return r;
	if (room < 0)
		return -EINVAL;
	r = copy_to_user(user, a->bytes, MIN((unsigned)room, a->len));
	return r ? r : put_user(user_len, (int)a->len);
}

long sys_bind(int fd, uaddr_t addr, unsigned len)
{
	struct socket_addr a;
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	long r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	r = socket_addr_get_user(&a, addr, len);
	if (!r)
		r = s->ops->bind ? s->ops->bind(s, &a) : -EOPNOTSUPP;
	file_put(f);
	return r;
}

long sys_listen(int fd, int backlog)
{
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	long r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	r = s->ops->listen ? s->ops->listen(s, MIN((unsigned)backlog, (unsigned)BACKLOG_MAX)) :
			     -EOPNOTSUPP;
	file_put(f);
	return r;
}

long sys_connect(int fd, uaddr_t addr, unsigned len)
{
	struct socket_addr a;
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	long r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	r = socket_addr_get_user(&a, addr, len);
	if (!r)
		r = s->ops->connect ? s->ops->connect(s, &a, f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0) :
				      -EOPNOTSUPP;
	file_put(f);
	return r;
}

static long accept_file(struct file *f, struct socket *s, uaddr_t addr, uaddr_t len, int flags)
{
	struct socket *fresh;
	struct file *nf;
	long r;
	int fd;

	if (!s->ops->accept)
		return -EOPNOTSUPP;
	/* First, so that a connection for which there is none waits until there is. */
	fd = fd_reserve(flags & SOCK_CLOEXEC);
	if (fd < 0)
		return fd;
	nf = file_without_socket(flags);
	r = PTR_ERR(nf);
	if (IS_ERR(nf))
		goto unreserve;
	fresh = s->ops->accept(s, f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);
	r = PTR_ERR(fresh);
	if (IS_ERR(fresh))
		goto drop;
	file_give(nf, fresh);
	if (addr) {
		struct socket_addr a;

		memset(&a, 0, sizeof(a));
		r = fresh->ops->getname(fresh, &a, SOCKET_ACCEPTED);
		if (r) /* it hung up already */
			r = -ECONNABORTED;
		else
			r = socket_addr_put_user(&a, addr, len);
		if (r)
			goto drop;
	}
	fd_fill(fd, nf);
	return fd;
drop:
	file_put(nf);
unreserve:
	fd_unreserve(fd);
	return r;
}

long sys_accept4(int fd, uaddr_t addr, uaddr_t len, int flags)
{
	struct file *f;
	struct socket *s;
	long r;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	s = socket_get(fd, &f);
	if (IS_ERR(s))
		return PTR_ERR(s);
	r = accept_file(f, s, addr, len, flags);
	file_put(f);
	return r;
}

long sys_accept(int fd, uaddr_t addr, uaddr_t len) { return sys_accept4(fd, addr, len, 0); }

static long socket_name(int fd, uaddr_t addr, uaddr_t len, enum socket_whose whose)
{
	struct socket_addr a;
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	long r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	memset(&a, 0, sizeof(a));
	r = s->ops->getname ? s->ops->getname(s, &a, whose) : -EOPNOTSUPP;
	file_put(f);
	return r ? r : socket_addr_put_user(&a, addr, len);
}

long sys_getsockname(int fd, uaddr_t addr, uaddr_t len) { return socket_name(fd, addr, len, SOCKET_OWN); }
long sys_getpeername(int fd, uaddr_t addr, uaddr_t len) { return socket_name(fd, addr, len, SOCKET_PEER); }

long sys_shutdown(int fd, int how)
{
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	long r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	if (how < SHUT_RD || how > SHUT_RDWR)
		r = -EINVAL;
	else
		r = s->ops->shutdown ? s->ops->shutdown(s, how) : -EOPNOTSUPP;
	file_put(f);
	return r;
}
