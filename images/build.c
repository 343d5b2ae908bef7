/*
 * images/build.c - `ibrik build`: one image of kernel, settings, JDK and application.
 *
 * The image is written beside its place and renamed when it is whole, so a build that fails
 * leaves the old image as it was.
 *
 * Interface: command_build()
 * Errors:    one line and status 125, 126 or 127
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *default_output(const struct options *options)
{
	const char *from = options->app ? options->app : options->exec;
	const char *name;
	size_t length;

	if (!from)
		die(STATUS_ERROR, "name the image with -o");
	name = strrchr(from, '/') ? strrchr(from, '/') + 1 : from;
	length = strlen(name);
	if (length > 4 && strcmp(name + length - 4, ".jar") == 0)
		length -= 4;
	return format("%.*s.img", (int)length, name);
}

/* Everything the JDK's container says comes first, so that the application's settings win. */
static void merge_jdk_settings(struct settings *all, struct app *app)
{
	struct settings jdk = settings_of_image(&app->jdk.container);
	const char *record, *value;
	size_t at = 0, key_bytes;

	while ((record = settings_next(&jdk, &at, &value, &key_bytes))) {
		char *key = format("%.*s", (int)key_bytes, record);

		if (settings_add(all, key, value))
			die(STATUS_ERROR, "the settings exceed 1 MiB");
	}
}

int command_build(int argc, char **argv)
{
	struct options options;
	struct app app = { 0 };
	struct settings settings = { 0 };
	struct part parts[IBRIK_MAX_SECTIONS];
	unsigned nparts = 0;
	size_t kernel_bytes, boot_bytes;
	char *kernel, *boot, *output;
	struct stat status;
	int fd, layer;

	options_parse(&options, false, argc, argv);
	app_check(&options);
	output = options.output ? options.output : default_output(&options);
	if (options.app && file_is_container(options.app))
		die(STATUS_ERROR, "%s is an image already; build takes a jar", options.app);
	if (stat(output, &status) == 0 && !S_ISREG(status.st_mode))
		die(STATUS_ERROR, "%s is not a regular file: the image is not written over it", output);
	inputs_spare(&options, options.output ? "-o" : "the image", output);
	app_make(&app, &options);
	kernel = read_whole(kernel_find(&options), &kernel_bytes);
	kernel = kernel_strip(kernel, kernel_bytes, &kernel_bytes);
	boot = read_whole(data_file("boot.bin", true), &boot_bytes);
	if (boot_bytes > IBRIK_DATA_OFFSET)
		die(STATUS_ERROR, "the boot code is larger than its place");
	if (app.java && jdk_damaged(&app.jdk))
		exit(STATUS_ERROR);
	if (app.java)
		merge_jdk_settings(&settings, &app);
	for (size_t at = 0, key_bytes; at < app.settings.bytes;) {
		const char *value, *record = settings_next(&app.settings, &at, &value, &key_bytes);

		if (record && settings_add(&settings, format("%.*s", (int)key_bytes, record), value))
			die(STATUS_ERROR, "the settings exceed 1 MiB");
	}
	if (options.kernel_opts && settings_add(&settings, "kernel.opts", options.kernel_opts))
		die(STATUS_ERROR, "the settings exceed 1 MiB");

	parts[nparts++] = (struct part){ .type = IBRIK_KERNEL, .name = "kernel", .fd = -1, .data = kernel, .length = kernel_bytes };
	parts[nparts++] = (struct part){ .type = IBRIK_SETTINGS, .name = "settings", .fd = -1, .data = settings.records, .length = settings.bytes };
	for (unsigned i = 0; app.java; i++) {
		struct ibrik_section *section = container_find(&app.jdk.container, IBRIK_LAYER, i);

		if (!section)
			break;
		part_from_section(&parts[nparts++], &app.jdk.container, section);
	}
	layer = open(app.layer, O_RDONLY | O_CLOEXEC);
	if (layer < 0 || fstat(layer, &status) < 0)
		die(STATUS_ERROR, "cannot read %s: %s", app.layer, strerror(errno));
	parts[nparts++] = (struct part){ .type = IBRIK_LAYER, .name = "app", .mount = "/", .fd = layer, .length = (uint64_t)status.st_size };

	fd = open(partial_begin(output), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		die(STATUS_ERROR, "cannot write %s: %s", output, strerror(errno));
	container_write(fd, output, 10, parts, nparts, boot, boot_bytes);
	if (fstat(fd, &status) < 0 || close(fd) < 0)
		die(STATUS_ERROR, "cannot write %s: %s", output, strerror(errno));
	partial_finish(output);
	progress("%s: %.1f MiB", output, (double)status.st_size / (1 << 20));
	return 0;
}
