/*
 * tests/guest/vectors.c - vector and floating-point registers of a thread are its own: across switches to threads that use them
 * and threads that do not, across CPUs, into a new thread, and around a signal's handler.
 *
 * hold() loads a state, waits with the registers untouched, and stores what it finds there afterwards.
 */
#include "harness.h"
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>

enum { YMM = 1, X87 = 2, CONTROL = 4, MMX = 8, LOW = 16, ONE_UP = 32, ALL = YMM | X87 | CONTROL };

struct state {
	uint8_t ymm[16][32];
	uint8_t x87[112]; /* as FNSAVE has it, 108 bytes */
	uint32_t mxcsr;
};

#define EACH(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define LOAD_Y(i) "vmovups 32*" #i "(%[in]), %%ymm" #i "\n"
#define STORE_Y(i) "vmovups %%ymm" #i ", 32*" #i "(%[out])\n"
#define LOAD_X(i) "movups 32*" #i "(%[in]), %%xmm" #i "\n"
#define STORE_X(i) "movups %%xmm" #i ", 32*" #i "(%[out])\n"

#define VECTOR_REGISTERS                                                                                         \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
		"xmm13", "xmm14", "xmm15"

/* rounds times: the system call nr, or for nr -1 a moment of counting. */
#define HOLD(LOAD, STORE)                                                                                \
	__asm__ volatile("frstor %c[x87](%[in]); ldmxcsr %c[mxcsr](%[in])\n" EACH(LOAD)                 \
			 "1: mov $20000, %%ecx; mov %[nr], %%rax; test %%rax, %%rax; js 2f\n"             \
			 "mov %[a], %%rdi; mov %[b], %%rsi; mov %[c], %%rdx; syscall\n"                  \
			 "jmp 3f\n"                                                                      \
			 "2: dec %%ecx; jnz 2b\n"                                                        \
			 "3: dec %[rounds]; jnz 1b\n" EACH(STORE)                                        \
			 "stmxcsr %c[mxcsr](%[out]); fnsave %c[x87](%[out]); ldmxcsr %[standard]\n"      \
			 : [rounds] "+r"(rounds)                                                         \
			 : [in] "r"(in), [out] "r"(out), [nr] "r"(nr), [a] "r"(a), [b] "r"(b), [c] "r"(c), \
			   [x87] "i"(offsetof(struct state, x87)), [mxcsr] "i"(offsetof(struct state, mxcsr)), \
			   [standard] "m"(standard)                                                      \
			 : "rax", "rcx", "rdx", "rdi", "rsi", "r11", "memory", "cc", VECTOR_REGISTERS)

static const uint32_t standard = 0x1f80;

__attribute__((target("avx"), noinline)) static void hold_avx(const struct state *in, struct state *out, long rounds, long nr,
							      long a, long b, long c)
{
	HOLD(LOAD_Y, STORE_Y);
}

__attribute__((noinline)) static void hold_sse(const struct state *in, struct state *out, long rounds, long nr, long a, long b, long c)
{
	HOLD(LOAD_X, STORE_X);
}

/* A state that no other thread's resembles, of the parts in `what`; the rest is initial. */
static void fill(struct state *s, int what, unsigned seed)
{
	static const uint16_t double_precision_up = 0x0a7f;

	memset(s, 0, sizeof(*s));
	s->mxcsr = what & CONTROL ? 0x1f80 | (1 + seed % 3) << 13 : standard;
	if (what & YMM)
		for (unsigned i = 0; i < sizeof(s->ymm); i++)
			s->ymm[i / 32][i % 32] = (uint8_t)(seed * 37 + i * 3 + i / 32 + 1);
	/* Lower halves only; and beside them one byte of one upper half. */
	for (unsigned i = 0; (what & LOW) && i < 16; i++)
		memset(s->ymm[i], (int)(seed * 5 + i + 1), 16);
	if (what & ONE_UP)
		s->ymm[seed % 16][16 + seed / 16 % 16] = 1;
	if ((what & (YMM | ONE_UP)) && !__builtin_cpu_supports("avx"))
		for (unsigned i = 0; i < 16; i++)
			memset(s->ymm[i] + 16, 0, 16);
	__asm__ volatile("fninit");
	if (what & CONTROL)
		__asm__ volatile("fldcw %0" : : "m"(double_precision_up));
	if (what & X87)
		for (unsigned i = 0; i < 1 + seed % 8; i++)
			__asm__ volatile("fildl %0" : : "m"((int[]){ (int)(seed * 1000 + i) }));
	if (what & MMX)
		__asm__ volatile("movd %0, %%mm0; movd %0, %%mm5" : : "r"(seed * 77 + 1));
	__asm__ volatile("fnsave %0" : "=m"(s->x87));
}

