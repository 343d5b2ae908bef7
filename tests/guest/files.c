/*
 * tests/guest/files.c - open files: opening, reading, writing, seeking, sizes, attributes, devices, locks. Descriptors
 * themselves: descriptors.c.
 */
#include "harness.h"
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>

TEST(open_reports_the_right_error)
{
	static const struct {
		const char *path;
		int flags, err;
	} table[] = {
		{ "/tmp/none-such", O_RDONLY, ENOENT },
		{ "", O_RDONLY, ENOENT },
		{ "/tmp/none-such/file", O_RDWR | O_CREAT, ENOENT },
		{ "/proc/self/status/x", O_RDONLY, ENOTDIR },
		{ "/dev/null/", O_RDONLY, ENOTDIR },
		{ "/tmp", O_WRONLY, EISDIR },
		{ "/tmp", O_RDWR, EISDIR },
		{ "/tmp/", O_RDWR | O_CREAT, EISDIR },
		{ "/dev/null", O_RDONLY | O_DIRECTORY, ENOTDIR },
		{ "/dev/null", O_RDWR | O_CREAT | O_EXCL, EEXIST },
	};
	char name[300];

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int fd = open(table[i].path, table[i].flags, 0600);

		CHECK_MSG(fd == -1 && errno == table[i].err, "open(\"%s\", %x): %d %s, not %s", table[i].path,
			  table[i].flags, fd, strerrorname_np(errno), strerrorname_np(table[i].err));
	}
	memset(name, 'n', sizeof(name));
	name[299] = 0;
	CHECK_EQ(sys(SYS_open, name, O_RDONLY), -ENAMETOOLONG);
	CHECK_EQ(sys(SYS_open, BAD_PTR, O_RDONLY), -EFAULT);
	CHECK_EQ(sys(SYS_openat, 999, "x", O_RDONLY), -EBADF);
	CHECK_EQ(sys(SYS_openat, 999, "/dev/null", O_RDONLY) >= 0, 1); /* absolute: not looked at */
}

