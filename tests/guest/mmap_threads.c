/*
 * tests/guest/mmap_threads.c - memory that several threads map, protect, unmap and touch at the same time.
 */
#include "harness.h"

#define RW (PROT_READ | PROT_WRITE)

static _Atomic bool protect_stop;
static char *protect_page;

/* Each store is another value, so that one too many shows. */
static void count_until_fault(void *at)
{
	while (!protect_stop)
		++*(volatile int64_t *)at;
}

static void *write_until_stopped(void *arg)
{
	(void)arg;
	while (!protect_stop)
		fault_catch(count_until_fault, protect_page);
	return NULL;
}

TEST_SLOW(after_mprotect_returns_no_cpu_can_write_any_more, 40)
{
	pthread_t threads[3];

	protect_page = map_anon(1, RW);
	protect_stop = false;
	for (int i = 0; i < 3; i++)
		threads[i] = thread_start(write_until_stopped, NULL);
	for (int i = 0; i < 200; i++) {
		CHECK_OK(mprotect(protect_page, PAGE, PROT_READ));
		int64_t seen = *(volatile int64_t *)protect_page;
		for (int j = 0; j < 200; j++)
			CHECK_EQ(*(volatile int64_t *)protect_page, seen);
		CHECK_OK(mprotect(protect_page, PAGE, RW));
		/* Until somebody has written again, and may do so. */
		for (int64_t end = now_ns() + 10000000000ll; *(volatile int64_t *)protect_page == seen && now_ns() < end;)
			sched_yield();
		CHECK(*(volatile int64_t *)protect_page != seen);
	}
	protect_stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/*
 * A page that is now writable and now code, while one thread stores into it and another calls it: the one who gets a right from the new
 * protection must not hide from mprotect() that another still has one from the old. The page is the last of many page tables that have
 * nothing else in them, so the walk needs a while to come to it and takes nothing else away.
 */
#define FLIP_REGIONS 64
#define RETURN 0xc3
static _Atomic bool flip_stop;
static char *flip_page;

static void store_until_fault(void *at)
{
	while (!flip_stop)
		++*(volatile int64_t *)at;
}

static void *store_until_stopped(void *arg)
{
	(void)arg;
	while (!flip_stop)
		fault_catch(store_until_fault, flip_page + 64);
	return NULL;
}

static void call_until_fault(void *at)
{
	while (!flip_stop)
		((void (*)(void))at)();
}

static void *call_until_stopped(void *arg)
{
	(void)arg;
	while (!flip_stop)
		fault_catch(call_until_fault, flip_page);
	return NULL;
}

TEST_SLOW(memory_that_becomes_code_under_a_call_cannot_be_written_any_more, 60)
{
	const size_t huge = 2ul << 20, len = FLIP_REGIONS * huge;
	char *area = mmap(NULL, len + huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	pthread_t storer, caller;

	CHECK(area != MAP_FAILED);
	CHECK_OK(madvise(area, len + huge, MADV_NOHUGEPAGE));
	CHECK_OK(mprotect(area, len + huge, RW));
	for (size_t at = 0; at < len; at += huge) {
		area[at] = 1;
		CHECK_OK(madvise(area + at, PAGE, MADV_DONTNEED));
	}
	flip_page = area + len + huge - PAGE;
	flip_page[0] = (char)RETURN;
	flip_stop = false;
	storer = thread_start(store_until_stopped, NULL);
	caller = thread_start(call_until_stopped, NULL);
	for (int i = 0; i < 200; i++) {
		CHECK_OK(mprotect(area, len + huge, PROT_READ | PROT_EXEC));
		int64_t before = *(volatile int64_t *)(flip_page + 64);
		for (int j = 0; j < 300; j++)
			CHECK_EQ(*(volatile int64_t *)(flip_page + 64), before);
		CHECK_OK(mprotect(area, len + huge, RW));
		/* The storer gets its translation again. */
		for (int j = 0; j < 1000000 && *(volatile int64_t *)(flip_page + 64) == before; j++)
			if (j % 1000 == 999)
				sched_yield();
	}
	flip_stop = true;
	CHECK_EQ(pthread_join(storer, NULL), 0);
	CHECK_EQ(pthread_join(caller, NULL), 0);
	CHECK_OK(munmap(area, len + huge));
}

/* A part of a 2 MiB region is given back while another thread touches the rest of it for the first time. */
struct touch {
	char *at;
	_Atomic int round, done;
};

static void *toucher(void *arg)
{
	struct touch *t = arg;

	for (int seen = 0; seen < 300;) {
		int now = t->round;

		if (now == seen)
			continue;
		seen = now;
		t->at[0] = 1;
		t->done = seen;
	}
	return NULL;
}

TEST(part_of_a_large_page_goes_while_the_rest_is_touched)
{
	const size_t huge = 2ul << 20;
	struct touch t = { 0 };
	char *area = mmap(NULL, 8 * huge, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;
	char *region;

	CHECK(area != MAP_FAILED);
	region = (char *)(((unsigned long)area + 2 * huge - 1) & ~(huge - 1));
	CHECK_OK(madvise(area, 8 * huge, MADV_HUGEPAGE));
	t.at = region;
	CHECK_EQ(pthread_create(&thread, NULL, toucher, &t), 0);
	for (int i = 1; i <= 300; i++) {
		CHECK_OK(madvise(region, huge, MADV_DONTNEED));
		t.round = i;
		for (int k = 0; t.done != i; k++) {
			CHECK_OK(madvise(region + huge / 2, huge / 2, MADV_DONTNEED));
			CHECK_OK(mprotect(region + huge / 4, PAGE, k % 2 ? RW : PROT_READ));
		}
		CHECK_EQ(region[0], 1);
		CHECK_EQ(region[huge - 1], 0);
		CHECK_OK(mprotect(region, huge, RW));
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_OK(munmap(area, 8 * huge));
}

/* Another thread's access may be half way through its fault while the memory goes: nothing of it may stay behind. */
struct target {
	char *at;
	int zeros;
	_Atomic bool stop;
};

static void *fill_again_and_again(void *arg)
{
	struct target *t = arg;

	while (!t->stop)
		if (read(t->zeros, t->at, 1) != 1 && errno != EFAULT)
			return "read";
	return NULL;
}

TEST(memory_touched_while_it_is_unmapped_is_gone)
{
	const size_t huge = 2ul << 20;
	char *area = mmap(NULL, 2 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct target t = { .zeros = open("/dev/zero", O_RDONLY) };
	pthread_t thread;
	void *failed;

	CHECK(area != MAP_FAILED);
	CHECK(t.zeros >= 0);
	/* Alone in its page table, which goes with it each time. */
	t.at = (char *)(((unsigned long)area + huge - 1) & ~(huge - 1));
	thread = thread_start(fill_again_and_again, &t);
	for (int i = 0; i < 3000; i++) {
		CHECK(mmap(t.at, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == t.at);
		for (int k = i % 50; k > 0; k--)
			__asm__ volatile("pause");
		CHECK(mmap(t.at, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == t.at);
		CHECK_MSG(!readable(t.at), "round %d", i);
	}
	t.stop = true;
	CHECK_EQ(pthread_join(thread, &failed), 0);
	CHECK(!failed);
	CHECK_OK(close(t.zeros));
	CHECK_OK(munmap(area, 2 * huge));
}

/*
 * A new mapping takes the place of another while a thread stores to the last page of it: the store belongs to the one or to the other, and
 * never into what the old mapping showed.
 */
#define OVER_PAGES 2048ul
static _Atomic bool over_stop;
static _Atomic long over_lost;
static volatile char *over_last;

static void store_and_look(void *arg)
{
	(void)arg;
	*over_last = 1;
	for (int i = 0; i < 2000 && !over_stop; i++) {
		if (*over_last != 1) {
			over_lost++;
			break;
		}
	}
}

static void *store_and_look_until_stopped(void *arg)
{
	(void)arg;
	while (!over_stop)
		fault_catch(store_and_look, NULL);
	return NULL;
}

static void touch_all(const volatile char *p)
{
	for (size_t i = 0; i < OVER_PAGES; i++)
		p[i * PAGE];
}

TEST_SLOW(a_store_while_a_file_is_mapped_over_another_does_not_reach_the_other, 60)
{
	int from = scratch_file("from", "", 0), to = scratch_file("to", "", 0);
	char page[PAGE], seen;
	pthread_t thread;
	char *p;

	memset(page, 7, PAGE);
	CHECK_OK(ftruncate(to, OVER_PAGES * PAGE));
	for (size_t i = 0; i < OVER_PAGES; i++)
		CHECK_EQ(pwrite(from, page, PAGE, (off_t)(i * PAGE)), PAGE);
	p = mmap(NULL, OVER_PAGES * PAGE, PROT_READ, MAP_PRIVATE, from, 0);
	CHECK(p != MAP_FAILED);
	over_last = p + (OVER_PAGES - 1) * PAGE;
	over_stop = false;
	thread = thread_start(store_and_look_until_stopped, NULL);
	for (int round = 0; round < 30; round++) {
		touch_all(p);
		CHECK(mmap(p, OVER_PAGES * PAGE, RW, MAP_SHARED | MAP_FIXED, to, 0) == p);
		usleep(200);
		CHECK_EQ(pread(from, &seen, 1, (OVER_PAGES - 1) * PAGE), 1);
		CHECK_EQ(seen, 7);
		CHECK(mmap(p, OVER_PAGES * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, from, 0) == p);
	}
	over_stop = true;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_OK(munmap(p, OVER_PAGES * PAGE));
	close(from);
	close(to);
}

TEST_SLOW(a_store_while_memory_is_mapped_over_closed_memory_stays, 60)
{
	char *p = map_anon(OVER_PAGES, RW), *last = p + (OVER_PAGES - 1) * PAGE;
	pthread_t thread;

	over_last = last;
	over_lost = 0;
	for (int round = 0; round < 30; round++) {
		memset(p, 2, OVER_PAGES * PAGE);
		CHECK_OK(mprotect(last, PAGE, PROT_NONE));
		over_stop = false;
		thread = thread_start(store_and_look_until_stopped, NULL);
		usleep(100);
		CHECK(mmap(p, OVER_PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
		usleep(200);
		over_stop = true;
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(over_lost, 0);
	}
	CHECK_OK(munmap(p, OVER_PAGES * PAGE));
}

static _Atomic size_t touch_next;
static char *touch_base;
#define TOUCH_PAGES 4096

static void *touch_pages(void *arg)
{
	size_t i;

	(void)arg;
	/* Every page is touched by all threads at nearly the same moment. */
	while ((i = touch_next++) < 4 * TOUCH_PAGES)
		atomic_fetch_add((_Atomic int *)(touch_base + (i / 4) * PAGE), 1);
	return NULL;
}

TEST_SLOW(threads_that_fault_on_the_same_pages_lose_no_write, 40)
{
	pthread_t threads[4];

	touch_base = map_anon(TOUCH_PAGES, RW);
	touch_next = 0;
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(touch_pages, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < TOUCH_PAGES; i++)
		CHECK_EQ(*(int *)(touch_base + i * PAGE), 4);
}

static void *map_touch_unmap(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	for (int i = 0; i < 400; i++) {
		size_t n = 1 + rand_r(&seed) % 40;
		char *p = map_anon(n, RW);

		for (size_t j = 0; j < n; j++) {
			CHECK(p[j * PAGE] == 0);
			p[j * PAGE] = 1;
		}
		CHECK_OK(munmap(p, n * PAGE));
	}
	return NULL;
}

TEST_SLOW(threads_map_touch_and_unmap_at_the_same_time, 60)
{
	pthread_t threads[4];

	for (long i = 0; i < 4; i++)
		threads[i] = thread_start(map_touch_unmap, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

TEST_MAIN("mmap_threads")
