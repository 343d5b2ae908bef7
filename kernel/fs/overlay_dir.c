/*
 * kernel/fs/overlay_dir.c - directories of the overlay: lookup, changes, listing.
 *
 * Theory and locking: overlay.h. A listing goes through phases: "." and "..", the table in order of cookie,
 * then each layer. A position is the phase in bits 48 and up and the place in it below. Names that a layer
 * has and the table changed without hiding (from_lower) are listed at the layer's place, so that changing
 * files while listing neither drops nor doubles them.
 * Errors: -ENOTEMPTY, -ENOSPC (tmpfs_charge_inode()), -ENOMEM, -EIO.
 */
#include "fs/overlay.h"
#include "core/log.h"
#include "lib/string.h"

#define PHASE_SHIFT 48
#define PHASE_TABLE (1ull << PHASE_SHIFT)
#define PHASE_LAYER(k) ((uint64_t)((k) + 2) << PHASE_SHIFT)

/* --- tables --------------------------------------------------------------------------------------- */

static uint32_t entry_hash(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 0x100000001b3ull;
	return (uint32_t)(h ^ h >> 32);
}

struct entry *table_find(struct node *dir, const char *name, size_t len)
{
	struct table *t = dir->table;
	struct entry *e;

	if (!t)
		return NULL;
	e = t->buckets[entry_hash(name, len) & (t->nbuckets - 1)];
	while (e && (e->len != len || memcmp(e->name, name, len)))
		e = e->hash_next;
	return e;
}

static struct table *table_new(void)
{
	struct table *t = kzalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->nbuckets = 8;
	t->buckets = kzalloc(t->nbuckets * sizeof(*t->buckets));
	if (!t->buckets) {
		kfree(t);
		return NULL;
	}
	list_init(&t->entries);
	return t;
}

/* More buckets when chains grow; staying small is no error. */
static void table_grow(struct table *t)
{
	unsigned n = t->nbuckets * 4;
	struct entry **buckets, *e;

	if (t->count < t->nbuckets * 2)
		return;
	buckets = kzalloc(n * sizeof(*buckets));
	if (!buckets)
		return;
	list_for_each(e, &t->entries, link) {
		struct entry **b = &buckets[entry_hash(e->name, e->len) & (n - 1)];

		e->hash_next = *b;
		*b = e;
	}
	kfree(t->buckets);
	t->buckets = buckets;
	t->nbuckets = n;
}

/* Gives the name to the node (referenced by the table; NULL: a whiteout). An entry that is there must be a
 * whiteout and is used again. NULL when memory is short. */
struct entry *table_add(struct node *dir, const char *name, size_t len, struct node *node)
{
	struct table *t = dir->table;
	struct entry *e, **b;

	if (!t) {
		t = dir->table = table_new();
		if (!t)
			return NULL;
	}
	e = table_find(dir, name, len);
	if (e) {
		assert(!e->node);
		list_del(&e->link);
	} else {
		e = kzalloc(sizeof(*e) + len + 1);
		if (!e)
			return NULL;
		e->len = len;
		memcpy(e->name, name, len);
		table_grow(t);
		b = &t->buckets[entry_hash(name, len) & (t->nbuckets - 1)];
		e->hash_next = *b;
		*b = e;
		t->count++;
	}
	e->cookie = t->next_cookie++;
	e->from_lower = false;
	e->node = node;
	if (node)
		inode_get(&node->inode);
	list_push_back(&t->entries, &e->link);
	return e;
}

static void table_remove(struct node *dir, struct entry *e)
{
	struct table *t = dir->table;
	struct entry **p = &t->buckets[entry_hash(e->name, e->len) & (t->nbuckets - 1)];

	while (*p != e)
		p = &(*p)->hash_next;
	*p = e->hash_next;
	list_del(&e->link);
	t->count--;
	kfree(e);
}

void table_free(struct node *dir)
{
	struct table *t = dir->table;

	if (!t)
		return;
	while (!list_empty(&t->entries)) {
		struct entry *e = list_first(&t->entries, struct entry, link);
		struct node *node = e->node;

		list_del(&e->link);
		kfree(e);
		if (node)
			inode_put(&node->inode); /* removed directories hold only whiteouts */
	}
	kfree(t->buckets);
	kfree(t);
	dir->table = NULL;
}

