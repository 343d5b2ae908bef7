/*
 * tests/unit/fs_vfs_test.c - the file system calls against Linux: the same random operations run on the
 * kernel's overlay and, by system calls, in a directory of the host; results and trees must agree.
 */
// sources: tests/unit/shim/shim.c tests/unit/fs_host.c kernel/fs/dentry.c kernel/fs/namei.c kernel/fs/vfs.c kernel/fs/file.c kernel/fs/fdtable.c kernel/fs/overlay.c kernel/fs/overlay_dir.c kernel/fs/overlay_file.c kernel/fs/tmpfs.c kernel/fs/inotify.c kernel/fs/squashfs.c kernel/fs/squashfs_data.c kernel/lib/inflate.c kernel/linux/path.c kernel/linux/stat.c kernel/linux/dirent.c kernel/linux/file.c kernel/linux/flock.c
// flags: -Itests/unit -Itests/unit/shim -ffreestanding -lz
#include "fs/inode.h"
#include "fs/squashfs.h"
#include "linux/syscall.h"
#include "lib/string.h"
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/fs.h>
#include <linux/inotify.h>
#include "fs_host.h"
#include "fs_layers.h"
#include "shim.h"

#define U(p) ((uaddr_t)(uintptr_t)(p))
#define STEPS 60000

static long host(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return r;
}

static int host_dir; /* descriptor of the host's tree: paths are relative on both sides */

static long size_of(const char *path)
{
	struct stat st;

	return sys_newfstatat(-100, U(path), U(&st), 0) ? -1 : st.st_size;
}

/* --- random operations ------------------------------------------------------------------------------ */

static const char *const parts[] = { "a", "b", "c", "d", "low", "both", "file", ".", ".." };

static void path_make(char *out, size_t size)
{
	size_t len = 0;
	int depth = rand() % 3 + 1;

	out[0] = 0;
	for (int i = 0; i < depth; i++)
		sappendf(out, size, &len, "%s%s", i ? (rand() % 40 ? "/" : "//") : "",
			 parts[rand() % (rand() % 20 ? 7 : 9)]);
	if (rand() % 30 == 0)
		sappendf(out, size, &len, "/");
	/* A path that climbs above the tree would meet the rest of the host. */
	if (str_starts(out, "..") || strstr(out, "/..") || str_starts(out, "./.."))
		strlcpy(out, "a", size);
}

static const char *last_op = "";
static char last_path[3][128];

static void same(long ours, long hosts)
{
	if (ours == hosts)
		return;
	printf("not ok: %s(\"%s\", \"%s\") answers %ld, Linux %ld\n", last_op, last_path[0], last_path[1], ours,
	       hosts);
	exit(1);
}

static void data_compare(const char *path)
{
	static char mine[70000], theirs[70000];
	long a = sys_openat(-100, U(path), 0, 0), b = host(__NR_openat, host_dir, (long)path, 0, 0, 0), n, m;

	last_op = "open";
	same(a < 0 ? a : 0, b < 0 ? b : 0);
	if (a < 0)
		return;
	n = sys_read(a, U(mine), sizeof(mine));
	m = host(__NR_read, b, (long)theirs, sizeof(theirs), 0, 0);
	last_op = "read";
	same(n, m);
	if (n > 0 && memcmp(mine, theirs, n)) {
		printf("not ok: content of %s differs\n", path);
		exit(1);
	}
	sys_close(a);
	host(__NR_close, b, 0, 0, 0, 0);
}

static void write_both(const char *path, int flags, long offset, size_t len)
{
	static char buf[40000];
	long a, b;

	for (size_t i = 0; i < len; i++)
		buf[i] = rand();
	a = sys_openat(-100, U(path), flags, 0644);
	b = host(__NR_openat, host_dir, (long)path, flags, 0644, 0);
	last_op = "open for writing";
	same(a < 0 ? a : 0, b < 0 ? b : 0);
	if (a < 0)
		return;
	last_op = "write";
	same(sys_pwrite64(a, U(buf), len, offset), host(__NR_pwrite64, b, (long)buf, len, offset, 0));
	last_op = "lseek";
	same(sys_lseek(a, -3, 2), host(__NR_lseek, b, -3, 2, 0, 0));
	same(sys_lseek(a, offset, 0), host(__NR_lseek, b, offset, 0, 0, 0));
	sys_close(a);
	host(__NR_close, b, 0, 0, 0, 0);
}

