/*
 * tests/fuzz/elf_fuzz.c - damaged ELF headers: whatever plan comes out must be one that can be mapped safely.
 */
// sources: kernel/linux/elf_image.c
// flags: -fwrapv
#include "linux/elf_image.h"

#define PAGE 4096ull
#define TOP (1ull << 47)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_plan plan;
	uint64_t file_bytes = size, end = 0;
	size_t head = size;

	if (size > 8) { /* the file may be longer than what is looked at */
		file_bytes += (uint64_t)data[0] << 12;
		data++;
		head = size - 1;
	}
	if (head > ELF_HEAD_BYTES)
		head = ELF_HEAD_BYTES;
	if (elf_parse(data, head, file_bytes, &plan))
		return 0;
	must(plan.nsegments > 0 && plan.nsegments <= ELF_MAX_SEGMENTS);
	must(plan.low % PAGE == 0 && plan.high % PAGE == 0 && plan.low < plan.high && plan.high <= TOP);
	must(plan.align >= PAGE && (plan.align & (plan.align - 1)) == 0);
	for (unsigned i = 0; i < plan.nsegments; i++) {
		const struct elf_segment *s = &plan.segments[i];

		must(s->memsz > 0 && s->filesz <= s->memsz);
		must(s->vaddr >= plan.low && s->vaddr + s->memsz > s->vaddr && s->vaddr + s->memsz <= plan.high);
		must(s->offset <= file_bytes && s->filesz <= file_bytes - s->offset);
		must(s->vaddr % PAGE == s->offset % PAGE);
		must((s->vaddr & -PAGE) >= end);
		end = (s->vaddr + s->memsz + PAGE - 1) & -PAGE;
	}
	must(plan.interp_bytes == 0 ||
	     (plan.interp_offset <= file_bytes && plan.interp_bytes <= file_bytes - plan.interp_offset));
	return 0;
}