/* --- lookup ---------------------------------------------------------------------------------------- */

/* What the layers say: fills found[] and answers how many (directories merge), or -ENOENT. */
static int lower_lookup(struct node *dir, const char *name, size_t len, struct lower *found)
{
	unsigned n = 0;

	for (unsigned i = 0; i < dir->nlowers; i++) {
		struct lower *l = &dir->lowers[i];
		uint64_t ref;
		int r = sqfs_lookup(l->fs, &l->info, name, len, &ref);

		if (r == -ENOENT)
			continue;
		if (!r) {
			found[n].fs = l->fs;
			found[n].layer = l->layer;
			r = sqfs_inode_read(l->fs, ref, &found[n].info);
		}
		if (r)
			return r;
		if (S_ISCHR(found[n].info.mode) && !found[n].info.rdev)
			break; /* a whiteout in the layer, as overlayfs makes them */
		if (!S_ISDIR(found[n].info.mode)) {
			if (!n)
				return 1;
			break; /* a file below a directory is hidden by it */
		}
		n++;
	}
	return n ? (int)n : -ENOENT;
}

static struct inode *overlay_lookup(struct inode *inode, const char *name, size_t len)
{
	struct node *dir = node_of(inode), *n;
	struct entry *e = table_find(dir, name, len);
	struct lower *found;
	int count;

	if (e) {
		if (!e->node)
			return ERR_PTR(-ENOENT);
		inode_get(&e->node->inode);
		return &e->node->inode;
	}
	if (!dir->nlowers)
		return ERR_PTR(-ENOENT);
	found = kmalloc(dir->nlowers * sizeof(*found));
	if (!found)
		return ERR_PTR(-ENOMEM);
	count = lower_lookup(dir, name, len, found);
	n = count > 0 ? node_from_lower(inode->sb, dir, name, len, found, count) : NULL;
	kfree(found);
	if (count < 0)
		return ERR_PTR(count);
	return n ? &n->inode : ERR_PTR(-ENOMEM);
}

/* --- changes ----------------------------------------------------------------------------------------- */

static void dir_changed(struct node *dir)
{
	inode_touch(&dir->inode, true);
}

/* Counts a further node or name. 0 or -ENOSPC. */
static int name_charge(void)
{
	int r = tmpfs_charge_inode(1);

	if (r) { /* the cache of names keeps removed directories that were asked for a name */
		dentry_shrink(0);
		r = tmpfs_charge_inode(1);
	}
	return r;
}

/* Takes a copy of the target. 0, -ENOSPC or -ENOMEM. */
static int target_set(struct node *n, const char *target)
{
	int r = tmpfs_charge(NULL, target_pages(target));

	if (r)
		return r;
	n->target = kstrdup(target);
	if (!n->target) {
		tmpfs_charge(NULL, -target_pages(target));
		return -ENOMEM;
	}
	return 0;
}

static struct inode *overlay_create(struct inode *inode, const char *name, size_t len, uint32_t mode,
				    uint64_t rdev, const char *target)
{
	struct node *dir = node_of(inode), *n;
	int r = node_pin(dir);

	if (r)
		return ERR_PTR(r);
	if (inode->mode & S_ISGID) {
		/* New entries take the group of such a directory. */
		if (S_ISDIR(mode))
			mode |= S_ISGID;
	}
	n = node_new(inode->sb, mode);
	if (!n)
		return ERR_PTR(-ENOMEM);
	n->pinned = true;
	n->inode.rdev = rdev;
	if (inode->mode & S_ISGID)
		n->inode.gid = inode->gid;
	r = name_charge();
	if (r)
		goto out;
	n->charged = 1;
	r = target ? target_set(n, target) : 0;
	if (r)
		goto out;
	r = -ENOMEM;
	if (S_ISREG(mode)) {
		n->upper_data = kzalloc(sizeof(*n->upper_data));
		if (!n->upper_data)
			goto out;
		pagecache_init(n->upper_data, &tmpfs_pages, &n->inode);
		atomic_store(&n->inode.data, n->upper_data);
	}
	if (!table_add(dir, name, len, n))
		goto out;
	if (S_ISDIR(mode))
		inode->nlink++;
	dir_changed(dir);
	return &n->inode;
out:
	inode_put(&n->inode);
	return ERR_PTR(r);
}

