/*
 * kernel/drivers/serial.c - the first serial port (16550): the log, and the console of last resort.
 *
 * Theory:  output polls the transmitter, but never for long: a port whose other end has stopped loses
 *          text instead of stopping the machine. Lines of the log stay whole without a lock: whoever
 *          finds the port busy leaves his line to the one who is writing. Only a panic writes at once.
 *          Input comes by interrupt into a small ring, which one reader empties.
 * Interface: serial_early_init(), serial_write() (serial.h); console_default() (device.h)
 * Locking:   the ring has one producer (the interrupt handler) and one consumer (readers, under
 *            input_lock); output_lock keeps the application's writes whole.
 * Source:  National Semiconductor PC16550D data sheet.
 */
#include "core/clock.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/thread.h"
#include "core/waitq.h"
#include "cpu.h"
#include "drivers/console.h"
#include "drivers/work.h"
#include "io.h"
#include "lib/string.h"

#define COM1 0x3f8
#define COM1_IRQ 4
enum { R_DATA = 0, R_IER = 1, R_FCR = 2, R_LCR = 3, R_MCR = 4, R_LSR = 5, R_SCRATCH = 7 };
#define LSR_DATA 0x01
#define LSR_EMPTY 0x20
#define RING_BYTES 256u
/* A byte takes 87 us at 115200 baud, a port access about 1 us: 16 bytes of FIFO and some more. */
#define MAX_POLLS 3000
#define DRAIN_LINES 16
#define PATIENCE 30000
#define PATIENCE_STEP_NS 1000000

static bool present, use_vga, stalled;

/* Lines that came while another CPU, or the thread we interrupted, was writing one. */
enum line_state { LINE_EMPTY, LINE_FILLING, LINE_FULL };
static struct waiting_line {
	_Atomic int state;
	unsigned order;
	size_t len;
	char text[256];
} waiting[32];
static _Atomic unsigned line_order, lost;
static _Atomic bool writing;
static void drain_later(struct work *w);
static struct work drain_work = { .fn = drain_later };
static uint8_t ring[RING_BYTES];
static _Atomic uint32_t ring_head, ring_tail; /* head: the handler writes; tail: the reader */
static struct waitq readers;
static struct mutex input_lock = MUTEX_INIT("serial input");
static struct mutex output_lock = MUTEX_INIT("serial output");

static bool put(uint8_t c)
{
	/* Behind a byte that was dropped nobody waits again until the port takes one. */
	for (unsigned i = stalled ? MAX_POLLS - 1 : 0; i < MAX_POLLS; i++) {
		if (inb(COM1 + R_LSR) & LSR_EMPTY) {
			outb(COM1 + R_DATA, c);
			stalled = false;
			return true;
		}
	}
	stalled = true;
	return false;
}

void serial_write(const char *text, size_t len)
{
	if (!present)
		return;
	/* What follows a dropped byte goes the same way: a line with an end missing is better than holes. */
	for (size_t i = 0; i < len; i++)
		if ((text[i] == '\n' && !put('\r')) || !put((uint8_t)text[i]))
			return;
}

/* --- the log --------------------------------------------------------------------------------------- */

static void write_now(const char *text, size_t len)
{
	bool cut = stalled; /* the line before ended early */

	if (cut && !(inb(COM1 + R_LSR) & LSR_EMPTY)) {
		atomic_fetch_add(&lost, 1);
	} else {
		if (cut)
			serial_write("\n", 1);
		serial_write(text, len);
	}
	if (use_vga)
		vga_write(text, len);
}

/* Keeps a line for whoever is writing; false if there is no room. */
static bool line_leave(const char *text, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(waiting) && len <= sizeof(waiting[0].text); i++) {
		struct waiting_line *w = &waiting[i];
		int empty = LINE_EMPTY;

		if (!atomic_compare_exchange_strong(&w->state, &empty, LINE_FILLING))
			continue;
		memcpy(w->text, text, len);
		w->len = len;
		w->order = atomic_fetch_add(&line_order, 1);
		atomic_store(&w->state, LINE_FULL);
		return true;
	}
	return false;
}

static struct waiting_line *line_oldest(void)
{
	struct waiting_line *oldest = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++)
		if (atomic_load(&waiting[i].state) == LINE_FULL &&
		    (!oldest || (int)(waiting[i].order - oldest->order) < 0))
			oldest = &waiting[i];
	return oldest;
}

/*
 * Writes waiting lines, if nobody else does. Interrupts are off meanwhile: a writer that is preempted would
 * hold everybody up. What a flood leaves behind after DRAIN_LINES is the drivers' thread's.
 */
static void drain(const char *first, size_t len)
{
	uint64_t flags = irq_save();
	struct waiting_line *w;
	char note[64];
	unsigned n;

	if (first)
		write_now(first, len);
	for (unsigned i = 0; i < DRAIN_LINES && (w = line_oldest()); i++) {
		write_now(w->text, w->len);
		atomic_store(&w->state, LINE_EMPTY);
	}
	n = atomic_exchange(&lost, 0);
	if (n)
		write_now(note, (size_t)snprintf(note, sizeof(note), "4[%llu.000000] lines of the log lost: %u\n",
						 (unsigned long long)(clock_monotonic_ns() / NSEC_PER_SEC), n));
	atomic_store(&writing, false);
	irq_restore(flags);
	/* Whoever left a line after we looked found us writing, or is writing now. */
	if (line_oldest())
		work_post(&drain_work);
}

static void drain_later(struct work *w)
{
	if (!atomic_exchange(&writing, true))
		drain(NULL, 0);
}

