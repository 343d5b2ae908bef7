/*
 * kernel/arch/x86_64/cpu.h - registers, the per-CPU block and the frame of an interrupted context.
 *
 * GS base always points to this CPU's struct cpu (no swapgs); fields used by assembly come first and
 * their offsets stand in asm-offsets below, checked by static assertions in cpu.c.
 */
#ifndef IBRIK_ARCH_CPU_H
#define IBRIK_ARCH_CPU_H

#ifdef __ASSEMBLER__
#include "current.h" /* more offsets; C has it by core/thread.h */
#else
#include "core/thread.h"
#endif

#define CPU_SELF 0
#define CPU_KSTACK_TOP 16
#define CPU_ODD_FLAGS 8240
#define CPU_RUNQ (CPU_ODD_FLAGS + 8)
#define CPU_INBOX (CPU_ODD_FLAGS + 16)
#define CPU_HELD (CPU_ODD_FLAGS + 24)
#define CPU_GATE 40
#define CPU_GATE_CALLS 48
#define CPU_TRAP_CALLS (CPU_GATE_CALLS + 8 * GATE_LIMIT)

/* Numbers of system calls that the gate knows: SYSCALL_LIMIT of linux/dispatch.h. */
#define GATE_LIMIT 512
/* gate_quiet[] of gate.c, less one. */
#define GATE_QUIET_MASK 511
/* What a short call answers when it is for the long way; no call's result. */
#define SHORT_NO (-0x7fffffff - 1)
/* All of them. */
#define SHORT_CALLS(f) f(lseek) f(read) f(pread64) f(write) f(fcntl) f(sched_getaffinity) f(sched_yield)

#define THREAD_KSP 0
#define THREAD_KSTACK_TOP 8
#define THREAD_KSTACK_BASE 16
#define THREAD_WORK 24
#define THREAD_SYSCALL_NR 28
#define THREAD_PROCESS 256

/* What the shortest calls look at (gate.S). */
#define PROCESS_FDS 64
#define FD_TABLE_ARRAY 40
#define FD_ARRAY_SIZE 16
#define FD_ARRAY_SLOTS 40
#define FILE_FLAGS 4
#define FILE_OPS 8
#define FILE_POS 64
#define FILE_OPS_PLAIN_POSITION 32
#define FILE_IS_PATH 0x200000 /* O_PATH */
#define FCNTL_GETFL 3

#define SEL_CODE 0x10
#define SEL_DATA 0x18
#define SEL_TSS 0x20
#define LINUX_USER_CS 0x33
#define LINUX_USER_SS 0x2b

/* struct regs, in bytes */
#define REGS_R15 0
#define REGS_R14 8
#define REGS_R13 16
#define REGS_R12 24
#define REGS_RBP 32
#define REGS_RBX 40
#define REGS_R11 48
#define REGS_R10 56
#define REGS_R9 64
#define REGS_R8 72
#define REGS_RAX 80
#define REGS_RCX 88
#define REGS_RDX 96
#define REGS_RSI 104
#define REGS_RDI 112
#define REGS_ORIG_RAX 120
#define REGS_RIP 128
#define REGS_CS 136
#define REGS_RFLAGS 144
#define REGS_RSP 152
#define REGS_SS 160
#define REGS_VECTOR 168
#define REGS_BYTES 192

/* An IST frame on the kernel's stack must leave this much below it. */
#define KSTACK_MARGIN 1024

/* Where kernel stacks are mapped; mm.h has the same for C. */
#define VMAP_SHIFT 45
#ifdef __ASSEMBLER__
#define VMAP_BASE 0xffffc90000000000
#endif

#define IST_MAIN 1
#define IST_NMI 2
#define IST_DF 3
#define IST_MC 4
#define IST_DB 5

#define VEC_TIMER 0xf0
#define VEC_IPI 0xf1
#define VEC_SPURIOUS 0xff
#define VEC_FIRST_DEVICE 0x30
#define VEC_LAST_DEVICE 0xef
/* Added to a vector number when software raised it by `int n`. */
#define VEC_SOFTWARE 0x100
#define VEC_SYSCALL 0x200

#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_TSC_AUX 0xc0000103
#define MSR_APIC_BASE 0x1b
/* Machine checks: how many banks there are, what is going on, and in each bank what happened where. */
#define MSR_MCG_CAP 0x179
#define MSR_MCG_STATUS 0x17a
#define MSR_MC_STATUS(bank) (0x401 + 4 * (bank))
#define MSR_MC_ADDRESS(bank) (0x402 + 4 * (bank))
#define MC_VALID (1ull << 63)
#define MC_ADDRESS_VALID (1ull << 58)
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_PAT 0x277

