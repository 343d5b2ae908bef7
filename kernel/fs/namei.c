/*
 * kernel/fs/namei.c - from a path to a dentry, and the changes of directories.
 *
 * Theory:    A walk keeps the current dentry (referenced) and the text still to be resolved. A symbolic
 *            link replaces that text by its target followed by the rest, so no recursion is needed; at
 *            most SYMLINKS_MAX links are followed.
 * Interface: path_*() in inode.h. Paths are kernel strings of at most PATH_MAX - 1 bytes.
 * Locking:   none on entry. A change takes the superblock's lock, looks the names up again under it and
 *            then acts, so it cannot fail half way. It tells inotify before it lets the lock go: events of one directory come in
 *            the order of its changes.
 * Errors:    as Linux: ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EXDEV, EROFS, EBUSY (mount points) ...
 */
#include "fs/inode.h"
#include "core/log.h"
#include "lib/string.h"
#include "linux/process.h"
#include <linux/fs.h>
#include <linux/inotify.h>
#include <linux/magic.h>

struct walk {
	struct dentry *cur;   /* referenced */
	const char *rest;     /* text still to be resolved */
	char *text;           /* allocated text that rest points into, or NULL */
	unsigned links;
};

static void walk_end(struct walk *w)
{
	kfree(w->text);
	w->text = NULL;
	dentry_put(w->cur);
	w->cur = NULL;
}

static void walk_to(struct walk *w, struct dentry *d) /* takes the reference */
{
	dentry_put(w->cur);
	w->cur = d;
}

static int walk_start(struct walk *w, struct dentry *base, const char *path)
{
	w->rest = path;
	w->text = NULL;
	w->links = 0;
	if (*path == '/') {
		w->cur = root_dentry;
		dentry_get(w->cur);
	} else if (base) {
		w->cur = base;
		dentry_get(base);
	} else {
		w->cur = cwd_get();
	}
	return 0;
}

/* The target of a link, allocated, with room for `more` bytes and a NUL behind its *len; or an encoded error. */
static char *target_read(struct inode *inode, size_t more, size_t *len)
{
	char *text = kmalloc(PATH_MAX), *longer = NULL;
	ssize_t n = text ? inode->ops->readlink(inode, text, PATH_MAX) : -ENOMEM;

	if (n == 0)
		n = -ENOENT;
	else if (n >= PATH_MAX)
		n = -ENAMETOOLONG;
	/* What a target and the rest behind it make together has no limit but that of the links. */
	if (n > 0 && (size_t)n + more >= PATH_MAX) {
		longer = kmalloc((size_t)n + more + 1);
		if (longer)
			memcpy(longer, text, (size_t)n);
		else
			n = -ENOMEM;
	}
	if (n < 0 || longer)
		kfree(text);
	if (n < 0)
		return ERR_PTR(n);
	*len = (size_t)n;
	return longer ? longer : text;
}

/* Puts the target of the link `d` in front of the rest; the walk stands in the link's directory. */
static int walk_link(struct walk *w, struct dentry *d)
{
	struct inode *inode = dentry_inode(d);
	size_t rest = strlen(w->rest), n = 0;
	char *text;

	if (++w->links > SYMLINKS_MAX)
		return -ELOOP;
	if (inode->ops->follow) {
		struct dentry *to = inode->ops->follow(inode);

		if (IS_ERR(to))
			return PTR_ERR(to);
		walk_to(w, to);
		return 0;
	}
	if (!inode->ops->readlink)
		return -EINVAL;
	text = target_read(inode, rest + 1, &n);
	if (IS_ERR(text))
		return PTR_ERR(text);
	if (rest) {
		text[n] = '/';
		memcpy(text + n + 1, w->rest, rest + 1);
	} else {
		text[n] = 0;
	}
	kfree(w->text);
	w->text = text;
	w->rest = text;
	if (*text == '/') {
		dentry_get(root_dentry);
		walk_to(w, root_dentry);
	}
	return 0;
}

static struct dentry *cross_mounts(struct dentry *d)
{
	while (unlikely(d->mounted != NULL)) {
		struct dentry *top = d->mounted;

		dentry_get(top);
		dentry_put(d);
		d = top;
	}
	return d;
}

/*
 * Resolves components. With `last` the final one is not looked up but handed out, and the walk stands
 * in its directory; *last_len is 0 if the text had no final component ("/" or a magic link).
 */
