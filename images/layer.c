/*
 * images/layer.c - folders staged file by file, and squashfs files made of them.
 *
 * Theory:    mksquashfs packs a folder as it is, so what goes into a layer is first copied into
 *            a temporary folder with permissions that do not depend on the user's umask. One time
 *            stamp for all files makes the same input give the same bytes: SOURCE_DATE_EPOCH, which is
 *            read once and taken out of the environment.
 *            Nothing may lie below /lib and the like: such a folder would hide the link of the JDK's
 *            layer, and with it the C library. So their files go where the links point.
 * Interface: stage_path(), stage_file(), stage_tree(), layer_pack(), source_date(), guest_path_check(), guest_path_plain(),
 *	guest_hides()
 * Errors:    all end the command with one line
 */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "size.h"

void guest_path_check(const char *path, const char *what)
{
	const char *at = path;

	if (*path != '/')
		die(STATUS_ERROR, "%s: the path in the guest must begin with /: '%s'", what, path);
	if (strlen(path) >= 176)
		die(STATUS_ERROR, "%s: the path in the guest is longer than 175 bytes: '%s'", what, path);
	while ((at = strstr(at, "/.."))) {
		if (at[3] == '/' || !at[3])
			die(STATUS_ERROR, "%s: the path in the guest must not hold '..': '%s'", what, path);
		at += 3;
	}
}

const char *guest_path_plain(const char *path)
{
	while (path[0] == '/' && (path[1] == '/' || (path[1] == '.' && (path[2] == '/' || !path[2]))))
		path += path[1] == '/' ? 1 : 2;
	return path;
}

bool guest_hides(const char *path)
{
	static const char *const mounted[] = { "/proc", "/sys", "/dev" };

	path = guest_path_plain(path);
	for (size_t i = 0; i < sizeof(mounted) / sizeof(*mounted); i++) {
		size_t bytes = strlen(mounted[i]);

		if (strncmp(path, mounted[i], bytes) == 0 && (path[bytes] == '/' || !path[bytes]))
			return true;
	}
	return false;
}

