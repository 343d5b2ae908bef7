/*
 * tests/guest/ready.c - which descriptors and which memory the calls that wait look at: poll, select, epoll, and others that take a descriptor.
 */
#include "harness.h"
#include "waits.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

/* A set of `bytes` before a page that must not be touched. */
static void *set_at_the_edge(size_t bytes)
{
	char *page = map_anon(2, PROT_READ | PROT_WRITE);

	CHECK_OK(mprotect(page + PAGE, PAGE, PROT_NONE));
	return page + PAGE - bytes;
}

/* A program may pass any number: what lies beyond the descriptors that there can be is not read and not written. */
TEST(select_looks_no_further_than_the_table_of_descriptors)
{
	enum { BYTES = 512 };
	static unsigned char far[16384];
	unsigned char *in = set_at_the_edge(BYTES), *out = set_at_the_edge(BYTES);
	struct timespec now = { 0, 0 };
	int fd = CHECK_OK(eventfd(1, 0));

	memset(in, 0, BYTES);
	memset(out, 0, BYTES);
	in[fd / 8] |= 1 << fd % 8;
	CHECK_EQ(sys(SYS_pselect6, INT_MAX, in, out, NULL, &now, NULL), 1);
	CHECK_EQ(in[fd / 8], 1 << fd % 8);
	memset(in, 0, BYTES);
	CHECK_EQ(sys(SYS_pselect6, 100000, in, NULL, NULL, &now, NULL), 0);
	/* Descriptors far behind the table are not even looked for. */
	memset(far, 0xff, sizeof(far));
	memset(far, 0, BYTES);
	far[fd / 8] |= 1 << fd % 8;
	CHECK_EQ(sys(SYS_pselect6, 8 * (int)sizeof(far), far, NULL, NULL, &now, NULL), 1);
	CHECK_EQ(far[fd / 8], 1 << fd % 8);
	CHECK_EQ(far[BYTES], 0xff);
	CHECK_EQ(far[sizeof(far) - 1], 0xff);
	/* Within the table they are. */
	far[0] |= 0x80;
	close(7);
	CHECK_EQ(sys(SYS_pselect6, 64, far, NULL, NULL, &now, NULL), -EBADF);
	CHECK_EQ(sys(SYS_pselect6, -1, NULL, NULL, NULL, &now, NULL), -EINVAL);
	CHECK_EQ(sys(SYS_pselect6, INT_MAX, NULL, NULL, NULL, &now, NULL), 0);
	close(fd);
}

TEST(select_sees_a_descriptor_at_the_end_of_a_large_table)
{
	static unsigned char in[16384];
	struct timespec now = { 0, 0 };
	int fd = CHECK_OK(eventfd(1, 0)), high = fcntl(fd, F_DUPFD, 900);

	if (high < 0)
		SKIP("no descriptor beyond 900: %s", strerror(errno));
	in[high / 8] |= 1 << high % 8;
	CHECK_EQ(sys(SYS_pselect6, 8 * (int)sizeof(in), in, NULL, NULL, &now, NULL), 1);
	CHECK_EQ(in[high / 8], 1 << high % 8);
	CHECK_EQ(sys(SYS_pselect6, high, in, NULL, NULL, &now, NULL), 0);
	close(fd);
	close(high);
}

/* A descriptor that is only a place in the tree of names. */
static void path_is_refused(int fd)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
	struct timespec now = { 0, 0 };
	struct itimerspec it = { 0 };
	int ep = CHECK_OK(epoll_create1(0));
	sigset_t none;
	fd_set in, out, ex;
	char c;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLNVAL);
	p.revents = 0;
	CHECK_EQ(ppoll(&p, 1, NULL, NULL), 1);
	CHECK_EQ(p.revents, POLLNVAL);
	/* Open, so not EBADF here; but it could not be waited for. */
	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = ex = in;
	CHECK_EQ(pselect(fd + 1, &in, &out, &ex, &now, NULL), 3);
	CHECK(FD_ISSET(fd, &in) && FD_ISSET(fd, &out) && FD_ISSET(fd, &ex));
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), EBADF);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_DEL, fd, &e), EBADF);
	CHECK_ERR(epoll_ctl(fd, EPOLL_CTL_ADD, ep, &e), EBADF);
	CHECK_ERR(epoll_wait(fd, &e, 1, 0), EBADF);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EBADF);
	CHECK_ERR(timerfd_gettime(fd, &it), EBADF);
	CHECK_ERR(timerfd_settime(fd, 0, &it, NULL), EBADF);
	sigemptyset(&none);
	CHECK_ERR(signalfd(fd, &none, 0), EBADF);
	CHECK_ERR(inotify_add_watch(fd, "/", IN_CREATE), EBADF);
	CHECK_ERR(inotify_rm_watch(fd, 1), EBADF);
	CHECK_ERR(recv(fd, &c, 1, 0), EBADF);
	CHECK_ERR(listen(fd, 1), EBADF);
	CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL), EBADF);
	CHECK_ERR(readahead(fd, 0, 1), EBADF);
	close(ep);
}

