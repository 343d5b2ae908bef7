/*
 * images/qemu.c - starts the machine: the command line of QEMU and the sockets to it.
 *
 * Theory:    the machine gets exactly what the kernel uses: a block device for each container, a
 *            serial device with the four ports of images/format.h, entropy, COM1 for the log and
 *            a debug port to leave through. microvm is the default since its firmware is
 *            the quickest to the kernel's entry; its devices sit on virtio-mmio.
 *            QEMU runs in a process group of its own, so that Ctrl-C reaches the application
 *            through us, and dies with us.
 *            Emulated with several CPUs, a QEMU that reads instructions while they change gets the plugin that
 *            mends it (images/tcg/reread.c).
 * Interface: machine_open() checks what can be checked early, machine_start()
 * Errors:    what can be known before is checked before; QEMU's own failures are told by pump.c
 */
#include "tool.h"

#include <arpa/inet.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define QEMU "qemu-system-x86_64"
#define NAMES_MAX (64u << 20) /* bytes of names in a program */

static bool cpu_has_virtualization(void)
{
	size_t bytes;
	char *text = read_whole("/proc/cpuinfo", &bytes), *line = strstr(text, "\nflags");
	bool has = false;

	if (line) {
		line[1 + strcspn(line + 1, "\n")] = 0;
		line = format("%s ", line + 1);
		has = strstr(line, " vmx ") || strstr(line, " svm ");
	}
	free(text);
	return has;
}

/* Why there is no KVM and what would mend it, or NULL when there is. */
static const char *kvm_missing(void)
{
	int fd, error;

	if (!cpu_has_virtualization())
		return "this CPU offers no vmx or svm; switch virtualization on in the firmware, or nested virtualization in the host of this machine";
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	error = errno;
	if (fd >= 0) {
		close(fd);
		return NULL;
	}
	if (error == ENOENT)
		return "/dev/kvm is missing; load the module kvm_intel or kvm_amd";
	if (error == EACCES || error == EPERM)
		return "/dev/kvm may not be opened; add this user to the group kvm";
	return format("/dev/kvm cannot be opened: %s", strerror(error));
}

/* Said once for each reason on a terminal; a stamp in the cache remembers it. */
static bool said_before(const char *reason)
{
	char *stamp = format("%s/no-kvm", cache_dir());
	bool same = false;

	if (access(stamp, R_OK) == 0)
		same = strcmp(read_whole(stamp, NULL), reason) == 0;
	if (!same)
		write_whole(stamp, reason, strlen(reason));
	free(stamp);
	return same;
}

static bool choose_kvm(struct machine *machine, const struct options *options)
{
	const char *reason;

	if (options->accel == ACCEL_TCG)
		return false;
	reason = kvm_missing();
	if (!reason)
		return true;
	if (options->accel == ACCEL_KVM)
		die(STATUS_ERROR, "no KVM: %s", reason);
	machine->no_kvm = reason;
	if (options->accel_given || (isatty(STDERR_FILENO) && !said_before(reason)))
		say("running emulated, which is slow: %s", reason);
	return false;
}

/* QEMU takes a doubled comma for a comma. */
char *escape_commas(const char *text)
{
	char *escaped = xalloc(2 * strlen(text) + 1), *to = escaped;

	for (; *text; text++) {
		if (*text == ',')
			*to++ = ',';
		*to++ = *text;
	}
	return escaped;
}

static void add(struct strings *argv, const char *option, const char *value)
{
	strings_add(argv, option);
	if (value)
		strings_add(argv, value);
}

