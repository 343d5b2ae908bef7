/*
 * kernel/arch/x86_64/cpu.c - descriptors, features and the vectors of one CPU.
 *
 * Every vector goes through an interrupt stack: the application runs in ring 0 and its red zone lies
 * below its stack pointer, so the CPU must never push there. See traps.S for what happens next.
 */
#include "cpu.h"
#include "core/log.h"
#include "core/thread.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "fpu.h"
#include "fs/fdtable.h"
#include "gate.h"
#include "linux/process.h"

_Static_assert(offsetof(struct cpu, self) == CPU_SELF, "asm offset");
_Static_assert(offsetof(struct cpu, running) == CPU_CURRENT, "asm offset");
_Static_assert(offsetof(struct cpu, id) == CPU_ID, "asm offset");
_Static_assert(offsetof(struct cpu, need_resched) == CPU_ATTENTION && offsetof(struct cpu, rcu_report) == CPU_ATTENTION + 1 &&
	       offsetof(struct cpu, attention_pad) == CPU_ATTENTION + 3, "asm offset");
_Static_assert(offsetof(struct cpu, kstack_top) == CPU_KSTACK_TOP, "asm offset");
_Static_assert(offsetof(struct cpu, gate) == CPU_GATE, "asm offset");
_Static_assert(offsetof(struct cpu, gate_calls) == CPU_GATE_CALLS, "asm offset");
_Static_assert(offsetof(struct cpu, trap_calls) == CPU_TRAP_CALLS, "asm offset");
_Static_assert(offsetof(struct cpu, odd_flags) == CPU_ODD_FLAGS, "asm offset");
_Static_assert(offsetof(struct cpu, runq.root) == CPU_RUNQ && offsetof(struct cpu, inbox) == CPU_INBOX &&
		       offsetof(struct cpu, held) == CPU_HELD, "asm offset");
_Static_assert(offsetof(struct thread, syscall_nr) == THREAD_SYSCALL_NR, "asm offset");
_Static_assert(offsetof(struct thread, ksp) == THREAD_KSP, "asm offset");
_Static_assert(offsetof(struct thread, process) == THREAD_PROCESS && offsetof(struct process, fds) == PROCESS_FDS, "asm offset");
_Static_assert(offsetof(struct fd_table, array) == FD_TABLE_ARRAY && offsetof(struct fd_array, size) == FD_ARRAY_SIZE &&
	       offsetof(struct fd_array, slots) == FD_ARRAY_SLOTS, "asm offset");
_Static_assert(offsetof(struct file, flags) == FILE_FLAGS && offsetof(struct file, ops) == FILE_OPS && offsetof(struct file, pos) == FILE_POS &&
	       offsetof(struct file_ops, plain_position) == FILE_OPS_PLAIN_POSITION, "asm offset");
_Static_assert(O_PATH == FILE_IS_PATH && F_GETFL == FCNTL_GETFL, "asm constant");
_Static_assert(offsetof(struct thread, kstack_top) == THREAD_KSTACK_TOP, "asm offset");
_Static_assert(offsetof(struct thread, kstack_base) == THREAD_KSTACK_BASE, "asm offset");
_Static_assert(offsetof(struct thread, work) == THREAD_WORK, "asm offset");
_Static_assert(offsetof(struct regs, r15) == REGS_R15, "asm offset");
_Static_assert(offsetof(struct regs, rbx) == REGS_RBX, "asm offset");
_Static_assert(offsetof(struct regs, r11) == REGS_R11, "asm offset");
_Static_assert(offsetof(struct regs, rdi) == REGS_RDI, "asm offset");
_Static_assert(offsetof(struct regs, orig_rax) == REGS_ORIG_RAX, "asm offset");
_Static_assert(offsetof(struct regs, rflags) == REGS_RFLAGS, "asm offset");
_Static_assert(offsetof(struct regs, rax) == REGS_RAX, "asm offset");
_Static_assert(offsetof(struct regs, rip) == REGS_RIP, "asm offset");
_Static_assert(offsetof(struct regs, rsp) == REGS_RSP, "asm offset");
_Static_assert(offsetof(struct regs, vector) == REGS_VECTOR, "asm offset");
_Static_assert(VMAP_BASE == 0xffffc90000000000ull && VMAP_END - VMAP_BASE == 1ull << VMAP_SHIFT, "asm copy");
_Static_assert(sizeof(struct regs) == REGS_BYTES, "asm offset");

struct cpu_features cpu_features;
struct cpu *cpus[MAX_CPUS];

static struct cpu boot_cpu;
extern char boot_stack[], boot_stack_top[];
static struct thread boot_thread;

struct __attribute__((packed)) idt_entry {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};
static struct idt_entry idt[256];
extern const uint64_t trap_stubs[256];

#define IST_BYTES 4096
static char boot_ist[5][IST_BYTES] __attribute__((aligned(16)));

