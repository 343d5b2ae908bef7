/*
 * tests/guest/socket_calls.c - calls on connections of IP: how they begin and end without waiting, flags of sends and receives, files into
 * sockets, readiness by every call that tells it, waits that others end, options and values that are wrong.
 */
#include "harness.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

static struct sockaddr_in at(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int port_of(int fd)
{
	struct sockaddr_in6 a; /* its port is where IPv4's is */
	socklen_t n = sizeof(a);

	CHECK_OK(getsockname(fd, (struct sockaddr *)&a, &n));
	return ntohs(a.sin6_port);
}

static int bound(int type)
{
	struct sockaddr_in a = at(0);
	int fd = CHECK_OK(socket(AF_INET, type | SOCK_CLOEXEC, 0));

	CHECK_OK(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static int listener(int backlog)
{
	int fd = bound(SOCK_STREAM);

	CHECK_OK(listen(fd, backlog));
	return fd;
}

static int connected(int port)
{
	struct sockaddr_in a = at(port);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	CHECK_OK(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void pair(int fd[2])
{
	int l = listener(8);

	fd[0] = connected(port_of(l));
	fd[1] = CHECK_OK(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	close(l);
}

static int udp_pair(int fd[2])
{
	struct sockaddr_in a;

	fd[0] = bound(SOCK_DGRAM);
	fd[1] = bound(SOCK_DGRAM);
	a = at(port_of(fd[1]));
	CHECK_OK(connect(fd[0], (struct sockaddr *)&a, sizeof(a)));
	a = at(port_of(fd[0]));
	return CHECK_OK(connect(fd[1], (struct sockaddr *)&a, sizeof(a)));
}

static int events_of(int fd, int want, int timeout)
{
	struct pollfd p = { .fd = fd, .events = want };

	CHECK_OK(poll(&p, 1, timeout));
	return p.revents;
}

static int error_of(int fd)
{
	int e = -1;
	socklen_t n = sizeof(e);

	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n));
	return e;
}

static long ms_since(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000;
}

/* --- connecting ---------------------------------------------------------------------------------------------- */

TEST(epoll_tells_the_end_of_a_connect)
{
	struct epoll_event e = { .events = EPOLLOUT | EPOLLIN | EPOLLET | EPOLLRDHUP }, got;
	int l = listener(8), c = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), ep = CHECK_OK(epoll_create1(0));
	struct sockaddr_in a = at(port_of(l));

	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 0)), 1);
	CHECK_EQ(got.events, EPOLLOUT | EPOLLHUP);
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), EINPROGRESS);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 5000)), 1);
	CHECK_EQ(got.events, EPOLLOUT);
	CHECK_EQ(error_of(c), 0);
	close(c);
	close(l);
	/* Nobody listens. */
	c = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), EINPROGRESS);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 5000)), 1);
	CHECK_EQ(got.events, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
	CHECK_EQ(error_of(c), ECONNREFUSED);
	CHECK_EQ(error_of(c), 0);
	close(c);
	close(ep);
}

TEST(a_refused_socket_tries_again)
{
	int l = bound(SOCK_STREAM), c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = at(port_of(l));
	char b;

	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	CHECK_OK(listen(l, 8));
	CHECK_OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), EISCONN);
	int s = CHECK_OK(accept(l, NULL, NULL));

	CHECK_EQ(CHECK_OK(write(c, "x", 1)), 1);
	CHECK_EQ(CHECK_OK(read(s, &b, 1)), 1);
	close(s);
	close(c);
	close(l);
}

TEST(states_in_which_calls_make_no_sense)
{
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), l = listener(8), fd[2];
	struct sockaddr_in a = at(port_of(l)), peer;
	socklen_t n = sizeof(peer);
	char b;

	CHECK_ERR(getpeername(c, (struct sockaddr *)&peer, &n), ENOTCONN);
	CHECK_ERR(accept(c, NULL, NULL), EINVAL);
	CHECK_ERR(recv(c, &b, 1, 0), ENOTCONN);
	CHECK_ERR(shutdown(c, SHUT_RDWR), ENOTCONN);
	/* It has an effect all the same. */
	CHECK_EQ(CHECK_OK(recv(c, &b, 1, 0)), 0);
	CHECK_ERR(connect(l, (struct sockaddr *)&a, sizeof(a)), EISCONN);
	CHECK_ERR(recv(l, &b, 1, 0), ENOTCONN);
	CHECK_ERR(send(l, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_OK(listen(l, 2));
	CHECK_ERR(shutdown(l, 3), EINVAL);
	pair(fd);
	CHECK_ERR(listen(fd[0], 1), EINVAL);
	CHECK_ERR(accept(fd[0], NULL, NULL), EINVAL);
	CHECK_ERR(bind(fd[0], (struct sockaddr *)&a, sizeof(a)), EINVAL);
	CHECK_ERR(connect(fd[0], (struct sockaddr *)&a, 3), EISCONN);
	CHECK_ERR(connect(fd[0], (struct sockaddr *)&a, 1), EINVAL);
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a) - 1), EINVAL);
	a.sin_family = AF_UNIX;
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), EAFNOSUPPORT);
	CHECK_ERR(accept4(l, NULL, NULL, 1), EINVAL);
	CHECK_ERR(accept(0x7fffff, NULL, NULL), EBADF);
	close(fd[0]);
	close(fd[1]);
	close(c);
	close(l);
}

