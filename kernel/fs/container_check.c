/*
 * kernel/fs/container_check.c - is this header page good?
 *
 * Apart from container.c so that the host can test and fuzz it: it needs nothing of the kernel.
 */
#include "fs/container.h"
#include "lib/string.h"
#include "lib/xxh64.h"

static bool text_ends(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static const char *section_check(const struct ibrik_section *s, uint64_t image_bytes)
{
	uint64_t blocks, table;

	if (s->type != IBRIK_KERNEL && s->type != IBRIK_SETTINGS && s->type != IBRIK_LAYER)
		return "a section has an unknown type";
	if (s->offset % IBRIK_BLOCK || s->hash_offset % 512)
		return "a section is not aligned";
	if (!s->length || s->offset < IBRIK_DATA_OFFSET || s->offset > image_bytes ||
	    s->length > image_bytes - s->offset)
		return "a section lies outside the image";
	blocks = (s->length + IBRIK_BLOCK - 1) / IBRIK_BLOCK;
	table = blocks * 8;
	if (s->hash_offset < IBRIK_DATA_OFFSET || s->hash_offset > image_bytes ||
	    table > image_bytes - s->hash_offset)
		return "a table of hashes lies outside the image";
	if (!text_ends(s->name, sizeof(s->name)) || !text_ends(s->mount, sizeof(s->mount)))
		return "a name of a section has no end";
	if (s->type == IBRIK_SETTINGS && s->length > (1u << 20))
		return "the settings are too long";
	if (s->type == IBRIK_LAYER && s->mount[0] != '/')
		return "a layer's path is not absolute";
	return NULL;
}

const char *container_header_check(const struct ibrik_header *h, uint64_t disk_bytes)
{
	unsigned char zero[8] = { 0 };
	struct xxh64 hash;
	size_t at = offsetof(struct ibrik_header, header_hash);

	if (!container_has_magic(h))
		return "no container";
	if (h->version != IBRIK_VERSION)
		return "its version is not known to this kernel";
	if (h->header_bytes != sizeof(*h))
		return "its header has the wrong size";
	xxh64_begin(&hash, 0);
	xxh64_add(&hash, h, at);
	xxh64_add(&hash, zero, 8);
	xxh64_add(&hash, (const char *)h + at + 8, IBRIK_BLOCK - at - 8); /* the whole page */
	if (xxh64_end(&hash) != h->header_hash)
		return "its header is damaged (hash)";
	if (h->nsections > IBRIK_MAX_SECTIONS)
		return "it has too many sections";
	if (h->image_bytes > disk_bytes)
		return "it is cut short";
	for (unsigned i = 0; i < h->nsections; i++) {
		const char *bad = section_check(&h->sections[i], h->image_bytes);

		if (bad)
			return bad;
	}
	return NULL;
}
