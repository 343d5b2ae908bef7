/*
 * tests/guest/socket_limits.c - what sockets do when there is no descriptor left, or when a buffer cannot be written to its end.
 */
#include "net.h"
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

/* --- descriptors --------------------------------------------------------------------------------------------------------- */

/* Takes every descriptor below that limit, which holds until the case ends. */
static struct rlimit limit_before;
static int taken[256];
static unsigned ntaken;

static void take_all_but(unsigned left)
{
	struct rlimit low;
	int fd;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit_before));
	low = limit_before;
	low.rlim_cur = 128;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &low));
	for (ntaken = 0; (fd = dup(0)) >= 0; ntaken++)
		taken[ntaken] = fd;
	CHECK_EQ(errno, EMFILE);
	CHECK(ntaken >= left);
	while (left--)
		close(taken[--ntaken]);
}

static void give_back(void)
{
	while (ntaken)
		close(taken[--ntaken]);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit_before));
}

TEST(a_connection_waits_for_a_descriptor)
{
	int l = listener(AF_INET, 4), c = connected(AF_INET, port_of(l)), s;
	char byte;

	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	take_all_but(0);
	CHECK_ERR(accept(l, NULL, NULL), EMFILE);
	/* It did not wait for a connection, either. */
	CHECK_ERR(accept4(l, NULL, NULL, SOCK_NONBLOCK), EMFILE);
	CHECK_EQ(events_of(l, POLLIN, 0), POLLIN);
	give_back();
	s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(CHECK_OK(write(c, "x", 1)), 1);
	CHECK_EQ(CHECK_OK(read(s, &byte, 1)), 1);
	/* A call that failed has kept none. */
	CHECK_OK(fcntl(l, F_SETFL, O_NONBLOCK));
	take_all_but(1);
	for (int i = 0; i < 3; i++)
		CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	give_back();
	close(c);
	close(s);
	close(l);
}

/* A call that waits has its descriptor already. */
static void *accept_one(void *arg)
{
	return (void *)(long)accept(*(int *)arg, NULL, NULL);
}

TEST(a_descriptor_that_is_reserved_is_nobody_elses)
{
	int l = listener(AF_INET, 4), next = CHECK_OK(dup(0)), fd, c;
	pthread_t t;
	void *got;

	close(next);
	t = thread_start(accept_one, &l);
	CHECK(EVENTUALLY((fd = dup(0), close(fd), fd != next)));
	CHECK_ERR(dup2(0, next), EBUSY);
	CHECK_ERR(close(next), EBADF);
	CHECK_ERR(fcntl(next, F_GETFD), EBADF);
	c = connected(AF_INET, port_of(l));
	pthread_join(t, &got);
	CHECK_EQ((long)got, next);
	close(next);
	close(c);
	close(l);
}

TEST(of_descriptors_that_are_sent_as_many_come_as_there_are_free)
{
	char control[CMSG_SPACE(3 * sizeof(int))] = { 0 }, byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int s[2], sent[3] = { 0, 1, 2 }, got;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(sent)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(c), sent, sizeof(sent));
	for (int room = 1; room >= 0; room--) {
		m.msg_controllen = sizeof(control);
		CHECK_EQ(CHECK_OK(sendmsg(s[0], &m, 0)), 1);
		take_all_but((unsigned)room);
		CHECK_EQ(CHECK_OK(recvmsg(s[1], &m, 0)), 1);
		CHECK_EQ(m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
		if (room) {
			CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(int)));
			CHECK_EQ(m.msg_controllen, CMSG_SPACE(sizeof(int)));
			memcpy(&got, CMSG_DATA(c), sizeof(got));
			CHECK_OK(fcntl(got, F_GETFD));
			close(got);
			c->cmsg_len = CMSG_LEN(sizeof(sent));
			memcpy(CMSG_DATA(c), sent, sizeof(sent));
		} else {
			CHECK_EQ(m.msg_controllen, 0);
		}
		give_back();
	}
	close(s[0]);
	close(s[1]);
}

/* --- buffers --------------------------------------------------------------------------------------------------------------- */

/* n bytes, behind which nothing can be written. */
static char *last_bytes(size_t n)
{
	char *p = map_anon(2, PROT_READ | PROT_WRITE);

	CHECK_OK(mprotect(p + PAGE, PAGE, PROT_NONE));
	return p + PAGE - n;
}

/* What came in two pieces is read into a buffer that ends with the first. Whether that is read then or nothing is the kernel's to choose; what stays is
 * counted right, and comes. */
static void read_a_piece(int fd[2])
{
	char *end = last_bytes(100), bytes[200];
	int waiting = -1;
	ssize_t n;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)stream_byte(i);
	CHECK_EQ(CHECK_OK(send(fd[0], bytes, 100, 0)), 100);
	CHECK_EQ(CHECK_OK(send(fd[0], bytes + 100, 100, 0)), 100);
	CHECK(EVENTUALLY((ioctl(fd[1], FIONREAD, &waiting), waiting == 200)));
	n = recv(fd[1], end, 200, 0);
	CHECK(n == 100 || (n < 0 && errno == EFAULT));
	CHECK_ERR(recv(fd[1], end + 100, 10, 0), EFAULT);
	for (size_t done = n < 0 ? 0 : (size_t)n; done < sizeof(bytes); done += 100) {
		CHECK_OK(ioctl(fd[1], FIONREAD, &waiting));
		CHECK_EQ(waiting, sizeof(bytes) - done);
		CHECK_EQ(CHECK_OK(recv(fd[1], end, 100, 0)), 100);
		CHECK(!memcmp(end, bytes + done, 100));
	}
	CHECK_EQ(events_of(fd[1], POLLIN, 0), 0);
	nothing_comes(fd[1]);
	close(fd[0]);
	close(fd[1]);
}

TEST(a_buffer_that_ends_early_loses_nothing_of_a_connection)
{
	int fd[2];

	pair(AF_INET, fd);
	set_option(fd[0], IPPROTO_TCP, TCP_NODELAY, 1);
	read_a_piece(fd);
}

TEST(a_buffer_that_ends_early_loses_nothing_of_a_local_stream)
{
	int fd[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
	read_a_piece(fd);
}

TEST_MAIN("socket_limits")
