/*
 * kernel/net/proc_snmp.c - /proc/net: snmp, snmp6, netstat, from lwIP's counters.
 *
 * Theory:    Linux's names in Linux's order. In the tables of RFC 1213 what lwIP does not count is 0; in the others it is left out, since readers
 *            go by the names.
 * Locking:   the core lock while lwIP's counters are copied.
 * Errors:    -ENOMEM.
 */
#include "net/icmp_rate.h"
#include "net/proc.h"
#include "net/net.h"
#include "net/path_mtu.h"
#include "net/socket_list.h"
#include "net/stats.h"
#include "net/tcp_conn.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "lwip/tcp.h"

/* A counter of the copy `s`. */
#define COUNT(name) net_stat(s, &s->low.name)

struct figure {
	const char *name;
	int64_t value;
};

static void table(struct text *t, const char *group, const struct figure *f, size_t n)
{
	text_printf(t, "%s:", group);
	for (size_t i = 0; i < n; i++)
		text_printf(t, " %s", f[i].name);
	text_printf(t, "\n%s:", group);
	for (size_t i = 0; i < n; i++)
		text_printf(t, " %ld", f[i].value);
	text_add(t, "\n", 1);
}

/* A copy that the caller frees; NULL: no memory. */
static struct net_stats *stats_copy(void)
{
	struct net_stats *s = kmalloc(sizeof(*s));

	if (!s)
		return NULL;
	net_lock();
	net_stats_copy(s);
	net_unlock();
	return s;
}

static unsigned established(void)
{
	unsigned n, count = 0;
	struct socket_row *rows = socket_rows_tcp(&n);

	for (unsigned i = 0; rows && i < n; i++)
		count += rows[i].state == SOCKET_ESTABLISHED || rows[i].state == SOCKET_CLOSE_WAIT;
	kfree(rows);
	return count;
}

