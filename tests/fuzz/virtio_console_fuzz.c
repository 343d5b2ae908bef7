/*
 * tests/fuzz/virtio_console_fuzz.c - a console device that lies, under the driver and the virtio core.
 *
 * The input is a program of steps: the device gives buffers back with any id and length, fills them with
 * control messages or noise, raises interrupts; the application reads, writes and flushes ports. A sleep of
 * the driver runs further steps, so that they happen in the middle of its calls. The device reaches only the
 * memory that was offered to it; what the driver does with the answers is checked by the sanitizers.
 */
// sources: kernel/drivers/virtq.c kernel/drivers/virtio.c
// flags: -Wno-unused-function
#include <stdio.h>
#include <stdlib.h>
#include "drivers/virtio_console.c"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct virtio_driver *const __drivers_virtio_start[];
const struct virtio_driver *const __drivers_virtio_start[] = { &virtio_console };
__asm__(".globl __drivers_virtio_end\n.set __drivers_virtio_end, __drivers_virtio_start + 8");

static struct virtio_device *device;
static struct console_port *ports[16];
static unsigned nports, depth;
static bool reset;

/* --- what lies below the driver ------------------------------------------------------------------- */

struct block { struct block *next; };
static struct block *blocks;

void *kmalloc_flags(size_t size, unsigned flags)
{
	struct block *b = aligned_alloc(64, ALIGN_UP(size + 64, 64));

	if (!b)
		abort();
	b->next = blocks;
	blocks = b;
	return __builtin_memset((char *)b + 64, flags & ALLOC_ZERO ? 0 : 0xa5, size);
}

void *kmalloc(size_t size) { return kmalloc_flags(size, 0); }
void *kzalloc(size_t size) { return kmalloc_flags(size, ALLOC_ZERO); }

void kfree(void *p) {} /* everything goes at the end of a run */

struct page *page_alloc(unsigned order, unsigned flags)
{
	return kzalloc(PAGE_SIZE << order);
}

void page_put(struct page *p) {}
paddr_t page_to_phys(const struct page *p) { return (paddr_t)p - DIRECT_BASE; }
paddr_t virt_to_phys(const void *v) { return (paddr_t)v; }
void mutex_init(struct mutex *m, const char *name) {}
void mutex_lock(struct mutex *m) {}
void mutex_unlock(struct mutex *m) {}
void waitq_wake_entries(struct waitq *q, unsigned n, unsigned events) {}
uint64_t clock_monotonic_ns(void) { return 1; }
void log_print(int level, const char *fmt, ...) {}
void console_register(struct console_port *p)
{
	if (nports < 16)
		ports[nports++] = p;
}

static struct work *posted[4];
static unsigned nposted;

void work_post(struct work *w)
{
	for (unsigned i = 0; i < nposted; i++)
		if (posted[i] == w)
			return;
	if (nposted >= 4)
		abort();
	posted[nposted++] = w;
}

static void run_works(void)
{
	while (nposted) {
		struct work *w = posted[0];

		for (unsigned i = 1; i < nposted; i++)
			posted[i - 1] = posted[i];
		nposted--;
		w->fn(w);
	}
}

static void device_step(void);

int waitq_wait(struct waitq *q, struct mutex *m, uint64_t deadline, bool interruptible)
{
	if (!left || depth > 3)
		return interruptible ? -EINTR : -ETIMEDOUT;
	device_step();
	return 0;
}

/* --- the device -------------------------------------------------------------------------------------- */

static uint8_t status;

static uint8_t get_status(struct virtio_device *dev) { return status; }
static void set_status(struct virtio_device *dev, uint8_t s)
{
	status = s;
	reset = s == 0;
}
static uint64_t get_features(struct virtio_device *dev)
{
	return VIRTIO_F_VERSION_1 | (next() & 1 ? VIRTIO_F_EVENT_IDX : 0) | (next() & 3 ? F_MULTIPORT : 0);
}
static void set_features(struct virtio_device *dev, uint64_t f) {}
static void read_config(struct virtio_device *dev, unsigned offset, void *buf, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		((uint8_t *)buf)[i] = i ? 0 : next();
}
static uint32_t generation(struct virtio_device *dev) { return 0; }
static unsigned queue_size(struct virtio_device *dev, unsigned index) { return 64; }
static int queue_activate(struct virtio_device *dev, struct virtio_queue *q) { return 0; }
static void notify(struct virtio_queue *q) {}
static int irq_setup(struct virtio_device *dev) { return 0; }

