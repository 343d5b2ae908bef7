/*
 * kernel/linux/timers.c - POSIX timers, interval timers, alarm.
 *
 * A timer sends its signal when it expires and, if periodic, is set again at once. While its last signal
 * still waits in the queue no second one is sent; the expirations are counted and reported as
 * the overrun when the signal is taken (timer_signal_taken). Whether it still waits is asked from the signal
 * queues as well, because a signal that was ignored is never taken.
 *
 * Interface: timer_create, timer_settime, timer_gettime, timer_getoverrun, timer_delete, getitimer,
 *            setitimer, alarm; timers.h.
 * Locking:   set->lock guards a process's timers. It is taken below the lock of the process's signals
 *            (timer_signal_taken), so it is never held while a signal is sent or asked for.
 *            A timer is unlinked before it is cancelled; `deleted` keeps its function from arming it.
 * Errors:    Linux's: -EINVAL, -EFAULT, -ENOMEM, -EAGAIN; -EOPNOTSUPP for CPU-time clocks.
 */
#include "linux/timers.h"
#include "linux/process.h"
#include "linux/signal.h"
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
	int signo;
	int tid;               /* SIGEV_THREAD_ID */
	int si_code;
	sigval_t value;
	bool armed, deleted;
	uint64_t next_ns;      /* monotonic */
	uint64_t interval_ns;  /* 0: once */
	bool queued;           /* its signal was sent and not taken yet */
	int overrun;           /* expirations since it was sent */
	int last_overrun;      /* of the signal taken last */
};

/* All of a process: list of POSIX timers and the one of setitimer and alarm. */
struct timer_set {
	struct mutex lock;
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
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM) {
		int64_t mono = (int64_t)ns - clock_realtime_offset_ns();

		return mono > 0 ? mono : 0;
	}
	return ns;
}

/* --- expiry ------------------------------------------------------------------------------------ */

/* Whether the timer's signal waits in the queue it was sent to. t: the target, NULL for the process. */
static bool signal_waits(struct posix_timer *pt, struct thread *t)
{
	uint64_t sets[5];
	struct thread *any = t;

	if (!any) {
		mutex_lock(&process_list_lock);
		if (!list_empty(&pt->process->threads)) {
			any = list_first(&pt->process->threads, struct thread, process_link);
			thread_get(any);
		}
		mutex_unlock(&process_list_lock);
		if (!any)
			return false;
	}
	signal_sets(any, sets);
	if (!t)
		thread_put(any);
	return sets[t ? 0 : 1] & SIGSET_BIT(pt->signo);
}

/* The timer expired, and `missed` more of its periods passed before we came. */
static void timer_notify(struct posix_timer *pt, struct timer_set *set, uint64_t missed)
{
	struct thread *t = NULL;
	siginfo_t info;
	bool send;

	if (pt->notify == SIGEV_NONE)
		return;
	if (pt->notify == SIGEV_THREAD_ID) {
		t = thread_find(pt->tid);
		if (!t)
			return;
		if (t->process != pt->process) {
			thread_put(t);
			return;
		}
	}
	mutex_lock(&set->lock);
	send = !pt->queued;
	mutex_unlock(&set->lock);
	if (!send)
		send = !signal_waits(pt, t);
	mutex_lock(&set->lock);
	if (send) {
		pt->overrun = MIN(missed, (uint64_t)OVERRUN_MAX);
		pt->queued = pt->si_code == SI_TIMER;
	} else {
		pt->overrun = MIN(pt->overrun + 1 + missed, (uint64_t)OVERRUN_MAX);
	}
	mutex_unlock(&set->lock);
	if (send) {
		signal_info(&info, pt->signo, pt->si_code);
		if (pt->si_code == SI_TIMER) {
			info.si_tid = pt->id;
			info.si_overrun = 0;
			info.si_value = pt->value;
		}
		if (t)
			signal_send_thread(t, pt->signo, &info);
		else
			signal_send_process(pt->process, pt->signo, &info);
	}
	if (t)
		thread_put(t);
}

static void timer_fire(struct ktimer *kt)
{
	struct posix_timer *pt = container_of(kt, struct posix_timer, timer);
	struct timer_set *set = pt->process->timers;
	uint64_t now = clock_monotonic_ns(), missed = 0;
	bool due;

	mutex_lock(&set->lock);
	due = pt->armed && !pt->deleted && pt->next_ns <= now;
	if (due && pt->interval_ns) {
		missed = (now - pt->next_ns) / pt->interval_ns;
		pt->next_ns += (missed + 1) * pt->interval_ns;
		ktimer_arm(&pt->timer, pt->next_ns);
	} else if (due) {
		pt->armed = false;
	}
	mutex_unlock(&set->lock);
	if (due)
		timer_notify(pt, set, missed);
}

void timer_signal_taken(struct process *p, siginfo_t *info)
{
	struct timer_set *set = p->timers;
	struct posix_timer *pt;

	if (!set)
		return;
	mutex_lock(&set->lock);
	list_for_each(pt, &set->timers, link) {
		if (pt->id != info->si_tid || !pt->queued)
			continue;
		pt->queued = false;
		pt->last_overrun = pt->overrun;
		info->si_overrun = pt->overrun;
		break;
	}
	mutex_unlock(&set->lock);
}

/* --- setting (set->lock held) ------------------------------------------------------------------ */

static void timer_value(struct posix_timer *pt, uint64_t *left, uint64_t *interval)
{
	/* An armed timer never reads 0: that would say it is not armed. */
	*left = pt->armed ? MAX(deadline_left(pt->next_ns), 1ull) : 0;
	*interval = pt->interval_ns;
}

