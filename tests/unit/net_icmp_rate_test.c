/*
 * tests/unit/net_icmp_rate_test.c - how many ICMP errors leave the machine. lwIP's functions that send them are counted, time and chance are the test's.
 */
// sources: kernel/net/icmp_rate.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null
#include "net/icmp_rate.h"
#include "net/device.h"
#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/ip.h"
#include "check.h"

#define MSEC 1000000ull

struct ip_globals ip_data;
static struct netif eth, lo;
static uint64_t now_ns = 1000 * 1000 * MSEC, chance = 1;
static unsigned left; /* the machine */

uint64_t clock_monotonic_ns(void) { return now_ns; }
uint64_t random_u64(void) { return chance; }
struct net_device *net_device_of(const struct netif *n) { return n == &lo ? NULL : (struct net_device *)n; }

void __real_icmp_dest_unreach(struct pbuf *p, enum icmp_dur_type t) { left++; }
void __real_icmp_time_exceeded(struct pbuf *p, enum icmp_te_type t) { left++; }
void __real_icmp6_dest_unreach(struct pbuf *p, enum icmp6_dur_code c) { left++; }
void __real_icmp6_time_exceeded_with_addrs(struct pbuf *p, enum icmp6_te_code c, const ip6_addr_t *from, const ip6_addr_t *to) { left++; }
void __real_icmp6_param_problem(struct pbuf *p, enum icmp6_pp_code c, const void *at) { left++; }

void __wrap_icmp_dest_unreach(struct pbuf *p, enum icmp_dur_type t);
void __wrap_icmp_time_exceeded(struct pbuf *p, enum icmp_te_type t);
void __wrap_icmp6_dest_unreach(struct pbuf *p, enum icmp6_dur_code c);
void __wrap_icmp6_time_exceeded_with_addrs(struct pbuf *p, enum icmp6_te_code c, const ip6_addr_t *from, const ip6_addr_t *to);
void __wrap_icmp6_param_problem(struct pbuf *p, enum icmp6_pp_code c, const void *at);

/* Of n errors, how many leave; kinds take turns. */
static unsigned errors(unsigned n)
{
	left = 0;
	for (unsigned i = 0; i < n; i++) {
		switch (i % 5) {
		case 0: __wrap_icmp_dest_unreach(NULL, ICMP_DUR_PORT); break;
		case 1: __wrap_icmp_time_exceeded(NULL, ICMP_TE_FRAG); break;
		case 2: __wrap_icmp6_dest_unreach(NULL, ICMP6_DUR_PORT); break;
		case 3: __wrap_icmp6_time_exceeded_with_addrs(NULL, ICMP6_TE_FRAG, NULL, NULL); break;
		case 4: __wrap_icmp6_param_problem(NULL, ICMP6_PP_HEADER, NULL); break;
		}
	}
	return left;
}

int main(void)
{
	unsigned n;

	ip_data.current_input_netif = &eth;
	check("a_burst_of_both_kinds_is_bounded", errors(200) == 50, "not 50 of 200 left");
	check("what_did_not_leave_is_counted", icmp_rate_counters.withheld == 60 && icmp_rate_counters.withheld6 == 90, "counted wrongly");
	now_ns += MSEC / 2;
	check("half_the_time_of_one_is_none", errors(10) == 0, "one left");
	now_ns += MSEC / 2;
	check("half_the_time_is_not_lost", errors(10) == 1, "not one left");
	now_ns += 10 * MSEC;
	check("time_brings_more", errors(100) == 10, "not ten left");
	now_ns += 3600 * 1000 * MSEC;
	check("an_hour_brings_no_more_than_a_burst", errors(200) == 50, "not 50 left");
	n = 0;
	for (unsigned i = 0; i < 10000; i++, now_ns += MSEC / 10)
		n += errors(1);
	check("a_flood_gets_a_thousand_a_second", n >= 999 && n <= 1001, "more or less left");
	ip_data.current_input_netif = NULL;
	check("a_timer_s_errors_count_too", errors(100) <= 1, "they left");
	ip_data.current_input_netif = &lo;
	check("loopback_has_no_rate", errors(1000) == 1000, "some were withheld");
	ip_data.current_input_netif = &eth;
	now_ns += 1000 * MSEC;
	chance = 2;
	check("an_error_may_cost_two", errors(200) == 25, "not 25 left");
	now_ns += 1000 * MSEC;
	chance = 0;
	check("or_none", errors(200) == 200, "some were withheld");
	return failed;
}
