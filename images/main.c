/*
 * images/main.c - the `ibrik` command: which subcommand, --help, --version.
 *
 * Interface: ibrik build|run|inspect|convert ...; each answers --help
 * Errors:    one line on standard error that begins with "ibrik: ", status 125
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void usage(void)
{
	puts("usage: ibrik COMMAND ...\n\n"
	     "Packs a Java application with a JDK and a kernel of its own, and boots it.\n\n"
	     "  ibrik run [OPTIONS] APP.jar|app.img [ARG...]             boot it under QEMU\n"
	     "  ibrik build [OPTIONS] APP.jar [-o app.img] [-- ARG...]   make an image\n"
	     "  ibrik inspect [--verify] app.img                         what is in an image\n"
	     "  ibrik convert app.img app.qcow2                          another disk format\n"
	     "  ibrik --version\n\n"
	     "Each command explains itself with --help.");
}

int command_convert(int argc, char **argv)
{
	struct container image;
	const char *ending;
	char *why;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		puts("usage: ibrik convert app.img app.qcow2|app.vmdk|app.vdi|app.vhdx\n\n"
		     "Writes the image in another disk format (by qemu-img).");
		return 0;
	}
	if (argc != 3)
		die(STATUS_ERROR, "convert takes an image and the file to write; see 'ibrik convert --help'");
	ending = strrchr(argv[2], '.');
	if (!ending || (strcmp(ending, ".qcow2") && strcmp(ending, ".vmdk") && strcmp(ending, ".vdi") && strcmp(ending, ".vhdx")))
		die(STATUS_ERROR, "%s: the ending says the format: .qcow2, .vmdk, .vdi or .vhdx", argv[2]);
	if (access(argv[1], F_OK) < 0)
		die(STATUS_NOT_FOUND, "%s: no such file", argv[1]);
	if (container_open(&image, argv[1], &why) < 0)
		die(STATUS_ERROR, "%s: %s", argv[1], why);

	if (same_file(argv[1], argv[2]))
		die(STATUS_ERROR, "%s: this file is read, too: it is not written over", argv[2]);

	/* A name with a colon would be a protocol to qemu-img. */
	char *from = *argv[1] == '/' ? argv[1] : format("./%s", argv[1]), *to = partial_begin(*argv[2] == '/' ? argv[2] : format("./%s", argv[2]));
	char *convert[] = { "qemu-img", "convert", "-f", "raw", "-O", (char *)ending + 1, from, to, NULL };

	command_run(convert);
	partial_finish(argv[2]);
	return 0;
}

/* What a command printed has to arrive. */
static int printed(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		die(STATUS_ERROR, "cannot write to standard output: %s", strerror(errno));
	return status;
}

/* A command started without standard streams must not have its files taken for them. */
static void open_standard_streams(void)
{
	struct stat status;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fstat(fd, &status) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
			_exit(STATUS_ERROR);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "run", command_run_app },
		{ "build", command_build },
		{ "inspect", command_inspect },
		{ "convert", command_convert },
	};

	open_standard_streams();
	source_date(0);
	if (argc < 2)
		die(STATUS_ERROR, "no command given; see 'ibrik --help'");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return printed(commands[i].run(argc - 1, argv + 1));
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		usage();
		return printed(0);
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
		printf("ibrik %s, image format %d\n", TOOL_VERSION, IBRIK_VERSION);
		return printed(0);
	}
	if (strcmp(argv[1], "deploy") == 0)
		die(STATUS_ERROR, "deploy is not available in this version; convert the image and upload it yourself");
	die(STATUS_ERROR, "unknown command '%s'; see 'ibrik --help'", argv[1]);
}