static void timer_set_value(struct posix_timer *pt, bool absolute, uint64_t value, uint64_t interval)
{
	ktimer_disarm(&pt->timer);
	pt->interval_ns = interval;
	pt->armed = value != 0;
	pt->queued = false;
	pt->overrun = 0;
	if (!pt->armed)
		return;
	pt->next_ns = timer_deadline(pt->clock, absolute, value);
	ktimer_arm(&pt->timer, pt->next_ns);
}

/* --- the set of a process ------------------------------------------------------------------------ */

/* The current process's set, made on first use; NULL: no memory. */
static struct timer_set *timers_get(void)
{
	struct process *p = current_process();
	struct timer_set *set = NULL;

	if (ktimer_start())
		return NULL;
	mutex_lock(&p->lock);
	if (!p->timers) {
		set = kzalloc(sizeof(*set));
		if (set) {
			mutex_init(&set->lock, "timers");
			list_init(&set->timers);
			ktimer_init(&set->real.timer, timer_fire);
			set->real.process = p;
			set->real.clock = CLOCK_MONOTONIC;
			set->real.notify = SIGEV_SIGNAL;
			set->real.signo = SIGALRM;
			set->real.si_code = SI_KERNEL;
			p->timers = set;
		}
	}
	set = p->timers;
	mutex_unlock(&p->lock);
	return set;
}

void timers_free(struct process *p)
{
	struct timer_set *set = p->timers;
	struct posix_timer *pt;

	if (!set)
		return;
	mutex_lock(&set->lock);
	set->real.deleted = true;
	list_for_each(pt, &set->timers, link)
		pt->deleted = true;
	mutex_unlock(&set->lock);
	/* Functions that run now still use the set, those that come later find `deleted`. */
	ktimer_cancel(&set->real.timer);
	while (!list_empty(&set->timers)) {
		pt = list_first(&set->timers, struct posix_timer, link);
		ktimer_cancel(&pt->timer);
		list_del(&pt->link);
		kfree(pt);
	}
	p->timers = NULL;
	kfree(set);
}

/* Locks the set and finds the timer, or NULL with nothing locked. */
static struct posix_timer *timer_lock(int id, struct timer_set **set_out)
{
	struct timer_set *set = current_process()->timers;
	struct posix_timer *pt;

	if (!set)
		return NULL;
	mutex_lock(&set->lock);
	list_for_each(pt, &set->timers, link) {
		if (pt->id == id) {
			*set_out = set;
			return pt;
		}
	}
	mutex_unlock(&set->lock);
	return NULL;
}

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
	if (!timer_clock_known(clock))
		return clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID || clock < 0 ?
			       -EOPNOTSUPP : -EINVAL;
	r = timer_event_check(&ev);
	if (r)
		return r;
	set = timers_get();
	pt = set ? kzalloc(sizeof(*pt)) : NULL;
	if (!pt)
		return -EAGAIN;
	ktimer_init(&pt->timer, timer_fire);
	pt->process = current_process();
	pt->clock = clock;
	pt->notify = ev.sigev_notify;
	pt->signo = ev.sigev_signo;
	pt->tid = ev._sigev_un._tid;
	pt->si_code = SI_TIMER;
	pt->value = ev.sigev_value;
	mutex_lock(&set->lock);
	id = pt->id = set->next_id;
	set->next_id = (set->next_id + 1) & INT32_MAX;
	if (!event)
		pt->value.sival_int = id;
	list_push_back(&set->timers, &pt->link);
	mutex_unlock(&set->lock);
	r = put_user(id_out, id);
	if (r)
		sys_timer_delete(id);
	return r;
}

long sys_timer_delete(int id)
{
	struct timer_set *set;
	struct posix_timer *pt = timer_lock(id, &set);

	if (!pt)
		return -EINVAL;
	pt->deleted = true;
	list_del(&pt->link);
	mutex_unlock(&set->lock);
	ktimer_cancel(&pt->timer);
	kfree(pt);
	return 0;
}

long sys_timer_settime(int id, int flags, uaddr_t value, uaddr_t old)
{
	struct __kernel_itimerspec spec, before;
	uint64_t value_ns, interval_ns, left, period;
	struct timer_set *set;
	struct posix_timer *pt;
	long r;

	if (!value)
		return -EINVAL;
	r = get_user(spec, value);
	if (r)
		return r;
	if (timespec_to_ns(&spec.it_value, &value_ns) || timespec_to_ns(&spec.it_interval, &interval_ns))
		return -EINVAL;
	pt = timer_lock(id, &set);
	if (!pt)
		return -EINVAL;
	timer_value(pt, &left, &period);
	timer_set_value(pt, flags & TIMER_ABSTIME, value_ns, interval_ns);
	mutex_unlock(&set->lock);
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
	struct timer_set *set;
	struct posix_timer *pt = timer_lock(id, &set);

	if (!pt)
		return -EINVAL;
	timer_value(pt, &left, &period);
	mutex_unlock(&set->lock);
	now.it_value = ns_to_timespec(left);
	now.it_interval = ns_to_timespec(period);
	return put_user(value, now);
}

long sys_timer_getoverrun(int id)
{
	struct timer_set *set;
	struct posix_timer *pt = timer_lock(id, &set);
	int n;

	if (!pt)
		return -EINVAL;
	n = pt->last_overrun;
	mutex_unlock(&set->lock);
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
	mutex_lock(&set->lock);
	timer_value(&set->real, left, period);
	timer_set_value(&set->real, false, value, interval);
	mutex_unlock(&set->lock);
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
	struct timer_set *set = current_process()->timers;
	uint64_t left = 0, period = 0;
	struct itimer_value now;

	if (which != ITIMER_REAL)
		return -EINVAL;
	if (set) {
		mutex_lock(&set->lock);
		timer_value(&set->real, &left, &period);
		mutex_unlock(&set->lock);
	}
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
