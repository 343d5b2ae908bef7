/*
 * tests/guest/directories.c - names: directories, links, renames, paths, listings, inotify.
 */
#include "harness.h"
#include <dirent.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

static void make_dir(const char *name)
{
	CHECK_OK(mkdir(scratch(name), 0755));
}

static void make_file(const char *name, const char *text)
{
	close(scratch_file(name, text, strlen(text)));
}

TEST(mkdir_makes_a_directory_with_its_mode)
{
	struct stat st;

	umask(022);
	CHECK_OK(mkdir(scratch("made"), 0777));
	CHECK_OK(stat(scratch("made"), &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0755);
	CHECK_EQ(st.st_nlink, 2);
	CHECK_ERR(mkdir(scratch("made"), 0777), EEXIST);
	CHECK_ERR(mkdir(scratch("none/sub"), 0777), ENOENT);
	CHECK_ERR(mkdir("/dev/null/sub", 0777), ENOTDIR);
	CHECK_ERR(mkdir("/", 0777), EEXIST);
	CHECK_ERR(mkdir("", 0777), ENOENT);
	CHECK_OK(mkdir(scratch("slash/"), 0777)); /* a trailing slash is allowed */
	CHECK_OK(mkdirat(AT_FDCWD, scratch("made/sub"), 0700));
	CHECK_OK(stat(scratch("made"), &st));
	CHECK(st.st_nlink == 3);
}

TEST(rmdir_refuses_files_and_full_directories)
{
	make_dir("full");
	make_file("full/file", "");
	CHECK_ERR(rmdir(scratch("full")), ENOTEMPTY);
	CHECK_ERR(rmdir(scratch("full/file")), ENOTDIR);
	CHECK_ERR(rmdir(scratch("full/.")), EINVAL);
	CHECK_ERR(rmdir(scratch("full/..")), ENOTEMPTY);
	CHECK_ERR(rmdir(scratch("nothing")), ENOENT);
	CHECK_OK(unlink(scratch("full/file")));
	CHECK_OK(rmdir(scratch("full")));
	CHECK_ERR(access(scratch("full"), F_OK), ENOENT);
}

TEST(mount_points_cannot_be_removed)
{
	CHECK_ERR(unlink("/proc"), EISDIR);
	CHECK_ERR(rmdir("/proc"), EBUSY);
	CHECK_ERR(rename("/proc", "/proc2"), EBUSY);
	CHECK_OK(access("/proc/self", F_OK));
}

TEST(unlink_refuses_directories)
{
	make_dir("dir-unlink");
	CHECK_ERR(unlink(scratch("dir-unlink")), EISDIR);
	CHECK_ERR(unlinkat(AT_FDCWD, scratch("dir-unlink"), 0), EISDIR);
	CHECK_ERR(unlinkat(AT_FDCWD, scratch("dir-unlink"), 77), EINVAL);
	CHECK_OK(unlinkat(AT_FDCWD, scratch("dir-unlink"), AT_REMOVEDIR));
	CHECK_ERR(unlink(scratch("dir-unlink")), ENOENT);
	make_file("slash-file", "");
	CHECK_ERR(unlink(scratch("slash-file/")), ENOTDIR);
}

TEST(rename_replaces_atomically_and_checks_types)
{
	char text[10];

	make_file("r1", "one");
	make_file("r2", "two");
	CHECK_OK(rename(scratch("r1"), scratch("r2")));
	CHECK_ERR(access(scratch("r1"), F_OK), ENOENT);
	CHECK_EQ(read_file(scratch("r2"), text, sizeof(text)), 3);
	CHECK_STR(text, "one");
	make_dir("rd");
	make_dir("rd2");
	make_file("rd2/file", "");
	CHECK_ERR(rename(scratch("r2"), scratch("rd")), EISDIR);
	CHECK_ERR(rename(scratch("rd"), scratch("r2")), ENOTDIR);
	CHECK_ERR(rename(scratch("rd"), scratch("rd2")), ENOTEMPTY);
	CHECK_ERR(rename(scratch("rd"), scratch("rd/inside")), EINVAL);
	CHECK_ERR(rename(scratch("nothing"), scratch("x")), ENOENT);
	CHECK_OK(rename(scratch("rd2"), scratch("rd"))); /* an empty directory is replaced */
	CHECK_OK(access(scratch("rd/file"), F_OK));
	CHECK_OK(rename(scratch("r2"), scratch("r2"))); /* onto itself: nothing */
}

TEST(rename_moves_a_tree_between_directories)
{
	char text[10], path[300];

	make_dir("from");
	make_dir("from/sub");
	make_dir("to");
	make_file("from/sub/file", "deep");
	CHECK_OK(rename(scratch("from/sub"), scratch("to/moved")));
	CHECK_EQ(read_file(scratch("to/moved/file"), text, sizeof(text)), 4);
	snprintf(path, sizeof(path), "%s/to/moved/../../from", scratch_dir);
	CHECK_OK(access(path, F_OK)); /* .. leads to the new parent */
	CHECK_OK(rmdir(scratch("from")));
}

TEST(renameat2_knows_noreplace_and_exchange)
{
	char text[10];

	make_file("x1", "one");
	make_file("x2", "two");
	CHECK_ERR(renameat2(AT_FDCWD, scratch("x1"), AT_FDCWD, scratch("x2"), RENAME_NOREPLACE), EEXIST);
	CHECK_OK(renameat2(AT_FDCWD, scratch("x1"), AT_FDCWD, scratch("x3"), RENAME_NOREPLACE));
	CHECK_ERR(renameat2(AT_FDCWD, scratch("x3"), AT_FDCWD, scratch("x2"), 99), EINVAL);
	CHECK_OK(renameat2(AT_FDCWD, scratch("x3"), AT_FDCWD, scratch("x2"), RENAME_EXCHANGE));
	CHECK_EQ(read_file(scratch("x2"), text, sizeof(text)), 3);
	CHECK_STR(text, "one");
	CHECK_EQ(read_file(scratch("x3"), text, sizeof(text)), 3);
	CHECK_STR(text, "two");
	CHECK_ERR(renameat2(AT_FDCWD, scratch("x3"), AT_FDCWD, scratch("x4"), RENAME_EXCHANGE), ENOENT);
}

TEST(hard_links_share_the_file)
{
	struct stat a, b;
	char text[10];

	make_file("h1", "one");
	CHECK_OK(link(scratch("h1"), scratch("h2")));
	CHECK_OK(stat(scratch("h1"), &a));
	CHECK_OK(stat(scratch("h2"), &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_nlink, 2);
	CHECK_OK(unlink(scratch("h1")));
	CHECK_EQ(read_file(scratch("h2"), text, sizeof(text)), 3);
	CHECK_OK(stat(scratch("h2"), &b));
	CHECK_EQ(b.st_nlink, 1);
	CHECK_ERR(link(scratch("h2"), scratch("h2")), EEXIST);
	CHECK_ERR(link(scratch("none"), scratch("h3")), ENOENT);
	CHECK_ERR(link(scratch_dir, scratch("h3")), EPERM);
}

/* The name it was opened by is gone: what counts is whether the file has another. */
TEST(an_open_file_gets_a_further_name_while_it_has_one)
{
	int fd = scratch_file("own", "x", 1);
	struct stat st;
	char link_path[64];

	snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", fd);
	CHECK_OK(link(scratch("own"), scratch("second")));
	CHECK_OK(unlink(scratch("own")));
	CHECK_OK(linkat(AT_FDCWD, link_path, AT_FDCWD, scratch("third"), AT_SYMLINK_FOLLOW));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 2);
	CHECK_OK(linkat(AT_FDCWD, link_path, AT_FDCWD, scratch("own"), AT_SYMLINK_FOLLOW));
	CHECK_OK(unlink(scratch("own")));
	CHECK_OK(unlink(scratch("second")));
	CHECK_OK(unlink(scratch("third")));
	CHECK_ERR(linkat(AT_FDCWD, link_path, AT_FDCWD, scratch("fourth"), AT_SYMLINK_FOLLOW), ENOENT);
	CHECK_ERR(stat(scratch("fourth"), &st), ENOENT);
	close(fd);
}

TEST(symbolic_links_are_followed_read_and_kept)
{
	char text[64];
	struct stat st;

	make_file("target", "text");
	CHECK_OK(symlink("target", scratch("sym")));
	CHECK_EQ(read_file(scratch("sym"), text, sizeof(text)), 4);
	memset(text, 'z', sizeof(text));
	CHECK_EQ(CHECK_OK(readlink(scratch("sym"), text, sizeof(text))), 6);
	CHECK(!memcmp(text, "targetz", 7)); /* no NUL is written */
	CHECK_EQ(CHECK_OK(readlink(scratch("sym"), text, 3)), 3);
	CHECK_ERR(readlink(scratch("target"), text, 10), EINVAL);
	CHECK_ERR(readlink(scratch("sym"), text, 0), EINVAL);
	CHECK_EQ(sys(SYS_readlink, scratch("sym"), BAD_PTR, 10), -EFAULT);
	CHECK_OK(lstat(scratch("sym"), &st));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_ERR(open(scratch("sym"), O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK_ERR(symlink("x", scratch("sym")), EEXIST);
	CHECK_ERR(symlink("", scratch("empty-sym")), ENOENT);
	CHECK_OK(unlink(scratch("sym")));
	CHECK_OK(access(scratch("target"), F_OK));
}

TEST(a_dangling_link_creates_its_target)
{
	CHECK_OK(symlink("dangling-target", scratch("dangling")));
	CHECK_ERR(open(scratch("dangling"), O_RDONLY), ENOENT);
	CHECK_ERR(open(scratch("dangling"), O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_OK(open(scratch("dangling"), O_RDWR | O_CREAT, 0600));
	CHECK_OK(access(scratch("dangling-target"), F_OK));
}

TEST(link_loops_are_eloop)
{
	CHECK_OK(symlink("loop-b", scratch("loop-a")));
	CHECK_OK(symlink("loop-a", scratch("loop-b")));
	CHECK_ERR(open(scratch("loop-a"), O_RDONLY), ELOOP);
	CHECK_ERR(access(scratch("loop-a/x"), F_OK), ELOOP);
	CHECK_OK(symlink("self", scratch("self")));
	CHECK_ERR(open(scratch("self"), O_RDONLY), ELOOP);
}

TEST(a_link_to_a_directory_works_inside_paths)
{
	char text[10];

	make_dir("real");
	make_file("real/file", "inside");
	CHECK_OK(symlink("real", scratch("alias")));
	CHECK_EQ(read_file(scratch("alias/file"), text, sizeof(text)), 6);
	CHECK_EQ(read_file(scratch("alias/../alias/./file"), text, sizeof(text)), 6);
	CHECK_ERR(rmdir(scratch("alias")), ENOTDIR);
	CHECK_ERR(unlink(scratch("alias/")), ENOTDIR);
	CHECK_OK(unlink(scratch("alias")));
}

/* PATH_MAX is for one path and for one target, not for what they make together. */
TEST(a_link_may_make_a_path_longer_than_path_max)
{
	static char path[PATH_MAX], target[PATH_MAX];
	struct stat st;
	size_t n;

	n = sprintf(target, "%s", scratch_dir);
	while (n < PATH_MAX - 3)
		n += sprintf(target + n, "/.");
	CHECK_OK(symlink(target, scratch("far")));
	CHECK_OK(symlink("far", scratch("further")));
	CHECK_OK(close(open(scratch("behind"), O_CREAT | O_RDWR, 0600)));
	for (int i = 0; i < 2; i++) {
		n = sprintf(path, "%s", scratch(i ? "further" : "far"));
		while (n < PATH_MAX - 20)
			n += sprintf(path + n, "/.");
		CHECK_OK(stat(path, &st));
		CHECK(S_ISDIR(st.st_mode));
		sprintf(path + n, "/behind");
		CHECK_OK(stat(path, &st));
		CHECK(S_ISREG(st.st_mode));
		CHECK_OK(unlink(path));
		CHECK_OK(close(open(path, O_CREAT | O_EXCL | O_RDWR, 0600)));
	}
	memset(path, 'p', sizeof(path) - 1);
	CHECK_ERR(stat(path, &st), ENAMETOOLONG);
	path[sizeof(path) - 1] = 'p';
	CHECK_EQ(sys(SYS_symlink, path, scratch("too-long")), -ENAMETOOLONG);
}

TEST(chdir_and_getcwd_agree)
{
	char cwd[PATH_MAX], want[PATH_MAX];
	int fd;

	make_dir("cwd");
	CHECK_OK(chdir(scratch("cwd")));
	CHECK(getcwd(cwd, sizeof(cwd)));
	snprintf(want, sizeof(want), "%s/cwd", scratch_dir);
	CHECK_STR(cwd, want);
	make_file("cwd/here", "x");
	CHECK_OK(access("here", F_OK));
	CHECK_OK(chdir(".."));
	CHECK(getcwd(cwd, sizeof(cwd)));
	CHECK_STR(cwd, scratch_dir);
	fd = CHECK_OK(open("/", O_RDONLY | O_DIRECTORY));
	CHECK_OK(fchdir(fd));
	CHECK(getcwd(cwd, sizeof(cwd)));
	CHECK_STR(cwd, "/");
	CHECK_OK(chdir("../.."));
	CHECK_EQ(sys(SYS_getcwd, cwd, 1), -ERANGE);
	CHECK_EQ(sys(SYS_getcwd, cwd, 100), 2); /* the raw call answers the length with its NUL */
	CHECK_EQ(sys(SYS_getcwd, BAD_PTR, 100), -EFAULT);
	CHECK_ERR(chdir("/dev/null"), ENOTDIR);
	CHECK_ERR(chdir("/none-such"), ENOENT);
}

TEST(getcwd_in_a_removed_directory_is_enoent)
{
	char cwd[PATH_MAX];

	make_dir("gone-cwd");
	CHECK_OK(chdir(scratch("gone-cwd")));
	CHECK_OK(rmdir(scratch("gone-cwd")));
	errno = 0;
	CHECK(!getcwd(cwd, sizeof(cwd)) && errno == ENOENT);
	CHECK_ERR(open("file", O_RDWR | O_CREAT, 0600), ENOENT);
	CHECK_OK(chdir("/"));
}

TEST(a_listing_has_every_name_once_with_its_type)
{
	int seen_file = 0, seen_dir = 0, seen_link = 0, dots = 0, count = 0;
	struct dirent *e;
	DIR *dir;

	make_dir("list");
	make_dir("list/d");
	CHECK_OK(symlink("f1", scratch("list/l")));
	for (int i = 0; i < 50; i++) {
		char name[32];

		snprintf(name, sizeof(name), "list/f%d", i);
		make_file(name, "");
	}
	dir = opendir(scratch("list"));
	CHECK(dir);
	while ((e = readdir(dir))) {
		count++;
		dots += !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
		seen_file += e->d_type == DT_REG;
		seen_link += e->d_type == DT_LNK;
		seen_dir += e->d_type == DT_DIR;
		CHECK(e->d_ino != 0);
	}
	CHECK_EQ(count, 54);
	CHECK_EQ(dots, 2);
	CHECK_EQ(seen_file, 50);
	CHECK_EQ(seen_link, 1);
	CHECK_EQ(seen_dir, 3);
	rewinddir(dir);
	for (count = 0; readdir(dir); count++)
		;
	CHECK_EQ(count, 54);
	closedir(dir);
}

TEST(telldir_and_seekdir_return_to_a_place)
{
	struct dirent *e;
	char name[256];
	long place;
	DIR *dir;

	make_dir("tell");
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "tell/f%d", i);
		make_file(name, "");
	}
	dir = opendir(scratch("tell"));
	CHECK(dir);
	for (int i = 0; i < 10; i++)
		CHECK(readdir(dir));
	place = telldir(dir);
	e = readdir(dir);
	CHECK(e);
	strcpy(name, e->d_name);
	while (readdir(dir))
		;
	seekdir(dir, place);
	e = readdir(dir);
	CHECK(e);
	CHECK_STR(e->d_name, name);
	closedir(dir);
}

TEST(getdents_checks_its_arguments)
{
	char data[512];
	int dir = CHECK_OK(open("/tmp", O_RDONLY | O_DIRECTORY)), file = scratch_file("dents", "", 0);

	CHECK_EQ(sys(SYS_getdents64, dir, data, 1), -EINVAL);
	CHECK_EQ(sys(SYS_getdents64, file, data, sizeof(data)), -ENOTDIR);
	CHECK_EQ(sys(SYS_getdents64, 999, data, sizeof(data)), -EBADF);
	CHECK_EQ(sys(SYS_getdents64, dir, BAD_PTR, 512), -EFAULT);
	CHECK_EQ(sys(SYS_read, dir, data, 10), -EISDIR);
	CHECK(sys(SYS_getdents64, dir, data, sizeof(data)) > 0);
}

TEST(removing_while_listing_ends)
{
	struct dirent *e;
	int removed = 0;
	char name[300];
	DIR *dir;

	make_dir("sweep");
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "sweep/file-with-a-longer-name-%d", i);
		make_file(name, "");
	}
	dir = opendir(scratch("sweep"));
	CHECK(dir);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.') {
			CHECK_OK(unlinkat(dirfd(dir), e->d_name, 0));
			removed++;
		}
	closedir(dir);
	CHECK_EQ(removed, 300);
	CHECK_OK(rmdir(scratch("sweep")));
}