TEST(accept4_gives_flags_and_names)
{
	int l = listener(8), c = connected(port_of(l)), d = connected(port_of(l)), s;
	struct sockaddr_in a;
	socklen_t n = 4;

	s = CHECK_OK(accept4(l, (struct sockaddr *)&a, &n, SOCK_NONBLOCK | SOCK_CLOEXEC));
	CHECK_EQ(n, sizeof(a));
	CHECK_EQ(fcntl(s, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
	close(s);
	/* A new connection does not take the listener's flags. */
	CHECK_OK(fcntl(l, F_SETFL, O_NONBLOCK));
	s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(fcntl(s, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(fcntl(s, F_GETFD), 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	close(s);
	close(c);
	close(d);
	close(l);
}

TEST(sizes_and_options_pass_from_the_listener)
{
	int l = bound(SOCK_STREAM), on = 1, n, s, c;
	struct linger linger = { 1, 7 };
	struct timeval t = { 3, 0 };
	socklen_t len = sizeof(linger);

	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
	CHECK_OK(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	CHECK_OK(listen(l, 8));
	c = connected(port_of(l));
	s = CHECK_OK(accept(l, NULL, NULL));
	len = sizeof(n);
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &n, &len));
	CHECK_EQ(n, 1);
	CHECK_OK(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &n, &len));
	CHECK_EQ(n, 1);
	len = sizeof(linger);
	linger = (struct linger){ 0, 0 };
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_LINGER, &linger, &len));
	CHECK_EQ(linger.l_onoff, 1);
	CHECK_EQ(linger.l_linger, 7);
	len = sizeof(t);
	t.tv_sec = 0;
	CHECK_OK(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, &len));
	CHECK_EQ(t.tv_sec, 3);
	linger.l_onoff = 0;
	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	close(s);
	close(c);
	close(l);
}

/* --- both directions -------------------------------------------------------------------------------------------- */

TEST(shut_down_for_reading)
{
	int fd[2];
	char buf[8];

	pair(fd);
	CHECK_EQ(CHECK_OK(write(fd[0], "abc", 3)), 3);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	CHECK_OK(shutdown(fd[1], SHUT_RD));
	CHECK_EQ(events_of(fd[1], POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP);
	/* What had come can be read, and then it is the end. */
	CHECK_EQ(CHECK_OK(read(fd[1], buf, sizeof(buf))), 3);
	CHECK_EQ(CHECK_OK(read(fd[1], buf, sizeof(buf))), 0);
	CHECK_EQ(CHECK_OK(write(fd[1], "back", 4)), 4);
	CHECK_EQ(CHECK_OK(recv(fd[0], buf, 4, MSG_WAITALL)), 4);
	CHECK_OK(shutdown(fd[1], SHUT_WR));
	CHECK_EQ(CHECK_OK(read(fd[0], buf, sizeof(buf))), 0);
	CHECK_OK(shutdown(fd[1], SHUT_RDWR));
	close(fd[0]);
	close(fd[1]);
}

TEST(shut_down_altogether)
{
	int fd[2];
	char b;

	pair(fd);
	CHECK_OK(shutdown(fd[0], SHUT_RDWR));
	CHECK_EQ(events_of(fd[0], POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(CHECK_OK(read(fd[0], &b, 1)), 0);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(CHECK_OK(read(fd[1], &b, 1)), 0);
	close(fd[0]);
	close(fd[1]);
}

static void *shuts_later(void *arg)
{
	usleep(50000);
	CHECK_OK(shutdown(*(int *)arg, SHUT_RDWR));
	return NULL;
}

TEST(a_listener_that_is_shut_down_ends_accept)
{
	int l = listener(4);
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, shuts_later, &l), 0);
	CHECK_ERR(accept(l, NULL, NULL), EINVAL);
	pthread_join(t, NULL);
	CHECK_ERR(accept(l, NULL, NULL), EINVAL);
	CHECK_EQ(events_of(l, POLLIN, 0), POLLHUP);
	/* And it may listen again. */
	CHECK_OK(listen(l, 4));
	close(l);
}

TEST(a_shutdown_ends_a_blocked_read)
{
	int fd[2];
	pthread_t t;
	char b;

	pair(fd);
	CHECK_EQ(pthread_create(&t, NULL, shuts_later, &fd[0]), 0);
	CHECK_EQ(CHECK_OK(read(fd[0], &b, 1)), 0);
	pthread_join(t, NULL);
	close(fd[0]);
	close(fd[1]);
}

static _Atomic int sigpipes;
static void on_sigpipe(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	sigpipes++;
}

TEST(a_broken_pipe_raises_a_signal_unless_told_not_to)
{
	int fd[2], u[2];

	pair(fd);
	udp_pair(u);
	handle(SIGPIPE, on_sigpipe, 0);
	sigpipes = 0;
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(sigpipes, 0);
	CHECK_ERR(write(fd[0], "x", 1), EPIPE);
	CHECK_EQ(sigpipes, 1);
	CHECK_ERR(send(fd[0], "x", 1, 0), EPIPE);
	CHECK_EQ(sigpipes, 2);
	/* Datagrams never do. */
	CHECK_OK(shutdown(u[0], SHUT_WR));
	CHECK_ERR(send(u[0], "x", 1, 0), EPIPE);
	CHECK_EQ(sigpipes, 2);
	close(fd[0]);
	close(fd[1]);
	close(u[0]);
	close(u[1]);
}

static void *writes_in_pieces(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 5; i++) {
		usleep(20000);
		CHECK_EQ(CHECK_OK(write(fd, "0123456789" + 2 * i, 2)), 2);
	}
	return NULL;
}

