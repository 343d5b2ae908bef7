/*
 * kernel/arch/x86_64/gate.c - replaces `syscall` instructions by jumps to stubs; see gate.h and docs/syscalls.md.
 *
 * Theory:  A site is counted until it has been executed often enough to pay. Then it is judged (site.c), gets a stub in a pool
 *          near it, and its bytes are replaced on a private copy of the page, under the rules for code that other CPUs execute:
 *          int3 over the first byte, every CPU serialises, the tail, every CPU serialises, the first byte, every CPU serialises. A thread that
 *          meets the int3 waits until it is gone. All of it is written through the direct map; the application's pages stay read-only.
 * Locking: gate->lock; it is held while CPUs are waited for. Lookups walk the table without a lock: entries appear with release
 *          and stay.
 * Errors:  see gate.h. Source: Intel SDM volume 3, 8.1.3 (cross-modifying code).
 */
#include "gate.h"
#include "core/boot.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/smp.h"
#include "core/thread.h"
#include "fs/genfs.h"
#include "fs/vfs.h"
#include "lib/string.h"
#include "linux/dispatch.h"
#include "linux/process.h"
#include "linux/trace.h"
#include "mm/mm.h"
#include "mm/pagecache.h"
#include "site.h"
#include "stub.h"
#include <asm/unistd.h>
#include <linux/mman.h>

#define TABLE_SLOTS 2048u /* open addressing; a power of two */
#define SITES_MAX (TABLE_SLOTS * 3 / 4)
#define POOL_STUBS 512u
#define POOL_BYTES (POOL_STUBS * STUB_BYTES)
/* Stubs and sites reach each other by rel32, from anywhere in a pool and in a large library. */
#define POOL_REACH (GIB(2) - MIB(1))
/* Replacing costs about as much as so many calls save. */
#define CALLS_BEFORE_OPENING 8u

#define INT3 0xcc
#define NOP 0x90
#define JMP_SHORT 0xeb

_Static_assert(GATE_LIMIT == SYSCALL_LIMIT, "asm copy");
_Static_assert(POOL_BYTES % PAGE_SIZE == 0, "whole pages");

enum site_state {
	SITE_COUNTING,
	SITE_OPENING, /* its bytes are being replaced */
	SITE_OPEN,
	SITE_REFUSED,
};

struct site {
	struct site *next;        /* gate->replaced */
	uaddr_t addr;             /* of `syscall` */
	_Atomic uint32_t calls;   /* that came by the instruction; a hint */
	_Atomic int state;        /* enum site_state */
	const char *why;          /* refused: for people */
	/* Written before the state becomes SITE_OPENING, constant then. */
	uint8_t shape;
	bool leaf;
	uint16_t number;          /* of the call that opened it: a leaf's own */
	uint8_t patch_bytes;
	uaddr_t patch;            /* first byte that is replaced */
	uaddr_t hole;             /* SITE_NEAR: where the long jump stands */
	uaddr_t stub;
	uint8_t jump[SITE_JUMP_BYTES]; /* what stands at patch now */
	uint8_t before[SITE_JUMP_BYTES]; /* and what stood there */
};

struct pool {
	struct pool *next;
	uaddr_t start;
	struct file *file;
	unsigned used;
	struct site *owner[POOL_STUBS];
};

struct gate {
	struct mutex lock;
	struct pool *_Atomic pools;
	unsigned nsites;
	struct site *_Atomic table[TABLE_SLOTS];
	struct site *replaced;    /* no longer in the table, but stubs name them */
};

bool gate_on;
/* Handlers that may be called without a full frame, by either door; NULL for the others. */
syscall_fn *gate_table[SYSCALL_LIMIT];

static const uint16_t want_frame[] = { __NR_rt_sigreturn, __NR_clone, __NR_fork, __NR_vfork, __NR_execve, __NR_exit, __NR_exit_group,
				       __NR_execveat, __NR_clone3 };