static int overlay_link(struct inode *inode, const char *name, size_t len, struct inode *target)
{
	struct node *dir = node_of(inode), *n = node_of(target);
	int r = node_pin(dir);

	if (!r)
		r = node_pin(n);
	if (!r && !target->nlink)
		r = -ENOENT;
	if (!r)
		r = name_charge(); /* a further name takes about as much as a file */
	if (!r && !table_add(dir, name, len, n)) {
		tmpfs_charge_inode(-1);
		r = -ENOMEM;
	}
	if (r)
		return r;
	n->charged++;
	target->nlink++;
	inode_touch(target, false);
	dir_changed(dir);
	return 0;
}

/* A node that lost its name without ever being pinned must not come back by pinning. */
static void node_detach(struct node *n)
{
	struct node *parent = n->parent;

	if (n->pinned)
		return;
	n->pinned = true;
	n->parent = NULL;
	kfree(n->name);
	n->name = NULL;
	if (parent)
		inode_put(&parent->inode);
}

/* A file lost a name. */
static void link_removed(struct node *n)
{
	if (n->inode.nlink)
		n->inode.nlink--;
	if (n->charged > (n->nlowers ? 0u : 1u)) { /* the node's own is given back with it */
		n->charged--;
		tmpfs_charge_inode(-1);
	}
}

/* Takes the name away from its directory, which is pinned. Cannot fail if the name has an entry. */
static int name_remove(struct node *dir, const char *name, size_t len)
{
	struct entry *e = table_find(dir, name, len);
	struct node *node;

	if (!e) { /* only the layers have it */
		e = table_add(dir, name, len, NULL);
		if (!e)
			return -ENOMEM;
		e->hides_lower = true;
		return 0;
	}
	node = e->node;
	if (e->hides_lower) {
		e->node = NULL;
		e->from_lower = false;
	} else {
		table_remove(dir, e);
	}
	inode_put(&node->inode);
	return 0;
}

static int overlay_unlink(struct inode *inode, const char *name, size_t len, struct inode *victim)
{
	struct node *dir = node_of(inode);
	int r = node_pin(dir);

	if (!r)
		r = name_remove(dir, name, len);
	if (r)
		return r;
	node_detach(node_of(victim));
	link_removed(node_of(victim));
	inode_touch(victim, false);
	dir_changed(dir);
	return 0;
}

/*
 * Does the layer's entry show, as far as the layers have a say? Not if it is a whiteout, nor if a layer above has the name. 0, 1, or -errno if
 * that cannot be read.
 */
static int lower_shows(struct node *dir, unsigned layer, const char *name, size_t len, uint64_t ref, unsigned type)
{
	struct sqfs_inode info;
	uint64_t other;

	for (unsigned i = 0; i < layer; i++) {
		int r = sqfs_lookup(dir->lowers[i].fs, &dir->lowers[i].info, name, len, &other);

		if (r != -ENOENT)
			return r;
	}
	if (type == S_IFCHR >> 12) {
		int r = sqfs_inode_read(dir->lowers[layer].fs, ref, &info);

		return r ? r : info.rdev != 0;
	}
	return 1;
}

struct empty_check {
	struct node *dir;
	unsigned layer;
	int found; /* or -errno */
};

static bool empty_emit(void *arg, const char *name, size_t len, uint64_t ref, uint32_t number,
		       unsigned type, uint64_t next)
{
	struct empty_check *c = arg;

	if (table_find(c->dir, name, len))
		return true; /* a whiteout: entries with nodes were seen before */
	c->found = lower_shows(c->dir, c->layer, name, len, ref, type);
	return !c->found;
}

