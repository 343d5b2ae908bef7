/*
 * tests/guest/tcp_shutdown.c - connections that are shut down before they stand, listeners that are shut down with connections in their queues,
 * sockets that become another thing, and connections between addresses of two interfaces.
 */
#include "tcp.h"
#include "waits.h"
#include <ifaddrs.h>
#include <net/if.h>

/* A listener whose queue is full, so that nobody answers who connects. fd is the connection in the queue. */
static int full_listener(int *fd)
{
	int l = listener(AF_INET, 0);

	*fd = connected(AF_INET, port_of(l));
	return l;
}

static int attempt_at(int l)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

	CHECK_ERR(connect_here(fd, port_of(l)), EINPROGRESS);
	return fd;
}

TEST(an_attempt_to_connect_ends_by_any_shutdown)
{
	int queued, l = full_listener(&queued), other = listener(AF_INET, 4);

	for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
		int fd = attempt_at(l);

		CHECK_EQ(events_of(fd, POLLIN | POLLOUT, 50), 0);
		CHECK_OK(shutdown(fd, how));
		CHECK_EQ(events_of(fd, POLLIN | POLLOUT, 0), POLLOUT | POLLERR | POLLHUP);
		CHECK_EQ(error_of(fd), ECONNRESET);
		CHECK_ERR(shutdown(fd, how), ENOTCONN);
		close(fd);
	}
	/* It may try again, and nothing is left of what was shut down. */
	int fd = attempt_at(l);
	char c;

	CHECK_OK(shutdown(fd, SHUT_WR));
	CHECK_ERR(read(fd, &c, 1), ECONNRESET);
	CHECK_ERR(read(fd, &c, 1), ENOTCONN);
	CHECK_ERR(connect_here(fd, port_of(l)), EINPROGRESS);
	CHECK_OK(shutdown(fd, SHUT_RD));
	CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), ECONNRESET);
	CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_ERR(connect_here(fd, port_of(l)), EINPROGRESS);
	CHECK_OK(shutdown(fd, SHUT_RDWR));
	CHECK_ERR(connect_here(fd, port_of(other)), EINPROGRESS);
	CHECK_EQ(events_of(fd, POLLOUT, 5000), POLLOUT);
	CHECK_EQ(error_of(fd), 0);
	CHECK_EQ(CHECK_OK(write(fd, "x", 1)), 1);
	close(fd);
	close(queued);
	close(l);
	close(other);
}

static int blocked_port;

static long call_connect(int fd) { return connect_here(fd, blocked_port); }

TEST(a_blocked_connect_ends_by_a_shutdown)
{
	int queued, l = full_listener(&queued);
	struct blocked b = { .call = call_connect, .fd = stream() };

	blocked_port = port_of(l);
	blocked_start(&b);
	CHECK_OK(shutdown(b.fd, SHUT_RDWR));
	blocked_end(&b, -1, ECONNRESET);
	close(b.fd);
	close(queued);
	close(l);
}

TEST(a_listener_that_is_shut_down_resets_its_queue)
{
	int l = listener(AF_INET, 4), a = connected(AF_INET, port_of(l)), b;
	char c;

	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	CHECK_OK(shutdown(l, SHUT_RD));
	CHECK_ERR(read(a, &c, 1), ECONNRESET);
	/* Those who came before are not among those who come then. */
	CHECK_OK(listen(l, 4));
	CHECK_EQ(events_of(l, POLLIN, 0), 0);
	b = connected(AF_INET, port_of(l));
	CHECK_EQ(events_of(l, POLLIN, 5000), POLLIN);
	close(a);
	close(b);
	close(l);
}

TEST(a_listener_that_is_shut_down_for_writing_goes_on)
{
	int l = listener(AF_INET, 4), fd[2];

	CHECK_OK(shutdown(l, SHUT_WR));
	pair_at(l, fd);
	close_reset(fd[0]);
	close(fd[1]);
	close(l);
}

static void disconnect(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	CHECK_OK(connect(fd, &none, sizeof(none)));
}

