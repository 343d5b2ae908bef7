/*
 * kernel/fs/init.c - boot: from the disks to a tree of files.
 *
 * Theory:    Layers mounted at "/" are merged, those of a higher priority above; every other layer is a
 *            read-only volume over its path. Above the root lies memory. Then come /dev, /proc, /sys and
 *            the directories that programs expect.
 * Interface: fs_init().
 * Errors:    what makes the image unusable ends the machine with one line.
 */
#include "fs/container.h"
#include "fs/inode.h"
#include "fs/readahead.h"
#include "core/boot.h"
#include "core/log.h"
#include "lib/string.h"
#include "linux/process.h"

/*
 * All metadata is checked here: a damaged directory shall not look like a missing file later. It is a few hundred KiB
 * behind the data of the files, which are checked as they are read.
 */
static struct sqfs *layer_open(struct section *s)
{
	struct sqfs *fs = kmalloc(sizeof(*fs));
	int r = fs ? sqfs_open(fs, &s->source) : -ENOMEM;

	if (!r)
		r = section_verify(s, fs->inode_table, fs->bytes_used - fs->inode_table);
	if (r)
		section_fail(s, r);
	s->mounted = true;
	return fs;
}

static void check(int r, const char *what)
{
	if (r)
		machine_fail(125, "cannot set up %s (error %d)", what, -r);
}

/* Layers in order of falling priority; the list is short, so going through it again is fine. */
static void root_mount(void)
{
	struct superblock *root = overlay_new("overlay", "overlay", 0);
	struct section *done = NULL;
	unsigned n = 0;

	if (!root)
		machine_fail(125, "too little memory for the image");
	for (;;) {
		struct section *last = NULL;

		for (struct section *s = sections_first(); s != done; s = s->next)
			if (s->info.type == IBRIK_LAYER && !(s->info.flags & IBRIK_LAYER_VOLUME))
				last = s;
		if (!last)
			break;
		check(overlay_add_layer(root, layer_open(last)), "the root file system");
		done = last;
		n++;
	}
	if (!n)
		machine_fail(125, "the image has no file system");
	check(overlay_finish(root), "the root file system");
	check(mount_at(root, "/"), "the root file system");
}

static void volumes_mount(void)
{
	for (struct section *s = sections_first(); s; s = s->next) {
		struct superblock *sb;

		if (s->info.type != IBRIK_LAYER || !(s->info.flags & IBRIK_LAYER_VOLUME))
			continue;
		sb = overlay_new("squashfs", s->info.name, SB_RDONLY);
		if (!sb)
			machine_fail(125, "too little memory for the image");
		check(overlay_add_layer(sb, layer_open(s)), s->info.mount);
		check(overlay_finish(sb), s->info.mount);
		if (mount_at(sb, s->info.mount))
			machine_fail(125, "cannot mount the volume over %s: it is not a directory",
				     s->info.mount);
	}
}

static void tmpfs_mount(const char *path, const char *source)
{
	struct superblock *sb = overlay_new("tmpfs", source, 0);

	check(sb ? overlay_finish(sb) : -ENOMEM, path);
	check(mount_at(sb, path), path);
}

static void directory(const char *path, unsigned mode)
{
	int r = path_create(root_dentry, path, S_IFDIR | mode, 0, NULL);

	if (r && r != -EEXIST)
		check(r, path);
}

void fs_init(void)
{
	static const char *const plain[] = { "/dev", "/proc", "/sys", "/run", "/var", "/etc", "/root" };
	struct superblock *sb;

	containers_find();
	boot_mark("containers");
	tmpfs_set_max();
	root_mount();
	boot_mark("root");
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		directory(plain[i], 0755);
	directory("/tmp", 01777);
	directory("/var/tmp", 01777);
	tmpfs_mount("/dev", "devtmpfs");
	check(devfs_populate(), "/dev");
	tmpfs_mount("/dev/shm", "tmpfs");
	sb = procfs_new();
	check(sb ? mount_at(sb, "/proc") : -ENOMEM, "/proc");
	sb = sysfs_new();
	check(sb ? mount_at(sb, "/sys") : -ENOMEM, "/sys");
	volumes_mount();
	readahead_start();
	boot_mark("file systems");
}
