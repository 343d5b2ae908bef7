/*
 * kernel/linux/rseq.c - restartable sequences: the number of the CPU in the thread's own memory, and code that begins anew when it was interrupted.
 *
 * Theory:    A thread registers 32 bytes (struct rseq). Whenever it executes application code, cpu_id and cpu_id_start there name its CPU. And while
 *            rseq_cs there points to the description of a section (struct rseq_cs) and RIP lies in it, the thread goes on at the section's abort_ip
 *            once it has lost the CPU to another thread or a signal handler is to run. So a section whose last instruction commits what it did changes
 *            data of its CPU without atomic instructions. C libraries register every thread, and answer sched_getcpu() from there.
 *            The scheduler must not touch the application's memory, which may fault; it sets WORK_RSEQ, and the thread does the rest on its way back to
 *            the application, where a fault may sleep. There are three reasons to set it:
 *              - the thread's home changes (runq_set_home()): its CPU is another one when it runs again. So a switch costs nothing;
 *              - an interrupt or a fault of the application was not over before others had run (trap_handler() compares counts of
 *                switches). System calls need no such look, for a section must not make any;
 *              - membarrier(2) wants that all sections on other CPUs begin anew.
 *            A signal does not need the bit: before the frame of a handler is made, rseq_signal() looks, so that the frame already holds abort_ip.
 *            What is compared with the section is the RIP that the program knows (gate_canonical()).
 * Interface: sys_rseq(); rseq_resume() from exit_work(), rseq_signal() from signal_deliver(), rseq_restart_others() from membarrier.
 * Locking:   none: thread->rseq and rseq_sig are the thread's own. WORK_RSEQ is cleared before the CPU's number is read; if
 *            the thread is moved after that, the bit is set again, and is seen before the application runs.
 * Errors:    sys_rseq: -EINVAL, -EPERM (another signature), -EBUSY (registered already), -EFAULT. Later there is nobody to answer an error to: an area or
 *            a description that cannot be accessed or is wrong raises SIGSEGV; its handler may run, but the next look ends the program if the error is still there.
 * Source:    rseq(2) of Linux 6.1, its uapi header linux/rseq.h.
 */
#include "core/sched.h"
#include "core/uaccess.h"
#include "cpu.h"
#include "gate.h"
#include "linux/process.h"
#include "linux/signal_private.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include <linux/rseq.h>

/* Linux 6.1 knows this size only; a newer header's structure may be larger. */
#define AREA_BYTES 32u
#define AREA_FIELD(t, field) ((t)->rseq + offsetof(struct rseq, field))

_Static_assert(offsetof(struct rseq, cpu_id_start) == 0 && offsetof(struct rseq, cpu_id) == 4, "both are stored at once");
_Static_assert(offsetof(struct rseq, flags) + 4 <= AREA_BYTES, "all we look at lies in the area");

/* One store, so that nobody sees one number with the other's CPU. */
static int put_cpu(struct thread *t, uint32_t start, uint32_t cpu)
{
	return put_user(t->rseq, (uint64_t)cpu << 32 | start) ? -EFAULT : 0;
}

long sys_rseq(uaddr_t area, unsigned len, int flags, unsigned sig)
{
	struct thread *t = current;

	if (flags & ~RSEQ_FLAG_UNREGISTER)
		return -EINVAL;
	if (flags || t->rseq) {
		if (t->rseq != area || !area || len != AREA_BYTES)
			return -EINVAL;
		if (t->rseq_sig != sig)
			return -EPERM;
		if (!flags)
			return -EBUSY;
		if (put_cpu(t, 0, (uint32_t)RSEQ_CPU_ID_UNINITIALIZED))
			return -EFAULT;
		t->rseq = 0;
		return 0;
	}
	if (area % AREA_BYTES || len != AREA_BYTES)
		return -EINVAL;
	if (!uaddr_ok(area, len))
		return -EFAULT;
	t->rseq = area;
	t->rseq_sig = sig;
	atomic_fetch_or(&t->work, WORK_RSEQ); /* the number is stored on the way back, where it is each time */
	return 0;
}