TEST_SLOW(three_thousand_files_in_one_directory, 60)
{
	char name[64];
	struct stat st;

	make_dir("many");
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		make_file(name, "x");
	}
	for (int i = 0; i < 3000; i += 7) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK_OK(stat(scratch(name), &st));
		CHECK_EQ(st.st_size, 1);
	}
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK_OK(unlink(scratch(name)));
	}
	CHECK_OK(rmdir(scratch("many")));
}

static void *create_and_remove(void *arg)
{
	char name[64];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "race/%ld-%d", (long)arg, i % 5);
		int fd = CHECK_OK(open(scratch(name), O_RDWR | O_CREAT, 0600));
		CHECK_EQ(write(fd, "x", 1), 1);
		close(fd);
		CHECK_OK(rename(scratch(name), scratch("race/common")));
	}
	return NULL;
}

TEST_SLOW(threads_rename_over_one_name_at_the_same_time, 40)
{
	pthread_t threads[4];

	make_dir("race");
	for (long i = 0; i < 4; i++)
		threads[i] = thread_start(create_and_remove, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_OK(unlink(scratch("race/common")));
	CHECK_OK(rmdir(scratch("race")));
}

TEST(names_of_255_bytes_work_and_256_do_not)
{
	char path[600];
	int n = snprintf(path, sizeof(path), "%s/", scratch_dir);

	memset(path + n, 'a', 255);
	path[n + 255] = 0;
	CHECK_OK(open(path, O_RDWR | O_CREAT, 0600));
	CHECK_OK(unlink(path));
	path[n + 255] = 'a';
	path[n + 256] = 0;
	CHECK_ERR(open(path, O_RDWR | O_CREAT, 0600), ENAMETOOLONG);
}

TEST(mkdtemp_and_o_tmpfile_make_private_files)
{
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "%s/XXXXXX", scratch_dir);
	CHECK(mkdtemp(name));
	fd = open(scratch_dir, O_TMPFILE | O_RDWR, 0600);
	/* Not every file system has nameless files; those that have not say so. */
	CHECK(fd >= 0 || errno == EOPNOTSUPP || errno == EISDIR);
	if (fd >= 0)
		CHECK_EQ(write(fd, "x", 1), 1);
}