TEST(waitall_waits_for_all)
{
	int fd[2];
	pthread_t t;
	char buf[16] = { 0 };
	struct iovec iov[2] = { { buf, 3 }, { buf + 3, 7 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	pair(fd);
	CHECK_EQ(pthread_create(&t, NULL, writes_in_pieces, &fd[0]), 0);
	CHECK_EQ(CHECK_OK(recvmsg(fd[1], &m, MSG_WAITALL)), 10);
	CHECK(!memcmp(buf, "0123456789", 10));
	pthread_join(t, NULL);
	/* What there is ends it when nothing more may be waited for. */
	CHECK_EQ(CHECK_OK(write(fd[0], "ab", 2)), 2);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL | MSG_DONTWAIT)), 2);
	CHECK_ERR(recv(fd[1], buf, 10, MSG_WAITALL | MSG_DONTWAIT), EAGAIN);
	struct timeval tv = { 0, 50000 };

	CHECK_OK(setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	CHECK_EQ(CHECK_OK(write(fd[0], "cd", 2)), 2);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL)), 2);
	CHECK_ERR(recv(fd[1], buf, 10, MSG_WAITALL), EAGAIN);
	close(fd[0]);
	close(fd[1]);
}

TEST(bytes_are_peeked_at_and_thrown_away)
{
	int fd[2];
	char buf[8];

	pair(fd);
	CHECK_EQ(CHECK_OK(write(fd[0], "abcdef", 6)), 6);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 3, MSG_PEEK)), 3);
	CHECK(!memcmp(buf, "abc", 3));
	/* Of a stream, MSG_TRUNC throws away. */
	CHECK_EQ(CHECK_OK(recv(fd[1], NULL, 2, MSG_TRUNC)), 2);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 1, 0)), 1);
	CHECK_EQ(buf[0], 'c');
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 0, 0)), 0);
	CHECK_EQ(CHECK_OK(send(fd[1], buf, 0, 0)), 0);
	CHECK_ERR(recv(fd[1], BAD_PTR, 3, 0), EFAULT);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 8, 0)), 3);
	CHECK_ERR(send(fd[1], BAD_PTR, 3, 0), EFAULT);
	CHECK_ERR(recv(fd[1], buf, 8, MSG_DONTWAIT | MSG_ERRQUEUE), EAGAIN);
	CHECK_ERR(recv(fd[1], buf, 8, MSG_OOB), EINVAL);
	close(fd[0]);
	close(fd[1]);
}

TEST(more_to_come_is_held_back)
{
	int fd[2];
	char buf[16];

	pair(fd);
	CHECK_EQ(CHECK_OK(send(fd[0], "ab", 2, MSG_MORE)), 2);
	CHECK_EQ(events_of(fd[1], POLLIN, 30), 0);
	CHECK_EQ(CHECK_OK(send(fd[0], "cd", 2, 0)), 2);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 4, MSG_WAITALL)), 4);
	close(fd[0]);
	close(fd[1]);
}

