/*
 * tests/guest/threads.c - threads: creation, identity, end, names, cancellation, locks. Who runs when is sched.c.
 */
#include "harness.h"
#include "waits.h"
#include <dirent.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>

static void *return_argument(void *arg)
{
	return arg;
}

static void *return_tid(void *arg)
{
	(void)arg;
	return (void *)syscall(SYS_gettid);
}

TEST(join_returns_the_value_of_the_thread)
{
	thread_join(thread_start(return_argument, (void *)0x1234), (void *)0x1234);
}

TEST(sixty_four_threads_run_and_join)
{
	pthread_t threads[64];

	for (long i = 0; i < 64; i++)
		threads[i] = thread_start(return_argument, (void *)i);
	for (long i = 0; i < 64; i++)
		thread_join(threads[i], (void *)i);
}

TEST_SLOW(two_thousand_threads_one_after_the_other, 60)
{
	for (long i = 0; i < 2000; i++)
		thread_join(thread_start(return_argument, (void *)i), (void *)i);
}

static pthread_barrier_t barrier;

static void *meet_twice(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

TEST_SLOW(three_hundred_threads_are_alive_at_once, 60)
{
	enum { N = 300 };
	static pthread_t threads[N];
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_barrier_init(&barrier, NULL, N + 1);
	for (int i = 0; i < N; i++)
		CHECK_EQ(pthread_create(&threads[i], &attr, meet_twice, NULL), 0);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < N; i++)
		thread_join(threads[i], NULL);
}

TEST(gettid_differs_between_threads_and_getpid_does_not)
{
	void *tid;
	pthread_t thread = thread_start(return_tid, NULL);

	CHECK_EQ(pthread_join(thread, &tid), 0);
	CHECK((long)tid > 0);
	CHECK((long)tid != syscall(SYS_gettid));
	CHECK(getpid() != syscall(SYS_gettid));
	CHECK_EQ(syscall(SYS_getpid), getpid());
}

static __thread long local = 42;
static __thread char local_zero[3000];

static void *see_fresh_local(void *arg)
{
	long fresh = local;

	for (unsigned i = 0; i < sizeof(local_zero); i++)
		fresh += local_zero[i];
	local = (long)arg;
	memset(local_zero, 1, sizeof(local_zero));
	sched_yield();
	return (void *)(long)(fresh == 42 && local == (long)arg);
}

TEST(thread_local_variables_start_fresh_in_each_thread)
{
	pthread_t threads[8];

	local = 7;
	for (long i = 0; i < 8; i++)
		threads[i] = thread_start(see_fresh_local, (void *)(100 + i));
	for (int i = 0; i < 8; i++)
		thread_join(threads[i], (void *)1);
	CHECK_EQ(local, 7);
}

static long clone_word;
static _Atomic int cleared_tid, parent_tid;

static int clone_body(void *arg)
{
	/* No C library here: this thread shares its creator's thread-local storage. */
	*(long *)arg = 99;
	return 0;
}

TEST(raw_clone_writes_and_clears_the_thread_id)
{
	char *stack = map_anon(16, PROT_READ | PROT_WRITE);
	int tid;

	cleared_tid = -1;
	parent_tid = 0;
	tid = clone(clone_body, stack + 16 * PAGE,
		    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
		    &clone_word, &parent_tid, NULL, &cleared_tid);
	CHECK(tid > 0);
	CHECK_EQ(parent_tid, tid);
	/* The end of the thread clears the word and wakes one waiter of its futex. */
	while (cleared_tid) {
		struct timespec ts = { 5, 0 };
		long r = sys(SYS_futex, &cleared_tid, 0, -1, &ts);

		CHECK(r == 0 || r == -EAGAIN || r == -EINTR);
	}
	CHECK_EQ(clone_word, 99);
}

TEST(clone_makes_the_thread_though_its_id_cannot_be_told)
{
	void *const nowhere[] = { BAD_PTR, HIGH_PTR };

	for (int i = 0; i < 2; i++) {
		char *stack = map_anon(16, PROT_READ | PROT_WRITE);

		cleared_tid = -1;
		clone_word = 0;
		CHECK(clone(clone_body, stack + 16 * PAGE,
			    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
				    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
			    &clone_word, nowhere[i], NULL, &cleared_tid) > 0);
		CHECK(EVENTUALLY(!cleared_tid));
		CHECK_EQ(clone_word, 99);
	}
}

