/*
 * tests/guest/epoll.c - epoll: level and edge, one shot, nesting, many descriptors, threads.
 */
#include "harness.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static int ep, fds[2];

static void setup(uint32_t events)
{
	struct epoll_event e = { .events = events, .data.u64 = 0x1122334455667788 };

	ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
	CHECK_OK(pipe2(fds, O_NONBLOCK));
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e));
}

static int wait_ms(struct epoll_event *e, int n, int ms)
{
	return CHECK_OK(epoll_wait(ep, e, n, ms));
}

TEST(level_triggered_reports_until_it_is_read)
{
	struct epoll_event e[4];
	char c;

	setup(EPOLLIN);
	CHECK_EQ(wait_ms(e, 4, 0), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(wait_ms(e, 4, 1000), 1);
		CHECK_EQ(e[0].events, EPOLLIN);
		CHECK_EQ(e[0].data.u64, 0x1122334455667788);
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(wait_ms(e, 4, 0), 0);
}

TEST(edge_triggered_reports_each_arrival_once)
{
	struct epoll_event e[4];

	setup(EPOLLIN | EPOLLET);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(wait_ms(e, 4, 1000), 1);
	CHECK_EQ(wait_ms(e, 4, 20), 0);
	CHECK_EQ(write(fds[1], "y", 1), 1);
	CHECK_EQ(wait_ms(e, 4, 1000), 1);
	CHECK_EQ(wait_ms(e, 4, 0), 0);
}

TEST(one_shot_is_silent_until_it_is_armed_again)
{
	struct epoll_event e[4], arm = { .events = EPOLLIN | EPOLLONESHOT };

	setup(EPOLLIN | EPOLLONESHOT);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(wait_ms(e, 4, 1000), 1);
	CHECK_EQ(write(fds[1], "y", 1), 1);
	CHECK_EQ(wait_ms(e, 4, 20), 0);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, fds[0], &arm));
	CHECK_EQ(wait_ms(e, 4, 1000), 1);
}

TEST(hangup_is_reported_without_being_asked_for)
{
	struct epoll_event e[4];

	setup(0);
	close(fds[1]);
	CHECK_EQ(wait_ms(e, 4, 1000), 1);
	CHECK_EQ(e[0].events, EPOLLHUP);
}

TEST(epoll_ctl_checks_its_arguments)
{
	struct epoll_event e = { .events = EPOLLIN };
	int file = scratch_file("file", "", 0);

	setup(EPOLLIN);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &e), EEXIST);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_MOD, fds[1], &e), ENOENT);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_DEL, fds[1], NULL), ENOENT);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &e), EBADF);
	CHECK_ERR(epoll_ctl(999, EPOLL_CTL_ADD, fds[1], &e), EBADF);
	CHECK_ERR(epoll_ctl(file, EPOLL_CTL_ADD, fds[1], &e), EINVAL);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e), EPERM);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
	CHECK_ERR(epoll_ctl(ep, 99, fds[1], &e), EINVAL);
	CHECK_EQ(sys(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fds[1], BAD_PTR), -EFAULT);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_DEL, fds[0], NULL));
}

TEST(epoll_wait_checks_its_arguments)
{
	struct epoll_event e[2];

	setup(EPOLLIN);
	CHECK_EQ(sys(SYS_epoll_wait, ep, e, 0, 0), -EINVAL);
	CHECK_EQ(sys(SYS_epoll_wait, ep, e, -1, 0), -EINVAL);
	CHECK_ERR(epoll_wait(999, e, 1, 0), EBADF);
	CHECK_ERR(epoll_wait(fds[0], e, 1, 0), EINVAL);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(sys(SYS_epoll_wait, ep, BAD_PTR, 1, 0), -EFAULT);
	CHECK_EQ(sys(SYS_epoll_create, 0), -EINVAL);
	CHECK_EQ(sys(SYS_epoll_create1, 99), -EINVAL);
}

