/*
 * tests/unit/net_wheel_test.c - the timer wheel, against a list that is searched.
 */
// sources: kernel/net/wheel.c
#include "expect.h"
#include "net/wheel.h"

#define ENTRIES 300

static struct wheel w;
static struct wheel_entry e[ENTRIES];
static uint32_t due[ENTRIES]; /* WHEEL_NEVER: not in the wheel */
static uint64_t state = 1;

static uint32_t chance(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % below;
}

static void start(void)
{
	wheel_init(&w);
	for (unsigned i = 0; i < ENTRIES; i++) {
		wheel_entry_init(&e[i]);
		due[i] = WHEEL_NEVER;
	}
}

static void put(unsigned i, uint32_t now, uint32_t at)
{
	wheel_put(&w, &e[i], now, at);
	due[i] = at;
}

static uint32_t earliest(void)
{
	uint32_t first = WHEEL_NEVER;

	for (unsigned i = 0; i < ENTRIES; i++)
		first = MIN(first, due[i]);
	return first;
}

/* Everything that is due comes out, and nothing else. */
static void advance(uint32_t now)
{
	struct list out;

	list_init(&out);
	wheel_advance(&w, now, &out);
	while (!list_empty(&out)) {
		struct wheel_entry *x = list_first(&out, struct wheel_entry, link);
		unsigned i = (unsigned)(x - e);

		list_del(&x->link);
		EXPECT(due[i] <= now);
		EXPECT(!wheel_has(x));
		due[i] = WHEEL_NEVER;
	}
	EXPECT(earliest() > now);
	EXPECT(w.next > now && w.next <= earliest());
}

static void each_comes_at_its_tick(void)
{
	static const uint32_t at[] = { 1, 2, 255, 256, 257, 511, 512, 65535, 65536, 65537, 65791, 65792, 1000000, 20000000 };

	for (uint32_t now = 0; now < 600; now += 37) {
		for (unsigned k = 0; k < sizeof(at) / sizeof(*at); k++) {
			start();
			put(0, now, now + at[k]);
			EXPECT(w.next <= now + at[k]);
			while (w.next < now + at[k])
				advance(w.next);
			EXPECT(due[0] == now + at[k]);
			advance(now + at[k]);
			EXPECT(due[0] == WHEEL_NEVER && w.next == WHEEL_NEVER);
		}
	}
}

static void what_is_taken_out_does_not_come(void)
{
	start();
	put(0, 0, 10);
	put(1, 0, 10);
	put(2, 0, 70000);
	wheel_remove(&w, &e[0]);
	wheel_remove(&w, &e[2]);
	wheel_remove(&w, &e[2]);
	due[0] = due[2] = WHEEL_NEVER;
	advance(9);
	advance(10);
	advance(100000);
	EXPECT(w.next == WHEEL_NEVER);
}

static void as_a_list_would_do_it(void)
{
	uint32_t now = 1;

	start();
	for (unsigned step = 0; step < 300000 && !wrong; step++) {
		unsigned i = chance(ENTRIES);
		static const uint32_t spans[] = { 3, 300, 3000, 70000, 500000 };

		switch (chance(4)) {
		case 0:
			now += chance(4) ? chance(4) : chance(spans[chance(5)]);
			advance(now);
			break;
		case 1:
			wheel_remove(&w, &e[i]);
			due[i] = WHEEL_NEVER;
			break;
		default: put(i, now, now + 1 + chance(spans[chance(5)]));
		}
	}
}

int main(void)
{
	RUN(each_comes_at_its_tick);
	RUN(what_is_taken_out_does_not_come);
	RUN(as_a_list_would_do_it);
	return failed;
}
