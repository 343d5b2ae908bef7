/*
 * kernel/drivers/virtio_net.c - network cards of the hypervisor.
 *
 * Theory:  one queue receives, one sends. Buffers to receive into are small (RX_BUFFER_BYTES) and wrapped as pbufs, so a frame goes up
 *          without a copy; a large one lies in several, if the device merges them (VIRTIO_NET_F_MRG_RXBUF). For each buffer that goes up
 *          another takes its place first; when there is no memory for one, the frame is dropped and its own buffer stays:
 *          the device always has as many buffers as at the start.
 *          A frame that is sent is copied into a buffer of its own: it may be lwIP's, which changes it when it sends it again. Sent
 *          buffers are freed when the next frame goes out or the network thread looks; there is an interrupt for them only while
 *          the queue is full.
 * Locking: the stack's core lock guards both queues' submitting and completing sides; the interrupt handler only wakes the thread.
 * Errors:  a device that breaks the protocol is stopped, with a line, and its link is down from then on; frames that it lost are lost.
 * Source:  Virtual I/O Device Version 1.2, 5.1.
 */
#include "core/log.h"
#include "drivers/virtio.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "net/frame.h"
#include "net/memory.h"
#include "net/net.h"
#include "lwip/pbuf.h"

#define F_CSUM (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MTU (1ull << 3)
#define F_MAC (1ull << 5)
#define F_MRG_RXBUF (1ull << 15)
#define F_STATUS (1ull << 16)

enum { C_MAC = 0, C_STATUS = 6, C_MTU = 10 };
#define STATUS_LINK_UP 1

#define QUEUE_ENTRIES 256
#define RX_BUFFERS_MAX 256
#define RX_BUFFERS_MIN 32
#define RX_BUFFERS_SHARE 512 /* part of memory that waits for frames */
#define RX_BUFFER_BYTES 2048
#define MERGED_MAX 34        /* buffers of one frame of 64 KiB */

struct net_header { /* struct virtio_net_hdr_mrg_rxbuf, little endian */
	uint8_t flags; /* HDR_* */
	uint8_t gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint16_t num_buffers; /* version 1, or with F_MRG_RXBUF */
};
#define HDR_NEEDS_CSUM 1
#define HDR_DATA_VALID 2

struct rx_buffer {
	struct pbuf_custom pbuf; /* first: the pbuf is the buffer */
	uint8_t data[];
};
#define RX_DATA_BYTES (RX_BUFFER_BYTES - sizeof(struct rx_buffer) - NET_RX_SLACK)

struct tx_buffer {
	struct net_header header;
	uint8_t frame[];
};

struct vnet {
	struct net_device net;
	struct virtio_device *dev;
	struct virtio_queue *rx, *tx;
	unsigned header_bytes;
};

static void vnet_irq(struct virtio_queue *q) { net_device_wake(&((struct vnet *)q->arg)->net); }

/* --- receiving -------------------------------------------------------------------------------------------- */

static struct rx_buffer *rx_new(void) { return kmalloc_flags(RX_BUFFER_BYTES, ALLOC_NORECLAIM); }

/* The stack is done with a buffer. */
static void rx_free(struct pbuf *p)
{
	net_held_sub(RX_BUFFER_BYTES);
	kfree(p);
}

static int rx_offer(struct vnet *v, struct rx_buffer *b)
{
	struct virtq_segment seg = { virt_to_phys(b->data), RX_DATA_BYTES };

	return virtq_add(&v->rx->vq, &seg, 0, 1, b);
}

/* Takes the next used buffer. Its bytes, 0 if there is none, -EIO (then *b may be one, too, or NULL). */
static int rx_take(struct vnet *v, struct rx_buffer **b)
{
	struct virtq_done done;
	int r = virtq_take(&v->rx->vq, &done);

	*b = NULL;
	if (r <= 0)
		return r;
	virtq_free(&v->rx->vq, done.head);
	*b = done.token;
	return done.len ? (int)done.len : -EIO;
}

/* Puts the frame's buffers back under the device: it is dropped. */
static void rx_drop(struct vnet *v, struct rx_buffer **bufs, unsigned n)
{
	v->net.rx_dropped++;
	for (unsigned i = 0; i < n; i++)
		if (rx_offer(v, bufs[i]) < 0)
			kfree(bufs[i]);
}

static struct pbuf *rx_wrap(struct rx_buffer *b, unsigned skip, unsigned len)
{
	b->pbuf.custom_free_function = rx_free;
	net_held_add(RX_BUFFER_BYTES);
	return pbuf_alloced_custom(PBUF_RAW, (u16_t)len, PBUF_REF, &b->pbuf, b->data + skip, (u16_t)len);
}

