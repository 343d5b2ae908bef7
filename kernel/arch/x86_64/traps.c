/*
 * kernel/arch/x86_64/traps.c - what happens after traps.S has moved the frame.
 *
 * Called with interrupts off. Exceptions of the application become signals (linux/signal.h), page
 * faults go to mm_fault(), exceptions of the kernel with an entry in the fixup table continue there, all
 * others are a panic. Interrupt handlers run to their end with interrupts off; then, if the interrupted
 * code may be preempted, the scheduler is asked.
 */
#include "cpu.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/thread.h"
#include "core/uaccess.h"
#include "linux/dispatch.h"
#include "linux/process.h"
#include "linux/signal.h"
#include "mm/mm.h"
#include "gate.h"
#include "insn.h"
#include "traps.h"

#define ERROR_PRESENT 1
#define ERROR_WRITE 2
#define ERROR_USER 4
#define ERROR_FETCH 16
#define CODE_RETRIES 1000 /* of a thread in its life: each is an accident of emulation */

/* How far from a hlt a jump to the instruction behind it is looked for: what a function or its cold part spans. */
#define JUMP_SEARCH MIB(1)
#define SEARCH_STEP 512u

struct ex_entry {
	uint64_t at, fixup;
};
extern const struct ex_entry __ex_table_start[], __ex_table_end[];

static bool apply_fixup(struct regs *r)
{
	for (const struct ex_entry *e = __ex_table_start; e < __ex_table_end; e++) {
		if (e->at == r->rip) {
			r->rip = e->fixup;
			return true;
		}
	}
	return false;
}

static const char *const exception_names[32] = {
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode",
	"device not available", "double fault", "9", "invalid TSS", "segment not present", "stack segment",
	"general protection", "page fault", "15", "x87 error", "alignment check", "machine check",
	"SIMD error", "virtualization", "control protection",
};

_Noreturn static void kernel_exception(struct regs *r)
{
	unsigned v = r->vector & 0xff;
	uintptr_t cr2 = read_cr2();
	const char *what = v == 14 ? kernel_address_describe(cr2) : NULL;

	if (v == 14)
		panic_regs(r, "page fault in the kernel: %s %#lx%s%s",
			   r->error & ERROR_FETCH ? "fetch from" : r->error & ERROR_WRITE ? "write to" : "read of",
			   cr2, what ? ", " : "", what ? what : "");
	panic_regs(r, "%s in the kernel, error %#lx", v < 32 && exception_names[v] ? exception_names[v] : "exception",
		   r->error);
}

/* The hardware is broken, whoever was running: with what the first bank says that says something. It may stand in another CPU's. */
_Noreturn static void machine_check(struct regs *r)
{
	for (unsigned i = 0, n = cpu_machine_check_banks(); i < n; i++) {
		uint64_t status = rdmsr(MSR_MC_STATUS(i));

		if (status & MC_VALID)
			panic_regs(r, "machine check, bank %u: status %#lx, address %#lx, MCG status %#lx", i, status,
				   status & MC_ADDRESS_VALID ? rdmsr(MSR_MC_ADDRESS(i)) : 0, rdmsr(MSR_MCG_STATUS));
	}
	panic_regs(r, "machine check");
}

/*
 * A relative jump accesses no data. A fault that says it did comes from an instruction that is no longer there: HotSpot
 * puts a jump over the first instruction of a method while other CPUs run it. Processors fetch such bytes at once;
 * QEMU's translator reads them one by one, executes half of the old and half of the new, and keeps what it has made until
 * somebody writes there. So the word is written back as it is, and the jump is executed.
 */
static bool code_changed(const struct regs *r)
{
	uint32_t word, found;
	uint8_t op;

	if (copy_from_user(&op, r->rip, 1) || (op != 0xe9 && op != 0xeb) || current->code_retries >= CODE_RETRIES)
		return false;
	current->code_retries++;
	if (r->rip % 4 == 0 && !user_load32(&word, r->rip))
		user_cmpxchg32(r->rip, word, word, &found);
	return true;
}

