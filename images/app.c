/*
 * images/app.c - from the command line to an application: the folder that is packed
 * as its layer, and the settings that say how it is started.
 *
 * In the guest the application lies in /app: the jar under its own name with the jars of its
 * Class-Path beside it, or the entries of --cp in /app/cp.
 *
 * Interface: app_check(), app_make(), settings_of_options(), hosts_make(), volumes_make()
 * Errors:    all end the command with one line, before anything is started
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define VOLUMES_MOST 12 /* sections of one container, less the application's and the settings */

static void set(struct settings *settings, const char *key, const char *value)
{
	if (settings_add(settings, key, value) == -E2BIG)
		die(STATUS_ERROR, "arguments, environment and options together exceed 1 MiB");
}

/* Splits "HOST:GUEST"; a path of the host may not hold a colon. */
static void split_pair(const char *pair, const char *option, char **host, char **guest)
{
	char *colon;

	*host = xstrdup(pair);
	colon = strchr(*host, ':');
	if (!colon || colon == *host || !colon[1])
		die(STATUS_ERROR, "%s takes HOST:GUEST, not '%s'", option, pair);
	*colon = 0;
	*guest = colon + 1;
	if (access(*host, R_OK) < 0)
		die(STATUS_ERROR, "%s %s: %s", option, *host, strerror(errno));
}

/* The byte that the two hexadecimal digits at `at` stand for, or -1. */
static int hex_byte(const char *at)
{
	char digits[3] = { at[0], at[0] ? at[1] : 0, 0 };

	return strspn(digits, "0123456789abcdefABCDEF") == 2 ? (int)strtol(digits, NULL, 16) : -1;
}

/*
 * An entry of a Class-Path is a URL, and java resolves it against the folder of its jar: %XX is a
 * byte, "file:" may stand in front. The answer is a path without "." and "..", or NULL for what java
 * ignores: another protocol.
 */
static char *class_path_entry(const char *entry, const char *folder)
{
	char *decoded = xalloc(strlen(entry) + 1), *to = decoded, *path, *rest, *out;

	if (strncasecmp(entry, "file:", 5) == 0) {
		entry += 5;
		if (strncmp(entry, "//", 2) == 0) /* an empty host */
			entry += 2;
	} else if (strchr(entry, ':')) {
		return NULL;
	}
	while (*entry) {
		int byte = *entry == '%' ? hex_byte(entry + 1) : -1;

		*to++ = byte > 0 ? (char)byte : *entry;
		entry += byte > 0 ? 3 : 1;
	}
	path = format("%s/%s", *decoded == '/' ? "" : folder, decoded);
	out = xstrdup("");
	for (char *part = strtok_r(path, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
		if (strcmp(part, "..") != 0 && strcmp(part, ".") != 0)
			out = format("%s/%s", out, part);
		else if (part[1] && *out)
			*strrchr(out, '/') = 0;
	}
	return *out ? out : xstrdup("/");
}

/* The folder that the entries of a jar's Class-Path are relative to: java follows links first. */
static char *class_path_folder(const char *jar_path)
{
	char *folder = realpath(jar_path, NULL);

	if (!folder)
		die(STATUS_ERROR, "cannot read %s: %s", jar_path, strerror(errno));
	*strrchr(folder, '/') = 0;
	return folder;
}

/* A folder that is `folder` or holds it. */
static bool holds_folder(const char *path, const char *folder)
{
	size_t bytes = strcmp(path, "/") == 0 ? 0 : strlen(path);

	return strncmp(path, folder, bytes) == 0 && (folder[bytes] == '/' || !folder[bytes]);
}

/*
 * The jars and folders that a manifest's Class-Path names, and those of these jars in turn, each where java will
 * look for it in the guest. The jar's own folder and those above it are not taken: they may hold anything.
 */
static void stage_class_path(const char *root, const char *jar_path, const char *guest, const char *class_path, int depth)
{
	char *host_folder = class_path_folder(jar_path), *guest_folder = xstrdup(guest), *copy = xstrdup(class_path), *rest;

	*strrchr(guest_folder, '/') = 0;
	for (char *entry = strtok_r(copy, " ", &rest); entry; entry = strtok_r(NULL, " ", &rest)) {
		char *host = class_path_entry(entry, host_folder), *to = class_path_entry(entry, guest_folder);
		struct stat status;
		struct jar jar;
		size_t length;

		if (!host || stat(host, &status) < 0)
			continue;
		if (S_ISDIR(status.st_mode) ? holds_folder(host, host_folder) : access(stage_path(root, to), F_OK) == 0)
			continue;
		if (guest_hides(to)) {
			say("%s: the entry %s of its Class-Path is left out: the guest has a file system of its own there", jar_path, entry);
			continue;
		}
		stage_tree(root, host, to);
		length = strlen(host);
		if (S_ISREG(status.st_mode) && length > 4 && strcmp(host + length - 4, ".jar") == 0 && depth < 8) {
			jar_read(host, &jar);
			if (jar.class_path)
				stage_class_path(root, host, to, jar.class_path, depth + 1);
		}
	}
}

/* The release a class in a folder of classes needs, 0 when it is not there. */
static unsigned folder_class_release(const char *folder, const char *class_name)
{
	char *path = format("%s/%s.class", folder, class_name);
	unsigned char start[8];
	int fd;

	for (char *at = path + strlen(folder) + 1; at < path + strlen(path) - 6; at++)
		if (*at == '.')
			*at = '/';
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (read(fd, start, 8) != 8 || memcmp(start, "\xca\xfe\xba\xbe", 4) != 0)
		die(STATUS_ERROR, "%s is not a class file", path);
	close(fd);
	return (unsigned)(start[6] << 8 | start[7]) - 44u;
}

static unsigned entry_class_release(const char *path, const char *class_name)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return 0;
	return S_ISDIR(status.st_mode) ? folder_class_release(path, class_name) : jar_class_release(path, class_name);
}

