/*
 * kernel/linux/process.h - one running program and its threads.
 *
 * struct process holds all per-process state; several may exist (programs one after the other, later
 * children), each with its own mm in the same page tables. pids and tids share one number space.
 *
 * Locking: process_list_lock (a mutex) guards the global table and every process's thread list;
 * process->lock guards the rest that is not atomic. RCU lets /proc and signals look up threads.
 */
#ifndef IBRIK_LINUX_PROCESS_H
#define IBRIK_LINUX_PROCESS_H

#include "lib/types.h"
#include "core/thread.h"
#include "core/mutex.h"
#include "core/waitq.h"
#include <linux/resource.h>

struct mm;
struct fd_table;
struct fs_context;
struct signal_actions;

struct process {
	int pid, ppid, pgid, sid;
	_Atomic uint32_t refs;
	struct mutex lock;
	struct mm *mm;
	struct fd_table *fds;
	struct fs_context *fs;
	struct signal_actions *actions; /* handlers, shared pending signals: linux/signal.c */
	struct list threads;
	unsigned nthreads;        /* in the list */
	unsigned nalive;          /* these, and those on their way out */
	unsigned nrefused;        /* how many were alive when one more was refused last */
	struct list all_link;
	struct waitq exit_wait;   /* under process_list_lock */
	_Atomic bool exiting;     /* exit_group or a fatal signal: threads leave */
	_Atomic int exit_status;  /* as wait(2) gives it; valid when nalive is 0 */
	bool exited;
	char comm[16];
	struct rlimit64_pair { uint64_t cur, max; } rlimits[16];
	uint64_t start_ns;
	uint64_t dead_run_ns, dead_sys_ns;  /* CPU time of ended threads */
	uint64_t dead_minor_faults, dead_major_faults, dead_switches_v, dead_switches_f;
	_Atomic uint64_t oom_score_adj;
	_Atomic uint32_t barriers; /* what membarrier(2) was asked to register: MEMBARRIER_CMD_REGISTER_ bits */
	uint32_t personality;
	uint64_t coredump_filter;
	int dumpable;
	struct timer_set *timers; /* POSIX and interval timers, under signal_lock(): linux/timers.c */
};

extern struct mutex process_list_lock;
extern struct list process_list;

static inline struct process *current_process(void) { return current->process; }

/* Referenced, or NULL. */
struct process *process_find(int pid);
void process_put(struct process *p);
/* The thread with this tid (any process), referenced with thread_get, or NULL. */
struct thread *thread_find(int tid);
/* The host name (uname, /proc/sys/kernel/hostname), terminated. */
void hostname_read(char *buf, size_t size);
/* What the network calls the machine; "": nothing any more. Holds until the application sets another. */
void hostname_suggest(const char *name);
/* CPU time of the whole process, ns. */
void process_times(struct process *p, uint64_t *user_ns, uint64_t *sys_ns);
/* How many threads memory bears: the limit of clone(), and /proc/sys/kernel/threads-max. */
uint64_t process_threads_max(void);

/*
 * Starts a program in a process of its own: argv and envp are kernel strings (NULL-terminated arrays).
 * The process has stdin/stdout/stderr on the console files. Referenced, or an encoded error (-ENOENT,
 * -EACCES, -ENOEXEC, -ENOMEM ...).
 */
struct process *process_spawn(const char *path, char *const argv[], char *const envp[],
			      const char *workdir);
/* Waits for its end; the status as wait(2) gives it. Drops no reference. */
int process_wait(struct process *p);

/* Ends the machine with one line for people and a status (125, 126, 127): images/format.h "fail". */
_Noreturn void machine_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Flushes the consoles, reports the status, powers off. */
_Noreturn void machine_exit(int status);

#endif
