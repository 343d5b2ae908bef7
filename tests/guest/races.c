/*
 * tests/guest/races.c - short calls beside what other threads do to the same descriptor, file or memory: positions, flags, small
 * reads, words that are copied to and from the edge of what is mapped, random bytes.
 */
#include "harness.h"
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/uio.h>

#define RW (PROT_READ | PROT_WRITE)
#define RECORD 16

static _Atomic bool stop;
static _Atomic long rounds;
static int shared_fd;

static void run_beside(void *(*beside)(void *), void (*here)(void), int ms)
{
	int64_t until = now_ns() + ms * 1000000ll;
	pthread_t thread;

	stop = false;
	rounds = 0;
	thread = thread_start(beside, NULL);
	while (now_ns() < until || rounds < 20)
		here();
	stop = true;
	pthread_join(thread, NULL);
}

/* --- positions -------------------------------------------------------------------------------------------- */
static void *read_records(void *arg)
{
	(void)arg;
	while (!stop) {
		char record[RECORD];
		long n = read(shared_fd, record, sizeof(record));

		CHECK(n == 0 || n == RECORD);
		/* A record is its number, again and again. */
		for (int i = 1; n && i < RECORD; i++)
			CHECK_EQ(record[i], record[0]);
		rounds++;
	}
	return NULL;
}

static void seek_about(void)
{
	static unsigned seed = 1;
	off_t to = (off_t)(rand_r(&seed) % 100) * RECORD, at;

	CHECK_EQ(lseek(shared_fd, to, SEEK_SET), to);
	at = lseek(shared_fd, 0, SEEK_CUR);
	CHECK(at % RECORD == 0 && at >= 0 && at <= 100 * RECORD);
	CHECK_EQ(lseek(shared_fd, 0, SEEK_END), 100 * RECORD);
	at = lseek(shared_fd, -RECORD, SEEK_CUR);
	CHECK(at % RECORD == 0 && at >= 0 && at <= 100 * RECORD);
}

TEST(a_position_moves_by_whole_reads_and_seeks)
{
	char data[100 * RECORD];

	for (int i = 0; i < 100; i++)
		memset(data + i * RECORD, i, RECORD);
	shared_fd = scratch_file("records", data, sizeof(data));
	CHECK_EQ(lseek(shared_fd, 0, SEEK_SET), 0);
	run_beside(read_records, seek_about, 1000);
	close(shared_fd);
}

TEST(a_seek_before_the_beginning_leaves_the_position)
{
	int fd = scratch_file("short", "0123456789", 10);

	CHECK_EQ(lseek(fd, 7, SEEK_SET), 7);
	CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(fd, -8, SEEK_CUR), EINVAL);
	CHECK_ERR(lseek(fd, 0, 77), EINVAL);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
	CHECK_EQ(lseek(fd, 3, SEEK_CUR), 10);
	close(fd);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), EBADF);
	CHECK_ERR(lseek(-1, 0, SEEK_SET), EBADF);
	CHECK_ERR(lseek(INT_MAX, 0, SEEK_SET), EBADF);
}

TEST(devices_of_memory_stay_at_position_zero)
{
	char byte;
	int fd = open("/dev/zero", O_RDWR);

	CHECK_EQ(read(fd, &byte, 1), 1);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(lseek(fd, 100, SEEK_SET), 0);
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	CHECK_ERR(write(fd, "abc", 3), EBADF);
	close(fd);
	fd = open("/dev/null", O_WRONLY);
	CHECK_ERR(write(fd, HIGH_PTR, 3), EFAULT);
	CHECK_EQ(write(fd, "abc", 0), 0);
	close(fd);
	fd = open("/dev/null", O_PATH);
	CHECK_ERR(write(fd, "abc", 3), EBADF);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), EBADF);
	close(fd);
}

/* --- descriptors that come and go --------------------------------------------------------------------------- */
static void *open_and_close(void *arg)
{
	(void)arg;
	while (!stop) {
		int fd = open(rounds % 2 ? "/dev/null" : scratch("records"), O_RDWR | O_CREAT | (rounds % 3 ? O_CLOEXEC : 0), 0600);

		CHECK(fd >= 0);
		CHECK_EQ(dup3(fd, shared_fd, rounds % 5 ? O_CLOEXEC : 0), shared_fd);
		close(fd);
		close(shared_fd);
		rounds++;
	}
	return NULL;
}

static void look_at_it(void)
{
	long r = sys(SYS_lseek, shared_fd, 0, SEEK_SET);

	CHECK(r == 0 || r == -EBADF);
	r = sys(SYS_fcntl, shared_fd, F_GETFL, 0);
	CHECK(r == -EBADF || (r & O_ACCMODE) == O_RDWR);
	r = sys(SYS_fcntl, shared_fd, F_GETFD, 0);
	CHECK(r == -EBADF || r == 0 || r == FD_CLOEXEC);
	r = sys(SYS_write, shared_fd, "0123456789abcdef", 16);
	CHECK(r == 16 || r == -EBADF);
}

