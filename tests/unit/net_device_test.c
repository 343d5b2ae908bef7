/*
 * tests/unit/net_device_test.c - which packets of a card are believed to come from where they say, and what waits while a card has no room.
 *
 * lwIP's interfaces are the test's, and so is the card; what lwIP would take in is counted.
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
u8_t pbuf_free(struct pbuf *p)
{
	p->ref--;
	return 1;
}
void pbuf_ref(struct pbuf *p) { p->ref++; }
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

/* --- a card without room ------------------------------------------------------------------------------------------- */

#define FRAMES (TX_WAITING_MAX + 1)

static struct pbuf frames[FRAMES];
static uint8_t heads[FRAMES][SIZEOF_ETH_HDR + IP6_HLEN + TCP_HLEN + 1];
static unsigned places, went[2 * FRAMES], nwent;
static int without_place = -ENOBUFS;
static bool tight;

bool net_memory_tight(void) { return tight; }

static int transmit(struct net_device *d, struct pbuf *p)
{
	if (!places)
		return without_place;
	places--;
	went[nwent++] = (unsigned)(p - frames);
	return 0;
}

/* TCP is asked, and takes a place. */
void tcp_conn_retry(const bool *full)
{
	if (*full)
		return;
	if (places) {
		places--;
		went[nwent++] = FRAMES;
	} else {
		dev.tx_full = true;
	}
}

/* Frames first ... last - 1 are sent: how many were not taken. */
static unsigned sent(unsigned first, unsigned last)
{
	unsigned refused = 0;

	for (unsigned i = first; i < last; i++)
		refused += link_output(&eth, &frames[i]) != ERR_OK;
	return refused;
}

static void room_comes(unsigned n)
{
	places = n;
	nwent = 0;
	net_transmit_retry(&dev);
}

static bool went_is(unsigned n, unsigned first)
{
	for (unsigned i = 0; i < n; i++)
		if (went[i] != first + i)
			return false;
	return nwent == n;
}

/* Of the frames first ... last - 1, how many are held. */
static unsigned held(unsigned first, unsigned last)
{
	unsigned n = 0;

	for (unsigned i = first; i < last; i++)
		n += frames[i].ref == 2;
	return n;
}

static void frame_is(unsigned i, u16_t type, unsigned at, uint8_t proto)
{
	memset(heads[i], 0, sizeof(heads[i]));
	((struct eth_hdr *)heads[i])->type = lwip_htons(type);
	heads[i][SIZEOF_ETH_HDR + at] = proto;
}

/* A segment without bytes. */
static void segment_is(unsigned i, u16_t type, unsigned at, unsigned head, u8_t flags)
{
	frame_is(i, type, at, IP_PROTO_TCP);
	TCPH_HDRLEN_FLAGS_SET((struct tcp_hdr *)(heads[i] + SIZEOF_ETH_HDR + head), TCP_HLEN / 4, flags);
	frames[i].len = frames[i].tot_len = (u16_t)(SIZEOF_ETH_HDR + head + TCP_HLEN);
}

static void start(void)
{
	static struct pbuf *ring[TX_WAITING_MAX];

	dev = (struct net_device){ .netif = &eth, .transmit = transmit, .tx_waiting = ring };
	atomic_store(&dev.link_up, true);
	for (unsigned i = 0; i < FRAMES; i++) {
		frames[i] = (struct pbuf){ .payload = heads[i], .len = sizeof(heads[i]), .tot_len = sizeof(heads[i]), .ref = 1 };
		frame_is(i, ETHTYPE_IP, 9, IP_PROTO_UDP);
	}
	places = nwent = 0;
	without_place = -ENOBUFS;
	tight = false;
}

