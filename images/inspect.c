/*
 * images/inspect.c - `ibrik inspect`: what is in an image, and whether it is whole.
 *
 * Interface: command_inspect()
 * Errors:    one line and status 125; --verify names the first damaged block of each section
 */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_quoted(const char *text)
{
	bool plain = *text && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%") == strlen(text);

	if (plain) {
		fputs(text, stdout);
		return;
	}
	putchar('\'');
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (*text == '\n')
			fputs("'$'\\n''", stdout);
		else
			putchar(*text);
	}
	putchar('\'');
}

static void print_all(const struct settings *settings, const char *key, const char *before, const char *after)
{
	const char *record, *value;
	size_t at = 0, key_bytes;

	while ((record = settings_next(settings, &at, &value, &key_bytes))) {
		if (strlen(key) != key_bytes || strncmp(record, key, key_bytes) != 0)
			continue;
		char *words = xstrdup(value), *rest = words, *word;

		fputs(before, stdout);
		for (bool first = true; (word = strsep(&rest, "\1")); first = false) { /* the words of a program */
			fputs(first ? "" : " ", stdout);
			print_quoted(word);
		}
		fputs(after, stdout);
		free(words);
	}
}

static void print_value(const struct settings *settings, const char *key, const char *label)
{
	const char *value = settings_get(settings, key);

	if (value)
		printf("%-13s%s\n", label, value);
}

/* The command line as the launcher puts it together, without its own defaults. */
static void print_command(const struct settings *settings)
{
	const char *home = settings_get(settings, "java.home"), *jar = settings_get(settings, "java.jar");
	const char *class = settings_get(settings, "java.main"), *path = settings_get(settings, "java.cp");
	const char *exec = settings_get(settings, "exec");

	if (!exec && !jar && !class)
		return;
	printf("command:     ");
	if (jar || class) {
		printf("%s/bin/java", home ? home : "");
		print_all(settings, "java.opt", " ", "");
		if (settings_get(settings, "java.cds"))
			printf(atoi(settings_get(settings, "java.release") ? settings_get(settings, "java.release") : "0") >= 25 ?
			       " -XX:AOTCache=%s" : " -XX:SharedArchiveFile=%s", settings_get(settings, "java.cds"));
		if (jar)
			printf(" -jar ");
		else if (path)
			printf(" -cp %s", path);
		if (jar)
			print_quoted(jar);
		else
			printf(" %s", class);
	} else {
		print_quoted(exec);
	}
	print_all(settings, "arg", " ", "");
	putchar('\n');
}

static void print_settings(struct container *image)
{
	struct settings settings = settings_of_image(image);

	if (!settings.bytes)
		return;
	if (settings_get(&settings, "java.home"))
		printf("jdk:         %s (Java %s)\n", settings_get(&settings, "java.home"),
		       settings_get(&settings, "java.release") ? settings_get(&settings, "java.release") : "?");
	print_command(&settings);
	print_all(&settings, "run", "program:     ", "\n");
	print_value(&settings, "workdir", "workdir:");
	print_value(&settings, "name", "host name:");
	print_value(&settings, "kernel.opts", "kernel opts:");
	if (settings_get(&settings, "env")) {
		printf("environment:\n");
		print_all(&settings, "env", "  ", "\n");
	}
}

/* The files of a layer, from squashfs-tools. */
static void print_files(struct container *image, const struct ibrik_section *section)
{
	char *offset = format("%llu", (unsigned long long)section->offset);
	char *argv[] = { "unsquashfs", "-q", "-lln", "-d", "", "-o", offset, (char *)image->path, NULL };
	int status;
	char *list = command_output(argv, &status);

	printf("files of %s:\n", section->name);
	if (status)
		die(STATUS_ERROR, "%s: the file system %s cannot be read", image->path, section->name);
	fputs(list, stdout);
	free(list);
}

static const char *type_name(uint32_t type)
{
	static const char *const names[] = { "?", "kernel", "settings", "layer" };

	return type < sizeof(names) / sizeof(*names) ? names[type] : "?";
}

static int verify(struct container *image)
{
	bool damaged = false;
	int64_t block;

	if (!container_boot_verify(image)) {
		damaged = true;
		say("%s: the boot code is damaged (bytes 0 to %d, %d to %d)", image->path, IBRIK_HEADER_OFFSET - 1,
		    IBRIK_HEADER_OFFSET + IBRIK_BLOCK, IBRIK_DATA_OFFSET - 1);
	}
	for (unsigned i = 0; i < image->header.nsections; i++) {
		const struct ibrik_section *section = &image->header.sections[i];

		if (container_verify(image, section, &block) == 0)
			continue;
		damaged = true;
		if (block < 0)
			say("%s: %s is damaged: its hash table is wrong", image->path, section->name);
		else
			say("%s: %s is damaged: block %lld (byte %llu of the image) is wrong", image->path, section->name,
			    (long long)block, (unsigned long long)(section->offset + (uint64_t)block * IBRIK_BLOCK));
	}
	if (!damaged)
		printf("verified:    every block of %u sections%s is as it was written\n", image->header.nsections,
		       image->header.boot_hash ? " and the boot code" : "");
	return damaged ? STATUS_ERROR : 0;
}

int command_inspect(int argc, char **argv)
{
	struct container image;
	bool check = false, files = true;
	const char *path = NULL;
	char *why;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--verify") == 0)
			check = true;
		else if (strcmp(argv[i], "--no-files") == 0)
			files = false;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			puts("usage: ibrik inspect [--verify] [--no-files] app.img\n\n"
			     "Prints what is in an image: kernel, JDK, command line, environment, sizes and files.\n"
			     "  --verify     check every block against its hash\n"
			     "  --no-files   without the list of files");
			return 0;
		} else if (*argv[i] == '-')
			die(STATUS_ERROR, "unknown option '%s'; see 'ibrik inspect --help'", argv[i]);
		else if (path)
			die(STATUS_ERROR, "inspect takes one image");
		else
			path = argv[i];
	}
	if (!path)
		die(STATUS_ERROR, "inspect takes an image; see 'ibrik inspect --help'");
	if (access(path, F_OK) < 0)
		die(STATUS_NOT_FOUND, "%s: no such file", path);
	if (container_open(&image, path, &why) < 0)
		die(STATUS_ERROR, "%s: %s", path, why);
	printf("image:       %s, format %u, %llu bytes\n", path, image.header.version, (unsigned long long)image.header.image_bytes);
	printf("boots:       %s\n", container_find(&image, IBRIK_KERNEL, 0) ? "by itself (BIOS) and through ibrik run" : "no, it holds no kernel");
	for (unsigned i = 0; i < image.header.nsections; i++) {
		const struct ibrik_section *section = &image.header.sections[i];

		printf("%-13s%-12s %11llu bytes at %llu%s%s%s\n", format("%s:", type_name(section->type)), section->name,
		       (unsigned long long)section->length, (unsigned long long)section->offset,
		       section->type == IBRIK_LAYER ? ", mounted on " : "", section->type == IBRIK_LAYER ? section->mount : "",
		       section->flags & IBRIK_LAYER_VOLUME ? " (volume)" : "");
	}
	print_settings(&image);
	/* Files of a damaged image are not listed: the reader may stumble over them. */
	if (check) {
		int status = verify(&image);

		if (status)
			return status;
	}
	for (unsigned i = 0; files && i < image.header.nsections; i++)
		if (image.header.sections[i].type == IBRIK_LAYER)
			print_files(&image, &image.header.sections[i]);
	return 0;
}
