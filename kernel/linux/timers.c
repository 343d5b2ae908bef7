/*
 * kernel/linux/timers.c - POSIX timers, interval timers, alarm.
 *
 * A timer sends its signal when it expires. A periodic one is set again only when that signal is taken from its queue, as on Linux: the
 * periods that passed are counted then, from the clock, and reported as the overrun. So a timer whose signal nobody takes
 * costs one wake-up, however short its period. The same holds for one whose signal is ignored: it goes on when the signal is wanted
 * again (timers_wanted). A timer that notifies nobody is only looked at.
 *
 * A POSIX timer has a record of its own for its signal, so that sending cannot fail and its signal is told from others of
 * the same number. The interval timer sends an ordinary SIGALRM, and any SIGALRM to the process that is taken sets it again.
 *
 * Interface: timer_create, timer_settime, timer_gettime, timer_getoverrun, timer_delete, getitimer,
 *            setitimer, alarm; timers.h.
 * Locking:   signal_lock() guards a process's timers. ktimer's lock is below.
 *            A timer is unlinked before it is cancelled; `deleted` keeps its function from doing anything.
 * Errors:    Linux's: -EINVAL, -EFAULT, -ENOMEM, -EAGAIN; -EOPNOTSUPP for CPU-time clocks.
 */
#include "linux/timers.h"
#include "linux/process.h"
#include "linux/signal_private.h"
#include "linux/syscall.h"
#include "linux/timespec.h"
#include "core/ktimer.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/time.h>

#define OVERRUN_MAX INT32_MAX
#define SIGNAL_LAST 64

struct posix_timer {
	struct list link;
	struct ktimer timer;
	struct process *process;
	int id;
	int clock;
	int notify;            /* SIGEV_* */
	int tid;               /* SIGEV_THREAD_ID; else 0 */
	struct queued_signal record; /* its signal, linked while that waits */
	bool armed, deleted;
	bool expired;          /* armed, and stands still until its signal is taken */
	uint64_t next_ns;      /* monotonic; of one that has expired: when it did, or later (forward()) */
	uint64_t interval_ns;  /* 0: once */
	uint64_t passed;       /* expirations that next_ns has been moved over since the signal was sent */
	int last_overrun;      /* of the signal taken last */
};

/* All of a process: list of POSIX timers and the one of setitimer and alarm. */
struct timer_set {
	struct list timers;
	int next_id;
	struct posix_timer real;
};

bool timer_clock_known(int clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return true;
	}
	return false;
}

uint64_t timer_deadline(int clock, bool absolute, uint64_t ns)
{
	if (!absolute)
		return deadline_after(ns);
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM || clock == CLOCK_TAI) {
		int64_t mono = (int64_t)ns - clock_realtime_offset_ns();

		return mono > 0 ? mono : 0;
	}
	return ns;
}

/* --- expiry ------------------------------------------------------------------------------------ */

static bool is_interval_timer(const struct posix_timer *pt) { return pt->record.info.si_code != SI_TIMER; }

/* Moves the expiry of a periodic timer past `now`, and counts the expirations on the way. */
static void forward(struct posix_timer *pt, uint64_t now)
{
	uint64_t n;

	if (!pt->interval_ns || pt->next_ns > now)
		return;
	n = (now - pt->next_ns) / pt->interval_ns + 1;
	pt->next_ns += n * pt->interval_ns;
	pt->passed += n;
}

static void timer_fire(struct ktimer *kt)
{
	struct posix_timer *pt = container_of(kt, struct posix_timer, timer);
	struct process *p = pt->process;

	mutex_lock(&process_list_lock);
	mutex_lock(signal_lock(p));
	/* Not if it was set anew or its signal was sent while we were on the way. One that expired before was ignored then. */
	if (pt->armed && !pt->deleted &&
	    (pt->expired ? list_empty(&pt->record.link) : pt->next_ns <= clock_monotonic_ns())) {
		pt->armed = pt->expired = pt->interval_ns != 0;
		if (is_interval_timer(pt))
			signal_send_process_locked(p, SIGALRM, &pt->record.info);
		else
			signal_send_record(p, pt->tid, &pt->record);
	}
	mutex_unlock(signal_lock(p));
	mutex_unlock(&process_list_lock);
}

