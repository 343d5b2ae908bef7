/*
 * tests/guest/random.c - system calls with random arguments must answer an error or succeed, and never hurt
 * the kernel. The list is of calls that cannot harm the machine the test runs on.
 */
#include "harness.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static const short calls[] = {
	SYS_read, SYS_write, SYS_open, SYS_stat, SYS_fstat, SYS_lstat, SYS_poll, SYS_lseek, SYS_ioctl, SYS_pread64,
	SYS_pwrite64, SYS_readv, SYS_writev, SYS_access, SYS_pipe, SYS_select, SYS_sched_yield, SYS_mincore, SYS_msync,
	SYS_dup, SYS_nanosleep, SYS_getitimer, SYS_getpid, SYS_socket, SYS_socketpair, SYS_sendto, SYS_recvfrom,
	SYS_sendmsg, SYS_recvmsg, SYS_shutdown, SYS_bind, SYS_listen, SYS_getsockname, SYS_getpeername,
	SYS_setsockopt, SYS_getsockopt, SYS_uname, SYS_fcntl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_truncate,
	SYS_ftruncate, SYS_getdents64, SYS_getcwd, SYS_rename, SYS_mkdir, SYS_rmdir, SYS_creat, SYS_link,
	SYS_unlink, SYS_symlink, SYS_readlink, SYS_chmod, SYS_umask, SYS_gettimeofday, SYS_getrlimit,
	SYS_getrusage, SYS_sysinfo, SYS_times, SYS_getuid, SYS_getgroups, SYS_getresuid, SYS_getpgid, SYS_rt_sigpending,
	SYS_rt_sigtimedwait, SYS_statfs, SYS_fstatfs, SYS_getpriority, SYS_sched_getparam, SYS_sched_getscheduler,
	SYS_sched_get_priority_max, SYS_gettid, SYS_getxattr, SYS_fgetxattr, SYS_listxattr, SYS_futex,
	SYS_sched_getaffinity, SYS_epoll_create, SYS_epoll_wait, SYS_epoll_ctl, SYS_clock_gettime, SYS_clock_getres,
	SYS_clock_nanosleep, SYS_openat, SYS_mkdirat, SYS_newfstatat, SYS_unlinkat, SYS_renameat, SYS_linkat,
	SYS_symlinkat, SYS_readlinkat, SYS_faccessat, SYS_pselect6, SYS_ppoll, SYS_utimensat, SYS_epoll_pwait,
	SYS_signalfd, SYS_timerfd_create, SYS_eventfd, SYS_fallocate, SYS_timerfd_settime, SYS_timerfd_gettime,
	SYS_signalfd4, SYS_eventfd2, SYS_epoll_create1, SYS_pipe2, SYS_inotify_init1, SYS_inotify_add_watch,
	SYS_inotify_rm_watch, SYS_preadv, SYS_pwritev, SYS_prlimit64, SYS_getcpu, SYS_renameat2, SYS_getrandom,
	SYS_memfd_create, SYS_mlock2, SYS_statx, SYS_sendfile, SYS_copy_file_range, SYS_get_robust_list, SYS_brk,
	SYS_fadvise64, SYS_readahead, SYS_get_mempolicy, SYS_rt_sigprocmask,
};

static _Atomic bool nudge_stop;
static pid_t nudge_tid;

static void nothing(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
}

/* A call that blocks is interrupted: a signal comes every few milliseconds. */
static void *nudge(void *arg)
{
	while (!nudge_stop) {
		sleep_ms(3);
		tgkill(getpid(), nudge_tid, SIGUSR1);
	}
	return arg;
}