void gate_init(void)
{
	char v[16];

	/* What is traced always takes the long way. */
	for (unsigned i = 0; i < SYSCALL_LIMIT && !trace_syscalls; i++)
		gate_table[i] = syscall_table[i];
	for (unsigned i = 0; i < ARRAY_SIZE(want_frame); i++)
		gate_table[want_frame[i]] = NULL;
	gate_on = !trace_syscalls;
	if (option_get("syscalls", v, sizeof(v))) {
		if (!strcmp(v, "trap"))
			gate_on = false;
		else if (strcmp(v, "gate"))
			log_warn("option syscalls=%s: only syscalls=trap and syscalls=gate are known", v);
	}
}

/* --- looking up ------------------------------------------------------------------------------------------ */
static unsigned hash(uaddr_t addr)
{
	return (unsigned)(addr * 0x9e3779b97f4a7c15ull >> 40) % TABLE_SLOTS;
}

static struct site *site_find(struct gate *g, uaddr_t addr)
{
	struct site *s;

	for (unsigned i = hash(addr); (s = atomic_load_explicit(&g->table[i], memory_order_acquire)); i = (i + 1) % TABLE_SLOTS)
		if (s->addr == addr)
			return s;
	return NULL;
}

static struct gate *gate_of_current(void)
{
	struct process *p = current->process;

	return p && p->mm ? atomic_load_explicit(&p->mm->gate, memory_order_acquire) : NULL;
}

static struct site *stub_owner(struct gate *g, uaddr_t addr)
{
	for (struct pool *p = atomic_load_explicit(&g->pools, memory_order_acquire); p; p = p->next)
		if (addr >= p->start && addr < p->start + POOL_BYTES)
			return p->owner[(addr - p->start) / STUB_BYTES];
	return NULL;
}

static bool in_pool(struct gate *g, uaddr_t addr)
{
	for (struct pool *p = atomic_load_explicit(&g->pools, memory_order_acquire); p; p = p->next)
		if (addr >= p->start && addr < p->start + POOL_BYTES)
			return true;
	return false;
}

/* --- what is seen from outside --------------------------------------------------------------------------- */
static bool in_entry(uint64_t rip) { return rip >= (uintptr_t)gate_text && rip < (uintptr_t)gate_end; }
static bool between(uint64_t rip, const char *from, const char *to) { return rip - (uintptr_t)from < (uintptr_t)to - (uintptr_t)from; }

/* The calls without a stack (gate.S): what is executed from refused to done has changed nothing yet, from done to end rax is the result. */
#define STACKLESS(name) { name##_refused, name##_done, name##_end, short_##name##_entry, __NR_##name }
void short_lseek_entry(void);
void short_fcntl_entry(void);
void short_sched_yield_entry(void);
static const struct {
	const char *first, *done, *end;
	void (*entry)(void);
	unsigned number;
} stackless[] = { STACKLESS(lseek), STACKLESS(fcntl), STACKLESS(sched_yield) };

/* Its number in the table if RIP is where a call without a stack has changed nothing yet, else -1. */
static int stackless_at(uint64_t rip)
{
	if (likely(!in_entry(rip)))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(stackless); i++)
		if (between(rip, stackless[i].first, stackless[i].done))
			return (int)i;
	return -1;
}

void gate_rewind(struct regs *r)
{
	int i = stackless_at(r->rip);

	if (unlikely(i >= 0)) {
		r->rip = (uintptr_t)stackless[i].entry;
		r->rax = stackless[i].number;
	}
}

/* RSP is the application's, and the call is over. */
static bool has_left(uint64_t rip)
{
	for (size_t i = 0; i < ARRAY_SIZE(stackless); i++)
		if (between(rip, stackless[i].done, stackless[i].end))
			return true;
	return rip == (uintptr_t)gate_left || rip == (uintptr_t)short_left;
}

uaddr_t gate_canonical(const struct regs *r)
{
	struct gate *g = gate_of_current();
	uint8_t code[SITE_JUMP_BYTES];
	struct site *s;
	int32_t rel;

	if (in_entry(r->rip))
		return has_left(r->rip) ? r->rcx : r->rcx - SITE_SYSCALL_BYTES;
	if (!g || r->rip >= UADDR_END)
		return r->rip;
	if ((s = stub_owner(g, r->rip)))
		return s->leaf || r->rip == s->stub ? s->shape == SITE_BEFORE ? s->patch : s->addr : s->addr;
	/* The long jump of a site that could only hold a short one? */
	if (copy_from_user(code, r->rip, sizeof(code)) || code[0] != JMP_LONG)
		return r->rip;
	memcpy(&rel, code + 1, sizeof(rel));
	s = stub_owner(g, r->rip + SITE_JUMP_BYTES + (uint64_t)(int64_t)rel);
	return s && s->shape == SITE_NEAR && s->hole == r->rip ? s->addr : r->rip;
}