/* inotify */

static int next_event(int fd, uint32_t *mask, char *name)
{
	static char data[4096];
	static int have, at;
	struct pollfd p = { fd, POLLIN, 0 };
	struct inotify_event *e;

	if (at >= have) {
		if (poll(&p, 1, 2000) != 1)
			FAIL("no event");
		have = (int)CHECK_OK(read(fd, data, sizeof(data)));
		at = 0;
	}
	e = (struct inotify_event *)(data + at);
	at += (int)(sizeof(*e) + e->len);
	*mask = e->mask;
	strcpy(name, e->len ? e->name : "");
	return e->wd;
}

TEST(inotify_reports_create_modify_move_and_delete)
{
	uint32_t mask;
	char name[256];
	int fd = CHECK_OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), wd;

	make_dir("watch");
	CHECK_ERR(read(fd, name, sizeof(name)), EAGAIN);
	wd = CHECK_OK(inotify_add_watch(fd, scratch("watch"),
					IN_CREATE | IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE));
	make_file("watch/a", "text");
	CHECK_EQ(next_event(fd, &mask, name), wd);
	CHECK_EQ(mask, IN_CREATE);
	CHECK_STR(name, "a");
	next_event(fd, &mask, name);
	CHECK_EQ(mask, IN_MODIFY);
	CHECK_OK(rename(scratch("watch/a"), scratch("watch/b")));
	next_event(fd, &mask, name);
	CHECK_EQ(mask, IN_MOVED_FROM);
	CHECK_STR(name, "a");
	next_event(fd, &mask, name);
	CHECK_EQ(mask, IN_MOVED_TO);
	CHECK_STR(name, "b");
	CHECK_OK(unlink(scratch("watch/b")));
	next_event(fd, &mask, name);
	CHECK_EQ(mask, IN_DELETE);
	make_dir("watch/d");
	next_event(fd, &mask, name);
	CHECK_EQ(mask, IN_CREATE | IN_ISDIR);
	CHECK_OK(inotify_rm_watch(fd, wd));
	next_event(fd, &mask, name);
	CHECK_EQ(mask, IN_IGNORED);
	CHECK_ERR(inotify_rm_watch(fd, wd), EINVAL);
	close(fd);
}

