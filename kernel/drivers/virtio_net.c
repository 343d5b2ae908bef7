/*
 * kernel/drivers/virtio_net.c - network cards of the hypervisor.
 *
 * Theory:  one queue receives, one sends; several pairs are below. Buffers to receive into are small (RX_BUFFER_BYTES) and wrapped as pbufs, so a frame goes up
 *          without a copy; a large one lies in several, if the device merges them (VIRTIO_NET_F_MRG_RXBUF). For each buffer that goes up
 *          another takes its place first; when there is no memory for one, the frame is dropped and its own buffer stays:
 *          the device always has as many buffers as at the start.
 *          A frame that is sent is copied into a buffer of its own: it may be lwIP's, which changes it when it sends it again. Sent
 *          buffers are freed when the next frame goes out or the network thread looks; there is an interrupt for them only while
 *          somebody waits for room or memory.
 *          Large frames. A device that cuts them (VIRTIO_NET_F_HOST_TSO4 and 6) gets TCP segments that follow each other as one (net/frame.h). lwIP
 *          hands over all that a connection may send at once, so a frame that may be the first of a row stays open until another kind of frame
 *          comes, or the flush at the end of the core lock's turn; the bytes of those that follow go to its buffers. lwIP's segments stay what
 *          they are: one that is lost is sent again alone. The other way (VIRTIO_NET_F_GUEST_TSO4 and 6) the device hands over what it or the
 *          sender has put together, in many of the same buffers; it needs merging, and as many buffers at any time as the largest takes.
 *          A header and its frame lie behind each other in one descriptor. A legacy device that does not know VIRTIO_F_ANY_LAYOUT wants the header
 *          in one of its own, both ways: it gets two descriptors of the same memory.
 *          Several pairs (VIRTIO_NET_F_MQ), one for each CPU at most. The device is asked at the start; until it has agreed, and if it does not, there is one.
 *          A flow is sent by one queue, chosen by its addresses and ports, so that its frames keep their order, and a device that looks at
 *          that answers by the same one. There is one core lock, so the network thread polls all queues, and one CPU takes all interrupts: what
 *          becomes parallel is the device's work.
 * Locking: the stack's core lock guards all queues' submitting and completing sides; the interrupt handler only wakes the thread.
 * Errors:  a device that breaks the protocol is stopped, with a line, and its link is down from then on; frames that it lost are lost.
 * Source:  Virtual I/O Device Version 1.2, 5.1; 5.1.6.6 (legacy framing).
 */
#include "core/log.h"
#include "drivers/acpi.h"
#include "drivers/virtio.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "net/frame.h"
#include "net/memory.h"
#include "net/net.h"
#include "lwip/pbuf.h"
#include "lwip/prot/ethernet.h"

#define F_CSUM (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MTU (1ull << 3)
#define F_MAC (1ull << 5)
#define F_GUEST_TSO4 (1ull << 7)
#define F_GUEST_TSO6 (1ull << 8)
#define F_HOST_TSO4 (1ull << 11)
#define F_HOST_TSO6 (1ull << 12)
#define F_MRG_RXBUF (1ull << 15)
#define F_STATUS (1ull << 16)
#define F_CTRL_VQ (1ull << 17)
#define F_MQ (1ull << 22)

enum { C_MAC = 0, C_STATUS = 6, C_MAX_PAIRS = 8, C_MTU = 10 };
#define STATUS_LINK_UP 1

#define QUEUE_ENTRIES 256
#define RX_BUFFERS_MAX 256
#define RX_BUFFERS_MIN 32
#define RX_BUFFERS_SHARE 512 /* part of memory that waits for frames */
#define RX_BUFFER_BYTES 2048
#define PAIRS_MAX 8
#define PAIRS_SAID_MAX 0x7fff /* more have no number */
#define MERGED_MAX 34        /* buffers of one frame of 64 KiB */
#define LARGE_BYTES (UINT16_MAX + 14) /* the largest frame */
#define LARGE_WAITING 2      /* room for so many of them at the device, at least */
#define TX_PIECE_BYTES 8192  /* buffers of a frame that may become larger: what the allocator has ready */
#define TX_PIECES_MAX 16

