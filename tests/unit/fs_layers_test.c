/*
 * tests/unit/fs_layers_test.c - the overlay where layers contradict each other, a listing breaks off, memory fails or names are at their cap.
 */
// sources: tests/unit/shim/shim.c tests/unit/fs_host.c kernel/fs/dentry.c kernel/fs/namei.c kernel/fs/vfs.c kernel/fs/file.c kernel/fs/fdtable.c kernel/fs/overlay.c kernel/fs/overlay_dir.c kernel/fs/overlay_file.c kernel/fs/tmpfs.c kernel/fs/inotify.c kernel/fs/squashfs.c kernel/fs/squashfs_data.c kernel/lib/inflate.c kernel/linux/path.c kernel/linux/stat.c kernel/linux/dirent.c kernel/linux/file.c kernel/linux/flock.c
// flags: -Itests/unit -Itests/unit/shim -ffreestanding -lz
#include "fs/inode.h"
#include "fs/squashfs.h"
#include "linux/syscall.h"
#include "lib/string.h"
#include <asm/stat.h>
#include <linux/fs.h>
#include "fs_layers.h"

#define U(p) ((uaddr_t)(uintptr_t)(p))
#define AT_DIR 0x200 /* AT_REMOVEDIR */

struct dirent64 {
	uint64_t ino, off;
	uint16_t reclen;
	uint8_t type;
	char name[];
} __attribute__((packed));

/* How many names a directory shows beside "." and "..". */
static int names_in(const char *path)
{
	char buf[4096];
	long fd = sys_openat(-100, U(path), O_DIRECTORY, 0), n;
	int count = 0;

	CHECK(fd >= 0);
	while ((n = sys_getdents64((int)fd, U(buf), sizeof(buf))) > 0) {
		for (long at = 0; at < n; at += ((struct dirent64 *)(buf + at))->reclen) {
			const char *name = ((struct dirent64 *)(buf + at))->name;

			count += strcmp(name, ".") && strcmp(name, "..");
		}
	}
	CHECK_EQ(n, 0);
	CHECK_EQ(sys_close((int)fd), 0);
	return count;
}

/* In the lower layer each folder has the file x; the upper one has a whiteout there. */
static void a_folder_that_whiteouts_empty_is_empty(void)
{
	struct stat st;

	CHECK_EQ(names_in("/gone"), 0);
	CHECK_EQ(names_in("/kept"), 1);
	CHECK_EQ(sys_unlinkat(-100, U("/kept"), AT_DIR), -ENOTEMPTY);
	CHECK_EQ(sys_unlinkat(-100, U("/gone"), AT_DIR), 0);
	CHECK_EQ(sys_newfstatat(-100, U("/gone"), U(&st), 0), -ENOENT);
	CHECK_EQ(sys_mkdirat(-100, U("/gone"), 0755), 0);
	CHECK_EQ(names_in("/gone"), 0);
	/* One is replaced by a rename, too, and what is below it in the layers does not come back. */
	CHECK_EQ(names_in("/replaced"), 0);
	CHECK_EQ(sys_renameat2(-100, U("/gone"), -100, U("/kept"), 0), -ENOTEMPTY);
	CHECK_EQ(sys_renameat2(-100, U("/gone"), -100, U("/replaced"), 0), 0);
	CHECK_EQ(names_in("/replaced"), 0);
	CHECK_EQ(sys_newfstatat(-100, U("/replaced/x"), U(&st), 0), -ENOENT);
	/* A device with a number is no whiteout. */
	CHECK_EQ(names_in("/device"), 1);
	CHECK_EQ(sys_unlinkat(-100, U("/device"), AT_DIR), -ENOTEMPTY);
}

static int listed;

/* Fails once, behind the second entry. */
static int readdir_fails(struct file *f, dir_emit_fn *emit, void *arg)
{
	for (; f->pos < 4; f->pos++) {
		static const char *const names[] = { "a", "b", "c", "d" };

		if (f->pos == 2 && !listed++)
			return -EIO;
		if (!emit(arg, names[f->pos], 1, f->pos + 1, 8, f->pos + 1))
			break;
	}
	return 0;
}