static void stat_both(const char *path, int flags)
{
	struct stat a = { 0 }, b = { 0 };

	last_op = "stat";
	same(sys_newfstatat(-100, U(path), U(&a), flags),
	     host(__NR_newfstatat, host_dir, (long)path, (long)&b, flags, 0));
	if (S_ISDIR(a.st_mode))
		a.st_size = b.st_size = a.st_nlink = b.st_nlink = 0;
	last_op = "mode";
	same(a.st_mode, b.st_mode);
	last_op = "size";
	same(a.st_size, b.st_size);
	last_op = "nlink";
	same(a.st_nlink, b.st_nlink);
}

static void step(void)
{
	char *p = last_path[0], *q = last_path[1];
	char mine[128] = "", theirs[128] = "";
	int flags;

	path_make(p, sizeof(last_path[0]));
	path_make(q, sizeof(last_path[1]));
	switch (rand() % 15) {
	case 0:
		last_op = "mkdir";
		same(sys_mkdirat(-100, U(p), 0755), host(__NR_mkdirat, host_dir, (long)p, 0755, 0, 0));
		break;
	case 1:
		last_op = "rmdir";
		same(sys_unlinkat(-100, U(p), 0x200), host(__NR_unlinkat, host_dir, (long)p, 0x200, 0, 0));
		break;
	case 2:
		last_op = "unlink";
		same(sys_unlinkat(-100, U(p), 0), host(__NR_unlinkat, host_dir, (long)p, 0, 0, 0));
		break;
	case 3:
	case 4:
	case 5:
		flags = rand() % 4 ? 0 : rand() % 2 ? RENAME_NOREPLACE : RENAME_EXCHANGE;
		last_op = flags == RENAME_EXCHANGE ? "exchange" : flags ? "rename noreplace" : "rename";
		same(sys_renameat2(-100, U(p), -100, U(q), flags),
		     host(__NR_renameat2, host_dir, (long)p, host_dir, (long)q, flags));
		break;
	case 6:
		last_op = "link";
		same(sys_linkat(-100, U(p), -100, U(q), 0),
		     host(__NR_linkat, host_dir, (long)p, host_dir, (long)q, 0));
		break;
	case 7:
		last_op = "symlink";
		same(sys_symlinkat(U(parts[rand() % 7]), -100, U(p)) == 0,
		     host(__NR_symlinkat, (long)"x", host_dir, (long)p, 0, 0) == 0);
		/* the same target on both sides */
		if (sys_readlinkat(-100, U(p), U(mine), sizeof(mine) - 1) > 0 &&
		    host(__NR_readlinkat, host_dir, (long)p, (long)theirs, sizeof(theirs) - 1, 0) == 1 &&
		    theirs[0] == 'x') {
			host(__NR_unlinkat, host_dir, (long)p, 0, 0, 0);
			host(__NR_symlinkat, (long)mine, host_dir, (long)p, 0, 0);
		}
		break;
	case 8:
		write_both(p, O_RDWR | O_CREAT | (rand() % 4 ? 0 : O_EXCL), rand() % 9000, rand() % 9000);
		break;
	case 9:
		write_both(p, O_RDWR | (rand() % 3 ? 0 : O_TRUNC), rand() % 40000, rand() % 300);
		break;
	case 10:
		last_op = "chmod";
		flags = rand() % 2 ? 0644 : 0755;
		same(sys_fchmodat(-100, U(p), flags), host(__NR_fchmodat, host_dir, (long)p, flags, 0, 0));
		break;
	case 11:
		stat_both(p, rand() % 2 ? 0x100 : 0);
		break;
	case 12:
		last_op = "readlink";
		same(sys_readlinkat(-100, U(p), U(mine), sizeof(mine)),
		     host(__NR_readlinkat, host_dir, (long)p, (long)theirs, sizeof(theirs), 0));
		same(memcmp(mine, theirs, sizeof(mine)), 0);
		break;
	case 13:
		data_compare(p);
		break;
	case 14:
		last_op = "truncate";
		flags = rand() % 20000;
		{
			char path[256];

			snprintf(path, sizeof(path), "%s/tree/%s", top, p);
			same(sys_truncate(U(p), flags), host(__NR_truncate, (long)path, flags, 0, 0, 0));
		}
		break;
	}
}

