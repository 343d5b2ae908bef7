/*
 * kernel/linux/info.c - calls that ask or set facts about the machine, the process and its user.
 *
 * There is one user, 0, with every capability. uname says Linux: the JDK refuses other names.
 */
#include "core/clock.h"
#include "core/mutex.h"
#include "core/random.h"
#include "core/sched.h"
#include "core/smp.h"
#include "core/uaccess.h"
#include "cpu.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include "linux/version.h"
#include "mm/mm.h"
#include <asm/mman.h>
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <linux/sysinfo.h>
#include <linux/utsname.h>

static struct mutex name_lock = MUTEX_INIT("host name");
static char host_name[65];
static bool host_name_set; /* by the application */
static const struct new_utsname names = {
	.sysname = "Linux", .release = LINUX_RELEASE, .version = LINUX_VERSION, .machine = "x86_64", .domainname = "(none)",
};

static void host_name_get(char out[65])
{
	mutex_lock(&name_lock);
	if (!host_name[0]) {
		const char *set = setting_get("name");
		strlcpy(host_name, set && *set ? set : "ibrik", sizeof(host_name));
	}
	memcpy(out, host_name, sizeof(host_name));
	mutex_unlock(&name_lock);
}

void hostname_suggest(const char *name)
{
	mutex_lock(&name_lock);
	if (!host_name_set)
		strlcpy(host_name, name, sizeof(host_name)); /* empty: as it was given, or the default, when it is asked for next */
	mutex_unlock(&name_lock);
}

void hostname_read(char *buf, size_t size)
{
	char name[65];

	host_name_get(name);
	strlcpy(buf, name, size);
}

long sys_uname(uaddr_t buf)
{
	struct new_utsname u;

	memcpy(&u, &names, sizeof(u));
	host_name_get(u.nodename);
	return copy_to_user(buf, &u, sizeof(u));
}

long sys_sethostname(uaddr_t name, int len)
{
	char new[65] = { 0 };

	if (len < 0 || len > 64)
		return -EINVAL;
	if (copy_from_user(new, name, (size_t)len))
		return -EFAULT;
	mutex_lock(&name_lock);
	memcpy(host_name, new, sizeof(new));
	host_name_set = true;
	mutex_unlock(&name_lock);
	return 0;
}

static unsigned count_threads(void)
{
	struct process *p;
	unsigned n = 0;

	mutex_lock(&process_list_lock);
	list_for_each(p, &process_list, all_link)
		n += p->nthreads;
	mutex_unlock(&process_list_lock);
	return n;
}

long sys_sysinfo(uaddr_t info)
{
	struct sysinfo s;
	struct mem_stats m;

	memset(&s, 0, sizeof(s));
	mem_stats_few(&m);
	s.uptime = (long)(clock_monotonic_ns() / NSEC_PER_SEC);
	s.totalram = m.total;
	s.freeram = m.free;
	s.sharedram = m.shmem;
	s.procs = (uint16_t)count_threads();
	s.mem_unit = 1;
	return put_user(info, s);
}

long sys_getpid(void) { return current->process->pid; }
long sys_getppid(void) { return current->process->ppid; }
long sys_getpgrp(void) { return current->process->pgid; }
long sys_getuid(void) { return 0; }
long sys_getgid(void) { return 0; }
long sys_geteuid(void) { return 0; }
long sys_getegid(void) { return 0; }
long sys_setuid(unsigned uid) { return uid ? -EPERM : 0; }
long sys_setgid(unsigned gid) { return gid ? -EPERM : 0; }
long sys_getgroups(int n, uaddr_t list) { return n < 0 ? -EINVAL : 0; }

static long three_zeros(uaddr_t a, uaddr_t b, uaddr_t c)
{
	unsigned zero = 0;
	return put_user(a, zero) || put_user(b, zero) || put_user(c, zero) ? -EFAULT : 0;
}
long sys_getresuid(uaddr_t r, uaddr_t e, uaddr_t s) { return three_zeros(r, e, s); }
long sys_getresgid(uaddr_t r, uaddr_t e, uaddr_t s) { return three_zeros(r, e, s); }

long sys_getpgid(int pid)
{
	struct process *p = pid ? process_find(pid) : current->process;
	if (!p)
		return -ESRCH;
	int r = p->pgid;
	if (pid)
		process_put(p);
	return r;
}

long sys_getsid(int pid)
{
	struct process *p = pid ? process_find(pid) : current->process;
	if (!p)
		return -ESRCH;
	int r = p->sid;
	if (pid)
		process_put(p);
	return r;
}

