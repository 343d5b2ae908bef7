/*
 * tests/guest/pipes.c - descriptors that are not files: pipes, socket pairs, eventfd, memfd.
 */
#include "harness.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8
#endif

static char big[1 << 20];

/* Pipes */

TEST(bytes_leave_a_pipe_in_order)
{
	int fds[2];
	char data[10] = "";

	CHECK_OK(pipe(fds));
	CHECK_EQ(write(fds[1], "abc", 3), 3);
	CHECK_EQ(write(fds[1], "def", 3), 3);
	CHECK_EQ(read(fds[0], data, 4), 4);
	CHECK(!memcmp(data, "abcd", 4));
	CHECK_EQ(read(fds[0], data, 10), 2);
	CHECK(!memcmp(data, "ef", 2));
	CHECK_EQ(read(fds[0], data, 0), 0);
}

TEST(the_end_of_the_writer_is_end_of_file)
{
	int fds[2];
	char c;

	CHECK_OK(pipe(fds));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	close(fds[1]);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(read(fds[0], &c, 1), 0);
	CHECK_EQ(read(fds[0], &c, 1), 0);
}

static _Atomic int broken;

static void count_sigpipe(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	broken++;
}

TEST(writing_without_a_reader_is_epipe_and_sigpipe)
{
	int fds[2];

	broken = 0;
	handle(SIGPIPE, count_sigpipe, 0);
	CHECK_OK(pipe(fds));
	close(fds[0]);
	CHECK_ERR(write(fds[1], "x", 1), EPIPE);
	CHECK_EQ(broken, 1);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(fds[1], "x", 1), EPIPE);
}

TEST(a_pipe_holds_64_kib_and_then_answers_eagain)
{
	int fds[2], n;
	ssize_t total = 0, r;

	CHECK_OK(pipe2(fds, O_NONBLOCK | O_CLOEXEC));
	CHECK_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(fcntl(fds[1], F_GETFL) & O_ACCMODE, O_WRONLY);
	CHECK_ERR(read(fds[0], big, 1), EAGAIN);
	while ((r = write(fds[1], big, 4096)) > 0)
		total += r;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(total, 65536);
	CHECK_OK(ioctl(fds[0], FIONREAD, &n));
	CHECK_EQ(n, 65536);
	CHECK_ERR(write(fds[1], "x", 1), EAGAIN);
	CHECK_EQ(read(fds[0], big, 4096), 4096);
	CHECK_EQ(write(fds[1], big, 4096), 4096);
}

TEST(small_writes_are_atomic_when_the_pipe_is_nearly_full)
{
	int fds[2];

	CHECK_OK(pipe2(fds, O_NONBLOCK));
	CHECK_EQ(write(fds[1], big, 65536 - 4096), 65536 - 4096);
	CHECK_EQ(write(fds[1], big, 100), 100);
	CHECK_ERR(write(fds[1], big, 4096), EAGAIN); /* all or nothing up to PIPE_BUF */
}

static int relay[2];

static void *write_all(void *arg)
{
	for (size_t at = 0; at < sizeof(big);) {
		ssize_t n = write(relay[1], big + at, sizeof(big) - at);

		if (n <= 0)
			FAIL("write: %s", strerror(errno));
		at += n;
	}
	close(relay[1]);
	return arg;
}

TEST(a_megabyte_goes_through_a_blocking_pipe)
{
	static char got[sizeof(big)];
	size_t at = 0;
	ssize_t n;
	pthread_t thread;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 >> 3);
	CHECK_OK(pipe(relay));
	thread = thread_start(write_all, NULL);
	while ((n = read(relay[0], got + at, 10007 < sizeof(got) - at ? 10007 : sizeof(got) - at)) > 0)
		at += n;
	pthread_join(thread, NULL);
	CHECK_EQ(at, sizeof(big));
	CHECK(!memcmp(got, big, at));
}

