// sources: kernel/lib/figures.c
/*
 * tests/unit/lib_figures_test.c - figures: sums of words over strides and pointers, differences, full tables.
 */
#include <stdio.h>
#include <string.h>
#include "lib/figures.h"

static struct figure_table table;

static int report(const char *name, int ok)
{
	printf(ok ? "ok %s\n" : "not ok %s\n", name);
	return !ok;
}

static int add(unsigned id, const void *at, uint32_t stride, uint16_t count, unsigned kind, uint16_t offset)
{
	const struct figure_term term = { .at = at, .stride = stride, .count = count, .offset = offset, .kind = (uint16_t)kind };

	return figure_add(&table, id, &term);
}

static int an_unknown_figure_is_zero(void)
{
	memset(&table, 0, sizeof(table));
	return report("figure_without_terms_is_zero", figure_value(&table, 3) == 0);
}

static int words_are_read_when_the_figure_is(void)
{
	struct {
		uint64_t other, word;
	} cpus[3] = { { 100, 1 }, { 100, 2 }, { 100, 3 } };
	int ok;

	memset(&table, 0, sizeof(table));
	figure_begin(&table, 0, 0);
	ok = add(0, &cpus[0].word, sizeof(cpus[0]), 3, FIGURE_PLUS, 0);
	ok &= figure_value(&table, 0) == 6;
	cpus[2].word = 40;
	ok &= figure_value(&table, 0) == 43;
	/* A counter of one CPU may be below zero when the other one counted what came first. */
	cpus[0].word = (uint64_t)-2;
	ok &= figure_value(&table, 0) == 40;
	return report("words_are_summed_when_the_figure_is_read", ok);
}

static int differences_stop_at_zero(void)
{
	uint64_t more = 10, less = 4;
	int ok;

	memset(&table, 0, sizeof(table));
	figure_begin(&table, 5, 12);
	ok = add(5, &more, 0, 1, FIGURE_PLUS, 0) && add(5, &less, 0, 1, FIGURE_MINUS, 0);
	ok &= figure_value(&table, 5) == 6 << 12;
	less = 11;
	ok &= figure_value(&table, 5) == 0;
	return report("differences_are_shifted_and_stop_at_zero", ok);
}

static int pointers_are_followed(void)
{
	struct cpu {
		uint64_t other, word;
	} a = { 100, 7 }, b = { 100, 8 };
	struct cpu *cpus[4] = { &a, NULL, NULL, NULL };
	int ok;

	memset(&table, 0, sizeof(table));
	figure_begin(&table, 1, 0);
	ok = add(1, cpus, sizeof(cpus[0]), 4, FIGURE_POINTERS, offsetof(struct cpu, word));
	ok &= figure_value(&table, 1) == 7;
	cpus[1] = &b;
	ok &= figure_value(&table, 1) == 15;
	figure_begin(&table, 2, 0);
	ok &= add(2, cpus, sizeof(cpus[0]), 4, FIGURE_POINTERS, offsetof(struct cpu, other));
	ok &= add(2, cpus, sizeof(cpus[0]), 4, FIGURE_POINTERS | FIGURE_MINUS, offsetof(struct cpu, word));
	ok &= figure_value(&table, 2) == 185;
	return report("pointers_are_followed_up_to_the_first_that_is_missing", ok);
}

static int words_count_for_each_cpu_that_is_there(void)
{
	uint64_t words[3] = { 5, 6, 7 };
	const void *cpus[3] = { words, NULL, NULL };
	int ok;

	memset(&table, 0, sizeof(table));
	table.each = cpus;
	figure_begin(&table, 0, 0);
	ok = add(0, words, sizeof(words[0]), 3, FIGURE_EACH, 0);
	ok &= figure_value(&table, 0) == 5;
	cpus[1] = words;
	ok &= figure_value(&table, 0) == 11;
	cpus[2] = words;
	ok &= figure_value(&table, 0) == 18;
	return report("words_count_for_each_cpu_that_is_there", ok);
}

static int a_full_table_says_so(void)
{
	uint64_t word = 1;
	int ok = 1;

	memset(&table, 0, sizeof(table));
	figure_begin(&table, 0, 0);
	for (int i = 0; i < FIGURE_TERMS_MAX; i++)
		ok &= add(0, &word, 0, 1, FIGURE_PLUS, 0);
	ok &= !add(0, &word, 0, 1, FIGURE_PLUS, 0);
	ok &= figure_value(&table, 0) == FIGURE_TERMS_MAX;
	return report("a_full_table_takes_no_more", ok);
}

static int terms_of_another_figure_are_refused(void)
{
	uint64_t word = 1;
	int ok;

	memset(&table, 0, sizeof(table));
	figure_begin(&table, 0, 0);
	ok = add(0, &word, 0, 1, FIGURE_PLUS, 0);
	figure_begin(&table, 1, 0);
	ok &= add(1, &word, 0, 1, FIGURE_PLUS, 0);
	ok &= !add(0, &word, 0, 1, FIGURE_PLUS, 0);
	ok &= figure_value(&table, 0) == 1 && figure_value(&table, 1) == 1;
	return report("a_figure_that_is_closed_takes_no_more", ok);
}

int main(void)
{
	return an_unknown_figure_is_zero() | words_are_read_when_the_figure_is() | differences_stop_at_zero() |
	       pointers_are_followed() | words_count_for_each_cpu_that_is_there() | a_full_table_says_so() | terms_of_another_figure_are_refused();
}
