/*
 * kernel/fs/dentry.c - the cache of names.
 *
 * Theory:    A hash of (parent, name). Entries in use are counted; an entry that nobody uses stays
 *            hashed on an LRU list until more than DENTRY_UNUSED_MAX are there, then the oldest goes and
 *            drops its inode. Negative entries say that a name does not exist; a change of the directory
 *            fills or drops them under sb->lock, so they are never stale. File systems with SB_NOCACHE
 *            have unhashed entries that die with their last user.
 * Interface: see inode.h.
 * Locking:   dcache_lock guards hash, LRU, names and parents. References may be taken without it by who
 *            has one already. Entries are freed outside the lock, since dropping an inode may free pages.
 * Errors:    -ENOMEM, and what a file system's lookup answers.
 */
#include "fs/inode.h"
#include "core/log.h"
#include "lib/string.h"

#define DENTRY_BUCKETS 1024
#define DENTRY_UNUSED_MAX 3000

static struct mutex dcache_lock = MUTEX_INIT("dcache");
static struct dentry *buckets[DENTRY_BUCKETS];
static struct list unused = LIST_INIT(unused);
static _Atomic unsigned nunused;

static uint32_t name_hash(const struct dentry *parent, const char *name, size_t len)
{
	uint64_t h = (uintptr_t)parent >> 6;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 0x100000001b3ull;
	return (uint32_t)(h ^ h >> 32);
}

static void hash_insert(struct dentry *d)
{
	struct dentry **b = &buckets[d->hash % DENTRY_BUCKETS];

	d->hash_next = *b;
	*b = d;
	d->hashed = true;
}

static void hash_remove(struct dentry *d)
{
	struct dentry **p = &buckets[d->hash % DENTRY_BUCKETS];

	if (!d->hashed)
		return;
	while (*p != d)
		p = &(*p)->hash_next;
	*p = d->hash_next;
	d->hashed = false;
}

static struct dentry *dentry_alloc(struct dentry *parent, struct superblock *sb, const char *name,
				   size_t len)
{
	struct dentry *d = kzalloc(sizeof(*d));

	if (!d)
		return NULL;
	d->name = d->inline_name;
	if (len >= sizeof(d->inline_name)) {
		d->name = kmalloc(len + 1);
		if (!d->name) {
			kfree(d);
			return NULL;
		}
	}
	memcpy(d->name, name, len);
	d->name[len] = 0;
	d->name_len = len;
	d->sb = sb;
	list_init(&d->lru);
	atomic_init(&d->refs, 1);
	if (parent) {
		dentry_get(parent);
		d->parent = parent;
		d->hash = name_hash(parent, name, len);
	} else {
		d->parent = d;
	}
	return d;
}

struct dentry *dentry_new_root(struct superblock *sb, struct inode *root)
{
	struct dentry *d = dentry_alloc(NULL, sb, "/", 1);

	if (!d)
		return ERR_PTR(-ENOMEM);
	atomic_init(&d->inode, root);
	return d;
}

/* Drops a reference. Answers the entry if it must be freed now; a hashed one goes to the LRU list. */
static struct dentry *dentry_drop(struct dentry *d)
{
	uint32_t refs = atomic_load_explicit(&d->refs, memory_order_relaxed);
	bool dead = false;

	while (refs > 1) {
		if (atomic_compare_exchange_weak_explicit(&d->refs, &refs, refs - 1,
							  memory_order_release,
							  memory_order_relaxed))
			return NULL;
	}
	mutex_lock(&dcache_lock);
	if (atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) == 1) {
		if (d->hashed) {
			list_push_back(&unused, &d->lru);
			nunused++;
		} else {
			dead = true;
		}
	}
	mutex_unlock(&dcache_lock);
	return dead ? d : NULL;
}

