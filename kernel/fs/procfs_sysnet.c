/*
 * kernel/fs/procfs_sysnet.c - /proc/sys/net: the figures of the network that programs read before they choose their own.
 *
 * None can be written: each says what the network does here. Where Linux has a choice that there is not here, the file has what comes nearest.
 *
 * Interface: proc_sys_net_files (procfs.h).
 */
#include "fs/procfs.h"
#include "net/memory.h"

#define TEXT_FILE(name, ...)                                       \
	static int name(struct text *t, const struct gen_ref *ref) \
	{                                                          \
		text_printf(t, __VA_ARGS__);                       \
		return 0;                                          \
	}

TEXT_FILE(zero_show, "0\n")
TEXT_FILE(one_show, "1\n")

/* --- core: limits of linux/socket.c, socket_option.c and socket_msg.c ---------------------------------------------- */

TEXT_FILE(somaxconn_show, "4096\n")
TEXT_FILE(buffer_max_show, "33554432\n")
TEXT_FILE(buffer_default_show, "212992\n")
TEXT_FILE(backlog_show, "1000\n")
TEXT_FILE(optmem_show, "20480\n")
TEXT_FILE(qdisc_show, "noqueue\n")

static const struct gen_entry core_files[] = {
	GEN_FILE("somaxconn", somaxconn_show), GEN_FILE("rmem_max", buffer_max_show), GEN_FILE("wmem_max", buffer_max_show),
	GEN_FILE("rmem_default", buffer_default_show), GEN_FILE("wmem_default", buffer_default_show),
	GEN_FILE("netdev_max_backlog", backlog_show), GEN_FILE("optmem_max", optmem_show), GEN_FILE("default_qdisc", qdisc_show), GEN_END,
};

/* --- ipv4 ------------------------------------------------------------------------------------------------------------- */

TEXT_FILE(port_range_show, "32768\t60999\n")
TEXT_FILE(empty_show, "\n")
TEXT_FILE(ttl_show, "64\n")
TEXT_FILE(keepalive_time_show, "7200\n")
TEXT_FILE(keepalive_interval_show, "75\n")
TEXT_FILE(keepalive_probes_show, "9\n")
TEXT_FILE(fin_timeout_show, "20\n")
TEXT_FILE(syn_retries_show, "6\n")
TEXT_FILE(retries2_show, "12\n")
TEXT_FILE(tcp_rmem_show, "4096\t131072\t524288\n")
TEXT_FILE(tcp_wmem_show, "4096\t16384\t524288\n")
TEXT_FILE(congestion_show, "reno\n")

static int memory_show(struct text *t, const struct gen_ref *ref)
{
	unsigned long pages = net_memory_limit() / 4096;

	text_printf(t, "%lu\t%lu\t%lu\n", pages / 2, pages, 2 * pages);
	return 0;
}

static const struct gen_entry ipv4_files[] = {
	GEN_FILE("ip_local_port_range", port_range_show), GEN_FILE("ip_local_reserved_ports", empty_show),
	GEN_FILE("ip_unprivileged_port_start", zero_show), GEN_FILE("ip_default_ttl", ttl_show), GEN_FILE("ip_forward", zero_show),
	GEN_FILE("ip_nonlocal_bind", zero_show), GEN_FILE("icmp_echo_ignore_all", zero_show), GEN_FILE("icmp_echo_ignore_broadcasts", one_show),
	GEN_FILE("tcp_keepalive_time", keepalive_time_show), GEN_FILE("tcp_keepalive_intvl", keepalive_interval_show),
	GEN_FILE("tcp_keepalive_probes", keepalive_probes_show), GEN_FILE("tcp_fin_timeout", fin_timeout_show),
	GEN_FILE("tcp_syn_retries", syn_retries_show), GEN_FILE("tcp_synack_retries", syn_retries_show), GEN_FILE("tcp_retries2", retries2_show),
	GEN_FILE("tcp_rmem", tcp_rmem_show), GEN_FILE("tcp_wmem", tcp_wmem_show), GEN_FILE("tcp_mem", memory_show), GEN_FILE("udp_mem", memory_show),
	GEN_FILE("tcp_timestamps", one_show), GEN_FILE("tcp_window_scaling", one_show), GEN_FILE("tcp_sack", one_show),
	GEN_FILE("tcp_syncookies", one_show), GEN_FILE("tcp_fastopen", zero_show), GEN_FILE("tcp_tw_reuse", zero_show), GEN_FILE("tcp_congestion_control", congestion_show),
	GEN_FILE("tcp_available_congestion_control", congestion_show), GEN_FILE("tcp_allowed_congestion_control", congestion_show), GEN_END,
};

/* --- ipv6, unix -------------------------------------------------------------------------------------------------------- */

static const struct gen_entry conf6_files[] = {
	GEN_FILE("disable_ipv6", zero_show), GEN_FILE("accept_ra", one_show), GEN_FILE("autoconf", one_show), GEN_FILE("forwarding", zero_show),
	GEN_FILE("accept_dad", one_show), GEN_FILE("dad_transmits", one_show), GEN_FILE("hop_limit", ttl_show), GEN_FILE("use_tempaddr", zero_show), GEN_END,
};
static const struct gen_entry conf6_entries[] = {
	GEN_DIR("all", conf6_files), GEN_DIR("default", conf6_files), GEN_DIR("lo", conf6_files), GEN_END,
};
static const struct gen_entry ipv6_files[] = { GEN_FILE("bindv6only", zero_show), GEN_DIR("conf", conf6_entries), GEN_END };

TEXT_FILE(dgram_qlen_show, "10\n")
static const struct gen_entry unix_files[] = { GEN_FILE("max_dgram_qlen", dgram_qlen_show), GEN_END };

const struct gen_entry proc_sys_net_files[] = {
	GEN_DIR("core", core_files), GEN_DIR("ipv4", ipv4_files), GEN_DIR("ipv6", ipv6_files), GEN_DIR("unix", unix_files), GEN_END,
};
