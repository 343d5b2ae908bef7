/*
 * tests/guest/proc.c - what /proc and /sys tell, as programs and the JVM parse it.
 */
#include "harness.h"
#include <dirent.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>

static char text[1 << 18];

static const char *content(const char *path)
{
	if (read_file(path, text, sizeof(text)) < 0)
		FAIL("%s: %s", path, strerror(errno));
	return text;
}

static bool has_line(const char *start)
{
	for (char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, start, strlen(start)))
			return true;
	}
	return false;
}

struct area {
	uintptr_t start, end;
	char perms[5];
	unsigned long offset, inode;
	char path[256];
};

/* The area of an address in /proc/self/maps. */
static bool area_of(const void *address, struct area *area)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[600];
	bool found = false;
	uintptr_t last = 0;

	if (!f)
		FAIL("/proc/self/maps: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		struct area a = { 0 };
		unsigned major, minor;

		if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %255[^\n]", &a.start, &a.end, a.perms, &a.offset, &major,
			   &minor, &a.inode, a.path) < 7)
			FAIL("a line of maps: %s", line);
		CHECK(a.start < a.end && a.start >= last);
		last = a.end;
		if ((uintptr_t)address >= a.start && (uintptr_t)address < a.end) {
			*area = a;
			found = true;
		}
	}
	fclose(f);
	return found;
}

TEST(maps_shows_program_stack_and_heap)
{
	struct area a;
	static int data;
	long on_stack;
	char exe[PATH_MAX] = "";

	CHECK_OK(readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	CHECK(area_of((void *)(uintptr_t)test_main, &a));
	CHECK_STR(a.perms, "r-xp");
	CHECK_STR(a.path, exe);
	CHECK(area_of(&data, &a));
	CHECK_STR(a.perms, "rw-p");
	CHECK(area_of(&on_stack, &a));
	content("/proc/self/maps");
	CHECK(strstr(text, "[stack]"));
	CHECK(strstr(text, "[heap]"));
	CHECK(!strstr(text, "[vdso]") == !getauxval(AT_SYSINFO_EHDR));
	CHECK(strstr(text, "libc.so.6"));
	CHECK(area_of(environ[0], &a));
	CHECK_STR(a.path, "[stack]");
}

TEST(maps_follows_mprotect_and_munmap)
{
	char *p = map_anon(8, PROT_READ | PROT_WRITE);
	struct area a;

	CHECK(area_of(p, &a));
	CHECK_STR(a.perms, "rw-p");
	CHECK_OK(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ));
	CHECK(area_of(p + 2 * PAGE, &a));
	CHECK_STR(a.perms, "r--p");
	CHECK_EQ(a.start, (uintptr_t)p + 2 * PAGE);
	CHECK_EQ(a.end, (uintptr_t)p + 4 * PAGE);
	CHECK_OK(munmap(p + 3 * PAGE, PAGE));
	CHECK(!area_of(p + 3 * PAGE, &a));
	CHECK_OK(mprotect(p, PAGE, PROT_NONE));
	CHECK(area_of(p, &a));
	CHECK_STR(a.perms, "---p");
}

TEST(maps_names_files_with_offset_and_inode)
{
	struct stat st;
	struct area a;
	int fd = scratch_file("mapped", "", 0);
	char *p;

	CHECK_OK(ftruncate(fd, 3 * PAGE));
	CHECK_OK(fstat(fd, &st));
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE);
	CHECK(p != MAP_FAILED);
	CHECK(area_of(p, &a));
	CHECK_STR(a.perms, "r--s");
	CHECK_EQ(a.offset, 2 * PAGE);
	CHECK_EQ(a.inode, st.st_ino);
	CHECK_STR(a.path, scratch("mapped"));
	CHECK_OK(unlink(scratch("mapped")));
	CHECK(area_of(p, &a));
	CHECK(strstr(a.path, " (deleted)"));
}

