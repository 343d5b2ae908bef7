/*
 * kernel/linux/socket_option.c - getsockopt and setsockopt.
 *
 * The family is asked first; what it does not know (-ENOPROTOOPT) of the level SOL_SOCKET is handled here.
 * Options without an effect on a socket of ours are recorded, so that they read back as they were set.
 *
 * Interface: the two system calls, socket_option_on().
 * Locking:   every option is one atomic word.
 * Errors:    -ENOPROTOOPT, -EINVAL, -EDOM, -EFAULT.
 */
#include "linux/socket_private.h"
#include "linux/syscall.h"
#include "linux/timespec.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include <asm/socket.h>
#include <linux/in.h>

#define BUFFER_MAX (1 << 26)

#define OPTION_BIT(name) (1ull << (name))
/* Options with a boolean value that is recorded; all have numbers below 64. */
#define OPTIONS_RECORDED                                                                        \
	(OPTION_BIT(SO_DEBUG) | OPTION_BIT(SO_REUSEADDR) | OPTION_BIT(SO_DONTROUTE) |           \
	 OPTION_BIT(SO_BROADCAST) | OPTION_BIT(SO_KEEPALIVE) | OPTION_BIT(SO_OOBINLINE) |       \
	 OPTION_BIT(SO_REUSEPORT) | OPTION_BIT(SO_PASSCRED) | OPTION_BIT(SO_TIMESTAMP_OLD) |      \
	 OPTION_BIT(SO_TIMESTAMPNS_OLD) | OPTION_BIT(SO_RXQ_OVFL) | OPTION_BIT(SO_NO_CHECK))

bool socket_option_on(const struct socket *s, int name)
{
	return atomic_load_explicit(&s->options, memory_order_relaxed) & OPTION_BIT(name);
}

unsigned socket_buffer_size(int value, unsigned least)
{
	return 2 * MAX(MIN((unsigned)value, BUFFER_MAX / 2u), least);
}

union option_value {
	int number;
	struct {
		int on, seconds;
	} linger;
	struct __kernel_old_timeval time;
	struct socket_ucred cred;
	uint64_t cookie;
	char bytes[280]; /* struct group_source_req is the longest */
};

static int option_set_timeout(_Atomic uint64_t *ns, const union option_value *v, unsigned len)
{
	if (len < sizeof(v->time))
		return -EINVAL;
	if (v->time.tv_usec < 0 || v->time.tv_usec >= 1000000)
		return -EDOM;
	/* Negative: do not wait at all. A nanosecond is the shortest timeout there is. */
	if (v->time.tv_sec < 0)
		*ns = 1;
	else if ((uint64_t)v->time.tv_sec >= INT64_MAX / NSEC_PER_SEC - 1)
		*ns = 0;
	else
		*ns = v->time.tv_sec * NSEC_PER_SEC + v->time.tv_usec * 1000;
	return 0;
}

static int option_set(struct socket *s, int name, const union option_value *v, unsigned len)
{
	if (name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW)
		return option_set_timeout(&s->recv_timeout_ns, v, len);
	if (name == SO_SNDTIMEO_OLD || name == SO_SNDTIMEO_NEW)
		return option_set_timeout(&s->send_timeout_ns, v, len);
	if (len < sizeof(int))
		return -EINVAL;
	/* Credentials travel through AF_UNIX alone. */
	if (name == SO_PASSCRED && s->domain != AF_UNIX)
		return -EOPNOTSUPP;
	if (name > 0 && name < 64 && (OPTIONS_RECORDED & OPTION_BIT(name))) {
		/* One of the two stamps at a time. */
		if (name == SO_TIMESTAMP_OLD || name == SO_TIMESTAMPNS_OLD)
			atomic_fetch_and_explicit(&s->options, ~(OPTION_BIT(SO_TIMESTAMP_OLD) | OPTION_BIT(SO_TIMESTAMPNS_OLD)),
						  memory_order_relaxed);
		if (v->number)
			atomic_fetch_or_explicit(&s->options, OPTION_BIT(name), memory_order_relaxed);
		else
			atomic_fetch_and_explicit(&s->options, ~OPTION_BIT(name),
						  memory_order_relaxed);
		return 0;
	}
	switch (name) {
	case SO_PRIORITY: s->priority = v->number; return 0;
	case SO_BSDCOMPAT: return 0;
	case SO_LINGER:
		if (len < sizeof(v->linger))
			return -EINVAL;
		s->linger_seconds = v->linger.on ? v->linger.seconds & INT32_MAX : -1;
		return 0;
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		s->sndbuf = socket_buffer_size(v->number, SOCKET_SNDBUF_MIN);
		return 0;
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		s->rcvbuf = socket_buffer_size(v->number, SOCKET_RCVBUF_MIN);
		return 0;
	case SO_RCVLOWAT: s->rcvlowat = v->number < 0 ? INT32_MAX : MAX(v->number, 1); return 0;
	}
	return -ENOPROTOOPT;
}

