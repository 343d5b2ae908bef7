/*
 * images/boot/load.c - finds the kernel in the image, checks it and starts it.
 *
 * Theory:    the kernel is entered as QEMU's -kernel enters it (PVH), so it has one way in. Its
 *            ELF file is read to the top of the memory region that begins at 1 MiB, every block is
 *            checked against the image's hashes, and the segments are copied down to their
 *            physical addresses. What the BIOS knows goes into the start info: memory map,
 *            ACPI root pointer, and an empty command line (options are in the image's settings).
 * Interface: load_main(), called by start.S in 32-bit protected mode
 * Errors:    a line on the screen and on COM1, then the processor halts
 */
#include <stddef.h>
#include <stdint.h>

#include "../format.h"
#include "../xxh64.h"

#define SECTOR 512
#define BOUNCE ((const unsigned char *)0x20000)
#define BOUNCE_SECTORS 64
#define MAP ((const struct map_entry *)0x5000)
#define START_INFO 0x6000
#define START_MAGIC 0x336ec578
#define LOW_KERNEL 0x100000
#define NOTE_PVH 18

struct map_entry { /* as INT 15h E820 gives it */
	uint64_t start, bytes;
	uint32_t type, attributes;
} __attribute__((packed));

struct start_info { /* Xen's hvm_start_info, version 1 */
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, command_line, rsdp, memory_map;
	uint32_t memory_entries, reserved;
};

struct start_map_entry {
	uint64_t start, bytes;
	uint32_t type, reserved;
};

struct elf_header {
	unsigned char ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, segments, sections;
	uint32_t flags;
	uint16_t header_bytes, segment_bytes, nsegments, section_bytes, nsections, names;
};

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, address, physical, file_bytes, memory_bytes, align;
};

unsigned bios_read(uint64_t sector, unsigned count);
void enter_kernel(uint32_t entry, uint32_t start_info) __attribute__((noreturn));
void load_main(void);
void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

extern uint32_t map_entries;

static struct ibrik_header header;
static struct {
	struct start_info info;
	struct start_map_entry map[100];
	char command_line[4];
} *const start = (void *)START_INFO;

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
	return to;
}

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* Text on the screen below what the BIOS wrote, and on COM1. */
static void print(const char *text)
{
	static volatile uint16_t *const screen = (volatile uint16_t *)0xb8000;
	static unsigned at = ~0u;

	if (at == ~0u)
		at = (*(volatile uint8_t *)0x451 + 1u) % 25 * 80;
	for (; *text; text++) {
		for (unsigned i = 0; i < 100000 && !(in8(0x3f8 + 5) & 0x20); i++)
			;
		if (*text == '\n') {
			out8(0x3f8, '\r');
			at = (at / 80 + 1) * 80;
		} else {
			screen[at++ % (80 * 25)] = 0x0700 | (uint8_t)*text;
		}
		out8(0x3f8, (uint8_t)*text);
	}
}

