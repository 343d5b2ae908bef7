/*
 * tests/guest/tcp_options.c - options that change when a call ends or a socket is ready: SO_RCVLOWAT, TCP_NOTSENT_LOWAT, TCP_DEFER_ACCEPT; and
 * TCP_MAXSEG.
 *
 * Where Linux goes by the clock, so do these cases: a connection that has sent nothing is accepted after the time that TCP_DEFER_ACCEPT says.
 */
#include "tcp.h"
#include "waits.h"
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define A_WHILE 200 /* ms in which what shall not come would come */

static int lowat_pair(int type, int fd[2], int lowat)
{
	if (type == AF_UNIX)
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	else
		pair(type, fd);
	set_option(fd[1], SOL_SOCKET, SO_RCVLOWAT, lowat);
	return fd[1];
}

static void both_close(int fd[2])
{
	close_reset(fd[0]);
	close_reset(fd[1]);
}

/* --- SO_RCVLOWAT ---------------------------------------------------------------------------------------------------------- */

TEST(the_least_to_receive_is_a_byte_until_it_is_set)
{
	static const int kinds[][2] = { { AF_INET, SOCK_STREAM }, { AF_INET6, SOCK_STREAM }, { AF_INET, SOCK_DGRAM }, { AF_UNIX, SOCK_STREAM } };

	for (int k = 0; k < 4; k++) {
		int fd = CHECK_OK(socket(kinds[k][0], kinds[k][1], 0));

		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
		set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 500);
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVLOWAT), 500);
		set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 0);
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
		/* As much as there can be. */
		set_option(fd, SOL_SOCKET, SO_RCVLOWAT, -1);
		CHECK(get_option(fd, SOL_SOCKET, SO_RCVLOWAT) >= 65536);
		close(fd);
	}
}

TEST(the_least_to_receive_passes_from_the_listener)
{
	int l = listener(AF_INET, 4), fd[2];

	set_option(l, SOL_SOCKET, SO_RCVLOWAT, 10);
	pair_at(l, fd);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_RCVLOWAT), 10);
	CHECK_EQ(get_option(fd[0], SOL_SOCKET, SO_RCVLOWAT), 1);
	both_close(fd);
	close(l);
}

struct reader {
	int fd, flags;
	size_t len;
	_Atomic long got; /* -2: not yet */
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	char buf[4096];

	r->got = recv(r->fd, buf, r->len, r->flags);
	return NULL;
}

static void reads_at_least(int type, int flags)
{
	struct reader r = { .flags = flags, .len = 4096, .got = -2 };
	pthread_t t;
	int fd[2];

	r.fd = lowat_pair(type, fd, 10);
	CHECK_OK(write(fd[0], "abcde", 5));
	CHECK_EQ(pthread_create(&t, NULL, reader_main, &r), 0);
	sleep_ms(A_WHILE);
	CHECK_EQ(r.got, -2);
	/* Linux wakes who has taken a part only when the least is there once more. */
	CHECK_OK(write(fd[0], "fghijklmnop", 11));
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(r.got, 16);
	both_close(fd);
}

TEST(a_read_waits_for_the_least) { reads_at_least(AF_INET, 0); }
TEST(a_read_waits_for_the_least_on_ipv6) { reads_at_least(AF_INET6, 0); }
TEST(a_read_of_a_local_stream_waits_for_the_least) { reads_at_least(AF_UNIX, 0); }
TEST(who_only_looks_waits_for_the_least) { reads_at_least(AF_INET, MSG_PEEK); }

