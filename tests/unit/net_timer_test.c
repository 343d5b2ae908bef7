/*
 * tests/unit/net_timer_test.c - when lwIP's timers are run: while something waits for them, at their intervals, whatever the traffic.
 *
 * lwIP's state is the test's, and so are its timer functions; only ARP's is of interest here.
 */
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all
#include "../../kernel/net/timer.c"
#include "check.h"

#define MS 1000000ull

struct netif *netif_list;
struct stats_ lwip_stats;
struct nd6_neighbor_cache_entry neighbor_cache[LWIP_ND6_NUM_NEIGHBORS];
struct nd6_router_list_entry default_router_list[LWIP_ND6_NUM_ROUTERS];
struct nd6_prefix_list_entry prefix_list[LWIP_ND6_NUM_PREFIXES];
static struct stats_mem pools[MEMP_MAX];
static bool known; /* a neighbour is in the table */
static unsigned runs;
static uint64_t now_ns = 1000 * MS;

int etharp_get_entry(size_t i, ip4_addr_t **ip, struct netif **n, struct eth_addr **mac) { return i == 0 && known; }
void etharp_tmr(void) { runs++; }
bool path_mtu_known(void) { return false; }
bool unreach_waiting(void) { return false; }

/* So long, with a frame every millisecond or none. */
static unsigned runs_in(unsigned ms, bool traffic)
{
	runs = 0;
	for (unsigned i = 0; i < ms; i++) {
		now_ns += MS;
		if (traffic)
			net_timers_look(now_ns);
		if (net_timers_due_ns() <= now_ns)
			net_timers_run(now_ns);
	}
	return runs;
}

int main(void)
{
	unsigned n;

	for (unsigned i = 0; i < MEMP_MAX; i++)
		lwip_stats.memp[i] = &pools[i];
	check("nothing_waits_and_nothing_runs", runs_in(20000, false) == 0 && runs_in(5000, true) == 0 && runs_in(1000, false) == 0 && net_timers_due_ns() == DEADLINE_NEVER,
	      "it runs");

	/* Known neighbours get old by several intervals at once. */
	known = true;
	n = runs_in(20000, true);
	check("what_only_gets_old_gets_so", n >= 15 && n <= 20, "too fast or too slow");

	/* A second and more after the last of them one is asked for, and frames come and go all the time. */
	runs_in(2500, false);
	pools[MEMP_ARP_QUEUE].used = 1;
	n = runs_in(10000, true);
	check("what_is_urgent_runs_beside_steady_traffic", n >= 9 && n <= 11, "it does not");
	n = runs_in(10000, false);
	check("and_without", n >= 9 && n <= 11, "it does not");

	/* Soon, but not at once: what asked for it has just been done by hand. */
	pools[MEMP_ARP_QUEUE].used = 0;
	runs_in(4000, true);
	pools[MEMP_ARP_QUEUE].used = 1;
	check("the_first_time_is_an_interval_later", runs_in(900, true) == 0 && runs_in(300, true) == 1, "it is not");
	pools[MEMP_ARP_QUEUE].used = 0;
	known = false;
	runs_in(2000, true);
	check("in_the_end_nothing_runs", runs_in(10000, false) == 0 && net_timers_due_ns() == DEADLINE_NEVER, "it does");
	return failed;
}
