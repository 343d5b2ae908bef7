/*
 * kernel/net/unix_name.c - names of AF_UNIX sockets.
 *
 * A name is abstract (the path begins with a zero byte) or a node of the file system, which bind()
 * makes. All named sockets are in one list: there are few, and a search happens at connect() and at
 * datagrams with an address only.
 *
 * Locking:   names_lock guards the list. A socket leaves it before its last reference can go,
 *            so one that is found can be referenced. Paths are resolved outside of it.
 * Errors:    bind: -EINVAL, -EADDRINUSE, those of creating a file; find: -ECONNREFUSED, -EPROTOTYPE, those of
 *            a path.
 */
#include "net/unix_private.h"
#include "fs/inode.h"
#include "linux/process.h"
#include "lib/string.h"
#include "mm/mm.h"

#define UNIX_PATH_MAX 108
#define AUTOBIND_NAMES 0x100000u

static struct mutex names_lock = MUTEX_INIT("unix names");
static struct list names = LIST_INIT(names);
static unsigned autobind_next;

static bool addr_is_path(const struct socket_addr *a)
{
	return a->len > UNIX_PATH_OFFSET && a->bytes[UNIX_PATH_OFFSET] != '\0';
}

/* Checks family and length; a path is terminated and its length made exact. 0 or -EINVAL. */
static int addr_normalize(const struct socket_addr *in, struct socket_addr *out)
{
	size_t path;

	if (in->len <= UNIX_PATH_OFFSET || in->len > UNIX_PATH_OFFSET + UNIX_PATH_MAX ||
	    in->family != AF_UNIX)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	memcpy(out->bytes, in->bytes, in->len);
	out->len = in->len;
	if (addr_is_path(out)) {
		path = strnlen(out->bytes + UNIX_PATH_OFFSET, in->len - UNIX_PATH_OFFSET);
		out->len = UNIX_PATH_OFFSET + path + 1;
		out->bytes[UNIX_PATH_OFFSET + path] = '\0';
	}
	return 0;
}

/* names_lock held. */
static struct unix_sock *find_abstract(const struct socket_addr *a, int type)
{
	struct unix_sock *u;

	list_for_each(u, &names, name_link)
		if (!u->dentry && u->base.type == type && u->addr.len == a->len &&
		    !memcmp(u->addr.bytes, a->bytes, a->len))
			return u;
	return NULL;
}

static struct unix_sock *find_inode(struct inode *inode)
{
	struct unix_sock *u;

	list_for_each(u, &names, name_link)
		if (u->dentry && dentry_inode(u->dentry) == inode)
			return u;
	return NULL;
}

/* Gives the socket its name, which nobody else has. -EINVAL if it has one. names_lock held. */
static int name_set(struct unix_sock *u, const struct socket_addr *a, struct dentry *d)
{
	int r = -EINVAL;

	mutex_lock(&u->lock);
	if (!u->addr.len) {
		u->addr = *a;
		u->dentry = d;
		list_push_back(&names, &u->name_link);
		r = 0;
	}
	mutex_unlock(&u->lock);
	return r;
}

static int bind_abstract(struct unix_sock *u, const struct socket_addr *a)
{
	int r;

	mutex_lock(&names_lock);
	r = find_abstract(a, u->base.type) ? -EADDRINUSE : name_set(u, a, NULL);
	mutex_unlock(&names_lock);
	return r;
}

/* A name of five hexadecimal digits that nobody has. */
static int bind_auto(struct unix_sock *u)
{
	struct socket_addr a = { 0 };
	int r = -ENOSPC;

	a.family = AF_UNIX;
	a.len = UNIX_PATH_OFFSET + 6;
	mutex_lock(&names_lock);
	for (unsigned tries = 0; tries < AUTOBIND_NAMES; tries++) {
		snprintf(a.bytes + UNIX_PATH_OFFSET + 1, 6, "%05x", autobind_next++ % AUTOBIND_NAMES);
		if (!find_abstract(&a, u->base.type)) {
			r = name_set(u, &a, NULL);
			break;
		}
	}
	mutex_unlock(&names_lock);
	return r;
}

static int bind_path(struct unix_sock *u, const struct socket_addr *a)
{
	const char *path = a->bytes + UNIX_PATH_OFFSET;
	uint32_t umask = atomic_load_explicit(&current_process()->fs->umask, memory_order_relaxed);
	struct dentry *d;
	int r;

	r = path_create(NULL, path, S_IFSOCK | (0777 & ~umask), 0, NULL);
	if (r)
		return r == -EEXIST ? -EADDRINUSE : r;
	d = path_lookup(NULL, path, 0);
	if (IS_ERR(d))
		return PTR_ERR(d);
	mutex_lock(&names_lock);
	r = name_set(u, a, d);
	mutex_unlock(&names_lock);
	if (r)
		dentry_put(d);
	return r;
}

int unix_bind(struct socket *s, const struct socket_addr *addr)
{
	struct unix_sock *u = container_of(s, struct unix_sock, base);
	struct socket_addr a;
	bool named;
	int r;

	if (addr->len == UNIX_PATH_OFFSET && addr->family == AF_UNIX)
		return bind_auto(u);
	r = addr_normalize(addr, &a);
	if (r)
		return r;
	/* Before a node is made in the file system; two binds at once are caught in name_set(). */
	mutex_lock(&u->lock);
	named = u->addr.len;
	mutex_unlock(&u->lock);
	if (named)
		return -EINVAL;
	return addr_is_path(&a) ? bind_path(u, &a) : bind_abstract(u, &a);
}

static struct unix_sock *find_path(const char *path, int type)
{
	struct dentry *d = path_lookup(NULL, path, LOOKUP_FOLLOW);
	struct unix_sock *u;

	if (IS_ERR(d))
		return (struct unix_sock *)d;
	mutex_lock(&names_lock);
	u = find_inode(dentry_inode(d));
	if (!u)
		u = ERR_PTR(-ECONNREFUSED);
	else if (u->base.type != type)
		u = ERR_PTR(-EPROTOTYPE);
	else
		unix_get(u);
	mutex_unlock(&names_lock);
	dentry_put(d);
	return u;
}

struct unix_sock *unix_name_find(const struct socket_addr *addr, int type)
{
	struct socket_addr a;
	struct unix_sock *u;
	int r = addr_normalize(addr, &a);

	if (r)
		return ERR_PTR(r);
	if (addr_is_path(&a))
		return find_path(a.bytes + UNIX_PATH_OFFSET, type);
	mutex_lock(&names_lock);
	u = find_abstract(&a, type);
	if (u)
		unix_get(u);
	mutex_unlock(&names_lock);
	return u ? u : ERR_PTR(-ECONNREFUSED);
}

void unix_name_remove(struct unix_sock *u)
{
	mutex_lock(&names_lock);
	if (!list_empty(&u->name_link))
		list_del(&u->name_link);
	mutex_unlock(&names_lock);
	if (u->dentry)
		dentry_put(u->dentry);
}