/* The Java release the main class needs; dies when the class is nowhere. */
static unsigned needed_release(const struct options *options, const struct jar *jar)
{
	unsigned release = 0;
	char *copy, *rest;

	if (options->main_class) {
		if (strchr(options->main_class, '/') || !options->class_path.count)
			return 0; /* a class of the JDK itself */
		for (size_t i = 0; i < options->class_path.count && !release; i++)
			release = entry_class_release(options->class_path.items[i], options->main_class);
		if (!release)
			die(STATUS_ERROR, "the class %s is in none of the entries of --cp", options->main_class);
		return release;
	}
	release = jar_class_release(options->app, jar->main_class);
	copy = xstrdup(jar->class_path ? jar->class_path : "");
	for (char *entry = strtok_r(copy, " ", &rest); entry && !release; entry = strtok_r(NULL, " ", &rest)) {
		char *path = class_path_entry(entry, class_path_folder(options->app));

		release = path ? entry_class_release(path, jar->main_class) : 0;
	}
	if (!release)
		die(STATUS_ERROR, "%s: the Main-Class %s is not in it", options->app, jar->main_class);
	return release;
}

static void choose_jdk(struct app *app, const struct options *options, const struct jar *jar)
{
	static const unsigned known[] = { 17, 21, 25 };
	unsigned release = options->app || options->main_class ? needed_release(options, jar) : 0;
	const char *which = options->jdk;

	for (size_t i = 0; !which && i < 3; i++)
		if (known[i] >= release)
			which = format("%u", known[i]);
	if (!which)
		die(STATUS_ERROR, "%s needs Java %u (class file version %u); the newest JDK that ibrik fetches is 25: give a newer one with --jdk DIR",
		    options->app ? options->app : options->main_class, release, release + 44);
	if (!options->jdk)
		progress("using JDK %s, the lowest that can run %s", which, options->main_class ? options->main_class : options->app);
	/* A known release is refused before it is fetched. */
	if (release && options->jdk && strspn(which, "0123456789") == strlen(which) && (unsigned)atoi(which) < release)
		app->jdk.release = (unsigned)atoi(which);
	else
		jdk_open(&app->jdk, which, options->compress);
	if (app->jdk.release < release)
		die(STATUS_ERROR, "%s needs Java %u (class file version %u), the JDK %s is Java %u (up to version %u)",
		    options->app ? options->app : options->main_class, release, release + 44, which, app->jdk.release, app->jdk.release + 44);
}

