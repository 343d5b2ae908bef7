/*
 * kernel/arch/x86_64/smp.c - starts the other CPUs.
 *
 * Each gets its block, interrupt stacks and idle thread first; then INIT and the start-up IPI, once more if the first is lost, and a
 * bounded wait until it reports. A thread of its own does that while drivers start. A CPU that does not come is left out with a warning,
 * and so are all behind it: if it comes after all, it takes what the trampoline's words say, which therefore stay what they are.
 * It then idles in a block and on a stack that nobody else has.
 * Source: Intel SDM volume 3, 9.4 (MP initialization).
 */
#include "core/boot.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/smp.h"
#include "cpu.h"
#include "drivers/acpi.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "pagetable.h"

#define TRAMPOLINE 0x8000

extern char trampoline_start[], trampoline_end[];
extern uint64_t trampoline_cr3_word, trampoline_cr4_word, trampoline_stack_word, trampoline_cpu_word;

static uint64_t *word(uint64_t *in_image)
{
	return phys_to_virt(TRAMPOLINE + ((char *)in_image - trampoline_start));
}

_Noreturn void smp_ap_entry(struct cpu *c);
_Noreturn void smp_ap_entry(struct cpu *c)
{
	pt_cpu_init();
	write_cr3(kernel_cr3);
	cpu_init_this(c);
	apic_init_this();
	atomic_store(&c->online, true);
	sched_idle_loop();
}

static bool start_one(unsigned id, uint32_t apic_id)
{
	char name[16];
	struct cpu *c = kzalloc(sizeof(*c));
	char *ist = kmalloc(5 * 4096);

	snprintf(name, sizeof(name), "idle/%u", id);
	struct thread *idle = thread_alloc(name);
	if (!c || !ist || !idle) {
		log_warn("no memory for CPU %u", id);
		return false;
	}
	c->self = c;
	c->id = id;
	c->apic_id = apic_id;
	c->timer_programmed_ns = UINT64_MAX;
	c->idle = idle;
	c->running = idle;
	c->kstack_top = idle->kstack_top;
	idle->is_idle = true;
	idle->state = THREAD_RUNNABLE;
	idle->preempt_count = 1;
	idle->cpu = id;
	for (unsigned i = 0; i < 5; i++)
		c->tss.ist[i] = (uint64_t)ist + (i + 1) * 4096;
	cpus[id] = c;

	*word(&trampoline_stack_word) = idle->kstack_top;
	*word(&trampoline_cpu_word) = (uint64_t)c;
	atomic_thread_fence(memory_order_seq_cst);
	apic_send_init(apic_id);
	delay_us(200);
	for (unsigned us = 0; us < 1000000 && !atomic_load(&c->online); us += 100) {
		if (us == 0 || us == 200)
			apic_send_startup(apic_id, TRAMPOLINE >> 12);
		sleep_ns(100000);
	}
	if (!atomic_load(&c->online)) {
		log_warn("CPU %u (APIC %u) does not start", id, apic_id);
		return false;
	}
	sched_init_cpu(id);
	return true;
}

static _Atomic bool done;
static struct thread *_Atomic waiter;

static void start_all(void *arg)
{
	unsigned id = 1;
	unsigned limit = (unsigned)option_u64("cpus", MAX_CPUS);

	memcpy(phys_to_virt(TRAMPOLINE), trampoline_start, (size_t)(trampoline_end - trampoline_start));
	*word(&trampoline_cr3_word) = trampoline_cr3;
	*word(&trampoline_cr4_word) = 0xa0;
	for (unsigned i = 0; i < acpi.ncpus && id < limit && id < MAX_CPUS; i++) {
		if (acpi.apic_ids[i] == cpus[0]->apic_id)
			continue;
		if (!start_one(id, acpi.apic_ids[i]))
			break;
		id++;
	}
	log_info("%u CPUs", id);
	atomic_store(&done, true);
	struct thread *w = atomic_load(&waiter);
	if (w)
		thread_wake(w);
}

void smp_start(void)
{
	if (acpi.ncpus <= 1 || IS_ERR(thread_create_kernel("smp", start_all, NULL)))
		atomic_store(&done, true);
}

void smp_wait(void)
{
	atomic_store(&waiter, current);
	for (;;) {
		sleep_prepare(SLEEP_UNINTERRUPTIBLE);
		if (atomic_load(&done))
			break;
		sleep_until(DEADLINE_NEVER);
	}
	sleep_cancel();
	atomic_store(&waiter, NULL);
}