static void *write_records(void *arg)
{
	char record[64];

	memset(record, (int)(long)arg, sizeof(record));
	for (int i = 0; i < 500; i++)
		if (write(relay[1], record, sizeof(record)) != sizeof(record))
			FAIL("write: %s", strerror(errno));
	return NULL;
}

TEST(records_of_several_writers_do_not_mix)
{
	pthread_t threads[4];
	char record[64];
	int counts[4] = { 0 };

	CHECK_OK(pipe(relay));
	for (long i = 0; i < 4; i++)
		threads[i] = thread_start(write_records, (void *)i);
	for (int i = 0; i < 2000; i++) {
		size_t at = 0;

		while (at < sizeof(record))
			at += CHECK_OK(read(relay[0], record + at, sizeof(record) - at));
		for (unsigned j = 1; j < sizeof(record); j++)
			CHECK_EQ(record[j], record[0]);
		counts[(int)record[0]]++;
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CHECK_EQ(counts[i], 500);
	}
}

TEST(pipe_calls_check_their_arguments)
{
	int fds[2];

	CHECK_ERR(pipe2(fds, 99), EINVAL);
	CHECK_EQ(sys(SYS_pipe2, BAD_PTR, 0), -EFAULT);
	CHECK_OK(pipe(fds));
	CHECK_ERR(lseek(fds[0], 0, SEEK_SET), ESPIPE);
	CHECK_ERR(pread(fds[0], big, 1, 0), ESPIPE);
	CHECK_ERR(write(fds[0], big, 1), EBADF);
	CHECK_ERR(read(fds[1], big, 1), EBADF);
	CHECK_ERR(ftruncate(fds[1], 0), EINVAL);
	CHECK_EQ(sys(SYS_write, fds[1], BAD_PTR, 10), -EFAULT);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0), ENODEV);
}

static int link_open(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags);
}

TEST(an_open_of_the_link_is_a_further_end)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };
	struct stat read_end, write_end;
	int fds[2], in, out, both;
	char text[16];

	CHECK_OK(pipe(fds));
	CHECK_OK(fstat(fds[0], &read_end));
	CHECK_OK(fstat(fds[1], &write_end));
	CHECK_EQ(read_end.st_ino, write_end.st_ino);
	in = CHECK_OK(link_open(fds[0], O_RDONLY | O_NONBLOCK));
	CHECK_ERR(read(in, text, 1), EAGAIN);
	CHECK_ERR(write(in, text, 1), EBADF);
	CHECK_EQ(write(fds[1], "abc", 3), 3);
	CHECK_EQ(read(in, text, 1), 1);
	CHECK_EQ(read(fds[0], text + 1, 1), 1);
	/* A reader is left, so writing is no error. */
	CHECK_OK(close(fds[0]));
	CHECK_EQ(write(fds[1], "d", 1), 1);
	/* A writer, too: the end has not come. */
	out = CHECK_OK(link_open(in, O_WRONLY));
	CHECK_OK(close(fds[1]));
	CHECK_EQ(read(in, text + 2, 8), 2);
	CHECK(!memcmp(text, "abcd", 4));
	CHECK_ERR(read(in, text, 1), EAGAIN);
	CHECK_ERR(read(out, text, 1), EBADF);
	CHECK_OK(close(out));
	CHECK_EQ(read(in, text, 1), 0);
	/* One for both. */
	both = CHECK_OK(link_open(in, O_RDWR));
	CHECK_EQ(fcntl(both, F_GETFL) & O_ACCMODE, O_RDWR);
	p.fd = both;
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	CHECK_EQ(write(both, "xy", 2), 2);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT);
	CHECK_EQ(read(both, text, 8), 2);
	CHECK_OK(close(in));
	CHECK_EQ(write(both, "z", 1), 1);
	CHECK_ERR(link_open(both, 3), EINVAL);
	CHECK_OK(close(both));
}

