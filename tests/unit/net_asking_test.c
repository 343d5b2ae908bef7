/*
 * tests/unit/net_asking_test.c - a question for a neighbour, or a report of a group, that found no memory goes out later, though nothing else is sent.
 *
 * lwIP is real down to its interface, and so are the kernel's timers for it and what stands before its tables; memory, time and the wire are the test's.
 */
// sources: kernel/net/timer.c kernel/net/unreach.c kernel/net/neighbour.c kernel/net/multicast.c build/third_party/lwip/src/core/ipv4/etharp.c build/third_party/lwip/src/core/ipv4/igmp.c build/third_party/lwip/src/core/ipv4/ip4_addr.c build/third_party/lwip/src/core/ipv6/nd6.c build/third_party/lwip/src/core/ipv6/ethip6.c build/third_party/lwip/src/core/ipv6/ip6_addr.c build/third_party/lwip/src/netif/ethernet.c build/third_party/lwip/src/core/pbuf.c build/third_party/lwip/src/core/memp.c build/third_party/lwip/src/core/mem.c build/third_party/lwip/src/core/stats.c build/third_party/lwip/src/core/inet_chksum.c build/third_party/lwip/src/core/def.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include "net/device.h"
#include "net/multicast.h"
#include "net/timer.h"
#include "net/unreach.h"
#include "core/thread.h"
#include "lwip/igmp.h"
#include "lwip/memp.h"
#include <linux/in.h>
#include "check.h"

void *malloc(size_t size);
void free(void *p);

#define MS 1000000ull

struct ip_globals ip_data;
struct netif *netif_list;
static struct netif eth;
static uint64_t now_ns = 1000 * MS;
static unsigned fail_in;        /* the allocation that fails, counted from 1; 0: none */
static unsigned frames, packets6, reports; /* that have left: Ethernet's, and what IP was given to send */

uint64_t clock_monotonic_ns(void) { return now_ns; }
u32_t sys_now(void) { return (u32_t)(now_ns / MS); }
uint32_t net_random(void) { return 4; }
bool path_mtu_known(void) { return false; }
struct netif *netif_get_by_index(u8_t index) { return &eth; }
struct net_device *net_device_of(const struct netif *netif) { return (struct net_device *)&eth; }

void *net_heap_alloc(size_t size) { return fail_in && --fail_in == 0 ? NULL : malloc(size); }
void *net_heap_zalloc(size_t n, size_t size)
{
	void *p = net_heap_alloc(n * size);

	if (p)
		memset(p, 0, n * size);
	return p;
}
void net_heap_free(void *p) { free(p); }
void *kmalloc_flags(size_t size, unsigned flags) { return malloc(size); }
void kfree(void *p) { free(p); }

static err_t send_frame(struct netif *n, struct pbuf *p)
{
	frames++;
	return ERR_OK;
}

err_t ip6_output_if(struct pbuf *p, const ip6_addr_t *from, const ip6_addr_t *to, u8_t hops, u8_t tc, u8_t next, struct netif *n)
{
	packets6++;
	return ERR_OK;
}

err_t ip4_output_if_opt(struct pbuf *p, const ip4_addr_t *from, const ip4_addr_t *to, u8_t ttl, u8_t tos, u8_t protocol, struct netif *n, void *options, u16_t len)
{
	reports++;
	return ERR_OK;
}

/* So long with nothing to do for the network's thread but its timers. */
static void pass(unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		now_ns += MS;
		if (net_timers_due_ns() <= now_ns)
			net_timers_run(now_ns);
	}
}

static bool nothing_runs(void) { return net_timers_due_ns() == DEADLINE_NEVER; }

static void interface_make(void)
{
	eth.num = 1;
	eth.mtu = eth.mtu6 = 1500;
	eth.hwaddr_len = 6;
	eth.flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_IGMP;
	eth.linkoutput = send_frame;
	ip_2_ip4(&eth.ip_addr)->addr = PP_HTONL(0x0a000002);
	ip_2_ip4(&eth.netmask)->addr = PP_HTONL(0xffffff00);
	IP6_ADDR(ip_2_ip6(&eth.ip6_addr[0]), PP_HTONL(0xfe800000), 0, 0, PP_HTONL(2));
	ip6_addr_assign_zone(ip_2_ip6(&eth.ip6_addr[0]), IP6_UNICAST, &eth);
	eth.ip6_addr_state[0] = IP6_ADDR_PREFERRED;
	netif_list = &eth;
	memp_init();
	igmp_init();
	igmp_start(&eth);
}

int main(void)
{
	static uint8_t bytes[28]; /* no header that says anything */
	struct pbuf packet = { .payload = bytes, .len = sizeof(bytes), .tot_len = sizeof(bytes), .ref = 1 }, packet6 = packet;
	const ip4_addr_t to = { PP_HTONL(0x0a000001) };
	struct ip_mreqn group = { .imr_multiaddr.s_addr = PP_HTONL(0xef010203), .imr_ifindex = 2 };
	struct inet_sock socket = { .base.domain = AF_INET, .base.type = SOCK_DGRAM };
	ip6_addr_t to6;

	interface_make();
	list_init(&socket.memberships);
	IP6_ADDR(&to6, PP_HTONL(0xfe800000), 0, 0, PP_HTONL(1));
	ip6_addr_assign_zone(&to6, IP6_UNICAST, &eth);
	pass(1000);
	check("nobody_is_asked_for_nothing", !frames && nothing_runs(), "somebody is");

	fail_in = 1;
	check("a_packet_waits_though_its_question_found_no_memory", unreach_output_v4(&eth, &packet, &to) == ERR_OK && packet.ref == 2 && !frames, "it does not");
	pass(3500);
	check("a_neighbour_is_asked_for_later", frames >= 3, "it is not");
	pass(30000);
	check("and_given_up", packet.ref == 1 && nothing_runs(), "it is not");

	fail_in = 1;
	check("a_packet_of_ipv6_waits_as_well", unreach_output_v6(&eth, &packet6, &to6) == ERR_OK && packet6.ref == 2 && !packets6, "it does not");
	pass(3500);
	check("an_ipv6_neighbour_is_asked_for_later", packets6 >= 2, "it is not");
	pass(30000);
	check("and_given_up_as_well", packet6.ref == 1 && nothing_runs(), "it is not");

	/* lwIP's first allocation is its record of the group, the second the report's. */
	fail_in = 2;
	check("a_group_is_joined_though_its_report_found_no_memory",
	      multicast_setopt(&socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) == 0 && !reports, "it is not, or has been reported");
	pass(2000);
	check("the_group_is_reported_later", reports == 1, "it is not, or too often");
	multicast_leave_all(&socket);
	return failed;
}
