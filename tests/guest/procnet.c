/* What /proc/net, /proc/sys/net and /sys/class/net tell about sockets, interfaces and limits. */
#include "net.h"
#include <sys/un.h>

static char text[1 << 20];

static char *slurp(const char *path)
{
	CHECK_MSG(read_file(path, text, sizeof(text)) >= 0, "%s: %s", path, strerror(errno));
	return text;
}

static void begins(const char *with)
{
	CHECK_MSG(!strncmp(text, with, strlen(with)), "it begins with \"%.100s\"", text);
}

static void number_in(const char *path, long want)
{
	char *end;

	slurp(path);
	CHECK_MSG(strtol(text, &end, 0) == want && end != text && *end == '\n' && !end[1], "%s is \"%.60s\", not %ld", path, text, want);
}

static unsigned long inode(int fd)
{
	struct stat st;

	CHECK_OK(fstat(fd, &st));
	return st.st_ino;
}

struct row {
	unsigned local_port, remote_port, state, timer, uid;
	unsigned long tx, rx, when, retransmits, ino;
	char local[40], remote[40];
};

/* The row of that inode, or false. */
static bool row_of(const char *path, unsigned long ino, struct row *r)
{
	char *line, *rest;
	unsigned timeout, number;

	slurp(path);
	line = strtok_r(text, "\n", &rest);
	CHECK(line && strstr(line, "local_address"));
	while ((line = strtok_r(NULL, "\n", &rest))) {
		CHECK_EQ(sscanf(line, " %u: %32[0-9A-F]:%4X %32[0-9A-F]:%4X %2X %8lX:%8lX %2X:%8lX %8lX %u %u %lu", &number, r->local, &r->local_port,
				r->remote, &r->remote_port, &r->state, &r->tx, &r->rx, &r->timer, &r->when, &r->retransmits, &r->uid, &timeout,
				&r->ino), 14);
		if (r->ino == ino)
			return true;
	}
	return false;
}

TEST(tcp_shows_listeners_and_connections)
{
	int l = bound(AF_INET, SOCK_STREAM), c = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), s;
	char bytes[100] = { 0 };
	struct row r;

	CHECK(!row_of("/proc/net/tcp", inode(l), &r));
	CHECK_OK(listen(l, 5));
	CHECK(row_of("/proc/net/tcp", inode(l), &r));
	CHECK_EQ(r.state, 10);
	CHECK_STR(r.local, "0100007F");
	CHECK_EQ(r.local_port, port_of(l));
	CHECK_STR(r.remote, "00000000");
	CHECK_EQ(r.remote_port, 0);
	CHECK_EQ(r.rx, 0);
	CHECK_EQ(r.uid, getuid());
	CHECK_OK(connect_here(c, port_of(l)));
	CHECK(EVENTUALLY(row_of("/proc/net/tcp", inode(l), &r) && r.rx == 1));
	s = (int)CHECK_OK(accept(l, NULL, NULL));
	CHECK(row_of("/proc/net/tcp", inode(c), &r));
	CHECK_EQ(r.state, 1);
	CHECK_EQ(r.remote_port, port_of(l));
	CHECK_EQ(write(c, bytes, sizeof(bytes)), sizeof(bytes));
	CHECK(EVENTUALLY(row_of("/proc/net/tcp", inode(s), &r) && r.rx == sizeof(bytes)));
	CHECK_EQ(r.state, 1);
	CHECK_EQ(r.local_port, port_of(l));
	CHECK(EVENTUALLY(row_of("/proc/net/tcp", inode(c), &r) && r.tx == 0));
	CHECK(!row_of("/proc/net/tcp6", inode(c), &r));
	CHECK_EQ(read(s, bytes, sizeof(bytes)), sizeof(bytes));
	CHECK(row_of("/proc/net/tcp", inode(s), &r));
	CHECK_EQ(r.rx, 0);
	close(c);
	CHECK(EVENTUALLY(row_of("/proc/net/tcp", inode(s), &r) && r.state == 8));
	close(s);
	close(l);
}

TEST(tcp6_shows_mapped_addresses)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	int l = (int)CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0)), c = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), s;
	socklen_t len = sizeof(a);
	struct row r;

	CHECK_OK(bind(l, (void *)&a, sizeof(a)));
	CHECK_OK(listen(l, 5));
	CHECK_OK(getsockname(l, (void *)&a, &len));
	CHECK(row_of("/proc/net/tcp6", inode(l), &r));
	CHECK_EQ(r.state, 10);
	CHECK_STR(r.local, "00000000000000000000000000000000");
	CHECK_EQ(r.local_port, ntohs(a.sin6_port));
	CHECK_OK(connect_here(c, port_of(l)));
	s = (int)CHECK_OK(accept(l, NULL, NULL));
	CHECK(row_of("/proc/net/tcp6", inode(s), &r));
	CHECK_EQ(r.state, 1);
	CHECK_STR(r.local, "0000000000000000FFFF00000100007F");
	CHECK_STR(r.remote, "0000000000000000FFFF00000100007F");
	close(s);
	close(c);
	close(l);
}

