/*
 * tests/guest/changes.c - changes of files and directories: what a refused one leaves, what one looks like to those beside it, and which times it leaves behind.
 */
#include "harness.h"
#include <sched.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/uio.h>

/* Opening without a descriptor left */

static struct rlimit nofile;

/* No descriptor can be had until nofile_restore(). */
static void nofile_none(void)
{
	struct rlimit none;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &nofile));
	none = (struct rlimit){ 0, nofile.rlim_max };
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &none));
}

static void nofile_restore(void) { CHECK_OK(setrlimit(RLIMIT_NOFILE, &nofile)); }

TEST(an_open_that_finds_no_descriptor_changes_nothing)
{
	long truncates, creates;
	struct stat st;

	close(scratch_file("kept", "0123456789", 10));
	nofile_none();
	truncates = sys(SYS_open, scratch("kept"), O_WRONLY | O_TRUNC, 0600);
	creates = sys(SYS_open, scratch("not-made"), O_WRONLY | O_CREAT, 0600);
	nofile_restore();
	CHECK_EQ(truncates, -EMFILE);
	CHECK_EQ(creates, -EMFILE);
	CHECK_OK(stat(scratch("kept"), &st));
	CHECK_EQ(st.st_size, 10);
	CHECK_ERR(stat(scratch("not-made"), &st), ENOENT);
}

TEST(without_a_descriptor_left_only_a_path_that_cannot_be_read_counts_more)
{
	long missing, empty, bad, base, flags;

	nofile_none();
	missing = sys(SYS_open, scratch("none-such"), O_RDONLY);
	empty = sys(SYS_open, "", O_RDONLY);
	bad = sys(SYS_open, BAD_PTR, O_RDONLY);
	base = sys(SYS_openat, 999, "x", O_RDONLY);
	flags = sys(SYS_open, scratch("none-such"), O_RDWR | O_CREAT | O_DIRECTORY, 0600);
	nofile_restore();
	CHECK_EQ(missing, -EMFILE);
	CHECK_EQ(empty, -ENOENT);
	CHECK_EQ(bad, -EFAULT);
	CHECK_EQ(base, -EMFILE);
	CHECK_EQ(flags, -EINVAL);
}

TEST(a_refused_open_takes_no_descriptor)
{
	int first = CHECK_OK(open("/dev/null", O_RDONLY));

	close(first);
	for (int i = 0; i < 3; i++) {
		CHECK_ERR(open(scratch("none-such"), O_RDONLY), ENOENT);
		CHECK_ERR(open("/tmp", O_WRONLY), EISDIR);
	}
	CHECK_EQ(CHECK_OK(open("/dev/null", O_RDONLY)), first);
	close(first);
}

/* Times */

TEST(times_before_1970_are_kept)
{
	static const struct timespec times[] = {
		{ 0, 0 }, { 0, 1 }, { -1, 0 }, { -1, 999999999 }, { -2, 1 }, { -1000000000, 500000000 }, { -2147483648l, 0 }, { 4102444800l, 7 },
	};
	const char *path = scratch("old");
	int fd = scratch_file("old", "x", 1);
	struct statx stx;
	struct stat st;

	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct timespec ts[2] = { times[i], times[(i + 1) % (sizeof(times) / sizeof(times[0]))] };

		CHECK_OK(utimensat(AT_FDCWD, path, ts, 0));
		CHECK_OK(fstat(fd, &st));
		CHECK_EQ(st.st_atim.tv_sec, ts[0].tv_sec);
		CHECK_EQ(st.st_atim.tv_nsec, ts[0].tv_nsec);
		CHECK_EQ(st.st_mtim.tv_sec, ts[1].tv_sec);
		CHECK_EQ(st.st_mtim.tv_nsec, ts[1].tv_nsec);
		CHECK(st.st_ctim.tv_sec > 1500000000);
		CHECK_OK(statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &stx));
		CHECK_EQ(stx.stx_atime.tv_sec, ts[0].tv_sec);
		CHECK_EQ(stx.stx_atime.tv_nsec, ts[0].tv_nsec);
		CHECK_EQ(stx.stx_mtime.tv_sec, ts[1].tv_sec);
		CHECK_EQ(stx.stx_mtime.tv_nsec, ts[1].tv_nsec);
	}
}

