/*
 * kernel/fs/procfs_pid.c - /proc/PID and /proc/PID/task/TID.
 *
 * Theory:    A reference names a process and, below task/, a thread. Each file looks the process up when
 *            it is read, so an open file of a process that has ended answers ESRCH. The tables name
 *            links and descriptors too, which are in procfs_fd.c.
 * Interface: the tables of procfs.h.
 * Locking:   process_list_lock for lists of threads; nothing is printed under it that could sleep long.
 * Errors:    -ESRCH, -ENOENT, -ENOMEM.
 */
#include "fs/procfs.h"
#include "net/proc.h"
#include "core/clock.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/signal.h"

/* --- processes and threads -------------------------------------------------------------------------- */

/* The process of a reference; *t receives its thread (the first one outside task/), referenced. */
static struct process *ref_process(const struct gen_ref *ref, struct thread **t)
{
	struct process *p = process_find(ref->pid);

	if (t)
		*t = NULL;
	if (!p || !t)
		return p;
	*t = thread_find(ref->tid ? ref->tid : ref->pid);
	if (*t && (*t)->process != p) {
		thread_put(*t);
		*t = NULL;
	}
	if (!*t && !ref->tid) { /* the first thread has ended before the others */
		mutex_lock(&process_list_lock);
		if (!list_empty(&p->threads)) {
			*t = list_first(&p->threads, struct thread, process_link);
			thread_get(*t);
		}
		mutex_unlock(&process_list_lock);
	}
	if (*t)
		return p;
	process_put(p);
	return NULL;
}

static void ref_put(struct process *p, struct thread *t)
{
	if (t)
		thread_put(t);
	if (p)
		process_put(p);
}

const struct gen_entry *proc_pid_next(const struct gen_ref *dir, int after, int *number, char name[32])
{
	struct process *p;
	int best = -1;

	mutex_lock(&process_list_lock);
	list_for_each(p, &process_list, all_link)
		if (p->pid > after && !p->exited && (best < 0 || p->pid < best))
			best = p->pid;
	mutex_unlock(&process_list_lock);
	if (best < 0)
		return NULL;
	*number = best;
	snprintf(name, 32, "%d", best);
	return &proc_pid_entry;
}

const struct gen_entry *proc_pid_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref)
{
	int n = gen_number(name);
	struct process *p = n > 0 ? process_find(n) : NULL;
	struct thread *t;

	if (!p && n > 0) { /* a thread's number works too, though it is not listed */
		t = thread_find(n);
		if (t && t->process)
			p = process_find(t->process->pid);
		if (t)
			thread_put(t);
	}
	if (!p)
		return NULL;
	memset(ref, 0, sizeof(*ref));
	ref->pid = p->pid;
	process_put(p);
	return &proc_pid_entry;
}

static const struct gen_entry proc_task_entry;

static const struct gen_entry *task_next(const struct gen_ref *dir, int after, int *number, char name[32])
{
	struct process *p = process_find(dir->pid);
	struct thread *t;
	int best = -1;

	if (!p)
		return NULL;
	mutex_lock(&process_list_lock);
	list_for_each(t, &p->threads, process_link)
		if (t->tid > after && (best < 0 || t->tid < best))
			best = t->tid;
	mutex_unlock(&process_list_lock);
	process_put(p);
	if (best < 0)
		return NULL;
	*number = best;
	snprintf(name, 32, "%d", best);
	return &proc_task_entry;
}

static const struct gen_entry *task_find(const struct gen_ref *dir, const char *name, struct gen_ref *ref)
{
	int n = gen_number(name);
	struct thread *t = n > 0 ? thread_find(n) : NULL;
	bool mine = t && t->process && t->process->pid == dir->pid;

	if (t)
		thread_put(t);
	if (!mine)
		return NULL;
	ref->pid = dir->pid;
	ref->tid = n;
	return &proc_task_entry;
}

ssize_t proc_self_readlink(const struct gen_ref *ref, char *buf, size_t size)
{
	char text[16];
	size_t n;

	if (!current_process())
		return -ENOENT;
	n = MIN((size_t)snprintf(text, sizeof(text), "%d", current_process()->pid), size);
	memcpy(buf, text, n);
	return n;
}

