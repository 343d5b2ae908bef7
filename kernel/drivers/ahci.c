/*
 * kernel/drivers/ahci.c - SATA disks, for reading: what q35 and most PCs give a plain disk.
 *
 * Theory:  each port has one page of memory that the controller reads and writes: command list, received
 *          frames, and one command table. One command at a time for each port: a mutex. ATAPI
 *          devices are not looked at.
 * Locking: port->lock is held for a whole command. The handler stores a port's status and wakes.
 * Errors:  -EIO with a log line; the port is stopped and started again after every error.
 * Source:  Serial ATA AHCI 1.3.1, sections 3 (registers), 4.2 (memory), 10.1.2 (initialisation).
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/mutex.h"
#include "core/thread.h"
#include "drivers/ata.h"
#include "drivers/block.h"
#include "drivers/pci.h"
#include "io.h"
#include "lib/string.h"
#include "mm/mm.h"

enum { H_CAP = 0x00, H_GHC = 0x04, H_IS = 0x08, H_PI = 0x0c, H_PORTS = 0x100, H_PORT_BYTES = 0x80 };
enum { P_CLB = 0x00, P_CLBU = 0x04, P_FB = 0x08, P_FBU = 0x0c, P_IS = 0x10, P_IE = 0x14, P_CMD = 0x18,
       P_TFD = 0x20, P_SIG = 0x24, P_SSTS = 0x28, P_SERR = 0x30, P_CI = 0x38 };
#define CAP_64BIT (1u << 31)
#define GHC_AHCI (1u << 31)
#define GHC_INTERRUPTS (1u << 1)
#define CMD_START 1u
#define CMD_SPIN_UP 2u
#define CMD_POWER 4u
#define CMD_RECEIVE (1u << 4)
#define CMD_RECEIVE_RUNNING (1u << 14)
#define CMD_RUNNING (1u << 15)
#define IS_ERRORS 0x78000000u /* task file, host bus (fatal, data), interface */
#define IE_WANTED (IS_ERRORS | 0xfu)
#define SIGNATURE_ATA 0x00000101u

#define FIS_OFFSET 1024
#define TABLE_OFFSET 1280
#define PRDT_OFFSET (TABLE_OFFSET + 128)
#define MAX_PRDS ((PAGE_SIZE - PRDT_OFFSET) / 16)
#define MAX_SEGMENTS 128
#define MAX_BYTES MIB(1)
#define COMMAND_TIMEOUT_S 20

struct command_header { uint16_t flags, prds; uint32_t bytes; uint64_t table; uint32_t reserved[4]; };
struct prd { uint64_t addr; uint32_t reserved, bytes; };
_Static_assert(sizeof(struct command_header) == 32 && sizeof(struct prd) == 16, "layout");

struct port {
	struct block_device block;
	volatile uint8_t *regs;
	uint8_t *mem;
	struct ata_identity id;
	bool dma64;
	struct mutex lock;
	struct thread *_Atomic waiter;
	_Atomic uint32_t events; /* interrupt status bits, collected by the handler */
};

struct hba {
	volatile uint8_t *regs;
	struct port *ports[32];
};

static uint32_t port_reg(struct port *p, unsigned at) { return mmio_read32(p->regs + at); }
static void port_set(struct port *p, unsigned at, uint32_t v) { mmio_write32(p->regs + at, v); }

static bool hba_handler(void *arg)
{
	struct hba *hba = arg;
	uint32_t is = mmio_read32(hba->regs + H_IS);

	for (unsigned i = 0; i < 32; i++) {
		struct port *p = hba->ports[i];
		struct thread *t;
		uint32_t events;

		if (!(is & 1u << i) || !p)
			continue;
		events = port_reg(p, P_IS);
		port_set(p, P_IS, events);
		atomic_fetch_or_explicit(&p->events, events, memory_order_release);
		t = atomic_load_explicit(&p->waiter, memory_order_acquire);
		if (t)
			thread_wake(t);
	}
	if (is)
		mmio_write32(hba->regs + H_IS, is);
	return is != 0;
}

static int port_poll(struct port *p, unsigned reg, uint32_t mask)
{
	for (unsigned i = 0; i < 50000; i++) {
		if (!(port_reg(p, reg) & mask))
			return 0;
		delay_us(10);
	}
	return -ETIMEDOUT;
}