/* 0 if the directory shows nothing, -ENOTEMPTY, or another error. */
static int dir_empty(struct node *dir)
{
	struct empty_check c = { .dir = dir };
	struct entry *e;

	if (dir->table)
		list_for_each(e, &dir->table->entries, link)
			if (e->node)
				return -ENOTEMPTY;
	for (unsigned i = 0; i < dir->nlowers; i++) {
		uint64_t pos = 0;
		int r;

		c.layer = i;
		r = sqfs_readdir(dir->lowers[i].fs, &dir->lowers[i].info, &pos, empty_emit, &c);
		if (r)
			return r;
		if (c.found)
			return c.found < 0 ? c.found : -ENOTEMPTY;
	}
	return 0;
}

static int overlay_rmdir(struct inode *inode, const char *name, size_t len, struct inode *victim)
{
	struct node *dir = node_of(inode);
	int r = dir_empty(node_of(victim));

	if (!r)
		r = node_pin(dir);
	if (!r)
		r = name_remove(dir, name, len);
	if (r)
		return r;
	node_detach(node_of(victim));
	victim->nlink = 0;
	if (inode->nlink > 2)
		inode->nlink--;
	inode_touch(victim, false);
	dir_changed(dir);
	return 0;
}

static int overlay_exchange(struct node *from_dir, const char *from, size_t from_len, struct node *n,
			    struct node *to_dir, const char *name, size_t len, struct node *t)
{
	struct entry *a, *b;
	int dirs = (int)inode_is_dir(&n->inode) - (int)inode_is_dir(&t->inode);

	a = table_find(from_dir, from, from_len);
	b = table_find(to_dir, name, len);
	if (!a || !b || a->node != n || b->node != t)
		return -EIO; /* cannot be: both are pinned */
	a->node = t;
	b->node = n;
	if (from_dir != to_dir) {
		from_dir->inode.nlink -= dirs;
		to_dir->inode.nlink += dirs;
	}
	return 0;
}

static int overlay_rename(struct inode *from_inode, const char *from, size_t from_len,
			  struct inode *inode, struct inode *to_inode, const char *name, size_t len,
			  struct inode *to, bool exchange)
{
	struct node *from_dir = node_of(from_inode), *to_dir = node_of(to_inode), *n = node_of(inode);
	struct entry *e;
	bool replaces_lower = false;
	int r;

	if (to && !exchange && inode_is_dir(to)) {
		r = dir_empty(node_of(to));
		if (r)
			return r;
	}
	r = node_pin(to_dir);
	if (!r)
		r = node_pin(n); /* and with it its directory */
	if (!r && exchange)
		r = node_pin(node_of(to));
	if (r)
		return r;
	if (exchange) {
		r = overlay_exchange(from_dir, from, from_len, n, to_dir, name, len, node_of(to));
		goto out;
	}
	e = table_find(to_dir, name, len);
	if (e && e->node) {
		struct node *old = e->node;

		inode_get(inode);
		e->node = n;
		inode_put(&old->inode);
	} else {
		replaces_lower = !e && to;
		e = table_add(to_dir, name, len, n);
		if (!e)
			return -ENOMEM;
		if (replaces_lower)
			e->hides_lower = e->from_lower = true;
	}
	name_remove(from_dir, from, from_len); /* it has an entry */
	if (to) {
		node_detach(node_of(to));
		if (inode_is_dir(to))
			to->nlink = 0;
		else
			link_removed(node_of(to));
		inode_touch(to, false);
		if (inode_is_dir(to) && to_inode->nlink > 2)
			to_inode->nlink--;
	}
	if (inode_is_dir(inode) && from_dir != to_dir) {
		if (from_inode->nlink > 2)
			from_inode->nlink--;
		to_inode->nlink++;
	}
out:
	if (!r) {
		inode_touch(inode, false);
		dir_changed(from_dir);
		dir_changed(to_dir);
	}
	return r;
}

const struct inode_ops overlay_dir_ops = {
	.lookup = overlay_lookup,
	.create = overlay_create,
	.link = overlay_link,
	.unlink = overlay_unlink,
	.rmdir = overlay_rmdir,
	.rename = overlay_rename,
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.evict = overlay_evict,
};