static void a_listing_that_fails_gives_what_came_before(void)
{
	static struct file_ops ops;
	struct dirent64 *d;
	char buf[1024];
	long fd = sys_openat(-100, U("/kept"), O_DIRECTORY, 0);
	struct file *f = fd_get((int)fd);
	const struct file_ops *own = f->ops;

	ops = *own;
	ops.readdir = readdir_fails;
	f->ops = &ops;
	CHECK_EQ(sys_getdents64((int)fd, U(buf), sizeof(buf)), 48);
	d = (struct dirent64 *)(buf + 24);
	CHECK(!strcmp(d->name, "b"));
	listed = 0;
	CHECK_EQ(sys_getdents64((int)fd, U(buf), sizeof(buf)), -EIO); /* nothing comes before it now */
	CHECK_EQ(sys_getdents64((int)fd, U(buf), sizeof(buf)), 48);
	CHECK(!strcmp(((struct dirent64 *)buf)->name, "c"));
	CHECK_EQ(sys_getdents64((int)fd, U(buf), sizeof(buf)), 0);
	f->ops = own;
	file_put(f);
	CHECK_EQ(sys_close((int)fd), 0);
}

static void a_cache_that_cannot_be_made_is_an_error(void)
{
	long fd = sys_openat(-100, U("/data"), O_RDONLY, 0);
	struct file *f = fd_get((int)fd);
	struct pagecache *c;
	char byte;

	shim_fail_after = 0;
	c = f->ops->map(f);
	shim_fail_after = -1;
	CHECK(IS_ERR(c));
	CHECK_EQ(PTR_ERR(c), -ENOMEM);
	shim_fail_after = 0;
	CHECK_EQ(file_read_kernel(f, &byte, 1, 0), -ENOMEM);
	shim_fail_after = -1;
	CHECK(!IS_ERR(f->ops->map(f)));
	CHECK_EQ(file_read_kernel(f, &byte, 1, 0), 1);
	file_put(f);
	CHECK_EQ(sys_close((int)fd), 0);
}

static uint64_t inodes_left(void)
{
	struct tmpfs_usage u;

	tmpfs_usage(&u);
	return u.max_inodes - u.used_inodes;
}

static long new_file(const char *path)
{
	long fd = sys_openat(-100, U(path), O_WRONLY | O_CREAT | O_EXCL, 0600);

	return fd < 0 ? fd : sys_close((int)fd);
}

