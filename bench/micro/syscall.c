/*
 * bench/micro/syscall.c - single system calls that do not sleep: through libc as programs make them, and some by a
 * `syscall` instruction in memory that the program may write (NAME-instruction), which no kernel turns into something else.
 */
#define _GNU_SOURCE
#include "micro.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static long instruction(long nr, long a, long b, long c)
{
	/* mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; syscall; ret */
	static const unsigned char code[] = { 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3 };
	static long (*call)(long, long, long, long);

	if (!call) {
		void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED)
			return -ENOMEM;
		memcpy(page, code, sizeof(code));
		call = (long (*)(long, long, long, long))page;
	}
	return call(nr, a, b, c);
}

/* An operation of one call: EXPRESSION is what must not be negative. */
#define CALL(name, expression) \
	static long run_##name(unsigned long count) \
	{ \
		while (count--) \
			if ((long)(expression) < 0) \
				return errno ? -errno : -EIO; \
		return 0; \
	}

/* The same with something that is opened before the loop. */
#define CALL_WITH(name, type, var, made, expression) \
	static long run_##name(unsigned long count) \
	{ \
		static type var; \
		static int ready; \
		if (!ready && (made) < 0) \
			return -errno; \
		ready = 1; \
		while (count--) \
			if ((long)(expression) < 0) \
				return errno ? -errno : -EIO; \
		return 0; \
	}

static char byte;
static char page[4096];
static struct timespec spec;
static struct timeval val;
static struct stat info;
static cpu_set_t cpu_set;
static sigset_t signals;
static struct rusage usage;
static struct rlimit limit;
static struct utsname names;
static struct sysinfo system_info;
static struct tms tms;
static int word;

CALL(getppid, getppid())
CALL(getppid_instruction, instruction(SYS_getppid, 0, 0, 0))
CALL(gettid, gettid())
CALL(gettid_instruction, instruction(SYS_gettid, 0, 0, 0))
CALL(getuid, getuid())
CALL_WITH(lseek, int, fd, fd = packed_file(), lseek(fd, 0, SEEK_SET))
CALL_WITH(lseek_instruction, int, fd, fd = packed_file(), instruction(SYS_lseek, fd, 0, SEEK_SET))
CALL_WITH(fcntl, int, fd, fd = packed_file(), fcntl(fd, F_GETFL))
CALL_WITH(fcntl_instruction, int, fd, fd = packed_file(), instruction(SYS_fcntl, fd, F_GETFL, 0))
CALL(affinity, sched_getaffinity(0, sizeof(cpu_set), &cpu_set))
CALL(affinity_instruction, instruction(SYS_sched_getaffinity, 0, sizeof(cpu_set), (long)&cpu_set))
CALL(clock, clock_gettime(CLOCK_MONOTONIC, &spec))
CALL(clock_instruction, instruction(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&spec, 0))
CALL(gettimeofday, gettimeofday(&val, NULL))
CALL(getcpu, sched_getcpu())
CALL(thread_clock, clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spec))
CALL(sigprocmask, pthread_sigmask(SIG_BLOCK, NULL, &signals))
CALL(sigaction, sigaction(SIGUSR1, NULL, NULL))
CALL(tgkill, syscall(SYS_tgkill, getpid(), gettid(), 0))
CALL(getrusage, getrusage(RUSAGE_THREAD, &usage))
CALL(getrlimit, getrlimit(RLIMIT_NOFILE, &limit))
CALL(uname, uname(&names))
CALL(sysinfo, sysinfo(&system_info))
CALL(times, times(&tms))
CALL(prctl, prctl(PR_GET_NAME, page))
CALL(getcwd, getcwd(page, sizeof(page)))
CALL(getrandom, getrandom(page, 16, 0))
CALL(sched_yield, sched_yield())
CALL(futex_wake, syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0))
CALL(futex_wait_changed, syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0) == -1 && errno == EAGAIN ? 0 : -1)
CALL(madvise, madvise(NULL, 0, MADV_NORMAL))
CALL_WITH(read_file, int, fd, fd = packed_file(), pread(fd, &byte, 1, 0))
CALL_WITH(read_file_instruction, int, fd, fd = packed_file(), instruction(SYS_lseek, fd, 0, SEEK_SET) < 0 ? -1 : instruction(SYS_read, fd, (long)&byte, 1))
CALL_WITH(write_null, int, fd, fd = open("/dev/null", O_WRONLY | O_CLOEXEC), write(fd, &byte, 1))
CALL_WITH(writev_null, int, fd, fd = open("/dev/null", O_WRONLY | O_CLOEXEC), writev(fd, &(struct iovec){ page, 64 }, 1))
CALL_WITH(read_zero, int, fd, fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), read(fd, &byte, 1))
CALL_WITH(eventfd, int, fd, fd = eventfd(1, EFD_CLOEXEC), write(fd, &(uint64_t){ 1 }, 8) < 0 ? -1 : read(fd, page, 8))
CALL_WITH(poll, struct pollfd, p, (p.events = POLLIN, p.fd = eventfd(1, EFD_CLOEXEC)), poll(&p, 1, 0))
CALL_WITH(fstat, int, fd, fd = packed_file(), fstat(fd, &info))
CALL(stat, stat(PACKED_FILE, &info))
CALL(access, access(PACKED_FILE, R_OK))
CALL(readlink, readlink("/proc/self/exe", page, sizeof(page)))
CALL_WITH(dup_close, int, fd, fd = packed_file(), close(dup(fd)))
CALL(open_close, close(open(PACKED_FILE, O_RDONLY | O_CLOEXEC)))