ssize_t proc_thread_self_readlink(const struct gen_ref *ref, char *buf, size_t size)
{
	char text[40];
	size_t n;

	if (!current_process())
		return -ENOENT;
	n = MIN((size_t)snprintf(text, sizeof(text), "%d/task/%d", current_process()->pid, current->tid),
		size);
	memcpy(buf, text, n);
	return n;
}

/* --- memory ------------------------------------------------------------------------------------------ */

/* A line of maps stays one line, whatever a file is called. */
static void path_add(struct text *t, const char *path)
{
	for (; *path; path++) {
		if (*path == '\n')
			text_add(t, "\\012", 4);
		else
			text_add(t, path, 1);
	}
}

static void map_line(struct text *t, const struct area_info *a)
{
	size_t start = t->len;

	text_printf(t, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu", (unsigned long)a->start,
		    (unsigned long)a->end, (a->prot & 1) ? 'r' : '-', (a->prot & 2) ? 'w' : '-',
		    (a->prot & 4) ? 'x' : '-', (a->flags & 1) ? 's' : 'p', (unsigned long)a->offset,
		    a->dev >> 8, a->dev & 0xff, (unsigned long)a->inode);
	if (a->path[0]) {
		do
			text_add(t, " ", 1);
		while (!t->failed && t->len - start < 73);
		path_add(t, a->path);
	}
	text_add(t, "\n", 1);
}

static int maps_emit(const struct area_info *a, void *arg)
{
	map_line(arg, a);
	return 0;
}

static int maps_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);
	int r;

	if (!p)
		return -ESRCH;
	r = p->mm ? mm_areas_each(p->mm, false, maps_emit, t) : 0;
	process_put(p);
	return r;
}

struct smaps {
	struct text *t;          /* NULL: only sum up */
	uint64_t size, rss, huge, anon, shared;
};

static int smaps_emit(const struct area_info *a, void *arg)
{
	struct smaps *s = arg;
	unsigned long kib = (a->end - a->start) >> 10, rss = a->rss_pages * 4, huge = a->huge_pages * 2048;
	bool shared = a->flags & 1, file = a->inode != 0;
	unsigned long anon = file && !(a->prot & 2) ? 0 : rss;

	s->size += kib;
	s->rss += rss;
	s->huge += huge;
	s->anon += anon;
	s->shared += shared ? rss : 0;
	if (!s->t)
		return 0;
	map_line(s->t, a);
	text_printf(s->t,
		    "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n"
		    "Rss:            %8lu kB\nPss:            %8lu kB\nPss_Dirty:      %8lu kB\n"
		    "Shared_Clean:   %8lu kB\nShared_Dirty:   %8lu kB\n",
		    kib, rss, rss, anon, shared && !anon ? rss : 0ul, shared && anon ? rss : 0ul);
	text_printf(s->t,
		    "Private_Clean:  %8lu kB\nPrivate_Dirty:  %8lu kB\nReferenced:     %8lu kB\n"
		    "Anonymous:      %8lu kB\nLazyFree:              0 kB\nAnonHugePages:  %8lu kB\n",
		    shared || anon ? 0ul : rss, shared ? 0ul : anon, rss, anon, huge);
	text_printf(s->t,
		    "ShmemPmdMapped:        0 kB\nFilePmdMapped:         0 kB\n"
		    "Shared_Hugetlb:        0 kB\nPrivate_Hugetlb:       0 kB\n"
		    "Swap:                  0 kB\nSwapPss:               0 kB\n"
		    "Locked:                0 kB\nTHPeligible:           %d\nVmFlags:%s%s%s%s mr mw me\n",
		    huge != 0, (a->prot & 1) ? " rd" : "", (a->prot & 2) ? " wr" : "",
		    (a->prot & 4) ? " ex" : "", shared ? " sh" : "");
	return 0;
}

static int smaps_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);
	struct smaps s = { .t = t };
	int r;

	if (!p)
		return -ESRCH;
	r = p->mm ? mm_areas_each(p->mm, true, smaps_emit, &s) : 0;
	process_put(p);
	return r;
}

