/*
 * kernel/drivers/virtio_console.c - named ports to the host: the streams of the application and the
 * control channel (images/format.h).
 *
 * Theory:  a device has one pair of queues for each port and one pair for control messages. At the probe we
 *          say "ready"; the device names its ports; each is answered and registered. The control
 *          messages of one exchange are answered before the message that caused them is given back, so
 *          that console_settle() knows when everything is there. A port may come, open and close later.
 *
 *          Output is copied into a ring of bytes; each copied piece is one buffer of the device. Pieces
 *          are released in the order they were queued, whatever order the device uses them in. A writer
 *          sleeps only when the ring is full or the host has not opened the port yet. Input has two small
 *          buffers; what does not fit stays with the host. Both are allocated at the first use.
 *
 *          Interrupts only post the device's work, which looks at every port: there is one consumer of
 *          each queue, whoever holds the port's lock.
 * Locking: console->lock: control queues and the table of ports; taken before port->lock: both queues of
 *          that port. `writing` keeps a long write whole although the lock is released while it sleeps.
 * Errors:  -EPIPE: the host closed the port (nothing will arrive); -EIO: the device is gone.
 * Source:  Virtual I/O Device Version 1.2, 5.3.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/thread.h"
#include "core/waitq.h"
#include "drivers/device.h"
#include "drivers/virtio.h"
#include "lib/string.h"
#include "mm/mm.h"

#define F_MULTIPORT (1ull << 1)
#define C_MAX_PORTS 4

#define MAX_PORTS 6         /* numbers 0 to 5: 0 is for consoles, then the four of images/format.h, and one */
#define NAME_BYTES 32
#define RX_BUFFERS 2
#define RX_BYTES 1024
#define TX_BYTES 8192u      /* a power of two */
#define TX_PIECES 16
#define TX_PIECE_MAX 4096u
#define CONTROL_BUFFERS 32
#define CONTROL_BYTES 96
#define HANDSHAKE_NS (NSEC_PER_SEC / 2)

enum control_event {
	E_DEVICE_READY = 0, E_PORT_ADD = 1, E_PORT_REMOVE = 2, E_PORT_READY = 3, E_CONSOLE_PORT = 4,
	E_RESIZE = 5, E_PORT_OPEN = 6, E_PORT_NAME = 7,
};

struct control_message {
	uint32_t id;
	uint16_t event, value;
};

struct tx_piece {
	uint32_t len;
	bool used;
};

/* Output of one opening: bytes [tail, head) of the ring belong to the pieces in flight. */
struct tx_ring {
	uint8_t *mem;
	uint32_t head, tail;
	struct tx_piece pieces[TX_PIECES];
	unsigned piece_head, piece_tail; /* free running */
};

struct port {
	struct console_port base;
	struct console *console;
	struct virtio_queue *rx, *tx;
	unsigned id;
	char name[NAME_BYTES];
	bool present, registered;

	struct mutex lock;
	struct waitq readers, writers;
	bool host_open, was_open, dead;

	/* input: buffers go round in the order in which the device used them */
	uint8_t *rx_mem;
	struct virtq_done rx_current; /* token NULL: none */
	uint32_t rx_offset;

	bool writing;
	struct tx_ring *ring; /* allocated at the first write */
};

struct console {
	struct virtio_device *dev;
	struct work work;
	struct mutex lock;
	struct waitq settled;
	struct virtio_queue *control_rx, *control_tx;
	uint8_t *control_rx_mem;
	struct control_message *control_tx_mem;
	uint32_t control_tx_free; /* bit per message buffer */
	unsigned nports;
	struct port ports[MAX_PORTS];
};

static struct port *to_port(struct console_port *p)
{
	return container_of(p, struct port, base);
}

static void port_die(struct port *port)
{
	if (port->dead)
		return;
	port->dead = true;
	virtio_stop(port->console->dev, "the device breaks the protocol");
	waitq_wake_all(&port->readers, 0);
	waitq_wake_all(&port->writers, 0);
	work_post(&port->console->work); /* the other ports find their queues broken too */
}

/* --- input -------------------------------------------------------------------------------------- */

static void rx_offer(struct port *port, uint8_t *buf)
{
	struct virtq_segment seg = { .addr = virt_to_phys(buf), .len = RX_BYTES };

	if (virtq_add(&port->rx->vq, &seg, 0, 1, buf) >= 0)
		virtio_kick(port->rx);
}