struct net_header { /* struct virtio_net_hdr_mrg_rxbuf, little endian */
	uint8_t flags; /* HDR_* */
	uint8_t gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint16_t num_buffers; /* version 1, or with F_MRG_RXBUF */
};
#define HDR_NEEDS_CSUM 1
#define HDR_DATA_VALID 2
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4 };

struct rx_buffer {
	struct pbuf_custom pbuf;
	unsigned bytes;
	uint8_t data[];
};

struct tx_buffer {
	struct tx_buffer *next; /* of the same frame */
	uint32_t len, room;     /* bytes in it, and how many there is place for behind them */
	struct net_header header; /* in the first one */
	uint8_t data[];
};

struct vnet_pair {
	struct virtio_queue *rx, *tx;
};

/* How many pairs the device shall use. */
struct pairs_command {
	uint8_t class, command;
	uint16_t pairs;
	uint8_t answer; /* the device's */
};
#define CLASS_MQ 4
#define MQ_PAIRS_SET 0
#define ANSWER_OK 0

struct vnet {
	struct net_device net;
	struct virtio_device *dev;
	struct vnet_pair pairs[PAIRS_MAX];
	unsigned npairs;        /* that are there */
	unsigned nused;         /* that frames are sent by: npairs once the device has agreed, until then 1 */
	struct virtio_queue *control; /* NULL: there is one pair */
	unsigned header_bytes;
	bool header_apart;      /* it needs a descriptor of its own */
	unsigned rx_bytes;      /* of a buffer to receive into */
	/* The frame that is open: its buffers, which its queue does not have yet, but has room for; or NULL. */
	struct tx_buffer *open, *open_last;
	struct virtio_queue *open_queue;
	unsigned open_pieces;
	struct frame_run run;
};

/* Descriptors that the smallest frame takes, and each buffer to receive into. */
static unsigned least_descriptors(const struct vnet *v) { return v->header_apart ? 2 : 1; }

static void vnet_irq(struct virtio_queue *q) { net_device_wake(&((struct vnet *)q->arg)->net); }

/* --- receiving -------------------------------------------------------------------------------------------- */

static struct rx_buffer *rx_new(struct vnet *v)
{
	struct rx_buffer *b = kmalloc_flags(v->rx_bytes, ALLOC_NORECLAIM);

	if (b)
		b->bytes = v->rx_bytes;
	return b;
}

static unsigned rx_room(const struct vnet *v) { return v->rx_bytes - sizeof(struct rx_buffer) - NET_RX_SLACK; }

/* The stack is done with a buffer. */
static void rx_free(struct pbuf *p)
{
	struct rx_buffer *b = container_of(p, struct rx_buffer, pbuf.pbuf);

	net_held_sub(b->bytes);
	kfree(b);
}

static int rx_offer(struct vnet *v, struct virtio_queue *rx, struct rx_buffer *b)
{
	paddr_t at = virt_to_phys(b->data);
	unsigned first = v->header_apart ? v->header_bytes : rx_room(v);
	struct virtq_segment segs[2] = { { at, first }, { at + first, rx_room(v) - first } };

	return virtq_add(&rx->vq, segs, 0, least_descriptors(v), b);
}

/* Takes the next used buffer. Its bytes, 0 if there is none, -EIO (then *b may be one, too, or NULL). */
static int rx_take(struct virtio_queue *rx, struct rx_buffer **b)
{
	struct virtq_done done;
	int r = virtq_take(&rx->vq, &done);

	*b = NULL;
	if (r <= 0)
		return r;
	virtq_free(&rx->vq, done.head);
	*b = done.token;
	return done.len ? (int)done.len : -EIO;
}

/* Puts the frame's buffers back under the device: it is dropped. */
static void rx_drop(struct vnet *v, struct virtio_queue *rx, struct rx_buffer **bufs, unsigned n)
{
	v->net.rx_dropped++;
	for (unsigned i = 0; i < n; i++)
		if (rx_offer(v, rx, bufs[i]) < 0)
			kfree(bufs[i]);
}

