/*
 * tests/guest/sockets.c - AF_UNIX sockets with names, what is passed along, readiness, and epoll's corners.
 */
#include "net.h"
#include "waits.h"
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <sys/un.h>

static socklen_t abstract(struct sockaddr_un *a, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	return offsetof(struct sockaddr_un, sun_path) + 1 +
	       snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "ibrik.%d.%s", getpid(), name);
}

static int named_listener(const char *name, int type, int backlog, struct sockaddr_un *a, socklen_t *len)
{
	int fd = CHECK_OK(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));

	*len = abstract(a, name);
	CHECK_OK(bind(fd, (struct sockaddr *)a, *len));
	CHECK_OK(listen(fd, backlog));
	return fd;
}

TEST(a_client_connects_by_an_abstract_name)
{
	struct sockaddr_un a, got;
	socklen_t len, n;
	int l = named_listener("one", SOCK_STREAM, 5, &a, &len), c, s;
	char buf[16];

	CHECK_EQ(events_of(l, POLLIN | POLLOUT, 0), 0);
	c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_EQ(events_of(c, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
	CHECK_OK(connect(c, (struct sockaddr *)&a, len));
	CHECK_ERR(connect(c, (struct sockaddr *)&a, len), EISCONN);
	CHECK_EQ(events_of(l, POLLIN, 0), POLLIN);
	CHECK_EQ(CHECK_OK(write(c, "early", 5)), 5);
	n = sizeof(got);
	s = CHECK_OK(accept4(l, (struct sockaddr *)&got, &n, SOCK_CLOEXEC));
	CHECK_EQ(n, sizeof(sa_family_t));
	CHECK_EQ(got.sun_family, AF_UNIX);
	CHECK_EQ(CHECK_OK(read(s, buf, sizeof(buf))), 5);
	n = sizeof(got);
	CHECK_OK(getpeername(c, (struct sockaddr *)&got, &n));
	CHECK_EQ(n, len);
	CHECK(!memcmp(&got, &a, len));
	n = sizeof(got);
	CHECK_OK(getsockname(s, (struct sockaddr *)&got, &n));
	CHECK_EQ(n, len);
	CHECK_ERR(bind(c, (struct sockaddr *)&a, len), EADDRINUSE);
	close(l);
	CHECK_EQ(CHECK_OK(write(s, "late", 4)), 4);
	CHECK_EQ(CHECK_OK(read(c, buf, sizeof(buf))), 4);
	close(c);
	close(s);
	c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_ERR(connect(c, (struct sockaddr *)&a, len), ECONNREFUSED);
	close(c);
}

TEST(a_client_connects_by_a_path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct stat st;
	int l = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), c, s, d;

	strcpy(a.sun_path, scratch("socket"));
	CHECK_OK(bind(l, (struct sockaddr *)&a, sizeof(a)));
	CHECK_OK(lstat(a.sun_path, &st));
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_ERR(open(a.sun_path, O_RDWR), ENXIO);
	c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	CHECK_OK(listen(l, 1));
	d = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_ERR(connect(d, (struct sockaddr *)&a, sizeof(a)), EPROTOTYPE);
	CHECK_ERR(bind(d, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	CHECK_OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(unlink(a.sun_path));
	CHECK_EQ(CHECK_OK(write(c, "x", 1)), 1);
	close(c);
	c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), ENOENT);
	close(l);
	close(c);
	close(s);
	close(d);
}

TEST(addresses_and_states_are_checked)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), one = 1;
	socklen_t len = sizeof(one);
	char c;

	CHECK_ERR(socket(AF_UNIX, SOCK_STREAM, 5), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_UNIX, 0x7000, 0), EINVAL);
	CHECK_ERR(socket(45, SOCK_STREAM, 0), EAFNOSUPPORT);
	CHECK_ERR(listen(s, 1), EINVAL);
	CHECK_ERR(accept(s, NULL, NULL), EINVAL);
	CHECK_ERR(read(s, &c, 1), EINVAL);
	CHECK_ERR(send(s, &c, 1, 0), ENOTCONN);
	CHECK_ERR(shutdown(s, 3), EINVAL);
	CHECK_ERR(getpeername(s, (struct sockaddr *)&a, &len), ENOTCONN);
	CHECK_ERR(bind(s, (struct sockaddr *)&a, 200), EINVAL);
	a.sun_family = AF_INET;
	CHECK_ERR(bind(s, (struct sockaddr *)&a, sizeof(a)), EINVAL);
	CHECK_ERR(connect(s, (struct sockaddr *)&a, sizeof(a)), EINVAL);
	CHECK_ERR(recv(1, &c, 1, 0), ENOTSOCK);
	CHECK_ERR(recv(-1, &c, 1, 0), EBADF);
	CHECK_ERR(setsockopt(s, SOL_SOCKET, 9999, &one, sizeof(one)), ENOPROTOOPT);
	CHECK_ERR(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 1), EINVAL);
	len = sizeof(one);
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_TYPE, &one, &len));
	CHECK_EQ(one, SOCK_STREAM);
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &one, &len));
	CHECK_EQ(one, AF_UNIX);
	one = 5000;
	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &one, sizeof(one)));
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &one, &len));
	CHECK_EQ(one, 10000);
	CHECK_EQ(sys(SYS_connect, s, BAD_PTR, 10), -EFAULT);
	close(s);
}

