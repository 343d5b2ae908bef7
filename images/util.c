/*
 * images/util.c - strings, files and helper commands for the `ibrik` command.
 *
 * Interface: see tool.h. Everything that fails here ends the command through die().
 * Locking:   none, one thread
 * Errors:    die() prints one line "ibrik: ..." and exits; the temporary folder goes at exit
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *temp_path;
static pid_t temp_owner;
static char *partial; /* partial_begin() */
static volatile pid_t running; /* a helper command we wait for */

void die(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("ibrik: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

void say(const char *format, ...)
{
	va_list args;

	fputs("ibrik: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void progress(const char *format, ...)
{
	va_list args;

	if (!isatty(STDERR_FILENO))
		return;
	fputs("ibrik: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void *xrealloc(void *memory, size_t bytes)
{
	void *grown = realloc(memory, bytes ? bytes : 1);

	if (!grown)
		die(STATUS_ERROR, "out of memory");
	return grown;
}

void *xalloc(size_t bytes)
{
	return memset(xrealloc(NULL, bytes), 0, bytes);
}

char *xstrdup(const char *text)
{
	size_t bytes = strlen(text) + 1;

	return memcpy(xrealloc(NULL, bytes), text, bytes);
}

char *format(const char *format, ...)
{
	char *text;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		die(STATUS_ERROR, "out of memory");
	return text;
}

void strings_add(struct strings *list, const char *text)
{
	list->items = xrealloc(list->items, (list->count + 2) * sizeof(*list->items));
	list->items[list->count++] = xstrdup(text);
	list->items[list->count] = NULL;
}

void strings_split(struct strings *list, const char *text, const char *option)
{
	while (*text) {
		char *word, *to;
		char quote = 0;

		while (*text == ' ' || *text == '\t' || *text == '\n')
			text++;
		if (!*text)
			break;
		word = to = xalloc(strlen(text) + 1);
		for (; *text && (quote || (*text != ' ' && *text != '\t' && *text != '\n')); text++) {
			if (quote ? *text == quote : *text == '"' || *text == '\'')
				quote = quote ? 0 : *text;
			else
				*to++ = *text;
		}
		if (quote)
			die(STATUS_ERROR, "%s: the quote %c is not closed", option, quote);
		strings_add(list, word);
		free(word);
	}
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void temp_remove(void)
{
	if (temp_path && temp_owner == getpid())
		nftw(temp_path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	temp_owner = 0;
}

/* A signal before the machine runs: a shell takes our place, cleans up and dies of the same signal. */
static void temp_signal(int number)
{
	static const char *const commands[] = { [SIGHUP] = "rm -rf \"$0\"; kill -HUP $$", [SIGINT] = "rm -rf \"$0\"; kill -INT $$",
		                                [SIGTERM] = "rm -rf \"$0\"; kill -TERM $$" };

	signal(number, SIG_DFL);
	if (temp_owner == getpid()) {
		sigset_t none;

		if (running > 0 && kill(running, SIGTERM) == 0)
			waitpid(running, NULL, 0);
		if (partial)
			unlink(partial);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/bin/sh", "sh", "-c", commands[number], temp_path, (char *)NULL);
	}
	raise(number);
}

const char *temp_dir(void)
{
	if (!temp_path) {
		const char *base = getenv("TMPDIR");

		temp_path = format("%s/ibrik.XXXXXX", base && *base ? base : "/tmp");
		if (!mkdtemp(temp_path))
			die(STATUS_ERROR, "cannot make a temporary folder %s: %s", temp_path, strerror(errno));
		temp_owner = getpid();
		atexit(temp_remove);
		for (const int *number = (const int[]){ SIGHUP, SIGINT, SIGTERM, 0 }; *number; number++) {
			struct sigaction before;

			if (sigaction(*number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
				signal(*number, temp_signal);
		}
	}
	return temp_path;
}

static void partial_remove(void)
{
	if (partial)
		unlink(partial);
	partial = NULL;
}

char *partial_begin(const char *output)
{
	temp_dir(); /* whose signal handler removes this file, too */
	partial = format("%s.%d.part", output, (int)getpid());
	atexit(partial_remove);
	return partial;
}

void partial_finish(const char *output)
{
	if (rename(partial, output) < 0)
		die(STATUS_ERROR, "cannot write %s: %s", output, strerror(errno));
	partial = NULL;
}

void make_dirs(const char *path)
{
	char *copy = xstrdup(path);

	for (char *at = copy + 1;; at++) {
		if (*at == '/' || !*at) {
			char kept = *at;

			*at = 0;
			if (mkdir(copy, 0755) < 0 && errno != EEXIST)
				die(STATUS_ERROR, "cannot make the folder %s: %s", copy, strerror(errno));
			*at = kept;
			if (!kept)
				break;
		}
	}
	free(copy);
}

void make_parent(const char *path)
{
	char *copy = xstrdup(path), *slash = strrchr(copy, '/');

	if (slash && slash != copy) {
		*slash = 0;
		make_dirs(copy);
	}
	free(copy);
}

char *cache_dir(void)
{
	const char *own = getenv("IBRIK_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *path;

	if (own && *own)
		path = xstrdup(own);
	else if (xdg && *xdg)
		path = format("%s/ibrik", xdg);
	else if (home && *home)
		path = format("%s/.cache/ibrik", home);
	else
		die(STATUS_ERROR, "no folder for the cache: set IBRIK_CACHE or HOME");
	make_dirs(path);
	setenv("IBRIK_CACHE", path, 1); /* the shell helpers use the same */
	return path;
}

char *data_file(const char *name, bool required)
{
	char self[4096], *slash;
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length <= 0)
		die(STATUS_ERROR, "cannot find where the command lies: %s", strerror(errno));
	self[length] = 0;
	slash = strrchr(self, '/');
	for (int i = 0; i < 2; i++) {
		char *path = i == 0 ? format("%.*s/%s", (int)(slash - self), self, name) :
		                      format("%.*s/../lib/ibrik/%s", (int)(slash - self), self, name);

		if (access(path, R_OK) == 0)
			return path;
		free(path);
	}
	if (required)
		die(STATUS_ERROR, "%s is missing beside the command (%.*s) and in ../lib/ibrik: run make, or make install",
		    name, (int)(slash - self), self);
	return NULL;
}

bool same_file(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

char *read_whole(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0, room = 4096;
	char *data;

	if (fd < 0)
		die(STATUS_ERROR, "cannot read %s: %s", path, strerror(errno));
	data = xrealloc(NULL, room + 1);
	for (;;) {
		ssize_t got = read(fd, data + have, room - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			die(STATUS_ERROR, "cannot read %s: %s", path, strerror(errno));
		if (got == 0)
			break;
		have += (size_t)got;
		if (have == room)
			data = xrealloc(data, (room *= 2) + 1);
	}
	close(fd);
	data[have] = 0;
	if (bytes)
		*bytes = have;
	return data;
}

void write_whole(const char *path, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die(STATUS_ERROR, "cannot write %s: %s", path, strerror(errno));
	pwrite_all(fd, data, bytes, 0, path);
	if (close(fd) < 0)
		die(STATUS_ERROR, "cannot write %s: %s", path, strerror(errno));
}

void pwrite_all(int fd, const void *data, size_t bytes, uint64_t at, const char *name)
{
	const char *from = data;

	while (bytes) {
		ssize_t put = pwrite(fd, from, bytes, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			die(STATUS_ERROR, "cannot write %s: %s", name, strerror(errno));
		from += put;
		at += (uint64_t)put;
		bytes -= (size_t)put;
	}
}

void pread_all(int fd, void *data, size_t bytes, uint64_t at, const char *name)
{
	char *to = data;

	while (bytes) {
		ssize_t got = pread(fd, to, bytes, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			die(STATUS_ERROR, "cannot read %s: %s", name, got ? strerror(errno) : "it ends too early");
		to += got;
		at += (uint64_t)got;
		bytes -= (size_t)got;
	}
}

/* copy_file_range shares or copies inside the kernel where the file system can. */
void copy_range(int from, uint64_t from_at, int to, uint64_t to_at, uint64_t bytes, const char *name)
{
	static char buffer[1 << 20];
	off_t in = (off_t)from_at, out = (off_t)to_at;

	while (bytes) {
		ssize_t copied = copy_file_range(from, &in, to, &out, bytes, 0);

		if (copied < 0 && errno == EINTR)
			continue;
		if (copied <= 0)
			break;
		bytes -= (uint64_t)copied;
	}
	while (bytes) {
		size_t step = bytes < sizeof(buffer) ? bytes : sizeof(buffer);

		pread_all(from, buffer, step, (uint64_t)in, name);
		pwrite_all(to, buffer, step, (uint64_t)out, name);
		in += (off_t)step;
		out += (off_t)step;
		bytes -= step;
	}
}

/* Starts a command with the file descriptor as its standard output or error; returns its id. */
static pid_t command_start(char *const argv[], int out, int err)
{
	pid_t pid = fork();

	if (pid < 0)
		die(STATUS_ERROR, "cannot start %s: %s", argv[0], strerror(errno));
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDIN_FILENO);
		dup2(out >= 0 ? out : null, STDOUT_FILENO);
		if (err >= 0)
			dup2(err, STDERR_FILENO);
		execvp(argv[0], argv);
		dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	running = pid; /* output is read before it is waited for */
	return pid;
}

static char *drain(int fd)
{
	size_t have = 0, room = 4096;
	char *data = xrealloc(NULL, room + 1);
	ssize_t got;

	while ((got = read(fd, data + have, room - have)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		have += (size_t)got;
		if (have == room)
			data = xrealloc(data, (room *= 2) + 1);
	}
	close(fd);
	data[have] = 0;
	return data;
}

static int command_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die(STATUS_ERROR, "waiting for a command failed: %s", strerror(errno));
	running = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void command_run(char *const argv[])
{
	int ends[2], status;
	char *errors, *line;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		die(STATUS_ERROR, "cannot make a pipe: %s", strerror(errno));
	pid = command_start(argv, -1, ends[1]);
	close(ends[1]);
	errors = drain(ends[0]);
	status = command_wait(pid);
	if (status) {
		for (size_t end = strlen(errors); end && errors[end - 1] == '\n';)
			errors[--end] = 0;
		line = strrchr(errors, '\n');
		line = line ? line + 1 : errors;
		if (strncmp(line, "ibrik: ", 7) == 0)
			die(STATUS_ERROR, "%s", line + 7);
		die(STATUS_ERROR, "%s failed: %s", argv[0], *line ? line : format("status %d", status));
	}
	free(errors);
}

char *command_output(char *const argv[], int *status)
{
	int ends[2], ended;
	char *output;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		die(STATUS_ERROR, "cannot make a pipe: %s", strerror(errno));
	pid = command_start(argv, ends[1], -1);
	close(ends[1]);
	output = drain(ends[0]);
	ended = command_wait(pid);
	if (status)
		*status = ended;
	else if (ended)
		die(STATUS_ERROR, "%s failed with status %d", argv[0], ended);
	return output;
}

uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}