TEST(a_pipe_that_nobody_has_open_is_empty)
{
	int fds[2], place, in, out;
	char c;

	CHECK_OK(pipe(fds));
	place = CHECK_OK(link_open(fds[0], O_PATH));
	CHECK_EQ(write(fds[1], "lost", 4), 4);
	CHECK_OK(close(fds[0]));
	CHECK_OK(close(fds[1]));
	in = CHECK_OK(link_open(place, O_RDONLY | O_NONBLOCK));
	CHECK_EQ(read(in, &c, 1), 0);
	out = CHECK_OK(link_open(place, O_WRONLY));
	CHECK_ERR(read(in, &c, 1), EAGAIN);
	CHECK_EQ(write(out, "n", 1), 1);
	CHECK_EQ(read(in, &c, 1), 1);
	CHECK_EQ(c, 'n');
	close(in);
	close(out);
	close(place);
}

TEST(pipe_size_can_be_asked_and_set)
{
	int fds[2];

	CHECK_OK(pipe(fds));
	CHECK_EQ(fcntl(fds[0], F_GETPIPE_SZ), 65536);
	CHECK(fcntl(fds[0], F_SETPIPE_SZ, 131072) >= 131072);
	CHECK(fcntl(fds[1], F_GETPIPE_SZ) >= 131072);
}

/* Socket pairs */

TEST(a_stream_pair_carries_bytes_both_ways)
{
	int s[2], n;
	char data[20] = "";

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(write(s[0], "abc", 3), 3);
	CHECK_EQ(send(s[0], "def", 3, 0), 3);
	CHECK_OK(ioctl(s[1], FIONREAD, &n));
	CHECK_EQ(n, 6);
	CHECK_EQ(recv(s[1], data, 2, MSG_PEEK), 2);
	CHECK_EQ(recv(s[1], data, 20, 0), 6); /* a stream keeps no borders */
	CHECK(!memcmp(data, "abcdef", 6));
	CHECK_EQ(write(s[1], "back", 4), 4);
	CHECK_EQ(read(s[0], data, 20), 4);
}

TEST(a_datagram_pair_keeps_borders_and_cuts)
{
	int s[2];
	char data[20] = "";

	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	CHECK_EQ(write(s[0], "abc", 3), 3);
	CHECK_EQ(write(s[0], "defgh", 5), 5);
	CHECK_EQ(read(s[1], data, 20), 3);
	CHECK_EQ(read(s[1], data, 2), 2);
	CHECK_ERR(recv(s[1], data, 20, MSG_DONTWAIT), EAGAIN); /* the rest is gone */
}