TEST(the_older_calls_set_times_before_1970)
{
	struct { long sec, usec; } tv[2] = { { -5, 999999 }, { -6, 1 } };
	long seconds[2] = { -7, -8 };
	int fd = scratch_file("older", "x", 1);
	struct stat st;

	CHECK_OK(syscall(SYS_utimes, scratch("older"), tv));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_atim.tv_sec, -5);
	CHECK_EQ(st.st_atim.tv_nsec, 999999000);
	CHECK_EQ(st.st_mtim.tv_sec, -6);
	CHECK_EQ(st.st_mtim.tv_nsec, 1000);
	CHECK_OK(syscall(SYS_utime, scratch("older"), seconds));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_atim.tv_sec, -7);
	CHECK_EQ(st.st_mtim.tv_sec, -8);
	CHECK_EQ(st.st_mtim.tv_nsec, 0);
}

/* File systems keep different ranges: what is beyond one becomes its end. */
TEST(times_far_away_stay_on_their_side)
{
	static const long far[] = { -10000000000l, -(1l << 40), LONG_MIN, 10000000000l, 1l << 40, LONG_MAX };
	int fd = scratch_file("far", "x", 1);
	struct stat st;

	for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		struct timespec ts[2] = { { far[i], 999999999 }, { far[i], 0 } };

		CHECK_OK(futimens(fd, ts));
		CHECK_OK(fstat(fd, &st));
		CHECK_MSG(far[i] < 0 ? st.st_mtim.tv_sec < -2000000000l && st.st_mtim.tv_sec >= far[i] :
				       st.st_mtim.tv_sec > 9000000000l && st.st_mtim.tv_sec <= far[i],
			  "%ld became %ld", far[i], st.st_mtim.tv_sec);
		CHECK(st.st_atim.tv_nsec == 0 || (st.st_atim.tv_nsec == 999999999 && st.st_atim.tv_sec == far[i]));
	}
}

/* Writers that append to one file */

enum { WRITERS = 3, RECORDS = 3000, PIECES = 4, PIECE = 24 };

/* A record is PIECES pieces of PIECE times the same letter. */
static void record_fill(char *record, int who) { memset(record, 'a' + who, PIECES * PIECE); }

static void *append_pieces(void *arg)
{
	int who = (int)(long)arg, fd = open(scratch("appended"), O_WRONLY | O_APPEND);
	char record[PIECES * PIECE];
	struct iovec iov[PIECES];

	CHECK(fd >= 0);
	record_fill(record, who);
	for (int i = 0; i < PIECES; i++)
		iov[i] = (struct iovec){ record + i * PIECE, PIECE };
	for (int i = 0; i < RECORDS; i++) /* pwritev to a file that appends appends, too */
		CHECK_EQ(who == 2 ? pwritev(fd, iov, PIECES, 0) : writev(fd, iov, PIECES), PIECES * PIECE);
	close(fd);
	return NULL;
}

static void *append_whole(void *arg)
{
	int who = (int)(long)arg, fd = open(scratch("appended"), O_WRONLY | O_APPEND);
	char record[PIECES * PIECE];

	CHECK(fd >= 0);
	record_fill(record, who);
	for (int i = 0; i < RECORDS; i++)
		CHECK_EQ(write(fd, record, sizeof(record)), sizeof(record));
	close(fd);
	return NULL;
}

static void check_records(void)
{
	static char data[WRITERS * RECORDS * PIECES * PIECE + 1];
	int count[WRITERS] = { 0 };

	CHECK_EQ(read_file(scratch("appended"), data, sizeof(data)), sizeof(data) - 1);
	for (char *at = data; *at; at += PIECES * PIECE) {
		CHECK(*at >= 'a' && *at < 'a' + WRITERS);
		for (int i = 1; i < PIECES * PIECE; i++)
			CHECK_MSG(at[i] == *at, "the record at %ld is torn at its byte %d", (long)(at - data), i);
		count[*at - 'a']++;
	}
	for (int i = 0; i < WRITERS; i++)
		CHECK_EQ(count[i], RECORDS);
}

static void append_beside_each_other(void *(*run)(void *))
{
	pthread_t thread[WRITERS];

	close(scratch_file("appended", "", 0));
	for (long i = 0; i < WRITERS; i++)
		thread[i] = thread_start(run, (void *)i);
	for (int i = 0; i < WRITERS; i++)
		thread_join(thread[i], NULL);
	check_records();
}

TEST(vectors_that_are_appended_beside_each_other_are_not_torn) { append_beside_each_other(append_pieces); }
TEST(writes_that_are_appended_beside_each_other_are_not_torn) { append_beside_each_other(append_whole); }