static void less_is_enough(int type)
{
	char buf[16];
	int fd[2], r = lowat_pair(type, fd, 10);
	struct timeval t = { .tv_usec = 100000 };

	CHECK_OK(write(fd[0], "abcde", 5));
	/* Who asks for less gets it; who does not wait gets what there is, and so does who has waited. */
	CHECK_EQ(recv(r, buf, 2, 0), 2);
	CHECK_EQ(recv(r, buf, 16, MSG_DONTWAIT), 3);
	CHECK_ERR(recv(r, buf, 16, MSG_DONTWAIT), EAGAIN);
	CHECK_OK(write(fd[0], "abc", 3));
	CHECK_OK(setsockopt(r, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	CHECK_EQ(recv(r, buf, 16, 0), 3);
	CHECK_ERR(recv(r, buf, 16, 0), EAGAIN);
	/* The end is the end. */
	CHECK_OK(write(fd[0], "xy", 2));
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(recv(r, buf, 16, 0), 2);
	CHECK_EQ(recv(r, buf, 16, 0), 0);
	both_close(fd);
}

TEST(who_cannot_get_the_least_gets_less) { less_is_enough(AF_INET); }
TEST(who_cannot_get_the_least_gets_less_of_a_local_stream) { less_is_enough(AF_UNIX); }

TEST(less_than_the_least_is_not_ready)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int fd[2], r = lowat_pair(AF_INET, fd, 10), ep = CHECK_OK(epoll_create1(0));

	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, r, &e));
	CHECK_OK(write(fd[0], "abcde", 5));
	CHECK_EQ(events_of(r, POLLIN, A_WHILE), 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_OK(write(fd[0], "fghij", 5));
	CHECK_EQ(events_of(r, POLLIN, 5000), POLLIN);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &e, 1, 5000)), 1);
	CHECK_EQ(drain(r, 10), 10);
	CHECK_OK(write(fd[0], "abc", 3));
	CHECK_EQ(epoll_wait(ep, &e, 1, A_WHILE), 0);
	/* It is at the end. */
	CHECK_OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(events_of(r, POLLIN, 5000), POLLIN);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &e, 1, 5000)), 1);
	both_close(fd);
	close(ep);
}

TEST(the_least_that_is_made_less_makes_it_ready)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int fd[2], r = lowat_pair(AF_INET, fd, 10), ep = CHECK_OK(epoll_create1(0));

	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, r, &e));
	CHECK_OK(write(fd[0], "abcde", 5));
	CHECK_EQ(epoll_wait(ep, &e, 1, A_WHILE), 0);
	set_option(r, SOL_SOCKET, SO_RCVLOWAT, 5);
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &e, 1, 5000)), 1);
	CHECK_EQ(events_of(r, POLLIN, 0), POLLIN);
	both_close(fd);
	close(ep);
}

TEST(a_local_stream_is_ready_with_less)
{
	int fd[2], r = lowat_pair(AF_UNIX, fd, 10);

	CHECK_OK(write(fd[0], "abcde", 5));
	CHECK_EQ(events_of(r, POLLIN, 5000), POLLIN);
	close(fd[0]);
	close(fd[1]);
}

struct filler {
	int fd;
	size_t len;
};

static void *filler_main(void *arg)
{
	static const char zeros[65536];
	const struct filler *f = arg;

	for (size_t done = 0; done < f->len;) {
		ssize_t n = write(f->fd, zeros, f->len - done < sizeof(zeros) ? f->len - done : sizeof(zeros));

		CHECK_MSG(n > 0, "write %zd", n);
		done += n;
	}
	return NULL;
}

/* The window must not be in the way of what is asked for. */
TEST(the_least_may_be_more_than_a_window)
{
	int fd[2], r;
	struct filler f;
	pthread_t t;

	r = lowat_pair(AF_INET, fd, 200000);
	f = (struct filler){ fd[0], 900000 };
	CHECK_EQ(pthread_create(&t, NULL, filler_main, &f), 0);
	for (int k = 0; k < 4; k++) {
		CHECK_EQ(events_of(r, POLLIN, 10000), POLLIN);
		CHECK_EQ(drain(r, 200000), 200000);
	}
	set_option(r, SOL_SOCKET, SO_RCVLOWAT, 1);
	drain(r, 100000);
	CHECK_EQ(pthread_join(t, NULL), 0);
	both_close(fd);
}

TEST(the_least_may_be_more_than_there_can_be)
{
	int fd[2], r, n;
	struct filler f;
	pthread_t t;

	pair(AF_INET, fd);
	r = fd[1];
	set_option(r, SOL_SOCKET, SO_RCVBUF, 16384);
	set_option(r, SOL_SOCKET, SO_RCVLOWAT, 1 << 30);
	CHECK(get_option(r, SOL_SOCKET, SO_RCVLOWAT) <= 32768);
	f = (struct filler){ fd[0], 500000 };
	CHECK_EQ(pthread_create(&t, NULL, filler_main, &f), 0);
	for (size_t sum = 0; sum < 480000; sum += n) {
		CHECK_EQ(events_of(r, POLLIN, 10000), POLLIN);
		CHECK_OK(ioctl(r, FIONREAD, &n));
		CHECK(n > 0);
		drain(r, n);
	}
	set_option(r, SOL_SOCKET, SO_RCVLOWAT, 1);
	CHECK_EQ(pthread_join(t, NULL), 0);
	both_close(fd);
}

