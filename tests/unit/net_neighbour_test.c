/*
 * tests/unit/net_neighbour_test.c - whom the guard before lwIP's table of neighbours believes. The table is the test's.
 */
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all
#include "../../kernel/net/neighbour.c"
#include "check.h"

#define PEER PP_HTONL(0x0a000001)
#define OWN PP_HTONL(0x0a000002)

static uint64_t now_ns = 1000 * NSEC_PER_SEC;
static bool in_table; /* PEER, with the address peer_mac */
static struct eth_addr peer_mac = { { 2, 0, 0, 0, 0, 1 } };
static unsigned sent;
static struct netif netif;

uint64_t clock_monotonic_ns(void) { return now_ns; }

ssize_t etharp_find_addr(struct netif *n, const ip4_addr_t *ip, struct eth_addr **mac, const ip4_addr_t **found)
{
	if (!in_table || ip->addr != PEER)
		return -1;
	*mac = &peer_mac;
	*found = ip;
	return 0;
}

int etharp_get_entry(size_t i, ip4_addr_t **ip, struct netif **n, struct eth_addr **mac) { return i == 0 && in_table; }
err_t etharp_output(struct netif *n, struct pbuf *p, const ip4_addr_t *to) { sent++; return ERR_OK; }
u8_t ip4_addr_isbroadcast_u32(u32_t ip, const struct netif *n) { return 0; }

static void send_to(uint32_t ip)
{
	static struct pbuf p;
	const ip4_addr_t to = { ip };

	neighbour_output(&netif, &p, &to);
}

static void send_to_peer(void) { send_to(PEER); }

/* Packets for addresses that nobody has: as many are asked for as may be. */
static void strangers(void)
{
	for (uint32_t i = 0; i < 2 * ASKED_MAX; i++)
		send_to(PP_HTONL(0x0a000064 + i));
}

static unsigned inputs; /* packets that the guard made up */

static err_t input(struct pbuf *p, struct netif *n) { inputs++; return ERR_OK; }
struct pbuf *pbuf_alloc(pbuf_layer layer, u16_t length, pbuf_type type)
{
	static uint8_t bytes[FRAME_BYTES];
	static struct pbuf p;

	p = (struct pbuf){ .payload = bytes, .len = length, .tot_len = length };
	return &p;
}
u8_t pbuf_free(struct pbuf *p) { return 1; }
err_t etharp_request(struct netif *n, const ip4_addr_t *ip) { return ERR_OK; }

static bool says_it_has_the_peers_address(uint8_t last)
{
	static struct arp_packet a;
	const uint32_t from = PEER, to = OWN;
	struct pbuf p = { .payload = &a, .len = sizeof(a), .tot_len = sizeof(a) };

	a = (struct arp_packet){ .ethertype = PP_HTONS(ETHTYPE_ARP), .hardware = PP_HTONS(1), .protocol = PP_HTONS(ETHTYPE_IP), .hardware_bytes = 6,
				 .protocol_bytes = 4, .operation = PP_HTONS(ARP_ANSWERS) };
	memcpy(a.sender_mac, &peer_mac, 6);
	a.sender_mac[5] = last;
	memcpy(a.sender_ip, &from, 4);
	memcpy(a.target_ip, &to, 4);
	return neighbour_hears(&netif, &p);
}

static bool answer_is_heard(void) { return says_it_has_the_peers_address(peer_mac.addr[5]); }

int main(void)
{
	bool heard;

	netif.input = input;
	ip_2_ip4(&netif.ip_addr)->addr = OWN;
	ip_2_ip4(&netif.netmask)->addr = PP_HTONL(0xffffff00);

	check("an_answer_that_nobody_asked_for_is_not_heard", !answer_is_heard(), "");

	send_to_peer();
	now_ns += NSEC_PER_SEC / 10;
	heard = sent == 1 && answer_is_heard();
	check("the_answer_of_who_was_asked_is_heard_once", heard && !answer_is_heard(), "");

	/* It is known and sent to, lwIP forgets it, and asks again for the next packet. */
	in_table = true;
	send_to_peer();
	now_ns += NSEC_PER_SEC / 10;
	in_table = false;
	send_to_peer();
	now_ns += NSEC_PER_SEC / 10;
	check("the_answer_of_who_was_known_a_moment_ago_is_heard", answer_is_heard(), "");

	/* Known, and long ago: nothing has been sent there since. */
	in_table = true;
	send_to_peer();
	in_table = false;
	now_ns += 60 * NSEC_PER_SEC;
	check("who_was_known_long_ago_is_not_heard_unasked", !answer_is_heard(), "");

	/* Somebody says that it has the peer's address, the peer is forgotten before it has answered, and is served again: the claim is not believed. */
	in_table = true;
	send_to_peer();
	check("a_claim_is_not_heard_at_once", !says_it_has_the_peers_address(9), "");
	in_table = false;
	now_ns += 2 * NSEC_PER_SEC;
	inputs = 0;
	send_to_peer();
	check("a_claim_against_who_is_forgotten_is_forgotten_too", inputs == 0, "");
	check("and_it_is_asked_for_and_heard", answer_is_heard(), "");
	now_ns += 10 * NSEC_PER_SEC;

	/* Many others are asked for. Who was served is asked for nevertheless, when lwIP has forgotten it for one of them. */
	strangers();
	sent = 0;
	send_to(PP_HTONL(0x0a0000fe));
	check("more_strangers_are_not_asked_for", sent == 0, "");
	send_to_peer();
	heard = sent == 1 && answer_is_heard();
	check("who_was_served_is_asked_for_among_many_others", heard, "");
	peer_mac.addr[5] = 9;
	check("but_not_believed_with_another_address", !answer_is_heard(), "");
	peer_mac.addr[5] = 1;
	now_ns += 301 * NSEC_PER_SEC;
	strangers();
	sent = 0;
	send_to_peer();
	check("who_was_served_long_ago_is_a_stranger", sent == 0 && !answer_is_heard(), "");
	return failed;
}