static void __attribute__((noreturn)) fail(const char *text)
{
	print("ibrik: cannot boot: ");
	print(text);
	print("\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Reads bytes of the disk; `at` is a multiple of the sector. */
static void disk_read(void *to, uint64_t at, uint32_t bytes)
{
	unsigned char *memory = to;
	uint64_t sector = at / SECTOR;

	while (bytes) {
		uint32_t step = bytes < BOUNCE_SECTORS * SECTOR ? bytes : BOUNCE_SECTORS * SECTOR;
		unsigned count = (step + SECTOR - 1) / SECTOR;

		if (bios_read(sector, count) && bios_read(sector, count))
			fail("the disk cannot be read");
		memcpy(memory, BOUNCE, step);
		memory += step;
		sector += count;
		bytes -= step;
	}
}

static const struct ibrik_section *find_kernel(void)
{
	static unsigned char page[IBRIK_BLOCK];
	uint64_t claimed;

	disk_read(page, IBRIK_HEADER_OFFSET, IBRIK_BLOCK);
	memcpy(&header, page, sizeof(header));
	for (unsigned i = 0; i < 8; i++)
		if (header.magic[i] != IBRIK_MAGIC[i])
			fail("the disk holds no ibrik image");
	claimed = header.header_hash;
	((struct ibrik_header *)page)->header_hash = 0;
	if (xxh64(page, IBRIK_BLOCK, 0) != claimed)
		fail("the image's header is damaged");
	if (header.version != IBRIK_VERSION || header.nsections > IBRIK_MAX_SECTIONS)
		fail("the image has another version of the format");
	for (unsigned i = 0; i < header.nsections; i++)
		if (header.sections[i].type == IBRIK_KERNEL)
			return &header.sections[i];
	fail("the image holds no kernel");
}

/* The end of the usable memory that begins at or below 1 MiB and holds it, below 4 GiB. */
static uint32_t high_memory_end(void)
{
	for (unsigned i = 0; i < map_entries; i++) {
		uint64_t end = MAP[i].start + MAP[i].bytes;

		if (MAP[i].type == 1 && MAP[i].start <= LOW_KERNEL && end > LOW_KERNEL)
			return end > 0xfffff000u ? 0xfffff000u : (uint32_t)end;
	}
	fail("the BIOS reports no memory above 1 MiB");
}

/* Reads the kernel's file to the top of memory and checks every block; answers where it is. */
static unsigned char *read_kernel(const struct ibrik_section *section, uint32_t end)
{
	uint32_t length = (uint32_t)section->length, blocks = (length + IBRIK_BLOCK - 1) / IBRIK_BLOCK;
	unsigned char *file, *table;

	if (section->length < sizeof(struct elf_header) || section->length > 64u << 20 ||
	    section->length * 2 > end - LOW_KERNEL)
		fail("too little memory for the kernel, or a damaged image");
	file = (unsigned char *)((end - blocks * IBRIK_BLOCK) & ~0xfffu);
	table = (unsigned char *)(((uint32_t)file - blocks * 8) & ~0xfffu);
	disk_read(table, section->hash_offset, blocks * 8);
	if (xxh64(table, blocks * 8, 0) != section->root_hash)
		fail("the image's hashes are damaged");
	memset(file + (blocks - 1) * IBRIK_BLOCK, 0, IBRIK_BLOCK);
	disk_read(file, section->offset, length);
	for (uint32_t i = 0; i < blocks; i++)
		if (xxh64(file + i * IBRIK_BLOCK, IBRIK_BLOCK, 0) != ((const uint64_t *)table)[i])
			fail("the kernel in the image is damaged");
	return file;
}

/* The 32-bit entry from the note named "Xen" of type 18, or 0. */
static uint32_t find_entry(const unsigned char *note, uint32_t bytes)
{
	while (bytes >= 12) {
		const uint32_t *words = (const uint32_t *)note;
		uint32_t name = (words[0] + 3) & ~3u, value = (words[1] + 3) & ~3u;

		if (name > bytes - 12 || value > bytes - 12 - name)
			return 0;
		if (words[2] == NOTE_PVH && words[0] == 4 && words[3] == 0x006e6558 && words[1] >= 4)
			return words[4];
		note += 12 + name + value;
		bytes -= 12 + name + value;
	}
	return 0;
}

static uint32_t place_kernel(const unsigned char *file, uint32_t length, uint32_t limit)
{
	const struct elf_header *elf = (const struct elf_header *)file;
	uint32_t entry = 0;

	if (*(const uint32_t *)elf->ident != 0x464c457f || elf->ident[4] != 2 || elf->machine != 62 ||
	    elf->segment_bytes != sizeof(struct elf_segment) || elf->segments > length ||
	    elf->nsegments > (length - (uint32_t)elf->segments) / sizeof(struct elf_segment))
		fail("the kernel is no 64-bit ELF file");
	for (unsigned i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *segment = (const struct elf_segment *)(file + (uint32_t)elf->segments) + i;
		uint32_t physical = (uint32_t)segment->physical, size = (uint32_t)segment->file_bytes;

		if (segment->type != 1 && segment->type != 4)
			continue;
		if (segment->offset > length || segment->file_bytes > length - segment->offset)
			fail("the kernel is cut short");
		if (segment->type == 4) {
			uint32_t found = find_entry(file + (uint32_t)segment->offset, size);

			entry = found ? found : entry;
			continue;
		}
		if (!segment->memory_bytes)
			continue;
		if (segment->physical < LOW_KERNEL || segment->physical > limit || segment->memory_bytes > limit - segment->physical ||
		    segment->memory_bytes < segment->file_bytes)
			fail("too little memory for the kernel");
		memcpy((void *)physical, file + (uint32_t)segment->offset, size);
		memset((void *)(physical + size), 0, (uint32_t)segment->memory_bytes - size);
	}
	if (!entry)
		fail("the kernel has no PVH entry");
	return entry;
}

static uint32_t find_rsdp(uint32_t at, uint32_t end)
{
	for (; at < end; at += 16)
		if (((const uint32_t *)at)[0] == 0x20445352 && ((const uint32_t *)at)[1] == 0x20525450)
			return at;
	return 0;
}

static void check_cpu(void)
{
	uint32_t a = 0x80000000, b, c, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	if (a >= 0x80000001) {
		a = 0x80000001;
		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
		if (d & 1u << 29)
			return;
	}
	fail("this CPU has no 64-bit mode");
}

void load_main(void)
{
	const struct ibrik_section *section;
	uint32_t end, entry, ebda = (uint32_t)*(volatile uint16_t *)0x40e << 4, rsdp;
	unsigned char *file;

	check_cpu();
	end = high_memory_end();
	section = find_kernel();
	file = read_kernel(section, end);
	entry = place_kernel(file, (uint32_t)section->length, (uint32_t)file);

	rsdp = ebda >= 0x80000 && ebda < 0xa0000 ? find_rsdp(ebda, ebda + 1024) : 0;
	if (!rsdp)
		rsdp = find_rsdp(0xe0000, 0x100000);
	memset(start, 0, sizeof(*start));
	start->info.magic = START_MAGIC;
	start->info.version = 1;
	start->info.command_line = (uint32_t)start->command_line;
	start->info.rsdp = rsdp;
	start->info.memory_map = (uint32_t)start->map;
	start->info.memory_entries = map_entries;
	for (unsigned i = 0; i < map_entries; i++) {
		start->map[i].start = MAP[i].start;
		start->map[i].bytes = MAP[i].bytes;
		start->map[i].type = MAP[i].type;
	}
	enter_kernel(entry, START_INFO);
}
