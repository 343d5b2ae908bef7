/*
 * tests/unit/net_device_test.c - which packets of a card are believed to come from where they say.
 *
 * lwIP's interfaces are the test's; what it would take in is counted.
 */
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include "../../kernel/net/device.c"
#include "check.h"

struct netif *netif_list;
struct ip_globals ip_data;
static struct netif eth, lo;
static struct net_device dev;
static unsigned taken;
static uint8_t frame[SIZEOF_ETH_HDR + IP6_HLEN + 20];

static err_t input(struct pbuf *p, struct netif *n) { taken++; return ERR_OK; }
err_t ip4_input(struct pbuf *p, struct netif *n) { taken++; return ERR_OK; }
err_t ip6_input(struct pbuf *p, struct netif *n) { taken++; return ERR_OK; }
u8_t pbuf_free(struct pbuf *p) { return 1; }
bool neighbour_hears(struct netif *n, const struct pbuf *p) { return true; }
bool neighbour_hears6(struct netif *n, const struct pbuf *p) { return true; }
s8_t netif_get_ip6_addr_match(struct netif *n, const ip6_addr_t *ip)
{
	for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
		if (netif_ip6_addr_state(n, i) && ip6_addr_eq(netif_ip6_addr(n, i), ip))
			return i;
	return -1;
}

/* Is a TCP segment from there taken, alone and put together by the card? */
static bool is_taken(u16_t type, const uint8_t *from)
{
	size_t n = type == ETHTYPE_IP ? IP_HLEN : IP6_HLEN;
	struct pbuf p = { .payload = frame, .len = (u16_t)(SIZEOF_ETH_HDR + n + 20), .tot_len = (u16_t)(SIZEOF_ETH_HDR + n + 20) };
	unsigned before = taken;
	uint64_t dropped = dev.rx_dropped;

	memset(frame, 0, sizeof(frame));
	((struct eth_hdr *)frame)->type = lwip_htons(type);
	frame[SIZEOF_ETH_HDR] = type == ETHTYPE_IP ? 0x45 : 0x60;
	frame[SIZEOF_ETH_HDR + (type == ETHTYPE_IP ? 9 : 6)] = IP_PROTO_TCP;
	memcpy(frame + SIZEOF_ETH_HDR + (type == ETHTYPE_IP ? 12 : 8), from, type == ETHTYPE_IP ? 4 : 16);
	net_receive(&dev, &p, true);
	p = (struct pbuf){ .payload = frame + SIZEOF_ETH_HDR, .len = (u16_t)(n + 20), .tot_len = (u16_t)(n + 20) };
	net_receive_large(&dev, &p, true);
	/* Both or none, and what is not taken is counted. */
	return taken - before == 2 && dev.rx_dropped == dropped ? true : taken == before && dev.rx_dropped == dropped + 2 ? false : !!printf("not ok one_way_only\n");
}

static bool is_taken4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) { return is_taken(ETHTYPE_IP, (const uint8_t[]){ a, b, c, d }); }

static bool is_taken6(const char *words)
{
	uint8_t from[16] = { 0 };

	memcpy(from, words, 2);
	from[15] = (uint8_t)words[2];
	return is_taken(ETHTYPE_IPV6, from);
}

static void address6(struct netif *n, int i, const char *words, u8_t state)
{
	uint8_t bytes[16] = { 0 };
	ip6_addr_t *ip = ip_2_ip6(&n->ip6_addr[i]);

	memcpy(bytes, words, 2);
	bytes[15] = (uint8_t)words[2];
	memcpy(ip->addr, bytes, 16);
	ip6_addr_assign_zone(ip, IP6_UNICAST, n);
	n->ip6_addr_state[i] = state;
}

int main(void)
{
	eth = (struct netif){ .name = { 'e', 'n' }, .num = 1, .state = &dev, .input = input, .next = &lo };
	lo = (struct netif){ .name = { 'l', 'o' } };
	netif_list = &eth;
	dev.netif = &eth;
	ip_2_ip4(&eth.ip_addr)->addr = PP_HTONL(0x0a090002);
	address6(&lo, 0, "\0\0\1", IP6_ADDR_PREFERRED);
	address6(&eth, 0, "\xfe\x80\2", IP6_ADDR_PREFERRED);
	address6(&eth, 1, "\x20\1\2", IP6_ADDR_TENTATIVE);

	check("a_neighbour_is_heard", is_taken4(10, 9, 0, 1) && is_taken6("\xfe\x80\1") && is_taken6("\x20\1\1"), "it is not");
	check("the_loopback_does_not_come_by_the_wire", !is_taken4(127, 0, 0, 1) && !is_taken4(127, 9, 9, 9) && !is_taken6("\0\0\1"), "it does");
	check("nor_does_this_machine", !is_taken4(10, 9, 0, 2) && !is_taken6("\xfe\x80\2"), "it does");
	check("who_has_none_yet_is_heard", is_taken4(0, 0, 0, 0) && is_taken6("\0\0\0"), "it is not");
	check("so_is_who_has_an_address_that_is_only_tried_here", is_taken6("\x20\1\2"), "it is not");
	ip_2_ip4(&eth.ip_addr)->addr = 0;
	check("without_an_address_nobody_has_ours", is_taken4(0, 0, 0, 0) && is_taken4(10, 9, 0, 2), "somebody has");
	return failed;
}
