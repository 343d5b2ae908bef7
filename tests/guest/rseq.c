/*
 * tests/guest/rseq.c - restartable sequences: registration, the number of the CPU in memory, and sections that begin anew.
 *
 * The C library registers an area of its own for each thread. A case that wants another gives that one back first (own_area()): the case's
 * thread ends after it. What ends the program on Linux (a wrong description, a wrong signature) is checked by tests/cli-guest/command.sh.
 */
#include "harness.h"
#include <sched.h>
#include <sys/rseq.h>
#include <sys/sysinfo.h>

#define AREA_BYTES 32
#define MEMBARRIER_RSEQ 128
#define MEMBARRIER_REGISTER_RSEQ 256
#define MAX_THREADS 16

static struct rseq *library_area(void) { return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset); }

static long rseq(void *area, unsigned len, int flags, unsigned sig) { return sys(SYS_rseq, area, len, flags, sig); }

/* Gives the library's area back; the thread has none then. */
static void no_area(void)
{
	CHECK_EQ(rseq(library_area(), AREA_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG), 0);
}

static struct rseq *own_area(void)
{
	struct rseq *area = (void *)map_anon(1, PROT_READ | PROT_WRITE);

	no_area();
	CHECK_EQ(rseq(area, AREA_BYTES, 0, RSEQ_SIG), 0);
	return area;
}

static volatile uint32_t *cpu_word(struct rseq *area) { return &area->cpu_id; }

static void pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
}

/* The n-th CPU that the program may use; they are counted anew from the first. */
static int cpu_number(int n)
{
	cpu_set_t all;

	CHECK_EQ(sched_getaffinity(getpid(), sizeof(all), &all), 0);
	n %= CPU_COUNT(&all);
	for (int cpu = 0;; cpu++)
		if (CPU_ISSET(cpu, &all) && !n--)
			return cpu;
}

/* --- registration ------------------------------------------------------------------------------------------ */
static void *is_registered(void *arg)
{
	struct rseq *area = library_area();
	uint32_t cpu = *cpu_word(area);

	(void)arg;
	CHECK(__rseq_size >= 20); /* without the padding, or with it: libraries differ */
	CHECK_MSG(cpu < CPU_SETSIZE, "the library has %d for the CPU's number", (int)cpu);
	CHECK_EQ(rseq(area, AREA_BYTES, 0, RSEQ_SIG), -EBUSY);
	return NULL;
}

TEST(the_library_registers_every_thread)
{
	is_registered(NULL);
	for (int i = 0; i < 3; i++)
		thread_join(thread_start(is_registered, NULL), NULL);
}

TEST(registration_refuses_what_is_wrong)
{
	char *area = map_anon(1, PROT_READ | PROT_WRITE);

	no_area();
	CHECK_EQ(rseq(area, AREA_BYTES, 2, RSEQ_SIG), -EINVAL);
	CHECK_EQ(rseq(area, AREA_BYTES, RSEQ_FLAG_UNREGISTER | 2, RSEQ_SIG), -EINVAL);
	CHECK_EQ(rseq(area, AREA_BYTES, -1, RSEQ_SIG), -EINVAL);
	CHECK_EQ(rseq(area, 0, 0, RSEQ_SIG), -EINVAL);
	CHECK_EQ(rseq(area, AREA_BYTES - 1, 0, RSEQ_SIG), -EINVAL);
	CHECK_EQ(rseq(area + 8, AREA_BYTES, 0, RSEQ_SIG), -EINVAL);
	CHECK_EQ(rseq(area + 16, AREA_BYTES, 0, RSEQ_SIG), -EINVAL);
	CHECK_EQ(rseq(HIGH_PTR, AREA_BYTES, 0, RSEQ_SIG), -EFAULT);
	CHECK_EQ(rseq(NONCANONICAL_PTR, AREA_BYTES, 0, RSEQ_SIG), -EFAULT);
	CHECK_EQ(rseq(area, AREA_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG), -EINVAL);
	CHECK_EQ(rseq(NULL, AREA_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG), -EINVAL);
}

