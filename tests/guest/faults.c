/*
 * tests/guest/faults.c - what the application does wrong must be a Linux signal with the right code.
 *
 * ibrik runs the application in ring 0, where many of these instructions would simply work. Left
 * out are those that change the machine before anybody can look (mov to CR3, wrmsr, lidt, in and out ...):
 * docs/caveats.md says what cannot be contained.
 */
#include "harness.h"
#include <sys/time.h>
#include <fenv.h>

static char *fresh_page;
static uint64_t scratch_pad[16] __attribute__((aligned(64)));

#define INSTRUCTION(NAME, ...)                                                                     \
	static void do_##NAME(void *arg)                                                           \
	{                                                                                          \
		(void)arg;                                                                         \
		__asm__ volatile("fault_at_" #NAME ": " __VA_ARGS__);                              \
	}                                                                                          \
	extern char fault_at_##NAME[]

INSTRUCTION(hlt, "hlt" ::: "memory");
/* The interrupt flag is seen at the latest when the next page faults. */
INSTRUCTION(cli, "cli; movb $1, (%%rax)" ::"a"(fresh_page) : "memory");
INSTRUCTION(int_80_free, "int $0x99" ::: "memory");
INSTRUCTION(int_0, "int $0" ::: "memory");
INSTRUCTION(int_1, "int $1" ::: "memory");
INSTRUCTION(int_2, "int $2" ::: "memory");
INSTRUCTION(int_4, "int $4" ::: "memory");
INSTRUCTION(int_18, "int $18" ::: "memory");
INSTRUCTION(int_8, "int $8" ::: "memory");
INSTRUCTION(int_13, "int $13" ::: "memory");
INSTRUCTION(int_14, "int $14" ::: "memory");
INSTRUCTION(int_32, "int $32" ::: "memory");
INSTRUCTION(int_255, "int $255" ::: "memory");
INSTRUCTION(iret_bad, "pushq $0; pushq $0; pushq $0; pushq $0; pushq $0; iretq" ::: "memory");
INSTRUCTION(ds_bad, "mov %%ax, %%ds" ::"a"(0xfff8) : "memory");
INSTRUCTION(ud2, "ud2" ::: "memory");
INSTRUCTION(movaps, "movaps (%%rax), %%xmm0" ::"a"((char *)scratch_pad + 1) : "memory", "xmm0");
INSTRUCTION(div0, "xor %%edx, %%edx; xor %%ecx, %%ecx; mov $1, %%eax; .globl fault_div0\nfault_div0: "
		  "div %%ecx" ::: "memory", "rax", "rcx", "rdx");
INSTRUCTION(idiv_overflow, "cqto; idivq %%rcx" ::"a"(INT64_MIN), "c"(-1l) : "memory", "rdx");
INSTRUCTION(int3, "int3" ::: "memory");
INSTRUCTION(store_high, "movb $1, (%%rax)" ::"a"(0xffffffff80000000ul) : "memory");
INSTRUCTION(load_high, "movb (%%rax), %%al" ::"a"(0xfffff00000000000ul) : "memory");
INSTRUCTION(load_noncanonical, "movb (%%rax), %%al" ::"a"(0x8000000000000000ul) : "memory");
INSTRUCTION(jump_high, "jmp *%%rax" ::"a"(0xffff888000001000ul) : "memory");
INSTRUCTION(jump_noncanonical, "jmp *%%rax" ::"a"(0x8000000000000000ul) : "memory");
INSTRUCTION(push_bad_stack, "mov %%rsp, %%rax; mov $16, %%esp; push %%rax" ::: "memory", "rax");
extern char fault_div0[];

/* An instruction that only the kernel may execute: SIGSEGV, SI_KERNEL, no address. */
static void privileged(void (*run)(void *), char *at)
{
	struct fault f = fault_catch(run, NULL);

	CHECK_MSG(f.sig == SIGSEGV && f.code == SI_KERNEL, "signal %d code %d, not SIGSEGV SI_KERNEL",
		  f.sig, f.code);
	CHECK_EQ(f.addr, 0);
	CHECK_EQ(f.trapno, 13);
	if (at)
		CHECK_EQ(f.rip, (uintptr_t)at);
}

#define PRIVILEGED(NAME)                                                                           \
	TEST(NAME##_is_a_segmentation_fault)                                                       \
	{                                                                                          \
		privileged(do_##NAME, fault_at_##NAME);                                            \
	}
PRIVILEGED(hlt)

/* glibc's _exit has a hlt that is jumped over: an interrupt that comes right behind it means nothing. */
static void loop_over_hlt(long rounds)
{
	__asm__ volatile(".p2align 4; 1: mov %0, %%rax; mov %%rax, %%rdx; jmp 2f; mov %%edx, %%eax; add $1, %%eax; nop; hlt; "
			 "2: dec %0; jnz 1b" : "+r"(rounds) : : "rax", "rdx", "memory");
}

static _Atomic int hlt_ticks;

static void on_tick(int sig)
{
	(void)sig;
	hlt_ticks++;
}

TEST(a_hlt_that_is_jumped_over_is_none)
{
	struct itimerval every = { { 0, 500 }, { 0, 500 } }, never = { 0 };
	struct timespec start, now;

	hlt_ticks = 0;
	signal(SIGALRM, on_tick);
	CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		loop_over_hlt(100000);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 500);
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	CHECK(hlt_ticks > 0);
}

/* ibrik notices it late, and reports RIP as the address: HotSpot would take address 0 for an implicit null check. */
TEST(cli_is_a_segmentation_fault)
{
	struct fault f;

	fresh_page = map_anon(1, PROT_READ | PROT_WRITE);
	f = fault_catch(do_cli, NULL);
	CHECK_EQ(f.sig, SIGSEGV);
	CHECK_EQ(f.code, SI_KERNEL);
	CHECK_EQ(f.trapno, 13);
	CHECK(f.rip - (uintptr_t)fault_at_cli <= 1);
	CHECK(f.addr == 0 || f.addr == f.rip);
}

PRIVILEGED(int_80_free)
PRIVILEGED(int_0)
PRIVILEGED(int_1)
PRIVILEGED(int_2)
PRIVILEGED(int_18)
PRIVILEGED(int_8)
PRIVILEGED(int_13)
PRIVILEGED(int_14)
PRIVILEGED(int_32)
PRIVILEGED(int_255)
PRIVILEGED(ds_bad)

TEST(int_4_is_an_overflow_behind_the_instruction)
{
	struct fault f = CHECK_FAULT(do_int_4, NULL, SIGSEGV, SI_KERNEL);

	CHECK_EQ(f.rip, (uintptr_t)fault_at_int_4 + 2);
	CHECK_EQ(f.trapno, 4);
}

TEST(a_bad_selector_in_an_error_code_is_reported)
{
	struct fault f = fault_catch(do_ds_bad, NULL);

	CHECK_EQ(f.error, 0xfff8);
}

TEST(iretq_to_nowhere_is_a_fault)
{
	struct fault f = fault_catch(do_iret_bad, NULL);

	CHECK(f.sig == SIGSEGV || f.sig == SIGBUS);
}

TEST(ud2_is_an_illegal_instruction)
{
	struct fault f = CHECK_FAULT(do_ud2, NULL, SIGILL, ILL_ILLOPN);

	CHECK_EQ(f.rip, (uintptr_t)fault_at_ud2);
	CHECK_EQ(f.addr, (uintptr_t)fault_at_ud2);
	CHECK_EQ(f.trapno, 6);
}

TEST(division_by_zero_is_sigfpe)
{
	struct fault f = CHECK_FAULT(do_div0, NULL, SIGFPE, FPE_INTDIV);

	CHECK_EQ(f.rip, (uintptr_t)fault_div0);
	CHECK_EQ(f.addr, (uintptr_t)fault_div0);
	CHECK_EQ(f.trapno, 0);
}

TEST(division_overflow_is_sigfpe)
{
	CHECK_FAULT(do_idiv_overflow, NULL, SIGFPE, FPE_INTDIV);
}

TEST(breakpoint_is_sigtrap_behind_the_instruction)
{
	struct fault f = CHECK_FAULT(do_int3, NULL, SIGTRAP, SI_KERNEL);

	CHECK_EQ(f.rip, (uintptr_t)fault_at_int3 + 1);
	CHECK_EQ(f.trapno, 3);
}

TEST(unaligned_vector_access_is_a_segmentation_fault)
{
	privileged(do_movaps, fault_at_movaps);
}

TEST(null_dereference_is_maperr_at_the_address)
{
	for (uintptr_t address = 0; address < 4096; address += 1365) {
		struct fault f = CHECK_FAULT(fault_read, (void *)address, SIGSEGV, SEGV_MAPERR);

		CHECK_EQ(f.addr, address);
		CHECK_EQ(f.trapno, 14);
		CHECK_EQ(f.error, 4); /* user, read, not present */
		f = CHECK_FAULT(fault_write, (void *)address, SIGSEGV, SEGV_MAPERR);
		CHECK_EQ(f.error, 6); /* user, write, not present */
	}
}

TEST(a_write_to_read_only_memory_tells_so_in_the_error_code)
{
	char *p = map_anon(1, PROT_READ);
	struct fault f;

	CHECK_EQ(*p, 0);
	f = CHECK_FAULT(fault_write, p + 77, SIGSEGV, SEGV_ACCERR);
	CHECK_EQ(f.addr, (uintptr_t)p + 77);
	CHECK_EQ(f.error, 7); /* user, write, present */
}

TEST(the_program_text_is_read_only)
{
	CHECK_FAULT(fault_write, (void *)(uintptr_t)test_main, SIGSEGV, SEGV_ACCERR);
}

/* The top bits of a stray pointer lead into the kernel's half, which is mapped there. */
TEST(a_store_to_the_kernels_half_is_a_segmentation_fault)
{
	struct fault f = fault_catch(do_store_high, NULL);

	CHECK_EQ(f.sig, SIGSEGV);
	CHECK(f.code == SEGV_MAPERR || f.code == SEGV_ACCERR);
	CHECK_EQ(f.addr, 0xffffffff80000000ul);
	CHECK_EQ(f.rip, (uintptr_t)fault_at_store_high);
}

TEST(a_load_from_the_kernels_half_is_a_segmentation_fault)
{
	struct fault f = fault_catch(do_load_high, NULL);

	CHECK_EQ(f.sig, SIGSEGV);
	CHECK_EQ(f.addr, 0xfffff00000000000ul);
}

TEST(a_noncanonical_address_is_si_kernel_without_address)
{
	privileged(do_load_noncanonical, fault_at_load_noncanonical);
}

TEST(a_jump_into_the_kernels_half_is_a_segmentation_fault)
{
	struct fault f = fault_catch(do_jump_high, NULL);

	CHECK_EQ(f.sig, SIGSEGV);
}

TEST(a_jump_to_a_noncanonical_address_is_a_segmentation_fault)
{
	CHECK_EQ(fault_catch(do_jump_noncanonical, NULL).sig, SIGSEGV);
}

TEST(a_jump_to_null_reports_null)
{
	struct fault f = CHECK_FAULT(fault_call, NULL, SIGSEGV, SEGV_MAPERR);

	CHECK_EQ(f.addr, 0);
	CHECK_EQ(f.rip, 0);
	CHECK_EQ(f.error, 0x14); /* user, instruction fetch */
}

TEST(a_push_with_a_broken_stack_pointer_is_handled_on_the_other_stack)
{
	struct fault f = CHECK_FAULT(do_push_bad_stack, NULL, SIGSEGV, SEGV_MAPERR);

	CHECK_EQ(f.addr, 8);
}

static int recursion(volatile char *above)
{
	volatile char frame[512];

	frame[0] = above ? above[0] : 1;
	return frame[0] ? recursion(frame) + frame[0] : 0;
}

static void recurse(void *arg)
{
	(void)arg;
	recursion(NULL);
}

TEST(stack_overflow_is_handled_on_the_alternate_stack_again_and_again)
{
	for (int i = 0; i < 20; i++) {
		struct fault f = fault_catch(recurse, NULL);

		CHECK_EQ(f.sig, SIGSEGV);
		CHECK_EQ(f.code, SEGV_ACCERR);
	}
}

static void floating_division(void *arg)
{
	volatile double zero = 0, result;

	(void)arg;
	feenableexcept(FE_DIVBYZERO);
	result = 1 / zero;
	(void)result;
}

TEST(an_unmasked_floating_point_exception_is_sigfpe)
{
	struct fault f;
	uint32_t leaf[4] = { 0 };

	__asm__ volatile("cpuid" : "=a"(leaf[0]), "=b"(leaf[1]), "=c"(leaf[2]), "=d"(leaf[3]) : "0"(0x40000000), "2"(0));
	if (!memcmp(&leaf[1], "TCGTCGTCGTCG", 12))
		SKIP("the emulator never raises SSE exceptions");
	f = fault_catch(floating_division, NULL);
	fedisableexcept(FE_DIVBYZERO);
	CHECK_EQ(f.sig, SIGFPE);
	CHECK_EQ(f.code, FPE_FLTDIV);
	CHECK_EQ(f.trapno, 19);
}

static void x87_division(void *arg)
{
	uint16_t word = 0x37b; /* divide by zero is not masked */

	(void)arg;
	__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait; fninit" ::"m"(word));
}

TEST(an_unmasked_x87_exception_is_sigfpe)
{
	struct fault f = fault_catch(x87_division, NULL);

	__asm__ volatile("fninit");
	CHECK_EQ(f.sig, SIGFPE);
	CHECK_EQ(f.trapno, 16);
}

static void single_step(void *arg)
{
	(void)arg;
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop; pushfq; andl $~0x100, (%%rsp); popfq"
			 ::: "memory", "cc");
}

/* The instruction that is stepped over ends with the bytes of `int $1`. */
static void step_over_a_number(void *arg)
{
	(void)arg;
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; mov $0x01cd0000, %%eax; .globl fault_behind_number\nfault_behind_number: "
			 "nop; pushfq; andl $~0x100, (%%rsp); popfq" ::: "memory", "cc", "rax");
}
extern char fault_behind_number[];

