/*
 * tests/unit/net_card_drive.h - drives the card of net_card.h: what the unit tests of the virtio-net driver share.
 *
 * Interface: RUN(test) runs a test with a fresh card's settings and looks for memory that has leaked; EXPECT() says what must hold in it;
 *            deliver() and poll_once() receive, send() sends, stopped() asks whether the driver has given the device up.
 */
#ifndef TESTS_UNIT_NET_CARD_DRIVE_H
#define TESTS_UNIT_NET_CARD_DRIVE_H

#include "net_card.h"
#include "check.h"

#define MODERN (VIRTIO_F_VERSION_1 | F_MAC | F_MRG_RXBUF | F_CSUM | F_GUEST_CSUM | F_STATUS | F_MTU)

#define LARGE (MODERN | F_HOST_TSO4 | F_HOST_TSO6 | F_GUEST_TSO4 | F_GUEST_TSO6)

#define MANY (LARGE | F_CTRL_VQ | F_MQ)

static const char *wrong;
static unsigned pair; /* of the queues that the device's side works on */
#define EXPECT(cond) (wrong = wrong || (cond) ? wrong : #cond)

static void run(const char *name, void (*test)(void))
{
	long before = heap_blocks;

	wrong = NULL;
	card_queue_entries = 16;
	card_queues = 64;
	acpi.ncpus = 4;
	pair = 0;
	memset(card_config, 0, sizeof(card_config));
	card_config[C_STATUS] = STATUS_LINK_UP;
	card_config[C_MTU] = 1500 & 0xff;
	card_config[C_MTU + 1] = 1500 >> 8;
	test();
	card_end();
	EXPECT(heap_blocks == before);
	check(name, !wrong, wrong);
}
#define RUN(test) run(#test, test)

/* A frame of `bytes` in `buffers` of those that are offered, which say that they are `said`. */
static void deliver(unsigned bytes, unsigned buffers, unsigned said, uint8_t flags)
{
	for (unsigned i = 0; i < buffers; i++) {
		uint16_t head;
		struct virtq_desc *d = card_take(2 * pair, &head);
		struct net_header *h = (struct net_header *)d->addr;
		unsigned n = i + 1 < buffers ? d->len : bytes;

		memset(h, 'x', n);
		if (i == 0) {
			memset(h, 0, sizeof(*h));
			h->flags = flags;
			h->num_buffers = (uint16_t)said;
		}
		card_give(2 * pair, head, n);
		bytes -= n;
	}
}

static void poll_once(void) { card_net->poll(card_net, 64); }

static int send(unsigned bytes)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)bytes, PBUF_RAM);
	int r;

	memset(p->payload, 'y', bytes);
	r = card_net->transmit(card_net, p);
	pbuf_free(p);
	return r;
}

/* The driver has stopped the device, and goes on without it. */
static void stopped(void)
{
	poll_once();
	EXPECT(card->stopped);
	EXPECT(!atomic_load(&card_net->link_up));
	/* Also when somebody who did not know says that the link is up. */
	atomic_store(&card_net->link_up, true);
	card_net->poll(card_net, 1);
	EXPECT(!atomic_load(&card_net->link_up));
	EXPECT(card_received == 0);
	poll_once();
	card_net->idle(card_net);
	EXPECT(send(100) == -ENOBUFS);
}

#endif
