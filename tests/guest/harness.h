/*
 * tests/guest/harness.h - the mini-harness of the Linux ABI tests.
 *
 * Theory: one program is one topic, and holds a table of named cases. The same binary runs
 * first on Linux, which is the oracle, and then in a guest. There is no fork: each case runs on a
 * thread of its own, the main thread is the watchdog. A case that fails leaves by a long jump, a
 * case that crashes is caught by signal handlers, a case that hangs is reported and left
 * behind, and the next case starts with default signal dispositions.
 *
 * Interface:
 *   TEST(name) { ... }        defines a case; TEST_SLOW(name, seconds) allows it more time
 *   TEST_MAIN("topic")        once in a program, after the cases
 *   CHECK...(), FAIL(), SKIP() end the case (or the helper thread that calls them)
 *   fault_catch()             runs a function and tells which signal it raised
 * A program run without arguments runs all; with arguments those cases (glob patterns); `-l` lists;
 * `-m` runs on the main thread without a watchdog, for a kernel that has no threads yet.
 *
 * Output: `ok topic.name`, `not ok topic.name reason` or `skip topic.name reason`, a line a case.
 * The exit status is 1 when a case failed.
 */
#ifndef TESTS_GUEST_HARNESS_H
#define TESTS_GUEST_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096ul
#define CASE_SECONDS 20
#define MAX_CASES 256
#define BAD_PTR ((void *)8)                         /* in the page that is never mapped */
#define HIGH_PTR ((void *)0xffff800000001000ul)     /* the kernel's half */
#define NONCANONICAL_PTR ((void *)0x8000000000001000ul)

struct test_case {
	const char *name;
	void (*run)(void);
	int seconds;
};

static const struct test_case *case_table[MAX_CASES];
static int case_count;

/* The case that runs: state 0 running, 1 passed, 2 failed, 3 skipped. */
struct case_run {
	const struct test_case *test;
	_Atomic int state;
	char reason[400];
	sigjmp_buf leave;
};

static struct case_run *_Atomic case_now;
/* Where a failed check and a fault of this thread go. Volatile: handlers read them at any moment. */
static __thread sigjmp_buf *volatile leave_here;
static __thread sigjmp_buf *volatile fault_here;
static char scratch_dir[64];

#define TEST_SLOW(NAME, SECONDS)                                                                   \
	static void test_##NAME(void);                                                             \
	static const struct test_case case_##NAME = { #NAME, test_##NAME, SECONDS };               \
	__attribute__((constructor)) static void register_##NAME(void)                             \
	{                                                                                          \
		if (case_count == MAX_CASES)                                                       \
			abort(); /* a case that does not fit would never run */                    \
		case_table[case_count++] = &case_##NAME;                                           \
	}                                                                                          \
	static void test_##NAME(void)
#define TEST(NAME) TEST_SLOW(NAME, CASE_SECONDS)

static inline void case_end(int state, const char *file, int line, const char *format, va_list args)
{
	struct case_run *run = case_now;
	int running = 0;

	if (run && atomic_compare_exchange_strong(&run->state, &running, state)) {
		int n = 0;

		if (state == 2)
			n = snprintf(run->reason, sizeof(run->reason), "%s:%d: ", file, line);
		vsnprintf(run->reason + n, sizeof(run->reason) - n, format, args);
	}
	if (leave_here)
		siglongjmp(*leave_here, 1);
	pthread_exit(NULL);
}

__attribute__((format(printf, 3, 4), noreturn)) static inline void
case_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	case_end(2, file, line, format, args);
	va_end(args);
	abort();
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void case_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	case_end(3, "", 0, format, args);
	va_end(args);
	abort();
}

#define FILE_NAME (strrchr(__FILE__, '/') ? strrchr(__FILE__, '/') + 1 : __FILE__)
#define FAIL(...) case_fail(FILE_NAME, __LINE__, __VA_ARGS__)
#define SKIP(...) case_skip(__VA_ARGS__)