static void detect_features(void)
{
	uint32_t a, b, c, d, max;
	struct cpu_features *f = &cpu_features;

	cpuid(0, 0, &max, &b, &c, &d);
	cpuid(1, 0, &a, &b, &c, &d);
	f->xsave = c & (1u << 26);
	f->x2apic = c & (1u << 21);
	f->tsc_deadline = c & (1u << 24);
	f->rdrand = c & (1u << 30);
	f->hypervisor = c & (1u << 31);
	f->pcid = c & (1u << 17);
	f->mce = d & (1u << 7);
	f->pge = d & (1u << 13);
	f->mca = d & (1u << 14);
	if (max >= 7) {
		cpuid(7, 0, &a, &b, &c, &d);
		f->fsgsbase = b & 1;
		f->smep = b & (1u << 7);
		f->rdseed = b & (1u << 18);
		f->umip = c & (1u << 2);
		f->rdpid = c & (1u << 22);
	}
	if (f->xsave && max >= 0xd) {
		cpuid(0xd, 1, &a, &b, &c, &d);
		f->xsaveopt = a & 1;
		f->xgetbv1 = a & 4;
	}
	cpuid(0x80000000, 0, &max, &b, &c, &d);
	if (max >= 0x80000001) {
		cpuid(0x80000001, 0, &a, &b, &c, &d);
		f->pdpe1gb = d & (1u << 26);
		f->rdtscp = d & (1u << 27);
	}
	if (max >= 0x80000007) {
		cpuid(0x80000007, 0, &a, &b, &c, &d);
		f->invtsc = d & (1u << 8);
	}
	if (f->hypervisor) {
		cpuid(0x40000000, 0, &a, &b, &c, &d);
		memcpy(f->hypervisor_name, &b, 4);
		memcpy(f->hypervisor_name + 4, &c, 4);
		memcpy(f->hypervisor_name + 8, &d, 4);
	}
}

static void fill_idt(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t off = trap_stubs[i];
		unsigned ist = IST_MAIN;
		if (i == 1)
			ist = IST_DB;
		else if (i == 2)
			ist = IST_NMI;
		else if (i == 8)
			ist = IST_DF;
		else if (i == 18)
			ist = IST_MC;
		idt[i] = (struct idt_entry){ off & 0xffff, SEL_CODE, ist, 0x8e, (off >> 16) & 0xffff,
					     off >> 32, 0 };
	}
}

static void load_descriptors(struct cpu *c)
{
	uint64_t tss = (uint64_t)&c->tss;

	memset(c->gdt, 0, sizeof(c->gdt));
	c->gdt[SEL_CODE / 8] = 0x00af9b000000ffffull;
	c->gdt[SEL_DATA / 8] = 0x00cf93000000ffffull;
	c->gdt[SEL_TSS / 8] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 |
			      (tss >> 24 & 0xff) << 56;
	c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
	c->tss.iomap = sizeof(c->tss);

	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} gdtr = { sizeof(c->gdt) - 1, (uint64_t)c->gdt }, idtr = { sizeof(idt) - 1, (uint64_t)idt };
	__asm__ volatile("lgdt %0" : : "m"(gdtr));
	__asm__ volatile("lidt %0" : : "m"(idtr));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
}

unsigned cpu_machine_check_banks(void) { return cpu_features.mca ? rdmsr(MSR_MCG_CAP) & 0xff : 0; }

void cpu_init_this(struct cpu *c)
{
	load_descriptors(c);
	c->gate = gate_entry;
	wrmsr(MSR_GS_BASE, (uint64_t)c);

	uint64_t cr4 = read_cr4();
	cr4 |= 1u << 9 | 1u << 10; /* OSFXSR, OSXMMEXCPT */
	if (cpu_features.mce) {
		/* What is left from before the boot is not for the report of one that comes. Which errors are reported is the firmware's choice. */
		for (unsigned i = 0, n = cpu_machine_check_banks(); i < n; i++)
			wrmsr(MSR_MC_STATUS(i), 0);
		cr4 |= 1u << 6; /* without this bit a machine check resets the machine without a word */
	}
	if (cpu_features.pge)
		cr4 |= 1u << 7;
	if (cpu_features.fsgsbase)
		cr4 |= 1u << 16;
	if (cpu_features.xsave)
		cr4 |= 1u << 18;
	write_cr4(cr4);

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 0x801); /* SCE, NXE */
	wrmsr(MSR_STAR, (uint64_t)SEL_CODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
	wrmsr(MSR_FMASK, 0); /* flags stay as they are: gate.S looks at them itself, and has no time without interrupts */
	if (cpu_features.rdtscp || cpu_features.rdpid)
		wrmsr(MSR_TSC_AUX, c->id); /* for getcpu in the vDSO; node 0 in the upper bits */
	fpu_init_this();
}

void cpu_init_boot(void)
{
	struct cpu *c = &boot_cpu;

	c->self = c;
	c->running = &boot_thread;
	c->timer_programmed_ns = UINT64_MAX;
	c->kstack_top = (uintptr_t)boot_stack_top;
	boot_thread.kstack_base = (uintptr_t)boot_stack;
	boot_thread.kstack_top = (uintptr_t)boot_stack_top;
	boot_thread.refs = 1;
	boot_thread.is_idle = true;
	boot_thread.fpu_cpu = -1;
	boot_thread.syscall_nr = -1;
	boot_thread.preempt_count = 1;
	strlcpy(boot_thread.name, "idle/0", sizeof(boot_thread.name));
	c->idle = &boot_thread;
	cpus[0] = c;
	for (unsigned i = 0; i < 5; i++)
		c->tss.ist[i] = (uint64_t)boot_ist[i] + IST_BYTES;
	detect_features();
	fill_idt();
	cpu_init_this(c);
	c->online = true;
}

bool regs_from_application(const struct regs *r)
{
	return (uintptr_t)r == current->kstack_top - sizeof(*r);
}

_Noreturn void cpu_halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}