static struct pbuf *rx_wrap(struct rx_buffer *b, unsigned skip, unsigned len)
{
	b->pbuf.custom_free_function = rx_free;
	net_held_add(b->bytes);
	return pbuf_alloced_custom(PBUF_RAW, (u16_t)len, PBUF_REF, &b->pbuf, b->data + skip, (u16_t)len);
}

/* Is it a large frame that the device may hand over? It is nothing else, then: its kind is looked at again where it goes. */
static bool rx_large(const struct vnet *v, const struct net_header *h)
{
	return h->gso_size && ((h->gso_type == GSO_TCPV4 && virtio_has(v->dev, F_GUEST_TSO4)) ||
			       (h->gso_type == GSO_TCPV6 && virtio_has(v->dev, F_GUEST_TSO6)));
}

/* One frame. The buffers that it took, 0 if there is none, -EIO. */
static int rx_frame(struct vnet *v, struct virtio_queue *rx)
{
	struct rx_buffer *bufs[MERGED_MAX];
	unsigned lens[MERGED_MAX], n = 0, parts = 1, total = 0, fresh = 0, skip = v->header_bytes;
	struct net_header h;
	struct pbuf *p = NULL;

	do {
		int len = rx_take(rx, &bufs[n]);

		if (len == 0 && n == 0)
			return 0;
		/* The parts of a frame come together: one that is missing is the device's fault. */
		if (len <= 0)
			goto broken;
		lens[n] = (unsigned)len;
		if (n == 0) {
			if (lens[0] < v->header_bytes)
				goto broken;
			/* A copy: the device could change its own meanwhile. Of the shorter, old header the last field is not looked at. */
			memcpy(&h, bufs[0]->data, sizeof(h));
			if (virtio_has(v->dev, F_MRG_RXBUF))
				parts = h.num_buffers;
			if (parts == 0 || parts > MERGED_MAX)
				goto broken;
		}
		total += lens[n];
	} while (++n < parts);
	/* What stands for many goes up without its Ethernet header: then its length can be counted. */
	if (h.gso_type != GSO_NONE)
		skip += SIZEOF_ETH_HDR;
	if ((h.gso_type != GSO_NONE && !rx_large(v, &h)) || lens[0] < skip || total - skip > UINT16_MAX) {
		rx_drop(v, rx, bufs, n);
		return (int)n;
	}
	for (; fresh < n; fresh++) {
		struct rx_buffer *b = net_memory_exhausted() ? NULL : rx_new(v);

		if (!b)
			break;
		if (rx_offer(v, rx, b) < 0) {
			kfree(b);
			break;
		}
	}
	/* What has not been replaced goes back; a frame that lost a part is lost. */
	if (fresh < n) {
		v->net.rx_dropped++;
		for (unsigned i = 0; i < n; i++)
			if (i < fresh || rx_offer(v, rx, bufs[i]) < 0)
				kfree(bufs[i]);
		return (int)n;
	}
	for (unsigned i = n; i-- > 0;) {
		struct pbuf *part = rx_wrap(bufs[i], i ? 0 : skip, lens[i] - (i ? 0 : skip));

		if (p)
			pbuf_cat(part, p);
		p = part;
	}
	/* NEEDS_CSUM: it never left the host, its sum is not even there. */
	(h.gso_type == GSO_NONE ? net_receive : net_receive_large)(&v->net, p, h.flags & (HDR_DATA_VALID | HDR_NEEDS_CSUM));
	return (int)n;
broken:
	for (unsigned i = 0; i <= n; i++)
		kfree(bufs[i]);
	return -EIO;
}

/* --- sending ------------------------------------------------------------------------------------------------ */

static void tx_free(struct tx_buffer *b)
{
	while (b) {
		struct tx_buffer *next = b->next;

		kfree(b);
		b = next;
	}
}

static void tx_reclaim(struct virtio_queue *tx)
{
	struct virtq_done done;

	while (virtq_take(&tx->vq, &done) > 0) {
		virtq_free(&tx->vq, done.head);
		tx_free(done.token);
	}
}

