/*
 * tests/guest/affinity.c - which CPU threads run on: masks, threads that others send elsewhere, and CPUs that have nothing to do beside some that have too much.
 */
#include "harness.h"
#include <linux/futex.h>
#include <sched.h>
#include <sys/sysinfo.h>

TEST(sched_getaffinity_answers_the_mask_size_and_counts_the_cpus)
{
	unsigned long mask[128] = { 0 };
	long n = sys(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	int cpus = 0;

	CHECK(n > 0 && n % 8 == 0);
	for (int i = 0; i < n / 8; i++)
		cpus += __builtin_popcountl(mask[i]);
	CHECK_EQ(cpus, sysconf(_SC_NPROCESSORS_ONLN));
	CHECK_EQ(cpus, get_nprocs());
	CHECK_EQ(sys(SYS_sched_getaffinity, 0, 4, mask), -EINVAL);
	CHECK_EQ(sys(SYS_sched_getaffinity, 0, 9, mask), -EINVAL);
	CHECK_EQ(sys(SYS_sched_getaffinity, 0, sizeof(mask), BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_sched_getaffinity, 4000000, sizeof(mask), mask), -ESRCH);
}

static void *pin_round(void *arg)
{
	cpu_set_t all, one;

	(void)arg;
	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		unsigned seen = -1u;

		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
		for (int i = 0; i < 20; i++) {
			CHECK_EQ(sys(SYS_getcpu, &seen, NULL, NULL), 0);
			CHECK_EQ(seen, cpu);
			CHECK_EQ(sched_getcpu(), cpu);
			sched_yield();
		}
		CHECK_OK(sched_getaffinity(0, sizeof(one), &one));
		CHECK_EQ(CPU_COUNT(&one), 1);
		CHECK(CPU_ISSET(cpu, &one));
	}
	return NULL;
}

TEST(a_pinned_thread_stays_on_its_cpu)
{
	thread_join(thread_start(pin_round, NULL), NULL);
}

static void *pin_nowhere(void *arg)
{
	cpu_set_t set;

	(void)arg;
	CPU_ZERO(&set);
	CHECK_ERR(sched_setaffinity(0, sizeof(set), &set), EINVAL);
	CPU_SET(CPU_SETSIZE - 1, &set);
	CHECK_ERR(sched_setaffinity(0, sizeof(set), &set), EINVAL);
	CHECK_EQ(sys(SYS_sched_setaffinity, 0, sizeof(set), BAD_PTR), -EFAULT);
	return NULL;
}

TEST(sched_setaffinity_refuses_a_mask_without_a_cpu)
{
	thread_join(thread_start(pin_nowhere, NULL), NULL);
}

TEST(getcpu_takes_null_pointers)
{
	unsigned cpu = 77, node = 77;

	CHECK_EQ(sys(SYS_getcpu, NULL, NULL, NULL), 0);
	CHECK_EQ(sys(SYS_getcpu, &cpu, &node, NULL), 0);
	CHECK(cpu < 64);
	CHECK_EQ(node, 0);
	CHECK_EQ(sys(SYS_getcpu, BAD_PTR, NULL, NULL), -EFAULT);
}

static void *see_affinity(void *arg)
{
	cpu_set_t set;

	(void)arg;
	CHECK_OK(sched_getaffinity(0, sizeof(set), &set));
	return (void *)(long)CPU_COUNT(&set);
}

TEST(a_new_thread_inherits_the_affinity_of_its_creator)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
	thread_join(thread_start(see_affinity, NULL), (void *)1);
}

static void allow_cpus(pid_t tid, unsigned long mask) { CHECK_EQ(sys(SYS_sched_setaffinity, tid, sizeof(mask), &mask), 0); }

/*
 * A CPU does not stay idle while threads that it may run wait for another. On CPU 0 threads that may move wait with some that may not, every other CPU has one
 * thread, and all of these sleep at once.
 */
#define MOVE_NS 100000000ll

static struct {
	int expected, cpus;
	_Atomic int arrived;
	_Atomic pid_t movers[16];
	_Atomic int64_t left_at;
	_Atomic int end;
	long idle_ms[16]; /* of each CPU, before */
} move;

/* How long each of the first CPUs has been idle. */
static void read_idle_ms(long *idle_ms, int cpus)
{
	char text[8192], name[16], *at;
	long ticks;

	CHECK(read_file("/proc/stat", text, sizeof(text)) > 0);
	for (int i = 0; i < cpus; i++) {
		snprintf(name, sizeof(name), "\ncpu%d ", i);
		at = strstr(text, name);
		CHECK(at && sscanf(at + strlen(name), "%*d %*d %*d %ld", &ticks) == 1);
		idle_ms[i] = ticks * 1000 / sysconf(_SC_CLK_TCK);
	}
}

/* Until the CPU is ours again after others had it: they wait now, and will for a while. */
static void await_fresh_slice(void)
{
	int64_t before = now_ns(), end = before + 5000000000ll, now;

	for (; (now = now_ns()) - before < 1000000 && now < end; before = now)
		;
}

