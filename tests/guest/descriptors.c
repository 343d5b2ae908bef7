/*
 * tests/guest/descriptors.c - descriptors: which number is taken, copies, flags of their own and shared ones, the limit.
 */
#include "harness.h"
#include <sys/resource.h>

TEST(the_lowest_free_descriptor_is_taken)
{
	int a = CHECK_OK(open("/dev/null", O_RDONLY)), b = CHECK_OK(open("/dev/null", O_RDONLY));

	CHECK_EQ(b, a + 1);
	CHECK_OK(close(a));
	CHECK_EQ(CHECK_OK(open("/dev/null", O_RDONLY)), a);
	CHECK_ERR(close(999), EBADF);
	CHECK_ERR(close(-1), EBADF);
	close(a);
	close(b);
}

TEST(dup_shares_the_position_and_flags)
{
	int fd = scratch_file("dup", "0123456789", 10), copy = CHECK_OK(dup(fd));

	CHECK_OK(lseek(fd, 4, SEEK_SET));
	CHECK_EQ(lseek(copy, 0, SEEK_CUR), 4);
	CHECK_OK(fcntl(fd, F_SETFL, O_APPEND));
	CHECK(fcntl(copy, F_GETFL) & O_APPEND);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(copy, F_GETFD), 0); /* that flag is of the descriptor */
	CHECK_OK(close(fd));
	CHECK_EQ(lseek(copy, 0, SEEK_CUR), 4);
}

TEST(dup2_and_dup3_replace_the_target)
{
	int fd = scratch_file("dup2", "abc", 3), null = CHECK_OK(open("/dev/null", O_RDONLY));
	char c;

	CHECK_EQ(CHECK_OK(dup2(fd, null)), null);
	CHECK_EQ(CHECK_OK(pread(null, &c, 1, 1)), 1);
	CHECK_EQ(c, 'b');
	CHECK_EQ(CHECK_OK(dup2(fd, fd)), fd);
	CHECK_ERR(dup3(fd, fd, 0), EINVAL);
	CHECK_ERR(dup3(fd, null, 1), EINVAL);
	CHECK_EQ(CHECK_OK(dup3(fd, 77, O_CLOEXEC)), 77);
	CHECK_EQ(fcntl(77, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(dup2(999, 5), EBADF);
	CHECK_ERR(dup2(fd, -1), EBADF);
	CHECK_ERR(dup2(fd, 1 << 30), EBADF);
	close(77);
}

TEST(fcntl_dupfd_starts_at_the_minimum)
{
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));

	CHECK_EQ(CHECK_OK(fcntl(fd, F_DUPFD, 200)), 200);
	CHECK_EQ(CHECK_OK(fcntl(fd, F_DUPFD_CLOEXEC, 200)), 201);
	CHECK_EQ(fcntl(201, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(fcntl(fd, F_DUPFD, -1), EINVAL);
	CHECK_ERR(fcntl(fd, 9999), EINVAL);
	CHECK_ERR(fcntl(999, F_GETFL), EBADF);
	close(200);
	close(201);
}

TEST(getfl_answers_access_mode_and_status_flags)
{
	int fd = CHECK_OK(open(scratch("getfl"), O_RDWR | O_CREAT | O_TRUNC | O_NONBLOCK, 0600));
	int flags = fcntl(fd, F_GETFL);

	CHECK_EQ(flags & O_ACCMODE, O_RDWR);
	CHECK(flags & O_NONBLOCK);
	CHECK_EQ(flags & (O_CREAT | O_TRUNC | O_CLOEXEC), 0);
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	CHECK_EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
}

TEST(both_bits_of_the_access_mode_are_neither_reading_nor_writing)
{
	static const char *const paths[] = { NULL, "/dev/null", "/dev/zero" };
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct stat st;
	char c = 'x';

	close(scratch_file("neither", "abc", 3));
	for (int i = 0; i < 3; i++) {
		int fd = CHECK_OK(open(paths[i] ? paths[i] : scratch("neither"), 3));

		CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, 3);
		CHECK_ERR(read(fd, &c, 1), EBADF);
		CHECK_ERR(pread(fd, &c, 1, 0), EBADF);
		CHECK_ERR(write(fd, &c, 1), EBADF);
		CHECK_ERR(fallocate(fd, 0, 0, 1), EBADF);
		CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
		CHECK_ERR(fcntl(fd, F_SETLK, &fl), EBADF);
		CHECK_OK(fstat(fd, &st));
		if (!paths[i]) {
			CHECK_ERR(ftruncate(fd, 0), EINVAL);
			CHECK_EQ(lseek(fd, 0, SEEK_END), 3);
		}
		close(fd);
	}
	CHECK_ERR(open(scratch(""), 3), EISDIR);
}

TEST(an_o_path_descriptor_cannot_read)
{
	struct stat st;
	char c;
	int fd;

	close(scratch_file("path", "abc", 3));
	fd = CHECK_OK(open(scratch("path"), O_PATH));
	CHECK_ERR(read(fd, &c, 1), EBADF);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 3);
}

TEST(the_descriptor_limit_is_emfile)
{
	struct rlimit old, low;
	int fds[256], n = 0, err;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &old));
	low = (struct rlimit){ 100, old.rlim_max };
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &low));
	while (n < 256 && (fds[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	err = errno;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &old));
	CHECK(n < 100);
	CHECK_EQ(err, EMFILE);
	CHECK(n == 0 || fds[n - 1] < 100);
	while (n > 0)
		close(fds[--n]);
}

TEST(two_thousand_open_descriptors)
{
	enum { N = 2000 };
	static int fds[N];
	struct rlimit limit;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < N + 100) {
		CHECK(limit.rlim_max >= N + 100);
		limit.rlim_cur = N + 100;
		CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	}
	for (int i = 0; i < N; i++)
		fds[i] = CHECK_OK(open("/dev/null", O_RDWR));
	for (int i = 0; i < N; i++) {
		CHECK_EQ(write(fds[i], "x", 1), 1);
		CHECK_OK(close(fds[i]));
	}
}

TEST(close_range_closes_what_lies_between)
{
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	long r;

	CHECK_EQ(CHECK_OK(dup2(fd, 300)), 300);
	CHECK_EQ(CHECK_OK(dup2(fd, 301)), 301);
	CHECK_EQ(CHECK_OK(dup2(fd, 303)), 303);
	r = sys(SYS_close_range, 300, 302, 0);
	CHECK_EQ(r, 0);
	CHECK_ERR(fcntl(300, F_GETFD), EBADF);
	CHECK_ERR(fcntl(301, F_GETFD), EBADF);
	CHECK_OK(fcntl(303, F_GETFD));
	CHECK_EQ(sys(SYS_close_range, 5, 4, 0), -EINVAL);
	close(303);
}

TEST_MAIN("descriptors")
