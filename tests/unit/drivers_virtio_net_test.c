/*
 * tests/unit/drivers_virtio_net_test.c - the virtio-net driver with a device that does as it is told, and with one that lies. Large frames and several
 * pairs of queues: drivers_virtio_net_large_test.c.
 */
// sources: kernel/drivers/virtq.c kernel/drivers/virtio.c kernel/net/frame.c build/third_party/lwip/src/core/pbuf.c build/third_party/lwip/src/core/mem.c build/third_party/lwip/src/core/memp.c build/third_party/lwip/src/core/stats.c build/third_party/lwip/src/core/def.c
// flags: -w -ffreestanding -DSSIZE_MAX=__LONG_MAX__ -include kernel/lib/string.h -isystem build/third_party/lwip/src/include -Ikernel/net/port -Itests/unit -fno-sanitize=alignment,null -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all
#include "net_card_drive.h"

static void frames_come_up_and_buffers_are_replaced(void)
{
	unsigned offered;

	EXPECT(card_start(MODERN));
	offered = card_offered(0);
	EXPECT(offered == 16);
	for (unsigned i = 0; i < 100; i++) {
		deliver(12 + 60 + i, 1, 1, i & 1 ? HDR_DATA_VALID : 0);
		poll_once();
		EXPECT(card_received == i + 1);
		EXPECT(card_last_bytes == 60 + i);
		EXPECT(card_last_checked == (i & 1));
		EXPECT(card_offered(0) == offered);
	}
	EXPECT(atomic_load(&net_held) == 0);
	EXPECT(!card->stopped);
}

static void jumbo_frames_lie_in_several_buffers(void)
{
	EXPECT(card_start(MODERN));
	deliver(12 + 9014, 5, 5, 0);
	poll_once();
	EXPECT(card_received == 1);
	EXPECT(card_last_bytes == 9014);
	EXPECT(card_offered(0) == 16);
}

static void without_memory_a_frame_is_lost_and_no_buffer(void)
{
	EXPECT(card_start(MODERN));
	for (unsigned fail = 1; fail <= 5; fail++) {
		deliver(12 + 9014, 5, 5, 0);
		heap_fail_in = fail;
		poll_once();
		heap_fail_in = 0;
		EXPECT(card_received == 0);
		EXPECT(card_net->rx_dropped == fail);
		EXPECT(card_offered(0) == 16);
	}
	card_exhausted = true;
	deliver(12 + 100, 1, 1, 0);
	poll_once();
	EXPECT(card_received == 0 && card_offered(0) == 16);
	card_exhausted = false;
	deliver(12 + 100, 1, 1, 0);
	poll_once();
	EXPECT(card_received == 1 && card_offered(0) == 16);
}

static void a_full_queue_says_so_and_wakes_when_there_is_room(void)
{
	uint16_t head;

	EXPECT(card_start(MODERN));
	for (unsigned i = 0; i < 16; i++)
		EXPECT(send(100 + i) == 0);
	EXPECT(!(card_queue(1)->avail->flags & 1) == false);
	EXPECT(send(100) == -ENOBUFS);
	/* Only now is an interrupt wanted. */
	EXPECT(!(card_queue(1)->avail->flags & 1));
	EXPECT(card_take(1, &head)->len == 12 + 100);
	card_give(1, head, 0);
	card->queues[1].handler(&card->queues[1]);
	EXPECT(card_wakes > 0);
	poll_once();
	EXPECT(send(100) == 0);
	EXPECT(send(100) == -ENOBUFS);
}

/* Somebody has waited for room, was tried again in vain, and then the device is looked at: the interrupt must still come. */
static void looking_at_the_device_does_not_forget_who_waits_for_room(void)
{
	EXPECT(card_start(MODERN));
	for (unsigned i = 0; i < 16; i++)
		EXPECT(send(100) == 0);
	EXPECT(send(100) == -ENOBUFS);
	card_net->tx_full = true;
	poll_once();
	EXPECT(!(card_queue(1)->avail->flags & 1));
	/* Nobody waits any more. */
	card_net->tx_full = false;
	poll_once();
	EXPECT(card_queue(1)->avail->flags & 1);
}

