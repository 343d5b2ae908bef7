/*
 * tests/guest/sigtarget.c - signals to the process: which thread takes them, and what discards those that wait.
 *
 * The harness's main thread would take most of them, so the cases make it block what they send.
 */
#include "harness.h"
#include "waits.h"
#include <sched.h>
#include <sys/signalfd.h>

static _Atomic int hits, first_hits;
static _Atomic pid_t hit_tid;

static void on_hit(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	hit_tid = gettid();
	hits++;
}

static sigset_t set_of(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

static void mask_change(int how, int sig)
{
	sigset_t set = set_of(sig);

	CHECK_EQ(pthread_sigmask(how, &set, NULL), 0);
}

static _Atomic bool idler_ends;
static _Atomic pid_t idler_tid;

static void *idle(void *arg)
{
	mask_change(SIG_UNBLOCK, SIGUSR1);
	mask_change(SIG_UNBLOCK, SIGUSR2);
	idler_tid = gettid();
	while (!idler_ends)
		usleep(2000);
	return arg;
}

static pthread_t idler_start(void)
{
	pthread_t thread;

	idler_ends = false;
	idler_tid = 0;
	thread = thread_start(idle, NULL);
	CHECK(EVENTUALLY(idler_tid));
	wait_asleep(idler_tid);
	return thread;
}

static void idler_end(pthread_t thread)
{
	idler_ends = true;
	pthread_join(thread, NULL);
}

/* Runs on the burner: comes back when the other signal has been taken somewhere. */
static void wait_for_hit(int sig, siginfo_t *info, void *context)
{
	int64_t end = now_ns() + 5000000000ll;

	(void)sig, (void)info, (void)context;
	while (!hits && now_ns() < end)
		;
	first_hits = hits;
}

static _Atomic bool burner_ends;
static _Atomic pid_t burner_tid;

static void *burn(void *arg)
{
	burner_tid = gettid();
	while (!burner_ends)
		;
	return arg;
}

TEST_SLOW(a_handlers_mask_passes_a_signal_on_to_a_thread_that_lets_it_through, 90)
{
	struct sigaction sa = { .sa_sigaction = wait_for_hit, .sa_flags = SA_SIGINFO };
	cpu_set_t all, one;
	pthread_t burner, idler;

	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	main_thread_blocks(SIGUSR1, SIGUSR2);
	handle(SIGUSR2, on_hit, 0);
	sa.sa_mask = set_of(SIGUSR2);
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	for (int round = 0; round < 10; round++) {
		hits = 0;
		first_hits = -1;
		burner_ends = false;
		burner_tid = 0;
		/* One CPU for all, so that the burner does not run while two signals are sent. */
		CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
		burner = thread_start(burn, NULL);
		CHECK(EVENTUALLY(burner_tid));
		idler = idler_start();
		mask_change(SIG_BLOCK, SIGUSR1);
		mask_change(SIG_BLOCK, SIGUSR2);
		CHECK_OK(kill(getpid(), SIGUSR1));
		CHECK_OK(kill(getpid(), SIGUSR2));
		CHECK(EVENTUALLY(first_hits >= 0));
		CHECK_MSG(first_hits == 1, "round %d: SIGUSR2 waited for the handler of SIGUSR1", round);
		burner_ends = true;
		pthread_join(burner, NULL);
		idler_end(idler);
		CHECK_OK(sched_setaffinity(0, sizeof(all), &all));
		mask_change(SIG_UNBLOCK, SIGUSR1);
		mask_change(SIG_UNBLOCK, SIGUSR2);
	}
}

static _Atomic int blocker_ready, rounds_over;

/* Blocks the signal at about the time at which it is sent, and holds it until the round is over. */
static void *block_in_time(void *arg)
{
	for (int round = 1; round <= (int)(long)arg; round++) {
		mask_change(SIG_UNBLOCK, SIGUSR2);
		blocker_ready = round;
		for (volatile int i = 0; i < round * 37 % 400; i++)
			;
		mask_change(SIG_BLOCK, SIGUSR2);
		while (rounds_over < round)
			sched_yield();
	}
	return NULL;
}

TEST_SLOW(a_thread_that_begins_to_block_a_signal_takes_it_or_leaves_it_to_another, 90)
{
	enum { ROUNDS = 1500 };
	pthread_t blocker, idler;

	main_thread_blocks(SIGUSR2, 0);
	handle(SIGUSR2, on_hit, SA_RESTART);
	hits = blocker_ready = rounds_over = 0;
	mask_change(SIG_BLOCK, SIGUSR2);
	blocker = thread_start(block_in_time, (void *)(long)ROUNDS);
	idler = idler_start();
	for (int round = 1; round <= ROUNDS; round++) {
		int64_t end = now_ns() + 3000000000ll;

		while (blocker_ready < round)
			sched_yield();
		for (volatile int i = 0; i < round * 53 % 300; i++)
			;
		CHECK_OK(kill(getpid(), SIGUSR2));
		while (hits < round && now_ns() < end)
			sched_yield();
		CHECK_MSG(hits == round, "round %d: the signal waits, though a thread lets it through", round);
		rounds_over = round;
	}
	pthread_join(blocker, NULL);
	idler_end(idler);
}

static _Atomic int enders_ready;

/* Ends without glibc, which would block every signal first. What it leaves locked makes its end long. */
static void *end_raw(void *arg)
{
	enum { ENTRIES = 300 };
	char *memory = map_anon(ENTRIES, PROT_READ | PROT_WRITE);
	struct { void *next; long offset; void *pending; } *head = (void *)memory;

	(void)arg;
	*head = (typeof(*head)){ .next = memory + PAGE, .offset = 64 };
	for (int i = 1; i < ENTRIES; i++)
		*(void **)(memory + i * PAGE) = i + 1 < ENTRIES ? memory + (i + 1) * PAGE : memory;
	/* glibc's own list is given up: the thread holds none of its mutexes. */
	sys(SYS_set_robust_list, head, sizeof(*head));
	mask_change(SIG_UNBLOCK, SIGUSR2);
	enders_ready++;
	syscall(SYS_exit, 0);
	return NULL;
}

TEST_SLOW(a_signal_does_not_wait_for_a_thread_that_ends, 90)
{
	enum { ROUNDS = 300 };
	pthread_t idler;

	main_thread_blocks(SIGUSR2, 0);
	handle(SIGUSR2, on_hit, SA_RESTART);
	hits = enders_ready = 0;
	mask_change(SIG_BLOCK, SIGUSR2);
	for (int round = 1; round <= ROUNDS; round++) {
		pthread_t ender = thread_start(end_raw, NULL);

		idler = idler_start();
		while (enders_ready < round)
			sched_yield();
		for (volatile int i = 0; i < round * 531 % 20000; i++)
			;
		CHECK_OK(kill(getpid(), SIGUSR2));
		CHECK_MSG(EVENTUALLY(hits == round), "round %d: the signal waits, though a thread lets it through", round);
		pthread_join(ender, NULL);
		idler_end(idler);
	}
}

/* --- what is discarded --- */

static bool is_pending(int sig)
{
	sigset_t now;

	CHECK_OK(sigpending(&now));
	return sigismember(&now, sig);
}

/* A signal that waits for this thread and for the process. */
static void wait_twice(int sig)
{
	main_thread_blocks(sig, 0);
	mask_change(SIG_BLOCK, sig);
	handle(sig, on_hit, 0);
	hits = 0;
	CHECK_OK(tgkill(getpid(), gettid(), sig));
	CHECK_OK(kill(getpid(), sig));
}

/* Setting it to ignored makes both go. */
static void discards(int sig, void (*ignoring)(int), bool queued)
{
	wait_twice(sig);
	if (queued)
		CHECK_OK(sigqueue(getpid(), sig, (union sigval){ .sival_int = 1 }));
	CHECK(is_pending(sig));
	CHECK(signal(sig, ignoring) != SIG_ERR);
	CHECK(!is_pending(sig));
	handle(sig, on_hit, 0);
	CHECK(!is_pending(sig));
	mask_change(SIG_UNBLOCK, sig);
	CHECK_EQ(hits, 0);
	/* And it is not ignored for good. */
	CHECK_EQ(raise(sig), 0);
	CHECK_EQ(hits, 1);
}

TEST(ignoring_a_signal_discards_what_waits) { discards(SIGUSR1, SIG_IGN, false); }
TEST(ignoring_a_realtime_signal_discards_all_that_wait) { discards(SIGRTMIN + 2, SIG_IGN, true); }
TEST(the_default_discards_what_waits_if_it_ignores) { discards(SIGURG, SIG_DFL, false); }

TEST(the_default_keeps_what_waits_if_it_ends_the_process)
{
	wait_twice(SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	CHECK(is_pending(SIGUSR1));
	handle(SIGUSR1, on_hit, 0);
	mask_change(SIG_UNBLOCK, SIGUSR1);
	CHECK_EQ(hits, 2);
}

static _Atomic int holder_state;

static void *hold_pending(void *arg)
{
	mask_change(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	holder_state = 1;
	while (holder_state == 1)
		sleep_ms(1);
	*(bool *)arg = is_pending(SIGUSR1);
	mask_change(SIG_UNBLOCK, SIGUSR1);
	return NULL;
}

TEST(ignoring_a_signal_discards_what_waits_for_other_threads)
{
	bool pending = true;
	pthread_t thread;

	handle(SIGUSR1, on_hit, 0);
	hits = holder_state = 0;
	thread = thread_start(hold_pending, &pending);
	CHECK(EVENTUALLY(holder_state == 1));
	signal(SIGUSR1, SIG_IGN);
	handle(SIGUSR1, on_hit, 0);
	holder_state = 2;
	pthread_join(thread, NULL);
	CHECK(!pending);
	CHECK_EQ(hits, 0);
}

TEST(a_discarded_signal_is_not_read_from_a_signalfd)
{
	struct signalfd_siginfo info;
	sigset_t set = set_of(SIGUSR1);
	int fd;

	main_thread_blocks(SIGUSR1, 0);
	mask_change(SIG_BLOCK, SIGUSR1);
	fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK));
	CHECK_OK(kill(getpid(), SIGUSR1));
	signal(SIGUSR1, SIG_IGN);
	CHECK_ERR(read(fd, &info, sizeof(info)), EAGAIN);
	close(fd);
}

TEST_MAIN("sigtarget")