static bool rx_start(struct port *port)
{
	if (port->rx_mem)
		return true;
	/* Without buffers the device never interrupts, and who waits for input never asks again: once in the port's life the reserve is for that. */
	port->rx_mem = kmalloc_flags(RX_BUFFERS * RX_BYTES, ALLOC_RESERVE);
	if (!port->rx_mem)
		return false;
	for (unsigned i = 0; i < RX_BUFFERS; i++)
		rx_offer(port, port->rx_mem + i * RX_BYTES);
	return true;
}

/* Is there a byte? Fetches the next buffer if need be. */
static bool rx_data(struct port *port)
{
	int r = 0;

	while (!port->rx_current.token && (r = virtq_take(&port->rx->vq, &port->rx_current)) > 0) {
		port->rx_offset = 0;
		if (port->rx_current.len == 0) { /* an empty buffer means nothing: it goes back */
			uint8_t *buf = port->rx_current.token;

			virtq_free(&port->rx->vq, port->rx_current.head);
			port->rx_current.token = NULL;
			rx_offer(port, buf);
		}
	}
	if (r < 0)
		port_die(port);
	return port->rx_current.token != NULL;
}

/*
 * Data, end of file or an error: is there something to answer? The host's close is looked at before
 * the queue, so that data sent ahead of it is still found.
 */
static bool rx_answer(struct port *port, bool *end)
{
	*end = port->was_open && !port->host_open;
	return rx_data(port) || *end || port->dead;
}

/* The same; if the answer is no, an interrupt will tell when it changes. */
static bool rx_answer_or_arm(struct port *port, bool *end)
{
	do {
		if (rx_answer(port, end))
			return true;
	} while (virtq_irq_enable(&port->rx->vq));
	return false;
}

static size_t rx_copy(struct port *port, uint8_t *out, size_t len)
{
	size_t n = 0;

	while (n < len && rx_data(port)) {
		uint8_t *buf = port->rx_current.token;
		uint32_t part = (uint32_t)MIN(len - n, (size_t)(port->rx_current.len - port->rx_offset));

		memcpy(out + n, buf + port->rx_offset, part);
		n += part;
		port->rx_offset += part;
		if (port->rx_offset < port->rx_current.len)
			break;
		virtq_free(&port->rx->vq, port->rx_current.head);
		port->rx_current.token = NULL;
		rx_offer(port, buf);
	}
	return n;
}

static ssize_t port_read(struct console_port *p, void *buf, size_t len)
{
	struct port *port = to_port(p);
	ssize_t r = 0;
	bool end;

	if (len == 0)
		return 0;
	mutex_lock(&port->lock);
	if (!rx_start(port))
		r = -ENOMEM;
	while (r == 0 && !rx_answer_or_arm(port, &end))
		r = waitq_wait(&port->readers, &port->lock, DEADLINE_NEVER, true);
	if (r == 0)
		r = (ssize_t)rx_copy(port, buf, len);
	if (r == 0 && port->dead)
		r = -EIO;
	/* A listener wants to hear of what comes next; what is there already it will ask for. */
	if (virtq_irq_enable(&port->rx->vq))
		work_post(&port->console->work);
	mutex_unlock(&port->lock);
	return r;
}

static bool port_readable(struct console_port *p)
{
	struct port *port = to_port(p);
	bool yes, end;

	mutex_lock(&port->lock);
	yes = rx_start(port) && rx_answer_or_arm(port, &end);
	mutex_unlock(&port->lock);
	return yes;
}

/* --- output --------------------------------------------------------------------------------------- */

/* Releases what the device has used, in the order of the ring. */
static void tx_reclaim(struct port *port)
{
	struct tx_ring *ring = port->ring;
	struct virtq_done done;
	int r;

	while ((r = virtq_take(&port->tx->vq, &done)) > 0) {
		struct tx_piece *piece = done.token;

		piece->used = true;
		virtq_free(&port->tx->vq, done.head);
	}
	while (ring && ring->piece_tail != ring->piece_head &&
	       ring->pieces[ring->piece_tail % TX_PIECES].used) {
		ring->tail += ring->pieces[ring->piece_tail % TX_PIECES].len;
		ring->piece_tail++;
	}
	if (r < 0)
		port_die(port);
}

static bool tx_in_flight(const struct port *port)
{
	return port->ring && port->ring->piece_head != port->ring->piece_tail;
}

/* One for an opening, from the reserve: what goes to the control port, such as the wish for input, is not said again. */
static struct tx_ring *tx_ring_create(void)
{
	struct tx_ring *ring = kmalloc_flags(sizeof(*ring), ALLOC_ZERO | ALLOC_RESERVE);
	struct page *page = page_alloc(1, ALLOC_RESERVE);

