/*
 * kernel/linux/signal.c - sending, queueing and delivering; see signal.h.
 *
 * A sender puts a record into the thread's or the process's queue, marks a thread that can take it with
 * WORK_SIGNAL, wakes it from an interruptible sleep and, if it runs on another CPU, interrupts it there. The
 * thread looks at its queues on its way back to the application. A thread that was marked for a signal to the process and then blocks
 * it, or ends, marks another one (mask_set(), signal_thread_leaves()).
 *
 * Stopping (SIGSTOP, SIGTSTP ...) is not done: with one application per machine there is nobody to continue
 * it. The stop signals are ignored by default (docs/caveats.md).
 */
#include "core/log.h"
#include "core/sched.h"
#include "cpu.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/signal_private.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include "linux/timers.h"
#include "mm/mm.h"

#define QUEUE_LIMIT 4096
#define SIG_DFL_ADDR 0
#define SIG_IGN_ADDR 1

#define DEFAULT_IGNORED (SIGSET_BIT(SIGCHLD) | SIGSET_BIT(SIGURG) | SIGSET_BIT(SIGWINCH) | SIGSET_BIT(SIGCONT) | \
			 SIGSET_BIT(SIGSTOP) | SIGSET_BIT(SIGTSTP) | SIGSET_BIT(SIGTTIN) | SIGSET_BIT(SIGTTOU))
#define SYNCHRONOUS (SIGSET_BIT(SIGSEGV) | SIGSET_BIT(SIGBUS) | SIGSET_BIT(SIGILL) | SIGSET_BIT(SIGTRAP) | \
		     SIGSET_BIT(SIGFPE) | SIGSET_BIT(SIGSYS))

static void queue_init(struct signal_queue *q)
{
	q->pending = 0;
	q->count = 0;
	list_init(&q->records);
}

/* A record leaves its queue. It may be freed. */
static void queue_remove(struct signal_queue *q, struct queued_signal *s)
{
	list_del(&s->link);
	q->count--;
	if (!s->timer)
		kfree(s);
}

static void queue_flush(struct signal_queue *q, uint64_t which)
{
	struct queued_signal *s, *tmp;

	list_for_each_safe(s, tmp, &q->records, link) {
		if (which & SIGSET_BIT(s->info.si_signo))
			queue_remove(q, s);
	}
	q->pending &= ~which;
}

struct signal_actions *signal_actions_new(void)
{
	struct signal_actions *a = kzalloc(sizeof(*a));

	if (!a)
		return NULL;
	mutex_init(&a->lock, "signals");
	queue_init(&a->shared);
	waitq_init(&a->waiters);
	return a;
}

void signal_actions_free(struct signal_actions *a)
{
	queue_flush(&a->shared, ~0ull);
	kfree(a);
}

int signal_thread_init(struct thread *t, const struct thread *parent)
{
	struct signal_state *s = kzalloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	queue_init(&s->queue);
	s->alt_flags = SS_DISABLE;
	if (parent)
		s->blocked = atomic_load(&parent->signals->blocked);
	t->signals = s;
	return 0;
}

void signal_thread_free(struct thread *t)
{
	queue_flush(&t->signals->queue, ~0ull);
	kfree(t->signals);
	t->signals = NULL;
}

void signal_exec(struct process *p)
{
	mutex_lock(&p->actions->lock);
	for (int i = 0; i < 64; i++) {
		struct kernel_sigaction *k = &p->actions->act[i];
		uaddr_t keep = k->handler == SIG_IGN_ADDR ? SIG_IGN_ADDR : SIG_DFL_ADDR;
		*k = (struct kernel_sigaction){ .handler = keep };
	}
	mutex_unlock(&p->actions->lock);
}

void signal_info(siginfo_t *info, int sig, int code)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = code;
}

uint64_t sigmask_get(const struct thread *t) { return t->signals ? atomic_load(&t->signals->blocked) : 0; }

bool signal_deliverable(struct thread *t)
{
	uint64_t blocked = atomic_load(&t->signals->blocked);
	return (t->signals->queue.pending | t->process->actions->shared.pending) & ~blocked;
}

bool signal_pending(void)
{
	struct thread *t = current;
	uint32_t work = atomic_load(&t->work);

	if (!t->process || !(work & (WORK_SIGNAL | WORK_EXIT)))
		return false;
	return (work & WORK_EXIT) || signal_deliverable(t);
}

static void notice(struct thread *t)
{
	atomic_fetch_or(&t->work, WORK_SIGNAL);
	if (!thread_wake_interruptible(t))
		thread_kick(t);
}