static long run_pipe_byte(unsigned long count)
{
	static int fd[2];

	if (!fd[1] && pipe2(fd, O_CLOEXEC))
		return -errno;
	while (count--)
		if (write(fd[1], &byte, 1) != 1 || read(fd[0], &byte, 1) != 1)
			return -errno;
	return 0;
}

static long run_epoll(unsigned long count)
{
	static int fd;
	struct epoll_event event = { .events = EPOLLIN };

	if (!fd) {
		int ready = eventfd(1, EFD_CLOEXEC);

		fd = epoll_create1(EPOLL_CLOEXEC);
		if (ready < 0 || fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, ready, &event))
			return -errno;
	}
	while (count--)
		if (epoll_wait(fd, &event, 1, 0) != 1)
			return -errno;
	return 0;
}

static void handler(int sig) { (void)sig; }

static long run_signal(unsigned long count)
{
	struct sigaction action = { .sa_handler = handler };

	if (sigaction(SIGUSR1, &action, NULL))
		return -errno;
	while (count--)
		if (raise(SIGUSR1))
			return -errno;
	return 0;
}

#define OP(name, run, divisor) { "syscall", name, run, divisor, 1 }

const struct operation syscall_operations[] = {
	OP("getppid", run_getppid, 1),
	OP("getppid-instruction", run_getppid_instruction, 1),
	OP("gettid", run_gettid, 1),
	OP("gettid-instruction", run_gettid_instruction, 1),
	OP("getuid", run_getuid, 1),
	OP("lseek", run_lseek, 1),
	OP("lseek-instruction", run_lseek_instruction, 1),
	OP("fcntl", run_fcntl, 1),
	OP("fcntl-instruction", run_fcntl_instruction, 1),
	OP("sched_getaffinity", run_affinity, 1),
	OP("sched_getaffinity-instruction", run_affinity_instruction, 1),
	OP("read-1-byte-cached-file", run_read_file, 1),
	OP("lseek-read-1-byte-instruction", run_read_file_instruction, 1),
	OP("write-dev-null", run_write_null, 1),
	OP("writev-dev-null", run_writev_null, 1),
	OP("read-dev-zero", run_read_zero, 1),
	OP("clock_gettime-vdso", run_clock, 1),
	OP("clock_gettime-instruction", run_clock_instruction, 1),
	OP("gettimeofday-vdso", run_gettimeofday, 1),
	OP("getcpu-vdso", run_getcpu, 1),
	OP("clock_gettime-thread-cpu", run_thread_clock, 1),
	OP("sigprocmask", run_sigprocmask, 1),
	OP("sigaction", run_sigaction, 1),
	OP("tgkill-0", run_tgkill, 1),
	OP("signal-to-self", run_signal, 1),
	OP("getrusage", run_getrusage, 1),
	OP("getrlimit", run_getrlimit, 1),
	OP("uname", run_uname, 1),
	OP("sysinfo", run_sysinfo, 1),
	OP("times", run_times, 1),
	OP("prctl-get-name", run_prctl, 1),
	OP("getcwd", run_getcwd, 1),
	OP("getrandom-16", run_getrandom, 1),
	OP("sched_yield-alone", run_sched_yield, 1),
	OP("futex-wake-nobody", run_futex_wake, 1),
	OP("futex-wait-changed", run_futex_wait_changed, 1),
	OP("madvise-nothing", run_madvise, 1),
	OP("pipe-write-read", run_pipe_byte, 1),
	OP("eventfd-write-read", run_eventfd, 1),
	OP("poll-ready", run_poll, 1),
	OP("epoll_wait-ready", run_epoll, 1),
	OP("fstat", run_fstat, 1),
	OP("stat", run_stat, 1),
	OP("access", run_access, 1),
	OP("readlink-proc", run_readlink, 1),
	OP("dup-close", run_dup_close, 1),
	OP("open-close", run_open_close, 1),
	{ 0 },
};
