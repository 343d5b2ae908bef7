/*
 * kernel/arch/x86_64/insn.c - see insn.h. Source: Intel SDM volume 2, chapter 2 and appendix A.
 */
#include "insn.h"

enum { NONE, MODRM = 1, IMM8 = 2, IMMZ = 4, IMM16 = 8, BAD = 16, MOFFS = 32 };

static unsigned one_byte(uint8_t op)
{
	if (op < 0x40) {
		static const uint8_t arithmetic[8] = { MODRM, MODRM, MODRM, MODRM, IMM8, IMMZ, BAD, BAD };
		return arithmetic[op & 7];
	}
	switch (op) {
	case 0x50 ... 0x5f:
		return NONE;
	case 0x63:
		return MODRM;
	case 0x68:
		return IMMZ;
	case 0x69:
		return MODRM | IMMZ;
	case 0x6a:
		return IMM8;
	case 0x6b:
		return MODRM | IMM8;
	case 0x6c ... 0x6f:
		return NONE;
	case 0x70 ... 0x7f:
		return IMM8;
	case 0x80:
	case 0x83:
	case 0xc0:
	case 0xc1:
	case 0xc6:
		return MODRM | IMM8;
	case 0x81:
	case 0xc7:
		return MODRM | IMMZ;
	case 0x84 ... 0x8f:
	case 0xd0 ... 0xd3:
	case 0xd8 ... 0xdf:
	case 0xf6:
	case 0xf7:
	case 0xfe:
	case 0xff:
		return MODRM;
	case 0x90 ... 0x99:
	case 0x9b ... 0x9f:
	case 0xa4 ... 0xa7:
	case 0xaa ... 0xaf:
	case 0xc3:
	case 0xc9:
	case 0xcb:
	case 0xcc:
	case 0xcf:
	case 0xd7:
	case 0xec ... 0xef:
	case 0xf1:
	case 0xf4:
	case 0xf5:
	case 0xf8 ... 0xfd:
		return NONE;
	case 0xa0 ... 0xa3:
		return MOFFS;
	case 0xa8:
	case 0xb0 ... 0xb7:
	case 0xcd:
	case 0xe0 ... 0xe7:
	case 0xeb:
		return IMM8;
	case 0xa9:
	case 0xb8 ... 0xbf:
	case 0xe8:
	case 0xe9:
		return IMMZ;
	case 0xc2:
	case 0xca:
		return IMM16;
	case 0xc8:
		return IMM16 | IMM8;
	}
	return BAD;
}

static unsigned two_byte(uint8_t op)
{
	switch (op) {
	case 0x05 ... 0x09:
	case 0x0b:
	case 0x30 ... 0x37:
	case 0x77:
	case 0xa0 ... 0xa2:
	case 0xa8 ... 0xaa:
	case 0xc8 ... 0xcf:
		return NONE;
	case 0x04:
	case 0x0a:
	case 0x0c:
	case 0x0e:
	case 0x0f:
	case 0x24 ... 0x27:
	case 0x39:
	case 0x3b ... 0x3f:
		return BAD;
	case 0x70 ... 0x73:
	case 0xa4:
	case 0xac:
	case 0xba:
	case 0xc2:
	case 0xc4 ... 0xc6:
		return MODRM | IMM8;
	case 0x80 ... 0x8f:
		return IMMZ;
	}
	return MODRM;
}

unsigned insn_length(const uint8_t *code, unsigned n)
{
	unsigned i = 0, kind;
	bool operand16 = false, address32 = false, wide = false;
	uint8_t op = 0;
	bool map0 = false;

	for (;; i++) {
		if (i >= n || i > 14)
			return 0;
		op = code[i];
		if (op == 0x66)
			operand16 = true;
		else if (op == 0x67)
			address32 = true;
		else if (op != 0xf0 && op != 0xf2 && op != 0xf3 && op != 0x2e && op != 0x36 && op != 0x3e && op != 0x26 &&
			 op != 0x64 && op != 0x65)
			break;
	}
	if ((op & 0xf0) == 0x40) {
		wide = op & 8;
		if (++i >= n)
			return 0;
		op = code[i];
	}
	if (op == 0xc5 || op == 0xc4 || op == 0x62) { /* VEX, EVEX: the map decides about an immediate */
		unsigned skip = op == 0xc5 ? 2 : op == 0xc4 ? 3 : 4;
		if (i + skip >= n)
			return 0;
		unsigned map = op == 0xc5 ? 1 : code[i + 1] & (op == 0x62 ? 7 : 31);
		i += skip;
		op = code[i++];
		kind = map == 1 ? two_byte(op) : map == 2 ? MODRM : map == 3 ? MODRM | IMM8 : BAD;
		if (kind & IMMZ)
			kind = BAD;
	} else if (op == 0x0f) {
		if (++i >= n)
			return 0;
		op = code[i++];
		if (op == 0x38 || op == 0x3a) {
			kind = op == 0x38 ? MODRM : MODRM | IMM8;
			if (i++ >= n)
				return 0;
		} else {
			kind = two_byte(op);
		}
	} else {
		kind = one_byte(op);
		map0 = true;
		i++;
	}
	if (kind & BAD)
		return 0;
	if (kind & MODRM) {
		if (i >= n)
			return 0;
		uint8_t modrm = code[i++];
		unsigned mod = modrm >> 6, rm = modrm & 7, disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;
		if (mod != 3) {
			if (rm == 4) {
				if (i >= n)
					return 0;
				if (mod == 0 && (code[i] & 7) == 5)
					disp = 4;
				i++;
			} else if (mod == 0 && rm == 5) {
				disp = 4;
			}
			i += disp;
		}
		if (map0 && (op == 0xf6 || op == 0xf7) && (modrm & 0x38) <= 8)
			kind |= op == 0xf6 ? IMM8 : IMMZ;
	}
	if (kind & MOFFS)
		i += address32 ? 4 : 8;
	if (kind & IMM8)
		i += 1;
	if (kind & IMM16)
		i += 2;
	if (kind & IMMZ) {
		bool branch = (map0 && (op == 0xe8 || op == 0xe9)) || !map0;
		if (map0 && op >= 0xb8 && op <= 0xbf && wide)
			i += 8;
		else
			i += operand16 && !branch ? 2 : 4;
	}
	return i <= n && i <= 15 ? i : 0;
}

