/*
 * tests/net/relay.c - a link between two Ethernet ports that suffers by a seed, with a bad neighbour upon it.
 *
 *     relay [-s SEED] GUEST PEER
 *
 * A port is stream:PATH (waits there for QEMU's stream netdev: `ibrik run --network socket:PATH`), dgram:OWN:OTHER (Unix datagram sockets, as QEMU's
 * dgram netdev) or tap:NAME. Commands come on standard input, a line each, and each is answered by a line, "ok" or "error: why":
 *
 *     loss PERCENT, duplicate PERCENT, reorder PERCENT, delay MS    of each direction
 *     mtu BYTES         longer IP packets are lost; with `mtu BYTES tell` their sender is told (ICMP, if it forbade fragments)
 *     link down|up      nothing passes
 *     clear             none of the above
 *     hostile NAME RATE the bad neighbour sends so many frames a second (hostile.h); `hostile off`
 *     advertise PREFIX  a router advertisement of an IPv6 prefix of 64 bits goes to the guest
 *     dhcp HOW [LAST LEASE]  the relay answers DHCP itself
 *     stats             "ok" with the numbers
 *
 * Theory:  one loop. Every frame gets a time at which it leaves, and leaves in the order of these: a frame that is reordered leaves some milliseconds
 *          later than its turn. A port that does not take frames makes them wait, up to QUEUE_BYTES; what is lost then is counted apart (full).
 * Errors:  one line and status 1. The end of standard input, or of a port, ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"
#include "hostile.h"

#define QUEUE_BYTES (8u << 20)
#define HOSTILE_BYTES 16384
#define REORDER_MS_MAX 8
#define STEPS_AT_ONCE 64

struct port {
	const char *name;
	int fd, listening; /* -1: not there */
	bool stream;
	uint8_t in[2 * FRAME_MAX];
	size_t in_bytes;
	uint8_t *out; /* stream: what the peer has not taken */
	size_t out_bytes, out_done;
};

struct waiting {
	uint64_t due_us, serial;
	struct port *to;
	size_t bytes;
	uint8_t frame[];
};

static struct port guest = { .fd = -1, .listening = -1 }, peer = { .fd = -1, .listening = -1 };
static struct waiting **heap;
static size_t heap_used, heap_room, heap_bytes;
static uint64_t serial, random_state;
static struct {
	double loss, duplicate, reorder;
	unsigned delay_ms, mtu;
	bool mtu_tell, down;
} wire;
static struct {
	unsigned long passed, lost, duplicated, reordered, too_long, down, full;
} count;
static unsigned hostile_rate;
static uint64_t hostile_since_us, hostile_sent;

static _Noreturn void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "relay: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled". */
uint64_t relay_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 2685821657736338717ull;
}

static bool happens(double percent) { return percent > 0 && (double)(relay_random() >> 11) / (double)(1ull << 53) * 100 < percent; }

/* --- ports -------------------------------------------------------------------------------------------------------- */

static struct sockaddr_un unix_name(const char *path, size_t n)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (n >= sizeof(a.sun_path))
		die("%s: too long for a socket", path);
	memcpy(a.sun_path, path, n);
	return a;
}

static int unix_bound(int type, const char *path, size_t n)
{
	struct sockaddr_un a = unix_name(path, n);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), size = 4 << 20;

	unlink(a.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("%s: %s", a.sun_path, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

static int tap_open(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/net/tun: %s", strerror(errno));
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &r))
		die("%s: %s", name, strerror(errno));
	return fd;
}

static void port_open(struct port *p, const char *name)
{
	const char *other;

	p->name = name;
	if (!strncmp(name, "stream:", 7)) {
		p->stream = true;
		p->listening = unix_bound(SOCK_STREAM, name + 7, strlen(name + 7));
		listen(p->listening, 1);
	} else if (!strncmp(name, "dgram:", 6) && (other = strchr(name + 6, ':'))) {
		struct sockaddr_un a = unix_name(other + 1, strlen(other + 1));

		p->fd = unix_bound(SOCK_DGRAM, name + 6, (size_t)(other - name - 6));
		/* The other side may come later. */
		while (connect(p->fd, (struct sockaddr *)&a, sizeof(a)))
			usleep(10000);
	} else if (!strncmp(name, "tap:", 4)) {
		p->fd = tap_open(name + 4);
	} else {
		die("%s: stream:PATH, dgram:OWN:OTHER or tap:NAME", name);
	}
	if (p->fd >= 0)
		fcntl(p->fd, F_SETFL, O_NONBLOCK);
}