TEST(udp_shows_what_waits)
{
	int fd = bound(AF_INET, SOCK_DGRAM), c = (int)CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct row r;

	CHECK(row_of("/proc/net/udp", inode(fd), &r));
	CHECK_EQ(r.state, 7);
	CHECK_EQ(r.local_port, port_of(fd));
	CHECK_EQ(r.rx, 0);
	CHECK_OK(connect_here(c, port_of(fd)));
	CHECK(row_of("/proc/net/udp", inode(c), &r));
	CHECK_EQ(r.state, 1);
	CHECK_EQ(r.remote_port, port_of(fd));
	CHECK_EQ(send(c, "datagram", 8, 0), 8);
	CHECK(EVENTUALLY(row_of("/proc/net/udp", inode(fd), &r) && r.rx > 8));
	close(fd);
	close(c);
}

static bool unix_line(unsigned long ino, unsigned *type, unsigned *state, unsigned *flags, char name[120])
{
	char *line, *rest;

	slurp("/proc/net/unix");
	line = strtok_r(text, "\n", &rest);
	CHECK_STR(line, "Num       RefCount Protocol Flags    Type St Inode Path");
	while ((line = strtok_r(NULL, "\n", &rest))) {
		unsigned long number;
		int n;

		*name = 0;
		n = sscanf(line, "%*16[0-9a-fK]: %*8X %*8X %8X %4X %2X %lu %119s", flags, type, state, &number, name);
		CHECK(n >= 4);
		if (number == ino)
			return true;
	}
	return false;
}

TEST(unix_shows_names)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = (int)CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), pair[2], abstract = (int)CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	unsigned type, state, flags;
	char name[120];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", scratch("socket"));
	CHECK_OK(bind(fd, (void *)&a, sizeof(a)));
	CHECK(unix_line(inode(fd), &type, &state, &flags, name));
	CHECK_STR(name, a.sun_path);
	CHECK_EQ(type, SOCK_STREAM);
	CHECK_EQ(state, 1);
	CHECK_EQ(flags, 0);
	CHECK_OK(listen(fd, 1));
	CHECK(unix_line(inode(fd), &type, &state, &flags, name));
	CHECK_EQ(flags, 0x10000);
	memcpy(a.sun_path, "\0test-procnet", 13);
	CHECK_OK(bind(abstract, (void *)&a, 2 + 13));
	CHECK(unix_line(inode(abstract), &type, &state, &flags, name));
	CHECK_STR(name, "@test-procnet");
	CHECK_EQ(type, SOCK_DGRAM);
	CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	CHECK(unix_line(inode(pair[0]), &type, &state, &flags, name));
	CHECK_EQ(type, SOCK_SEQPACKET);
	CHECK_EQ(state, 3);
	CHECK_STR(name, "");
	close(fd);
	close(abstract);
	close(pair[0]);
	close(pair[1]);
}