TEST(a_closed_descriptor_leaves_the_set)
{
	struct epoll_event e[2];

	setup(EPOLLIN);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(wait_ms(e, 2, 0), 1);
	close(fds[0]);
	CHECK_EQ(wait_ms(e, 2, 0), 0);
}

TEST(epoll_wait_keeps_its_timeout)
{
	struct epoll_event e[2];
	struct timespec ts = { 0, 25000000 };
	int64_t start = now_ns();

	setup(EPOLLIN);
	CHECK_EQ(wait_ms(e, 2, 40), 0);
	CHECK(now_ns() - start >= 40000000);
	start = now_ns();
	CHECK_EQ(epoll_pwait(ep, e, 2, 25, NULL), 0);
	CHECK(now_ns() - start >= 25000000);
	start = now_ns();
	CHECK_EQ(sys(SYS_epoll_pwait2, ep, e, 2, &ts, NULL, 8), 0);
	CHECK(now_ns() - start >= 25000000);
}

TEST(timerfd_eventfd_and_socket_wake_epoll)
{
	struct epoll_event e[4], add = { .events = EPOLLIN };
	struct itimerspec it = { .it_value = { 0, 20000000 } };
	int s[2], ev = CHECK_OK(eventfd(0, 0)), timer = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	int seen = 0;

	ep = CHECK_OK(epoll_create1(0));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(timerfd_settime(timer, 0, &it, NULL));
	add.data.fd = 1;
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, timer, &add));
	add.data.fd = 2;
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &add));
	add.data.fd = 4;
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &add));
	CHECK_EQ(wait_ms(e, 4, 3000), 1);
	CHECK_EQ(e[0].data.fd, 1);
	CHECK_OK(eventfd_write(ev, 1));
	CHECK_EQ(write(s[1], "x", 1), 1);
	for (int i = wait_ms(e, 4, 1000); i > 0; i--)
		seen |= e[i - 1].data.fd;
	CHECK_EQ(seen, 7);
}

TEST(a_nested_epoll_is_readable_when_its_set_is)
{
	struct epoll_event e[2], add = { .events = EPOLLIN, .data.fd = 5 };
	int outer;

	setup(EPOLLIN);
	outer = CHECK_OK(epoll_create1(0));
	CHECK_OK(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &add));
	CHECK_EQ(CHECK_OK(epoll_wait(outer, e, 2, 0)), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(CHECK_OK(epoll_wait(outer, e, 2, 1000)), 1);
	CHECK_EQ(e[0].data.fd, 5);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, outer, &add), ELOOP);
}

/* Nesting */

static int set_new(void) { return CHECK_OK(epoll_create1(EPOLL_CLOEXEC)); }

static int add(int set, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
}

static int many[1100], nmany;

/* A new set around another one, closed at the end of the case by many_close(). */
static int around(int fd)
{
	int set = set_new();

	many[nmany++] = set;
	return add(set, fd) ? -1 : set;
}

static void many_close(void)
{
	while (nmany)
		close(many[--nmany]);
}

static void many_descriptors(void)
{
	struct rlimit limit;

	nmany = 0;
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < 1000) {
		limit.rlim_cur = limit.rlim_max < 1000 ? limit.rlim_max : 1000;
		CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	}
	if (limit.rlim_cur < 1000)
		SKIP("%ld descriptors are too few", (long)limit.rlim_cur);
}

TEST(sets_nest_five_deep)
{
	int a[6], b[3];

	for (int i = 0; i < 6; i++)
		a[i] = set_new();
	for (int i = 0; i < 3; i++)
		b[i] = set_new();
	for (int i = 0; i < 4; i++)
		CHECK_OK(add(a[i], a[i + 1]));
	CHECK_ERR(add(a[4], a[5]), ELOOP);
	CHECK_ERR(add(a[5], a[0]), ELOOP);
	CHECK_ERR(add(a[4], a[0]), ELOOP);
	CHECK_ERR(add(a[3], a[2]), ELOOP);
	CHECK_ERR(add(a[3], a[4]), EEXIST);
	/* Joined in the middle. */
	CHECK_OK(epoll_ctl(a[2], EPOLL_CTL_DEL, a[3], NULL));
	CHECK_OK(add(b[0], b[1]));
	CHECK_OK(add(b[1], b[2]));
	CHECK_ERR(add(a[2], b[0]), ELOOP);
	CHECK_OK(add(a[2], b[1]));
	CHECK_OK(add(a[2], a[3]));
	for (int i = 0; i < 6; i++)
		close(a[i]);
	for (int i = 0; i < 3; i++)
		close(b[i]);
}

