/*
 * kernel/linux/elf_image.h - what to map for an ELF program: pure parsing, also run by a fuzzer on the host.
 *
 * elf_parse() looks at the first bytes of a file (the header and all program headers must lie in them) and
 * answers a plan; nothing in the plan overflows: every segment's addresses and file range were checked.
 * Errors: -ENOEXEC not an ELF file we can run, -EINVAL damaged.
 * Source: System V ABI, chapters 4-5; AMD64 supplement.
 */
#ifndef IBRIK_LINUX_ELF_IMAGE_H
#define IBRIK_LINUX_ELF_IMAGE_H

#include "lib/types.h"

#define ELF_HEAD_BYTES 4096
#define ELF_MAX_SEGMENTS 32

struct elf_segment {
	uint64_t vaddr, filesz, memsz, offset; /* vaddr is relative to the base if position independent */
	int prot;                              /* PROT_* */
};

struct elf_plan {
	bool pie;
	uint64_t entry;
	uint64_t low, high;        /* page-aligned extent of all segments */
	uint64_t align;            /* largest segment alignment, at least a page */
	uint64_t phdr_vaddr;       /* where the program headers are in memory, 0 if not mapped */
	unsigned phnum;
	unsigned nsegments;
	struct elf_segment segments[ELF_MAX_SEGMENTS];
	uint64_t interp_offset, interp_bytes; /* 0: no interpreter */
	bool exec_stack;
};

int elf_parse(const void *head, size_t bytes, uint64_t file_bytes, struct elf_plan *plan);

#endif
