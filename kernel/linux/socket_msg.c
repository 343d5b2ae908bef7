/*
 * kernel/linux/socket_msg.c - sending and receiving: sendto, recvfrom, sendmsg, recvmsg, sendmmsg, recvmmsg.
 *
 * Reads and writes the application's message headers, buffers and control messages; the bytes
 * themselves are copied by the protocol family through struct socket_msg.
 *
 * Interface: the system calls; socket_msg_*() of net/socket.h.
 * Locking:   none: everything is the caller's own.
 * Errors:    Linux's: -EFAULT, -EINVAL, -EMSGSIZE (too many buffers), -ENOBUFS (control too long), -EBADF.
 */
#include "linux/socket_private.h"
#include "linux/plain.h"
#include "linux/syscall.h"
#include "linux/timespec.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "mm/pagecache.h"

#define IOV_INLINE 8
#define IOV_LIMIT 1024
#define CONTROL_LIMIT 20480      /* optmem_max */
#define CONTROL_INLINE 128

/* --- the application's buffers ------------------------------------------------------------------ */

struct socket_iov *socket_msg_piece(struct socket_msg *m, uaddr_t *base, size_t *len)
{
	while (m->niov && m->skip == m->iov->len) {
		m->iov++;
		m->niov--;
		m->skip = 0;
	}
	if (!m->niov)
		return NULL;
	*base = m->iov->base + m->skip;
	*len = m->iov->len - m->skip;
	return m->iov;
}

void socket_msg_advance(struct socket_msg *m, size_t n) { m->skip += n; }

static int msg_copy(struct socket_msg *m, void *kernel, size_t n, bool out)
{
	char *p = kernel;
	uaddr_t base;
	size_t len;

	while (n && socket_msg_piece(m, &base, &len)) {
		int r;

		len = MIN(len, n);
		r = out ? copy_to_user(base, p, len) : copy_from_user(p, base, len);
		if (r)
			return r;
		socket_msg_advance(m, len);
		p += len;
		n -= len;
	}
	return 0;
}

static int msg_read(struct socket_msg *m, char *to, size_t n)
{
	while (n) {
		ssize_t r = pagecache_read_kernel(m->file, m->file_pos, to, n);

		if (r <= 0)
			return r ? (int)r : -ENODATA;
		m->file_pos += r;
		to += r;
		n -= r;
	}
	return 0;
}

int socket_msg_get(struct socket_msg *m, void *to, size_t n) { return m->file ? msg_read(m, to, n) : msg_copy(m, to, n, false); }
int socket_msg_put(struct socket_msg *m, const void *from, size_t n)
{
	return msg_copy(m, (void *)from, n, true);
}

/* --- sending and receiving ------------------------------------------------------------------------ */

long sys_sendto(int fd, uaddr_t buf, size_t len, int flags, uaddr_t addr, unsigned alen)
{
	struct socket_iov iov = { buf, MIN(len, RW_MAX) };
	struct socket_addr a;
	struct socket_msg m = { .iov = &iov, .niov = 1, .len = iov.len, .addr = &a };
	struct file *f;
	struct socket *s;
	long r = 0;

	a.len = 0;
	if (!uaddr_ok(buf, iov.len))
		return -EFAULT;
	s = socket_get(fd, &f);
	if (IS_ERR(s))
		return PTR_ERR(s);
	if (addr)
		r = socket_addr_get_user(&a, addr, alen);
	/* A name without a byte is none, but not for a datagram of IP. */
	if (addr && !alen && s->type == SOCK_DGRAM && (s->domain == AF_INET || s->domain == AF_INET6))
		r = -EINVAL;
	if (!r)
		r = socket_send(f, s, &m, flags);
	file_put(f);
	return r;
}

long sys_recvfrom(int fd, uaddr_t buf, size_t len, int flags, uaddr_t addr, uaddr_t alen)
{
	struct socket_iov iov = { buf, MIN(len, RW_MAX) };
	struct socket_addr a;
	struct socket_msg m = { .iov = &iov, .niov = 1, .len = iov.len, .addr = &a };
	struct file *f;
	struct socket *s;
	long r;
	int err;

	a.len = 0;
	if (!uaddr_ok(buf, iov.len))
		return -EFAULT;
	s = socket_get(fd, &f);
	if (IS_ERR(s))
		return PTR_ERR(s);
	r = socket_receive(f, s, &m, flags);
	if (r >= 0 && addr) {
		err = socket_addr_put_user(&a, addr, alen);
		if (err)
			r = err;
	}
	file_put(f);
	return r;
}