	if (!ring || !page) {
		kfree(ring);
		if (page)
			page_put(page);
		return NULL;
	}
	ring->mem = page_to_virt(page);
	return ring;
}

/* Queues at most len bytes; 0 if there is no room now. */
static uint32_t tx_queue(struct port *port, const uint8_t *data, size_t len)
{
	struct tx_ring *ring = port->ring;
	uint32_t at = ring->head % TX_BYTES;
	uint32_t room = MIN(TX_BYTES - (ring->head - ring->tail), TX_BYTES - at);
	uint32_t n = (uint32_t)MIN(len, (size_t)MIN(room, TX_PIECE_MAX));
	struct tx_piece *piece = &ring->pieces[ring->piece_head % TX_PIECES];
	struct virtq_segment seg = { .addr = virt_to_phys(ring->mem + at), .len = n };

	if (n == 0 || ring->piece_head - ring->piece_tail >= TX_PIECES || port->tx->vq.nfree == 0)
		return 0;
	memcpy(ring->mem + at, data, n);
	piece->len = n;
	piece->used = false;
	if (virtq_add(&port->tx->vq, &seg, 1, 0, piece) < 0)
		return 0;
	ring->piece_head++;
	ring->head += n;
	return n;
}

/* Waits until the device has used something, or the port's state changes. Lock held. */
static int tx_wait(struct port *port, uint64_t deadline, bool interruptible)
{
	int r = 0;

	virtio_kick(port->tx);
	if (!virtq_irq_enable(&port->tx->vq))
		r = waitq_wait(&port->writers, &port->lock, deadline, interruptible);
	virtq_irq_disable(&port->tx->vq);
	tx_reclaim(port);
	return r;
}

static ssize_t tx_write(struct port *port, const uint8_t *data, size_t len)
{
	size_t done = 0;
	int r = 0;

	while (done < len) {
		uint32_t n;

		tx_reclaim(port);
		if (port->dead)
			r = -EIO;
		else if (port->was_open && !port->host_open)
			r = -EPIPE;
		else if (!port->ring && !(port->ring = tx_ring_create()))
			r = -ENOMEM;
		if (r < 0)
			break;
		n = port->host_open ? tx_queue(port, data + done, len - done) : 0;
		done += n;
		if (n == 0)
			r = tx_wait(port, DEADLINE_NEVER, true);
	}
	virtio_kick(port->tx);
	return done ? (ssize_t)done : r;
}

static ssize_t port_write(struct console_port *p, const void *buf, size_t len)
{
	struct port *port = to_port(p);
	ssize_t r = 0;

	if (len == 0)
		return 0;
	mutex_lock(&port->lock);
	while (port->writing && r == 0)
		r = waitq_wait(&port->writers, &port->lock, DEADLINE_NEVER, true);
	if (r == 0) {
		port->writing = true;
		r = tx_write(port, buf, len);
		port->writing = false;
		waitq_wake_all(&port->writers, 0);
	}
	mutex_unlock(&port->lock);
	return r;
}

static void port_flush(struct console_port *p, uint64_t timeout_ns)
{
	struct port *port = to_port(p);
	uint64_t now = clock_monotonic_ns();
	uint64_t deadline = timeout_ns > DEADLINE_NEVER - now ? DEADLINE_NEVER : now + timeout_ns;

	mutex_lock(&port->lock);
	tx_reclaim(port);
	/* A host that closed the port has thrown away what it had not taken. */
	while (tx_in_flight(port) && port->host_open && !port->dead)
		if (tx_wait(port, deadline, false) < 0)
			break;
	mutex_unlock(&port->lock);
}

/* --- control messages -------------------------------------------------------------------------------- */

static void control_reclaim(struct console *con)
{
	struct virtq_done done;

	while (virtq_take(&con->control_tx->vq, &done) > 0) {
		virtq_free(&con->control_tx->vq, done.head);
		con->control_tx_free |= 1u << ((struct control_message *)done.token - con->control_tx_mem);
	}
}

