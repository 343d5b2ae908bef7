/*
 * kernel/net/config.c - where addresses come from: DHCP, router advertisements, or the option net.ip.
 *
 * Theory:    net.ip (config_text.h) sets the first device's IPv4 address by hand, else the DHCP client (dhcp.c) keeps one there. IPv6 addresses come by
 *            router advertisement, which lwIP reads; what it leaves out, the name servers (RFC 8106), is taken here from a copy of the message.
 *            What is known beside the addresses goes into files under /etc (etc_files.c), before the first program and whenever it changes.
 *            Programs start when there is an IPv4 address, or after WAIT_NS: a service that listens does not need one.
 * Interface: config.h; net_ip6_input() for lwIP (port/hooks.h).
 * Locking:   core lock. Files are written by a thread of their own, which lives as long as there is something to write.
 * Errors:    a value that cannot be understood is one line in the log and is left out.
 * Sources:   RFC 2131, 2132, 4861, 4862, 8106.
 */
#include "net/config.h"
#include "net/config_text.h"
#include "net/counters.h"
#include "net/device.h"
#include "net/dhcp.h"
#include "net/ra_message.h"
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "fs/genfs.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "lwip/inet_chksum.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/prot/ip6.h"
#include "lwip/timeouts.h"
#include "net/port/hooks.h"

#define WAIT_NS (4 * NSEC_PER_SEC)
#define WAIT_STEP_NS 500000
#define FILES_PAUSE_NS (NSEC_PER_SEC / 4) /* after files have been written, until they are again */
#define RA_BYTES 1500
#define NEXT_ICMP6 58

/* Core lock. */
static struct netif *netif;       /* of the first device; NULL: there is none */
static struct net_by_hand hand;
static bool by_hand;
static struct dhcp_lease lease;
static bool leased;
static struct ra_dns advertised;
static uint64_t servers_end_ns, search_end_ns; /* when what is in `advertised` ends */
static bool configured;           /* there is an IPv4 address */
static bool configured_once;
static bool files_ready;          /* the first files have been written: changes are written from now on */

/* --- files ------------------------------------------------------------------------------------------------------ */

static _Atomic unsigned files_wanted; /* changes that no thread has written yet */

static void files_main(void *arg)
{
	unsigned seen;

	do {
		seen = atomic_load(&files_wanted);
		etc_files_write();
		/* A router that says something else all the time shall not have it written all the time. */
		sleep_ns(FILES_PAUSE_NS);
	} while (!atomic_compare_exchange_strong(&files_wanted, &seen, 0));
}

/* Something has changed that files tell about. Core lock held. */
static void files_changed(void)
{
	if (!files_ready || atomic_fetch_add(&files_wanted, 1))
		return;
	if (IS_ERR(thread_create_kernel("network files", files_main, NULL))) {
		atomic_store(&files_wanted, 0);
		log_err("network: no memory to write /etc/resolv.conf");
	}
}

