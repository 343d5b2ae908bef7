// sources: kernel/arch/x86_64/site.c kernel/arch/x86_64/insn.c
/*
 * tests/unit/arch_site_test.c - how a `syscall` instruction is judged: what may be replaced by a jump, and what may not.
 */
#include <string.h>
#include "arch/x86_64/insn.h"
#include "arch/x86_64/site.h"
#include "tests/unit/check.h"

#define BASE 0x7f0000001000ull
#define AT SITE_WINDOW

static uint8_t code[2 * SITE_WINDOW];

/*
 * A window whose `syscall` stands at AT: `before` ends there, `behind` begins after it. The rest is ordinary code without
 * padding: mov (%rsi),%rax; mov %rax,(%rdi).
 */
static void window(const void *before, unsigned nbefore, const void *behind, unsigned nbehind)
{
	static const uint8_t plain[] = { 0x48, 0x8b, 0x06, 0x48, 0x89, 0x07 };

	for (unsigned i = 0; i < sizeof(code); i++)
		code[i] = 0x90;
	unsigned end = AT - nbefore;
	for (unsigned p = end % sizeof(plain); p < end; p += (unsigned)sizeof(plain))
		memcpy(code + p, plain, sizeof(plain));
	memcpy(code + end, before, nbefore);
	code[AT] = 0x0f;
	code[AT + 1] = 0x05;
	memcpy(code + AT + 2, behind, nbehind);
	for (unsigned p = AT + 2 + nbehind; p + sizeof(plain) <= sizeof(code); p += (unsigned)sizeof(plain))
		memcpy(code + p, plain, sizeof(plain));
}

static struct site_plan judge(uint64_t number) { return site_judge(code, sizeof(code), AT, BASE, number); }

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