TEST(a_vector_with_a_bad_piece_writes_what_is_before_it)
{
	struct iovec iov[3] = { { "abc", 3 }, { map_anon(1, PROT_NONE), 8 }, { "def", 3 } };
	int fd = scratch_file("pieces", "", 0);
	char data[16] = "";

	CHECK_EQ(writev(fd, iov, 3), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
	CHECK_ERR(writev(fd, iov + 1, 2), EFAULT);
	iov[1].iov_len = 0;
	CHECK_EQ(pwritev(fd, iov, 3, 1), 6);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
	CHECK_EQ(pread(fd, data, sizeof(data), 0), 7);
	CHECK_STR(data, "aabcdef");
	CHECK_EQ(writev(fd, iov, 0), 0);
	CHECK_EQ(writev(fd, iov + 1, 1), 0);
}

/* The order of events */

enum { ROUNDS = 1000 };
static _Atomic bool made_all;

static void *make_directory(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS;)
		i += mkdir(scratch("watched/it"), 0700) == 0;
	made_all = true;
	return NULL;
}

static void *remove_directory(void *arg)
{
	(void)arg;
	while (!made_all || !access(scratch("watched/it"), F_OK))
		rmdir(scratch("watched/it"));
	return NULL;
}

static void *rename_file(void *arg)
{
	const char *names[2] = { scratch("turned/one"), scratch("turned/two") };

	for (int i = 0; i < ROUNDS;)
		i += rename(names[arg != NULL], names[arg == NULL]) == 0;
	return NULL;
}

/* Reads what is queued and checks that it comes and goes in turn, beginning with `first`. */
static void check_in_turn(int in, uint32_t first, uint32_t second, long events)
{
	static char buf[65536] __attribute__((aligned(8)));
	long seen = 0, n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (char *at = buf; at < buf + n; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len) {
			struct inotify_event *e = (struct inotify_event *)at;

			CHECK_MSG((e->mask & ~IN_ISDIR) == (seen & 1 ? second : first), "event %ld is %x", seen, e->mask);
			seen++;
		}
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(seen, events);
}

TEST_SLOW(a_name_is_created_before_it_is_deleted, 60)
{
	int in = CHECK_OK(inotify_init1(IN_NONBLOCK));
	pthread_t maker, remover;

	made_all = false;
	CHECK_OK(mkdir(scratch("watched"), 0700));
	CHECK_OK(inotify_add_watch(in, scratch("watched"), IN_CREATE | IN_DELETE));
	maker = thread_start(make_directory, NULL);
	remover = thread_start(remove_directory, NULL);
	thread_join(maker, NULL);
	thread_join(remover, NULL);
	check_in_turn(in, IN_CREATE, IN_DELETE, 2 * ROUNDS);
	close(in);
	CHECK_OK(rmdir(scratch("watched")));
}

TEST_SLOW(renames_to_and_fro_are_told_in_order, 60)
{
	int in = CHECK_OK(inotify_init1(IN_NONBLOCK)), one, two;
	static char buf[65536] __attribute__((aligned(8)));
	char at = '1'; /* where the file is by what was told */
	pthread_t to, fro;
	long n, seen = 0;

	CHECK_OK(mkdir(scratch("turned"), 0700));
	close(scratch_file("turned/one", "", 0));
	CHECK_OK(inotify_add_watch(in, scratch("turned"), IN_MOVED_FROM | IN_MOVED_TO));
	to = thread_start(rename_file, NULL);
	fro = thread_start(rename_file, (void *)1);
	thread_join(to, NULL);
	thread_join(fro, NULL);
	one = access(scratch("turned/one"), F_OK);
	two = access(scratch("turned/two"), F_OK);
	CHECK(one == 0 && two != 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len) {
			struct inotify_event *e = (struct inotify_event *)p;
			bool from = !(seen++ & 1);

			CHECK_MSG(e->mask == (from ? IN_MOVED_FROM : IN_MOVED_TO), "event %ld is %x", seen, e->mask);
			if (from)
				CHECK_MSG((*e->name == 'o') == (at == '1'), "event %ld is from %s", seen, e->name);
			else
				at = *e->name == 'o' ? '1' : '2';
		}
	CHECK_EQ(seen, 4 * ROUNDS);
	close(in);
}

/* Reads beside truncations */

enum { CUT_ROUNDS = 400, CUT_BYTES = 32 * 4096, CUT_READERS = 2 };
static _Atomic int cut_round, cut_seen;