bool gate_single_step(struct regs *r)
{
	struct gate *g = gate_of_current();
	struct site *s;
	int i;

	if (!in_entry(r->rip) && !gate_is_short(r->rip)) {
		if (!g || !regs_from_application(r) || gate_canonical(r) == r->rip)
			return false;
		s = stub_owner(g, r->rip);
		if (!s)
			return true; /* in the padding: a stub comes next */
		/* A leaf stub does not come by the kernel's exit, so its call is made by the instruction, which is still there. */
		if (s->leaf) {
			r->rip = s->addr;
			r->rax = s->number;
		}
	}
	/* Neither do calls without a stack: the long way does. */
	i = stackless_at(r->rip);
	if (i >= 0)
		r->rip = (uintptr_t)stackless[i].first;
	r->rflags &= ~(uint64_t)RFLAGS_TF;
	atomic_fetch_or(&current->work, WORK_STEP);
	return true;
}

uint32_t gate_work(const struct regs *r)
{
	uint32_t work = atomic_load_explicit(&current->work, memory_order_relaxed);

	if (unlikely(work == WORK_STEP) && gate_canonical(r) != r->rip)
		return 0;
	return work;
}

void gate_resume_step(struct regs *r)
{
	r->rflags |= RFLAGS_TF;
	r->vector = 0;
}

void gate_interrupted(struct regs *r)
{
	if (between(r->rip, gate_leave, gate_left))
		r->rip = (uintptr_t)gate_leave;
	else if (between(r->rip, short_leave, short_left))
		r->rip = (uintptr_t)short_leave;
}

/* --- stubs ------------------------------------------------------------------------------------------------- */
static bool reaches(uaddr_t a, uaddr_t b) { return (a > b ? a - b : b - a) < POOL_REACH; }

static struct pool *pool_new(struct mm *mm, struct gate *g, uaddr_t near, const char **why)
{
	struct pool *p = kzalloc(sizeof(*p));
	struct file *f = memfd_new("ibrik-gate", 0);
	uaddr_t at;
	long r;

	*why = "no memory for its stub";
	if (!p || IS_ERR(f)) {
		if (!IS_ERR(f))
			file_put(f);
		kfree(p);
		return NULL;
	}
	if (pagecache_truncate(f->ops->map(f), POOL_BYTES))
		goto fail;
	atomic_store(&f->flags, O_RDONLY | O_LARGEFILE);
	*why = "no free address within reach for its stub";
	at = mm_gap_near(mm, near, POOL_BYTES, POOL_REACH);
	if (!at)
		goto fail;
	r = mm_mmap(mm, at, POOL_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED_NOREPLACE, f, 0);
	if (r < 0)
		goto fail;
	p->start = at;
	p->file = f;
	p->next = atomic_load_explicit(&g->pools, memory_order_relaxed);
	atomic_store_explicit(&g->pools, p, memory_order_release);
	*why = NULL;
	return p;
fail:
	file_put(f);
	kfree(p);
	return NULL;
}

static struct pool *pool_for(struct mm *mm, struct gate *g, uaddr_t site, const char **why)
{
	for (struct pool *p = atomic_load_explicit(&g->pools, memory_order_relaxed); p; p = p->next)
		if (p->used < POOL_STUBS && reaches(p->start, site) && reaches(p->start + POOL_BYTES, site))
			return p;
	return pool_new(mm, g, site, why);
}

/* --- replacing bytes -------------------------------------------------------------------------------------- */
/* Pages of the application, private copies, for writing: each of the few that a site touches. */
struct pages {
	struct mm *mm;
	unsigned n;
	uaddr_t at[4];
	struct page *page[4];
};

