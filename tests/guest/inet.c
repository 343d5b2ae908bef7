/*
 * tests/guest/inet.c - TCP and UDP over loopback: connections, ends of connections, readiness, options, datagrams.
 */
#include "net.h"
#include "waits.h"
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static void both_ways(int family)
{
	int fd[2];
	char buf[16];

	pair(family, fd);
	CHECK_EQ(CHECK_OK(write(fd[0], "ping", 4)), 4);
	CHECK_EQ(CHECK_OK(read(fd[1], buf, sizeof(buf))), 4);
	CHECK(!memcmp(buf, "ping", 4));
	CHECK_EQ(CHECK_OK(write(fd[1], "pong!", 5)), 5);
	CHECK_EQ(CHECK_OK(recv(fd[0], buf, 2, 0)), 2);
	CHECK_EQ(CHECK_OK(recv(fd[0], buf, sizeof(buf), 0)), 3);
	CHECK(!memcmp(buf, "ng!", 3));
	close(fd[0]);
	CHECK_EQ(CHECK_OK(read(fd[1], buf, sizeof(buf))), 0);
	close(fd[1]);
}

TEST(tcp_carries_bytes_both_ways) { both_ways(AF_INET); }
TEST(tcp_carries_bytes_both_ways_on_ipv6) { both_ways(AF_INET6); }

TEST(both_ends_of_a_connection_have_names)
{
	struct sockaddr_in a, b;
	socklen_t n = sizeof(a);
	int l = listener(AF_INET, 8), c = connected(AF_INET, port_of(l)), s;

	s = CHECK_OK(accept(l, (struct sockaddr *)&a, &n));
	CHECK_EQ(n, sizeof(a));
	CHECK_EQ(a.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(ntohs(a.sin_port), port_of(c));
	CHECK_EQ(port_of(s), port_of(l));
	n = sizeof(b);
	CHECK_OK(getpeername(c, (struct sockaddr *)&b, &n));
	CHECK_EQ(ntohs(b.sin_port), port_of(l));
	n = sizeof(b);
	CHECK_ERR(getpeername(l, (struct sockaddr *)&b, &n), ENOTCONN);
	close(l);
	close(c);
	close(s);
}

TEST(a_dual_stack_listener_takes_both_kinds)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, peer;
	int l = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0)), off = 0, c, s;
	socklen_t n;

	CHECK_OK(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)));
	CHECK_OK(bind(l, (struct sockaddr *)&any, sizeof(any)));
	CHECK_OK(listen(l, 5));
	c = connected(AF_INET, port_of(l));
	n = sizeof(peer);
	s = CHECK_OK(accept(l, (struct sockaddr *)&peer, &n));
	CHECK_EQ(n, sizeof(peer));
	CHECK_EQ(peer.sin6_family, AF_INET6);
	CHECK(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
	CHECK_EQ(peer.sin6_addr.s6_addr[12], 127);
	close(c);
	close(s);
	c = connected(AF_INET6, port_of(l));
	n = sizeof(peer);
	s = CHECK_OK(accept(l, (struct sockaddr *)&peer, &n));
	CHECK(IN6_IS_ADDR_LOOPBACK(&peer.sin6_addr));
	close(c);
	close(s);
	close(l);
}

TEST(an_ipv6_socket_connects_to_a_mapped_address)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	int l = listener(AF_INET, 8), c = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));

	CHECK_EQ(inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr), 1);
	to.sin6_port = htons(port_of(l));
	CHECK_OK(connect(c, (struct sockaddr *)&to, sizeof(to)));
	close(CHECK_OK(accept(l, NULL, NULL)));
	close(c);
	close(l);
}

TEST(nobody_listens)
{
	struct sockaddr_storage a;
	int free_port = bound(AF_INET, SOCK_STREAM), c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), e, r;
	socklen_t n = loopback(&a, AF_INET, port_of(free_port)), len = sizeof(e);

	CHECK_ERR(connect(c, (struct sockaddr *)&a, n), ECONNREFUSED);
	close(c);
	c = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	r = connect(c, (struct sockaddr *)&a, n);
	CHECK_EQ(r, -1);
	if (errno == EINPROGRESS) {
		CHECK(events_of(c, POLLOUT, 5000) & POLLOUT);
		CHECK_OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &len));
		CHECK_EQ(e, ECONNREFUSED);
	} else {
		CHECK_EQ(errno, ECONNREFUSED);
	}
	close(c);
	close(free_port);
}