TEST(calls_on_a_descriptor_that_comes_and_goes_work_or_are_ebadf)
{
	shared_fd = 700;
	run_beside(open_and_close, look_at_it, 1500);
}

/* --- small reads ------------------------------------------------------------------------------------------------ */
#define PAGES 32

/* Takes pages out of the file and puts them back. */
static void *cut_and_fill(void *arg)
{
	static char page[PAGE];

	(void)arg;
	while (!stop) {
		CHECK_OK(ftruncate(shared_fd, (off_t)(rounds % PAGES) * (off_t)PAGE));
		for (int i = rounds % PAGES; i < PAGES; i++) {
			memset(page, 'a' + i % 26, PAGE);
			CHECK_EQ(pwrite(shared_fd, page, PAGE, (off_t)i * (off_t)PAGE), (long)PAGE);
		}
		rounds++;
	}
	return NULL;
}

static void read_somewhere(void)
{
	static unsigned seed = 1;
	char got[64];
	int page = rand_r(&seed) % PAGES;
	size_t want = rand_r(&seed) % 2 ? sizeof(got) : 1 + (size_t)rand_r(&seed) % 8; /* the smallest go another way on ibrik */
	long n;

	memset(got, '#', sizeof(got));
	n = pread(shared_fd, got, want, (off_t)page * (off_t)PAGE + rand_r(&seed) % 4000);
	CHECK(n >= 0 && n <= (long)want);
	/* What the file held, or zeroes of a page that is being written. */
	for (long i = 0; i < n; i++)
		CHECK_MSG(got[i] == 0 || got[i] == 'a' + page % 26, "page %d has %d", page, got[i]);
	for (long i = n; i < (long)sizeof(got); i++)
		CHECK_EQ(got[i], '#');
}

TEST_SLOW(a_small_read_beside_truncation_finds_the_files_own_bytes, 40)
{
	shared_fd = scratch_file("pages", "", 0);
	run_beside(cut_and_fill, read_somewhere, 3000);
	close(shared_fd);
}

