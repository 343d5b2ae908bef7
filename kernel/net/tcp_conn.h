/*
 * kernel/net/tcp_conn.h - the table of TCP connections and their timers.
 *
 * Every control block of lwIP that has a connection (from SYN to the end of TIME_WAIT) has a struct tcp_conn beside it. lwIP's own lists of them are
 * empty, except while it works on one: a segment finds its connection by a hash, and a connection wakes the network thread when something
 * of its own is due. How and why: tcp_conn.c.
 *
 *   net_lock(); tcp_conn_enter(pcb); tcp_write(pcb, ...); tcp_output(pcb); net_unlock();
 *
 * Everything here is called with the core lock held. Nothing sleeps.
 */
#ifndef IBRIK_NET_TCP_CONN_H
#define IBRIK_NET_TCP_CONN_H

#include "lib/types.h"
#include "lib/list.h"
#include "lwip/ip_addr.h"

struct tcp_pcb;
struct tcp_conn;

/* Once, after lwip_init(). */
void tcp_conn_init(void);
/* The time as TCP counts it, at `now_ns`; from net_lock(). */
void tcp_conn_clock(uint64_t now_ns);

/* Makes the record of a control block, if it has none; it goes with the block. False: no memory. */
bool tcp_conn_attach(struct tcp_pcb *pcb);
/* Takes the record away again; nothing if there is none. */
void tcp_conn_detach(struct tcp_pcb *pcb);
/* The block has both its ends now: segments find it. It has a record. */
void tcp_conn_add(struct tcp_pcb *pcb);
/* Takes the blocks that lwIP has just put on its own lists out of them. After tcp_connect(). */
void tcp_conn_unlist(void);
/* The block of the connection between these two, or NULL. */
struct tcp_pcb *tcp_conn_find(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *remote, uint16_t remote_port);
/* A connection whose handshake is not over, on the list of its listener. */
void tcp_conn_half_open(struct tcp_pcb *pcb, struct list *half_open);
void tcp_conn_full_open(struct tcp_pcb *pcb);
/* Drops all of a listener's, silently. */
void tcp_conn_drop_half_open(struct list *half_open);

/* Ends the oldest connection in TIME_WAIT before its time, for its memory. False: there is none. */
bool tcp_conn_cut_time_wait(void);
/* The same of those that have a port nobody asked for, for that port; after a second at the earliest. The port, or 0. */
uint16_t tcp_conn_cut_for_port(void);

/* Before any call of lwIP that may send or change the state of a connection, once in each hold of the core lock at least. Blocks without a
 * record are let alone. */
void tcp_conn_enter(struct tcp_pcb *pcb);
/* From net_unlock(): looks what is due next for the connections that were entered. */
void tcp_conn_settle(void);
/* When tcp_conn_run() has something to do next; DEADLINE_NEVER. May be too early, never too late. After tcp_conn_settle(). */
uint64_t tcp_conn_due_ns(void);
/* Does what is due. From the network thread. */
void tcp_conn_run(uint64_t now_ns);
/* A device has room again: sends what waits for that, each connection in its turn, until *full. */
void tcp_conn_retry(const bool *full);

/* Calls fn for some hundred of the control blocks from SYN to TIME_WAIT; listeners are in lwIP's tcp_listen_pcbs. fn must not change any. Begins with
 * from = 0; answers what `from` is for those that come next, 0: there are no more. The core lock may be released in between: a connection
 * that stands all the time is met once. */
unsigned tcp_conn_each(unsigned from, void (*fn)(const struct tcp_pcb *pcb, void *arg), void *arg);

struct tcp_conn_counters {
	uint64_t connections;      /* in the table now */
	uint64_t time_waits;       /* of these, in TIME_WAIT */
	uint64_t time_waits_cut;   /* ended early: too many, or the peer opened a new one */
	uint64_t timer_runs;
	uint64_t syn_overflows;    /* a listener had as many half-open connections as it may */
	uint64_t cookies_sent, cookies_taken, cookies_refused;
	uint64_t unacceptable;     /* segments that acknowledged what cannot be acknowledged */
	uint64_t memory_refusals;  /* a SYN was not answered for want of memory */
	uint64_t memory_drops;     /* segments that were dropped for want of memory */
	uint64_t memory_stalls;    /* a window was not opened, for a while, for want of memory */
};
extern struct tcp_conn_counters tcp_conn_counters;

#endif