TEST(connect_without_waiting)
{
	struct sockaddr_storage a;
	int l = listener(AF_INET, 8), c = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), e = 1;
	socklen_t n = loopback(&a, AF_INET, port_of(l)), len = sizeof(e);

	CHECK_EQ(events_of(c, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
	CHECK_ERR(connect(c, (struct sockaddr *)&a, n), EINPROGRESS);
	CHECK_EQ(events_of(c, POLLIN | POLLOUT, 5000), POLLOUT);
	CHECK_OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &len));
	CHECK_EQ(e, 0);
	/* The first question after that is answered with the success. */
	CHECK_OK(connect(c, (struct sockaddr *)&a, n));
	CHECK_ERR(connect(c, (struct sockaddr *)&a, n), EISCONN);
	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	close(c);
	close(l);
}

TEST(accept_without_waiting)
{
	int l = listener(AF_INET, 8), s;

	CHECK_OK(fcntl(l, F_SETFL, O_NONBLOCK));
	CHECK_EQ(events_of(l, POLLIN | POLLOUT, 0), 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	int c = connected(AF_INET, port_of(l));

	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	s = CHECK_OK(accept4(l, NULL, NULL, SOCK_NONBLOCK));
	CHECK_EQ(fcntl(s, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK_ERR(read(s, &s, 1), EAGAIN);
	close(s);
	close(c);
	close(l);
}

TEST(a_connection_is_closed_in_halves)
{
	int fd[2];
	char buf[8];

	pair(AF_INET, fd);
	CHECK_EQ(CHECK_OK(write(fd[0], "last", 4)), 4);
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, sizeof(buf), MSG_WAITALL)), 4);
	CHECK_EQ(CHECK_OK(read(fd[1], buf, sizeof(buf))), 0);
	CHECK_EQ(events_of(fd[1], POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(CHECK_OK(write(fd[1], "answer", 6)), 6);
	CHECK_EQ(CHECK_OK(recv(fd[0], buf, 6, MSG_WAITALL)), 6);
	CHECK_OK(shutdown(fd[1], SHUT_WR));
	CHECK_EQ(CHECK_OK(read(fd[0], buf, sizeof(buf))), 0);
	CHECK_EQ(events_of(fd[0], POLLIN | POLLOUT | POLLRDHUP, 0) & (POLLHUP | POLLRDHUP), POLLHUP | POLLRDHUP);
	close(fd[0]);
	close(fd[1]);
}

TEST(unread_bytes_reset_the_peer)
{
	int fd[2];
	char c;

	pair(AF_INET, fd);
	CHECK_EQ(CHECK_OK(write(fd[0], "unread", 6)), 6);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	close(fd[1]);
	CHECK(events_of(fd[0], POLLIN, 5000) & POLLERR);
	CHECK_ERR(read(fd[0], &c, 1), ECONNRESET);
	CHECK_EQ(CHECK_OK(read(fd[0], &c, 1)), 0);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(fd[0]);
}

TEST(linger_zero_resets_the_peer)
{
	struct linger zero = { 1, 0 };
	int fd[2];
	char c;

	pair(AF_INET, fd);
	CHECK_OK(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &zero, sizeof(zero)));
	close(fd[1]);
	CHECK_ERR(read(fd[0], &c, 1), ECONNRESET);
	close(fd[0]);
}

static long call_receive_all(int fd)
{
	char buf[8];

	return recv(fd, buf, sizeof(buf), MSG_WAITALL);
}

TEST(an_error_behind_bytes_is_for_the_next_read)
{
	struct linger zero = { 1, 0 };
	struct blocked b = { .call = call_receive_all };
	int fd[2];
	char c;

	pair(AF_INET, fd);
	b.fd = fd[1];
	CHECK_EQ(CHECK_OK(write(fd[0], "ab", 2)), 2);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	blocked_start(&b);
	CHECK_OK(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &zero, sizeof(zero)));
	close(fd[0]);
	blocked_end(&b, 2, 0);
	CHECK_ERR(recv(fd[1], &c, 1, 0), ECONNRESET);
	close(fd[1]);
}

