/*
 * tests/unit/heap.h - the kernel's heap on the host, for tests and fuzzers that are one file: blocks are counted, and one allocation, or some, can be
 * made to fail.
 */
#ifndef TESTS_UNIT_HEAP_H
#define TESTS_UNIT_HEAP_H

#include "lib/string.h"
#include "mm/mm.h"

void *malloc(size_t size);
void free(void *p);

static unsigned heap_fail_in;   /* allocations until one fails; 0: none does */
static unsigned heap_fail_more; /* how many fail behind it */
static long heap_blocks;

void *kmalloc_flags(size_t size, unsigned flags)
{
	void *p;

	if (heap_fail_in && --heap_fail_in == 0) {
		if (heap_fail_more) {
			heap_fail_more--;
			heap_fail_in = 1;
		}
		return NULL;
	}
	p = malloc(size ? size : 1);
	heap_blocks += p != NULL;
	return p && flags & ALLOC_ZERO ? memset(p, 0, size) : p;
}

void *kmalloc(size_t size) { return kmalloc_flags(size, 0); }
void *kzalloc(size_t size) { return kmalloc_flags(size, ALLOC_ZERO); }

void kfree(void *p)
{
	heap_blocks -= p != NULL;
	free(p);
}

#endif
