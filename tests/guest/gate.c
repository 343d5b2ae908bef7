/*
 * tests/guest/gate.c - system calls made again and again from the same instruction, in all the ways a compiler or a C library
 * writes one. On ibrik these instructions are replaced while the program runs (docs/syscalls.md); nobody may notice. Code whose
 * pages come and go: gate_code.c.
 */
#include "harness.h"
#include "waits.h"
#include <dlfcn.h>

#define WARM 100 /* calls after which a site has been replaced, if it can be */

/*
 * Sites. Each takes its call's arguments as a C function does. NEAR ends with padding, as functions of a C library do;
 * LONELY neither has that nor an instruction that could make room.
 */
#define SITE(NAME, BODY) ".balign 16\n" NAME ": mov %rcx,%r10\n" BODY "\n"
__asm__(".pushsection .text\n.balign 64\n"
	SITE("site_getpid", "mov $39,%eax\n syscall\n ret")
	SITE("site_gettid", "mov $186,%eax\n syscall\n ret")
	SITE("site_read", "mov $0,%eax\n syscall\n ret")
	SITE("site_fcntl", "mov $72,%eax\n syscall\n cmp $-4096,%rax\n ret")
	SITE("site_any", "mov %r9,%rax\n syscall\n ret\n.balign 16")
	SITE("site_any_behind", "jmp 1f\n.balign 16\n1: mov %r9,%rax\n syscall\n nop\n add $0,%rax\n add $0,%rax\n ret")
	SITE("site_slot", "mov %r9,%rax\n mov %r11,8(%rsp)\n syscall\n ret")
	".fill 256,1,0xc3\n" SITE("site_lonely", "mov %r9,%rax\n syscall\n ret\n.fill 256,1,0xc3")
	SITE("site_backward", "std\n mov %r9,%rax\n syscall\n pushfq\n pop %rax\n cld\n ret\n.balign 16")
	SITE("site_nested", "pushfq\n orl $0x4000,(%rsp)\n popfq\n mov %r9,%rax\n syscall\n pushfq\n pop %rax\n"
			    "pushfq\n andl $~0x4000,(%rsp)\n popfq\n ret\n.balign 16")
	/* A jump that leads to the instruction, past the one that loads the number. */
	SITE("site_straight", "mov $39,%eax\n test %r9,%r9\n jnz 1f\n mov $186,%eax\n1: syscall\n ret")
	".balign 16\n.popsection");

typedef long site_fn(long, long, long, long, long, long, ...);
site_fn site_getpid, site_gettid, site_read, site_fcntl, site_any, site_any_behind, site_slot, site_lonely, site_backward, site_nested, site_straight;

static site_fn *const any_sites[] = { site_any, site_any_behind, site_slot, site_lonely };
#define ANY_SITES (sizeof(any_sites) / sizeof(any_sites[0]))

TEST(every_shape_answers_the_same_each_time)
{
	long pid = getpid(), tid = syscall(SYS_gettid);

	for (int i = 0; i < WARM; i++) {
		CHECK_EQ(site_getpid(0, 0, 0, 0, 0, 0), pid);
		CHECK_EQ(site_gettid(0, 0, 0, 0, 0, 0), tid);
		CHECK_EQ(site_fcntl(-1, F_GETFD, 0, 0, 0, 0), -EBADF);
		CHECK_EQ(site_read(-1, 0, 0, 0, 0, 0), -EBADF);
		for (unsigned s = 0; s < ANY_SITES; s++) {
			CHECK_EQ(any_sites[s](0, 0, 0, 0, 0, SYS_getpid, 0), pid);
			CHECK_EQ(any_sites[s](-1, 0, 0, 0, 0, SYS_lseek, 0), -EBADF);
			CHECK_EQ(any_sites[s](0, 0, 0, 0, 0, SYS_gettid, 0), tid);
		}
		CHECK_EQ(site_straight(0, 0, 0, 0, 0, 0), tid);
		CHECK_EQ(site_straight(0, 0, 0, 0, 0, 1), pid);
	}
}

