/*
 * kernel/linux/socket_msg.c - sending and receiving: sendto, recvfrom, sendmsg, recvmsg.
 *
 * Reads and writes the application's message headers, buffers and control messages; the bytes
 * themselves are copied by the protocol family through struct socket_msg.
 *
 * Interface: the system calls; socket_msg_*() of net/socket.h.
 * Locking:   none: everything is the caller's own.
 * Errors:    Linux's: -EFAULT, -EINVAL, -EMSGSIZE (too many buffers), -ENOBUFS (control too long), -EBADF.
 */
#include "linux/socket_private.h"
#include "linux/syscall.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"

#define IOV_INLINE 8
#define IOV_LIMIT 1024
#define RW_MAX 0x7ffff000ul      /* Linux moves no more in one call */
#define CONTROL_LIMIT 20480      /* optmem_max */

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

int socket_msg_get(struct socket_msg *m, void *to, size_t n) { return msg_copy(m, to, n, false); }
int socket_msg_put(struct socket_msg *m, const void *from, size_t n)
{
	return msg_copy(m, (void *)from, n, true);
}

/* --- sending and receiving ------------------------------------------------------------------------ */

long sys_sendto(int fd, uaddr_t buf, size_t len, int flags, uaddr_t addr, unsigned alen)
{
	struct socket_iov iov = { buf, MIN(len, RW_MAX) };
	struct socket_addr a = { 0 };
	struct socket_msg m = { .iov = &iov, .niov = 1, .len = iov.len, .addr = &a };
	struct file *f;
	struct socket *s;
	long r = 0;

	if (!uaddr_ok(buf, iov.len))
		return -EFAULT;
	s = socket_get(fd, &f);
	if (IS_ERR(s))
		return PTR_ERR(s);
	if (addr)
		r = socket_addr_get_user(&a, addr, alen);
	if (!r)
		r = socket_send(f, s, &m, flags);
	file_put(f);
	return r;
}