static bool ignored(const struct signal_actions *a, int sig)
{
	uaddr_t h = a->act[sig - 1].handler;
	return h == SIG_IGN_ADDR || (h == SIG_DFL_ADDR && (DEFAULT_IGNORED & SIGSET_BIT(sig)));
}

static void queue_record(struct signal_queue *q, struct queued_signal *s)
{
	list_push_back(&q->records, &s->link);
	q->count++;
	q->pending |= SIGSET_BIT(s->info.si_signo);
}

static int queue_add(struct signal_queue *q, int sig, const siginfo_t *info)
{
	if (sig < 32 && (q->pending & SIGSET_BIT(sig)))
		return 0;
	if (q->count >= QUEUE_LIMIT && sig >= 32)
		return -EAGAIN;
	struct queued_signal *s = kmalloc_flags(sizeof(*s), ALLOC_RESERVE);
	if (!s && sig >= 32)
		return -EAGAIN;
	if (s) {
		s->timer = NULL;
		if (info) {
			s->info = *info;
			s->info.si_signo = sig;
		} else {
			signal_info(&s->info, sig, SI_USER);
			struct process *p = current->process;
			s->info.si_pid = p ? p->pid : 0;
		}
		queue_record(q, s);
	}
	q->pending |= SIGSET_BIT(sig);
	return 0;
}

static void wake_signal_waiters(struct signal_actions *a) { waitq_wake_all(&a->waiters, 1 /* EPOLLIN */); }

/* A signal to t is forgotten at once: ignored, and not blocked, for then the disposition may be another when it is unblocked. Lock held. */
static bool thread_ignores(struct thread *t, int sig)
{
	return ignored(t->process->actions, sig) && !(atomic_load(&t->signals->blocked) & SIGSET_BIT(sig));
}

int signal_send_thread(struct thread *t, int sig, const siginfo_t *info)
{
	struct process *p = t->process;
	int r = 0;

	if (sig < 0 || sig > 64)
		return -EINVAL;
	if (sig == 0 || !p || !t->signals)
		return 0;
	if (sig == SIGKILL) {
		process_kill(p, SIGKILL);
		return 0;
	}
	mutex_lock(&p->actions->lock);
	if (!thread_ignores(t, sig)) {
		r = queue_add(&t->signals->queue, sig, info);
		if (r == 0) {
			wake_signal_waiters(p->actions);
			notice(t);
		}
	}
	mutex_unlock(&p->actions->lock);
	return r;
}

/* The same of a signal to the process. Both locks held. */
static bool process_ignores(struct process *p, int sig)
{
	struct thread *t;

	if (!ignored(p->actions, sig))
		return false;
	list_for_each(t, &p->threads, process_link) {
		if (t->signals && !(atomic_load(&t->signals->blocked) & SIGSET_BIT(sig)))
			return true;
	}
	return false;
}

/*
 * Tells threads of `which`, signals that wait for the process: of each the eldest that lets it through. process_list_lock and lock held.
 *
 * Who is told may change its mask or end before it looks, and must then tell others. It stores its mask before it looks at what is pending,
 * and here the masks are looked at after the signal was entered, with a fence on both sides: one of the two sees the other.
 */
static void notice_threads(struct process *p, uint64_t which)
{
	struct thread *t;

	atomic_thread_fence(memory_order_seq_cst);
	list_for_each(t, &p->threads, process_link) {
		uint64_t open = t->signals ? which & ~atomic_load(&t->signals->blocked) : 0;

		if (!open)
			continue;
		notice(t);
		which &= ~open;
		if (!which)
			break;
	}
}

/* A signal has been entered into the shared queue: the current thread takes it if it can, else another. Both locks held. */
static void notice_process(struct process *p, int sig)
{
	wake_signal_waiters(p->actions);
	if (current->process == p && !(sigmask_get(current) & SIGSET_BIT(sig)))
		notice(current);
	else
		notice_threads(p, SIGSET_BIT(sig));
}

int signal_send_process_locked(struct process *p, int sig, const siginfo_t *info)
{
	int r;

	if (process_ignores(p, sig))
		return 0;
	r = queue_add(&p->actions->shared, sig, info);
	if (r == 0)
		notice_process(p, sig);
	return r;
}

int signal_send_process(struct process *p, int sig, const siginfo_t *info)
{
	int r;

	if (sig < 0 || sig > 64)
		return -EINVAL;
	if (sig == 0)
		return 0;
	if (sig == SIGKILL) {
		process_kill(p, SIGKILL);
		return 0;
	}
	mutex_lock(&process_list_lock);
	mutex_lock(&p->actions->lock);
	r = signal_send_process_locked(p, sig, info);
	mutex_unlock(&p->actions->lock);
	mutex_unlock(&process_list_lock);
	return r;
}

