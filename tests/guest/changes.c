/*
 * tests/guest/changes.c - changes of files and directories: what a refused one leaves, what one looks like to those beside it, and which times it leaves behind.
 */
#include "harness.h"
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/uio.h>

/* Opening without a descriptor left */

static struct rlimit nofile;

/* No descriptor can be had until nofile_restore(). */
static void nofile_none(void)
{
	struct rlimit none;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &nofile));
	none = (struct rlimit){ 0, nofile.rlim_max };
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &none));
}

static void nofile_restore(void) { CHECK_OK(setrlimit(RLIMIT_NOFILE, &nofile)); }

TEST(an_open_that_finds_no_descriptor_changes_nothing)
{
	long truncates, creates;
	struct stat st;

	close(scratch_file("kept", "0123456789", 10));
	nofile_none();
	truncates = sys(SYS_open, scratch("kept"), O_WRONLY | O_TRUNC, 0600);
	creates = sys(SYS_open, scratch("not-made"), O_WRONLY | O_CREAT, 0600);
	nofile_restore();
	CHECK_EQ(truncates, -EMFILE);
	CHECK_EQ(creates, -EMFILE);
	CHECK_OK(stat(scratch("kept"), &st));
	CHECK_EQ(st.st_size, 10);
	CHECK_ERR(stat(scratch("not-made"), &st), ENOENT);
}

TEST(without_a_descriptor_left_only_a_path_that_cannot_be_read_counts_more)
{
	long missing, empty, bad, base, flags;

	nofile_none();
	missing = sys(SYS_open, scratch("none-such"), O_RDONLY);
	empty = sys(SYS_open, "", O_RDONLY);
	bad = sys(SYS_open, BAD_PTR, O_RDONLY);
	base = sys(SYS_openat, 999, "x", O_RDONLY);
	flags = sys(SYS_open, scratch("none-such"), O_RDWR | O_CREAT | O_DIRECTORY, 0600);
	nofile_restore();
	CHECK_EQ(missing, -EMFILE);
	CHECK_EQ(empty, -ENOENT);
	CHECK_EQ(bad, -EFAULT);
	CHECK_EQ(base, -EMFILE);
	CHECK_EQ(flags, -EINVAL);
}

TEST(a_refused_open_takes_no_descriptor)
{
	int first = CHECK_OK(open("/dev/null", O_RDONLY));

	close(first);
	for (int i = 0; i < 3; i++) {
		CHECK_ERR(open(scratch("none-such"), O_RDONLY), ENOENT);
		CHECK_ERR(open("/tmp", O_WRONLY), EISDIR);
	}
	CHECK_EQ(CHECK_OK(open("/dev/null", O_RDONLY)), first);
	close(first);
}

/* Times */

TEST(times_before_1970_are_kept)
{
	static const struct timespec times[] = {
		{ 0, 0 }, { 0, 1 }, { -1, 0 }, { -1, 999999999 }, { -2, 1 }, { -1000000000, 500000000 }, { -2147483648l, 0 }, { 4102444800l, 7 },
	};
	const char *path = scratch("old");
	int fd = scratch_file("old", "x", 1);
	struct statx stx;
	struct stat st;

	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct timespec ts[2] = { times[i], times[(i + 1) % (sizeof(times) / sizeof(times[0]))] };

		CHECK_OK(utimensat(AT_FDCWD, path, ts, 0));
		CHECK_OK(fstat(fd, &st));
		CHECK_EQ(st.st_atim.tv_sec, ts[0].tv_sec);
		CHECK_EQ(st.st_atim.tv_nsec, ts[0].tv_nsec);
		CHECK_EQ(st.st_mtim.tv_sec, ts[1].tv_sec);
		CHECK_EQ(st.st_mtim.tv_nsec, ts[1].tv_nsec);
		CHECK(st.st_ctim.tv_sec > 1500000000);
		CHECK_OK(statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &stx));
		CHECK_EQ(stx.stx_atime.tv_sec, ts[0].tv_sec);
		CHECK_EQ(stx.stx_atime.tv_nsec, ts[0].tv_nsec);
		CHECK_EQ(stx.stx_mtime.tv_sec, ts[1].tv_sec);
		CHECK_EQ(stx.stx_mtime.tv_nsec, ts[1].tv_nsec);
	}
}

TEST(the_older_calls_set_times_before_1970)
{
	struct { long sec, usec; } tv[2] = { { -5, 999999 }, { -6, 1 } };
	long seconds[2] = { -7, -8 };
	int fd = scratch_file("older", "x", 1);
	struct stat st;

	CHECK_OK(syscall(SYS_utimes, scratch("older"), tv));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_atim.tv_sec, -5);
	CHECK_EQ(st.st_atim.tv_nsec, 999999000);
	CHECK_EQ(st.st_mtim.tv_sec, -6);
	CHECK_EQ(st.st_mtim.tv_nsec, 1000);
	CHECK_OK(syscall(SYS_utime, scratch("older"), seconds));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_atim.tv_sec, -7);
	CHECK_EQ(st.st_mtim.tv_sec, -8);
	CHECK_EQ(st.st_mtim.tv_nsec, 0);
}

/* File systems keep different ranges: what is beyond one becomes its end. */
TEST(times_far_away_stay_on_their_side)
{
	static const long far[] = { -10000000000l, -(1l << 40), LONG_MIN, 10000000000l, 1l << 40, LONG_MAX };
	int fd = scratch_file("far", "x", 1);
	struct stat st;

	for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		struct timespec ts[2] = { { far[i], 999999999 }, { far[i], 0 } };

		CHECK_OK(futimens(fd, ts));
		CHECK_OK(fstat(fd, &st));
		CHECK_MSG(far[i] < 0 ? st.st_mtim.tv_sec < -2000000000l && st.st_mtim.tv_sec >= far[i] :
				       st.st_mtim.tv_sec > 9000000000l && st.st_mtim.tv_sec <= far[i],
			  "%ld became %ld", far[i], st.st_mtim.tv_sec);
		CHECK(st.st_atim.tv_nsec == 0 || (st.st_atim.tv_nsec == 999999999 && st.st_atim.tv_sec == far[i]));
	}
}

TEST_MAIN("changes")
