/*
 * images/options.c - the command line of `ibrik build` and `ibrik run`.
 *
 * One table lists every option: parsing and the help text are both made from it.
 * For `run`, options stand before the jar or image and everything after it belongs to the
 * application; with --exec or --main the first word that is no option is already an argument.
 * For `build`, options may follow the jar, and arguments stand after "--".
 *
 * Interface: options_parse(), options_help()
 * Errors:    one line and status 125
 */
#include "tool.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "size.h"

enum kind { TEXT, LIST, PATHS, WORDS, MEMORY, NUMBER, FLAG, COMPRESS, ACCEL, MACHINE, ENV, ENV_FILE, KERNEL_OPTS, HELP };

#define CPUS_MAX 64 /* MAX_CPUS of the kernel (core/thread.h) */

#define BUILD 1
#define RUN 2

struct option {
	const char *name;
	char letter;
	enum kind kind;
	size_t offset;
	unsigned commands;
	const char *value, *help;
	uint64_t least, most;
};

#define AT(field) offsetof(struct options, field)

static const struct option table[] = {
	{ "output", 'o', TEXT, AT(output), BUILD, "FILE", "the image to write (default: the jar's name with .img)", 0, 0 },
	{ "jdk", 0, TEXT, AT(jdk), BUILD | RUN, "17|21|25|DIR", "the JDK (default: the lowest that can run the main class)", 0, 0 },
	{ "main", 0, TEXT, AT(main_class), BUILD | RUN, "CLASS", "start this class (or MODULE/CLASS) instead of a runnable jar", 0, 0 },
	{ "cp", 0, PATHS, AT(class_path), BUILD | RUN, "PATH[:PATH]", "class path for --main: jars and folders (repeat)", 0, 0 },
	{ "exec", 0, TEXT, AT(exec), BUILD | RUN, "PROGRAM", "any Linux program, with its libraries, instead of a jar", 0, 0 },
	{ "run", 0, LIST, AT(runs), BUILD | RUN, "\"PROGRAM ARG...\"", "programs run one after the other (repeat)", 0, 0 },
	{ "file", 0, LIST, AT(files), BUILD | RUN, "HOST:GUEST", "put a file or folder into the image (repeat)", 0, 0 },
	{ "jvm-opts", 0, WORDS, AT(jvm_opts), BUILD | RUN, "STR", "options for the JVM, separated by blanks; quotes group", 0, 0 },
	{ "env", 'e', ENV, 0, BUILD | RUN, "K=V", "an environment variable; K alone takes it from here", 0, 0 },
	{ "env-file", 0, ENV_FILE, 0, BUILD | RUN, "FILE", "lines K=V; the command line wins over them", 0, 0 },
	{ "workdir", 'w', TEXT, AT(workdir), BUILD | RUN, "DIR", "working directory in the guest (default /)", 0, 0 },
	{ "name", 0, TEXT, AT(name), BUILD | RUN, "TEXT", "host name (default ibrik)", 0, 0 },
	{ "cds", 0, FLAG, AT(cds), BUILD | RUN, NULL, "archive the application's classes from a training run", 0, 0 },
	{ "compress", 0, COMPRESS, AT(compress), BUILD, "none|gzip", "how files are stored (default none)", 0, 0 },
	{ "kernel-opts", 0, KERNEL_OPTS, AT(kernel_opts), BUILD | RUN, "STR", "options for the kernel, e.g. log=info trace=syscalls", 0, 0 },
	{ "kernel", 0, TEXT, AT(kernel), BUILD | RUN, "FILE", "another kernel file", 0, 0 },
	{ "memory", 'm', MEMORY, AT(memory), RUN, "SIZE", "memory of the machine (default 512M)", 0, 0 },
	{ "cpus", 0, NUMBER, AT(cpus), RUN, "N", "CPUs of the machine (default 2)", 1, CPUS_MAX },
	{ "volume", 'v', LIST, AT(volumes), RUN, "HOST:GUEST[:ro]", "a read-only snapshot of a folder or file (repeat)", 0, 0 },
	{ "publish", 'p', LIST, AT(publish), RUN, "[ADDR:]HOST:GUEST[/udp]", "lets others reach a port of the application (repeat)", 0, 0 },
	{ "network", 0, TEXT, AT(network), RUN, "user|tap:NAME|socket:ADDR|none", "how the machine is connected (default user)", 0, 0 },
	{ "ip", 0, TEXT, AT(ip), RUN, "ADDR/LEN[,gw=..][,dns=..]", "its address, instead of asking by DHCP", 0, 0 },
	{ "accel", 0, ACCEL, AT(accel), RUN, "auto|kvm|tcg", "hardware virtualization or emulation (default auto)", 0, 0 },
	{ "machine", 0, MACHINE, AT(machine), RUN, "microvm|q35|pc", "the machine QEMU provides (default microvm)", 0, 0 },
	{ "log", 0, TEXT, AT(log), RUN, "FILE", "write the whole kernel log there, traces only there (sets log=info)", 0, 0 },
	{ "stop-timeout", 0, NUMBER, AT(stop_timeout), RUN, "SECONDS", "time to end after SIGTERM or SIGINT (default 10)", 0, 86400 },
	{ "debug", 0, FLAG, AT(debug), RUN, NULL, "wait for gdb and print how to attach", 0, 0 },
	{ "help", 'h', HELP, 0, BUILD | RUN, NULL, "this text", 0, 0 },
};

