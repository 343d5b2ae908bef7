/*
 * tests/guest/socket_calls.c - calls on connections of IP: how they begin and end without waiting, flags of sends and receives, files into
 * sockets.
 */
#include "net.h"
#include "waits.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static void udp_pair(int fd[2])
{
	for (int i = 0; i < 2; i++)
		fd[i] = bound(AF_INET, SOCK_DGRAM);
	for (int i = 0; i < 2; i++)
		CHECK_OK(connect_here(fd[i], port_of(fd[1 - i])));
}

/* --- connecting ---------------------------------------------------------------------------------------------- */

TEST(a_refused_socket_tries_again)
{
	int l = bound(AF_INET, SOCK_STREAM), c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
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
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), l = listener(AF_INET, 8), fd[2];
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
	pair(AF_INET, fd);
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
	int l = listener(AF_INET, 8), c = connected(AF_INET, port_of(l)), d = connected(AF_INET, port_of(l)), s;
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

/* --- both directions -------------------------------------------------------------------------------------------- */

TEST(shut_down_for_reading)
{
	int fd[2];
	char buf[8];

	pair(AF_INET, fd);
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

	pair(AF_INET, fd);
	CHECK_OK(shutdown(fd[0], SHUT_RDWR));
	CHECK_EQ(events_of(fd[0], POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(CHECK_OK(read(fd[0], &b, 1)), 0);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(CHECK_OK(read(fd[1], &b, 1)), 0);
	close(fd[0]);
	close(fd[1]);
}

TEST(a_listener_that_is_shut_down_ends_accept)
{
	int l = listener(AF_INET, 4);
	struct blocked b = { .call = call_accept, .fd = l };

	blocked_start(&b);
	CHECK_OK(shutdown(l, SHUT_RDWR));
	blocked_end(&b, -1, EINVAL);
	CHECK_ERR(accept(l, NULL, NULL), EINVAL);
	CHECK_EQ(events_of(l, POLLIN, 0), POLLHUP);
	/* And it may listen again. */
	CHECK_OK(listen(l, 4));
	close(l);
}

TEST(a_shutdown_ends_a_blocked_read)
{
	struct blocked b = { .call = call_read };
	int fd[2];

	pair(AF_INET, fd);
	b.fd = fd[0];
	blocked_start(&b);
	CHECK_OK(shutdown(fd[0], SHUT_RDWR));
	blocked_end(&b, 0, 0);
	close(fd[0]);
	close(fd[1]);
}

TEST(a_broken_pipe_raises_a_signal_unless_told_not_to)
{
	int fd[2], u[2];

	pair(AF_INET, fd);
	udp_pair(u);
	handle(SIGPIPE, on_wake, 0);
	wakes = 0;
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(wakes, 0);
	CHECK_ERR(write(fd[0], "x", 1), EPIPE);
	CHECK_EQ(wakes, 1);
	CHECK_ERR(send(fd[0], "x", 1, 0), EPIPE);
	CHECK_EQ(wakes, 2);
	/* Datagrams never do. */
	CHECK_OK(shutdown(u[0], SHUT_WR));
	CHECK_ERR(send(u[0], "x", 1, 0), EPIPE);
	CHECK_EQ(wakes, 2);
	close(fd[0]);
	close(fd[1]);
	close(u[0]);
	close(u[1]);
}

struct pieces {
	int fd;
	pid_t reader;
};

static void *writes_in_pieces(void *arg)
{
	struct pieces *p = arg;

	for (int i = 0; i < 5; i++) {
		wait_asleep(p->reader);
		CHECK_EQ(CHECK_OK(write(p->fd, "0123456789" + 2 * i, 2)), 2);
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

	pair(AF_INET, fd);
	struct pieces pieces = { fd[0], gettid() };

	CHECK_EQ(pthread_create(&t, NULL, writes_in_pieces, &pieces), 0);
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

/* A look that waits for all of it finds it there afterwards, and so does the reader. */
TEST(a_peek_waits_for_all_that_it_wants)
{
	struct timeval tv = { 0, 50000 };
	int fd[2], n;
	pthread_t t;
	char buf[16] = { 0 };

	pair(AF_INET, fd);
	struct pieces pieces = { fd[0], gettid() };

	CHECK_EQ(pthread_create(&t, NULL, writes_in_pieces, &pieces), 0);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL | MSG_PEEK)), 10);
	CHECK(!memcmp(buf, "0123456789", 10));
	pthread_join(t, NULL);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL)), 10);
	CHECK(!memcmp(buf, "0123456789", 10));
	/* What there is ends it when nothing more may be waited for, or comes. */
	CHECK_EQ(CHECK_OK(write(fd[0], "ab", 2)), 2);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT)), 2);
	CHECK_OK(setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL | MSG_PEEK)), 2);
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(events_of(fd[1], POLLRDHUP, 5000), POLLRDHUP);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL | MSG_PEEK)), 2);
	CHECK_OK(ioctl(fd[1], FIONREAD, &n));
	CHECK_EQ(n, 2);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL)), 2);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL | MSG_PEEK)), 0);
	close(fd[0]);
	close(fd[1]);
}