/* A section's description as the program wrote it: 0, -EFAULT or -EINVAL. */
static int read_section(struct rseq_cs *cs, uaddr_t at, uint32_t sig)
{
	uint32_t found;

	if (copy_from_user(cs, at, sizeof(*cs)))
		return -EFAULT;
	if (cs->version || cs->start_ip >= UADDR_END || cs->post_commit_offset >= UADDR_END - cs->start_ip || cs->abort_ip >= UADDR_END)
		return -EINVAL;
	if (cs->abort_ip - cs->start_ip < cs->post_commit_offset)
		return -EINVAL;
	/* Not every address is one to continue at: the program has marked those that are. */
	if (get_user(found, cs->abort_ip - sizeof(found)))
		return -EFAULT;
	return found == sig ? 0 : -EINVAL;
}

/* The usual case, in one load: the thread says that it is in no section. False if the area cannot be read. */
static inline bool in_no_section(const struct thread *t)
{
	uint64_t at;

	USER_LOAD("q", "=r", at, (const uint64_t *)AREA_FIELD(t, rseq_cs));
	return !at;
fault:
	return false;
}

/* Sends a thread that stands in a section to its abort_ip; one that does not has left it. 0, -EFAULT or -EINVAL. */
static __attribute__((noinline)) int leave_section(struct thread *t, struct regs *r)
{
	struct rseq_cs cs;
	uint64_t at, none = 0;
	uint32_t flags = 0;
	int error;

	if (get_user(at, AREA_FIELD(t, rseq_cs)))
		return -EFAULT;
	error = at ? read_section(&cs, at, t->rseq_sig) : 0;
	if (error || !at)
		return error;
	bool inside = gate_canonical(r) - cs.start_ip < cs.post_commit_offset;
	if (inside && get_user(flags, AREA_FIELD(t, flags)))
		return -EFAULT;
	/* The flags that once kept a section from beginning anew are refused, as Linux does since 6.0. */
	if (inside && (flags || cs.flags))
		return -EINVAL;
	if (put_user(AREA_FIELD(t, rseq_cs), none))
		return -EFAULT;
	if (inside) {
		r->rip = cs.abort_ip;
		r->vector = 0; /* every register as it was */
	}
	return 0;
}

static void force_segv(struct thread *t, struct regs *r)
{
	signal_fault(r, SIGSEGV, SI_KERNEL, 0, t->signals->fault_trapno, t->signals->fault_error);
}

void rseq_resume(struct regs *r)
{
	struct thread *t = current;
	uint32_t cpu;

	atomic_fetch_and(&t->work, ~(uint32_t)WORK_RSEQ);
	if (!t->rseq)
		return;
	cpu = this_cpu()->id;
	if ((!in_no_section(t) && leave_section(t, r)) || put_cpu(t, cpu, cpu))
		force_segv(t, r);
}

static __attribute__((noinline)) void leave_for_signal(struct thread *t, struct regs *r, int sig)
{
	struct signal_actions *a = t->process->actions;

	if (!leave_section(t, r))
		return;
	/* The handler of SIGSEGV would meet the same error for ever. It runs for the last time. */
	if (sig == SIGSEGV) {
		mutex_lock(&a->lock);
		a->act[SIGSEGV - 1].handler = 0; /* SIG_DFL */
		mutex_unlock(&a->lock);
	}
	force_segv(t, r);
}

void rseq_signal(struct regs *r, int sig)
{
	struct thread *t = current;

	if (t->rseq && unlikely(!in_no_section(t)))
		leave_for_signal(t, r, sig);
}

static void restart_here(void *arg)
{
	struct thread *t = current;

	if (t->rseq)
		atomic_fetch_or(&t->work, WORK_RSEQ);
}

void rseq_restart_others(void) { smp_call_others(restart_here, NULL, false); }
