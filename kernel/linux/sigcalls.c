/*
 * kernel/linux/sigcalls.c - the system calls about signals.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/signal_private.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include "linux/timespec.h"
#include "cpu.h"

/* Others are cleared, so that a program can find out what a kernel knows: sigaction(2), "Dynamically probing for flag bit support". */
#define SA_KNOWN (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND | SA_RESTORER)

long sys_rt_sigaction(int sig, uaddr_t act, uaddr_t old, size_t setsize)
{
	struct signal_actions *a = current->process->actions;
	struct kernel_sigaction new = { 0 }, prev;

	if (setsize != 8 || sig < 1 || sig > 64)
		return -EINVAL;
	if (act && (sig == SIGKILL || sig == SIGSTOP))
		return -EINVAL;
	if (act && get_user(new, act))
		return -EFAULT;
	if (act) {
		new.mask &= ~SIGSET_UNMASKABLE;
		new.flags &= SA_KNOWN;
		signal_set_action(sig, &new, &prev);
	} else {
		mutex_lock(&a->lock);
		prev = a->act[sig - 1];
		mutex_unlock(&a->lock);
	}
	return old && put_user(old, prev) ? -EFAULT : 0;
}

long sys_rt_sigprocmask(int how, uaddr_t set, uaddr_t old, size_t setsize)
{
	uint64_t mask, was = sigmask_get(current);

	if (setsize != 8)
		return -EINVAL;
	if (set) {
		if (get_user(mask, set))
			return -EFAULT;
		if (how == SIG_BLOCK)
			mask |= was;
		else if (how == SIG_UNBLOCK)
			mask = was & ~mask;
		else if (how != SIG_SETMASK)
			return -EINVAL;
		if (mask != was)
			signal_set_blocked(mask);
	}
	return old && put_user(old, was) ? -EFAULT : 0;
}

long sys_rt_sigpending(uaddr_t set, size_t setsize)
{
	struct signal_actions *a = current->process->actions;

	if (setsize > 8)
		return -EINVAL;
	mutex_lock(&a->lock);
	uint64_t pending = signal_pending_set(sigmask_get(current));
	mutex_unlock(&a->lock);
	return copy_to_user(set, &pending, setsize);
}

long sys_rt_sigsuspend(uaddr_t set, size_t setsize)
{
	int r;

	if (setsize != 8)
		return -EINVAL;
	if (!set)
		return -EFAULT;
	r = sigmask_swap_user(set, setsize);
	if (r)
		return r;
	return sys_pause();
}

long sys_pause(void)
{
	for (;;) {
		sleep_prepare(SLEEP_INTERRUPTIBLE);
		if (signal_pending())
			break;
		sleep_until(DEADLINE_NEVER);
	}
	sleep_cancel();
	return -ERESTARTNOHAND;
}

long sys_rt_sigtimedwait(uaddr_t set, uaddr_t info, uaddr_t timeout, size_t setsize)
{
	struct signal_actions *a = current->process->actions;
	uint64_t mask, ns, deadline = DEADLINE_NEVER;
	siginfo_t si;
	int r = 0;

	if (setsize != 8)
		return -EINVAL;
	if (get_user(mask, set))
		return -EFAULT;
	if (timeout) {
		r = timespec_get_user(timeout, &ns);
		if (r)
			return r;
		deadline = deadline_after(ns);
	}
	mask &= ~SIGSET_UNMASKABLE;
	for (;;) {
		if (signal_dequeue(mask, &si))
			break;
		mutex_lock(&a->lock);
		r = signal_pending_set(mask) ? 0 : waitq_wait(&a->waiters, &a->lock, deadline, true);
		mutex_unlock(&a->lock);
		if (r) {
			if (signal_dequeue(mask, &si))
				break;
			return r == -ETIMEDOUT ? -EAGAIN : -EINTR;
		}
	}
	if (info && put_user(info, si))
		return -EFAULT;
	return si.si_signo;
}

static void user_info(siginfo_t *info, int sig, int code)
{
	signal_info(info, sig, code);
	info->si_pid = current->process->pid;
}

