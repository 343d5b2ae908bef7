/*
 * kernel/net/neighbour.c - neighbours' addresses, guarded.
 *
 * Theory:    lwIP has a small table of neighbours. It learns from anybody, at once, and when it is full the oldest neighbour that is known goes before the
 *            newest that is only asked for. So a flood of packets from addresses that nobody has (each answer asks for one), or of ARP
 *            packets, throws out those who are served, and one lie cuts them off. Here, before lwIP sees them:
 *            - At most ASKED_MAX neighbours are asked for at a time; packets for more are dropped. What is known stays, but when the table is full of those who are known, too,
 *              the one that was learned first goes, though it be in use. So who was served lately (SERVED_NS) is asked for again even when so many others are, and believed
 *              if it still has the address that it had.
 *            - A stranger who asks for us is learned while there is room (KNOWN_MAX). Beyond that he gets his answer, and is asked for himself
 *              when there is something to be sent to him.
 *            - Who says that a known neighbour's address is his is not believed while the neighbour lives: it is asked, and only when it has been
 *              silent for CLAIM_NS the next one who says so (or the first, when something is to be sent there) is right.
 *              An address that moves to another machine is so found about a second later than it could be.
 *            In IPv6 only the first rule is kept: lwIP lets those go first with whom there is nothing in progress. But lwIP gives an address up
 *            whenever somebody says that it is his; as on Linux, he is heard only while the address is being tried (RFC 4862, section 5.4).
 *            And what waits for an IPv6 neighbour's address is counted here; of more than WAITING6_MAX packets the oldest go. lwIP's own count of them
 *            cannot be relied on (lwipopts.h).
 * Locking:   core lock.
 * Errors:    a packet that is dropped is counted; its sender repeats it or not, as with any loss.
 * Sources:   RFC 826, 5227 (section 2.4), 4861, 6583 (the attack, and limits like these).
 */
#include "net/neighbour.h"
#include "core/clock.h"
#include "core/log.h"
#include "lib/string.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/memp.h"
#include "lwip/pbuf.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/prot/icmp6.h"
#include "lwip/prot/ip6.h"

#define ASKED_MAX 40                   /* of lwIP's ARP_TABLE_SIZE */
#define KNOWN_MAX (ARP_TABLE_SIZE - ASKED_MAX)
#define ASKED_NS (6 * NSEC_PER_SEC)    /* lwIP gives up after 5 s */
#define ASKED6_MAX (LWIP_ND6_NUM_NEIGHBORS / 3)
#define WAITING6_MAX ARP_QUEUE_LEN     /* packets, for each neighbour that is asked for */
#define SERVED 256                     /* a power of two */
#define SERVED_NS (300 * NSEC_PER_SEC) /* as long as lwIP knows a neighbour */
#define SERVED_KEPT_NS (10 * NSEC_PER_SEC) /* no other takes the place of one that was sent to in that time */
#define CLAIMS 8
#define CLAIM_NS NSEC_PER_SEC
#define CLAIM_OLD_NS (10 * NSEC_PER_SEC)
#define FRAME_BYTES (SIZEOF_ETH_HDR + 28)

/* An ARP packet for Ethernet and IPv4 behind its frame's header (RFC 826). */
struct arp_packet {
	uint8_t to[6], from[6];
	uint16_t ethertype, hardware, protocol;
	uint8_t hardware_bytes, protocol_bytes;
	uint16_t operation;
	uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));
_Static_assert(sizeof(struct arp_packet) == FRAME_BYTES, "RFC 826");
enum { ARP_ASKS = 1, ARP_ANSWERS = 2 };

struct asked {
	struct netif *netif;
	uint32_t ip;
	uint64_t at; /* 0: free */
};

/* A neighbour that was known and sent to. */
struct served {
	struct netif *netif;
	uint32_t ip;
	uint8_t mac[6];
	uint64_t at;    /* when; 0: free */
	uint64_t asked; /* when it was asked for beside ASKED_MAX others */
};

struct claim {
	struct netif *netif;
	uint32_t ip;
	uint8_t mac[6];
	bool answered; /* by the neighbour that is known */
	uint64_t at;   /* when it was asked; 0: free */
};

struct neighbour_counters neighbour_counters;
static struct asked asked[ASKED_MAX];
static struct served served[SERVED];
static struct claim claims[CLAIMS];
static unsigned nclaims;
/* One that was known a moment ago: lwIP's table is not looked through for each packet. */
static struct asked known;

static bool is_known(struct netif *netif, uint32_t ip, struct eth_addr **mac)
{
	const ip4_addr_t addr = { ip }, *found;

	return etharp_find_addr(netif, &addr, mac, &found) >= 0;
}