#define NOPTIONS (sizeof(table) / sizeof(*table))

void options_help(bool run)
{
	puts(run ? "usage: ibrik run [OPTIONS] APP.jar|app.img [ARG...]\n"
	           "       ibrik run [OPTIONS] --main CLASS --cp PATH | --exec PROGRAM [--] [ARG...]\n\n"
	           "Boots the application in a machine of its own. Options stand before the jar or image;\n"
	           "everything after it belongs to the application. The exit status is the application's;\n"
	           "128+n after signal n, 125 for ibrik's own errors, 126 not executable, 127 not found.\n" :
	           "usage: ibrik build [OPTIONS] APP.jar [-o app.img] [-- ARG...]\n"
	           "       ibrik build [OPTIONS] --main CLASS --cp PATH | --exec PROGRAM -o app.img [-- ARG...]\n\n"
	           "Packs the kernel, a JDK and the application into an image that boots by itself.\n");
	for (size_t i = 0; i < NOPTIONS; i++) {
		char left[64];

		if (!(table[i].commands & (run ? RUN : BUILD)))
			continue;
		snprintf(left, sizeof(left), "%s--%s %s", table[i].letter ? (char[]){ '-', table[i].letter, ',', ' ', 0 } : "    ",
		         table[i].name, table[i].value ? table[i].value : "");
		printf("  %-30s %s%s\n", left, strlen(left) > 30 ? "\n                                 " : "", table[i].help);
	}
}

static void env_add(struct strings *list, const char *entry, const char *option)
{
	if (*entry == '=' || !*entry)
		die(STATUS_ERROR, "%s takes NAME=VALUE, not '%s'", option, entry);
	if (strchr(entry, '=')) {
		strings_add(list, entry);
	} else if (getenv(entry)) {
		strings_add(list, format("%s=%s", entry, getenv(entry)));
	}
}

static void env_file(struct strings *list, const char *path)
{
	size_t bytes;
	char *text = read_whole(path, &bytes);

	if (strlen(text) != bytes)
		die(STATUS_ERROR, "--env-file %s: it holds a NUL byte", path);
	for (char *line = text, *next; *line; line = next) {
		size_t length = strcspn(line, "\n");

		next = line + length + (line[length] != 0);
		if (length && line[length - 1] == '\r')
			length--;
		line[length] = 0;
		line += strspn(line, " \t");
		if (*line && *line != '#')
			env_add(list, line, format("--env-file %s", path));
	}
}

struct parsed {
	struct options *options;
	struct strings file_env, line_env;
};