static void log_write(const char *text, size_t len)
{
	/* A panic does not rely on a writer that may never run again. */
	if (len == 0 || text[0] == '0') {
		write_now(text, len);
		return;
	}
	for (unsigned i = 0; i < MAX_POLLS; i++) {
		if (!atomic_exchange(&writing, true)) {
			drain(text, len);
			return;
		}
		if (line_leave(text, len)) {
			if (!atomic_exchange(&writing, true))
				drain(NULL, 0);
			return;
		}
		inb(COM1 + R_LSR); /* every place is taken: one microsecond */
	}
	atomic_fetch_add(&lost, 1);
}

static struct log_sink sink = { .write = log_write };

void serial_early_init(void)
{
	/* A scratch register that keeps two values is a UART; an empty place answers 0xff. */
	outb(COM1 + R_SCRATCH, 0x5a);
	present = inb(COM1 + R_SCRATCH) == 0x5a;
	outb(COM1 + R_SCRATCH, 0xa5);
	present = present && inb(COM1 + R_SCRATCH) == 0xa5;
	if (present) {
		outb(COM1 + R_IER, 0);
		outb(COM1 + R_LCR, 0x80); /* divisor 1: 115200 baud */
		outb(COM1 + R_DATA, 1);
		outb(COM1 + R_IER, 0);
		outb(COM1 + R_LCR, 0x03); /* 8 bits, no parity, one stop bit */
		outb(COM1 + R_FCR, 0x07); /* FIFO on, emptied, interrupt at the first byte */
		outb(COM1 + R_MCR, 0x0b); /* DTR, RTS, and OUT2, which connects the interrupt */
	}
	log_sink_add(&sink);
}

/* --- the default console port ------------------------------------------------------------------- */

static struct console_port port;

static bool input_ready(void)
{
	return atomic_load_explicit(&ring_head, memory_order_acquire) !=
	       atomic_load_explicit(&ring_tail, memory_order_relaxed);
}

static void input_work(struct work *w)
{
	mutex_lock(&input_lock);
	waitq_wake_all(&readers, 0);
	mutex_unlock(&input_lock);
	if (port.notify)
		port.notify(&port, port.notify_arg);
}

static struct work notify_work = { .fn = input_work };

static bool input_handler(void *arg)
{
	uint32_t head = atomic_load_explicit(&ring_head, memory_order_relaxed);
	bool any = false;

	/* Bounded by the FIFO and what arrives meanwhile: a byte without room is dropped. */
	for (unsigned i = 0; i < 64 && (inb(COM1 + R_LSR) & LSR_DATA); i++) {
		uint8_t c = inb(COM1 + R_DATA);

		any = true;
		if (head - atomic_load_explicit(&ring_tail, memory_order_acquire) < RING_BYTES)
			ring[head++ % RING_BYTES] = c == '\r' ? '\n' : c;
	}
	if (!any)
		return false;
	atomic_store_explicit(&ring_head, head, memory_order_release);
	work_post(&notify_work);
	return true;
}

static bool port_readable(struct console_port *p)
{
	return input_ready();
}

static ssize_t port_read(struct console_port *p, void *buf, size_t len)
{
	uint32_t tail;
	size_t n = 0;
	int r = 0;

	if (len == 0)
		return 0;
	mutex_lock(&input_lock);
	while (r == 0 && !input_ready())
		r = waitq_wait(&readers, &input_lock, DEADLINE_NEVER, true);
	tail = atomic_load_explicit(&ring_tail, memory_order_relaxed);
	while (n < len && tail != atomic_load_explicit(&ring_head, memory_order_acquire))
		((uint8_t *)buf)[n++] = ring[tail++ % RING_BYTES];
	atomic_store_explicit(&ring_tail, tail, memory_order_release);
	mutex_unlock(&input_lock);
	return n ? (ssize_t)n : r;
}

/* The application's output is not dropped: its thread sleeps until the port takes the byte. */
static bool put_patiently(uint8_t c)
{
	for (unsigned i = 0; !put(c); i++) {
		if (i >= PATIENCE)
			return false;
		sleep_ns(PATIENCE_STEP_NS);
	}
	return true;
}

static ssize_t port_write(struct console_port *p, const void *buf, size_t len)
{
	const char *text = buf;
	size_t n = 0;

	mutex_lock(&output_lock);
	if (use_vga)
		vga_write(buf, len);
	while (present && n < len && (text[n] != '\n' || put_patiently('\r')) &&
	       put_patiently((uint8_t)text[n]))
		n++;
	mutex_unlock(&output_lock);
	if (!present)
		return (ssize_t)len;
	return n ? (ssize_t)n : -EIO;
}

static void port_flush(struct console_port *p, uint64_t timeout_ns)
{
	uint64_t deadline = clock_monotonic_ns() + timeout_ns;

	/* Transmitter and shift register empty. */
	while (present && (inb(COM1 + R_LSR) & 0x60) != 0x60 && clock_monotonic_ns() < deadline)
		sleep_ns(100000);
}

static struct console_port port = {
	.name = "serial",
	.write = port_write,
	.read = port_read,
	.readable = port_readable,
	.flush = port_flush,
};

struct console_port *console_default(void)
{
	return &port;
}

void serial_use_vga(void)
{
	use_vga = true;
}

static void serial_probe(void)
{
	waitq_init(&readers);
	if (!present)
		return;
	if (irq_request_isa(COM1_IRQ, input_handler, NULL) < 0) {
		log_warn("serial: no interrupt, no input");
		return;
	}
	for (unsigned i = 0; i < 64 && (inb(COM1 + R_LSR) & LSR_DATA); i++)
		inb(COM1 + R_DATA); /* what was typed at the firmware is not for us */
	outb(COM1 + R_IER, 1);
}

static const struct platform_driver serial = { .name = "serial", .probe = serial_probe };
PLATFORM_DRIVER(serial);
