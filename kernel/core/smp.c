/*
 * kernel/core/smp.c - calls to other CPUs and TLB shootdown; see smp.h.
 *
 * A CPU that is idle is not interrupted for translations alone: CPU_FLUSH is added to its state, and
 * it flushes everything when it leaves idle, before it can touch application memory.
 */
#include "core/smp.h"
#include "core/log.h"
#include "core/sched.h"
#include "cpu.h"
#include "mm/mm.h"

void smp_run_calls(struct cpu *c)
{
	struct ipi_call *call = atomic_exchange(&c->calls, NULL);

	while (call) {
		struct ipi_call *next = call->next;
		struct ipi_wait *w = call->wait;
		struct thread *waiter = w->thread;
		call->fn(call->arg);
		/* The records are gone once pending is zero; the waiter itself is kept by its sleep: it cannot end
		 * before it has seen zero, and its memory outlives this section by RCU. */
		if (atomic_fetch_sub(&w->pending, 1) == 1)
			thread_wake(waiter);
		call = next;
	}
}

void smp_set_idle_state(struct cpu *c, int state)
{
	if (atomic_exchange(&c->idle_state, state) & CPU_FLUSH)
		tlb_flush_local(0, UADDR_END);
}

static bool idle_will_flush(struct cpu *c)
{
	int state = atomic_load(&c->idle_state);

	while (state != CPU_BUSY && !(state & CPU_FLUSH))
		if (atomic_compare_exchange_weak(&c->idle_state, &state, state | CPU_FLUSH))
			return true;
	return state != CPU_BUSY;
}

/* Asks the others, and if `here` also calls fn on this CPU: which CPU is "this" must not change in between. */
static unsigned call_cpus(void (*fn)(void *arg), void *arg, bool skip_idle, bool here)
{
	struct ipi_call calls[MAX_CPUS];
	struct ipi_wait wait = { 1, current };
	unsigned n = 0;

	preempt_disable();
	if (here)
		fn(arg);
	for (unsigned i = 0; i < cpu_count(); i++) {
		struct cpu *c = cpus[i];
		if (c == this_cpu() || !c->online || (skip_idle && idle_will_flush(c)))
			continue;
		struct ipi_call *call = &calls[n++];
		call->fn = fn;
		call->arg = arg;
		call->wait = &wait;
		atomic_fetch_add(&wait.pending, 1);
		call->next = atomic_load_explicit(&c->calls, memory_order_relaxed);
		while (!atomic_compare_exchange_weak(&c->calls, &call->next, call))
			;
		if (!atomic_exchange(&c->ipi_sent, true))
			apic_send_ipi(c->apic_id, VEC_IPI);
	}
	preempt_enable();
	if (atomic_fetch_sub(&wait.pending, 1) == 1)
		return n;
	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load(&wait.pending) == 0)
			break;
		sleep_until(DEADLINE_NEVER);
	}
	sleep_cancel();
	return n;
}

void smp_call_all(void (*fn)(void *arg), void *arg)
{
	call_cpus(fn, arg, false, true);
}

unsigned smp_call_others(void (*fn)(void *arg), void *arg, bool skip_idle)
{
	return call_cpus(fn, arg, skip_idle, false);
}

struct flush {
	uintptr_t start, end;
};

static void flush_one(void *arg)
{
	struct flush *f = arg;
	tlb_flush_local(f->start, f->end);
}

void tlb_flush_local(uintptr_t start, uintptr_t end)
{
	if (end - start > 64 * PAGE_SIZE) {
		if (start >= UADDR_END) { /* kernel translations are global: toggle PGE */
			uint64_t cr4 = read_cr4();
			write_cr4(cr4 & ~(1ull << 7));
			write_cr4(cr4);
		} else {
			write_cr3(read_cr3());
		}
		return;
	}
	for (uintptr_t a = start; a < end; a += PAGE_SIZE)
		invlpg(a);
}

void tlb_shootdown(uintptr_t start, uintptr_t end)
{
	struct flush f = { start, end };

	call_cpus(flush_one, &f, start < UADDR_END, true);
}

void tlb_shootdown_tables(uintptr_t start, uintptr_t end)
{
	struct flush f = { start, end };

	call_cpus(flush_one, &f, false, true);
}