static void apply(struct parsed *parsed, const struct option *option, const char *name, const char *value, bool run)
{
	struct options *options = parsed->options;
	void *field = (char *)options + option->offset;
	uint64_t number;
	char *copy, *rest;

	if (value && !*value && option->kind != WORDS && option->kind != KERNEL_OPTS && option->kind != TEXT)
		die(STATUS_ERROR, "%s takes a value: %s", name, option->value);
	switch (option->kind) {
	case TEXT:
		if (!*value)
			die(STATUS_ERROR, "%s takes a value: %s", name, option->value);
		*(char **)field = xstrdup(value);
		break;
	case LIST:
		strings_add(field, value);
		break;
	case PATHS:
		copy = xstrdup(value);
		for (char *path = strtok_r(copy, ":", &rest); path; path = strtok_r(NULL, ":", &rest))
			strings_add(field, path);
		break;
	case WORDS:
		strings_split(field, value, name);
		break;
	case MEMORY:
		if (size_parse(value, field))
			die(STATUS_ERROR, "%s: '%s' is no size; write 512M or 2G", name, value);
		if (options->memory < (8u << 20) || options->memory > (16ull << 40))
			die(STATUS_ERROR, "%s: %s is out of range (8M to 16T; without a suffix it is bytes)", name, value);
		break;
	case NUMBER:
		if (number_parse(value, option->least, option->most, &number))
			die(STATUS_ERROR, "%s: '%s' is no number from %llu to %llu", name, value,
			    (unsigned long long)option->least, (unsigned long long)option->most);
		*(uint64_t *)field = number;
		break;
	case FLAG:
		*(bool *)field = true;
		break;
	case COMPRESS:
		if (strcmp(value, "none") != 0 && strcmp(value, "gzip") != 0)
			die(STATUS_ERROR, "%s: '%s' is neither none nor gzip", name, value);
		options->compress = strcmp(value, "gzip") == 0 ? COMPRESS_GZIP : COMPRESS_NONE;
		break;
	case ACCEL:
		if (strcmp(value, "auto") != 0 && strcmp(value, "kvm") != 0 && strcmp(value, "tcg") != 0)
			die(STATUS_ERROR, "%s: '%s' is none of auto, kvm, tcg", name, value);
		options->accel = *value == 'a' ? ACCEL_AUTO : *value == 'k' ? ACCEL_KVM : ACCEL_TCG;
		options->accel_given = true;
		break;
	case MACHINE:
		if (strcmp(value, "q35") != 0 && strcmp(value, "pc") != 0 && strcmp(value, "microvm") != 0)
			die(STATUS_ERROR, "%s: '%s' is none of microvm, q35, pc", name, value);
		options->machine = xstrdup(value);
		break;
	case ENV:
		env_add(&parsed->line_env, value, name);
		break;
	case ENV_FILE:
		env_file(&parsed->file_env, value);
		break;
	case KERNEL_OPTS:
		options->kernel_opts = options->kernel_opts ? format("%s %s", options->kernel_opts, value) : xstrdup(value);
		break;
	case HELP:
		options_help(run);
		exit(0);
	}
}

static const struct option *find_option(const char *name, size_t length, char letter, bool run)
{
	for (size_t i = 0; i < NOPTIONS; i++) {
		if (!(table[i].commands & (run ? RUN : BUILD)))
			continue;
		if (letter ? table[i].letter == letter : strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0)
			return &table[i];
	}
	return NULL;
}

/* Consumes the option at argv[at]; returns how many words it took. */
static int take_option(struct parsed *parsed, int at, int argc, char **argv, bool run)
{
	char *word = argv[at], *value = NULL, *name;
	const struct option *option;

	if (word[1] == '-') {
		size_t length = strcspn(word + 2, "=");

		option = find_option(word + 2, length, 0, run);
		name = format("--%.*s", (int)length, word + 2);
		if (word[2 + length] == '=')
			value = word + 3 + length;
	} else {
		option = find_option(NULL, 0, word[1], run);
		name = format("-%c", word[1]);
		if (word[2])
			value = word[2] == '=' ? word + 3 : word + 2;
	}
	if (!option && (parsed->options->exec || parsed->options->main_class))
		die(STATUS_ERROR, "unknown option '%s'; put -- before the arguments of the application", name);
	if (!option)
		die(STATUS_ERROR, "unknown option '%s'; see 'ibrik %s --help'", name, run ? "run" : "build");
	if (option->kind == FLAG || option->kind == HELP) {
		if (value)
			die(STATUS_ERROR, "%s takes no value", name);
		apply(parsed, option, name, NULL, run);
		return 1;
	}
	if (!value && at + 1 >= argc)
		die(STATUS_ERROR, "%s takes a value: %s", name, option->value);
	apply(parsed, option, name, value ? value : argv[at + 1], run);
	return value ? 1 : 2;
}