#define DR6_CAUSES 0xe00f /* breakpoints 0 to 3, an access to debug registers, a single step, a task switch */
#define DR6_IDLE 0xffff0ff0ull
#define RFLAGS_CF 0x1
#define RFLAGS_FIXED 0x2
#define RFLAGS_TF 0x100
#define RFLAGS_IF 0x200
#define RFLAGS_DF 0x400
#define RFLAGS_NT 0x4000
#define RFLAGS_AC 0x40000

#ifndef __ASSEMBLER__
#include "lib/types.h"
#include "lib/heap.h"

struct regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax; /* system-call number, or -1 */
	uint64_t rip, cs, rflags, rsp, ss;
	uint64_t vector;   /* VEC_SYSCALL; changed to 0 when the return must restore everything */
	uint64_t error;
	uint64_t pad;
};

/* What a switch of threads executes lies together: few cache lines, and a page within which a translator links it directly. */
#define SWITCHING __attribute__((section(".text.switch")))

struct ipi_call;

/*
 * Watching: idle, with interrupts on, and looking at its inbox all the time. Who is idle in either way may be told to flush later (CPU_FLUSH): it
 * touches nothing of the application's until it is busy again.
 */
enum cpu_idle_state { CPU_BUSY = 0, CPU_IDLE = 1, CPU_WATCHING = 2, CPU_FLUSH = 4 };

struct cpu {
	struct cpu *self;
	struct thread *_Atomic running;
	uint64_t kstack_top;
	unsigned id;
	uint32_t apic_id;
	/* What is to be done, set by this CPU only: the first two at the next preempt_enable(), all before the return to the application. */
	volatile bool need_resched;   /* another thread should run */
	bool rcu_report;              /* report quiescence */
	bool resched_soon;            /* another thread should run when this one's call is over */
	bool attention_pad;
	void *gate;                   /* where stubs jump to: gate_entry */
	/* System calls by number: through the gate, and by the instruction. */
	uint64_t gate_calls[GATE_LIMIT], trap_calls[GATE_LIMIT];
	uint64_t odd_flags;           /* of a system call that begins; gate.S, with interrupts off */
	/* Run queue, touched by this CPU only, with interrupts off; and a lock-free stack of threads to look at. */
	struct heap runq;
	struct thread *_Atomic inbox;
	/* As the run queue: a woken thread of another CPU that does not hear of it yet, and until when; when the last of its kind was told. */
	struct thread *held;
	uint64_t held_until_ns, held_last_ns;

	_Atomic bool online;
	_Atomic int idle_state;       /* enum cpu_idle_state: lets TLB shootdown skip idle CPUs */
	struct thread *idle;

	/* As the run queue. */
	_Atomic unsigned nr_running;  /* queued and current, without idle; others read it as a hint */
	uint64_t min_vruntime_ns;
	int64_t clock_shift_ns;       /* min_vruntime plus this is comparable with other CPUs' */
	_Atomic int64_t clock_ns;     /* that sum less the time when it was true, for others: a hint */
	uint64_t balance_ns;          /* when to compare next */
	uint64_t slice_begin_ns, slice_end_ns;
	struct heap timers;
	uint64_t timer_programmed_ns; /* what the hardware timer is set to, UINT64_MAX if none */

	struct ipi_call *_Atomic calls;
	_Atomic bool ipi_sent;        /* an IPI is on the way */
	_Atomic bool pull_request;    /* an idle CPU asks us to share */
	bool in_irq;

	struct thread *fpu_owner;     /* whose state is in the vector registers */
	uint64_t watch_ns;            /* how long this CPU looks for work before it halts; see core/idle.c */
	uint64_t watch_from_ns;       /* not before */
	uint64_t interrupts, ipis, switches, idle_ns, idle_since_ns;

	/* descriptors of this CPU */
	uint64_t gdt[8];
	struct __attribute__((packed)) {
		uint32_t reserved0;
		uint64_t rsp[3];
		uint64_t reserved1;
		uint64_t ist[7];
		uint64_t reserved2;
		uint16_t reserved3, iomap;
	} tss;
};

extern struct cpu *cpus[];

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;
	__asm__ volatile("mov %%gs:0, %0" : "=r"(c));
	return c;
}

