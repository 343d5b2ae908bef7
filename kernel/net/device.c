/*
 * kernel/net/device.c - network devices as interfaces of lwIP.
 *
 * Theory:    an interface of lwIP for each device, Ethernet above it. Frames that lwIP sends collect in the device's queue until the
 *            core lock is released (net_devices_flush()). Loopback is lwIP's own interface: what is sent through it is
 *            delivered when the sender releases the core lock, by the sender.
 * Locking:   core lock. The list of devices is complete before the network thread runs.
 *            A frame for which the device has no room waits for some, in the order in which they came, TX_WAITING_MAX of them at most. Segments that
 *            TCP keeps do not: it is told, and is asked again. When there is room the two take turns in who comes first.
 * Errors:    what may not wait, or finds no memory, is counted and lost. While the link is down everything is dropped.
 */
#include "net/device.h"
#include "net/memory.h"
#include "net/neighbour.h"
#include "net/tcp_conn.h"
#include "net/unreach.h"
#include "core/log.h"
#include "lib/string.h"
#include "net/port/hooks.h"
#include "mm/mm.h"
#include "lwip/etharp.h"
#include "lwip/ip.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/netif.h"
#include "lwip/snmp.h"

/*
 * Sums that lwIP looks at, only while a frame of the device is under way: what this machine sends to the interface's own address comes back
 * without the sums that are left to the device.
 */
#define CHECKS (NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP)

#define TX_WAITING_MAX 1024 /* Linux's queue before a card takes 1,000 */

struct list net_devices = LIST_INIT(net_devices);

static struct netif *loopback(void)
{
	struct netif *n;

	NETIF_FOREACH(n)
		if (n->name[0] == 'l')
			return n;
	return NULL;
}

void net_loopback_init(void)
{
	struct netif *lo = loopback();

	/* Neither sum would find anything: the bytes never leave memory. */
	NETIF_SET_CHECKSUM_CTRL(lo, NETIF_CHECKSUM_DISABLE_ALL);
	/* lwIP takes 0 for 64 KiB; what sockets ask for shall be a number. */
	lo->mtu = 65535;
}

/* Hands a segment to TCP that has come through loopback; where from and where to has been set. */
static void tcp_here(struct pbuf *p, struct netif *inp, u16_t head)
{
	ip_data.current_netif = ip_data.current_input_netif = inp;
	ip_data.current_ip_header_tot_len = head;
	pbuf_remove_header(p, head);
	tcp_input(p, inp);
	ip_data.current_netif = ip_data.current_input_netif = NULL;
	ip_data.current_ip_header_tot_len = 0;
}

/*
 * What comes through loopback is this machine's own: whole, with a header of which nothing need be checked, and for this machine whatever address of
 * 127.0.0.0/8 it names (RFC 1122, section 3.2.1.3), of which lwIP would take 127.0.0.1 alone. TCP gets it at once.
 */
int net_ip4_input(struct pbuf *p, struct netif *inp)
{
	const struct ip_hdr *h = p->payload;

	if (net_device_of(inp) || p->len < IP_HLEN || IPH_HL_BYTES(h) != IP_HLEN || IPH_PROTO(h) != IP_PROTO_TCP ||
	    (IPH_OFFSET(h) & PP_HTONS(IP_OFFMASK | IP_MF)) || lwip_ntohl(h->dest.addr) >> 24 != IP_LOOPBACKNET)
		return 0;
	ip_addr_copy_from_ip4(ip_data.current_iphdr_dest, h->dest);
	ip_addr_copy_from_ip4(ip_data.current_iphdr_src, h->src);
	ip_data.current_ip4_header = h;
	MIB2_STATS_INC(mib2.ipindelivers);
	tcp_here(p, inp, IP_HLEN);
	ip_data.current_ip4_header = NULL;
	return 1;
}

bool net_has_ip6(struct netif *netif, const ip6_addr_t *ip)
{
	s8_t i = netif_get_ip6_addr_match(netif, ip);

	return i >= 0 && ip6_addr_isvalid(netif_ip6_addr_state(netif, i));
}

static bool is_here(const ip6_addr_t *ip)
{
	struct netif *n;

	NETIF_FOREACH(n)
		if (net_has_ip6(n, ip))
			return true;
	return false;
}