static void port_drain(struct port *p)
{
	while (p->out_done < p->out_bytes) {
		ssize_t n = send(p->fd, p->out + p->out_done, p->out_bytes - p->out_done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			return;
		p->out_done += (size_t)n;
	}
	p->out_done = p->out_bytes = 0;
}

static void port_send(struct port *p, const uint8_t *frame, size_t bytes)
{
	uint8_t length[4];

	if (p->fd < 0)
		return;
	if (!p->stream) {
		if (write(p->fd, frame, bytes) < 0)
			count.full++;
		return;
	}
	if (!p->out)
		p->out = malloc(QUEUE_BYTES);
	if (!p->out)
		die("no memory");
	if (p->out_bytes + bytes + 4 > QUEUE_BYTES && p->out_done) {
		memmove(p->out, p->out + p->out_done, p->out_bytes - p->out_done);
		p->out_bytes -= p->out_done;
		p->out_done = 0;
	}
	if (p->out_bytes + bytes + 4 > QUEUE_BYTES) {
		count.full++;
		return;
	}
	put32(length, (uint32_t)bytes);
	memcpy(p->out + p->out_bytes, length, 4);
	memcpy(p->out + p->out_bytes + 4, frame, bytes);
	p->out_bytes += bytes + 4;
}

void hostile_to_guest(const uint8_t *frame, size_t bytes) { port_send(&guest, frame, bytes); }

/* --- frames that wait for their time: a heap ------------------------------------------------------------------------ */

static bool earlier(const struct waiting *a, const struct waiting *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->serial < b->serial;
}

static void swap(size_t a, size_t b)
{
	struct waiting *w = heap[a];

	heap[a] = heap[b];
	heap[b] = w;
}

static void wait_until(struct port *to, const uint8_t *frame, size_t bytes, uint64_t due_us)
{
	struct waiting *w;

	if (heap_bytes + bytes > QUEUE_BYTES) {
		count.full++;
		return;
	}
	if (heap_used == heap_room) {
		heap_room = heap_room ? 2 * heap_room : 64;
		heap = realloc(heap, heap_room * sizeof(*heap));
	}
	w = malloc(sizeof(*w) + bytes);
	if (!heap || !w)
		die("no memory");
	*w = (struct waiting){ .due_us = due_us, .serial = serial++, .to = to, .bytes = bytes };
	memcpy(w->frame, frame, bytes);
	heap_bytes += bytes;
	heap[heap_used] = w;
	for (size_t i = heap_used++; i && earlier(heap[i], heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
}

static void send_due(void)
{
	uint64_t now = now_us();

	while (heap_used && heap[0]->due_us <= now) {
		struct waiting *w = heap[0];

		heap[0] = heap[--heap_used];
		for (size_t i = 0, least;; i = least) {
			least = i;
			for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
				if (child < heap_used && earlier(heap[child], heap[least]))
					least = child;
			if (least == i)
				break;
			swap(i, least);
		}
		heap_bytes -= w->bytes;
		port_send(w->to, w->frame, w->bytes);
		free(w);
	}
}

/* --- the link ---------------------------------------------------------------------------------------------------------- */

/* Tells the sender that its packet was too long: RFC 1191, RFC 4443 section 3.2. */
static void tell_too_long(struct port *from, const uint8_t *frame, size_t bytes)
{
	uint8_t answer[2048] = { 0 }, *ip = answer + ETHERNET_BYTES, *icmp;
	const uint8_t *packet = frame + ETHERNET_BYTES;
	size_t quoted;

	bytes -= ETHERNET_BYTES;
	frame_ethernet(answer, frame + 6, frame, get16(frame + 12));
	if (get16(frame + 12) == TYPE_IP4 && bytes >= IP4_BYTES && packet[6] & 0x40) {
		quoted = bytes < 548 ? bytes : 548;
		icmp = ip + IP4_BYTES;
		icmp[0] = 3;
		icmp[1] = 4;
		put16(icmp + 6, wire.mtu);
		memcpy(icmp + 8, packet, quoted);
		frame_ip4(ip, packet + 16, packet + 12, PROTO_ICMP, 0, 0, 8 + quoted);
		port_send(from, answer, ETHERNET_BYTES + IP4_BYTES + 8 + quoted);
	} else if (get16(frame + 12) == TYPE_IP6 && bytes >= IP6_BYTES) {
		quoted = bytes < 1200 ? bytes : 1200;
		icmp = ip + IP6_BYTES;
		icmp[0] = 2;
		put32(icmp + 4, wire.mtu);
		memcpy(icmp + 8, packet, quoted);
		frame_ip6(ip, packet + 24, packet + 8, PROTO_ICMP6, PROTO_ICMP6, 0, 8 + quoted);
		port_send(from, answer, ETHERNET_BYTES + IP6_BYTES + 8 + quoted);
	}
}

static void frame_came(struct port *from, const uint8_t *frame, size_t bytes)
{
	struct port *to = from == &guest ? &peer : &guest;

	if (bytes < ETHERNET_BYTES)
		return;
	if (from == &peer)
		hostile_sees_peer(frame, bytes);
	else if (dhcp_hears(frame, bytes) || hostile_hears(frame, bytes))
		return;
	if (wire.down) {
		count.down++;
		return;
	}
	if (wire.mtu && bytes - ETHERNET_BYTES > wire.mtu) {
		count.too_long++;
		if (wire.mtu_tell)
			tell_too_long(from, frame, bytes);
		return;
	}
	if (happens(wire.loss)) {
		count.lost++;
		return;
	}
	count.passed++;
	for (unsigned copies = 1 + happens(wire.duplicate); copies; copies--) {
		uint64_t due = now_us() + wire.delay_ms * 1000ull;

		count.duplicated += copies > 1;
		if (happens(wire.reorder)) {
			count.reordered++;
			due += 1000 + relay_random() % (REORDER_MS_MAX * 1000);
		}
		if (!heap_used && !wire.delay_ms && due <= now_us())
			port_send(to, frame, bytes);
		else
			wait_until(to, frame, bytes, due);
	}
}

static void port_read(struct port *p)
{
	size_t at = 0;
	ssize_t n;

	if (!p->stream) {
		for (unsigned i = 0; i < 64 && (n = read(p->fd, p->in, sizeof(p->in))) > 0; i++)
			frame_came(p, p->in, (size_t)n);
		return;
	}
	n = recv(p->fd, p->in + p->in_bytes, sizeof(p->in) - p->in_bytes, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		exit(0);
	p->in_bytes += n > 0 ? (size_t)n : 0;
	while (p->in_bytes - at >= 4) {
		size_t bytes = get32(p->in + at);

		if (bytes > FRAME_MAX)
			die("%s: a frame of %zu bytes", p->name, bytes);
		if (p->in_bytes - at < 4 + bytes)
			break;
		frame_came(p, p->in + at + 4, bytes);
		at += 4 + bytes;
	}
	memmove(p->in, p->in + at, p->in_bytes - at);
	p->in_bytes -= at;
}

/* --- commands -------------------------------------------------------------------------------------------------------------- */

/* RFC 4861, section 4.2. The router is the relay itself. */
static bool advertise(const char *prefix)
{
	static const uint8_t all[16] = { 0xff, 2, [15] = 1 }, router[16] = { 0xfe, 0x80, [15] = 0x77 };
	static const uint8_t all_mac[6] = { 0x33, 0x33, 0, 0, 0, 1 }, router_mac[6] = { 2, 0x77, 0, 0, 0, 1 };
	uint8_t frame[ETHERNET_BYTES + IP6_BYTES + 16 + 32] = { 0 }, *ra = frame + ETHERNET_BYTES + IP6_BYTES;

	if (inet_pton(AF_INET6, prefix, ra + 32) != 1)
		return false;
	ra[0] = 134;
	ra[4] = 64;
	put16(ra + 6, 1800);
	ra[16] = 3; /* a prefix, 64 bits of which are on the link and good to make addresses of */
	ra[17] = 4;
	ra[18] = 64;
	ra[19] = 0xc0;
	put32(ra + 20, 86400);
	put32(ra + 24, 86400);
	frame_ip6(frame + ETHERNET_BYTES, router, all, PROTO_ICMP6, PROTO_ICMP6, 0, 48);
	frame_ethernet(frame, all_mac, router_mac, TYPE_IP6);
	port_send(&guest, frame, sizeof(frame));
	return true;
}

static const char *command(char *line)
{
	char word[32] = "", a[64] = "", b[32] = "", c[32] = "";
	int n = sscanf(line, "%31s %63s %31s %31s", word, a, b, c);
	double value = atof(a);

	if (!strcmp(word, "clear")) {
		memset(&wire, 0, sizeof(wire));
	} else if (!strcmp(word, "stats")) {
		printf("ok passed %lu lost %lu duplicated %lu reordered %lu long %lu down %lu full %lu ", count.passed, count.lost, count.duplicated,
		       count.reordered, count.too_long, count.down, count.full);
		hostile_report(stdout);
		return NULL;
	} else if (n < 2) {
		return "what?";
	} else if (!strcmp(word, "loss")) {
		wire.loss = value;
	} else if (!strcmp(word, "duplicate")) {
		wire.duplicate = value;
	} else if (!strcmp(word, "reorder")) {
		wire.reorder = value;
	} else if (!strcmp(word, "delay")) {
		wire.delay_ms = (unsigned)value;
	} else if (!strcmp(word, "mtu")) {
		wire.mtu = (unsigned)value;
		wire.mtu_tell = !strcmp(b, "tell");
	} else if (!strcmp(word, "link")) {
		wire.down = !strcmp(a, "down");
	} else if (!strcmp(word, "advertise")) {
		if (!advertise(a))
			return "no prefix";
	} else if (!strcmp(word, "dhcp")) {
		if (!dhcp_answers(a, n > 2 ? (unsigned)atoi(b) : 2, n > 3 ? (unsigned)atoi(c) : 3600))
			return "no such way to answer";
	} else if (!strcmp(word, "hostile")) {
		if (!hostile_start(strcmp(a, "off") ? a : NULL))
			return "no such attack";
		hostile_rate = n > 2 ? (unsigned)atoi(b) : 1000;
		hostile_since_us = now_us();
		hostile_sent = 0;
	} else {
		return "what?";
	}
	printf("ok\n");
	return NULL;
}

static void commands_read(void)
{
	static char text[512];
	static size_t used;
	ssize_t n = read(0, text + used, sizeof(text) - 1 - used);
	char *end;

	if (n <= 0)
		exit(0);
	used += (size_t)n;
	text[used] = 0;
	while ((end = strchr(text, '\n'))) {
		const char *wrong;

		*end++ = 0;
		wrong = command(text);
		if (wrong)
			printf("error: %s\n", wrong);
		fflush(stdout);
		used -= (size_t)(end - text);
		memmove(text, end, used + 1);
	}
	if (used == sizeof(text) - 1)
		die("a command is too long");
}

static int hostile_work(void)
{
	uint64_t wanted;

	if (!hostile_active() || guest.fd < 0)
		return -1;
	wanted = (now_us() - hostile_since_us) * hostile_rate / 1000000;
	/* A guest that does not take them is not meant to be sent all of them later, nor its friends to wait behind them. */
	if (guest.out_bytes - guest.out_done > HOSTILE_BYTES) {
		hostile_sent = wanted;
		return 1;
	}
	for (unsigned i = 0; i < STEPS_AT_ONCE && hostile_sent < wanted; i++, hostile_sent++)
		hostile_step();
	return hostile_sent < wanted ? 0 : 1;
}

static int wait_ms(int hostile_ms)
{
	uint64_t now = now_us();
	int ms = -1;

	if (heap_used)
		ms = heap[0]->due_us <= now ? 0 : (int)((heap[0]->due_us - now) / 1000) + 1;
	return hostile_ms >= 0 && (ms < 0 || hostile_ms < ms) ? hostile_ms : ms;
}

static void loop_once(void)
{
	struct port *const ports[] = { &guest, &peer };
	struct pollfd p[3] = { { .fd = 0, .events = POLLIN } };

	for (unsigned i = 0; i < 2; i++) {
		p[i + 1].fd = ports[i]->fd >= 0 ? ports[i]->fd : ports[i]->listening;
		p[i + 1].events = (short)(POLLIN | (ports[i]->out_bytes ? POLLOUT : 0));
	}
	if (poll(p, 3, wait_ms(hostile_work())) < 0 && errno != EINTR)
		die("poll: %s", strerror(errno));
	for (unsigned i = 0; i < 2; i++) {
		struct port *port = ports[i];

		if (port->fd < 0 && p[i + 1].revents) {
			port->fd = accept(port->listening, NULL, NULL);
		} else if (p[i + 1].revents & (POLLIN | POLLHUP)) {
			port_read(port);
		}
	}
	send_due();
	for (unsigned i = 0; i < 2; i++)
		if (ports[i]->stream && ports[i]->fd >= 0)
			port_drain(ports[i]);
	if (p[0].revents)
		commands_read();
}

int main(int argc, char **argv)
{
	uint64_t seed = 1;
	int i = 1;

	if (argc > 2 && !strcmp(argv[1], "-s")) {
		seed = strtoull(argv[2], NULL, 0);
		i = 3;
	}
	if (argc == 2 && !strcmp(argv[1], "attacks")) {
		hostile_names(stdout);
		return 0;
	}
	if (argc != i + 2)
		die("usage: relay [-s SEED] GUEST PEER, or relay attacks");
	random_state = seed * 0x9e3779b97f4a7c15ull + 1;
	signal(SIGPIPE, SIG_IGN);
	port_open(&guest, argv[i]);
	port_open(&peer, argv[i + 1]);
	for (;;)
		loop_once();
}
