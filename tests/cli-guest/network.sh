#!/bin/bash
# A machine's network: ports that are published, the address and /etc/resolv.conf, --ip, --network none, on MMIO and on PCI.
. "$(dirname "$0")/../cli/fake/lib.sh"
cat > "$T/probe.c" <<'END'
/*
 * serve: echoes one TCP connection at port 7000 until its end, and one datagram at 7001 before that.
 * tcp PORT, udp PORT: the other side; prints "same" when what comes back is what was sent.
 * hold: listens at a free port of loopback, prints it, and waits.
 * show: addresses of the interfaces.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <net/if.h>
#include <unistd.h>

#define BYTES 3000000

static struct sockaddr_in at(uint32_t ip, int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip) };
}

static int serve(void)
{
	static char data[65536];
	struct sockaddr_in tcp = at(INADDR_ANY, 7000), udp = at(INADDR_ANY, 7001), from;
	int l = socket(AF_INET, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_DGRAM, 0), c;
	socklen_t n = sizeof(from);
	ssize_t got;

	if (bind(l, (void *)&tcp, sizeof(tcp)) || listen(l, 5) || bind(d, (void *)&udp, sizeof(udp)))
		return 3;
	printf("ready\n");
	fflush(stdout);
	got = recvfrom(d, data, sizeof(data), 0, (void *)&from, &n);
	sendto(d, data, got, 0, (void *)&from, n);
	c = accept(l, NULL, NULL);
	while ((got = read(c, data, sizeof(data))) > 0)
		for (ssize_t done = 0; done < got;) {
			ssize_t w = write(c, data + done, got - done);

			if (w <= 0)
				return 4;
			done += w;
		}
	return got < 0 ? 5 : 0;
}

static char out[BYTES], in[BYTES + 1];

static void *writer(void *fd)
{
	for (size_t done = 0; done < BYTES;) {
		ssize_t n = write(*(int *)fd, out + done, BYTES - done);

		if (n <= 0)
			exit(6);
		done += n;
	}
	shutdown(*(int *)fd, SHUT_WR);
	return NULL;
}

static int client(int port)
{
	struct sockaddr_in to = at(INADDR_LOOPBACK, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t got = 0;
	pthread_t t;
	ssize_t n;

	for (size_t i = 0; i < BYTES; i++)
		out[i] = (char)(i * 2654435761u >> 11);
	if (connect(fd, (void *)&to, sizeof(to)))
		return 3;
	pthread_create(&t, NULL, writer, &fd);
	while ((n = read(fd, in + got, sizeof(in) - got)) > 0)
		got += n;
	puts(n == 0 && got == BYTES && !memcmp(in, out, BYTES) ? "same" : "different");
	return 0;
}

static int datagram(int port)
{
	struct sockaddr_in to = at(INADDR_LOOPBACK, port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = { fd, POLLIN, 0 };
	char back[100];

	if (connect(fd, (void *)&to, sizeof(to)))
		return 3;
	send(fd, "a datagram", 10, 0);
	puts(poll(&p, 1, 10000) == 1 && recv(fd, back, sizeof(back), 0) == 10 && !memcmp(back, "a datagram", 10) ? "same" : "different");
	return 0;
}

static int hold(void)
{
	struct sockaddr_in a = at(INADDR_LOOPBACK, 0);
	socklen_t n = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	bind(l, (void *)&a, sizeof(a));
	listen(l, 1);
	getsockname(l, (void *)&a, &n);
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return (int)sleep(60);
}

static int show(void)
{
	struct ifreq reqs[8];
	struct ifconf conf = { .ifc_len = sizeof(reqs), .ifc_req = reqs };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (ioctl(fd, SIOCGIFCONF, &conf))
		return 3;
	for (int i = 0; i < conf.ifc_len / (int)sizeof(*reqs); i++)
		printf("%s %s\n", reqs[i].ifr_name, inet_ntoa(((struct sockaddr_in *)&reqs[i].ifr_addr)->sin_addr));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "serve"))
		return serve();
	if (!strcmp(argv[1], "tcp"))
		return client(atoi(argv[2]));
	if (!strcmp(argv[1], "udp"))
		return datagram(atoi(argv[2]));
	if (!strcmp(argv[1], "hold"))
		return hold();
	return show();
}
END
gcc -O1 -Wall -Wextra -pthread -o "$T/probe" "$T/probe.c" || exit 1

# A free port of this machine. Somebody else may take it before QEMU does.
free_port() {
	exec 9< <(exec "$T/probe" hold)
	local holder=$! port
	read -r port <&9
	kill $holder
	exec 9<&-
	echo "$port"
}

served() { # machine: what comes back through published ports
	local machine=$1 tcp udp i pid tries
	for ((tries = 0; tries < 3; tries++)); do
		tcp=$(free_port) udp=$(free_port)
		rm -f "$T/served"
		timeout 100 "$IBRIK" run --accel tcg --machine "$machine" -m 128M -p "$tcp:7000" -p "127.0.0.1:$udp:7001/udp" --exec "$T/probe" serve \
			> "$T/served" 2> "$T/served.err" < /dev/null &
		pid=$!
		for ((i = 0; i < 600; i++)); do
			grep -q -s ready "$T/served" && break
			kill -0 $pid 2> /dev/null || break
			sleep 0.1
		done
		grep -q 'Address already in use' "$T/served.err" || break
	done
	check "$machine-udp" [ "$(timeout 30 "$T/probe" udp "$udp")" = same ]
	check "$machine-tcp" [ "$(timeout 60 "$T/probe" tcp "$tcp")" = same ]
	wait $pid
	status=$?
	check "$machine-status" [ $status = 0 ]
	[ $status = 0 ] || cat "$T/served.err"
}
served microvm
served q35
served pc

run_ibrik run --accel tcg -m 128M --run "$T/probe show" --run "/bin/cat /etc/resolv.conf"
check address-by-dhcp grep -q '^eth0 10\.0\.2\.15$' "$T/out"
check loopback-is-first grep -q '^lo 127\.0\.0\.1$' "$T/out"
check name-server-of-the-lease grep -q '^nameserver 10\.0\.2\.3$' "$T/out"
run_ibrik run --accel tcg -m 128M --ip 10.0.2.77/24,gw=10.0.2.2,dns=10.0.2.9 --run "$T/probe show" --run "/bin/cat /etc/resolv.conf"
check address-by-hand grep -q '^eth0 10\.0\.2\.77$' "$T/out"
check by-hand-without-a-word [ -z "$err" ]
check name-server-by-hand grep -q '^nameserver 10\.0\.2\.9$' "$T/out"
echo "nameserver 192.0.2.1" > "$T/resolv.conf"
run_ibrik run --accel tcg -m 128M --file "$T/resolv.conf:/etc/resolv.conf" --exec /bin/cat /etc/resolv.conf
check resolv.conf-of-the-image-stays [ "$out" = "nameserver 192.0.2.1" ]
run_ibrik run --accel tcg -m 128M --network none --exec "$T/probe" show
check without-a-card [ "$out" = "lo 127.0.0.1" ]
run_ibrik run --accel tcg -m 128M --kernel-opts "net.ip=10.0.0" --exec "$T/probe" show
check wrong-address-is-told grep -q 'option net.ip=10.0.0: ADDR/LEN' "$T/err"
check and-dhcp-takes-its-place grep -q '^eth0 10\.0\.2\.15$' "$T/out"
exec 9< <(exec "$T/probe" hold)
holder=$!
read -r taken <&9
run_ibrik run --accel tcg -p "$taken:80" --exec "$T/probe" show
kill $holder
exec 9<&-
says port-that-somebody-has 125 "Address already in use"
finish