TEST(clone_refuses_contradicting_flags)
{
	CHECK_EQ(sys(SYS_clone, CLONE_THREAD | CLONE_VM, 0, 0, 0, 0), -EINVAL);
	CHECK_EQ(sys(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), -EINVAL);
	CHECK_EQ(sys(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0), -EINVAL);
	CHECK_EQ(sys(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0), -EINVAL);
}

TEST(clone3_checks_its_arguments)
{
	static struct {
		struct clone_args args;
		char more[64];
	} big;
	struct clone_args args = { .flags = CLONE_THREAD };

	CHECK_EQ(sys(SYS_clone3, &args, 63), -EINVAL);
	CHECK_EQ(sys(SYS_clone3, &args, PAGE + 1), -E2BIG);
	CHECK_EQ(sys(SYS_clone3, BAD_PTR, sizeof(args)), -EFAULT);
	CHECK_EQ(sys(SYS_clone3, &args, sizeof(args)), -EINVAL);
	big.more[3] = 1;
	CHECK_EQ(sys(SYS_clone3, &big, sizeof(big)), -E2BIG);
	args = (struct clone_args){ .flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD,
				    .exit_signal = SIGCHLD };
	CHECK_EQ(sys(SYS_clone3, &args, sizeof(args)), -EINVAL);
	args = (struct clone_args){ .flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD,
				    .stack = 0x1000000 };
	CHECK_EQ(sys(SYS_clone3, &args, sizeof(args)), -EINVAL);
	args.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	args.stack_size = 0ul - args.stack + 0x10000; /* beyond the end of all addresses, to some that look good */
	CHECK_EQ(sys(SYS_clone3, &args, sizeof(args)), -EINVAL);
	args.stack = (uintptr_t)HIGH_PTR;
	args.stack_size = PAGE;
	CHECK_EQ(sys(SYS_clone3, &args, sizeof(args)), -EINVAL);
}

static long address_answer, address_tid;

/* Ends without the C library, which would wait for its own address to be cleared. */
static void *set_address(void *arg)
{
	(void)arg;
	address_answer = sys(SYS_set_tid_address, &cleared_tid);
	address_tid = sys(SYS_gettid);
	sys(SYS_exit, 0);
	return NULL;
}

TEST(set_tid_address_answers_the_thread_id_and_is_cleared_at_the_end)
{
	pthread_attr_t attr;
	pthread_t thread;

	cleared_tid = -1;
	address_answer = address_tid = 0;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	CHECK_EQ(pthread_create(&thread, &attr, set_address, NULL), 0);
	CHECK(EVENTUALLY(!cleared_tid));
	CHECK(address_tid > 0 && address_tid != gettid());
	CHECK_EQ(address_answer, address_tid);
}

static void *name_self(void *arg)
{
	char name[20] = "", path[64], text[40];

	(void)arg;
	CHECK_OK(prctl(PR_SET_NAME, "a name that is far too long"));
	CHECK_OK(prctl(PR_GET_NAME, name));
	CHECK_STR(name, "a name that is ");
	snprintf(path, sizeof(path), "/proc/self/task/%ld/comm", syscall(SYS_gettid));
	CHECK(read_file(path, text, sizeof(text)) > 0);
	CHECK_STR(text, "a name that is \n");
	CHECK_EQ(sys(SYS_prctl, PR_SET_NAME, BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_prctl, PR_GET_NAME, BAD_PTR), -EFAULT);
	return NULL;
}

TEST(a_thread_name_is_cut_at_15_bytes_and_seen_in_proc)
{
	thread_join(thread_start(name_self, NULL), NULL);
}

static void *name_other(void *arg)
{
	(void)arg;
	meet_twice(NULL);
	return NULL;
}

TEST(a_thread_can_name_another_by_proc)
{
	pthread_t thread;
	char name[16];

	pthread_barrier_init(&barrier, NULL, 2);
	thread = thread_start(name_other, NULL);
	pthread_barrier_wait(&barrier);
	CHECK_EQ(pthread_setname_np(thread, "renamed"), 0);
	CHECK_EQ(pthread_getname_np(thread, name, sizeof(name)), 0);
	CHECK_STR(name, "renamed");
	pthread_barrier_wait(&barrier);
	thread_join(thread, NULL);
}

static _Atomic pid_t listed_tid;

static void *meet_listed(void *arg)
{
	listed_tid = gettid();
	return meet_twice(arg);
}