/* Frees an entry that is unhashed and without users, then the parents that this leaves so. */
static void dentry_free(struct dentry *d)
{
	while (d) {
		struct inode *inode = dentry_inode(d);
		struct dentry *parent = d->parent != d ? d->parent : NULL;

		if (inode)
			inode_put(inode);
		if (d->name != d->inline_name)
			kfree(d->name);
		kfree(d);
		d = parent ? dentry_drop(parent) : NULL;
	}
}

/* Takes the oldest unused entries beyond `keep` off the cache; they are chained through hash_next. */
static struct dentry *lru_trim(unsigned keep, unsigned at_most)
{
	struct dentry *victims = NULL;

	while (nunused > keep && at_most-- > 0) {
		struct dentry *d = list_first(&unused, struct dentry, lru);

		list_del(&d->lru);
		nunused--;
		hash_remove(d);
		d->hash_next = victims;
		victims = d;
	}
	return victims;
}

static void victims_free(struct dentry *victims)
{
	while (victims) {
		struct dentry *next = victims->hash_next;

		dentry_free(victims);
		victims = next;
	}
}

void dentry_shrink(unsigned keep)
{
	struct dentry *victims;

	do {
		mutex_lock(&dcache_lock);
		victims = lru_trim(keep, 64);
		mutex_unlock(&dcache_lock);
		victims_free(victims);
	} while (victims);
}

void dentry_put(struct dentry *d)
{
	struct dentry *victims;

	if (!d)
		return;
	dentry_free(dentry_drop(d));
	if (nunused > DENTRY_UNUSED_MAX + 64) { /* a hint only, so read without the lock */
		mutex_lock(&dcache_lock);
		victims = lru_trim(DENTRY_UNUSED_MAX, 64);
		mutex_unlock(&dcache_lock);
		victims_free(victims);
	}
}

static struct dentry *hash_find(struct dentry *dir, const char *name, size_t len)
{
	uint32_t hash = name_hash(dir, name, len);

	for (struct dentry *d = buckets[hash % DENTRY_BUCKETS]; d; d = d->hash_next) {
		if (d->hash != hash || d->parent != dir || d->name_len != len ||
		    memcmp(d->name, name, len))
			continue;
		if (atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed) == 0) {
			list_del(&d->lru);
			nunused--;
		}
		return d;
	}
	return NULL;
}

struct dentry *dentry_lookup_locked(struct dentry *dir, const char *name, size_t len)
{
	struct inode *parent = dentry_inode(dir), *inode;
	struct dentry *d;

	if (len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	if (!(dir->sb->flags & SB_NOCACHE)) {
		mutex_lock(&dcache_lock);
		d = hash_find(dir, name, len);
		mutex_unlock(&dcache_lock);
		if (d)
			return d;
	}
	inode = dir->deleted ? ERR_PTR(-ENOENT) : parent->ops->lookup(parent, name, len);
	if (IS_ERR(inode)) {
		if (PTR_ERR(inode) != -ENOENT)
			return (struct dentry *)inode;
		inode = NULL;
	}
	d = dentry_alloc(dir, dir->sb, name, len);
	if (!d) {
		if (inode)
			inode_put(inode);
		return ERR_PTR(-ENOMEM);
	}
	atomic_init(&d->inode, inode);
	if (!(dir->sb->flags & SB_NOCACHE) && !dir->deleted) {
		mutex_lock(&dcache_lock);
		hash_insert(d); /* sb->lock is held: nobody else inserted it meanwhile */
		mutex_unlock(&dcache_lock);
	}
	return d;
}

struct dentry *dentry_lookup(struct dentry *dir, const char *name, size_t len)
{
	struct dentry *d;