TEST(small_reads_at_the_edges)
{
	char *p = map_anon(3, RW), got[32];
	char data[PAGE + 100];
	int fd;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	fd = scratch_file("edges", data, sizeof(data));
	for (int again = 0; again < 2; again++) {
		/* Across the border of two pages, at the end, behind it. */
		CHECK_EQ(pread(fd, got, 32, PAGE - 10), 32);
		CHECK(!memcmp(got, data + PAGE - 10, 32));
		CHECK_EQ(pread(fd, got, 32, PAGE + 90), 10);
		CHECK(!memcmp(got, data + PAGE + 90, 10));
		CHECK_EQ(pread(fd, got, 32, PAGE + 100), 0);
		CHECK_EQ(pread(fd, got, 0, 5), 0);
		/* Into memory that has not been touched, and out of it at the end. */
		CHECK_OK(madvise(p, 3 * PAGE, MADV_DONTNEED));
		CHECK_EQ(pread(fd, p + PAGE - 16, 32, 8), 32);
		CHECK(!memcmp(p + PAGE - 16, data + 8, 32));
		CHECK_OK(munmap(p + 2 * PAGE, PAGE));
		CHECK_EQ(pread(fd, p + 2 * PAGE - 20, 32, 8), 20);
		CHECK(!memcmp(p + 2 * PAGE - 20, data + 8, 20));
		CHECK_ERR(pread(fd, p + 2 * PAGE, 32, 8), EFAULT);
		CHECK_OK(mprotect(p, PAGE, PROT_READ));
		CHECK_ERR(pread(fd, p, 32, 8), EFAULT);
		CHECK_OK(mprotect(p, PAGE, RW));
		CHECK(mmap(p + 2 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 2 * PAGE);
	}
	close(fd);
}

/* --- one position, several readers --------------------------------------------------------------------------------- */
#define NUMBERS 60000u
static _Atomic uint8_t times_read[NUMBERS];

/* By single words, which is the shortest way, or by what `arg` says. */
static void *read_numbers(void *arg)
{
	uint32_t got[64];
	size_t want = (size_t)arg * sizeof(got[0]);
	ssize_t n;

	while ((n = read(shared_fd, got, want)) > 0) {
		CHECK(n % (ssize_t)sizeof(got[0]) == 0);
		for (size_t i = 0; i < (size_t)n / sizeof(got[0]); i++) {
			CHECK(got[i] < NUMBERS);
			CHECK(!i || got[i] == got[i - 1] + 1);
			times_read[got[i]]++;
		}
	}
	CHECK_EQ(n, 0);
	return NULL;
}

static void *readv_numbers(void *arg)
{
	uint32_t got[2];
	struct iovec parts[2] = { { &got[0], sizeof(got[0]) }, { &got[1], sizeof(got[1]) } };
	ssize_t n;

	(void)arg;
	while ((n = readv(shared_fd, parts, 2)) > 0)
		for (size_t i = 0; i < (size_t)n / sizeof(got[0]); i++)
			times_read[got[i]]++;
	CHECK_EQ(n, 0);
	return NULL;
}

TEST_SLOW(threads_that_share_a_position_read_everything_once, 60)
{
	static uint32_t numbers[NUMBERS];
	pthread_t threads[4];
	const char *path = "/tmp/races-numbers";
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	for (uint32_t i = 0; i < NUMBERS; i++)
		numbers[i] = i;
	CHECK_EQ(write(fd, numbers, sizeof(numbers)), (ssize_t)sizeof(numbers));
	close(fd);
	for (int round = 0; round < 5; round++) {
		memset((void *)times_read, 0, sizeof(times_read));
		shared_fd = open(path, O_RDONLY);
		CHECK(shared_fd >= 0);
		threads[0] = thread_start(read_numbers, (void *)1);
		threads[1] = thread_start(read_numbers, (void *)2);
		threads[2] = thread_start(read_numbers, (void *)40);
		threads[3] = thread_start(readv_numbers, NULL);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		for (uint32_t i = 0; i < NUMBERS; i++)
			CHECK_MSG(times_read[i] == 1, "number %u was read %u times", i, times_read[i]);
		close(shared_fd);
	}
	unlink(path);
}

/* --- words at the edge of what is mapped ------------------------------------------------------------------------- */
TEST(words_that_stick_out_of_mapped_memory_are_efault)
{
	char *p = map_anon(2, RW), *end = p + PAGE;
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x123456789abcdef0 };
	int ready = eventfd(1, 0), set = epoll_create1(0);
	uint64_t mask;

	CHECK_OK(munmap(end, PAGE));
	CHECK_OK(epoll_ctl(set, EPOLL_CTL_ADD, ready, &event));

	CHECK_EQ(sys(SYS_sched_getaffinity, 0, 8, end - 8), 8);
	CHECK_EQ(sys(SYS_sched_getaffinity, 0, 8, end - 4), -EFAULT);
	CHECK_EQ(sys(SYS_sched_getaffinity, 0, 8, HIGH_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_sched_getaffinity, 0, 8, BAD_PTR), -EFAULT);
	CHECK_EQ(sys(SYS_clock_gettime, CLOCK_MONOTONIC, end - 16), 0);
	CHECK_EQ(sys(SYS_clock_gettime, CLOCK_MONOTONIC, end - 8), -EFAULT);
	CHECK_EQ(sys(SYS_epoll_wait, set, end - 12, 1, 0), 1);
	CHECK(!memcmp(end - 12, &event, 12));
	CHECK_EQ(sys(SYS_epoll_wait, set, end - 8, 1, 0), -EFAULT);
	CHECK_EQ(sys(SYS_epoll_wait, set, end, 1, 0), -EFAULT);
	CHECK_EQ(sys(SYS_getcpu, end - 4, NULL, NULL), 0);
	CHECK_EQ(sys(SYS_getcpu, end - 2, NULL, NULL), -EFAULT);

	struct pollfd *fds = (struct pollfd *)(end - sizeof(*fds));
	*fds = (struct pollfd){ .fd = ready, .events = POLLIN };
	CHECK_EQ(sys(SYS_poll, fds, 1, 0), 1);
	CHECK_EQ(fds->revents, POLLIN);
	CHECK_EQ(sys(SYS_poll, (char *)fds + 4, 1, 0), -EFAULT);

	memset(end - 8, 0, 8);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, end - 8, &mask, 8), 0);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, end - 4, &mask, 8), -EFAULT);
	CHECK_OK(mprotect(p, PAGE, PROT_READ));
	CHECK_EQ(sys(SYS_sched_getaffinity, 0, 8, p), -EFAULT);
	CHECK_EQ(sys(SYS_rt_sigprocmask, SIG_BLOCK, p, NULL, 8), 0);
	close(ready);
	close(set);
}

/* --- random bytes --------------------------------------------------------------------------------------------------- */
#define DRAWS 4000
static unsigned char drawn[4][DRAWS][16];

static void *draw(void *arg)
{
	for (int i = 0; i < DRAWS; i++)
		CHECK_EQ(getrandom(drawn[(intptr_t)arg][i], 16, 0), 16);
	return NULL;
}

