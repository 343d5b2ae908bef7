/*
 * images/pump.c - moves bytes between the machine and us until it ends, and says how.
 *
 * Theory:    one poll(2) loop. Each output stream has one buffer: the socket is read only when
 *            the buffer is empty, so a slow reader slows the guest and nothing is lost; standard
 *            input is read only after the guest asked for it, and only when the socket takes more. Writes happen after POLLOUT and are at
 *            most PIPE_BUF long, so they do not block and our standard streams keep their flags.
 *            The status comes over the control channel; QEMU's own status only tells whether the
 *            guest left as it should.
 * Interface: machine_pump()
 * Errors:    the machine's failures become one line and status 125
 */
#include "tool.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAST_LINES 12
#define GREETING_NS 120000000000ll /* from QEMU's start to the kernel's first word, on a busy host */
#define LINGER_NS 5000000000ll /* after the guest's last word */

struct stream { /* from the machine to a file of ours */
	int from, to;
	char data[65536];
	size_t have, done;
};

struct lines { /* text from the machine, taken line by line */
	int from;
	char data[4096];
	size_t have;
};

struct pump {
	struct machine *machine;
	const struct options *options;
	struct stream out, err;
	struct lines control, com1, errors;
	char input[4096];
	size_t input_have, input_done;
	bool input_ended, input_wanted;
	int status;          /* the application's, -1 not known */
	bool panicked;
	bool machine_ended;
	int machine_status;  /* as wait(2) gives it */
	int64_t kill_at;     /* 0: never */
	int stop_signal;
	bool stopped;        /* we killed it */
	char *last[LAST_LINES];
	unsigned last_count;
	char *qemu_said;
};

