/*
 * images/network.c - the network of a machine: what --network, --publish and --ip say, and the words of QEMU for it.
 *
 *   user            QEMU's own network: the guest reaches what this machine reaches; --publish lets others in
 *   tap:NAME        an existing TAP interface; one that was made with several queues gets one for each CPU
 *   socket:ADDR     a peer by QEMU's stream protocol: HOST:PORT or a path of a Unix socket
 *   none            no network card
 *
 * Interface: network_check(), network_arguments(), network_append()
 * Errors:    one line and status 125
 */
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "size.h"

#define TAP_QUEUES_MAX 8 /* more the kernel does not use (kernel/drivers/virtio_net.c) */

struct publish {
	char host[INET_ADDRSTRLEN];
	unsigned host_port, guest_port;
	bool udp;
};

static bool port_parse(const char *text, unsigned *port)
{
	uint64_t n;

	if (number_parse(text, 1, 65535, &n))
		return false;
	*port = (unsigned)n;
	return true;
}

/* [ADDR:]HOST:GUEST[/udp|/tcp] */
static void publish_parse(const char *text, struct publish *p)
{
	char *copy = xstrdup(text), *slash = strchr(copy, '/'), *guest, *host;
	struct in_addr addr;

	memset(p, 0, sizeof(*p));
	snprintf(p->host, sizeof(p->host), "127.0.0.1");
	if (slash) {
		*slash++ = 0;
		p->udp = strcmp(slash, "udp") == 0;
		if (!p->udp && strcmp(slash, "tcp") != 0)
			die(STATUS_ERROR, "--publish %s: after the / stands tcp or udp", text);
	}
	guest = strrchr(copy, ':');
	if (!guest)
		die(STATUS_ERROR, "--publish %s: a port here and one in the machine are wanted, as in 8080:8080", text);
	*guest++ = 0;
	host = strrchr(copy, ':');
	if (host) {
		*host++ = 0;
		if (inet_pton(AF_INET, copy, &addr) != 1)
			die(STATUS_ERROR, "--publish %s: '%s' is no IPv4 address", text, copy);
		snprintf(p->host, sizeof(p->host), "%s", copy);
	} else {
		host = copy;
	}
	if (!port_parse(host, &p->host_port) || !port_parse(guest, &p->guest_port))
		die(STATUS_ERROR, "--publish %s: a port is a number from 1 to 65535", text);
	free(copy);
}

/* QEMU says only that it could not set up forwarding: so the port is tried first. */
static void publish_try(const char *text, const struct publish *p)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->host_port) };
	int fd = socket(AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return;
	inet_pton(AF_INET, p->host, &addr.sin_addr);
	if (!p->udp)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die(STATUS_ERROR, "--publish %s: port %u of %s: %s", text, p->host_port, p->host, strerror(errno));
	close(fd);
}

static bool kind_is(const struct options *options, const char *kind)
{
	const char *network = options->network ? options->network : "user";

	return strncmp(network, kind, strlen(kind)) == 0 && (!network[strlen(kind)] || kind[strlen(kind) - 1] == ':');
}

/* Could a host have the address, with a network of that length? */
static bool host_address(struct in_addr in, unsigned len)
{
	uint32_t ip = ntohl(in.s_addr), bits = len == 32 ? 0 : UINT32_MAX >> len;

	if (ip >> 24 == 0 || ip >> 24 == 127 || ip >> 24 >= 224)
		return false;
	return len >= 31 || ((ip & bits) != 0 && (ip & bits) != bits);
}