static void page_fault(struct regs *r, bool app)
{
	uintptr_t addr = read_cr2();
	enum fault_access access = r->error & ERROR_FETCH ? FAULT_EXEC : r->error & ERROR_WRITE ? FAULT_WRITE : FAULT_READ;
	enum fault_result result = FAULT_MAPERR;

	if (!app && (!current->process || !current->process->mm || !(r->rflags & RFLAGS_IF) || current->preempt_count ||
		     addr >= UADDR_END)) {
		if (!apply_fixup(r))
			kernel_exception(r);
		return;
	}
	irq_enable();
	if (addr < UADDR_END)
		result = mm_fault(current->process->mm, addr, access);
	irq_disable();
	if (result == FAULT_OK)
		return;
	if (result == FAULT_OOM) {
		struct mem_stats m;

		irq_enable();
		mem_stats_get(&m);
		log_info("memory in KiB: total %lu, free %lu, files %lu (mapped %lu), anonymous %lu, tmpfs and memfd %lu, slab %lu, "
			 "page tables %lu, kernel stacks %lu, committed %lu of %lu, reserve %lu", m.total >> 10, m.free >> 10,
			 (m.cached - m.shmem) >> 10, m.mapped >> 10, m.anon >> 10, m.shmem >> 10, m.slab >> 10,
			 m.page_tables >> 10, m.kernel_stacks >> 10, m.committed >> 10, m.commit_limit >> 10,
			 m.reserved_kernel >> 10);
		machine_fail(125, "out of memory: thread %d (%s) touched %#lx and nothing could be reclaimed; give the machine more memory (-m)",
			     current->tid, current->name, addr);
	}
	if (!app) {
		if (!apply_fixup(r))
			kernel_exception(r);
		return;
	}
	if (!(r->error & ERROR_FETCH) && code_changed(r))
		return;
	signal_fault(r, result == FAULT_BUS ? SIGBUS : SIGSEGV,
		     result == FAULT_BUS ? BUS_ADRERR : result == FAULT_ACCERR ? SEGV_ACCERR : SEGV_MAPERR,
		     addr, 14, (r->error & (ERROR_WRITE | ERROR_FETCH)) | ERROR_USER |
				       (result == FAULT_ACCERR ? ERROR_PRESENT : 0));
}

/* #GP and #SS of the application: a non-canonical address or a privileged operation. */
static void application_exception(struct regs *r)
{
	unsigned v = r->vector & 0xff;

	switch (v) {
	case 0:
		signal_fault(r, SIGFPE, FPE_INTDIV, r->rip, v, r->error);
		break;
	case 1:
		if (gate_single_step(r))
			break;
		signal_fault(r, SIGTRAP, TRAP_TRACE, r->rip, v, r->error);
		break;
	case 3:
		if (gate_breakpoint(r))
			break;
		signal_fault(r, SIGTRAP, SI_KERNEL, 0, v, r->error);
		break;
	case 6:
		signal_fault(r, SIGILL, ILL_ILLOPN, r->rip, v, r->error);
		break;
	case 16:
	case 19:
		signal_fault(r, SIGFPE, signal_fpe_code(v), r->rip, v, r->error);
		break;
	case 17:
		signal_fault(r, SIGBUS, BUS_ADRALN, 0, v, r->error);
		break;
	default:
		/* A relative jump raises none of these, either: its target is canonical. */
		if (v == 13 && !r->error && code_changed(r))
			break;
		signal_fault(r, SIGSEGV, SI_KERNEL, 0, v == 12 || v == 11 || v == 4 ? v : 13, r->error);
	}
}

/* `int n` of the application: on Linux only 3 and 4 are allowed (and 0x80, the 32-bit entry, which we
 * do not have). The saved RIP lies behind the instruction; Linux reports the instruction itself. */
static void software_interrupt(struct regs *r, unsigned n)
{
	r->rip -= 2;
	signal_fault(r, SIGSEGV, SI_KERNEL, 0, 13, n << 3 | 2);
}