#define CHECK(COND)                                                                                \
	do {                                                                                       \
		if (!(COND))                                                                       \
			FAIL("not true: %s", #COND);                                               \
	} while (0)

#define CHECK_MSG(COND, ...)                                                                       \
	do {                                                                                       \
		if (!(COND))                                                                       \
			FAIL(__VA_ARGS__);                                                         \
	} while (0)

#define CHECK_EQ(GOT, WANT)                                                                        \
	do {                                                                                       \
		long long got_ = (long long)(GOT), want_ = (long long)(WANT);                      \
		if (got_ != want_)                                                                 \
			FAIL("%s is %lld (0x%llx), not %lld (%s)", #GOT, got_, got_, want_, #WANT); \
	} while (0)

#define CHECK_OK(CALL)                                                                             \
	({                                                                                         \
		errno = 0;                                                                         \
		long long got_ = (long long)(CALL);                                                \
		if (got_ == -1)                                                                    \
			FAIL("%s: %s", #CALL, strerror(errno));                                    \
		got_;                                                                              \
	})

#define CHECK_ERR(CALL, WANT)                                                                      \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long got_ = (long long)(CALL);                                                \
		int err_ = errno;                                                                  \
		if (got_ != -1)                                                                    \
			FAIL("%s returned %lld, not %s", #CALL, got_, #WANT);                      \
		if (err_ != (WANT))                                                                \
			FAIL("%s: %s, not %s", #CALL, strerrorname_np(err_) ?: "?", #WANT);        \
	} while (0)

#define CHECK_STR(GOT, WANT)                                                                       \
	do {                                                                                       \
		const char *got_ = (GOT), *want_ = (WANT);                                         \
		if (strcmp(got_, want_))                                                           \
			FAIL("%s is \"%.80s\", not \"%.80s\"", #GOT, got_, want_);                 \
	} while (0)

/* A raw system call that answers -errno instead of setting errno. */
#define sys(...) ({ errno = 0; long r_ = syscall(__VA_ARGS__); r_ == -1 && errno ? -errno : r_; })

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static inline void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

/* Wait until COND holds, at most five seconds; false when it never did. */
#define EVENTUALLY(COND)                                                                           \
	({                                                                                         \
		int64_t end_ = now_ns() + 5000000000ll;                                            \
		bool is_;                                                                          \
		while (!(is_ = (COND)) && now_ns() < end_)                                         \
			sleep_ms(1);                                                               \
		is_;                                                                               \
	})

static inline pthread_t thread_start(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, run, arg);

	if (err)
		FAIL("pthread_create: %s", strerror(err));
	return thread;
}

/* Waits for its end, and for the value with which it ends. */
static inline void thread_join(pthread_t thread, void *want)
{
	void *got = NULL;

	CHECK_EQ(pthread_join(thread, &got), 0);
	CHECK(got == want);
}

static inline char *map_anon(size_t npages, int prot)
{
	char *p = mmap(NULL, npages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		FAIL("mmap of %zu pages: %s", npages, strerror(errno));
	return p;
}

/* A path in the program's scratch directory; the answer is good for sixteen further calls of the same thread. */
static inline const char *scratch(const char *name)
{
	static _Thread_local char paths[16][160]; /* threads call this at the same time */
	static _Thread_local unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch_dir, name);
	return path;
}

static inline int scratch_file(const char *name, const void *data, size_t length)
{
	int fd = open(scratch(name), O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, data, length) != (ssize_t)length)
		FAIL("file %s: %s", name, strerror(errno));
	return fd;
}

/* The whole of a file as a string, at most size - 1 bytes; its length, or -1. */
static inline long read_file(const char *path, char *data, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	while (length < size - 1 && (n = read(fd, data + length, size - 1 - length)) > 0)
		length += n;
	close(fd);
	data[length] = 0;
	return n < 0 ? -1 : (long)length;
}

/* A field of /proc/meminfo or /proc/self/status in KiB; -1 when it is not there. */
static inline long field(const char *path, const char *name)
{
	static _Thread_local char text[65536];
	char *at;

	if (read_file(path, text, sizeof(text)) < 0)
		return -1;
	for (at = text; at; at = strchr(at, '\n')) {
		if (*at == '\n')
			at++;
		if (!strncmp(at, name, strlen(name)) && at[strlen(name)] == ':')
			return strtol(at + strlen(name) + 1, NULL, 10);
	}
	return -1;
}

static inline void handle(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	if (sigaction(sig, &sa, NULL))
		FAIL("sigaction(%d): %s", sig, strerror(errno));
}

/* What a fault told its handler. sig is 0 when the function returned. */
struct fault {
	int sig;
	int code;
	uintptr_t addr;
	uintptr_t rip;
	long trapno;
	long error;
};

static __thread struct fault fault_seen;

static inline void fault_handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	fault_seen = (struct fault){ sig, info->si_code, (uintptr_t)info->si_addr,
				     (uintptr_t)uc->uc_mcontext.gregs[REG_RIP],
				     uc->uc_mcontext.gregs[REG_TRAPNO],
				     uc->uc_mcontext.gregs[REG_ERR] };
	if (fault_here)
		siglongjmp(*fault_here, 1);
	if (leave_here) {
		struct case_run *run = case_now;
		int running = 0;

		if (run && atomic_compare_exchange_strong(&run->state, &running, 2))
			snprintf(run->reason, sizeof(run->reason),
				 "unexpected signal %d code %d address %p rip %p", sig,
				 info->si_code, info->si_addr, (void *)fault_seen.rip);
		siglongjmp(*leave_here, 1);
	}
	static const char text[] = "fault outside of any case\n";
	ssize_t n = write(1, text, sizeof(text) - 1);
	(void)n;
	_exit(3);
}

static const int fault_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };

static inline void fault_handlers_set(void)
{
	struct sigaction sa = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	for (unsigned i = 0; i < sizeof(fault_signals) / sizeof(int); i++)
		sigaction(fault_signals[i], &sa, NULL);
}

/* Run a function that is expected to fault; what it raised, or sig 0 when it came back. */
static inline struct fault fault_catch(void (*run)(void *), void *arg)
{
	sigjmp_buf here;

	fault_handlers_set();
	fault_seen = (struct fault){ 0 };
	if (sigsetjmp(here, 1) == 0) {
		fault_here = &here;
		run(arg);
	}
	fault_here = NULL;
	return fault_seen;
}

static inline void fault_read(void *address)
{
	*(volatile char *)address;
}

static inline void fault_write(void *address)
{
	*(volatile char *)address = 1;
}

static inline void fault_call(void *address)
{
	((void (*)(void))address)();
}

#define CHECK_FAULT(RUN, ARG, SIG, CODE)                                                           \
	({                                                                                         \
		struct fault f_ = fault_catch(RUN, ARG);                                           \
		if (f_.sig != (SIG) || f_.code != (CODE))                                          \
			FAIL("%s(%s) raised signal %d code %d, not %s %s", #RUN, #ARG, f_.sig,     \
			     f_.code, #SIG, #CODE);                                                \
		f_;                                                                                \
	})

/* True when a byte can be read; used to see which pages are there. */
static inline bool readable(const void *address)
{
	return fault_catch(fault_read, (void *)(uintptr_t)address).sig == 0;
}

static inline bool writable(void *address)
{
	return fault_catch(fault_write, address).sig == 0;
}

static inline void signals_reset(void)
{
	sigset_t none;

	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33)
			signal(sig, SIG_DFL);
	fault_handlers_set();
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static inline void *case_thread(void *arg)
{
	struct case_run *run = arg;
	char *altstack = malloc(65536);
	stack_t ss = { .ss_sp = altstack, .ss_size = 65536 };
	int running = 0;

	sigaltstack(&ss, NULL);
	if (sigsetjmp(run->leave, 1) == 0) {
		leave_here = &run->leave;
		run->test->run();
	}
	leave_here = NULL;
	fault_here = NULL;
	ss.ss_flags = SS_DISABLE;
	if (sigaltstack(&ss, NULL) == 0)
		free(altstack);
	atomic_compare_exchange_strong(&run->state, &running, 1);
	syscall(SYS_futex, &run->state, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
	return NULL;
}

/* Run one case; the answer is its final state. */
static inline int case_execute(const char *topic, const struct test_case *test, bool on_main)
{
	static const char *const verdict[] = { "not ok", "ok", "not ok", "skip" };
	/* Never freed after a timeout: the case may still be running in it. */
	struct case_run *run = calloc(1, sizeof(*run));
	int64_t end = now_ns() + test->seconds * 1000000000ll;
	char line[600];
	pthread_t thread;
	int state = 0, n;

	run->test = test;
	case_now = run;
	signals_reset();
	if (on_main) {
		case_thread(run);
	} else {
		int err = pthread_create(&thread, NULL, case_thread, run);

		if (err) {
			run->state = 2;
			snprintf(run->reason, sizeof(run->reason), "no thread: %s", strerror(err));
		} else {
			while (run->state == 0 && now_ns() < end) {
				struct timespec ts = { 0, 200000000 };

				syscall(SYS_futex, &run->state, 0 /* FUTEX_WAIT */, 0, &ts, NULL, 0);
			}
			if (run->state == 0) {
				pthread_detach(thread);
			} else {
				struct timespec ts;

				clock_gettime(CLOCK_REALTIME, &ts);
				ts.tv_sec += 5;
				if (pthread_timedjoin_np(thread, NULL, &ts))
					pthread_detach(thread);
			}
		}
	}
	if (atomic_compare_exchange_strong(&run->state, &state, 2))
		snprintf(run->reason, sizeof(run->reason), "no end after %d s", test->seconds);
	state = run->state;
	n = snprintf(line, sizeof(line), "%s %s.%s%s%s\n", verdict[state], topic, test->name,
		     run->reason[0] ? " " : "", run->reason);
	if (write(1, line, n) != n)
		_exit(4);
	return state;
}

static inline int scratch_remove(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	remove(path);
	return 0;
}

static inline int test_main(const char *topic, int argc, char **argv)
{
	bool on_main = false;
	int failed = 0, ran = 0, first = 1;

	if (argc > 1 && !strcmp(argv[1], "-l")) {
		for (int i = 0; i < case_count; i++)
			printf("%s.%s\n", topic, case_table[i]->name);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "-m")) {
		on_main = true;
		first = 2;
	}
	snprintf(scratch_dir, sizeof(scratch_dir), "/tmp/t-%s-XXXXXX", topic);
	if (!mkdtemp(scratch_dir)) {
		fprintf(stderr, "%s: %s: %s\n", topic, scratch_dir, strerror(errno));
		return 2;
	}
	for (int i = 0; i < case_count; i++) {
		bool wanted = first >= argc;

		for (int a = first; a < argc; a++)
			wanted |= !fnmatch(argv[a], case_table[i]->name, 0);
		if (wanted) {
			ran++;
			failed += case_execute(topic, case_table[i], on_main) == 2;
		}
	}
	signals_reset();
	nftw(scratch_dir, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
	if (!ran) {
		fprintf(stderr, "%s: no such case\n", topic);
		return 2;
	}
	/* Threads of timed-out cases may still run: leave without waiting for them. */
	fflush(stdout);
	_exit(failed ? 1 : 0);
}

#define TEST_MAIN(TOPIC)                                                                           \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return test_main(TOPIC, argc, argv);                                               \
	}

#endif
