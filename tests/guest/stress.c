/*
 * tests/guest/stress.c - threads, futexes, mappings, page faults and signals, all at once and for a given time.
 *
 * Theory: each worker counts its rounds. The main thread looks on: a worker that makes no progress for
 * STALL_SECONDS has lost a wake-up or hangs. At the end the memory that is available must be back where it was
 * before the workers started (after a first short run, in which caches and pools fill).
 *
 * Interface: stress SECONDS; prints `ok stress.NAME` lines and a line of counters now and then; status 1 on failure.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define STALL_SECONDS 20
#define TOLERANCE_KIB (48 * 1024)
#define SHARED_PAGES 512

struct worker {
	const char *name;
	void *(*run)(void *);
	int arg;
	pthread_t thread;
	_Atomic long rounds;
	long seen;
	int64_t seen_at;
};

static _Atomic bool stop;
static _Atomic int failures;
static _Atomic long signals_sent, signals_seen;
static char *shared;

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void fail(const char *name, const char *reason)
{
	if (failures++ < 10) {
		char line[200];
		int n = snprintf(line, sizeof(line), "not ok stress.%s %s (%s)\n", name, reason, strerror(errno));

		if (write(1, line, n) != n)
			_exit(4);
	}
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* Two workers hand a token to and fro; a lost wake stops both. */
static _Atomic uint32_t tokens[4];

static void *pass_token(void *arg)
{
	struct worker *w = arg;
	_Atomic uint32_t *token = &tokens[w->arg / 2];
	uint32_t mine = w->arg % 2;

	while (!stop) {
		uint32_t t = *token;

		if (t % 2 != mine) {
			futex(token, FUTEX_WAIT_PRIVATE, t);
			continue;
		}
		*token = t + 1;
		futex(token, FUTEX_WAKE_PRIVATE, 1);
		w->rounds++;
	}
	++*token;
	futex(token, FUTEX_WAKE_PRIVATE, INT32_MAX);
	return NULL;
}

/* A bounded queue under a mutex and two condition variables. */
static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_more = PTHREAD_COND_INITIALIZER, queue_room = PTHREAD_COND_INITIALIZER;
static int queue_length;
static long queue_in, queue_out;

static void *use_queue(void *arg)
{
	struct worker *w = arg;

	while (!stop) {
		pthread_mutex_lock(&queue_mutex);
		if (w->arg) {
			while (queue_length == 8 && !stop)
				pthread_cond_wait(&queue_room, &queue_mutex);
			queue_length++;
			queue_in++;
			pthread_cond_signal(&queue_more);
		} else {
			while (queue_length == 0 && !stop)
				pthread_cond_wait(&queue_more, &queue_mutex);
			if (queue_length) {
				queue_length--;
				queue_out++;
			}
			pthread_cond_signal(&queue_room);
		}
		pthread_mutex_unlock(&queue_mutex);
		w->rounds++;
	}
	pthread_mutex_lock(&queue_mutex);
	pthread_cond_broadcast(&queue_more);
	pthread_cond_broadcast(&queue_room);
	pthread_mutex_unlock(&queue_mutex);
	return NULL;
}

/* Maps, touches, protects, splits and unmaps; the contents must be what was written. */
static void *use_memory(void *arg)
{
	struct worker *w = arg;
	unsigned seed = 17 + w->arg;

	while (!stop) {
		size_t n = 1 + rand_r(&seed) % 300, cut = rand_r(&seed) % n;
		char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED) {
			fail(w->name, "mmap");
			break;
		}
		for (size_t i = 0; i < n; i += 1 + i / 8) {
			if (p[i * PAGE] != 0)
				fail(w->name, "a fresh page is not zero");
			p[i * PAGE] = (char)(i + w->arg);
		}
		if (mprotect(p + cut * PAGE, PAGE, PROT_READ))
			fail(w->name, "mprotect");
		if (madvise(p, cut * PAGE / 2 & -PAGE, MADV_DONTNEED))
			fail(w->name, "madvise");
		for (size_t i = 0; i < n; i += 1 + i / 8) {
			bool dropped = i * PAGE < (cut * PAGE / 2 & -PAGE);

			if (p[i * PAGE] != (dropped ? 0 : (char)(i + w->arg)))
				fail(w->name, "a page lost its contents");
		}
		/* What has been given back is somebody else's from then on: no page may be unmapped twice. */
		if (munmap(p + cut * PAGE, PAGE) || (cut && munmap(p, cut * PAGE)) ||
		    (cut + 1 < n && munmap(p + (cut + 1) * PAGE, (n - cut - 1) * PAGE)))
			fail(w->name, "munmap");
		w->rounds++;
	}
	return NULL;
}

/* Everybody counts in the same pages while one worker drops them. */
static void *share_pages(void *arg)
{
	struct worker *w = arg;
	unsigned seed = 99 + w->arg;

	while (!stop) {
		size_t i = rand_r(&seed) % SHARED_PAGES;

		if (w->arg == 0) {
			if (madvise(shared + i * PAGE, PAGE, MADV_DONTNEED))
				fail(w->name, "madvise");
			if (i % 16 == 0)
				usleep(100);
		} else {
			atomic_fetch_add((_Atomic int *)(shared + i * PAGE), 1);
		}
		w->rounds++;
	}
	return NULL;
}

static void *come_and_go(void *arg)
{
	return arg;
}

static void *start_threads(void *arg)
{
	struct worker *w = arg;

	while (!stop) {
		pthread_t threads[8];
		int n = 0;

		while (n < 8 && pthread_create(&threads[n], NULL, come_and_go, w) == 0)
			n++;
		if (n < 8)
			fail(w->name, "pthread_create");
		while (n > 0)
			pthread_join(threads[--n], NULL);
		w->rounds++;
	}
	return NULL;
}