int main(void)
{
	struct site_plan p;

	window(BYTES(0xb8, 39, 0, 0, 0), BYTES(0xc3));
	p = judge(39);
	check("mov_number_before", p.shape == SITE_BEFORE && p.loads_number, "mov $39,%eax; syscall");
	p = judge(40);
	check("mov_of_another_number_is_not_it", p.shape == SITE_NONE, "RAX did not hold what it loads");

	/* mov $39,%r8d: the same five bytes behind a prefix */
	window(BYTES(0x41, 0xb8, 39, 0, 0, 0), BYTES(0xc3));
	check("mov_to_another_register_is_longer", judge(39).shape == SITE_NONE, "the tail of a longer instruction was taken");
	/* movq $imm,disp8(%rax): its tail looks like mov $imm,%eax */
	window(BYTES(0x48, 0xc7, 0x40, 0xb8, 39, 0, 0, 0), BYTES(0xc3));
	check("a_tail_that_looks_like_mov", judge(39).shape == SITE_NONE, "the tail of a store was taken");

	window(BYTES(0x4c, 0x89, 0x5c, 0x24, 0x08), BYTES(0xc3));
	p = judge(0);
	check("a_stored_register_can_be_moved", p.shape == SITE_BEFORE && !p.loads_number, "mov %r11,8(%rsp); syscall; ret");
	window(BYTES(0xbe, 1, 0, 0, 0), BYTES(0xc3));
	check("another_constant_can_be_moved", judge(0).shape == SITE_BEFORE, "mov $1,%esi; syscall");
	window(BYTES(0xe8, 1, 0, 0, 0), BYTES(0xc3));
	check("a_call_cannot_be_moved", judge(0).shape == SITE_NONE, "call; syscall");
	window(BYTES(0x48, 0x8b, 0x44, 0x25, 0x08), BYTES(0xc3));
	check("only_the_stack_pointer_is_a_known_base", judge(0).shape == SITE_NONE, "not disp8(%rsp)");

	/* xor %eax,%eax; syscall; ret; then padding up to where a function may begin */
	window(BYTES(0x31, 0xc0), BYTES(0xc3, 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x66, 0x90));
	p = judge(0);
	check("padding_behind_a_return", p.shape == SITE_NEAR && p.hole == AT + 3 && p.hole_end == AT + 16, "no hole was seen");
	code[AT + 2] = 0x90;
	check("padding_that_is_reached_is_code", judge(0).shape == SITE_NONE, "nops that are executed were taken");
	window(BYTES(0x31, 0xc0), BYTES(0xc3, 0x66, 0x90, 0x66, 0x90));
	check("four_bytes_are_no_room", judge(0).shape == SITE_NONE, "a short hole was taken");
	window(BYTES(0x31, 0xc0), BYTES(0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0));
	check("padding_must_end_where_functions_begin", judge(0).shape == SITE_NONE, "a hole that ends anywhere was taken");
	/* je to the padding: somebody runs it */
	window(BYTES(0x74, 0x05, 0x31, 0xc0), BYTES(0xc3, 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x66, 0x90));
	check("padding_that_is_jumped_to_is_code", judge(0).shape == SITE_NONE, "a jump's target was taken");
	/* A jump that was put there for another site, and what is left of the padding. */
	window(BYTES(0x31, 0xc0), BYTES(0xc3, 0xe9, 1, 2, 3, 4, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90));
	p = judge(0);
	check("what_is_left_of_a_hole_is_one", p.shape == SITE_NEAR && p.hole == AT + 8, "the second half was not used");
	/* An immediate that looks like a return before padding. */
	window(BYTES(0x31, 0xc0), BYTES(0xb8, 0, 0, 0, 0xc3, 0x0f, 0x1f, 0x80, 0, 0, 0, 0, 0x66, 0x90));
	check("a_return_inside_an_instruction_is_none", judge(0).shape == SITE_NONE, "an immediate was taken for ret");

	/* ret; padding; a function: xor %eax,%eax; syscall */
	window(BYTES(0xc3, 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x0f, 0x1f, 0x00, 0x31, 0xc0, 0x48, 0x89, 0xd1, 0x48, 0x89,
		     0xf7, 0x48, 0x89, 0xfe, 0x48, 0x89, 0xc2, 0x31, 0xc0), BYTES(0x85, 0xc0));
	p = judge(0);
	check("padding_before_the_function", p.shape == SITE_NEAR && p.hole == AT - 30 && p.hole_end < AT && (BASE + p.hole_end) % 16 == 0,
	      "no hole was seen");

	window(BYTES(0xb8, 39, 0, 0, 0), BYTES(0xc3));
	code[AT] = 0xeb;
	check("what_is_no_syscall_is_left_alone", judge(39).shape == SITE_NONE, "judged other bytes");
	window(BYTES(0xb8, 39, 0, 0, 0), BYTES(0xc3));
	p = site_judge(code + AT - 5, 8, 5, BASE, 39);
	check("a_window_without_context_is_refused", p.shape == SITE_NONE, "judged by five bytes");

	/* Random bytes: nothing is read outside the window (the sanitizer watches), and what is planned lies inside. */
	uint32_t seed = 12345;
	int bad = 0;
	for (unsigned round = 0; round < 200000; round++) {
		uint8_t random[2 * SITE_WINDOW];
		for (unsigned i = 0; i < sizeof(random); i++) {
			seed = seed * 1664525 + 1013904223;
			random[i] = (uint8_t)(seed >> 24);
			if (random[i] < 32)
				random[i] = (const uint8_t[]){ 0x90, 0xc3, 0x66, 0x0f, 0x1f, 0xb8, 0, 5 }[random[i] / 4];
		}
		unsigned n = 2 + seed % (sizeof(random) - 1), at = seed / 7 % (n - 1);
		random[at] = 0x0f;
		random[at + 1] = 0x05;
		p = site_judge(random, n, at, BASE, seed % 2 ? 0 : 39);
		if (p.shape == SITE_NEAR && (p.hole_end > n || p.hole_end - p.hole < SITE_JUMP_BYTES || p.hole + 128 < at + 2 || p.hole > at + 129))
			bad++;
		if (p.shape == SITE_BEFORE && at < SITE_JUMP_BYTES)
			bad++;
	}
	check("random_bytes_are_judged_within_bounds", !bad, "a plan lies outside the window");

	check("nop_lengths", insn_nop_length((const uint8_t[]){ 0x90 }, 1) == 1 && insn_nop_length((const uint8_t[]){ 0x66, 0x90 }, 2) == 2 &&
	      insn_nop_length((const uint8_t[]){ 0x0f, 0x1f, 0x00 }, 3) == 3 && !insn_nop_length((const uint8_t[]){ 0x0f, 0x1f, 0x40 }, 3) &&
	      !insn_nop_length((const uint8_t[]){ 0xf3, 0x90 }, 2) && !insn_nop_length((const uint8_t[]){ 0x66 }, 1), "wrong");
	check("ends_of_flow", insn_ends_flow((const uint8_t[]){ 0xc3 }, 1) && insn_ends_flow((const uint8_t[]){ 0xf3, 0xc3 }, 2) &&
	      insn_ends_flow((const uint8_t[]){ 0xff, 0xe0 }, 2) && !insn_ends_flow((const uint8_t[]){ 0xff, 0xd0 }, 2) &&
	      !insn_ends_flow((const uint8_t[]){ 0x74, 0 }, 2) && !insn_ends_flow((const uint8_t[]){ 0xf3 }, 1), "wrong");
	return failed;
}
