/*
 * tests/guest/tcp.c - TCP over loopback: ports and listeners that share them, buffers and windows, what timers do.
 */
#include "tcp.h"
#include "waits.h"
#include <sys/ioctl.h>

/* States, of which <netinet/tcp.h> has names, and an old struct tcp_info. */
enum { TCP_ESTABLISHED = 1, TCP_CLOSE_WAIT = 8, TCP_LISTEN = 10 };

static void tcp_info(int fd, struct tcp_info *info)
{
	socklen_t n = sizeof(*info);

	memset(info, 0, sizeof(*info));
	CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &n));
}

/* --- ports ----------------------------------------------------------------------------------------------------------- */

TEST(a_connection_to_the_same_place_from_the_same_port_is_refused)
{
	int l = listener(AF_INET, 16), a = stream(), b = stream(), port;

	set_option(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(b, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_here(a, 0);
	port = port_of(a);
	bind_here(b, port);
	CHECK_OK(connect_here(a, port_of(l)));
	CHECK_ERR(connect_here(b, port_of(l)), EADDRNOTAVAIL);
	close(a);
	close(b);
	close(l);
}

TEST(a_client_may_come_back_from_the_same_port)
{
	int l = listener(AF_INET, 16), port = 0;
	char c;

	/* The server ends the connection and waits for stragglers; the client has a new one to tell. */
	for (int i = 0; i < 5; i++) {
		int fd = stream(), s;

		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		bind_here(fd, port);
		port = port_of(fd);
		CHECK_OK(connect_here(fd, port_of(l)));
		s = CHECK_OK(accept(l, NULL, NULL));
		CHECK_EQ(write(s, "y", 1), 1);
		close(s);
		CHECK_EQ(read(fd, &c, 1), 1);
		CHECK_EQ(read(fd, &c, 1), 0);
		close(fd);
	}
	close(l);
}

/* --- listeners ------------------------------------------------------------------------------------------------------- */

static int sharing_listener(int port)
{
	int fd = stream();

	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	bind_here(fd, port);
	CHECK_OK(listen(fd, 300));
	return fd;
}

TEST(reuseport_spreads_connections_over_listeners)
{
	enum { LISTENERS = 4, CONNECTIONS = 200 };
	int l[LISTENERS], fd[CONNECTIONS], got[LISTENERS] = { 0 }, port, sum = 0;

	l[0] = sharing_listener(0);
	port = port_of(l[0]);
	for (int i = 1; i < LISTENERS; i++)
		l[i] = sharing_listener(port);
	for (int i = 0; i < CONNECTIONS; i++) {
		fd[i] = stream();
		CHECK_OK(connect_here(fd[i], port));
	}
	for (int i = 0; i < LISTENERS; i++) {
		int s;

		CHECK_OK(fcntl(l[i], F_SETFL, O_NONBLOCK));
		while ((s = accept(l[i], NULL, NULL)) >= 0) {
			got[i]++;
			close_reset(s);
		}
		CHECK_EQ(errno, EAGAIN);
		sum += got[i];
	}
	CHECK_EQ(sum, CONNECTIONS);
	for (int i = 0; i < LISTENERS; i++)
		CHECK_MSG(got[i] > CONNECTIONS / LISTENERS / 4, "listener %d got %d of %d", i, got[i], CONNECTIONS);
	for (int i = 0; i < CONNECTIONS; i++)
		close(fd[i]);
	/* One goes: the others get all. */
	close(l[0]);
	close(l[2]);
	for (int i = 0; i < 20; i++) {
		fd[i] = stream();
		CHECK_OK(connect_here(fd[i], port));
		close_reset(fd[i]);
	}
	close(l[1]);
	close(l[3]);
	fd[0] = stream();
	CHECK_ERR(connect_here(fd[0], port), ECONNREFUSED);
	close(fd[0]);
}

TEST(reuseaddr_lets_two_bind_and_one_listen)
{
	int a = stream(), b = stream();

	set_option(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(b, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_here(a, 0);
	bind_here(b, port_of(a));
	CHECK_OK(listen(a, 1));
	CHECK_ERR(listen(b, 1), EADDRINUSE);
	close(a);
	CHECK_OK(listen(b, 1));
	close(b);
}

TEST(who_finds_the_queue_full_gets_in_later)
{
	int l = listener(AF_INET, 1), fd[3], s, e = -1;
	struct pollfd p;

	for (int i = 0; i < 3; i++) {
		fd[i] = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		CHECK_ERR(connect_here(fd[i], port_of(l)), EINPROGRESS);
	}
	p = (struct pollfd){ .fd = fd[2], .events = POLLOUT };
	CHECK_EQ(poll(&p, 1, 200), 0);
	s = CHECK_OK(accept(l, NULL, NULL));
	close(s);
	CHECK_EQ(poll(&p, 1, 8000), 1);
	e = get_option(fd[2], SOL_SOCKET, SO_ERROR);
	CHECK_EQ(e, 0);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(l);
}

TEST(a_listener_that_goes_takes_its_queue_along)
{
	int l = listener(AF_INET, 16), fd = stream();
	char c;

	CHECK_OK(connect_here(fd, port_of(l)));
	close(l);
	CHECK_ERR(read(fd, &c, 1), ECONNRESET);
	close(fd);
}

/* --- buffers and windows ------------------------------------------------------------------------------------------------ */

/* Sends without waiting until nothing more is taken. Bytes. */
static size_t fill(int fd)
{
	static const char bytes[4096];
	size_t sum = 0;
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	/* What the peer's kernel has taken makes room again. */
	do {
		ssize_t n;

		while ((n = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
			sum += n;
		CHECK_EQ(errno, EAGAIN);
	} while (poll(&p, 1, 50) > 0);
	return sum;
}

TEST(sizes_of_buffers_are_doubled)
{
	int fd = stream();

	set_option(fd, SOL_SOCKET, SO_RCVBUF, 10000);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVBUF), 20000);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 10000);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_SNDBUF), 20000);
	set_option(fd, SOL_SOCKET, SO_RCVBUF, 1);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVBUF), 2304);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 1);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_SNDBUF), 4608);
	close(fd);
}