/* Labels of letters, digits and hyphens, separated by dots; none begins or ends with a hyphen. */
static bool is_host_name(const char *name)
{
	const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";

	for (;; name++) {
		size_t bytes = strspn(name, letters);

		if (!bytes || name[0] == '-' || name[bytes - 1] == '-')
			return false;
		name += bytes;
		if (*name != '.')
			return !*name;
	}
}

static void check(struct options *options, bool run)
{
	int ways = (options->app != NULL) + (options->main_class != NULL) + (options->exec != NULL) + (options->runs.count > 0);

	if (!ways)
		die(STATUS_ERROR, "what shall I %s? give a jar%s, --main or --exec; see 'ibrik %s --help'", run ? "run" : "build",
		    run ? ", an image" : "", run ? "run" : "build");
	if (ways > 1)
		die(STATUS_ERROR, "only one of a jar%s, --main, --exec and --run can be given", run ? " or image" : "");
	if (options->class_path.count && !options->main_class)
		die(STATUS_ERROR, "--cp goes with --main CLASS");
	if (options->cds && (options->exec || options->runs.count))
		die(STATUS_ERROR, "--cds is for Java applications");
	if (options->runs.count && options->args.count)
		die(STATUS_ERROR, "'%s': the arguments of a program stand inside --run \"PROGRAM ARG...\"", options->args.items[0]);
	if (options->jvm_opts.count && (options->exec || options->runs.count))
		die(STATUS_ERROR, "--jvm-opts is for Java applications");
	if (options->name && (strlen(options->name) > 64 || !is_host_name(options->name)))
		die(STATUS_ERROR, "--name: '%s' is no host name: 1 to 64 letters, digits, hyphens and dots", options->name);
	if (options->kernel_opts && strchr(options->kernel_opts, '\n'))
		die(STATUS_ERROR, "--kernel-opts: a newline cannot be passed on");
	if (run)
		network_check(options);
}

void options_parse(struct options *options, bool run, int argc, char **argv)
{
	struct parsed parsed = { .options = options };
	int at = 1;

	*options = (struct options){ .memory = 512u << 20, .cpus = 2, .stop_timeout = 10 };
	while (at < argc) {
		char *word = argv[at];

		if (strcmp(word, "--") == 0) {
			at++;
			if (run && !options->app && !options->main_class && !options->exec && !options->runs.count && at < argc) {
				options->app = argv[at++];
				break; /* "--" only ended the options: the image keeps its arguments */
			}
			options->has_args = true;
			break;
		}
		if (*word == '-' && word[1]) {
			at += take_option(&parsed, at, argc, argv, run);
			continue;
		}
		if (options->main_class || options->exec || options->runs.count) {
			if (!run)
				die(STATUS_ERROR, "'%s': arguments of the application stand after --", word);
			break;
		}
		if (options->app)
			die(STATUS_ERROR, "'%s': arguments of the application stand after --", word);
		options->app = word;
		at++;
		if (run)
			break;
	}
	for (; at < argc; at++) {
		strings_add(&options->args, argv[at]);
		options->has_args = true;
	}
	for (size_t i = 0; i < parsed.file_env.count; i++)
		strings_add(&options->env, parsed.file_env.items[i]);
	for (size_t i = 0; i < parsed.line_env.count; i++)
		strings_add(&options->env, parsed.line_env.items[i]);
	check(options, run);
}