/* One frame. 1, 0 if there is none, -EIO. */
static int rx_frame(struct vnet *v)
{
	struct rx_buffer *bufs[MERGED_MAX];
	unsigned lens[MERGED_MAX], n = 0, parts = 1, total = 0, fresh = 0;
	const struct net_header *h;
	struct pbuf *p = NULL;
	bool checked;

	do {
		int len = rx_take(v, &bufs[n]);

		if (len == 0 && n == 0)
			return 0;
		/* The parts of a frame come together: one that is missing is the device's fault. */
		if (len <= 0)
			goto broken;
		lens[n] = (unsigned)len;
		if (n == 0) {
			if (lens[0] < v->header_bytes)
				goto broken;
			h = (const struct net_header *)bufs[0]->data;
			if (virtio_has(v->dev, F_MRG_RXBUF))
				parts = h->num_buffers;
			if (parts == 0 || parts > MERGED_MAX)
				goto broken;
			/* NEEDS_CSUM: it never left the host, its sum is not even there. */
			checked = h->flags & (HDR_DATA_VALID | HDR_NEEDS_CSUM);
		}
		total += lens[n];
	} while (++n < parts);
	if (total - v->header_bytes > UINT16_MAX) {
		rx_drop(v, bufs, n);
		return 1;
	}
	for (; fresh < n; fresh++) {
		struct rx_buffer *b = net_memory_exhausted() ? NULL : rx_new();

		if (!b)
			break;
		if (rx_offer(v, b) < 0) {
			kfree(b);
			break;
		}
	}
	/* What has not been replaced goes back; a frame that lost a part is lost. */
	if (fresh < n) {
		v->net.rx_dropped++;
		for (unsigned i = 0; i < n; i++)
			if (i < fresh || rx_offer(v, bufs[i]) < 0)
				kfree(bufs[i]);
		return 1;
	}
	for (unsigned i = n; i-- > 0;) {
		unsigned skip = i ? 0 : v->header_bytes;
		struct pbuf *part = rx_wrap(bufs[i], skip, lens[i] - skip);

		if (p)
			pbuf_cat(part, p);
		p = part;
	}
	net_receive(&v->net, p, checked);
	return 1;
broken:
	for (unsigned i = 0; i <= n; i++)
		kfree(bufs[i]);
	return -EIO;
}

/* --- sending ------------------------------------------------------------------------------------------------ */

static void tx_reclaim(struct vnet *v)
{
	struct virtq_done done;

	while (virtq_take(&v->tx->vq, &done) > 0) {
		virtq_free(&v->tx->vq, done.head);
		kfree(done.token);
	}
}

static int vnet_transmit(struct net_device *dev, struct pbuf *p)
{
	struct vnet *v = container_of(dev, struct vnet, net);
	unsigned skip = sizeof(struct net_header) - v->header_bytes;
	struct virtq_segment seg;
	struct tx_buffer *b;
	struct frame_sum sum;

	tx_reclaim(v);
	b = kmalloc_flags(sizeof(*b) + p->tot_len, ALLOC_NORECLAIM);
	if (!b)
		return -ENOBUFS;
	memset(&b->header, 0, sizeof(b->header));
	pbuf_copy_partial(p, b->frame, p->tot_len, 0);
	if (dev->offload & NET_OFFLOAD_TX_CSUM && frame_sum_prepare(b->frame, p->tot_len, &sum)) {
		b->header.flags = HDR_NEEDS_CSUM;
		b->header.csum_start = sum.start;
		b->header.csum_offset = sum.offset;
	}
	/* The shorter, old header ends where the frame begins, too. */
	if (skip)
		memmove((uint8_t *)&b->header + skip, &b->header, v->header_bytes);
	seg = (struct virtq_segment){ virt_to_phys((uint8_t *)b + skip), v->header_bytes + p->tot_len };
	if (virtq_add(&v->tx->vq, &seg, 1, 0, b) < 0) {
		kfree(b);
		/* The interrupt for sent frames is asked for only now. One that came meanwhile is looked at as if it were it. */
		if (virtq_irq_enable(&v->tx->vq))
			net_device_wake(dev);
		return -ENOBUFS;
	}
	return 0;
}

static void vnet_flush(struct net_device *dev) { virtio_kick(container_of(dev, struct vnet, net)->tx); }

/* --- both ------------------------------------------------------------------------------------------------------ */

static bool vnet_poll(struct net_device *dev, unsigned budget)
{
	struct vnet *v = container_of(dev, struct vnet, net);
	int r = 0;

	if (v->dev->stopped)
		return false;
	tx_reclaim(v);
	virtq_irq_disable(&v->tx->vq);
	while (budget && (r = rx_frame(v)) > 0)
		budget--;
	if (r < 0 || virtq_broken(&v->tx->vq)) {
		virtio_stop(v->dev, "the device breaks the protocol");
		/* Nobody shall wait for room that will never come. */
		atomic_store(&dev->link_up, false);
		return false;
	}
	virtio_kick(v->rx);
	return !budget;
}

