/*
 * tests/fuzz/net_frames_fuzz.c - frames from anybody, through the real lwIP and the kernel's network, with sockets above them.
 */
// sources: tests/net/frames.c kernel/lib/siphash.c kernel/linux/socket.c kernel/linux/socket_msg.c kernel/linux/socket_option.c kernel/net/*.c build/third_party/lwip/src/core/def.c build/third_party/lwip/src/core/i[np]*.c build/third_party/lwip/src/core/mem*.c build/third_party/lwip/src/core/netif.c build/third_party/lwip/src/core/pbuf.c build/third_party/lwip/src/core/raw.c build/third_party/lwip/src/core/stats.c build/third_party/lwip/src/core/tcp*.c build/third_party/lwip/src/core/timeouts.c build/third_party/lwip/src/core/udp.c build/third_party/lwip/src/core/ipv4/[dei]*.c build/third_party/lwip/src/core/ipv6/[ein]*.c build/third_party/lwip/src/core/ipv6/mld6.c build/third_party/lwip/src/netif/ethernet.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -fno-sanitize=alignment,null,shift-base -fno-pie -no-pie -Wl,--wrap=tcp_input -Wl,--wrap=tcp_split_unsent_seg -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
/*
 * The input is a program. Its steps make frames (noise; TCP segments that nearly fit a connection; datagrams, DHCP answers, fragments, ARP, ICMP,
 * neighbour discovery, mostly with right sums), let time pass, use sockets (accept, read, write, connect, close), change the link, and take
 * memory or the device's room away for a while. Time is virtual and chance is not, so that an input does the same again.
 *
 * What must hold, beside what the sanitizers see: no assertion of lwIP's fails, reads answer no more than they were asked for, and when all
 * sockets are closed and time has passed, nothing of what was received is kept.
 *
 * lwIP shifts bits of an option into the sign of an int, which its compiler's options (-fwrapv) allow.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/random.h"
#include "core/thread.h"
#include "core/uaccess.h"
#include "core/waitq.h"
#include "fs/vfs.h"
#include "mm/mm.h"
#include "net/config.h"
#include "net/device.h"
#include "net/memory.h"
#include "net/net.h"
#include "net/socket.h"
#include "net/tcp_conn.h"
#include "net/timer.h"
#include "lwip/etharp.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/stats.h"
#include "tests/fuzz/input.h"
#include "tests/net/frames.h"
#include "tests/unit/heap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
_Noreturn void abort(void);
int printf(const char *fmt, ...);
int fflush(void *stream);
int vprintf(const char *fmt, va_list ap);

#define SOCKETS 12
#define DATA_MAX 2000

static uint64_t now_ns = 1000000000;
static unsigned no_room; /* frames that the device does not take */

/* --- what lies below ----------------------------------------------------------------------------------------------- */

int log_level = 0;
void log_print(int level, const char *fmt, ...) {}

_Noreturn void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	printf("\n");
	fflush(NULL);
	va_end(ap);
	abort();
}

void mem_stats_get(struct mem_stats *m) { *m = (struct mem_stats){ .total = MIB(64) }; }