/* Sets a periodic timer that has expired for its next period. */
static void timer_go_on(struct posix_timer *pt)
{
	forward(pt, clock_monotonic_ns());
	pt->expired = false;
	ktimer_arm(&pt->timer, pt->next_ns);
}

void timer_signal_taken(struct posix_timer *pt, siginfo_t *info)
{
	if (!pt->expired)
		return;
	timer_go_on(pt);
	/* The first of them sent the signal. */
	pt->last_overrun = info->si_overrun = (int)MIN(pt->passed - 1, (uint64_t)OVERRUN_MAX);
	pt->passed = 0;
}

void itimer_signal_taken(struct process *p)
{
	if (p->timers && p->timers->real.expired)
		timer_go_on(&p->timers->real);
}

void timers_wanted(struct process *p, int sig)
{
	struct posix_timer *pt;

	if (!p->timers)
		return;
	list_for_each(pt, &p->timers->timers, link) {
		if (pt->expired && pt->record.info.si_signo == sig && list_empty(&pt->record.link))
			ktimer_arm(&pt->timer, 0);
	}
}

/* --- setting (signal_lock() held) ---------------------------------------------------------------- */

static void timer_value(struct posix_timer *pt, uint64_t *left, uint64_t *interval)
{
	uint64_t now = clock_monotonic_ns();

	*left = 0;
	*interval = pt->interval_ns;
	if (!pt->armed || (pt->expired && is_interval_timer(pt)))
		return;
	if (pt->expired || pt->notify == SIGEV_NONE)
		forward(pt, now);
	if (pt->next_ns > now)
		*left = pt->next_ns - now;
	else if (pt->notify != SIGEV_NONE)
		*left = 1; /* 0 would say that it is not armed, and it has not expired yet */
}

static void timer_set_value(struct posix_timer *pt, bool absolute, uint64_t value, uint64_t interval)
{
	ktimer_disarm(&pt->timer);
	signal_unqueue_record(&pt->record);
	pt->armed = value != 0;
	pt->expired = false;
	pt->interval_ns = pt->armed ? interval : 0;
	pt->passed = 0;
	pt->last_overrun = 0;
	if (!pt->armed)
		return;
	pt->next_ns = timer_deadline(pt->clock, absolute, value);
	if (pt->notify != SIGEV_NONE)
		ktimer_arm(&pt->timer, pt->next_ns);
}

static void timer_init(struct posix_timer *pt, int clock, int signo, int code)
{
	ktimer_init(&pt->timer, timer_fire);
	pt->process = current_process();
	pt->clock = clock;
	list_init(&pt->record.link);
	pt->record.timer = pt;
	signal_info(&pt->record.info, signo, code);
}

/* --- the set of a process ------------------------------------------------------------------------ */

/* The current process's set, made on first use; NULL: no memory. */
static struct timer_set *timers_get(void)
{
	struct process *p = current_process();
	struct timer_set *set;

	if (ktimer_start())
		return NULL;
	mutex_lock(signal_lock(p));
	set = p->timers;
	if (!set) {
		set = kzalloc(sizeof(*set));
		if (set) {
			list_init(&set->timers);
			timer_init(&set->real, CLOCK_MONOTONIC, SIGALRM, SI_KERNEL);
			p->timers = set;
		}
	}
	mutex_unlock(signal_lock(p));
	return set;
}