/* A buffer for so many bytes, and for what may follow if that is expected. */
static struct tx_buffer *tx_new(unsigned bytes, bool more)
{
	unsigned room = more ? MAX(bytes, (unsigned)(TX_PIECE_BYTES - sizeof(struct tx_buffer))) : bytes;
	struct tx_buffer *b = kmalloc_flags(sizeof(*b) + room, ALLOC_NORECLAIM);

	if (!b && room > bytes) {
		room = bytes;
		b = kmalloc_flags(sizeof(*b) + room, ALLOC_NORECLAIM);
	}
	if (b)
		*b = (struct tx_buffer){ .room = room };
	return b;
}

static void tx_fill(struct tx_buffer *b, const struct pbuf *p, unsigned at, unsigned bytes)
{
	pbuf_copy_partial(p, b->data + b->len, (u16_t)bytes, (u16_t)at);
	b->len += bytes;
	b->room -= bytes;
}

/* Hands a frame over, its header complete. Fails only if there is no room in the queue, or the device is broken. */
static int tx_queue(struct vnet *v, struct virtio_queue *tx, struct tx_buffer *first)
{
	unsigned skip = sizeof(struct net_header) - v->header_bytes, n = 0;
	struct virtq_segment segs[1 + TX_PIECES_MAX];
	uint8_t *header = (uint8_t *)&first->header;
	int r;

	/* The shorter, old header ends where the frame begins, too. */
	if (skip)
		memmove(header + skip, header, v->header_bytes);
	segs[n++] = (struct virtq_segment){ virt_to_phys(header + skip), v->header_bytes };
	if (!v->header_apart)
		segs[0].len += first->len;
	for (const struct tx_buffer *b = v->header_apart ? first : first->next; b; b = b->next)
		segs[n++] = (struct virtq_segment){ virt_to_phys(b->data), b->len };
	r = virtq_add(&tx->vq, segs, n, 0, first);
	if (r < 0)
		tx_free(first);
	return r < 0 ? r : 0;
}

/* --- frames that become large --- */

static void tx_close(struct vnet *v)
{
	struct tx_buffer *first = v->open;
	const struct frame_run *run = &v->run;
	struct frame_sum sum;

	if (!first)
		return;
	v->open = NULL;
	frame_run_end(run, first->data, &sum);
	first->header = (struct net_header){ .flags = HDR_NEEDS_CSUM, .csum_start = sum.start, .csum_offset = sum.offset };
	if (run->count > 1) {
		first->header.gso_type = run->ipv6 ? GSO_TCPV6 : GSO_TCPV4;
		first->header.gso_size = run->size;
		first->header.hdr_len = run->data;
		v->net.tx_large++;
		v->net.tx_joined += run->count;
	}
	tx_queue(v, v->open_queue, first);
}

/* May others follow this frame? */
static bool tx_may_grow(struct vnet *v, const struct pbuf *p)
{
	return v->net.offload & NET_OFFLOAD_TX_CSUM && frame_run_begin(&v->run, p->payload, p->len, p->tot_len) &&
	       virtio_has(v->dev, v->run.ipv6 ? F_HOST_TSO6 : F_HOST_TSO4);
}

/* Adds a frame to the one that is open. False: it does not belong there, or there is no room. */
static bool tx_append(struct vnet *v, const struct pbuf *p)
{
	unsigned at = frame_run_takes(&v->run, v->open->data, p->payload, p->len, p->tot_len), bytes, here;
	struct tx_buffer *last = v->open_last, *more;

	if (!at)
		return false;
	bytes = p->tot_len - at;
	here = MIN(bytes, last->room);
	if (here < bytes) {
		if (v->open_pieces == TX_PIECES_MAX || v->open_pieces + least_descriptors(v) > v->open_queue->vq.nfree)
			return false;
		more = tx_new(bytes - here, true);
		if (!more)
			return false;
		last->next = v->open_last = more;
		v->open_pieces++;
		tx_fill(more, p, at + here, bytes - here);
	}
	tx_fill(last, p, at, here);
	frame_run_add(&v->run, p->payload, p->tot_len);
	if (!v->run.open)
		tx_close(v);
	return true;
}

/* There is no room, or no memory, which frames under way give back when they are sent: only now is the interrupt for them asked for. One that was
 * sent meanwhile is looked at as if it were it. */