TEST(a_line_of_maps_is_a_line_whatever_the_file_is_called)
{
	int fds[2] = { scratch_file("a\nb c\\d", "", 0), CHECK_OK(memfd_create("1-2 r--p 0 00:00 0 \n3-4", 0)) };
	struct area a;
	char *p[2];

	for (int i = 0; i < 2; i++) {
		CHECK_OK(ftruncate(fds[i], PAGE));
		p[i] = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[i], 0);
		CHECK(p[i] != MAP_FAILED);
	}
	CHECK(area_of(p[0], &a));
	CHECK(!strncmp(a.path, scratch("a"), strlen(scratch("a"))));
	CHECK_STR(a.path + strlen(scratch("a")), "\\012b c\\d");
	CHECK(area_of(p[1], &a));
	CHECK_STR(a.path, "/memfd:1-2 r--p 0 00:00 0 \\0123-4 (deleted)");
	for (int i = 0; i < 2; i++) {
		CHECK_OK(munmap(p[i], PAGE));
		close(fds[i]);
	}
}

TEST(neighbouring_areas_of_the_same_kind_are_one_line)
{
	char *p = map_anon(6, PROT_NONE);
	struct area a;

	for (int i = 0; i < 6; i++)
		CHECK_OK(mprotect(p + i * PAGE, PAGE, PROT_READ | PROT_WRITE));
	CHECK(area_of(p, &a));
	CHECK(a.end >= (uintptr_t)p + 6 * PAGE);
}

TEST(smaps_has_the_fields_the_jvm_reads)
{
	content("/proc/self/smaps");
	CHECK(has_line("Size:"));
	CHECK(has_line("Rss:"));
	CHECK(has_line("KernelPageSize:"));
	CHECK(has_line("VmFlags:"));
}

TEST(status_has_name_ids_threads_and_masks)
{
	char want[64];

	content("/proc/self/status");
	snprintf(want, sizeof(want), "Pid:\t%d", getpid());
	CHECK(has_line(want));
	snprintf(want, sizeof(want), "Tgid:\t%d", getpid());
	CHECK(has_line(want));
	CHECK(has_line("Name:\t"));
	CHECK(has_line("State:\t"));
	CHECK(has_line("Uid:\t"));
	CHECK(has_line("Threads:\t2"));
	CHECK(has_line("VmRSS:"));
	CHECK(has_line("VmSize:"));
	CHECK(has_line("SigCgt:"));
	CHECK(has_line("Cpus_allowed_list:"));
}

TEST(stat_has_52_fields_with_comm_in_parentheses)
{
	char *at;
	int fields = 2;

	content("/proc/self/stat");
	CHECK_EQ(strtol(text, NULL, 10), getpid());
	at = strrchr(text, ')');
	CHECK(at && strchr(text, '('));
	for (at++; *at && *at != '\n'; at++)
		fields += *at == ' ';
	CHECK_EQ(fields, 52);
}

TEST(statm_has_seven_numbers)
{
	long v[7];

	content("/proc/self/statm");
	CHECK_EQ(sscanf(text, "%ld %ld %ld %ld %ld %ld %ld", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6), 7);
	CHECK(v[0] >= v[1] && v[1] > 0);
}

TEST(cmdline_and_environ_hold_the_strings)
{
	long n = read_file("/proc/self/cmdline", text, sizeof(text));

	CHECK(n > 1);
	CHECK_EQ(text[n - 1], 0);
	CHECK(strstr(text, "proc"));
	CHECK(read_file("/proc/self/environ", text, sizeof(text)) > 0);
	CHECK_STR(text, environ[0]);
}

