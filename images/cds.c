/*
 * images/cds.c - the archive of the application's classes, from a training run.
 *
 * Theory:    the very JDK of the layer runs the application once, in a root folder that looks
 *            like the guest (same paths, same time stamps, or the JVM would refuse the archive),
 *            and writes the archive when it ends: AppCDS on 17 and 21, the AOT cache on 25.
 *            A server ends by Ctrl-C, or by the SIGTERM that it gets after two minutes.
 *            The run happens in namespaces of its own, so it needs root or user namespaces; it
 *            gets no standard input; of its output the end is shown when it leaves no archive.
 * Interface: cds_train()
 * Errors:    one line and status 125 when the run leaves no archive
 */
#include "tool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARCHIVE "/app/classes.archive"
#define SHOWN_LINES 20

static void ignore(int number)
{
	(void)number;
}

/* The words the kernel's launcher would use, with the option that writes the archive. */
static void java_command(struct strings *argv, struct app *app, const struct options *options)
{
	const char *jar = settings_get(&app->settings, "java.jar"), *path = settings_get(&app->settings, "java.cp");

	strings_add(argv, format("%s/bin/java", app->jdk.home));
	/* An archive only fits a JVM with pointers of the same kind: on a large machine a share of its memory as the heap
	 * (MaxRAMPercentage) would go without compressed ones. The machine that runs the image is small. */
	strings_add(argv, "-XX:MaxRAM=4g");
	for (size_t i = 0; i < options->jvm_opts.count; i++)
		strings_add(argv, options->jvm_opts.items[i]);
	strings_add(argv, format(app->jdk.release >= 25 ? "-XX:AOTCacheOutput=%s" : "-XX:ArchiveClassesAtExit=%s", ARCHIVE));
	if (jar) {
		strings_add(argv, "-jar");
		strings_add(argv, jar);
	} else {
		if (path) {
			strings_add(argv, "-cp");
			strings_add(argv, path);
		}
		if (strchr(settings_get(&app->settings, "java.main"), '/'))
			strings_add(argv, "-m");
		strings_add(argv, settings_get(&app->settings, "java.main"));
	}
	for (size_t i = 0; i < options->args.count; i++)
		strings_add(argv, options->args.items[i]);
}

/* The last lines of what the run said: there the JVM tells why it made no archive. */
static void show_end(const char *text)
{
	const char *at = text + strlen(text);
	int lines = 0;

	while (at > text && (lines += at[-1] == '\n') <= SHOWN_LINES)
		at--;
	fputs(at, stderr);
	if (*at && text[strlen(text) - 1] != '\n')
		fputc('\n', stderr);
}

void cds_train(struct app *app, const struct options *options)
{
	struct ibrik_section *layer = container_find(&app->jdk.container, IBRIK_LAYER, 0);
	char *root = format("%s/training", temp_dir()), *made = format("%s%s", root, ARCHIVE);
	char *offset = format("%llu", (unsigned long long)layer->offset);
	char *unpack[] = { "unsquashfs", "-q", "-n", "-d", root, "-o", offset, (char *)app->jdk.container.path, NULL };
	char *date = format("@%lld", (long long)app->time);
	struct strings argv = { 0 };
	struct sigaction before;
	struct stat status;
	char *errors, *output;
	int ended;

	if (app->jdk.release < 17)
		die(STATUS_ERROR, "--cds needs JDK 17 or newer, this one is %u", app->jdk.release);
	progress("training run for --cds; press Ctrl-C when a server has warmed up");
	command_run(unpack);
	stage_tree(root, app->root, "/");
	char *app_folder = format("%s/app", root);
	char *stamp[] = { "find", app_folder, "-exec", "touch", "-h", "-d", date, "{}", "+", NULL };
	/* A class of the JDK has none, and the archive goes there. */
	if (mkdir(app_folder, 0755) < 0 && errno != EEXIST)
		die(STATUS_ERROR, "cannot make %s: %s", app_folder, strerror(errno));
	command_run(stamp);

	/* proc is mounted for the loader's $ORIGIN; an unprivileged user becomes root of a namespace. */
	strings_add(&argv, "env");
	strings_add(&argv, "-i");
	strings_add(&argv, "LANG=C.UTF-8");
	for (size_t i = 0; i < options->env.count; i++)
		strings_add(&argv, options->env.items[i]);
	strings_add(&argv, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
	strings_add(&argv, "unshare");
	if (geteuid() != 0)
		strings_add(&argv, "-r");
	for (const char *const *word = (const char *const[]){ "-m", "-p", "-n", "-u", "-f", "sh", "-c",
	         "mount -t proc proc \"$0/proc\" && mount -t tmpfs tmpfs \"$0/dev\" && for f in null zero random urandom; do : > \"$0/dev/$f\" && mount --bind /dev/$f \"$0/dev/$f\" || exit; done; "
	         "dir=$1; hostname \"$2\"; shift 2; cd \"$0\" && exec timeout --foreground -s TERM -k 30 120 unshare --root=. --wd=\"$dir\" \"$@\" 2> \"$0.errors\"", root,
	         options->workdir ? options->workdir : "/", options->name ? options->name : "ibrik", NULL }; *word; word++)
		strings_add(&argv, *word);
	java_command(&argv, app, options);
	sigaction(SIGINT, &(struct sigaction){ .sa_handler = ignore, .sa_flags = SA_RESTART }, &before);
	output = command_output(argv.items, &ended);
	sigaction(SIGINT, &before, NULL);
	if (stat(made, &status) < 0) {
		errors = format("%s.errors", root);
		show_end(output);
		show_end(access(errors, R_OK) == 0 ? read_whole(errors, NULL) : "");
		die(STATUS_ERROR, "--cds: the training run left no archive; its status was %d", ended);
	}
	stage_file(app->root, made, ARCHIVE);
	/* 24 knows the AOT cache but makes it in two runs: AppCDS serves there too, as an option. */
	if (app->jdk.release == 24 ? settings_add(&app->settings, "java.opt", "-XX:SharedArchiveFile=" ARCHIVE) :
	                             settings_add(&app->settings, "java.cds", ARCHIVE))
		die(STATUS_ERROR, "the settings exceed 1 MiB");
}
