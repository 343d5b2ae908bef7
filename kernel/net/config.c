/*
 * kernel/net/config.c - where addresses come from: DHCP, router advertisements, or the option net.ip.
 *
 * Theory:    net.ip=ADDR/LEN[,gw=ADDR][,dns=ADDR]... sets the first device's IPv4 address by hand; else DHCP asks for it. IPv6 addresses come by
 *            router advertisement. What a lease says beside the address (DNS servers, domain, MTU) is read from its options
 *            by a hook of lwIP's and taken when lwIP has bound the lease. /etc/resolv.conf is written once, before the first program; one that
 *            the image brings stays as it is.
 *            Programs start when there is an address, or after WAIT_NS: a service that listens does not need one.
 * Locking:   core lock for everything but `file_wanted`; net_config_wait() writes the file without it.
 * Errors:    a value that cannot be understood is one line in the log and is left out.
 * Sources:   RFC 2131, 2132, 3397.
 */
#include "net/config.h"
#include "net/device.h"
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "lwip/dhcp.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/prot/dhcp.h"
#include "net/port/hooks.h"

#define WAIT_NS (4 * NSEC_PER_SEC)
#define WAIT_STEP_NS 2000000
#define DNS_MAX 3 /* what glibc takes */
#define NAME_MAX_BYTES 255

enum { OPTION_DNS = 6, OPTION_DOMAIN = 15, OPTION_MTU = 26 };

struct settings {
	ip4_addr_t dns[DNS_MAX];
	unsigned ndns;
	char domain[NAME_MAX_BYTES + 1];
	unsigned mtu; /* 0: not said */
};

/* What the message says that lwIP is reading; what holds. Core lock. */
static struct settings offered, taken;
static bool configured;           /* there is an address */
static _Atomic bool file_wanted;  /* /etc/resolv.conf is to be written */
static bool by_hand;

/* --- by hand --------------------------------------------------------------------------------------------------- */

/* Takes "ADDR" or "ADDR/LEN" at the beginning of *text, up to a comma. */
static bool take_address(const char **text, ip4_addr_t *addr, unsigned *len)
{
	unsigned dots = 0;
	char word[32];
	size_t n = 0;
	char *slash;

	while ((*text)[n] && (*text)[n] != ',')
		n++;
	if (n >= sizeof(word))
		return false;
	memcpy(word, *text, n);
	word[n] = 0;
	*text += n;
	slash = strchr(word, '/');
	if (slash) {
		*slash++ = 0;
		if (!len || !*slash || strlen(slash) > 2)
			return false;
		for (*len = 0; *slash; slash++) {
			if (*slash < '0' || *slash > '9')
				return false;
			*len = *len * 10 + (unsigned)(*slash - '0');
		}
		if (*len > 32)
			return false;
	}
	/* lwIP takes shorter forms, too, which mean something else than they look like. */
	for (const char *c = word; *c; c++)
		dots += *c == '.';
	return dots == 3 && ip4addr_aton(word, addr);
}

static bool parse_by_hand(const char *text, ip4_addr_t *addr, ip4_addr_t *mask, ip4_addr_t *gw, struct settings *s)
{
	unsigned len = 24;

	ip4_addr_set_zero(gw);
	if (!take_address(&text, addr, &len))
		return false;
	ip4_addr_set_u32(mask, lwip_htonl(len ? ~0u << (32 - len) : 0));
	while (*text == ',') {
		text++;
		if (!strncmp(text, "gw=", 3)) {
			text += 3;
			if (!take_address(&text, gw, NULL))
				return false;
		} else if (!strncmp(text, "dns=", 4) && s->ndns < DNS_MAX) {
			text += 4;
			if (!take_address(&text, &s->dns[s->ndns], NULL))
				return false;
			s->ndns++;
		} else {
			return false;
		}
	}
	return !*text;
}

/* --- a lease --------------------------------------------------------------------------------------------------------- */

void net_dhcp_parse(struct netif *netif, struct dhcp *dhcp, u8_t state, struct dhcp_msg *msg, u8_t type, u8_t option, u8_t len,
		    struct pbuf *p, u16_t offset)
{
	uint8_t mtu[2];