TEST(what_waits_is_counted)
{
	int fd[2], u[2], n = -1, l = listener(3);

	pair(fd);
	udp_pair(u);
	CHECK_OK(ioctl(fd[1], FIONREAD, &n));
	CHECK_EQ(n, 0);
	CHECK_EQ(CHECK_OK(write(fd[0], "abcde", 5)), 5);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	CHECK_OK(ioctl(fd[1], FIONREAD, &n));
	CHECK_EQ(n, 5);
	/* Over loopback it has been acknowledged soon. */
	for (int i = 0; i < 200 && n; i++) {
		CHECK_OK(ioctl(fd[0], SIOCOUTQ, &n));
		usleep(5000);
	}
	CHECK_EQ(n, 0);
	CHECK_ERR(ioctl(l, FIONREAD, &n), EINVAL);
	CHECK_ERR(ioctl(l, SIOCOUTQ, &n), EINVAL);
	CHECK_EQ(CHECK_OK(send(u[0], "abc", 3, 0)), 3);
	CHECK_EQ(CHECK_OK(send(u[0], "abcdef", 6, 0)), 6);
	CHECK_OK(ioctl(u[1], FIONREAD, &n));
	CHECK_EQ(n, 3);
	CHECK_ERR(ioctl(u[1], FIONREAD, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(u[1], 0x5499, &n), ENOTTY);
	int on = 1;

	CHECK_OK(ioctl(u[0], FIONBIO, &on));
	CHECK_EQ(fcntl(u[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(fd[0]);
	close(fd[1]);
	close(u[0]);
	close(u[1]);
	close(l);
}

/* --- files into sockets -------------------------------------------------------------------------------------------- */

#define FILE_BYTES 3000000

static unsigned char file_byte(size_t i) { return (unsigned char)(i * 2654435761u >> 11); }

static void *reads_the_file(void *arg)
{
	int fd = *(int *)arg;
	static unsigned char buf[50000];
	size_t at = 0;
	ssize_t n;

	while ((n = CHECK_OK(read(fd, buf, sizeof(buf)))) > 0) {
		for (ssize_t i = 0; i < n; i++, at++)
			if (buf[i] != file_byte(at))
				FAIL("byte %zu is wrong", at);
		usleep(at % 7 ? 0 : 1000);
	}
	CHECK_EQ(at, FILE_BYTES);
	return NULL;
}

static void file_through_socket(bool wait)
{
	static unsigned char data[FILE_BYTES];
	int fd[2], file;
	pthread_t t;
	off_t at = 0;

	for (size_t i = 0; i < FILE_BYTES; i++)
		data[i] = file_byte(i);
	file = scratch_file("sent", data, FILE_BYTES);
	CHECK_EQ(lseek(file, 5, SEEK_SET), 5);
	pair(fd);
	CHECK_EQ(pthread_create(&t, NULL, reads_the_file, &fd[1]), 0);
	if (!wait)
		CHECK_OK(fcntl(fd[0], F_SETFL, O_NONBLOCK));
	while (at < FILE_BYTES) {
		off_t before = at;
		ssize_t n = sendfile(fd[0], file, &at, FILE_BYTES);

		if (n < 0) {
			CHECK_EQ(errno, EAGAIN);
			CHECK_EQ(at, before);
			CHECK_EQ(events_of(fd[0], POLLOUT, 10000), POLLOUT);
		} else {
			CHECK(n > 0);
			CHECK_EQ(at, before + n);
		}
	}
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 5);
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	pthread_join(t, NULL);
	close(file);
	close(fd[0]);
	close(fd[1]);
}

TEST(a_file_goes_through_a_socket) { file_through_socket(true); }
TEST(a_file_goes_through_a_socket_that_does_not_wait) { file_through_socket(false); }

TEST(a_file_by_its_own_position)
{
	int fd[2], file = scratch_file("own", "0123456789", 10);
	char buf[16];
	off_t at;

	CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
	pair(fd);
	CHECK_EQ(CHECK_OK(sendfile(fd[0], file, NULL, 4)), 4);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 4);
	CHECK_EQ(CHECK_OK(sendfile(fd[0], file, NULL, 100)), 6);
	CHECK_EQ(CHECK_OK(sendfile(fd[0], file, NULL, 100)), 0);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL)), 10);
	CHECK(!memcmp(buf, "0123456789", 10));
	at = 0;
	CHECK_ERR(sendfile(fd[0], fd[1], &at, 4), ESPIPE);
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	handle(SIGPIPE, on_sigpipe, 0);
	CHECK_ERR(sendfile(fd[0], file, &at, 4), EPIPE);
	close(file);
	close(fd[0]);
	close(fd[1]);
}

/* --- readiness ----------------------------------------------------------------------------------------------------- */

TEST(select_and_poll_tell_of_sockets)
{
	int fd[2], top;
	fd_set in, out;
	struct timeval now = { 0, 0 };
	struct timespec none = { 0, 0 };
	struct pollfd p[3];
	sigset_t mask;

	pair(fd);
	top = (fd[0] > fd[1] ? fd[0] : fd[1]) + 1;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fd[0], &in);
	FD_SET(fd[1], &in);
	FD_SET(fd[0], &out);
	CHECK_EQ(CHECK_OK(select(top, &in, &out, NULL, &now)), 1);
	CHECK(!FD_ISSET(fd[0], &in) && !FD_ISSET(fd[1], &in) && FD_ISSET(fd[0], &out));
	CHECK_EQ(CHECK_OK(write(fd[0], "x", 1)), 1);
	FD_SET(fd[1], &in);
	FD_ZERO(&out);
	sigemptyset(&mask);
	struct timespec five = { 5, 0 };

	CHECK_EQ(CHECK_OK(pselect(top, &in, &out, NULL, &five, &mask)), 1);
	CHECK(FD_ISSET(fd[1], &in));
	p[0] = (struct pollfd){ .fd = fd[0], .events = POLLIN | POLLOUT };
	p[1] = (struct pollfd){ .fd = fd[1], .events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLPRI };
	p[2] = (struct pollfd){ .fd = -1, .events = POLLIN, .revents = 7 };
	CHECK_EQ(CHECK_OK(ppoll(p, 3, &none, &mask)), 2);
	CHECK_EQ(p[0].revents, POLLOUT);
	CHECK_EQ(p[1].revents, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
	CHECK_EQ(p[2].revents, 0);
	close(fd[0]);
	close(fd[1]);
}