TEST(peeking_leaves_bytes_where_they_are)
{
	int fd[2], n;
	char buf[8];

	pair(AF_INET, fd);
	CHECK_EQ(CHECK_OK(write(fd[0], "abcd", 4)), 4);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, 2, MSG_PEEK)), 2);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, sizeof(buf), MSG_PEEK)), 4);
	CHECK_OK(ioctl(fd[1], FIONREAD, &n));
	CHECK_EQ(n, 4);
	CHECK_EQ(CHECK_OK(recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT)), 4);
	CHECK_ERR(recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	close(fd[0]);
	close(fd[1]);
}

#define STREAM_BYTES (8 << 20)

static void *stream_writer(void *arg)
{
	int fd = *(int *)arg;
	static unsigned char buf[100000];

	for (size_t at = 0, step = 1; at < STREAM_BYTES; step = step * 7 % 99991 + 1) {
		size_t n = step < STREAM_BYTES - at ? step : STREAM_BYTES - at;

		for (size_t i = 0; i < n; i++)
			buf[i] = stream_byte(at + i);
		for (size_t done = 0; done < n;)
			done += CHECK_OK(write(fd, buf + done, n - done));
		at += n;
	}
	CHECK_OK(shutdown(fd, SHUT_WR));
	return NULL;
}