	switch (option) {
	case OPTION_DNS:
		offered.ndns = MIN(len / 4u, (unsigned)DNS_MAX);
		pbuf_copy_partial(p, offered.dns, (u16_t)(offered.ndns * 4), offset);
		break;
	case OPTION_DOMAIN:
		offered.domain[pbuf_copy_partial(p, offered.domain, len, offset)] = 0;
		break;
	case OPTION_MTU:
		if (len == 2 && pbuf_copy_partial(p, mtu, 2, offset) == 2)
			offered.mtu = (unsigned)mtu[0] << 8 | mtu[1];
		break;
	}
}

/* Letters, digits, dots and hyphens: what may stand in a file that programs read word by word. */
static bool name_ok(const char *s)
{
	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') && !(*s >= '0' && *s <= '9') && *s != '.' && *s != '-')
			return false;
	return true;
}

bool net_config_by_hand(void) { return by_hand; }

void net_config_lifetime(uint32_t *preferred_s, uint32_t *valid_s)
{
	*preferred_s = *valid_s = UINT32_MAX;
}

void net_config_work(void)
{
	struct netif *n = netif_default;
	char addr[16], gw[16];

	if (configured || !n || !net_device_of(n) || ip4_addr_isany(netif_ip4_addr(n)))
		return;
	if (!by_hand) {
		if (!dhcp_supplied_address(n))
			return;
		taken = offered;
		if (!name_ok(taken.domain)) {
			log_warn("network: the domain of the lease is not a name and is left out");
			taken.domain[0] = 0;
		}
		if (taken.mtu >= 576 && taken.mtu < n->mtu)
			n->mtu = (u16_t)taken.mtu;
	}
	configured = true;
	ip4addr_ntoa_r(netif_ip4_addr(n), addr, sizeof(addr));
	ip4addr_ntoa_r(netif_ip4_gw(n), gw, sizeof(gw));
	log_info("network: address %s, router %s, by %s", addr, gw, by_hand ? "option" : "DHCP");
	atomic_store(&file_wanted, true);
}

void net_config_start(void)
{
	ip4_addr_t addr, mask, gw;
	char text[160];
	struct netif *n;

	net_lock();
	n = netif_default;
	if (n && net_device_of(n)) {
		netif_create_ip6_linklocal_address(n, 1);
		netif_set_ip6_autoconfig_enabled(n, 1);
		if (option_get("net.ip", text, sizeof(text))) {
			if (parse_by_hand(text, &addr, &mask, &gw, &taken)) {
				by_hand = true;
				netif_set_addr(n, &addr, &mask, &gw);
			} else {
				log_err("option net.ip=%s: ADDR/LEN[,gw=ADDR][,dns=ADDR] is wanted; asking by DHCP", text);
			}
		}
		if (!by_hand && dhcp_start(n) != ERR_OK)
			log_err("network: no memory for DHCP");
	}
	net_unlock();
}

/* --- /etc -------------------------------------------------------------------------------------------------------------- */

static void resolv_write(void)
{
	struct file *own = vfs_open("/etc/resolv.conf", O_RDONLY, 0);
	char text[512];
	size_t n = 0;

	if (!IS_ERR(own)) {
		file_put(own);
		return;
	}
	net_lock();
	if (taken.domain[0])
		n += (size_t)snprintf(text + n, sizeof(text) - n, "search %s\n", taken.domain);
	for (unsigned i = 0; i < taken.ndns; i++) {
		char addr[16];

		ip4addr_ntoa_r(&taken.dns[i], addr, sizeof(addr));
		n += (size_t)snprintf(text + n, sizeof(text) - n, "nameserver %s\n", addr);
	}
	net_unlock();
	if (n && vfs_write_file("/etc/resolv.conf", text, n) < 0)
		log_err("network: /etc/resolv.conf cannot be written");
}

void net_config_wait(void)
{
	uint64_t deadline = clock_monotonic_ns() + WAIT_NS;
	bool pending;

	do {
		net_lock();
		pending = netif_default && net_device_of(netif_default) && netif_is_link_up(netif_default) && !configured;
		net_unlock();
		if (pending)
			sleep_ns(WAIT_STEP_NS);
	} while (pending && clock_monotonic_ns() < deadline);
	if (pending)
		log_warn("network: no address after %llu s; programs start without one", WAIT_NS / NSEC_PER_SEC);
	if (atomic_exchange(&file_wanted, false))
		resolv_write();
}
