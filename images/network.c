/*
 * images/network.c - the network of a machine: what --network, --publish and --ip say, and the words of QEMU for it.
 *
 *   user            QEMU's own network, 10.0.2.0/24: the guest reaches what this machine reaches; --publish lets others in
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
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "size.h"

#define TAP_QUEUES_MAX 8 /* more the kernel does not use (kernel/drivers/virtio_net.c) */
#define CONNECT_MS 10000 /* how long a peer may take to answer */
/* QEMU's own network, its router and its name server. */
#define USER_NET 0x0a000200u
#define USER_ROUTER 0x0a000202u
#define USER_DNS 0x0a000203u

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

/* Two that would have the same port here. */
static bool publish_clashes(const struct publish *a, const struct publish *b)
{
	return a->host_port == b->host_port && a->udp == b->udp &&
	       (strcmp(a->host, b->host) == 0 || strcmp(a->host, "0.0.0.0") == 0 || strcmp(b->host, "0.0.0.0") == 0);
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

/* What --ip has said so far. */
struct by_hand {
	struct in_addr own;
	unsigned len;
	unsigned servers[2]; /* for DNS and for NTP */
	bool router, host, mtu;
};

static void once(const char *text, const char *word, bool *given)
{
	if (*given)
		die(STATUS_ERROR, "--ip %s: '%s': there is one already", text, word);
	*given = true;
}

static void router_check(const char *text, const char *value, const struct by_hand *hand)
{
	uint32_t bits = hand->len == 32 ? 0 : UINT32_MAX >> hand->len;
	struct in_addr in;

	if (inet_pton(AF_INET, value, &in) != 1 || !host_address(in, 32))
		die(STATUS_ERROR, "--ip %s: '%s' is no IPv4 address", text, value);
	if (in.s_addr == hand->own.s_addr)
		die(STATUS_ERROR, "--ip %s: the router has the machine's own address", text);
	/* A network of one or two addresses has its router elsewhere, on the same wire. */
	if (hand->len < 31 && (((ntohl(in.s_addr) ^ ntohl(hand->own.s_addr)) & ~bits) || !host_address(in, hand->len)))
		die(STATUS_ERROR, "--ip %s: the router %s is no host of the machine's network", text, value);
}

static bool server_ok(const char *value)
{
	struct in6_addr six;
	struct in_addr in;

	if (inet_pton(AF_INET, value, &in) == 1)
		return ntohl(in.s_addr) >> 24 && ntohl(in.s_addr) >> 24 < 224;
	return inet_pton(AF_INET6, value, &six) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&six);
}

/* One word behind the address. */
static void ip_word_check(const char *text, const char *word, struct by_hand *hand)
{
	uint64_t n;

	if (strncmp(word, "gw=", 3) == 0) {
		once(text, word, &hand->router);
		router_check(text, word + 3, hand);
	} else if (strncmp(word, "dns=", 4) == 0 || strncmp(word, "ntp=", 4) == 0) {
		if (!server_ok(word + 4))
			die(STATUS_ERROR, "--ip %s: '%s' is no address of a server", text, word + 4);
		if (++hand->servers[word[0] == 'n'] > 3)
			die(STATUS_ERROR, "--ip %s: three servers of a kind are enough", text);
	} else if (strncmp(word, "domain=", 7) == 0) {
		if (!name_ok(word + 7) || strlen(word + 7) > 253)
			die(STATUS_ERROR, "--ip %s: '%s' is no name", text, word + 7);
	} else if (strncmp(word, "hostname=", 9) == 0) {
		once(text, word, &hand->host);
		if (!name_ok(word + 9) || strlen(word + 9) > 64)
			die(STATUS_ERROR, "--ip %s: '%s' is no name", text, word + 9);
	} else if (strncmp(word, "mtu=", 4) == 0) {
		once(text, word, &hand->mtu);
		if (number_parse(word + 4, 576, 65535, &n))
			die(STATUS_ERROR, "--ip %s: an MTU is a number from 576 to 65535", text);
	} else {
		die(STATUS_ERROR, "--ip %s: '%s': behind ADDR/LEN stand gw=, dns=, domain=, hostname=, mtu=, ntp=", text, word);
	}
}