/* --- TCP_NOTSENT_LOWAT ---------------------------------------------------------------------------------------------------- */

static int unsent(int fd)
{
	int n;

	CHECK_OK(ioctl(fd, SIOCOUTQNSD, &n));
	return n;
}

static size_t fill(int fd)
{
	static const char zeros[8192];
	size_t sum = 0;
	ssize_t n;

	while ((n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT)) > 0)
		sum += n;
	CHECK(n == -1 && errno == EAGAIN);
	return sum;
}

TEST(what_is_not_sent_is_bounded)
{
	char buf[65536];
	int fd[2], waits;

	pair(AF_INET, fd);
	CHECK_EQ(get_option(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0);
	set_option(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, 20000);
	CHECK_EQ(get_option(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT), 20000);
	set_option(fd[0], SOL_SOCKET, SO_SNDBUF, 1 << 20);
	CHECK_EQ(unsent(fd[0]), 0);
	/* The peer's window fills, then what waits for it. */
	do {
		fill(fd[0]);
		sleep_ms(20);
	} while (events_of(fd[0], POLLOUT, 0));
	waits = unsent(fd[0]);
	CHECK_MSG(waits >= 20000 && waits <= 20000 + 65536, "%d bytes wait", waits);
	/* When the peer has read, there is less. */
	while (recv(fd[1], buf, sizeof(buf), MSG_DONTWAIT) > 0 || !events_of(fd[0], POLLOUT, 10))
		;
	CHECK(unsent(fd[0]) < 20000);
	both_close(fd);
}

TEST(without_a_bound_more_is_not_sent)
{
	int fd[2];

	pair(AF_INET, fd);
	set_option(fd[0], SOL_SOCKET, SO_SNDBUF, 400000);
	do {
		fill(fd[0]);
		sleep_ms(20);
	} while (events_of(fd[0], POLLOUT, 0));
	CHECK(unsent(fd[0]) > 100000);
	both_close(fd);
}

/* --- TCP_DEFER_ACCEPT ------------------------------------------------------------------------------------------------------ */

TEST(the_time_to_defer_is_told_in_time_outs)
{
	static const int times[][2] = { { 1, 1 }, { 2, 3 }, { 3, 3 }, { 4, 7 }, { 10, 15 }, { 0, 0 }, { -5, 0 } };
	int fd = stream();

	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	for (size_t k = 0; k < sizeof(times) / sizeof(times[0]); k++) {
		set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, times[k][0]);
		CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), times[k][1]);
	}
	close(fd);
}

static int deferring(int seconds)
{
	int l = listener(AF_INET, 8);

	set_option(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds);
	CHECK_OK(fcntl(l, F_SETFL, O_NONBLOCK));
	return l;
}

