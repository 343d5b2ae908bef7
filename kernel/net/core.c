/*
 * kernel/net/core.c - lwIP in this kernel: the core lock, the network thread, time, memory and chance.
 *
 * Theory:    net/net.h. The thread sleeps until a device has something or the next timer is due: a connection's (net/tcp_conn.h) or
 *            one of lwIP's others (net/timer.h). Whoever leaves the core lock looks whether a timer became due earlier than the thread
 *            believes, and wakes it then.
 * Locking:   core_lock. `wake_ns` is changed under it only; `timers_changed` and devices' `wanted` are looked at between
 *            sleep_prepare() and the sleep, so that no wake-up is lost.
 * Memory:    everything that lwIP allocates comes from kmalloc without reclaim and is counted (lwip_stats.mem.used). Above
 *            the limit the sockets stop to open windows and to take connections; lwIP itself answers a failed allocation
 *            by dropping the frame, which its sender repeats.
 * Errors:    an assertion of lwIP that fails is a panic.
 */
#include "net/net.h"
#include "net/config.h"
#include "net/counters.h"
#include "net/device.h"
#include "net/inet.h"
#include "net/memory.h"
#include "net/stats.h"
#include "net/tcp_conn.h"
#include "net/tcp_syn.h"
#include "net/timer.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/random.h"
#include "core/thread.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "net/port/hooks.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/sys.h"

#define POLL_BUDGET 64 /* frames of a device until the core lock is given up once */
#define TIMER_SLACK_NS 2000000 /* a deadline that is earlier by less than this is none */
#define STATS_LOOK_EVERY (1 << 20) /* takes of the core lock; in one far fewer than 4,096 things of a kind are counted */
#define MEMORY_SHARE 8 /* part of memory that the network may keep */
#define OOSEQ_BUFFERS 512 /* out of order, of a connection: its window in segments of 1 KiB */
#define OOSEQ_BUFFERS_SHORT 16

static struct mutex core_lock = MUTEX_INIT("network core");
static _Atomic bool core_lock_woken; /* mutex_unlock_open() */
static struct thread *_Atomic net_thread; /* set by itself, before it can sleep */
/* When the thread looks at the timers by itself; 0 while it is not about to sleep. */
static _Atomic uint64_t wake_ns;
/* A timer has become due before that. */
static _Atomic bool timers_changed;
static uint64_t memory_limit = MIB(16);
/* By which sequence numbers are made of connections. Drawn at boot. */
static uint64_t isn_key[2];

/* --- the lock ------------------------------------------------------------------------------------------ */

void net_lock(void)
{
	uint64_t start;

	if (!mutex_trylock(&core_lock)) {
		start = clock_monotonic_ns();
		mutex_lock(&core_lock);
		net_lock_counters.contended++;
		net_lock_counters.waited_ns += clock_monotonic_ns() - start;
	}
	if (!(++net_lock_counters.taken % STATS_LOOK_EVERY))
		net_stats_look();
	tcp_conn_clock(clock_monotonic_ns());
}

static uint64_t timer_due_ns(void) { return MIN(tcp_conn_due_ns(), net_timers_due_ns()); }

static bool local_waits(void)
{
	struct netif *n;

	NETIF_FOREACH(n)
		if (n->loop_first)
			return true;
	return false;
}

/* Delivers what was sent, and says what is due next. True: frames left the machine. */
static bool finish(void)
{
	/* Between addresses of two interfaces the answer may wait at one that has been looked at already. */
	do
		netif_poll_all();
	while (local_waits());
	tcp_conn_settle();
	return net_devices_flush();
}

void net_unlock(void)
{
	uint64_t wake_at, due;
	bool wake = false;

	if (finish())
		net_timers_look(clock_monotonic_ns());
	wake_at = atomic_load_explicit(&wake_ns, memory_order_relaxed);
	due = timer_due_ns();
	if (due < wake_at && wake_at - due > TIMER_SLACK_NS) {
		atomic_store_explicit(&timers_changed, true, memory_order_release);
		wake = true;
	}
	mutex_unlock_open(&core_lock, &core_lock_woken);
	if (wake)
		thread_wake(atomic_load(&net_thread));
}

/* --- the thread ------------------------------------------------------------------------------------------ */

static bool devices_want(void)
{
	struct net_device *dev;

	list_for_each(dev, &net_devices, link)
		if (atomic_load_explicit(&dev->wanted, memory_order_acquire))
			return true;
	return false;
}