void mutex_init(struct mutex *m, const char *name) { memset(m, 0, sizeof(*m)); }
void mutex_lock(struct mutex *m) {}
void mutex_unlock(struct mutex *m) {}
void mutex_unlock_open(struct mutex *m, _Atomic bool *woken) {}
bool mutex_trylock(struct mutex *m) { return true; }
bool mutex_held(const struct mutex *m) { return true; }
/* Nobody sleeps here: what would is over at once. */
int waitq_wait(struct waitq *q, struct mutex *m, uint64_t deadline, bool interruptible) { return interruptible ? -EINTR : -ETIMEDOUT; }
void waitq_wake_entries(struct waitq *q, unsigned n, unsigned events) {}
uint64_t clock_monotonic_ns(void) { return now_ns; }
uint64_t clock_realtime_ns(void) { return now_ns; }
void sleep_prepare(enum thread_state how) {}
void sleep_cancel(void) {}
int sleep_until(uint64_t deadline) { return 0; }
void sleep_ns(uint64_t ns) {}
bool thread_wake(struct thread *t) { return true; }
struct thread *thread_create_kernel(const char *name, void (*fn)(void *), void *arg) { return (struct thread *)1; }
struct thread *thread_current(void) { return NULL; }
void preempt_disable(void) {}
void preempt_enable(void) {}
unsigned cpu_id(void) { return 0; }
const char *setting_get(const char *name) { return NULL; }
void hostname_suggest(const char *name) {}
void hostname_read(char *buf, size_t size) { *buf = 0; }
bool str_starts(const char *s, const char *prefix) { return !strncmp(s, prefix, strlen(prefix)); }
bool option_get(const char *name, char *buf, size_t size) { return false; }


static uint64_t chance;

uint64_t random_u64(void) { return chance = chance * 6364136223846793005ull + 1442695040888963407ull; }

void random_bytes(void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(random_u64() >> 33);
}

int copy_from_user(void *dst, uaddr_t src, size_t len) { memcpy(dst, (void *)src, len); return 0; }
int copy_to_user(uaddr_t dst, const void *src, size_t len) { memcpy((void *)dst, src, len); return 0; }

size_t strlcpy(char *dst, const char *src, size_t size)
{
	size_t n = strlen(src), copy = size ? MIN(n, size - 1) : 0;

	memcpy(dst, src, copy);
	if (size)
		dst[copy] = 0;
	return n;
}

/* --- the card ------------------------------------------------------------------------------------------------------------- */

/* What the guest said last that an answer has to know. */
static struct {
	uint32_t seq, ack; /* of the next that it expects from us, and of what it has sent */
	uint16_t port, remote_port;
	uint8_t xid[4];
	uint8_t source[4]; /* its address */
} heard;

static int transmit(struct net_device *dev, struct pbuf *p)
{
	static uint8_t f[FRAME_MAX];
	size_t n = pbuf_copy_partial(p, f, MIN(p->tot_len, sizeof(f)), 0);
	const uint8_t *ip = f + ETHERNET_BYTES;

	if (n != p->tot_len || n < ETHERNET_BYTES || n > ETHERNET_BYTES + dev->mtu)
		panic("a frame of %u bytes", p->tot_len);
	if (no_room) {
		no_room--;
		return -ENOBUFS;
	}
	if (get16(f + 12) != TYPE_IP4 || n < ETHERNET_BYTES + IP4_BYTES + UDP_BYTES)
		return 0;
	memcpy(heard.source, ip + 12, 4);
	if (ip[9] == PROTO_TCP && n >= ETHERNET_BYTES + IP4_BYTES + TCP_BYTES) {
		const uint8_t *t = ip + IP4_BYTES;

		heard.port = (uint16_t)get16(t);
		heard.remote_port = (uint16_t)get16(t + 2);
		heard.ack = get32(t + 4) + (uint32_t)(get16(ip + 2) - IP4_BYTES - (t[12] >> 4 << 2)) + (t[13] & (FLAG_SYN | FLAG_FIN) ? 1 : 0);
		if (t[13] & FLAG_ACK)
			heard.seq = get32(t + 8);
	} else if (ip[9] == PROTO_UDP && get16(ip + IP4_BYTES + 2) == 67 && n >= ETHERNET_BYTES + IP4_BYTES + UDP_BYTES + 8) {
		memcpy(heard.xid, ip + IP4_BYTES + UDP_BYTES + 4, 4);
	}
	return 0;
}

static void flush(struct net_device *dev) {}
static bool poll(struct net_device *dev, unsigned budget) { return false; }
static bool idle(struct net_device *dev) { return false; }

static struct net_device card = { .name = "card", .mac = { 2, 0, 0, 0, 0, 9 }, .mtu = 1500, .transmit = transmit, .flush = flush, .poll = poll, .idle = idle };