/* The next event must be this one, of the file `want_name`. */
static void event_is(int fd, uint32_t want, const char *want_name)
{
	uint32_t mask;
	char name[256];

	next_event(fd, &mask, name);
	CHECK_EQ(mask, want);
	CHECK_STR(name, want_name);
}

static void no_event(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	CHECK_EQ(poll(&p, 1, 0), 0);
}

/* Content changes by more calls than write. */
TEST(inotify_reports_every_way_to_change_a_file)
{
	int fd = CHECK_OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), from, to, ends[2];
	off_t at = 0;

	make_dir("ways");
	make_file("ways/from", "some text");
	make_file("ways/to", "");
	from = CHECK_OK(open(scratch("ways/from"), O_RDONLY));
	to = CHECK_OK(open(scratch("ways/to"), O_RDWR));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	CHECK_OK(inotify_add_watch(fd, scratch("ways"), IN_ALL_EVENTS));
	CHECK_EQ(sendfile(to, from, &at, 4), 4);
	event_is(fd, IN_ACCESS, "from");
	event_is(fd, IN_MODIFY, "to");
	CHECK_EQ(sendfile(ends[0], from, &at, 3), 3);
	event_is(fd, IN_ACCESS, "from");
	at = 0;
	CHECK_EQ(copy_file_range(from, &at, to, NULL, 3, 0), 3);
	event_is(fd, IN_ACCESS, "from");
	event_is(fd, IN_MODIFY, "to");
	/* Nothing was moved. */
	at = 100;
	CHECK_EQ(sendfile(to, from, &at, 4), 0);
	CHECK_EQ(sendfile(to, from, &at, 0), 0);
	CHECK_EQ(copy_file_range(from, &at, to, NULL, 3, 0), 0);
	at = 0;
	CHECK_EQ(copy_file_range(from, &at, to, NULL, 0, 0), 0);
	no_event(fd);
	/* Room counts, even where it changes nothing. */
	CHECK_OK(fallocate(to, 0, 0, 100));
	event_is(fd, IN_MODIFY, "to");
	CHECK_OK(fallocate(to, FALLOC_FL_KEEP_SIZE, 0, 5000));
	event_is(fd, IN_MODIFY, "to");
	CHECK_OK(fallocate(to, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 100));
	event_is(fd, IN_MODIFY, "to");
	CHECK_OK(fallocate(to, 0, 0, 10));
	event_is(fd, IN_MODIFY, "to");
	CHECK_ERR(fallocate(to, 0, 0, 0), EINVAL);
	no_event(fd);
	CHECK_OK(ftruncate(to, 100));
	event_is(fd, IN_MODIFY, "to");
	/* Opened with O_TRUNC, even if it was empty; one that is made has nothing to lose. */
	for (int i = 0; i < 2; i++) {
		close(CHECK_OK(open(scratch("ways/to"), O_WRONLY | O_CREAT | O_TRUNC, 0644)));
		event_is(fd, IN_OPEN, "to");
		event_is(fd, IN_MODIFY, "to");
		event_is(fd, IN_CLOSE_WRITE, "to");
	}
	close(CHECK_OK(open(scratch("ways/to"), O_RDONLY | O_TRUNC)));
	event_is(fd, IN_OPEN, "to");
	event_is(fd, IN_MODIFY, "to");
	event_is(fd, IN_CLOSE_NOWRITE, "to");
	close(CHECK_OK(open(scratch("ways/new"), O_WRONLY | O_CREAT | O_TRUNC, 0644)));
	event_is(fd, IN_CREATE, "new");
	event_is(fd, IN_OPEN, "new");
	event_is(fd, IN_CLOSE_WRITE, "new");
	no_event(fd);
	close(from);
	close(to);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