/* --- comparing trees ------------------------------------------------------------------------------------ */

struct name_list {
	unsigned n;
	char names[64][64];
};

static int name_order(const void *a, const void *b) { return strcmp(a, b); }

static void names_read(struct name_list *l, long (*read)(long fd, char *buf, size_t len), long fd)
{
	char buf[200]; /* small: several rounds */
	long n;

	l->n = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n; at += *(uint16_t *)(buf + at + 16)) {
			CHECK(l->n < 64);
			memset(l->names[l->n], 0, 64);
			strlcpy(l->names[l->n++], buf + at + 19, 64);
		}
	}
	CHECK_EQ(n, 0);
	qsort(l->names, l->n, 64, name_order);
}

static long ours_getdents(long fd, char *buf, size_t len) { return sys_getdents64(fd, U(buf), len); }
static long host_getdents(long fd, char *buf, size_t len)
{
	return host(__NR_getdents64, fd, (long)buf, len, 0, 0);
}

static void tree_compare(const char *path, int depth)
{
	static struct name_list lists[8][2];
	struct name_list *mine = &lists[depth][0], *theirs = &lists[depth][1];
	long a = sys_openat(-100, U(path), O_DIRECTORY, 0);
	long b = host(__NR_openat, host_dir, (long)path, O_DIRECTORY, 0, 0);

	CHECK(a >= 0 && b >= 0);
	names_read(mine, ours_getdents, a);
	names_read(theirs, host_getdents, b);
	sys_close(a);
	host(__NR_close, b, 0, 0, 0, 0);
	if (mine->n != theirs->n || memcmp(mine->names, theirs->names, mine->n * 64)) {
		printf("not ok: the listings of %s differ:\n", path);
		for (unsigned i = 0; i < mine->n; i++)
			printf("  ours  %s\n", mine->names[i]);
		for (unsigned i = 0; i < theirs->n; i++)
			printf("  Linux %s\n", theirs->names[i]);
		exit(1);
	}
	for (unsigned i = 0; i < mine->n; i++) {
		struct stat st;
		char child[128];

		if (!strcmp(mine->names[i], ".") || !strcmp(mine->names[i], ".."))
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, mine->names[i]);
		strlcpy(last_path[0], child, sizeof(last_path[0]));
		stat_both(child, 0x100);
		CHECK_EQ(sys_newfstatat(-100, U(child), U(&st), 0x100), 0);
		if (S_ISDIR(st.st_mode) && depth < 6)
			tree_compare(child, depth + 1);
		else if (S_ISREG(st.st_mode))
			data_compare(child);
	}
}

static void random_operations_agree_with_linux(void)
{
	for (int i = 0; i < STEPS; i++) {
		step();
		if (i % 500 == 0)
			tree_compare(".", 0);
		if (i % 3000 == 0)
			dentry_shrink(0);
	}
	tree_compare(".", 0);
}

/* --- particular things ------------------------------------------------------------------------------------ */