static void test_waiting(void)
{
	start();
	places = 2;
	check("what_has_no_room_waits", sent(0, 5) == 0 && went_is(2, 0) && held(0, 5) == 3 && dev.tx_dropped == 0, "it is lost");
	places = 5;
	check("what_comes_later_goes_behind", sent(5, 6) == 0 && nwent == 2 && held(5, 6) == 1, "it goes before");
	room_comes(2);
	check("room_is_for_the_first", went_is(2, 2) && held(0, 6) == 2 && dev.tx_frames == 4 && dev.tx_full, "it is not");
	room_comes(10);
	check("tcp_comes_first_every_other_time", nwent == 3 && went[0] == FRAMES && went[1] == 4 && went[2] == 5, "it does not");
	check("nothing_is_held_when_it_has_gone", held(0, 6) == 0 && dev.tx_frames == 6 && !dev.tx_full && dev.tx_dropped == 0, "something is");
	room_comes(3);
	check("nobody_is_asked_without_need", nwent == 0, "somebody is");
	/* Of TCP's segments lwIP keeps the bytes, until they are acknowledged. */
	start();
	frame_is(0, ETHTYPE_IP, 9, IP_PROTO_TCP);
	frame_is(1, ETHTYPE_IPV6, 6, IP6_NEXTH_TCP);
	frame_is(2, ETHTYPE_IPV6, 6, IP6_NEXTH_FRAGMENT);
	heads[2][SIZEOF_ETH_HDR + IP6_HLEN] = IP6_NEXTH_TCP;
	frame_is(3, ETHTYPE_IPV6, 6, IP6_NEXTH_FRAGMENT);
	heads[3][SIZEOF_ETH_HDR + IP6_HLEN] = IP6_NEXTH_UDP;
	check("tcp_keeps_its_own", sent(0, 3) == 3 && held(0, 3) == 0 && dev.tx_full, "its segments wait here");
	check("a_part_of_a_datagram_waits", sent(3, 4) == 0 && held(3, 4) == 1, "it does not");
	places = 1;
	check("tcp_takes_room_that_there_is", sent(0, 1) == 0 && went_is(1, 0), "it waits for others");
	/* What says nothing but how far a peer has got is never sent again. */
	start();
	segment_is(0, ETHTYPE_IP, 9, IP_HLEN, TCP_ACK);
	segment_is(1, ETHTYPE_IPV6, 6, IP6_HLEN, TCP_RST);
	segment_is(2, ETHTYPE_IP, 9, IP_HLEN, TCP_ACK | TCP_FIN);
	segment_is(3, ETHTYPE_IPV6, 6, IP6_HLEN, TCP_SYN);
	check("segments_without_anything_wait", sent(0, 2) == 0 && held(0, 2) == 2, "they are lost");
	check("tcp_keeps_the_first_and_the_last", sent(2, 4) == 2 && held(2, 4) == 0, "they wait here");
}

static void test_lost(void)
{
	start();
	check("only_so_many_wait", sent(0, FRAMES) == 1 && held(0, FRAMES) == TX_WAITING_MAX && dev.tx_dropped == 1, "more do, or fewer");
	atomic_store(&dev.link_up, false);
	net_transmit_retry(&dev);
	check("none_waits_for_a_link", held(0, FRAMES) == 0 && dev.tx_dropped == FRAMES && !dev.tx_nwaiting, "some do");
	start();
	tight = true;
	check("none_waits_while_memory_is_tight", sent(0, 1) == 1 && held(0, 1) == 0, "one does");
	start();
	without_place = -ENOMEM;
	check("none_waits_for_memory", sent(0, 1) == 1 && held(0, 1) == 0 && dev.tx_full, "one does, or TCP is not asked again");
	start();
	sent(0, 3);
	without_place = -ENOMEM;
	room_comes(1);
	check("what_finds_no_memory_does_not_hold_others_up", went_is(1, 0) && held(0, 3) == 0 && dev.tx_dropped == 2, "it does");
	start();
	dev.tx_waiting = NULL;
	check("without_a_ring_none_waits", sent(0, 1) == 1 && held(0, 1) == 0, "one does");
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
	test_waiting();
	test_lost();
	return failed;
}
