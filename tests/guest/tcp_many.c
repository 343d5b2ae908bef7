/*
 * tests/guest/tcp_many.c - many connections over loopback: each has its own bytes, idle ones cost nothing, those of every kind at once, and memory
 * that is too small for all of them.
 *
 * TCP_CONNECTIONS in the environment sets how many idle connections there are where it matters (default 1000).
 */
#include "tcp.h"
#include <sys/resource.h>

static void descriptors_for(int n)
{
	struct rlimit r;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &r));
	if (r.rlim_max != RLIM_INFINITY && r.rlim_max < (rlim_t)n)
		FAIL("only %llu descriptors", (unsigned long long)r.rlim_max);
	if (r.rlim_cur < (rlim_t)n) {
		r.rlim_cur = n;
		CHECK_OK(setrlimit(RLIMIT_NOFILE, &r));
	}
}

/* --- many connections --------------------------------------------------------------------------------------------- */

static int connections(void)
{
	const char *n = getenv("TCP_CONNECTIONS");

	return n ? atoi(n) : 1000;
}

struct crowd {
	int n, l;
	int (*fd)[2];
};

static void crowd_make(struct crowd *c, int n)
{
	descriptors_for(2 * n + 64);
	c->n = n;
	c->l = listener(AF_INET, 128);
	c->fd = calloc(n, sizeof(*c->fd));
	for (int i = 0; i < n; i++)
		pair_at(c->l, c->fd[i]);
}

static void crowd_end(struct crowd *c)
{
	for (int i = 0; i < c->n; i++) {
		close_reset(c->fd[i][0]);
		close(c->fd[i][1]);
	}
	close(c->l);
	free(c->fd);
}

/* There and back again, n times. Nanoseconds of the fastest tenth, for each. */
static int64_t round_trips(const int fd[2], int n)
{
	int64_t best = INT64_MAX;
	char c = 'x';

	for (int part = 0; part < 10; part++) {
		int64_t start = now_ns(), took;

		for (int i = 0; i < n / 10; i++) {
			CHECK_EQ(write(fd[0], &c, 1), 1);
			CHECK_EQ(read(fd[1], &c, 1), 1);
			CHECK_EQ(write(fd[1], &c, 1), 1);
			CHECK_EQ(read(fd[0], &c, 1), 1);
		}
		took = (now_ns() - start) / (n / 10);
		best = took < best ? took : best;
	}
	return best;
}

TEST_SLOW(many_connections_carry_their_own_bytes, 60)
{
	struct crowd c;

	crowd_make(&c, connections());
	for (int i = 0; i < c.n; i++)
		CHECK_EQ(write(c.fd[i][i % 2], &i, sizeof(i)), sizeof(i));
	for (int i = c.n - 1; i >= 0; i--) {
		int got = -1;

		CHECK_EQ(read(c.fd[i][1 - i % 2], &got, sizeof(got)), sizeof(got));
		CHECK_EQ(got, i);
	}
	/* They end one by one, and the others stay. */
	for (int i = 0; i < c.n; i += 2) {
		char b;

		close(c.fd[i][0]);
		CHECK_EQ(read(c.fd[i][1], &b, 1), 0);
		close(c.fd[i][1]);
		c.fd[i][0] = c.fd[i][1] = -1;
	}
	for (int i = 1; i < c.n; i += 2) {
		int got = -1;

		CHECK_EQ(write(c.fd[i][0], &i, sizeof(i)), sizeof(i));
		CHECK_EQ(read(c.fd[i][1], &got, sizeof(got)), sizeof(got));
		CHECK_EQ(got, i);
	}
	crowd_end(&c);
}

static _Atomic bool snapshots_over;

/* Connections that are not of the crowd, until it is told to stop. */
static void *others_come_and_go(void *arg)
{
	int l = listener(AF_INET, 8), fd[2];

	while (!snapshots_over) {
		pair_at(l, fd);
		close_reset(fd[0]);
		close(fd[1]);
	}
	close(l);
	return arg;
}

/* How often the table shows each connection to that port, by the port that it comes from. */
static void table_count(int to, unsigned char shown[65536])
{
	FILE *f = fopen("/proc/net/tcp", "re");
	char line[512];

	CHECK(f != NULL);
	memset(shown, 0, 65536);
	while (fgets(line, sizeof(line), f)) {
		unsigned local, remote;

		if (sscanf(line, " %*u: %*8[0-9A-F]:%4X %*8[0-9A-F]:%4X", &local, &remote) == 2 && (int)remote == to)
			shown[local]++;
	}
	fclose(f);
}

TEST_SLOW(the_table_shows_each_connection_once_while_others_come_and_go, 60)
{
	static unsigned char shown[65536];
	struct crowd c;
	pthread_t other;

	crowd_make(&c, connections());
	snapshots_over = false;
	other = thread_start(others_come_and_go, NULL);
	for (int k = 0; k < 5; k++) {
		int port = 0;

		/* Linux goes on where it stopped by counting in a bucket, to which others come meanwhile: in some tables it shows a connection twice. */
		for (int tries = 0; tries < 5 && (tries == 0 || port); tries++) {
			table_count(port_of(c.l), shown);
			port = 0;
			for (int i = 0; i < c.n && !port; i++)
				port = shown[port_of(c.fd[i][0])] == 1 ? 0 : port_of(c.fd[i][0]);
		}
		CHECK_MSG(!port, "port %d is shown %d times", port, shown[port]);
	}
	snapshots_over = true;
	thread_join(other, NULL);
	crowd_end(&c);
}