static int port_stop(struct port *p)
{
	port_set(p, P_CMD, port_reg(p, P_CMD) & ~CMD_START);
	if (port_poll(p, P_CMD, CMD_RUNNING) < 0)
		return -EIO;
	port_set(p, P_CMD, port_reg(p, P_CMD) & ~CMD_RECEIVE);
	return port_poll(p, P_CMD, CMD_RECEIVE_RUNNING) < 0 ? -EIO : 0;
}

static int port_start(struct port *p)
{
	port_set(p, P_SERR, 0xffffffff);
	port_set(p, P_IS, 0xffffffff);
	port_set(p, P_CMD, port_reg(p, P_CMD) | CMD_RECEIVE | CMD_SPIN_UP | CMD_POWER);
	if (port_poll(p, P_TFD, ATA_BSY | ATA_DRQ) < 0)
		return -EIO;
	port_set(p, P_CMD, port_reg(p, P_CMD) | CMD_START);
	return 0;
}

/* Waits until the one command has left the queue or the port reports an error. */
static int port_wait(struct port *p)
{
	struct block_patience patience = block_patience(COMMAND_TIMEOUT_S);
	int r = 0;

	for (;;) {
		uint32_t events;

		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		events = atomic_exchange_explicit(&p->events, 0, memory_order_acquire);
		if ((events & IS_ERRORS) || !(port_reg(p, P_CI) & 1) || r < 0) {
			sleep_cancel();
			if (events & IS_ERRORS)
				return -EIO;
			return port_reg(p, P_CI) & 1 ? r : 0;
		}
		r = block_sleep(&patience);
	}
}