TEST(a_step_over_an_instruction_that_ends_like_int_1_is_sigtrap)
{
	for (int i = 0; i < 3; i++) {
		struct fault f = CHECK_FAULT(step_over_a_number, NULL, SIGTRAP, TRAP_TRACE);

		CHECK_EQ(f.rip, (uintptr_t)fault_behind_number);
		privileged(do_int_1, fault_at_int_1);
	}
}

TEST(the_trap_flag_is_sigtrap)
{
	struct fault f = fault_catch(single_step, NULL);

	CHECK_EQ(f.sig, SIGTRAP);
	CHECK_EQ(f.code, TRAP_TRACE);
	CHECK_EQ(f.trapno, 1);
}

static void popf_privileged(void *arg)
{
	uint64_t flags;

	(void)arg;
	/* Outside ring 0 popf leaves IF and IOPL alone and does not fault. */
	__asm__ volatile("pushfq; andl $~0x3200, (%%rsp); popfq; pushfq; popq %0" : "=r"(flags)::"memory", "cc");
	scratch_pad[0] = flags;
	sleep_ms(20);
}

TEST(clearing_the_interrupt_flag_by_popf_does_not_stop_the_machine)
{
	struct fault f = fault_catch(popf_privileged, NULL);
	int64_t start = now_ns();

	/* The next system call is where it shows. Linux ignores it; a kernel in the same ring may report the fault instead. */
	CHECK(f.sig == 0 || f.sig == SIGSEGV);
	sleep_ms(20);
	CHECK(now_ns() - start >= 20000000);
}