static bool is_listed(pid_t tid)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	bool seen = false;

	CHECK(dir);
	while ((e = readdir(dir)))
		seen |= atoi(e->d_name) == tid;
	closedir(dir);
	return seen;
}

TEST(every_thread_is_listed_in_proc_self_task)
{
	char path[64];
	struct stat st;
	void *tid;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	thread = thread_start(meet_listed, NULL);
	pthread_barrier_wait(&barrier);
	snprintf(path, sizeof(path), "/proc/self/task/%d", listed_tid);
	CHECK_OK(stat(path, &st));
	CHECK(S_ISDIR(st.st_mode));
	CHECK(is_listed(getpid()) && is_listed(gettid()) && is_listed(listed_tid));
	CHECK_OK(stat("/proc/self/task", &st));
	CHECK(S_ISDIR(st.st_mode));
	pthread_barrier_wait(&barrier);
	thread_join(thread, NULL);
	thread = thread_start(return_tid, NULL);
	pthread_join(thread, &tid);
	snprintf(path, sizeof(path), "/proc/self/task/%ld", (long)tid);
	CHECK(EVENTUALLY(access(path, F_OK) == -1 && errno == ENOENT));
	CHECK(!is_listed((pid_t)(long)tid));
}

TEST(tgkill_and_tkill_check_their_targets)
{
	CHECK_EQ(sys(SYS_tgkill, getpid(), 4000000, 0), -ESRCH);
	CHECK_EQ(sys(SYS_tgkill, getpid(), -1, 0), -EINVAL);
	CHECK_EQ(sys(SYS_tgkill, 0, gettid(), 0), -EINVAL);
	CHECK_EQ(sys(SYS_tgkill, getpid(), gettid(), 65), -EINVAL);
	CHECK_EQ(sys(SYS_tgkill, getpid(), gettid(), 0), 0);
	CHECK_EQ(sys(SYS_tgkill, getpid() + 100000, gettid(), 0), -ESRCH);
	CHECK_EQ(sys(SYS_tkill, 4000000, 0), -ESRCH);
	CHECK_EQ(sys(SYS_tkill, 0, 0), -EINVAL);
}

static void *touch_guard(void *arg)
{
	pthread_attr_t attr;
	void *low;
	size_t size, guard;

	(void)arg;
	CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	CHECK_EQ(pthread_attr_getstack(&attr, &low, &size), 0);
	CHECK_EQ(pthread_attr_getguardsize(&attr, &guard), 0);
	CHECK((char *)&attr > (char *)low && (char *)&attr < (char *)low + size);
	CHECK(guard >= PAGE);
	CHECK_FAULT(fault_write, (char *)low - 8, SIGSEGV, SEGV_ACCERR);
	CHECK_FAULT(fault_write, (char *)low - guard, SIGSEGV, SEGV_ACCERR);
	CHECK_EQ(fault_catch(fault_write, (char *)low).sig, 0);
	return NULL;
}

TEST(the_guard_page_of_a_stack_faults)
{
	thread_join(thread_start(touch_guard, NULL), NULL);
}

static _Atomic int cleanups;
static _Atomic pid_t blocked_tid;

static void cleanup(void *arg)
{
	(void)arg;
	cleanups++;
}