static int tx_wait(struct vnet *v, struct virtio_queue *tx)
{
	if (virtq_irq_enable(&tx->vq))
		net_device_wake(&v->net);
	return -ENOBUFS;
}

static struct virtio_queue *tx_choose(const struct vnet *v, const struct pbuf *p)
{
	return v->pairs[v->nused > 1 ? frame_flow(p->payload, p->len) % v->nused : 0].tx;
}

static int vnet_transmit(struct net_device *dev, struct pbuf *p)
{
	struct vnet *v = container_of(dev, struct vnet, net);
	struct virtio_queue *tx;
	struct tx_buffer *b;
	struct frame_sum sum;
	bool may_grow;

	if (v->open) {
		tx_reclaim(v->open_queue);
		if (tx_append(v, p))
			return 0;
		tx_close(v);
	}
	tx = tx_choose(v, p);
	tx_reclaim(tx);
	if (tx->vq.nfree < least_descriptors(v) || virtq_broken(&tx->vq))
		return tx_wait(v, tx);
	may_grow = tx_may_grow(v, p);
	/* One that is pushed has nothing behind it, mostly. */
	b = tx_new(p->tot_len, may_grow && !v->run.pushed);
	if (!b) {
		int r = tx_wait(v, tx);

		return tx->vq.nfree < tx->vq.size ? r : -ENOMEM;
	}
	tx_fill(b, p, 0, p->tot_len);
	if (may_grow) {
		v->open = v->open_last = b;
		v->open_queue = tx;
		v->open_pieces = 1;
		return 0;
	}
	if (dev->offload & NET_OFFLOAD_TX_CSUM && frame_sum_prepare(b->data, p->tot_len, &sum))
		b->header = (struct net_header){ .flags = HDR_NEEDS_CSUM, .csum_start = sum.start, .csum_offset = sum.offset };
	return tx_queue(v, tx, b) ? tx_wait(v, tx) : 0;
}

static void vnet_flush(struct net_device *dev)
{
	struct vnet *v = container_of(dev, struct vnet, net);

	tx_close(v);
	for (unsigned i = 0; i < v->nused; i++)
		virtio_kick(v->pairs[i].tx);
}

/* --- several pairs ------------------------------------------------------------------------------------------------ */

/* Asks for all pairs that are there. Without memory there is one. */
static void pairs_ask(struct vnet *v)
{
	struct pairs_command *c = kmalloc_flags(sizeof(*c), ALLOC_NORECLAIM);
	struct virtq_segment segs[3];

	if (!c)
		return;
	*c = (struct pairs_command){ .class = CLASS_MQ, .command = MQ_PAIRS_SET, .pairs = (uint16_t)v->npairs, .answer = (uint8_t)~ANSWER_OK };
	segs[0] = (struct virtq_segment){ virt_to_phys(c), 2 };
	segs[1] = (struct virtq_segment){ virt_to_phys(&c->pairs), sizeof(c->pairs) };
	segs[2] = (struct virtq_segment){ virt_to_phys(&c->answer), sizeof(c->answer) };
	if (virtq_add(&v->control->vq, segs, 2, 1, c) < 0)
		kfree(c);
	else
		virtio_kick(v->control);
}

static void pairs_answered(struct vnet *v)
{
	struct virtq_done done;
	struct pairs_command *c;

	if (!v->control || virtq_take(&v->control->vq, &done) <= 0)
		return;
	virtq_free(&v->control->vq, done.head);
	c = done.token;
	if ((done.len == sizeof(c->answer) || v->dev->legacy) && c->answer == ANSWER_OK)
		v->nused = v->npairs;
	log_info("%s: %u pair(s) of queues%s", v->net.name, v->nused, v->nused < v->npairs ? ", more are refused" : "");
	kfree(c);
}

