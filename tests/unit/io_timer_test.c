/*
 * tests/unit/io_timer_test.c - the timer service and timerfd on the host.
 */
// sources: tests/unit/io_shim.c tests/unit/io_host.c kernel/core/mutex.c kernel/core/waitq.c kernel/core/ktimer.c kernel/lib/heap.c kernel/linux/timerfd.c kernel/linux/epoll.c
// flags: -Itests/unit -pthread -ffreestanding
#include "io_shim.h"
#include "core/ktimer.h"
#include "linux/timers.h"
#include <linux/eventpoll.h>
#include <linux/time_types.h>
#include <stdio.h>
#include <stdlib.h>

#define MS 1000000ull
#define NONBLOCK 04000

bool timer_clock_known(int clock) { return clock == 1; }
uint64_t timer_deadline(int clock, bool absolute, uint64_t ns)
{
	return absolute ? ns : clock_monotonic_ns() + ns;
}

struct probe {
	struct ktimer timer;
	uint64_t due;
	_Atomic int fired;
	_Atomic bool inside;
	_Atomic uint64_t late;
	int again;
};

static _Atomic int order_broken, all_fired;
static uint64_t last_due;

static void probe_fire(struct ktimer *t)
{
	struct probe *p = container_of(t, struct probe, timer);
	uint64_t now = clock_monotonic_ns();

	p->inside = true;
	if (now < p->due || p->due < last_due)
		order_broken++;
	last_due = p->due;
	p->late = now - p->due;
	p->fired++;
	all_fired++;
	p->inside = false;
}

static void timers_fire_in_order(void)
{
	static struct probe p[500];
	uint64_t now;
	int disarmed = 0, fired = 0;

	CHECK_EQ(ktimer_start(), 0);
	now = clock_monotonic_ns() + 1000 * MS; /* all are armed by then, on a busy host too */
	srand(3);
	for (int i = 0; i < 500; i++) {
		ktimer_init(&p[i].timer, probe_fire);
		p[i].due = now + rand() % 100 * MS;
		ktimer_arm(&p[i].timer, p[i].due);
	}
	for (int i = 0; i < 500; i += 3)
		disarmed += ktimer_disarm(&p[i].timer);
	CHECK_EQ(disarmed, 167);
	/* The last is due after 1100 ms; a busy host may need longer. */
	for (int wait = 0; wait < 100 && all_fired < 333; wait++)
		io_sleep_ms(100);
	io_sleep_ms(100); /* those that were disarmed must not come */
	for (int i = 0; i < 500; i++) {
		CHECK_EQ(p[i].fired, i % 3 != 0);
		fired += p[i].fired;
	}
	CHECK_EQ(fired, 333);
	CHECK_EQ(order_broken, 0);
}

static void slow_fire(struct ktimer *t)
{
	struct probe *p = container_of(t, struct probe, timer);

	p->inside = true;
	io_sleep_ms(60);
	p->fired++;
	if (p->again--)
		ktimer_arm(t, clock_monotonic_ns());
	p->inside = false;
}

static void cancel_waits_for_the_function(void)
{
	struct probe p = { .again = 1000 };
	int fired;

	ktimer_init(&p.timer, slow_fire);
	ktimer_arm(&p.timer, clock_monotonic_ns());
	while (!p.inside)
		io_sleep_ms(1);
	ktimer_cancel(&p.timer); /* it arms itself again meanwhile */
	CHECK_EQ(p.inside, false);
	fired = p.fired; /* on a busy host more than once before that */
	CHECK(fired >= 1);
	io_sleep_ms(80);
	CHECK_EQ(p.fired, fired);
	CHECK_EQ(ktimer_cancel(&p.timer), false);
}

static void an_earlier_timer_overtakes(void)
{
	struct probe far = { 0 }, near = { 0 };

	last_due = 0;
	ktimer_init(&far.timer, probe_fire);
	ktimer_init(&near.timer, probe_fire);
	far.due = clock_monotonic_ns() + 10000 * MS;
	ktimer_arm(&far.timer, far.due);
	io_sleep_ms(20);
	near.due = clock_monotonic_ns() + 20 * MS;
	ktimer_arm(&near.timer, near.due);
	for (int wait = 0; wait < 50 && !near.fired; wait++)
		io_sleep_ms(100);
	CHECK_EQ(near.fired, 1);
	CHECK_EQ(far.fired, 0);
	CHECK_EQ(ktimer_cancel(&far.timer), true);
}

static void timerfd_counts(void)
{
	struct __kernel_itimerspec v = { .it_value = { 0, 20 * MS }, .it_interval = { 0, 20 * MS } }, old;
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int fd = sys_timerfd_create(1, NONBLOCK), ep = sys_epoll_create1(0);
	uint64_t ticks, start;

	CHECK_EQ(sys_timerfd_create(99, 0), -EINVAL);
	CHECK_EQ(io_read(fd, &ticks, 8), -EAGAIN);
	CHECK_EQ(sys_epoll_ctl(ep, EPOLL_CTL_ADD, fd, U(&e)), 0);
	start = clock_monotonic_ns();
	CHECK_EQ(sys_timerfd_settime(fd, 0, U(&v), 0), 0);
	CHECK_EQ(sys_epoll_wait(ep, U(&e), 1, 1000), 1);
	io_sleep_ms(90);
	CHECK_EQ(io_read(fd, &ticks, 8), 8);
	CHECK(ticks >= 4 && ticks <= (clock_monotonic_ns() - start) / (20 * MS));
	CHECK_EQ(sys_epoll_wait(ep, U(&e), 1, 1000), 1);
	v.it_value.tv_sec = 100;
	v.it_interval.tv_nsec = 0;
	CHECK_EQ(sys_timerfd_settime(fd, 0, U(&v), U(&old)), 0);
	CHECK_EQ(old.it_interval.tv_nsec, 20 * MS);
	CHECK_EQ(sys_timerfd_gettime(fd, U(&old)), 0);
	CHECK(old.it_value.tv_sec >= 99);
	CHECK_EQ(io_read(fd, &ticks, 8), -EAGAIN);
	v.it_value.tv_nsec = 1000000000;
	CHECK_EQ(sys_timerfd_settime(fd, 0, U(&v), 0), -EINVAL);
	CHECK_EQ(sys_timerfd_gettime(ep, U(&old)), -EINVAL);
	io_close(fd);
	io_close(ep);
}

int main(void)
{
	io_init();
	RUN(timers_fire_in_order);
	RUN(cancel_waits_for_the_function);
	RUN(an_earlier_timer_overtakes);
	RUN(timerfd_counts);
	return 0;
}