	if (len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	if (!(dir->sb->flags & SB_NOCACHE)) {
		mutex_lock(&dcache_lock);
		d = hash_find(dir, name, len);
		mutex_unlock(&dcache_lock);
		if (d)
			return d;
	}
	mutex_lock(&dir->sb->lock);
	d = dentry_lookup_locked(dir, name, len);
	mutex_unlock(&dir->sb->lock);
	return d;
}

void dentry_instantiate(struct dentry *d, struct inode *inode)
{
	atomic_store_explicit(&d->inode, inode, memory_order_release);
}

void dentry_unhash(struct dentry *d)
{
	mutex_lock(&dcache_lock);
	hash_remove(d);
	d->deleted = true;
	mutex_unlock(&dcache_lock);
}

char *dentry_name_copy(const char *name)
{
	size_t size = strlen(name) + 1;
	char *copy = kmalloc(size);

	return copy ? memcpy(copy, name, size) : NULL;
}

/* Hashes an entry at another place. The answer is its old name, if that is to be freed. dcache_lock held. */
static char *place_set(struct dentry *d, struct dentry *parent, char *name)
{
	char *old = d->name != d->inline_name ? d->name : NULL;
	size_t len = strlen(name);

	d->name = name;
	d->name_len = (uint32_t)len;
	d->parent = parent;
	d->hash = name_hash(parent, name, len);
	hash_insert(d);
	return old;
}

void dentry_move(struct dentry *d, struct dentry *parent, char *name)
{
	struct dentry *old_parent;
	char *old_name;

	dentry_get(parent);
	mutex_lock(&dcache_lock);
	hash_remove(d);
	old_parent = d->parent;
	old_name = place_set(d, parent, name);
	mutex_unlock(&dcache_lock);
	kfree(old_name);
	dentry_put(old_parent);
}

void dentry_exchange(struct dentry *a, struct dentry *b, char *name_a, char *name_b)
{
	struct dentry *parent_a = a->parent, *parent_b = b->parent;
	char *old_a, *old_b;

	mutex_lock(&dcache_lock);
	hash_remove(a);
	hash_remove(b);
	old_a = place_set(a, parent_b, name_a);
	old_b = place_set(b, parent_a, name_b);
	mutex_unlock(&dcache_lock);
	kfree(old_a);
	kfree(old_b);
}

struct dentry *dentry_parent_get(struct dentry *d)
{
	mutex_lock(&dcache_lock);
	while (d->parent == d && d->covers)
		d = d->covers;
	d = d->parent;
	dentry_get(d);
	mutex_unlock(&dcache_lock);
	return d;
}

void dentry_name(struct dentry *d, char name[NAME_MAX + 1])
{
	mutex_lock(&dcache_lock);
	memcpy(name, d->name, d->name_len + 1);
	mutex_unlock(&dcache_lock);
}

bool dentry_is_below(struct dentry *d, struct dentry *ancestor)
{
	bool below = false;

	mutex_lock(&dcache_lock);
	for (;;) {
		if (d == ancestor) {
			below = true;
			break;
		}
		if (d->parent != d)
			d = d->parent;
		else if (d->covers)
			d = d->covers;
		else
			break;
	}
	mutex_unlock(&dcache_lock);
	return below;
}

ssize_t dentry_path(struct dentry *d, char *buf, size_t size)
{
	static const char gone[] = " (deleted)";
	size_t at = size;
	bool deleted;

	if (size < 2)
		return -ENAMETOOLONG;
	mutex_lock(&dcache_lock);
	deleted = d->deleted;
	buf[--at] = 0;
	if (deleted) {
		if (at < sizeof(gone)) {
			mutex_unlock(&dcache_lock);
			return -ENAMETOOLONG;
		}
		at -= sizeof(gone) - 1;
		memcpy(buf + at, gone, sizeof(gone) - 1);
	}
	for (;;) {
		while (d->parent == d && d->covers)
			d = d->covers;
		if (d->parent == d)
			break;
		if (at < d->name_len + 1u) {
			mutex_unlock(&dcache_lock);
			return -ENAMETOOLONG;
		}
		at -= d->name_len;
		memcpy(buf + at, d->name, d->name_len);
		buf[--at] = '/';
		d = d->parent;
	}
	mutex_unlock(&dcache_lock);
	if (buf[at] != '/') {
		if (!at)
			return -ENAMETOOLONG;
		buf[--at] = '/';
	}
	memmove(buf, buf + at, size - at);
	return size - at - 1;
}