static int smaps_rollup_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);
	struct smaps s = { 0 };
	int r;

	if (!p)
		return -ESRCH;
	r = p->mm ? mm_areas_each(p->mm, true, smaps_emit, &s) : 0;
	process_put(p);
	text_printf(t, "00010000-7ffffffff000 ---p 00000000 00:00 0                          [rollup]\n"
		       "Rss:            %8lu kB\nPss:            %8lu kB\nShared_Clean:   %8lu kB\n"
		       "Private_Dirty:  %8lu kB\nAnonymous:      %8lu kB\nAnonHugePages:  %8lu kB\n"
		       "Swap:                  0 kB\n",
		    (unsigned long)s.rss, (unsigned long)s.rss, (unsigned long)(s.rss - s.anon),
		    (unsigned long)s.anon, (unsigned long)s.anon, (unsigned long)s.huge);
	return r;
}

static int statm_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);
	uint64_t rss, file;

	if (!p)
		return -ESRCH;
	rss = atomic_load(&p->mm->rss_pages);
	file = atomic_load(&p->mm->rss_file_pages);
	text_printf(t, "%lu %lu %lu 0 0 %lu 0\n", (unsigned long)p->mm->total_pages, (unsigned long)rss,
		    (unsigned long)file, (unsigned long)(rss > file ? rss - file : 0));
	process_put(p);
	return 0;
}

/* Memory of the process between two addresses. All address spaces share the page tables. */
static int memory_show(struct text *t, uaddr_t start, uaddr_t end)
{
	size_t len = end > start ? MIN(end - start, (uint64_t)MIB(2)) : 0;
	char *buf = kmalloc(PAGE_SIZE);

	if (!buf)
		return -ENOMEM;
	while (len) {
		size_t n = MIN(len, (size_t)PAGE_SIZE);

		if (copy_from_user(buf, start, n))
			break;
		text_add(t, buf, n);
		start += n;
		len -= n;
	}
	kfree(buf);
	return 0;
}

static int cmdline_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);
	int r;

	if (!p)
		return -ESRCH;
	r = memory_show(t, p->mm->arg_start, p->mm->arg_end);
	process_put(p);
	return r;
}

static int environ_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);
	int r;

	if (!p)
		return -ESRCH;
	r = memory_show(t, p->mm->env_start, p->mm->env_end);
	process_put(p);
	return r;
}

static int auxv_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);

	if (!p)
		return -ESRCH;
	text_add(t, (const char *)p->mm->auxv, p->mm->auxv_words * 8);
	process_put(p);
	return 0;
}

/* --- status ------------------------------------------------------------------------------------------ */

static char state_letter(struct thread *t)
{
	switch (atomic_load(&t->state)) {
	case THREAD_NEW:
	case THREAD_RUNNABLE:
		return 'R';
	case SLEEP_INTERRUPTIBLE:
		return 'S';
	case SLEEP_UNINTERRUPTIBLE:
		return 'D';
	default:
		return 'X';
	}
}

static const char *state_name(char c)
{
	return c == 'R' ? "R (running)" : c == 'S' ? "S (sleeping)" : c == 'D' ? "D (disk sleep)" : "X (dead)";
}

/* A number of CPUs as Linux prints a mask of them, and as a list. */
static uint64_t all_cpus(void)
{
	unsigned n = cpu_count();

	return n >= 64 ? ~0ull : (1ull << n) - 1;
}

static void cpu_list(struct text *t, uint64_t mask)
{
	const char *comma = "";

	for (unsigned i = 0; i < 64; i++) {
		unsigned last = i;

		if (!(mask >> i & 1))
			continue;
		while (last + 1 < 64 && (mask >> (last + 1) & 1))
			last++;
		text_printf(t, last > i ? "%s%u-%u" : "%s%u", comma, i, last);
		comma = ",";
		i = last;
	}
}