static int walk_run(struct walk *w, unsigned flags, const char **last, size_t *last_len)
{
	for (;;) {
		struct dentry *d;
		const char *name;
		size_t len;
		bool final, slash;
		int r;

		while (*w->rest == '/')
			w->rest++;
		if (!*w->rest) {
			if (last)
				*last_len = 0;
			/* slashes behind a symbolic link that was followed */
			if ((flags & LOOKUP_DIRECTORY) && !inode_is_dir(dentry_inode(w->cur)))
				return -ENOTDIR;
			return 0;
		}
		name = w->rest;
		while (*w->rest && *w->rest != '/')
			w->rest++;
		len = w->rest - name;
		slash = *w->rest == '/';
		while (*w->rest == '/')
			w->rest++;
		final = !*w->rest;
		if (!dentry_inode(w->cur))
			return -ENOENT;
		if (!inode_is_dir(dentry_inode(w->cur)))
			return -ENOTDIR;
		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		if (final && last) {
			*last = name;
			*last_len = len;
			return 0;
		}
		if (len == 1 && name[0] == '.')
			continue;
		if (len == 2 && name[0] == '.' && name[1] == '.') {
			walk_to(w, dentry_parent_get(w->cur));
			continue;
		}
		d = dentry_lookup(w->cur, name, len);
		if (IS_ERR(d))
			return PTR_ERR(d);
		d = cross_mounts(d);
		if (!dentry_inode(d)) {
			dentry_put(d);
			return -ENOENT;
		}
		if (S_ISLNK(inode_type(dentry_inode(d))) &&
		    (!final || slash || (flags & LOOKUP_FOLLOW))) {
			r = walk_link(w, d);
			dentry_put(d);
			if (r)
				return r;
			if (slash && final)
				flags |= LOOKUP_DIRECTORY | LOOKUP_FOLLOW;
			continue;
		}
		walk_to(w, d);
		if ((slash && final) && !inode_is_dir(dentry_inode(d)))
			return -ENOTDIR;
	}
}

struct dentry *path_lookup(struct dentry *base, const char *path, unsigned flags)
{
	struct walk w;
	struct dentry *d;
	int r;

	if (!*path && !(flags & LOOKUP_EMPTY))
		return ERR_PTR(-ENOENT);
	walk_start(&w, base, path);
	r = walk_run(&w, flags, NULL, NULL);
	if (!r && (flags & LOOKUP_DIRECTORY) && !inode_is_dir(dentry_inode(w.cur)))
		r = -ENOTDIR;
	d = w.cur;
	dentry_get(d);
	walk_end(&w);
	if (r) {
		dentry_put(d);
		return ERR_PTR(r);
	}
	return d;
}

struct dentry *path_parent(struct dentry *base, const char *path, char *last, bool *trailing)
{
	struct walk w;
	struct dentry *d;
	const char *name = NULL;
	size_t len = 0;
	int r;

