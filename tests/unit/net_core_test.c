/*
 * tests/unit/net_core_test.c - what the network thread does with devices, and who wakes it: the order in which a device's turn goes, whom nobody
 * forgets, and timers that become due earlier than the thread believes.
 *
 * Devices, timers and lwIP are the test's, and write down when they are called.
 */
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include "../../kernel/net/core.c"
#include "check.h"

#define MS 1000000ull
#define DEVICES 2

struct list net_devices = LIST_INIT(net_devices);
struct netif *netif_list;
struct net_lock_counters net_lock_counters;
static struct net_device devices[DEVICES];
static struct netif loop;
static char calls[64];          /* a letter and the device's number each */
static unsigned ncalls;
static bool more[DEVICES], came[DEVICES];
static unsigned wakes, deliveries, to_deliver;
static bool held, woken_under_the_lock, frames_left;
static uint64_t now_ns = 1000 * MS, tcp_due_ns, timers_due_ns;
static unsigned looks;

static void note(char what, const struct net_device *dev)
{
	calls[ncalls++] = what;
	calls[ncalls++] = (char)('0' + (dev - devices));
}

void net_transmit_retry(struct net_device *dev) { note('r', dev); }

static bool poll_device(struct net_device *dev, unsigned budget)
{
	note('p', dev);
	return more[dev - devices];
}

static bool idle_device(struct net_device *dev)
{
	note('i', dev);
	return came[dev - devices];
}

uint64_t clock_monotonic_ns(void) { return now_ns; }
uint64_t tcp_conn_due_ns(void) { return tcp_due_ns; }
uint64_t net_timers_due_ns(void) { return timers_due_ns; }
void net_timers_look(uint64_t at_ns) { looks++; }
void tcp_conn_clock(uint64_t at_ns) {}
void tcp_conn_settle(void) {}
bool net_devices_flush(void) { return frames_left; }
void net_stats_look(void) {}
bool mutex_trylock(struct mutex *m) { return held = true; }
void mutex_unlock_open(struct mutex *m, _Atomic bool *woken) { held = false; }

bool thread_wake(struct thread *t)
{
	wakes++;
	woken_under_the_lock |= held;
	return true;
}

/* Each look at the interfaces delivers one packet, and what answers it is another. */
void netif_poll_all(void)
{
	deliveries++;
	if (to_deliver)
		to_deliver--;
	loop.loop_first = to_deliver ? (struct pbuf *)&loop : NULL;
}

/* What a turn called. */
static bool turn(const char *expected, bool any)
{
	bool said;

	memset(calls, 0, sizeof(calls));
	ncalls = 0;
	said = devices_poll();
	if (said == any && !strcmp(calls, expected))
		return true;
	printf("# said %d, called %s, not %s\n", said, calls, expected);
	return false;
}

/* Does who leaves the core lock wake the thread, which sleeps until then, when something is due? */
static bool wakes_for(uint64_t sleeps_until, uint64_t tcp, uint64_t others)
{
	unsigned before = wakes;

	atomic_store(&wake_ns, sleeps_until);
	atomic_store(&timers_changed, false);
	tcp_due_ns = tcp;
	timers_due_ns = others;
	net_lock();
	net_unlock();
	if ((wakes - before != 0) != atomic_load(&timers_changed))
		check("who_is_woken_knows_why", false, "it does not, or was not woken");
	return wakes != before && atomic_load(&timers_changed);
}

static void test_turns(void)
{
	check("nobody_is_polled_for_nothing", turn("", false), "somebody is");
	net_device_wake(&devices[1]);
	check("who_waits_for_room_comes_before_what_has_come_in", turn("r1p1i1", true), "it does not, or comes twice");
	check("a_turn_is_one_turn", turn("", false), "it is polled again");
	net_device_wake(&devices[0]);
	net_device_wake(&devices[1]);
	check("everybody_has_a_turn", turn("r0p0i0r1p1i1", true), "somebody has none");
	/* One that is not done yet is asked for no interrupt. */
	net_device_wake(&devices[0]);
	more[0] = true;
	check("who_has_more_is_not_idle", turn("r0p0", true) && devices_want(), "it is asked for an interrupt, or forgotten");
	more[0] = false;
	check("it_goes_on_in_the_next_turn", turn("r0p0i0", true) && !devices_want(), "it does not, or does not end");
	net_device_wake(&devices[0]);
	came[0] = true;
	check("what_comes_in_between_is_not_forgotten", turn("r0p0i0", true) && devices_want(), "it is");
	came[0] = false;
	check("it_has_a_turn_of_its_own", turn("r0p0i0", true) && !devices_want(), "it has not");
}

static void test_wakes(void)
{
	struct thread *sleeper = (struct thread *)&loop;

	atomic_store(&net_thread, NULL);
	net_device_wake(&devices[0]);
	check("before_there_is_a_thread_none_is_woken", wakes == 0 && devices_want(), "one is, or the device is forgotten");
	turn("r0p0i0", true);
	atomic_store(&net_thread, sleeper);
	net_device_wake(&devices[0]);
	net_device_wake(&devices[0]);
	check("many_interrupts_wake_once", wakes == 1, "they wake more often, or never");
	turn("r0p0i0", true);
	net_device_wake(&devices[0]);
	check("the_next_after_a_turn_wakes_again", wakes == 2, "it does not");
	turn("r0p0i0", true);
}

static void test_timers(void)
{
	uint64_t at = now_ns + 100 * MS;

	check("nothing_earlier_wakes_nobody", !wakes_for(at, at, at) && !wakes_for(at, at + MS, DEADLINE_NEVER), "it does");
	check("an_earlier_timer_wakes", wakes_for(at, at - 50 * MS, at) && wakes_for(at, at, at - 50 * MS) && wakes_for(DEADLINE_NEVER, at, DEADLINE_NEVER), "it does not");
	check("a_little_earlier_is_not_worth_it", !wakes_for(at, at - MS, at), "it wakes");
	check("nor_who_is_awake", !wakes_for(0, at - 50 * MS, at), "it does");
	check("the_lock_is_open_for_the_woken", !woken_under_the_lock, "it was woken under the lock");
}

static void test_delivery(void)
{
	unsigned before = looks;

	deliveries = 0;
	to_deliver = 5;
	net_lock();
	net_unlock();
	check("answers_to_answers_are_delivered", deliveries == 5 && !loop.loop_first, "they wait");
	check("what_stays_here_concerns_no_timer", looks == before, "timers are looked at");
	frames_left = true;
	net_lock();
	net_unlock();
	frames_left = false;
	check("what_leaves_may_concern_one", looks == before + 1, "timers are not looked at");
}

int main(void)
{
	netif_list = &loop;
	for (unsigned i = 0; i < DEVICES; i++) {
		devices[i].poll = poll_device;
		devices[i].idle = idle_device;
		list_push_back(&net_devices, &devices[i].link);
	}
	test_turns();
	test_wakes();
	test_timers();
	test_delivery();
	return failed;
}
