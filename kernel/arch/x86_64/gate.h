/*
 * kernel/arch/x86_64/gate.h - system calls without the `syscall` instruction.
 *
 * Theory:    A `syscall` that an application executes again and again is replaced, in memory and in that mm alone, by a jump to
 *            a stub that jumps to gate_entry (gate.S), which calls the handler. What is seen of the thread from outside - the frame of a
 *            signal, a restart, a debugger's registers - names the site, never the stub. docs/syscalls.md has the argument.
 * Interface: below. `syscalls=trap` on the kernel command line, or tracing, turns it off; /proc/ibrik/syscalls shows what it does.
 * Locking:   gate->lock (a mutex of each mm) for every change; lookups take no lock, sites are never freed while the mm lives.
 * Errors:    a site that cannot be rewritten stays as it is and says why.
 */
#ifndef IBRIK_ARCH_GATE_H
#define IBRIK_ARCH_GATE_H

#include "core/uaccess.h"
#include "cpu.h"

struct gate;
struct mm;
struct text;

extern bool gate_on;

void gate_init(void); /* once, before programs run */
/* Frees what was kept for the programs of mm; no thread runs in it any more. */
void gate_free(struct mm *mm);
/*
 * After a call that came by the instruction: is it time to replace the instruction? Of r only rip and orig_rax are looked at. May
 * sleep. Not asked again for addresses in gate_quiet, a table by the low bits of the address behind the instruction.
 */
void gate_trapped(const struct regs *r);
extern _Atomic uaddr_t gate_quiet[GATE_QUIET_MASK + 1];
/* #BP of the application at r->rip - 1: true if a replacement under way made it; r then repeats the instruction. May sleep. */
bool gate_breakpoint(struct regs *r);
/* RIP of the application as the program knows it: a stub's addresses become those of its site. */
uaddr_t gate_canonical(const struct regs *r);
/*
 * #DB: true if it belongs to the way into the kernel, which is not stepped. exit_work() goes on with stepping behind the call, or where a signal
 * comes in between: gate_resume_step().
 */
bool gate_single_step(struct regs *r);
void gate_resume_step(struct regs *r);
/* What an interrupt of the application is to do before it returns: `work` of the thread, without a step that has been put off. */
uint32_t gate_work(const struct regs *r);
/* An interrupt of the kernel: sees to it that gate_entry's last decision is made again. */
void gate_interrupted(struct regs *r);
/* The application was interrupted at r, perhaps in a call without a stack: it is to begin anew. First of all, interrupts off. */
void gate_rewind(struct regs *r);
/* Counts, for the log, when the machine ends. */
void gate_report(void);
/* Counts and sites, for /proc/ibrik/syscalls. */
void gate_show(struct text *t);

/*
 * Short calls: what answers most calls of a number in a few instructions, without a frame; all others get SHORT_NO and take the long way. Such a
 * function preserves all registers. No switch interrupts it (an interrupt that finds RIP between __short_start and __short_end leaves the
 * CPU to it), so it is an RCU section by itself. It may not call anything, so all it uses is inline (the Makefile checks that), uses no string
 * instructions, since DF is the application's, and touches the application's memory by single moves only, where a fault answers -EFAULT.
 */
#define SHORT_CALL __attribute__((section(".text.short"), no_caller_saved_registers, used))
extern const char __short_start[], __short_end[];
/* By number, where stubs jump to; NULL: there is none. */
extern const void *const short_entry[GATE_LIMIT];

static inline bool gate_is_short(uint64_t rip) { return rip - (uintptr_t)__short_start < (uintptr_t)__short_end - (uintptr_t)__short_start; }

/* gate.S */
void gate_entry(void);
void gate_any(void);
extern const char gate_text[], gate_leave[], gate_left[], gate_end[], short_leave[], short_left[];
extern const char lseek_refused[], lseek_done[], lseek_end[], fcntl_refused[], fcntl_done[], fcntl_end[];
extern const char sched_yield_refused[], sched_yield_done[], sched_yield_end[];

#endif