/* A file whose news would travel too many ways is refused; the ways of each length are counted by themselves. */
TEST_SLOW(a_file_has_so_many_ways_up_and_no_more, 60)
{
	static const int most[] = { 500, 100, 50, 10 };
	struct epoll_event e, modify = { .events = EPOLLIN | EPOLLET };

	many_descriptors();
	for (int depth = 1; depth <= 4; depth++) {
		int file = CHECK_OK(eventfd(0, 0)), other = CHECK_OK(eventfd(0, 0)), empty, inner, top, first;

		inner = top = CHECK_OK(around(file));
		for (int i = 1; i < depth; i++)
			top = CHECK_OK(around(top));
		first = CHECK_OK(around(top));
		for (int i = 1; i < most[depth - 1]; i++)
			CHECK_OK(around(top));
		CHECK_ERR(around(top), EINVAL);
		CHECK_ERR(add(first, top), EEXIST);
		/* By another way of the same length; not by a shorter one; and not another file. */
		empty = CHECK_OK(set_new());
		for (int i = 0, set = empty; i < depth; i++)
			set = CHECK_OK(around(set));
		CHECK_ERR(add(empty, file), EINVAL);
		CHECK_OK(add(many[nmany - 1], file));
		CHECK_OK(add(inner, other));
		CHECK_ERR(add(empty, other), EINVAL);
		/* News reach everybody. */
		CHECK_OK(eventfd_write(file, 1));
		for (int i = 0; i < nmany; i++)
			CHECK_EQ(epoll_wait(many[i], &e, 1, 0), i == nmany - 1 || i < depth + most[depth - 1]);
		/* What is there can be changed, and makes room when it goes. */
		CHECK_OK(epoll_ctl(inner, EPOLL_CTL_MOD, file, &modify));
		CHECK_OK(epoll_ctl(first, EPOLL_CTL_DEL, top, NULL));
		CHECK_OK(add(empty, file));
		CHECK_ERR(add(first, top), EINVAL);
		many_close();
		close(empty);
		close(file);
		close(other);
	}
}

/* Sets count for nothing as long as there is no file in them; any number of sets may hold a file themselves. */
TEST_SLOW(only_nested_ways_are_counted, 60)
{
	int file, inner = set_new();

	many_descriptors();
	file = CHECK_OK(eventfd(0, 0));
	for (int i = 0; i < 600; i++)
		CHECK_OK(around(inner));
	CHECK_ERR(add(inner, file), EINVAL);
	for (int i = 0; i < 100; i++)
		CHECK_OK(epoll_ctl(many[i], EPOLL_CTL_DEL, inner, NULL));
	CHECK_OK(add(inner, file));
	many_close();
	for (int i = 0; i < 700; i++)
		CHECK_OK(around(file));
	many_close();
	close(inner);
	close(file);
}

TEST_SLOW(ways_that_part_and_meet_are_counted_each, 60)
{
	int file, a[10], b[10], c, d;

	many_descriptors();
	file = CHECK_OK(eventfd(0, 0));
	c = set_new();
	d = set_new();
	for (int i = 0; i < 10; i++) {
		a[i] = set_new();
		b[i] = set_new();
		CHECK_OK(add(a[i], file));
	}
	for (int i = 0; i < 100; i++)
		CHECK_OK(add(b[i / 10], a[i % 10]));
	for (int i = 0; i < 10; i++)
		CHECK_OK(add(c, b[i]));
	CHECK_ERR(add(d, b[0]), EINVAL);
	CHECK_OK(add(d, a[0]));
	for (int i = 0; i < 10; i++) {
		close(a[i]);
		close(b[i]);
	}
	close(c);
	close(d);
	close(file);
}