static void paths_have_their_errors(void)
{
	static char longer[5000], name[300];
	struct stat st;

	memset(longer, 'x', sizeof(longer) - 1);
	memset(name, 'y', 256);
	CHECK_EQ(sys_openat(-100, U(longer), 0, 0), -ENAMETOOLONG);
	CHECK_EQ(sys_openat(-100, U(name), O_CREAT, 0600), -ENAMETOOLONG);
	CHECK_EQ(sys_openat(-100, U(""), 0, 0), -ENOENT);
	CHECK_EQ(sys_openat(-100, 0, 0, 0), -EFAULT);
	CHECK_EQ(sys_newfstatat(-100, U("."), 8, 0), -EFAULT);
	CHECK_EQ(sys_openat(99, U("x"), 0, 0), -EBADF);
	CHECK_EQ(sys_symlinkat(U("loop2"), -100, U("loop1")), 0);
	CHECK_EQ(sys_symlinkat(U("loop1"), -100, U("loop2")), 0);
	CHECK_EQ(sys_openat(-100, U("loop1"), 0, 0), -ELOOP);
	CHECK_EQ(sys_newfstatat(-100, U("loop1"), U(&st), 0x100), 0);
	CHECK_EQ(sys_openat(-100, U("loop1"), O_NOFOLLOW, 0), -ELOOP);
	CHECK_EQ(sys_unlinkat(-100, U("loop1"), 0), 0);
	CHECK_EQ(sys_unlinkat(-100, U("loop2"), 0), 0);
	CHECK_EQ(sys_openat(-100, U("."), O_RDWR | __O_TMPFILE | O_DIRECTORY, 0600), -EOPNOTSUPP);
	CHECK_EQ(sys_unlinkat(-100, U("."), 0x200), -EINVAL);
}

