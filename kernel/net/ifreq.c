/*
 * kernel/net/ifreq.c - questions about interfaces by ioctl: SIOCGIF*, on sockets of any family.
 *
 * Interface: net_interface_ioctl() (interface.h), from linux/socket.c for what a family does not know.
 * Locking:   none: interface.h makes snapshots.
 * Errors:    -ENODEV for a name or number that no interface has, -EADDRNOTAVAIL without an IPv4 address; settings are -EOPNOTSUPP:
 *            addresses come from DHCP or net.ip.
 */
#include "net/ifreq.h"
#include "net/interface.h"
#include "net/socket.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <linux/in.h>
#include <linux/sockios.h>

#define QUEUE_LENGTH 1000 /* of a device; loopback has it on Linux, too */

static void address(struct ifreq_addr *to, const uint8_t addr[4])
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	in->sin_family = AF_INET;
	memcpy(&in->sin_addr, addr, 4);
}

static const struct net_address *ipv4_of(const struct net_interface *i)
{
	return i->naddresses && i->addresses[0].family == AF_INET ? &i->addresses[0] : NULL;
}

static int address_get(const struct net_interface *i, unsigned cmd, struct ifreq *req)
{
	static const uint8_t none[4];
	const struct net_address *a = ipv4_of(i);
	uint32_t mask;

	if (!a)
		return -EADDRNOTAVAIL;
	switch (cmd) {
	case SIOCGIFBRDADDR: address(&req->ifr_addr, a->has_broadcast ? a->broadcast : none); break;
	case SIOCGIFNETMASK:
		mask = a->prefix ? __builtin_bswap32(~0u << (32 - a->prefix)) : 0;
		address(&req->ifr_addr, (const uint8_t *)&mask);
		break;
	default: address(&req->ifr_addr, a->ip); break; /* a point-to-point partner is the address itself */
	}
	return 0;
}

static int interface_ask(const struct net_interface *i, unsigned cmd, struct ifreq *req)
{
	switch (cmd) {
	case SIOCGIFINDEX: req->ifr_ifindex = (int)i->index; return 0;
	case SIOCGIFFLAGS: req->ifr_flags = (short)i->flags; return 0;
	case SIOCGIFMTU: req->ifr_mtu = (int)i->mtu; return 0;
	case SIOCGIFMETRIC: req->ifr_mtu = 0; return 0;
	case SIOCGIFTXQLEN: req->ifr_mtu = QUEUE_LENGTH; return 0;
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR: return address_get(i, cmd, req);
	case SIOCGIFHWADDR:
		memset(&req->ifr_hwaddr, 0, sizeof(req->ifr_hwaddr));
		req->ifr_hwaddr.family = i->type;
		memcpy(req->ifr_hwaddr.data, i->mac, sizeof(i->mac));
		return 0;
	case SIOCGIFMAP: memset(req->space, 0, sizeof(req->space)); return 0;
	}
	return -EOPNOTSUPP;
}

/* Those with an IPv4 address, as Linux lists them. */
static long interface_list(uaddr_t arg)
{
	unsigned n, room, count = 0;
	struct net_interface *list;
	struct ifconf conf;
	long r = copy_from_user(&conf, arg, sizeof(conf));

	if (r)
		return r;
	list = net_interfaces(&n);
	if (!list)
		return -ENOMEM;
	room = conf.ifc_buf ? (unsigned)MAX(conf.ifc_len, 0) / (unsigned)sizeof(struct ifreq) : UINT32_MAX;
	for (unsigned i = 0; !r && i < n && count < room; i++) {
		struct ifreq req = { 0 };

		if (!ipv4_of(&list[i]))
			continue;
		memcpy(req.ifr_name, list[i].name, sizeof(req.ifr_name));
		address(&req.ifr_addr, ipv4_of(&list[i])->ip);
		if (conf.ifc_buf)
			r = copy_to_user(conf.ifc_buf + count * sizeof(req), &req, sizeof(req));
		count++;
	}
	kfree(list);
	conf.ifc_len = (int)(count * sizeof(struct ifreq));
	return r ? r : copy_to_user(arg, &conf, sizeof(conf));
}

/* Ethernet devices' own questions and everything that would change an interface or a table. */
static bool is_refused(unsigned cmd)
{
	switch (cmd) {
	case SIOCADDRT:
	case SIOCDELRT:
	case SIOCSIFNAME:
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMETRIC:
	case SIOCSIFMTU:
	case SIOCSIFHWADDR:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
	case SIOCSIFTXQLEN:
	case SIOCETHTOOL:
	case SIOCGMIIPHY:
	case SIOCDARP:
	case SIOCGARP:
	case SIOCSARP: return true;
	}
	return false;
}

static bool is_question(unsigned cmd)
{
	switch (cmd) {
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFMTU:
	case SIOCGIFMETRIC:
	case SIOCGIFTXQLEN:
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFHWADDR:
	case SIOCGIFMAP: return true;
	}
	return false;
}

long net_interface_ioctl(unsigned cmd, uaddr_t arg)
{
	struct net_interface i;
	struct ifreq req;
	long r;

	if (cmd == SIOCGIFCONF)
		return interface_list(arg);
	if (!is_question(cmd) && !is_refused(cmd) && cmd != SIOCGIFNAME)
		return -ENOTTY;
	r = copy_from_user(&req, arg, sizeof(req));
	if (r)
		return r;
	if (cmd == SIOCGIFNAME) {
		r = req.ifr_ifindex > 0 ? net_interface_get((unsigned)req.ifr_ifindex, NULL, &i) : -ENODEV;
		if (!r)
			memcpy(req.ifr_name, i.name, sizeof(req.ifr_name));
	} else if (is_refused(cmd)) {
		r = -EOPNOTSUPP;
	} else {
		char *alias;

		req.ifr_name[IFNAMSIZ - 1] = 0;
		/* "eth0:1" is an address of eth0 to these calls. */
		alias = strchr(req.ifr_name, ':');
		if (alias)
			*alias = 0;
		r = net_interface_get(0, req.ifr_name, &i);
		if (alias)
			*alias = ':';
		if (!r)
			r = interface_ask(&i, cmd, &req);
	}
	return r ? r : copy_to_user(arg, &req, sizeof(req));
}
