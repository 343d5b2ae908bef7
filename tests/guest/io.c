/*
 * tests/guest/io.c - pipes, sockets, eventfds, timers and epoll sets used, watched and closed by many threads
 * at once, with signals in between. Nothing but the absence of crashes, hangs and leaks is checked.
 */
#include "harness.h"
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

#define THREADS 6
#define SLOTS 40
#define SECONDS 6
#define FIRST_FD 200 /* descriptors of the pool: others must not be hit by a late close */

static _Atomic bool stop;
static _Atomic long operations;

static void nothing(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
}

/* Puts a new descriptor into a random slot of the pool; what was there is closed by dup2. */
static void put(int fd, unsigned *seed)
{
	if (fd < 0)
		return;
	dup2(fd, FIRST_FD + rand_r(seed) % SLOTS);
	close(fd);
}

static int any(unsigned *seed) { return FIRST_FD + rand_r(seed) % SLOTS; }

static void make(unsigned *seed)
{
	int p[2] = { -1, -1 };
	struct itimerspec it = { { 0, 3000000 }, { 0, 1000000 } };

	switch (rand_r(seed) % 7) {
	case 0:
		if (pipe2(p, O_NONBLOCK) == 0)
			put(p[0], seed), put(p[1], seed);
		break;
	case 1:
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p) == 0)
			put(p[0], seed), put(p[1], seed);
		break;
	case 2:
		if (socketpair(AF_UNIX, (rand_r(seed) & 1 ? SOCK_DGRAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, 0,
			       p) == 0)
			put(p[0], seed), put(p[1], seed);
		break;
	case 3:
		put(eventfd(rand_r(seed) % 3, EFD_NONBLOCK | (rand_r(seed) & 1 ? EFD_SEMAPHORE : 0)), seed);
		break;
	case 4:
		p[0] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
		if (p[0] >= 0) {
			timerfd_settime(p[0], 0, &it, NULL);
			put(p[0], seed);
		}
		break;
	default:
		put(epoll_create1(0), seed);
	}
}

/* fd is an eventfd: a socket in flight through itself would be found by a collector only. */
static void pass_descriptor(int to, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 1;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void use(unsigned *seed, int spare)
{
	char buf[6000];
	struct epoll_event ev[4] = { { .events = rand_r(seed) & (EPOLLIN | EPOLLOUT | EPOLLPRI) } };
	struct pollfd fds[10];
	struct iovec iov[2] = { { buf, rand_r(seed) % 3000 }, { buf, rand_r(seed) % 3000 } };

	memset(buf, 1, sizeof(buf));
	switch (rand_r(seed) % 14) {
	case 0:
	case 1:
		make(seed);
		break;
	case 2:
		close(any(seed));
		break;
	case 3:
	case 4:
		if (write(any(seed), buf, rand_r(seed) % 2 ? 8 : rand_r(seed) % sizeof(buf)) < 0)
			break;
		break;
	case 5:
	case 6:
		if (read(any(seed), buf, rand_r(seed) % 2 ? 8 : rand_r(seed) % sizeof(buf)) < 0)
			break;
		break;
	case 7:
		ev[0].events |= rand_r(seed) & 1 ? EPOLLET : rand_r(seed) & 1 ? EPOLLONESHOT : 0;
		epoll_ctl(any(seed), 1 + rand_r(seed) % 3, any(seed), ev);
		break;
	case 8:
	case 9:
		epoll_wait(any(seed), ev, 4, rand_r(seed) % 3);
		break;
	case 10:
		for (int i = 0; i < 10; i++)
			fds[i] = (struct pollfd){ .fd = any(seed), .events = rand_r(seed) & 0x7 };
		poll(fds, 10, rand_r(seed) % 3);
		break;
	case 11:
		if ((rand_r(seed) & 1 ? writev(any(seed), iov, 2) : readv(any(seed), iov, 2)) < 0)
			break;
		break;
	case 12:
		pass_descriptor(any(seed), spare);
		break;
	case 13:
		if (rand_r(seed) % 4 == 0)
			shutdown(any(seed), rand_r(seed) % 3);
		else
			dup2(any(seed), any(seed));
		break;
	}
	operations++;
}

static void *worker(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	int spare = eventfd(0, 0);

	while (!stop)
		use(&seed, spare);
	close(spare);
	return NULL;
}

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

TEST_SLOW(everything_at_once, SECONDS + 30)
{
	pthread_t t[THREADS];
	int before = open_descriptors();
	unsigned seed = 77;

	handle(SIGUSR1, nothing, 0);
	handle(SIGPIPE, nothing, SA_RESTART);
	stop = false;
	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = thread_start(worker, (void *)(i + 1));
	for (int64_t end = now_ns() + SECONDS * 1000000000ll; now_ns() < end;) {
		pthread_kill(t[rand_r(&seed) % THREADS], SIGUSR1);
		sleep_ms(3);
	}
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < SLOTS; i++)
		close(FIRST_FD + i);
	CHECK_EQ(open_descriptors(), before);
	CHECK(operations > 1000);
	printf("# %ld operations\n", (long)operations);
}

/* Threads sleep in every way there is while others wake them; each wake must arrive. */
#define ROUNDS 3000
static int there[2], back[2];

static void *mirror(void *arg)
{
	int ep = epoll_create1(0), mode = (int)(intptr_t)arg;
	struct epoll_event ev = { .events = EPOLLIN | (mode == 2 ? EPOLLET : mode == 3 ? EPOLLONESHOT : 0) };
	struct pollfd p = { .fd = there[0], .events = POLLIN };
	fd_set set;
	char c;

	fcntl(there[0], F_SETFL, mode ? O_NONBLOCK : 0);
	epoll_ctl(ep, EPOLL_CTL_ADD, there[0], &ev);
	for (int i = 0; i < ROUNDS;) {
		switch (mode) {
		case 1:
			poll(&p, 1, -1);
			break;
		case 2:
			epoll_wait(ep, &ev, 1, -1);
			break;
		case 3:
			epoll_wait(ep, &ev, 1, -1);
			ev.events = EPOLLIN | EPOLLONESHOT;
			epoll_ctl(ep, EPOLL_CTL_MOD, there[0], &ev);
			break;
		case 4:
			FD_ZERO(&set);
			FD_SET(there[0], &set);
			select(there[0] + 1, &set, NULL, NULL, NULL);
			break;
		}
		while (i < ROUNDS && read(there[0], &c, 1) == 1) {
			i++;
			if (write(back[1], &c, 1) != 1)
				FAIL("the way back is closed");
		}
	}
	close(ep);
	return NULL;
}

TEST_SLOW(no_wake_up_is_lost, 60)
{
	char c = 'x';

	for (int kind = 0; kind < 2; kind++) {
		for (intptr_t mode = 0; mode < 5; mode++) {
			pthread_t t;

			if (kind == 0) {
				CHECK_OK(pipe(there));
				CHECK_OK(pipe(back));
			} else {
				CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, there));
				CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, back));
			}
			t = thread_start(mirror, (void *)mode);
			for (int i = 0; i < ROUNDS; i++) {
				CHECK_EQ(CHECK_OK(write(there[1], &c, 1)), 1);
				CHECK_EQ(CHECK_OK(read(back[0], &c, 1)), 1);
			}
			pthread_join(t, NULL);
			for (int i = 0; i < 2; i++) {
				close(there[i]);
				close(back[i]);
			}
		}
	}
}

TEST_MAIN("io")