struct user_msghdr { /* struct msghdr */
	uaddr_t name;
	int32_t namelen;
	uint32_t pad0;
	uaddr_t iov;
	uint64_t iovlen;
	uaddr_t control;
	uint64_t controllen;
	uint32_t flags;
	uint32_t pad1;
};

struct user_mmsghdr { /* struct mmsghdr */
	struct user_msghdr hdr;
	uint32_t len;
	uint32_t pad;
};

/* Reads the buffers of a message into m; small holds the common case. m->iov may be allocated. */
static int msg_iov_get(struct socket_msg *m, const struct user_msghdr *h, struct socket_iov *small)
{
	int r;

	if (h->iovlen > IOV_LIMIT)
		return -EMSGSIZE;
	m->iov = small;
	m->niov = h->iovlen;
	if (h->iovlen > IOV_INLINE) {
		m->iov = kmalloc(h->iovlen * sizeof(*m->iov));
		if (!m->iov)
			return -ENOMEM;
	}
	r = copy_from_user(m->iov, h->iov, h->iovlen * sizeof(*m->iov));
	for (unsigned i = 0; !r && i < m->niov; i++) {
		struct socket_iov *v = &m->iov[i];

		if (v->len > INT64_MAX)
			r = -EINVAL;
		else if (!uaddr_ok(v->base, v->len))
			r = -EFAULT;
		v->len = MIN(v->len, RW_MAX - m->len);
		m->len += v->len;
	}
	if (r && m->iov != small)
		kfree(m->iov);
	return r;
}

static void files_put(struct file **files, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		file_put(files[i]);
}

/* Adds the descriptors of one SCM_RIGHTS message to m->files, which is allocated on first use. */
static int control_rights(struct socket_msg *m, const char *data, size_t len)
{
	size_t n = len / sizeof(int);

	if (!m->files)
		m->files = kmalloc(SOCKET_MAX_FDS * sizeof(*m->files));
	if (!m->files)
		return -ENOMEM;
	if (n > SOCKET_MAX_FDS - m->nfiles)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
		m->files[m->nfiles] = fd_get(fd);
		if (!m->files[m->nfiles])
			return -EBADF;
		m->nfiles++;
	}
	return 0;
}

const struct socket_cmsg *socket_cmsg_next(const struct socket_msg *m, const struct socket_cmsg *c)
{
	size_t at = c ? (size_t)((const uint8_t *)c - m->control_in) + ALIGN_UP(c->len, 8) : 0;

	if (at > m->control_len || m->control_len - at < sizeof(*c))
		return NULL;
	return (const struct socket_cmsg *)(m->control_in + at);
}

/* Checks the lengths of all, and does what those of SOL_SOCKET ask for. */
static int control_parse(struct socket_msg *m)
{
	for (const struct socket_cmsg *c = NULL; (c = socket_cmsg_next(m, c));) {
		int r = 0;

		if (c->len < sizeof(*c) || c->len > m->control_len - (size_t)((const uint8_t *)c - m->control_in))
			return -EINVAL;
		if (c->level == SOL_SOCKET) {
			if (c->type == SCM_RIGHTS)
				r = control_rights(m, (const char *)c->data, socket_cmsg_len(c));
			else if (c->type != SCM_CREDENTIALS || socket_cmsg_len(c) != sizeof(struct socket_ucred))
				r = -EINVAL;
			/* Credentials: there is one user and the receiver is told the truth anyway. */
		}
		if (r)
			return r;
	}
	return 0;
}

static int control_get(struct socket_msg *m, const struct user_msghdr *h, uint8_t *control)
{
	int r = copy_from_user(control, h->control, h->controllen);

	m->control_in = control;
	m->control_len = h->controllen;
	return r ? r : control_parse(m);
}

static long send_message(struct file *f, struct socket *s, const struct user_msghdr *h, int flags)
{
	struct socket_iov small[IOV_INLINE], *iov;
	_Alignas(8) uint8_t small_control[CONTROL_INLINE], *control = small_control;
	struct socket_addr a;
	struct socket_msg m = { .addr = &a };
	long r;

	a.len = 0;
	if (h->namelen < 0)
		return -EINVAL;
	if (h->name) {
		r = socket_addr_get_user(&a, h->name, MIN(h->namelen, SOCKET_ADDR_MAX));
		if (r)
			return r;
	}
	if (h->control && h->controllen > CONTROL_LIMIT)
		return -ENOBUFS;
	r = msg_iov_get(&m, h, small);
	if (r)
		return r;
	iov = m.iov;
	if (h->control && h->controllen) {
		if (h->controllen > sizeof(small_control))
			control = kmalloc(h->controllen);
		r = control ? control_get(&m, h, control) : -ENOMEM;
	}
	if (!r)
		r = socket_send(f, s, &m, flags);
	files_put(m.files, m.nfiles);
	kfree(m.files);
	if (control != small_control)
		kfree(control);
	if (iov != small)
		kfree(iov);
	return r;
}

