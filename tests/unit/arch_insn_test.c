// sources: kernel/arch/x86_64/insn.c
/*
 * tests/unit/arch_insn_test.c - lengths of instructions, and the guess whether a byte begins one.
 */
#include <string.h>
#include "arch/x86_64/insn.h"
#include "tests/unit/check.h"

int main(void)
{
	static const struct {
		const char *name;
		unsigned len;
		uint8_t code[16];
	} cases[] = {
		{ "nop", 1, { 0x90 } },
		{ "hlt", 1, { 0xf4 } },
		{ "mov_eax_imm32", 5, { 0xb8, 1, 2, 3, 4 } },
		{ "mov_rax_imm64", 10, { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8 } },
		{ "mov_rsp_disp8", 5, { 0x4c, 0x89, 0x5c, 0x24, 8 } },
		{ "call_rel32", 5, { 0xe8, 1, 2, 3, 0xf4 } },
		{ "jne_rel8", 2, { 0x75, 0xf4 } },
		{ "jne_rel32", 6, { 0x0f, 0x85, 1, 2, 3, 4 } },
		{ "lea_rip", 7, { 0x48, 0x8d, 0x05, 1, 2, 3, 4 } },
		{ "test_imm8", 3, { 0xf6, 0xc1, 1 } },
		{ "not_no_imm", 2, { 0xf7, 0xd0 } },
		{ "movw_imm16", 5, { 0x66, 0xc7, 0x00, 1, 2 } },
		{ "vmovdqu", 4, { 0xc5, 0xfe, 0x6f, 0x06 } },
		{ "vpshufd_imm", 5, { 0xc5, 0xf9, 0x70, 0xc0, 1 } },
		{ "pshufb_0f38", 5, { 0x66, 0x0f, 0x38, 0x00, 0xc1 } },
		{ "syscall", 2, { 0x0f, 0x05 } },
		{ "enter", 4, { 0xc8, 1, 2, 3 } },
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(cases[i].name, insn_length(cases[i].code, 16) == cases[i].len, "wrong length");
	check("incomplete", insn_length(cases[3].code, 9) == 0, "an incomplete instruction has no length");
	check("invalid", insn_length((const uint8_t[]){ 0x06, 0 }, 2) == 0, "0x06 is invalid");

	/* Ordinary code before the byte in question: push rbp; mov rbp,rsp; sub rsp,16; mov [rbp-4],edi; mov [rbp-16],rsi;
	 * mov eax,[rbp-4]; add eax,1; mov [rbp-8],eax; xor eax,eax; leave; ret; nop; push rbp; mov rbp,rsp */
#define BEFORE 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x89, 0x7d, 0xfc, 0x48, 0x89, 0x75, 0xf0, 0x8b, 0x45, 0xfc, \
	       0x83, 0xc0, 0x01, 0x89, 0x45, 0xf8, 0x31, 0xc0, 0xc9, 0xc3, 0x90, 0x55, 0x48, 0x89, 0xe5
#define HLT(...) ({ static const uint8_t code[] = { BEFORE, __VA_ARGS__ }; \
		    _Static_assert(sizeof(code) >= INSN_WINDOW, "a whole window"); \
		    insn_falls_through_likely(code + sizeof(code) - INSN_WINDOW, INSN_WINDOW - 1); })
	/* mov [rbp-4],edi; mov [rbp-16],rsi; xor eax,eax; mov rsi,rdi; xor edi,edi; hlt */
	check("hlt_is_recognised", HLT(0x89, 0x7d, 0xfc, 0x48, 0x89, 0x75, 0xf0, 0x31, 0xc0, 0x48, 0x89, 0xfe, 0x31, 0xff, 0xf4),
	      "a real hlt was missed");
	/* ... add [rdi],al; inc rdi; dec ecx; jne .-12: the displacement is 0xf4 */
	check("backward_jump_is_not_hlt", !HLT(0x89, 0x7d, 0xfc, 0x48, 0x89, 0x75, 0xf0, 0x00, 0x07, 0x48, 0xff, 0xc7, 0xff, 0xc9,
					       0x75, 0xf4), "a displacement was taken for hlt");
	/* mov eax,[rbp-12]: the commonest 0xf4 of all */
	check("local_variable_is_not_hlt", !HLT(0x89, 0x7d, 0xfc, 0x48, 0x89, 0x75, 0xf0, 0x31, 0xc0, 0x90, 0x90, 0x90, 0x90, 0x8b,
						0x45, 0xf4), "a displacement was taken for hlt");
	/* mov dword [rbp-8],0xf4000000: the last byte of an immediate */
	check("immediate_is_not_hlt", !HLT(0x89, 0x7d, 0xfc, 0x48, 0x89, 0x75, 0xf0, 0x31, 0xc0, 0xc7, 0x45, 0xf8, 0x00, 0x00, 0x00,
					   0xf4), "an immediate was taken for hlt");
	/* HotSpot's stop(): mov rdi,imm64; and rsp,-16; call; hlt - and a jump target behind it */
	check("hlt_behind_a_call_is_not_counted",
	      !HLT(0x85, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0xbe, 0x04, 0x18, 0x50, 0xe9, 0x14, 0, 0, 0, 0x48, 0xbf, 0x76, 0xbd, 0x9d, 0x07,
		   0x2d, 0x7f, 0, 0, 0x48, 0x83, 0xe4, 0xf0, 0xe8, 0xbc, 0xc5, 0xb5, 0x16, 0xf4), "an unreachable hlt was counted");
	/* glibc's _exit: jmp over syscall; cmp; ja; hlt to what follows */
	static const uint8_t at_exit[] = { 0xeb, 0x0d, 0x89, 0xd0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0x1c, 0xf4, 0x89, 0xf0 };
	check("a_short_jump_is_found", insn_jump_to(at_exit, sizeof(at_exit), 0x1000, 0x100f), "missed");
	check("no_jump_is_no_jump", !insn_jump_to(at_exit, sizeof(at_exit), 0x1000, 0x100e), "found");
	static const uint8_t far_jumps[] = { 0x90, 0x0f, 0x84, 0x00, 0x01, 0x00, 0x00, 0xe8, 0x00, 0xff, 0xff, 0xff };
	check("a_far_condition_is_found", insn_jump_to(far_jumps, sizeof(far_jumps), 0x1000, 0x1107), "missed");
	check("a_call_backward_is_found", insn_jump_to(far_jumps, sizeof(far_jumps), 0x1000, 0xf0c), "missed");
	check("a_cut_jump_is_not_read", !insn_jump_to(far_jumps, 6, 0x1000, 0x1107), "read behind the end");
	check("few_bytes_are_not_judged", !insn_falls_through_likely((const uint8_t[]){ 0x31, 0xc0, 0xf4 }, 2), "judged by two bytes");
	return failed;
}