static void status_memory(struct text *t, struct mm *mm)
{
	unsigned long rss = atomic_load(&mm->rss_pages) * 4, file = atomic_load(&mm->rss_file_pages) * 4;
	unsigned long size = mm->total_pages * 4, peak = mm->peak_rss_pages * 4;

	text_printf(t,
		    "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\n"
		    "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\nRssAnon:\t%8lu kB\nRssFile:\t%8lu kB\n"
		    "RssShmem:\t       0 kB\n",
		    size, size, MAX(peak, rss), rss, rss > file ? rss - file : 0, file);
	text_printf(t,
		    "VmData:\t%8lu kB\nVmStk:\t     132 kB\nVmExe:\t       4 kB\nVmLib:\t%8lu kB\n"
		    "VmPTE:\t%8lu kB\nVmSwap:\t       0 kB\nHugetlbPages:\t       0 kB\n",
		    size, file, rss / 512 + 4);
}

static int status_show(struct text *t, const struct gen_ref *ref)
{
	struct thread *th;
	struct process *p = ref_process(ref, &th);
	uint64_t sets[5], affinity, cpus = all_cpus();

	if (!p)
		return -ESRCH;
	text_printf(t, "Name:\t%s\nUmask:\t%04o\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\n",
		    ref->tid ? th->name : p->comm, p->fs ? atomic_load(&p->fs->umask) : 022,
		    state_name(state_letter(th)), p->pid, ref->tid ? ref->tid : p->pid, p->ppid);
	text_printf(t, "TracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t0 \n"
		       "NStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n",
		    p->pid, ref->tid ? ref->tid : p->pid, p->pgid, p->sid);
	status_memory(t, p->mm);
	signal_sets(th, sets);
	text_printf(t, "CoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t%u\nSigQ:\t0/%lu\nSigPnd:\t%016lx\n"
		       "ShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
		    p->nthreads, (unsigned long)MIN(p->rlimits[RLIMIT_SIGPENDING].cur, 1ul << 31),
		    (unsigned long)sets[0], (unsigned long)sets[1], (unsigned long)sets[2],
		    (unsigned long)sets[3], (unsigned long)sets[4]);
	text_printf(t, "CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n"
		       "CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n"
		       "Seccomp_filters:\t0\nSpeculation_Store_Bypass:\tvulnerable\n"
		       "SpeculationIndirectBranch:\tconditional enabled\n");
	affinity = atomic_load(&th->affinity) & cpus;
	if (cpus >> 32)
		text_printf(t, "Cpus_allowed:\t%x,%08x\n", (unsigned)(affinity >> 32), (unsigned)affinity);
	else
		text_printf(t, "Cpus_allowed:\t%x\n", (unsigned)affinity);
	text_printf(t, "Cpus_allowed_list:\t");
	cpu_list(t, affinity);
	text_printf(t, "\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t%lu\n"
		       "nonvoluntary_ctxt_switches:\t%lu\n",
		    (unsigned long)th->switches_voluntary, (unsigned long)th->switches_forced);
	ref_put(p, th);
	return 0;
}

static int stat_show(struct text *t, const struct gen_ref *ref)
{
	struct thread *th, *other;
	struct process *p = ref_process(ref, &th);
	uint64_t user, sys, minor, major, sets[5];
	struct mm *mm;

	if (!p)
		return -ESRCH;
	mm = p->mm;
	if (ref->tid) {
		sys = atomic_load(&th->sys_ns);
		user = atomic_load(&th->run_ns);
		user = user > sys ? user - sys : 0;
		minor = th->minor_faults;
		major = th->major_faults;
	} else {
		process_times(p, &user, &sys);
		minor = p->dead_minor_faults;
		major = p->dead_major_faults;
		mutex_lock(&process_list_lock);
		list_for_each(other, &p->threads, process_link) {
			minor += other->minor_faults;
			major += other->major_faults;
		}
		mutex_unlock(&process_list_lock);
	}
	signal_sets(th, sets);
	text_printf(t, "%d (%s) %c %d %d %d 0 -1 4194304 %lu 0 %lu 0 ", ref->tid ? ref->tid : p->pid,
		    ref->tid ? th->name : p->comm, state_letter(th), p->ppid, p->pgid, p->sid,
		    (unsigned long)minor, (unsigned long)major);
	text_printf(t, "%lu %lu 0 0 %d %d %u 0 %lu %lu %lu %lu ", (unsigned long)(user / NS_PER_TICK),
		    (unsigned long)(sys / NS_PER_TICK), 20 + th->nice, th->nice, p->nthreads,
		    (unsigned long)((ref->tid ? th->start_ns : p->start_ns) / NS_PER_TICK),
		    (unsigned long)(mm->total_pages * PAGE_SIZE), (unsigned long)atomic_load(&mm->rss_pages),
		    (unsigned long)p->rlimits[RLIMIT_RSS].cur);
	text_printf(t, "1 1 %lu 0 0 %lu %lu %lu %lu 0 0 0 17 %u 0 0 0 0 0 ", (unsigned long)mm->stack_top,
		    (unsigned long)(sets[0] & 0x7fffffff), (unsigned long)(sets[2] & 0x7fffffff),
		    (unsigned long)(sets[3] & 0x7fffffff), (unsigned long)(sets[4] & 0x7fffffff),
		    atomic_load(&th->cpu));
	text_printf(t, "0 0 %lu %lu %lu %lu %lu 0\n", (unsigned long)mm->brk_start,
		    (unsigned long)mm->arg_start, (unsigned long)mm->arg_end, (unsigned long)mm->env_start,
		    (unsigned long)mm->env_end);
	ref_put(p, th);
	return 0;
}

