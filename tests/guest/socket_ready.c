/*
 * tests/guest/socket_ready.c - readiness of sockets of IP by every call that tells it, and waits that end: by another's close, a signal or in time.
 */
#include "net.h"
#include "waits.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

/* --- readiness ----------------------------------------------------------------------------------------------------- */

TEST(epoll_tells_the_end_of_a_connect)
{
	struct epoll_event e = { .events = EPOLLOUT | EPOLLIN | EPOLLET | EPOLLRDHUP }, got;
	int l = listener(AF_INET, 8), c = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), ep = CHECK_OK(epoll_create1(0));
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

/* What epoll tells of a connected datagram socket that was shut down, once it has told of the first state. */
static unsigned events_after_shutdown(unsigned wanted, int first, int second)
{
	struct epoll_event e = { .events = wanted | EPOLLET }, got = { 0 };
	int c = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), ep = CHECK_OK(epoll_create1(0));

	CHECK_OK(connect_here(c, 9));
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
	CHECK_OK(epoll_wait(ep, &got, 1, 0));
	CHECK_EQ(CHECK_OK(epoll_wait(ep, &got, 1, 0)), 0);
	CHECK_OK(shutdown(c, first));
	if (second >= 0) {
		CHECK_OK(epoll_wait(ep, &got, 1, 0));
		CHECK_OK(shutdown(c, second));
	}
	got.events = 0;
	CHECK_OK(epoll_wait(ep, &got, 1, 1000));
	close(c);
	close(ep);
	return got.events;
}

TEST(epoll_tells_that_a_datagram_socket_is_shut_down)
{
	CHECK_EQ(events_after_shutdown(0, SHUT_RDWR, -1), EPOLLHUP);
	CHECK_EQ(events_after_shutdown(0, SHUT_RD, SHUT_WR), EPOLLHUP);
	CHECK_EQ(events_after_shutdown(0, SHUT_WR, SHUT_RD), EPOLLHUP);
	CHECK_EQ(events_after_shutdown(EPOLLIN | EPOLLRDHUP, SHUT_RDWR, -1), EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	CHECK_EQ(events_after_shutdown(EPOLLIN | EPOLLRDHUP, SHUT_RD, -1), EPOLLIN | EPOLLRDHUP);
	/* Whatever it is that somebody waits for, he is asked to look again. */
	CHECK_EQ(events_after_shutdown(EPOLLOUT, SHUT_WR, -1), EPOLLOUT);
	CHECK_EQ(events_after_shutdown(EPOLLOUT, SHUT_RD, -1), EPOLLOUT);
}

TEST(select_and_poll_tell_of_sockets)
{
	int fd[2], top;
	fd_set in, out;
	struct timeval now = { 0, 0 };
	struct timespec none = { 0, 0 };
	struct pollfd p[3];
	sigset_t mask;

	pair(AF_INET, fd);
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

	pair(AF_INET, fd);
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
	int l = listener(AF_INET, 8), u = bound(AF_INET, SOCK_DGRAM), ev = CHECK_OK(eventfd(0, EFD_NONBLOCK)), tm = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
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
	int c = connected(AF_INET, port_of(l));

	CHECK_EQ(CHECK_OK(epoll_wait(outer, got, 8, 5000)), 1);
	CHECK_EQ(got[0].data.u32, 77);
	CHECK_EQ(CHECK_OK(sendto(c = CHECK_OK(dup(u)), "x", 1, 0, (struct sockaddr *)&a, sizeof(a))), 1);
	CHECK_EQ(CHECK_OK(write(ev, &one, 8)), 8);
	CHECK_OK(timerfd_settime(tm, 0, &soon, NULL));
	CHECK_EQ(pthread_kill(pthread_self(), SIGUSR2), 0);
	for (int64_t start = now_ns(); now_ns() - start < 5000000000 && seen != 31;) {
		int n = CHECK_OK(epoll_wait(ep, got, 8, 1000));

		for (int k = 0; k < n; k++)
			seen |= 1 << got[k].data.u32;
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

TEST(an_exclusive_listener_wakes_somebody)
{
	struct blocked b[4];
	int l = listener(AF_INET, 8), woken = 0, c;

	for (int i = 0; i < 4; i++) {
		struct epoll_event e = { .events = EPOLLIN | EPOLLEXCLUSIVE };

		b[i] = (struct blocked){ .call = call_epoll, .fd = CHECK_OK(epoll_create1(0)) };
		CHECK_OK(epoll_ctl(b[i].fd, EPOLL_CTL_ADD, l, &e));
		blocked_start(&b[i]);
	}
	c = connected(AF_INET, port_of(l));
	for (int i = 0; i < 4; i++) {
		pthread_join(b[i].thread, NULL);
		CHECK(b[i].result >= 0);
		woken += b[i].result;
		close(b[i].fd);
	}
	CHECK(woken >= 1);
	close(c);
	close(l);
}

/* --- waits that others end --------------------------------------------------------------------------------------------- */

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
static void closed_by_another(int fd, long (*call)(int fd), long result, int error)
{
	struct blocked b = { .fd = fd, .call = call };
	int dead[2];

	/* Half of a pair whose other half is gone. */
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, dead));
	close(dead[1]);
	handle(SIGRTMAX - 2, on_wake, 0);
	blocked_start(&b);
	CHECK_OK(dup2(dead[0], fd));
	CHECK_EQ(pthread_kill(b.thread, SIGRTMAX - 2), 0);
	blocked_end(&b, result, error);
	close(dead[0]);
}

TEST(a_blocked_read_ends_when_another_closes)
{
	int fd[2];

	pair(AF_INET, fd);
	closed_by_another(fd[0], call_read, -1, EINTR);
	/* The connection lives as long as somebody waits on it, and then it is closed. */
	char c;

	CHECK_EQ(CHECK_OK(read(fd[1], &c, 1)), 0);
	close(fd[0]);
	close(fd[1]);
}

TEST(a_blocked_accept_ends_when_another_closes)
{
	int l = listener(AF_INET, 4), port = port_of(l);
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));

	closed_by_another(l, call_accept, -1, EINTR);
	CHECK_ERR(connect_here(c, port), ECONNREFUSED);
	close(c);
	close(l);
}

