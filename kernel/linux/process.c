/*
 * kernel/linux/process.c - processes: birth, end, lookup; see process.h.
 *
 * Locking: process_list_lock guards the table, thread lists and the fields that a wait looks at. A process
 * is referenced by each of its threads, by its starter, and by lookups.
 */
#include "linux/process.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/rcu.h"
#include "core/sched.h"
#include "cpu.h"
#include "fpu.h"
#include "fs/vfs.h"
#include "gate.h"
#include "lib/string.h"
#include "linux/machine.h"
#include "linux/signal.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include "linux/timers.h"
#include "mm/mm.h"

struct mutex process_list_lock = MUTEX_INIT("process list");
struct list process_list = LIST_INIT(process_list);

struct start {
	const char *path, *workdir;
	char *const *argv, *const *envp;
	int result;
	bool done;
	struct waitq wait; /* under process_list_lock */
};

static void process_free(struct process *p)
{
	if (p->fds)
		fd_table_put(p->fds);
	if (p->fs)
		fs_context_put(p->fs);
	if (p->mm) {
		gate_free(p->mm);
		mm_destroy(p->mm);
	}
	if (p->actions)
		signal_actions_free(p->actions);
	kfree(p);
}

void process_put(struct process *p)
{
	if (atomic_fetch_sub(&p->refs, 1) == 1)
		process_free(p);
}

struct process *process_find(int pid)
{
	struct process *p, *found = NULL;

	mutex_lock(&process_list_lock);
	list_for_each(p, &process_list, all_link) {
		if (p->pid == pid) {
			atomic_fetch_add(&p->refs, 1);
			found = p;
			break;
		}
	}
	mutex_unlock(&process_list_lock);
	return found;
}

struct thread *thread_find(int tid)
{
	struct process *p;
	struct thread *t, *found = NULL;

	if (tid == current->tid) {
		thread_get(current);
		return current;
	}
	mutex_lock(&process_list_lock);
	list_for_each(p, &process_list, all_link) {
		list_for_each(t, &p->threads, process_link) {
			if (t->tid == tid) {
				thread_get(t);
				found = t;
				goto out;
			}
		}
	}
out:
	mutex_unlock(&process_list_lock);
	return found;
}

void process_times(struct process *p, uint64_t *user_ns, uint64_t *sys_ns)
{
	struct thread *t;

	mutex_lock(&process_list_lock);
	uint64_t run = p->dead_run_ns, sys = p->dead_sys_ns;
	list_for_each(t, &p->threads, process_link) {
		run += thread_cpu_ns(t);
		sys += atomic_load(&t->sys_ns);
	}
	mutex_unlock(&process_list_lock);
	sys = MIN(sys, run);
	*sys_ns = sys;
	*user_ns = run - sys;
}

uint64_t process_threads_max(void)
{
	struct mem_stats stats;

	mem_stats_get(&stats);
	/* As Linux: an eighth of memory may go into stacks of 16 KiB. A JVM that meets this limit throws, one that meets
	 * the end of memory exits. */
	return MAX(stats.total / (8 * KIB(16)), 64ull);
}

static void default_limits(struct process *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(p->rlimits); i++)
		p->rlimits[i].cur = p->rlimits[i].max = RLIM64_INFINITY;
	p->rlimits[RLIMIT_STACK].cur = MIB(8);
	p->rlimits[RLIMIT_CORE].cur = 0;
	p->rlimits[RLIMIT_NOFILE].cur = p->rlimits[RLIMIT_NOFILE].max = 1048576;
	p->rlimits[RLIMIT_NPROC].cur = p->rlimits[RLIMIT_NPROC].max = process_threads_max();
	p->rlimits[RLIMIT_MEMLOCK].cur = p->rlimits[RLIMIT_MEMLOCK].max = MIB(8);
	p->rlimits[RLIMIT_SIGPENDING].cur = p->rlimits[RLIMIT_SIGPENDING].max = 4096;
	p->rlimits[RLIMIT_MSGQUEUE].cur = p->rlimits[RLIMIT_MSGQUEUE].max = 819200;
	p->rlimits[RLIMIT_NICE].cur = p->rlimits[RLIMIT_NICE].max = 0;
	p->rlimits[RLIMIT_RTPRIO].cur = p->rlimits[RLIMIT_RTPRIO].max = 0;
}

static int open_standard_streams(void)
{
	for (int i = 0; i < 3; i++) {
		struct file *f = console_file(i);
		if (IS_ERR(f))
			return (int)PTR_ERR(f);
		int fd = fd_install(f, i, false);
		if (fd != i) {
			file_put(f);
			return fd < 0 ? fd : -EMFILE;
		}
	}
	return 0;
}