TEST(level_and_one_shot_of_a_connection)
{
	struct epoll_event e = { .events = EPOLLIN }, got[4];
	int fd[2], ep = CHECK_OK(epoll_create1(0));
	char b[8];

	pair(fd);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &e));
	CHECK_EQ(CHECK_OK(write(fd[0], "abc", 3)), 3);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 5000)), 1);
	CHECK_EQ(CHECK_OK(read(fd[1], b, 1)), 1);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 0)), 1);
	CHECK_EQ(got[0].events, EPOLLIN);
	CHECK_EQ(CHECK_OK(read(fd[1], b, 8)), 2);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 0)), 0);
	e.events = EPOLLIN | EPOLLONESHOT;
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, fd[1], &e));
	CHECK_EQ(CHECK_OK(write(fd[0], "d", 1)), 1);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 5000)), 1);
	CHECK_EQ(CHECK_OK(write(fd[0], "e", 1)), 1);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 20)), 0);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, fd[1], &e));
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 5000)), 1);
	/* Edge: more bytes are another edge. */
	e.events = EPOLLIN | EPOLLET;
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, fd[1], &e));
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 0)), 1);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 0)), 0);
	CHECK_EQ(CHECK_OK(write(fd[0], "f", 1)), 1);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, got, 4, 5000)), 1);
	close(fd[0]);
	close(fd[1]);
	close(ep);
}

TEST(one_epoll_for_everything)
{
	struct itimerspec soon = { .it_value = { 0, 20000000 } };
	int l = listener(8), u = bound(SOCK_DGRAM), ev = CHECK_OK(eventfd(0, EFD_NONBLOCK)), tm = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	int ep = CHECK_OK(epoll_create1(0)), outer = CHECK_OK(epoll_create1(0)), sfd, seen = 0;
	struct sockaddr_in a = at(port_of(u));
	uint64_t one = 1;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &mask, NULL), 0);
	sfd = CHECK_OK(signalfd(-1, &mask, SFD_NONBLOCK));
	int all[] = { l, u, ev, tm, sfd };

	for (unsigned i = 0; i < 5; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, all[i], &e));
	}
	struct epoll_event inner = { .events = EPOLLIN, .data.u32 = 77 }, got[8];

	CHECK_OK(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &inner));
	CHECK_EQ(CHECK_OK(epoll_wait(outer, got, 8, 0)), 0);
	int c = connected(port_of(l));

	CHECK_EQ(CHECK_OK(epoll_wait(outer, got, 8, 5000)), 1);
	CHECK_EQ(got[0].data.u32, 77);
	CHECK_EQ(CHECK_OK(sendto(c = CHECK_OK(dup(u)), "x", 1, 0, (struct sockaddr *)&a, sizeof(a))), 1);
	CHECK_EQ(CHECK_OK(write(ev, &one, 8)), 8);
	CHECK_OK(timerfd_settime(tm, 0, &soon, NULL));
	CHECK_EQ(pthread_kill(pthread_self(), SIGUSR2), 0);
	for (int i = 0; i < 100 && seen != 31; i++) {
		int n = CHECK_OK(epoll_wait(ep, got, 8, 1000));

		for (int k = 0; k < n; k++)
			seen |= 1 << got[k].data.u32;
		usleep(5000);
	}
	CHECK_EQ(seen, 31);
	struct signalfd_siginfo info;

	CHECK_EQ(CHECK_OK(read(sfd, &info, sizeof(info))), sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGUSR2);
	for (unsigned i = 0; i < 5; i++)
		close(all[i]);
	close(c);
	close(ep);
	close(outer);
}

struct exclusive {
	int ep, fd;
	_Atomic int woken;
};

static void *waits_exclusively(void *arg)
{
	struct exclusive *x = arg;
	struct epoll_event got;

	if (CHECK_OK(epoll_wait(x->ep, &got, 1, 400)) == 1)
		atomic_fetch_add(&x->woken, 1);
	return NULL;
}

TEST(an_exclusive_listener_wakes_few)
{
	struct exclusive x[4];
	pthread_t t[4];
	int l = listener(8), woken = 0, c;

	for (int i = 0; i < 4; i++) {
		struct epoll_event e = { .events = EPOLLIN | EPOLLEXCLUSIVE };

		x[i] = (struct exclusive){ CHECK_OK(epoll_create1(0)), l, 0 };
		CHECK_OK(epoll_ctl(x[i].ep, EPOLL_CTL_ADD, l, &e));
		CHECK_EQ(pthread_create(&t[i], NULL, waits_exclusively, &x[i]), 0);
	}
	usleep(100000);
	c = connected(port_of(l));
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		woken += x[i].woken;
		close(x[i].ep);
	}
	CHECK(woken >= 1);
	close(c);
	close(l);
}

/* --- waits that others end --------------------------------------------------------------------------------------------- */

static void on_wake(int sig, siginfo_t *info, void *context) { (void)sig, (void)info, (void)context; }

struct blocked {
	int fd;
	pthread_t thread;
	_Atomic int begins, ended;
	int error;
	long result;
	long (*call)(int fd);
};

static void *blocks(void *arg)
{
	struct blocked *b = arg;

	b->begins = 1;
	b->result = b->call(b->fd);
	b->error = errno;
	b->ended = 1;
	return NULL;
}

static long call_read(int fd)
{
	char c;

	return read(fd, &c, 1);
}

static long call_accept(int fd) { return accept(fd, NULL, NULL); }

static long call_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, -1);
}

static long call_recvfrom(int fd)
{
	char c;

	return recvfrom(fd, &c, 1, 0, NULL, NULL);
}