static int comm_show(struct text *t, const struct gen_ref *ref)
{
	struct thread *th;
	struct process *p = ref_process(ref, &th);

	if (!p)
		return -ESRCH;
	text_printf(t, "%s\n", ref->tid ? th->name : p->comm);
	ref_put(p, th);
	return 0;
}

static ssize_t comm_store(const struct gen_ref *ref, char *text, size_t len)
{
	struct thread *th;
	struct process *p = ref_process(ref, &th);
	char *end = strchr(text, '\n');

	if (!p)
		return -ESRCH;
	if (end)
		*end = 0;
	strlcpy(th->name, text, sizeof(th->name));
	if (th->tid == p->pid)
		strlcpy(p->comm, text, sizeof(p->comm));
	ref_put(p, th);
	return len;
}

static int limits_show(struct text *t, const struct gen_ref *ref)
{
	static const struct { const char *name, *unit; unsigned what; } rows[] = {
		{ "Max cpu time", "seconds", RLIMIT_CPU }, { "Max file size", "bytes", RLIMIT_FSIZE },
		{ "Max data size", "bytes", RLIMIT_DATA }, { "Max stack size", "bytes", RLIMIT_STACK },
		{ "Max core file size", "bytes", RLIMIT_CORE },
		{ "Max resident set", "bytes", RLIMIT_RSS },
		{ "Max processes", "processes", RLIMIT_NPROC },
		{ "Max open files", "files", RLIMIT_NOFILE },
		{ "Max locked memory", "bytes", RLIMIT_MEMLOCK },
		{ "Max address space", "bytes", RLIMIT_AS }, { "Max file locks", "locks", RLIMIT_LOCKS },
		{ "Max pending signals", "signals", RLIMIT_SIGPENDING },
		{ "Max msgqueue size", "bytes", RLIMIT_MSGQUEUE },
		{ "Max nice priority", "", RLIMIT_NICE }, { "Max realtime priority", "", RLIMIT_RTPRIO },
		{ "Max realtime timeout", "us", RLIMIT_RTTIME },
	};
	struct process *p = process_find(ref->pid);

	if (!p)
		return -ESRCH;
	text_printf(t, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rlimit64_pair l = p->rlimits[rows[i].what];
		char soft[24], hard[24];

		snprintf(soft, sizeof(soft), l.cur == UINT64_MAX ? "unlimited" : "%lu", (unsigned long)l.cur);
		snprintf(hard, sizeof(hard), l.max == UINT64_MAX ? "unlimited" : "%lu", (unsigned long)l.max);
		text_printf(t, "%-25s %-20s %-20s %-10s\n", rows[i].name, soft, hard, rows[i].unit);
	}
	process_put(p);
	return 0;
}

/* --- small values ------------------------------------------------------------------------------------- */

static int coredump_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);

	if (!p)
		return -ESRCH;
	text_printf(t, "%08lx\n", (unsigned long)p->coredump_filter);
	process_put(p);
	return 0;
}