TEST(closing_one_end_is_end_of_file_and_epipe)
{
	int s[2];
	char c;

	signal(SIGPIPE, SIG_IGN);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	CHECK_EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(write(s[0], "x", 1), 1);
	close(s[0]);
	CHECK_EQ(read(s[1], &c, 1), 1);
	CHECK_EQ(read(s[1], &c, 1), 0);
	CHECK_ERR(write(s[1], "x", 1), EPIPE);
	CHECK_ERR(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
}

TEST(shutdown_ends_one_direction)
{
	int s[2];
	char c;

	signal(SIGPIPE, SIG_IGN);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(shutdown(s[0], SHUT_WR));
	CHECK_EQ(read(s[1], &c, 1), 0);
	CHECK_ERR(write(s[0], "x", 1), EPIPE);
	CHECK_EQ(write(s[1], "y", 1), 1);
	CHECK_EQ(read(s[0], &c, 1), 1);
	CHECK_ERR(shutdown(s[0], 9), EINVAL);
	CHECK_ERR(shutdown(0 + CHECK_OK(open("/dev/null", O_RDONLY)), SHUT_RD), ENOTSOCK);
}

TEST(a_full_stream_pair_answers_eagain)
{
	int s[2];
	ssize_t total = 0, n;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	CHECK_ERR(read(s[0], big, 1), EAGAIN);
	while ((n = write(s[0], big, 4096)) > 0)
		total += n;
	CHECK_EQ(errno, EAGAIN);
	CHECK(total >= 16384);
	while ((n = read(s[1], big, sizeof(big))) > 0)
		total -= n;
	CHECK_EQ(total, 0);
}

TEST(sendmsg_and_recvmsg_gather_and_scatter)
{
	int s[2];
	char a[3] = "", b[4] = "";
	struct iovec out[2] = { { "abc", 3 }, { "def", 3 } }, in[2] = { { a, 2 }, { b, 4 } };
	struct msghdr send = { .msg_iov = out, .msg_iovlen = 2 }, receive = { .msg_iov = in, .msg_iovlen = 2 };

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(CHECK_OK(sendmsg(s[0], &send, 0)), 6);
	CHECK_EQ(CHECK_OK(recvmsg(s[1], &receive, 0)), 6);
	CHECK(!memcmp(a, "ab", 2) && !memcmp(b, "cdef", 4));
	CHECK_EQ(sys(SYS_sendmsg, s[0], BAD_PTR, 0), -EFAULT);
}

TEST(socketpair_checks_its_arguments)
{
	int s[2];

	CHECK_ERR(socketpair(AF_UNIX, 7, 0, s), ESOCKTNOSUPPORT);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 77, s), EPROTONOSUPPORT);
	CHECK_ERR(socketpair(9999, SOCK_STREAM, 0, s), EAFNOSUPPORT);
	CHECK_EQ(sys(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD_PTR), -EFAULT);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_ERR(lseek(s[0], 0, SEEK_SET), ESPIPE);
}

/* eventfd */

TEST(eventfd_adds_and_reads_at_once)
{
	uint64_t v = 0;
	int fd = CHECK_OK(eventfd(5, EFD_NONBLOCK));

	CHECK_OK(eventfd_write(fd, 7));
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 12);
	CHECK_ERR(read(fd, &v, 8), EAGAIN);
}

TEST(eventfd_semaphore_counts_down)
{
	uint64_t v = 0;
	int fd = CHECK_OK(eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE));

	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 1);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_ERR(read(fd, &v, 8), EAGAIN);
}

TEST(eventfd_refuses_overflow_and_bad_sizes)
{
	uint64_t v = ~0ull;
	int fd = CHECK_OK(eventfd(0, EFD_NONBLOCK));

	CHECK_ERR(write(fd, &v, 8), EINVAL);
	v = ~0ull - 1;
	CHECK_EQ(write(fd, &v, 8), 8);
	v = 1;
	CHECK_ERR(write(fd, &v, 8), EAGAIN);
	CHECK_ERR(write(fd, &v, 4), EINVAL);
	CHECK_ERR(read(fd, &v, 4), EINVAL);
	CHECK_ERR(eventfd(0, 99), EINVAL);
	CHECK_EQ(sys(SYS_read, fd, BAD_PTR, 8), -EFAULT);
}

static int event_fd;

static void *post_event(void *arg)
{
	sleep_ms(50);
	eventfd_write(event_fd, 3);
	return arg;
}

TEST(a_blocked_read_of_an_eventfd_wakes)
{
	uint64_t v;
	pthread_t thread;

	event_fd = CHECK_OK(eventfd(0, 0));
	thread = thread_start(post_event, NULL);
	CHECK_EQ(read(event_fd, &v, 8), 8);
	CHECK_EQ(v, 3);
	pthread_join(thread, NULL);
}

/* memfd */