TEST(who_says_nothing_is_not_accepted_yet)
{
	int l = deferring(10), c = connected(AF_INET, port_of(l)), s;
	char buf[8];

	CHECK_EQ(events_of(l, POLLIN, A_WHILE), 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	CHECK_OK(write(c, "hello", 5));
	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	s = CHECK_OK(accept(l, NULL, NULL));
	/* It is here already. */
	CHECK_EQ(CHECK_OK(recv(s, buf, sizeof(buf), MSG_DONTWAIT)), 5);
	CHECK_OK(write(s, "there", 5));
	CHECK_EQ(drain(c, 5), 5);
	close_reset(c);
	close(s);
	close(l);
}

TEST(others_are_accepted_before_who_says_nothing)
{
	int l = deferring(10), mute = connected(AF_INET, port_of(l)), c = connected(AF_INET, port_of(l)), s;
	char buf[8];

	CHECK_OK(write(c, "hello", 5));
	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(CHECK_OK(recv(s, buf, sizeof(buf), MSG_DONTWAIT)), 5);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	close_reset(c);
	close(s);
	close_reset(mute);
	close(l);
}

TEST(who_ends_without_a_word_is_accepted)
{
	int l = deferring(10), c = connected(AF_INET, port_of(l)), s;
	char byte;

	CHECK_OK(shutdown(c, SHUT_WR));
	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(read(s, &byte, 1), 0);
	close_reset(c);
	close(s);
	close(l);
}

TEST(who_gives_up_without_a_word_was_never_there)
{
	int l = deferring(1), c = connected(AF_INET, port_of(l));

	close_reset(c);
	CHECK_EQ(events_of(l, POLLIN, 1500), 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	close(l);
}

TEST(after_the_time_everybody_is_accepted)
{
	int l = deferring(1), c, s;
	long long start = now_ns(), took;

	c = connected(AF_INET, port_of(l));
	CHECK_EQ(events_of(l, POLLIN, 10000), POLLIN);
	took = now_ns() - start;
	CHECK_MSG(took > 700 * MS, "after %lld ms", took / MS);
	s = CHECK_OK(accept(l, NULL, NULL));
	nothing_comes(s);
	CHECK_OK(write(c, "hello", 5));
	CHECK_EQ(drain(s, 5), 5);
	close_reset(c);
	close(s);
	close(l);
}

TEST(who_is_not_accepted_yet_goes_with_the_listener)
{
	int l = deferring(10), c = connected(AF_INET, port_of(l));

	CHECK_EQ(events_of(l, POLLIN, 50), 0);
	close(l);
	/* Who has not heard of it yet does so by what it sends: Linux has forgotten the connection without a word. */
	if (send(c, "x", 1, MSG_NOSIGNAL) == 1) {
		CHECK(events_of(c, POLLIN, 5000) & POLLIN);
		CHECK_ERR(recv(c, &(char){ 0 }, 1, 0), ECONNRESET);
	} else {
		CHECK_EQ(errno, ECONNRESET);
	}
	close(c);
}

TEST(a_listener_that_defers_no_longer)
{
	int l = deferring(10), c, s;

	set_option(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
	c = connected(AF_INET, port_of(l));
	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	s = CHECK_OK(accept(l, NULL, NULL));
	close_reset(c);
	close(s);
	close(l);
}

/* --- TCP_MAXSEG ------------------------------------------------------------------------------------------------------------ */

TEST(segment_sizes_that_are_wrong)
{
	static const int wrong[] = { 1, 87, 32768, -1 };
	int fd = stream();

	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_MAXSEG), 536);
	for (int k = 0; k < 4; k++)
		CHECK_ERR(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &wrong[k], sizeof(int)), EINVAL);
	set_option(fd, IPPROTO_TCP, TCP_MAXSEG, 88);
	set_option(fd, IPPROTO_TCP, TCP_MAXSEG, 32767);
	set_option(fd, IPPROTO_TCP, TCP_MAXSEG, 0);
	close(fd);
}

/* Sizes of both ends, which timestamps may have made smaller by 12. */
static void sizes(int family, int of_listener, int of_client, int expected)
{
	int l = listener(family, 4), fd[2];

	if (of_listener)
		set_option(l, IPPROTO_TCP, TCP_MAXSEG, of_listener);
	fd[0] = CHECK_OK(socket(family, SOCK_STREAM, 0));
	if (of_client)
		set_option(fd[0], IPPROTO_TCP, TCP_MAXSEG, of_client);
	CHECK_OK(connect_here(fd[0], port_of(l)));
	fd[1] = CHECK_OK(accept(l, NULL, NULL));
	for (int k = 0; k < 2; k++) {
		int mss = get_option(fd[k], IPPROTO_TCP, TCP_MAXSEG);

		CHECK_MSG(mss <= expected && mss >= expected - 12, "end %d: %d, not %d", k, mss, expected);
	}
	/* What is larger goes in pieces, both ways. */
	for (int k = 0; k < 2; k++) {
		char buf[5000] = { 0 };

		CHECK_EQ(CHECK_OK(write(fd[k], buf, sizeof(buf))), sizeof(buf));
		CHECK_EQ(drain(fd[!k], sizeof(buf)), sizeof(buf));
	}
	both_close(fd);
	close(l);
}

TEST(the_client_s_segment_size_is_both_s) { sizes(AF_INET, 0, 600, 600); }
TEST(the_listener_s_segment_size_is_both_s) { sizes(AF_INET, 700, 0, 700); }
TEST(the_smaller_segment_size_is_both_s) { sizes(AF_INET, 800, 500, 500); }
TEST(the_segment_size_of_ipv6) { sizes(AF_INET6, 0, 600, 600); }

TEST_MAIN("tcp_options")
