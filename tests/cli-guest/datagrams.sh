#!/bin/bash
# Datagrams between a machine and Linux over a TAP: of all sizes, to groups and to all, by IPv4 and IPv6, and what their headers say; more at once than the
# card has room for, and to a neighbour who does not answer. And a card that makes sums, of which what a machine sends to itself has none.
. "$(dirname "$0")/../net/lib.sh"
cat > "$T/probe.c" <<'END'
/*
 * echo: sends its link-local address to all at port 7001; then sends back what comes to port 7000, behind a line that tells what its header said,
 * until "quit" comes.
 * peer: waits for the address, sends datagrams and looks at what comes back: a line "ok ..." or "not ok ..." for each.
 * blast: says "ready", and two seconds later sends MANY numbered datagrams to port 7002 of 10.9.0.1, as fast as it may; prints "held" if some had to wait.
 * count: prints how many came, and whether in their order.
 * held: sends to 10.9.0.77, where nobody is, as much as SO_SNDBUF lets it: prints "held" if that is not for ever, and a shutdown() ends it, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MANY 5000
#define SIZE 1200

static char in[70000], out[70000];
static struct sockaddr_in6 v6(const char *ip, int port, int scope)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope };

	inet_pton(AF_INET6, ip, &a.sin6_addr);
	return a;
}

static struct sockaddr_in v4(const char *ip, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static void on(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		perror("setsockopt");
}

static int echo(void)
{
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), q = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in6 any = v6("::", 7000, 0), all6 = v6("ff02::1", 9, 2), from;
	struct sockaddr_in all = v4("10.9.0.255", 7001);
	struct ip_mreqn m4 = { .imr_ifindex = 2, .imr_multiaddr = v4("239.7.7.7", 0).sin_addr };
	struct ipv6_mreq m6 = { .ipv6mr_interface = 2, .ipv6mr_multiaddr = v6("ff02::7777", 0, 0).sin6_addr };
	socklen_t n = sizeof(all6);
	char me[64];

	on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	on(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	on(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	on(fd, IPPROTO_IP, IP_RECVTTL, 1);
	on(fd, IPPROTO_IP, IP_RECVTOS, 1);
	on(fd, SOL_SOCKET, SO_BROADCAST, 1);
	/* The card's IPv6 address must have been found to be its own. */
	for (int i = 0; i < 50 && connect(q, (void *)&all6, sizeof(all6)); i++)
		usleep(100000);
	getsockname(q, (void *)&all6, &n);
	inet_ntop(AF_INET6, &all6.sin6_addr, me, sizeof(me));
	if (bind(fd, (void *)&any, sizeof(any)) || setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m4, sizeof(m4)) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6, sizeof(m6)) || sendto(fd, me, strlen(me), 0, (void *)&all, sizeof(all)) < 0) {
		perror("start");
		return 2;
	}
	for (;;) {
		char control[512], to[64] = "?";
		struct iovec v = { in, sizeof(in) };
		struct msghdr h = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t got = recvmsg(fd, &h, 0);
		int ttl = -1, tos = -1, ifindex = -1, k;

		if (got < 0 || (got == 4 && !memcmp(in, "quit", 4)))
			return got < 0;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
			if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
				struct in6_pktinfo *p = (void *)CMSG_DATA(c);

				inet_ntop(AF_INET6, &p->ipi6_addr, to, sizeof(to));
				ifindex = p->ipi6_ifindex;
			} else if ((c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT) ||
				   (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)) {
				ttl = *(int *)CMSG_DATA(c);
			} else {
				tos = c->cmsg_level == IPPROTO_IPV6 ? *(int *)CMSG_DATA(c) : *CMSG_DATA(c);
			}
		}
		k = sprintf(out, "%s ttl %d tos %d if %d\n", to, ttl, tos, ifindex);
		memcpy(out + k, in, got);
		sendto(fd, out, got + k, 0, (void *)&from, h.msg_namelen);
	}
}

