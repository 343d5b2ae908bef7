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

TEST_MAIN("unix_queues")
