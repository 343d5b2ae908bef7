/*
 * kernel/linux/timerfd.c - timers that are read like files.
 *
 * As on Linux a periodic timer that expired is not set again until somebody looks: the periods
 * that passed are counted then, from the clock. A timer that nobody reads costs one wake-up.
 * The clock alone says whether a timer is due: the timer service's thread may come late, so whoever looks
 * counts an expiry that it has not counted yet.
 *
 * Interface: sys_timerfd_create, sys_timerfd_settime, sys_timerfd_gettime.
 * Locking:   timerfd->lock guards all of it; the timer service's lock is below.
 * Errors:    -EINVAL, -EAGAIN, -ERESTARTSYS, -EFAULT, -ENOMEM.
 * Known:     a deadline on CLOCK_REALTIME is converted when it is set; a later clock_settime neither moves
 *            nor cancels it (TFD_TIMER_CANCEL_ON_SET is accepted).
 */
#include "linux/syscall.h"
#include "linux/timers.h"
#include "linux/timespec.h"
#include "core/ktimer.h"
#include "core/uaccess.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/time.h>
#include <linux/timerfd.h>

struct timerfd {
	struct mutex lock;
	struct waitq wait;
	struct ktimer timer;
	int clock;
	bool armed;            /* `next` means something */
	bool expired;          /* it passed and was counted once; a periodic timer stands still */
	uint64_t next_ns;      /* monotonic */
	uint64_t interval_ns;  /* 0: once */
	uint64_t ticks;        /* expirations not read yet */
	int settime_flags;
};

/* Counts an expiry that nobody has counted, and wakes those who wait for it. lock held. */
static void timerfd_expire(struct timerfd *t)
{
	if (!t->armed || t->expired || t->next_ns > clock_monotonic_ns())
		return;
	t->expired = true;
	t->ticks++;
	waitq_wake_all(&t->wait, EPOLLIN);
}

static void timerfd_fire(struct ktimer *kt)
{
	struct timerfd *t = container_of(kt, struct timerfd, timer);

	mutex_lock(&t->lock);
	timerfd_expire(t); /* nothing, if somebody looked or set it anew while we were on the way */
	mutex_unlock(&t->lock);
}

/* Counts the periods that passed since the expiry and sets the timer for the next. lock held. */
static void timerfd_catch_up(struct timerfd *t)
{
	uint64_t now, passed;

	timerfd_expire(t);
	if (!t->expired || !t->interval_ns)
		return;
	now = clock_monotonic_ns();
	passed = now > t->next_ns ? (now - t->next_ns) / t->interval_ns : 0;
	t->ticks += passed;
	t->next_ns += (passed + 1) * t->interval_ns;
	t->expired = false;
	ktimer_arm(&t->timer, t->next_ns);
}

static ssize_t timerfd_read(struct file *f, uaddr_t buf, size_t len, uint64_t pos)
{
	struct timerfd *t = f->priv;
	uint64_t ticks;
	int r = 0;

	if (len < sizeof(ticks))
		return -EINVAL;
	mutex_lock(&t->lock);
	for (;;) {
		timerfd_expire(t);
		if (t->ticks)
			break;
		if (r || (f->flags & O_NONBLOCK)) {
			mutex_unlock(&t->lock);
			return r ? -ERESTARTSYS : -EAGAIN;
		}
		r = waitq_wait(&t->wait, &t->lock, DEADLINE_NEVER, true);
	}
	timerfd_catch_up(t);
	ticks = t->ticks;
	t->ticks = 0;
	mutex_unlock(&t->lock);
	r = put_user(buf, ticks);
	return r ? r : (ssize_t)sizeof(ticks);
}

static unsigned timerfd_poll(struct file *f, struct poll_table *pt)
{
	struct timerfd *t = f->priv;
	unsigned events;

	mutex_lock(&t->lock);
	timerfd_expire(t); /* before we are on the queue: it wakes the others */
	poll_attach(pt, &t->wait, &t->lock);
	events = t->ticks ? EPOLLIN : 0;
	mutex_unlock(&t->lock);
	return events;
}

/* Time left and interval. lock held. */
static void timerfd_value(struct timerfd *t, struct __kernel_itimerspec *value)
{
	timerfd_catch_up(t);
	value->it_value = ns_to_timespec(t->armed && !t->expired ? deadline_left(t->next_ns) : 0);
	value->it_interval = ns_to_timespec(t->interval_ns);
}