/* Sends n bytes; the answer is the line and the same bytes, or, if line is NULL, none comes. */
static void ask(const char *name, int fd, const void *to, socklen_t tolen, int n, const char *line)
{
	struct timeval wait = { line ? 10 : 1, 0 };
	ssize_t got;
	size_t k = line ? strlen(line) : 0;

	for (int i = 0; i < n; i++)
		out[i] = (char)rand();
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (sendto(fd, out, n, 0, to, tolen) != n)
		perror("sendto");
	got = recv(fd, in, sizeof(in), 0);
	if (line ? got == (ssize_t)k + n && !memcmp(in, line, k) && !memcmp(in + k, out, n) : got < 0)
		printf("ok %s-%d\n", name, n);
	else
		printf("not ok %s-%d %zd bytes: %.*s\n", name, n, got, got > 0 ? (int)strcspn(in, "\n") : 0, in);
	close(fd);
}

static int sender(int family)
{
	int fd = socket(family, SOCK_DGRAM, 0), tap = (int)if_nametoindex("tap0");
	struct ip_mreqn m = { .imr_ifindex = tap };

	if (family == AF_INET) {
		on(fd, IPPROTO_IP, IP_TTL, 77);
		on(fd, IPPROTO_IP, IP_TOS, 40);
		on(fd, IPPROTO_IP, IP_MULTICAST_TTL, 9);
		setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m));
		on(fd, SOL_SOCKET, SO_BROADCAST, 1);
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "tap0", 5);
	} else {
		on(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
		on(fd, IPPROTO_IPV6, IPV6_TCLASS, 48);
		on(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 8);
		on(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, tap);
	}
	return fd;
}

/* ICMP messages that have come to this network so far. */
static long icmp_came(void)
{
	FILE *f = fopen("/proc/net/snmp", "r");
	char line[1000];
	long n = -1;

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "Icmp: %ld", &n) != 1)
		;
	if (f)
		fclose(f);
	return n;
}

/* Datagrams to a port that nobody has: each would be answered, at whomever sent it or is said to have. The rate is Linux's own. */
static void flood(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	long before = icmp_came(), answers;
	struct timespec start, end;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 40000; i++) {
		sendto(fd, "x", 1, 0, (void *)to, sizeof(*to));
		if (i % 200 == 199)
			usleep(10000);
	}
	sleep(1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	answers = icmp_came() - before;
	printf("%s flood-of-a-closed-port %ld answers in %.1f seconds\n", answers >= 50 && answers < 200 + 1300 * seconds ? "ok" : "not ok", answers, seconds);
	close(fd);
}

