/*
 * images/kernel.c - the kernel file: where it is, and without what only debuggers need.
 *
 * Theory:    a machine reads only the ELF header, the program headers and the segments, so
 *            everything behind the last segment (symbols, DWARF, section headers) is cut off and
 *            the header's fields for sections are cleared.
 * Interface: kernel_find(), kernel_strip()
 * Errors:    all end the command with one line
 */
#include "tool.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *kernel_find(const struct options *options)
{
	char *path = options->kernel ? options->kernel : data_file("ibrik.elf", true);

	if (access(path, R_OK) < 0)
		die(STATUS_ERROR, "the kernel %s: %s", path, strerror(errno));
	return path;
}

void *kernel_strip(const void *elf, size_t bytes, size_t *stripped)
{
	const Elf64_Ehdr *header = elf;
	Elf64_Ehdr *copy;
	size_t end;

	if (bytes < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64 || header->e_type != ET_EXEC ||
	    header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > bytes ||
	    header->e_phnum > (bytes - header->e_phoff) / sizeof(Elf64_Phdr))
		die(STATUS_ERROR, "the kernel file is no x86-64 ELF kernel");
	end = header->e_phoff + header->e_phnum * sizeof(Elf64_Phdr);
	for (unsigned i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr *segment = (const Elf64_Phdr *)((const char *)elf + header->e_phoff) + i;

		if (segment->p_offset > bytes || segment->p_filesz > bytes - segment->p_offset)
			die(STATUS_ERROR, "the kernel file is cut short");
		if (segment->p_filesz && end < segment->p_offset + segment->p_filesz)
			end = segment->p_offset + segment->p_filesz;
	}
	copy = xalloc(end);
	memcpy(copy, elf, end);
	copy->e_shoff = 0;
	copy->e_shnum = 0;
	copy->e_shstrndx = 0;
	*stripped = end;
	return copy;
}
