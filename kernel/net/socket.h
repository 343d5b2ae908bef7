/*
 * kernel/net/socket.h - sockets: what a protocol family implements and what linux/socket.c calls.
 *
 * A family registers a create function; it allocates its own structure around struct socket and sets
 * ops. linux/socket.c translates the system calls: addresses are copied in and out there, data is copied by
 * the family through the message, which describes the application's buffers.
 *
 * An operation that a socket does not have is NULL; the call then answers -EOPNOTSUPP. Operations that
 * may wait honour MSG_DONTWAIT (set from O_NONBLOCK) and the socket's timeouts, and answer
 * socket_interrupted() when a signal ends the wait. A wait ends too when the socket is shut down.
 *
 * Locking: the family's. bind ... recvmsg may run at once in several threads; release runs alone.
 */
#ifndef IBRIK_NET_SOCKET_H
#define IBRIK_NET_SOCKET_H

#include "lib/types.h"
#include "core/mutex.h"
#include "core/waitq.h"

struct file;
struct pagecache;
struct poll_table;
struct socket;

/* Socket types (SOCK_STREAM ...), flags (SOCK_CLOEXEC ...), shutdown's `how` and states of the Linux ABI
 * that the kernel headers of the distribution do not give to programs. */
enum { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3, SOCK_SEQPACKET = 5 };
enum { SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2 };
enum { AF_UNSPEC = 0, AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, AF_NETLINK = 16, AF_MAX = 46 };
enum { SOL_SOCKET = 1, SCM_RIGHTS = 1, SCM_CREDENTIALS = 2 };
enum {
	MSG_OOB = 1,
	MSG_PEEK = 2,
	MSG_CTRUNC = 8,
	MSG_TRUNC = 0x20,
	MSG_DONTWAIT = 0x40,
	MSG_EOR = 0x80,
	MSG_WAITALL = 0x100,
	MSG_ERRQUEUE = 0x2000,
	MSG_NOSIGNAL = 0x4000,
	MSG_MORE = 0x8000,
	MSG_WAITFORONE = 0x10000,
	MSG_CMSG_CLOEXEC = 0x40000000,
};

#define SOCKET_ADDR_MAX 128 /* struct sockaddr_storage */

struct socket_addr {
	unsigned len; /* 0: none */
	union {
		uint16_t family;
		char bytes[SOCKET_ADDR_MAX];
	};
};

struct socket_ucred { /* struct ucred */
	int32_t pid;
	uint32_t uid, gid;
};

struct socket_iov { /* struct iovec */
	uaddr_t base;
	uint64_t len;
};

#define SOCKET_MAX_FDS 253 /* SCM_MAX_FD */

/* struct cmsghdr: the data follow, and the next one at a multiple of 8. */
struct socket_cmsg {
	uint64_t len; /* with the header */
	int32_t level, type;
	uint8_t data[];
};

/* Control messages for the application, one behind the other as they will stand there. */
struct socket_control {
	unsigned used;
	_Alignas(8) uint8_t bytes[384];
};

/* One sendmsg or recvmsg. */
struct socket_msg {
	struct socket_iov *iov;
	unsigned niov;
	size_t len;               /* sum of the buffers */
	size_t skip;              /* bytes of iov[0] that are done: socket_msg_*() move on */
	struct pagecache *file;   /* send, to sockets whose ops send files: the bytes lie there, from file_pos on, and there is no iov; or NULL */
	uint64_t file_pos;
	struct socket_addr *addr; /* send: destination (len 0: none); receive: filled by the family */
	struct file **files;      /* SCM_RIGHTS; send: referenced, the family may take them (nfiles = 0);
				     receive: room for SOCKET_MAX_FDS, or NULL if not wanted */
	unsigned nfiles;
	struct socket_ucred cred; /* SCM_CREDENTIALS of what was received */
	bool has_cred;
	const uint8_t *control_in; /* send: the control messages, checked: lengths are right, those of SOL_SOCKET have been dealt with */
	size_t control_len;
	struct socket_control *control; /* receive: NULL if the application has no room for any */
	unsigned flags;           /* receive: MSG_TRUNC, MSG_CTRUNC ... for msg_flags */
};

/* Adds a control message, or sets MSG_CTRUNC if nobody wants any. */
void socket_control_put(struct socket_msg *m, int level, int type, const void *data, unsigned len);
/* The first or next one of a message to be sent, NULL behind the last. */
const struct socket_cmsg *socket_cmsg_next(const struct socket_msg *m, const struct socket_cmsg *c);
static inline size_t socket_cmsg_len(const struct socket_cmsg *c) { return c->len - sizeof(*c); }

/* Copies n bytes from or to the application's buffers and moves on; n is at most what is left. 0 or -EFAULT; from a file also what reading it
 * says, and -ENODATA if it ends before. May sleep. */