void signal_send_record(struct process *p, int tid, struct queued_signal *s)
{
	int sig = s->info.si_signo;
	struct thread *t;

	if (!tid) {
		if (process_ignores(p, sig))
			return;
		s->queue = &p->actions->shared;
		queue_record(s->queue, s);
		notice_process(p, sig);
		return;
	}
	list_for_each(t, &p->threads, process_link) {
		if (t->tid != tid)
			continue;
		if (t->signals && !thread_ignores(t, sig)) {
			s->queue = &t->signals->queue;
			queue_record(s->queue, s);
			wake_signal_waiters(p->actions);
			notice(t);
		}
		return;
	}
}

void signal_unqueue_record(struct queued_signal *s)
{
	struct signal_queue *q = s->queue;
	int sig = s->info.si_signo;

	if (list_empty(&s->link))
		return;
	queue_remove(q, s);
	list_for_each(s, &q->records, link) {
		if (s->info.si_signo == sig)
			return;
	}
	q->pending &= ~SIGSET_BIT(sig);
}

/* The current thread no longer takes those of `which` that wait for the process and that it may have been chosen for. Holds nothing. */
static __attribute__((noinline)) void pass_on(uint64_t which)
{
	struct process *p = current->process;

	mutex_lock(&process_list_lock);
	mutex_lock(&p->actions->lock);
	notice_threads(p, p->actions->shared.pending & which);
	mutex_unlock(&p->actions->lock);
	mutex_unlock(&process_list_lock);
}

/* Sets the current thread's mask. */
static void mask_set(uint64_t mask)
{
	struct thread *t = current;
	uint64_t more = mask & ~atomic_load(&t->signals->blocked);

	atomic_store(&t->signals->blocked, mask); /* the fence that notice_threads() speaks of */
	if (unlikely(t->process->actions->shared.pending & more))
		pass_on(more);
}

void signal_thread_leaves(struct thread *t)
{
	struct process *p = t->process;

	mutex_lock(&p->actions->lock);
	notice_threads(p, p->actions->shared.pending & ~atomic_load(&t->signals->blocked));
	queue_flush(&t->signals->queue, ~0ull);
	mutex_unlock(&p->actions->lock);
}

void signal_set_action(int sig, const struct kernel_sigaction *act, struct kernel_sigaction *old)
{
	struct process *p = current->process;
	struct signal_actions *a = p->actions;
	struct thread *t;
	bool was;

	mutex_lock(&process_list_lock);
	mutex_lock(&a->lock);
	was = ignored(a, sig);
	*old = a->act[sig - 1];
	a->act[sig - 1] = *act;
	if (ignored(a, sig)) {
		queue_flush(&a->shared, SIGSET_BIT(sig));
		list_for_each(t, &p->threads, process_link) {
			if (t->signals)
				queue_flush(&t->signals->queue, SIGSET_BIT(sig));
		}
	} else if (was) {
		timers_wanted(p, sig);
	}
	mutex_unlock(&a->lock);
	mutex_unlock(&process_list_lock);
}

void signal_raise_current(int sig) { signal_send_thread(current, sig, NULL); }

/* Takes the first pending signal of `set`: synchronous ones, then the lowest number. Lock held. */
static bool take(struct signal_queue *q, uint64_t set, siginfo_t *info)
{
	uint64_t ready = q->pending & set;
	struct queued_signal *s;

	if (!ready)
		return false;
	int sig = __builtin_ctzll(ready & SYNCHRONOUS ? ready & SYNCHRONOUS : ready) + 1;
	struct posix_timer *timer = NULL;
	bool found = false, more = false;
	struct queued_signal *tmp;
	list_for_each_safe(s, tmp, &q->records, link) {
		if (s->info.si_signo != sig)
			continue;
		if (found) {
			more = true;
			break;
		}
		found = true;
		*info = s->info;
		timer = s->timer;
		queue_remove(q, s);
	}
	if (!found)
		signal_info(info, sig, SI_USER);
	if (!more)
		q->pending &= ~SIGSET_BIT(sig);
	if (timer)
		timer_signal_taken(timer, info);
	else if (sig == SIGALRM && q == &current->process->actions->shared)
		itimer_signal_taken(current->process);
	return true;
}