	if (!*path)
		return ERR_PTR(-ENOENT);
	walk_start(&w, base, path);
	r = walk_run(&w, 0, &name, &len);
	if (!r && (!len || (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.')))
		r = -EEXIST;
	if (!r) {
		memcpy(last, name, len);
		last[len] = 0;
		*trailing = name[len] == '/';
	} else if (len <= 2) {
		memcpy(last, name ? name : "", len); /* for callers that tell "." from ".." */
		last[len] = 0;
	}
	d = w.cur;
	dentry_get(d);
	walk_end(&w);
	if (r) {
		dentry_put(d);
		return ERR_PTR(r);
	}
	return d;
}

int path_base(int dirfd, const char *path, struct dentry **out)
{
	struct file *f;

	*out = NULL;
	if (*path == '/' || dirfd == AT_FDCWD)
		return 0;
	f = fd_get(dirfd);
	if (!f)
		return -EBADF;
	if (!f->dentry || (*path && !inode_is_dir(f->inode))) {
		file_put(f);
		return -ENOTDIR;
	}
	*out = f->dentry;
	dentry_get(f->dentry);
	file_put(f);
	return 0;
}

/* --- open -------------------------------------------------------------------------------------- */

/* One that was opened with O_PATH was not opened by its file system: it has no state that an operation could work on. */
static const struct file_ops path_only_ops;

struct file *dentry_open(struct dentry *d, int flags)
{
	struct inode *inode = dentry_inode(d);
	uint32_t type = inode_type(inode);
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	struct file *f;
	int r = 0;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & O_DIRECTORY) && !S_ISDIR(type))
		return ERR_PTR(-ENOTDIR);
	if (!(flags & O_PATH)) {
		if (S_ISLNK(type))
			return ERR_PTR(-ELOOP);
		if (S_ISDIR(type) && (writes || (flags & (O_CREAT | O_TRUNC))))
			return ERR_PTR(-EISDIR);
		if ((writes || (flags & O_TRUNC)) && S_ISREG(type)) {
			if (inode->sb->flags & SB_RDONLY)
				return ERR_PTR(-EROFS);
			r = (flags & O_TRUNC) ? 0 : inode_prepare_write(inode, UINT64_MAX);
			if (r)
				return ERR_PTR(r);
		}
		if (S_ISSOCK(type))
			return ERR_PTR(-ENXIO);
	}
	f = file_new((flags & O_PATH) ? &path_only_ops : inode->fops, inode,
		     flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC), NULL);
	if (!f)
		return ERR_PTR(-ENOMEM);
	dentry_get(d);
	f->dentry = d;
	atomic_fetch_add(&inode->opens, 1);
	if (!(flags & O_PATH)) {
		if (inode->ops->open)
			r = inode->ops->open(inode, f);
		if (r)
			f->flags |= O_PATH; /* what was refused has no state that a release could work on */
		else if ((flags & O_TRUNC) && S_ISREG(type))
			r = inode_truncate(inode, 0);
		if (r) {
			file_put(f);
			return ERR_PTR(r);
		}
		notify_change(d, IN_OPEN);
		if ((flags & O_TRUNC) && S_ISREG(type))
			notify_change(d, IN_MODIFY);
	}
	return f;
}

/* What Linux says to a new name in /proc, and in /sys. */
static int no_create(const struct superblock *sb)
{
	return sb->magic == PROC_SUPER_MAGIC ? -ENOENT : -EACCES;
}

/* The last component of an open with O_CREAT: made if it is not there. *link receives a symbolic link
 * that must be followed. */
static struct file *open_last(struct dentry *dir, const char *name, size_t len, int flags, unsigned mode,
			      struct dentry **link)
{
	struct superblock *sb = dir->sb;
	struct inode *inode;
	struct dentry *d;
	struct file *f;
	bool created = false;
	int r = 0;

	d = dentry_lookup(dir, name, len);
	if (IS_ERR(d))
		return (struct file *)d;
	if (!dentry_inode(d)) {
		mutex_lock(&sb->lock);
		dentry_put(d);
		d = dentry_lookup_locked(dir, name, len);
		if (!IS_ERR(d) && !dentry_inode(d)) {
			struct inode *parent = dentry_inode(dir);

			if (dir->deleted)
				r = -ENOENT;
			else if (sb->flags & SB_RDONLY)
				r = -EROFS;
			else if (!parent->ops->create)
				r = no_create(sb);
			if (!r) {
				inode = parent->ops->create(parent, name, len,
							    S_IFREG | (mode & 07777), 0, NULL);
				if (IS_ERR(inode))
					r = PTR_ERR(inode);
				else
					dentry_instantiate(d, inode);
				created = !r;
			}
		}
		if (created)
			notify_change(d, IN_CREATE);
		mutex_unlock(&sb->lock);
		if (IS_ERR(d))
			return (struct file *)d;
		if (r) {
			dentry_put(d);
			return ERR_PTR(r);
		}
	}
	d = cross_mounts(d);
	if (created) {
		flags &= ~O_TRUNC;
	} else if (flags & O_EXCL) {
		dentry_put(d);
		return ERR_PTR(-EEXIST);
	} else if (S_ISLNK(inode_type(dentry_inode(d))) && !(flags & O_NOFOLLOW)) {
		*link = d;
		return NULL;
	}
	f = dentry_open(d, flags);
	dentry_put(d);
	return f;
}

struct file *path_open(struct dentry *base, const char *path, int flags, unsigned mode)
{
	struct walk w;
	const char *name;
	size_t len;
	struct file *f;
	int r;