static const struct virtio_transport transport = {
	.name = "fuzz", .get_status = get_status, .set_status = set_status, .get_features = get_features,
	.set_features = set_features, .read_config = read_config, .config_generation = generation,
	.queue_size = queue_size, .queue_activate = queue_activate, .notify = notify, .irq_setup = irq_setup,
};

/* The next buffer that the driver offered, honestly answered, with a control message or noise inside. */
static void answer(struct virtio_queue *q, uint16_t *seen)
{
	struct virtq *vq = &q->vq;
	uint16_t idx = atomic_load(&vq->used->idx), head;
	uint32_t len = 0;

	if (*seen == atomic_load(&vq->avail->idx))
		return;
	head = vq->avail->ring[(*seen)++ & (vq->size - 1)];
	if (vq->desc[head].flags & 2) {
		uint8_t *buf = (uint8_t *)vq->desc[head].addr;
		struct control_message m = { .id = next() % 8, .event = next() % 9, .value = next() & 1 };

		len = next();
		if (len > vq->desc[head].len)
			len = vq->desc[head].len;
		if (len >= sizeof(m))
			__builtin_memcpy(buf, &m, sizeof(m));
		for (uint32_t i = sizeof(m); i < len && i < 40; i++)
			buf[i] = next();
	}
	vq->used->ring[idx & (vq->size - 1)] = (struct virtq_used_elem){ head, len };
	atomic_store(&vq->used->idx, (uint16_t)(idx + 1));
}

static uint16_t seen[2 * MAX_PORTS + 2];

static void device_step(void)
{
	unsigned qi = device->nqueues ? next() % device->nqueues : 0;
	struct virtio_queue *q = &device->queues[qi];
	uint16_t idx;

	if (!device->queues || reset)
		return;
	depth++;
	idx = atomic_load(&q->vq.used->idx);
	switch (next() % 8) {
	case 0: /* a lie about which buffer, or how much */
		q->vq.used->ring[idx & (q->vq.size - 1)] = (struct virtq_used_elem){ next(), next() };
		atomic_store(&q->vq.used->idx, (uint16_t)(idx + 1));
		break;
	case 1:
		atomic_store(&q->vq.used->idx, next());
		break;
	default:
		answer(q, &seen[qi]);
		break;
	}
	if (next() & 3)
		q->handler(q);
	run_works();
	depth--;
}

static void application_step(void)
{
	static uint8_t buf[3000];
	struct console_port *p;
	ssize_t r;

	if (!nports)
		return;
	p = ports[next() % nports];
	switch (next() % 4) {
	case 0:
		r = p->read(p, buf, next());
		if (r > 255)
			abort();
		break;
	case 1:
		r = p->write(p, buf, next() * 11u);
		if (r > 255 * 11)
			abort();
		break;
	case 2:
		p->readable(p);
		break;
	case 3:
		p->flush(p, 1000);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	left = size;
	nports = nposted = depth = 0;
	reset = false;
	__builtin_memset(seen, 0, sizeof(seen));
	device = kzalloc(sizeof(*device));
	device->transport = &transport;
	device->id = VIRTIO_ID_CONSOLE;
	if (virtio_device_add(device) == 0) {
		console_settle(device);
		while (left) {
			if (next() & 1)
				device_step();
			else
				application_step();
			run_works();
		}
	}
	/* The core's list of devices still names this one: it is only followed by virtio_settle(). */
	while (blocks) {
		struct block *b = blocks;

		blocks = b->next;
		free(b);
	}
	return 0;
}