static void *move_leaver(void *arg)
{
	allow_cpus(0, 1ul << (long)arg);
	move.arrived++;
	while (!move.left_at)
		;
	while (!move.end)
		sys(SYS_futex, &move.end, FUTEX_WAIT_PRIVATE, 0, NULL);
	return NULL;
}

static void *move_stayer(void *arg)
{
	move.arrived++;
	while (!move.end)
		;
	return arg;
}

static void *move_mover(void *arg)
{
	long me = (long)arg;

	move.movers[me] = gettid();
	move.arrived++;
	if (me == 0) {
		while (move.arrived < move.expected)
			;
		read_idle_ms(move.idle_ms, move.cpus);
		await_fresh_slice();
		for (int i = 0; move.movers[i]; i++)
			allow_cpus(move.movers[i], (1ul << move.cpus) - 1);
		move.left_at = now_ns();
	}
	while (!move.end)
		;
	return NULL;
}

/* For how many milliseconds a CPU was idle. */
static long move_once(int movers, int stayers)
{
	pthread_t threads[48];
	int n = 0;
	long idle_ms[16], worst = 0;

	memset(&move, 0, sizeof(move));
	move.cpus = movers + stayers;
	move.expected = move.cpus + move.cpus - 1;
	for (long i = 0; i < movers; i++)
		threads[n++] = thread_start(move_mover, (void *)i); /* inherit the mask */
	for (long i = 0; i < stayers; i++)
		threads[n++] = thread_start(move_stayer, NULL);
	for (long i = 1; i < move.cpus; i++)
		threads[n++] = thread_start(move_leaver, (void *)i);
	CHECK(EVENTUALLY(move.left_at));
	for (int64_t left; (left = move.left_at + MOVE_NS - now_ns()) > 0;)
		usleep(left / 1000 + 1);
	/* The kernel may count a pause of a CPU when it ends. */
	for (int i = move.cpus; i--;)
		allow_cpus(0, 1ul << i);
	read_idle_ms(idle_ms, move.cpus);
	for (int i = 0; i < move.cpus; i++)
		worst = idle_ms[i] - move.idle_ms[i] > worst ? idle_ms[i] - move.idle_ms[i] : worst;
	move.end = 1;
	sys(SYS_futex, &move.end, FUTEX_WAKE_PRIVATE, INT_MAX);
	for (int i = 0; i < n; i++)
		thread_join(threads[i], NULL);
	return worst;
}

/* Other work of a host disturbs, and Linux takes some 30 ms: three times of four will do. */
static void check_moves(int movers, int stayers)
{
	int good = 0;
	long idle = 0;

	allow_cpus(0, 1);
	for (int i = 0; i < 20 && good < 15; i++) {
		idle = move_once(movers, stayers);
		good += idle * 1000000 < MOVE_NS * 2 / 3;
	}
	CHECK_MSG(good == 15, "%d times of 20 a CPU was idle too long while a thread waited for another, at last %ld ms of %lld", 20 - good, idle, MOVE_NS / 1000000);
}

static int some_cpus(void)
{
	int n = get_nprocs();

	if (n < 2)
		SKIP("there is only one CPU");
	return n > 8 ? 8 : n;
}

/* A thread that another one sends elsewhere: it goes when it runs, alone or not, and when it waits. */
static struct {
	_Atomic bool stop;
	_Atomic pid_t tid[4];
	_Atomic int cpu[4];
} sent;

static void *tell_cpu(void *arg)
{
	long me = (long)arg;

	sent.tid[me] = gettid();
	while (!sent.stop)
		sent.cpu[me] = sched_getcpu();
	return NULL;
}

static void send_round(int threads)
{
	pthread_t thread[4];

	memset(&sent, 0, sizeof(sent));
	for (long i = 0; i < threads; i++)
		thread[i] = thread_start(tell_cpu, (void *)i);
	for (int i = 0; i < threads; i++)
		CHECK(EVENTUALLY(sent.tid[i]));
	for (int round = 0; round < 20; round++) {
		int to = round % 2;

		/* Beside the one who sends, and without it. */
		allow_cpus(0, round % 4 < 2 ? 1 : 2);
		for (int i = 0; i < threads; i++)
			allow_cpus(sent.tid[i], 1ul << to);
		for (int i = 0; i < threads; i++)
			CHECK_MSG(EVENTUALLY(sent.cpu[i] == to), "thread %d of %d stays on CPU %d", i, threads, sent.cpu[i]);
		sleep_ms(2);
		for (int i = 0; i < threads; i++)
			CHECK_EQ(sent.cpu[i], to);
	}
	sent.stop = true;
	for (int i = 0; i < threads; i++)
		thread_join(thread[i], NULL);
}

TEST_SLOW(a_busy_thread_goes_where_another_sends_it, 40)
{
	some_cpus();
	send_round(1);
	send_round(4);
}

