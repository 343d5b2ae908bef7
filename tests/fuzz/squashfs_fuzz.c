/*
 * tests/fuzz/squashfs_fuzz.c - the squashfs reader on any bytes: walks the tree, reads files.
 */
// sources: tests/unit/shim/shim.c kernel/fs/squashfs.c kernel/fs/squashfs_data.c kernel/lib/inflate.c
// flags: -Itests/unit/shim -include sys/stat.h -lz
#include "shim.h"
#include "fs/squashfs.h"
#include <string.h>
#include <sys/stat.h>
#include "tests/unit/fs_memory.h"

struct walk {
	struct sqfs *fs;
	const struct sqfs_inode *dir;
	unsigned depth, *budget;
};

static void inode_visit(struct sqfs *fs, const struct sqfs_inode *in, unsigned depth, unsigned *budget);

static bool entry_visit(void *arg, const char *name, size_t len, uint64_t ref, uint32_t number, unsigned type,
			uint64_t next)
{
	struct walk *w = arg;
	struct sqfs_inode in;
	uint64_t found;

	if (!*w->budget)
		return false;
	--*w->budget;
	sqfs_lookup(w->fs, w->dir, name, len, &found);
	if (!sqfs_inode_read(w->fs, ref, &in))
		inode_visit(w->fs, &in, w->depth + 1, w->budget);
	return true;
}

static void file_visit(struct sqfs *fs, const struct sqfs_inode *in)
{
	static char pages[4][4096];
	void *bufs[4] = { pages[0], pages[1], pages[2], pages[3] };
	struct sqfs_blocks *b = sqfs_blocks_load(fs, in);
	uint64_t last = in->size / 4096 * 4096;

	if (IS_ERR(b))
		return;
	sqfs_read(fs, in, b, 0, bufs, 4);
	sqfs_read(fs, in, b, last, bufs, 2);
	sqfs_is_stored(fs, b, last);
	if (last > 65536)
		sqfs_read(fs, in, b, last - 65536, bufs, 4);
	free(b);
}

static void inode_visit(struct sqfs *fs, const struct sqfs_inode *in, unsigned depth, unsigned *budget)
{
	char target[256];
	struct walk w = { fs, in, depth, budget };
	uint64_t pos = 0;

	if (S_ISREG(in->mode))
		file_visit(fs, in);
	else if (S_ISLNK(in->mode))
		sqfs_readlink(fs, in, target, sizeof(target));
	else if (S_ISDIR(in->mode) && depth < 8)
		sqfs_readdir(fs, in, &pos, entry_visit, &w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = { .source = { .read = memory_read, .length = size, .name = "fuzz" }, .data = (char *)data };
	struct sqfs_inode root;
	unsigned budget = 200;
	struct sqfs fs;

	shim_quiet = 1;
	if (!sqfs_open(&fs, &m.source) && !sqfs_inode_read(&fs, fs.root_ref, &root))
		inode_visit(&fs, &root, 0, &budget);
	sqfs_close(&fs);
	return 0;
}