static int draw_order(const void *a, const void *b) { return memcmp(a, b, 16); }

TEST(threads_never_draw_the_same_random_bytes)
{
	unsigned char(*all)[16] = drawn[0];
	pthread_t thread[4];

	for (intptr_t i = 0; i < 4; i++)
		thread[i] = thread_start(draw, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	qsort(drawn, 4 * DRAWS, 16, draw_order);
	for (int i = 1; i < 4 * DRAWS; i++)
		CHECK(memcmp(all[i - 1], all[i], 16));
}

TEST(random_bytes_fill_exactly_what_was_asked)
{
	static unsigned char buffer[3000];

	for (size_t n = 0; n < 2000; n += n < 600 ? 1 : 97) {
		unsigned zeroes = 0;

		memset(buffer, 0, sizeof(buffer));
		CHECK_EQ(getrandom(buffer + 8, n, 0), (long)n);
		for (size_t i = 0; i < n; i++)
			zeroes += buffer[8 + i] == 0;
		CHECK(zeroes <= 3 + n / 16);
		for (size_t i = 0; i < 8; i++)
			CHECK(buffer[i] == 0 && buffer[8 + n + i] == 0);
	}
	CHECK_ERR(getrandom(HIGH_PTR, 16, 0), EFAULT);
	CHECK_ERR(getrandom(buffer, 16, 0x100), EINVAL);
}

/* --- memory beside memory that changes ----------------------------------------------------------------------------------- */
static char *middle;

/* Maps, grows, cuts and unmaps on both sides of the page. */
static void *change_neighbours(void *arg)
{
	const int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	(void)arg;
	while (!stop) {
		CHECK(mmap(middle - 8 * PAGE, 8 * PAGE, RW, fixed, -1, 0) != MAP_FAILED);
		CHECK(mmap(middle + PAGE, 8 * PAGE, RW, fixed, -1, 0) != MAP_FAILED);
		CHECK_OK(munmap(middle - 8 * PAGE, 4 * PAGE));
		CHECK_OK(munmap(middle + 5 * PAGE, 4 * PAGE));
		CHECK_OK(mprotect(middle + PAGE, 2 * PAGE, PROT_READ));
		CHECK_OK(munmap(middle - 4 * PAGE, 4 * PAGE));
		CHECK_OK(munmap(middle + PAGE, 4 * PAGE));
		rounds++;
	}
	return NULL;
}

static void touch_the_middle(void)
{
	static char next;

	/* Each time it is a fault, and each time there is memory. */
	CHECK_OK(madvise(middle, PAGE, MADV_DONTNEED));
	CHECK_EQ(*(volatile char *)middle, 0);
	*(volatile char *)middle = ++next;
	CHECK_EQ(*(volatile char *)middle, next);
}

TEST_SLOW(memory_that_stays_can_be_touched_while_its_neighbours_change, 40)
{
	/* A place that nothing else takes: the neighbours' addresses stay free but for us. */
	char *whole = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(whole != MAP_FAILED);
	middle = whole + 32 * PAGE;
	CHECK_OK(mprotect(middle, PAGE, RW));
	CHECK_OK(munmap(middle - 8 * PAGE, 8 * PAGE));
	CHECK_OK(munmap(middle + PAGE, 8 * PAGE));
	run_beside(change_neighbours, touch_the_middle, 3000);
	munmap(whole, 64 * PAGE);
}

/* Areas of the region split, melt and move their borders, but every page can be read at any time. */
#define REGION_PAGES 24
static char *region;

static void *change_rights(void *arg)
{
	unsigned long seed = 4711;

	(void)arg;
	while (!stop) {
		unsigned long first, count;

		seed = seed * 6364136223846793005ul + 1442695040888963407ul;
		first = (seed >> 33) % REGION_PAGES;
		count = 1 + (seed >> 40) % 4;
		if (first + count > REGION_PAGES)
			count = REGION_PAGES - first;
		CHECK_OK(mprotect(region + first * PAGE, count * PAGE, seed >> 60 & 1 ? PROT_READ : RW));
		rounds++;
	}
	return NULL;
}

static void read_the_region(void)
{
	CHECK_OK(madvise(region, REGION_PAGES * PAGE, MADV_DONTNEED));
	for (int again = 0; again < 2; again++)
		for (long p = 0; p < REGION_PAGES; p++)
			CHECK_EQ(region[p * PAGE], 0);
}

TEST_SLOW(pages_that_stay_readable_can_be_read_while_their_areas_split_and_melt, 40)
{
	region = mmap(NULL, REGION_PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(region != MAP_FAILED);
	run_beside(change_rights, read_the_region, 3000);
	munmap(region, REGION_PAGES * PAGE);
}

TEST_MAIN("races")