/* What is under way gives memory back when it has been sent: somebody who found none is to be told then. */
static void without_memory_the_interrupt_for_sent_frames_is_asked_for(void)
{
	uint16_t head;

	EXPECT(card_start(MODERN));
	EXPECT(send(100) == 0);
	EXPECT(card_queue(1)->avail->flags & 1);
	heap_fail_in = 2; /* the first is the pbuf */
	EXPECT(send(100) == -ENOBUFS);
	heap_fail_in = 0;
	EXPECT(!(card_queue(1)->avail->flags & 1));
	card_net->tx_full = true;
	poll_once();
	EXPECT(!(card_queue(1)->avail->flags & 1));
	card_take(1, &head);
	card_give(1, head, 0);
	card->queues[1].handler(&card->queues[1]);
	EXPECT(card_wakes > 0);
	card_net->tx_full = false;
	poll_once();
	EXPECT(card_queue(1)->avail->flags & 1);
	EXPECT(send(100) == 0);
}

static void without_memory_nothing_is_sent(void)
{
	struct pbuf *p;

	EXPECT(card_start(MODERN));
	p = pbuf_alloc(PBUF_RAW, 100, PBUF_RAM);
	memset(p->payload, 0, 100);
	heap_fail_in = 1;
	EXPECT(card_net->transmit(card_net, p) == -ENOMEM);
	EXPECT(card_offered(1) == 0);
	EXPECT(card_net->transmit(card_net, p) == 0);
	pbuf_free(p);
}

static void the_old_header_is_shorter(void)
{
	uint16_t head;
	struct virtq_desc *d;

	EXPECT(card_start(F_MAC | F_STATUS | VIRTIO_F_ANY_LAYOUT));
	EXPECT(card_net->mtu == 1500);
	EXPECT(send(100) == 0);
	d = card_take(1, &head);
	EXPECT(d->len == 10 + 100);
	EXPECT(((uint8_t *)d->addr)[0] == 0 && ((uint8_t *)d->addr)[9] == 0 && ((uint8_t *)d->addr)[10] == 'y');
	d = card_take(0, &head);
	memset((void *)d->addr, 0, 10);
	card_give(0, head, 10 + 70);
	poll_once();
	EXPECT(card_received == 1 && card_last_bytes == 70);
}

/* A chain of exactly two descriptors in one piece of memory, the first of which is the header. */
static uint8_t *header_apart(unsigned queue, unsigned header, uint16_t *head)
{
	struct virtq_desc *d = card_take(queue, head), *next = &card_queue(queue)->desc[d->next];

	EXPECT(d->len == header && (d->flags & 1) && !(next->flags & 1) && (d->flags & 2) == (next->flags & 2));
	EXPECT(next->addr == d->addr + header);
	return (uint8_t *)d->addr;
}

static void an_old_device_gets_the_header_in_a_descriptor_of_its_own(void)
{
	static const struct { uint64_t features; unsigned header; } cases[] = { { F_MAC, 10 }, { F_MAC | F_MRG_RXBUF, 12 } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned header = cases[i].header;
		uint16_t head;
		uint8_t *at;

		if (i)
			card_end();
		EXPECT(card_start(cases[i].features));
		EXPECT(card_offered(0) == 8);
		for (unsigned n = 0; n < 50; n++) {
			EXPECT(send(100) == 0);
			at = header_apart(1, header, &head);
			EXPECT(at[0] == 0 && at[header - 1] == 0 && at[header] == 'y' && at[header + 99] == 'y');
			/* Some say what they have read, though they could write nothing. */
			card_give(1, head, header + 100);
			at = header_apart(0, header, &head);
			memset(at, 0, header + 70);
			at[10] = header == 12;
			card_give(0, head, header + 70);
			poll_once();
			EXPECT(!card->stopped && card_received == n + 1 && card_last_bytes == 70);
			EXPECT(card_offered(0) == 8);
		}
		for (unsigned n = 0; n < 8; n++)
			EXPECT(send(100) == 0);
		EXPECT(send(100) == -ENOBUFS);
	}
}

static void an_old_device_may_say_that_it_has_written_more_than_it_could(void)
{
	uint16_t head;
	uint8_t *at;

	EXPECT(card_start(F_MAC | VIRTIO_F_ANY_LAYOUT));
	at = (uint8_t *)card_take(0, &head)->addr;
	memset(at, 0, 10);
	card_give(0, head, 1u << 20);
	poll_once();
	EXPECT(!card->stopped && card_received == 1 && card_offered(0) == 16);
}

