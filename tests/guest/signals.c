/*
 * tests/guest/signals.c - signals: dispositions, masks, queues, waiting, restart, alternate stacks, and the
 * frame a handler sees (ucontext, vector state, red zone).
 */
#include "harness.h"
#include <immintrin.h>
#include <poll.h>
#include <sys/auxv.h>
#include <sys/signalfd.h>
#include <sys/time.h>

static _Atomic int hits, last_sig, last_code, last_value, last_tid;

static void count_hit(int sig, siginfo_t *info, void *context)
{
	(void)context;
	hits++;
	last_sig = sig;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
	last_tid = (int)syscall(SYS_gettid);
}

static void block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void unblock(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* The main thread of the harness would take process-directed signals too; it waits, that is fine. */

TEST(tgkill_to_self_runs_the_handler_before_it_returns)
{
	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	for (int i = 1; i <= 50; i++) {
		CHECK_OK(tgkill(getpid(), gettid(), SIGUSR1));
		CHECK_EQ(hits, i);
	}
	CHECK_EQ(last_code, SI_TKILL);
	CHECK_EQ(last_tid, gettid());
}

TEST(raise_of_every_signal_reaches_its_handler)
{
	for (int sig = 1; sig <= 64; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
			continue;
		handle(sig, count_hit, 0);
		hits = 0;
		CHECK_EQ(raise(sig), 0);
		CHECK_EQ(hits, 1);
		CHECK_EQ(last_sig, sig);
		signal(sig, SIG_DFL);
	}
}

TEST(kill_to_the_process_reaches_some_thread)
{
	hits = 0;
	handle(SIGUSR2, count_hit, 0);
	CHECK_OK(kill(getpid(), SIGUSR2));
	CHECK(EVENTUALLY(hits == 1));
	CHECK_EQ(last_code, SI_USER);
	CHECK_OK(kill(getpid(), 0));
	CHECK_ERR(kill(getpid(), 65), EINVAL);
	CHECK_ERR(kill(4000000, 0), ESRCH);
}

TEST(an_ignored_signal_is_dropped)
{
	signal(SIGUSR1, SIG_IGN);
	CHECK_EQ(raise(SIGUSR1), 0);
	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	sleep_ms(5);
	CHECK_EQ(hits, 0);
}

TEST(signals_ignored_by_default_do_nothing)
{
	CHECK_EQ(raise(SIGCHLD), 0);
	CHECK_EQ(raise(SIGURG), 0);
	CHECK_EQ(raise(SIGWINCH), 0);
}

TEST(sigaction_answers_the_old_action)
{
	struct sigaction sa, old;

	handle(SIGUSR1, count_hit, SA_RESTART | SA_NODEFER);
	CHECK_OK(sigaction(SIGUSR1, NULL, &sa));
	CHECK(sa.sa_sigaction == count_hit);
	CHECK_EQ(sa.sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO), SA_RESTART | SA_NODEFER | SA_SIGINFO);
	sa.sa_handler = SIG_DFL;
	CHECK_OK(sigaction(SIGUSR1, &sa, &old));
	CHECK(old.sa_sigaction == count_hit);
}

TEST(sigaction_checks_its_arguments)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	CHECK_ERR(sigaction(SIGKILL, &sa, NULL), EINVAL);
	CHECK_ERR(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	CHECK_ERR(sigaction(0, &sa, NULL), EINVAL);
	CHECK_ERR(sigaction(65, &sa, NULL), EINVAL);
	CHECK_EQ(sys(SYS_rt_sigaction, SIGUSR1, BAD_PTR, NULL, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigaction, SIGUSR1, NULL, BAD_PTR, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), -EINVAL);
}

TEST(a_blocked_signal_waits_until_it_is_unblocked)
{
	sigset_t pending;

	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	block(SIGUSR1);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(hits, 0);
	CHECK_OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGUSR1));
	CHECK(!sigismember(&pending, SIGUSR2));
	unblock(SIGUSR1);
	CHECK_EQ(hits, 1); /* standard signals do not queue */
	CHECK_OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGUSR1));
}

TEST(realtime_signals_queue_in_order)
{
	hits = 0;
	handle(SIGRTMIN + 1, count_hit, 0);
	block(SIGRTMIN + 1);
	for (int i = 0; i < 10; i++)
		CHECK_OK(pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){ .sival_int = i }));
	unblock(SIGRTMIN + 1);
	CHECK_EQ(hits, 10);
	/* Each handler frame is pushed before the first runs, so the first queued runs first or last. */
	CHECK_EQ(last_code, SI_QUEUE);
	CHECK(last_value == 9 || last_value == 0);
}