static void stream_read(int fd)
{
	static unsigned char buf[70000];
	size_t at = 0;
	ssize_t n;

	while ((n = CHECK_OK(read(fd, buf, at % 3 ? sizeof(buf) : 1000))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			if (buf[i] != stream_byte(at))
				FAIL("byte %zu is wrong", at);
	CHECK_EQ(at, STREAM_BYTES);
}

TEST(a_long_stream_arrives_as_it_was_sent)
{
	pthread_t t;
	int fd[2];

	pair(AF_INET, fd);
	CHECK_EQ(pthread_create(&t, NULL, stream_writer, &fd[0]), 0);
	stream_read(fd[1]);
	pthread_join(t, NULL);
	close(fd[0]);
	close(fd[1]);
}

TEST(a_writer_without_waiting_is_told_when_there_is_room)
{
	static char buf[65536];
	int fd[2];
	size_t sent = 0, got = 0;

	pair(AF_INET, fd);
	CHECK_OK(fcntl(fd[0], F_SETFL, O_NONBLOCK));
	for (;;) {
		ssize_t n = write(fd[0], buf, sizeof(buf));

		if (n < 0) {
			CHECK_EQ(errno, EAGAIN);
			break;
		}
		sent += n;
		CHECK(sent < 1 << 28);
	}
	CHECK_EQ(events_of(fd[0], POLLOUT, 0), 0);
	while (got < sent)
		got += CHECK_OK(read(fd[1], buf, sizeof(buf)));
	CHECK_EQ(events_of(fd[0], POLLOUT, 5000), POLLOUT);
	close(fd[0]);
	close(fd[1]);
}

TEST(vectors_through_a_connection)
{
	int fd[2];
	char a[3], b[5];
	struct iovec out[] = { { "one", 3 }, { "", 0 }, { "three", 5 } }, in[] = { { a, 3 }, { b, 5 } };

	pair(AF_INET, fd);
	CHECK_EQ(CHECK_OK(writev(fd[0], out, 3)), 8);
	CHECK_EQ(events_of(fd[1], POLLIN, 5000), POLLIN);
	CHECK_EQ(CHECK_OK(readv(fd[1], in, 2)), 8);
	CHECK(!memcmp(a, "one", 3) && !memcmp(b, "three", 5));
	close(fd[0]);
	close(fd[1]);
}

TEST(a_wait_for_bytes_ends_in_time)
{
	struct timeval t = { 0, 50000 };
	int64_t start;
	int fd[2];
	char c;

	pair(AF_INET, fd);
	CHECK_OK(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	start = now_ns();
	CHECK_ERR(read(fd[0], &c, 1), EAGAIN);
	CHECK(now_ns() - start >= 49000000);
	close(fd[0]);
	close(fd[1]);
}

TEST(who_may_have_a_port)
{
	struct sockaddr_storage a;
	int l = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), second = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), on = 1, port, c, s;
	socklen_t n = loopback(&a, AF_INET, 0);

	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	CHECK_OK(bind(l, (struct sockaddr *)&a, n));
	CHECK_OK(listen(l, 5));
	port = port_of(l);
	n = loopback(&a, AF_INET, port);

	CHECK_ERR(bind(second, (struct sockaddr *)&a, n), EADDRINUSE);
	CHECK_OK(setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	CHECK_ERR(bind(second, (struct sockaddr *)&a, n), EADDRINUSE);
	/* The side that closes first keeps the port for a while. */
	c = connected(AF_INET, port);
	s = CHECK_OK(accept(l, NULL, NULL));
	close(s);
	CHECK_EQ(CHECK_OK(read(c, &s, 1)), 0);
	close(c);
	close(l);
	CHECK_OK(bind(second, (struct sockaddr *)&a, n));
	CHECK_OK(listen(second, 1));
	CHECK_ERR(bind(second, (struct sockaddr *)&a, n), EINVAL);
	close(second);
}

TEST(two_sockets_share_a_port_by_reuseport)
{
	struct sockaddr_storage a;
	socklen_t n = loopback(&a, AF_INET, 0);
	int one = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), two = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), on = 1;

	CHECK_OK(setsockopt(one, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
	CHECK_OK(setsockopt(two, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
	CHECK_OK(bind(one, (struct sockaddr *)&a, n));
	n = loopback(&a, AF_INET, port_of(one));
	CHECK_OK(bind(two, (struct sockaddr *)&a, n));
	close(one);
	close(two);
}

TEST(an_address_that_is_not_ours)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));

	CHECK_ERR(bind(fd, (struct sockaddr *)&a, sizeof(a)), EADDRNOTAVAIL);
	CHECK_ERR(bind(fd, (struct sockaddr *)&a, 3), EINVAL);
	a.sin_family = AF_INET6;
	CHECK_ERR(bind(fd, (struct sockaddr *)&a, sizeof(a)), EAFNOSUPPORT);
	close(fd);
}

TEST(bind_takes_a_name_without_a_family)
{
	for (int k = 0; k < 2; k++) {
		int type = k ? SOCK_DGRAM : SOCK_STREAM, fd = CHECK_OK(socket(AF_INET, type, 0)), port;
		struct sockaddr_storage a;
		socklen_t n = name_of(&a, AF_INET, "127.0.0.1", 0);

		/* Only the address of all is meant. */
		a.ss_family = AF_UNSPEC;
		CHECK_ERR(bind(fd, (struct sockaddr *)&a, n), EAFNOSUPPORT);
		memset(&a, 0, sizeof(a));
		CHECK_ERR(bind(fd, (struct sockaddr *)&a, n - 1), EINVAL);
		CHECK_OK(bind(fd, (struct sockaddr *)&a, n));
		port = port_of(fd);
		CHECK(port != 0);
		n = sizeof(a);
		CHECK_OK(getsockname(fd, (struct sockaddr *)&a, &n));
		CHECK_EQ(a.ss_family, AF_INET);
		CHECK_EQ(((struct sockaddr_in *)&a)->sin_addr.s_addr, INADDR_ANY);
		close(fd);
		/* With a port. */
		fd = CHECK_OK(socket(AF_INET, type, 0));
		name_of(&a, AF_INET, "0.0.0.0", port);
		a.ss_family = AF_UNSPEC;
		CHECK_OK(bind(fd, (struct sockaddr *)&a, sizeof(struct sockaddr_in)));
		CHECK_EQ(port_of(fd), port);
		close(fd);
	}
}

/* Before the family: a name has at least the 24 bytes that it had in RFC 2133. */
TEST(ipv6_names_are_measured_first)
{
	for (int k = 0; k < 2; k++) {
		int fd = CHECK_OK(socket(AF_INET6, k ? SOCK_DGRAM : SOCK_STREAM, 0));
		struct sockaddr_storage a = { 0 };

		CHECK_ERR(bind(fd, (struct sockaddr *)&a, 23), EINVAL);
		CHECK_ERR(bind(fd, (struct sockaddr *)&a, 24), EAFNOSUPPORT);
		a.ss_family = AF_INET;
		CHECK_ERR(bind(fd, (struct sockaddr *)&a, 16), EINVAL);
		CHECK_ERR(bind(fd, (struct sockaddr *)&a, 24), EAFNOSUPPORT);
		a.ss_family = AF_UNIX;
		CHECK_ERR(bind(fd, (struct sockaddr *)&a, 16), EINVAL);
		a.ss_family = AF_INET6;
		CHECK_ERR(bind(fd, (struct sockaddr *)&a, 23), EINVAL);
		CHECK_OK(bind(fd, (struct sockaddr *)&a, 24));
		a.ss_family = AF_UNIX;
		CHECK_ERR(connect(fd, (struct sockaddr *)&a, 16), EINVAL);
		CHECK_ERR(connect(fd, (struct sockaddr *)&a, 24), EAFNOSUPPORT);
		close(fd);
	}
}

TEST(options_read_back)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 }, { IPPROTO_TCP, TCP_CORK, 1 }, { IPPROTO_TCP, TCP_CORK, 0 }, { IPPROTO_TCP, TCP_KEEPIDLE, 60 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 10 }, { IPPROTO_TCP, TCP_KEEPCNT, 5 }, { IPPROTO_TCP, TCP_USER_TIMEOUT, 5000 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 }, { SOL_SOCKET, SO_REUSEADDR, 1 }, { IPPROTO_IP, IP_TOS, 16 }, { IPPROTO_IP, IP_TTL, 20 },
	};
	int fd[2], n;
	socklen_t len;

	pair(AF_INET, fd);
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		CHECK_OK(setsockopt(fd[0], options[i].level, options[i].name, &options[i].value, sizeof(int)));
		len = sizeof(n);
		CHECK_OK(getsockopt(fd[0], options[i].level, options[i].name, &n, &len));
		CHECK_EQ(n, options[i].value);
		CHECK_EQ(len, sizeof(n));
	}
	n = 0;
	CHECK_ERR(setsockopt(fd[0], IPPROTO_TCP, TCP_KEEPIDLE, &n, sizeof(n)), EINVAL);
	CHECK_ERR(setsockopt(fd[0], IPPROTO_TCP, 12345, &n, sizeof(n)), ENOPROTOOPT);
	close(fd[0]);
	close(fd[1]);
}