/* How many pairs to use, and where the control queue is. Those that are missing are a lie of the device, without which it can be used. */
static unsigned pairs_wanted(struct virtio_device *dev, unsigned *control)
{
	uint16_t said = 1;
	unsigned n = 1;

	if (virtio_has(dev, F_MQ))
		virtio_config_read(dev, C_MAX_PAIRS, &said, sizeof(said));
	*control = 2u * said;
	if (said < 1 || said > PAIRS_SAID_MAX)
		return 1;
	while (n < MIN(MIN((unsigned)said, acpi.ncpus), (unsigned)PAIRS_MAX) && dev->transport->queue_size(dev, 2 * n) &&
	       dev->transport->queue_size(dev, 2 * n + 1))
		n++;
	return n > 1 && dev->transport->queue_size(dev, *control) ? n : 1;
}

/* --- both ------------------------------------------------------------------------------------------------------ */

/* Receives from one queue. True: there is more. */
static bool pair_poll(struct vnet *v, struct vnet_pair *pair, unsigned budget, bool *broken)
{
	int r = 0;

	tx_reclaim(pair->tx);
	/* Who waits for room has asked for it. */
	if (!v->net.tx_full)
		virtq_irq_disable(&pair->tx->vq);
	while (budget && (r = rx_frame(v, pair->rx)) > 0)
		budget -= MIN(budget, (unsigned)r);
	*broken |= r < 0 || virtq_broken(&pair->tx->vq);
	return !budget;
}

static bool vnet_poll(struct net_device *dev, unsigned budget)
{
	struct vnet *v = container_of(dev, struct vnet, net);
	bool more = false, broken;

	if (v->dev->stopped) {
		/* Whoever was about to say that the link is up did not know. */
		atomic_store(&dev->link_up, false);
		return false;
	}
	pairs_answered(v);
	broken = v->control && virtq_broken(&v->control->vq);
	for (unsigned i = 0; i < v->npairs; i++)
		more |= pair_poll(v, &v->pairs[i], MAX(budget / v->npairs, 1u), &broken);
	if (broken) {
		virtio_stop(v->dev, "the device breaks the protocol");
		/* Nobody shall wait for room that will never come. */
		atomic_store(&dev->link_up, false);
		net_device_wake(dev);
		return false;
	}
	for (unsigned i = 0; i < v->npairs; i++)
		virtio_kick(v->pairs[i].rx);
	return more;
}

static bool vnet_idle(struct net_device *dev)
{
	struct vnet *v = container_of(dev, struct vnet, net);
	bool some = false;

	for (unsigned i = 0; !v->dev->stopped && i < v->npairs; i++)
		some |= virtq_irq_enable(&v->pairs[i].rx->vq);
	return some;
}