/* The kernel reads the same (kernel/net/config_text.c). The answer is the machine's address. */
static struct in_addr ip_check(const char *text)
{
	char *copy = xstrdup(text), *next = copy, *word = strsep(&next, ","), *slash = strchr(word, '/');
	struct by_hand hand = { 0 };
	uint64_t len;

	if (strpbrk(text, " \t\n"))
		die(STATUS_ERROR, "--ip %s: no blanks", text);
	if (strlen(text) > 500)
		die(STATUS_ERROR, "--ip: more than 500 characters");
	if (!slash)
		die(STATUS_ERROR, "--ip %s: ADDR/LEN[,gw=ADDR][,dns=ADDR] is wanted", text);
	*slash = 0;
	if (inet_pton(AF_INET, word, &hand.own) != 1)
		die(STATUS_ERROR, "--ip %s: '%s' is no IPv4 address", text, word);
	if (number_parse(slash + 1, 1, 32, &len))
		die(STATUS_ERROR, "--ip %s: '%s' is no length of a network (1 to 32)", text, slash + 1);
	hand.len = (unsigned)len;
	if (!host_address(hand.own, hand.len))
		die(STATUS_ERROR, "--ip %s: no machine can have this address", text);
	while ((word = strsep(&next, ",")))
		ip_word_check(text, word, &hand);
	free(copy);
	return hand.own;
}

/* QEMU's own network answers for no other addresses than its own. */
static void user_address_check(const char *text, struct in_addr own)
{
	uint32_t ip = ntohl(own.s_addr);

	if ((ip & 0xffffff00u) != USER_NET || ip == USER_ROUTER || ip == USER_DNS)
		die(STATUS_ERROR, "--ip %s: the network is QEMU's, 10.0.2.0/24 with the router 10.0.2.2 and the name server 10.0.2.3; "
		    "another one is had by --network tap:NAME", text);
}

/* HOST:PORT becomes HOST; the answer is where the port begins. Dies when one of them is missing. */
static char *socket_port(const char *network, char *copy)
{
	char *port = strrchr(copy, ':');
	unsigned n;

	if (!port || port == copy)
		die(STATUS_ERROR, "--network %s: HOST:PORT or an absolute path is wanted", network);
	*port++ = 0;
	if (!port_parse(port, &n))
		die(STATUS_ERROR, "--network %s: a port is a number from 1 to 65535", network);
	return port;
}

