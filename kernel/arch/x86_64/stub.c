/*
 * kernel/arch/x86_64/stub.c - see stub.h.
 *
 * Errors: none; the longest stub is shorter than STUB_BYTES.
 */
#include "stub.h"
#include "gate.h"
#include "lib/string.h"
#include "linux/process.h"
#include <asm/unistd.h>

#define RET 0xc3

#define SHORT(name) void short_##name##_entry(void);
SHORT_CALLS(SHORT)
#undef SHORT
#define SHORT(name) [__NR_##name] = short_##name##_entry,
const void *const short_entry[GATE_LIMIT] = { SHORT_CALLS(SHORT) };
#undef SHORT
static const void *const any_entry = gate_any;

static void put8(struct code *c, uint8_t v) { c->bytes[c->n++] = v; }

static void put32(struct code *c, uint32_t v)
{
	memcpy(c->bytes + c->n, &v, sizeof(v));
	c->n += (unsigned)sizeof(v);
}

static void put_bytes(struct code *c, const void *bytes, unsigned n)
{
	memcpy(c->bytes + c->n, bytes, n);
	c->n += n;
}

static void put_rel32(struct code *c, uaddr_t target) { put32(c, (uint32_t)(target - (c->at + c->n + 4))); }

void code_jump(struct code *c, uaddr_t target)
{
	put8(c, JMP_LONG);
	put_rel32(c, target);
}

/*
 * A call that only reads a word of the thread or of its process is made by the stub itself. False: number is no such call. `returns`: what stands
 * behind the site is a return, which the stub makes then.
 */
static bool put_leaf(struct code *c, uint64_t number, uaddr_t behind, bool returns)
{
	static const uint8_t current_to_rax[] = { 0x65, 0x48, 0x8b, 0x04, 0x25, CPU_CURRENT, 0, 0, 0 };
	static const uint8_t rax_to_rax[] = { 0x48, 0x8b, 0x80 }, rax_to_eax[] = { 0x8b, 0x80 }, zero[] = { 0x31, 0xc0 };
	static const uint8_t count[] = { 0x65, 0x48, 0xff, 0x04, 0x25 };
	size_t field = 0;
	bool of_process = true;

	switch (number) {
	case __NR_getpid:
		field = offsetof(struct process, pid);
		break;
	case __NR_getppid:
		field = offsetof(struct process, ppid);
		break;
	case __NR_getpgrp:
		field = offsetof(struct process, pgid);
		break;
	case __NR_gettid:
		field = offsetof(struct thread, tid);
		of_process = false;
		break;
	case __NR_getuid:
	case __NR_getgid:
	case __NR_geteuid:
	case __NR_getegid:
		put_bytes(c, zero, sizeof(zero));
		goto out;
	default:
		return false;
	}
	put_bytes(c, current_to_rax, sizeof(current_to_rax));
	if (of_process) {
		put_bytes(c, rax_to_rax, sizeof(rax_to_rax));
		put32(c, (uint32_t)offsetof(struct thread, process));
	}
	put_bytes(c, rax_to_eax, sizeof(rax_to_eax));
	put32(c, (uint32_t)field);
out:
	put_bytes(c, count, sizeof(count));
	put32(c, (uint32_t)(CPU_GATE_CALLS + number * 8));
	if (returns)
		put8(c, RET);
	else
		code_jump(c, behind);
	return true;
}

bool code_stub(struct code *c, const struct site_plan *plan, uaddr_t addr, const uint8_t *site, unsigned ahead, uint64_t number)
{
	static const uint8_t lea_rcx[] = { 0x48, 0x8d, 0x0d }, jump_gs[] = { 0x65, 0xff, 0x24, 0x25 }, jump_at[] = { 0xff, 0x24, 0x25 };
	uaddr_t behind = addr + SITE_SYSCALL_BYTES;

	if (plan->loads_number && put_leaf(c, number, behind, ahead > 0 && site[SITE_SYSCALL_BYTES] == RET))
		return true;
	if (plan->shape == SITE_BEFORE)
		put_bytes(c, site - SITE_JUMP_BYTES, SITE_JUMP_BYTES);
	put_bytes(c, lea_rcx, sizeof(lea_rcx));
	put_rel32(c, behind);
	if (plan->loads_number && !(number < GATE_LIMIT && short_entry[number])) {
		put_bytes(c, jump_gs, sizeof(jump_gs));
		put32(c, CPU_GATE);
	} else { /* a pointer in the kernel's image, which 32 bits with their sign reach */
		put_bytes(c, jump_at, sizeof(jump_at));
		put32(c, (uint32_t)(uintptr_t)(plan->loads_number ? &short_entry[number] : &any_entry));
	}
	return false;
}