TEST(tcp_info_knows_the_state)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int fd[2];

	pair(AF_INET, fd);
	CHECK_OK(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
	CHECK(info.tcpi_snd_mss > 500);
	shutdown(fd[1], SHUT_WR);
	CHECK(events_of(fd[0], POLLRDHUP, 5000) & POLLRDHUP);
	len = sizeof(info);
	CHECK_OK(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_state, TCP_CLOSE_WAIT);
	close(fd[0]);
	close(fd[1]);
}

TEST(accept_waits_for_a_connection)
{
	struct blocked b = { .call = call_accept, .fd = listener(AF_INET, 8) };
	int c;

	blocked_start(&b);
	c = connected(AF_INET, port_of(b.fd));
	pthread_join(b.thread, NULL);
	CHECK(b.result >= 0);
	close(b.result);
	close(c);
	close(b.fd);
}

TEST(epoll_tells_edges_of_a_connection)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET }, got;
	int fd[2], ep = CHECK_OK(epoll_create1(0));
	char buf[4];

	pair(AF_INET, fd);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &e));
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 0)), 1);
	CHECK_EQ(got.events, EPOLLOUT);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 0)), 0);
	CHECK_EQ(CHECK_OK(write(fd[0], "ab", 2)), 2);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 5000)), 1);
	CHECK_EQ(got.events, EPOLLIN | EPOLLOUT);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 0)), 0);
	CHECK_EQ(CHECK_OK(read(fd[1], buf, 1)), 1);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 0)), 0);
	close(fd[0]);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 5000)), 1);
	CHECK_EQ(got.events & (EPOLLIN | EPOLLRDHUP), EPOLLIN | EPOLLRDHUP);
	close(fd[1]);
	close(ep);
}

