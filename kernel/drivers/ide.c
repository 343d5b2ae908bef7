/*
 * kernel/drivers/ide.c - ATA disks behind a PCI IDE controller, for reading.
 *
 * Theory:  an image boots by itself on a plain PC, whose disk is an IDE one. Each of the two channels
 *          has up to two disks and does one command at a time: a mutex. Data comes by bus-master DMA; a buffer
 *          above 4 GiB, which the 32-bit engine cannot reach, or a controller without the engine, takes
 *          programmed input, one interrupt for each sector.
 * Locking: channel->lock is held for a whole command. The handler stores a flag and wakes.
 * Errors:  -EIO with a log line; a command without an end is answered by a reset of the channel.
 * Source:  ATA/ATAPI-6 (task file, 48-bit addresses), "Programming Interface for Bus Master IDE
 *          Controller" 1.0, PCI IDE Controller Specification 1.0 (native mode).
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/thread.h"
#include "drivers/ata.h"
#include "drivers/block.h"
#include "drivers/pci.h"
#include "io.h"
#include "mm/mm.h"

enum { R_DATA = 0, R_COUNT = 2, R_LBA0 = 3, R_LBA1 = 4, R_LBA2 = 5, R_DRIVE = 6, R_COMMAND = 7,
       R_STATUS = 7 };
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4 };
#define CONTROL_RESET 4
#define CONTROL_NO_INTERRUPT 2
#define BM_START 1
#define BM_TO_MEMORY 8
#define BM_ERROR 2
#define BM_INTERRUPT 4
#define PRD_END 0x80000000u

#define MAX_SEGMENTS 64
#define MAX_BYTES KIB(128) /* 256 sectors: what a 28-bit command can say */
#define COMMAND_TIMEOUT_S 20

struct prd { uint32_t addr, bytes; };

struct channel {
	uint16_t base, control, bus_master; /* bus_master 0: none */
	struct mutex lock;
	struct thread *_Atomic waiter;
	_Atomic bool interrupted;
	_Atomic uint8_t status; /* of the disk, read by the handler */
	struct prd *table;      /* below 4 GiB, or NULL */
};

struct disk {
	struct block_device block;
	struct channel *channel;
	struct ata_identity id;
	uint8_t unit;
};

static bool channel_handler(void *arg)
{
	struct channel *ch = arg;
	struct thread *t;

	if (ch->bus_master) {
		uint8_t bm = inb(ch->bus_master + BM_STATUS);

		if (!(bm & BM_INTERRUPT))
			return false;
		outb(ch->bus_master + BM_STATUS, (bm & 0x60) | BM_INTERRUPT);
	}
	/* Reading the status is what takes the disk's interrupt back. */
	atomic_store_explicit(&ch->status, inb(ch->base + R_STATUS), memory_order_relaxed);
	atomic_store_explicit(&ch->interrupted, true, memory_order_release);
	t = atomic_load_explicit(&ch->waiter, memory_order_acquire);
	if (t)
		thread_wake(t);
	return true;
}

/* Waits for the interrupt of this step. */
static int channel_wait(struct channel *ch, struct block_patience *patience)
{
	int r = 0;

	while (r == 0) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_exchange_explicit(&ch->interrupted, false, memory_order_acquire)) {
			sleep_cancel();
			return 0;
		}
		r = block_sleep(patience);
	}
	return atomic_exchange_explicit(&ch->interrupted, false, memory_order_acquire) ? 0 : -ETIMEDOUT;
}

/* Waits, polling, until the disk is not busy; for steps that take microseconds. */
static int channel_poll(struct channel *ch, uint8_t *status)
{
	for (unsigned i = 0; i < 10000; i++) {
		*status = inb(ch->control);
		if (!(*status & ATA_BSY))
			return 0;
		delay_us(10);
	}
	return -ETIMEDOUT;
}

static void select_unit(struct channel *ch, uint8_t unit)
{
	outb(ch->base + R_DRIVE, (uint8_t)(0xe0 | unit << 4));
	for (unsigned i = 0; i < 4; i++) /* 400 ns for the lines to settle */
		inb(ch->control);
}

static void channel_reset(struct channel *ch)
{
	uint8_t status;

	outb(ch->control, CONTROL_RESET);
	delay_us(10);
	outb(ch->control, 0);
	sleep_ns(2000000);
	channel_poll(ch, &status);
}

