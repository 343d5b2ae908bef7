/*
 * kernel/net/tcp_conn.c - the table of TCP connections and their timers.
 *
 * Theory:    lwIP keeps its control blocks in linear lists, searches them for each segment, and walks them every few milliseconds. Here its
 *            lists are empty. A segment's connection is found by a hash before lwIP sees the segment (__wrap_tcp_input(): the linker puts
 *            it between IP and tcp_input()), and lwIP is shown a list with that one block in it. So is its timer function. What it does to
 *            its lists meanwhile (a block goes, or changes over to TIME_WAIT) concerns that block alone.
 *
 *            Time. lwIP counts ticks of TCP_SLOW_INTERVAL in each block, by one in each walk. Here a block's counters are brought up to date
 *            when the block is next looked at (tcp_conn_enter()), by the ticks that have passed since; and when the core lock is
 *            released, tcp_conn_settle() works out the tick at which its timer function would do something (due_tick()). That tick is a hint:
 *            lwIP still decides by itself, so that a wrong one could only make it late or be looked at in vain. Connections
 *            wait for their ticks in a wheel (net/wheel.h); one that is due later than it stands in the wheel is left there, and moved when its
 *            slot comes, so that a connection which is busy is neither moved nor worked out for each segment. Acknowledgements that are
 *            delayed have a list in the order of their time, since all wait equally long; so have connections that may need a probe of
 *            their tail. An idle connection, without keep-alive, waits nowhere.
 *
 *            lwIP skips a block whose `last_timer` equals its counter of walks, which is private; each call of a timer function adds one to it, all of
 *            these calls are made here, and so a copy can be kept.
 *
 * Costs:     a segment: one hash, and a look at the block at the end of the hold of the core lock. A connection: sizeof(struct tcp_conn).
 * Locking:   core lock.
 * Errors:    no memory for a record: the connection is not made.
 */
#include "net/tcp_conn.h"
#include "net/memory.h"
#include "net/tcp_header.h"
#include "net/tcp_private.h"
#include "net/tcp_recover.h"
#include "net/tcp_syn.h"
#include "net/wheel.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/random.h"
#include "core/thread.h"
#include "lib/siphash.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "lwip/inet_chksum.h"
#include "lwip/prot/tcp.h"
#include "lwip/snmp.h"

#define ACK_DELAY_NS 40000000 /* as Linux's shortest */
#define BUCKETS_MIN 256
#define BUCKETS_MAX 16384
#define MEMORY_OF_BUCKET 65536 /* bytes of the machine's, for each */
#define NEVER WHEEL_NEVER
#define POLL_TICKS 4          /* until lwIP's poll callback looks again at a connection that lacks memory */
#define SOON_TICKS 2          /* less than the shortest time-out */
#define CORK_TICKS 3          /* bytes that are held back go at the latest then */
#define TIME_WAIT_SHARE 4     /* of the memory of the network, at most, may be connections in TIME_WAIT */
#define SYN_RTO (LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL)
#define PORT_REST_TICKS 10    /* that a port lies idle at least, as on Linux */
#define ORPHAN_TICKS (120000 / TCP_SLOW_INTERVAL) /* without any progress; Linux: some 100 s */
#define CHALLENGE_TICKS 5     /* between two answers to such segments of a connection */
#define EACH_COST 16          /* of showing a connection, in looks at a bucket */
#define EACH_MAX 4096         /* at once */
#define TICK_NS (TCP_SLOW_INTERVAL * 1000000ull)

struct tcp_conn {
	struct tcp_pcb *pcb;
	struct tcp_conn *next, **link;  /* of its bucket; link NULL: not in the table */
	struct tcp_conn **recent;       /* where it has been put last; another may be there */
	struct list entered;
	struct wheel_entry timer;
	struct list ack;                /* waits for ack_due_ns */
	struct list probe;              /* something it sent may be lost at its end: looked at at probe_due_ns */
	struct list blocked;            /* lwIP could not send it: no room in a device, no memory */
	struct list group;              /* half-open: of its listener; TIME_WAIT: one of time_waits */
	uint64_t ack_due_ns, probe_due_ns;
	uint32_t ticked;                /* the tick up to which the block's counters are right */
	uint32_t progress, progress_ack; /* the tick at which the peer acknowledged something last, or nothing was waiting; and what */
	struct tcp_recovery *recovery;  /* NULL: nothing has been lost */
	uint32_t held, held_first;      /* the tick since which the first segment to be sent has been that one, and its number (as on the wire) */
	uint32_t challenged;            /* tick of the last answer to a segment that cannot be the peer's */
	bool time_wait;
	bool holds;                     /* there is one to be sent */
	bool waits;                     /* something was outstanding when it was looked at last */
};