static void *block_in(void *arg)
{
	int kind = (long)arg;
	int fds[2];
	char c;
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

	pthread_cleanup_push(cleanup, NULL);
	blocked_tid = gettid();
	if (kind == 0 && pipe(fds) == 0 && read(fds[0], &c, 1) == 1) {
		cleanups = -100;
	} else if (kind == 1) {
		sleep(100);
	} else if (kind == 2) {
		pthread_mutex_lock(&mutex);
		pthread_cond_wait(&cond, &mutex);
	} else if (kind == 3) {
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		for (;;)
			__asm__ volatile("pause");
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancel_in(long kind)
{
	pthread_t thread;

	cleanups = 0;
	blocked_tid = 0;
	thread = thread_start(block_in, (void *)kind);
	CHECK(EVENTUALLY(blocked_tid));
	if (kind == 3)
		sleep_ms(30);
	else
		wait_asleep(blocked_tid);
	CHECK_EQ(pthread_cancel(thread), 0);
	thread_join(thread, PTHREAD_CANCELED);
	CHECK_EQ(cleanups, 1);
}

TEST(cancel_interrupts_read_of_a_pipe)
{
	cancel_in(0);
}

TEST(cancel_interrupts_sleep)
{
	cancel_in(1);
}

TEST(cancel_interrupts_a_condition_wait)
{
	cancel_in(2);
}

TEST(asynchronous_cancel_interrupts_a_loop)
{
	cancel_in(3);
}

static pthread_mutex_t count_mutex = PTHREAD_MUTEX_INITIALIZER;
static long count;

static void *count_under_mutex(void *arg)
{
	for (long i = 0; i < (long)arg; i++) {
		pthread_mutex_lock(&count_mutex);
		count++;
		pthread_mutex_unlock(&count_mutex);
	}
	return NULL;
}

TEST_SLOW(a_contended_mutex_loses_no_update, 60)
{
	pthread_t threads[8];

	count = 0;
	for (int i = 0; i < 8; i++)
		threads[i] = thread_start(count_under_mutex, (void *)20000);
	for (int i = 0; i < 8; i++)
		thread_join(threads[i], NULL);
	CHECK_EQ(count, 160000);
}

static pthread_cond_t turn_cond = PTHREAD_COND_INITIALIZER;
static int turn;

static void *take_turns(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&count_mutex);
		while (turn != (int)(long)arg)
			pthread_cond_wait(&turn_cond, &count_mutex);
		turn = !turn;
		pthread_cond_signal(&turn_cond);
		pthread_mutex_unlock(&count_mutex);
	}
	return NULL;
}

TEST_SLOW(condition_variables_lose_no_signal, 60)
{
	pthread_t other;

	turn = 0;
	other = thread_start(take_turns, (void *)1);
	take_turns((void *)0);
	thread_join(other, NULL);
}

TEST(condition_timed_wait_ends_at_its_deadline)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	pthread_condattr_t attr;
	struct timespec ts;
	int64_t start = now_ns();

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&cond, &attr);
	pthread_mutex_lock(&mutex);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += 50000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	while (pthread_cond_timedwait(&cond, &mutex, &ts) == 0)
		;
	CHECK(now_ns() - start >= 50000000);
	CHECK_EQ(pthread_cond_timedwait(&cond, &mutex, &ts), ETIMEDOUT);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

static void *write_locked(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		if ((long)arg) {
			pthread_rwlock_wrlock(&rwlock);
			++*(volatile long *)&count;
			++*(volatile long *)&count;
		} else {
			pthread_rwlock_rdlock(&rwlock);
			if (*(volatile long *)&count & 1)
				FAIL("a reader saw half an update");
		}
		pthread_rwlock_unlock(&rwlock);
	}
	return NULL;
}

TEST_SLOW(read_write_locks_exclude_writers, 60)
{
	pthread_t threads[6];

	count = 0;
	for (long i = 0; i < 6; i++)
		threads[i] = thread_start(write_locked, (void *)(i & 1));
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(count, 3 * 3000 * 2);
}

static pthread_key_t key;

static void *set_key(void *arg)
{
	pthread_setspecific(key, arg);
	return NULL;
}

TEST(key_destructors_run_at_the_end_of_a_thread)
{
	cleanups = 0;
	CHECK_EQ(pthread_key_create(&key, cleanup), 0);
	thread_join(thread_start(set_key, (void *)1), NULL);
	CHECK_EQ(cleanups, 1);
	pthread_key_delete(key);
}

static void *exit_early(void *arg)
{
	(void)arg;
	pthread_exit((void *)5);
}

TEST(pthread_exit_gives_its_value)
{
	thread_join(thread_start(exit_early, NULL), (void *)5);
}

static void *recurse(void *arg)
{
	volatile char frame[3000];

	memset((char *)frame, 1, sizeof(frame));
	if ((long)arg > 0)
		recurse((void *)((long)arg - 1));
	return frame[10] ? NULL : (void *)1;
}

TEST(a_stack_grows_over_its_whole_size)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 4 << 20);
	CHECK_EQ(pthread_create(&thread, &attr, recurse, (void *)1200), 0);
	thread_join(thread, NULL);
}

TEST(a_shared_semaphore_like_handshake_runs_fast_enough)
{
	/* Some thousand hand-overs between two threads: a wake that costs a timer tick fails here. */
	int64_t start = now_ns();
	pthread_t other;

	turn = 0;
	other = thread_start(take_turns, (void *)1);
	take_turns((void *)0);
	thread_join(other, NULL);
	CHECK_MSG(now_ns() - start < 8000000000ll, "4000 hand-overs took %ld ms",
		  (long)((now_ns() - start) / 1000000));
}

TEST_MAIN("threads")
