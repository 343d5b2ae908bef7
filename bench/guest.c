/*
 * bench/guest.c - boots one guest and says when it reached what.
 *
 * The harness starts QEMU with the arguments given, adds the serial port and the
 * virtio-serial ports of images/format.h, and reads them. A *mark* is the first line
 * of a stream that begins with a given text. For each mark three things are taken the
 * moment the line arrives: the wall time and the CPU time that QEMU used since it was
 * started, and with a counter file the guest instructions until then. CPU time is
 * what to trust when other work shares the machine.
 *
 * Interface: guest [OPTIONS] -- QEMU [ARG...]
 *	-t SECONDS               give up after that time (60)
 *	-m NAME=STREAM:TEXT      a mark; STREAM is serial, stdout, stderr or control
 *	-s NAME                  the last mark: afterwards the guest has 10 s to end
 *	-v pci|device            kind of the virtio-serial device (pci)
 *	-c FILE                  counter file of the plugin
 *	-l FILE                  everything the guest said: MICROSECONDS STREAM LINE
 *
 * Output: lines KEY<tab>VALUE: NAME.wall_us NAME.cpu_us NAME.text, with a counter
 * NAME.kernel_insns NAME.app_insns and entry.wall_us and a line `mark KERNEL APP` for
 * each mark that the guest itself set, then end.wall_us, end.cpu_us,
 * maxrss_kb, status (of QEMU), result: ok, ended (the guest ended before the last
 * mark) or timeout.
 * Errors: status 1 and one line for wrong use; a guest that fails is a result, status 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "counter.h"

#define MAX_MARKS 32
#define MAX_ARGS 256
#define LINE_BYTES 1024
#define GRACE_NS 10000000000ull

enum { SERIAL, STDIN, STDOUT, STDERR, CONTROL, NSTREAMS };

struct stream {
	const char *name;
	const char *port; /* virtio-serial port, NULL for the first serial port */
	int fd;           /* our end, -1 when the guest's end is closed */
	int guest_fd;
	size_t used;
	char line[LINE_BYTES];
};

struct mark {
	const char *name;
	const char *text;
	int stream;
	int reached;
};

static struct stream streams[NSTREAMS] = {
	[SERIAL] = { .name = "serial" },
	[STDIN] = { .name = "stdin", .port = "ibrik.stdin" },
	[STDOUT] = { .name = "stdout", .port = "ibrik.stdout" },
	[STDERR] = { .name = "stderr", .port = "ibrik.stderr" },
	[CONTROL] = { .name = "control", .port = "ibrik.control" },
};
static struct mark marks[MAX_MARKS];
static size_t nmarks;
static const char *last_mark;
static int last_reached;
static uint64_t start_ns;
static clockid_t cpu_clock;
static volatile struct counter *counter;
static FILE *log_file;

static _Noreturn void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("guest: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void mark_add(char *spec)
{
	char *stream = strchr(spec, '='), *text = stream ? strchr(stream, ':') : NULL;
	int i;

	if (!text || nmarks == MAX_MARKS)
		fail("a mark is NAME=STREAM:TEXT, %d at most: %s", MAX_MARKS, spec);
	*stream++ = 0;
	*text++ = 0;
	for (i = 0; i < NSTREAMS; i++)
		if (!strcmp(streams[i].name, stream))
			break;
	if (i == NSTREAMS)
		fail("no such stream: %s", stream);
	marks[nmarks++] = (struct mark){ .name = spec, .text = text, .stream = i };
}

static void counter_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, sizeof(*counter)))
		fail("cannot write %s: %s", path, strerror(errno));
	counter = mmap(NULL, sizeof(*counter), PROT_READ, MAP_SHARED, fd, 0);
	if (counter == MAP_FAILED)
		fail("cannot map %s: %s", path, strerror(errno));
	close(fd);
}