TEST(memfd_is_a_nameless_file)
{
	struct stat st;
	char path[64], target[100] = "";
	int fd = CHECK_OK(memfd_create("some name", MFD_CLOEXEC));

	CHECK_OK(fstat(fd, &st));
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_OK(readlink(path, target, sizeof(target) - 1));
	CHECK_STR(target, "/memfd:some name (deleted)");
	CHECK_ERR(memfd_create("x", 0x8000), EINVAL);
	CHECK_EQ(sys(SYS_memfd_create, BAD_PTR, 0), -EFAULT);
	memset(big, 'n', 300);
	big[300] = 0;
	CHECK_ERR(memfd_create(big, 0), EINVAL);
}

TEST(memfd_maps_grow_and_shrink_with_it)
{
	int fd = CHECK_OK(memfd_create("map", 0));
	char *p, *q;

	CHECK_OK(ftruncate(fd, 4 * PAGE));
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED && q != MAP_FAILED);
	p[3 * PAGE] = 9;
	CHECK_EQ(q[3 * PAGE], 9);
	CHECK_OK(ftruncate(fd, PAGE));
	CHECK_FAULT(fault_read, q + 3 * PAGE, SIGBUS, BUS_ADRERR);
	CHECK_OK(ftruncate(fd, 4 * PAGE));
	CHECK_EQ(p[3 * PAGE], 0);
}

TEST(one_memfd_mapped_three_times_as_zgc_does)
{
	enum { SIZE = 4 << 20 };
	int fd = CHECK_OK(memfd_create("heap", 0));
	/* Volatile: the compiler may not assume that different addresses are different memory. */
	volatile char *base = mmap(NULL, 3 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(base != MAP_FAILED);
	CHECK_OK(fallocate(fd, 0, 0, SIZE));
	for (int i = 0; i < 3; i++)
		CHECK(mmap((char *)base + i * SIZE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		      base + i * SIZE);
	for (size_t at = 0; at < SIZE; at += 9973)
		base[at] = (char)at;
	for (size_t at = 0; at < SIZE; at += 9973)
		CHECK(base[SIZE + at] == (char)at && base[2 * SIZE + at] == (char)at);
	CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 << 20));
	CHECK_EQ(base[9973], 0);
	CHECK_EQ(base[2 * SIZE + 9973], 0);
	CHECK_OK(munmap((char *)base, SIZE));
	base[SIZE + 1] = 5;
	CHECK_EQ(base[2 * SIZE + 1], 5);
	CHECK_OK(munmap((char *)base + SIZE, 2 * SIZE));
	close(fd);
}