static void address_text(char *out, size_t size, uint32_t ip)
{
	const uint8_t *b = (const uint8_t *)&ip;

	snprintf(out, size, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
}

/* As RFC 5952 has it; one of the link names the interface, too. */
static void address6_text(char *out, size_t size, const uint8_t ip[16])
{
	char text[40], name[16];
	ip6_addr_t a = { 0 };

	memcpy(a.addr, ip, 16);
	ip6addr_ntoa_r(&a, text, sizeof(text));
	for (char *c = text; *c; c++)
		if (*c >= 'A' && *c <= 'F')
			*c = (char)(*c - 'A' + 'a');
	net_interface_name(netif, name);
	snprintf(out, size, ip6_addr_islinklocal(&a) ? "%s%%%s" : "%s", text, name);
}

/* Adds the words of `more` that are not in the list yet. */
static void search_add(struct net_names *n, const char *more)
{
	while (*more) {
		size_t len = 0, have = strlen(n->search);
		bool known = false;

		while (more[len] && more[len] != ' ')
			len++;
		for (const char *at = n->search; *at;) {
			size_t word = 0;

			while (at[word] && at[word] != ' ')
				word++;
			known |= word == len && !strncmp(at, more, len);
			at += word + (at[word] == ' ');
		}
		if (!known && have + len + 2 <= sizeof(n->search))
			snprintf(n->search + have, sizeof(n->search) - have, have ? " %.*s" : "%.*s", (int)len, more);
		more += len + (more[len] == ' ');
	}
}

void net_names_get(struct net_names *n)
{
	uint64_t now = clock_monotonic_ns();
	const char *given = setting_get("name");

	memset(n, 0, sizeof(*n));
	net_lock();
	if (configured)
		address_text(n->address, sizeof(n->address), netif_ip4_addr(netif)->addr);
	if (by_hand) {
		strlcpy(n->host, hand.host, sizeof(n->host));
		search_add(n, hand.search);
		for (; n->ndns < hand.ndns; n->ndns++)
			strlcpy(n->dns[n->ndns], hand.dns[n->ndns], NET_SERVER_BYTES);
		for (; n->nntp < hand.nntp; n->nntp++)
			strlcpy(n->ntp[n->nntp], hand.ntp[n->nntp], NET_SERVER_BYTES);
	} else if (leased) {
		if (!given || !*given)
			strlcpy(n->host, lease.host, sizeof(n->host));
		search_add(n, lease.search);
		for (; n->ndns < lease.ndns; n->ndns++)
			address_text(n->dns[n->ndns], NET_SERVER_BYTES, lease.dns[n->ndns]);
		for (; n->nntp < lease.nntp; n->nntp++)
			address_text(n->ntp[n->nntp], NET_SERVER_BYTES, lease.ntp[n->nntp]);
	}
	if (now < search_end_ns)
		search_add(n, advertised.search);
	for (unsigned i = 0; now < servers_end_ns && i < advertised.n && n->ndns < NET_SERVERS_MAX; i++)
		address6_text(n->dns[n->ndns++], NET_SERVER_BYTES, advertised.servers[i]);
	net_unlock();
}

/* --- IPv4 ---------------------------------------------------------------------------------------------------------------- */

bool net_config_by_hand(void) { return by_hand; }

void net_config_lifetime(uint32_t *preferred_s, uint32_t *valid_s)
{
	*valid_s = UINT32_MAX;
	if (!by_hand && !dhcp_client_lease(valid_s))
		*valid_s = UINT32_MAX;
	*preferred_s = *valid_s;
}

static void mtu_set(unsigned mtu)
{
	struct net_device *dev = net_device_of(netif);

	netif->mtu = (uint16_t)(mtu && mtu < dev->mtu ? mtu : dev->mtu);
}

/* An address has come: a line about it. A first one is no news that anybody waits for; a later one is, since the last was given up. */
static void tell_address(unsigned prefix, const char *how)
{
	char addr[16], router[24] = "none";
	int level = configured_once ? LOG_WARN : LOG_INFO;

	address_text(addr, sizeof(addr), netif_ip4_addr(netif)->addr);
	if (!ip4_addr_isany(netif_ip4_gw(netif)))
		address_text(router, sizeof(router), netif_ip4_gw(netif)->addr);
	log_print(level, "network: address %s/%u, router %s, by %s", addr, prefix, router, how);
	configured = configured_once = true;
}

/* Does b say anything else than a, beside its times? */
static bool lease_differs(const struct dhcp_lease *a, const struct dhcp_lease *b)
{
	return a->address != b->address || a->prefix != b->prefix || a->router != b->router || a->mtu != b->mtu || a->ndns != b->ndns || a->nntp != b->nntp ||
	       memcmp(a->dns, b->dns, sizeof(a->dns)) || memcmp(a->ntp, b->ntp, sizeof(a->ntp)) || strcmp(a->host, b->host) || strcmp(a->search, b->search);
}

void net_config_lease(const struct dhcp_lease *l)
{
	char how[40];

	if (!l) {
		leased = configured = false;
		mtu_set(0);
		files_changed();
		return;
	}
	if (leased && !lease_differs(&lease, l)) {
		lease = *l;
		net_trace("dhcp: the lease goes on for %u s", l->lease_s);
		return;
	}
	if (l->lease_s == DHCP_FOR_EVER)
		snprintf(how, sizeof(how), "DHCP for ever");
	else
		snprintf(how, sizeof(how), "DHCP for %u s", l->lease_s);
	if (leased && lease.address == l->address)
		log_info("network: the lease says something else than before");
	else
		tell_address(l->prefix, how);
	lease = *l;
	leased = true;
	mtu_set(l->mtu);
	files_changed();
}

static void wrong_word(const char *word, const char *why)
{
	if (strchr(word, '='))
		log_err("option net.ip: %s: %s", word, why);
	else
		log_err("option net.ip=%s: ADDR/LEN[,gw=ADDR][,dns=ADDR]... is wanted (%s)", word, why);
}

static void take_by_hand(void)
{
	ip4_addr_t addr = { hand.address }, mask = { lwip_htonl(UINT32_MAX << (32 - hand.prefix)) }, router = { hand.router };

	by_hand = true;
	netif_set_addr(netif, &addr, &mask, &router);
	mtu_set(hand.mtu);
	if (hand.mtu > net_device_of(netif)->mtu)
		log_err("option net.ip: mtu=%u: the device has %u at most", hand.mtu, net_device_of(netif)->mtu);
	tell_address(hand.prefix, "option");
}

/* --- IPv6 ------------------------------------------------------------------------------------------------------------------ */

/* The time of servers or domains is over; or it is time to look again, since lwIP's timers do not reach as far. */
static void advertised_timer(void *arg)
{
	uint64_t now = clock_monotonic_ns(), next;

	if ((advertised.n && now >= servers_end_ns) || (advertised.search[0] && now >= search_end_ns)) {
		if (now >= servers_end_ns)
			advertised.n = 0;
		if (now >= search_end_ns)
			advertised.search[0] = 0;
		net_trace("ipv6: name servers of a router are not valid any more");
		files_changed();
	}
	next = MIN(advertised.n ? servers_end_ns : DEADLINE_NEVER, advertised.search[0] ? search_end_ns : DEADLINE_NEVER);
	sys_untimeout(advertised_timer, NULL);
	if (next != DEADLINE_NEVER)
		sys_timeout((uint32_t)MIN((next - MIN(next, now)) / 1000000 + 1, 3600000ull), advertised_timer, NULL);
}

static uint64_t end_of(uint64_t now, uint32_t seconds) { return seconds == UINT32_MAX ? DEADLINE_NEVER : now + seconds * NSEC_PER_SEC; }

static void advertisement_take(const struct ra_dns *said)
{
	uint64_t now = clock_monotonic_ns();
	bool changed = false;

	if (said->has_servers) {
		changed |= advertised.n != said->n || memcmp(advertised.servers, said->servers, sizeof(said->servers));
		advertised.n = said->n;
		memcpy(advertised.servers, said->servers, sizeof(said->servers));
		servers_end_ns = end_of(now, said->servers_s);
	}
	if (said->has_search) {
		const char *search = said->search_s ? said->search : "";

		changed |= strcmp(advertised.search, search) != 0;
		strlcpy(advertised.search, search, sizeof(advertised.search));
		search_end_ns = end_of(now, said->search_s);
	}
	if (changed) {
		net_trace("ipv6: a router tells %u name servers, domains \"%s\"", advertised.n, advertised.search);
		files_changed();
	}
	if (said->has_servers || said->has_search)
		advertised_timer(NULL);
}

void net_ip6_look(struct pbuf *p, struct netif *in)
{
	struct {
		uint8_t source[16], destination[16]; /* the pseudo header: RFC 8200, 8.1 */
		uint32_t length, next;
		uint8_t message[RA_BYTES];
	} sum;
	const struct ip6_hdr *h = p->payload;
	struct ra_dns said;
	size_t len;

	/* A router's advertisements come from its own link, and from nowhere else. */
	if (in != netif || p->len < IP6_HLEN + 16 || IP6H_NEXTH(h) != NEXT_ICMP6 || ((const uint8_t *)h)[IP6_HLEN] != RA_TYPE ||
	    IP6H_HOPLIM(h) != 255 || ((const uint8_t *)&h->src)[0] != 0xfe || (((const uint8_t *)&h->src)[1] & 0xc0) != 0x80)
		return;
	len = IP6H_PLEN(h);
	if (len > sizeof(sum.message) || len > (size_t)p->tot_len - IP6_HLEN)
		return;
	memcpy(sum.source, &h->src, 16);
	memcpy(sum.destination, &h->dest, 16);
	sum.length = lwip_htonl((uint32_t)len);
	sum.next = lwip_htonl(NEXT_ICMP6);
	pbuf_copy_partial(p, sum.message, (uint16_t)len, IP6_HLEN);
	if (inet_chksum(&sum, (uint16_t)(offsetof(typeof(sum), message) + len)))
		return;
	if (ra_parse(sum.message, len, &said))
		advertisement_take(&said);
}

/* --- events -------------------------------------------------------------------------------------------------------------------- */

static void interface_changed(struct netif *n, netif_nsc_reason_t reason, const netif_ext_callback_args_t *args)
{
	char text[NET_SERVER_BYTES];
	uint8_t state;
	int i;

	if (n != netif)
		return;
	if (reason & LWIP_NSC_LINK_CHANGED) {
		net_trace("link %s", args->link_changed.state ? "up" : "down");
		if (args->link_changed.state && !by_hand)
			dhcp_client_link_up();
	}
	if (!(reason & LWIP_NSC_IPV6_ADDR_STATE_CHANGED))
		return;
	i = args->ipv6_addr_state_changed.addr_index;
	state = netif_ip6_addr_state(n, i);
	address6_text(text, sizeof(text), (const uint8_t *)netif_ip6_addr(n, i)->addr);
	if (ip6_addr_isduplicated(state))
		log_warn("network: address %s is taken by another machine of the link", text);
	else if (ip6_addr_ispreferred(state))
		log_info("network: address %s", text);
	net_trace("ipv6: address %s is %s", text, ip6_addr_isinvalid(state) ? "gone" : ip6_addr_isduplicated(state) ? "a duplicate" :
		  !ip6_addr_isvalid(state) ? "tentative" : ip6_addr_ispreferred(state) ? "preferred" : "deprecated");
}

void net_config_start(void)
{
	static netif_ext_callback_t callback;
	static char host[DHCP_NAME_BYTES];
	const char *given = setting_get("name");
	char text[512];

	if (given && strlen(given) < sizeof(host) && domain_ok(given))
		strlcpy(host, given, sizeof(host));
	net_lock();
	if (netif_default && net_device_of(netif_default)) {
		netif = netif_default;
		netif_add_ext_callback(&callback, interface_changed);
		netif_create_ip6_linklocal_address(netif, 1);
		netif_set_ip6_autoconfig_enabled(netif, 1);
		if (option_get("net.ip", text, sizeof(text)) && net_by_hand_read(text, &hand, wrong_word))
			take_by_hand();
		else if (!dhcp_client_start(netif, host))
			log_err("network: no memory for DHCP");
	}
	net_unlock();
}

void net_config_wait(void)
{
	uint64_t deadline = clock_monotonic_ns() + WAIT_NS;
	bool pending, there;

	/* While the first answer is on its way. */
	if (netif)
		etc_files_look();
	do {
		net_lock();
		there = netif;
		pending = netif && netif_is_link_up(netif) && !configured;
		files_ready = !pending;
		net_unlock();
		if (pending)
			sleep_ns(WAIT_STEP_NS);
	} while (pending && clock_monotonic_ns() < deadline);
	if (pending) {
		log_warn("network: no address after %llu s; programs start without one", WAIT_NS / NSEC_PER_SEC);
		net_lock();
		files_ready = true;
		net_unlock();
	}
	if (there)
		etc_files_write();
}

void net_config_print(struct text *t)
{
	struct net_names *n = kmalloc(sizeof(*n));
	struct dhcp_lease l = { 0 };
	uint32_t left = 0;
	bool asked;
	char server[16];

	if (!n) {
		t->failed = true;
		return;
	}
	net_names_get(n);
	net_lock();
	asked = dhcp_client_lease(&left) != NULL;
	if (asked)
		l = lease;
	net_unlock();
	if (n->address[0] && !asked)
		text_printf(t, "address %s by=option", n->address);
	if (asked) {
		address_text(server, sizeof(server), l.server);
		text_printf(t, "address %s by=dhcp server=%s lease_s=%u left_s=%u", n->address, server, l.lease_s, left);
	}
	if (n->address[0] || n->ndns) {
		text_printf(t, "%shost=%s search=", n->address[0] ? " " : "names ", n->host);
		for (const char *c = n->search; *c; c++)
			text_add(t, *c == ' ' ? "," : c, 1);
		text_printf(t, " dns=");
		for (unsigned i = 0; i < n->ndns; i++)
			text_printf(t, i ? ",%s" : "%s", n->dns[i]);
		text_printf(t, " ntp=");
		for (unsigned i = 0; i < n->nntp; i++)
			text_printf(t, i ? ",%s" : "%s", n->ntp[i]);
		text_add(t, "\n", 1);
	}
	kfree(n);
}
