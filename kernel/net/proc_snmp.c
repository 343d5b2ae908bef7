/*
 * kernel/net/proc_snmp.c - /proc/net: snmp, snmp6, netstat, from lwIP's counters.
 *
 * Theory:    Linux's names in Linux's order. In the tables of RFC 1213 what lwIP does not count is 0; in the others it is left out, since readers
 *            go by the names. A counter has 32 bits.
 * Locking:   the core lock while lwIP's counters are copied.
 * Errors:    -ENOMEM.
 */
#include "net/proc.h"
#include "net/net.h"
#include "net/socket_list.h"
#include "net/tcp_conn.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "lwip/stats.h"
#include "lwip/tcp.h"

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
static struct stats_ *stats_copy(void)
{
	struct stats_ *s = kmalloc(sizeof(*s));

	if (!s)
		return NULL;
	net_lock();
	*s = lwip_stats;
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
	struct stats_ *s = stats_copy();
	const struct stats_mib2 *m;
	uint32_t full;

	if (!s)
		return -ENOMEM;
	m = &s->mib2;
	full = s->udp.drop - s->udp.chkerr; /* datagrams for which a socket had no room */
	const struct figure ip[] = {
		{ "Forwarding", 2 }, { "DefaultTTL", TCP_TTL }, { "InReceives", m->ipinreceives }, { "InHdrErrors", m->ipinhdrerrors },
		{ "InAddrErrors", m->ipinaddrerrors }, { "ForwDatagrams", m->ipforwdatagrams }, { "InUnknownProtos", m->ipinunknownprotos },
		{ "InDiscards", m->ipindiscards }, { "InDelivers", m->ipindelivers }, { "OutRequests", m->ipoutrequests },
		{ "OutDiscards", m->ipoutdiscards }, { "OutNoRoutes", m->ipoutnoroutes }, { "ReasmTimeout", 0 }, { "ReasmReqds", m->ipreasmreqds },
		{ "ReasmOKs", m->ipreasmoks }, { "ReasmFails", m->ipreasmfails }, { "FragOKs", m->ipfragoks }, { "FragFails", m->ipfragfails },
		{ "FragCreates", m->ipfragcreates }, { "OutTransmits", m->ipoutrequests },
	};
	const struct figure icmp[] = {
		{ "InMsgs", m->icmpinmsgs }, { "InErrors", m->icmpinerrors }, { "InCsumErrors", s->icmp.chkerr }, { "InDestUnreachs", m->icmpindestunreachs },
		{ "InTimeExcds", m->icmpintimeexcds }, { "InParmProbs", m->icmpinparmprobs }, { "InSrcQuenchs", m->icmpinsrcquenchs },
		{ "InRedirects", m->icmpinredirects }, { "InEchos", m->icmpinechos }, { "InEchoReps", m->icmpinechoreps },
		{ "InTimestamps", m->icmpintimestamps }, { "InTimestampReps", m->icmpintimestampreps }, { "InAddrMasks", m->icmpinaddrmasks },
		{ "InAddrMaskReps", m->icmpinaddrmaskreps }, { "OutMsgs", m->icmpoutmsgs }, { "OutErrors", m->icmpouterrors },
		{ "OutRateLimitGlobal", 0 }, { "OutRateLimitHost", 0 }, { "OutDestUnreachs", m->icmpoutdestunreachs },
		{ "OutTimeExcds", m->icmpouttimeexcds }, { "OutParmProbs", 0 }, { "OutSrcQuenchs", 0 }, { "OutRedirects", 0 },
		{ "OutEchos", m->icmpoutechos }, { "OutEchoReps", m->icmpoutechoreps }, { "OutTimestamps", 0 }, { "OutTimestampReps", 0 },
		{ "OutAddrMasks", 0 }, { "OutAddrMaskReps", 0 },
	};
	const struct figure tcp[] = {
		{ "RtoAlgorithm", 4 }, { "RtoMin", TCP_SLOW_INTERVAL }, { "RtoMax", 120000 }, { "MaxConn", -1 }, { "ActiveOpens", m->tcpactiveopens },
		{ "PassiveOpens", m->tcppassiveopens }, { "AttemptFails", m->tcpattemptfails }, { "EstabResets", m->tcpestabresets },
		{ "CurrEstab", established() }, { "InSegs", m->tcpinsegs }, { "OutSegs", m->tcpoutsegs }, { "RetransSegs", m->tcpretranssegs },
		{ "InErrs", m->tcpinerrs }, { "OutRsts", m->tcpoutrsts }, { "InCsumErrors", s->tcp.chkerr },
	};
	const struct figure udp[] = {
		{ "InDatagrams", m->udpindatagrams }, { "NoPorts", m->udpnoports }, { "InErrors", m->udpinerrors + full }, { "OutDatagrams", m->udpoutdatagrams },
		{ "RcvbufErrors", full }, { "SndbufErrors", 0 }, { "InCsumErrors", s->udp.chkerr }, { "IgnoredMulti", 0 }, { "MemErrors", s->udp.memerr },
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
	struct stats_ *s = stats_copy();

	if (!s)
		return -ENOMEM;
	const struct figure all[] = {
		{ "Ip6InReceives", s->ip6.recv }, { "Ip6InHdrErrors", s->ip6.lenerr + s->ip6.err + s->ip6.opterr }, { "Ip6InTooBigErrors", 0 },
		{ "Ip6InNoRoutes", 0 }, { "Ip6InAddrErrors", 0 }, { "Ip6InUnknownProtos", s->ip6.proterr }, { "Ip6InTruncatedPkts", s->ip6.lenerr },
		{ "Ip6InDiscards", s->ip6.drop }, { "Ip6InDelivers", s->ip6.recv - MIN(s->ip6.recv, s->ip6.drop) }, { "Ip6OutForwDatagrams", s->ip6.fw },
		{ "Ip6OutRequests", s->ip6.xmit }, { "Ip6OutDiscards", s->ip6.memerr }, { "Ip6OutNoRoutes", s->ip6.rterr }, { "Ip6ReasmTimeout", 0 },
		{ "Ip6ReasmReqds", s->ip6_frag.recv }, { "Ip6ReasmOKs", s->mib2.ip6reasmoks }, { "Ip6ReasmFails", s->ip6_frag.drop },
		{ "Ip6FragOKs", 0 }, { "Ip6FragFails", s->ip6_frag.err }, { "Ip6FragCreates", s->ip6_frag.xmit },
		{ "Icmp6InMsgs", s->icmp6.recv + s->nd6.recv + s->mld6.recv }, { "Icmp6InErrors", s->icmp6.drop + s->nd6.drop + s->mld6.drop },
		{ "Icmp6OutMsgs", s->icmp6.xmit + s->nd6.xmit + s->mld6.xmit }, { "Icmp6OutErrors", s->icmp6.err }, { "Icmp6InCsumErrors", s->icmp6.chkerr },
	};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		text_printf(t, "%-32s\t%ld\n", all[i].name, all[i].value);
	kfree(s);
	return 0;
}

int proc_net_netstat_show(struct text *t, const struct gen_ref *ref)
{
	const struct tcp_conn_counters *c = &tcp_conn_counters; /* words that are read one by one */
	struct stats_ *s = stats_copy();

	if (!s)
		return -ENOMEM;
	const struct figure ext[] = {
		{ "SyncookiesSent", (int64_t)c->cookies_sent }, { "SyncookiesRecv", (int64_t)c->cookies_taken },
		{ "SyncookiesFailed", (int64_t)c->cookies_refused }, { "ListenOverflows", (int64_t)c->syn_overflows },
		{ "ListenDrops", (int64_t)(c->syn_overflows + c->memory_refusals) }, { "TCPTimeWaitOverflow", (int64_t)c->time_waits_cut },
		{ "TCPMemoryPressures", (int64_t)c->memory_stalls },
	};
	const struct figure ip[] = {
		{ "InNoRoutes", 0 }, { "InTruncatedPkts", s->ip.lenerr }, { "InCsumErrors", s->ip.chkerr },
	};
	table(t, "TcpExt", ext, ARRAY_SIZE(ext));
	table(t, "IpExt", ip, ARRAY_SIZE(ip));
	kfree(s);
	return 0;
}