/* First words of a program's first thread: loads the program in its own context. */
static void first_thread(struct thread *t, struct regs *r)
{
	struct start *s = t->start_arg;
	int result = open_standard_streams();

	if (result == 0 && s->workdir) {
		result = fs_context_chdir(current->process->fs, s->workdir);
		if (result)
			machine_fail(125, result == -ENOENT ? "the working directory %s is not in the image" :
				     result == -ENOTDIR ? "the working directory %s is not a directory" :
				     "the working directory %s cannot be entered", s->workdir);
	}
	if (result == 0)
		result = exec_load(s->path, s->argv, s->envp, r);
	mutex_lock(&process_list_lock);
	s->result = result;
	s->done = true;
	waitq_wake_all(&s->wait, 0);
	mutex_unlock(&process_list_lock);
	t->start_arg = NULL;
	if (result)
		thread_exit_app(127 << 8);
}

struct process *process_spawn(const char *path, char *const argv[], char *const envp[], const char *workdir)
{
	struct process *p = kzalloc(sizeof(*p));
	struct thread *t = thread_alloc("main");
	struct start s = { .path = path, .workdir = workdir, .argv = argv, .envp = envp };
	int r = -ENOMEM;

	if (!p || !t)
		goto fail;
	mutex_init(&p->lock, "process");
	list_init(&p->threads);
	list_init(&p->all_link);
	waitq_init(&p->exit_wait);
	waitq_init(&s.wait);
	p->fds = fd_table_new();
	p->fs = fs_context_new();
	p->mm = mm_create();
	p->actions = signal_actions_new();
	if (!p->fds || !p->fs || !p->mm || !p->actions || fpu_alloc(t, NULL) || signal_thread_init(t, NULL))
		goto fail;
	default_limits(p);
	p->refs = 2; /* the thread's and the caller's */
	p->pid = p->pgid = p->sid = t->tid = tid_alloc();
	p->dumpable = 1;
	p->coredump_filter = 0x33;
	p->start_ns = t->start_ns = clock_monotonic_ns();
	strlcpy(p->comm, "init", sizeof(p->comm));
	t->process = p;
	t->start = first_thread;
	t->start_arg = &s;
	thread_prepare_app(t);
	memset(t->regs, 0, sizeof(*t->regs));

	mutex_lock(&process_list_lock);
	list_push_back(&process_list, &p->all_link);
	list_push_back(&p->threads, &t->process_link);
	p->nthreads = p->nalive = 1;
	mutex_unlock(&process_list_lock);
	thread_start(t);

	mutex_lock(&process_list_lock);
	while (!s.done)
		waitq_wait(&s.wait, &process_list_lock, DEADLINE_NEVER, false);
	mutex_unlock(&process_list_lock);
	if (s.result) {
		process_wait(p);
		process_put(p);
		return ERR_PTR(s.result);
	}
	return p;

fail:
	if (t) {
		if (t->signals)
			signal_thread_free(t);
		thread_discard(t);
	}
	if (p)
		process_free(p);
	return ERR_PTR(r);
}

void process_kill(struct process *p, int status)
{
	struct thread *t;

	mutex_lock(&process_list_lock);
	if (!atomic_exchange(&p->exiting, true))
		atomic_store(&p->exit_status, status);
	list_for_each(t, &p->threads, process_link) {
		atomic_fetch_or(&t->work, WORK_EXIT);
		if (!thread_wake_interruptible(t))
			thread_kick(t);
	}
	mutex_unlock(&process_list_lock);
}

void process_finish(struct process *p, int status)
{
	struct fd_table *fds = p->fds;
	struct fs_context *fs = p->fs;
	struct mm *mm = p->mm;

	timers_free(p);
	/* /proc takes references of all three under the lock. */
	mutex_lock(&process_list_lock);
	p->fds = NULL;
	p->fs = NULL;
	mutex_unlock(&process_list_lock);
	fd_table_put(fds);
	fs_context_put(fs);
	mutex_lock(&process_list_lock);
	p->mm = NULL;
	mutex_unlock(&process_list_lock);
	gate_free(mm);
	mm_destroy(mm);
	mutex_lock(&process_list_lock);
	atomic_store(&p->exit_status, status);
	p->exited = true;
	list_del(&p->all_link);
	waitq_wake_all(&p->exit_wait, 0);
	mutex_unlock(&process_list_lock);
}

int process_wait(struct process *p)
{
	mutex_lock(&process_list_lock);
	while (!p->exited)
		waitq_wait(&p->exit_wait, &process_list_lock, DEADLINE_NEVER, false);
	mutex_unlock(&process_list_lock);
	return atomic_load(&p->exit_status);
}