static void control_send(struct console *con, uint32_t id, uint16_t event, uint16_t value)
{
	struct virtq_segment seg = { .len = sizeof(struct control_message) };
	struct control_message *m;
	unsigned slot;

	control_reclaim(con);
	if (!con->control_tx_free || con->control_tx->vq.nfree == 0) {
		log_err("%s: the device takes no control messages", con->dev->name);
		return;
	}
	slot = (unsigned)__builtin_ctz(con->control_tx_free);
	m = &con->control_tx_mem[slot];
	*m = (struct control_message){ .id = id, .event = event, .value = value };
	seg.addr = virt_to_phys(m);
	if (virtq_add(&con->control_tx->vq, &seg, 1, 0, m) < 0)
		return;
	con->control_tx_free &= ~(1u << slot);
	virtio_kick(con->control_tx);
}

static void control_offer(struct console *con, uint8_t *buf)
{
	struct virtq_segment seg = { .addr = virt_to_phys(buf), .len = CONTROL_BYTES };

	virtq_add(&con->control_rx->vq, &seg, 0, 1, buf);
}

static void port_set_open(struct port *port, bool open)
{
	mutex_lock(&port->lock);
	tx_reclaim(port);
	/*
	 * QEMU forgets a buffer that it was working on when the port closed, and never gives it back. The
	 * next opening takes a ring of its own; the old one stays, since the device may still know it.
	 */
	if (open && !port->host_open && tx_in_flight(port))
		port->ring = NULL;
	port->host_open = open;
	port->was_open |= open;
	waitq_wake_all(&port->readers, 0);
	waitq_wake_all(&port->writers, 0);
	mutex_unlock(&port->lock);
}

static void port_register(struct port *port, const char *name, size_t len)
{
	if (port->registered)
		return;
	len = MIN(strnlen(name, len), (size_t)NAME_BYTES - 1);
	memcpy(port->name, name, len);
	port->name[len] = 0;
	port->base.name = port->name;
	port->base.write = port_write;
	port->base.read = port_read;
	port->base.readable = port_readable;
	port->base.flush = port_flush;
	port->registered = true;
	console_register(&port->base);
	log_debug("%s: port %u is %s", port->console->dev->name, port->id, port->name);
}

static void control_handle(struct console *con, const uint8_t *buf, uint32_t len)
{
	struct control_message m;
	struct port *port;

	if (len < sizeof(m))
		return;
	memcpy(&m, buf, sizeof(m));
	if (m.id >= con->nports) {
		if (m.event == E_PORT_ADD)
			log_warn("%s: port %u is one too many, ignored", con->dev->name, m.id);
		return;
	}
	port = &con->ports[m.id];
	switch (m.event) {
	case E_PORT_ADD:
		if (port->present)
			break;
		port->present = true;
		control_send(con, m.id, E_PORT_READY, 1);
		control_send(con, m.id, E_PORT_OPEN, 1);
		break;
	case E_PORT_REMOVE:
		port_set_open(port, false);
		break;
	case E_PORT_OPEN:
		port_set_open(port, m.value);
		break;
	case E_PORT_NAME:
		port_register(port, (const char *)buf + sizeof(m), len - sizeof(m));
		break;
	default:
		break;
	}
}

/* True if the device has answered everything we said. Lock held. */
static bool control_poll(struct console *con)
{
	struct virtq_done done;
	bool offered = false, more;
	int r;

	if (virtq_broken(&con->control_rx->vq) || virtq_broken(&con->control_tx->vq))
		return true;
	do {
		control_reclaim(con);
		while ((r = virtq_take(&con->control_rx->vq, &done)) > 0) {
			control_handle(con, done.token, done.len);
			virtq_free(&con->control_rx->vq, done.head);
			control_offer(con, done.token);
			offered = true;
		}
		more = virtq_irq_enable(&con->control_rx->vq);
		more |= virtq_irq_enable(&con->control_tx->vq);
	} while (more && r == 0 && !virtq_broken(&con->control_tx->vq));
	if (offered)
		virtio_kick(con->control_rx);
	if (r < 0 || virtq_broken(&con->control_tx->vq)) {
		virtio_stop(con->dev, "the device breaks the protocol");
		work_post(&con->work);
		return true;
	}
	return con->control_tx_free == UINT32_MAX >> (32 - CONTROL_BUFFERS);
}

static void port_poll(struct port *port)
{
	bool tell, end;

	mutex_lock(&port->lock);
	tell = port->rx_mem && rx_answer_or_arm(port, &end);
	if (tell)
		waitq_wake_all(&port->readers, 0);
	if (virtq_pending(&port->tx->vq))
		waitq_wake_all(&port->writers, 0);
	mutex_unlock(&port->lock);
	if (tell && port->base.notify)
		port->base.notify(&port->base, port->base.notify_arg);
}