TEST(exe_cwd_and_root_are_links)
{
	char target[PATH_MAX] = "";
	struct stat a, b;

	CHECK_OK(readlink("/proc/self/exe", target, sizeof(target) - 1));
	CHECK_EQ(target[0], '/');
	CHECK_OK(stat(target, &a));
	CHECK_OK(stat("/proc/self/exe", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_OK(chdir("/tmp"));
	memset(target, 0, sizeof(target));
	CHECK_OK(readlink("/proc/self/cwd", target, sizeof(target) - 1));
	CHECK_STR(target, "/tmp");
	memset(target, 0, sizeof(target));
	CHECK_OK(readlink("/proc/self/root", target, sizeof(target) - 1));
	CHECK_STR(target, "/");
}

TEST(self_and_thread_self_point_to_the_caller)
{
	char target[64] = "", want[64];

	CHECK_OK(readlink("/proc/self", target, sizeof(target) - 1));
	CHECK_EQ(atoi(target), getpid());
	memset(target, 0, sizeof(target));
	CHECK_OK(readlink("/proc/thread-self", target, sizeof(target) - 1));
	snprintf(want, sizeof(want), "%d/task/%d", getpid(), gettid());
	CHECK_STR(target, want);
}

TEST(fd_lists_the_open_descriptors)
{
	char path[64], target[300] = "";
	struct dirent *e;
	bool seen = false;
	int fd = scratch_file("open", "", 0);
	DIR *dir = opendir("/proc/self/fd");

	CHECK(dir);
	while ((e = readdir(dir)))
		seen |= atoi(e->d_name) == fd && e->d_name[0] != '.';
	closedir(dir);
	CHECK(seen);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_OK(readlink(path, target, sizeof(target) - 1));
	CHECK_STR(target, scratch("open"));
	CHECK_ERR(readlink("/proc/self/fd/999", target, 10), ENOENT);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	content(path);
	CHECK(has_line("pos:\t0"));
	CHECK(has_line("flags:\t"));
}

#define MANY_FIRST 200 /* between that one and the next, others come and go */
#define MANY_END 19900

static _Atomic bool many_over;

/* Opens and closes below, in the middle of, and above those that stay. */
static void *many_changes(void *arg)
{
	(void)arg;
	while (!many_over) {
		int low = dup(0), middle = fcntl(0, F_DUPFD, MANY_END / 2), high = fcntl(0, F_DUPFD, MANY_END);

		close(middle);
		close(low);
		close(high);
	}
	return NULL;
}

/* Lists a folder of descriptors from where it stands: numbers rise, and each from `from` on that is marked is there. How many are marked. */
static unsigned many_listed(DIR *dir, const bool *open, int from)
{
	unsigned n = 0;
	struct dirent *e;
	int last = -1;

	while ((e = readdir(dir))) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] == '.')
			continue;
		CHECK(fd > last && fd <= MANY_END + 100);
		for (int k = last < from ? from : last + 1; k < fd && k < MANY_END; k++)
			if (open[k])
				FAIL("%d is not listed, but %d and %d are", k, last, fd);
		if (fd >= MANY_FIRST && fd < MANY_END && fd != MANY_END / 2) {
			CHECK(open[fd]);
			n++;
		}
		last = fd;
	}
	return n;
}

TEST(fd_lists_many_descriptors_while_others_come_and_go)
{
	static bool open[MANY_END + 1];
	struct rlimit limit, old;
	unsigned marked = 0, listed;
	struct dirent *e;
	pthread_t other;
	DIR *dir, *info;
	long middle = -1;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &old));
	limit = old;
	limit.rlim_cur = MANY_END + 100;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	dir = opendir("/proc/self/fd");
	info = opendir("/proc/self/fdinfo");
	CHECK(dir && info);
	for (int fd = MANY_FIRST; fd < MANY_END; fd++) {
		if (fd == MANY_END / 2)
			continue;
		CHECK_EQ(dup2(0, fd), fd);
		open[fd] = true;
		marked++;
	}
	many_over = false;
	CHECK_EQ(pthread_create(&other, NULL, many_changes, NULL), 0);
	CHECK_EQ(many_listed(dir, open, MANY_FIRST), marked);
	CHECK_EQ(many_listed(info, open, MANY_FIRST), marked);
	/* With large holes; and from the middle on. */
	for (int fd = MANY_FIRST; fd < MANY_END; fd++) {
		if (open[fd] && fd % 1000 > 2) {
			close(fd);
			open[fd] = false;
			marked--;
		}
	}
	rewinddir(dir);
	CHECK_EQ(many_listed(dir, open, MANY_FIRST), marked);
	rewinddir(dir);
	while ((e = readdir(dir)))
		if (atoi(e->d_name) == 10001)
			middle = telldir(dir);
	CHECK(middle >= 0);
	seekdir(dir, middle);
	listed = many_listed(dir, open, 10002);
	/* 10002, and three of each thousand up to 19002. */
	CHECK_EQ(listed, 28);
	many_over = true;
	pthread_join(other, NULL);
	for (int fd = MANY_FIRST; fd < MANY_END; fd++)
		if (open[fd])
			close(fd);
	closedir(dir);
	closedir(info);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &old));
}

