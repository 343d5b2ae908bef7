/*
 * tests/fuzz/container_fuzz.c - header pages: any bytes, and again with a right hash, so that the checks
 * behind the hash are reached.
 */
// sources: kernel/fs/container_check.c kernel/lib/xxh64.c
// flags: -ffreestanding
#include "fs/container.h"
#include "lib/string.h"
#include "lib/xxh64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static union {
		struct ibrik_header head;
		char bytes[IBRIK_BLOCK];
	} page;
	uint64_t disk = 1ull << 30;

	memset(&page, 0, sizeof(page));
	memcpy(&page, data, MIN(size, sizeof(page)));
	container_header_check(&page.head, disk);
	memcpy(page.head.magic, IBRIK_MAGIC, 8);
	page.head.version = IBRIK_VERSION;
	page.head.header_bytes = sizeof(page.head);
	page.head.header_hash = 0;
	page.head.header_hash = xxh64(&page, sizeof(page), 0);
	if (!container_header_check(&page.head, disk)) {
		for (unsigned i = 0; i < page.head.nsections; i++) {
			const struct ibrik_section *s = &page.head.sections[i];

			if (s->offset + s->length > disk || s->offset + s->length < s->offset ||
			    strlen(s->name) >= sizeof(s->name))
				__builtin_trap();
		}
	}
	return 0;
}