TEST(bind_without_a_name_makes_one)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(a);
	int s = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));

	CHECK_OK(bind(s, (struct sockaddr *)&a, sizeof(sa_family_t)));
	CHECK_OK(getsockname(s, (struct sockaddr *)&a, &len));
	CHECK_EQ(len, sizeof(sa_family_t) + 6);
	CHECK_EQ(a.sun_path[0], 0);
	close(s);
}

TEST(the_peer_tells_who_it_is)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int s[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &cred, &len));
	CHECK_EQ(len, sizeof(cred));
	CHECK_EQ(cred.pid, getpid());
	CHECK_EQ(cred.uid, getuid());
	close(s[0]);
	close(s[1]);
}

TEST(a_listener_takes_its_backlog_and_no_more)
{
	struct sockaddr_un a;
	socklen_t len;
	int l = named_listener("full", SOCK_STREAM, 1, &a, &len), c[4], s;

	for (int i = 0; i < 4; i++)
		c[i] = CHECK_OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_OK(connect(c[0], (struct sockaddr *)&a, len));
	CHECK_OK(connect(c[1], (struct sockaddr *)&a, len));
	CHECK_ERR(connect(c[2], (struct sockaddr *)&a, len), EAGAIN);
	s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(connect(c[2], (struct sockaddr *)&a, len));
	close(l); /* those that were not accepted are reset */
	CHECK_EQ(events_of(c[1], POLLIN, 0) & POLLHUP, POLLHUP);
	CHECK_ERR(read(c[1], &a, 1), ECONNRESET);
	CHECK_EQ(read(c[1], &a, 1), 0);
	close(s);
	CHECK_EQ(read(c[0], &a, 1), 0);
	for (int i = 0; i < 4; i++)
		close(c[i]);
}

static long call_send_much(int fd)
{
	static char big[1 << 20];

	return send(fd, big, sizeof(big), MSG_NOSIGNAL);
}

TEST(shutdown_ends_blocked_calls)
{
	struct blocked a = { .call = call_accept }, r = { .call = call_read }, w = { .call = call_send_much };
	struct sockaddr_un name;
	socklen_t len;
	int s[2];

	a.fd = named_listener("shut", SOCK_STREAM, 1, &name, &len);
	blocked_start(&a);
	CHECK_OK(shutdown(a.fd, SHUT_RDWR));
	blocked_end(&a, -1, EINVAL);
	close(a.fd);

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	r.fd = s[0];
	blocked_start(&r);
	CHECK_OK(shutdown(s[0], SHUT_RDWR));
	blocked_end(&r, 0, 0);
	close(s[0]);
	close(s[1]);

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	w.fd = s[0];
	blocked_start(&w);
	close(s[1]);
	pthread_join(w.thread, NULL);
	CHECK(w.result > 0 || (w.result == -1 && w.error == EPIPE));
	close(s[0]);
}

