/*
 * kernel/linux/thread.c - clone, exit, and calls about a thread's identity.
 *
 * A new thread gets a kernel stack, a vector area that is a copy of its parent's, and a frame that is the
 * parent's with another stack pointer and rax 0. It is visible (thread list, tid table) before it runs.
 * Only threads of the same process can be made; a new process answers ENOSYS with one log line.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/uaccess.h"
#include "cpu.h"
#include "fpu.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/signal.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include "mm/mm.h"
#include <linux/sched.h>

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define KNOWN_FLAGS                                                                                      \
	(THREAD_FLAGS | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | \
	 CLONE_CHILD_SETTID | CLONE_DETACHED | CLONE_IO | CLONE_PTRACE | CLONE_UNTRACED | CSIGNAL)

#define ROOM_TRIES 10
#define ROOM_PAUSE_NS 20000000ull

/*
 * Threads that have ended in the application's eyes (Thread.join() has returned) may still be on their way out: they get
 * time to give their memory back before the answer is no, as much as they need while there are fewer at every look. Who has left
 * since the last refusal may be replaced.
 */
static bool room_for_thread(struct process *p)
{
	unsigned fewest = p->nalive;

	for (unsigned i = 0; i < ROOM_TRIES; i++) {
		if (mm_thread_fits(p->nthreads, p->nalive < p->nrefused))
			return true;
		sleep_ns(ROOM_PAUSE_NS);
		if (p->nalive < fewest) {
			fewest = p->nalive;
			i = 0;
		}
	}
	p->nrefused = p->nalive;
	return false;
}

static long clone_thread(uint64_t flags, uaddr_t stack, uaddr_t ptid, uaddr_t ctid, uint64_t tls)
{
	struct thread *parent = current;
	struct process *p = parent->process;

	if (((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND)) || ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM)) ||
	    ((flags & CLONE_FS) && (flags & CLONE_NEWNS)))
		return -EINVAL;
	if ((flags & THREAD_FLAGS) != THREAD_FLAGS) {
		log_warn("%s tried to start a child process, which is not supported yet (clone flags %#lx)", p->comm, flags);
		return -ENOSYS;
	}
	if (flags & ~(uint64_t)KNOWN_FLAGS)
		return -EINVAL;
	if ((flags & CLONE_SETTLS) && tls >= UADDR_END)
		return -EPERM;
	if (p->nthreads >= p->rlimits[RLIMIT_NPROC].cur || !room_for_thread(p))
		return -EAGAIN;

	struct thread *t = thread_alloc(parent->name);
	if (!t)
		return -EAGAIN;
	if (fpu_alloc(t, parent) != 0)
		goto no_memory;
	if (signal_thread_init(t, parent) != 0)
		goto no_memory;
	t->tid = tid_alloc();
	t->process = p;
	t->affinity = atomic_load(&parent->affinity);
	t->nice = parent->nice;
	t->start_ns = clock_monotonic_ns();
	thread_prepare_app(t);
	*t->regs = *parent->regs;
	t->regs->rax = 0;
	t->regs->orig_rax = (uint64_t)-1;
	if (stack)
		t->regs->rsp = stack;
	t->fs_base = flags & CLONE_SETTLS ? tls : parent->fs_base;
	if (cpu_features.fsgsbase && !(flags & CLONE_SETTLS))
		__asm__ volatile("rdfsbase %0" : "=r"(t->fs_base));
	if (flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = ctid;
	int tid = t->tid;
	/* Nobody hears of a fault in either of them. */
	if (flags & CLONE_PARENT_SETTID)
		put_user(ptid, tid);
	if (flags & CLONE_CHILD_SETTID)
		put_user(ctid, tid);

	mutex_lock(&process_list_lock);
	if (atomic_load(&p->exiting)) {
		mutex_unlock(&process_list_lock);
		signal_thread_free(t);
		thread_discard(t);
		return -EAGAIN;
	}
	list_push_back(&p->threads, &t->process_link);
	p->nthreads++;
	p->nalive++;
	atomic_fetch_add(&p->refs, 1); /* each thread's, given back in thread_exit_app() */
	mutex_unlock(&process_list_lock);
	thread_start(t);
	return tid;

no_memory:
	thread_discard(t);
	return -EAGAIN;
}

