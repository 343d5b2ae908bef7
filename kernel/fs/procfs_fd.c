/*
 * kernel/fs/procfs_fd.c - /proc/PID/exe, cwd, root, fd and fdinfo: what a process has open.
 *
 * Theory:    A link has a text for readlink(), and a place in the tree where opening it leads: the text
 *            need not be a path, since a pipe has none and a file may have been removed. The files are
 *            those of the process, so what is below task/TID looks at the thread's number nowhere.
 * Interface: the functions of procfs.h, for the tables in procfs_pid.c.
 * Locking:   process_list_lock, under which a process that ends lets go of what it has, while that is referenced; fs->lock inside it
 *            for the working directory. A descriptor is looked up anew at each step and its file referenced, so
 *            it may go between find and show, but not under show.
 * Errors:    -ENOENT (the process or the descriptor is not there, or no longer), -ENOMEM.
 */
#include "fs/procfs.h"
#include "lib/string.h"
#include "linux/process.h"

/* Copies as much of a text of n bytes as there is room for, or passes the error on that n is; frees the text. */
static ssize_t text_copy(char *text, ssize_t n, char *buf, size_t size)
{
	if (n > 0) {
		n = (ssize_t)MIN((size_t)n, size);
		memcpy(buf, text, (size_t)n);
	}
	kfree(text);
	return n;
}

/* Copies the path of a dentry, or passes its error on; takes the reference. */
static ssize_t path_put(struct dentry *d, char *buf, size_t size)
{
	char *text;
	ssize_t n;

	if (IS_ERR(d))
		return PTR_ERR(d);
	text = kmalloc(PATH_MAX);
	n = text ? dentry_path(d, text, PATH_MAX) : -ENOMEM;
	dentry_put(d);
	return text_copy(text, n, buf, size);
}

struct dentry *proc_exe_follow(const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);
	struct dentry *d = ERR_PTR(-ENOENT);

	if (!p)
		return d;
	mutex_lock(&process_list_lock);
	if (p->mm && p->mm->exe_file && p->mm->exe_file->dentry) {
		d = p->mm->exe_file->dentry;
		dentry_get(d);
	}
	mutex_unlock(&process_list_lock);
	process_put(p);
	return d;
}

ssize_t proc_exe_readlink(const struct gen_ref *ref, char *buf, size_t size)
{
	return path_put(proc_exe_follow(ref), buf, size);
}

struct dentry *proc_cwd_follow(const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);
	struct dentry *d = ERR_PTR(-ENOENT);

	if (!p)
		return d;
	mutex_lock(&process_list_lock);
	if (p->fs) {
		mutex_lock(&p->fs->lock);
		d = p->fs->cwd;
		dentry_get(d);
		mutex_unlock(&p->fs->lock);
	}
	mutex_unlock(&process_list_lock);
	process_put(p);
	return d;
}

ssize_t proc_cwd_readlink(const struct gen_ref *ref, char *buf, size_t size)
{
	return path_put(proc_cwd_follow(ref), buf, size);
}

struct dentry *proc_root_follow(const struct gen_ref *ref)
{
	dentry_get(root_dentry);
	return root_dentry;
}

ssize_t proc_root_readlink(const struct gen_ref *ref, char *buf, size_t size)
{
	buf[0] = '/';
	return 1;
}

/* The descriptors of a process, referenced, or NULL. */
static struct fd_table *table_of(int pid)
{
	struct process *p = process_find(pid);
	struct fd_table *t;

	if (!p)
		return NULL;
	mutex_lock(&process_list_lock);
	t = p->fds;
	if (t)
		fd_table_get(t);
	mutex_unlock(&process_list_lock);
	process_put(p);
	return t;
}

/* The file of a reference's descriptor, referenced, or NULL. */
static struct file *ref_file(const struct gen_ref *ref)
{
	struct fd_table *t = table_of(ref->pid);
	struct file *f = t ? fd_table_file(t, ref->index) : NULL;

	if (t)
		fd_table_put(t);
	return f;
}

static struct dentry *fd_follow(const struct gen_ref *ref)
{
	struct file *f = ref_file(ref);
	struct dentry *d;

	if (!f)
		return ERR_PTR(-ENOENT);
	if (f->dentry) {
		d = f->dentry;
		dentry_get(d);
	} else { /* a pipe or the like: a place in the tree that nobody else has */
		inode_get(f->inode);
		d = dentry_new_root(f->inode->sb, f->inode);
		if (IS_ERR(d))
			inode_put(f->inode);
	}
	file_put(f);
	return d;
}

static ssize_t fd_readlink(const struct gen_ref *ref, char *buf, size_t size)
{
	struct file *f = ref_file(ref);
	char *text;
	ssize_t n;

	if (!f)
		return -ENOENT;
	text = kmalloc(PATH_MAX);
	n = text ? file_path(f, text, PATH_MAX) : -ENOMEM;
	file_put(f);
	return text_copy(text, n, buf, size);
}

static int fdinfo_show(struct text *t, const struct gen_ref *ref)
{
	struct file *f = ref_file(ref);
	char *more;
	int n;

	if (!f)
		return -ENOENT;
	text_printf(t, "pos:\t%lu\nflags:\t0%o\nmnt_id:\t%u\nino:\t%lu\n", (unsigned long)f->pos,
		    atomic_load(&f->flags), f->inode->sb->dev, (unsigned long)f->inode->ino);
	more = f->ops->show_fdinfo ? kmalloc(PAGE_SIZE) : NULL;
	if (more) {
		n = f->ops->show_fdinfo(f, more, PAGE_SIZE);
		if (n > 0)
			text_add(t, more, MIN((size_t)n, PAGE_SIZE));
		kfree(more);
	}
	file_put(f);
	return 0;
}

static const struct gen_entry fd_entry = {
	.name = "", .mode = S_IFLNK | 0700, .readlink = fd_readlink, .follow = fd_follow,
};
static const struct gen_entry fdinfo_entry = { .name = "", .mode = S_IFREG | 0444, .show = fdinfo_show };

static bool fd_number_next(const struct gen_ref *dir, int after, int *number, char name[32])
{
	struct fd_table *t = table_of(dir->pid);

	if (!t)
		return false;
	*number = fd_table_next(t, after + 1);
	fd_table_put(t);
	snprintf(name, 32, "%d", *number);
	return *number >= 0;
}

const struct gen_entry *proc_fd_next(const struct gen_ref *dir, int after, int *number, char name[32])
{
	return fd_number_next(dir, after, number, name) ? &fd_entry : NULL;
}

const struct gen_entry *proc_fdinfo_next(const struct gen_ref *dir, int after, int *number, char name[32])
{
	return fd_number_next(dir, after, number, name) ? &fdinfo_entry : NULL;
}

static bool fd_number_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref)
{
	struct file *f;

	*ref = *dir;
	ref->index = gen_number(name);
	f = ref->index >= 0 ? ref_file(ref) : NULL;
	if (f)
		file_put(f);
	return f != NULL;
}

const struct gen_entry *proc_fd_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref)
{
	return fd_number_find(dir, name, ref) ? &fd_entry : NULL;
}

const struct gen_entry *proc_fdinfo_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref)
{
	return fd_number_find(dir, name, ref) ? &fdinfo_entry : NULL;
}