/* Reads what is full of x until it is short. While it shrinks nobody writes, so there are no other bytes at any time. */
static void *read_until_cut(void *arg)
{
	int fd = open(scratch("cut"), O_RDONLY), who = (int)(long)arg;
	char *data = malloc(CUT_BYTES);

	CHECK(fd >= 0);
	for (int round = 1; round <= CUT_ROUNDS; round++) {
		while (cut_round < round)
			sched_yield();
		for (unsigned i = 0;; i++) {
			/* All of it, a small piece, a few bytes: ways of their own in a kernel. */
			size_t want = who ? CUT_BYTES : i & 1 ? 200 : 8;
			off_t at = who ? 0 : 5 * 4096 + 100;
			ssize_t n = pread(fd, data, want, at);

			CHECK(n >= 0 && n <= (ssize_t)want);
			for (ssize_t k = 0; k < n; k++)
				CHECK_MSG(data[k] == 'x', "round %d: byte %zd of %zd at %ld is %d", round, k, n, (long)at, data[k]);
			if (n < (ssize_t)want)
				break;
		}
		cut_seen++;
	}
	free(data);
	close(fd);
	return NULL;
}

TEST_SLOW(reads_beside_a_truncation_end_early_and_give_no_zeroes, 60)
{
	static char data[CUT_BYTES];
	int fd = scratch_file("cut", "", 0);
	pthread_t reader[CUT_READERS];

	cut_round = cut_seen = 0;
	memset(data, 'x', sizeof(data));
	for (long i = 0; i < CUT_READERS; i++)
		reader[i] = thread_start(read_until_cut, (void *)i);
	for (int round = 1; round <= CUT_ROUNDS && !case_now->state; round++) {
		struct timespec ts = { 0, round * 977 % 100000 };

		CHECK_EQ(pwrite(fd, data, sizeof(data), 0), sizeof(data));
		cut_round = round;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
		CHECK_OK(ftruncate(fd, 0)); /* of a page that stays in part Linux clears the rest while it may be read */
		while (cut_seen < CUT_READERS * round && !case_now->state) /* a reader that failed comes no more */
			sched_yield();
	}
	for (int i = 0; i < CUT_READERS; i++)
		thread_join(reader[i], NULL);
	close(fd);
}

TEST(reads_of_holes_and_ends_are_as_long_as_the_file)
{
	int fd = scratch_file("holes", "abc", 3);
	static char data[5 * 4096];

	CHECK_OK(ftruncate(fd, 3 * 4096 + 5));
	memset(data, 1, sizeof(data));
	CHECK_EQ(pread(fd, data, sizeof(data), 0), 3 * 4096 + 5);
	CHECK(!memcmp(data, "abc", 3) && data[3] == 0 && data[3 * 4096 + 4] == 0 && data[3 * 4096 + 5] == 1);
	memset(data, 1, sizeof(data));
	CHECK_EQ(pread(fd, data, sizeof(data), 4095), 2 * 4096 + 6);
	CHECK(data[0] == 0 && data[2 * 4096 + 5] == 0 && data[2 * 4096 + 6] == 1);
	CHECK_EQ(pread(fd, data, 8, 3 * 4096), 5);
	CHECK_EQ(pread(fd, data, 8, 3 * 4096 + 5), 0);
	CHECK_EQ(pread(fd, map_anon(1, PROT_NONE), 8, 4096), -1); /* a hole into a bad place */
	CHECK_EQ(errno, EFAULT);
}

/* Seals */

static int sealable(const char *name, off_t size)
{
	int fd = CHECK_OK(memfd_create(name, MFD_ALLOW_SEALING));

	CHECK_OK(ftruncate(fd, size));
	return fd;
}

TEST(a_write_seal_is_refused_while_a_mapping_could_write)
{
	int fd = sealable("sealed", 2 * PAGE), readonly;
	char name[40], *shared, *again, *private, *reader;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	readonly = CHECK_OK(open(name, O_RDONLY));
	private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	reader = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, readonly, 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	again = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(private != MAP_FAILED && reader != MAP_FAILED && shared != MAP_FAILED && again != MAP_FAILED);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK_OK(munmap(shared, PAGE));
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY); /* mprotect() could make it writable */
	CHECK_OK(munmap(again, PAGE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); /* neither of the others can write to the file */
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE);
	private[0] = 1;
	CHECK_EQ(reader[0], 0);
	CHECK_ERR(mprotect(reader, PAGE, PROT_READ | PROT_WRITE), EACCES);
	munmap(reader, PAGE);
	munmap(private, PAGE);
	close(readonly);
	close(fd);
}

