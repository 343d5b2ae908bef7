/*
 * tests/unit/io_unix_test.c - AF_UNIX sockets on the host: streams under load, connections that come and go,
 * descriptors under way, every allocation failing once. What Linux does is compared by tests/guest/sockets.c.
 */
// sources: tests/unit/io_shim.c tests/unit/io_host.c kernel/core/bytering.c kernel/core/mutex.c kernel/core/waitq.c kernel/linux/pipe.c kernel/linux/poll.c kernel/linux/epoll.c kernel/linux/socket.c kernel/linux/socket_msg.c kernel/linux/socket_option.c kernel/net/unix.c kernel/net/unix_data.c kernel/net/unix_name.c
// flags: -Itests/unit -pthread -ffreestanding
#include "io_shim.h"
#include "fs/inode.h"
#include "net/socket.h"
#include <linux/eventpoll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No file is sent through these sockets. */
ssize_t pagecache_read_kernel(struct pagecache *c, uint64_t pos, void *dst, size_t len) { abort(); }

#define NONBLOCK 04000

/* The file system of these tests has no names. */
int path_create(struct dentry *base, const char *path, uint32_t mode, uint64_t rdev, const char *target)
{
	return -EROFS;
}
struct dentry *path_lookup(struct dentry *base, const char *path, unsigned flags) { return ERR_PTR(-ENOENT); }
void dentry_put(struct dentry *d) {}

struct header { uaddr_t name; int namelen, pad; uaddr_t iov; uint64_t iovlen; uaddr_t control; uint64_t controllen; unsigned flags, pad1; };
struct control { uint64_t len; int level, type; int fds[4]; };

static int sv[2];
static long blocks;

static void pair_open(int type)
{
	blocks = io_blocks;
	CHECK_EQ(sys_socketpair(1, type, 0, U(sv)), 0);
}

static void pair_close(void)
{
	io_close(sv[0]);
	io_close(sv[1]);
	CHECK_EQ(io_blocks, blocks);
	CHECK_EQ(io_pages, 0);
}

/* --- streams under load ------------------------------------------------------------------------------ */

#define TOTAL 4000000u

static void stream_writer(void *arg)
{
	static unsigned char buf[30000];
	unsigned at = 0, seed = 5;

	while (at < TOTAL) {
		unsigned n = MIN(1 + rand_r(&seed) % sizeof(buf), TOTAL - at);
		ssize_t w;

		for (unsigned i = 0; i < n; i++)
			buf[i] = (at + i) * 7 / 3;
		w = io_write(sv[0], buf, n);
		CHECK_EQ(w, n);
		at += n;
	}
	CHECK_EQ(sys_shutdown(sv[0], SHUT_WR), 0);
}

