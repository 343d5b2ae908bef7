/*
 * tests/guest/exports.c - the kernel functions that a program may call (kernel/vdso/exports.h).
 *
 * On Linux, which has none of them, a case passes when it has seen that they are not there.
 */
#include "harness.h"
#include "../../kernel/vdso/exports.h"
#include <dlfcn.h>
#include <sched.h>
#include <sys/utsname.h>

#define UADDR_END 0x800000000000ul

static typeof(ibrik_nano_time) *nano_time;
static typeof(ibrik_cpu) *cpu_number;
static typeof(ibrik_figure) *figure;
static typeof(ibrik_figure_name) *figure_name;
static typeof(ibrik_release) *release;

static bool on_ibrik(void)
{
	struct utsname name;

	return uname(&name) == 0 && strstr(name.release, "ibrik");
}

/* False on Linux. */
static bool look_up(void)
{
	void *object = dlopen(IBRIK_EXPORTS_OBJECT, RTLD_NOW | RTLD_LOCAL);

	if (object) {
		nano_time = dlsym(object, "ibrik_nano_time");
		cpu_number = dlsym(object, "ibrik_cpu");
		figure = dlsym(object, "ibrik_figure");
		figure_name = dlsym(object, "ibrik_figure_name");
		release = dlsym(object, "ibrik_release");
	}
	if (!on_ibrik()) {
		CHECK(!nano_time && !cpu_number && !figure && !figure_name && !release);
		return false;
	}
	CHECK(nano_time && cpu_number && figure && figure_name && release);
	return true;
}

static int64_t value(const char *name)
{
	for (int i = 0; figure_name(i); i++)
		if (!strcmp(figure_name(i), name))
			return figure(i);
	FAIL("there is no figure %s", name);
}

/* A page filled with a byte. */
static bool is_all(const char *page, char byte)
{
	for (size_t i = 0; i < PAGE; i++)
		if (page[i] != byte)
			return false;
	return true;
}

static char *filled(size_t npages, char byte)
{
	char *p = map_anon(npages, PROT_READ | PROT_WRITE);

	memset(p, byte, npages * PAGE);
	return p;
}

static int64_t release_at(const void *p, size_t bytes)
{
	return release((uint64_t)(uintptr_t)p, bytes);
}

TEST(the_functions_are_there_on_ibrik_and_nowhere_else)
{
	look_up();
}

TEST(nano_time_is_the_monotonic_clock)
{
	if (!look_up())
		return;
	for (int i = 0; i < 1000; i++) {
		int64_t before = now_ns(), now = nano_time(), after = now_ns();

		CHECK(before <= now && now <= after);
	}
}

TEST(cpu_is_where_the_thread_runs)
{
	cpu_set_t all, one;

	if (!look_up())
		return;
	CHECK_OK(sched_getaffinity(0, sizeof(all), &all));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK_OK(sched_setaffinity(0, sizeof(one), &one));
		CHECK_EQ(cpu_number(), cpu);
	}
	CHECK_OK(sched_setaffinity(0, sizeof(all), &all));
}

TEST(every_figure_has_a_name_of_its_own)
{
	int n = 0;

	if (!look_up())
		return;
	for (; figure_name(n); n++) {
		CHECK(strlen(figure_name(n)) <= IBRIK_FIGURE_NAME_MAX && strchr(figure_name(n), '.'));
		CHECK(figure(n) >= 0);
		for (int i = 0; i < n; i++)
			CHECK(strcmp(figure_name(i), figure_name(n)));
	}
	CHECK_EQ(n, IBRIK_FIGURE_COUNT);
}

TEST(a_figure_that_does_not_exist_is_an_error)
{
	static const int32_t numbers[] = { -1, IBRIK_FIGURE_COUNT, IBRIK_FIGURE_COUNT + 1, 1000000, INT_MAX, INT_MIN };

	if (!look_up())
		return;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		CHECK_EQ(figure(numbers[i]), -EINVAL);
		CHECK(!figure_name(numbers[i]));
	}
}