TEST(sigqueue_carries_its_value)
{
	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	CHECK_OK(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 4711 }));
	CHECK(EVENTUALLY(hits == 1));
	CHECK_EQ(last_value, 4711);
	CHECK_EQ(last_code, SI_QUEUE);
}

TEST(rt_sigprocmask_checks_its_arguments)
{
	uint64_t set = 0, old = 77;

	CHECK_EQ(sys(SYS_rt_sigprocmask, 99, &set, NULL, 8), -EINVAL);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 16), -EINVAL);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, BAD_PTR, NULL, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, NULL, BAD_PTR, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigprocmask, 99, NULL, &old, 8), 0); /* how is not looked at without a set */
	CHECK_EQ(old, 0);
	set = ~0ul;
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8), 0);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &old, 8), 0);
	CHECK_EQ(old, ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)));
}

static sigset_t mask_inside;

static void see_mask(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	pthread_sigmask(SIG_BLOCK, NULL, &mask_inside);
	hits++;
}

TEST(a_handler_runs_with_its_signal_and_sa_mask_blocked)
{
	struct sigaction sa = { .sa_sigaction = see_mask, .sa_flags = SA_SIGINFO };
	sigset_t now;

	sigaddset(&sa.sa_mask, SIGUSR2);
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(sigismember(&mask_inside, SIGUSR1));
	CHECK(sigismember(&mask_inside, SIGUSR2));
	CHECK(!sigismember(&mask_inside, SIGTERM));
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	CHECK(!sigismember(&now, SIGUSR1));
	CHECK(!sigismember(&now, SIGUSR2));
}

TEST(nodefer_leaves_the_signal_open)
{
	handle(SIGUSR1, see_mask, SA_NODEFER);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(!sigismember(&mask_inside, SIGUSR1));
}

TEST(resethand_puts_the_default_back)
{
	struct sigaction sa;

	handle(SIGURG, count_hit, SA_RESETHAND);
	hits = 0;
	CHECK_EQ(raise(SIGURG), 0);
	CHECK_EQ(raise(SIGURG), 0);
	CHECK_EQ(hits, 1);
	CHECK_OK(sigaction(SIGURG, NULL, &sa));
	CHECK(sa.sa_handler == SIG_DFL);
}

static _Atomic int depth, deepest;

static void nest(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	if (++depth > deepest)
		deepest = depth;
	if (depth < 20)
		raise(sig);
	depth--;
}

TEST(handlers_nest)
{
	depth = deepest = 0;
	handle(SIGUSR1, nest, SA_NODEFER);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(deepest, 20);
	CHECK_EQ(depth, 0);
}

static sigjmp_buf jump;

static void jump_out(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	siglongjmp(jump, 5);
}

TEST(siglongjmp_out_of_a_handler_restores_the_mask)
{
	handle(SIGUSR1, jump_out, 0);
	for (volatile int i = 0; i < 100; i++) {
		sigset_t now;
		int got = sigsetjmp(jump, 1);

		if (!got) {
			raise(SIGUSR1);
			FAIL("raise came back");
		}
		CHECK_EQ(got, 5);
		pthread_sigmask(SIG_BLOCK, NULL, &now);
		CHECK(!sigismember(&now, SIGUSR1));
	}
}

/* Restart and interruption */

struct helper {
	pthread_t target;
	pid_t tid;
	int sig, delay_ms;
};

static void *send_later(void *arg)
{
	struct helper *h = arg;

	sleep_ms(h->delay_ms);
	tgkill(getpid(), h->tid, h->sig);
	return NULL;
}

static pthread_t interrupt_me(struct helper *h, int sig)
{
	*h = (struct helper){ .tid = gettid(), .sig = sig, .delay_ms = 50 };
	hits = 0;
	return thread_start(send_later, h);
}