	if (!*path)
		return ERR_PTR(-ENOENT);
	walk_start(&w, base, path);
	if (!(flags & O_CREAT)) {
		r = walk_run(&w, (flags & O_NOFOLLOW) ? 0 : LOOKUP_FOLLOW, NULL, NULL);
		f = r ? ERR_PTR(r) : NULL;
	} else {
		for (f = NULL; !f;) {
			struct dentry *link = NULL;

			r = walk_run(&w, 0, &name, &len);
			if (r) {
				f = ERR_PTR(r);
				break;
			}
			if (!len) { /* "/" or a magic link: what the walk stands on */
				f = (flags & O_EXCL) ? ERR_PTR(-EEXIST) : NULL;
				break;
			}
			if (name[len] == '/') {
				f = ERR_PTR(-EISDIR);
				break;
			}
			if (len <= 2 && name[0] == '.' && name[len - 1] == '.') {
				f = ERR_PTR((flags & O_EXCL) ? -EEXIST : -EISDIR);
				break;
			}
			f = open_last(w.cur, name, len, flags, mode, &link);
			if (link) {
				w.rest = "";
				r = walk_link(&w, link);
				dentry_put(link);
				if (r)
					f = ERR_PTR(r);
			}
		}
	}
	if (!f)
		f = dentry_open(w.cur, flags);
	walk_end(&w);
	return f;
}

/* --- changes of directories ------------------------------------------------------------------------ */

static int may_change(struct dentry *dir)
{
	if (dir->sb->flags & SB_RDONLY)
		return -EROFS;
	if (dir->deleted)
		return -ENOENT;
	return 0;
}

/* A name that is to come or to go. Its folder's lock is held from entry_find() to entry_unlock(), if there is a folder. */
struct entry {
	struct dentry *dir, *d;
	char *name;    /* its last part, in a buffer of its own */
	bool trailing; /* a slash follows */
};

/* 0 or -errno; in any case entry_unlock() and entry_end() follow. -EEXIST: the name ends in one that cannot change ("", "." or ".."). */
static int entry_find(struct entry *e, struct dentry *base, const char *path)
{
	struct dentry *found;

	*e = (struct entry){ .name = kmalloc(NAME_MAX + 1) };
	if (!e->name)
		return -ENOMEM;
	e->name[0] = 0;
	found = path_parent(base, path, e->name, &e->trailing);
	if (IS_ERR(found))
		return PTR_ERR(found);
	e->dir = found;
	mutex_lock(&e->dir->sb->lock);
	found = dentry_lookup_locked(e->dir, e->name, strlen(e->name));
	if (IS_ERR(found))
		return PTR_ERR(found);
	e->d = found;
	return 0;
}

static void entry_unlock(struct entry *e)
{
	if (e->dir)
		mutex_unlock(&e->dir->sb->lock);
}

static void entry_end(struct entry *e)
{
	dentry_put(e->d);
	dentry_put(e->dir);
	kfree(e->name);
}

static int entry_create(struct entry *e, uint32_t mode, uint64_t rdev, const char *target)
{
	struct inode *parent = dentry_inode(e->dir), *inode;
	int r;

	if (dentry_inode(e->d) || e->d->mounted)
		return -EEXIST;
	if (e->trailing && !S_ISDIR(mode))
		return -ENOENT;
	r = may_change(e->dir);
	if (!r && !parent->ops->create)
		r = no_create(e->dir->sb);
	if (r)
		return r;
	inode = parent->ops->create(parent, e->name, strlen(e->name), mode, rdev, target);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	dentry_instantiate(e->d, inode);
	return 0;
}

int path_create(struct dentry *base, const char *path, uint32_t mode, uint64_t rdev, const char *target)
{
	struct entry e;
	int r = entry_find(&e, base, path);

	if (!r)
		r = entry_create(&e, mode, rdev, target);
	if (!r)
		notify_change(e.d, IN_CREATE | (S_ISDIR(mode) ? IN_ISDIR : 0));
	entry_unlock(&e);
	entry_end(&e);
	return r;
}

static int entry_link(struct entry *e, struct dentry *from)
{
	struct inode *parent = dentry_inode(e->dir), *inode = dentry_inode(from);
	int r;

	if (dentry_inode(e->d))
		return -EEXIST;
	if (e->trailing)
		return -ENOENT;
	if (inode->sb != e->dir->sb)
		return -EXDEV;
	if (inode_is_dir(inode))
		return -EPERM;
	r = may_change(e->dir);
	if (!r)
		r = parent->ops->link ? parent->ops->link(parent, e->name, strlen(e->name), inode) : -EPERM;
	if (r)
		return r;
	inode_get(inode);
	dentry_instantiate(e->d, inode);
	return 0;
}

