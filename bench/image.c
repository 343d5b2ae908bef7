/*
 * bench/image.c - what lies where in an image, for mounting its layers under Linux.
 *
 * Interface: image FILE
 *	prints a line for each section and each settings record:
 *	section TYPE OFFSET LENGTH NAME MOUNT     TYPE is kernel, settings or layer
 *	setting KEY=VALUE                         newlines in VALUE shown as spaces
 * Errors: one line, status 1, when FILE is no image or is cut short. Hashes are not
 * checked here; `ibrik inspect --verify` does that.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../images/format.h"

#define MAX_SETTINGS (1u << 20)

static _Noreturn void fail(const char *path, const char *why)
{
	fprintf(stderr, "image: %s: %s\n", path, why);
	exit(1);
}

static void settings_print(const char *path, FILE *file, const struct ibrik_section *section)
{
	char *text, *p, *end;

	if (section->length > MAX_SETTINGS)
		fail(path, "the settings are too long");
	text = calloc(1, section->length + 1);
	if (!text)
		fail(path, "out of memory");
	if (fseek(file, (long)section->offset, SEEK_SET) || fread(text, 1, section->length, file) != section->length)
		fail(path, "the settings are cut short");
	end = text + section->length;
	for (p = text; p < end; p += strlen(p) + 1) {
		char *c;

		for (c = p; *c; c++)
			if (*c == '\n')
				*c = ' ';
		if (*p)
			printf("setting %s\n", p);
	}
	free(text);
}

int main(int argc, char **argv)
{
	static const char *const types[] = { "unknown", "kernel", "settings", "layer" };
	static struct ibrik_header header;
	uint64_t size;
	uint32_t i;
	FILE *file;

	if (argc != 2)
		fail("usage", "image FILE");
	file = fopen(argv[1], "rbe");
	if (!file)
		fail(argv[1], strerror(errno));
	fseek(file, 0, SEEK_END);
	size = (uint64_t)ftell(file);
	if (fseek(file, IBRIK_HEADER_OFFSET, SEEK_SET) || fread(&header, sizeof(header), 1, file) != 1 ||
	    memcmp(header.magic, IBRIK_MAGIC, sizeof(header.magic)))
		fail(argv[1], "not an image");
	if (header.version != IBRIK_VERSION || header.nsections > IBRIK_MAX_SECTIONS)
		fail(argv[1], "an image of another version");
	for (i = 0; i < header.nsections; i++) {
		const struct ibrik_section *s = &header.sections[i];

		if (s->offset > size || s->length > size - s->offset)
			fail(argv[1], "cut short");
		printf("section %s %llu %llu %.40s %.176s\n", types[s->type <= IBRIK_LAYER ? s->type : 0],
		       (unsigned long long)s->offset, (unsigned long long)s->length, s->name, s->mount);
		if (s->type == IBRIK_SETTINGS)
			settings_print(argv[1], file, s);
	}
	fclose(file);
	return 0;
}