bool signal_dequeue(uint64_t set, siginfo_t *info)
{
	struct signal_actions *a = current->process->actions;

	mutex_lock(&a->lock);
	bool found = take(&current->signals->queue, set, info) || take(&a->shared, set, info);
	mutex_unlock(&a->lock);
	return found;
}

uint64_t signal_pending_set(uint64_t set)
{
	return (current->signals->queue.pending | current->process->actions->shared.pending) & set;
}

struct waitq *signal_waitq(struct process *p) { return &p->actions->waiters; }
struct mutex *signal_lock(struct process *p) { return &p->actions->lock; }

void signal_sets(struct thread *t, uint64_t out[5])
{
	struct signal_actions *a = t->process->actions;

	memset(out, 0, 5 * sizeof(out[0]));
	mutex_lock(&a->lock);
	if (t->signals) {
		out[0] = t->signals->queue.pending;
		out[2] = atomic_load(&t->signals->blocked);
	}
	out[1] = a->shared.pending;
	for (int i = 0; i < 64; i++) {
		if (a->act[i].handler == SIG_IGN_ADDR)
			out[3] |= 1ull << i;
		else if (a->act[i].handler != SIG_DFL_ADDR)
			out[4] |= 1ull << i;
	}
	mutex_unlock(&a->lock);
}

void signal_set_blocked(uint64_t mask)
{
	mask_set(mask & ~SIGSET_UNMASKABLE);
	/* Looked at after the mask is stored: see notice_threads(). What is sent to this thread alone marks it in any case. */
	if (unlikely(signal_deliverable(current)))
		atomic_fetch_or(&current->work, WORK_SIGNAL);
}

int sigmask_swap_user(uaddr_t set, size_t setsize)
{
	uint64_t mask;

	if (!set)
		return 0;
	if (setsize != 8)
		return -EINVAL;
	if (get_user(mask, set))
		return -EFAULT;
	current->signals->saved_mask = atomic_load(&current->signals->blocked);
	atomic_fetch_or(&current->work, WORK_RESTORE_MASK);
	signal_set_blocked(mask);
	return 0;
}

void sigmask_restore(void)
{
	struct thread *t = current;

	if (!(atomic_load(&t->work) & WORK_RESTORE_MASK))
		return;
	atomic_fetch_and(&t->work, ~(uint32_t)WORK_RESTORE_MASK);
	signal_set_blocked(t->signals->saved_mask);
}

_Noreturn static void die(int sig)
{
	log_info("process %d (%s): thread %d ended by signal %d", current->process->pid, current->process->comm,
		 current->tid, sig);
	process_kill(current->process, sig);
	thread_exit_app(sig);
}

/* A signal of the current thread that cannot wait: blocked or ignored, it kills. */
static void force(const siginfo_t *info)
{
	struct thread *t = current;
	struct signal_actions *a = t->process->actions;
	int sig = info->si_signo;

	mutex_lock(&a->lock);
	if ((atomic_load(&t->signals->blocked) & SIGSET_BIT(sig)) || a->act[sig - 1].handler == SIG_IGN_ADDR) {
		a->act[sig - 1].handler = SIG_DFL_ADDR;
		atomic_fetch_and(&t->signals->blocked, ~SIGSET_BIT(sig));
	}
	int r = queue_add(&t->signals->queue, sig, info);
	(void)r; /* a standard signal is always recorded */
	atomic_fetch_or(&t->work, WORK_SIGNAL);
	mutex_unlock(&a->lock);
}

void signal_fault(struct regs *r, int sig, int code, uaddr_t addr, unsigned trapno, uint64_t error)
{
	struct thread *t = current;
	siginfo_t info;

	bool off = !irqs_enabled();
	irq_enable();
	signal_info(&info, sig, code);
	info.si_addr = (void *)addr;
	log_debug("thread %d: signal %d code %d at %#lx, address %#lx, rsp %#lx", t->tid, sig, code, r->rip, addr, r->rsp);
	t->signals->fault_trapno = trapno;
	t->signals->fault_error = error;
	if (trapno == 14)
		t->signals->fault_address = addr;
	force(&info);
	if (off)
		irq_disable();
}

void signal_interrupts_off(struct regs *r)
{
	log_warn("thread %d (%s) ran with interrupts off (cli or popf): SIGSEGV", current->tid, current->name);
	r->rflags |= RFLAGS_IF;
	signal_fault(r, SIGSEGV, SI_KERNEL, r->rip, 13, 0);
}

