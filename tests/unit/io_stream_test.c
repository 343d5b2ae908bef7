/*
 * tests/unit/io_stream_test.c - pipes, eventfd, poll and epoll on the host, with threads.
 */
// sources: tests/unit/io_shim.c tests/unit/io_host.c kernel/core/bytering.c kernel/core/mutex.c kernel/core/waitq.c kernel/linux/pipe.c kernel/linux/eventfd.c kernel/linux/poll.c kernel/linux/epoll.c
// flags: -Itests/unit -pthread -ffreestanding
#include "io_shim.h"
#include "core/bytering.h"
#include "linux/pipe.h"
#include <linux/eventpoll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONBLOCK 04000

struct pollfd_ { int fd; short events, revents; };

/* --- the byte ring against a plain array ----------------------------------------------------------- */

static void ring_matches_a_model(void)
{
	static unsigned char model[1 << 20], in[20000], out[20000];
	struct bytering r;
	size_t first = 0, end = 0, serial = 0;

	srand(1);
	CHECK_EQ(bytering_init(&r, 4), 0);
	for (int step = 0; step < 200000; step++) {
		size_t n = rand() % (step % 3 ? 300 : 9000) + 1;
		ssize_t done;

		switch (rand() % 8) {
		case 0: case 1: case 2:
			for (size_t i = 0; i < n; i++)
				in[i] = serial + i;
			done = bytering_put(&r, U(in), n);
			CHECK(done >= 0 && (size_t)done <= n);
			CHECK((size_t)done == n || bytering_space(&r) == 0);
			for (ssize_t i = 0; i < done; i++)
				model[end++] = in[i];
			serial += done;
			break;
		case 3: case 4: case 5:
			done = bytering_get(&r, U(out), n);
			CHECK_EQ(done, MIN(n, end - first));
			CHECK(!memcmp(out, model + first, done));
			first += done;
			break;
		case 6:
			if (end > first) {
				size_t skip = rand() % (end - first);

				done = bytering_peek(&r, skip, U(out), n);
				CHECK_EQ(done, MIN(n, end - first - skip));
				CHECK(!memcmp(out, model + first + skip, done));
			}
			break;
		case 7:
			if (step % 50 == 0) {
				unsigned pages = 1u << rand() % 4;
				int e = bytering_resize(&r, pages);

				CHECK_EQ(e, end - first > pages * PAGE_SIZE ? -EBUSY : 0);
			}
			break;
		}
		CHECK_EQ(bytering_used(&r), end - first);
		if (end > sizeof(model) - 100000) {
			memmove(model, model + first, end - first);
			end -= first;
			first = 0;
		}
	}
	bytering_free(&r);
	CHECK_EQ(io_pages, 0);
}

static void ring_survives_faults(void)
{
	static char buf[3 * 4096];
	struct bytering r;

	CHECK_EQ(bytering_init(&r, 4), 0);
	io_bad_start = U(buf) + 5000;
	io_bad_end = U(buf) + sizeof(buf);
	CHECK_EQ(bytering_put(&r, U(buf), sizeof(buf)), 5000);
	CHECK_EQ(bytering_put(&r, U(buf) + 6000, 10), -EFAULT);
	CHECK_EQ(bytering_get(&r, U(buf) + 4000, 3000), 1000);
	CHECK_EQ(bytering_get(&r, U(buf) + 5000, 3000), -EFAULT);
	CHECK_EQ(bytering_used(&r), 4000);
	io_bad_start = io_bad_end = 0;
	CHECK_EQ(bytering_get(&r, U(buf), 9000), 4000);
	atomic_store(&io_fail_after, 0);
	CHECK(bytering_put(&r, U(buf), 9000) > 0); /* the kept page serves */
	atomic_store(&io_fail_after, -1);
	bytering_free(&r);
	CHECK_EQ(io_pages, 0);
}

/* --- pipes -------------------------------------------------------------------------------------------- */

static int p[2];

static void pipe_open(int flags)
{
	CHECK_EQ(sys_pipe2(U(p), flags), 0);
}

static void pipe_close(void)
{
	io_close(p[0]);
	io_close(p[1]);
	CHECK_EQ(io_pages, 0);
}