static uint8_t frame[FRAME_MAX + 200];
static uint8_t *const packet = frame + ETHERNET_BYTES;
static const uint8_t own_mac[6] = { 2, 0x66, 0, 0, 0, 1 };

static void rx_free(struct pbuf *p) { kfree(p); }

/* In one piece or in two, as the driver would; each exactly as long as it is, so that a read behind its end is seen. */
static void receive(size_t n)
{
	size_t cut = n > 200 && next() & 1 ? 1 + next() % 200 : n;
	struct pbuf *all = NULL;
	unsigned how;

	for (size_t at = 0; at < n; at = cut, cut = n) {
		struct pbuf_custom *c = kmalloc(sizeof(*c) + cut - at + NET_RX_SLACK);
		struct pbuf *p;

		if (!c) {
			if (all)
				pbuf_free(all);
			return;
		}
		c->custom_free_function = rx_free;
		p = pbuf_alloced_custom(PBUF_RAW, (u16_t)(cut - at), PBUF_REF, c, c + 1, (u16_t)(cut - at));
		memcpy(c + 1, frame + at, cut - at);
		if (all)
			pbuf_cat(all, p);
		else
			all = p;
	}
	how = next();
	net_lock();
	/* Now and then as one that a device has put together. */
	if (how & 0x80 && all->len >= ETHERNET_BYTES) {
		pbuf_remove_header(all, ETHERNET_BYTES);
		net_receive_large(&card, all, how & 1);
	} else {
		net_receive(&card, all, how & 1);
	}
	net_transmit_retry(&card);
	net_timers_look(now_ns);
	net_unlock();
}

/* --- frames ------------------------------------------------------------------------------------------------------------------ */

static size_t noise(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = next();
	return n;
}

static void somebody(uint8_t ip[4])
{
	unsigned who = next();

	memcpy(ip, who & 0x80 ? "\x0a\x09\0\1" : who & 0x40 ? "\xe0\0\0\1" : who & 0x20 ? "\0\0\0\0" : "\x0a\x09\0\2", 4);
	if (who & 0x10)
		ip[3] = (uint8_t)who;
}

/* What is behind the header stands there already. */
static void send_ip4(unsigned protocol, unsigned fragment, size_t bytes)
{
	uint8_t from[4] = { 10, 9, 0, 1 }, to[4] = { 10, 9, 0, 2 };
	unsigned how = next();

	if (how & 1)
		somebody(from);
	if (how & 2)
		somebody(to);
	frame_ip4(packet, from, to, protocol, fragment, fragment ? 7 : 0, bytes);
	if (how & 4) {
		packet[next() % IP4_BYTES] ^= next();
		if (how & 8) {
			put16(packet + 10, 0);
			put16(packet + 10, frame_sum16(packet, IP4_BYTES, 0));
		}
	}
	frame_ethernet(frame, to[0] == 0xe0 ? (const uint8_t *)"\1\0\x5e\0\0\1" : how & 16 ? (const uint8_t *)"\xff\xff\xff\xff\xff\xff" : card.mac, own_mac, TYPE_IP4);
	receive(ETHERNET_BYTES + IP4_BYTES + bytes - (how & 32 ? MIN((size_t)next(), bytes) : 0));
}