long sys_kill(int pid, int sig)
{
	siginfo_t info;
	struct process *p;

	if (sig < 0 || sig > 64)
		return -EINVAL;
	/* Process groups: the application is alone in its own. */
	if (pid == 0 || pid == -1 || pid == -current->process->pgid)
		pid = current->process->pid;
	p = process_find(pid);
	if (!p)
		return -ESRCH;
	user_info(&info, sig, SI_USER);
	long r = signal_send_process(p, sig, &info);
	process_put(p);
	return r;
}

static long send_thread(int pid, int tid, int sig, siginfo_t *info)
{
	struct thread *t;

	if (tid <= 0 || pid == 0 || sig < 0 || sig > 64)
		return -EINVAL;
	t = thread_find(tid);
	if (!t)
		return -ESRCH;
	long r = pid > 0 && (!t->process || t->process->pid != pid) ? -ESRCH : signal_send_thread(t, sig, info);
	thread_put(t);
	return r;
}

long sys_tgkill(int pid, int tid, int sig)
{
	siginfo_t info;

	if (pid <= 0)
		return -EINVAL;
	user_info(&info, sig, SI_TKILL);
	return send_thread(pid, tid, sig, &info);
}

long sys_tkill(int tid, int sig)
{
	siginfo_t info;

	user_info(&info, sig, SI_TKILL);
	return send_thread(-1, tid, sig, &info);
}

static int read_info(uaddr_t from, int sig, int pid, siginfo_t *info)
{
	if (copy_from_user(info, from, sizeof(*info)))
		return -EFAULT;
	info->si_signo = sig;
	/* A signal that looks as if the kernel or kill() had sent it is allowed only to oneself. */
	if ((info->si_code >= 0 || info->si_code == SI_TKILL) && pid != current->process->pid)
		return -EPERM;
	return 0;
}

long sys_rt_sigqueueinfo(int pid, int sig, uaddr_t uinfo)
{
	siginfo_t info;
	int r = read_info(uinfo, sig, pid, &info);
	struct process *p;

	if (r)
		return r;
	p = process_find(pid);
	if (!p)
		return -ESRCH;
	r = signal_send_process(p, sig, &info);
	process_put(p);
	return r;
}

long sys_rt_tgsigqueueinfo(int pid, int tid, int sig, uaddr_t uinfo)
{
	siginfo_t info;
	int r;

	if (pid <= 0 || tid <= 0)
		return -EINVAL;
	r = read_info(uinfo, sig, pid, &info);
	return r ? r : send_thread(pid, tid, sig, &info);
}

int sigstack_set(struct signal_state *s, const stack_t *new, uaddr_t sp)
{
	int mode = new->ss_flags & ~(int)SS_AUTODISARM;

	if (sigstack_active(s, sp))
		return -EPERM;
	if (mode != 0 && mode != SS_DISABLE && mode != SS_ONSTACK)
		return -EINVAL;
	if (mode != SS_DISABLE && new->ss_size < MINSIGSTKSZ)
		return -ENOMEM;
	s->alt_base = mode == SS_DISABLE ? 0 : (uaddr_t)new->ss_sp;
	s->alt_size = mode == SS_DISABLE ? 0 : new->ss_size;
	s->alt_flags = (uint32_t)new->ss_flags;
	return 0;
}

long sys_sigaltstack(uaddr_t ss, uaddr_t old)
{
	struct signal_state *s = current->signals;
	uaddr_t sp = current->regs->rsp;
	stack_t new, prev;
	int r;

	memset(&prev, 0, sizeof(prev));
	prev.ss_sp = (void *)s->alt_base;
	prev.ss_size = s->alt_size;
	prev.ss_flags = (int)(s->alt_flags & SS_AUTODISARM);
	if (!s->alt_size)
		prev.ss_flags |= SS_DISABLE;
	else if (sigstack_active(s, sp))
		prev.ss_flags |= SS_ONSTACK;
	if (ss) {
		if (get_user(new, ss))
			return -EFAULT;
		r = sigstack_set(s, &new, sp);
		if (r)
			return r;
	}
	return old && put_user(old, prev) ? -EFAULT : 0;
}

long sys_restart_syscall(void)
{
	struct restart r = current->signals->restart;

	return r.fn ? r.fn(&r) : -EINTR;
}