static void line_take(int index, const char *line, uint64_t wall_ns, uint64_t cpu_ns)
{
	size_t i;

	if (log_file)
		fprintf(log_file, "%llu %s %s\n", (unsigned long long)(wall_ns / 1000), streams[index].name, line);
	for (i = 0; i < nmarks; i++) {
		struct mark *mark = &marks[i];

		if (mark->reached || mark->stream != index || strncmp(line, mark->text, strlen(mark->text)))
			continue;
		mark->reached = 1;
		printf("%s.wall_us\t%llu\n", mark->name, (unsigned long long)(wall_ns / 1000));
		printf("%s.cpu_us\t%llu\n", mark->name, (unsigned long long)(cpu_ns / 1000));
		printf("%s.text\t%s\n", mark->name, line);
		if (counter) {
			struct instructions sum = counter_sum(counter);

			printf("%s.kernel_insns\t%llu\n", mark->name, (unsigned long long)sum.kernel);
			printf("%s.app_insns\t%llu\n", mark->name, (unsigned long long)sum.app);
		}
		if (last_mark && !strcmp(mark->name, last_mark))
			last_reached = 1;
	}
}

/* Takes what has arrived on a stream; a line longer than the buffer is cut in pieces. */
static void stream_read(int index)
{
	struct stream *s = &streams[index];
	char chunk[4096];
	ssize_t n = read(s->fd, chunk, sizeof(chunk)), i;
	uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC) - start_ns, cpu_ns = clock_ns(cpu_clock);

	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		close(s->fd);
		s->fd = -1;
		return;
	}
	for (i = 0; i < n; i++) {
		if (chunk[i] == '\r')
			continue;
		if (chunk[i] != '\n' && s->used + 1 < sizeof(s->line)) {
			s->line[s->used++] = chunk[i] == '\t' || !chunk[i] ? ' ' : chunk[i];
			continue;
		}
		s->line[s->used] = 0;
		line_take(index, s->line, wall_ns, cpu_ns);
		s->used = 0;
	}
}

static void args_add(char **args, size_t *n, const char *format, ...)
{
	va_list list;

	if (*n + 1 >= MAX_ARGS)
		fail("too many arguments");
	va_start(list, format);
	if (vasprintf(&args[*n], format, list) < 0)
		fail("out of memory");
	va_end(list);
	args[++*n] = NULL;
}

static pid_t qemu_start(char **args, size_t n, const char *virtio)
{
	pid_t parent = getpid(), pid;
	int i;

	args_add(args, &n, "-device");
	args_add(args, &n, "virtio-serial-%s,id=ports", virtio);
	for (i = 0; i < NSTREAMS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			fail("socketpair: %s", strerror(errno));
		streams[i].fd = pair[0];
		streams[i].guest_fd = pair[1];
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
		args_add(args, &n, "-chardev");
		args_add(args, &n, "socket,id=%s,fd=%d", streams[i].name, pair[1]);
		args_add(args, &n, streams[i].port ? "-device" : "-serial");
		if (streams[i].port)
			args_add(args, &n, "virtserialport,bus=ports.0,chardev=%s,name=%s", streams[i].name, streams[i].port);
		else
			args_add(args, &n, "chardev:%s", streams[i].name);
	}

	start_ns = clock_ns(CLOCK_MONOTONIC);
	pid = fork();
	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		for (i = 0; i < NSTREAMS; i++)
			fcntl(streams[i].guest_fd, F_SETFD, 0);
		execvp(args[0], args);
		fprintf(stderr, "guest: cannot run %s: %s\n", args[0], strerror(errno));
		_exit(127);
	}
	for (i = 0; i < NSTREAMS; i++)
		close(streams[i].guest_fd);
	if (clock_getcpuclockid(pid, &cpu_clock))
		fail("no CPU clock for process %d", (int)pid);
	return pid;
}

