/*
 * images/jdk.c - the container of a JDK, made once by jdk.sh and kept in the cache.
 *
 * Theory:    a JDK is 200 MB, so it is packed and hashed once. Its file name in the cache holds
 *            a hash of the recipe (jdk.sh and base.sh) or, for a folder, of what is in the folder:
 *            when either changes, another file is made; a compressed one is made from the plain one.
 *            It is written beside its place and renamed, under a lock, so that commands running
 *            at once share one.
 * Interface: jdk_check(), jdk_open(), jdk_damaged()
 * Errors:    all end the command with one line
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xxh64.h"

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/* The name of the container: of the release and the recipe, or of the folder's content. */
static char *cache_name(const char *which, enum compress compress)
{
	const char *suffix = compress == COMPRESS_GZIP ? "-gzip" : "";
	char *recipe = data_file("jdk.sh", true), *base = data_file("base.sh", true);
	size_t recipe_bytes, base_bytes;
	char *text = read_whole(recipe, &recipe_bytes), *base_text = read_whole(base, &base_bytes);
	uint64_t hash = xxh64(text, recipe_bytes, xxh64(base_text, base_bytes, IBRIK_VERSION));

	if (is_number(which))
		return format("jdk-%s-%08x%s.img", which, (unsigned)hash, suffix);

	if (access(which, R_OK | X_OK) < 0)
		die(STATUS_ERROR, "--jdk %s: %s", which, strerror(errno));
	if (access(format("%s/bin/java", which), X_OK) < 0 || access(format("%s/release", which), R_OK) < 0)
		die(STATUS_ERROR, "--jdk %s: not a JDK: bin/java or the file release is missing", which);

	char *argv[] = { recipe, "id", (char *)which, NULL };
	int status;
	char *id = command_output(argv, &status), *real = realpath(which, NULL);

	id[strcspn(id, "\n")] = 0;
	if (status || strlen(id) != 16 || !real)
		die(STATUS_ERROR, "--jdk %s: cannot read the folder", which);
	return format("jdk-%s-%s-%08x%s.img", strrchr(real, '/') + 1, id, (unsigned)hash, suffix);
}

/* The lines of a settings file become records. */
static void read_lines(struct settings *settings, char *lines)
{
	for (char *line = lines, *next; *line; line = next) {
		char *equals;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		equals = strchr(line, '=');
		if (!equals)
			continue;
		*equals = 0;
		if (settings_add(settings, line, equals + 1))
			die(STATUS_ERROR, "the JDK's settings are too large");
	}
}

/* The root folder and settings of a JDK whose container is there: only to pack them another way. */
static void jdk_unpack(struct jdk *from, const char *out, struct settings *settings, char **label)
{
	struct ibrik_section *layer = container_find(&from->container, IBRIK_LAYER, 0);
	char *argv[] = { "unsquashfs", "-q", "-n", "-no-xattrs", "-d", format("%s/root", out), "-o",
		         format("%llu", (unsigned long long)layer->offset), (char *)from->container.path, NULL };

	command_run(argv);
	*settings = settings_of_image(&from->container);
	*label = xstrdup(layer->name);
}

/* The same from packages or a folder. */
static void jdk_gather(const char *which, const char *out, struct settings *settings, char **label)
{
	char *argv[] = { data_file("jdk.sh", true), is_number(which) ? "debian" : "folder", (char *)which, (char *)out, NULL };

	command_run(argv);
	read_lines(settings, read_whole(format("%s/settings", out), NULL));
	*label = read_whole(format("%s/version", out), NULL);
	(*label)[strcspn(*label, "\n")] = 0;
	*label = format("jdk-%.35s", *label);
}