TEST(a_signal_ends_or_restarts_a_read)
{
	struct blocked b = { .call = call_read };
	struct timeval tv = { 15, 0 };
	int s[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	b.fd = s[0];
	handle(SIGUSR1, on_wake, 0);
	blocked_start(&b);
	CHECK_EQ(pthread_kill(b.thread, SIGUSR1), 0);
	blocked_end(&b, -1, EINTR);
	handle(SIGUSR1, on_wake, SA_RESTART);
	blocked_start(&b);
	blocked_restarts(&b, SIGUSR1);
	CHECK_OK(write(s[1], "x", 1));
	blocked_end(&b, 1, 0);
	/* With a timeout it is never restarted. */
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	blocked_start(&b);
	CHECK_EQ(pthread_kill(b.thread, SIGUSR1), 0);
	blocked_end(&b, -1, EINTR);
	close(s[0]);
	close(s[1]);
}

TEST(timeouts_end_waits)
{
	struct timeval tv = { 0, 40000 }, got;
	socklen_t len = sizeof(got);
	int64_t start;
	int s[2];
	char c;

	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
	CHECK_EQ(got.tv_usec, 40000);
	start = now_ns();
	CHECK_ERR(recv(s[0], &c, 1, 0), EAGAIN);
	CHECK(now_ns() - start >= 39000000);
	CHECK_ERR(recv(s[0], &c, 1, MSG_DONTWAIT), EAGAIN);
	close(s[0]);
	close(s[1]);
}

TEST(peek_leaves_and_waitall_waits)
{
	char buf[16] = "";
	struct blocked b = { .call = call_send_much };
	pthread_t t;
	int s[2], n;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(write(s[0], "abcdef", 6));
	CHECK_OK(ioctl(s[1], FIONREAD, &n));
	CHECK_EQ(n, 6);
	CHECK_EQ(CHECK_OK(recv(s[1], buf, 4, MSG_PEEK)), 4);
	CHECK(!memcmp(buf, "abcd", 4));
	CHECK_EQ(CHECK_OK(recv(s[1], buf, 2, 0)), 2);
	CHECK(!memcmp(buf, "ab", 2));
	b.fd = s[0];
	t = thread_start(blocked_thread, &b);
	CHECK_EQ(CHECK_OK(recv(s[1], buf, 10, MSG_WAITALL)), 10);
	CHECK(!memcmp(buf, "cdef\0\0\0\0\0\0", 10));
	close(s[1]);
	pthread_join(t, NULL);
	close(s[0]);
}

TEST(descriptors_travel_with_bytes)
{
	char control[CMSG_SPACE(2 * sizeof(int))], byte[8] = "x";
	struct iovec iov = { byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int s[2], p[2], got[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(pipe(p));
	memset(control, 0, sizeof(control));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(p));
	memcpy(CMSG_DATA(c), p, sizeof(p));
	CHECK_OK(write(s[0], "abc", 3));
	CHECK_EQ(CHECK_OK(sendmsg(s[0], &m, 0)), 1);
	CHECK_OK(write(s[0], "def", 3));
	close(p[0]);
	close(p[1]);
	/* A read ends with the byte that carries them. */
	iov.iov_len = 2;
	m.msg_controllen = sizeof(control);
	CHECK_EQ(CHECK_OK(recvmsg(s[1], &m, 0)), 2);
	CHECK_EQ(m.msg_controllen, 0);
	iov.iov_len = sizeof(byte);
	m.msg_controllen = sizeof(control);
	CHECK_EQ(CHECK_OK(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC)), 2);
	CHECK(!memcmp(byte, "cx", 2));
	c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(p)));
	memcpy(got, CMSG_DATA(c), sizeof(got));
	CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	CHECK_OK(write(got[1], "y", 1));
	CHECK_EQ(CHECK_OK(read(got[0], byte, 1)), 1);
	close(got[0]);
	close(got[1]);
	/* Without room they are dropped and that is said. */
	CHECK_OK(pipe(p));
	m.msg_controllen = sizeof(control);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(p));
	memcpy(CMSG_DATA(c), p, sizeof(p));
	iov.iov_len = 1;
	while (recv(s[1], byte, sizeof(byte), MSG_DONTWAIT) > 0)
		;
	CHECK_OK(sendmsg(s[0], &m, 0));
	m.msg_control = NULL;
	m.msg_controllen = 0;
	CHECK_EQ(CHECK_OK(recvmsg(s[1], &m, 0)), 1);
	CHECK_EQ(m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
	close(p[1]);
	CHECK_EQ(CHECK_OK(read(p[0], byte, 1)), 0);
	close(p[0]);
	close(s[0]);
	close(s[1]);
}

