/*
 * tests/unit/net_turns_test.c - connections that wait for room in a device get it in turns. What lwIP does is told here: a connection has so many segments to
 * send, and sends what the device takes.
 */
// sources: kernel/net/tcp_conn.c kernel/net/wheel.c kernel/lib/siphash.c
// flags: -w -ffreestanding -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
#include "net/tcp_conn.h"
#include "net/tcp_private.h"
#include "mm/mm.h"
#include "lwip/priv/tcp_priv.h"
#include "check.h"

void *calloc(size_t n, size_t size);
void free(void *p);

#define CONNECTIONS 5

/* --- what lies around ------------------------------------------------------------------------------------------ */

struct tcp_pcb *tcp_active_pcbs, *tcp_tw_pcbs;
union tcp_listen_pcbs_t tcp_listen_pcbs;
u32_t tcp_ticks;
_Atomic int64_t net_held;

void *kmalloc_flags(size_t size, unsigned flags) { return calloc(1, size); }
void *kzalloc(size_t size) { return calloc(1, size); }
void kfree(void *p) { free(p); }
void mem_stats_get(struct mem_stats *m) { *m = (struct mem_stats){ .total = 1 << 20 }; }
uint64_t net_memory_limit(void) { return 1 << 20; }
void random_bytes(void *p, size_t n) { memset(p, 7, n); }
void tcp_ext_arg_set(struct tcp_pcb *pcb, u8_t id, void *arg) { pcb->ext_args[id].data = arg; }
void tcp_ext_arg_set_callbacks(struct tcp_pcb *pcb, u8_t id, const struct tcp_ext_arg_callbacks *c) { pcb->ext_args[id].callbacks = c; }

static struct tcp_pcb pcbs[CONNECTIONS];
static unsigned to_send[CONNECTIONS], sent[CONNECTIONS], tries, room;
static bool full;

err_t tcp_output(struct tcp_pcb *pcb)
{
	unsigned i = (unsigned)(pcb - pcbs);

	tries++;
	for (; to_send[i]; to_send[i]--, room--, sent[i]++) {
		if (!room) {
			full = true;
			pcb->flags |= TF_NAGLEMEMERR;
			return ERR_MEM;
		}
	}
	pcb->flags &= (tcpflags_t)~TF_NAGLEMEMERR;
	return ERR_OK;
}

/* --- the test --------------------------------------------------------------------------------------------------- */

/* The device takes `frames`, and who waits is told. */
static void room_comes(unsigned frames)
{
	room = frames;
	full = false;
	tries = 0;
	tcp_conn_retry(&full);
	tcp_conn_settle();
}

static void start(void)
{
	memset(pcbs, 0, sizeof(pcbs));
	memset(sent, 0, sizeof(sent));
	room = 0;
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		pcbs[i].state = ESTABLISHED;
		pcbs[i].local_port = (u16_t)(1000 + i);
		pcbs[i].rtime = -1;
		to_send[i] = 100;
		tcp_conn_attach(&pcbs[i]);
		tcp_conn_add(&pcbs[i]);
		tcp_output(&pcbs[i]);
	}
	tcp_conn_settle();
}

int main(void)
{
	bool even = true, one_at_a_time = true, all = true;

	tcp_conn_init();
	tcp_conn_clock(1000000000);
	start();
	for (unsigned round = 0; round < CONNECTIONS; round++) {
		room_comes(10);
		one_at_a_time = one_at_a_time && tries == 1;
	}
	for (unsigned i = 0; i < CONNECTIONS; i++)
		even = even && sent[i] == 10;
	check("each_gets_as_much_as_the_others", even, "somebody got another one's turn");
	check("nobody_is_asked_while_the_device_is_full", one_at_a_time, "connections are asked in vain");
	/* The first needs less than there is: the second has the rest, and is behind the others then. */
	to_send[0] = 4;
	room_comes(10);
	check("what_one_leaves_is_for_the_next", sent[0] == 14 && sent[1] == 16, "somebody else got it");
	room_comes(10);
	check("who_filled_it_goes_behind_the_others", sent[1] == 16 && sent[2] == 20, "somebody else got it");
	for (unsigned i = 0; i < 100; i++)
		room_comes(10);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		all = all && !to_send[i];
	check("all_is_sent_in_the_end", all, "somebody is forgotten");
	return failed;
}
