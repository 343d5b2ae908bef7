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

TEST_MAIN("changes")