/* Did the CPU itself raise this #DB? It tells so in DR6, which nobody but us clears, and which `int $1` leaves alone. */
static bool debug_status_take(void)
{
	uint64_t status = read_dr6() & DR6_CAUSES;

	if (status)
		write_dr6(DR6_IDLE);
	return status;
}

/*
 * What raises vectors 2 and 18 without an instruction (an NMI; a machine check) is so much rarer than the instruction that the
 * bytes before RIP are believed.
 */
static bool is_software_interrupt(const struct regs *r)
{
	uint8_t code[2];
	unsigned v = r->vector;

	if (v & VEC_SOFTWARE)
		return true;
	/* `int $3` and `int $4` are allowed. Exceptions with an error code have told by the stack's alignment. */
	if (v == 3 || v == 4 || v == 8 || (v >= 10 && v <= 14) || v == 17)
		return false;
	if (v == 1 && debug_status_take())
		return false;
	/* The two bytes before RIP belong to what was executing, so they can be read without a fault unless the
	 * instruction began on another page; -EFAULT then means: no. Interrupts are off, so the copy may not sleep: a
	 * page that is gone answers through the fixup. */
	if (r->rip < UADDR_MIN || copy_from_user(code, r->rip - 2, 2) != 0)
		return false;
	if (code[0] != 0xcd || code[1] != v)
		return false;
	/* A device interrupt may arrive behind two bytes that look like it; then its in-service bit is set. */
	return v < 32 || !apic_in_service(v);
}

/*
 * Is there a direct jump to `target` nearby? Pages that are not there are passed over: what has just been executed is.
 */
static bool reached_by_jump(uaddr_t target)
{
	uint8_t code[SEARCH_STEP + INSN_JUMP_MAX - 1];
	uaddr_t from = target > JUMP_SEARCH + UADDR_MIN ? target - JUMP_SEARCH : UADDR_MIN;

	/* A step never begins in one page and ends in another. */
	for (uaddr_t at = ALIGN_DOWN(from, SEARCH_STEP); at < target + JUMP_SEARCH; at += SEARCH_STEP) {
		size_t n = sizeof(code) - copy_from_user_partial(code, at, sizeof(code));

		if (insn_jump_to(code, (unsigned)n, at, target))
			return true;
	}
	return false;
}

/*
 * Did an interrupt end a `hlt` of the application? On Linux that instruction is SIGSEGV; here it halts the CPU, and the
 * first interrupt finds RIP behind it. Nothing else tells of the halt, so this must be right about two things. The byte 0xf4
 * before RIP must be an instruction and no tail (a displacement of -12): the code around it decides. And control must have come
 * through it: C libraries put a hlt behind a call or a system call that never returns, and what follows is the target of
 * a jump (glibc's _exit begins there). Whatever is doubtful counts as a pause.
 */
static bool halted_by_application(const struct regs *r)
{
	uint8_t code[INSN_WINDOW];
	unsigned n = sizeof(code);

	if (r->rip < UADDR_MIN || copy_from_user(code + n - 1, r->rip - 1, 1) != 0 || code[n - 1] != 0xf4)
		return false;
	/* Where functions begin nobody comes from above. Compiled Java methods lie behind data, which means nothing as code: only
	 * programs and libraries are judged. */
	if (r->rip % 16 == 0 || copy_from_user(code, r->rip - n, n) != 0 || !insn_falls_through_likely(code, n - 1) ||
	    !mm_is_program_text(r->rip - 1))
		return false;
	irq_enable();
	bool jump = reached_by_jump(r->rip);
	irq_disable();
	return !jump;
}