static void an_unlinked_file_lives_while_it_is_open(void)
{
	char buf[128];
	struct stat st;
	long fd = sys_openat(-100, U("gone"), O_RDWR | O_CREAT, 0600);
	struct file *f;

	CHECK(fd >= 0);
	CHECK_EQ(sys_write(fd, U("hello"), 5), 5);
	CHECK_EQ(sys_unlinkat(-100, U("gone"), 0), 0);
	CHECK_EQ(sys_fstat(fd, U(&st)), 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(sys_pread64(fd, U(buf), 10, 0), 5);
	f = fd_get(fd);
	CHECK(file_path(f, buf, sizeof(buf)) > 0);
	CHECK(strstr(buf, "gone (deleted)"));
	file_put(f);
	CHECK_EQ(sys_fchmod(fd, 0644), 0);
	CHECK_EQ(sys_openat(-100, U("gone"), 0, 0), -ENOENT);
	CHECK_EQ(sys_close(fd), 0);
}

static void a_layers_file_that_was_unlinked_does_not_come_back(void)
{
	long fd;

	CHECK_EQ(sys_mkdirat(-100, U("/w"), 0755), 0);
	fd = sys_openat(-100, U("/only/in-layer"), O_RDONLY, 0);
	CHECK(fd >= 0);
	CHECK_EQ(sys_unlinkat(-100, U("/only/in-layer"), 0), 0);
	CHECK_EQ(sys_fchmod(fd, 0600), 0); /* would pin it */
	CHECK_EQ(sys_openat(-100, U("/only/in-layer"), 0, 0), -ENOENT);
	CHECK_EQ(sys_close(fd), 0);
	dentry_shrink(0);
	CHECK_EQ(sys_openat(-100, U("/only/in-layer"), 0, 0), -ENOENT);
	CHECK_EQ(sys_unlinkat(-100, U("/only"), 0x200), 0);
	CHECK_EQ(sys_unlinkat(-100, U("/w"), 0x200), 0);
}

static bool file_is(const char *path, const char *text)
{
	char buf[32];
	struct file *f = vfs_open(path, O_RDONLY, 0);
	ssize_t n = IS_ERR(f) ? PTR_ERR(f) : file_read_kernel(f, buf, sizeof(buf), 0);

	if (!IS_ERR(f))
		file_put(f);
	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

static void replaced_files_are_old_or_new(void)
{
	char buf[32];
	struct stat st;
	struct file *reader = vfs_open("/etc/hosts", O_RDONLY, 0);

	CHECK(!IS_ERR(reader));
	CHECK_EQ(vfs_replace_file("/etc/hosts", "newer\n", 6), 0);
	CHECK(file_is("/etc/hosts", "newer\n"));
	CHECK_EQ(file_read_kernel(reader, buf, sizeof(buf), 0), 4);
	CHECK(!memcmp(buf, "old\n", 4));
	file_put(reader);
	CHECK_EQ(sys_newfstatat(-100, U("/etc/hosts"), U(&st), 0), 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	/* A link stays, and what it leads to is replaced; one that leads nowhere goes. */
	CHECK_EQ(vfs_replace_file("/etc/link", "by link\n", 8), 0);
	CHECK(file_is("/etc/hosts", "by link\n"));
	CHECK_EQ(sys_readlinkat(-100, U("/etc/link"), U(buf), sizeof(buf)), 5);
	CHECK_EQ(vfs_replace_file("/etc/dangling", "x", 1), 0);
	CHECK(file_is("/etc/dangling", "x"));
	CHECK_EQ(sys_readlinkat(-100, U("/etc/dangling"), U(buf), sizeof(buf)), -EINVAL);
	CHECK_EQ(vfs_replace_file("/etc/made", "m", 1), 0);
	CHECK_EQ(sys_newfstatat(-100, U("/etc/made"), U(&st), 0), 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	/* What cannot be written is as it was, and nothing lies beside. */
	CHECK_EQ(vfs_replace_file("/nowhere/made", "m", 1), -ENOENT);
	CHECK_EQ(vfs_replace_file("/etc", "m", 1), -EISDIR);
	CHECK_EQ(sys_openat(-100, U("/.etc.new"), O_RDONLY, 0), -ENOENT);
	CHECK_EQ(sys_openat(-100, U("/etc/.hosts.new"), O_RDONLY, 0), -ENOENT);
	CHECK_EQ(sys_openat(-100, U("/etc/.made.new"), O_RDONLY, 0), -ENOENT);
}

static void append_and_positions(void)
{
	char buf[32] = "";
	long a = sys_openat(-100, U("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
	long b = sys_openat(-100, U("log"), O_RDWR, 0);

	CHECK(a >= 0 && b >= 0);
	CHECK_EQ(sys_write(a, U("one"), 3), 3);
	CHECK_EQ(sys_write(b, U("TWO+"), 4), 4);
	CHECK_EQ(sys_write(a, U("three"), 5), 5);
	CHECK_EQ(sys_lseek(a, 0, 1), 9);
	CHECK_EQ(sys_pread64(b, U(buf), 20, 0), 9);
	CHECK(!memcmp(buf, "TWO+three", 9));
	CHECK_EQ(sys_lseek(b, 5, 4), 9);   /* SEEK_HOLE */
	CHECK_EQ(sys_lseek(b, 9, 3), -ENXIO); /* SEEK_DATA */
	CHECK_EQ(sys_ftruncate(b, 1 << 20), 0);
	CHECK_EQ(sys_lseek(b, 4096, 3), -ENXIO);
	CHECK_EQ(sys_fallocate(b, 0, 8192, 4096), 0);
	CHECK_EQ(sys_lseek(b, 4096, 3), 8192);
	CHECK_EQ(sys_fallocate(b, 3, 8192, 4096), 0); /* punch */
	CHECK_EQ(sys_lseek(b, 4096, 3), -ENXIO);
	CHECK_EQ(sys_close(a), 0);
	CHECK_EQ(sys_close(b), 0);
	CHECK_EQ(sys_close(b), -EBADF);
	CHECK_EQ(sys_unlinkat(-100, U("log"), 0), 0);
}

static void inotify_tells_what_happened(void)
{
	char buf[2048];
	long in = sys_inotify_init1(IN_NONBLOCK), wd, n, fd;
	static const struct { uint32_t mask; const char *name; } want[] = {
		{ IN_CREATE, "x" }, { IN_OPEN, "x" }, { IN_MODIFY, "x" }, { IN_CLOSE_WRITE, "x" },
		{ IN_MOVED_FROM, "x" }, { IN_MOVED_TO, "y" }, { IN_ATTRIB, "y" }, { IN_DELETE, "y" },
		{ IN_CREATE | IN_ISDIR, "z" }, { IN_DELETE | IN_ISDIR, "z" }, { IN_DELETE_SELF, "" },
		{ IN_IGNORED, "" },
	};
	long at = 0;

	CHECK(in >= 0);
	CHECK_EQ(sys_mkdirat(-100, U("watched"), 0755), 0);
	wd = sys_inotify_add_watch(in, U("watched"), IN_ALL_EVENTS & ~IN_ACCESS & ~IN_CLOSE_NOWRITE);
	CHECK_EQ(wd, 1);
	CHECK_EQ(sys_read(in, U(buf), sizeof(buf)), -EAGAIN);
	fd = sys_openat(-100, U("watched/x"), O_CREAT | O_WRONLY, 0600);
	sys_write(fd, U("1"), 1);
	sys_close(fd);
	CHECK_EQ(sys_renameat2(-100, U("watched/x"), -100, U("watched/y"), 0), 0);
	CHECK_EQ(sys_fchmodat(-100, U("watched/y"), 0644), 0);
	CHECK_EQ(sys_unlinkat(-100, U("watched/y"), 0), 0);
	CHECK_EQ(sys_mkdirat(-100, U("watched/z"), 0755), 0);
	CHECK_EQ(sys_unlinkat(-100, U("watched/z"), 0x200), 0);
	CHECK_EQ(sys_unlinkat(-100, U("watched"), 0x200), 0);
	n = sys_read(in, U(buf), sizeof(buf));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		struct inotify_event *e = (struct inotify_event *)(buf + at);

		CHECK(at < n);
		if ((e->mask & ~IN_ISDIR) != (want[i].mask & ~IN_ISDIR) ||
		    strcmp(e->len ? e->name : "", want[i].name)) {
			printf("not ok: event %zu is %x \"%s\", expected %x \"%s\"\n", i, e->mask,
			       e->len ? e->name : "", want[i].mask, want[i].name);
			exit(1);
		}
		at += sizeof(*e) + e->len;
	}
	CHECK_EQ(at, n);
	CHECK_EQ(sys_inotify_rm_watch(in, wd), -EINVAL);
	CHECK_EQ(sys_close(in), 0);
}

static void allocation_asks_for_the_pages_that_are_missing(void)
{
	static char data[10 * 4096];
	struct stat st;
	long fd = sys_openat(-100, U("allocated"), O_RDWR | O_CREAT, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(sys_write(fd, U(data), sizeof(data)), sizeof(data));
	host_free_pages = 2;
	CHECK_EQ(sys_fallocate(fd, 0, 0, 10 * 4096), 0);
	CHECK_EQ(sys_fallocate(fd, 0, 4095, 2), 0); /* parts of two pages */
	CHECK_EQ(sys_fallocate(fd, 0, 0, 12 * 4096 + 1), -ENOSPC);
	CHECK_EQ(sys_fallocate(fd, 0, 1l << 40, 1l << 40), -ENOSPC);
	CHECK_EQ(sys_fstat(fd, U(&st)), 0);
	CHECK_EQ(st.st_size, 10 * 4096);
	CHECK_EQ(sys_fallocate(fd, 0, 0, 12 * 4096), 0);
	CHECK_EQ(sys_fstat(fd, U(&st)), 0);
	CHECK_EQ(st.st_size, 12 * 4096);
	CHECK_EQ(st.st_blocks, 12 * 8);
	host_free_pages = UINT64_MAX;
	CHECK_EQ(sys_close(fd), 0);
	CHECK_EQ(sys_unlinkat(-100, U("allocated"), 0), 0);
}

/* The cap of tmpfs is lower than what the files have: only a truncation that copies no more than what stays can do. */
static void truncation_copies_of_a_layers_file_what_stays(void)
{
	char buf[8];
	struct tmpfs_usage u;
	long fd;

	host_tmp_max = "40K";
	tmpfs_set_max();
	tmpfs_usage(&u);
	CHECK_EQ(u.max_pages, 10);
	CHECK_EQ(u.used_pages, 0);
	CHECK_EQ(sys_openat(-100, U("/large/a"), O_RDWR, 0), -ENOSPC);
	CHECK(size_of("/large/a") > 200000);
	fd = sys_openat(-100, U("/large/a"), O_RDWR | O_TRUNC, 0);
	CHECK(fd >= 0);
	CHECK_EQ(size_of("/large/a"), 0);
	tmpfs_usage(&u);
	CHECK_EQ(u.used_pages, 0);
	CHECK_EQ(sys_write(fd, U("new"), 3), 3);
	CHECK_EQ(sys_close(fd), 0);
	CHECK_EQ(sys_truncate(U("/large/b"), 5001), 0);
	CHECK_EQ(size_of("/large/b"), 5001);
	tmpfs_usage(&u);
	CHECK_EQ(u.used_pages, 3);
	fd = sys_openat(-100, U("/large/b"), O_RDWR, 0);
	CHECK(fd >= 0);
	CHECK_EQ(sys_pread64(fd, U(buf), 6, 0), 6);
	CHECK(!memcmp(buf, "1\n2\n3\n", 6));
	CHECK_EQ(sys_ftruncate(fd, 6000), 0); /* what was cut off does not come back */
	CHECK_EQ(sys_pread64(fd, U(buf), 3, 5000), 3);
	CHECK(buf[0] && !buf[1] && !buf[2]);
	CHECK_EQ(sys_close(fd), 0);
	CHECK_EQ(sys_truncate(U("/large/c"), 300000), -ENOSPC); /* to grow it takes all */
	CHECK(size_of("/large/c") > 200000 && size_of("/large/c") < 300000);
	host_tmp_max = NULL;
	tmpfs_set_max();
	CHECK_EQ(sys_truncate(U("/large/c"), 300000), 0);
	CHECK_EQ(size_of("/large/c"), 300000);
	for (char name[] = "/large/a"; name[7] <= 'c'; name[7]++)
		CHECK_EQ(sys_unlinkat(-100, U(name), 0), 0);
	CHECK_EQ(sys_unlinkat(-100, U("/large"), 0x200), 0);
}

/* A directory that is renamed is where the answer says, whichever allocation fails. */
static void a_rename_without_memory_changes_all_or_nothing(void)
{
	static const char from[] = "the-name-before-it-is-long-enough-to-be-allocated", to[] = "the-name-behind-it-is-as-long-as-the-first";
	unsigned refused = 0;
	char cwd[256], want[256], old[256];

	CHECK(sys_getcwd(U(old), sizeof(old)) > 0);
	for (int flags = 0; flags <= RENAME_EXCHANGE; flags += RENAME_EXCHANGE) {
		for (long fail = 0, r = -ENOMEM; r; fail++) {
			CHECK_EQ(sys_mkdirat(-100, U(from), 0755), 0);
			if (flags)
				CHECK_EQ(sys_mkdirat(-100, U(to), 0755), 0);
			CHECK_EQ(sys_chdir(U(from)), 0);
			snprintf(cwd, sizeof(cwd), "%s/%s", old, from);
			snprintf(want, sizeof(want), "%s/%s", old, to);
			shim_fail_after = fail;
			r = sys_renameat2(-100, U(cwd), -100, U(want), flags);
			shim_fail_after = -1;
			CHECK(!r || r == -ENOMEM);
			refused += r != 0;
			snprintf(want, sizeof(want), "%s/%s", old, r ? from : to);
			CHECK(sys_getcwd(U(cwd), sizeof(cwd)) > 0);
			CHECK(!strcmp(cwd, want));
			CHECK_EQ(sys_mkdirat(-100, U("inside"), 0755), 0);
			CHECK_EQ(sys_unlinkat(-100, U("inside"), 0x200), 0);
			CHECK_EQ(sys_chdir(U(old)), 0);
			CHECK_EQ(sys_unlinkat(-100, U(r ? from : to), 0x200), 0);
			CHECK_EQ(sys_unlinkat(-100, U(r ? to : from), 0x200), flags ? 0 : -ENOENT);
		}
	}
	CHECK(refused >= 4);
}

static void flock_excludes_other_open_files(void)
{
	long fd = sys_openat(-100, U("locked"), O_RDWR | O_CREAT, 0600);
	long other = sys_openat(-100, U("locked"), O_RDWR, 0);

	CHECK(fd >= 0 && other >= 0);
	CHECK_EQ(sys_flock(fd, 2), 0);
	CHECK_EQ(sys_flock(other, 2 | 4), -EAGAIN);
	CHECK_EQ(sys_flock(fd, 1), 0);
	CHECK_EQ(sys_flock(other, 1 | 4), 0);
	CHECK_EQ(sys_flock(other, 2 | 4), -EAGAIN);
	/* The end of an open file is that of its lock. */
	CHECK_EQ(sys_close(fd), 0);
	CHECK_EQ(sys_flock(other, 2 | 4), 0);
	CHECK_EQ(sys_close(other), 0);
	CHECK_EQ(sys_unlinkat(-100, U("locked"), 0), 0);
}

int main(void)
{
	struct superblock *sb;
	char path[128];

	srand(7);
	top_make("fs_vfs");
	/* What the layers show together is what the host's tree begins with. */
	shell("cd %s && mkdir -p l1/t/a/low l1/t/both/c l1/only l1/etc l2/t/both l2/t/low tree && umask 022 && "
	      "seq 1 5000 > l1/t/file && seq 1 50 > l1/t/both/a && seq 2 60 > l1/t/both/b && "
	      "seq 3 70 > l2/t/both/b && seq 4 80 > l2/t/low/d && ln -s both l1/t/d && touch l1/only/in-layer && "
	      "echo old > l1/etc/hosts && chmod 640 l1/etc/hosts && ln -s hosts l1/etc/link && ln -s /nowhere/at/all l1/etc/dangling && "
	      "mkdir l1/large && seq 1 40000 | tee l1/large/a l1/large/b > l1/large/c && "
	      "cp -a l1/t/. tree/ && cp -a l2/t/. tree/ && "
	      "mksquashfs l1 l1.img -quiet -no-progress > /dev/null && "
	      "mksquashfs l2 l2.img -quiet -no-progress -noD -noF > /dev/null", top);
	snprintf(path, sizeof(path), "%s/tree", top);
	host_dir = host(__NR_openat, -100, (long)path, O_DIRECTORY, 0, 0);
	CHECK(host_dir >= 0);
	host(__NR_umask, 022, 0, 0, 0, 0);
	sb = overlay_new("overlay", "overlay", 0);
	CHECK_EQ(overlay_add_layer(sb, layer_load("l2.img", 1)), 0);
	CHECK_EQ(overlay_add_layer(sb, layer_load("l1.img", 0)), 0);
	CHECK_EQ(overlay_finish(sb), 0);
	host_init(sb);
	TEST(a_layers_file_that_was_unlinked_does_not_come_back);
	TEST(truncation_copies_of_a_layers_file_what_stays);
	TEST(replaced_files_are_old_or_new);
	CHECK_EQ(sys_chdir(U("/t")), 0);
	TEST(random_operations_agree_with_linux);
	TEST(paths_have_their_errors);
	TEST(an_unlinked_file_lives_while_it_is_open);
	TEST(append_and_positions);
	TEST(inotify_tells_what_happened);
	TEST(allocation_asks_for_the_pages_that_are_missing);
	TEST(a_rename_without_memory_changes_all_or_nothing);
	TEST(flock_excludes_other_open_files);
	host_exit();
	shell("rm -rf %s", top);
	return 0;
}