TEST(read_is_interrupted_without_restart)
{
	struct helper h;
	int fds[2];
	char c;
	pthread_t thread;

	CHECK_OK(pipe(fds));
	handle(SIGUSR1, count_hit, 0);
	thread = interrupt_me(&h, SIGUSR1);
	CHECK_ERR(read(fds[0], &c, 1), EINTR);
	CHECK_EQ(hits, 1);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

static int write_fd;

static void *signal_then_write(void *arg)
{
	struct helper *h = arg;

	sleep_ms(50);
	tgkill(getpid(), h->tid, h->sig);
	sleep_ms(50);
	if (write(write_fd, "x", 1) != 1)
		FAIL("write: %s", strerror(errno));
	return NULL;
}

TEST(read_is_restarted_with_sa_restart)
{
	struct helper h = { .tid = gettid(), .sig = SIGUSR1 };
	int fds[2];
	char c = 0;
	pthread_t thread;

	CHECK_OK(pipe(fds));
	write_fd = fds[1];
	hits = 0;
	handle(SIGUSR1, count_hit, SA_RESTART);
	thread = thread_start(signal_then_write, &h);
	CHECK_EQ(CHECK_OK(read(fds[0], &c, 1)), 1);
	CHECK_EQ(c, 'x');
	CHECK_EQ(hits, 1);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

TEST(nanosleep_tells_the_rest_when_interrupted)
{
	struct helper h;
	struct timespec want = { 5, 0 }, rest = { 0, 0 };
	pthread_t thread;

	handle(SIGUSR1, count_hit, SA_RESTART); /* sleeping is never restarted by a handler */
	thread = interrupt_me(&h, SIGUSR1);
	CHECK_ERR(nanosleep(&want, &rest), EINTR);
	CHECK(rest.tv_sec >= 1 && (rest.tv_sec < 5));
	pthread_join(thread, NULL);
}

TEST(poll_is_interrupted_even_with_sa_restart)
{
	struct helper h;
	pthread_t thread;

	handle(SIGUSR1, count_hit, SA_RESTART);
	thread = interrupt_me(&h, SIGUSR1);
	CHECK_ERR(poll(NULL, 0, 5000), EINTR);
	pthread_join(thread, NULL);
}

TEST(pause_and_sigsuspend_return_eintr)
{
	struct helper h;
	sigset_t none;
	pthread_t thread;

	handle(SIGUSR1, count_hit, SA_RESTART);
	thread = interrupt_me(&h, SIGUSR1);
	CHECK_ERR(pause(), EINTR);
	pthread_join(thread, NULL);
	block(SIGUSR1);
	CHECK_EQ(raise(SIGUSR1), 0);
	hits = 0;
	sigemptyset(&none);
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(hits, 1);
	pthread_sigmask(SIG_BLOCK, NULL, &none);
	CHECK(sigismember(&none, SIGUSR1)); /* the mask from before is back */
}

TEST(an_ignored_signal_does_not_interrupt)
{
	struct helper h = { .tid = gettid(), .sig = SIGUSR1 };
	int fds[2];
	char c;
	pthread_t thread;

	CHECK_OK(pipe(fds));
	write_fd = fds[1];
	signal(SIGUSR1, SIG_IGN);
	thread = thread_start(signal_then_write, &h);
	CHECK_EQ(CHECK_OK(read(fds[0], &c, 1)), 1);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

/* Waiting */

TEST(sigtimedwait_takes_a_pending_signal_with_its_data)
{
	struct timespec ts = { 0, 20000000 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	block(SIGUSR1);
	CHECK_ERR(sigtimedwait(&set, &info, &ts), EAGAIN);
	CHECK_OK(pthread_sigqueue(pthread_self(), SIGUSR1, (union sigval){ .sival_int = 12 }));
	CHECK_EQ(CHECK_OK(sigtimedwait(&set, &info, &ts)), SIGUSR1);
	CHECK_EQ(info.si_signo, SIGUSR1);
	CHECK_EQ(info.si_value.sival_int, 12);
	CHECK_EQ(info.si_pid, getpid());
	CHECK_EQ(info.si_uid, getuid());
	CHECK_EQ(sys(SYS_rt_sigtimedwait, BAD_PTR, &info, &ts, 8), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigtimedwait, &set, &info, &ts, 4), -EINVAL);
	ts.tv_nsec = 2000000000;
	CHECK_EQ(sys(SYS_rt_sigtimedwait, &set, &info, &ts, 8), -EINVAL);
}

TEST(sigwait_wakes_when_the_signal_comes)
{
	struct helper h;
	sigset_t set;
	pthread_t thread;
	int sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	block(SIGUSR2);
	thread = interrupt_me(&h, SIGUSR2);
	CHECK_EQ(sigwait(&set, &sig), 0);
	CHECK_EQ(sig, SIGUSR2);
	pthread_join(thread, NULL);
}

static void *wait_for_usr1(void *arg)
{
	sigset_t set;
	int sig;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigwait(&set, &sig);
	return (void *)(long)sig;
}

TEST(a_process_signal_goes_to_a_thread_that_does_not_block_it)
{
	/* The case thread blocks it, the harness's main thread does not. */
	hits = 0;
	handle(SIGUSR1, count_hit, 0);
	block(SIGUSR1);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK(EVENTUALLY(hits == 1));
	CHECK(last_tid != gettid());
}

TEST(a_new_thread_inherits_the_mask_but_not_pending_signals)
{
	pthread_t thread;
	void *got;

	block(SIGUSR1);
	CHECK_EQ(raise(SIGUSR1), 0);
	thread = thread_start(wait_for_usr1, NULL);
	sleep_ms(30);
	CHECK_EQ(pthread_tryjoin_np(thread, &got), EBUSY);
	CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
	pthread_join(thread, &got);
	CHECK((long)got == SIGUSR1);
}

TEST(signalfd_reads_pending_signals)
{
	struct signalfd_siginfo info;
	struct pollfd p;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	block(SIGUSR1);
	fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	CHECK_ERR(read(fd, &info, sizeof(info)), EAGAIN);
	CHECK_EQ(raise(SIGUSR1), 0);
	p = (struct pollfd){ fd, POLLIN, 0 };
	CHECK_EQ(CHECK_OK(poll(&p, 1, 1000)), 1);
	CHECK_EQ(CHECK_OK(read(fd, &info, sizeof(info))), sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGUSR1);
	CHECK_ERR(read(fd, &info, 4), EINVAL);
	close(fd);
}

/* Alternate stack */

static char *alt;
static _Atomic int on_alt, alt_flags;

static void see_stack(int sig, siginfo_t *info, void *context)
{
	char here;
	stack_t ss;

	(void)sig;
	(void)info;
	(void)context;
	on_alt = &here >= alt && &here < alt + 32768;
	sigaltstack(NULL, &ss);
	alt_flags = ss.ss_flags;
	/* While it is in use it cannot be changed. */
	ss.ss_flags = 0;
	hits = sigaltstack(&ss, NULL) == -1 && errno == EPERM ? 1 : -1;
}

TEST(the_alternate_stack_is_used_with_sa_onstack_only)
{
	stack_t ss, old;

	alt = malloc(32768);
	ss = (stack_t){ .ss_sp = alt, .ss_size = 32768 };
	CHECK_OK(sigaltstack(&ss, &old));
	handle(SIGUSR1, see_stack, SA_ONSTACK);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(on_alt);
	CHECK_EQ(alt_flags, SS_ONSTACK);
	CHECK_EQ(hits, 1);
	handle(SIGUSR1, see_stack, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(!on_alt);
	CHECK_OK(sigaltstack(NULL, &ss));
	CHECK(ss.ss_sp == alt && ss.ss_size == 32768 && ss.ss_flags == 0);
	CHECK_OK(sigaltstack(&old, NULL));
	free(alt);
}

TEST(sigaltstack_checks_its_arguments)
{
	stack_t ss = { .ss_sp = &ss, .ss_size = 100 };

	CHECK_ERR(sigaltstack(&ss, NULL), ENOMEM);
	ss.ss_size = 65536;
	ss.ss_flags = 77;
	CHECK_ERR(sigaltstack(&ss, NULL), EINVAL);
	CHECK_EQ(sys(SYS_sigaltstack, BAD_PTR, NULL), -EFAULT);
	CHECK_EQ(sys(SYS_sigaltstack, NULL, BAD_PTR), -EFAULT);
}

static void *see_no_altstack(void *arg)
{
	stack_t ss;

	(void)arg;
	sigaltstack(NULL, &ss);
	return (void *)(long)ss.ss_flags;
}

TEST(a_new_thread_has_no_alternate_stack)
{
	pthread_t thread = thread_start(see_no_altstack, NULL);
	void *flags;

	pthread_join(thread, &flags);
	CHECK_EQ((long)flags, SS_DISABLE);
}

/* The frame */

static ucontext_t seen_context;
static siginfo_t seen_info;
static _Atomic uintptr_t handler_sp, fpstate_at;
static uint32_t fp_magic1, fp_magic2, fp_xsize;
static uint64_t fp_features;

static void look_at_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	char *fp = (char *)uc->uc_mcontext.fpregs;

	(void)sig;
	hits++;
	seen_context = *uc;
	seen_info = *info;
	handler_sp = (uintptr_t)__builtin_frame_address(0);
	fpstate_at = (uintptr_t)fp;
	if (fp) {
		memcpy(&fp_magic1, fp + 464, 4);
		memcpy(&fp_features, fp + 472, 8);
		memcpy(&fp_xsize, fp + 480, 4);
		if (fp_magic1 == 0x46505853)
			memcpy(&fp_magic2, fp + fp_xsize, 4);
	}
}

TEST(the_frame_shows_segments_flags_and_registers_as_linux_does)
{
	greg_t *regs = seen_context.uc_mcontext.gregs;

	hits = 0;
	handle(SIGUSR1, look_at_frame, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(hits, 1);
	CHECK_EQ(regs[REG_CSGSFS] & 0xffff, 0x33);
	CHECK_EQ((uint64_t)regs[REG_CSGSFS] >> 48, 0x2b);
	CHECK(regs[REG_EFL] & 0x200);
	CHECK_EQ(regs[REG_EFL] & 0x3000, 0);
	CHECK(regs[REG_RIP] != 0 && regs[REG_RIP] > 0);
	CHECK((uintptr_t)regs[REG_RSP] > handler_sp);
	CHECK_EQ(handler_sp % 16, 0);
	CHECK_EQ(seen_info.si_signo, SIGUSR1);
	CHECK_EQ(seen_info.si_pid, getpid());
}

TEST(the_vector_state_of_the_frame_is_marked_and_aligned)
{
	hits = 0;
	handle(SIGUSR1, look_at_frame, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(fpstate_at != 0);
	CHECK_EQ(fpstate_at % 64, 0);
	CHECK_EQ(fp_magic1, 0x46505853);
	CHECK_EQ(fp_magic2, 0x46505845);
	CHECK((fp_features & 3) == 3);
	CHECK(fp_xsize >= 576);
	CHECK(getauxval(AT_MINSIGSTKSZ) >= fp_xsize);
}

TEST(the_frame_leaves_the_red_zone_alone)
{
	long bad = -1;

	hits = 0;
	handle(SIGUSR1, look_at_frame, 0);
	/* 128 bytes below the stack pointer belong to the code that was interrupted. */
	for (int round = 0; round < 20; round++) {
		__asm__ volatile(
			"mov %%rsp, %%rdx\n"
			"mov $16, %%rcx\n"
			"1: lea (%%rcx,%%rcx,2), %%rax\n"
			"neg %%rcx\n"
			"mov %%rax, (%%rdx,%%rcx,8)\n"
			"neg %%rcx\n"
			"dec %%rcx\n"
			"jnz 1b\n"
			"mov %[nr], %%eax\n"
			"mov %[pid], %%rdi\n"
			"mov %[tid], %%rsi\n"
			"mov %[sig], %%edx\n"
			"syscall\n"
			"mov %%rsp, %%rdx\n"
			"xor %%ebx, %%ebx\n"
			"mov $16, %%rcx\n"
			"2: lea (%%rcx,%%rcx,2), %%rax\n"
			"neg %%rcx\n"
			"cmp %%rax, (%%rdx,%%rcx,8)\n"
			"je 3f\n"
			"inc %%rbx\n"
			"3: neg %%rcx\n"
			"dec %%rcx\n"
			"jnz 2b\n"
			: "=b"(bad)
			: [nr] "i"(SYS_tgkill), [pid] "r"((long)getpid()), [tid] "r"((long)gettid()),
			  [sig] "i"(SIGUSR1)
			: "rax", "rcx", "rdx", "rdi", "rsi", "r11", "memory", "cc");
		CHECK_EQ(bad, 0);
	}
	CHECK_EQ(hits, 20);
}

static void clobber_vectors(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	hits++;
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; pcmpeqd %%xmm15, %%xmm15; fninit; fldpi" ::
				 : "xmm0", "xmm7", "xmm15");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vpxor %%ymm7, %%ymm7, %%ymm7" ::: "xmm7");
	uint32_t mxcsr = 0x1f80 | 0x6000;
	__asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
}

__attribute__((target("avx"))) static void ymm_survives(void)
{
	uint64_t in[4] = { 0x1111, 0x2222, 0x3333, 0x4444 }, out[4];
	long ret;

	__asm__ volatile("vmovdqu %[in], %%ymm7\n"
			 "syscall\n"
			 "vmovdqu %%ymm7, %[out]\n"
			 : [out] "=m"(out), "=a"(ret)
			 : [in] "m"(in), "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
			 : "rcx", "r11", "xmm7", "memory");
	CHECK_EQ(ret, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(out[i], in[i]);
}

TEST(vector_registers_survive_a_handler_that_clobbers_them)
{
	uint64_t in[2] = { 0x123456789abcdef0, 0xfedcba9876543210 }, out[2];
	uint32_t mxcsr_before = 0x1f80 | 0x8000, mxcsr_after = 0, standard = 0x1f80;
	uint16_t fcw_before = 0x27f, fcw_after = 0;
	long ret;

	handle(SIGUSR1, clobber_vectors, 0);
	hits = 0;
	__asm__ volatile("fninit; fldcw %[cw]; ldmxcsr %[mx]; movdqu %[in], %%xmm15\n"
			 "syscall\n"
			 "movdqu %%xmm15, %[out]; stmxcsr %[mxo]; fnstcw %[cwo]; ldmxcsr %[std]; fninit\n"
			 : [out] "=m"(out), [mxo] "=m"(mxcsr_after), [cwo] "=m"(fcw_after), "=a"(ret)
			 : [in] "m"(in), [cw] "m"(fcw_before), [mx] "m"(mxcsr_before), [std] "m"(standard),
			   "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
			 : "rcx", "r11", "xmm15", "memory");
	CHECK_EQ(ret, 0);
	CHECK_EQ(hits, 1);
	CHECK_EQ(out[0], in[0]);
	CHECK_EQ(out[1], in[1]);
	CHECK_EQ(mxcsr_after, mxcsr_before);
	CHECK_EQ(fcw_after, fcw_before);
	if (__builtin_cpu_supports("avx"))
		ymm_survives();
}

static void change_vectors(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	uc->uc_mcontext.fpregs->_xmm[3].element[0] = 0xabcd1234;
	hits++;
}

TEST(a_handler_can_change_vector_registers_in_the_frame)
{
	uint32_t out[4];
	long ret;

	handle(SIGUSR1, change_vectors, 0);
	__asm__ volatile("pcmpeqd %%xmm3, %%xmm3\n"
			 "syscall\n"
			 "movdqu %%xmm3, %[out]\n"
			 : [out] "=m"(out), "=a"(ret)
			 : "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
			 : "rcx", "r11", "xmm3", "memory");
	CHECK_EQ(ret, 0);
	CHECK_EQ(out[0], 0xabcd1234);
	CHECK_EQ(out[1], 0xffffffffu);
}

static void poison_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	/* Interrupts off, I/O privilege, nested task: sigreturn must not take them. */
	uc->uc_mcontext.gregs[REG_EFL] = (uc->uc_mcontext.gregs[REG_EFL] & ~0x200l) | 0x7000;
	hits++;
}

TEST(sigreturn_sanitises_the_flags)
{
	uint64_t flags;

	hits = 0;
	handle(SIGUSR1, poison_frame, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	CHECK_EQ(hits, 1);
	CHECK(flags & 0x200);
	CHECK_EQ(flags & 0x7000, 0);
}

static void poison_xsave(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	char *fp = (char *)uc->uc_mcontext.fpregs;

	(void)sig;
	(void)info;
	hits++;
	if (hits == 1)
		memset(fp + 512 + 8, 0xff, 56); /* xcomp_bv and reserved bytes of the XSAVE header */
}

static void raise_usr1(void *arg)
{
	(void)arg;
	raise(SIGUSR1);
}

TEST(a_broken_vector_header_in_the_frame_does_not_hurt_the_kernel)
{
	struct fault f;

	hits = 0;
	handle(SIGUSR1, poison_xsave, 0);
	f = fault_catch(raise_usr1, NULL);
	CHECK(f.sig == 0 || f.sig == SIGSEGV);
	CHECK_EQ(hits, 1);
	handle(SIGUSR1, count_hit, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(hits, 2);
}

static void direction_flag(int sig, siginfo_t *info, void *context)
{
	uint64_t flags;

	(void)sig;
	(void)info;
	(void)context;
	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	hits = flags & 0x400 ? -1 : 1;
}

TEST(a_handler_starts_with_the_direction_flag_clear)
{
	long ret;
	uint64_t flags;

	handle(SIGUSR1, direction_flag, 0);
	__asm__ volatile("std; syscall; pushfq; popq %%rdx; cld\n"
			 : "=a"(ret), "=d"(flags)
			 : "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
			 : "rcx", "r11", "memory", "cc");
	CHECK_EQ(ret, 0);
	CHECK_EQ(hits, 1);
	CHECK(flags & 0x400); /* and the interrupted code has it back */
}

TEST(all_registers_survive_an_asynchronous_signal)
{
	struct itimerval tv = { { 0, 2000 }, { 0, 2000 } }, off = { { 0, 0 }, { 0, 0 } };
	long bad = 0;

	hits = 0;
	handle(SIGALRM, clobber_vectors, SA_RESTART);
	CHECK_OK(setitimer(ITIMER_REAL, &tv, NULL));
	for (int round = 0; round < 4000 && hits < 20; round++) {
		long wrong;

		__asm__ volatile(
			"mov $1, %%rax; mov $2, %%rbx; mov $3, %%rcx; mov $4, %%rdx; mov $5, %%rsi; mov $6, %%rdi\n"
			"mov $8, %%r8; mov $9, %%r9; mov $10, %%r10; mov $11, %%r11; mov $12, %%r12\n"
			"mov $13, %%r13; mov $14, %%r14; mov $15, %%r15\n"
			"movq %%r15, %%xmm9\n"
			"movl $30000, -8(%%rsp)\n"
			"1: decl -8(%%rsp); jnz 1b\n"
			"movq %%xmm9, -8(%%rsp)\n"
			"sub $1, %%rax; sub $2, %%rbx; sub $3, %%rcx; sub $4, %%rdx; sub $5, %%rsi; sub $6, %%rdi\n"
			"sub $8, %%r8; sub $9, %%r9; sub $10, %%r10; sub $11, %%r11; sub $12, %%r12\n"
			"sub $13, %%r13; sub $14, %%r14; sub $15, %%r15; subq $15, -8(%%rsp)\n"
			"or %%rbx, %%rax; or %%rcx, %%rax; or %%rdx, %%rax; or %%rsi, %%rax; or %%rdi, %%rax\n"
			"or %%r8, %%rax; or %%r9, %%rax; or %%r10, %%rax; or %%r11, %%rax; or %%r12, %%rax\n"
			"or %%r13, %%rax; or %%r14, %%rax; or %%r15, %%rax; or -8(%%rsp), %%rax\n"
			: "=a"(wrong)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
			  "r14", "r15", "xmm9", "memory", "cc");
		bad |= wrong;
	}
	CHECK_OK(setitimer(ITIMER_REAL, &off, NULL));
	CHECK_EQ(bad, 0);
	CHECK(hits > 0 || EVENTUALLY(hits > 0));
}

static _Atomic bool storm_stop;

static void *storm(void *arg)
{
	double x = 1;

	(void)arg;
	while (!storm_stop) {
		double y = x * 3;

		x = y / 3;
		if (x != 1)
			FAIL("a floating point value changed: %g", x);
	}
	return NULL;
}

TEST_SLOW(a_storm_of_signals_between_threads_loses_none, 60)
{
	enum { THREADS = 4, SIGNALS = 400 };
	pthread_t threads[THREADS];

	handle(SIGUSR1, count_hit, SA_RESTART);
	hits = 0;
	storm_stop = false;
	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(storm, NULL);
	for (int i = 0; i < SIGNALS; i++) {
		int before = hits;

		CHECK_EQ(pthread_kill(threads[i % THREADS], SIGUSR1), 0);
		while (hits == before)
			sched_yield();
	}
	storm_stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(hits, SIGNALS);
}

TEST(alarm_and_itimer_deliver_sigalrm)
{
	struct itimerval tv = { { 0, 0 }, { 0, 20000 } }, old;

	hits = 0;
	handle(SIGALRM, count_hit, 0);
	CHECK_OK(setitimer(ITIMER_REAL, &tv, NULL));
	CHECK_OK(getitimer(ITIMER_REAL, &old));
	CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_usec <= 20000);
	CHECK(EVENTUALLY(hits == 1));
	CHECK_EQ(alarm(100), 0);
	CHECK_EQ(alarm(0), 100);
	CHECK_ERR(setitimer(99, &tv, NULL), EINVAL);
}

TEST_MAIN("signals")
