/*
 * images/image.c - writes, opens and checks containers (images/format.h).
 *
 * Theory:    sections are written one after the other behind the header, each followed by
 *            its table of block hashes. A section that comes from another container brings its
 *            table along: hashes do not depend on where a section lies, so 200 MB of JDK are
 *            copied without being hashed anew (`ibrik build` checks them, so that damage is not handed on). Opening trusts nothing: the header's hash,
 *            then every offset and length against the file, then each table's root hash.
 * Interface: container_write(), container_open(), container_find(), container_verify(),
 *            container_boot_verify(), section_read(), container_file()
 * Errors:    writing dies; opening returns -EINVAL and a line for people
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "xxh64.h"

static uint64_t table_bytes(uint64_t length)
{
	return (length + IBRIK_BLOCK - 1) / IBRIK_BLOCK * 8;
}

/* The hash of block `index`; the last one is padded with zeros. */
static uint64_t block_hash(const unsigned char *data, uint64_t length, uint64_t index)
{
	unsigned char padded[IBRIK_BLOCK] = { 0 };
	uint64_t at = index * IBRIK_BLOCK;

	if (length - at >= IBRIK_BLOCK)
		return xxh64(data + at, IBRIK_BLOCK, 0);
	memcpy(padded, data + at, length - at);
	return xxh64(padded, IBRIK_BLOCK, 0);
}

static uint64_t header_hash(const struct ibrik_header *header)
{
	union {
		struct ibrik_header header;
		unsigned char bytes[IBRIK_BLOCK];
	} page;

	memset(&page, 0, sizeof(page));
	page.header = *header;
	page.header.header_hash = 0;
	return xxh64(page.bytes, sizeof(page.bytes), 0);
}

/* A section's bytes mapped for reading; length is not 0. *base and *mapped are for munmap. */
static const unsigned char *map_range(int fd, uint64_t offset, uint64_t length, const char *path, void **base, size_t *mapped)
{
	uint64_t skip = offset % (uint64_t)sysconf(_SC_PAGESIZE);

	*mapped = length + skip;
	*base = mmap(NULL, *mapped, PROT_READ, MAP_PRIVATE, fd, (off_t)(offset - skip));
	if (*base == MAP_FAILED)
		die(STATUS_ERROR, "cannot map %s: %s", path, strerror(errno));
	return (unsigned char *)*base + skip;
}

static uint64_t *hash_part(const struct part *part, const char *path)
{
	uint64_t blocks = (part->length + IBRIK_BLOCK - 1) / IBRIK_BLOCK;
	uint64_t *table = xalloc(blocks * 8);
	const unsigned char *data = part->data;
	void *base = NULL;
	size_t mapped = 0;

	if (part->fd >= 0 && part->length)
		data = map_range(part->fd, part->fd_offset, part->length, path, &base, &mapped);
	for (uint64_t i = 0; i < blocks; i++)
		table[i] = block_hash(data, part->length, i);
	if (base)
		munmap(base, mapped);
	return table;
}

#define BOOT_BYTES (IBRIK_DATA_OFFSET - IBRIK_BLOCK)
#define BOOT_REST (IBRIK_HEADER_OFFSET + IBRIK_BLOCK) /* where the boot code goes on behind the header's page */

/* The boot code's place in the image: it leaves out the header's page. `code` holds BOOT_BYTES. */
static void boot_write(int fd, const unsigned char *code, const char *path)
{
	pwrite_all(fd, code, IBRIK_HEADER_OFFSET, 0, path);
	pwrite_all(fd, code + IBRIK_HEADER_OFFSET, BOOT_BYTES - IBRIK_HEADER_OFFSET, BOOT_REST, path);
}

bool container_boot_verify(struct container *container)
{
	unsigned char *code;
	bool whole;

	if (!container->header.boot_hash)
		return true;
	code = xalloc(BOOT_BYTES);
	pread_all(container->fd, code, IBRIK_HEADER_OFFSET, 0, container->path);
	pread_all(container->fd, code + IBRIK_HEADER_OFFSET, BOOT_BYTES - IBRIK_HEADER_OFFSET, BOOT_REST, container->path);
	whole = xxh64(code, BOOT_BYTES, 0) == container->header.boot_hash;
	free(code);
	return whole;
}

