/*
 * tests/guest/unix_queues.c - what waits in AF_UNIX sockets: descriptors in descriptors, queues that are full, and who is told that there is room.
 *
 * How much fits is the kernel's affair; what is checked is that it ends, and that send(), poll() and epoll agree about it.
 */
#include "net.h"
#include "waits.h"
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/un.h>

/* --- descriptors in descriptors --------------------------------------------------------------------------------- */

/* Sends `len` bytes, and the descriptor with them if it is not negative. Bytes or -1. */
static ssize_t send_with(int s, const void *data, size_t len, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = "";
	struct iovec iov = { (void *)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fd)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
	}
	return sendmsg(s, &m, MSG_NOSIGNAL);
}

TEST(sockets_that_hold_sockets_are_closed_however_deep)
{
	int s[2], p[2], outer;
	char c;

	CHECK_OK(pipe(p));
	outer = p[1];
	for (int i = 0; i < 1000; i++) {
		CHECK_OK(socketpair(AF_UNIX, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0, s));
		CHECK_EQ(CHECK_OK(send_with(s[0], "x", 1, outer)), 1);
		close(outer);
		close(s[0]);
		outer = s[1];
	}
	CHECK_EQ(events_of(p[0], POLLIN, 0), 0);
	close(outer);
	/* The innermost has gone, too. (Linux may leave it to another thread.) */
	CHECK_EQ(events_of(p[0], POLLIN, 5000), POLLHUP);
	CHECK_EQ(CHECK_OK(read(p[0], &c, 1)), 0);
	close(p[0]);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(CHECK_OK(write(s[0], "x", 1)), 1);
	CHECK_EQ(CHECK_OK(read(s[1], &c, 1)), 1);
	close(s[0]);
	close(s[1]);
}

/* --- full queues ---------------------------------------------------------------------------------------------------- */

#define SENDS_MAX 100000

static char big[1 << 18];

/* Sends to the end of the queue, which must come; how many went. */
static int fill(int s, size_t len, int fd)
{
	int n = 0;

	while (n < SENDS_MAX && send_with(s, big, len, fd) >= 0)
		n++;
	CHECK_MSG(n < SENDS_MAX, "%d messages of %zu bytes, and no end", n, len);
	CHECK_EQ(errno, EAGAIN);
	CHECK_MSG(n > 0, "no message of %zu bytes fits", len);
	return n;
}

/* Takes what is there, at most max messages; how many. */
static int drain_some(int s, int max)
{
	int n = 0;

	while (n < max && recv(s, big, sizeof(big), MSG_DONTWAIT) >= 0)
		n++;
	if (n < max)
		CHECK_EQ(errno, EAGAIN);
	return n;
}

static int drain(int s) { return drain_some(s, INT_MAX); }

static int waiting(int s)
{
	int n = -1;

	CHECK_OK(ioctl(s, FIONREAD, &n));
	return n;
}

static void queue_ends(int type, size_t len, int fd)
{
	int s[2], n;

	CHECK_OK(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s));
	n = fill(s[0], len, fd);
	CHECK_MSG(n >= 100 && n <= 1000, "%d messages of %zu bytes", n, len);
	CHECK_EQ(events_of(s[0], POLLOUT, 0), 0);
	CHECK_EQ(waiting(s[1]), type == SOCK_DGRAM ? (int)len : n * (int)len);
	if (type == SOCK_STREAM) { /* a read ends with the byte that carries descriptors */
		for (int i = 0; i < n; i++)
			CHECK_EQ(CHECK_OK(read(s[1], big, sizeof(big))), len);
		nothing_comes(s[1]);
	} else {
		CHECK_EQ(drain(s[1]), n);
	}
	CHECK_EQ(waiting(s[1]), 0);
	CHECK_EQ(events_of(s[0], POLLOUT, 0), POLLOUT);
	/* Nothing is left of what the first ones counted. */
	CHECK_EQ(fill(s[0], len, fd), n);
	close(s[1]);
	CHECK_EQ(events_of(s[0], POLLOUT, 0) & POLLOUT, POLLOUT);
	close(s[0]);
}

TEST(small_messages_without_number_meet_an_end)
{
	int fd = CHECK_OK(dup(0));

	queue_ends(SOCK_DGRAM, 0, -1);
	queue_ends(SOCK_DGRAM, 1, -1);
	queue_ends(SOCK_DGRAM, 0, fd);
	queue_ends(SOCK_SEQPACKET, 0, -1);
	queue_ends(SOCK_SEQPACKET, 1, -1);
	queue_ends(SOCK_SEQPACKET, 1, fd);
	queue_ends(SOCK_STREAM, 1, fd);
	close(fd);
}