static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 1234;

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &length) == 0)
		port = ntohs(address.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

/* The guest's files on this machine, for their symbols: every layer of every disk, unpacked. */
static char *unpack_disks(const struct strings *drives)
{
	char *folder = format("%s/debug", temp_dir()), *why;

	for (size_t i = 0; i < drives->count; i++) {
		struct container *disk = xalloc(sizeof(*disk));
		struct ibrik_section *section;

		if (container_open(disk, drives->items[i], &why) < 0)
			die(STATUS_ERROR, "%s: %s", drives->items[i], why);
		for (unsigned j = 0; (section = container_find(disk, IBRIK_LAYER, j)); j++) {
			char *to = format("%s%s", folder, section->flags & IBRIK_LAYER_VOLUME ? section->mount : "");
			char *argv[] = { "unsquashfs", "-q", "-n", "-f", "-d", to, "-o",
				         format("%llu", (unsigned long long)section->offset), drives->items[i], NULL };

			make_parent(to);
			command_run(argv);
		}
	}
	return folder;
}

static void add_debug(struct strings *argv, const struct options *options, const char *kernel, const struct strings *drives)
{
	int port = free_port();
	const char *symbols = options->kernel ? options->kernel : data_file("ibrik.debug.elf", false);

	strings_add(argv, "-S");
	add(argv, "-gdb", format("tcp:127.0.0.1:%d", port));
	say("the machine waits for gdb; attach with:");
	fprintf(stderr, "gdb %s -ex 'target remote 127.0.0.1:%d' -x %s -ex 'ibrik-root %s'\n", symbols ? symbols : kernel, port,
	        data_file("ibrik-gdb.py", true), unpack_disks(drives));
	say("in gdb, ibrik-symbols loads the symbols of the application once it runs");
}

/* A pair of connected sockets: ours closed on exec, the machine's handed over by number. */
static int add_channel(struct strings *argv, const char *id, int *ours)
{
	int ends[2], bytes = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		die(STATUS_ERROR, "cannot make a socket pair: %s", strerror(errno));
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	*ours = ends[0];
	add(argv, "-chardev", format("socket,id=%s,fd=%d", id, ends[1]));
	return ends[1];
}

static char *program_find(const char *name)
{
	char *path = xstrdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), *rest;

	for (char *folder = strtok_r(path, ":", &rest); folder; folder = strtok_r(NULL, ":", &rest)) {
		char *file = format("%s/%s", folder, name);

		if (access(file, X_OK) == 0)
			return file;
	}
	return NULL;
}

/* The names that a program shares with its libraries and plugins, or NULL. */
static char *dynamic_names(const char *path, size_t *bytes)
{
	Elf64_Ehdr header;
	Elf64_Shdr section, strings;
	char *names = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(section))
		header.e_shnum = 0;
	for (unsigned i = 0; i < header.e_shnum && !names; i++) {
		if (pread(fd, &section, sizeof(section), (off_t)(header.e_shoff + i * sizeof(section))) != (ssize_t)sizeof(section))
			break;
		if (section.sh_type != SHT_DYNSYM || section.sh_link >= header.e_shnum)
			continue;
		if (pread(fd, &strings, sizeof(strings), (off_t)(header.e_shoff + section.sh_link * sizeof(strings))) != (ssize_t)sizeof(strings) ||
		    strings.sh_size > NAMES_MAX)
			break;
		names = xalloc(strings.sh_size + 1);
		if (pread(fd, names, strings.sh_size, (off_t)strings.sh_offset) != (ssize_t)strings.sh_size) {
			free(names);
			names = NULL;
			break;
		}
		*bytes = strings.sh_size;
	}
	close(fd);
	return names;
}

/* The plugin is made for version 1 of the interface; a QEMU that knows scoreboards has a later one and needs none. */
static bool takes_plugin(const char *qemu)
{
	static const char reset[] = "qemu_plugin_reset", scoreboard[] = "qemu_plugin_scoreboard_new";
	size_t bytes = 0;
	char *names = dynamic_names(qemu, &bytes);
	bool takes = names && memmem(names, bytes, reset, sizeof(reset)) && !memmem(names, bytes, scoreboard, sizeof(scoreboard));

	free(names);
	return takes;
}

static void add_plugin(struct strings *argv)
{
	char *plugin = data_file("tcg-reread.so", false), *qemu = program_find(QEMU);

	if (plugin && qemu && takes_plugin(qemu))
		add(argv, "-plugin", format("file=%s", escape_commas(plugin)));
	free(qemu);
	free(plugin);
}

static void add_devices(struct strings *argv, const struct strings *drives, bool mmio)
{
	const char *bus = mmio ? "device" : "pci";

	for (size_t i = 0; i < drives->count; i++) {
		add(argv, "-blockdev", format("driver=raw,node-name=disk%zu,read-only=on,file.driver=file,file.filename=%s,file.aio=threads",
		                              i, escape_commas(drives->items[i])));
		add(argv, "-device", format("virtio-blk-%s,drive=disk%zu", bus, i));
	}
	add(argv, "-device", format("virtio-serial-%s,max_ports=5", bus));
	add(argv, "-device", "virtserialport,chardev=in,name=" IBRIK_PORT_STDIN);
	add(argv, "-device", "virtserialport,chardev=out,name=" IBRIK_PORT_STDOUT);
	add(argv, "-device", "virtserialport,chardev=err,name=" IBRIK_PORT_STDERR);
	add(argv, "-device", "virtserialport,chardev=control,name=" IBRIK_PORT_CONTROL);
	add(argv, "-device", format("virtio-rng-%s", bus));
	add(argv, "-device", format("isa-debug-exit,iobase=%#x,iosize=4", IBRIK_EXIT_PORT));
}