static void make_java(struct app *app, const struct options *options)
{
	struct jar jar = { 0 };
	struct stat status;
	char *guest;

	if (options->main_class) {
		struct strings path = { 0 };

		for (size_t i = 0; i < options->class_path.count; i++) {
			const char *host = options->class_path.items[i];
			char *real = realpath(host, NULL);

			if (!real || stat(real, &status) < 0)
				die(STATUS_NOT_FOUND, "--cp %s: %s", host, strerror(errno));
			if (app->time < status.st_mtime)
				app->time = status.st_mtime;
			guest = format("/app/cp/%s", strrchr(real, '/') + 1);
			if (access(format("%s%s", app->root, guest), F_OK) == 0) /* another of that name */
				guest = format("/app/cp/%zu/%s", i, strrchr(real, '/') + 1);
			if (S_ISREG(status.st_mode)) {
				jar_read(real, &jar);
				if (jar.class_path)
					stage_class_path(app->root, real, guest, jar.class_path, 0);
			}
			stage_tree(app->root, real, guest);
			strings_add(&path, guest);
		}
		choose_jdk(app, options, &jar);
		set(&app->settings, "java.main", options->main_class);
		guest = xstrdup("");
		for (size_t i = 0; i < path.count; i++)
			guest = format("%s%s%s", guest, i ? ":" : "", path.items[i]);
		if (path.count)
			set(&app->settings, "java.cp", guest);
		return;
	}
	if (stat(options->app, &status) < 0)
		die(STATUS_NOT_FOUND, "%s: %s", options->app, strerror(errno));
	jar_read(options->app, &jar);
	if (!jar.main_class || !*jar.main_class)
		die(STATUS_ERROR, "%s has no Main-Class in its manifest: name one with --main CLASS --cp %s", options->app, options->app);
	choose_jdk(app, options, &jar);
	app->time = status.st_mtime;
	guest = format("/app/%s", strrchr(options->app, '/') ? strrchr(options->app, '/') + 1 : options->app);
	stage_file(app->root, options->app, guest);
	if (jar.class_path)
		stage_class_path(app->root, options->app, guest, jar.class_path, 0);
	set(&app->settings, "java.jar", guest);
}

/* "PROGRAM ARG...": the program is staged, its words become one record. */
static void make_run(struct app *app, const char *text)
{
	struct strings words = { 0 };
	char *record, *guest;

	strings_split(&words, text, "--run");
	if (!words.count)
		die(STATUS_ERROR, "--run takes a program and its arguments");
	if (app->java && strncmp(words.items[0], app->jdk.home, strlen(app->jdk.home)) == 0)
		guest = words.items[0];
	else
		program_stage(app->root, words.items[0], &guest);
	record = xstrdup(guest);
	for (size_t i = 1; i < words.count; i++)
		record = format("%s\1%s", record, words.items[i]);
	set(&app->settings, "run", record);
}

static void add_env(struct settings *settings, const struct options *options)
{
	for (size_t i = 0; i < options->env.count; i++) {
		const char *entry = options->env.items[i];
		size_t name = strcspn(entry, "=") + 1;
		bool last = true;

		for (size_t j = i + 1; j < options->env.count; j++)
			last &= strncmp(entry, options->env.items[j], name) != 0;
		if (last)
			set(settings, "env", entry);
	}
}

/* Whether the host table knows the name: it is a word of a line behind the address. */
static bool hosts_know(const char *hosts, const char *name)
{
	char *copy = xstrdup(hosts), *next = copy, *line, *rest;

	while ((line = strsep(&next, "\n"))) {
		line[strcspn(line, "#")] = 0;
		strtok_r(line, " \t", &rest);
		for (char *word; (word = strtok_r(NULL, " \t", &rest));)
			if (strcasecmp(word, name) == 0)
				return true;
	}
	return false;
}

/*
 * The host table with the machine's own name, which InetAddress.getLocalHost() looks up there. As in Debian it
 * has the address 127.0.1.1; the line that the machine's name had before is replaced, the others stay.
 */