static socklen_t abstract(struct sockaddr_un *a, const char *name)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return offsetof(struct sockaddr_un, sun_path) + 1 +
	       snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "ibrik.%d.%s", getpid(), name);
}

/* A datagram socket of that name. */
static int receiver(const char *name)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, name);
	int fd = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	CHECK_OK(bind(fd, (struct sockaddr *)&a, len));
	return fd;
}

static int sender(void) { return CHECK_OK(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

static void connect_to(int fd, const char *name)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, name);

	CHECK_OK(connect(fd, (struct sockaddr *)&a, len));
}

TEST(senders_without_a_connection_meet_an_end)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "end");
	int r = receiver("end"), w = sender(), n = 0;

	while (n < SENDS_MAX && sendto(w, "", 0, 0, (struct sockaddr *)&a, len) == 0)
		n++;
	CHECK(n > 0 && n < SENDS_MAX);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(drain(r), n);
	CHECK_EQ(CHECK_OK(sendto(w, "x", 1, 0, (struct sockaddr *)&a, len)), 1);
	close(r);
	close(w);
}

static long call_send_descriptor(int fd) { return send_with(fd, "x", 1, 0); }

TEST(a_sender_waits_for_room_for_descriptors)
{
	struct blocked b = { .call = call_send_descriptor };
	int s[2], n;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	CHECK_OK(fcntl(s[0], F_SETFL, O_NONBLOCK));
	n = fill(s[0], 1, 0);
	CHECK_OK(fcntl(s[0], F_SETFL, 0));
	b.fd = s[0];
	blocked_start(&b);
	while (n-- > 0)
		CHECK_EQ(CHECK_OK(read(s[1], big, sizeof(big))), 1);
	blocked_end(&b, 1, 0);
	CHECK_EQ(CHECK_OK(read(s[1], big, sizeof(big))), 1);
	close(s[0]);
	close(s[1]);
}

/* --- who is told ------------------------------------------------------------------------------------------------------ */

static int watch(int ep, int op, int fd, unsigned events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	return CHECK_OK(epoll_ctl(ep, op, fd, &e));
}

/* How many of at most eight descriptors are ready, after that many milliseconds; the last of them, and its events. */
static int ready(int ep, int timeout, int *fd, unsigned *events)
{
	struct epoll_event e[8];
	int n = CHECK_OK(epoll_wait(ep, e, 8, timeout));

	*fd = n ? e[n - 1].data.fd : -1;
	*events = n ? e[n - 1].events : 0;
	return n;
}

static void expect_nothing(int ep)
{
	unsigned events;
	int fd, n = ready(ep, 0, &fd, &events);

	CHECK_MSG(!n, "%d events, %#x of %d among them", n, events, fd);
}

static void expect_room(int ep, int fd)
{
	unsigned events;
	int of, n = ready(ep, 5000, &of, &events);

	CHECK_EQ(n, 1);
	CHECK_EQ(of, fd);
	CHECK_EQ(events & EPOLLOUT, EPOLLOUT);
}

static void poll_send_agree(int type, size_t len)
{
	int s[2], ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC)), n;

	CHECK_OK(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s));
	watch(ep, EPOLL_CTL_ADD, s[0], EPOLLOUT | EPOLLET);
	expect_room(ep, s[0]);
	n = fill(s[0], len, -1);
	CHECK_EQ(events_of(s[0], POLLOUT, 0), 0);
	watch(ep, EPOLL_CTL_MOD, s[0], EPOLLOUT | EPOLLET);
	expect_nothing(ep);
	CHECK_EQ(drain_some(s[1], 1), 1);
	if (events_of(s[0], POLLOUT, 0))
		CHECK_EQ(CHECK_OK(send(s[0], big, len, 0)), len);
	CHECK(drain(s[1]) >= n - 1 || type == SOCK_STREAM);
	expect_room(ep, s[0]);
	expect_nothing(ep);
	CHECK_EQ(events_of(s[0], POLLOUT, 0), POLLOUT);
	close(s[0]);
	close(s[1]);
	close(ep);
}

TEST(poll_and_send_agree_whatever_a_message_weighs)
{
	static const size_t lens[] = { 0, 1, 1000, 50000, 53248, 53249, 60000, 106497, 150000, 159745, 200000 };

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		poll_send_agree(SOCK_DGRAM, lens[i]);
		poll_send_agree(SOCK_SEQPACKET, lens[i]);
		if (lens[i] >= 1000) /* less has no borders there, and much fits */
			poll_send_agree(SOCK_STREAM, lens[i]);
	}
}