int path_link(struct dentry *from, struct dentry *base, const char *path)
{
	struct entry e;
	int r = entry_find(&e, base, path);

	if (!r)
		r = entry_link(&e, from);
	if (!r) {
		notify_inode(dentry_inode(from), IN_ATTRIB);
		notify_change(e.d, IN_CREATE);
	}
	entry_unlock(&e);
	entry_end(&e);
	return r;
}

/* The inode of the entry that is gone, whose reference is the caller's, or an error. */
static struct inode *entry_remove(struct entry *e, bool want_dir)
{
	struct inode *parent = dentry_inode(e->dir), *inode = dentry_inode(e->d);
	int r = inode ? may_change(e->dir) : -ENOENT;

	if (r)
		return ERR_PTR(r);
	if (want_dir)
		r = !inode_is_dir(inode) ? -ENOTDIR : parent->ops->rmdir ? 0 : -EPERM;
	else
		r = inode_is_dir(inode) ? -EISDIR : e->trailing ? -ENOTDIR : parent->ops->unlink ? 0 : -EPERM;
	if (!r && e->d->mounted)
		r = -EBUSY;
	if (r)
		return ERR_PTR(r);
	inode_get(inode);
	r = (want_dir ? parent->ops->rmdir : parent->ops->unlink)(parent, e->name, strlen(e->name), inode);
	if (r) {
		inode_put(inode);
		return ERR_PTR(r);
	}
	dentry_unhash(e->d);
	return inode;
}

int path_remove(struct dentry *base, const char *path, bool want_dir)
{
	struct inode *inode = NULL;
	struct entry e;
	int r = entry_find(&e, base, path);

	if (r == -EEXIST) {
		if (want_dir)
			r = !strcmp(e.name, ".") ? -EINVAL : !strcmp(e.name, "..") ? -ENOTEMPTY : -EBUSY;
		else
			r = -EISDIR;
	} else if (!r) {
		inode = entry_remove(&e, want_dir);
		if (IS_ERR(inode))
			r = PTR_ERR(inode);
	}
	if (!r) {
		if (!want_dir)
			notify_inode(inode, IN_ATTRIB);
		notify_end(inode);
		notify_child(dentry_inode(e.dir), e.name, IN_DELETE | (want_dir ? IN_ISDIR : 0), 0);
	}
	entry_unlock(&e);
	if (!r)
		inode_put(inode);
	entry_end(&e);
	return r;
}

/* Everything that can refuse a rename, with the lock held. */
static int rename_check(struct dentry *from_dir, struct dentry *from, struct dentry *to_dir,
			struct dentry *to, unsigned flags, bool from_slash, bool to_slash)
{
	struct inode *inode = dentry_inode(from), *target = dentry_inode(to);
	int r;

	if (!inode)
		return -ENOENT;
	if ((flags & RENAME_NOREPLACE) && target)
		return -EEXIST;
	if ((flags & RENAME_EXCHANGE) && !target)
		return -ENOENT;
	if ((flags & RENAME_EXCHANGE) && to_slash && !inode_is_dir(target))
		return -ENOTDIR;
	if ((from_slash || (to_slash && !(flags & RENAME_EXCHANGE))) && !inode_is_dir(inode))
		return -ENOTDIR;
	r = may_change(from_dir);
	if (!r)
		r = may_change(to_dir);
	if (r)
		return r;
	if (from->mounted || to->mounted)
		return -EBUSY;
	if (inode_is_dir(inode) && dentry_is_below(to_dir, from))
		return -EINVAL;
	if (target && inode_is_dir(target) && dentry_is_below(from_dir, to))
		return (flags & RENAME_EXCHANGE) ? -EINVAL : -ENOTEMPTY;
	if (target && !(flags & RENAME_EXCHANGE)) {
		if (inode_is_dir(inode) && !inode_is_dir(target))
			return -ENOTDIR;
		if (!inode_is_dir(inode) && inode_is_dir(target))
			return -EISDIR;
	}
	return dentry_inode(from_dir)->ops->rename ? 0 : -EPERM;
}