TEST(a_write_sealed_memfd_cannot_be_written_in_any_way)
{
	int fd = sealable("sealed", 2 * PAGE);
	char *p;

	CHECK_EQ(pwrite(fd, "abc", 3, 0), 3);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
	CHECK(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	p[0] = 'x';
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK(!memcmp(p, "abc", 4));
	CHECK_ERR(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK_ERR(madvise(p, PAGE, MADV_REMOVE), EACCES);
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_EQ(pwrite(fd, "x", 0, 0), 0);
	CHECK_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
	CHECK_OK(fallocate(fd, 0, 0, PAGE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); /* once more, with a mapping that could have written without it */
	CHECK_OK(ftruncate(fd, 3 * PAGE));
	CHECK(!memcmp(p, "abc", 4));
	close(fd);
}

TEST(a_grow_seal_lets_a_write_fill_what_is_there)
{
	int fd = sealable("grow", 2 * PAGE);
	static char data[3 * 4096];
	struct stat st;

	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
	CHECK_EQ(pwrite(fd, "xxxx", 4, 2 * PAGE - 4), 4);
	CHECK_EQ(pwrite(fd, "xxxx", 4, 2 * PAGE - 2), 2);
	CHECK_EQ(pwrite(fd, data, sizeof(data), 0), 2 * PAGE);
	CHECK_ERR(pwrite(fd, "x", 1, 2 * PAGE), EPERM);
	CHECK_ERR(ftruncate(fd, 2 * PAGE + 1), EPERM);
	CHECK_ERR(ftruncate(fd, PAGE), EPERM);
	CHECK_ERR(fallocate(fd, 0, 0, 2 * PAGE + 1), EPERM);
	CHECK_OK(fallocate(fd, 0, 0, 2 * PAGE));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 2 * PAGE);
	close(fd);
}

static void *write_until_sealed(void *arg)
{
	int fd = *(int *)arg;
	uint64_t n = 1;

	while (pwrite(fd, &n, sizeof(n), 0) == sizeof(n))
		n++;
	CHECK_EQ(errno, EPERM);
	return NULL;
}

TEST(nothing_is_written_behind_a_seal)
{
	for (int i = 0; i < 100; i++) {
		int fd = sealable("race", PAGE);
		pthread_t writer = thread_start(write_until_sealed, &fd);
		uint64_t before = 0, after;

		while (!before)
			CHECK_EQ(pread(fd, &before, sizeof(before), 0), sizeof(before));
		CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
		CHECK_EQ(pread(fd, &before, sizeof(before), 0), sizeof(before));
		thread_join(writer, NULL);
		CHECK_EQ(pread(fd, &after, sizeof(after), 0), sizeof(after));
		CHECK_EQ(after, before);
		close(fd);
	}
}

/* Stores through mappings */

/* Modification time and change time are long ago, respectively what fstat() says. */
static void times_past(int fd, struct stat *st)
{
	struct timespec ts[2] = { { 1000, 0 }, { 1000, 0 } };

	CHECK_OK(futimens(fd, ts));
	CHECK_OK(fstat(fd, st));
	CHECK_EQ(st->st_mtim.tv_sec, 1000);
	sleep_ms(20); /* Linux's file times move by ticks */
}

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

static void check_store_is_seen(int fd)
{
	struct stat before, after;
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED);
	times_past(fd, &before);
	p[PAGE] = 1;
	CHECK_OK(fstat(fd, &after));
	CHECK(after.st_mtim.tv_sec > 1500000000);
	CHECK(later(&after.st_ctim, &before.st_ctim));
	CHECK_EQ(after.st_atim.tv_sec, 1000);
	munmap(p, 2 * PAGE);
	close(fd);
}

TEST(a_store_through_a_shared_mapping_changes_the_times)
{
	int fd = scratch_file("stored", "x", 1), memfd = CHECK_OK(memfd_create("stored", 0));

	CHECK_OK(ftruncate(fd, 2 * PAGE));
	CHECK_OK(ftruncate(memfd, 2 * PAGE));
	check_store_is_seen(fd);
	check_store_is_seen(memfd);
}

TEST(loads_and_private_stores_leave_the_times_alone)
{
	int fd = scratch_file("loaded", "x", 1);
	struct stat before, after;
	char *shared, *private;

	CHECK_OK(ftruncate(fd, 2 * PAGE));
	shared = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	private = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(shared != MAP_FAILED && private != MAP_FAILED);
	times_past(fd, &before);
	CHECK_EQ(*(volatile char *)shared, 'x');
	private[0] = private[PAGE] = 2;
	CHECK_OK(fstat(fd, &after));
	CHECK_EQ(after.st_mtim.tv_sec, 1000);
	CHECK(!later(&after.st_ctim, &before.st_ctim));
	close(fd);
}

TEST_MAIN("changes")