/* Letters, digits, hyphens and dots, in labels of 1 to 63 (kernel/net/dhcp_message.h). */
static bool name_ok(const char *name)
{
	size_t label = 0;

	for (;; name++) {
		if (!*name || *name == '.') {
			if (!label || label > 63 || name[-1] == '-')
				return false;
			if (!*name)
				return true;
			label = 0;
		} else if ((*name == '-' && label) || *name == '_' || (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
			   (*name >= '0' && *name <= '9')) {
			label++;
		} else {
			return false;
		}
	}
}

/* One word behind the address. `servers` counts those for DNS and for NTP. */
static void ip_word_check(const char *text, const char *word, struct in_addr own, unsigned servers[2])
{
	struct in6_addr six;
	struct in_addr in;
	uint64_t n;

	if (strncmp(word, "gw=", 3) == 0) {
		if (inet_pton(AF_INET, word + 3, &in) != 1 || !host_address(in, 32))
			die(STATUS_ERROR, "--ip %s: '%s' is no IPv4 address", text, word + 3);
		if (in.s_addr == own.s_addr)
			die(STATUS_ERROR, "--ip %s: the router has the machine's own address", text);
	} else if (strncmp(word, "dns=", 4) == 0 || strncmp(word, "ntp=", 4) == 0) {
		if (inet_pton(AF_INET, word + 4, &in) != 1 && inet_pton(AF_INET6, word + 4, &six) != 1)
			die(STATUS_ERROR, "--ip %s: '%s' is no address", text, word + 4);
		if (++servers[word[0] == 'n'] > 3)
			die(STATUS_ERROR, "--ip %s: three servers of a kind are enough", text);
	} else if (strncmp(word, "domain=", 7) == 0) {
		if (!name_ok(word + 7) || strlen(word + 7) > 253)
			die(STATUS_ERROR, "--ip %s: '%s' is no name", text, word + 7);
	} else if (strncmp(word, "hostname=", 9) == 0) {
		if (!name_ok(word + 9) || strlen(word + 9) > 64)
			die(STATUS_ERROR, "--ip %s: '%s' is no name", text, word + 9);
	} else if (strncmp(word, "mtu=", 4) == 0) {
		if (number_parse(word + 4, 576, 65535, &n))
			die(STATUS_ERROR, "--ip %s: an MTU is a number from 576 to 65535", text);
	} else {
		die(STATUS_ERROR, "--ip %s: '%s': behind ADDR/LEN stand gw=, dns=, domain=, hostname=, mtu=, ntp=", text, word);
	}
}

/* The kernel reads the same (kernel/net/config_text.c). */
static void ip_check(const char *text)
{
	char *copy = xstrdup(text), *next = copy, *word = strsep(&next, ","), *slash = strchr(word, '/');
	unsigned servers[2] = { 0, 0 };
	struct in_addr own;
	uint64_t len;

	if (strpbrk(text, " \t\n"))
		die(STATUS_ERROR, "--ip %s: no blanks", text);
	if (strlen(text) > 500)
		die(STATUS_ERROR, "--ip: more than 500 characters");
	if (!slash)
		die(STATUS_ERROR, "--ip %s: ADDR/LEN[,gw=ADDR][,dns=ADDR] is wanted", text);
	*slash = 0;
	if (inet_pton(AF_INET, word, &own) != 1)
		die(STATUS_ERROR, "--ip %s: '%s' is no IPv4 address", text, word);
	if (number_parse(slash + 1, 1, 32, &len))
		die(STATUS_ERROR, "--ip %s: '%s' is no length of a network (1 to 32)", text, slash + 1);
	if (!host_address(own, (unsigned)len))
		die(STATUS_ERROR, "--ip %s: no machine can have this address", text);
	while ((word = strsep(&next, ",")))
		ip_word_check(text, word, own, servers);
	free(copy);
}

void network_check(const struct options *options)
{
	if (!kind_is(options, "user") && !kind_is(options, "none") && !kind_is(options, "tap:") && !kind_is(options, "socket:"))
		die(STATUS_ERROR, "--network %s: user, tap:NAME, socket:HOST:PORT, socket:PATH or none", options->network);
	if (kind_is(options, "tap:") && (!options->network[4] || strlen(options->network + 4) >= IF_NAMESIZE || strchr(options->network, ',')))
		die(STATUS_ERROR, "--network %s: a TAP interface has a name of 1 to 15 characters", options->network);
	if (kind_is(options, "socket:") && (!options->network[7] || (options->network[7] != '/' && !strchr(options->network + 7, ':'))))
		die(STATUS_ERROR, "--network %s: HOST:PORT or an absolute path is wanted", options->network);
	if (options->publish.count && !kind_is(options, "user"))
		die(STATUS_ERROR, "--publish goes with --network user: with another network the machine has an address of its own");
	for (size_t i = 0; i < options->publish.count; i++) {
		struct publish p;

		publish_parse(options->publish.items[i], &p);
		publish_try(options->publish.items[i], &p);
	}
	if (options->ip) {
		if (kind_is(options, "none"))
			die(STATUS_ERROR, "--ip needs a network: --network none has none");
		ip_check(options->ip);
	}
}

static void word(struct strings *argv, const char *option, const char *value)
{
	strings_add(argv, option);
	strings_add(argv, value);
}

/*
 * How many pairs of queues the machine gets of a TAP. One that was made for several (IFF_MULTI_QUEUE) can be opened only as such, with two at
 * least; any other only without. Nobody says which it is but the one that opens it. What cannot be opened is QEMU's to tell.
 */
static unsigned tap_queues(const char *name, uint64_t cpus)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	unsigned queues = 1;
	int fd;

	/* One that does not exist would be made. */
	if (!if_nametoindex(name))
		return 1;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0)
		queues = (unsigned)(cpus < 2 ? 2 : cpus > TAP_QUEUES_MAX ? TAP_QUEUES_MAX : cpus);
	if (fd >= 0)
		close(fd);
	return queues;
}

void network_arguments(struct strings *argv, const struct options *options, bool mmio)
{
	const char *network = options->network ? options->network : "user";
	unsigned queues = 1;

	if (kind_is(options, "none"))
		return;
	if (kind_is(options, "user")) {
		char *netdev = xstrdup("user,id=net0");

		for (size_t i = 0; i < options->publish.count; i++) {
			struct publish p;

			publish_parse(options->publish.items[i], &p);
			netdev = format("%s,hostfwd=%s:%s:%u-:%u", netdev, p.udp ? "udp" : "tcp", p.host, p.host_port, p.guest_port);
		}
		word(argv, "-netdev", netdev);
	} else if (kind_is(options, "tap:")) {
		queues = tap_queues(network + 4, options->cpus);
		word(argv, "-netdev", format("tap,id=net0,ifname=%s,script=no,downscript=no%s", network + 4, queues > 1 ? format(",queues=%u", queues) : ""));
	} else if (network[7] == '/') {
		word(argv, "-netdev", format("stream,id=net0,server=off,addr.type=unix,addr.path=%s", escape_commas(network + 7)));
	} else {
		char *host = xstrdup(network + 7), *port = strrchr(host, ':');

		*port++ = 0;
		word(argv, "-netdev", format("stream,id=net0,server=off,addr.type=inet,addr.host=%s,addr.port=%s", escape_commas(host), port));
	}
	word(argv, "-device", format("virtio-net-%s,netdev=net0%s%s%s", mmio ? "device" : "pci", mmio ? "" : ",romfile=", queues > 1 ? ",mq=on" : "",
				     queues > 1 && !mmio ? format(",vectors=%u", 2 * queues + 2) : ""));
}

char *network_append(const struct options *options)
{
	return options->ip ? format(" net.ip=%s", options->ip) : xstrdup("");
}