TEST(memfd_seals_forbid_what_they_name)
{
	int fd = CHECK_OK(memfd_create("sealed", MFD_ALLOW_SEALING)), plain = CHECK_OK(memfd_create("plain", 0));
	long r = fcntl(fd, F_GET_SEALS);

	CHECK_EQ(r, 0);
	CHECK_EQ(fcntl(plain, F_GET_SEALS), F_SEAL_SEAL);
	CHECK_OK(ftruncate(fd, PAGE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	CHECK_ERR(ftruncate(fd, 0), EPERM);
	CHECK_ERR(ftruncate(fd, 2 * PAGE), EPERM);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_ERR(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
}

/* poll and select on them */

TEST(poll_tells_readable_writable_hangup_and_invalid)
{
	int fds[2], s[2];
	struct pollfd p[3];

	CHECK_OK(pipe(fds));
	p[0] = (struct pollfd){ fds[0], POLLIN, 0 };
	p[1] = (struct pollfd){ fds[1], POLLOUT, 0 };
	p[2] = (struct pollfd){ -1, POLLIN, 77 };
	CHECK_EQ(poll(p, 3, 0), 1);
	CHECK_EQ(p[0].revents, 0);
	CHECK_EQ(p[1].revents, POLLOUT);
	CHECK_EQ(p[2].revents, 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	p[2] = (struct pollfd){ 999, 0, 0 };
	CHECK_EQ(poll(p, 3, -1), 3);
	CHECK_EQ(p[0].revents, POLLIN);
	CHECK_EQ(p[2].revents, POLLNVAL);
	close(fds[1]);
	CHECK_EQ(poll(p, 1, 0), 1);
	CHECK_EQ(p[0].revents, POLLIN | POLLHUP);
	CHECK_EQ(read(fds[0], big, 1), 1);
	CHECK_EQ(poll(p, 1, 0), 1);
	CHECK_EQ(p[0].revents, POLLHUP);
	close(fds[0]);
	CHECK_OK(pipe(fds));
	close(fds[0]);
	p[0] = (struct pollfd){ fds[1], POLLOUT, 0 };
	CHECK_EQ(poll(p, 1, 0), 1);
	CHECK(p[0].revents & POLLERR);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	close(s[1]);
	p[0] = (struct pollfd){ s[0], POLLIN | POLLRDHUP, 0 };
	CHECK_EQ(poll(p, 1, 0), 1);
	CHECK_EQ(p[0].revents, POLLIN | POLLRDHUP | POLLHUP);
}

TEST(poll_waits_for_its_timeout_and_not_longer)
{
	int fds[2];
	struct pollfd p;
	int64_t start = now_ns();

	CHECK_OK(pipe(fds));
	p = (struct pollfd){ fds[0], POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 50), 0);
	CHECK(now_ns() - start >= 50000000);
	CHECK(now_ns() - start < 3000000000ll);
	CHECK_EQ(poll(NULL, 0, 1), 0);
	CHECK_EQ(sys(SYS_poll, BAD_PTR, 1, 0), -EFAULT);
	CHECK_EQ(sys(SYS_poll, &p, 1 << 30, 0), -EINVAL);
}

TEST(poll_wakes_when_another_thread_writes)
{
	struct pollfd p;
	pthread_t thread;
	int64_t start = now_ns();

	event_fd = CHECK_OK(eventfd(0, 0));
	p = (struct pollfd){ event_fd, POLLIN, 0 };
	thread = thread_start(post_event, NULL);
	CHECK_EQ(poll(&p, 1, 10000), 1);
	CHECK(now_ns() - start < 5000000000ll);
	pthread_join(thread, NULL);
}

TEST(ppoll_takes_a_mask_and_a_timespec)
{
	struct timespec ts = { 0, 20000000 };
	sigset_t none;
	int64_t start = now_ns();

	sigemptyset(&none);
	CHECK_EQ(ppoll(NULL, 0, &ts, &none), 0);
	CHECK(now_ns() - start >= 20000000);
	ts.tv_nsec = 1000000000;
	CHECK_EQ(sys(SYS_ppoll, NULL, 0, &ts, NULL, 8), -EINVAL);
}

TEST(select_sets_the_ready_bits)
{
	int fds[2];
	fd_set r, w;
	struct timeval tv = { 0, 30000 };

	CHECK_OK(pipe(fds));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fds[0], &r);
	FD_SET(fds[1], &w);
	CHECK_EQ(select(fds[1] + 1, &r, &w, NULL, &tv), 1);
	CHECK(!FD_ISSET(fds[0], &r) && FD_ISSET(fds[1], &w));
	FD_SET(fds[0], &r);
	CHECK_EQ(select(fds[0] + 1, &r, NULL, NULL, &tv), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	FD_SET(fds[0], &r);
	CHECK_EQ(select(fds[0] + 1, &r, NULL, NULL, NULL), 1);
	CHECK_EQ(select(0, NULL, NULL, NULL, &(struct timeval){ 0, 1000 }), 0);
	CHECK_ERR(select(-1, NULL, NULL, NULL, &tv), EINVAL);
	close(fds[0]);
	FD_SET(fds[0], &r);
	CHECK_ERR(select(fds[0] + 1, &r, NULL, NULL, &tv), EBADF);
}

TEST(regular_files_are_always_ready)
{
	struct pollfd p = { scratch_file("ready", "", 0), POLLIN | POLLOUT, 0 };

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT);
}

TEST_MAIN("pipes")
