/*
 * kernel/fs/genfs.h - file systems whose content is generated: /proc and /sys.
 *
 * Theory:    A tree is described by tables of entries. A directory may also have children that come and
 *            go (processes, descriptors, CPUs); each is an entry plus a reference that says which one.
 *            A file's text is made when it is read from its beginning and kept in the open file.
 * Locking:   show(), store() and the rest are called without locks and may sleep.
 * Errors:    -errno from the functions of an entry.
 */
#ifndef IBRIK_FS_GENFS_H
#define IBRIK_FS_GENFS_H

#include "fs/inode.h"

struct text { /* grows; `failed` when memory was short */
	char *buf;
	size_t len, size;
	bool failed;
};
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add(struct text *t, const char *data, size_t len);
void text_free(struct text *t);

struct gen_ref { /* which one of many */
	int pid, tid, index;
};

struct gen_entry {
	const char *name;                /* NULL ends a table */
	uint32_t mode;
	const struct gen_entry *children;
	int (*show)(struct text *t, const struct gen_ref *ref);
	ssize_t (*store)(const struct gen_ref *ref, char *text, size_t len); /* text ends with NUL */
	ssize_t (*readlink)(const struct gen_ref *ref, char *buf, size_t size);
	struct dentry *(*follow)(const struct gen_ref *ref); /* referenced, encoded error */
	/* Children that come and go. `next` gives the first with a number above `after`: its number and
	 * name, or -1. `find` turns a name into a reference. Both answer the child's entry. */
	const struct gen_entry *(*next)(const struct gen_ref *dir, int after, int *number, char name[32]);
	const struct gen_entry *(*find)(const struct gen_ref *dir, const char *name, struct gen_ref *ref);
};

struct superblock *genfs_new(const char *type, const char *source, uint64_t magic,
			     const struct gen_entry *root);
/* A decimal number without sign or leading zeros, or -1. */
int gen_number(const char *name);

#define GEN_DIR(n, c) { .name = n, .mode = S_IFDIR | 0555, .children = c }
#define GEN_FILE(n, s) { .name = n, .mode = S_IFREG | 0444, .show = s }
#define GEN_FILE_RW(n, s, w) { .name = n, .mode = S_IFREG | 0644, .show = s, .store = w }
#define GEN_END { .name = NULL }

#endif