struct tcp_conn_counters tcp_conn_counters;

static struct tcp_conn **buckets;
static unsigned nbuckets; /* a power of two */
static uint64_t hash_key[2];
static struct tcp_conn *recent[64]; /* found last, by ports: the hash costs more than a look */

static struct list entered = LIST_INIT(entered), acks = LIST_INIT(acks), probes = LIST_INIT(probes), blocked = LIST_INIT(blocked);
/* In TIME_WAIT, the oldest first: those with a port that somebody asked for, and the others. */
static struct list time_waits[2] = { LIST_INIT(time_waits[0]), LIST_INIT(time_waits[1]) };
static struct wheel wheel;
static uint32_t now_tick;
static uint64_t clock_now_ns;
static uint8_t walks;                /* lwIP's counter */
static uint64_t time_waits_max;

void __real_tcp_input(struct pbuf *p, struct netif *inp);
void __wrap_tcp_input(struct pbuf *p, struct netif *inp);

static struct tcp_conn *conn_of(const struct tcp_pcb *pcb)
{
	return pcb->state == LISTEN ? NULL : pcb->ext_args[TCP_EXT_CONN].data;
}

/* --- the hash ------------------------------------------------------------------------------------------------- */

static unsigned bucket_of(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port)
{
	uint64_t words[5] = { (uint64_t)local_port << 16 | remote_port };
	unsigned n = 2;

	if (IP_IS_V6(local)) {
		memcpy(words + 1, ip_2_ip6(local)->addr, 16);
		memcpy(words + 3, ip_2_ip6(remote)->addr, 16);
		n = 5;
	} else {
		words[1] = (uint64_t)ip_2_ip4(local)->addr << 32 | ip_2_ip4(remote)->addr;
	}
	return (unsigned)siphash(hash_key, words, n) & (nbuckets - 1);
}

static bool is_between(const struct tcp_pcb *pcb, const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port)
{
	return pcb->remote_port == remote_port && pcb->local_port == local_port && ip_addr_eq(&pcb->remote_ip, remote) &&
	       ip_addr_eq(&pcb->local_ip, local);
}

static struct tcp_conn **recent_of(uint16_t local_port, uint16_t remote_port)
{
	return &recent[(local_port * 5u + remote_port) % ARRAY_SIZE(recent)];
}

static struct tcp_conn *find(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port)
{
	struct tcp_conn **last = recent_of(local_port, remote_port), *c = *last;

	if (c && is_between(c->pcb, local, local_port, remote, remote_port))
		return c;
	c = buckets[bucket_of(local, local_port, remote, remote_port)];
	while (c && !is_between(c->pcb, local, local_port, remote, remote_port))
		c = c->next;
	if (c) {
		*last = c;
		c->recent = last;
	}
	return c;
}

struct tcp_pcb *tcp_conn_find(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port)
{
	struct tcp_conn *c = find(local, local_port, remote, remote_port);

	return c ? c->pcb : NULL;
}

unsigned tcp_conn_each(unsigned from, void (*fn)(const struct tcp_pcb *pcb, void *arg), void *arg)
{
	unsigned n = 0, i;

	/* An empty bucket costs a look. */
	for (i = from; i < nbuckets && n < EACH_MAX; i++) {
		for (struct tcp_conn *c = buckets[i]; c; c = c->next, n += EACH_COST)
			fn(c->pcb, arg);
		n++;
	}
	return i < nbuckets ? i : 0;
}