TEST(a_small_receive_buffer_stops_the_sender)
{
	int l = listener(AF_INET, 16), small[2], large[2];
	size_t few, many;

	pair_at(l, large);
	set_option(l, SOL_SOCKET, SO_RCVBUF, 8192);
	pair_at(l, small);
	CHECK_EQ(get_option(small[1], SOL_SOCKET, SO_RCVBUF), 16384);
	set_option(small[0], SOL_SOCKET, SO_SNDBUF, 8192);
	set_option(large[0], SOL_SOCKET, SO_SNDBUF, 8192);
	few = fill(small[0]);
	many = fill(large[0]);
	CHECK_MSG(few < 100000, "%zu bytes were taken", few);
	CHECK_MSG(few < many, "%zu with a small buffer, %zu with a large one", few, many);
	/* And it goes on when there is room, to the last byte. */
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(drain(small[1], few), few);
		few = fill(small[0]);
		CHECK(few > 0);
	}
	close(small[0]);
	CHECK_EQ(drain(small[1], few), few);
	close(small[1]);
	CHECK_EQ(drain(large[1], many), many);
	close(large[0]);
	close(large[1]);
	close(l);
}

TEST(a_receive_buffer_can_be_changed_in_a_connection)
{
	int fd[2];
	size_t sent;

	pair(AF_INET, fd);
	set_option(fd[0], SOL_SOCKET, SO_SNDBUF, 8192);
	set_option(fd[1], SOL_SOCKET, SO_RCVBUF, 16384);
	for (int i = 0; i < 5; i++) {
		sent = fill(fd[0]);
		CHECK_EQ(drain(fd[1], sent), sent);
	}
	set_option(fd[1], SOL_SOCKET, SO_RCVBUF, 200000);
	for (int i = 0; i < 5; i++) {
		sent = fill(fd[0]);
		CHECK_EQ(drain(fd[1], sent), sent);
	}
	close(fd[0]);
	close(fd[1]);
}

TEST(a_window_that_was_shut_opens_again)
{
	int fd[2];
	int64_t start;
	size_t sent;

	pair(AF_INET, fd);
	sent = fill(fd[0]);
	sleep_ms(1500);
	start = now_ns();
	CHECK_EQ(drain(fd[1], sent), sent);
	CHECK_MSG(now_ns() - start < 3000 * MS, "took %lld ms", (long long)((now_ns() - start) / MS));
	CHECK_EQ(write(fd[0], "z", 1), 1);
	CHECK_EQ(drain(fd[1], 1), 1);
	close(fd[0]);
	close(fd[1]);
}