/* Runs one command; the lock is held (or nobody else knows the port yet). */
static int port_command(struct port *p, uint8_t command, uint64_t lba, unsigned sectors,
			const struct block_segment *segs, unsigned nsegs)
{
	struct command_header *header = (void *)p->mem;
	struct prd *prds = (void *)(p->mem + PRDT_OFFSET);
	uint8_t *fis = p->mem + TABLE_OFFSET;
	int r;

	for (unsigned i = 0; i < nsegs; i++) {
		uint64_t addr = virt_to_phys(segs[i].buf);

		if (addr + segs[i].len > GIB(4) && !p->dma64)
			return -EINVAL;
		prds[i] = (struct prd){ .addr = addr, .bytes = segs[i].len - 1 };
	}
	memset(fis, 0, 64);
	fis[0] = 0x27; /* register frame, host to device */
	fis[1] = 0x80; /* it is a command */
	fis[2] = command;
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(lba >> 8 * i);
		fis[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
	}
	fis[7] = 0x40;
	if (!p->id.lba48) {
		fis[7] = (uint8_t)(0x40 | (lba >> 24 & 15));
		fis[8] = 0;
	}
	fis[12] = (uint8_t)sectors;
	fis[13] = p->id.lba48 ? (uint8_t)(sectors >> 8) : 0;
	header->flags = 5; /* words of the frame; a read */
	header->prds = (uint16_t)nsegs;
	header->bytes = 0;
	header->table = virt_to_phys(fis);
	atomic_store_explicit(&p->events, 0, memory_order_relaxed);
	atomic_store_explicit(&p->waiter, current, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	port_set(p, P_CI, 1);
	r = port_wait(p);
	atomic_store_explicit(&p->waiter, NULL, memory_order_release);
	if (r == 0 && (port_reg(p, P_TFD) & (ATA_ERR | ATA_DF)))
		r = -EIO;
	/* An error leaves the port halted with the command queued. */
	if (r < 0 && (port_stop(p) < 0 || port_start(p) < 0))
		log_err("%s: the port does not start again", p->block.name);
	return r;
}

static int port_read(struct block_device *block, uint64_t offset, const struct block_segment *segs,
		     unsigned nsegs)
{
	struct port *p = block->driver_data;
	uint32_t bytes;
	int r = block_check(block, offset, segs, nsegs, &bytes);

	if (r < 0)
		return r;
	mutex_lock(&p->lock);
	r = port_command(p, p->id.lba48 ? ATA_READ_DMA_EXT : ATA_READ_DMA, offset / 512, bytes / 512, segs,
			 nsegs);
	mutex_unlock(&p->lock);
	if (r < 0) {
		log_err("%s: read error at byte %llu, %u bytes%s", block->name, (unsigned long long)offset,
			bytes, r == -ETIMEDOUT ? " (no answer)" : "");
		r = -EIO;
	}
	block_count(block, bytes, r);
	return r;
}

/* --- the probe ---------------------------------------------------------------------------------- */

static bool port_has_device(volatile uint8_t *regs)
{
	uint32_t ssts = mmio_read32(regs + P_SSTS);

	return (ssts & 0xf) == 3 && (ssts >> 8 & 0xf) == 1;
}

static struct port *port_create(volatile uint8_t *regs, bool dma64)
{
	struct port *p = kzalloc(sizeof(*p));
	struct page *page = page_alloc(0, ALLOC_ZERO);
	paddr_t phys = page ? page_to_phys(page) : 0;

	if (!p || !page || (phys >= GIB(4) && !dma64)) {
		log_err("ahci: no memory for a port");
		kfree(p);
		if (page)
			page_put(page);
		return NULL;
	}
	p->regs = regs;
	p->mem = page_to_virt(page);
	p->dma64 = dma64;
	mutex_init(&p->lock, "ahci port");
	if (port_stop(p) < 0)
		goto fail;
	port_set(p, P_CLB, (uint32_t)phys);
	port_set(p, P_CLBU, (uint32_t)(phys >> 32));
	port_set(p, P_FB, (uint32_t)(phys + FIS_OFFSET));
	port_set(p, P_FBU, (uint32_t)(phys >> 32));
	if (port_start(p) < 0)
		goto fail;
	/* Firmware that does not know AHCI leaves the signature to the first start. */
	if (port_reg(p, P_SIG) == SIGNATURE_ATA)
		return p;
	if (port_stop(p) < 0)
		return NULL;
	page_put(page); /* a CD-ROM drive or the like */
	kfree(p);
	return NULL;
fail:
	log_err("ahci: a port does not start");
	port_stop(p);
	return NULL; /* its memory stays: the controller may still know it */
}

static void port_add(struct port *p)
{
	uint16_t *words = kmalloc(512);
	struct block_segment seg = { .buf = words, .len = 512 };

	if (words && port_command(p, ATA_IDENTIFY, 0, 0, &seg, 1) == 0 &&
	    ata_identify_parse(words, &p->id) == 0 && p->id.dma) {
		block_name(p->block.name, "sd");
		p->block.capacity_bytes = p->id.sectors * 512;
		p->block.max_segments = MIN((uint32_t)MAX_SEGMENTS, (uint32_t)MAX_PRDS);
		p->block.max_bytes = p->id.lba48 ? MAX_BYTES : KIB(128);
		p->block.read = port_read;
		p->block.driver_data = p;
		block_register(&p->block);
	} else {
		log_err("ahci: a disk that cannot be used");
	}
	kfree(words);
}

static bool ahci_matches(const struct pci_device *pci) { return pci->class_code == 0x010601; }

static void ahci_probe(struct pci_device *pci)
{
	struct hba *hba;
	uint32_t implemented, cap;
	bool any = false;
	uint64_t bytes = pci->bars[5].size;

	hba = kzalloc(sizeof(*hba));
	if (!hba || bytes < H_PORTS + H_PORT_BYTES || !(hba->regs = pci_bar_map(pci, 5, 0, bytes))) {
		log_err("ahci: no registers that can be used");
		kfree(hba);
		return;
	}
	mmio_write32(hba->regs + H_GHC, mmio_read32(hba->regs + H_GHC) | GHC_AHCI);
	cap = mmio_read32(hba->regs + H_CAP);
	implemented = mmio_read32(hba->regs + H_PI);
	for (unsigned i = 0; i < 32 && H_PORTS + (i + 1) * H_PORT_BYTES <= bytes; i++) {
		volatile uint8_t *regs = hba->regs + H_PORTS + i * H_PORT_BYTES;

		if ((implemented & 1u << i) && port_has_device(regs))
			hba->ports[i] = port_create(regs, cap & CAP_64BIT);
		any |= hba->ports[i] != NULL;
	}
	if (!any)
		return;
	mmio_write32(hba->regs + H_IS, 0xffffffff);
	if (pci_msi_enable(pci, hba_handler, hba, 0) < 0 && pci_intx_request(pci, hba_handler, hba) < 0) {
		log_err("ahci: no interrupt");
		return;
	}
	mmio_write32(hba->regs + H_GHC, mmio_read32(hba->regs + H_GHC) | GHC_INTERRUPTS);
	for (unsigned i = 0; i < 32; i++) {
		if (!hba->ports[i])
			continue;
		port_set(hba->ports[i], P_IE, IE_WANTED);
		port_add(hba->ports[i]);
	}
}

static const struct pci_driver ahci = { .name = "ahci", .matches = ahci_matches, .probe = ahci_probe };
PCI_DRIVER(ahci);