long sys_clone(unsigned long flags, uaddr_t stack, uaddr_t ptid, uaddr_t ctid, unsigned long tls)
{
	return clone_thread(flags, stack, ptid, ctid, tls);
}

long sys_clone3(uaddr_t args, size_t size)
{
	struct clone_args a = { 0 };
	uint8_t extra;

	if (size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	if (size > 4096)
		return -E2BIG;
	if (copy_from_user(&a, args, MIN(size, sizeof(a))))
		return -EFAULT;
	for (size_t i = sizeof(a); i < size; i++) {
		if (get_user(extra, args + i))
			return -EFAULT;
		if (extra)
			return -E2BIG;
	}
	if (a.flags & CSIGNAL || a.exit_signal > 64 || (!a.stack) != (!a.stack_size) || !uaddr_ok(a.stack, a.stack_size))
		return -EINVAL;
	if ((a.flags & CLONE_THREAD) && a.exit_signal)
		return -EINVAL;
	if (a.set_tid_size)
		return -EPERM;
	return clone_thread(a.flags, a.stack ? a.stack + a.stack_size : 0, a.parent_tid, a.child_tid, a.tls);
}

_Noreturn void thread_exit_app(int status)
{
	struct thread *t = current;
	struct process *p = t->process;

	t->exit_status = status;
	futex_thread_exit(t);
	/* Out of sight first: whoever joins us must not find us in /proc afterwards. The process stays until the
	 * count of living threads says so. */
	mutex_lock(&process_list_lock);
	list_del(&t->process_link);
	p->nthreads--;
	signal_thread_leaves(t);
	mutex_unlock(&process_list_lock);
	if (t->clear_child_tid) {
		int zero = 0;
		/* The joiner waits for this word; nobody cares if it is not writable. */
		if (put_user(t->clear_child_tid, zero) == 0)
			futex_wake_addr(t->clear_child_tid, 1);
	}
	mutex_lock(&process_list_lock);
	p->dead_run_ns += thread_cpu_ns(t);
	p->dead_sys_ns += atomic_load(&t->sys_ns);
	p->dead_minor_faults += t->minor_faults;
	p->dead_major_faults += t->major_faults;
	p->dead_switches_v += t->switches_voluntary;
	p->dead_switches_f += t->switches_forced;
	bool last = --p->nalive == 0;
	bool killed = atomic_load(&p->exiting);
	mutex_unlock(&process_list_lock);
	if (last)
		process_finish(p, killed ? atomic_load(&p->exit_status) : status);
	process_put(p);
	thread_exit_final();
}

long sys_exit(int status) { thread_exit_app((status & 255) << 8); }

long sys_exit_group(int status)
{
	process_kill(current->process, (status & 255) << 8);
	thread_exit_app((status & 255) << 8);
}

long sys_gettid(void) { return current->tid; }

long sys_set_tid_address(uaddr_t addr)
{
	current->clear_child_tid = addr;
	return current->tid;
}

long sys_arch_prctl(int code, unsigned long addr)
{
	switch (code) {
	case 0x1002: /* ARCH_SET_FS */
		if (addr >= UADDR_END)
			return -EPERM;
		current->fs_base = addr;
		preempt_disable();
		if (cpu_features.fsgsbase)
			__asm__ volatile("wrfsbase %0" : : "r"(addr));
		else
			wrmsr(MSR_FS_BASE, addr);
		preempt_enable();
		return 0;
	case 0x1003: { /* ARCH_GET_FS */
		uint64_t base = current->fs_base;
		if (cpu_features.fsgsbase)
			__asm__ volatile("rdfsbase %0" : "=r"(base));
		return put_user(addr, base);
	}
	case 0x1001: /* ARCH_SET_GS, ARCH_GET_GS: GS is the kernel's */
	case 0x1004:
		return -EPERM;
	}
	return -EINVAL;
}