int signal_fpe_code(unsigned vector)
{
	uint32_t mxcsr;
	uint16_t sw;

	if (vector == 19) {
		__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
		mxcsr &= ~(mxcsr >> 7) & 0x3f;
		sw = (uint16_t)mxcsr;
	} else {
		uint16_t cw;
		__asm__ volatile("fnstsw %0; fnstcw %1" : "=m"(sw), "=m"(cw));
		sw &= ~cw & 0x3f;
	}
	if (sw & 1)
		return FPE_FLTINV;
	if (sw & 4)
		return FPE_FLTDIV;
	if (sw & 8)
		return FPE_FLTOVF;
	if (sw & 16)
		return FPE_FLTUND;
	return FPE_FLTRES;
}

/* What a system call that was interrupted answers now that we know what interrupted it. */
static void resolve_restart(struct regs *r, bool handler_runs, uint64_t sa_flags)
{
	long err = -(long)r->rax;

	if (r->orig_rax == (uint64_t)-1 || err < ERESTARTSYS || err > ERESTART_RESTARTBLOCK)
		return;
	r->vector = 0;
	if (handler_runs && (err == ERESTARTNOHAND || err == ERESTART_RESTARTBLOCK ||
			     (err == ERESTARTSYS && !(sa_flags & SA_RESTART)))) {
		r->rax = (uint64_t)-EINTR;
		return;
	}
	r->rax = err == ERESTART_RESTARTBLOCK ? 219 : r->orig_rax;
	r->rip -= 2;
	r->orig_rax = (uint64_t)-1;
}

/*
 * No fetch may happen there: an address that is not canonical faults already in the return to it, that is in the kernel, and in the kernel's
 * half the application would execute what lies there. So the fault is raised in the CPU's place.
 */
static void handler_out_of_reach(struct regs *r, uaddr_t handler)
{
	if ((uaddr_t)((int64_t)(handler << 16) >> 16) == handler)
		signal_fault(r, SIGSEGV, SEGV_MAPERR, handler, 14, 0x14); /* a fetch of the application's */
	else
		signal_fault(r, SIGSEGV, SI_KERNEL, 0, 13, 0);
}

void signal_deliver(struct regs *r, bool from_syscall)
{
	struct thread *t = current;
	struct signal_state *s = t->signals;
	struct signal_actions *a = t->process->actions;

	atomic_fetch_and(&t->work, ~(uint32_t)WORK_SIGNAL);
	for (;;) {
		siginfo_t info;
		struct kernel_sigaction act;

		mutex_lock(&a->lock);
		uint64_t can = ~atomic_load(&s->blocked);
		bool found = take(&s->queue, can & SYNCHRONOUS, &info) || take(&s->queue, can, &info) ||
			     take(&a->shared, can, &info);
		if (!found) {
			mutex_unlock(&a->lock);
			break;
		}
		int sig = info.si_signo;
		act = a->act[sig - 1];
		if (act.handler > SIG_IGN_ADDR && (act.flags & SA_RESETHAND))
			a->act[sig - 1].handler = SIG_DFL_ADDR;
		mutex_unlock(&a->lock);

		if (act.handler == SIG_IGN_ADDR)
			continue;
		if (act.handler == SIG_DFL_ADDR) {
			if (DEFAULT_IGNORED & SIGSET_BIT(sig))
				continue;
			die(sig);
		}
		resolve_restart(r, true, act.flags);
		uint64_t mask = atomic_load(&t->work) & WORK_RESTORE_MASK ? s->saved_mask : atomic_load(&s->blocked);
		r->vector = 0;
		rseq_signal(r, sig);
		if (sigframe_push(r, sig, &act, &info, mask) != 0) {
			log_info("thread %d: no room on the stack (%#lx) for the handler of signal %d", t->tid, r->rsp, sig);
			if (sig == SIGSEGV)
				die(SIGSEGV);
			/* Its handler may have a stack of its own. It finds the mask that this one would have found. */
			signal_info(&info, SIGSEGV, SI_KERNEL);
			force(&info);
			continue;
		}
		atomic_fetch_and(&t->work, ~(uint32_t)WORK_RESTORE_MASK);
		r->orig_rax = (uint64_t)-1; /* nothing to restart below this frame any more */
		mask = atomic_load(&s->blocked) | act.mask;
		if (!(act.flags & SA_NODEFER))
			mask |= SIGSET_BIT(sig);
		mask_set(mask & ~SIGSET_UNMASKABLE);
		if (act.handler >= UADDR_END)
			handler_out_of_reach(r, act.handler);
	}
	resolve_restart(r, false, 0);
	if (atomic_fetch_and(&t->work, ~(uint32_t)WORK_RESTORE_MASK) & WORK_RESTORE_MASK)
		signal_set_blocked(s->saved_mask);
}