/* Reads the streams until the guest has ended or its time is over. */
static const char *guest_follow(uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd polls[NSTREAMS];
		uint64_t now = clock_ns(CLOCK_MONOTONIC);
		int i, open = 0;

		if (now >= deadline_ns)
			return last_reached ? "ok" : "timeout";
		for (i = 0; i < NSTREAMS; i++) {
			polls[i] = (struct pollfd){ .fd = streams[i].fd, .events = POLLIN };
			open += streams[i].fd >= 0;
		}
		if (!open)
			return last_reached ? "ok" : "ended";
		if (poll(polls, NSTREAMS, (int)((deadline_ns - now) / 1000000) + 1) < 0 && errno != EINTR)
			fail("poll: %s", strerror(errno));
		for (i = 0; i < NSTREAMS; i++)
			if (streams[i].fd >= 0 && polls[i].revents)
				stream_read(i);
		if (last_reached == 1) {
			last_reached = 2;
			if (deadline_ns > now + GRACE_NS)
				deadline_ns = now + GRACE_NS;
		}
	}
}

/* The streams are closed a moment before the process is gone; then it is ended. */
static int guest_reap(pid_t pid, struct rusage *usage)
{
	const struct timespec moment = { 0, 10000000 };
	int status = 0, tries;

	for (tries = 0; tries < 50; tries++) {
		if (wait4(pid, &status, WNOHANG, usage) == pid)
			return status;
		nanosleep(&moment, NULL);
	}
	kill(pid, SIGKILL);
	wait4(pid, &status, 0, usage);
	return status;
}

int main(int argc, char **argv)
{
	static char *args[MAX_ARGS];
	const char *virtio = "pci", *result;
	unsigned timeout_s = 60;
	struct rusage usage = { 0 };
	size_t n = 0;
	int option, status = 0;
	uint64_t end_ns;
	pid_t pid;

	while ((option = getopt(argc, argv, "+t:m:s:v:c:l:")) != -1) {
		switch (option) {
		case 't':
			timeout_s = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			mark_add(optarg);
			break;
		case 's':
			last_mark = optarg;
			break;
		case 'v':
			virtio = optarg;
			break;
		case 'c':
			counter_map(optarg);
			break;
		case 'l':
			log_file = fopen(optarg, "we");
			if (!log_file)
				fail("cannot write %s: %s", optarg, strerror(errno));
			break;
		default:
			fail("usage: guest [-t S] [-m NAME=STREAM:TEXT]... [-s NAME] [-v pci|device] [-c FILE] [-l FILE] -- QEMU [ARG...]");
		}
	}
	if (optind == argc || !timeout_s)
		fail("no QEMU command, or no time for it");
	for (; optind < argc; optind++)
		args_add(args, &n, "%s", argv[optind]);

	setvbuf(stdout, NULL, _IOFBF, 65536);
	pid = qemu_start(args, n, virtio);
	result = guest_follow(start_ns + timeout_s * 1000000000ull);
	end_ns = clock_ns(CLOCK_MONOTONIC);
	status = guest_reap(pid, &usage);
	if (counter && counter->entry_ns)
		printf("entry.wall_us\t%llu\n", (unsigned long long)((counter->entry_ns - start_ns) / 1000));
	for (uint64_t i = 0; counter && i < counter->marks && i < COUNTER_MARKS; i++)
		printf("mark\t%llu %llu\n", (unsigned long long)counter->mark[i].kernel,
		       (unsigned long long)counter->mark[i].app);
	printf("end.wall_us\t%llu\n", (unsigned long long)((end_ns - start_ns) / 1000));
	printf("end.cpu_us\t%llu\n", (unsigned long long)((uint64_t)usage.ru_utime.tv_sec * 1000000 + (uint64_t)usage.ru_utime.tv_usec +
							 (uint64_t)usage.ru_stime.tv_sec * 1000000 + (uint64_t)usage.ru_stime.tv_usec));
	printf("maxrss_kb\t%ld\n", usage.ru_maxrss);
	printf("status\t%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	printf("result\t%s\n", result);
	return 0;
}