TEST(a_thread_registers_once)
{
	char *area = map_anon(1, PROT_READ | PROT_WRITE);

	no_area();
	CHECK_EQ(rseq(area, AREA_BYTES, 0, 77), 0);
	CHECK_EQ(rseq(area, AREA_BYTES, 0, 77), -EBUSY);
	CHECK_EQ(rseq(area, AREA_BYTES, 0, 78), -EPERM);
	CHECK_EQ(rseq(area, AREA_BYTES - 1, 0, 77), -EINVAL);
	CHECK_EQ(rseq(area + AREA_BYTES, AREA_BYTES, 0, 77), -EINVAL);
	CHECK_EQ(rseq(NULL, AREA_BYTES, 0, 77), -EINVAL);
	CHECK_EQ(rseq(area, AREA_BYTES, RSEQ_FLAG_UNREGISTER, 78), -EPERM);
	CHECK_EQ(rseq(area, AREA_BYTES + 1, RSEQ_FLAG_UNREGISTER, 77), -EINVAL);
	CHECK_EQ(rseq(area + AREA_BYTES, AREA_BYTES, RSEQ_FLAG_UNREGISTER, 77), -EINVAL);
	CHECK_EQ(rseq(area, AREA_BYTES, RSEQ_FLAG_UNREGISTER, 77), 0);
	CHECK_EQ(rseq(area, AREA_BYTES, RSEQ_FLAG_UNREGISTER, 77), -EINVAL);
	CHECK_EQ(rseq(area, AREA_BYTES, 0, 78), 0);
}

TEST(the_number_is_there_while_registered)
{
	struct rseq *area = (void *)map_anon(1, PROT_READ | PROT_WRITE);

	no_area();
	CHECK_EQ(*cpu_word(library_area()), (uint32_t)RSEQ_CPU_ID_UNINITIALIZED);
	CHECK_EQ(library_area()->cpu_id_start, 0);
	pin(cpu_number(1));
	area->cpu_id = area->cpu_id_start = 0x5555;
	CHECK_EQ(rseq(area, AREA_BYTES, 0, RSEQ_SIG), 0);
	CHECK_EQ(*cpu_word(area), cpu_number(1));
	CHECK_EQ(area->cpu_id_start, cpu_number(1));
	CHECK_EQ(rseq(area, AREA_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG), 0);
	CHECK_EQ(*cpu_word(area), (uint32_t)RSEQ_CPU_ID_UNINITIALIZED);
	CHECK_EQ(area->cpu_id_start, 0);
}

/* --- the number ---------------------------------------------------------------------------------------------- */
TEST(the_number_is_that_of_the_cpu_a_thread_is_pinned_to)
{
	struct rseq *area = library_area();

	for (int i = 0; i < 40; i++) {
		int cpu = cpu_number(i);
		unsigned called = -1u, seen = -1u;

		pin(cpu);
		CHECK_EQ(*cpu_word(area), cpu);
		CHECK_EQ(area->cpu_id_start, cpu);
		CHECK_EQ(sched_getcpu(), cpu);
		CHECK_EQ(getcpu(&seen, NULL), 0);
		CHECK_EQ(seen, cpu);
		CHECK_EQ(sys(SYS_getcpu, &called, NULL, NULL), 0);
		CHECK_EQ(called, cpu);
	}
}

TEST(the_number_finds_a_page_that_was_dropped)
{
	struct rseq *area = own_area();

	for (int i = 0; i < 20; i++) {
		int from = cpu_number(i), to = cpu_number(i + 1);

		pin(from);
		CHECK_OK(madvise(area, PAGE, MADV_DONTNEED));
		pin(to);
		if (from != to)
			CHECK_EQ(*cpu_word(area), to);
	}
}

static _Atomic bool stop;
static _Atomic long looks;

/* Compares with the vDSO's number. A thread may be moved there and back between two looks, but hardly so often in a row. */
static void *knows_its_cpu(void *arg)
{
	struct rseq *area = library_area();
	unsigned seed = (unsigned)(uintptr_t)arg, wrong = 0;
	cpu_set_t all;

	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	for (long i = 0; !stop; i++) {
		uint32_t before = *cpu_word(area), after;
		unsigned now = -1u;

		getcpu(&now, NULL);
		after = *cpu_word(area);
		wrong = before == after && now != before ? wrong + 1 : 0;
		CHECK_MSG(wrong < 5, "on CPU %u, and told it is %u", now, before);
		if (i % 64)
			continue;
		looks++;
		switch (rand_r(&seed) % 8) {
		case 0:
			pin(cpu_number(rand_r(&seed) % 64));
			break;
		case 1:
			CHECK_OK(sched_setaffinity(0, sizeof(all), &all));
			break;
		case 2:
			usleep(rand_r(&seed) % 200);
			break;
		case 3:
		case 4:
			sched_yield();
			break;
		}
	}
	return NULL;
}

