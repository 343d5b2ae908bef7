/*
 * kernel/arch/x86_64/sigframe.c - the frame of a signal handler on the application's stack.
 *
 * The layout is Linux's for x86-64: return address (the restorer), ucontext, siginfo, and above them the
 * vector state in XSAVE format, 64-byte aligned, with the magic words by which HotSpot, glibc and
 * unwinders find its extent. CS and SS read 0x33 and 0x2b whatever ring we are in.
 * Errors: -EFAULT when the stack (or the frame that is returned from) is not accessible or is garbage.
 */
#include "core/log.h"
#include "core/thread.h"
#include "core/uaccess.h"
#include "cpu.h"
#include "fpu.h"
#include "gate.h"
#include "lib/string.h"
#include "linux/process.h"
#include "linux/signal_private.h"
#include "linux/syscall.h"
#include "linux/task.h"
#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#define RED_ZONE 128
#define UC_FLAGS (1 | 2 | 4) /* FP_XSTATE, SIGCONTEXT_SS, STRICT_RESTORE_SS */
/* Flags that sigreturn sets and clears: AC OF DF TF SF ZF AF PF CF, RF. NT stays what it was in the handler. */
#define RFLAGS_RESTORABLE 0x50dd5ull

struct frame {
	uaddr_t pretcode;
	struct ucontext uc;
	siginfo_t info;
};

int fpu_try_xrstor(void *area);

static bool on_stack(const struct signal_state *s, uaddr_t sp)
{
	return s->alt_size && sp > s->alt_base && sp - s->alt_base <= s->alt_size;
}

bool sigstack_active(const struct signal_state *s, uaddr_t sp)
{
	if (s->alt_flags & SS_AUTODISARM) /* never "on" it */
		return false;
	return on_stack(s, sp);
}

static uint32_t fp_frame_bytes(void)
{
	return cpu_features.xsave ? fpu_area_bytes() + FP_XSTATE_MAGIC2_SIZE : 512;
}

uint64_t sigframe_min_stack(void)
{
	/* Frame, alignment, and room for the handler itself, as AT_MINSIGSTKSZ wants it. */
	return sizeof(struct frame) + fp_frame_bytes() + 64 + 16 + 128 + 1024;
}

/* The registers' vector state to `to`, complete and in standard format. */
static int push_fpu(uaddr_t to)
{
	struct thread *t = current;
	uint8_t *area = t->fpu;

	uint64_t f = irq_save();
	if (!cpu_features.xsave) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
		irq_restore(f);
		return copy_to_user(to, area, 512);
	}
	/* Plain XSAVE writes components in their initial state too. */
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(0xffffffff), "d"(0xffffffff) : "memory");
	irq_restore(f);

	struct _fpx_sw_bytes sw = {
		.magic1 = FP_XSTATE_MAGIC1,
		.extended_size = fp_frame_bytes(),
		.xfeatures = cpu_features.xcr0,
		.xstate_size = fpu_area_bytes(),
	};
	memcpy(area + 464, &sw, sizeof(sw)); /* bytes the hardware leaves to software */
	uint32_t magic2 = FP_XSTATE_MAGIC2;
	if (copy_to_user(to, area, fpu_area_bytes()) || copy_to_user(to + fpu_area_bytes(), &magic2, 4))
		return -EFAULT;
	return 0;
}

int sigframe_push(struct regs *r, int sig, const struct kernel_sigaction *act, const siginfo_t *info, uint64_t mask)
{
	struct signal_state *s = current->signals;
	uaddr_t sp = r->rsp - RED_ZONE;
	bool on_alt = sigstack_active(s, r->rsp);
	struct frame fr;

	memset(&fr, 0, sizeof(fr));
	fr.uc.uc_stack.ss_sp = (void *)s->alt_base;
	fr.uc.uc_stack.ss_size = s->alt_size;
	fr.uc.uc_stack.ss_flags = (int)s->alt_flags;
	/* Below the red zone, as on Linux: who has come that near to the end of the alternate stack begins at its top again. */
	if ((act->flags & SA_ONSTACK) && s->alt_size && !sigstack_active(s, sp)) {
		sp = s->alt_base + s->alt_size;
		on_alt = true;
	}
	uaddr_t fp = ALIGN_DOWN(sp - fp_frame_bytes(), 64);
	uaddr_t at = ALIGN_DOWN(fp - sizeof(struct frame), 16) - 8;
	if (at > sp || !uaddr_ok(at, sp - at))
		return -EFAULT;
	/* What lies below the alternate stack is not ours. */
	if (on_alt && !on_stack(s, at))
		return -EFAULT;

	if (!(act->flags & 0x04000000)) /* SA_RESTORER: x86-64 has no other way back */
		return -EFAULT;
	fr.pretcode = act->restorer;
	fr.uc.uc_flags = cpu_features.xsave ? UC_FLAGS : UC_FLAGS & ~1;
	fr.uc.uc_sigmask = mask;
	fr.info = *info;
	struct sigcontext *c = &fr.uc.uc_mcontext;
	c->r8 = r->r8;
	c->r9 = r->r9;
	c->r10 = r->r10;
	c->r11 = r->r11;
	c->r12 = r->r12;
	c->r13 = r->r13;
	c->r14 = r->r14;
	c->r15 = r->r15;
	c->rdi = r->rdi;
	c->rsi = r->rsi;
	c->rbp = r->rbp;
	c->rbx = r->rbx;
	c->rdx = r->rdx;
	c->rax = r->rax;
	c->rcx = r->rcx;
	c->rsp = r->rsp;
	c->rip = gate_canonical(r);
	c->eflags = r->rflags;
	c->cs = LINUX_USER_CS;
	c->ss = LINUX_USER_SS;
	c->err = s->fault_error;
	c->trapno = s->fault_trapno;
	c->cr2 = s->fault_address;
	c->oldmask = mask;
	c->fpstate = (void *)fp;

	if (push_fpu(fp) || copy_to_user(at, &fr, sizeof(fr)))
		return -EFAULT;
	/* The handler's own: else an unmasked exception would be raised again in its handler, and the rounding of what was interrupted count there. */
	fpu_reset();
	/* Also for a handler that does not run on it. */
	if (s->alt_flags & SS_AUTODISARM) {
		s->alt_base = s->alt_size = 0;
		s->alt_flags = SS_DISABLE;
	}
	r->rdi = (uint64_t)sig;
	r->rsi = at + offsetof(struct frame, info);
	r->rdx = at + offsetof(struct frame, uc);
	r->rax = 0;
	r->rsp = at;
	r->rip = act->handler;
	r->rflags &= ~(uint64_t)(RFLAGS_DF | 0x10000 | RFLAGS_TF);
	return 0;
}

