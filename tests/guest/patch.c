/*
 * tests/guest/patch.c - code that one thread changes while others execute it, as a JIT compiler does.
 */
#include "harness.h"

#define SLOTS 20000
#define SLOT_BYTES 16
#define CALLERS 2

/*
 * A slot is a function whose first instruction is replaced, once, by one aligned store:
 *	b8 imm32; c3	mov $OLD, %eax; ret
 *	e9 rel32	jmp to the last slot, which returns NEW
 * HotSpot does so with the entry of a method that is not to be entered any more. A mixture of an opcode and the operand of the
 * other gives a value that is neither.
 */
#define OLD 0x11223344u
#define NEW 0x00556677u
#define RETURNS(imm) (0xb8ull | (uint64_t)(imm) << 8 | 0xc3ull << 40)
#define JUMPS(rel) (0xe9ull | (uint64_t)(uint32_t)(rel) << 8 | 0xc3ull << 40)

static uint8_t *code;
static _Atomic long reached;
static _Atomic long calls, mixtures, old_after_new;

static volatile uint64_t *slot(long i)
{
	return (volatile uint64_t *)(code + i * SLOT_BYTES);
}

static unsigned call_slot(long i)
{
	return ((unsigned (*)(void))(uintptr_t)slot(i))();
}

/* Stays with the slot that is being patched, where the first call of each is. */
static void *follow(void *arg)
{
	long i;

	(void)arg;
	while ((i = reached) < SLOTS) {
		unsigned value = call_slot(i);

		calls++;
		if (value != OLD && value != NEW)
			mixtures++;
	}
	return NULL;
}

static void *call_all(void *arg)
{
	(void)arg;
	for (long i = 0; i < SLOTS; i++)
		if (call_slot(i) != NEW)
			old_after_new++;
	return NULL;
}

TEST_SLOW(an_entry_that_becomes_a_jump_is_executed_whole_and_seen_by_all, 60)
{
	pthread_t callers[CALLERS];

	code = mmap(NULL, (SLOTS + 1) * SLOT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(code != MAP_FAILED);
	for (long i = 0; i < SLOTS; i++)
		*slot(i) = RETURNS(OLD);
	*slot(SLOTS) = RETURNS(NEW);
	for (int i = 0; i < CALLERS; i++)
		callers[i] = thread_start(follow, NULL);
	for (long i = 0; i < SLOTS; i++) {
		reached = i;
		for (volatile int pause = (int)(i * 7919 % 1024); pause > 0; pause--)
			;
		*slot(i) = JUMPS((SLOTS - i) * SLOT_BYTES - 5);
	}
	reached = SLOTS;
	for (int i = 0; i < CALLERS; i++)
		pthread_join(callers[i], NULL);
	CHECK(calls > 0);
	CHECK_EQ(mixtures, 0);
	for (int i = 0; i < CALLERS; i++)
		callers[i] = thread_start(call_all, NULL);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(callers[i], NULL);
	CHECK_EQ(old_after_new, 0);
	munmap(code, (SLOTS + 1) * SLOT_BYTES);
}

TEST_MAIN("patch")