/* The window is announced in units of 16 bytes: 15 that are left look like none, and a probe of one byte is taken. It is the only one that waits. */
TEST(a_last_byte_goes_by_a_probe_of_the_window)
{
	static char bytes[65521];
	int p[2];
	ssize_t n = 0;

	pair(AF_INET, p);
	CHECK_EQ(write(p[0], bytes, sizeof(bytes) - 1), sizeof(bytes) - 1);
	usleep(200000);
	CHECK_EQ(write(p[0], bytes, 1), 1);
	sleep(2);
	while (n < (ssize_t)sizeof(bytes))
		n += CHECK_OK(read(p[1], bytes, sizeof(bytes)));
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(read(p[0], bytes, 1), 1);
	close(p[0]);
	close(p[1]);
}

static long call_read_nowhere(int fd) { return syscall(SYS_read, fd, BAD_PTR, 1); }

/* Enough for both, in one segment. */
TEST(a_reader_without_a_place_for_the_bytes_leaves_them_to_the_next)
{
	struct blocked bad = { .call = call_read_nowhere }, good = { .call = call_read };
	int l = listener(AF_INET, 1), fd[2];

	pair_at(l, fd);
	bad.fd = good.fd = fd[1];
	blocked_start(&bad);
	blocked_start(&good);
	CHECK_EQ(write(fd[0], "ab", 2), 2);
	blocked_end(&bad, -1, EFAULT);
	blocked_end(&good, 1, 0);
	close(fd[0]);
	close(fd[1]);
	close(l);
}

TEST(corked_bytes_go_by_themselves)
{
	int fd[2];
	struct pollfd p;
	int64_t start, took;
	char buf[16];

	pair(AF_INET, fd);
	set_option(fd[0], IPPROTO_TCP, TCP_CORK, 1);
	start = now_ns();
	CHECK_EQ(write(fd[0], "held", 4), 4);
	p = (struct pollfd){ .fd = fd[1], .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 5000), 1);
	/* Linux: after 200 ms. */
	took = now_ns() - start;
	CHECK_MSG(took > 90 * MS, "they went after %lld ms", (long long)(took / MS));
	CHECK_EQ(read(fd[1], buf, sizeof(buf)), 4);
	/* Without the cork they go at once: not each time after the 200 ms, however busy the machine is. */
	took = INT64_MAX;
	for (int tries = 0; tries < 20 && took >= 100 * MS; tries++) {
		set_option(fd[0], IPPROTO_TCP, TCP_CORK, 1);
		start = now_ns();
		CHECK_EQ(write(fd[0], "more", 4), 4);
		set_option(fd[0], IPPROTO_TCP, TCP_CORK, 0);
		CHECK_EQ(poll(&p, 1, 5000), 1);
		took = now_ns() - start;
		CHECK_EQ(read(fd[1], buf, sizeof(buf)), 4);
	}
	CHECK_MSG(took < 100 * MS, "they went after %lld ms", (long long)(took / MS));
	close(fd[0]);
	close(fd[1]);
}

struct reading {
	int fd;
	size_t bytes;
	unsigned stalls; /* reads that waited for 150 ms */
};

static void *reads_on(void *arg)
{
	struct reading *r = arg;
	char buf[65536];

	for (size_t left = r->bytes; left;) {
		int64_t start = now_ns();
		ssize_t n = read(r->fd, buf, left < sizeof(buf) ? left : sizeof(buf));

		if (n <= 0)
			break;
		left -= (size_t)n;
		r->stalls += now_ns() - start > 150 * MS;
	}
	return NULL;
}

/* Only what does not fill a segment is held back. A sender that has to wait for room would else wait for the 200 ms, too, each time. */
TEST_SLOW(corked_bytes_that_fill_segments_do_not_wait, 60)
{
	struct reading r = { .bytes = 8 << 20 };
	static char piece[100000];
	pthread_t t;
	int fd[2];

	for (int corked = 0; corked < 2; corked++) {
		pair(AF_INET, fd);
		set_option(fd[0], IPPROTO_TCP, TCP_CORK, corked);
		r.fd = fd[1];
		r.stalls = 0;
		t = thread_start(reads_on, &r);
		for (size_t left = r.bytes; left;) {
			size_t n = left < sizeof(piece) ? left : sizeof(piece);

			CHECK_EQ(CHECK_OK(send(fd[0], piece, n, corked ? 0 : MSG_MORE)), (ssize_t)n);
			left -= n;
		}
		pthread_join(t, NULL);
		CHECK_MSG(r.stalls < 5, "the reader waited %u times", r.stalls);
		close(fd[0]);
		close(fd[1]);
	}
}