int socket_msg_get(struct socket_msg *m, void *to, size_t n);
int socket_msg_put(struct socket_msg *m, const void *from, size_t n);
/* The next piece of the application's buffers, or NULL at the end; socket_msg_advance() after using it. */
struct socket_iov *socket_msg_piece(struct socket_msg *m, uaddr_t *base, size_t *len);
void socket_msg_advance(struct socket_msg *m, size_t n);

/* Whose name: the socket's own, its peer's, or, of a connection that has just been accepted and may be over already, its peer's all the same. */
enum socket_whose { SOCKET_OWN, SOCKET_PEER, SOCKET_ACCEPTED };

struct socket_ops {
	int (*bind)(struct socket *s, const struct socket_addr *addr);
	int (*listen)(struct socket *s, int backlog);
	int (*connect)(struct socket *s, const struct socket_addr *addr, int flags);
	/* A connected socket that has no file yet, or an encoded error. */
	struct socket *(*accept)(struct socket *s, int flags);
	/* Makes two new sockets each other's peers. */
	int (*pair)(struct socket *a, struct socket *b);
	ssize_t (*sendmsg)(struct socket *s, struct socket_msg *m, int flags);
	ssize_t (*recvmsg)(struct socket *s, struct socket_msg *m, int flags);
	bool sends_files; /* sendmsg reads its bytes by socket_msg_get() alone: they may be a file's */
	int (*shutdown)(struct socket *s, int how);
	int (*getname)(struct socket *s, struct socket_addr *addr, enum socket_whose whose);
	/* Options, before linux/socket_option.c is asked. value is in kernel memory; getopt: *len is the application's room, then the value's. */
	int (*setopt)(struct socket *s, int level, int name, const void *value, unsigned len);
	int (*getopt)(struct socket *s, int level, int name, void *value, unsigned *len);
	unsigned (*poll)(struct socket *s, struct poll_table *pt);
	long (*ioctl)(struct socket *s, unsigned cmd, uaddr_t arg);
	/* The file has gone; wakes nobody's caller, since none is left. Frees the socket. */
	void (*release)(struct socket *s);
};

struct socket {
	const struct socket_ops *ops;
	int domain, type, protocol;
	bool listening;
	uint64_t ino;               /* of its file; 0 while it has none */
	_Atomic uint64_t recv_timeout_ns, send_timeout_ns; /* 0: none */
	_Atomic int error;          /* SO_ERROR: positive errno, cleared by reading it */
	_Atomic int linger_seconds; /* SO_LINGER, -1: off */
	_Atomic int sndbuf, rcvbuf; /* as set; what they mean is the family's */
	_Atomic int rcvlowat;       /* SO_RCVLOWAT, 1 at least: what a read of a stream waits for */
	_Atomic int priority;       /* SO_PRIORITY, only recorded */
	_Atomic uint64_t cookie;    /* SO_COOKIE, 0: nobody has asked */
	_Atomic uint64_t options;   /* bit per boolean option that is only recorded: see linux/socket_option.c */
};

struct socket_family {
	int domain;
	/* A new socket or an encoded error: -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -ENOMEM ... */
	struct socket *(*create)(int type, int protocol);
};

/* Once for each domain, at boot. */
void socket_family_register(const struct socket_family *f);

/* Fills the common part of a new socket. */
void socket_init(struct socket *s, const struct socket_ops *ops, int domain, int type, int protocol);
/* What SO_RCVBUF and SO_SNDBUF record of the value that was asked for: Linux doubles it, within bounds. */
#define SOCKET_RCVBUF_MIN 1152
#define SOCKET_SNDBUF_MIN 2304
unsigned socket_buffer_size(int value, unsigned least);
/* The deadline of a wait: DEADLINE_NEVER, 0 (do not wait), or by the timeout. */
uint64_t socket_deadline(uint64_t timeout_ns, int flags);
/* What a wait that ended with r (-EINTR or -ETIMEDOUT) answers: restartable only without a timeout. */
int socket_interrupted(int r, uint64_t deadline);
/* Takes the pending error: 0 or -errno. */
int socket_take_error(struct socket *s);
bool socket_option_on(const struct socket *s, int name);
/* How many bytes a read of a stream into that many waits for. */
static inline size_t socket_least(const struct socket *s, size_t len, int flags)
{
	return flags & MSG_WAITALL ? len : MIN(len, (size_t)atomic_load_explicit(&s->rcvlowat, memory_order_relaxed));
}

/* A file on the socket, which it owns from then on; on failure the socket is released. */
struct file *socket_file_new(struct socket *s, unsigned flags);
/* NULL if the file is no socket. */
struct socket *socket_of_file(struct file *f);
/* sendmsg by a file on it: without waiting if that does not, and with SIGPIPE. */
ssize_t socket_send(struct file *f, struct socket *s, struct socket_msg *m, int flags);

#endif
