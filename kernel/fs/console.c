/*
 * kernel/fs/console.c - standard input, output and error of the machine as files.
 *
 * Theory:    Each stream is a console port. Input is taken from the port into a small buffer when
 *            somebody asks, so that FIONREAD can count it. The streams look like pipes, or, when the
 *            control channel said that the host has a terminal, like a terminal whose line editing happens
 *            on the host.
 * Interface: console_file() of vfs.h.
 * Locking:   stream->lock guards the input buffer and the queue of readers; output has a mutex for each
 *            port, so that one write of up to a page is not torn. User memory is touched outside both.
 * Errors:    -EAGAIN, -EINTR, -EIO, -ENOTTY.
 */
#include "fs/inode.h"
#include "core/log.h"
#include "core/uaccess.h"
#include "drivers/device.h"
#include "images/format.h"
#include "lib/string.h"
#include "linux/machine.h"
#include "linux/process.h"
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <linux/eventpoll.h>

#define INPUT_BYTES 4096u
#define CHUNK_BYTES 4096u

struct stream {
	struct inode inode;
	int which;
	struct console_port *port;
	struct mutex lock;
	struct waitq readers;
	struct mutex out_lock;
	unsigned head, len;       /* of input, under lock */
	bool eof;
	char *input;
};

static struct stream streams[3];
void (*console_input_wanted)(void);
static bool input_asked; /* under the lock of the first stream */
static struct mutex streams_lock = MUTEX_INIT("console streams");
static struct termios tty_modes = { /* as a terminal begins on Linux */
	.c_iflag = ICRNL | IXON,
	.c_oflag = OPOST | ONLCR,
	.c_cflag = B38400 | CS8 | CREAD,
	.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | IEXTEN,
	.c_cc = { 3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22 },
};
static _Atomic int tty_pgrp;

bool console_is_tty(void)
{
	unsigned rows, columns;

	return machine_terminal_size(&rows, &columns);
}

static struct stream *stream_of(struct file *f)
{
	return container_of(f->inode, struct stream, inode);
}

static void input_notify(struct console_port *port, void *arg)
{
	struct stream *s = arg;

	mutex_lock(&s->lock);
	waitq_wake_all(&s->readers, EPOLLIN | EPOLLRDNORM);
	mutex_unlock(&s->lock);
}

/* Takes what the port has; lock held. Never waits: it is called when the port is readable. */
static void input_take(struct stream *s)
{
	ssize_t n;

	if (!input_asked) {
		input_asked = true;
		if (console_input_wanted)
			console_input_wanted();
	}
	if (s->len || s->eof || !s->port->readable(s->port))
		return;
	n = s->port->read(s->port, s->input, INPUT_BYTES);
	s->head = 0;
	s->len = n > 0 ? n : 0;
	if (n == 0)
		s->eof = true;
}

static ssize_t stream_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct stream *s = stream_of(f);
	char *bounce;
	size_t n;
	int r = 0;

	if (s->which != 0 && !console_is_tty())
		return -EBADF;
	s = &streams[0];
	if (!len)
		return 0;
	bounce = kmalloc(MIN(len, (size_t)INPUT_BYTES));
	if (!bounce)
		return -ENOMEM;
	mutex_lock(&s->lock);
	for (;;) {
		input_take(s);
		if (s->len || s->eof)
			break;
		r = (f->flags & O_NONBLOCK) ? -EAGAIN
					    : waitq_wait(&s->readers, &s->lock, DEADLINE_NEVER, true);
		if (r)
			break;
	}
	n = r ? 0 : MIN(len, (size_t)s->len);
	if (n) {
		memcpy(bounce, s->input + s->head, n);
		s->head += n;
		s->len -= n;
	}
	mutex_unlock(&s->lock);
	if (n && copy_to_user(buf, bounce, n))
		r = -EFAULT;
	kfree(bounce);
	return r ? r : (ssize_t)n;
}

static ssize_t stream_put(struct stream *s, const char *data, size_t len)
{
	ssize_t r;

	mutex_lock(&s->out_lock);
	r = s->port->write(s->port, data, len);
	mutex_unlock(&s->out_lock);
	return r;
}

static ssize_t stream_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct stream *s = stream_of(f);
	char small[256], *bounce = small;
	size_t done = 0, size = sizeof(small);
	ssize_t r = 0;

	if (s->which == 0 && !console_is_tty())
		return -EBADF;
	if (s->which == 0)
		s = &streams[1];
	if (len > sizeof(small)) {
		bounce = kmalloc(CHUNK_BYTES);
		size = CHUNK_BYTES;
		if (!bounce)
			return -ENOMEM;
	}
	while (done < len) {
		size_t n = MIN(len - done, size);
		size_t missing = copy_from_user_partial(bounce, buf + done, n);

		n -= missing;
		r = n ? stream_put(s, bounce, n) : 0;
		if (r > 0)
			done += r;
		if (r >= 0 && missing)
			r = -EFAULT;
		if (r < 0)
			break;
	}
	if (bounce != small)
		kfree(bounce);
	return done ? (ssize_t)done : r;
}