static int64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void log_line(struct pump *pump, const char *prefix, const char *line)
{
	if (pump->machine->log_fd >= 0)
		dprintf(pump->machine->log_fd, "%s%s\n", prefix, line);
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void tell_guest(struct pump *pump, const char *line)
{
	if (pump->control.from < 0 || send(pump->control.from, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_line(pump, "ibrik: not delivered: ", line);
}

/* A line that somebody asked for by trace= or boot.trace (kernel/linux/trace.c, kernel/net/counters.c, kernel/core/options.c), not a warning. */
static bool is_trace(int level, const char *text)
{
	return level == 4 && (*text == '[' || strncmp(text, "boot: ", 6) == 0 || strncmp(text, "net: ", 5) == 0);
}

/* A line of the kernel log: "LEVEL[SECONDS.MICROSECONDS] text"; the level may stand in angle brackets. */
static void take_com1(struct pump *pump, char *line)
{
	const char *at = line + (*line == '<'), *text = line;
	int level = 9;

	line[strcspn(line, "\r")] = 0;
	log_line(pump, "", line);
	if (*at >= '0' && *at <= '9' && at[1 + (*line == '<')] == '[') {
		level = *at - '0';
		text = strchr(at, ']');
		text = text ? text + 1 + (text[1] == ' ') : at + 1;
	}
	if (level <= 4) {
		if (pump->machine->log_fd < 0 || !is_trace(level, text))
			say("%s", text);
		pump->machine->damage_told |= strstr(text, "is damaged") != NULL;
	} else if (*line) {
		free(pump->last[pump->last_count % LAST_LINES]);
		pump->last[pump->last_count++ % LAST_LINES] = xstrdup(line);
	}
	pump->panicked |= level == 0;
}

static void take_control(struct pump *pump, char *line)
{
	int status, length = 0;

	log_line(pump, "ibrik: guest: ", line);
	if (sscanf(line, "hello %d", &status) == 1) {
		if (!pump->stop_signal)
			pump->kill_at = 0;
		if (status != 1)
			say("the kernel speaks version %d of the control channel, this command version 1", status);
	} else if (strcmp(line, "stdin") == 0) {
		pump->input_wanted = true;
	} else if (sscanf(line, "exit %d", &status) == 1 && status >= 0 && status <= 255) {
		pump->status = status;
		pump->kill_at = now_ns() + LINGER_NS;
	} else if (sscanf(line, "fail %d %n", &status, &length) == 1 && length) {
		pump->status = status >= 125 && status <= 127 ? status : STATUS_ERROR;
		pump->kill_at = now_ns() + LINGER_NS;
		pump->machine->damage_told |= strstr(line, "is damaged") != NULL;
		say("%s", line + length);
	} else if (sscanf(line, "ran %d %d", &length, &status) == 2 && status && length >= 0 &&
	           (size_t)length < pump->options->runs.count) {
		say("'%s' ended with %s %d", pump->options->runs.items[length],
		    WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
}

/* What QEMU says is only worth showing when it fails. */
static void take_error(struct pump *pump, char *line)
{
	log_line(pump, "ibrik: qemu: ", line);
	if (strstr(line, "warning:"))
		return;
	if (strncmp(line, "qemu-system-x86_64: ", 20) == 0)
		line += 20;
	if (!pump->qemu_said)
		pump->qemu_said = xstrdup(line);
}

static void read_lines(struct pump *pump, struct lines *lines, void (*take)(struct pump *, char *))
{
	ssize_t got = read(lines->from, lines->data + lines->have, sizeof(lines->data) - 1 - lines->have);
	char *line = lines->data, *end;

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got > 0)
		lines->have += (size_t)got;
	lines->data[lines->have] = 0;
	while ((end = memchr(line, '\n', lines->have - (size_t)(line - lines->data)))) {
		*end = 0;
		take(pump, line);
		line = end + 1;
	}
	lines->have -= (size_t)(line - lines->data);
	memmove(lines->data, line, lines->have);
	/* A line that fills the buffer, or the last one without its end. */
	if (lines->have == sizeof(lines->data) - 1 || (got <= 0 && lines->have)) {
		lines->data[lines->have] = 0;
		take(pump, lines->data);
		lines->have = 0;
	}
	if (got <= 0)
		close_end(&lines->from);
}

static void stream_read(struct stream *stream)
{
	ssize_t got = read(stream->from, stream->data, sizeof(stream->data));

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got <= 0) {
		close_end(&stream->from);
		return;
	}
	stream->have = (size_t)got;
	stream->done = 0;
}

static void stream_write(struct stream *stream)
{
	size_t left = stream->have - stream->done;
	ssize_t put = write(stream->to, stream->data + stream->done, left < PIPE_BUF ? left : PIPE_BUF);

	if (put < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (put < 0) { /* nobody reads any more: the guest's writes shall fail too */
		stream->have = 0;
		close_end(&stream->from);
		return;
	}
	stream->done += (size_t)put;
	if (stream->done == stream->have)
		stream->have = 0;
}

static void input_read(struct pump *pump)
{
	ssize_t got = read(STDIN_FILENO, pump->input, sizeof(pump->input));

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	pump->input_done = 0;
	pump->input_have = got > 0 ? (size_t)got : 0;
	if (got <= 0) {
		/* Half closed: QEMU hands over all that was sent before it sees the end. */
		pump->input_ended = true;
		shutdown(pump->machine->stdin_fd, SHUT_WR);
	}
}

static void input_write(struct pump *pump)
{
	ssize_t put = send(pump->machine->stdin_fd, pump->input + pump->input_done, pump->input_have - pump->input_done,
	                   MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (put < 0) {
		pump->input_ended = true;
		pump->input_have = 0;
		return;
	}
	pump->input_done += (size_t)put;
	if (pump->input_done == pump->input_have)
		pump->input_have = 0;
}

static void take_signal(struct pump *pump, int fd)
{
	struct signalfd_siginfo info;
	int status;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD) {
		if (waitpid(pump->machine->pid, &status, WNOHANG) == pump->machine->pid) {
			pump->machine_ended = true;
			pump->machine_status = status;
		}
		return;
	}
	if (pump->machine_ended) /* only our own reader is in the way */
		exit(pump->status >= 0 ? pump->status : 128 + (int)info.ssi_signo);
	tell_guest(pump, format("signal %u\n", info.ssi_signo));
	if (info.ssi_signo != SIGQUIT && pump->status < 0) {
		if (!pump->stop_signal)
			pump->kill_at = now_ns() + (int64_t)pump->options->stop_timeout * 1000000000 + 1;
		pump->stop_signal = (int)info.ssi_signo;
	}
}

/* The machine has ended and all it said has been read. */
static int conclude(struct pump *pump)
{
	int status = pump->machine_status;
	unsigned first = pump->last_count > LAST_LINES ? pump->last_count - LAST_LINES : 0;
	char *reason;

	if (pump->status >= 0)
		return pump->status;
	if (pump->stopped && pump->stop_signal)
		return 128 + pump->stop_signal;
	if (pump->panicked || (WIFEXITED(status) && WEXITSTATUS(status) == (IBRIK_EXIT_PANIC << 1 | 1))) {
		if (!pump->panicked)
			say("the kernel panicked without a report");
		return STATUS_ERROR;
	}
	if (pump->stopped)
		reason = format("the kernel did not come up within %lld s", GREETING_NS / 1000000000);
	else if (WIFSIGNALED(status))
		reason = format("QEMU was ended by signal %d", WTERMSIG(status));
	else if (pump->qemu_said)
		reason = format("QEMU: %s", pump->qemu_said);
	else if (WEXITSTATUS(status) == (IBRIK_EXIT_CLEAN << 1 | 1) || WEXITSTATUS(status) == 0)
		reason = xstrdup("the machine was reset or switched itself off without a status of the application");
	else
		reason = format("QEMU ended with status %d", WEXITSTATUS(status));
	say("%s", reason);
	for (unsigned i = first; i < pump->last_count && !pump->qemu_said; i++)
		say("  %s", pump->last[i % LAST_LINES]);
	return STATUS_ERROR;
}

static void greet(struct pump *pump)
{
	struct winsize size;

	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		tell_guest(pump, format("tty %u %u\n", size.ws_row ? size.ws_row : 24, size.ws_col ? size.ws_col : 80));
}

enum { AT_SIGNAL, AT_CONTROL, AT_COM1, AT_ERRORS, AT_OUT, AT_ERR, AT_INPUT, AT_COUNT };

static void fill_poll(struct pump *pump, struct pollfd *fds, int signals)
{
	bool input_wanted = pump->input_wanted && !pump->input_ended && !pump->machine_ended;
	struct stream *streams[] = { &pump->out, &pump->err };

	for (int i = 0; i < AT_COUNT; i++)
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	fds[AT_SIGNAL].fd = signals;
	fds[AT_CONTROL].fd = pump->control.from;
	fds[AT_COM1].fd = pump->com1.from;
	fds[AT_ERRORS].fd = pump->errors.from;
	for (int i = 0; i < 2; i++) {
		fds[AT_OUT + i].fd = streams[i]->have ? streams[i]->to : streams[i]->from;
		fds[AT_OUT + i].events = streams[i]->have ? POLLOUT : POLLIN;
	}
	if (input_wanted) {
		fds[AT_INPUT].fd = pump->input_have ? pump->machine->stdin_fd : STDIN_FILENO;
		fds[AT_INPUT].events = pump->input_have ? POLLOUT : POLLIN;
	}
}

static void serve(struct pump *pump, const struct pollfd *fds, int signals)
{
	struct stream *streams[] = { &pump->out, &pump->err };

	for (int i = 0; i < 2; i++) {
		if (!fds[AT_OUT + i].revents)
			continue;
		if (streams[i]->have)
			stream_write(streams[i]);
		else
			stream_read(streams[i]);
	}
	if (fds[AT_COM1].revents)
		read_lines(pump, &pump->com1, take_com1);
	if (fds[AT_ERRORS].revents)
		read_lines(pump, &pump->errors, take_error);
	if (fds[AT_CONTROL].revents)
		read_lines(pump, &pump->control, take_control);
	if (fds[AT_INPUT].revents) {
		if (pump->input_have)
			input_write(pump);
		else
			input_read(pump);
	}
	if (fds[AT_SIGNAL].revents)
		take_signal(pump, signals);
}

static bool all_read(const struct pump *pump)
{
	return pump->out.from < 0 && !pump->out.have && pump->err.from < 0 && !pump->err.have &&
	       pump->control.from < 0 && pump->com1.from < 0 && pump->errors.from < 0;
}

/* nohup ignores SIGHUP, and a signal that is blocked would be queued all the same. Others a shell ignores for what it starts in the background. */
void machine_signals(sigset_t *set)
{
	struct sigaction hangup;

	sigemptyset(set);
	for (const int *number = (const int[]){ SIGTERM, SIGINT, SIGQUIT, SIGCHLD, 0 }; *number; number++)
		sigaddset(set, *number);
	if (sigaction(SIGHUP, NULL, &hangup) < 0 || hangup.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
}

int machine_pump(struct machine *machine, const struct options *options)
{
	struct pump *pump = xalloc(sizeof(*pump));
	struct pollfd fds[AT_COUNT];
	sigset_t taken;
	int signals;

	pump->machine = machine;
	pump->options = options;
	pump->status = -1;
	pump->out = (struct stream){ .from = machine->stdout_fd, .to = STDOUT_FILENO };
	pump->err = (struct stream){ .from = machine->stderr_fd, .to = STDERR_FILENO };
	pump->control.from = machine->control_fd;
	pump->com1.from = machine->com1_fd;
	pump->errors.from = machine->errors_fd;
	machine_signals(&taken);
	signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die(STATUS_ERROR, "cannot take signals: %s", strerror(errno));
	if (!options->debug)
		pump->kill_at = now_ns() + GREETING_NS;
	greet(pump);
	while (!pump->machine_ended || !all_read(pump)) {
		int timeout = -1, ready;

		if (pump->kill_at && !pump->machine_ended) {
			int64_t left = pump->kill_at - now_ns();

			if (left <= 0) {
				pump->stopped = pump->status < 0;
				kill(machine->pid, SIGKILL);
				pump->kill_at = 0;
			} else {
				timeout = (int)(left / 1000000) + 1;
			}
		}
		/* All a dead machine said lies in the sockets already. */
		if (pump->machine_ended && !pump->out.have && !pump->err.have)
			timeout = 0;
		fill_poll(pump, fds, signals);
		ready = poll(fds, AT_COUNT, timeout);
		if (ready < 0 && errno != EINTR)
			die(STATUS_ERROR, "poll failed: %s", strerror(errno));
		if (ready == 0 && pump->machine_ended && timeout == 0)
			break;
		serve(pump, fds, signals);
	}
	return conclude(pump);
}