TEST(datagrams_know_their_sender)
{
	struct sockaddr_un a, b, got;
	socklen_t la = abstract(&a, "da"), lb = abstract(&b, "db"), n = sizeof(got);
	int x = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)), y = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)), z;
	char buf[8];

	CHECK_OK(bind(x, (struct sockaddr *)&a, la));
	CHECK_OK(bind(y, (struct sockaddr *)&b, lb));
	CHECK_EQ(CHECK_OK(sendto(x, "hello", 5, 0, (struct sockaddr *)&b, lb)), 5);
	CHECK_EQ(CHECK_OK(sendto(x, "", 0, 0, (struct sockaddr *)&b, lb)), 0);
	CHECK_EQ(CHECK_OK(recvfrom(y, buf, 2, MSG_TRUNC, (struct sockaddr *)&got, &n)), 5);
	CHECK_EQ(n, la);
	CHECK(!memcmp(&got, &a, la));
	CHECK_EQ(CHECK_OK(recv(y, buf, 2, 0)), 0);
	CHECK_ERR(send(x, "x", 1, 0), ENOTCONN);
	CHECK_OK(connect(x, (struct sockaddr *)&b, lb));
	CHECK_EQ(CHECK_OK(send(x, "x", 1, 0)), 1);
	/* y answers to x only, once it is connected. */
	CHECK_OK(connect(y, (struct sockaddr *)&a, la));
	z = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_ERR(sendto(z, "x", 1, 0, (struct sockaddr *)&b, lb), EPERM);
	close(y);
	CHECK_ERR(send(x, "x", 1, 0), ECONNREFUSED);
	CHECK_ERR(sendto(z, "x", 1, 0, (struct sockaddr *)&b, lb), ECONNREFUSED);
	close(x);
	close(z);
}

TEST(records_keep_their_borders)
{
	int s[2];
	char buf[16];
	struct iovec v[2] = { { "ab", 2 }, { "cd", 2 } };

	CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	CHECK_EQ(CHECK_OK(writev(s[0], v, 2)), 4);
	CHECK_EQ(CHECK_OK(write(s[0], "efg", 3)), 3);
	CHECK_EQ(CHECK_OK(read(s[1], buf, sizeof(buf))), 4);
	CHECK_EQ(CHECK_OK(read(s[1], buf, 1)), 1);
	CHECK_EQ(recv(s[1], buf, 1, MSG_DONTWAIT), -1);
	close(s[0]);
	CHECK_EQ(read(s[1], buf, 1), 0);
	CHECK_EQ(events_of(s[1], POLLIN, 0), POLLIN | POLLHUP);
	close(s[1]);
}

