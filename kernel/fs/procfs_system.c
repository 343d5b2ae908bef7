/*
 * kernel/fs/procfs_system.c - /proc: the machine as a whole.
 *
 * Interface: proc_system_files (procfs.h).
 * Locking:   process_list_lock while threads are counted.
 */
#include "fs/procfs.h"
#include "core/boot.h"
#include "core/clock.h"
#include "core/random.h"
#include "gate.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/version.h"
#include "net/proc.h"

#define TICKS(ns) ((unsigned long)((ns) / NS_PER_TICK))

static int cpuinfo_all(struct text *t, const struct gen_ref *ref)
{
	for (unsigned i = 0; i < cpu_count(); i++)
		cpuinfo_show(t, i);
	return 0;
}

static int meminfo_show(struct text *t, const struct gen_ref *ref)
{
	struct mem_stats m;
	unsigned long dm;

	mem_stats_get(&m);
	dm = m.total >> 10;
	text_printf(t,
		    "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n"
		    "Buffers:               0 kB\nCached:         %8lu kB\nSwapCached:            0 kB\n",
		    dm, (unsigned long)(m.free >> 10), (unsigned long)(m.available >> 10),
		    (unsigned long)((m.cached + m.shmem) >> 10));
	text_printf(t,
		    "Active:         %8lu kB\nInactive:       %8lu kB\nActive(anon):   %8lu kB\n"
		    "Inactive(anon):        0 kB\nActive(file):          0 kB\nInactive(file): %8lu kB\n"
		    "Unevictable:           0 kB\nMlocked:               0 kB\nSwapTotal:             0 kB\n"
		    "SwapFree:              0 kB\nDirty:                 0 kB\nWriteback:             0 kB\n",
		    (unsigned long)(m.anon >> 10), (unsigned long)(m.cached >> 10),
		    (unsigned long)(m.anon >> 10), (unsigned long)(m.cached >> 10));
	text_printf(t,
		    "AnonPages:      %8lu kB\nMapped:         %8lu kB\nShmem:          %8lu kB\n"
		    "KReclaimable:          0 kB\nSlab:           %8lu kB\nSReclaimable:          0 kB\n"
		    "SUnreclaim:     %8lu kB\nKernelStack:    %8lu kB\nPageTables:     %8lu kB\n",
		    (unsigned long)(m.anon >> 10), (unsigned long)(m.mapped >> 10),
		    (unsigned long)(m.shmem >> 10), (unsigned long)(m.slab >> 10),
		    (unsigned long)(m.slab >> 10), (unsigned long)(m.kernel_stacks >> 10),
		    (unsigned long)(m.page_tables >> 10));
	text_printf(t,
		    "NFS_Unstable:          0 kB\nBounce:                0 kB\nWritebackTmp:          0 kB\n"
		    "CommitLimit:    %8lu kB\nCommitted_AS:   %8lu kB\nVmallocTotal:   34359738367 kB\n"
		    "VmallocUsed:    %8lu kB\nVmallocChunk:          0 kB\nAnonHugePages:  %8lu kB\n"
		    "ShmemHugePages:        0 kB\nShmemPmdMapped:        0 kB\n",
		    (unsigned long)(m.commit_limit >> 10), (unsigned long)(m.committed >> 10),
		    (unsigned long)(m.kernel_stacks >> 10), (unsigned long)(m.anon_huge >> 10));
	text_printf(t,
		    "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
		    "HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n"
		    "DirectMap4k:           0 kB\nDirectMap2M:    %8lu kB\n", dm);
	return 0;
}

struct thread_counts {
	unsigned total, running, last_pid;
	uint64_t processes;
};

static void threads_count(struct thread_counts *c)
{
	struct process *p;
	struct thread *t;

	memset(c, 0, sizeof(*c));
	mutex_lock(&process_list_lock);
	list_for_each(p, &process_list, all_link) {
		c->processes++;
		list_for_each(t, &p->threads, process_link) {
			c->total++;
			c->running += atomic_load(&t->state) == THREAD_RUNNABLE;
			c->last_pid = MAX(c->last_pid, (unsigned)t->tid);
		}
	}
	mutex_unlock(&process_list_lock);
}