static void pages_put(struct pages *ps)
{
	while (ps->n)
		page_put(ps->page[--ps->n]);
}

/* 0, or -errno of mm_code_page(). */
static int pages_add(struct pages *ps, uaddr_t from, unsigned len)
{
	for (uaddr_t at = ALIGN_DOWN(from, PAGE_SIZE); at < from + len; at += PAGE_SIZE) {
		bool known = false;

		for (unsigned i = 0; i < ps->n; i++)
			known |= ps->at[i] == at;
		if (known)
			continue;
		assert(ps->n < ARRAY_SIZE(ps->page));
		struct page *p = mm_code_page(ps->mm, at);
		if (IS_ERR(p))
			return (int)PTR_ERR(p);
		ps->at[ps->n] = at;
		ps->page[ps->n++] = p;
	}
	return 0;
}

static _Atomic uint8_t *byte_at(struct pages *ps, uaddr_t addr)
{
	for (unsigned i = 0; i < ps->n; i++)
		if (ps->at[i] == ALIGN_DOWN(addr, PAGE_SIZE))
			return (_Atomic uint8_t *)page_to_virt(ps->page[i]) + addr % PAGE_SIZE;
	panic("%#lx is not among the pages of a site", addr);
}

static void write_byte(struct pages *ps, uaddr_t addr, uint8_t v)
{
	atomic_store_explicit(byte_at(ps, addr), v, memory_order_release);
}

static bool holds(struct pages *ps, uaddr_t addr, const uint8_t *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (atomic_load_explicit(byte_at(ps, addr + i), memory_order_relaxed) != bytes[i])
			return false;
	return true;
}

/* A write of CR2 serialises (Intel SDM volume 3, 8.3), and no hypervisor intercepts it. Interrupts are off, so no fault is under way. */
static void serialise(void *arg)
{
	__asm__ volatile("mov %%cr2, %%rax; mov %%rax, %%cr2" : : : "rax", "memory");
}

/* Every CPU executes what is in memory now. */
static void all_serialise(void) { smp_call_all(serialise, NULL); }

static void replace(struct pages *ps, struct site *s)
{
	/* The bytes are written from behind, so that the first comes last. */
	write_byte(ps, s->patch, INT3);
	all_serialise();
	for (unsigned i = s->patch_bytes; i-- > 1;)
		write_byte(ps, s->patch + i, s->jump[i]);
	all_serialise();
	write_byte(ps, s->patch, s->jump[0]);
	all_serialise();
}

/* --- opening a site ------------------------------------------------------------------------------------------ */
struct window {
	uint8_t code[2 * SITE_WINDOW];
	uaddr_t base;
	unsigned n, at;
};

/* Puts back what stood at sites that have been replaced: code is judged as its compiler wrote it, not by the bytes of a displacement. */
static void window_restore(struct gate *g, struct window *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		const struct site *s = site_find(g, w->base + i);

		if (!s || atomic_load_explicit(&s->state, memory_order_relaxed) != SITE_OPEN)
			continue;
		uaddr_t at = s->patch - w->base;

		/* Unless other code is there by now. */
		if (at < w->n && w->n - at >= s->patch_bytes && !memcmp(w->code + at, s->jump, s->patch_bytes))
			memcpy(w->code + at, s->before, s->patch_bytes);
	}
}

/* The code around the site, as far as it is mapped. */
static bool window_read(struct window *w, uaddr_t site)
{
	uaddr_t from = site - SITE_WINDOW;

	if (site < UADDR_MIN + SITE_WINDOW)
		return false;
	if (copy_from_user(w->code, from, SITE_WINDOW)) {
		from = ALIGN_DOWN(site, PAGE_SIZE);
		if (from < site && copy_from_user(w->code, from, site - from))
			return false;
	}
	w->base = from;
	w->at = (unsigned)(site - from);
	w->n = w->at + SITE_WINDOW - (unsigned)copy_from_user_partial(w->code + w->at, site, SITE_WINDOW);
	return true;
}

/*
 * Do all bytes that a plan replaces lie in one page? A page of code may be dropped (MADV_DONTNEED) or mapped anew, and what was written to
 * it is gone then: a jump must not lose a part of itself, nor the padding that it leads to.
 */