static void disconnect_at(int family)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	int l = listener(family, 8), fd[2], again;
	char bytes[8];

	pair_at(l, fd);
	/* What was received and not read goes, too. */
	CHECK_EQ(CHECK_OK(write(fd[1], "old", 3)), 3);
	CHECK_EQ(events_of(fd[0], POLLIN, 5000), POLLIN);
	disconnect(fd[0]);
	CHECK_ERR(getpeername(fd[0], (struct sockaddr *)&a, &n), ENOTCONN);
	CHECK_EQ(events_of(fd[0], POLLIN | POLLOUT, 0), POLLOUT | POLLERR | POLLHUP);
	CHECK_EQ(error_of(fd[0]), ECONNRESET);
	CHECK_EQ(events_of(fd[0], POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
	CHECK_ERR(recv(fd[0], bytes, 1, MSG_DONTWAIT), ENOTCONN);
	CHECK_ERR(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK(events_of(fd[1], POLLIN, 5000) & POLLIN);
	CHECK_ERR(read(fd[1], bytes, 1), ECONNRESET);
	/* The error that nobody has asked for is no obstacle, nor is a second time. */
	disconnect(fd[0]);
	CHECK_EQ(error_of(fd[0]), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(connect_here(fd[0], port_of(l)));
		again = CHECK_OK(accept(l, NULL, NULL));
		CHECK_EQ(CHECK_OK(write(again, "new", 3)), 3);
		CHECK_EQ(CHECK_OK(recv(fd[0], bytes, 3, MSG_WAITALL)), 3);
		CHECK(memcmp(bytes, "new", 3) == 0);
		CHECK_EQ(CHECK_OK(write(fd[0], "y", 1)), 1);
		CHECK_EQ(CHECK_OK(read(again, bytes, 1)), 1);
		disconnect(fd[0]);
		CHECK_ERR(read(again, bytes, 1), ECONNRESET);
		close(again);
	}
	/* Or it listens. */
	bind_here(fd[0], 0);
	CHECK_OK(listen(fd[0], 4));
	close_reset(connected(family, port_of(fd[0])));
	close(fd[0]);
	close(fd[1]);
	close(l);
}

TEST(a_connection_is_taken_apart_and_made_anew) { disconnect_at(AF_INET); }
TEST(an_ipv6_connection_is_taken_apart_and_made_anew) { disconnect_at(AF_INET6); }

TEST(a_connection_that_is_taken_apart_keeps_what_bind_gave_it)
{
	int l = listener(AF_INET, 8), probe = bound(AF_INET, SOCK_STREAM), port = port_of(probe), fd, other = stream();
	struct sockaddr_in a = at(port);

	close(probe);
	fd = bound_to(AF_INET, SOCK_STREAM, here(AF_INET), port);
	CHECK_OK(connect_here(fd, port_of(l)));
	disconnect(fd);
	CHECK_EQ(port_of(fd), port);
	CHECK_ERR(bind(fd, (struct sockaddr *)&a, sizeof(a)), EINVAL);
	CHECK_ERR(bind(other, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	CHECK_OK(connect_here(fd, port_of(l)));
	CHECK_EQ(port_of(fd), port);
	close_reset(fd);
	close(other);
	close(l);
}

TEST(a_port_that_bind_gave_stays_until_the_socket_is_closed)
{
	int l = listener(AF_INET, 8), probe = bound(AF_INET, SOCK_STREAM), port = port_of(probe), fd, peer, other = stream();
	struct sockaddr_in a = at(port);
	char byte;

	close(probe);
	fd = bound_to(AF_INET, SOCK_STREAM, here(AF_INET), port);
	/* A connection that the peer has ended, */
	CHECK_OK(connect_here(fd, port_of(l)));
	peer = CHECK_OK(accept(l, NULL, NULL));
	close_reset(peer);
	CHECK_EQ(events_of(fd, POLLERR, 5000) & POLLERR, POLLERR);
	CHECK_ERR(read(fd, &byte, 1), ECONNRESET);
	CHECK_ERR(bind(other, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	/* a listener that is one no more, */
	disconnect(fd);
	CHECK_ERR(bind(other, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	CHECK_OK(listen(fd, 4));
	CHECK_OK(shutdown(fd, SHUT_RD));
	CHECK_ERR(bind(other, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	CHECK_OK(listen(fd, 4));
	CHECK_EQ(port_of(fd), port);
	disconnect(fd);
	/* and one that is nothing at the end. */
	CHECK_OK(close(fd));
	CHECK_OK(bind(other, (struct sockaddr *)&a, sizeof(a)));
	close(other);
	close(l);
}

/* One that bind() drew goes with the connection; the address stays. */
TEST(a_port_that_was_drawn_is_free_when_its_connection_is_over)
{
	int l = listener(AF_INET, 8), fd = bound(AF_INET, SOCK_STREAM), port = port_of(fd), other = stream();
	struct sockaddr_in a = at(port), name;
	socklen_t n = sizeof(name);

	/* Nothing is over yet. */
	disconnect(fd);
	CHECK_ERR(bind(other, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	CHECK_OK(connect_here(fd, port_of(l)));
	CHECK_EQ(port_of(fd), port);
	disconnect(fd);
	CHECK_OK(bind(other, (struct sockaddr *)&a, sizeof(a)));
	CHECK_OK(getsockname(fd, (struct sockaddr *)&name, &n));
	CHECK_EQ(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_OK(connect_here(fd, port_of(l)));
	CHECK(port_of(fd) != port);
	close_reset(fd);
	close(other);
	/* Likewise a listener's. */
	fd = listener(AF_INET, 8);
	port = port_of(fd);
	disconnect(fd);
	other = bound_to(AF_INET, SOCK_STREAM, here(AF_INET), port);
	CHECK_OK(listen(fd, 4));
	CHECK_OK(getsockname(fd, (struct sockaddr *)&name, &n));
	CHECK_EQ(name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK(port_of(fd) != port);
	CHECK_OK(shutdown(fd, SHUT_RDWR));
	bind_here(fd, 0);
	CHECK_OK(listen(fd, 4));
	close_reset(connected(AF_INET, port_of(fd)));
	close(fd);
	close(other);
	close(l);
}

TEST(an_attempt_a_listener_and_a_half_closed_connection_are_taken_apart)
{
	int queued, full = full_listener(&queued), l = listener(AF_INET, 8), fd = attempt_at(full), c, pairs[2];
	char byte;

	disconnect(fd);
	CHECK_EQ(error_of(fd), ECONNRESET);
	CHECK_ERR(connect_here(fd, port_of(l)), EINPROGRESS);
	CHECK_EQ(events_of(fd, POLLOUT, 5000), POLLOUT);
	CHECK_EQ(error_of(fd), 0);
	close_reset(fd);
	close(queued);
	close(full);
	/* The connection that nobody has accepted is reset. */
	fd = listener(AF_INET, 4);
	c = connected(AF_INET, port_of(fd));
	disconnect(fd);
	CHECK_ERR(read(c, &byte, 1), ECONNRESET);
	CHECK_ERR(accept(fd, NULL, NULL), EINVAL);
	CHECK_EQ(error_of(fd), 0);
	CHECK_OK(connect_here(fd, port_of(l)));
	close_reset(fd);
	close(c);
	/* Shut down in one direction, then in both. */
	close(l);
	l = listener(AF_INET, 8);
	pair_at(l, pairs);
	CHECK_OK(shutdown(pairs[0], SHUT_WR));
	disconnect(pairs[0]);
	CHECK_EQ(error_of(pairs[0]), ECONNRESET);
	CHECK_OK(connect_here(pairs[0], port_of(l)));
	c = CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(shutdown(c, SHUT_WR));
	CHECK_EQ(CHECK_OK(read(pairs[0], &byte, 1)), 0);
	CHECK_OK(shutdown(pairs[0], SHUT_WR));
	CHECK_EQ(CHECK_OK(read(c, &byte, 1)), 0);
	disconnect(pairs[0]);
	CHECK_OK(connect_here(pairs[0], port_of(l)));
	CHECK_EQ(CHECK_OK(write(pairs[0], "z", 1)), 1);
	close_reset(pairs[0]);
	close(pairs[1]);
	close(c);
	close(l);
}

#define SENT_BYTES 30000

static _Atomic bool sends;
static _Atomic long sends_done;

/* Copying takes a while, since each page has to be mapped again: so the socket is another thing when the bytes are there. */
static void *sends_slowly(void *arg)
{
	int fd = *(int *)arg, file = CHECK_OK(memfd_create("sent", MFD_CLOEXEC));
	char *p;

	CHECK_OK(ftruncate(file, SENT_BYTES));
	p = mmap(NULL, SENT_BYTES, PROT_READ, MAP_SHARED, file, 0);
	CHECK(p != MAP_FAILED);
	while (sends) {
		CHECK_OK(madvise(p, SENT_BYTES, MADV_DONTNEED));
		sends_done += send(fd, p, SENT_BYTES, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
	}
	munmap(p, SENT_BYTES);
	close(file);
	return NULL;
}

TEST_SLOW(a_send_beside_a_socket_that_becomes_another_thing, 60)
{
	int l = listener(AF_INET, 8), fd = stream(), peer, error;
	int64_t until = now_ns() + 2000 * MS;
	pthread_t t[2];

	sends = true;
	sends_done = 0;
	for (int i = 0; i < 2; i++)
		t[i] = thread_start(sends_slowly, &fd);
	for (int round = 0; now_ns() < until || sends_done < 20; round++) {
		socklen_t n = sizeof(error);

		CHECK_OK(connect_here(fd, port_of(l)));
		peer = CHECK_OK(accept(l, NULL, NULL));
		for (int i = 0; i < round % 8; i++)
			sched_yield();
		disconnect(fd);
		CHECK_OK(listen(fd, 4));
		for (int i = 0; i < round % 3; i++)
			sched_yield();
		CHECK_OK(round % 2 ? shutdown(fd, SHUT_RDWR) : 0);
		disconnect(fd);
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n));
		close_reset(peer);
	}
	sends = false;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	/* It is none the worse for it. */
	error_of(fd);
	CHECK_OK(connect_here(fd, port_of(l)));
	peer = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(CHECK_OK(write(fd, "z", 1)), 1);
	CHECK_EQ(drain(peer, 1), 1);
	close_reset(fd);
	close(peer);
	close(l);
}

TEST(the_peer_of_a_connection_has_a_name_while_that_stands)
{
	int queued, l = full_listener(&queued), fd = attempt_at(l), s;
	struct sockaddr_in a;
	socklen_t n = sizeof(a);

	CHECK_ERR(getpeername(fd, (struct sockaddr *)&a, &n), ENOTCONN);
	close(fd);
	/* One that was reset in the queue is accepted, and named by accept() alone. */
	n = sizeof(a);
	CHECK_OK(getsockname(queued, (struct sockaddr *)&a, &n));
	int port = ntohs(a.sin_port);

	close_reset(queued);
	n = sizeof(a);
	s = CHECK_OK(accept(l, (struct sockaddr *)&a, &n));
	CHECK_EQ(ntohs(a.sin_port), port);
	CHECK_EQ(events_of(s, POLLIN, 5000) & POLLERR, POLLERR);
	CHECK_ERR(getpeername(s, (struct sockaddr *)&a, &n), ENOTCONN);
	close(s);
	close(l);
}

/* --- between interfaces -------------------------------------------------------------------------------------------------- */

/* May sockets have that address? One of IPv6 that is still looked for elsewhere is listed, too. */
static bool is_usable(int family, const char *ip)
{
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, ip, 0);
	int fd = CHECK_OK(socket(family, SOCK_STREAM, 0)), r = bind(fd, (struct sockaddr *)&a, n);

	close(fd);
	return r == 0;
}

/* An address of this machine's that is not loopback's. False: there is none. */
static bool card_address(int family, char ip[INET6_ADDRSTRLEN])
{
	struct ifaddrs *all;
	bool found = false;

	CHECK_OK(getifaddrs(&all));
	for (struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)i->ifa_addr;

		if (!i->ifa_addr || i->ifa_addr->sa_family != family || i->ifa_flags & IFF_LOOPBACK ||
		    (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)))
			continue;
		found = inet_ntop(family, family == AF_INET ? (const void *)&((const struct sockaddr_in *)i->ifa_addr)->sin_addr : &v6->sin6_addr, ip,
				  INET6_ADDRSTRLEN) && is_usable(family, ip);
	}
	freeifaddrs(all);
	return found;
}

/* Connections, and bytes there and back. What waits for a timer does so each time; who loses the CPU does not. */
static void between(int family, const char *from, const char *to)
{
	int l = bound_to(family, SOCK_STREAM, to, 0);
	struct sockaddr_storage a;
	socklen_t n = name_of(&a, family, to, port_of(l));
	int64_t start;
	int waits = 0;
	char byte;

	CHECK_OK(listen(l, 4));
	for (int k = 0; k < 10; k++) {
		int c = bound_to(family, SOCK_STREAM, from, 0), s;

		start = now_ns();
		CHECK_OK(connect(c, (struct sockaddr *)&a, n));
		s = CHECK_OK(accept(l, NULL, NULL));
		waits += now_ns() - start >= 50 * MS;
		start = now_ns();
		for (int i = 0; i < 10; i++) {
			CHECK_EQ(CHECK_OK(write(c, "x", 1)), 1);
			CHECK_EQ(CHECK_OK(read(s, &byte, 1)), 1);
			CHECK_EQ(CHECK_OK(write(s, "y", 1)), 1);
			CHECK_EQ(CHECK_OK(read(c, &byte, 1)), 1);
		}
		close(c);
		CHECK_EQ(CHECK_OK(read(s, &byte, 1)), 0);
		CHECK(now_ns() - start < 1500 * MS);
		close_reset(s);
	}
	CHECK_MSG(waits < 5, "%d of ten connections waited", waits);
	close(l);
}

static void between_interfaces(int family)
{
	char card[INET6_ADDRSTRLEN];

	/* A router's IPv6 prefix comes a moment after the machine has started. */
	if (!EVENTUALLY(card_address(family, card)))
		SKIP("no card has an address");
	between(family, here(family), card);
	between(family, card, here(family));
	between(family, card, card);
}

TEST(a_connection_between_addresses_of_two_interfaces_does_not_wait) { between_interfaces(AF_INET); }
TEST(a_connection_between_ipv6_addresses_of_two_interfaces_does_not_wait) { between_interfaces(AF_INET6); }

TEST_MAIN("tcp_shutdown")