TEST(figures_of_memory_agree_with_proc_meminfo)
{
	static const struct {
		const char *name, *line;
	} same[] = {
		{ "memory.total", "MemTotal:" },	 { "memory.free", "MemFree:" },
		{ "memory.available", "MemAvailable:" }, { "memory.anonymous", "AnonPages:" },
		{ "memory.files_mapped", "Mapped:" },	 { "memory.slab", "Slab:" },
		{ "memory.page_tables", "PageTables:" }, { "memory.kernel_stacks", "KernelStack:" },
		{ "memory.committed", "Committed_AS:" }, { "memory.commit_limit", "CommitLimit:" },
	};
	char text[4096];

	if (!look_up())
		return;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		char *line;
		int64_t ours = value(same[i].name), theirs;

		CHECK(read_file("/proc/meminfo", text, sizeof(text)) > 0);
		line = strstr(text, same[i].line);
		CHECK(line);
		theirs = atoll(line + strlen(same[i].line)) << 10;
		/* Reading the file takes memory itself. */
		CHECK_MSG(llabs(ours - theirs) <= 1 << 20, "%s is %lld, %s %lld", same[i].name, (long long)ours, same[i].line,
			  (long long)theirs);
	}
	CHECK(value("memory.free") <= value("memory.total"));
	CHECK(value("memory.reserve") < value("pressure.low") && value("pressure.low") < value("pressure.high"));
}

TEST(figures_follow_what_happens)
{
	enum { NPAGES = 400 };
	int64_t anonymous, faults, huge, switches, interrupts;
	char *p;

	if (!look_up())
		return;
	p = map_anon(NPAGES, PROT_READ | PROT_WRITE);
	CHECK_OK(madvise(p, NPAGES * PAGE, MADV_NOHUGEPAGE));
	anonymous = value("memory.anonymous");
	faults = value("counter.faults");
	huge = value("counter.faults_huge");
	switches = value("counter.switches");
	interrupts = value("counter.interrupts");
	memset(p, 1, NPAGES * PAGE);
	CHECK(value("counter.faults") - faults >= NPAGES);
	CHECK(value("counter.faults_huge") >= huge);
	CHECK(value("memory.anonymous") - anonymous >= (int64_t)((NPAGES - 50) * PAGE));
	CHECK_EQ(release_at(p, NPAGES * PAGE), NPAGES * PAGE);
	CHECK(value("memory.anonymous") - anonymous <= (int64_t)(50 * PAGE));
	sleep_ms(5);
	CHECK(value("counter.switches") > switches);
	CHECK(value("counter.interrupts") > interrupts);
	CHECK_OK(munmap(p, NPAGES * PAGE));
}

TEST(release_gives_back_whole_pages_and_nothing_else)
{
	char *p;

	if (!look_up())
		return;
	p = filled(5, 'x');
	/* From the last byte of the first page to the first byte of the last one. */
	CHECK_EQ(release_at(p + PAGE - 1, 3 * PAGE + 2), 3 * PAGE);
	CHECK(is_all(p, 'x') && is_all(p + 4 * PAGE, 'x'));
	CHECK(is_all(p + PAGE, 0) && is_all(p + 2 * PAGE, 0) && is_all(p + 3 * PAGE, 0));
	/* The memory is usable as before. */
	memset(p + PAGE, 'y', 3 * PAGE);
	CHECK(is_all(p + 2 * PAGE, 'y'));
	/* One byte less at either end, and the page stays. */
	CHECK_EQ(release_at(p + PAGE + 1, PAGE - 1), 0);
	CHECK_EQ(release_at(p + PAGE, PAGE - 1), 0);
	CHECK_EQ(release_at(p + PAGE + 1, 2 * PAGE - 2), 0);
	CHECK(is_all(p + PAGE, 'y') && is_all(p + 2 * PAGE, 'y'));
	CHECK_OK(munmap(p, 5 * PAGE));
}

TEST(release_tells_how_much_was_there)
{
	char *p;

	if (!look_up())
		return;
	p = map_anon(8, PROT_READ | PROT_WRITE);
	CHECK_EQ(release_at(p, 8 * PAGE), 0);
	p[0] = p[3 * PAGE] = p[7 * PAGE + 5] = 1;
	CHECK_EQ(release_at(p, 8 * PAGE), 3 * PAGE);
	CHECK_EQ(release_at(p, 8 * PAGE), 0);
	CHECK_OK(munmap(p, 8 * PAGE));
}

TEST(release_of_less_than_a_page_does_nothing)
{
	if (!look_up())
		return;
	CHECK_EQ(release(0, 0), 0);
	CHECK_EQ(release(1, PAGE), 0);
	CHECK_EQ(release(1, PAGE - 1), 0);
	CHECK_EQ(release((uintptr_t)HIGH_PTR, 0), 0);
	CHECK_EQ(release(UINT64_MAX, 0), 0);
}