int proc_net_snmp_show(struct text *t, const struct gen_ref *ref)
{
	struct net_stats *s = stats_copy();
	uint64_t full;

	if (!s)
		return -ENOMEM;
	full = COUNT(udp.drop) - COUNT(udp.chkerr); /* datagrams for which a socket had no room */
	const struct figure ip[] = {
		{ "Forwarding", 2 }, { "DefaultTTL", TCP_TTL }, { "InReceives", COUNT(mib2.ipinreceives) }, { "InHdrErrors", COUNT(mib2.ipinhdrerrors) },
		{ "InAddrErrors", COUNT(mib2.ipinaddrerrors) }, { "ForwDatagrams", COUNT(mib2.ipforwdatagrams) },
		{ "InUnknownProtos", COUNT(mib2.ipinunknownprotos) }, { "InDiscards", COUNT(mib2.ipindiscards) }, { "InDelivers", COUNT(mib2.ipindelivers) },
		{ "OutRequests", COUNT(mib2.ipoutrequests) }, { "OutDiscards", COUNT(mib2.ipoutdiscards) }, { "OutNoRoutes", COUNT(mib2.ipoutnoroutes) },
		{ "ReasmTimeout", 0 }, { "ReasmReqds", COUNT(mib2.ipreasmreqds) }, { "ReasmOKs", COUNT(mib2.ipreasmoks) },
		{ "ReasmFails", COUNT(mib2.ipreasmfails) }, { "FragOKs", COUNT(mib2.ipfragoks) }, { "FragFails", COUNT(mib2.ipfragfails) },
		{ "FragCreates", COUNT(mib2.ipfragcreates) }, { "OutTransmits", COUNT(mib2.ipoutrequests) },
	};
	const struct figure icmp[] = {
		{ "InMsgs", COUNT(mib2.icmpinmsgs) }, { "InErrors", COUNT(mib2.icmpinerrors) }, { "InCsumErrors", COUNT(icmp.chkerr) },
		{ "InDestUnreachs", COUNT(mib2.icmpindestunreachs) }, { "InTimeExcds", COUNT(mib2.icmpintimeexcds) },
		{ "InParmProbs", COUNT(mib2.icmpinparmprobs) }, { "InSrcQuenchs", COUNT(mib2.icmpinsrcquenchs) },
		{ "InRedirects", COUNT(mib2.icmpinredirects) }, { "InEchos", COUNT(mib2.icmpinechos) }, { "InEchoReps", COUNT(mib2.icmpinechoreps) },
		{ "InTimestamps", COUNT(mib2.icmpintimestamps) }, { "InTimestampReps", COUNT(mib2.icmpintimestampreps) },
		{ "InAddrMasks", COUNT(mib2.icmpinaddrmasks) }, { "InAddrMaskReps", COUNT(mib2.icmpinaddrmaskreps) }, { "OutMsgs", COUNT(mib2.icmpoutmsgs) },
		{ "OutErrors", COUNT(mib2.icmpouterrors) }, { "OutRateLimitGlobal", (int64_t)icmp_rate_counters.withheld }, { "OutRateLimitHost", 0 },
		{ "OutDestUnreachs", COUNT(mib2.icmpoutdestunreachs) }, { "OutTimeExcds", COUNT(mib2.icmpouttimeexcds) }, { "OutParmProbs", 0 },
		{ "OutSrcQuenchs", 0 }, { "OutRedirects", 0 }, { "OutEchos", COUNT(mib2.icmpoutechos) }, { "OutEchoReps", COUNT(mib2.icmpoutechoreps) },
		{ "OutTimestamps", 0 }, { "OutTimestampReps", 0 }, { "OutAddrMasks", 0 }, { "OutAddrMaskReps", 0 },
	};
	const struct figure tcp[] = {
		{ "RtoAlgorithm", 4 }, { "RtoMin", TCP_SLOW_INTERVAL }, { "RtoMax", 120000 }, { "MaxConn", -1 },
		{ "ActiveOpens", COUNT(mib2.tcpactiveopens) }, { "PassiveOpens", COUNT(mib2.tcppassiveopens) },
		{ "AttemptFails", COUNT(mib2.tcpattemptfails) }, { "EstabResets", COUNT(mib2.tcpestabresets) }, { "CurrEstab", established() },
		{ "InSegs", COUNT(mib2.tcpinsegs) }, { "OutSegs", COUNT(mib2.tcpoutsegs) }, { "RetransSegs", COUNT(mib2.tcpretranssegs) },
		{ "InErrs", COUNT(mib2.tcpinerrs) }, { "OutRsts", COUNT(mib2.tcpoutrsts) }, { "InCsumErrors", COUNT(tcp.chkerr) },
	};
	const struct figure udp[] = {
		{ "InDatagrams", COUNT(mib2.udpindatagrams) }, { "NoPorts", COUNT(mib2.udpnoports) }, { "InErrors", COUNT(mib2.udpinerrors) + full },
		{ "OutDatagrams", COUNT(mib2.udpoutdatagrams) }, { "RcvbufErrors", full }, { "SndbufErrors", 0 }, { "InCsumErrors", COUNT(udp.chkerr) },
		{ "IgnoredMulti", 0 }, { "MemErrors", COUNT(udp.memerr) },
	};
	const struct figure lite[] = {
		{ "InDatagrams", 0 }, { "NoPorts", 0 }, { "InErrors", 0 }, { "OutDatagrams", 0 }, { "RcvbufErrors", 0 }, { "SndbufErrors", 0 },
		{ "InCsumErrors", 0 }, { "IgnoredMulti", 0 }, { "MemErrors", 0 },
	};
	table(t, "Ip", ip, ARRAY_SIZE(ip));
	table(t, "Icmp", icmp, ARRAY_SIZE(icmp));
	table(t, "Tcp", tcp, ARRAY_SIZE(tcp));
	table(t, "Udp", udp, ARRAY_SIZE(udp));
	table(t, "UdpLite", lite, ARRAY_SIZE(lite));
	kfree(s);
	return 0;
}