static void rename_notify(struct inode *from_parent, const char *from, struct inode *to_parent,
			  const char *to, struct inode *inode, struct inode *replaced)
{
	static _Atomic uint32_t cookies;
	uint32_t cookie = atomic_fetch_add(&cookies, 1) + 1;
	uint32_t dir = inode_is_dir(inode) ? IN_ISDIR : 0;

	notify_child(from_parent, from, IN_MOVED_FROM | dir, cookie);
	notify_child(to_parent, to, IN_MOVED_TO | dir, cookie);
	notify_inode(inode, IN_MOVE_SELF);
	if (replaced) {
		notify_inode(replaced, IN_ATTRIB | (inode_is_dir(replaced) ? IN_ISDIR : 0));
		notify_end(replaced);
	}
}

int path_rename(struct dentry *from_base, const char *from, struct dentry *to_base, const char *to,
		unsigned flags)
{
	char *names = kmalloc(2 * (NAME_MAX + 1));
	char *from_last = names, *to_last = names + NAME_MAX + 1;
	char *name = NULL, *other = NULL; /* of what moves, and of what is exchanged for it */
	struct dentry *from_dir, *to_dir, *d = NULL, *t = NULL;
	struct inode *inode = NULL, *target = NULL;
	bool from_slash = false, to_slash = false, held = false;
	int r;

	if (!names)
		return -ENOMEM;
	from_dir = path_parent(from_base, from, from_last, &from_slash);
	if (IS_ERR(from_dir)) {
		r = PTR_ERR(from_dir);
		if (r == -EEXIST) { /* "." and the like: refused, but only after the other path was looked at */
			to_dir = path_parent(to_base, to, to_last, &to_slash);
			r = IS_ERR(to_dir) && PTR_ERR(to_dir) != -EEXIST ? PTR_ERR(to_dir) : -EBUSY;
			if (!IS_ERR(to_dir))
				dentry_put(to_dir);
		}
		goto out_names;
	}
	to_dir = path_parent(to_base, to, to_last, &to_slash);
	if (IS_ERR(to_dir)) {
		r = PTR_ERR(to_dir);
		if (r == -EEXIST)
			r = (flags & RENAME_NOREPLACE) ? -EEXIST : -EBUSY;
		goto out_from;
	}
	r = -EXDEV;
	if (from_dir->sb != to_dir->sb)
		goto out_to;
	/* What can fail for want of memory comes before the first change. */
	r = -ENOMEM;
	name = dentry_name_copy(to_last);
	other = flags & RENAME_EXCHANGE ? dentry_name_copy(from_last) : NULL;
	if (!name || (!other && (flags & RENAME_EXCHANGE)))
		goto out_copies;
	mutex_lock(&from_dir->sb->lock);
	d = dentry_lookup_locked(from_dir, from_last, strlen(from_last));
	if (IS_ERR(d)) {
		r = PTR_ERR(d);
		d = NULL;
		goto out_unlock;
	}
	t = dentry_lookup_locked(to_dir, to_last, strlen(to_last));
	if (IS_ERR(t)) {
		r = PTR_ERR(t);
		t = NULL;
		goto out_unlock;
	}
	r = rename_check(from_dir, d, to_dir, t, flags, from_slash, to_slash);
	inode = dentry_inode(d);
	target = dentry_inode(t);
	if (r || inode == target)
		goto out_unlock; /* two names of one file: nothing happens */
	held = true;
	inode_get(inode);
	if (target)
		inode_get(target);
	r = dentry_inode(from_dir)->ops->rename(dentry_inode(from_dir), from_last, strlen(from_last),
						inode, dentry_inode(to_dir), to_last, strlen(to_last),
						target, flags & RENAME_EXCHANGE);
	if (r)
		goto out_unlock;
	if (flags & RENAME_EXCHANGE) {
		dentry_exchange(d, t, name, other);
	} else {
		dentry_unhash(t);
		t->deleted = target != NULL;
		dentry_move(d, to_dir, name);
	}
	name = other = NULL;
	rename_notify(dentry_inode(from_dir), from_last, dentry_inode(to_dir), to_last, inode,
		      (flags & RENAME_EXCHANGE) ? NULL : target);
out_unlock:
	mutex_unlock(&from_dir->sb->lock);
	if (held) {
		inode_put(inode);
		if (target)
			inode_put(target);
	}
	dentry_put(d);
	dentry_put(t);
out_copies:
	kfree(name);
	kfree(other);
out_to:
	dentry_put(to_dir);
out_from:
	dentry_put(from_dir);
out_names:
	kfree(names);
	return r;
}