static void a_queue_that_holds_no_frame_is_refused(void)
{
	card_queue_entries = 1;
	EXPECT(!card_start(F_MAC));
	card_end();
	EXPECT(card_start(F_MAC | VIRTIO_F_ANY_LAYOUT));
}

static void lengths_of_the_link_are_taken_with_care(void)
{
	static const struct { unsigned said, taken; uint64_t features; } cases[] = {
		{ 0, 1280, MODERN }, { 68, 1280, MODERN }, { 1280, 1280, MODERN }, { 9001, 9001, MODERN }, { 65535, 65535, MODERN },
		{ 9001, 1500, MODERN & ~F_MRG_RXBUF }, { 9001, 1500, MODERN & ~F_MTU },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		if (i)
			card_end();
		card_config[C_MTU] = (uint8_t)cases[i].said;
		card_config[C_MTU + 1] = (uint8_t)(cases[i].said >> 8);
		EXPECT(card_start(cases[i].features));
		EXPECT(card_net->mtu == cases[i].taken);
	}
}

static void lie_no_buffers(void) { EXPECT(card_start(MODERN)); deliver(12 + 100, 1, 0, 0); stopped(); }
static void lie_too_many_buffers(void) { EXPECT(card_start(MODERN)); deliver(12 + 100, 1, MERGED_MAX + 1, 0); stopped(); }
static void lie_buffers_that_do_not_come(void) { EXPECT(card_start(MODERN)); deliver(12 + 3000, 2, 4, 0); stopped(); }
static void lie_shorter_than_a_header(void) { EXPECT(card_start(MODERN)); deliver(11, 1, 1, 0); stopped(); }
static void lie_nothing(void) { EXPECT(card_start(MODERN)); deliver(0, 1, 1, 0); stopped(); }
static void lie_longer_than_the_buffer(void) { EXPECT(card_start(MODERN)); card_give(0, 3, 5000); stopped(); }
static void lie_a_buffer_that_never_was(void) { EXPECT(card_start(MODERN)); card_give(0, 999, 100); stopped(); }
static void lie_sent_twice(void)
{
	uint16_t head;

	EXPECT(card_start(MODERN));
	EXPECT(send(100) == 0);
	card_take(1, &head);
	card_give(1, head, 0);
	card_give(1, head, 0);
	stopped();
}

static void header_alone_is_an_empty_frame(void)
{
	EXPECT(card_start(MODERN));
	deliver(12, 1, 1, 0);
	poll_once();
	EXPECT(!card->stopped);
	EXPECT(card_offered(0) == 16);
}

static void a_device_without_a_second_queue_is_refused(void)
{
	card_start(MODERN);
	card_end();
	card_features = MODERN;
	card_short_of_queues = true;
	card = calloc(1, sizeof(*card));
	card->transport = &card_transport;
	card->id = VIRTIO_ID_NET;
	EXPECT(virtio_device_add(card) < 0);
	/* Interrupts may be connected already, so what was made for the first queue stays. */
	kfree(card->queues[0].vq.slots);
	kfree(card->queues[0].ring);
	card_short_of_queues = false;
}

int main(void)
{
	RUN(frames_come_up_and_buffers_are_replaced);
	RUN(jumbo_frames_lie_in_several_buffers);
	RUN(without_memory_a_frame_is_lost_and_no_buffer);
	RUN(a_full_queue_says_so_and_wakes_when_there_is_room);
	RUN(looking_at_the_device_does_not_forget_who_waits_for_room);
	RUN(without_memory_the_interrupt_for_sent_frames_is_asked_for);
	RUN(without_memory_nothing_is_sent);
	RUN(the_old_header_is_shorter);
	RUN(an_old_device_gets_the_header_in_a_descriptor_of_its_own);
	RUN(an_old_device_may_say_that_it_has_written_more_than_it_could);
	RUN(a_queue_that_holds_no_frame_is_refused);
	RUN(lengths_of_the_link_are_taken_with_care);
	RUN(header_alone_is_an_empty_frame);
	RUN(lie_no_buffers);
	RUN(lie_too_many_buffers);
	RUN(lie_buffers_that_do_not_come);
	RUN(lie_shorter_than_a_header);
	RUN(lie_nothing);
	RUN(lie_longer_than_the_buffer);
	RUN(lie_a_buffer_that_never_was);
	RUN(lie_sent_twice);
	RUN(a_device_without_a_second_queue_is_refused);
	return failed;
}