void timers_free(struct process *p)
{
	struct timer_set *set = p->timers;
	struct posix_timer *pt;

	if (!set)
		return;
	mutex_lock(signal_lock(p));
	p->timers = NULL;
	set->real.deleted = true;
	list_for_each(pt, &set->timers, link) {
		pt->deleted = true;
		signal_unqueue_record(&pt->record);
	}
	mutex_unlock(signal_lock(p));
	/* Functions that run now still use the set, those that come later find `deleted`. */
	ktimer_cancel(&set->real.timer);
	while (!list_empty(&set->timers)) {
		pt = list_first(&set->timers, struct posix_timer, link);
		ktimer_cancel(&pt->timer);
		list_del(&pt->link);
		kfree(pt);
	}
	kfree(set);
}

/* Locks the current process's timers and finds one, or NULL with nothing locked. */
static struct posix_timer *timer_lock(int id)
{
	struct process *p = current_process();
	struct posix_timer *pt;

	mutex_lock(signal_lock(p));
	if (p->timers) {
		list_for_each(pt, &p->timers->timers, link) {
			if (pt->id == id)
				return pt;
		}
	}
	mutex_unlock(signal_lock(p));
	return NULL;
}

static void timer_unlock(void) { mutex_unlock(signal_lock(current_process())); }

/* --- POSIX timers --------------------------------------------------------------------------------- */

static int timer_event_check(const sigevent_t *ev)
{
	struct thread *t;
	bool ours;

	if (ev->sigev_notify == SIGEV_NONE)
		return 0;
	if (ev->sigev_notify != SIGEV_SIGNAL && ev->sigev_notify != SIGEV_THREAD &&
	    ev->sigev_notify != SIGEV_THREAD_ID)
		return -EINVAL;
	if (ev->sigev_signo < 1 || ev->sigev_signo > SIGNAL_LAST)
		return -EINVAL;
	if (ev->sigev_notify != SIGEV_THREAD_ID)
		return 0;
	t = thread_find(ev->_sigev_un._tid);
	if (!t)
		return -EINVAL;
	ours = t->process == current_process();
	thread_put(t);
	return ours ? 0 : -EINVAL;
}

long sys_timer_create(int clock, uaddr_t event, uaddr_t id_out)
{
	sigevent_t ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct timer_set *set;
	struct posix_timer *pt;
	int id;
	long r;

	if (event) {
		r = get_user(ev, event);
		if (r)
			return r;
	}
	if (!timer_clock_known(clock) && clock != CLOCK_TAI)
		return clock > CLOCK_TAI ? -EINVAL : -EOPNOTSUPP; /* the latter for clocks that can only be read */
	r = timer_event_check(&ev);
	if (r)
		return r;
	set = timers_get();
	pt = set ? kzalloc(sizeof(*pt)) : NULL;
	if (!pt)
		return -EAGAIN;
	timer_init(pt, clock, ev.sigev_signo, SI_TIMER);
	pt->notify = ev.sigev_notify;
	if (pt->notify == SIGEV_THREAD_ID)
		pt->tid = ev._sigev_un._tid;
	mutex_lock(signal_lock(current_process()));
	id = pt->id = set->next_id;
	set->next_id = (set->next_id + 1) & INT32_MAX;
	if (!event)
		ev.sigev_value.sival_int = id;
	pt->record.info.si_tid = id;
	pt->record.info.si_value = ev.sigev_value;
	list_push_back(&set->timers, &pt->link);
	timer_unlock();
	r = put_user(id_out, id);
	if (r)
		sys_timer_delete(id);
	return r;
}

long sys_timer_delete(int id)
{
	struct posix_timer *pt = timer_lock(id);

	if (!pt)
		return -EINVAL;
	pt->deleted = true;
	list_del(&pt->link);
	signal_unqueue_record(&pt->record);
	timer_unlock();
	ktimer_cancel(&pt->timer);
	kfree(pt);
	return 0;
}