void tcp_conn_init(void)
{
	struct mem_stats m;

	mem_stats_get(&m);
	nbuckets = BUCKETS_MIN;
	while (nbuckets < BUCKETS_MAX && nbuckets < m.total / MEMORY_OF_BUCKET)
		nbuckets *= 2;
	buckets = kzalloc(nbuckets * sizeof(*buckets));
	if (!buckets)
		panic("no memory for the table of connections");
	random_bytes(hash_key, sizeof(hash_key));
	wheel_init(&wheel);
	time_waits_max = net_memory_limit() / TIME_WAIT_SHARE / (sizeof(struct tcp_pcb) + sizeof(struct tcp_conn) + sizeof(struct tcp_sock));
}

/* --- records --------------------------------------------------------------------------------------------------- */

static void conn_free(u8_t id, void *data)
{
	struct tcp_conn *c = data;

	if (c->link) {
		*c->link = c->next;
		if (c->next)
			c->next->link = c->link;
		tcp_conn_counters.connections--;
	}
	if (c->recent && *c->recent == c)
		*c->recent = NULL;
	wheel_remove(&wheel, &c->timer);
	list_del(&c->entered);
	list_del(&c->ack);
	list_del(&c->probe);
	list_del(&c->blocked);
	list_del(&c->group);
	tcp_conn_counters.time_waits -= c->time_wait;
	tcp_recover_free(c->recovery);
	net_held_sub(sizeof(*c));
	kfree(c);
}

static const struct tcp_ext_arg_callbacks conn_callbacks = { .destroy = conn_free };

bool tcp_conn_attach(struct tcp_pcb *pcb)
{
	struct tcp_conn *c = conn_of(pcb);

	if (c)
		return true;
	c = kmalloc_flags(sizeof(*c), ALLOC_NORECLAIM);
	if (!c)
		return false;
	*c = (struct tcp_conn){ .pcb = pcb, .ticked = now_tick, .progress = now_tick };
	list_init(&c->entered);
	wheel_entry_init(&c->timer);
	list_init(&c->ack);
	list_init(&c->probe);
	list_init(&c->blocked);
	list_init(&c->group);
	net_held_add(sizeof(*c));
	tcp_ext_arg_set(pcb, TCP_EXT_CONN, c);
	tcp_ext_arg_set_callbacks(pcb, TCP_EXT_CONN, &conn_callbacks);
	return true;
}

void tcp_conn_detach(struct tcp_pcb *pcb)
{
	struct tcp_conn *c = conn_of(pcb);

	if (!c)
		return;
	pcb->ext_args[TCP_EXT_CONN].callbacks = NULL;
	pcb->ext_args[TCP_EXT_CONN].data = NULL;
	conn_free(TCP_EXT_CONN, c);
}

void tcp_conn_add(struct tcp_pcb *pcb)
{
	struct tcp_conn *c = conn_of(pcb), **bucket = &buckets[bucket_of(&pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port)];

	c->next = *bucket;
	c->link = bucket;
	if (c->next)
		c->next->link = &c->next;
	*bucket = c;
	tcp_conn_counters.connections++;
	tcp_conn_enter(pcb);
}

void tcp_conn_unlist(void)
{
	tcp_active_pcbs = NULL;
	tcp_tw_pcbs = NULL;
}

void tcp_conn_half_open(struct tcp_pcb *pcb, struct list *half_open) { list_push_back(half_open, &conn_of(pcb)->group); }
void tcp_conn_full_open(struct tcp_pcb *pcb) { list_del(&conn_of(pcb)->group); }

void tcp_conn_drop_half_open(struct list *half_open)
{
	while (!list_empty(half_open))
		tcp_abandon(list_first(half_open, struct tcp_conn, group)->pcb, 0);
}

/* --- time ------------------------------------------------------------------------------------------------------ */

void tcp_conn_clock(uint64_t now_ns)
{
	clock_now_ns = now_ns;
	/* lwIP takes a time of 0 for none. */
	now_tick = (uint32_t)(now_ns / TICK_NS) + 1;
	tcp_ticks = now_tick;
}

static uint64_t tick_ns(uint32_t tick) { return (tick - 1) * TICK_NS; }