/* Makes the container of a JDK, from the one in `from` if there is one. */
static void jdk_make(const char *which, struct jdk *from, const char *file, enum compress compress)
{
	char *work = format("%s/jdk.XXXXXX", cache_dir());
	char *out, *squashfs, *made, *root, *label;
	struct settings settings = { 0 };
	struct stat status;
	int fd, layer;

	/* We hold the lock, so what another command left behind has no owner. */
	char *remove_stale[] = { "find", cache_dir(), "-maxdepth", "1", "-name", "jdk.??????", "-exec", "rm", "-rf", "{}", "+", NULL };

	command_run(remove_stale);
	/* Its own folder in the cache: a temporary file system may be too small for a JDK. */
	if (!mkdtemp(work))
		die(STATUS_ERROR, "cannot make a folder in %s: %s", cache_dir(), strerror(errno));
	out = format("%s/out", work);
	root = format("%s/root", out);
	squashfs = format("%s/squashfs", work);
	made = format("%s/container", work);
	char *remove_work[] = { "rm", "-rf", work, NULL };

	if (from)
		progress("compressing the JDK %s (done once, kept in %s)", which, cache_dir());
	else if (is_number(which))
		progress("fetching OpenJDK %s and its libraries (done once, kept in %s)", which, cache_dir());
	else
		progress("packing the JDK in %s (done once, kept in %s)", which, cache_dir());
	pid_t helper = fork(); /* so that the folder goes even when a step dies */
	if (helper < 0)
		die(STATUS_ERROR, "cannot start a helper: %s", strerror(errno));
	if (helper == 0) {
		make_dirs(out);
		if (from)
			jdk_unpack(from, out, &settings, &label);
		else
			jdk_gather(which, out, &settings, &label);
		char *stamp = format("%s%s/release", root, settings_get(&settings, "java.home"));
		if (stat(stamp, &status) < 0)
			die(STATUS_ERROR, "%s is missing in the packed JDK", stamp);
		layer_pack(root, squashfs, status.st_mtime, false, compress);
		layer = open(squashfs, O_RDONLY | O_CLOEXEC);
		fd = open(made, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (layer < 0 || fd < 0 || fstat(layer, &status) < 0)
			die(STATUS_ERROR, "cannot write %s: %s", made, strerror(errno));
		struct part parts[] = {
			{ .type = IBRIK_SETTINGS, .name = "settings", .fd = -1, .data = settings.records, .length = settings.bytes },
			{ .type = IBRIK_LAYER, .name = label, .mount = "/", .fd = layer, .length = (uint64_t)status.st_size },
		};
		container_write(fd, made, 0, parts, 2, NULL, 0);
		if (fsync(fd) < 0 || close(fd) < 0 || rename(made, file) < 0)
			die(STATUS_ERROR, "cannot write %s: %s", file, strerror(errno));
		exit(0);
	}
	int ended = -1;
	while (waitpid(helper, &ended, 0) < 0 && errno == EINTR)
		;
	command_run(remove_work);
	if (ended)
		exit(STATUS_ERROR); /* the helper has said why */
}

void jdk_check(const char *which)
{
	if (is_number(which) && strcmp(which, "17") != 0 && strcmp(which, "21") != 0 && strcmp(which, "25") != 0)
		die(STATUS_ERROR, "--jdk %s: ibrik fetches the JDKs 17, 21 and 25; another one is taken from a folder", which);
}

bool jdk_damaged(struct jdk *jdk)
{
	int64_t block;

	for (unsigned i = 0; i < jdk->container.header.nsections; i++)
		if (container_verify(&jdk->container, &jdk->container.header.sections[i], &block) < 0) {
			say("the cached JDK %s is damaged: remove it and try again", jdk->container.path);
			return true;
		}
	return false;
}

void jdk_open(struct jdk *jdk, const char *which, enum compress compress)
{
	struct settings settings = { 0 };
	struct jdk plain, *from = NULL;
	char *file, *lock, *why;
	int fd;

	jdk_check(which);
	file = format("%s/%s", cache_dir(), cache_name(which, compress));
	if (access(file, R_OK) < 0) {
		if (compress != COMPRESS_NONE) { /* before the lock, which it takes itself */
			jdk_open(&plain, which, COMPRESS_NONE);
			if (jdk_damaged(&plain))
				exit(STATUS_ERROR);
			from = &plain;
		}
		lock = format("%s/jdk.lock", cache_dir());
		fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || flock(fd, LOCK_EX) < 0)
			die(STATUS_ERROR, "cannot lock %s: %s", lock, strerror(errno));
		if (access(file, R_OK) < 0)
			jdk_make(which, from, file, compress);
		close(fd);
	}
	if (container_open(&jdk->container, file, &why) < 0)
		die(STATUS_ERROR, "the cached JDK %s cannot be used (%s): remove it and try again", file, why);
	settings = settings_of_image(&jdk->container);
	if (!settings_get(&settings, "java.home") || !settings_get(&settings, "java.release"))
		die(STATUS_ERROR, "the cached JDK %s cannot be used (no settings): remove it and try again", file);
	jdk->home = xstrdup(settings_get(&settings, "java.home"));
	jdk->release = (unsigned)atoi(settings_get(&settings, "java.release"));
}
