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

TEST_MAIN("ready")