void container_write(int fd, const char *path, uint32_t priority, struct part *parts, unsigned nparts,
                     const void *boot, size_t boot_bytes)
{
	struct ibrik_header header = { .magic = IBRIK_MAGIC, .version = IBRIK_VERSION,
		                       .header_bytes = sizeof(header), .nsections = nparts, .priority = priority };
	uint64_t at = IBRIK_DATA_OFFSET;

	if (nparts > IBRIK_MAX_SECTIONS)
		die(STATUS_ERROR, "an image holds at most %d parts (kernel, settings, layers, volumes)", IBRIK_MAX_SECTIONS);
	for (unsigned i = 0; i < nparts; i++) {
		struct part *part = &parts[i];
		struct ibrik_section *section = &header.sections[i];
		uint64_t bytes = table_bytes(part->length);
		const void *table = part->hashes ? part->hashes : hash_part(part, path);

		section->type = part->type;
		section->flags = part->flags;
		section->length = part->length;
		section->offset = at;
		section->hash_offset = at + round_up(part->length, IBRIK_BLOCK);
		section->root_hash = xxh64(table, bytes, 0);
		strncpy(section->name, part->name, sizeof(section->name) - 1);
		strncpy(section->mount, part->mount ? part->mount : "", sizeof(section->mount) - 1);
		if (part->fd >= 0)
			copy_range(part->fd, part->fd_offset, fd, at, part->length, path);
		else
			pwrite_all(fd, part->data, part->length, at, path);
		pwrite_all(fd, table, bytes, section->hash_offset, path);
		at = round_up(section->hash_offset + bytes, IBRIK_BLOCK);
	}
	header.image_bytes = at;
	if (boot) {
		/* boot.bin is laid out as the disk is, with a hole for the header. */
		unsigned char *code = xalloc(BOOT_BYTES);
		size_t first = boot_bytes < IBRIK_HEADER_OFFSET ? boot_bytes : IBRIK_HEADER_OFFSET;

		memcpy(code, boot, first);
		if (boot_bytes > BOOT_REST)
			memcpy(code + IBRIK_HEADER_OFFSET, (const char *)boot + BOOT_REST, boot_bytes - BOOT_REST);
		header.boot_hash = xxh64(code, BOOT_BYTES, 0);
		boot_write(fd, code, path);
		free(code);
	}
	header.header_hash = header_hash(&header);
	pwrite_all(fd, &header, sizeof(header), IBRIK_HEADER_OFFSET, path);
	if (ftruncate(fd, (off_t)at) < 0)
		die(STATUS_ERROR, "cannot write %s: %s", path, strerror(errno));
}

static bool range_fits(uint64_t offset, uint64_t bytes, uint64_t limit)
{
	return offset % IBRIK_BLOCK == 0 && offset >= IBRIK_DATA_OFFSET && offset <= limit && bytes <= limit - offset;
}

static bool text_ends(const char *text, size_t room)
{
	return memchr(text, 0, room) != NULL;
}

/* What is wrong with the header, or NULL. */
static char *header_check(const struct container *container)
{
	const struct ibrik_header *header = &container->header;

	if (header->header_hash != header_hash(header))
		return xstrdup("the header is damaged (its hash is wrong)");
	if (header->version != IBRIK_VERSION || header->header_bytes != sizeof(*header))
		return format("it has version %u of the format, this command knows %d", header->version, IBRIK_VERSION);
	if (header->nsections > IBRIK_MAX_SECTIONS)
		return format("it claims %u sections", header->nsections);
	if (header->image_bytes > container->bytes)
		return format("it is cut short: %llu of %llu bytes", (unsigned long long)container->bytes,
		              (unsigned long long)header->image_bytes);
	for (unsigned i = 0; i < header->nsections; i++) {
		const struct ibrik_section *section = &header->sections[i];

		if (!text_ends(section->name, sizeof(section->name)) || !text_ends(section->mount, sizeof(section->mount)))
			return format("section %u has a name without an end", i);
		if (!range_fits(section->offset, section->length, header->image_bytes) ||
		    !range_fits(section->hash_offset, table_bytes(section->length), header->image_bytes))
			return format("section %u (%s) lies outside the image", i, section->name);
	}
	return NULL;
}

bool file_is_container(const char *path)
{
	char magic[8];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is = fd >= 0 && pread(fd, magic, 8, IBRIK_HEADER_OFFSET) == 8 && memcmp(magic, IBRIK_MAGIC, 8) == 0;

	if (fd >= 0)
		close(fd);
	return is;
}