long sys_sendmsg(int fd, uaddr_t msg, int flags)
{
	struct user_msghdr h;
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	long r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	r = get_user(h, msg);
	if (!r)
		r = send_message(f, s, &h, flags);
	file_put(f);
	return r;
}

long sys_sendmmsg(int fd, uaddr_t vec, unsigned n, int flags)
{
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	unsigned done;
	long r = 0;

	if (IS_ERR(s))
		return PTR_ERR(s);
	n = MIN(n, (unsigned)IOV_LIMIT);
	for (done = 0; done < n; done++, vec += sizeof(struct user_mmsghdr)) {
		struct user_msghdr h;

		r = get_user(h, vec);
		if (!r)
			r = send_message(f, s, &h, flags);
		if (r < 0)
			break;
		r = put_user(vec + offsetof(struct user_mmsghdr, len), (uint32_t)r);
		if (r)
			break;
	}
	file_put(f);
	/* What failed behind a message that went out is told by the next call, if it fails again. */
	return done ? (long)done : r;
}

void socket_control_put(struct socket_msg *m, int level, int type, const void *data, unsigned len)
{
	struct socket_control *c = m->control;
	struct socket_cmsg *h;

	if (!c || sizeof(c->bytes) - c->used < sizeof(*h) + ALIGN_UP(len, 8)) {
		m->flags |= MSG_CTRUNC;
		return;
	}
	h = (struct socket_cmsg *)(c->bytes + c->used);
	*h = (struct socket_cmsg){ .len = sizeof(*h) + len, .level = level, .type = type };
	memcpy(h->data, data, len);
	c->used += (unsigned)(sizeof(*h) + ALIGN_UP(len, 8));
}

/* Where control messages go, and what has been written. */
struct control_out {
	uaddr_t at;
	size_t room, used;
	unsigned *flags;
};

/* Writes the header of a message with n bytes of data, cut to what there is room for, with MSG_CTRUNC then; *n becomes what is left. The
 * address for the data, or 0: not even the header fits. */
static uaddr_t control_put(struct control_out *c, int level, int type, size_t *n)
{
	struct socket_cmsg h = { .len = sizeof(h) + *n, .level = level, .type = type };
	size_t left = c->room - c->used;
	uaddr_t data = c->at + c->used + sizeof(h);

	if (left < h.len) {
		*c->flags |= MSG_CTRUNC;
		if (left < sizeof(h))
			return 0;
		h.len = left;
		*n = left - sizeof(h);
	}
	if (copy_to_user(c->at + c->used, &h, sizeof(h))) {
		*c->flags |= MSG_CTRUNC;
		return 0;
	}
	c->used = MIN(c->used + ALIGN_UP(h.len, 8), c->room);
	return data;
}

static void control_put_data(struct control_out *c, int level, int type, const void *data, size_t n)
{
	uaddr_t to = control_put(c, level, type, &n);

	if (to && copy_to_user(to, data, n))
		*c->flags |= MSG_CTRUNC;
}

static void control_put_all(struct control_out *c, const struct socket_control *from)
{
	for (unsigned at = 0; at < from->used;) {
		const struct socket_cmsg *h = (const struct socket_cmsg *)(from->bytes + at);

		control_put_data(c, h->level, h->type, h->data, socket_cmsg_len(h));
		at += (unsigned)ALIGN_UP(h->len, 8);
	}
}

/* Installs as many of the received files as there is room for, and descriptors, and drops the others. The message says how many came. */
static void control_put_files(struct control_out *c, struct socket_msg *m, bool cloexec)
{
	size_t left = c->room - c->used, room = 0, n, bytes;
	uaddr_t data = c->at + c->used + sizeof(struct socket_cmsg);

	if (left > sizeof(struct socket_cmsg))
		room = (left - sizeof(struct socket_cmsg)) / sizeof(int);
	for (n = 0; n < room && n < m->nfiles; n++) {
		int fd = fd_reserve(cloexec);

		if (fd < 0)
			break;
		if (put_user(data + n * sizeof(fd), fd)) {
			fd_unreserve(fd);
			break;
		}
		fd_fill(fd, m->files[n]);
	}
	if (n < m->nfiles)
		*c->flags |= MSG_CTRUNC;
	files_put(m->files + n, m->nfiles - n);
	m->nfiles = 0;
	bytes = n * sizeof(int);
	if (n)
		control_put(c, SOL_SOCKET, SCM_RIGHTS, &bytes);
}