static struct asked *asked_find(struct netif *netif, uint32_t ip, uint64_t now)
{
	for (unsigned i = 0; i < ASKED_MAX; i++)
		if (asked[i].at && asked[i].ip == ip && asked[i].netif == netif && now - asked[i].at < ASKED_NS)
			return &asked[i];
	return NULL;
}

/* Was it known when something was sent there last, a moment ago? If lwIP has forgotten it since, it may have been asked for without may_ask()'s noticing. */
static bool known_lately(struct netif *netif, uint32_t ip, uint64_t now)
{
	return known.ip == ip && known.netif == netif && now - known.at < NSEC_PER_SEC + ASKED_NS;
}

/* Its place: of a network of 256 addresses each has its own. */
static struct served *served_place(uint32_t ip) { return &served[__builtin_bswap32(ip) % SERVED]; }

static void served_note(struct netif *netif, uint32_t ip, const struct eth_addr *mac, uint64_t now)
{
	struct served *s = served_place(ip);

	if (s->at && (s->ip != ip || s->netif != netif) && now - s->at < SERVED_KEPT_NS)
		return;
	*s = (struct served){ .netif = netif, .ip = ip, .at = now };
	memcpy(s->mac, mac->addr, 6);
}

/* It may be asked for whoever else is. */
static bool served_ask(struct netif *netif, uint32_t ip, uint64_t now)
{
	struct served *s = served_place(ip);

	if (!s->at || s->ip != ip || s->netif != netif || now - s->at >= SERVED_NS)
		return false;
	s->asked = now;
	return true;
}

static bool served_answers(struct netif *netif, uint32_t ip, const uint8_t mac[6], uint64_t now)
{
	const struct served *s = served_place(ip);

	return s->asked && s->ip == ip && s->netif == netif && now - s->asked < ASKED_NS && !memcmp(s->mac, mac, 6);
}

static bool asked_add(struct netif *netif, uint32_t ip, uint64_t now)
{
	for (unsigned i = 0; i < ASKED_MAX; i++) {
		if (!asked[i].at || now - asked[i].at >= ASKED_NS) {
			asked[i] = (struct asked){ netif, ip, now };
			return true;
		}
	}
	return false;
}

static bool room_for_strangers(void)
{
	unsigned n = 0;
	struct eth_addr *mac;
	struct netif *netif;
	ip4_addr_t *ip;

	for (size_t i = 0; i < ARP_TABLE_SIZE; i++)
		n += etharp_get_entry(i, &ip, &netif, &mac);
	return n < KNOWN_MAX;
}

/* A packet of ours, as a frame. NULL: no memory. */
static struct pbuf *arp_make(const uint8_t to[6], const uint8_t from[6], uint32_t from_ip, uint32_t to_ip)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, FRAME_BYTES, PBUF_RAM);
	struct arp_packet *a;

	if (!p)
		return NULL;
	a = p->payload;
	*a = (struct arp_packet){ .ethertype = PP_HTONS(ETHTYPE_ARP), .hardware = PP_HTONS(1), .protocol = PP_HTONS(ETHTYPE_IP),
				  .hardware_bytes = 6, .protocol_bytes = 4, .operation = PP_HTONS(ARP_ANSWERS) };
	memcpy(a->to, to, 6);
	memcpy(a->from, from, 6);
	memcpy(a->sender_mac, from, 6);
	memcpy(a->sender_ip, &from_ip, 4);
	memcpy(a->target_mac, to, 6);
	memcpy(a->target_ip, &to_ip, 4);
	return p;
}

/* --- claims ---------------------------------------------------------------------------------------------------------- */

static struct claim *claim_find(struct netif *netif, uint32_t ip)
{
	for (unsigned i = 0; nclaims && i < CLAIMS; i++)
		if (claims[i].at && claims[i].ip == ip && claims[i].netif == netif)
			return &claims[i];
	return NULL;
}

static void claim_forget(struct claim *c)
{
	c->at = 0;
	nclaims--;
}

/* Has the neighbour that is known been asked in vain? */
static bool claim_holds(const struct claim *c, uint64_t now)
{
	return !c->answered && now - c->at >= CLAIM_NS && now - c->at < CLAIM_OLD_NS;
}

