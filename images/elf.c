/*
 * images/elf.c - a Linux program with everything its loader will ask for.
 *
 * Theory:    which libraries a program gets is decided by its own loader (RUNPATH, ld.so.cache,
 *            hardware variants), so the loader named in the program is asked with --list, which
 *            glibc and musl both answer without running the program. Files keep their paths of
 *            the host, since a program may look beside itself; only what lies below
 *            a folder that is the guest's own (/tmp, /run ...) moves to /app.
 * Interface: program_stage()
 * Errors:    127 when the file is missing, 126 when it cannot be executed; one line each
 */
#include "tool.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The loader of a dynamic program, "" for a static one. */
static char *program_interpreter(const char *path)
{
	Elf64_Ehdr header;
	char start[2] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXEC, "%s: %s", path, strerror(errno));
	if (pread(fd, start, 2, 0) == 2 && memcmp(start, "#!", 2) == 0)
		die(STATUS_NOT_EXEC, "%s is a script: name its interpreter with --exec and give the script with --file", path);
	if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		die(STATUS_NOT_EXEC, "%s is not a program: no ELF file", path);
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_X86_64)
		die(STATUS_NOT_EXEC, "%s is a program for another machine, not x86-64", path);
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		die(STATUS_NOT_EXEC, "%s is not a program: an ELF file of type %u", path, header.e_type);
	if (header.e_phentsize != sizeof(Elf64_Phdr))
		die(STATUS_NOT_EXEC, "%s is a damaged program: its program headers have a wrong size", path);
	for (unsigned i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;
		char *name;

		if (pread(fd, &segment, sizeof(segment), (off_t)(header.e_phoff + i * sizeof(segment))) != (ssize_t)sizeof(segment))
			die(STATUS_NOT_EXEC, "%s is a damaged program: its program headers lie outside the file", path);
		if (segment.p_type != PT_INTERP)
			continue;
		if (segment.p_filesz == 0 || segment.p_filesz > 4096)
			die(STATUS_NOT_EXEC, "%s is a damaged program: the name of its loader has %llu bytes", path,
			    (unsigned long long)segment.p_filesz);
		name = xalloc(segment.p_filesz + 1);
		if (pread(fd, name, segment.p_filesz, (off_t)segment.p_offset) != (ssize_t)segment.p_filesz || *name != '/')
			die(STATUS_NOT_EXEC, "%s is a damaged program: the name of its loader cannot be read", path);
		close(fd);
		return name;
	}
	close(fd);
	return xstrdup("");
}

static bool begins(const char *path, const char *folder)
{
	size_t bytes = strlen(folder);

	return strncmp(path, folder, bytes) == 0 && path[bytes] == '/';
}

/* Where a file of the host goes in the guest. `own` is the folder of the program. */
static char *guest_place(const char *path, const char *own)
{
	static const char *const hidden[] = { "/tmp", "/proc", "/sys", "/dev", "/run", "/app", "/var/tmp" };
	static const char *const merged[] = { "/bin", "/sbin", "/lib", "/lib64" };

	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
		if (begins(path, hidden[i]))
			return begins(path, own) ? format("/app%s", path + strlen(own)) : format("/app/lib%s", strrchr(path, '/'));
	for (size_t i = 0; i < sizeof(merged) / sizeof(*merged); i++)
		if (begins(path, merged[i]))
			return format("/usr%s", path);
	return xstrdup(path);
}

static void stage_library(const char *root, const char *path, const char *own)
{
	char *guest = guest_place(path, own), *folder = xstrdup(guest);

	stage_file(root, path, guest);
	*strrchr(folder, '/') = 0;
	/* For the loader's cache, which base.sh makes. */
	FILE *list = fopen(format("%s/.ld.dirs", root), "a+");

	if (!list)
		die(STATUS_ERROR, "cannot write in %s: %s", root, strerror(errno));
	rewind(list);
	char line[4096];
	bool known = false;

	while (fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = 0;
		known |= strcmp(line, folder) == 0;
	}
	if (!known)
		fprintf(list, "%s\n", folder);
	fclose(list);
	free(folder);
	free(guest);
}

void program_stage(const char *root, const char *path, char **guest)
{
	char *slash = strrchr(path, '/'), *interpreter, *folder, *full, *list;
	struct stat status;
	int ended;

	if (stat(path, &status) < 0)
		die(errno == ENOENT || errno == ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_EXEC, "%s: %s", path, strerror(errno));
	if (S_ISDIR(status.st_mode))
		die(STATUS_NOT_EXEC, "%s is a folder, not a program", path);
	if (!S_ISREG(status.st_mode) || !(status.st_mode & 0111))
		die(STATUS_NOT_EXEC, "%s is not executable", path);
	interpreter = program_interpreter(path);
	folder = realpath(slash == path ? "/" : slash ? format("%.*s", (int)(slash - path), path) : ".", NULL);
	if (!folder)
		die(STATUS_NOT_FOUND, "%s: %s", path, strerror(errno));
	full = format("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, slash ? slash + 1 : path);
	*guest = guest_place(full, folder);
	stage_file(root, full, *guest);
	if (!*interpreter)
		return;

	char *argv[] = { interpreter, "--list", full, NULL };

	if (access(interpreter, X_OK) < 0)
		die(STATUS_NOT_EXEC, "%s needs the loader %s: %s", path, interpreter, strerror(errno));
	list = command_output(argv, &ended);
	for (char *line = list, *next; *line; line = next) {
		char *name = line + strspn(line, " \t"), *file;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		file = strstr(name, " => ");
		if (file && strncmp(file + 4, "not found", 9) == 0)
			die(STATUS_NOT_EXEC, "%s needs the library %.*s, which is not found", path, (int)(file - name), name);
		file = file ? file + 4 : name;
		file[strcspn(file, " ")] = 0;
		if (*file == '/' && strcmp(file, interpreter) != 0)
			stage_library(root, file, folder);
	}
	if (ended)
		die(STATUS_NOT_EXEC, "%s cannot be loaded: its loader %s refuses it", path, interpreter);
	stage_library(root, interpreter, folder);
	/* glibc opens it by name when a thread is cancelled. */
	if (strstr(interpreter, "ld-linux") && access("/lib/x86_64-linux-gnu/libgcc_s.so.1", R_OK) == 0)
		stage_library(root, "/lib/x86_64-linux-gnu/libgcc_s.so.1", folder);
}
