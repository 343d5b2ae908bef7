/*
 * kernel/core/thread.h - threads, sleeping and waking.
 *
 * A thread has a kernel stack and, if it belongs to the application, registers and a process.
 * Its run queue belongs to one CPU (thread->cpu, the home); nobody else touches that queue.
 *
 * Interface for everybody:
 *   current                      the running thread
 *   thread_create_kernel()       a kernel thread; it ends when its function returns
 *   preempt_disable()/enable()   no switch in between; nests; also an RCU reader section
 *   sleeping by hand:
 *       sleep_prepare(SLEEP_INTERRUPTIBLE or SLEEP_UNINTERRUPTIBLE);
 *       if (condition) sleep_cancel();
 *       else r = sleep_until(deadline_ns);
 *     A thread_wake() after sleep_prepare() is never lost. Wakes may be spurious: check again.
 *   thread_wake()                from any context, interrupt handlers included
 *
 * Most code wants mutex.h and waitq.h instead. Interrupt handlers run with interrupts off on the
 * stack of the interrupted thread: they must not sleep, take a mutex or allocate; they set a
 * flag and call thread_wake().
 */
#ifndef IBRIK_CORE_THREAD_H
#define IBRIK_CORE_THREAD_H

#include "lib/types.h"
#include "lib/list.h"
#include "lib/heap.h"

struct file;
struct process;
struct cpu;
struct regs;
struct signal_state;

#define KSTACK_BYTES 16384
#define DEADLINE_NEVER UINT64_MAX
#define MAX_CPUS 64

enum thread_state {
	THREAD_RUNNABLE = 0,       /* running, or on its run queue, or on the way there */
	SLEEP_UNINTERRUPTIBLE = 1,
	SLEEP_INTERRUPTIBLE = 2,   /* signals wake it too */
	THREAD_DEAD = 3,
	THREAD_NEW = 4,            /* thread_start() has not made it runnable */
};

enum thread_flags { /* thread->work: looked at before returning to the application */
	WORK_SIGNAL = 1,  /* a signal may be deliverable */
	WORK_EXIT = 2,    /* the process ends: exit now */
	WORK_RESTORE_MASK = 4, /* sigsuspend and friends: saved_mask returns after delivery */
	WORK_STEP = 8,    /* single-step the application again, from behind the call it makes */
	WORK_RSEQ = 16,   /* the application's words about its CPU are to be looked at: linux/rseq.c */
};

struct thread {
	/* Offsets of these five are known to assembly (asm-offsets in arch). */
	uint64_t ksp;        /* kernel stack pointer while switched out */
	uintptr_t kstack_top;
	uintptr_t kstack_base;
	_Atomic uint32_t work;   /* enum thread_flags */
	int syscall_nr;          /* while inside a system call, else -1 */

	uint32_t preempt_count;
	_Atomic int state;       /* enum thread_state */
	_Atomic int inbox_queued;/* the thread is in some CPU's inbox */
	struct thread *_Atomic inbox_next;
	struct thread *dead_next;    /* on its way to the reaper */
	_Atomic uint32_t cpu;    /* home CPU */
	_Atomic uint32_t refs;
	bool on_runq;            /* home CPU only */
	bool timer_armed;        /* home CPU only */
	bool timed_out;          /* home CPU only, read by the thread itself after waking */
	bool is_idle;
	bool balanced;           /* handed over to even out shares: vruntime_ns is that of the common clock */
	bool woken;              /* has not been preempted since it slept: one that gives the CPU back soon */
	bool evicted;            /* home CPU only: switched out runnable because this CPU is not in its mask */
	struct heap_node run_node;   /* key: virtual run time */
	struct heap_node timer_node; /* key: deadline */
	uint64_t vruntime_ns;
	uint64_t exec_start_ns;
	_Atomic uint64_t run_ns;     /* CPU time used */
	_Atomic uint64_t sys_ns;
	uint64_t switches_voluntary, switches_forced;
	_Atomic uint64_t affinity;   /* bit per CPU */
	int nice;
	bool lingers;            /* goes on after a wake-up, see resched_in_time() */
	int8_t answers_awaited;  /* slept so often in a row while it lingered; below 0: wake-ups until it lingers again */
	uint8_t brief_runs;      /* slept again after BRIEF_NS at most, so often in a row */

	/* vector state, arch/fpu */
	void *fpu;               /* XSAVE area, 64-byte aligned; NULL for kernel threads */
	int fpu_cpu;             /* CPU whose registers hold this state, or -1 */
	uint64_t fs_base;

	char name[16];
	int tid;
	struct process *process; /* NULL for kernel threads */
	struct list process_link;
	struct list all_link;

	/* application threads: linux/ */
	struct regs *regs;       /* frame of the application at the top of the kernel stack */
	struct signal_state *signals;
	uaddr_t clear_child_tid;
	uaddr_t robust_list;
	uaddr_t rseq;        /* linux/rseq.c: struct rseq, 0 if none is registered */
	uint32_t rseq_sig;
	uint64_t start_ns;
	int exit_status;
	uint64_t minor_faults, major_faults;
	unsigned code_retries;   /* arch: faults of code that had been changed meanwhile */

	struct file **releases;  /* fs/file.c: while this thread releases a file, the others whose last reference that gave up */

	/* What an application thread does before it enters the application; NULL for most. */
	void (*start)(struct thread *t, struct regs *r);
	void *start_arg;
};

#define current thread_current()

/*
 * Makes a kernel thread and starts it. `name` is copied. Returns it or an encoded error
 * (-ENOMEM). The caller owns no reference: keep the pointer only while you know the thread lives.
 */
struct thread *thread_create_kernel(const char *name, void (*fn)(void *arg), void *arg);
/* Reference counting; a thread's memory goes by RCU after the last put. */
void thread_get(struct thread *t);
void thread_put(struct thread *t);

void sleep_prepare(enum thread_state how);
void sleep_cancel(void);
/* 0 when woken, -ETIMEDOUT when the deadline (monotonic, ns) passed first. */
int sleep_until(uint64_t deadline_ns);
/* Wakes t if it sleeps. True if this call woke it. */
bool thread_wake(struct thread *t);
/*
 * The same for what the application wakes from an interruptible sleep, where nothing of the kernel waits for t: a thread that does little
 * at a time may have to wait for its CPU a little longer (RUN_AT_LEAST_NS, core/runq.h).
 */
bool thread_wake_unhurried(struct thread *t);
/* The same, but only from an interruptible sleep (signals). */
bool thread_wake_interruptible(struct thread *t);
long thread_yield(void); /* 0: so that a caller may end in it. Interrupts on */
void sleep_ns(uint64_t ns); /* uninterruptible pause */
/* True if an interruptible sleep must end: a signal is deliverable or the process exits. */
bool signal_pending(void);

extern unsigned online_cpus;
static inline unsigned cpu_count(void) { return online_cpus; } /* CPUs online */

/* How often t has lost the CPU to another thread; t's own, or a hint. */
static inline uint64_t thread_switches(const struct thread *t) { return t->switches_voluntary + t->switches_forced; }

/* thread_current(), preempt_disable(), preempt_enable(), cpu_id(): the architecture's, and inline. */
#include "current.h"

#endif