static bool vnet_idle(struct net_device *dev)
{
	struct vnet *v = container_of(dev, struct vnet, net);

	return !v->dev->stopped && virtq_irq_enable(&v->rx->vq);
}

static void vnet_queues(struct net_device *dev, unsigned *to_receive, unsigned *to_send)
{
	struct vnet *v = container_of(dev, struct vnet, net);

	tx_reclaim(v);
	*to_receive = v->rx->vq.size - v->rx->vq.nfree;
	*to_send = v->tx->vq.size - v->tx->vq.nfree;
}

static bool link_is_up(struct virtio_device *dev)
{
	uint16_t status = STATUS_LINK_UP;

	if (virtio_has(dev, F_STATUS))
		virtio_config_read(dev, C_STATUS, &status, sizeof(status));
	return status & STATUS_LINK_UP;
}

static void vnet_config(struct virtio_device *dev)
{
	struct vnet *v = dev->driver_data;

	if (!dev->stopped)
		net_device_link(&v->net, link_is_up(dev));
}

/* As many buffers as memory allows. 0 or -ENOMEM if not even the least. */
static int rx_fill(struct vnet *v)
{
	struct mem_stats m;
	unsigned wanted, n = 0;

	mem_stats_get(&m);
	wanted = (unsigned)MIN(MAX(m.total / RX_BUFFERS_SHARE / RX_BUFFER_BYTES, (uint64_t)RX_BUFFERS_MIN),
			       (uint64_t)MIN((unsigned)RX_BUFFERS_MAX, (unsigned)v->rx->vq.size));
	for (; n < wanted; n++) {
		struct rx_buffer *b = rx_new();

		if (!b)
			break;
		if (rx_offer(v, b) < 0) {
			kfree(b);
			break;
		}
	}
	return n ? 0 : -ENOMEM;
}

static unsigned mtu_of(struct virtio_device *dev)
{
	uint16_t mtu = 1500;

	if (virtio_has(dev, F_MTU))
		virtio_config_read(dev, C_MTU, &mtu, sizeof(mtu));
	/* Without merging, a frame must fit into one buffer. */
	if (!virtio_has(dev, F_MRG_RXBUF) && mtu > 1500)
		mtu = 1500;
	return MAX((unsigned)mtu, 1280u);
}

static int vnet_probe(struct virtio_device *dev)
{
	struct vnet *v = kzalloc(sizeof(*v));
	struct virtio_queue_spec specs[] = {
		{ .index = 0, .max_size = QUEUE_ENTRIES, .handler = vnet_irq, .arg = v },
		{ .index = 1, .max_size = QUEUE_ENTRIES, .handler = vnet_irq, .arg = v },
	};
	int r;

	if (!v)
		return -ENOMEM;
	v->dev = dev;
	dev->driver_data = v;
	v->header_bytes = virtio_has(dev, VIRTIO_F_VERSION_1 | F_MRG_RXBUF) ? sizeof(struct net_header) : offsetof(struct net_header, num_buffers);
	v->net.transmit = vnet_transmit;
	v->net.flush = vnet_flush;
	v->net.poll = vnet_poll;
	v->net.idle = vnet_idle;
	v->net.queues = vnet_queues;
	v->net.mtu = mtu_of(dev);
	v->net.offload = virtio_has(dev, F_CSUM) ? NET_OFFLOAD_TX_CSUM : 0;
	snprintf(v->net.name, sizeof(v->net.name), "net %s", dev->where);
	if (virtio_has(dev, F_MAC))
		virtio_config_read(dev, C_MAC, v->net.mac, sizeof(v->net.mac));
	else
		net_mac_random(v->net.mac);
	atomic_store(&v->net.link_up, link_is_up(dev));
	r = virtio_queues_setup(dev, ARRAY_SIZE(specs), specs);
	if (r < 0)
		return r;
	v->rx = &dev->queues[0];
	v->tx = &dev->queues[1];
	r = rx_fill(v);
	if (r < 0)
		return r;
	virtq_irq_disable(&v->tx->vq);
	virtq_irq_enable(&v->rx->vq);
	virtio_ready(dev);
	virtio_kick(v->rx);
	net_device_register(&v->net);
	return 0;
}

static const struct virtio_driver virtio_net = {
	.name = "virtio-net",
	.id = VIRTIO_ID_NET,
	.features = F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC | F_MRG_RXBUF | F_STATUS,
	.probe = vnet_probe,
	.config_changed = vnet_config,
};
VIRTIO_DRIVER(virtio_net);
