/*
 * kernel/core/thread.c - threads: how they are made, referred to and freed.
 *
 * Theory:    A thread is its struct, a kernel stack and, for one of the application, an area for vector registers. It begins on the stack that
 *            is prepared here and ends in sched_leave(); the CPU that has switched away from it hands it to the reaper, a
 *            thread that frees stack and area. The struct goes with the last reference, after a grace period.
 * Interface: thread.h and sched.h.
 * Locking:   thread_list_lock for all_threads; references and the list of the dead are atomic.
 * Errors:    NULL or -ENOMEM without memory.
 */
#include "core/log.h"
#include "core/mutex.h"
#include "core/rcu.h"
#include "core/sched.h"
#include "cpu.h"
#include "fpu.h"
#include "lib/string.h"
#include "linux/dispatch.h"
#include "linux/signal.h"
#include "mm/mm.h"

struct list all_threads = LIST_INIT(all_threads);
struct mutex thread_list_lock = MUTEX_INIT("thread list");
static _Atomic int next_tid = 1;

/* Threads that ended, waiting for the reaper. */
static struct thread *_Atomic dead_threads;
static struct thread *reaper;

int tid_alloc(void) { return atomic_fetch_add(&next_tid, 1); }

void thread_get(struct thread *t) { atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed); }

struct thread *thread_alloc(const char *name)
{
	struct thread *t = kzalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->kstack_base = kstack_alloc();
	if (!t->kstack_base) {
		kfree(t);
		return NULL;
	}
	t->kstack_top = t->kstack_base + KSTACK_BYTES;
	t->refs = 1;
	t->state = THREAD_NEW;
	t->affinity = ~0ull;
	t->fpu_cpu = -1;
	t->syscall_nr = -1;
	list_init(&t->process_link);
	list_init(&t->all_link);
	strlcpy(t->name, name, sizeof(t->name));
	return t;
}

void thread_discard(struct thread *t)
{
	kstack_free(t->kstack_base);
	if (t->fpu)
		fpu_free(t);
	kfree(t);
}

static void push_stack(struct thread *t, uint64_t v)
{
	t->ksp -= 8;
	*(uint64_t *)t->ksp = v;
}

struct thread *thread_create_kernel(const char *name, void (*fn)(void *arg), void *arg)
{
	struct thread *t = thread_alloc(name);

	if (!t)
		return ERR_PTR(-ENOMEM);
	t->tid = 0;
	t->ksp = t->kstack_top - 64;
	push_stack(t, (uint64_t)thread_entry_kernel);
	push_stack(t, 0);            /* rbp */
	push_stack(t, (uint64_t)fn); /* rbx */
	push_stack(t, (uint64_t)arg);/* r12 */
	push_stack(t, 0);
	push_stack(t, 0);
	push_stack(t, 0);
	thread_start(t);
	return t;
}

void thread_prepare_app(struct thread *t)
{
	/* thread_entry_app expects the frame at RSP. */
	t->regs = (struct regs *)(t->kstack_top - sizeof(struct regs));
	t->ksp = (uint64_t)t->regs;
	push_stack(t, (uint64_t)thread_entry_app);
	for (int i = 0; i < 6; i++)
		push_stack(t, 0);
}

void thread_start_app(struct regs *r)
{
	struct thread *t = current;

	if (t->start)
		t->start(t, r);
	while (atomic_load(&current->work))
		exit_work(r, false);
}

_Noreturn void thread_exit_kernel(void)
{
	mutex_lock(&thread_list_lock);
	list_del(&current->all_link);
	mutex_unlock(&thread_list_lock);
	sched_leave();
}

_Noreturn void thread_exit_final(void) { thread_exit_kernel(); }

static void thread_free_rcu(struct rcu_head *head)
{
	struct thread *t = container_of((void *)head, struct thread, timer_node);

	/* Not before: who holds a reference may still send a signal. */
	if (t->signals)
		signal_thread_free(t);
	kfree(t);
}

void thread_put(struct thread *t)
{
	if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	/* The stack and vector state went with the reaper; the struct itself waits for RCU readers. The timer
	 * node is unused by now and holds the callback. */
	_Static_assert(sizeof(struct rcu_head) <= sizeof(struct heap_node), "the node can hold it");
	rcu_call((struct rcu_head *)(void *)&t->timer_node, thread_free_rcu);
}

void thread_bury(struct thread *t)
{
	t->dead_next = atomic_load(&dead_threads);
	while (!atomic_compare_exchange_weak(&dead_threads, &t->dead_next, t))
		;
	thread_wake(reaper);
}

static void reaper_main(void *arg)
{
	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		struct thread *t = atomic_exchange(&dead_threads, NULL);
		if (!t) {
			sleep_until(DEADLINE_NEVER);
			continue;
		}
		sleep_cancel();
		while (t) {
			struct thread *next = t->dead_next;
			kstack_free(t->kstack_base);
			if (t->fpu)
				fpu_free(t);
			thread_put(t);
			t = next;
		}
	}
}

void thread_start_reaper(void)
{
	reaper = thread_create_kernel("reaper", reaper_main, NULL);
	if (IS_ERR(reaper))
		panic("no memory for the first threads");
}