static void option_get_timeout(uint64_t ns, union option_value *v, unsigned *len)
{
	v->time.tv_sec = ns / NSEC_PER_SEC;
	v->time.tv_usec = ns % NSEC_PER_SEC / 1000;
	*len = sizeof(v->time);
}

/* A number that no other socket has. */
static uint64_t option_cookie(struct socket *s)
{
	static _Atomic uint64_t last;
	uint64_t none = 0, fresh;

	if (!atomic_load_explicit(&s->cookie, memory_order_relaxed)) {
		fresh = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
		atomic_compare_exchange_strong(&s->cookie, &none, fresh);
	}
	return atomic_load_explicit(&s->cookie, memory_order_relaxed);
}

static int option_get_common(struct socket *s, int name, union option_value *v, unsigned *len)
{
	unsigned room = *len;

	*len = sizeof(int);
	if (name == SO_PASSCRED && s->domain != AF_UNIX)
		return -EOPNOTSUPP;
	if (name > 0 && name < 64 && (OPTIONS_RECORDED & OPTION_BIT(name))) {
		v->number = socket_option_on(s, name);
		return 0;
	}
	switch (name) {
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
		option_get_timeout(s->recv_timeout_ns, v, len);
		return 0;
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW:
		option_get_timeout(s->send_timeout_ns, v, len);
		return 0;
	case SO_LINGER:
		v->linger.on = s->linger_seconds >= 0;
		v->linger.seconds = v->linger.on ? s->linger_seconds : 0;
		*len = sizeof(v->linger);
		return 0;
	case SO_TYPE: v->number = s->type; return 0;
	case SO_DOMAIN: v->number = s->domain; return 0;
	case SO_PROTOCOL: v->number = s->protocol; return 0;
	case SO_ERROR: v->number = -socket_take_error(s); return 0;
	case SO_ACCEPTCONN: v->number = s->listening; return 0;
	case SO_SNDBUF: v->number = s->sndbuf; return 0;
	case SO_RCVBUF: v->number = s->rcvbuf; return 0;
	case SO_RCVLOWAT: v->number = s->rcvlowat; return 0;
	case SO_SNDLOWAT: v->number = 1; return 0;
	case SO_PRIORITY: v->number = s->priority; return 0;
	case SO_BSDCOMPAT:
	case SO_BUSY_POLL:
	case SO_INCOMING_NAPI_ID: v->number = 0; return 0;
	case SO_INCOMING_CPU: v->number = -1; return 0;
	case SO_COOKIE:
		if (room < sizeof(v->cookie))
			return -EINVAL;
		v->cookie = option_cookie(s);
		*len = sizeof(v->cookie);
		return 0;
	case SO_PEERCRED: /* AF_UNIX knows; others do not */
		v->cred = (struct socket_ucred){ .pid = 0, .uid = ~0u, .gid = ~0u };
		*len = sizeof(v->cred);
		return 0;
	}
	return -ENOPROTOOPT;
}

long sys_setsockopt(int fd, int level, int name, uaddr_t value, unsigned len)
{
	union option_value v = { .bytes = { 0 } };
	struct file *f;
	struct socket *s;
	long r;

	if ((int)len < 0)
		return -EINVAL;
	s = socket_get(fd, &f);
	if (IS_ERR(s))
		return PTR_ERR(s);
	len = MIN(len, (unsigned)sizeof(v));
	r = copy_from_user(&v, value, len);
	if (!r) {
		r = -ENOPROTOOPT;
		if (s->ops->setopt)
			r = s->ops->setopt(s, level, name, &v, len);
		if (r == -ENOPROTOOPT && level == SOL_SOCKET)
			r = option_set(s, name, &v, len);
		else if (r == -ENOPROTOOPT && s->domain == AF_UNIX)
			r = -EOPNOTSUPP;
	}
	file_put(f);
	return r;
}

/* Of an AF_INET socket; Linux tells an unknown level from an unknown option only there, and only when it is read. */
static bool option_level_known(const struct socket *s, int level)
{
	return level == IPPROTO_IP || level == s->protocol;
}

long sys_getsockopt(int fd, int level, int name, uaddr_t value, uaddr_t len)
{
	union option_value v = { .bytes = { 0 } };
	unsigned have;
	struct file *f;
	struct socket *s;
	int room;
	long r;

	s = socket_get(fd, &f);
	if (IS_ERR(s))
		return PTR_ERR(s);
	r = get_user(room, len);
	if (!r && room < 0)
		r = -EINVAL;
	if (!r) {
		r = -ENOPROTOOPT;
		have = (unsigned)room;
		if (s->ops->getopt)
			r = s->ops->getopt(s, level, name, &v, &have);
		if (r == -ENOPROTOOPT && level == SOL_SOCKET)
			r = option_get_common(s, name, &v, &have);
		else if (r == -ENOPROTOOPT && (s->domain == AF_UNIX || (s->domain == AF_INET && !option_level_known(s, level))))
			r = -EOPNOTSUPP;
	}
	if (!r) {
		have = MIN(have, (unsigned)room);
		r = copy_to_user(value, &v, have);
		if (!r)
			r = put_user(len, (int)have);
	}
	file_put(f);
	return r;
}