TEST(numbers_that_do_not_exist_answer_enosys)
{
	static const long numbers[] = { -1, 511, 512, 100000, 0x7fffffff, 0x1ffffffffl };

	for (int i = 0; i < WARM; i++) {
		for (unsigned s = 0; s < ANY_SITES; s++) {
			for (unsigned n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
				CHECK_EQ(any_sites[s](0, 0, 0, 0, 0, numbers[n], 0), -ENOSYS);
			/* The number is what %eax holds. */
			CHECK_EQ(any_sites[s](0, 0, 0, 0, 0, SYS_getpid | 0x100000000l, 0), getpid());
		}
	}
}

TEST(six_arguments_arrive)
{
	int fd = scratch_file("six", "0123456789", 10);

	for (int i = 0; i < WARM; i++) {
		for (unsigned s = 0; s < ANY_SITES; s++) {
			char buf[4] = "";

			CHECK_EQ(any_sites[s](fd, (long)buf, 3, 4, 0, SYS_pread64, 0), 3);
			CHECK_STR(buf, "456");
		}
		/* The sixth is in %r9, which the sites above use: the C library's own site. */
		char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
		CHECK(p != MAP_FAILED && !memcmp(p, "0123", 4));
		munmap(p, PAGE);
	}
	close(fd);
}

/* --- registers --------------------------------------------------------------------------------------------- */
struct state {
	uint64_t rax, rbx, rbp, rdx, rsi, rdi, r8, r9, r10, r12, r13, r14, r15, red[3];
	uint8_t xmm[16][16] __attribute__((aligned(16)));
};

/* Loads everything from the first argument, makes the call, stores everything to the second. */
#define STATE_SITE(NAME, CALL) \
	".balign 16\n" NAME ":\n push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rsi\n" \
	".set i,0\n.rept 16\n LOAD_XMM %i\n.set i,i+1\n.endr\n" \
	"mov 104(%rdi),%rax\n mov %rax,-8(%rsp)\n mov 112(%rdi),%rax\n mov %rax,-64(%rsp)\n mov 120(%rdi),%rax\n mov %rax,-128(%rsp)\n" \
	"mov (%rdi),%rax\n mov 8(%rdi),%rbx\n mov 16(%rdi),%rbp\n mov 24(%rdi),%rdx\n mov 32(%rdi),%rsi\n mov 48(%rdi),%r8\n" \
	"mov 56(%rdi),%r9\n mov 64(%rdi),%r10\n mov 72(%rdi),%r12\n mov 80(%rdi),%r13\n mov 88(%rdi),%r14\n mov 96(%rdi),%r15\n" \
	"mov 40(%rdi),%rdi\n" CALL "\n" \
	"mov (%rsp),%rcx\n mov %rax,(%rcx)\n mov %rbx,8(%rcx)\n mov %rbp,16(%rcx)\n mov %rdx,24(%rcx)\n mov %rsi,32(%rcx)\n" \
	"mov %rdi,40(%rcx)\n mov %r8,48(%rcx)\n mov %r9,56(%rcx)\n mov %r10,64(%rcx)\n mov %r12,72(%rcx)\n mov %r13,80(%rcx)\n" \
	"mov %r14,88(%rcx)\n mov %r15,96(%rcx)\n" \
	"mov -8(%rsp),%rax\n mov %rax,104(%rcx)\n mov -64(%rsp),%rax\n mov %rax,112(%rcx)\n mov -128(%rsp),%rax\n mov %rax,120(%rcx)\n" \
	".set i,0\n.rept 16\n STORE_XMM %i\n.set i,i+1\n.endr\n" \
	"pop %rsi\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
__asm__(".pushsection .text\n.altmacro\n"
	".macro LOAD_XMM n\n movaps 128+16*\\n(%rdi),%xmm\\n\n.endm\n"
	".macro STORE_XMM n\n movaps %xmm\\n,128+16*\\n(%rcx)\n.endm\n"
	STATE_SITE("state_before", "mov $72,%eax\n syscall")
	STATE_SITE("state_leaf", "mov $39,%eax\n syscall")
	STATE_SITE("state_near", "nop\n syscall\n jmp 1f\n.balign 16\n1:")
	STATE_SITE("state_read", "mov $0,%eax\n syscall")
	STATE_SITE("state_write", "mov $1,%eax\n syscall")
	STATE_SITE("state_lseek", "mov $8,%eax\n syscall")
	STATE_SITE("state_pread", "mov $17,%eax\n syscall")
	STATE_SITE("state_yield", "mov $24,%eax\n syscall")
	STATE_SITE("state_affinity", "mov $204,%eax\n syscall")
	".noaltmacro\n.balign 16\n.popsection");
typedef void state_fn(const struct state *in, struct state *out);
state_fn state_before, state_leaf, state_near, state_read, state_write, state_lseek, state_pread, state_yield, state_affinity;

static void state_fill(struct state *s, unsigned seed)
{
	uint8_t *p = (uint8_t *)s;

	for (unsigned i = 0; i < sizeof(*s); i++)
		p[i] = (uint8_t)(i * 131 + seed * 17 + 1);
}

/* Calls that go by each way: with a frame, without one, in the stub; and those that are tried the short way in vain. */
static void *state_thread(void *arg)
{
	uint64_t word[16] = { 0 };
	int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY), file = open("/proc/self/exe", O_RDONLY);
	const uint64_t none = ~0ul, at = (uintptr_t)word;
	const struct {
		state_fn *site;
		uint64_t number, rdi, rsi, rdx, r10;
		long answer;
	} cases[] = {
		{ state_before, SYS_fcntl, none, F_GETFL, 0, 0, -EBADF },
		{ state_before, SYS_fcntl, (uint64_t)null, F_GETFD, 0, 0, 0 },
		{ state_before, SYS_fcntl, (uint64_t)null, F_GETFL, 0, 0, fcntl(null, F_GETFL) },
		{ state_leaf, SYS_getpid, 1, 2, 3, 4, getpid() },
		{ state_near, SYS_fcntl, none, F_GETFL, 0, 0, -EBADF },
		{ state_near, SYS_fcntl, (uint64_t)null, F_GETFL, 0, 0, fcntl(null, F_GETFL) },
		{ state_near, SYS_lseek, (uint64_t)file, 5, SEEK_SET, 0, 5 },
		{ state_read, SYS_read, (uint64_t)zero, at, 4, 0, 4 },
		{ state_read, SYS_read, (uint64_t)file, at, 4, 0, 4 },
		{ state_read, SYS_read, (uint64_t)file, 8, 4, 0, -EFAULT },
		{ state_write, SYS_write, (uint64_t)null, at, 100, 0, 100 },
		{ state_write, SYS_write, (uint64_t)zero, at, 100, 0, -EBADF },
		{ state_lseek, SYS_lseek, (uint64_t)file, 5, SEEK_SET, 0, 5 },
		{ state_lseek, SYS_lseek, (uint64_t)file, 5, 77, 0, -EINVAL },
		{ state_pread, SYS_pread64, (uint64_t)file, at, 4, 1, 4 },
		{ state_pread, SYS_pread64, (uint64_t)file, at, 4, none, -EINVAL },
		{ state_yield, SYS_sched_yield, 1, 2, 3, 4, 0 },
		{ state_affinity, SYS_sched_getaffinity, 0, 128, at, 0, syscall(SYS_sched_getaffinity, 0, 128, word) },
		{ state_affinity, SYS_sched_getaffinity, 0, 7, at, 0, -EINVAL },
	};
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < 6000; i++) {
		struct state in, out;
		unsigned n = i % (sizeof(cases) / sizeof(cases[0]));

		state_fill(&in, seed + i);
		in.rax = cases[n].number;
		in.rdi = cases[n].rdi;
		in.rsi = cases[n].rsi;
		in.rdx = cases[n].rdx;
		in.r10 = cases[n].r10;
		memset(&out, 0, sizeof(out));
		cases[n].site(&in, &out);
		CHECK_MSG((long)out.rax == cases[n].answer, "case %u answered %ld in round %u, not %ld", n, (long)out.rax, i, cases[n].answer);
		out.rax = in.rax;
		CHECK_MSG(!memcmp(&in, &out, sizeof(in)), "case %u changed a register or the red zone in round %u", n, i);
	}
	close(zero);
	close(null);
	close(file);
	return NULL;
}

