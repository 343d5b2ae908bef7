/*
 * kernel/linux/schedcalls.c - scheduling: affinity, policies, priorities, yield, getcpu.
 *
 * There is one policy, SCHED_OTHER. Real-time policies answer EPERM, as for a user without the right.
 */
#include "core/sched.h"
#include "core/uaccess.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/syscall.h"
#include <linux/sched.h>
#include <linux/sched/types.h>

/* The thread with this tid, or the current one for 0; referenced. */
static struct thread *target(int pid)
{
	if (pid == 0) {
		thread_get(current);
		return current;
	}
	return pid < 0 ? NULL : thread_find(pid);
}

static uint64_t online_mask(void)
{
	return cpu_count() >= 64 ? ~0ull : (1ull << cpu_count()) - 1;
}

long sys_sched_yield(void) { return thread_yield(); }

long sys_sched_getaffinity(int pid, size_t len, uaddr_t mask)
{
	struct thread *t;

	if (len < 8 || (len & 7))
		return -EINVAL;
	t = target(pid);
	if (!t)
		return -ESRCH;
	uint64_t m = atomic_load(&t->affinity) & online_mask();
	thread_put(t);
	return put_user(mask, m) ? -EFAULT : 8;
}

long sys_sched_setaffinity(int pid, size_t len, uaddr_t mask)
{
	uint64_t m = 0;
	struct thread *t;

	if (copy_from_user(&m, mask, MIN(len, sizeof(m))))
		return -EFAULT;
	t = target(pid);
	if (!t)
		return -ESRCH;
	long r = sched_set_affinity(t, m & online_mask());
	thread_put(t);
	return r;
}

long sys_getcpu(uaddr_t cpu, uaddr_t node, uaddr_t unused)
{
	unsigned id, zero = 0;

	preempt_disable();
	id = cpu_id();
	preempt_enable();
	return (cpu && put_user(cpu, id)) || (node && put_user(node, zero)) ? -EFAULT : 0;
}

static long check_target(int pid)
{
	struct thread *t = target(pid);

	if (!t)
		return pid < 0 ? -EINVAL : -ESRCH;
	thread_put(t);
	return 0;
}

long sys_sched_setscheduler(int pid, int policy, uaddr_t param)
{
	int prio;

	if (pid < 0 || !param)
		return -EINVAL;
	if (get_user(prio, param))
		return -EFAULT;
	long r = check_target(pid);
	if (r)
		return r;
	policy &= ~0x40000000; /* SCHED_RESET_ON_FORK */
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		return prio >= 1 && prio <= 99 ? -EPERM : -EINVAL;
	if (policy != SCHED_NORMAL && policy != SCHED_BATCH && policy != SCHED_IDLE)
		return -EINVAL;
	return prio ? -EINVAL : 0;
}

long sys_sched_getscheduler(int pid) { return check_target(pid); }

long sys_sched_setparam(int pid, uaddr_t param) { return sys_sched_setscheduler(pid, SCHED_NORMAL, param); }

long sys_sched_getparam(int pid, uaddr_t param)
{
	int zero = 0;

	if (!param || pid < 0)
		return -EINVAL;
	long r = check_target(pid);
	return r ? r : put_user(param, zero);
}

long sys_sched_get_priority_max(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR ? 99 : policy >= 0 && policy <= 6 && policy != 4 ? 0 : -EINVAL;
}

long sys_sched_get_priority_min(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR ? 1 : policy >= 0 && policy <= 6 && policy != 4 ? 0 : -EINVAL;
}

long sys_sched_setattr(int pid, uaddr_t uattr, unsigned flags)
{
	struct sched_attr a = { 0 };

	if (!uattr || pid < 0 || flags)
		return -EINVAL;
	if (copy_from_user(&a, uattr, 48))
		return -EFAULT;
	long r = check_target(pid);
	if (r)
		return r;
	if (a.sched_policy == SCHED_FIFO || a.sched_policy == SCHED_RR || a.sched_policy == 6)
		return -EPERM;
	return a.sched_policy == SCHED_NORMAL || a.sched_policy == SCHED_BATCH || a.sched_policy == SCHED_IDLE ? 0 : -EINVAL;
}

long sys_sched_getattr(int pid, uaddr_t uattr, unsigned size, unsigned flags)
{
	struct sched_attr a = { .size = 48 };

	if (!uattr || pid < 0 || size < 48 || size > 4096 || flags)
		return -EINVAL;
	long r = check_target(pid);
	return r ? r : copy_to_user(uattr, &a, 48);
}

long sys_getpriority(int which, int who)
{
	if (which < 0 || which > 2)
		return -EINVAL;
	struct thread *t = which == 0 ? target(who) : target(0);
	if (!t)
		return -ESRCH;
	int nice = t->nice;
	thread_put(t);
	return 20 - nice;
}

long sys_setpriority(int which, int who, int prio)
{
	if (which < 0 || which > 2)
		return -EINVAL;
	struct thread *t = which == 0 ? target(who) : target(0);
	if (!t)
		return -ESRCH;
	t->nice = prio < -20 ? -20 : prio > 19 ? 19 : prio;
	thread_put(t);
	return 0;
}