int container_open(struct container *container, const char *path, char **why)
{
	struct stat status;
	unsigned char page[IBRIK_BLOCK];

	memset(container, 0, sizeof(*container));
	container->path = path;
	container->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (container->fd < 0 || fstat(container->fd, &status) < 0) {
		*why = xstrdup(strerror(errno));
		if (container->fd >= 0)
			close(container->fd);
		return -EINVAL;
	}
	container->bytes = (uint64_t)status.st_size;
	if (S_ISDIR(status.st_mode))
		*why = xstrdup("a folder, not an image");
	else if (pread(container->fd, page, sizeof(page), IBRIK_HEADER_OFFSET) != (ssize_t)sizeof(page) ||
	         memcmp(page, IBRIK_MAGIC, 8) != 0)
		*why = xstrdup("not an ibrik image");
	else {
		memcpy(&container->header, page, sizeof(container->header));
		*why = header_check(container);
		for (size_t i = sizeof(container->header); !*why && i < sizeof(page); i++)
			if (page[i])
				*why = xstrdup("the header is damaged (its hash is wrong)");
	}
	if (!*why)
		return 0;
	close(container->fd);
	return -EINVAL;
}

struct ibrik_section *container_find(struct container *container, uint32_t type, unsigned index)
{
	for (unsigned i = 0; i < container->header.nsections; i++)
		if (container->header.sections[i].type == type && index-- == 0)
			return &container->header.sections[i];
	return NULL;
}

static uint64_t *section_table(struct container *container, const struct ibrik_section *section)
{
	uint64_t bytes = table_bytes(section->length);
	uint64_t *table = xalloc(bytes);

	pread_all(container->fd, table, bytes, section->hash_offset, container->path);
	return table;
}

int container_verify(struct container *container, const struct ibrik_section *section, int64_t *block)
{
	uint64_t *table = section_table(container, section);
	uint64_t blocks = table_bytes(section->length) / 8;
	const unsigned char *data;
	void *base;
	size_t mapped;

	*block = -1;
	if (xxh64(table, blocks * 8, 0) != section->root_hash) {
		free(table);
		return -EINVAL;
	}
	if (section->length) {
		data = map_range(container->fd, section->offset, section->length, container->path, &base, &mapped);
		for (uint64_t i = 0; i < blocks && *block < 0; i++)
			if (block_hash(data, section->length, i) != table[i])
				*block = (int64_t)i;
		munmap(base, mapped);
	}
	free(table);
	return *block < 0 ? 0 : -EINVAL;
}

void *section_read(struct container *container, const struct ibrik_section *section)
{
	char *data = xalloc(section->length + 1);

	pread_all(container->fd, data, section->length, section->offset, container->path);
	return data;
}

struct settings settings_of_image(struct container *container)
{
	struct ibrik_section *section = container_find(container, IBRIK_SETTINGS, 0);

	return section ? (struct settings){ .records = section_read(container, section), .bytes = section->length } : (struct settings){ 0 };
}

char *container_file(struct container *container, const char *name)
{
	struct ibrik_section *layer;
	unsigned nlayers = 0;

	while (container_find(container, IBRIK_LAYER, nlayers))
		nlayers++;
	while (nlayers-- && (layer = container_find(container, IBRIK_LAYER, nlayers))) {
		char *offset = format("%llu", (unsigned long long)layer->offset);
		char *argv[] = { "sh", "-c", "exec 2> /dev/null; exec unsquashfs -cat -o \"$0\" \"$1\" \"$2\"", offset,
			         (char *)container->path, (char *)name, NULL };
		int status;
		char *text = command_output(argv, &status);

		if (!status && !(layer->flags & IBRIK_LAYER_VOLUME))
			return text;
		free(text);
	}
	return NULL;
}

void part_from_section(struct part *part, struct container *container, const struct ibrik_section *section)
{
	*part = (struct part){
		.type = section->type,
		.flags = section->flags,
		.name = section->name,
		.mount = section->mount,
		.fd = container->fd,
		.fd_offset = section->offset,
		.length = section->length,
		.hashes = section_table(container, section),
		.hashes_bytes = table_bytes(section->length),
	};
	if (xxh64(part->hashes, part->hashes_bytes, 0) != section->root_hash)
		die(STATUS_ERROR, "%s: the hash table of %s is damaged", container->path, section->name);
}