/* Counts `ticks` in a block as lwIP's walks would have. */
static void pass(struct tcp_pcb *pcb, uint32_t ticks)
{
	if (pcb->persist_backoff)
		pcb->persist_cnt = (u8_t)MIN(pcb->persist_cnt + ticks, 255u);
	else if (pcb->rtime >= 0)
		pcb->rtime = (s16_t)MIN((uint32_t)pcb->rtime + ticks, 0x7ffeu);
}

void tcp_conn_enter(struct tcp_pcb *pcb)
{
	struct tcp_conn *c = conn_of(pcb);

	if (!c || !c->link || !list_empty(&c->entered))
		return;
	pass(pcb, now_tick - c->ticked);
	c->ticked = now_tick;
	list_push_back(&entered, &c->entered);
}

static uint32_t soonest(uint32_t a, uint32_t b) { return a < b ? a : b; }

static bool outstanding(const struct tcp_pcb *pcb) { return pcb->unacked || pcb->unsent; }

/*
 * The tick at which the connection has waited too long for its peer: TCP_USER_TIMEOUT, and for one whose file is closed ORPHAN_TICKS, since nobody
 * else would notice: lwIP goes on for ever where a FIN finds no way to be sent, and where CLOSING was acknowledged in part. A peer
 * with a closed window is probed by lwIP, which gives up by itself.
 */
static uint32_t given_up(const struct tcp_conn *c, const struct tcp_sock *t)
{
	const struct tcp_pcb *pcb = c->pcb;
	uint32_t ticks = (t->user_timeout_ms + TCP_SLOW_INTERVAL - 1) / TCP_SLOW_INTERVAL, due = NEVER;

	if (pcb->state == TIME_WAIT)
		return NEVER;
	if (t->orphan && !pcb->persist_backoff && (pcb->state == FIN_WAIT_1 || pcb->state == CLOSING || pcb->state == LAST_ACK))
		due = c->progress + ORPHAN_TICKS;
	if (t->user_timeout_ms && outstanding(pcb))
		due = soonest(due, c->progress + ticks);
	else if (t->user_timeout_ms && pcb->keep_cnt_sent)
		due = soonest(due, pcb->tmr + ticks);
	return due;
}

/* The tick at which lwIP's timer function would do something for this block; NEVER. Its conditions are those of tcp_slowtmr(). */
static uint32_t due_tick(const struct tcp_conn *c)
{
	/* How long lwIP waits between probes of a closed window. */
	static const uint8_t persist_ticks[] = { 3, 6, 12, 24, 48, 96, 120 };
	const struct tcp_pcb *pcb = c->pcb;
	const struct tcp_sock *t = tcp_sock_of(pcb);
	uint32_t due = NEVER;

	if (pcb->state == TIME_WAIT)
		return pcb->tmr + 2 * TCP_MSL / TCP_SLOW_INTERVAL + 1;
	if ((pcb->nrtx >= TCP_MAXRTX || pcb->persist_probe >= TCP_MAXRTX) && pcb->state != SYN_SENT)
		due = c->ticked + 1;
	else if (pcb->persist_backoff)
		due = c->ticked + (uint32_t)MAX(persist_ticks[MIN(pcb->persist_backoff - 1, 6)] - pcb->persist_cnt, 1);
	else if (pcb->rtime >= 0)
		due = c->ticked + (uint32_t)MAX(pcb->rto - pcb->rtime, 1);
	else if (pcb->unsent)
		due = (c->holds ? c->held : now_tick) + CORK_TICKS;
	if (pcb->state == FIN_WAIT_2 && pcb->flags & TF_RXCLOSED)
		due = soonest(due, pcb->tmr + TCP_FIN_WAIT_TIMEOUT / TCP_SLOW_INTERVAL + 1);
	if (ip_get_option(pcb, SOF_KEEPALIVE) && (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT)) {
		due = soonest(due, pcb->tmr + (pcb->keep_idle + pcb->keep_cnt * pcb->keep_intvl) / TCP_SLOW_INTERVAL + 1);
		due = soonest(due, pcb->tmr + (pcb->keep_idle + pcb->keep_cnt_sent * pcb->keep_intvl) / TCP_SLOW_INTERVAL + 1);
	}
	if (pcb->ooseq)
		due = soonest(due, pcb->tmr + (uint32_t)pcb->rto * TCP_OOSEQ_TIMEOUT);
	if (pcb->state == SYN_RCVD)
		due = soonest(due, pcb->tmr + TCP_SYN_RCVD_TIMEOUT / TCP_SLOW_INTERVAL + 1);
	if (pcb->state == LAST_ACK)
		due = soonest(due, pcb->tmr + 2 * TCP_MSL / TCP_SLOW_INTERVAL + 1);
	if (t) {
		due = soonest(due, given_up(c, t));
		if (t->poll_wanted)
			due = soonest(due, c->ticked + POLL_TICKS);
	}
	return due;
}