static void pipe_limits_and_errors(void)
{
	static char buf[70000];
	struct file *f;

	pipe_open(NONBLOCK);
	CHECK_EQ(io_read(p[0], buf, 10), -EAGAIN);
	CHECK_EQ(io_write(p[1], buf, sizeof(buf)), 65536);
	CHECK_EQ(io_write(p[1], buf, 1), -EAGAIN);
	CHECK_EQ(io_read(p[0], buf, 4095), 4095);
	CHECK_EQ(io_write(p[1], buf, 4096), -EAGAIN); /* atomic or not at all */
	CHECK_EQ(io_write(p[1], buf, 4097), 4095);
	f = fd_get(p[1]);
	CHECK_EQ(pipe_get_size(f), 65536);
	CHECK_EQ(pipe_set_size(f, 4096), -EBUSY);
	CHECK_EQ(pipe_set_size(f, 70000), 131072);
	CHECK_EQ(io_write(p[1], buf, 65536), 65536);
	file_put(f);
	io_close(p[0]);
	CHECK_EQ(io_write(p[1], buf, 1), -EPIPE);
	CHECK_EQ(io_sigpipes, 1);
	io_close(p[1]);
	CHECK_EQ(io_pages, 0);
	pipe_open(0);
	CHECK_EQ(io_write(p[1], "ab", 2), 2);
	io_close(p[1]);
	CHECK_EQ(io_read(p[0], buf, 10), 2);
	CHECK_EQ(io_read(p[0], buf, 10), 0);
	io_close(p[0]);
}

#define WORKERS 4
#define RECORDS 20000
struct record { int writer, serial; char fill[24]; };
static _Atomic int records_seen[WORKERS];

static void record_writer(void *arg)
{
	struct record r = { .writer = (int)(intptr_t)arg };

	for (r.serial = 0; r.serial < RECORDS; r.serial++)
		CHECK_EQ(io_write(p[1], &r, sizeof(r)), sizeof(r));
}

static void record_reader(void *arg)
{
	struct record r;

	for (;;) {
		ssize_t n = io_read(p[0], &r, sizeof(r));

		if (n == 0)
			return;
		CHECK_EQ(n, sizeof(r));
		atomic_fetch_add(&records_seen[r.writer], 1);
	}
}

static void pipe_many_readers_and_writers(void)
{
	struct io_thread *w[WORKERS], *r[WORKERS];

	pipe_open(0);
	for (intptr_t i = 0; i < WORKERS; i++) {
		r[i] = io_thread(record_reader, NULL);
		w[i] = io_thread(record_writer, (void *)i);
	}
	for (int i = 0; i < WORKERS; i++)
		io_join(w[i]);
	io_close(p[1]);
	for (int i = 0; i < WORKERS; i++)
		io_join(r[i]);
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(records_seen[i], RECORDS);
	io_close(p[0]);
	CHECK_EQ(io_pages, 0);
}

static ssize_t blocked_result;
static void blocked_read(void *arg)
{
	char c;

	blocked_result = io_read(p[0], &c, 1);
}
static void blocked_write(void *arg)
{
	static char buf[70000];

	blocked_result = io_write(p[1], buf, sizeof(buf));
}

static void pipe_interrupted(void)
{
	struct io_thread *t;

	pipe_open(0);
	t = io_thread(blocked_read, NULL);
	io_wait_asleep(t);
	io_interrupt(t, true);
	io_join(t);
	CHECK_EQ(blocked_result, -ERESTARTSYS);
	t = io_thread(blocked_write, NULL);
	io_wait_asleep(t);
	io_interrupt(t, true);
	io_join(t);
	CHECK_EQ(blocked_result, 65536);
	t = io_thread(blocked_write, NULL);
	io_wait_asleep(t);
	io_close(p[0]);
	io_join(t);
	CHECK_EQ(blocked_result, -EPIPE);
	io_close(p[1]);
}

/* --- eventfd ------------------------------------------------------------------------------------------- */

static int ev;
static _Atomic long tokens;

static void token_taker(void *arg)
{
	uint64_t v;

	for (int i = 0; i < RECORDS; i++) {
		CHECK_EQ(io_read(ev, &v, 8), 8);
		atomic_fetch_add(&tokens, v);
	}
}

static void eventfd_semaphore(void)
{
	struct io_thread *t[WORKERS];
	uint64_t v = 5;
	long given = 0;

	ev = sys_eventfd2(0, 1);
	for (int i = 0; i < WORKERS; i++)
		t[i] = io_thread(token_taker, NULL);
	while (given < WORKERS * RECORDS) {
		CHECK_EQ(io_write(ev, &v, 8), 8);
		given += v;
	}
	for (int i = 0; i < WORKERS; i++)
		io_join(t[i]);
	CHECK_EQ(tokens, WORKERS * RECORDS);
	io_close(ev);
}

