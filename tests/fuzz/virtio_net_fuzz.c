/*
 * tests/fuzz/virtio_net_fuzz.c - a network card that lies, under its driver and the virtio core.
 */
// sources: kernel/drivers/virtq.c kernel/drivers/virtio.c kernel/net/frame.c build/third_party/lwip/src/core/pbuf.c build/third_party/lwip/src/core/mem.c build/third_party/lwip/src/core/memp.c build/third_party/lwip/src/core/stats.c build/third_party/lwip/src/core/def.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -Wl,-z,lazy
/*
 * The input is a program: features and configuration, then steps of the device (buffers used with any id, length, header and number of parts, an
 * index that jumps, interrupts, changes of the configuration) and of the stack (frames to send, rows of TCP segments, polls, no memory).
 *
 * What must hold beside what the sanitizers see: the driver hands up only what the device wrote, a device that is not stopped has as many
 * buffers as at the start, and nothing leaks.
 */
#include "net_card.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned pair; /* of queues, that the device works on */

/* Uses the next buffer: mostly as an honest device would. */
static void use_rx(unsigned how)
{
	uint16_t head;
	struct virtq_desc *d;
	uint8_t *buf;
	uint32_t len;

	if (!card_offered(2 * pair))
		return;
	d = card_take(2 * pair, &head);
	/* Given back already, under a false name: what a device writes to memory that is not its own is another matter. */
	if (head >= card_queue(2 * pair)->size || !atomic_load(&card_queue(2 * pair)->slots[head].token))
		return;
	buf = (uint8_t *)d->addr;
	len = how & 1 ? card_bytes(2 * pair, d) : MIN(next16() & 0x7ff, card_bytes(2 * pair, d));
	if (how & 2) {
		struct net_header *h = (struct net_header *)buf;

		*h = (struct net_header){ .flags = next() & 3, .num_buffers = how & 4 ? next() % 40 : 1 };
		if (h->flags == 3)
			h->gso_type = next() & 0x87, h->gso_size = next();
	} else if (how & 8) {
		for (unsigned i = 0; i < 16; i++)
			buf[i] = next();
	}
	card_give(2 * pair, how & 16 ? next16() : head, how & 32 ? next16() * 3u : len);
}

static void use_tx(unsigned how)
{
	uint16_t head;

	if (!card_offered(2 * pair + 1))
		return;
	card_take(2 * pair + 1, &head);
	card_give(2 * pair + 1, how & 16 ? next16() : head, how & 32 ? next16() : 0);
}

/* Answers the command about pairs: agrees, refuses, or lies about what it has written. */
static void use_control(unsigned how)
{
	unsigned control = card->nqueues - 1;
	struct virtq *q = card_queue(control);
	struct virtq_desc *d;
	uint16_t head;

	if (control % 2 || !card_offered(control))
		return;
	d = card_take(control, &head);
	if (head >= q->size || !atomic_load(&q->slots[head].token))
		return;
	while (d->flags & 1)
		d = &q->desc[d->next];
	*(uint8_t *)d->addr = (uint8_t)how & 1;
	card_give(control, how & 2 ? next16() : head, how & 4 ? next() : 1);
}

static void transmit(void)
{
	unsigned n = next() & 1 ? next16() % 9100 : 14 + next();
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM);

	if (!p)
		return;
	memset(p->payload, 0, n);
	for (unsigned i = 12; i < MIN(n, 60u); i++)
		((uint8_t *)p->payload)[i] = next();
	card_net->transmit(card_net, p);
	card_net->flush(card_net);
	pbuf_free(p);
}

