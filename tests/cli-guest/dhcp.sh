#!/bin/bash
# The life of a DHCP lease, with a server that lies, falls silent and refuses (tests/net/leases.c): addresses, /etc, the host name, and what is told. A router's name servers. --ip in full.
. "$(dirname "$0")/../cli/fake/lib.sh"
gcc -O1 -Wall -Wextra -o "$T/leases" "$(dirname "$0")/../net/leases.c" || exit 1
cat > "$T/watch.c" <<'END'
/* Prints address, MTU, host name, the machine's line of /etc/hosts and /etc/resolv.conf whenever one of them changes; until the address is argv[1]. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <net/if.h>
#include <time.h>
#include <unistd.h>

static void add(char *out, const char *path, const char *only)
{
	FILE *f = fopen(path, "r");
	char line[200];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (!only || strstr(line, only))
			sprintf(out + strlen(out), "%s; ", line);
	}
	if (f)
		fclose(f);
}

int main(int argc, char **argv)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char now[2000], last[2000] = "", name[65];
	time_t start = time(NULL), good = 0;

	if (argc != 2)
		return 2;
	while (time(NULL) - start < 60 && (!good || time(NULL) - good < 2)) {
		struct ifreq r = { .ifr_name = "eth0" };
		struct sockaddr_in *in = (void *)&r.ifr_addr;

		strcpy(now, ioctl(fd, SIOCGIFADDR, &r) ? "none" : inet_ntoa(in->sin_addr));
		if (!strcmp(now, argv[1]) && !good)
			good = time(NULL);
		ioctl(fd, SIOCGIFMTU, &r);
		gethostname(name, sizeof(name));
		sprintf(now + strlen(now), " %d %s | ", r.ifr_mtu, name);
		add(now, "/etc/hosts", name);
		strcat(now, "| ");
		add(now, "/etc/hostname", NULL);
		strcat(now, "| ");
		add(now, "/etc/resolv.conf", NULL);
		if (strcmp(now, last))
			puts(now);
		fflush(stdout);
		strcpy(last, now);
		usleep(50000);
	}
	return good ? 0 : 3;
}
END
gcc -O1 -Wall -Wextra -o "$T/watch" "$T/watch.c" || exit 1

"$T/leases" "$T/link" > "$T/server" 2>&1 &
server=$!
for _ in $(seq 100); do [ -S "$T/link" ] && break; sleep 0.05; done
run_ibrik run --accel tcg -m 128M --network "socket:$T/link" --kernel-opts trace=net --log "$T/log" --run "$T/watch 10.9.0.30" --run "/bin/cat /proc/ibrik/net /proc/net/if_inet6"
kill $server 2>/dev/null
wait $server 2>/dev/null

# Each state follows the one before it. That without an address between the first two leases is over too soon to be seen.
saw() { # name pattern
	local line
	line=$(tail -n +$((at + 1)) "$T/out" | grep -n -m1 -E -- "$2" | cut -d: -f1)
	if [ -n "$line" ]; then
		at=$((at + line))
		ok "$1"
	else
		not_ok "$1" "nothing like \"$2\" after line $at: $(head -c 1500 "$T/out")"
	fi
}
at=0
saw first-lease '^10\.9\.0\.10 1400 first \| 10\.9\.0\.10 first\.example\.org first; \| first; \| search example\.org lab\.example\.org.*; nameserver 10\.9\.0\.53; nameserver 10\.9\.0\.54;'
saw renewal-changes-name-servers '^10\.9\.0\.10 1400 first .*nameserver 10\.9\.0\.77;'
saw second-lease '^10\.9\.0\.20 1400 second \| 10\.9\.0\.20 second\.example\.org second; '
saw lease-that-is-refused '^none 1500 ibrik \| 127\.0\.1\.1 ibrik; '
saw third-lease '^10\.9\.0\.30 1400 first '
saw lease-for-ever 'address 10\.9\.0\.30 by=dhcp server=10\.9\.0\.1 lease_s=4294967295 left_s=4294967295 host=first search=example\.org,lab\.example\.org,six\.example dns=.* ntp=10\.9\.0\.123'
at=0
saw address-by-advertisement '^20010db8000000005054.* 02 40 00 00 +eth0'
check name-server-of-the-router grep -q 'nameserver 10.9.0.54; nameserver 2001:db8::53;' "$T/out"
check domain-of-the-router grep -q 'search example.org lab.example.org six.example;' "$T/out"
check no-lie-was-taken [ "$(grep -c -e '10\.9\.0\.99' -e 'db8::99' "$T/out")" = 0 ]
check what-the-server-saw [ "$(uniq "$T/server" | tr '\n' ',')" = "discover,request,renew,renew, no answer,rebind, no answer,discover,request,renew, refused,discover,request," ]
check the-end-is-told grep -q 'network: address 10.9.0.10 is given up: its lease is over' "$T/err"
check the-refusal-is-told grep -q 'network: address 10.9.0.20 is given up: its server refuses it' "$T/err"
check a-new-address-is-told grep -q 'network: address 10.9.0.20/24, router 10.9.0.1, by DHCP for 6 s' "$T/err"
check trace-of-the-exchange grep -q 'net: dhcp: renewing, try 1' "$T/log"
check trace-of-ipv6 grep -q 'net: ipv6: address 2001:db8::.* is preferred' "$T/log"
check trace-counts grep -q 'net: device eth0 link=up mtu=1400 received=[1-9]' "$T/log"

# A router that changes its mind all the time. Who reads /etc/resolv.conf meanwhile, at once or bit by bit, finds what is whole; and it is not written all the time.
cat > "$T/read.c" <<'END'
/* Reads for five seconds; tells how often, how often the content was not whole, how many contents there were, and what is in /etc by a name of the kernel's at the end. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static size_t read_by(char *text, size_t size, size_t part)
{
	int fd = open("/etc/resolv.conf", O_RDONLY);
	size_t n = 0;
	ssize_t r;

	while (fd >= 0 && n < size - 1 && (r = read(fd, text + n, part < size - 1 - n ? part : size - 1 - n)) > 0) {
		n += (size_t)r;
		if (part < size)
			sched_yield();
	}
	close(fd);
	text[n] = 0;
	return n;
}

int main(void)
{
	static const char first[] = "search example.org lab.example.org six.example\nnameserver 10.9.0.53\nnameserver 10.9.0.54\nnameserver 2001:db8::";
	char text[1000], last[1000] = "";
	unsigned reads = 0, broken = 0, contents = 0, left = 0;
	time_t start = time(NULL);
	struct dirent *e;
	DIR *d;

	/* The first word of the router. */
	while (time(NULL) - start < 10 && (read_by(text, sizeof(text), sizeof(text)), !strstr(text, "2001:db8::")))
		usleep(1000);
	for (start = time(NULL); time(NULL) - start < 5; reads++) {
		size_t n = read_by(text, sizeof(text), reads % 2 ? 10 : sizeof(text));

		if (n <= sizeof(first) || strncmp(text, first, sizeof(first) - 1) || strchr(text + sizeof(first) - 1, '\n') != text + n - 1) {
			if (!broken++)
				printf("broken: %s\n", text);
		}
		contents += strcmp(text, last) != 0;
		strcpy(last, text);
	}
	for (start = time(NULL); time(NULL) - start < 20 && (read_by(text, sizeof(text), sizeof(text)), !strstr(text, "2001:db8::7d0"));)
		usleep(10000);
	for (d = opendir("/etc"); d && (e = readdir(d));)
		left += strstr(e->d_name, ".new") != NULL;
	read_by(text, sizeof(text), sizeof(text));
	printf("reads %u broken %u contents %u left %u last %s\n", reads, broken, contents, left, strstr(text, "2001:db8::"));
	return 0;
}
END
gcc -O1 -Wall -Wextra -o "$T/read" "$T/read.c" || exit 1
rm -f "$T/link"
"$T/leases" "$T/link" fickle > "$T/server" 2>&1 &
server=$!
for _ in $(seq 100); do [ -S "$T/link" ] && break; sleep 0.05; done
run_ibrik run --accel tcg -m 128M --network "socket:$T/link" --exec "$T/read"
kill $server 2>/dev/null
wait $server 2>/dev/null
cat "$T/out"
check name-servers-are-always-whole grep -q '^reads [1-9][0-9]* broken 0 ' "$T/out"
contents=$(sed -n 's/.* contents \([0-9]*\) .*/\1/p' "$T/out")
check name-servers-are-not-written-all-the-time [ "${contents:-0}" -ge 5 -a "${contents:-1000}" -le 30 ]
check nothing-is-left-beside grep -q ' left 0 ' "$T/out"
check the-last-name-server-holds grep -q 'last 2001:db8::7d0$' "$T/out"