static bool in_one_page(const struct window *w, const struct site_plan *plan)
{
	unsigned from = w->at - SITE_JUMP_BYTES, to = w->at - 1;

	if (plan->shape == SITE_NEAR) {
		from = MIN(w->at, plan->hole);
		to = MAX(w->at + SITE_SYSCALL_BYTES, plan->hole_end) - 1;
	}
	return ALIGN_DOWN(w->base + from, PAGE_SIZE) == ALIGN_DOWN(w->base + to, PAGE_SIZE);
}

static const char *refusal(int error)
{
	return error == -EACCES ? "it is not in a private, unwritable mapping of a file" : error == -ENOMEM ? "no memory for a copy of its page" :
	       "its page cannot be read";
}

/* Tries to replace the instruction. NULL, or why not. gate->lock held. */
static const char *open_locked(struct mm *mm, struct gate *g, struct site *s, uint64_t number)
{
	struct pages ps = { .mm = mm };
	struct window w, judged;
	struct site_plan plan;
	struct code code = { .n = 0 };
	struct pool *pool;
	struct page *stub_page;
	const char *why = NULL;
	int r;

	if (in_pool(g, s->addr))
		return "it is a stub's own";
	if (!window_read(&w, s->addr))
		return refusal(-EFAULT);
	judged = w;
	window_restore(g, &judged);
	plan = site_judge(judged.code, judged.n, judged.at, judged.base, number);
	if (plan.shape == SITE_NONE)
		return plan.why;
	if (!in_one_page(&judged, &plan))
		return "what would be replaced lies in two pages";
	pool = pool_for(mm, g, s->addr, &why);
	if (!pool)
		return why;

	s->shape = (uint8_t)plan.shape;
	s->stub = pool->start + pool->used * STUB_BYTES;
	s->patch_bytes = plan.shape == SITE_BEFORE ? SITE_JUMP_BYTES : SITE_SYSCALL_BYTES;
	s->patch = plan.shape == SITE_BEFORE ? s->addr - SITE_JUMP_BYTES : s->addr;
	s->hole = plan.shape == SITE_NEAR ? w.base + plan.hole : 0;
	r = pages_add(&ps, s->patch, s->patch_bytes);
	if (!r && s->hole)
		r = pages_add(&ps, s->hole, plan.hole_end - plan.hole);
	if (r) {
		why = refusal(r);
		goto out;
	}
	if (!holds(&ps, s->patch, w.code + (s->patch - w.base), s->patch_bytes) ||
	    (s->hole && !holds(&ps, s->hole, w.code + plan.hole, plan.hole_end - plan.hole))) {
		why = "its code changes";
		goto out;
	}

	code.at = s->stub;
	s->number = (uint16_t)number;
	s->leaf = code_stub(&code, &plan, s->addr, w.code + w.at, w.n - w.at - SITE_SYSCALL_BYTES, number);
	stub_page = pagecache_get(pool->file->ops->map(pool->file), (s->stub - pool->start) / PAGE_SIZE, PAGECACHE_CREATE);
	if (IS_ERR(stub_page)) {
		why = "no memory for its stub";
		goto out;
	}
	memcpy((uint8_t *)page_to_virt(stub_page) + s->stub % PAGE_SIZE, code.bytes, code.n);
	page_put(stub_page);
	pool->owner[pool->used++] = s;

	code.n = 0;
	code.at = s->hole ? s->hole : s->patch;
	code_jump(&code, s->stub);
	if (s->hole) {
		for (unsigned i = 0; i < plan.hole_end - plan.hole; i++)
			write_byte(&ps, s->hole + i, i < SITE_JUMP_BYTES ? code.bytes[i] : NOP);
		code.bytes[0] = JMP_SHORT;
		code.bytes[1] = (uint8_t)(s->hole - (s->addr + SITE_SYSCALL_BYTES));
	}
	memcpy(s->jump, code.bytes, s->patch_bytes);
	memcpy(s->before, w.code + (s->patch - w.base), s->patch_bytes);
	atomic_store_explicit(&s->state, SITE_OPENING, memory_order_release);
	replace(&ps, s);
out:
	pages_put(&ps);
	return why;
}