TEST(inotify_reports_the_end_of_the_watched_directory)
{
	uint32_t mask;
	char name[256];
	int fd = CHECK_OK(inotify_init1(IN_NONBLOCK)), wd;

	make_dir("doomed");
	wd = CHECK_OK(inotify_add_watch(fd, scratch("doomed"), IN_CREATE | IN_DELETE_SELF));
	CHECK_OK(rmdir(scratch("doomed")));
	CHECK_EQ(next_event(fd, &mask, name), wd);
	CHECK_EQ(mask & ~IN_ISDIR, IN_DELETE_SELF);
	next_event(fd, &mask, name);
	CHECK_EQ(mask, IN_IGNORED);
	close(fd);
}

static void event_of(int fd, int wd, uint32_t want, const char *want_name)
{
	uint32_t mask;
	char name[256];

	CHECK_EQ(next_event(fd, &mask, name), wd);
	CHECK_EQ(mask, want);
	CHECK_STR(name, want_name);
}

/* A file that has lost its name goes on to change; it ends with the last who has it open. */
TEST(inotify_reports_the_end_of_a_file_when_it_is_closed)
{
	int fd = CHECK_OK(inotify_init1(IN_NONBLOCK)), dir, own, file, place;
	const uint32_t what = IN_ALL_EVENTS & ~(IN_OPEN | IN_ACCESS);

	make_dir("ends");
	file = CHECK_OK(open(scratch("ends/f"), O_RDWR | O_CREAT, 0600));
	dir = CHECK_OK(inotify_add_watch(fd, scratch("ends"), what));
	own = CHECK_OK(inotify_add_watch(fd, scratch("ends/f"), what));
	CHECK_EQ(write(file, "x", 1), 1);
	event_of(fd, dir, IN_MODIFY, "f");
	event_of(fd, own, IN_MODIFY, "");
	CHECK_OK(unlink(scratch("ends/f")));
	event_of(fd, own, IN_ATTRIB, "");
	event_of(fd, dir, IN_DELETE, "f");
	CHECK_EQ(write(file, "y", 1), 1);
	event_of(fd, dir, IN_MODIFY, "f");
	event_of(fd, own, IN_MODIFY, "");
	CHECK_OK(fchmod(file, 0640));
	event_of(fd, dir, IN_ATTRIB, "f");
	event_of(fd, own, IN_ATTRIB, "");
	no_event(fd);
	CHECK_OK(close(file));
	event_of(fd, dir, IN_CLOSE_WRITE, "f");
	event_of(fd, own, IN_CLOSE_WRITE, "");
	event_of(fd, own, IN_DELETE_SELF, "");
	event_of(fd, own, IN_IGNORED, "");
	/* Who asked not to hear of files without a name hears of the end alone. */
	file = CHECK_OK(open(scratch("ends/f"), O_RDWR | O_CREAT, 0600));
	event_of(fd, dir, IN_CREATE, "f");
	CHECK_EQ(inotify_add_watch(fd, scratch("ends"), what | IN_EXCL_UNLINK), dir);
	own = CHECK_OK(inotify_add_watch(fd, scratch("ends/f"), what | IN_EXCL_UNLINK));
	place = CHECK_OK(open(scratch("ends/f"), O_PATH)); /* has it open as well */
	CHECK_OK(unlink(scratch("ends/f")));
	event_of(fd, own, IN_ATTRIB, "");
	event_of(fd, dir, IN_DELETE, "f");
	CHECK_EQ(write(file, "y", 1), 1);
	CHECK_OK(close(file));
	no_event(fd);
	CHECK_OK(close(place));
	event_of(fd, own, IN_DELETE_SELF, "");
	event_of(fd, own, IN_IGNORED, "");
	no_event(fd);
	close(fd);
}