/* The child: its signals and group as a fresh program has them, standard streams out of reach. */
static void __attribute__((noreturn)) exec_qemu(const struct strings *argv, int errors)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, STDIN_FILENO);
	dup2(errors, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	execvp(argv->items[0], argv->items);
	dprintf(STDERR_FILENO, "%s: %s\n", argv->items[0], strerror(errno));
	_exit(127);
}

void machine_open(struct machine *machine, const struct options *options)
{
	memset(machine, 0, sizeof(*machine));
	machine->log_fd = -1;
	if (!program_find(QEMU))
		die(STATUS_ERROR, QEMU " is not installed; on Debian: apt install qemu-system-x86");
	if (options->log) {
		inputs_spare(options, "--log", options->log);
		machine->log_fd = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (machine->log_fd < 0)
			die(STATUS_ERROR, "--log %s: %s", options->log, strerror(errno));
	}
	machine->kvm = choose_kvm(machine, options);
}

void machine_start(struct machine *machine, const struct options *options, const char *kernel,
                   const struct strings *drives, const char *append)
{
	struct strings *argv = &machine->argv;
	const char *type = options->machine ? options->machine : "microvm";
	bool mmio = strcmp(type, "microvm") == 0, kvm = machine->kvm;
	int theirs[5], errors[2], small = 4096;

	strings_add(argv, QEMU);
	for (const char *const *word = (const char *const[]){ "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", NULL }; *word; word++)
		strings_add(argv, *word);
	add(argv, "-machine", mmio ? "microvm,rtc=on,x-option-roms=off" : strcmp(type, "q35") == 0 ? "q35,vmport=off" : "pc,vmport=off");
	if (mmio)
		add(argv, "-global", "virtio-mmio.force-legacy=false");
	else
		add(argv, "-bios", "qboot.rom");
	add(argv, "-accel", kvm ? "kvm" : "tcg,thread=multi");
	if (!kvm && options->cpus > 1)
		add_plugin(argv);
	add(argv, "-cpu", kvm ? "host,migratable=off" : "max");
	add(argv, "-m", format("%lluk", (unsigned long long)(options->memory >> 10)));
	add(argv, "-smp", format("%llu", (unsigned long long)options->cpus));
	add(argv, "-kernel", kernel);
	add(argv, "-append", append);
	theirs[0] = add_channel(argv, "com1", &machine->com1_fd);
	theirs[1] = add_channel(argv, "in", &machine->stdin_fd);
	theirs[2] = add_channel(argv, "out", &machine->stdout_fd);
	theirs[3] = add_channel(argv, "err", &machine->stderr_fd);
	theirs[4] = add_channel(argv, "control", &machine->control_fd);
	/* Little read ahead: what the application does not read stays where it was. */
	setsockopt(machine->stdin_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	add(argv, "-serial", "chardev:com1");
	add_devices(argv, drives, mmio);
	network_arguments(argv, options, mmio);
	if (options->debug)
		add_debug(argv, options, kernel, drives);
	if (pipe(errors) < 0)
		die(STATUS_ERROR, "cannot make a pipe: %s", strerror(errno));
	fcntl(errors[0], F_SETFD, FD_CLOEXEC);
	if (machine->log_fd >= 0) {
		/* Only now is the log of an earlier run given up. A pipe or a terminal has nothing to cut. */
		if (ftruncate(machine->log_fd, 0) < 0 && errno != EINVAL)
			die(STATUS_ERROR, "--log %s: %s", options->log, strerror(errno));
		if (machine->no_kvm)
			dprintf(machine->log_fd, "ibrik: running emulated, which is slow: %s\n", machine->no_kvm);
		for (size_t i = 0; i < argv->count; i++)
			dprintf(machine->log_fd, "%s%s", i ? " " : "ibrik: ", argv->items[i]);
		dprintf(machine->log_fd, "\n");
	}
	/* Signals from here on are read by the pump, also those that arrive before it runs. */
	sigset_t taken;
	machine_signals(&taken);
	sigprocmask(SIG_BLOCK, &taken, NULL);
	signal(SIGPIPE, SIG_IGN);
	machine->pid = fork();
	if (machine->pid < 0)
		die(STATUS_ERROR, "cannot start " QEMU ": %s", strerror(errno));
	if (machine->pid == 0)
		exec_qemu(argv, errors[1]);
	for (size_t i = 0; i < 5; i++)
		close(theirs[i]);
	close(errors[1]);
	machine->errors_fd = errors[0];
}
