/*
 * kernel/lib/figures.c - makes tables of figures; reading is in the header, for code outside the kernel too.
 */
#include "lib/figures.h"

void figure_begin(struct figure_table *t, unsigned id, unsigned shift)
{
	t->figures[id].first = t->nterms;
	t->figures[id].nterms = 0;
	t->figures[id].shift = (uint8_t)shift;
}

bool figure_add(struct figure_table *t, unsigned id, const struct figure_term *term)
{
	struct figure *f = &t->figures[id];

	if (t->nterms == FIGURE_TERMS_MAX || f->first + f->nterms != t->nterms)
		return false;
	t->terms[t->nterms++] = *term;
	f->nterms++;
	return true;
}
