// sources: mm/radix.c
// flags: -ffreestanding
/*
 * tests/unit/mm_radix_test.c - the index of a page cache against a plain array: insertion, removal, order, growing up to the
 * largest index, every allocation failing once, and no node left behind.
 */
#include "mm/radix.h"

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *calloc(size_t n, size_t size);
void free(void *p);
int rand(void);

#define SLOTS 900u
#define ROUNDS 40000u

/* --- what lies below ---------------------------------------------------------------------------------------- */
static long live;       /* nodes that are not freed */
static long fail_after = -1;
static struct rcu_head *later;

void *kzalloc(size_t size)
{
	if (fail_after >= 0 && fail_after-- == 0)
		return NULL;
	live++;
	return calloc(1, size);
}

void kfree(void *p)
{
	if (p)
		live--;
	free(p);
}

void rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *head))
{
	head->fn = fn;
	head->next = later;
	later = head;
}

static void grace_period(void)
{
	while (later) {
		struct rcu_head *h = later;

		later = h->next;
		h->fn(h);
	}
}

/* --- the model ------------------------------------------------------------------------------------------------ */
static struct page pages[SLOTS];
static bool present[SLOTS];
static uint64_t indices[SLOTS]; /* ascending */
static void *_Atomic root;
static int failures;

static void check(bool ok, const char *what)
{
	if (!ok && failures++ == 0)
		printf("# %s\n", what);
}

static void compare(void)
{
	uint64_t at = 0;
	struct page *p;
	unsigned i = 0;

	for (;; i++) {
		while (i < SLOTS && !present[i])
			i++;
		p = radix_next(&root, &at);
		if (i == SLOTS) {
			check(!p, "next finds what is not there");
			break;
		}
		check(p == &pages[i] && at == indices[i], "next misses a page or its number");
		if (p != &pages[i] || ++at == 0)
			break;
	}
	for (i = 0; i < SLOTS; i++)
		check(radix_find(&root, indices[i]) == (present[i] ? &pages[i] : NULL), "find differs from the array");
}

static unsigned refused; /* insertions for want of memory */

static void toggle(unsigned i)
{
	if (present[i]) {
		check(radix_insert(&root, indices[i], &pages[0]) == -EEXIST, "a second page at one place");
		check(radix_remove(&root, indices[i]) == &pages[i], "remove answers another page");
		present[i] = false;
		return;
	}
	check(radix_remove(&root, indices[i]) == NULL, "remove finds what is not there");
	long before = live;
	int r = radix_insert(&root, indices[i], &pages[i]);
	if (r) {
		refused++;
		check(r == -ENOMEM, "insert fails without reason");
		check(!radix_find(&root, indices[i]), "a failed insertion left its page");
		grace_period();
		/* Levels above what was there before may stay; nothing else. */
		check(live - before <= 11, "a failed insertion left nodes");
	} else {
		present[i] = true;
	}
}

static void empty(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (present[i])
			toggle(i);
	grace_period();
	check(!root && live == 0, "an empty index holds nodes");
}

static int report(const char *name)
{
	int failed = failures;

	printf(failed ? "not ok %s\n" : "ok %s\n", name);
	failures = 0;
	return failed != 0;
}

/* Indices that are dense below, and sparse up to the largest number there is. */
static void choose(bool sparse)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		indices[i] = at;
		at += sparse ? (uint64_t)rand() % (1ull << (i / 16)) + 1 : (uint64_t)rand() % 4 == 0 ? 70 : 1;
	}
	if (sparse)
		indices[SLOTS - 1] = UINT64_MAX;
}

static int random_edits(bool sparse)
{
	choose(sparse);
	for (unsigned n = 0; n < ROUNDS; n++) {
		toggle((unsigned)rand() % SLOTS);
		if (n % 1000 == 0)
			compare();
		if (n % 64 == 0)
			grace_period();
	}
	compare();
	empty();
	return report(sparse ? "random_edits_of_sparse_numbers" : "random_edits_of_dense_numbers");
}

static int failing_allocations(void)
{
	choose(true);
	for (unsigned n = 0; n < ROUNDS; n++) {
		fail_after = rand() % 4;
		toggle((unsigned)rand() % SLOTS);
		fail_after = -1;
		if (n % 1000 == 0)
			compare();
	}
	compare();
	empty();
	check(refused > 0, "no insertion failed");
	return report("failing_allocations_leave_nothing");
}

int main(void)
{
	int failed = 0;

	failed += random_edits(false);
	failed += random_edits(true);
	failed += failing_allocations();
	return failed != 0;
}