static void eventfd_overflow(void)
{
	uint64_t v = UINT64_MAX - 1;
	struct pollfd_ pfd = { .events = 5 };

	pfd.fd = ev = sys_eventfd2(1, NONBLOCK);
	CHECK_EQ(io_write(ev, &v, 8), -EAGAIN);
	v--;
	CHECK_EQ(io_write(ev, &v, 8), 8);
	CHECK_EQ(sys_poll(U(&pfd), 1, 0), 1);
	CHECK_EQ(pfd.revents, 1);
	v = UINT64_MAX;
	CHECK_EQ(io_write(ev, &v, 8), -EINVAL);
	CHECK_EQ(io_read(ev, &v, 7), -EINVAL);
	CHECK_EQ(io_read(ev, &v, 8), 8);
	CHECK_EQ(v, UINT64_MAX - 1);
	CHECK_EQ(sys_poll(U(&pfd), 1, 0), 1);
	CHECK_EQ(pfd.revents, 4);
	io_close(ev);
}

/* --- poll, select ----------------------------------------------------------------------------------------- */

static void poll_writer(void *arg)
{
	io_sleep_ms(20);
	io_write(p[1], "x", 1);
}

static void poll_waits(void)
{
	struct pollfd_ fds[20];
	struct io_thread *t;
	uint64_t start;

	pipe_open(0);
	for (int i = 0; i < 20; i++)
		fds[i] = (struct pollfd_){ .fd = i == 7 ? -1 : p[0], .events = 1 };
	start = clock_monotonic_ns();
	CHECK_EQ(sys_poll(U(fds), 20, 30), 0);
	CHECK(clock_monotonic_ns() - start >= 30000000);
	t = io_thread(poll_writer, NULL);
	CHECK_EQ(sys_poll(U(fds), 20, -1), 19);
	CHECK_EQ(fds[0].revents, 1);
	CHECK_EQ(fds[7].revents, 0);
	io_join(t);
	fds[3].fd = 999;
	CHECK_EQ(sys_poll(U(fds), 20, -1), 19);
	CHECK_EQ(fds[3].revents, 0x20);
	CHECK_EQ(sys_poll(U(fds), 100000, -1), -EINVAL);
	io_close(p[1]);
	CHECK_EQ(sys_poll(U(fds), 1, -1), 1);
	CHECK_EQ(fds[0].revents, 0x11);
	io_close(p[0]);
}

static void select_translates(void)
{
	unsigned long r[16] = { 0 }, w[16] = { 0 };
	struct { long sec, usec; } tv = { 0, 20000 };

	pipe_open(0);
	r[0] = w[0] = 1ul << p[0] | 1ul << p[1];
	CHECK_EQ(sys_select(p[1] + 1, U(r), U(w), 0, 0), 1);
	CHECK_EQ(r[0], 0);
	CHECK_EQ(w[0], 1ul << p[1]);
	r[0] = 1ul << p[0];
	CHECK_EQ(sys_select(p[1] + 1, U(r), 0, 0, U(&tv)), 0);
	CHECK_EQ(tv.sec + tv.usec, 0);
	r[0] = 1ul << 60;
	CHECK_EQ(sys_select(61, U(r), 0, 0, U(&tv)), -EBADF);
	pipe_close();
}

/* --- epoll -------------------------------------------------------------------------------------------------- */

static int ep;

static long ep_ctl(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = { .events = events, .data = data };

	return sys_epoll_ctl(ep, op, fd, U(&e));
}

static int ep_wait(struct epoll_event *e, int max, int ms) { return sys_epoll_wait(ep, U(e), max, ms); }