static int stat_show(struct text *t, const struct gen_ref *ref)
{
	struct cpu_times sum = { 0 }, one;
	struct thread_counts c;
	unsigned n = cpu_count();

	for (unsigned i = 0; i < n; i++) {
		cpu_times_get(i, &one);
		sum.busy_ns += one.busy_ns;
		sum.idle_ns += one.idle_ns;
		sum.interrupts += one.interrupts;
		sum.switches += one.switches;
	}
	text_printf(t, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\n", TICKS(sum.busy_ns), TICKS(sum.idle_ns));
	for (unsigned i = 0; i < n; i++) {
		cpu_times_get(i, &one);
		text_printf(t, "cpu%u %lu 0 0 %lu 0 0 0 0 0 0\n", i, TICKS(one.busy_ns),
			    TICKS(one.idle_ns));
	}
	threads_count(&c);
	text_printf(t, "intr %lu\nctxt %lu\nbtime %lu\nprocesses %u\nprocs_running %u\nprocs_blocked 0\n"
		       "softirq 0 0 0 0 0 0 0 0 0 0 0\n",
		    (unsigned long)sum.interrupts, (unsigned long)sum.switches,
		    (unsigned long)(clock_realtime_offset_ns() / (int64_t)NSEC_PER_SEC),
		    MAX(c.last_pid, 1u), MAX(c.running, 1u));
	return 0;
}

static int uptime_show(struct text *t, const struct gen_ref *ref)
{
	uint64_t now = clock_monotonic_ns() / 10000000, idle = 0;
	struct cpu_times one;

	for (unsigned i = 0; i < cpu_count(); i++) {
		cpu_times_get(i, &one);
		idle += one.idle_ns / 10000000;
	}
	text_printf(t, "%lu.%02lu %lu.%02lu\n", (unsigned long)(now / 100), (unsigned long)(now % 100),
		    (unsigned long)(idle / 100), (unsigned long)(idle % 100));
	return 0;
}

/* The averages are of the moment: threads that run now. */
static int loadavg_show(struct text *t, const struct gen_ref *ref)
{
	struct thread_counts c;

	threads_count(&c);
	text_printf(t, "%u.00 %u.00 %u.00 %u/%u %u\n", c.running, c.running, c.running, MAX(c.running, 1u),
		    MAX(c.total, 1u), c.last_pid);
	return 0;
}

static int version_show(struct text *t, const struct gen_ref *ref)
{
	text_printf(t, "Linux version %s (ibrik %s) %s\n", LINUX_RELEASE, ibrik_version, LINUX_VERSION);
	return 0;
}

static int filesystems_show(struct text *t, const struct gen_ref *ref)
{
	text_printf(t, "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\toverlay\n"
		       "\tsquashfs\n");
	return 0;
}

static int cmdline_show(struct text *t, const struct gen_ref *ref)
{
	text_printf(t, "%s\n", boot_info.cmdline);
	return 0;
}

static int swaps_show(struct text *t, const struct gen_ref *ref)
{
	text_printf(t, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

static int vmstat_show(struct text *t, const struct gen_ref *ref)
{
	struct mem_stats m;

	mem_stats_get(&m);
	text_printf(t, "nr_free_pages %lu\nnr_anon_pages %lu\nnr_mapped %lu\nnr_file_pages %lu\nnr_shmem %lu\n"
		       "nr_page_table_pages %lu\npgfault %lu\npgmajfault %lu\npgsteal_direct %lu\n"
		       "thp_fault_alloc %lu\npswpin 0\npswpout 0\noom_kill 0\n",
		    (unsigned long)(m.free / PAGE_SIZE), (unsigned long)(m.anon / PAGE_SIZE),
		    (unsigned long)(m.mapped / PAGE_SIZE), (unsigned long)((m.cached + m.shmem) / PAGE_SIZE),
		    (unsigned long)(m.shmem / PAGE_SIZE), (unsigned long)(m.page_tables / PAGE_SIZE),
		    (unsigned long)(m.faults_minor + m.faults_major), (unsigned long)m.faults_major,
		    (unsigned long)m.reclaimed_pages, (unsigned long)m.faults_huge);
	return 0;
}

static int interrupts_show(struct text *t, const struct gen_ref *ref)
{
	struct cpu_times one;

	text_printf(t, "    ");
	for (unsigned i = 0; i < cpu_count(); i++)
		text_printf(t, "       CPU%-2u", i);
	text_printf(t, "\nALL:");
	for (unsigned i = 0; i < cpu_count(); i++) {
		cpu_times_get(i, &one);
		text_printf(t, " %10lu", (unsigned long)one.interrupts);
	}
	text_printf(t, "   all interrupts\n");
	return 0;
}

/* --- sys ------------------------------------------------------------------------------------------------ */

static int number(struct text *t, unsigned long n)
{
	text_printf(t, "%lu\n", n);
	return 0;
}

#define NUMBER_FILE(name, n) \
	static int name(struct text *t, const struct gen_ref *ref) { return number(t, (n)); }
#define TEXT_FILE(name, ...)                                         \
	static int name(struct text *t, const struct gen_ref *ref)   \
	{                                                            \
		text_printf(t, __VA_ARGS__);                         \
		return 0;                                            \
	}

TEXT_FILE(ostype_show, "Linux\n")
TEXT_FILE(osrelease_show, "%s\n", LINUX_RELEASE)
TEXT_FILE(osversion_show, "%s\n", LINUX_VERSION)
TEXT_FILE(domainname_show, "(none)\n")
TEXT_FILE(core_pattern_show, "core\n")
NUMBER_FILE(pid_max_show, 4194304)
NUMBER_FILE(threads_max_show, process_threads_max())
NUMBER_FILE(ngroups_max_show, 65536)
NUMBER_FILE(cap_last_cap_show, 40)
NUMBER_FILE(zero_show, 0)

NUMBER_FILE(two_show, 2)
NUMBER_FILE(entropy_show, 256)
NUMBER_FILE(overcommit_ratio_show, 50)
NUMBER_FILE(max_map_count_show, 1048576)
NUMBER_FILE(mmap_min_addr_show, 65536)
NUMBER_FILE(file_max_show, 1048576)
NUMBER_FILE(nr_open_show, 1048576)
NUMBER_FILE(pipe_max_show, 1048576)
NUMBER_FILE(inotify_events_show, 16384)
NUMBER_FILE(inotify_instances_show, 1024)
NUMBER_FILE(inotify_watches_show, 65536)
TEXT_FILE(shmmax_show, "18446744073692774399\n")
TEXT_FILE(file_nr_show, "0\t0\t1048576\n")

static int hostname_show(struct text *t, const struct gen_ref *ref)
{
	char name[65];

	hostname_read(name, sizeof(name));
	text_printf(t, "%s\n", name);
	return 0;
}

static void uuid_print(struct text *t, unsigned char b[16])
{
	b[6] = (b[6] & 0x0f) | 0x40; /* version 4, variant 1 */
	b[8] = (b[8] & 0x3f) | 0x80;
	for (unsigned i = 0; i < 16; i++)
		text_printf(t, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
	text_printf(t, "\n");
}

static int uuid_show(struct text *t, const struct gen_ref *ref)
{
	unsigned char b[16];

	random_bytes(b, sizeof(b));
	uuid_print(t, b);
	return 0;
}

static int boot_id_show(struct text *t, const struct gen_ref *ref)
{
	static struct mutex lock = MUTEX_INIT("boot id");
	static unsigned char id[16];
	static bool made;
	unsigned char b[16];

	mutex_lock(&lock);
	if (!made)
		random_bytes(id, sizeof(id));
	made = true;
	memcpy(b, id, sizeof(b));
	mutex_unlock(&lock);
	uuid_print(t, b);
	return 0;
}

static const struct gen_entry random_files[] = {
	GEN_FILE("uuid", uuid_show), GEN_FILE("boot_id", boot_id_show),
	GEN_FILE("entropy_avail", entropy_show), GEN_FILE("poolsize", entropy_show), GEN_END,
};
static const struct gen_entry kernel_files[] = {
	GEN_FILE("ostype", ostype_show), GEN_FILE("osrelease", osrelease_show),
	GEN_FILE("version", osversion_show), GEN_FILE("hostname", hostname_show),
	GEN_FILE("domainname", domainname_show), GEN_FILE("pid_max", pid_max_show),
	GEN_FILE("threads-max", threads_max_show), GEN_FILE("core_pattern", core_pattern_show),
	GEN_FILE("core_uses_pid", zero_show), GEN_FILE("perf_event_paranoid", two_show),
	GEN_FILE("randomize_va_space", two_show), GEN_FILE("ngroups_max", ngroups_max_show),
	GEN_FILE("cap_last_cap", cap_last_cap_show), GEN_FILE("kptr_restrict", two_show),
	GEN_FILE("shmmax", shmmax_show), GEN_DIR("random", random_files), GEN_END,
};
static const struct gen_entry vm_files[] = {
	GEN_FILE("max_map_count", max_map_count_show), GEN_FILE("overcommit_memory", zero_show),
	GEN_FILE("overcommit_ratio", overcommit_ratio_show), GEN_FILE("mmap_min_addr", mmap_min_addr_show),
	GEN_FILE("nr_hugepages", zero_show), GEN_FILE("swappiness", zero_show),
	GEN_FILE("hugetlb_shm_group", zero_show), GEN_END,
};
static const struct gen_entry inotify_files[] = {
	GEN_FILE("max_queued_events", inotify_events_show),
	GEN_FILE("max_user_instances", inotify_instances_show),
	GEN_FILE("max_user_watches", inotify_watches_show), GEN_END,
};
static const struct gen_entry fs_files[] = {
	GEN_FILE("file-max", file_max_show), GEN_FILE("file-nr", file_nr_show),
	GEN_FILE("nr_open", nr_open_show), GEN_FILE("pipe-max-size", pipe_max_show),
	GEN_FILE("protected_hardlinks", zero_show), GEN_FILE("protected_symlinks", zero_show),
	GEN_DIR("inotify", inotify_files), GEN_END,
};
static const struct gen_entry sys_files[] = {
	GEN_DIR("kernel", kernel_files), GEN_DIR("vm", vm_files), GEN_DIR("fs", fs_files),
	GEN_DIR("net", proc_sys_net_files), GEN_END,
};

/* --- ibrik: what Linux has no file for --------------------------------------------------------------------- */

static int syscalls_show(struct text *t, const struct gen_ref *ref)
{
	gate_show(t);
	return 0;
}

static const struct gen_entry ibrik_files[] = { GEN_FILE("syscalls", syscalls_show), GEN_FILE("net", proc_net_counters_show), GEN_END };

static ssize_t net_readlink(const struct gen_ref *ref, char *buf, size_t size)
{
	static const char to[] = "self/net";
	size_t n = MIN(size, sizeof(to) - 1);

	memcpy(buf, to, n);
	return (ssize_t)n;
}

const struct gen_entry proc_system_files[] = {
	{ .name = "self", .mode = S_IFLNK | 0777, .readlink = proc_self_readlink },
	{ .name = "thread-self", .mode = S_IFLNK | 0777, .readlink = proc_thread_self_readlink },
	{ .name = "net", .mode = S_IFLNK | 0777, .readlink = net_readlink },
	GEN_FILE("mounts", proc_mounts_show), GEN_FILE("cpuinfo", cpuinfo_all),
	GEN_FILE("meminfo", meminfo_show), GEN_FILE("stat", stat_show), GEN_FILE("uptime", uptime_show),
	GEN_FILE("loadavg", loadavg_show), GEN_FILE("version", version_show),
	GEN_FILE("filesystems", filesystems_show), GEN_FILE("cmdline", cmdline_show),
	GEN_FILE("swaps", swaps_show), GEN_FILE("vmstat", vmstat_show),
	GEN_FILE("interrupts", interrupts_show), GEN_DIR("sys", sys_files),
	GEN_DIR("ibrik", ibrik_files),
	GEN_END,
};