static void send_ip6(unsigned protocol, unsigned last, size_t skip, size_t bytes)
{
	uint8_t from[16] = { 0xfe, 0x80, [15] = 1 }, to[16] = { 0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 9 };
	unsigned how = next();

	if (how & 1)
		noise(from + 12, 4);
	if (how & 2)
		memset(from, 0, 16);
	if (how & 4)
		memcpy(to, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	if (how & 8) {
		memcpy(from, "\xfd\0\0\x09", 4);
		memcpy(to, "\xfd\0\0\x09\0\0\0\0", 8);
	}
	frame_ip6(packet, from, to, protocol, last, skip, bytes);
	if (how & 16)
		packet[next() % IP6_BYTES] ^= next();
	frame_ethernet(frame, card.mac, own_mac, TYPE_IP6);
	receive(ETHERNET_BYTES + IP6_BYTES + bytes - (how & 32 ? MIN((size_t)next(), bytes) : 0));
}

/* Options that a connection with selective acknowledgements sends: that it has them, and blocks about what we are said to have heard. */
static void sack_options(uint8_t *p, const struct tcp_fields *f)
{
	unsigned blocks = MIN((f->option_bytes - 4) / 8, 4u);

	memset(p, 1, f->option_bytes);
	p[0] = f->flags & 2 ? 4 : 5;
	p[1] = f->flags & 2 ? 2 : (uint8_t)(2 + 8 * blocks);
	for (unsigned i = 0; i < blocks && !(f->flags & 2); i++) {
		uint32_t start = f->ack + (uint32_t)(int8_t)next() * 64;

		put32(p + 2 + 8 * i, start);
		put32(p + 6 + 8 * i, start + next() * 64u);
	}
}

/* The peer's largest segment, of 0 to 126 bytes or somewhat larger ones, which does not belong into every segment. */
static void mss_option(uint8_t *p, unsigned mss)
{
	memset(p, 1, 8);
	p[mss & 3] = 2;
	p[(mss & 3) + 1] = 4;
	put16(p + (mss & 3) + 2, mss & 32 ? mss * 20 : mss * 2);
}

static void step_tcp(void)
{
	static const uint8_t windows[] = { 0, 1, 16, 255 };
	struct tcp_fields f = { .source = 4000, .target = 7000, .window = 8192 };
	unsigned how = next(), what = next(), bytes = 0;
	bool v6 = how & 0x80;
	uint8_t *p = packet + (v6 ? IP6_BYTES : IP4_BYTES);

	f.flags = what & 0x3f;
	f.source = (uint16_t)(heard.remote_port && how & 1 ? heard.remote_port : 4000 + (next() & 3));
	f.target = how & 1 && heard.port ? heard.port : 7000;
	f.seq = heard.seq + (how & 2 ? (int8_t)next() : 0) + (how & 4 ? (int16_t)next16() : 0);
	f.ack = heard.ack + (how & 8 ? (int8_t)next() : 0) + (how & 16 ? (int16_t)next16() * 16 : 0);
	if (what & 0x40)
		f.window = (uint16_t)(windows[next() & 3] * 16);
	if (what & 0x80)
		bytes = how & 32 ? next16() % 1400 : next() & 31;
	if (how & 64)
		f.option_bytes = 4 * (next() % 11);
	noise(p + TCP_BYTES, MIN(f.option_bytes + bytes, 48u));
	if (f.option_bytes + bytes > 48)
		memset(p + TCP_BYTES + 48, 'x', f.option_bytes + bytes - 48);
	frame_tcp(p, &f);
	if (f.option_bytes >= 12) {
		unsigned options = next();

		if (options & 1)
			sack_options(p + TCP_BYTES, &f);
		else if (options & 2)
			mss_option(p + TCP_BYTES, options >> 2);
	}
	if (v6)
		send_ip6(PROTO_TCP, PROTO_TCP, 0, TCP_BYTES + f.option_bytes + bytes);
	else
		send_ip4(PROTO_TCP, 0, TCP_BYTES + f.option_bytes + bytes);
}

static void step_udp(void)
{
	unsigned how = next(), bytes = how & 1 ? next16() % 1400 : next();
	uint8_t *p = packet + (how & 2 ? IP6_BYTES : IP4_BYTES);

	memset(p + UDP_BYTES, how, bytes);
	noise(p + UDP_BYTES, MIN(bytes, 32u));
	frame_udp(p, 5000, how & 4 ? next16() : 7001, how & 8 ? next16() : bytes);
	if (how & 2)
		send_ip6(PROTO_UDP, PROTO_UDP, 0, UDP_BYTES + bytes);
	else
		send_ip4(PROTO_UDP, 0, UDP_BYTES + bytes);
}

/* An answer of a DHCP server, or nearly. */
static void step_dhcp(void)
{
	static const uint8_t codes[] = { 1, 3, 6, 15, 26, 42, 51, 52, 53, 54, 58, 59, 12, 119, 0, 255 };
	uint8_t *m = packet + IP4_BYTES + UDP_BYTES, *o = m + 240;
	unsigned how = next(), type = next() % 8, n = next() % 24;

	memset(m, 0, 240);
	m[0] = (uint8_t)(how & 1 ? next() : 2);
	m[1] = 1;
	m[2] = 6;
	memcpy(m + 4, heard.xid, 4);
	memcpy(m + 16, "\x0a\x09\0\2", 4);
	memcpy(m + 28, card.mac, 6);
	memcpy(m + 236, "\x63\x82\x53\x63", 4);
	if (how & 2)
		m[next() % 240] ^= next();
	if (how & 4)
		noise(m + 16, 4);
	if (how & 8) /* options in the file and the server's name, too */
		noise(m + 44, 24), noise(m + 108, 24);
	memcpy(o, "\x35\1\0\x36\4\x0a\x09\0\1\x33\4\0\0\0\x3c\1\4\xff\xff\xff\0\3\4\x0a\x09\0\1", 27);
	o[2] = (uint8_t)type;
	o += how & 16 ? 3 : 27;
	for (unsigned i = 0; i < n; i++) {
		unsigned code = next(), len = next() % 20, real = how & 32 ? next() % 20 : len;

		*o++ = code & 0x80 ? (uint8_t)code : codes[code % 16];
		*o++ = (uint8_t)len;
		o += noise(o, real);
	}
	if (how & 64)
		*o++ = 255;
	frame_udp(packet + IP4_BYTES, 67, 68, (size_t)(o - m));
	send_ip4(PROTO_UDP, 0, UDP_BYTES + (size_t)(o - m));
}

static void step_fragment(void)
{
	unsigned how = next(), at = how & 1 ? next16() & 0x1fff : next() % 24, bytes = how & 2 ? 8 * (1 + next() % 4) : next16() % 1400;

	if (how & 4) {
		uint8_t *p = packet + IP6_BYTES;

		memset(p, 0, 8 + bytes);
		p[0] = (uint8_t)(how & 8 ? next() : PROTO_UDP);
		put16(p + 2, at << 3 | (how & 16 ? 1 : 0));
		p[7] = (uint8_t)(how >> 6);
		send_ip6(PROTO_FRAGMENT, PROTO_NONE, 0, 8 + bytes);
		return;
	}
	memset(packet + IP4_BYTES, 0, bytes);
	if (!at)
		frame_udp(packet + IP4_BYTES, 5000, 7001, next16());
	send_ip4(how & 8 ? next() : PROTO_UDP, at | (how & 16 ? 0x2000 : 0), bytes);
}

static void step_icmp(void)
{
	unsigned how = next(), bytes = 8 + (how & 1 ? next16() % 600 : next() % 64);
	uint8_t *p = packet + (how & 2 ? IP6_BYTES : IP4_BYTES);

	memset(p, 0, bytes);
	noise(p, MIN(bytes, 64u));
	if (how & 2) {
		if (how & 4)
			p[0] = (uint8_t)(128 + p[0] % 16);
		send_ip6(PROTO_ICMP6, PROTO_ICMP6, 0, bytes);
		return;
	}
	if (how & 4 && bytes >= 36) {
		/* About something that the guest has sent. */
		frame_ip4(p + 8, (const uint8_t *)"\x0a\x09\0\2", (const uint8_t *)"\x0a\x09\0\1", how & 8 ? PROTO_TCP : PROTO_UDP, 0, 0, 8);
		put16(p + 28, heard.port);
		put16(p + 30, heard.remote_port);
		put32(p + 32, heard.ack);
		if (how & 32) { /* that it was too long */
			p[0] = 3;
			p[1] = 4;
			put16(p + 6, how & 64 ? next16() % 1600 : 600);
			put16(p + 10, 1500);
			put32(p + 32, heard.ack - next() * 8u);
			put16(p + 2, 0);
			put16(p + 2, frame_sum16(p, bytes, 0));
		}
	}
	send_ip4(how & 16 ? 2 : PROTO_ICMP, 0, bytes);
}

static void step_chain6(void)
{
	static const uint8_t kinds[] = { PROTO_HOP, PROTO_DESTINATION, PROTO_ROUTING, PROTO_FRAGMENT };
	uint8_t *p = packet + IP6_BYTES;
	unsigned how = next(), first = kinds[how & 3];

	for (unsigned n = how >> 4; n; n--) {
		unsigned len = next() & 3;

		noise(p, 8);
		memset(p + 8, 0, 8 * len);
		p[0] = kinds[p[0] & 3];
		p[1] = (uint8_t)(p[1] & 0x80 ? p[1] : len);
		p += 8 * (len + 1);
	}
	p += noise(p, next() & 63);
	send_ip6(first, PROTO_NONE, 0, (size_t)(p - packet - IP6_BYTES));
}

static void step_arp(void)
{
	uint8_t from[4], to[4], mac[6] = { 2, 0x66, 0, 0, 0, 1 };
	unsigned how = next();

	somebody(from);
	somebody(to);
	if (how & 1)
		mac[5] = next();
	frame_arp(packet, how & 2 ? 1 : 2, mac, from, card.mac, to);
	if (how & 4)
		packet[next() % 28] ^= next();
	frame_ethernet(frame, card.mac, mac, TYPE_ARP);
	receive(ETHERNET_BYTES + (how & 8 ? next() % 29 : 28));
}

static void step_noise(void)
{
	size_t n = ETHERNET_BYTES + next();

	noise(frame, n);
	if (next() & 1)
		frame_ethernet(frame, card.mac, own_mac, next() & 1 ? TYPE_IP4 : TYPE_IP6);
	receive(n);
}

/* --- sockets ------------------------------------------------------------------------------------------------------------------- */

extern struct socket *tcp_create(int domain, int protocol), *udp_create(int domain, int protocol);

static struct socket *sockets[SOCKETS];

static void name_make(struct socket_addr *a, int domain, unsigned port)
{
	memset(a, 0, sizeof(*a));
	a->family = (uint16_t)domain;
	put16((uint8_t *)a->bytes + 2, port);
	a->len = domain == AF_INET ? 16 : 28;
}

static void keep(struct socket *s)
{
	for (unsigned i = 2; i < SOCKETS; i++) {
		if (!sockets[i]) {
			sockets[i] = s;
			return;
		}
	}
	s->ops->release(s);
}

static void move(struct socket *s, bool out, unsigned flags)
{
	static char data[DATA_MAX * 16];
	size_t n = next() & 1 ? next16() % sizeof(data) : next();
	struct socket_iov iov = { (uaddr_t)data, n };
	struct socket_addr addr;
	struct socket_msg m = { .iov = &iov, .niov = 1, .len = n, .addr = &addr };
	ssize_t r;

	name_make(&addr, s->domain, 5000);
	if (s->domain == AF_INET)
		memcpy(addr.bytes + 4, "\x0a\x09\0\1", 4);
	else
		memcpy(addr.bytes + 8, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x09\0\1", 16);
	if (s->type == SOCK_STREAM)
		addr.len = 0;
	r = out ? s->ops->sendmsg(s, &m, (int)flags | MSG_DONTWAIT) : s->ops->recvmsg(s, &m, (int)flags | MSG_DONTWAIT);
	if (r > (ssize_t)n && !(flags & MSG_TRUNC))
		panic("%ld bytes of %lu", r, n);
}

static void step_socket(void)
{
	unsigned which = next() % SOCKETS, what = next();
	struct socket *s = sockets[which], *fresh;
	struct socket_addr addr;

	if (!s) {
		s = what & 0x10 ? udp_create(what & 0x20 ? AF_INET6 : AF_INET, 0) : tcp_create(what & 0x20 ? AF_INET6 : AF_INET, 0);
		if (IS_ERR(s))
			return;
		name_make(&addr, s->domain, 4000 + (next() & 3));
		if (s->domain == AF_INET)
			memcpy(addr.bytes + 4, "\x0a\x09\0\1", 4);
		else
			memcpy(addr.bytes + 8, what & 0x40 ? "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1" : "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x09\0\1", 16);
		s->ops->connect(s, &addr, MSG_DONTWAIT);
		sockets[which] = s;
		return;
	}
	switch (what % 8) {
	case 0:
	case 1:
		if (s->type == SOCK_STREAM && !which) {
			fresh = s->ops->accept(s, MSG_DONTWAIT);
			if (!IS_ERR(fresh))
				keep(fresh);
		} else {
			move(s, false, what & 0x10 ? MSG_PEEK : what & 0x20 ? MSG_TRUNC : 0);
		}
		break;
	case 2: move(s, false, 0); break;
	case 3:
	case 4: move(s, true, what & 0x10 ? MSG_MORE : 0); break;
	case 5:
		if (what >= 0xc0) {
			addr = (struct socket_addr){ .family = AF_UNSPEC, .len = 16 };
			s->ops->connect(s, &addr, MSG_DONTWAIT);
		} else {
			s->ops->shutdown(s, what >> 4 & 1 ? SHUT_WR : what >> 5 & 1 ? SHUT_RD : SHUT_RDWR);
		}
		break;
	case 6:
		if (which > 1) {
			if (what & 0x10)
				s->linger_seconds = 0;
			s->ops->release(s);
			sockets[which] = NULL;
		}
		break;
	case 7: {
		static const uint16_t options[][2] = { { 6, 1 }, { 6, 3 }, { 1, 9 }, { 6, 4 }, { 6, 5 }, { 6, 6 }, { 6, 18 }, { 1, 8 } };
		/* TCP_MAXSEG, TCP_DEFER_ACCEPT, TCP_NOTSENT_LOWAT, SO_RCVLOWAT */
		static const uint16_t sizes[][2] = { { 6, 2 }, { 6, 9 }, { 6, 25 }, { 1, 18 } };
		bool size = (what & 0x88) == 0x88;
		const uint16_t *name = size ? sizes[what >> 4 & 3] : options[what >> 4 & 7];
		int value = size ? next() << 3 : next();

		s->ops->setopt(s, name[0], name[1], &value, sizeof(value));
		s->ops->poll(s, NULL);
		break;
	}
	}
}

/* --- a run --------------------------------------------------------------------------------------------------------------------- */

static void pass_ms(unsigned ms)
{
	/* In steps, as the thread would wake; a jump of hours would be none. */
	while (ms) {
		unsigned step = MIN(ms, ms > 20000 ? 1000u : 250u);

		now_ns += step * 1000000ull;
		ms -= step;
		net_lock();
		tcp_conn_run(now_ns);
		net_timers_run(now_ns);
		net_transmit_retry(&card);
		net_unlock();
	}
}

static void step(void)
{
	static void (*const steps[])(void) = {
		step_tcp, step_tcp, step_tcp, step_tcp, step_socket, step_socket, step_socket, step_udp, step_dhcp, step_fragment, step_icmp, step_chain6,
		step_arp, step_noise,
	};
	unsigned op = next();

	if (op < 224) {
		steps[op % ARRAY_SIZE(steps)]();
	} else if (op < 244) {
		pass_ms(op & 1 ? next() : next() * 40u);
	} else if (op < 248) {
		net_device_link(&card, op & 1);
	} else if (op < 252) {
		heap_fail_in = next() % 32;
	} else {
		no_room = next() % 16;
	}
}

static struct socket *bound(struct socket *s, unsigned port)
{
	struct socket_addr addr;

	name_make(&addr, AF_INET6, port);
	if (IS_ERR(s) || s->ops->bind(s, &addr))
		panic("no socket");
	return s;
}

static void by_hand(struct netif *n)
{
	ip4_addr_t addr, mask, gw;

	IP4_ADDR(&addr, 10, 9, 0, 2);
	IP4_ADDR(&mask, 255, 255, 255, 0);
	IP4_ADDR(&gw, 10, 9, 0, 1);
	net_lock();
	netif_set_addr(n, &addr, &mask, &gw);
	net_unlock();
}

static void begin(void)
{

	memset(&heard, 0, sizeof(heard));
	heap_fail_in = no_room = 0;
	atomic_store(&card.link_up, true);
	/* The interface stays: who asks for its address knows it. */
	if (!card.netif) {
		net_devices_start();
		net_config_start();
	}
	if (next() & 1)
		by_hand(card.netif);
	sockets[0] = bound(tcp_create(AF_INET6, 0), 7000);
	sockets[0]->ops->listen(sockets[0], 4);
	sockets[1] = bound(udp_create(AF_INET6, 0), 7001);
	/* The peer is known, mostly. */
	frame_arp(packet, 1, own_mac, (const uint8_t *)"\x0a\x09\0\1", card.mac, (const uint8_t *)"\x0a\x09\0\2");
	frame_ethernet(frame, card.mac, own_mac, TYPE_ARP);
	receive(ETHERNET_BYTES + 28);
}

static void end(void)
{
	struct netif *n = card.netif;

	heap_fail_in = no_room = 0;
	for (unsigned i = 0; i < SOCKETS; i++) {
		if (sockets[i]) {
			sockets[i]->linger_seconds = 0;
			sockets[i]->ops->release(sockets[i]);
		}
		sockets[i] = NULL;
	}
	/* While there is no way, what waits to be sent waits. */
	net_device_link(&card, true);
	by_hand(n);
	/* Fragments, neighbours and groups come of age, and connections that nobody answers are given up. */
	for (unsigned minutes = 0; minutes < 30 && (minutes < 2 || tcp_conn_counters.connections); minutes++)
		pass_ms(60000);
	net_lock();
	for (unsigned i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++)
		netif_ip6_addr_set_state(n, i, IP6_ADDR_INVALID);
	etharp_cleanup_netif(n);
	nd6_cleanup_netif(n);
	net_unlock();
}

static void connection_show(const struct tcp_pcb *pcb, void *arg)
{
	printf("connection in state %d, flags %x, unsent %d, unacked %d, retransmitted %d, probed %d\n", pcb->state, pcb->flags, !!pcb->unsent, !!pcb->unacked,
	       pcb->nrtx, pcb->persist_probe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool once;
	static long before;
	static int64_t held;

	input = data;
	left = size;
	chance = 1;
	if (!once) {
		once = true;
		net_init();
		net_device_register(&card);
		left = 0;
		begin();
		end();
		before = heap_blocks;
		held = atomic_load(&net_held);
		left = size;
	}
	begin();
	while (left)
		step();
	end();
	if (heap_blocks == before && atomic_load(&net_held) == held)
		return 0;
	/* Neighbours and groups of the interface are no leak: it stays. */
	if (!tcp_conn_counters.connections && atomic_load(&net_held) == held) {
		before = heap_blocks;
		return 0;
	}
	net_lock();
	for (unsigned at = 0; (at = tcp_conn_each(at, connection_show, NULL));)
		;
	net_unlock();
	panic("%ld blocks and %ld bytes stay", heap_blocks - before, (long)(atomic_load(&net_held) - held));
}
