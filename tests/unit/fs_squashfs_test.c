/*
 * tests/unit/fs_squashfs_test.c - images made by the real mksquashfs, read back and compared.
 */
// sources: tests/unit/shim/shim.c kernel/fs/squashfs.c kernel/fs/squashfs_data.c kernel/lib/inflate.c
// flags: -Itests/unit/shim -include sys/stat.h -lz
#include "shim.h"
#include "fs/squashfs.h"
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fs_memory.h"
#include "shell.h"

static char dir[PATH_MAX];

static void file_make(const char *name, size_t size, int kind)
{
	char path[PATH_MAX + 300];
	char *data = malloc(size + 1);
	int fd;

	for (size_t i = 0; i < size; i++)
		data[i] = kind == 0 ? rand() : kind == 1 ? "abcdefgh\n"[i % 9] : 0;
	snprintf(path, sizeof(path), "%s/tree/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0640);
	CHECK(fd >= 0);
	CHECK(write(fd, data, size) == (ssize_t)size);
	close(fd);
	free(data);
}

static void tree_make(void)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 65536, 131071, 131072, 131073, 400000, 1048576,
		1048577, 3000000 };
	char name[300];

	snprintf(dir, sizeof(dir), "%s/fs_squashfs_XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	CHECK(mkdtemp(dir));
	shell("mkdir -p %s/tree/many %s/tree/a/b/c/d %s/tree/empty", dir, dir, dir);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (int kind = 0; kind < 3; kind++) {
			snprintf(name, sizeof(name), "f%zu-%d", sizes[i], kind);
			file_make(name, sizes[i], kind);
		}
	}
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "many/file-with-a-name-of-some-length-%d", i);
		file_make(name, i % 50, 1);
	}
	memset(name, 'n', 255);
	name[255] = 0;
	file_make(name, 10, 0);
	file_make("a/b/c/d/deep", 5000, 1);
	shell("cd %s/tree && ln -s a/b/c/d/deep link && ln f4097-0 hard && truncate -s 2500000 sparse && "
	      "printf x | dd of=sparse bs=1 seek=1400000 conv=notrunc status=none && ln -s $(printf 'x%%.0s' $(seq 1 300)) long",
	      dir);
}

/* --- comparing ------------------------------------------------------------------------------------- */

static struct sqfs fs;

static void file_compare(const char *path, const struct sqfs_inode *inode)
{
	struct sqfs_blocks *blocks = sqfs_blocks_load(&fs, inode);
	size_t pages = (inode->size + 4095) / 4096;
	char *want = calloc(pages + 1, 4096), *got = malloc((pages + 1) * 4096);
	void **bufs = malloc((pages + 1) * sizeof(*bufs));
	int fd = open(path, O_RDONLY);

	CHECK(!IS_ERR(blocks) && fd >= 0);
	CHECK(read(fd, want, inode->size + 1) == (ssize_t)inode->size);
	for (size_t i = 0; i < pages; i++)
		bufs[i] = got + i * 4096;
	/* In pieces of changing size, so that borders of blocks are crossed in every way. */
	for (size_t at = 0, step = 1; at < pages; at += step, step = step * 2 % 61 + 1) {
		size_t n = step < pages - at ? step : pages - at;

		memset(got + at * 4096, 0xee, n * 4096);
		CHECK_EQ(sqfs_read(&fs, inode, blocks, at * 4096, bufs + at, n), 0);
	}
	if (memcmp(want, got, pages * 4096)) {
		printf("not ok: %s differs\n", path);
		exit(1);
	}
	close(fd);
	free(blocks);
	free(bufs);
	free(want);
	free(got);
}

struct counter {
	unsigned n, stop_after;
};

static bool count_emit(void *arg, const char *name, size_t len, uint64_t ref, uint32_t number, unsigned type,
		       uint64_t next)
{
	struct counter *c = arg;

	if (c->n == c->stop_after)
		return false;
	c->n++;
	return true;
}