/* Threads that come and go, run and sleep while others say where: none is lost, and the last word counts. */
static void *sent_about(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	while (!sent.stop) {
		int cpus = get_nprocs(), to = rand_r(&seed) % cpus;

		/* Some of these are guesses, and threads of other processes are to be left alone. */
		for (int i = 0; i < 4; i++) {
			pid_t tid = sent.tid[i];

			if (sys(SYS_tgkill, getpid(), tid, 0) == 0)
				sys(SYS_sched_setaffinity, tid, 8, &(unsigned long){ 1ul << (to + i) % cpus });
		}
	}
	return NULL;
}

static void *come_and_go(void *arg)
{
	/* Those that will be made next, too, in the middle of that. */
	for (int i = 0; i < 4; i++)
		sent.tid[i] = gettid() + i;
	for (int i = 0; i < 3; i++)
		usleep(1);
	return arg;
}

static void *run_and_sleep(void *arg)
{
	long me = (long)arg;

	sent.tid[me] = gettid();
	for (unsigned n = 0; !sent.stop; n++) {
		sent.cpu[me] = sched_getcpu();
		if (n % 64 < 32)
			usleep(n % 3);
	}
	return NULL;
}

TEST_SLOW(threads_that_are_sent_about_all_the_time_run_and_end, 60)
{
	pthread_t senders[2], threads[4];
	int64_t end = now_ns() + 2000000000ll;

	some_cpus();
	memset(&sent, 0, sizeof(sent));
	for (long i = 0; i < 4; i++)
		sent.tid[i] = gettid();
	for (long i = 0; i < 2; i++)
		senders[i] = thread_start(sent_about, (void *)(i + 1));
	while (now_ns() < end)
		for (int i = 0; i < 4; i++)
			threads[i] = thread_start(come_and_go, NULL), thread_join(threads[i], NULL);
	for (long i = 0; i < 4; i++)
		threads[i] = thread_start(run_and_sleep, (void *)i);
	sleep_ms(2000);
	sent.stop = true;
	for (int i = 0; i < 2; i++)
		thread_join(senders[i], NULL);
	for (int i = 0; i < 4; i++)
		thread_join(threads[i], NULL);
	for (int last = 0; last < 2; last++) {
		sent.stop = false;
		memset((void *)sent.tid, 0, sizeof(sent.tid));
		for (long i = 0; i < 4; i++)
			threads[i] = thread_start(run_and_sleep, (void *)i);
		for (int i = 0; i < 4; i++)
			CHECK(EVENTUALLY(sent.tid[i]));
		for (int n = 0; n < 1001; n++)
			for (int i = 0; i < 4; i++)
				allow_cpus(sent.tid[i], n % 2 == last ? 1 : 2);
		for (int i = 0; i < 4; i++)
			CHECK_MSG(EVENTUALLY(sent.cpu[i] == last), "thread %d is on CPU %d, not %d", i, sent.cpu[i], last);
		sent.stop = true;
		for (int i = 0; i < 4; i++)
			thread_join(threads[i], NULL);
	}
}

TEST_SLOW(idle_cpus_get_all_threads_that_wait_for_another, 40) { check_moves(some_cpus(), 0); }

TEST_SLOW(an_idle_cpu_gets_a_waiting_thread_that_stands_behind_one_that_must_stay, 40)
{
	some_cpus();
	check_moves(1, 1);
}

static _Atomic bool roam_end;
static _Atomic int poked;
static _Atomic int roamer_cpu;
static int poke_cpus[2];

static void pin_to(int first, int second)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(first, &set);
	CPU_SET(second, &set);
	CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
}

static void *be_poked(void *arg)
{
	(void)arg;
	pin_to(poke_cpus[1], poke_cpus[1]);
	for (int seen = poked; !roam_end; seen = poked)
		sys(SYS_futex, &poked, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
	return NULL;
}

static void *poke(void *arg)
{
	(void)arg;
	pin_to(poke_cpus[0], poke_cpus[0]);
	while (!roam_end) {
		poked++;
		sys(SYS_futex, &poked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		for (int64_t end = now_ns() + 10000; now_ns() < end;)
			;
	}
	return NULL;
}

static void *roam(void *arg)
{
	(void)arg;
	pin_to(poke_cpus[0], poke_cpus[0]);
	pin_to(poke_cpus[0], poke_cpus[1]);
	while (!roam_end)
		roamer_cpu = sched_getcpu();
	return NULL;
}

/* A CPU whose only thread sleeps for moments is idle for moments, and has room for one that shares the other CPU. */
TEST(a_cpu_that_is_idle_for_moments_takes_a_thread_that_waits)
{
	pthread_t threads[3];
	cpu_set_t all;
	int n = 0;

	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, &all))
			poke_cpus[n++] = cpu;
	if (n < 2)
		SKIP("one CPU");
	roam_end = false;
	roamer_cpu = -1;
	threads[0] = thread_start(be_poked, NULL);
	threads[1] = thread_start(poke, NULL);
	threads[2] = thread_start(roam, NULL);
	CHECK_MSG(EVENTUALLY(roamer_cpu == poke_cpus[1]), "it stays on CPU %d", roamer_cpu);
	roam_end = true;
	poked++;
	sys(SYS_futex, &poked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	for (int i = 0; i < 3; i++)
		thread_join(threads[i], NULL);
}

TEST_MAIN("affinity")