/* Control does not come from this instruction to the next one in the ordinary way. */
static bool diverts(const uint8_t *code)
{
	while ((*code & 0xf0) == 0x40 || *code == 0x66 || *code == 0xf2 || *code == 0xf3 || *code == 0x3e)
		code++;
	switch (*code) {
	case 0xc2:
	case 0xc3:
	case 0xcc:
	case 0xe8:
	case 0xe9:
	case 0xeb:
	case 0xf4:
		return true;
	case 0x0f:
		return code[1] == 0x0b;
	case 0xff: {
		unsigned reg = code[1] >> 3 & 7;
		return reg >= 2 && reg <= 5;
	}
	}
	return false;
}

#define FAR_BACK 24 /* bytes within which nearly all code falls into step */

/* With `through`, the instruction before code[at] must also fall through to it. */
static bool begins_likely(const uint8_t *code, unsigned at, bool through)
{
	unsigned hits = 0, tried = 0;

	/*
	 * Chains that begin far back must all agree. No instruction is longer than 15 bytes, so one begins among the
	 * first 15 starts, and the chain from there is the true one: it finds out a byte that is a tail.
	 */
	if (at < INSN_WINDOW - 1)
		return false;
	code += at - (INSN_WINDOW - 1);
	at = INSN_WINDOW - 1;
	for (unsigned start = 0; start + 12 <= at; start++) {
		unsigned p = start, last = start;
		while (p < at) {
			last = p;
			unsigned len = insn_length(code + p, at + 1 - p);
			if (len == 0)
				break;
			p += len;
		}
		if (p < at) {
			/* An invalid or overlong instruction before `at`: overlong ones (they reach behind `at`) count
			 * against, invalid ones say nothing. */
			uint8_t long_enough[32] = { 0 };
			for (unsigned i = 0; i < 16 && p + i <= at; i++)
				long_enough[i] = code[p + i];
			if (insn_length(long_enough, sizeof(long_enough)) > at - p) {
				if (start + FAR_BACK <= at)
					return false;
				tried++;
			}
			continue;
		}
		tried++;
		if (p == at && !(through && diverts(code + last)))
			hits++;
		else if (start + FAR_BACK <= at)
			return false;
	}
	return tried >= 3 && hits * 10 >= tried * 9;
}

bool insn_falls_through_likely(const uint8_t *code, unsigned at)
{
	return begins_likely(code, at, true);
}

bool insn_begins_likely(const uint8_t *code, unsigned at)
{
	return begins_likely(code, at, false);
}

unsigned insn_nop_length(const uint8_t *code, unsigned n)
{
	unsigned i = 0;

	while (i < n && (code[i] == 0x66 || code[i] == 0x2e))
		i++;
	if (i < n && code[i] == 0x90)
		return i + 1;
	if (i + 1 < n && code[i] == 0x0f && code[i + 1] == 0x1f)
		return insn_length(code, n);
	return 0;
}

bool insn_ends_flow(const uint8_t *code, unsigned n)
{
	unsigned i = n && (code[0] == 0xf2 || code[0] == 0xf3 || code[0] == 0x3e) ? 1 : 0;

	if (i >= n)
		return false;
	if (code[i] == 0xc3 || code[i] == 0xc2 || code[i] == 0xe9 || code[i] == 0xeb)
		return true;
	return code[i] == 0xff && i + 1 < n && (code[i + 1] >> 3 & 7) == 4;
}

static int32_t load32(const uint8_t *p)
{
	return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

bool insn_jump_to(const uint8_t *code, unsigned n, uint64_t at, uint64_t target)
{
	for (unsigned i = 0; i + 2 <= n; i++) {
		uint8_t op = code[i];

		/* jmp, jcc, loop and jrcxz with 8 bits; then jmp and call, and jcc with 32 */
		if (op == 0xeb || (op & 0xf0) == 0x70 || (op & 0xfc) == 0xe0) {
			if (at + i + 2 + (uint64_t)(int64_t)(int8_t)code[i + 1] == target)
				return true;
		} else if ((op & 0xfe) == 0xe8 && i + 5 <= n) {
			if (at + i + 5 + (uint64_t)(int64_t)load32(code + i + 1) == target)
				return true;
		} else if (op == 0x0f && (code[i + 1] & 0xf0) == 0x80 && i + 6 <= n) {
			if (at + i + 6 + (uint64_t)(int64_t)load32(code + i + 2) == target)
				return true;
		}
	}
	return false;
}