/* The same of what a rename replaces, and of directories. */
TEST(inotify_reports_the_end_of_what_was_replaced_when_it_is_closed)
{
	int fd = CHECK_OK(inotify_init1(IN_NONBLOCK)), own, file, place;
	const uint32_t what = IN_ALL_EVENTS & ~(IN_OPEN | IN_ACCESS);

	make_file("replacing", "new");
	file = scratch_file("replaced", "old", 3);
	own = CHECK_OK(inotify_add_watch(fd, scratch("replaced"), what));
	CHECK_OK(rename(scratch("replacing"), scratch("replaced")));
	event_of(fd, own, IN_ATTRIB, "");
	no_event(fd);
	CHECK_OK(close(file));
	event_of(fd, own, IN_CLOSE_WRITE, "");
	event_of(fd, own, IN_DELETE_SELF, "");
	event_of(fd, own, IN_IGNORED, "");
	make_dir("replaced-dir");
	make_dir("replacing-dir");
	place = CHECK_OK(open(scratch("replaced-dir"), O_PATH));
	own = CHECK_OK(inotify_add_watch(fd, scratch("replaced-dir"), what));
	CHECK_OK(rename(scratch("replacing-dir"), scratch("replaced-dir")));
	event_of(fd, own, IN_ATTRIB | IN_ISDIR, "");
	no_event(fd);
	CHECK_OK(close(place));
	event_of(fd, own, IN_DELETE_SELF, "");
	event_of(fd, own, IN_IGNORED, "");
	own = CHECK_OK(inotify_add_watch(fd, scratch("replaced-dir"), what));
	CHECK_OK(rmdir(scratch("replaced-dir")));
	event_of(fd, own, IN_DELETE_SELF, "");
	event_of(fd, own, IN_IGNORED, "");
	no_event(fd);
	close(fd);
}

TEST(inotify_checks_its_arguments)
{
	int n, fd = CHECK_OK(inotify_init1(0));

	CHECK_ERR(inotify_init1(99), EINVAL);
	CHECK_ERR(inotify_add_watch(fd, "/none-such", IN_CREATE), ENOENT);
	CHECK_ERR(inotify_add_watch(fd, "/tmp", 0), EINVAL);
	CHECK_ERR(inotify_add_watch(999, "/tmp", IN_CREATE), EBADF);
	CHECK_ERR(inotify_add_watch(0 + CHECK_OK(open("/dev/null", O_RDONLY)), "/tmp", IN_CREATE), EINVAL);
	CHECK_OK(ioctl(fd, FIONREAD, &n));
	CHECK_EQ(n, 0);
	close(fd);
}

TEST_MAIN("directories")