static void epoll_level_edge_oneshot(void)
{
	struct epoll_event e[4];
	char c;

	ep = sys_epoll_create1(0);
	pipe_open(0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 7), 0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 7), -EEXIST);
	CHECK_EQ(ep_wait(e, 4, 0), 0);
	io_write(p[1], "ab", 2);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(ep_wait(e, 4, 0), 1);
		CHECK_EQ(e[0].events, EPOLLIN);
		CHECK_EQ(e[0].data, 7);
	}
	io_read(p[0], &c, 1);
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	io_read(p[0], &c, 1);
	CHECK_EQ(ep_wait(e, 4, 0), 0);

	CHECK_EQ(ep_ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 8), 0);
	CHECK_EQ(ep_wait(e, 4, 0), 0);
	io_write(p[1], "a", 1);
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	CHECK_EQ(ep_wait(e, 4, 0), 0);
	io_write(p[1], "a", 1); /* news although it was readable before */
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	CHECK_EQ(ep_wait(e, 4, 0), 0);

	CHECK_EQ(ep_ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 9), 0);
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	io_write(p[1], "a", 1);
	CHECK_EQ(ep_wait(e, 4, 0), 0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 9), 0);
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	CHECK_EQ(ep_ctl(EPOLL_CTL_DEL, p[0], 0, 0), 0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_DEL, p[0], 0, 0), -ENOENT);
	pipe_close();
	io_close(ep);
}

static void epoll_closed_files_leave(void)
{
	struct epoll_event e[4];
	long blocks = io_blocks;

	ep = sys_epoll_create1(0);
	pipe_open(0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1), 0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_ADD, p[1], EPOLLOUT, 2), 0);
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	CHECK_EQ(e[0].data, 2);
	io_close(p[1]);
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	CHECK_EQ(e[0].data, 1);
	CHECK_EQ(e[0].events, EPOLLHUP);
	io_close(p[0]);
	CHECK_EQ(ep_wait(e, 4, 0), 0);
	/* The set goes first. */
	pipe_open(0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1), 0);
	io_close(ep);
	io_write(p[1], "x", 1);
	pipe_close();
	CHECK_EQ(io_blocks, blocks);
}

static void epoll_nests(void)
{
	struct epoll_event e[4];
	int inner, chain[7];

	inner = sys_epoll_create1(0);
	ep = sys_epoll_create1(0);
	pipe_open(0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLET, 5), 0);
	CHECK_EQ(ep_ctl(EPOLL_CTL_ADD, ep, EPOLLIN, 5), -EINVAL);
	e[0] = (struct epoll_event){ .events = EPOLLIN };
	CHECK_EQ(sys_epoll_ctl(inner, EPOLL_CTL_ADD, ep, U(e)), -ELOOP);
	CHECK_EQ(sys_epoll_ctl(inner, EPOLL_CTL_ADD, p[0], U(e)), 0);
	CHECK_EQ(ep_wait(e, 4, 0), 0);
	io_write(p[1], "x", 1);
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	CHECK_EQ(e[0].data, 5);
	CHECK_EQ(ep_wait(e, 4, 0), 0);
	io_read(p[0], e, 1);
	io_write(p[1], "x", 1);
	CHECK_EQ(ep_wait(e, 4, 0), 1);
	io_close(inner);
	io_close(ep);
	pipe_close();

	e[0] = (struct epoll_event){ .events = EPOLLIN };
	for (int i = 0; i < 7; i++)
		chain[i] = sys_epoll_create1(0);
	for (int i = 1; i <= 5; i++)
		CHECK_EQ(sys_epoll_ctl(chain[i], EPOLL_CTL_ADD, chain[i - 1], U(e)), i < 5 ? 0 : -ELOOP);
	for (int i = 0; i < 7; i++)
		io_close(chain[i]);
	for (int i = 0; i < 7; i++)
		chain[i] = sys_epoll_create1(0);
	for (int i = 0; i <= 4; i++)
		CHECK_EQ(sys_epoll_ctl(chain[i], EPOLL_CTL_ADD, chain[i + 1], U(e)), i < 4 ? 0 : -ELOOP);
	for (int i = 0; i < 7; i++)
		io_close(chain[i]);
}

#define PIPES 64
#define MESSAGES 100000
static int pipes[PIPES][2];
static _Atomic int received;
static _Atomic bool stop;

static void epoll_worker(void *arg)
{
	struct epoll_event e[4];
	char buf[64];

	while (!stop) {
		int n = ep_wait(e, 4, 100);

		for (int i = 0; i < n; i++) {
			int k = e[i].data;
			ssize_t got = io_read(pipes[k][0], buf, sizeof(buf));

			if (got > 0)
				atomic_fetch_add(&received, got);
			if (arg) /* one-shot */
				ep_ctl(EPOLL_CTL_MOD, pipes[k][0], EPOLLIN | EPOLLONESHOT, k);
		}
	}
}

static void pipe_feeder(void *arg)
{
	unsigned seed = (uintptr_t)arg;

	for (int i = 0; i < MESSAGES / WORKERS; i++)
		CHECK_EQ(io_write(pipes[rand_r(&seed) % PIPES][1], "m", 1), 1);
}