/* The 200 ms are those of the first byte. */
TEST(bytes_that_are_held_back_go_though_others_follow)
{
	int fd[2], n = 0, sent = 0;

	pair(AF_INET, fd);
	while (sent < 20 && n == 0) {
		CHECK_EQ(CHECK_OK(send(fd[0], "x", 1, MSG_MORE)), 1);
		sent++;
		usleep(100000);
		CHECK_OK(ioctl(fd[1], FIONREAD, &n));
	}
	CHECK_MSG(sent <= 10, "nothing came before %d had been sent", sent);
	close(fd[0]);
	close(fd[1]);
}

/* --- timers ------------------------------------------------------------------------------------------------------------------ */

TEST(keepalive_asks_an_idle_peer)
{
	struct tcp_info info;
	int fd[2];

	pair(AF_INET, fd);
	set_option(fd[0], IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set_option(fd[0], IPPROTO_TCP, TCP_KEEPINTVL, 1);
	set_option(fd[0], SOL_SOCKET, SO_KEEPALIVE, 1);
	/* It answers the first question, and the next. */
	for (int64_t after = now_ns() + 500 * MS, i = 0; i < 2; i++, after += 1000 * MS) {
		CHECK(EVENTUALLY((tcp_info(fd[0], &info), now_ns() - info.tcpi_last_ack_recv * MS > after)));
		CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
	}
	tcp_info(fd[1], &info);
	CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
	CHECK_EQ(write(fd[0], "x", 1), 1);
	CHECK_EQ(drain(fd[1], 1), 1);
	close(fd[0]);
	close(fd[1]);
}

static int64_t close_lingering(int fd, int seconds)
{
	struct linger l = { .l_onoff = 1, .l_linger = seconds };
	int64_t start;

	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	start = now_ns();
	close(fd);
	return now_ns() - start;
}

TEST(linger_waits_for_the_peers_acknowledgement)
{
	int fd[2];
	int64_t took;

	pair(AF_INET, fd);
	CHECK_EQ(write(fd[0], "small", 5), 5);
	took = close_lingering(fd[0], 5);
	CHECK_MSG(took < 2000 * MS, "took %lld ms", (long long)(took / MS));
	CHECK_EQ(drain(fd[1], 5), 5);
	close(fd[1]);
	/* Nobody reads: one small write more, and close waits for its time. */
	pair(AF_INET, fd);
	fill(fd[0]);
	send(fd[0], "x", 1, MSG_DONTWAIT);
	took = close_lingering(fd[0], 1);
	CHECK_MSG(took >= 900 * MS && took < 4000 * MS, "took %lld ms", (long long)(took / MS));
	close(fd[1]);
}

TEST(options_of_tcp_read_back)
{
	int fd = stream();

	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 12345);
	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_QUICKACK), 1);
	set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_QUICKACK), 0);
	set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_QUICKACK), 1);
	close(fd);
}

TEST(tcp_info_tells_of_the_connection)
{
	int l = listener(AF_INET, 7), fd[2];
	struct tcp_info info;

	tcp_info(l, &info);
	CHECK_EQ(info.tcpi_state, TCP_LISTEN);
	CHECK_EQ(info.tcpi_unacked, 0);
	CHECK_EQ(info.tcpi_sacked, 7);
	pair_at(l, fd);
	CHECK_EQ(write(fd[0], "abcdef", 6), 6);
	CHECK_EQ(drain(fd[1], 6), 6);
	CHECK(EVENTUALLY((tcp_info(fd[0], &info), info.tcpi_unacked == 0)));
	CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
	CHECK(info.tcpi_snd_mss >= 536);
	CHECK(info.tcpi_snd_cwnd >= 1);
	CHECK(info.tcpi_rto >= 200000);
	/* Linux counts the SYN. */
	CHECK(info.tcpi_bytes_acked >= 6 && info.tcpi_bytes_acked <= 7);
	tcp_info(fd[1], &info);
	CHECK_EQ(info.tcpi_bytes_received, 6);
	close(fd[0]);
	CHECK(EVENTUALLY((tcp_info(fd[1], &info), info.tcpi_state == TCP_CLOSE_WAIT)));
	close(fd[1]);
	close(l);
}

TEST_MAIN("tcp")