static void site_open(struct mm *mm, struct gate *g, struct site *s, uint64_t number)
{
	mutex_lock(&g->lock);
	if (atomic_load(&s->state) == SITE_COUNTING) {
		s->why = open_locked(mm, g, s, number);
		atomic_store_explicit(&s->state, s->why ? SITE_REFUSED : SITE_OPEN, memory_order_release);
	}
	mutex_unlock(&g->lock);
}

static struct gate *gate_new(struct mm *mm)
{
	struct gate *g = kzalloc(sizeof(*g)), *found = NULL;

	if (!g)
		return NULL;
	mutex_init(&g->lock, "gate");
	if (atomic_compare_exchange_strong(&mm->gate, &found, g))
		return g;
	kfree(g);
	return found;
}

/* Puts a site that nothing is known of into the table, in the place of `old` if that is not NULL. gate->lock held. */
static struct site *site_insert(struct gate *g, uaddr_t addr, struct site *old)
{
	struct site *s = old || g->nsites < SITES_MAX ? kzalloc(sizeof(*s)) : NULL;
	unsigned i = hash(addr);

	if (!s)
		return NULL;
	s->addr = addr;
	while (atomic_load_explicit(&g->table[i], memory_order_relaxed) != old)
		i = (i + 1) % TABLE_SLOTS;
	atomic_store_explicit(&g->table[i], s, memory_order_release);
	if (old) {
		old->next = g->replaced;
		g->replaced = old;
	} else {
		g->nsites++;
	}
	return s;
}

static struct site *site_new(struct gate *g, uaddr_t addr)
{
	struct site *s;

	mutex_lock(&g->lock);
	s = site_find(g, addr);
	if (!s)
		s = site_insert(g, addr, NULL);
	mutex_unlock(&g->lock);
	return s;
}

/*
 * Calls still come by the instruction of an open site: jumps that lead straight to it, or another library is mapped there now, or the
 * page was dropped (MADV_DONTNEED). The first is as it should be. Otherwise it is a new site; what stubs know of the old one stays.
 */
static void site_check(struct gate *g, struct site *s)
{
	uint8_t found[SITE_JUMP_BYTES];

	if (!copy_from_user(found, s->patch, s->patch_bytes) && !memcmp(found, s->jump, s->patch_bytes))
		return;
	mutex_lock(&g->lock);
	if (site_find(g, s->addr) == s)
		site_insert(g, s->addr, s);
	mutex_unlock(&g->lock);
}

_Atomic uaddr_t gate_quiet[GATE_QUIET_MASK + 1];

static void make_quiet(uaddr_t behind)
{
	atomic_store_explicit(&gate_quiet[behind & GATE_QUIET_MASK], behind, memory_order_relaxed);
}

void gate_trapped(const struct regs *r)
{
	struct mm *mm = current->process->mm;
	struct gate *g = gate_of_current();
	uaddr_t addr = r->rip - SITE_SYSCALL_BYTES;
	struct site *s;
	uint32_t calls;

	if (!gate_on) {
		make_quiet(r->rip);
		return;
	}
	if (!g && !(g = gate_new(mm)))
		return;
	s = site_find(g, addr);
	if (!s && !(s = site_new(g, addr)))
		return;
	calls = atomic_load_explicit(&s->calls, memory_order_relaxed) + 1;
	atomic_store_explicit(&s->calls, calls, memory_order_relaxed);
	switch (atomic_load_explicit(&s->state, memory_order_relaxed)) {
	case SITE_COUNTING:
		if (calls >= CALLS_BEFORE_OPENING)
			site_open(mm, g, s, r->orig_rax);
		break;
	case SITE_OPEN:
		if (calls % 64 == 0)
			site_check(g, s);
		break;
	case SITE_REFUSED:
		make_quiet(r->rip);
		break;
	default:
		break;
	}
}

