/*
 * tests/unit/mm_area_test.c - the tree of areas and the changes of a range, against a plain array of pages: random edits,
 * searches, gaps, merging, accounting, every allocation failing once, readers beside the edits, and a look at the tree between
 * any two stores of an edit.
 */
// sources: mm/area.c mm/area_small.c mm/change.c
// flags: -ffreestanding -pthread -DUNIT_TEST
#include "mm/internal.h"
#include "lib/string.h"

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void free(void *p);
_Noreturn void exit(int status);
_Noreturn void abort(void);
int pthread_create(unsigned long *thread, const void *attr, void *(*fn)(void *), void *arg);
int pthread_join(unsigned long thread, void **result);

#define BASE 0x100000000ull
#define PAGES 600u

/* --- what lies below ---------------------------------------------------------------------------------------- */
static long live;        /* objects allocated and not freed */
static long allocated;
static long fail_after = -1;
static bool held;
static int64_t charged;
static struct rcu_head *later;

void *kmalloc(size_t size)
{
	if (fail_after >= 0 && fail_after-- == 0) {
		fail_after = 0;
		return NULL;
	}
	live++;
	allocated++;
	return malloc(size);
}

/* The reserve does not fail. */
void *kmalloc_flags(size_t size, unsigned flags)
{
	if (!(flags & ALLOC_RESERVE))
		return kmalloc(size);
	live++;
	allocated++;
	return malloc(size);
}

void *kzalloc(size_t size)
{
	void *p = kmalloc(size);

	return p ? memset(p, 0, size) : NULL;
}

void kfree(void *p)
{
	if (p)
		live--;
	free(p);
}

void mutex_lock(struct mutex *m) { held |= m == &areas_lock; }
void mutex_unlock(struct mutex *m) { held &= m != &areas_lock; }
bool mutex_held(const struct mutex *m) { return m != &areas_lock || held; }
void file_get(struct file *f) { (void)f; }
void file_put(struct file *f) { (void)f; }
int commit_charge(struct mm *mm, uint64_t npages, uint64_t touched) { (void)mm; (void)touched; charged += (int64_t)npages; return 0; }
void commit_uncharge(struct mm *mm, uint64_t npages) { (void)mm; charged -= (int64_t)npages; }

void rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *head))
{
	head->fn = fn;
	head->next = later;
	later = head;
}

static bool readers; /* no grace period ends */

static void grace_period(void)
{
	while (later && !readers) {
		struct rcu_head *h = later;

		later = h->next;
		h->fn(h);
	}
}

_Noreturn void panic(const char *format, ...)
{
	printf("not ok panic %s\n", format);
	abort();
}

/* --- the model ------------------------------------------------------------------------------------------------- */
static struct mm mm = { .limit_pages = UINT64_MAX };
static unsigned char model[PAGES]; /* 0: nothing, else 1 + prot, with 8 for charged */
static uint64_t seed = 88172645463325252ull;