long sys_setpgid(int pid, int pgid)
{
	struct process *p = current->process;

	if (pgid < 0)
		return -EINVAL;
	if (pid && pid != p->pid)
		return -ESRCH;
	if (p->sid == p->pid)
		return -EPERM; /* a session leader */
	p->pgid = pgid ? pgid : p->pid;
	return 0;
}

long sys_setsid(void) { return current->process->pgid == current->process->pid ? -EPERM : current->process->pid; }

long sys_capget(uaddr_t hdr, uaddr_t data)
{
	uint32_t head[2], all[6] = { ~0u, ~0u, 0, 0x1ff, 0x1ff, 0 };

	if (copy_from_user(head, hdr, sizeof(head)))
		return -EFAULT;
	if (head[0] != 0x20080522 && head[0] != 0x20071026) {
		head[0] = 0x20080522;
		return copy_to_user(hdr, head, 4) ? -EFAULT : data ? -EINVAL : 0;
	}
	return data && copy_to_user(data, all, sizeof(all)) ? -EFAULT : 0;
}

long sys_personality(unsigned persona)
{
	unsigned old = current->process->personality;

	if (persona != 0xffffffff)
		current->process->personality = persona;
	return old;
}

static int limit_set(struct process *p, unsigned what, struct rlimit64_pair new)
{
	if (new.cur > new.max)
		return -EINVAL;
	if (what == RLIMIT_NOFILE && new.max > 1048576)
		return -EPERM;
	p->rlimits[what] = new;
	if (what == RLIMIT_AS) {
		/* One that ends has no mm any more. */
		mutex_lock(&process_list_lock);
		if (p->mm)
			atomic_store_explicit(&p->mm->limit_pages, new.cur >> PAGE_SHIFT, memory_order_relaxed);
		mutex_unlock(&process_list_lock);
	}
	return 0;
}

long sys_prlimit64(int pid, unsigned what, uaddr_t new, uaddr_t old)
{
	struct process *p = current->process;
	struct rlimit64_pair n, o;
	int r = 0;

	if (what >= ARRAY_SIZE(p->rlimits))
		return -EINVAL;
	if (new && get_user(n, new))
		return -EFAULT;
	if (pid && pid != p->pid) {
		p = process_find(pid);
		if (!p)
			return -ESRCH;
	} else {
		pid = 0;
	}
	mutex_lock(&p->lock);
	o = p->rlimits[what];
	if (new)
		r = limit_set(p, what, n);
	mutex_unlock(&p->lock);
	if (pid)
		process_put(p);
	if (r == 0 && old && put_user(old, o))
		r = -EFAULT;
	return r;
}

long sys_getrlimit(unsigned what, uaddr_t rlim) { return rlim ? sys_prlimit64(0, what, 0, rlim) : -EFAULT; }
long sys_setrlimit(unsigned what, uaddr_t rlim) { return rlim ? sys_prlimit64(0, what, rlim, 0) : -EFAULT; }

static void put_timeval(int64_t out[2], uint64_t ns)
{
	out[0] = (int64_t)(ns / NSEC_PER_SEC);
	out[1] = (int64_t)(ns % NSEC_PER_SEC / 1000);
}

long sys_getrusage(int who, uaddr_t usage)
{
	int64_t u[18] = { 0 }; /* struct rusage: utime, stime, maxrss, ... as words */
	struct process *p = current->process;
	uint64_t user = 0, sys = 0;

	if (who == RUSAGE_THREAD) {
		uint64_t run = thread_cpu_ns(current);
		sys = MIN(atomic_load(&current->sys_ns), run);
		user = run - sys;
		u[8] = (int64_t)current->minor_faults;
		u[9] = (int64_t)current->major_faults;
		u[14] = (int64_t)current->switches_voluntary;
		u[15] = (int64_t)current->switches_forced;
	} else if (who == RUSAGE_SELF) {
		struct thread *t;
		process_times(p, &user, &sys);
		mutex_lock(&process_list_lock);
		u[8] = (int64_t)p->dead_minor_faults;
		u[9] = (int64_t)p->dead_major_faults;
		u[14] = (int64_t)p->dead_switches_v;
		u[15] = (int64_t)p->dead_switches_f;
		list_for_each(t, &p->threads, process_link) {
			u[8] += (int64_t)t->minor_faults;
			u[9] += (int64_t)t->major_faults;
			u[14] += (int64_t)t->switches_voluntary;
			u[15] += (int64_t)t->switches_forced;
		}
		mutex_unlock(&process_list_lock);
	} else if (who != RUSAGE_CHILDREN) {
		return -EINVAL;
	}
	put_timeval(u, user);
	put_timeval(u + 2, sys);
	if (who != RUSAGE_CHILDREN) {
		uint64_t rss = MAX(p->mm->peak_rss_pages, atomic_load(&p->mm->rss_pages));
		u[4] = (int64_t)(rss * (PAGE_SIZE / 1024));
	}
	return copy_to_user(usage, u, sizeof(u));
}