static const char *difference(const struct state *a, const struct state *b)
{
	static const uint8_t none[2] = { 0xff, 0xff };

	if (memcmp(a->ymm, b->ymm, sizeof(a->ymm)))
		return "vector registers";
	if (a->mxcsr != b->mxcsr)
		return "MXCSR";
	/* Control, status and tags; then the registers, unless all are empty. */
	for (int i = 0; i < 3; i++)
		if (memcmp(a->x87 + 4 * i, b->x87 + 4 * i, 2))
			return i == 0 ? "x87 control" : i == 1 ? "x87 status" : "x87 tags";
	if (memcmp(a->x87 + 8, none, 2) && memcmp(a->x87 + 28, b->x87 + 28, 80))
		return "x87 registers";
	return NULL;
}

/* What differs after that wait, or NULL. */
static const char *hold(int what, unsigned seed, long rounds, long nr, long a, long b, long c)
{
	struct state in, out = { 0 };

	fill(&in, what, seed);
	if (__builtin_cpu_supports("avx"))
		hold_avx(&in, &out, rounds, nr, a, b, c);
	else
		hold_sse(&in, &out, rounds, nr, a, b, c);
	return difference(&in, &out);
}

#define CHECK_HOLDS(...)                                                             \
	do {                                                                         \
		const char *d_ = hold(__VA_ARGS__);                                  \
		CHECK_MSG(!d_, "%s changed: hold(%s)", d_, #__VA_ARGS__);            \
	} while (0)

static void on_cpu(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
}

static int cpus(int *list, int most)
{
	cpu_set_t all;
	int n = 0;

	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	for (int i = 0; i < CPU_SETSIZE && n < most; i++)
		if (CPU_ISSET(i, &all))
			list[n++] = i;
	return n;
}

static _Atomic bool enough;

struct user {
	int what;
	unsigned seed;
	bool forced;   /* interrupted, instead of yielding */
	int cpu;       /* -1: wherever */
	const char *wrong;
	pthread_t thread;
};

static void *use(void *arg)
{
	struct user *u = arg;

	if (u->cpu >= 0)
		on_cpu(u->cpu);
	for (int i = 0; i < 8 && !u->wrong; i++)
		u->wrong = hold(u->what, u->seed + i, u->forced ? 200 : 300, u->forced ? -1 : SYS_sched_yield, 0, 0, 0);
	return NULL;
}

/* Goes in and out of the kernel in general registers only. */
static void *use_none(void *arg)
{
	struct user *u = arg;
	long ret;

	if (u->cpu >= 0)
		on_cpu(u->cpu);
	while (!enough)
		__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_sched_yield) : "rcx", "r11", "memory");
	return NULL;
}

