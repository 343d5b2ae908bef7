/*
 * kernel/fs/procfs.c - /proc: mounting, mounts, and the root of the tree.
 *
 * Interface: procfs_new().
 */
#include "fs/procfs.h"
#include "lib/string.h"
#include <linux/magic.h>

/* Text of a field, with blanks as \040. */
static void field_add(struct text *t, const char *s)
{
	for (; *s; s++) {
		if (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\\')
			text_printf(t, "\\%03o", *s);
		else
			text_add(t, s, 1);
	}
}

static void mount_point(struct text *t, struct superblock *sb)
{
	char *path = kmalloc(PATH_MAX);

	if (path && dentry_path(sb->root, path, PATH_MAX) > 0)
		field_add(t, path);
	kfree(path);
}

static const char *mount_options(const struct superblock *sb)
{
	return (sb->flags & SB_RDONLY) ? "ro,relatime" : "rw,relatime";
}

int proc_mounts_show(struct text *t, const struct gen_ref *ref)
{
	struct superblock *sb;

	list_for_each(sb, &superblocks, link) {
		field_add(t, sb->source);
		text_add(t, " ", 1);
		mount_point(t, sb);
		text_printf(t, " %s %s%s 0 0\n", sb->type, mount_options(sb), sb->options);
	}
	return 0;
}

int proc_mountinfo_show(struct text *t, const struct gen_ref *ref)
{
	struct superblock *sb;

	list_for_each(sb, &superblocks, link) {
		unsigned parent = sb->root->covers ? sb->root->covers->sb->dev : 0;

		text_printf(t, "%u %u 0:%u / ", 20 + sb->dev, 20 + parent, sb->dev);
		mount_point(t, sb);
		text_printf(t, " %s - %s ", mount_options(sb), sb->type);
		field_add(t, sb->source);
		text_printf(t, " %s%s\n", (sb->flags & SB_RDONLY) ? "ro" : "rw", sb->options);
	}
	return 0;
}

static const struct gen_entry root_entry = {
	.name = "/", .mode = S_IFDIR | 0555, .children = proc_system_files, .next = proc_pid_next,
	.find = proc_pid_find,
};

struct superblock *procfs_new(void)
{
	return genfs_new("proc", "proc", PROC_SUPER_MAGIC, &root_entry);
}