TEST_SLOW(an_active_connection_does_not_pay_for_idle_ones, 120)
{
	struct crowd few, many;
	int64_t alone, among;

	crowd_make(&few, 10);
	alone = round_trips(few.fd[0], 500);
	crowd_make(&many, connections());
	among = round_trips(few.fd[0], 500);
	/* The machine may have been busy with something else; with idle connections that cost, it never gets better. */
	for (int i = 0; i < 8 && among >= 2 * alone; i++) {
		int64_t again = round_trips(few.fd[0], 500);

		among = again < among ? again : among;
	}
	if (getenv("TCP_CONNECTIONS"))
		fprintf(stderr, "a round trip beside 9 connections: %lld ns, beside %d: %lld ns\n", (long long)alone, connections() + 9,
			(long long)among);
	CHECK_MSG(among < 2 * alone, "a round trip took %lld ns beside 9 connections, %lld ns beside %d", (long long)alone,
		  (long long)among, connections() + 9);
	crowd_end(&many);
	crowd_end(&few);
}

/* --- all at once ----------------------------------------------------------------------------------------------------------- */

enum { STORM_THREADS = 6 };
static int64_t storm_end;
static int storm_listener;
static _Atomic int storm_connections, storm_wrong;

static unsigned storm_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(*state >> 33);
}

static unsigned char storm_byte(unsigned seed, size_t at) { return (unsigned char)(seed + at * 7 + (at >> 8)); }

/* Sends what it is told the length of, and ends in one of several ways; half of the readers are slow, or have small buffers. */
static void *storm_client(void *arg)
{
	uint64_t r = (uintptr_t)arg;

	while (now_ns() < storm_end) {
		static const int sizes[] = { 0, 1, 100, 1460, 5000, 30000, 200000 };
		struct linger lingers = { .l_onoff = 1, .l_linger = storm_random(&r) % 3 };
		unsigned seed = storm_random(&r);
		struct { unsigned seed, bytes; } head = { seed, (unsigned)sizes[storm_random(&r) % 7] };
		struct sockaddr_in to;
		unsigned char buf[20000];
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		size_t done = 0;
		char end;

		if (storm_random(&r) % 3 == 0)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 20000 }, sizeof(int));
		if (storm_random(&r) % 3 == 0)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		if (storm_random(&r) % 3 == 0)
			setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
		to = at(port_of(storm_listener));
		if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
			close(fd);
			continue;
		}
		if (write(fd, &head, sizeof(head)) != sizeof(head))
			atomic_fetch_add(&storm_wrong, 1);
		while (done < head.bytes) {
			size_t n = 1 + storm_random(&r) % sizeof(buf);
			ssize_t w;

			n = n < head.bytes - done ? n : head.bytes - done;
			for (size_t i = 0; i < n; i++)
				buf[i] = storm_byte(seed, done + i);
			w = send(fd, buf, n, MSG_NOSIGNAL | (storm_random(&r) % 4 ? 0 : MSG_MORE));
			if (w <= 0)
				break;
			done += w;
		}
		/* The peer says that it has got all, or does not get a word more. */
		switch (storm_random(&r) % 4) {
		case 0: shutdown(fd, SHUT_WR); /* fall through */
		case 1:
			if (done != head.bytes || read(fd, &end, 1) != 1 || end != 'k')
				atomic_fetch_add(&storm_wrong, 1);
			break;
		case 2: setsockopt(fd, SOL_SOCKET, SO_LINGER, &lingers, sizeof(lingers)); break;
		}
		close(fd);
		atomic_fetch_add(&storm_connections, 1);
	}
	return NULL;
}

static void *storm_server(void *arg)
{
	uint64_t r = (uintptr_t)arg;
	int fd;

	while ((fd = accept(storm_listener, NULL, NULL)) >= 0) {
		struct { unsigned seed, bytes; } head = { 0, 0 };
		unsigned char buf[30000];
		size_t done = 0;
		ssize_t n = recv(fd, &head, sizeof(head), MSG_WAITALL);

		if (storm_random(&r) % 3 == 0)
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 20000 }, sizeof(int));
		while (n > 0 && done < head.bytes) {
			if (storm_random(&r) % 50 == 0)
				sleep_ms(5);
			n = read(fd, buf, 1 + storm_random(&r) % sizeof(buf));
			for (ssize_t i = 0; i < n; i++)
				if (buf[i] != storm_byte(head.seed, done + i))
					atomic_fetch_add(&storm_wrong, 1);
			done += n > 0 ? n : 0;
		}
		send(fd, "k", 1, MSG_NOSIGNAL);
		if (storm_random(&r) % 4 == 0)
			close_reset(fd);
		else
			close(fd);
	}
	return NULL;
}