TEST(an_open_by_proc_self_fd_is_a_new_open_file)
{
	char path[64];
	int fd = scratch_file("reopen", "0123456789", 10), again;

	CHECK_OK(lseek(fd, 5, SEEK_SET));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = CHECK_OK(open(path, O_RDONLY));
	CHECK_EQ(lseek(again, 0, SEEK_CUR), 0);
}

static void link_read(int fd, char to[256])
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = CHECK_OK(readlink(path, to, 255));
	to[n] = 0;
}

/* A program that trusts the link must not be led to the root. */
TEST(what_has_no_name_gets_none_by_being_opened_again)
{
	static const int modes[] = { O_RDWR, O_RDONLY, O_PATH };
	char path[64], first[256], again[256], *p;
	struct area area;
	int memfd = CHECK_OK(memfd_create("nameless", 0)), ends[2], fd;

	link_read(memfd, first);
	CHECK_STR(first, "/memfd:nameless (deleted)");
	CHECK_OK(ftruncate(memfd, PAGE));
	CHECK_OK(pipe(ends));
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
		fd = CHECK_OK(open(path, modes[i]));
		link_read(fd, again);
		CHECK_STR(again, first);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		close(memfd);
		memfd = CHECK_OK(open(path, O_RDWR)); /* of one that was itself opened so */
		close(fd);
		link_read(memfd, again);
		CHECK_STR(again, first);
	}
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd, 0);
	CHECK(p != MAP_FAILED);
	CHECK(area_of(p, &area));
	CHECK_STR(area.path, first);
	link_read(ends[0], first);
	CHECK(!strncmp(first, "pipe:[", 6));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	for (unsigned i = 0; i < 3; i++) {
		fd = CHECK_OK(open(path, modes[i]));
		link_read(fd, again);
		CHECK_STR(again, first);
		close(fd);
	}
	/* The standard output, whatever it is. */
	link_read(1, first);
	fd = open("/dev/stdout", O_WRONLY);
	if (fd >= 0) {
		link_read(fd, again);
		CHECK_STR(again, first);
		close(fd);
	}
	close(ends[0]);
	close(ends[1]);
	close(memfd);
}

TEST(cpuinfo_has_an_entry_for_each_cpu)
{
	int n = 0;

	content("/proc/cpuinfo");
	for (char *at = text; (at = strstr(at, "processor\t:")); at++)
		n++;
	CHECK_EQ(n, get_nprocs());
	CHECK(strstr(text, "flags\t\t:"));
	CHECK(strstr(text, "vendor_id\t:"));
	CHECK(strstr(text, "model name\t:"));
	CHECK(strstr(text, " sse2 "));
}

TEST(proc_stat_counts_cpus)
{
	int n = 0;

	content("/proc/stat");
	CHECK(has_line("cpu  "));
	CHECK(has_line("btime "));
	CHECK(has_line("processes "));
	for (char *at = text; (at = strstr(at, "\ncpu")); at++)
		n++;
	CHECK_EQ(n, get_nprocs());
}

TEST(small_files_have_the_right_form)
{
	double a, b, c;
	int running, total, pid;
	unsigned long v;

	CHECK_EQ(sscanf(content("/proc/uptime"), "%lf %lf", &a, &b), 2);
	CHECK(a > 0);
	CHECK_EQ(sscanf(content("/proc/loadavg"), "%lf %lf %lf %d/%d %d", &a, &b, &c, &running, &total, &pid), 6);
	CHECK(strstr(content("/proc/version"), "Linux"));
	CHECK(strstr(content("/proc/filesystems"), "proc"));
	CHECK(strstr(content("/proc/self/mounts"), " /proc proc "));
	CHECK(strstr(content("/proc/mounts"), " / "));
	CHECK(strstr(content("/proc/self/mountinfo"), " / "));
	CHECK(strlen(content("/proc/self/cgroup")) > 0);
	CHECK_EQ(sscanf(content("/proc/sys/kernel/pid_max"), "%lu", &v), 1);
	CHECK(v >= 32768);
	CHECK_EQ(sscanf(content("/proc/sys/kernel/threads-max"), "%lu", &v), 1);
	CHECK_EQ(sscanf(content("/proc/sys/vm/max_map_count"), "%lu", &v), 1);
	CHECK(v >= 65530);
	CHECK_EQ(sscanf(content("/proc/sys/vm/overcommit_memory"), "%lu", &v), 1);
	CHECK(v <= 2);
	content("/proc/sys/kernel/osrelease");
	CHECK(text[0] >= '3' && strchr(text, '.'));
	content("/proc/self/limits");
	CHECK(has_line("Max open files"));
	content("/proc/self/coredump_filter");
	content("/proc/self/auxv");
	content("/proc/self/oom_score_adj");
}