static void vnet_queues(struct net_device *dev, unsigned *to_receive, unsigned *to_send)
{
	struct vnet *v = container_of(dev, struct vnet, net);

	*to_receive = *to_send = 0;
	for (unsigned i = 0; i < v->npairs; i++) {
		struct vnet_pair *pair = &v->pairs[i];

		tx_reclaim(pair->tx);
		*to_receive += (pair->rx->vq.size - pair->rx->vq.nfree) / least_descriptors(v);
		*to_send += (pair->tx->vq.size - pair->tx->vq.nfree) / least_descriptors(v);
	}
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

static unsigned rx_largest(const struct vnet *v)
{
	return virtio_has(v->dev, F_GUEST_TSO4 | F_GUEST_TSO6) ? LARGE_BYTES + v->header_bytes : 1;
}

static unsigned rx_places(const struct vnet *v, const struct virtio_queue *rx) { return rx->vq.size / least_descriptors(v); }

/* Where queues have few places, buffers are larger. */
static void rx_choose_bytes(struct vnet *v)
{
	unsigned places = rx_places(v, v->pairs[0].rx);

	for (unsigned i = 1; i < v->npairs; i++)
		places = MIN(places, rx_places(v, v->pairs[i].rx));
	v->rx_bytes = RX_BUFFER_BYTES;
	while (places * rx_room(v) < LARGE_WAITING * rx_largest(v))
		v->rx_bytes *= 2;
}

/* As many buffers as memory allows. 0 or -ENOMEM if not even the least: a device that has too few for a large frame waits for ever. */
static int rx_fill(struct vnet *v, struct virtio_queue *rx)
{
	unsigned wanted, n = 0;
	struct mem_stats m;

	mem_stats_get(&m);
	wanted = (unsigned)MIN(MAX(m.total / RX_BUFFERS_SHARE / RX_BUFFER_BYTES / v->npairs, (uint64_t)RX_BUFFERS_MIN), (uint64_t)RX_BUFFERS_MAX);
	wanted = MIN(MAX(wanted, LARGE_WAITING * rx_largest(v) / rx_room(v) + 1), rx_places(v, rx));
	for (; n < wanted; n++) {
		struct rx_buffer *b = rx_new(v);

		if (!b)
			break;
		if (rx_offer(v, rx, b) < 0) {
			kfree(b);
			break;
		}
	}
	return n * rx_room(v) >= rx_largest(v) ? 0 : -ENOMEM;
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

/* The sum is the device's if the rest of a large frame is, and one that it hands over comes in parts; many pairs are for many CPUs. */
static uint64_t vnet_choose(uint64_t offered)
{
	if (!(offered & F_CTRL_VQ) || !(offered & F_MQ) || acpi.ncpus < 2)
		offered &= ~(F_CTRL_VQ | F_MQ);
	if (!(offered & F_CSUM))
		offered &= ~(F_HOST_TSO4 | F_HOST_TSO6);
	if (!(offered & F_GUEST_CSUM) || !(offered & F_MRG_RXBUF))
		offered &= ~(F_GUEST_TSO4 | F_GUEST_TSO6);
	return offered;
}

static int vnet_probe(struct virtio_device *dev)
{
	struct vnet *v = kzalloc(sizeof(*v));
	struct virtio_queue_spec specs[2 * PAIRS_MAX + 1];
	unsigned control, nqueues;
	int r;

	if (!v)
		return -ENOMEM;
	v->dev = dev;
	dev->driver_data = v;
	v->header_bytes = virtio_has(dev, VIRTIO_F_VERSION_1 | F_MRG_RXBUF) ? sizeof(struct net_header) : offsetof(struct net_header, num_buffers);
	v->header_apart = dev->legacy && !virtio_has(dev, VIRTIO_F_ANY_LAYOUT);
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
	v->nused = 1;
	v->npairs = pairs_wanted(dev, &control);
	nqueues = 2 * v->npairs + (v->npairs > 1);
	for (unsigned i = 0; i < nqueues; i++)
		specs[i] = (struct virtio_queue_spec){ .index = i < 2 * v->npairs ? i : control, .max_size = QUEUE_ENTRIES, .handler = vnet_irq, .arg = v };
	r = virtio_queues_setup(dev, nqueues, specs);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < v->npairs; i++)
		v->pairs[i] = (struct vnet_pair){ &dev->queues[2 * i], &dev->queues[2 * i + 1] };
	if (v->npairs > 1)
		v->control = &dev->queues[2 * v->npairs];
	for (unsigned i = 0; i < v->npairs; i++)
		if (MIN(v->pairs[i].rx->vq.size, v->pairs[i].tx->vq.size) < least_descriptors(v))
			return -EINVAL;
	rx_choose_bytes(v);
	for (unsigned i = 0; i < v->npairs; i++) {
		r = rx_fill(v, v->pairs[i].rx);
		if (r < 0)
			return r;
		virtq_irq_disable(&v->pairs[i].tx->vq);
		virtq_irq_enable(&v->pairs[i].rx->vq);
	}
	virtio_ready(dev);
	if (v->control) {
		virtq_irq_enable(&v->control->vq);
		pairs_ask(v);
	}
	for (unsigned i = 0; i < v->npairs; i++)
		virtio_kick(v->pairs[i].rx);
	net_device_register(&v->net);
	return 0;
}

static const struct virtio_driver virtio_net = {
	.name = "virtio-net",
	.id = VIRTIO_ID_NET,
	.features = F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC | F_MRG_RXBUF | F_STATUS | F_HOST_TSO4 | F_HOST_TSO6 | F_GUEST_TSO4 | F_GUEST_TSO6 |
		    F_CTRL_VQ | F_MQ,
	.choose = vnet_choose,
	.probe = vnet_probe,
	.config_changed = vnet_config,
};
VIRTIO_DRIVER(virtio_net);
