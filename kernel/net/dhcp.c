/*
 * kernel/net/dhcp.c - the DHCP client of the first device (RFC 2131).
 *
 * Theory:    one exchange at a time, with a number that nobody can guess. Only answers that dhcp_parse() has found right are looked at, and only those that
 *            fit the state: an offer while we are looking for one, an acknowledgement or a refusal by the server that we asked.
 *
 *              SELECTING    DISCOVER to all               first offer: REQUESTING
 *              REQUESTING   REQUEST to all, with server    ack: BOUND; nak or REQUEST_TRIES: SELECTING
 *              BOUND        nothing until renew_s         then RENEWING
 *              RENEWING     REQUEST to the server         ack: BOUND; nak: SELECTING, without address; rebind_s: REBINDING
 *              REBINDING    REQUEST to all                ack: BOUND; nak or the end of the lease: SELECTING, without address
 *              REBOOTING    as REBINDING, when the link has come back; after REQUEST_TRIES SELECTING, with the address until the lease ends
 *
 *            Questions are asked again after 1, 2, 4 ... 64 s, give or take a quarter; renewals as the RFC says, in half of the time that is left, but
 *            each minute at most. A server that refuses again and again is asked as slowly.
 *            An acknowledgement of another address than was asked for is none: a changed address comes by a refusal and a new offer.
 * Interface: dhcp.h
 * Locking:   core lock.
 * Errors:    no memory for a message: it is as if it had been lost. Messages that are wrong are told in the log, once for each reason.
 * Sources:   RFC 2131, section 4.4; lwIP's UDP and its timers.
 */
#include "net/dhcp.h"
#include "net/config.h"
#include "net/counters.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/random.h"
#include "core/thread.h"
#include "lib/string.h"
#include "lwip/netif.h"
#include "lwip/timeouts.h"
#include "lwip/udp.h"

#define PORT_SERVER 67
#define PORT_CLIENT 68
#define RETRY_FIRST_MS 1000u
#define RETRY_LAST_MS 64000u
#define REQUEST_TRIES 4
#define RENEW_LEAST_NS (60 * NSEC_PER_SEC)
#define TIMER_MAX_MS 3600000u

enum state { SELECTING, REQUESTING, BOUND, RENEWING, REBINDING, REBOOTING };
static const char *const state_names[] = { "selecting", "requesting", "bound", "renewing", "rebinding", "rebooting" };

static struct netif *netif;
static struct udp_pcb *pcb;
static const char *host_name;
static enum state state;
static uint32_t xid;
static unsigned tries, refusals;
static uint64_t asked_ns;    /* when the exchange began */
static uint64_t next_ns;     /* when to do something next */
static struct dhcp_lease offer;
static struct dhcp_lease lease;
static bool have_lease;
static uint64_t renew_ns, rebind_ns, end_ns;
static const char *told[16]; /* reasons that are in the log */

static void timer(void *arg);

static void timer_set(uint64_t at_ns)
{
	uint64_t now = clock_monotonic_ns(), wait = at_ns > now ? (at_ns - now) / 1000000 + 1 : 1;

	next_ns = at_ns;
	sys_untimeout(timer, NULL);
	sys_timeout((uint32_t)MIN(wait, (uint64_t)TIMER_MAX_MS), timer, NULL);
}

/* After how long a question is asked again, the nth time. */
static uint64_t retry_ns(unsigned n)
{
	uint64_t ms = MIN(RETRY_FIRST_MS << MIN(n, 6u), RETRY_LAST_MS);

	return (ms - ms / 4 + random_u64() % (ms / 2)) * 1000000;
}

/* --- sending ----------------------------------------------------------------------------------------------------------- */

static void send(const struct dhcp_request *r, uint32_t to)
{
	struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, DHCP_MESSAGE_BYTES, PBUF_RAM);
	ip_addr_t dest, from;

	if (!p)
		return;
	pbuf_realloc(p, (uint16_t)dhcp_build(p->payload, r));
	ip_addr_set_ip4_u32_val(dest, to);
	ip_addr_set_ip4_u32_val(from, r->own);
	udp_sendto_if_src(pcb, p, &dest, PORT_SERVER, netif, &from);
	pbuf_free(p);
}