static void console_work(struct work *w)
{
	struct console *con = container_of(w, struct console, work);

	if (con->control_rx) {
		mutex_lock(&con->lock);
		if (control_poll(con))
			waitq_wake_all(&con->settled, 0);
		mutex_unlock(&con->lock);
	}
	for (unsigned i = 0; i < con->nports; i++)
		port_poll(&con->ports[i]);
}

static void console_irq(struct virtio_queue *q)
{
	work_post(&((struct console *)q->arg)->work);
}

/* --- the probe ------------------------------------------------------------------------------------------ */

static int control_start(struct console *con)
{
	con->control_rx_mem = kmalloc(CONTROL_BUFFERS * CONTROL_BYTES);
	con->control_tx_mem = kmalloc(CONTROL_BUFFERS * sizeof(struct control_message));
	if (!con->control_rx_mem || !con->control_tx_mem)
		return -ENOMEM;
	con->control_tx_free = UINT32_MAX >> (32 - CONTROL_BUFFERS);
	mutex_lock(&con->lock);
	for (unsigned i = 0; i < CONTROL_BUFFERS && con->control_rx->vq.nfree; i++)
		control_offer(con, con->control_rx_mem + i * CONTROL_BYTES);
	virtio_kick(con->control_rx);
	control_send(con, UINT32_MAX, E_DEVICE_READY, 1);
	control_poll(con);
	mutex_unlock(&con->lock);
	return 0;
}

/* The other devices were probed while the host named the ports. */
static void console_settle(struct virtio_device *dev)
{
	struct console *con = dev->driver_data;
	uint64_t deadline = clock_monotonic_ns() + HANDSHAKE_NS;
	int r = 0;

	if (!con->control_rx)
		return;
	mutex_lock(&con->lock);
	while (!control_poll(con) && r == 0)
		r = waitq_wait(&con->settled, &con->lock, deadline, false);
	mutex_unlock(&con->lock);
	if (r < 0)
		log_warn("%s: the device is slow to name its ports", dev->name);
}

static void port_init(struct console *con, unsigned id, struct virtio_queue *rx, struct virtio_queue *tx)
{
	struct port *port = &con->ports[id];

	port->console = con;
	port->id = id;
	port->rx = rx;
	port->tx = tx;
	mutex_init(&port->lock, "console port");
	waitq_init(&port->readers);
	waitq_init(&port->writers);
	virtq_irq_disable(&tx->vq);
}

static int console_probe(struct virtio_device *dev)
{
	struct virtio_queue_spec specs[2 * MAX_PORTS + 2];
	struct console *con = kzalloc(sizeof(*con));
	bool multiport = virtio_has(dev, F_MULTIPORT);
	uint32_t max_ports = 1;
	unsigned nqueues;
	int r;

	if (!con)
		return -ENOMEM;
	con->dev = dev;
	con->work.fn = console_work;
	mutex_init(&con->lock, "virtio-console");
	waitq_init(&con->settled);
	if (multiport)
		virtio_config_read(dev, C_MAX_PORTS, &max_ports, sizeof(max_ports));
	con->nports = MIN(MAX(max_ports, 1u), (uint32_t)MAX_PORTS);
	nqueues = multiport ? 2 * con->nports + 2 : 2;
	for (unsigned i = 0; i < nqueues; i++) {
		bool control = i == 2 || i == 3;

		specs[i] = (struct virtio_queue_spec){
			.index = i,
			.max_size = control ? CONTROL_BUFFERS : i % 2 ? TX_PIECES : 2 * RX_BUFFERS,
			.handler = console_irq,
			.arg = con,
		};
	}
	r = virtio_queues_setup(dev, nqueues, specs);
	if (r < 0)
		return r;
	for (unsigned id = 0; id < con->nports; id++) {
		unsigned q = id == 0 ? 0 : 2 * id + 2;

		port_init(con, id, &dev->queues[q], &dev->queues[q + 1]);
	}
	dev->driver_data = con;
	if (multiport) {
		con->control_rx = &dev->queues[2];
		con->control_tx = &dev->queues[3];
	}
	virtio_ready(dev);
	if (multiport)
		return control_start(con);
	con->ports[0].present = true;
	port_set_open(&con->ports[0], true);
	port_register(&con->ports[0], "virtio-console", sizeof("virtio-console"));
	return 0;
}

static const struct virtio_driver virtio_console = {
	.name = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.features = F_MULTIPORT,
	.probe = console_probe,
	.settle = console_settle,
};
VIRTIO_DRIVER(virtio_console);