TEST_SLOW(registers_vectors_and_the_red_zone_survive, 60)
{
	pthread_t threads[3];

	for (uintptr_t i = 0; i < 3; i++)
		threads[i] = thread_start(state_thread, (void *)(i * 1000));
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

TEST(flags_that_no_function_call_is_made_with_are_what_they_were)
{
	for (int i = 0; i < WARM; i++) {
		CHECK(site_backward(0, 0, 0, 0, 0, SYS_getpid) & 0x400);
		CHECK(site_nested(0, 0, 0, 0, 0, SYS_getpid) & 0x4000);
	}
}

static int nested_file, nested_null;
static _Atomic bool nested_over;
static _Atomic unsigned nested_signals;

static void count_nested(int sig) { (void)sig, nested_signals++; }

static void *nested_thread(void *arg)
{
	cpu_set_t set;
	char c;

	(void)arg;
	while (!nested_over) {
		c = 0;
		CHECK(site_nested(nested_file, (long)&c, 1, 1, 0, SYS_pread64) & 0x4000);
		CHECK_EQ(c, 'E');
		CHECK(site_nested(nested_null, (long)&c, 1, 0, 0, SYS_write) & 0x4000);
		CHECK(site_nested(nested_file, 0, SEEK_CUR, 0, 0, SYS_lseek) & 0x4000);
		CHECK(site_nested(nested_file, 7, SEEK_SET, 0, 0, SYS_lseek) & 0x4000);
		CHECK(site_nested(0, sizeof(set), (long)&set, 0, 0, SYS_sched_getaffinity) & 0x4000);
		CHECK(site_nested(nested_file, F_GETFL, 0, 0, 0, SYS_fcntl) & 0x4000);
	}
	return NULL;
}

/* Signals and other threads come in the middle of calls that are made with NT set; more threads than CPUs. */
TEST_SLOW(a_nested_task_flag_survives_what_comes_in_the_middle_of_a_call, 60)
{
	pthread_t threads[6];

	nested_file = open("/proc/self/exe", O_RDONLY);
	nested_null = open("/dev/null", O_WRONLY);
	CHECK(nested_file >= 0 && nested_null >= 0);
	nested_over = false;
	nested_signals = 0;
	signal(SIGUSR1, count_nested);
	for (unsigned i = 0; i < 6; i++)
		threads[i] = thread_start(nested_thread, NULL);
	for (int64_t end = now_ns() + 3000000000ll; now_ns() < end;) {
		for (unsigned i = 0; i < 6; i++)
			CHECK_EQ(pthread_kill(threads[i], SIGUSR1), 0);
		usleep(100);
	}
	nested_over = true;
	for (unsigned i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	CHECK(nested_signals > 0);
	close(nested_file);
	close(nested_null);
}

/* --- many sites, many threads ---------------------------------------------------------------------------- */
#define MANY 256
__asm__(".pushsection .text\n.balign 64\nmany_sites:\n"
	".rept 128\n.balign 32\n mov %rcx,%r10\n mov $72,%eax\n syscall\n ret\n.balign 32\n mov %rcx,%r10\n mov %r9,%rax\n syscall\n ret\n.endr\n"
	".balign 64\n.popsection");
extern const char many_sites[];
static _Atomic unsigned many_reached;

static site_fn *many_site(unsigned i) { return (site_fn *)(uintptr_t)(many_sites + 32ul * i); }

static void *many_follow(void *arg)
{
	unsigned i;

	(void)arg;
	while ((i = many_reached) < MANY)
		CHECK_EQ(many_site(i)(-1, F_GETFD, 0, 0, 0, SYS_fcntl), -EBADF);
	return NULL;
}

TEST_SLOW(a_site_may_be_replaced_while_other_threads_execute_it, 60)
{
	pthread_t threads[3];

	many_reached = 0;
	for (unsigned i = 0; i < 3; i++)
		threads[i] = thread_start(many_follow, NULL);
	for (unsigned i = 0; i < MANY; i++) {
		for (unsigned n = 0; n < 30; n++)
			CHECK_EQ(many_site(i)(-1, F_GETFD, 0, 0, 0, SYS_fcntl), -EBADF);
		many_reached = i + 1;
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* --- signals -------------------------------------------------------------------------------------------------- */
#define SEEN 4096
static struct {
	uintptr_t rip, rax;
} seen[SEEN];
static _Atomic unsigned seen_count;
static _Atomic bool hammer_stop;

static void note_registers(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	unsigned i = seen_count;

	(void)sig, (void)info;
	if (i < SEEN) {
		seen[i].rip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
		seen[i].rax = (uintptr_t)uc->uc_mcontext.gregs[REG_RAX];
		seen_count = i + 1;
	}
}

static int hammer_fd;

static void *hammer(void *arg)
{
	long pid = getpid();

	(void)arg;
	while (!hammer_stop) {
		CHECK_EQ(site_getpid(0, 0, 0, 0, 0, 0), pid);
		CHECK_EQ(site_fcntl(-1, F_GETFD, 0, 0, 0, 0), -EBADF);
		CHECK_EQ(site_fcntl(hammer_fd, F_GETFL, 0, 0, 0, 0) & O_ACCMODE, O_RDONLY);
		CHECK_EQ(site_any(-1, 0, 0, 0, 0, SYS_lseek), -EBADF);
		CHECK_EQ(site_any(hammer_fd, 7, 0, 0, 0, SYS_lseek), 7);
		CHECK_EQ(site_slot(-1, 0, 0, 0, 0, SYS_lseek, 0), -EBADF);
	}
	return NULL;
}

/* The instructions of a site: where they begin, and what RAX holds there if that is certain. */
static void check_boundary(const char *name, site_fn *fn, unsigned i, const uint8_t *offsets, unsigned syscall_at, uintptr_t number)
{
	uintptr_t at = seen[i].rip - (uintptr_t)fn;

	if (at >= 16)
		return;
	while (*offsets != at && *offsets != 255)
		offsets++;
	CHECK_MSG(*offsets == at, "a handler saw %s+%lu, which is inside an instruction", name, at);
	if (at == syscall_at)
		CHECK_MSG(seen[i].rax == number, "a handler saw %s+%lu with rax %#lx", name, at, seen[i].rax);
}

TEST_SLOW(a_handler_sees_instructions_of_the_program_only, 60)
{
	Dl_info where;
	pthread_t thread;

	seen_count = 0;
	hammer_stop = false;
	hammer_fd = open("/proc/self/exe", O_RDONLY);
	CHECK(hammer_fd >= 0);
	handle(SIGUSR1, note_registers, SA_RESTART);
	thread = thread_start(hammer, NULL);
	for (int i = 0; i < 1500; i++) {
		unsigned before = seen_count;

		pthread_kill(thread, SIGUSR1);
		CHECK(EVENTUALLY(seen_count != before));
		for (volatile int pause = i % 97 * 11; pause > 0; pause--)
			;
	}
	hammer_stop = true;
	pthread_join(thread, NULL);
	close(hammer_fd);
	CHECK(seen_count > 0);
	for (unsigned i = 0; i < seen_count; i++) {
		CHECK_MSG(dladdr((void *)seen[i].rip, &where), "a handler saw %#lx, which is in no program or library", seen[i].rip);
		check_boundary("site_getpid", site_getpid, i, (const uint8_t[]){ 0, 3, 8, 10, 255 }, 8, SYS_getpid);
		check_boundary("site_fcntl", site_fcntl, i, (const uint8_t[]){ 0, 3, 8, 10, 255 }, 8, SYS_fcntl);
		check_boundary("site_any", site_any, i, (const uint8_t[]){ 0, 3, 6, 8, 255 }, 6, SYS_lseek);
		check_boundary("site_slot", site_slot, i, (const uint8_t[]){ 0, 3, 6, 11, 13, 255 }, 11, SYS_lseek);
	}
}

/* Signals, other threads and a table of descriptors that grows come between the instructions of calls that take only a few. */
static int seek_fd;
static atomic_bool seek_over;

static void seek_elsewhere(int sig)
{
	off_t at = lseek(seek_fd, 0, SEEK_CUR);

	(void)sig;
	lseek(seek_fd, 7, SEEK_SET);
	lseek(seek_fd, at, SEEK_SET);
}

static void *seek_often(void *arg)
{
	int mine = open("/proc/self/exe", O_RDONLY);
	unsigned seed = 1;

	(void)arg;
	CHECK(mine >= 0);
	while (!seek_over) {
		off_t at = rand_r(&seed);

		CHECK_EQ(lseek(seek_fd, at, SEEK_SET), at);
		CHECK_EQ(lseek(seek_fd, 0, SEEK_CUR), at);
		CHECK_EQ(fcntl(seek_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		CHECK_EQ(sched_yield(), 0);
		CHECK_EQ(lseek(mine, at, SEEK_SET), at);
		CHECK_EQ(lseek(mine, -1, SEEK_SET) == -1 ? errno : 0, EINVAL);
		CHECK_EQ(lseek(mine, 0, SEEK_CUR), at);
		CHECK_EQ(fcntl(mine, F_GETFL) & O_ACCMODE, O_RDONLY);
		CHECK_EQ(lseek(-1, 0, SEEK_SET) == -1 ? errno : 0, EBADF);
		CHECK_EQ(lseek(100000, 0, SEEK_SET) == -1 ? errno : 0, EBADF);
		CHECK_EQ(fcntl(100000, F_GETFL) == -1 ? errno : 0, EBADF);
	}
	close(mine);
	return NULL;
}

static void *descriptors_churn(void *arg)
{
	(void)arg;
	for (int i = 0; !seek_over; i++) {
		int fd = dup2(seek_fd, 100 + i % 400);

		CHECK(fd >= 0);
		close(fd);
	}
	return NULL;
}

TEST_SLOW(the_shortest_calls_are_whole_whatever_comes_between, 60)
{
	int pipe_fds[2], path = open("/proc/self/exe", O_PATH);
	pthread_t seeker, churner;

	CHECK_OK(pipe(pipe_fds));
	CHECK(path >= 0);
	for (int i = 0; i < WARM; i++) {
		CHECK_EQ(lseek(pipe_fds[0], 0, SEEK_SET) == -1 ? errno : 0, ESPIPE);
		CHECK_EQ(lseek(path, 0, SEEK_SET) == -1 ? errno : 0, EBADF);
		CHECK_EQ(fcntl(path, F_GETFL) & O_PATH, O_PATH);
		CHECK_EQ(fcntl(pipe_fds[1], F_GETFL) & O_ACCMODE, O_WRONLY);
	}
	seek_fd = open("/proc/self/exe", O_RDONLY);
	CHECK(seek_fd >= 0);
	seek_over = false;
	signal(SIGUSR1, seek_elsewhere);
	seeker = thread_start(seek_often, NULL);
	churner = thread_start(descriptors_churn, NULL);
	for (int64_t end = now_ns() + 2000000000ll; now_ns() < end;) {
		CHECK_EQ(pthread_kill(seeker, SIGUSR1), 0);
		usleep(50);
	}
	seek_over = true;
	pthread_join(seeker, NULL);
	pthread_join(churner, NULL);
	close(seek_fd);
	close(path);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* --- single steps -------------------------------------------------------------------------------------------------- */
static _Atomic unsigned steps_behind, steps_inside;
static uintptr_t step_site;

static void note_step(int sig, siginfo_t *info, void *context)
{
	uintptr_t rip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	uintptr_t at = rip - step_site;

	(void)sig;
	CHECK_EQ(info->si_code, TRAP_TRACE);
	CHECK_EQ((uintptr_t)info->si_addr, rip);
	if (at < 16)
		steps_inside++;
	else
		steps_behind++;
	note_registers(sig, info, context);
}

static long step_through(site_fn *site, long number)
{
	long result;

	step_site = (uintptr_t)site;
	steps_inside = steps_behind = 0;
	__asm__ volatile("mov %[number], %%r9\n mov $-1, %%rdi\n mov $1, %%esi\n xor %%ecx, %%ecx\n"
			 "push $0\n push $0\n"
			 "pushfq\n orq $0x100, (%%rsp)\n popfq\n call *%[site]\n nop\n nop\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n"
			 "add $16, %%rsp"
			 : "=&a"(result)
			 : [number] "b"(number), [site] "r"(site)
			 : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc", "memory");
	return result;
}

/* The trap flag set by the program itself: a call counts as one step, and stepping goes on behind it. */
TEST(single_steps_lead_through_a_call)
{
	static const struct {
		const char *name;
		site_fn *site;
		long number, answer;
		uint8_t offsets[6];
		unsigned syscall_at;
	} cases[] = {
		{ "site_getpid", site_getpid, SYS_getpid, 0, { 0, 3, 8, 10, 255 }, 8 },
		{ "site_fcntl", site_fcntl, SYS_fcntl, -EBADF, { 0, 3, 8, 10, 16, 255 }, 8 },
		{ "site_any", site_any, SYS_lseek, -EBADF, { 0, 3, 6, 8, 255 }, 6 },
		{ "site_slot", site_slot, SYS_lseek, -EBADF, { 0, 3, 6, 11, 13, 255 }, 11 },
		{ "site_lonely", site_lonely, SYS_lseek, -EBADF, { 0, 3, 6, 8, 255 }, 6 },
	};
	struct sigaction act = { .sa_sigaction = note_step, .sa_flags = SA_SIGINFO };
	Dl_info where;

	CHECK_EQ(sigaction(SIGTRAP, &act, NULL), 0);
	for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		long answer = cases[c].number == SYS_getpid ? getpid() : cases[c].answer;

		for (int i = 0; i < WARM; i++)
			CHECK_EQ(cases[c].site(-1, 1, 0, 0, 0, cases[c].number, 0), answer);
		for (int i = 0; i < 20; i++) {
			seen_count = 0;
			CHECK_EQ(step_through(cases[c].site, cases[c].number), answer);
			CHECK(seen_count < SEEN && steps_inside >= 2 && steps_behind >= 3);
			for (unsigned n = 0; n < seen_count; n++) {
				CHECK_MSG(dladdr((void *)seen[n].rip, &where), "a step was seen at %#lx, in no program or library", seen[n].rip);
				check_boundary(cases[c].name, cases[c].site, n, cases[c].offsets, cases[c].syscall_at, (uintptr_t)cases[c].number);
			}
		}
	}
}

static int pipe_ends[2];
static _Atomic long read_answer;
static _Atomic pid_t reader_tid;

static void *read_thread(void *arg)
{
	site_fn *site = (site_fn *)(uintptr_t)arg;
	char c;

	reader_tid = gettid();
	read_answer = site(pipe_ends[0], (long)&c, 1, 0, 0, SYS_read, 0);
	return NULL;
}

static void interrupt_a_read(site_fn *site, bool restart)
{
	char c;

	for (int i = 0; i < WARM; i++)
		CHECK_EQ(site(-1, (long)&c, 1, 0, 0, SYS_read, 0), -EBADF);
	CHECK_OK(pipe(pipe_ends));
	handle(SIGUSR1, note_registers, restart ? SA_RESTART : 0);
	seen_count = 0;
	read_answer = 1000;
	reader_tid = 0;
	pthread_t thread = thread_start(read_thread, (void *)(uintptr_t)site);
	CHECK(EVENTUALLY(reader_tid));
	for (unsigned i = 0; i < 3 && (restart || !i); i++) {
		wait_asleep(reader_tid);
		pthread_kill(thread, SIGUSR1);
		CHECK(EVENTUALLY(seen_count == i + 1));
	}
	if (restart) {
		wait_asleep(reader_tid);
		CHECK_EQ(read_answer, 1000);
		CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
	}
	CHECK(EVENTUALLY(read_answer != 1000));
	CHECK_EQ(read_answer, restart ? 1 : -EINTR);
	pthread_join(thread, NULL);
	/* Interrupted, the call shows as made (EINTR) or as about to be made (restarted). */
	for (unsigned i = 0; i < seen_count; i++) {
		Dl_info where;
		CHECK(dladdr((void *)seen[i].rip, &where));
		CHECK_MSG(seen[i].rip - (uintptr_t)site < 32 || site == site_any_behind, "a handler saw %#lx", seen[i].rip);
	}
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

TEST(a_call_that_a_signal_interrupts_answers_eintr)
{
	interrupt_a_read(site_read, false);
	for (unsigned s = 0; s < ANY_SITES; s++)
		interrupt_a_read(any_sites[s], false);
}

TEST(a_call_that_a_signal_interrupts_is_restarted)
{
	interrupt_a_read(site_read, true);
	for (unsigned s = 0; s < ANY_SITES; s++)
		interrupt_a_read(any_sites[s], true);
}

static sigjmp_buf out_of_call;

static void leave_call(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	siglongjmp(out_of_call, 1);
}

TEST(a_handler_may_jump_out_of_a_call)
{
	char c;

	CHECK_OK(pipe(pipe_ends));
	handle(SIGALRM, leave_call, SA_RESTART);
	for (int i = 0; i < 20; i++) {
		site_fn *site = any_sites[i % ANY_SITES];

		if (!sigsetjmp(out_of_call, 1)) {
			struct itimerspec in = { .it_value.tv_nsec = 2000000 };
			struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
			timer_t timer;

			event._sigev_un._tid = gettid();
			CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
			CHECK_OK(timer_settime(timer, 0, &in, NULL));
			site(pipe_ends[0], (long)&c, 1, 0, 0, SYS_read, 0);
			FAIL("the read came back");
		}
	}
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* --- what can be seen of it ----------------------------------------------------------------------------------- */
TEST(the_file_stays_as_it_is)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], path[300];
	unsigned long from, to, offset;
	bool found = false;

	for (int i = 0; i < WARM; i++)
		site_fcntl(-1, F_GETFD, 0, 0, 0, 0);
	CHECK(maps);
	while (!found && fgets(line, sizeof(line), maps)) {
		uintptr_t site = (uintptr_t)site_fcntl;
		uint8_t bytes[10];

		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %299s", &from, &to, &offset, path) != 4 || site < from || site >= to)
			continue;
		int fd = open(path, O_RDONLY);
		CHECK(fd >= 0);
		CHECK_EQ(pread(fd, bytes, sizeof(bytes), (off_t)(site - from + offset)), sizeof(bytes));
		close(fd);
		CHECK_MSG(!memcmp(bytes, "\x49\x89\xca\xb8\x48\x00\x00\x00\x0f\x05", 10), "the file's bytes have changed");
		found = true;
	}
	fclose(maps);
	CHECK(found);
}

static void breakpoint(void *arg)
{
	(void)arg;
	__asm__ volatile("int3");
}

TEST(a_breakpoint_of_the_program_is_a_sigtrap)
{
	for (int i = 0; i < 10; i++)
		CHECK_EQ(fault_catch(breakpoint, NULL).sig, SIGTRAP);
}

/* A library that is compiled with a frame pointer or not can be unwound through a call; so can a system call's site. */
static uintptr_t stack_at_signal;

static void note_stack(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	stack_at_signal = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
}

static void *read_at_frame(void *arg)
{
	char c;

	stack_at_signal = 0;
	reader_tid = gettid();
	*(_Atomic uintptr_t *)arg = (uintptr_t)__builtin_frame_address(0);
	site_any(pipe_ends[0], (long)&c, 1, 0, 0, SYS_read);
	return NULL;
}

TEST(the_stack_pointer_in_a_handler_is_that_of_the_site)
{
	_Atomic uintptr_t frame = 0;

	for (int i = 0; i < WARM; i++)
		site_any(-1, 0, 0, 0, 0, SYS_read);
	CHECK_OK(pipe(pipe_ends));
	handle(SIGUSR1, note_stack, 0);
	pthread_t thread = thread_start(read_at_frame, &frame);
	CHECK(EVENTUALLY(frame != 0));
	wait_asleep(reader_tid);
	pthread_kill(thread, SIGUSR1);
	CHECK(EVENTUALLY(stack_at_signal != 0));
	CHECK_MSG(frame - stack_at_signal < 256, "rsp %#lx in a function whose frame is at %#lx", stack_at_signal, frame);
	pthread_join(thread, NULL);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* What only ibrik can tell: that the sites above have been replaced at all. */
static void check_site(const char *text, site_fn *fn, unsigned offset, const char *state)
{
	char want[64];
	const char *line;
	size_t n = (size_t)snprintf(want, sizeof(want), "site %#lx ", (uintptr_t)fn + offset);

	line = strstr(text, want);
	CHECK_MSG(line, "no line \"%s\"", want);
	CHECK_MSG(!strncmp(line + n, state, strlen(state)), "%.*s: not %s", (int)strcspn(line, "\n"), line, state);
}

TEST(the_kernel_says_which_sites_it_replaced)
{
	static char text[200000];

	CHECK(read_file("/proc/version", text, sizeof(text)) > 0);
	if (!strstr(text, "ibrik"))
		return;
	for (int i = 0; i < WARM; i++) {
		site_getpid(0, 0, 0, 0, 0, 0);
		site_fcntl(-1, F_GETFD, 0, 0, 0, 0);
		for (unsigned s = 0; s < ANY_SITES; s++)
			any_sites[s](-1, 0, 0, 0, 0, SYS_lseek, 0);
		site_straight(0, 0, 0, 0, 0, 0);
	}
	CHECK(read_file("/proc/ibrik/syscalls", text, sizeof(text)) > 0);
	CHECK(!strncmp(text, "gate ", 5));
	check_site(text, site_getpid, 8, "open before leaf");
	check_site(text, site_fcntl, 8, "open before,");
	check_site(text, site_slot, 11, "open before,");
	check_site(text, site_any, 6, "open near");
	check_site(text, site_any_behind, 19, "open near");
	check_site(text, site_lonely, 6, "refused");
}

TEST_MAIN("gate")
