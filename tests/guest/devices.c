/*
 * tests/guest/devices.c - the devices that need no hardware: null, zero, full and random numbers.
 */
#include "harness.h"
#include "waits.h"
#include <sys/sysmacros.h>
#include <sys/time.h>

TEST(dev_null_swallows_and_gives_nothing)
{
	char c;
	struct stat st;
	int fd = CHECK_OK(open("/dev/null", O_RDWR));

	CHECK_EQ(write(fd, "hello", 5), 5);
	CHECK_EQ(read(fd, &c, 1), 0);
	CHECK_OK(fstat(fd, &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(major(st.st_rdev), 1);
	CHECK_EQ(minor(st.st_rdev), 3);
}

TEST(dev_zero_gives_zeroes_and_maps)
{
	char data[100], *p;
	int fd = CHECK_OK(open("/dev/zero", O_RDWR));

	memset(data, 1, sizeof(data));
	CHECK_EQ(read(fd, data, sizeof(data)), (long)sizeof(data));
	for (unsigned i = 0; i < sizeof(data); i++)
		CHECK_EQ(data[i], 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK_EQ(p[77], 0);
	p[77] = 1;
}

TEST(dev_full_is_always_full)
{
	int fd = CHECK_OK(open("/dev/full", O_RDWR));

	CHECK_ERR(write(fd, "x", 1), ENOSPC);
}

TEST(random_devices_and_getrandom_give_different_bytes)
{
	unsigned char a[64], b[64], c[64] = { 0 };
	int fd = CHECK_OK(open("/dev/urandom", O_RDONLY)), fd2 = CHECK_OK(open("/dev/random", O_RDONLY));

	CHECK_EQ(read(fd, a, 64), 64);
	CHECK_EQ(read(fd2, b, 64), 64);
	CHECK_EQ(sys(SYS_getrandom, c, 64, 0), 64);
	CHECK(memcmp(a, b, 64) && memcmp(b, c, 64) && memcmp(a, c, 64));
	CHECK_EQ(sys(SYS_getrandom, c, 10, 1), 10);
	CHECK_EQ(sys(SYS_getrandom, c, 10, 0x100), -EINVAL);
	CHECK_EQ(sys(SYS_getrandom, BAD_PTR, 10, 0), -EFAULT);
	CHECK_EQ(sys(SYS_getrandom, c, 0, 0), 0);
}

/* Two GiB of addresses, behind which there is little memory. */
static char *large_buffer(void)
{
	const size_t piece = 8 << 20, all = 2ul << 30;
	int fd = CHECK_OK(memfd_create("buffer", 0));
	char *p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_OK(ftruncate(fd, piece));
	for (size_t at = 0; at < all; at += piece)
		CHECK(mmap(p + at, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	close(fd);
	return p;
}

TEST(long_transfers_of_devices_end_at_a_signal)
{
	static const char *const paths[] = { "/dev/zero", "/dev/urandom", "/dev/urandom" };
	struct itimerval soon = { { 0, 20000 }, { 0, 20000 } }, never = { 0 };
	char *p = large_buffer();

	main_thread_blocks(SIGALRM, 0);
	handle(SIGALRM, on_wake, SA_RESTART);
	for (int i = 0; i < 3; i++) {
		int fd = CHECK_OK(open(paths[i], O_RDWR));
		int64_t start = now_ns();
		ssize_t n;

		CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
		n = i == 2 ? write(fd, p, 2ul << 30) : read(fd, p, 2ul << 30);
		CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
		CHECK_MSG(n > 0 && n < 0x7ffff000, "%zd bytes of %s", n, paths[i]);
		CHECK_EQ(n % (ssize_t)PAGE, 0);
		CHECK(now_ns() - start < 5000000000ll);
		close(fd);
	}
	munmap(p, 2ul << 30);
}

TEST(a_device_gives_what_there_is_room_for)
{
	char *p = map_anon(3, PROT_READ | PROT_WRITE);

	memset(p, 'x', 3 * PAGE);
	CHECK_OK(mprotect(p + 2 * PAGE, PAGE, PROT_NONE));
	for (int i = 0; i < 2; i++) {
		int fd = CHECK_OK(open(i ? "/dev/urandom" : "/dev/zero", O_RDONLY));

		CHECK_EQ(read(fd, p + 100, 3 * PAGE - 100), 2 * PAGE - 100);
		CHECK_EQ(sys(SYS_read, fd, p + 2 * PAGE, 10), -EFAULT);
		CHECK_EQ(read(fd, p, 0), 0);
		close(fd);
	}
	munmap(p, 3 * PAGE);
}

TEST_MAIN("devices")
