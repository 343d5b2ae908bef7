/*
 * tests/fuzz/virtq_fuzz.c - a device that lies. The input is a program: the driver adds, takes and frees
 * chains as a real one would; between its steps the device writes what it likes into the ring.
 *
 * What must hold: a completion names a chain that was in flight, once; it never reports more bytes than
 * were writable; the descriptors add up; no access leaves the ring.
 */
// sources: kernel/drivers/virtq.c
#include <stdlib.h>
#include "drivers/virtq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct chain {
	bool in_flight;
	unsigned count;
	uint32_t writable;
};

static void check(const struct virtq *q, const struct chain *chains)
{
	unsigned used = 0, at = q->free_head;

	for (unsigned i = 0; i < q->size; i++)
		used += chains[i].count;
	if (used + q->nfree != q->size)
		abort();
	for (unsigned i = 0; i < q->nfree; i++) {
		if (at >= q->size)
			abort();
		at = q->slots[at].next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain chains[16] = { 0 };
	struct virtq_segment segs[6];
	struct virtq_done done;
	struct virtq q;
	size_t avail, used, bytes, i = 1;
	struct virtq_slot *slots;
	unsigned entries;
	uint8_t *ring;

	if (size < 2)
		return 0;
	entries = 1u << (data[0] & 3) << 1;
	bytes = virtq_ring_bytes(entries, data[0] & 4 ? 4096 : 4, &avail, &used);
	ring = aligned_alloc(16, ALIGN_UP(bytes, 16));
	slots = calloc(entries, sizeof(*slots));
	if (!ring || !slots)
		abort();
	__builtin_memset(ring, 0, bytes);
	virtq_init(&q, entries, ring, data[0] & 4 ? 4096 : 4, slots, data[0] & 8);
	q.legacy = data[0] & 16;
	while (i + 3 < size) {
		uint8_t op = data[i], a = data[i + 1], b = data[i + 2], c = data[i + 3];
		int r;

		i += 4;
		switch (op % 8) {
		case 0: { /* the driver adds a chain */
			unsigned nout = a % 3, nin = b % 4;
			uint32_t writable = 0;

			for (unsigned s = 0; s < nout + nin; s++) {
				segs[s].addr = (uint64_t)c << 12;
				segs[s].len = c + s;
				if (s >= nout)
					writable += segs[s].len;
			}
			r = virtq_add(&q, segs, nout, nin, &chains[q.free_head]);
			if (r >= 0) {
				if ((unsigned)r >= entries || chains[r].count)
					abort();
				chains[r] = (struct chain){ true, nout + nin, writable };
			}
			break;
		}
		case 1: /* the driver takes what is there */
			r = virtq_take(&q, &done);
			if (r > 0) {
				struct chain *ch = done.token;

				if (done.head >= entries || ch != &chains[done.head] || !ch->in_flight ||
				    done.len > ch->writable)
					abort();
				ch->in_flight = false;
				virtq_free(&q, done.head);
				ch->count = 0;
			}
			break;
		case 2:
			virtq_kick_needed(&q);
			break;
		case 3:
			if (a & 1)
				virtq_irq_enable(&q);
			else
				virtq_irq_disable(&q);
			break;
		case 4: /* an honest device completes a head */
		case 5: {
			uint16_t idx = atomic_load(&q.used->idx);

			q.used->ring[idx & (entries - 1)] = (struct virtq_used_elem){ a, b };
			atomic_store(&q.used->idx, (uint16_t)(idx + 1));
			break;
		}
		case 6: /* a lying one writes anywhere */
			ring[(a << 8 | b) % bytes] = c;
			break;
		case 7:
			atomic_store(&q.used->idx, (uint16_t)(a << 8 | b));
			break;
		}
		check(&q, chains);
	}
	free(ring);
	free(slots);
	return 0;
}