enum { LAYERS = 5, WIDTH = 40, TOP = 100 };

/* Each set of a layer holds all sets of the next one, so there are more ways than could be walked. */
static void layers_connect(int (*layer)[TOP], int upper)
{
	for (int i = 0; i < (upper ? WIDTH : TOP); i++)
		for (int k = 0; k < (upper == LAYERS - 2 ? TOP : WIDTH); k++)
			CHECK_OK(add(layer[upper][i], layer[upper + 1][k]));
}

TEST_SLOW(a_dense_net_of_sets_is_walked_once, 60)
{
	static int layer[LAYERS][TOP];
	int64_t start = now_ns();

	many_descriptors();
	for (int up = 0; up < 2; up++) {
		for (int l = 0; l < LAYERS; l++)
			for (int i = 0; i < (l == 0 || l == LAYERS - 1 ? TOP : WIDTH); i++)
				layer[l][i] = set_new();
		for (int l = 0; l < LAYERS - 1; l++)
			layers_connect(layer, up ? LAYERS - 2 - l : l);
		CHECK_ERR(add(layer[LAYERS - 1][0], layer[0][0]), ELOOP);
		for (int l = 0; l < LAYERS; l++)
			for (int i = 0; i < (l == 0 || l == LAYERS - 1 ? TOP : WIDTH); i++)
				close(layer[l][i]);
	}
	CHECK(now_ns() - start < 50000000000ll);
}

TEST(three_hundred_descriptors_are_reported_in_pieces)
{
	enum { N = 300 };
	struct epoll_event e[64], add = { .events = EPOLLIN };
	bool seen[N] = { false };
	int fd[N], total = 0;

	ep = CHECK_OK(epoll_create1(0));
	for (int i = 0; i < N; i++) {
		fd[i] = CHECK_OK(eventfd(1, EFD_NONBLOCK));
		add.data.fd = i;
		CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &add));
	}
	while (total < N) {
		int n = wait_ms(e, 64, 1000);
		uint64_t v;

		CHECK(n > 0 && n <= 64);
		for (int i = 0; i < n; i++) {
			CHECK(!seen[e[i].data.fd]);
			seen[e[i].data.fd] = true;
			CHECK_EQ(read(fd[e[i].data.fd], &v, 8), 8);
			total++;
		}
	}
	CHECK_EQ(wait_ms(e, 64, 0), 0);
	for (int i = 0; i < N; i++)
		close(fd[i]);
}

static _Atomic int got_events;

static void *wait_loop(void *arg)
{
	struct epoll_event e;

	while (epoll_wait(ep, &e, 1, 5000) == 1) {
		uint64_t v;

		if (e.data.fd == -1)
			break;
		if (read(e.data.fd, &v, 8) == 8)
			got_events += (int)v;
	}
	return arg;
}

TEST_SLOW(several_threads_share_one_epoll, 40)
{
	struct epoll_event add = { .events = EPOLLIN };
	pthread_t threads[4];
	int fd[8], stop = CHECK_OK(eventfd(0, 0));

	got_events = 0;
	ep = CHECK_OK(epoll_create1(0));
	add.data.fd = -1;
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, stop, &add));
	for (int i = 0; i < 8; i++) {
		fd[i] = CHECK_OK(eventfd(0, EFD_NONBLOCK));
		add.data.fd = fd[i];
		CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &add));
	}
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(wait_loop, NULL);
	for (int i = 0; i < 2000; i++)
		CHECK_OK(eventfd_write(fd[i % 8], 1));
	CHECK(EVENTUALLY(got_events == 2000));
	CHECK_OK(eventfd_write(stop, 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

TEST_MAIN("epoll")