static void *sleep_short(void *arg)
{
	struct worker *w = arg;

	while (!stop) {
		struct timespec ts = { 0, 1000 + w->rounds % 50 * 20000 };

		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
		w->rounds++;
	}
	return NULL;
}

static void see_signal(int sig)
{
	(void)sig;
	signals_seen++;
}

static struct worker workers[] = {
	{ .name = "token", .run = pass_token, .arg = 0 },
	{ .name = "token", .run = pass_token, .arg = 1 },
	{ .name = "token", .run = pass_token, .arg = 2 },
	{ .name = "token", .run = pass_token, .arg = 3 },
	{ .name = "queue-in", .run = use_queue, .arg = 1 },
	{ .name = "queue-in", .run = use_queue, .arg = 1 },
	{ .name = "queue-out", .run = use_queue, .arg = 0 },
	{ .name = "queue-out", .run = use_queue, .arg = 0 },
	{ .name = "memory", .run = use_memory, .arg = 0 },
	{ .name = "memory", .run = use_memory, .arg = 1 },
	{ .name = "memory", .run = use_memory, .arg = 2 },
	{ .name = "drop-pages", .run = share_pages, .arg = 0 },
	{ .name = "share-pages", .run = share_pages, .arg = 1 },
	{ .name = "share-pages", .run = share_pages, .arg = 2 },
	{ .name = "threads", .run = start_threads },
	{ .name = "sleep", .run = sleep_short },
};
#define NWORKERS (sizeof(workers) / sizeof(workers[0]))

static long available_kib(void)
{
	char text[4096], *at;
	FILE *f = fopen("/proc/meminfo", "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = 0;
	at = strstr(text, "MemAvailable:");
	return at ? strtol(at + 13, NULL, 10) : -1;
}

/* Runs all workers for that long; false when one stalled, which leaves its threads behind. */
static bool run(int seconds)
{
	int64_t start = now_ns(), end = start + seconds * 1000000000ll, report = start + 10000000000ll;
	bool stalled = false;

	stop = false;
	memset((void *)tokens, 0, sizeof(tokens));
	queue_length = 0;
	queue_in = queue_out = 0;
	for (size_t i = 0; i < NWORKERS; i++) {
		workers[i].rounds = workers[i].seen = 0;
		workers[i].seen_at = start;
		if (pthread_create(&workers[i].thread, NULL, workers[i].run, &workers[i])) {
			fail("start", "pthread_create");
			return false;
		}
	}
	while (now_ns() < end && !stalled) {
		struct timespec ts = { 0, 10000000 };

		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
		for (size_t i = 0; i < NWORKERS; i++) {
			if (pthread_kill(workers[i].thread, SIGUSR1) == 0)
				signals_sent++;
			if (workers[i].rounds != workers[i].seen) {
				workers[i].seen = workers[i].rounds;
				workers[i].seen_at = now_ns();
			} else if (now_ns() - workers[i].seen_at > STALL_SECONDS * 1000000000ll) {
				fail(workers[i].name, "makes no progress: a wake-up was lost");
				stalled = true;
			}
		}
		if (now_ns() > report) {
			report += 10000000000ll;
			printf("%2d s:", (int)((now_ns() - start) / 1000000000));
			for (size_t i = 0; i < NWORKERS; i++)
				printf(" %ld", workers[i].rounds);
			printf(" signals %ld of %ld\n", signals_seen, signals_sent);
			fflush(stdout);
		}
	}
	stop = true;
	if (stalled)
		return false;
	for (size_t i = 0; i < NWORKERS; i++) {
		struct timespec ts;
		int err;

		/* A last wake for those who went to sleep as `stop` was set. */
		for (int j = 0; j < 4; j++) {
			tokens[j]++;
			futex(&tokens[j], FUTEX_WAKE_PRIVATE, INT32_MAX);
		}
		pthread_mutex_lock(&queue_mutex);
		pthread_cond_broadcast(&queue_more);
		pthread_cond_broadcast(&queue_room);
		pthread_mutex_unlock(&queue_mutex);
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_sec += STALL_SECONDS;
		err = pthread_timedjoin_np(workers[i].thread, NULL, &ts);
		if (err) {
			errno = err;
			fail(workers[i].name, "does not end");
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 60;
	struct sigaction sa = { .sa_handler = see_signal, .sa_flags = SA_RESTART };
	long before, after = 0, lost;
	bool done;

	if (seconds < 1) {
		fprintf(stderr, "usage: stress SECONDS\n");
		return 2;
	}
	sigaction(SIGUSR1, &sa, NULL);
	shared = mmap(NULL, SHARED_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	done = run(3);
	before = available_kib();
	signals_sent = signals_seen = 0;
	done = done && run(seconds);
	if (!done)
		goto out;
	puts("ok stress.every_worker_makes_progress_and_ends");
	if (signals_seen == 0) {
		fail("signals_reach_their_threads", "none came");
	} else {
		puts("ok stress.signals_reach_their_threads");
	}
	if (labs(queue_in - queue_out - queue_length) > 0)
		fail("the_queue_loses_nothing", "counts differ");
	else
		puts("ok stress.the_queue_loses_nothing");
	for (int i = 0; i < 50; i++) {
		after = available_kib();
		if (before - after <= TOLERANCE_KIB)
			break;
		usleep(100000);
	}
	lost = before - after;
	if (before < 0 || lost > TOLERANCE_KIB) {
		char reason[80];

		snprintf(reason, sizeof(reason), "%ld KiB are gone", lost);
		fail("memory_returns_to_its_level", reason);
	} else {
		puts("ok stress.memory_returns_to_its_level");
	}
out:
	fflush(stdout);
	_exit(failures ? 1 : 0);
}