static int pop_fpu(uaddr_t from)
{
	struct thread *t = current;
	uint8_t *area = t->fpu;
	struct _fpx_sw_bytes sw;
	uint32_t magic2 = 0;
	size_t bytes = fpu_area_bytes();

	if (!from) {
		fpu_reset();
		return 0;
	}
	if (copy_from_user(&sw, from + 464, sizeof(sw)))
		return -EFAULT;
	bool full = cpu_features.xsave && sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size == bytes &&
		    sw.extended_size >= bytes + FP_XSTATE_MAGIC2_SIZE && get_user(magic2, from + bytes) == 0 &&
		    magic2 == FP_XSTATE_MAGIC2;
	uint32_t mxcsr;
	uint64_t bv = 3;
	if (get_user(mxcsr, from + 24) || (full && get_user(bv, from + 512)))
		return -EFAULT;
	/* Our own area is overwritten: whatever happens now, the registers get the frame's state or the initial one. We
	 * may be switched out in between, more than once: the area must then be neither saved over nor loaded. */
	uint64_t irq = irq_save();
	t->fpu_cpu = FPU_HELD;
	if (cpu_features.xsave)
		memset(area + 512, 0, 64);
	irq_restore(irq);
	if (copy_from_user(area, from, 24) || copy_from_user(area + 32, from + 32, 480) ||
	    (full && copy_from_user(area + 576, from + 576, bytes - 576))) {
		fpu_reset();
		return -EFAULT;
	}
	mxcsr &= 0xffff;
	memcpy(area + 24, &mxcsr, 4);
	if (cpu_features.xsave) {
		bv &= cpu_features.xcr0 & (full ? sw.xfeatures : 3);
		memcpy(area + 512, &bv, 8);
	}
	uint64_t f = irq_save();
	int r = cpu_features.xsave ? fpu_try_xrstor(area) : 0;
	if (r == 0) {
		if (!cpu_features.xsave)
			__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
		this_cpu()->fpu_owner = t;
		t->fpu_cpu = (int)this_cpu()->id;
	}
	irq_restore(f);
	if (r)
		fpu_reset();
	return r;
}

int sigframe_pop(struct regs *r)
{
	struct signal_state *s = current->signals;
	struct frame fr;
	uaddr_t at = r->rsp - 8; /* the handler's ret took the restorer's address */

	if (copy_from_user(&fr.uc, at + offsetof(struct frame, uc), sizeof(fr.uc)))
		return -EFAULT;
	const struct sigcontext *c = &fr.uc.uc_mcontext;
	if (c->rip >= UADDR_END)
		return -EFAULT;
	if (pop_fpu((uaddr_t)c->fpstate))
		return -EFAULT;
	signal_set_blocked(fr.uc.uc_sigmask);
	s->restart.fn = NULL; /* a call that was about to go on ends now; what the handler did is none of its business */
	sigstack_set(s, &fr.uc.uc_stack, c->rsp); /* what it refuses is ignored */
	r->r8 = c->r8;
	r->r9 = c->r9;
	r->r10 = c->r10;
	r->r11 = c->r11;
	r->r12 = c->r12;
	r->r13 = c->r13;
	r->r14 = c->r14;
	r->r15 = c->r15;
	r->rdi = c->rdi;
	r->rsi = c->rsi;
	r->rbp = c->rbp;
	r->rbx = c->rbx;
	r->rdx = c->rdx;
	r->rax = c->rax;
	r->rcx = c->rcx;
	r->rsp = c->rsp;
	r->rip = c->rip;
	r->rflags = (c->eflags & RFLAGS_RESTORABLE) | (r->rflags & RFLAGS_NT) | RFLAGS_IF | RFLAGS_FIXED;
	r->cs = SEL_CODE;
	r->ss = SEL_DATA;
	r->orig_rax = (uint64_t)-1;
	r->vector = 0; /* return with every register restored */
	return 0;
}

long sys_rt_sigreturn(void)
{
	struct regs *r = current->regs;

	if (sigframe_pop(r) != 0)
		signal_fault(r, SIGSEGV, SI_KERNEL, 0, 13, 0);
	return (long)r->rax;
}
