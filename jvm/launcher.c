/*
 * jvm/launcher.c - turns an image's settings into the command line of java (or of another program), runs
 * it, and ends the machine with its status.
 *
 * The JVM's defaults assume that others need the machine too (a quarter of it for the heap). Here java is the
 * sole tenant, so the heap may take what code cache, metaspace, threads and the kernel leave: see
 * heap_percentage(). Options of the image come after ours and win. JAVA_TOOL_OPTIONS and JDK_JAVA_OPTIONS
 * are read by the JDK itself, before the command line; what they name is theirs, and we say nothing of it.
 * Settings: images/format.h. Errors end the machine with 125, 126 or 127 and one line.
 */
#include "jvm/launcher.h"
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "linux/machine.h"
#include "linux/process.h"
#include "linux/signal.h"
#include "mm/mm.h"

struct strings {
	char **v;
	unsigned n, room;
};

static void add(struct strings *s, const char *text)
{
	if (s->n + 2 > s->room) {
		unsigned room = s->room ? s->room * 2 : 16;
		char **v = krealloc(s->v, s->room * sizeof(char *), room * sizeof(char *));
		if (!v)
			machine_fail(125, "out of memory while reading the settings");
		s->v = v;
		s->room = room;
	}
	char *copy = kstrdup(text);
	if (!copy)
		machine_fail(125, "out of memory while reading the settings");
	s->v[s->n++] = copy;
	s->v[s->n] = NULL;
}

static void add_each(const char *value, void *arg) { add(arg, value); }

static void strings_free(struct strings *s)
{
	for (unsigned i = 0; i < s->n; i++)
		kfree(s->v[i]);
	kfree(s->v);
}

static bool env_has(const struct strings *env, const char *name)
{
	size_t n = strlen(name);
	for (unsigned i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], name, n) && env->v[i][n] == '=')
			return true;
	return false;
}

static void make_env(struct strings *env)
{
	setting_each("env", add_each, env);
	if (!env_has(env, "PATH"))
		add(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	if (!env_has(env, "HOME"))
		add(env, "HOME=/root");
	if (!env_has(env, "LANG"))
		add(env, "LANG=C.UTF-8");
}

/*
 * What a JVM needs beside its heap is about 48 MiB for a small program (libjvm's data, metaspace, compiled
 * code, thread stacks, the kernel) and a fifth of memory on top of it, at most 512 MiB: a thousand threads in 512 MiB
 * must find room beside a heap that has grown to its limit. ZGC keeps live maps, remembered sets and forwarding tables
 * outside the heap, and its memory is a file that must be there before it is used: 48 MiB and a tenth of memory more. The rest
 * may be heap, at least a quarter (the JVM's own default) and at most 85 %.
 */
static unsigned heap_percentage(uint64_t bytes, bool zgc)
{
	uint64_t other = MIB(48) + MIN(bytes / 5, MIB(512)) + (zgc ? MIB(48) + bytes / 10 : 0);
	uint64_t heap = bytes > other ? bytes - other : 0;
	unsigned percent = (unsigned)(heap * 100 / bytes);

	return percent < 25 ? 25 : percent > 85 ? 85 : percent;
}

struct search {
	const char *option;
	bool found;
};

static void look_for(const char *text, void *arg)
{
	struct search *s = arg;

	s->found |= strstr(text, s->option) != NULL;
}

/* Only in the variables from which java (the first) and its JVM take options: in another it is just a text. */
static void look_for_in_env(const char *variable, void *arg)
{
	static const char *const names[] = { "JDK_JAVA_OPTIONS=", "JAVA_TOOL_OPTIONS=", "_JAVA_OPTIONS=" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_starts(variable, names[i]))
			look_for(variable, arg);
}

/* Does anybody but us say something of that option to the JVM? */
static bool is_asked(const char *option)
{
	struct search s = { .option = option };

	setting_each("java.opt", look_for, &s);
	setting_each("env", look_for_in_env, &s);
	return s.found;
}

static void java_command(struct strings *argv, const char *home)
{
	char text[256];
	struct mem_stats m;
	const char *jar = setting_get("java.jar"), *cp = setting_get("java.cp"), *main = setting_get("java.main");
	const char *cds = setting_get("java.cds"), *release = setting_get("java.release");
	uint64_t feature = 17;

	snprintf(text, sizeof(text), "%s/bin/java", home);
	add(argv, text);
	mem_stats_get(&m);
	if (!is_asked("MaxRAMPercentage") && !is_asked("MaxRAMFraction")) {
		snprintf(text, sizeof(text), "-XX:MaxRAMPercentage=%u", heap_percentage(m.total, is_asked("-XX:+UseZGC")));
		add(argv, text);
	}
	if (release && parse_u64(release, NULL, &feature) != 0)
		feature = 17;
	/* The machine's files end with it: the report of a crash belongs on the console. */
	if (feature >= 11 && !is_asked("ErrorFileToStderr"))
		add(argv, "-XX:+ErrorFileToStderr");
	if (cds && !is_asked("SharedArchiveFile") && !is_asked("AOTCache")) {
		snprintf(text, sizeof(text), feature >= 24 ? "-XX:AOTCache=%s" : "-XX:SharedArchiveFile=%s", cds);
		add(argv, text);
	}
	setting_each("java.opt", add_each, argv);
	if (jar) {
		add(argv, "-jar");
		add(argv, jar);
	} else if (main) {
		if (cp) {
			add(argv, "-cp");
			add(argv, cp);
		}
		const char *slash = strchr(main, '/');
		if (slash)
			add(argv, "-m");
		add(argv, main);
	}
	setting_each("arg", add_each, argv);
}

static int exit_code(int status) { return status & 127 ? 128 + (status & 127) : status >> 8 & 255; }

/* 127 and 126 say something about the program; that disk or memory fail us says nothing about it. */
static int fail_status(long err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
		return 127;
	case -EIO:
	case -ENOMEM:
		return 125;
	}
	return 126;
}