int net_ip6_here(struct pbuf *p, struct netif *inp)
{
	struct ip6_hdr *h = p->payload;
	ip6_addr_t to, from;

	if (net_device_of(inp) || p->len < IP6_HLEN || IP6H_NEXTH(h) != IP6_NEXTH_TCP || IP6H_PLEN(h) != p->tot_len - IP6_HLEN)
		return 0;
	ip6_addr_copy_from_packed(to, h->dest);
	ip6_addr_copy_from_packed(from, h->src);
	if (!ip6_addr_isloopback(&from) || !is_here(&to))
		return 0;
	ip_addr_copy_from_ip6(ip_data.current_iphdr_dest, to);
	ip_addr_copy_from_ip6(ip_data.current_iphdr_src, from);
	ip_data.current_ip6_header = h;
	tcp_here(p, inp, IP6_HLEN);
	ip_data.current_ip6_header = NULL;
	return 1;
}

void net_loopback_count(unsigned bytes)
{
	struct netif *lo = netif_get_by_index(net_interface_index(0));

	MIB2_STATS_NETIF_INC(lo, ifoutucastpkts);
	MIB2_STATS_NETIF_ADD(lo, ifoutoctets, bytes);
	MIB2_STATS_NETIF_INC(lo, ifinucastpkts);
	MIB2_STATS_NETIF_ADD(lo, ifinoctets, bytes);
}

struct net_device *net_device_of(const struct netif *netif) { return netif->name[0] == 'l' ? NULL : netif->state; }

void net_interface_name(const struct netif *netif, char name[16])
{
	if (netif->name[0] == 'l')
		snprintf(name, 16, "lo");
	else
		snprintf(name, 16, "eth%u", netif->num - 1);
}

struct netif *net_interface_find(const char *name)
{
	struct netif *n;
	char own[16];

	NETIF_FOREACH(n) {
		net_interface_name(n, own);
		if (!strcmp(own, name))
			return n;
	}
	return NULL;
}

/* --- frames --------------------------------------------------------------------------------------------- */

/* A TCP segment behind so many bytes of other headers, with bytes, SYN or FIN. The others nobody sends again. */
static bool is_kept(const struct pbuf *p, unsigned head)
{
	const struct tcp_hdr *h = (const struct tcp_hdr *)((const uint8_t *)p->payload + head);

	return p->len < head + TCP_HLEN || p->tot_len > head + TCPH_HDRLEN_BYTES(h) || TCPH_FLAGS(h) & (TCP_SYN | TCP_FIN);
}

/* Is that a segment which TCP keeps, or a part of one? The bytes are TCP's then, until they are acknowledged and no longer. */
static bool is_tcp(const struct pbuf *p)
{
	const struct eth_hdr *eth = p->payload;
	const uint8_t *packet = (const uint8_t *)(eth + 1);

	if (p->len >= SIZEOF_ETH_HDR + IP_HLEN && eth->type == PP_HTONS(ETHTYPE_IP))
		return IPH_PROTO((const struct ip_hdr *)packet) == IP_PROTO_TCP && is_kept(p, SIZEOF_ETH_HDR + IP_HLEN);
	if (p->len < SIZEOF_ETH_HDR + IP6_HLEN || eth->type != PP_HTONS(ETHTYPE_IPV6))
		return false;
	if (IP6H_NEXTH((const struct ip6_hdr *)packet) == IP6_NEXTH_TCP)
		return is_kept(p, SIZEOF_ETH_HDR + IP6_HLEN);
	/* The header of a fragment begins with what the whole is. */
	return IP6H_NEXTH((const struct ip6_hdr *)packet) == IP6_NEXTH_FRAGMENT && p->len > SIZEOF_ETH_HDR + IP6_HLEN &&
	       packet[IP6_HLEN] == IP6_NEXTH_TCP;
}

/* 0 or transmit()'s error. */
static int frame_send(struct net_device *dev, struct pbuf *p)
{
	int r = dev->transmit(dev, p);

	if (r) {
		dev->tx_full = true;
		return r;
	}
	dev->tx_frames++;
	dev->tx_bytes += p->tot_len;
	dev->flush_wanted = true;
	return 0;
}

/* Takes a reference. False: it may not wait. */
static bool frame_wait(struct net_device *dev, struct pbuf *p)
{
	if (!dev->tx_waiting || dev->tx_nwaiting == TX_WAITING_MAX || net_memory_tight())
		return false;
	pbuf_ref(p);
	dev->tx_waiting[(dev->tx_first + dev->tx_nwaiting++) % TX_WAITING_MAX] = p;
	return true;
}

static struct pbuf *frame_next(const struct net_device *dev) { return dev->tx_waiting[dev->tx_first]; }

/* The first of those that wait has gone, or is given up. */
static void frame_done(struct net_device *dev)
{
	struct pbuf *p = frame_next(dev);

	dev->tx_first = (dev->tx_first + 1) % TX_WAITING_MAX;
	dev->tx_nwaiting--;
	pbuf_free(p);
}