/* --- int3 ------------------------------------------------------------------------------------------------------ */
bool gate_breakpoint(struct regs *r)
{
	struct gate *g = gate_of_current();
	uaddr_t at = r->rip - 1;
	struct site *s;
	uint8_t found;

	if (!g)
		return false;
	s = site_find(g, at + SITE_JUMP_BYTES);
	if (!s || s->patch != at)
		s = site_find(g, at);
	if (!s || s->patch != at || atomic_load(&s->state) == SITE_REFUSED)
		return false;
	mutex_lock(&g->lock); /* whoever replaces it has finished then */
	mutex_unlock(&g->lock);
	if (copy_from_user(&found, at, 1) || found == INT3)
		return false;
	/* An emulator may go on with a translation of the int3 that it made from bytes it read before they were replaced: a store tells it. */
	struct page *p = mm_code_page(current->process->mm, at);
	if (!IS_ERR(p)) {
		_Atomic uint8_t *byte = (_Atomic uint8_t *)page_to_virt(p) + at % PAGE_SIZE;
		atomic_store(byte, atomic_load(byte));
		page_put(p);
	}
	r->rip = at;
	return true;
}

/* --- the end, and the picture of it all --------------------------------------------------------------------------- */
void gate_free(struct mm *mm)
{
	struct gate *g = atomic_exchange(&mm->gate, NULL);
	struct pool *p, *next;

	for (unsigned i = 0; i <= GATE_QUIET_MASK; i++)
		atomic_store_explicit(&gate_quiet[i], 0, memory_order_relaxed);
	if (!g)
		return;
	for (p = atomic_load(&g->pools); p; p = next) {
		next = p->next;
		file_put(p->file);
		kfree(p);
	}
	for (unsigned i = 0; i < TABLE_SLOTS; i++)
		kfree(atomic_load(&g->table[i]));
	for (struct site *s = g->replaced, *after; s; s = after) {
		after = s->next;
		kfree(s);
	}
	kfree(g);
}

static void show_site(struct text *t, const struct site *s)
{
	static const char *const names[] = { "counting", "opening", "open", "refused" };
	static const char *const shapes[] = { "", "before", "near" };
	int state = atomic_load(&s->state);

	text_printf(t, "site %#lx %s", s->addr, names[state]);
	if (state == SITE_OPEN)
		text_printf(t, " %s%s, stub %#lx", shapes[s->shape], s->leaf ? " leaf" : "", s->stub);
	text_printf(t, ", %u calls by the instruction", atomic_load(&s->calls));
	text_printf(t, state == SITE_REFUSED ? ": %s\n" : "\n", s->why);
}

static void count_calls(unsigned from, unsigned to, uint64_t *gate, uint64_t *trap)
{
	*gate = *trap = 0;
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		for (unsigned i = from; i < to; i++) {
			*gate += cpus[cpu]->gate_calls[i];
			*trap += cpus[cpu]->trap_calls[i];
		}
	}
}

void gate_report(void)
{
	uint64_t gate, trap, most = 0;
	unsigned number = 0;

	count_calls(0, SYSCALL_LIMIT, &gate, &trap);
	if (!gate_on || gate + trap == 0)
		return;
	log_info("system calls: %lu through the gate, %lu by the instruction", gate, trap);
	for (unsigned i = 0; i < SYSCALL_LIMIT; i++) {
		count_calls(i, i + 1, &gate, &trap);
		if (trap > most) {
			most = trap;
			number = i;
		}
	}
	log_info("most often by the instruction: %s, %lu times", syscall_name(number) ? syscall_name(number) : "unlisted", most);
}

void gate_show(struct text *t)
{
	struct gate *g = gate_of_current();
	uint64_t gate, trap;

	count_calls(0, SYSCALL_LIMIT, &gate, &trap);
	text_printf(t, "gate %lu\ntrap %lu\n", gate, trap);
	for (unsigned i = 0; i < SYSCALL_LIMIT; i++) {
		const char *name = syscall_name(i);

		count_calls(i, i + 1, &gate, &trap);
		if (gate || trap)
			text_printf(t, "call %u %s gate %lu trap %lu\n", i, name ? name : "?", gate, trap);
	}
	for (unsigned i = 0; g && i < TABLE_SLOTS; i++) {
		struct site *s = atomic_load_explicit(&g->table[i], memory_order_acquire);

		if (s)
			show_site(t, s);
	}
}
