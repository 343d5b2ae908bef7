/*
 * tests/unit/drivers_virtq_test.c - a virtqueue with an honest device, and the arithmetic of event indexes.
 */
// sources: kernel/drivers/virtq.c
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/virtq.h"

static int failed;

static void check(const char *name, bool ok)
{
	printf(ok ? "ok %s\n" : "not ok %s\n", name);
	failed |= !ok;
}

static struct virtq_slot slots[8];
static _Alignas(16) uint8_t ring[8192];
static uint16_t device_seen;

static void fresh(struct virtq *q, bool event_idx)
{
	memset(ring, 0, sizeof(ring));
	memset(slots, 0, sizeof(slots));
	device_seen = 0;
	virtq_init(q, 8, ring, 4, slots, event_idx);
}

/* The device takes the next chain and answers it. */
static int device_step(struct virtq *q, uint32_t len)
{
	uint16_t idx = atomic_load(&q->used->idx), head;

	if (device_seen == atomic_load(&q->avail->idx))
		return -1;
	head = q->avail->ring[device_seen++ % 8];
	q->used->ring[idx % 8] = (struct virtq_used_elem){ head, len };
	atomic_store(&q->used->idx, (uint16_t)(idx + 1));
	return head;
}

static void test_round(void)
{
	struct virtq_segment segs[3] = { { 0x1000, 16 }, { 0x2000, 512 }, { 0x3000, 1 } };
	struct virtq_done done;
	struct virtq q;
	bool good = true;
	int token;

	fresh(&q, false);
	/* More rounds than a 16-bit index has values. */
	for (unsigned i = 0; i < 70000 && good; i++) {
		int head = virtq_add(&q, segs, 1, 2, &token);

		good = head >= 0 && virtq_add(&q, segs, 1, 2, &token) >= 0 &&
		       virtq_add(&q, segs, 1, 2, &token) == -ENOSPC && device_step(&q, 513) == head &&
		       virtq_take(&q, &done) == 1 && done.token == &token && done.head == head && done.len == 513;
		virtq_free(&q, done.head);
		good = good && device_step(&q, 0) >= 0 && virtq_take(&q, &done) == 1 && virtq_take(&q, &done) == 0;
		virtq_free(&q, done.head);
		good = good && q.nfree == 8;
	}
	check("virtq wraps and keeps its descriptors", good);
	check("virtq describes the chain", q.desc[done.head].addr == 0x1000 && q.desc[done.head].flags == 1 &&
	      q.desc[q.desc[done.head].next].flags == 3);
}

static void test_liars(void)
{
	struct virtq_segment seg = { 0x1000, 100 };
	struct virtq_done done;
	struct virtq q;
	int token;

	fresh(&q, false);
	virtq_add(&q, &seg, 0, 1, &token);
	device_step(&q, 101);
	check("virtq refuses a length that is too large", virtq_take(&q, &done) == -EIO && virtq_broken(&q));
	fresh(&q, false);
	virtq_add(&q, &seg, 0, 1, &token);
	q.used->ring[0].id = 8;
	atomic_store(&q.used->idx, 1);
	check("virtq refuses a head out of range", virtq_take(&q, &done) == -EIO);
	fresh(&q, false);
	q.used->ring[0].id = 3;
	atomic_store(&q.used->idx, 1);
	check("virtq refuses a head that is not in flight", virtq_take(&q, &done) == -EIO);
	fresh(&q, false);
	atomic_store(&q.used->idx, 9);
	check("virtq refuses an index that jumps", virtq_take(&q, &done) == -EIO);
	check("virtq that is broken takes nothing", virtq_add(&q, &seg, 0, 1, &token) == -EIO);
}

/* What it was not allowed to write it has not written, whatever it says; everything else is checked as ever. */
static void test_legacy_lengths(void)
{
	struct virtq_segment segs[2] = { { 0x1000, 100 }, { 0x2000, 60 } };
	struct virtq_done done;
	struct virtq q;
	int token;

	fresh(&q, false);
	q.legacy = true;
	virtq_add(&q, segs, 1, 1, &token);
	device_step(&q, 160);
	check("virtq cuts a legacy length to what is writable", virtq_take(&q, &done) == 1 && done.token == &token && done.len == 60);
	virtq_free(&q, done.head);
	virtq_add(&q, segs, 2, 0, &token);
	device_step(&q, 0xffffffff);
	check("virtq cuts a legacy length where nothing is writable", virtq_take(&q, &done) == 1 && done.len == 0);
	virtq_free(&q, done.head);
	virtq_add(&q, segs, 1, 1, &token);
	device_step(&q, 59);
	check("virtq keeps a legacy length that can be", virtq_take(&q, &done) == 1 && done.len == 59 && !virtq_broken(&q));
	virtq_free(&q, done.head);
	q.used->ring[3].id = 8;
	atomic_store(&q.used->idx, 4);
	check("virtq refuses a legacy head out of range", virtq_take(&q, &done) == -EIO && virtq_broken(&q));
}

static void test_notifications(void)
{
	struct virtq_segment seg = { 0x1000, 100 };
	struct virtq_done done;
	struct virtq q;
	uint16_t *avail_event;
	int token;

	fresh(&q, false);
	virtq_add(&q, &seg, 0, 1, &token);
	check("virtq kicks after an add", virtq_kick_needed(&q) && !virtq_kick_needed(&q));
	q.used->flags = 1;
	virtq_add(&q, &seg, 0, 1, &token);
	check("virtq does not kick a device that polls", !virtq_kick_needed(&q));
	fresh(&q, true);
	avail_event = (uint16_t *)&q.used->ring[8];
	*avail_event = 1;
	virtq_add(&q, &seg, 0, 1, &token);
	check("virtq does not kick before the event index", !virtq_kick_needed(&q));
	virtq_add(&q, &seg, 0, 1, &token);
	check("virtq kicks at the event index", virtq_kick_needed(&q));
	check("virtq has nothing pending", !virtq_irq_enable(&q));
	device_step(&q, 1);
	check("virtq finds what came before the interrupt was on", virtq_irq_enable(&q));
	virtq_take(&q, &done);
	check("virtq asks for the next completion", !virtq_irq_enable(&q) && q.avail->ring[8] == 1);
}

int main(void)
{
	test_round();
	test_liars();
	test_legacy_lengths();
	test_notifications();
	return failed;
}