/* Somebody says that a known neighbour's address is his. True: so it is. */
static bool claim(struct netif *netif, uint32_t ip, const uint8_t mac[6], uint64_t now)
{
	struct claim *c = claim_find(netif, ip);
	const ip4_addr_t addr = { ip };

	neighbour_counters.claims++;
	if (c && claim_holds(c, now)) {
		claim_forget(c);
		neighbour_counters.moves++;
		return true;
	}
	if (c && now - c->at < CLAIM_NS)
		return false;
	if (!c) {
		c = &claims[0];
		for (unsigned i = 1; i < CLAIMS; i++)
			if (claims[i].at < c->at)
				c = &claims[i];
		nclaims += !c->at;
	}
	*c = (struct claim){ .netif = netif, .ip = ip, .at = now };
	memcpy(c->mac, mac, 6);
	etharp_request(netif, &addr);
	return false;
}

/* Something is to be sent to a neighbour whose address somebody has claimed, and who has not said that it still has it. */
static void claim_settle(struct netif *netif, uint32_t ip, uint64_t now)
{
	struct claim *c = claim_find(netif, ip);
	struct eth_addr *mac;
	struct pbuf *p;

	if (!c || !claim_holds(c, now))
		return;
	/* lwIP has forgotten whom the claim is against, who may have answered since: whoever has the address is asked as any other. */
	if (!is_known(netif, ip, &mac)) {
		claim_forget(c);
		return;
	}
	p = arp_make(netif->hwaddr, c->mac, ip, netif_ip4_addr(netif)->addr);
	claim_forget(c);
	if (!p)
		return;
	neighbour_counters.moves++;
	if (netif->input(p, netif) != ERR_OK)
		pbuf_free(p);
}

/* --- what comes in ------------------------------------------------------------------------------------------------------ */

static void stranger_answer(struct netif *netif, const struct arp_packet *a, uint32_t ip)
{
	struct pbuf *p = arp_make(a->sender_mac, netif->hwaddr, netif_ip4_addr(netif)->addr, ip);

	if (!p)
		return;
	netif->linkoutput(netif, p);
	pbuf_free(p);
}

static bool arp_intact(const struct arp_packet *a, size_t len)
{
	static const uint8_t nobody[6];

	return len >= FRAME_BYTES && a->hardware == PP_HTONS(1) && a->protocol == PP_HTONS(ETHTYPE_IP) && a->hardware_bytes == 6 &&
	       a->protocol_bytes == 4 && (a->operation == PP_HTONS(ARP_ASKS) || a->operation == PP_HTONS(ARP_ANSWERS)) &&
	       !(a->sender_mac[0] & 1) && memcmp(a->sender_mac, nobody, 6);
}

bool neighbour_hears(struct netif *netif, const struct pbuf *p)
{
	const struct arp_packet *a = p->payload;
	uint64_t now = clock_monotonic_ns();
	uint32_t ip, target, own = netif_ip4_addr(netif)->addr;
	struct eth_addr *mac;
	struct asked *was_asked;

	if (!arp_intact(a, p->len)) {
		neighbour_counters.malformed++;
		return false;
	}
	memcpy(&ip, a->sender_ip, 4);
	memcpy(&target, a->target_ip, 4);
	/* Who looks whether an address is free has none yet; who has ours is told by nobody here. */
	if (!ip)
		return true;
	if (ip == own) {
		neighbour_counters.claims++;
		return false;
	}
	if (is_known(netif, ip, &mac)) {
		struct claim *c = claim_find(netif, ip);

		if (memcmp(mac->addr, a->sender_mac, 6))
			return claim(netif, ip, a->sender_mac, now);
		if (c)
			c->answered = true;
		return true;
	}
	was_asked = asked_find(netif, ip, now);
	if (was_asked) {
		was_asked->at = 0;
		return true;
	}
	if (known_lately(netif, ip, now) || served_answers(netif, ip, a->sender_mac, now))
		return true;
	if (a->operation == PP_HTONS(ARP_ANSWERS)) {
		neighbour_counters.unasked++;
		return false;
	}
	if (target != own || !own || room_for_strangers())
		return true;
	stranger_answer(netif, a, ip);
	return false;
}

/* Where the ICMPv6 message of a packet begins, behind headers that may come before it; 0 if there is none in the first piece. */
static size_t icmp6_find(const uint8_t *ip, size_t len)
{
	size_t at = IP6_HLEN;
	uint8_t next = ip[6];

	while (next != IP6_NEXTH_ICMP6) {
		if ((next != IP6_NEXTH_HOPBYHOP && next != IP6_NEXTH_DESTOPTS && next != IP6_NEXTH_ROUTING) || at + 8 > len)
			return 0;
		next = ip[at];
		at += (ip[at + 1] + 1u) * 8;
	}
	return at + 8 <= len ? at : 0;
}