static _Atomic int faults_right;

static void *fault_often(void *arg)
{
	char *none = map_anon(1, PROT_NONE);

	(void)arg;
	for (int i = 0; i < 500; i++) {
		struct fault f = fault_catch(i & 1 ? fault_read : fault_write, none + i);

		if (f.sig == SIGSEGV && f.code == SEGV_ACCERR && f.addr == (uintptr_t)none + i)
			faults_right++;
	}
	return NULL;
}

TEST(threads_that_fault_at_the_same_time_get_their_own_addresses)
{
	pthread_t threads[4];

	faults_right = 0;
	fault_handlers_set();
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(fault_often, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(faults_right, 2000);
}

/* A handler that mends the cause and returns: the access is made again. */
static char *mend_page;
static _Atomic int mends;

static void mend(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig != SIGSEGV || info->si_addr < (void *)mend_page ||
	    info->si_addr >= (void *)(mend_page + 64 * PAGE))
		_exit(9);
	mends++;
	mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
}

TEST(a_handler_that_mends_the_page_lets_the_access_continue)
{
	mend_page = map_anon(64, PROT_NONE);
	mends = 0;
	handle(SIGSEGV, mend, 0);
	for (int i = 0; i < 64; i++)
		mend_page[i * PAGE + i] = (char)i;
	for (int i = 0; i < 64; i++)
		CHECK_EQ(mend_page[i * PAGE + i], i);
	CHECK_EQ(mends, 64);
}

/* As HotSpot does: the handler moves RIP to a continuation. */
extern char skip_from[], skip_to[];
static void skip(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)info;
	if (sig == SIGSEGV && uc->uc_mcontext.gregs[REG_RIP] == (greg_t)skip_from) {
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)skip_to;
		uc->uc_mcontext.gregs[REG_RAX] = 4711;
		return;
	}
	_exit(9);
}

TEST(a_handler_that_changes_rip_continues_elsewhere)
{
	handle(SIGSEGV, skip, 0);
	for (int i = 0; i < 100; i++) {
		long got;

		__asm__ volatile("xor %%eax, %%eax\n"
				 ".globl skip_from\nskip_from: mov 24(%%rax), %%rax\n"
				 "mov $1, %%eax\n"
				 ".globl skip_to\nskip_to:\n"
				 : "=a"(got)::"memory");
		CHECK_EQ(got, 4711);
	}
}

TEST_MAIN("faults")