TEST(open_tells_directories_links_and_what_exists_apart)
{
	CHECK_OK(mkdir(scratch("kind"), 0755));
	CHECK_OK(symlink("kind", scratch("kind-link")));
	CHECK_ERR(open(scratch("kind-link"), O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK_ERR(open(scratch("kind-link"), O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(open(scratch("kind-link"), O_PATH | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	CHECK_OK(close(CHECK_OK(open(scratch("kind-link"), O_PATH | O_NOFOLLOW))));
	CHECK_OK(close(CHECK_OK(open(scratch("kind-link"), O_RDONLY | O_DIRECTORY))));
	CHECK_ERR(open(scratch("kind"), O_RDONLY | O_TRUNC), EISDIR);
	CHECK_ERR(open(scratch("kind-link"), O_RDONLY | O_TRUNC), EISDIR);
	CHECK_ERR(open("/", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_ERR(open("//", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_ERR(open("/", O_RDONLY | O_CREAT, 0600), EISDIR);
	CHECK_ERR(open(scratch("kind/."), O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_ERR(open(scratch("kind"), O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
}

TEST(a_path_longer_than_path_max_is_enametoolong)
{
	char *path = malloc(5000);

	memset(path, '/', 4999);
	path[4999] = 0;
	CHECK_ERR(open(path, O_RDONLY), ENAMETOOLONG);
	for (int i = 0; i < 4094; i++)
		path[i] = i & 1 ? '.' : '/';
	path[4094] = 0;
	CHECK_OK(open(path, O_RDONLY | O_DIRECTORY)); /* /./././ ... is the root */
	free(path);
}

TEST(a_created_file_has_the_mode_less_umask)
{
	struct stat st;
	mode_t old = umask(027);

	CHECK_OK(open(scratch("mode"), O_RDWR | O_CREAT, 0666));
	CHECK_OK(stat(scratch("mode"), &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(st.st_uid, getuid());
	CHECK_EQ(umask(old), 027);
}

TEST(excl_trunc_and_append_do_what_they_say)
{
	const char *path = scratch("flags");
	struct stat st;
	int fd = CHECK_OK(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));

	CHECK_EQ(CHECK_OK(write(fd, "0123456789", 10)), 10);
	CHECK_ERR(open(path, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	close(fd);
	fd = CHECK_OK(open(path, O_WRONLY | O_APPEND));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_OK(lseek(fd, 2, SEEK_SET));
	CHECK_EQ(CHECK_OK(write(fd, "ab", 2)), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 12);
	CHECK_ERR(read(fd, &st, 1), EBADF);
	close(fd);
	fd = CHECK_OK(open(path, O_RDONLY));
	CHECK_ERR(write(fd, "x", 1), EBADF);
	close(fd);
	CHECK_OK(open(path, O_WRONLY | O_TRUNC));
	CHECK_OK(stat(path, &st));
	CHECK_EQ(st.st_size, 0);
}

TEST(pread_and_pwrite_leave_the_position_alone)
{
	char data[8] = "";
	int fd = scratch_file("pos", "0123456789", 10);

	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(CHECK_OK(pread(fd, data, 4, 3)), 4);
	CHECK(!memcmp(data, "3456", 4));
	CHECK_EQ(CHECK_OK(pwrite(fd, "xy", 2, 0)), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(CHECK_OK(pread(fd, data, 8, 8)), 2); /* short at the end */
	CHECK_EQ(CHECK_OK(pread(fd, data, 8, 10)), 0);
	CHECK_EQ(CHECK_OK(pread(fd, data, 8, 1000)), 0);
	CHECK_ERR(pread(fd, data, 1, -1), EINVAL);
	CHECK_ERR(pwrite(fd, data, 1, -1), EINVAL);
}

TEST(lseek_knows_set_cur_end_data_and_hole)
{
	int fd = scratch_file("seek", "0123456789", 10);

	CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
	CHECK_EQ(lseek(fd, 4, SEEK_CUR), 7);
	CHECK_EQ(lseek(fd, -1, SEEK_END), 9);
	CHECK_EQ(lseek(fd, 100, SEEK_END), 110);
	CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(fd, 0, 99), EINVAL);
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 10);
	CHECK_ERR(lseek(fd, 10, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(999, 0, SEEK_SET), EBADF);
}

/* Of a file with the size, whose pages at[] are written. */
static void check_seeks(int fd, off_t size, const off_t *at, unsigned n)
{
	const off_t page = 4096;

	CHECK_OK(ftruncate(fd, size));
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(CHECK_OK(pwrite(fd, "x", 1, at[i] * page + 5)), 1);
	for (unsigned i = 0; i < n; i++) {
		off_t here = at[i] * page, before = i ? (at[i - 1] + 1) * page : 0, data = i ? at[i - 1] : -1, end = at[i];

		if (data + 1 < at[i]) {
			CHECK_EQ(lseek(fd, before, SEEK_DATA), here);
			CHECK_EQ(lseek(fd, before + 77, SEEK_DATA), here);
			CHECK_EQ(lseek(fd, before + 77, SEEK_HOLE), before + 77);
		}
		for (unsigned k = i; k < n && at[k] == end; k++)
			end++;
		CHECK_EQ(lseek(fd, here, SEEK_DATA), here);
		CHECK_EQ(lseek(fd, here + 4095, SEEK_DATA), here + 4095);
		CHECK_EQ(lseek(fd, here + 77, SEEK_HOLE), end * page < size ? end * page : size);
	}
	CHECK_ERR(lseek(fd, (at[n - 1] + 1) * page, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(fd, size, SEEK_HOLE), ENXIO);
	CHECK_EQ(lseek(fd, size - 1, SEEK_HOLE), size - 1);
}

TEST(lseek_finds_the_data_of_files_that_are_nearly_all_hole)
{
	static const off_t few[] = { 1, 2, 3, 63, 64, 65, 4095, 4096, 100000, 1ll << 24 }, far[] = { 7, 1ll << 20, (1ll << 30) + 1, 1ll << 37, (1ll << 49) + 64 };
	int fd = CHECK_OK(memfd_create("holes", MFD_CLOEXEC));

	check_seeks(fd, (1ll << 50) * 4096 + 100, far, 5);
	CHECK_OK(ftruncate(fd, 0));
	check_seeks(fd, (1ll << 31) * 4096, far, 3);
	check_seeks(scratch_file("holes", "", 0), 1ll << 40, few, 10);
	close(fd);
}

TEST(a_write_behind_the_end_leaves_zeroes)
{
	char data[8192 + 3];
	struct stat st;
	int fd = scratch_file("sparse", "abc", 3);

	CHECK_EQ(CHECK_OK(pwrite(fd, "z", 1, 8194)), 1);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 8195);
	CHECK_EQ(CHECK_OK(pread(fd, data, sizeof(data), 0)), 8195);
	CHECK_EQ(data[2], 'c');
	for (int i = 3; i < 8194; i++)
		CHECK_EQ(data[i], 0);
	CHECK_EQ(data[8194], 'z');
}

TEST(truncate_cuts_and_extends_with_zeroes)
{
	char data[16] = "";
	int fd = scratch_file("cut", "0123456789", 10);

	CHECK_OK(ftruncate(fd, 4));
	CHECK_OK(ftruncate(fd, 8));
	CHECK_EQ(CHECK_OK(pread(fd, data, 16, 0)), 8);
	CHECK(!memcmp(data, "0123\0\0\0\0", 8));
	CHECK_OK(truncate(scratch("cut"), 2));
	CHECK_EQ(lseek(fd, 0, SEEK_END), 2);
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	CHECK_ERR(truncate("/tmp", 0), EISDIR);
	CHECK_ERR(truncate("/tmp/none-such", 0), ENOENT);
	close(fd);
	fd = CHECK_OK(open(scratch("cut"), O_RDONLY));
	CHECK_ERR(ftruncate(fd, 0), EINVAL);
	CHECK_ERR(ftruncate(999, 0), EBADF);
}

TEST(readv_and_writev_gather_and_scatter)
{
	char a[4] = "", b[6] = "";
	struct iovec out[3] = { { "abc", 3 }, { NULL, 0 }, { "defgh", 5 } };
	struct iovec in[2] = { { a, 4 }, { b, 6 } };
	int fd = scratch_file("vec", "", 0);

	CHECK_EQ(CHECK_OK(writev(fd, out, 3)), 8);
	CHECK_OK(lseek(fd, 0, SEEK_SET));
	CHECK_EQ(CHECK_OK(readv(fd, in, 2)), 8);
	CHECK(!memcmp(a, "abcd", 4) && !memcmp(b, "efgh", 4));
	CHECK_EQ(CHECK_OK(preadv(fd, in, 2, 2)), 6);
	CHECK(!memcmp(a, "cdef", 4));
	CHECK_EQ(CHECK_OK(pwritev(fd, out, 1, 7)), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 10);
	CHECK_EQ(sys(SYS_writev, fd, out, -1), -EINVAL);
	CHECK_EQ(sys(SYS_writev, fd, out, 1025), -EINVAL);
	CHECK_EQ(sys(SYS_writev, fd, BAD_PTR, 1), -EFAULT);
	CHECK_EQ(CHECK_OK(writev(fd, out, 0)), 0);
	out[0].iov_len = (size_t)-1;
	CHECK_EQ(sys(SYS_writev, fd, out, 1), -EINVAL);
}

TEST(reads_and_writes_with_bad_pointers_are_efault)
{
	char *none = map_anon(2, PROT_READ | PROT_WRITE);
	int fd = scratch_file("efault", "0123456789", 10);

	CHECK_EQ(sys(SYS_write, fd, BAD_PTR, 4), -EFAULT);
	CHECK_EQ(sys(SYS_write, fd, HIGH_PTR, 4), -EFAULT);
	CHECK_EQ(sys(SYS_write, fd, NONCANONICAL_PTR, 4), -EFAULT);
	CHECK_EQ(sys(SYS_pread64, fd, BAD_PTR, 4, 0), -EFAULT);
	CHECK_EQ(sys(SYS_pread64, fd, HIGH_PTR, 4, 0), -EFAULT);
	CHECK_EQ(sys(SYS_pread64, fd, BAD_PTR, 4, 100), 0); /* nothing to copy */
	CHECK_OK(mprotect(none + PAGE, PAGE, PROT_NONE));
	CHECK_EQ(sys(SYS_pread64, fd, none + PAGE - 4, 8, 0), 4); /* what fits has been read */
	CHECK_EQ(sys(SYS_read, 999, none, 4), -EBADF);
	CHECK_EQ(sys(SYS_write, -1, none, 4), -EBADF);
	CHECK_EQ(sys(SYS_write, fd, none, 0), 0);
}

TEST(lengths_beyond_the_address_space_are_efault)
{
	static const size_t lengths[] = { SIZE_MAX, SIZE_MAX / 2, 1ul << 62, 1ul << 47 };
	int file = scratch_file("lengths", "0123456789", 10), zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR);
	int ends[2];
	char c = 'x';

	CHECK_OK(pipe(ends));
	CHECK_EQ(write(ends[1], &c, 1), 1);
	for (int round = 0; round < 50; round++) {
		for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			CHECK_EQ(sys(SYS_pread64, file, &c, lengths[i], 9), -EFAULT);
			CHECK_EQ(sys(SYS_pwrite64, file, &c, lengths[i], 10), -EFAULT);
			CHECK_EQ(sys(SYS_read, file, &c, lengths[i]), -EFAULT);
			CHECK_EQ(sys(SYS_write, file, &c, lengths[i]), -EFAULT);
			CHECK_EQ(sys(SYS_read, zero, &c, lengths[i]), -EFAULT);
			CHECK_EQ(sys(SYS_read, null, &c, lengths[i]), -EFAULT);
			CHECK_EQ(sys(SYS_write, null, &c, lengths[i]), -EFAULT);
			CHECK_EQ(sys(SYS_write, zero, &c, lengths[i]), -EFAULT);
			CHECK_EQ(sys(SYS_read, ends[0], &c, lengths[i]), -EFAULT);
			CHECK_EQ(sys(SYS_write, ends[1], &c, lengths[i]), -EFAULT);
			CHECK_EQ(sys(SYS_read, -1, &c, lengths[i]), -EBADF);
		}
		/* More than a call moves, yet within it. */
		CHECK_EQ(sys(SYS_write, null, (void *)PAGE, 1ul << 40), 0x7ffff000);
	}
	CHECK_EQ(c, 'x');
	CHECK_EQ(lseek(file, 0, SEEK_END), 10);
	close(file);
	close(zero);
	close(null);
	close(ends[0]);
	close(ends[1]);
}

/* A position is at most INT64_MAX, and so is where a transfer ends. */
TEST(transfers_beyond_the_last_position_are_einval)
{
	char data[16] = "0123456789abcde";
	struct iovec two[2] = { { data, 8 }, { data + 8, 8 } };
	const off_t last = INT64_MAX;
	int fd = CHECK_OK(memfd_create("far", 0)), proc = CHECK_OK(open("/proc/self/status", O_RDONLY));

	CHECK_EQ(write(fd, data, 16), 16);
	CHECK_ERR(pread(fd, data, 16, last - 15), EINVAL);
	CHECK_EQ(pread(fd, data, 16, last - 16), 0);
	CHECK_EQ(pread(fd, data, 0, last), 0);
	CHECK_ERR(pwrite(fd, data, 16, last - 15), EINVAL);
	CHECK_ERR(preadv(fd, two, 2, last - 10), EINVAL);
	CHECK_EQ(preadv(fd, two, 2, last - 16), 0);
	CHECK_ERR(pwritev(fd, two, 2, last - 10), EINVAL);
	CHECK_EQ(lseek(fd, last - 10, SEEK_SET), last - 10);
	CHECK_ERR(read(fd, data, 16), EINVAL);
	CHECK_ERR(write(fd, data, 16), EINVAL);
	CHECK_ERR(readv(fd, two, 2), EINVAL);
	CHECK_ERR(writev(fd, two, 2), EINVAL);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), last - 10);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 16);
	CHECK_ERR(pread(proc, data, 16, last - 15), EINVAL);
	CHECK_EQ(pread(proc, data, 16, last - 16), 0);
	close(fd);
	close(proc);
}

TEST(a_large_file_reads_back_as_written)
{
	enum { SIZE = 8 << 20, CHUNK = 70001 };
	char *data = malloc(CHUNK);
	int fd = scratch_file("large", "", 0);
	size_t at = 0;

	while (at < SIZE) {
		for (int i = 0; i < CHUNK; i++)
			data[i] = (char)((at + i) * 2654435761u >> 13);
		CHECK_EQ(CHECK_OK(write(fd, data, CHUNK)), CHUNK);
		at += CHUNK;
	}
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	for (size_t pos = 0; pos < at;) {
		ssize_t n = CHECK_OK(read(fd, data, 65536));

		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i += 31)
			CHECK(data[i] == (char)((pos + i) * 2654435761u >> 13));
		pos += n;
	}
	CHECK_EQ(CHECK_OK(read(fd, data, 1)), 0);
	free(data);
	close(fd);
	CHECK_OK(unlink(scratch("large")));
}

TEST(an_unlinked_open_file_lives_until_it_is_closed)
{
	struct stat st;
	char c;
	int fd = scratch_file("gone", "data", 4);

	CHECK_OK(unlink(scratch("gone")));
	CHECK_ERR(stat(scratch("gone"), &st), ENOENT);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(CHECK_OK(pread(fd, &c, 1, 3)), 1);
	CHECK_EQ(c, 'a');
	CHECK_EQ(CHECK_OK(pwrite(fd, "more", 4, 4)), 4);
}

TEST(stat_tells_type_size_blocks_and_times)
{
	struct stat st, st2;
	struct timespec before;
	int fd;

	clock_gettime(CLOCK_REALTIME, &before);
	fd = scratch_file("stat", "0123456789", 10);
	CHECK_OK(fstat(fd, &st));
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_size, 10);
	CHECK(st.st_blksize > 0);
	CHECK(st.st_ino > 0);
	CHECK(st.st_mtim.tv_sec >= before.tv_sec - 1 && st.st_mtim.tv_sec <= before.tv_sec + 60);
	CHECK_OK(stat(scratch("stat"), &st2));
	CHECK(st.st_ino == st2.st_ino && st.st_dev == st2.st_dev);
	sleep_ms(20);
	CHECK_OK(write(fd, "x", 1));
	CHECK_OK(fstat(fd, &st2));
	CHECK(st2.st_mtim.tv_sec > st.st_mtim.tv_sec ||
	      (st2.st_mtim.tv_sec == st.st_mtim.tv_sec && st2.st_mtim.tv_nsec > st.st_mtim.tv_nsec));
	CHECK_EQ(sys(SYS_fstat, fd, BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_fstat, 999, &st), -EBADF);
	CHECK_EQ(sys(SYS_stat, BAD_PTR, &st), -EFAULT);
}

TEST(newfstatat_takes_empty_path_and_nofollow)
{
	struct stat st;
	int fd = scratch_file("at", "abc", 3), dir = open(scratch_dir, O_RDONLY | O_DIRECTORY);

	CHECK_OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
	CHECK_EQ(st.st_size, 3);
	CHECK_ERR(fstatat(fd, "", &st, 0), ENOENT);
	CHECK_OK(fstatat(dir, "at", &st, 0));
	CHECK_EQ(st.st_size, 3);
	CHECK_OK(symlink("at", scratch("link-at")));
	CHECK_OK(fstatat(dir, "link-at", &st, AT_SYMLINK_NOFOLLOW));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(st.st_size, 2);
	CHECK_OK(fstatat(dir, "link-at", &st, 0));
	CHECK(S_ISREG(st.st_mode));
	CHECK_ERR(fstatat(fd, "x", &st, 0), ENOTDIR);
	CHECK_ERR(fstatat(dir, "at", &st, 0x80), EINVAL);
	CHECK_OK(unlink(scratch("link-at")));
}

TEST(statx_fills_the_basic_fields)
{
	struct statx x;
	int fd = scratch_file("statx", "abcd", 4);

	memset(&x, 0xff, sizeof(x));
	CHECK_OK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &x));
	CHECK_EQ(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	CHECK_EQ(x.stx_size, 4);
	CHECK(S_ISREG(x.stx_mode));
	CHECK_EQ(x.stx_nlink, 1);
	CHECK_ERR(statx(AT_FDCWD, "/tmp/none-such", 0, STATX_ALL, &x), ENOENT);
	CHECK_EQ(sys(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_ALL, BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_statx, fd, "", AT_EMPTY_PATH, 0x80000000u, &x), -EINVAL);
}

TEST(access_checks_existence_and_modes)
{
	close(scratch_file("access", "", 0));
	CHECK_OK(access(scratch("access"), F_OK));
	CHECK_OK(access(scratch("access"), R_OK | W_OK));
	CHECK_ERR(access(scratch("none"), F_OK), ENOENT);
	CHECK_ERR(access(scratch("access"), 99), EINVAL);
	CHECK_OK(chmod(scratch("access"), 0644));
	CHECK_ERR(access(scratch("access"), X_OK), EACCES); /* not even root without an x bit */
	CHECK_OK(chmod(scratch("access"), 0755));
	CHECK_OK(access(scratch("access"), X_OK));
	CHECK_OK(faccessat(AT_FDCWD, scratch("access"), R_OK, AT_EACCESS));
}

TEST(chmod_chown_and_utimens_change_the_attributes)
{
	struct timespec ts[2] = { { 1000000000, 5 }, { 1100000000, 7 } };
	struct stat st;
	int fd = scratch_file("attr", "", 0);

	CHECK_OK(fchmod(fd, 0751));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_mode & 07777, 0751);
	CHECK_OK(futimens(fd, ts));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_atim.tv_sec, 1000000000);
	CHECK_EQ(st.st_mtim.tv_sec, 1100000000);
	CHECK_EQ(st.st_mtim.tv_nsec, 7);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = UTIME_NOW;
	CHECK_OK(utimensat(AT_FDCWD, scratch("attr"), ts, 0));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_atim.tv_sec, 1000000000);
	CHECK(st.st_mtim.tv_sec > 1100000000);
	ts[1].tv_nsec = 1000000000;
	CHECK_ERR(futimens(fd, ts), EINVAL);
	CHECK_OK(fchown(fd, -1, -1));
	CHECK_OK(chown(scratch("attr"), getuid(), getgid()));
	CHECK_ERR(chmod("/tmp/none-such", 0), ENOENT);
}

/* Devices */

static mode_t mode_of(const char *name)
{
	struct stat st;

	CHECK_OK(stat(scratch(name), &st));
	return st.st_mode & 07777;
}

/* Whom a program acts for is for its owner to say. */
TEST(a_new_owner_takes_set_user_and_group_id_away)
{
	int fd = scratch_file("setid", "x", 1), memfd = CHECK_OK(memfd_create("setid", 0));
	struct stat st;

	if (geteuid())
		SKIP("only root gives files away");
	CHECK_OK(fchmod(fd, 06755));
	CHECK_EQ(mode_of("setid"), 06755);
	CHECK_OK(fchown(fd, 1, 1));
	CHECK_EQ(mode_of("setid"), 0755);
	CHECK_OK(fchmod(fd, 06755));
	CHECK_OK(chown(scratch("setid"), -1, -1));
	CHECK_EQ(mode_of("setid"), 0755);
	CHECK_OK(fchmod(fd, 06744)); /* the second bit without a right to execute is no set-group-ID */
	CHECK_OK(lchown(scratch("setid"), 0, 0));
	CHECK_EQ(mode_of("setid"), 02744);
	CHECK_OK(mkdir(scratch("setid-dir"), 0755));
	CHECK_OK(chmod(scratch("setid-dir"), 06755));
	CHECK_OK(chown(scratch("setid-dir"), 1, 1));
	CHECK_EQ(mode_of("setid-dir"), 06755);
	CHECK_OK(fchmod(memfd, 06755));
	CHECK_OK(fchown(memfd, 1, 1));
	CHECK_OK(fstat(memfd, &st));
	CHECK_EQ(st.st_mode & 07777, 0755);
	CHECK_EQ(st.st_uid, 1);
	close(fd);
	close(memfd);
}

TEST(terminal_calls_on_a_file_are_enotty)
{
	struct termios t;
	int n, fd = scratch_file("tty", "abc", 3);

	CHECK_ERR(tcgetattr(fd, &t), ENOTTY);
	CHECK_ERR(ioctl(fd, TIOCGWINSZ, &t), ENOTTY);
	CHECK_OK(lseek(fd, 1, SEEK_SET));
	CHECK_OK(ioctl(fd, FIONREAD, &n));
	CHECK_EQ(n, 2);
	CHECK_ERR(ioctl(999, TCGETS, &t), EBADF);
}

/* Copies, space, sync, attributes */

TEST(sendfile_copies_from_an_offset)
{
	char data[20] = "";
	off_t offset = 2;
	int in = scratch_file("sf-in", "0123456789", 10), out = scratch_file("sf-out", "", 0);

	CHECK_EQ(CHECK_OK(sendfile(out, in, &offset, 5)), 5);
	CHECK_EQ(offset, 7);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 10); /* not moved */
	CHECK_OK(lseek(in, 8, SEEK_SET));
	CHECK_EQ(CHECK_OK(sendfile(out, in, NULL, 100)), 2);
	CHECK_EQ(CHECK_OK(pread(out, data, 20, 0)), 7);
	CHECK_STR(data, "2345689");
	CHECK_EQ(sendfile(out, 999, NULL, 1), -1);
	CHECK_EQ(errno, EBADF);
}

TEST(copy_file_range_copies_inside_and_between_files)
{
	char data[30] = "";
	off_t from = 1, to = 20;
	int in = scratch_file("cp-in", "0123456789", 10), out = scratch_file("cp-out", "", 0);

	CHECK_EQ(CHECK_OK(copy_file_range(in, &from, out, NULL, 4, 0)), 4);
	CHECK_EQ(from, 5);
	CHECK_EQ(CHECK_OK(copy_file_range(in, &from, out, &to, 100, 0)), 5);
	CHECK_EQ(to, 25);
	CHECK_EQ(CHECK_OK(pread(out, data, 30, 0)), 25);
	CHECK(!memcmp(data, "1234\0", 5) && !memcmp(data + 20, "56789", 5));
	CHECK_ERR(copy_file_range(in, &from, out, &to, 1, 77), EINVAL);
}

/* What lies behind the end of the source is not copied, so it overlaps nothing. */
TEST(copy_file_range_inside_a_file_ends_with_it)
{
	char data[40] = "";
	off_t from = 0, to = 10;
	int fd = scratch_file("cp-self", "0123456789", 10);

	CHECK_EQ(CHECK_OK(copy_file_range(fd, &from, fd, &to, 1000, 0)), 10);
	CHECK(from == 10 && to == 20);
	CHECK_EQ(CHECK_OK(pread(fd, data, 40, 0)), 20);
	CHECK_STR(data, "01234567890123456789");
	from = 0, to = 5;
	CHECK_ERR(copy_file_range(fd, &from, fd, &to, 1000, 0), EINVAL);
	from = 10, to = 1;
	CHECK_ERR(copy_file_range(fd, &from, fd, &to, 10, 0), EINVAL);
	from = 5, to = 5;
	CHECK_EQ(copy_file_range(fd, &from, fd, &to, 0, 0), 0);
	from = to = 100;
	CHECK_EQ(copy_file_range(fd, &from, fd, &to, 1000, 0), 0);
	from = INT64_MAX - 1, to = 0;
	CHECK_EQ(copy_file_range(fd, &from, fd, &to, 10, 0), 0);
	from = 1, to = 60;
	CHECK_ERR(copy_file_range(fd, &from, fd, &to, SIZE_MAX, 0), EOVERFLOW);
	CHECK_EQ(CHECK_OK(copy_file_range(fd, &from, fd, &to, SIZE_MAX - 60, 0)), 19);
	from = 0, to = INT64_MAX;
	CHECK_ERR(copy_file_range(fd, &from, fd, &to, 1, 0), EFBIG);
	from = to = -10;
	CHECK_ERR(copy_file_range(fd, &from, fd, NULL, 1, 0), EINVAL);
	CHECK_ERR(copy_file_range(fd, NULL, fd, &to, 1, 0), EINVAL);
	CHECK_ERR(copy_file_range(CHECK_OK(open("/proc/self/status", O_RDONLY)), NULL, fd, NULL, 100, 0), EXDEV);
}

TEST(fallocate_extends_keeps_and_punches)
{
	struct stat st;
	char c;
	int fd = scratch_file("falloc", "", 0);

	CHECK_OK(fallocate(fd, 0, 0, 3 * PAGE));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 3 * PAGE);
	CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10 * PAGE));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 3 * PAGE);
	CHECK_OK(pwrite(fd, "x", 1, PAGE));
	CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
	CHECK_OK(pread(fd, &c, 1, PAGE));
	CHECK_EQ(c, 0);
	CHECK_ERR(fallocate(fd, 0, -1, 1), EINVAL);
	CHECK_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
	CHECK_ERR(fallocate(999, 0, 0, 1), EBADF);
}

TEST(sync_calls_accept_files_and_refuse_others)
{
	int fds[2], fd = scratch_file("sync", "x", 1);

	CHECK_OK(fsync(fd));
	CHECK_OK(fdatasync(fd));
	CHECK_ERR(fsync(999), EBADF);
	CHECK_OK(pipe(fds));
	CHECK_ERR(fsync(fds[0]), EINVAL);
	sync();
	CHECK_OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	CHECK_EQ(posix_fadvise(fd, 0, 0, 99), EINVAL);
	CHECK_EQ(posix_fadvise(fds[0], 0, 0, POSIX_FADV_NORMAL), ESPIPE);
	CHECK_EQ(posix_fadvise(999, 0, 0, 0), EBADF);
}

TEST(statfs_tells_space_of_the_file_system)
{
	struct statfs s;
	struct statvfs v;

	CHECK_OK(statfs("/tmp", &s));
	CHECK(s.f_bsize > 0 && s.f_blocks > 0 && s.f_bavail <= s.f_blocks && s.f_namelen >= 255);
	CHECK_OK(statvfs("/tmp", &v));
	CHECK(v.f_frsize > 0);
	CHECK_OK(statfs("/proc", &s));
	CHECK_EQ(s.f_type, 0x9fa0);
	CHECK_ERR(statfs("/tmp/none-such", &s), ENOENT);
	CHECK_EQ(sys(SYS_statfs, "/tmp", BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_fstatfs, 999, &s), -EBADF);
}

TEST(a_missing_extended_attribute_is_enodata_or_not_supported)
{
	char value[10];

	close(scratch_file("xattr", "", 0));
	errno = 0;
	CHECK_EQ(getxattr(scratch("xattr"), "user.none", value, sizeof(value)), -1);
	CHECK(errno == ENODATA || errno == EOPNOTSUPP);
	CHECK_ERR(getxattr("/tmp/none-such", "user.none", value, 1), ENOENT);
	CHECK_ERR(fgetxattr(999, "user.none", value, 1), EBADF);
}

TEST_MAIN("files")