TEST(threads_that_move_always_know_their_cpu)
{
	pthread_t threads[MAX_THREADS];
	int n = get_nprocs() * 2 + 1;

	n = n < MAX_THREADS ? n : MAX_THREADS;
	stop = false;
	looks = 0;
	for (int i = 0; i < n; i++)
		threads[i] = thread_start(knows_its_cpu, (void *)(uintptr_t)(i + 1));
	sleep_ms(400);
	CHECK(EVENTUALLY(looks > 100));
	stop = true;
	for (int i = 0; i < n; i++)
		thread_join(threads[i], NULL);
}

/* --- sections ------------------------------------------------------------------------------------------------- */
/*
 * bool wait_in_section(struct rseq *, struct room *): says that it is inside and waits there to be let out, which is its
 * commit; false when it began anew. trap_in_section() executes ud2 inside. Both use the description whose address is the third argument.
 */
struct room {
	_Atomic int inside, out;
};

bool wait_in_section(struct rseq *area, struct room *room, const struct rseq_cs *cs);
bool trap_in_section(struct rseq *area, struct room *room, const struct rseq_cs *cs);
extern const char wait_abort[], trap_abort[], trap_start[];
extern struct rseq_cs wait_section, trap_section;

__asm__(".pushsection .text\n"
	"	.type wait_in_section, @function\n"
	"wait_in_section:\n"
	"	mov %rdx, 8(%rdi)\n"
	"wait_start:\n"
	"	movl $1, (%rsi)\n"
	"1:	pause\n"
	"	cmpl $0, 4(%rsi)\n"
	"	je 1b\n"
	"	movl $2, (%rsi)\n"
	"wait_end:\n"
	"	mov $1, %eax\n"
	"	ret\n"
	"	.byte 0x0f, 0xb9, 0x3d\n" /* ud1 with the signature as its operand */
	"	.long 0x53053053\n"
	"wait_abort:\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"	.type trap_in_section, @function\n"
	"trap_in_section:\n"
	"	mov %rdx, 8(%rdi)\n"
	"trap_start:\n"
	"	ud2\n"
	"trap_end:\n"
	"	mov $1, %eax\n"
	"	ret\n"
	"	.byte 0x0f, 0xb9, 0x3d\n"
	"	.long 0x53053053\n"
	"trap_abort:\n"
	"	xor %eax, %eax\n"
	"	ret\n"
	"	.popsection\n"
	"	.pushsection .data\n"
	"	.balign 32\n"
	"wait_section:\n"
	"	.long 0, 0\n"
	"	.quad wait_start, wait_end - wait_start, wait_abort\n"
	"trap_section:\n"
	"	.long 0, 0\n"
	"	.quad trap_start, trap_end - trap_start, trap_abort\n"
	"	.popsection\n");

_Static_assert(RSEQ_SIG == 0x53053053, "what stands before the places to continue at");

static void *let_out_in_time(void *arg)
{
	struct room *room = arg;

	if (!EVENTUALLY(room->inside == 3))
		room->out = 1;
	return NULL;
}

/* True if the wait was cut short; a thread that is not interrupted in there is let out after five seconds. */
static bool wait_is_cut_short(struct room *room)
{
	pthread_t thread = thread_start(let_out_in_time, room);
	bool committed = wait_in_section(library_area(), room, &wait_section);

	room->inside = 3;
	thread_join(thread, NULL);
	return !committed;
}

static volatile uintptr_t handler_rip;
static volatile uint64_t handler_section;
static volatile int handler_runs;

static void note_section(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	handler_rip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	handler_section = library_area()->rseq_cs;
	handler_runs++;
}

static void *signal_who_is_inside(void *arg)
{
	struct room *room = ((void **)arg)[0];
	pthread_t *whom = ((void **)arg)[1];

	if (EVENTUALLY(room->inside))
		pthread_kill(*whom, SIGUSR1);
	return NULL;
}

TEST(a_signal_ends_a_section_before_its_handler_runs)
{
	struct room room = { 0 };
	pthread_t self = pthread_self(), other;

	handle(SIGUSR1, note_section, SA_RESTART);
	for (int i = 0; i < 20; i++) {
		room = (struct room){ 0 };
		handler_runs = 0;
		other = thread_start(signal_who_is_inside, (void *[]){ &room, &self });
		CHECK(wait_is_cut_short(&room));
		thread_join(other, NULL);
		CHECK_EQ(handler_runs, 1);
		CHECK_EQ(handler_section, 0);
		CHECK_EQ(library_area()->rseq_cs, 0);
	}
}