TEST(release_refuses_garbage)
{
	if (!look_up())
		return;
	CHECK_EQ(release(0, PAGE), -ENOMEM);
	CHECK_EQ(release(0, UADDR_END), -ENOMEM);
	CHECK_EQ(release(0, UINT64_MAX), -ENOMEM);
	CHECK_EQ(release(1, UINT64_MAX), -EINVAL);
	CHECK_EQ(release(UINT64_MAX, UINT64_MAX), -EINVAL);
	CHECK_EQ(release((uintptr_t)HIGH_PTR, PAGE), -ENOMEM);
	CHECK_EQ(release((uintptr_t)NONCANONICAL_PTR, PAGE), -ENOMEM);
	CHECK_EQ(release(UADDR_END - PAGE, 2 * PAGE), -ENOMEM);
	CHECK_EQ(release(0xffffffffffffe000ul, PAGE), -ENOMEM);
	/* The kernel's own text, and the function itself. */
	CHECK_EQ(release(0xffffffff80000000ul, 2 << 20), -ENOMEM);
	CHECK_EQ(release((uintptr_t)release & -PAGE, PAGE), -EINVAL);
}

TEST(release_that_is_refused_changes_nothing)
{
	char *p;

	if (!look_up())
		return;
	p = filled(6, 'x');
	CHECK_OK(mprotect(p + 2 * PAGE, PAGE, PROT_READ));
	CHECK_EQ(release_at(p, 4 * PAGE), -EACCES);
	CHECK_EQ(release_at(p + 2 * PAGE, PAGE), -EACCES);
	CHECK_OK(mprotect(p + 2 * PAGE, PAGE, PROT_NONE));
	CHECK_EQ(release_at(p, 4 * PAGE), -EACCES);
	CHECK_OK(munmap(p + 4 * PAGE, PAGE));
	CHECK_EQ(release_at(p + 3 * PAGE, 3 * PAGE), -ENOMEM);
	CHECK_EQ(release_at(p + 3 * PAGE, 2 * PAGE), -ENOMEM);
	CHECK(is_all(p, 'x') && is_all(p + PAGE, 'x') && is_all(p + 3 * PAGE, 'x') && is_all(p + 5 * PAGE, 'x'));
	CHECK_OK(munmap(p, 6 * PAGE));
}

TEST(release_leaves_files_and_shared_memory_alone)
{
	char *p, *shared;
	int fd;

	if (!look_up())
		return;
	p = filled(1, 'x');
	fd = scratch_file("file", p, PAGE);
	CHECK_OK(munmap(p, PAGE));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	memset(p, 'y', PAGE);
	CHECK_EQ(release_at(p, PAGE), -EINVAL);
	CHECK(is_all(p, 'y'));
	CHECK_OK(munmap(p, PAGE));
	close(fd);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	memset(shared, 'z', PAGE);
	CHECK_EQ(release_at(shared, PAGE), -EINVAL);
	CHECK(is_all(shared, 'z'));
	CHECK_OK(munmap(shared, PAGE));
}

TEST(release_cuts_large_pages)
{
	const size_t huge = 2 << 20;
	char *p, *at;

	if (!look_up())
		return;
	p = filled(3 * huge / PAGE, 'x');
	at = (char *)(((uintptr_t)p + huge - 1) & -huge);
	CHECK_EQ(release_at(at + 5 * PAGE, huge), huge);
	CHECK(is_all(at + 4 * PAGE, 'x') && is_all(at + huge + 5 * PAGE, 'x'));
	for (size_t off = 5 * PAGE; off < huge + 5 * PAGE; off += PAGE)
		CHECK(is_all(at + off, 0));
	CHECK_OK(munmap(p, 3 * huge));
}

TEST(release_works_by_its_number_too)
{
	char *p;

	/* Linux will never use this number. */
	if (!look_up()) {
		CHECK_EQ(sys(400, 0, PAGE), -ENOSYS);
		return;
	}
	p = filled(2, 'x');
	CHECK_EQ(sys(400, p, 2 * PAGE), 2 * PAGE);
	CHECK_EQ(sys(400, NULL, PAGE), -ENOMEM);
	CHECK_OK(munmap(p, 2 * PAGE));
}