/* On Linux these fill the receiver's queue, whose room others are told of, and not the sender's own buffer. */
#define SMALL 100

TEST(a_sender_watched_before_it_connects_is_told_of_room)
{
	int r = receiver("room"), w = sender(), ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));

	watch(ep, EPOLL_CTL_ADD, w, EPOLLIN);
	connect_to(w, "room");
	fill(w, SMALL, -1);
	watch(ep, EPOLL_CTL_MOD, w, EPOLLOUT);
	expect_nothing(ep);
	drain(r);
	expect_room(ep, w);
	/* By its edges, too. */
	watch(ep, EPOLL_CTL_MOD, w, EPOLLOUT | EPOLLET);
	expect_room(ep, w);
	fill(w, SMALL, -1);
	expect_nothing(ep);
	drain(r);
	expect_room(ep, w);
	expect_nothing(ep);
	close(w);
	close(r);
	close(ep);
}

TEST(a_sender_that_turns_to_another_receiver_is_told_of_that_ones_room)
{
	int one = receiver("one"), two = receiver("two"), w = sender(), ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	connect_to(w, "one");
	fill(w, SMALL, -1);
	watch(ep, EPOLL_CTL_ADD, w, EPOLLOUT | EPOLLET);
	expect_nothing(ep);
	connect_to(w, "two");
	expect_room(ep, w);
	fill(w, SMALL, -1);
	expect_nothing(ep);
	drain(one);
	CHECK_EQ(events_of(w, POLLOUT, 0), 0);
	expect_nothing(ep);
	drain(two);
	expect_room(ep, w);
	/* To nobody: that one it may wait for for ever. */
	fill(w, SMALL, -1);
	expect_nothing(ep);
	CHECK_OK(connect(w, &none, sizeof(none)));
	expect_room(ep, w);
	drain(two);
	close(one);
	close(two);
	close(w);
	close(ep);
}

TEST(a_receiver_that_goes_tells_its_senders)
{
	int r = receiver("gone"), w = sender(), ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));

	connect_to(w, "gone");
	fill(w, SMALL, -1);
	watch(ep, EPOLL_CTL_ADD, w, EPOLLOUT | EPOLLET);
	expect_nothing(ep);
	close(r);
	expect_room(ep, w);
	CHECK_ERR(send(w, "x", 1, 0), ECONNREFUSED);
	close(w);
	/* One that only takes no more refuses, too. */
	r = receiver("gone");
	w = sender();
	connect_to(w, "gone");
	CHECK_OK(shutdown(r, SHUT_RD));
	CHECK_EQ(events_of(w, POLLOUT, 0), POLLOUT);
	CHECK_ERR(send(w, "x", 1, MSG_NOSIGNAL), EPIPE);
	close(w);
	close(r);
	close(ep);
}

TEST(a_peer_that_is_gone_is_refused_once_and_forgotten)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	char c;
	int s[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, s));
	CHECK_OK(send(s[1], "a", 1, 0));
	CHECK_OK(send(s[1], "b", 1, 0));
	close(s[1]);
	/* What it sent can be read, until a send finds it gone. */
	CHECK_EQ(CHECK_OK(recv(s[0], &c, 1, MSG_DONTWAIT)), 1);
	CHECK_EQ(events_of(s[0], POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
	CHECK_ERR(send(s[0], "x", 1, 0), ECONNREFUSED);
	CHECK_EQ(events_of(s[0], POLLIN | POLLOUT, 0), POLLOUT);
	CHECK_ERR(recv(s[0], &c, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_ERR(send(s[0], "x", 1, 0), ENOTCONN);
	CHECK_ERR(getpeername(s[0], (struct sockaddr *)&name, &len), ENOTCONN);
	close(s[0]);
}

/* A socket whose peer finds another one: the error stands at it once, and what the peer had not read is gone. */
static void left_alone(int s[2], int left)
{
	int error = -1;
	socklen_t len = sizeof(error);
	char c;

	CHECK_EQ(left, 0);
	CHECK_ERR(recv(s[0], &c, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(events_of(s[1], POLLOUT, 0), POLLOUT | POLLERR);
	CHECK_OK(getsockopt(s[1], SOL_SOCKET, SO_ERROR, &error, &len));
	CHECK_EQ(error, ECONNRESET);
	CHECK_EQ(events_of(s[1], POLLOUT, 0), POLLOUT);
}

TEST(a_datagram_socket_that_turns_away_drops_what_it_did_not_read)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	char c;
	int s[2], r = receiver("elsewhere");

	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s));
	CHECK_OK(send(s[1], "a", 1, 0));
	left_alone(s, connect(s[0], &none, sizeof(none)));
	close(s[0]);
	close(s[1]);
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s));
	fill(s[1], SMALL, -1);
	connect_to(s[0], "elsewhere");
	left_alone(s, 0);
	/* It hears nobody but its new peer. */
	CHECK_ERR(send(s[1], "a", 1, 0), EPERM);
	CHECK_OK(send(s[0], "b", 1, 0));
	CHECK_EQ(CHECK_OK(recv(r, &c, 1, MSG_DONTWAIT)), 1);
	close(s[0]);
	close(s[1]);
	/* Nothing was lost: nobody is told. */
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s));
	connect_to(s[0], "elsewhere");
	CHECK_EQ(events_of(s[1], POLLOUT, 0), POLLOUT);
	close(s[0]);
	close(s[1]);
	close(r);
}