static int timerfd_show(struct file *f, char *buf, size_t size)
{
	struct timerfd *t = f->priv;
	struct __kernel_itimerspec v;
	uint64_t ticks;
	int flags;

	mutex_lock(&t->lock);
	timerfd_value(t, &v);
	ticks = t->ticks;
	flags = t->settime_flags;
	mutex_unlock(&t->lock);
	return snprintf(buf, size,
			"clockid: %d\nticks: %llu\nsettime flags: 0%o\nit_value: (%llu, %llu)\n"
			"it_interval: (%llu, %llu)\n", t->clock, (unsigned long long)ticks, flags,
			(unsigned long long)v.it_value.tv_sec, (unsigned long long)v.it_value.tv_nsec,
			(unsigned long long)v.it_interval.tv_sec,
			(unsigned long long)v.it_interval.tv_nsec);
}

static void timerfd_release(struct file *f)
{
	struct timerfd *t = f->priv;

	ktimer_cancel(&t->timer);
	kfree(t);
}

static const struct file_ops timerfd_ops = {
	.read = timerfd_read,
	.poll = timerfd_poll,
	.release = timerfd_release,
	.show_fdinfo = timerfd_show,
};

long sys_timerfd_create(int clock, int flags)
{
	struct timerfd *t;
	struct file *f;
	int fd;

	if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) || !timer_clock_known(clock))
		return -EINVAL;
	if (ktimer_start())
		return -ENOMEM;
	t = kzalloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	mutex_init(&t->lock, "timerfd");
	waitq_init(&t->wait);
	ktimer_init(&t->timer, timerfd_fire);
	t->clock = clock;
	f = file_new_anon("anon_inode:[timerfd]", 0600, &timerfd_ops,
			  O_RDWR | (flags & TFD_NONBLOCK), t);
	if (IS_ERR(f)) {
		kfree(t);
		return PTR_ERR(f);
	}
	fd = fd_install(f, 0, flags & TFD_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

/* The timerfd of a descriptor; *f is referenced. Or an encoded error. */
static struct timerfd *timerfd_get(int fd, struct file **f)
{
	*f = fd_get_io(fd);
	if (!*f)
		return ERR_PTR(-EBADF);
	if ((*f)->ops != &timerfd_ops) {
		file_put(*f);
		return ERR_PTR(-EINVAL);
	}
	return (*f)->priv;
}

static void timerfd_set(struct timerfd *t, int flags, uint64_t value, uint64_t interval)
{
	ktimer_disarm(&t->timer);
	t->ticks = 0;
	t->expired = false;
	t->interval_ns = interval;
	t->armed = value != 0;
	t->settime_flags = flags;
	if (!t->armed)
		return;
	t->next_ns = timer_deadline(t->clock, flags & TFD_TIMER_ABSTIME, value);
	ktimer_arm(&t->timer, t->next_ns);
}

long sys_timerfd_settime(int fd, int flags, uaddr_t value, uaddr_t old)
{
	struct __kernel_itimerspec spec, before;
	uint64_t value_ns, interval_ns;
	struct timerfd *t;
	struct file *f;
	long r;

	r = get_user(spec, value);
	if (r)
		return r;
	if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) ||
	    timespec_to_ns(&spec.it_value, &value_ns) ||
	    timespec_to_ns(&spec.it_interval, &interval_ns))
		return -EINVAL;
	t = timerfd_get(fd, &f);
	if (IS_ERR(t))
		return PTR_ERR(t);
	mutex_lock(&t->lock);
	timerfd_value(t, &before);
	timerfd_set(t, flags, value_ns, interval_ns);
	mutex_unlock(&t->lock);
	file_put(f);
	return old ? put_user(old, before) : 0;
}

long sys_timerfd_gettime(int fd, uaddr_t value)
{
	struct __kernel_itimerspec now;
	struct timerfd *t;
	struct file *f;

	t = timerfd_get(fd, &f);
	if (IS_ERR(t))
		return PTR_ERR(t);
	mutex_lock(&t->lock);
	timerfd_value(t, &now);
	mutex_unlock(&t->lock);
	file_put(f);
	return put_user(value, now);
}