TEST(sys_describes_cpus_and_huge_pages)
{
	char want[32];
	unsigned long v;

	if (get_nprocs() > 1)
		snprintf(want, sizeof(want), "0-%d\n", get_nprocs() - 1);
	else
		snprintf(want, sizeof(want), "0\n");
	CHECK_STR(content("/sys/devices/system/cpu/online"), want);
	CHECK(strlen(content("/sys/devices/system/cpu/possible")) > 0);
	CHECK(strchr(content("/sys/kernel/mm/transparent_hugepage/enabled"), '['));
	CHECK(strchr(content("/sys/kernel/mm/transparent_hugepage/defrag"), '['));
	CHECK(strchr(content("/sys/kernel/mm/transparent_hugepage/shmem_enabled"), '['));
	CHECK_EQ(sscanf(content("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"), "%lu", &v), 1);
	CHECK_EQ(v, 2ul << 20);
	CHECK_OK(access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK));
}

TEST(proc_files_report_the_right_errors)
{
	char c;
	int fd;

	CHECK_ERR(open("/proc/self/none", O_RDONLY), ENOENT);
	CHECK_ERR(open("/proc/4000000/status", O_RDONLY), ENOENT);
	CHECK_ERR(open("/proc/self/none", O_RDWR | O_CREAT, 0600), ENOENT);
	CHECK_ERR(mkdir("/proc/self/dir", 0700), ENOENT);
	fd = CHECK_OK(open("/proc/self/status", O_RDONLY));
	CHECK_EQ(CHECK_OK(pread(fd, &c, 1, 1 << 20)), 0);
	CHECK_EQ(CHECK_OK(pread(fd, &c, 1, 0)), 1);
	CHECK_EQ(c, 'N');
	CHECK_EQ(sys(SYS_read, fd, BAD_PTR, 10), -EFAULT);
	CHECK_ERR(write(fd, "x", 1), EBADF);
}

TEST(nothing_is_read_where_nothing_is_asked_for)
{
	static const char *const paths[] = { "/proc/self/status", "/proc/cpuinfo", "/sys/devices/system/cpu/online" };
	struct iovec none[2] = { { text, 0 }, { NULL, 0 } };

	for (unsigned i = 0; i < 3; i++) {
		int fd = CHECK_OK(open(paths[i], O_RDONLY));

		CHECK_EQ(CHECK_OK(read(fd, text, 0)), 0);
		CHECK_EQ(CHECK_OK(read(fd, NULL, 0)), 0);
		CHECK_EQ(CHECK_OK(pread(fd, text, 0, 1)), 0);
		CHECK_EQ(CHECK_OK(readv(fd, none, 2)), 0);
		CHECK_EQ(CHECK_OK(read(fd, text, 1)), 1);
		CHECK_EQ(sys(SYS_read, fd, BAD_PTR, 1), -EFAULT);
		close(fd);
	}
}

TEST(reading_in_small_pieces_gives_the_same_text)
{
	static char whole[65536], pieces[65536];
	int fd = CHECK_OK(open("/proc/self/limits", O_RDONLY));
	long n = read_file("/proc/self/limits", whole, sizeof(whole)), at = 0;

	while (at < (long)sizeof(pieces) && CHECK_OK(read(fd, pieces + at, 1)) == 1)
		at++;
	CHECK_EQ(at, n);
	CHECK(!memcmp(whole, pieces, n));
}

TEST(self_mem_reads_the_own_memory)
{
	uint64_t secret = 0x1122334455667788, got = 0;
	int fd = open("/proc/self/mem", O_RDONLY);

	if (fd < 0)
		SKIP("no /proc/self/mem, see docs/caveats.md");
	CHECK_EQ(CHECK_OK(pread(fd, &got, 8, (off_t)(uintptr_t)&secret)), 8);
	CHECK_EQ(got, secret);
	CHECK_ERR(pread(fd, &got, 8, 8), EIO);
}

TEST_MAIN("proc")