static uint64_t next_random(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

#define CHECK(cond)                                                                              \
	do {                                                                                     \
		if (!(cond)) {                                                                   \
			printf("not ok mm_area %s:%d: %s\n", __FILE__, __LINE__, #cond);         \
			exit(1);                                                                 \
		}                                                                                \
	} while (0)

/* The edit under way, for area_step(). */
static unsigned edit_first, edit_end, edit_what;
static bool look_between;
static unsigned edit_flags; /* the alloc_flags of edits */
static long looks;

static uaddr_t address(unsigned page) { return BASE + (uaddr_t)page * PAGE_SIZE; }

/* Gives [first, end) areas of that kind, or none for 0. 0 or -ENOMEM. */
static int edit(unsigned first, unsigned end, unsigned what)
{
	struct area_change c;
	int r;

	edit_first = first;
	edit_end = end;
	edit_what = what;
	mutex_lock(&areas_lock);
	r = change_begin(&c, &mm, address(first), address(end));
	if (!r && what) {
		struct area_desc d = { .start = address(first), .end = address(end), .prot = (uint16_t)(what & 7) - 1,
				       .kind = what & 8 ? AREA_CHARGED : 0, .flags = 0x22 };

		r = change_add(&c, &d);
	}
	c.alloc_flags = edit_flags;
	if (r)
		change_cancel(&c);
	else
		r = change_publish(&c);
	if (!r) {
		change_finish(&c);
		memset(model + first, (int)what, end - first);
	}
	mutex_unlock(&areas_lock);
	grace_period();
	return r;
}

static unsigned what_of(const struct area *a)
{
	return (a->d.prot + 1u) | (a->d.kind & AREA_CHARGED ? 8 : 0);
}

/* What is there before and after the edit is there between, as it was or as it will be; what is not, is not. */
void area_step(void)
{
	if (!look_between)
		return;
	looks++;
	for (unsigned p = 0; p < PAGES; p++) {
		unsigned now = p >= edit_first && p < edit_end ? edit_what : model[p];
		struct area *a = area_search(address(p));
		bool hit = a && a->d.start <= address(p);

		CHECK(!hit || address(p) < a->d.end);
		CHECK(hit ? what_of(a) == model[p] || what_of(a) == now : !model[p] || !now);
	}
}

/* The tree holds what the model says, in areas as long as can be; answers their number. */
static unsigned compare(void)
{
	struct area_node *root = atomic_load(&area_root);
	uaddr_t at = 0;
	unsigned n = 0, p = 0;
	int64_t want_charge = 0, pages = 0;
	struct area *a, *before = NULL;

	while ((a = area_at_or_after(root, at))) {
		CHECK(a->d.start >= at && a->d.end > a->d.start);
		CHECK(area_ahead(a) == before && (!before || area_behind(before) == a));
		CHECK(!atomic_load(&a->dead) && a->mm == &mm);
		for (; address(p) < a->d.start; p++)
			CHECK(model[p] == 0);
		for (; p < PAGES && address(p) < a->d.end; p++) {
			CHECK(model[p] == what_of(a));
			CHECK(area_at_or_after(root, address(p)) == a);
		}
		/* Equal neighbours are one area. */
		if (before && before->d.end == a->d.start)
			CHECK(what_of(before) != what_of(a));
		before = a;
		at = a->d.end;
		n++;
	}
	CHECK(area_tree_sound());
	CHECK(before ? !area_behind(before) : list_empty(&areas_in_order));
	for (; p < PAGES; p++)
		CHECK(model[p] == 0);
	for (p = 0; p < PAGES; p++) {
		want_charge += model[p] & 8 ? 1 : 0;
		pages += model[p] != 0;
	}
	CHECK(charged == want_charge);
	CHECK((int64_t)mm.total_pages == pages);
	CHECK(mm.map_count == n);
	return n;
}

static void gaps(void)
{
	struct area_node *root = atomic_load(&area_root);

	for (int i = 0; i < 4; i++) {
		unsigned len = 1 + (unsigned)next_random(40), align = 1u << next_random(4), best = PAGES;
		unsigned lo = (unsigned)next_random(PAGES / 2), hi = PAGES - (unsigned)next_random(PAGES / 4);
		uaddr_t got = area_gap_find(root, address(lo), address(hi), len * PAGE_SIZE, align * PAGE_SIZE);

		/* The highest place by looking at every page. */
		for (unsigned start = lo; start + len <= hi; start++) {
			bool fits = address(start) % (align * PAGE_SIZE) == 0;

			for (unsigned p = start; fits && p < start + len; p++)
				fits = model[p] == 0;
			if (fits)
				best = start;
		}
		CHECK(got == (best == PAGES ? 0 : address(best)));
	}
}

static void empty(void)
{
	CHECK(edit(0, PAGES, 0) == 0);
	CHECK(compare() == 0);
}

static void random_edits(void)
{
	unsigned most = 0;

	for (int i = 0; i < 6000; i++) {
		unsigned first = (unsigned)next_random(PAGES), len = 1 + (unsigned)next_random(next_random(10) ? 8 : 200);
		unsigned end = MIN(first + len, PAGES), n;

		CHECK(edit(first, end, next_random(3) ? 1 + (unsigned)next_random(4) + 8 * (unsigned)next_random(2) : 0) == 0);
		n = compare();
		most = MAX(most, n);
		gaps();
	}
	CHECK(most > 50);
	empty();
	printf("ok random_edits_agree_with_a_model\n");
}

/* A look after every store: see area_step(). */
static void between_stores(void)
{
	look_between = true;
	for (int i = 0; i < 3000; i++) {
		unsigned first = (unsigned)next_random(PAGES), end = MIN(first + 1 + (unsigned)next_random(next_random(10) ? 4 : 40), PAGES);

		CHECK(edit(first, end, next_random(4) ? 1 + (unsigned)next_random(3) : 0) == 0);
		compare();
	}
	look_between = false;
	CHECK(looks > 3000);
	empty();
	printf("ok every_state_between_two_stores_holds_what_stays\n");
}

static void growth(void)
{
	/* A heap that is committed piece by piece is one area; one that is protected in stripes is many. */
	for (unsigned p = 0; p < PAGES; p++) {
		long had = allocated;

		CHECK(edit(p, p + 1, 4) == 0);
		/* Of the tree nothing is new once there is a node. */
		CHECK(p == 0 || allocated == had + 1);
	}
	CHECK(compare() == 1);
	for (unsigned p = 0; p < PAGES; p += 2)
		CHECK(edit(p, p + 1, 2) == 0);
	CHECK(compare() == PAGES);
	for (unsigned p = PAGES; p-- > 0;)
		CHECK(edit(p, p + 1, 3) == 0);
	CHECK(compare() == 1);
	empty();
	printf("ok neighbours_melt_into_one_area\n");
}

/* Objects that an edit allocates: an area each, and the nodes that are new. */
static long cost(unsigned first, unsigned end, unsigned what)
{
	long had = allocated;

	CHECK(edit(first, end, what) == 0);
	CHECK(area_tree_sound());
	return allocated - had;
}

/* The shapes of mprotect() and of a heap that grows and shrinks copy no path, however many areas there are. */
static void in_place(void)
{
	for (unsigned p = 0; p < PAGES; p += 20) {
		CHECK(edit(p, p + 16, 4) == 0);
		CHECK(edit(p + 16, p + 18, 2) == 0);
	}
	for (unsigned p = 0; p < PAGES; p += 20) {
		/* The first time may turn nodes, the second must not. */
		for (int again = 0; again < 2; again++) {
			long split = cost(p + 4, p + 5, 2), melt = cost(p + 4, p + 5, 4);

			CHECK(again ? split == 3 + 2 && melt == 1 : split <= 3 + 2 + 6 && melt <= 1 + 6);
		}
		CHECK(cost(p + 12, p + 16, 2) == 2 && cost(p + 12, p + 16, 4) == 2);
		for (int again = 0; again < 2; again++) {
			long hole = cost(p + 4, p + 5, 0), fill = cost(p + 4, p + 5, 4);

			CHECK(again ? hole <= 2 + 1 && fill == 1 : hole <= 2 + 1 + 6 && fill <= 1 + 6);
		}
	}
	compare();
	empty();
	printf("ok small_changes_are_stores_in_place\n");
}

static void failures(void)
{
	unsigned char before[PAGES];
	unsigned tried = 0;

	for (int i = 0; i < 400; i++)
		edit((unsigned)next_random(PAGES - 8), PAGES - (unsigned)next_random(4), 1 + (unsigned)next_random(4));
	for (int i = 0; i < 300; i++) {
		unsigned first = (unsigned)next_random(PAGES - 40), end = first + 1 + (unsigned)next_random(40);
		unsigned what = (unsigned)next_random(5) + 8 * (unsigned)next_random(2);
		long had = live;

		if (what == 8)
			what = 0;
		memcpy(before, model, PAGES);
		for (long n = 0;; n++) {
			int r;

			fail_after = n;
			r = edit(first, end, what);
			if (fail_after > 0 || (fail_after == -1)) {
				fail_after = -1;
				CHECK(r == 0);
				break;
			}
			fail_after = -1;
			if (!r)
				break;
			/* It failed: nothing has changed, nothing has leaked. */
			CHECK(r == -ENOMEM && live == had && !memcmp(before, model, PAGES));
			compare();
			tried++;
		}
		compare();
	}
	CHECK(tried > 300);
	empty();
	printf("ok a_failed_allocation_changes_nothing\n");
}

/* Memory goes out of the middle of areas, whatever shape the tree has, when there is none but the reserve. */
static void reserve(void)
{
	for (int i = 0; i < 2000; i++) {
		unsigned first = (unsigned)next_random(PAGES - 40), end = first + 1 + (unsigned)next_random(next_random(4) ? 3 : 40);

		CHECK(edit((unsigned)next_random(PAGES - 8), PAGES - (unsigned)next_random(4), 1 + (unsigned)next_random(4)) == 0);
		fail_after = 0;
		edit_flags = ALLOC_RESERVE;
		CHECK(edit(first, end, 0) == 0);
		fail_after = -1;
		edit_flags = 0;
		compare();
	}
	empty();
	printf("ok memory_goes_with_the_reserve_alone\n");
}

/* What takes the place of other areas is unsettled until the change ends, in the range and not beside it. */
static void replacing(void)
{
	struct area_desc d = { .start = address(20), .end = address(30), .flags = 0x22 };
	struct area_change c;
	struct area *a;

	CHECK(edit(10, 40, 1) == 0 && edit(20, 30, 2) == 0);
	mutex_lock(&areas_lock);
	CHECK(change_begin(&c, &mm, d.start, d.end) == 0 && change_add(&c, &d) == 0);
	c.replaces = true;
	CHECK(change_publish(&c) == 0);
	a = area_search(address(20));
	CHECK(a->d.start == address(10) && a->d.end == address(40)); /* one with its neighbours */
	CHECK(area_unsettled(a, address(20)) && area_unsettled(a, address(29)));
	CHECK(!area_unsettled(a, address(19)) && !area_unsettled(a, address(30)));
	change_finish(&c);
	CHECK(!area_unsettled(a, address(20)));
	mutex_unlock(&areas_lock);
	grace_period();
	empty();
	printf("ok areas_that_replace_others_are_unsettled_until_the_end\n");
}

/* What is replaced does not count. */
static void limit(void)
{
	CHECK(edit(10, 40, 1) == 0);
	mm.limit_pages = 32;
	CHECK(edit(40, 43, 2) == -ENOMEM && compare() == 1);
	CHECK(edit(20, 30, 2) == 0 && edit(35, 42, 3) == 0 && edit(35, 43, 4) == -ENOMEM);
	CHECK(edit(10, 11, 0) == 0 && edit(35, 43, 4) == 0);
	mm.limit_pages = 0;
	CHECK(edit(12, 15, 2) == 0 && edit(12, 15, 0) == 0);
	mm.limit_pages = UINT64_MAX;
	compare();
	empty();
	printf("ok the_limit_is_for_what_grows\n");
}

static void others(void)
{
	static struct mm other = { .limit_pages = UINT64_MAX };
	struct area_change c;
	struct area_desc d = { .start = address(10), .end = address(20), .prot = 1 };

	/* One tree for all address spaces: a range that another mm owns is refused. */
	mutex_lock(&areas_lock);
	CHECK(change_begin(&c, &other, d.start, d.end) == 0 && change_add(&c, &d) == 0 && change_publish(&c) == 0);
	change_finish(&c);
	CHECK(change_begin(&c, &mm, address(15), address(30)) == -EEXIST);
	CHECK(change_begin(&c, &mm, address(20), address(30)) == 0);
	d.start = address(20);
	d.end = address(30);
	CHECK(change_add(&c, &d) == 0 && change_publish(&c) == 0);
	change_finish(&c);
	/* Neighbours of different owners stay two. */
	CHECK(area_at_or_after(atomic_load(&area_root), address(19))->d.end == address(20));
	CHECK(change_begin(&c, &other, address(10), address(20)) == 0 && change_publish(&c) == 0);
	change_finish(&c);
	CHECK(change_begin(&c, &mm, address(20), address(30)) == 0 && change_publish(&c) == 0);
	change_finish(&c);
	mutex_unlock(&areas_lock);
	grace_period();
	CHECK(compare() == 0);
	printf("ok areas_of_another_mm_are_refused\n");
}

/* Every tenth page has an area of its own kind that stays; what lies between comes and goes. */
#define STAYS(p) ((p) % 10 == 5)
static _Atomic bool stop;
static _Atomic long lookups;

static void *reader_main(void *arg)
{
	uint64_t turn = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		unsigned p = (unsigned)(turn++ * 7919 % (PAGES / 10)) * 10 + 5;
		struct area *a = area_search(address(p));

		CHECK(a && a->d.start == address(p) && a->d.end == address(p + 1) && a->d.prot == 6);
		atomic_fetch_add_explicit(&lookups, 1, memory_order_relaxed);
	}
	return NULL;
}

/* Two threads look while edits are made, until both have had enough. */
static void beside_readers(void *(*reader)(void *), void (*one_edit)(void), long least)
{
	unsigned long thread[2];

	atomic_store(&stop, false);
	atomic_store(&lookups, 0);
	readers = true;
	for (uintptr_t i = 0; i < 2; i++)
		CHECK(pthread_create(&thread[i], NULL, reader, (void *)(i * 100)) == 0);
	for (long i = 0; i < least || atomic_load(&lookups) < least; i++)
		one_edit();
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	readers = false;
	compare();
	empty();
}

static void edit_a_gap(void)
{
	unsigned gap = (unsigned)next_random(PAGES / 10 - 1) * 10 + 6, first = gap + (unsigned)next_random(9);
	unsigned end = first + 1 + (unsigned)next_random(gap + 9 - first);

	CHECK(edit(first, end, next_random(2) ? 1 + (unsigned)next_random(4) : 0) == 0);
}

static void reading(void)
{
	for (unsigned p = 0; p < PAGES; p++)
		CHECK(!STAYS(p) || edit(p, p + 1, 7) == 0);
	beside_readers(reader_main, edit_a_gap, 20000);
	printf("ok readers_find_what_stays_while_the_rest_changes\n");
}

/* All pages stay, but their areas split and melt and move their borders. */
static void *covered_main(void *arg)
{
	uint64_t turn = (uintptr_t)arg;

	while (!atomic_load(&stop)) {
		uaddr_t at = address((unsigned)(turn++ * 7919 % PAGES));
		struct area *a = area_search(at);

		CHECK(a && a->d.start <= at && at < a->d.end && a->d.prot < 3);
		atomic_fetch_add_explicit(&lookups, 1, memory_order_relaxed);
	}
	return NULL;
}

static void cover_again(void)
{
	unsigned first = (unsigned)next_random(PAGES), end = MIN(first + 1 + (unsigned)next_random(next_random(8) ? 3 : 60), PAGES);

	CHECK(edit(first, end, 1 + (unsigned)next_random(3)) == 0);
}

static void covered(void)
{
	CHECK(edit(0, PAGES, 1) == 0);
	beside_readers(covered_main, cover_again, 100000);
	printf("ok readers_meet_no_hole_while_areas_split_and_melt\n");
}

int main(void)
{
	random_edits();
	between_stores();
	covered();
	in_place();
	reading();
	growth();
	failures();
	reserve();
	replacing();
	limit();
	others();
	CHECK(live == 0);
	printf("ok nothing_leaks\n");
	return 0;
}