TEST(all_senders_of_a_receiver_are_told)
{
	int r = receiver("all"), w[3], ep[3];

	for (int i = 0; i < 3; i++) {
		w[i] = sender();
		ep[i] = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
		connect_to(w[i], "all");
	}
	fill(w[0], SMALL, -1);
	for (int i = 0; i < 3; i++) {
		watch(ep[i], EPOLL_CTL_ADD, w[i], EPOLLOUT | EPOLLET);
		expect_nothing(ep[i]);
	}
	close(w[1]); /* one that has gone is in nobody's way */
	drain(r);
	expect_room(ep[0], w[0]);
	expect_nothing(ep[1]);
	expect_room(ep[2], w[2]);
	for (int i = 0; i < 3; i++)
		close(ep[i]);
	close(w[0]);
	close(w[2]);
	close(r);
}

#define CROWD 4
#define CROWD_EACH 2000

/* Sends its share, waiting for room by epoll, and turns to the receiver anew now and then. */
static void *crowd_sender(void *arg)
{
	int w = sender(), ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
	unsigned events;
	int fd;

	watch(ep, EPOLL_CTL_ADD, w, EPOLLOUT | EPOLLET);
	for (int i = 0; i < CROWD_EACH;) {
		if (i % 50 == 0)
			connect_to(w, "crowd");
		if (send(w, big, i % 3 * 1000, 0) >= 0)
			i++;
		else if (errno != EAGAIN || ready(ep, 5000, &fd, &events) != 1)
			return arg;
	}
	close(w);
	close(ep);
	return NULL;
}

TEST(a_crowd_of_senders_waits_for_room)
{
	static char taken[4000];
	int r = receiver("crowd");
	pthread_t t[CROWD];

	for (int i = 0; i < CROWD; i++)
		t[i] = thread_start(crowd_sender, taken);
	for (int i = 0; i < CROWD * CROWD_EACH; i++) {
		CHECK_MSG(events_of(r, POLLIN, 5000) & POLLIN, "nothing came after %d", i);
		CHECK_OK(recv(r, taken, sizeof(taken), 0));
	}
	for (int i = 0; i < CROWD; i++)
		thread_join(t[i], NULL);
	nothing_comes(r);
	close(r);
}

#define WHOLE (1 << 20)

/* As an event loop sends: never waits in send(). */
static void *polling_sender(void *arg)
{
	unsigned char *data = arg;
	int fd, of, ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
	unsigned events;

	memcpy(&fd, data + WHOLE, sizeof(fd));
	watch(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET);
	for (size_t at = 0; at < WHOLE;) {
		ssize_t n = send(fd, data + at, WHOLE - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			at += n;
		else if (errno != EAGAIN || ready(ep, 5000, &of, &events) != 1)
			return arg;
	}
	close(ep);
	return NULL;
}

TEST(a_read_of_everything_lets_a_sender_that_polls_go_on)
{
	static unsigned char data[WHOLE + sizeof(int)], got[WHOLE];
	pthread_t t;
	int s[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	for (size_t i = 0; i < WHOLE; i++)
		data[i] = stream_byte(i);
	memcpy(data + WHOLE, &s[0], sizeof(s[0]));
	t = thread_start(polling_sender, data);
	CHECK_EQ(CHECK_OK(recv(s[1], got, WHOLE, MSG_WAITALL)), WHOLE);
	CHECK(!memcmp(got, data, WHOLE));
	thread_join(t, NULL);
	close(s[0]);
	close(s[1]);
}

TEST_MAIN("unix_queues")
