/*
 * tests/guest/process.c - identity, limits, names, robust lists, and calls that must answer as documented.
 */
#include "harness.h"
#include "waits.h"
#include <grp.h>
#include <linux/futex.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#ifndef ARCH_SET_GS
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#endif

TEST(identity_calls_agree)
{
	uid_t r, e, s;
	gid_t groups[64];

	CHECK_EQ(sys(SYS_getpid), getpid());
	CHECK(getpid() > 0);
	CHECK_EQ(sys(SYS_getuid), getuid());
	CHECK_EQ(getuid(), geteuid());
	CHECK_EQ(getgid(), getegid());
	CHECK_OK(getresuid(&r, &e, &s));
	CHECK(r == getuid() && e == r && s == r);
	CHECK(getgroups(64, groups) >= 0);
	CHECK_EQ(getgroups(0, NULL), getgroups(64, groups));
	CHECK(getpgrp() > 0);
	CHECK(getsid(0) > 0 || errno == 0);
	CHECK_EQ(getpgid(0), getpgrp());
	CHECK(getppid() >= 0);
}

TEST(uname_says_linux_on_x86_64)
{
	struct utsname u;
	char host[65];

	CHECK_OK(uname(&u));
	CHECK_STR(u.sysname, "Linux");
	CHECK_STR(u.machine, "x86_64");
	CHECK(u.release[0] >= '3' && strchr(u.release, '.'));
	CHECK(strlen(u.nodename) > 0);
	CHECK_OK(gethostname(host, sizeof(host)));
	CHECK_STR(host, u.nodename);
	CHECK_EQ(sys(SYS_uname, BAD_PTR), -EFAULT);
}

TEST(limits_can_be_read_and_lowered)
{
	struct rlimit old, low, got;

	for (int i = 0; i < RLIMIT_NLIMITS; i++) {
		CHECK_OK(getrlimit(i, &old));
		CHECK(old.rlim_cur <= old.rlim_max);
	}
	CHECK_OK(getrlimit(RLIMIT_STACK, &old));
	CHECK(old.rlim_cur >= 64 * 1024);
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &old));
	low = (struct rlimit){ 64, old.rlim_max };
	CHECK_OK(prlimit(0, RLIMIT_NOFILE, &low, &got));
	CHECK_EQ(got.rlim_cur, old.rlim_cur);
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &got));
	CHECK_EQ(got.rlim_cur, 64);
	CHECK_EQ(sysconf(_SC_OPEN_MAX), 64);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &old));
	low = (struct rlimit){ 100, 50 };
	CHECK_ERR(setrlimit(RLIMIT_NOFILE, &low), EINVAL);
	CHECK_ERR(getrlimit(99, &got), EINVAL);
	CHECK_ERR(prlimit(4000000, RLIMIT_NOFILE, NULL, &got), ESRCH);
	CHECK_EQ(sys(SYS_getrlimit, RLIMIT_NOFILE, BAD_PTR), -EFAULT);
}

TEST(the_file_size_limit_is_efbig)
{
	struct rlimit old, low;
	int fd = scratch_file("fsize", "", 0), err;
	ssize_t n;

	signal(SIGXFSZ, SIG_IGN);
	CHECK_OK(getrlimit(RLIMIT_FSIZE, &old));
	low = (struct rlimit){ 100, old.rlim_max };
	CHECK_OK(setrlimit(RLIMIT_FSIZE, &low));
	errno = 0;
	n = pwrite(fd, "x", 1, 100);
	err = errno;
	CHECK_OK(setrlimit(RLIMIT_FSIZE, &old));
	if (n == 1)
		SKIP("RLIMIT_FSIZE is recorded only, see docs/caveats.md");
	CHECK_EQ(n, -1);
	CHECK_EQ(err, EFBIG);
}

TEST(auxiliary_vector_has_what_the_loader_needs)
{
	CHECK_EQ(getauxval(AT_PAGESZ), 4096);
	CHECK_EQ(getauxval(AT_CLKTCK), 100);
	CHECK(getauxval(AT_PHDR) != 0);
	CHECK_EQ(getauxval(AT_PHENT), 56);
	CHECK(getauxval(AT_PHNUM) > 0);
	CHECK(getauxval(AT_ENTRY) != 0);
	CHECK(getauxval(AT_RANDOM) != 0);
	CHECK(getauxval(AT_BASE) != 0);
	CHECK_EQ(getauxval(AT_UID), getuid());
	CHECK_EQ(getauxval(AT_SECURE), 0);
	CHECK_STR((char *)getauxval(AT_PLATFORM), "x86_64");
	CHECK(getauxval(AT_EXECFN) && strstr((char *)getauxval(AT_EXECFN), "process"));
	CHECK(getauxval(AT_HWCAP) != 0);
	CHECK(getauxval(AT_MINSIGSTKSZ) >= 1024);
}

