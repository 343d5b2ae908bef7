/*
 * kernel/fs/genfs.c - generated file systems.
 *
 * Theory, interface, locking, errors: genfs.h. Inode numbers are hashes of entry and reference, so that a
 * file keeps its number although its inode is made anew at each lookup.
 */
#include "fs/genfs.h"
#include "core/log.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include <linux/eventpoll.h>

#define FIRST_STATIC 2ull
#define FIRST_DYNAMIC (1ull << 32)

struct gen_inode {
	struct inode inode;
	const struct gen_entry *entry;
	struct gen_ref ref;
};

struct gen_file {
	struct mutex lock;
	struct text text;
	bool made;
};

static const struct inode_ops gen_dir_ops, gen_file_ops, gen_link_ops, gen_magic_ops;
static const struct file_ops gen_dir_file_ops, gen_reg_file_ops, gen_no_ops;

static struct gen_inode *gen_of(struct inode *inode)
{
	return container_of(inode, struct gen_inode, inode);
}

/* --- text ----------------------------------------------------------------------------------------- */

static bool text_reserve(struct text *t, size_t more)
{
	size_t size = MAX(t->size, (size_t)512);
	char *buf;

	while (size - t->len < more)
		size *= 2;
	if (size == t->size)
		return true;
	buf = krealloc(t->buf, t->size, size);
	if (!buf) {
		t->failed = true;
		return false;
	}
	t->buf = buf;
	t->size = size;
	return true;
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!text_reserve(t, 256))
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	if ((size_t)n >= t->size - t->len) {
		if (!text_reserve(t, n + 1))
			return;
		va_start(ap, fmt);
		vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
		va_end(ap);
	}
	t->len += n;
}

void text_add(struct text *t, const char *data, size_t len)
{
	if (!text_reserve(t, len + 1))
		return;
	memcpy(t->buf + t->len, data, len);
	t->len += len;
}

void text_free(struct text *t)
{
	kfree(t->buf);
	memset(t, 0, sizeof(*t));
}

int gen_number(const char *name)
{
	int n = 0;

	if (!*name || (*name == '0' && name[1]))
		return -1;
	for (; *name; name++) {
		if (*name < '0' || *name > '9' || n > 100000000)
			return -1;
		n = n * 10 + (*name - '0');
	}
	return n;
}

/* --- inodes ------------------------------------------------------------------------------------------ */

static uint64_t gen_ino(const struct gen_entry *e, const struct gen_ref *ref)
{
	uint64_t h = (uintptr_t)e * 0x9E3779B97F4A7C15ull;

	h ^= (uint64_t)(uint32_t)ref->pid * 0xC2B2AE3D27D4EB4Full;
	h ^= (uint64_t)(uint32_t)ref->tid * 0x165667B19E3779F9ull;
	h ^= (uint64_t)(uint32_t)ref->index * 0x85EBCA77C2B2AE63ull;
	return (h ^ h >> 29) & 0x7fffffff;
}

static struct inode *gen_inode_new(struct superblock *sb, const struct gen_entry *e,
				   const struct gen_ref *ref)
{
	struct gen_inode *g = kzalloc(sizeof(*g));

	if (!g)
		return ERR_PTR(-ENOMEM);
	inode_setup(&g->inode, sb,
		    S_ISDIR(e->mode)   ? &gen_dir_ops
		    : !S_ISLNK(e->mode) ? &gen_file_ops
		    : e->follow         ? &gen_magic_ops
					: &gen_link_ops,
		    S_ISDIR(e->mode) ? &gen_dir_file_ops : S_ISREG(e->mode) ? &gen_reg_file_ops
									    : &gen_no_ops,
		    e->mode);
	g->entry = e;
	g->ref = *ref;
	g->inode.ino = gen_ino(e, ref);
	return &g->inode;
}

static struct inode *gen_lookup(struct inode *inode, const char *name, size_t len)
{
	struct gen_inode *dir = gen_of(inode);
	struct gen_ref ref = dir->ref;
	const struct gen_entry *e;
	char text[NAME_MAX + 1];

	memcpy(text, name, len);
	text[len] = 0;
	for (e = dir->entry->children; e && e->name; e++)
		if (!strcmp(e->name, text))
			return gen_inode_new(inode->sb, e, &ref);
	e = dir->entry->find ? dir->entry->find(&dir->ref, text, &ref) : NULL;
	return e ? gen_inode_new(inode->sb, e, &ref) : ERR_PTR(-ENOENT);
}

static void gen_evict(struct inode *inode)
{
	kfree(gen_of(inode));
}

static ssize_t gen_readlink(struct inode *inode, char *buf, size_t size)
{
	struct gen_inode *g = gen_of(inode);

	return g->entry->readlink(&g->ref, buf, size);
}

static struct dentry *gen_follow(struct inode *inode)
{
	struct gen_inode *g = gen_of(inode);

	return g->entry->follow(&g->ref);
}

static int gen_open(struct inode *inode, struct file *f)
{
	struct gen_inode *g = gen_of(inode);
	struct gen_file *gf;

	if (file_writable(f) && !g->entry->store)
		return -EACCES;
	if (file_readable(f) && !g->entry->show)
		return -EACCES;
	gf = kzalloc(sizeof(*gf));
	if (!gf)
		return -ENOMEM;
	mutex_init(&gf->lock, "generated file");
	f->priv = gf;
	return 0;
}