static uint64_t state;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void random_calls(uint64_t seed, int n)
{
	/* Sixteen pages inside a gigabyte that nothing else can be in: no call overruns into other memory. */
	char *region = mmap(NULL, 1ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *buffer = region + (1ul << 29);
	int fds[10], s[2];
	pthread_t thread;

	CHECK(region != MAP_FAILED);
	CHECK(mmap(buffer, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == buffer);
	CHECK_OK(chdir(scratch_dir));
	CHECK_OK(pipe2(fds, O_NONBLOCK));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	fds[2] = s[0];
	fds[3] = s[1];
	fds[4] = scratch_file("random", "0123456789", 10);
	fds[5] = CHECK_OK(open(scratch_dir, O_RDONLY | O_DIRECTORY));
	fds[6] = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	fds[7] = CHECK_OK(epoll_create1(0));
	fds[8] = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	fds[9] = CHECK_OK(open("/proc/self/status", O_RDONLY));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGIO, SIG_IGN);
	signal(SIGURG, SIG_IGN);
	handle(SIGUSR1, nothing, 0);
	nudge_tid = gettid();
	nudge_stop = false;
	thread = thread_start(nudge, NULL);
	state = seed;
	for (int i = 0; i < n; i++) {
		long nr = calls[next() % (sizeof(calls) / sizeof(calls[0]))], a[6], r;

		for (int j = 0; j < 6; j++) {
			uint64_t x = next();

			switch (x % 16) {
			case 0: a[j] = 0; break;
			case 1: a[j] = -1; break;
			case 2: a[j] = (long)BAD_PTR; break;
			case 3: a[j] = (long)HIGH_PTR; break;
			case 4: a[j] = (long)NONCANONICAL_PTR; break;
			case 5: a[j] = (long)(buffer + 16 * PAGE - (x >> 8) % 64); break;
			case 6: a[j] = LONG_MIN; break;
			case 7: a[j] = (long)(x >> 8) % 4096; break;
			case 8: a[j] = 1 << ((x >> 8) % 20); break;
			case 9: case 10: case 11: a[j] = fds[(x >> 8) % 10]; break;
			default: a[j] = (long)(buffer + (x >> 8) % (16 * PAGE)); break;
			}
		}
		/* Descriptors 0 to 2 belong to the harness. */
		if ((unsigned long)a[0] < 3)
			a[0] = fds[next() % 10];
		if (nr == SYS_rt_sigprocmask)
			a[1] = 0;
		if (nr == SYS_brk)
			a[0] = (long)HIGH_PTR;
		if (nr == SYS_prlimit64)
			a[2] = 0;
		if (nr == SYS_fcntl && (a[1] == 8 || a[1] == 10)) /* F_SETOWN, F_SETSIG: signals by number */
			continue;
		for (int j = 0; j < 8; j++)
			*(uint64_t *)(buffer + next() % (16 * PAGE - 8)) = next() & next() & next() & 0xffffffff000000ffull;
		r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (r == -1 && (errno <= 0 || errno > 133))
			FAIL("call %ld answered errno %d (seed %lu, call %d)", nr, errno, (unsigned long)seed, i);
		if (i % 500 == 0)
			syscall(SYS_close_range, 100, ~0u, 0);
		if (i % 500 == 0 && ftruncate(fds[4], 10))
			FAIL("ftruncate: %s", strerror(errno));
	}
	nudge_stop = true;
	pthread_join(thread, NULL);
	/* The kernel still works. */
	CHECK_EQ(getpid(), sys(SYS_getpid));
	CHECK_OK(pwrite(fds[4], "end", 3, 0));
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	CHECK_OK(munmap(region, 1ul << 30));
	CHECK_OK(chdir("/"));
}

TEST_SLOW(random_arguments_seed_1, 90)
{
	random_calls(88172645463325252ull, 8000);
}

TEST_SLOW(random_arguments_seed_2, 90)
{
	random_calls(1234567890123ull, 8000);
}

TEST_SLOW(random_arguments_seed_3, 90)
{
	random_calls(0xdeadbeefcafebabeull, 8000);
}

TEST(calls_that_take_a_pointer_first_refuse_bad_ones)
{
	static const short take_pointer[] = {
		SYS_stat, SYS_lstat, SYS_access, SYS_pipe, SYS_uname, SYS_getcwd, SYS_chdir, SYS_rename, SYS_mkdir,
		SYS_rmdir, SYS_creat, SYS_link, SYS_unlink, SYS_symlink, SYS_readlink, SYS_chmod, SYS_sysinfo, SYS_statfs,
		SYS_nanosleep, SYS_rt_sigsuspend, SYS_truncate,
	};

	for (unsigned i = 0; i < sizeof(take_pointer) / sizeof(short); i++) {
		long nr = take_pointer[i];
		void *const bad[] = { BAD_PTR, HIGH_PTR, NONCANONICAL_PTR, (void *)-1l, (void *)-4096l };

		for (int j = 0; j < 5; j++) {
			long r = sys(nr, bad[j], nr == SYS_rt_sigsuspend ? 8l : nr == SYS_access ? 0l : 4096l, 10);

			CHECK_MSG(r == -EFAULT, "call %ld with %p: %ld", nr, bad[j], r);
		}
	}
}

TEST_MAIN("random")