/* Puts it on a list, or takes it from there. */
static void list_choose(struct list *head, struct list *link, bool wanted)
{
	if (wanted == !list_empty(link))
		return;
	if (wanted)
		list_push_back(head, link);
	else
		list_del(link);
}

static void settle(struct tcp_conn *c)
{
	struct tcp_pcb *pcb = c->pcb;
	struct tcp_sock *t = tcp_sock_of(pcb);
	bool ack = pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND) || pcb->refused_data;
	uint32_t due;

	if (pcb->state == TIME_WAIT && !c->time_wait) {
		c->time_wait = true;
		tcp_conn_counters.time_waits++;
		list_push_back(&time_waits[t && t->inet.port_drawn], &c->group);
	}
	if (ack && list_empty(&c->ack))
		c->ack_due_ns = clock_now_ns + ACK_DELAY_NS;
	list_choose(&acks, &c->ack, ack && pcb->state != TIME_WAIT);
	list_choose(&blocked, &c->blocked, pcb->flags & TF_NAGLEMEMERR && pcb->state != TIME_WAIT);
	if (c->recovery) {
		if (list_empty(&c->probe))
			c->probe_due_ns = clock_now_ns + TCP_PROBE_LOOK_NS;
		list_choose(&probes, &c->probe, tcp_recover_sent(c->recovery, pcb, clock_now_ns));
	}
	if (!c->waits || pcb->lastack != c->progress_ack) {
		c->progress = now_tick;
		c->progress_ack = pcb->lastack;
	}
	c->waits = outstanding(pcb);
	/* More bytes behind those that are held back do not keep them any longer. */
	if (pcb->unsent && (!c->holds || pcb->unsent->tcphdr->seqno != c->held_first)) {
		c->held = now_tick;
		c->held_first = pcb->unsent->tcphdr->seqno;
	}
	c->holds = pcb->unsent;
	if (t && t->linger_waits && !outstanding(pcb) && pcb->state != FIN_WAIT_1 && pcb->state != CLOSING && pcb->state != LAST_ACK)
		tcp_linger_end(t);
	/* It is looked at soon, before anything that begins now can be due. */
	if (wheel_has(&c->timer) && c->timer.due <= now_tick + SOON_TICKS)
		return;
	due = due_tick(c);
	if (due == NEVER)
		return;
	/* What is overdue is done at the next tick: a tick is counted once. */
	due = MAX(due, now_tick + 1);
	if (!wheel_has(&c->timer) || due < c->timer.due)
		wheel_put(&wheel, &c->timer, now_tick, due);
}

void tcp_conn_settle(void)
{
	if (list_empty(&entered))
		return;
	while (!list_empty(&entered)) {
		struct tcp_conn *c = list_first(&entered, struct tcp_conn, entered);

		list_del(&c->entered);
		settle(c);
	}
	while (tcp_conn_counters.time_waits > time_waits_max && tcp_conn_cut_time_wait())
		;
}

static struct tcp_conn *oldest(const struct list *l) { return list_empty(l) ? NULL : list_first(l, struct tcp_conn, group); }

static uint16_t cut(struct tcp_conn *c)
{
	uint16_t port = c->pcb->local_port;

	tcp_conn_counters.time_waits_cut++;
	tcp_abandon(c->pcb, 0);
	return port;
}

bool tcp_conn_cut_time_wait(void)
{
	struct tcp_conn *a = oldest(&time_waits[0]), *b = oldest(&time_waits[1]);

	if (!a || (b && b->pcb->tmr < a->pcb->tmr))
		a = b;
	if (a)
		cut(a);
	return a;
}