static void names_are_counted_until_they_are_gone(void)
{
	static char target[3000];
	struct tmpfs_usage u;
	uint64_t left, pages;
	char path[64];
	long fd, r;

	memset(target, 't', sizeof(target) - 1);
	host_tmp_max = "400K"; /* 100 pages, and 1024 names */
	tmpfs_set_max();
	CHECK_EQ(sys_mkdirat(-100, U("/many"), 0755), 0);
	left = inodes_left();
	CHECK(left > 900 && left < 1024);
	/* Names of one file. The layer's own costs nothing. */
	CHECK_EQ(sys_linkat(-100, U("/data"), -100, U("/many/data"), 0), 0);
	CHECK_EQ(inodes_left(), left - 1);
	CHECK_EQ(new_file("/many/a"), 0);
	CHECK_EQ(sys_linkat(-100, U("/many/a"), -100, U("/many/b"), 0), 0);
	CHECK_EQ(inodes_left(), left - 3);
	CHECK_EQ(sys_linkat(-100, U("/many/a"), -100, U("/many/b"), 0), -EEXIST);
	CHECK_EQ(sys_unlinkat(-100, U("/many/a"), 0), 0);
	CHECK_EQ(inodes_left(), left - 2);
	CHECK_EQ(sys_renameat2(-100, U("/many/b"), -100, U("/many/data"), 0), 0); /* over the further name of the layer's */
	CHECK_EQ(inodes_left(), left - 1);
	CHECK_EQ(sys_unlinkat(-100, U("/many/data"), 0), 0);
	CHECK_EQ(inodes_left(), left);
	/* An open file counts to its end. */
	fd = sys_openat(-100, U("/many/open"), O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(sys_unlinkat(-100, U("/many/open"), 0), 0);
	CHECK_EQ(inodes_left(), left - 1);
	CHECK_EQ(sys_close((int)fd), 0);
	CHECK_EQ(inodes_left(), left);
	/* What fails for want of memory leaves nothing. */
	tmpfs_usage(&u);
	pages = u.used_pages;
	r = -ENOMEM;
	for (long fail = 0; r; fail++) {
		shim_fail_after = fail;
		r = sys_symlinkat(U(target), -100, U("/many/link"));
		shim_fail_after = -1;
		CHECK(!r || r == -ENOMEM);
		CHECK_EQ(inodes_left(), left - !r);
		tmpfs_usage(&u);
		CHECK_EQ(u.used_pages, pages + !r);
	}
	/* Long targets are data: of these there may be as many as pages. */
	for (int i = 0; (uint64_t)i < 99 - pages; i++) {
		snprintf(path, sizeof(path), "/many/link%d", i);
		CHECK_EQ(sys_symlinkat(U(target), -100, U(path)), 0);
	}
	CHECK_EQ(sys_symlinkat(U(target), -100, U("/many/one-more")), -ENOSPC);
	CHECK_EQ(inodes_left(), left - (100 - pages));
	CHECK_EQ(sys_symlinkat(U("short"), -100, U("/many/short")), 0);
	for (int i = 0; (uint64_t)i < 99 - pages; i++) {
		snprintf(path, sizeof(path), "/many/link%d", i);
		CHECK_EQ(sys_unlinkat(-100, U(path), 0), 0);
	}
	CHECK_EQ(sys_unlinkat(-100, U("/many/link"), 0), 0);
	CHECK_EQ(sys_unlinkat(-100, U("/many/short"), 0), 0);
	CHECK_EQ(inodes_left(), left);
	tmpfs_usage(&u);
	CHECK_EQ(u.used_pages, pages);
	/* All of them. */
	for (uint64_t i = 0; i < left; i++) {
		snprintf(path, sizeof(path), "/many/%u", (unsigned)i);
		CHECK_EQ(i % 2 ? sys_mkdirat(-100, U(path), 0755) : new_file(path), 0);
	}
	CHECK_EQ(inodes_left(), 0);
	CHECK_EQ(sys_mkdirat(-100, U("/many/more"), 0755), -ENOSPC);
	CHECK_EQ(new_file("/many/more"), -ENOSPC);
	CHECK_EQ(sys_symlinkat(U("x"), -100, U("/many/more")), -ENOSPC);
	CHECK_EQ(sys_linkat(-100, U("/many/0"), -100, U("/many/more"), 0), -ENOSPC);
	for (uint64_t i = 0; i < left; i++) {
		snprintf(path, sizeof(path), "/many/%u", (unsigned)i);
		CHECK_EQ(sys_unlinkat(-100, U(path), i % 2 ? AT_DIR : 0), 0);
	}
	CHECK_EQ(inodes_left(), left);
	/* What the cache of names keeps of directories that are gone does not count in the end. */
	for (int i = 0; i < 3000; i++) {
		CHECK_EQ(sys_mkdirat(-100, U("/many/dir"), 0755), 0);
		CHECK_EQ(sys_openat(-100, U("/many/dir/none"), O_RDONLY, 0), -ENOENT);
		CHECK_EQ(sys_unlinkat(-100, U("/many/dir"), AT_DIR), 0);
	}
	CHECK_EQ(sys_unlinkat(-100, U("/many"), AT_DIR), 0);
	dentry_shrink(0);
	CHECK_EQ(inodes_left(), left + 1);
	host_tmp_max = NULL;
	tmpfs_set_max();
}

int main(void)
{
	struct superblock *sb;

	top_make("fs_layers");
	shell("cd %s && mkdir -p low/gone low/kept low/replaced up/gone up/kept up/replaced up/device && "
	      "touch low/gone/x low/kept/x low/replaced/x up/kept/y && echo data > low/data && "
	      "mksquashfs low low.img -quiet -no-progress > /dev/null && "
	      "mksquashfs up up.img -quiet -no-progress -p 'gone/x c 0 0 0 0 0' -p 'kept/x c 0 0 0 0 0' -p 'replaced/x c 0 0 0 0 0' "
	      "-p 'device/null c 666 0 0 1 3' > /dev/null", top);
	sb = overlay_new("overlay", "overlay", 0);
	CHECK_EQ(overlay_add_layer(sb, layer_load("up.img", 1)), 0);
	CHECK_EQ(overlay_add_layer(sb, layer_load("low.img", 0)), 0);
	CHECK_EQ(overlay_finish(sb), 0);
	host_init(sb);
	TEST(a_cache_that_cannot_be_made_is_an_error);
	TEST(a_folder_that_whiteouts_empty_is_empty);
	TEST(a_listing_that_fails_gives_what_came_before);
	TEST(names_are_counted_until_they_are_gone);
	host_exit();
	shell("rm -rf %s", top);
	return 0;
}