static void mix(int cpu)
{
	static struct user users[10], idlers[2];
	static const int whats[] = { YMM, 0, X87, CONTROL, ALL, MMX, YMM | CONTROL, X87 | CONTROL, YMM, ALL };
	pthread_t idle[2];

	enough = false;
	for (unsigned i = 0; i < 2; i++) {
		idlers[i].cpu = cpu;
		idle[i] = thread_start(use_none, &idlers[i]);
	}
	for (unsigned i = 0; i < 10; i++) {
		users[i] = (struct user){ .what = whats[i], .seed = 11 * i, .forced = i % 5 == 4, .cpu = cpu };
		users[i].thread = thread_start(use, &users[i]);
	}
	for (unsigned i = 0; i < 10; i++)
		pthread_join(users[i].thread, NULL);
	enough = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(idle[i], NULL);
	for (unsigned i = 0; i < 10; i++)
		CHECK_MSG(!users[i].wrong, "%s of thread %u changed", users[i].wrong, i);
}

TEST_SLOW(threads_that_share_a_cpu_keep_their_registers, 60)
{
	int list[1];

	cpus(list, 1);
	mix(list[0]);
}

TEST_SLOW(threads_on_all_cpus_keep_their_registers, 60)
{
	mix(-1);
}

static void *yield_with_low(void *arg)
{
	while (!enough)
		CHECK_HOLDS(LOW, (unsigned)(uintptr_t)arg, 50, SYS_sched_yield, 0, 0, 0);
	return NULL;
}

/* A kernel that leaves out upper halves which are zero must look at each of them. */
TEST_SLOW(one_byte_of_one_upper_half_is_kept, 60)
{
	pthread_t other;
	int list[1];

	cpus(list, 1);
	on_cpu(list[0]);
	enough = false;
	other = thread_start(yield_with_low, (void *)1);
	for (unsigned seed = 0; seed < 256; seed++) {
		CHECK_HOLDS(LOW | ONE_UP, seed, 5, SYS_sched_yield, 0, 0, 0);
		CHECK_HOLDS(LOW, seed + 2, 5, SYS_sched_yield, 0, 0, 0);
	}
	enough = true;
	pthread_join(other, NULL);
}

static void *move_about(void *arg)
{
	int list[16], n;

	(void)arg;
	n = cpus(list, 16);
	for (int i = 0; i < 40; i++) {
		unsigned long mask = 1ul << list[i % n];

		/* The call itself moves the thread while the registers are loaded. */
		CHECK_HOLDS(i % 3 ? ALL : YMM | CONTROL, i, 1, SYS_sched_setaffinity, 0, sizeof(mask), (long)&mask);
		CHECK_EQ(sched_getcpu(), list[i % n]);
	}
	return NULL;
}

TEST(registers_move_with_their_thread)
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(move_about, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static void *yield_long(void *arg)
{
	long ret;

	for (int i = 0; i < 3000; i++)
		__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_sched_yield) : "rcx", "r11", "memory");
	return (void *)hold(ALL, (unsigned)(long)arg, 20, SYS_sched_yield, 0, 0, 0);
}

TEST_SLOW(the_first_use_after_many_switches_is_no_different, 60)
{
	pthread_t threads[4];
	int list[1];
	void *wrong;

	cpus(list, 1);
	on_cpu(list[0]);
	for (long i = 0; i < 4; i++)
		threads[i] = thread_start(yield_long, (void *)i);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &wrong);
		CHECK_MSG(!wrong, "%s changed", (char *)wrong);
	}
}

static _Atomic int hits;

/* Uses everything, and lets others run meanwhile. */
static void use_in_handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	if (hold(ALL, 900 + (unsigned)hits, 3, SYS_sched_yield, 0, 0, 0) == NULL)
		hits++;
}

static void *hold_under_signals(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	for (unsigned i = 0; i < 50; i++)
		CHECK_HOLDS(i % 2 ? ALL : X87, seed + i, 1, SYS_tgkill, getpid(), gettid(), SIGUSR1);
	return NULL;
}

TEST_SLOW(a_handler_uses_registers_of_its_own, 60)
{
	pthread_t threads[3];

	hits = 0;
	handle(SIGUSR1, use_in_handler, 0);
	for (long i = 0; i < 3; i++)
		threads[i] = thread_start(hold_under_signals, (void *)(i * 100));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(hits, 150);
}