TEST(at_random_is_not_all_zero)
{
	unsigned char *r = (unsigned char *)getauxval(AT_RANDOM);
	int sum = 0;

	for (int i = 0; i < 16; i++)
		sum |= r[i];
	CHECK(sum);
}

TEST(prctl_answers_as_documented)
{
	int sig = 77;

	CHECK_EQ(sys(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
	CHECK_EQ(sys(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0), 0);
	CHECK_EQ(sys(SYS_prctl, PR_GET_PDEATHSIG, &sig, 0, 0, 0), 0);
	CHECK_EQ(sig, 0);
	CHECK_EQ(sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(sys(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ(sys(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0) > 0, 1);
	CHECK_EQ(sys(SYS_prctl, 123456, 0, 0, 0, 0), -EINVAL);
}

TEST(arch_prctl_reads_the_thread_pointer)
{
	uintptr_t fs = 0, self;

	__asm__("mov %%fs:0, %0" : "=r"(self));
	CHECK_EQ(sys(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);
	CHECK_EQ(fs, self);
	CHECK_EQ(sys(SYS_arch_prctl, ARCH_GET_FS, BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_arch_prctl, ARCH_SET_FS, NONCANONICAL_PTR), -EPERM);
	CHECK_EQ(sys(SYS_arch_prctl, 0x9999, 0), -EINVAL);
}

TEST(an_unknown_system_call_is_enosys)
{
	CHECK_EQ(sys(5000), -ENOSYS);
	CHECK_EQ(sys(-1), -ENOSYS);
	CHECK_EQ(sys(0x7fffffff), -ENOSYS);
	CHECK_EQ(sys(180 /* nfsservctl, gone */), -ENOSYS);
}

TEST(registers_other_than_rax_rcx_r11_survive_a_system_call)
{
	long wrong;

	for (int i = 0; i < 100; i++) {
		__asm__ volatile(
			"mov $2, %%rbx; mov $4, %%rdx; mov $5, %%rsi; mov $6, %%rdi; mov $8, %%r8; mov $9, %%r9\n"
			"mov $10, %%r10; mov $12, %%r12; mov $13, %%r13; mov $14, %%r14; mov $15, %%r15\n"
			"movq %%r15, %%xmm5\n"
			"mov %[nr], %%eax\n"
			"syscall\n"
			"sub $2, %%rbx; sub $4, %%rdx; sub $5, %%rsi; sub $6, %%rdi; sub $8, %%r8; sub $9, %%r9\n"
			"sub $10, %%r10; sub $12, %%r12; sub $13, %%r13; sub $14, %%r14; sub $15, %%r15\n"
			"movq %%xmm5, %%rax; sub $15, %%rax\n"
			"or %%rbx, %%rax; or %%rdx, %%rax; or %%rsi, %%rax; or %%rdi, %%rax; or %%r8, %%rax\n"
			"or %%r9, %%rax; or %%r10, %%rax; or %%r12, %%rax; or %%r13, %%rax; or %%r14, %%rax\n"
			"or %%r15, %%rax\n"
			: "=a"(wrong)
			: [nr] "i"(SYS_sched_yield)
			: "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm5",
			  "memory", "cc");
		CHECK_EQ(wrong, 0);
	}
}

TEST(the_system_call_leaves_rcx_at_the_next_instruction)
{
	uintptr_t rcx, r11, here;

	__asm__ volatile("lea 1f(%%rip), %%rdx; syscall; 1:"
			 : "=c"(rcx), "=d"(here)
			 : "a"(SYS_getpid)
			 : "r11", "memory");
	__asm__ volatile("syscall; mov %%r11, %0" : "=r"(r11) : "a"(SYS_getpid) : "rcx", "r11", "memory");
	CHECK_EQ(rcx, here);
	CHECK(r11 & 0x200);
}

/* Robust lists, as pthread robust mutexes use them. */

static pthread_mutex_t robust;

static void *die_holding(void *arg)
{
	pthread_mutex_lock(&robust);
	return arg;
}

TEST(a_robust_mutex_of_a_dead_thread_is_eownerdead)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	CHECK_EQ(pthread_mutex_init(&robust, &attr), 0);
	pthread_join(thread_start(die_holding, NULL), NULL);
	CHECK_EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(&robust), 0);
	CHECK_EQ(pthread_mutex_unlock(&robust), 0);
	CHECK_EQ(pthread_mutex_lock(&robust), 0);
	CHECK_EQ(pthread_mutex_unlock(&robust), 0);
}

static _Atomic bool robust_held;
static _Atomic pid_t robust_waiter;

static void *wait_for_robust(void *arg)
{
	(void)arg;
	robust_waiter = gettid();
	return (void *)(long)pthread_mutex_lock(&robust);
}

/* When the other one waits for it. */
static void *hold_then_die(void *arg)
{
	pthread_mutex_lock(&robust);
	robust_held = true;
	CHECK(EVENTUALLY(robust_waiter));
	wait_asleep(robust_waiter);
	return arg;
}

TEST(a_waiter_of_a_robust_mutex_wakes_when_the_owner_dies)
{
	pthread_mutexattr_t attr;
	pthread_t owner, waiter;
	void *got;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	CHECK_EQ(pthread_mutex_init(&robust, &attr), 0);
	robust_held = false;
	robust_waiter = 0;
	owner = thread_start(hold_then_die, NULL);
	CHECK(EVENTUALLY(robust_held));
	waiter = thread_start(wait_for_robust, NULL);
	pthread_join(owner, NULL);
	pthread_join(waiter, &got);
	CHECK_EQ((long)got, EOWNERDEAD);
}

TEST(robust_list_calls_check_their_arguments)
{
	struct robust_list_head head = { .list = { &head.list } }, *got = NULL;
	size_t length = 0;

	CHECK_EQ(sys(SYS_set_robust_list, &head, 8), -EINVAL);
	CHECK_EQ(sys(SYS_get_robust_list, 0, &got, &length), 0);
	CHECK_EQ(length, sizeof(head));
	CHECK(got != NULL);
	CHECK_EQ(sys(SYS_get_robust_list, 4000000, &got, &length), -ESRCH);
	CHECK_EQ(sys(SYS_get_robust_list, 0, BAD_PTR, &length), -EFAULT);
}

static void *break_robust_list(void *arg)
{
	/* A list that leads nowhere must not hurt anybody when the thread ends. */
	static struct robust_list_head head;

	head.list.next = arg;
	head.futex_offset = 0;
	return (void *)sys(SYS_set_robust_list, &head, sizeof(head));
}

TEST(broken_robust_lists_are_harmless_at_thread_end)
{
	static struct robust_list loop;

	loop.next = &loop;
	thread_join(thread_start(break_robust_list, BAD_PTR), NULL);
	thread_join(thread_start(break_robust_list, HIGH_PTR), NULL);
	thread_join(thread_start(break_robust_list, &loop), NULL);
}

TEST(personality_and_getcpu_like_calls_answer)
{
	CHECK_EQ(sys(SYS_personality, 0xffffffff) >= 0, 1);
	CHECK(sys(SYS_getpriority, PRIO_PROCESS, 0) > 0);
	CHECK_EQ(sys(SYS_sched_yield), 0);
}

TEST(membarrier_offers_the_expedited_commands)
{
	enum { GLOBAL_EXPEDITED = 2, PRIVATE_EXPEDITED = 8, REGISTER_PRIVATE = 16, RSEQ = 128, REGISTER_RSEQ = 256 };
	const long wanted = GLOBAL_EXPEDITED | PRIVATE_EXPEDITED | REGISTER_PRIVATE | RSEQ | REGISTER_RSEQ;

	CHECK_EQ(sys(SYS_membarrier, 0, 0, 0) & wanted, wanted);
	/* Who wants it must have said so. */
	CHECK_EQ(sys(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0), -EPERM);
	CHECK_EQ(sys(SYS_membarrier, RSEQ, 0, 0), -EPERM);
	CHECK_EQ(sys(SYS_membarrier, GLOBAL_EXPEDITED, 0, 0), 0);
	CHECK_EQ(sys(SYS_membarrier, REGISTER_PRIVATE, 0, 0), 0);
	CHECK_EQ(sys(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0), 0);
	CHECK_EQ(sys(SYS_membarrier, RSEQ, 0, 0), -EPERM);
	CHECK_EQ(sys(SYS_membarrier, REGISTER_RSEQ, 0, 0), 0);
	CHECK_EQ(sys(SYS_membarrier, RSEQ, 0, 0), 0);
	CHECK_EQ(sys(SYS_membarrier, 1 << 30, 0, 0), -EINVAL);
}

TEST_MAIN("process")