static void tree_compare(const char *path, const struct sqfs_inode *inode)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned entries = 0;
	struct counter c = { 0, 0 };
	uint64_t pos = 0, ref;

	CHECK(d);
	while ((e = readdir(d))) {
		char child[PATH_MAX * 2], target[PATH_MAX], want[PATH_MAX];
		struct sqfs_inode in;
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		entries++;
		snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		CHECK(!lstat(child, &st));
		CHECK_EQ(sqfs_lookup(&fs, inode, e->d_name, strlen(e->d_name), &ref), 0);
		CHECK_EQ(sqfs_inode_read(&fs, ref, &in), 0);
		CHECK_EQ(in.mode, st.st_mode);
		CHECK_EQ(in.uid, st.st_uid);
		CHECK_EQ(in.mtime, st.st_mtime);
		if (S_ISREG(st.st_mode)) {
			CHECK_EQ(in.size, st.st_size);
			CHECK_EQ(in.nlink, st.st_nlink);
			file_compare(child, &in);
		} else if (S_ISDIR(st.st_mode)) {
			tree_compare(child, &in);
		} else if (S_ISLNK(st.st_mode)) {
			ssize_t n = readlink(child, want, sizeof(want));

			CHECK_EQ(sqfs_readlink(&fs, &in, target, sizeof(target)), n);
			CHECK(!memcmp(want, target, n));
		}
	}
	closedir(d);
	CHECK_EQ(sqfs_lookup(&fs, inode, "no-such-name", 12, &ref), -ENOENT);
	CHECK_EQ(sqfs_lookup(&fs, inode, "\1", 1, &ref), -ENOENT);
	for (c.stop_after = 7; c.stop_after; c.stop_after += 7) { /* listing in pieces */
		unsigned before = c.n;

		CHECK_EQ(sqfs_readdir(&fs, inode, &pos, count_emit, &c), 0);
		if (c.n == before)
			break;
	}
	CHECK_EQ(c.n, entries);
}

/*
 * With -always-use-fragments, mksquashfs 4.5.1 writes one image in twenty whose data unsquashfs cannot unpack either.
 * Such an image is made again: what this test compares with must be right.
 */
static void image_make(const char *options)
{
	shell("for try in 1 2 3 4 5; do mksquashfs %s/tree %s/img -quiet -no-progress -noappend %s > /dev/null || exit 1; "
	      "case '%s' in *always-use-fragments*) ;; *) exit 0 ;; esac; rm -rf %s/unpacked; "
	      "unsquashfs -d %s/unpacked -n -q %s/img > /dev/null 2>&1 && exit 0; done; exit 1",
	      dir, dir, options, options, dir, dir, dir);
}

static void image_check(const char *options)
{
	struct memory m = { .source = { .read = memory_read, .name = "test" } };
	struct sqfs_inode root;
	char path[PATH_MAX + 10];
	struct stat st;
	int fd;

	image_make(options);
	snprintf(path, sizeof(path), "%s/img", dir);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && !fstat(fd, &st));
	m.data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	m.source.length = st.st_size;
	CHECK_EQ(sqfs_open(&fs, &m.source), 0);
	CHECK_EQ(sqfs_inode_read(&fs, fs.root_ref, &root), 0);
	snprintf(path, sizeof(path), "%s/tree", dir);
	tree_compare(path, &root);
	sqfs_close(&fs);
	munmap(m.data, st.st_size);
	close(fd);
	printf("ok image with %s\n", *options ? options : "defaults");
}

static void failing_allocations(void)
{
	struct memory m = { .source = { .read = memory_read, .name = "test" } };
	struct sqfs_inode root, in;
	struct stat st;
	char path[PATH_MAX + 10];
	bool done = false, read_failed = false;
	int fd;

	snprintf(path, sizeof(path), "%s/img", dir);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && !fstat(fd, &st));
	m.data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	m.source.length = st.st_size;
	/* Until there is enough for all of it: opening it alone takes more than forty allocations. */
	for (long after = 0; !done; after++) {
		uint64_t ref;
		char page[4096];
		void *buf = page;
		struct sqfs_blocks *b = NULL;
		int r;

		shim_fail_after = after;
		r = sqfs_open(&fs, &m.source);
		if (!r)
			r = sqfs_inode_read(&fs, fs.root_ref, &root);
		if (!r)
			r = sqfs_lookup(&fs, &root, "f4097-1", 7, &ref);
		if (!r)
			r = sqfs_inode_read(&fs, ref, &in);
		if (!r) {
			b = sqfs_blocks_load(&fs, &in);
			r = IS_ERR(b) ? PTR_ERR(b) : 0;
		}
		if (!r)
			r = sqfs_read(&fs, &in, b, 4096, &buf, 1);
		CHECK(r == 0 || r == -ENOMEM);
		CHECK(after < 10000);
		read_failed |= r && b && !IS_ERR(b);
		done = !r;
		if (b && !IS_ERR(b))
			free(b);
		shim_fail_after = -1;
		sqfs_close(&fs);
	}
	CHECK(read_failed);
	munmap(m.data, st.st_size);
	close(fd);
}

int main(void)
{
	static const char *const options[] = {
		"", "-b 4K", "-b 1M", "-noI -noD -noF -noX -no-exports", "-noI -noD -noF -noX -b 1M",
		"-no-fragments", "-b 4K -no-fragments -noD", "-always-use-fragments -b 64K", "-all-root -noI",
	};

	srand(1);
	tree_make();
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		image_check(options[i]);
	image_make("");
	TEST(failing_allocations);
	shell("rm -rf %s", dir);
	return 0;
}