int proc_net_snmp6_show(struct text *t, const struct gen_ref *ref)
{
	struct net_stats *s = stats_copy();

	if (!s)
		return -ENOMEM;
	const struct figure all[] = {
		{ "Ip6InReceives", COUNT(ip6.recv) }, { "Ip6InHdrErrors", COUNT(ip6.lenerr) + COUNT(ip6.err) + COUNT(ip6.opterr) },
		{ "Ip6InTooBigErrors", 0 }, { "Ip6InNoRoutes", 0 }, { "Ip6InAddrErrors", 0 }, { "Ip6InUnknownProtos", COUNT(ip6.proterr) },
		{ "Ip6InTruncatedPkts", COUNT(ip6.lenerr) }, { "Ip6InDiscards", COUNT(ip6.drop) },
		{ "Ip6InDelivers", COUNT(ip6.recv) - MIN(COUNT(ip6.recv), COUNT(ip6.drop)) }, { "Ip6OutForwDatagrams", COUNT(ip6.fw) },
		{ "Ip6OutRequests", COUNT(ip6.xmit) }, { "Ip6OutDiscards", COUNT(ip6.memerr) }, { "Ip6OutNoRoutes", COUNT(ip6.rterr) },
		{ "Ip6ReasmTimeout", 0 }, { "Ip6ReasmReqds", COUNT(ip6_frag.recv) }, { "Ip6ReasmOKs", COUNT(mib2.ip6reasmoks) },
		{ "Ip6ReasmFails", COUNT(ip6_frag.drop) }, { "Ip6FragOKs", 0 }, { "Ip6FragFails", COUNT(ip6_frag.err) },
		{ "Ip6FragCreates", COUNT(ip6_frag.xmit) }, { "Icmp6InMsgs", COUNT(icmp6.recv) + COUNT(nd6.recv) + COUNT(mld6.recv) },
		{ "Icmp6InErrors", COUNT(icmp6.drop) + COUNT(nd6.drop) + COUNT(mld6.drop) },
		{ "Icmp6OutMsgs", COUNT(icmp6.xmit) + COUNT(nd6.xmit) + COUNT(mld6.xmit) }, { "Icmp6OutErrors", COUNT(icmp6.err) },
		{ "Icmp6InCsumErrors", COUNT(icmp6.chkerr) },
		{ "Icmp6InPktTooBigs", (int64_t)path_mtu_counters.told },
	};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		text_printf(t, "%-32s\t%ld\n", all[i].name, all[i].value);
	kfree(s);
	return 0;
}

int proc_net_netstat_show(struct text *t, const struct gen_ref *ref)
{
	const struct tcp_conn_counters *c = &tcp_conn_counters; /* words that are read one by one */
	struct net_stats *s = stats_copy();

	if (!s)
		return -ENOMEM;
	const struct figure ext[] = {
		{ "SyncookiesSent", (int64_t)c->cookies_sent }, { "SyncookiesRecv", (int64_t)c->cookies_taken },
		{ "SyncookiesFailed", (int64_t)c->cookies_refused }, { "ListenOverflows", (int64_t)c->syn_overflows },
		{ "ListenDrops", (int64_t)(c->syn_overflows + c->memory_refusals) }, { "TCPTimeWaitOverflow", (int64_t)c->time_waits_cut },
		{ "TCPMemoryPressures", (int64_t)c->memory_stalls },
	};
	const struct figure ip[] = {
		{ "InNoRoutes", 0 }, { "InTruncatedPkts", COUNT(ip.lenerr) }, { "InCsumErrors", COUNT(ip.chkerr) },
	};
	table(t, "TcpExt", ext, ARRAY_SIZE(ext));
	table(t, "IpExt", ip, ARRAY_SIZE(ip));
	kfree(s);
	return 0;
}
