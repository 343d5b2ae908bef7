/*
 * kernel/lib/figures.h - figures that are read where the kernel counts: sums of words.
 *
 * Theory:    What the kernel counts stands in words of 64 bits, often one for each CPU. A figure is a sum of such words,
 *            described by a table: the reader needs the table and nothing else, no call and no lock. So code that is not
 *            part of the kernel (kernel/vdso/) reads free memory or page faults as the kernel has them now.
 * Interface: figure_begin() and figure_add() make a table, figure_value() reads a figure.
 * Locking:   none. A table is made once, before it is read; words are loaded one by one, so a sum is exact only while
 *            nobody counts.
 * Errors:    figure_add() answers false when the table is full: a mistake of who makes it.
 */
#ifndef IBRIK_LIB_FIGURES_H
#define IBRIK_LIB_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIGURES_MAX 40
#define FIGURE_TERMS_MAX 64

enum figure_term_kind {
	FIGURE_PLUS = 0,
	FIGURE_MINUS = 1,
	FIGURE_POINTERS = 2, /* `at` is an array of pointers, up to the first NULL; the words lie `offset` bytes behind what they point to */
	FIGURE_EACH = 4,     /* there are as many words as pointers in the table's `each`, up to the first NULL */
};

/* At most `count` words, `stride` bytes from one (or from one pointer) to the next. */
struct figure_term {
	const void *at;
	uint32_t stride;
	uint16_t count;
	uint16_t offset;
	uint16_t kind; /* bits of enum figure_term_kind */
};

struct figure {
	uint16_t first, nterms; /* its terms; none: the value is 0 */
	uint8_t shift;          /* the sum is multiplied by two to this */
};

struct figure_table {
	struct figure figures[FIGURES_MAX];
	struct figure_term terms[FIGURE_TERMS_MAX];
	uint16_t nterms;
	const void *const *each; /* a pointer for each CPU that is there: most words of the others need not be read */
};

/* The terms that are added from now on are those of figure `id`. */
void figure_begin(struct figure_table *t, unsigned id, unsigned shift);
bool figure_add(struct figure_table *t, unsigned id, const struct figure_term *term);

static inline int64_t figure_term_sum(const struct figure_table *t, const struct figure_term *term)
{
	const char *at = term->at;
	uint64_t sum = 0;

	for (unsigned i = 0; i < term->count; i++, at += term->stride) {
		const char *word = at;

		if ((term->kind & FIGURE_EACH) && !__atomic_load_n(&t->each[i], __ATOMIC_RELAXED))
			break;
		if (term->kind & FIGURE_POINTERS) {
			word = __atomic_load_n((const char *const *)at, __ATOMIC_ACQUIRE);
			if (!word)
				break;
			word += term->offset;
		}
		sum += __atomic_load_n((const uint64_t *)word, __ATOMIC_RELAXED);
	}
	return (int64_t)sum;
}

/* Not below 0: words that are taken from each other may have been counted in between. id < FIGURES_MAX. */
static inline int64_t figure_value(const struct figure_table *t, unsigned id)
{
	const struct figure *f = &t->figures[id];
	int64_t sum = 0;

	for (unsigned i = 0; i < f->nterms; i++) {
		const struct figure_term *term = &t->terms[f->first + i];
		int64_t part = figure_term_sum(t, term);

		sum += term->kind & FIGURE_MINUS ? -part : part;
	}
	return sum > 0 ? sum << f->shift : 0;
}

#endif