static ssize_t coredump_store(const struct gen_ref *ref, char *text, size_t len)
{
	struct process *p;
	const char *end;
	uint64_t v;

	if (parse_u64(text, &end, &v))
		return -EINVAL;
	p = process_find(ref->pid);
	if (!p)
		return -ESRCH;
	p->coredump_filter = v;
	process_put(p);
	return len;
}

static int oom_adj_show(struct text *t, const struct gen_ref *ref)
{
	struct process *p = process_find(ref->pid);

	if (!p)
		return -ESRCH;
	text_printf(t, "%ld\n", (long)atomic_load(&p->oom_score_adj));
	process_put(p);
	return 0;
}

static ssize_t oom_adj_store(const struct gen_ref *ref, char *text, size_t len)
{
	bool minus = *text == '-';
	struct process *p;
	const char *end;
	uint64_t v;

	if (parse_u64(text + minus, &end, &v) || v > 1000)
		return -EINVAL;
	p = process_find(ref->pid);
	if (!p)
		return -ESRCH;
	atomic_store(&p->oom_score_adj, (uint64_t)(minus ? -(int64_t)v : (int64_t)v));
	process_put(p);
	return len;
}

static int zero_show(struct text *t, const struct gen_ref *ref)
{
	text_printf(t, "0\n");
	return 0;
}

static int wchan_show(struct text *t, const struct gen_ref *ref)
{
	text_printf(t, "0");
	return 0;
}

static int io_show(struct text *t, const struct gen_ref *ref)
{
	text_printf(t, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n"
		       "cancelled_write_bytes: 0\n");
	return 0;
}

static int cgroup_show(struct text *t, const struct gen_ref *ref)
{
	text_printf(t, "0::/\n");
	return 0;
}

static int mounts_show(struct text *t, const struct gen_ref *ref) { return proc_mounts_show(t, ref); }
static int mountinfo_show(struct text *t, const struct gen_ref *ref) { return proc_mountinfo_show(t, ref); }

/* --- tables ------------------------------------------------------------------------------------------- */

#define LINK_ENTRY(n, r, f) { .name = n, .mode = S_IFLNK | 0777, .readlink = r, .follow = f }
#define FD_DIRS                                                                                         \
	{ .name = "fd", .mode = S_IFDIR | 0500, .next = proc_fd_next, .find = proc_fd_find },           \
	{ .name = "fdinfo", .mode = S_IFDIR | 0555, .next = proc_fdinfo_next, .find = proc_fdinfo_find }
#define COMMON_FILES                                                                                     \
	GEN_FILE("maps", maps_show), GEN_FILE("smaps", smaps_show),                                      \
	GEN_FILE("smaps_rollup", smaps_rollup_show), GEN_FILE("status", status_show),                    \
	GEN_FILE("stat", stat_show), GEN_FILE("statm", statm_show), GEN_FILE("cmdline", cmdline_show),   \
	GEN_FILE("environ", environ_show), GEN_FILE("auxv", auxv_show), GEN_FILE("limits", limits_show), \
	GEN_FILE_RW("comm", comm_show, comm_store), GEN_FILE("cgroup", cgroup_show),                     \
	GEN_FILE("mounts", mounts_show), GEN_FILE("mountinfo", mountinfo_show),                          \
	GEN_FILE("oom_score", zero_show), GEN_FILE_RW("oom_score_adj", oom_adj_show, oom_adj_store),     \
	GEN_FILE("wchan", wchan_show), GEN_FILE("io", io_show),                                          \
	LINK_ENTRY("exe", proc_exe_readlink, proc_exe_follow),                                           \
	LINK_ENTRY("cwd", proc_cwd_readlink, proc_cwd_follow),                                           \
	LINK_ENTRY("root", proc_root_readlink, proc_root_follow), FD_DIRS, GEN_DIR("net", proc_net_files)

static const struct gen_entry task_files[] = { COMMON_FILES, GEN_END };
static const struct gen_entry proc_task_entry = GEN_DIR("", task_files);

static const struct gen_entry pid_files[] = {
	COMMON_FILES,
	GEN_FILE_RW("coredump_filter", coredump_show, coredump_store),
	{ .name = "task", .mode = S_IFDIR | 0555, .next = task_next, .find = task_find },
	GEN_END,
};
const struct gen_entry proc_pid_entry = GEN_DIR("", pid_files);