/* As the JDK closes a descriptor on which threads wait: another file takes its number, then they get a signal. */
static struct blocked closed_by_another(int fd, long (*call)(int fd))
{
	struct blocked b = { .fd = fd, .call = call };
	int dead[2];

	/* Half of a pair whose other half is gone. */
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, dead));
	close(dead[1]);
	handle(SIGRTMAX - 2, on_wake, 0);
	CHECK_EQ(pthread_create(&b.thread, NULL, blocks, &b), 0);
	while (!b.begins)
		usleep(10000);
	/* Until it is in the call, on a machine that has other things to do. */
	usleep(200000);
	CHECK_EQ(b.ended, 0);
	CHECK_OK(dup2(dead[0], fd));
	for (int i = 0; i < 500 && !b.ended; i++) {
		CHECK_EQ(pthread_kill(b.thread, SIGRTMAX - 2), 0);
		usleep(10000);
	}
	pthread_join(b.thread, NULL);
	close(dead[0]);
	return b;
}

static void closed_and_interrupted(int fd, long (*call)(int fd))
{
	struct blocked b = closed_by_another(fd, call);

	CHECK_EQ(b.result, -1);
	CHECK_EQ(b.error, EINTR);
}

TEST(a_blocked_read_ends_when_another_closes)
{
	int fd[2];

	pair(fd);
	closed_and_interrupted(fd[0], call_read);
	/* The connection lives as long as somebody waits on it, and then it is closed. */
	char c;

	CHECK_EQ(CHECK_OK(read(fd[1], &c, 1)), 0);
	close(fd[0]);
	close(fd[1]);
}

TEST(a_blocked_accept_ends_when_another_closes)
{
	int l = listener(4), port = port_of(l);
	struct sockaddr_in a = at(port);
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));

	closed_and_interrupted(l, call_accept);
	CHECK_ERR(connect(c, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	close(c);
	close(l);
}

TEST(a_blocked_poll_and_receive_end_when_another_closes)
{
	int fd[2], u = bound(SOCK_DGRAM);

	pair(fd);
	closed_and_interrupted(u, call_recvfrom);
	/* poll() finds the file that has the number now, and that one is at its end. */
	CHECK_EQ(closed_by_another(fd[0], call_poll).result, 1);
	close(fd[0]);
	close(fd[1]);
	close(u);
}

TEST(a_restarting_signal_does_not_end_a_read)
{
	int fd[2];
	struct timeval t = { 5, 0 };

	pair(fd);
	struct blocked b = { .fd = fd[0], .call = call_read };

	handle(SIGUSR1, on_wake, SA_RESTART);
	CHECK_EQ(pthread_create(&b.thread, NULL, blocks, &b), 0);
	usleep(30000);
	CHECK_EQ(pthread_kill(b.thread, SIGUSR1), 0);
	usleep(30000);
	CHECK_EQ(b.ended, 0);
	CHECK_EQ(CHECK_OK(write(fd[1], "x", 1)), 1);
	pthread_join(b.thread, NULL);
	CHECK_EQ(b.result, 1);
	/* With a timeout it is interrupted all the same. */
	CHECK_OK(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	b.ended = 0;
	CHECK_EQ(pthread_create(&b.thread, NULL, blocks, &b), 0);
	for (int i = 0; i < 200 && !b.ended; i++) {
		usleep(20000);
		pthread_kill(b.thread, SIGUSR1);
	}
	pthread_join(b.thread, NULL);
	CHECK_EQ(b.result, -1);
	CHECK_EQ(b.error, EINTR);
	close(fd[0]);
	close(fd[1]);
}

TEST(timeouts_of_sockets)
{
	static char buf[262144];
	struct timeval t = { 0, 60000 }, wrong = { 0, 1000000 }, got;
	int fd[2], u = bound(SOCK_DGRAM), l = listener(2);
	socklen_t n = sizeof(got);
	struct timespec start;

	pair(fd);
	CHECK_OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	CHECK_OK(getsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &got, &n));
	CHECK_EQ(n, sizeof(got));
	CHECK_EQ(got.tv_usec, 60000);
	clock_gettime(CLOCK_MONOTONIC, &start);
	/* Until nothing more fits; a part that went is no error. */
	for (;;) {
		ssize_t r = send(fd[0], buf, sizeof(buf), 0);

		if (r < 0) {
			CHECK_EQ(errno, EAGAIN);
			break;
		}
		CHECK(ms_since(&start) < 15000);
	}
	CHECK_OK(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	clock_gettime(CLOCK_MONOTONIC, &start);
	CHECK_ERR(recv(u, buf, 1, 0), EAGAIN);
	CHECK(ms_since(&start) >= 59);
	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	CHECK_ERR(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof(wrong)), EDOM);
	CHECK_ERR(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t) - 1), EINVAL);
	close(fd[0]);
	close(fd[1]);
	close(u);
	close(l);
}

/* --- who it is, and what it is ------------------------------------------------------------------------------------------ */