char *stage_path(const char *root, const char *guest)
{
	static const char *const links[][2] = {
		{ "/bin", "/usr/bin" }, { "/sbin", "/usr/sbin" }, { "/lib", "/usr/lib" }, { "/lib64", "/usr/lib64" }, { "/var/run", "/run" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		size_t bytes = strlen(links[i][0]);

		if (strncmp(guest, links[i][0], bytes) == 0 && (guest[bytes] == '/' || !guest[bytes]))
			return format("%s%s%s", root, links[i][1], guest + bytes);
	}
	return format("%s%s", root, guest);
}

/*
 * Staged links point to places of the guest, and following one here would end in the file system of this machine.
 * A path that leads through a link is refused unless the link stays below its folder.
 */
static void refuse_links(const char *root, const char *path)
{
	char *prefix = xstrdup(path), target[4096];

	for (char *end = strchr(prefix + strlen(root) + 1, '/'); end; end = strchr(end + 1, '/')) {
		ssize_t length;

		*end = 0;
		length = readlink(prefix, target, sizeof(target) - 1);
		if (length >= 0) {
			target[length] = 0;
			if (*target == '/' || strstr(target, ".."))
				die(STATUS_ERROR, "cannot put %s into the image: %s is a link there", path + strlen(root), prefix + strlen(root));
		}
		*end = '/';
	}
	free(prefix);
}

/* A folder of the staged tree, readable whatever the umask. */
static void stage_dirs(const char *root, const char *guest)
{
	char *path = stage_path(root, guest), *inside = format("%s/", path);

	refuse_links(root, inside);
	free(inside);
	make_dirs(path);
	for (char *end = path + strlen(path); end > path + strlen(root); end = strrchr(path, '/')) {
		const char *folder = path + strlen(root);

		*end = 0;
		chmod(path, strcmp(folder, "/tmp") == 0 || strcmp(folder, "/var/tmp") == 0 ? 01777 : 0755);
	}
	free(path);
}

static void stage_parent(const char *root, const char *guest)
{
	char *parent = xstrdup(guest), *slash = strrchr(parent, '/');

	*slash = 0;
	stage_dirs(root, parent);
	free(parent);
}

void stage_file(const char *root, const char *host, const char *guest)
{
	char *path = stage_path(root, guest);
	struct stat status;
	int from, to;
	char link;

	from = open(host, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is refused, not waited for */
	if (from < 0 || fstat(from, &status) < 0)
		die(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_ERROR, "cannot read %s: %s", host, strerror(errno));
	if (!S_ISREG(status.st_mode))
		die(STATUS_ERROR, "%s is not a regular file", host);
	stage_parent(root, guest);
	if (readlink(path, &link, 1) >= 0)
		unlink(path); /* the file takes its place */
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (to < 0)
		die(STATUS_ERROR, "cannot stage %s as %s: %s", host, guest, strerror(errno));
	copy_range(from, 0, to, 0, (uint64_t)status.st_size, host);
	if (fchmod(to, status.st_mode & 0100 ? 0755 : 0644) < 0 || close(to) < 0)
		die(STATUS_ERROR, "cannot stage %s as %s: %s", host, guest, strerror(errno));
	close(from);
	free(path);
}

void stage_tree(const char *root, const char *host, const char *guest)
{
	struct stat status;
	struct dirent **entries;
	int count;

	if (stat(host, &status) < 0)
		die(STATUS_ERROR, "cannot read %s: %s", host, strerror(errno));
	if (!S_ISDIR(status.st_mode)) {
		stage_file(root, host, guest);
		return;
	}
	if (strcmp(guest, "/") != 0)
		stage_dirs(root, guest);
	count = scandir(host, &entries, NULL, alphasort);
	if (count < 0)
		die(STATUS_ERROR, "cannot read %s: %s", host, strerror(errno));
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		char *from, *to, target[4096];
		ssize_t length;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		from = format("%s/%s", host, name);
		to = format("%s/%s", strcmp(guest, "/") == 0 ? "" : guest, name);
		length = readlink(from, target, sizeof(target) - 1);
		if (length >= 0) { /* links inside a tree stay links */
			char *link = format("%s/%s", stage_path(root, strcmp(guest, "/") == 0 ? "" : guest), name);

			target[length] = 0;
			unlink(link);
			if (symlink(target, link) < 0)
				die(STATUS_ERROR, "cannot stage %s: %s", from, strerror(errno));
			free(link);
		} else if (lstat(from, &status) == 0 && !S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) {
			say("%s is left out: neither a file, a folder nor a link", from);
		} else {
			stage_tree(root, from, to);
		}
		free(from);
		free(to);
		free(entries[i]);
	}
	free(entries);
}

int64_t source_date(int64_t otherwise)
{
	static int64_t given = -2; /* -2 not read yet, -1 none */

	if (given == -2) {
		const char *text = getenv("SOURCE_DATE_EPOCH");
		uint64_t time;

		given = -1;
		if (text && *text) {
			if (number_parse(text, 0, UINT32_MAX, &time))
				die(STATUS_ERROR, "SOURCE_DATE_EPOCH is not a time in seconds: '%s'", text);
			given = (int64_t)time;
		}
		/* mksquashfs refuses its own options for times beside the variable. */
		unsetenv("SOURCE_DATE_EPOCH");
	}
	return given >= 0 ? given : otherwise;
}

void layer_pack(const char *root, const char *file, int64_t time, bool all_times, enum compress compress)
{
	static const char *const always[] = { "-noappend", "-quiet", "-no-progress", "-exit-on-error", "-all-root", "-no-xattrs",
		                              "-processors", "2", "-comp", "gzip", "-mkfs-time" };
	static const char *const stored[] = { "-noI", "-noD", "-noF", "-noX" };
	char *date = format("%lld", (long long)time);
	struct strings argv = { 0 };

	strings_add(&argv, "mksquashfs");
	strings_add(&argv, root);
	strings_add(&argv, file);
	for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
		strings_add(&argv, always[i]);
	strings_add(&argv, date);
	if (all_times) {
		strings_add(&argv, "-all-time");
		strings_add(&argv, date);
	}
	for (size_t i = 0; compress == COMPRESS_NONE && i < sizeof(stored) / sizeof(*stored); i++)
		strings_add(&argv, stored[i]);
	command_run(argv.items);
}