static void waiting_drop(struct net_device *dev)
{
	while (dev->tx_nwaiting) {
		dev->tx_dropped++;
		frame_done(dev);
	}
}

static void waiting_send(struct net_device *dev)
{
	while (dev->tx_nwaiting) {
		int r = frame_send(dev, frame_next(dev));

		if (r == -ENOBUFS)
			return;
		/* Nobody would say when there is memory. */
		dev->tx_dropped += r != 0;
		frame_done(dev);
	}
}

static err_t link_output(struct netif *netif, struct pbuf *p)
{
	struct net_device *dev = netif->state;
	int r;

	if (!atomic_load_explicit(&dev->link_up, memory_order_relaxed)) {
		dev->tx_dropped++;
		MIB2_STATS_NETIF_INC(netif, ifoutdiscards);
		return ERR_OK;
	}
	/* Behind those that wait already. */
	r = dev->tx_nwaiting && !is_tcp(p) ? -ENOBUFS : frame_send(dev, p);
	if (!r || (r == -ENOBUFS && !is_tcp(p) && frame_wait(dev, p)))
		return ERR_OK;
	dev->tx_dropped++;
	return ERR_MEM;
}

bool net_devices_flush(void)
{
	struct net_device *dev;
	bool any = false;

	list_for_each(dev, &net_devices, link) {
		if (dev->flush_wanted) {
			dev->flush_wanted = false;
			dev->flush(dev);
			any = true;
		}
	}
	return any;
}

void net_transmit_retry(struct net_device *dev)
{
	if (!atomic_load_explicit(&dev->link_up, memory_order_relaxed))
		waiting_drop(dev);
	if (!dev->tx_full)
		return;
	dev->tx_full = false;
	if (dev->tcp_first)
		tcp_conn_retry(&dev->tx_full);
	waiting_send(dev);
	if (!dev->tcp_first)
		tcp_conn_retry(&dev->tx_full);
	dev->tcp_first = !dev->tcp_first;
}

/*
 * A packet that says it comes from this machine, or from a loopback, and came by the wire: a martian (RFC 1812, section 5.3.7). Programs trust who
 * speaks from the loopback, and lwIP looks at where packets go only. `len` bytes of the packet are at hand; a header that is not whole is lwIP's to refuse.
 */
static bool is_martian(struct netif *netif, const void *packet, size_t len, u16_t type)
{
	ip6_addr_p_t packed;
	ip6_addr_t from6;
	uint32_t from;

	if (type == PP_HTONS(ETHTYPE_IP) && len >= IP_HLEN) {
		memcpy(&from, &((const struct ip_hdr *)packet)->src, sizeof(from));
		return *(uint8_t *)&from == IP_LOOPBACKNET || (from && from == netif_ip4_addr(netif)->addr);
	}
	if (type == PP_HTONS(ETHTYPE_IPV6) && len >= IP6_HLEN) {
		memcpy(&packed, &((const struct ip6_hdr *)packet)->src, sizeof(packed));
		ip6_addr_copy_from_packed(from6, packed);
		ip6_addr_assign_zone(&from6, IP6_UNICAST, netif);
		return is_here(&from6);
	}
	return false;
}

/* lwIP believes every neighbour, and takes for granted that ARP packets are whole. */
static bool acceptable(struct netif *netif, const struct pbuf *p)
{
	const struct eth_hdr *eth = p->payload;

	if (p->len < SIZEOF_ETH_HDR)
		return false;
	if (eth->type == PP_HTONS(ETHTYPE_ARP))
		return neighbour_hears(netif, p);
	if (is_martian(netif, eth + 1, p->len - SIZEOF_ETH_HDR, eth->type))
		return false;
	return eth->type == PP_HTONS(ETHTYPE_IPV6) ? neighbour_hears6(netif, p) : true;
}

/* A part of a packet, of which a device cannot know whether the sum of the whole is right. */
static bool is_fragment(const struct pbuf *p)
{
	const struct eth_hdr *eth = p->payload;
	const void *packet = eth + 1;

	if (p->len >= SIZEOF_ETH_HDR + IP_HLEN && eth->type == PP_HTONS(ETHTYPE_IP))
		return IPH_OFFSET((const struct ip_hdr *)packet) & PP_HTONS(IP_OFFMASK | IP_MF);
	return p->len >= SIZEOF_ETH_HDR + IP6_HLEN && eth->type == PP_HTONS(ETHTYPE_IPV6) &&
	       IP6H_NEXTH((const struct ip6_hdr *)packet) == IP6_NEXTH_FRAGMENT;
}