/* True if a device had something. */
static bool devices_poll(void)
{
	struct net_device *dev;
	bool any = false;

	list_for_each(dev, &net_devices, link) {
		if (!atomic_exchange_explicit(&dev->wanted, false, memory_order_acq_rel))
			continue;
		any = true;
		/* Who waits for room comes before those whose acknowledgements are about to be read: they send more, and would have it all. Who finds
		 * none now waits for the device's next interrupt: it is on its list of waiters only when this hold of the lock ends, so trying
		 * once more behind the poll would find nobody, and forget that somebody waits. */
		net_transmit_retry(dev);
		if (dev->poll(dev, POLL_BUDGET) || dev->idle(dev))
			atomic_store_explicit(&dev->wanted, true, memory_order_release);
	}
	return any;
}

void net_device_wake(struct net_device *dev)
{
	struct thread *t = atomic_load(&net_thread);

	if (!atomic_exchange(&dev->wanted, true) && t)
		thread_wake(t);
}

static void net_main(void *arg)
{
	atomic_store(&net_thread, current);
	for (;;) {
		uint64_t due, now;

		net_lock();
		atomic_store_explicit(&wake_ns, 0, memory_order_relaxed);
		now = clock_monotonic_ns();
		if (devices_poll())
			net_timers_look(now);
		tcp_conn_run(now);
		net_timers_run(now);
		/* Before the question what is due, so that this thread does not wake itself. */
		if (finish())
			net_timers_look(now);
		due = timer_due_ns();
		atomic_store_explicit(&timers_changed, false, memory_order_relaxed);
		atomic_store_explicit(&wake_ns, due, memory_order_relaxed);
		net_unlock();
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (devices_want() || atomic_load_explicit(&timers_changed, memory_order_acquire))
			sleep_cancel();
		else
			sleep_until(due);
	}
}

void net_init(void)
{
	struct mem_stats m;

	mem_stats_get(&m);
	memory_limit = MAX(m.total / MEMORY_SHARE, MIB(2));
	random_bytes(isn_key, sizeof(isn_key));
	tcp_syn_init();
	net_lock();
	lwip_init();
	tcp_conn_init();
	net_loopback_init();
	net_unlock();
	inet_init();
}

void net_start(void)
{
	net_devices_start();
	net_config_start();
	if (IS_ERR(thread_create_kernel("network", net_main, NULL)))
		panic("no memory for the network's thread");
}

/* --- memory ------------------------------------------------------------------------------------------------ */

void *net_heap_alloc(size_t size) { return kmalloc_flags(size, ALLOC_NORECLAIM); }

void *net_heap_zalloc(size_t n, size_t size)
{
	void *p = n && size > SIZE_MAX / n ? NULL : net_heap_alloc(n * size);

	if (p)
		memset(p, 0, n * size);
	return p;
}

void net_heap_free(void *p) { kfree(p); }

_Atomic int64_t net_held;

uint64_t net_memory_kept(void)
{
	int64_t held = atomic_load_explicit(&net_held, memory_order_relaxed);

	return lwip_stats.mem.used + (uint64_t)MAX(held, (int64_t)0);
}

uint64_t net_memory_limit(void) { return memory_limit; }
bool net_memory_short(void) { return net_memory_kept() > memory_limit; }
bool net_memory_tight(void) { return net_memory_kept() > memory_limit + memory_limit / 2; }
bool net_memory_exhausted(void) { return net_memory_kept() > 2 * memory_limit; }

unsigned net_ooseq_limit(void) { return net_memory_short() ? OOSEQ_BUFFERS_SHORT : OOSEQ_BUFFERS; }

/* --- what lwIP asks for ------------------------------------------------------------------------------------- */

u32_t sys_now(void) { return (u32_t)(clock_monotonic_ns() / 1000000); }

uint32_t net_random(void) { return (uint32_t)random_u64(); }

void net_mac_random(uint8_t mac[6])
{
	random_bytes(mac, 6);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* of one station, administered locally */
}

u32_t net_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port)
{
	uint64_t words[5] = { 0 };

	memcpy(words, local_ip, IP_IS_V6(local_ip) ? 16 : 4);
	memcpy(words + 2, remote_ip, IP_IS_V6(remote_ip) ? 16 : 4);
	words[4] = (uint64_t)local_port << 16 | remote_port;
	/* The clock of RFC 6528 ticks every 4 microseconds. */
	return (u32_t)(siphash(isn_key, words, 5) + clock_monotonic_ns() / 4000);
}

void net_diag(const char *fmt, ...)
{
	char line[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_debug("network: %s", line);
}

_Noreturn void net_assert_failed(const char *message, const char *file, int line)
{
	panic("network: %s (%s:%d)", message, file, line);
}