static void stream_under_load(void)
{
	static unsigned char buf[20000];
	struct io_thread *t;
	unsigned at = 0, seed = 9;
	ssize_t n;

	pair_open(SOCK_STREAM);
	t = io_thread(stream_writer, NULL);
	while ((n = io_read(sv[1], buf, 1 + rand_r(&seed) % sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			CHECK_EQ(buf[i], (unsigned char)((at + i) * 7 / 3));
		at += n;
	}
	CHECK_EQ(n, 0);
	CHECK_EQ(at, TOTAL);
	io_join(t);
	pair_close();
}

static void record_writer(void *arg)
{
	char buf[3000];
	unsigned seed = 7;

	for (int i = 0; i < 5000; i++) {
		unsigned n = 4 + rand_r(&seed) % (sizeof(buf) - 4);

		memset(buf, i, n);
		memcpy(buf, &i, 4);
		CHECK_EQ(io_write(sv[0], buf, n), n);
	}
	io_close(sv[0]);
}

static void records_under_load(void)
{
	char buf[3000];
	unsigned seed = 7;
	struct io_thread *t;

	pair_open(SOCK_SEQPACKET);
	t = io_thread(record_writer, NULL);
	for (int i = 0; i < 5000; i++) {
		unsigned n = 4 + rand_r(&seed) % (sizeof(buf) - 4);

		CHECK_EQ(io_read(sv[1], buf, sizeof(buf)), n);
		CHECK(!memcmp(buf, &i, 4));
	}
	CHECK_EQ(io_read(sv[1], buf, sizeof(buf)), 0);
	io_join(t);
	pair_close();
}

/* --- connections ---------------------------------------------------------------------------------------- */

static const char name[] = "\1\0\0service";
#define NAME U(name)
#define NAME_LEN (sizeof(name) - 1)
static _Atomic int served;

static void server(void *arg)
{
	int l = (int)(intptr_t)arg;
	char c;

	for (;;) {
		long s = sys_accept(l, 0, 0);

		if (s == -EINVAL)
			return;
		CHECK(s >= 0);
		CHECK_EQ(io_read(s, &c, 1), 1);
		CHECK_EQ(io_write(s, &c, 1), 1);
		served++;
		io_close(s);
	}
}

static void client(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		int s = sys_socket(1, SOCK_STREAM, 0);
		char c = i;

		CHECK_EQ(sys_connect(s, NAME, NAME_LEN), 0);
		CHECK_EQ(io_write(s, &c, 1), 1);
		CHECK_EQ(io_read(s, &c, 1), 1);
		CHECK_EQ(c, (char)i);
		io_close(s);
	}
}

/* Connects and leaves at once, also while it waits in the backlog. */
static void rude_client(void *arg)
{
	for (int i = 0; i < 500; i++) {
		int s = sys_socket(1, SOCK_STREAM | NONBLOCK, 0);

		sys_connect(s, U("\1\0\0rude"), 7);
		io_close(s);
	}
}

static void connections_come_and_go(void)
{
	struct io_thread *c[3], *s[2], *r[2];
	int l, rude;

	blocks = io_blocks;
	l = sys_socket(1, SOCK_STREAM, 0);
	CHECK_EQ(sys_bind(l, NAME, NAME_LEN), 0);
	CHECK_EQ(sys_listen(l, 1), 0);
	rude = sys_socket(1, SOCK_STREAM, 0);
	CHECK_EQ(sys_bind(rude, U("\1\0\0rude"), 7), 0);
	CHECK_EQ(sys_listen(rude, 2), 0);
	for (int i = 0; i < 2; i++) {
		s[i] = io_thread(server, (void *)(intptr_t)l);
		r[i] = io_thread(rude_client, NULL);
	}
	for (int i = 0; i < 3; i++)
		c[i] = io_thread(client, NULL);
	for (int i = 0; i < 3; i++)
		io_join(c[i]);
	CHECK_EQ(sys_shutdown(l, SHUT_RDWR), 0);
	for (int i = 0; i < 2; i++) {
		io_join(s[i]);
		io_join(r[i]);
	}
	CHECK_EQ(served, 3000);
	io_close(l);
	io_close(rude);
	CHECK_EQ(io_blocks, blocks);
	CHECK_EQ(io_pages, 0);
}

/* --- descriptors ------------------------------------------------------------------------------------------ */

static long send_fd(int fd, const char *text, int passed)
{
	struct { uaddr_t base; uint64_t len; } iov = { U(text), strlen(text) };
	struct control c = { .len = 20, .level = 1, .type = 1, .fds = { passed } };
	struct header h = { .iov = U(&iov), .iovlen = 1, .control = U(&c), .controllen = 24 };

	return sys_sendmsg(fd, U(&h), 0);
}

static void descriptors_do_not_leak(void)
{
	int q[2];
	char buf[8];

	for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
		if (type == SOCK_RAW || type == 4)
			continue;
		pair_open(type);
		CHECK_EQ(sys_pipe2(U(q), 0), 0);
		CHECK_EQ(send_fd(sv[0], "ab", q[0]), 2);
		CHECK_EQ(send_fd(sv[0], "cd", q[0]), 2);
		CHECK_EQ(send_fd(sv[0], "ef", 999), -EBADF);
		io_close(q[0]);
		CHECK_EQ(io_write(q[1], "x", 1), 1); /* its reader is under way */
		CHECK_EQ(io_read(sv[1], buf, 8), 2); /* dropped: read() takes no descriptors */
		CHECK_EQ(io_write(q[1], "x", 1), 1);
		io_close(sv[1]);
		CHECK_EQ(io_write(q[1], "x", 1), -EPIPE);
		io_close(q[1]);
		pair_close();
	}
}

/* --- failures ------------------------------------------------------------------------------------------------ */