static void *kill_often(void *arg)
{
	pthread_t target = *(pthread_t *)arg;

	while (!enough) {
		pthread_kill(target, SIGUSR1);
		sleep_ms(1); /* it must get further than from one handler to the next */
	}
	return NULL;
}

TEST_SLOW(registers_survive_signals_from_another_thread, 60)
{
	pthread_t self = pthread_self(), thread;

	hits = 0;
	enough = false;
	handle(SIGUSR1, use_in_handler, 0);
	thread = thread_start(kill_often, &self);
	for (unsigned i = 0; i < 60; i++)
		CHECK_HOLDS(i % 2 ? ALL : YMM, i, 30, i % 3 ? -1 : SYS_sched_yield, 0, 0, 0);
	enough = true;
	pthread_join(thread, NULL);
	CHECK(hits > 0);
}

/* Vector state over a sleep: others run, and the CPU idles. */
TEST(registers_survive_a_sleep)
{
	struct timespec ts = { 0, 2000000 };

	for (unsigned i = 0; i < 10; i++)
		CHECK_HOLDS(ALL, i, 1, SYS_nanosleep, (long)&ts, 0, 0);
	CHECK_HOLDS(MMX, 3, 1, SYS_nanosleep, (long)&ts, 0, 0);
}

static struct state born, parent;
static _Atomic uint32_t alive;

#define CHILD(LOAD, STORE)                                                                                            \
	__asm__ volatile("frstor %c[x87](%[in]); ldmxcsr %c[mxcsr](%[in])\n" EACH(LOAD)                          \
			 "xor %%r8d, %%r8d; mov %[alive], %%r10\n"                                               \
			 "syscall; test %%rax, %%rax; jnz 1f\n" EACH(STORE)                                      \
			 "stmxcsr %c[mxcsr](%[out]); fnsave %c[x87](%[out])\n"                                   \
			 "mov %[exit], %%eax; xor %%edi, %%edi; syscall; ud2\n"                                  \
			 "1: ldmxcsr %[standard]; fninit\n"                                                      \
			 : "=a"(ret)                                                                             \
			 : "a"(SYS_clone), "D"(flags), "S"(stack + 4 * PAGE), "d"(0), [in] "r"(&parent), [out] "r"(&born), \
			   [alive] "r"(&alive), [exit] "i"(SYS_exit), [x87] "i"(offsetof(struct state, x87)),    \
			   [mxcsr] "i"(offsetof(struct state, mxcsr)), [standard] "m"(standard)                  \
			 : "rcx", "r8", "r10", "r11", "memory", "cc", VECTOR_REGISTERS)

__attribute__((target("avx"), noinline)) static long clone_avx(long flags, char *stack)
{
	long ret;

	CHILD(LOAD_Y, STORE_Y);
	return ret;
}

__attribute__((noinline)) static long clone_sse(long flags, char *stack)
{
	long ret;

	CHILD(LOAD_X, STORE_X);
	return ret;
}

TEST(a_new_thread_inherits_the_registers_of_its_creator)
{
	long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;

	for (unsigned i = 0; i < 20; i++) {
		char *stack = map_anon(4, PROT_READ | PROT_WRITE);
		long tid;

		fill(&parent, i % 2 ? ALL : YMM, i);
		memset(&born, 0, sizeof(born));
		alive = 1;
		tid = __builtin_cpu_supports("avx") ? clone_avx(flags, stack) : clone_sse(flags, stack);
		CHECK_MSG(tid > 0, "clone answers %ld", tid);
		for (uint32_t seen; (seen = alive);)
			syscall(SYS_futex, &alive, FUTEX_WAIT, seen, NULL, NULL, 0);
		const char *wrong = difference(&parent, &born);
		CHECK_MSG(!wrong, "the child's %s differ", wrong);
		munmap(stack, 4 * PAGE);
	}
}

TEST_MAIN("vectors")