uint16_t tcp_conn_cut_for_port(void)
{
	struct tcp_conn *c = oldest(&time_waits[1]);

	return c && now_tick - c->pcb->tmr >= PORT_REST_TICKS ? cut(c) : 0;
}

uint64_t tcp_conn_due_ns(void)
{
	uint64_t due = wheel.next == NEVER ? DEADLINE_NEVER : tick_ns(wheel.next);

	if (!list_empty(&acks))
		due = MIN(due, list_first(&acks, struct tcp_conn, ack)->ack_due_ns);
	if (!list_empty(&probes))
		due = MIN(due, list_first(&probes, struct tcp_conn, probe)->probe_due_ns);
	return due;
}

/* Shows lwIP this block alone. */
static void show(struct tcp_pcb *pcb)
{
	pcb->next = NULL;
	if (pcb->state == TIME_WAIT)
		tcp_tw_pcbs = pcb;
	else
		tcp_active_pcbs = pcb;
}

/* One tick of a connection whose time may have come. */
static void tick(struct tcp_conn *c)
{
	struct tcp_pcb *pcb = c->pcb;
	struct tcp_sock *t = tcp_sock_of(pcb);
	uint32_t passed = now_tick - c->ticked, due = due_tick(c);
	unsigned sent_again;

	tcp_conn_enter(pcb);
	/* Not yet: tcp_conn_settle() finds its place. */
	if (!passed || due > now_tick)
		return;
	tcp_conn_counters.timer_runs++;
	if (t && given_up(c, t) <= now_tick) {
		tcp_abandon(pcb, pcb->keep_cnt_sent > 0);
		return;
	}
	/* The last of the ticks that have passed is lwIP's to count. */
	if (pcb->persist_backoff)
		pcb->persist_cnt -= pcb->persist_cnt > 0;
	else if (pcb->rtime > 0)
		pcb->rtime--;
	pcb->last_timer = walks++;
	tcp_ticks = now_tick - 1;
	/* What lwIP does not send then waits as long again. */
	c->held = now_tick;
	sent_again = pcb->nrtx;
	show(pcb);
	tcp_slowtmr();
	if (tcp_active_pcbs && pcb->nrtx > sent_again && pcb->state >= ESTABLISHED)
		tcp_recover_timeout(c->recovery, pcb);
	/* If there is still one: lwIP sends a SYN again and again after the same time. Here it doubles (RFC 6298, section 5.5), and as on Linux the
	 * last one has its time, too. */
	if (tcp_active_pcbs && tcp_active_pcbs->state == SYN_SENT)
		pcb->rto = (s16_t)(SYN_RTO << MIN((unsigned)pcb->nrtx, (unsigned)TCP_SYNMAXRTX));
	tcp_conn_unlist();
}

static void acks_send(void)
{
	struct tcp_conn *c;

	while (!list_empty(&acks) && (c = list_first(&acks, struct tcp_conn, ack))->ack_due_ns <= clock_now_ns) {
		list_del(&c->ack);
		tcp_conn_enter(c->pcb);
		c->pcb->last_timer = walks++;
		show(c->pcb);
		tcp_fasttmr();
		tcp_conn_unlist();
	}
}

/* Who still waits for an answer gets onto the list again by tcp_conn_settle(). */
static void probes_send(void)
{
	struct tcp_conn *c;

	while (!list_empty(&probes) && (c = list_first(&probes, struct tcp_conn, probe))->probe_due_ns <= clock_now_ns) {
		list_del(&c->probe);
		tcp_conn_enter(c->pcb);
		tcp_recover_probe(c->recovery, c->pcb, clock_now_ns);
	}
}

void tcp_conn_run(uint64_t now_ns)
{
	struct list due;

	tcp_conn_clock(now_ns);
	/* First: who has been looked at for another reason in this tick has none left that lwIP could count, and waits for the next. */
	list_init(&due);
	wheel_advance(&wheel, now_tick, &due);
	while (!list_empty(&due)) {
		struct tcp_conn *c = list_first(&due, struct tcp_conn, timer.link);

		list_del(&c->timer.link);
		tick(c);
	}
	tcp_ticks = now_tick;
	acks_send();
	probes_send();
}