TEST(readiness_of_a_stream_follows_its_peer)
{
	static char big[1 << 16];
	struct epoll_event e = { .events = EPOLLOUT | EPOLLIN | EPOLLRDHUP | EPOLLET };
	int s[2], ep = CHECK_OK(epoll_create1(0));

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	CHECK_EQ(events_of(s[0], POLLIN | POLLOUT, 0), POLLOUT);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &e));
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
	CHECK_EQ(e.events, EPOLLOUT);
	while (write(s[0], big, sizeof(big)) > 0)
		;
	CHECK_EQ(events_of(s[0], POLLIN | POLLOUT, 0), 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	while (read(s[1], big, sizeof(big)) > 0)
		;
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
	CHECK(e.events & EPOLLOUT);
	CHECK_OK(shutdown(s[1], SHUT_WR));
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
	CHECK_EQ(e.events, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	CHECK_EQ(events_of(s[0], POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_OK(shutdown(s[1], SHUT_RD));
	CHECK_EQ(events_of(s[0], POLLIN, 0) & POLLHUP, POLLHUP);
	CHECK_ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(s[0]);
	close(s[1]);
	close(ep);
}

static void *echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[5000];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, w; at < n; at += w)
			if ((w = write(fd, buf + at, n - at)) < 0)
				return NULL;
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void *stream_sender(void *arg)
{
	int fd = (int)(intptr_t)arg;
	unsigned char buf[7000];
	unsigned at = 0;

	while (at < 3000000) {
		unsigned n = 1 + at * 7 % sizeof(buf);

		for (unsigned i = 0; i < n; i++)
			buf[i] = (at + i) % 251;
		for (unsigned done = 0; done < n;) {
			ssize_t w = write(fd, buf + done, n - done);

			if (w < 0)
				return NULL;
			done += w;
		}
		at += n;
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

TEST(megabytes_go_there_and_back)
{
	int s[2];
	unsigned char buf[9000];
	unsigned at = 0;
	ssize_t n;
	pthread_t a, b;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	a = thread_start(echo, (void *)(intptr_t)s[1]);
	b = thread_start(stream_sender, (void *)(intptr_t)s[0]);
	while ((n = CHECK_OK(read(s[0], buf, sizeof(buf)))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			CHECK_EQ(buf[i], (at + i) % 251);
		at += n;
	}
	CHECK(at >= 3000000);
	pthread_join(b, NULL);
	pthread_join(a, NULL);
	close(s[0]);
	close(s[1]);
}

static void *connector(void *arg)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "busy");
	long failed = 0;
	char c;

	(void)arg;
	for (int i = 0; i < 200; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&a, len) || write(fd, "?", 1) != 1 ||
		    read(fd, &c, 1) != 1 || c != '!')
			failed++;
		close(fd);
	}
	return (void *)failed;
}

TEST(many_clients_are_served)
{
	struct sockaddr_un a;
	socklen_t len;
	int l = named_listener("busy", SOCK_STREAM, 2, &a, &len);
	pthread_t t[4];
	void *failed;
	char c;

	for (int i = 0; i < 4; i++)
		t[i] = thread_start(connector, NULL);
	for (int i = 0; i < 800; i++) {
		int s = CHECK_OK(accept(l, NULL, NULL));

		CHECK_EQ(CHECK_OK(read(s, &c, 1)), 1);
		CHECK_OK(write(s, "!", 1));
		close(s);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &failed);
		CHECK_EQ((long)failed, 0);
	}
	close(l);
}

/* --- epoll's corners ---------------------------------------------------------------------------------- */

TEST(epoll_nesting_has_a_limit_and_no_loops)
{
	struct epoll_event e = { .events = EPOLLIN };
	int p[2], chain[8], n;

	CHECK_OK(pipe(p));
	chain[0] = p[0];
	for (n = 1; n < 8; n++) {
		chain[n] = CHECK_OK(epoll_create1(0));
		if (epoll_ctl(chain[n], EPOLL_CTL_ADD, chain[n - 1], &e))
			break;
	}
	CHECK_EQ(n, 6);
	CHECK_EQ(errno, ELOOP);
	CHECK_ERR(epoll_ctl(chain[1], EPOLL_CTL_ADD, chain[4], &e), ELOOP);
	CHECK_ERR(epoll_ctl(chain[1], EPOLL_CTL_ADD, chain[1], &e), EINVAL);
	CHECK_EQ(epoll_wait(chain[5], &e, 1, 0), 0);
	CHECK_OK(write(p[1], "x", 1));
	CHECK_EQ(epoll_wait(chain[5], &e, 1, 1000), 1);
	for (int i = 0; i <= n; i++)
		close(chain[i]);
	close(p[1]);
}

