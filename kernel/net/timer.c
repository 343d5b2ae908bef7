/*
 * kernel/net/timer.c - lwIP's timers but TCP's, which are run only while something waits for them.
 *
 * Theory:    lwIP wants each of its timer functions called at a fixed interval for ever. Most of the time there is nothing that they would do: no
 *            datagram is incomplete, no address is asked for, no report of a group is pending. So each has a function that looks into lwIP's
 *            state and says how urgent it is. Not at all: it is not called, and its clock stands still. Now: at its interval.
 *            Some count down lifetimes of minutes (ARP, neighbours, routers, prefixes). While nothing else is to be done these are
 *            called for several intervals at once, LAZY_NS apart; an entry lives that much longer at most. When something becomes urgent
 *            meanwhile, one call an interval is made, and the intervals that are owed come afterwards: a probe must not
 *            be sent three times in a row.
 *            What makes something urgent is a frame that came or went; so state is looked at a moment after
 *            that (LOOK_NS), not in between. A question that did not even leave, for want of memory, makes none: who has it asked says so itself.
 * Locking:   core lock.
 * Errors:    none.
 */
#include "net/timer.h"
#include "net/path_mtu.h"
#include "net/unreach.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/stats.h"
#include "lwip/timeouts.h"

#define LOOK_NS 50000000
#define LAZY_NS 5000000000ull
#define OWED_MAX 3600

enum urgency { URGENCY_NONE, URGENCY_LAZY, URGENCY_NOW };

static bool in_use(memp_t pool) { return lwip_stats.memp[pool]->used > 0; }

static enum urgency reassembly(void) { return in_use(MEMP_REASSDATA) ? URGENCY_NOW : URGENCY_NONE; }
static enum urgency reassembly6(void) { return in_use(MEMP_IP6_REASSDATA) ? URGENCY_NOW : URGENCY_NONE; }

/* An entry that is asked for has a packet that waits; what else there is of an entry only gets old. */
static enum urgency arp(void)
{
	struct eth_addr *eth;
	struct netif *netif;
	ip4_addr_t *ip;

	if (in_use(MEMP_ARP_QUEUE))
		return URGENCY_NOW;
	for (size_t i = 0; i < ARP_TABLE_SIZE; i++)
		if (etharp_get_entry(i, &ip, &netif, &eth))
			return URGENCY_LAZY;
	return URGENCY_NONE;
}

static enum urgency igmp_report(void)
{
	struct netif *n;

	NETIF_FOREACH(n)
		for (struct igmp_group *g = netif_igmp_data(n); g; g = g->next)
			if (g->timer)
				return URGENCY_NOW;
	return URGENCY_NONE;
}

static enum urgency mld_report(void)
{
	struct netif *n;

	NETIF_FOREACH(n)
		for (struct mld_group *g = netif_mld6_data(n); g; g = g->next)
			if (g->timer)
				return URGENCY_NOW;
	return URGENCY_NONE;
}

/* Own addresses: tentative ones, and those that end; and routers that are still asked for. */
static enum urgency nd_interface(const struct netif *n)
{
	enum urgency u = URGENCY_NONE;

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		u8_t state = netif_ip6_addr_state(n, i);

		if (ip6_addr_istentative(state))
			return URGENCY_NOW;
		if (!ip6_addr_isinvalid(state) && !netif_ip6_addr_isstatic(n, i))
			u = URGENCY_LAZY;
	}
	if (n->rs_count && netif_is_up(n) && netif_is_link_up(n) && !ip6_addr_isinvalid(netif_ip6_addr_state(n, 0)) &&
	    !ip6_addr_isduplicated(netif_ip6_addr_state(n, 0)))
		return URGENCY_NOW;
	return u;
}

static enum urgency nd(void)
{
	enum urgency u = URGENCY_NONE;
	struct netif *n;

	NETIF_FOREACH(n) {
		enum urgency of = nd_interface(n);

		u = of > u ? of : u;
	}
	for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		u8_t state = neighbor_cache[i].state;

		if (state == ND6_INCOMPLETE || state == ND6_DELAY || state == ND6_PROBE || (state != ND6_NO_ENTRY && neighbor_cache[i].q))
			return URGENCY_NOW;
		if (state != ND6_NO_ENTRY && u == URGENCY_NONE)
			u = URGENCY_LAZY;
	}
	for (int i = 0; i < LWIP_ND6_NUM_ROUTERS && u == URGENCY_NONE; i++)
		if (default_router_list[i].neighbor_entry)
			u = URGENCY_LAZY;
	for (int i = 0; i < LWIP_ND6_NUM_PREFIXES && u == URGENCY_NONE; i++)
		if (prefix_list[i].netif)
			u = URGENCY_LAZY;
	return u;
}

static enum urgency path_known(void) { return path_mtu_known() ? URGENCY_LAZY : URGENCY_NONE; }
static enum urgency neighbour_silent(void) { return unreach_waiting() ? URGENCY_NOW : URGENCY_NONE; }

