/*
 * kernel/linux/elf_image.c - see elf_image.h.
 */
#include "linux/elf_image.h"
#include "lib/string.h"
#include <linux/elf.h>
#include <asm/mman.h>

#define ADDRESS_LIMIT (1ull << 46)

static int parse_load(const Elf64_Phdr *ph, uint64_t file_bytes, struct elf_plan *plan)
{
	if (ph->p_memsz == 0)
		return 0;
	if (plan->nsegments == ELF_MAX_SEGMENTS)
		return -ENOEXEC;
	if (ph->p_filesz > ph->p_memsz || ph->p_vaddr >= ADDRESS_LIMIT || ph->p_memsz >= ADDRESS_LIMIT)
		return -EINVAL;
	if (ph->p_offset > file_bytes || ph->p_filesz > file_bytes - ph->p_offset)
		return -EINVAL;
	if ((ph->p_vaddr & 4095) != (ph->p_offset & 4095))
		return -EINVAL;
	if (ph->p_align > 1 && (ph->p_align & (ph->p_align - 1)))
		return -EINVAL;
	uint64_t start = ALIGN_DOWN(ph->p_vaddr, 4096), end = ALIGN_UP(ph->p_vaddr + ph->p_memsz, 4096);
	if (plan->nsegments > 0 && start < plan->high)
		return -EINVAL; /* segments ascend and do not share pages */
	if (plan->nsegments == 0)
		plan->low = start;
	plan->high = end;
	if (ph->p_align > plan->align && ph->p_align <= (1ull << 30))
		plan->align = ph->p_align;
	plan->segments[plan->nsegments++] = (struct elf_segment){
		.vaddr = ph->p_vaddr,
		.filesz = ph->p_filesz,
		.memsz = ph->p_memsz,
		.offset = ph->p_offset,
		.prot = (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
			(ph->p_flags & PF_X ? PROT_EXEC : 0),
	};
	return 0;
}

int elf_parse(const void *head, size_t bytes, uint64_t file_bytes, struct elf_plan *plan)
{
	Elf64_Ehdr eh;

	memset(plan, 0, sizeof(*plan));
	plan->align = 4096;
	if (bytes < sizeof(eh))
		return -ENOEXEC;
	memcpy(&eh, head, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_ident[EI_DATA] != ELFDATA2LSB || eh.e_machine != EM_X86_64 ||
	    (eh.e_type != ET_EXEC && eh.e_type != ET_DYN))
		return -ENOEXEC;
	if (eh.e_phentsize != sizeof(Elf64_Phdr) || eh.e_phnum == 0)
		return -ENOEXEC;
	if (eh.e_phoff > bytes || eh.e_phnum * sizeof(Elf64_Phdr) > bytes - eh.e_phoff)
		return -ENOEXEC;
	plan->pie = eh.e_type == ET_DYN;
	plan->entry = eh.e_entry;
	plan->phnum = eh.e_phnum;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;
		int r = 0;
		memcpy(&ph, (const char *)head + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		switch (ph.p_type) {
		case PT_LOAD:
			r = parse_load(&ph, file_bytes, plan);
			break;
		case PT_INTERP:
			if (ph.p_filesz < 2 || ph.p_filesz > 4096 || ph.p_offset > file_bytes ||
			    ph.p_filesz > file_bytes - ph.p_offset)
				return -EINVAL;
			plan->interp_offset = ph.p_offset;
			plan->interp_bytes = ph.p_filesz;
			break;
		case PT_GNU_STACK:
			plan->exec_stack = ph.p_flags & PF_X;
			break;
		}
		if (r)
			return r;
	}
	if (plan->nsegments == 0)
		return -ENOEXEC;
	if (!plan->pie && plan->low < 0x10000)
		return -EINVAL;
	for (unsigned i = 0; i < plan->nsegments; i++) {
		const struct elf_segment *s = &plan->segments[i];
		if (eh.e_phoff >= s->offset && eh.e_phoff < s->offset + s->filesz)
			plan->phdr_vaddr = eh.e_phoff - s->offset + s->vaddr;
	}
	return 0;
}