TEST(a_blocked_poll_and_receive_end_when_another_closes)
{
	int fd[2], u = bound(AF_INET, SOCK_DGRAM);

	pair(AF_INET, fd);
	closed_by_another(u, call_recvfrom, -1, EINTR);
	/* poll() finds the file that has the number now, and that one is at its end. */
	closed_by_another(fd[0], call_poll, 1, 0);
	close(fd[0]);
	close(fd[1]);
	close(u);
}

TEST(a_restarting_signal_does_not_end_a_read)
{
	struct timeval t = { 5, 0 };
	struct blocked b = { .call = call_read };
	int fd[2];

	pair(AF_INET, fd);
	b.fd = fd[0];
	handle(SIGUSR1, on_wake, SA_RESTART);
	blocked_start(&b);
	blocked_restarts(&b, SIGUSR1);
	CHECK_EQ(CHECK_OK(write(fd[1], "x", 1)), 1);
	blocked_end(&b, 1, 0);
	/* With a timeout it is interrupted all the same. */
	CHECK_OK(setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	blocked_start(&b);
	CHECK_EQ(pthread_kill(b.thread, SIGUSR1), 0);
	blocked_end(&b, -1, EINTR);
	close(fd[0]);
	close(fd[1]);
}

TEST(timeouts_of_sockets)
{
	static char buf[262144];
	struct timeval t = { 0, 60000 }, wrong = { 0, 1000000 }, got;
	int fd[2], u = bound(AF_INET, SOCK_DGRAM), l = listener(AF_INET, 2);
	socklen_t n = sizeof(got);
	int64_t start;

	pair(AF_INET, fd);
	CHECK_OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	CHECK_OK(getsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &got, &n));
	CHECK_EQ(n, sizeof(got));
	CHECK_EQ(got.tv_usec, 60000);
	start = now_ns();
	/* Until nothing more fits; a part that went is no error. */
	for (;;) {
		ssize_t r = send(fd[0], buf, sizeof(buf), 0);

		if (r < 0) {
			CHECK_EQ(errno, EAGAIN);
			break;
		}
		CHECK(now_ns() - start < 15000000000);
	}
	CHECK_OK(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	start = now_ns();
	CHECK_ERR(recv(u, buf, 1, 0), EAGAIN);
	CHECK(now_ns() - start >= 59000000);
	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	CHECK_ERR(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof(wrong)), EDOM);
	CHECK_ERR(setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t) - 1), EINVAL);
	close(fd[0]);
	close(fd[1]);
	close(u);
	close(l);
}

TEST_MAIN("socket_ready")
