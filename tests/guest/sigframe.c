/*
 * tests/guest/sigframe.c - the frame a signal's handler runs on: alternate stacks, ucontext, vector state and
 * red zone, what of it a handler may change, and that the interrupted code finds its registers again.
 */
#include "harness.h"
#include "waits.h"
#include <sys/auxv.h>
#include <sys/time.h>

static _Atomic int hits;

static void count_hit(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	hits++;
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

static volatile stack_t stack_inside, stack_in_frame;

static void see_stacks(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	stack_t now;

	(void)sig, (void)info;
	sigaltstack(NULL, &now);
	stack_inside = now;
	stack_in_frame = uc->uc_stack;
}

TEST(the_frame_has_the_alternate_stack_as_it_was_set)
{
	stack_t ss = { .ss_sp = malloc(65536), .ss_size = 65536, .ss_flags = 0 }, old;

	CHECK_OK(sigaltstack(&ss, &old));
	handle(SIGUSR1, see_stacks, SA_ONSTACK);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(stack_inside.ss_flags, SS_ONSTACK);
	CHECK_EQ(stack_in_frame.ss_flags, 0);
	ss.ss_flags = SS_ONSTACK; /* accepted, and means nothing */
	CHECK_OK(sigaltstack(&ss, NULL));
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(stack_in_frame.ss_flags, SS_ONSTACK);
	CHECK(stack_in_frame.ss_sp == ss.ss_sp && stack_in_frame.ss_size == 65536);
	CHECK_OK(sigaltstack(NULL, &ss));
	CHECK_EQ(ss.ss_flags, 0);
	CHECK_OK(sigaltstack(&old, NULL));
}

TEST(autodisarm_takes_the_alternate_stack_away_while_any_handler_runs)
{
	const int autodisarm = (int)(1u << 31);
	stack_t ss = { .ss_sp = malloc(65536), .ss_size = 65536, .ss_flags = autodisarm }, old, now;

	CHECK_OK(sigaltstack(&ss, &old));
	for (int on = 0; on < 2; on++) {
		handle(SIGUSR1, see_stacks, on ? SA_ONSTACK : 0);
		CHECK_EQ(raise(SIGUSR1), 0);
		CHECK_EQ(stack_inside.ss_flags, SS_DISABLE);
		CHECK_EQ(stack_inside.ss_size, 0);
		CHECK_EQ(stack_in_frame.ss_flags, autodisarm);
		CHECK(stack_in_frame.ss_sp == ss.ss_sp && stack_in_frame.ss_size == 65536);
		CHECK_OK(sigaltstack(NULL, &now));
		CHECK_EQ(now.ss_flags, autodisarm);
		CHECK(now.ss_sp == ss.ss_sp && now.ss_size == 65536);
	}
	CHECK_OK(sigaltstack(&old, NULL));
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

/* A signal to this thread while its stack pointer is `sp`; comes back if the handler, or whoever handles the fault of its frame, does. */
static long raise_at(void *sp, int sig)
{
	long answer;

	__asm__ volatile("mov %%rsp, %%rbx; mov %[sp], %%rsp; syscall; mov %%rbx, %%rsp"
			 : "=a"(answer)
			 : "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(sig), [sp] "r"(sp)
			 : "rbx", "rcx", "r11", "memory");
	return answer;
}

static sigjmp_buf out_of_handler;
static _Atomic int ran;
static volatile siginfo_t overflow_info;
static sigset_t overflow_mask;
static char *volatile overflow_stack;
static volatile uintptr_t overflow_rip;

static void leave_handler(int sig, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	ran = sig;
	siglongjmp(out_of_handler, 1);
}

static void leave_overflow(int sig, siginfo_t *info, void *context)
{
	overflow_info = *info;
	overflow_mask = ((ucontext_t *)context)->uc_sigmask;
	overflow_rip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	overflow_stack = __builtin_frame_address(0);
	leave_handler(sig, info, context);
}

/*
 * The stack pointer is on the alternate stack, in its last bytes. Without SA_ONSTACK the frame would lie below it; with SA_ONSTACK Linux looks at
 * the pointer without the red zone, which has left the stack, and begins at its top again: so the handler of the fault can run.
 */
TEST(a_frame_that_does_not_fit_the_alternate_stack_is_a_segmentation_fault)
{
	char *area = map_anon(16, PROT_READ | PROT_WRITE), *base = area + 8 * PAGE;
	stack_t ss = { .ss_sp = base, .ss_size = 8 * PAGE }, old;

	memset(area, 0x5a, 8 * PAGE);
	CHECK_OK(sigaltstack(&ss, &old));
	handle(SIGSEGV, leave_overflow, SA_ONSTACK);
	handle(SIGUSR2, leave_handler, 0);
	ran = 0;
	if (!sigsetjmp(out_of_handler, 1))
		raise_at(base + 64, SIGUSR2);
	CHECK_EQ(ran, SIGSEGV);
	CHECK_EQ(overflow_info.si_code, SI_KERNEL);
	CHECK(overflow_info.si_addr == NULL);
	CHECK(overflow_stack > base + 2 * PAGE && overflow_stack < base + 8 * PAGE);
	for (size_t i = 0; i < 8 * PAGE; i++)
		CHECK(area[i] == 0x5a);
	/* One that fits is written there, though the handler asked for no stack. */
	ran = 0;
	if (!sigsetjmp(out_of_handler, 1))
		raise_at(base + 8 * PAGE, SIGUSR2);
	CHECK_EQ(ran, SIGUSR2);
	CHECK_OK(sigaltstack(&old, NULL));
	munmap(area, 16 * PAGE);
}

TEST(a_frame_that_cannot_be_written_is_a_segmentation_fault)
{
	char *guard = map_anon(2, PROT_NONE);
	void *const stacks[] = { BAD_PTR, guard + PAGE, HIGH_PTR, NONCANONICAL_PTR };

	handle(SIGSEGV, leave_overflow, SA_ONSTACK);
	handle(SIGUSR2, leave_handler, 0);
	for (unsigned i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
		ran = 0;
		if (!sigsetjmp(out_of_handler, 1))
			raise_at(stacks[i], SIGUSR2);
		CHECK_EQ(ran, SIGSEGV);
		CHECK_EQ(overflow_info.si_code, SI_KERNEL);
		CHECK(overflow_info.si_addr == NULL);
		CHECK(!sigismember(&overflow_mask, SIGUSR2));
	}
	munmap(guard, 2 * PAGE);
}

/* The frame of the fault's handler has the mask from before the call, though that of the signal itself was never written. */
TEST(a_frame_that_cannot_be_written_keeps_the_mask_to_be_restored)
{
	uint64_t none = 0;
	sigset_t set;

	handle(SIGSEGV, leave_overflow, SA_ONSTACK);
	handle(SIGUSR2, leave_handler, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	CHECK_EQ(raise(SIGUSR2), 0);
	ran = 0;
	if (!sigsetjmp(out_of_handler, 0)) {
		long answer;

		__asm__ volatile("mov %%rsp, %%rbx; mov $16, %%esp; syscall; mov %%rbx, %%rsp"
				 : "=a"(answer)
				 : "a"(SYS_rt_sigsuspend), "D"(&none), "S"(8)
				 : "rbx", "rcx", "r11", "memory");
	}
	CHECK_EQ(ran, SIGSEGV);
	CHECK(sigismember(&overflow_mask, SIGUSR1) && sigismember(&overflow_mask, SIGUSR2));
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* The handler is entered, in a way: its frame is there, its signal blocked, and then its first instruction cannot be fetched. */
TEST(a_handler_where_no_code_can_be_is_a_segmentation_fault)
{
	static const struct { uintptr_t at; int code; } cases[] = {
		{ (uintptr_t)BAD_PTR, SEGV_MAPERR }, { 0x7ffffffff000, SEGV_MAPERR }, { (uintptr_t)HIGH_PTR, SEGV_MAPERR },
		{ 0xffff900000000000, SEGV_MAPERR }, { ~0ul, SEGV_MAPERR },
		{ 0xffffffff80240000, SEGV_MAPERR }, /* where kernels that are linked for the last 2 GiB have code */
		{ (uintptr_t)NONCANONICAL_PTR, SI_KERNEL }, { 1ul << 63, SI_KERNEL },
	};

	handle(SIGSEGV, leave_overflow, SA_ONSTACK);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		void (*handler)(int, siginfo_t *, void *);

		memcpy(&handler, &cases[i].at, sizeof(handler));
		for (int again = 0; again < 2; again++) {
			handle(SIGUSR2, handler, again ? SA_NODEFER : 0);
			ran = 0;
			if (!sigsetjmp(out_of_handler, 1))
				raise(SIGUSR2);
			CHECK_EQ(ran, SIGSEGV);
			CHECK_EQ(overflow_info.si_code, cases[i].code);
			CHECK_EQ((uintptr_t)overflow_info.si_addr, cases[i].code == SI_KERNEL ? 0 : cases[i].at);
			CHECK_EQ(overflow_rip, cases[i].at);
			CHECK_EQ(sigismember(&overflow_mask, SIGUSR2), !again);
		}
	}
}

static stack_t stack_to_take;

static void take_stack(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	((ucontext_t *)context)->uc_stack = stack_to_take;
	hits++;
}

static stack_t stack_after(void)
{
	stack_t now;

	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_OK(sigaltstack(NULL, &now));
	return now;
}

static void take_while_active(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	stack_inside = stack_after();
}

TEST(sigreturn_takes_an_alternate_stack_that_sigaltstack_would_take)
{
	stack_t one = { .ss_sp = malloc(65536), .ss_size = 65536 }, other = { .ss_sp = malloc(65536), .ss_size = 65536 }, old, now;

	CHECK_OK(sigaltstack(&one, &old));
	handle(SIGUSR1, take_stack, 0);
	stack_to_take = (stack_t){ .ss_sp = other.ss_sp, .ss_size = 100 };
	now = stack_after();
	CHECK(now.ss_sp == one.ss_sp && now.ss_size == 65536 && now.ss_flags == 0);
	stack_to_take = (stack_t){ .ss_sp = other.ss_sp, .ss_size = 65536, .ss_flags = 77 };
	now = stack_after();
	CHECK(now.ss_sp == one.ss_sp && now.ss_size == 65536 && now.ss_flags == 0);
	stack_to_take = other;
	now = stack_after();
	CHECK(now.ss_sp == other.ss_sp && now.ss_size == 65536 && now.ss_flags == 0);
	stack_to_take = (stack_t){ .ss_sp = one.ss_sp, .ss_size = 5, .ss_flags = SS_DISABLE };
	now = stack_after();
	CHECK_EQ(now.ss_flags, SS_DISABLE);
	CHECK(!now.ss_sp && !now.ss_size);
	/* What was interrupted runs on the stack that would be changed. */
	CHECK_OK(sigaltstack(&one, NULL));
	handle(SIGUSR2, take_while_active, SA_ONSTACK);
	stack_to_take = other;
	CHECK_EQ(raise(SIGUSR2), 0);
	CHECK(stack_inside.ss_sp == one.ss_sp && stack_inside.ss_flags == SS_ONSTACK);
	CHECK_OK(sigaltstack(NULL, &now));
	CHECK(now.ss_sp == one.ss_sp && now.ss_size == 65536);
	CHECK_OK(sigaltstack(&old, NULL));
	free(one.ss_sp);
	free(other.ss_sp);
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
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; pxor %%xmm9, %%xmm9; pcmpeqd %%xmm15, %%xmm15; fninit; fldpi" ::
				 : "xmm0", "xmm7", "xmm9", "xmm15");
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

static struct {
	uint64_t xmm[2];
	uint32_t mxcsr;
	uint16_t control, status;
} fresh;

static void see_vectors(int sig, siginfo_t *info, void *context)
{
	__asm__ volatile("movdqu %%xmm15, %0; stmxcsr %1; fnstcw %2; fnstsw %3"
			 : "=m"(fresh.xmm), "=m"(fresh.mxcsr), "=m"(fresh.control), "=m"(fresh.status));
	(void)sig, (void)info, (void)context;
	hits++;
}

TEST(a_handler_starts_with_fresh_vector_state)
{
	uint64_t in[2] = { 0x123456789abcdef0, 0xfedcba9876543210 }, out[2];
	uint32_t mxcsr_before = 0x1f80 | 0x8040 | 0x6000, mxcsr_after = 0, standard = 0x1f80; /* flush to zero, round to zero */
	uint16_t fcw_before = 0x27f, fcw_after = 0, fsw_after = 0;
	long ret;

	handle(SIGUSR1, see_vectors, 0);
	hits = 0;
	memset(&fresh, 0xff, sizeof(fresh));
	__asm__ volatile("fninit; fldcw %[cw]; fld1; ldmxcsr %[mx]; movdqu %[in], %%xmm15\n"
			 "syscall\n"
			 "movdqu %%xmm15, %[out]; stmxcsr %[mxo]; fnstcw %[cwo]; fnstsw %[swo]; ldmxcsr %[std]; fninit\n"
			 : [out] "=m"(out), [mxo] "=m"(mxcsr_after), [cwo] "=m"(fcw_after), [swo] "=m"(fsw_after), "=a"(ret)
			 : [in] "m"(in), [cw] "m"(fcw_before), [mx] "m"(mxcsr_before), [std] "m"(standard),
			   "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
			 : "rcx", "r11", "xmm15", "memory");
	CHECK_EQ(ret, 0);
	CHECK_EQ(hits, 1);
	CHECK(!fresh.xmm[0] && !fresh.xmm[1]);
	CHECK_EQ(fresh.mxcsr, 0x1f80);
	CHECK_EQ(fresh.control, 0x37f);
	CHECK_EQ(fresh.status, 0);
	CHECK(out[0] == in[0] && out[1] == in[1]);
	CHECK_EQ(mxcsr_after, mxcsr_before);
	CHECK_EQ(fcw_after, fcw_before);
	CHECK_EQ(fsw_after & 0x3800, 0x3800); /* one value on the stack */
}

static double half;

/* The exception is not raised again here, and the frame says how to go on without it. */
static void compute_and_mask(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)info;
	hits++;
	__asm__ volatile("fld1; fld1; fld1; faddp; fdivrp; fwait; fstpl %0" : "=m"(half));
	uc->uc_mcontext.fpregs->cwd |= 0x3f;
	uc->uc_mcontext.fpregs->swd &= (uint16_t)~0x80bf;
}

TEST(the_handler_of_an_x87_exception_may_compute)
{
	uint16_t word = 0x37b; /* divide by zero is not masked */

	handle(SIGFPE, compute_and_mask, 0);
	hits = 0;
	half = 0;
	__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait; fninit" ::"m"(word));
	CHECK_EQ(hits, 1);
	CHECK(half == 0.5);
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
	/* The harness's main thread would take them all, and nobody here were interrupted. */
	main_thread_blocks(SIGALRM, 0);
	handle(SIGALRM, clobber_vectors, SA_RESTART);
	CHECK_OK(setitimer(ITIMER_REAL, &tv, NULL));
	/* By the clock: a machine whose host is busy gets its interrupts late. */
	for (int64_t end = now_ns() + 5000000000ll; now_ns() < end && hits < 20;) {
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
	CHECK(hits > 0);
}

TEST_MAIN("sigframe")