void tcp_conn_retry(const bool *full)
{
	struct list retry;

	list_init(&retry);
	list_splice_back(&retry, &blocked);
	while (!list_empty(&retry) && !*full) {
		struct tcp_conn *c = list_first(&retry, struct tcp_conn, blocked);

		list_del(&c->blocked);
		tcp_conn_enter(c->pcb);
		tcp_output(c->pcb);
	}
	/* It has had its turn that filled the device: tcp_conn_settle() puts it behind those that have not. */
	list_splice_back(&blocked, &retry);
}

/* --- segments ------------------------------------------------------------------------------------------------------ */

/* May the peer open a new connection in place of one that only waits for stragglers? RFC 6191, by the sequence number: it lies behind all
 * that the old one can have used. */
static bool time_wait_over(const struct tcp_conn *c, const struct tcp_hdr *h, struct pbuf *p, struct netif *inp)
{
	return c->pcb->state == TIME_WAIT && (TCPH_FLAGS(h) & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
	       TCP_SEQ_GT(lwip_ntohl(h->seqno), c->pcb->rcv_nxt) && tcp_syn_intact(p, inp);
}

/* Does it acknowledge what may be acknowledged? Else it is not the peer's, or very old, and its bytes must not be taken (RFC 5961, section 5). */
static bool acceptable(const struct tcp_pcb *pcb, const struct tcp_hdr *h)
{
	uint32_t ack = lwip_ntohl(h->ackno);

	if (pcb->state < ESTABLISHED || pcb->state == TIME_WAIT || (TCPH_FLAGS(h) & (TCP_ACK | TCP_SYN | TCP_RST)) != TCP_ACK)
		return true;
	return TCP_SEQ_LEQ(ack, pcb->snd_nxt) && TCP_SEQ_GEQ(ack, pcb->lastack - MAX(pcb->snd_wnd_max, (tcpwnd_size_t)UINT16_MAX));
}

/*
 * Does it begin behind what is missing, and end behind the window? lwIP keeps such a segment whole, and insists, when its turn has come, that it lies within.
 * Nobody sends one who looks at the window, but for the FIN behind bytes that fill it.
 */
static bool is_beyond(const struct tcp_pcb *pcb, const struct tcp_hdr *h, const struct pbuf *p)
{
	uint32_t from = lwip_ntohl(h->seqno), len = p->tot_len - MIN((unsigned)TCPH_HDRLEN_BYTES(h), (unsigned)p->tot_len);

	/* A reset out there is nobody's, and is not answered (RFC 5961, section 3.2). */
	if (pcb->state < ESTABLISHED || pcb->state > FIN_WAIT_2 || TCPH_FLAGS(h) & TCP_RST || TCP_SEQ_LEQ(from, pcb->rcv_nxt))
		return false;
	return TCP_SEQ_GT(from + len + !!(TCPH_FLAGS(h) & TCP_FIN), pcb->rcv_nxt + pcb->rcv_wnd);
}

/* Tells the peer where the connection is, in case it was the peer. */
static void challenge(struct tcp_conn *c)
{
	tcp_conn_counters.unacceptable++;
	if (now_tick - c->challenged < CHALLENGE_TICKS)
		return;
	c->challenged = now_tick;
	tcp_conn_enter(c->pcb);
	tcp_send_empty_ack(c->pcb);
}

/* While memory is tight, who has bytes to read gets no more, and nobody what must wait for others: the peer keeps them, and sends them again. */
static bool can_wait(const struct tcp_pcb *pcb, const struct tcp_hdr *h, const struct pbuf *p)
{
	const struct tcp_sock *t = tcp_sock_of(pcb);

	return t && p->tot_len > TCPH_HDRLEN_BYTES(h) && net_memory_tight() &&
	       (t->rx_bytes || TCP_SEQ_GT(lwip_ntohl(h->seqno), pcb->rcv_nxt));
}

/* Does it end a handshake, without memory for the socket that this makes? It is dropped then: the peer, for whom the connection stands, acknowledges
 * once more when our SYN comes again, and says again what it has said. */
static bool must_come_again(const struct tcp_pcb *pcb, const struct tcp_hdr *h)
{
	if (pcb->state != SYN_RCVD || !pcb->listener || (TCPH_FLAGS(h) & (TCP_ACK | TCP_RST)) != TCP_ACK || tcp_child_ready())
		return false;
	tcp_conn_counters.memory_refusals++;
	return true;
}

/* For lwIP's search there is one listener. */
static void input_listening(struct tcp_pcb_listen *l, struct pbuf *p, struct netif *inp)
{
	struct tcp_pcb_listen *all = tcp_listen_pcbs.listen_pcbs, *next = l->next;

	l->next = NULL;
	tcp_listen_pcbs.listen_pcbs = l;
	__real_tcp_input(p, inp);
	l->next = next;
	tcp_listen_pcbs.listen_pcbs = all;
}

/*
 * A SYN for a connection that has been answered is the first one again, or pretends to be. lwIP would take up window scaling by it although the answer had
 * none, and insists that the window is still the one that it begins with; so scaling is made to look settled meanwhile.
 */
static bool must_not_scale(const struct tcp_pcb *pcb, const struct tcp_hdr *h)
{
	return pcb->state == SYN_RCVD && TCPH_FLAGS(h) & TCP_SYN && !(pcb->flags & TF_WND_SCALE);
}

/* In the place of lwIP's tcp_input(), which checks everything again. */
void __wrap_tcp_input(struct pbuf *p, struct netif *inp)
{
	const struct tcp_hdr *h = p->payload;
	struct tcp_pcb_listen *l = NULL;
	struct tcp_conn *c = NULL;
	struct tcp_pcb *made;
	bool unscaled = false;

	if (p->len >= TCP_HLEN) {
		c = find(ip_current_dest_addr(), lwip_ntohs(h->dest), ip_current_src_addr(), lwip_ntohs(h->src));
		if (c && time_wait_over(c, h, p, inp) && tcp_syn_listener(h)) {
			tcp_conn_counters.time_waits_cut++;
			tcp_abandon(c->pcb, 0);
			c = NULL;
		}
		if (!c)
			l = tcp_syn_listener(h);
		if ((c || l) && !tcp_header_mend(p, l || c->pcb->state == SYN_SENT)) {
			MIB2_STATS_INC(mib2.tcpinerrs);
			pbuf_free(p);
			return;
		}
	}
	if (l) {
		switch (tcp_syn_check(l, p, inp, &made)) {
		case TCP_SYN_DROP: pbuf_free(p); return;
		case TCP_SYN_MADE: c = conn_of(made); l = NULL; break;
		case TCP_SYN_PASS: break;
		}
	}
	if (c && (!acceptable(c->pcb, h) || is_beyond(c->pcb, h, p))) {
		if (tcp_syn_intact(p, inp))
			challenge(c);
		pbuf_free(p);
		return;
	}
	if (c && (can_wait(c->pcb, h, p) || must_come_again(c->pcb, h))) {
		tcp_conn_counters.memory_drops++;
		pbuf_free(p);
		return;
	}
	if (c) {
		tcp_conn_enter(c->pcb);
		tcp_recover_before(&c->recovery, c->pcb, p, inp, clock_now_ns);
		unscaled = must_not_scale(c->pcb, h);
		if (unscaled)
			tcp_set_flags(c->pcb, TF_WND_SCALE);
		show(c->pcb);
	}
	if (l)
		input_listening(l, p, inp);
	else
		__real_tcp_input(p, inp);
	/* It is still there if lwIP has left it on its list. */
	if (c && tcp_active_pcbs) {
		if (unscaled)
			tcp_clear_flags(c->pcb, TF_WND_SCALE);
		if (c->recovery)
			tcp_recover_after(c->recovery, c->pcb);
		/* A probe of a closed window carries a byte. When it was the only one and has been taken, there is nothing left to probe with, which lwIP does not expect. */
		if (!c->pcb->unsent)
			c->pcb->persist_backoff = 0;
	}
	tcp_conn_unlist();
}
