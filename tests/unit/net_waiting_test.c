/*
 * tests/unit/net_waiting_test.c - packets that wait for an IPv6 neighbour's address: how many, and that a want of memory is forgotten when it is over.
 *
 * lwIP's neighbour discovery is real, and so is the guard before it; memory is the test's, and nothing is sent.
 */
// sources: kernel/net/neighbour.c build/third_party/lwip/src/core/ipv6/nd6.c build/third_party/lwip/src/core/ipv6/ethip6.c build/third_party/lwip/src/core/ipv6/ip6_addr.c build/third_party/lwip/src/core/def.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include "net/neighbour.h"
#include "lwip/ip.h"
#include "lwip/memp.h"
#include "lwip/nd6.h"
#include "lwip/pbuf.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/stats.h"
#include "check.h"

void *malloc(size_t size);
void free(void *p);

struct stats_ lwip_stats;
struct ip_globals ip_data;
struct netif *netif_list;
static struct netif eth = { .mtu = 1500, .mtu6 = 1500, .hwaddr_len = 6, .num = 1 };
static struct pbuf packets[1000];
static unsigned entries; /* of queues, that are allocated */
static bool no_memory;

uint64_t clock_monotonic_ns(void) { return 1000000000; }
uint32_t net_random(void) { return 4; }

void *memp_malloc(memp_t type)
{
	if (no_memory)
		return NULL;
	entries++;
	return malloc(sizeof(struct nd6_q_entry));
}

void memp_free(memp_t type, void *p)
{
	entries--;
	free(p);
}

/* Questions are not sent. */
struct pbuf *pbuf_alloc(pbuf_layer layer, u16_t length, pbuf_type type) { return NULL; }
void pbuf_ref(struct pbuf *p) { p->ref++; }
u8_t pbuf_free(struct pbuf *p) { return --p->ref == 0; }
const ip_addr_t *ip6_select_source_address(struct netif *n, const ip6_addr_t *to) { return &ip6_addr_any; }

static ip6_addr_t neighbour(unsigned k)
{
	ip6_addr_t a;

	IP6_ADDR(&a, PP_HTONL(0xfe800000), 0, 0, lwip_htonl(k));
	ip6_addr_assign_zone(&a, IP6_UNICAST, &eth);
	return a;
}

static err_t send_to(unsigned k, struct pbuf *p)
{
	ip6_addr_t to = neighbour(k);

	return neighbour_output6(&eth, p, &to);
}

/* How many packets wait for that one. */
static unsigned waiting_for(unsigned k)
{
	ip6_addr_t to = neighbour(k);
	unsigned n = 0;

	for (unsigned i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++)
		if (neighbor_cache[i].state != ND6_NO_ENTRY && ip6_addr_eq(&neighbor_cache[i].next_hop_address, &to))
			for (struct nd6_q_entry *e = neighbor_cache[i].q; e; e = e->next)
				n++;
	return n;
}

static unsigned held(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 1000; i++)
		n += packets[i].ref > 1;
	return n;
}

int main(void)
{
	unsigned most = 0, refused = 0;

	for (unsigned i = 0; i < 1000; i++)
		packets[i].ref = 1;
	check("a_packet_waits", send_to(1, &packets[0]) == ERR_OK && waiting_for(1) == 1, "it does not");
	no_memory = true;
	for (unsigned i = 0; i < 300; i++)
		refused += send_to(2, &packets[1]) != ERR_OK;
	check("without_memory_none_does", refused == 300 && waiting_for(2) == 0 && packets[1].ref == 1, "one was taken");
	/* There is one for the first neighbour, which goes for the newest; but there is no memory for that either. */
	for (unsigned i = 0; i < 300; i++)
		send_to(1, &packets[2]);
	check("nor_instead_of_the_oldest", waiting_for(1) == 0 && held() == 0 && entries == 0, "something is left");
	no_memory = false;
	check("with_memory_the_next_waits", send_to(3, &packets[3]) == ERR_OK && waiting_for(3) == 1, "nothing waits for a new neighbour");
	check("for_each_neighbour", send_to(1, &packets[4]) == ERR_OK && waiting_for(1) == 1 && send_to(2, &packets[5]) == ERR_OK && waiting_for(2) == 1,
	      "nothing waits");
	for (unsigned i = 100; i < 1000; i++) {
		send_to(4, &packets[i]);
		most = waiting_for(4) > most ? waiting_for(4) : most;
	}
	check("few_wait_for_one", most == 8 && entries == 3 + 8 && held() == entries, "more or less do");
	check("the_newest_do", packets[999].ref == 2 && packets[992].ref == 2 && packets[991].ref == 1, "others do");
	check("nobody_waits_for_another_s_sake", waiting_for(1) == 1 && waiting_for(2) == 1 && waiting_for(3) == 1, "somebody's packet is gone");
	for (unsigned k = 10; k < 400; k++)
		for (unsigned i = 0; i < 10; i++)
			send_to(k, &packets[6 + i]);
	check("all_together_are_bounded", entries <= 8 * LWIP_ND6_NUM_NEIGHBORS / 3 + 8, "too many wait");
	return failed;
}