/* TCP_STORM_SECONDS in the environment makes it longer. */
TEST_SLOW(connections_of_every_kind_at_once, 1000)
{
	const char *seconds = getenv("TCP_STORM_SECONDS");
	pthread_t client[STORM_THREADS], server[STORM_THREADS];

	storm_listener = listener(AF_INET, 64);
	storm_end = now_ns() + (seconds ? atoi(seconds) : 1) * 1000 * MS;
	for (uintptr_t i = 0; i < STORM_THREADS; i++) {
		CHECK_EQ(pthread_create(&server[i], NULL, storm_server, (void *)(i + 100)), 0);
		CHECK_EQ(pthread_create(&client[i], NULL, storm_client, (void *)(i + 1)), 0);
	}
	for (int i = 0; i < STORM_THREADS; i++)
		pthread_join(client[i], NULL);
	shutdown(storm_listener, SHUT_RDWR);
	for (int i = 0; i < STORM_THREADS; i++)
		pthread_join(server[i], NULL);
	close(storm_listener);
	CHECK_EQ(storm_wrong, 0);
	CHECK(storm_connections > 5);
	if (seconds)
		fprintf(stderr, "%d connections\n", storm_connections);
}

/* --- memory -------------------------------------------------------------------------------------------------------------------- */

/* A connection that has bytes in every queue when it ends. */
static void come_and_go(int l, int how)
{
	static char bytes[20000];
	int fd[2];

	pair_at(l, fd);
	CHECK(send(fd[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
	CHECK(send(fd[1], bytes, 100, MSG_DONTWAIT) > 0);
	if (how % 3 == 0)
		drain(fd[1], 10);
	if (how % 3 == 1)
		shutdown(fd[0], SHUT_WR);
	close_reset(fd[how % 2]);
	close_reset(fd[1 - how % 2]);
}

TEST_SLOW(memory_comes_back_after_many_connections, 60)
{
	int l = listener(AF_INET, 16);
	long before = 0, after;

	/* What is allocated once, and stays. */
	for (int i = 0; i < 200; i++)
		come_and_go(l, i);
	/* Until nothing comes back any more. */
	CHECK(EVENTUALLY((before = field("/proc/meminfo", "MemFree"), sleep_ms(50), field("/proc/meminfo", "MemFree") <= before)));
	for (int i = 0; i < 1500; i++)
		come_and_go(l, i);
	close(l);
	/* 1500 connections with 20 KB each are 30 MB. On Linux others use memory, too. */
	CHECK_MSG(EVENTUALLY((after = field("/proc/meminfo", "MemFree")) + 4096 > before || access("/proc/ibrik", F_OK)), "%ld KiB were free before, %ld after", before, after);
}

/*
 * As much as fits into many connections at once is more than the network may keep of a small machine. What keeps it is at both ends, so
 * that a reader whose window stays shut until there is memory again may wait for itself.
 */
static void more_than_fits(bool nodelay)
{
	enum { N = 120 };
	static char bytes[65536];
	struct crowd c;
	size_t sent[N] = { 0 }, got[N] = { 0 }, sum = 0;

	crowd_make(&c, N);
	for (int i = 0; i < N; i++) {
		set_option(c.fd[i][0], SOL_SOCKET, SO_SNDBUF, 150000);
		set_option(c.fd[i][0], IPPROTO_TCP, TCP_NODELAY, nodelay);
		CHECK_OK(fcntl(c.fd[i][1], F_SETFL, O_NONBLOCK));
	}
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < N; i++)
			for (ssize_t n; (n = send(c.fd[i][0], bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
				sent[i] += n;
	/* Everybody reads, and everybody writes once more; all of it arrives. */
	for (int i = 0; i < N; i++)
		sum += sent[i];
	CHECK_MSG(sum > N * 1000ul, "%zu bytes in all", sum);
	for (int64_t start = now_ns(); sum;) {
		for (int i = 0; i < N; i++) {
			for (ssize_t n; (n = read(c.fd[i][1], bytes, sizeof(bytes))) > 0;) {
				got[i] += n;
				sum -= n;
			}
			CHECK_EQ(errno, EAGAIN);
		}
		CHECK_MSG(now_ns() - start < 60000 * MS, "%zu bytes have not come", sum);
		sleep_ms(1);
	}
	for (int i = 0; i < N; i++) {
		CHECK_EQ(got[i], sent[i]);
		CHECK_EQ(write(c.fd[i][0], "e", 1), 1);
		CHECK_EQ(events_of(c.fd[i][1], POLLIN, 10000), POLLIN);
		CHECK_EQ(read(c.fd[i][1], bytes, sizeof(bytes)), 1);
	}
	crowd_end(&c);
}

TEST_SLOW(more_than_fits_waits_and_comes, 120) { more_than_fits(false); }
TEST_SLOW(more_than_fits_without_delay_waits_and_comes, 120) { more_than_fits(true); }

TEST_MAIN("tcp_many")