long sys_timer_settime(int id, int flags, uaddr_t value, uaddr_t old)
{
	struct __kernel_itimerspec spec, before;
	uint64_t value_ns, interval_ns, left, period;
	struct posix_timer *pt;
	long r;

	if (!value)
		return -EINVAL;
	r = get_user(spec, value);
	if (r)
		return r;
	if (timespec_to_ns(&spec.it_value, &value_ns) || timespec_to_ns(&spec.it_interval, &interval_ns))
		return -EINVAL;
	pt = timer_lock(id);
	if (!pt)
		return -EINVAL;
	timer_value(pt, &left, &period);
	timer_set_value(pt, flags & TIMER_ABSTIME, value_ns, interval_ns);
	timer_unlock();
	if (!old)
		return 0;
	before.it_value = ns_to_timespec(left);
	before.it_interval = ns_to_timespec(period);
	return put_user(old, before);
}

long sys_timer_gettime(int id, uaddr_t value)
{
	struct __kernel_itimerspec now;
	uint64_t left, period;
	struct posix_timer *pt = timer_lock(id);

	if (!pt)
		return -EINVAL;
	timer_value(pt, &left, &period);
	timer_unlock();
	now.it_value = ns_to_timespec(left);
	now.it_interval = ns_to_timespec(period);
	return put_user(value, now);
}

long sys_timer_getoverrun(int id)
{
	struct posix_timer *pt = timer_lock(id);
	int n;

	if (!pt)
		return -EINVAL;
	n = pt->last_overrun;
	timer_unlock();
	return n;
}

/* --- interval timers ------------------------------------------------------------------------------- */

struct itimer_value { /* struct itimerval */
	struct __kernel_old_timeval interval, value;
};

static int timeval_to_ns(const struct __kernel_old_timeval *tv, uint64_t *ns)
{
	struct __kernel_timespec ts = { tv->tv_sec, tv->tv_usec * 1000 };

	if (tv->tv_usec < 0 || tv->tv_usec >= 1000000)
		return -EINVAL;
	return timespec_to_ns(&ts, ns);
}

static struct __kernel_old_timeval ns_to_timeval(uint64_t ns)
{
	/* Rounded up: an armed timer must not read 0. */
	ns = (ns + 999) / 1000;
	return (struct __kernel_old_timeval){ ns / 1000000, ns % 1000000 };
}

/* Replaces the real-time interval timer's value and answers the old one. 0 or -ENOMEM. */
static int itimer_swap(uint64_t value, uint64_t interval, uint64_t *left, uint64_t *period)
{
	struct timer_set *set = timers_get();

	if (!set)
		return -ENOMEM;
	mutex_lock(signal_lock(current_process()));
	timer_value(&set->real, left, period);
	timer_set_value(&set->real, false, value, interval);
	timer_unlock();
	return 0;
}

long sys_setitimer(int which, uaddr_t value, uaddr_t old)
{
	struct itimer_value new = { 0 }, before;
	uint64_t value_ns, interval_ns, left, period;
	long r;

	if (value) {
		r = get_user(new, value);
		if (r)
			return r;
	}
	if (which != ITIMER_REAL || timeval_to_ns(&new.value, &value_ns) ||
	    timeval_to_ns(&new.interval, &interval_ns))
		return -EINVAL;
	r = itimer_swap(value_ns, interval_ns, &left, &period);
	if (r || !old)
		return r;
	before.value = ns_to_timeval(left);
	before.interval = ns_to_timeval(period);
	return put_user(old, before);
}

long sys_getitimer(int which, uaddr_t value)
{
	struct process *p = current_process();
	uint64_t left = 0, period = 0;
	struct itimer_value now;

	if (which != ITIMER_REAL)
		return -EINVAL;
	mutex_lock(signal_lock(p));
	if (p->timers)
		timer_value(&p->timers->real, &left, &period);
	timer_unlock();
	now.value = ns_to_timeval(left);
	now.interval = ns_to_timeval(period);
	return put_user(value, now);
}

long sys_alarm(unsigned seconds)
{
	uint64_t left, period;

	if (itimer_swap(seconds * NSEC_PER_SEC, 0, &left, &period))
		return 0;
	/* Rounded to the nearest second, but never to "none". */
	if (left && left < NSEC_PER_SEC)
		return 1;
	return (left + NSEC_PER_SEC / 2) / NSEC_PER_SEC;
}
