/*
 * tests/net/crowd.c - a client with very many connections to an HTTP/1.1 server, most of which do nothing.
 *
 * Interface: crowd ADDRESS PORT PATH, which then does what lines of its input say, and answers each by one line on its output, beginning with `ok` or `not ok`:
 *	open N              as many idle connections stand, each of which has had an answer to GET PATH; says how long the slowest took to be made
 *	touch               each of them asks once more, at most ASKING at a time
 *	ask N SECONDS       N other connections ask, each again as soon as it has its answer; says
 *	                    requests, rate (a second), p50_us, p99_us, max_us, and gap_ms, the longest time in which nobody got an answer
 *	close               all of them end, by FIN from here
 * It ends with its input. Nothing waits longer than IDLE_SECONDS for the server.
 * Errors: an answer that is not 200, or that ends early, or a connection that the server ends, also one that is idle, is `not ok`, with the first reason.
 *	What the command line or the input has wrong is one line on stderr and status 2.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ASKING 64 /* that connect, or are touched, at a time */
#define IDLE_SECONDS 30
#define HEAD_BYTES 512
#define EVENTS 256

/* What a connection waits for: nothing, that it is made, the head of an answer, or `left` bytes of its body. */
enum wait { WAIT_NOTHING, WAIT_MADE, WAIT_HEAD, WAIT_BODY };

struct conn {
	int fd;
	enum wait wait;
	uint64_t asked_us; /* when what it waits for began */
	uint64_t left;
	unsigned have;
	char head[HEAD_BYTES];
};

static struct sockaddr_in server;
static char request[256];
static int poller;
static struct conn **idle;
static unsigned nidle;
static char failure[160]; /* the first, since the last answer */

/* Of the command that is being done: who is to wait for how many things, and how long they took. */
static unsigned waiting;
static uint32_t *times_us;
static size_t ntimes, times_room;
static uint64_t last_us, gap_us, until_us;
static bool again; /* ask once more after an answer */

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void fail(const char *what, int error)
{
	if (!*failure)
		snprintf(failure, sizeof(failure), "%s%s%s", what, error ? ": " : "", error ? strerror(error) : "");
}

static void note_time(uint64_t us)
{
	if (ntimes == times_room) {
		size_t room = times_room ? times_room * 2 : 65536;
		uint32_t *more = realloc(times_us, room * sizeof(*more));

		if (!more) {
			fail("no memory for times", 0);
			return;
		}
		times_us = more;
		times_room = room;
	}
	times_us[ntimes++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* --- a connection ---------------------------------------------------------------------------------------------- */

static void conn_end(struct conn *c)
{
	if (c->wait != WAIT_NOTHING)
		waiting--;
	c->wait = WAIT_NOTHING;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void conn_wait(struct conn *c, enum wait wait)
{
	waiting += c->wait == WAIT_NOTHING;
	c->wait = wait;
	c->asked_us = now_us();
	c->have = 0;
}

static void conn_ask(struct conn *c)
{
	size_t n = strlen(request);

	conn_wait(c, WAIT_HEAD);
	if (send(c->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n) {
		fail("send", errno);
		conn_end(c);
	}
}

static struct conn *conn_new(void)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
	int one = 1;

	if (!c) {
		fail("no memory", 0);
		return NULL;
	}
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) || epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e)) {
		fail("socket", errno);
		conn_end(c);
		free(c);
		return NULL;
	}
	conn_wait(c, WAIT_MADE);
	if (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) && errno != EINPROGRESS) {
		fail("connect", errno);
		conn_end(c);
	}
	return c;
}

static void answered(struct conn *c)
{
	uint64_t now = now_us();

	note_time(now - c->asked_us);
	gap_us = now - last_us > gap_us ? now - last_us : gap_us;
	last_us = now;
	c->wait = WAIT_NOTHING;
	waiting--;
	if (again && now < until_us)
		conn_ask(c);
}

/* The head is whole, with `n` bytes of the body behind it, or it is not. */
static void head_read(struct conn *c)
{
	char *end, *length;
	uint64_t n;

	c->head[c->have] = 0;
	end = strstr(c->head, "\r\n\r\n");
	if (!end) {
		if (c->have == HEAD_BYTES - 1) {
			fail("the head of an answer is too long", 0);
			conn_end(c);
		}
		return;
	}
	*end = 0;
	length = strcasestr(c->head, "\r\ncontent-length:");
	if (strncmp(c->head, "HTTP/1.1 200 ", 13) || !length) {
		fail("an answer other than 200 with a length", 0);
		conn_end(c);
		return;
	}
	c->left = strtoull(length + 17, NULL, 10);
	n = c->have - (unsigned)(end + 4 - c->head);
	if (n > c->left) {
		fail("more bytes than the answer has", 0);
		conn_end(c);
		return;
	}
	c->left -= n;
	c->wait = WAIT_BODY;
	if (!c->left)
		answered(c);
}