/* Segments of a connection that follow each other, or nearly. */
static void transmit_row(void)
{
	bool ipv6 = next() & 1;
	unsigned tcp = ipv6 ? 54 : 34, size = 1 + next() * 40, count = next() % 50, seq = next16() << 16;

	for (unsigned i = 0; i < count; i++) {
		unsigned what = next(), bytes = what & 1 ? next() * 40 : size, ip = 20 + bytes + (ipv6 ? 0 : 20);
		struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(tcp + 20), PBUF_RAM), *q = pbuf_alloc(PBUF_RAW, (u16_t)bytes, PBUF_RAM);
		uint8_t *f;

		if (p && q) {
			f = p->payload;
			memset(f, 0, tcp + 20);
			memset(q->payload, what, bytes);
			memcpy(f + 12, ipv6 ? "\x86\xdd\x60" : "\x08\x00\x45", 3);
			f[ipv6 ? 18 : 16] = (uint8_t)(ip >> 8);
			f[ipv6 ? 19 : 17] = (uint8_t)ip;
			f[ipv6 ? 20 : 23] = 6;
			if (!ipv6)
				f[19] = (uint8_t)i;
			for (unsigned b = 0; b < 4; b++)
				f[tcp + 4 + b] = (uint8_t)(seq >> (24 - 8 * b));
			f[tcp + 12] = 0x50;
			f[tcp + 13] = what & 2 ? 0x18 : 0x10;
			if (what & 4)
				f[next() % (tcp + 20)] = next();
			seq += bytes;
			pbuf_cat(p, q);
			q = NULL;
			card_net->transmit(card_net, p);
		}
		if (p)
			pbuf_free(p);
		if (q)
			pbuf_free(q);
		if (what & 8)
			use_tx(0);
	}
	if (next() & 1)
		card_net->flush(card_net);
}

/* free: descriptors of each receiving queue that no buffer has. */
static void step(const unsigned free[PAIRS_MAX])
{
	unsigned op = next();

	switch (op % 8) {
	case 0:
	case 1:
	case 2: use_rx(op >> 3 | (op & 1 ? 2 : 0)); break;
	case 3: use_tx(op >> 3 & 3 ? 0 : next()); break;
	case 4:
		if (op & 8)
			transmit_row();
		else
			transmit();
		break;
	case 5:
		while (card_net->poll(card_net, 1 + (op >> 3)))
			;
		card_net->idle(card_net);
		for (unsigned i = 0; 2 * i + 1 < card->nqueues; i++)
			if (!card->stopped && !virtq_pending(card_queue(2 * i)) && card_queue(2 * i)->nfree != free[i])
				abort();
		break;
	case 6:
		if (op & 64)
			heap_fail_in = next() & 15;
		else
			card_exhausted = op & 32;
		break;
	case 7:
		if (op & 128) {
			use_control(op >> 3);
			pair = next() % (card->nqueues / 2);
			break;
		}
		if (op & 64)
			atomic_store(&card_queue(2 * pair + (op >> 3 & 1))->used->idx, next16());
		card_config[next() % sizeof(card_config)] = next();
		if (card_net)
			vnet_config(card);
		card->queues[op >> 3 & 1].handler(&card->queues[op >> 3 & 1]);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	long before = heap_blocks;
	unsigned features, free_at_first[PAIRS_MAX];

	input = data;
	left = size;
	features = next16();
	for (unsigned i = 0; i < sizeof(card_config); i++)
		card_config[i] = features & 0x4000 ? next() : 1;
	if (card_start((features & 0xff & (F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC)) | (features & 0x40 ? F_CTRL_VQ | F_MQ : 0) | (features & 0x100 ? F_MRG_RXBUF : 0) | (features & 0x200 ? F_STATUS : 0) |
		       (features & 0x1000 ? F_HOST_TSO4 | F_HOST_TSO6 : 0) | (features & 0x2000 ? F_GUEST_TSO4 | F_GUEST_TSO6 : 0) |
		       (features & 0x8000 ? VIRTIO_F_ANY_LAYOUT : 0) | (features & 0x400 ? VIRTIO_F_VERSION_1 : 0) | (features & 0x800 ? VIRTIO_F_EVENT_IDX : 0))) {
		pair = 0;
		for (unsigned i = 0; 2 * i + 1 < card->nqueues; i++)
			free_at_first[i] = card_queue(2 * i)->nfree;
		while (left)
			step(free_at_first);
		heap_fail_in = 0;
	}
	card_end();
	if (heap_blocks != before || atomic_load(&net_held) != 0)
		abort();
	return 0;
}
