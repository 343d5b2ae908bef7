/*
 * images/run.c - `ibrik run`: boots a jar, a program or an image under QEMU.
 *
 * Theory:    nothing large is copied. A jar becomes a small container of its own that stands
 *            beside the cached container of its JDK; an image is used as it is. What the command
 *            line says travels in a container of higher priority. Containers made here are
 *            unlinked at once and handed to QEMU as open files, so nothing is left behind
 *            however the command ends.
 * Interface: command_run_app()
 * Errors:    one line and status 125, 126 or 127; otherwise the application's status
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that has no name any more, open across exec; the answer is its path for QEMU. */
static char *open_unlinked(int *fd, const char *name)
{
	char *path = format("%s/%s", temp_dir(), name);

	*fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (*fd < 0)
		die(STATUS_ERROR, "cannot write %s: %s", path, strerror(errno));
	unlink(path);
	free(path);
	return format("/dev/fd/%d", *fd);
}

static char *write_container(const char *name, uint32_t priority, struct part *parts, unsigned nparts)
{
	int fd;
	char *path = open_unlinked(&fd, name);

	container_write(fd, name, priority, parts, nparts, NULL, 0);
	return path;
}

/* An image's own kernel, if it has one, as a file for QEMU. */
static char *image_kernel(struct container *image, const struct options *options)
{
	struct ibrik_section *section = container_find(image, IBRIK_KERNEL, 0);
	int64_t block;
	char *path;
	void *data;
	int fd;

	if (options->kernel || !section)
		return kernel_find(options);
	if (container_verify(image, section, &block) < 0)
		die(STATUS_ERROR, "%s: the kernel in the image is damaged", image->path);
	data = section_read(image, section);
	path = open_unlinked(&fd, "kernel");
	pwrite_all(fd, data, section->length, 0, "kernel");
	free(data);
	return path;
}

/* "--main CLASS app.img": the image became the first argument of a class of the JDK, which nobody means. */
static void refuse_main_for_image(const struct options *options)
{
	if (options->main_class && !options->class_path.count && options->args.count && file_is_container(options->args.items[0]))
		die(STATUS_ERROR, "--main cannot change the finished image %s; give it to 'ibrik build'", options->args.items[0]);
}

/* Options that only make sense when something is packed. */
static void refuse_for_image(const struct options *options)
{
	const char *option = options->jdk ? "--jdk" : options->files.count ? "--file" : options->cds ? "--cds" : NULL;

	if (option)
		die(STATUS_ERROR, "%s cannot change the finished image %s; give it to 'ibrik build'", option, options->app);
}

/* Is one of the kernel's options, which may be NULL, log=LEVEL? */
static bool names_level(const char *kernel_opts)
{
	return kernel_opts && (!strncmp(kernel_opts, "log=", 4) || strstr(kernel_opts, " log="));
}

int command_run_app(int argc, char **argv)
{
	struct options options;
	struct settings settings = { 0 };
	struct strings drives = { 0 };
	struct part parts[IBRIK_MAX_SECTIONS];
	struct container image = { 0 };
	struct machine machine;
	struct app app = { 0 };
	struct stat status;
	unsigned nparts = 0;
	struct settings of_image;
	char *kernel, *append, *why;
	int layer, ended;

	options_parse(&options, true, argc, argv);
	app_check(&options);
	refuse_main_for_image(&options);
	if (options.app && access(options.app, F_OK) < 0)
		die(STATUS_NOT_FOUND, "%s: %s", options.app, strerror(errno));
	if (options.app && access(options.app, R_OK) < 0)
		die(STATUS_NOT_EXEC, "%s: %s", options.app, strerror(errno));
	if (options.app && (file_is_container(options.app) ||
	                    (strlen(options.app) > 4 && strcmp(options.app + strlen(options.app) - 4, ".img") == 0))) {
		refuse_for_image(&options);
		if (container_open(&image, options.app, &why) < 0)
			die(STATUS_ERROR, "%s: %s", options.app, why);
		kernel = image_kernel(&image, &options);
		of_image = settings_of_image(&image);
		options.image_opts = settings_get(&of_image, "kernel.opts");
		settings_of_options(&settings, &options);
		if (options.name)
			hosts_make(&parts[nparts++], &image, options.name);
		strings_add(&drives, options.app);
		machine_open(&machine, &options);
	} else {
		machine_open(&machine, &options);
		app_make(&app, &options);
		kernel = kernel_find(&options);
		settings = app.settings;
		if (app.java)
			strings_add(&drives, app.jdk.container.path);
		layer = open(app.layer, O_RDONLY | O_CLOEXEC);
		if (layer < 0 || fstat(layer, &status) < 0)
			die(STATUS_ERROR, "cannot read %s: %s", app.layer, strerror(errno));
		parts[nparts++] = (struct part){ .type = IBRIK_LAYER, .name = "app", .mount = "/", .fd = layer, .length = (uint64_t)status.st_size };
	}
	if (settings.bytes)
		parts[nparts++] = (struct part){ .type = IBRIK_SETTINGS, .name = "settings", .fd = -1, .data = settings.records, .length = settings.bytes };
	nparts += volumes_make(parts + nparts, IBRIK_MAX_SECTIONS - nparts, &options);
	if (nparts)
		strings_add(&drives, write_container("command-line", 20, parts, nparts));
	append = format("debugexit=1%s%s%s%s", network_append(&options), options.log && !names_level(options.kernel_opts) ? " log=info" : "",
	                options.kernel_opts ? " " : "", options.kernel_opts ? options.kernel_opts : "");
	machine_start(&machine, &options, kernel, &drives, append);
	if (!options.debug) /* QEMU has every file open */
		temp_remove();
	ended = machine_pump(&machine, &options);
	/* The kernel has said that bytes are wrong, but not whose: reading 200 MB is worth it only now. */
	if (machine.damage_told && app.java)
		jdk_damaged(&app.jdk);
	return ended;
}