# All of it by hand; and by QEMU's own server.
run_ibrik run --accel tcg -m 128M --ip 10.0.2.77/24,gw=10.0.2.2,dns=10.0.2.9,dns=fec0::3,domain=a.example,domain=b.example,hostname=hand,mtu=1300,ntp=10.0.2.5 \
	--run "/bin/cat /etc/resolv.conf /etc/hosts /etc/hostname /sys/class/net/eth0/mtu /proc/sys/kernel/hostname /proc/ibrik/net"
check by-hand-in-full [ "$(head -n 3 "$T/out" | tr '\n' ';')" = "search a.example b.example;nameserver 10.0.2.9;nameserver fec0::3;" ]
check by-hand-host grep -q -x '10.0.2.77 hand.a.example hand' "$T/out"
check by-hand-names [ "$(grep -c -x hand "$T/out"),$(grep -c -x 1300 "$T/out")" = 2,1 ]
check by-hand-counters grep -q -x 'address 10.0.2.77 by=option host=hand search=a.example,b.example dns=10.0.2.9,fec0::3 ntp=10.0.2.5' "$T/out"
run_ibrik run --accel tcg -m 128M --kernel-opts "net.ip=10.0.2.78/24,gw=10.0.2,dns=10.0.2.9,color=red" --run "/bin/cat /etc/resolv.conf /proc/ibrik/net"
check each-bad-word-is-told [ "$(grep -c 'option net.ip: ' "$T/err"),$(grep -c 'gw=10.0.2: it is no IPv4 address' "$T/err"),$(grep -c 'color=red: gw=' "$T/err")" = 2,1,1 ]
check the-others-hold grep -q 'address 10.0.2.78 by=option .* dns=10.0.2.9' "$T/out"
# The same as a setting of an image; a name that was given stays.
"$IBRIK" build --kernel-opts net.ip=10.0.2.79/24,hostname=box --exec /bin/cat -o "$T/box.img" -- /proc/sys/kernel/hostname /proc/ibrik/net || not_ok build
run_ibrik run --accel tcg -m 128M "$T/box.img"
check by-hand-in-an-image [ "$(head -n 1 "$T/out"),$(grep -c '^address 10.0.2.79 by=option' "$T/out")" = box,1 ]
run_ibrik run --accel tcg -m 128M --name given --network user --run "/bin/cat /proc/sys/kernel/hostname /etc/hostname /etc/hosts"
check name-given [ "$(head -n 2 "$T/out" | tr '\n' ' ')" = "given given " ]
check name-given-in-the-table grep -q -x '10.0.2.15 given' "$T/out"
finish