static void ask(void)
{
	uint64_t elapsed = (clock_monotonic_ns() - asked_ns) / NSEC_PER_SEC;
	struct dhcp_request r = { .type = state == SELECTING ? DHCP_DISCOVER : DHCP_REQUEST, .xid = xid, .elapsed_s = (uint16_t)MIN(elapsed, 65535ull),
				  .mtu = MAX(netif->mtu, 576), .host = host_name };
	uint32_t to = IPADDR_BROADCAST;

	memcpy(r.mac, netif->hwaddr, sizeof(r.mac));
	switch (state) {
	case REQUESTING:
		r.wanted = offer.address;
		r.server = offer.server;
		break;
	case RENEWING:
		to = lease.server;
		r.own = lease.address;
		break;
	case REBINDING: r.own = lease.address; break;
	case REBOOTING: r.wanted = lease.address; break;
	default: break;
	}
	net_trace("dhcp: %s, try %u", state_names[state], tries + 1);
	send(&r, to);
}

static void enter(enum state s)
{
	if (s != REQUESTING) { /* which goes on with the exchange of the offer */
		xid = (uint32_t)random_u64();
		asked_ns = clock_monotonic_ns();
	}
	state = s;
	tries = 0;
}

static void ask_and_wait(void)
{
	uint64_t again = clock_monotonic_ns() + retry_ns(tries);

	ask();
	tries++;
	timer_set(have_lease ? MIN(again, end_ns) : again);
}

/* --- the lease --------------------------------------------------------------------------------------------------------- */

static uint64_t after(uint64_t from_ns, uint32_t seconds)
{
	return seconds == DHCP_FOR_EVER ? DEADLINE_NEVER : from_ns + seconds * NSEC_PER_SEC;
}

static void lease_take(const struct dhcp_lease *l)
{
	ip4_addr_t addr = { l->address }, mask = { lwip_htonl(UINT32_MAX << (32 - l->prefix)) }, router = { l->router };

	lease = *l;
	have_lease = true;
	refusals = 0;
	/* Its times count from when it was asked for. */
	renew_ns = after(asked_ns, l->renew_s);
	rebind_ns = after(asked_ns, l->rebind_s);
	end_ns = after(asked_ns, l->lease_s);
	state = BOUND;
	netif_set_addr(netif, &addr, &mask, &router);
	net_config_lease(&lease);
	timer_set(renew_ns);
}

static void lease_drop(const char *why)
{
	char text[16];

	have_lease = false;
	ip4addr_ntoa_r(netif_ip4_addr(netif), text, sizeof(text));
	log_warn("network: address %s is given up: %s", text, why);
	netif_set_addr(netif, NULL, NULL, NULL);
	net_config_lease(NULL);
}

const struct dhcp_lease *dhcp_client_lease(uint32_t *left_s)
{
	uint64_t now = clock_monotonic_ns();

	if (!have_lease)
		return NULL;
	*left_s = end_ns == DEADLINE_NEVER ? DHCP_FOR_EVER : end_ns > now ? (uint32_t)((end_ns - now) / NSEC_PER_SEC) : 0;
	return &lease;
}

static void refused(void)
{
	if (have_lease)
		lease_drop("its server refuses it");
	enter(SELECTING);
	/* Not at once: the server may refuse the next as well. */
	timer_set(clock_monotonic_ns() + retry_ns(refusals++));
}

/* --- receiving ----------------------------------------------------------------------------------------------------------- */

/* The acknowledgement of what we asked for? */
static bool fits(const struct dhcp_lease *l)
{
	if (state == REQUESTING)
		return l->address == offer.address && l->server == offer.server;
	return l->address == lease.address && (state == REBINDING || state == REBOOTING || l->server == lease.server);
}