/* Each router that lwIP has no room for would still cost it a neighbour. */
static bool router_welcome(const uint8_t source[16])
{
	bool room = false;

	for (unsigned i = 0; i < LWIP_ND6_NUM_ROUTERS; i++) {
		const struct nd6_neighbor_cache_entry *n = default_router_list[i].neighbor_entry;

		if (n && !memcmp(n->next_hop_address.addr, source, 16))
			return true;
		room |= !n;
	}
	return room;
}

bool neighbour_hears6(struct netif *netif, const struct pbuf *p)
{
	const uint8_t *ip = (const uint8_t *)p->payload + SIZEOF_ETH_HDR;
	size_t len = p->len - SIZEOF_ETH_HDR, at;

	if (len < IP6_HLEN || ip[6] == IP6_NEXTH_TCP || ip[6] == IP6_NEXTH_UDP)
		return true;
	at = icmp6_find(ip, len);
	if (at && ip[at] == ICMP6_TYPE_RA)
		return router_welcome(ip + 8);
	/* What is too short for a target lwIP drops itself. */
	if (!at || ip[at] != ICMP6_TYPE_NA || at + 24 > len)
		return true;
	for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) && !memcmp(netif_ip6_addr(netif, i)->addr, ip + at + 8, 16)) {
			neighbour_counters.claims++;
			return false;
		}
	}
	return true;
}

/* --- what goes out ---------------------------------------------------------------------------------------------------------- */

/* May it go to this neighbour, or may it be asked for? */
static bool may_ask(struct netif *netif, uint32_t ip)
{
	uint64_t now = clock_monotonic_ns();
	struct eth_addr *mac;

	if (nclaims)
		claim_settle(netif, ip, now);
	if (known.ip == ip && known.netif == netif && now - known.at < NSEC_PER_SEC)
		return true;
	if (is_known(netif, ip, &mac)) {
		known = (struct asked){ netif, ip, now };
		served_note(netif, ip, mac, now);
		return true;
	}
	return asked_find(netif, ip, now) || asked_add(netif, ip, now) || served_ask(netif, ip, now);
}

err_t neighbour_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
	bool here = ip4_addr_net_eq(to, netif_ip4_addr(netif), netif_ip4_netmask(netif)) || ip4_addr_islinklocal(to);
	const ip4_addr_t *hop = here ? to : netif_ip4_gw(netif);

	if (!ip4_addr_ismulticast(to) && !ip4_addr_isbroadcast(to, netif) && !ip4_addr_isany(hop) && !may_ask(netif, hop->addr)) {
		neighbour_counters.refused++;
		return ERR_OK;
	}
	return etharp_output(netif, p, to);
}

/* Would it be asked for by its own address, not by a router's? */
static bool is_here6(const struct netif *netif, const ip6_addr_t *to)
{
	if (ip6_addr_islinklocal(to))
		return true;
	for (unsigned i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
		if (prefix_list[i].netif == netif && prefix_list[i].invalidation_timer > 0 && ip6_addr_net_eq(&prefix_list[i].prefix, to))
			return true;
	for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
		if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) && ip6_addr_net_eq(netif_ip6_addr(netif, i), to))
			return true;
	return false;
}

/* Makes room for one more packet behind those that wait for the neighbour, if any do. */
static void waiting_trim(struct nd6_neighbor_cache_entry *n)
{
	unsigned count = 0;

	for (struct nd6_q_entry *e = n->q; e; e = e->next)
		count++;
	for (; count >= WAITING6_MAX; count--) {
		struct nd6_q_entry *oldest = n->q;

		n->q = oldest->next;
		pbuf_free(oldest->p);
		memp_free(MEMP_ND6_QUEUE, oldest);
	}
}

err_t neighbour_output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
	unsigned waiting = 0;
	bool found = ip6_addr_ismulticast(to);

	if (!found && !is_here6(netif, to)) {
		for (unsigned i = 0; i < LWIP_ND6_NUM_ROUTERS; i++)
			if (default_router_list[i].neighbor_entry)
				waiting_trim(default_router_list[i].neighbor_entry);
		found = true;
	}
	for (unsigned i = 0; !found && i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		struct nd6_neighbor_cache_entry *n = &neighbor_cache[i];

		if (n->state == ND6_NO_ENTRY)
			continue;
		found = n->netif == netif && ip6_addr_eq(&n->next_hop_address, to);
		if (found)
			waiting_trim(n);
		waiting += n->state == ND6_INCOMPLETE;
	}
	if (!found && waiting >= ASKED6_MAX) {
		neighbour_counters.refused++;
		return ERR_OK;
	}
	return ethip6_output(netif, p, to);
}