TEST(sockets_tell_what_they_are)
{
	static const int kinds[][3] = { { AF_INET, SOCK_STREAM, IPPROTO_TCP }, { AF_INET6, SOCK_DGRAM, IPPROTO_UDP }, { AF_UNIX, SOCK_SEQPACKET, 0 } };

	for (int i = 0; i < 3; i++) {
		int fd = CHECK_OK(socket(kinds[i][0], kinds[i][1], 0)), v;
		socklen_t n = sizeof(v);

		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &n));
		CHECK_EQ(v, kinds[i][0]);
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &n));
		CHECK_EQ(v, kinds[i][1]);
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &n));
		CHECK_EQ(v, kinds[i][2]);
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &n));
		CHECK_EQ(v, 0);
		close(fd);
	}
}

TEST(the_peer_of_a_pair_is_this_process)
{
	struct ucred u;
	socklen_t n = sizeof(u);
	int fd[2], tcp[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	CHECK_OK(getsockopt(fd[0], SOL_SOCKET, SO_PEERCRED, &u, &n));
	CHECK_EQ(n, sizeof(u));
	CHECK_EQ(u.pid, getpid());
	CHECK_EQ(u.uid, getuid());
	CHECK_EQ(u.gid, getgid());
	/* Of a connection of IP nobody knows. */
	pair(tcp);
	n = sizeof(u);
	CHECK_OK(getsockopt(tcp[0], SOL_SOCKET, SO_PEERCRED, &u, &n));
	CHECK_EQ(u.pid, 0);
	CHECK(u.uid == (uid_t)-1 && u.gid == (gid_t)-1);
	close(fd[0]);
	close(fd[1]);
	close(tcp[0]);
	close(tcp[1]);
}

TEST(buffer_sizes_are_doubled_and_bounded)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), v = 5000, got;
	socklen_t n = sizeof(got);

	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &n));
	CHECK_EQ(got, 10000);
	v = 1;
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &n));
	CHECK_EQ(got, 2304);
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &n));
	CHECK_EQ(got, 4608);
	close(fd);
}

#define ANY 0x7fff0000 /* a value that is not looked at */

TEST(options_that_are_wrong)
{
	static const struct {
		int domain, type, level, name;
		socklen_t len;
		int value, set, get; /* errno of both, 0: they work, -1: not tried */
	} wrong[] = {
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, 999, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, 999, 3, 1, EINVAL, ENOPROTOOPT },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, 3, 1, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, 8, 1, 0, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_ERROR, 4, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_TYPE, 4, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_ACCEPTCONN, 4, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_LINGER, 4, 1, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_RCVTIMEO, 8, 1, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_PRIORITY, 4, 3, 0, 0 },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_PASSCRED, 4, 1, EOPNOTSUPP, EOPNOTSUPP },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_COOKIE, 4, 1, ENOPROTOOPT, EINVAL },
		{ AF_INET, SOCK_STREAM, SOL_SOCKET, SO_COOKIE, 8, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, 12345, 1, 4, 1, ENOPROTOOPT, EOPNOTSUPP },
		{ AF_INET, SOCK_DGRAM, 12345, 1, 4, 1, ENOPROTOOPT, EOPNOTSUPP },
		{ AF_INET6, SOCK_DGRAM, 12345, 1, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_INET, SOCK_DGRAM, IPPROTO_TCP, TCP_NODELAY, 4, 1, ENOPROTOOPT, EOPNOTSUPP },
		{ AF_INET, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, 4, 1, ENOPROTOOPT, EOPNOTSUPP },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY, 1, 1, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, 9999, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPIDLE, 4, 40000, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_KEEPCNT, 4, 128, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_INFO, 4, 1, ENOPROTOOPT, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, 999, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 4, 0, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 4, 256, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 1, 5, 0, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 0, 5, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_MTU_DISCOVER, 4, 9, EINVAL, 0 },
		{ AF_INET, SOCK_STREAM, IPPROTO_IP, IP_MTU, 4, ANY, ENOPROTOOPT, ENOTCONN },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, 1, 1, EINVAL, 0 },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 4, 256, EINVAL, 0 },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_TCLASS, 4, 256, EINVAL, 0 },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_TCLASS, 4, -2, EINVAL, 0 },
		{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, 999, 4, 1, ENOPROTOOPT, ENOPROTOOPT },
		{ AF_UNIX, SOCK_STREAM, IPPROTO_IP, 1, 4, 1, EOPNOTSUPP, EOPNOTSUPP },
	};
	char buf[64];

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		int fd = CHECK_OK(socket(wrong[i].domain, wrong[i].type, 0)), e;
		socklen_t n = wrong[i].len;

		memset(buf, 0, sizeof(buf));
		memcpy(buf, &wrong[i].value, sizeof(int));
		e = setsockopt(fd, wrong[i].level, wrong[i].name, buf, n) < 0 ? errno : 0;
		if (e != wrong[i].set)
			FAIL("option %d of level %d with %d bytes: %s when set", wrong[i].name, wrong[i].level, wrong[i].len, strerrorname_np(e));
		e = getsockopt(fd, wrong[i].level, wrong[i].name, buf, &n) < 0 ? errno : 0;
		if (e != wrong[i].get)
			FAIL("option %d of level %d with %d bytes: %s when read", wrong[i].name, wrong[i].level, wrong[i].len, strerrorname_np(e));
		close(fd);
	}
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), v = 1;
	socklen_t n = -1;

	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &n), EINVAL);
	n = 4;
	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, BAD_PTR, &n), EFAULT);
	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, BAD_PTR), EFAULT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, BAD_PTR, 4), EFAULT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, -1), EINVAL);
	CHECK_ERR(setsockopt(0x7fffff, SOL_SOCKET, SO_REUSEADDR, &v, 4), EBADF);
	close(fd);
	fd = CHECK_OK(eventfd(0, 0));
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 4), ENOTSOCK);
	close(fd);
}