static long receive_message(struct file *f, struct socket *s, struct user_msghdr *h, int flags)
{
	struct socket_iov small[IOV_INLINE], *iov;
	struct socket_control control;
	struct socket_addr a;
	struct socket_msg m = { .addr = &a };
	struct control_out c = { h->control, h->control ? h->controllen : 0, 0, &m.flags };
	long r;

	a.len = 0;
	if (h->namelen < 0)
		return -EINVAL;
	r = msg_iov_get(&m, h, small);
	if (r)
		return r;
	iov = m.iov;
	if (c.room) {
		control.used = 0;
		m.control = &control;
		if (s->domain == AF_UNIX)
			m.files = kmalloc(SOCKET_MAX_FDS * sizeof(*m.files));
		if (s->domain == AF_UNIX && !m.files)
			r = -ENOMEM;
	}
	if (!r)
		r = socket_receive(f, s, &m, flags);
	if (r >= 0) {
		if (m.control)
			control_put_all(&c, m.control);
		if (m.has_cred)
			control_put_data(&c, SOL_SOCKET, SCM_CREDENTIALS, &m.cred, sizeof(m.cred));
		if (m.nfiles)
			control_put_files(&c, &m, flags & MSG_CMSG_CLOEXEC);
		if (h->name && copy_to_user(h->name, a.bytes, MIN((unsigned)h->namelen, a.len)))
			r = -EFAULT;
		h->namelen = a.len;
		h->controllen = c.used;
		h->flags = m.flags | (flags & MSG_CMSG_CLOEXEC);
	}
	files_put(m.files, m.nfiles); /* of a receive that failed after all */
	kfree(m.files);
	if (iov != small)
		kfree(iov);
	return r;
}

/* receive_message() with the application's header. Only these three fields of it belong to the call. */
static long receive_user(struct file *f, struct socket *s, uaddr_t msg, int flags)
{
	struct user_msghdr h;
	long r = get_user(h, msg);

	if (!r)
		r = receive_message(f, s, &h, flags);
	if (r < 0)
		return r;
	if ((h.name && put_user(msg + offsetof(struct user_msghdr, namelen), h.namelen)) ||
	    put_user(msg + offsetof(struct user_msghdr, controllen), h.controllen) ||
	    put_user(msg + offsetof(struct user_msghdr, flags), h.flags))
		return -EFAULT;
	return r;
}

long sys_recvmsg(int fd, uaddr_t msg, int flags)
{
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	long r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	r = receive_user(f, s, msg, flags);
	file_put(f);
	return r;
}

/* As on Linux, the timeout is looked at behind each message: it does not end a wait for one. */
static long receive_many(struct file *f, struct socket *s, uaddr_t vec, unsigned n, int flags, uint64_t deadline)
{
	unsigned done = 0;
	long r = flags & MSG_ERRQUEUE ? 0 : socket_take_error(s);

	if (r)
		return r;
	while (done < n) {
		r = receive_user(f, s, vec, flags & ~MSG_WAITFORONE);
		if (r >= 0)
			r = put_user(vec + offsetof(struct user_mmsghdr, len), (uint32_t)r);
		if (r)
			break;
		done++;
		vec += sizeof(struct user_mmsghdr);
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (deadline != DEADLINE_NEVER && !deadline_left(deadline))
			break;
	}
	/* The next call tells what ended this one. */
	if (done && r < 0 && r != -EAGAIN && r != -EINTR && r != -ERESTARTSYS)
		atomic_store_explicit(&s->error, (int)-r, memory_order_release);
	return done ? (long)done : r;
}

long sys_recvmmsg(int fd, uaddr_t vec, unsigned n, int flags, uaddr_t timeout)
{
	uint64_t ns = 0, deadline = DEADLINE_NEVER;
	struct file *f;
	struct socket *s;
	long r;

	if (timeout) {
		r = timespec_get_user(timeout, &ns);
		if (r)
			return r;
		deadline = deadline_after(ns);
	}
	s = socket_get(fd, &f);
	if (IS_ERR(s))
		return PTR_ERR(s);
	r = receive_many(f, s, vec, n, flags, deadline);
	file_put(f);
	if (timeout && r > 0) {
		struct __kernel_timespec left = ns_to_timespec(deadline == DEADLINE_NEVER ? ns : deadline_left(deadline));

		if (put_user(timeout, left))
			r = -EFAULT;
	}
	return r;
}
