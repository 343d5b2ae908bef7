/*
 * kernel/fs/sysfs_net.c - /sys/class: its folder net, with a folder for each interface.
 *
 * Theory:    a reference's index is the number of the interface.
 * Interface: sys_class_files (procfs.h).
 * Errors:    -ENODEV; -EINVAL where Linux has it, too: loopback has no speed.
 */
#include "fs/procfs.h"
#include "net/ifreq.h"
#include "net/interface.h"
#include "mm/mm.h"
#include "lib/string.h"

/* A file of one value; `i` is the interface. */
#define FILE_OF(name, format, ...)                                            \
	static int name(struct text *t, const struct gen_ref *ref)            \
	{                                                                     \
		struct net_interface i;                                       \
		int r = net_interface_get((unsigned)ref->index, NULL, &i);    \
		if (!r)                                                       \
			text_printf(t, format "\n", __VA_ARGS__);             \
		return r;                                                     \
	}

#define TEXT_FILE(name, content)                                    \
	static int name(struct text *t, const struct gen_ref *ref) \
	{                                                          \
		text_printf(t, content);                           \
		return 0;                                          \
	}

static bool is_loopback(const struct net_interface *i) { return i->type == ARPHRD_LOOPBACK; }

FILE_OF(address_show, "%02x:%02x:%02x:%02x:%02x:%02x", i.mac[0], i.mac[1], i.mac[2], i.mac[3], i.mac[4], i.mac[5])
FILE_OF(broadcast_show, "%s", is_loopback(&i) ? "00:00:00:00:00:00" : "ff:ff:ff:ff:ff:ff")
FILE_OF(mtu_show, "%u", i.mtu)
FILE_OF(index_show, "%u", i.index)
FILE_OF(flags_show, "0x%x", i.flags & 0xffff & ~(unsigned)IFF_RUNNING)
FILE_OF(type_show, "%u", i.type)
FILE_OF(carrier_show, "%u", i.carrier)
FILE_OF(operstate_show, "%s", is_loopback(&i) ? "unknown" : i.carrier ? "up" : "down")
FILE_OF(uevent_show, "INTERFACE=%s\nIFINDEX=%u", i.name, i.index)
TEXT_FILE(zero_show, "0\n")
TEXT_FILE(address_length_show, "6\n")
TEXT_FILE(queue_show, "1000\n")

static int speed_show(struct text *t, const struct gen_ref *ref)
{
	struct net_interface i;
	int r = net_interface_get((unsigned)ref->index, NULL, &i);

	if (r || is_loopback(&i))
		return r ? r : -EINVAL;
	text_printf(t, "-1\n"); /* a virtual card has none */
	return 0;
}

static int duplex_show(struct text *t, const struct gen_ref *ref)
{
	struct net_interface i;
	int r = net_interface_get((unsigned)ref->index, NULL, &i);

	if (r || is_loopback(&i))
		return r ? r : -EINVAL;
	text_printf(t, "unknown\n");
	return 0;
}

FILE_OF(rx_packets_show, "%lu", i.traffic.rx_frames)
FILE_OF(rx_bytes_show, "%lu", i.traffic.rx_bytes)
FILE_OF(rx_dropped_show, "%lu", i.traffic.rx_dropped)
FILE_OF(tx_packets_show, "%lu", i.traffic.tx_frames)
FILE_OF(tx_bytes_show, "%lu", i.traffic.tx_bytes)
FILE_OF(tx_dropped_show, "%lu", i.traffic.tx_dropped)

static const struct gen_entry statistics_files[] = {
	GEN_FILE("rx_packets", rx_packets_show), GEN_FILE("rx_bytes", rx_bytes_show), GEN_FILE("rx_dropped", rx_dropped_show),
	GEN_FILE("tx_packets", tx_packets_show), GEN_FILE("tx_bytes", tx_bytes_show), GEN_FILE("tx_dropped", tx_dropped_show),
	GEN_FILE("rx_errors", zero_show), GEN_FILE("tx_errors", zero_show), GEN_FILE("collisions", zero_show), GEN_FILE("multicast", zero_show),
	GEN_FILE("rx_compressed", zero_show), GEN_FILE("rx_crc_errors", zero_show), GEN_FILE("rx_fifo_errors", zero_show),
	GEN_FILE("rx_frame_errors", zero_show), GEN_FILE("rx_length_errors", zero_show), GEN_FILE("rx_missed_errors", zero_show),
	GEN_FILE("rx_nohandler", zero_show), GEN_FILE("rx_over_errors", zero_show), GEN_FILE("tx_aborted_errors", zero_show),
	GEN_FILE("tx_carrier_errors", zero_show), GEN_FILE("tx_compressed", zero_show), GEN_FILE("tx_fifo_errors", zero_show),
	GEN_FILE("tx_heartbeat_errors", zero_show), GEN_FILE("tx_window_errors", zero_show), GEN_END,
};
static const struct gen_entry interface_files[] = {
	GEN_FILE("address", address_show), GEN_FILE("addr_assign_type", zero_show), GEN_FILE("addr_len", address_length_show),
	GEN_FILE("broadcast", broadcast_show), GEN_FILE("mtu", mtu_show), GEN_FILE("ifindex", index_show), GEN_FILE("iflink", index_show),
	GEN_FILE("flags", flags_show), GEN_FILE("type", type_show), GEN_FILE("carrier", carrier_show), GEN_FILE("operstate", operstate_show),
	GEN_FILE("dormant", zero_show), GEN_FILE("link_mode", zero_show), GEN_FILE("netdev_group", zero_show), GEN_FILE("proto_down", zero_show),
	GEN_FILE("speed", speed_show), GEN_FILE("duplex", duplex_show), GEN_FILE("tx_queue_len", queue_show), GEN_FILE("uevent", uevent_show),
	GEN_DIR("statistics", statistics_files), GEN_END,
};
static const struct gen_entry interface_entry = GEN_DIR("", interface_files);

static const struct gen_entry *net_next(const struct gen_ref *dir, int after, int *number, char name[32])
{
	unsigned n;
	struct net_interface *list = net_interfaces(&n);
	const struct gen_entry *found = NULL;

	for (unsigned i = 0; list && i < n && !found; i++) {
		if ((int)list[i].index <= after)
			continue;
		*number = (int)list[i].index;
		strlcpy(name, list[i].name, 32);
		found = &interface_entry;
	}
	kfree(list);
	return found;
}

static const struct gen_entry *net_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref)
{
	struct net_interface i;

	if (net_interface_get(0, name, &i))
		return NULL;
	*ref = *dir;
	ref->index = (int)i.index;
	return &interface_entry;
}

const struct gen_entry sys_class_files[] = { { .name = "net", .mode = S_IFDIR | 0555, .next = net_next, .find = net_find }, GEN_END };