TEST(dual_stack_options_and_binds)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, mapped = { .sin6_family = AF_INET6 };
	int a = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0)), b = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), v = 1, got;
	struct sockaddr_in four;
	socklen_t n = sizeof(got);

	CHECK_OK(getsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &got, &n));
	CHECK_EQ(got, 0);
	CHECK_OK(bind(a, (struct sockaddr *)&any, sizeof(any)));
	CHECK_ERR(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)), EINVAL);
	CHECK_OK(listen(a, 4));
	four = at(port_of(a));
	CHECK_ERR(bind(b, (struct sockaddr *)&four, sizeof(four)), EADDRINUSE);
	close(a);
	a = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_OK(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof(v)));
	any.sin6_port = four.sin_port;
	CHECK_OK(bind(a, (struct sockaddr *)&any, sizeof(any)));
	CHECK_OK(bind(b, (struct sockaddr *)&four, sizeof(four)));
	close(a);
	close(b);
	a = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_EQ(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr), 1);
	CHECK_OK(bind(a, (struct sockaddr *)&mapped, sizeof(mapped)));
	n = sizeof(mapped);
	CHECK_OK(getsockname(a, (struct sockaddr *)&mapped, &n));
	CHECK(IN6_IS_ADDR_V4MAPPED(&mapped.sin6_addr));
	CHECK_ERR(bind(a, (struct sockaddr *)&any, 20), EINVAL);
	close(a);
}

static struct sockaddr_in at_loopback(unsigned last, int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000000 + last) };
}

TEST(all_of_127_is_this_machine)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };

	for (int i = 0; i < 2; i++) {
		/* As /etc/hosts of Debian has it for the machine's own name. */
		struct sockaddr_in own = at_loopback(0x101, 0), a, none = at_loopback(0x777, 0);
		socklen_t n = sizeof(a);
		int l = CHECK_OK(socket(AF_INET, types[i], 0)), c = CHECK_OK(socket(AF_INET, types[i], 0)), s = l;
		char b[8];

		CHECK_OK(bind(l, (struct sockaddr *)&own, sizeof(own)));
		if (types[i] == SOCK_STREAM)
			CHECK_OK(listen(l, 4));
		own = at_loopback(0x101, port_of(l));
		CHECK_OK(connect(c, (struct sockaddr *)&own, sizeof(own)));
		CHECK_OK(getpeername(c, (struct sockaddr *)&a, &n));
		CHECK_EQ(a.sin_addr.s_addr, own.sin_addr.s_addr);
		CHECK_OK(getsockname(c, (struct sockaddr *)&a, &n));
		CHECK_EQ(ntohl(a.sin_addr.s_addr), 0x7f000001);
		if (types[i] == SOCK_STREAM)
			s = CHECK_OK(accept(l, NULL, NULL));
		CHECK_EQ(CHECK_OK(send(c, "abc", 3, 0)), 3);
		CHECK_EQ(CHECK_OK(recvfrom(s, b, sizeof(b), 0, (struct sockaddr *)&a, &n)), 3);
		if (types[i] == SOCK_DGRAM) {
			CHECK_EQ(CHECK_OK(sendto(s, "back", 4, 0, (struct sockaddr *)&a, n)), 4);
		} else {
			CHECK_EQ(CHECK_OK(send(s, "back", 4, 0)), 4);
			close(s);
		}
		CHECK_EQ(CHECK_OK(recv(c, b, sizeof(b), 0)), 4);
		close(c);
		/* The port is only that address's. */
		c = CHECK_OK(socket(AF_INET, types[i], 0));
		none.sin_port = own.sin_port;
		if (types[i] == SOCK_STREAM) {
			CHECK_ERR(connect(c, (struct sockaddr *)&none, sizeof(none)), ECONNREFUSED);
		} else {
			CHECK_OK(connect(c, (struct sockaddr *)&none, sizeof(none)));
			CHECK_EQ(CHECK_OK(send(c, "x", 1, 0)), 1);
			CHECK_ERR(recv(c, b, 1, 0), ECONNREFUSED);
		}
		close(c);
		close(l);
	}
	/* Who listens at any address hears them all. */
	int l = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in any = { .sin_family = AF_INET }, a;
	socklen_t n = sizeof(a);

	CHECK_OK(bind(l, (struct sockaddr *)&any, sizeof(any)));
	CHECK_OK(listen(l, 4));
	a = at_loopback(0xfffffe, port_of(l));
	CHECK_OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	int s = CHECK_OK(accept(l, NULL, NULL));

	CHECK_OK(getsockname(s, (struct sockaddr *)&a, &n));
	CHECK_EQ(ntohl(a.sin_addr.s_addr), 0x7ffffffe);
	close(s);
	close(c);
	close(l);
}

TEST_MAIN("socket_calls")