static unsigned stream_poll(struct file *f, struct poll_table *pt)
{
	struct stream *s = stream_of(f);
	unsigned events = 0;

	if (s->which != 0 && !console_is_tty())
		return EPOLLOUT | EPOLLWRNORM;
	if (console_is_tty())
		events = EPOLLOUT | EPOLLWRNORM;
	s = &streams[0];
	mutex_lock(&s->lock);
	poll_attach(pt, &s->readers, &s->lock);
	input_take(s);
	if (s->len)
		events |= EPOLLIN | EPOLLRDNORM;
	else if (s->eof)
		events |= console_is_tty() ? EPOLLIN | EPOLLRDNORM : EPOLLHUP;
	mutex_unlock(&s->lock);
	return events;
}

static long tty_ioctl(struct stream *s, unsigned cmd, uaddr_t arg)
{
	struct winsize ws = { 0 };
	unsigned rows, columns;

	switch (cmd) {
	case TCGETS:
		return copy_to_user(arg, &tty_modes, sizeof(tty_modes));
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		/* Kept for who asks; the terminal itself stays as the host has it. */
		return copy_from_user(&tty_modes, arg, sizeof(tty_modes));
	case TIOCGWINSZ:
		machine_terminal_size(&rows, &columns);
		ws.ws_row = rows;
		ws.ws_col = columns;
		return copy_to_user(arg, &ws, sizeof(ws));
	case TIOCSWINSZ:
		return 0;
	case TIOCGPGRP: {
		int pgrp = atomic_load(&tty_pgrp);

		pgrp = pgrp ? pgrp : current_process()->pgid;
		return put_user(arg, pgrp);
	}
	case TIOCSPGRP: {
		int pgrp;

		if (get_user(pgrp, arg))
			return -EFAULT;
		atomic_store(&tty_pgrp, pgrp);
		return 0;
	}
	default:
		return -ENOTTY;
	}
}

static long stream_ioctl(struct file *f, unsigned cmd, uaddr_t arg)
{
	struct stream *s = stream_of(f);
	int n = 0;

	if (cmd == FIONREAD) {
		struct stream *in = console_is_tty() ? &streams[0] : s;

		if (in->which == 0) {
			mutex_lock(&in->lock);
			input_take(in);
			n = in->len;
			mutex_unlock(&in->lock);
		}
		return put_user(arg, n);
	}
	return console_is_tty() ? tty_ioctl(s, cmd, arg) : -ENOTTY;
}

static const struct file_ops stream_ops = {
	.read = stream_read,
	.write = stream_write,
	.poll = stream_poll,
	.ioctl = stream_ioctl,
};

static int stream_open(struct inode *inode, struct file *f)
{
	return 0; /* opening /dev/stdout or /proc/self/fd/1: another file on the same stream */
}

static void stream_getattr(struct inode *inode, struct kstat *st)
{
	if (console_is_tty()) {
		st->mode = S_IFCHR | 0620;
		st->rdev = 136 << 8; /* pts/0, as under a terminal emulator */
		st->blksize = 1024;
	}
}

static ssize_t stream_name(struct inode *inode, char *buf, size_t size)
{
	char text[32];
	size_t n;

	if (console_is_tty())
		n = strlcpy(text, "/dev/console", sizeof(text));
	else
		n = snprintf(text, sizeof(text), "pipe:[%lu]", (unsigned long)inode->ino);
	n = MIN(n, size);
	memcpy(buf, text, n);
	return n;
}

static int stream_setattr(struct inode *inode, const struct inode_attr *attr)
{
	return 0;
}

static void stream_evict(struct inode *inode) {} /* the streams are for ever */

static const struct inode_ops stream_inode_ops = {
	.open = stream_open,
	.getattr = stream_getattr,
	.readlink = stream_name,
	.setattr = stream_setattr,
	.evict = stream_evict,
};

static int stream_init(int which)
{
	static const char *const names[] = { IBRIK_PORT_STDIN, IBRIK_PORT_STDOUT, IBRIK_PORT_STDERR };
	struct stream *s = &streams[which];

	if (s->port)
		return 0;
	if (which == 0 && !s->input) {
		s->input = kmalloc(INPUT_BYTES);
		if (!s->input)
			return -ENOMEM;
	}
	anon_inode_setup(&s->inode, &stream_inode_ops, &stream_ops, S_IFIFO | 0600);
	s->which = which;
	mutex_init(&s->lock, "console input");
	mutex_init(&s->out_lock, "console output");
	waitq_init(&s->readers);
	s->port = console_find(names[which]);
	if (!s->port)
		s->port = console_default();
	if (!s->port)
		return -ENODEV;
	if (which == 0) {
		s->port->notify_arg = s;
		s->port->notify = input_notify;
	}
	return 0;
}

/* The inode of a stream, made at its first use. Referenced; encoded error. */
struct inode *console_inode(int which)
{
	int r = 0;

	mutex_lock(&streams_lock);
	for (int i = 0; i < 3 && !r; i++)
		r = stream_init(i);
	mutex_unlock(&streams_lock);
	if (r)
		return ERR_PTR(r);
	inode_get(&streams[which].inode);
	return &streams[which].inode;
}

struct file *console_file(int which)
{
	struct inode *inode;
	struct file *f;
	unsigned flags = console_is_tty() ? O_RDWR : which ? O_WRONLY : O_RDONLY;

	if (which < 0 || which > 2)
		return ERR_PTR(-EINVAL);
	inode = console_inode(which);
	if (IS_ERR(inode))
		return (struct file *)inode;
	f = file_new(&stream_ops, inode, flags, NULL);
	inode_put(inode);
	return f ? f : ERR_PTR(-ENOMEM);
}