static int peer(void)
{
	static const int sizes[] = { 0, 1, 1472, 1473, 9000, 65400 }, sizes6[] = { 0, 1, 1452, 1453, 9000, 65400 };
	struct sockaddr_in at = v4("0.0.0.0", 7001), to;
	struct sockaddr_in6 to6;
	int hello = socket(AF_INET, SOCK_DGRAM, 0), tap = (int)if_nametoindex("tap0");
	struct timeval wait = { 60, 0 };
	char me[64], line[128];
	ssize_t n;

	bind(hello, (void *)&at, sizeof(at));
	setsockopt(hello, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	n = recv(hello, me, sizeof(me) - 1, 0);
	if (n <= 0) {
		printf("not ok hello\n");
		return 1;
	}
	me[n] = 0;
	usleep(200000);
	to = v4("10.9.0.2", 7000);
	for (int i = 0; i < 6; i++)
		ask("ipv4", sender(AF_INET), &to, sizeof(to), sizes[i], "::ffff:10.9.0.2 ttl 77 tos 40 if 2\n");
	to = v4("239.7.7.7", 7000);
	ask("group", sender(AF_INET), &to, sizeof(to), 100, "::ffff:239.7.7.7 ttl 9 tos 40 if 2\n");
	to = v4("239.7.7.8", 7000);
	ask("another-group", sender(AF_INET), &to, sizeof(to), 100, NULL);
	to = v4("10.9.0.255", 7000);
	ask("all-of-the-network", sender(AF_INET), &to, sizeof(to), 100, "::ffff:10.9.0.255 ttl 77 tos 40 if 2\n");
	to = v4("255.255.255.255", 7000);
	ask("all", sender(AF_INET), &to, sizeof(to), 100, "::ffff:255.255.255.255 ttl 77 tos 40 if 2\n");
	to6 = v6(me, 7000, tap);
	sprintf(line, "%s ttl 33 tos 48 if 2\n", me);
	for (int i = 0; i < 6; i++)
		ask("ipv6", sender(AF_INET6), &to6, sizeof(to6), sizes6[i], line);
	to6 = v6("ff02::7777", 7000, tap);
	ask("ipv6-group", sender(AF_INET6), &to6, sizeof(to6), 100, "ff02::7777 ttl 8 tos 48 if 2\n");
	to6 = v6("ff02::7778", 7000, tap);
	ask("another-ipv6-group", sender(AF_INET6), &to6, sizeof(to6), 100, NULL);
	to = v4("10.9.0.2", 9);
	hello = socket(AF_INET, SOCK_DGRAM, 0);
	connect(hello, (void *)&to, sizeof(to));
	send(hello, "x", 1, 0);
	wait.tv_sec = 5;
	setsockopt(hello, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	n = recv(hello, in, 1, 0);
	perror("closed-port");
	flood(&to);
	to = v4("10.9.0.2", 7000);
	sendto(sender(AF_INET), "quit", 4, 0, (void *)&to, sizeof(to));
	return 0;
}

static int unsent(int fd)
{
	int n = -1;

	return ioctl(fd, TIOCOUTQ, &n) ? -1 : n;
}

static int blast(void)
{
	struct sockaddr_in to = v4("10.9.0.1", 7002), nobody = v4("10.9.0.1", 9);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), most = 0;

	/* The neighbour is known then. */
	if (sendto(fd, out, 1, 0, (void *)&nobody, sizeof(nobody)) != 1)
		return perror("sendto"), 1;
	for (int i = 0; i < 100 && unsent(fd) > 0; i++)
		usleep(100000);
	puts("ready");
	fflush(stdout);
	sleep(2);
	for (int i = 0; i < MANY; i++) {
		int waits;

		memcpy(out, &i, sizeof(i));
		if (sendto(fd, out, SIZE, 0, (void *)&to, sizeof(to)) != SIZE)
			return perror("sendto"), 1;
		waits = unsent(fd);
		most = most > waits ? most : waits;
	}
	puts(most > 0 ? "held" : "not held");
	fflush(stdout);
	/* The last are on their way when the machine ends. */
	for (int i = 0; i < 100 && unsent(fd) > 0; i++)
		usleep(100000);
	sleep(1);
	return unsent(fd) != 0;
}

static int count(void)
{
	struct sockaddr_in at = v4("0.0.0.0", 7002);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), n = 0, wrong = 0, number;
	struct timeval wait = { 60, 0 };

	on(fd, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (bind(fd, (void *)&at, sizeof(at)))
		return perror("bind"), 1;
	for (; n < MANY && recv(fd, in, sizeof(in), 0) == SIZE; n++) {
		memcpy(&number, in, sizeof(number));
		wrong += number != n;
		wait.tv_sec = 10;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	}
	printf("%d came, %d out of order\n", n, wrong);
	return 0;
}

static int sent_errno;

static void *send_and_wait(void *fd)
{
	sent_errno = send(*(int *)fd, out, 1400, MSG_NOSIGNAL) < 0 ? errno : 0;
	return NULL;
}

/* A sender that waits hears that nobody may send any more. */
static int shut_while_held(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	pthread_t t;

	on(fd, SOL_SOCKET, SO_SNDBUF, 1);
	if (connect(fd, (const void *)to, sizeof(*to)))
		return -1;
	while (send(fd, out, 1400, MSG_DONTWAIT) == 1400)
		;
	if (errno != EAGAIN || pthread_create(&t, NULL, send_and_wait, &fd))
		return -1;
	usleep(300000);
	shutdown(fd, SHUT_WR);
	pthread_join(t, NULL);
	close(fd);
	return sent_errno == EPIPE ? 0 : -1;
}

static int held(void)
{
	struct sockaddr_in to = v4("10.9.0.77", 9);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), n = 0;
	struct timeval wait = { 0, 200000 };
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	on(fd, SOL_SOCKET, SO_SNDBUF, 1);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	while (n < 100 && sendto(fd, out, 1400, MSG_DONTWAIT, (void *)&to, sizeof(to)) == 1400)
		n++;
	if (n == 100 || errno != EAGAIN || unsent(fd) <= 0 || poll(&p, 1, 0))
		return printf("%d sent, errno %d, %d unsent\n", n, errno, unsent(fd)), 1;
	if (sendto(fd, out, 1400, 0, (void *)&to, sizeof(to)) != -1 || errno != EAGAIN)
		return puts("it does not wait"), 1;
	if (shut_while_held(&to))
		return printf("shutdown(): errno %d\n", sent_errno), 1;
	if (poll(&p, 1, 20000) != 1 || p.revents != POLLOUT || sendto(fd, out, 1400, MSG_DONTWAIT, (void *)&to, sizeof(to)) != 1400)
		return puts("for ever"), 1;
	puts("held");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	return !strcmp(what, "echo") ? echo() : !strcmp(what, "blast") ? blast() : !strcmp(what, "count") ? count() : !strcmp(what, "held") ? held() : peer();
}
END
gcc -D_GNU_SOURCE -O1 -w -pthread -o "$T/probe" "$T/probe.c" || { not_ok datagrams:build; finish; }
timeout 100 "$IBRIK" run --accel tcg -m 128M --network tap:tap0 --ip 10.9.0.2/24,gw=10.9.0.1 --exec "$T/probe" echo \
	> "$T/out" 2> "$T/err" < /dev/null &