static struct net_timer {
	void (*run)(void);
	enum urgency (*look)(void);
	unsigned interval_ms;
	bool running;
	bool urgent;      /* it was when it was looked at last */
	uint64_t last_ns; /* the time up to which its intervals have been counted */
	uint64_t due_ns;
	unsigned owed;    /* intervals that have been counted and not called */
} timers[] = {
	{ .run = ip_reass_tmr, .look = reassembly, .interval_ms = IP_TMR_INTERVAL },
	{ .run = ip6_reass_tmr, .look = reassembly6, .interval_ms = IP6_REASS_TMR_INTERVAL },
	{ .run = etharp_tmr, .look = arp, .interval_ms = ARP_TMR_INTERVAL },
	{ .run = igmp_tmr, .look = igmp_report, .interval_ms = IGMP_TMR_INTERVAL },
	{ .run = nd6_tmr, .look = nd, .interval_ms = ND6_TMR_INTERVAL },
	{ .run = unreach_check, .look = neighbour_silent, .interval_ms = UNREACH_CHECK_MS },
	{ .run = path_mtu_check, .look = path_known, .interval_ms = PATH_MTU_CHECK_MS },
	{ .run = mld6_tmr, .look = mld_report, .interval_ms = MLD6_TMR_INTERVAL },
};

static uint64_t look_ns = 1; /* when state is to be looked at; DEADLINE_NEVER. Once after boot, since interfaces have come up. */
static uint64_t due_ns;

static uint64_t interval_ns(const struct net_timer *t) { return t->interval_ms * 1000000ull; }

void net_timers_look(uint64_t now_ns)
{
	if (look_ns != DEADLINE_NEVER)
		return;
	look_ns = now_ns + LOOK_NS;
	due_ns = MIN(due_ns, look_ns);
}

/* Sets when it is called next. */
static void plan(struct net_timer *t, uint64_t now_ns)
{
	enum urgency u = t->look();
	uint64_t due;

	if (u == URGENCY_NONE) {
		t->running = t->urgent = false;
		t->owed = 0;
		t->due_ns = DEADLINE_NEVER;
		return;
	}
	if (!t->running) {
		t->running = true;
		t->last_ns = now_ns;
	}
	due = t->last_ns + (u == URGENCY_NOW ? interval_ns(t) : MAX(LAZY_NS, interval_ns(t)));
	/* It has just become urgent: what asked for it has been done by hand. What was planned then stays, however often it is looked at meanwhile. */
	if (due <= now_ns)
		due = t->urgent && t->due_ns > now_ns ? t->due_ns : now_ns + interval_ns(t);
	t->due_ns = due;
	t->urgent = u == URGENCY_NOW;
}

static void run(struct net_timer *t, uint64_t now_ns)
{
	uint64_t passed = (now_ns - t->last_ns) / interval_ns(t);

	t->last_ns += passed * interval_ns(t);
	t->owed = (unsigned)MIN(t->owed + passed, (uint64_t)OWED_MAX);
	do {
		if (!t->owed)
			break;
		t->owed--;
		t->run();
	} while (t->look() != URGENCY_NOW);
}

/* --- one shots ---------------------------------------------------------------------------------------------------- */

/* lwIP's interface to them, for users in this kernel, who are few. */
static struct once {
	uint64_t due_ns; /* 0: free */
	sys_timeout_handler handler;
	void *arg;
} onces[16];

void sys_timeouts_init(void) {}

void sys_timeout(u32_t ms, sys_timeout_handler handler, void *arg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(onces); i++) {
		if (onces[i].due_ns)
			continue;
		onces[i] = (struct once){ clock_monotonic_ns() + ms * 1000000ull, handler, arg };
		due_ns = MIN(due_ns, onces[i].due_ns);
		return;
	}
	panic("network: more timers than there are users of timers");
}

void sys_untimeout(sys_timeout_handler handler, void *arg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(onces); i++) {
		if (onces[i].due_ns && onces[i].handler == handler && onces[i].arg == arg) {
			onces[i].due_ns = 0;
			return;
		}
	}
}

static void onces_run(uint64_t now_ns)
{
	for (unsigned i = 0; i < ARRAY_SIZE(onces); i++) {
		struct once once = onces[i];

		if (!once.due_ns || once.due_ns > now_ns)
			continue;
		onces[i].due_ns = 0;
		once.handler(once.arg);
	}
}

/* --- all of them ----------------------------------------------------------------------------------------------------- */

void net_timers_run(uint64_t now_ns)
{
	bool look = look_ns <= now_ns;

	if (due_ns > now_ns)
		return;
	onces_run(now_ns);
	if (look)
		look_ns = DEADLINE_NEVER;
	for (unsigned i = 0; i < ARRAY_SIZE(timers); i++) {
		struct net_timer *t = &timers[i];
		bool due = t->running && t->due_ns <= now_ns;

		if (due)
			run(t, now_ns);
		if (due || look)
			plan(t, now_ns);
	}
	due_ns = look_ns;
	for (unsigned i = 0; i < ARRAY_SIZE(timers); i++)
		due_ns = timers[i].running ? MIN(due_ns, timers[i].due_ns) : due_ns;
	for (unsigned i = 0; i < ARRAY_SIZE(onces); i++)
		due_ns = onces[i].due_ns ? MIN(due_ns, onces[i].due_ns) : due_ns;
}

uint64_t net_timers_due_ns(void) { return due_ns; }