static void datagrams(int family)
{
	int a = bound(family, SOCK_DGRAM), b = bound(family, SOCK_DGRAM), n;
	struct sockaddr_storage to, from;
	socklen_t tolen = loopback(&to, family, port_of(b)), fromlen = sizeof(from);
	char buf[16];

	CHECK_EQ(events_of(b, POLLIN | POLLOUT, 0), POLLOUT);
	CHECK_EQ(CHECK_OK(sendto(a, "hello", 5, 0, (struct sockaddr *)&to, tolen)), 5);
	CHECK_EQ(CHECK_OK(sendto(a, "", 0, 0, (struct sockaddr *)&to, tolen)), 0);
	CHECK_EQ(CHECK_OK(sendto(a, "0123456789", 10, 0, (struct sockaddr *)&to, tolen)), 10);
	CHECK_EQ(events_of(b, POLLIN | POLLOUT, 5000), POLLIN | POLLOUT);
	CHECK_OK(ioctl(b, FIONREAD, &n));
	CHECK_EQ(n, 5);
	CHECK_EQ(CHECK_OK(recvfrom(b, buf, sizeof(buf), 0, (struct sockaddr *)&from, &fromlen)), 5);
	CHECK_EQ(fromlen, tolen);
	CHECK_EQ(from.ss_family, family);
	CHECK(!memcmp(buf, "hello", 5));
	CHECK_EQ(CHECK_OK(recv(b, buf, sizeof(buf), 0)), 0);
	CHECK_EQ(CHECK_OK(recv(b, buf, 4, MSG_TRUNC | MSG_PEEK)), 10);
	CHECK_EQ(CHECK_OK(recv(b, buf, 4, 0)), 4);
	CHECK_ERR(recv(b, buf, 4, MSG_DONTWAIT), EAGAIN);
	/* And back, to the name that came with it. */
	CHECK_OK(connect(b, (struct sockaddr *)&from, fromlen));
	CHECK_EQ(CHECK_OK(send(b, "back", 4, 0)), 4);
	CHECK_EQ(CHECK_OK(recv(a, buf, sizeof(buf), 0)), 4);
	CHECK_ERR(sendto(a, "x", 1, 0, NULL, 0), EDESTADDRREQ);
	close(a);
	close(b);
}

TEST(datagrams_arrive_whole_and_in_order) { datagrams(AF_INET); }
TEST(datagrams_arrive_whole_and_in_order_on_ipv6) { datagrams(AF_INET6); }

TEST(a_large_datagram_arrives_and_a_larger_one_is_refused)
{
	static char out[65507], in[65507];
	int a = bound(AF_INET, SOCK_DGRAM), b = bound(AF_INET, SOCK_DGRAM);
	struct sockaddr_storage to;
	socklen_t len = loopback(&to, AF_INET, port_of(b));

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)stream_byte(i);
	CHECK_EQ(CHECK_OK(sendto(a, out, sizeof(out), 0, (struct sockaddr *)&to, len)), sizeof(out));
	CHECK_EQ(events_of(b, POLLIN, 5000), POLLIN);
	CHECK_EQ(CHECK_OK(recv(b, in, sizeof(in), 0)), sizeof(in));
	CHECK(!memcmp(in, out, sizeof(in)));
	CHECK_ERR(sendto(a, out, sizeof(out) + 1, 0, (struct sockaddr *)&to, len), EMSGSIZE);
	close(a);
	close(b);
}

TEST(a_connected_datagram_socket_hears_its_peer_only)
{
	int a = bound(AF_INET, SOCK_DGRAM), b = bound(AF_INET, SOCK_DGRAM), c = bound(AF_INET, SOCK_DGRAM);
	struct sockaddr_storage to;
	socklen_t len = loopback(&to, AF_INET, port_of(a));
	char buf[8];

	CHECK_OK(connect(b, (struct sockaddr *)&to, len));
	len = loopback(&to, AF_INET, port_of(b));
	CHECK_EQ(CHECK_OK(sendto(c, "no", 2, 0, (struct sockaddr *)&to, len)), 2);
	CHECK_EQ(CHECK_OK(sendto(a, "yes", 3, 0, (struct sockaddr *)&to, len)), 3);
	CHECK_EQ(CHECK_OK(recv(b, buf, sizeof(buf), 0)), 3);
	CHECK_ERR(recv(b, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	close(a);
	close(b);
	close(c);
}

TEST(interfaces_are_listed)
{
	struct ifreq r = { .ifr_name = "lo" };
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));

	CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &r));
	CHECK_EQ(r.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING), IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	CHECK_OK(ioctl(fd, SIOCGIFINDEX, &r));
	CHECK_EQ(r.ifr_ifindex, 1);
	CHECK_OK(ioctl(fd, SIOCGIFADDR, &r));
	CHECK_EQ(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	strcpy(r.ifr_name, "nothere0");
	CHECK_ERR(ioctl(fd, SIOCGIFINDEX, &r), ENODEV);
	close(fd);
}

TEST(kinds_of_sockets_that_there_are_not)
{
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	char c;

	CHECK_ERR(read(fd, &c, 1), ENOTCONN);
	CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_ERR(shutdown(fd, SHUT_WR), ENOTCONN);
	close(fd);
}

TEST_MAIN("inet")