static void load_address(struct disk *d, uint64_t lba, unsigned sectors, uint8_t command)
{
	uint16_t base = d->channel->base;

	if (d->id.lba48) {
		/* The registers are two deep: the high halves go in first. */
		outb(base + R_DRIVE, (uint8_t)(0x40 | d->unit << 4));
		outb(base + R_COUNT, (uint8_t)(sectors >> 8));
		outb(base + R_LBA0, (uint8_t)(lba >> 24));
		outb(base + R_LBA1, (uint8_t)(lba >> 32));
		outb(base + R_LBA2, (uint8_t)(lba >> 40));
	} else {
		outb(base + R_DRIVE, (uint8_t)(0xe0 | d->unit << 4 | (lba >> 24 & 15)));
	}
	outb(base + R_COUNT, (uint8_t)sectors);
	outb(base + R_LBA0, (uint8_t)lba);
	outb(base + R_LBA1, (uint8_t)(lba >> 8));
	outb(base + R_LBA2, (uint8_t)(lba >> 16));
	outb(base + R_COMMAND, command);
}

/* Describes the segments to the engine; false if it cannot reach one of them. */
static bool build_table(struct channel *ch, const struct block_segment *segs, unsigned nsegs)
{
	unsigned n = 0;

	if (!ch->bus_master || !ch->table)
		return false;
	for (unsigned i = 0; i < nsegs; i++) {
		uint64_t addr = virt_to_phys(segs[i].buf), left = segs[i].len;

		if (addr + left > GIB(4) || (addr & 1))
			return false;
		while (left) {
			/* An entry does not cross a multiple of 64 KiB; 0 means 64 KiB. */
			uint64_t part = MIN(left, 0x10000 - (addr & 0xffff));

			if (n >= PAGE_SIZE / sizeof(struct prd))
				return false;
			ch->table[n++] = (struct prd){ (uint32_t)addr, (uint32_t)(part & 0xffff) };
			addr += part;
			left -= part;
		}
	}
	ch->table[n - 1].bytes |= PRD_END;
	return true;
}

static int read_dma(struct disk *d, uint64_t lba, unsigned sectors, struct block_patience *patience)
{
	struct channel *ch = d->channel;
	uint8_t bm, status;
	int r;

	outb(ch->bus_master + BM_COMMAND, BM_TO_MEMORY);
	outl(ch->bus_master + BM_TABLE, (uint32_t)virt_to_phys(ch->table));
	outb(ch->bus_master + BM_STATUS,
	     (inb(ch->bus_master + BM_STATUS) & 0x60) | BM_INTERRUPT | BM_ERROR);
	load_address(d, lba, sectors, d->id.lba48 ? ATA_READ_DMA_EXT : ATA_READ_DMA);
	outb(ch->bus_master + BM_COMMAND, BM_TO_MEMORY | BM_START);
	r = channel_wait(ch, patience);
	bm = inb(ch->bus_master + BM_STATUS);
	outb(ch->bus_master + BM_COMMAND, 0);
	if (r < 0)
		return r;
	status = atomic_load_explicit(&ch->status, memory_order_relaxed);
	return (bm & BM_ERROR) || (status & (ATA_ERR | ATA_DF | ATA_BSY)) ? -EIO : 0;
}

static int read_pio(struct disk *d, uint64_t lba, unsigned sectors, const struct block_segment *segs,
		    struct block_patience *patience)
{
	struct channel *ch = d->channel;
	uint32_t at = 0;

	load_address(d, lba, sectors, d->id.lba48 ? ATA_READ_SECTORS_EXT : ATA_READ_SECTORS);
	for (unsigned i = 0; i < sectors; i++) {
		uint8_t status;
		int r = channel_wait(ch, patience);

		if (r < 0 || (r = channel_poll(ch, &status)) < 0)
			return r;
		if ((status & (ATA_ERR | ATA_DF)) || !(status & ATA_DRQ))
			return -EIO;
		insw(ch->base + R_DATA, (char *)segs->buf + at, 256);
		at += 512;
		if (at == segs->len) {
			segs++;
			at = 0;
		}
	}
	return 0;
}

static int disk_read(struct block_device *block, uint64_t offset, const struct block_segment *segs,
		     unsigned nsegs)
{
	struct disk *d = block->driver_data;
	struct channel *ch = d->channel;
	struct block_patience patience;
	uint32_t bytes;
	uint8_t status;
	int r = block_check(block, offset, segs, nsegs, &bytes);

	if (r < 0)
		return r;
	mutex_lock(&ch->lock);
	patience = block_patience(COMMAND_TIMEOUT_S);
	atomic_store_explicit(&ch->interrupted, false, memory_order_relaxed);
	atomic_store_explicit(&ch->waiter, current, memory_order_release);
	select_unit(ch, d->unit);
	r = channel_poll(ch, &status);
	if (r == 0)
		r = d->id.dma && build_table(ch, segs, nsegs) ?
			    read_dma(d, offset / 512, bytes / 512, &patience) :
			    read_pio(d, offset / 512, bytes / 512, segs, &patience);
	if (r == -ETIMEDOUT)
		channel_reset(ch);
	atomic_store_explicit(&ch->waiter, NULL, memory_order_release);
	mutex_unlock(&ch->lock);
	if (r < 0) {
		log_err("%s: read error at byte %llu, %u bytes%s", block->name, (unsigned long long)offset,
			bytes, r == -ETIMEDOUT ? " (no answer)" : "");
		r = -EIO;
	}
	block_count(block, bytes, r);
	return r;
}

