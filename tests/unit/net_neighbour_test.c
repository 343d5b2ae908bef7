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

static void send_to_peer(void)
{
	static struct pbuf p;
	const ip4_addr_t to = { PEER };

	neighbour_output(&netif, &p, &to);
}

static bool answer_is_heard(void)
{
	static struct arp_packet a;
	const uint32_t from = PEER, to = OWN;
	struct pbuf p = { .payload = &a, .len = sizeof(a), .tot_len = sizeof(a) };

	a = (struct arp_packet){ .ethertype = PP_HTONS(ETHTYPE_ARP), .hardware = PP_HTONS(1), .protocol = PP_HTONS(ETHTYPE_IP), .hardware_bytes = 6,
				 .protocol_bytes = 4, .operation = PP_HTONS(ARP_ANSWERS) };
	memcpy(a.sender_mac, &peer_mac, 6);
	memcpy(a.sender_ip, &from, 4);
	memcpy(a.target_ip, &to, 4);
	return neighbour_hears(&netif, &p);
}

int main(void)
{
	bool heard;

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
	return failed;
}