static const char *spawn_error(long err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
		return "not found in the image";
	case -EACCES:
		return "is not executable";
	case -ENOEXEC:
		return "is not an x86-64 Linux program";
	case -ENOMEM:
		return "does not fit into memory: give the machine more (-m)";
	case -EIO:
		return "cannot be read: the image is damaged or the disk answers errors";
	case -E2BIG:
		return "has too many arguments";
	case -EINVAL:
		return "is a damaged ELF file";
	}
	return "cannot be started";
}

/* Starts it and waits; the wait(2) status, or a negative error. */
static int run(char *const argv[], char *const envp[], const char *workdir, bool first)
{
	struct process *p = process_spawn(argv[0], argv, envp, workdir);

	if (IS_ERR(p))
		return (int)PTR_ERR(p);
	mm_fail_start();
	if (first)
		machine_control_send("exec %lu", clock_monotonic_ns() / 1000);
	machine_set_application(p);
	int status = process_wait(p);
	machine_set_application(NULL);
	process_put(p);
	return status;
}

struct run_list {
	struct strings env;
	const char *workdir;
	unsigned index;
	int failed;
};

static void run_record(const char *record, void *arg)
{
	struct run_list *list = arg;
	struct strings argv = { 0 };
	char *copy = kstrdup(record);

	if (!copy)
		machine_fail(125, "out of memory while reading the settings");
	for (char *p = copy; p;) {
		char *end = strchr(p, 1);
		if (end)
			*end++ = 0;
		add(&argv, p);
		p = end;
	}
	int status = run(argv.v, list->env.v, list->workdir, list->index == 0);
	if (status < 0) {
		log_err("%s %s", argv.v[0], spawn_error(status));
		status = fail_status(status) << 8;
	}
	machine_control_send("ran %u %d", list->index, status);
	log_info("%s: status %#x", argv.v[0], status);
	if (status)
		list->failed = exit_code(status);
	list->index++;
	strings_free(&argv);
	kfree(copy);
}

/*
 * A JVM that cannot have its memory ends with words about its own internals: say what helps. One that ended well, or because
 * somebody asked it to, has coped with a refusal.
 */
static void explain_refusal(int code)
{
	struct mem_stats m;

	mem_stats_get(&m);
	if (m.refused_most && code != 0 && code != 128 + SIGHUP && code != 128 + SIGINT && code != 128 + SIGTERM)
		log_warn("the JVM was refused %lu MiB: the machine has %lu MiB, give it more with -m (or lower -Xmx, -Xms)",
			 (m.refused_most + MIB(1) - 1) / MIB(1), m.total / MIB(1));
}

_Noreturn void launcher_run(void)
{
	struct run_list list = { 0 };
	struct strings argv = { 0 };
	const char *home = setting_get("java.home"), *program = setting_get("exec");

	make_env(&list.env);
	list.workdir = setting_get("workdir");
	if (setting_get("run")) {
		setting_each("run", run_record, &list);
		machine_exit(list.failed);
	}
	if (home) {
		java_command(&argv, home);
	} else if (program) {
		add(&argv, program);
		setting_each("arg", add_each, &argv);
	} else {
		machine_fail(125, "the image names no program: its settings have neither exec, java.home nor run");
	}
	int status = run(argv.v, list.env.v, list.workdir, true);
	if (status < 0)
		machine_fail(fail_status(status), "%s %s", argv.v[0], spawn_error(status));
	if (home)
		explain_refusal(exit_code(status));
	machine_exit(exit_code(status));
}