static char *hosts_with_name(const char *hosts, const char *before, const char *name)
{
	char *copy = xstrdup(hosts), *next = copy, *line, *out = xstrdup("");

	if (hosts_know(hosts, name))
		return copy;
	while ((line = strsep(&next, "\n")))
		if (*line && strcmp(line, format("127.0.1.1 %s", before)) != 0)
			out = format("%s%s\n", out, line);
	return format("%s127.0.1.1 %s\n", out, name);
}

/* Puts the host table into the staged root: over that of --file or of base.sh, else over the container's below, which has the name `before`. */
static void stage_hosts(const char *root, struct container *below, const char *before, const char *name)
{
	char *path = stage_path(root, "/etc/hosts"), *made = format("%s/host-table", temp_dir()), *hosts = NULL;
	struct stat status;

	if (lstat(path, &status) == 0 && S_ISREG(status.st_mode))
		hosts = read_whole(path, NULL);
	else if (below)
		hosts = container_file(below, "etc/hosts");
	hosts = hosts_with_name(hosts ? hosts : "127.0.0.1 localhost\n", before, name);
	write_whole(made, hosts, strlen(hosts));
	stage_file(root, made, "/etc/hosts");
}

void settings_of_options(struct settings *settings, const struct options *options)
{
	add_env(settings, options);
	if (options->has_args && !options->args.count)
		set(settings, "args.clear", "1");
	for (size_t i = 0; i < options->args.count; i++)
		set(settings, "arg", options->args.items[i]);
	for (size_t i = 0; i < options->jvm_opts.count; i++)
		set(settings, "java.opt", options->jvm_opts.items[i]);
	if (options->workdir)
		set(settings, "workdir", options->workdir);
	if (options->name)
		set(settings, "name", options->name);
}

static void input_spare(const char *input, const char *option, const char *output)
{
	if (input && same_file(input, output))
		die(STATUS_ERROR, "%s %s: this file is read, too: it is not written over", option, output);
}

void inputs_spare(const struct options *options, const char *option, const char *output)
{
	const struct strings *pairs[] = { &options->files, &options->volumes };

	input_spare(options->app, option, output);
	input_spare(options->exec, option, output);
	input_spare(options->kernel, option, output);
	for (size_t i = 0; i < options->class_path.count; i++)
		input_spare(options->class_path.items[i], option, output);
	for (size_t i = 0; i < options->runs.count; i++) {
		struct strings words = { 0 };

		strings_split(&words, options->runs.items[i], "--run");
		if (words.count)
			input_spare(words.items[0], option, output);
	}
	for (unsigned list = 0; list < 2; list++)
		for (size_t i = 0; i < pairs[list]->count; i++)
			input_spare(format("%.*s", (int)strcspn(pairs[list]->items[i], ":"), pairs[list]->items[i]), option, output);
}

/* "HOST:GUEST[:ro]" */
static void split_volume(const char *text, char **host, char **guest)
{
	char *mode, *real;

	split_pair(text, "--volume", host, guest);
	mode = strrchr(*guest, ':');
	if (mode) {
		*mode++ = 0;
		if (strcmp(mode, "ro") != 0)
			die(STATUS_ERROR, "--volume %s: only read-only volumes (:ro) are there", text);
	}
	guest_path_check(*guest, "--volume");
	if (guest_hides(*guest) || !guest_path_plain(*guest)[strspn(guest_path_plain(*guest), "/")])
		die(STATUS_ERROR, "--volume %s: /, /proc, /sys and /dev in the guest are its own", text);
	real = realpath(*host, NULL);
	if (real && (strcmp(real, "/") == 0 || strcmp(real, "/proc") == 0 || strcmp(real, "/sys") == 0 || strcmp(real, "/dev") == 0))
		die(STATUS_ERROR, "--volume %s: %s of this machine cannot be packed", text, real);
}

void app_check(const struct options *options)
{
	char *host, *guest;

	for (size_t i = 0; i < options->files.count; i++) {
		split_pair(options->files.items[i], "--file", &host, &guest);
		guest_path_check(guest, "--file");
	}
	for (size_t i = 0; i < options->volumes.count; i++)
		split_volume(options->volumes.items[i], &host, &guest);
	if (options->volumes.count > VOLUMES_MOST)
		die(STATUS_ERROR, "at most %d volumes", VOLUMES_MOST);
	if (options->jdk)
		jdk_check(options->jdk);
	if (options->workdir)
		guest_path_check(options->workdir, "--workdir");
	for (size_t i = 0; i < options->class_path.count; i++)
		if (access(options->class_path.items[i], R_OK) < 0)
			die(STATUS_NOT_FOUND, "--cp %s: %s", options->class_path.items[i], strerror(errno));
}

