/*
 * kernel/net/icmp_rate.c - how many ICMP and ICMPv6 errors leave the machine.
 *
 * Theory:    lwIP answers every datagram to a port that nobody has, every packet of an unknown protocol, and every wrong header with an error. A flood of
 *            such packets would get a flood of answers, at whomever their source addresses name. So errors of both kinds share a bucket as
 *            on Linux (net.ipv4.icmp_msgs_per_sec, icmp_msgs_burst): BURST at once, PER_SECOND of them as time goes by. An
 *            error costs one, or none or two, by chance: who counts the errors that he gets could otherwise tell whether the packets of
 *            somebody with another's address have cost one, and so which ports are open (the SAD DNS attack).
 *            Answers to echo requests are not errors, nor is what loopback is told.
 * Interface: the linker puts __wrap_NAME() before lwIP's NAME() for each function that makes an error; icmp_rate.h has the counter.
 * Locking:   core lock.
 * Errors:    an error that is withheld is counted, and nothing else happens: lwIP has dropped the packet.
 * Sources:   RFC 1812 (section 4.3.2.8), RFC 4443 (section 2.4 f).
 */
#include "net/icmp_rate.h"
#include "net/device.h"
#include "core/clock.h"
#include "core/random.h"
#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/ip.h"

#define PER_SECOND 1000
#define BURST 50
#define REFILL_NS (NSEC_PER_SEC / PER_SECOND)

struct icmp_rate_counters icmp_rate_counters;
static unsigned left = BURST;
static uint64_t filled_ns; /* until when time has been turned into errors */

/* May an error leave? What is put together again is given up by a timer: then there is no packet, nor an interface that it came from. */
static bool take(uint64_t *withheld)
{
	const struct netif *from = ip_current_input_netif();
	uint64_t now = clock_monotonic_ns(), more = (now - filled_ns) / REFILL_NS;

	if (from && !net_device_of(from))
		return true;
	left = (unsigned)MIN(left + more, (uint64_t)BURST);
	filled_ns += more * REFILL_NS;
	if (!left) {
		(*withheld)++;
		return false;
	}
	left -= MIN(left, (unsigned)(random_u64() % 3));
	return true;
}

void __real_icmp_dest_unreach(struct pbuf *p, enum icmp_dur_type t);
void __wrap_icmp_dest_unreach(struct pbuf *p, enum icmp_dur_type t);
void __wrap_icmp_dest_unreach(struct pbuf *p, enum icmp_dur_type t)
{
	if (take(&icmp_rate_counters.withheld))
		__real_icmp_dest_unreach(p, t);
}

void __real_icmp_time_exceeded(struct pbuf *p, enum icmp_te_type t);
void __wrap_icmp_time_exceeded(struct pbuf *p, enum icmp_te_type t);
void __wrap_icmp_time_exceeded(struct pbuf *p, enum icmp_te_type t)
{
	if (take(&icmp_rate_counters.withheld))
		__real_icmp_time_exceeded(p, t);
}

void __real_icmp6_dest_unreach(struct pbuf *p, enum icmp6_dur_code c);
void __wrap_icmp6_dest_unreach(struct pbuf *p, enum icmp6_dur_code c);
void __wrap_icmp6_dest_unreach(struct pbuf *p, enum icmp6_dur_code c)
{
	if (take(&icmp_rate_counters.withheld6))
		__real_icmp6_dest_unreach(p, c);
}

void __real_icmp6_time_exceeded_with_addrs(struct pbuf *p, enum icmp6_te_code c, const ip6_addr_t *from, const ip6_addr_t *to);
void __wrap_icmp6_time_exceeded_with_addrs(struct pbuf *p, enum icmp6_te_code c, const ip6_addr_t *from, const ip6_addr_t *to);
void __wrap_icmp6_time_exceeded_with_addrs(struct pbuf *p, enum icmp6_te_code c, const ip6_addr_t *from, const ip6_addr_t *to)
{
	if (take(&icmp_rate_counters.withheld6))
		__real_icmp6_time_exceeded_with_addrs(p, c, from, to);
}

void __real_icmp6_param_problem(struct pbuf *p, enum icmp6_pp_code c, const void *at);
void __wrap_icmp6_param_problem(struct pbuf *p, enum icmp6_pp_code c, const void *at);
void __wrap_icmp6_param_problem(struct pbuf *p, enum icmp6_pp_code c, const void *at)
{
	if (take(&icmp_rate_counters.withheld6))
		__real_icmp6_param_problem(p, c, at);
}