/* --- the probe -------------------------------------------------------------------------------- */

/* True if a disk answered IDENTIFY; interrupts of the channel are off meanwhile. */
static bool identify(struct channel *ch, uint8_t unit, struct ata_identity *id)
{
	uint16_t words[256];
	uint8_t status;

	select_unit(ch, unit);
	status = inb(ch->base + R_STATUS);
	if (status == 0 || status == 0xff || channel_poll(ch, &status) < 0)
		return false;
	outb(ch->base + R_COUNT, 0);
	outb(ch->base + R_LBA0, 0);
	outb(ch->base + R_LBA1, 0);
	outb(ch->base + R_LBA2, 0);
	outb(ch->base + R_COMMAND, ATA_IDENTIFY);
	if (channel_poll(ch, &status) < 0 || (status & (ATA_ERR | ATA_DF)) || !(status & ATA_DRQ))
		return false; /* CD-ROM drives refuse */
	insw(ch->base + R_DATA, words, 256);
	inb(ch->base + R_STATUS);
	return ata_identify_parse(words, id) == 0;
}

static void add_disk(struct channel *ch, uint8_t unit, const struct ata_identity *id)
{
	struct disk *d = kzalloc(sizeof(*d));

	if (!d)
		return;
	d->channel = ch;
	d->unit = unit;
	d->id = *id;
	block_name(d->block.name, "hd");
	d->block.capacity_bytes = id->sectors * 512;
	d->block.max_segments = MAX_SEGMENTS;
	d->block.max_bytes = MAX_BYTES;
	d->block.read = disk_read;
	d->block.driver_data = d;
	block_register(&d->block);
}

static void channel_probe(struct pci_device *pci, uint16_t base, uint16_t control, uint16_t bus_master,
			  unsigned isa_irq)
{
	struct ata_identity id[2];
	bool have[2];
	struct channel *ch;
	struct page *page;
	int r;

	if (!base || !control || inb(base + R_STATUS) == 0xff || !(ch = kzalloc(sizeof(*ch))))
		return;
	ch->base = base;
	ch->control = control;
	ch->bus_master = bus_master;
	mutex_init(&ch->lock, "ide channel");
	outb(control, CONTROL_NO_INTERRUPT);
	have[0] = identify(ch, 0, &id[0]);
	have[1] = identify(ch, 1, &id[1]);
	if (!have[0] && !have[1]) {
		kfree(ch);
		return;
	}
	if (bus_master) {
		outb(bus_master + BM_COMMAND, 0);
		outb(bus_master + BM_STATUS, BM_INTERRUPT | BM_ERROR);
		page = page_alloc(0, 0);
		if (page && page_to_phys(page) < GIB(4))
			ch->table = page_to_virt(page);
		else if (page)
			page_put(page);
	}
	r = isa_irq ? irq_request_isa(isa_irq, channel_handler, ch) :
		      pci_intx_request(pci, channel_handler, ch);
	if (r < 0) {
		log_err("ide: no interrupt for the channel at 0x%x", base);
		return; /* rare and harmless: the channel's memory stays */
	}
	outb(control, 0);
	for (unsigned unit = 0; unit < 2; unit++)
		if (have[unit])
			add_disk(ch, (uint8_t)unit, &id[unit]);
}

static bool ide_matches(const struct pci_device *pci) { return pci->class_code >> 8 == 0x0101; }

static void ide_probe(struct pci_device *pci)
{
	uint8_t interface = pci->class_code & 0xff;
	uint16_t bm = 0;

	if (interface & 0x80)
		bm = pci_bar_port(pci, 4, 16);
	/* Each channel is at the ports of the PC/AT, or, in native mode, where its registers say. */
	if (interface & 1)
		channel_probe(pci, pci_bar_port(pci, 0, 8),
			      pci->bars[1].addr ? (uint16_t)(pci_bar_port(pci, 1, 4) + 2) : 0, bm, 0);
	else
		channel_probe(pci, 0x1f0, 0x3f6, bm, 14);
	if (interface & 4)
		channel_probe(pci, pci_bar_port(pci, 2, 8),
			      pci->bars[3].addr ? (uint16_t)(pci_bar_port(pci, 3, 4) + 2) : 0,
			      bm ? bm + 8 : 0, 0);
	else
		channel_probe(pci, 0x170, 0x376, bm ? bm + 8 : 0, 15);
}

static const struct pci_driver ide = { .name = "ide", .matches = ide_matches, .probe = ide_probe };
PCI_DRIVER(ide);