void app_make(struct app *app, const struct options *options)
{
	bool program = options->exec || options->runs.count;
	struct stat status;
	char *guest, *host;

	app->root = format("%s/root", temp_dir());
	app->time = 0;
	make_dirs(app->root);
	chmod(app->root, 0755);
	app->java = !program || options->jdk;
	if (program && options->jdk)
		choose_jdk(app, options, NULL);
	else if (!program)
		make_java(app, options);
	if (options->exec) {
		program_stage(app->root, options->exec, &guest);
		if (app->java) { /* beside a JDK, whose settings would make java the program */
			for (size_t i = 0; i < options->args.count; i++)
				guest = format("%s\1%s", guest, options->args.items[i]);
			set(&app->settings, "run", guest);
		} else {
			set(&app->settings, "exec", guest);
		}
		if (stat(options->exec, &status) == 0)
			app->time = status.st_mtime;
	}
	for (size_t i = 0; i < options->runs.count; i++)
		make_run(app, options->runs.items[i]);
	for (size_t i = 0; i < options->files.count; i++) {
		split_pair(options->files.items[i], "--file", &host, &guest);
		stage_tree(app->root, host, guest);
	}
	if (!app->java) {
		char *base[] = { data_file("base.sh", true), app->root, NULL };

		command_run(base);
	}
	if (options->name)
		stage_hosts(app->root, app->java ? &app->jdk.container : NULL, NAME_DEFAULT, options->name);
	settings_of_options(&app->settings, options);
	app->time = source_date(app->time);
	if (options->cds && app->java && !program)
		cds_train(app, options);
	app->layer = format("%s/app.squashfs", temp_dir());
	layer_pack(app->root, app->layer, app->time, true, options->compress);
}

/* A squashfs file as a section. */
static struct part part_of_layer(const char *file, const char *name, const char *mount, uint32_t flags)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		die(STATUS_ERROR, "cannot read %s: %s", file, strerror(errno));
	return (struct part){ .type = IBRIK_LAYER, .flags = flags, .name = name, .mount = mount, .fd = fd, .length = (uint64_t)status.st_size };
}

void hosts_make(struct part *part, struct container *image, const char *name)
{
	char *root = format("%s/hosts", temp_dir()), *file = format("%s.squashfs", root);
	struct settings settings = settings_of_image(image);
	const char *before = settings_get(&settings, "name");

	make_dirs(root);
	chmod(root, 0755);
	stage_hosts(root, image, before ? before : NAME_DEFAULT, name);
	layer_pack(root, file, source_date(0), true, COMPRESS_NONE);
	*part = part_of_layer(file, "hosts", "/", 0);
}

unsigned volumes_make(struct part *parts, unsigned most, const struct options *options)
{
	for (size_t i = 0; i < options->volumes.count; i++) {
		char *host, *guest, *root, *file;
		struct stat status;

		split_volume(options->volumes.items[i], &host, &guest);
		if (i >= most)
			die(STATUS_ERROR, "at most %u volumes", most);
		file = format("%s/volume%zu.squashfs", temp_dir(), i);
		if (stat(host, &status) < 0)
			die(STATUS_ERROR, "--volume %s: %s", host, strerror(errno));
		root = host;
		if (!S_ISDIR(status.st_mode)) { /* a single file is merged at its place */
			root = format("%s/volume%zu", temp_dir(), i);
			make_dirs(root);
			chmod(root, 0755); /* it becomes the mode of / */
			stage_file(root, host, guest);
		}
		layer_pack(root, file, source_date(0), false, COMPRESS_NONE);
		parts[i] = part_of_layer(file, format("volume %zu", i), root == host ? guest : "/", root == host ? IBRIK_LAYER_VOLUME : 0);
	}
	return (unsigned)options->volumes.count;
}