static void answer(const struct dhcp_lease *l)
{
	bool asking = state == REQUESTING || state == RENEWING || state == REBINDING || state == REBOOTING;

	if (l->type == DHCP_OFFER && state == SELECTING) {
		offer = *l;
		enter(REQUESTING);
		ask_and_wait();
	} else if (l->type == DHCP_ACK && asking && fits(l)) {
		if (l->odd)
			log_warn("network: part of the DHCP lease is left out: %s", l->odd);
		lease_take(l);
	} else if (l->type == DHCP_NAK && asking) {
		bool ours = state == REQUESTING ? l->server == offer.server : state != RENEWING || l->server == lease.server;

		if (ours) {
			net_trace("dhcp: refused while %s", state_names[state]);
			refused();
		}
	}
}

/* Messages can come as fast as frames: each reason is told once. */
static void tell(const char *why)
{
	unsigned i = 0;

	while (i < ARRAY_SIZE(told) && told[i] && told[i] != why)
		i++;
	if (i == ARRAY_SIZE(told) || told[i])
		return;
	told[i] = why;
	log_info("network: a DHCP message is passed over: %s", why);
}

static void received(void *arg, struct udp_pcb *by, struct pbuf *p, const ip_addr_t *from, u16_t port)
{
	uint8_t m[DHCP_MESSAGE_BYTES * 3]; /* what a packet of 1500 bytes can hold */
	size_t len = pbuf_copy_partial(p, m, sizeof(m), 0);
	struct dhcp_lease l;
	const char *why;

	pbuf_free(p);
	if (ip_current_input_netif() != netif)
		return;
	why = dhcp_parse(m, len, xid, netif->hwaddr, &l);
	if (why) {
		tell(why);
		net_trace("dhcp: a message is passed over: %s", why);
	} else {
		answer(&l);
	}
}

/* --- time --------------------------------------------------------------------------------------------------------------------- */

/* Renewing or rebinding until `until`: when to ask again (RFC 2131, 4.4.5). */
static uint64_t again_ns(uint64_t now, uint64_t until)
{
	uint64_t half = (until - now) / 2, least = MIN(RENEW_LEAST_NS, (until - now) / 4 + NSEC_PER_SEC / 2);

	return MIN(now + MAX(half, least), until);
}

static void timer(void *arg)
{
	uint64_t now = clock_monotonic_ns();

	if (now < next_ns) { /* lwIP's timers do not reach so far */
		timer_set(next_ns);
		return;
	}
	if (have_lease && now >= end_ns) {
		lease_drop("its lease is over");
		enter(SELECTING);
	} else if (state == BOUND || (state == RENEWING && now >= rebind_ns)) {
		enter(now >= rebind_ns ? REBINDING : RENEWING);
	}
	switch (state) {
	case RENEWING:
	case REBINDING:
		ask();
		tries++;
		timer_set(again_ns(now, state == RENEWING ? rebind_ns : end_ns));
		return;
	case REQUESTING:
	case REBOOTING:
		if (tries >= REQUEST_TRIES)
			enter(SELECTING);
		break;
	default: break;
	}
	ask_and_wait();
}

void dhcp_client_link_up(void)
{
	if (!pcb)
		return;
	enter(have_lease ? REBOOTING : SELECTING);
	ask_and_wait();
}

bool dhcp_client_start(struct netif *n, const char *host)
{
	pcb = udp_new_ip_type(IPADDR_TYPE_V4);
	if (!pcb)
		return false;
	netif = n;
	host_name = host;
	ip_set_option(pcb, SOF_BROADCAST | SOF_REUSEADDR);
	udp_bind(pcb, IP4_ADDR_ANY, PORT_CLIENT);
	udp_bind_netif(pcb, n);
	udp_recv(pcb, received, NULL);
	enter(SELECTING);
	if (netif_is_link_up(n))
		ask_and_wait();
	return true;
}
