/*
 * kernel/arch/x86_64/site.c - see site.h. Source: Intel SDM volume 2, chapter 2 and appendix A.
 */
#include "site.h"
#include "insn.h"

#define SHORT_BACK 128 /* reach of a short jump, from behind it */
#define SHORT_AHEAD 127
#define FUNCTION_ALIGN 16 /* padding that ends elsewhere may be executed (a loop's head) */

/* A 5-byte instruction that does the same at any other address and never jumps. */
static bool movable(const uint8_t *p)
{
	/* mov $imm32, %e?? */
	if (p[0] >= 0xb8 && p[0] <= 0xbf)
		return true;
	/* mov disp8(%rsp), %r and back, 64 bits wide */
	return (p[0] == 0x48 || p[0] == 0x4c) && (p[1] == 0x89 || p[1] == 0x8b) && (p[2] & 0xc7) == 0x44 && p[3] == 0x24;
}

static uint32_t load_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Where the run of padding that begins at `from` ends. */
static unsigned padding_end(const uint8_t *code, unsigned n, unsigned from)
{
	unsigned len;

	while ((len = from < n ? insn_nop_length(code + from, n - from) : 0))
		from += len;
	return from;
}

/* Is code[from..) unreachable padding with room for a jump, up to where a function may begin? */
static bool is_hole(const uint8_t *code, unsigned n, uint64_t base, unsigned from)
{
	unsigned end = padding_end(code, n, from);

	return end - from >= SITE_JUMP_BYTES && (base + end) % FUNCTION_ALIGN == 0 && end < n &&
	       !insn_jump_to(code, n, base, base + from);
}

/* Decoding goes on from the `syscall`, so that every boundary is as certain as its own. */
static unsigned hole_ahead(const uint8_t *code, unsigned n, unsigned at, uint64_t base)
{
	unsigned p = at + SITE_SYSCALL_BYTES;

	while (p < n && p <= at + SITE_SYSCALL_BYTES + SHORT_AHEAD) {
		unsigned len = insn_length(code + p, n - p);
		bool ends = len && insn_ends_flow(code + p, n - p);

		if (!len)
			break;
		p += len;
		if (ends && p <= at + SITE_SYSCALL_BYTES + SHORT_AHEAD && is_hole(code, n, base, p))
			return p;
	}
	return 0;
}

/* Does decoding from code[from] arrive at code[at]? */
static bool leads_to(const uint8_t *code, unsigned n, unsigned from, unsigned at)
{
	while (from < at) {
		unsigned len = insn_length(code + from, n - from);

		if (!len)
			return false;
		from += len;
	}
	return from == at;
}

/* The instruction that ends before code[end], if it is certainly a return or a jump. */
static bool flow_ends_before(const uint8_t *code, unsigned end)
{
	static const unsigned lengths[] = { 1, 2, 5 };

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		unsigned len = lengths[i];

		if (end >= len && insn_length(code + end - len, len) == len && insn_ends_flow(code + end - len, len) &&
		    insn_begins_likely(code, end - len))
			return true;
	}
	return false;
}

static unsigned hole_behind(const uint8_t *code, unsigned n, unsigned at, uint64_t base)
{
	unsigned lowest = at + SITE_SYSCALL_BYTES > SHORT_BACK ? at + SITE_SYSCALL_BYTES - SHORT_BACK : 0;

	for (unsigned p = at; p-- > lowest;) {
		if (insn_nop_length(code + p, n - p) && is_hole(code, n, base, p) && flow_ends_before(code, p) &&
		    leads_to(code, n, padding_end(code, n, p), at))
			return p;
	}
	return 0;
}

struct site_plan site_judge(const uint8_t *code, unsigned n, unsigned at, uint64_t base, uint64_t number)
{
	struct site_plan plan = { .shape = SITE_NONE, .why = "no instruction before it can be moved, and no padding is near" };
	const uint8_t *before = code + at - SITE_JUMP_BYTES;

	if (at + SITE_SYSCALL_BYTES > n || code[at] != 0x0f || code[at + 1] != 0x05) {
		plan.why = "it is no syscall instruction any more";
		return plan;
	}
	if (at >= INSN_WINDOW && movable(before) && insn_begins_likely(code, at - SITE_JUMP_BYTES)) {
		/* What `mov $imm32,%eax` loads must be what was found in RAX, or it is not the instruction that was executed. */
		plan.loads_number = before[0] == 0xb8;
		if (!plan.loads_number || load_le32(before + 1) == number) {
			plan.shape = SITE_BEFORE;
			return plan;
		}
	}
	plan.loads_number = false;
	plan.hole = hole_ahead(code, n, at, base);
	if (!plan.hole)
		plan.hole = hole_behind(code, n, at, base);
	if (plan.hole) {
		plan.shape = SITE_NEAR;
		plan.hole_end = padding_end(code, n, plan.hole);
	}
	return plan;
}
