/*
 * tests/unit/net_stats_test.c - lwIP's counters go on behind 32 bits.
 */
// sources: kernel/net/stats.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -fno-pie -no-pie
#include "check.h"
#include "net/stats.h"

struct stats_ lwip_stats;
static struct net_stats copy;

static uint64_t sum(const uint32_t *counter)
{
	net_stats_copy(&copy);
	return net_stat(&copy, (const uint32_t *)((char *)&copy.low + ((char *)counter - (char *)&lwip_stats)));
}

int main(void)
{
	uint64_t counted = 0, before, after;
	bool right = true;

	for (int i = 0; i < 10; i++) {
		lwip_stats.mib2.tcpinsegs += 0xf0000000;
		counted += 0xf0000000;
		net_stats_look();
		right = right && sum(&lwip_stats.mib2.tcpinsegs) == counted;
	}
	check("a_counter_is_what_was_counted_also_behind_32_bits", right && counted >> 32, "");

	lwip_stats.ip6.recv = 0xffffffff;
	right = sum(&lwip_stats.ip6.recv) == 0xffffffff;
	lwip_stats.ip6.recv++;
	check("a_copy_looks_by_itself", right && sum(&lwip_stats.ip6.recv) == 0x100000000, "");

	before = sum(&lwip_stats.udp.recv);
	after = sum(&lwip_stats.udp.drop);
	lwip_stats.udp.fw = 5;
	sum(&lwip_stats.udp.fw);
	lwip_stats.udp.fw = 1;
	right = sum(&lwip_stats.udp.fw) == 0x100000001;
	check("the_neighbours_of_one_that_begins_anew_do_not", right && sum(&lwip_stats.udp.recv) == before && sum(&lwip_stats.udp.drop) == after, "");
	return failed;
}
