/*
 * kernel/fs/devfs.c - /dev: a tmpfs with the usual character devices.
 *
 * Interface: devfs_populate() at boot; chrdev_open() when such an inode is opened, on whichever file
 *            system it lies.
 * Locking:   none; the devices have no state.
 * Errors:    -ENXIO for a device that does not exist.
 */
#include "fs/inode.h"
#include "core/log.h"
#include "core/random.h"
#include "core/thread.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include <linux/eventpoll.h>
#include <linux/random.h>

#define DEV(major, minor) ((uint64_t)(major) << 8 | (minor))

static ssize_t null_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos) { return 0; }
static ssize_t null_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos) { return len; }

/* Has so much been moved that a signal need not wait for the rest? The calls here never wait, but may be for 2 GiB. */
static bool interrupted(size_t done) { return done >= PAGE_SIZE && signal_pending(); }

static ssize_t zero_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	size_t done = 0;

	while (done < len && !interrupted(done)) {
		size_t n = MIN(len - done, PAGE_SIZE - (buf + done) % PAGE_SIZE); /* a fault is the whole piece's */

		if (clear_user(buf + done, n))
			return done ? (ssize_t)done : -EFAULT;
		done += n;
	}
	return (ssize_t)done;
}

/* Nobody counts them, and stores are no changes of the device. */
static const struct pagecache_ops zero_pages;

/* A mapping of /dev/zero is memory: each open file gets a cache of its own when it is mapped first. */
static struct pagecache *zero_map(struct file *f)
{
	static struct mutex lock = MUTEX_INIT("/dev/zero");
	struct pagecache *c;

	mutex_lock(&lock);
	c = f->priv;
	if (!c) {
		c = kzalloc(sizeof(*c));
		if (c) {
			pagecache_init(c, &zero_pages, f->inode);
			atomic_store(&c->size_bytes, (uint64_t)INT64_MAX & ~(PAGE_SIZE - 1));
			f->priv = c;
		}
	}
	mutex_unlock(&lock);
	return c ? c : ERR_PTR(-ENOMEM);
}

static void zero_release(struct file *f)
{
	struct pagecache *c = f->priv;

	if (c) {
		pagecache_destroy(c);
		kfree(c);
	}
}

static ssize_t full_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos) { return -ENOSPC; }

static ssize_t random_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	char bytes[256];
	size_t done = 0, left = 0;

	while (done < len && !left && (done % PAGE_SIZE || !interrupted(done))) {
		size_t n = MIN(len - done, sizeof(bytes));

		random_bytes(bytes, n);
		left = copy_to_user_partial(buf + done, bytes, n);
		done += n - left;
	}
	memset(bytes, 0, sizeof(bytes));
	return done || !left ? (ssize_t)done : -EFAULT;
}

static ssize_t random_write(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	char bytes[256];
	size_t done = 0;

	while (done < len && (done % PAGE_SIZE || !interrupted(done))) {
		size_t n = MIN(len - done, sizeof(bytes));

		if (copy_from_user(bytes, buf + done, n))
			return done ? (ssize_t)done : -EFAULT;
		random_mix(bytes, n, 0); /* mixed in, but trusted for nothing */
		done += n;
	}
	return (ssize_t)done;
}

static long random_ioctl(struct file *f, unsigned cmd, uaddr_t arg)
{
	return cmd == RNDGETENTCNT ? put_user(arg, 256) : -EINVAL;
}

static unsigned always_ready(struct file *f, struct poll_table *pt)
{
	return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
}

static int64_t null_lseek(struct file *f, int64_t off, int whence)
{
	f->pos = 0;
	return 0;
}

static const struct file_ops null_ops = {
	.read = null_read, .write = null_write, .lseek = null_lseek, .poll = always_ready,
	.no_position = true, .swallows = true,
};
static const struct file_ops zero_ops = {
	.read = zero_read, .write = null_write, .lseek = null_lseek, .poll = always_ready,
	.no_position = true, .swallows = true, .map = zero_map, .release = zero_release,
};
static const struct file_ops full_ops = {
	.read = zero_read, .write = full_write, .lseek = null_lseek, .poll = always_ready, .no_position = true,
};
static const struct file_ops random_ops = {
	.read = random_read, .write = random_write, .lseek = null_lseek, .poll = always_ready,
	.no_position = true, .ioctl = random_ioctl,
};

static const struct {
	const char *path;
	uint64_t rdev;
	uint32_t mode;
	const struct file_ops *ops; /* NULL: the console */
} devices[] = {
	{ "/dev/null", DEV(1, 3), 0666, &null_ops },
	{ "/dev/zero", DEV(1, 5), 0666, &zero_ops },
	{ "/dev/full", DEV(1, 7), 0666, &full_ops },
	{ "/dev/random", DEV(1, 8), 0666, &random_ops },
	{ "/dev/urandom", DEV(1, 9), 0666, &random_ops },
	{ "/dev/tty", DEV(5, 0), 0666, NULL },
	{ "/dev/console", DEV(5, 1), 0600, NULL },
};

static const struct { const char *path, *target; } links[] = {
	{ "/dev/fd", "/proc/self/fd" },
	{ "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
};

int chrdev_open(struct inode *inode, struct file *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct inode *console;

		if (devices[i].rdev != inode->rdev)
			continue;
		if (devices[i].ops) {
			f->ops = devices[i].ops;
			return 0;
		}
		if (inode->rdev == DEV(5, 0) && !console_is_tty())
			return -ENXIO; /* no controlling terminal */
		/* The file moves over to the inode of the stream. */
		console = console_inode(file_writable(f) ? 1 : 0);
		if (IS_ERR(console))
			return PTR_ERR(console);
		f->inode = console;
		f->ops = console->fops;
		inode_put(inode);
		return 0;
	}
	return -ENXIO;
}

int devfs_populate(void)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(devices) && !r; i++)
		r = path_create(root_dentry, devices[i].path, S_IFCHR | devices[i].mode, devices[i].rdev,
				NULL);
	for (size_t i = 0; i < ARRAY_SIZE(links) && !r; i++)
		r = path_create(root_dentry, links[i].path, S_IFLNK | 0777, 0, links[i].target);
	return r;
}