TEST(a_handler_sees_where_the_section_continues)
{
	handle(SIGILL, note_section, 0);
	handler_runs = 0;
	CHECK(!trap_in_section(library_area(), NULL, &trap_section));
	CHECK_EQ(handler_runs, 1);
	CHECK_EQ(handler_rip, (uintptr_t)trap_abort);
	CHECK_EQ(handler_section, 0);
}

TEST(a_section_that_was_left_is_forgotten)
{
	struct rseq *area = library_area();

	handle(SIGUSR1, note_section, 0);
	handler_runs = 0;
	area->rseq_cs = (uintptr_t)&wait_section;
	CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
	CHECK_EQ(handler_runs, 1);
	CHECK_EQ(handler_section, 0);
	CHECK_EQ(area->rseq_cs, 0);
	CHECK(handler_rip != (uintptr_t)wait_abort);
}

static void trap_with_flags(void *arg)
{
	static struct rseq_cs section __attribute__((aligned(32)));

	section = trap_section;
	section.flags = (uintptr_t)arg;
	trap_in_section(library_area(), NULL, &section);
}

static void trap_with_area_flags(void *arg)
{
	library_area()->flags = (uintptr_t)arg;
	trap_in_section(library_area(), NULL, &trap_section);
}

TEST(flags_that_would_not_begin_anew_are_a_fault)
{
	CHECK_FAULT(trap_with_flags, (void *)RSEQ_CS_FLAG_NO_RESTART_ON_SIGNAL, SIGSEGV, SI_KERNEL);
	CHECK_EQ(library_area()->rseq_cs, 0);
	CHECK_FAULT(trap_with_flags, (void *)0x40, SIGSEGV, SI_KERNEL);
	CHECK_FAULT(trap_with_area_flags, (void *)RSEQ_CS_FLAG_NO_RESTART_ON_PREEMPT, SIGSEGV, SI_KERNEL);
	library_area()->flags = 0;
}

/* Outside of the section nobody looks at its flags. */
TEST(flags_of_a_section_that_was_left_do_not_matter)
{
	static struct rseq_cs section __attribute__((aligned(32)));

	section = trap_section;
	section.flags = 7;
	handle(SIGUSR1, note_section, 0);
	library_area()->rseq_cs = (uintptr_t)&section;
	CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
	CHECK_EQ(library_area()->rseq_cs, 0);
}

static void *spin(void *arg)
{
	(void)arg;
	pin(cpu_number(0));
	while (!stop)
		;
	return NULL;
}

TEST(a_section_begins_anew_when_its_thread_was_preempted)
{
	pthread_t thread;

	stop = false;
	thread = thread_start(spin, NULL);
	pin(cpu_number(0));
	for (int i = 0; i < 10; i++) {
		struct room room = { 0 };

		CHECK(wait_is_cut_short(&room));
		CHECK_EQ(library_area()->rseq_cs, 0);
	}
	stop = true;
	thread_join(thread, NULL);
}

static void *wait_elsewhere(void *arg)
{
	struct room *room = arg;
	bool committed;

	pin(cpu_number(1));
	committed = wait_in_section(library_area(), room, &wait_section);
	room->inside = 3;
	return (void *)committed;
}

TEST(membarrier_makes_sections_of_other_cpus_begin_anew)
{
	long commands = sys(SYS_membarrier, 0, 0, 0);

	if (!(commands & MEMBARRIER_RSEQ))
		SKIP("no such command");
	CHECK_EQ(sys(SYS_membarrier, MEMBARRIER_REGISTER_RSEQ, 0, 0), 0);
	CHECK_EQ(sys(SYS_membarrier, MEMBARRIER_RSEQ, 2, 0), -EINVAL);
	CHECK_EQ(sys(SYS_membarrier, MEMBARRIER_RSEQ, 1, cpu_number(0)), 0);
	CHECK_EQ(sys(SYS_membarrier, MEMBARRIER_RSEQ, 0, 0), 0);
	if (get_nprocs() < 2)
		return;
	pin(cpu_number(0));
	for (int i = 0; i < 20; i++) {
		struct room room = { 0 };
		pthread_t thread = thread_start(wait_elsewhere, &room);

		CHECK(EVENTUALLY(room.inside));
		CHECK_EQ(sys(SYS_membarrier, MEMBARRIER_RSEQ, i % 2, cpu_number(1)), 0);
		bool ended = EVENTUALLY(room.inside == 3);
		room.out = 1;
		thread_join(thread, NULL);
		CHECK(ended);
	}
}

