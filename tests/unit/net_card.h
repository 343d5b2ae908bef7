/*
 * tests/unit/net_card.h - the virtio-net driver on the host, and a device of which nothing is real but the rings: for net_card_drive.h and
 * the fuzzer of the same driver. Each is one file that includes this one; it says what memory, time and chance are.
 *
 * Interface: card_start(features, config) probes; the device side works on card_queue(i) and card_offered(i). What the driver hands up is
 *            counted and checked to lie where the device wrote it.
 */
#include <stdio.h>
#include <stdlib.h>
#include "drivers/virtio_net.c"
#include "heap.h"

extern const struct virtio_driver *const __drivers_virtio_start[];
const struct virtio_driver *const __drivers_virtio_start[] = { &virtio_net };
__asm__(".globl __drivers_virtio_end\n.set __drivers_virtio_end, __drivers_virtio_start + 8");

static struct virtio_device *card;
static struct net_device *card_net;
static uint64_t card_features;
static uint8_t card_config[12], card_status;
static unsigned card_wakes, card_received;
static bool card_exhausted, card_short_of_queues;
static uint16_t card_seen[2 * PAIRS_MAX + 1];  /* of what was offered, how much the device has taken */
static size_t card_last_bytes;
static unsigned card_large;    /* frames handed up as large ones */
static bool card_last_checked;
static uint64_t card_sum;      /* of all bytes handed up, so that all are read */

/* --- what lies below the driver --------------------------------------------------------------------------------- */

struct page *page_alloc(unsigned order, unsigned flags) { return kzalloc(PAGE_SIZE << order); }
paddr_t page_to_phys(const struct page *p) { return (paddr_t)p - DIRECT_BASE; }
paddr_t virt_to_phys(const void *v) { return (paddr_t)v; }
void mem_stats_get(struct mem_stats *m) { *m = (struct mem_stats){ .total = MIB(64) }; }
struct acpi_info acpi = { .ncpus = 4 };
void log_print(int level, const char *fmt, ...) {}
void work_post(struct work *w) { w->fn(w); }
void *net_heap_alloc(size_t size) { return kmalloc(size); }
void *net_heap_zalloc(size_t n, size_t size) { return kzalloc(n * size); }
void net_heap_free(void *p) { kfree(p); }
void net_diag(const char *fmt, ...) {}
_Noreturn void net_assert_failed(const char *message, const char *file, int line)
{
	printf("%s (%s:%d)\n", message, file, line);
	fflush(stdout);
	abort();
}

_Atomic int64_t net_held;
bool net_memory_exhausted(void) { return card_exhausted; }
void net_mac_random(uint8_t mac[6]) { memset(mac, 2, 6); }
void net_device_register(struct net_device *dev) { card_net = dev; }
void net_device_wake(struct net_device *dev) { card_wakes++; }
void net_device_link(struct net_device *dev, bool up) { atomic_store(&dev->link_up, up); }

static unsigned card_queue_entries = 16, card_queues = 64; /* places of a queue, and how many queues there are */

void net_receive_large(struct net_device *dev, struct pbuf *p, bool checked)
{
	card_large++;
	for (unsigned i = 1; i <= SIZEOF_ETH_HDR; i++)
		card_sum = card_sum * 31 + ((uint8_t *)p->payload)[-(int)i];
	net_receive(dev, p, checked);
}

void net_receive(struct net_device *dev, struct pbuf *p, bool checked)
{
	card_received++;
	card_last_bytes = p->tot_len;
	card_last_checked = checked;
	for (struct pbuf *q = p; q; q = q->next)
		for (unsigned i = 0; i < q->len + NET_RX_SLACK; i++)
			card_sum = card_sum * 31 + ((uint8_t *)q->payload)[i];
	pbuf_free(p);
}

/* --- the transport ------------------------------------------------------------------------------------------------- */

static uint8_t get_status(struct virtio_device *dev) { return card_status; }
static void set_status(struct virtio_device *dev, uint8_t s) { card_status = s; }
static uint64_t get_features(struct virtio_device *dev) { return card_features; }
static void set_features(struct virtio_device *dev, uint64_t f) {}
static void read_config(struct virtio_device *dev, unsigned offset, void *buf, unsigned len)
{
	if (offset + len > sizeof(card_config))
		abort();
	memcpy(buf, card_config + offset, len);
}
static uint32_t generation(struct virtio_device *dev) { return 0; }
static unsigned queue_size(struct virtio_device *dev, unsigned index) { return (card_short_of_queues && index) || index >= card_queues ? 0 : card_queue_entries; }
static int queue_activate(struct virtio_device *dev, struct virtio_queue *q) { return 0; }
static void notify(struct virtio_queue *q) {}
static int irq_setup(struct virtio_device *dev) { return 0; }

static const struct virtio_transport card_transport = {
	.name = "test", .get_status = get_status, .set_status = set_status, .get_features = get_features, .set_features = set_features,
	.read_config = read_config, .config_generation = generation, .queue_size = queue_size, .queue_activate = queue_activate, .notify = notify,
	.irq_setup = irq_setup,
};

static bool card_start(uint64_t features)
{
	card_features = features;
	card_wakes = card_received = card_large = heap_fail_in = heap_fail_more = 0;
	card_exhausted = card_short_of_queues = false;
	card_net = NULL;
	memset(card_seen, 0, sizeof(card_seen));
	card = calloc(1, sizeof(*card));
	card->transport = &card_transport;
	card->id = VIRTIO_ID_NET;
	card->legacy = !(features & VIRTIO_F_VERSION_1);
	return virtio_device_add(card) == 0;
}

static struct virtq *card_queue(unsigned i) { return &card->queues[i].vq; }
static unsigned card_offered(unsigned i) { return (uint16_t)(atomic_load(&card_queue(i)->avail->idx) - card_seen[i]); }

/* The next chain that was offered; its first descriptor. */
static struct virtq_desc *card_take(unsigned i, uint16_t *head)
{
	struct virtq *q = card_queue(i);

	*head = q->avail->ring[card_seen[i]++ & (q->size - 1)];
	return &q->desc[*head];
}

/* All bytes of a chain. */
static uint32_t card_bytes(unsigned i, const struct virtq_desc *d)
{
	uint32_t n = d->len;

	for (; d->flags & 1; n += d->len)
		d = &card_queue(i)->desc[d->next];
	return n;
}

static void card_give(unsigned i, uint32_t id, uint32_t len)
{
	struct virtq *q = card_queue(i);
	uint16_t idx = atomic_load(&q->used->idx);

	q->used->ring[idx & (q->size - 1)] = (struct virtq_used_elem){ id, len };
	atomic_store(&q->used->idx, (uint16_t)(idx + 1));
}

/* All that the driver still holds is freed, as nobody will. Blocks that are left after that have leaked. */
static void card_end(void)
{
	for (unsigned i = 0; card->queues && i < card->nqueues; i++) {
		struct virtq *q = card_queue(i);

		for (unsigned s = 0; s < q->size; s++) {
			if (i % 2)
				tx_free(atomic_load(&q->slots[s].token));
			else
				kfree(atomic_load(&q->slots[s].token));
		}
		kfree(q->slots);
		kfree(card->queues[i].ring);
	}
	kfree(card->queues);
	if (card->driver_data)
		tx_free(((struct vnet *)card->driver_data)->open);
	kfree(card->driver_data);
	free(card);
}