long sys_times(uaddr_t buf)
{
	uint64_t user, sys;

	process_times(current->process, &user, &sys);
	int64_t t[4] = { (int64_t)(user / 10000000), (int64_t)(sys / 10000000), 0, 0 };
	if (buf && copy_to_user(buf, t, sizeof(t)))
		return -EFAULT;
	return (long)(clock_monotonic_ns() / 10000000) + 429496000; /* Linux begins near a wrap of 32 bits */
}

long sys_getrandom(uaddr_t buf, size_t len, unsigned flags)
{
	uint8_t chunk[256];
	size_t done = 0;

	if (flags & ~7u || (flags & 6) == 6)
		return -EINVAL;
	len = MIN(len, (size_t)0x1ffffff);
	while (done < len) {
		size_t n = MIN(len - done, sizeof(chunk));
		random_bytes(chunk, n);
		size_t left = copy_to_user_partial(buf + done, chunk, n);
		memset(chunk, 0, n);
		done += n - left;
		if (left)
			return done ? (long)done : -EFAULT;
		if (done >= 4096 && signal_pending())
			break;
	}
	return (long)done;
}

static long thread_name_set(uaddr_t from)
{
	char name[16];
	ssize_t n = strncpy_from_user(name, from, sizeof(name));

	if (n == -EFAULT)
		return n;
	name[15] = 0;
	strlcpy(current->name, name, sizeof(current->name));
	if (current->tid == current->process->pid)
		strlcpy(current->process->comm, name, sizeof(current->process->comm));
	return 0;
}

long sys_prctl(int option, unsigned long a2, unsigned long a3, unsigned long a4, unsigned long a5)
{
	char name[16] = { 0 };
	int zero = 0;

	switch (option) {
	case PR_SET_NAME:
		return thread_name_set(a2);
	case PR_GET_NAME:
		strlcpy(name, current->name, sizeof(name));
		return copy_to_user(a2, name, sizeof(name));
	case PR_GET_DUMPABLE:
		return current->process->dumpable;
	case PR_SET_DUMPABLE:
		if (a2 > 1)
			return -EINVAL;
		current->process->dumpable = (int)a2;
		return 0;
	case PR_SET_PDEATHSIG:
		return a2 > 64 ? -EINVAL : 0; /* the parent is the machine */
	case PR_GET_PDEATHSIG:
		return put_user(a2, zero);
	case PR_SET_TIMERSLACK:
		return 0;
	case PR_GET_TIMERSLACK:
		return 1; /* ns: deadlines are not rounded */
	case PR_SET_NO_NEW_PRIVS:
		return a2 == 1 && !a3 && !a4 && !a5 ? 0 : -EINVAL;
	case PR_GET_NO_NEW_PRIVS:
		return 1;
	case PR_CAPBSET_READ:
		return a2 <= 40 ? 1 : -EINVAL;
	case PR_GET_SECCOMP:
	case PR_GET_KEEPCAPS:
	case PR_GET_SECUREBITS:
		return 0;
	case PR_SET_THP_DISABLE:
	case PR_GET_THP_DISABLE:
		return 0;
	case PR_SET_VMA: /* names of anonymous areas are not kept */
		return -EINVAL;
	}
	return -EINVAL;
}

static void barrier_on_cpu(void *arg) { atomic_thread_fence(memory_order_seq_cst); }

long sys_membarrier(int cmd, unsigned flags, int cpu)
{
	struct process *p = current->process;
	uint32_t registered = atomic_load_explicit(&p->barriers, memory_order_relaxed);

	/* The command for restartable sequences may name a CPU; all of them do its work as well. */
	if (flags && (cmd != MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ || flags != MEMBARRIER_CMD_FLAG_CPU))
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY:
		return MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED |
		       MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
		       MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ;
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ:
		atomic_fetch_or(&p->barriers, (uint32_t)cmd);
		return 0;
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
		if (!(registered & MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
			return -EPERM;
		break;
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ:
		if (!(registered & MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ))
			return -EPERM;
		rseq_restart_others();
		return 0;
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
		break;
	default:
		return -EINVAL;
	}
	atomic_thread_fence(memory_order_seq_cst);
	smp_call_others(barrier_on_cpu, NULL, false);
	return 0;
}

long sys_wait4(int pid, uaddr_t status, int options, uaddr_t rusage) { return -ECHILD; }
long sys_waitid(int which, int pid, uaddr_t info, int options, uaddr_t rusage) { return -ECHILD; }