void trap_handler(struct regs *r)
{
	bool app = regs_from_application(r), is_short = !app && gate_is_short(r->rip);
	struct thread *t = current;
	uint64_t switches = thread_switches(t);
	unsigned v = r->vector & 0x1ff;

	if (is_short)
		t->preempt_count++;

	if (app) {
		gate_rewind(r);
		if (is_software_interrupt(r)) {
			software_interrupt(r, v & 0xff);
			goto out;
		}
		if (!(r->rflags & RFLAGS_IF)) {
			signal_interrupts_off(r);
			goto out;
		}
	}
	if (v < 32 || (v & VEC_SOFTWARE)) {
		switch (v) {
		case 2:
			panic_nmi(r);
			return;
		case 8:
			kernel_exception(r);
		case 18:
			machine_check(r);
		case 14:
			page_fault(r, app);
			break;
		default:
			if (!app) {
				if (!(v == 1 && gate_single_step(r)) && !apply_fixup(r))
					kernel_exception(r);
			} else {
				irq_enable();
				application_exception(r);
				irq_disable();
			}
		}
	} else {
		struct cpu *c = this_cpu();
		c->in_irq = true;
		c->interrupts++;
		irq_dispatch(v);
		c->in_irq = false;
		if (app && halted_by_application(r)) {
			r->rip--;
			signal_fault(r, SIGSEGV, SI_KERNEL, 0, 13, 0);
		}
	}
out:
	if (app) {
		while (1) {
			if (resched_wanted(this_cpu()))
				sched_preempt();
			/* Others have run here in the middle of the application's code. */
			if (t->rseq && thread_switches(t) != switches) {
				switches = thread_switches(t);
				atomic_fetch_or(&t->work, WORK_RSEQ);
			}
			if (!gate_work(r))
				break;
			irq_enable();
			exit_work(r, false);
			irq_disable();
		}
		r->vector = 0;
	} else {
		if (is_short)
			t->preempt_count--;
		else if ((r->rflags & RFLAGS_IF) && t->preempt_count == 0 && this_cpu()->need_resched)
			sched_preempt();
		gate_interrupted(r);
	}
}

void trap_stack_overflow(struct regs *r)
{
	panic_regs(r, "kernel stack overflow in thread %s, vector %lu", current->name, r->vector);
}

extern size_t user_copy(void *dst, const void *src, size_t len);
extern size_t user_clear(void *dst, size_t len);
extern int user_load32_asm(uint32_t *value, uaddr_t addr);
extern int user_cmpxchg32_asm(uaddr_t addr, uint32_t expect, uint32_t desired, uint32_t *found);

size_t copy_from_user_partial(void *dst, uaddr_t src, size_t len)
{
	return uaddr_ok(src, len) ? user_copy(dst, (const void *)src, len) : len;
}

size_t copy_to_user_partial(uaddr_t dst, const void *src, size_t len)
{
	return uaddr_ok(dst, len) ? user_copy((void *)dst, src, len) : len;
}

int copy_from_user(void *dst, uaddr_t src, size_t len)
{
	return copy_from_user_partial(dst, src, len) ? -EFAULT : 0;
}

int copy_to_user(uaddr_t dst, const void *src, size_t len)
{
	return copy_to_user_partial(dst, src, len) ? -EFAULT : 0;
}

int clear_user(uaddr_t dst, size_t len)
{
	return uaddr_ok(dst, len) && user_clear((void *)dst, len) == 0 ? 0 : -EFAULT;
}

ssize_t strncpy_from_user(char *dst, uaddr_t src, size_t size)
{
	size_t done = 0;

	while (done < size) {
		/* Up to the end of the page, so that a string at the end of mapped memory can be read. */
		size_t part = MIN(size - done, 4096 - ((src + done) & 4095));
		part = MIN(part, (size_t)256);
		size_t left = copy_from_user_partial(dst + done, src + done, part);
		for (size_t i = 0; i < part - left; i++)
			if (!dst[done + i])
				return (ssize_t)(done + i);
		if (left)
			return -EFAULT;
		done += part;
	}
	return -ENAMETOOLONG;
}

int user_load32(uint32_t *value, uaddr_t addr)
{
	return uaddr_ok(addr, 4) ? user_load32_asm(value, addr) : -EFAULT;
}

int user_cmpxchg32(uaddr_t addr, uint32_t expect, uint32_t desired, uint32_t *found)
{
	return uaddr_ok(addr, 4) ? user_cmpxchg32_asm(addr, expect, desired, found) : -EFAULT;
}