TEST(dev_counts_bytes_of_loopback)
{
	unsigned long before[16], after[16];
	int fd = bound(AF_INET, SOCK_DGRAM), c = (int)CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	char bytes[1000] = { 0 };

	for (int round = 0; round < 2; round++) {
		unsigned long *v = round ? after : before;
		char *line;

		slurp("/proc/net/dev");
		begins("Inter-|   Receive                                                |  Transmit\n face |bytes    packets");
		line = strstr(text, "    lo:");
		CHECK(line);
		CHECK_EQ(sscanf(line + 7, "%lu%lu%lu%lu%lu%lu%lu%lu%lu%lu%lu%lu%lu%lu%lu%lu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 8,
				v + 9, v + 10, v + 11, v + 12, v + 13, v + 14, v + 15), 16);
		if (round)
			break;
		CHECK_OK(connect_here(c, port_of(fd)));
		CHECK_EQ(send(c, bytes, sizeof(bytes), 0), sizeof(bytes));
		CHECK_EQ(recv(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	}
	CHECK(after[0] >= before[0] + 1000);
	CHECK(after[1] > before[1]);
	CHECK(after[8] >= before[8] + 1000);
	CHECK(after[9] > before[9]);
	close(fd);
	close(c);
}

/* The value of a column of a table of two lines. */
static long snmp(const char *path, const char *group, const char *column)
{
	char *names, *values, *name, *value, *more_names, *more_values;

	slurp(path);
	names = strstr(text, group);
	CHECK(names);
	values = strchr(names, '\n');
	CHECK(values);
	*values++ = 0;
	CHECK(!strncmp(values, group, strlen(group)));
	values[strcspn(values, "\n")] = 0;
	name = strtok_r(names, " ", &more_names);
	value = strtok_r(values, " ", &more_values);
	while (name && value) {
		if (!strcmp(name, column))
			return atol(value);
		name = strtok_r(NULL, " ", &more_names);
		value = strtok_r(NULL, " ", &more_values);
	}
	CHECK(!name && !value);
	FAIL("%s has no %s", path, column);
}

TEST(snmp_counts_connections_and_datagrams)
{
	long opens = snmp("/proc/net/snmp", "Tcp:", "ActiveOpens"), passive = snmp("/proc/net/snmp", "Tcp:", "PassiveOpens");
	long sent = snmp("/proc/net/snmp", "Udp:", "OutDatagrams"), received = snmp("/proc/net/snmp", "Udp:", "InDatagrams"), now;
	int fd = bound(AF_INET, SOCK_DGRAM), c = (int)CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), l = bound(AF_INET, SOCK_STREAM), t;

	CHECK_EQ(snmp("/proc/net/snmp", "Ip:", "DefaultTTL"), 64);
	CHECK_OK(connect_here(c, port_of(fd)));
	CHECK_EQ(send(c, "x", 1, 0), 1);
	CHECK_EQ(recv(fd, text, 1, 0), 1);
	CHECK_OK(listen(l, 1));
	t = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(connect_here(t, port_of(l)));
	CHECK(snmp("/proc/net/snmp", "Tcp:", "ActiveOpens") > opens);
	CHECK(EVENTUALLY(snmp("/proc/net/snmp", "Tcp:", "PassiveOpens") > passive));
	CHECK(snmp("/proc/net/snmp", "Tcp:", "CurrEstab") >= 2);
	CHECK(snmp("/proc/net/snmp", "Udp:", "OutDatagrams") > sent);
	CHECK(EVENTUALLY(snmp("/proc/net/snmp", "Udp:", "InDatagrams") > received));
	now = snmp("/proc/net/snmp", "Ip:", "InReceives");
	CHECK(now > 0);
	snmp("/proc/net/netstat", "TcpExt:", "ListenDrops");
	slurp("/proc/net/snmp6");
	CHECK(strstr(text, "Ip6InReceives                   \t"));
	close(fd);
	close(c);
	close(t);
	close(l);
}

TEST(sockstat_counts_sockets)
{
	unsigned used, in_use, orphans, waiting, allocated, datagrams;
	int l = bound(AF_INET, SOCK_STREAM), d = bound(AF_INET, SOCK_DGRAM);
	char *tcp, *udp;

	CHECK_OK(listen(l, 1));
	slurp("/proc/net/sockstat");
	CHECK_EQ(sscanf(text, "sockets: used %u", &used), 1);
	CHECK(used >= 2);
	tcp = strstr(text, "\nTCP: ");
	udp = strstr(text, "\nUDP: ");
	CHECK(tcp && udp);
	CHECK_EQ(sscanf(tcp, "\nTCP: inuse %u orphan %u tw %u alloc %u", &in_use, &orphans, &waiting, &allocated), 4);
	CHECK(in_use >= 1);
	CHECK_EQ(sscanf(udp, "\nUDP: inuse %u", &datagrams), 1);
	CHECK(datagrams >= 1);
	slurp("/proc/net/sockstat6");
	begins("TCP6: inuse ");
	close(l);
	close(d);
}

TEST(tables_have_their_headings)
{
	slurp("/proc/net/route");
	begins("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
	CHECK_EQ(strcspn(text, "\n"), 127);
	slurp("/proc/net/arp");
	begins("IP address       HW type     Flags       HW address            Mask     Device\n");
	slurp("/proc/net/igmp");
	begins("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
	slurp("/proc/net/tcp");
	CHECK_EQ(strcspn(text, "\n"), 149);
	slurp("/proc/net/udp");
	CHECK_EQ(strcspn(text, "\n"), 127);
}

TEST(if_inet6_and_ipv6_route_have_their_columns)
{
	char *line, *rest, a[33], b[33], c[33], name[20];
	unsigned v[5];
	int lines = 0;

	slurp("/proc/net/if_inet6");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++)
		CHECK_EQ(sscanf(line, "%32[0-9a-f] %2x %2x %2x %2x %19s", a, v, v + 1, v + 2, v + 3, name), 6);
	CHECK(lines > 0); /* loopback */
	lines = 0;
	slurp("/proc/net/ipv6_route");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++)
		CHECK_EQ(sscanf(line, "%32[0-9a-f] %2x %32[0-9a-f] %2x %32[0-9a-f] %8x %*8x %*8x %8x %19s", a, v, b, v + 1, c, v + 2, v + 3, name), 8);
	CHECK(lines > 0);
}

static volatile bool over;

/* Opens, connects and closes sockets of all kinds until it is told to stop. */
static void *come_and_go(void *arg)
{
	while (!over) {
		int l = bound(AF_INET, SOCK_STREAM), d = bound(AF_INET, SOCK_DGRAM), c = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), pair[2];
		struct linger reset = { 1, 0 }; /* leaves nothing in TIME_WAIT */

		CHECK_OK(setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
		CHECK_OK(listen(l, 5));
		CHECK_OK(connect_here(c, port_of(l)));
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		close(c);
		close(l);
		close(d);
		close(pair[0]);
		close(pair[1]);
	}
	return arg;
}

TEST(tables_are_whole_while_sockets_come_and_go)
{
	static const char *const files[] = { "tcp", "tcp6", "udp", "unix", "sockstat", "snmp", "netstat", "dev" };
	pthread_t threads[3];

	over = false;
	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(come_and_go, NULL);
	for (int i = 0; i < 200; i++) {
		char path[40];
		long n;

		snprintf(path, sizeof(path), "/proc/net/%s", files[i % (int)(sizeof(files) / sizeof(*files))]);
		slurp(path);
		n = (long)strlen(text);
		CHECK_MSG(n > 20 && text[n - 1] == '\n', "%s has %ld bytes", path, n);
	}
	over = true;
	for (int i = 0; i < 3; i++)
		thread_join(threads[i], NULL);
}

TEST(net_belongs_to_a_process)
{
	char link[20];

	CHECK_EQ(readlink("/proc/net", link, sizeof(link)), 8);
	CHECK(!memcmp(link, "self/net", 8));
	slurp("/proc/thread-self/net/dev");
	CHECK(strstr(text, "lo:"));
}

TEST(sys_describes_loopback)
{
	number_in("/sys/class/net/lo/mtu", 65536);
	number_in("/sys/class/net/lo/flags", 0x9);
	number_in("/sys/class/net/lo/type", 772);
	number_in("/sys/class/net/lo/addr_len", 6);
	number_in("/sys/class/net/lo/carrier", 1);
	number_in("/sys/class/net/lo/ifindex", 1);
	CHECK_STR(slurp("/sys/class/net/lo/address"), "00:00:00:00:00:00\n");
	CHECK_STR(slurp("/sys/class/net/lo/operstate"), "unknown\n");
	CHECK_STR(slurp("/sys/class/net/lo/uevent"), "INTERFACE=lo\nIFINDEX=1\n");
	slurp("/sys/class/net/lo/statistics/rx_bytes");
	CHECK(text[0] >= '0' && text[0] <= '9');
	CHECK_EQ(read_file("/sys/class/net/lo/speed", text, sizeof(text)), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(read_file("/sys/class/net/none-such/mtu", text, sizeof(text)), -1);
	CHECK_EQ(errno, ENOENT);
}

TEST(limits_are_numbers)
{
	static const char *const files[] = { "core/somaxconn", "core/rmem_max", "core/wmem_max", "core/rmem_default", "core/netdev_max_backlog",
		"ipv4/ip_local_port_range", "ipv4/tcp_keepalive_time", "ipv4/tcp_keepalive_intvl", "ipv4/tcp_keepalive_probes", "ipv4/tcp_rmem",
		"ipv4/tcp_wmem", "ipv4/tcp_fin_timeout", "ipv4/tcp_fastopen", "ipv4/ip_default_ttl", "ipv4/tcp_syn_retries" };
	unsigned first, last;

	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char path[80];

		snprintf(path, sizeof(path), "/proc/sys/net/%s", files[i]);
		slurp(path);
		CHECK_MSG(text[0] >= '0' && text[0] <= '9', "%s is \"%.40s\"", path, text);
	}
	CHECK_EQ(sscanf(slurp("/proc/sys/net/ipv4/ip_local_port_range"), "%u\t%u\n", &first, &last), 2);
	CHECK(first < last);
	slurp("/proc/sys/net/core/somaxconn");
	CHECK(atoi(text) >= 128);
}

TEST_MAIN("procnet")
