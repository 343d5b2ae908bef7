/*
 * bench/micro/switch.c - what it costs to hand the CPU, or a message, to another thread; NAME-same-cpu with both
 * threads on CPU 0, NAME-two-cpus with one on each. And how fairly CPUs are shared while a thousand threads sleep.
 */
#define _GNU_SOURCE
#include "micro.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAIR(name, ours, theirs) \
	static long run_##name##_same(unsigned long count) { return pair_run(ours, theirs, count, 0); } \
	static long run_##name##_two(unsigned long count) { return pair_run(ours, theirs, count, 1); }

static atomic_int turn;

static void turn_give(int to)
{
	atomic_store(&turn, to);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void turn_await(int mine)
{
	int seen;

	while ((seen = atomic_load(&turn)) != mine)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static long futex_ping(unsigned long count)
{
	while (count--) {
		turn_give(1);
		turn_await(0);
	}
	return 0;
}

static long futex_pong(unsigned long count)
{
	while (count--) {
		turn_await(1);
		turn_give(0);
	}
	return 0;
}
PAIR(futex, futex_ping, futex_pong)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int side;

static long cond_side(unsigned long count, int mine)
{
	pthread_mutex_lock(&lock);
	while (count--) {
		while (side != mine)
			pthread_cond_wait(&changed, &lock);
		side = !mine;
		pthread_cond_signal(&changed);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

static long cond_ping(unsigned long count) { return cond_side(count, 0); }
static long cond_pong(unsigned long count) { return cond_side(count, 1); }
PAIR(cond, cond_ping, cond_pong)

static sem_t there_sem, back_sem;

static long sem_ping(unsigned long count)
{
	while (count--) {
		sem_post(&there_sem);
		sem_wait(&back_sem);
	}
	return 0;
}

static long sem_pong(unsigned long count)
{
	while (count--) {
		sem_wait(&there_sem);
		sem_post(&back_sem);
	}
	return 0;
}
PAIR(sem, sem_ping, sem_pong)

static int there[2], back[2];

static long pipe_ping(unsigned long count)
{
	char byte = 1;

	while (count--)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			return -EIO;
	return 0;
}

static long pipe_pong(unsigned long count)
{
	char byte;

	while (count--)
		if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
			return -EIO;
	return 0;
}

static long pipe_run(unsigned long count, int cpu)
{
	if (!there[1] && (pipe2(there, O_CLOEXEC) || pipe2(back, O_CLOEXEC)))
		return -errno;
	return pair_run(pipe_ping, pipe_pong, count, cpu);
}

static long run_pipe_same(unsigned long count) { return pipe_run(count, 0); }
static long run_pipe_two(unsigned long count) { return pipe_run(count, 1); }

static long yield_side(unsigned long count)
{
	while (count--)
		sched_yield();
	return 0;
}

static long run_yield_same(unsigned long count) { return pair_run(yield_side, yield_side, count, 0); }

/*
 * Both want the same mutex, and each holds it until the other has come to wait: across a switch on one CPU; on two until the lock's word
 * says so (2 in glibc), and then for so long that the other sleeps. What is free, or becomes so at once, is handed over without
 * the kernel and would measure the C library.
 */
#define ASLEEP_ROUNDS 3000

static long mutex_yield_side(unsigned long count)
{
	while (count--) {
		pthread_mutex_lock(&lock);
		sched_yield();
		pthread_mutex_unlock(&lock);
	}
	return 0;
}

static atomic_int holder, left[2];

static long mutex_wait_side(unsigned long count, int mine)
{
	/* The last to come starts both. */
	atomic_store(&left[mine], (int)count);
	while (!atomic_load(&left[!mine]))
		;
	while (count--) {
		pthread_mutex_lock(&lock);
		atomic_store(&holder, mine);
		while (atomic_load(&left[!mine]) > 0 && __atomic_load_n(&lock.__data.__lock, __ATOMIC_RELAXED) != 2)
			;
		for (int i = 0; i < ASLEEP_ROUNDS; i++)
			__asm__ volatile("");
		atomic_store(&left[mine], count ? (int)count : -1);
		pthread_mutex_unlock(&lock);
		while (atomic_load(&left[!mine]) > 0 && atomic_load(&holder) == mine)
			;
	}
	return 0;
}

static long mutex_ping(unsigned long count) { return mutex_wait_side(count, 0); }
static long mutex_pong(unsigned long count) { return mutex_wait_side(count, 1); }

static long run_mutex_same(unsigned long count) { return pair_run(mutex_yield_side, mutex_yield_side, count, 0); }

static long run_mutex_two(unsigned long count)
{
	atomic_store(&left[0], 0);
	atomic_store(&left[1], 0);
	return pair_run(mutex_ping, mutex_pong, count, 1);
}

static void *thread_nothing(void *arg) { return arg; }

static long run_thread(unsigned long count)
{
	pthread_t thread;

	while (count--)
		if (pthread_create(&thread, NULL, thread_nothing, NULL) || pthread_join(thread, NULL))
			return -EAGAIN;
	return 0;
}

/* Sixteen live at once, and end in the order in which they began. */
static long run_threads(unsigned long count)
{
	pthread_t threads[16];

	while (count--) {
		for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
			if (pthread_create(&threads[i], NULL, thread_nothing, NULL))
				return -EAGAIN;
		for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_join(threads[i], NULL);
	}
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void percentiles(const char *name, double *late_us, size_t n)
{
	char text[64];

	qsort(late_us, n, sizeof(*late_us), by_size);
	snprintf(text, sizeof(text), "%s-p50-us", name);
	figure(text, late_us[n / 2]);
	snprintf(text, sizeof(text), "%s-p99-us", name);
	figure(text, late_us[n * 99 / 100]);
}

static double sleep_until_late_us(struct timespec *deadline, long step_ns)
{
	struct timespec now;

	deadline->tv_nsec += step_ns;
	while (deadline->tv_nsec >= 1000000000) {
		deadline->tv_nsec -= 1000000000;
		deadline->tv_sec++;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, deadline, NULL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((double)(now.tv_sec - deadline->tv_sec) * 1e9 + (double)(now.tv_nsec - deadline->tv_nsec)) / 1000;
}

/* How late one thread wakes on a machine that does nothing else. */
static long run_timer(unsigned long count)
{
	static double late[1000];
	struct timespec deadline;

	(void)count;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	for (size_t i = 0; i < ARRAY_SIZE(late); i++)
		late[i] = sleep_until_late_us(&deadline, 1000000);
	percentiles("timer-wake-idle", late, ARRAY_SIZE(late));
	return 0;
}

/* Two threads for each CPU compute; a thousand others sleep and wake: shares, and how late they wake. */
#define SLEEPERS 1000
#define SLEEP_NS 250000000l
#define FAIR_NS 4000000000ull
#define SAMPLES (SLEEPERS * 16)

static atomic_int burning, sampled;
static double wake_late[SAMPLES];

static void *burn(void *arg)
{
	struct timespec used;

	while (atomic_load_explicit(&burning, memory_order_relaxed))
		for (int i = 0; i < 1000; i++)
			__asm__ volatile("");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	*(double *)arg = (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
	return NULL;
}

static void *sleeper(void *arg)
{
	struct timespec deadline;
	int warm = 1;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	sleep_until_late_us(&deadline, (long)((size_t)arg * (SLEEP_NS / SLEEPERS)));
	while (atomic_load_explicit(&burning, memory_order_relaxed)) {
		double late = sleep_until_late_us(&deadline, SLEEP_NS);
		int at = warm ? SAMPLES : atomic_fetch_add(&sampled, 1);

		warm = 0;
		if (at < SAMPLES)
			wake_late[at] = late;
	}
	return NULL;
}

static long run_fairness(unsigned long count)
{
	static pthread_t sleepers[SLEEPERS], burners[128];
	static double used[128];
	cpu_set_t set;
	pthread_attr_t small;
	size_t n, begun = 0, burn_begun = 0;
	double sum = 0, worst = 0;

	(void)count;
	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	n = 2 * (size_t)CPU_COUNT(&set);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN);
	atomic_store(&burning, 1);
	for (; begun < SLEEPERS; begun++)
		if (pthread_create(&sleepers[begun], &small, sleeper, (void *)begun))
			break;
	for (; begun == SLEEPERS && burn_begun < n && burn_begun < ARRAY_SIZE(burners); burn_begun++)
		if (pthread_create(&burners[burn_begun], NULL, burn, &used[burn_begun]))
			break;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ FAIR_NS / 1000000000, FAIR_NS % 1000000000 }, NULL);
	atomic_store(&burning, 0);
	for (size_t i = 0; i < burn_begun; i++) {
		pthread_join(burners[i], NULL);
		sum += used[i];
	}
	for (size_t i = 0; i < begun; i++)
		pthread_join(sleepers[i], NULL);
	if (begun < SLEEPERS || burn_begun < n)
		return -EAGAIN;
	for (size_t i = 0; i < n; i++) {
		double off = (used[i] / (sum / (double)n) - 1) * 100;

		worst = off < 0 ? (-off > worst ? -off : worst) : off > worst ? off : worst;
	}
	figure("fairness-worst-share-percent", worst);
	n = (size_t)atomic_load(&sampled) < SAMPLES ? (size_t)atomic_load(&sampled) : SAMPLES;
	if (n)
		percentiles("wake-beside-burners", wake_late, n);
	return 0;
}

#define OP(name, run, divisor, cpus) { "switch", name, run, divisor, cpus }

const struct operation switch_operations[] = {
	OP("futex-switch-same-cpu", run_futex_same, 2, 1),
	OP("futex-switch-two-cpus", run_futex_two, 2, 2),
	OP("condvar-switch-same-cpu", run_cond_same, 2, 1),
	OP("condvar-switch-two-cpus", run_cond_two, 2, 2),
	OP("semaphore-switch-same-cpu", run_sem_same, 2, 1),
	OP("semaphore-switch-two-cpus", run_sem_two, 2, 2),
	OP("pipe-switch-same-cpu", run_pipe_same, 2, 1),
	OP("pipe-switch-two-cpus", run_pipe_two, 2, 2),
	OP("sched_yield-two-threads", run_yield_same, 2, 1),
	OP("mutex-held-same-cpu", run_mutex_same, 2, 1),
	OP("mutex-held-two-cpus", run_mutex_two, 2, 2),
	OP("pthread-create-join", run_thread, 1, 1),
	OP("16-pthreads-create-join", run_threads, 16, 1),
	OP("timer", run_timer, 0, 1),
	OP("fairness", run_fairness, 0, 1),
	{ 0 },
};