static void epoll_many(uint32_t mode)
{
	struct io_thread *w[WORKERS], *f[WORKERS];

	ep = sys_epoll_create1(0);
	received = 0;
	stop = false;
	for (int i = 0; i < PIPES; i++) {
		CHECK_EQ(sys_pipe2(U(pipes[i]), 0), 0);
		io_flags(pipes[i][0], NONBLOCK);
		CHECK_EQ(ep_ctl(EPOLL_CTL_ADD, pipes[i][0], EPOLLIN | mode, i), 0);
	}
	for (intptr_t i = 0; i < WORKERS; i++) {
		w[i] = io_thread(epoll_worker, (void *)(intptr_t)(mode != 0));
		f[i] = io_thread(pipe_feeder, (void *)(i + 1));
	}
	for (int i = 0; i < WORKERS; i++)
		io_join(f[i]);
	for (int i = 0; i < 3000 && received < MESSAGES; i++)
		io_sleep_ms(10);
	CHECK_EQ(received, MESSAGES);
	stop = true;
	for (int i = 0; i < WORKERS; i++)
		io_join(w[i]);
	for (int i = 0; i < PIPES; i++) {
		io_close(pipes[i][0]);
		io_close(pipes[i][1]);
	}
	io_close(ep);
}

static void epoll_many_level(void) { epoll_many(0); }
static void epoll_many_oneshot(void) { epoll_many(EPOLLONESHOT); }

/* Descriptors are closed while others wait for them and add them. */
static void churner(void *arg)
{
	unsigned seed = (uintptr_t)arg;

	for (int i = 0; i < 5000; i++) {
		int q[2];

		CHECK_EQ(sys_pipe2(U(q), 0), 0);
		ep_ctl(EPOLL_CTL_ADD, q[0], EPOLLIN, -1);
		io_write(q[1], "x", 1);
		if (rand_r(&seed) & 1)
			ep_ctl(EPOLL_CTL_DEL, q[0], 0, 0);
		io_close(q[rand_r(&seed) & 1 ? 0 : 1]);
		io_close(q[0]);
		io_close(q[1]);
	}
}

static void churn_waiter(void *arg)
{
	struct epoll_event e[8];

	while (!stop)
		ep_wait(e, 8, 1);
}

static void epoll_churn(void)
{
	struct io_thread *t[2], *w[2];
	long blocks = io_blocks;

	ep = sys_epoll_create1(0);
	stop = false;
	for (intptr_t i = 0; i < 2; i++) {
		w[i] = io_thread(churn_waiter, NULL);
		t[i] = io_thread(churner, (void *)(i + 1));
	}
	for (int i = 0; i < 2; i++)
		io_join(t[i]);
	stop = true;
	for (int i = 0; i < 2; i++)
		io_join(w[i]);
	io_close(ep);
	CHECK_EQ(io_blocks, blocks);
	CHECK_EQ(io_pages, 0);
}

static void every_allocation_may_fail(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	long blocks = io_blocks;
	int refused = 0, added = 0;

	for (int n = 0; n < 12; n++) {
		int q[2];

		atomic_store(&io_fail_after, n);
		if (sys_pipe2(U(q), 0) == 0) {
			int set = sys_epoll_create1(0);

			if (set >= 0) {
				added += sys_epoll_ctl(set, EPOLL_CTL_ADD, q[0], U(&e)) == 0;
				io_close(set);
			}
			io_close(q[0]);
			io_close(q[1]);
		} else {
			refused++;
		}
		atomic_store(&io_fail_after, -1);
		CHECK_EQ(io_blocks, blocks);
	}
	CHECK(refused > 0 && added > 0);
}

int main(void)
{
	io_init();
	RUN(ring_matches_a_model);
	RUN(ring_survives_faults);
	RUN(pipe_limits_and_errors);
	RUN(pipe_many_readers_and_writers);
	RUN(pipe_interrupted);
	RUN(eventfd_semaphore);
	RUN(eventfd_overflow);
	RUN(poll_waits);
	RUN(select_translates);
	RUN(epoll_level_edge_oneshot);
	RUN(epoll_closed_files_leave);
	RUN(epoll_nests);
	RUN(epoll_many_level);
	RUN(epoll_many_oneshot);
	RUN(epoll_churn);
	RUN(every_allocation_may_fail);
	return 0;
}