/* --- counting without atomic instructions ------------------------------------------------------------------------ */
struct counter {
	long value;
	char fill[56];
};

static struct counter counters[CPU_SETSIZE];
static _Atomic long commits, aborts;

/* Adds one to the counter of this CPU, slowly; false if it has to be tried again. */
static __attribute__((noinline)) bool add_here(struct rseq *area, long delay)
{
	__asm__ goto(".pushsection .data\n\t"
		     ".balign 32\n"
		     "3:\n\t"
		     ".long 0, 0\n\t"
		     ".quad 1f, 2f - 1f, 4f\n\t"
		     ".popsection\n\t"
		     "lea 3b(%%rip), %%rax\n\t"
		     "mov %%rax, 8(%[area])\n"
		     "1:\n\t"
		     "mov 4(%[area]), %%eax\n\t"
		     "shl $6, %%rax\n\t"
		     "mov (%[counters], %%rax), %%rdx\n\t"
		     "mov %[delay], %%rcx\n"
		     "5:\n\t"
		     "dec %%rcx\n\t"
		     "jg 5b\n\t"
		     "inc %%rdx\n\t"
		     "mov %%rdx, (%[counters], %%rax)\n"
		     "2:\n\t"
		     ".pushsection .text.unlikely\n\t"
		     ".byte 0x0f, 0xb9, 0x3d\n\t"
		     ".long 0x53053053\n"
		     "4:\n\t"
		     "jmp %l[again]\n\t"
		     ".popsection"
		     :
		     : [area] "r"(area), [counters] "r"(counters), [delay] "r"(delay)
		     : "rax", "rcx", "rdx", "memory", "cc"
		     : again);
	return true;
again:
	return false;
}

static void *count(void *arg)
{
	struct rseq *area = library_area();
	long done = 0, again = 0, delay = (long)arg;

	while (!stop) {
		if (add_here(area, delay))
			done++;
		else
			again++;
	}
	commits += done;
	aborts += again;
	return NULL;
}

static void *disturb(void *arg)
{
	pthread_t *threads = arg;

	for (unsigned i = 0; !stop; i++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu_number((int)i), &set);
		CPU_SET(cpu_number((int)i / 2), &set);
		pthread_setaffinity_np(threads[i % 2], sizeof(set), &set);
		pthread_kill(threads[i / 2 % 2], SIGUSR1);
		usleep(300);
	}
	return NULL;
}

static void ignore(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
}

static void count_and_compare(int nthreads, bool one_cpu, bool disturbed, long delay)
{
	pthread_t threads[MAX_THREADS], other = 0;
	cpu_set_t before;
	long sum = 0;

	memset(counters, 0, sizeof(counters));
	commits = aborts = 0;
	stop = false;
	CHECK_OK(sched_getaffinity(0, sizeof(before), &before));
	if (one_cpu)
		pin(cpu_number(0));
	for (int i = 0; i < nthreads; i++)
		threads[i] = thread_start(count, (void *)delay);
	CHECK_OK(sched_setaffinity(0, sizeof(before), &before));
	if (disturbed)
		other = thread_start(disturb, threads);
	sleep_ms(300);
	stop = true;
	for (int i = 0; i < nthreads; i++)
		thread_join(threads[i], NULL);
	if (disturbed)
		thread_join(other, NULL);
	for (int i = 0; i < CPU_SETSIZE; i++)
		sum += counters[i].value;
	CHECK_EQ(sum, commits);
	CHECK(commits > 0);
	CHECK(aborts > 0);
}

TEST(threads_of_one_cpu_count_without_atomic_instructions)
{
	count_and_compare(2, true, false, 2000);
	count_and_compare(3, true, false, 50);
}

TEST(threads_of_all_cpus_count_without_atomic_instructions)
{
	int n = get_nprocs() * 2 + 1;

	count_and_compare(n < MAX_THREADS ? n : MAX_THREADS, false, false, 500);
}

TEST(sections_survive_signals_and_migration)
{
	int n = get_nprocs() + 1;

	handle(SIGUSR1, ignore, SA_RESTART);
	count_and_compare(n < MAX_THREADS ? n : MAX_THREADS, false, true, 200);
}

TEST_MAIN("rseq")