static void every_allocation_may_fail(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int connected = 0;

	for (int n = 0; n < 60; n++) {
		int l, c, s, ep;

		blocks = io_blocks;
		atomic_store(&io_fail_after, n);
		l = sys_socket(1, SOCK_STREAM, 0);
		c = sys_socket(1, SOCK_STREAM, 0);
		ep = sys_epoll_create1(0);
		sys_epoll_ctl(ep, EPOLL_CTL_ADD, l, U(&e));
		sys_epoll_ctl(ep, EPOLL_CTL_ADD, c, U(&e));
		if (l >= 0 && !sys_bind(l, NAME, NAME_LEN) && !sys_listen(l, 1)) {
			if (c >= 0 && !sys_connect(c, NAME, NAME_LEN)) {
				s = sys_accept4(l, 0, 0, NONBLOCK);
				if (s >= 0) {
					send_fd(c, "hello", ep);
					connected++;
					io_close(s);
				}
			}
		}
		if (c >= 0)
			io_close(c);
		if (l >= 0)
			io_close(l);
		if (ep >= 0)
			io_close(ep);
		atomic_store(&io_fail_after, -1);
		CHECK_EQ(io_blocks, blocks);
		CHECK_EQ(io_pages, 0);
	}
	CHECK(connected > 10);
}

static void datagrams_change_peers(void)
{
	int a, b, c, ep;
	struct epoll_event e = { .events = EPOLLOUT | EPOLLET };
	char buf[60000] = "";

	blocks = io_blocks;
	a = sys_socket(1, SOCK_DGRAM | NONBLOCK, 0);
	b = sys_socket(1, SOCK_DGRAM | NONBLOCK, 0);
	c = sys_socket(1, SOCK_DGRAM | NONBLOCK, 0);
	ep = sys_epoll_create1(0);
	CHECK_EQ(sys_bind(b, U("\1\0\0b"), 4), 0);
	CHECK_EQ(sys_bind(c, U("\1\0\0c"), 4), 0);
	CHECK_EQ(sys_connect(a, U("\1\0\0b"), 4), 0);
	CHECK_EQ(sys_epoll_ctl(ep, EPOLL_CTL_ADD, a, U(&e)), 0);
	CHECK_EQ(sys_epoll_wait(ep, U(&e), 1, 0), 1);
	while (io_write(a, buf, sizeof(buf)) > 0)
		;
	CHECK_EQ(sys_connect(a, U("\1\0\0c"), 4), 0);
	CHECK_EQ(io_write(a, "1", 1), 1);
	CHECK_EQ(io_read(c, buf, 10), 1);
	io_close(b);
	io_close(c);
	CHECK_EQ(io_write(a, "1", 1), -ECONNREFUSED);
	io_close(a);
	io_close(ep);
	CHECK_EQ(io_blocks, blocks);
}

static const char *const receivers[] = { "\1\0\0d", "\1\0\0e" };
static _Atomic bool load_ends;

/* Is there and gone, in turns; takes what comes meanwhile. */
static void fickle_receiver(void *arg)
{
	char buf[100];

	while (!load_ends) {
		int s = sys_socket(1, SOCK_DGRAM | NONBLOCK, 0);

		CHECK_EQ(sys_bind(s, U(arg), 4), 0);
		for (int i = 0; i < 300; i++)
			while (io_read(s, buf, sizeof(buf)) >= 0)
				;
		io_close(s);
	}
}

/* Turns from one receiver to the other while it is watched for room. */
static void fickle_sender(void *arg)
{
	struct epoll_event e = { .events = EPOLLOUT | EPOLLET };
	int s = sys_socket(1, SOCK_DGRAM | NONBLOCK, 0), ep = sys_epoll_create1(0);
	char peer[130];
	int len;

	CHECK_EQ(sys_epoll_ctl(ep, EPOLL_CTL_ADD, s, U(&e)), 0);
	for (int i = 0; i < 3000; i++) {
		sys_connect(s, U(receivers[i & 1]), 4);
		while (io_write(s, "", 1) == 1)
			;
		len = sizeof(peer);
		sys_getpeername(s, U(peer), U(&len));
		CHECK(sys_epoll_wait(ep, U(&e), 1, 0) >= 0);
	}
	io_close(s);
	io_close(ep);
}

static void peers_change_under_load(void)
{
	struct io_thread *s[3], *r[2];

	blocks = io_blocks;
	for (int i = 0; i < 2; i++)
		r[i] = io_thread(fickle_receiver, (void *)receivers[i]);
	for (int i = 0; i < 3; i++)
		s[i] = io_thread(fickle_sender, NULL);
	for (int i = 0; i < 3; i++)
		io_join(s[i]);
	load_ends = true;
	for (int i = 0; i < 2; i++)
		io_join(r[i]);
	CHECK_EQ(io_blocks, blocks);
}

int main(void)
{
	io_init();
	RUN(stream_under_load);
	RUN(records_under_load);
	RUN(connections_come_and_go);
	RUN(descriptors_do_not_leak);
	RUN(every_allocation_may_fail);
	RUN(datagrams_change_peers);
	RUN(peers_change_under_load);
	return 0;
}