TEST(a_descriptor_of_a_path_only_is_not_waited_for)
{
	int file = scratch_file("path", "x", 1), fd;

	fd = CHECK_OK(open(scratch("path"), O_PATH));
	path_is_refused(fd);
	close(fd);
	fd = CHECK_OK(open(scratch(""), O_PATH | O_DIRECTORY));
	path_is_refused(fd);
	close(fd);
	fd = CHECK_OK(open("/dev/null", O_PATH));
	path_is_refused(fd);
	close(fd);
	close(file);
}

/* The same of what has no name, by its link in /proc. */
TEST(the_path_of_a_descriptor_without_a_name_is_not_waited_for)
{
	sigset_t none;
	char link[64], text[1024];
	int ends[2], fds[8], n = 0;

	sigemptyset(&none);
	fds[n++] = CHECK_OK(epoll_create1(0));
	fds[n++] = CHECK_OK(eventfd(1, 0));
	fds[n++] = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	fds[n++] = CHECK_OK(signalfd(-1, &none, 0));
	fds[n++] = CHECK_OK(inotify_init1(0));
	fds[n++] = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(pipe(ends));
	fds[n++] = ends[0];
	fds[n++] = ends[1];
	for (int i = 0; i < n; i++) {
		int fd;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fds[i]);
		fd = open(link, O_PATH);
		if (fd < 0)
			SKIP("a descriptor without a name cannot be opened: %s", strerror(errno));
		path_is_refused(fd);
		snprintf(link, sizeof(link), "/proc/self/fdinfo/%d", fd);
		CHECK(read_file(link, text, sizeof(text)) > 0);
		CHECK(strstr(text, "pos:") && !strstr(text, "clockid") && !strstr(text, "sigmask") && !strstr(text, "eventfd-count"));
		close(fd);
		close(fds[i]);
	}
}

/* Its inode can be opened by nobody; what was refused must leave the descriptor as it was. */
TEST(a_descriptor_without_a_name_is_not_opened_by_its_link)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_NONBLOCK };
	struct epoll_event e = { .events = EPOLLIN };
	struct itimerspec soon = { .it_value = { .tv_nsec = 1000 } };
	uint64_t count;
	sigset_t none;
	char link[64];
	int fds[6];

	sigemptyset(&none);
	fds[0] = CHECK_OK(epoll_create1(0));
	fds[1] = CHECK_OK(eventfd(1, 0));
	fds[2] = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	fds[3] = CHECK_OK(signalfd(-1, &none, 0));
	fds[4] = CHECK_OK(inotify_init1(0));
	fds[5] = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	for (int i = 0; i < 6; i++) {
		for (unsigned m = 0; m < sizeof(modes) / sizeof(int); m++) {
			snprintf(link, sizeof(link), "/proc/self/fd/%d", fds[i]);
			CHECK_ERR(open(link, modes[m]), ENXIO);
			snprintf(link, sizeof(link), "/dev/fd/%d", fds[i]);
			CHECK_ERR(open(link, modes[m]), ENXIO);
		}
	}
	CHECK_OK(epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[2], &e));
	CHECK_OK(timerfd_settime(fds[2], 0, &soon, NULL));
	CHECK_EQ(epoll_wait(fds[0], &e, 1, 5000), 1);
	CHECK_EQ(read(fds[2], &count, 8), 8);
	CHECK_EQ(read(fds[1], &count, 8), 8);
	CHECK_EQ(count, 1);
	CHECK_OK(inotify_add_watch(fds[4], scratch(""), IN_CREATE));
	for (int i = 0; i < 6; i++)
		CHECK_OK(close(fds[i]));
}

TEST_MAIN("ready")