void network_check(const struct options *options)
{
	struct in_addr own;

	if (!kind_is(options, "user") && !kind_is(options, "none") && !kind_is(options, "tap:") && !kind_is(options, "socket:"))
		die(STATUS_ERROR, "--network %s: user, tap:NAME, socket:HOST:PORT, socket:PATH or none", options->network);
	if (kind_is(options, "tap:") && (!options->network[4] || strlen(options->network + 4) >= IF_NAMESIZE || strchr(options->network, ',')))
		die(STATUS_ERROR, "--network %s: a TAP interface has a name of 1 to 15 characters", options->network);
	if (kind_is(options, "tap:") && !if_nametoindex(options->network + 4))
		die(STATUS_ERROR, "--network %s: there is no such interface; as root: ip tuntap add dev %s mode tap", options->network, options->network + 4);
	if (kind_is(options, "socket:") && options->network[7] != '/')
		socket_port(options->network, xstrdup(options->network + 7));
	if (options->publish.count && !kind_is(options, "user"))
		die(STATUS_ERROR, "--publish goes with --network user: with another network the machine has an address of its own");
	for (size_t i = 0; i < options->publish.count; i++) {
		struct publish p;

		publish_parse(options->publish.items[i], &p);
		for (size_t j = 0; j < i; j++) {
			struct publish other;

			publish_parse(options->publish.items[j], &other);
			if (publish_clashes(&p, &other))
				die(STATUS_ERROR, "--publish %s: port %u is published already", options->publish.items[i], p.host_port);
		}
		publish_try(options->publish.items[i], &p);
	}
	if (options->ip) {
		if (kind_is(options, "none"))
			die(STATUS_ERROR, "--ip needs a network: --network none has none");
		own = ip_check(options->ip);
		if (kind_is(options, "user"))
			user_address_check(options->ip, own);
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

/* A stream to the peer, open across exec. QEMU itself would not say that there is nobody, and start without a network. */
static int socket_connect(const char *network)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	struct addrinfo local = { .ai_family = AF_UNIX, .ai_socktype = SOCK_STREAM, .ai_addr = (struct sockaddr *)&path, .ai_addrlen = sizeof(path) };
	int fd = -1, error = 0, on = 1;

	if (network[7] == '/') {
		if (strlen(network + 7) >= sizeof(path.sun_path))
			die(STATUS_ERROR, "--network %s: the path of a socket has at most %zu characters", network, sizeof(path.sun_path) - 1);
		strcpy(path.sun_path, network + 7);
		found = &local;
	} else {
		char *host = xstrdup(network + 7), *port = socket_port(network, host);

		error = getaddrinfo(host, port, &hints, &found);
		if (error)
			die(STATUS_ERROR, "--network %s: %s: %s", network, host, gai_strerror(error));
	}
	for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
		struct pollfd answer = { .events = POLLOUT };
		socklen_t bytes = sizeof(error);

		fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK, 0);
		if (fd < 0 || connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
			error = fd < 0 ? errno : 0;
			continue;
		}
		error = errno;
		answer.fd = fd;
		if (error == EINPROGRESS && poll(&answer, 1, CONNECT_MS) == 0)
			error = ETIMEDOUT;
		else if (error == EINPROGRESS)
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
		if (error) {
			close(fd);
			fd = -1;
		}
	}
	if (fd < 0)
		die(STATUS_ERROR, "--network %s: %s", network, strerror(error));
	if (found == &local)
		return fd;
	freeaddrinfo(found);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* The last net.ip= of a text of kernel options, its address alone, or NULL. */
static char *option_address(const char *text)
{
	char *found = NULL;

	for (const char *at = text; (at = strstr(at, "net.ip=")); at += 7)
		if (at == text || strchr(" \t\n", at[-1]))
			found = format("%.*s", (int)strcspn(at + 7, "/ \t\n"), at + 7);
	return found;
}

/* Where published ports lead, for QEMU: the address that the machine was given, or, empty, the first one of QEMU's lease. The kernel takes the last one said. */
static const char *published_address(const struct options *options)
{
	char *own = option_address(options->kernel_opts ? options->kernel_opts : "");
	struct in_addr in;

	if (!own && options->ip)
		own = format("%.*s", (int)strcspn(options->ip, "/"), options->ip);
	if (!own && options->image_opts)
		own = option_address(options->image_opts);
	return own && inet_pton(AF_INET, own, &in) == 1 ? own : "";
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
			netdev = format("%s,hostfwd=%s:%s:%u-%s:%u", netdev, p.udp ? "udp" : "tcp", p.host, p.host_port, published_address(options), p.guest_port);
		}
		word(argv, "-netdev", netdev);
	} else if (kind_is(options, "tap:")) {
		queues = tap_queues(network + 4, options->cpus);
		word(argv, "-netdev", format("tap,id=net0,ifname=%s,script=no,downscript=no%s", network + 4, queues > 1 ? format(",queues=%u", queues) : ""));
	} else {
		word(argv, "-netdev", format("stream,id=net0,server=off,addr.type=fd,addr.str=%d", socket_connect(network)));
	}
	word(argv, "-device", format("virtio-net-%s,netdev=net0%s%s%s", mmio ? "device" : "pci", mmio ? "" : ",romfile=", queues > 1 ? ",mq=on" : "",
				     queues > 1 && !mmio ? format(",vectors=%u", 2 * queues + 2) : ""));
}

char *network_append(const struct options *options)
{
	return options->ip ? format(" net.ip=%s", options->ip) : xstrdup("");
}