long sys_recvfrom(int fd, uaddr_t buf, size_t len, int flags, uaddr_t addr, uaddr_t alen)
{
	struct socket_iov iov = { buf, MIN(len, RW_MAX) };
	struct socket_addr a = { 0 };
	struct socket_msg m = { .iov = &iov, .niov = 1, .len = iov.len, .addr = &a };
	struct file *f;
	struct socket *s;
	long r;
	int err;

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

struct user_cmsghdr { /* struct cmsghdr */
	uint64_t len;
	int32_t level, type;
};

#define CMSG_DATA_OFFSET sizeof(struct user_cmsghdr)

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

static int control_parse(struct socket_msg *m, const char *control, size_t total)
{
	size_t at = 0;

	while (total - at >= sizeof(struct user_cmsghdr)) {
		struct user_cmsghdr c;
		int r = 0;

		memcpy(&c, control + at, sizeof(c));
		if (c.len < sizeof(c) || c.len > total - at)
			return -EINVAL;
		if (c.level == SOL_SOCKET) {
			if (c.type == SCM_RIGHTS)
				r = control_rights(m, control + at + CMSG_DATA_OFFSET,
						   c.len - CMSG_DATA_OFFSET);
			else if (c.type != SCM_CREDENTIALS ||
				 c.len != CMSG_DATA_OFFSET + sizeof(struct socket_ucred))
				r = -EINVAL;
			/* Credentials: there is one user and the receiver is told the truth anyway. */
		}
		if (r)
			return r;
		c.len = ALIGN_UP(c.len, 8);
		if (c.len > total - at)
			break;
		at += c.len;
	}
	return 0;
}

static int control_get(struct socket_msg *m, const struct user_msghdr *h)
{
	char *control;
	int r;

	if (h->controllen > CONTROL_LIMIT)
		return -ENOBUFS;
	control = kmalloc(h->controllen);
	if (!control)
		return -ENOMEM;
	r = copy_from_user(control, h->control, h->controllen);
	if (!r)
		r = control_parse(m, control, h->controllen);
	kfree(control);
	return r;
}

static long send_message(struct file *f, struct socket *s, const struct user_msghdr *h, int flags)
{
	struct socket_iov small[IOV_INLINE], *iov;
	struct socket_addr a = { 0 };
	struct socket_msg m = { .addr = &a };
	long r;

	if (h->namelen < 0)
		return -EINVAL;
	if (h->name) {
		r = socket_addr_get_user(&a, h->name, MIN(h->namelen, SOCKET_ADDR_MAX));
		if (r)
			return r;
	}
	r = msg_iov_get(&m, h, small);
	if (r)
		return r;
	iov = m.iov;
	if (h->control && h->controllen)
		r = control_get(&m, h);
	if (!r)
		r = socket_send(f, s, &m, flags);
	files_put(m.files, m.nfiles);
	kfree(m.files);
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

/* Where control messages go, and what has been written. */
struct control_out {
	uaddr_t at;
	size_t room, used;
	unsigned *flags;
};

/* Writes a header for n bytes of data if they fit. The address of the data, or 0 with MSG_CTRUNC set. */
static uaddr_t control_put(struct control_out *c, int type, size_t n)
{
	struct user_cmsghdr h = { CMSG_DATA_OFFSET + n, SOL_SOCKET, type };
	uaddr_t data = c->at + c->used + CMSG_DATA_OFFSET;

	if (c->room - c->used < h.len || copy_to_user(c->at + c->used, &h, sizeof(h))) {
		*c->flags |= MSG_CTRUNC;
		return 0;
	}
	c->used = MIN(c->used + ALIGN_UP(h.len, 8), c->room);
	return data;
}

/* Installs as many of the received files as there is room for, drops the others. */
static void control_put_files(struct control_out *c, struct socket_msg *m, bool cloexec)
{
	size_t left = c->room - c->used, room = 0, n;
	uaddr_t data;

	if (left > CMSG_DATA_OFFSET)
		room = (left - CMSG_DATA_OFFSET) / sizeof(int);
	n = MIN(room, (size_t)m->nfiles);
	if (n < m->nfiles)
		*c->flags |= MSG_CTRUNC;
	data = n ? control_put(c, SCM_RIGHTS, n * sizeof(int)) : 0;
	for (size_t i = 0; i < m->nfiles; i++) {
		int fd = -1;

		if (data && i < n) {
			fd = fd_install(m->files[i], 0, cloexec);
			if (fd < 0)
				*c->flags |= MSG_CTRUNC;
			else if (put_user(data + i * sizeof(fd), fd))
				*c->flags |= MSG_CTRUNC;
		}
		if (fd < 0)
			file_put(m->files[i]);
	}
	m->nfiles = 0;
}

static long receive_message(struct file *f, struct socket *s, struct user_msghdr *h, int flags)
{
	struct socket_iov small[IOV_INLINE], *iov;
	struct socket_addr a = { 0 };
	struct socket_msg m = { .addr = &a };
	struct control_out c = { h->control, h->control ? h->controllen : 0, 0, &m.flags };
	long r;

	if (h->namelen < 0)
		return -EINVAL;
	r = msg_iov_get(&m, h, small);
	if (r)
		return r;
	iov = m.iov;
	if (c.room) {
		m.files = kmalloc(SOCKET_MAX_FDS * sizeof(*m.files));
		if (!m.files)
			r = -ENOMEM;
	}
	if (!r)
		r = socket_receive(f, s, &m, flags);
	if (r >= 0) {
		if (m.has_cred) {
			uaddr_t data = control_put(&c, SCM_CREDENTIALS, sizeof(m.cred));

			if (data && put_user(data, m.cred))
				m.flags |= MSG_CTRUNC;
		}
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

long sys_recvmsg(int fd, uaddr_t msg, int flags)
{
	struct user_msghdr h;
	struct file *f;
	struct socket *s = socket_get(fd, &f);
	long r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	r = get_user(h, msg);
	if (!r)
		r = receive_message(f, s, &h, flags);
	file_put(f);
	if (r < 0)
		return r;
	/* Only these three fields belong to the call. */
	if ((h.name && put_user(msg + offsetof(struct user_msghdr, namelen), h.namelen)) ||
	    put_user(msg + offsetof(struct user_msghdr, controllen), h.controllen) ||
	    put_user(msg + offsetof(struct user_msghdr, flags), h.flags))
		return -EFAULT;
	return r;
}