TEST(epoll_exclusive_has_its_rules)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	int ep = CHECK_OK(epoll_create1(0)), inner = CHECK_OK(epoll_create1(0)), p[2];

	CHECK_OK(pipe(p));
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e), EINVAL);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, inner, &e), EINVAL);
	e.events |= EPOLLONESHOT;
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e), EINVAL);
	e.events = EPOLLIN;
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e), EINVAL);
	CHECK_OK(write(p[1], "x", 1));
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
	close(ep);
	close(inner);
	close(p[0]);
	close(p[1]);
}

TEST(a_duplicate_keeps_a_closed_descriptor_in_the_set)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = 5 };
	int ep = CHECK_OK(epoll_create1(0)), p[2], d;

	CHECK_OK(pipe(p));
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
	d = CHECK_OK(dup(p[0]));
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, d, &e)); /* another descriptor: another item */
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_DEL, d, NULL));
	close(p[0]);
	CHECK_OK(write(p[1], "x", 1));
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
	CHECK_EQ(e.data.u32, 5);
	close(d);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	close(ep);
	close(p[1]);
}

TEST(regular_files_are_refused_by_epoll)
{
	struct epoll_event e = { .events = EPOLLIN };
	int ep = CHECK_OK(epoll_create1(0)), fd = scratch_file("regular", "x", 1);

	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), EPERM);
	close(fd);
	close(ep);
}

static void *signal_sleeper(void *arg)
{
	pid_t tid = *(pid_t *)arg;

	wait_asleep(tid);
	CHECK_OK(tgkill(getpid(), tid, SIGUSR2));
	return NULL;
}

TEST(epoll_pwait_is_interrupted_and_never_restarted)
{
	struct epoll_event e;
	int ep = CHECK_OK(epoll_create1(0));
	pid_t self = gettid();
	pthread_t t;
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	handle(SIGUSR2, on_wake, SA_RESTART);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
	t = thread_start(signal_sleeper, &self);
	CHECK_ERR(epoll_pwait(ep, &e, 1, 5000, &old), EINTR);
	pthread_join(t, NULL);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &old), 0);
	CHECK(sigismember(&old, SIGUSR2));
	close(ep);
}

TEST(signalfd_reads_what_is_blocked)
{
	struct signalfd_siginfo info[2];
	struct pollfd p;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 1);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	p = (struct pollfd){ .fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK)), .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_ERR(read(p.fd, info, sizeof(info)), EAGAIN);
	CHECK_EQ(pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){ .sival_int = 77 }), 0);
	CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
	CHECK_EQ(poll(&p, 1, 1000), 1);
	CHECK_EQ(CHECK_OK(read(p.fd, info, sizeof(info))), sizeof(info));
	CHECK_EQ(info[0].ssi_signo, SIGUSR1);
	CHECK_EQ(info[1].ssi_signo, SIGRTMIN + 1);
	CHECK_EQ(info[1].ssi_int, 77);
	CHECK_EQ(poll(&p, 1, 0), 0);
	close(p.fd);
}

TEST(one_edge_wakes_one_waiter)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int ep = CHECK_OK(epoll_create1(0)), ev = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	struct blocked b[4];
	long woken = 0;

	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e));
	for (int i = 0; i < 4; i++) {
		b[i] = (struct blocked){ .call = call_epoll, .fd = ep };
		blocked_start(&b[i]);
	}
	CHECK_OK(eventfd_write(ev, 1));
	for (int i = 0; i < 4; i++) {
		pthread_join(b[i].thread, NULL);
		woken += b[i].result;
	}
	CHECK_EQ(woken, 1);
	close(ev);
	close(ep);
}

TEST_MAIN("sockets")