void net_receive(struct net_device *dev, struct pbuf *p, bool checked)
{
	struct netif *netif = dev->netif;

	if (!netif) {
		pbuf_free(p);
		return;
	}
	dev->rx_frames++;
	dev->rx_bytes += p->tot_len;
	/* The sums of this frame are looked at unless the device has done so. */
	if (!checked || is_fragment(p))
		netif->chksum_flags |= CHECKS;
	if (!acceptable(netif, p) || netif->input(p, netif) != ERR_OK) {
		dev->rx_dropped++;
		pbuf_free(p);
	}
	netif->chksum_flags &= ~CHECKS;
}

/* Nothing but a whole TCP segment is ever put together by a device: all else has to come past acceptable(). */
static bool is_whole_tcp(const struct pbuf *p, u16_t type)
{
	const void *packet = p->payload;

	if (type == PP_HTONS(ETHTYPE_IP) && p->len >= IP_HLEN)
		return IPH_PROTO((const struct ip_hdr *)packet) == IP_PROTO_TCP && !(IPH_OFFSET((const struct ip_hdr *)packet) & PP_HTONS(IP_OFFMASK | IP_MF));
	return type == PP_HTONS(ETHTYPE_IPV6) && p->len >= IP6_HLEN && IP6H_NEXTH((const struct ip6_hdr *)packet) == IP6_NEXTH_TCP;
}

void net_receive_large(struct net_device *dev, struct pbuf *p, bool checked)
{
	u16_t type = ((const struct eth_hdr *)p->payload - 1)->type;
	struct netif *netif = dev->netif;

	if (!netif) {
		pbuf_free(p);
		return;
	}
	dev->rx_frames++;
	dev->rx_large++;
	dev->rx_bytes += p->tot_len + SIZEOF_ETH_HDR;
	if (!is_whole_tcp(p, type) || is_martian(netif, p->payload, p->len, type)) {
		dev->rx_dropped++;
		pbuf_free(p);
		return;
	}
	if (!checked)
		netif->chksum_flags |= CHECKS;
	/* As lwIP's ethernet_input() goes on. */
	p->if_idx = netif_get_index(netif);
	if (type == PP_HTONS(ETHTYPE_IP))
		ip4_input(p, netif);
	else
		ip6_input(p, netif);
	netif->chksum_flags &= ~CHECKS;
}

/* --- life -------------------------------------------------------------------------------------------------- */

static err_t netif_setup(struct netif *netif)
{
	struct net_device *dev = netif->state;

	netif->name[0] = 'e';
	netif->name[1] = 'n';
	netif->mtu = (u16_t)dev->mtu;
	netif->hwaddr_len = ETH_HWADDR_LEN;
	memcpy(netif->hwaddr, dev->mac, ETH_HWADDR_LEN);
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
	netif->output = unreach_output_v4;
	netif->output_ip6 = unreach_output_v6;
	netif->linkoutput = link_output;
	netif->chksum_flags &= ~CHECKS;
	if (dev->offload & NET_OFFLOAD_TX_CSUM)
		netif->chksum_flags &= ~NETIF_CHECKSUM_GEN_TCP;
	MIB2_INIT_NETIF(netif, snmp_ifType_ethernet_csmacd, 1000000000);
	return ERR_OK;
}

void net_device_register(struct net_device *dev)
{
	list_push_back(&net_devices, &dev->link);
}

void net_devices_start(void)
{
	struct net_device *dev;

	list_for_each(dev, &net_devices, link) {
		struct netif *netif = kzalloc(sizeof(*netif));

		if (!netif) {
			log_err("%s: no memory for an interface", dev->name);
			continue;
		}
		dev->tx_waiting = kmalloc(TX_WAITING_MAX * sizeof(*dev->tx_waiting));
		net_lock();
		if (netif_add(netif, NULL, NULL, NULL, dev, netif_setup, netif_input)) {
			dev->netif = netif;
			if (!netif_default || netif_default == loopback())
				netif_set_default(netif);
			netif_set_up(netif);
			if (atomic_load(&dev->link_up))
				netif_set_link_up(netif);
		}
		net_unlock();
		log_info("%s: %02x:%02x:%02x:%02x:%02x:%02x, mtu %u, link %s", dev->name, dev->mac[0], dev->mac[1], dev->mac[2],
			 dev->mac[3], dev->mac[4], dev->mac[5], dev->mtu, atomic_load(&dev->link_up) ? "up" : "down");
	}
}

void net_device_link(struct net_device *dev, bool up)
{
	net_lock();
	if (atomic_exchange(&dev->link_up, up) != up && dev->netif) {
		log_info("%s: link %s", dev->name, up ? "up" : "down");
		if (up)
			netif_set_link_up(dev->netif);
		else
			netif_set_link_down(dev->netif);
	}
	if (!up)
		waiting_drop(dev);
	net_unlock();
}