/* --- listing ----------------------------------------------------------------------------------------- */

struct list_state {
	struct file *f;
	struct node *dir;
	unsigned layer;      /* index in dir->lowers */
	dir_emit_fn *emit;
	void *arg;
	bool full;
};

static unsigned node_dtype(const struct node *n)
{
	return inode_type(&n->inode) >> 12;
}

static bool list_lower(void *arg, const char *name, size_t len, uint64_t ref, uint32_t number,
		       unsigned type, uint64_t next)
{
	struct list_state *s = arg;
	struct lower *l = &s->dir->lowers[s->layer];
	struct entry *e = table_find(s->dir, name, len);
	uint64_t ino = (uint64_t)(l->layer + 1) << 32 | number;
	uint64_t cookie = PHASE_LAYER(s->layer) + next;

	if (e && !e->from_lower)
		return true;
	if (lower_shows(s->dir, s->layer, name, len, ref, type) <= 0)
		return true;
	if (e) {
		ino = e->node->inode.ino;
		type = node_dtype(e->node);
	}
	if (!s->emit(s->arg, name, len, ino, type, cookie)) {
		s->full = true;
		return false;
	}
	return true;
}

static void list_table(struct list_state *s)
{
	struct entry *e;
	uint64_t from = s->f->pos - PHASE_TABLE;

	if (s->dir->table) {
		list_for_each(e, &s->dir->table->entries, link) {
			if (e->cookie < from || !e->node || e->from_lower)
				continue;
			if (!s->emit(s->arg, e->name, e->len, e->node->inode.ino, node_dtype(e->node),
				     PHASE_TABLE + e->cookie + 1)) {
				s->full = true;
				return;
			}
			s->f->pos = PHASE_TABLE + e->cookie + 1;
		}
	}
	s->f->pos = PHASE_LAYER(0);
}

static int overlay_readdir(struct file *f, dir_emit_fn *emit, void *arg)
{
	struct list_state s = { .f = f, .dir = node_of(f->inode), .emit = emit, .arg = arg };
	struct dentry *up = f->dentry ? dentry_parent_get(f->dentry) : NULL;
	uint64_t up_ino = up && dentry_inode(up) ? dentry_inode(up)->ino : f->inode->ino;
	int r = 0;

	dentry_put(up);
	mutex_lock(&f->inode->sb->lock);
	if (f->pos == 0) {
		s.full = !emit(arg, ".", 1, f->inode->ino, S_IFDIR >> 12, 1);
		if (!s.full)
			f->pos = 1;
	}
	if (f->pos == 1) {
		s.full = !emit(arg, "..", 2, up_ino, S_IFDIR >> 12, PHASE_TABLE);
		if (!s.full)
			f->pos = PHASE_TABLE;
	}
	if (f->pos > 1 && f->pos < PHASE_TABLE)
		f->pos = PHASE_TABLE; /* a position nobody was given */
	if (!s.full && f->pos >= PHASE_TABLE && f->pos < PHASE_LAYER(0))
		list_table(&s);
	while (!s.full && !r && f->pos >= PHASE_LAYER(0)) {
		uint64_t pos = f->pos & (PHASE_TABLE - 1);

		s.layer = (f->pos >> PHASE_SHIFT) - 2;
		if (s.layer >= s.dir->nlowers)
			break;
		r = sqfs_readdir(s.dir->lowers[s.layer].fs, &s.dir->lowers[s.layer].info, &pos,
				 list_lower, &s);
		f->pos = s.full || r ? PHASE_LAYER(s.layer) + pos : PHASE_LAYER(s.layer + 1);
	}
	mutex_unlock(&f->inode->sb->lock);
	return r;
}

static int64_t overlay_dir_lseek(struct file *f, int64_t off, int whence)
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

static int dir_fsync(struct file *f) { return 0; }

const struct file_ops overlay_dir_file_ops = {
	.readdir = overlay_readdir,
	.lseek = overlay_dir_lseek,
	.fsync = dir_fsync,
};