/* Before the return to the application: should another thread run first? */
static inline bool resched_wanted(const struct cpu *c) { return c->need_resched || c->resched_soon; }

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}
static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	__asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(sub));
}
static inline uint64_t irq_save(void)
{
	uint64_t f;
	__asm__ volatile("pushfq; popq %0; cli" : "=r"(f) : : "memory");
	return f;
}
static inline void irq_restore(uint64_t f)
{
	if (f & RFLAGS_IF)
		__asm__ volatile("sti" : : : "memory");
}
static inline void irq_enable(void) { __asm__ volatile("sti" : : : "memory"); }
static inline void irq_disable(void) { __asm__ volatile("cli" : : : "memory"); }
static inline bool irqs_enabled(void)
{
	uint64_t f;
	__asm__ volatile("pushfq; popq %0" : "=r"(f));
	return f & RFLAGS_IF;
}
static inline uint64_t read_cr2(void) { uint64_t v; __asm__ volatile("mov %%cr2, %0" : "=r"(v)); return v; }
static inline uint64_t read_cr3(void) { uint64_t v; __asm__ volatile("mov %%cr3, %0" : "=r"(v)); return v; }
static inline void write_cr3(uint64_t v) { __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }
static inline uint64_t read_dr6(void) { uint64_t v; __asm__ volatile("mov %%dr6, %0" : "=r"(v)); return v; }
static inline void write_dr6(uint64_t v) { __asm__ volatile("mov %0, %%dr6" : : "r"(v)); }
static inline uint64_t read_cr4(void) { uint64_t v; __asm__ volatile("mov %%cr4, %0" : "=r"(v)); return v; }
static inline void write_cr4(uint64_t v) { __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }
static inline uint64_t read_cr0(void) { uint64_t v; __asm__ volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static inline void write_cr0(uint64_t v) { __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
static inline void invlpg(uintptr_t a) { __asm__ volatile("invlpg (%0)" : : "r"(a) : "memory"); }
static inline void cpu_relax(void) { __asm__ volatile("pause"); }


/* The frame of the application always lies at the very top of the kernel stack. */
bool regs_from_application(const struct regs *r);
/* Banks of machine checks that this CPU has; may be none. */
unsigned cpu_machine_check_banks(void);

/* CPU features found at boot. */
struct cpu_features {
	bool fsgsbase, xsave, xsaveopt, xgetbv1, x2apic, tsc_deadline, rdrand, rdseed, invtsc, pge, pdpe1gb,
		pcid, smep, umip, rdtscp, rdpid, mce, mca, hypervisor;
	uint64_t xcr0;
	uint32_t xsave_bytes;
	char hypervisor_name[13];
};
extern struct cpu_features cpu_features;

/* Runs fn(arg) on every other online CPU with interrupts off there and returns when all have; sleeps.
 * With skip_idle, idle CPUs only flush their TLB when they wake (for translations alone). Answers how many CPUs ran it. */
unsigned smp_call_others(void (*fn)(void *arg), void *arg, bool skip_idle);
/* The same on every online CPU, this one included. */
void smp_call_all(void (*fn)(void *arg), void *arg);
void tlb_flush_local(uintptr_t start, uintptr_t end);

/* arch-private start-up, called from kernel_main in order */
void cpu_init_boot(void);   /* GDT, IDT, TSS, features of the boot CPU */
void cpu_init_this(struct cpu *c);
void apic_init(void);
void apic_init_this(void);
void apic_eoi(void);
void apic_send_ipi(uint32_t apic_id, unsigned vector);
void apic_send_nmi_others(void);
void apic_timer_set(uint64_t deadline_ns); /* this CPU's; may be a second from now at the latest. UINT64_MAX: off */
/* Resets another CPU; 200 us later it takes a start-up IPI, and begins in real mode at the beginning of that page. */
void apic_send_init(uint32_t apic_id);
void apic_send_startup(uint32_t apic_id, unsigned page);
bool apic_in_service(unsigned vector);
/* Starts the other CPUs from a thread of its own; smp_wait() returns when that is done. */
void smp_start(void);
void smp_wait(void);
void clock_init(void);
void clock_init_late(void); /* threads run: refinement */
void syscall_entry(void);
void fpu_init_this(void);
uint32_t fpu_area_bytes(void);
/* prev's registers go to its area unless they are not here, next's come unless they are. Interrupts off. */
void fpu_switch(struct cpu *c, struct thread *prev, struct thread *next);
/* Returns the thread that ran before, to whoever runs next. */
struct thread *switch_stacks(struct thread *prev, struct thread *next);
void thread_entry_kernel(void);
void thread_entry_app(void);
_Noreturn void cpu_halt_forever(void);
void backtrace_print(uintptr_t rip, uintptr_t rbp, int level);
const char *symbol_lookup(uintptr_t addr, uintptr_t *offset);
#endif
#endif