/* Who looks must not keep the wake-up from who takes. */
static long call_peek_all(int fd)
{
	char buf[8];

	return recv(fd, buf, sizeof(buf), MSG_PEEK | MSG_WAITALL);
}

TEST(a_peek_that_waits_does_not_keep_bytes_from_a_reader)
{
	struct blocked peek[2], reader;
	int fd[2];

	pair(AF_INET, fd);
	for (int i = 0; i < 2; i++) {
		peek[i] = (struct blocked){ .call = call_peek_all, .fd = fd[1] };
		blocked_start(&peek[i]);
	}
	reader = (struct blocked){ .call = call_read, .fd = fd[1] };
	blocked_start(&reader);
	CHECK_EQ(CHECK_OK(write(fd[0], "a", 1)), 1);
	blocked_end(&reader, 1, 0);
	blocked_asleep(&peek[0]);
	CHECK_EQ(CHECK_OK(write(fd[0], "01234567", 8)), 8);
	for (int i = 0; i < 2; i++)
		blocked_end(&peek[i], 8, 0);
	close(fd[0]);
	close(fd[1]);
}

TEST(bytes_are_peeked_at_and_thrown_away)
{
	int fd[2];
	char buf[8];

	pair(AF_INET, fd);
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

/* For 200 ms: a look that was kept from looking that long says nothing. */
TEST(more_to_come_is_held_back)
{
	uint64_t took = UINT64_MAX;
	int fd[2];
	char buf[16];

	for (int tries = 0; tries < 20 && took > 150000000u; tries++) {
		pair(AF_INET, fd);
		uint64_t before = now_ns();
		CHECK_EQ(CHECK_OK(send(fd[0], "ab", 2, MSG_MORE)), 2);
		int events = events_of(fd[1], POLLIN, 30);
		took = now_ns() - before;
		if (took <= 150000000u)
			CHECK_EQ(events, 0);
		CHECK_EQ(CHECK_OK(send(fd[0], "cd", 2, 0)), 2);
		CHECK_EQ(CHECK_OK(recv(fd[1], buf, 4, MSG_WAITALL)), 4);
		close(fd[0]);
		close(fd[1]);
	}
	CHECK(took <= 150000000u);
}

TEST(what_waits_is_counted)
{
	int fd[2], u[2], n = -1, l = listener(AF_INET, 3);

	pair(AF_INET, fd);
	udp_pair(u);
	CHECK_OK(ioctl(fd[1], FIONREAD, &n));
	CHECK_EQ(n, 0);
	CHECK_EQ(CHECK_OK(write(fd[0], "abcde", 5)), 5);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	CHECK_OK(ioctl(fd[1], FIONREAD, &n));
	CHECK_EQ(n, 5);
	/* Over loopback it has been acknowledged soon. */
	CHECK(EVENTUALLY(!ioctl(fd[0], SIOCOUTQ, &n) && n == 0));
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

static void *reads_the_file(void *arg)
{
	int fd = *(int *)arg;
	static unsigned char buf[50000];
	size_t at = 0;
	ssize_t n;

	while ((n = CHECK_OK(read(fd, buf, sizeof(buf)))) > 0) {
		for (ssize_t i = 0; i < n; i++, at++)
			if (buf[i] != stream_byte(at))
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
		data[i] = stream_byte(i);
	file = scratch_file("sent", data, FILE_BYTES);
	CHECK_EQ(lseek(file, 5, SEEK_SET), 5);
	pair(AF_INET, fd);
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

/* Holes are zeros, wherever the pieces begin and end. */
TEST(a_file_with_holes_goes_through_a_socket)
{
	static unsigned char got[300001];
	int fd[2], file = scratch_file("holes", "begin", 5);
	off_t at = 3;

	CHECK_EQ(CHECK_OK(pwrite(file, "middle", 6, 140000)), 6);
	CHECK_OK(ftruncate(file, 300004));
	pair(AF_INET, fd);
	CHECK_OK(fcntl(fd[0], F_SETFL, O_NONBLOCK));
	for (size_t have = 0; have < sizeof(got);) {
		if (at < 300004)
			CHECK(sendfile(fd[0], file, &at, 50021) > 0 || errno == EAGAIN);
		have += CHECK_OK(recv(fd[1], got + have, sizeof(got) - have, 0));
	}
	CHECK_EQ(CHECK_OK(sendfile(fd[0], file, &at, 50021)), 0);
	CHECK(!memcmp(got, "in", 2) && !memcmp(got + 140000 - 3, "middle", 6));
	for (size_t i = 2; i < sizeof(got); i++)
		CHECK(!got[i] || (i >= 140000 - 3 && i < 140006 - 3));
	close(file);
	close(fd[0]);
	close(fd[1]);
}

static void *cuts_the_file(void *arg)
{
	int file = *(int *)arg;

	for (int k = 0; k < 2000; k++) {
		CHECK_OK(ftruncate(file, 1000));
		CHECK_OK(ftruncate(file, 200000));
	}
	return NULL;
}

/* No error, and never more than there is. */
TEST(a_file_that_is_cut_meanwhile_goes_through_a_socket)
{
	static unsigned char buf[65536];
	int fd[2], file = scratch_file("cut", "", 0);
	struct linger reset = { .l_onoff = 1 };
	pthread_t t;

	CHECK_OK(ftruncate(file, 200000));
	pair(AF_INET, fd);
	CHECK_OK(fcntl(fd[0], F_SETFL, O_NONBLOCK));
	CHECK_EQ(pthread_create(&t, NULL, cuts_the_file, &file), 0);
	while (pthread_tryjoin_np(t, NULL)) {
		off_t at = 500;
		ssize_t n = sendfile(fd[0], file, &at, 199000);

		CHECK_MSG(n < 0 ? errno == EAGAIN : n > 0 && at == 500 + n, "%zd, position %lld, %s", n, (long long)at, strerror(errno));
		while (recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
	}
	CHECK_OK(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	close(fd[0]);
	close(fd[1]);
	close(file);
}

TEST(a_file_by_its_own_position)
{
	int fd[2], file = scratch_file("own", "0123456789", 10);
	char buf[16];
	off_t at;

	CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
	pair(AF_INET, fd);
	CHECK_EQ(CHECK_OK(sendfile(fd[0], file, NULL, 4)), 4);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 4);
	CHECK_EQ(CHECK_OK(sendfile(fd[0], file, NULL, 100)), 6);
	CHECK_EQ(CHECK_OK(sendfile(fd[0], file, NULL, 100)), 0);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 10, MSG_WAITALL)), 10);
	CHECK(!memcmp(buf, "0123456789", 10));
	at = 0;
	CHECK_ERR(sendfile(fd[0], fd[1], &at, 4), ESPIPE);
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	handle(SIGPIPE, on_wake, 0);
	CHECK_ERR(sendfile(fd[0], file, &at, 4), EPIPE);
	close(file);
	close(fd[0]);
	close(fd[1]);
}

TEST_MAIN("socket_calls")