static int gen_setattr(struct inode *inode, const struct inode_attr *attr)
{
	return -EPERM;
}

static int gen_truncate(struct inode *inode, uint64_t size)
{
	return 0; /* O_TRUNC by a shell's `>` */
}

static const struct inode_ops gen_dir_ops = {
	.lookup = gen_lookup, .setattr = gen_setattr, .evict = gen_evict,
};
static const struct inode_ops gen_file_ops = {
	.open = gen_open, .setattr = gen_setattr, .truncate = gen_truncate, .evict = gen_evict,
};
static const struct inode_ops gen_link_ops = {
	.readlink = gen_readlink, .setattr = gen_setattr, .evict = gen_evict,
};
/* Links that lead to an object and not to a path. */
static const struct inode_ops gen_magic_ops = {
	.readlink = gen_readlink, .follow = gen_follow, .setattr = gen_setattr, .evict = gen_evict,
};

/* --- files ------------------------------------------------------------------------------------------- */

static ssize_t gen_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct gen_inode *g = gen_of(f->inode);
	struct gen_file *gf = f->priv;
	ssize_t r = 0;

	mutex_lock(&gf->lock);
	if (!gf->made || pos == 0) {
		gf->text.len = 0;
		gf->text.failed = false;
		r = g->entry->show(&gf->text, &g->ref);
		if (!r && gf->text.failed)
			r = -ENOMEM;
		gf->made = !r;
	}
	if (!r && pos < gf->text.len) {
		size_t n = MIN(len, gf->text.len - pos);
		size_t missing = copy_to_user_partial(buf, gf->text.buf + pos, n);

		r = missing && missing == n ? -EFAULT : (ssize_t)(n - missing);
	}
	mutex_unlock(&gf->lock);
	return r;
}

static ssize_t gen_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct gen_inode *g = gen_of(f->inode);
	size_t n = MIN(len, (size_t)4095);
	char *text = kmalloc(n + 1);
	ssize_t r = -EFAULT;

	if (!text)
		return -ENOMEM;
	if (!copy_from_user(text, buf, n)) {
		text[n] = 0;
		r = g->entry->store(&g->ref, text, n);
	}
	kfree(text);
	return r < 0 ? r : (ssize_t)len;
}

static int64_t gen_lseek(struct file *f, int64_t off, int whence)
{
	if (whence == 1)
		off += f->pos;
	else if (whence != 0)
		return -EINVAL;
	if (off < 0)
		return -EINVAL;
	f->pos = off;
	return off;
}

static void gen_release(struct file *f)
{
	struct gen_file *gf = f->priv;

	if (gf) {
		text_free(&gf->text);
		kfree(gf);
	}
}

static unsigned gen_poll(struct file *f, struct poll_table *pt)
{
	return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
}

static const struct file_ops gen_no_ops;
static const struct file_ops gen_reg_file_ops = {
	.read = gen_read, .write = gen_write, .lseek = gen_lseek, .poll = gen_poll,
	.release = gen_release,
};

/* --- directories --------------------------------------------------------------------------------------- */

static int gen_readdir(struct file *f, dir_emit_fn *emit, void *arg)
{
	struct gen_inode *dir = gen_of(f->inode);
	const struct gen_entry *children = dir->entry->children, *e;
	unsigned count = 0;

	while (children && children[count].name)
		count++;
	for (; f->pos < FIRST_STATIC; f->pos++)
		if (!emit(arg, "..", f->pos + 1, f->inode->ino, S_IFDIR >> 12, f->pos + 1))
			return 0;
	while (f->pos < FIRST_STATIC + count) {
		e = &children[f->pos - FIRST_STATIC];
		if (!emit(arg, e->name, strlen(e->name), gen_ino(e, &dir->ref), e->mode >> 12, f->pos + 1))
			return 0;
		f->pos++;
	}
	if (f->pos < FIRST_DYNAMIC)
		f->pos = FIRST_DYNAMIC;
	while (dir->entry->next) {
		struct gen_ref ref = dir->ref;
		char name[32];
		int number;

		e = dir->entry->next(&dir->ref, (int)(f->pos - FIRST_DYNAMIC) - 1, &number, name);
		if (!e)
			break;
		dir->entry->find(&dir->ref, name, &ref);
		if (!emit(arg, name, strlen(name), gen_ino(e, &ref), e->mode >> 12,
			  FIRST_DYNAMIC + number + 1))
			return 0;
		f->pos = FIRST_DYNAMIC + number + 1;
	}
	return 0;
}

static const struct file_ops gen_dir_file_ops = { .readdir = gen_readdir, .lseek = gen_lseek };

struct superblock *genfs_new(const char *type, const char *source, uint64_t magic,
			     const struct gen_entry *root)
{
	struct superblock *sb = superblock_new(type, source, magic, SB_NOCACHE);
	struct gen_ref none = { 0 };
	struct inode *inode;

	if (!sb)
		return NULL;
	inode = gen_inode_new(sb, root, &none);
	if (IS_ERR(inode)) {
		kfree(sb);
		return NULL;
	}
	sb->root = dentry_new_root(sb, inode);
	if (IS_ERR(sb->root)) {
		inode_put(inode);
		kfree(sb);
		return NULL;
	}
	return sb;
}