guest=$!
timeout 90 "$T/probe" peer > "$T/peer" 2> "$T/peer.err"
wait $guest
check echo-ended-in-order [ $? = 0 ]
cat "$T/peer" "$T/out" "$T/err"
grep -q "^not ok" "$T/peer" && failed=1
check all-were-sent [ "$(grep -c "^ok" "$T/peer")" = 19 ]
check closed-port-is-told grep -q "Connection refused" "$T/peer.err"

timeout 60 "$IBRIK" run --accel tcg -m 128M --network tap:tap0 --ip 10.9.0.2/24,gw=10.9.0.1 --exec "$T/probe" held > "$T/out" 2> "$T/err" < /dev/null
check who-waits-for-a-neighbour-is-held-back [ "$?,$(cat "$T/out")" = 0,held ]

# ARP frames, whose sums no card has looked at, come all the while.
gcc -std=gnu11 -O2 -pthread -o "$T/tcp_shutdown" tests/guest/tcp_shutdown.c || { not_ok datagrams:build; finish; }
while :; do echo x > /dev/udp/10.9.0.77/9; sleep 0.2; done 2> /dev/null &
arp=$!
timeout 60 "$IBRIK" run --accel tcg -m 128M --network tap:tap0 --ip 10.9.0.2/24,gw=10.9.0.1 --exec "$T/tcp_shutdown" \
	'a_connection_between_addresses*' > "$T/self" 2> "$T/err" < /dev/null
check the-own-address-needs-no-sums grep -q "^ok tcp_shutdown.a_connection_between_addresses" "$T/self"
kill $arp

# A link that takes nothing for three seconds: more than fits into card and link waits, and its sender with it.
relay_start
relay=$!
timeout 100 "$T/probe" count > "$T/count" &
counting=$!
timeout 90 "$IBRIK" run --accel tcg -m 128M --network "socket:$T/link" --ip 10.9.0.2/24,gw=10.9.0.1 --exec "$T/probe" blast \
	> "$T/out" 2> "$T/err" 7>&- 8<&- < /dev/null &
guest=$!
for ((i = 0; i < 300; i++)); do
	grep -q -s ready "$T/out" && break
	sleep 0.1
done
kill -STOP $relay
sleep 5
kill -CONT $relay
wait $guest
check what-was-held-back-is-sent [ "$?,$(tail -n 1 "$T/out")" = 0,held ]
wait $counting
check what-has-no-room-at-once-is-not-lost [ "$(cat "$T/count")" = "5000 came, 0 out of order" ]
cat "$T/count" "$T/out" "$T/err"
finish