/* Calls with flags that no C code leaves set; the answer, and whether they came back as they were. */
static int64_t release_with_flags(uint64_t flags, char *p, uint64_t *after)
{
	int64_t r;
	uint64_t old, at = (uintptr_t)p, bytes = PAGE;

	__asm__ volatile("mov %%rsp, %%rbx\n"
			 "sub $256, %%rsp\n"
			 "and $-16, %%rsp\n"
			 "pushfq\n"
			 "pushfq\n"
			 "mov (%%rsp), %%r12\n"
			 "or %[flags], (%%rsp)\n"
			 "popfq\n"
			 "call *%[fn]\n"
			 "pushfq\n"
			 "pop %[old]\n"
			 "push %%r12\n"
			 "popfq\n"
			 "mov %%rbx, %%rsp\n"
			 : "=a"(r), [old] "=&r"(old), "+D"(at), "+S"(bytes)
			 : [flags] "r"(flags), [fn] "r"(release)
			 : "rbx", "r12", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
	*after = old & flags;
	return r;
}

TEST(release_takes_any_flags)
{
	static const uint64_t odd[] = { 0x400 /* DF */, 0x40000 /* AC */, 0x4000 /* NT */, 0x44400 };

	if (!look_up())
		return;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		char *p = filled(1, 'x');
		uint64_t after;

		CHECK_EQ(release_with_flags(odd[i], p, &after), PAGE);
		CHECK_EQ(after, odd[i]);
		CHECK(is_all(p, 0));
		CHECK_OK(munmap(p, PAGE));
	}
}

static _Atomic unsigned signals_seen, wrong_places;

static void note_place(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	(void)sig;
	(void)info;
	signals_seen++;
	if ((uint64_t)uc->uc_mcontext.gregs[REG_RIP] >= UADDR_END || (uint64_t)uc->uc_mcontext.gregs[REG_RSP] >= UADDR_END)
		wrong_places++;
}

TEST_SLOW(signals_find_the_caller_where_it_can_go_on, 60)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 }; /* others would take them, who call nothing */
	struct itimerspec every = { { 0, 300000 }, { 0, 300000 } };
	char *p;
	timer_t timer;
	int64_t last = 0, end = now_ns() + 1500000000;

	if (!look_up())
		return;
	p = map_anon(3, PROT_READ | PROT_WRITE);
	signals_seen = wrong_places = 0;
	handle(SIGUSR1, note_place, SA_RESTART);
	event._sigev_un._tid = gettid();
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_OK(timer_settime(timer, 0, &every, NULL));
	while (now_ns() < end) {
		for (int i = 0; i < 50; i++) {
			int64_t now = nano_time();

			CHECK(now >= last);
			last = now;
			CHECK(figure(IBRIK_MEMORY_TOTAL) > 0 && cpu_number() >= 0);
			p[PAGE] = 1;
			CHECK_EQ(release_at(p + 1, 2 * PAGE), PAGE);
			CHECK_EQ(p[PAGE], 0);
			CHECK_EQ(release(0, PAGE), -ENOMEM);
		}
	}
	CHECK_OK(timer_delete(timer));
	CHECK(signals_seen > 100);
	CHECK_EQ(wrong_places, 0);
	CHECK_OK(munmap(p, 3 * PAGE));
}

static _Atomic bool stop;

static void *release_again_and_again(void *arg)
{
	char *p = arg;
	unsigned rounds = 0;

	for (; !stop; rounds++) {
		memset(p, 'a' + rounds % 20, 4 * PAGE);
		/* The neighbours' pages border on ours. */
		CHECK_EQ(release_at(p + PAGE - 1, 2 * PAGE + 2), 2 * PAGE);
		CHECK(is_all(p, 'a' + rounds % 20) && is_all(p + PAGE, 0) && is_all(p + 2 * PAGE, 0) &&
		      is_all(p + 3 * PAGE, 'a' + rounds % 20));
	}
	return rounds ? NULL : arg;
}

TEST_SLOW(threads_release_side_by_side, 60)
{
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	char *p;

	if (!look_up())
		return;
	p = map_anon(4 * THREADS, PROT_READ | PROT_WRITE);
	stop = false;
	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(release_again_and_again, p + i * 4 * PAGE);
	sleep_ms(1000);
	stop = true;
	for (int i = 0; i < THREADS; i++) {
		void *none;

		CHECK_EQ(pthread_join(threads[i], &none), 0);
		CHECK(!none);
	}
	CHECK_OK(munmap(p, 4 * THREADS * PAGE));
}

TEST_MAIN("exports")
