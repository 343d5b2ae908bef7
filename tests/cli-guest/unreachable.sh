#!/bin/bash
# What a sender learns of hosts and networks that cannot be reached: by ICMP from Linux, which is the router here, and from neighbours that do
# not answer. Linux says it once a second.
. "$(dirname "$0")/../net/lib.sh"
sysctl -qw net.ipv4.ip_forward=1 && ip route add unreachable 10.8.0.0/24 && ip route add prohibit 10.7.0.0/24 || exit 1
cat > "$T/probe.c" <<'END'
/*
 * Arguments KIND ADDRESS SECONDS: all at once, but after so many seconds; each prints a line with what it learned, and after how many seconds.
 * KIND: tcp (connect), udp (a datagram, connected), errors (the same with IP_RECVERR). Port 9.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void *one(void *arg)
{
	char **v = arg, buf[8];
	struct sockaddr_storage a = { 0 };
	struct sockaddr_in *v4 = (void *)&a;
	struct sockaddr_in6 *v6 = (void *)&a;
	int tcp = !strcmp(v[0], "tcp"), six = strchr(v[1], ':') != NULL, on = 1, r, e;
	struct timeval wait = { 5, 0 };
	time_t start;
	int fd = socket(six ? AF_INET6 : AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);

	if (six) {
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_scope_id = 2 };
		inet_pton(AF_INET6, v[1], &v6->sin6_addr);
	} else {
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(9) };
		inet_pton(AF_INET, v[1], &v4->sin_addr);
	}
	if (!strcmp(v[0], "errors"))
		setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	sleep(atoi(v[2]));
	start = time(NULL);
	r = connect(fd, (void *)&a, six ? sizeof(*v6) : sizeof(*v4));
	if (!r && !tcp) {
		send(fd, "abc", 3, 0);
		r = recv(fd, buf, sizeof(buf), 0);
	}
	e = errno;
	printf("%s %s %s %ld\n", v[0], v[1], r < 0 ? strerrorname_np(e) : "none", time(NULL) - start);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[32];
	int n = 0;

	sleep(2); /* until the card's IPv6 address is known to be its own */
	for (int i = 1; i + 2 < argc; i += 3)
		pthread_create(&t[n++], NULL, one, argv + i);
	while (n)
		pthread_join(t[--n], NULL);
	return 0;
}
END
gcc -D_GNU_SOURCE -O1 -pthread -o "$T/probe" "$T/probe.c" || { not_ok unreachable:build; finish; }
timeout 100 "$IBRIK" run --accel tcg -m 128M --network tap:tap0 --ip 10.9.0.2/24,gw=10.9.0.1 --exec "$T/probe" \
	udp 10.9.0.1 0 tcp 10.9.0.1 0 udp 10.9.0.77 0 errors 10.9.0.77 0 tcp 10.9.0.78 0 tcp 10.8.0.1 0 udp 10.8.0.1 2 errors 10.8.0.1 4 \
	udp 10.7.0.1 6 tcp 10.7.0.1 8 errors fe80::77 0 tcp fe80::78 0 > "$T/out" 2> "$T/err" < /dev/null
learned() { # name line...: one of the lines
	local name=$1 line
	shift
	for line; do
		grep -qx "$line" "$T/out" && { ok "$name"; return; }
	done
	not_ok "$name" "$(cat "$T/out" "$T/err")"
}
learned port-of-a-host "udp 10.9.0.1 ECONNREFUSED [012]"
learned tcp-port-of-a-host "tcp 10.9.0.1 ECONNREFUSED [012]"
learned silent-neighbour-ends-a-connect "tcp 10.9.0.78 EHOSTUNREACH [345]"
learned silent-neighbour-is-no-error-of-datagrams "udp 10.9.0.77 EAGAIN [56]"
learned unless-errors-are-wanted "errors 10.9.0.77 EHOSTUNREACH [345]"
learned unreachable-network-ends-a-connect "tcp 10.8.0.1 EHOSTUNREACH [012]"
learned unreachable-network-is-no-error-of-datagrams "udp 10.8.0.1 EAGAIN [56]"
learned unreachable-network-in-the-queue "errors 10.8.0.1 EHOSTUNREACH [012]"
learned forbidden-network "udp 10.7.0.1 EHOSTUNREACH [012]"
learned forbidden-network-tcp "tcp 10.7.0.1 EHOSTUNREACH [012]"
learned silent-neighbour-of-ipv6 "errors fe80::77 EHOSTUNREACH [345]"
learned silent-neighbour-of-ipv6-ends-a-connect "tcp fe80::78 EHOSTUNREACH [345]"
finish