static void conn_read(struct conn *c)
{
	static char scratch[65536];
	ssize_t n;

	if (c->wait == WAIT_HEAD)
		n = recv(c->fd, c->head + c->have, HEAD_BYTES - 1 - c->have, 0);
	else
		n = recv(c->fd, scratch, sizeof(scratch), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || c->wait == WAIT_NOTHING) {
		fail(c->wait == WAIT_NOTHING ? (n > 0 ? "bytes that nobody asked for" : "the server ends an idle connection") :
					       "the server ends a connection that waits for an answer", n < 0 ? errno : 0);
		conn_end(c);
		return;
	}
	if (c->wait == WAIT_HEAD) {
		c->have += (unsigned)n;
		head_read(c);
	} else if ((uint64_t)n > c->left) {
		fail("more bytes than the answer has", 0);
		conn_end(c);
	} else {
		c->left -= (uint64_t)n;
		if (!c->left)
			answered(c);
	}
}

static void conn_made(struct conn *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		fail("connect", error);
		conn_end(c);
		return;
	}
	epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
	/* What is measured from here on includes that it was made. */
	c->wait = WAIT_HEAD;
	c->have = 0;
	if (send(c->fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) {
		fail("send", errno);
		conn_end(c);
	}
}

/* Lets happen what happens until fewer than `most` wait, or nothing has happened for too long. */
static void run(unsigned most)
{
	struct epoll_event events[EVENTS];

	while (waiting >= most && !*failure) {
		int n = epoll_wait(poller, events, EVENTS, IDLE_SECONDS * 1000);

		if (n < 0 && errno != EINTR)
			fail("epoll_wait", errno);
		if (n == 0)
			fail("the server does not answer any more", 0);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c->fd < 0)
				continue;
			if (c->wait == WAIT_MADE)
				conn_made(c);
			else
				conn_read(c);
		}
	}
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static unsigned part(unsigned permille)
{
	return ntimes ? times_us[(ntimes - 1) * permille / 1000] : 0;
}

static void measure_start(void)
{
	*failure = 0;
	ntimes = 0;
	gap_us = 0;
	last_us = now_us();
	again = false;
}

static void answer(const char *what, double seconds)
{
	/* Idle connections that the server has ended meanwhile. */
	if (!*failure) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(poller, events, EVENTS, 0);

		for (int i = 0; i < n; i++)
			conn_read(events[i].data.ptr);
	}
	qsort(times_us, ntimes, sizeof(*times_us), by_value);
	printf("%s %s idle=%u requests=%zu seconds=%.1f rate=%.0f p50_us=%u p99_us=%u max_us=%u gap_ms=%u%s%s\n", *failure ? "not ok" : "ok", what, nidle, ntimes,
	       seconds, (double)ntimes / (seconds > 0 ? seconds : 1), part(500), part(990), part(1000), (unsigned)(gap_us / 1000),
	       *failure ? " failure: " : "", failure);
	fflush(stdout);
}

static bool do_open(unsigned n)
{
	struct conn **more = realloc(idle, (nidle + n) * sizeof(*more));

	if (!more) {
		fail("no memory", 0);
		return false;
	}
	idle = more;
	for (unsigned i = 0; i < n && !*failure; i++) {
		struct conn *c = conn_new();

		if (c)
			idle[nidle++] = c;
		run(ASKING);
	}
	run(1);
	return true;
}

static void do_touch(void)
{
	for (unsigned i = 0; i < nidle && !*failure; i++) {
		conn_ask(idle[i]);
		run(ASKING);
	}
	run(1);
}

static void do_ask(unsigned n, unsigned seconds)
{
	struct conn **active = calloc(n, sizeof(*active));

	if (!active) {
		fail("no memory", 0);
		return;
	}
	/* They are made before the time begins. */
	for (unsigned i = 0; i < n; i++)
		active[i] = conn_new();
	run(1);
	if (!*failure) {
		measure_start();
		again = true;
		until_us = now_us() + seconds * 1000000ull;
		for (unsigned i = 0; i < n; i++)
			conn_ask(active[i]);
		run(1);
	}
	for (unsigned i = 0; i < n; i++) {
		if (active[i])
			conn_end(active[i]);
		free(active[i]);
	}
	free(active);
}

static void do_close(void)
{
	while (nidle) {
		conn_end(idle[--nidle]);
		free(idle[nidle]);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	char line[128];
	unsigned n, seconds;

	server.sin_family = AF_INET;
	if (argc != 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || !atoi(argv[2])) {
		fprintf(stderr, "usage: crowd ADDRESS PORT PATH\n");
		return 2;
	}
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[3], argv[1]);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0) {
		perror("crowd: epoll_create1");
		return 2;
	}
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t start = now_us();

		measure_start();
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "open %u", &n) == 1) {
			do_open(n);
		} else if (!strcmp(line, "touch")) {
			do_touch();
		} else if (sscanf(line, "ask %u %u", &n, &seconds) == 2 && n && seconds) {
			do_ask(n, seconds);
			start = until_us - seconds * 1000000ull;
		} else if (!strcmp(line, "close")) {
			do_close();
		} else {
			fprintf(stderr, "crowd: no such command: %s\n", line);
			return 2;
		}
		answer(line, (double)(now_us() - start) / 1e6);
	}
	return 0;
}
